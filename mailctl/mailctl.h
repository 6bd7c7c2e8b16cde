/* SPDX-License-Identifier: ISC */
/*
 * mailctl's private state: what the command line said.  It holds no rule of its own: names,
 * limits and permissions are checked by the process that is asked.
 */
#ifndef MAILCTL_MAILCTL_H
#define MAILCTL_MAILCTL_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/fault.h"

#define MAILCTL_CONTROL "/run/pabal/control"
#define MAILCTL_CONFIG "/etc/pabal/pabal.conf"
#define MAILCTL_DATA "/var/lib/pabal"

/* Exit statuses. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1, /* the command was understood and refused */
	STATUS_USAGE = 2,
	STATUS_NOT_RUNNING = 3 /* no maild, or the process that is needed is down */
};

struct mailctl {
	const char *control; /* path of the control socket */
	bool json; /* print what the process said, as it is */
};

/* One line on standard error: "mailctl: ...". */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* print.c: an answer for people: objects as lines, arrays of objects as tables. */
void print_json(const json_t *value);

/* password.c: one line from standard input; on a terminal asked twice without echo.  The caller
 * wipes and frees; NULL when there is none, after a complaint. */
char *password_read(const char *prompt);
/* The same for one that is not new: asked once. */
char *password_read_known(const char *prompt);
/* A new random one, 16 characters, easy to type.  Free it. */
char *password_make(void);

/* init.c and try.c: arguments behind the command's name. */
enum status init_run(struct mailctl *, int argc, char **argv);
enum status try_run(struct mailctl *, int argc, char **argv);
extern const char init_usage[], try_usage[];

#endif
