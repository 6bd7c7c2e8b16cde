/* SPDX-License-Identifier: ISC */
#include "authd/scram.h"

#include "authd/saslprep.h"
#include "common/mail/base64.h"
#include "tests/unit/unit.h"

/* The example of RFC 7677 3: user "user", password "pencil". */
#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST                                                                               \
	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CLIENT_FINAL "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct buffer out;
static struct scram_exchange e;

static void
begin(void)
{
	struct buffer salt;

	buffer_init(&out, 4096);
	buffer_init(&salt, 64);
	e = (struct scram_exchange){.verifier.iterations = 4096,
		.gs2_header = SLICE("n,,"),
		.first_bare = SLICE("n=user,r=rOprNGfwEbeRWgbNEkqO"),
		.server_first = SLICE(SERVER_FIRST),
		.nonce = SLICE(NONCE)};
	ck_assert_int_eq(base64_decode(SLICE("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt), FAULT_OK);
	memcpy(e.verifier.salt, buffer_slice(&salt).data, SCRAM_SALT_LEN);
	buffer_clear(&salt);
	ck_assert_int_eq(scram_verifier_derive(&e.verifier, SLICE("pencil")), FAULT_OK);
}

static void
end(void)
{
	buffer_clear(&out);
}

static enum fault
check(const char *client_final)
{
	struct scram_final final;
	uint8_t client_key[SCRAM_KEY_LEN];
	enum fault fault = scram_parse_final(slice_text(client_final), &final);

	buffer_reset(&out);
	return fault != FAULT_OK ? fault : scram_check(&e, &final, &out, client_key);
}

START_TEST(the_example_of_rfc_7677_works)
{
	struct scram_first first;

	ck_assert_int_eq(scram_parse_first(SLICE(CLIENT_FIRST), &first), FAULT_OK);
	ck_assert_slice_eq(first.user, "user");
	ck_assert_slice_eq(first.nonce, "rOprNGfwEbeRWgbNEkqO");
	ck_assert_slice_eq(first.bare, "n=user,r=rOprNGfwEbeRWgbNEkqO");
	ck_assert_slice_eq(first.gs2_header, "n,,");
	scram_format_server_first(&e.verifier, SLICE(NONCE), &out);
	ck_assert_slice_eq(buffer_slice(&out), SERVER_FIRST);
	ck_assert_int_eq(check(CLIENT_FINAL), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), SERVER_FINAL);
}
END_TEST

START_TEST(another_password_nonce_or_binding_fails)
{
	/* One letter of the proof. */
	ck_assert_int_eq(check("c=biws,r=" NONCE ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		FAULT_AUTH_FAILED);
	ck_assert_slice_eq(buffer_slice(&out), "e=invalid-proof");
	/* "y,," where the client had said "n,,". */
	ck_assert_int_eq(check("c=eSws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		FAULT_AUTH_FAILED);
	ck_assert_int_eq(
		check("c=biws,r=" NONCE "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		FAULT_AUTH_FAILED);
	/* An extension is part of what is proved. */
	ck_assert_int_eq(
		check("c=biws,r=" NONCE ",x=1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		FAULT_AUTH_FAILED);
	ck_assert_int_eq(scram_verifier_derive(&e.verifier, SLICE("pencils")), FAULT_OK);
	ck_assert_int_eq(check(CLIENT_FINAL), FAULT_AUTH_FAILED);
}
END_TEST

START_TEST(a_proof_that_is_no_hash_is_a_syntax_error)
{
	ck_assert_int_eq(check("c=biws,r=" NONCE ",p=YWJj"), FAULT_SYNTAX);
	ck_assert_slice_eq(buffer_slice(&out), "e=invalid-encoding");
	ck_assert_int_eq(check("c=biws,r=" NONCE ",p=a"), FAULT_SYNTAX);
}
END_TEST

START_TEST(first_messages_by_rule)
{
	static const struct {
		const char *text;
		enum fault fault;
	} rows[] = {
		{"n,,n=u,r=abc", FAULT_OK},
		{"y,,n=u,r=abc", FAULT_OK},
		{"n,a=u,n=u,r=abc", FAULT_OK},
		{"n,,n=u,r=abc,x=1,y=2", FAULT_OK},
		{"n,,n=a=2Cb=3D,r=abc", FAULT_OK},
		{"p=tls-unique,,n=u,r=abc", FAULT_UNSUPPORTED},
		{"n,,m=x,n=u,r=abc", FAULT_UNSUPPORTED},
		{"", FAULT_SYNTAX},
		{"n", FAULT_SYNTAX},
		{"n,n=u,r=abc", FAULT_SYNTAX},
		{"n,,n=,r=abc", FAULT_SYNTAX},
		{"n,,n=u,r=", FAULT_SYNTAX},
		{"n,,n=u", FAULT_SYNTAX},
		{"n,,r=abc,n=u", FAULT_SYNTAX},
		{"n,,n=u,r=a\xc3\xa9", FAULT_SYNTAX},
		{"n,,n=u,r=abc,", FAULT_SYNTAX},
		{"n,,n=u,r=abc,1=2", FAULT_SYNTAX},
		{"x,,n=u,r=abc", FAULT_SYNTAX},
	};
	struct scram_first first;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(scram_parse_first(slice_text(rows[i].text), &first) == rows[i].fault,
			"%s", rows[i].text);
}
END_TEST

START_TEST(final_messages_by_rule)
{
	static const char *const wrong[] = {"", "p=YQ==", "c=biws,p=YQ==", "c=biws,r=x",
		"r=x,c=biws,p=YQ==", "c=biws,r=x,p=", "c=biws,r=x,p=YQ==,x=1",
		"c=,r=x,p=YQ==", "c=biws,r=x y,p=YQ=="};
	struct scram_final final;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_msg(scram_parse_final(slice_text(wrong[i]), &final) == FAULT_SYNTAX, "%s",
			wrong[i]);
	ck_assert_int_eq(scram_parse_final(SLICE("c=biws,r=x,e=f,p=YQ=="), &final), FAULT_OK);
	ck_assert_slice_eq(final.without_proof, "c=biws,r=x,e=f");
}
END_TEST

START_TEST(names_are_unescaped)
{
	static char longest[SCRAM_NAME_MAX + 1];

	ck_assert_int_eq(scram_unescape_name(SLICE("a=2Cb=3Dc@x"), &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), "a,b=c@x");
	ck_assert_int_eq(scram_unescape_name(SLICE("a=2c"), &out), FAULT_SYNTAX);
	ck_assert_int_eq(scram_unescape_name(SLICE("a="), &out), FAULT_SYNTAX);
	buffer_reset(&out);
	ck_assert_int_eq(scram_unescape_name(SLICE("\xff"), &out), FAULT_SYNTAX);
	buffer_reset(&out);
	memset(longest, 'a', sizeof longest);
	ck_assert_int_eq(
		scram_unescape_name(slice_make(longest, sizeof longest), &out), FAULT_TOO_LONG);
}
END_TEST

/* RFC 4013 3, and more. */
START_TEST(passwords_are_prepared_by_saslprep)
{
	static const struct {
		const char *in, *prepared; /* NULL: refused */
	} rows[] = {
		{"I\xc2\xadX", "IX"},
		{"user", "user"},
		{"USER", "USER"},
		{"\xc2\xaa", "a"},
		{"\xe2\x85\xa8", "IX"},
		{"\x07", NULL},
		{"\xd8\xa7"
		 "1",
			NULL},
		{"carol pass \"w\\ord\"", "carol pass \"w\\ord\""},
		{"a\xc2\xa0z", "a z"}, /* no-break space */
		{"p\xc3\xa4ss", "p\xc3\xa4ss"},
		{"pa\xcc\x88ss", "p\xc3\xa4ss"}, /* a and a combining diaeresis */
		{"\xf0\x9f\x90\xb4 horse", "\xf0\x9f\x90\xb4 horse"},
		{"a\nb", NULL},
		{"\xc3", NULL},
		{"\xc2\xad", NULL}, /* nothing left */
		{"", NULL},
		{"\xee\x80\x80", NULL}, /* private use */
		{"\xd7\x90\xd7\x91", "\xd7\x90\xd7\x91"},
		{"\xd7\x90"
		 "a\xd7\x91",
			NULL},
	};
	struct secret got;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		enum fault fault = saslprep(slice_text(rows[i].in), &got);
		if (rows[i].prepared == NULL) {
			ck_assert_msg(fault == FAULT_SYNTAX, "row %zu", i);
			ck_assert_uint_eq(got.len, 0);
		} else {
			ck_assert_msg(fault == FAULT_OK, "row %zu", i);
			ck_assert_slice_eq(secret_slice(&got), rows[i].prepared);
		}
	}
}
END_TEST

START_TEST(a_password_that_is_too_long_is_refused)
{
	static char longest[SECRET_MAX + 1];
	struct secret got;

	memset(longest, 'a', sizeof longest);
	ck_assert_int_eq(saslprep(slice_make(longest, SECRET_MAX), &got), FAULT_OK);
	ck_assert_int_eq(saslprep(slice_make(longest, SECRET_MAX + 1), &got), FAULT_TOO_LONG);
	/* U+FDFA becomes 18 characters: longer only after preparing. */
	for (size_t i = 0; i + 3 <= 600; i += 3)
		memcpy(longest + i, "\xef\xb7\xba", 3);
	ck_assert_int_eq(saslprep(slice_make(longest, 600), &got), FAULT_TOO_LONG);
}
END_TEST

UNIT(scram)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, the_example_of_rfc_7677_works);
	unit_add(tc, another_password_nonce_or_binding_fails);
	unit_add(tc, a_proof_that_is_no_hash_is_a_syntax_error);
	unit_add(tc, first_messages_by_rule);
	unit_add(tc, final_messages_by_rule);
	unit_add(tc, names_are_unescaped);
	unit_add(tc, passwords_are_prepared_by_saslprep);
	unit_add(tc, a_password_that_is_too_long_is_refused);
}
