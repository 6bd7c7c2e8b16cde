/* SPDX-License-Identifier: ISC */
#include "mailctl/compact.h"

#include <string.h>
#include <unistd.h>

#include "mailctl/client.h"

static unsigned long long
mib_of(const json_t *line, const char *name)
{
	return (unsigned long long)json_integer_value(json_object_get(line, name)) >> 20;
}

static void
progress_show(void *arg, struct slice text)
{
	bool *shown = arg;
	json_t *line = json_loadb(text.data, text.len, 0, NULL);

	if (line == NULL)
		return;
	*shown = true;
	fprintf(stderr, "\r%llu MiB of mail and %llu MiB of log moved, %llu MiB freed ",
		mib_of(line, "moved"), mib_of(line, "log_moved"), mib_of(line, "freed"));
	json_decref(line);
}

enum status
compact_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *asked[CLIENT_WORDS_MAX];
	bool shown = false;
	struct client_question question = {
		mailctl->control, command->target, asked, count, NULL, &shown};
	struct client_reply reply;

	memcpy(asked, words, count * sizeof(asked[0]));
	if (count == 3) {
		if (strcmp(words[2], "--all") != 0) {
			complain("\"%s\" is not --all", words[2]);
			return STATUS_USAGE;
		}
		asked[2] = "all";
	}
	if (!mailctl->json && isatty(STDERR_FILENO) == 1) {
		asked[question.count++] = "progress";
		question.progress = progress_show;
	}
	client_ask_watched(&question, &reply);
	if (shown)
		fputc('\n', stderr);
	return command_answer(mailctl, &reply);
}
