/* SPDX-License-Identifier: ISC */
/* The text of a body part, for searching and previews. */
#ifndef MAIL_BODY_TEXT_H
#define MAIL_BODY_TEXT_H

#include "common/base/buffer.h"
#include "common/mail/encoding.h"

struct body_text {
	struct slice bytes; /* the part's body as it lies in the message */
	enum encoding encoding;
	struct slice charset; /* empty: US-ASCII */
	bool is_html;
};

/* Appends valid UTF-8, html as it is; the fault is the buffer's. */
enum fault body_text_decode(const struct body_text *, struct buffer *utf8) MUST_USE;
/*
 * Appends at most max_bytes of UTF-8 to read at a glance: white space runs as one space, html
 * without tags, quoted lines and rulers left out while there is other text.  Looks at no more than
 * the first 16 KiB of the body.
 */
enum fault body_text_preview(
	const struct body_text *, size_t max_bytes, struct buffer *out) MUST_USE;
/* Appends html without tags, comments, style and script; common entities decoded. */
void html_add_text(struct buffer *out, struct slice html);

#endif
