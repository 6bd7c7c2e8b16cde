/* SPDX-License-Identifier: ISC */
/*
 * The lines that a final delivery puts in front of a message, one set per recipient, and the loop
 * that they reveal when the message comes back.
 */
#ifndef DELIVERD_PREFIX_H
#define DELIVERD_PREFIX_H

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

/*
 * "Return-Path: <sender>" (RFC 5321 4.4) and "Delivered-To: <recipient>", each with CRLF, in the
 * arena.  recipient is as the envelope had it, with its detail.  FAULT_SYNTAX when one of them
 * holds a control character (it could forge header lines), FAULT_BUDGET when the arena is full.
 */
MUST_USE enum fault prefix_make(
	struct arena *, struct slice sender, struct slice recipient, struct slice *prefix);

enum { DELIVERED_TO_MAX = 256 }; /* fields looked at per message */

/* The Delivered-To values of a message, borrowed from it. */
struct delivered_to {
	struct slice values[DELIVERED_TO_MAX];
	size_t count;
};

void delivered_to_collect(struct delivered_to *, struct slice message);
/* True: this message was delivered to that address before (ASCII case ignored). */
bool delivered_to_has(const struct delivered_to *, struct slice recipient);

#endif
