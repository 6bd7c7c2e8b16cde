/* SPDX-License-Identifier: ISC */
/* The directory and the config of a throw-away suite. */
#include "mailctl/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ipc/process.h"
#include "mailctl/certificate.h"

enum { CERTIFICATE_DAYS = 30, OPEN_DIRECTORIES = 16 };

const char *
suite_path(const struct suite *suite, const char *name, char path[static SUITE_PATH_MAX])
{
	snprintf(path, SUITE_PATH_MAX, "%s/%s", suite->directory, name);
	return path;
}

static enum fault
fail(const char *path)
{
	complain("%s: %s", path, strerror(errno));
	return FAULT_IO;
}

enum fault
suite_open_directory(struct suite *suite, const char *name)
{
	const char *base = getenv("TMPDIR");
	char made[PATH_MAX];

	if (name == NULL) {
		snprintf(made, sizeof made, "%s/pabal-XXXXXX", base != NULL ? base : "/tmp");
		name = mkdtemp(made);
		if (name == NULL)
			return fail(made);
		suite->is_temporary = true;
		/* Each daemon has its own user and must get in. */
		if (chmod(name, 0755) != 0)
			return fail(name);
	} else if (mkdir(name, 0755) != 0 && errno != EEXIST) {
		return fail(name);
	}
	return realpath(name, suite->directory) != NULL ? FAULT_OK : fail(name);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void
suite_remove_directory(struct suite *suite)
{
	if (suite->is_temporary && suite->directory[0] != '\0')
		nftw(suite->directory, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS);
}

enum fault
suite_write_certificates(const struct suite *suite)
{
	const char *addresses[] = {suite->address, "::1", NULL};
	char chain[SUITE_PATH_MAX], key[SUITE_PATH_MAX], ca[SUITE_PATH_MAX];
	struct certificate_plan plan = {
		.hostname = suite->hostname,
		.addresses = addresses,
		.days = CERTIFICATE_DAYS,
		.chain_path = suite_path(suite, "host.crt", chain),
		.key_path = suite_path(suite, "host.key", key),
		.ca_path = suite_path(suite, "ca.crt", ca),
	};

	if (access(plan.chain_path, F_OK) == 0)
		return FAULT_OK;
	if (certificate_make(&plan) != FAULT_OK)
		return FAULT_IO;
	/* authd must be able to read the key again when it changes. */
	if (geteuid() == 0 &&
		(chown(key, 0, SUITE_USER_ID_BASE + PROCESS_AUTHD) != 0 || chmod(key, 0640) != 0))
		return fail(key);
	return FAULT_OK;
}

/* A socket bound to address:port (0: any), or -1. */
static int
bind_port(const char *address, uint16_t port)
{
	bool is_ipv6 = strchr(address, ':') != NULL;
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	bool bound;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (is_ipv6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
		bound = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1 &&
			bind(fd, (const struct sockaddr *)&in6, sizeof in6) == 0;
	} else {
		bound = inet_pton(AF_INET, address, &in4.sin_addr) == 1 &&
			bind(fd, (const struct sockaddr *)&in4, sizeof in4) == 0;
	}
	/* Listening makes the port ours even beside another socket with SO_REUSEADDR. */
	if (bound && listen(fd, 1) == 0)
		return fd;
	close(fd);
	return -1;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage at = {0};
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	socklen_t len = sizeof at;

	if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		return 0;
	memcpy(&in4, &at, sizeof in4);
	memcpy(&in6, &at, sizeof in6);
	return ntohs(at.ss_family == AF_INET6 ? in6.sin6_port : in4.sin_port);
}

/* The port that was asked for, or that this service had in an earlier run, or 0. */
static uint16_t
wanted_port(const struct suite *suite, uint32_t service)
{
	if (service == IPC_SERVICE_SMTP && suite->smtp_port != 0)
		return (uint16_t)suite->smtp_port;
	const json_t *at = json_object_get(suite->settings, service_row(service)->name);

	return (uint16_t)json_integer_value(json_object_get(at, "port"));
}

enum { PORT_TRIES = 50 };

/* Holds the port by two sockets until all are chosen. */
static bool
choose_port(struct suite *suite, uint32_t service, int held[static 2])
{
	uint16_t wanted = wanted_port(suite, service);

	for (int try = 0; try < PORT_TRIES; try++) {
		held[0] = bind_port(suite->address, wanted);
		wanted = 0;
		if (held[0] < 0)
			continue;
		suite->ports[service] = port_of(held[0]);
		if (!suite->has_ipv6)
			return true;
		held[1] = bind_port("::1", suite->ports[service]);
		if (held[1] >= 0)
			return true;
		close(held[0]);
		held[0] = -1;
	}
	return false;
}

enum fault
suite_choose_ports(struct suite *suite)
{
	int held[IPC_SERVICE_COUNT][2];
	enum fault fault = FAULT_OK;
	int probe = bind_port("::1", 0);

	/* "localhost" may mean ::1 too. */
	suite->has_ipv6 = probe >= 0 && strcmp(suite->address, "127.0.0.1") == 0;
	if (probe >= 0)
		close(probe);
	memset(held, -1, sizeof held);
	for (uint32_t i = 0; i < IPC_SERVICE_COUNT && fault == FAULT_OK; i++) {
		if (!choose_port(suite, i, held[i])) {
			complain("no free port on %s", suite->address);
			fault = FAULT_BUSY;
		}
	}
	for (uint32_t i = 0; i < IPC_SERVICE_COUNT; i++) {
		for (int n = 0; n < 2; n++) {
			if (held[i][n] >= 0)
				close(held[i][n]);
		}
	}
	return fault;
}

static void
write_listens(const struct suite *suite, FILE *out)
{
	bool is_ipv6 = strchr(suite->address, ':') != NULL;

	for (uint32_t i = 0; i < IPC_SERVICE_COUNT; i++) {
		fprintf(out, "listen %s { address = {\"%s%s%s:%u\"", service_row(i)->name,
			is_ipv6 ? "[" : "", suite->address, is_ipv6 ? "]" : "", suite->ports[i]);
		if (suite->has_ipv6)
			fprintf(out, ", \"[::1]:%u\"", suite->ports[i]);
		fputs("} }\n", out);
	}
}

/* Everything after it wins over what stands here: a test may change any setting. */
static void
append_extra(const char *path, FILE *out)
{
	FILE *in = path != NULL ? fopen(path, "re") : NULL;
	char part[4096];
	size_t n;

	if (in == NULL)
		return;
	while ((n = fread(part, 1, sizeof part, in)) > 0)
		fwrite(part, 1, n, out);
	fclose(in);
}

enum fault
suite_write_config(const struct suite *suite)
{
	const char *d = suite->directory;
	char path[SUITE_PATH_MAX];
	FILE *out;

	if (suite->extra != NULL && access(suite->extra, R_OK) != 0)
		return fail(suite->extra);
	out = fopen(suite_path(suite, "pabal.conf", path), "we");
	if (out == NULL)
		return fail(path);
	fprintf(out,
		"# A throw-away suite: weak password hashes.\n"
		"hostname = \"%s\"\n"
		"data-directory = \"%s/data\"\n"
		"control-socket = \"%s/control\"\n"
		"password-memory = 8192\npassword-passes = 1\n"
		"retry-first = 1s\nretry-last = 10s\n"
		"certificate { chain = \"%s/host.crt\" key = \"%s/host.key\" }\n",
		suite->hostname, d, d, d, d);
	if (geteuid() == 0)
		fprintf(out, "user-id-base = %d\n", SUITE_USER_ID_BASE);
	write_listens(suite, out);
	append_extra(suite->extra, out);
	return fclose(out) == 0 ? FAULT_OK : fail(path);
}

void
suite_clear(struct suite *suite)
{
	json_decref(suite->settings);
	suite->settings = NULL;
}
