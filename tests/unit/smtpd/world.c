/* SPDX-License-Identifier: ISC */
#include "tests/unit/smtpd/world.h"

#include <assert.h>

enum { WORLD_MAX = 64 * 1024 * 1024 };

/* 2025-11-21 09:05:00 UTC */
static int64_t
stopped_clock(void *arg)
{
	(void)arg;
	return INT64_C(1763715900) * 1000;
}

static void
no_entropy(void *arg, void *at, size_t len)
{
	(void)arg;
	memset(at, 0x11, len);
}

static const struct clock world_clock = {stopped_clock, stopped_clock, NULL};
static const struct entropy world_entropy = {no_entropy, NULL};

static enum fault
open_sink(void *arg)
{
	struct world *w = arg;

	if (w->room == 0)
		return FAULT_BUDGET;
	w->sink_open = true;
	w->opened++;
	buffer_reset(&w->message);
	return FAULT_OK;
}

static enum fault
write_sink(void *arg, struct slice bytes)
{
	struct world *w = arg;

	assert(w->sink_open);
	if (buffer_len(&w->message) + bytes.len > w->room)
		return FAULT_BUDGET;
	buffer_add_slice(&w->message, bytes);
	return buffer_fault(&w->message);
}

static void
drop_sink(void *arg)
{
	struct world *w = arg;

	if (!w->sink_open)
		return;
	w->sink_open = false;
	w->dropped++;
	buffer_reset(&w->message);
}

static const struct smtp_sink sink = {open_sink, write_sink, drop_sink};

void
world_init(struct world *w, const struct world_options *o)
{
	struct smtp_setup setup = {
		.hostname = "hamburger.edu",
		.submission = o->submission,
		.tls = o->tls,
		.tls_offered = o->tls_offered,
		.passwords = o->passwords,
		.peer = {.family = PEER_IPV4, .bytes = {192, 0, 2, 1}},
		.message_size = o->message_size,
		.recipients = o->recipients,
		.login_failures = 3,
		.clock = &world_clock,
		.entropy = &world_entropy,
		.sink = &sink,
		.sink_arg = w,
	};

	*w = (struct world){.room = o->room};
	buffer_init(&w->message, WORLD_MAX);
	buffer_init(&w->envelope, WORLD_MAX);
	smtp_init(&w->smtp, &setup);
	w->smtp.crowded = o->crowded;
}

void
world_clear(struct world *w)
{
	smtp_clear(&w->smtp);
	buffer_clear(&w->message);
	buffer_clear(&w->envelope);
}

static enum fault
recipient_fault(struct slice address)
{
	static const struct {
		struct slice address;
		enum fault fault;
	} rows[] = {
		{SLICE_LITERAL("bob@hamburger.edu"), FAULT_OK},
		{SLICE_LITERAL("carol@hamburger.edu"), FAULT_OK},
		{SLICE_LITERAL("postmaster@hamburger.edu"), FAULT_OK},
		{SLICE_LITERAL("full@hamburger.edu"), FAULT_OK},
		{SLICE_LITERAL("down@hamburger.edu"), FAULT_OK},
		{SLICE_LITERAL("off@hamburger.edu"), FAULT_ACCOUNT_DISABLED},
		{SLICE_LITERAL("slow@hamburger.edu"), FAULT_PEER_LOST},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (slice_equal_nocase(rows[i].address, address))
			return rows[i].fault;
	}
	return slice_ends_nocase(address, SLICE("@hamburger.edu")) ? FAULT_NO_SUCH_USER
								   : FAULT_NOT_LOCAL;
}

static enum fault
sender_fault(uint64_t account, struct slice address)
{
	if (slice_equal_nocase(address, SLICE("slow@hamburger.edu")))
		return FAULT_PEER_LOST;
	return account == 7 &&
			(address.len == 0 ||
				slice_equal_nocase(address, SLICE("alice@hamburger.edu")) ||
				slice_equal_nocase(address, SLICE("sales@hamburger.edu")))
		? FAULT_OK
		: FAULT_DENIED;
}

static void
log_in(struct world *w)
{
	const struct sasl *sasl = w->smtp.sasl;
	struct smtp_login login = {.fault = FAULT_AUTH_FAILED};

	if (w->smtp.sasl_step == SASL_CHECK_PASSWORD) {
		if (slice_equal(sasl_user(sasl), SLICE("alice@hamburger.edu")) &&
			slice_equal(secret_slice(&sasl->password), SLICE("secret")))
			login = (struct smtp_login){.fault = FAULT_OK, .account = 7};
		else if (slice_equal(sasl_user(sasl), SLICE("slow@hamburger.edu")))
			login.fault = FAULT_PEER_LOST;
	} else if (!sasl_is_final(sasl)) {
		login.fault = FAULT_OK;
		login.scram.message = SLICE("r=abcdef,s=AAAA,i=4096");
	} else if (slice_ends_nocase(sasl_message(sasl), SLICE("p=cHJvb2Y="))) {
		login = (struct smtp_login){.fault = FAULT_OK, .account = 7};
		login.scram.message = SLICE("v=dmVyaWZpZWQ=");
		login.scram.is_final = true;
	}
	smtp_on_login(&w->smtp, &login);
}

static void
describe_envelope(struct world *w)
{
	const struct smtp_envelope *e = &w->smtp.envelope;
	struct buffer *out = &w->envelope;

	buffer_reset(out);
	buffer_printf(out, "from=<%" SLICE_FMT ">", SLICE_ARG(e->sender));
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		const struct ipc_recipient *r = &e->recipients[i];

		buffer_printf(out, " to=<%" SLICE_FMT ">%s", SLICE_ARG(r->address),
			r->local ? "" : "(remote)");
		if (r->notify != 0)
			buffer_printf(out, "(notify %u)", r->notify);
		if (r->orcpt.len > 0)
			buffer_printf(out, "(orcpt %" SLICE_FMT ")", SLICE_ARG(r->orcpt));
	}
	buffer_printf(out, " body=%d", (int)e->body);
	if (e->smtputf8)
		buffer_add_text(out, " smtputf8");
	if (e->ret != IPC_RET_UNSET)
		buffer_printf(out, " ret=%d", (int)e->ret);
	if (e->envid.len > 0)
		buffer_printf(out, " envid=%" SLICE_FMT, SLICE_ARG(e->envid));
}

static void
commit(struct world *w)
{
	const struct smtp_envelope *e = &w->smtp.envelope;
	enum fault fault = FAULT_OK;

	describe_envelope(w);
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		if (slice_starts_nocase(e->recipients[i].address, SLICE("full@")))
			fault = FAULT_OVER_QUOTA;
		if (slice_starts_nocase(e->recipients[i].address, SLICE("down@")))
			fault = FAULT_PEER_LOST;
	}
	w->submitted++;
	w->sink_open = false;
	smtp_on_commit(&w->smtp, fault, SLICE(""));
}

/* True when input that waits is thrown away. */
static bool
perform(struct world *w)
{
	struct smtp *s = &w->smtp;
	enum smtp_effect effect = s->effect;

	s->effect = SMTP_NOTHING;
	switch (effect) {
	case SMTP_START_TLS:
		w->tls_started = true;
		smtp_on_tls(s, SLICE("TLSv1.3 TLS_AES_256_GCM_SHA384"));
		return true;
	case SMTP_LOGIN:
		log_in(w);
		break;
	case SMTP_CHECK_SENDER:
		smtp_on_sender(s, sender_fault(s->account, s->question));
		break;
	case SMTP_CHECK_RECIPIENT:
		smtp_on_recipient(s, recipient_fault(s->question));
		break;
	case SMTP_SUBMIT:
		commit(w);
		break;
	case SMTP_CLOSE:
	case SMTP_NOTHING:
		break;
	}
	return false;
}

/* The shell's loop, with the reply bytes left in smtp.out. */
static bool
run(struct world *w, struct buffer *input)
{
	struct buffer replies = {0};
	bool thrown_away = false;
	size_t used;

	buffer_init(&replies, WORLD_MAX);
	do {
		used = smtp_input(&w->smtp, buffer_slice(input));
		buffer_consume(input, used);
		while (w->smtp.effect != SMTP_NOTHING)
			thrown_away = perform(w) || thrown_away;
		buffer_add_slice(&replies, buffer_slice(&w->smtp.out));
		buffer_reset(&w->smtp.out);
		if (thrown_away)
			buffer_reset(input);
	} while (used > 0 && buffer_len(input) > 0);
	buffer_add_slice(&w->smtp.out, buffer_slice(&replies));
	buffer_clear(&replies);
	return thrown_away;
}

void
world_send(struct world *w, struct slice bytes, size_t piece)
{
	struct buffer earlier = {0};
	struct buffer input;
	bool thrown_away = false;

	buffer_init(&earlier, WORLD_MAX);
	buffer_init(&input, WORLD_MAX);
	for (size_t at = 0; at < bytes.len && !thrown_away; at += piece) {
		buffer_add_slice(&input, slice_first(slice_after(bytes, at), piece));
		/* What was said before stays in front. */
		buffer_add_slice(&earlier, buffer_slice(&w->smtp.out));
		buffer_reset(&w->smtp.out);
		thrown_away = run(w, &input);
	}
	buffer_add_slice(&earlier, buffer_slice(&w->smtp.out));
	buffer_reset(&w->smtp.out);
	buffer_add_slice(&w->smtp.out, buffer_slice(&earlier));
	buffer_clear(&earlier);
	buffer_clear(&input);
}
