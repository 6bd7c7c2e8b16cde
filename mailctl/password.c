/* SPDX-License-Identifier: ISC */
/* Passwords come by the terminal without echo, or as one line of standard input: never by the
 * command line, which every user of the machine can read. */
#include "mailctl/mailctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/secret.h"

/* A line without its end, or NULL. */
static char *
read_line(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len = getline(&line, &size, stdin);

	if (len < 0) {
		free(line);
		return NULL;
	}
	if (len > 0 && line[len - 1] == '\n')
		line[len - 1] = '\0';
	return line;
}

static void
forget(char *line)
{
	if (line != NULL)
		secret_wipe(line, strlen(line));
	free(line);
}

static char *
ask(const char *prompt)
{
	struct termios shown, hidden;
	char *line;

	fprintf(stderr, "%s: ", prompt);
	if (tcgetattr(STDIN_FILENO, &shown) != 0)
		return NULL;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	line = read_line();
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	return line;
}

char *
password_read_known(const char *prompt)
{
	char *line = isatty(STDIN_FILENO) ? ask(prompt) : read_line();

	if (line == NULL)
		complain("no password on standard input");
	return line;
}

char *
password_read(const char *prompt)
{
	char *first, *second;

	if (!isatty(STDIN_FILENO))
		return password_read_known(prompt);
	first = ask(prompt);
	second = first != NULL ? ask("Once more") : NULL;
	if (first != NULL && second != NULL && strcmp(first, second) == 0) {
		forget(second);
		return first;
	}
	complain("the passwords differ");
	forget(first);
	forget(second);
	return NULL;
}

/* Without letters that look alike. */
static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";

enum { MADE_LEN = 16, GROUP_LEN = 4 };

char *
password_make(void)
{
	char *made = calloc(1, MADE_LEN + MADE_LEN / GROUP_LEN);
	uint8_t random[MADE_LEN];
	size_t n = 0;

	if (made == NULL)
		return NULL;
	entropy_system.fill(entropy_system.arg, random, sizeof random);
	for (size_t i = 0; i < MADE_LEN; i++) {
		if (i > 0 && i % GROUP_LEN == 0)
			made[n++] = '-';
		made[n++] = alphabet[random[i] % (sizeof alphabet - 1)];
	}
	secret_wipe(random, sizeof random);
	return made;
}
