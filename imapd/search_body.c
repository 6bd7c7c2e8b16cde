/* SPDX-License-Identifier: ISC */
/*
 * Texts in bodies: transfer encodings and character sets are decoded (RFC 3501 6.4.4), piece by
 * piece, so that neither a long body nor many of them keep others waiting.  Parts that are no text
 * are left out, which the RFC allows.  Linked by imapd.
 */
#include "common/mail/charset.h"
#include "common/mail/utf8.h"
#include "imapd/search.h"
#include "imapd/section.h"

enum {
	PIECE = 256 * 1024, /* raw bytes looked at in one go */
	EMBEDDED_HEADER_MAX = 1024 * 1024, /* bytes of one that are looked at */
};

/* Looks for all BODY and TEXT texts below key; true when each has been found. */
static bool
find_all(struct search_key *key, struct slice folded)
{
	bool all = true;

	for (struct search_key *child = key->children; child != NULL; child = child->next)
		all &= find_all(child, folded);
	if (key->kind != SEARCH_BODY && key->kind != SEARCH_TEXT)
		return all;
	if (!key->found && slice_find(folded, key->text) < folded.len)
		key->found = true;
	return all && key->found;
}

static void
forget_found(struct search_key *key)
{
	key->found = false;
	for (struct search_key *child = key->children; child != NULL; child = child->next)
		forget_found(child);
}

/* The end of what was looked at stays: a match may go on in the next piece. */
static void
keep_tail(struct imap_search *search)
{
	struct slice folded = buffer_slice(&search->folded);
	size_t keep = search->needle_max > 0 ? search->needle_max - 1 : 0;

	buffer_reset(&search->scan.tail);
	if (folded.len > keep)
		folded = slice_after(folded, folded.len - keep);
	buffer_add_slice(&search->scan.tail, folded);
}

static bool
look_at(struct imap_search *search, struct slice utf8, struct search_key *key)
{
	buffer_reset(&search->folded);
	buffer_add_slice(&search->folded, buffer_slice(&search->scan.tail));
	if (utf8_fold(utf8, &search->folded) != FAULT_OK)
		return false;
	bool all = find_all(key, buffer_slice(&search->folded));
	keep_tail(search);
	return all;
}

static bool
is_text(const struct structure_part *part)
{
	return part->kind == MIME_LEAF && slice_equal_nocase(part->type, SLICE("text"));
}

static struct slice
charset_of(const struct structure_part *part)
{
	struct structure_list parameters = part->parameters;
	struct parameter parameter;

	while (structure_take_parameter(&parameters, &parameter))
		if (slice_equal_nocase(parameter.name, SLICE("charset")))
			return parameter.value;
	return SLICE("");
}

/* Whole lines only, so that no character is cut; all of it at the end, or without line ends. */
static struct slice
whole_lines(struct slice decoded, bool is_last)
{
	size_t at = slice_find_last(decoded, '\n');

	return is_last || at == decoded.len ? decoded : slice_first(decoded, at + 1);
}

/* Decodes, converts and looks at one piece of a part; true when all texts have been found. */
static bool
look_at_piece(struct candidate *c, const struct structure_part *part, struct search_key *key)
{
	struct imap_search *search = c->search;
	struct search_scan *scan = &search->scan;
	uint64_t left = part->body_len - scan->offset;
	struct section_range range = {
		(uint64_t)c->content.prefix_len + part->body_offset + scan->offset,
		left < PIECE ? left : PIECE};
	struct slice raw;

	if (section_read(c->s, &c->content, &range, &raw) != FAULT_OK) {
		scan->offset = part->body_len;
		return false;
	}
	scan->offset += raw.len;
	bool is_last = scan->offset == part->body_len;
	decoder_feed(&scan->decoder, raw, &scan->decoded);
	if (is_last)
		decoder_finish(&scan->decoder, &scan->decoded);
	struct slice ready = whole_lines(buffer_slice(&scan->decoded), is_last);
	buffer_reset(&search->text);
	(void)!charset_to_utf8_lossy(charset_of(part), ready, &search->text);
	bool all = look_at(search, buffer_slice(&search->text), key);
	buffer_consume(&scan->decoded, ready.len);
	return all;
}

/* The header of a message in the message belongs to the body. */
static bool
look_at_header(struct candidate *c, const struct structure_part *part, struct search_key *key)
{
	struct section_range range = {(uint64_t)c->content.prefix_len + part->header_offset,
		part->header_len < EMBEDDED_HEADER_MAX ? part->header_len : EMBEDDED_HEADER_MAX};
	struct slice header;

	if (section_read(c->s, &c->content, &range, &header) != FAULT_OK)
		return false;
	buffer_reset(&c->search->text);
	search_header_text(header, &c->search->text);
	buffer_reset(&c->search->scan.tail);
	return look_at(c->search, buffer_slice(&c->search->text), key);
}

static void
begin_part(struct search_scan *scan, uint32_t index)
{
	scan->part = index;
	scan->offset = 0;
	buffer_reset(&scan->decoded);
	buffer_reset(&scan->tail);
}

static void
begin_scan(struct candidate *c, struct search_key *key)
{
	forget_found(key);
	begin_part(&c->search->scan, 0);
	c->search->scan.uid = c->message->uid;
}

enum part_end { PART_DONE, PART_ALL_FOUND, PART_LATER };

static enum part_end
look_at_part(struct candidate *c, const struct structure_part *part, struct search_key *key)
{
	struct search_scan *scan = &c->search->scan;

	if (scan->offset == 0) {
		if (part->is_message && part->index > 0 && look_at_header(c, part, key))
			return PART_ALL_FOUND;
		decoder_init(&scan->decoder, encoding_parse(part->encoding));
		buffer_reset(&scan->tail);
	}
	if (!is_text(part))
		return PART_DONE;
	while (scan->offset < part->body_len) {
		if (look_at_piece(c, part, key))
			return PART_ALL_FOUND;
		if (scan->offset < part->body_len && session_must_yield(c->s))
			return PART_LATER;
	}
	return PART_DONE;
}

bool
search_body(struct candidate *c, struct search_key *key)
{
	struct search_scan *scan = &c->search->scan;
	struct structure_part part;

	if (scan->uid != c->message->uid)
		begin_scan(c, key);
	while (structure_get_part(&c->structure, scan->part, &part)) {
		enum part_end end = look_at_part(c, &part, key);
		if (end == PART_LATER)
			return false;
		if (end == PART_ALL_FOUND)
			break;
		begin_part(scan, scan->part + 1);
	}
	scan->uid = 0;
	return true;
}
