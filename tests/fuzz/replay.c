/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target over the files of the directories named on the command line, so that every
 * corpus is part of the ordinary tests.  An input that was found bad crashes here, too.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 * 1024 * 1024 };

/* False when the file cannot be read whole. */
static int
replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat status;

	if (file == NULL)
		return 0;
	if (fstat(fileno(file), &status) < 0 || status.st_size > INPUT_MAX) {
		fclose(file);
		return 0;
	}
	/* Exactly as large as the input, so that a sanitizer sees the first byte beyond. */
	size_t size = (size_t)status.st_size;
	uint8_t *data = malloc(size > 0 ? size : 1);
	int good = data != NULL && fread(data, 1, size, file) == size;
	fclose(file);
	if (good)
		LLVMFuzzerTestOneInput(data, size);
	free(data);
	return good;
}

static void
replay_directory(const char *path, unsigned *passed, unsigned *failed)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char name[4096];

	if (directory == NULL) {
		fprintf(stderr, "%s: cannot open\n", path);
		++*failed;
		return;
	}
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		++*(replay_file(name) ? passed : failed);
	}
	closedir(directory);
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	for (int i = 1; i < argc; i++)
		replay_directory(argv[i], &passed, &failed);
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
