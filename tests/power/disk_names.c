/* SPDX-License-Identifier: ISC */
/* The names on the disk: made, changed, removed, and which of that a power cut leaves. */
#include "tests/power/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
disk_path_parent(const char *path, char parent[static DISK_PATH])
{
	const char *slash = strrchr(path, '/');

	snprintf(parent, DISK_PATH, "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
}

int
disk_name_find(const struct disk_names *names, const char *path)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (strcmp(names->at[i].path, path) == 0)
			return (int)i;
	return -1;
}

static void
name_remove(struct disk_names *names, int at)
{
	if (at >= 0)
		names->at[at] = names->at[--names->count];
}

static void
name_put(struct disk_names *names, const char *path, uint32_t inode)
{
	char parent[DISK_PATH];

	disk_path_parent(path, parent);
	/* In a directory that did not come to the disk. */
	if (disk_name_find(names, parent) < 0)
		return;
	name_remove(names, disk_name_find(names, path));
	if (names->count == DISK_NAMES)
		disk_die("more names than it can count");
	struct disk_name *name = &names->at[names->count++];
	snprintf(name->path, sizeof(name->path), "%s", path);
	name->inode = inode;
}

/* What hangs below a directory goes with it. */
static void
children_move(struct disk_names *names, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (uint32_t i = 0; i < names->count; i++) {
		struct disk_name *n = &names->at[i];
		char moved[2 * DISK_PATH];
		if (strncmp(n->path, from, len) != 0 || n->path[len] != '/')
			continue;
		snprintf(moved, sizeof(moved), "%s%s", to, n->path + len);
		snprintf(n->path, sizeof(n->path), "%.*s", DISK_PATH - 1, moved);
	}
}

void
disk_naming_do(struct disk_names *names, const struct disk_naming *n)
{
	int at = disk_name_find(names, n->path);

	if (n->kind == TRACE_OPEN || n->kind == TRACE_MKDIR) {
		name_put(names, n->path, n->inode);
	} else if (n->kind == TRACE_UNLINK || n->kind == TRACE_RMDIR) {
		name_remove(names, at);
	} else if (at >= 0) {
		uint32_t inode = names->at[at].inode;
		if (n->kind == TRACE_RENAME)
			name_remove(names, at);
		name_put(names, n->to, inode);
		if (n->kind == TRACE_RENAME)
			children_move(names, n->path, n->to);
	}
}

void
disk_naming_add(struct disk *d, const struct disk_naming *n)
{
	if (d->naming_count == d->naming_room) {
		d->naming_room = d->naming_room * 2 + 64;
		d->namings = reallocarray(d->namings, d->naming_room, sizeof(d->namings[0]));
		if (d->namings == NULL)
			disk_die("no memory");
	}
	d->namings[d->naming_count++] = *n;
	disk_naming_do(&d->now, n);
}

static bool
is_covered(const struct disk_naming *n)
{
	return n->path_covered && (n->to[0] == '\0' || n->to_covered);
}

void
disk_namings_cover(struct disk *d, const char *dir, uint64_t end)
{
	char parent[DISK_PATH];

	for (size_t i = 0; i < d->naming_count && d->naming_base + i < end; i++) {
		struct disk_naming *n = &d->namings[i];
		disk_path_parent(n->path, parent);
		n->path_covered |= strcmp(parent, dir) == 0;
		disk_path_parent(n->to, parent);
		n->to_covered |= strcmp(parent, dir) == 0;
	}
}

void
disk_namings_settle(struct disk *d)
{
	size_t n = 0;

	while (n < d->naming_count && is_covered(&d->namings[n]))
		disk_naming_do(&d->durable, &d->namings[n++]);
	if (n == 0)
		return;
	memmove(d->namings, d->namings + n, (d->naming_count - n) * sizeof(d->namings[0]));
	d->naming_count -= n;
	d->naming_base += n;
}

/* In order: some first ones.  Each for itself: any, but all that a sync has covered. */
void
disk_names_sample(const struct disk *d, const struct disk_cut *cut, struct disk_names *names)
{
	uint64_t n = d->naming_count;
	uint64_t first = n > 0 ? disk_hash(cut->seed, 1, 1) % (n + 1) : 0;

	*names = d->durable;
	for (uint64_t i = 0; i < n && !cut->names_apart; i++)
		if (is_covered(&d->namings[i]) && first <= i)
			first = i + 1;
	for (uint64_t i = 0; i < n; i++) {
		bool there = cut->names_apart ? disk_hash(cut->seed, 2, i) % 2 == 0 : i < first;
		if (there || cut->whole || is_covered(&d->namings[i]))
			disk_naming_do(names, &d->namings[i]);
	}
}
