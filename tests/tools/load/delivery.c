/* SPDX-License-Identifier: ISC */
/*
 * Two modes that follow a message to the mailbox.  smtp: many sessions send messages, and a poll
 * by IMAP (its connections are opened before the clock starts) waits until all are visible.
 * idle: how long an idling client waits for a message.
 */
#include <stdlib.h>

#include "tests/tools/load/imap.h"
#include "tests/tools/load/message.h"
#include "tests/tools/load/smtp.h"

enum { POLL_MS = 5, VISIBLE_MS = 60000 };

/* Waits until the mailboxes hold what was sent beside what they had. */
static void
wait_visible(struct connection *pollers, const struct load *load, uint64_t wanted)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < load->mailboxes; i++) {
		uint64_t share = wanted / load->mailboxes + (i < wanted % load->mailboxes);
		uint64_t had = imap_status_messages(&pollers[i]);

		for (double end = load_now_ms() + VISIBLE_MS; had < share;) {
			if (load_now_ms() > end)
				load_die("account %u: %llu of %llu messages visible", i,
					(unsigned long long)had, (unsigned long long)share);
			load_pause_ms(POLL_MS);
			had = imap_status_messages(&pollers[i]);
		}
		seen += had;
	}
	if (seen > wanted)
		load_die("%llu messages visible of %llu", (unsigned long long)seen,
			(unsigned long long)wanted);
}

void
mode_smtp(struct load *load)
{
	struct connection *pollers = load_alloc(load->mailboxes, sizeof(*pollers));
	uint64_t had = 0;
	struct stretch s;
	struct worker *workers;

	message_prepare();
	for (unsigned i = 0; load->imap_port != 0 && i < load->mailboxes; i++) {
		imap_open(&pollers[i], load, load->imap_port, load_account(load, i));
		had += imap_status_messages(&pollers[i]);
	}
	if (had % load->mailboxes != 0)
		load_die("the mailboxes are not equally full");
	stretch_start(&s, load);
	workers = workers_run(load, smtp_work);
	if (load->imap_port != 0)
		wait_visible(pollers, load, had + load->count);
	stretch_end(&s, load);
	for (unsigned i = 0; load->imap_port != 0 && i < load->mailboxes; i++)
		imap_close(&pollers[i]);
	free(pollers);
	workers_print(workers, load, &s);
}

/* The clock starts with the message's last byte and stops with the idling client's EXISTS. */
void
mode_idle(struct load *load)
{
	struct worker *w = load_alloc(1, sizeof(*w));
	struct connection smtp, imap;
	struct buffer message;
	struct stretch s;

	*w = (struct worker){.load = load};
	load->sessions = 1;
	message_prepare();
	buffer_init(&message, MESSAGE_MAX);
	smtp_open(&smtp, load, load->smtp_port);
	imap_open(&imap, load, load->imap_port, load_account(load, 0));
	imap_run(&imap, "SELECT INBOX");
	imap_idle(&imap);
	stretch_start(&s, load);
	for (unsigned i = 0; i < load->count; i++) {
		double start;

		smtp_format(&message, load, i * load->mailboxes);
		if (!smtp_send_envelope(&smtp, load, load_account(load, 0)->address))
			load_die("refused for now");
		connection_send(&smtp, buffer_slice(&message));
		start = load_now_ms();
		smtp_expect(&smtp, 250);
		imap_wait_exists(&imap);
		worker_add_latency(w, load_now_ms() - start);
	}
	stretch_end(&s, load);
	connection_close(&imap);
	smtp_close(&smtp);
	buffer_clear(&message);
	workers_print(w, load, &s);
}
