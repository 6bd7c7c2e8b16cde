/* SPDX-License-Identifier: ISC */
/* The stored structure as damaged bytes: opened or refused, and never a step outside. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/imap_structure.h"
#include "common/mail/structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use_sections(const struct structure *s)
{
	static const uint32_t numbers[] = {1, 1, 2, 1, 1};
	struct structure_range range;

	for (size_t count = 0; count <= 5; count++) {
		for (int text = STRUCTURE_ALL; text <= STRUCTURE_MIME; text++) {
			struct structure_section section = {
				numbers, count, (enum structure_text)text};
			if (structure_find_range(s, &section, &range) &&
				(uint64_t)range.offset + range.len > s->size)
				abort();
		}
	}
}

static void
use_fields(const struct structure *s)
{
	struct structure_list fields = s->fields, references = s->references;
	struct structure_field field;
	struct slice id;
	uint32_t offset = 0;

	while (structure_take_field(&fields, &offset, &field)) {
		if ((uint64_t)field.offset + field.len > s->header_len)
			abort();
	}
	while (structure_take_text(&references, &id)) {
		if (id.data == NULL)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_structure_style style = {true, false, true};
	struct structure s;
	struct buffer out;

	if (structure_open(slice_make(data, size), &s) != FAULT_OK)
		return 0;
	buffer_init(&out, 64 << 20);
	use_sections(&s);
	use_fields(&s);
	imap_envelope_format(&s, 0, &style, &out);
	imap_bodystructure_format(&s, 0, &style, &out);
	buffer_clear(&out);
	return 0;
}
