/* SPDX-License-Identifier: ISC */
/*
 * What all of maild's children do the same way: take orders on descriptor 3, give up rights, keep
 * links to their peers, stop when told or when maild is gone.
 */
#include "common/ipc/daemon.h"

#include <event2/event.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/base/log.h"

enum { MAILD_FD = 3, PEERS_MAX = 256, CONTROL_CHUNK = 32 * 1024, FLUSH_MS = 1000 };

struct waiting_peer {
	struct ipc_peer peer;
	int fd;
};

struct daemon {
	const struct daemon_spec *spec;
	struct event_base *base;
	struct settings settings;
	struct settings next_settings; /* of the round that runs */
	uint32_t round;
	bool open;
	bool failed;
	uint32_t instance;
	uint32_t uid, gid, group;
	char name[32];
	struct ipc_link *maild;
	struct ipc_link *peers[PEERS_MAX];
	struct waiting_peer waiting[PEERS_MAX]; /* come before open() */
	unsigned waiting_count;
	struct event *on_term;
};

struct event_base *
daemon_base(struct daemon *d)
{
	return d->base;
}

const struct settings *
daemon_settings(const struct daemon *d)
{
	return &d->settings;
}

uint32_t
daemon_instance(const struct daemon *d)
{
	return d->instance;
}

uint32_t
daemon_round(const struct daemon *d)
{
	return d->round;
}

void
daemon_sandbox_user(const struct daemon *d, struct sandbox *sandbox)
{
	sandbox->uid = d->uid;
	sandbox->gid = d->gid;
	sandbox->group = d->group;
}

void
daemon_stop(struct daemon *d)
{
	event_base_loopbreak(d->base);
}

struct ipc_link *
daemon_peer_next(struct daemon *d, enum process process, struct ipc_link *after)
{
	bool passed = after == NULL;

	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct ipc_link *link = d->peers[i];
		if (passed && link != NULL && ipc_link_process(link) == process)
			return link;
		if (link == after)
			passed = true;
	}
	return NULL;
}

struct ipc_link *
daemon_peer(struct daemon *d, enum process process)
{
	return daemon_peer_next(d, process, NULL);
}

uint64_t
daemon_call(struct daemon *d, enum process process, enum ipc_type type, const void *payload, int fd,
	ipc_done_fn *done, void *arg)
{
	return ipc_call(d->base, daemon_peer(d, process), type, payload, fd, IPC_CALL_TIMEOUT_MS,
		done, arg);
}

void
daemon_control_text(struct ipc_origin origin, struct slice text)
{
	while (text.len > 0) {
		struct ipc_control_text part = {slice_first(text, CONTROL_CHUNK)};
		ipc_answer_CONTROL_TEXT(origin, &part, -1);
		text = slice_after(text, CONTROL_CHUNK);
	}
}

void
daemon_control_done(struct ipc_origin origin, enum fault fault, const char *message)
{
	struct ipc_done done = {(uint32_t)fault, slice_text(message)};

	ipc_answer_CONTROL_DONE(origin, &done, -1);
}

static void
hand_to_handler(struct daemon *d, struct ipc_link *link, struct ipc_message *message)
{
	for (const struct daemon_handlers *h = d->spec->handlers; h != NULL && h->type != IPC_NONE;
		h++) {
		if (h->type == message->type) {
			h->handle(d, d->spec->state, link, message);
			return;
		}
	}
	log_warning("no handler for %s", ipc_type_name(message->type));
}

static void
on_peer_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	hand_to_handler(arg, link, message);
}

static void
on_peer_up(void *arg, struct ipc_link *link)
{
	struct daemon *d = arg;

	if (d->spec->peer_up != NULL)
		d->spec->peer_up(d, d->spec->state, link);
}

static void
peer_forget(struct daemon *d, struct ipc_link *link)
{
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		if (d->peers[i] == link)
			d->peers[i] = NULL;
	}
	if (d->spec->peer_down != NULL)
		d->spec->peer_down(d, d->spec->state, link);
	ipc_link_free(link);
}

static void
on_peer_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	struct daemon *d = arg;
	struct ipc_peer peer = {(uint32_t)ipc_link_process(link), ipc_link_instance(link)};

	/* That a process has ended is maild's to log. */
	log_debug("link to %s/%u lost: %s", process_name(ipc_link_process(link)), peer.instance,
		fault_text(fault));
	/* Whoever breaks the rules may be broken into: maild restarts it (style: nobody dies of
	 * someone else's bytes). */
	if (fault == FAULT_PEER_PROTOCOL &&
		ipc_send_PEER_BROKEN(d->maild, 0, &peer, -1) != FAULT_OK)
		log_warning("cannot report it");
	peer_forget(d, link);
}

static void
peer_add(struct daemon *d, const struct ipc_peer *peer, int fd)
{
	enum process process = (enum process)peer->process;
	struct ipc_link_events events = {on_peer_up, on_peer_message, on_peer_lost, NULL, d};

	for (unsigned i = 0; i < PEERS_MAX; i++) {
		if (d->peers[i] != NULL)
			continue;
		d->peers[i] = ipc_link_new(d->base, fd, d->spec->process, process, &events);
		/* Told before its HELLO comes: two instances may be replaced in one turn. */
		if (d->peers[i] != NULL)
			ipc_link_expect(d->peers[i], peer->instance);
		else
			log_error("no memory for the link to %s", process_name(process));
		return;
	}
	log_error("too many peers");
	close(fd);
}

/* A new link to the same instance takes the place of an older one. */
static void
peer_replace(struct daemon *d, const struct ipc_peer *peer)
{
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct ipc_link *link = d->peers[i];
		if (link != NULL && (uint32_t)ipc_link_process(link) == peer->process &&
			ipc_link_instance(link) == peer->instance)
			peer_forget(d, link);
	}
}

static void
take_peer(struct daemon *d, struct ipc_message *message)
{
	const struct ipc_peer *peer = message->payload;

	if (peer->process >= PROCESS_COUNT)
		return;
	if (d->open) {
		peer_replace(d, peer);
		peer_add(d, peer, ipc_message_take_fd(message));
	} else if (d->waiting_count < PEERS_MAX) {
		d->waiting[d->waiting_count++] =
			(struct waiting_peer){*peer, ipc_message_take_fd(message)};
	}
}

static void
take_setting(struct daemon *d, const struct ipc_setting *setting)
{
	enum fault fault = settings_set(&d->next_settings, setting->name, setting->value);

	if (fault != FAULT_OK)
		log_warning(
			"setting %" SLICE_FMT ": %s", SLICE_ARG(setting->name), fault_text(fault));
}

static void
finish_round(struct daemon *d)
{
	enum log_level level;

	settings_clear(&d->settings);
	d->settings = d->next_settings;
	if (!settings_init(&d->next_settings))
		log_fatal("out of memory");
	if (log_level_parse(d->settings.log_level, &level))
		log_set_level(level);
	d->round++;
	if (d->open && d->spec->reconfigure != NULL)
		d->spec->reconfigure(d, d->spec->state);
}

static void
begin_shutdown(struct daemon *d)
{
	if (d->open && d->spec->shutdown != NULL)
		d->spec->shutdown(d, d->spec->state);
	else
		daemon_stop(d);
}

static void
take_control(struct daemon *d, struct ipc_link *link, struct ipc_message *message)
{
	const struct ipc_control *control = message->payload;
	struct daemon_control request = {
		ipc_origin_of(link, message), control->words, control->word_count};

	if (d->spec->control == NULL)
		daemon_control_done(request.origin, FAULT_UNSUPPORTED, "no such command");
	else
		d->spec->control(d, d->spec->state, &request);
}

static void
on_maild_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct daemon *d = arg;

	switch (message->type) {
	case IPC_SETTING:
		take_setting(d, message->payload);
		return;
	case IPC_PEER:
		take_peer(d, message);
		return;
	case IPC_CONFIGURED:
		finish_round(d);
		return;
	case IPC_SHUTDOWN:
		begin_shutdown(d);
		return;
	case IPC_CONTROL:
		take_control(d, link, message);
		return;
	case IPC_CONTROL_CANCEL:
		if (d->spec->control_cancel != NULL)
			d->spec->control_cancel(d, d->spec->state, ipc_origin_of(link, message));
		return;
	default:
		hand_to_handler(d, link, message);
	}
}

static void
on_maild_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	struct daemon *d = arg;

	(void)link;
	log_warning("link to maild lost: %s", fault_text(fault));
	d->failed = true;
	daemon_stop(d);
}

static void
on_terminate(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	begin_shutdown(arg);
}

static bool
take_number(struct cursor *c, uint32_t *number)
{
	take_byte(c, ':');
	return take_u32(c, number);
}

/* -i INSTANCE [-u UID:GID[:GROUP]] */
static bool
parse_arguments(struct daemon *d, int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		struct cursor c = cursor_of(slice_text(argv[i + 1]));
		bool good;
		if (strcmp(argv[i], "-i") == 0)
			good = take_u32(&c, &d->instance);
		else if (strcmp(argv[i], "-u") == 0)
			good = take_u32(&c, &d->uid) && take_number(&c, &d->gid) &&
				(cursor_at_end(&c) || take_number(&c, &d->group));
		else
			good = false;
		if (!good || !cursor_at_end(&c))
			return false;
	}
	return argc % 2 == 1;
}

static void
ignore_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	/* A Ctrl-C goes to the whole group; maild alone answers it and stops us in order. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static enum fault
wait_for_settings(struct daemon *d)
{
	while (d->round == 0 && !d->failed && !event_base_got_break(d->base)) {
		if (event_base_loop(d->base, EVLOOP_ONCE) != 0)
			return FAULT_INTERNAL;
	}
	return d->round > 0 && !d->failed ? FAULT_OK : FAULT_PEER_LOST;
}

static enum fault
start(struct daemon *d)
{
	struct ipc_empty ready = {0};
	enum fault fault = wait_for_settings(d);

	if (fault == FAULT_OK)
		fault = d->spec->sandbox(d, d->spec->state);
	if (fault == FAULT_OK && d->spec->open != NULL)
		fault = d->spec->open(d, d->spec->state);
	if (fault != FAULT_OK)
		return fault;
	d->open = true;
	for (unsigned i = 0; i < d->waiting_count; i++) {
		peer_replace(d, &d->waiting[i].peer);
		peer_add(d, &d->waiting[i].peer, d->waiting[i].fd);
	}
	d->waiting_count = 0;
	return ipc_send_READY(d->maild, 0, &ready, -1);
}

static bool
prepare(struct daemon *d)
{
	struct ipc_link_events events = {NULL, on_maild_message, on_maild_lost, NULL, d};

	if (sodium_init() < 0 || !settings_init(&d->settings) || !settings_init(&d->next_settings))
		return false;
	ignore_signals();
	ipc_link_set_instance(d->instance);
	d->base = event_base_new();
	if (d->base == NULL)
		return false;
	d->on_term = evsignal_new(d->base, SIGTERM, on_terminate, d);
	d->maild = ipc_link_new(d->base, MAILD_FD, d->spec->process, PROCESS_MAILD, &events);
	return d->on_term != NULL && d->maild != NULL && event_add(d->on_term, NULL) == 0;
}

static void
finish(struct daemon *d)
{
	if (d->open && d->spec->close != NULL)
		d->spec->close(d, d->spec->state);
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		if (d->peers[i] != NULL)
			ipc_link_flush(d->peers[i], FLUSH_MS);
		ipc_link_free(d->peers[i]);
	}
	ipc_link_flush(d->maild, FLUSH_MS);
	ipc_link_free(d->maild);
	event_free(d->on_term);
	event_base_free(d->base);
	settings_clear(&d->settings);
	settings_clear(&d->next_settings);
}

int
daemon_main(const struct daemon_spec *spec, int argc, char **argv)
{
	struct daemon *d = calloc(1, sizeof *d);

	if (d == NULL)
		return EXIT_FAILURE;
	d->spec = spec;
	if (!parse_arguments(d, argc, argv)) {
		fprintf(stderr, "%s is started by maild\n", process_name(spec->process));
		return EXIT_FAILURE;
	}
	if (d->instance == 0)
		snprintf(d->name, sizeof d->name, "%s", process_name(spec->process));
	else
		snprintf(
			d->name, sizeof d->name, "%s/%u", process_name(spec->process), d->instance);
	log_open(d->name, LOG_LEVEL_INFO);
	if (!prepare(d))
		log_fatal("cannot start");
	enum fault fault = start(d);
	if (fault == FAULT_OK)
		event_base_dispatch(d->base);
	else
		log_error("cannot start: %s", fault_text(fault));
	bool good = fault == FAULT_OK && !d->failed;
	finish(d);
	free(d);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
