/* SPDX-License-Identifier: ISC */
/* Notices as messages of the queue, in queued: they are spooled in the same commit as the results
 * that they tell of. */
#include "common/base/ascii.h"
#include "common/base/clock.h"
#include "common/mail/address.h"
#include "queued/queued.h"

static enum fault
set_recipient(struct queued *q, struct change *change, struct parcel *p, struct slice sender)
{
	struct queue_recipient *r = &p->recipients[0];

	(void)q;
	/* Tried locally first: deliverd says NOT_LOCAL for a sender elsewhere. */
	r->state = RECIPIENT_DUE;
	r->local = true;
	r->next_ms = p->message.arrived_ms;
	return arena_copy(&change->arena, sender, &r->address) ? FAULT_OK : FAULT_BUDGET;
}

enum fault
notices_add(struct queued *q, struct change *change, const struct notice_source *source)
{
	int64_t now_ms = clock_wall_ms(&clock_system);
	struct notice notice = {
		.kind = source->kind,
		.id = entropy_u64(&entropy_system),
		.hostname = slice_text(daemon_settings(q->daemon)->hostname),
		.now_ms = now_ms,
		.retry_until_ms = source->message->arrived_ms + q->policy.lifetime,
		.message = source->message,
		.recipients = source->items,
		.recipient_count = source->count,
		.original = source->original,
	};
	struct parcel *p = change_add_parcel(change, 1);
	struct notice_needs needs;
	enum fault fault;

	if (p == NULL)
		return FAULT_BUDGET;
	buffer_init(&p->owned, NOTICE_SIZE_MAX);
	fault = notice_format(&notice, &p->owned, &needs);
	p->bytes = buffer_slice(&p->owned);
	p->message.id = notice.id;
	p->message.arrived_ms = now_ms;
	p->message.body = needs.is_8bit ? IPC_BODY_8BITMIME : IPC_BODY_7BIT;
	p->message.smtputf8 = needs.is_utf8;
	p->message.client = SLICE("notice");
	q->counters.notices++;
	return fault == FAULT_OK ? set_recipient(q, change, p, source->message->sender) : fault;
}

/* Without IDNA: keeps what is there, in lower case and without anything that a key cannot hold. */
static struct slice
plain_domain(struct arena *arena, struct slice domain)
{
	char *text = arena_alloc(arena, domain.len + 1);

	if (text == NULL)
		return SLICE("invalid");
	for (size_t i = 0; i < domain.len; i++) {
		char c = ascii_lower(domain.data[i]);

		text[i] = ascii_is_control(c) || c == ' ' ? '?' : c;
	}
	return slice_make(text, domain.len);
}

struct slice
destination_of(struct arena *arena, struct slice address)
{
	size_t at = slice_find_last(address, '@');
	struct slice domain = slice_after(address, at + 1), normal;

	if (domain.len == 0)
		return SLICE("");
	domain = slice_first(domain, RECORD_DESTINATION_MAX);
	if (!domain_is_literal(domain) && domain_normalize(domain, arena, &normal) == FAULT_OK &&
		normal.len <= RECORD_DESTINATION_MAX)
		return normal;
	return plain_domain(arena, domain);
}
