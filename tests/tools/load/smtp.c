/* SPDX-License-Identifier: ISC */
/*
 * Owns the client's half of SMTP, with pipelining as an MTA does it, and the work of a session
 * that sends its share of the messages.
 */
#include <stdio.h>

#include <openssl/evp.h>

#include "tests/tools/load/message.h"
#include "tests/tools/load/smtp.h"

enum { PLAIN_MAX = 1024, RETRY_MS = 5 };

/* The code of a reply of one line or more; text is that of its last line. */
static unsigned
take_reply(struct connection *c, struct slice *text)
{
	for (;;) {
		struct slice line = connection_line(c);
		uint64_t code;

		if (line.len < 3 || !slice_parse_u64(slice_first(line, 3), 599, &code))
			load_die("SMTP: %" SLICE_FMT, SLICE_ARG(line));
		*text = line;
		if (line.len == 3 || line.data[3] != '-')
			return (unsigned)code;
	}
}

void
smtp_expect(struct connection *c, unsigned wanted)
{
	struct slice text;

	if (take_reply(c, &text) != wanted)
		load_die("SMTP: wanted %u: %" SLICE_FMT, wanted, SLICE_ARG(text));
}

/* NUL user NUL password (RFC 4616), in base64. */
static void
send_auth(struct connection *c, const struct account *a)
{
	char plain[PLAIN_MAX], coded[PLAIN_MAX * 2];
	int n = snprintf(plain, sizeof(plain), "%c%s%c%s", '\0', a->address, '\0', a->password);

	if (n < 0 || n >= (int)sizeof(plain))
		load_die("address and password too long");
	EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, n);
	connection_printf(c, "AUTH PLAIN %s\r\n", coded);
	smtp_expect(c, 235);
}

void
smtp_open(struct connection *c, const struct load *load, unsigned port)
{
	connection_open(c, load, port);
	smtp_expect(c, 220);
	connection_printf(c, "EHLO client.example.net\r\n");
	smtp_expect(c, 250);
	if (load->is_submission)
		send_auth(c, load_account(load, 0));
}

void
smtp_close(struct connection *c)
{
	connection_printf(c, "QUIT\r\n");
	smtp_expect(c, 221);
	connection_close(c);
}

/* A user may send in its own name only. */
static const char *
sender_of(const struct load *load)
{
	return load->is_submission ? load->accounts[0].address : "sender@example.net";
}

bool
smtp_send_envelope(struct connection *c, const struct load *load, const char *recipient)
{
	struct slice text;
	unsigned mail, rcpt, data;

	connection_printf(
		c, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", sender_of(load), recipient);
	mail = take_reply(c, &text);
	rcpt = take_reply(c, &text);
	if (mail < 400 && rcpt >= 500)
		load_die("RCPT <%s>: %" SLICE_FMT, recipient, SLICE_ARG(text));
	data = take_reply(c, &text);
	if (data == 354)
		return true;
	if (mail >= 500 || data / 100 == 2)
		load_die("DATA: %" SLICE_FMT, SLICE_ARG(text));
	return false;
}

/* True when the message was taken, false when it was refused for now. */
static bool
send_message(
	struct connection *c, const struct load *load, const char *recipient, struct slice message)
{
	struct slice text;
	unsigned code;

	if (!smtp_send_envelope(c, load, recipient))
		return false;
	connection_send(c, message);
	code = take_reply(c, &text);
	if (code >= 500)
		load_die("message refused: %" SLICE_FMT, SLICE_ARG(text));
	return code == 250;
}

static const char *
recipient_of(const struct load *load, unsigned index)
{
	return load->recipient != NULL ? load->recipient : load_account(load, index)->address;
}

void
smtp_format(struct buffer *out, const struct load *load, unsigned index)
{
	const struct message_plan plan = {
		index, load->size, sender_of(load), recipient_of(load, index)};

	buffer_reset(out);
	message_format(out, &plan);
	buffer_add_text(out, ".\r\n");
	if (buffer_fault(out) != FAULT_OK)
		load_die("message too big");
}

void
smtp_work(struct worker *w)
{
	struct load *load = w->load;
	struct connection c;
	struct buffer message;
	unsigned index;

	buffer_init(&message, MESSAGE_MAX);
	smtp_open(&c, load, load->port);
	while (load_take(load, &index)) {
		unsigned tries = 0;
		double start;

		smtp_format(&message, load, index);
		start = load_now_ms();
		while (!send_message(&c, load, recipient_of(load, index), buffer_slice(&message))) {
			atomic_fetch_add(&load->deferred, 1);
			if (++tries > TRIES_MAX)
				load_die("refused %u times", tries);
			load_pause_ms(RETRY_MS);
		}
		worker_add_latency(w, load_now_ms() - start);
		w->bytes += buffer_len(&message) - 3;
	}
	smtp_close(&c);
	buffer_clear(&message);
}
