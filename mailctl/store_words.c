/* SPDX-License-Identifier: ISC */
#include "mailctl/store_words.h"

#include <string.h>

#include "mailctl/client.h"

static bool
option_find(struct store_words *w, const char *name, const char ***value)
{
	const struct {
		const char *name;
		const char **value;
	} options[] = {
		{"--keep", &w->keep},
		{"--store", &w->store},
		{"--state", &w->state},
		{"--at", &w->at},
		{"--account", &w->account},
		{"--from", &w->from},
		{"--mailbox", &w->mailbox},
		{"--uid", &w->uid},
		{"--email", &w->email},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(options[i].name, name) == 0) {
			*value = options[i].value;
			return true;
		}
	}
	return false;
}

bool
store_words_parse(const char *usage, const char *const *words, size_t count, struct store_words *w)
{
	bool good = true;

	*w = (struct store_words){.place_count = 0};
	for (size_t i = COMMAND_WORDS_MAX; i < count && good; i++) {
		const char **value = NULL;
		if (strncmp(words[i], "--", 2) == 0) {
			good = strstr(usage, words[i]) != NULL &&
				option_find(w, words[i], &value) && i + 1 < count;
			if (good)
				*value = words[++i];
		} else {
			good = w->place_count < 2;
			if (good)
				w->places[w->place_count++] = words[i];
		}
	}
	if (!good || w->place_count == 0)
		fputs(usage, stderr);
	return good && w->place_count > 0;
}

enum status
store_words_locate(
	struct mailctl *mailctl, const struct store_words *words, char path[static PATH_MAX])
{
	const char *question[] = {"store", "where"};
	struct client_reply reply;

	if (words->store != NULL) {
		snprintf(path, PATH_MAX, "%s", words->store);
		return STATUS_OK;
	}
	client_ask(mailctl->control, PROCESS_MAILBOXD, question, 2, &reply);
	json_t *answer = client_reply_json(&reply);
	const char *directory = json_string_value(json_object_get(answer, "directory"));
	enum status status = client_reply_status(&reply, mailctl->control);
	if (status == STATUS_OK && directory == NULL)
		status = STATUS_FAILED;
	if (status == STATUS_OK)
		snprintf(path, PATH_MAX, "%s", directory);
	json_decref(answer);
	client_reply_clear(&reply);
	return status;
}

bool
store_words_beside(const char *store, const char *name, char path[static PATH_MAX])
{
	size_t len = strlen(store);

	while (len > 1 && store[len - 1] == '/')
		len--;
	while (len > 0 && store[len - 1] != '/')
		len--;
	int n = snprintf(path, PATH_MAX, "%.*s%s", (int)len, store, name);
	return n > 0 && n < PATH_MAX;
}
