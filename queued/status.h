/* SPDX-License-Identifier: ISC */
/* Enhanced status codes (RFC 3463) for results that came without one. */
#ifndef QUEUED_STATUS_H
#define QUEUED_STATUS_H

#include "common/base/fault.h"
#include "common/base/slice.h"

/* Static text such as "5.1.1"; of FAULT_OK "2.0.0". */
struct slice status_of_fault(enum fault);
/* True for class "." subject "." detail, class 2, 4 or 5 (RFC 3463 2). */
bool status_is_valid(struct slice);

#endif
