/* SPDX-License-Identifier: ISC */
/* Names of processes.  Linked by every process. */
#include "common/ipc/process.h"

#include <string.h>

static const char *const names[] = {
#define PROCESS_NAME(e, name) name,
	PROCESSES(PROCESS_NAME)
#undef PROCESS_NAME
};

const char *
process_name(enum process process)
{
	return (unsigned)process < PROCESS_COUNT ? names[process] : "unknown";
}

bool
process_find(const char *name, enum process *process)
{
	for (unsigned i = 0; i < PROCESS_COUNT; i++) {
		if (strcmp(name, names[i]) == 0) {
			*process = (enum process)i;
			return true;
		}
	}
	return false;
}
