/* SPDX-License-Identifier: ISC */
/* Base64 without line breaks and without leniency (RFC 4648 4): SASL, SCRAM, tokens. */
#ifndef MAIL_BASE64_H
#define MAIL_BASE64_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/* Appends; padded. */
void base64_encode(struct slice in, struct buffer *out);
/*
 * Appends.  FAULT_SYNTAX, with nothing appended, for any byte outside the alphabet, wrong or
 * missing padding, or non-zero spare bits; else the buffer's fault.
 */
enum fault base64_decode(struct slice in, struct buffer *out) MUST_USE;

#endif
