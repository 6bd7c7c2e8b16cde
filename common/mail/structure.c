/* SPDX-License-Identifier: ISC */
/*
 * Reading the stored structure.  Linked by imapd and pop3d, which map the store and cannot trust a
 * damaged disk: whatever the bytes are, nothing outside them is read.  structure_open() runs the
 * same accessors over everything that readers use later.
 */
#include "common/mail/structure.h"

#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/mail/structure_layout.h"

/* ---- numbers and texts ---- */

/* LEB128 of at most 32 bits. */
static bool
take_number(struct cursor *c, uint32_t *number)
{
	struct cursor probe = *c;
	uint32_t value = 0;
	char byte;

	/* Nearly all numbers: texts are short. */
	if (c->rest.len > 0 && (c->rest.data[0] & 0x80) == 0) {
		*number = (uint8_t)c->rest.data[0];
		c->rest = slice_after(c->rest, 1);
		return true;
	}
	for (unsigned shift = 0; shift < 35 && take_any(&probe, &byte); shift += 7) {
		uint32_t bits = (uint8_t)byte & 0x7fU;
		if (shift == 28 && bits > 15)
			return false;
		value |= bits << shift;
		if (((uint8_t)byte & 0x80) == 0) {
			*number = value;
			*c = probe;
			return true;
		}
	}
	return false;
}

/* Length + 1 and the bytes; 0 is NIL. */
static bool
take_nstring(struct cursor *c, struct slice *text)
{
	struct cursor probe = *c;
	uint32_t number;

	if (!take_number(&probe, &number) || (number > 0 && number - 1 > probe.rest.len))
		return false;
	*text = number > 0 ? slice_first(probe.rest, number - 1) : slice_make(NULL, 0);
	c->rest = slice_after(probe.rest, text->len);
	return true;
}

/* A list is its count and count times per texts; *list begins at the first. */
static bool
take_list(struct cursor *c, unsigned per, struct structure_list *list)
{
	struct cursor probe = *c;
	struct slice skipped;
	uint32_t count;

	if (!take_number(&probe, &count))
		return false;
	struct structure_list found = {probe.rest, count};
	for (uint64_t i = 0; i < (uint64_t)count * per; i++) {
		if (!take_nstring(&probe, &skipped))
			return false;
	}
	*list = found;
	*c = probe;
	return true;
}

/* One entry of a list: per texts. */
static bool
take_entry(struct structure_list *list, struct slice *texts, unsigned per)
{
	struct cursor c = cursor_of(list->rest);

	if (list->count == 0)
		return false;
	for (unsigned i = 0; i < per; i++) {
		if (!take_nstring(&c, &texts[i]))
			return false;
	}
	list->rest = c.rest;
	list->count--;
	return true;
}

bool
structure_take_text(struct structure_list *list, struct slice *text)
{
	struct slice taken;

	if (!take_entry(list, &taken, 1))
		return false;
	*text = taken;
	return true;
}

bool
structure_take_parameter(struct structure_list *list, struct parameter *parameter)
{
	struct slice taken[2];

	if (!take_entry(list, taken, 2))
		return false;
	*parameter = (struct parameter){taken[0], taken[1]};
	return true;
}

bool
structure_take_address(struct structure_list *list, struct list_address *address)
{
	struct slice taken[4];

	if (!take_entry(list, taken, 4))
		return false;
	*address = (struct list_address){taken[0], taken[1], taken[2], taken[3]};
	return true;
}

bool
structure_take_field(struct structure_list *list, uint32_t *offset, struct structure_field *field)
{
	struct cursor c = cursor_of(list->rest);
	uint32_t len;
	char id;

	if (list->count == 0 || !take_any(&c, &id) || !take_number(&c, &len) ||
		len > UINT32_MAX - *offset)
		return false;
	/* An id that a newer program added is a field like others. */
	bool is_known = (uint8_t)id < HEADER_ID_COUNT;
	*field = (struct structure_field){
		is_known ? (enum header_id)(uint8_t)id : HEADER_OTHER, *offset, len};
	*offset += len;
	list->rest = c.rest;
	list->count--;
	return true;
}

/* ---- parts ---- */

static struct cursor
cursor_at(const struct structure *s, uint32_t offset)
{
	return cursor_of(slice_after(s->bytes, offset));
}

/* The record, or NULL; s->part_count is known to fit the bytes. */
static const char *
record_of(const struct structure *s, uint32_t index)
{
	if (index >= s->part_count)
		return NULL;
	return s->bytes.data + STRUCTURE_HEADER_SIZE + (size_t)index * PART_SIZE;
}

static bool
read_details(const struct structure *s, uint32_t offset, struct structure_part *part)
{
	struct cursor c = cursor_at(s, offset);

	return take_nstring(&c, &part->type) && take_nstring(&c, &part->subtype) &&
		take_nstring(&c, &part->encoding) && take_nstring(&c, &part->id) &&
		take_nstring(&c, &part->description) && take_nstring(&c, &part->md5) &&
		take_nstring(&c, &part->location) && take_nstring(&c, &part->disposition) &&
		take_list(&c, 1, &part->languages) && take_list(&c, 2, &part->parameters) &&
		take_list(&c, 2, &part->disposition_parameters);
}

bool
structure_get_part(const struct structure *s, uint32_t index, struct structure_part *part)
{
	const char *record = record_of(s, index);

	if (record == NULL || (uint8_t)record[PART_KIND] > MIME_MESSAGE)
		return false;
	struct structure_part found = {
		.index = (uint16_t)index,
		.parent = get_u16(record + PART_PARENT),
		.next = get_u16(record + PART_NEXT),
		.kind = (enum mime_kind)(uint8_t)record[PART_KIND],
		.is_message = get_u32(record + PART_ENVELOPE) != 0,
		.header_offset = get_u32(record + PART_HEADER_OFFSET),
		.header_len = get_u32(record + PART_HEADER_LEN),
		.body_offset = get_u32(record + PART_BODY_OFFSET),
		.body_len = get_u32(record + PART_BODY_LEN),
		.lines = get_u32(record + PART_LINES),
	};
	if (!read_details(s, get_u32(record + PART_DETAILS), &found))
		return false;
	*part = found;
	return true;
}

bool
structure_get_envelope(const struct structure *s, uint32_t index, struct structure_envelope *e)
{
	const char *record = record_of(s, index);
	struct structure_envelope found;

	if (record == NULL || get_u32(record + PART_ENVELOPE) == 0)
		return false;
	struct cursor c = cursor_at(s, get_u32(record + PART_ENVELOPE));
	if (!take_nstring(&c, &found.date) || !take_nstring(&c, &found.subject) ||
		!take_nstring(&c, &found.in_reply_to) || !take_nstring(&c, &found.message_id) ||
		!take_list(&c, 4, &found.from) || !take_list(&c, 4, &found.sender) ||
		!take_list(&c, 4, &found.reply_to) || !take_list(&c, 4, &found.to) ||
		!take_list(&c, 4, &found.cc) || !take_list(&c, 4, &found.bcc))
		return false;
	*e = found;
	return true;
}

/* ---- opening ---- */

static bool
is_inside(const struct structure *s, uint32_t offset, uint32_t len)
{
	return offset <= s->size && len <= s->size - offset;
}

/* The tree is in pre-order and every range lies in the message. */
static bool
check_part(const struct structure *s, uint32_t index)
{
	struct structure_part part;
	struct structure_envelope envelope;

	if (!structure_get_part(s, index, &part))
		return false;
	if (!is_inside(s, part.header_offset, part.header_len) ||
		!is_inside(s, part.body_offset, part.body_len))
		return false;
	if (part.next <= index || part.next > s->part_count ||
		(part.kind == MIME_LEAF && part.next != index + 1))
		return false;
	if (part.is_message && !structure_get_envelope(s, index, &envelope))
		return false;
	if (index == 0)
		return part.parent == 0 && part.next == s->part_count && part.is_message;
	/* The parent is before, and this part is among its descendants. */
	const char *parent = record_of(s, part.parent);
	return part.parent < index && part.next <= get_u16(parent + PART_NEXT);
}

/* An inner message is one child, with an envelope; only it has one. */
static bool
check_children(const struct structure *s, uint32_t index)
{
	const char *record = record_of(s, index);
	uint32_t next = get_u16(record + PART_NEXT);
	bool is_message = record[PART_KIND] == MIME_MESSAGE;

	if (is_message &&
		(index + 1 >= next || get_u16(record_of(s, index + 1) + PART_NEXT) != next))
		return false;
	for (uint32_t child = index + 1; child < next;) {
		const char *child_record = record_of(s, child);
		if (get_u16(child_record + PART_PARENT) != index ||
			(get_u32(child_record + PART_ENVELOPE) != 0) != is_message)
			return false;
		child = get_u16(child_record + PART_NEXT);
	}
	return true;
}

/* Readers recurse: the tree is no deeper than the parser makes it. */
static bool
check_depth(const struct structure *s)
{
	uint32_t ends[MIME_DEPTH_MAX];
	size_t depth = 0;

	for (uint32_t i = 0; i < s->part_count; i++) {
		while (depth > 0 && ends[depth - 1] <= i)
			depth--;
		if (depth == MIME_DEPTH_MAX)
			return false;
		ends[depth++] = get_u16(record_of(s, i) + PART_NEXT);
	}
	return true;
}

static bool
check_parts(const struct structure *s)
{
	/* First all records, so that their next can be relied on; then each child, by its parent.
	 */
	for (uint32_t i = 0; i < s->part_count; i++) {
		if (!check_part(s, i))
			return false;
	}
	for (uint32_t i = 0; i < s->part_count; i++) {
		if (!check_children(s, i))
			return false;
	}
	return check_depth(s);
}

static bool
check_lists(const struct structure *s)
{
	struct structure_list fields = s->fields;
	struct cursor references = cursor_of(s->references.rest);
	struct structure_field field;
	struct slice skipped;
	uint32_t offset = 0;

	for (uint32_t i = 0; i < s->fields.count; i++) {
		if (!structure_take_field(&fields, &offset, &field))
			return false;
	}
	for (uint32_t i = 0; i < s->references.count; i++) {
		if (!take_nstring(&references, &skipped) || skipped.data == NULL)
			return false;
	}
	return offset <= s->header_len;
}

/* The fixed header and what it points to. */
static bool
read_header(struct slice bytes, struct structure *s)
{
	const char *at = bytes.data;
	uint16_t flags = get_u16(at + AT_FLAGS);

	*s = (struct structure){
		.bytes = bytes,
		.part_count = get_u32(at + AT_PART_COUNT),
		.size = get_u32(at + AT_SIZE),
		.has_sent = (flags & FLAG_SENT) != 0,
		.has_attachment = (flags & FLAG_ATTACHMENT) != 0,
		.is_indexed = (flags & FLAG_INDEXED) != 0,
		.sent = {(int64_t)get_u64(at + AT_SENT), (int16_t)get_u16(at + AT_SENT_ZONE)},
		.fields = {slice_after(bytes, get_u32(at + AT_FIELDS)),
			get_u32(at + AT_FIELD_COUNT)},
		.references = {slice_after(bytes, get_u32(at + AT_REFERENCES)),
			get_u32(at + AT_REFERENCE_COUNT)},
	};
	struct cursor preview = cursor_of(slice_after(bytes, get_u32(at + AT_PREVIEW)));
	if (s->part_count == 0 || s->part_count > MIME_PARTS_MAX ||
		s->part_count > (bytes.len - STRUCTURE_HEADER_SIZE) / PART_SIZE)
		return false;
	s->header_len = get_u32(record_of(s, 0) + PART_HEADER_LEN);
	return take_nstring(&preview, &s->preview) && s->preview.len <= STRUCTURE_PREVIEW_MAX;
}

enum fault
structure_open(struct slice bytes, struct structure *s)
{
	struct structure opened;

	if (bytes.len < STRUCTURE_HEADER_SIZE || get_u32(bytes.data + AT_MAGIC) != STRUCTURE_MAGIC)
		return FAULT_DAMAGED;
	if (get_u16(bytes.data + AT_VERSION) > STRUCTURE_VERSION)
		return FAULT_UNSUPPORTED;
	if (get_u32(bytes.data + AT_TOTAL) != bytes.len || !read_header(bytes, &opened) ||
		!check_parts(&opened) || !check_lists(&opened))
		return FAULT_DAMAGED;
	*s = opened;
	return FAULT_OK;
}

/* ---- IMAP part numbers ---- */

/* The child of that number, from 1. */
static uint16_t
nth_child(const struct structure *s, const struct structure_part *parent, uint32_t number)
{
	struct structure_part child;
	uint32_t index = parent->index + 1U;

	while (index < parent->next && structure_get_part(s, index, &child)) {
		if (--number == 0)
			return (uint16_t)index;
		/* Forward always, even when the bytes have changed since they were opened. */
		index = child.next > index ? child.next : s->part_count;
	}
	return STRUCTURE_NO_PART;
}

/*
 * Where a path of numbers stands.  A message that is no multipart has one part, its body, and so
 * has a multipart in which no part was found: the same part, but its own number is used up.
 */
struct step {
	uint16_t index;
	enum { STEP_MESSAGE, STEP_PART, STEP_BODY } as;
};

static bool
step_down(const struct structure *s, struct step *step, uint32_t number)
{
	struct structure_part part;

	if (number == 0 || !structure_get_part(s, step->index, &part))
		return false;
	if (step->as != STEP_MESSAGE && part.kind == MIME_MESSAGE) {
		/* The parts of a message/rfc822 are those of the message in it. */
		step->as = STEP_MESSAGE;
		if (!structure_get_part(s, part.index + 1U, &part))
			return false;
	}
	if (part.kind == MIME_MULTIPART && part.next > part.index + 1U) {
		*step = (struct step){nth_child(s, &part, number), STEP_PART};
		return step->index != STRUCTURE_NO_PART;
	}
	bool has_own =
		step->as == STEP_MESSAGE || (step->as == STEP_PART && part.kind == MIME_MULTIPART);
	*step = (struct step){part.index, STEP_BODY};
	return has_own && number == 1;
}

uint16_t
structure_find_part(const struct structure *s, const uint32_t *numbers, size_t count)
{
	struct step step = {0, STEP_MESSAGE};

	for (size_t i = 0; i < count; i++) {
		if (!step_down(s, &step, numbers[i]))
			return STRUCTURE_NO_PART;
	}
	return step.index;
}

/* The part whose header and body HEADER and TEXT mean: the message, or the one in a part. */
static bool
find_message(const struct structure *s, size_t depth, struct structure_part *part)
{
	if (depth == 0)
		return true;
	return part->kind == MIME_MESSAGE && structure_get_part(s, part->index + 1U, part);
}

bool
structure_find_range(const struct structure *s, const struct structure_section *section,
	struct structure_range *range)
{
	uint16_t index = structure_find_part(s, section->numbers, section->count);
	struct structure_part part;

	if (index == STRUCTURE_NO_PART || !structure_get_part(s, index, &part))
		return false;
	switch (section->text) {
	case STRUCTURE_ALL:
		*range = (struct structure_range){part.body_offset, part.body_len};
		if (section->count == 0)
			*range = (struct structure_range){0, s->size};
		return true;
	case STRUCTURE_MIME:
		*range = (struct structure_range){part.header_offset, part.header_len};
		return section->count > 0;
	case STRUCTURE_HEADER:
		if (!find_message(s, section->count, &part))
			return false;
		*range = (struct structure_range){part.header_offset, part.header_len};
		return true;
	case STRUCTURE_TEXT:
		if (!find_message(s, section->count, &part))
			return false;
		*range = (struct structure_range){part.body_offset, part.body_len};
		return true;
	}
	return false;
}
