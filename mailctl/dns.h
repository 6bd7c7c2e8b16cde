/* SPDX-License-Identifier: ISC */
/* The DNS records that a mail domain should have. */
#ifndef MAILCTL_DNS_H
#define MAILCTL_DNS_H

#include <jansson.h>

/* An array of {"name", "type", "value"}; NULL when memory is out. */
json_t *dns_records(const char *domain, const char *hostname);
/* The same as lines of a zone file. */
void dns_print(const json_t *records);

#endif
