/* SPDX-License-Identifier: ISC */
/*
 * Certificates on their way out: the list of files from maild in, the certificates to smtpd, imapd
 * and pop3d, at their start and whenever the files change.
 */
#include "authd/authd.h"
#include "common/base/log.h"

static const enum process fronts[] = {PROCESS_SMTPD, PROCESS_IMAPD, PROCESS_POP3D};

/* The first of a round begins a new list. */
void
on_key_file(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_key_file *file = message->payload;

	(void)daemon;
	(void)link;
	if (!a->keys_listed)
		keys_begin_files(a->keys);
	a->keys_listed = true;
	enum fault fault = keys_add_file(a->keys, file->certificate, file->key);
	if (fault != FAULT_OK)
		log_error("certificate %" SLICE_FMT " not used: %s", SLICE_ARG(file->certificate),
			fault_text(fault));
}

void
keys_out_finish_round(struct authd *a)
{
	if (!a->keys_listed)
		keys_begin_files(a->keys);
	keys_commit_files(a->keys);
	a->keys_listed = false;
}

void
keys_out_send(struct authd *a, struct ipc_link *link)
{
	struct ipc_certificates head = {keys_count(a->keys)};
	struct ipc_certificate certificate;
	enum fault fault = ipc_send_CERTIFICATES(link, 0, &head, -1);

	for (uint32_t i = 0; i < head.count && fault == FAULT_OK; i++) {
		keys_get(a->keys, i, &certificate);
		fault = ipc_send_CERTIFICATE(link, 0, &certificate, -1);
	}
	if (fault != FAULT_OK)
		log_error("cannot send certificates to %s: %s",
			process_name(ipc_link_process(link)), fault_text(fault));
}

void
keys_out_load(struct authd *a)
{
	if (!keys_load(a->keys, daemon_settings(a->daemon)->hostname))
		return;
	for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
		struct ipc_link *link = NULL;
		while ((link = daemon_peer_next(a->daemon, fronts[i], link)) != NULL)
			keys_out_send(a, link);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct authd *a = arg;

	(void)fd;
	(void)what;
	keys_read(a->keys);
	keys_out_load(a);
}

enum fault
keys_out_watch(struct authd *a)
{
	const struct timeval interval = {.tv_sec = KEYS_POLL_MS / 1000};

	a->keys_timer = event_new(daemon_base(a->daemon), -1, EV_PERSIST, on_timer, a);
	if (a->keys_timer == NULL || evtimer_add(a->keys_timer, &interval) != 0)
		return FAULT_NOMEM;
	return FAULT_OK;
}
