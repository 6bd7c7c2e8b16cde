/* SPDX-License-Identifier: ISC */
/* The keys of a session: to read sealed mail, and to seal what is appended.  Linked by imapd. */
#include "imapd/keys.h"

#include <stdlib.h>

#include "common/store/seal.h"

struct imap_keys {
	struct seal_opener *opener; /* NULL: authd could not open the private key */
	bool seals;
	uint8_t public_key[SEAL_KEY_LEN];
	struct seal_content content; /* of this session's own APPENDs */
};

static enum fault
fill(struct imap_keys *keys, const struct keys_given *given)
{
	if (given->private_key.len > 0) {
		keys->opener = seal_opener_new(given->private_key);
		if (keys->opener == NULL)
			return FAULT_NOMEM;
	}
	if (given->public_key.len == 0)
		return FAULT_OK;
	if (given->public_key.len != SEAL_KEY_LEN)
		return FAULT_PEER_PROTOCOL;
	memcpy(keys->public_key, given->public_key.data, SEAL_KEY_LEN);
	keys->seals = true;
	return FAULT_OK;
}

enum fault
keys_set(struct imap_session *s, const struct keys_given *given)
{
	keys_free(s);
	if (given->public_key.len == 0 && given->private_key.len == 0)
		return FAULT_OK;
	s->keys = calloc(1, sizeof *s->keys);
	if (s->keys == NULL)
		return FAULT_NOMEM;
	enum fault fault = fill(s->keys, given);
	if (fault != FAULT_OK)
		keys_free(s);
	return fault;
}

void
keys_free(struct imap_session *s)
{
	if (s->keys == NULL)
		return;
	/* The reader may still have it from the turn before. */
	if (s->core->reader != NULL)
		reader_use_key(s->core->reader, NULL);
	seal_opener_free(s->keys->opener);
	secret_wipe(s->keys, sizeof *s->keys);
	free(s->keys);
	s->keys = NULL;
}

void
keys_use(struct imap_session *s)
{
	if (s->core->reader != NULL)
		reader_use_key(s->core->reader, s->keys != NULL ? s->keys->opener : NULL);
}

bool
keys_are_open(const struct imap_session *s)
{
	return s->keys != NULL && s->keys->opener != NULL;
}

enum fault
keys_seal(struct imap_session *s, struct package *package)
{
	struct seal_source source = {s->core->clock, &entropy_system};
	struct package sealed;

	if (s->keys == NULL || !s->keys->seals)
		return FAULT_OK;
	/* Nothing says that this public key is still the account's: it might open nowhere. */
	if (!seal_opener_fits(s->keys->opener, s->keys->public_key))
		return FAULT_SEALED;
	enum fault fault = seal_content_refresh(&s->keys->content, &source, s->keys->public_key);
	if (fault == FAULT_OK)
		fault = package_seal(package, &s->keys->content, source.entropy, &sealed);
	if (fault != FAULT_OK)
		return fault;
	package_clear(package);
	*package = sealed;
	return FAULT_OK;
}
