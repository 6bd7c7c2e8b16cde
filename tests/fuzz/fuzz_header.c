/* SPDX-License-Identifier: ISC */
/*
 * Header sections, dates, parameters, message ids.  Fields lie one behind the other without gaps;
 * a date that was read is the same when it is written and read again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "common/mail/parameter.h"
#include "common/mail/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_date(struct slice value, struct buffer *out)
{
	struct date date, again;

	if (date_parse(value, &date) != FAULT_OK)
		return;
	/* The zone may carry the ends of time over themselves; then the format is cut. */
	if (date.seconds < -62135500000 || date.seconds > 253402200000)
		return;
	buffer_reset(out);
	date_format(&date, out);
	if (date_parse(buffer_slice(out), &again) != FAULT_OK || again.seconds != date.seconds ||
		again.zone_minutes != date.zone_minutes)
		abort();
}

static void
use_value(struct slice value, struct arena *arena, struct buffer *out)
{
	struct parameter_value parsed;
	struct cursor c = cursor_of(value);
	struct slice text;
	struct date date;

	check_date(value, out);
	buffer_reset(out);
	if (parameter_parse(value, 64, arena, &parsed) == FAULT_OK &&
		parameter_decode(&parsed.parameters, SLICE("a"), out) == FAULT_OK &&
		parsed.parameters.count == 0)
		abort();
	if (header_unfold(value, arena, &text) == FAULT_OK && text.len > value.len)
		abort();
	while (take_message_id(&c, &text)) {
		if (text.len < 3)
			abort();
	}
	buffer_reset(out);
	if (subject_extract_base(value, out, NULL) != FAULT_OK)
		abort();
	c = cursor_of(value);
	(void)take_imap_date_time(&c, &date);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct cursor c = cursor_of(text);
	struct header_field field;
	struct arena arena;
	struct buffer out;
	size_t at = 0;

	arena_init(&arena, 64 << 20);
	buffer_init(&out, 16 << 20);
	while (take_header_field(&c, &field)) {
		if (field.whole.data != text.data + at || field.value.len > field.whole.len)
			abort();
		at += field.whole.len;
		if (field.name.len > 0)
			use_value(field.value, &arena, &out);
	}
	size_t section = header_section_len(text);
	if (section < at || section > at + 2)
		abort();
	buffer_clear(&out);
	arena_clear(&arena);
	return 0;
}
