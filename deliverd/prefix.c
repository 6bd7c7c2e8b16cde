/* SPDX-License-Identifier: ISC */
/* Return-Path, Delivered-To and the loop check, in deliverd.  The message is not trusted. */
#include "deliverd/prefix.h"

#include "common/base/ascii.h"
#include "common/base/buffer.h"
#include "common/mail/header.h"

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (ascii_is_control(s.data[i]))
			return true;
	return false;
}

enum fault
prefix_make(struct arena *arena, struct slice sender, struct slice recipient, struct slice *prefix)
{
	struct buffer text;
	enum fault fault;

	if (has_control(sender) || has_control(recipient))
		return FAULT_SYNTAX;
	buffer_init(&text, 4096);
	buffer_add_text(&text, "Return-Path: <");
	buffer_add_slice(&text, sender);
	buffer_add_text(&text, ">\r\nDelivered-To: <");
	buffer_add_slice(&text, recipient);
	buffer_add_text(&text, ">\r\n");
	fault = buffer_fault(&text);
	if (fault == FAULT_OK && !arena_copy(arena, buffer_slice(&text), prefix))
		fault = FAULT_BUDGET;
	buffer_clear(&text);
	return fault;
}

static struct slice
without_angles(struct slice value)
{
	value = slice_trim(value);
	if (value.len >= 2 && value.data[0] == '<' && value.data[value.len - 1] == '>')
		return slice_trim(slice_make(value.data + 1, value.len - 2));
	return value;
}

void
delivered_to_collect(struct delivered_to *d, struct slice message)
{
	struct cursor c = cursor_of(slice_first(message, header_section_len(message)));
	struct header_field field;

	d->count = 0;
	while (d->count < DELIVERED_TO_MAX && take_header_field(&c, &field))
		if (slice_equal_nocase(field.name, SLICE("Delivered-To")))
			d->values[d->count++] = without_angles(field.value);
}

bool
delivered_to_has(const struct delivered_to *d, struct slice recipient)
{
	for (size_t i = 0; i < d->count; i++)
		if (slice_equal_nocase(d->values[i], recipient))
			return true;
	return false;
}
