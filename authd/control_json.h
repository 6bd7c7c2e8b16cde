/* SPDX-License-Identifier: ISC */
/* What the control_*.c files share to answer in JSON. */
#ifndef AUTHD_CONTROL_JSON_H
#define AUTHD_CONTROL_JSON_H

#include <jansson.h>

#include "common/base/slice.h"
#include "common/ipc/link.h"

/* Sends it and ends the command; takes over json, NULL is FAULT_NOMEM. */
void control_reply(struct ipc_origin, json_t *json);
/* Never NULL but when memory is out. */
json_t *control_json_text(struct slice);
/* "2026-11-20T14:03:00Z" */
json_t *control_json_time(int64_t wall_ms);
/* An id as text. */
json_t *control_json_id(uint64_t id);

#endif
