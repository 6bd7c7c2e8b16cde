/* SPDX-License-Identifier: ISC */
/*
 * Passwords in the form in which they are compared and hashed (RFC 4013), so that the same
 * characters typed on two systems are the same password.
 */
#ifndef AUTHD_SASLPREP_H
#define AUTHD_SASLPREP_H

#include "common/base/fault.h"
#include "common/base/secret.h"

/*
 * Printable ASCII stays as it is.  FAULT_SYNTAX: not UTF-8, a prohibited character (controls among
 * them), a bad mix of writing directions, or nothing left.  FAULT_TOO_LONG: over SECRET_MAX.
 */
MUST_USE enum fault saslprep(struct slice password, struct secret *prepared);

#endif
