/* SPDX-License-Identifier: ISC */
/*
 * What smtpd, imapd and pop3d ask on behalf of their clients: logins and signatures.  They face
 * the network: what they send may be an attacker's, and gets no more than the protocol's answers.
 */
#include <stdlib.h>

#include "authd/authd.h"

/* A question whose answer comes later. */
struct question {
	struct ipc_origin origin;
	bool reads_mail; /* the asker: only such a process gets keys */
};

/* By the link, not by what the message says of itself. */
static struct question
question_of(struct ipc_link *link, const struct ipc_message *message)
{
	enum process asker = ipc_link_process(link);

	return (struct question){
		ipc_origin_of(link, message), asker == PROCESS_IMAPD || asker == PROCESS_POP3D};
}

static void
on_login(void *arg, const struct login_result *result)
{
	struct question *q = arg;
	struct ipc_auth_result answer = {
		.fault = (uint32_t)result->fault,
		.account = result->account,
		.address = result->address,
		.public_key = q->reads_mail ? result->public_key : SLICE(""),
		.private_key = q->reads_mail ? result->private_key : SLICE(""),
	};

	ipc_answer_AUTH_RESULT(q->origin, &answer, -1);
	free(q);
}

void
on_auth_plain(
	struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_auth_plain *asked = message->payload;
	struct login_request request = {asked->remote, asked->user, asked->password};
	struct question *q = malloc(sizeof *q);

	(void)daemon;
	if (q == NULL) {
		struct ipc_auth_result answer = {.fault = FAULT_NOMEM};
		ipc_answer_AUTH_RESULT(ipc_origin_of(link, message), &answer, -1);
		return;
	}
	*q = question_of(link, message);
	login_plain(a->logins, &request, on_login, q);
}

void
on_scram_start(
	struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_scram_start *asked = message->payload;
	struct scram_start request = {ipc_link_id(link), asked->remote, asked->message};
	struct ipc_scram_challenge answer = {0};
	struct buffer out;

	(void)daemon;
	buffer_init(&out, SCRAM_MESSAGE_MAX);
	answer.fault = (uint32_t)scram_login_start(a->scram, &request, &answer.exchange, &out);
	answer.message = buffer_slice(&out);
	ipc_answer_SCRAM_CHALLENGE(ipc_origin_of(link, message), &answer, -1);
	buffer_clear(&out);
}

static void
on_scram_done(void *arg, const struct login_result *result, struct slice message)
{
	struct question *q = arg;
	struct ipc_scram_result answer = {
		.fault = (uint32_t)result->fault,
		.account = result->account,
		.address = result->address,
		.message = message,
		.public_key = q->reads_mail ? result->public_key : SLICE(""),
		.private_key = q->reads_mail ? result->private_key : SLICE(""),
	};

	ipc_answer_SCRAM_RESULT(q->origin, &answer, -1);
	free(q);
}

void
on_scram_finish(
	struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_scram_finish *asked = message->payload;
	struct scram_finish request = {ipc_link_id(link), asked->exchange, asked->message};
	struct question *q = malloc(sizeof *q);

	(void)daemon;
	if (q == NULL) {
		struct ipc_scram_result answer = {.fault = FAULT_NOMEM};
		ipc_answer_SCRAM_RESULT(ipc_origin_of(link, message), &answer, -1);
		return;
	}
	*q = question_of(link, message);
	scram_login_finish(a->scram, &request, on_scram_done, q);
}

void
on_sign(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	struct ipc_signed_digest answer = {0};
	struct buffer signature;

	(void)daemon;
	buffer_init(&signature, IPC_DIGEST_MAX);
	answer.fault = (uint32_t)keys_sign(a->keys, message->payload, &signature);
	answer.signature = buffer_slice(&signature);
	a->signatures++;
	ipc_answer_SIGNED(ipc_origin_of(link, message), &answer, -1);
	buffer_clear(&signature);
}
