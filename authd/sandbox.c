/* SPDX-License-Identifier: ISC */
/*
 * The rights of authd: its user, the directory's files, the folders of the key files for reading,
 * threads for hashing; no network.  Folders and not files, because a renewed certificate is
 * another file; with links resolved, because certbot keeps files elsewhere.  Where the data
 * directory lies in such a folder, as in a throw-away suite, the files alone.
 */
#include "common/base/sandbox.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd/authd.h"
#include "common/base/log.h"

enum { DESCRIPTORS_MAX = 1024, PATHS_MAX = 4 * KEYS_MAX + 2 };

struct path_list {
	struct sandbox_path paths[PATHS_MAX];
	size_t count;
};

/* Takes over path. */
static void
add_path(struct path_list *list, char *path, unsigned access)
{
	if (path == NULL || list->count + 1 >= PATHS_MAX)
		free(path);
	else
		list->paths[list->count++] = (struct sandbox_path){path, access};
}

/* Is the data directory in this folder?  Then it must not be opened: authd sees no mail. */
static bool
holds_data(const char *folder, size_t len, const char *data)
{
	return strncmp(folder, data, len) == 0 && (data[len] == '/' || data[len] == '\0');
}

/* The folder of a key file, or the file alone where the folder has more than keys. */
static void
add_folder_of(struct path_list *list, const char *path, const char *data)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;
	bool alone = len == 0 || holds_data(path, len, data);

	add_path(list, alone ? strdup(path) : strndup(path, len), SANDBOX_READ);
}

/* A file that is missing was complained of when it was read. */
static void
add_key_file(struct path_list *list, const char *path, const char *data)
{
	char *real = realpath(path, NULL);

	if (real == NULL)
		return;
	add_folder_of(list, path, data);
	add_folder_of(list, real, data);
	free(real);
}

static void
fill_list(struct path_list *list, struct authd *a)
{
	const char *path, *data = daemon_settings(a->daemon)->data_directory;
	char *real = realpath(data, NULL);
	size_t size = strlen(data) + sizeof "/directory";
	char *directory = malloc(size);

	if (directory != NULL)
		snprintf(directory, size, "%s/directory", data);
	add_path(list, directory, SANDBOX_WRITE);
	for (uint32_t i = 0; (path = keys_path(a->keys, i)) != NULL; i++)
		add_key_file(list, path, real != NULL ? real : data);
	free(real);
}

enum fault
authd_sandbox(struct daemon *daemon, void *state)
{
	struct authd *a = state;
	struct path_list *list = calloc(1, sizeof *list);

	if (list == NULL)
		return FAULT_NOMEM;
	a->daemon = daemon;
	/* OpenSSL reads its configuration once: now, while it still can. */
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	keys_out_finish_round(a);
	keys_read(a->keys);
	fill_list(list, a);
	struct sandbox sandbox = {
		.paths = list->paths,
		.calls = SANDBOX_FILES | SANDBOX_THREADS,
		.files_max = DESCRIPTORS_MAX,
	};
	daemon_sandbox_user(daemon, &sandbox);
	enum fault fault = sandbox_enter(&sandbox);
	for (size_t i = 0; i < list->count; i++)
		free((char *)(uintptr_t)list->paths[i].path);
	free(list);
	return fault;
}
