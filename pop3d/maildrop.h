/* SPDX-License-Identifier: ISC */
/*
 * A maildrop (RFC 1939 5): INBOX as it was at login.  Messages that come later are not in it; one
 * that goes meanwhile fails when it is asked for.  Deletions are marks here until QUIT.
 */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/fault.h"

struct maildrop_message {
	uint32_t uid;
	bool deleted;
	uint64_t size; /* octets with CRLF, as RETR sends them, without dot-stuffing */
};

struct maildrop {
	uint32_t uidvalidity;
	struct maildrop_message *messages; /* number n is messages[n - 1] */
	uint32_t count;
	uint32_t allocated;
	uint32_t deleted; /* how many are marked */
	uint64_t octets; /* of those that are not */
};

/* Appends, in ascending order of UIDs. */
MUST_USE enum fault maildrop_add(struct maildrop *, uint32_t uid, uint64_t size);
/* By message number; NULL when there is none or it is marked as deleted. */
struct maildrop_message *maildrop_find(struct maildrop *, uint32_t number);
void maildrop_delete(struct maildrop *, struct maildrop_message *);
/* Takes all marks back (RSET). */
void maildrop_reset(struct maildrop *);
/* Adds the marked UIDs as ranges on the wire (payloads.h). */
void maildrop_format_deleted(const struct maildrop *, struct buffer *ranges);
/* Accepts a zeroed one, twice. */
void maildrop_clear(struct maildrop *);

#endif
