/* SPDX-License-Identifier: ISC */
/* Who has which maildrop.  pop3d is one process, so this table is the lock. */
#include "pop3d/pop3d.h"

static struct pop3_session **
bucket_of(struct pop3_session *s, uint64_t account)
{
	return &s->pop3d->locks[account % LOCK_BUCKETS];
}

bool
lock_take(struct pop3_session *s, uint64_t account)
{
	struct pop3_session **bucket = bucket_of(s, account);

	for (const struct pop3_session *other = *bucket; other != NULL; other = other->next_lock) {
		if (other->locked == account)
			return false;
	}
	s->locked = account;
	s->next_lock = *bucket;
	*bucket = s;
	return true;
}

void
lock_release(struct pop3_session *s)
{
	struct pop3_session **slot;

	if (s->locked == 0)
		return;
	slot = bucket_of(s, s->locked);
	while (*slot != s)
		slot = &(*slot)->next_lock;
	*slot = s->next_lock;
	s->locked = 0;
}
