/* SPDX-License-Identifier: ISC */
/*
 * Private keys that are elsewhere.  OpenSSL 3 still honours the method tables of RSA and EC_KEY for
 * such "foreign" keys: libssl then signs by way of them, inside the ASYNC_JOB of the handshake.
 * The process that runs this never has a private key in its memory.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the method tables are the deprecated, but only, way */
#include "common/net/tls_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/async.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* What hangs on an RSA or EC_KEY as its ex_data. */
struct remote_key {
	uint64_t id;
	const struct tls_signer *signer;
};

static RSA_METHOD *rsa_method;
static EC_KEY_METHOD *ec_method;
static int rsa_index = -1, ec_index = -1;
/* The handshake that runs now: one at a time, there are no threads. */
static struct tls_sign_slot *current;

void
tls_key_enter(struct tls_sign_slot *slot)
{
	current = slot;
}

void
tls_key_leave(struct tls_sign_slot *slot)
{
	const struct tls_signer *signer = slot->signer;

	current = NULL;
	slot->signer = NULL;
	if (signer != NULL && slot->pending != NULL)
		signer->sign(signer->arg, slot->pending);
}

static void
disown(struct tls_sign *sign)
{
	if (--sign->owners > 0)
		return;
	free(sign);
}

void
tls_sign_finish(struct tls_sign *sign, enum fault fault, struct slice signature)
{
	if (fault == FAULT_OK && (signature.len == 0 || signature.len > sizeof sign->signature))
		fault = FAULT_PEER_PROTOCOL;
	if (!sign->finished) {
		sign->finished = true;
		sign->fault = fault;
		if (fault == FAULT_OK) {
			memcpy(sign->signature, signature.data, signature.len);
			sign->signature_len = signature.len;
		}
		sign->wake(sign->arg);
	}
	disown(sign);
}

void
tls_sign_cancel(struct tls_sign_slot *slot)
{
	if (slot->pending == NULL || slot->pending->finished)
		return;
	slot->pending->finished = true;
	slot->pending->fault = FAULT_TIMEOUT;
	if (slot->signer != NULL) {
		/* Nobody was asked yet, nobody will answer. */
		slot->signer = NULL;
		disown(slot->pending);
	}
}

static struct tls_sign *
sign_new(const struct remote_key *key, enum tls_sign_kind kind, struct slice input)
{
	struct tls_sign *sign;

	if (input.len > sizeof sign->input || (sign = calloc(1, sizeof *sign)) == NULL)
		return NULL;
	sign->key_id = key->id;
	sign->kind = kind;
	memcpy(sign->input, input.data, input.len);
	sign->input_len = input.len;
	sign->owners = 2;
	sign->wake = current->wake;
	sign->arg = current->arg;
	return sign;
}

/* Runs inside the job; the event loop goes on while it is paused.  Returns the length or -1. */
static int
sign_remotely(const struct remote_key *key, enum tls_sign_kind kind, struct slice input,
	struct slice room)
{
	struct tls_sign_slot *slot = current;

	if (key == NULL || slot == NULL || ASYNC_get_current_job() == NULL)
		return -1;
	struct tls_sign *sign = sign_new(key, kind, input);
	if (sign == NULL)
		return -1;
	slot->pending = sign;
	slot->signer = key->signer;
	while (!sign->finished)
		if (ASYNC_pause_job() == 0)
			break;
	/* Nothing when it is finished; else nobody may be woken by it later. */
	tls_sign_cancel(slot);
	slot->pending = NULL;
	int len = -1;
	if (sign->finished && sign->fault == FAULT_OK && sign->signature_len <= room.len) {
		memcpy((char *)room.data, sign->signature, sign->signature_len);
		len = (int)sign->signature_len;
	}
	disown(sign);
	return len;
}

static int
rsa_private_encrypt(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	const struct remote_key *key = RSA_get_ex_data(rsa, rsa_index);
	enum tls_sign_kind kind =
		padding == RSA_PKCS1_PADDING ? TLS_SIGN_RSA_PKCS1 : TLS_SIGN_RSA_RAW;

	if (len <= 0 || (padding != RSA_PKCS1_PADDING && padding != RSA_NO_PADDING))
		return -1;
	return sign_remotely(
		key, kind, slice_make(from, (size_t)len), slice_make(to, (size_t)RSA_size(rsa)));
}

/* Key exchange by RSA decryption is not offered. */
static int
rsa_private_decrypt(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	(void)len;
	(void)from;
	(void)to;
	(void)rsa;
	(void)padding;
	return -1;
}

static int
ec_sign(int type, const unsigned char *digest, int digest_len, unsigned char *signature,
	unsigned *signature_len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
	const struct remote_key *key = EC_KEY_get_ex_data(ec, ec_index);

	(void)type;
	(void)kinv;
	(void)r;
	if (digest_len <= 0)
		return 0;
	int len = sign_remotely(key, TLS_SIGN_ECDSA, slice_make(digest, (size_t)digest_len),
		slice_make(signature, (size_t)ECDSA_size(ec)));
	if (len < 0)
		return 0;
	*signature_len = (unsigned)len;
	return 1;
}

static void
free_remote_key(void *parent, void *key, CRYPTO_EX_DATA *data, int index, long l, void *p)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)l;
	(void)p;
	free(key);
}

static bool
prepare_methods(void)
{
	if (rsa_method != NULL && ec_method != NULL)
		return true;
	if (rsa_index < 0)
		rsa_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, free_remote_key);
	if (ec_index < 0)
		ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, free_remote_key);
	if (rsa_method == NULL)
		rsa_method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	if (ec_method == NULL)
		ec_method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	if (rsa_method == NULL || ec_method == NULL || rsa_index < 0 || ec_index < 0)
		return false;
	RSA_meth_set_priv_enc(rsa_method, rsa_private_encrypt);
	RSA_meth_set_priv_dec(rsa_method, rsa_private_decrypt);
	EC_KEY_METHOD_set_sign(ec_method, ec_sign, NULL, NULL);
	return true;
}

static EVP_PKEY *
rsa_key_new(EVP_PKEY *public, struct remote_key *key)
{
	RSA *rsa = EVP_PKEY_get1_RSA(public);
	RSA *copy = rsa != NULL ? RSAPublicKey_dup(rsa) : NULL;
	EVP_PKEY *made = EVP_PKEY_new();

	RSA_free(rsa);
	if (copy == NULL || made == NULL || RSA_set_method(copy, rsa_method) != 1 ||
		EVP_PKEY_set1_RSA(made, copy) != 1 || RSA_set_ex_data(copy, rsa_index, key) != 1) {
		EVP_PKEY_free(made);
		made = NULL;
	}
	RSA_free(copy);
	return made;
}

static EVP_PKEY *
ec_key_new(EVP_PKEY *public, struct remote_key *key)
{
	EC_KEY *ec = EVP_PKEY_get1_EC_KEY(public);
	EC_KEY *copy = ec != NULL ? EC_KEY_dup(ec) : NULL;
	EVP_PKEY *made = EVP_PKEY_new();

	EC_KEY_free(ec);
	if (copy == NULL || made == NULL || EC_KEY_set_method(copy, ec_method) != 1 ||
		EVP_PKEY_set1_EC_KEY(made, copy) != 1 ||
		EC_KEY_set_ex_data(copy, ec_index, key) != 1) {
		EVP_PKEY_free(made);
		made = NULL;
	}
	EC_KEY_free(copy);
	return made;
}

EVP_PKEY *
tls_key_new(X509 *certificate, uint64_t key_id, const struct tls_signer *signer)
{
	EVP_PKEY *public = X509_get0_pubkey(certificate);
	struct remote_key *key = calloc(1, sizeof *key);
	EVP_PKEY *made = NULL;

	if (public == NULL || key == NULL || !prepare_methods()) {
		free(key);
		return NULL;
	}
	*key = (struct remote_key){key_id, signer};
	if (EVP_PKEY_get_base_id(public) == EVP_PKEY_RSA)
		made = rsa_key_new(public, key);
	else if (EVP_PKEY_get_base_id(public) == EVP_PKEY_EC)
		made = ec_key_new(public, key);
	if (made == NULL)
		free(key);
	return made;
}
