/* SPDX-License-Identifier: ISC */
/*
 * fuzz-links: imapd
 * The argument parsers of all IMAP commands, without a session.  What a parser accepts must lie
 * within the input or the arena, and a smaller arena must only make it refuse.
 */
#include <stdint.h>
#include <stdlib.h>

#include "imapd/commands.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 4 * 1024 * 1024 };

static bool
parse(struct slice text, size_t budget)
{
	struct cursor c = cursor_of(text);
	struct imap_command command = {.by_uid = false};
	struct slice name;
	bool taken = false;

	arena_init(&command.arena, budget);
	if (take_tag(&c, &command.tag) && take_sp(&c) && take_atom(&c, &name)) {
		command.by_uid = slice_equal_nocase(name, SLICE("UID"));
		if (command.by_uid && (!take_sp(&c) || !take_atom(&c, &name)))
			name = SLICE("");
		const struct imap_row *row = commands_find(name);
		taken = row != NULL && (row->parse == NULL || row->parse(&command, &c)) &&
			cursor_at_end(&c);
	}
	arena_clear(&command.arena);
	return taken;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its own, so that a sanitizer sees the first byte beyond. */
	char *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	struct slice text = slice_make(copy, size);
	bool taken = parse(text, ARENA_MAX);
	if (parse(text, size % 4096) && !taken)
		abort();
	free(copy);
	return 0;
}
