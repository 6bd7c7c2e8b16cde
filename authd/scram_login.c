/* SPDX-License-Identifier: ISC */
/* SCRAM exchanges under way.  Runs in authd; messages come from clients, owners from links. */
#include "authd/scram_login.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/mail/base64.h"

/* server-first-message without its nonce, at most. */
enum { SERVER_FIRST_REST = 64 };

/* One exchange.  The texts of the protocol lie in one buffer, one after the other. */
struct exchange {
	struct exchange *older, *newer;
	uint64_t id, owner;
	int64_t expires_at;
	uint64_t account; /* 0: unknown, the proof can only be wrong */
	struct guard_who who; /* its name borrows from texts */
	struct buffer texts;
	struct scram_exchange parts; /* borrows from texts */
};

struct scram_logins {
	struct logins *logins;
	const struct entropy *entropy;
	struct exchange *oldest, *newest;
	unsigned count;
};

enum fault
scram_logins_new(struct logins *logins, const struct entropy *entropy, struct scram_logins **made)
{
	struct scram_logins *s = calloc(1, sizeof *s);

	if (s == NULL)
		return FAULT_NOMEM;
	s->logins = logins;
	s->entropy = entropy;
	*made = s;
	return FAULT_OK;
}

static void
drop(struct scram_logins *s, struct exchange *e)
{
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		s->oldest = e->newer;
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		s->newest = e->older;
	s->count--;
	buffer_clear(&e->texts);
	free(e);
}

void
scram_logins_free(struct scram_logins *s)
{
	if (s == NULL)
		return;
	while (s->oldest != NULL)
		drop(s, s->oldest);
	free(s);
}

/* The oldest of this client's network, or of all when it has none. */
static struct exchange *
find_victim(const struct scram_logins *s, const struct guard_who *who)
{
	for (struct exchange *e = s->oldest; e != NULL; e = e->newer)
		if (memcmp(e->who.network, who->network, sizeof who->network) == 0)
			return e;
	return s->oldest;
}

/* Expired ones go, and one more when there are too many: whoever floods us drops his own. */
static void
make_room(struct scram_logins *s, const struct guard_who *who)
{
	int64_t now = clock_mono_ms(logins_parts(s->logins)->clock);

	while (s->oldest != NULL && s->oldest->expires_at <= now)
		drop(s, s->oldest);
	if (s->count >= SCRAM_EXCHANGES_MAX)
		drop(s, find_victim(s, who));
}

static void
keep(struct scram_logins *s, struct exchange *e)
{
	e->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = e;
	else
		s->oldest = e;
	s->newest = e;
	s->count++;
}

/* RFC 5802 9: who is unknown must look like everybody else, and the same at each try. */
static void
make_false_verifier(struct scram_logins *s, struct slice name, struct scram_verifier *v)
{
	const uint8_t *secret = directory_secret(logins_parts(s->logins)->directory);

	crypto_generichash(
		v->salt, sizeof v->salt, (const unsigned char *)name.data, name.len, secret, 32);
	v->iterations = SCRAM_ITERATIONS;
	s->entropy->fill(s->entropy->arg, v->stored_key, sizeof v->stored_key);
	s->entropy->fill(s->entropy->arg, v->server_key, sizeof v->server_key);
}

/* Appends to texts, whose room never moves. */
static struct slice
keep_text(struct buffer *texts, struct slice text)
{
	size_t start = buffer_len(texts);

	buffer_add_slice(texts, text);
	return slice_after(buffer_slice(texts), start);
}

static void
add_server_nonce(struct scram_logins *s, struct buffer *texts)
{
	uint8_t random[SCRAM_SERVER_NONCE_LEN / 4 * 3];

	s->entropy->fill(s->entropy->arg, random, sizeof random);
	base64_encode(slice_make(random, sizeof random), texts);
}

/* Copies what the proof will be checked against, and makes the challenge. */
static enum fault
fill_exchange(struct scram_logins *s, struct exchange *e, const struct login_subject *subject,
	const struct scram_first *first)
{
	struct buffer *texts = &e->texts;
	size_t start, nonce_len = first->nonce.len + SCRAM_SERVER_NONCE_LEN;
	size_t room = subject->name.len + first->gs2_header.len + first->bare.len + 2 * nonce_len +
		SERVER_FIRST_REST;

	/* All room at once, because slices into it are kept. */
	buffer_init(texts, room);
	if (buffer_reserve(texts, room) == NULL)
		return FAULT_NOMEM;
	e->who = subject->who;
	e->who.name = keep_text(texts, subject->name);
	e->parts.gs2_header = keep_text(texts, first->gs2_header);
	e->parts.first_bare = keep_text(texts, first->bare);
	start = buffer_len(texts);
	buffer_add_slice(texts, first->nonce);
	add_server_nonce(s, texts);
	e->parts.nonce = slice_after(buffer_slice(texts), start);
	start = buffer_len(texts);
	scram_format_server_first(&e->parts.verifier, e->parts.nonce, texts);
	e->parts.server_first = slice_after(buffer_slice(texts), start);
	return buffer_fault(texts);
}

static enum fault
begin_exchange(struct scram_logins *s, const struct login_subject *subject,
	const struct scram_first *first, struct exchange **made)
{
	struct exchange *e = calloc(1, sizeof *e);

	if (e == NULL)
		return FAULT_NOMEM;
	if (subject->exists) {
		e->account = subject->account.id;
		e->parts.verifier = subject->account.record.scram;
	} else {
		make_false_verifier(s, subject->name, &e->parts.verifier);
	}
	enum fault fault = fill_exchange(s, e, subject, first);
	if (fault != FAULT_OK) {
		buffer_clear(&e->texts);
		free(e);
		return fault;
	}
	do
		e->id = entropy_u64(s->entropy);
	while (e->id == 0);
	e->expires_at = clock_mono_ms(logins_parts(s->logins)->clock) + SCRAM_EXCHANGE_MS;
	*made = e;
	return FAULT_OK;
}

/* To act as somebody else is nobody's right here (RFC 5801 4: the authzid). */
static enum fault
check_authzid(const struct scram_first *first)
{
	if (first->authzid.len == 0 || slice_equal(first->authzid, first->user))
		return FAULT_OK;
	return FAULT_AUTH_FAILED;
}

static enum fault
start(struct scram_logins *s, const struct scram_start *request, struct arena *arena,
	struct exchange **made)
{
	struct scram_first first;
	struct login_subject subject;
	struct buffer user;
	enum fault fault = scram_parse_first(request->message, &first);

	buffer_init(&user, SCRAM_MESSAGE_MAX);
	if (fault == FAULT_OK)
		fault = check_authzid(&first);
	if (fault == FAULT_OK)
		fault = scram_unescape_name(first.user, &user);
	if (fault == FAULT_OK)
		fault = login_find_subject(
			s->logins, request->remote, buffer_slice(&user), arena, &subject);
	if (fault == FAULT_OK && !guard_allows(logins_parts(s->logins)->guard, &subject.who)) {
		logins_counters(s->logins)->slowed++;
		fault = FAULT_AUTH_SLOWED;
	}
	if (fault == FAULT_OK)
		fault = begin_exchange(s, &subject, &first, made);
	buffer_clear(&user);
	return fault;
}

enum fault
scram_login_start(struct scram_logins *s, const struct scram_start *request, uint64_t *exchange,
	struct buffer *out)
{
	struct arena arena;
	struct exchange *e = NULL;

	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = start(s, request, &arena, &e);
	arena_clear(&arena);
	if (fault != FAULT_OK) {
		scram_format_error(fault, out);
		return fault;
	}
	e->owner = request->owner;
	make_room(s, &e->who);
	keep(s, e);
	buffer_add_slice(out, e->parts.server_first);
	*exchange = e->id;
	return buffer_fault(out);
}

static struct exchange *
find_exchange(struct scram_logins *s, const struct scram_finish *request)
{
	int64_t now = clock_mono_ms(logins_parts(s->logins)->clock);

	/* The newest is the likeliest. */
	for (struct exchange *e = s->newest; e != NULL; e = e->older)
		if (e->id == request->exchange && e->owner == request->owner)
			return e->expires_at > now ? e : NULL;
	return NULL;
}

/* A failure whose answer may be held back. */
struct late_failure {
	scram_done *done;
	void *arg;
	char message[64];
};

static void
on_failed(void *arg, const struct login_result *result)
{
	struct late_failure *late = arg;

	late->done(late->arg, result, slice_text(late->message));
	free(late);
}

static void
fail(struct scram_logins *s, const struct guard_who *who, scram_done *done, void *arg)
{
	struct late_failure *late = calloc(1, sizeof *late);
	static const char message[] = "e=invalid-proof";

	if (late == NULL) {
		done(arg, &(struct login_result){.fault = FAULT_AUTH_FAILED}, slice_text(message));
		return;
	}
	late->done = done;
	late->arg = arg;
	memcpy(late->message, message, sizeof message);
	login_fail(s->logins, who, on_failed, late);
}

/* What came of an exchange, and whom it is told. */
struct outcome {
	struct buffer message; /* server-final-message */
	uint8_t client_key[SCRAM_KEY_LEN];
	scram_done *done;
	void *arg;
};

/* The proof was right: is the account still there, with this verifier, and enabled? */
static void
succeed(struct scram_logins *s, const struct exchange *e, struct outcome *outcome)
{
	struct login_claim claim = {.account = e->account,
		.client_key = outcome->client_key,
		.stored_key = e->parts.verifier.stored_key};
	struct buffer *message = &outcome->message;
	struct login_opened opened;

	login_open(s->logins, &claim, &opened);
	if (opened.result.fault == FAULT_OK) {
		logins_counters(s->logins)->right++;
		login_note(s->logins, e->account, &e->who);
	} else {
		/* The server's signature is for those who are let in only. */
		buffer_reset(message);
		scram_format_error(FAULT_INTERNAL, message);
	}
	outcome->done(outcome->arg, &opened.result, buffer_slice(message));
	login_opened_clear(&opened);
}

static enum fault
check(const struct exchange *e, struct slice text, struct outcome *outcome)
{
	struct scram_final final;
	enum fault fault = scram_parse_final(text, &final);

	if (fault != FAULT_OK) {
		scram_format_error(fault, &outcome->message);
		return fault;
	}
	fault = scram_check(&e->parts, &final, &outcome->message, outcome->client_key);
	return fault == FAULT_OK && e->account == 0 ? FAULT_AUTH_FAILED : fault;
}

void
scram_login_finish(
	struct scram_logins *s, const struct scram_finish *request, scram_done *done, void *arg)
{
	struct exchange *e = find_exchange(s, request);
	struct outcome outcome = {.done = done, .arg = arg};

	if (e == NULL) {
		done(arg, &(struct login_result){.fault = FAULT_EXPIRED}, SLICE("e=other-error"));
		return;
	}
	/* Again, or many exchanges begun while the door was open would be as many guesses. */
	if (!guard_allows(logins_parts(s->logins)->guard, &e->who)) {
		logins_counters(s->logins)->slowed++;
		done(arg, &(struct login_result){.fault = FAULT_AUTH_SLOWED},
			SLICE("e=other-error"));
		drop(s, e);
		return;
	}
	buffer_init(&outcome.message, SCRAM_MESSAGE_MAX);
	enum fault fault = check(e, request->message, &outcome);
	if (fault == FAULT_OK) {
		succeed(s, e, &outcome);
	} else if (fault == FAULT_AUTH_FAILED) {
		guard_charge(logins_parts(s->logins)->guard, &e->who);
		fail(s, &e->who, done, arg);
	} else {
		done(arg, &(struct login_result){.fault = fault}, buffer_slice(&outcome.message));
	}
	buffer_clear(&outcome.message);
	secret_wipe(outcome.client_key, sizeof outcome.client_key);
	drop(s, e);
}
