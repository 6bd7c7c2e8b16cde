/* SPDX-License-Identifier: ISC */
#include "authd/login.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "authd/scram_login.h"
#include "common/mail/base64.h"
#include "tests/unit/authd/fixture.h"

enum { LIMIT = 10 };

static struct fixture f;
static struct event_base *base;
static struct guard *guard;
static struct login_memory *memory;
static struct password_pool *pool;
static struct logins *logins;
static struct scram_logins *scram;
static uint64_t alice;

struct outcome {
	unsigned calls;
	enum fault fault;
	uint64_t account;
	char address[100];
	char message[200];
	struct account_key key; /* what came of it */
	size_t public_len, private_len;
};

static void
on_made(void *arg, const struct password_answer *answer)
{
	struct password_record record = {.hash = slice_text(answer->hash), .scram = answer->scram};

	ck_assert_int_eq(answer->fault, FAULT_OK);
	ck_assert_int_eq(directory_set_password(f.directory, slice_text(arg), &record), FAULT_OK);
}

static void
set_password(const char *address, const char *password)
{
	struct secret prepared;
	const char *why;

	ck_assert_int_eq(password_prepare_new(slice_text(password), &prepared, &why), FAULT_OK);
	ck_assert_int_eq(
		password_make(pool, &prepared, on_made, (void *)(uintptr_t)address), FAULT_OK);
	ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

static void
begin(void)
{
	struct password_options options = {{8192, 1}, 2, &entropy_system};

	fixture_open(&f);
	fixture_domain(&f, "example.org");
	alice = fixture_account(&f, "alice@example.org");
	base = event_base_new();
	ck_assert_int_eq(password_pool_new(base, &options, &pool), FAULT_OK);
	ck_assert_int_eq(guard_new(&fixture_clock, &entropy_system, LIMIT, &guard), FAULT_OK);
	ck_assert_int_eq(
		login_memory_new(&fixture_clock, &entropy_system, 300000, &memory), FAULT_OK);
	struct login_parts parts = {base, &fixture_clock, f.directory, guard, memory, pool};
	ck_assert_int_eq(logins_new(&parts, &logins), FAULT_OK);
	ck_assert_int_eq(scram_logins_new(logins, &entropy_system, &scram), FAULT_OK);
	set_password("alice@example.org", "alice pass \"w\\ord\"");
}

static void
end(void)
{
	password_pool_free(pool);
	scram_logins_free(scram);
	logins_free(logins);
	login_memory_free(memory);
	guard_free(guard);
	event_base_free(base);
	fixture_close(&f);
}

static void
on_login(void *arg, const struct login_result *result)
{
	struct outcome *o = arg;

	o->calls++;
	o->fault = result->fault;
	o->account = result->account;
	snprintf(o->address, sizeof o->address, "%" SLICE_FMT, SLICE_ARG(result->address));
	o->public_len = result->public_key.len;
	o->private_len = result->private_key.len;
	if (o->public_len > 0)
		memcpy(o->key.public_key, result->public_key.data, o->public_len);
	if (o->private_len > 0)
		memcpy(o->key.private_key, result->private_key.data, o->private_len);
}

static void
ask(struct outcome *o, const char *remote, const char *user, const char *password)
{
	struct login_request request = {slice_text(remote), slice_text(user), slice_text(password)};

	login_plain(logins, &request, on_login, o);
}

static void
wait_for(const struct outcome *o, unsigned calls)
{
	for (int i = 0; i < 1000 && o->calls < calls; i++)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_uint_eq(o->calls, calls);
}

static enum fault
login_from(const char *remote, const char *user, const char *password)
{
	struct outcome o = {0};

	ask(&o, remote, user, password);
	wait_for(&o, 1);
	return o.fault;
}

#define RIGHT "alice pass \"w\\ord\""

START_TEST(the_right_password_logs_in_and_is_remembered)
{
	struct outcome o = {0};

	ask(&o, "192.0.2.1", "Alice@EXAMPLE.org", RIGHT);
	ck_assert_uint_eq(o.calls, 0); /* never hashed on the event loop */
	wait_for(&o, 1);
	ck_assert_int_eq(o.fault, FAULT_OK);
	ck_assert(o.account == alice);
	ck_assert_str_eq(o.address, "alice@example.org");
	ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	ck_assert_uint_eq(o.calls, 2); /* at once */
	ck_assert_uint_eq(logins_counters(logins)->hashed, 1);
	fixture_mono_ms += 300000;
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_OK);
	ck_assert_uint_eq(logins_counters(logins)->hashed, 2);
}
END_TEST

START_TEST(wrong_unknown_and_unsayable_fail_alike)
{
	ck_assert_int_eq(
		login_from("192.0.2.1", "alice@example.org", "wrong pass"), FAULT_AUTH_FAILED);
	ck_assert_int_eq(login_from("192.0.2.1", "nobody@example.org", RIGHT), FAULT_AUTH_FAILED);
	ck_assert_int_eq(login_from("192.0.2.1", "no address", RIGHT), FAULT_AUTH_FAILED);
	ck_assert_int_eq(login_from("192.0.2.1", "", ""), FAULT_AUTH_FAILED);
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", "a\nb"), FAULT_AUTH_FAILED);
	/* Every guess was hashed, also that of the unknown: time does not tell. */
	ck_assert_uint_eq(logins_counters(logins)->hashed, 3);
}
END_TEST

/* One wrong password in Thunderbird is AUTHENTICATE PLAIN, AUTHENTICATE LOGIN and LOGIN. */
START_TEST(the_same_wrong_password_again_is_no_new_guess)
{
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", "old password"),
			FAULT_AUTH_FAILED);
	ck_assert_uint_eq(logins_counters(logins)->hashed, 1);
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_OK);
}
END_TEST

START_TEST(guesses_are_slowed_and_the_owner_is_not)
{
	char guess[32];
	enum fault fault = FAULT_OK;
	unsigned n = 0;

	ck_assert_int_eq(login_from("203.0.113.7", "alice@example.org", RIGHT), FAULT_OK);
	while (n < 100 && fault != FAULT_AUTH_SLOWED) {
		snprintf(guess, sizeof guess, "guess number %u", n++);
		fault = login_from("192.0.2.1", "alice@example.org", guess);
	}
	ck_assert_uint_eq(n, LIMIT + 2);
	/* Not even the right password, and not even a remembered one, passes a closed door. */
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_AUTH_SLOWED);
	ck_assert_int_eq(login_from("203.0.113.7", "alice@example.org", RIGHT), FAULT_OK);
	fixture_mono_ms += 300000;
	ck_assert_int_eq(login_from("203.0.113.7", "alice@example.org", RIGHT), FAULT_OK);
}
END_TEST

START_TEST(a_network_is_known_also_after_a_restart)
{
	ck_assert_int_eq(login_from("203.0.113.7", "alice@example.org", RIGHT), FAULT_OK);
	password_pool_free(pool);
	scram_logins_free(scram);
	logins_free(logins);
	guard_free(guard);
	fixture_reopen(&f);
	struct password_options options = {{8192, 1}, 1, &entropy_system};
	ck_assert_int_eq(password_pool_new(base, &options, &pool), FAULT_OK);
	ck_assert_int_eq(guard_new(&fixture_clock, &entropy_system, LIMIT, &guard), FAULT_OK);
	struct login_parts parts = {base, &fixture_clock, f.directory, guard, memory, pool};
	ck_assert_int_eq(logins_new(&parts, &logins), FAULT_OK);
	ck_assert_int_eq(scram_logins_new(logins, &entropy_system, &scram), FAULT_OK);
	for (unsigned i = 0; i < 100; i++) {
		struct guard_who w = {.name = SLICE("alice@example.org")};
		guard_network(SLICE("192.0.2.1"), &w);
		guard_charge(guard, &w);
	}
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_AUTH_SLOWED);
	ck_assert_int_eq(login_from("203.0.113.7", "alice@example.org", RIGHT), FAULT_OK);
	/* But not for ever. */
	fixture_wall_ms += LOGIN_NETWORK_MS;
	ck_assert_int_eq(login_from("203.0.113.7", "alice@example.org", RIGHT), FAULT_AUTH_SLOWED);
}
END_TEST

START_TEST(equal_logins_at_the_same_time_cost_one_hash)
{
	struct outcome o = {0};

	for (int i = 0; i < 200; i++)
		ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	wait_for(&o, 200);
	ck_assert_int_eq(o.fault, FAULT_OK);
	ck_assert_uint_eq(logins_counters(logins)->hashed, 1);
}
END_TEST

START_TEST(too_many_at_once_are_answered_busy)
{
	struct outcome o[PASSWORD_QUEUE_MAX + 70] = {0};
	char user[64], remote[64];
	size_t busy = 0, count = sizeof o / sizeof o[0];

	for (size_t i = 0; i < count; i++) {
		snprintf(user, sizeof user, "user%zu@example.org", i);
		snprintf(remote, sizeof remote, "198.51.%zu.%zu", i / 250, i % 250);
		ask(&o[i], remote, user, "a password");
	}
	for (size_t i = 0; i < count; i++) {
		wait_for(&o[i], 1);
		busy += o[i].fault == FAULT_BUSY;
		ck_assert(o[i].fault == FAULT_BUSY || o[i].fault == FAULT_AUTH_FAILED);
	}
	ck_assert_uint_lt(busy, 71);
}
END_TEST

START_TEST(a_pool_that_ends_answers_all)
{
	struct outcome o = {0};
	char user[64];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(user, sizeof user, "user%u@example.org", i);
		ask(&o, "", user, "a password");
	}
	password_pool_free(pool);
	pool = NULL;
	ck_assert_uint_eq(o.calls, 20);
}
END_TEST

START_TEST(disabled_accounts_do_not_log_in)
{
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_OK);
	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("alice@example.org"), true), FAULT_OK);
	ck_assert_int_eq(
		login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_ACCOUNT_DISABLED);
	ck_assert_int_eq(
		login_from("192.0.2.1", "alice@example.org", "wrong pass"), FAULT_AUTH_FAILED);
}
END_TEST

START_TEST(a_new_password_ends_the_old_at_once)
{
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_OK);
	ck_assert_int_eq(
		login_from("192.0.2.1", "alice@example.org", "new password"), FAULT_AUTH_FAILED);
	set_password("alice@example.org", "new password");
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_AUTH_FAILED);
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", "new password"), FAULT_OK);
}
END_TEST

START_TEST(new_passwords_have_rules)
{
	struct secret prepared;
	const char *why = NULL;

	ck_assert_int_eq(password_prepare_new(SLICE("1234567"), &prepared, &why), FAULT_LIMIT);
	ck_assert_ptr_nonnull(why);
	ck_assert_uint_eq(prepared.len, 0);
	ck_assert_int_eq(password_prepare_new(SLICE("12345678"), &prepared, &why), FAULT_OK);
	/* Characters, not bytes. */
	ck_assert_int_eq(
		password_prepare_new(SLICE("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"), &prepared, &why),
		FAULT_LIMIT);
	ck_assert_int_eq(password_prepare_new(SLICE("pass\nword"), &prepared, &why), FAULT_SYNTAX);
}
END_TEST

/* The client's half of SCRAM, for the tests. */
struct client {
	char first_bare[200], server_first[400], final[600];
	uint64_t exchange;
};

static enum fault
start_scram(struct client *c, uint64_t owner, const char *remote, const char *user)
{
	char first[256];
	struct buffer out;

	snprintf(c->first_bare, sizeof c->first_bare, "n=%s,r=clientnonce", user);
	snprintf(first, sizeof first, "n,,%s", c->first_bare);
	struct scram_start request = {owner, slice_text(remote), slice_text(first)};
	buffer_init(&out, 4096);
	enum fault fault = scram_login_start(scram, &request, &c->exchange, &out);
	snprintf(c->server_first, sizeof c->server_first, "%" SLICE_FMT,
		SLICE_ARG(buffer_slice(&out)));
	buffer_clear(&out);
	return fault;
}

static void
hmac(const uint8_t *key, const char *text, uint8_t *to)
{
	HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, strlen(text), to, NULL);
}

static void
make_final(struct client *c, const char *password)
{
	char *salt_text = strstr(c->server_first, ",s=") + 3;
	char *comma = strchr(salt_text, ',');
	char without_proof[400], message[1200];
	uint8_t salted[32], key[32], stored[32], signature[32];
	struct buffer salt, proof;
	size_t nonce_len = (size_t)(salt_text - 3 - (c->server_first + 2));

	buffer_init(&salt, 64);
	buffer_init(&proof, 64);
	ck_assert_int_eq(
		base64_decode(slice_make(salt_text, (size_t)(comma - salt_text)), &salt), FAULT_OK);
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password),
		(const unsigned char *)buffer_slice(&salt).data, (int)buffer_len(&salt),
		SCRAM_ITERATIONS, EVP_sha256(), 32, salted);
	hmac(salted, "Client Key", key);
	SHA256(key, 32, stored);
	snprintf(without_proof, sizeof without_proof, "c=biws,r=%.*s", (int)nonce_len,
		c->server_first + 2);
	snprintf(
		message, sizeof message, "%s,%s,%s", c->first_bare, c->server_first, without_proof);
	hmac(stored, message, signature);
	for (int i = 0; i < 32; i++)
		key[i] ^= signature[i];
	base64_encode(slice_make(key, 32), &proof);
	snprintf(c->final, sizeof c->final, "%s,p=%" SLICE_FMT, without_proof,
		SLICE_ARG(buffer_slice(&proof)));
	buffer_clear(&salt);
	buffer_clear(&proof);
}

static void
on_scram(void *arg, const struct login_result *result, struct slice message)
{
	struct outcome *o = arg;

	on_login(o, result);
	snprintf(o->message, sizeof o->message, "%" SLICE_FMT, SLICE_ARG(message));
}

static struct outcome
finish_scram(const struct client *c, uint64_t owner)
{
	struct outcome o = {0};
	struct scram_finish request = {owner, c->exchange, slice_text(c->final)};

	scram_login_finish(scram, &request, on_scram, &o);
	wait_for(&o, 1);
	return o;
}

static struct outcome
scram_from(const char *remote, const char *user, const char *password)
{
	struct client c;

	ck_assert_int_eq(start_scram(&c, 1, remote, user), FAULT_OK);
	make_final(&c, password);
	return finish_scram(&c, 1);
}

START_TEST(scram_logs_in_once)
{
	struct client c;
	struct outcome o;

	ck_assert_int_eq(start_scram(&c, 1, "192.0.2.1", "Alice@example.org"), FAULT_OK);
	make_final(&c, RIGHT);
	o = finish_scram(&c, 2); /* another link must not finish it */
	ck_assert_int_eq(o.fault, FAULT_EXPIRED);
	o = finish_scram(&c, 1);
	ck_assert_int_eq(o.fault, FAULT_OK);
	ck_assert(o.account == alice);
	ck_assert_str_eq(o.address, "alice@example.org");
	ck_assert(strncmp(o.message, "v=", 2) == 0);
	o = finish_scram(&c, 1);
	ck_assert_int_eq(o.fault, FAULT_EXPIRED);
}
END_TEST

START_TEST(scram_fails_at_the_end_for_wrong_and_unknown_alike)
{
	struct client a, b, known;
	struct outcome o = scram_from("192.0.2.1", "alice@example.org", "wrong pass");

	ck_assert_int_eq(o.fault, FAULT_AUTH_FAILED);
	ck_assert_str_eq(o.message, "e=invalid-proof");
	o = scram_from("192.0.2.1", "nobody@example.org", RIGHT);
	ck_assert_int_eq(o.fault, FAULT_AUTH_FAILED);
	ck_assert_str_eq(o.message, "e=invalid-proof");
	/* The salt of an unknown user is the same each time, and looks like any other. */
	ck_assert_int_eq(start_scram(&a, 1, "", "nobody@example.org"), FAULT_OK);
	ck_assert_int_eq(start_scram(&b, 1, "", "Nobody@example.org"), FAULT_OK);
	ck_assert_int_eq(start_scram(&known, 1, "", "alice@example.org"), FAULT_OK);
	ck_assert_str_eq(strstr(a.server_first, ",s="), strstr(b.server_first, ",s="));
	ck_assert_uint_eq(strlen(a.server_first), strlen(known.server_first));
	ck_assert_str_ne(a.server_first, b.server_first);
}
END_TEST

START_TEST(scram_guesses_are_slowed_also_when_begun_together)
{
	static struct client clients[LIMIT + 5];
	unsigned failed = 0, slowed = 0;

	for (size_t i = 0; i < LIMIT + 5; i++)
		ck_assert_int_eq(
			start_scram(&clients[i], 1, "192.0.2.1", "alice@example.org"), FAULT_OK);
	for (size_t i = 0; i < LIMIT + 5; i++) {
		make_final(&clients[i], "a guess");
		struct outcome o = finish_scram(&clients[i], 1);
		failed += o.fault == FAULT_AUTH_FAILED;
		slowed += o.fault == FAULT_AUTH_SLOWED;
	}
	ck_assert_uint_eq(failed, LIMIT + 1);
	ck_assert_uint_eq(slowed, 4);
	ck_assert_int_eq(
		start_scram(&clients[0], 1, "192.0.2.1", "alice@example.org"), FAULT_AUTH_SLOWED);
}
END_TEST

START_TEST(scram_exchanges_end_by_time_and_number)
{
	struct client first, c;

	ck_assert_int_eq(start_scram(&first, 1, "", "alice@example.org"), FAULT_OK);
	make_final(&first, RIGHT);
	fixture_mono_ms += SCRAM_EXCHANGE_MS;
	ck_assert_int_eq(finish_scram(&first, 1).fault, FAULT_EXPIRED);
	ck_assert_int_eq(start_scram(&first, 1, "", "alice@example.org"), FAULT_OK);
	make_final(&first, RIGHT);
	for (int i = 0; i < SCRAM_EXCHANGES_MAX; i++)
		ck_assert_int_eq(start_scram(&c, 1, "", "alice@example.org"), FAULT_OK);
	ck_assert_int_eq(finish_scram(&first, 1).fault, FAULT_EXPIRED);
	make_final(&c, RIGHT);
	ck_assert_int_eq(finish_scram(&c, 1).fault, FAULT_OK);
}
END_TEST

START_TEST(a_flood_of_exchanges_drops_its_own)
{
	struct client honest = {0}, c = {0};

	ck_assert_int_eq(start_scram(&honest, 1, "198.51.100.7", "alice@example.org"), FAULT_OK);
	for (int i = 0; i < 2 * SCRAM_EXCHANGES_MAX; i++)
		ck_assert_int_eq(start_scram(&c, 1, "192.0.2.1", "nobody@example.org"), FAULT_OK);
	make_final(&honest, RIGHT);
	ck_assert_int_eq(finish_scram(&honest, 1).fault, FAULT_OK);
}
END_TEST

START_TEST(scram_minds_disabling_and_new_passwords)
{
	struct client c;
	struct outcome o;

	ck_assert_int_eq(start_scram(&c, 1, "", "alice@example.org"), FAULT_OK);
	make_final(&c, RIGHT);
	set_password("alice@example.org", "new password");
	ck_assert_int_eq(finish_scram(&c, 1).fault, FAULT_AUTH_FAILED);
	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("alice@example.org"), true), FAULT_OK);
	o = scram_from("", "alice@example.org", "new password");
	ck_assert_int_eq(o.fault, FAULT_ACCOUNT_DISABLED);
	ck_assert_str_eq(o.message, "e=other-error");
}
END_TEST

START_TEST(scram_refuses_binding_and_acting_for_others)
{
	struct buffer out;
	uint64_t exchange;
	struct scram_start request = {1, SLICE(""), SLICE("p=tls-unique,,n=a@b,r=x")};

	buffer_init(&out, 1000);
	ck_assert_int_eq(scram_login_start(scram, &request, &exchange, &out), FAULT_UNSUPPORTED);
	ck_assert_slice_eq(buffer_slice(&out), "e=channel-binding-not-supported");
	buffer_reset(&out);
	request.message = SLICE("n,a=bob@example.org,n=alice@example.org,r=x");
	ck_assert_int_eq(scram_login_start(scram, &request, &exchange, &out), FAULT_AUTH_FAILED);
	buffer_reset(&out);
	request.message = SLICE("n,a=alice@example.org,n=alice@example.org,r=x");
	ck_assert_int_eq(scram_login_start(scram, &request, &exchange, &out), FAULT_OK);
	buffer_clear(&out);
}
END_TEST

/* Gives alice a key pair that RIGHT opens. */
static struct account_key
encrypt_alice(void)
{
	struct account_key_record record = {.exists = true, .seals = true};
	struct account_key_owner owner = {alice, &entropy_system};
	uint8_t client_key[CLIENT_KEY_LEN];
	struct account_key key;
	struct account account;

	ck_assert_int_eq(directory_get_account(f.directory, alice, &f.arena, &account), FAULT_OK);
	struct scram_verifier v = account.record.scram;
	ck_assert_int_eq(scram_verifier_derive_key(&v, SLICE(RIGHT), client_key), FAULT_OK);
	account_key_make(&entropy_system, &key);
	memcpy(record.public_key, key.public_key, sizeof key.public_key);
	account_key_wrap_password(&owner, &key, client_key, &record);
	ck_assert_int_eq(
		directory_set_key(f.directory, SLICE("alice@example.org"), &record, v.stored_key),
		FAULT_OK);
	return key;
}

static void
check_opened(const struct outcome *o, const struct account_key *key)
{
	ck_assert_int_eq(o->fault, FAULT_OK);
	ck_assert_uint_eq(o->private_len, ACCOUNT_KEY_LEN);
	ck_assert_mem_eq(o->key.private_key, key->private_key, ACCOUNT_KEY_LEN);
	ck_assert_uint_eq(o->public_len, ACCOUNT_KEY_LEN);
	ck_assert_mem_eq(o->key.public_key, key->public_key, ACCOUNT_KEY_LEN);
}

START_TEST(every_kind_of_login_opens_the_key)
{
	struct account_key key = encrypt_alice();
	struct outcome o = {0};

	ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	wait_for(&o, 1);
	check_opened(&o, &key);
	memset(&o, 0, sizeof o);
	ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	ck_assert_uint_eq(o.calls, 1); /* at once, from the memory */
	check_opened(&o, &key);
	ck_assert_uint_eq(logins_counters(logins)->hashed, 1);
	o = scram_from("192.0.2.1", "alice@example.org", RIGHT);
	check_opened(&o, &key);
	o = scram_from("192.0.2.1", "alice@example.org", "wrong pass");
	ck_assert_int_eq(o.fault, FAULT_AUTH_FAILED);
	ck_assert_uint_eq(o.private_len, 0);
	/* New mail is not encrypted any more, old mail still can be read. */
	ck_assert_int_eq(directory_stop_sealing(f.directory, SLICE("alice@example.org")), FAULT_OK);
	o = scram_from("192.0.2.1", "alice@example.org", RIGHT);
	ck_assert(o.fault == FAULT_OK && o.public_len == 0 && o.private_len == ACCOUNT_KEY_LEN);
}
END_TEST

START_TEST(a_login_remembered_without_the_key_is_checked_again)
{
	struct account_key key;
	struct outcome o = {0};

	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_OK);
	key = encrypt_alice();
	ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	wait_for(&o, 1);
	check_opened(&o, &key);
	ck_assert_uint_eq(logins_counters(logins)->hashed, 2);
	login_memory_forget_keys(memory, alice);
	memset(&o, 0, sizeof o);
	ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	wait_for(&o, 1);
	check_opened(&o, &key);
	ck_assert_uint_eq(logins_counters(logins)->hashed, 3);
}
END_TEST

/* The key came while the password was hashed: nobody is let in without it. */
START_TEST(a_login_older_than_the_key_is_to_try_again)
{
	struct outcome o = {0};

	ask(&o, "192.0.2.1", "alice@example.org", RIGHT);
	encrypt_alice();
	wait_for(&o, 1);
	ck_assert_int_eq(o.fault, FAULT_BUSY);
	ck_assert_int_eq(login_from("192.0.2.1", "alice@example.org", RIGHT), FAULT_OK);
}
END_TEST

UNIT(login)
{
	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	unit_add(tc, the_right_password_logs_in_and_is_remembered);
	unit_add(tc, wrong_unknown_and_unsayable_fail_alike);
	unit_add(tc, the_same_wrong_password_again_is_no_new_guess);
	unit_add(tc, guesses_are_slowed_and_the_owner_is_not);
	unit_add(tc, a_network_is_known_also_after_a_restart);
	unit_add(tc, equal_logins_at_the_same_time_cost_one_hash);
	unit_add(tc, too_many_at_once_are_answered_busy);
	unit_add(tc, a_pool_that_ends_answers_all);
	unit_add(tc, disabled_accounts_do_not_log_in);
	unit_add(tc, a_new_password_ends_the_old_at_once);
	unit_add(tc, new_passwords_have_rules);
	unit_add(tc, scram_logs_in_once);
	unit_add(tc, scram_fails_at_the_end_for_wrong_and_unknown_alike);
	unit_add(tc, scram_guesses_are_slowed_also_when_begun_together);
	unit_add(tc, scram_exchanges_end_by_time_and_number);
	unit_add(tc, a_flood_of_exchanges_drops_its_own);
	unit_add(tc, scram_minds_disabling_and_new_passwords);
	unit_add(tc, scram_refuses_binding_and_acting_for_others);
	unit_add(tc, every_kind_of_login_opens_the_key);
	unit_add(tc, a_login_remembered_without_the_key_is_checked_again);
	unit_add(tc, a_login_older_than_the_key_is_to_try_again);
}
