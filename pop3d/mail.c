/* SPDX-License-Identifier: ISC */
/*
 * What pop3d reads: the messages of INBOX at login, and then one message at a time.  A read
 * transaction never lasts longer than one of these functions.
 */
#include <stdlib.h>

#include "pop3d/pop3d.h"

enum { PIECE_RAW = 64 * 1024 };

static enum fault
load_messages(struct pop3_session *s, const struct store_mailbox *inbox)
{
	struct store_reader *reader = s->pop3d->reader;
	struct reader_walk walk;
	struct store_message message;
	enum fault fault = FAULT_OK, walked;

	reader_walk_open(reader, inbox->account, inbox->id, &walk);
	for (bool more = reader_walk_seek(&walk, 1, &message); more && fault == FAULT_OK;
		more = reader_walk_next(&walk, &message))
		fault = maildrop_add(&s->core.drop, message.uid, message.size);
	walked = reader_walk_close(&walk);
	/* One damaged record must not take the others away: it is skipped. */
	if (fault == FAULT_OK && walked != FAULT_DAMAGED)
		fault = walked;
	return fault;
}

enum fault
mail_load(struct pop3_session *s)
{
	struct store_reader *reader = s->pop3d->reader;
	struct store_mailbox *inbox = malloc(sizeof *inbox);
	enum fault fault = inbox != NULL ? reader_begin(reader) : FAULT_NOMEM;

	if (fault != FAULT_OK) {
		free(inbox);
		return fault;
	}
	maildrop_clear(&s->core.drop);
	fault = reader_mailbox(reader, s->core.account, STORE_INBOX, inbox);
	if (fault == FAULT_OK) {
		s->core.drop.uidvalidity = inbox->uidvalidity;
		fault = load_messages(s, inbox);
	}
	reader_end(reader);
	free(inbox);
	return fault;
}

enum fault
mail_open(struct pop3_session *s, uint64_t *size)
{
	struct store_reader *reader = s->pop3d->reader;
	struct store_message message;
	enum fault fault;

	if (s->content == NULL)
		s->content = malloc(sizeof *s->content);
	fault = s->content != NULL ? reader_begin(reader) : FAULT_NOMEM;
	if (fault != FAULT_OK)
		return fault;
	fault = reader_message(
		reader, s->core.account, STORE_INBOX, s->core.transfer.uid, &message);
	if (fault == FAULT_OK)
		fault = reader_content(reader, &message, s->content);
	reader_end(reader);
	if (fault == FAULT_OK)
		*size = store_content_size(s->content);
	return fault;
}

/* A packed body is unpacked by chunks; a piece of that size unpacks each of them once. */
static uint64_t
piece_size(const struct pop3_session *s)
{
	uint64_t left = s->core.transfer.size - s->core.transfer.offset;
	uint64_t most = s->content->body.codec == BODY_RAW ? PIECE_RAW : BODY_CHUNK_SIZE;

	return left < most ? left : most;
}

enum fault
mail_read(struct pop3_session *s, struct slice *piece)
{
	struct buffer *buffer = &s->pop3d->piece;
	struct body_span span = {.len = (size_t)piece_size(s)};
	enum fault fault;

	/* The reader is shared by all sessions. */
	reader_use_key(s->pop3d->reader, s->key);
	buffer_reset(buffer);
	span.at = buffer_reserve(buffer, span.len);
	if (span.at == NULL)
		return FAULT_NOMEM;
	fault = reader_read(s->pop3d->reader, s->content, s->core.transfer.offset, span);
	if (fault == FAULT_OK)
		*piece = slice_make(span.at, span.len);
	return fault;
}

enum fault
mail_set_key(struct pop3_session *s, struct slice private_key)
{
	mail_forget_key(s);
	if (private_key.len == 0)
		return FAULT_OK;
	s->key = seal_opener_new(private_key);
	return s->key != NULL ? FAULT_OK : FAULT_NOMEM;
}

void
mail_forget_key(struct pop3_session *s)
{
	if (s->key == NULL)
		return;
	/* The reader may still have it, and the piece what it has opened. */
	reader_use_key(s->pop3d->reader, NULL);
	if (s->pop3d->piece.data != NULL)
		secret_wipe(s->pop3d->piece.data, s->pop3d->piece.size);
	seal_opener_free(s->key);
	s->key = NULL;
}

void
mail_close(struct pop3_session *s)
{
	free(s->content);
	s->content = NULL;
}
