/* SPDX-License-Identifier: ISC */
#include "tests/unit/pop3d/world.h"

#include <assert.h>

#include "common/base/bytes.h"

enum {
	OUT_MAX = 64 * 1024 * 1024,
	STEPS_MAX = 1000000,
	MROSE = 7,
	MANY,
	EMPTY,
	BUSY,
	BROKEN,
	KEEP,
	MANY_COUNT = 2000,
	MANY_SIZE = 10
};

struct user {
	const char *name;
	uint64_t account; /* 0: the fault */
	enum fault fault;
};

static const struct user users[] = {
	{"mrose", MROSE, FAULT_OK},
	{"many", MANY, FAULT_OK},
	{"empty", EMPTY, FAULT_OK},
	{"busy", BUSY, FAULT_OK},
	{"broken", BROKEN, FAULT_OK},
	{"keep", KEEP, FAULT_OK},
	{"off", 0, FAULT_ACCOUNT_DISABLED},
	{"slow", 0, FAULT_AUTH_SLOWED},
	{"down", 0, FAULT_PEER_LOST},
};

struct mail {
	uint32_t uid;
	const char *text;
	enum fault open;
	uint64_t breaks_at; /* reading fails from this offset on; 0 with fails: at once */
	bool fails;
};

static const struct mail mails[] = {
	{4, "Subject: one\r\n\r\nHello.\r\n.dot\r\n..two\r\n.\r\nend\r\n", FAULT_OK, 0, false},
	{5, "Subject: two\r\nX: y\r\n\r\na\r\n\r\nb\r\nc\r\n", FAULT_OK, 0, false},
	{9, "Subject: three\r\n\r\nno end", FAULT_OK, 0, false},
	{10, "gone", FAULT_NOT_FOUND, 0, false},
	{11, "unreadable", FAULT_OK, 0, true},
	{12, "Subject: half\r\n\r\nThis is the first half and this is not.\r\n", FAULT_OK, 20,
		true},
	{13, "", FAULT_OK, 0, false},
	{20, "a\n.\nb\n", FAULT_OK, 0, false},
};

static const struct mail *
find_mail(uint32_t uid)
{
	for (size_t i = 0; i < sizeof mails / sizeof mails[0]; i++) {
		if (mails[i].uid == uid)
			return &mails[i];
	}
	return NULL;
}

static struct pop3_login
check(struct slice name, struct slice password)
{
	struct pop3_login login = {.fault = FAULT_AUTH_FAILED};

	for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
		if (!slice_equal(name, slice_text(users[i].name)))
			continue;
		login.fault = users[i].fault;
		if (login.fault == FAULT_OK && !slice_equal(password, SLICE("secret")))
			login.fault = FAULT_AUTH_FAILED;
		else
			login.account = users[i].account;
	}
	return login;
}

static void
answer_sasl(struct world *w)
{
	const struct sasl *sasl = w->pop3.sasl;
	struct pop3_login login;

	if (w->pop3.sasl_step == SASL_CHECK_PASSWORD) {
		login = check(sasl_user(sasl), secret_slice(&sasl->password));
	} else if (!sasl_is_final(sasl)) {
		login = (struct pop3_login){.fault = FAULT_OK};
		login.scram.message = SLICE("r=abcdef,s=AAAA,i=4096");
	} else if (slice_ends_nocase(sasl_message(sasl), SLICE("p=cHJvb2Y="))) {
		login = (struct pop3_login){.fault = FAULT_OK, .account = MROSE};
		login.scram.message = SLICE("v=dmVyaWZpZWQ=");
		login.scram.is_final = true;
	} else {
		login = (struct pop3_login){.fault = FAULT_AUTH_FAILED};
	}
	pop3_on_login(&w->pop3, &login);
}

static enum fault
fill(struct maildrop *d, uint64_t account)
{
	enum fault fault = FAULT_OK;

	d->uidvalidity = 77;
	if (account == BUSY)
		return FAULT_BUSY;
	if (account == BROKEN)
		return FAULT_DAMAGED;
	for (uint32_t i = 0; account == MANY && i < MANY_COUNT && fault == FAULT_OK; i++)
		fault = maildrop_add(d, 2 * i + 1, MANY_SIZE);
	for (size_t i = 0; (account == MROSE || account == KEEP) && fault == FAULT_OK &&
		i < sizeof mails / sizeof mails[0];
		i++)
		fault = maildrop_add(d, mails[i].uid, strlen(mails[i].text));
	return fault;
}

static void
open_message(struct world *w)
{
	const struct mail *mail = find_mail(w->pop3.transfer.uid);

	if (mail == NULL)
		pop3_on_message(&w->pop3, FAULT_NOT_FOUND, 0);
	else
		pop3_on_message(&w->pop3, mail->open, strlen(mail->text));
}

static void
give_content(struct world *w)
{
	const struct mail *mail = find_mail(w->pop3.transfer.uid);
	uint64_t at = w->pop3.transfer.offset;
	struct slice rest = slice_after(slice_text(mail->text), (size_t)at);

	if (mail->fails && at >= mail->breaks_at) {
		pop3_on_content(&w->pop3, FAULT_DAMAGED, SLICE(""));
		return;
	}
	rest = slice_first(rest, w->piece);
	if (mail->fails)
		rest = slice_first(rest, (size_t)(mail->breaks_at - at));
	pop3_on_content(&w->pop3, FAULT_OK, rest);
}

static void
expunge(struct world *w)
{
	struct buffer ranges;
	struct slice rest;

	buffer_init(&ranges, OUT_MAX);
	maildrop_format_deleted(&w->pop3.drop, &ranges);
	for (rest = buffer_slice(&ranges); rest.len >= 8; rest = slice_after(rest, 8)) {
		uint32_t first = get_u32(rest.data), last = get_u32(rest.data + 4);

		buffer_printf(&w->expunged, "%s%u", buffer_len(&w->expunged) > 0 ? "," : "", first);
		if (last != first)
			buffer_printf(&w->expunged, ":%u", last);
	}
	buffer_clear(&ranges);
	pop3_on_update(&w->pop3, FAULT_OK);
}

static void
perform(struct world *w, enum pop3_effect effect)
{
	struct pop3 *p = &w->pop3;
	struct pop3_login login;

	switch (effect) {
	case POP3_NOTHING:
	case POP3_CLOSE:
		break;
	case POP3_START_TLS:
		w->tls_started = true;
		pop3_on_tls(p);
		break;
	case POP3_CHECK_PASSWORD:
		login = check(slice_make(p->user, p->user_len), secret_slice(p->password));
		pop3_on_login(p, &login);
		break;
	case POP3_ASK_SASL:
		answer_sasl(w);
		break;
	case POP3_OPEN_MAILDROP:
		pop3_on_maildrop(p, fill(&p->drop, p->account));
		break;
	case POP3_OPEN_MESSAGE:
		open_message(w);
		break;
	case POP3_UPDATE:
		if (p->account == KEEP)
			pop3_on_update(p, FAULT_PEER_LOST);
		else
			expunge(w);
		break;
	}
}

void
world_settle(struct world *w)
{
	struct pop3 *p = &w->pop3;

	for (unsigned n = 0; n < STEPS_MAX; n++) {
		enum pop3_effect effect = pop3_take_effect(p);

		if (effect != POP3_NOTHING)
			perform(w, effect);
		else if (p->state == POP3_SENDING_MESSAGE)
			give_content(w);
		else if (p->state == POP3_SENDING_LIST)
			pop3_list_more(p);
		else
			break;
		buffer_add_slice(&w->out, buffer_slice(&p->out));
		assert(buffer_fault(&p->out) == FAULT_OK);
		buffer_reset(&p->out);
	}
	buffer_add_slice(&w->out, buffer_slice(&p->out));
	buffer_reset(&p->out);
}

void
world_send(struct world *w, struct slice bytes, size_t piece)
{
	size_t used_before = 0, seen = 0;

	while (seen < bytes.len) {
		size_t used;

		seen = seen + piece < bytes.len ? seen + piece : bytes.len;
		do {
			w->tls_started = false;
			used = pop3_input(
				&w->pop3, slice_make(bytes.data + used_before, seen - used_before));
			used_before += used;
			world_settle(w);
			/* What was sent behind STLS never reaches the core. */
			if (w->tls_started)
				return;
		} while (used > 0);
	}
}

void
world_init(struct world *w, const struct world_options *o)
{
	struct pop3_setup setup = {
		.hostname = "dewey.example",
		.tls = o->tls,
		.tls_offered = o->tls_offered,
		.passwords = o->passwords,
		.login_failures = o->failures,
	};

	*w = (struct world){.piece = o->piece};
	buffer_init(&w->out, OUT_MAX);
	buffer_init(&w->expunged, OUT_MAX);
	pop3_init(&w->pop3, &setup);
	world_settle(w);
}

void
world_clear(struct world *w)
{
	pop3_clear(&w->pop3);
	buffer_clear(&w->out);
	buffer_clear(&w->expunged);
}
