/* SPDX-License-Identifier: ISC */
/*
 * The directory's records as bytes.  Runs in authd.  The disk is not trusted: a record that is
 * cut, overlong or of another kind is FAULT_DAMAGED.
 */
#include "authd/record.h"

#include "common/base/bytes.h"

enum { ACCOUNT_DISABLED = 1, ACCOUNT_SEALS = 2 }; /* bits of an account's flags */

static void
add_text(struct buffer *out, struct slice text)
{
	uint8_t bytes[2];

	if (text.len > RECORD_TEXT_MAX) {
		if (out->fault == FAULT_OK)
			out->fault = FAULT_TOO_LONG;
		return;
	}
	put_u16(bytes, (uint16_t)text.len);
	buffer_add(out, bytes, sizeof bytes);
	buffer_add_slice(out, text);
}

static bool
take_u8(struct cursor *c, uint8_t *value)
{
	char byte;

	if (!take_any(c, &byte))
		return false;
	*value = (uint8_t)byte;
	return true;
}

static bool
take_fixed_u32(struct cursor *c, uint32_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 4, &bytes))
		return false;
	*value = get_u32(bytes.data);
	return true;
}

static bool
take_fixed_u64(struct cursor *c, uint64_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 8, &bytes))
		return false;
	*value = get_u64(bytes.data);
	return true;
}

static bool
take_time(struct cursor *c, int64_t *value)
{
	uint64_t bits;

	if (!take_fixed_u64(c, &bits) || bits > INT64_MAX)
		return false;
	*value = (int64_t)bits;
	return true;
}

static bool
take_fixed(struct cursor *c, uint8_t *to, size_t len)
{
	struct slice bytes;

	if (!take_bytes(c, len, &bytes))
		return false;
	memcpy(to, bytes.data, len);
	return true;
}

static bool
take_short_text(struct cursor *c, struct slice *text)
{
	struct cursor at = *c;
	struct slice len;

	if (!take_bytes(&at, 2, &len) || get_u16(len.data) > RECORD_TEXT_MAX ||
		!take_bytes(&at, get_u16(len.data), text))
		return false;
	*c = at;
	return true;
}

static enum fault
take_version_to(struct cursor *c, uint8_t newest, uint8_t *version)
{
	if (!take_u8(c, version) || *version == 0)
		return FAULT_DAMAGED;
	return *version <= newest ? FAULT_OK : FAULT_UNSUPPORTED;
}

static enum fault
take_version(struct cursor *c)
{
	uint8_t version;

	return take_version_to(c, RECORD_VERSION, &version);
}

enum fault
domain_record_encode(const struct domain_record *r, struct buffer *out)
{
	buffer_add_byte(out, RECORD_VERSION);
	buffer_add_be64(out, (uint64_t)r->created_at);
	buffer_add_be64(out, r->postmaster);
	add_text(out, r->catch_all);
	return buffer_fault(out);
}

enum fault
domain_record_decode(struct slice bytes, struct domain_record *r)
{
	struct cursor c = cursor_of(bytes);
	struct domain_record got = {0};
	enum fault fault = take_version(&c);

	if (fault != FAULT_OK)
		return fault;
	if (!take_time(&c, &got.created_at) || !take_fixed_u64(&c, &got.postmaster) ||
		!take_short_text(&c, &got.catch_all) || !cursor_at_end(&c))
		return FAULT_DAMAGED;
	*r = got;
	return FAULT_OK;
}

enum fault
account_record_encode(const struct account_record *r, struct buffer *out)
{
	buffer_add_byte(out, r->key.exists ? RECORD_VERSION_KEY : RECORD_VERSION);
	buffer_add_be32(out,
		(r->disabled ? ACCOUNT_DISABLED : 0) |
			(r->key.exists && r->key.seals ? ACCOUNT_SEALS : 0));
	buffer_add_be64(out, (uint64_t)r->created_at);
	buffer_add_be64(out, (uint64_t)r->password_at);
	add_text(out, r->address);
	add_text(out, r->password_hash);
	buffer_add_be32(out, r->scram.iterations);
	buffer_add(out, r->scram.salt, sizeof r->scram.salt);
	buffer_add(out, r->scram.stored_key, sizeof r->scram.stored_key);
	buffer_add(out, r->scram.server_key, sizeof r->scram.server_key);
	if (r->key.exists) {
		buffer_add(out, r->key.public_key, sizeof r->key.public_key);
		buffer_add(out, r->key.by_password, sizeof r->key.by_password);
		buffer_add(out, r->key.by_recovery, sizeof r->key.by_recovery);
	}
	return buffer_fault(out);
}

static bool
take_scram(struct cursor *c, struct scram_verifier *v)
{
	return take_fixed_u32(c, &v->iterations) && v->iterations > 0 &&
		take_fixed(c, v->salt, sizeof v->salt) &&
		take_fixed(c, v->stored_key, sizeof v->stored_key) &&
		take_fixed(c, v->server_key, sizeof v->server_key);
}

static bool
take_key(struct cursor *c, struct account_key_record *k)
{
	k->exists = true;
	return take_fixed(c, k->public_key, sizeof k->public_key) &&
		take_fixed(c, k->by_password, sizeof k->by_password) &&
		take_fixed(c, k->by_recovery, sizeof k->by_recovery);
}

enum fault
account_record_decode(struct slice bytes, struct account_record *r)
{
	struct cursor c = cursor_of(bytes);
	struct account_record got = {0};
	uint32_t flags, known = ACCOUNT_DISABLED;
	uint8_t version = 0;
	enum fault fault = take_version_to(&c, RECORD_VERSION_KEY, &version);

	if (fault != FAULT_OK)
		return fault;
	if (version == RECORD_VERSION_KEY)
		known |= ACCOUNT_SEALS;
	if (!take_fixed_u32(&c, &flags) || (flags & ~known) != 0 ||
		!take_time(&c, &got.created_at) || !take_time(&c, &got.password_at) ||
		!take_short_text(&c, &got.address) || slice_is_empty(got.address) ||
		!take_short_text(&c, &got.password_hash) || !take_scram(&c, &got.scram) ||
		(version == RECORD_VERSION_KEY && !take_key(&c, &got.key)) || !cursor_at_end(&c))
		return FAULT_DAMAGED;
	got.disabled = (flags & ACCOUNT_DISABLED) != 0;
	got.key.seals = (flags & ACCOUNT_SEALS) != 0;
	*r = got;
	return FAULT_OK;
}

enum fault
name_record_encode_account(uint64_t account, struct buffer *out)
{
	buffer_add_byte(out, RECORD_VERSION);
	buffer_add_byte(out, NAME_ACCOUNT);
	buffer_add_be64(out, account);
	return buffer_fault(out);
}

enum fault
name_record_encode_alias(const struct slice *targets, size_t count, struct buffer *out)
{
	if (count == 0 || count > RECORD_TARGETS_MAX)
		return FAULT_TOO_MANY;
	buffer_add_byte(out, RECORD_VERSION);
	buffer_add_byte(out, NAME_ALIAS);
	buffer_add_be32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		add_text(out, targets[i]);
	return buffer_fault(out);
}

bool
take_record_target(struct cursor *c, struct slice *address)
{
	return take_short_text(c, address);
}

/* Walks the targets once, so that later walks can rely on them. */
static enum fault
decode_alias(struct cursor *c, struct name_record *r)
{
	struct slice target;

	if (!take_fixed_u32(c, &r->target_count) || r->target_count == 0 ||
		r->target_count > RECORD_TARGETS_MAX)
		return FAULT_DAMAGED;
	r->targets = c->rest;
	for (uint32_t i = 0; i < r->target_count; i++)
		if (!take_record_target(c, &target) || slice_is_empty(target))
			return FAULT_DAMAGED;
	return cursor_at_end(c) ? FAULT_OK : FAULT_DAMAGED;
}

enum fault
name_record_decode(struct slice bytes, struct name_record *r)
{
	struct cursor c = cursor_of(bytes);
	struct name_record got = {0};
	uint8_t kind;
	enum fault fault = take_version(&c);

	if (fault != FAULT_OK)
		return fault;
	if (!take_u8(&c, &kind))
		return FAULT_DAMAGED;
	got.kind = kind;
	if (kind == NAME_ALIAS)
		fault = decode_alias(&c, &got);
	else if (kind != NAME_ACCOUNT || !take_fixed_u64(&c, &got.account) || got.account == 0 ||
		!cursor_at_end(&c))
		fault = FAULT_DAMAGED;
	if (fault == FAULT_OK)
		*r = got;
	return fault;
}
