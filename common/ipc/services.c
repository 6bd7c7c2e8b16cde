/* SPDX-License-Identifier: ISC */
/* The table of services; linked by maild, mailctl and the processes that serve clients. */
#include "common/ipc/services.h"

static const struct service_row rows[IPC_SERVICE_COUNT] = {
#define SERVICE_ROW(e, name, process, port, tls)                                                   \
	[IPC_SERVICE_##e] = {name, PROCESS_##process, port, tls},
	IPC_SERVICES(SERVICE_ROW)
#undef SERVICE_ROW
};

const struct service_row *
service_row(uint32_t service)
{
	return service < IPC_SERVICE_COUNT ? &rows[service] : NULL;
}

bool
service_find_by_name(struct slice name, enum ipc_service *service)
{
	for (uint32_t i = 0; i < IPC_SERVICE_COUNT; i++) {
		if (slice_equal(name, slice_text(rows[i].name))) {
			*service = (enum ipc_service)i;
			return true;
		}
	}
	return false;
}
