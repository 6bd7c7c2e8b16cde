/* SPDX-License-Identifier: ISC */
/*
 * The core of a POP3 session (RFC 1939): lines in, replies and effects out, no I/O.
 *
 *	AWAIT_LOGIN ──USER──► AWAIT_PASS        AWAIT_LOGIN ──AUTH──► AWAIT_SASL
 *	     ▲                    │ PASS                                  │
 *	     └──── failed ──── AWAIT_AUTHD ◄──────────────────────────────┘
 *	                          │ good
 *	                      AWAIT_MAILDROP ──► AWAIT_COMMAND ──QUIT──► AWAIT_UPDATE ──► CLOSED
 *	                                          │        ▲
 *	                                          └─ SENDING (LIST, UIDL, RETR, TOP)
 */
#ifndef POP3D_POP3_H
#define POP3D_POP3_H

#include "common/base/buffer.h"
#include "common/mail/sasl.h"
#include "common/net/line.h"
#include "pop3d/dots.h"
#include "pop3d/maildrop.h"

enum {
	POP3_LINE_MAX = 1024, /* RFC 2449 4 asks for 255 */
	POP3_OUT_MAX = 4 * 1024 * 1024, /* bytes of replies between two calls of the shell */
	POP3_ERRORS_MAX = 20, /* unknown or malformed commands; then the session ends */
	POP3_LISTING_STEP = 512, /* rows of a long listing at a time */
};

enum pop3_state {
	POP3_AWAIT_LOGIN,
	POP3_AWAIT_PASS,
	POP3_AWAIT_SASL,
	POP3_AWAIT_COMMAND,
	/* Commands wait from here on. */
	POP3_AWAIT_AUTHD,
	POP3_AWAIT_MAILDROP,
	POP3_AWAIT_TLS,
	POP3_AWAIT_UPDATE,
	POP3_SENDING_LIST,
	POP3_SENDING_MESSAGE,
	POP3_CLOSED,
	POP3_STATE_COUNT
};

/* What the shell is to do; taken with pop3_take_effect. */
enum pop3_effect {
	POP3_NOTHING,
	POP3_START_TLS, /* after the output; then pop3_on_tls */
	POP3_CHECK_PASSWORD, /* user and password; then pop3_on_login */
	POP3_ASK_SASL, /* sasl and sasl_step; then pop3_on_login */
	POP3_OPEN_MAILDROP, /* of account; then pop3_on_maildrop */
	POP3_OPEN_MESSAGE, /* transfer.uid; then pop3_on_message */
	POP3_UPDATE, /* expunge drop's marked messages; then pop3_on_update */
	POP3_CLOSE /* after the output */
};

struct pop3_setup {
	const char *hostname;
	bool tls; /* from the first byte */
	bool tls_offered;
	bool passwords; /* are accepted without TLS */
	uint32_t login_failures; /* so many end the session */
};

enum pop3_listing { POP3_LIST, POP3_UIDL };

/* A response that is longer than one line. */
struct pop3_transfer {
	enum pop3_listing listing;
	uint32_t next; /* of a listing: message number to go on with */
	uint32_t uid; /* of a message */
	uint64_t size, offset; /* octets in all, and already given */
	struct dots dots;
};

struct pop3 {
	struct pop3_setup setup;
	enum pop3_state state;
	enum pop3_effect effect;
	struct buffer out; /* replies; the shell takes them after each call */
	struct line_reader lines;
	bool tls;
	bool utf8; /* RFC 6856 2.1 */
	bool closing; /* the server shuts down: no more commands */
	uint32_t failures, errors;
	char user[SASL_NAME_MAX];
	size_t user_len;
	struct secret *password; /* only while it is checked */
	struct sasl *sasl; /* only during AUTH */
	enum sasl_step sasl_step;
	uint64_t account; /* 0 before the login */
	struct maildrop drop;
	struct pop3_transfer transfer;
};

/* Greets. */
void pop3_init(struct pop3 *, const struct pop3_setup *);
void pop3_clear(struct pop3 *);
/* Uses lines until one has to wait; returns the bytes used, to be dropped. */
size_t pop3_input(struct pop3 *, struct slice input);
enum pop3_effect pop3_take_effect(struct pop3 *);
/* No input is taken now. */
bool pop3_is_waiting(const struct pop3 *);

void pop3_on_tls(struct pop3 *);

struct pop3_login {
	enum fault fault;
	uint64_t account; /* with OK and, for SCRAM, is_final */
	struct sasl_scram_answer scram;
};
void pop3_on_login(struct pop3 *, const struct pop3_login *);
/* The shell has filled drop, or fault; FAULT_BUSY: another session has it. */
void pop3_on_maildrop(struct pop3 *, enum fault);
/* The message can be read; nothing of it has been sent yet. */
void pop3_on_message(struct pop3 *, enum fault, uint64_t size);
/* In SENDING_MESSAGE: the bytes at transfer.offset, more than none, or why there are none. */
void pop3_on_content(struct pop3 *, enum fault, struct slice bytes);
/* In SENDING_LIST: the next rows. */
void pop3_list_more(struct pop3 *);
void pop3_on_update(struct pop3 *, enum fault);
/* The server shuts down: what is in flight ends, then the session closes. */
void pop3_on_shutdown(struct pop3 *);

#endif
