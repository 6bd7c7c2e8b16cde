/* SPDX-License-Identifier: ISC */
#include "deliverd/prefix.h"

#include "tests/unit/unit.h"

START_TEST(prefix_has_return_path_and_delivered_to)
{
	struct arena arena;
	struct slice prefix;

	arena_init(&arena, 4096);
	ck_assert_int_eq(
		prefix_make(&arena, SLICE("a@b.example"), SLICE("u+tag@c.example"), &prefix),
		FAULT_OK);
	ck_assert_slice_eq(
		prefix, "Return-Path: <a@b.example>\r\nDelivered-To: <u+tag@c.example>\r\n");
	ck_assert_int_eq(prefix_make(&arena, SLICE(""), SLICE("u@c.example"), &prefix), FAULT_OK);
	ck_assert_slice_eq(prefix, "Return-Path: <>\r\nDelivered-To: <u@c.example>\r\n");
	arena_clear(&arena);
}
END_TEST

START_TEST(prefix_refuses_to_forge_lines)
{
	struct arena arena;
	struct slice prefix;

	arena_init(&arena, 4096);
	ck_assert_int_eq(
		prefix_make(&arena, SLICE("a\r\nX: y@b"), SLICE("u@c"), &prefix), FAULT_SYNTAX);
	ck_assert_int_eq(prefix_make(&arena, SLICE("a@b"), SLICE("u\n@c"), &prefix), FAULT_SYNTAX);
	arena_clear(&arena);
}
END_TEST

START_TEST(prefix_over_the_arena_is_a_budget_fault)
{
	struct arena arena;
	struct slice prefix;

	arena_init(&arena, 8);
	ck_assert_int_eq(prefix_make(&arena, SLICE("a@b"), SLICE("u@c"), &prefix), FAULT_BUDGET);
	arena_clear(&arena);
}
END_TEST

START_TEST(loop_is_found_in_any_delivered_to_of_the_top_header)
{
	static const struct {
		const char *rule, *message, *recipient;
		bool is_loop;
	} rows[] = {
		{"with angles", "Delivered-To: <u@c>\r\n\r\n", "u@c", true},
		{"without angles", "Delivered-To: u@c\r\n\r\n", "u@c", true},
		{"case ignored", "delivered-TO: U@C\r\n\r\n", "u@c", true},
		{"second field", "Delivered-To: x@c\r\nDelivered-To: u@c\r\n\r\n", "u@c", true},
		{"other address", "Delivered-To: v@c\r\n\r\n", "u@c", false},
		{"detail differs", "Delivered-To: u@c\r\n\r\n", "u+a@c", false},
		{"only in the body", "A: b\r\n\r\nDelivered-To: u@c\r\n", "u@c", false},
		{"no header", "", "u@c", false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		static struct delivered_to d;

		delivered_to_collect(&d, slice_text(rows[i].message));
		ck_assert_msg(
			delivered_to_has(&d, slice_text(rows[i].recipient)) == rows[i].is_loop,
			"%s", rows[i].rule);
	}
}
END_TEST

UNIT(prefix)
{
	unit_add(tc, prefix_has_return_path_and_delivered_to);
	unit_add(tc, prefix_refuses_to_forge_lines);
	unit_add(tc, prefix_over_the_arena_is_a_budget_fault);
	unit_add(tc, loop_is_found_in_any_delivered_to_of_the_top_header);
}
