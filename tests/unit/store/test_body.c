/* SPDX-License-Identifier: ISC */
#include "common/store/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/dictionary.h"
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
		{256, false, BODY_ZSTD_TEXT1},
		{1000, false, BODY_ZSTD_TEXT1},
		{1000, true, BODY_RAW},
		{32 * 1024, false, BODY_ZSTD_TEXT1},
		{32 * 1024 + 1, false, BODY_ZSTD},
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

/* A small message; what it says is not in the dictionary. */
static const char small_mail[] =
	"Received: from quay.example ([192.0.2.7])\r\n\tby mx.example.com (Pabal) with ESMTPS id "
	"77;\r\n"
	"\tMon, 2 Nov 2026 08:15:00 +0100\r\nFrom: \"Ann\" <ann@quay.example>\r\nTo: "
	"ben@example.com\r\n"
	"Subject: Naxos\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
	"Content-Transfer-Encoding: 7bit\r\n\r\nThe kelp barge docked at dawn, jib torn.\r\n";

START_TEST(a_small_message_is_packed_by_what_mail_is_like)
{
	struct slice plain = slice_text(small_mail);
	struct packed p;
	char found[sizeof(small_mail)], other[sizeof(small_mail) + 64];

	packed_open(&p, plain);
	ck_assert_uint_eq(p.info.codec, BODY_ZSTD_TEXT1);
	size_t without = ZSTD_compress(other, sizeof(other), plain.data, plain.len, 1);
	ck_assert_uint_lt(p.info.stored_len, without * 3 / 4);
	for (size_t from = 0; from < plain.len; from += 7) {
		size_t len = plain.len - from < 30 ? plain.len - from : 30;
		ck_assert_ok(body_read(p.reader, &p.handle, from, (struct body_span){found, len}));
		ck_assert(memcmp(found, plain.data + from, len) == 0);
	}
	/* Read as the other codec it must not pass for something else. */
	p.handle.codec = BODY_ZSTD;
	ck_assert_fault(body_verify(p.reader, &p.handle, p.info.checksum), FAULT_DAMAGED);
	packed_close(&p);
}
END_TEST

/* A body that was packed before there was a dictionary. */
START_TEST(a_small_body_of_the_old_codec_is_read)
{
	struct slice plain = slice_text(small_mail);
	char stored[sizeof(small_mail) + 64], found[sizeof(small_mail)];
	size_t n = ZSTD_compress(stored + 4, sizeof(stored) - 4, plain.data, plain.len, 1);
	struct packed p;
	struct segment_record record = {.kind = SEGMENT_MAIL};
	struct segment_place place;

	ck_assert(!ZSTD_isError(n));
	put_u32(stored, (uint32_t)n);
	record.body = slice_make(stored, n + 4);
	packed_open(&p, plain);
	ck_assert_ok(segments_append(p.segments, &record, &place));
	struct body_handle old = {place.segment, BODY_ZSTD, segment_body_offset(&place, &record),
		record.body.len, plain.len};
	for (int i = 0; i < 3; i++) {
		ck_assert_ok(body_read(p.reader, &old, 0, (struct body_span){found, plain.len}));
		ck_assert(memcmp(found, plain.data, plain.len) == 0);
		ck_assert_ok(body_verify(p.reader, &p.handle, p.info.checksum));
	}
	packed_close(&p);
}
END_TEST

/* The bodies of every store need it as it is: if this fails, take the change of it back. */
START_TEST(the_dictionary_is_for_ever)
{
	static const uint8_t was[SEGMENT_CHECKSUM_SIZE] = {0x31, 0x39, 0x2e, 0x11, 0x68, 0x6e, 0x54,
		0x56, 0xd8, 0xab, 0xed, 0x28, 0xf3, 0x72, 0xaf, 0xcf};
	uint8_t is[SEGMENT_CHECKSUM_SIZE];

	ck_assert_uint_eq(dictionary_text1().len, 32965);
	body_checksum(dictionary_text1(), is);
	ck_assert_mem_eq(is, was, sizeof(was));
}
END_TEST

/* Flips a bit at a place of the stored body, reads all, flips it back. */
static enum fault
damage_judge(struct packed *p, FILE *file, uint64_t at, int bit)
{
	struct body_reader *fresh = body_reader_new(p->files);
	long place = (long)(p->handle.offset + at);

	ck_assert_int_eq(fseek(file, place, SEEK_SET), 0);
	int byte = fgetc(file);
	ck_assert_int_eq(fseek(file, place, SEEK_SET), 0);
	fputc(byte ^ (1 << bit), file);
	fflush(file);
	enum fault fault = body_verify(fresh, &p->handle, p->info.checksum);
	/* A few bits of a frame's header mean nothing: then the bytes are still right. */
	ck_assert(fault == FAULT_DAMAGED || fault == FAULT_OK);
	/* What is read without the checksum of the record is never wrong either. */
	char *found = malloc(p->handle.plain_len);
	struct body_span all = {found, p->handle.plain_len};
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	if (body_read(fresh, &p->handle, 0, all) == FAULT_OK) {
		body_checksum(slice_make(found, all.len), checksum);
		ck_assert_mem_eq(checksum, p->info.checksum, sizeof(checksum));
	}
	free(found);
	ck_assert_int_eq(fseek(file, place, SEEK_SET), 0);
	fputc(byte, file);
	fflush(file);
	body_reader_free(fresh);
	return fault;
}

static FILE *
segment_edit(const struct packed *p)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/00000001.seg", p->dir);
	FILE *file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	return file;
}

START_TEST(damage_anywhere_in_a_packed_body_is_found_and_hurts_nobody)
{
	size_t len = BODY_CHUNK_SIZE + 5000;
	char *plain = plain_make(len, false);
	struct packed p;
	uint64_t state = 42;
	unsigned found = 0;

	packed_open(&p, slice_make(plain, len));
	FILE *file = segment_edit(&p);
	for (int i = 0; i < 300; i++)
		found += damage_judge(&p, file,
				 fixture_random(&state, (uint32_t)p.handle.stored_len),
				 i % 8) == FAULT_DAMAGED;
	ck_assert_uint_gt(found, 280);
	ck_assert_ok(body_verify(p.reader, &p.handle, p.info.checksum));
	fclose(file);
	packed_close(&p);
	free(plain);
}
END_TEST

START_TEST(damage_of_every_bit_of_a_small_message_is_found)
{
	struct packed p;
	uint64_t found = 0;

	packed_open(&p, slice_text(small_mail));
	FILE *file = segment_edit(&p);
	for (uint64_t i = 0; i < p.handle.stored_len * 8; i++)
		found += damage_judge(&p, file, i / 8, (int)(i % 8)) == FAULT_DAMAGED;
	ck_assert_uint_gt(found, p.handle.stored_len * 8 - 8);
	fclose(file);
	packed_close(&p);
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
		{BODY_ZSTD_TEXT1, 1000, 500, true},
		{BODY_ZSTD_TEXT1, 1000, 4, false},
		{BODY_ZSTD_TEXT1, 0, 0, false},
		{3, 5, 5, false},
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
	unit_add(tc, a_small_message_is_packed_by_what_mail_is_like);
	unit_add(tc, a_small_body_of_the_old_codec_is_read);
	unit_add(tc, the_dictionary_is_for_ever);
	unit_add(tc, damage_of_every_bit_of_a_small_message_is_found);
	unit_add(tc, damage_anywhere_in_a_packed_body_is_found_and_hurts_nobody);
	unit_add(tc, impossible_lengths_are_refused);
	unit_add(tc, uid_sets_merge_and_find);
}
