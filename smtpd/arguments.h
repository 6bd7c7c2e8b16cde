/* SPDX-License-Identifier: ISC */
/*
 * The arguments of SMTP commands as typed values: bytes in, a struct out, no side effects.  Slices
 * borrow from the command line.
 */
#ifndef SMTPD_ARGUMENTS_H
#define SMTPD_ARGUMENTS_H

#include "common/base/arena.h"
#include "common/base/cursor.h"
#include "common/ipc/payloads.h"
#include "common/mail/address.h"
#include "common/mail/sasl.h"
#include "smtpd/replies.h"

struct mail_arguments {
	struct address path; /* null: <> */
	uint64_t size; /* RFC 1870; 0: not declared */
	enum ipc_body body; /* RFC 6152 */
	bool smtputf8; /* RFC 6531 */
	enum ipc_ret ret; /* RFC 3461 4.3 */
	struct slice envid; /* RFC 3461 4.4, xtext decoded into the arena */
};

struct rcpt_arguments {
	struct address path;
	uint32_t notify; /* enum ipc_notify bits; 0: not given */
	struct slice orcpt; /* RFC 3461 4.2, "type;address", decoded into the arena */
};

struct smtp_arguments {
	struct arena *arena; /* of the command, for what must be decoded */
	struct slice text; /* HELO, EHLO, VRFY, HELP, NOOP */
	struct mail_arguments mail;
	struct rcpt_arguments rcpt;
	uint64_t chunk_size; /* BDAT */
	bool chunk_last;
	enum sasl_mechanism mechanism; /* AUTH */
	struct slice initial;
	bool has_initial;
};

/* REPLY_NONE, or what to say.  The cursor is behind the command's name. */
typedef enum smtp_reply smtp_parser(struct cursor *, struct smtp_arguments *);

smtp_parser parse_hello, parse_mail, parse_rcpt, parse_bdat, parse_auth, parse_nothing, parse_text;

/* RFC 3461 4 xtext, into the arena; false for a bad byte or "+" sequence. */
bool xtext_decode(struct slice, struct arena *, struct slice *text);

#endif
