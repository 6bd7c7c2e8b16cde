/* SPDX-License-Identifier: ISC */
/*
 * Writing the stored structure, once per message, from bytes that anyone may have sent.  The fixed
 * parts are reserved first and filled in when their texts have their place.
 */
#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/mail/body_text.h"
#include "common/mail/message_id.h"
#include "common/mail/structure_layout.h"
#include "common/mail/structure_writer.h"

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

/* ---- what only the whole message has ---- */

/* Id and length of every field of the top header, in order. */
static uint32_t
add_field_index(struct structure_writer *w)
{
	struct cursor c = cursor_of(writer_header(w, &w->tree.parts[0]));
	struct header_field field;
	uint32_t count = 0;

	while (count < w->limits->fields && take_header_field(&c, &field)) {
		buffer_add_byte(w->out, (char)header_identify(field.name));
		writer_add_number(w, field.whole.len);
		count++;
	}
	if (!take_header_field(&c, &field))
		w->flags |= FLAG_INDEXED;
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
add_references(struct structure_writer *w, const struct header_values *fields)
{
	struct slice value = fields->values[HEADER_REFERENCES];
	uint32_t count = count_ids(value), most = (uint32_t)w->limits->references;
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
		writer_add_text(w, id);
		added++;
	}
	return added;
}

/* Where the words of a message are: its first text/plain, else its first text/html. */
static const struct mime_part *
find_text(const struct structure_writer *w)
{
	const struct mime_part *html = NULL;

	for (size_t i = 0; i < w->tree.count; i++) {
		const struct mime_part *part = &w->tree.parts[i];
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
add_preview(struct structure_writer *w)
{
	const struct mime_part *part = find_text(w);
	struct buffer preview;

	buffer_init(&preview, STRUCTURE_PREVIEW_MAX);
	if (part != NULL) {
		struct body_text text = {
			.bytes = slice_first(
				slice_after(w->message, part->body_offset), part->body_len),
			.encoding = encoding_parse(part->encoding),
			.is_html = slice_equal_nocase(part->type.subtype, SLICE("html")),
		};
		parameter_find(&part->type.parameters, SLICE("charset"), &text.charset);
		enum fault fault = body_text_preview(&text, STRUCTURE_PREVIEW_MAX, &preview);
		/* Text that does not fit the preview's own buffers has no preview. */
		if (fault != FAULT_OK && fault != FAULT_BUDGET)
			writer_keep_fault(w, fault);
	}
	struct slice text = buffer_slice(&preview);
	writer_add_text(w, text.data != NULL ? text : SLICE(""));
	buffer_clear(&preview);
}

static void
put_sent(struct structure_writer *w, struct slice value)
{
	struct date date;

	if (value.data == NULL || date_parse(value, &date) != FAULT_OK)
		return;
	char *header = writer_at(w, 0);
	if (header == NULL)
		return;
	w->flags |= FLAG_SENT;
	put_u64(header + AT_SENT, (uint64_t)date.seconds);
	put_u16(header + AT_SENT_ZONE, (uint16_t)date.zone_minutes);
}

static void
add_top(struct structure_writer *w)
{
	struct header_values fields;

	writer_collect_fields(writer_header(w, &w->tree.parts[0]), &fields);
	uint32_t fields_at = writer_offset(w), field_count = add_field_index(w);
	uint32_t references_at = writer_offset(w), reference_count = add_references(w, &fields);
	uint32_t preview_at = writer_offset(w);
	add_preview(w);
	put_sent(w, fields.values[HEADER_DATE]);
	char *header = writer_at(w, 0);
	if (header == NULL)
		return;
	put_u32(header + AT_FIELDS, fields_at);
	put_u32(header + AT_FIELD_COUNT, field_count);
	put_u32(header + AT_REFERENCES, references_at);
	put_u32(header + AT_REFERENCE_COUNT, reference_count);
	put_u32(header + AT_PREVIEW, preview_at);
}

static void
put_header(struct structure_writer *w)
{
	char *header = writer_at(w, 0);

	if (header == NULL)
		return;
	put_u32(header + AT_MAGIC, STRUCTURE_MAGIC);
	put_u16(header + AT_VERSION, STRUCTURE_VERSION);
	put_u16(header + AT_FLAGS, w->flags);
	put_u32(header + AT_TOTAL, writer_offset(w));
	put_u32(header + AT_PART_COUNT, (uint32_t)w->tree.count);
	put_u32(header + AT_SIZE, (uint32_t)w->message.len);
}

/* ---- all ---- */

static enum fault
build(struct structure_writer *w)
{
	enum fault fault = mime_parse(w->message, &w->limits->mime, w->arena, &w->tree);

	if (fault != FAULT_OK)
		return fault;
	writer_add_zeroes(w, STRUCTURE_HEADER_SIZE + w->tree.count * PART_SIZE);
	for (size_t i = 0; i < w->tree.count && w->fault == FAULT_OK; i++) {
		if (buffer_fault(w->out) != FAULT_OK)
			break;
		writer_add_part(w, i);
	}
	add_top(w);
	put_header(w);
	return w->fault != FAULT_OK ? w->fault : buffer_fault(w->out);
}

/* FAULT_BUDGET: scratch or total are too small for these limits. */
static enum fault
build_within(struct slice message, const struct structure_limits *limits, struct arena *scratch,
	struct buffer *structure)
{
	struct structure_writer w = {
		.message = message,
		.limits = limits,
		.arena = scratch,
		.out = structure,
	};

	buffer_reset(structure);
	return build(&w);
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
