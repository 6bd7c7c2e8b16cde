/* SPDX-License-Identifier: ISC */
/*
 * Places of the log that a salvage found damaged, so that verify does not report them for ever.
 * Kept in the table META.  Private to common/store.
 */
#ifndef STORE_DAMAGE_H
#define STORE_DAMAGE_H

#include "common/store/index.h"

enum { DAMAGES_MAX = 256 };

struct damage_list {
	struct segment_place places[DAMAGES_MAX]; /* in order; length 0: a gap before this place */
	size_t count;
	/* There were more: nothing before this place is judged. */
	struct segment_tail silent;
};

void damage_add(struct damage_list *, const struct segment_place *);
/* Whether bytes, or a gap, of the log from one place to another of the same segment are known. */
bool damage_is_known(const struct damage_list *, const struct segment_place *);
/* Whether one of them lies from here to there. */
bool damage_is_between(const struct damage_list *, struct segment_tail, struct segment_tail);
/* No list stands for an empty one. */
MUST_USE enum fault damage_load(struct kv_txn *, struct damage_list *);
void damage_save(struct kv_txn *, const struct damage_list *);

#endif
