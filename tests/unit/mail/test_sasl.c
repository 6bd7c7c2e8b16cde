/* SPDX-License-Identifier: ISC */
#include "common/mail/sasl.h"

#include "common/mail/base64.h"
#include "tests/unit/unit.h"

/* The client's line for a text. */
static struct slice
encode(struct buffer *room, struct slice text)
{
	buffer_clear(room);
	buffer_init(room, 65536);
	base64_encode(text, room);
	return buffer_slice(room);
}

static enum sasl_step
start(struct sasl *s, enum sasl_mechanism m, struct slice initial)
{
	struct buffer room = {0};
	struct slice line = encode(&room, initial);
	enum sasl_step step = sasl_start(s, m, &line);

	buffer_clear(&room);
	return step;
}

static enum sasl_step
line(struct sasl *s, struct slice text)
{
	struct buffer room = {0};
	enum sasl_step step = sasl_line(s, encode(&room, text));

	buffer_clear(&room);
	return step;
}

static const struct {
	const char *rule;
	struct slice message;
	enum sasl_step step;
	const char *user, *password;
} plain_rows[] = {
	{"RFC 4616 4", SLICE_LITERAL("\0tim\0tanstaaftanstaaf"), SASL_CHECK_PASSWORD, "tim",
		"tanstaaftanstaaf"},
	{"the same authzid", SLICE_LITERAL("tim\0tim\0x"), SASL_CHECK_PASSWORD, "tim", "x"},
	{"to act for another", SLICE_LITERAL("Ursel\0Kurt\0xipj3plmq"), SASL_FAILED, "", ""},
	{"no password", SLICE_LITERAL("\0tim\0"), SASL_MALFORMED, "", ""},
	{"no user", SLICE_LITERAL("\0\0x"), SASL_MALFORMED, "", ""},
	{"one NUL", SLICE_LITERAL("tim\0x"), SASL_MALFORMED, "", ""},
	{"three NULs", SLICE_LITERAL("\0tim\0x\0y"), SASL_MALFORMED, "", ""},
	{"no UTF-8", SLICE_LITERAL("\0t\xffm\0x"), SASL_MALFORMED, "", ""},
	{"backslash and space", SLICE_LITERAL("\0carol\0w\\ord \" x"), SASL_CHECK_PASSWORD, "carol",
		"w\\ord \" x"},
	{"nothing", SLICE_LITERAL(""), SASL_MALFORMED, "", ""},
};

START_TEST(plain_messages)
{
	for (size_t i = 0; i < sizeof plain_rows / sizeof plain_rows[0]; i++) {
		struct sasl s;
		enum sasl_step step = start(&s, SASL_PLAIN, plain_rows[i].message);

		ck_assert_msg(step == plain_rows[i].step, "%s", plain_rows[i].rule);
		if (step == SASL_CHECK_PASSWORD) {
			ck_assert_slice_eq(sasl_user(&s), plain_rows[i].user);
			ck_assert_slice_eq(secret_slice(&s.password), plain_rows[i].password);
		}
		sasl_clear(&s);
		sasl_clear(&s);
	}
}
END_TEST

START_TEST(plain_without_initial_response)
{
	struct sasl s;

	ck_assert_int_eq(sasl_start(&s, SASL_PLAIN, NULL), SASL_CHALLENGE);
	ck_assert_slice_eq(sasl_challenge(&s), "");
	ck_assert_int_eq(line(&s, SLICE("\0a\0b")), SASL_CHECK_PASSWORD);
	/* Nothing is awaited any more. */
	ck_assert_int_eq(line(&s, SLICE("\0a\0b")), SASL_MALFORMED);
	sasl_clear(&s);
}
END_TEST

START_TEST(login_asks_twice)
{
	struct sasl s;

	ck_assert_int_eq(sasl_start(&s, SASL_LOGIN, NULL), SASL_CHALLENGE);
	ck_assert_slice_eq(sasl_challenge(&s), "VXNlcm5hbWU6");
	ck_assert_int_eq(line(&s, SLICE("alice")), SASL_CHALLENGE);
	ck_assert_slice_eq(sasl_challenge(&s), "UGFzc3dvcmQ6");
	ck_assert_int_eq(line(&s, SLICE("secret")), SASL_CHECK_PASSWORD);
	ck_assert_slice_eq(sasl_user(&s), "alice");
	ck_assert_slice_eq(secret_slice(&s.password), "secret");
	sasl_clear(&s);
}
END_TEST

START_TEST(star_cancels_and_bad_base64_is_malformed)
{
	struct sasl s;

	ck_assert_int_eq(sasl_start(&s, SASL_LOGIN, NULL), SASL_CHALLENGE);
	ck_assert_int_eq(sasl_line(&s, SLICE("*")), SASL_CANCELLED);
	sasl_clear(&s);
	ck_assert_int_eq(sasl_start(&s, SASL_LOGIN, NULL), SASL_CHALLENGE);
	ck_assert_int_eq(sasl_line(&s, SLICE("a=b")), SASL_MALFORMED);
	sasl_clear(&s);
	struct slice empty = SLICE("=");
	ck_assert_int_eq(sasl_start(&s, SASL_PLAIN, &empty), SASL_MALFORMED);
	sasl_clear(&s);
}
END_TEST

START_TEST(too_long_a_message_is_malformed)
{
	static char big[SASL_MESSAGE_MAX + 10];
	struct sasl s;

	memset(big, 'a', sizeof big);
	big[0] = '\0';
	big[5] = '\0';
	ck_assert_int_eq(start(&s, SASL_PLAIN, slice_make(big, sizeof big)), SASL_MALFORMED);
	sasl_clear(&s);
	ck_assert_int_eq(start(&s, SASL_PLAIN, slice_make(big, SECRET_MAX + 7)), SASL_MALFORMED);
	sasl_clear(&s);
	memset(big + 1, 'u', SASL_NAME_MAX + 1);
	ck_assert_int_eq(
		start(&s, SASL_LOGIN, slice_make(big + 1, SASL_NAME_MAX + 1)), SASL_MALFORMED);
	sasl_clear(&s);
}
END_TEST

/* The exchange of RFC 7677 3. */
START_TEST(scram_goes_by_authd)
{
	struct sasl s;
	struct sasl_scram_answer first = {
		.message = SLICE("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				 "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
	};
	struct sasl_scram_answer last = {
		.message = SLICE("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
		.is_final = true,
	};

	ck_assert_int_eq(start(&s, SASL_SCRAM_SHA_256, SLICE("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")),
		SASL_ASK_SCRAM);
	ck_assert(!sasl_is_final(&s));
	ck_assert_slice_eq(sasl_user(&s), "user");
	ck_assert_slice_eq(sasl_message(&s), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
	ck_assert_int_eq(sasl_answer_scram(&s, &first), SASL_CHALLENGE);
	ck_assert_int_eq(
		line(&s,
			SLICE("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
		SASL_ASK_SCRAM);
	ck_assert(sasl_is_final(&s) && !s.verified);
	ck_assert_int_eq(sasl_answer_scram(&s, &last), SASL_CHALLENGE);
	ck_assert(s.verified);
	ck_assert_int_eq(sasl_line(&s, SLICE("")), SASL_DONE);
	sasl_clear(&s);
}
END_TEST

static const struct {
	const char *rule;
	struct slice message;
	enum sasl_step step;
	const char *user;
} first_rows[] = {
	{"y: the client could bind", SLICE_LITERAL("y,,n=u,r=x"), SASL_ASK_SCRAM, "u"},
	{"p: binding is not offered", SLICE_LITERAL("p=tls-unique,,n=u,r=x"), SASL_MALFORMED, ""},
	{"saslname is decoded", SLICE_LITERAL("n,,n=a=2Cb=3Dc,r=x"), SASL_ASK_SCRAM, "a,b=c"},
	{"another = is wrong", SLICE_LITERAL("n,,n=a=2Db,r=x"), SASL_MALFORMED, ""},
	{"m= must fail", SLICE_LITERAL("n,,m=x,n=u,r=x"), SASL_MALFORMED, ""},
	{"same authzid", SLICE_LITERAL("n,a=u,n=u,r=x"), SASL_ASK_SCRAM, "u"},
	{"other authzid", SLICE_LITERAL("n,a=v,n=u,r=x"), SASL_FAILED, ""},
	{"no name", SLICE_LITERAL("n,,n=,r=x"), SASL_MALFORMED, ""},
	{"no nonce", SLICE_LITERAL("n,,n=u"), SASL_MALFORMED, ""},
	{"empty", SLICE_LITERAL(""), SASL_MALFORMED, ""},
};

START_TEST(scram_first_messages)
{
	for (size_t i = 0; i < sizeof first_rows / sizeof first_rows[0]; i++) {
		struct sasl s;
		enum sasl_step step = start(&s, SASL_SCRAM_SHA_256, first_rows[i].message);

		ck_assert_msg(step == first_rows[i].step, "%s", first_rows[i].rule);
		if (step == SASL_ASK_SCRAM)
			ck_assert_slice_eq(sasl_user(&s), first_rows[i].user);
		sasl_clear(&s);
	}
}
END_TEST

START_TEST(scram_final_must_repeat_the_header)
{
	struct sasl s;
	struct sasl_scram_answer first = {.message = SLICE("r=xy,s=AAAA,i=4096")};

	ck_assert_int_eq(start(&s, SASL_SCRAM_SHA_256, SLICE("y,,n=u,r=x")), SASL_ASK_SCRAM);
	ck_assert_int_eq(sasl_answer_scram(&s, &first), SASL_CHALLENGE);
	ck_assert_int_eq(line(&s, SLICE("c=biws,r=xy,p=AAAA")), SASL_FAILED);
	sasl_clear(&s);
}
END_TEST

START_TEST(scram_refusal_of_authd_fails)
{
	struct sasl s;
	struct sasl_scram_answer no = {.fault = FAULT_AUTH_FAILED};
	struct sasl_scram_answer early = {.message = SLICE("v=x"), .is_final = true};

	ck_assert_int_eq(start(&s, SASL_SCRAM_SHA_256, SLICE("n,,n=u,r=x")), SASL_ASK_SCRAM);
	ck_assert_int_eq(sasl_answer_scram(&s, &no), SASL_FAILED);
	sasl_clear(&s);
	/* A final answer without a proof before it counts for nothing. */
	ck_assert_int_eq(start(&s, SASL_SCRAM_SHA_256, SLICE("n,,n=u,r=x")), SASL_ASK_SCRAM);
	ck_assert_int_eq(sasl_answer_scram(&s, &early), SASL_FAILED);
	ck_assert(!s.verified);
	sasl_clear(&s);
}
END_TEST

START_TEST(mechanisms_are_found_by_name)
{
	enum sasl_mechanism m;

	ck_assert(sasl_mechanism_find(SLICE("scram-sha-256"), &m) && m == SASL_SCRAM_SHA_256);
	ck_assert(!sasl_mechanism_is_clear(m));
	ck_assert(sasl_mechanism_find(SLICE("Plain"), &m) && m == SASL_PLAIN);
	ck_assert(sasl_mechanism_is_clear(m));
	ck_assert(!sasl_mechanism_find(SLICE("PLAI"), &m));
	ck_assert_str_eq(sasl_mechanism_name(SASL_LOGIN), "LOGIN");
}
END_TEST

UNIT(sasl)
{
	unit_add(tc, plain_messages);
	unit_add(tc, plain_without_initial_response);
	unit_add(tc, login_asks_twice);
	unit_add(tc, star_cancels_and_bad_base64_is_malformed);
	unit_add(tc, too_long_a_message_is_malformed);
	unit_add(tc, scram_goes_by_authd);
	unit_add(tc, scram_first_messages);
	unit_add(tc, scram_final_must_repeat_the_header);
	unit_add(tc, scram_refusal_of_authd_fails);
	unit_add(tc, mechanisms_are_found_by_name);
}
