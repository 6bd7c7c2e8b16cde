/* SPDX-License-Identifier: ISC */
/*
 * What an address of ours means: look-up order, alias expansion, who may send as whom.  Runs in
 * authd for smtpd (RCPT, MAIL) and deliverd.  Aliases may form any graph: depth, count and bytes
 * are limited, and no alias is walked twice.
 */
#include "authd/directory_internal.h"

struct visited {
	struct visited *next;
	struct address normal;
	bool open; /* its targets are being walked: to meet it again is a loop */
};

struct expansion_state {
	const struct expander *with;
	struct expansions *found;
	struct visited *visited;
	size_t bytes; /* of the addresses and details found */
	enum fault missed; /* why something was left out: the weightiest reason */
};

static enum fault walk(
	struct expansion_state *s, struct slice text, struct slice detail, int depth);

/* A loop is the admin's to mend, a disabled account was one: both say more than "nobody". */
static int
weight_of(enum fault missed)
{
	switch (missed) {
	case FAULT_MAIL_LOOP:
		return 3;
	case FAULT_ACCOUNT_DISABLED:
		return 2;
	case FAULT_OK:
		return 0;
	default:
		return 1;
	}
}

static void
miss(struct expansion_state *s, enum fault why)
{
	if (weight_of(why) > weight_of(s->missed))
		s->missed = why;
}

static bool
has_target(const struct expansions *found, const struct expansion *e)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct expansion *other = &found->list[i];
		if (other->kind != e->kind)
			continue;
		if (e->kind == EXPANSION_ACCOUNT ? other->account == e->account
						 : slice_equal(other->address, e->address))
			return true;
	}
	return false;
}

/* An account or a foreign address is delivered to once, with the detail met first. */
static enum fault
add_target(struct expansion_state *s, const struct expansion *e)
{
	struct expansion *at = &s->found->list[s->found->count];
	struct arena *arena = s->with->arena;

	if (has_target(s->found, e))
		return FAULT_OK;
	s->bytes += e->address.len + e->detail.len + e->public_key.len + 32;
	if (s->found->count == DIRECTORY_EXPANSION_MAX || s->bytes > DIRECTORY_EXPANSION_BYTES)
		return FAULT_TOO_MANY;
	*at = *e;
	if (!arena_copy(arena, e->address, &at->address) ||
		!arena_copy(arena, e->detail, &at->detail) ||
		!arena_copy(arena, e->public_key, &at->public_key))
		return FAULT_BUDGET;
	s->found->count++;
	return FAULT_OK;
}

static enum fault
add_account(struct expansion_state *s, uint64_t id, struct slice detail)
{
	struct account_record r;
	enum fault fault = directory_load_account(s->with->txn, id, &r);

	if (fault == FAULT_NOT_FOUND)
		return FAULT_DAMAGED;
	if (fault != FAULT_OK)
		return fault;
	if (r.disabled) {
		miss(s, FAULT_ACCOUNT_DISABLED);
		return FAULT_OK;
	}
	struct expansion e = {EXPANSION_ACCOUNT, id, r.address, detail, SLICE("")};
	if (r.key.seals)
		e.public_key = slice_make(r.key.public_key, sizeof r.key.public_key);
	return add_target(s, &e);
}

/* A foreign address keeps its local part as it is; only for comparing is the domain folded. */
static enum fault
add_forward(struct expansion_state *s, struct slice text)
{
	struct address parsed;
	struct arena *arena = s->with->arena;
	enum fault fault = address_parse(text, &parsed);

	if (fault == FAULT_OK)
		fault = domain_normalize(parsed.domain, arena, &parsed.domain);
	if (fault != FAULT_OK)
		return fault;
	struct slice folded = directory_address_text(&parsed, arena);
	if (folded.data == NULL)
		return FAULT_BUDGET;
	return add_target(s, &(struct expansion){.kind = EXPANSION_FORWARD, .address = folded});
}

static struct visited *
find_visited(const struct expansion_state *s, const struct address *normal)
{
	for (struct visited *v = s->visited; v != NULL; v = v->next)
		if (address_equal(&v->normal, normal))
			return v;
	return NULL;
}

/*
 * Marks an alias or a catch-all as being walked.  False with FAULT_OK: it was walked before, what
 * it holds is found or on its way.
 */
static bool
visit(struct expansion_state *s, const struct address *normal, struct visited **visited,
	enum fault *fault)
{
	struct visited *v = find_visited(s, normal);

	*fault = FAULT_OK;
	if (v != NULL) {
		if (v->open)
			miss(s, FAULT_MAIL_LOOP);
		return false;
	}
	v = arena_alloc(s->with->arena, sizeof *v);
	if (v == NULL) {
		*fault = FAULT_BUDGET;
		return false;
	}
	*v = (struct visited){s->visited, *normal, true};
	s->visited = *visited = v;
	return true;
}

static enum fault
walk_alias(struct expansion_state *s, const struct address *normal, const struct name_record *r,
	struct slice detail, int depth)
{
	struct cursor c = cursor_of(r->targets);
	struct visited *visited;
	struct slice target;
	enum fault fault;

	if (!visit(s, normal, &visited, &fault))
		return fault;
	while (fault == FAULT_OK && take_record_target(&c, &target))
		fault = walk(s, target, detail, depth + 1);
	visited->open = false;
	return fault;
}

/* The account or alias of exactly this address; FAULT_NOT_FOUND without one. */
static enum fault
walk_name(struct expansion_state *s, const struct address *normal, struct slice detail, int depth)
{
	struct name_record r;
	enum fault fault = directory_load_name(s->with->txn, normal, &r);

	if (fault != FAULT_OK)
		return fault;
	if (r.kind == NAME_ACCOUNT)
		return add_account(s, r.account, detail);
	return walk_alias(s, normal, &r, detail, depth);
}

static bool
is_reserved(struct slice local)
{
	/* RFC 5321 4.5.1 and RFC 2142 4. */
	return slice_equal(local, SLICE("postmaster")) || slice_equal(local, SLICE("abuse"));
}

/* Nobody of this name: the catch-all, and for the reserved names the first account. */
static enum fault
walk_fallback(struct expansion_state *s, const struct address *normal,
	const struct domain_record *domain, int depth)
{
	struct visited *visited;
	enum fault fault;

	if (domain->catch_all.len > 0) {
		struct address any = {SLICE(""), normal->domain};
		if (!visit(s, &any, &visited, &fault))
			return fault;
		fault = walk(s, domain->catch_all, SLICE(""), depth + 1);
		visited->open = false;
		return fault;
	}
	if (is_reserved(normal->local) && domain->postmaster != 0)
		return add_account(s, domain->postmaster, SLICE(""));
	miss(s, FAULT_NO_SUCH_USER);
	return FAULT_OK;
}

/* The look-up order that directory.h states, for an address whose domain is ours. */
static enum fault
walk_local(struct expansion_state *s, const struct address *normal,
	const struct domain_record *domain, struct slice detail, int depth)
{
	size_t plus = slice_find_byte(normal->local, '+');
	enum fault fault = walk_name(s, normal, detail, depth);

	if (fault == FAULT_NOT_FOUND && plus > 0 && plus < normal->local.len) {
		struct address base = {slice_first(normal->local, plus), normal->domain};
		struct slice own = slice_after(normal->local, plus + 1);
		fault = walk_name(s, &base, own.len > 0 ? own : detail, depth);
	}
	if (fault == FAULT_NOT_FOUND)
		fault = walk_fallback(s, normal, domain, depth);
	return fault;
}

/* RFC 5321 4.5.1: <Postmaster> without a domain, and at the host's own name. */
static enum fault
walk_any_postmaster(struct expansion_state *s, int depth)
{
	struct kv_txn *txn = s->with->txn;
	struct kv_cursor cursor;
	struct domain_record r, oldest = {0};
	struct address postmaster = {.local = SLICE("postmaster")};

	kv_cursor_open(txn, TABLE_DOMAINS, &cursor);
	for (bool on = kv_first(&cursor); on; on = kv_next(&cursor)) {
		if (domain_record_decode(cursor.value, &r) != FAULT_OK || r.postmaster == 0)
			continue;
		if (postmaster.domain.len == 0 || r.created_at < oldest.created_at) {
			postmaster.domain = cursor.key;
			oldest = r;
		}
	}
	kv_cursor_close(&cursor);
	if (txn->fault != FAULT_OK)
		return txn->fault;
	if (postmaster.domain.len == 0) {
		miss(s, FAULT_NO_SUCH_USER);
		return FAULT_OK;
	}
	return walk_local(s, &postmaster, &oldest, SLICE(""), depth);
}

static bool
is_host_postmaster(const struct directory *d, const struct address *normal)
{
	return is_reserved(normal->local) && d->hostname[0] != '\0' &&
		slice_equal(normal->domain, slice_text(d->hostname));
}

/* user@[192.0.2.1] names a host by its address: no domain of ours. */
static bool
is_at_literal(struct slice text)
{
	struct address parsed;

	return address_parse(text, &parsed) == FAULT_OK && domain_is_literal(parsed.domain);
}

static enum fault
walk(struct expansion_state *s, struct slice text, struct slice detail, int depth)
{
	struct address normal;
	struct domain_record domain;
	struct directory *d = s->with->directory;

	if (depth > DIRECTORY_DEPTH_MAX) {
		miss(s, FAULT_MAIL_LOOP);
		return FAULT_OK;
	}
	if (slice_equal_nocase(text, SLICE("postmaster")))
		return walk_any_postmaster(s, depth);
	if (depth == 0 && is_at_literal(text))
		return FAULT_NOT_LOCAL;
	enum fault fault = directory_normal_address(d, text, s->with->arena, &normal);
	if (fault == FAULT_OK)
		fault = directory_load_domain(s->with->txn, normal.domain, &domain);
	if (fault == FAULT_OK)
		return walk_local(s, &normal, &domain, detail, depth);
	if (fault == FAULT_NOT_FOUND && is_host_postmaster(d, &normal))
		return walk_any_postmaster(s, depth);
	if (fault == FAULT_NOT_FOUND)
		return depth == 0 ? FAULT_NOT_LOCAL : add_forward(s, text);
	/* Targets were checked when they were stored. */
	return depth > 0 && !fault_is_temporary(fault) ? FAULT_DAMAGED : fault;
}

enum fault
directory_expand_in(const struct expander *with, struct slice address, struct expansions *found)
{
	struct expansion_state s = {.with = with, .found = found};

	found->count = 0;
	found->list = arena_array(with->arena, DIRECTORY_EXPANSION_MAX, sizeof *found->list);
	if (found->list == NULL)
		return FAULT_BUDGET;
	enum fault fault = walk(&s, address, SLICE(""), 0);
	if (fault == FAULT_OK && with->txn->fault != FAULT_OK)
		fault = with->txn->fault;
	if (fault != FAULT_OK)
		return fault;
	if (found->count > 0)
		return FAULT_OK;
	return s.missed != FAULT_OK ? s.missed : FAULT_NO_SUCH_USER;
}

enum fault
directory_expand(
	struct directory *d, struct slice address, struct arena *arena, struct expansions *found)
{
	struct kv_txn txn;
	struct expander with = {d, &txn, arena};
	enum fault fault = kv_begin_read(d->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = directory_expand_in(&with, address, found);
	kv_abort(&txn);
	return fault;
}

enum fault
directory_may_send(struct directory *d, uint64_t account, struct slice address, struct arena *arena)
{
	struct expansions found;
	struct account sender;
	enum fault fault = directory_get_account(d, account, arena, &sender);

	if (fault == FAULT_NO_SUCH_USER)
		return FAULT_DENIED;
	if (fault != FAULT_OK)
		return fault;
	if (sender.record.disabled)
		return FAULT_ACCOUNT_DISABLED;
	if (slice_is_empty(address))
		return FAULT_OK;
	fault = directory_expand(d, address, arena, &found);
	/* A lasting fault says that nobody may send as this address. */
	if (fault != FAULT_OK)
		return fault_is_temporary(fault) ? fault : FAULT_DENIED;
	for (size_t i = 0; i < found.count; i++)
		if (found.list[i].kind == EXPANSION_ACCOUNT && found.list[i].account == account)
			return FAULT_OK;
	return FAULT_DENIED;
}
