/* SPDX-License-Identifier: ISC */
/* mailctl: the administrator's command line.  Options, then a command of the table. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "common/base/log.h"
#include "mailctl/commands.h"

void
complain(const char *format, ...)
{
	va_list args;

	fputs("mailctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void
print_help(FILE *out)
{
	fputs("usage: mailctl [--control SOCKET] [--json] COMMAND ...\n\n", out);
	fputs("  init ADDRESS                        set up a new host\n"
	      "  try [DIR]                           run a throw-away suite\n",
		out);
	commands_print("", out);
	fputs("\nExit status: 0 done, 1 refused or failed, 2 usage, 3 not running.\n", out);
}

/* Takes the options that stand anywhere before "--" out of the arguments; the new count. */
static int
take_options(struct mailctl *mailctl, int argc, char **argv, bool *help)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			mailctl->json = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			*help = true;
		else if (strcmp(argv[i], "--control") == 0 && i + 1 < argc)
			mailctl->control = argv[++i];
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

/* Commands with options of their own. */
static const struct {
	const char *word;
	enum status (*run)(struct mailctl *, int argc, char **argv);
	const char *usage;
} local_commands[] = {
	{"init", init_run, init_usage},
	{"try", try_run, try_usage},
};

/* "mailctl queue": shows what there is for it. */
static enum status
explain(int argc, char **argv, bool help)
{
	FILE *out = help ? stdout : stderr;

	if (argc == 0) {
		print_help(out);
	} else if (!commands_print(argv[0], out)) {
		complain("there is no command \"%s\"; see mailctl --help", argv[0]);
		return STATUS_USAGE;
	}
	return help ? STATUS_OK : STATUS_USAGE;
}

int
main(int argc, char **argv)
{
	struct mailctl mailctl = {.control = MAILCTL_CONTROL};
	const struct command *command;
	bool help = false;
	int used;

	signal(SIGPIPE, SIG_IGN);
	log_open("mailctl", LOG_LEVEL_ERROR);
	if (sodium_init() < 0)
		return STATUS_FAILED;
	argc = take_options(&mailctl, argc - 1, argv + 1, &help);
	argv++;
	if (argc > 0 && strcmp(argv[0], "help") == 0) {
		help = true;
		argc--;
		argv++;
	}
	for (size_t i = 0; i < sizeof local_commands / sizeof local_commands[0] && argc > 0; i++) {
		if (strcmp(argv[0], local_commands[i].word) != 0)
			continue;
		if (!help)
			return (int)local_commands[i].run(&mailctl, argc, argv);
		fputs(local_commands[i].usage, stdout);
		return STATUS_OK;
	}
	command = command_find(argv, argc, &used);
	if (command == NULL || help)
		return (int)explain(argc, argv, help);
	return (int)command_perform(&mailctl, command, argv + used, argc - used);
}
