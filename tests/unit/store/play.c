/* SPDX-License-Identifier: ISC */
#include "tests/unit/store/play.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/reader.h"
#include "tests/unit/store/dump.h"

enum { NAMES = 8, STATE_MAX = 20000, BODY_MAX = 3000, MAILBOXES = 14 };

static const char *const names[NAMES] = {
	"one", "one/two", "one/two/three", "other", "Sent/2026", "z", "z/y", "INBOX/below"};

static uint32_t
draw(struct play *p, uint32_t below)
{
	return fixture_random(&p->state, below);
}

static uint64_t
account_draw(struct play *p)
{
	return draw(p, 3) == 0 ? BOB : ALICE;
}

static struct writer_uids
uids_draw(struct play *p, struct uid_range *range)
{
	range->first = 1 + draw(p, 40);
	range->last = range->first + draw(p, 8);
	return (struct writer_uids){account_draw(p), 1 + draw(p, MAILBOXES), range, 1};
}

static void
play_append(struct play *p)
{
	static char body[BODY_MAX];
	struct fixture_message m;
	int n = snprintf(body, sizeof(body), "message %u ", p->number++);
	size_t len = (size_t)n + draw(p, draw(p, 6) == 0 ? BODY_MAX - 100 : 60);

	for (size_t i = (size_t)n; i < len; i++)
		body[i] = (char)draw(p, 256);
	fixture_message(&p->f, &m, slice_make(body, len));
	m.request.target_count = 1 + draw(p, 3) / 2;
	for (size_t i = 0; i < m.request.target_count; i++) {
		m.targets[i].mailbox = 1 + draw(p, 6);
		m.targets[i].or_inbox = true;
		m.targets[i].flags = (uint8_t)draw(p, 32);
		if (draw(p, 2) == 0)
			memcpy(m.targets[i].delivery_id, &p->number, sizeof(p->number));
	}
	uint64_t hashes[] = {draw(p, 20), draw(p, 20)};
	m.request.thread_hashes = hashes;
	m.request.thread_hash_count = 2;
	writer_append(p->f.writer, &m.request);
	fixture_message_clear(&m);
}

static void
play_flags(struct play *p)
{
	struct slice keywords[] = {SLICE("Important"), SLICE("$Later")};
	struct uid_range range;
	struct writer_flags f = {
		.uids = uids_draw(p, &range),
		.verb = (enum writer_flags_verb)draw(p, 3),
		.flags = (uint8_t)draw(p, 32),
		.keywords = keywords,
		.keyword_count = draw(p, 3),
	};

	(void)!writer_flags_store(p->f.writer, &f);
	uid_set_clear(&f.changed);
	uid_set_clear(&f.failed);
}

static void
play_copy(struct play *p, bool moving)
{
	struct uid_range range;
	struct writer_copy c = {.uids = uids_draw(p, &range), .to = 1 + draw(p, MAILBOXES)};

	(void)!(moving ? writer_move(p->f.writer, &c) : writer_copy(p->f.writer, &c));
	uid_set_clear(&c.copied);
}

static void
play_expunge(struct play *p)
{
	struct uid_range range;
	struct writer_expunge e = {.uids = uids_draw(p, &range), .only_deleted = draw(p, 2) == 0};

	(void)!writer_expunge(p->f.writer, &e);
	uid_set_clear(&e.expunged);
}

struct undeleting {
	struct play *play;
	uint64_t email_id;
};

static enum fault
expunged_choose(void *arg, int64_t at, const struct store_message *m)
{
	struct undeleting *u = arg;

	(void)at;
	if (u->email_id == 0 || draw(u->play, 3) == 0)
		u->email_id = m->email_id;
	return FAULT_OK;
}

static void
play_undelete(struct play *p)
{
	struct undeleting u = {.play = p};
	struct uid_range uid;

	ck_assert_ok(reader_begin(p->f.reader));
	ck_assert_ok(reader_expunged(p->f.reader, ALICE, expunged_choose, &u));
	reader_end(p->f.reader);
	if (u.email_id != 0)
		(void)!writer_undelete(p->f.writer, ALICE, u.email_id, &uid);
}

static void
play_mailbox(struct play *p)
{
	struct slice name = slice_text(names[draw(p, NAMES)]);
	struct slice other = slice_text(names[draw(p, NAMES)]);
	uint64_t account = account_draw(p);
	struct uid_range recent;

	switch (draw(p, 8)) {
	case 0:
	case 1:
	case 2:
		(void)!writer_mailbox_create(
			p->f.writer, &(struct writer_create){.account = account, .name = name});
		break;
	case 3:
		(void)!writer_mailbox_delete(p->f.writer, account, name);
		break;
	case 4:
		(void)!writer_mailbox_rename(p->f.writer, account, name, other);
		break;
	case 5:
		(void)!writer_subscribe(p->f.writer, account, name, draw(p, 3) != 0);
		break;
	case 6:
		(void)!writer_recent_claim(p->f.writer, account, 1 + draw(p, MAILBOXES), &recent);
		break;
	default:
		(void)!writer_account_ensure(p->f.writer, account, 1000000 + draw(p, 1000));
	}
}

static void
play_one(struct play *p)
{
	switch (draw(p, 13)) {
	case 0:
	case 1:
	case 2:
	case 3:
		play_append(p);
		break;
	case 4:
	case 5:
		play_flags(p);
		break;
	case 6:
		play_copy(p, false);
		break;
	case 7:
		play_copy(p, true);
		break;
	case 8:
	case 9:
		play_expunge(p);
		break;
	case 10:
		play_undelete(p);
		break;
	default:
		play_mailbox(p);
	}
}

void
play_round(struct play *p)
{
	unsigned operations = 1 + draw(p, 8);
	bool more = false;

	fixture_begin(&p->f);
	for (unsigned i = 0; i < operations; i++)
		play_one(p);
	fixture_commit(&p->f);
	p->f.now_ms += 1000 + draw(p, 40000000);
	if (draw(p, 5) == 0)
		ck_assert_ok(writer_housekeep(p->f.writer, &more));
	if (draw(p, 10) == 0)
		(void)fixture_compact(&p->f,
			&(struct compact_options){.percent = 50 + draw(p, 51),
				.tail_garbage = 2000 + draw(p, 20000),
				.bytes_max = COMPACT_SLICE});
	if (draw(p, 12) == 0)
		fixture_reopen(&p->f);
}

/* Without the change log, which a salvage does not rebuild. */
static void
line_keep(FILE *out, const char *line)
{
	const char *oldest = strstr(line, " oldest "), *boxes = strstr(line, " mailbox-next ");
	const char *changes = strstr(line, " changes ");

	if (strncmp(line, "  change ", 9) == 0)
		return;
	if (strncmp(line, "account ", 8) != 0) {
		fputs(line, out);
		return;
	}
	must(oldest != NULL && boxes != NULL && changes != NULL);
	fprintf(out, "%.*s%.*s\n", (int)(oldest - line), line, (int)(changes - boxes), boxes);
}

char *
play_dump(struct fixture *f)
{
	char *all = NULL, *kept = NULL, line[4096];
	size_t all_len, kept_len;
	FILE *out = open_memstream(&all, &all_len), *in, *to;

	must(out != NULL);
	ck_assert_ok(dump_store(out, f->reader));
	fclose(out);
	in = fmemopen(all, all_len, "r");
	to = open_memstream(&kept, &kept_len);
	must(in != NULL && to != NULL);
	while (fgets(line, sizeof(line), in) != NULL)
		line_keep(to, line);
	fclose(in);
	fclose(to);
	free(all);
	return kept;
}

void
play_compare(uint64_t seed, const char *before, const char *after)
{
	size_t line = 0;

	for (size_t i = 0; before[i] != '\0' && before[i] == after[i]; i++)
		if (before[i] == '\n')
			line = i + 1;
	if (strcmp(before, after) != 0)
		ck_abort_msg("SEED=%llu\nbefore: %.*s\nafter:  %.*s", (unsigned long long)seed,
			(int)strcspn(before + line, "\n"), before + line,
			(int)strcspn(after + line, "\n"), after + line);
}

static void
message_look(struct fixture *f, struct play_state *s, const struct store_message *m, bool expunged)
{
	static char bytes[BODY_MAX + STORE_PREFIX_MAX];
	struct play_message *x = &s->messages[s->message_count++];
	struct store_content c;

	must(s->message_count < STATE_MAX && m->size <= sizeof(bytes));
	*x = (struct play_message){.account = m->account,
		.mailbox = m->mailbox,
		.uid = m->uid,
		.email_id = m->email_id,
		.expunged = expunged};
	ck_assert_ok(reader_content(f->reader, m, &c));
	ck_assert_ok(reader_read(f->reader, &c, 0, (struct body_span){bytes, m->size}));
	crypto_generichash((uint8_t *)&x->content, sizeof(x->content),
		(const uint8_t *)bytes + c.prefix_len, m->size - c.prefix_len, NULL, 0);
	x->body = c.body;
}

struct looking {
	struct fixture *f;
	struct play_state *state;
};

static enum fault
expunged_look(void *arg, int64_t at, const struct store_message *m)
{
	struct looking *l = arg;

	(void)at;
	message_look(l->f, l->state, m, true);
	return FAULT_OK;
}

static enum fault
account_look(void *arg, const struct store_account *a)
{
	struct looking *l = arg;
	struct store_reader *r = l->f->reader;
	struct store_mailbox_list list;
	struct arena arena;

	arena_init(&arena, 16 << 20);
	ck_assert_ok(reader_mailboxes(r, a->id, &arena, &list));
	for (size_t i = 0; i < list.count; i++) {
		const struct store_mailbox *b = &list.mailboxes[i];
		struct store_message m;
		struct reader_walk walk;
		must(l->state->mailbox_count < STATE_MAX);
		l->state->mailboxes[l->state->mailbox_count++] = (struct play_mailbox){
			a->id, b->id, b->uidvalidity, b->uidnext, b->highest_modseq};
		reader_walk_open(r, a->id, b->id, &walk);
		for (bool more = reader_walk_seek(&walk, 0, &m); more;
			more = reader_walk_next(&walk, &m))
			message_look(l->f, l->state, &m, false);
		ck_assert_ok(reader_walk_close(&walk));
	}
	arena_clear(&arena);
	return reader_expunged(r, a->id, expunged_look, l);
}

void
play_look(struct fixture *f, struct play_state *s)
{
	struct looking l = {f, s};

	*s = (struct play_state){
		.messages = calloc(STATE_MAX, sizeof(s->messages[0])),
		.mailboxes = calloc(STATE_MAX, sizeof(s->mailboxes[0])),
	};
	must(s->messages != NULL && s->mailboxes != NULL);
	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_accounts(f->reader, account_look, &l));
	reader_end(f->reader);
}

void
play_state_clear(struct play_state *s)
{
	free(s->messages);
	free(s->mailboxes);
	*s = (struct play_state){0};
}
