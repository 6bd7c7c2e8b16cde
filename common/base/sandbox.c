/* SPDX-License-Identifier: ISC */
/*
 * The sandbox by Linux's means: identity, Landlock for files, no_new_privs, seccomp for system
 * calls.  A call outside the list fails with EPERM: it is denied either way, and a library's
 * harmless attempt does not cost the process its life.
 */
#include "common/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"

#define EMPTY_ROOT "/var/empty"

/* System calls by group; -1 ends a list.  All processes have the first. */
static const int calls_always[] = {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv),
	SCMP_SYS(writev), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(close), SCMP_SYS(shutdown), SCMP_SYS(dup), SCMP_SYS(fcntl),
	SCMP_SYS(ioctl), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(mmap),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(futex), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrandom),
	SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(membarrier),
	SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(tgkill),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(exit), SCMP_SYS(exit_group), -1};
static const int calls_accept[] = {SCMP_SYS(accept4), SCMP_SYS(accept), -1};
static const int calls_connect[] = {SCMP_SYS(connect), SCMP_SYS(bind), -1};
static const int calls_files[] = {SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(newfstatat),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(getdents64),
	SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range), SCMP_SYS(msync), SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(rename), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
	SCMP_SYS(flock), SCMP_SYS(fchmod), SCMP_SYS(copy_file_range), SCMP_SYS(sendfile),
	SCMP_SYS(readahead), -1};
static const int calls_threads[] = {SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(mlock), SCMP_SYS(munlock), -1};
static const int calls_memfd[] = {
	SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(pread64), SCMP_SYS(pwrite64), -1};

static bool
allow(scmp_filter_ctx filter, const int *calls)
{
	for (; *calls != -1; calls++) {
		int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, *calls, 0);
		/* -EEXIST: two groups share a call.  -EDOM: not on this architecture. */
		if (error != 0 && error != -EEXIST && error != -EDOM)
			return false;
	}
	return true;
}

/* What newer C libraries make of fstat().  With a path it tells of a file, and reads nothing. */
static bool
allow_fstat(scmp_filter_ctx filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
		SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));

	return error == 0 || error == -EEXIST || error == -EDOM;
}

static bool
allow_sockets(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		       SCMP_A0(SCMP_CMP_EQ, AF_INET, 0)) == 0 &&
		seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_EQ, AF_INET6, 0)) == 0 &&
		allow(filter, calls_connect);
}

static enum fault
enter_seccomp(unsigned calls)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool good = filter != NULL && allow(filter, calls_always) && allow_fstat(filter);

	if (good && (calls & SANDBOX_ACCEPT) != 0)
		good = allow(filter, calls_accept);
	if (good && (calls & SANDBOX_CONNECT) != 0)
		good = allow_sockets(filter);
	if (good && (calls & SANDBOX_FILES) != 0)
		good = allow(filter, calls_files);
	if (good && (calls & SANDBOX_THREADS) != 0)
		good = allow(filter, calls_threads);
	if (good && (calls & SANDBOX_MEMFD) != 0)
		good = allow(filter, calls_memfd);
	good = good && seccomp_load(filter) == 0;
	seccomp_release(filter);
	if (!good)
		log_error("sandbox: seccomp refused");
	return good ? FAULT_OK : FAULT_DENIED;
}

enum {
	READ_RIGHTS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	FILE_RIGHTS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
	MAKE_RIGHTS = LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR,
	/* All of Landlock's first version: whatever is not granted below is denied. */
	ALL_RIGHTS = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
};

static bool
add_path(int rules, const struct sandbox_path *path)
{
	struct landlock_path_beneath_attr beneath = {0};
	struct stat status;
	int fd = open(path->path, O_PATH | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) < 0) {
		log_error("sandbox: %s: %s", path->path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	if ((path->access & SANDBOX_READ) != 0)
		beneath.allowed_access |= READ_RIGHTS;
	if ((path->access & SANDBOX_WRITE) != 0)
		beneath.allowed_access |= READ_RIGHTS | FILE_RIGHTS | MAKE_RIGHTS;
	if ((path->access & SANDBOX_WRITE_FILE) != 0)
		beneath.allowed_access |= FILE_RIGHTS;
	/* Rights of directories are refused for a plain file. */
	if (!S_ISDIR(status.st_mode))
		beneath.allowed_access &= FILE_RIGHTS;
	beneath.parent_fd = fd;
	bool good =
		syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
	if (!good)
		log_error("sandbox: %s: %s", path->path, strerror(errno));
	close(fd);
	return good;
}

static enum fault
enter_landlock(const struct sandbox_path *paths)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = ALL_RIGHTS};
	/* The size of the first version, so that every kernel with Landlock takes it. */
	int rules =
		(int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);

	if (rules < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? FAULT_UNSUPPORTED : FAULT_DENIED;
	bool good = true;
	for (; good && paths != NULL && paths->path != NULL; paths++)
		good = add_path(rules, paths);
	good = good && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	close(rules);
	return good ? FAULT_OK : FAULT_DENIED;
}

static enum fault
enter_empty_root(void)
{
	if (chroot(EMPTY_ROOT) == 0 && chdir("/") == 0)
		return FAULT_OK;
	log_error("sandbox: chroot to %s: %s", EMPTY_ROOT, strerror(errno));
	return FAULT_DENIED;
}

/* Before Landlock: with an empty list it makes chroot the only cover where Landlock is missing. */
static enum fault
enter_files(const struct sandbox *sandbox)
{
	bool empty = sandbox->paths == NULL || sandbox->paths[0].path == NULL;
	enum fault fault = enter_landlock(sandbox->paths);

	if (fault != FAULT_UNSUPPORTED)
		return fault;
	log_warning("this kernel has no Landlock: files are guarded by their owners only");
	return empty && geteuid() == 0 ? enter_empty_root() : FAULT_OK;
}

static enum fault
become_user(const struct sandbox *sandbox)
{
	gid_t group = sandbox->group;

	if (sandbox->uid == 0)
		return FAULT_OK;
	if (setgroups(group != 0 ? 1 : 0, &group) == 0 &&
		setresgid(sandbox->gid, sandbox->gid, sandbox->gid) == 0 &&
		setresuid(sandbox->uid, sandbox->uid, sandbox->uid) == 0)
		return FAULT_OK;
	log_error("sandbox: cannot become user %u: %s", sandbox->uid, strerror(errno));
	return FAULT_DENIED;
}

static enum fault
set_limits(const struct sandbox *sandbox)
{
	struct rlimit none = {0, 0};
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return fault_from_errno(errno);
	if (sandbox->files_max != 0) {
		files.rlim_cur =
			sandbox->files_max < files.rlim_max ? sandbox->files_max : files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			return fault_from_errno(errno);
	}
	return FAULT_OK;
}

enum fault
sandbox_enter(const struct sandbox *sandbox)
{
	enum fault fault = set_limits(sandbox);

	if (fault == FAULT_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fault = FAULT_DENIED;
	if (fault == FAULT_OK)
		fault = enter_files(sandbox);
	if (fault == FAULT_OK)
		fault = become_user(sandbox);
	if (fault == FAULT_OK)
		fault = enter_seccomp(sandbox->calls);
	return fault;
}
