/* SPDX-License-Identifier: ISC */
/*
 * mailctl's commands that come with a password: new accounts, new passwords, encryption of mail.
 * Passwords are hashed by the pool; the answer follows when the account is on disk.
 *
 *	add ───────────────────────────────► make ─► directory
 *	passwd ── key to be kept: check old ► make ─► directory (wrapped anew)
 *	encrypt, recovery ───────► check ──────────► directory (wrapped anew, recovery key shown)
 */
#include <stdlib.h>

#include "authd/authd.h"
#include "authd/saslprep.h"

/* A command under way. */
struct work {
	struct authd *authd;
	struct ipc_origin origin;
	char *address;
	bool is_new_account;
	bool gives_up_mail; /* the account gets another key pair, if any */
	struct secret password; /* the new one, while the old one is checked */
	struct account account; /* as it was at first; its texts are gone */
	struct account_key key; /* opened, or made */
	bool has_key;
};

static struct work *
work_new(const struct control_request *r)
{
	struct work *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->authd = r->authd;
	w->origin = r->origin;
	w->address = slice_dup(r->arguments[0]);
	if (w->address != NULL)
		return w;
	free(w);
	return NULL;
}

static void
work_free(struct work *w)
{
	free(w->address);
	secret_wipe(w, sizeof *w);
	free(w);
}

/* Ends the command: with the account as it is now, or with why not. */
static void
work_end(struct work *w, enum fault fault, const char *recovery_text)
{
	struct slice address = slice_text(w->address);
	struct control_request r = {
		.authd = w->authd, .origin = w->origin, .arguments = &address, .count = 1};

	if (fault == FAULT_OK) {
		login_memory_forget_keys(w->authd->memory, w->account.id);
		control_account_reply(&r, recovery_text);
	} else {
		control_finish(&r, fault);
	}
	work_free(w);
}

static void
work_refuse(struct work *w, enum fault fault, const char *why)
{
	daemon_control_done(w->origin, fault, why);
	work_free(w);
}

static struct account_key_owner
owner_of(const struct work *w)
{
	return (struct account_key_owner){w->account.id, &entropy_system};
}

/* Wraps the key by a new recovery key, and says it. */
static void
add_recovery(const struct work *w, struct account_key_record *record,
	char text[static RECOVERY_TEXT_SIZE])
{
	struct account_key_owner owner = owner_of(w);
	uint8_t recovery[RECOVERY_KEY_LEN];

	entropy_system.fill(entropy_system.arg, recovery, sizeof recovery);
	account_key_wrap_recovery(&owner, &w->key, recovery, record);
	recovery_key_format(recovery, text);
	secret_wipe(recovery, sizeof recovery);
}

static struct account_key_record
record_of(const struct work *w, const uint8_t *client_key)
{
	struct account_key_record record = {.exists = true, .seals = true};
	struct account_key_owner owner = owner_of(w);

	memcpy(record.public_key, w->key.public_key, sizeof record.public_key);
	account_key_wrap_password(&owner, &w->key, client_key, &record);
	return record;
}

/* The new password is hashed. */
static void
on_made(void *arg, const struct password_answer *made)
{
	struct work *w = arg;
	struct directory *d = w->authd->directory;
	struct password_record record = {.hash = slice_text(made->hash), .scram = made->scram};
	struct account_key_record key;
	char text[RECOVERY_TEXT_SIZE];
	bool shows_key = w->has_key && w->gives_up_mail;
	enum fault fault;

	if (made->fault != FAULT_OK) {
		work_refuse(w, made->fault, "the password could not be hashed");
		return;
	}
	record.gives_up_mail = w->gives_up_mail;
	if (w->has_key) {
		key = record_of(w, made->client_key);
		record.key = &key;
	}
	if (shows_key)
		add_recovery(w, &key, text);
	/* Things may have changed meanwhile: every rule is looked at again. */
	fault = w->is_new_account
		? directory_add_account(d, slice_text(w->address), &record, &w->account.id)
		: directory_set_password(d, slice_text(w->address), &record);
	work_end(w, fault, shows_key ? text : NULL);
	secret_wipe(text, sizeof text);
}

static void
hash_new(struct work *w)
{
	enum fault fault = password_make(w->authd->pool, &w->password, on_made, w);

	if (fault != FAULT_OK)
		work_refuse(w, fault, fault_text(fault));
}

/* Begins a command that sets a password; NULL after an answer. */
static struct work *
begin_new_password(const struct control_request *r)
{
	struct work *w = work_new(r);
	const char *why = NULL;

	if (w == NULL) {
		daemon_control_done(r->origin, FAULT_NOMEM, NULL);
		return NULL;
	}
	enum fault fault = password_prepare_new(r->arguments[1], &w->password, &why);
	if (fault == FAULT_OK)
		return w;
	work_refuse(w, fault, why != NULL ? why : fault_text(fault));
	return NULL;
}

void
control_account_add(const struct control_request *r)
{
	enum fault fault = directory_check_new_account(r->authd->directory, r->arguments[0]);

	if (fault != FAULT_OK) {
		control_finish(r, fault);
		return;
	}
	struct work *w = begin_new_password(r);
	if (w == NULL)
		return;
	w->is_new_account = true;
	hash_new(w);
}

/* The account of argument 0, without its texts, and the hash of its password. */
static enum fault
load_account(const struct control_request *r, struct arena *arena, struct work *w)
{
	return directory_find_account(r->authd->directory, r->arguments[0], arena, &w->account);
}

/* Checks the password that the account has now; done then gets the work. */
static void
check_now(struct work *w, struct slice given, password_done *done)
{
	struct secret password;
	enum fault fault = saslprep(given, &password);
	struct password_check check = {w->account.record.password_hash, &w->account.record.scram};

	if (fault == FAULT_OK)
		fault = password_verify(w->authd->pool, &check, &password, done, w);
	else
		fault = FAULT_AUTH_FAILED;
	secret_clear(&password);
	if (fault == FAULT_AUTH_FAILED)
		work_refuse(w, fault, "the password is wrong");
	else if (fault != FAULT_OK)
		work_refuse(w, fault, fault_text(fault));
}

/* The old password was given to keep the mail readable. */
static void
on_old_checked(void *arg, const struct password_answer *checked)
{
	struct work *w = arg;

	if (checked->fault == FAULT_OK)
		w->has_key = account_key_open_password(
			&w->account.record.key, w->account.id, checked->client_key, &w->key);
	if (w->has_key)
		hash_new(w);
	else if (checked->fault == FAULT_OK)
		work_refuse(w, FAULT_DAMAGED, "the key of the account is damaged");
	else if (checked->fault == FAULT_AUTH_FAILED)
		work_refuse(w, FAULT_AUTH_FAILED,
			"that is neither the old password nor the recovery key");
	else
		work_refuse(w, checked->fault, fault_text(checked->fault));
}

static bool
open_by_recovery(struct work *w, struct slice given)
{
	uint8_t recovery[RECOVERY_KEY_LEN];

	if (recovery_key_parse(given, recovery))
		w->has_key = account_key_open_recovery(
			&w->account.record.key, w->account.id, recovery, &w->key);
	secret_wipe(recovery, sizeof recovery);
	return w->has_key;
}

/* A new password for an account whose mail hangs on the old one. */
static void
change_encrypted(struct work *w, const struct control_request *r)
{
	bool gives_up = r->count == 4 && slice_equal(r->arguments[3], SLICE("give-up-mail"));
	struct slice old = r->count > 2 ? r->arguments[2] : SLICE("");

	if (gives_up) {
		w->gives_up_mail = true;
		w->has_key = w->account.record.key.seals;
		if (w->has_key)
			account_key_make(&entropy_system, &w->key);
		hash_new(w);
	} else if (old.len == 0) {
		work_refuse(w, FAULT_DENIED,
			"the mail of this account is encrypted: the old password or the recovery "
			"key is needed, or \"give-up-mail\" to lose it");
	} else if (open_by_recovery(w, old)) {
		hash_new(w);
	} else {
		check_now(w, old, on_old_checked);
	}
}

void
control_account_passwd(const struct control_request *r)
{
	struct arena arena;
	struct work *w = begin_new_password(r);

	if (w == NULL)
		return;
	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = load_account(r, &arena, w);
	if (fault != FAULT_OK) {
		work_free(w);
		control_finish_account(r, fault);
	} else if (w->account.record.key.exists) {
		change_encrypted(w, r);
	} else {
		hash_new(w);
	}
	arena_clear(&arena);
}

/* The password of an account that is to be encrypted, or to get another recovery key. */
static void
on_checked(void *arg, const struct password_answer *checked)
{
	struct work *w = arg;
	const struct account_key_record *known = &w->account.record.key;
	char text[RECOVERY_TEXT_SIZE];

	if (checked->fault != FAULT_OK) {
		work_refuse(w, checked->fault,
			checked->fault == FAULT_AUTH_FAILED ? "the password is wrong"
							    : fault_text(checked->fault));
		return;
	}
	if (!known->exists) {
		account_key_make(&entropy_system, &w->key);
	} else if (!account_key_open_password(known, w->account.id, checked->client_key, &w->key)) {
		work_refuse(w, FAULT_DAMAGED, "the key of the account is damaged");
		return;
	}
	struct account_key_record record = record_of(w, checked->client_key);
	add_recovery(w, &record, text);
	work_end(w,
		directory_set_key(w->authd->directory, slice_text(w->address), &record,
			checked->scram.stored_key),
		text);
	secret_wipe(text, sizeof text);
}

static void
wrap_anew(const struct control_request *r, bool must_seal)
{
	struct arena arena;
	struct work *w = work_new(r);

	if (w == NULL) {
		daemon_control_done(r->origin, FAULT_NOMEM, NULL);
		return;
	}
	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = load_account(r, &arena, w);
	if (fault != FAULT_OK) {
		work_free(w);
		control_finish_account(r, fault);
	} else if (w->account.record.key.seals != must_seal) {
		work_refuse(w, must_seal ? FAULT_NOT_FOUND : FAULT_EXISTS,
			must_seal ? "new mail of this account is not encrypted"
				  : "the mail of this account is encrypted already");
	} else {
		check_now(w, r->arguments[1], on_checked);
	}
	arena_clear(&arena);
}

void
control_account_encrypt(const struct control_request *r)
{
	wrap_anew(r, false);
}

void
control_account_recovery(const struct control_request *r)
{
	wrap_anew(r, true);
}
