/* SPDX-License-Identifier: ISC */
/*
 * The command line of the load generator:
 *
 *	load MODE [KEY=VALUE]... [-- COMMAND...]
 *
 * Modes: smtp idle relay imap login append mixed hold pop3.  Keys: accounts (a file of lines
 * "address password"), host, port, smtp-port, imap-port, sessions, count, mailboxes, window, size
 * ("mix" or bytes), tls, submission (yes or no), recipient, mailbox, roots (pids joined by
 * commas), limit (seconds until the program gives up).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/tools/load/load.h"

enum { LINE_MAX_LEN = 1024, LIMIT_S = 300 };

void
load_die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	flockfile(stderr);
	(void)fprintf(stderr, "load: ");
	(void)vfprintf(stderr, format, arguments);
	(void)fprintf(stderr, "\n");
	va_end(arguments);
	_exit(1);
}

void *
load_alloc(size_t count, size_t size)
{
	void *memory = calloc(count > 0 ? count : 1, size);

	if (memory == NULL)
		load_die("out of memory");
	return memory;
}

bool
load_take(struct load *load, unsigned *index)
{
	*index = atomic_fetch_add(&load->taken, 1);
	return *index < load->count;
}

const struct account *
load_account(const struct load *load, unsigned index)
{
	return &load->accounts[index % load->mailboxes];
}

static void
read_accounts(struct load *load, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_MAX_LEN];

	if (file == NULL)
		load_die("cannot read %s", path);
	load->accounts = load_alloc(ACCOUNTS_MAX, sizeof(*load->accounts));
	while (load->account_count < ACCOUNTS_MAX && fgets(line, sizeof(line), file) != NULL) {
		struct account *a = &load->accounts[load->account_count];
		struct cursor c = cursor_of(slice_trim(slice_text(line)));
		struct slice address;

		if (!take_until(&c, ' ', &address) || !take_byte(&c, ' '))
			continue;
		*a = (struct account){slice_dup(address), slice_dup(take_rest(&c))};
		if (a->address == NULL || a->password == NULL)
			load_die("out of memory");
		load->account_count++;
	}
	fclose(file);
}

static void
read_roots(struct load *load, struct slice list)
{
	struct cursor c = cursor_of(list);
	uint64_t pid;

	while (load->root_count < ROOTS_MAX && take_u64(&c, UINT32_MAX, &pid)) {
		load->roots[load->root_count++] = (unsigned)pid;
		(void)take_byte(&c, ',');
	}
}

static unsigned
number_of(const char *word, struct slice value)
{
	uint64_t number;

	if (!slice_parse_u64(value, 1000000000, &number))
		load_die("not a number: %s", word);
	return (unsigned)number;
}

static bool
set_number(struct load *load, struct slice key, const char *word, struct slice value)
{
	const struct {
		struct slice key;
		unsigned *number;
	} numbers[] = {{SLICE("port"), &load->port}, {SLICE("smtp-port"), &load->smtp_port},
		{SLICE("imap-port"), &load->imap_port}, {SLICE("sessions"), &load->sessions},
		{SLICE("count"), &load->count}, {SLICE("mailboxes"), &load->mailboxes},
		{SLICE("window"), &load->window}};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!slice_equal(key, numbers[i].key))
			continue;
		*numbers[i].number = number_of(word, value);
		return true;
	}
	return false;
}

static void
set_option(struct load *load, const char *word)
{
	struct cursor c = cursor_of(slice_text(word));
	struct slice key, value;

	if (!take_until(&c, '=', &key) || !take_byte(&c, '='))
		load_die("not KEY=VALUE: %s", word);
	value = take_rest(&c);
	if (set_number(load, key, word, value))
		return;
	if (slice_equal(key, SLICE("accounts")))
		read_accounts(load, value.data);
	else if (slice_equal(key, SLICE("host")))
		load->host = value.data;
	else if (slice_equal(key, SLICE("recipient")))
		load->recipient = value.data;
	else if (slice_equal(key, SLICE("mailbox")))
		load->mailbox = value.data;
	else if (slice_equal(key, SLICE("roots")))
		read_roots(load, value);
	else if (slice_equal(key, SLICE("tls")))
		load->tls = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("submission")))
		load->is_submission = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("size")))
		load->size = slice_equal(value, SLICE("mix")) ? 0 : number_of(word, value);
	else if (slice_equal(key, SLICE("limit")))
		(void)alarm(number_of(word, value));
	else
		load_die("unknown key: %s", word);
}

static void
check_options(const struct load *load)
{
	if (load->account_count == 0)
		load_die("no accounts");
	if (load->mailboxes == 0 || load->mailboxes > load->account_count)
		load_die("%u mailboxes of %u accounts", load->mailboxes, load->account_count);
	if (load->sessions == 0 || load->sessions > SESSIONS_MAX || load->port == 0 ||
		load->window == 0)
		load_die("sessions, port or window out of range");
}

static const struct {
	const char *name;
	void (*run)(struct load *);
} modes[] = {{"smtp", mode_smtp}, {"idle", mode_idle}, {"relay", mode_relay}, {"imap", mode_imap},
	{"login", mode_login}, {"append", mode_append}, {"mixed", mode_mixed}, {"hold", mode_hold},
	{"pop3", mode_pop3}};

int
main(int argc, char **argv)
{
	static struct load load = {.host = "127.0.0.1",
		.sessions = 1,
		.count = 1,
		.mailboxes = 1,
		.window = 1,
		.mailbox = "INBOX",
		.size = 10240};
	int at = 2;

	/* A hanging server ends a measurement, never hangs it. */
	(void)alarm(LIMIT_S);
	for (; at < argc && strcmp(argv[at], "--") != 0; at++)
		set_option(&load, argv[at]);
	if (at < argc) {
		load.words = argv + at + 1;
		load.word_count = (unsigned)(argc - at - 1);
	}
	check_options(&load);
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		modes[i].run(&load);
		return 0;
	}
	load_die("usage: load MODE [KEY=VALUE]... [-- COMMAND...]");
}
