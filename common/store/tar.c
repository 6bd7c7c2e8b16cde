/* SPDX-License-Identifier: ISC */
#include "common/store/tar.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cursor.h"

enum {
	MANIFEST_MAX = 16 * 1024 * 1024,
	AT_MODE = 100,
	AT_SIZE = 124,
	AT_TIME = 136,
	AT_SUM = 148,
	AT_TYPE = 156,
	AT_MAGIC = 257,
	OCTAL_DIGITS = 11,
};
#define OCTAL_MAX (UINT64_C(1) << 33)

static enum fault
write_all(struct tar_writer *w, const void *bytes, size_t len)
{
	const char *at = bytes;

	w->written += len;
	while (len > 0) {
		ssize_t n = write(w->fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE ? FAULT_PEER_LOST : fault_from_errno(errno);
		at += n;
		len -= (size_t)n;
	}
	return FAULT_OK;
}

static void
octal_put(char *at, unsigned digits, uint64_t value)
{
	for (unsigned i = digits; i > 0; i--, value /= 8)
		at[i - 1] = (char)('0' + value % 8);
}

/* Over 8 GiB as a binary number, which GNU tar, bsdtar and others know. */
static void
size_put(char *at, uint64_t value)
{
	if (value < OCTAL_MAX) {
		octal_put(at, OCTAL_DIGITS, value);
		return;
	}
	at[0] = (char)0x80;
	for (unsigned i = OCTAL_DIGITS; i > 0; i--, value /= 256)
		at[i] = (char)(value % 256);
}

static unsigned
header_sum(const char *header)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : (unsigned char)header[i];
	return sum;
}

void
tar_writer_init(struct tar_writer *w, int fd, int64_t time)
{
	*w = (struct tar_writer){.fd = fd, .time = time};
	buffer_init(&w->manifest, MANIFEST_MAX);
}

void
tar_writer_clear(struct tar_writer *w)
{
	buffer_clear(&w->manifest);
}

enum fault
tar_begin(struct tar_writer *w, const char *name, uint64_t size)
{
	char header[TAR_BLOCK] = {0};
	size_t len = strlen(name);

	if (len > TAR_NAME_MAX)
		return FAULT_TOO_LONG;
	w->member.size = w->left = size;
	memcpy(w->member.name, name, len + 1);
	memcpy(header, name, len);
	octal_put(header + AT_MODE, 7, 0600);
	octal_put(header + AT_MODE + 8, 7, 0);
	octal_put(header + AT_MODE + 16, 7, 0);
	size_put(header + AT_SIZE, size);
	octal_put(header + AT_TIME, OCTAL_DIGITS, w->time > 0 ? (uint64_t)w->time : 0);
	header[AT_TYPE] = '0';
	memcpy(header + AT_MAGIC, "ustar\00000", 8);
	octal_put(header + AT_SUM, 6, header_sum(header));
	header[AT_SUM + 7] = ' ';
	crypto_generichash_init(&w->sum, NULL, 0, TAR_SUM_SIZE);
	return write_all(w, header, sizeof(header));
}

enum fault
tar_write(struct tar_writer *w, struct slice bytes)
{
	if (bytes.len > w->left)
		return FAULT_INTERNAL;
	w->left -= bytes.len;
	crypto_generichash_update(&w->sum, (const unsigned char *)bytes.data, bytes.len);
	return write_all(w, bytes.data, bytes.len);
}

/* As b2sum writes it. */
static void
line_add(struct buffer *lines, crypto_generichash_state *state, const char *name)
{
	unsigned char sum[TAR_SUM_SIZE];
	char hex[2 * TAR_SUM_SIZE + 1];

	crypto_generichash_final(state, sum, sizeof(sum));
	sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	buffer_printf(lines, "%s  %s\n", hex, name);
}

static size_t
padding_of(uint64_t size)
{
	return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

enum fault
tar_end(struct tar_writer *w)
{
	static const char zeros[TAR_BLOCK];

	if (w->left != 0)
		return FAULT_INTERNAL;
	line_add(&w->manifest, &w->sum, w->member.name);
	return write_all(w, zeros, padding_of(w->member.size));
}

enum fault
tar_add(struct tar_writer *w, const char *name, struct slice content)
{
	enum fault fault = tar_begin(w, name, content.len);

	if (fault == FAULT_OK)
		fault = tar_write(w, content);
	return fault == FAULT_OK ? tar_end(w) : fault;
}

enum fault
tar_finish(struct tar_writer *w, struct slice head)
{
	static const char end[2 * TAR_BLOCK];
	struct buffer all;

	buffer_init(&all, MANIFEST_MAX);
	buffer_add_slice(&all, head);
	buffer_add_slice(&all, buffer_slice(&w->manifest));
	enum fault fault = buffer_fault(&w->manifest) != FAULT_OK ? buffer_fault(&w->manifest)
								  : buffer_fault(&all);
	if (fault == FAULT_OK)
		fault = tar_add(w, TAR_MANIFEST, buffer_slice(&all));
	buffer_clear(&all);
	return fault == FAULT_OK ? write_all(w, end, sizeof(end)) : fault;
}

void
tar_reader_init(struct tar_reader *r, int fd)
{
	*r = (struct tar_reader){.fd = fd};
	buffer_init(&r->sums, MANIFEST_MAX);
}

void
tar_reader_clear(struct tar_reader *r)
{
	buffer_clear(&r->sums);
}

/* As many bytes as there are, up to len. */
static enum fault
read_full(struct tar_reader *r, void *to, size_t len, size_t *got)
{
	char *at = to;

	*got = 0;
	while (*got < len) {
		ssize_t n = read(r->fd, at + *got, len - *got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_from_errno(errno);
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	r->read += *got;
	return FAULT_OK;
}

static enum fault
read_all(struct tar_reader *r, void *to, size_t len)
{
	size_t got;
	enum fault fault = read_full(r, to, len, &got);

	return fault == FAULT_OK && got < len ? FAULT_DAMAGED : fault;
}

static bool
octal_get(const char *at, unsigned digits, uint64_t *value)
{
	*value = 0;
	for (unsigned i = 0; i < digits; i++) {
		if (at[i] < '0' || at[i] > '7')
			return false;
		*value = *value * 8 + (uint64_t)(at[i] - '0');
	}
	return true;
}

static bool
size_get(const char *at, uint64_t *value)
{
	if ((unsigned char)at[0] != 0x80)
		return octal_get(at, OCTAL_DIGITS, value);
	*value = 0;
	for (unsigned i = 1; i <= OCTAL_DIGITS; i++) {
		if (*value > (UINT64_MAX >> 9))
			return false;
		*value = *value * 256 + (unsigned char)at[i];
	}
	return true;
}

static enum fault
header_parse(struct tar_reader *r, const char *header)
{
	uint64_t sum;

	if (!octal_get(header + AT_SUM, 6, &sum) || sum != header_sum(header))
		return FAULT_DAMAGED;
	if (header[AT_TYPE] != '0' || header[TAR_NAME_MAX] != '\0' || header[0] == '\0' ||
		memcmp(header + AT_MAGIC, "ustar", 5) != 0)
		return FAULT_UNSUPPORTED;
	memcpy(r->member.name, header, TAR_NAME_MAX + 1);
	if (!size_get(header + AT_SIZE, &r->member.size))
		return FAULT_DAMAGED;
	r->left = r->member.size;
	crypto_generichash_init(&r->sum, NULL, 0, TAR_SUM_SIZE);
	return FAULT_OK;
}

/* Reads what is left of the member, its padding, and notes its sum. */
static enum fault
member_end(struct tar_reader *r)
{
	char rest[4096];
	size_t got = 1;
	enum fault fault = FAULT_OK;

	if (r->member.name[0] == '\0')
		return FAULT_OK;
	while (fault == FAULT_OK && got > 0)
		fault = tar_read(r, rest, sizeof(rest), &got);
	if (fault == FAULT_OK)
		fault = read_all(r, rest, padding_of(r->member.size));
	if (strcmp(r->member.name, TAR_MANIFEST) == 0)
		buffer_reset(&r->sums);
	else
		line_add(&r->sums, &r->sum, r->member.name);
	r->member.name[0] = '\0';
	return fault;
}

enum fault
tar_next(struct tar_reader *r)
{
	static const char zeros[TAR_BLOCK];
	char header[TAR_BLOCK];
	size_t got;
	enum fault fault = member_end(r);

	/* Archives may follow one another; what is between them is zero. */
	do {
		if (fault == FAULT_OK)
			fault = read_full(r, header, sizeof(header), &got);
		if (fault != FAULT_OK)
			return fault;
		if (got == 0)
			return FAULT_NOT_FOUND;
		if (got < sizeof(header))
			return FAULT_DAMAGED;
	} while (memcmp(header, zeros, sizeof(header)) == 0);
	return header_parse(r, header);
}

enum fault
tar_read(struct tar_reader *r, void *at, size_t len, size_t *got)
{
	if (len > r->left)
		len = (size_t)r->left;
	enum fault fault = read_all(r, at, len);
	*got = len;
	r->left -= len;
	if (fault == FAULT_OK)
		crypto_generichash_update(&r->sum, at, len);
	return fault;
}

enum fault
tar_manifest_read(struct tar_reader *r, struct buffer *head)
{
	char piece[4096];
	size_t got = 1;
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && got > 0) {
		fault = tar_read(r, piece, sizeof(piece), &got);
		if (fault == FAULT_OK)
			buffer_add(head, piece, got);
	}
	if (fault == FAULT_OK && buffer_fault(head) != FAULT_OK)
		fault = FAULT_DAMAGED;
	if (fault != FAULT_OK)
		return fault;
	struct slice all = buffer_slice(head), sums = buffer_slice(&r->sums);
	if (all.len < sums.len || !slice_equal(slice_after(all, all.len - sums.len), sums))
		return FAULT_DAMAGED;
	return FAULT_OK;
}
