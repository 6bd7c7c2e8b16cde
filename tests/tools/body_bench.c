/* SPDX-License-Identifier: ISC */
/*
 * Measures how mail packs: body_bench [-d FILE]... DIRECTORY...
 *
 * Every file of the directories is a message (tests/bench/made_mail.py makes some).  For each way
 * of packing and each class of sizes: what is saved, and the median time of packing and unpacking
 * one message; without a dictionary and with the built-in one.  -d tries a further one, raw or
 * trained.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "common/store/dictionary.h"

enum { MAILS_MAX = 50000, WAYS_MAX = 64, CLASSES = 6, ROUNDS = 5, CHUNK = 256 * 1024 };

struct mail {
	char *bytes;
	size_t len;
	size_t packed;
	double pack_us, unpack_us;
};

struct dictionary {
	const char *name;
	const char *bytes;
	size_t len;
};

struct way {
	const struct dictionary *dictionary; /* NULL: none */
	int level;
	bool checksum;
	ZSTD_CCtx *packer;
	ZSTD_DCtx *unpacker;
	ZSTD_CDict *packing;
	ZSTD_DDict *unpacking;
};

static const size_t class_ends[CLASSES] = {1024, 2048, 4096, 8192, 32768, SIZE_MAX};
static struct mail mails[MAILS_MAX];
static size_t mail_count;

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
must(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "body_bench: %s\n", what);
	exit(1);
}

static char *
file_load(const char *path, size_t *len)
{
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	must(file >= 0 && fstat(file, &status) == 0, path);
	*len = (size_t)status.st_size;
	char *bytes = malloc(*len + 1);
	must(bytes != NULL && read(file, bytes, *len) == status.st_size, path);
	close(file);
	return bytes;
}

/* At most the first chunk of each: a larger body is so many chunks, each for itself. */
static void
mails_load(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char path[PATH_MAX];

	must(dir != NULL, directory);
	while ((entry = readdir(dir)) != NULL && mail_count < MAILS_MAX) {
		struct mail *m = &mails[mail_count];
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		m->bytes = file_load(path, &m->len);
		if (m->len > CHUNK)
			m->len = CHUNK;
		mail_count += m->len > 0;
	}
	closedir(dir);
}

static void
way_open(struct way *w)
{
	bool right;

	w->packer = ZSTD_createCCtx();
	w->unpacker = ZSTD_createDCtx();
	must(w->packer != NULL && w->unpacker != NULL, "out of memory");
	right = !ZSTD_isError(
			ZSTD_CCtx_setParameter(w->packer, ZSTD_c_compressionLevel, w->level)) &&
		!ZSTD_isError(
			ZSTD_CCtx_setParameter(w->packer, ZSTD_c_checksumFlag, w->checksum)) &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(w->packer, ZSTD_c_dictIDFlag, 0));
	if (w->dictionary != NULL) {
		w->packing = ZSTD_createCDict(w->dictionary->bytes, w->dictionary->len, w->level);
		w->unpacking = ZSTD_createDDict(w->dictionary->bytes, w->dictionary->len);
		right = right && !ZSTD_isError(ZSTD_CCtx_refCDict(w->packer, w->packing)) &&
			!ZSTD_isError(ZSTD_DCtx_refDDict(w->unpacker, w->unpacking));
	}
	must(right, "zstd refuses the settings");
}

static void
way_close(struct way *w)
{
	ZSTD_freeCCtx(w->packer);
	ZSTD_freeDCtx(w->unpacker);
	ZSTD_freeCDict(w->packing);
	ZSTD_freeDDict(w->unpacking);
}

/* The best of a few rounds, one message after the other as a server sees them. */
static void
mail_measure(struct way *w, struct mail *m, bool first)
{
	static char packed[2 * CHUNK], plain[CHUNK];
	double start = now_us();

	m->packed = ZSTD_compress2(w->packer, packed, sizeof(packed), m->bytes, m->len);
	double middle = now_us();
	must(!ZSTD_isError(m->packed), "packing fails");
	size_t n = ZSTD_decompressDCtx(w->unpacker, plain, sizeof(plain), packed, m->packed);
	double end = now_us();
	must(n == m->len && memcmp(plain, m->bytes, n) == 0, "unpacking gives something else");
	if (first || middle - start < m->pack_us)
		m->pack_us = middle - start;
	if (first || end - middle < m->unpack_us)
		m->unpack_us = end - middle;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static void
class_show(size_t from, size_t to)
{
	static double pack[MAILS_MAX], unpack[MAILS_MAX];
	size_t count = 0, plain_sum = 0, packed_sum = 0;

	for (size_t i = 0; i < mail_count; i++) {
		struct mail *m = &mails[i];
		if (m->len < from || m->len >= to)
			continue;
		pack[count] = m->pack_us;
		unpack[count++] = m->unpack_us;
		plain_sum += m->len;
		packed_sum += m->packed < m->len ? m->packed : m->len;
	}
	if (count == 0)
		printf(" %17s", "-");
	else
		printf(" %3.0f%% %5.1f %5.1f ", 100 - 100 * (double)packed_sum / (double)plain_sum,
			median(pack, count), median(unpack, count));
}

static void
way_show(struct way *w)
{
	char name[64];

	way_open(w);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < mail_count; i++)
			mail_measure(w, &mails[i], round == 0);
	(void)snprintf(name, sizeof(name), "%s, level %d%s",
		w->dictionary == NULL ? "none" : w->dictionary->name, w->level,
		w->checksum ? "" : ", no checksum");
	printf("%-36s", name);
	for (size_t i = 0; i < CLASSES; i++)
		class_show(i == 0 ? 0 : class_ends[i - 1], class_ends[i]);
	class_show(0, SIZE_MAX);
	printf("\n");
	way_close(w);
}

static void
heading_show(void)
{
	printf("%zu messages; saved, us to pack, us to unpack (medians)\n%-36s", mail_count, "");
	for (size_t i = 0; i + 1 < CLASSES; i++)
		printf("  below %-7zu   ", class_ends[i]);
	printf("  larger            all\n");
}

int
main(int argc, char **argv)
{
	static const int levels[] = {-5, -1, 1, 2, 3};
	struct slice text1 = dictionary_text1();
	struct dictionary dictionaries[WAYS_MAX] = {{"text1", text1.data, text1.len}};
	size_t dictionary_count = 1;
	int option;

	while ((option = getopt(argc, argv, "d:")) != -1 && dictionary_count < WAYS_MAX) {
		must(option == 'd', "usage: body_bench [-d FILE]... DIRECTORY...");
		struct dictionary *d = &dictionaries[dictionary_count++];
		d->bytes = file_load(optarg, &d->len);
		d->name = strrchr(optarg, '/') == NULL ? optarg : strrchr(optarg, '/') + 1;
	}
	for (int i = optind; i < argc; i++)
		mails_load(argv[i]);
	must(mail_count > 0, "no messages");
	heading_show();
	for (size_t d = 0; d <= dictionary_count; d++) {
		const struct dictionary *dictionary = d == 0 ? NULL : &dictionaries[d - 1];
		for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++)
			way_show(&(struct way){
				.dictionary = dictionary, .level = levels[l], .checksum = true});
		way_show(&(struct way){.dictionary = dictionary, .level = 1});
	}
	return 0;
}
