/* SPDX-License-Identifier: ISC */
/*
 * A running SEARCH (RFC 3501 6.4.4).  Each message is judged in steps that cost more and more: its
 * record, its stored structure, its header, its body; the next step is taken only while the
 * answer is still open.
 */
#ifndef IMAPD_SEARCH_H
#define IMAPD_SEARCH_H

#include "common/mail/encoding.h"
#include "common/mail/structure.h"
#include "imapd/flags.h"
#include "imapd/session.h"
#include "imapd/uids.h"
#include "imapd/walk.h"

enum verdict { VERDICT_NO, VERDICT_YES, VERDICT_OPEN };

enum search_depth { DEPTH_RECORD, DEPTH_STRUCTURE, DEPTH_HEADER, DEPTH_BODY };

/* Where the scan of a body stands: long ones take several turns. */
struct search_scan {
	uint32_t uid; /* 0: none is under way */
	uint32_t part; /* index */
	uint64_t offset; /* in the part, raw */
	struct decoder decoder;
	struct buffer decoded; /* not yet converted */
	struct buffer tail; /* folded end of the last piece: a match may begin in it */
};

struct imap_search {
	struct walk walk;
	struct uid_range all; /* of the view */
	struct search_scan scan;
	struct buffer text, folded; /* scratch */
	size_t needle_max; /* bytes of the longest folded text */
	size_t needles; /* how many texts */
	struct uid_set found; /* for ESEARCH: numbers as they are told */
	uint32_t count, min, max;
	enum fault fault; /* the first one met */
};

/* One message while it is judged, within a read transaction. */
struct candidate {
	struct imap_session *s;
	struct imap_search *search;
	const struct store_message *message;
	uint32_t seq;
	const struct flag_names *names;
	enum search_depth depth;
	struct structure structure;
	struct store_content content;
	struct slice header;
};

/* What is known at the candidate's depth. */
enum verdict search_judge(struct candidate *, const struct search_key *);
/*
 * Looks for all texts of BODY and TEXT keys below key in the body, sets their found.  False when
 * it is to be continued in the next turn.
 */
bool search_body(struct candidate *, struct search_key *key);
/* Folds decoded text and looks for key's text in it. */
bool search_text(struct imap_search *, struct slice utf8, const struct search_key *);
/* The header fields as text, decoded; appended. */
void search_header_text(struct slice header, struct buffer *utf8);

/* Frees s->search, if any. */
void search_free(struct imap_session *);

#endif
