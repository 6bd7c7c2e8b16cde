/* SPDX-License-Identifier: ISC */
/* smtpd: speaks SMTP with other hosts and with users, hands their mail to queued. */
#include "smtpd/smtpd.h"

static enum fault
open_smtpd(struct daemon *daemon, void *state)
{
	struct smtpd *s = state;

	/* Each session keeps its own time (session.c); idle time is not used. */
	return front_open(&s->front, daemon, &session_calls, 0);
}

static void
reconfigure_smtpd(struct daemon *daemon, void *state)
{
	struct smtpd *s = state;

	(void)daemon;
	front_reconfigure(&s->front, 0);
}

static void
show_status(const struct smtpd *s, struct ipc_origin origin)
{
	struct buffer json;

	buffer_init(&json, 4096);
	buffer_add_byte(&json, '{');
	front_status(&s->front, &json);
	buffer_printf(&json, ",\"messages\":%llu,\"refused_messages\":%llu,\"bytes_held\":%llu}",
		(unsigned long long)s->messages, (unsigned long long)s->refused,
		(unsigned long long)s->bytes_held);
	daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, buffer_fault(&json), NULL);
	buffer_clear(&json);
}

static void
control_smtpd(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	struct smtpd *s = state;

	(void)daemon;
	if (control->word_count == 1 && slice_equal(control->words[0].text, SLICE("status")))
		show_status(s, control->origin);
	else if (!front_control(&s->front, control))
		daemon_control_done(control->origin, FAULT_NOT_FOUND, "no such command");
}

static void
shutdown_smtpd(struct daemon *daemon, void *state)
{
	struct smtpd *s = state;

	(void)daemon;
	front_shutdown(&s->front);
}

static void
close_smtpd(struct daemon *daemon, void *state)
{
	struct smtpd *s = state;

	(void)daemon;
	front_close(&s->front);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		FRONT_HANDLERS,
		{IPC_NONE, NULL},
	};
	static struct smtpd smtpd;
	static const struct daemon_spec spec = {
		.process = PROCESS_SMTPD,
		.state = &smtpd,
		.handlers = handlers,
		.sandbox = smtpd_sandbox,
		.open = open_smtpd,
		.reconfigure = reconfigure_smtpd,
		.control = control_smtpd,
		.shutdown = shutdown_smtpd,
		.close = close_smtpd,
	};

	return daemon_main(&spec, argc, argv);
}
