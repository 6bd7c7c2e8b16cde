/* SPDX-License-Identifier: ISC */
/*
 * The server's side of a SASL exchange (RFC 4422) as a pure core: lines of the client in, base64
 * challenges and effects out.  PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 5802, RFC 7677;
 * without channel binding).  SMTP, IMAP and POP3 frame the lines; authd checks what comes out.
 *
 *	sasl_start ─► CHALLENGE ◄──────────────┐        sasl_clear at any time
 *	                 │ sasl_line           │ sasl_answer_scram
 *	                 ▼                     │
 *	     CHECK_PASSWORD or ASK_SCRAM ──────┴──► DONE, FAILED
 */
#ifndef MAIL_SASL_H
#define MAIL_SASL_H

#include "common/base/buffer.h"
#include "common/base/fault.h"
#include "common/base/secret.h"
#include "common/base/slice.h"

enum {
	SASL_LINE_MAX = 12288, /* RFC 4954 4: the longest base64 line to take */
	SASL_MESSAGE_MAX = 2048, /* the longest decoded message that we use */
	SASL_NAME_MAX = 320 /* user name, bytes */
};

/* M(enumerator, name on the wire, the password crosses the wire) */
#define SASL_MECHANISMS(M)                                                                         \
	M(PLAIN, "PLAIN", true)                                                                    \
	M(LOGIN, "LOGIN", true)                                                                    \
	M(SCRAM_SHA_256, "SCRAM-SHA-256", false)

#define SASL_ENUM(name, wire, clear) SASL_##name,
enum sasl_mechanism { SASL_MECHANISMS(SASL_ENUM) SASL_MECHANISM_COUNT };
#undef SASL_ENUM

/* Case is ignored; false for an unknown name. */
bool sasl_mechanism_find(struct slice name, enum sasl_mechanism *);
const char *sasl_mechanism_name(enum sasl_mechanism);
/* True when it sends the password itself: not without TLS. */
bool sasl_mechanism_is_clear(enum sasl_mechanism);

/* What to do next. */
enum sasl_step {
	SASL_CHALLENGE, /* send sasl_challenge() (base64, may be empty), then sasl_line() */
	SASL_CHECK_PASSWORD, /* ask authd about user and password; the outcome is the end
			      */
	SASL_ASK_SCRAM, /* pass user and sasl_message() to authd, then sasl_answer_scram() */
	SASL_DONE, /* authenticated (SCRAM only; after CHECK_PASSWORD the caller knows) */
	SASL_CANCELLED, /* the client sent "*" */
	SASL_MALFORMED, /* bad base64 or bad message: SMTP 501, IMAP BAD, POP3 -ERR */
	SASL_FAILED /* authentication failed: SMTP 535, IMAP NO, POP3 -ERR */
};

struct sasl {
	enum sasl_mechanism mechanism;
	unsigned state; /* private: what is awaited */
	char user[SASL_NAME_MAX]; /* authentication identity, UTF-8 */
	size_t user_len;
	char authzid[SASL_NAME_MAX]; /* empty or the same as user: nobody acts for another */
	size_t authzid_len;
	struct secret password; /* PLAIN and LOGIN */
	struct buffer challenge; /* base64 */
	struct buffer message; /* SCRAM: the client's message, decoded, as it came */
	char gs2[SASL_NAME_MAX + 16]; /* SCRAM: what c= must repeat */
	size_t gs2_len;
	bool verified; /* SCRAM: authd accepted the proof */
};

/* initial: the initial response as sent (base64, or "=" for an empty one); NULL without one. */
enum sasl_step sasl_start(struct sasl *, enum sasl_mechanism, const struct slice *initial);
/* A line of the client without CRLF, after SASL_CHALLENGE. */
enum sasl_step sasl_line(struct sasl *, struct slice line);

/* What authd says to a SCRAM message. */
struct sasl_scram_answer {
	enum fault fault; /* anything but FAULT_OK is SASL_FAILED */
	struct slice message; /* server-first-message or server-final-message, not base64 */
	bool is_final; /* the proof was right */
};
enum sasl_step sasl_answer_scram(struct sasl *, const struct sasl_scram_answer *);

/* With SASL_ASK_SCRAM: the message is the client-final-message. */
bool sasl_is_final(const struct sasl *);

static inline struct slice
sasl_user(const struct sasl *s)
{
	return slice_make(s->user, s->user_len);
}

static inline struct slice
sasl_authzid(const struct sasl *s)
{
	return slice_make(s->authzid, s->authzid_len);
}

static inline struct slice
sasl_challenge(const struct sasl *s)
{
	return buffer_slice(&s->challenge);
}

/* The client-first-message or client-final-message. */
static inline struct slice
sasl_message(const struct sasl *s)
{
	return buffer_slice(&s->message);
}

/* Wipes and frees; accepts a zeroed struct, twice. */
void sasl_clear(struct sasl *);

#endif
