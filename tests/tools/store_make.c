/* SPDX-License-Identifier: ISC */
/*
 * Makes a small store with something of everything that a store can hold, always the same:
 * store_make DIRECTORY [crash], which must exist and be empty.  With "crash" the machine ends
 * before the store is closed.  tests/stores/format-N.tar.gz and crashed-N.tar.gz are what it made
 * in the days of format N.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/memfd.h"
#include "common/store/journal.h"
#include "common/store/writer.h"

enum { ANN = 101, BEN = 102, CID = 103, DAN = 104, TARGETS = 3, PLAIN_MAX = 700 * 1024 };
/* What writer_account_ensure() makes, behind INBOX. */
enum { SENT = 3, TRASH = 5, ARCHIVE = 6 };

#define START_MS INT64_C(1790000000000)
#define DAY_MS INT64_C(86400000)

/* Of a machine that nobody has. */
static const uint8_t boot_id[JOURNAL_BOOT_SIZE] = "of the archives";

struct maker {
	struct store_writer *writer;
	struct body_packer *packer;
	struct clock clock;
	int64_t now_ms;
	int64_t mono_ms; /* stands still in the end, so that no checkpoint is due any more */
	bool is_late;
	uint64_t seed;
	uint8_t delivery; /* the last byte of the next delivery id */
};

/* A message to be stored, and what came of it. */
struct mail {
	struct slice body;
	uint64_t thread[2]; /* hashes; 0: none */
	struct writer_target targets[TARGETS];
	size_t target_count;
};

static void
must(enum fault fault, const char *what)
{
	if (fault == FAULT_OK)
		return;
	fprintf(stderr, "store_make: %s: %s\n", what, fault_text(fault));
	exit(1);
}

static int64_t
now_ms(void *arg)
{
	return ((struct maker *)arg)->now_ms;
}

static int64_t
mono_ms(void *arg)
{
	struct maker *k = arg;

	if (!k->is_late)
		k->mono_ms = k->now_ms;
	return k->mono_ms;
}

/* The seed is fixed: whoever makes the store gets the same mail. */
static uint32_t
random_below(struct maker *k, uint32_t below)
{
	k->seed = k->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(k->seed >> 33) % below;
}

static struct slice
noise_make(struct maker *k, size_t len)
{
	static char bytes[16 * 1024];

	for (size_t i = 0; i < len && i < sizeof(bytes); i++)
		bytes[i] = (char)random_below(k, 256);
	return slice_make(bytes, len);
}

/* Words at random, as in small mail. */
static struct slice
text_make(struct maker *k, size_t len)
{
	static const char *const words[] = {
		"harbour ", "of ", "Naxos ", "the ", "boats ", "come\r\n", "in ", "late, "};
	static char text[4096];
	unsigned number = random_below(k, 1000), id = random_below(k, 1000000);
	size_t used = (size_t)snprintf(text, sizeof(text),
		"Subject: Nr. %u\r\nMessage-ID: <%u@example.org>\r\n\r\n", number, id);

	while (used < len && used + 16 < sizeof(text)) {
		const char *word = words[random_below(k, 8)];
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", word);
	}
	return slice_make(text, used);
}

/* Several chunks, which differ and still pack to nearly nothing. */
static struct slice
long_make(void)
{
	static char text[PLAIN_MAX];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "0123456789 lines of a long letter\r\n"[(i + i / 100000) % 35];
	return slice_make(text, sizeof(text));
}

static void
begin(struct maker *k)
{
	k->now_ms += 61000;
	must(writer_begin(k->writer), "begin");
}

static void
commit(struct maker *k)
{
	must(writer_commit(k->writer), "commit");
}

static struct writer_target *
target_add(struct maker *k, struct mail *m, uint64_t account, uint32_t mailbox)
{
	struct writer_target *t = &m->targets[m->target_count++];

	*t = (struct writer_target){
		.account = account,
		.mailbox = mailbox,
		.received_at = k->now_ms / 1000 - 5,
		.zone = (int16_t)(60 * (int)(account % 3) - 60),
		.prefix = SLICE("Return-Path: <eve@example.net>\r\n"
				"Delivered-To: somebody@example.org\r\n"),
	};
	t->delivery_id[0] = (uint8_t)account;
	t->delivery_id[STORE_DELIVERY_ID_SIZE - 1] = ++k->delivery;
	return t;
}

/* Within a batch; all targets must take it. */
static void
mail_append(struct maker *k, struct mail *m)
{
	char structure[64];
	int len = snprintf(structure, sizeof(structure), "structure of %zu bytes", m->body.len);
	struct writer_append a = {
		.structure = slice_make(structure, (size_t)len),
		.thread_hashes = m->thread,
		.thread_hash_count = (m->thread[0] != 0) + (size_t)(m->thread[1] != 0),
		.targets = m->targets,
		.target_count = m->target_count,
	};
	enum fault fault;
	int fd = memfd_open("mail", &fault);

	must(fault, "memfd");
	must(body_pack(k->packer, m->body, fd, &a.info), "pack");
	must(memfd_seal(fd), "seal");
	must(memfd_map(fd, SIZE_MAX, &a.body), "map");
	writer_append(k->writer, &a);
	for (size_t i = 0; i < m->target_count; i++)
		must(m->targets[i].fault, "append");
	memfd_unmap(&a.body);
	close(fd);
}

/* One message in a batch of its own. */
static struct writer_target
mail_put(struct maker *k, uint64_t account, uint32_t mailbox, struct slice body)
{
	struct mail m = {.body = body};

	begin(k);
	(void)target_add(k, &m, account, mailbox);
	mail_append(k, &m);
	commit(k);
	return m.targets[0];
}

static uint32_t
mailbox_make(struct maker *k, uint64_t account, const char *name, enum store_special_use use)
{
	struct writer_create c = {.account = account, .name = slice_text(name), .special_use = use};

	must(writer_mailbox_create(k->writer, &c), name);
	return c.id;
}

static void
accounts_make(struct maker *k)
{
	begin(k);
	must(writer_account_ensure(k->writer, ANN, 0), "account");
	must(writer_account_ensure(k->writer, BEN, 5000000), "account");
	must(writer_account_ensure(k->writer, CID, 20000), "account");
	must(writer_account_ensure(k->writer, DAN, 0), "account");
	commit(k);
}

/* Nested ones, a mere parent, new names, another use, a subscription that outlives its mailbox. */
static void
mailboxes_make(struct maker *k)
{
	struct store_writer *w = k->writer;

	begin(k);
	(void)mailbox_make(k, ANN, "Work/Boats/Naxos", STORE_USE_NONE);
	(void)mailbox_make(k, ANN, "Work/Old", STORE_USE_NONE);
	(void)mailbox_make(k, ANN, "Caf\xc3\xa9/Men\xc3\xbc", STORE_USE_NONE);
	(void)mailbox_make(k, ANN, "INBOX/Lists", STORE_USE_NONE);
	must(writer_subscribe(w, ANN, SLICE("Work/Boats"), true), "subscribe");
	must(writer_subscribe(w, ANN, SLICE("Work/Old"), true), "subscribe");
	must(writer_subscribe(w, ANN, SLICE("Junk"), false), "unsubscribe");
	commit(k);
	(void)mail_put(k, ANN, 7, SLICE("goes with its mailbox, which stays as a parent"));
	begin(k);
	must(writer_mailbox_delete(w, ANN, SLICE("Work")), "delete");
	must(writer_mailbox_delete(w, ANN, SLICE("Work/Old")), "delete");
	must(writer_mailbox_rename(w, ANN, SLICE("Work/Boats"), SLICE("Work/Ships")), "rename");
	must(writer_mailbox_rename(w, ANN, SLICE("Caf\xc3\xa9"), SLICE("Bar")), "rename");
	must(writer_mailbox_use(w, BEN, ARCHIVE, STORE_USE_NONE), "use");
	(void)mailbox_make(k, BEN, "Attic", STORE_USE_ARCHIVE);
	commit(k);
}

/* What is purged and punched in the end. */
static void
dead_mail_make(struct maker *k)
{
	struct writer_expunge e = {.uids = {.account = CID, .mailbox = STORE_INBOX}};

	(void)mail_put(k, CID, STORE_INBOX, noise_make(k, 9000));
	(void)mail_put(k, CID, STORE_INBOX, text_make(k, 2000));
	begin(k);
	must(writer_expunge(k->writer, &e), "expunge");
	uid_set_clear(&e.expunged);
	commit(k);
}

/* Its mail waits to be purged although nobody has it any more. */
static void
account_remove(struct maker *k, uint64_t account)
{
	enum fault fault = FAULT_BUSY;

	while (fault == FAULT_BUSY) {
		begin(k);
		fault = writer_account_remove(k->writer, account);
		commit(k);
	}
	must(fault, "remove");
}

static void
time_pass(struct maker *k, int64_t ms)
{
	k->now_ms += ms;
	for (bool more = true; more;)
		must(writer_housekeep(k->writer, &more), "housekeep");
}

/* Bodies of every kind, a thread over two accounts, one body for all. */
static void
bodies_make(struct maker *k)
{
	struct mail shared = {.thread = {0x1111}}, reply = {.thread = {0x2222, 0x1111}};

	(void)mail_put(k, ANN, STORE_INBOX, SLICE(""));
	(void)mail_put(k, ANN, STORE_INBOX, SLICE("x"));
	(void)mail_put(k, ANN, STORE_INBOX, long_make());
	(void)mail_put(k, BEN, STORE_INBOX, noise_make(k, 8000));
	begin(k);
	shared.body = text_make(k, 3000);
	(void)target_add(k, &shared, ANN, STORE_INBOX);
	target_add(k, &shared, BEN, STORE_INBOX)->prefix = SLICE("Delivered-To: <bob@>\r\n");
	target_add(k, &shared, BEN, ARCHIVE)->prefix = SLICE("");
	mail_append(k, &shared);
	commit(k);
	begin(k);
	reply.body = text_make(k, 900);
	(void)target_add(k, &reply, ANN, SENT);
	(void)target_add(k, &reply, BEN, STORE_INBOX);
	mail_append(k, &reply);
	commit(k);
}

/* Small ones with flags and keywords from the start, several in a batch. */
static void
letters_make(struct maker *k)
{
	static const struct slice words[] = {SLICE_LITERAL("$Forwarded"),
		SLICE_LITERAL("important"), SLICE_LITERAL("$MDNSent"), SLICE_LITERAL("NonJunk")};

	for (unsigned i = 0; i < 8; i++) {
		begin(k);
		for (unsigned j = 0; j < 3; j++) {
			struct mail m = {.body = text_make(k, 200 + random_below(k, 2500))};
			struct writer_target *t =
				target_add(k, &m, j == 2 ? BEN : ANN, STORE_INBOX);
			t->flags = (uint8_t)random_below(k, 32) & (uint8_t)~STORE_DELETED;
			t->keywords = &words[j];
			t->keyword_count = random_below(k, 3) % (j + 2);
			mail_append(k, &m);
		}
		commit(k);
	}
}

static void
flags_change(struct maker *k, struct uid_range uids, enum writer_flags_verb verb, uint8_t flags)
{
	static const struct slice word = SLICE_LITERAL("later");
	struct writer_flags f = {
		.uids = {ANN, STORE_INBOX, &uids, 1},
		.verb = verb,
		.flags = flags,
		.keywords = &word,
		.keyword_count = flags == STORE_FLAGGED,
	};

	begin(k);
	must(writer_flags_store(k->writer, &f), "flags");
	commit(k);
	uid_set_clear(&f.changed);
	uid_set_clear(&f.failed);
}

static void
copy_or_move(struct maker *k, struct uid_range uids, uint32_t to, bool moves)
{
	struct writer_copy c = {.uids = {ANN, STORE_INBOX, &uids, 1}, .to = to};

	begin(k);
	must(moves ? writer_move(k->writer, &c) : writer_copy(k->writer, &c), "copy");
	commit(k);
	uid_set_clear(&c.copied);
}

static void
expunge(struct maker *k, uint64_t account, struct uid_range uids, bool only_deleted)
{
	struct writer_expunge e = {
		.uids = {account, STORE_INBOX, &uids, 1}, .only_deleted = only_deleted};

	begin(k);
	must(writer_expunge(k->writer, &e), "expunge");
	commit(k);
	uid_set_clear(&e.expunged);
}

static void
sessions_play(struct maker *k)
{
	struct writer_target back = mail_put(k, BEN, STORE_INBOX, text_make(k, 500));
	struct uid_range recent, uid;

	flags_change(k, (struct uid_range){1, 5}, WRITER_FLAGS_ADD, STORE_FLAGGED);
	flags_change(k, (struct uid_range){4, 9}, WRITER_FLAGS_SET, STORE_SEEN | STORE_DRAFT);
	flags_change(k, (struct uid_range){7, 8}, WRITER_FLAGS_REMOVE, STORE_DRAFT);
	flags_change(k, (struct uid_range){10, 13}, WRITER_FLAGS_ADD, STORE_DELETED);
	copy_or_move(k, (struct uid_range){1, 6}, 9, false);
	copy_or_move(k, (struct uid_range){3, 4}, TRASH, true);
	copy_or_move(k, (struct uid_range){5, 5}, STORE_INBOX, false);
	/* The first three of four; the copies of the others live on. */
	expunge(k, ANN, (struct uid_range){1, 12}, true);
	expunge(k, ANN, (struct uid_range){2, 2}, false);
	expunge(k, BEN, (struct uid_range){back.uid, back.uid}, false);
	begin(k);
	must(writer_undelete(k->writer, BEN, back.email_id, &uid), "undelete");
	must(writer_recent_claim(k->writer, ANN, STORE_INBOX, &recent), "recent");
	commit(k);
	(void)mail_put(k, ANN, STORE_INBOX, text_make(k, 400));
	begin(k);
	must(writer_mailbox_rename(k->writer, BEN, SLICE("INBOX"), SLICE("Before")), "rename");
	commit(k);
	(void)mail_put(k, BEN, STORE_INBOX, text_make(k, 300));
}

int
main(int argc, char **argv)
{
	struct maker k = {.now_ms = START_MS, .seed = 3};
	/* Small segments, so that there are two of them. */
	struct store_options options = {
		.clock = &k.clock, .segment_size_max = 24 * 1024, .boot_id = boot_id};
	bool crashes = argc == 3 && strcmp(argv[2], "crash") == 0;

	if (argc != 2 && !crashes) {
		fputs("usage: store_make DIRECTORY [crash]\n", stderr);
		return 2;
	}
	if (sodium_init() < 0)
		return 1;
	k.clock = (struct clock){now_ms, mono_ms, &k};
	k.packer = body_packer_new();
	must(k.packer != NULL ? FAULT_OK : FAULT_NOMEM, "packer");
	must(writer_open(argv[1], &options, &k.writer), "open");
	accounts_make(&k);
	mailboxes_make(&k);
	bodies_make(&k);
	dead_mail_make(&k);
	time_pass(&k, 15 * DAY_MS);
	letters_make(&k);
	(void)mail_put(&k, DAN, STORE_INBOX, text_make(&k, 700));
	account_remove(&k, DAN);
	k.is_late = true;
	sessions_play(&k);
	if (crashes)
		_exit(0);
	writer_close(k.writer);
	body_packer_free(k.packer);
	return 0;
}
