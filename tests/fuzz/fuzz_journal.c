/* SPDX-License-Identifier: ISC */
/*
 * The log as a damaged disk may give it: the body of a record of changes, by itself and put into
 * an index, and rows of records with damage in between, as recovery, salvage and verify walk them.
 * The first byte picks one.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/index.h"
#include "common/store/journal_private.h"
#include "common/store/journal_walk.h"
#include "common/store/log_scan.h"
#include "common/store/segment_format.h"

enum { RECORD_FIELDS = 8, LOG_MAX = 256 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/pabal-fuzz-XXXXXX";

static void
directory_remove(void)
{
	static const char *const names[] = {"00000001.seg", "data.mdb", "lock.mdb"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(directory);
}

static void
directory_ensure(void)
{
	static bool made;

	if (!made && mkdtemp(directory) == NULL)
		abort();
	if (!made)
		atexit(directory_remove);
	made = true;
}

static enum fault
change_encode(void *arg, const struct journal_logged *l)
{
	struct kv_change change = l->change;
	char *value = NULL;

	assert(change.table < INDEX_TABLE_COUNT);
	if (l->is_stored && l->value_len > LOG_MAX)
		return FAULT_TOO_BIG;
	/* Of a stored value only the length is told. */
	if (l->is_stored) {
		value = calloc(1, l->value_len + 1);
		assert(value != NULL);
		change.value = slice_make(value, l->value_len);
		journal_stored_encode(arg, &change, &l->value_at);
	} else {
		journal_change_encode(arg, &change);
	}
	free(value);
	return FAULT_OK;
}

/* What can be read says the same when it is written again. */
static void
fuzz_changes(struct slice in)
{
	struct buffer out;

	buffer_init(&out, LOG_MAX + in.len);
	if (journal_changes_each(in, INDEX_TABLE_COUNT, change_encode, &out) == FAULT_OK)
		assert(slice_equal(buffer_slice(&out), in));
	buffer_clear(&out);
}

static void
segment_write(struct slice bytes)
{
	char path[64];

	directory_ensure();
	(void)snprintf(path, sizeof(path), "%s/00000001.seg", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes.data, bytes.len) != (ssize_t)bytes.len)
		abort();
	close(fd);
}

/* Into an index, which is dropped afterwards. */
static void
fuzz_apply(struct slice in)
{
	static struct kv *kv;
	struct kv_options options = {.tables = index_tables, .lazy = true};
	struct journal_reading reading = {.tables = INDEX_TABLE_COUNT};
	struct kv_txn txn;

	segment_write(slice_first(in, 64));
	if (kv == NULL && kv_open(directory, &options, &kv) != FAULT_OK)
		abort();
	if (segment_files_open(directory, 1, &reading.files) != FAULT_OK ||
		kv_begin_write(kv, &txn) != FAULT_OK)
		abort();
	(void)!journal_changes_apply(&txn, &reading, in);
	kv_abort(&txn);
	segment_files_close(reading.files);
}

/* One record of a few fields; how many of them are wrong is for the fuzzer to say. */
static size_t
record_make(struct slice *in, char *out)
{
	static uint8_t chain[JOURNAL_CHAIN_SIZE], digest[JOURNAL_CHAIN_SIZE];
	const uint8_t *f = (const uint8_t *)in->data;
	uint8_t prefix[2 * JOURNAL_CHAIN_SIZE];
	struct segment_record r = {.kind = f[0] % 6,
		.codec = f[1] % 3,
		.mailbox = f[2] % 2,
		.email_id = f[3],
		.account = f[4],
		.uid = f[4],
		.body_id = f[5]};

	memcpy(prefix, chain, sizeof(chain));
	memcpy(prefix + sizeof(chain), digest, sizeof(digest));
	*in = slice_after(*in, RECORD_FIELDS);
	r.prefix = slice_first(slice_make(prefix, sizeof(prefix)), f[6] % 64);
	r.body = slice_first(*in, f[7]);
	r.plain_len = r.body.len;
	*in = slice_after(*in, r.body.len);
	body_checksum(r.body, r.checksum);
	size_t len = (size_t)segment_record_length(&r);
	memset(out, 0, len);
	segment_header_encode(&r, NULL, (uint8_t *)out);
	memcpy(out + SEGMENT_HEADER_SIZE, r.prefix.data, r.prefix.len);
	if (r.body.len > 0)
		memcpy(out + SEGMENT_HEADER_SIZE + r.prefix.len, r.body.data, r.body.len);
	return len;
}

static void
log_walk(uint64_t len)
{
	struct journal_point none = {0};
	struct journal_walk walk;
	struct log_scan scan;
	struct segment_files *files;
	enum log_found found = LOG_MORE;
	uint64_t seen = 0;

	if (segment_files_open(directory, 2, &files) != FAULT_OK)
		abort();
	struct body_reader *bodies = body_reader_new(files);
	assert(bodies != NULL);
	log_scan_init(&scan, files, (struct segment_tail){1, len});
	while (found != LOG_END) {
		enum fault fault = log_scan_next(&scan, &found);
		assert(fault == FAULT_OK);
		/* Every byte is told once, in order. */
		if (found == LOG_RECORD || found == LOG_DAMAGE) {
			assert(scan.place.offset == seen && scan.place.length > 0);
			seen += scan.place.length;
		}
	}
	assert(seen == len);
	journal_walk_init(&walk, files, bodies, &none);
	while (journal_walk_commit(&walk, NULL, NULL) == FAULT_OK)
		assert(walk.point.tail.length <= len);
	(void)journal_walk_has_later(&walk, 0);
	body_reader_free(bodies);
	segment_files_close(files);
}

/* Two bytes: where to damage the row; then records. */
static void
fuzz_log(struct slice in)
{
	static char bytes[LOG_MAX];
	size_t len = 0;

	if (in.len < 3)
		return;
	size_t damage = get_u16(in.data);
	in = slice_after(in, 2);
	while (in.len >= RECORD_FIELDS && len < LOG_MAX - 1024)
		len += record_make(&in, bytes + len);
	if (damage < len)
		bytes[damage] ^= 0x20;
	/* And what is left, as it is. */
	memcpy(bytes + len, in.data, in.len);
	len += in.len;
	segment_write(slice_make(bytes, len));
	log_walk(len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);

	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		fuzz_changes(slice_after(bytes, 1));
		break;
	case 1:
		fuzz_apply(slice_after(bytes, 1));
		break;
	default:
		fuzz_log(slice_after(bytes, 1));
	}
	return 0;
}
