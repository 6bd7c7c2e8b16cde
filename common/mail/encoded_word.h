/* SPDX-License-Identifier: ISC */
/* Encoded words in header fields (RFC 2047). */
#ifndef MAIL_ENCODED_WORD_H
#define MAIL_ENCODED_WORD_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/*
 * Appends the raw value as valid UTF-8, unfolded: encoded words decoded, white space between two
 * of them dropped, a character that is split over two words of the same charset put together.  An
 * encoded word of unknown charset stays as written; raw 8-bit text is taken as UTF-8, else as
 * windows-1252.  The fault is the buffer's.
 */
enum fault encoded_word_decode(struct slice value, struct buffer *out) MUST_USE;
/*
 * Appends UTF-8 text for an unstructured field or a phrase: as it is when it is printable ASCII
 * without "=?", else as encoded words of at most 75 characters with CRLF SP between them.
 */
void encoded_word_encode(struct slice utf8, struct buffer *out);

#endif
