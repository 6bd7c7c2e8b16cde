/* SPDX-License-Identifier: ISC */
/*
 * Certificates and their keys by OpenSSL 3.  Runs in authd.  Files are the admin's; what is to be
 * signed comes from network-facing processes and is checked for form, for it cannot be checked
 * for meaning.
 */
#include "authd/certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { DIGEST_MIN = 20, DIGEST_MAX = 64, CHAIN_CERTIFICATES_MAX = 20 };

/* Never asks on a terminal: an encrypted key is a fault. */
static int
no_passphrase(char *at, int size, int writing, void *arg)
{
	(void)at;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static EVP_PKEY *
read_key(struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	EVP_PKEY *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return key;
}

static bool
add_pem(struct buffer *chain, X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;

	if (bio == NULL)
		return false;
	if (PEM_write_bio_X509(bio, certificate) == 1) {
		long len = BIO_get_mem_data(bio, &data);
		if (len > 0)
			buffer_add(chain, data, (size_t)len);
	}
	BIO_free(bio);
	return buffer_fault(chain) == FAULT_OK;
}

static int64_t
expiry_of(const X509 *certificate)
{
	int days, seconds;
	ASN1_TIME *start = ASN1_TIME_set(NULL, 0);
	int64_t at = 0;

	if (start != NULL &&
		ASN1_TIME_diff(&days, &seconds, start, X509_get0_notAfter(certificate)) == 1)
		at = (int64_t)days * 86400 + seconds;
	ASN1_TIME_free(start);
	return at;
}

static const char *
problem_of_key(const X509 *leaf, EVP_PKEY *key)
{
	int kind = EVP_PKEY_get_base_id(key);

	if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_EC)
		return "the key is neither RSA nor EC";
	if (kind == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) > CERTIFICATE_RSA_BITS_MAX)
		return "the RSA key is too long";
	if (X509_check_private_key(leaf, key) != 1)
		return "key and certificate do not belong together";
	return NULL;
}

/* Adds the next certificate of the file to the chain; NULL at the end. */
static X509 *
take_certificate(BIO *bio, struct buffer *chain)
{
	X509 *next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);

	if (next != NULL && !add_pem(chain, next)) {
		X509_free(next);
		next = NULL;
	}
	return next;
}

static const char *
parse_chain(struct certificate *c, struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	X509 *leaf = bio != NULL ? take_certificate(bio, &c->chain) : NULL;
	const char *problem = "there is no certificate in the file";

	if (leaf != NULL) {
		X509 *next;
		problem = problem_of_key(leaf, c->key);
		c->expires_at = expiry_of(leaf);
		for (int i = 1; i < CHAIN_CERTIFICATES_MAX &&
			(next = take_certificate(bio, &c->chain)) != NULL;
			i++)
			X509_free(next);
		if (buffer_fault(&c->chain) != FAULT_OK)
			problem = "the chain is too long";
	}
	X509_free(leaf);
	BIO_free(bio);
	return problem;
}

enum fault
certificate_parse(struct certificate *c, struct slice chain, struct slice key, const char **why)
{
	*c = (struct certificate){0};
	buffer_init(&c->chain, CERTIFICATE_CHAIN_MAX);
	*why = "a file is too big";
	if (chain.len > CERTIFICATE_FILE_MAX || key.len > CERTIFICATE_FILE_MAX)
		return FAULT_CONFIG;
	c->key = read_key(key);
	*why = c->key != NULL ? parse_chain(c, chain)
			      : "there is no key in the file, or it is encrypted";
	ERR_clear_error();
	if (*why == NULL)
		return FAULT_OK;
	certificate_clear(c);
	return FAULT_CONFIG;
}

/* RFC 5280 4.1.2.2: positive, at most 20 bytes. */
static bool
set_serial(X509 *certificate)
{
	BIGNUM *number = BN_new();
	bool set = number != NULL && BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
		BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

	BN_free(number);
	return set;
}

static bool
set_names(X509 *certificate, const char *hostname)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	char text[300];
	X509V3_CTX context;
	bool added = false;

	/* RFC 5280 A.1: a common name has at most 64 characters; RFC 6125: SAN is what counts. */
	if (strlen(hostname) <= 64 &&
		X509_NAME_add_entry_by_txt(
			name, "CN", MBSTRING_ASC, (const unsigned char *)hostname, -1, -1, 0) != 1)
		return false;
	snprintf(text, sizeof text, "DNS:%s", hostname);
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, text);
	if (san != NULL)
		added = X509_add_ext(certificate, san, -1) == 1;
	X509_EXTENSION_free(san);
	return added && X509_set_issuer_name(certificate, name) == 1;
}

static bool
fill_certificate(X509 *certificate, EVP_PKEY *key, const char *hostname)
{
	const long day = 86400;

	/* An hour early, for clients whose clock is late. */
	return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(certificate),
			CERTIFICATE_SELF_SIGNED_DAYS * day) != NULL &&
		X509_set_pubkey(certificate, key) == 1 && set_names(certificate, hostname) &&
		X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* The name goes into a text with a syntax of its own: take nothing but a plain host name. */
static bool
is_host_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '.'))
			return false;
	}
	return len > 0 && len <= 255;
}

enum fault
certificate_self_sign(struct certificate *c, const char *hostname)
{
	X509 *certificate = X509_new();
	enum fault fault = FAULT_TLS;

	*c = (struct certificate){0};
	buffer_init(&c->chain, CERTIFICATE_CHAIN_MAX);
	c->key = EVP_EC_gen("P-256");
	if (!is_host_name(hostname))
		hostname = "localhost";
	if (certificate != NULL && c->key != NULL &&
		fill_certificate(certificate, c->key, hostname) &&
		add_pem(&c->chain, certificate)) {
		c->expires_at = expiry_of(certificate);
		fault = FAULT_OK;
	}
	X509_free(certificate);
	if (fault != FAULT_OK)
		certificate_clear(c);
	return fault;
}

void
certificate_clear(struct certificate *c)
{
	EVP_PKEY_free(c->key);
	buffer_clear(&c->chain);
	*c = (struct certificate){0};
}

/* Is this a request that TLS would make of this key? */
static bool
is_fit(const struct certificate *c, const struct ipc_sign *request)
{
	int kind = EVP_PKEY_get_base_id(c->key);
	size_t size = (size_t)EVP_PKEY_get_size(c->key);

	if (request->operation == IPC_SIGN_ECDSA)
		return kind == EVP_PKEY_EC && request->data.len >= DIGEST_MIN &&
			request->data.len <= DIGEST_MAX;
	if (request->operation != IPC_SIGN_RSA || kind != EVP_PKEY_RSA)
		return false;
	if (request->padding == RSA_NO_PADDING)
		return request->data.len == size;
	return request->padding == RSA_PKCS1_PADDING && request->data.len > 0 &&
		request->data.len + RSA_PKCS1_PADDING_SIZE <= size;
}

enum fault
certificate_sign(
	const struct certificate *c, const struct ipc_sign *request, struct buffer *signature)
{
	EVP_PKEY_CTX *context;
	size_t len = (size_t)EVP_PKEY_get_size(c->key);
	unsigned char *at;
	bool made = false;

	if (!is_fit(c, request))
		return FAULT_DENIED;
	at = buffer_reserve(signature, len);
	context = EVP_PKEY_CTX_new(c->key, NULL);
	if (at != NULL && context != NULL && EVP_PKEY_sign_init(context) == 1 &&
		(request->operation == IPC_SIGN_ECDSA ||
			EVP_PKEY_CTX_set_rsa_padding(context, (int)request->padding) == 1))
		made = EVP_PKEY_sign(context, at, &len, (const unsigned char *)request->data.data,
			       request->data.len) == 1;
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	if (!made)
		return FAULT_TLS;
	buffer_added(signature, len);
	return FAULT_OK;
}
