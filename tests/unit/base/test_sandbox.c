/* SPDX-License-Identifier: ISC */
#include "common/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/unit/unit.h"

/* Runs attempt in a sandboxed child: its result is the child's exit status. */
static int
in_sandbox(const struct sandbox *sandbox, int (*attempt)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (sandbox_enter(sandbox) != FAULT_OK)
			_exit(99);
		_exit(attempt());
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "the child was killed");
	return WEXITSTATUS(status);
}

static int
try_file(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static int
try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int
try_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return errno != EPERM;
}

static int
try_memfd(void)
{
	return memfd_create("x", 0) >= 0;
}

/* What memfd_map does. */
static int
try_fstat(void)
{
	struct stat status;

	return fstat(STDIN_FILENO, &status) == 0;
}

static int
try_stat(void)
{
	struct stat status;

	return stat("/etc/passwd", &status) == 0;
}

static int
try_write(void)
{
	return open("/tmp/pabal-test-sandbox", O_WRONLY | O_CREAT, 0600) >= 0;
}

START_TEST(nothing_granted_is_nothing_allowed)
{
	struct sandbox none = {0};

	ck_assert_int_eq(in_sandbox(&none, try_file), 0);
	ck_assert_int_eq(in_sandbox(&none, try_socket), 0);
	ck_assert_int_eq(in_sandbox(&none, try_exec), 0);
	ck_assert_int_eq(in_sandbox(&none, try_memfd), 0);
	ck_assert_int_eq(in_sandbox(&none, try_stat), 0);
}
END_TEST

START_TEST(what_is_granted_works_and_the_rest_does_not)
{
	struct sandbox_path paths[] = {{"/etc/passwd", SANDBOX_READ}, {NULL, 0}};
	struct sandbox files = {.paths = paths, .calls = SANDBOX_FILES};
	struct sandbox net = {.calls = SANDBOX_CONNECT};
	struct sandbox memfd = {.calls = SANDBOX_MEMFD};

	ck_assert_int_eq(in_sandbox(&files, try_file), 1);
	ck_assert_int_eq(in_sandbox(&files, try_write), 0);
	ck_assert_int_eq(in_sandbox(&files, try_socket), 0);
	ck_assert_int_eq(in_sandbox(&net, try_socket), 1);
	ck_assert_int_eq(in_sandbox(&net, try_file), 0);
	ck_assert_int_eq(in_sandbox(&memfd, try_memfd), 1);
}
END_TEST

START_TEST(an_open_descriptor_can_always_be_asked_what_it_is)
{
	struct sandbox none = {0};

	ck_assert_int_eq(in_sandbox(&none, try_fstat), 1);
}
END_TEST

START_TEST(a_missing_path_is_a_fault)
{
	struct sandbox_path paths[] = {{"/nonexistent/pabal", SANDBOX_READ}, {NULL, 0}};
	struct sandbox sandbox = {.paths = paths, .calls = SANDBOX_FILES};

	ck_assert_int_eq(in_sandbox(&sandbox, try_file), 99);
}
END_TEST

static int
show_user(void)
{
	return getuid() == 61000 && getgid() == 61001 && setuid(0) != 0;
}

START_TEST(root_becomes_the_user_for_good)
{
	struct sandbox sandbox = {.uid = 61000, .gid = 61001, .group = 61002};

	if (geteuid() != 0) {
		printf("1 test skipped: only root can change its user\n");
		return;
	}
	ck_assert_int_eq(in_sandbox(&sandbox, show_user), 1);
}
END_TEST

UNIT(sandbox)
{
	unit_add(tc, nothing_granted_is_nothing_allowed);
	unit_add(tc, what_is_granted_works_and_the_rest_does_not);
	unit_add(tc, an_open_descriptor_can_always_be_asked_what_it_is);
	unit_add(tc, a_missing_path_is_a_fault);
	unit_add(tc, root_becomes_the_user_for_good);
}
