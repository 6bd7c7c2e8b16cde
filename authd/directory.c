/* SPDX-License-Identifier: ISC */
/*
 * The directory's environment: opening and its format, keys, records in and out, the write loop.
 * Runs in authd.  What is read from the disk is decoded with checks: a damaged record is a fault
 * of the one request.
 */
#include "authd/directory_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/secret.h"

enum {
	WRITE_ATTEMPTS = 8, /* each grows the map */
	MAP_BYTES = 64 * 1024 * 1024,
	MARGIN_BYTES = 8 * 1024 * 1024,
};

static const char *const tables[] = {"meta", "domains", "accounts", "names", "logins", NULL};

enum fault
directory_refuse(struct directory *d, enum fault fault, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->reason, sizeof d->reason, format, args);
	va_end(args);
	return fault;
}

const char *
directory_reason(const struct directory *d)
{
	return d->reason;
}

const uint8_t *
directory_secret(const struct directory *d)
{
	return d->secret;
}

static enum fault
write_once(struct directory *d, directory_change *change, void *arg)
{
	struct kv_txn txn;
	enum fault fault = kv_begin_write(d->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = change(d, &txn, arg);
	/* A fault of the environment is the cause of what the change then missed. */
	if (txn.fault != FAULT_OK)
		fault = txn.fault;
	if (fault != FAULT_OK) {
		kv_abort(&txn);
		return fault;
	}
	return kv_commit(&txn);
}

enum fault
directory_write(struct directory *d, directory_change *change, void *arg)
{
	enum fault fault = FAULT_BUSY;

	d->reason[0] = '\0';
	for (int i = 0; i < WRITE_ATTEMPTS && fault == FAULT_BUSY; i++)
		fault = write_once(d, change, arg);
	return fault;
}

static bool
load_format(struct kv_txn *txn, struct directory *d, enum fault *fault)
{
	struct slice value;

	*fault = FAULT_OK;
	if (!kv_get(txn, TABLE_META, SLICE("format"), &value))
		return false;
	if (value.len != 4)
		*fault = FAULT_DAMAGED;
	else if (get_u32(value.data) != DIRECTORY_FORMAT)
		*fault = FAULT_UNSUPPORTED;
	else if (!kv_get(txn, TABLE_META, SLICE("secret"), &value) || value.len != sizeof d->secret)
		*fault = FAULT_DAMAGED;
	else
		memcpy(d->secret, value.data, sizeof d->secret);
	return true;
}

/* Reads the format, or writes it into a new environment. */
static enum fault
prepare(struct directory *d, struct kv_txn *txn, void *arg)
{
	uint8_t format[4];
	enum fault fault;

	(void)arg;
	if (load_format(txn, d, &fault))
		return fault;
	d->entropy->fill(d->entropy->arg, d->secret, sizeof d->secret);
	put_u32(format, DIRECTORY_FORMAT);
	kv_put(txn, TABLE_META, SLICE("format"), slice_make(format, sizeof format));
	kv_put(txn, TABLE_META, SLICE("secret"), slice_make(d->secret, sizeof d->secret));
	return FAULT_OK;
}

enum fault
directory_open(
	const char *dir, const struct directory_options *options, struct directory **directory)
{
	struct kv_options kv_options = {
		.tables = tables, .map_bytes = MAP_BYTES, .margin_bytes = MARGIN_BYTES};
	struct directory *d = calloc(1, sizeof *d);

	if (d == NULL)
		return FAULT_NOMEM;
	d->clock = options->clock;
	d->entropy = options->entropy;
	enum fault fault = kv_open(dir, &kv_options, &d->kv);
	if (fault == FAULT_OK)
		fault = directory_write(d, prepare, NULL);
	if (fault != FAULT_OK) {
		directory_close(d);
		return fault;
	}
	directory_set_hostname(d, options->hostname);
	*directory = d;
	return FAULT_OK;
}

void
directory_close(struct directory *d)
{
	if (d == NULL)
		return;
	kv_close(d->kv);
	secret_wipe(d->secret, sizeof d->secret);
	free(d);
}

void
directory_set_hostname(struct directory *d, const char *hostname)
{
	struct arena arena;
	struct slice normal = SLICE("");

	arena_init(&arena, DIRECTORY_ARENA);
	d->hostname[0] = '\0';
	/* A host name that is no domain name is maild's to complain of; here nothing matches it. */
	if (domain_normalize(slice_text(hostname), &arena, &normal) == FAULT_OK &&
		normal.len < sizeof d->hostname) {
		memcpy(d->hostname, normal.data, normal.len);
		d->hostname[normal.len] = '\0';
	}
	arena_clear(&arena);
}

enum fault
directory_normal_domain(
	struct directory *d, struct slice text, struct arena *arena, struct slice *normal)
{
	d->reason[0] = '\0';
	if (domain_is_literal(text) || domain_normalize(text, arena, normal) != FAULT_OK ||
		slice_is_empty(*normal))
		return directory_refuse(d, FAULT_SYNTAX, "\"%" SLICE_FMT "\" is no domain name",
			SLICE_ARG(slice_first(text, ADDRESS_DOMAIN_MAX)));
	return FAULT_OK;
}

enum fault
directory_normal_address(
	struct directory *d, struct slice text, struct arena *arena, struct address *normal)
{
	struct address parsed;
	enum fault fault = address_parse(text, &parsed);

	d->reason[0] = '\0';
	if (fault == FAULT_OK && domain_is_literal(parsed.domain))
		fault = FAULT_SYNTAX;
	if (fault == FAULT_OK)
		fault = address_normalize(&parsed, arena, normal);
	if (fault == FAULT_OK && slice_is_empty(normal->local))
		fault = FAULT_SYNTAX;
	if (fault == FAULT_TOO_LONG)
		return directory_refuse(d, fault, "\"%" SLICE_FMT "...\" is too long",
			SLICE_ARG(slice_first(text, ADDRESS_LOCAL_MAX)));
	if (fault == FAULT_SYNTAX)
		return directory_refuse(d, fault, "\"%" SLICE_FMT "\" is no mail address",
			SLICE_ARG(slice_first(text, ADDRESS_MAX)));
	return fault;
}

struct slice
directory_address_text(const struct address *a, struct arena *arena)
{
	struct buffer text;
	struct slice copy = {0};

	/* A quoted local part may take twice its bytes. */
	buffer_init(&text, 2 * KV_KEY_MAX);
	address_format(a, &text);
	if (buffer_fault(&text) != FAULT_OK || !arena_copy(arena, buffer_slice(&text), &copy))
		copy = (struct slice){0};
	buffer_clear(&text);
	return copy;
}

enum fault
name_key_set(struct name_key *k, struct slice domain, struct slice local)
{
	if (domain.len > KV_KEY_MAX || local.len > KV_KEY_MAX - 1 ||
		domain.len + 1 + local.len > KV_KEY_MAX)
		return FAULT_TOO_LONG;
	memcpy(k->bytes, domain.data, domain.len);
	k->bytes[domain.len] = '\0';
	if (local.len > 0)
		memcpy(k->bytes + domain.len + 1, local.data, local.len);
	k->len = domain.len + 1 + local.len;
	return FAULT_OK;
}

enum fault
name_key_set_domain(struct name_key *k, struct slice domain)
{
	return name_key_set(k, domain, SLICE(""));
}

struct slice
name_key_local(struct slice key)
{
	return slice_after(key, slice_find_byte(key, '\0') + 1);
}

/* What a missing key means: nothing there, or the environment's own fault. */
static enum fault
missing(const struct kv_txn *txn)
{
	return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
}

enum fault
directory_load_domain(struct kv_txn *txn, struct slice name, struct domain_record *r)
{
	struct slice value;

	if (name.len == 0 || name.len > KV_KEY_MAX)
		return FAULT_NOT_FOUND;
	if (!kv_get(txn, TABLE_DOMAINS, name, &value))
		return missing(txn);
	return domain_record_decode(value, r);
}

enum fault
directory_load_name(struct kv_txn *txn, const struct address *normal, struct name_record *r)
{
	struct name_key key;
	struct slice value;

	if (name_key_set(&key, normal->domain, normal->local) != FAULT_OK)
		return FAULT_NOT_FOUND;
	if (!kv_get(txn, TABLE_NAMES, name_key_slice(&key), &value))
		return missing(txn);
	return name_record_decode(value, r);
}

enum fault
directory_load_account(struct kv_txn *txn, uint64_t id, struct account_record *r)
{
	uint8_t key[8];
	struct slice value;

	put_u64(key, id);
	if (!kv_get(txn, TABLE_ACCOUNTS, slice_make(key, sizeof key), &value))
		return missing(txn);
	return account_record_decode(value, r);
}

enum fault
directory_save_domain(struct kv_txn *txn, struct slice name, const struct domain_record *r)
{
	struct buffer bytes;
	enum fault fault;

	buffer_init(&bytes, RECORD_SIZE_MAX);
	fault = domain_record_encode(r, &bytes);
	if (fault == FAULT_OK)
		kv_put(txn, TABLE_DOMAINS, name, buffer_slice(&bytes));
	buffer_clear(&bytes);
	return fault;
}

enum fault
directory_save_account(struct kv_txn *txn, uint64_t id, const struct account_record *r)
{
	uint8_t key[8];
	struct buffer bytes;
	enum fault fault;

	put_u64(key, id);
	buffer_init(&bytes, RECORD_SIZE_MAX);
	fault = account_record_encode(r, &bytes);
	if (fault == FAULT_OK)
		kv_put(txn, TABLE_ACCOUNTS, slice_make(key, sizeof key), buffer_slice(&bytes));
	buffer_clear(&bytes);
	return fault;
}

enum fault
directory_begin_list(
	struct directory *d, struct slice only, struct name_key *prefix, struct kv_txn *txn)
{
	struct arena arena;
	struct slice name;
	struct domain_record domain;

	prefix->len = 0;
	d->reason[0] = '\0';
	if (only.len == 0)
		return kv_begin_read(d->kv, txn);
	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = directory_normal_domain(d, only, &arena, &name);
	if (fault == FAULT_OK)
		fault = name_key_set_domain(prefix, name);
	if (fault == FAULT_OK)
		fault = kv_begin_read(d->kv, txn);
	if (fault == FAULT_OK) {
		fault = directory_load_domain(txn, name, &domain);
		if (fault == FAULT_NOT_FOUND)
			directory_refuse(d, fault, "no such domain: %" SLICE_FMT, SLICE_ARG(name));
		if (fault != FAULT_OK)
			kv_abort(txn);
	}
	arena_clear(&arena);
	return fault;
}
