/* SPDX-License-Identifier: ISC */
/* IMAP's modified UTF-7 for mailbox names (RFC 3501 5.1.3). */
#ifndef MAIL_MUTF7_H
#define MAIL_MUTF7_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/*
 * Appends UTF-8.  Strict: FAULT_SYNTAX, with nothing appended, for bytes outside printable ASCII,
 * unterminated or superfluous shifts, wrong padding bits, lone surrogates, and printable ASCII
 * written in base64, so that every name has exactly one spelling.
 */
enum fault mutf7_decode(struct slice in, struct buffer *out) MUST_USE;
/* Appends; FAULT_SYNTAX when in is not valid UTF-8. */
enum fault mutf7_encode(struct slice utf8, struct buffer *out) MUST_USE;

#endif
