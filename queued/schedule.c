/* SPDX-License-Identifier: ISC */
/* The rules of retries, expiry and notices, in queued.  No I/O, no clock of its own. */
#include "queued/schedule.h"

#include "common/ipc/payloads.h"

struct schedule_policy
schedule_policy_of(const struct settings *s)
{
	return (struct schedule_policy){
		.first = s->retry_first,
		.last = s->retry_last > s->retry_first ? s->retry_last : s->retry_first,
		.lifetime = s->queue_lifetime,
		.delay_notice = s->delay_notice,
	};
}

int64_t
schedule_pause(const struct schedule_policy *policy, uint32_t attempts, uint64_t random)
{
	int64_t pause = policy->first;

	for (uint32_t i = 0; i < attempts && pause < policy->last; i++)
		pause *= 2;
	if (pause > policy->last)
		pause = policy->last;
	return pause - pause / 4 + (int64_t)(random % ((uint64_t)pause / 2 + 1));
}

/* Faults between our own processes: nothing is wrong with the message or its destination. */
static bool
is_our_own(enum fault fault)
{
	switch (fault) {
	case FAULT_PEER_LOST:
	case FAULT_PEER_PROTOCOL:
	case FAULT_BUSY:
	case FAULT_BUDGET:
	case FAULT_NOMEM:
		return true;
	default:
		return false;
	}
}

static int64_t
pause_after(const struct schedule_policy *policy, const struct schedule_case *c, uint64_t random)
{
	uint32_t attempts = c->recipient->attempts;
	int64_t pause = schedule_pause(policy, attempts, random);

	if (is_our_own(c->attempt->fault) && attempts < SCHEDULE_SOON_TRIES &&
		pause > SCHEDULE_SOON_MS)
		return SCHEDULE_SOON_MS + (int64_t)(random % (SCHEDULE_SOON_MS / 2));
	return pause;
}

static struct verdict
judge_temporary(const struct schedule_policy *policy, const struct schedule_case *c,
	struct schedule_moment moment)
{
	const struct queue_recipient *r = c->recipient;
	int64_t expires_ms = c->message->arrived_ms + policy->lifetime;
	struct verdict v = {.kind = VERDICT_RETRY};

	if (moment.now_ms >= expires_ms) {
		v.kind = VERDICT_FAILED;
		v.expired = true;
		v.tell = r->notify == 0 || (r->notify & IPC_NOTIFY_FAILURE) != 0;
		return v;
	}
	v.next_ms = moment.now_ms + pause_after(policy, c, moment.random);
	/* The last try is made when the time is up, not hours later. */
	if (v.next_ms > expires_ms)
		v.next_ms = expires_ms;
	v.tell = !r->delay_told && moment.now_ms - c->message->arrived_ms >= policy->delay_notice &&
		(r->notify == 0 || (r->notify & IPC_NOTIFY_DELAY) != 0);
	return v;
}

static struct verdict
judge(const struct schedule_policy *policy, const struct schedule_case *c,
	struct schedule_moment moment)
{
	const struct queue_recipient *r = c->recipient;
	const struct attempt *a = c->attempt;

	if (a->fault == FAULT_OK)
		return (struct verdict){.kind = VERDICT_DONE,
			.tell = (r->notify & IPC_NOTIFY_SUCCESS) != 0 && !a->dsn};
	if (fault_is_temporary(a->fault))
		return judge_temporary(policy, c, moment);
	return (struct verdict){.kind = VERDICT_FAILED,
		.tell = r->notify == 0 || (r->notify & IPC_NOTIFY_FAILURE) != 0};
}

struct verdict
schedule_judge(const struct schedule_policy *policy, const struct schedule_case *c,
	struct schedule_moment moment)
{
	struct verdict v = judge(policy, c, moment);

	/* RFC 3461 4.1: NEVER stands alone; RFC 5321 6.1: never a notice about a notice. */
	if ((c->recipient->notify & IPC_NOTIFY_NEVER) != 0 || c->message->sender.len == 0)
		v.tell = false;
	return v;
}

void
schedule_record(struct queue_recipient *r, const struct attempt *a, const struct verdict *v)
{
	r->state = RECIPIENT_WAITING;
	r->next_ms = v->next_ms;
	if (r->attempts < UINT32_MAX)
		r->attempts++;
	r->fault = a->fault;
	r->code = a->code;
	r->status = a->status;
	r->text = a->text;
	r->host = a->host;
	r->delay_told = r->delay_told || v->tell;
}
