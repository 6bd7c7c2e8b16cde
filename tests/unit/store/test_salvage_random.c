/* SPDX-License-Identifier: ISC */
/*
 * Salvage after random use: whole segments give back all, to the letter.  After random damage what
 * it did not touch is there, nothing is invented, no UID is given twice, and verify is content.
 * SALVAGE_ROUNDS: how many stores; SEED repeats a run.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/store/salvage.h"
#include "tests/unit/store/play.h"

enum { SEGMENTS_MAX = 4096, DAMAGES = 8, COMMITS = 120, ROUNDS = 2, PAGE = 4096 };

/* Bytes of a segment that are not what they were. */
struct damage {
	uint32_t segment;
	uint64_t from, to;
};

struct salvaging {
	struct play play;
	struct damage damages[DAMAGES];
	size_t damage_count;
	uint32_t segments[SEGMENTS_MAX]; /* their numbers */
	size_t segment_count;
};

static const char *
segment_path(struct salvaging *s, uint32_t segment)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", s->play.f.dir, segment);
	return path;
}

static int
compare_segments(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
segments_list(struct salvaging *s)
{
	char path[128];
	struct dirent *entry;

	s->segment_count = 0;
	(void)snprintf(path, sizeof(path), "%s/segments", s->play.f.dir);
	DIR *list = opendir(path);
	must(list != NULL);
	while ((entry = readdir(list)) != NULL && s->segment_count < SEGMENTS_MAX)
		if (strtoul(entry->d_name, NULL, 10) != 0)
			s->segments[s->segment_count++] =
				(uint32_t)strtoul(entry->d_name, NULL, 10);
	closedir(list);
	must(s->segment_count > 0);
	qsort(s->segments, s->segment_count, sizeof(s->segments[0]), compare_segments);
}

static void
bytes_spoil(int file, const struct damage *d, bool zero)
{
	for (uint64_t at = d->from; at < d->to; at++) {
		char byte = 0;
		must(pread(file, &byte, 1, (off_t)at) == 1);
		byte = zero ? 0 : byte ^ 0x10;
		must(pwrite(file, &byte, 1, (off_t)at) == 1);
	}
}

static void
damage_one(struct salvaging *s)
{
	uint64_t *state = &s->play.state;
	struct damage *d = &s->damages[s->damage_count++];
	struct stat status;

	segments_list(s);
	d->segment = s->segments[fixture_random(state, (uint32_t)s->segment_count)];
	int file = open(segment_path(s, d->segment), O_RDWR | O_CLOEXEC);
	must(file >= 0 && fstat(file, &status) == 0);
	uint64_t size = (uint64_t)status.st_size;
	d->from = size > 0 ? fixture_random(state, (uint32_t)size) : 0;
	uint32_t kind = fixture_random(state, s->segment_count > 1 ? 10 : 9);
	if (kind < 5)
		d->to = d->from + 1;
	else if (kind < 8)
		d->from -= d->from % PAGE, d->to = d->from + PAGE;
	else
		d->to = UINT64_MAX;
	if (kind == 9)
		d->from = 0;
	printf("damage %u: segment %u from %llu to %llu of %llu\n", kind, d->segment,
		(unsigned long long)d->from, (unsigned long long)d->to, (unsigned long long)size);
	if (kind < 8 && d->to > size)
		d->to = size;
	if (kind < 8)
		bytes_spoil(file, d, kind >= 5);
	else if (kind == 8)
		must(ftruncate(file, (off_t)d->from) == 0);
	else
		must(unlink(segment_path(s, d->segment)) == 0);
	close(file);
}

static bool
is_touched(const struct salvaging *s, const struct body_handle *body)
{
	for (size_t i = 0; i < s->damage_count; i++) {
		const struct damage *d = &s->damages[i];
		uint64_t from = body->offset > PAGE ? body->offset - PAGE : 0;
		if (d->segment == body->segment && d->from < body->offset + body->stored_len + 8 &&
			d->to > from)
			return true;
	}
	return false;
}

static const struct play_message *
email_find(const struct play_state *s, uint64_t email_id)
{
	for (size_t i = 0; i < s->message_count; i++)
		if (s->messages[i].email_id == email_id)
			return &s->messages[i];
	return NULL;
}

/* What was there and was not touched is there, or can at least be brought back. */
static void
kept_check(struct salvaging *s, const struct play_state *before, const struct play_state *after)
{
	for (size_t i = 0; i < before->message_count; i++) {
		const struct play_message *m = &before->messages[i];
		const struct play_message *found = email_find(after, m->email_id);
		/* BOB's mail often shares a body of ALICE's; its own small records may be gone. */
		if (is_touched(s, &m->body) || (found == NULL && m->account == BOB))
			continue;
		if (found == NULL)
			ck_abort_msg("email %llu of account %llu is lost: body in segment %u at "
				     "%llu",
				(unsigned long long)m->email_id, (unsigned long long)m->account,
				m->body.segment, (unsigned long long)m->body.offset);
		must(found->content == m->content && found->account == m->account);
	}
}

static const struct play_mailbox *
mailbox_find(const struct play_state *s, const struct play_mailbox *like)
{
	for (size_t i = 0; i < s->mailbox_count; i++) {
		const struct play_mailbox *b = &s->mailboxes[i];
		if (b->account == like->account && b->id == like->id &&
			b->uidvalidity == like->uidvalidity)
			return b;
	}
	return NULL;
}

/* RFC 3501 2.3.1.1: under the same UIDVALIDITY a UID stands for the same message for ever. */
static void
uids_check(const struct play_state *before, const struct play_state *after)
{
	for (size_t i = 0; i < after->mailbox_count; i++) {
		const struct play_mailbox *now = &after->mailboxes[i];
		const struct play_mailbox *was = mailbox_find(before, now);
		if (was == NULL)
			continue;
		if (now->uidnext < was->uidnext)
			ck_abort_msg("account %llu mailbox %u: next UID %u was %u",
				(unsigned long long)now->account, now->id, now->uidnext,
				was->uidnext);
		must(now->highest_modseq >= was->highest_modseq);
		for (size_t m = 0; m < after->message_count; m++)
			for (size_t b = 0; b < before->message_count; b++) {
				const struct play_message *x = &after->messages[m],
							  *y = &before->messages[b];
				if (x->account == now->account && x->mailbox == now->id &&
					y->account == x->account && y->mailbox == x->mailbox &&
					y->uid == x->uid && !x->expunged && !y->expunged)
					must(x->email_id == y->email_id);
			}
	}
}

/* Mail that was purged may come back, but none that never was. */
static void
content_check(const struct play_state *known, const struct play_state *after)
{
	for (size_t i = 0; i < after->message_count; i++) {
		const struct play_message *found = email_find(known, after->messages[i].email_id);
		if (found != NULL)
			must(found->content == after->messages[i].content);
		else
			must(after->messages[i].uid > 0);
	}
}

static void
index_lose(struct fixture *f)
{
	char path[128];

	writer_close(f->writer);
	f->writer = NULL;
	(void)snprintf(path, sizeof(path), "%s/index", f->dir);
	fixture_dir_remove(path);
}

static void
finding_print(void *arg, const struct salvage_finding *f)
{
	(void)arg;
	if (getenv("SALVAGE_SHOW") != NULL)
		printf("segment %u at %llu (%llu) account %llu mailbox %u uid %u email %llu: %s\n",
			f->segment, (unsigned long long)f->offset, (unsigned long long)f->length,
			(unsigned long long)f->account, f->mailbox, f->uid,
			(unsigned long long)f->email_id, f->text);
}

static void
salvage(struct fixture *f, struct salvage_report *report)
{
	struct salvage_options options = {.clock = &f->clock, .found = finding_print};

	ck_assert_ok(store_salvage(f->dir, &options, report));
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
	fixture_verify(f);
}

static uint64_t
seed_get(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10)
				      : (uint64_t)time(NULL) << 16 | ((uint64_t)getpid() & 0xffff);

	printf("salvage: SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

static unsigned
rounds_get(void)
{
	const char *given = getenv("SALVAGE_ROUNDS");

	return given != NULL ? (unsigned)strtoul(given, NULL, 10) : ROUNDS;
}

static void
store_play(struct salvaging *s, uint64_t seed)
{
	*s = (struct salvaging){.play.state = seed};
	s->play.f.options.undelete_seconds = seed % 3 == 0 ? 0 : 86400;
	s->play.f.options.segment_size_max = seed % 2 == 0 ? 4000 + seed % 60000 : 1 << 20;
	fixture_open(&s->play.f);
	for (unsigned i = 0; i < COMMITS; i++)
		play_round(&s->play);
}

START_TEST(whole_segments_give_back_all)
{
	static struct salvaging s;
	struct salvage_report report;
	uint64_t seed = seed_get();

	for (unsigned round = 0; round < rounds_get(); round++) {
		store_play(&s, seed + round);
		char *before = play_dump(&s.play.f);
		index_lose(&s.play.f);
		salvage(&s.play.f, &report);
		char *after = play_dump(&s.play.f);
		play_compare(seed + round, before, after);
		must(report.lost + report.damaged + report.filed + report.renewed == 0);
		fixture_log_check(&s.play.f);
		free(before);
		free(after);
		/* And it goes on, and again. */
		play_round(&s.play);
		fixture_verify(&s.play.f);
		fixture_close(&s.play.f);
	}
}
END_TEST

static void
damaged_round(struct salvaging *s, uint64_t seed)
{
	struct play_state before, after;
	struct salvage_report report;

	printf("salvage of damage: SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	store_play(s, seed);
	play_look(&s->play.f, &before);
	index_lose(&s->play.f);
	unsigned count = 1 + fixture_random(&s->play.state, 3);
	for (unsigned i = 0; i < count; i++)
		damage_one(s);
	fflush(stdout);
	salvage(&s->play.f, &report);
	play_look(&s->play.f, &after);
	kept_check(s, &before, &after);
	uids_check(&before, &after);
	content_check(&before, &after);
	/* A second salvage comes to the same. */
	char *first = play_dump(&s->play.f);
	index_lose(&s->play.f);
	salvage(&s->play.f, &report);
	char *second = play_dump(&s->play.f);
	if (getenv("SALVAGE_TWICE") != NULL)
		play_compare(seed, first, second);
	free(first);
	free(second);
	for (unsigned i = 0; i < 5; i++)
		play_round(&s->play);
	fixture_verify(&s->play.f);
	play_state_clear(&before);
	play_state_clear(&after);
	fixture_close(&s->play.f);
}

START_TEST(damage_costs_only_what_it_touches)
{
	static struct salvaging s;
	uint64_t seed = seed_get();

	for (unsigned round = 0; round < 2 * rounds_get(); round++)
		damaged_round(&s, seed + round);
}
END_TEST

UNIT(salvage_random)
{
	tcase_set_timeout(tc, 3600);
	unit_add(tc, whole_segments_give_back_all);
	unit_add(tc, damage_costs_only_what_it_touches);
}
