/* SPDX-License-Identifier: ISC */
/* DNS answers from anybody.  fuzz-links: relayd */
#include <stdint.h>
#include <stdlib.h>

#include "relayd/dns_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_host(void *arg, const struct dns_mx *mx)
{
	(void)arg;
	if (strlen(mx->host) >= DNS_NAME_SIZE)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_MX, DNS_TYPE_AAAA};
	struct dns_records records = {check_host, NULL, NULL};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		/* Malformed is a fine answer here. */
		if (dns_packet_parse(slice_make(data, size), types[i], &records) != FAULT_OK)
			continue;
	}
	return 0;
}
