/* SPDX-License-Identifier: ISC */
/*
 * Addresses: the strict grammar of SMTP and the lenient lists of header fields.  What the grammar
 * accepts has a normal form that is its own normal form, and is parsed again when formatted.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/address.h"
#include "common/mail/address_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_normal_form(const struct address *a, struct arena *arena, struct buffer *out)
{
	struct address normal, again, parsed;

	if (address_normalize(a, arena, &normal) != FAULT_OK)
		return;
	if (address_normalize(&normal, arena, &again) == FAULT_OK &&
		!address_equal(&normal, &again))
		abort();
	/* A local part that quotes cannot hold is no Mailbox: it came from a header, or is over. */
	buffer_reset(out);
	address_format(a, out);
	if (address_check(a) == FAULT_OK && a->domain.len > 0 &&
		(address_parse(buffer_slice(out), &parsed) != FAULT_OK ||
			!address_equal(&parsed, a)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct cursor c = cursor_of(text);
	struct address a;
	struct address_list list;
	struct arena arena;
	struct buffer out;

	arena_init(&arena, 16 << 20);
	buffer_init(&out, 1 << 20);
	if (take_forward_path(&c, &a))
		check_normal_form(&a, &arena, &out);
	c = cursor_of(text);
	if (take_reverse_path(&c, &a))
		check_normal_form(&a, &arena, &out);
	if (address_parse(text, &a) == FAULT_OK)
		check_normal_form(&a, &arena, &out);
	if (address_list_parse(text, 100, &arena, &list) == FAULT_OK && list.count > 100)
		abort();
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].name.len > size || list.items[i].mailbox.len > size)
			abort();
	}
	buffer_clear(&out);
	arena_clear(&arena);
	return 0;
}
