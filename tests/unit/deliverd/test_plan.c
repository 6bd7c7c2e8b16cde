/* SPDX-License-Identifier: ISC */
#include "deliverd/plan.h"

#include "deliverd/delivery.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct plan plan;

static void
plan_of(uint32_t count)
{
	static struct ipc_recipient recipients[IPC_RECIPIENTS_MAX];
	struct ipc_deliver request = {
		.sender = SLICE("s@x"), .recipients = recipients, .recipient_count = count};

	for (uint32_t i = 0; i < count; i++)
		recipients[i] = (struct ipc_recipient){.number = 10 + i, .address = SLICE("r@y")};
	arena_init(&arena, 1024 * 1024);
	ck_assert_int_eq(plan_init(&plan, &arena, &request), FAULT_OK);
}

static void
done(void)
{
	plan_clear(&plan);
	arena_clear(&arena);
}

static struct ipc_expansion
account(uint64_t id)
{
	return (struct ipc_expansion){.kind = IPC_TARGET_ACCOUNT, .account = id};
}

static struct ipc_expansion
forward(const char *address)
{
	return (struct ipc_expansion){.kind = IPC_TARGET_FORWARD, .address = slice_text(address)};
}

static void
expand(uint32_t index, struct ipc_expansion *targets, uint32_t count)
{
	struct ipc_expanded e = {.targets = targets, .target_count = count};

	plan_expand(&plan, index, &e);
}

START_TEST(account_gets_the_message_once_however_often_it_is_named)
{
	plan_of(2);
	expand(0, (struct ipc_expansion[]){account(7)}, 1);
	expand(1, (struct ipc_expansion[]){account(8), account(7)}, 2);
	ck_assert_uint_eq(plan.target_count, 2);
	plan_stored(&plan, 0, FAULT_OK);
	plan_stored(&plan, 1, FAULT_OVER_QUOTA);
	ck_assert_int_eq(plan.recipients[0].fault, FAULT_OK);
	ck_assert_int_eq(plan.recipients[1].fault, FAULT_OVER_QUOTA);
	ck_assert(plan.recipients[1].stored);
	done();
}
END_TEST

START_TEST(temporary_fault_hides_a_permanent_one)
{
	plan_of(1);
	plan_fail(&plan, 0, FAULT_NO_SUCH_USER);
	plan_fail(&plan, 0, FAULT_PEER_LOST);
	ck_assert_int_eq(plan.recipients[0].fault, FAULT_PEER_LOST);
	plan_fail(&plan, 0, FAULT_NO_SUCH_USER);
	ck_assert_int_eq(plan.recipients[0].fault, FAULT_PEER_LOST);
	done();
}
END_TEST

START_TEST(empty_expansion_is_no_such_user)
{
	plan_of(1);
	expand(0, NULL, 0);
	ck_assert_int_eq(plan.recipients[0].fault, FAULT_NO_SUCH_USER);
	done();
}
END_TEST

START_TEST(forward_waits_while_its_recipient_is_deferred)
{
	plan_of(2);
	expand(0, (struct ipc_expansion[]){forward("f@z"), account(1)}, 2);
	expand(1, (struct ipc_expansion[]){forward("f@z")}, 1);
	ck_assert(plan_forward_counts(&plan, 0));
	ck_assert_msg(!plan_forward_counts(&plan, 1), "the same address counts once");
	plan_stored(&plan, 0, FAULT_IO);
	ck_assert(!plan_forward_counts(&plan, 0));
	ck_assert(plan_forward_counts(&plan, 1));
	done();
}
END_TEST

START_TEST(forward_goes_although_another_target_failed_for_good)
{
	plan_of(1);
	expand(0, (struct ipc_expansion[]){forward("f@z")}, 1);
	plan_fail(&plan, 0, FAULT_NO_SUCH_USER);
	ck_assert(plan_forward_counts(&plan, 0));
	done();
}
END_TEST

START_TEST(too_many_forwards_are_a_temporary_fault)
{
	struct ipc_expansion many[IPC_TARGETS_MAX];

	plan_of(2);
	for (size_t i = 0; i < IPC_TARGETS_MAX; i++)
		many[i] = forward("somebody-with-a-rather-long-name-so-that-it-fills-up-"
				  "all-the-room-there-is@far-away-from-here.example");
	expand(0, many, IPC_TARGETS_MAX);
	ck_assert(fault_is_temporary(plan.recipients[0].fault));
	ck_assert_uint_le(plan.forward_bytes, PLAN_FORWARDS_BYTES);
	done();
}
END_TEST

START_TEST(delivery_id_is_message_and_account)
{
	uint8_t a[IPC_DELIVERY_ID_LEN], b[IPC_DELIVERY_ID_LEN];

	delivery_id_make(1, 2, a);
	delivery_id_make(1, 2, b);
	ck_assert_mem_eq(a, b, sizeof a);
	delivery_id_make(2, 1, b);
	ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

UNIT(plan)
{
	unit_add(tc, account_gets_the_message_once_however_often_it_is_named);
	unit_add(tc, temporary_fault_hides_a_permanent_one);
	unit_add(tc, empty_expansion_is_no_such_user);
	unit_add(tc, forward_waits_while_its_recipient_is_deferred);
	unit_add(tc, forward_goes_although_another_target_failed_for_good);
	unit_add(tc, too_many_forwards_are_a_temporary_fault);
	unit_add(tc, delivery_id_is_message_and_account);
}
