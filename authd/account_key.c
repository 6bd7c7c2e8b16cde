/* SPDX-License-Identifier: ISC */
/*
 * Key pairs of accounts: made, wrapped, opened.  Runs in authd, which keeps an opened one only
 * while it answers, and in the memory of verified logins.
 */
#include "authd/account_key.h"

#include <sodium.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/secret.h"

enum {
	NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	WRAP_VERSION = 1,
	CONTEXT_LEN = 2 + 8 + ACCOUNT_KEY_LEN,
	CHECKSUM_LEN = 5, /* of a recovery key, so that the whole is 40 characters */
	RECOVERY_BYTES = RECOVERY_KEY_LEN + CHECKSUM_LEN,
	RECOVERY_CHARS = RECOVERY_BYTES * 8 / 5,
	GROUP_LEN = 5,
};

_Static_assert(RECOVERY_CHARS + RECOVERY_CHARS / GROUP_LEN == RECOVERY_TEXT_SIZE,
	"a hyphen between groups, and the NUL");
_Static_assert((int)ACCOUNT_KEY_WRAPPED_LEN ==
		NONCE_LEN + ACCOUNT_KEY_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
	"nonce, key, tag");

/* How a private key is wrapped: what the key of the wrapping follows from. */
struct wrapping {
	uint8_t kind; /* bound in: neither wrapped form passes for the other */
	const char *label; /* 16 bytes, keeps the uses of one secret apart */
	struct slice secret;
};

static struct wrapping
wrapping_by_password(const uint8_t *client_key)
{
	return (struct wrapping){1, "pabal by passwd ", slice_make(client_key, CLIENT_KEY_LEN)};
}

static struct wrapping
wrapping_by_recovery(const uint8_t *recovery)
{
	return (struct wrapping){2, "pabal by recover", slice_make(recovery, RECOVERY_KEY_LEN)};
}

void
account_key_make(const struct entropy *entropy, struct account_key *key)
{
	entropy->fill(entropy->arg, key->private_key, sizeof key->private_key);
	crypto_scalarmult_base(key->public_key, key->private_key);
}

void
account_key_clear(struct account_key *key)
{
	secret_wipe(key, sizeof *key);
}

bool
account_key_fits(const struct account_key_record *record, struct account_key *key)
{
	crypto_scalarmult_base(key->public_key, key->private_key);
	return record->exists &&
		memcmp(key->public_key, record->public_key, sizeof key->public_key) == 0;
}

/* The key that encrypts the private key.  The secret is a key already: no stretching is needed. */
static void
derive(const struct wrapping *w, uint64_t account, uint8_t *out)
{
	uint8_t salt[crypto_generichash_blake2b_SALTBYTES] = {0};

	put_u64(salt, account);
	crypto_generichash_blake2b_salt_personal(out, crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
		NULL, 0, (const uint8_t *)w->secret.data, w->secret.len, salt,
		(const uint8_t *)w->label);
}

/* What is authenticated beside the key itself. */
static void
fill_context(const struct wrapping *w, uint64_t account, const uint8_t *public_key,
	uint8_t context[static CONTEXT_LEN])
{
	context[0] = WRAP_VERSION;
	context[1] = w->kind;
	put_u64(context + 2, account);
	memcpy(context + 10, public_key, ACCOUNT_KEY_LEN);
}

static void
wrap(const struct account_key_owner *owner, const struct account_key *key, const struct wrapping *w,
	uint8_t out[static ACCOUNT_KEY_WRAPPED_LEN])
{
	uint8_t context[CONTEXT_LEN], by[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];

	owner->entropy->fill(owner->entropy->arg, out, NONCE_LEN);
	derive(w, owner->account, by);
	fill_context(w, owner->account, key->public_key, context);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_LEN, NULL, key->private_key,
		sizeof key->private_key, context, sizeof context, NULL, out, by);
	secret_wipe(by, sizeof by);
}

static bool
open_wrapped(const struct account_key_record *record, uint64_t account, const struct wrapping *w,
	struct account_key *key)
{
	const uint8_t *wrapped = w->kind == 1 ? record->by_password : record->by_recovery;
	uint8_t context[CONTEXT_LEN], by[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	bool opened;

	derive(w, account, by);
	fill_context(w, account, record->public_key, context);
	opened = record->exists &&
		crypto_aead_xchacha20poly1305_ietf_decrypt(key->private_key, NULL, NULL,
			wrapped + NONCE_LEN, ACCOUNT_KEY_WRAPPED_LEN - NONCE_LEN, context,
			sizeof context, wrapped, by) == 0 &&
		account_key_fits(record, key);
	secret_wipe(by, sizeof by);
	if (!opened)
		account_key_clear(key);
	return opened;
}

void
account_key_wrap_password(const struct account_key_owner *owner, const struct account_key *key,
	const uint8_t client_key[static CLIENT_KEY_LEN], struct account_key_record *record)
{
	struct wrapping w = wrapping_by_password(client_key);

	wrap(owner, key, &w, record->by_password);
}

void
account_key_wrap_recovery(const struct account_key_owner *owner, const struct account_key *key,
	const uint8_t recovery[static RECOVERY_KEY_LEN], struct account_key_record *record)
{
	struct wrapping w = wrapping_by_recovery(recovery);

	wrap(owner, key, &w, record->by_recovery);
}

bool
account_key_open_password(const struct account_key_record *record, uint64_t account,
	const uint8_t client_key[static CLIENT_KEY_LEN], struct account_key *key)
{
	struct wrapping w = wrapping_by_password(client_key);

	return open_wrapped(record, account, &w, key);
}

bool
account_key_open_recovery(const struct account_key_record *record, uint64_t account,
	const uint8_t recovery[static RECOVERY_KEY_LEN], struct account_key *key)
{
	struct wrapping w = wrapping_by_recovery(recovery);

	return open_wrapped(record, account, &w, key);
}

static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";

static void
recovery_checksum(const uint8_t *key, uint8_t checksum[static CHECKSUM_LEN])
{
	uint8_t sum[crypto_generichash_BYTES_MIN];

	crypto_generichash(sum, sizeof sum, key, RECOVERY_KEY_LEN, NULL, 0);
	memcpy(checksum, sum, CHECKSUM_LEN);
	secret_wipe(sum, sizeof sum);
}

/* Five bits of the bytes, the first ones first. */
static unsigned
five_bits(const uint8_t *bytes, size_t index)
{
	size_t bit = index * 5;
	unsigned pair = (unsigned)bytes[bit / 8] << 8;

	if (bit / 8 + 1 < RECOVERY_BYTES)
		pair |= bytes[bit / 8 + 1];
	return pair >> (11 - bit % 8) & 31;
}

void
recovery_key_format(
	const uint8_t key[static RECOVERY_KEY_LEN], char text[static RECOVERY_TEXT_SIZE])
{
	uint8_t bytes[RECOVERY_BYTES];
	size_t n = 0;

	memcpy(bytes, key, RECOVERY_KEY_LEN);
	recovery_checksum(key, bytes + RECOVERY_KEY_LEN);
	for (size_t i = 0; i < RECOVERY_CHARS; i++) {
		if (i > 0 && i % GROUP_LEN == 0)
			text[n++] = '-';
		text[n++] = alphabet[five_bits(bytes, i)];
	}
	text[n] = '\0';
	secret_wipe(bytes, sizeof bytes);
}

/* The value of a character, or 32 for none of the alphabet's. */
static unsigned
value_of(char c)
{
	unsigned value = 0;

	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	while (value < 32 && alphabet[value] != c)
		value++;
	return value;
}

static bool
decode(struct slice text, uint8_t bytes[static RECOVERY_BYTES])
{
	size_t count = 0;

	memset(bytes, 0, RECOVERY_BYTES);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '-' || text.data[i] == ' ')
			continue;
		unsigned value = value_of(text.data[i]);
		if (value > 31 || count == RECOVERY_CHARS)
			return false;
		for (unsigned bit = 0; bit < 5; bit++)
			if ((value >> (4 - bit) & 1) != 0)
				bytes[(count * 5 + bit) / 8] |=
					(uint8_t)(128 >> (count * 5 + bit) % 8);
		count++;
	}
	return count == RECOVERY_CHARS;
}

bool
recovery_key_parse(struct slice text, uint8_t key[static RECOVERY_KEY_LEN])
{
	uint8_t bytes[RECOVERY_BYTES], checksum[CHECKSUM_LEN];
	bool right = decode(text, bytes);

	recovery_checksum(bytes, checksum);
	right = right && memcmp(checksum, bytes + RECOVERY_KEY_LEN, CHECKSUM_LEN) == 0;
	if (right)
		memcpy(key, bytes, RECOVERY_KEY_LEN);
	secret_wipe(bytes, sizeof bytes);
	return right;
}
