/* SPDX-License-Identifier: ISC */
#include "tests/unit/store/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/memfd.h"

void
fixture_dir(char dir[static 64])
{
	const char *base = getenv("TMPDIR");
	int n = snprintf(dir, 64, "%s/pabal-store-XXXXXX", base != NULL ? base : "/tmp");

	must(n > 0 && n < 64);
	must(mkdtemp(dir) != NULL);
}

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

void
fixture_dir_remove(const char *dir)
{
	(void)nftw(dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static int64_t
now_ms(void *arg)
{
	return ((struct fixture *)arg)->now_ms;
}

static void
stores_open(struct fixture *f)
{
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
}

void
fixture_open(struct fixture *f)
{
	fixture_dir(f->dir);
	f->now_ms = INT64_C(1700000000000);
	f->clock = (struct clock){now_ms, now_ms, f};
	f->options.clock = &f->clock;
	f->packer = body_packer_new();
	must(f->packer != NULL);
	stores_open(f);
	fixture_begin(f);
	ck_assert_ok(writer_account_ensure(f->writer, ALICE, 0));
	ck_assert_ok(writer_account_ensure(f->writer, BOB, 0));
	fixture_commit(f);
}

void
fixture_reopen(struct fixture *f)
{
	writer_close(f->writer);
	stores_open(f);
}

void
fixture_close(struct fixture *f)
{
	writer_close(f->writer);
	body_packer_free(f->packer);
	fixture_dir_remove(f->dir);
}

void
fixture_begin(struct fixture *f)
{
	ck_assert_ok(writer_begin(f->writer));
}

void
fixture_commit(struct fixture *f)
{
	ck_assert_ok(writer_commit(f->writer));
}

static void
finding_print(void *arg, const struct store_finding *finding)
{
	(void)arg;
	printf("found: account %llu mailbox %u uid %u: %s\n", (unsigned long long)finding->account,
		finding->mailbox, finding->uid, finding->text);
}

void
fixture_verify(struct fixture *f)
{
	struct verify_options options = {.bodies = true, .found = finding_print};
	struct verify_progress progress = {0};

	ck_assert_ok(store_verify(f->reader, &options, &progress));
	must(progress.findings == 0);
}

void
fixture_message(struct fixture *f, struct fixture_message *m, struct slice body)
{
	struct slice structure = SLICE("structure of the message");
	enum fault fault;

	*m = (struct fixture_message){0};
	m->memfd = memfd_open("test", &fault);
	ck_assert_ok(fault);
	ck_assert_ok(memfd_append(m->memfd, structure));
	ck_assert_ok(body_pack(f->packer, body, m->memfd, &m->request.info));
	ck_assert_ok(memfd_seal(m->memfd));
	ck_assert_ok(memfd_map(m->memfd, SIZE_MAX, &m->map));
	m->request.structure = slice_first(m->map, structure.len);
	m->request.body = slice_after(m->map, structure.len);
	m->request.targets = m->targets;
	m->request.target_count = 1;
	for (size_t i = 0; i < 8; i++)
		m->targets[i] = (struct writer_target){
			.account = i % 2 == 0 ? ALICE : BOB,
			.mailbox = STORE_INBOX,
			.received_at = 1700000000 + (int64_t)i,
			.zone = -90,
			.prefix = SLICE("Return-Path: <>\r\n"),
		};
}

void
fixture_message_clear(struct fixture_message *m)
{
	memfd_unmap(&m->map);
	close(m->memfd);
}

uint32_t
fixture_append(struct fixture *f, uint64_t account, uint32_t mailbox, struct slice body)
{
	struct fixture_message m;

	fixture_message(f, &m, body);
	m.targets[0].account = account;
	m.targets[0].mailbox = mailbox;
	fixture_begin(f);
	writer_append(f->writer, &m.request);
	fixture_commit(f);
	ck_assert_ok(m.targets[0].fault);
	fixture_message_clear(&m);
	return m.targets[0].uid;
}

struct store_message
fixture_load(struct fixture *f, uint64_t account, uint32_t mailbox, uint32_t uid)
{
	struct store_message m;

	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_message(f->reader, account, mailbox, uid, &m));
	reader_end(f->reader);
	return m;
}

void
fixture_expect(
	struct fixture *f, uint64_t account, uint32_t mailbox, uint32_t uid, struct slice content)
{
	struct store_message m;
	struct store_content c;
	struct slice structure;

	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_message(f->reader, account, mailbox, uid, &m));
	ck_assert_ok(reader_structure(f->reader, &m, &structure));
	must(slice_equal(structure, SLICE("structure of the message")));
	ck_assert_ok(reader_content(f->reader, &m, &c));
	reader_end(f->reader);
	must(m.size == content.len + c.prefix_len);
	must(store_content_size(&c) == m.size);
	char *bytes = malloc(m.size + 1);
	ck_assert_ok(reader_read(f->reader, &c, 0, (struct body_span){bytes, m.size}));
	must(memcmp(bytes + c.prefix_len, content.data, content.len) == 0);
	free(bytes);
}

struct store_mailbox
fixture_mailbox(struct fixture *f, uint64_t account, const char *name)
{
	struct store_mailbox m;

	ck_assert_ok(reader_begin(f->reader));
	enum fault fault = reader_mailbox_by_name(f->reader, account, slice_text(name), &m);
	reader_end(f->reader);
	ck_assert_msg(fault == FAULT_OK, "%s: %s", name, fault_name(fault));
	return m;
}

struct body_handle
fixture_body(struct fixture *f, uint64_t account, uint32_t mailbox, uint32_t uid)
{
	struct store_message m = fixture_load(f, account, mailbox, uid);
	struct store_content content;

	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_content(f->reader, &m, &content));
	reader_end(f->reader);
	return content.body;
}

uint32_t
fixture_random(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}
