/* SPDX-License-Identifier: ISC */
/*
 * authd itself, in its sandbox, as a process: the test plays maild and the processes that ask, and
 * sees who is given the keys of encrypted mail.
 */
#include <event2/event.h>
#include <fcntl.h>
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

#include "common/ipc/link.h"
#include "tests/unit/unit.h"

enum { DEADLINE_MS = 20000, MAILD_FD = 3 };

#define PASSWORD "the password of alice"

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("not so: %s", #condition);                                    \
	} while (0)

static char dir[64];
static struct event_base *base;
static pid_t pid;
static struct ipc_link *maild, *smtpd, *imapd, *pop3d, *deliverd;
static bool done;
static enum fault fault; /* of the last answer */
static char text[4096]; /* the last one that came for a command */

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	(void)arg, (void)link;
	if (message->type == IPC_READY)
		done = true;
	if (message->type == IPC_CONTROL_TEXT)
		snprintf(text, sizeof text, "%" SLICE_FMT,
			SLICE_ARG(((const struct ipc_control_text *)message->payload)->text));
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault why)
{
	(void)arg, (void)link, (void)why;
}

static const struct ipc_link_events events = {NULL, on_message, on_lost, NULL, NULL};

static void
program_run(int maild_end)
{
	char path[PATH_MAX], program[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	must(n > 0);
	path[n] = '\0';
	/* BUILD/tests/unit-authd -> BUILD/bin/authd */
	for (int up = 0; up < 2; up++)
		*strrchr(path, '/') = '\0';
	snprintf(program, sizeof program, "%s/bin/authd", path);
	must(access(program, X_OK) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid != 0)
		return;
	if (dup2(maild_end, MAILD_FD) != MAILD_FD)
		_exit(1);
	/* The leak checker needs ptrace, which the sandbox denies. */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execl(program, program, "-i", "0", (char *)NULL);
	_exit(1);
}

static void
pair(int ends[2])
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

static struct ipc_link *
peer_make(enum process process)
{
	struct ipc_peer peer = {(uint32_t)process, 0};
	int ends[2];

	pair(ends);
	struct ipc_link *link = ipc_link_new(base, ends[0], process, PROCESS_AUTHD, &events);
	must(ipc_send_PEER(maild, 0, &peer, ends[1]) == FAULT_OK);
	close(ends[1]);
	return link;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_abort_msg("authd does not answer");
}

static void
run_until_done(void)
{
	struct event *deadline = event_new(base, -1, 0, on_deadline, NULL);
	struct timeval most = {.tv_sec = DEADLINE_MS / 1000};

	event_add(deadline, &most);
	while (!done)
		must(event_base_loop(base, EVLOOP_ONCE) == 0);
	event_free(deadline);
}

static void
send_setting(const char *name, const char *value)
{
	struct ipc_setting setting = {slice_text(name), slice_text(value)};

	must(ipc_send_SETTING(maild, 0, &setting, -1) == FAULT_OK);
}

static void
on_control_done(void *arg, const struct ipc_answer *answer)
{
	(void)arg;
	fault = answer->fault;
	done = true;
}

/* One command as mailctl would give it. */
static enum fault
control(const char *const *words, uint32_t count)
{
	struct ipc_control_word list[8];
	struct ipc_control command = {PROCESS_AUTHD, list, count};

	for (uint32_t i = 0; i < count; i++)
		list[i].text = slice_text(words[i]);
	done = false;
	(void)ipc_call(base, maild, IPC_CONTROL, &command, -1, DEADLINE_MS, on_control_done, NULL);
	run_until_done();
	return fault;
}

#define CONTROL(...)                                                                               \
	control((const char *const[]){__VA_ARGS__},                                                \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void
begin(void)
{
	struct ipc_empty end = {0};
	char directory[80];
	int ends[2];

	must(sodium_init() >= 0);
	snprintf(dir, sizeof dir, "/tmp/pabal-authd-XXXXXX");
	must(mkdtemp(dir) != NULL);
	snprintf(directory, sizeof directory, "%s/directory", dir);
	must(mkdir(directory, 0700) == 0);
	base = event_base_new();
	pair(ends);
	program_run(ends[1]);
	close(ends[1]);
	done = false;
	maild = ipc_link_new(base, ends[0], PROCESS_MAILD, PROCESS_AUTHD, &events);
	send_setting("data-directory", dir);
	send_setting("hostname", "mail.example.org");
	send_setting("password-memory", "1M");
	smtpd = peer_make(PROCESS_SMTPD);
	imapd = peer_make(PROCESS_IMAPD);
	pop3d = peer_make(PROCESS_POP3D);
	deliverd = peer_make(PROCESS_DELIVERD);
	must(ipc_send_CONFIGURED(maild, 0, &end, -1) == FAULT_OK);
	run_until_done();
	ck_assert_int_eq(CONTROL("domain", "add", "example.org"), FAULT_OK);
	ck_assert_int_eq(CONTROL("account", "add", "alice@example.org", PASSWORD), FAULT_OK);
}

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static void
end(void)
{
	struct ipc_link *links[] = {smtpd, imapd, pop3d, deliverd, maild};

	must(kill(pid, SIGKILL) == 0);
	must(waitpid(pid, NULL, 0) == pid);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		ipc_link_free(links[i]);
	event_base_free(base);
	(void)nftw(dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* What an answer brought. */
struct keys {
	size_t public_len, private_len;
	uint8_t public_key[IPC_ACCOUNT_KEY_LEN], private_key[IPC_ACCOUNT_KEY_LEN];
};

static void
copy_key(struct slice from, size_t *len, uint8_t *to)
{
	must(from.len <= IPC_ACCOUNT_KEY_LEN);
	*len = from.len;
	if (from.len > 0)
		memcpy(to, from.data, from.len);
}

static void
on_auth_result(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_auth_result *result = answer->payload;
	struct keys *keys = arg;

	fault = answer->fault;
	done = true;
	if (fault != FAULT_OK)
		return;
	copy_key(result->public_key, &keys->public_len, keys->public_key);
	copy_key(result->private_key, &keys->private_len, keys->private_key);
}

/* service is what the asker says of itself. */
static struct keys
login(struct ipc_link *link, enum ipc_service service)
{
	struct ipc_auth_plain plain = {
		(uint32_t)service, SLICE("127.0.0.1"), SLICE("alice@example.org"), SLICE(PASSWORD)};
	struct keys keys = {0};

	done = false;
	(void)ipc_call(base, link, IPC_AUTH_PLAIN, &plain, -1, DEADLINE_MS, on_auth_result, &keys);
	run_until_done();
	ck_assert_int_eq(fault, FAULT_OK);
	return keys;
}

static void
on_expanded(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_expanded *expanded = answer->payload;
	struct keys *keys = arg;

	fault = answer->fault;
	done = true;
	if (fault != FAULT_OK)
		return;
	must(expanded->target_count == 1);
	copy_key(expanded->targets[0].public_key, &keys->public_len, keys->public_key);
}

static struct keys
expand(void)
{
	struct ipc_address address = {SLICE("alice@example.org")};
	struct keys keys = {0};

	done = false;
	(void)ipc_call(base, deliverd, IPC_EXPAND, &address, -1, DEADLINE_MS, on_expanded, &keys);
	run_until_done();
	ck_assert_int_eq(fault, FAULT_OK);
	return keys;
}

/* Kilobytes that the process has locked. */
static unsigned long
locked_kb(void)
{
	char path[64], line[256];
	unsigned long kb = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "r");
	must(file != NULL);
	while (fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kb = strtoul(line + 6, NULL, 10);
	fclose(file);
	return kb;
}

START_TEST(keys_go_to_those_who_read_mail_and_to_nobody_else)
{
	uint8_t derived[IPC_ACCOUNT_KEY_LEN];
	struct keys before = login(imapd, IPC_SERVICE_IMAPS), got, remembered;

	ck_assert(before.public_len == 0 && before.private_len == 0);
	ck_assert_uint_eq(expand().public_len, 0);
	ck_assert_int_eq(CONTROL("account", "encrypt", "alice@example.org", PASSWORD), FAULT_OK);
	/* Also first of all, when nothing is remembered yet, and whatever it calls itself. */
	got = login(smtpd, IPC_SERVICE_SUBMISSIONS);
	ck_assert(got.public_len == 0 && got.private_len == 0);
	got = login(smtpd, IPC_SERVICE_IMAPS);
	ck_assert(got.public_len == 0 && got.private_len == 0);
	got = login(imapd, IPC_SERVICE_IMAPS);
	ck_assert_uint_eq(got.private_len, IPC_ACCOUNT_KEY_LEN);
	crypto_scalarmult_base(derived, got.private_key);
	ck_assert_mem_eq(derived, got.public_key, sizeof derived);
	remembered = login(pop3d, IPC_SERVICE_POP3S);
	ck_assert_mem_eq(&remembered, &got, sizeof got);
	struct keys known = expand();
	ck_assert_uint_eq(known.public_len, IPC_ACCOUNT_KEY_LEN);
	ck_assert_mem_eq(known.public_key, got.public_key, IPC_ACCOUNT_KEY_LEN);
	/* The address sanitizer makes mlock() do nothing. */
	if (!HAS_ASAN)
		ck_assert_uint_gt(locked_kb(), 0);
}
END_TEST

START_TEST(no_file_has_the_private_key_or_the_password)
{
	char path[256];

	ck_assert_int_eq(CONTROL("account", "encrypt", "alice@example.org", PASSWORD), FAULT_OK);
	struct keys got = login(imapd, IPC_SERVICE_IMAPS);
	struct slice wanted[] = {slice_make(got.private_key, IPC_ACCOUNT_KEY_LEN), SLICE(PASSWORD),
		slice_make(got.public_key, IPC_ACCOUNT_KEY_LEN)};
	snprintf(path, sizeof path, "%s/directory/data.mdb", dir);
	FILE *file = fopen(path, "rb");
	must(file != NULL);
	static char bytes[4 * 1024 * 1024];
	size_t len = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	struct slice all = slice_make(bytes, len);
	ck_assert(len > 0 && len < sizeof bytes);
	ck_assert(slice_find(all, wanted[0]) == len);
	ck_assert(slice_find(all, wanted[1]) == len);
	/* What lies open is found: the search can find. */
	ck_assert(slice_find(all, wanted[2]) < len);
}
END_TEST

/* The pieces of memory that authd can write and shares with nobody. */
static size_t
count_in_memory(struct slice wanted)
{
	char path[64], line[512];
	unsigned long from, to;
	size_t count = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "r");
	snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
	int memory = open(path, O_RDONLY | O_CLOEXEC);
	must(maps != NULL && memory >= 0);
	while (fgets(line, sizeof line, maps) != NULL) {
		if (!unit_is_private_memory(line, &from, &to))
			continue;
		char *bytes = malloc(to - from);
		must(bytes != NULL);
		ssize_t len = pread(memory, bytes, to - from, (off_t)from);
		struct slice rest = slice_make(bytes, len > 0 ? (size_t)len : 0);
		for (size_t at; (at = slice_find(rest, wanted)) < rest.len; count++)
			rest = slice_after(rest, at + 1);
		free(bytes);
	}
	fclose(maps);
	close(memory);
	return count;
}

/* All but its start, where free() may have written. */
static size_t
remains(struct slice secret)
{
	return count_in_memory(slice_after(secret, secret.len / 2));
}

START_TEST(nothing_secret_stays_in_memory)
{
	static const char field[] = "\"recovery_key\":\"", changed[] = "another one of alice's";
	char recovery[48];

	ck_assert_int_eq(CONTROL("account", "encrypt", "alice@example.org", PASSWORD), FAULT_OK);
	const char *at = strstr(text, field);
	ck_assert_ptr_nonnull(at);
	snprintf(recovery, sizeof recovery, "%s", at + sizeof field - 1);
	struct keys got = login(imapd, IPC_SERVICE_IMAPS);
	struct slice private_key = slice_make(got.private_key, IPC_ACCOUNT_KEY_LEN);
	/* What was sent is wiped before the next command is read. */
	ck_assert_int_eq(CONTROL("status"), FAULT_OK);
	/* With the login that is remembered, and nowhere else. */
	ck_assert_uint_eq(remains(private_key), 1);
	ck_assert_uint_eq(remains(slice_text(recovery)), 0);
	ck_assert_int_eq(
		CONTROL("account", "passwd", "alice@example.org", changed, recovery), FAULT_OK);
	ck_assert_int_eq(CONTROL("status"), FAULT_OK);
	ck_assert_uint_eq(remains(private_key), 0);
	ck_assert_uint_eq(remains(slice_text(recovery)), 0);
	ck_assert_uint_eq(remains(SLICE(PASSWORD)), 0);
	ck_assert_uint_eq(remains(slice_text(changed)), 0);
	/* What is no secret is found. */
	ck_assert_uint_gt(remains(SLICE("alice@example.org")), 0);
}
END_TEST

UNIT(authd)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, keys_go_to_those_who_read_mail_and_to_nobody_else);
	unit_add(tc, no_file_has_the_private_key_or_the_password);
	/* The address sanitizer keeps freed memory as it was. */
	if (HAS_ASAN)
		puts("skipped: nothing_secret_stays_in_memory");
	else
		unit_add(tc, nothing_secret_stays_in_memory);
}
