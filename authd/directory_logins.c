/* SPDX-License-Identifier: ISC */
/*
 * Networks from which an account has logged in well, so that slowing guesses (guard.h) never locks
 * its owner out, not even after a restart.  Runs in authd.  Written in batches, at most once a day
 * per network; losing the last second of them at a crash harms nobody.
 */
#include "authd/directory_internal.h"

#include "common/base/bytes.h"

enum { KEY_LEN = 8 + DIRECTORY_NETWORK_LEN, VALUE_LEN = 8 };

static void
make_key(uint8_t key[static KEY_LEN], uint64_t account, const uint8_t *network)
{
	put_u64(key, account);
	memcpy(key + 8, network, DIRECTORY_NETWORK_LEN);
}

int64_t
directory_network_seen(
	struct directory *d, uint64_t account, const uint8_t network[static DIRECTORY_NETWORK_LEN])
{
	uint8_t key[KEY_LEN];
	struct kv_txn txn;
	struct slice value;
	uint64_t seen = 0;

	make_key(key, account, network);
	if (kv_begin_read(d->kv, &txn) != FAULT_OK)
		return 0;
	if (kv_get(&txn, TABLE_LOGINS, slice_make(key, sizeof key), &value) &&
		value.len == VALUE_LEN)
		seen = get_u64(value.data);
	kv_abort(&txn);
	return seen <= INT64_MAX ? (int64_t)seen : 0;
}

/* Makes room for one more: the network not seen for the longest time is forgotten. */
static void
trim_logins(struct kv_txn *txn, struct slice prefix)
{
	struct kv_cursor cursor;
	uint8_t oldest[KEY_LEN] = {0};
	uint64_t oldest_at = UINT64_MAX;
	size_t count = 0;

	kv_cursor_open(txn, TABLE_LOGINS, &cursor);
	for (bool on = kv_seek_prefix(&cursor, prefix); on; on = kv_next_prefix(&cursor, prefix)) {
		uint64_t at = cursor.value.len == VALUE_LEN ? get_u64(cursor.value.data) : 0;
		count++;
		if (cursor.key.len == KEY_LEN && at < oldest_at) {
			oldest_at = at;
			memcpy(oldest, cursor.key.data, KEY_LEN);
		}
	}
	kv_cursor_close(&cursor);
	if (count >= DIRECTORY_NETWORKS_MAX)
		kv_delete(txn, TABLE_LOGINS, slice_make(oldest, sizeof oldest));
}

struct login_batch {
	const struct directory_login *logins;
	size_t count;
};

static enum fault
note_logins(struct directory *d, struct kv_txn *txn, void *arg)
{
	const struct login_batch *batch = arg;
	uint8_t key[KEY_LEN], value[VALUE_LEN];
	struct slice old;
	struct account_record r;

	put_u64(value, (uint64_t)clock_wall_ms(d->clock));
	for (size_t i = 0; i < batch->count; i++) {
		const struct directory_login *login = &batch->logins[i];
		/* The account may have been removed since. */
		if (directory_load_account(txn, login->account, &r) == FAULT_NOT_FOUND)
			continue;
		make_key(key, login->account, login->network);
		if (!kv_get(txn, TABLE_LOGINS, slice_make(key, sizeof key), &old))
			trim_logins(txn, slice_make(key, 8));
		kv_put(txn, TABLE_LOGINS, slice_make(key, sizeof key),
			slice_make(value, sizeof value));
	}
	return FAULT_OK;
}

enum fault
directory_note_logins(struct directory *d, const struct directory_login *logins, size_t count)
{
	struct login_batch batch = {logins, count};

	return count > 0 ? directory_write(d, note_logins, &batch) : FAULT_OK;
}

void
directory_forget_logins(struct kv_txn *txn, uint64_t account)
{
	struct kv_cursor cursor;
	uint8_t prefix[8];

	put_u64(prefix, account);
	/* After a delete the cursor stands before what followed: kv_next goes there. */
	kv_cursor_open(txn, TABLE_LOGINS, &cursor);
	for (bool on = kv_seek_prefix(&cursor, slice_make(prefix, sizeof prefix)); on;
		on = kv_next_prefix(&cursor, slice_make(prefix, sizeof prefix)))
		kv_cursor_delete(&cursor);
	kv_cursor_close(&cursor);
}
