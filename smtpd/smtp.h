/* SPDX-License-Identifier: ISC */
/*
 * The pure core of one SMTP session: bytes and events in, reply bytes and effects out.  It does no
 * I/O; clock, entropy and the sink of message bytes are passed in.  The shell (session.c) performs
 * the effects, tests and the fuzzer play the shell.
 *
 * While an effect is unanswered smtp_input uses no bytes.
 */
#ifndef SMTPD_SMTP_H
#define SMTPD_SMTP_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/ipc/payloads.h"
#include "common/mail/sasl.h"
#include "common/net/address.h"
#include "common/net/line.h"
#include "smtpd/message.h"
#include "smtpd/replies.h"

enum {
	SMTP_LINE_MAX = SASL_LINE_MAX + 2, /* RFC 5321 4.5.3.1.4 wants 512, RFC 4954 4 this */
	SMTP_ARENA_MAX = 2 * 1024 * 1024, /* of one message's envelope */
	SMTP_RECIPIENTS_BYTES = 192 * 1024, /* of them in a frame to queued, IPC_PAYLOAD_MAX */
	SMTP_OUT_HIGH = 16 * 1024, /* smtp_input stops with so many reply bytes */
	SMTP_ERRORS_MAX = 20, /* wrong commands before 421 */
	SMTP_UNKNOWN_MAX = 100, /* recipients refused for good before 421 */
	SMTP_PROGRESS_BYTES = 16 * 1024 /* message bytes that count as progress */
};

/* What is awaited.  The first ones take commands. */
enum smtp_state {
	SMTP_AWAIT_HELLO,
	SMTP_AWAIT_MAIL,
	SMTP_AWAIT_RCPT,
	SMTP_AWAIT_DATA, /* a recipient is there: more of them, DATA or BDAT */
	SMTP_AWAIT_CHUNK, /* BDAT has begun */
	SMTP_IN_DATA,
	SMTP_IN_CHUNK, /* the bytes of one BDAT */
	SMTP_AWAIT_SASL,
	/* answers of others; no input is used */
	SMTP_AWAIT_TLS,
	SMTP_AWAIT_LOGIN,
	SMTP_AWAIT_SENDER,
	SMTP_AWAIT_RECIPIENT,
	SMTP_AWAIT_FROM,
	SMTP_AWAIT_COMMIT,
	SMTP_CLOSED,
	SMTP_STATE_COUNT
};

enum smtp_effect {
	SMTP_NOTHING,
	SMTP_START_TLS, /* throw input away, handshake, then smtp_on_tls */
	SMTP_LOGIN, /* smtp.sasl and smtp.sasl_step; then smtp_on_login */
	SMTP_CHECK_SENDER, /* may smtp.account send as smtp.question?  smtp_on_sender */
	SMTP_CHECK_RECIPIENT, /* smtp.question; smtp_on_recipient */
	SMTP_SUBMIT, /* the sink's message with smtp.envelope; smtp_on_commit */
	SMTP_CLOSE /* after the output */
};

struct smtp_setup {
	const char *hostname; /* outlives the session, as do all pointers here */
	bool submission; /* 587, 465: login needed, headers repaired */
	bool tls; /* from the first byte */
	bool tls_offered;
	bool passwords; /* AUTH is allowed without TLS (loopback, by the settings) */
	struct peer_address peer;
	uint64_t message_size;
	uint32_t recipients;
	uint32_t login_failures; /* before 421 */
	const struct clock *clock;
	const struct entropy *entropy;
	const struct smtp_sink *sink;
	void *sink_arg;
};

struct smtp_envelope {
	uint64_t id;
	struct slice sender; /* empty: <> */
	enum ipc_body body;
	bool smtputf8;
	enum ipc_ret ret;
	struct slice envid;
	struct ipc_recipient *recipients; /* slices in the arena */
	uint32_t recipient_count;
	uint32_t recipient_room;
	size_t recipient_bytes; /* of them in a frame */
};

struct smtp {
	struct smtp_setup setup;
	enum smtp_state state;
	enum smtp_effect effect; /* to perform; the shell sets it to SMTP_NOTHING when it has */
	struct buffer out; /* to send; the shell consumes it */
	struct line_reader lines;
	char *hello; /* as the client said, or NULL */
	bool extended; /* EHLO */
	bool tls;
	char tls_text[64]; /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	bool shutting_down;
	bool crowded; /* set by the shell: no memory for more recipients or header lines */

	uint64_t account; /* logged in, or 0 */
	struct sasl *sasl; /* during AUTH */
	enum sasl_step sasl_step;

	struct arena arena; /* of the transaction */
	struct smtp_envelope envelope;
	struct ipc_recipient candidate; /* asked about */
	bool candidate_refused; /* a RCPT of this transaction was refused */
	struct slice question;
	struct message message;
	unsigned next_from; /* of message.froms, asked about */
	uint64_t chunk_size, chunk_left;
	bool chunk_last, chunk_refused;
	enum smtp_reply chunk_reply; /* what to say behind a refused chunk */

	unsigned errors, unknown_recipients, login_failures;
	uint64_t progress; /* grows with each command and each SMTP_PROGRESS_BYTES of a message */
	uint64_t body_bytes;
};

/* Greets. */
void smtp_init(struct smtp *, const struct smtp_setup *);
void smtp_clear(struct smtp *);
/* Bytes used; 0 when an effect is unanswered, more is needed, or out is full. */
size_t smtp_input(struct smtp *, struct slice bytes);

/* Bytes of envelope and header section that the session holds: the shell counts them. */
uint64_t smtp_held(const struct smtp *);

/* text: version and cipher; cut when long. */
void smtp_on_tls(struct smtp *, struct slice text);
struct smtp_login {
	enum fault fault;
	uint64_t account;
	struct sasl_scram_answer scram;
};
void smtp_on_login(struct smtp *, const struct smtp_login *);
void smtp_on_sender(struct smtp *, enum fault);
void smtp_on_recipient(struct smtp *, enum fault);
/* text: why not, for people; may be empty. */
void smtp_on_commit(struct smtp *, enum fault, struct slice text);
void smtp_on_timeout(struct smtp *);
/* Says good-bye now, or when what is in flight is done. */
void smtp_on_shutdown(struct smtp *);

#endif
