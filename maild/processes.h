/* SPDX-License-Identifier: ISC */
/*
 * The one table of the processes that maild runs, and the one of the links between them.  The
 * order of the rows is the order of starting; stop_stage the order of ending: those who take work
 * in end first, those that others need end last.
 */
#ifndef MAILD_PROCESSES_H
#define MAILD_PROCESSES_H

#include <stddef.h>
#include <sys/types.h>

#include "common/ipc/process.h"

enum { STOP_STAGES = 5 };

struct process_row {
	enum process process; /* its name is the program's name too */
	const char *user; /* without user-id-base */
	bool is_worker; /* runs as `workers` instances */
	bool reads_store; /* gets the group of the store's owner */
	unsigned stop_stage; /* 0 is asked to end first */
	const char *directory; /* its own, within data-directory; NULL: none */
	mode_t directory_mode;
};

struct process_link {
	enum process left, right;
};

extern const struct process_row process_rows[];
extern const size_t process_row_count;
/* Every instance of left is wired to every instance of right. */
extern const struct process_link process_links[];
extern const size_t process_link_count;

bool process_is_linked(enum process, enum process);

#endif
