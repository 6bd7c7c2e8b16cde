/* SPDX-License-Identifier: ISC */
/*
 * Records of the directory as a damaged disk may give them: no crash, and what decodes encodes to
 * the same bytes.
 * fuzz-links: authd
 */
#include <assert.h>

#include "authd/record.h"

static void
expect_same(struct buffer *made, struct slice bytes)
{
	assert(slice_equal(buffer_slice(made), bytes));
	buffer_reset(made);
}

static void
fuzz_name(struct slice bytes, struct buffer *made)
{
	struct slice targets[RECORD_TARGETS_MAX];
	struct name_record name;
	uint32_t count = 0;

	if (name_record_decode(bytes, &name) != FAULT_OK)
		return;
	if (name.kind == NAME_ACCOUNT) {
		assert(name_record_encode_account(name.account, made) == FAULT_OK);
		expect_same(made, bytes);
		return;
	}
	struct cursor c = cursor_of(name.targets);
	while (count < RECORD_TARGETS_MAX && take_record_target(&c, &targets[count]))
		count++;
	assert(count == name.target_count && cursor_at_end(&c));
	assert(name_record_encode_alias(targets, count, made) == FAULT_OK);
	expect_same(made, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);
	struct domain_record domain;
	struct account_record account;
	struct buffer made;

	buffer_init(&made, 2 * 1024 * 1024);
	if (domain_record_decode(bytes, &domain) == FAULT_OK) {
		assert(domain_record_encode(&domain, &made) == FAULT_OK);
		expect_same(&made, bytes);
	}
	if (account_record_decode(bytes, &account) == FAULT_OK) {
		assert(account_record_encode(&account, &made) == FAULT_OK);
		expect_same(&made, bytes);
	}
	fuzz_name(bytes, &made);
	buffer_clear(&made);
	return 0;
}
