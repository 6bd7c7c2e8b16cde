/* SPDX-License-Identifier: ISC */
/* The base subject of RFC 5256 2.1, for SORT and THREAD. */
#ifndef MAIL_SUBJECT_H
#define MAIL_SUBJECT_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/*
 * Appends the base subject of a raw or unfolded Subject value, decoded and folded by utf8_fold, so
 * that equal bytes mean the same subject.  *is_reply tells of a "Re:", "Fwd:" or "(fwd)"; it may
 * be NULL.
 */
enum fault subject_extract_base(struct slice value, struct buffer *out, bool *is_reply) MUST_USE;

#endif
