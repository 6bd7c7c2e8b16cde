/* SPDX-License-Identifier: ISC */
/*
 * The stored structure as IMAP writes it (RFC 3501 7.4.2, RFC 9051 7.5.2): ENVELOPE, BODY and
 * BODYSTRUCTURE.  The result is always within the grammar, whatever the message was.
 */
#ifndef MAIL_IMAP_STRUCTURE_H
#define MAIL_IMAP_STRUCTURE_H

#include "common/base/buffer.h"
#include "common/mail/structure.h"

/* What the session has enabled. */
struct imap_structure_style {
	bool is_extensible; /* BODYSTRUCTURE, not BODY */
	bool is_utf8; /* UTF8=ACCEPT or IMAP4rev2: quoted strings may have UTF-8 (RFC 6855 3) */
	bool is_rev2; /* message/global is written like message/rfc822 (RFC 9051 9, media-message)
		       */
};

/* "(" ... ")" of the envelope of a message part; part 0 is the message.  Buffer keeps the fault. */
void imap_envelope_format(const struct structure *, uint32_t part,
	const struct imap_structure_style *, struct buffer *);
/*
 * "(" ... ")" of the body structure of a part and all below it.  Text without a charset is said to
 * be in us-ascii; a multipart in which no part was found shows its body as one text/plain.
 */
void imap_bodystructure_format(const struct structure *, uint32_t part,
	const struct imap_structure_style *, struct buffer *);
/*
 * string or literal for any bytes: quoted when short, without CR, LF, NUL and 8-bit bytes (but
 * valid UTF-8 when is_utf8), else {n}CRLF and the bytes; NUL is left out.  nstring: NIL for data
 * NULL.
 */
void imap_string_format(struct slice, bool is_utf8, struct buffer *);
void imap_nstring_format(struct slice, bool is_utf8, struct buffer *);

#endif
