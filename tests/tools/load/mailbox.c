/* SPDX-License-Identifier: ISC */
/*
 * The modes of mail clients by IMAP.  imap: one session runs the given commands and times each.
 * login: connect, LOGIN, LOGOUT.  append, mixed: many sessions at work.  hold: sessions that do
 * nothing, for measuring what they cost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/tools/load/imap.h"
#include "tests/tools/load/message.h"
#include "tests/tools/load/smtp.h"

enum { COMMAND_MAX = 128, MIXED_APPEND_SIZE = 4096 };

void
mode_imap(struct load *load)
{
	struct connection c;

	imap_open(&c, load, load->port, load_account(load, 0));
	printf("[");
	for (unsigned i = 0; i < load->word_count; i++) {
		double start = load_now_ms();
		struct imap_answer answer = imap_run(&c, load->words[i]);

		printf("%s{\"ms\": %.3f, \"untagged\": %u, \"bytes\": %llu}", i > 0 ? ",\n " : "",
			load_now_ms() - start, answer.untagged, (unsigned long long)answer.bytes);
	}
	printf("]\n");
	imap_close(&c);
}

static void
run_and_print(struct load *load, void (*work)(struct worker *))
{
	struct worker *workers;
	struct stretch s;

	stretch_start(&s, load);
	workers = workers_run(load, work);
	stretch_end(&s, load);
	workers_print(workers, load, &s);
}

static void
work_login(struct worker *w)
{
	struct connection c;
	unsigned index;

	while (load_take(w->load, &index)) {
		double start = load_now_ms();

		imap_open(&c, w->load, w->load->port, load_account(w->load, index));
		worker_add_latency(w, load_now_ms() - start);
		imap_close(&c);
	}
}

void
mode_login(struct load *load)
{
	run_and_print(load, work_login);
}

static void
work_append(struct worker *w)
{
	struct connection c;
	struct buffer message;
	unsigned index;

	buffer_init(&message, MESSAGE_MAX);
	imap_open(&c, w->load, w->load->port, load_account(w->load, w->index));
	while (load_take(w->load, &index)) {
		double start;

		buffer_reset(&message);
		message_format(&message,
			&(struct message_plan){
				index, w->load->size, "sender@example.net", "to@example.com"});
		start = load_now_ms();
		imap_append(&c, w->load->mailbox, buffer_slice(&message));
		worker_add_latency(w, load_now_ms() - start);
		w->bytes += buffer_len(&message);
	}
	imap_close(&c);
	buffer_clear(&message);
}

void
mode_append(struct load *load)
{
	message_prepare();
	run_and_print(load, work_append);
}

/* Of ten operations: four read a message, two set and clear a flag, two look, one adds. */
static void
run_mixed(struct connection *c, struct buffer *message, unsigned index, unsigned messages)
{
	unsigned n = index * 2654435761U % messages + 1;
	char command[COMMAND_MAX];

	switch (index % 10) {
	case 0:
		imap_append(c, "INBOX", buffer_slice(message));
		return;
	case 1:
	case 2:
		(void)snprintf(command, sizeof(command), "STORE %u %cFLAGS (\\Flagged)", n,
			index % 10 == 1 ? '+' : '-');
		break;
	case 3:
	case 4:
		(void)snprintf(command, sizeof(command), "FETCH %u:%u (FLAGS ENVELOPE)", n, n);
		break;
	case 5:
	case 6:
		(void)snprintf(command, sizeof(command), "NOOP");
		break;
	default:
		(void)snprintf(command, sizeof(command), "FETCH %u (BODY.PEEK[])", n);
		break;
	}
	(void)imap_run(c, command);
}

static void
work_mixed(struct worker *w)
{
	struct connection c;
	struct buffer message;
	unsigned index, messages;

	buffer_init(&message, MESSAGE_MAX);
	message_format(&message,
		&(struct message_plan){
			w->index, MIXED_APPEND_SIZE, "sender@example.net", "to@example.com"});
	imap_open(&c, w->load, w->load->port, load_account(w->load, w->index));
	messages = (unsigned)imap_status_messages(&c);
	if (messages == 0)
		load_die("mixed needs messages");
	(void)imap_run(&c, "SELECT INBOX");
	while (load_take(w->load, &index)) {
		double start = load_now_ms();

		run_mixed(&c, &message, index, messages);
		worker_add_latency(w, load_now_ms() - start);
	}
	imap_close(&c);
	buffer_clear(&message);
}

void
mode_mixed(struct load *load)
{
	message_prepare();
	run_and_print(load, work_mixed);
}

/* Holds the sessions until its standard input ends. */
void
mode_hold(struct load *load)
{
	struct connection *all = load_alloc(load->sessions, sizeof(*all));
	char byte;

	for (unsigned i = 0; i < load->sessions; i++) {
		imap_open(&all[i], load, load->port, load_account(load, i));
		(void)imap_run(&all[i], "SELECT INBOX");
		imap_idle(&all[i]);
	}
	printf("{\"held\": %u}\n", load->sessions);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (unsigned i = 0; i < load->sessions; i++)
		connection_close(&all[i]);
	free(all);
}
