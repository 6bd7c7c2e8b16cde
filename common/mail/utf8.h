/* SPDX-License-Identifier: ISC */
/* UTF-8 (RFC 3629): checking, repairing, and the form in which text is compared. */
#ifndef MAIL_UTF8_H
#define MAIL_UTF8_H

#include "common/base/buffer.h"
#include "common/base/cursor.h"
#include "common/base/fault.h"

enum { UTF8_REPLACEMENT = 0xfffd };

bool utf8_is_ascii(struct slice);
/* No overlong forms, no surrogates, nothing over U+10FFFF. */
bool utf8_is_valid(struct slice);
/* One character; false at the end and on broken bytes. */
bool take_utf8(struct cursor *, uint32_t *code_point);
void utf8_add(struct buffer *, uint32_t code_point);
/* Appends, each broken byte as U+FFFD. */
void utf8_add_repaired(struct buffer *, struct slice);
/* The longest start of s that has at most max bytes and does not cut a character. */
struct slice utf8_first(struct slice s, size_t max);
/* Characters in valid UTF-8. */
size_t utf8_count(struct slice);

/*
 * Appends the form in which SEARCH and SORT compare: case-folded and compatibility-decomposed, then
 * composed (NFKC case folding; the spirit of i;unicode-casemap, RFC 5051).  Broken bytes become
 * U+FFFD.  A needle found in a haystack, both folded, is a match in any script.  The fault is the
 * buffer's, or FAULT_NOMEM.
 */
enum fault utf8_fold(struct slice, struct buffer *out) MUST_USE;
/* Appends NFC; the input must be valid (FAULT_SYNTAX). */
enum fault utf8_to_nfc(struct slice, struct buffer *out) MUST_USE;

#endif
