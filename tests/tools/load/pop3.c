/* SPDX-License-Identifier: ISC */
/*
 * The POP3 mode: each session takes all messages of its account by RETR, with up to `window`
 * commands in flight (RFC 2449 6.6), over and over until `count` are read.
 */
#include "tests/tools/load/connection.h"

static struct slice
take_ok(struct connection *c)
{
	struct slice line = connection_line(c);

	if (!slice_starts(line, SLICE("+OK")))
		load_die("POP3: %" SLICE_FMT, SLICE_ARG(line));
	return line;
}

static unsigned
pop3_open(struct connection *c, const struct load *load, const struct account *a)
{
	struct cursor rest;
	uint64_t messages = 0;

	connection_open(c, load, load->port);
	(void)take_ok(c);
	connection_printf(c, "USER %s\r\n", a->address);
	(void)take_ok(c);
	connection_printf(c, "PASS %s\r\n", a->password);
	(void)take_ok(c);
	connection_printf(c, "STAT\r\n");
	rest = cursor_of(take_ok(c));
	if (!take_text(&rest, SLICE("+OK ")) || !take_u64(&rest, UINT32_MAX, &messages) ||
		messages == 0)
		load_die("POP3: the mailbox is empty");
	return (unsigned)messages;
}

static void
take_message(struct worker *w, struct connection *c)
{
	struct slice line;

	(void)take_ok(c);
	for (;;) {
		line = connection_line(c);
		if (slice_equal(line, SLICE(".")))
			return;
		w->bytes += line.len + 2;
	}
}

static void
work_pop3(struct worker *w)
{
	unsigned window = w->load->window, share = w->load->count / w->load->sessions, sent = 0;
	struct connection c;
	unsigned messages = pop3_open(&c, w->load, load_account(w->load, w->index));

	for (unsigned done = 0; done < share; done++) {
		double start = load_now_ms();

		for (; sent < share && sent < done + window; sent++)
			connection_printf(&c, "RETR %u\r\n", sent % messages + 1);
		take_message(w, &c);
		worker_add_latency(w, load_now_ms() - start);
	}
	connection_printf(&c, "QUIT\r\n");
	(void)take_ok(&c);
	connection_close(&c);
}

void
mode_pop3(struct load *load)
{
	struct worker *workers;
	struct stretch s;

	stretch_start(&s, load);
	workers = workers_run(load, work_pop3);
	stretch_end(&s, load);
	workers_print(workers, load, &s);
}
