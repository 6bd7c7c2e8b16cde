/* SPDX-License-Identifier: ISC */
/*
 * The checkpoint file: two slots with the same record.
 *
 *	  0 magic 4 | version 2 | suspect 1 | zero 1 | serial 8 | boot id 16
 *	 32 sequence 8 | segment 4 | zero 4 | length 8 | chain 16
 *	 72 page size 4 | zero 4 | LMDB's two metas 512 each
 *	1104 checksum 16, over all before it
 */
#include "common/store/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include "common/base/bytes.h"

#define MAGIC UINT32_C(0x5042434b) /* "PBCK" */

enum {
	VERSION = 1,
	METAS_AT = 80,
	CHECKSUM_AT = METAS_AT + 2 * KV_META_SIZE,
	CHECKSUM_SIZE = 16,
	RECORD_SIZE = CHECKSUM_AT + CHECKSUM_SIZE,
	BOOT_TEXT = 36, /* 32 hexadecimal digits and four hyphens */
};

static void
checksum(const uint8_t *record, uint8_t sum[static CHECKSUM_SIZE])
{
	crypto_generichash(sum, CHECKSUM_SIZE, record, CHECKSUM_AT, NULL, 0);
}

static void
encode(const struct checkpoint *c, uint8_t record[static RECORD_SIZE])
{
	memset(record, 0, RECORD_SIZE);
	put_u32(record, MAGIC);
	put_u16(record + 4, VERSION);
	record[6] = c->suspect;
	put_u64(record + 8, c->serial);
	memcpy(record + 16, c->boot_id, JOURNAL_BOOT_SIZE);
	put_u64(record + 32, c->point.sequence);
	put_u32(record + 40, c->point.tail.segment);
	put_u64(record + 48, c->point.tail.length);
	memcpy(record + 56, c->point.chain, JOURNAL_CHAIN_SIZE);
	put_u32(record + 72, c->metas.page_size);
	memcpy(record + METAS_AT, c->metas.pages, sizeof(c->metas.pages));
	checksum(record, record + CHECKSUM_AT);
}

static enum fault
decode(const uint8_t record[static RECORD_SIZE], struct checkpoint *c)
{
	uint8_t sum[CHECKSUM_SIZE];

	checksum(record, sum);
	if (get_u32(record) != MAGIC || memcmp(sum, record + CHECKSUM_AT, CHECKSUM_SIZE) != 0)
		return FAULT_DAMAGED;
	if (get_u16(record + 4) > VERSION)
		return FAULT_UNSUPPORTED;
	*c = (struct checkpoint){
		.suspect = record[6] != 0,
		.serial = get_u64(record + 8),
		.point = {.sequence = get_u64(record + 32),
			.tail = {get_u32(record + 40), get_u64(record + 48)}},
	};
	memcpy(c->boot_id, record + 16, JOURNAL_BOOT_SIZE);
	memcpy(c->point.chain, record + 56, JOURNAL_CHAIN_SIZE);
	c->metas.page_size = get_u32(record + 72);
	memcpy(c->metas.pages, record + METAS_AT, sizeof(c->metas.pages));
	return FAULT_OK;
}

static enum fault
slot_read(int file, unsigned slot, struct checkpoint *c)
{
	uint8_t record[RECORD_SIZE];
	ssize_t n = pread(file, record, sizeof(record), (off_t)slot * CHECKPOINT_SLOT);

	if (n < 0)
		return fault_from_errno(errno);
	return n == RECORD_SIZE ? decode(record, c) : FAULT_DAMAGED;
}

enum fault
checkpoint_read(int file, struct checkpoint *c)
{
	struct checkpoint second;
	enum fault fault = slot_read(file, 0, c), other = slot_read(file, 1, &second);

	if (fault == FAULT_UNSUPPORTED || other == FAULT_UNSUPPORTED)
		return FAULT_UNSUPPORTED;
	if (other == FAULT_OK && (fault != FAULT_OK || second.serial > c->serial)) {
		*c = second;
		return FAULT_OK;
	}
	if (fault == FAULT_OK)
		c->weak_slot = other != FAULT_OK || second.serial < c->serial;
	if (fault == FAULT_DAMAGED && lseek(file, 0, SEEK_END) < CHECKPOINT_SLOT)
		return FAULT_NOT_FOUND;
	return fault;
}

enum fault
checkpoint_write(int file, struct checkpoint *c)
{
	uint8_t record[RECORD_SIZE];

	encode(c, record);
	for (int i = 0; i < 2; i++, c->weak_slot ^= 1) {
		ssize_t n =
			pwrite(file, record, sizeof(record), (off_t)c->weak_slot * CHECKPOINT_SLOT);
		if (n < 0)
			return fault_from_errno(errno);
		if (n != RECORD_SIZE)
			return FAULT_NO_SPACE;
		if (fdatasync(file) < 0)
			return fault_from_errno(errno);
	}
	return FAULT_OK;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of this start of the machine, once it was asked for. */
static struct {
	bool is_known;
	uint8_t id[JOURNAL_BOOT_SIZE];
} boot;

static bool
boot_id_read(uint8_t id[static JOURNAL_BOOT_SIZE])
{
	char text[BOOT_TEXT];
	unsigned digits = 0;
	int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = file >= 0 ? read(file, text, sizeof(text)) : -1;

	if (file >= 0)
		close(file);
	memset(id, 0, JOURNAL_BOOT_SIZE);
	for (ssize_t i = 0; i < n && digits < 2 * JOURNAL_BOOT_SIZE; i++) {
		int value = hex_value(text[i]);
		if (value < 0)
			continue;
		id[digits / 2] |= (uint8_t)(value << (digits % 2 == 0 ? 4 : 0));
		digits++;
	}
	return digits == 2 * JOURNAL_BOOT_SIZE;
}

void
journal_preload(void)
{
	if (!boot.is_known)
		boot.is_known = boot_id_read(boot.id);
}

bool
checkpoint_boot_id(uint8_t id[static JOURNAL_BOOT_SIZE])
{
	journal_preload();
	memcpy(id, boot.id, JOURNAL_BOOT_SIZE);
	return boot.is_known;
}
