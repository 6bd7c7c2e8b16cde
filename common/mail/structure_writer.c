/* SPDX-License-Identifier: ISC */
/*
 * Numbers, texts and parts of a stored structure.  Only deliverd and those who make messages ready
 * for APPEND run it, on bytes that anyone may have sent.
 */
#include "common/mail/structure_writer.h"

#include "common/base/ascii.h"
#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/mail/structure_layout.h"
#include "common/mail/utf8.h"

enum { ADDRESS_BYTES = 256 }; /* of the header, per address; what is longer is cut */

/* ---- numbers and texts ---- */

void
writer_keep_fault(struct structure_writer *w, enum fault fault)
{
	if (w->fault == FAULT_OK)
		w->fault = fault;
}

/* Offset from the start of the structure. */
uint32_t
writer_offset(const struct structure_writer *w)
{
	return (uint32_t)buffer_len(w->out);
}

void
writer_add_number(struct structure_writer *w, size_t number)
{
	char bytes[10];
	size_t n = 0;

	for (; number >= 0x80; number >>= 7)
		bytes[n++] = (char)(number | 0x80);
	bytes[n++] = (char)number;
	buffer_add(w->out, bytes, n);
}

/* NULL data is NIL. */
void
writer_add_text(struct structure_writer *w, struct slice text)
{
	struct slice cut = utf8_first(text, w->limits->text);

	if (text.data == NULL) {
		writer_add_number(w, 0);
		return;
	}
	writer_add_number(w, cut.len + 1);
	buffer_add_slice(w->out, cut);
}

static void
add_unfolded(struct structure_writer *w, struct slice value)
{
	struct slice text = {NULL, 0};

	/* Folds need room, but not without end. */
	value = slice_first(value, 2 * w->limits->text);
	if (value.data != NULL)
		writer_keep_fault(w, header_unfold(value, w->arena, &text));
	writer_add_text(w, text);
}

/* Room for the numbers, zeroed: they are put when they are known. */
void
writer_add_zeroes(struct structure_writer *w, size_t len)
{
	void *room = buffer_reserve(w->out, len);

	if (room == NULL)
		return;
	memset(room, 0, len);
	buffer_added(w->out, len);
}

/* The place to put a number; NULL after a fault. */
char *
writer_at(struct structure_writer *w, size_t offset)
{
	if (buffer_fault(w->out) != FAULT_OK)
		return NULL;
	return w->out->data + w->out->start + offset;
}

/* ---- details of a part ---- */

static void
add_parameters(struct structure_writer *w, const struct parameters *parameters)
{
	writer_add_number(w, parameters->count);
	for (size_t i = 0; i < parameters->count; i++) {
		writer_add_text(w, parameters->items[i].name);
		writer_add_text(w, parameters->items[i].value);
	}
}

static bool
is_language_byte(char c)
{
	return ascii_is_graphic(c) && strchr(",;()\"", c) == NULL;
}

static bool
take_language(struct cursor *c, struct slice *language)
{
	for (;;) {
		take_cfws(c);
		if (take_while(c, is_language_byte, language))
			return true;
		char skipped;
		if (!take_any(c, &skipped))
			return false;
	}
}

/* Content-Language (RFC 3282): tags with commas between them. */
static void
add_languages(struct structure_writer *w, struct slice value)
{
	enum { LANGUAGES_MAX = 16 };
	struct slice languages[LANGUAGES_MAX];
	struct cursor c = cursor_of(slice_first(value, w->limits->text));
	size_t count = 0;

	while (count < LANGUAGES_MAX && take_language(&c, &languages[count]))
		count++;
	writer_add_number(w, count);
	for (size_t i = 0; i < count; i++)
		writer_add_text(w, languages[i]);
}

static bool
is_encoding_byte(char c)
{
	return ascii_is_graphic(c) && c != '(' && c != ';';
}

/* The encoding's name without comments; NIL when the field is missing or empty. */
static struct slice
encoding_name(struct slice value)
{
	struct cursor c = cursor_of(value);

	take_cfws(&c);
	struct slice name = take_run(&c, is_encoding_byte);
	return name.len > 0 ? name : slice_make(NULL, 0);
}

static bool
is_signature(const struct mime_part *part)
{
	return slice_equal_nocase(part->type.type, SLICE("application")) &&
		(slice_ends_nocase(part->type.subtype, SLICE("-signature")));
}

static bool
is_attachment(const struct mime_part *part, const struct parameter_value *disposition)
{
	if (part->kind == MIME_MULTIPART)
		return false;
	if (slice_equal_nocase(disposition->type, SLICE("attachment")))
		return true;
	if (slice_equal_nocase(part->type.type, SLICE("text")) || is_signature(part))
		return false;
	/* A picture that the text shows is none. */
	return part->id.data == NULL && !slice_equal_nocase(disposition->type, SLICE("inline"));
}

static void
add_details(struct structure_writer *w, const struct mime_part *part)
{
	struct parameter_value disposition;
	size_t max_parameters = w->limits->text > 1000 ? MIME_PARAMETERS_MAX : 4;
	struct slice value = slice_first(part->disposition, w->limits->text);
	struct parameters parameters = part->type.parameters;

	writer_keep_fault(w, parameter_parse(value, max_parameters, w->arena, &disposition));
	if (parameters.count > max_parameters)
		parameters.count = max_parameters;
	if (is_attachment(part, &disposition))
		w->flags |= FLAG_ATTACHMENT;
	writer_add_text(w, part->type.type);
	writer_add_text(w, part->type.subtype);
	writer_add_text(w, encoding_name(part->encoding));
	add_unfolded(w, part->id);
	add_unfolded(w, part->description);
	add_unfolded(w, part->md5);
	add_unfolded(w, part->location);
	writer_add_text(w, disposition.type.len > 0 ? disposition.type : slice_make(NULL, 0));
	add_languages(w, part->language);
	add_parameters(w, &parameters);
	add_parameters(w, &disposition.parameters);
}

/* ---- envelope ---- */

void
writer_collect_fields(struct slice section, struct header_values *fields)
{
	struct cursor c = cursor_of(section);
	struct header_field field;

	*fields = (struct header_values){.section = section};
	while (take_header_field(&c, &field)) {
		enum header_id id = header_identify(field.name);
		if (fields->values[id].data == NULL)
			fields->values[id] = field.value;
		else
			fields->repeated |= UINT64_C(1) << id;
	}
}

_Static_assert(HEADER_ID_COUNT <= 64, "header_values has a bit per id");

/* Values of one id, with commas between them, as long as they fit into room. */
static size_t
join_values(struct slice section, enum header_id id, char *room, size_t size)
{
	struct cursor c = cursor_of(section);
	struct header_field field;
	size_t len = 0;

	while (take_header_field(&c, &field)) {
		if (header_identify(field.name) != id || field.value.len + 1 > size - len)
			continue;
		memcpy(room + len, field.value.data, field.value.len);
		len += field.value.len;
		room[len++] = ',';
	}
	return len;
}

/* RFC 5322 3.6 allows one field of each name; where there are more, all their addresses count. */
static struct slice
address_value(struct structure_writer *w, const struct header_values *fields, enum header_id id)
{
	size_t size = ADDRESS_BYTES * w->limits->addresses;

	if ((fields->repeated & UINT64_C(1) << id) == 0)
		return slice_first(fields->values[id], size);
	if (size > fields->section.len)
		size = fields->section.len;
	char *room = arena_alloc(w->arena, size);
	if (room == NULL) {
		writer_keep_fault(w, FAULT_BUDGET);
		return slice_make(NULL, 0);
	}
	return slice_make(room, join_values(fields->section, id, room, size));
}

static void
add_addresses(struct structure_writer *w, const struct header_values *fields, enum header_id id)
{
	struct slice value = address_value(w, fields, id);
	struct address_list list = {0};

	if (value.data != NULL)
		writer_keep_fault(
			w, address_list_parse(value, w->limits->addresses, w->arena, &list));
	writer_add_number(w, list.count);
	for (size_t i = 0; i < list.count; i++) {
		writer_add_text(w, list.items[i].name);
		writer_add_text(w, list.items[i].route);
		writer_add_text(w, list.items[i].mailbox);
		writer_add_text(w, list.items[i].host);
	}
}

static void
add_envelope(struct structure_writer *w, const struct header_values *fields)
{
	add_unfolded(w, fields->values[HEADER_DATE]);
	add_unfolded(w, fields->values[HEADER_SUBJECT]);
	add_unfolded(w, fields->values[HEADER_IN_REPLY_TO]);
	add_unfolded(w, fields->values[HEADER_MESSAGE_ID]);
	add_addresses(w, fields, HEADER_FROM);
	add_addresses(w, fields, HEADER_SENDER);
	add_addresses(w, fields, HEADER_REPLY_TO);
	add_addresses(w, fields, HEADER_TO);
	add_addresses(w, fields, HEADER_CC);
	add_addresses(w, fields, HEADER_BCC);
}

struct slice
writer_header(const struct structure_writer *w, const struct mime_part *part)
{
	return slice_first(slice_after(w->message, part->header_offset), part->header_len);
}

void
writer_add_part(struct structure_writer *w, size_t index)
{
	const struct mime_part *part = &w->tree.parts[index];
	uint32_t details = writer_offset(w), envelope = 0;
	struct header_values fields;

	add_details(w, part);
	if (part->is_message) {
		envelope = writer_offset(w);
		writer_collect_fields(writer_header(w, part), &fields);
		add_envelope(w, &fields);
	}
	char *record = writer_at(w, STRUCTURE_HEADER_SIZE + index * PART_SIZE);
	if (record == NULL)
		return;
	put_u16(record + PART_PARENT, part->parent);
	put_u16(record + PART_NEXT, part->next);
	record[PART_KIND] = (char)part->kind;
	put_u32(record + PART_HEADER_OFFSET, (uint32_t)part->header_offset);
	put_u32(record + PART_HEADER_LEN, (uint32_t)part->header_len);
	put_u32(record + PART_BODY_OFFSET, (uint32_t)part->body_offset);
	put_u32(record + PART_BODY_LEN, (uint32_t)part->body_len);
	put_u32(record + PART_LINES, (uint32_t)part->lines);
	put_u32(record + PART_DETAILS, details);
	put_u32(record + PART_ENVELOPE, envelope);
}
