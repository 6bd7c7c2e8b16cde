/* SPDX-License-Identifier: ISC */
/*
 * What a damaged or hostile disk may give the store's readers: records of the index, headers of
 * segments, packed bodies, sealed ones; and mailbox names as clients send them.  The first byte
 * picks one.
 */
#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/body.h"
#include "common/store/index.h"
#include "common/store/seal.h"
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

/* Reads stored bytes as a body of the claimed length; true when all of it could be read. */
static bool
body_reads(struct slice stored, uint8_t codec, uint64_t claimed, struct seal_opener *opener)
{
	static char plain[3 * BODY_CHUNK_SIZE];
	struct segment_files *files;
	bool whole = true;

	segment_write(stored);
	if (segment_files_open(directory, 1, &files) != FAULT_OK)
		abort();
	struct body_reader *reader = body_reader_new(files);
	body_reader_use_key(reader, opener);
	struct body_handle handle = {1, codec, 0, stored.len, claimed};
	for (uint64_t from = 0; from < claimed; from += claimed / 3 + 1)
		whole &= body_read(reader, &handle, from,
				 (struct body_span){plain, (size_t)(claimed - from)}) == FAULT_OK;
	body_reader_free(reader);
	segment_files_close(files);
	return whole;
}

static uint64_t
claimed_len(struct slice bytes)
{
	return ((uint64_t)(uint8_t)bytes.data[0] << 8 | (uint8_t)bytes.data[1]) * 11;
}

/* Two bytes say how long the body claims to be; the rest is the stored body. */
static void
fuzz_body(struct slice bytes, enum body_codec codec)
{
	if (bytes.len >= 3)
		(void)body_reads(slice_after(bytes, 2), (uint8_t)codec, claimed_len(bytes), NULL);
}

/* One account for all inputs. */
static struct seal_content content;
static struct seal_opener *opener;

static void
account_make(void)
{
	static const struct seal_source source = {&clock_system, &entropy_system};
	uint8_t public_key[SEAL_KEY_LEN], private_key[SEAL_KEY_LEN];

	if (opener != NULL)
		return;
	if (sodium_init() < 0 || crypto_box_keypair(public_key, private_key) != 0 ||
		seal_content_refresh(&content, &source, public_key) != FAULT_OK)
		abort();
	opener = seal_opener_new(slice_make(private_key, sizeof private_key));
}

static struct slice
seal_body(struct slice packed, uint8_t codec, uint64_t claimed)
{
	static char stored[SEAL_HEADER_LEN + 4 * (SEAL_CHUNK_SIZE + SEAL_TAG_LEN)];
	struct seal_part part = {SEAL_BODY, codec, packed.len, claimed};
	struct sealing s;

	seal_begin(&content, &entropy_system, &s);
	memcpy(stored, s.header, SEAL_HEADER_LEN);
	for (uint64_t i = 0; i * SEAL_CHUNK_SIZE < packed.len; i++)
		seal_chunk(&s, &part, i,
			slice_make(packed.data + i * SEAL_CHUNK_SIZE, seal_chunk_len(&part, i)),
			stored + seal_chunk_offset(i));
	return slice_make(stored, (size_t)seal_stored_len(packed.len));
}

/*
 * Anybody can seal what he likes to a public key: what opens is hostile still.  Two bytes for the
 * length, one for the codec, two that pick a byte to be changed afterwards; then the packed body.
 */
static void
fuzz_sealed_body(struct slice bytes)
{
	if (bytes.len < 6 || bytes.len > 3 * SEAL_CHUNK_SIZE)
		return;
	account_make();
	struct slice packed = slice_after(bytes, 5);
	uint8_t codec = (uint8_t)bytes.data[2] % 3;
	uint64_t claimed = codec == BODY_RAW ? packed.len : claimed_len(bytes);
	struct slice stored = seal_body(packed, codec, claimed);
	bool opens = body_reads(stored, codec | BODY_SEALED, claimed, opener);
	assert(opens || codec != BODY_RAW);
	assert(!body_reads(stored, codec | BODY_SEALED, claimed, NULL) || claimed == 0);
	char *changed = (char *)(uintptr_t)stored.data + get_u16(bytes.data + 3) % stored.len;
	*changed ^= 1;
	assert(!body_reads(stored, codec | BODY_SEALED, claimed, opener) || claimed == 0);
}

/* As stored, behind the header of a box that opens or not; and sealed, when it opens as it was. */
static void
fuzz_sealed_structure(struct slice bytes)
{
	struct buffer sealed, opened;
	struct sealing s;

	account_make();
	buffer_init(&sealed, 1024 * 1024);
	buffer_init(&opened, 1024 * 1024);
	assert(seal_open_structure(opener, bytes, &opened) != FAULT_OK);
	seal_begin(&content, &entropy_system, &s);
	buffer_add(&sealed, s.header, sizeof s.header);
	buffer_add_slice(&sealed, bytes);
	assert(seal_open_structure(opener, buffer_slice(&sealed), &opened) != FAULT_OK);
	buffer_reset(&sealed);
	seal_structure(&s, bytes, &sealed);
	assert(seal_open_structure(opener, buffer_slice(&sealed), &opened) == FAULT_OK);
	assert(slice_equal(buffer_slice(&opened), bytes));
	buffer_clear(&sealed);
	buffer_clear(&opened);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);

	if (size == 0)
		return 0;
	switch (data[0] % 8) {
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
	case 5:
		fuzz_body(slice_after(bytes, 1), BODY_ZSTD_TEXT1);
		break;
	case 6:
		fuzz_sealed_body(slice_after(bytes, 1));
		break;
	default:
		fuzz_sealed_structure(slice_after(bytes, 1));
	}
	return 0;
}
