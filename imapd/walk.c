/* SPDX-License-Identifier: ISC */
/* Walking over messages without keeping others waiting.  Linked by imapd. */
#include "imapd/walk.h"

static void
next_range(struct walk *walk)
{
	walk->ranges++;
	walk->count--;
}

/* Sets where to go on; true while the slice goes on. */
static bool
follow(struct walk *walk, enum walk_step step, uint32_t uid)
{
	switch (step) {
	case WALK_ON:
		return true;
	case WALK_LEAVE:
		walk->next = uid + 1;
		return false;
	case WALK_HOLD:
		walk->next = uid;
		return false;
	case WALK_END:
		walk->count = 0;
		return false;
	}
	return false;
}

struct slice_of_walk {
	struct reader_walk reader;
	walk_fn *each;
	void *arg;
};

/* The rest of the first range; false when the slice is over. */
static bool
walk_range(struct imap_session *s, struct walk *walk, struct slice_of_walk *slice)
{
	const struct uid_range *range = walk->ranges;
	uint32_t first = walk->next > range->first ? walk->next : range->first;
	struct store_message m;
	size_t hint = 0;

	for (bool more = reader_walk_seek(&slice->reader, first, &m); more && m.uid <= range->last;
		more = reader_walk_next(&slice->reader, &m)) {
		uint32_t seq = view_seq_next(&s->view, m.uid, &hint);
		if (session_must_yield(s))
			return follow(walk, WALK_HOLD, m.uid);
		if (seq == 0)
			continue;
		enum walk_step step = slice->each(s, &m, seq, slice->arg);
		arena_clear(&s->core->piece);
		if (!follow(walk, step, m.uid))
			return false;
	}
	next_range(walk);
	return true;
}

bool
walk_slice(struct imap_session *s, struct walk *walk, walk_fn *each, void *arg)
{
	struct slice_of_walk slice = {.each = each, .arg = arg};

	if (walk->count == 0)
		return true;
	enum fault fault = reader_begin(s->core->reader);
	if (fault != FAULT_OK) {
		/* No store: that is no missing mailbox. */
		walk->fault = fault == FAULT_NOT_FOUND ? FAULT_IO : fault;
		walk->count = 0;
		return true;
	}
	reader_walk_open(s->core->reader, s->account, s->view.mailbox, &slice.reader);
	while (walk->count > 0 && walk_range(s, walk, &slice))
		;
	fault = reader_walk_close(&slice.reader);
	if (fault != FAULT_OK)
		walk->fault = fault;
	reader_end(s->core->reader);
	arena_clear(&s->core->scratch);
	return walk->count == 0;
}
