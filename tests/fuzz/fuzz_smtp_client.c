/* SPDX-License-Identifier: ISC */
/* A server that says anything to the client core: it must stay in its bounds, and a message is
 * settled for every recipient when it is done or the session is dead.  fuzz-links: relayd */
#include <assert.h>
#include <stdlib.h>

#include "common/net/line.h"
#include "relayd/smtp_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS = 3, MESSAGES_MAX = 8 };

struct session {
	struct smtp_client client;
	struct smtp_recipient recipients[RECIPIENTS];
	struct smtp_message message;
	unsigned messages;
};

static void
check_settled(const struct session *s)
{
	for (int i = 0; i < RECIPIENTS && s->messages > 0; i++)
		assert(s->recipients[i].settled);
}

static void
send_another(struct session *s)
{
	check_settled(s);
	for (int i = 0; i < RECIPIENTS; i++)
		s->recipients[i] = (struct smtp_recipient){
			.address = SLICE("a@y"), .orcpt = SLICE("rfc822;a@y"), .notify = 2};
	s->message = (struct smtp_message){.sender = SLICE("s@x"),
		.size = 10,
		.body = IPC_BODY_8BITMIME,
		.recipients = s->recipients,
		.recipient_count = RECIPIENTS};
	s->messages++;
	smtp_client_send(&s->client, &s->message);
}

/* Does what the core wants, until it wants to hear something. */
static void
serve(struct session *s)
{
	for (;;) {
		buffer_consume(&s->client.out, buffer_len(&s->client.out));
		if (s->client.want == SMTP_WANT_TLS)
			smtp_client_tls_started(&s->client);
		else if (s->client.want == SMTP_WANT_BODY)
			smtp_client_body_sent(&s->client);
		else if (s->client.want == SMTP_WANT_MESSAGE && s->messages < MESSAGES_MAX)
			send_another(s);
		else
			return;
	}
}

static void
run(struct session *s, struct slice in)
{
	struct line_reader reader;
	struct slice line;

	line_reader_init(&reader, SMTP_REPLY_LINE_MAX);
	while (s->client.want != SMTP_WANT_CLOSE) {
		size_t used = 0;
		enum line_status status = line_read(&reader, in, &line, &used);

		if (status == LINE_READY)
			smtp_client_line(&s->client, line);
		in = slice_after(in, used);
		if (status == LINE_MORE)
			break;
		serve(s);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct smtp_client_options options[] = {
		{.hostname = SLICE_LITERAL("me")},
		{.hostname = SLICE_LITERAL("me"), .tls = ROUTE_TLS_MUST},
		{.hostname = SLICE_LITERAL("me"),
			.allow_plain_auth = true,
			.user = SLICE_LITERAL("u"),
			.password = SLICE_LITERAL("p")},
	};
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return 0;
	if (size > 0) {
		smtp_client_init(&s->client, &options[data[0] % 3]);
		run(s, slice_make(data + 1, size - 1));
		smtp_client_lost(&s->client, FAULT_UNREACHABLE, "gone");
		check_settled(s);
		smtp_client_clear(&s->client);
	}
	free(s);
	return 0;
}
