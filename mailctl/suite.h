/* SPDX-License-Identifier: ISC */
/*
 * A throw-away suite of `mailctl try`: a directory with its own config, certificates and data, on
 * loopback ports that were free.  DIR/settings.json describes it to tests and to `try --stop`.
 *
 *	DIR/pabal.conf  DIR/ca.crt host.crt host.key  DIR/control  DIR/data/  DIR/log
 */
#ifndef MAILCTL_SUITE_H
#define MAILCTL_SUITE_H

#include <limits.h>

#include "common/ipc/services.h"
#include "mailctl/mailctl.h"

enum { SUITE_USER_ID_BASE = 61000, SUITE_PATH_MAX = PATH_MAX + 32 };

struct suite {
	/* wishes */
	const char *domain, *hostname, *address;
	const char *extra; /* a file to append to the config, or NULL */
	unsigned accounts; /* user1 to userN, beside alice and bob */
	unsigned smtp_port; /* 0: any that is free */
	/* what there is */
	char directory[PATH_MAX]; /* absolute */
	bool is_temporary; /* made by us: removed at the end */
	json_t *settings; /* of settings.json; from an earlier run until it is written anew */
	uint16_t ports[IPC_SERVICE_COUNT];
	bool has_ipv6; /* the ports are free at ::1 too */
};

/* DIR/name; returns path. */
const char *suite_path(const struct suite *, const char *name, char path[static SUITE_PATH_MAX]);
/* Makes or enters the directory; name NULL: a new one. */
MUST_USE enum fault suite_open_directory(struct suite *, const char *name);
/* Removes a temporary directory and all in it. */
void suite_remove_directory(struct suite *);
/* Reads settings.json, if it is there. */
void suite_load(struct suite *);
MUST_USE enum fault suite_write_certificates(const struct suite *);
MUST_USE enum fault suite_choose_ports(struct suite *);
MUST_USE enum fault suite_write_config(const struct suite *);
/* Adds the domain and the accounts that are not there, through the running suite. */
MUST_USE enum fault suite_add_accounts(struct suite *);
/* Fills in the rest and writes settings.json, whole or not at all. */
MUST_USE enum fault suite_save(struct suite *);
void suite_print(const struct suite *);
void suite_clear(struct suite *);

#endif
