/* SPDX-License-Identifier: ISC */
#include "authd/keys.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/authd/fixture.h"

static char dir[64], chain_path[100], key_path[100];
static struct keys *keys;

static void
begin(void)
{
	snprintf(dir, sizeof dir, "/tmp/pabal-keys-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(chain_path, sizeof chain_path, "%s/chain.pem", dir);
	snprintf(key_path, sizeof key_path, "%s/key.pem", dir);
	ck_assert_int_eq(keys_new(&fixture_clock, &keys), FAULT_OK);
}

static void
end(void)
{
	keys_free(keys);
	unlink(chain_path);
	unlink(key_path);
	rmdir(dir);
}

static EVP_PKEY *
make_rsa(void)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);

	ck_assert_ptr_nonnull(key);
	return key;
}

static EVP_PKEY *
make_ec(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	ck_assert_ptr_nonnull(key);
	return key;
}

static X509 *
make_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -10);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)"mail.example.org", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	return x;
}

/* Both files; the key is written into the chain's file too, as people do. */
static void
write_files(EVP_PKEY *of_chain, EVP_PKEY *of_key)
{
	X509 *x = make_certificate(of_chain);
	FILE *chain = fopen(chain_path, "w"), *key = fopen(key_path, "w");

	ck_assert(PEM_write_X509(chain, x) == 1 && PEM_write_X509(chain, x) == 1);
	ck_assert(PEM_write_PrivateKey(chain, of_key, NULL, NULL, 0, NULL, NULL) == 1);
	ck_assert(PEM_write_PrivateKey(key, of_key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(chain);
	fclose(key);
	chmod(key_path, 0600);
	X509_free(x);
}

static bool
configure_and_load(void)
{
	keys_begin_files(keys);
	ck_assert_int_eq(
		keys_add_file(keys, slice_text(chain_path), slice_text(key_path)), FAULT_OK);
	keys_commit_files(keys);
	keys_read(keys);
	return keys_load(keys, "mail.example.org");
}

static EVP_PKEY *
public_key_of(const struct ipc_certificate *c)
{
	BIO *bio = BIO_new_mem_buf(c->chain.data, (int)c->chain.len);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	ck_assert_ptr_nonnull(x);
	EVP_PKEY *key = X509_get_pubkey(x);
	X509_free(x);
	BIO_free(bio);
	return key;
}

static bool
verifies(EVP_PKEY *public, int padding, struct slice digest, struct slice signature)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(public, NULL);

	ck_assert_int_eq(EVP_PKEY_verify_init(context), 1);
	if (padding != 0) {
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(context, padding), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()), 1);
	}
	bool good = EVP_PKEY_verify(context, (const unsigned char *)signature.data, signature.len,
			    (const unsigned char *)digest.data, digest.len) == 1;
	EVP_PKEY_CTX_free(context);
	return good;
}

static enum fault
sign(uint32_t key, uint32_t operation, uint32_t padding, struct slice data, struct buffer *out)
{
	struct ipc_sign request = {key, operation, padding, data};

	buffer_init(out, IPC_DIGEST_MAX);
	return keys_sign(keys, &request, out);
}

START_TEST(an_ecdsa_signature_verifies)
{
	struct ipc_certificate c;
	struct buffer signature;
	char digest[32] = "a digest";
	EVP_PKEY *key = make_ec();

	write_files(key, key);
	EVP_PKEY_free(key);
	ck_assert(configure_and_load());
	ck_assert_uint_eq(keys_count(keys), 1);
	keys_get(keys, 0, &c);
	key = public_key_of(&c);
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_ECDSA, 0, slice_make(digest, 32), &signature), FAULT_OK);
	ck_assert(verifies(key, 0, slice_make(digest, 32), buffer_slice(&signature)));
	digest[0] ^= 1;
	ck_assert(!verifies(key, 0, slice_make(digest, 32), buffer_slice(&signature)));
	buffer_clear(&signature);
	/* Too short and too long for a digest; the wrong operation; an unknown key. */
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_ECDSA, 0, slice_make(digest, 19), &signature), FAULT_DENIED);
	char big[65] = {0};
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_ECDSA, 0, slice_make(big, 65), &signature), FAULT_DENIED);
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_RSA, RSA_PKCS1_PADDING, slice_make(digest, 32), &signature),
		FAULT_DENIED);
	ck_assert_int_eq(sign(c.key, 7, 0, slice_make(digest, 32), &signature), FAULT_DENIED);
	ck_assert_int_eq(sign(c.key + 1, IPC_SIGN_ECDSA, 0, slice_make(digest, 32), &signature),
		FAULT_NOT_FOUND);
	EVP_PKEY_free(key);
}
END_TEST

/* DigestInfo of SHA-256 (RFC 8017 9.2), what TLS 1.2 hands to the private operation. */
static const unsigned char digest_info[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
	0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static void
ck_assert_slice_is_block(EVP_PKEY *public, struct slice signature, const unsigned char *block)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(public, NULL);
	unsigned char got[256];
	size_t len = sizeof got;

	ck_assert_int_eq(EVP_PKEY_verify_recover_init(context), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING), 1);
	ck_assert_int_eq(EVP_PKEY_verify_recover(context, got, &len,
				 (const unsigned char *)signature.data, signature.len),
		1);
	ck_assert_uint_eq(len, sizeof got);
	ck_assert_mem_eq(got, block, sizeof got);
	EVP_PKEY_CTX_free(context);
}

START_TEST(rsa_signatures_verify)
{
	struct ipc_certificate c;
	struct buffer signature;
	unsigned char info[51], block[256], digest[32] = {9};
	EVP_PKEY *key = make_rsa();

	write_files(key, key);
	ck_assert(configure_and_load());
	keys_get(keys, 0, &c);
	memcpy(info, digest_info, 19);
	memcpy(info + 19, digest, 32);
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_RSA, RSA_PKCS1_PADDING, slice_make(info, 51), &signature),
		FAULT_OK);
	ck_assert(
		verifies(key, RSA_PKCS1_PADDING, slice_make(digest, 32), buffer_slice(&signature)));
	buffer_clear(&signature);
	/* A block that is padded already, as for PSS: the public operation gives it back. */
	memset(block, 0x5a, sizeof block);
	block[0] = 0;
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_RSA, RSA_NO_PADDING, slice_make(block, 256), &signature),
		FAULT_OK);
	ck_assert_slice_is_block(key, buffer_slice(&signature), block);
	buffer_clear(&signature);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(other_rsa_requests_are_denied)
{
	static const struct {
		uint32_t operation, padding;
		size_t len;
	} rows[] = {{IPC_SIGN_RSA, RSA_PKCS1_OAEP_PADDING, 32},
		{IPC_SIGN_RSA, RSA_PKCS1_PSS_PADDING, 32}, {IPC_SIGN_RSA, 0, 32},
		{IPC_SIGN_RSA, RSA_NO_PADDING, 255}, {IPC_SIGN_RSA, RSA_NO_PADDING, 257},
		{IPC_SIGN_RSA, RSA_PKCS1_PADDING, 0}, {IPC_SIGN_RSA, RSA_PKCS1_PADDING, 246},
		{IPC_SIGN_ECDSA, 0, 32}};
	struct ipc_certificate c;
	struct buffer signature;
	char data[300] = {0};
	EVP_PKEY *key = make_rsa();

	write_files(key, key);
	EVP_PKEY_free(key);
	ck_assert(configure_and_load());
	keys_get(keys, 0, &c);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(sign(c.key, rows[i].operation, rows[i].padding,
				      slice_make(data, rows[i].len), &signature) == FAULT_DENIED,
			"row %zu", i);
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_RSA, RSA_PKCS1_PADDING, slice_make(data, 245), &signature),
		FAULT_OK);
	buffer_clear(&signature);
}
END_TEST

START_TEST(the_private_key_never_goes_out)
{
	struct ipc_certificate c;
	EVP_PKEY *key = make_ec();

	write_files(key, key);
	EVP_PKEY_free(key);
	ck_assert(configure_and_load());
	keys_get(keys, 0, &c);
	ck_assert_uint_eq(slice_find(c.chain, SLICE("PRIVATE")), c.chain.len);
	size_t first = slice_find(c.chain, SLICE("BEGIN CERTIFICATE"));
	struct slice rest = slice_after(c.chain, first + 1);
	ck_assert_uint_lt(slice_find(rest, SLICE("BEGIN CERTIFICATE")), rest.len);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_not_used)
{
	EVP_PKEY *a = make_ec(), *b = make_ec();

	write_files(a, b);
	ck_assert(!configure_and_load());
	ck_assert_uint_eq(keys_count(keys), 0);
	/* The second file of a renewal has come: now they fit. */
	write_files(b, b);
	keys_read(keys);
	ck_assert(keys_load(keys, ""));
	ck_assert_uint_eq(keys_count(keys), 1);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
}
END_TEST

START_TEST(changed_files_are_loaded_and_the_old_key_still_signs)
{
	struct ipc_certificate old, new;
	struct buffer signature;
	char digest[32] = {0};
	EVP_PKEY *key = make_ec();

	write_files(key, key);
	EVP_PKEY_free(key);
	ck_assert(configure_and_load());
	keys_get(keys, 0, &old);
	keys_read(keys);
	ck_assert(!keys_load(keys, ""));
	unlink(chain_path);
	key = make_rsa();
	write_files(key, key);
	EVP_PKEY_free(key);
	keys_read(keys);
	ck_assert(keys_load(keys, ""));
	keys_get(keys, 0, &new);
	ck_assert_uint_ne(old.key, new.key);
	ck_assert_int_eq(
		sign(old.key, IPC_SIGN_ECDSA, 0, slice_make(digest, 32), &signature), FAULT_OK);
	buffer_clear(&signature);
	/* Files that vanish take nothing away. */
	unlink(key_path);
	keys_read(keys);
	ck_assert(!keys_load(keys, ""));
	ck_assert_uint_eq(keys_count(keys), 1);
}
END_TEST

START_TEST(a_list_without_a_pair_drops_it)
{
	EVP_PKEY *key = make_ec();

	write_files(key, key);
	EVP_PKEY_free(key);
	ck_assert(configure_and_load());
	ck_assert(!configure_and_load()); /* the same again: nothing changes */
	keys_begin_files(keys);
	keys_commit_files(keys);
	ck_assert(keys_load(keys, "mail.example.org"));
	ck_assert_uint_eq(keys_count(keys), 1); /* self-signed */
	ck_assert_ptr_null(keys_path(keys, 0));
}
END_TEST

START_TEST(a_key_that_everybody_may_write_is_not_used)
{
	EVP_PKEY *key = make_ec();

	write_files(key, key);
	EVP_PKEY_free(key);
	chmod(key_path, 0602);
	ck_assert(!configure_and_load());
	chmod(key_path, 0600);
	keys_read(keys);
	ck_assert(keys_load(keys, ""));
}
END_TEST

START_TEST(without_files_a_self_signed_certificate_serves)
{
	struct ipc_certificate c;
	struct buffer signature;
	char digest[32] = {1};

	keys_begin_files(keys);
	keys_commit_files(keys);
	ck_assert(keys_load(keys, "mail.example.org"));
	ck_assert(!keys_load(keys, "mail.example.org"));
	ck_assert_uint_eq(keys_count(keys), 1);
	keys_get(keys, 0, &c);
	BIO *bio = BIO_new_mem_buf(c.chain.data, (int)c.chain.len);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	ck_assert_int_eq(X509_check_host(x, "mail.example.org", 0, 0, NULL), 1);
	ck_assert_int_eq(X509_verify(x, X509_get0_pubkey(x)), 1);
	ck_assert_int_gt(X509_cmp_current_time(X509_get0_notAfter(x)), 0);
	ck_assert_int_eq(
		sign(c.key, IPC_SIGN_ECDSA, 0, slice_make(digest, 32), &signature), FAULT_OK);
	ck_assert(
		verifies(X509_get0_pubkey(x), 0, slice_make(digest, 32), buffer_slice(&signature)));
	buffer_clear(&signature);
	X509_free(x);
	BIO_free(bio);
}
END_TEST

START_TEST(a_strange_host_name_becomes_localhost)
{
	struct certificate c;

	ck_assert_int_eq(certificate_self_sign(&c, "a,DNS:evil.example"), FAULT_OK);
	BIO *bio = BIO_new_mem_buf(buffer_slice(&c.chain).data, (int)buffer_len(&c.chain));
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	ck_assert_int_eq(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	ck_assert_int_eq(X509_check_host(x, "evil.example", 0, 0, NULL), 0);
	X509_free(x);
	BIO_free(bio);
	certificate_clear(&c);
}
END_TEST

UNIT(keys)
{
	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	unit_add(tc, an_ecdsa_signature_verifies);
	unit_add(tc, rsa_signatures_verify);
	unit_add(tc, other_rsa_requests_are_denied);
	unit_add(tc, the_private_key_never_goes_out);
	unit_add(tc, a_key_of_another_certificate_is_not_used);
	unit_add(tc, changed_files_are_loaded_and_the_old_key_still_signs);
	unit_add(tc, a_list_without_a_pair_drops_it);
	unit_add(tc, a_key_that_everybody_may_write_is_not_used);
	unit_add(tc, without_files_a_self_signed_certificate_serves);
	unit_add(tc, a_strange_host_name_becomes_localhost);
}
