/* SPDX-License-Identifier: ISC */
/* Starts maild in the background and waits until the whole suite runs. */
#ifndef MAILCTL_LAUNCH_H
#define MAILCTL_LAUNCH_H

#include <sys/types.h>

#include "mailctl/mailctl.h"

struct launch {
	const char *config_path;
	const char *control; /* the socket that the config names */
	const char *log_path; /* gets maild's standard error */
	bool end_with_us; /* SIGTERM to maild when mailctl dies */
};

/* The process id, or -1 after a complaint. */
pid_t launch_maild(const struct launch *);
/* FAULT_PEER_LOST: maild has ended; FAULT_TIMEOUT. */
MUST_USE enum fault launch_wait_ready(const struct launch *, pid_t, int64_t timeout_ms);
/* Copies the log to standard error, for a start that failed. */
void launch_show_log(const char *log_path);
/* Runs a program and waits; its exit status, or -1. */
int launch_run(char *const arguments[]);
/* Sleeps; for loops with a deadline. */
void launch_pause(int64_t ms);

#endif
