/* SPDX-License-Identifier: ISC */
/*
 * Stores of every released format, as tests/tools/store_make made them in their days, are opened,
 * which brings them up to date: nothing that a reader can see may change by that.
 */
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/index.h"
#include "common/store/journal.h"
#include "common/store/upgrade_check.h"
#include "tests/unit/store/dump.h"
#include "tests/unit/store/fixture.h"

#define STORES "tests/stores/format-*.tar.gz"
#define CRASHED "tests/stores/crashed-*.tar.gz"
/* Shortly after the last thing that happened in the stores, and when all time-outs are over. */
#define NOW_MS INT64_C(1791300000000)
#define LATER_MS (NOW_MS + INT64_C(30) * 86400 * 1000)

/* What store_make did. */
enum {
	ANN = 101,
	BEN = 102,
	ANNS_THREAD = 11,
	THREAD_HASH = 0x1111,
	DELIVERIES_MAX = 63, /* the highest last byte of a delivery id, and more */
	BENS_DELIVERIES = 10, /* of the last 7 days */
};

static void
unpack(const char *archive, const char *dir)
{
	int status = -1;
	pid_t child = fork();

	must(child >= 0);
	if (child == 0) {
		execlp("tar", "tar", "-xzf", archive, "-C", dir, (char *)NULL);
		_exit(127);
	}
	must(waitpid(child, &status, 0) == child);
	ck_assert_msg(status == 0, "tar of %s: status %d", archive, status);
}

static int64_t
now_ms(void *arg)
{
	return ((struct fixture *)arg)->now_ms;
}

static void
old_store_unpack(struct fixture *f, const char *archive)
{
	*f = (struct fixture){.now_ms = NOW_MS};
	fixture_dir(f->dir);
	f->clock = (struct clock){now_ms, now_ms, f};
	f->options.clock = &f->clock;
	f->packer = body_packer_new();
	must(f->packer != NULL);
	unpack(archive, f->dir);
}

static void
old_store_open(struct fixture *f)
{
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
}

/* On the heap. */
static char *
dump_text(struct fixture *f)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	must(out != NULL);
	ck_assert_ok(dump_store(out, f->reader));
	must(fclose(out) == 0);
	return text;
}

static char *
file_text(const char *path)
{
	static const size_t most = 1024 * 1024;
	FILE *in = fopen(path, "r");

	ck_assert_msg(in != NULL, "%s is missing", path);
	char *text = calloc(1, most);
	must(text != NULL);
	must(fread(text, 1, most - 1, in) < most - 1);
	must(fclose(in) == 0);
	return text;
}

/* Shows the first line that differs. */
static void
texts_compare(const char *what, const char *actual, const char *expected)
{
	while (*actual != '\0' || *expected != '\0') {
		size_t have = strcspn(actual, "\n"), want = strcspn(expected, "\n");
		if (have != want || memcmp(actual, expected, want) != 0)
			ck_abort_msg("%s\nis:     %.*s\nshould: %.*s", what, (int)have, actual,
				(int)want, expected);
		actual += have + (actual[have] == '\n');
		expected += want + (expected[want] == '\n');
	}
}

/* The store shows what the text beside its archive says. */
static void
dump_expect(struct fixture *f, const char *archive)
{
	char path[256];
	int base = (int)(strlen(archive) - strlen(".tar.gz"));

	(void)snprintf(path, sizeof(path), "%.*s.txt", base, archive);
	char *expected = file_text(path), *actual = dump_text(f);
	texts_compare(archive, actual, expected);
	free(actual);
	free(expected);
}

/* Which deliveries the store remembers; nothing is left of the attempt. */
static unsigned
deliveries_known(struct fixture *f, uint64_t account)
{
	struct fixture_message m;
	unsigned known = 0;

	fixture_message(f, &m, SLICE("delivered once more"));
	fixture_begin(f);
	for (unsigned i = 1; i <= DELIVERIES_MAX; i++) {
		struct writer_target *t = &m.targets[0];
		t->account = account;
		t->repeated = false;
		memset(t->delivery_id, 0, sizeof(t->delivery_id));
		t->delivery_id[0] = (uint8_t)account;
		t->delivery_id[STORE_DELIVERY_ID_SIZE - 1] = (uint8_t)i;
		writer_append(f->writer, &m.request);
		ck_assert_ok(t->fault);
		known += t->repeated;
	}
	writer_abort(f->writer);
	fixture_message_clear(&m);
	return known;
}

/* A late answer to the oldest message finds its thread. */
static void
thread_continue(struct fixture *f)
{
	static const uint64_t hash = THREAD_HASH;
	struct fixture_message m;

	fixture_message(f, &m, SLICE("a late answer"));
	m.request.thread_hashes = &hash;
	m.request.thread_hash_count = 1;
	m.targets[0].account = ANN;
	fixture_begin(f);
	writer_append(f->writer, &m.request);
	fixture_commit(f);
	ck_assert_ok(m.targets[0].fault);
	ck_assert_uint_eq(m.targets[0].thread_id, ANNS_THREAD);
	fixture_expect(f, ANN, STORE_INBOX, m.targets[0].uid, SLICE("a late answer"));
	fixture_message_clear(&m);
}

struct expunged {
	uint64_t email;
	unsigned count;
};

static enum fault
expunged_see(void *arg, int64_t at, const struct store_message *m)
{
	struct expunged *e = arg;

	(void)at;
	e->email = m->email_id;
	e->count++;
	return FAULT_OK;
}

static struct expunged
expunged_of(struct fixture *f, uint64_t account)
{
	struct expunged e = {0};

	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_expunged(f->reader, account, expunged_see, &e));
	reader_end(f->reader);
	return e;
}

/* The old mail takes part in everything, as if it had been made today. */
static void
old_store_use(struct fixture *f)
{
	struct expunged gone = expunged_of(f, ANN);
	struct store_mailbox before = fixture_mailbox(f, ANN, "INBOX");
	struct writer_expunge all = {.uids = {.account = ANN, .mailbox = STORE_INBOX}};
	struct writer_copy copy = {.uids = {.account = BEN, .mailbox = 8}, .to = STORE_INBOX};
	struct uid_range uid;

	ck_assert_uint_eq(gone.count, 3);
	thread_continue(f);
	fixture_begin(f);
	ck_assert_ok(writer_undelete(f->writer, ANN, gone.email, &uid));
	ck_assert_ok(writer_copy(f->writer, &copy));
	fixture_commit(f);
	ck_assert_uint_eq(uid.first, before.uidnext + 1);
	ck_assert_uint_eq(uid_set_total(&copy.copied), 12);
	uid_set_clear(&copy.copied);
	fixture_begin(f);
	ck_assert_ok(writer_expunge(f->writer, &all));
	fixture_commit(f);
	uid_set_clear(&all.expunged);
	fixture_verify(f);
	f->now_ms = LATER_MS;
	for (bool more = true; more;)
		ck_assert_ok(writer_housekeep(f->writer, &more));
	ck_assert_uint_eq(expunged_of(f, ANN).count, 0);
	fixture_verify(f);
	/* The log of an older format said little; now it tells everything, and segments may go. */
	(void)fixture_compact(f, &(struct compact_options){100, 4096, 1 << 20, 0});
	fixture_log_check(f);
	f->now_ms += COMPACT_GRACE_S * INT64_C(1000);
	(void)fixture_compact(f, &(struct compact_options){100, 4096, 1 << 20, 0});
	fixture_log_check(f);
	fixture_verify(f);
}

static void
meta_set(const struct fixture *f, const char *name, uint64_t value)
{
	struct kv_options options = {.tables = index_tables};
	char path[80];
	struct kv_txn txn;
	struct kv *kv;

	(void)snprintf(path, sizeof(path), "%s/index", f->dir);
	ck_assert_ok(kv_open(path, &options, &kv));
	ck_assert_ok(kv_begin_write(kv, &txn));
	index_meta_save(&txn, name, value);
	ck_assert_ok(kv_commit(&txn));
	kv_close(kv);
}

START_TEST(an_upgrade_that_was_stopped_goes_on)
{
	const char *archive = "tests/stores/format-1.tar.gz";
	struct upgrade_check check;
	struct fixture f;

	old_store_unpack(&f, archive);
	meta_set(&f, INDEX_META_FORMAT, STORE_FORMAT);
	meta_set(&f, INDEX_META_UPGRADE, 1);
	ck_assert_ok(store_upgrade_check(f.dir, &check));
	ck_assert_uint_eq(check.format, STORE_FORMAT);
	ck_assert_uint_eq(check.from, 1);
	ck_assert_uint_eq(check.records, 43);
	old_store_open(&f);
	fixture_verify(&f);
	dump_expect(&f, archive);
	writer_close(f.writer);
	f.writer = NULL;
	ck_assert_ok(store_upgrade_check(f.dir, &check));
	ck_assert_uint_eq(check.from, STORE_FORMAT);
	fixture_close(&f);
}
END_TEST

/* Commits that are in no checkpoint, by a machine that is no more. */
START_TEST(a_store_that_must_be_recovered_is_not_looked_at)
{
	static const uint8_t boot_id[JOURNAL_BOOT_SIZE] = "another machine";
	struct fixture f = {.options.boot_id = boot_id};
	struct upgrade_check check;
	int status;

	fixture_open(&f);
	writer_close(f.writer);
	f.writer = NULL;
	/* It was closed in order: what the cache had is on disk. */
	ck_assert_ok(store_upgrade_check(f.dir, &check));
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		must(writer_open(f.dir, &f.options, &f.writer) == FAULT_OK);
		must(writer_begin(f.writer) == FAULT_OK);
		must(writer_account_ensure(f.writer, 7, 0) == FAULT_OK);
		_exit(writer_commit(f.writer) != FAULT_OK);
	}
	must(waitpid(child, &status, 0) == child && status == 0);
	ck_assert_fault(store_upgrade_check(f.dir, &check), FAULT_EXPIRED);
	f.options.boot_id = NULL;
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	writer_close(f.writer);
	f.writer = NULL;
	ck_assert_ok(store_upgrade_check(f.dir, &check));
	fixture_close(&f);
}
END_TEST

/* The checksum of names and bytes of all files; what says only who has it open is left out. */
static crypto_generichash_state tree_state;

static int
entry_add(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	static uint8_t bytes[64 * 1024];
	const char *name = path + walk->base;
	size_t len;

	(void)status;
	if (kind != FTW_F || strcmp(name, "lock.mdb") == 0 || strcmp(name, "writer.lock") == 0)
		return 0;
	crypto_generichash_update(&tree_state, (const uint8_t *)name, strlen(name));
	FILE *in = fopen(path, "r");
	must(in != NULL);
	while ((len = fread(bytes, 1, sizeof(bytes), in)) > 0)
		crypto_generichash_update(&tree_state, bytes, len);
	must(fclose(in) == 0);
	return 0;
}

static void
tree_checksum(const char *dir, uint8_t checksum[static 32])
{
	crypto_generichash_init(&tree_state, NULL, 0, 32);
	/* Not in order, but the same one each time for the same directory. */
	must(nftw(dir, entry_add, 16, FTW_PHYS) == 0);
	crypto_generichash_final(&tree_state, checksum, 32);
}

/* The look beforehand tells what opening does, and does nothing. */
static void
check_expect(const struct fixture *f, bool is_old)
{
	struct upgrade_check check;
	uint8_t before[32], after[32];

	tree_checksum(f->dir, before);
	ck_assert_ok(store_upgrade_check(f->dir, &check));
	ck_assert_uint_eq(check.from, check.format);
	ck_assert(check.format == STORE_FORMAT || is_old);
	/* 39 messages, and 4 that were expunged. */
	ck_assert_uint_eq(check.records, check.format == STORE_FORMAT ? 0 : 43);
	tree_checksum(f->dir, after);
	must(memcmp(before, after, sizeof(before)) == 0);
}

static void
old_store_test(const char *archive)
{
	struct fixture f;

	old_store_unpack(&f, archive);
	check_expect(&f, true);
	old_store_open(&f);
	fixture_verify(&f);
	dump_expect(&f, archive);
	ck_assert_uint_eq(deliveries_known(&f, BEN), BENS_DELIVERIES);
	fixture_reopen(&f);
	dump_expect(&f, archive);
	old_store_use(&f);
	char *before = dump_text(&f);
	fixture_reopen(&f);
	fixture_verify(&f);
	char *after = dump_text(&f);
	texts_compare("opened again", after, before);
	free(before);
	free(after);
	writer_close(f.writer);
	f.writer = NULL;
	check_expect(&f, false);
	fixture_close(&f);
}

START_TEST(a_store_of_each_format_opens_and_is_brought_up_to_date)
{
	glob_t archives;

	must(glob(STORES, 0, NULL, &archives) == 0);
	for (size_t i = 0; i < archives.gl_pathc; i++)
		old_store_test(archives.gl_pathv[i]);
	globfree(&archives);
}
END_TEST

/* With the last commits in no checkpoint, and another boot id than any machine's. */
START_TEST(a_machine_that_ended_under_the_old_program_is_made_good)
{
	glob_t archives;

	/* Format 1 had no log that could be ahead of its index. */
	int found = glob(CRASHED, 0, NULL, &archives);
	if (found == GLOB_NOMATCH) {
		puts("skipped: no released format has a log yet");
		return;
	}
	must(found == 0);
	for (size_t i = 0; i < archives.gl_pathc; i++) {
		struct upgrade_check check;
		struct fixture f;
		char same[64];
		(void)snprintf(same, sizeof(same), "tests/stores/format-%s",
			strrchr(archives.gl_pathv[i], '-') + 1);
		old_store_unpack(&f, archives.gl_pathv[i]);
		ck_assert_fault(store_upgrade_check(f.dir, &check), FAULT_EXPIRED);
		old_store_open(&f);
		fixture_verify(&f);
		dump_expect(&f, same);
		old_store_use(&f);
		fixture_close(&f);
	}
	globfree(&archives);
}
END_TEST

/* What a crash of the old program left behind the committed end. */
static void
segment_tear(const char *dir, unsigned segment)
{
	char path[128], noise[1000];
	uint64_t state = 7;

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", dir, segment);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)fixture_random(&state, 256);
	FILE *out = fopen(path, "a");
	must(out != NULL && fwrite(noise, 1, sizeof(noise), out) == sizeof(noise));
	must(fclose(out) == 0);
}

/* The number of the last segment. */
static unsigned
segment_last(const char *dir)
{
	char path[128];
	unsigned last = 0;

	for (unsigned i = 1; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", dir, i);
		if (access(path, F_OK) == 0)
			last = i;
	}
	return last;
}

START_TEST(a_crash_of_the_old_program_is_made_good)
{
	glob_t archives;

	must(glob(STORES, 0, NULL, &archives) == 0);
	for (size_t i = 0; i < archives.gl_pathc; i++) {
		struct fixture f;
		old_store_unpack(&f, archives.gl_pathv[i]);
		unsigned last = segment_last(f.dir);
		segment_tear(f.dir, last);
		segment_tear(f.dir, last + 1);
		old_store_open(&f);
		fixture_verify(&f);
		dump_expect(&f, archives.gl_pathv[i]);
		fixture_close(&f);
	}
	globfree(&archives);
}
END_TEST

START_TEST(a_newer_format_is_refused_and_left_alone)
{
	struct fixture f = {0};
	struct store_reader *reader = NULL;
	struct upgrade_check check;
	uint8_t before[32], after[32];

	fixture_open(&f);
	(void)fixture_append(&f, ALICE, STORE_INBOX, SLICE("mail of days to come"));
	writer_close(f.writer);
	f.writer = NULL;
	meta_set(&f, INDEX_META_FORMAT, STORE_FORMAT + 1);
	tree_checksum(f.dir, before);
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_UNSUPPORTED);
	enum fault fault = reader_open(f.dir, &reader);
	if (fault == FAULT_OK)
		fault = reader_begin(reader);
	ck_assert_fault(fault, FAULT_UNSUPPORTED);
	reader_close(reader);
	ck_assert_fault(store_upgrade_check(f.dir, &check), FAULT_UNSUPPORTED);
	ck_assert_uint_eq(check.format, STORE_FORMAT + 1);
	tree_checksum(f.dir, after);
	must(memcmp(before, after, sizeof(before)) == 0);
	/* It was the number alone. */
	meta_set(&f, INDEX_META_FORMAT, STORE_FORMAT);
	tree_checksum(f.dir, after);
	must(memcmp(before, after, sizeof(before)) != 0);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("mail of days to come"));
	fixture_close(&f);
}
END_TEST

UNIT(format)
{
	unit_add(tc, a_store_of_each_format_opens_and_is_brought_up_to_date);
	unit_add(tc, a_machine_that_ended_under_the_old_program_is_made_good);
	unit_add(tc, a_crash_of_the_old_program_is_made_good);
	unit_add(tc, an_upgrade_that_was_stopped_goes_on);
	unit_add(tc, a_store_that_must_be_recovered_is_not_looked_at);
	unit_add(tc, a_newer_format_is_refused_and_left_alone);
}
