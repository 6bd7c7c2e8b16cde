/* SPDX-License-Identifier: ISC */
/* Loads the config file and takes its comments out, line by line as they were. */
#include "maild/config_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Inside a word, "#" and "//" are part of it: /a//b. */
static bool
ends_word(char c)
{
	return strchr(" \t\r\n={}(),+\"'", c) != NULL;
}

/* The length of a comment that starts here, or 0. */
static size_t
comment_len(const char *at, size_t left)
{
	const char *end;

	if (at[0] == '#' || (left > 1 && at[0] == '/' && at[1] == '/')) {
		end = memchr(at, '\n', left);
		return end != NULL ? (size_t)(end - at) : left;
	}
	if (left > 1 && at[0] == '/' && at[1] == '*') {
		end = memmem(at + 2, left - 2, "*/", 2);
		return end != NULL ? (size_t)(end - at) + 2 : left;
	}
	return 0;
}

/* The length of a quoted text, its quotes included. */
static size_t
quoted_len(const char *at, size_t left)
{
	for (size_t i = 1; i < left; i++) {
		if (at[i] == '\\')
			i++;
		else if (at[i] == at[0])
			return i + 1;
	}
	return left;
}

void
config_text_blank_comments(char *text, size_t len)
{
	bool at_word = true;

	for (size_t i = 0; i < len;) {
		size_t comment = at_word ? comment_len(text + i, len - i) : 0;

		if (comment > 0) {
			for (size_t n = 0; n < comment; n++, i++) {
				if (text[i] != '\n')
					text[i] = ' ';
			}
		} else if (text[i] == '"' || text[i] == '\'') {
			i += quoted_len(text + i, len - i);
			at_word = true;
		} else {
			at_word = ends_word(text[i++]);
		}
	}
}

char *
config_text_load(const char *path, size_t *len)
{
	FILE *in = fopen(path, "re");
	char *text = malloc(CONFIG_TEXT_MAX);
	struct stat st;

	if (in != NULL && text != NULL && fstat(fileno(in), &st) == 0) {
		*len = fread(text, 1, CONFIG_TEXT_MAX, in);
		if (!ferror(in) && *len < CONFIG_TEXT_MAX) {
			fclose(in);
			config_text_blank_comments(text, *len);
			return text;
		}
		errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
	}
	int error = errno;
	if (in != NULL)
		fclose(in);
	free(text);
	errno = error;
	return NULL;
}
