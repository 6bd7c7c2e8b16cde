/* SPDX-License-Identifier: ISC */
/* The fault table's look-ups.  Linked by every process. */
#include "common/base/fault.h"

#include <errno.h>
#include <stddef.h>

static const struct {
	const char *name;
	const char *text;
	bool temporary;
} faults[] = {
#define FAULT_ROW(name, temporary, text) {#name, text, temporary},
	FAULTS(FAULT_ROW)
#undef FAULT_ROW
};

bool
fault_is_known(unsigned value)
{
	return value < FAULT_COUNT;
}

bool
fault_is_temporary(enum fault fault)
{
	return fault_is_known(fault) && faults[fault].temporary;
}

enum fault
fault_of_host(enum fault fault)
{
	return fault == FAULT_OK || fault_is_temporary(fault) ? fault : FAULT_IO;
}

const char *
fault_text(enum fault fault)
{
	return fault_is_known(fault) ? faults[fault].text : "unknown fault";
}

const char *
fault_name(enum fault fault)
{
	return fault_is_known(fault) ? faults[fault].name : "UNKNOWN";
}

enum fault
fault_from_errno(int error)
{
	switch (error) {
	case 0:
		return FAULT_OK;
	case ENOMEM:
		return FAULT_NOMEM;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return FAULT_NO_SPACE;
	case ENOENT:
		return FAULT_NOT_FOUND;
	case EEXIST:
		return FAULT_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return FAULT_DENIED;
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case EBUSY:
		return FAULT_BUSY;
	case ETIMEDOUT:
		return FAULT_TIMEOUT;
	case EPIPE:
	case ECONNRESET:
		return FAULT_PEER_LOST;
	default:
		return FAULT_IO;
	}
}
