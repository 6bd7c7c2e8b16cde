/* SPDX-License-Identifier: ISC */
/* What a power cut leaves of the bytes: drawn sector by sector. */
#include "tests/power/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZERO_RUN = 4096 };

uint64_t
disk_hash(uint64_t seed, uint64_t a, uint64_t b)
{
	uint64_t x = seed ^ (a * UINT64_C(0x9e3779b97f4a7c15)) ^ (b * UINT64_C(0xc2b2ae3d27d4eb4f));

	for (int i = 0; i < 2; i++) {
		x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
		x ^= x >> 31;
	}
	return x;
}

/* One file in one cut. */
struct sampling {
	const struct disk_inode *inode;
	const struct disk_cut *cut;
	uint64_t seed;
	uint64_t
		temper; /* how much is kept: 0 nothing .. 4 everything, between: sector by sector */
	size_t sizes; /* so many of the ops count for the size */
	bool *sure; /* by op: its bytes are there in any case */
	bool any_sure;
	uint8_t *bytes;
	uint64_t size, room;
};

/* A sector has the contents that it had after so many ops. */
static size_t
sector_ops(const struct sampling *s, uint64_t sector)
{
	uint64_t n = s->inode->count, r = disk_hash(s->seed, 3, sector);

	if (s->cut->whole || s->temper == 4)
		return n;
	if (s->temper == 0)
		return 0;
	/* Of 16: all, none, or some of them. */
	static const uint64_t all[] = {0, 1, 6, 14}, none[] = {0, 14, 6, 1};
	uint64_t dice = r % 16;
	if (dice < all[s->temper])
		return n;
	if (dice < all[s->temper] + none[s->temper])
		return 0;
	return (r >> 8) % (n + 1);
}

/* An op whose bytes must be there takes the earlier ones of its sectors with it. */
static bool
is_sure(const struct sampling *s, size_t op, uint64_t sector)
{
	uint64_t start = sector * s->cut->sector, end = start + s->cut->sector;

	if (!s->any_sure)
		return false;
	for (size_t i = op; i < s->inode->count; i++) {
		const struct disk_op *o = &s->inode->ops[i];
		if (s->sure[i] && o->offset < end && o->offset + o->len > start)
			return true;
	}
	return false;
}

static uint64_t
size_after(const struct disk_op *op, uint64_t size)
{
	uint64_t end = op->offset + op->len;

	if (op->kind == TRACE_SIZE)
		return op->offset;
	if (op->kind == TRACE_PUNCH)
		return size;
	return end > size ? end : size;
}

static void
room_make(struct sampling *s, uint64_t end)
{
	if (end <= s->room)
		return;
	uint64_t room = end + end / 4 + 4096;
	s->bytes = realloc(s->bytes, room);
	if (s->bytes == NULL)
		disk_die("no memory");
	memset(s->bytes + s->room, 0, room - s->room);
	s->room = room;
}

static void
range_do(struct sampling *s, const struct disk_op *op, uint64_t start, uint64_t end)
{
	if (op->bytes != NULL)
		memcpy(s->bytes + start, op->bytes + (start - op->offset), end - start);
	else
		memset(s->bytes + start, 0, end - start);
}

/* A write or a punch, as far as its sectors have it. */
static void
sectors_do(struct sampling *s, size_t at)
{
	const struct disk_op *op = &s->inode->ops[at];
	uint64_t sector = s->cut->sector, end = op->offset + op->len;

	room_make(s, end);
	for (uint64_t start = op->offset; start < end;) {
		uint64_t n = start / sector, next = (n + 1) * sector;
		if (next > end)
			next = end;
		if (at < sector_ops(s, n) || is_sure(s, at, n))
			range_do(s, op, start, next);
		start = next;
	}
}

/* What is cut off is zero when the file grows again. */
static void
cut_off(struct sampling *s, uint64_t size)
{
	if (size < s->room)
		memset(s->bytes + size, 0, s->room - size);
}

/* How many ops count for the size: all that a sync has covered. */
static void
sizes_draw(struct sampling *s)
{
	const struct disk_inode *inode = s->inode;

	s->sizes = (size_t)(disk_hash(s->seed, 4, 4) % (inode->count + 1));
	if (s->cut->whole || s->temper == 4)
		s->sizes = inode->count;
	for (size_t i = 0; i < inode->count; i++)
		if (inode->ops[i].covered && s->sizes <= i)
			s->sizes = i + 1;
}

/* Bytes that made the file longer are written before its size is, unless zeros are allowed. */
static void
sure_find(struct sampling *s)
{
	uint64_t size = s->inode->size;

	for (size_t i = 0; i < s->inode->count; i++) {
		const struct disk_op *op = &s->inode->ops[i];
		uint64_t next = size_after(op, size);
		bool grows = op->kind == TRACE_WRITE && next > size && i < s->sizes;
		s->sure[i] = op->covered || (grows && !s->cut->zeros);
		s->any_sure |= s->sure[i];
		size = next;
	}
}

void
disk_inode_sample(const struct disk_inode *inode, const struct disk_cut *cut, uint32_t number,
	struct disk_file *file)
{
	struct sampling s = {.inode = inode,
		.cut = cut,
		.seed = disk_hash(cut->seed, 5, number),
		.size = inode->size};

	s.temper = disk_hash(s.seed, 6, 6) % 5;
	s.sure = calloc(inode->count + 1, sizeof(s.sure[0]));
	if (s.sure == NULL)
		disk_die("no memory");
	room_make(&s, inode->size);
	if (inode->size > 0)
		memcpy(s.bytes, inode->bytes, inode->size);
	sizes_draw(&s);
	sure_find(&s);
	for (size_t i = 0; i < inode->count; i++) {
		const struct disk_op *op = &inode->ops[i];
		if (op->kind == TRACE_SIZE && i < s.sizes)
			cut_off(&s, op->offset);
		if (op->kind == TRACE_WRITE || op->kind == TRACE_PUNCH)
			sectors_do(&s, i);
		if (i < s.sizes)
			s.size = size_after(op, s.size);
	}
	room_make(&s, s.size);
	cut_off(&s, s.size);
	free(s.sure);
	file->is_dir = inode->is_dir;
	file->bytes = s.bytes;
	file->size = s.size;
}

static int
paths_compare(const void *a, const void *b)
{
	return strcmp(((const struct disk_file *)a)->path, ((const struct disk_file *)b)->path);
}

void
disk_sample(const struct disk *d, const struct disk_cut *cut, struct disk_image *image)
{
	static struct disk_names names;

	disk_names_sample(d, cut, &names);
	*image = (struct disk_image){.files = calloc(names.count + 1, sizeof(image->files[0]))};
	if (image->files == NULL)
		disk_die("no memory");
	for (uint32_t i = 0; i < names.count; i++) {
		uint32_t inode = names.at[i].inode;
		struct disk_file *f = &image->files[image->count];
		if (names.at[i].path[0] == '\0')
			continue;
		memcpy(f->path, names.at[i].path, sizeof(f->path));
		disk_inode_sample(&d->inodes[inode], cut, inode, f);
		image->count++;
	}
	qsort(image->files, image->count, sizeof(image->files[0]), paths_compare);
}

void
disk_image_clear(struct disk_image *image)
{
	for (uint32_t i = 0; i < image->count; i++)
		free(image->files[i].bytes);
	free(image->files);
	*image = (struct disk_image){0};
}

static bool
is_zero(const uint8_t *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static void
file_write(const struct disk_file *f, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)f->size) < 0)
		disk_die("%s cannot be written", path);
	for (uint64_t at = 0; at < f->size; at += ZERO_RUN) {
		size_t len = f->size - at < ZERO_RUN ? (size_t)(f->size - at) : ZERO_RUN;
		if (!is_zero(f->bytes + at, len) &&
			pwrite(fd, f->bytes + at, len, (off_t)at) != (ssize_t)len)
			disk_die("%s cannot be written", path);
	}
	close(fd);
}

void
disk_image_write(const struct disk_image *image, const char *dir)
{
	char path[4096];

	for (uint32_t i = 0; i < image->count; i++) {
		const struct disk_file *f = &image->files[i];
		snprintf(path, sizeof(path), "%s/%s", dir, f->path);
		if (!f->is_dir)
			file_write(f, path);
		else if (mkdir(path, 0700) < 0)
			disk_die("%s cannot be made", path);
	}
}

static bool
file_compare(const struct disk_file *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0) {
		printf("%s is in the trace only\n", path);
		return false;
	}
	uint8_t *bytes = malloc(f->size + 1);
	bool same = bytes != NULL && (uint64_t)status.st_size == f->size &&
		read(fd, bytes, f->size + 1) == (ssize_t)f->size &&
		(f->size == 0 || memcmp(bytes, f->bytes, f->size) == 0);
	free(bytes);
	close(fd);
	if (!same)
		printf("%s is not as the trace says\n", path);
	return same;
}

static uint32_t
entries_count(const char *dir)
{
	DIR *list = opendir(dir);
	uint32_t count = 0;

	for (struct dirent *e; list != NULL && (e = readdir(list)) != NULL;) {
		char path[4096 + 256];
		if (e->d_name[0] == '.' || strcmp(e->d_name, "lock.mdb") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		count += 1 + (e->d_type == DT_DIR ? entries_count(path) : 0);
	}
	if (list != NULL)
		closedir(list);
	return count;
}

bool
disk_image_compare(const struct disk_image *image, const char *dir)
{
	char path[4096];
	bool same = entries_count(dir) == image->count;

	if (!same)
		printf("%s has %u files and directories, the trace %u\n", dir, entries_count(dir),
			image->count);
	for (uint32_t i = 0; i < image->count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, image->files[i].path);
		if (!image->files[i].is_dir)
			same &= file_compare(&image->files[i], path);
	}
	return same;
}
