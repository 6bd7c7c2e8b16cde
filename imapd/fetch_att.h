/* SPDX-License-Identifier: ISC */
/* The data items of FETCH (RFC 3501 6.4.5, 9 fetch-att) as typed values. */
#ifndef IMAPD_FETCH_ATT_H
#define IMAPD_FETCH_ATT_H

#include "common/base/buffer.h"
#include "imapd/grammar.h"

enum fetch_kind {
	FETCH_FLAGS,
	FETCH_UID,
	FETCH_INTERNALDATE,
	FETCH_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY, /* without extension data */
	FETCH_BODYSTRUCTURE,
	FETCH_SECTION, /* BODY[...], RFC822, RFC822.HEADER, RFC822.TEXT */
};

enum fetch_text {
	FETCH_TEXT_ALL,
	FETCH_TEXT_HEADER,
	FETCH_TEXT_FIELDS,
	FETCH_TEXT_FIELDS_NOT,
	FETCH_TEXT_TEXT,
	FETCH_TEXT_MIME,
};

struct fetch_section {
	uint32_t *numbers;
	size_t number_count;
	enum fetch_text text;
	struct slice *fields; /* of FIELDS and FIELDS_NOT */
	size_t field_count;
};

struct fetch_att {
	struct fetch_att *next;
	enum fetch_kind kind;
	struct fetch_section section;
	bool sets_seen; /* not PEEK */
	bool is_partial;
	uint32_t start, length; /* of the partial */
	struct slice label; /* how the reply names a section: "BODY[1.MIME]<0>" */
};

/* "ALL", "FULL", "FAST", one item or items in parentheses; *atts is never empty. */
bool take_fetch_atts(struct cursor *, struct arena *, struct fetch_att **atts);

#endif
