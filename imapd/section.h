/* SPDX-License-Identifier: ISC */
/*
 * Where a section of FETCH lies in what the client sees as the message (RFC 3501 6.4.5).  The
 * stored structure describes the body that many messages share; what the store keeps in front of
 * it for this message (Return-Path, Delivered-To) is added here and nowhere else.
 */
#ifndef IMAPD_SECTION_H
#define IMAPD_SECTION_H

#include "common/mail/structure.h"
#include "imapd/session.h"

struct section_range {
	uint64_t offset, len; /* of the content, prefix included */
};

/* Longer headers are read so far only where they must be looked through: nobody writes them. */
enum { SECTION_HEADER_MAX = 4 * 1024 * 1024 };

bool section_needs_structure(const struct fetch_section *);
/* False when the message has no such part.  For FIELDS: the whole header. */
bool section_find(const struct fetch_section *, const struct structure *,
	const struct store_content *, struct section_range *);

struct section_fields {
	const struct fetch_att *att;
	struct section_range header;
};
/* HEADER.FIELDS and HEADER.FIELDS.NOT of that header; the text is in the walk's piece. */
MUST_USE enum fault section_read_fields(struct imap_session *, const struct store_content *,
	const struct section_fields *, struct slice *text);
/* Any bytes of the content into the walk's piece. */
MUST_USE enum fault section_read(struct imap_session *, const struct store_content *,
	const struct section_range *, struct slice *text);

#endif
