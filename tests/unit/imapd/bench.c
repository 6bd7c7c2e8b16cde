/* SPDX-License-Identifier: ISC */
/* The world around the session core: store, fake authd, clock.  See bench.h. */
#include "tests/unit/imapd/bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/package.h"

enum {
	ALICE = 11,
	BOB = 22,
	MAP_BYTES = 16 * 1024 * 1024,
	OUTPUT_MAX = 256 * 1024 * 1024,
	ROUNDS_MAX = 1000000,
};

/* An answer that has been made and not yet been given. */
struct bench_pending {
	uint64_t call;
	enum fault fault;
	struct ipc_message message;
	uint8_t *uids;
	struct ipc_append_result result;
	union {
		struct ipc_auth_result auth;
		struct ipc_scram_challenge challenge;
		struct ipc_scram_result scram;
		struct ipc_done done;
		struct ipc_appended appended;
		struct ipc_flags_stored stored;
		struct ipc_copied copied;
		struct ipc_expunged expunged;
		struct ipc_mailbox_done mailbox;
		struct ipc_recent_claimed recent;
	} payload;
};

struct bench_uids {
	struct uid_range *ranges;
	size_t count;
};

static void
check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "imap bench: %s\n", what);
	abort();
}

static struct bench_uids
read_uids(struct slice field, int fd)
{
	struct slice bytes = field;
	struct slice mapped = {NULL, 0};

	if (field.len == 0 && fd >= 0) {
		check(memfd_map(fd, 1 << 30, &mapped) == FAULT_OK, "unsealed uids");
		bytes = mapped;
	}
	struct bench_uids uids = {.count = bytes.len / 8};
	uids.ranges = calloc(uids.count + 1, sizeof *uids.ranges);
	check(uids.ranges != NULL && bytes.len % 8 == 0, "uids");
	for (size_t i = 0; i < uids.count; i++) {
		uids.ranges[i].first = get_u32(bytes.data + i * 8);
		uids.ranges[i].last = get_u32(bytes.data + i * 8 + 4);
		check(uids.ranges[i].first > 0 && uids.ranges[i].first <= uids.ranges[i].last,
			"a range the wrong way round");
		check(i == 0 || uids.ranges[i].first > uids.ranges[i - 1].last,
			"ranges out of order");
	}
	memfd_unmap(&mapped);
	return uids;
}

static struct writer_uids
writer_uids_of(uint64_t account, uint32_t mailbox, const struct bench_uids *uids)
{
	static const struct uid_range nothing = {1, 1};

	return (struct writer_uids){
		account, mailbox, uids->count > 0 ? uids->ranges : &nothing, uids->count};
}

static size_t
split_keywords(struct slice text, struct slice *names, size_t most)
{
	size_t count = 0;

	while (text.len > 0 && count < most) {
		size_t at = slice_find_byte(text, ' ');
		names[count++] = slice_first(text, at);
		text = slice_after(text, at + 1);
	}
	return count;
}

static enum fault
do_flags(struct bench *b, const struct ipc_flags_store *r, int fd, struct bench_pending *p)
{
	struct bench_uids uids = read_uids(r->uids, fd);
	struct slice names[1000];
	struct writer_flags flags = {
		.uids = writer_uids_of(r->account, r->mailbox, &uids),
		.verb = (enum writer_flags_verb)r->operation,
		.flags = (uint8_t)r->flags,
		.keywords = names,
		.keyword_count = split_keywords(r->keywords, names, 1000),
	};
	enum fault fault = writer_flags_store(b->writer, &flags);

	p->payload.stored.modseq = flags.modseq;
	uid_set_clear(&flags.changed);
	uid_set_clear(&flags.failed);
	free(uids.ranges);
	return fault;
}

static void
encode_copied(struct bench_pending *p, const struct writer_copy *copy)
{
	p->uids = calloc(copy->copied.count + 1, 8);
	check(p->uids != NULL, "memory");
	for (size_t i = 0; i < copy->copied.count; i++) {
		put_u32(p->uids + i * 8, copy->copied.ranges[i].first);
		put_u32(p->uids + i * 8 + 4, copy->copied.ranges[i].last);
	}
	p->payload.copied.uids = slice_make(p->uids, copy->copied.count * 8);
	p->payload.copied.uidvalidity = copy->uidvalidity;
	p->payload.copied.first_uid = copy->uid_first;
	p->payload.copied.modseq = copy->modseq;
}

static enum fault
do_copy(struct bench *b, const struct ipc_copy *r, int fd, struct bench_pending *p)
{
	struct bench_uids uids = read_uids(r->uids, fd);
	struct writer_copy copy = {
		.uids = writer_uids_of(r->account, r->mailbox, &uids), .to = r->to};
	enum fault fault = r->move ? writer_move(b->writer, &copy) : writer_copy(b->writer, &copy);

	if (fault == FAULT_OK)
		encode_copied(p, &copy);
	uid_set_clear(&copy.copied);
	free(uids.ranges);
	return fault;
}

static enum fault
do_expunge(struct bench *b, const struct ipc_expunge *r, int fd, struct bench_pending *p)
{
	struct bench_uids uids = read_uids(r->uids, fd);
	struct writer_expunge expunge = {
		.uids = writer_uids_of(r->account, r->mailbox, &uids),
		.only_deleted = r->only_deleted,
	};
	enum fault fault = writer_expunge(b->writer, &expunge);

	p->payload.expunged.count = (uint32_t)uid_set_total(&expunge.expunged);
	p->payload.expunged.modseq = expunge.modseq;
	uid_set_clear(&expunge.expunged);
	free(uids.ranges);
	return fault;
}

static enum fault
do_append(struct bench *b, const struct ipc_append *r, int fd, struct bench_pending *p)
{
	struct slice bytes, names[1000];
	const struct ipc_append_target *t = &r->targets[0];
	struct writer_target target = {
		.account = t->account,
		.mailbox = t->mailbox,
		.flags = (uint8_t)t->flags,
		.keywords = names,
		.keyword_count = split_keywords(t->keywords, names, 1000),
		.received_at = t->internal_s,
		.zone = (int16_t)t->zone_min,
		.prefix = t->prefix,
	};

	check(memfd_map(fd, 1 << 30, &bytes) == FAULT_OK, "append without a sealed memfd");
	struct writer_append append = {
		.structure = slice_first(bytes, r->structure_len),
		.body = slice_after(bytes, r->structure_len),
		.info = {.codec = (uint8_t)r->codec,
			.plain_len = r->plain_len,
			.stored_len = r->stored_len},
		.targets = &target,
		.target_count = 1,
	};
	memcpy(append.info.checksum, r->checksum.data, sizeof append.info.checksum);
	writer_append(b->writer, &append);
	memfd_unmap(&bytes);
	p->result = (struct ipc_append_result){
		(uint32_t)target.fault, target.uidvalidity, target.uid, target.modseq, 1};
	p->payload.appended.results = &p->result;
	p->payload.appended.result_count = 1;
	return FAULT_OK;
}

static enum fault
do_claim(struct bench *b, const struct ipc_recent_claim *r, struct bench_pending *p)
{
	struct uid_range recent = {0, 0};
	enum fault fault = writer_recent_claim(b->writer, r->account, r->mailbox, &recent);

	p->payload.recent.first_recent = recent.first;
	return fault;
}

static enum fault
do_create(struct bench *b, const struct ipc_mailbox_create *r)
{
	struct writer_create create = {.account = r->account,
		.name = r->name,
		.special_use = (enum store_special_use)r->special_use};

	return writer_mailbox_create(b->writer, &create);
}

static enum fault
perform(struct bench *b, enum ipc_type type, const void *payload, int fd, struct bench_pending *p)
{
	const struct ipc_mailbox_name *name = payload;
	const struct ipc_mailbox_rename *rename = payload;
	const struct ipc_mailbox_subscribe *subscribe = payload;

	switch ((int)type) {
	case IPC_ACCOUNT_ENSURE:
		return writer_account_ensure(
			b->writer, ((const struct ipc_account_ensure *)payload)->account, 0);
	case IPC_APPEND:
		return do_append(b, payload, fd, p);
	case IPC_FLAGS_STORE:
		return do_flags(b, payload, fd, p);
	case IPC_COPY:
		return do_copy(b, payload, fd, p);
	case IPC_EXPUNGE:
		return do_expunge(b, payload, fd, p);
	case IPC_RECENT_CLAIM:
		return do_claim(b, payload, p);
	case IPC_MAILBOX_CREATE:
		return do_create(b, payload);
	case IPC_MAILBOX_DELETE:
		return writer_mailbox_delete(b->writer, name->account, name->name);
	case IPC_MAILBOX_RENAME:
		return writer_mailbox_rename(b->writer, rename->account, rename->from, rename->to);
	case IPC_MAILBOX_SUBSCRIBE:
		return writer_subscribe(
			b->writer, subscribe->account, subscribe->name, subscribe->subscribed);
	default:
		check(false, "a request that mailboxd does not know");
		return FAULT_INTERNAL;
	}
}

static void
keep_events(struct bench *b)
{
	size_t count;
	const struct store_event *events = writer_events(b->writer, &count);

	check(b->event_count + count <= BENCH_EVENTS, "too many events");
	if (count > 0)
		memcpy(b->events + b->event_count, events, count * sizeof *events);
	b->event_count += count;
}

/* What mailboxd does after a commit. */
static bool
broadcast(struct bench *b)
{
	struct store_event events[BENCH_EVENTS];
	size_t count = b->event_count;

	memcpy(events, b->events, sizeof events);
	b->event_count = 0;
	for (size_t i = 0; i < count; i++)
		for (unsigned c = 0; c < BENCH_CLIENTS; c++) {
			struct bench_client *client = &b->clients[c];
			if (client->is_open && client->session.account == events[i].account)
				session_changed(&client->session, events[i].mailbox);
		}
	return count > 0;
}

/* One request, one batch. */
static enum fault
ask_writer(
	struct bench *b, enum ipc_type type, const void *payload, int fd, struct bench_pending *p)
{
	enum fault fault = FAULT_BUSY;

	if (b->mailboxd_is_down)
		return FAULT_PEER_LOST;
	/* FAULT_BUSY: the index had to grow; the same once more. */
	for (int tries = 0; fault == FAULT_BUSY && tries < 10; tries++) {
		check(writer_begin(b->writer) == FAULT_OK, "begin");
		enum fault own = perform(b, type, payload, fd, p);
		fault = writer_commit(b->writer);
		if (fault != FAULT_OK)
			continue;
		keep_events(b);
		fault = own;
	}
	return fault;
}

static enum fault
check_password(struct bench *b, const struct ipc_auth_plain *plain, struct ipc_auth_result *result)
{
	bool is_alice = slice_equal_nocase(plain->user, SLICE("alice@example.org"));
	bool is_bob = slice_equal_nocase(plain->user, SLICE("bob@example.org"));
	bool is_right = slice_equal(plain->password, SLICE("secret")) ||
		(is_alice && slice_equal(plain->password, SLICE("w\\ord")));

	result->account = is_alice ? b->alice : b->bob;
	result->address = is_alice ? SLICE("alice@example.org") : SLICE("bob@example.org");
	if (is_alice) {
		result->public_key = b->public_key;
		result->private_key = b->private_key;
	}
	if (slice_equal(plain->password, SLICE("down")))
		return FAULT_PEER_LOST;
	return (is_alice || is_bob) && is_right ? FAULT_OK : FAULT_AUTH_FAILED;
}

/* The exchange is no real one: the session only carries it. */
static enum fault
ask_authd(struct bench *b, enum ipc_type type, const void *payload, struct bench_pending *p)
{
	const struct ipc_scram_finish *last = payload;

	switch ((int)type) {
	case IPC_AUTH_PLAIN:
		return check_password(b, payload, &p->payload.auth);
	case IPC_SCRAM_START:
		p->payload.challenge.exchange = 7;
		p->payload.challenge.message = SLICE("r=abcdef,s=c2FsdA==,i=4096");
		return FAULT_OK;
	case IPC_SCRAM_FINISH:
		check(last->exchange == 7, "another exchange");
		p->payload.scram.account = b->alice;
		p->payload.scram.address = SLICE("alice@example.org");
		p->payload.scram.message = SLICE("v=c2ln");
		return slice_find(last->message, SLICE("p=cHJvb2Y=")) < last->message.len
			? FAULT_OK
			: FAULT_AUTH_FAILED;
	default:
		check(false, "a request that authd does not know");
		return FAULT_INTERNAL;
	}
}

static struct bench_pending *
answer_for(struct bench *b, enum process to, enum ipc_type type, const void *payload, int fd)
{
	struct bench_pending *p = calloc(1, sizeof *p);

	check(p != NULL, "memory");
	p->call = ++b->last_call;
	p->message.fd = -1;
	p->fault = to == PROCESS_AUTHD ? ask_authd(b, type, payload, p)
				       : ask_writer(b, type, payload, fd, p);
	return p;
}

static void
free_pending(struct bench_pending *p)
{
	if (p != NULL)
		free(p->uids);
	free(p);
}

static uint64_t
effect_call(void *shell, enum process to, enum ipc_type type, const void *payload, int fd)
{
	struct bench_client *client = shell;

	check(client->pending == NULL, "two calls at once");
	client->pending = answer_for(client->bench, to, type, payload, fd);
	return client->pending->call;
}

static void
effect_cancel(void *shell, uint64_t call)
{
	struct bench_client *client = shell;

	check(client->pending != NULL && client->pending->call == call, "cancel of another call");
	free_pending(client->pending);
	client->pending = NULL;
}

static void
effect_tell(void *shell, enum process to, enum ipc_type type, const void *payload)
{
	struct bench_client *client = shell;

	free_pending(answer_for(client->bench, to, type, payload, -1));
}

static void
effect_start_tls(void *shell)
{
	((struct bench_client *)shell)->tls_wanted = true;
}

static void
effect_logged_in(void *shell, uint64_t account, struct slice who)
{
	(void)shell;
	check(account != 0 && who.len > 0, "nobody logged in");
}

static void
effect_idling(void *shell, bool on)
{
	(void)shell;
	(void)on;
}

static void
effect_finish(void *shell)
{
	((struct bench_client *)shell)->is_closed = true;
}

static const struct imap_effects effects = {
	.call = effect_call,
	.cancel = effect_cancel,
	.tell = effect_tell,
	.start_tls = effect_start_tls,
	.logged_in = effect_logged_in,
	.idling = effect_idling,
	.finish = effect_finish,
};

static int64_t
fake_now(void *arg)
{
	return ((struct bench *)arg)->now_ms;
}

void
bench_open(struct bench *b)
{
	bench_open_forgetful(b, 0);
}

void
bench_trim(struct bench *b)
{
	bool more = true;

	for (int i = 0; more && i < 1000; i++)
		check(writer_housekeep(b->writer, &more) == FAULT_OK, "housekeeping");
}

void
bench_open_forgetful(struct bench *b, uint32_t changes_max)
{
	struct store_options options = {
		.clock = &b->clock, .map_bytes = MAP_BYTES, .changes_max = changes_max};

	memset(b, 0, sizeof *b);
	b->now_ms = INT64_C(1763700000000);
	b->clock = (struct clock){fake_now, fake_now, b};
	const char *tmp = getenv("TMPDIR");

	b->alice = ALICE;
	b->bob = BOB;
	snprintf(b->dir, sizeof b->dir, "%.30s/pabal-imap-XXXXXX", tmp != NULL ? tmp : "/tmp");
	check(mkdtemp(b->dir) != NULL, "no temporary directory");
	check(writer_open(b->dir, &options, &b->writer) == FAULT_OK, "no store");
	b->core.reader = writer_reader(b->writer);
	b->core.clock = &b->clock;
	b->core.packer = body_packer_new();
	arena_init(&b->core.scratch, SESSION_SCRATCH_MAX);
	arena_init(&b->core.piece, SESSION_SCRATCH_MAX);
	b->core.login_failures_max = 3;
}

static void
remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char inner[512];

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof inner, "%.200s/%.250s", path, entry->d_name);
		if (unlink(inner) != 0)
			remove_tree(inner);
	}
	if (dir != NULL)
		closedir(dir);
	(void)rmdir(path);
}

void
bench_disconnect(struct bench *b, unsigned client)
{
	struct bench_client *c = &b->clients[client];

	if (!c->is_open)
		return;
	session_clear(&c->session);
	check(c->pending == NULL, "a call outlived its session");
	buffer_clear(&c->input);
	buffer_clear(&c->output);
	c->is_open = false;
}

void
bench_close(struct bench *b)
{
	for (unsigned i = 0; i < BENCH_CLIENTS; i++)
		bench_disconnect(b, i);
	check(b->core.message_memory_used == 0, "message memory is still counted");
	arena_clear(&b->core.scratch);
	arena_clear(&b->core.piece);
	body_packer_free(b->core.packer);
	writer_close(b->writer);
	remove_tree(b->dir);
}

void
bench_connect(struct bench *b, unsigned client, const struct bench_options *options)
{
	struct bench_client *c = &b->clients[client];
	struct imap_setup setup = {
		.core = &b->core,
		.effects = &effects,
		.shell = c,
		.service = options->tls ? IPC_SERVICE_IMAPS : IPC_SERVICE_IMAP,
		.is_tls = options->tls,
		.has_tls = options->starttls,
		.is_loopback = !options->remote,
		.remote = options->remote ? "192.0.2.1" : "127.0.0.1",
	};

	b->core.plaintext_login = options->plaintext;
	b->core.message_size_max = options->size_max > 0 ? options->size_max : 50000000;
	b->core.message_memory_max = options->memory_max > 0 ? options->memory_max : 100000000;
	memset(c, 0, sizeof *c);
	c->bench = b;
	c->is_open = true;
	buffer_init(&c->input, OUTPUT_MAX);
	buffer_init(&c->output, OUTPUT_MAX);
	session_init(&c->session, &setup);
	session_greet(&c->session);
	bench_run(b);
}

static void
collect(struct bench_client *c)
{
	buffer_add_slice(&c->output, buffer_slice(&c->session.out));
	buffer_reset(&c->session.out);
}

static bool
give_answer(struct bench_client *c)
{
	struct bench_pending *p = c->pending;

	if (p == NULL)
		return false;
	struct ipc_answer answer = {p->fault, p->fault == FAULT_OK ? &p->payload : NULL,
		p->fault == FAULT_OK ? &p->message : NULL};
	c->pending = NULL;
	session_answer(&c->session, p->call, &answer);
	free_pending(p);
	return true;
}

static bool
step(struct bench_client *c)
{
	bool moved = give_answer(c);

	if (c->tls_wanted) {
		c->tls_wanted = false;
		/* What was sent before does not count. */
		buffer_reset(&c->input);
		session_tls_started(&c->session);
		moved = true;
	}
	if (session_wants_turn(&c->session)) {
		session_turn(&c->session);
		moved = true;
	}
	collect(c);
	size_t used =
		buffer_len(&c->input) > 0 ? session_input(&c->session, buffer_slice(&c->input)) : 0;
	check(used <= buffer_len(&c->input), "more used than given");
	buffer_consume(&c->input, used);
	collect(c);
	return moved || used > 0;
}

void
bench_run(struct bench *b)
{
	bool moved = true;

	for (int round = 0; moved; round++) {
		check(round < ROUNDS_MAX, "a session never comes to rest");
		moved = false;
		for (unsigned i = 0; i < BENCH_CLIENTS; i++)
			if (b->clients[i].is_open)
				moved |= step(&b->clients[i]);
		moved |= broadcast(b);
	}
}

void
bench_send(struct bench *b, unsigned client, struct slice bytes, size_t piece)
{
	while (bytes.len > 0) {
		size_t len = piece > 0 && piece < bytes.len ? piece : bytes.len;
		buffer_add_slice(&b->clients[client].input, slice_first(bytes, len));
		bytes = slice_after(bytes, len);
		bench_run(b);
	}
}

void
bench_deliver(struct bench *b, uint64_t account, const char *mailbox, struct slice message)
{
	struct package package;
	struct store_mailbox found;
	struct bench_pending p = {.call = 0};

	check(package_make(b->core.packer, message, &package) == FAULT_OK, "package");
	check(writer_begin(b->writer) == FAULT_OK, "begin");
	check(writer_account_ensure(b->writer, account, 0) == FAULT_OK, "account");
	check(writer_commit(b->writer) == FAULT_OK, "commit");
	check(reader_begin(b->core.reader) == FAULT_OK, "read");
	check(reader_mailbox_by_name(b->core.reader, account, slice_text(mailbox), &found) ==
			FAULT_OK,
		"no such mailbox to deliver to");
	reader_end(b->core.reader);
	struct ipc_append_target target = {
		.account = account,
		.mailbox = found.id,
		.internal_s = b->now_ms / 1000,
		.prefix = SLICE("Return-Path: <joe@example.com>\r\n"
				"Delivered-To: alice@example.org\r\n"),
	};
	struct ipc_append append = {
		.structure_len = package.structure_len,
		.stored_len = package.body.stored_len,
		.plain_len = package.body.plain_len,
		.codec = package.body.codec,
		.checksum = slice_make(package.body.checksum, sizeof package.body.checksum),
		.targets = &target,
		.target_count = 1,
	};
	check(ask_writer(b, IPC_APPEND, &append, package.fd, &p) == FAULT_OK, "append");
	check(p.result.fault == FAULT_OK, "append");
	package_clear(&package);
	bench_run(b);
}
