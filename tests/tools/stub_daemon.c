/* SPDX-License-Identifier: ISC */
/*
 * Stands in for any daemon, so that maild and mailctl can be tested alone: copied under the name
 * of the process that it plays.  It says yes to every command, and on request it dies ("crash"),
 * refuses ("refuse"), breaks the rules of its link to maild ("babble"), or says that authd has
 * broken them ("accuse").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/sandbox.h"
#include "common/ipc/daemon.h"

struct stub {
	enum process process;
	unsigned listeners, key_files, routes, peers;
};

static void
on_listener(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct stub *stub = state;

	(void)d;
	(void)link;
	if (message->type == IPC_LISTENER)
		stub->listeners++;
	else if (message->type == IPC_KEY_FILE)
		stub->key_files++;
	else
		stub->routes++;
}

static enum fault
enter_sandbox(struct daemon *d, void *state)
{
	struct sandbox sandbox = {.calls = SANDBOX_FILES};

	(void)state;
	daemon_sandbox_user(d, &sandbox);
	return sandbox_enter(&sandbox);
}

static enum fault
refuse_to_open(struct daemon *d, void *state)
{
	const struct stub *stub = state;

	/* A test names the process that must not come up by the host name. */
	return strcmp(daemon_settings(d)->hostname, process_name(stub->process)) == 0
		? FAULT_DAMAGED
		: FAULT_OK;
}

static void
on_peer_up(struct daemon *d, void *state, struct ipc_link *link)
{
	struct stub *stub = state;

	(void)d;
	(void)link;
	stub->peers++;
}

static void
on_peer_down(struct daemon *d, void *state, struct ipc_link *link)
{
	struct stub *stub = state;

	(void)d;
	(void)link;
	stub->peers--;
}

static void
answer_status(struct daemon *d, const struct stub *stub, struct ipc_origin origin)
{
	char text[512];

	snprintf(text, sizeof text,
		"{\"process\": \"%s\", \"instance\": %u, \"uid\": %u, \"listeners\": %u, "
		"\"key_files\": %u, \"routes\": %u, \"peers\": %u, \"round\": %u, "
		"\"message_size\": %lld}",
		process_name(stub->process), daemon_instance(d), (unsigned)getuid(),
		stub->listeners, stub->key_files, stub->routes, stub->peers, daemon_round(d),
		(long long)daemon_settings(d)->message_size);
	daemon_control_text(origin, slice_text(text));
	daemon_control_done(origin, FAULT_OK, NULL);
}

/* The frame that the skeleton would send if authd had broken the rules. */
static void
accuse_authd(struct ipc_origin origin)
{
	uint8_t frame[IPC_HEADER_LEN + 8] = {0};

	put_u32(frame, 8);
	put_u16(frame + 4, IPC_PEER_BROKEN);
	put_u32(frame + IPC_HEADER_LEN, PROCESS_AUTHD);
	if (write(3, frame, sizeof frame) == (ssize_t)sizeof frame)
		daemon_control_done(origin, FAULT_OK, NULL);
}

static void
on_control(struct daemon *d, void *state, const struct daemon_control *control)
{
	struct slice word =
		control->word_count > 0 ? control->words[control->word_count - 1].text : SLICE("");

	if (slice_equal(word, SLICE("status")))
		answer_status(d, state, control->origin);
	else if (slice_equal(word, SLICE("crash")))
		abort();
	else if (slice_equal(word, SLICE("refuse")))
		daemon_control_done(control->origin, FAULT_DENIED, "not you");
	else if (slice_equal(word, SLICE("babble")))
		exit(write(3, "babble babble babble babble", 27) == 27 ? 0 : 1);
	else if (slice_equal(word, SLICE("accuse")))
		accuse_authd(control->origin);
	else
		daemon_control_done(control->origin, FAULT_OK, NULL);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		{IPC_LISTENER, on_listener},
		{IPC_KEY_FILE, on_listener},
		{IPC_ROUTE, on_listener},
		{IPC_NONE, NULL},
	};
	struct stub stub = {0};
	struct daemon_spec spec = {
		.state = &stub,
		.handlers = handlers,
		.sandbox = enter_sandbox,
		.open = refuse_to_open,
		.peer_up = on_peer_up,
		.peer_down = on_peer_down,
		.control = on_control,
	};

	if (!process_find(argv[0], &stub.process))
		return EXIT_FAILURE;
	spec.process = stub.process;
	return daemon_main(&spec, argc, argv);
}
