/* SPDX-License-Identifier: ISC */
#include "common/ipc/codec.h"

#include "common/ipc/payloads.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct buffer bytes;

static void
setup(void)
{
	arena_init(&arena, 1 << 20);
	buffer_init(&bytes, IPC_PAYLOAD_MAX);
}

static void
teardown(void)
{
	arena_clear(&arena);
	buffer_clear(&bytes);
}

static struct ipc_submit
sample(struct ipc_recipient *recipients)
{
	recipients[0] =
		(struct ipc_recipient){7, true, IPC_NOTIFY_DELAY, SLICE("bob@b.org"), SLICE("")};
	recipients[1] = (struct ipc_recipient){8, false, 0, SLICE("eve@e.org"), SLICE("rfc822;x")};
	return (struct ipc_submit){.id = 0x0102030405060708,
		.sender = SLICE("alice@a.org"),
		.body = IPC_BODY_8BITMIME,
		.smtputf8 = true,
		.recipients = recipients,
		.recipient_count = 2};
}

START_TEST(a_payload_with_a_list_comes_back_as_it_was)
{
	struct ipc_recipient recipients[2];
	struct ipc_submit in = sample(recipients);
	const struct ipc_layout *layout = ipc_row(IPC_SUBMIT)->layout;
	void *decoded;

	ck_assert_int_eq(ipc_encode(layout, &in, &bytes), FAULT_OK);
	ck_assert_int_eq(ipc_decode(layout, buffer_slice(&bytes), &arena, &decoded), FAULT_OK);
	struct ipc_submit *out = decoded;
	ck_assert(out->id == in.id && out->smtputf8 && out->body == IPC_BODY_8BITMIME);
	ck_assert_slice_eq(out->sender, "alice@a.org");
	ck_assert_uint_eq(out->recipient_count, 2);
	ck_assert_uint_eq(out->recipients[1].number, 8);
	ck_assert(out->recipients[0].local && !out->recipients[1].local);
	ck_assert_slice_eq(out->recipients[1].orcpt, "rfc822;x");
}
END_TEST

START_TEST(a_payload_cut_anywhere_or_with_more_behind_is_refused)
{
	struct ipc_recipient recipients[2];
	struct ipc_submit in = sample(recipients);
	const struct ipc_layout *layout = ipc_row(IPC_SUBMIT)->layout;
	void *decoded;

	ck_assert_int_eq(ipc_encode(layout, &in, &bytes), FAULT_OK);
	struct slice whole = buffer_slice(&bytes);
	for (size_t n = 0; n < whole.len; n++)
		ck_assert_int_eq(ipc_decode(layout, slice_first(whole, n), &arena, &decoded),
			FAULT_PEER_PROTOCOL);
	buffer_add_byte(&bytes, 0);
	ck_assert_int_eq(
		ipc_decode(layout, buffer_slice(&bytes), &arena, &decoded), FAULT_PEER_PROTOCOL);
}
END_TEST

START_TEST(a_text_over_its_limit_is_neither_sent_nor_taken)
{
	char letters[IPC_ADDRESS_MAX + 1] = {0};
	struct ipc_address long_one = {slice_make(letters, sizeof letters)};
	const struct ipc_layout *layout = ipc_row(IPC_EXPAND)->layout;
	void *decoded;

	ck_assert_int_eq(ipc_encode(layout, &long_one, &bytes), FAULT_TOO_LONG);
	buffer_reset(&bytes);
	buffer_add(&bytes, "\0\0\x01\x41", 4); /* 321 */
	buffer_add(&bytes, letters, sizeof letters);
	ck_assert_int_eq(
		ipc_decode(layout, buffer_slice(&bytes), &arena, &decoded), FAULT_PEER_PROTOCOL);
}
END_TEST

START_TEST(a_huge_count_does_not_cost_memory)
{
	const struct ipc_layout *layout = ipc_row(IPC_CHANGED)->layout;
	void *decoded;

	buffer_add(&bytes, "\0\0\x1f\xff", 4);
	ck_assert_int_eq(
		ipc_decode(layout, buffer_slice(&bytes), &arena, &decoded), FAULT_PEER_PROTOCOL);
	ck_assert_uint_lt(arena.used, 4096);
}
END_TEST

START_TEST(every_answer_begins_with_a_fault)
{
	for (unsigned i = IPC_NONE + 1; i < IPC_TYPE_COUNT; i++) {
		const struct ipc_row *row = ipc_row(i);
		ck_assert_msg(row->layout->field_count > 0, "%s has no field", row->name);
		if (row->answer == IPC_NONE)
			continue;
		const struct ipc_row *answer = ipc_row(row->answer);
		ck_assert_msg(answer->layout->fields[0].kind == IPC_FIELD_U32 &&
				answer->layout->fields[0].offset == 0,
			"%s does not begin with a fault", answer->name);
		ck_assert_msg((answer->from & row->to) == row->to &&
				(answer->to & row->from) == row->from,
			"%s cannot answer %s", answer->name, row->name);
	}
}
END_TEST

UNIT(codec)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, a_payload_with_a_list_comes_back_as_it_was);
	unit_add(tc, a_payload_cut_anywhere_or_with_more_behind_is_refused);
	unit_add(tc, a_text_over_its_limit_is_neither_sent_nor_taken);
	unit_add(tc, a_huge_count_does_not_cost_memory);
	unit_add(tc, every_answer_begins_with_a_fault);
}
