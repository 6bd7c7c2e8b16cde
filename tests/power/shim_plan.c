/* SPDX-License-Identifier: ISC */
/* The shim's plan: which call is to fail, and how, from the environment. */
#include "tests/power/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct plan {
	uint64_t at; /* 0: never */
	bool and_later;
	int error;
	bool is_short;
	bool flips;
};

static struct plan plans[SHIM_CLASSES];
static uint64_t counts[SHIM_CLASSES];
static uint64_t kill_at;
static bool kill_half;
static int count_file = -1, once_file = -1;

static int
error_of(const char *name)
{
	static const struct {
		const char *name;
		int error;
	} names[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EDQUOT", EDQUOT},
		{"EROFS", EROFS}, {"EINTR", EINTR}, {"ENFILE", ENFILE}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].error;
	return 0;
}

static void
plan_parse(struct plan *p, const char *text)
{
	char *end;

	if (text == NULL)
		return;
	p->at = strtoull(text, &end, 10);
	p->and_later = *end == '+';
	end += p->and_later;
	const char *what = *end == ':' ? end + 1 : "";
	p->error = error_of(what);
	p->is_short = strcmp(what, "short") == 0;
	p->flips = strcmp(what, "flip") == 0;
	if (p->at == 0 || (p->error == 0 && !p->is_short && !p->flips)) {
		fprintf(stderr, "shim: cannot read \"%s\"\n", text);
		_exit(2);
	}
}

static int
file_open(const char *path, int flags)
{
	return (int)syscall(
		SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
}

static void
plans_read(void)
{
	const char *kill = getenv("POWER_KILL"), *half = getenv("POWER_KILL_HALF");
	const char *count = getenv("POWER_COUNT"), *once = getenv("POWER_ONCE");

	kill_at = kill != NULL ? strtoull(kill, NULL, 10) : 0;
	kill_half = half != NULL;
	if (once != NULL)
		once_file = file_open(once, 0);
	if (once_file >= 0 && lseek(once_file, 0, SEEK_END) > 0)
		kill_at = 0;
	plan_parse(&plans[SHIM_CHANGE], getenv("POWER_FAULT"));
	plan_parse(&plans[SHIM_READ], getenv("POWER_READ_FAULT"));
	plan_parse(&plans[SHIM_OPEN], getenv("POWER_OPEN_FAULT"));
	if (count != NULL)
		count_file = file_open(count, O_TRUNC);
}

/* Early, before any sandbox. */
__attribute__((constructor)) static void
plan_load(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	if (shim_starts())
		plans_read();
}

__attribute__((destructor)) static void
counts_write(void)
{
	char text[100];
	int len = snprintf(text, sizeof(text), "%llu %llu %llu\n",
		(unsigned long long)counts[SHIM_CHANGE], (unsigned long long)counts[SHIM_READ],
		(unsigned long long)counts[SHIM_OPEN]);

	if (count_file >= 0 && len > 0)
		(void)!syscall(SYS_write, count_file, text, (size_t)len);
}

void
shim_kill(void)
{
	if (once_file >= 0)
		(void)!syscall(SYS_write, once_file, "x", 1UL);
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	/* A sandbox may not allow it. */
	__builtin_trap();
}

struct shim_verdict
shim_next(enum shim_class class, size_t len)
{
	const struct plan *p = &plans[class];
	struct shim_verdict v = {0};
	uint64_t n;

	plan_load();
	n = ++counts[class];
	if (class == SHIM_CHANGE && n == kill_at) {
		v.kills = true;
		v.is_half = kill_half && len > 1;
		if (!v.is_half)
			shim_kill();
	}
	if (p->at == 0 || (n != p->at && !(p->and_later && n > p->at)))
		return v;
	/* A call without bytes cannot be done by half: it fails. */
	v.error = p->is_short && len < 2 ? EIO : p->error;
	v.is_half |= p->is_short && len >= 2;
	v.flips = p->flips && len > 0;
	return v;
}
