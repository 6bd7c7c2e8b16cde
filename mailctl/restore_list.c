/* SPDX-License-Identifier: ISC */
#include "mailctl/restore_list.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 64 * 1024 * 1024, FIRST = 1024 };

static bool
grow(void **array, size_t *size, size_t count, size_t each)
{
	if (count < *size)
		return true;
	size_t wanted = *size == 0 ? FIRST : *size * 2;
	void *grown = reallocarray(*array, wanted, each);
	if (grown == NULL)
		return false;
	*array = grown;
	*size = wanted;
	return true;
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x, y;

	/* The id stands first in every struct that is sorted by it. */
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static int
compare_places(const void *a, const void *b)
{
	const struct restore_place *x = a, *y = b;

	if (x->email != y->email)
		return x->email < y->email ? -1 : 1;
	if (x->mailbox != y->mailbox)
		return x->mailbox < y->mailbox ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Tells every message of a mailbox. */
typedef enum fault each_message(struct restore_list *, struct store_reader *,
	const struct store_message *, uint32_t number);

static enum fault
mailbox_walk(struct restore_list *l, struct store_reader *r, const struct store_mailbox *m,
	uint32_t number, each_message *each)
{
	struct store_message message;
	struct reader_walk walk;
	enum fault fault = FAULT_OK;

	reader_walk_open(r, m->account, m->id, &walk);
	for (bool more = reader_walk_seek(&walk, 1, &message); more && fault == FAULT_OK;
		more = reader_walk_next(&walk, &message))
		fault = each(l, r, &message, number);
	enum fault walked = reader_walk_close(&walk);
	/* Damaged records are passed over. */
	return fault == FAULT_OK && walked != FAULT_DAMAGED ? walked : fault;
}

static enum fault
known_add(struct restore_list *l, struct store_reader *r, const struct store_message *m,
	uint32_t number)
{
	uint64_t identity;
	enum fault fault = restore_identity(r, m, l->by_content, &identity);

	(void)number;
	if (fault != FAULT_OK)
		return fault == FAULT_DAMAGED ? FAULT_OK : fault;
	if (!grow((void **)&l->known, &l->known_size, l->known_count, sizeof(l->known[0])))
		return FAULT_NOMEM;
	l->known[l->known_count++] = identity;
	return FAULT_OK;
}

static enum fault
expunged_add(void *arg, int64_t at, const struct store_message *m)
{
	struct restore_list *l = arg;

	if (!grow((void **)&l->expunged, &l->expunged_size, l->expunged_count,
		    sizeof(l->expunged[0])))
		return FAULT_NOMEM;
	l->expunged[l->expunged_count++] = (struct restore_expunged){m->email_id, at};
	return FAULT_OK;
}

static enum fault
account_walk(struct restore_list *l, struct store_reader *r, uint64_t account)
{
	struct store_mailbox_list list;
	struct arena arena;
	enum fault fault;

	arena_init(&arena, ARENA_MAX);
	fault = reader_mailboxes(r, account, &arena, &list);
	for (size_t i = 0; fault == FAULT_OK && i < list.count; i++)
		fault = mailbox_walk(l, r, &list.mailboxes[i], 0, known_add);
	if (fault == FAULT_OK && !l->by_content)
		fault = reader_expunged(r, account, expunged_add, l);
	arena_clear(&arena);
	return fault;
}

/* What the running store has of the account; it may have nothing. */
static enum fault
live_read(struct restore_list *l, const char *live)
{
	struct store_reader *r = NULL;
	struct store_account account;
	uint64_t store = 0;
	enum fault fault = reader_open(live, &r);

	if (fault == FAULT_OK)
		fault = reader_begin(r);
	if (fault == FAULT_OK) {
		fault = restore_store_id(r, &store);
		l->by_content = store != l->store || l->wish.account != l->wish.into;
		if (fault == FAULT_OK)
			fault = reader_account(r, l->wish.into, &account);
		if (fault == FAULT_OK)
			fault = account_walk(l, r, l->wish.into);
		reader_end(r);
	}
	reader_close(r);
	if (l->known_count > 0)
		qsort(l->known, l->known_count, sizeof(l->known[0]), compare_u64);
	if (l->expunged_count > 0)
		qsort(l->expunged, l->expunged_count, sizeof(l->expunged[0]), compare_u64);
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

static enum fault
place_add(struct restore_list *l, struct store_reader *r, const struct store_message *m,
	uint32_t number)
{
	uint64_t identity;

	if ((l->wish.uid != 0 && m->uid != l->wish.uid) ||
		(l->wish.email != 0 && m->email_id != l->wish.email))
		return FAULT_OK;
	enum fault fault = restore_identity(r, m, l->by_content, &identity);
	/* That it is damaged is found, and told, when it is read. */
	if (fault == FAULT_OK && l->known_count > 0 &&
		bsearch(&identity, l->known, l->known_count, sizeof(l->known[0]), compare_u64) !=
			NULL) {
		l->present++;
		return FAULT_OK;
	}
	if (!grow((void **)&l->places, &l->place_size, l->place_count, sizeof(l->places[0])))
		return FAULT_NOMEM;
	l->places[l->place_count++] = (struct restore_place){m->email_id, number, m->uid};
	return FAULT_OK;
}

bool
restore_list_has_mailbox(const struct restore_list *l, size_t mailbox)
{
	const struct store_mailbox *m = &l->mailboxes.mailboxes[mailbox];

	/* A single message says by itself where it goes. */
	if (m->noselect || l->wish.uid != 0 || l->wish.email != 0)
		return false;
	return l->wish.mailbox.len == 0 ||
		slice_equal(l->wish.mailbox, slice_make(m->name, m->name_len));
}

static enum fault
backup_read(struct restore_list *l)
{
	struct store_mailbox only = {.id = 0};
	enum fault fault = FAULT_OK;

	if (l->wish.mailbox.len > 0)
		fault = reader_mailbox_by_name(l->backup, l->wish.account, l->wish.mailbox, &only);
	for (size_t i = 0; fault == FAULT_OK && i < l->mailboxes.count; i++) {
		struct store_mailbox *m = &l->mailboxes.mailboxes[i];
		if (only.id == m->id)
			/* In the spelling of the store. */
			l->wish.mailbox = slice_make(m->name, m->name_len);
		if (only.id == 0 || only.id == m->id)
			fault = mailbox_walk(l, l->backup, m, (uint32_t)i, place_add);
	}
	l->missing = l->place_count;
	if (fault == FAULT_OK && (l->wish.uid != 0 || l->wish.email != 0) &&
		l->missing + l->present == 0)
		fault = FAULT_NOT_FOUND;
	return fault;
}

static const struct restore_place *order_places; /* for qsort, which hands on no argument */

static int
compare_emails(const void *a, const void *b)
{
	const struct restore_place *x = &order_places[((const struct restore_email *)a)->first];
	const struct restore_place *y = &order_places[((const struct restore_email *)b)->first];

	if (x->mailbox != y->mailbox)
		return x->mailbox < y->mailbox ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static enum fault
emails_group(struct restore_list *l)
{
	l->emails = calloc(l->place_count + 1, sizeof(l->emails[0]));
	if (l->emails == NULL)
		return FAULT_NOMEM;
	if (l->place_count > 0)
		qsort(l->places, l->place_count, sizeof(l->places[0]), compare_places);
	for (size_t i = 0; i < l->place_count; i++) {
		struct restore_email *last =
			l->email_count > 0 ? &l->emails[l->email_count - 1] : NULL;
		if (last != NULL && l->places[last->first].email == l->places[i].email)
			last->count++;
		else
			l->emails[l->email_count++] = (struct restore_email){i, 1, false};
	}
	order_places = l->places;
	if (l->email_count > 0)
		qsort(l->emails, l->email_count, sizeof(l->emails[0]), compare_emails);
	return FAULT_OK;
}

enum fault
restore_list_open(
	struct restore_list *l, const char *view, const char *live, const struct restore_wish *wish)
{
	struct store_account account;

	*l = (struct restore_list){.wish = *wish};
	arena_init(&l->arena, ARENA_MAX);
	enum fault fault = reader_open(view, &l->backup);
	if (fault == FAULT_OK)
		fault = reader_begin(l->backup);
	if (fault == FAULT_OK)
		fault = restore_store_id(l->backup, &l->store);
	if (fault == FAULT_OK)
		fault = reader_account(l->backup, wish->account, &account);
	l->has_account = fault == FAULT_OK;
	if (fault == FAULT_OK)
		fault = reader_mailboxes(l->backup, wish->account, &l->arena, &l->mailboxes);
	if (fault == FAULT_OK)
		fault = reader_keywords(l->backup, wish->account, &l->arena, &l->keywords);
	if (fault == FAULT_OK)
		fault = live_read(l, live);
	if (fault == FAULT_OK)
		fault = backup_read(l);
	return fault == FAULT_OK ? emails_group(l) : fault;
}

void
restore_list_close(struct restore_list *l)
{
	if (l->backup != NULL)
		reader_end(l->backup);
	reader_close(l->backup);
	arena_clear(&l->arena);
	free(l->places);
	free(l->emails);
	free(l->known);
	free(l->expunged);
}

enum fault
restore_list_message(
	struct restore_list *l, const struct restore_place *place, struct store_message *message)
{
	const struct store_mailbox *m = &l->mailboxes.mailboxes[place->mailbox];
	enum fault fault = reader_message(l->backup, m->account, m->id, place->uid, message);

	return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
}

int64_t
restore_list_expunged(const struct restore_list *l, uint64_t email)
{
	const struct restore_expunged *found = l->expunged_count == 0
		? NULL
		: bsearch(&email, l->expunged, l->expunged_count, sizeof(l->expunged[0]),
			  compare_u64);

	return found != NULL ? found->at : 0;
}
