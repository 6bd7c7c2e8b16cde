/* SPDX-License-Identifier: ISC */
/* `mailctl try`: a whole suite for a look, a test or a mail client, gone without a trace. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mailctl/client.h"
#include "mailctl/launch.h"
#include "mailctl/suite.h"

enum {
	READY_MS = 120000, /* a sanitizer build under load takes its time */
	END_MS = 150000,
	START_TRIES = 5,
	HOSTNAME_SIZE = 300
};

const char try_usage[] =
	"usage: mailctl try [options] [DIR]\n"
	"       mailctl try --stop DIR\n"
	"Starts a throw-away suite on free loopback ports, with the accounts alice and bob, and\n"
	"prints how to reach it.  It runs until Ctrl-C, or with --detach until --stop.\n"
	"  --accounts N         also user1 to userN\n"
	"  --domain D           instead of example.org\n"
	"  --hostname H         instead of mail.D\n"
	"  --address IP         loopback address to listen on, instead of 127.0.0.1 and ::1\n"
	"  --smtp-port P        for SMTP, when it is free\n"
	"  --config-extra FILE  appended to the config\n"
	"  --detach             return when the suite runs\n"
	"DIR is kept, and can be started again; without DIR a temporary one is used and removed.\n";

struct wish {
	struct suite suite;
	const char *directory;
	bool detach, stop, help;
	char hostname[HOSTNAME_SIZE];
};

static bool
parse_number(const char *text, unsigned *number)
{
	uint64_t value;

	if (!slice_parse_u64(slice_text(text), 1000000, &value))
		return false;
	*number = (unsigned)value;
	return true;
}

static bool
take_option(struct wish *wish, int option)
{
	switch (option) {
	case 'n':
		return parse_number(optarg, &wish->suite.accounts);
	case 'd':
		wish->suite.domain = optarg;
		return true;
	case 'h':
		wish->suite.hostname = optarg;
		return true;
	case 'a':
		wish->suite.address = optarg;
		return true;
	case 'p':
		return parse_number(optarg, &wish->suite.smtp_port) &&
			wish->suite.smtp_port <= UINT16_MAX;
	case 'x':
		wish->suite.extra = optarg;
		return true;
	case 'D':
		wish->detach = true;
		return true;
	case 's':
		wish->stop = true;
		return true;
	case '?':
	default:
		return false;
	}
}

static bool
parse_arguments(struct wish *wish, int argc, char **argv)
{
	static const struct option options[] = {
		{"accounts", required_argument, NULL, 'n'},
		{"domain", required_argument, NULL, 'd'},
		{"hostname", required_argument, NULL, 'h'},
		{"address", required_argument, NULL, 'a'},
		{"smtp-port", required_argument, NULL, 'p'},
		{"config-extra", required_argument, NULL, 'x'},
		{"detach", no_argument, NULL, 'D'},
		{"stop", no_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};

	wish->suite.domain = "example.org";
	wish->suite.address = "127.0.0.1";
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (!take_option(wish, option))
			return false;
	}
	wish->directory = argv[optind];
	if (argc - optind > 1 || (wish->stop && wish->directory == NULL))
		return false;
	if (wish->suite.hostname == NULL) {
		snprintf(wish->hostname, sizeof wish->hostname, "mail.%s", wish->suite.domain);
		wish->suite.hostname = wish->hostname;
	}
	return true;
}

static bool
log_says_in_use(const char *log_path)
{
	char part[8192];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, part, sizeof part) : -1;

	if (fd >= 0)
		close(fd);
	return n > 0 &&
		slice_find(slice_make(part, (size_t)n), SLICE("already in use")) < (size_t)n;
}

/* Between choosing a port and binding it somebody else may have taken it: then choose again. */
static pid_t
start(struct suite *suite, const struct launch *launch)
{
	for (int try = 0; try < START_TRIES; try++) {
		pid_t pid;
		enum fault fault;

		unlink(launch->log_path);
		if (suite_choose_ports(suite) != FAULT_OK || suite_write_config(suite) != FAULT_OK)
			return -1;
		pid = launch_maild(launch);
		if (pid < 0)
			return -1;
		fault = launch_wait_ready(launch, pid, READY_MS);
		if (fault == FAULT_OK)
			return pid;
		if (fault == FAULT_TIMEOUT) {
			complain("the suite is not ready after %d s", READY_MS / 1000);
			kill(pid, SIGTERM);
			waitpid(pid, NULL, 0);
			break;
		}
		if (!log_says_in_use(launch->log_path))
			break;
	}
	complain("maild could not start; its log says:");
	launch_show_log(launch->log_path);
	return -1;
}

static void
stop_child(pid_t pid)
{
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* They wait, blocked, until run_in_foreground takes them: none can be missed. */
static void
block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
	sigprocmask(SIG_BLOCK, set, NULL);
}

/* Until Ctrl-C, or until maild ends by itself. */
static enum status
run_in_foreground(pid_t pid)
{
	sigset_t set;
	int signal = 0, status;

	printf("\nCtrl-C ends it.\n");
	fflush(stdout);
	block_signals(&set);
	do {
		sigwait(&set, &signal);
	} while (signal == SIGCHLD && waitpid(pid, &status, WNOHANG) != pid);
	if (signal != SIGCHLD) {
		stop_child(pid);
		return STATUS_OK;
	}
	complain("maild has ended");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? STATUS_OK : STATUS_FAILED;
}

static enum status
run_suite(struct wish *wish, const struct launch *launch)
{
	struct suite *suite = &wish->suite;
	pid_t pid = start(suite, launch);

	if (pid < 0)
		return STATUS_FAILED;
	if (suite_add_accounts(suite) != FAULT_OK || suite_save(suite) != FAULT_OK) {
		stop_child(pid);
		launch_show_log(launch->log_path);
		return STATUS_FAILED;
	}
	suite_print(suite);
	return wish->detach ? STATUS_OK : run_in_foreground(pid);
}

static enum status
begin(struct wish *wish)
{
	struct suite *suite = &wish->suite;
	char config[SUITE_PATH_MAX], control[SUITE_PATH_MAX], log[SUITE_PATH_MAX];
	enum status status;
	sigset_t set;

	if (suite_open_directory(suite, wish->directory) != FAULT_OK)
		return STATUS_FAILED;
	suite_load(suite);
	if (suite_write_certificates(suite) != FAULT_OK)
		return STATUS_FAILED;
	struct launch launch = {
		.config_path = suite_path(suite, "pabal.conf", config),
		.control = suite_path(suite, "control", control),
		.log_path = suite_path(suite, "log", log),
		.end_with_us = !wish->detach,
	};
	block_signals(&set);
	status = run_suite(wish, &launch);
	if (status != STATUS_OK || !wish->detach)
		suite_remove_directory(suite);
	return status;
}

static enum status
stop_suite(struct wish *wish)
{
	static const char *const words[] = {"stop"};
	struct suite *suite = &wish->suite;
	char path[SUITE_PATH_MAX];
	struct client_reply reply;
	enum status status;

	if (realpath(wish->directory, suite->directory) == NULL) {
		complain("%s: %s", wish->directory, strerror(errno));
		return STATUS_FAILED;
	}
	suite_load(suite);
	suite->is_temporary = json_is_true(json_object_get(suite->settings, "temporary"));
	int maild = client_open_maild(suite_path(suite, "control", path));
	client_ask(path, PROCESS_MAILD, words, 1, &reply);
	status = client_reply_status(&reply, path);
	client_reply_clear(&reply);
	if (client_wait_end(maild, END_MS) != FAULT_OK) {
		complain("maild does not end");
		return STATUS_FAILED;
	}
	suite_remove_directory(suite);
	return status;
}

enum status
try_run(struct mailctl *mailctl, int argc, char **argv)
{
	struct wish wish = {0};
	enum status status;

	(void)mailctl;
	if (!parse_arguments(&wish, argc, argv)) {
		fputs(try_usage, stderr);
		return STATUS_USAGE;
	}
	status = wish.stop ? stop_suite(&wish) : begin(&wish);
	suite_clear(&wish.suite);
	return status;
}
