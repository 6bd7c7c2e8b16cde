/* SPDX-License-Identifier: ISC */
/* The criteria of SEARCH (RFC 3501 6.4.4, 9 search-key; RFC 4731 ESEARCH) as a tree. */
#ifndef IMAPD_SEARCH_KEY_H
#define IMAPD_SEARCH_KEY_H

#include "common/store/uids.h"
#include "imapd/grammar.h"

enum search_kind {
	SEARCH_ALL,
	SEARCH_AND, /* children */
	SEARCH_OR, /* two children */
	SEARCH_FLAG,
	SEARCH_KEYWORD,
	SEARCH_RECENT,
	SEARCH_NEW,
	SEARCH_BEFORE, /* internal date */
	SEARCH_ON,
	SEARCH_SINCE,
	SEARCH_SENT_BEFORE, /* Date field */
	SEARCH_SENT_ON,
	SEARCH_SENT_SINCE,
	SEARCH_LARGER,
	SEARCH_SMALLER,
	SEARCH_SEQUENCE,
	SEARCH_UID,
	SEARCH_FROM, /* from here on: texts */
	SEARCH_TO,
	SEARCH_CC,
	SEARCH_BCC,
	SEARCH_SUBJECT,
	SEARCH_HEADER,
	SEARCH_BODY,
	SEARCH_TEXT,
};

struct search_key {
	enum search_kind kind;
	bool negated; /* NOT, UNSEEN, OLD... */
	struct search_key *next; /* of the same parent */
	struct search_key *children;
	uint32_t flag; /* enum store_flag */
	uint32_t number; /* LARGER, SMALLER */
	int64_t day; /* midnight, as if UTC */
	struct sequence_set set;
	struct uid_range *ranges; /* the set as UIDs; made by the handler */
	size_t range_count;
	struct slice name; /* keyword, header field */
	struct slice text; /* as written; the handler folds it */
	bool found; /* while one message is looked at: the text is in its body */
};

enum { SEARCH_TEXTS_MAX = 100 }; /* texts looked for by one command */

enum search_result { SEARCH_MIN = 1, SEARCH_MAX = 2, SEARCH_RESULT_ALL = 4, SEARCH_COUNT = 8 };

struct search_arguments {
	bool is_extended; /* there was a RETURN */
	unsigned results; /* enum search_result bits */
	struct slice charset; /* empty: not given */
	struct search_key *root; /* an AND */
};

/* [SP "RETURN" ...] [SP "CHARSET" SP astring] 1*(SP search-key), from behind "SEARCH". */
bool take_search_program(struct cursor *, struct arena *, struct search_arguments *);

#endif
