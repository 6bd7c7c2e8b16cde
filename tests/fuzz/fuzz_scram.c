/* SPDX-License-Identifier: ISC */
/*
 * SCRAM messages of a client: the first byte chooses which, the rest is the message.  What parses
 * must hold what the grammar says of it, and no made-up proof may be right.
 * fuzz-links: authd
 */
#include <assert.h>

#include "authd/saslprep.h"
#include "authd/scram.h"

static void
fuzz_first(struct slice message)
{
	struct scram_first first;
	struct buffer name;

	if (scram_parse_first(message, &first) != FAULT_OK)
		return;
	assert(first.gs2_header.len + first.bare.len == message.len);
	assert(first.nonce.len > 0 && first.nonce.len <= SCRAM_NONCE_MAX);
	buffer_init(&name, SCRAM_MESSAGE_MAX);
	if (scram_unescape_name(first.user, &name) == FAULT_OK)
		assert(buffer_len(&name) > 0 && buffer_len(&name) <= SCRAM_NAME_MAX);
	buffer_clear(&name);
}

static void
fuzz_final(struct slice message)
{
	static const struct scram_exchange exchange = {
		.verifier = {.iterations = 1, .stored_key = {1}, .server_key = {2}},
		.gs2_header = SLICE_LITERAL("n,,"),
		.first_bare = SLICE_LITERAL("n=user,r=abc"),
		.server_first = SLICE_LITERAL("r=abcdef,s=AAAAAAAAAAAAAAAAAAAAAA==,i=1"),
		.nonce = SLICE_LITERAL("abcdef"),
	};
	struct scram_final final;
	struct buffer out;
	uint8_t client_key[SCRAM_KEY_LEN];

	if (scram_parse_final(message, &final) != FAULT_OK)
		return;
	assert(final.without_proof.len + 3 + final.proof.len == message.len);
	buffer_init(&out, SCRAM_MESSAGE_MAX);
	assert(scram_check(&exchange, &final, &out, client_key) != FAULT_OK);
	assert(slice_starts(buffer_slice(&out), SLICE("e=")));
	buffer_clear(&out);
}

/* What was prepared once stays as it is (RFC 3454 2: stringprep is idempotent on its output). */
static void
fuzz_password(struct slice password)
{
	struct secret once, twice;

	if (saslprep(password, &once) != FAULT_OK)
		return;
	assert(once.len > 0 && once.len <= SECRET_MAX);
	if (saslprep(secret_slice(&once), &twice) == FAULT_OK)
		assert(slice_equal(secret_slice(&once), secret_slice(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice message;

	if (size == 0)
		return 0;
	message = slice_make(data + 1, size - 1);
	if (data[0] % 3 == 0)
		fuzz_first(message);
	else if (data[0] % 3 == 1)
		fuzz_final(message);
	else
		fuzz_password(message);
	return 0;
}
