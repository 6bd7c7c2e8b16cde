/* SPDX-License-Identifier: ISC */
/*
 * What is left in the memory of a process when a session that has read sealed mail is gone: the
 * process looks through its own heap.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memfd.h"
#include "common/store/package.h"
#include "common/store/seal.h"
#include "tests/unit/store/fixture.h"

enum { MARK_LEN = 24, MASK = 0x5a };

/* Never in clear anywhere but in the message. */
static const uint8_t masked[MARK_LEN] = "what only the eye sees!";
static struct fixture f; /* of the process that writes */
static char *dir; /* its store; the memory of this is shared */

static bool
is_mark(const char *at)
{
	for (size_t i = 0; i < MARK_LEN; i++)
		if (((uint8_t)at[i] ^ MASK) != masked[i])
			return false;
	return true;
}

__attribute__((no_sanitize("address"))) static size_t
marks_between(const char *from, const char *to)
{
	size_t count = 0;

	for (const char *at = from; at + MARK_LEN <= to; at++)
		count += is_mark(at);
	return count;
}

/* In all memory of this process that it can write and shares with nobody. */
static size_t
marks_in_memory(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned long from, to;
	size_t count = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof line, maps) != NULL)
		if (unit_is_private_memory(line, &from, &to))
			count += marks_between((const char *)from, (const char *)to);
	(void)fclose(maps);
	return count;
}

static void
fill_mark(char *at)
{
	for (size_t i = 0; i < MARK_LEN; i++)
		at[i] = (char)(masked[i] ^ MASK);
}

/*
 * The mark in the first line and the last, in noise, which zstd leaves alone: what it keeps of a
 * frame in memory of its own is out of our reach.  A body that packs goes on with words.
 */
static void
message_make(char *message, size_t len, bool packs)
{
	static const char head[] = "Subject: marked\r\n\r\n", words[] = "words and more words\r\n";
	size_t at = sizeof head - 1;

	randombytes_buf(message, len);
	memcpy(message, head, at);
	for (size_t i = BODY_CHUNK_SIZE; packs && i < len; i++)
		message[i] = words[i % (sizeof words - 1)];
	fill_mark(message + at);
	fill_mark(message + len - MARK_LEN);
}

static uint32_t
append(const struct seal_content *content, size_t len, bool packs)
{
	struct package plain, sealed;
	struct slice bytes;
	struct writer_target target = {
		.account = ALICE, .mailbox = STORE_INBOX, .prefix = SLICE("")};
	struct writer_append request = {.targets = &target, .target_count = 1};
	char *message = malloc(len);

	ck_assert_ptr_nonnull(message);
	message_make(message, len, packs);
	ck_assert_ok(package_make(f.packer, slice_make(message, len), &plain));
	ck_assert_int_eq(plain.body.codec != BODY_RAW, packs);
	ck_assert_ok(package_seal(&plain, content, &entropy_system, &sealed));
	ck_assert_ok(memfd_map(sealed.fd, SIZE_MAX, &bytes));
	request.structure = slice_first(bytes, sealed.structure_len);
	request.body = slice_after(bytes, sealed.structure_len);
	request.info = sealed.body;
	fixture_begin(&f);
	writer_append(f.writer, &request);
	fixture_commit(&f);
	ck_assert_ok(target.fault);
	memfd_unmap(&bytes);
	package_clear(&plain);
	package_clear(&sealed);
	secret_wipe(message, len);
	free(message);
	return target.uid;
}

/* Reads len bytes at offset; how often the mark is in memory while the reader has the key. */
static size_t
marks_while_read(struct store_reader *reader, uint32_t uid, uint64_t offset, size_t len)
{
	static struct store_content content;
	struct store_message m;
	char *bytes = malloc(len);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_ok(reader_begin(reader));
	ck_assert_ok(reader_message(reader, ALICE, STORE_INBOX, uid, &m));
	ck_assert_ok(reader_content(reader, &m, &content));
	reader_end(reader);
	ck_assert_ok(reader_read(reader, &content, offset, (struct body_span){bytes, len}));
	secret_wipe(bytes, len);
	free(bytes);
	return marks_in_memory();
}

/* Bodies of one sealed chunk and of many, raw and packed. */
static const struct {
	size_t len, offset;
	bool packs;
} bodies[] = {{4000, 10, false}, {3 * SEAL_CHUNK_SIZE, 3 * SEAL_CHUNK_SIZE - 40, false},
	{3 * BODY_CHUNK_SIZE, 10, true}};

enum { BODIES = sizeof bodies / sizeof bodies[0] };

/* In a process of its own, whose memory goes with it. */
static void
store_make(const uint8_t *public_key)
{
	static const struct seal_source source = {&clock_system, &entropy_system};
	struct seal_content content = {0};
	int status;
	pid_t pid;

	dir = mmap(NULL, sizeof f.dir, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(dir, MAP_FAILED);
	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fixture_open(&f);
		ck_assert_ok(seal_content_refresh(&content, &source, public_key));
		for (size_t i = 0; i < BODIES; i++)
			ck_assert_uint_eq(append(&content, bodies[i].len, bodies[i].packs), i + 1);
		writer_close(f.writer);
		memcpy(dir, f.dir, sizeof f.dir);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(nothing_of_sealed_mail_stays_when_its_key_is_gone)
{
	uint8_t public_key[SEAL_KEY_LEN], private_key[SEAL_KEY_LEN];
	struct store_reader *reader;

	ck_assert_int_ge(sodium_init(), 0);
	ck_assert_int_eq(crypto_box_keypair(public_key, private_key), 0);
	store_make(public_key);
	ck_assert_ok(reader_open(dir, &reader));
	ck_assert_uint_eq(marks_in_memory(), 0);
	for (uint32_t i = 0; i < BODIES; i++) {
		struct seal_opener *opener = seal_opener_new(slice_make(private_key, SEAL_KEY_LEN));
		ck_assert_ptr_nonnull(opener);
		reader_use_key(reader, opener);
		ck_assert_uint_gt(marks_while_read(reader, i + 1, bodies[i].offset, 35), 0);
		reader_use_key(reader, NULL);
		seal_opener_free(opener);
		ck_assert_msg(marks_in_memory() == 0, "body %u is still in memory", i);
	}
	reader_close(reader);
	fixture_dir_remove(dir);
	(void)munmap(dir, sizeof f.dir);
}
END_TEST

UNIT(seal_memory)
{
	/* The address sanitizer watches who looks. */
	if (HAS_ASAN)
		puts("skipped: seal_memory, the address sanitizer watches who looks through "
		     "memory");
	else
		unit_add(tc, nothing_of_sealed_mail_stays_when_its_key_is_gone);
}
