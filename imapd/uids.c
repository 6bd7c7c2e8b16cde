/* SPDX-License-Identifier: ISC */
/* Sets of messages in all their forms.  Linked by imapd. */
#include "imapd/uids.h"

#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "imapd/walk.h"

enum { WIRE_RANGE = 8 }; /* bytes of one range on the wire */

static uint32_t
number_or_last(uint32_t number, uint32_t last)
{
	return number == SEQUENCE_LAST ? last : number;
}

/* "9:*" beyond the end is the last message (RFC 3501 9, seq-range). */
static bool
uid_range_of(const struct view *view, struct sequence_range in, struct uid_range *out)
{
	uint32_t highest = view_last_uid(view);
	uint32_t a = number_or_last(in.first, highest);
	uint32_t b = number_or_last(in.last, highest);
	uint32_t first = a < b ? a : b;
	uint32_t last = a < b ? b : a;

	if (highest == 0 || first > highest)
		return false;
	*out = (struct uid_range){first > 0 ? first : 1, last < highest ? last : highest};
	return true;
}

/* FAULT_NOT_FOUND: there is no such number; an empty mailbox may still be asked for "1:*". */
static enum fault
seq_range_of(const struct view *view, struct sequence_range in, struct uid_range *out, bool *any)
{
	bool has_last = in.first == SEQUENCE_LAST || in.last == SEQUENCE_LAST;
	uint32_t a = number_or_last(in.first, view->count);
	uint32_t b = number_or_last(in.last, view->count);

	*any = false;
	if (view->count == 0)
		return has_last ? FAULT_OK : FAULT_NOT_FOUND;
	if (a > view->count || b > view->count)
		return FAULT_NOT_FOUND;
	*out = (struct uid_range){view_uid(view, a < b ? a : b), view_uid(view, a < b ? b : a)};
	*any = true;
	return FAULT_OK;
}

enum fault
uids_from_set(
	struct imap_session *s, const struct sequence_set *set, bool by_uid, struct uid_list *list)
{
	struct uid_range *ranges =
		arena_array(&s->command.arena, set->count + 1, sizeof *list->ranges);
	size_t count = 0;

	if (ranges == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < set->count; i++) {
		bool any;
		enum fault fault = FAULT_OK;
		if (by_uid)
			any = uid_range_of(&s->view, set->ranges[i], &ranges[count]);
		else
			fault = seq_range_of(&s->view, set->ranges[i], &ranges[count], &any);
		if (fault != FAULT_OK)
			return fault;
		count += any;
	}
	list->ranges = ranges;
	list->count = count > 0 ? uid_ranges_normalize(ranges, count) : 0;
	return FAULT_OK;
}

bool
uids_resolve(struct imap_session *s, const struct sequence_set *set, struct uid_list *list)
{
	enum fault fault = uids_from_set(s, set, s->command.by_uid, list);

	if (fault == FAULT_NOT_FOUND)
		session_finish(s, REPLY_SEQUENCE);
	else if (fault != FAULT_OK)
		session_finish_fault(s, fault);
	return fault == FAULT_OK;
}

struct walk *
uids_walk(struct imap_session *s, const struct uid_list *list)
{
	struct walk *walk = arena_alloc(&s->command.arena, sizeof *walk);

	if (walk != NULL)
		*walk = (struct walk){.ranges = list->ranges, .count = list->count};
	return walk;
}

uint32_t
uids_count(const struct imap_session *s, const struct uid_list *list)
{
	uint32_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		count += view_count_between(&s->view, list->ranges[i].first, list->ranges[i].last);
	return count;
}

static int
make_memfd(struct slice bytes, enum fault *fault)
{
	int fd = memfd_open("uids", fault);

	if (fd < 0)
		return -1;
	*fault = memfd_append(fd, bytes);
	if (*fault == FAULT_OK)
		*fault = memfd_seal(fd);
	if (*fault == FAULT_OK)
		return fd;
	(void)close(fd);
	return -1;
}

enum fault
uids_encode(struct imap_session *s, const struct uid_list *list, struct uids_wire *wire)
{
	uint8_t *at = arena_array(&s->command.arena, list->count, WIRE_RANGE);
	enum fault fault = FAULT_OK;

	if (at == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < list->count; i++) {
		put_u32(at + i * WIRE_RANGE, list->ranges[i].first);
		put_u32(at + i * WIRE_RANGE + 4, list->ranges[i].last);
	}
	*wire = (struct uids_wire){slice_make(at, list->count * WIRE_RANGE), -1};
	if (wire->bytes.len > IPC_RANGES_MAX) {
		wire->fd = make_memfd(wire->bytes, &fault);
		wire->bytes = slice_make(NULL, 0);
	}
	return fault;
}

void
uids_wire_clear(struct uids_wire *wire)
{
	if (wire->fd >= 0)
		(void)close(wire->fd);
	wire->fd = -1;
}

static enum fault
decode(struct imap_session *s, struct slice bytes, struct uid_list *list)
{
	list->count = bytes.len / WIRE_RANGE;
	list->ranges = arena_array(&s->command.arena, list->count + 1, sizeof *list->ranges);
	if (list->ranges == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < list->count; i++) {
		list->ranges[i].first = get_u32(bytes.data + i * WIRE_RANGE);
		list->ranges[i].last = get_u32(bytes.data + i * WIRE_RANGE + 4);
	}
	return FAULT_OK;
}

enum fault
uids_decode(struct imap_session *s, struct slice field, struct ipc_message *message,
	struct uid_list *list)
{
	if (field.len > 0 || message == NULL || message->fd < 0)
		return decode(s, field, list);
	struct slice bytes;
	enum fault fault = memfd_map(message->fd, SESSION_ARENA_MAX, &bytes);
	if (fault != FAULT_OK)
		return fault;
	fault = decode(s, bytes, list);
	memfd_unmap(&bytes);
	return fault;
}

void
uids_format(const struct uid_list *list, struct buffer *out)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			buffer_add_byte(out, ',');
		buffer_add_u64(out, list->ranges[i].first);
		if (list->ranges[i].last == list->ranges[i].first)
			continue;
		buffer_add_byte(out, ':');
		buffer_add_u64(out, list->ranges[i].last);
	}
}

void
uids_ask_expunge(struct imap_session *s, imap_on_answer *on_answer)
{
	uint8_t all[WIRE_RANGE];

	put_u32(all, 1);
	put_u32(all + 4, view_last_uid(&s->view));
	struct ipc_expunge expunge = {
		.account = s->account,
		.mailbox = s->view.mailbox,
		.only_deleted = true,
		.uids = slice_make(all, sizeof all),
	};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_EXPUNGE, &expunge, -1};
	session_ask(s, &request, on_answer);
}
