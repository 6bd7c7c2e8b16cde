/* SPDX-License-Identifier: ISC */
/*
 * What a damaged or hostile disk may give the store's readers: records of the index, headers of
 * segments, packed bodies; and mailbox names as clients send them.  The first byte picks one.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/store/body.h"
#include "common/store/index.h"
#include "common/store/segment_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_name(struct slice text)
{
	struct store_name name, again;
	struct slice parent, last;

	if (store_name_parse(text, &name) != FAULT_OK)
		return;
	/* What is canonical stays as it is, and splits into names. */
	assert(store_name_parse(store_name_slice(&name), &again) == FAULT_OK);
	assert(slice_equal(store_name_slice(&name), store_name_slice(&again)));
	store_name_split(store_name_slice(&name), &parent, &last);
	assert(last.len > 0 && last.len <= STORE_LEVEL_MAX);
}

static void
fuzz_message(struct slice bytes)
{
	uint8_t encoded[INDEX_MESSAGE_SIZE];
	struct slice key = slice_first(bytes, 16), value = slice_after(bytes, 16);
	struct store_message m;

	if (index_message_decode(key, value, &m) != FAULT_OK)
		return;
	/* The last three bytes are reserved. */
	index_message_encode(&m, encoded);
	assert(memcmp(encoded, value.data, INDEX_MESSAGE_SIZE - 3) == 0);
	assert(m.size >= m.prefix_len && m.prefix_len <= STORE_PREFIX_MAX);
}

static void
fuzz_records(struct slice bytes)
{
	struct store_account account;
	struct store_mailbox mailbox;
	struct store_change change;
	struct index_body body;
	struct index_segment segment;
	struct index_delivered delivered;

	(void)!index_account_decode(slice_first(bytes, 8), slice_after(bytes, 8), &account);
	if (index_mailbox_decode(slice_first(bytes, 12), slice_after(bytes, 12), &mailbox) ==
		FAULT_OK)
		assert(mailbox.name_len > 0 && mailbox.name_len <= STORE_LEVEL_MAX);
	(void)!index_change_decode(slice_first(bytes, 24), slice_after(bytes, 24), &change);
	(void)!index_body_decode(bytes, &body);
	(void)!index_segment_decode(bytes, &segment);
	(void)!index_delivered_decode(bytes, &delivered);
}

static void
fuzz_header(struct slice bytes)
{
	uint8_t header[SEGMENT_HEADER_SIZE] = {0};
	struct segment_record record;

	if (bytes.len > sizeof(header))
		bytes.len = sizeof(header);
	if (bytes.len > 0)
		memcpy(header, bytes.data, bytes.len);
	if (segment_header_decode(header, NULL, &record) == FAULT_OK)
		assert(segment_record_length(&record) >= SEGMENT_HEADER_SIZE);
}

static char directory[] = "/tmp/pabal-fuzz-XXXXXX";

static void
directory_remove(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/00000001.seg", directory);
	(void)unlink(path);
	(void)rmdir(directory);
}

static void
segment_write(struct slice bytes)
{
	static bool made;
	char path[64];

	if (!made && mkdtemp(directory) == NULL)
		abort();
	if (!made)
		atexit(directory_remove);
	made = true;
	(void)snprintf(path, sizeof(path), "%s/00000001.seg", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes.data, bytes.len) != (ssize_t)bytes.len)
		abort();
	close(fd);
}

/* Two bytes say how long the body claims to be; the rest is the stored body. */
static void
fuzz_body(struct slice bytes, enum body_codec codec)
{
	static char plain[3 * BODY_CHUNK_SIZE];
	struct segment_files *files;

	if (bytes.len < 3)
		return;
	uint64_t claimed = ((uint64_t)(uint8_t)bytes.data[0] << 8 | (uint8_t)bytes.data[1]) * 11;
	bytes = slice_after(bytes, 2);
	segment_write(bytes);
	if (segment_files_open(directory, 1, &files) != FAULT_OK)
		abort();
	struct body_reader *reader = body_reader_new(files);
	struct body_handle handle = {1, (uint8_t)codec, 0, bytes.len, claimed};
	for (uint64_t from = 0; from < claimed; from += claimed / 3 + 1)
		(void)!body_read(
			reader, &handle, from, (struct body_span){plain, (size_t)(claimed - from)});
	body_reader_free(reader);
	segment_files_close(files);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);

	if (size == 0)
		return 0;
	switch (data[0] % 6) {
	case 0:
		fuzz_name(slice_after(bytes, 1));
		break;
	case 1:
		fuzz_message(slice_after(bytes, 1));
		break;
	case 2:
		fuzz_records(slice_after(bytes, 1));
		break;
	case 3:
		fuzz_header(slice_after(bytes, 1));
		break;
	case 4:
		fuzz_body(slice_after(bytes, 1), BODY_ZSTD);
		break;
	default:
		fuzz_body(slice_after(bytes, 1), BODY_ZSTD_TEXT1);
	}
	return 0;
}
