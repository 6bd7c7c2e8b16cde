/* SPDX-License-Identifier: ISC */
/*
 * Salvage: the bytes of mail.  Every body that the index names is read in full; mail that the log
 * does not know is filed by what its own record says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/store/salvage_private.h"
#include "common/store/segment_format.h"

enum {
	PARTS_MAX = 64 * 1024 * 1024, /* more is no structure of ours */
	CHECK_BODIES = 512, /* a commit */
};
#define CHECK_BYTES (UINT64_C(64) << 20)

/* Prefix and structure of a record, on the heap; FAULT_DAMAGED when they are not whole. */
static enum fault
parts_read(struct salvage *s, const struct segment_place *place, struct segment_record *record,
	char **parts)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	size_t len = record->prefix.len + record->structure.len;

	*parts = NULL;
	if (record->prefix.len > STORE_PREFIX_MAX || len > PARTS_MAX)
		return FAULT_DAMAGED;
	*parts = malloc(len + 1);
	if (*parts == NULL)
		return FAULT_NOMEM;
	record->prefix.data = *parts;
	record->structure.data = *parts + record->prefix.len;
	enum fault fault = segment_files_read(
		s->files, place->segment, place->offset + SEGMENT_HEADER_SIZE, *parts, len);
	segment_parts_checksum(record->prefix, record->structure, checksum);
	if (fault == FAULT_OK && memcmp(checksum, record->parts_checksum, sizeof(checksum)) != 0)
		fault = FAULT_DAMAGED;
	return fault;
}

static struct index_body
body_of(const struct segment_place *place, const struct segment_record *r)
{
	return (struct index_body){
		.references = 1,
		.place = *place,
		.structure_len = (uint32_t)r->structure.len,
		.prefix_len = (uint16_t)r->prefix.len,
		.codec = r->codec,
		.stored_len = r->body.len,
		.plain_len = r->plain_len,
	};
}

/* A record with a body: its place, its parts and the body; all read and compared. */
static enum fault
mail_read(struct salvage *s, struct segment_place *place, struct segment_record *r, char **parts)
{
	*parts = NULL;
	enum fault fault = segment_files_header(s->files, place, r);
	if (fault == FAULT_OK)
		fault = parts_read(s, place, r, parts);
	if (fault != FAULT_OK || r->kind != SEGMENT_MAIL)
		return fault;
	struct index_body body = body_of(place, r);
	struct body_handle handle = index_body_handle(&body);
	return body_verify(s->bodies, &handle, r->checksum);
}

/* Faults of one record, not of the machine. */
static bool
is_damage(enum fault fault)
{
	return fault == FAULT_DAMAGED || fault == FAULT_IO || fault == FAULT_NOT_FOUND ||
		fault == FAULT_UNSUPPORTED || fault == FAULT_BUDGET;
}

static bool
body_fits(const struct index_body *body, uint64_t id, const struct segment_record *r,
	const struct segment_place *place)
{
	return r->kind == SEGMENT_MAIL && r->body_id == id && place->length == body->place.length &&
		r->codec == body->codec && r->body.len == body->stored_len &&
		r->plain_len == body->plain_len && r->prefix.len == body->prefix_len &&
		r->structure.len == body->structure_len;
}

static void
structure_mend(struct salvage *s, uint64_t id, const struct index_body *body, struct slice whole)
{
	struct store_writer *w = s->writer;
	struct index_key key = index_key_id(id);
	struct segment_place at = body->place;
	struct slice stored;

	if (kv_get(&w->txn, INDEX_STRUCTURES, index_key_slice(&key), &stored) &&
		slice_equal(stored, whole))
		return;
	at.offset += SEGMENT_HEADER_SIZE + body->prefix_len;
	struct kv_change put = {INDEX_STRUCTURES, false, index_key_slice(&key), whole};
	journal_put_stored(w->journal, &w->txn, &put, &at);
}

static enum fault
body_drop(struct salvage *s, uint64_t id, const struct segment_place *place)
{
	struct index_key key = index_key_id(id);

	(void)kv_delete(&s->writer->txn, INDEX_BODIES, index_key_slice(&key));
	(void)kv_delete(&s->writer->txn, INDEX_STRUCTURES, index_key_slice(&key));
	s->in_doubt = true;
	s->report->damaged++;
	salvage_place_found(s, place, "a record of mail is damaged");
	return id_list_add(&s->wanted, id);
}

static enum fault
body_check(struct salvage *s, uint64_t id, const struct index_body *body)
{
	struct segment_place place = body->place;
	struct segment_record record;
	char *parts;
	enum fault fault = mail_read(s, &place, &record, &parts);

	if (fault == FAULT_OK && !body_fits(body, id, &record, &place))
		fault = FAULT_DAMAGED;
	if (fault == FAULT_OK)
		structure_mend(s, id, body, record.structure);
	free(parts);
	return is_damage(fault) ? body_drop(s, id, &body->place) : fault;
}

static enum fault
bodies_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	uint64_t bytes = 0;
	enum fault fault = FAULT_OK;

	for (int i = 0; i < CHECK_BODIES && bytes < CHECK_BYTES && fault == FAULT_OK; i++) {
		struct index_body body;
		*more = salvage_next(s, INDEX_BODIES, at, &key, &value);
		if (!*more)
			break;
		uint64_t id = key.len == 8 ? get_u64(key.data) : 0;
		if (key.len == 8 && index_body_decode(value, &body) == FAULT_OK)
			fault = body_check(s, id, &body);
		else
			(void)kv_delete(&s->writer->txn, INDEX_BODIES, key);
		bytes += body.stored_len;
	}
	return fault;
}

/* Bodies that an email names and nobody has. */
static enum fault
missing_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	enum fault fault = FAULT_OK;

	for (int i = 0; i < SALVAGE_BATCH && fault == FAULT_OK; i++) {
		struct index_email email;
		struct slice body;
		*more = salvage_next(s, INDEX_EMAILS, at, &key, &value);
		if (!*more)
			break;
		if (key.len != 8 ||
			index_email_load(&s->writer->txn, get_u64(key.data), &email) != FAULT_OK)
			continue;
		struct index_key id = index_key_id(email.body_id);
		if (!kv_get(&s->writer->txn, INDEX_BODIES, index_key_slice(&id), &body))
			fault = id_list_add(&s->wanted, email.body_id);
	}
	return fault;
}

enum fault
salvage_bodies_check(struct salvage *s)
{
	enum fault fault = salvage_steps_run(s, bodies_step);

	/* Without damage none is missing. */
	if (fault == FAULT_OK && s->in_doubt)
		fault = salvage_steps_run(s, missing_step);
	id_list_sort(&s->wanted);
	return fault;
}

/* An id that nothing known can have given is not taken from a record. */
static uint64_t
id_take(struct store_writer *w, uint64_t id)
{
	return id != 0 && id < w->next_id ? id : w->next_id++;
}

/* The record and the index must name a body alike. */
static uint64_t
body_id_take(struct store_writer *w, uint64_t id)
{
	if (id >= w->next_id && id < UINT64_MAX / 2)
		w->next_id = id + 1;
	return id;
}

static bool
uid_is_free(struct store_writer *w, const struct segment_record *r, const struct writer_place *p)
{
	struct index_key key = index_key_message(r->account, p->mailbox.id, r->uid);
	struct slice value;

	return p->mailbox.id == r->mailbox && r->uid != 0 && r->uid < UINT32_MAX &&
		!kv_get(&w->txn, INDEX_MESSAGES, index_key_slice(&key), &value);
}

/* The log has the message, and has lost only its email. */
static bool
email_restore(struct store_writer *w, const struct segment_record *r)
{
	struct index_email email = {1, r->account, r->body_id, r->prefix};
	struct store_message m;

	if (index_message_load(&w->txn, index_key_message(r->account, r->mailbox, r->uid), &m) !=
			FAULT_OK ||
		m.email_id != r->email_id || m.body_id != r->body_id)
		return false;
	index_email_save(&w->txn, r->email_id, &email);
	return true;
}

static enum fault
message_file(struct salvage *s, const struct segment_record *r, uint64_t body_id,
	const struct index_body *body)
{
	struct store_writer *w = s->writer;
	struct writer_place place;

	if (body_id == r->body_id && email_restore(w, r))
		return FAULT_OK;
	enum fault fault = salvage_mailbox_ensure(s, r->account, r->mailbox, &place);
	if (fault == FAULT_DENIED)
		fault = salvage_mailbox_ensure(s, r->account, STORE_INBOX, &place);
	if (fault != FAULT_OK)
		return fault;
	struct store_message m = {
		.account = r->account,
		.mailbox = place.mailbox.id,
		.uid = uid_is_free(w, r, &place) ? r->uid : place.mailbox.uidnext,
		.modseq = place.account.modseq + 1,
		.email_id = id_take(w, r->email_id),
		.body_id = body_id,
		.received_at = r->received_at,
		.zone = r->zone,
		.flags = r->flags & STORE_FLAGS_ALL,
		.size = r->prefix.len + body->plain_len,
		.prefix_len = (uint32_t)r->prefix.len,
		.structure_len = body->structure_len,
	};
	if (m.uid >= UINT32_MAX - 1)
		return FAULT_LIMIT;
	m.thread_id = r->thread_id != 0 && r->thread_id < w->next_id ? r->thread_id : m.email_id;
	struct writer_arrival arrival = {&m, r->prefix};
	writer_message_add(w, &place, &arrival);
	s->report->filed++;
	return w->txn.fault;
}

enum fault
salvage_email_file(struct salvage *s, uint64_t id, const struct index_email *email)
{
	struct segment_record r;
	struct index_body body;
	char prefix[STORE_PREFIX_MAX];
	enum fault fault = index_body_load(&s->writer->txn, email->body_id, &body);

	if (fault == FAULT_OK)
		fault = segment_files_header(s->files, &body.place, &r);
	if (fault != FAULT_OK)
		return fault;
	/* The record is of the body's first email; the UID there is no longer this one's. */
	if (r.email_id != id || r.account != email->account)
		r.mailbox = STORE_INBOX;
	if (r.email_id != id)
		r.thread_id = 0;
	r.email_id = id;
	r.account = email->account;
	r.uid = 0;
	memcpy(prefix, email->prefix.data, email->prefix.len);
	r.prefix = slice_make(prefix, email->prefix.len);
	return message_file(s, &r, email->body_id, &body);
}

static enum fault
mail_file(struct salvage *s, const struct segment_place *place, const struct segment_record *r)
{
	struct store_writer *w = s->writer;
	struct index_body body = body_of(place, r), known;
	uint64_t body_id = body_id_take(w, r->body_id);
	bool is_known = index_body_load(&w->txn, body_id, &known) == FAULT_OK;

	/* A copy that compaction made: the email of its first record may be long gone. */
	if (is_known &&
		(known.place.segment != place->segment || known.place.offset != place->offset))
		return w->txn.fault;
	enum fault fault = message_file(s, r, body_id, &body);
	if (fault == FAULT_OK && !is_known)
		writer_body_add(w, body_id, &body, r->structure);
	return fault != FAULT_OK ? fault : w->txn.fault;
}

/* One more mailbox for a body that came before. */
static enum fault
target_file(struct salvage *s, const struct segment_record *r)
{
	struct index_body body;
	enum fault fault = index_body_load(&s->writer->txn, r->body_id, &body);

	return fault != FAULT_OK ? fault : message_file(s, r, r->body_id, &body);
}

static void
candidate_lose(struct salvage *s, const struct segment_place *place, const struct segment_record *r)
{
	struct salvage_finding finding = {place->segment, place->offset, place->length, r->account,
		r->mailbox, r->uid, r->email_id, "a message that the log does not know is damaged"};

	s->report->damaged++;
	s->report->lost++;
	s->in_doubt = true;
	if (s->options.found != NULL)
		s->options.found(s->options.arg, &finding);
}

static enum fault
candidate_file(struct salvage *s, struct segment_place place)
{
	struct segment_record record;
	struct index_email known;
	char *parts = NULL;
	enum fault fault = segment_files_header(s->files, &place, &record);

	if (fault != FAULT_OK || id_set_has(&s->emails, record.email_id) ||
		index_email_load(&s->writer->txn, record.email_id, &known) != FAULT_NOT_FOUND)
		return s->writer->txn.fault;
	/* Nobody's: no account has this number. */
	if (record.account == 0 || record.mailbox == 0 || record.mailbox == UINT32_MAX)
		return FAULT_OK;
	fault = mail_read(s, &place, &record, &parts);
	if (fault == FAULT_OK)
		fault = record.kind == SEGMENT_MAIL ? mail_file(s, &place, &record)
						    : target_file(s, &record);
	free(parts);
	if (!is_damage(fault) && fault != FAULT_LIMIT && fault != FAULT_DENIED)
		return fault;
	if (s->writer->txn.fault != FAULT_OK)
		return s->writer->txn.fault;
	candidate_lose(s, &place, &record);
	return FAULT_OK;
}

/* A row of packed places; the key holds how many are done. */
static enum fault
list_step(struct salvage *s, struct salvage_key *at, const struct id_list *list,
	enum fault (*each)(struct salvage *, struct segment_place))
{
	uint64_t done = at->len == 0 ? 0 : get_u64(at->bytes);
	enum fault fault = FAULT_OK;

	for (int i = 0; i < SALVAGE_BATCH && done < list->count && fault == FAULT_OK; i++)
		fault = each(s, salvage_place_unpack(list->at[done++]));
	put_u64(at->bytes, done);
	at->len = 8;
	return fault;
}

static enum fault
candidates_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	enum fault fault = list_step(s, at, &s->candidates, candidate_file);

	*more = get_u64(at->bytes) < s->candidates.count;
	return fault;
}

/* Another copy of a body that is wanted. */
static enum fault
copy_take(struct salvage *s, struct segment_place place)
{
	struct index_body known;
	struct segment_record record;
	char *parts;
	enum fault fault = mail_read(s, &place, &record, &parts);

	if (fault == FAULT_OK &&
		index_body_load(&s->writer->txn, record.body_id, &known) == FAULT_NOT_FOUND) {
		struct index_body body = body_of(&place, &record);
		writer_body_add(s->writer, record.body_id, &body, record.structure);
	}
	free(parts);
	return is_damage(fault) ? FAULT_OK : fault;
}

static enum fault
copies_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	enum fault fault = list_step(s, at, &s->candidates, copy_take);

	*more = get_u64(at->bytes) < s->candidates.count;
	return fault;
}

/* The places of records that have wanted bodies. */
static enum fault
copies_find(struct salvage *s)
{
	struct log_scan scan;
	enum log_found found = LOG_MORE;
	enum fault fault = FAULT_OK;
	bool no_key = false, suspect = false;

	s->candidates.count = 0;
	log_scan_init(&scan, s->files, s->log.scan.end);
	while (fault == FAULT_OK && found != LOG_END) {
		fault = log_scan_next(&scan, &found);
		/* In format 1 what a search has found may be part of somebody's mail. */
		if (found == LOG_ENTERED)
			no_key = suspect = false;
		else if (found == LOG_RECORD && scan.place.offset == 0)
			no_key = scan.record.kind != SEGMENT_HEAD;
		else if (found == LOG_DAMAGE)
			suspect = no_key;
		if (fault == FAULT_OK && found == LOG_RECORD && !suspect &&
			scan.record.kind == SEGMENT_MAIL &&
			id_list_has(&s->wanted, scan.record.body_id))
			fault = id_list_add(&s->candidates, salvage_place_pack(&scan.place));
	}
	return fault;
}

enum fault
salvage_mail_file(struct salvage *s)
{
	s->candidates.count = s->log.candidates;
	/*
	 * What a whole log does not know had been purged: it is still in a segment, or the first
	 * email of a body that compaction has copied.  Of a log that is not whole nobody can tell.
	 */
	if (!s->in_doubt)
		s->candidates.count = s->log_is_whole ? 0 : s->unlogged;
	enum fault fault = salvage_steps_run(s, candidates_step);

	if (fault != FAULT_OK || s->wanted.count == 0)
		return fault;
	fault = copies_find(s);
	return fault != FAULT_OK ? fault : salvage_steps_run(s, copies_step);
}
