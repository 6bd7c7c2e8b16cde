/* SPDX-License-Identifier: ISC */
#include "common/store/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "tests/unit/store/fixture.h"

/* One packed body in a segment of its own. */
struct packed {
	char dir[64];
	struct segments *segments;
	struct segment_files *files;
	struct body_reader *reader;
	struct body_info info;
	struct body_handle handle;
};

static void
packed_open(struct packed *p, struct slice plain)
{
	struct body_packer *packer = body_packer_new();
	struct segment_record record = {.kind = SEGMENT_MAIL};
	struct segment_place place;
	struct slice bytes;
	enum fault fault;
	int fd = memfd_open("body", &fault);

	ck_assert_ok(fault);
	/* Something in front, as the structure is. */
	ck_assert_ok(memfd_append(fd, SLICE("front")));
	ck_assert_ok(body_pack(packer, plain, fd, &p->info));
	ck_assert_ok(memfd_seal(fd));
	ck_assert_ok(memfd_map(fd, SIZE_MAX, &bytes));
	ck_assert_slice_eq(slice_first(bytes, 5), "front");
	record.body = slice_after(bytes, 5);
	ck_assert_uint_eq(record.body.len, p->info.stored_len);
	ck_assert(body_lengths_fit(p->info.codec, p->info.plain_len, p->info.stored_len));
	fixture_dir(p->dir);
	ck_assert_ok(segments_open(p->dir, &(struct segments_options){0}, &p->segments));
	ck_assert_ok(segments_append(p->segments, &record, &place));
	ck_assert_ok(segment_files_open(p->dir, 2, &p->files));
	p->reader = body_reader_new(p->files);
	p->handle = (struct body_handle){place.segment, p->info.codec,
		segment_body_offset(&place, &record), p->info.stored_len, p->info.plain_len};
	memfd_unmap(&bytes);
	close(fd);
	body_packer_free(packer);
}

static void
packed_close(struct packed *p)
{
	body_reader_free(p->reader);
	segment_files_close(p->files);
	segments_close(p->segments);
	fixture_dir_remove(p->dir);
}

/* Text that packs well, or noise that does not. */
static char *
plain_make(size_t len, bool noise)
{
	char *plain = malloc(len + 1);
	uint64_t state = len;

	ck_assert_ptr_nonnull(plain);
	for (size_t i = 0; i < len; i++)
		plain[i] = noise ? (char)fixture_random(&state, 256)
				 : "the quick brown fox\r\n"[(i + i / 1000) % 21];
	return plain;
}

START_TEST(any_part_of_any_body_is_read_back)
{
	static const struct {
		size_t len;
		bool noise;
		uint8_t codec;
	} rows[] = {
		{0, false, BODY_RAW},
		{1, false, BODY_RAW},
		{255, false, BODY_RAW},
		{1000, false, BODY_ZSTD},
		{1000, true, BODY_RAW},
		{BODY_CHUNK_SIZE - 1, false, BODY_ZSTD},
		{BODY_CHUNK_SIZE, false, BODY_ZSTD},
		{BODY_CHUNK_SIZE + 1, false, BODY_ZSTD},
		{BODY_CHUNK_SIZE * 5 / 2, true, BODY_RAW},
		{BODY_CHUNK_SIZE * 5 / 2, false, BODY_ZSTD},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = rows[i].len;
		char *plain = plain_make(len, rows[i].noise), *part = malloc(len + 1);
		uint64_t state = i;
		struct packed p;
		packed_open(&p, slice_make(plain, len));
		ck_assert_uint_eq(p.info.codec, rows[i].codec);
		ck_assert_ok(body_verify(p.reader, &p.handle, p.info.checksum));
		ck_assert_ok(body_read(p.reader, &p.handle, 0, (struct body_span){part, len}));
		ck_assert(memcmp(part, plain, len) == 0);
		for (int j = 0; j < 50 && len > 0; j++) {
			size_t from = fixture_random(&state, (uint32_t)len);
			size_t want = fixture_random(&state, (uint32_t)(len - from) + 1);
			ck_assert_ok(body_read(
				p.reader, &p.handle, from, (struct body_span){part, want}));
			ck_assert(memcmp(part, plain + from, want) == 0);
		}
		ck_assert_fault(body_read(p.reader, &p.handle, len, (struct body_span){part, 1}),
			FAULT_DAMAGED);
		packed_close(&p);
		free(plain);
		free(part);
	}
}
END_TEST

START_TEST(a_noisy_chunk_within_text_is_stored_as_it_is)
{
	size_t len = BODY_CHUNK_SIZE * 4;
	char *plain = plain_make(len, false), *noise = plain_make(BODY_CHUNK_SIZE, true);
	struct packed p;

	memcpy(plain + BODY_CHUNK_SIZE, noise, BODY_CHUNK_SIZE);
	packed_open(&p, slice_make(plain, len));
	ck_assert_uint_eq(p.info.codec, BODY_ZSTD);
	ck_assert_ok(body_verify(p.reader, &p.handle, p.info.checksum));
	packed_close(&p);
	free(plain);
	free(noise);
}
END_TEST

START_TEST(damage_anywhere_in_a_packed_body_is_found_and_hurts_nobody)
{
	size_t len = BODY_CHUNK_SIZE + 5000;
	char *plain = plain_make(len, false);
	struct packed p;
	char path[128];
	uint64_t state = 42;
	unsigned found = 0;

	packed_open(&p, slice_make(plain, len));
	(void)snprintf(path, sizeof(path), "%s/00000001.seg", p.dir);
	FILE *file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 300; i++) {
		long at = (long)p.handle.offset +
			(long)fixture_random(&state, (uint32_t)p.handle.stored_len);
		ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
		int byte = fgetc(file);
		ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
		fputc(byte ^ (1 << i % 8), file);
		fflush(file);
		struct body_reader *fresh = body_reader_new(p.files);
		/* A few bits of a frame's header mean nothing: then the bytes are still right. */
		enum fault fault = body_verify(fresh, &p.handle, p.info.checksum);
		ck_assert(fault == FAULT_DAMAGED || fault == FAULT_OK);
		found += fault == FAULT_DAMAGED;
		body_reader_free(fresh);
		ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
		fputc(byte, file);
		fflush(file);
	}
	ck_assert_uint_gt(found, 280);
	ck_assert_ok(body_verify(p.reader, &p.handle, p.info.checksum));
	fclose(file);
	packed_close(&p);
	free(plain);
}
END_TEST

START_TEST(impossible_lengths_are_refused)
{
	static const struct {
		uint8_t codec;
		uint64_t plain, stored;
		bool fits;
	} rows[] = {
		{BODY_RAW, 5, 5, true},
		{BODY_RAW, 5, 4, false},
		{BODY_ZSTD, 1000, 500, true},
		{BODY_ZSTD, 1000, 1001, false},
		{BODY_ZSTD, 1000, 4, false},
		{BODY_ZSTD, UINT64_MAX, 1, false},
		{2, 5, 5, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(body_lengths_fit(rows[i].codec, rows[i].plain, rows[i].stored) ==
				rows[i].fits,
			"row %zu", i);
}
END_TEST

START_TEST(uid_sets_merge_and_find)
{
	struct uid_set set = {0};
	struct uid_range mixed[] = {{9, 9}, {1, 3}, {5, 4}, {4, 6}, {2, 5}, {8, 8}};

	uid_set_add(&set, 1);
	uid_set_add(&set, 2);
	uid_set_add_range(&set, 5, 9);
	uid_set_add(&set, 7);
	uid_set_add_range(&set, 8, 11);
	ck_assert_uint_eq(set.count, 2);
	ck_assert_uint_eq(uid_set_total(&set), 9);
	ck_assert(uid_set_has(&set, 2) && !uid_set_has(&set, 3) && uid_set_has(&set, 11));
	ck_assert(!uid_set_has(&set, 0) && !uid_set_has(&set, 12));
	uid_set_add_range(&set, 20, UINT32_MAX);
	uid_set_add_range(&set, 5, UINT32_MAX);
	ck_assert_uint_eq(set.count, 3);
	uid_set_clear(&set);
	uid_set_clear(&set);
	ck_assert_uint_eq(uid_ranges_normalize(mixed, 6), 2);
	ck_assert_uint_eq(mixed[0].first, 1);
	ck_assert_uint_eq(mixed[0].last, 6);
	ck_assert_uint_eq(mixed[1].first, 8);
	ck_assert_uint_eq(mixed[1].last, 9);
}
END_TEST

UNIT(body)
{
	unit_add(tc, any_part_of_any_body_is_read_back);
	unit_add(tc, a_noisy_chunk_within_text_is_stored_as_it_is);
	unit_add(tc, damage_anywhere_in_a_packed_body_is_found_and_hurts_nobody);
	unit_add(tc, impossible_lengths_are_refused);
	unit_add(tc, uid_sets_merge_and_find);
}
