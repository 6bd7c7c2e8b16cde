/* SPDX-License-Identifier: ISC */
/*
 * pabal.conf(5) as maild reads it: the settings of common/ipc/settings.h, and the sections
 * `listen`, `certificate` and `route`.  It is checked whole before anything is used.
 */
#ifndef MAILD_CONFIG_H
#define MAILD_CONFIG_H

#include <stdio.h>

#include "common/base/fault.h"
#include "common/ipc/services.h"
#include "common/ipc/settings.h"
#include "common/net/address.h"

enum {
	CONFIG_LISTENS_MAX = 64,
	CONFIG_CERTIFICATES_MAX = 256,
	CONFIG_ROUTES_MAX = 1000,
	CONFIG_ERROR_MAX = 512, /* bytes of the error line */
	CONFIG_ADDRESS_TEXT_MAX = PEER_TEXT_SIZE + 8 /* "[::1]:65535" */
};

struct config_listen {
	enum ipc_service service;
	struct peer_address address;
};

struct config_certificate {
	char *chain, *key; /* paths */
};

struct config_route {
	char *domain; /* lower case, or "*" */
	char *host;
	uint16_t port;
	enum route_tls tls;
	char *user, *password_file; /* NULL without AUTH */
	char *password; /* read from the file */
};

struct config {
	struct settings settings;
	struct config_listen *listens;
	size_t listen_count;
	bool listens_by_default; /* the file names none */
	struct config_certificate *certificates;
	size_t certificate_count;
	struct config_route *routes;
	size_t route_count;
	char error[CONFIG_ERROR_MAX]; /* one line "path:line: what" after a fault */
};

/* Reads and checks; FAULT_CONFIG with the error line set, and then nothing to use. */
MUST_USE enum fault config_load(struct config *, const char *path);
/* The effective config, in the file's own form; passwords stay in their files. */
void config_print(const struct config *, FILE *);
/* Accepts a zeroed struct, twice. */
void config_clear(struct config *);
/* "127.0.0.1:25", "[::1]:25"; returns text. */
const char *config_address_format(
	const struct peer_address *, char text[static CONFIG_ADDRESS_TEXT_MAX]);
/* The same text read back. */
bool config_address_parse(struct slice text, struct peer_address *);
/* "host:port", "[2001:db8::1]:25"; the parts borrow from text. */
bool config_host_port_parse(struct slice text, struct slice *host, uint16_t *port);
/* What a value of this kind looks like: "a time like 90s". */
const char *config_kind_hint(enum setting_kind);
/* "may", "must", "at-once". */
const char *config_route_tls_name(enum route_tls);

#endif
