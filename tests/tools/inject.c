/* SPDX-License-Identifier: ISC */
/*
 * Makes a running process do one system call that it would never do by itself, as an attacker who
 * has taken it over could: attaches by ptrace, runs the call in its place, lets it go on.
 *
 *	inject PID open PATH        open for reading
 *	inject PID create PATH      open for writing, creating
 *	inject PID socket           an internet socket
 *	inject PID unix             a Unix-domain socket
 *	inject PID exec PATH        become another program
 *	inject PID kill PID2        signal 0 to another process
 *	inject PID setuid           become root
 *	inject PID ptrace PID2      attach to another process
 *
 * Prints "allowed" or "denied ERRNO".  Exit status 2: could not try (not x86-64, no rights).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifdef __x86_64__

enum { STACK_GAP = 4096, TEXT_SIZE = 256, SYSCALL_LEN = 2, STEPS_MAX = 16 };

struct attempt {
	long number;
	unsigned long arguments[3];
	const char *text; /* goes to the process's stack, its address is arguments[text_at] */
	int text_at;
};

static int
cannot(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	return 2;
}

static int
parse_attempt(int argc, char **argv, struct attempt *a)
{
	const char *word = argc > 3 ? argv[3] : NULL;
	const char *name = argv[2];

	*a = (struct attempt){0};
	if (strcmp(name, "open") == 0 && word != NULL)
		*a = (struct attempt){SYS_openat, {(unsigned long)AT_FDCWD, 0, O_RDONLY}, word, 1};
	else if (strcmp(name, "create") == 0 && word != NULL)
		*a = (struct attempt){
			SYS_openat, {(unsigned long)AT_FDCWD, 0, O_WRONLY | O_CREAT}, word, 1};
	else if (strcmp(name, "socket") == 0)
		*a = (struct attempt){SYS_socket, {AF_INET, SOCK_STREAM, 0}, NULL, 0};
	else if (strcmp(name, "unix") == 0)
		*a = (struct attempt){SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, NULL, 0};
	else if (strcmp(name, "exec") == 0 && word != NULL)
		*a = (struct attempt){SYS_execve, {0, 0, 0}, word, 0};
	else if (strcmp(name, "kill") == 0 && word != NULL)
		*a = (struct attempt){SYS_kill, {strtoul(word, NULL, 10), 0, 0}, NULL, 0};
	else if (strcmp(name, "setuid") == 0)
		*a = (struct attempt){SYS_setuid, {0, 0, 0}, NULL, 0};
	else if (strcmp(name, "ptrace") == 0 && word != NULL)
		*a = (struct attempt){
			SYS_ptrace, {PTRACE_ATTACH, strtoul(word, NULL, 10), 0}, NULL, 0};
	else
		return 0;
	return 1;
}

static int
poke_text(pid_t pid, unsigned long at, const char *text)
{
	char bytes[TEXT_SIZE] = {0};

	snprintf(bytes, sizeof bytes, "%s", text);
	for (size_t i = 0; i < sizeof bytes; i += sizeof(long)) {
		long word;
		memcpy(&word, bytes + i, sizeof word);
		if (ptrace(PTRACE_POKEDATA, pid, at + i, word) < 0)
			return -1;
	}
	return 0;
}

/* The process waits in a system call: the instruction is just before its program counter. */
static int
run_call(pid_t pid, const struct attempt *a, long *result)
{
	struct user_regs_struct saved, regs;
	int status;

	if (ptrace(PTRACE_GETREGS, pid, 0, &saved) < 0)
		return -1;
	long code = ptrace(PTRACE_PEEKTEXT, pid, saved.rip - SYSCALL_LEN, 0);
	if ((code & 0xffff) != 0x050f) {
		errno = ENOEXEC;
		return -1;
	}
	regs = saved;
	regs.rip -= SYSCALL_LEN;
	regs.orig_rax = (unsigned long)-1; /* no restart of the interrupted call */
	regs.rax = (unsigned long)a->number;
	unsigned long *slots[] = {
		(unsigned long *)&regs.rdi, (unsigned long *)&regs.rsi, (unsigned long *)&regs.rdx};
	for (int i = 0; i < 3; i++)
		*slots[i] = a->arguments[i];
	if (a->text != NULL) {
		*slots[a->text_at] = (saved.rsp - STACK_GAP) & ~15ul;
		if (poke_text(pid, *slots[a->text_at], a->text) < 0)
			return -1;
	}
	regs.r10 = 0;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0 || ptrace(PTRACE_SINGLESTEP, pid, 0, 0) < 0 ||
		waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status) ||
		ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return -1;
	*result = (long)regs.rax;
	return (int)ptrace(PTRACE_SETREGS, pid, 0, &saved);
}

int
main(int argc, char **argv)
{
	struct attempt attempt;
	int status;
	long result;

	if (argc < 3 || !parse_attempt(argc, argv, &attempt)) {
		fprintf(stderr,
			"usage: inject PID open|create|socket|unix|exec|kill|setuid|ptrace "
			"[ARG]\n");
		return 2;
	}
	pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
	if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0 || waitpid(pid, &status, __WALL) < 0)
		return cannot("attach");
	int ran = run_call(pid, &attempt, &result);
	int error = errno;
	ptrace(PTRACE_DETACH, pid, 0, 0);
	errno = error;
	if (ran < 0)
		return cannot("system call");
	if (result < 0 && result > -4096)
		printf("denied %s\n", strerrorname_np((int)-result));
	else
		printf("allowed\n");
	return 0;
}

#else

int
main(void)
{
	fprintf(stderr, "inject: only on x86-64\n");
	return 2;
}

#endif
