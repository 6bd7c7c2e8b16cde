/* SPDX-License-Identifier: ISC */
#include "mailctl/verify.h"

#include <string.h>
#include <unistd.h>

#include "mailctl/client.h"

static unsigned long long
number_of(const json_t *line, const char *name)
{
	return (unsigned long long)json_integer_value(json_object_get(line, name));
}

static void
progress_show(void *arg, struct slice text)
{
	bool *shown = arg;
	json_t *line = json_loadb(text.data, text.len, 0, NULL);

	if (line == NULL)
		return;
	*shown = true;
	fprintf(stderr, "\r%llu accounts, %llu messages, %llu MiB read, %llu findings ",
		number_of(line, "accounts"), number_of(line, "messages"),
		number_of(line, "bytes") >> 20, number_of(line, "findings"));
	json_decref(line);
}

/* The words behind "store verify", for mailboxd, which knows accounts by their ids. */
static enum status
words_translate(
	struct mailctl *mailctl, const char **words, size_t count, char id[static ID_TEXT_SIZE])
{
	size_t at = 2;

	while (at < count && strcmp(words[at], "rate") == 0)
		at += 2;
	if (at >= count)
		return STATUS_OK;
	enum status status = command_account_find(mailctl, words[at], id);
	/* One more that makes no sense is mailboxd's to refuse. */
	words[at] = id;
	return status;
}

enum status
verify_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *asked[CLIENT_WORDS_MAX];
	char id[ID_TEXT_SIZE];
	bool shown = false;
	struct client_question question = {
		mailctl->control, command->target, asked, count, NULL, &shown};
	struct client_reply reply;

	memcpy(asked, words, count * sizeof(asked[0]));
	enum status status = words_translate(mailctl, asked, count, id);
	if (status != STATUS_OK)
		return status;
	if (!mailctl->json && isatty(STDERR_FILENO) == 1) {
		asked[question.count++] = "progress";
		question.progress = progress_show;
	}
	client_ask_watched(&question, &reply);
	if (shown)
		fputc('\n', stderr);
	return command_answer(mailctl, &reply);
}
