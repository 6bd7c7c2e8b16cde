/* SPDX-License-Identifier: ISC */
/*
 * What a right login opens: the account as it is now and, where its mail is encrypted, its private
 * key.  Runs in authd, for logins by password, from the memory, and by SCRAM.
 */
#include "authd/login.h"
#include "common/base/log.h"

/* The account's key pair, by what the login has brought along. */
static enum fault
open_key(const struct account *account, const struct login_claim *claim, struct account_key *key)
{
	const struct account_key_record *record = &account->record.key;

	if (claim->private_key != NULL) {
		memcpy(key->private_key, claim->private_key, sizeof key->private_key);
		return account_key_fits(record, key) ? FAULT_OK : FAULT_BUSY;
	}
	if (claim->client_key == NULL)
		return FAULT_BUSY;
	if (account_key_open_password(record, account->id, claim->client_key, key))
		return FAULT_OK;
	return scram_key_fits(&account->record.scram, claim->client_key) ? FAULT_DAMAGED
									 : FAULT_BUSY;
}

/* With a damaged key record the rest of the mail can still be read. */
static enum fault
fill_key(const struct account *account, const struct login_claim *claim, struct login_opened *o)
{
	enum fault fault = open_key(account, claim, &o->key);

	if (fault == FAULT_OK)
		o->result.private_key = slice_make(o->key.private_key, ACCOUNT_KEY_LEN);
	if (fault != FAULT_DAMAGED)
		return fault;
	log_error("the key of %" SLICE_FMT " does not open: its record is damaged",
		SLICE_ARG(account->record.address));
	return FAULT_OK;
}

static enum fault
load_claimed(struct logins *l, const struct login_claim *claim, struct arena *arena,
	struct account *account)
{
	enum fault fault =
		directory_get_account(logins_parts(l)->directory, claim->account, arena, account);

	if (fault == FAULT_NO_SUCH_USER)
		return FAULT_AUTH_FAILED;
	if (fault != FAULT_OK)
		return fault;
	if (claim->stored_key != NULL &&
		memcmp(account->record.scram.stored_key, claim->stored_key, SCRAM_KEY_LEN) != 0)
		return FAULT_AUTH_FAILED;
	return account->record.disabled ? FAULT_ACCOUNT_DISABLED : FAULT_OK;
}

void
login_open(struct logins *l, const struct login_claim *claim, struct login_opened *o)
{
	struct account account;

	*o = (struct login_opened){.result.address = SLICE("")};
	arena_init(&o->arena, DIRECTORY_ARENA);
	o->result.fault = load_claimed(l, claim, &o->arena, &account);
	if (o->result.fault == FAULT_OK && account.record.key.exists)
		o->result.fault = fill_key(&account, claim, o);
	if (o->result.fault != FAULT_OK)
		return;
	o->result.account = claim->account;
	o->result.address = account.record.address;
	if (!account.record.key.seals)
		return;
	memcpy(o->public_key, account.record.key.public_key, sizeof o->public_key);
	o->result.public_key = slice_make(o->public_key, sizeof o->public_key);
}

void
login_opened_clear(struct login_opened *o)
{
	account_key_clear(&o->key);
	arena_clear(&o->arena);
}
