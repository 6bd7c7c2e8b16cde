/* SPDX-License-Identifier: ISC */
/* Does a message satisfy the keys, as far as is known?  Linked by imapd. */
#include "common/mail/date.h"
#include "common/mail/encoded_word.h"
#include "common/mail/header.h"
#include "common/mail/utf8.h"
#include "imapd/search.h"

static enum verdict
verdict_of(bool matches)
{
	return matches ? VERDICT_YES : VERDICT_NO;
}

static bool
is_in(const struct search_key *key, uint32_t uid)
{
	size_t low = 0;
	size_t high = key->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (key->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < key->range_count && key->ranges[low].first <= uid;
}

static bool
has_keyword(const struct candidate *c, struct slice name)
{
	if (!c->names->is_loaded)
		return false;
	return store_keywords_has(
		&c->message->keywords, flags_find_keyword(&c->names->names, name));
}

static int64_t
internal_day(const struct store_message *m)
{
	return date_day(&(struct date){m->received_at, m->zone});
}

static enum verdict
judge_record(const struct candidate *c, const struct search_key *key)
{
	const struct store_message *m = c->message;
	bool is_recent = m->uid >= c->s->view.recent_from;

	switch (key->kind) {
	case SEARCH_ALL:
		return VERDICT_YES;
	case SEARCH_FLAG:
		return verdict_of((m->flags & key->flag) != 0);
	case SEARCH_KEYWORD:
		return verdict_of(has_keyword(c, key->name));
	case SEARCH_RECENT:
		return verdict_of(is_recent);
	case SEARCH_NEW:
		return verdict_of(is_recent && (m->flags & STORE_SEEN) == 0);
	case SEARCH_BEFORE:
		return verdict_of(internal_day(m) < key->day);
	case SEARCH_ON:
		return verdict_of(internal_day(m) == key->day);
	case SEARCH_SINCE:
		return verdict_of(internal_day(m) >= key->day);
	case SEARCH_LARGER:
		return verdict_of(m->size > key->number);
	case SEARCH_SMALLER:
		return verdict_of(m->size < key->number);
	case SEARCH_SEQUENCE:
	case SEARCH_UID:
		return verdict_of(is_in(key, m->uid));
	default:
		return VERDICT_OPEN;
	}
}

bool
search_text(struct imap_search *search, struct slice utf8, const struct search_key *key)
{
	buffer_reset(&search->folded);
	if (utf8_fold(utf8, &search->folded) != FAULT_OK)
		return false;
	struct slice folded = buffer_slice(&search->folded);
	return key->text.len == 0 || slice_find(folded, key->text) < folded.len;
}

static bool
raw_has(const struct candidate *c, struct slice raw, const struct search_key *key)
{
	buffer_reset(&c->search->text);
	if (encoded_word_decode(raw, &c->search->text) != FAULT_OK)
		return false;
	return search_text(c->search, buffer_slice(&c->search->text), key);
}

/* All addresses of a list as "name <mailbox@host>", so that any part of it can be looked for. */
static bool
addresses_have(const struct candidate *c, struct structure_list list, const struct search_key *key)
{
	struct buffer *text = &c->search->text;
	struct list_address address;

	buffer_reset(text);
	while (structure_take_address(&list, &address)) {
		(void)!encoded_word_decode(address.name, text);
		buffer_add_text(text, " <");
		buffer_add_slice(text, address.mailbox);
		if (address.host.data != NULL)
			buffer_add_byte(text, '@');
		buffer_add_slice(text, address.host);
		buffer_add_text(text, ">, ");
	}
	return search_text(c->search, buffer_slice(text), key);
}

static enum verdict
judge_sent(const struct candidate *c, const struct search_key *key)
{
	if (!c->structure.has_sent)
		return VERDICT_NO;
	int64_t day = date_day(&c->structure.sent);
	if (key->kind == SEARCH_SENT_BEFORE)
		return verdict_of(day < key->day);
	if (key->kind == SEARCH_SENT_ON)
		return verdict_of(day == key->day);
	return verdict_of(day >= key->day);
}

static enum verdict
judge_envelope(const struct candidate *c, const struct search_key *key)
{
	struct structure_envelope envelope;

	if (!structure_get_envelope(&c->structure, 0, &envelope))
		return VERDICT_NO;
	switch (key->kind) {
	case SEARCH_FROM:
		return verdict_of(addresses_have(c, envelope.from, key));
	case SEARCH_TO:
		return verdict_of(addresses_have(c, envelope.to, key));
	case SEARCH_CC:
		return verdict_of(addresses_have(c, envelope.cc, key));
	case SEARCH_BCC:
		return verdict_of(addresses_have(c, envelope.bcc, key));
	default:
		return verdict_of(raw_has(c, envelope.subject, key));
	}
}

static enum verdict
judge_structure(const struct candidate *c, const struct search_key *key)
{
	if (c->depth < DEPTH_STRUCTURE)
		return VERDICT_OPEN;
	switch (key->kind) {
	case SEARCH_SENT_BEFORE:
	case SEARCH_SENT_ON:
	case SEARCH_SENT_SINCE:
		return judge_sent(c, key);
	case SEARCH_FROM:
	case SEARCH_TO:
	case SEARCH_CC:
	case SEARCH_BCC:
	case SEARCH_SUBJECT:
		return judge_envelope(c, key);
	default:
		return VERDICT_OPEN;
	}
}

static bool
field_has(const struct candidate *c, const struct search_key *key)
{
	struct cursor fields = cursor_of(c->header);
	struct header_field field;

	while (take_header_field(&fields, &field))
		if (slice_equal_nocase(field.name, key->name) && raw_has(c, field.value, key))
			return true;
	return false;
}

void
search_header_text(struct slice header, struct buffer *utf8)
{
	struct cursor fields = cursor_of(header);
	struct header_field field;

	while (take_header_field(&fields, &field)) {
		utf8_add_repaired(utf8, field.name);
		buffer_add_text(utf8, ": ");
		(void)!encoded_word_decode(field.value, utf8);
		buffer_add_byte(utf8, '\n');
	}
}

static bool
header_has(const struct candidate *c, const struct search_key *key)
{
	buffer_reset(&c->search->text);
	search_header_text(c->header, &c->search->text);
	return search_text(c->search, buffer_slice(&c->search->text), key);
}

static enum verdict
judge_content(const struct candidate *c, const struct search_key *key)
{
	if (key->kind == SEARCH_HEADER)
		return c->depth < DEPTH_HEADER ? VERDICT_OPEN : verdict_of(field_has(c, key));
	if (key->text.len == 0)
		return VERDICT_YES;
	if (c->depth == DEPTH_BODY && key->found)
		return VERDICT_YES;
	if (key->kind == SEARCH_TEXT && c->depth >= DEPTH_HEADER && header_has(c, key))
		return VERDICT_YES;
	return c->depth == DEPTH_BODY ? VERDICT_NO : VERDICT_OPEN;
}

static enum verdict
judge_leaf(struct candidate *c, const struct search_key *key)
{
	enum verdict verdict = judge_record(c, key);

	/* Thousands of keys make one message a long piece of work. */
	c->s->turn_work++;
	if (verdict == VERDICT_OPEN && key->kind < SEARCH_HEADER)
		verdict = judge_structure(c, key);
	else if (verdict == VERDICT_OPEN)
		verdict = judge_content(c, key);
	return verdict;
}

/* AND is decided by a no, OR by a yes. */
static enum verdict
judge_children(struct candidate *c, const struct search_key *key, enum verdict decides)
{
	enum verdict verdict = decides == VERDICT_NO ? VERDICT_YES : VERDICT_NO;

	for (const struct search_key *child = key->children; child != NULL; child = child->next) {
		enum verdict one = search_judge(c, child);
		if (one == decides)
			return decides;
		if (one == VERDICT_OPEN)
			verdict = VERDICT_OPEN;
	}
	return verdict;
}

enum verdict
search_judge(struct candidate *c, const struct search_key *key)
{
	enum verdict verdict;

	if (key->kind == SEARCH_AND)
		verdict = judge_children(c, key, VERDICT_NO);
	else if (key->kind == SEARCH_OR)
		verdict = judge_children(c, key, VERDICT_YES);
	else
		verdict = judge_leaf(c, key);
	if (!key->negated || verdict == VERDICT_OPEN)
		return verdict;
	return verdict == VERDICT_YES ? VERDICT_NO : VERDICT_YES;
}
