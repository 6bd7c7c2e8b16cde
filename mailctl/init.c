/* SPDX-License-Identifier: ISC */
/* `mailctl init`: everything that a new host needs, and the DNS records that it asks for. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/secret.h"
#include "mailctl/certificate.h"
#include "mailctl/client.h"
#include "mailctl/dns.h"
#include "mailctl/launch.h"

enum { READY_MS = 120000, CERTIFICATE_DAYS = 3650, USER_ID_BASE = 61000, NAME_SIZE = 320 };

const char init_usage[] =
	"usage: mailctl init [options] YOU@DOMAIN\n"
	"Writes the config, makes a certificate that signs itself, starts the suite, adds DOMAIN "
	"and\n"
	"the account YOU@DOMAIN with a random password, and prints the DNS records to publish.\n"
	"  --config FILE        instead of " MAILCTL_CONFIG "\n"
	"  --data DIR           instead of " MAILCTL_DATA "\n"
	"  --hostname H         instead of the system's\n"
	"  --config-extra FILE  appended to the config\n";

struct init {
	const char *address, *domain;
	const char *config, *data, *hostname, *control, *extra;
	char system_name[NAME_SIZE];
	char directory[PATH_MAX]; /* of the config */
	char chain[PATH_MAX + 16], key[PATH_MAX + 16], log[PATH_MAX + 16];
};

static bool
parse_arguments(struct init *init, int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"data", required_argument, NULL, 'd'},
		{"hostname", required_argument, NULL, 'h'},
		{"config-extra", required_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};
	const char **values[] = {&init->config, &init->data, &init->hostname, &init->extra};

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		bool known = false;

		for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
			if (options[i].val == option) {
				*values[i] = optarg;
				known = true;
			}
		}
		if (!known)
			return false;
	}
	init->address = argv[optind];
	if (argc - optind != 1)
		return false;
	init->domain = strrchr(init->address, '@');
	if (init->domain == NULL || init->domain == init->address || init->domain[1] == '\0')
		return false;
	init->domain++;
	return true;
}

/* A mail host is known by a full name (RFC 5321 2.3.5). */
static bool
find_hostname(struct init *init)
{
	if (init->hostname == NULL && gethostname(init->system_name, NAME_SIZE - 1) == 0)
		init->hostname = init->system_name;
	if (init->hostname != NULL && strchr(init->hostname, '.') != NULL)
		return true;
	complain("\"%s\" is no full host name: use --hostname mail.%s",
		init->hostname != NULL ? init->hostname : "", init->domain);
	return false;
}

static bool
make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return true;
	complain("%s: %s", path, strerror(errno));
	return false;
}

static bool
choose_paths(struct init *init)
{
	char *slash;

	snprintf(init->directory, sizeof init->directory, "%s", init->config);
	slash = strrchr(init->directory, '/');
	if (slash == NULL || slash == init->directory) {
		complain("%s: give a full path", init->config);
		return false;
	}
	*slash = '\0';
	snprintf(init->chain, sizeof init->chain, "%s/host.crt", init->directory);
	snprintf(init->key, sizeof init->key, "%s/host.key", init->directory);
	snprintf(init->log, sizeof init->log, "%s/maild.log", init->data);
	if (access(init->config, F_OK) == 0) {
		complain("%s is there already", init->config);
		return false;
	}
	return make_directory(init->directory, 0755) && make_directory(init->data, 0755);
}

/* The daemons' users; without them the processes get numbers of their own. */
static bool
has_users(void)
{
	char program[] = "systemd-sysusers";
	char *arguments[] = {program, NULL};

	if (geteuid() != 0 || getpwnam("_authd") != NULL)
		return true;
	return launch_run(arguments) == 0 && getpwnam("_authd") != NULL;
}

/* authd reads the key as its own user when the certificate is renewed. */
static bool
give_key_to_authd(const struct init *init, bool by_name)
{
	const struct passwd *authd = by_name ? getpwnam("_authd") : NULL;
	gid_t group = authd != NULL ? authd->pw_gid : USER_ID_BASE + PROCESS_AUTHD;

	if (geteuid() != 0)
		return true;
	if (chown(init->key, 0, group) == 0 && chmod(init->key, 0640) == 0)
		return true;
	complain("%s: %s", init->key, strerror(errno));
	return false;
}

static bool
copy_extra(const struct init *init, FILE *out)
{
	FILE *in = init->extra != NULL ? fopen(init->extra, "re") : NULL;
	char part[4096];
	size_t n;

	if (init->extra != NULL && in == NULL) {
		complain("%s: %s", init->extra, strerror(errno));
		return false;
	}
	while (in != NULL && (n = fread(part, 1, sizeof part, in)) > 0)
		fwrite(part, 1, n, out);
	if (in != NULL)
		fclose(in);
	return true;
}

static bool
write_config(const struct init *init, bool by_name)
{
	FILE *out = fopen(init->config, "wex");
	bool good;

	if (out == NULL) {
		complain("%s: %s", init->config, strerror(errno));
		return false;
	}
	fprintf(out,
		"# Pabal, see pabal.conf(5).  Everything not said here has a default.\n"
		"hostname = \"%s\"\n"
		"data-directory = \"%s\"\n"
		"control-socket = \"%s\"\n",
		init->hostname, init->data, init->control);
	if (!by_name)
		fprintf(out,
			"# The users _authd, _smtpd, ... are missing on this system.\n"
			"user-id-base = %d\n",
			USER_ID_BASE);
	fprintf(out, "certificate {\n\tchain = \"%s\"\n\tkey = \"%s\"\n}\n", init->chain,
		init->key);
	good = copy_extra(init, out);
	if (fclose(out) == 0 && good)
		return true;
	complain("%s could not be written", init->config);
	unlink(init->config);
	return false;
}

/* By systemd where it runs and the config is its own, else by ourselves. */
static bool
start_suite(const struct init *init)
{
	char program[] = "systemctl", verb[] = "enable", now[] = "--now", unit[] = "pabal.service";
	char *arguments[] = {program, verb, now, unit, NULL};
	struct launch launch = {init->config, init->control, init->log, false};
	enum fault fault;
	pid_t pid;

	if (access("/run/systemd/system", F_OK) == 0 && strcmp(init->config, MAILCTL_CONFIG) == 0 &&
		launch_run(arguments) == 0)
		return true;
	pid = launch_maild(&launch);
	fault = pid > 0 ? launch_wait_ready(&launch, pid, READY_MS) : FAULT_PEER_LOST;
	if (fault == FAULT_OK)
		return true;
	complain("maild could not start; its log says:");
	launch_show_log(init->log);
	return false;
}

static enum status
ask(const struct init *init, const char *const *words, size_t count)
{
	struct client_reply reply;
	enum status status;

	client_ask(init->control, PROCESS_AUTHD, words, count, &reply);
	status = client_reply_status(&reply, init->control);
	client_reply_clear(&reply);
	return status;
}

static enum status
add_account(const struct init *init, const char *password)
{
	const char *domain_words[] = {"domain", "add", init->domain};
	const char *account_words[] = {"account", "add", init->address, password};
	enum status status = ask(init, domain_words, 3);

	if (status == STATUS_OK)
		status = ask(init, account_words, 4);
	return status;
}

static void
print_outcome(const struct init *init, const char *password)
{
	json_t *records = dns_records(init->domain, init->hostname);

	printf("The suite runs.\n\n  account   %s\n  password  %s\n  config    %s\n\n",
		init->address, password, init->config);
	printf("Publish these DNS records:\n\n");
	dns_print(records);
	json_decref(records);
	printf("\nThe address's reverse record (PTR) should be %s.\n"
	       "The certificate signs itself: put one that clients trust at\n%s and %s.\n",
		init->hostname, init->chain, init->key);
}

static enum status
perform(struct init *init)
{
	struct certificate_plan plan = {
		.hostname = init->hostname,
		.days = CERTIFICATE_DAYS,
		.chain_path = init->chain,
		.key_path = init->key,
	};
	bool by_name;
	char *password;
	enum status status;

	if (access(init->chain, F_OK) != 0 && certificate_make(&plan) != FAULT_OK)
		return STATUS_FAILED;
	by_name = has_users();
	if (!give_key_to_authd(init, by_name) || !write_config(init, by_name) || !start_suite(init))
		return STATUS_FAILED;
	password = password_make();
	if (password == NULL)
		return STATUS_FAILED;
	status = add_account(init, password);
	if (status == STATUS_OK)
		print_outcome(init, password);
	secret_wipe(password, strlen(password));
	free(password);
	return status;
}

enum status
init_run(struct mailctl *mailctl, int argc, char **argv)
{
	struct init init = {
		.config = MAILCTL_CONFIG, .data = MAILCTL_DATA, .control = mailctl->control};

	if (!parse_arguments(&init, argc, argv)) {
		fputs(init_usage, stderr);
		return STATUS_USAGE;
	}
	if (!find_hostname(&init) || !choose_paths(&init))
		return STATUS_FAILED;
	return perform(&init);
}
