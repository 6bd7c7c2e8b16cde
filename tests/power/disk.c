/* SPDX-License-Identifier: ISC */
/* Follows a trace, and knows what of it the disk has promised to keep. */
#include "tests/power/disk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
disk_die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("simulate: ", stdout);
	vprintf(format, arguments);
	fputc('\n', stdout);
	fflush(stdout);
	va_end(arguments);
	exit(2);
}

static uint32_t
inode_make(struct disk *d, bool is_dir)
{
	if (d->inode_count == DISK_INODES)
		disk_die("more files than it can count");
	d->inodes[d->inode_count] = (struct disk_inode){.is_dir = is_dir};
	return d->inode_count++;
}

struct disk *
disk_new(void)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		disk_die("no memory");
	/* The traced directory itself. */
	d->durable.at[0].inode = d->now.at[0].inode = inode_make(d, true);
	d->durable.count = d->now.count = 1;
	return d;
}

void
disk_free(struct disk *d)
{
	for (uint32_t i = 0; i < d->inode_count; i++) {
		free(d->inodes[i].bytes);
		free(d->inodes[i].ops);
	}
	free(d->namings);
	free(d);
}

struct disk *
disk_of_image(struct disk_image *image)
{
	struct disk *d = disk_new();

	for (uint32_t i = 0; i < image->count; i++) {
		struct disk_file *f = &image->files[i];
		struct disk_name *name = &d->durable.at[d->durable.count++];
		name->inode = inode_make(d, f->is_dir);
		memcpy(name->path, f->path, sizeof(name->path));
		struct disk_inode *inode = &d->inodes[name->inode];
		inode->bytes = f->bytes;
		inode->size = inode->room = f->size;
		f->bytes = NULL;
	}
	d->now = d->durable;
	disk_image_clear(image);
	return d;
}

static uint32_t
handle_inode(const struct disk *d, uint64_t handle)
{
	if (handle >= DISK_HANDLES || handle == 0)
		disk_die("a handle that it does not know");
	return d->handles[handle].inode;
}

/* Drops what is durable from the front of the list. */
static void
inode_settle(struct disk_inode *inode)
{
	struct disk_file settled;
	size_t n = 0;

	while (n < inode->count && inode->ops[n].covered)
		n++;
	if (n == 0)
		return;
	struct disk_inode first = *inode;
	first.count = n;
	disk_inode_sample(&first, &(struct disk_cut){.sector = 512, .whole = true}, 0, &settled);
	free(inode->bytes);
	inode->bytes = settled.bytes;
	inode->size = inode->room = settled.size;
	memmove(inode->ops, inode->ops + n, (inode->count - n) * sizeof(inode->ops[0]));
	inode->count -= n;
	inode->base += n;
}

static void
op_add(struct disk *d, uint32_t at, const struct disk_op *op)
{
	struct disk_inode *inode = &d->inodes[at];

	if (inode->count == inode->op_room) {
		inode->op_room = inode->op_room * 2 + 64;
		inode->ops = reallocarray(inode->ops, inode->op_room, sizeof(inode->ops[0]));
		if (inode->ops == NULL)
			disk_die("no memory");
	}
	inode->ops[inode->count++] = *op;
}

static void
follow_open(struct disk *d, const struct trace_record *r, const char *path)
{
	int at = disk_name_find(&d->now, path);
	struct disk_naming made = {.kind = TRACE_OPEN};

	if (r->handle >= DISK_HANDLES)
		disk_die("more opens than it can count");
	if (at < 0 && (r->first & 1) == 0)
		disk_die("%s was opened, and is not there", path);
	if (at < 0) {
		made.inode = inode_make(d, false);
		snprintf(made.path, sizeof(made.path), "%s", path);
		disk_naming_add(d, &made);
		at = disk_name_find(&d->now, path);
	} else if ((r->first & 2) != 0) {
		op_add(d, d->now.at[at].inode, &(struct disk_op){.kind = TRACE_SIZE});
	}
	d->handles[r->handle].inode = d->now.at[at].inode;
	snprintf(d->handles[r->handle].path, DISK_PATH, "%s", path);
}

static void
follow_naming(struct disk *d, enum trace_kind kind, const char *path, const char *to)
{
	struct disk_naming n = {.kind = kind};

	snprintf(n.path, sizeof(n.path), "%s", path);
	snprintf(n.to, sizeof(n.to), "%s", to);
	if (kind == TRACE_MKDIR)
		n.inode = inode_make(d, true);
	disk_naming_add(d, &n);
}

static void
follow_sync_start(struct disk *d, const struct trace_record *r)
{
	uint32_t inode = handle_inode(d, r->handle);

	if (d->sync_count == sizeof(d->syncs) / sizeof(d->syncs[0]))
		disk_die("more syncs at once than it can count");
	d->syncs[d->sync_count++] = (struct disk_sync){
		.number = r->first,
		.inode = inode,
		.ops = d->inodes[inode].base + d->inodes[inode].count,
		.namings = d->naming_base + d->naming_count,
	};
}

static void
sync_done(struct disk *d, const struct disk_sync *s, const char *path, bool good)
{
	struct disk_inode *inode = &d->inodes[s->inode];

	for (size_t i = 0; i < inode->count && inode->base + i < s->ops; i++) {
		inode->ops[i].doomed |= !good && !inode->ops[i].covered;
		inode->ops[i].covered |= good && !inode->ops[i].doomed;
	}
	inode_settle(inode);
	if (!inode->is_dir || !good)
		return;
	disk_namings_cover(d, path, s->namings);
	disk_namings_settle(d);
}

static void
follow_sync_end(struct disk *d, const struct trace_record *r)
{
	for (unsigned i = 0; i < d->sync_count; i++) {
		if (d->syncs[i].number != r->first)
			continue;
		struct disk_sync s = d->syncs[i];
		d->syncs[i] = d->syncs[--d->sync_count];
		sync_done(d, &s, d->handles[r->handle].path, r->second == 0);
		return;
	}
	disk_die("a sync ended that had not begun");
}

static void
follow_written(struct disk *d, const struct trace_record *r)
{
	struct disk_inode *inode = &d->inodes[handle_inode(d, r->handle)];

	if (inode->count > 0)
		inode->ops[inode->count - 1].covered = true;
	inode_settle(inode);
}

static void
follow_bytes(struct disk *d, const struct trace_record *r, const uint8_t *bytes)
{
	struct disk_op op = {.kind = r->kind, .offset = r->first, .len = r->second};

	if (r->kind == TRACE_WRITE) {
		op.len = r->len;
		op.bytes = bytes;
	}
	op_add(d, handle_inode(d, r->handle), &op);
}

/* One or two paths, parted by a NUL. */
static void
paths_take(const struct trace_record *r, const uint8_t *bytes, char path[static DISK_PATH],
	char to[static DISK_PATH])
{
	size_t len = strnlen((const char *)bytes, r->len);

	snprintf(path, DISK_PATH, "%.*s", (int)len, (const char *)bytes);
	to[0] = '\0';
	if (len < r->len)
		snprintf(to, DISK_PATH, "%.*s", (int)(r->len - len - 1),
			(const char *)bytes + len + 1);
}

void
disk_follow(struct disk *d, const struct trace_record *r, const uint8_t *bytes)
{
	char path[DISK_PATH] = "", to[DISK_PATH] = "";

	if (r->kind == TRACE_OPEN || (r->kind >= TRACE_RENAME && r->kind <= TRACE_RMDIR))
		paths_take(r, bytes, path, to);
	if (r->kind == TRACE_OPEN) {
		follow_open(d, r, path);
	} else if (r->kind >= TRACE_WRITE && r->kind <= TRACE_ALLOCATE) {
		follow_bytes(d, r, bytes);
	} else if (r->kind >= TRACE_RENAME && r->kind <= TRACE_RMDIR) {
		follow_naming(d, r->kind, path, to);
	} else if (r->kind == TRACE_SYNC_START) {
		follow_sync_start(d, r);
	} else if (r->kind == TRACE_SYNC_END) {
		follow_sync_end(d, r);
	} else if (r->kind == TRACE_WRITTEN) {
		follow_written(d, r);
	} else if (r->kind == TRACE_MARK) {
		d->marked = r->first;
		d->is_marked = true;
	} else if (r->kind == TRACE_START) {
		d->sync_count = 0;
	} else {
		disk_die("a record that it does not know");
	}
}
