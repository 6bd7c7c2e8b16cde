/* SPDX-License-Identifier: ISC */
/*
 * Measures the store by itself, in one thread: store_bench DIRECTORY [MESSAGES].  DIRECTORY must
 * exist and be empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/base/memfd.h"
#include "common/store/reader.h"
#include "common/store/writer.h"

enum { BATCH = 64, BODY = 10 * 1024, ACCOUNTS = 100 };

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
must(enum fault fault, const char *what)
{
	if (fault == FAULT_OK)
		return;
	fprintf(stderr, "store_bench: %s: %s\n", what, fault_text(fault));
	exit(1);
}

static void
show(const char *what, uint32_t count, double start)
{
	double seconds = now() - start;

	printf("%-44s %10.2f ms %12.0f/s\n", what, seconds * 1e3, count / seconds);
}

/* Half text, half noise: packs like mail. */
static struct slice
body_make(struct body_packer *packer, struct body_info *info)
{
	static char plain[BODY];
	struct slice stored;
	enum fault fault;
	int fd = memfd_open("bench", &fault);

	must(fault, "memfd");
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = i % 4 != 0 ? "Lorem ipsum dolor sit amet\r\n"[i % 28] : (char)rand();
	must(body_pack(packer, slice_make(plain, sizeof(plain)), fd, info), "pack");
	must(memfd_seal(fd), "seal");
	must(memfd_map(fd, SIZE_MAX, &stored), "map");
	close(fd);
	return stored;
}

static void
append(struct store_writer *w, struct slice body, const struct body_info *info, uint64_t account)
{
	static const char structure[600];
	struct writer_target target = {.account = account,
		.mailbox = STORE_INBOX,
		.make_account = true,
		.received_at = 1700000000,
		.prefix = SLICE("Return-Path: <someone@example.org>\r\n"
				"Delivered-To: somebody@example.net\r\n")};
	uint64_t hashes[2] = {(uint64_t)rand() << 31 | (uint64_t)rand(), 7};
	struct writer_append a = {
		slice_make(structure, sizeof(structure)), body, *info, hashes, 2, &target, 1};

	for (int i = 0; i < STORE_DELIVERY_ID_SIZE; i++)
		target.delivery_id[i] = (uint8_t)rand();
	writer_append(w, &a);
	must(target.fault, "append");
}

static void
bench_append(struct store_writer *w, uint32_t count, uint32_t accounts, const char *what)
{
	struct body_packer *packer = body_packer_new();
	struct body_info info;
	struct slice body = body_make(packer, &info);
	double start = now();

	for (uint32_t i = 0; i < count; i += BATCH) {
		must(writer_begin(w), "begin");
		for (uint32_t j = 0; j < BATCH; j++)
			append(w, body, &info, 1 + (i + j) % accounts);
		must(writer_commit(w), "commit");
	}
	show(what, count, start);
	start = now();
	for (int i = 0; i < 1000; i++) {
		must(writer_begin(w), "begin");
		append(w, body, &info, 1);
		must(writer_commit(w), "commit");
	}
	show("append 1000, a commit each", 1000, start);
	memfd_unmap(&body);
	body_packer_free(packer);
}

static void
bench_pack(void)
{
	struct body_packer *packer = body_packer_new();
	struct body_info info;
	double start = now();

	for (int i = 0; i < 2000; i++) {
		struct slice body = body_make(packer, &info);
		memfd_unmap(&body);
	}
	show("make and pack 10 KiB", 2000, start);
	printf("  packed to %.0f%%\n", 100.0 * (double)info.stored_len / BODY);
	body_packer_free(packer);
}

static void
bench_read(struct store_reader *r, uint32_t count)
{
	struct store_mailbox m;
	struct store_message message;
	struct store_content content;
	struct reader_walk walk;
	struct uid_set uids = {0};
	static char bytes[BODY + STORE_PREFIX_MAX];
	struct slice structure;
	uint32_t seen = 0;
	double start = now();

	must(reader_begin(r), "begin");
	for (int i = 0; i < 1000; i++)
		must(reader_mailbox_by_name(r, 1, SLICE("INBOX"), &m), "mailbox");
	show("1000 mailbox look-ups (SELECT, STATUS)", 1000, start);
	start = now();
	must(reader_uids(r, 1, STORE_INBOX, 0, &uids), "uids");
	show("all UIDs", m.exists, start);
	uid_set_clear(&uids);
	for (int parts = 0; parts < 3; parts++) {
		start = now();
		seen = 0;
		reader_walk_open(r, 1, STORE_INBOX, &walk);
		for (bool more = reader_walk_seek(&walk, 0, &message); more;
			more = reader_walk_next(&walk, &message), seen++) {
			if (parts == 1)
				must(reader_structure(r, &message, &structure), "structure");
			if (parts == 2 && seen < count) {
				must(reader_content(r, &message, &content), "content");
				must(reader_read(r, &content, 0,
					     (struct body_span){bytes, content.prefix_len + BODY}),
					"read");
			}
			if (parts == 2 && seen >= count)
				break;
		}
		must(reader_walk_close(&walk), "walk");
		show(parts == 0		     ? "walk (FETCH FLAGS)"
				: parts == 1 ? "walk with structures"
					     : "walk with bodies (5000)",
			seen, start);
	}
	reader_end(r);
}

static void
bench_change(struct store_writer *w, uint32_t count)
{
	struct uid_range range = {1, count};
	struct writer_flags flags = {
		.uids = {1, STORE_INBOX, &range, 1}, .verb = WRITER_FLAGS_ADD, .flags = STORE_SEEN};
	struct writer_copy copy = {.uids = {1, STORE_INBOX, &range, 1}, .to = 2};
	struct writer_copy move = {.uids = {1, 2, NULL, 0}, .to = 3};
	struct writer_expunge expunge = {.uids = {1, 3, NULL, 0}};
	double start = now();

	must(writer_begin(w), "begin");
	must(writer_flags_store(w, &flags), "flags");
	must(writer_commit(w), "commit");
	show("STORE", count, start);
	start = now();
	must(writer_begin(w), "begin");
	must(writer_copy(w, &copy), "copy");
	must(writer_commit(w), "commit");
	show("COPY", count, start);
	start = now();
	must(writer_begin(w), "begin");
	must(writer_move(w, &move), "move");
	must(writer_commit(w), "commit");
	show("MOVE", count, start);
	start = now();
	must(writer_begin(w), "begin");
	must(writer_expunge(w, &expunge), "expunge");
	must(writer_commit(w), "commit");
	show("EXPUNGE", count, start);
	uid_set_clear(&flags.changed);
	uid_set_clear(&copy.copied);
	uid_set_clear(&move.copied);
	uid_set_clear(&expunge.expunged);
}

int
main(int argc, char **argv)
{
	struct store_options options = {0};
	struct store_writer *w;
	uint64_t count = 100000;

	if (argc < 2 || (argc > 2 && !slice_parse_u64(slice_text(argv[2]), 10000000, &count))) {
		fprintf(stderr, "usage: store_bench DIRECTORY [MESSAGES]\n");
		return 2;
	}
	must(writer_open(argv[1], &options, &w), "open");
	bench_append(w, 20032, ACCOUNTS, "append 10 KiB, 64 a commit, 100 accounts");
	bench_append(
		w, (uint32_t)count / BATCH * BATCH, 1, "append 10 KiB, 64 a commit, one account");
	bench_read(writer_reader(w), 5000);
	bench_change(w, 10000);
	bench_pack();
	writer_close(w);
	return 0;
}
