/* SPDX-License-Identifier: ISC */
/* maild from the outside: fork, exec, and questions until it says "running". */
#include "mailctl/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "mailctl/client.h"

enum { POLL_MS = 20, EXEC_FAILED = 127 };

void
launch_pause(int64_t ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* Beside mailctl in a build directory, in ../sbin when installed. */
static void
find_maild(char path[static PATH_MAX])
{
	static const char installed[] = "/../sbin/maild";
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - sizeof installed);
	char *slash;

	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return;
	memcpy(slash, "/maild", sizeof "/maild");
	if (access(path, X_OK) != 0)
		memcpy(slash, installed, sizeof installed);
}

/* In the forked child. */
static void
exec_maild(const struct launch *launch, char *path)
{
	int log = open(launch->log_path, O_WRONLY | O_CREAT | O_APPEND, 0640);
	int null = open("/dev/null", O_RDWR);
	char name[] = "maild", dash_f[] = "-f";
	char *arguments[] = {name, dash_f, (char *)(uintptr_t)launch->config_path, NULL};

	sigset_t none;

	if (log < 0 || null < 0)
		_exit(EXEC_FAILED);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	/* A Ctrl-C at mailctl's terminal is not maild's: mailctl stops it. */
	setsid();
	if (launch->end_with_us)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	execv(path, arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", path, strerror(errno));
	_exit(EXEC_FAILED);
}

pid_t
launch_maild(const struct launch *launch)
{
	char path[PATH_MAX];
	pid_t pid;

	find_maild(path);
	pid = fork();
	if (pid == 0)
		exec_maild(launch, path);
	if (pid < 0)
		complain("fork: %s", strerror(errno));
	return pid;
}

static bool
is_running(const char *control)
{
	static const char *const words[] = {"status"};
	struct client_reply reply;
	json_t *status;
	const char *state;
	bool running;

	client_ask(control, PROCESS_MAILD, words, 1, &reply);
	status = client_reply_json(&reply);
	state = json_string_value(json_object_get(status, "state"));
	running = state != NULL && strcmp(state, "running") == 0;
	json_decref(status);
	client_reply_clear(&reply);
	return running;
}

enum fault
launch_wait_ready(const struct launch *launch, pid_t pid, int64_t timeout_ms)
{
	int64_t deadline = clock_mono_ms(&clock_system) + timeout_ms;

	while (clock_mono_ms(&clock_system) < deadline) {
		if (is_running(launch->control))
			return FAULT_OK;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return FAULT_PEER_LOST;
		launch_pause(POLL_MS);
	}
	return FAULT_TIMEOUT;
}

void
launch_show_log(const char *log_path)
{
	char part[4096];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);

	for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof part)) > 0;)
		fwrite(part, 1, (size_t)n, stderr);
	if (fd >= 0)
		close(fd);
}

int
launch_run(char *const arguments[])
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(arguments[0], arguments);
		_exit(EXEC_FAILED);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}
