/* SPDX-License-Identifier: ISC */
/*
 * Writing the stored structure.  Only deliverd runs it, once per message, on bytes that anyone may
 * have sent.  The fixed parts are reserved first and filled in when their texts have their place.
 */
#include "common/base/ascii.h"
#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/mail/body_text.h"
#include "common/mail/message_id.h"
#include "common/mail/structure.h"
#include "common/mail/structure_layout.h"
#include "common/mail/utf8.h"

const struct structure_limits structure_limits_default = {
	.mime = {MIME_DEPTH_MAX, MIME_PARTS_MAX},
	.addresses = 1000,
	.references = 200,
	.fields = 1000,
	.text = 8192,
	.total = 256 * 1024,
};

/* Tried one after the other when the caller's limits give too much; the last fits every message. */
static const struct structure_limits narrower[] = {
	{
		.mime = {MIME_DEPTH_MAX, 500},
		.addresses = 100,
		.references = 50,
		.fields = 1000,
		.text = 1000,
	},
	{
		.mime = {1, 1},
		.addresses = 20,
		.references = 10,
		.fields = 500,
		.text = 200,
	},
};

enum { ADDRESS_BYTES = 256 }; /* of the header, per address; what is longer is cut */

struct builder {
	struct slice message;
	const struct structure_limits *limits;
	struct arena *arena;
	struct buffer *out; /* of its own: offsets count from its start */
	struct mime_tree tree;
	uint16_t flags;
	enum fault fault; /* of the arena; the buffer keeps its own */
};

/* ---- numbers and texts ---- */

static void
keep_fault(struct builder *b, enum fault fault)
{
	if (b->fault == FAULT_OK)
		b->fault = fault;
}

/* Offset from the start of the structure. */
static uint32_t
here(const struct builder *b)
{
	return (uint32_t)buffer_len(b->out);
}

static void
add_number(struct builder *b, size_t number)
{
	char bytes[10];
	size_t n = 0;

	for (; number >= 0x80; number >>= 7)
		bytes[n++] = (char)(number | 0x80);
	bytes[n++] = (char)number;
	buffer_add(b->out, bytes, n);
}

/* NULL data is NIL. */
static void
add_text(struct builder *b, struct slice text)
{
	struct slice cut = utf8_first(text, b->limits->text);

	if (text.data == NULL) {
		add_number(b, 0);
		return;
	}
	add_number(b, cut.len + 1);
	buffer_add_slice(b->out, cut);
}

static void
add_unfolded(struct builder *b, struct slice value)
{
	struct slice text = {NULL, 0};

	/* Folds need room, but not without end. */
	value = slice_first(value, 2 * b->limits->text);
	if (value.data != NULL)
		keep_fault(b, header_unfold(value, b->arena, &text));
	add_text(b, text);
}

/* Room for the numbers, zeroed: they are put when they are known. */
static void
add_zeroes(struct builder *b, size_t len)
{
	void *room = buffer_reserve(b->out, len);

	if (room == NULL)
		return;
	memset(room, 0, len);
	buffer_added(b->out, len);
}

/* The place to put a number; NULL after a fault. */
static char *
at_offset(struct builder *b, size_t offset)
{
	if (buffer_fault(b->out) != FAULT_OK)
		return NULL;
	return b->out->data + b->out->start + offset;
}

/* ---- details of a part ---- */

static void
add_parameters(struct builder *b, const struct parameters *parameters)
{
	add_number(b, parameters->count);
	for (size_t i = 0; i < parameters->count; i++) {
		add_text(b, parameters->items[i].name);
		add_text(b, parameters->items[i].value);
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
add_languages(struct builder *b, struct slice value)
{
	enum { LANGUAGES_MAX = 16 };
	struct slice languages[LANGUAGES_MAX];
	struct cursor c = cursor_of(slice_first(value, b->limits->text));
	size_t count = 0;

	while (count < LANGUAGES_MAX && take_language(&c, &languages[count]))
		count++;
	add_number(b, count);
	for (size_t i = 0; i < count; i++)
		add_text(b, languages[i]);
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
add_details(struct builder *b, const struct mime_part *part)
{
	struct parameter_value disposition;
	size_t max_parameters = b->limits->text > 1000 ? MIME_PARAMETERS_MAX : 4;
	struct slice value = slice_first(part->disposition, b->limits->text);
	struct parameters parameters = part->type.parameters;

	keep_fault(b, parameter_parse(value, max_parameters, b->arena, &disposition));
	if (parameters.count > max_parameters)
		parameters.count = max_parameters;
	if (is_attachment(part, &disposition))
		b->flags |= FLAG_ATTACHMENT;
	add_text(b, part->type.type);
	add_text(b, part->type.subtype);
	add_text(b, encoding_name(part->encoding));
	add_unfolded(b, part->id);
	add_unfolded(b, part->description);
	add_unfolded(b, part->md5);
	add_unfolded(b, part->location);
	add_text(b, disposition.type.len > 0 ? disposition.type : slice_make(NULL, 0));
	add_languages(b, part->language);
	add_parameters(b, &parameters);
	add_parameters(b, &disposition.parameters);
}

/* ---- envelope ---- */

/* First values, by id; the first field of a name counts. */
struct fields {
	struct slice values[HEADER_ID_COUNT];
};

static void
collect_fields(struct slice section, struct fields *fields)
{
	struct cursor c = cursor_of(section);
	struct header_field field;

	*fields = (struct fields){0};
	while (take_header_field(&c, &field)) {
		enum header_id id = header_identify(field.name);
		if (fields->values[id].data == NULL)
			fields->values[id] = field.value;
	}
}

static void
add_addresses(struct builder *b, struct slice value)
{
	struct address_list list = {0};

	value = slice_first(value, ADDRESS_BYTES * b->limits->addresses);
	if (value.data != NULL)
		keep_fault(b, address_list_parse(value, b->limits->addresses, b->arena, &list));
	add_number(b, list.count);
	for (size_t i = 0; i < list.count; i++) {
		add_text(b, list.items[i].name);
		add_text(b, list.items[i].route);
		add_text(b, list.items[i].mailbox);
		add_text(b, list.items[i].host);
	}
}

static void
add_envelope(struct builder *b, const struct fields *fields)
{
	add_unfolded(b, fields->values[HEADER_DATE]);
	add_unfolded(b, fields->values[HEADER_SUBJECT]);
	add_unfolded(b, fields->values[HEADER_IN_REPLY_TO]);
	add_unfolded(b, fields->values[HEADER_MESSAGE_ID]);
	add_addresses(b, fields->values[HEADER_FROM]);
	add_addresses(b, fields->values[HEADER_SENDER]);
	add_addresses(b, fields->values[HEADER_REPLY_TO]);
	add_addresses(b, fields->values[HEADER_TO]);
	add_addresses(b, fields->values[HEADER_CC]);
	add_addresses(b, fields->values[HEADER_BCC]);
}

static struct slice
header_of(const struct builder *b, const struct mime_part *part)
{
	return slice_first(slice_after(b->message, part->header_offset), part->header_len);
}

static void
add_part(struct builder *b, size_t index)
{
	const struct mime_part *part = &b->tree.parts[index];
	uint32_t details = here(b), envelope = 0;
	struct fields fields;

	add_details(b, part);
	if (part->is_message) {
		envelope = here(b);
		collect_fields(header_of(b, part), &fields);
		add_envelope(b, &fields);
	}
	char *record = at_offset(b, STRUCTURE_HEADER_SIZE + index * PART_SIZE);
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

/* ---- what only the whole message has ---- */

/* Id and length of every field of the top header, in order. */
static uint32_t
add_field_index(struct builder *b)
{
	struct cursor c = cursor_of(header_of(b, &b->tree.parts[0]));
	struct header_field field;
	uint32_t count = 0;

	while (count < b->limits->fields && take_header_field(&c, &field)) {
		buffer_add_byte(b->out, (char)header_identify(field.name));
		add_number(b, field.whole.len);
		count++;
	}
	if (!take_header_field(&c, &field))
		b->flags |= FLAG_INDEXED;
	return count;
}

static uint32_t
count_ids(struct slice value)
{
	struct cursor c = cursor_of(value);
	struct slice id;
	uint32_t count = 0;

	while (take_message_id(&c, &id))
		count++;
	return count;
}

/*
 * Of References, or when that has none, the first of In-Reply-To (RFC 5256 3, step 1).  Of too
 * many, the last, which are the nearest, are kept.
 */
static uint32_t
add_references(struct builder *b, const struct fields *fields)
{
	struct slice value = fields->values[HEADER_REFERENCES];
	uint32_t count = count_ids(value), most = (uint32_t)b->limits->references;
	struct slice id;

	if (count == 0) {
		value = fields->values[HEADER_IN_REPLY_TO];
		count = most = count_ids(value) > 0 ? 1 : 0;
	}
	struct cursor c = cursor_of(value);
	uint32_t skip = count > most ? count - most : 0, added = 0;
	for (uint32_t i = 0; i < count && take_message_id(&c, &id); i++) {
		if (i < skip)
			continue;
		add_text(b, id);
		added++;
	}
	return added;
}

/* Where the words of a message are: its first text/plain, else its first text/html. */
static const struct mime_part *
find_text(const struct builder *b)
{
	const struct mime_part *html = NULL;

	for (size_t i = 0; i < b->tree.count; i++) {
		const struct mime_part *part = &b->tree.parts[i];
		if (part->kind != MIME_LEAF || part->body_len == 0 ||
			slice_starts_nocase(slice_trim(part->disposition), SLICE("attachment")))
			continue;
		if (mime_type_is(part, SLICE("text"), SLICE("plain")))
			return part;
		if (html == NULL && mime_type_is(part, SLICE("text"), SLICE("html")))
			html = part;
	}
	return html;
}

static void
add_preview(struct builder *b)
{
	const struct mime_part *part = find_text(b);
	struct buffer preview;

	buffer_init(&preview, STRUCTURE_PREVIEW_MAX);
	if (part != NULL) {
		struct body_text text = {
			.bytes = slice_first(
				slice_after(b->message, part->body_offset), part->body_len),
			.encoding = encoding_parse(part->encoding),
			.is_html = slice_equal_nocase(part->type.subtype, SLICE("html")),
		};
		parameter_find(&part->type.parameters, SLICE("charset"), &text.charset);
		enum fault fault = body_text_preview(&text, STRUCTURE_PREVIEW_MAX, &preview);
		/* Text that does not fit the preview's own buffers has no preview. */
		if (fault != FAULT_OK && fault != FAULT_BUDGET)
			keep_fault(b, fault);
	}
	struct slice text = buffer_slice(&preview);
	add_text(b, text.data != NULL ? text : SLICE(""));
	buffer_clear(&preview);
}

static void
put_sent(struct builder *b, struct slice value)
{
	struct date date;

	if (value.data == NULL || date_parse(value, &date) != FAULT_OK)
		return;
	char *header = at_offset(b, 0);
	if (header == NULL)
		return;
	b->flags |= FLAG_SENT;
	put_u64(header + AT_SENT, (uint64_t)date.seconds);
	put_u16(header + AT_SENT_ZONE, (uint16_t)date.zone_minutes);
}

static void
add_top(struct builder *b)
{
	struct fields fields;

	collect_fields(header_of(b, &b->tree.parts[0]), &fields);
	uint32_t fields_at = here(b), field_count = add_field_index(b);
	uint32_t references_at = here(b), reference_count = add_references(b, &fields);
	uint32_t preview_at = here(b);
	add_preview(b);
	put_sent(b, fields.values[HEADER_DATE]);
	char *header = at_offset(b, 0);
	if (header == NULL)
		return;
	put_u32(header + AT_FIELDS, fields_at);
	put_u32(header + AT_FIELD_COUNT, field_count);
	put_u32(header + AT_REFERENCES, references_at);
	put_u32(header + AT_REFERENCE_COUNT, reference_count);
	put_u32(header + AT_PREVIEW, preview_at);
}

static void
put_header(struct builder *b)
{
	char *header = at_offset(b, 0);

	if (header == NULL)
		return;
	put_u32(header + AT_MAGIC, STRUCTURE_MAGIC);
	put_u16(header + AT_VERSION, STRUCTURE_VERSION);
	put_u16(header + AT_FLAGS, b->flags);
	put_u32(header + AT_TOTAL, here(b));
	put_u32(header + AT_PART_COUNT, (uint32_t)b->tree.count);
	put_u32(header + AT_SIZE, (uint32_t)b->message.len);
}

/* ---- all ---- */

static enum fault
build(struct builder *b)
{
	enum fault fault = mime_parse(b->message, &b->limits->mime, b->arena, &b->tree);

	if (fault != FAULT_OK)
		return fault;
	add_zeroes(b, STRUCTURE_HEADER_SIZE + b->tree.count * PART_SIZE);
	for (size_t i = 0; i < b->tree.count && b->fault == FAULT_OK; i++) {
		if (buffer_fault(b->out) != FAULT_OK)
			break;
		add_part(b, i);
	}
	add_top(b);
	put_header(b);
	return b->fault != FAULT_OK ? b->fault : buffer_fault(b->out);
}

/* FAULT_BUDGET: scratch or total are too small for these limits. */
static enum fault
build_within(struct slice message, const struct structure_limits *limits, struct arena *scratch,
	struct buffer *structure)
{
	struct builder b = {
		.message = message,
		.limits = limits,
		.arena = scratch,
		.out = structure,
	};

	buffer_reset(structure);
	return build(&b);
}

enum fault
structure_build(struct slice message, const struct structure_limits *limits, struct arena *scratch,
	struct buffer *out)
{
	struct buffer structure;

	buffer_init(&structure, limits->total);
	enum fault fault = build_within(message, limits, scratch, &structure);
	for (size_t i = 0; fault == FAULT_BUDGET && i < sizeof narrower / sizeof narrower[0]; i++) {
		arena_clear(scratch);
		fault = build_within(message, &narrower[i], scratch, &structure);
	}
	if (fault == FAULT_OK) {
		buffer_add_slice(out, buffer_slice(&structure));
		fault = buffer_fault(out);
	}
	buffer_clear(&structure);
	return fault;
}
