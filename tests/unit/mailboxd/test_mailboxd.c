/* SPDX-License-Identifier: ISC */
/*
 * mailboxd itself, in its sandbox, as a process: the test plays maild, deliverd and imapd over
 * socketpairs, and reads the store beside it.
 */
#include <event2/event.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/base/memfd.h"
#include "common/ipc/link.h"
#include "common/store/reader.h"
#include "tests/unit/unit.h"

enum { ALICE = 77, DEADLINE_MS = 20000, MAILD_FD = 3 };

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("not so: %s", #condition);                                    \
	} while (0)

struct suite {
	char dir[64];
	struct event_base *base;
	pid_t pid;
	struct ipc_link *maild, *imapd, *deliverd;
	bool ready;
	unsigned changes; /* events that imapd got */
	unsigned waiting; /* calls without an answer */
	struct body_packer *packer;
	char text[8192]; /* of control answers */
	size_t text_len;
};

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct suite *s = arg;

	(void)link;
	if (message->type == IPC_READY)
		s->ready = true;
	if (message->type == IPC_CHANGED)
		s->changes += ((const struct ipc_changed *)message->payload)->change_count;
	if (message->type == IPC_CONTROL_TEXT) {
		struct slice text = ((const struct ipc_control_text *)message->payload)->text;
		must(s->text_len + text.len < sizeof(s->text));
		memcpy(s->text + s->text_len, text.data, text.len);
		s->text_len += text.len;
	}
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	(void)arg, (void)link, (void)fault;
}

static void
pair(int ends[2])
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

static void
program_run(struct suite *s, int maild)
{
	char path[PATH_MAX], program[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	must(n > 0);
	path[n] = '\0';
	/* BUILD/tests/unit-mailboxd -> BUILD/bin/mailboxd */
	for (int up = 0; up < 2; up++)
		*strrchr(path, '/') = '\0';
	(void)snprintf(program, sizeof(program), "%s/bin/mailboxd", path);
	must(access(program, X_OK) == 0);
	s->pid = fork();
	must(s->pid >= 0);
	if (s->pid != 0)
		return;
	if (dup2(maild, MAILD_FD) != MAILD_FD)
		_exit(1);
	/* The leak checker needs ptrace, which the sandbox denies. */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execl(program, program, "-i", "0", (char *)NULL);
	_exit(1);
}

static struct ipc_link *
peer_make(struct suite *s, enum process process)
{
	struct ipc_link_events events = {NULL, on_message, on_lost, NULL, s};
	struct ipc_peer peer = {(uint32_t)process, 0};
	int ends[2];

	pair(ends);
	struct ipc_link *link = ipc_link_new(s->base, ends[0], process, PROCESS_MAILBOXD, &events);
	must(ipc_send_PEER(s->maild, 0, &peer, ends[1]) == FAULT_OK);
	close(ends[1]);
	return link;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_abort_msg("mailboxd does not answer");
}

/* Runs the loop until nothing is waited for. */
static void
run_until(struct suite *s, const bool *done)
{
	struct event *deadline = event_new(s->base, -1, 0, on_deadline, s);
	struct timeval most = {.tv_sec = DEADLINE_MS / 1000};

	event_add(deadline, &most);
	while (done != NULL ? !*done : s->waiting > 0)
		must(event_base_loop(s->base, EVLOOP_ONCE) == 0);
	event_free(deadline);
}

static void
program_start(struct suite *s)
{
	struct ipc_link_events events = {NULL, on_message, on_lost, NULL, s};
	struct ipc_setting setting = {SLICE("data-directory"), slice_text(s->dir)};
	struct ipc_empty end = {0};
	int ends[2];

	pair(ends);
	program_run(s, ends[1]);
	close(ends[1]);
	s->ready = false;
	s->maild = ipc_link_new(s->base, ends[0], PROCESS_MAILD, PROCESS_MAILBOXD, &events);
	must(ipc_send_SETTING(s->maild, 0, &setting, -1) == FAULT_OK);
	s->imapd = peer_make(s, PROCESS_IMAPD);
	s->deliverd = peer_make(s, PROCESS_DELIVERD);
	must(ipc_send_CONFIGURED(s->maild, 0, &end, -1) == FAULT_OK);
	run_until(s, &s->ready);
}

static void
program_kill(struct suite *s)
{
	must(kill(s->pid, SIGKILL) == 0);
	must(waitpid(s->pid, NULL, 0) == s->pid);
	ipc_link_free(s->imapd);
	ipc_link_free(s->deliverd);
	ipc_link_free(s->maild);
}

static void
suite_start(struct suite *s)
{
	char store[80];

	*s = (struct suite){0};
	must(sodium_init() >= 0);
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/pabal-mailboxd-XXXXXX");
	must(mkdtemp(s->dir) != NULL);
	(void)snprintf(store, sizeof(store), "%s/store", s->dir);
	must(mkdir(store, 0700) == 0);
	s->base = event_base_new();
	s->packer = body_packer_new();
	program_start(s);
}

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

/* Asks it to stop; it must end by itself with status 0. */
static void
suite_stop(struct suite *s)
{
	struct ipc_empty end = {0};
	int status;

	must(ipc_send_SHUTDOWN(s->maild, 0, &end, -1) == FAULT_OK);
	ipc_link_flush(s->maild, 1000);
	must(waitpid(s->pid, &status, 0) == s->pid);
	ck_assert_int_eq(status, 0);
	ipc_link_free(s->imapd);
	ipc_link_free(s->deliverd);
	ipc_link_free(s->maild);
	event_base_free(s->base);
	body_packer_free(s->packer);
	(void)nftw(s->dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* One request and what came back, copied. */
struct asked {
	struct suite *suite;
	enum fault fault;
	union {
		struct ipc_done done;
		struct ipc_appended appended;
		struct ipc_flags_stored flags;
		struct ipc_copied copied;
		struct ipc_expunged expunged;
		struct ipc_mailbox_done mailbox;
		struct ipc_recent_claimed recent;
	} payload; /* lists and slices are gone */
	struct ipc_append_result result; /* the first one */
	char ranges[64];
	size_t ranges_len;
	int fd;
};

static void
on_answer(void *arg, const struct ipc_answer *answer)
{
	struct asked *a = arg;

	a->suite->waiting--;
	a->fault = answer->fault;
	a->fd = -1;
	if (answer->payload == NULL)
		return;
	a->fd = ipc_message_take_fd(answer->message);
	struct slice ranges = {0};
	switch (answer->message->type) {
	case IPC_APPENDED:
		a->payload.appended = *(const struct ipc_appended *)answer->payload;
		if (a->payload.appended.result_count > 0)
			a->result = a->payload.appended.results[0];
		break;
	case IPC_FLAGS_STORED:
		a->payload.flags = *(const struct ipc_flags_stored *)answer->payload;
		ranges = a->payload.flags.failed;
		break;
	case IPC_COPIED:
		a->payload.copied = *(const struct ipc_copied *)answer->payload;
		ranges = a->payload.copied.uids;
		break;
	case IPC_EXPUNGED:
		a->payload.expunged = *(const struct ipc_expunged *)answer->payload;
		break;
	case IPC_RECENT_CLAIMED:
		a->payload.recent = *(const struct ipc_recent_claimed *)answer->payload;
		break;
	case IPC_MAILBOX_DONE:
		a->payload.mailbox = *(const struct ipc_mailbox_done *)answer->payload;
		break;
	default:
		break;
	}
	a->ranges_len = ranges.len < sizeof(a->ranges) ? ranges.len : sizeof(a->ranges);
	if (a->ranges_len > 0)
		memcpy(a->ranges, ranges.data, a->ranges_len);
}

static void
ask_later(struct suite *s, struct ipc_link *link, enum ipc_type type, const void *payload, int fd,
	struct asked *asked)
{
	*asked = (struct asked){.suite = s};
	s->waiting++;
	(void)ipc_call(s->base, link, type, payload, fd, DEADLINE_MS, on_answer, asked);
}

static struct asked
ask(struct suite *s, enum ipc_type type, const void *payload, int fd)
{
	struct asked asked;

	ask_later(s, s->imapd, type, payload, fd, &asked);
	run_until(s, NULL);
	return asked;
}

/* A memfd for APPEND, and the request that fits it. */
struct letter {
	struct ipc_append request;
	struct ipc_append_target target;
	uint8_t checksum[IPC_CHECKSUM_LEN];
	int fd;
};

static void
letter_make(struct suite *s, struct letter *l, struct slice body)
{
	struct slice structure = SLICE("structure");
	struct body_info info;
	enum fault fault;

	*l = (struct letter){.fd = memfd_open("letter", &fault)};
	must(memfd_append(l->fd, structure) == FAULT_OK);
	must(body_pack(s->packer, body, l->fd, &info) == FAULT_OK);
	must(memfd_seal(l->fd) == FAULT_OK);
	memcpy(l->checksum, info.checksum, sizeof(l->checksum));
	l->target = (struct ipc_append_target){.account = ALICE,
		.mailbox = 1,
		.keywords = SLICE("$Label other"),
		.prefix = SLICE("Return-Path: <>\r\n")};
	l->request = (struct ipc_append){.structure_len = (uint32_t)structure.len,
		.stored_len = info.stored_len,
		.plain_len = info.plain_len,
		.codec = info.codec,
		.checksum = slice_make(l->checksum, sizeof(l->checksum)),
		.targets = &l->target,
		.target_count = 1};
}

static struct store_mailbox
inbox_read(struct suite *s)
{
	struct store_reader *reader;
	struct store_mailbox m;
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/store", s->dir);
	must(reader_open(path, &reader) == FAULT_OK);
	must(reader_begin(reader) == FAULT_OK);
	must(reader_mailbox(reader, ALICE, 1, &m) == FAULT_OK);
	reader_end(reader);
	reader_close(reader);
	return m;
}

static enum fault
control(struct suite *s, const char *first, const char *second, const char *third)
{
	struct ipc_control_word words[4] = {
		{slice_text(first)}, {slice_text(second)}, {slice_text(third)}, {SLICE("all")}};
	struct ipc_control request = {PROCESS_MAILBOXD, words, 1};

	if (second != NULL)
		request.word_count = third != NULL ? 3 : 2;
	if (slice_equal(words[1].text, SLICE("undelete")))
		request.word_count = 4;
	struct asked asked;

	s->text_len = 0;
	ask_later(s, s->maild, IPC_CONTROL, &request, -1, &asked);
	run_until(s, NULL);
	s->text[s->text_len] = '\0';
	return asked.fault;
}

/* The number behind a name in the last answer. */
static bool
number_find(struct suite *s, const char *name, uint64_t *number)
{
	struct slice text = slice_make(s->text, s->text_len), key = slice_text(name);
	struct cursor c = cursor_of(slice_after(text, slice_find(text, key) + key.len));

	return take_u64(&c, UINT64_MAX, number);
}

START_TEST(deliveries_are_stored_once_and_told)
{
	struct suite s;
	struct letter l;
	struct asked asked[3];

	suite_start(&s);
	letter_make(&s, &l, SLICE("hello"));
	l.target.delivery_id = SLICE("0123456789abcdef");
	for (int i = 0; i < 3; i++)
		ask_later(&s, s.deliverd, IPC_APPEND, &l.request, l.fd, &asked[i]);
	run_until(&s, NULL);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(asked[i].fault, FAULT_OK);
		ck_assert_uint_eq(asked[i].result.fault, FAULT_OK);
		ck_assert_uint_eq(asked[i].result.uid, 1);
		ck_assert(asked[i].result.email == asked[0].result.email);
	}
	ck_assert_uint_eq(inbox_read(&s).exists, 1);
	/* Any round trip after the commit: the event was sent before its answer. */
	struct ipc_recent_claim claim = {ALICE, 1};
	struct asked recent = ask(&s, IPC_RECENT_CLAIM, &claim, -1);
	ck_assert_uint_eq(recent.payload.recent.first_recent, 1);
	ck_assert_uint_ge(s.changes, 1);
	close(l.fd);
	suite_stop(&s);
}
END_TEST

START_TEST(requests_share_commits_and_survive_a_kill)
{
	enum { COUNT = 300 };
	static struct asked asked[COUNT];
	struct suite s;
	struct letter l;
	uint64_t requests, commits;

	suite_start(&s);
	letter_make(&s, &l, SLICE("one of many"));
	for (int i = 0; i < COUNT; i++)
		ask_later(&s, s.deliverd, IPC_APPEND, &l.request, l.fd, &asked[i]);
	run_until(&s, NULL);
	for (int i = 0; i < COUNT; i++)
		must(asked[i].fault == FAULT_OK && asked[i].result.fault == FAULT_OK);
	ck_assert_int_eq(control(&s, "status", NULL, NULL), FAULT_OK);
	ck_assert(number_find(&s, "\"requests\":", &requests));
	ck_assert(number_find(&s, "\"commits\":", &commits));
	ck_assert_uint_eq(requests, COUNT);
	ck_assert_uint_lt(commits, COUNT / 4);
	program_kill(&s);
	ck_assert_uint_eq(inbox_read(&s).exists, COUNT);
	program_start(&s);
	ck_assert_int_eq(control(&s, "store", "verify", NULL), FAULT_OK);
	ck_assert_ptr_nonnull(strstr(s.text, "\"findings\":0"));
	ck_assert_ptr_nonnull(strstr(s.text, "\"messages\":300"));
	close(l.fd);
	suite_stop(&s);
}
END_TEST

START_TEST(imapd_changes_copies_and_expunges)
{
	struct suite s;
	struct letter l;
	char all[8], range[8];
	struct slice uids = slice_make(all, 8), one = slice_make(range, 8);

	put_u32(all, 1);
	put_u32(all + 4, UINT32_MAX);
	put_u32(range, 2);
	put_u32(range + 4, 3);
	suite_start(&s);
	struct ipc_account_ensure ensure = {ALICE};
	ck_assert_int_eq(ask(&s, IPC_ACCOUNT_ENSURE, &ensure, -1).fault, FAULT_OK);
	letter_make(&s, &l, SLICE("appended"));
	for (int i = 0; i < 4; i++)
		must(ask(&s, IPC_APPEND, &l.request, l.fd).result.fault == FAULT_OK);
	struct ipc_flags_store flags = {
		ALICE, 1, one, IPC_FLAGS_ADD, STORE_DELETED, SLICE("$Forwarded"), UINT64_MAX};
	struct asked a = ask(&s, IPC_FLAGS_STORE, &flags, -1);
	ck_assert_int_eq(a.fault, FAULT_OK);
	flags.unchanged_since = a.payload.flags.modseq - 1;
	flags.uids = uids;
	a = ask(&s, IPC_FLAGS_STORE, &flags, -1);
	ck_assert_uint_eq(a.ranges_len, 8);
	ck_assert_uint_eq(get_u32(a.ranges), 2);
	ck_assert_uint_eq(get_u32(a.ranges + 4), 3);
	struct ipc_copy copy = {ALICE, 1, 3, false, uids};
	a = ask(&s, IPC_COPY, &copy, -1);
	ck_assert_uint_eq(a.payload.copied.first_uid, 1);
	ck_assert_uint_eq(get_u32(a.ranges + 4), 4);
	struct ipc_expunge expunge = {ALICE, 1, true, uids};
	a = ask(&s, IPC_EXPUNGE, &expunge, -1);
	ck_assert_uint_eq(a.payload.expunged.count, 4);
	ck_assert_uint_eq(inbox_read(&s).exists, 0);
	ck_assert_int_eq(control(&s, "store", "expunged", "77"), FAULT_OK);
	ck_assert_ptr_null(strstr(s.text, "email"));
	expunge.mailbox = 3;
	expunge.only_deleted = false;
	a = ask(&s, IPC_EXPUNGE, &expunge, -1);
	ck_assert_uint_eq(a.payload.expunged.count, 4);
	ck_assert_int_eq(control(&s, "store", "expunged", "77"), FAULT_OK);
	ck_assert_ptr_nonnull(strstr(s.text, "email"));
	ck_assert_int_eq(control(&s, "store", "undelete", "77"), FAULT_OK);
	ck_assert_str_eq(s.text, "{\"undeleted\":4}");
	ck_assert_int_eq(control(&s, "store", "undelete", "77"), FAULT_NOT_FOUND);
	copy.to = 99;
	ck_assert_int_eq(ask(&s, IPC_COPY, &copy, -1).fault, FAULT_NOT_FOUND);
	close(l.fd);
	suite_stop(&s);
}
END_TEST

START_TEST(long_uid_lists_travel_by_memfd)
{
	enum { COUNT = 10000 };
	struct suite s;
	struct letter l;
	static struct asked asked[COUNT];
	static char ranges[COUNT * 4];
	struct slice bytes;
	enum fault fault;
	int fd = memfd_open("uids", &fault);

	suite_start(&s);
	letter_make(&s, &l, SLICE("x"));
	for (int i = 0; i < COUNT; i++) {
		ask_later(&s, s.deliverd, IPC_APPEND, &l.request, l.fd, &asked[i]);
		if (i % 400 == 399)
			run_until(&s, NULL);
	}
	/* Every second message. */
	for (uint32_t i = 0; i < COUNT / 2; i++) {
		put_u32(ranges + i * 8, 2 * i + 1);
		put_u32(ranges + i * 8 + 4, 2 * i + 1);
	}
	must(memfd_append(fd, slice_make(ranges, sizeof(ranges))) == FAULT_OK);
	struct ipc_copy copy = {ALICE, 1, 2, false, SLICE("")};
	ck_assert_int_eq(ask(&s, IPC_COPY, &copy, fd).fault, FAULT_PEER_PROTOCOL);
	must(memfd_seal(fd) == FAULT_OK);
	struct asked a = ask(&s, IPC_COPY, &copy, fd);
	ck_assert_int_eq(a.fault, FAULT_OK);
	ck_assert_int_ge(a.fd, 0);
	must(memfd_map(a.fd, SIZE_MAX, &bytes) == FAULT_OK);
	ck_assert_uint_eq(bytes.len, sizeof(ranges));
	must(memcmp(bytes.data, ranges, bytes.len) == 0);
	memfd_unmap(&bytes);
	close(a.fd);
	close(fd);
	close(l.fd);
	suite_stop(&s);
}
END_TEST

START_TEST(requests_that_lie_get_a_fault_and_harm_nobody)
{
	struct suite s;
	struct letter l;
	char backwards[8];

	suite_start(&s);
	letter_make(&s, &l, SLICE("honest"));
	struct ipc_append lie = l.request;
	lie.structure_len = 5000;
	ck_assert_int_eq(ask(&s, IPC_APPEND, &lie, l.fd).fault, FAULT_PEER_PROTOCOL);
	lie = l.request;
	lie.stored_len++;
	ck_assert_int_eq(ask(&s, IPC_APPEND, &lie, l.fd).fault, FAULT_PEER_PROTOCOL);
	lie = l.request;
	lie.plain_len = UINT64_MAX;
	ck_assert_uint_ne(ask(&s, IPC_APPEND, &lie, l.fd).result.fault, FAULT_OK);
	lie = l.request;
	lie.codec = 77;
	ck_assert_uint_ne(ask(&s, IPC_APPEND, &lie, l.fd).result.fault, FAULT_OK);
	put_u32(backwards, 5);
	put_u32(backwards + 4, 2);
	struct ipc_flags_store flags = {
		ALICE, 1, slice_make(backwards, 8), 77, 0, SLICE(""), UINT64_MAX};
	ck_assert_int_eq(ask(&s, IPC_FLAGS_STORE, &flags, -1).fault, FAULT_PEER_PROTOCOL);
	flags.operation = IPC_FLAGS_ADD;
	ck_assert_int_eq(ask(&s, IPC_FLAGS_STORE, &flags, -1).fault, FAULT_NOT_FOUND);
	struct ipc_mailbox_rename change = {ALICE, SLICE("INBOX"), SLICE("\xff")};
	ck_assert_int_ne(ask(&s, IPC_MAILBOX_RENAME, &change, -1).fault, FAULT_OK);
	struct asked good;
	ask_later(&s, s.deliverd, IPC_APPEND, &l.request, l.fd, &good);
	run_until(&s, NULL);
	ck_assert_uint_eq(good.result.fault, FAULT_OK);
	close(l.fd);
	suite_stop(&s);
}
END_TEST

START_TEST(an_account_is_shown_and_removed)
{
	struct suite s;
	struct ipc_account_ensure ensure = {ALICE};

	suite_start(&s);
	ck_assert_int_eq(ask(&s, IPC_ACCOUNT_ENSURE, &ensure, -1).fault, FAULT_OK);
	ck_assert_int_eq(control(&s, "account", "show", "77"), FAULT_OK);
	ck_assert_ptr_nonnull(strstr(s.text, "\"mailboxes\":6"));
	ck_assert_int_eq(control(&s, "store", "stat", NULL), FAULT_OK);
	ck_assert_ptr_nonnull(strstr(s.text, "\"accounts\":1"));
	ck_assert_int_eq(control(&s, "account", "remove", "77"), FAULT_OK);
	ck_assert_int_eq(control(&s, "account", "show", "77"), FAULT_NOT_FOUND);
	ck_assert_int_eq(control(&s, "account", "show", "?"), FAULT_SYNTAX);
	ck_assert_int_eq(control(&s, "nonsense", NULL, NULL), FAULT_NOT_FOUND);
	suite_stop(&s);
}
END_TEST

UNIT(mailboxd)
{
	unit_add(tc, deliveries_are_stored_once_and_told);
	unit_add(tc, requests_share_commits_and_survive_a_kill);
	unit_add(tc, imapd_changes_copies_and_expunges);
	unit_add(tc, long_uid_lists_travel_by_memfd);
	unit_add(tc, requests_that_lie_get_a_fault_and_harm_nobody);
	unit_add(tc, an_account_is_shown_and_removed);
}
