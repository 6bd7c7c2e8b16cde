/* SPDX-License-Identifier: ISC */
/*
 * Whole messages: every one has a structure that can be opened, whose ranges lie in the message and
 * which IMAP's formats can be made from.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/imap_structure.h"
#include "common/mail/structure.h"
#include "common/mail/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_part(const struct structure *s, uint32_t index)
{
	struct structure_part part, parent;

	if (!structure_get_part(s, index, &part) || !structure_get_part(s, part.parent, &parent))
		abort();
	if ((uint64_t)part.header_offset + part.header_len > part.body_offset ||
		(uint64_t)part.body_offset + part.body_len > s->size)
		abort();
	/* A child begins in its parent's body, at the latest where a boundary's line end is. */
	if (index > 0 &&
		(part.header_offset < parent.body_offset ||
			part.header_offset > parent.body_offset + parent.body_len + 2))
		abort();
	if (part.lines > part.body_len)
		abort();
}

static void
check_formats(const struct structure *s, struct buffer *out)
{
	for (unsigned bits = 0; bits < 8; bits++) {
		struct imap_structure_style style = {bits & 1, bits & 2, bits & 4};
		buffer_reset(out);
		imap_envelope_format(s, 0, &style, out);
		imap_bodystructure_format(s, 0, &style, out);
		struct slice text = buffer_slice(out);
		if (buffer_fault(out) != FAULT_OK || slice_find_byte(text, '\0') < text.len)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct buffer stored, out;
	struct structure s;

	arena_init(&arena, 16 << 20);
	buffer_init(&stored, 1 << 20);
	buffer_init(&out, 16 << 20);
	if (structure_build(slice_make(data, size), &structure_limits_default, &arena, &stored) !=
			FAULT_OK ||
		structure_open(buffer_slice(&stored), &s) != FAULT_OK)
		abort();
	for (uint32_t i = 0; i < s.part_count; i++)
		check_part(&s, i);
	if (s.size != size || !utf8_is_valid(s.preview))
		abort();
	check_formats(&s, &out);
	buffer_clear(&stored);
	buffer_clear(&out);
	arena_clear(&arena);
	return 0;
}
