/* SPDX-License-Identifier: ISC */
/*
 * The client's side of an SMTP session as a pure core: reply lines and events in, command bytes
 * and wants out; no I/O, no clock.
 *
 *	greeting ─► EHLO (HELO) ─► [STARTTLS ─► TLS ─► EHLO] ─► [AUTH] ─► READY ◄───────────┐
 *	                                                                   │ smtp_client_send │
 *	                                                                   ▼                  │
 *	                                     MAIL, RCPT..., DATA ─► body ─► reply ────────────┘
 *
 * States are named by what is awaited.  RFC 5321, 1870 (SIZE), 2920 (PIPELINING), 3207, 3461 (DSN),
 * 4954 (AUTH), 6152 (8BITMIME), 6531 (SMTPUTF8).
 */
#ifndef RELAYD_SMTP_CLIENT_H
#define RELAYD_SMTP_CLIENT_H

#include "common/base/buffer.h"
#include "common/ipc/payloads.h"
#include "common/ipc/settings.h"
#include "relayd/smtp_reply.h"

enum { SMTP_CLIENT_OUT_MAX = 4 * 1024 * 1024 };

enum smtp_client_state {
	SMTP_AWAIT_GREETING,
	SMTP_AWAIT_EHLO,
	SMTP_AWAIT_HELO,
	SMTP_AWAIT_STARTTLS,
	SMTP_AWAIT_TLS, /* the shell's handshake */
	SMTP_AWAIT_AUTH, /* the reply to AUTH PLAIN, or the last one of AUTH LOGIN */
	SMTP_AWAIT_AUTH_USER,
	SMTP_AWAIT_AUTH_PASSWORD,
	SMTP_READY,
	SMTP_AWAIT_MAIL,
	SMTP_AWAIT_RCPT,
	SMTP_AWAIT_DATA,
	SMTP_AWAIT_BODY, /* the shell is sending it */
	SMTP_AWAIT_DOT,
	SMTP_AWAIT_RSET,
	SMTP_AWAIT_QUIT,
	SMTP_DEAD,
};

/* What the shell is to do next. */
enum smtp_client_want {
	SMTP_WANT_REPLY, /* read lines */
	SMTP_WANT_TLS, /* start TLS, then smtp_client_tls_started() */
	SMTP_WANT_BODY, /* send the message, dot-stuffed, then smtp_client_body_sent() */
	SMTP_WANT_MESSAGE, /* READY: the last one, if any, is done; give it another or quit */
	SMTP_WANT_CLOSE, /* close the connection; the session's fault is in the client */
};

enum smtp_extension {
	SMTP_HAS_PIPELINING = 1,
	SMTP_HAS_8BITMIME = 2,
	SMTP_HAS_SIZE = 4,
	SMTP_HAS_STARTTLS = 8,
	SMTP_HAS_DSN = 16,
	SMTP_HAS_SMTPUTF8 = 32,
	SMTP_HAS_AUTH_PLAIN = 64,
	SMTP_HAS_AUTH_LOGIN = 128,
};

/* Why something was not taken.  Texts are kept inside. */
struct smtp_result {
	enum fault fault;
	uint32_t code;
	char status[SMTP_STATUS_SIZE];
	char text[SMTP_REPLY_TEXT_MAX + 1];
};

/* One recipient of a message; address in its wire form, orcpt as "type;address". */
struct smtp_recipient {
	struct slice address;
	struct slice orcpt;
	uint32_t notify;
	bool accepted; /* RCPT was */
	bool settled; /* result is final */
	struct smtp_result result;
};

/* A message to send; all of it lives until it is done. */
struct smtp_message {
	struct slice sender;
	uint64_t size;
	uint32_t body; /* enum ipc_body */
	bool needs_utf8; /* an address or the header cannot do without SMTPUTF8 */
	uint32_t ret;
	struct slice envid;
	struct smtp_recipient *recipients;
	uint32_t recipient_count;
};

struct smtp_client_options {
	struct slice hostname; /* for EHLO */
	enum route_tls tls; /* AT_ONCE: TLS runs already when the greeting comes */
	bool no_tls; /* with MAY: do not try, it failed before */
	bool allow_plain_auth; /* the peer is on this machine */
	struct slice user, password; /* empty user: no AUTH */
};

struct smtp_client {
	struct smtp_client_options options; /* slices outlive the client */
	enum smtp_client_state state;
	enum smtp_client_want want;
	struct buffer out; /* bytes to send; the shell consumes them */
	unsigned extensions; /* enum smtp_extension */
	uint64_t size_max; /* of SIZE, 0: not told */
	bool is_tls;
	struct smtp_reply reply;
	struct smtp_message *message;
	uint32_t rcpts_sent, rcpts_answered, rcpts_accepted;
	bool pipelined; /* DATA went out with the envelope */
	bool mail_refused;
	struct smtp_result fault; /* of the session: why it is DEAD */
	/* DEAD, and no byte of the current message's body was asked for: another connection can
	 * start it again (the host had closed this one while it was kept). */
	bool untouched;
	uint32_t messages; /* sent over this connection */
};

void smtp_client_init(struct smtp_client *, const struct smtp_client_options *);
void smtp_client_clear(struct smtp_client *);
/* A line without its end. */
void smtp_client_line(struct smtp_client *, struct slice line);
/* The handshake that SMTP_WANT_TLS asked for is done: the session begins anew (RFC 3207 4.2). */
void smtp_client_tls_started(struct smtp_client *);
/* At SMTP_READY only.  Results are in the recipients when SMTP_WANT_MESSAGE comes again, or when
 * the client is DEAD. */
void smtp_client_send(struct smtp_client *, struct smtp_message *);
/* Every byte of the body and the final dot are with the stream. */
void smtp_client_body_sent(struct smtp_client *);
/* At SMTP_READY: says good-bye; SMTP_WANT_CLOSE follows. */
void smtp_client_quit(struct smtp_client *);
/* The connection is gone or out of time: settles what is open with this temporary fault. */
void smtp_client_lost(struct smtp_client *, enum fault, const char *text);

/* Fills a result of our own making; status and text are cut to fit. */
void smtp_result_set(struct smtp_result *, enum fault, const char *status, const char *text);
/* xtext of RFC 3461 4. */
void smtp_add_xtext(struct buffer *, struct slice);

#endif
