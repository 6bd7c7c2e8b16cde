/* SPDX-License-Identifier: ISC */
/*
 * A disk under a trace: what is durable for sure, and what was done since and may be there or not.
 *
 * A completed fsync or fdatasync of a file covers what was done to its bytes and its size before
 * the sync began; one of a directory covers the changes of names in it.  Everything else is free:
 * each sector has any of the contents that it had since, sizes any of theirs, names come in
 * order or each for itself.  What was written before a failed sync is never covered by a later one
 * (the kernel forgets it).
 */
#ifndef TESTS_POWER_DISK_H
#define TESTS_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power/trace.h"

enum { DISK_PATH = 256, DISK_INODES = 2000, DISK_NAMES = 2000, DISK_HANDLES = 65536 };

/* Something done to a file's bytes. */
struct disk_op {
	enum trace_kind kind;
	uint64_t offset;
	uint64_t len; /* TRACE_SIZE: 0 */
	const uint8_t *bytes; /* in the trace; NULL but for writes */
	bool covered;
	bool doomed; /* a sync failed: only luck brings it to the disk */
};

struct disk_inode {
	bool is_dir;
	uint8_t *bytes; /* durable */
	uint64_t size;
	uint64_t room; /* allocated */
	struct disk_op *ops; /* in their order */
	size_t count, op_room;
	uint64_t base; /* how many came before ops[0] */
};

struct disk_name {
	char path[DISK_PATH];
	uint32_t inode;
};

struct disk_names {
	struct disk_name at[DISK_NAMES];
	uint32_t count;
};

/* Something done to names: MKDIR and OPEN make one. */
struct disk_naming {
	enum trace_kind kind;
	char path[DISK_PATH], to[DISK_PATH];
	uint32_t inode;
	bool path_covered, to_covered;
};

struct disk_sync {
	uint64_t number;
	uint32_t inode;
	uint64_t ops; /* of the file */
	uint64_t namings;
};

struct disk {
	struct disk_inode inodes[DISK_INODES];
	uint32_t inode_count;
	struct disk_names durable; /* for sure */
	struct disk_names now; /* as the programs see them */
	struct disk_naming *namings;
	size_t naming_count, naming_room;
	uint64_t naming_base;
	struct disk_sync syncs[64]; /* under way */
	unsigned sync_count;
	struct {
		uint32_t inode;
		char path[DISK_PATH];
	} handles[DISK_HANDLES];
	uint64_t marked; /* the last mark */
	bool is_marked;
};

/* How a power cut is drawn. */
struct disk_cut {
	uint64_t seed;
	uint32_t sector; /* 512 or 4096 */
	bool zeros; /* sizes may be there before the bytes (zeros then); else bytes come first */
	bool names_apart; /* names each for itself; else in their order */
	bool whole; /* no cut: everything is there */
};

/* What was on the disk; bytes is on the heap. */
struct disk_file {
	char path[DISK_PATH];
	bool is_dir;
	uint8_t *bytes;
	uint64_t size;
};
struct disk_image {
	struct disk_file *files; /* parents first */
	uint32_t count;
};

struct disk *disk_new(void);
void disk_free(struct disk *);
/* A disk on which an image lies; it takes over the image's memory. */
struct disk *disk_of_image(struct disk_image *);
/* One record of the trace, whose bytes must outlive the disk. */
void disk_follow(struct disk *, const struct trace_record *, const uint8_t *bytes);

/* disk_names.c */
int disk_name_find(const struct disk_names *, const char *path);
void disk_naming_add(struct disk *, const struct disk_naming *);
/* Forgets what is covered and first. */
void disk_namings_settle(struct disk *);
/* Does it to names, when that can be done. */
void disk_naming_do(struct disk_names *, const struct disk_naming *);
void disk_namings_cover(struct disk *, const char *dir, uint64_t end);
void disk_names_sample(const struct disk *, const struct disk_cut *, struct disk_names *);
void disk_path_parent(const char *path, char parent[static DISK_PATH]);

/* disk_sample.c */
uint64_t disk_hash(uint64_t seed, uint64_t a, uint64_t b);
/* The bytes of one file as a cut may leave them; for ops all of which are covered: as they are. */
void disk_inode_sample(
	const struct disk_inode *, const struct disk_cut *, uint32_t inode, struct disk_file *);
void disk_sample(const struct disk *, const struct disk_cut *, struct disk_image *);
void disk_image_clear(struct disk_image *);
/* Into an existing empty directory. */
void disk_image_write(const struct disk_image *, const char *dir);
/* False, and says so, when the directory holds anything else. */
bool disk_image_compare(const struct disk_image *, const char *dir);

_Noreturn void disk_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
