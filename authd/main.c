/* SPDX-License-Identifier: ISC */
/* authd: who may log in, which addresses exist, and signatures with the TLS keys. */
#include <stdio.h>

#include "authd/authd.h"
#include "common/base/log.h"

enum { SWEEP_S = 10 };

static struct password_cost
cost_of(const struct settings *settings)
{
	return (struct password_cost){
		(uint64_t)settings->password_memory, (uint64_t)settings->password_passes};
}

static enum fault
open_directory(struct authd *a, const struct settings *settings)
{
	struct directory_options options = {&clock_system, &entropy_system, settings->hostname};
	char path[4096];

	if (snprintf(path, sizeof path, "%s/directory", settings->data_directory) >=
		(int)sizeof path)
		return FAULT_TOO_LONG;
	enum fault fault = directory_open(path, &options, &a->directory);
	if (fault != FAULT_OK)
		log_error("%s: %s", path, fault_text(fault));
	return fault;
}

static enum fault
open_logins(struct authd *a, const struct settings *settings)
{
	struct password_options options = {.cost = cost_of(settings),
		.threads = (unsigned)settings->password_threads,
		.entropy = &entropy_system};
	enum fault fault = password_pool_new(daemon_base(a->daemon), &options, &a->pool);

	if (fault == FAULT_OK)
		fault = guard_new(&clock_system, &entropy_system,
			(unsigned)settings->login_failures, &a->guard);
	if (fault == FAULT_OK)
		fault = login_memory_new(
			&clock_system, &entropy_system, settings->login_memory, &a->memory);
	if (fault != FAULT_OK)
		return fault;
	struct login_parts parts = {
		daemon_base(a->daemon), &clock_system, a->directory, a->guard, a->memory, a->pool};
	fault = logins_new(&parts, &a->logins);
	return fault == FAULT_OK ? scram_logins_new(a->logins, &entropy_system, &a->scram) : fault;
}

/* An opened key is gone soon after its login has expired, also when nobody logs in. */
static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct authd *a = arg;

	(void)fd;
	(void)what;
	login_memory_sweep(a->memory);
}

static enum fault
watch_memory(struct authd *a)
{
	const struct timeval often = {.tv_sec = SWEEP_S};

	a->sweep_timer = event_new(daemon_base(a->daemon), -1, EV_PERSIST, on_sweep, a);
	if (a->sweep_timer == NULL || evtimer_add(a->sweep_timer, &often) != 0)
		return FAULT_NOMEM;
	return FAULT_OK;
}

static enum fault
open_authd(struct daemon *daemon, void *state)
{
	struct authd *a = state;
	const struct settings *settings = daemon_settings(daemon);
	enum fault fault = open_directory(a, settings);

	if (fault == FAULT_OK)
		fault = open_logins(a, settings);
	if (fault == FAULT_OK)
		fault = watch_memory(a);
	if (fault == FAULT_OK)
		fault = keys_out_watch(a);
	if (fault == FAULT_OK)
		keys_out_load(a);
	return fault;
}

static void
reconfigure_authd(struct daemon *daemon, void *state)
{
	struct authd *a = state;
	const struct settings *settings = daemon_settings(daemon);
	struct password_cost cost = cost_of(settings);

	guard_set_limit(a->guard, (unsigned)settings->login_failures);
	login_memory_set_lifetime(a->memory, settings->login_memory);
	password_pool_set_cost(a->pool, &cost);
	directory_set_hostname(a->directory, settings->hostname);
	keys_out_finish_round(a);
	keys_read(a->keys);
	keys_out_load(a);
}

static void
on_peer_up(struct daemon *daemon, void *state, struct ipc_link *link)
{
	(void)daemon;
	if ((1u << ipc_link_process(link) & SET_FRONT) != 0)
		keys_out_send(state, link);
}

/* The pool first: it ends the logins that wait for it. */
static void
close_authd(struct daemon *daemon, void *state)
{
	struct authd *a = state;

	(void)daemon;
	password_pool_free(a->pool);
	if (a->sweep_timer != NULL)
		event_free(a->sweep_timer);
	scram_logins_free(a->scram);
	logins_free(a->logins);
	login_memory_free(a->memory);
	guard_free(a->guard);
	if (a->keys_timer != NULL)
		event_free(a->keys_timer);
	keys_free(a->keys);
	directory_close(a->directory);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		{IPC_KEY_FILE, on_key_file},
		{IPC_AUTH_PLAIN, on_auth_plain},
		{IPC_SCRAM_START, on_scram_start},
		{IPC_SCRAM_FINISH, on_scram_finish},
		{IPC_SIGN, on_sign},
		{IPC_RECIPIENT_CHECK, on_recipient_check},
		{IPC_SENDER_CHECK, on_sender_check},
		{IPC_EXPAND, on_expand},
		{IPC_NONE, NULL},
	};
	static struct authd authd;
	static const struct daemon_spec spec = {
		.process = PROCESS_AUTHD,
		.state = &authd,
		.handlers = handlers,
		.sandbox = authd_sandbox,
		.open = open_authd,
		.reconfigure = reconfigure_authd,
		.peer_up = on_peer_up,
		.control = authd_control,
		.close = close_authd,
	};

	if (keys_new(&clock_system, &authd.keys) != FAULT_OK)
		log_fatal("out of memory");
	return daemon_main(&spec, argc, argv);
}
