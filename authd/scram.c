/* SPDX-License-Identifier: ISC */
/*
 * SCRAM-SHA-256, server side (RFC 5802, RFC 7677).  Runs in authd; the messages come from clients,
 * through a network-facing process, and are not trusted.
 */
#include "authd/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "common/base/cursor.h"
#include "common/base/secret.h"
#include "common/mail/base64.h"
#include "common/mail/utf8.h"

_Static_assert(SCRAM_KEY_LEN == SHA256_DIGEST_LENGTH, "the hash of the mechanism's name");

static bool
hmac(const uint8_t key[static SCRAM_KEY_LEN], struct slice data, uint8_t out[static SCRAM_KEY_LEN])
{
	unsigned len = SCRAM_KEY_LEN;

	return HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, (const unsigned char *)data.data, data.len,
		       out, &len) != NULL;
}

/* RFC 5802 3: SaltedPassword, ClientKey, StoredKey, ServerKey. */
enum fault
scram_verifier_derive_key(
	struct scram_verifier *v, struct slice password, uint8_t client_key[static SCRAM_KEY_LEN])
{
	uint8_t salted[SCRAM_KEY_LEN];
	bool made;

	if (password.len > SECRET_MAX || v->iterations == 0 || v->iterations > INT32_MAX)
		return FAULT_LIMIT;
	made = PKCS5_PBKDF2_HMAC(password.data, (int)password.len, v->salt, sizeof v->salt,
		       (int)v->iterations, EVP_sha256(), sizeof salted, salted) == 1 &&
		hmac(salted, SLICE("Client Key"), client_key) &&
		SHA256(client_key, SCRAM_KEY_LEN, v->stored_key) != NULL &&
		hmac(salted, SLICE("Server Key"), v->server_key);
	secret_wipe(salted, sizeof salted);
	return made ? FAULT_OK : FAULT_NOMEM;
}

enum fault
scram_verifier_derive(struct scram_verifier *v, struct slice password)
{
	uint8_t client_key[SCRAM_KEY_LEN];
	enum fault fault = scram_verifier_derive_key(v, password, client_key);

	secret_wipe(client_key, sizeof client_key);
	return fault;
}

bool
scram_key_fits(const struct scram_verifier *v, const uint8_t client_key[static SCRAM_KEY_LEN])
{
	uint8_t stored[SCRAM_KEY_LEN];

	return SHA256(client_key, SCRAM_KEY_LEN, stored) != NULL &&
		secret_equal(slice_make(stored, sizeof stored),
			slice_make(v->stored_key, SCRAM_KEY_LEN));
}

/* printable of RFC 5802 7: graphic without the comma. */
static bool
is_printable(char c)
{
	return c > 0x20 && c < 0x7f && c != ',';
}

/* value-char of RFC 5802 7; UTF-8 is checked where a text is decoded. */
static bool
is_value_char(char c)
{
	return c != 0 && c != ',';
}

static bool
is_base64(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '+' || c == '/' || c == '=';
}

/* name "=" 1*class */
static bool
take_attribute(struct cursor *c, char name, byte_class *class, struct slice *value)
{
	struct cursor at = *c;

	if (!take_byte(&at, name) || !take_byte(&at, '=') || !take_while(&at, class, value))
		return false;
	*c = at;
	return true;
}

/* gs2-header = gs2-cbind-flag "," [ authzid ] "," */
static enum fault
take_gs2_header(struct cursor *c, struct scram_first *first)
{
	struct cursor start = *c;

	first->authzid = SLICE("");
	if (peek_byte(c) == 'p')
		return FAULT_UNSUPPORTED;
	if ((!take_byte(c, 'n') && !take_byte(c, 'y')) || !take_byte(c, ','))
		return FAULT_SYNTAX;
	if (peek_byte(c) == 'a' && !take_attribute(c, 'a', is_value_char, &first->authzid))
		return FAULT_SYNTAX;
	if (!take_byte(c, ','))
		return FAULT_SYNTAX;
	first->gs2_header = cursor_since(c, start);
	return FAULT_OK;
}

/* ["," extensions] at the end: unknown optional ones are ignored (RFC 5802 5.1). */
static bool
take_extensions(struct cursor *c)
{
	struct slice value;
	char name;

	while (take_byte(c, ',')) {
		if (!take_any(c, &name) ||
			!((name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z')))
			return false;
		if (!take_byte(c, '=') || !take_while(c, is_value_char, &value))
			return false;
	}
	return cursor_at_end(c);
}

enum fault
scram_parse_first(struct slice message, struct scram_first *first)
{
	struct cursor c = cursor_of(message);
	struct scram_first got = {0};

	if (message.len > SCRAM_MESSAGE_MAX)
		return FAULT_TOO_LONG;
	enum fault fault = take_gs2_header(&c, &got);
	if (fault != FAULT_OK)
		return fault;
	got.bare = c.rest;
	if (peek_byte(&c) == 'm')
		return FAULT_UNSUPPORTED; /* reserved-mext: an extension we must know */
	if (!take_attribute(&c, 'n', is_value_char, &got.user) || !take_byte(&c, ',') ||
		!take_attribute(&c, 'r', is_printable, &got.nonce) || !take_extensions(&c))
		return FAULT_SYNTAX;
	if (got.nonce.len > SCRAM_NONCE_MAX)
		return FAULT_TOO_LONG;
	*first = got;
	return FAULT_OK;
}

enum fault
scram_parse_final(struct slice message, struct scram_final *final)
{
	struct cursor c = cursor_of(message);
	struct scram_final got = {0};
	size_t comma = slice_find_last(message, ',');

	if (message.len > SCRAM_MESSAGE_MAX)
		return FAULT_TOO_LONG;
	/* The proof is the last attribute, and what it proves is all before it. */
	if (comma == message.len)
		return FAULT_SYNTAX;
	got.without_proof = slice_first(message, comma);
	c.rest = slice_after(message, comma + 1);
	if (!take_attribute(&c, 'p', is_base64, &got.proof) || !cursor_at_end(&c))
		return FAULT_SYNTAX;
	c = cursor_of(got.without_proof);
	if (!take_attribute(&c, 'c', is_base64, &got.binding) || !take_byte(&c, ',') ||
		!take_attribute(&c, 'r', is_printable, &got.nonce) || !take_extensions(&c))
		return FAULT_SYNTAX;
	*final = got;
	return FAULT_OK;
}

static bool
is_plain_name_char(char c)
{
	return c != '=' && c != ',' && c != 0;
}

enum fault
scram_unescape_name(struct slice name, struct buffer *out)
{
	struct cursor c = cursor_of(name);
	struct slice run;
	size_t start = buffer_len(out);

	while (!cursor_at_end(&c)) {
		if (take_while(&c, is_plain_name_char, &run))
			buffer_add_slice(out, run);
		else if (take_text(&c, SLICE("=2C")))
			buffer_add_byte(out, ',');
		else if (take_text(&c, SLICE("=3D")))
			buffer_add_byte(out, '=');
		else
			return FAULT_SYNTAX;
	}
	if (buffer_fault(out) != FAULT_OK)
		return FAULT_TOO_LONG;
	struct slice made = slice_after(buffer_slice(out), start);
	if (made.len > SCRAM_NAME_MAX)
		return FAULT_TOO_LONG;
	return made.len > 0 && utf8_is_valid(made) ? FAULT_OK : FAULT_SYNTAX;
}

void
scram_format_server_first(const struct scram_verifier *v, struct slice nonce, struct buffer *out)
{
	buffer_add_text(out, "r=");
	buffer_add_slice(out, nonce);
	buffer_add_text(out, ",s=");
	base64_encode(slice_make(v->salt, sizeof v->salt), out);
	buffer_add_text(out, ",i=");
	buffer_add_u64(out, v->iterations);
}

void
scram_format_error(enum fault fault, struct buffer *out)
{
	const char *value = "other-error";

	if (fault == FAULT_SYNTAX || fault == FAULT_TOO_LONG)
		value = "invalid-encoding";
	else if (fault == FAULT_UNSUPPORTED)
		value = "channel-binding-not-supported";
	else if (fault == FAULT_AUTH_FAILED)
		value = "invalid-proof";
	else if (fault == FAULT_BUSY || fault == FAULT_NOMEM)
		value = "no-resources";
	buffer_add_text(out, "e=");
	buffer_add_text(out, value);
}

/* True when base64 text decodes to exactly these bytes. */
static bool
base64_is(struct slice text, struct slice bytes)
{
	struct buffer decoded;
	bool same;

	buffer_init(&decoded, SCRAM_MESSAGE_MAX);
	same = base64_decode(text, &decoded) == FAULT_OK &&
		slice_equal(buffer_slice(&decoded), bytes);
	buffer_clear(&decoded);
	return same;
}

static bool
decode_proof(struct slice text, uint8_t proof[static SCRAM_KEY_LEN])
{
	struct buffer decoded;
	bool whole;

	buffer_init(&decoded, SCRAM_MESSAGE_MAX);
	whole = base64_decode(text, &decoded) == FAULT_OK && buffer_len(&decoded) == SCRAM_KEY_LEN;
	if (whole)
		memcpy(proof, buffer_slice(&decoded).data, SCRAM_KEY_LEN);
	/* With the signature it is the ClientKey, which opens mail. */
	if (decoded.data != NULL)
		secret_wipe(decoded.data, decoded.size);
	buffer_clear(&decoded);
	return whole;
}

/* AuthMessage of RFC 5802 3, and what both sides compute from it: the proof becomes the key. */
static bool
check_proof(const struct scram_exchange *e, struct slice auth_message,
	uint8_t client_key[static SCRAM_KEY_LEN])
{
	uint8_t signature[SCRAM_KEY_LEN];

	if (!hmac(e->verifier.stored_key, auth_message, signature))
		return false;
	for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
		client_key[i] ^= signature[i];
	secret_wipe(signature, sizeof signature);
	return scram_key_fits(&e->verifier, client_key);
}

static enum fault
check_message(const struct scram_exchange *e, struct slice message,
	uint8_t client_key[static SCRAM_KEY_LEN], struct buffer *out)
{
	uint8_t signature[SCRAM_KEY_LEN];

	if (!check_proof(e, message, client_key))
		return FAULT_AUTH_FAILED;
	if (!hmac(e->verifier.server_key, message, signature))
		return FAULT_NOMEM;
	buffer_add_text(out, "v=");
	base64_encode(slice_make(signature, sizeof signature), out);
	return buffer_fault(out);
}

enum fault
scram_check(const struct scram_exchange *e, const struct scram_final *final,
	struct buffer *server_final, uint8_t client_key[static SCRAM_KEY_LEN])
{
	struct buffer message;
	enum fault fault;

	if (!slice_equal(final->nonce, e->nonce) || !base64_is(final->binding, e->gs2_header)) {
		scram_format_error(FAULT_AUTH_FAILED, server_final);
		return FAULT_AUTH_FAILED;
	}
	buffer_init(&message, 4 * SCRAM_MESSAGE_MAX);
	buffer_add_slice(&message, e->first_bare);
	buffer_add_byte(&message, ',');
	buffer_add_slice(&message, e->server_first);
	buffer_add_byte(&message, ',');
	buffer_add_slice(&message, final->without_proof);
	fault = buffer_fault(&message);
	if (fault == FAULT_OK && !decode_proof(final->proof, client_key))
		fault = FAULT_SYNTAX;
	if (fault == FAULT_OK)
		fault = check_message(e, buffer_slice(&message), client_key, server_final);
	if (fault != FAULT_OK) {
		secret_wipe(client_key, SCRAM_KEY_LEN);
		scram_format_error(fault, server_final);
	}
	buffer_clear(&message);
	return fault;
}
