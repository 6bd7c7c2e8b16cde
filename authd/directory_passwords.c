/* SPDX-License-Identifier: ISC */
/*
 * Passwords of accounts, and the key pairs that hang on them.  Runs in authd.  What the change was
 * made from (a password that was checked, a key that was opened) is compared once more within the
 * transaction: hashing takes its time, and things may have changed.
 */
#include "authd/directory_internal.h"

static bool
is_same_pair(const struct account_key_record *a, const struct account_key_record *b)
{
	return memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0;
}

/* A password change never loses the key to the mail by accident, whoever asks for it. */
static enum fault
change_key(struct directory *d, const struct password_record *password, struct account_record *r)
{
	const struct account_key_record *key = password->key;

	if (!r->key.exists && key == NULL)
		return FAULT_OK;
	if (key != NULL && r->key.exists && is_same_pair(&r->key, key)) {
		memcpy(r->key.by_password, key->by_password, sizeof r->key.by_password);
		return FAULT_OK;
	}
	if (!password->gives_up_mail)
		return directory_refuse(d, FAULT_DENIED,
			"the mail of this account is encrypted: its key would be lost");
	r->key = key != NULL ? *key : (struct account_key_record){.exists = false};
	return FAULT_OK;
}

static enum fault
set_password(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct account_change *change = arg;
	struct account_record r;
	enum fault fault = directory_load_for_change(d, txn, change, &r);

	if (fault == FAULT_OK)
		fault = change_key(d, change->password, &r);
	if (fault != FAULT_OK)
		return fault;
	r.password_hash = change->password->hash;
	r.scram = change->password->scram;
	r.password_at = clock_wall_ms(d->clock);
	return directory_save_account(txn, change->id, &r);
}

enum fault
directory_set_password(
	struct directory *d, struct slice address, const struct password_record *password)
{
	struct account_change change = {.password = password};

	return directory_change_account(d, address, set_password, &change);
}

static enum fault
set_key(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct account_change *change = arg;
	struct account_record r;
	enum fault fault = directory_load_for_change(d, txn, change, &r);

	if (fault != FAULT_OK)
		return fault;
	if (memcmp(r.scram.stored_key, change->stored_key, SCRAM_KEY_LEN) != 0 ||
		(r.key.exists && !is_same_pair(&r.key, change->key)))
		return directory_refuse(
			d, FAULT_CONFLICT, "the account has changed meanwhile, try again");
	r.key = *change->key;
	return directory_save_account(txn, change->id, &r);
}

enum fault
directory_set_key(struct directory *d, struct slice address, const struct account_key_record *key,
	const uint8_t stored_key[static SCRAM_KEY_LEN])
{
	struct account_change change = {.key = key, .stored_key = stored_key};

	return directory_change_account(d, address, set_key, &change);
}

static enum fault
stop_sealing(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct account_change *change = arg;
	struct account_record r;
	enum fault fault = directory_load_for_change(d, txn, change, &r);

	if (fault != FAULT_OK)
		return fault;
	if (!r.key.seals)
		return directory_refuse(
			d, FAULT_NOT_FOUND, "new mail of this account is not encrypted");
	r.key.seals = false;
	return directory_save_account(txn, change->id, &r);
}

enum fault
directory_stop_sealing(struct directory *d, struct slice address)
{
	struct account_change change = {0};

	return directory_change_account(d, address, stop_sealing, &change);
}
