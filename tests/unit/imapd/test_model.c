/* SPDX-License-Identifier: ISC */
/*
 * Several sessions on one mailbox, doing random things.  Each client keeps what RFC 3501 says that
 * it may conclude from the untagged responses alone; in the end that must be what the store has.
 * A failing run prints its seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/imapd/bench.h"
#include "tests/unit/unit.h"

enum { CLIENTS = 3, KNOWN_MAX = 4096, STEPS = 400, SEEDS = 12, FLAGS_LEN = 100 };

struct known {
	uint32_t uid; /* 0: not told yet */
	bool has_flags;
	char flags[FLAGS_LEN];
};

struct model_client {
	struct known known[KNOWN_MAX];
	uint32_t count;
	bool is_idle;
	bool forbids_expunge; /* FETCH, STORE or SEARCH by number is running */
};

struct model {
	struct bench bench;
	struct model_client clients[CLIENTS];
	uint32_t seed, state;
};

static uint32_t
draw(struct model *m, uint32_t below)
{
	m->state = m->state * 1664525 + 1013904223;
	return (m->state >> 8) % below;
}

#define MUST(m, good, ...)                                                                         \
	do {                                                                                       \
		if (!(good)) {                                                                     \
			fprintf(stderr, __VA_ARGS__);                                              \
			ck_abort_msg("seed %u", (m)->seed);                                        \
		}                                                                                  \
	} while (0)

static void
on_fetch(struct model *m, struct model_client *c, uint32_t seq, struct slice line)
{
	struct known *known = &c->known[seq - 1];
	struct cursor cursor = cursor_of(line);
	struct slice flags;

	MUST(m, seq >= 1 && seq <= c->count, "FETCH of a number that is not there\n");
	for (; !cursor_at_end(&cursor); cursor.rest = slice_after(cursor.rest, 1)) {
		uint32_t uid;
		if (take_text(&cursor, SLICE("UID ")) && take_u32(&cursor, &uid)) {
			MUST(m, known->uid == 0 || known->uid == uid,
				"message %u was UID %u and is now %u\n", seq, known->uid, uid);
			known->uid = uid;
		}
		if (take_text(&cursor, SLICE("FLAGS (")) && take_until(&cursor, ')', &flags)) {
			/* \Recent is the session's own affair. */
			size_t recent = slice_find(flags, SLICE("\\Recent"));
			struct slice behind = slice_after(flags, recent + 7);
			snprintf(known->flags, sizeof known->flags, "%.*s|%.*s",
				(int)slice_trim(slice_first(flags, recent)).len, flags.data,
				(int)slice_trim(behind).len, slice_trim(behind).data);
			known->has_flags = true;
		}
	}
}

static void
on_untagged(struct model *m, struct model_client *c, struct slice line)
{
	struct cursor cursor = cursor_of(line);
	uint32_t n;

	if (!take_text(&cursor, SLICE("* ")) || !take_u32(&cursor, &n))
		return;
	if (take_text(&cursor, SLICE(" EXPUNGE"))) {
		MUST(m, !c->forbids_expunge, "EXPUNGE at a forbidden time\n");
		MUST(m, n >= 1 && n <= c->count, "EXPUNGE of a number that is not there\n");
		c->count--;
		memmove(&c->known[n - 1], &c->known[n], (c->count - n + 1) * sizeof c->known[0]);
	} else if (take_text(&cursor, SLICE(" EXISTS"))) {
		MUST(m, n >= c->count && n <= KNOWN_MAX, "EXISTS %u after %u\n", n, c->count);
		memset(&c->known[c->count], 0, (n - c->count) * sizeof c->known[0]);
		c->count = n;
	} else if (take_text(&cursor, SLICE(" FETCH "))) {
		on_fetch(m, c, n, cursor.rest);
	}
}

static void
hear(struct model *m)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct buffer *output = &m->bench.clients[i].output;
		while (buffer_len(output) > 0) {
			struct slice out = buffer_slice(output);
			size_t at = slice_find(out, SLICE("\r\n"));
			on_untagged(m, &m->clients[i], slice_first(out, at));
			buffer_consume(output, at + 2);
		}
	}
}

static void
say(struct model *m, unsigned client, const char *command)
{
	struct model_client *c = &m->clients[client];
	char line[256];

	if (c->is_idle) {
		bench_send(&m->bench, client, SLICE("DONE\r\n"), 0);
		hear(m);
		c->is_idle = false;
	}
	c->forbids_expunge = slice_starts(slice_text(command), SLICE("FETCH")) ||
		slice_starts(slice_text(command), SLICE("STORE")) ||
		slice_starts(slice_text(command), SLICE("SEARCH"));
	snprintf(line, sizeof line, "t %s\r\n", command);
	bench_send(&m->bench, client, slice_text(line), 0);
	hear(m);
	c->forbids_expunge = false;
}

static uint32_t
some_uid(struct model *m, unsigned client)
{
	struct model_client *c = &m->clients[client];
	uint32_t uid = c->count > 0 ? c->known[draw(m, c->count)].uid : 0;

	return uid > 0 ? uid : 1 + draw(m, 300);
}

/* After a silent STORE the client would have to work out the flags by itself. */
static void
forget_flags(struct model *m, unsigned client)
{
	for (uint32_t i = 0; i < m->clients[client].count; i++)
		m->clients[client].known[i].has_flags = false;
}

static void
act(struct model *m, unsigned client)
{
	static const char *const flags[] = {
		"\\Seen", "\\Deleted", "\\Flagged", "$one", "\\Deleted $two", "\\Draft \\Answered"};
	struct model_client *c = &m->clients[client];
	const char *sign = (const char *[]){"", "+", "-"}[draw(m, 3)];
	const char *silent = draw(m, 2) > 0 ? ".SILENT" : "";
	const char *flag = flags[draw(m, 6)];
	uint32_t a = some_uid(m, client), b = some_uid(m, client);
	char command[200] = "NOOP";

	switch (draw(m, 12)) {
	case 0:
		bench_deliver(&m->bench, m->bench.alice, "INBOX", SLICE("Subject: x\r\n\r\ny\r\n"));
		hear(m);
		return;
	case 1:
	case 2:
		snprintf(command, sizeof command, "UID STORE %u:%u %sFLAGS%s (%s)", a, b, sign,
			silent, flag);
		break;
	case 3:
		if (c->count > 0)
			snprintf(command, sizeof command, "STORE %u %sFLAGS%s (%s)",
				1 + draw(m, c->count), sign, silent, flag);
		break;
	case 4:
		snprintf(command, sizeof command, draw(m, 3) > 0 ? "EXPUNGE" : "UID EXPUNGE %u:%u",
			a, b);
		break;
	case 5:
		snprintf(command, sizeof command, "UID MOVE %u Trash", a);
		break;
	case 6:
		if (c->count < 200)
			snprintf(command, sizeof command, "UID COPY %u:* INBOX", a);
		break;
	case 7:
		snprintf(command, sizeof command, "UID FETCH %u:%u (FLAGS BODY[TEXT])", a, b);
		break;
	case 8:
		if (c->count > 0)
			snprintf(command, sizeof command, "FETCH %u:* (UID FLAGS)",
				1 + draw(m, c->count));
		break;
	case 9:
		snprintf(command, sizeof command, "SEARCH UNSEEN");
		break;
	case 10:
		say(m, client, "IDLE");
		c->is_idle = true;
		return;
	default:
		break;
	}
	say(m, client, command);
	if (slice_find(slice_text(command), SLICE(".SILENT")) < strlen(command))
		forget_flags(m, client);
}

/* What each client knows against what the store says now. */
static void
compare(struct model *m)
{
	static struct model_client before;

	for (unsigned i = 0; i < CLIENTS; i++)
		say(m, i, "NOOP");
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct model_client *c = &m->clients[i];
		before = *c;
		say(m, i, "FETCH 1:* (UID FLAGS)");
		MUST(m, c->count == before.count, "client %u: %u, not %u messages\n", i,
			before.count, c->count);
		for (uint32_t k = 0; k < c->count; k++) {
			MUST(m, c->known[k].uid != 0, "client %u: %u is missing\n", i, k + 1);
			MUST(m, c->known[k].uid == m->clients[0].known[k].uid,
				"clients see other messages\n");
			MUST(m,
				!before.known[k].has_flags ||
					strcmp(before.known[k].flags, c->known[k].flags) == 0,
				"client %u: UID %u had [%s], has [%s]\n", i, c->known[k].uid,
				before.known[k].flags, c->known[k].flags);
		}
	}
}

static void
run(uint32_t seed, uint32_t changes_max)
{
	static const struct bench_options under_tls = {.tls = true};
	struct model *m = calloc(1, sizeof *m);

	ck_assert_ptr_nonnull(m);
	m->seed = m->state = seed;
	bench_open_forgetful(&m->bench, changes_max);
	for (unsigned i = 0; i < CLIENTS; i++) {
		bench_connect(&m->bench, i, &under_tls);
		say(m, i, "LOGIN alice@example.org secret");
		say(m, i, "SELECT INBOX");
	}
	for (int step = 0; step < STEPS; step++) {
		act(m, draw(m, CLIENTS));
		if (changes_max > 0 && draw(m, 10) == 0)
			bench_trim(&m->bench);
		if (draw(m, 50) == 0)
			compare(m);
	}
	compare(m);
	bench_close(&m->bench);
	free(m);
}

START_TEST(clients_know_what_the_store_has)
{
	run((uint32_t)_i + 1, 0);
}
END_TEST

START_TEST(also_when_the_change_log_was_trimmed)
{
	run((uint32_t)_i + 100, 5);
}
END_TEST

UNIT(model)
{
	tcase_add_loop_test(tc, clients_know_what_the_store_has, 0, SEEDS);
	tcase_add_loop_test(tc, also_when_the_change_log_was_trimmed, 0, SEEDS);
}
