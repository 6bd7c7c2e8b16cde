/* SPDX-License-Identifier: ISC */
/*
 * Content transfer encodings (RFC 2045 6).  Decoding is lenient and never fails but for the
 * buffer: real mail has stray bytes, missing padding and broken "=" escapes.  It can be fed in
 * pieces, cut anywhere.
 */
#ifndef MAIL_ENCODING_H
#define MAIL_ENCODING_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

enum encoding {
	ENCODING_7BIT,
	ENCODING_8BIT,
	ENCODING_BINARY,
	ENCODING_QUOTED_PRINTABLE,
	ENCODING_BASE64,
	ENCODING_UNKNOWN, /* decoded as it is; RFC 3516 answers NO [UNKNOWN-CTE] */
};

/* By the raw value of Content-Transfer-Encoding; empty means 7BIT. */
enum encoding encoding_parse(struct slice value);

struct decoder {
	enum encoding encoding;
	uint32_t bits; /* base64: up to three sextets */
	unsigned held; /* base64: how many; quoted-printable: bytes of an escape, with its "=" */
	bool finished; /* base64: padding was seen */
	char text[1]; /* quoted-printable: the first digit of that escape */
	uint32_t blanks; /* quoted-printable: white space that may turn out to end the line */
	char blank_bytes[76];
};

void decoder_init(struct decoder *, enum encoding);
/* Appends what can be decoded; look at buffer_fault(out) when you must know. */
void decoder_feed(struct decoder *, struct slice in, struct buffer *out);
/* Appends what was held back. */
void decoder_finish(struct decoder *, struct buffer *out);

/* All at once; the fault is the buffer's. */
enum fault encoding_decode(enum encoding, struct slice in, struct buffer *out) MUST_USE;
/* Base64 in CRLF-ended lines of 76 characters. */
void encoding_encode_base64(struct slice in, struct buffer *out);
/* Quoted-printable of text: CRLF and bare LF are line breaks, both written as CRLF. */
void encoding_encode_quoted(struct slice in, struct buffer *out);

#endif
