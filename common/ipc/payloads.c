/* SPDX-License-Identifier: ISC */
/*
 * The fields of every payload with their limits, and the rows of the message table.  The macros
 * check each field's size against its kind, so that a changed struct does not compile.
 */
#include "common/ipc/payloads.h"

#include "common/ipc/codec.h"

#define SIZE_OF(s, f) sizeof(((struct ipc_##s *)NULL)->f)
#define CHECKED(s, f, size)                                                                        \
	(offsetof(struct ipc_##s, f) + 0 * sizeof(char[SIZE_OF(s, f) == (size) ? 1 : -1]))
#define U8(s, f)                                                                                   \
	{                                                                                          \
		IPC_FIELD_U8, CHECKED(s, f, 1), 0, 0, NULL                                         \
	}
#define BOOL(s, f)                                                                                 \
	{                                                                                          \
		IPC_FIELD_BOOL, CHECKED(s, f, sizeof(bool)), 0, 0, NULL                            \
	}
#define U32(s, f)                                                                                  \
	{                                                                                          \
		IPC_FIELD_U32, CHECKED(s, f, 4), 0, 0, NULL                                        \
	}
#define U64(s, f)                                                                                  \
	{                                                                                          \
		IPC_FIELD_U64, CHECKED(s, f, 8), 0, 0, NULL                                        \
	}
#define TEXT(s, f, limit)                                                                          \
	{                                                                                          \
		IPC_FIELD_SLICE, CHECKED(s, f, sizeof(struct slice)), (limit), 0, NULL             \
	}
#define LIST(s, f, count, limit, e)                                                                \
	{                                                                                          \
		IPC_FIELD_LIST, CHECKED(s, f, sizeof(void *)), (limit),                            \
			offsetof(struct ipc_##s, count), &layout_##e                               \
	}
#define LAYOUT(s, ...)                                                                             \
	static const struct ipc_field fields_##s[] = {__VA_ARGS__};                                \
	static const struct ipc_layout layout_##s = {                                              \
		sizeof(struct ipc_##s), fields_##s, sizeof fields_##s / sizeof fields_##s[0]}

enum {
	NAME_MAX_LEN = 64,
	VALUE_MAX = 8192,
	PATH_MAX_LEN = 4096,
	HOST_MAX = 255,
	SECRET_MAX_LEN = 1024,
	REMOTE_MAX = 64,
	TEXT_MAX = 2048,
	SCRAM_MAX = 4096,
	CONTROL_WORD_MAX = 4096,
	CONTROL_WORDS_MAX = 256,
	CONTROL_TEXT_MAX = 64 * 1024,
	CHAIN_MAX = 64 * 1024,
	CERTIFICATES_MAX = 1000,
	EXPANSIONS_MAX = 1000,
	ORCPT_MAX = 500,
	ENVID_MAX = 100,
	STATUS_MAX = 16,
	KEYWORDS_MAX = 8192,
	PREFIX_MAX = 4096,
	REFERENCES_MAX = 8192,
	CHANGES_MAX = 8192,
};

LAYOUT(empty, U8(empty, reserved));
LAYOUT(hello, U64(hello, table_hash), U32(hello, process), U32(hello, instance));
LAYOUT(setting, TEXT(setting, name, NAME_MAX_LEN), TEXT(setting, value, VALUE_MAX));
LAYOUT(route, TEXT(route, domain, HOST_MAX), TEXT(route, host, HOST_MAX), U32(route, port),
	U32(route, tls), TEXT(route, user, SECRET_MAX_LEN), TEXT(route, password, SECRET_MAX_LEN));
LAYOUT(key_file, TEXT(key_file, certificate, PATH_MAX_LEN), TEXT(key_file, key, PATH_MAX_LEN));
LAYOUT(listener, U32(listener, service), TEXT(listener, address, HOST_MAX));
LAYOUT(peer, U32(peer, process), U32(peer, instance));

LAYOUT(control_word, TEXT(control_word, text, CONTROL_WORD_MAX));
LAYOUT(control, U32(control, target),
	LIST(control, words, word_count, CONTROL_WORDS_MAX, control_word));
LAYOUT(control_text, TEXT(control_text, text, CONTROL_TEXT_MAX));
LAYOUT(done, U32(done, fault), TEXT(done, text, TEXT_MAX));

LAYOUT(auth_plain, U32(auth_plain, service), TEXT(auth_plain, remote, REMOTE_MAX),
	TEXT(auth_plain, user, SECRET_MAX_LEN), TEXT(auth_plain, password, SECRET_MAX_LEN));
LAYOUT(auth_result, U32(auth_result, fault), U64(auth_result, account),
	TEXT(auth_result, address, IPC_ADDRESS_MAX),
	TEXT(auth_result, public_key, IPC_ACCOUNT_KEY_LEN),
	TEXT(auth_result, private_key, IPC_ACCOUNT_KEY_LEN));
LAYOUT(scram_start, U32(scram_start, service), TEXT(scram_start, remote, REMOTE_MAX),
	TEXT(scram_start, message, SCRAM_MAX));
LAYOUT(scram_challenge, U32(scram_challenge, fault), U64(scram_challenge, exchange),
	TEXT(scram_challenge, message, SCRAM_MAX));
LAYOUT(scram_finish, U64(scram_finish, exchange), TEXT(scram_finish, message, SCRAM_MAX));
LAYOUT(scram_result, U32(scram_result, fault), U64(scram_result, account),
	TEXT(scram_result, address, IPC_ADDRESS_MAX), TEXT(scram_result, message, SCRAM_MAX),
	TEXT(scram_result, public_key, IPC_ACCOUNT_KEY_LEN),
	TEXT(scram_result, private_key, IPC_ACCOUNT_KEY_LEN));

LAYOUT(address, TEXT(address, address, IPC_ADDRESS_MAX));
LAYOUT(recipient_checked, U32(recipient_checked, fault));
LAYOUT(sender_check, U64(sender_check, account), TEXT(sender_check, address, IPC_ADDRESS_MAX));
LAYOUT(expansion, U32(expansion, kind), U64(expansion, account),
	TEXT(expansion, address, IPC_ADDRESS_MAX), TEXT(expansion, detail, IPC_ADDRESS_MAX),
	TEXT(expansion, public_key, IPC_ACCOUNT_KEY_LEN));
LAYOUT(expanded, U32(expanded, fault),
	LIST(expanded, targets, target_count, EXPANSIONS_MAX, expansion));

LAYOUT(certificates, U32(certificates, count));
LAYOUT(certificate, U32(certificate, key), TEXT(certificate, chain, CHAIN_MAX));
LAYOUT(sign, U32(sign, key), U32(sign, operation), U32(sign, padding),
	TEXT(sign, data, IPC_DIGEST_MAX));
LAYOUT(signed_digest, U32(signed_digest, fault), TEXT(signed_digest, signature, IPC_DIGEST_MAX));

LAYOUT(recipient, U32(recipient, number), BOOL(recipient, local), U32(recipient, notify),
	TEXT(recipient, address, IPC_ADDRESS_MAX), TEXT(recipient, orcpt, ORCPT_MAX));
LAYOUT(submit, U64(submit, id), TEXT(submit, sender, IPC_ADDRESS_MAX), U64(submit, account),
	TEXT(submit, client, TEXT_MAX), U32(submit, body), BOOL(submit, smtputf8), U32(submit, ret),
	TEXT(submit, envid, ENVID_MAX),
	LIST(submit, recipients, recipient_count, IPC_RECIPIENTS_MAX, recipient));
LAYOUT(submitted, U32(submitted, fault), TEXT(submitted, text, TEXT_MAX));
LAYOUT(deliver, U64(deliver, id), TEXT(deliver, sender, IPC_ADDRESS_MAX),
	LIST(deliver, recipients, recipient_count, IPC_RECIPIENTS_MAX, recipient));
LAYOUT(delivery_result, U32(delivery_result, number), U32(delivery_result, fault),
	TEXT(delivery_result, text, TEXT_MAX));
LAYOUT(forward, U32(forward, number), TEXT(forward, address, IPC_ADDRESS_MAX));
LAYOUT(delivered, U32(delivered, fault),
	LIST(delivered, results, result_count, IPC_RECIPIENTS_MAX, delivery_result),
	LIST(delivered, forwards, forward_count, EXPANSIONS_MAX, forward));
LAYOUT(relay, U64(relay, id), TEXT(relay, sender, IPC_ADDRESS_MAX), TEXT(relay, domain, HOST_MAX),
	U32(relay, body), BOOL(relay, smtputf8), U32(relay, ret), TEXT(relay, envid, ENVID_MAX),
	LIST(relay, recipients, recipient_count, IPC_RECIPIENTS_MAX, recipient));
LAYOUT(relay_result, U32(relay_result, number), U32(relay_result, fault), U32(relay_result, code),
	TEXT(relay_result, status, STATUS_MAX), TEXT(relay_result, text, TEXT_MAX));
LAYOUT(relayed, U32(relayed, fault), TEXT(relayed, host, HOST_MAX), BOOL(relayed, dsn),
	LIST(relayed, results, result_count, IPC_RECIPIENTS_MAX, relay_result));

LAYOUT(account_ensure, U64(account_ensure, account));
LAYOUT(append_target, U64(append_target, account), U32(append_target, mailbox),
	U32(append_target, flags), TEXT(append_target, keywords, KEYWORDS_MAX),
	U64(append_target, internal_s), U32(append_target, zone_min),
	TEXT(append_target, prefix, PREFIX_MAX),
	TEXT(append_target, delivery_id, IPC_DELIVERY_ID_LEN));
LAYOUT(append, U32(append, structure_len), U64(append, stored_len), U64(append, plain_len),
	U32(append, codec), TEXT(append, checksum, IPC_CHECKSUM_LEN),
	TEXT(append, references, REFERENCES_MAX),
	LIST(append, targets, target_count, IPC_TARGETS_MAX, append_target));
LAYOUT(append_result, U32(append_result, fault), U32(append_result, uidvalidity),
	U32(append_result, uid), U64(append_result, modseq), U64(append_result, email));
LAYOUT(appended, U32(appended, fault),
	LIST(appended, results, result_count, IPC_TARGETS_MAX, append_result));
LAYOUT(restore_target, U32(restore_target, mailbox), U32(restore_target, flags),
	TEXT(restore_target, keywords, KEYWORDS_MAX), U64(restore_target, internal_s),
	U32(restore_target, zone_min));
LAYOUT(restore, U64(restore, store), U64(restore, account), U64(restore, email),
	U64(restore, thread), U64(restore, body), U64(restore, expunged_s),
	U32(restore, structure_len), U64(restore, stored_len), U64(restore, plain_len),
	U32(restore, codec), TEXT(restore, checksum, IPC_CHECKSUM_LEN),
	TEXT(restore, references, REFERENCES_MAX), TEXT(restore, prefix, PREFIX_MAX),
	LIST(restore, targets, target_count, IPC_TARGETS_MAX, restore_target));
LAYOUT(restored, U32(restored, fault), U32(restored, count));
LAYOUT(flags_store, U64(flags_store, account), U32(flags_store, mailbox),
	TEXT(flags_store, uids, IPC_RANGES_MAX), U32(flags_store, operation),
	U32(flags_store, flags), TEXT(flags_store, keywords, KEYWORDS_MAX),
	U64(flags_store, unchanged_since));
LAYOUT(flags_stored, U32(flags_stored, fault), U64(flags_stored, modseq),
	TEXT(flags_stored, failed, IPC_RANGES_MAX));
LAYOUT(copy, U64(copy, account), U32(copy, mailbox), U32(copy, to), BOOL(copy, move),
	TEXT(copy, uids, IPC_RANGES_MAX));
LAYOUT(copied, U32(copied, fault), U32(copied, uidvalidity), TEXT(copied, uids, IPC_RANGES_MAX),
	U32(copied, first_uid), U64(copied, modseq));
LAYOUT(expunge, U64(expunge, account), U32(expunge, mailbox), BOOL(expunge, only_deleted),
	TEXT(expunge, uids, IPC_RANGES_MAX));
LAYOUT(expunged, U32(expunged, fault), U32(expunged, count), U64(expunged, modseq));
LAYOUT(mailbox_create, U64(mailbox_create, account), TEXT(mailbox_create, name, IPC_NAME_MAX),
	U32(mailbox_create, special_use));
LAYOUT(mailbox_name, U64(mailbox_name, account), TEXT(mailbox_name, name, IPC_NAME_MAX));
LAYOUT(mailbox_rename, U64(mailbox_rename, account), TEXT(mailbox_rename, from, IPC_NAME_MAX),
	TEXT(mailbox_rename, to, IPC_NAME_MAX));
LAYOUT(mailbox_subscribe, U64(mailbox_subscribe, account),
	TEXT(mailbox_subscribe, name, IPC_NAME_MAX), BOOL(mailbox_subscribe, subscribed));
LAYOUT(mailbox_done, U32(mailbox_done, fault), U32(mailbox_done, mailbox));
LAYOUT(recent_claim, U64(recent_claim, account), U32(recent_claim, mailbox));
LAYOUT(recent_claimed, U32(recent_claimed, fault), U32(recent_claimed, first_recent));
LAYOUT(change, U64(change, account), U32(change, mailbox), U64(change, modseq));
LAYOUT(changed, LIST(changed, changes, change_count, CHANGES_MAX, change));

static const struct ipc_row rows[] = {[IPC_NONE] = {"NONE", NULL, 0, 0, IPC_NO_FD, IPC_NONE},
#define ROW(type, payload, from, to, fd, answer)                                                   \
	[IPC_##type] = {#type, &layout_##payload, from, to, IPC_##fd, IPC_##answer},
	IPC_MESSAGES(ROW)
#undef ROW
};

const struct ipc_row *
ipc_row(unsigned type)
{
	return type > IPC_NONE && type < IPC_TYPE_COUNT ? &rows[type] : NULL;
}

bool
ipc_type_is_answer(enum ipc_type type)
{
	for (unsigned i = 0; i < IPC_TYPE_COUNT; i++) {
		if (rows[i].answer == type && type != IPC_NONE)
			return true;
	}
	return false;
}

/* FNV-1a: it only has to notice two programs of different builds. */
static uint64_t
hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 1099511628211u;
	return hash;
}

static uint64_t
hash_layout(uint64_t hash, const struct ipc_layout *layout)
{
	for (size_t i = 0; i < layout->field_count; i++) {
		const struct ipc_field *field = &layout->fields[i];
		hash = hash_bytes(hash, &field->kind, sizeof field->kind);
		hash = hash_bytes(hash, &field->limit, sizeof field->limit);
		if (field->element != NULL)
			hash = hash_layout(hash, field->element);
	}
	return hash;
}

uint64_t
ipc_table_hash(void)
{
	uint64_t hash = 14695981039346656037u;

	for (unsigned i = IPC_NONE + 1; i < IPC_TYPE_COUNT; i++) {
		hash = hash_bytes(hash, rows[i].name, strlen(rows[i].name));
		hash = hash_bytes(hash, &rows[i].from, sizeof rows[i].from);
		hash = hash_bytes(hash, &rows[i].to, sizeof rows[i].to);
		hash = hash_layout(hash, rows[i].layout);
	}
	return hash;
}

const char *
ipc_type_name(enum ipc_type type)
{
	const struct ipc_row *row = ipc_row(type);

	return row != NULL ? row->name : "unknown";
}
