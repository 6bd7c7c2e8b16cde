/* SPDX-License-Identifier: ISC */
/* STORE, COPY, MOVE and EXPUNGE of many messages, each a commit of its own, as IMAP asks for them.
 */
#include "tests/tools/store_bench/measure.h"
#include "tests/tools/store_bench/sender.h"

enum { ARCHIVE = 6, TRASH = 5 }; /* mailboxes that every account has */

struct changing {
	const struct bench *bench;
	struct uid_range range; /* in INBOX */
	uint64_t changed;
};

static void
do_flags(struct store_writer *w, void *arg)
{
	struct changing *c = arg;
	struct writer_flags flags = {.uids = {c->bench->account, STORE_INBOX, &c->range, 1},
		.verb = WRITER_FLAGS_ADD,
		.flags = STORE_SEEN};

	must(writer_flags_store(w, &flags), "flags");
	c->changed = uid_set_total(&flags.changed);
	uid_set_clear(&flags.changed);
	uid_set_clear(&flags.failed);
}

static void
do_copy(struct store_writer *w, void *arg)
{
	struct changing *c = arg;
	struct writer_copy copy = {
		.uids = {c->bench->account, STORE_INBOX, &c->range, 1}, .to = ARCHIVE};

	must(writer_copy(w, &copy), "copy");
	c->changed = uid_set_total(&copy.copied);
	uid_set_clear(&copy.copied);
}

static void
do_move(struct store_writer *w, void *arg)
{
	struct changing *c = arg;
	struct writer_copy move = {.uids = {c->bench->account, ARCHIVE, NULL, 0}, .to = TRASH};

	must(writer_move(w, &move), "move");
	c->changed = uid_set_total(&move.copied);
	uid_set_clear(&move.copied);
}

static void
do_expunge(struct store_writer *w, void *arg)
{
	struct changing *c = arg;
	struct writer_expunge expunge = {.uids = {c->bench->account, TRASH, NULL, 0}};

	must(writer_expunge(w, &expunge), "expunge");
	c->changed = uid_set_total(&expunge.expunged);
	uid_set_clear(&expunge.expunged);
}

static const struct {
	const char *name;
	void (*work)(struct store_writer *, void *arg);
} changes[] = {{"store", do_flags}, {"copy", do_copy}, {"move", do_move}, {"expunge", do_expunge}};

void
mode_change(const struct bench *b)
{
	struct changing c = {.bench = b, .range = {1, (uint32_t)b->count}};
	struct sender s;

	sender_open(&s, b);
	result_begin();
	result_number("count", (double)b->count);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		double start = now_ms();

		sender_batch(&s, changes[i].work, &c);
		result_number(changes[i].name, now_ms() - start);
		if (c.changed != b->count)
			bench_die("%s: %llu instead of %llu messages", changes[i].name,
				(unsigned long long)c.changed, (unsigned long long)b->count);
	}
	result_end();
	sender_close(&s);
}
