/* SPDX-License-Identifier: ISC */
/*
 * What smtpd, imapd and pop3d do alike with the other processes: listening sockets from maild,
 * certificates and signatures from authd, logins by authd, the list of sessions for mailctl,
 * shutdown.  common/net/service.h is the same for the network side.
 *
 * struct front must be the first member of the daemon's state (struct daemon_spec).
 */
#ifndef IPC_FRONT_H
#define IPC_FRONT_H

#include "common/ipc/daemon.h"
#include "common/mail/sasl.h"
#include "common/net/service.h"
#include "common/net/tls.h"

enum { FRONT_LISTENERS_MAX = SERVICE_PORTS_MAX, FRONT_SHUTDOWN_MS = 20 * 1000 };

/* A listening socket that has come, not yet in the service. */
struct front_listener {
	int fd;
	uint32_t kind; /* enum ipc_service */
};

struct front {
	struct daemon *daemon;
	struct service *service; /* connection->port->kind is an enum ipc_service */
	/* private */
	struct tls_signer signer;
	struct tls_server *next_tls; /* being filled */
	uint32_t certificates_missing;
	struct front_listener listeners[FRONT_LISTENERS_MAX];
	unsigned listener_count;
	uint32_t listener_round;
	bool open;
};

/* Rows for the daemon's table of handlers. */
#define FRONT_HANDLERS                                                                             \
	{IPC_LISTENER, front_on_listener}, {IPC_CERTIFICATES, front_on_certificates},              \
	{                                                                                          \
		IPC_CERTIFICATE, front_on_certificate                                              \
	}
daemon_handler front_on_listener, front_on_certificates, front_on_certificate;

/* In the daemon's open(): makes the service and listens.  state becomes the arg of opened(). */
MUST_USE enum fault front_open(
	struct front *, struct daemon *, const struct session_calls *, int64_t idle_ms);
/* In reconfigure(): new limits and listening sockets; sessions live on. */
void front_reconfigure(struct front *, int64_t idle_ms);
/* In shutdown(): tells the sessions, and calls daemon_stop when they are gone. */
void front_shutdown(struct front *);
/* In close(). */
void front_close(struct front *);
/* Answers "session list" and "session end ID"; false: not one of these, not answered. */
bool front_control(struct front *, const struct daemon_control *);
/* The fields that "status" of all three shares, as JSON members: "sessions":1,"accepted":2,... */
void front_status(const struct front *, struct buffer *json);

/* Passwords may be sent: there is TLS, or it is loopback and the settings say so. */
bool front_allows_password(const struct front *, const struct connection *);

/* The answer of authd to one question. */
struct front_answer {
	enum fault fault; /* OK, AUTH_FAILED, AUTH_SLOWED, ACCOUNT_DISABLED, PEER_LOST... */
	uint64_t account; /* logged in: with OK and, for SCRAM, is_final */
	struct slice address; /* the account's main address */
	struct slice private_key; /* of encrypted mail, for pop3d; may be empty */
	struct sasl_scram_answer scram; /* for sasl_answer_scram */
};

typedef void front_answer_fn(void *arg, const struct front_answer *);

/* One login attempt of a session; lives in the session, zeroed at first. */
struct front_login {
	struct front *front;
	const struct connection *connection;
	front_answer_fn *done;
	void *arg;
	/* private */
	uint64_t call; /* 0: nothing is asked */
	uint64_t exchange; /* SCRAM */
};

/* Asks authd; done comes exactly once and never from inside, unless cancelled. */
void front_login_password(struct front_login *, struct slice user, struct slice password);
/* The same for what a SASL exchange wants: SASL_CHECK_PASSWORD or SASL_ASK_SCRAM. */
void front_login_sasl(struct front_login *, const struct sasl *, enum sasl_step);
/* The session is gone, or does not wait any more.  May be called at any time. */
void front_login_cancel(struct front_login *);

#endif
