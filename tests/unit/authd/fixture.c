/* SPDX-License-Identifier: ISC */
#include "tests/unit/authd/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int64_t fixture_wall_ms = INT64_C(1700000000000);
int64_t fixture_mono_ms = 1000;

static int64_t
wall(void *arg)
{
	(void)arg;
	return fixture_wall_ms;
}

static int64_t
mono(void *arg)
{
	(void)arg;
	return fixture_mono_ms;
}

const struct clock fixture_clock = {wall, mono, NULL};

struct password_record
fixture_password(const char *hash)
{
	struct password_record r = {.hash = slice_text(hash)};

	r.scram.iterations = 5;
	memset(r.scram.salt, 7, sizeof r.scram.salt);
	ck_assert_int_eq(scram_verifier_derive(&r.scram, slice_text(hash)), FAULT_OK);
	return r;
}

static void
open_directory(struct fixture *f)
{
	struct directory_options options = {&fixture_clock, &entropy_system, "mail.example.org"};

	ck_assert_int_eq(directory_open(f->dir, &options, &f->directory), FAULT_OK);
}

void
fixture_open(struct fixture *f)
{
	snprintf(f->dir, sizeof f->dir, "/tmp/pabal-authd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	arena_init(&f->arena, 64 * 1024 * 1024);
	open_directory(f);
}

void
fixture_reopen(struct fixture *f)
{
	directory_close(f->directory);
	open_directory(f);
}

void
fixture_close(struct fixture *f)
{
	char path[512];
	DIR *dir = opendir(f->dir);
	struct dirent *entry;

	directory_close(f->directory);
	arena_clear(&f->arena);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", f->dir, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(f->dir);
}

void
fixture_domain(struct fixture *f, const char *name)
{
	ck_assert_int_eq(directory_add_domain(f->directory, slice_text(name)), FAULT_OK);
}

uint64_t
fixture_account(struct fixture *f, const char *address)
{
	struct password_record password = fixture_password("$hash");
	uint64_t id = 0;
	enum fault fault = directory_add_account(f->directory, slice_text(address), &password, &id);

	ck_assert_msg(fault == FAULT_OK, "%s: %s: %s", address, fault_name(fault),
		directory_reason(f->directory));
	ck_assert(id != 0);
	fixture_wall_ms += 1000; /* so that there is an oldest one */
	return id;
}

void
fixture_alias(struct fixture *f, const char *alias, const char *target)
{
	struct slice to = slice_text(target);
	enum fault fault = directory_add_alias(f->directory, slice_text(alias), &to, 1);

	ck_assert_msg(fault == FAULT_OK, "%s -> %s: %s: %s", alias, target, fault_name(fault),
		directory_reason(f->directory));
}

const char *
fixture_expand(struct fixture *f, const char *address)
{
	static char text[8192];
	struct expansions found;
	size_t len = 0;
	enum fault fault = directory_expand(f->directory, slice_text(address), &f->arena, &found);

	if (fault != FAULT_OK) {
		snprintf(text, sizeof text, "! %s", fault_name(fault));
		return text;
	}
	text[0] = '\0';
	for (size_t i = 0; i < found.count && len < sizeof text - 1000; i++) {
		const struct expansion *e = &found.list[i];
		len += (size_t)snprintf(text + len, sizeof text - len,
			"%s%s%" SLICE_FMT "%s%" SLICE_FMT, i > 0 ? " " : "",
			e->kind == EXPANSION_FORWARD ? ">" : "", SLICE_ARG(e->address),
			e->detail.len > 0 ? "+" : "", SLICE_ARG(e->detail));
	}
	return text;
}
