/* SPDX-License-Identifier: ISC */
/* Faults as status codes, in queued. */
#include "queued/status.h"

#include "common/base/cursor.h"

struct slice
status_of_fault(enum fault fault)
{
	switch (fault) {
	case FAULT_OK:
		return SLICE("2.0.0");
	case FAULT_NO_SUCH_USER:
	case FAULT_NOT_FOUND:
	case FAULT_NOT_LOCAL:
		return SLICE("5.1.1");
	case FAULT_ACCOUNT_DISABLED:
		return SLICE("5.2.1");
	case FAULT_OVER_QUOTA:
		return SLICE("4.2.2");
	case FAULT_NO_SPACE:
		return SLICE("4.3.1");
	case FAULT_TOO_BIG:
		return SLICE("5.3.4");
	case FAULT_MAIL_LOOP:
		return SLICE("5.4.6");
	case FAULT_EXPIRED:
		return SLICE("4.4.7");
	case FAULT_DNS:
		return SLICE("4.4.3");
	case FAULT_TIMEOUT:
		return SLICE("4.4.1");
	case FAULT_TLS:
		return SLICE("4.7.5");
	case FAULT_DENIED:
		return SLICE("5.7.1");
	default:
		return fault_is_temporary(fault) ? SLICE("4.3.0") : SLICE("5.3.0");
	}
}

bool
status_is_valid(struct slice status)
{
	struct cursor c = cursor_of(status);
	uint64_t class, subject, detail;

	return take_u64(&c, 5, &class) && class != 0 && class != 1 && class != 3 &&
		take_byte(&c, '.') && take_u64(&c, 999, &subject) && take_byte(&c, '.') &&
		take_u64(&c, 999, &detail) && cursor_at_end(&c);
}
