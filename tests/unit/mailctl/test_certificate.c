/* SPDX-License-Identifier: ISC */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mailctl/certificate.h"
#include "tests/unit/unit.h"

struct place {
	char directory[32], chain[64], key[64], ca[64];
};

static void
make_place(struct place *p)
{
	memcpy(p->directory, "/tmp/pabal-unit-XXXXXX", 23);
	ck_assert_ptr_nonnull(mkdtemp(p->directory));
	snprintf(p->chain, sizeof p->chain, "%s/crt", p->directory);
	snprintf(p->key, sizeof p->key, "%s/key", p->directory);
	snprintf(p->ca, sizeof p->ca, "%s/ca", p->directory);
}

static void
remove_place(const struct place *p)
{
	unlink(p->chain);
	unlink(p->key);
	unlink(p->ca);
	rmdir(p->directory);
}

static X509 *
load(const char *path)
{
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	ck_assert_ptr_nonnull(certificate);
	return certificate;
}

static void
check_verifies(X509 *certificate, X509 *trusted)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *check = X509_STORE_CTX_new();

	ck_assert_int_eq(X509_STORE_add_cert(store, trusted), 1);
	ck_assert_int_eq(X509_STORE_CTX_init(check, store, certificate, NULL), 1);
	ck_assert_int_eq(X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_SERVER), 1);
	ck_assert_int_eq(X509_verify_cert(check), 1);
	X509_STORE_CTX_free(check);
	X509_STORE_free(store);
}

START_TEST(a_host_certificate_verifies_by_its_ca_and_has_its_names)
{
	static const char *const addresses[] = {"127.0.0.1", "::1", NULL};
	struct place p;

	make_place(&p);
	struct certificate_plan plan = {.hostname = "mail.example.org",
		.addresses = addresses,
		.days = 2,
		.chain_path = p.chain,
		.key_path = p.key,
		.ca_path = p.ca};
	ck_assert_int_eq(certificate_make(&plan), FAULT_OK);
	X509 *host = load(p.chain), *ca = load(p.ca);
	check_verifies(host, ca);
	ck_assert_int_eq(X509_check_host(host, "mail.example.org", 0, 0, NULL), 1);
	ck_assert_int_eq(X509_check_host(host, "localhost", 0, 0, NULL), 1);
	ck_assert_int_eq(X509_check_host(host, "example.org", 0, 0, NULL), 0);
	ck_assert_int_eq(X509_check_ip_asc(host, "127.0.0.1", 0), 1);
	ck_assert_int_eq(X509_check_ip_asc(host, "::1", 0), 1);
	X509_free(host);
	X509_free(ca);
	remove_place(&p);
}
END_TEST

START_TEST(a_certificate_that_signs_itself_verifies_by_itself)
{
	struct stat st;
	struct place p;

	make_place(&p);
	struct certificate_plan plan = {.hostname = "mail.example.org",
		.days = 2,
		.chain_path = p.chain,
		.key_path = p.key};
	ck_assert_int_eq(certificate_make(&plan), FAULT_OK);
	X509 *host = load(p.chain);
	check_verifies(host, host);
	ck_assert_int_eq(stat(p.key, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	X509_free(host);
	remove_place(&p);
}
END_TEST

UNIT(certificate)
{
	unit_add(tc, a_host_certificate_verifies_by_its_ca_and_has_its_names);
	unit_add(tc, a_certificate_that_signs_itself_verifies_by_itself);
}
