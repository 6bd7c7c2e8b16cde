/* SPDX-License-Identifier: ISC */
#include "common/store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/segment_format.h"
#include "tests/unit/store/disk.h"
#include "tests/unit/store/fixture.h"

static const struct segment_record example = {
	.kind = SEGMENT_QUEUE,
	.codec = 1,
	.flags = 9,
	.zone = -720,
	.account = 0x1122334455667788,
	.mailbox = 3,
	.uid = 4,
	.received_at = -5,
	.email_id = 6,
	.thread_id = 7,
	.body_id = 8,
	.plain_len = 900,
	.prefix = SLICE_LITERAL("prefix"),
	.structure = SLICE_LITERAL("structure"),
	.body = SLICE_LITERAL("body"),
};

struct place {
	char dir[64];
	struct segments *segments;
	struct segment_files *files;
};

static void
place_open(struct place *p, uint64_t size_max)
{
	struct segments_options options = {.size_max = size_max};

	fixture_dir(p->dir);
	ck_assert_ok(segments_open(p->dir, &options, &p->segments));
	ck_assert_ok(segments_recover(p->segments, (struct segment_tail){0}));
	ck_assert_ok(segment_files_open(p->dir, 2, &p->files));
}

static void
place_close(struct place *p)
{
	segments_close(p->segments);
	segment_files_close(p->files);
	fixture_dir_remove(p->dir);
}

static off_t
file_size(const struct place *p, uint32_t segment)
{
	char path[128];
	struct stat status;

	(void)snprintf(path, sizeof(path), "%s/%08u.seg", p->dir, segment);
	return stat(path, &status) < 0 ? -1 : status.st_size;
}

static const struct segment_key key = {"sixteen letters"};

START_TEST(a_header_reads_back_and_any_flipped_bit_is_found)
{
	uint8_t header[SEGMENT_HEADER_SIZE];
	struct segment_record r;

	segment_header_encode(&example, &key, header);
	ck_assert_ok(segment_header_decode(header, &key, &r));
	ck_assert_int_eq(r.kind, SEGMENT_QUEUE);
	ck_assert_uint_eq(r.account, example.account);
	ck_assert_int_eq(r.zone, -720);
	ck_assert_int_eq(r.received_at, -5);
	ck_assert_uint_eq(r.plain_len, 900);
	ck_assert_uint_eq(r.prefix.len, 6);
	ck_assert_uint_eq(r.structure.len, 9);
	ck_assert_uint_eq(r.body.len, 4);
	for (size_t bit = 0; bit < sizeof(header) * 8; bit++) {
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_fault(segment_header_decode(header, &key, &r), FAULT_DAMAGED);
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

/* What mail can hold: a header made without the key, or with another one. */
START_TEST(a_forged_header_is_none)
{
	static const struct segment_key other = {"sixteen lettres"};
	uint8_t header[SEGMENT_HEADER_SIZE];
	struct segment_record r;

	segment_header_encode(&example, NULL, header);
	ck_assert_ok(segment_header_decode(header, NULL, &r));
	ck_assert_fault(segment_header_decode(header, &key, &r), FAULT_DAMAGED);
	segment_header_encode(&example, &other, header);
	ck_assert_fault(segment_header_decode(header, &key, &r), FAULT_DAMAGED);
	ck_assert_fault(segment_header_decode(header, NULL, &r), FAULT_DAMAGED);
}
END_TEST

START_TEST(the_key_of_another_file_stands_in_for_a_damaged_head)
{
	struct place p;
	struct segment_place first, second;
	struct segment_record r;
	char path[128];

	place_open(&p, 200);
	ck_assert_ok(segments_append(p.segments, &example, &first));
	ck_assert_ok(segments_append(p.segments, &example, &second));
	ck_assert_uint_eq(second.segment, first.segment + 1);
	ck_assert_ok(segments_sync(p.segments));
	(void)snprintf(path, sizeof(path), "%s/%08u.seg", p.dir, first.segment);
	FILE *file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	fputs("xxxx", file);
	fclose(file);
	ck_assert_ok(segment_files_header(p.files, &first, &r));
	place_close(&p);
}
END_TEST

START_TEST(records_are_aligned_and_read_back)
{
	struct place p;
	struct segment_place place;
	struct segment_record r;
	char body[4];

	place_open(&p, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_ok(segments_append(p.segments, &example, &place));
		ck_assert_uint_eq(place.offset % 8, 0);
	}
	ck_assert_ok(segments_sync(p.segments));
	struct segment_place found = {place.segment, place.offset, 0};
	ck_assert_ok(segment_files_header(p.files, &found, &r));
	ck_assert_uint_eq(found.length, place.length);
	ck_assert_ok(segment_files_read(
		p.files, 1, segment_body_offset(&place, &r), body, sizeof(body)));
	ck_assert(memcmp(body, "body", 4) == 0);
	ck_assert_fault(segment_files_read(p.files, 1, 1 << 30, body, 1), FAULT_DAMAGED);
	ck_assert_fault(segment_files_read(p.files, 9, 0, body, 1), FAULT_NOT_FOUND);
	place_close(&p);
}
END_TEST

START_TEST(what_lies_past_the_tail_is_cut_off)
{
	struct place p;
	struct segment_place place;

	place_open(&p, 400);
	ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_ok(segments_sync(p.segments));
	struct segment_tail tail = segments_tail(p.segments);
	for (int i = 0; i < 6; i++)
		ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_uint_ge(place.segment, 3);
	ck_assert_ok(segments_cut(p.segments, tail));
	ck_assert_int_eq(file_size(&p, 1), (off_t)tail.length);
	ck_assert_int_eq(file_size(&p, 2), -1);
	ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_uint_eq(place.offset, tail.length);
	/* The same after a crash, by a new process. */
	for (int i = 0; i < 6; i++)
		ck_assert_ok(segments_append(p.segments, &example, &place));
	segments_close(p.segments);
	ck_assert_ok(segments_open(p.dir, &(struct segments_options){0}, &p.segments));
	ck_assert_ok(segments_recover(p.segments, tail));
	ck_assert_int_eq(file_size(&p, 1), (off_t)tail.length);
	ck_assert_int_eq(file_size(&p, 3), -1);
	tail.length++;
	ck_assert_fault(segments_recover(p.segments, tail), FAULT_DAMAGED);
	tail.segment = 7;
	ck_assert_fault(segments_recover(p.segments, tail), FAULT_DAMAGED);
	place_close(&p);
}
END_TEST

START_TEST(after_a_failed_sync_nothing_is_trusted_until_a_cut)
{
	struct place p;
	struct segment_place place;

	for (int roll = 0; roll < 2; roll++) {
		place_open(&p, roll != 0 ? 400 : 0);
		ck_assert_ok(segments_append(p.segments, &example, &place));
		ck_assert_ok(segments_sync(p.segments));
		struct segment_tail tail = segments_tail(p.segments);
		for (int i = 0; roll != 0 && segments_tail(p.segments).length < 400; i++)
			ck_assert_ok(segments_append(p.segments, &example, &place));
		if (roll == 0)
			ck_assert_ok(segments_append(p.segments, &example, &place));
		/* With a full segment the next append syncs it, else segments_sync does. */
		disk_plan(&(struct disk_plan){.calls = DISK_SYNC, .name = ".seg", .error = EIO});
		ck_assert_fault(roll != 0 ? segments_append(p.segments, &example, &place)
					  : segments_sync(p.segments),
			FAULT_IO);
		ck_assert_uint_eq(disk_heal(), 1);
		ck_assert_fault(segments_append(p.segments, &example, &place), FAULT_IO);
		ck_assert_fault(segments_sync(p.segments), FAULT_IO);
		ck_assert_ok(segments_cut(p.segments, tail));
		ck_assert_ok(segments_append(p.segments, &example, &place));
		ck_assert_uint_eq(place.offset, tail.length);
		ck_assert_ok(segments_sync(p.segments));
		place_close(&p);
	}
}
END_TEST

START_TEST(a_cut_that_failed_is_done_again_as_a_whole)
{
	struct place p;
	struct segment_place place;

	place_open(&p, 400);
	ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_ok(segments_sync(p.segments));
	struct segment_tail tail = segments_tail(p.segments);
	for (int i = 0; i < 6; i++)
		ck_assert_ok(segments_append(p.segments, &example, &place));
	disk_plan(&(struct disk_plan){.calls = DISK_CUT, .error = EIO, .lasts = true});
	ck_assert_fault(segments_cut(p.segments, tail), FAULT_IO);
	ck_assert_fault(segments_append(p.segments, &example, &place), FAULT_IO);
	ck_assert_uint_gt(disk_heal(), 0);
	ck_assert_ok(segments_cut(p.segments, tail));
	ck_assert_int_eq(file_size(&p, 1), (off_t)tail.length);
	ck_assert_int_eq(file_size(&p, 2), -1);
	ck_assert_int_eq(file_size(&p, 3), -1);
	place_close(&p);
}
END_TEST

START_TEST(a_file_whose_head_failed_is_begun_anew)
{
	struct place p;
	struct segment_place place;
	struct segment_record r;

	place_open(&p, 1);
	ck_assert_ok(segments_append(p.segments, &example, &place));
	disk_plan(&(struct disk_plan){.calls = DISK_WRITE, .name = "2.seg", .error = ENOSPC});
	ck_assert_fault(segments_append(p.segments, &example, &place), FAULT_NO_SPACE);
	ck_assert_uint_eq(disk_heal(), 1);
	ck_assert_uint_eq(segments_tail(p.segments).segment, 1);
	ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_uint_eq(place.segment, 2);
	ck_assert_uint_eq(place.offset, SEGMENT_HEAD_SIZE);
	ck_assert_ok(segment_files_header(p.files, &place, &r));
	place_close(&p);
}
END_TEST

START_TEST(a_punched_record_keeps_its_header_and_its_neighbours)
{
	struct place p;
	struct segment_place places[3];
	struct segment_record big = example, r;
	static char bytes[100000], read[100000];

	memset(bytes, 'b', sizeof(bytes));
	big.body = slice_make(bytes, sizeof(bytes));
	place_open(&p, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_ok(segments_append(p.segments, &big, &places[i]));
	ck_assert_ok(segments_punch(p.segments, &places[1]));
	for (int i = 0; i < 3; i++) {
		ck_assert_ok(segment_files_header(p.files, &places[i], &r));
		ck_assert_ok(segment_files_read(
			p.files, 1, segment_body_offset(&places[i], &r), read, sizeof(read)));
		ck_assert_int_eq(read[0], i == 1 ? 0 : 'b');
		ck_assert_int_eq(read[sizeof(read) - 1], i == 1 ? 0 : 'b');
	}
	place_close(&p);
}
END_TEST

START_TEST(few_descriptors_serve_many_segments)
{
	struct place p;
	struct segment_place place;
	char byte;

	place_open(&p, 1);
	for (int i = 0; i < 10; i++)
		ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_uint_eq(place.segment, 10);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_ok(segment_files_read(p.files, i * 7 % 10 + 1, 0, &byte, 1));
	place_close(&p);
}
END_TEST

START_TEST(only_segment_names_are_segments)
{
	static const struct {
		const char *name;
		uint32_t number;
	} rows[] = {
		{"00000001.seg", 1},
		{"4294967295.seg", UINT32_MAX},
		{"4294967296.seg", 0},
		{"00000000.seg", 0},
		{"1.seg", 0},
		{"00000001.seg~", 0},
		{"00000001", 0},
		{".", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t number = 0;
		bool good = segment_name_parse(slice_text(rows[i].name), &number);
		ck_assert_msg(good == (rows[i].number != 0), "%s", rows[i].name);
		ck_assert_uint_eq(number, rows[i].number);
	}
}
END_TEST

/* Its headers could be forged by who sends mail. */
START_TEST(a_file_of_format_1_is_not_gone_on_with)
{
	struct place p;
	struct segment_place place;
	char path[128];
	uint8_t header[SEGMENT_HEADER_SIZE];
	struct segment_record record = {.kind = SEGMENT_QUEUE};

	place_open(&p, 0);
	segment_header_encode(&record, NULL, header);
	(void)snprintf(path, sizeof(path), "%s/00000001.seg", p.dir);
	int file = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(file, header, sizeof(header)), sizeof(header));
	close(file);
	ck_assert_ok(segments_recover(p.segments, (struct segment_tail){1, SEGMENT_HEADER_SIZE}));
	ck_assert_ok(segments_append(p.segments, &example, &place));
	ck_assert_uint_eq(place.segment, 2);
	ck_assert_uint_eq(place.offset, SEGMENT_HEAD_SIZE);
	place_close(&p);
}
END_TEST

UNIT(segment)
{
	unit_add(tc, a_header_reads_back_and_any_flipped_bit_is_found);
	unit_add(tc, a_forged_header_is_none);
	unit_add(tc, the_key_of_another_file_stands_in_for_a_damaged_head);
	unit_add(tc, records_are_aligned_and_read_back);
	unit_add(tc, what_lies_past_the_tail_is_cut_off);
	unit_add(tc, after_a_failed_sync_nothing_is_trusted_until_a_cut);
	unit_add(tc, a_cut_that_failed_is_done_again_as_a_whole);
	unit_add(tc, a_file_whose_head_failed_is_begun_anew);
	unit_add(tc, a_punched_record_keeps_its_header_and_its_neighbours);
	unit_add(tc, few_descriptors_serve_many_segments);
	unit_add(tc, only_segment_names_are_segments);
	unit_add(tc, a_file_of_format_1_is_not_gone_on_with);
}
