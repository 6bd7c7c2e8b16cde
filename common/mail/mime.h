/* SPDX-License-Identifier: ISC */
/*
 * The MIME parser (RFC 2045, 2046): one pass over a whole message that lies in memory, CRLF or bare
 * LF.  Any bytes give some sensible tree: parts in pre-order, part 0 the message itself.  Offsets
 * are relative to the message.  A child lies inside its parent's body, but for the line end before
 * a boundary, which ends an empty child's header and yet is not in the parent.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/mail/encoding.h"
#include "common/mail/parameter.h"

enum {
	MIME_DEPTH_MAX = 100,
	MIME_PARTS_MAX = 10000,
	MIME_PARAMETERS_MAX = 64,
};

/* Beyond them, the rest is an opaque leaf.  Values over the maxima above count as these. */
struct mime_limits {
	unsigned depth;
	unsigned parts;
};

extern const struct mime_limits mime_limits_default;

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART, /* children are its parts; may have none */
	MIME_MESSAGE, /* message/rfc822 or message/global; its one child is the inner message */
};

struct mime_part {
	enum mime_kind kind;
	uint16_t parent; /* of part 0: 0 */
	uint16_t next; /* the first part after this one's descendants */
	uint16_t depth;
	bool is_message; /* part 0 or child of a MIME_MESSAGE: its header has an envelope */
	size_t header_offset, header_len; /* with the empty line */
	size_t body_offset, body_len; /* without the line end before a boundary */
	size_t lines; /* line ends in the body */
	/* The type after the defaults of RFC 2045 5.2 and RFC 2046 5.1.5; never empty. */
	struct parameter_value type;
	/* Raw values of the part's own fields, folds inside; data NULL where there is no field. */
	struct slice encoding, id, description, md5, disposition, language, location;
};

struct mime_tree {
	struct mime_part *parts;
	size_t count; /* at least 1 */
};

/* FAULT_BUDGET when the arena is full, FAULT_TOO_BIG for 4 GiB and more. */
enum fault mime_parse(struct slice message, const struct mime_limits *, struct arena *,
	struct mime_tree *) MUST_USE;
bool mime_type_is(const struct mime_part *, struct slice type, struct slice subtype);

#endif
