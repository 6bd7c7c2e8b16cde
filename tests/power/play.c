/* SPDX-License-Identifier: ISC */
/* The workload's frame: options, time, bodies, and the comparison of the model with the store. */
#include "tests/power/play.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/verify.h"

#define START_MS INT64_C(1790000000000)

void
play_wrong(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("wrong: ", stdout);
	vprintf(format, arguments);
	fputc('\n', stdout);
	fflush(stdout);
	va_end(arguments);
	_exit(3);
}

uint32_t
play_random(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}

static int64_t
now_ms(void *arg)
{
	return ((struct play *)arg)->world.now_ms;
}

void
play_init(struct play *p, const char *dir, uint64_t seed)
{
	*p = (struct play){.dir = dir, .clock = {now_ms, now_ms, p}};
	p->world.random = seed;
	p->world.now_ms = START_MS;
	p->packer = body_packer_new();
	if (p->packer == NULL)
		play_wrong("no memory");
	play_options(p, 1);
}

void
play_clear(struct play *p)
{
	play_close(p);
	body_packer_free(p->packer);
}

void
play_options(struct play *p, uint8_t boot)
{
	static uint8_t boot_ids[256][16];

	memset(boot_ids[boot], boot, sizeof(boot_ids[boot]));
	p->options = (struct store_options){
		.clock = &p->clock,
		.segment_size_max = 300 * 1024,
		.map_bytes = 64 << 20,
		.undelete_seconds = 600,
		.delivered_seconds = 3600,
		.changes_max = 200,
		.boot_id = boot_ids[boot],
		.checkpoints_apart = p->options.checkpoints_apart,
	};
}

enum fault
play_open(struct play *p)
{
	return writer_open(p->dir, &p->options, &p->writer);
}

void
play_close(struct play *p)
{
	writer_close(p->writer);
	p->writer = NULL;
}

/* Mostly small, now and then a large one; half text, half noise. */
size_t
play_body(uint32_t number, char body[static PLAY_BODY_MAX])
{
	uint64_t state = number * UINT64_C(7919) + 1;
	size_t len = number % 97 == 60 ? (size_t)PLAY_BODY_MAX - 5000 + number % 4096
				       : 1 + play_random(&state, 1024u << play_random(&state, 6));

	for (size_t i = 0; i < len; i += 8) {
		uint64_t bits = play_random(&state, UINT32_MAX);
		uint64_t bytes = (i / 4096 + number) % 2 == 0
			? bits * UINT64_C(0x9e3779b97f4a7c15)
			: UINT64_C(0x6162636465660d0a) + (bits % 4);
		memcpy(body + i, &bytes, len - i < 8 ? len - i : 8);
	}
	return len;
}

void
play_delivery_id(uint32_t number, uint8_t id[static STORE_DELIVERY_ID_SIZE])
{
	memset(id, 0, STORE_DELIVERY_ID_SIZE);
	put_u32(id, number);
	id[STORE_DELIVERY_ID_SIZE - 1] = 1;
}

static void
must(enum fault fault, const char *what)
{
	if (fault != FAULT_OK)
		play_wrong("%s: %s", what, fault_text(fault));
}

static void
target_make(struct play *p, struct writer_target *t, uint32_t number)
{
	static const struct slice prefix = SLICE_LITERAL("Return-Path: <eve@example.net>\r\n");

	*t = (struct writer_target){
		.account = PLAY_FIRST_ACCOUNT,
		.mailbox = STORE_INBOX,
		.received_at = p->world.now_ms / 1000,
		.zone = 60,
		.prefix = slice_first(prefix, number % (prefix.len + 1)),
	};
	play_delivery_id(number, t->delivery_id);
}

void
play_mail_make(struct play *p, struct play_mail *m, uint32_t number)
{
	static char body[PLAY_BODY_MAX];
	struct slice structure = SLICE("structure of the message");
	enum fault fault;

	*m = (struct play_mail){0};
	m->memfd = memfd_open("mail", &fault);
	must(fault, "memfd");
	must(memfd_append(m->memfd, structure), "memfd");
	must(body_pack(p->packer, slice_make(body, play_body(number, body)), m->memfd,
		     &m->request.info),
		"pack");
	must(memfd_seal(m->memfd), "seal");
	must(memfd_map(m->memfd, SIZE_MAX, &m->map), "map");
	m->request.structure = slice_first(m->map, structure.len);
	m->request.body = slice_after(m->map, structure.len);
	m->request.targets = m->targets;
	m->request.target_count = 1;
	for (unsigned i = 0; i < PLAY_ACCOUNTS; i++)
		target_make(p, &m->targets[i], number);
}

void
play_mail_clear(struct play_mail *m)
{
	memfd_unmap(&m->map);
	close(m->memfd);
}

enum play_kind
play_next(struct play *p)
{
	struct play_world *w = &p->world;
	uint32_t n = play_random(&w->random, 100);

	w->now_ms += play_random(&w->random, 20) == 0 ? 400000 : 700;
	if (n < 10)
		return PLAY_HOUSEKEEP;
	if (n < 13)
		return PLAY_REOPEN;
	return n < 20 ? PLAY_CHECKPOINT : PLAY_BATCH;
}

enum fault
play_housekeep(struct play *p)
{
	bool more;

	return writer_housekeep(p->writer, &more);
}

static const struct play_message *
message_find(const struct play_world *w, const struct store_message *m)
{
	for (uint32_t i = 0; i < w->message_count; i++) {
		const struct play_message *x = &w->messages[i];
		if (PLAY_FIRST_ACCOUNT + (uint64_t)x->account == m->account &&
			x->mailbox == m->mailbox && x->uid == m->uid)
			return x;
	}
	return NULL;
}

static void
message_compare(const struct play_world *w, const struct store_message *m)
{
	const struct play_message *x = message_find(w, m);

	if (x == NULL)
		play_wrong("account %llu mailbox %u uid %u should not be there",
			(unsigned long long)m->account, m->mailbox, m->uid);
	if (x->email != m->email_id || x->flags != m->flags ||
		x->keyword != store_keywords_has(&m->keywords, 0))
		play_wrong("account %llu mailbox %u uid %u: email %llu flags %u, not %llu %u",
			(unsigned long long)m->account, m->mailbox, m->uid,
			(unsigned long long)m->email_id, m->flags, (unsigned long long)x->email,
			x->flags);
}

/* Bodies are compared with the model's when they are new; later by the text of all the store. */
static enum fault
content_compare(struct play *p, const struct store_message *m)
{
	static char expected[PLAY_BODY_MAX], stored[PLAY_BODY_MAX];
	const struct play_message *x = message_find(&p->world, m);
	struct store_content content;
	struct store_reader *reader = writer_reader(p->writer);
	size_t len = play_body(x->number, expected);
	enum fault fault = reader_content(reader, m, &content);

	if (fault == FAULT_OK && content.body.plain_len != len)
		play_wrong("uid %u: body %u has not its length", m->uid, x->number);
	if (fault == FAULT_OK)
		fault = reader_read(
			reader, &content, content.prefix_len, (struct body_span){stored, len});
	if (fault == FAULT_OK && memcmp(stored, expected, len) != 0)
		play_wrong("uid %u: body %u is another", m->uid, x->number);
	return fault;
}

static enum fault
box_compare(struct play *p, const struct play_box *box, uint32_t *seen)
{
	struct store_reader *reader = writer_reader(p->writer);
	struct reader_walk walk;
	struct store_message m;
	enum fault fault = FAULT_OK;

	reader_walk_open(reader, PLAY_FIRST_ACCOUNT + box->account, box->id, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &m); more && fault == FAULT_OK;
		more = reader_walk_next(&walk, &m)) {
		message_compare(&p->world, &m);
		(*seen)++;
		if (message_find(&p->world, &m)->number >= p->before.numbers)
			fault = content_compare(p, &m);
	}
	enum fault closed = reader_walk_close(&walk);
	return fault != FAULT_OK ? fault : closed;
}

enum fault
play_compare(struct play *p)
{
	uint32_t seen = 0;
	struct store_reader *reader = writer_reader(p->writer);
	enum fault fault = reader_begin(reader);

	if (fault != FAULT_OK)
		return fault;
	for (uint32_t i = 0; i < p->world.box_count && fault == FAULT_OK; i++)
		fault = box_compare(p, &p->world.boxes[i], &seen);
	if (fault == FAULT_OK && seen != p->world.message_count)
		play_wrong("%u messages, not %u", seen, p->world.message_count);
	reader_end(reader);
	return fault;
}
