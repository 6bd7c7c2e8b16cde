/* SPDX-License-Identifier: ISC */
/* imapd: speaks IMAP with mail clients, reads the store, asks mailboxd for changes. */
#include <stdio.h>

#include "common/base/log.h"
#include "imapd/imapd.h"

static void
take_settings(struct imapd *imapd, const struct settings *settings)
{
	struct imap_core *core = &imapd->core;

	core->message_size_max = (uint64_t)settings->message_size;
	core->message_memory_max = (uint64_t)settings->message_memory;
	core->login_failures_max = (unsigned)settings->login_failures;
	core->plaintext_login = settings->plaintext_login != 0;
}

static enum fault
open_core(struct imap_core *core, const struct settings *settings)
{
	char store[4096];

	core->clock = &clock_system;
	arena_init(&core->scratch, SESSION_SCRATCH_MAX);
	arena_init(&core->piece, SESSION_SCRATCH_MAX);
	core->packer = body_packer_new();
	if (core->packer == NULL)
		return FAULT_NOMEM;
	snprintf(store, sizeof store, "%s/store", settings->data_directory);
	return reader_open(store, &core->reader);
}

static enum fault
open_imapd(struct daemon *daemon, void *state)
{
	struct imapd *imapd = state;
	const struct settings *settings = daemon_settings(daemon);
	enum fault fault = open_core(&imapd->core, settings);

	take_settings(imapd, settings);
	imapd->front.daemon = daemon;
	if (fault == FAULT_OK)
		fault = imapd_start_turns(imapd);
	if (fault == FAULT_OK)
		fault = front_open(
			&imapd->front, daemon, &imapd_session_calls, settings->imap_timeout);
	return fault;
}

static void
reconfigure_imapd(struct daemon *daemon, void *state)
{
	struct imapd *imapd = state;

	take_settings(imapd, daemon_settings(daemon));
	front_reconfigure(&imapd->front, daemon_settings(daemon)->imap_timeout);
}

static void
show_status(const struct imapd *imapd, struct ipc_origin origin)
{
	struct buffer json;

	buffer_init(&json, 4096);
	buffer_add_byte(&json, '{');
	front_status(&imapd->front, &json);
	buffer_printf(&json, ",\"commands\":%llu,\"bytes_held\":%llu,\"dropped_answers\":%llu}",
		(unsigned long long)imapd->core.commands,
		(unsigned long long)imapd->core.message_memory_used,
		(unsigned long long)imapd->core.dropped_answers);
	daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, buffer_fault(&json), NULL);
	buffer_clear(&json);
}

/* What mailboxd said while the link was down is lost. */
static void
peer_up_imapd(struct daemon *daemon, void *state, struct ipc_link *link)
{
	(void)daemon;
	if (ipc_link_process(link) == PROCESS_MAILBOXD)
		imapd_all_changed(state);
}

static void
control_imapd(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	struct imapd *imapd = state;

	(void)daemon;
	if (control->word_count == 1 && slice_equal(control->words[0].text, SLICE("status")))
		show_status(imapd, control->origin);
	else if (!front_control(&imapd->front, control))
		daemon_control_done(control->origin, FAULT_NOT_FOUND, "no such command");
}

static void
shutdown_imapd(struct daemon *daemon, void *state)
{
	struct imapd *imapd = state;

	(void)daemon;
	front_shutdown(&imapd->front);
}

static void
close_imapd(struct daemon *daemon, void *state)
{
	struct imapd *imapd = state;

	(void)daemon;
	front_close(&imapd->front);
	imapd_stop_turns(imapd);
	reader_close(imapd->core.reader);
	body_packer_free(imapd->core.packer);
	arena_clear(&imapd->core.scratch);
	arena_clear(&imapd->core.piece);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		FRONT_HANDLERS,
		{IPC_CHANGED, on_changed},
		{IPC_NONE, NULL},
	};
	static struct imapd imapd;
	static const struct daemon_spec spec = {
		.process = PROCESS_IMAPD,
		.state = &imapd,
		.handlers = handlers,
		.sandbox = imapd_sandbox,
		.open = open_imapd,
		.reconfigure = reconfigure_imapd,
		.peer_up = peer_up_imapd,
		.control = control_imapd,
		.shutdown = shutdown_imapd,
		.close = close_imapd,
	};

	return daemon_main(&spec, argc, argv);
}
