/* SPDX-License-Identifier: ISC */
/* Certificates for a host that has none yet: EC P-256, signed by itself or by a throw-away CA. */
#ifndef MAILCTL_CERTIFICATE_H
#define MAILCTL_CERTIFICATE_H

#include "common/base/fault.h"

struct certificate_plan {
	const char *hostname;
	const char *const *addresses; /* IP addresses as text, NULL at the end; may be NULL */
	int days;
	const char *chain_path, *key_path; /* written; the key readable by its owner only */
	const char *ca_path; /* NULL: self-signed; else the CA's certificate is written there */
};

/* Complains and gives a fault when something fails. */
MUST_USE enum fault certificate_make(const struct certificate_plan *);

#endif
