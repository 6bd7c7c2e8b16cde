/* SPDX-License-Identifier: ISC */
/* SEARCH and UID SEARCH (RFC 3501 6.4.4; RFC 4731 ESEARCH).  Linked by imapd. */
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/utf8.h"
#include "imapd/keys.h"
#include "imapd/search.h"
#include "imapd/section.h"

enum {
	TEXT_MAX = 64 * 1024 * 1024, /* bytes of decoded text at once; never reached */
	NEEDLE_MAX = 1024 * 1024,
};

void
search_free(struct imap_session *s)
{
	struct imap_search *search = s->search;

	if (search == NULL)
		return;
	uid_set_clear(&search->found);
	buffer_clear(&search->text);
	buffer_clear(&search->folded);
	buffer_clear(&search->scan.decoded);
	buffer_clear(&search->scan.tail);
	free(search);
	s->search = NULL;
}

bool
parse_search(struct imap_command *command, struct cursor *c)
{
	return take_search_program(c, &command->arena, &command->arguments.search);
}

/* The text of a key as it is compared: UTF-8, folded. */
static enum fault
prepare_text(struct imap_session *s, struct search_key *key)
{
	struct slice charset = s->command.arguments.search.charset;
	struct buffer utf8, folded;
	enum fault fault;

	if (++s->search->needles > SEARCH_TEXTS_MAX)
		return FAULT_LIMIT;
	buffer_init(&utf8, NEEDLE_MAX);
	buffer_init(&folded, NEEDLE_MAX);
	if (charset.len == 0)
		charset = SLICE("UTF-8");
	fault = charset_to_utf8(charset, key->text, &utf8);
	if (fault == FAULT_OK)
		fault = utf8_fold(buffer_slice(&utf8), &folded);
	if (fault == FAULT_OK && !arena_copy(&s->command.arena, buffer_slice(&folded), &key->text))
		fault = FAULT_BUDGET;
	if (key->text.len > s->search->needle_max)
		s->search->needle_max = key->text.len;
	buffer_clear(&utf8);
	buffer_clear(&folded);
	return fault;
}

static enum fault
prepare_set(struct imap_session *s, struct search_key *key)
{
	struct uid_list list;
	enum fault fault = uids_from_set(s, &key->set, key->kind == SEARCH_UID, &list);

	if (fault == FAULT_OK) {
		key->ranges = list.ranges;
		key->range_count = list.count;
	}
	return fault;
}

/* Depth is bounded by the grammar. */
static enum fault
prepare_key(struct imap_session *s, struct search_key *key)
{
	enum fault fault = FAULT_OK;

	if (key->kind == SEARCH_SEQUENCE || key->kind == SEARCH_UID)
		fault = prepare_set(s, key);
	else if (key->kind >= SEARCH_FROM)
		fault = prepare_text(s, key);
	for (struct search_key *child = key->children; fault == FAULT_OK && child != NULL;
		child = child->next)
		fault = prepare_key(s, child);
	return fault;
}

static void
note_fault(struct imap_search *search, enum fault fault)
{
	if (search->fault == FAULT_OK)
		search->fault = fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
}

static enum fault
load_structure(struct candidate *c)
{
	struct slice bytes;
	enum fault fault = reader_structure(c->s->core->reader, c->message, &bytes);

	if (fault == FAULT_OK)
		fault = structure_open(bytes, &c->structure);
	return fault;
}

static enum fault
load_header(struct candidate *c)
{
	static const struct fetch_section header = {.text = FETCH_TEXT_HEADER};
	struct section_range range;
	enum fault fault = reader_content(c->s->core->reader, c->message, &c->content);

	if (fault != FAULT_OK)
		return fault;
	if (!section_find(&header, &c->structure, &c->content, &range))
		return FAULT_DAMAGED;
	if (range.len > SECTION_HEADER_MAX)
		range.len = SECTION_HEADER_MAX;
	return section_read(c->s, &c->content, &range, &c->header);
}

/* Looks deeper until the verdict is there; OPEN: to be continued in the next turn. */
static enum verdict
judge(struct candidate *c, struct search_key *root)
{
	enum verdict verdict = search_judge(c, root);
	enum fault fault = FAULT_OK;

	while (verdict == VERDICT_OPEN && fault == FAULT_OK && c->depth < DEPTH_BODY) {
		c->depth++;
		if (c->depth == DEPTH_STRUCTURE)
			fault = load_structure(c);
		else if (c->depth == DEPTH_HEADER)
			fault = load_header(c);
		else if (!search_body(c, root))
			return VERDICT_OPEN;
		if (fault == FAULT_OK)
			verdict = search_judge(c, root);
	}
	if (fault != FAULT_OK) {
		/* Mail of a key that was given up has no text to find: the rest is still searched.
		 */
		if (fault != FAULT_SEALED || !keys_are_open(c->s))
			note_fault(c->search, fault);
		return VERDICT_NO;
	}
	return verdict;
}

static void
tell(struct imap_session *s, uint32_t number)
{
	struct imap_search *search = s->search;
	const struct search_arguments *arguments = &s->command.arguments.search;

	if (!arguments->is_extended) {
		buffer_add_byte(&s->out, ' ');
		buffer_add_u64(&s->out, number);
		return;
	}
	if (search->count++ == 0)
		search->min = number;
	search->max = number;
	if ((arguments->results & SEARCH_RESULT_ALL) != 0)
		uid_set_add(&search->found, number);
}

static enum walk_step
search_one(struct imap_session *s, const struct store_message *m, uint32_t seq, void *arg)
{
	const struct search_arguments *arguments = &s->command.arguments.search;
	struct candidate c = {
		.s = s,
		.search = s->search,
		.message = m,
		.seq = seq,
		.names = arg,
	};
	enum verdict verdict = judge(&c, arguments->root);

	if (verdict == VERDICT_OPEN)
		return WALK_HOLD;
	if (verdict == VERDICT_YES)
		tell(s, s->command.by_uid ? m->uid : seq);
	return verdict == VERDICT_YES && arguments->results == SEARCH_MIN ? WALK_END : WALK_ON;
}

/* "* ESEARCH (TAG "x") UID MIN 1 MAX 9 COUNT 3 ALL 1,5:6" (RFC 4731 3.1) */
static void
write_esearch(struct imap_session *s)
{
	const struct imap_search *search = s->search;
	unsigned results = s->command.arguments.search.results;
	struct uid_list found = {search->found.ranges, search->found.count};

	buffer_add_text(&s->out, "* ESEARCH (TAG \"");
	buffer_add_slice(&s->out, s->command.tag);
	buffer_add_text(&s->out, s->command.by_uid ? "\") UID" : "\")");
	if ((results & SEARCH_MIN) != 0 && search->count > 0)
		buffer_printf(&s->out, " MIN %u", search->min);
	if ((results & SEARCH_MAX) != 0 && search->count > 0)
		buffer_printf(&s->out, " MAX %u", search->max);
	if ((results & SEARCH_COUNT) != 0)
		buffer_printf(&s->out, " COUNT %u", search->count);
	if (found.count > 0) {
		buffer_add_text(&s->out, " ALL ");
		uids_format(&found, &s->out);
	}
	buffer_add_text(&s->out, "\r\n");
}

static void
search_messages(struct imap_session *s)
{
	struct flag_names names = {.is_loaded = false};

	if (reader_begin(s->core->reader) == FAULT_OK) {
		names.is_loaded = reader_keywords(s->core->reader, s->account, &s->core->scratch,
					  &names.names) == FAULT_OK;
		reader_end(s->core->reader);
	}
	if (!walk_slice(s, &s->search->walk, search_one, &names))
		return;
	if (s->command.arguments.search.is_extended)
		write_esearch(s);
	else
		buffer_add_text(&s->out, "\r\n");
	note_fault(s->search, s->search->walk.fault);
	session_finish_fault(s, s->search->fault);
}

static bool
start(struct imap_session *s)
{
	struct imap_search *search = calloc(1, sizeof *search);

	if (search == NULL)
		return false;
	buffer_init(&search->text, TEXT_MAX);
	buffer_init(&search->folded, TEXT_MAX);
	buffer_init(&search->scan.decoded, TEXT_MAX);
	buffer_init(&search->scan.tail, NEEDLE_MAX);
	search->all = (struct uid_range){1, view_last_uid(&s->view)};
	search->walk = (struct walk){.ranges = &search->all, .count = s->view.count > 0};
	s->search = search;
	return true;
}

void
cmd_search(struct imap_session *s)
{
	const struct search_arguments *arguments = &s->command.arguments.search;

	if (!start(s)) {
		session_finish_fault(s, FAULT_NOMEM);
		return;
	}
	if (arguments->charset.len > 0 && !charset_is_known(arguments->charset)) {
		session_finish(s, REPLY_CHARSET);
		return;
	}
	enum fault fault = prepare_key(s, arguments->root);
	if (fault == FAULT_NOT_FOUND)
		session_finish(s, REPLY_SEQUENCE);
	else if (fault != FAULT_OK)
		session_finish_fault(s, fault);
	if (fault != FAULT_OK)
		return;
	if (!arguments->is_extended)
		buffer_add_text(&s->out, "* SEARCH");
	session_continue(s, search_messages);
}
