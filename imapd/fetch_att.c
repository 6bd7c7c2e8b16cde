/* SPDX-License-Identifier: ISC */
/* The grammar of FETCH's data items.  Linked by imapd; its bytes come from clients. */
#include "imapd/fetch_att.h"

#include "common/base/ascii.h"

static const struct {
	struct slice name;
	enum fetch_kind kind;
} simple_items[] = {
	{SLICE_LITERAL("FLAGS"), FETCH_FLAGS},
	{SLICE_LITERAL("UID"), FETCH_UID},
	{SLICE_LITERAL("INTERNALDATE"), FETCH_INTERNALDATE},
	{SLICE_LITERAL("RFC822.SIZE"), FETCH_SIZE},
	{SLICE_LITERAL("ENVELOPE"), FETCH_ENVELOPE},
	{SLICE_LITERAL("BODYSTRUCTURE"), FETCH_BODYSTRUCTURE},
};

static const struct {
	struct slice name;
	enum fetch_text text;
	bool sets_seen;
} whole_items[] = {
	{SLICE_LITERAL("RFC822"), FETCH_TEXT_ALL, true},
	{SLICE_LITERAL("RFC822.HEADER"), FETCH_TEXT_HEADER, false},
	{SLICE_LITERAL("RFC822.TEXT"), FETCH_TEXT_TEXT, true},
};

static const struct {
	struct slice name;
	enum fetch_text text;
	bool has_fields;
	bool needs_part; /* MIME names a part */
} texts[] = {
	{SLICE_LITERAL("HEADER.FIELDS.NOT"), FETCH_TEXT_FIELDS_NOT, true, false},
	{SLICE_LITERAL("HEADER.FIELDS"), FETCH_TEXT_FIELDS, true, false},
	{SLICE_LITERAL("HEADER"), FETCH_TEXT_HEADER, false, false},
	{SLICE_LITERAL("TEXT"), FETCH_TEXT_TEXT, false, false},
	{SLICE_LITERAL("MIME"), FETCH_TEXT_MIME, false, true},
};

/* header-list */
static bool
take_header_list(struct cursor *c, struct arena *arena, struct fetch_section *section)
{
	struct cursor probe = *c;
	size_t room = 8;
	size_t count = 0;
	struct slice *fields = arena_array(arena, room, sizeof *fields);

	if (fields == NULL || !take_byte(&probe, '('))
		return false;
	do {
		if (count == room) {
			struct slice *more = arena_array(arena, room * 2, sizeof *more);
			if (more == NULL)
				return false;
			memcpy(more, fields, room * sizeof *more);
			fields = more;
			room *= 2;
		}
		if (!take_astring(&probe, arena, &fields[count]))
			return false;
		count++;
	} while (take_sp(&probe));
	if (!take_byte(&probe, ')'))
		return false;
	section->fields = fields;
	section->field_count = count;
	*c = probe;
	return true;
}

/* section-msgtext, or "MIME" when there are numbers in front */
static bool
take_section_text(struct cursor *c, struct arena *arena, struct fetch_section *section)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct cursor probe = *c;

		if (!take_text_nocase(&probe, texts[i].name))
			continue;
		if (texts[i].needs_part && section->number_count == 0)
			return false;
		if (texts[i].has_fields &&
			(!take_sp(&probe) || !take_header_list(&probe, arena, section)))
			return false;
		section->text = texts[i].text;
		*c = probe;
		return true;
	}
	return false;
}

/* section-part; the dot before a section-text stays. */
static bool
take_section_part(struct cursor *c, struct arena *arena, struct fetch_section *section)
{
	struct cursor probe = *c;
	uint32_t number;

	while (take_nz_number(&probe, &number)) {
		if (section->numbers == NULL)
			section->numbers =
				arena_array(arena, GRAMMAR_SECTION_DEPTH_MAX, sizeof number);
		if (section->numbers == NULL || section->number_count == GRAMMAR_SECTION_DEPTH_MAX)
			return false;
		section->numbers[section->number_count++] = number;
		*c = probe;
		if (!take_byte(&probe, '.'))
			break;
	}
	return true;
}

/* "[" [section-spec] "]" */
static bool
take_section(struct cursor *c, struct arena *arena, struct fetch_section *section)
{
	struct cursor probe = *c;

	if (!take_byte(&probe, '[') || !take_section_part(&probe, arena, section))
		return false;
	bool wants_text =
		section->number_count > 0 ? take_byte(&probe, '.') : peek_byte(&probe) != ']';
	if (wants_text && !take_section_text(&probe, arena, section))
		return false;
	if (!take_byte(&probe, ']'))
		return false;
	*c = probe;
	return true;
}

/* "<" number "." nz-number ">" */
static bool
take_partial(struct cursor *c, struct fetch_att *att)
{
	struct cursor probe = *c;

	if (!take_byte(&probe, '<'))
		return true;
	if (!take_u32(&probe, &att->start) || !take_byte(&probe, '.') ||
		!take_nz_number(&probe, &att->length) || !take_byte(&probe, '>'))
		return false;
	att->is_partial = true;
	*c = probe;
	return true;
}

static bool
is_plain_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && strchr("-_.", name.data[i]) == NULL)
			return false;
	return name.len > 0;
}

/* An astring for the label; what needs a literal is shown without its odd bytes. */
static void
format_field_name(struct slice name, struct buffer *out)
{
	if (is_plain_name(name)) {
		buffer_add_slice(out, name);
		return;
	}
	buffer_add_byte(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		if (c == '"' || c == '\\')
			buffer_add_byte(out, '\\');
		if (!ascii_is_control(c) && !ascii_is_8bit(c))
			buffer_add_byte(out, c);
	}
	buffer_add_byte(out, '"');
}

static void
format_section(const struct fetch_section *section, struct buffer *out)
{
	for (size_t i = 0; i < section->number_count; i++) {
		if (i > 0)
			buffer_add_byte(out, '.');
		buffer_add_u64(out, section->numbers[i]);
	}
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (texts[i].text != section->text)
			continue;
		if (section->number_count > 0)
			buffer_add_byte(out, '.');
		buffer_add_slice(out, texts[i].name);
	}
	for (size_t i = 0; i < section->field_count; i++) {
		buffer_add_text(out, i == 0 ? " (" : " ");
		format_field_name(section->fields[i], out);
	}
	if (section->field_count > 0)
		buffer_add_byte(out, ')');
}

static bool
make_label(struct fetch_att *att, struct arena *arena)
{
	struct buffer text;

	buffer_init(&text, 1024 * 1024);
	buffer_add_text(&text, "BODY[");
	format_section(&att->section, &text);
	buffer_add_byte(&text, ']');
	if (att->is_partial)
		buffer_printf(&text, "<%u>", att->start);
	bool made = buffer_fault(&text) == FAULT_OK &&
		arena_copy(arena, buffer_slice(&text), &att->label);
	buffer_clear(&text);
	return made;
}

/* What follows "BODY" or "BODY.PEEK" when there is a section. */
static bool
take_body_section(struct cursor *c, struct arena *arena, struct fetch_att *att)
{
	struct cursor probe = *c;

	att->kind = FETCH_SECTION;
	if (!take_section(&probe, arena, &att->section) || !take_partial(&probe, att) ||
		!make_label(att, arena))
		return false;
	*c = probe;
	return true;
}

static bool
take_body(struct cursor *c, struct arena *arena, struct fetch_att *att)
{
	struct cursor probe = *c;

	if (!take_text_nocase(&probe, SLICE("BODY")))
		return false;
	bool is_peek = take_text_nocase(&probe, SLICE(".PEEK"));
	att->sets_seen = !is_peek;
	if (peek_byte(&probe) == '[') {
		if (!take_body_section(&probe, arena, att))
			return false;
	} else if (is_peek) {
		return false;
	} else {
		att->kind = FETCH_BODY;
		att->sets_seen = false;
	}
	*c = probe;
	return true;
}

static bool
take_named(struct cursor *c, struct fetch_att *att)
{
	for (size_t i = 0; i < sizeof simple_items / sizeof *simple_items; i++) {
		if (!take_word(c, simple_items[i].name))
			continue;
		att->kind = simple_items[i].kind;
		return true;
	}
	for (size_t i = 0; i < sizeof whole_items / sizeof *whole_items; i++) {
		if (!take_word(c, whole_items[i].name))
			continue;
		att->kind = FETCH_SECTION;
		att->section.text = whole_items[i].text;
		att->sets_seen = whole_items[i].sets_seen;
		att->label = whole_items[i].name;
		return true;
	}
	return false;
}

static bool
take_fetch_att(struct cursor *c, struct arena *arena, struct fetch_att **att)
{
	struct fetch_att *found = arena_alloc(arena, sizeof *found);

	if (found == NULL)
		return false;
	if (!take_named(c, found)) {
		*found = (struct fetch_att){.next = NULL};
		if (!take_body(c, arena, found))
			return false;
	}
	*att = found;
	return true;
}

/* The macros, as the items that they stand for. */
static bool
take_macro(struct cursor *c, struct slice *items)
{
	if (take_word(c, SLICE("ALL")))
		*items = SLICE("(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)");
	else if (take_word(c, SLICE("FAST")))
		*items = SLICE("(FLAGS INTERNALDATE RFC822.SIZE)");
	else if (take_word(c, SLICE("FULL")))
		*items = SLICE("(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)");
	else
		return false;
	return true;
}

static bool
take_att_list(struct cursor *c, struct arena *arena, struct fetch_att **atts)
{
	struct cursor probe = *c;
	struct fetch_att **end = atts;

	if (!take_byte(&probe, '('))
		return false;
	do {
		if (!take_fetch_att(&probe, arena, end))
			return false;
		end = &(*end)->next;
	} while (take_sp(&probe));
	if (!take_byte(&probe, ')'))
		return false;
	*c = probe;
	return true;
}

bool
take_fetch_atts(struct cursor *c, struct arena *arena, struct fetch_att **atts)
{
	struct slice items;

	if (take_macro(c, &items)) {
		struct cursor inner = cursor_of(items);
		return take_att_list(&inner, arena, atts);
	}
	if (peek_byte(c) == '(')
		return take_att_list(c, arena, atts);
	return take_fetch_att(c, arena, atts);
}
