/* SPDX-License-Identifier: ISC */
/* pop3d: lets POP3 clients fetch their INBOX. */
#include <limits.h>
#include <stdio.h>

#include "pop3d/pop3d.h"

enum { PIECE_MAX = 1024 * 1024 };

static enum fault
open_pop3d(struct daemon *daemon, void *state)
{
	const struct settings *settings = daemon_settings(daemon);
	struct pop3d *p = state;
	char path[PATH_MAX];
	enum fault fault;

	buffer_init(&p->piece, PIECE_MAX);
	snprintf(path, sizeof path, "%s/store", settings->data_directory);
	fault = reader_open(path, &p->reader);
	if (fault != FAULT_OK)
		return fault;
	return front_open(&p->front, daemon, &pop3_session_calls, settings->pop3_timeout);
}

static void
reconfigure_pop3d(struct daemon *daemon, void *state)
{
	struct pop3d *p = state;

	front_reconfigure(&p->front, daemon_settings(daemon)->pop3_timeout);
}

static void
show_status(const struct pop3d *p, struct ipc_origin origin)
{
	struct buffer json;

	buffer_init(&json, 4096);
	buffer_add_byte(&json, '{');
	front_status(&p->front, &json);
	buffer_printf(&json, ",\"logins\":%llu,\"retrieved\":%llu,\"removed\":%llu}",
		(unsigned long long)p->logins, (unsigned long long)p->retrieved,
		(unsigned long long)p->removed);
	daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, buffer_fault(&json), NULL);
	buffer_clear(&json);
}

static void
control_pop3d(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	struct pop3d *p = state;

	(void)daemon;
	if (control->word_count == 1 && slice_equal(control->words[0].text, SLICE("status")))
		show_status(p, control->origin);
	else if (!front_control(&p->front, control))
		daemon_control_done(control->origin, FAULT_NOT_FOUND, "no such command");
}

static void
shutdown_pop3d(struct daemon *daemon, void *state)
{
	struct pop3d *p = state;

	(void)daemon;
	front_shutdown(&p->front);
}

static void
close_pop3d(struct daemon *daemon, void *state)
{
	struct pop3d *p = state;

	(void)daemon;
	front_close(&p->front);
	reader_close(p->reader);
	buffer_clear(&p->piece);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		FRONT_HANDLERS,
		{IPC_NONE, NULL},
	};
	static struct pop3d pop3d;
	static const struct daemon_spec spec = {
		.process = PROCESS_POP3D,
		.state = &pop3d,
		.handlers = handlers,
		.sandbox = pop3d_sandbox,
		.open = open_pop3d,
		.reconfigure = reconfigure_pop3d,
		.control = control_pop3d,
		.shutdown = shutdown_pop3d,
		.close = close_pop3d,
	};

	return daemon_main(&spec, argc, argv);
}
