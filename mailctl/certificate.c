/* SPDX-License-Identifier: ISC */
/* Makes keys and certificates by OpenSSL; the private key of a throw-away CA is not kept. */
#include "mailctl/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "mailctl/mailctl.h"

enum { NAMES_MAX = 2048 };

static bool
add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX scope;
	X509_EXTENSION *extension;
	bool good;

	X509V3_set_ctx_nodb(&scope);
	X509V3_set_ctx(&scope, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &scope, nid, value);
	good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

static bool
set_serial(X509 *certificate)
{
	/* 63 bits: positive, and unique enough for what is made by hand. */
	return ASN1_INTEGER_set_uint64(
		       X509_get_serialNumber(certificate), entropy_u64(&entropy_system) >> 1) == 1;
}

/* A certificate for the key, not yet signed. */
static X509 *
draft(EVP_PKEY *key, const char *name, int days)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;

	/* A common name has 64 bytes at most (RFC 5280 appendix A); clients read the SAN. */
	if (certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
		set_serial(certificate) &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
		X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, NULL) != NULL &&
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
			(const unsigned char *)name, strlen(name) > 64 ? 64 : -1, -1, 0) == 1 &&
		X509_set_pubkey(certificate, key) == 1)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static bool
sign(X509 *certificate, X509 *issuer, EVP_PKEY *key)
{
	return X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
		add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
		X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool
add_names(X509 *certificate, const struct certificate_plan *plan)
{
	struct buffer names;
	bool good;

	buffer_init(&names, NAMES_MAX);
	buffer_printf(&names, "DNS:%s", plan->hostname);
	if (plan->addresses != NULL)
		buffer_add_text(&names, ",DNS:localhost");
	for (const char *const *a = plan->addresses; a != NULL && *a != NULL; a++)
		buffer_printf(&names, ",IP:%s", *a);
	buffer_add_byte(&names, '\0');
	good = buffer_fault(&names) == FAULT_OK &&
		add_extension(
			certificate, certificate, NID_subject_alt_name, buffer_slice(&names).data);
	buffer_clear(&names);
	return good;
}

static X509 *
make_ca(EVP_PKEY *key, int days)
{
	X509 *ca = draft(key, "Pabal throw-away CA", days);

	if (ca != NULL &&
		add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		sign(ca, ca, key))
		return ca;
	X509_free(ca);
	return NULL;
}

/* issuer and issuer_key are NULL for a certificate that signs itself. */
static X509 *
make_host(const struct certificate_plan *plan, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *host = draft(key, plan->hostname, plan->days);

	if (host != NULL && add_names(host, plan) &&
		add_extension(host, host, NID_basic_constraints, "critical,CA:FALSE") &&
		add_extension(host, host, NID_key_usage, "critical,digitalSignature") &&
		add_extension(host, host, NID_ext_key_usage, "serverAuth") &&
		(issuer == NULL ||
			add_extension(host, issuer, NID_authority_key_identifier, "keyid")) &&
		sign(host, issuer != NULL ? issuer : host, issuer != NULL ? issuer_key : key))
		return host;
	X509_free(host);
	return NULL;
}

/* Opens a new file; one that is there stays as it is. */
static BIO *
create(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	BIO *file = fd >= 0 ? BIO_new_fd(fd, BIO_CLOSE) : NULL;

	if (fd < 0)
		complain("%s: %s", path, strerror(errno));
	else if (file == NULL)
		close(fd);
	return file;
}

static bool
write_key(const char *path, EVP_PKEY *key)
{
	BIO *file = create(path, 0600);
	bool good =
		file != NULL && PEM_write_bio_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;

	BIO_free(file);
	return good;
}

static bool
write_chain(const char *path, X509 *first, X509 *second)
{
	BIO *file = create(path, 0644);
	bool good = file != NULL && PEM_write_bio_X509(file, first) == 1 &&
		(second == NULL || PEM_write_bio_X509(file, second) == 1);

	BIO_free(file);
	return good;
}

enum fault
certificate_make(const struct certificate_plan *plan)
{
	bool with_ca = plan->ca_path != NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = with_ca ? EVP_EC_gen("P-256") : NULL;
	X509 *ca = ca_key != NULL ? make_ca(ca_key, plan->days) : NULL;
	X509 *host = NULL;
	bool good;

	if (key != NULL && (!with_ca || ca != NULL))
		host = make_host(plan, key, ca, ca_key);
	good = host != NULL && write_key(plan->key_path, key) &&
		write_chain(plan->chain_path, host, ca) &&
		(!with_ca || write_chain(plan->ca_path, ca, NULL));
	if (!good)
		complain("the certificate for %s could not be made", plan->hostname);
	X509_free(host);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	return good ? FAULT_OK : FAULT_IO;
}
