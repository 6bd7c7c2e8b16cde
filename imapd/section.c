/* SPDX-License-Identifier: ISC */
/* Sections of messages.  Linked by imapd. */
#include "imapd/section.h"

#include "common/mail/header.h"

bool
section_needs_structure(const struct fetch_section *section)
{
	return section->number_count > 0 || section->text != FETCH_TEXT_ALL;
}

static enum structure_text
structure_text_of(enum fetch_text text)
{
	switch (text) {
	case FETCH_TEXT_ALL:
		return STRUCTURE_ALL;
	case FETCH_TEXT_HEADER:
	case FETCH_TEXT_FIELDS:
	case FETCH_TEXT_FIELDS_NOT:
		return STRUCTURE_HEADER;
	case FETCH_TEXT_TEXT:
		return STRUCTURE_TEXT;
	case FETCH_TEXT_MIME:
		return STRUCTURE_MIME;
	}
	return STRUCTURE_ALL;
}

bool
section_find(const struct fetch_section *section, const struct structure *structure,
	const struct store_content *content, struct section_range *range)
{
	struct structure_section wanted = {
		section->numbers, section->number_count, structure_text_of(section->text)};
	struct structure_range found;
	uint64_t size = store_content_size(content);

	if (!section_needs_structure(section)) {
		*range = (struct section_range){0, size};
		return true;
	}
	if (!structure_find_range(structure, &wanted, &found))
		return false;
	*range = (struct section_range){(uint64_t)content->prefix_len + found.offset, found.len};
	if (section->number_count == 0 && wanted.text == STRUCTURE_HEADER)
		*range = (struct section_range){0, (uint64_t)content->prefix_len + found.len};
	/* A structure that does not fit its body is damaged; never read beyond the end. */
	return range->offset <= size && range->len <= size - range->offset;
}

enum fault
section_read(struct imap_session *s, const struct store_content *content,
	const struct section_range *range, struct slice *text)
{
	char *at = arena_alloc(&s->core->piece, (size_t)range->len);

	if (at == NULL)
		return FAULT_BUDGET;
	*text = slice_make(at, (size_t)range->len);
	if (range->len == 0)
		return FAULT_OK;
	return reader_read(s->core->reader, content, range->offset,
		(struct body_span){at, (size_t)range->len});
}

static bool
names_field(const struct fetch_section *section, struct slice name)
{
	for (size_t i = 0; i < section->field_count; i++)
		if (slice_equal_nocase(section->fields[i], name))
			return true;
	return false;
}

enum fault
section_read_fields(struct imap_session *s, const struct store_content *content,
	const struct section_fields *what, struct slice *text)
{
	const struct fetch_section *section = &what->att->section;
	bool wants_named = section->text == FETCH_TEXT_FIELDS;
	struct section_range range = what->header;
	struct slice header;

	if (range.len > SECTION_HEADER_MAX)
		range.len = SECTION_HEADER_MAX;
	enum fault fault = section_read(s, content, &range, &header);

	if (fault != FAULT_OK)
		return fault;
	char *kept = arena_alloc(&s->core->piece, header.len);
	if (kept == NULL)
		return FAULT_BUDGET;
	struct cursor c = cursor_of(header);
	struct header_field field;
	size_t len = 0;
	while (take_header_field(&c, &field)) {
		bool is_named = field.name.len > 0 && names_field(section, field.name);
		if (is_named != wants_named)
			continue;
		memcpy(kept + len, field.whole.data, field.whole.len);
		len += field.whole.len;
	}
	/* The empty line belongs to every header, if the message has one. */
	if (c.rest.len > 0)
		memcpy(kept + len, c.rest.data, c.rest.len);
	*text = slice_make(kept, len + c.rest.len);
	return FAULT_OK;
}
