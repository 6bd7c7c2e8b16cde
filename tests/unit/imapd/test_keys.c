/* SPDX-License-Identifier: ISC */
/* Sessions of an account whose mail is encrypted, and others beside them. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/seal.h"
#include "tests/unit/imapd/bench.h"
#include "tests/unit/unit.h"

#define APPEND "x APPEND INBOX {25+}\r\nSubject: kept\r\n\r\nsecret\r\n\r\n"

static const struct bench_options under_tls = {.tls = true};
static struct bench *b;
static uint8_t public_key[SEAL_KEY_LEN], private_key[SEAL_KEY_LEN];

static void
begin(void)
{
	b = calloc(1, sizeof *b);
	ck_assert_ptr_nonnull(b);
	ck_assert_int_ge(sodium_init(), 0);
	ck_assert_int_eq(crypto_box_keypair(public_key, private_key), 0);
	bench_open(b);
}

static void
end(void)
{
	bench_close(b);
	free(b);
}

static void
log_in(unsigned client, const char *login)
{
	bench_connect(b, client, &under_tls);
	bench_send(b, client, slice_text(login), 0);
	bench_send(b, client, SLICE("s SELECT INBOX\r\n"), 0);
	buffer_reset(&b->clients[client].output);
}

/* Is the text in what the client gets for its command? */
static bool
says(unsigned client, const char *command, const char *text)
{
	struct buffer *output = &b->clients[client].output;

	bench_send(b, client, slice_text(command), 0);
	bool found = slice_find(buffer_slice(output), slice_text(text)) < buffer_len(output);
	if (!found)
		fprintf(stderr, "%.*s", (int)buffer_len(output), buffer_slice(output).data);
	buffer_reset(output);
	return found;
}

#define ALICE "l LOGIN alice@example.org secret\r\n"
#define BOB "l LOGIN bob@example.org secret\r\n"

START_TEST(what_is_appended_is_sealed_and_opens_for_its_session_alone)
{
	b->public_key = slice_make(public_key, sizeof public_key);
	b->private_key = slice_make(private_key, sizeof private_key);
	log_in(0, ALICE);
	log_in(1, BOB);
	ck_assert(says(0, APPEND, "x OK [APPENDUID"));
	ck_assert(says(1, APPEND, "x OK [APPENDUID"));
	/* A login that brings no key, as of before the encryption; it has bob's key in between. */
	b->public_key = b->private_key = SLICE("");
	log_in(2, ALICE);
	for (int i = 0; i < 3; i++) {
		ck_assert(says(0, "f FETCH 1 BODY.PEEK[TEXT]\r\n", "secret"));
		ck_assert(says(1, "f FETCH 1 BODY.PEEK[TEXT]\r\n", "secret"));
		ck_assert(says(2, "f FETCH 1 BODY.PEEK[TEXT]\r\n", "f NO [NOPERM]"));
		ck_assert(says(2, "f FETCH 1 ENVELOPE\r\n", "NIL NIL NIL"));
		ck_assert(says(2, "f SEARCH BODY secret\r\n", "f NO [NOPERM]"));
		ck_assert(says(0, "f SEARCH BODY secret\r\n", "* SEARCH 1\r\n"));
	}
	bench_disconnect(b, 0);
	ck_assert(says(2, "f FETCH 1 BODY.PEEK[TEXT]\r\n", "f NO [NOPERM]"));
}
END_TEST

START_TEST(nothing_is_sealed_to_a_key_that_the_session_cannot_open)
{
	static const uint8_t another[SEAL_KEY_LEN] = {1};

	b->public_key = slice_make(public_key, sizeof public_key);
	log_in(0, ALICE);
	ck_assert(says(0, APPEND, "x NO [NOPERM]"));
	b->private_key = slice_make(another, sizeof another);
	log_in(1, ALICE);
	ck_assert(says(1, APPEND, "x NO [NOPERM]"));
	ck_assert(says(1, "t STATUS INBOX (MESSAGES)\r\n", "(MESSAGES 0)"));
}
END_TEST

UNIT(keys)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, what_is_appended_is_sealed_and_opens_for_its_session_alone);
	unit_add(tc, nothing_is_sealed_to_a_key_that_the_session_cannot_open);
}
