/* SPDX-License-Identifier: ISC */
/* maild: reads the config, opens the listeners, starts and wires all other processes. */
#include "maild/maild.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

#define DEFAULT_CONFIG "/etc/pabal/pabal.conf"

static void
on_signal(evutil_socket_t signal, short what, void *arg)
{
	struct maild *m = arg;
	char error[CONFIG_ERROR_MAX];

	(void)what;
	if (signal == SIGCHLD)
		children_reap(m);
	else if (signal != SIGHUP)
		stages_stop(m, 0);
	else if (maild_reload(m, error) != FAULT_OK)
		log_error("the old config stays: %s", error);
}

static bool
watch_signals(struct maild *m)
{
	struct event *events[] = {&m->child_died, &m->terminate, &m->interrupt, &m->hangup};
	const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		if (evsignal_assign(events[i], m->base, signals[i], on_signal, m) != 0 ||
			event_add(events[i], NULL) != 0)
			return false;
	}
	return true;
}

/* The daemons are beside maild in a build directory, and in ../libexec/pabal when installed. */
static enum fault
find_programs(struct maild *m)
{
	char *directory = m->program_directory, probe[PATH_MAX + 16];
	ssize_t len = readlink("/proc/self/exe", directory, sizeof m->program_directory - 1);
	char *slash;

	if (len < 0)
		return FAULT_NOT_FOUND;
	directory[len] = '\0';
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return FAULT_NOT_FOUND;
	*slash = '\0';
	snprintf(probe, sizeof probe, "%s/authd", directory);
	if (access(probe, X_OK) == 0)
		return FAULT_OK;
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return FAULT_NOT_FOUND;
	snprintf(
		slash, sizeof m->program_directory - (size_t)(slash - directory), "/libexec/pabal");
	return FAULT_OK;
}

static enum fault
open_everything(struct maild *m)
{
	enum fault fault = maild_sandbox();

	if (fault == FAULT_OK)
		fault = users_resolve(m);
	if (fault == FAULT_OK)
		fault = directories_prepare(m);
	if (fault == FAULT_OK)
		fault = listeners_open(m, &m->config);
	if (fault == FAULT_OK)
		fault = control_open(m);
	if (fault == FAULT_OK)
		fault = find_programs(m);
	return fault;
}

static int
run(struct maild *m)
{
	m->base = event_base_new();
	m->directory_fd = -1;
	if (m->base == NULL || !watch_signals(m))
		log_fatal("cannot start the event loop");
	if (open_everything(m) != FAULT_OK) {
		m->exit_status = EXIT_FAILURE;
	} else {
		children_init(m);
		if (stages_start(m) != FAULT_OK)
			stages_stop(m, EXIT_FAILURE);
		event_base_dispatch(m->base);
	}
	control_close(m);
	children_free(m);
	listeners_close(m);
	if (m->directory_fd >= 0)
		close(m->directory_fd);
	event_base_free(m->base);
	return m->exit_status;
}

/* Standard descriptors must be there: another one in their place would get log lines. */
static void
open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static _Noreturn void
usage(int status)
{
	fprintf(status == 0 ? stdout : stderr,
		"usage: maild [-nF] [-f file]\n"
		"  -f file  the config (" DEFAULT_CONFIG ")\n"
		"  -n       check the config, print what it comes to, and end\n"
		"  -F       stay in the foreground (always so)\n");
	exit(status);
}

int
main(int argc, char **argv)
{
	static struct maild m;
	bool check_only = false;
	enum log_level level;
	int status = EXIT_SUCCESS;

	open_standard_descriptors();
	log_open("maild", LOG_LEVEL_INFO);
	m.config_path = DEFAULT_CONFIG;
	for (int option; (option = getopt(argc, argv, "f:nFh")) != -1;) {
		if (option == 'f')
			m.config_path = optarg;
		else if (option == 'n')
			check_only = true;
		else if (option != 'F')
			usage(option == 'h' ? EXIT_SUCCESS : 2);
	}
	if (optind != argc)
		usage(2);
	if (config_load(&m.config, m.config_path) != FAULT_OK)
		log_fatal("%s", m.config.error);
	if (check_only) {
		config_print(&m.config, stdout);
	} else {
		if (log_level_parse(m.config.settings.log_level, &level))
			log_set_level(level);
		status = run(&m);
	}
	config_clear(&m.config);
	return status;
}
