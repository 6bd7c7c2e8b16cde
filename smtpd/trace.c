/* SPDX-License-Identifier: ISC */
/* The Received field that this host adds to a message (RFC 5321 4.4). */
#include "common/base/id.h"
#include "common/mail/address.h"
#include "common/mail/date.h"
#include "common/mail/utf8.h"
#include "smtpd/commands.h"

enum { TRACE_MAX = 2048 };

/* The protocol by RFC 3848 and, with UTF-8 addresses, RFC 6531 4.3. */
static const char *
protocol_name(const struct smtp *s)
{
	static const char *const names[2][2][2] = {
		{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
		{{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
	};

	if (!s->extended)
		return "SMTP";
	return names[s->envelope.smtputf8][s->tls][s->account != 0];
}

static void
add_literal(struct buffer *out, const struct peer_address *peer)
{
	char text[PEER_TEXT_SIZE];

	buffer_printf(out, "[%s%s]", peer->family == PEER_IPV6 ? "IPv6:" : "",
		peer_address_format(peer, text));
}

/* What the client calls itself, if that is a domain or literal; it must not write our fields. */
static void
add_client(struct buffer *out, const struct smtp *s)
{
	struct slice hello = slice_text(s->hello);
	struct cursor c = cursor_of(hello);
	struct slice domain;

	/* RFC 6531 3.7.3: a header of ASCII only, unless the client says otherwise. */
	bool readable = s->envelope.smtputf8 || utf8_is_ascii(hello);
	if (readable && (take_domain(&c, &domain) || take_address_literal(&c, &domain)) &&
		cursor_at_end(&c))
		buffer_add_slice(out, domain);
	else
		add_literal(out, &s->setup.peer);
	buffer_add_text(out, " (");
	add_literal(out, &s->setup.peer);
	buffer_add_text(out, ")");
}

struct slice
trace_format(struct smtp *s)
{
	struct date now = {.seconds = clock_wall_ms(s->setup.clock) / 1000};
	char id[ID_TEXT_SIZE];
	struct buffer out;
	struct slice trace = SLICE("");

	buffer_init(&out, TRACE_MAX);
	buffer_add_text(&out, "Received: from ");
	add_client(&out, s);
	buffer_printf(&out, "\r\n\tby %s (Pabal) with %s id %s", s->setup.hostname,
		protocol_name(s), id_format(s->envelope.id, id));
	if (s->tls_text[0] != '\0')
		buffer_printf(&out, "\r\n\t(%s)", s->tls_text);
	/* With several recipients, the field would tell each about the others. */
	if (s->envelope.recipient_count == 1)
		buffer_printf(&out, "\r\n\tfor <%" SLICE_FMT ">",
			SLICE_ARG(s->envelope.recipients[0].address));
	buffer_add_text(&out, ";\r\n\t");
	date_format(&now, &out);
	buffer_add_text(&out, "\r\n");
	if (buffer_fault(&out) != FAULT_OK || !arena_copy(&s->arena, buffer_slice(&out), &trace))
		trace = SLICE("");
	buffer_clear(&out);
	return trace;
}
