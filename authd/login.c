/* SPDX-License-Identifier: ISC */
/*
 * Logins by name and password.  Runs in authd; names and passwords come from clients through a
 * network-facing process.  Equal guesses at the same time cost one hash.
 */
#include "authd/login.h"

#include <stdlib.h>

#include "authd/saslprep.h"
#include "common/base/log.h"
#include "common/mail/address.h"

enum { SUBJECT_NAME_MAX = 512 };

/* One caller of login_plain. */
struct waiter {
	struct waiter *next;
	struct logins *logins;
	struct guard_who who; /* its name borrows from the attempt */
	login_done *done;
	void *arg;
	struct event *late; /* an answer that is held back */
};

/* One hash under way. */
struct attempt {
	struct attempt *next;
	struct logins *logins;
	struct login_tag tag;
	uint64_t account; /* 0: unknown */
	char name[SUBJECT_NAME_MAX];
	size_t name_len;
	struct guard_who charged; /* whose guess it is */
	struct waiter *waiters;
};

struct logins {
	struct login_parts parts;
	struct login_counters counters;
	struct attempt *attempts;
	struct waiter *late;
	unsigned waiter_count;
	struct directory_login notes[LOGIN_NOTES_MAX];
	size_t note_count;
	struct event *note_timer;
};

static void
write_notes(struct logins *l)
{
	enum fault fault = directory_note_logins(l->parts.directory, l->notes, l->note_count);

	if (fault != FAULT_OK)
		log_warning("cannot remember networks of logins: %s", fault_text(fault));
	l->note_count = 0;
}

static void
on_note_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	write_notes(arg);
}

enum fault
logins_new(const struct login_parts *parts, struct logins **made)
{
	struct logins *l = calloc(1, sizeof *l);

	if (l == NULL)
		return FAULT_NOMEM;
	l->parts = *parts;
	l->note_timer = evtimer_new(parts->base, on_note_timer, l);
	if (l->note_timer == NULL) {
		free(l);
		return FAULT_NOMEM;
	}
	*made = l;
	return FAULT_OK;
}

const struct login_parts *
logins_parts(const struct logins *l)
{
	return &l->parts;
}

struct login_counters *
logins_counters(struct logins *l)
{
	return &l->counters;
}

static bool
is_noted(const struct logins *l, uint64_t account, const uint8_t *network)
{
	for (size_t i = 0; i < l->note_count; i++)
		if (l->notes[i].account == account &&
			memcmp(l->notes[i].network, network, DIRECTORY_NETWORK_LEN) == 0)
			return true;
	return false;
}

static int64_t
network_age_ms(struct logins *l, uint64_t account, const uint8_t *network)
{
	int64_t seen = directory_network_seen(l->parts.directory, account, network);

	return seen > 0 ? clock_wall_ms(l->parts.clock) - seen : INT64_MAX;
}

static bool
is_known(struct logins *l, uint64_t account, const uint8_t *network)
{
	return is_noted(l, account, network) ||
		network_age_ms(l, account, network) < LOGIN_NETWORK_MS;
}

void
login_note(struct logins *l, uint64_t account, const struct guard_who *who)
{
	const struct timeval soon = {
		.tv_usec = LOGIN_NOTE_MS % 1000 * 1000, .tv_sec = LOGIN_NOTE_MS / 1000};
	struct directory_login *note;

	_Static_assert((int)GUARD_NETWORK_LEN == (int)DIRECTORY_NETWORK_LEN, "the same networks");
	if (is_noted(l, account, who->network) ||
		network_age_ms(l, account, who->network) < LOGIN_NOTE_AGAIN_MS)
		return;
	if (l->note_count == LOGIN_NOTES_MAX)
		write_notes(l);
	note = &l->notes[l->note_count++];
	note->account = account;
	memcpy(note->network, who->network, sizeof note->network);
	if (!evtimer_pending(l->note_timer, NULL))
		evtimer_add(l->note_timer, &soon);
}

/* A name that is no address is nobody's; it is guessed at and guarded all the same. */
static struct slice
subject_name(struct slice user, struct arena *arena)
{
	struct address parsed, normal;
	struct buffer text;
	struct slice name = slice_first(user, ADDRESS_MAX), copy = SLICE("");

	buffer_init(&text, SUBJECT_NAME_MAX);
	if (address_parse(user, &parsed) == FAULT_OK &&
		address_normalize(&parsed, arena, &normal) == FAULT_OK) {
		address_format(&normal, &text);
		if (buffer_fault(&text) == FAULT_OK)
			name = buffer_slice(&text);
	}
	if (!arena_copy(arena, name, &copy))
		copy = SLICE("");
	buffer_clear(&text);
	return copy;
}

enum fault
login_find_subject(struct logins *l, struct slice remote, struct slice user, struct arena *arena,
	struct login_subject *subject)
{
	*subject = (struct login_subject){.name = subject_name(user, arena)};
	guard_network(remote, &subject->who);
	subject->who.name = subject->name;
	enum fault fault =
		directory_find_account(l->parts.directory, user, arena, &subject->account);
	if (fault == FAULT_OK) {
		subject->exists = true;
		subject->who.known = is_known(l, subject->account.id, subject->who.network);
	}
	return fault_is_temporary(fault) ? fault : FAULT_OK;
}

static void
free_waiter(struct waiter *w)
{
	w->logins->waiter_count--;
	if (w->late != NULL)
		event_free(w->late);
	free(w);
}

static void
answer(struct waiter *w, const struct login_result *result)
{
	w->done(w->arg, result);
	free_waiter(w);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	struct waiter *w = arg, **at = &w->logins->late;

	(void)fd;
	(void)what;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	answer(w, &(struct login_result){.fault = FAULT_AUTH_FAILED});
}

/* The waiter's answer is AUTH_FAILED, now or held back. */
static void
fail_waiter(struct waiter *w)
{
	struct logins *l = w->logins;
	int64_t delay_ms = guard_delay_ms(l->parts.guard, &w->who);
	const struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	l->counters.wrong++;
	w->who.name = SLICE("");
	if (delay_ms > 0)
		w->late = evtimer_new(l->parts.base, on_late, w);
	if (w->late == NULL || evtimer_add(w->late, &delay) != 0) {
		answer(w, &(struct login_result){.fault = FAULT_AUTH_FAILED});
		return;
	}
	w->next = l->late;
	l->late = w;
}

static struct waiter *
make_waiter(struct logins *l, const struct guard_who *who, login_done *done, void *arg)
{
	struct waiter *w;

	if (l->waiter_count >= LOGIN_WAITERS_MAX)
		return NULL;
	w = calloc(1, sizeof *w);
	if (w == NULL)
		return NULL;
	*w = (struct waiter){.logins = l, .who = *who, .done = done, .arg = arg};
	l->waiter_count++;
	return w;
}

void
login_fail(struct logins *l, const struct guard_who *who, login_done *done, void *arg)
{
	struct waiter *w = make_waiter(l, who, done, arg);

	if (w == NULL)
		done(arg, &(struct login_result){.fault = FAULT_AUTH_FAILED});
	else
		fail_waiter(w);
}

/* The password was right; the account may have changed while it was hashed. */
static void
answer_right(struct logins *l, const struct login_result *result, struct waiter *waiters)
{
	struct waiter *next;

	for (struct waiter *w = waiters; w != NULL; w = next) {
		next = w->next;
		if (result->fault == FAULT_OK) {
			l->counters.right++;
			login_note(l, result->account, &w->who);
		}
		answer(w, result);
	}
}

static void
answer_all(struct waiter *waiters, enum fault fault)
{
	struct waiter *next;

	for (struct waiter *w = waiters; w != NULL; w = next) {
		next = w->next;
		if (fault == FAULT_AUTH_FAILED)
			fail_waiter(w);
		else
			answer(w, &(struct login_result){.fault = fault});
	}
}

static void
unlink_attempt(struct attempt *a)
{
	struct attempt **at = &a->logins->attempts;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

/* The password of the attempt was right. */
static void
accept_attempt(struct attempt *a, const struct password_answer *got)
{
	struct logins *l = a->logins;
	struct login_claim claim = {
		.account = a->account, .client_key = got->has_client_key ? got->client_key : NULL};
	struct login_opened opened;

	login_open(l, &claim, &opened);
	if (opened.result.private_key.len > 0)
		login_memory_add_key(l->parts.memory, &a->tag, a->account, opened.key.private_key);
	else
		login_memory_add(l->parts.memory, &a->tag, LOGIN_RIGHT);
	answer_right(l, &opened.result, a->waiters);
	login_opened_clear(&opened);
}

static void
on_hashed(void *arg, const struct password_answer *got)
{
	struct attempt *a = arg;
	struct logins *l = a->logins;

	unlink_attempt(a);
	if (got->fault != FAULT_AUTH_FAILED)
		guard_refund(l->parts.guard, &a->charged);
	if (got->fault == FAULT_AUTH_FAILED)
		login_memory_add(l->parts.memory, &a->tag, LOGIN_WRONG);
	if (got->fault == FAULT_OK)
		accept_attempt(a, got);
	else
		answer_all(a->waiters, got->fault);
	free(a);
}

static struct attempt *
find_attempt(const struct logins *l, const struct login_tag *tag)
{
	for (struct attempt *a = l->attempts; a != NULL; a = a->next)
		if (memcmp(a->tag.bytes, tag->bytes, sizeof tag->bytes) == 0)
			return a;
	return NULL;
}

static struct attempt *
make_attempt(struct logins *l, const struct login_subject *subject, const struct login_tag *tag)
{
	struct attempt *a = calloc(1, sizeof *a);
	struct slice name = slice_first(subject->name, sizeof a->name);

	if (a == NULL)
		return NULL;
	a->logins = l;
	a->tag = *tag;
	a->account = subject->exists ? subject->account.id : 0;
	memcpy(a->name, name.data, name.len);
	a->name_len = name.len;
	a->charged = subject->who;
	a->charged.name = slice_make(a->name, a->name_len);
	return a;
}

/* Hands the password to a thread; the guess counts from now on. */
static enum fault
start_attempt(struct logins *l, const struct login_subject *subject, const struct login_tag *tag,
	const struct secret *password, struct attempt **made)
{
	struct attempt *a = make_attempt(l, subject, tag);

	if (a == NULL)
		return FAULT_NOMEM;
	const struct account_record *record = &subject->account.record;
	struct password_check check = {.hash = SLICE("")};
	if (subject->exists)
		check.hash = record->password_hash;
	if (subject->exists && record->key.exists)
		check.scram = &record->scram;
	enum fault fault = password_verify(l->parts.pool, &check, password, on_hashed, a);
	if (fault != FAULT_OK) {
		free(a);
		return fault;
	}
	l->counters.hashed++;
	guard_charge(l->parts.guard, &a->charged);
	a->next = l->attempts;
	l->attempts = a;
	*made = a;
	return FAULT_OK;
}

static void
check_by_hash(struct waiter *w, const struct login_subject *subject, const struct login_tag *tag,
	const struct secret *password)
{
	struct logins *l = w->logins;
	struct attempt *a = find_attempt(l, tag);
	enum fault fault = FAULT_OK;

	if (a == NULL)
		fault = start_attempt(l, subject, tag, password, &a);
	if (fault != FAULT_OK) {
		answer(w, &(struct login_result){.fault = fault});
		return;
	}
	w->who.name = slice_make(a->name, a->name_len);
	w->next = a->waiters;
	a->waiters = w;
}

/* False when the login has to be checked again, because the key pair is not remembered with it. */
static bool
answer_remembered(
	struct waiter *w, const struct login_subject *subject, const struct login_tag *tag)
{
	struct logins *l = w->logins;
	struct login_claim claim = {.account = subject->account.id};
	struct login_opened opened;
	uint8_t key[LOGIN_KEY_LEN];

	if (login_memory_key(l->parts.memory, tag, key))
		claim.private_key = key;
	else if (subject->account.record.key.exists)
		return false;
	login_open(l, &claim, &opened);
	secret_wipe(key, sizeof key);
	answer_right(l, &opened.result, w);
	login_opened_clear(&opened);
	return true;
}

static void
check_password(struct waiter *w, const struct login_subject *subject, const struct secret *password)
{
	struct logins *l = w->logins;
	struct login_tag tag;
	struct login_try try = {subject->name,
		subject->exists ? subject->account.record.password_hash : SLICE(""),
		secret_slice(password)};

	login_memory_tag(l->parts.memory, &try, &tag);
	enum login_outcome outcome = login_memory_find(l->parts.memory, &tag);
	if (outcome == LOGIN_RIGHT && !answer_remembered(w, subject, &tag))
		outcome = LOGIN_UNKNOWN;
	if (outcome != LOGIN_UNKNOWN)
		l->counters.remembered++;
	if (outcome == LOGIN_RIGHT)
		return;
	if (outcome == LOGIN_WRONG)
		fail_waiter(w);
	else
		check_by_hash(w, subject, &tag, password);
}

/* The guard's word, then the password's. */
static void
check_subject(struct waiter *w, const struct login_subject *subject, struct slice password_as_given)
{
	struct secret password;

	if (!guard_allows(w->logins->parts.guard, &subject->who)) {
		w->logins->counters.slowed++;
		answer(w, &(struct login_result){.fault = FAULT_AUTH_SLOWED});
		return;
	}
	/* What cannot be prepared was never set: wrong, and no guess. */
	if (saslprep(password_as_given, &password) != FAULT_OK)
		fail_waiter(w);
	else
		check_password(w, subject, &password);
	secret_clear(&password);
}

void
login_plain(struct logins *l, const struct login_request *request, login_done *done, void *arg)
{
	struct arena arena;
	struct login_subject subject;
	struct waiter *w = NULL;

	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = login_find_subject(l, request->remote, request->user, &arena, &subject);
	if (fault == FAULT_OK)
		w = make_waiter(l, &subject.who, done, arg);
	if (fault == FAULT_OK && w == NULL)
		fault = FAULT_BUSY;
	if (fault != FAULT_OK)
		done(arg, &(struct login_result){.fault = fault});
	else
		check_subject(w, &subject, request->password);
	arena_clear(&arena);
}

void
logins_free(struct logins *l)
{
	if (l == NULL)
		return;
	while (l->late != NULL) {
		struct waiter *w = l->late;
		l->late = w->next;
		answer(w, &(struct login_result){.fault = FAULT_AUTH_FAILED});
	}
	write_notes(l);
	event_free(l->note_timer);
	free(l);
}
