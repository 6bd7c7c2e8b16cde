/* SPDX-License-Identifier: ISC */
/*
 * The stored structure: all that IMAP asks about a message without reading it again (envelope, body
 * structure, header index, references, date, preview), made once by deliverd, kept by the store,
 * read by imapd.
 *
 * It describes the body bytes that deliveries share.  What the store keeps before them for one
 * recipient (the prefix: Return-Path, Delivered-To) is not in it: all offsets count from the first
 * shared byte, and readers put the prefix in front of the top header.
 *
 * Format, version 1: big-endian, position independent, offsets from the first byte of the
 *structure:
 *
 *	fixed header of STRUCTURE_HEADER_SIZE bytes: magic "PbSt", version, flags, lengths
 *	part table: one record of fixed size per part, in pre-order
 *	texts: per part its details (type, parameters, ...) and, for messages, the envelope;
 *	header index; references; preview
 *
 * Numbers in texts are LEB128; a text is its length + 1 and its bytes, 0 for NIL.
 * structure_open() walks everything, so that damage is found there; the accessors check all bounds
 * again and answer false or empty for bytes that changed afterwards.
 */
#ifndef MAIL_STRUCTURE_H
#define MAIL_STRUCTURE_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/fault.h"
#include "common/mail/address_list.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/mail/mime.h"

enum {
	STRUCTURE_VERSION = 1,
	STRUCTURE_HEADER_SIZE = 64,
	STRUCTURE_PREVIEW_MAX = 256, /* bytes */
	STRUCTURE_NO_PART = 0xffff,
};

/* Most of each; what is over is left out or cut, so that every message has a structure. */
struct structure_limits {
	struct mime_limits mime;
	size_t addresses; /* per list */
	size_t references;
	size_t fields; /* of the header index */
	size_t text; /* bytes per text */
	size_t total; /* bytes, at least 128 KiB */
};

extern const struct structure_limits structure_limits_default;

/*
 * Appends the structure of message to out.  The arena is scratch and belongs to this call alone,
 * which may clear it; a few KiB are used for an ordinary message, and 1 MiB is the least for the
 * odd.  What needs more, or is over the total, becomes one opaque part.  FAULT_TOO_BIG for 4 GiB
 * and more, FAULT_BUDGET for out, FAULT_NOMEM; no content makes it fail.
 */
enum fault structure_build(struct slice message, const struct structure_limits *,
	struct arena *scratch, struct buffer *out) MUST_USE;

/* A list inside the structure; take from a copy. */
struct structure_list {
	struct slice rest;
	uint32_t count;
};

/* Borrows the bytes given to structure_open. */
struct structure {
	struct slice bytes;
	uint32_t part_count;
	uint32_t size; /* of the message, without prefix */
	uint32_t header_len; /* of the top header, with its empty line */
	bool has_sent; /* there is a Date field that could be read */
	bool has_attachment; /* some leaf is an attachment or is no text and not inline */
	bool is_indexed; /* the header index has all fields of the top header */
	struct date sent;
	struct slice preview; /* UTF-8, at most STRUCTURE_PREVIEW_MAX bytes; may be empty */
	struct structure_list fields; /* structure_take_field */
	struct structure_list references; /* structure_take_text: ids with angles, oldest first */
};

/* FAULT_DAMAGED, or FAULT_UNSUPPORTED for a newer version. */
enum fault structure_open(struct slice bytes, struct structure *) MUST_USE;

/* Texts: data is NULL for NIL (no such field), len 0 with data for an empty one. */
struct structure_part {
	uint16_t index, parent, next; /* children: index + 1, then each one's next, up to next */
	enum mime_kind kind;
	bool is_message; /* has an envelope: structure_get_envelope */
	uint32_t header_offset, header_len;
	uint32_t body_offset, body_len;
	uint32_t lines;
	struct slice type, subtype; /* as written, or the default */
	struct slice encoding; /* NIL: 7bit */
	struct slice id, description, md5, location; /* raw, unfolded */
	struct slice disposition; /* its type */
	struct structure_list parameters; /* raw pairs, structure_take_parameter */
	struct structure_list disposition_parameters;
	struct structure_list languages; /* structure_take_text */
};

/* False when there is no such part. */
bool structure_get_part(const struct structure *, uint32_t index, struct structure_part *);
bool structure_take_parameter(struct structure_list *, struct parameter *);
bool structure_take_text(struct structure_list *, struct slice *);

/* Raw, unfolded, encoded words as they are (RFC 3501 7.4.2).  sender and reply_to may be empty. */
struct structure_envelope {
	struct slice date, subject, in_reply_to, message_id;
	struct structure_list from, sender, reply_to, to, cc, bcc; /* structure_take_address */
};

/* False when the part is no message. */
bool structure_get_envelope(const struct structure *, uint32_t index, struct structure_envelope *);
/* Texts as in address_list.h. */
bool structure_take_address(struct structure_list *, struct list_address *);

/* One field of the top header, in order; offset and len of the whole field with its line end. */
struct structure_field {
	enum header_id id; /* HEADER_OTHER: look at the bytes */
	uint32_t offset, len;
};

/* offset must be 0 before the first take; it carries the place of the next field. */
bool structure_take_field(struct structure_list *, uint32_t *offset, struct structure_field *);

/*
 * The part that IMAP section numbers name (RFC 3501 6.4.5), or STRUCTURE_NO_PART.  No numbers: part
 * 0.  "1" of a message that is no multipart is the message's own body.
 */
uint16_t structure_find_part(const struct structure *, const uint32_t *numbers, size_t count);

enum structure_text { STRUCTURE_ALL, STRUCTURE_HEADER, STRUCTURE_TEXT, STRUCTURE_MIME };

struct structure_section {
	const uint32_t *numbers;
	size_t count;
	enum structure_text text;
};

struct structure_range {
	uint32_t offset, len;
};

/*
 * The bytes of BODY[numbers.text]; with STRUCTURE_ALL those of BODY[numbers].  False when there is
 * no such part or it has no such text (HEADER and TEXT need a message/rfc822 part or no numbers,
 * MIME needs numbers).  Without numbers the caller puts the prefix in front of ALL and HEADER.
 */
bool structure_find_range(
	const struct structure *, const struct structure_section *, struct structure_range *);

#endif
