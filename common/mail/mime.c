/* SPDX-License-Identifier: ISC */
/*
 * The MIME parser.  deliverd runs it once on every message, on bytes that anyone may have sent: it
 * reads each line once, keeps a stack of open boundaries, and never looks back.
 *
 *	take_part    header, then by type one of
 *	 take_multipart   preamble, parts between boundaries, epilogue
 *	 take_message     one inner part
 *	 scan             lines up to a boundary of any open multipart
 *
 * All return at the boundary line that ended them (the hit), be it their own parent's or one
 * further out whose children lack a close delimiter.
 */
#include "common/mail/mime.h"

#include "common/base/ascii.h"
#include "common/mail/header.h"

enum {
	FIRST_PARTS = 8,
	NO_LEVEL = -1,
	TYPE_MAX = 16384, /* bytes of a Content-Type that are looked at */
	BOUNDARY_MAX = 1000,
};

const struct mime_limits mime_limits_default = {MIME_DEPTH_MAX, MIME_PARTS_MAX};

/* Where a scan stopped. */
struct hit {
	int level; /* of the boundary in the stack, or NO_LEVEL at the end of the message */
	bool is_close;
	size_t content_end; /* before the line end that belongs to the boundary */
	size_t newlines; /* line feeds up to content_end */
};

struct parser {
	struct slice message;
	struct mime_limits limits;
	struct arena *arena;
	struct mime_part *parts;
	size_t count, room;
	struct slice boundaries[MIME_DEPTH_MAX];
	int open; /* boundaries in the stack */
	size_t at; /* always at the start of a line, or at the end */
	size_t newlines; /* line feeds before at */
	enum fault fault;
};

/* What a part inherits. */
struct place {
	uint16_t parent, depth;
	bool is_message;
	bool in_digest;
};

static struct hit take_part(struct parser *, struct place);

/* ---- lines and boundaries ---- */

static void
skip_line(struct parser *p)
{
	struct slice rest = slice_after(p->message, p->at);
	size_t len = slice_find_byte(rest, '\n');

	if (len < rest.len) {
		p->newlines++;
		len++;
	}
	p->at += len;
}

/*
 * "--" boundary ["--"] and white space to the end of the line.  A longer line is no match, so that
 * one boundary may be the start of another (RFC 2046 5.1.1 leaves that to us).
 */
static bool
line_matches(struct slice line, struct slice boundary, bool *is_close)
{
	struct slice behind = slice_after(line, boundary.len);

	if (!slice_starts(line, boundary))
		return false;
	*is_close = slice_starts(behind, SLICE("--"));
	if (*is_close)
		behind = slice_after(behind, 2);
	return slice_trim(behind).len == 0;
}

/* The line at p->at, when it is a boundary of an open multipart, the innermost first. */
static bool
find_boundary(const struct parser *p, struct hit *hit)
{
	struct slice rest = slice_after(p->message, p->at);

	if (p->open == 0 || !slice_starts(rest, SLICE("--")))
		return false;
	struct slice line = slice_first(rest, slice_find_byte(rest, '\n'));
	line = slice_after(line, 2);
	for (int level = p->open - 1; level >= 0; level--) {
		if (line_matches(line, p->boundaries[level], &hit->is_close)) {
			hit->level = level;
			return true;
		}
	}
	return false;
}

/* The content ends before the line end that precedes the boundary at p->at. */
static void
end_content(const struct parser *p, struct hit *hit)
{
	size_t end = p->at;

	hit->newlines = p->newlines;
	if (end > 0 && p->message.data[end - 1] == '\n') {
		end--;
		hit->newlines--;
		if (end > 0 && p->message.data[end - 1] == '\r')
			end--;
	}
	hit->content_end = end;
}

/* Is a boundary or the end at the start of this line? */
static bool
at_hit(const struct parser *p, struct hit *hit)
{
	if (p->at >= p->message.len) {
		*hit = (struct hit){NO_LEVEL, true, p->message.len, p->newlines};
		return true;
	}
	if (!find_boundary(p, hit))
		return false;
	end_content(p, hit);
	return true;
}

static struct hit
scan(struct parser *p)
{
	struct hit hit;

	while (!at_hit(p, &hit))
		skip_line(p);
	return hit;
}

/* ---- parts ---- */

static bool
grow_parts(struct parser *p)
{
	size_t room = p->room == 0 ? FIRST_PARTS : p->room * 2;
	struct mime_part *parts = arena_array(p->arena, room, sizeof *parts);

	if (parts == NULL) {
		p->fault = FAULT_BUDGET;
		return false;
	}
	if (p->count > 0)
		memcpy(parts, p->parts, p->count * sizeof *parts);
	p->parts = parts;
	p->room = room;
	return true;
}

static bool
has_room(const struct parser *p, uint16_t depth)
{
	return p->fault == FAULT_OK && depth + 1U < p->limits.depth && p->count < p->limits.parts;
}

/* The first field of a name counts. */
static void
keep_first(struct slice *kept, struct slice value)
{
	if (kept->data == NULL)
		*kept = value;
}

static void
note_field(struct mime_part *part, const struct header_field *field, struct slice *type)
{
	if (!slice_starts_nocase(field->name, SLICE("Content-")))
		return;
	switch (header_identify(field->name)) {
	case HEADER_CONTENT_TYPE:
		keep_first(type, field->value);
		break;
	case HEADER_CONTENT_TRANSFER_ENCODING:
		keep_first(&part->encoding, field->value);
		break;
	case HEADER_CONTENT_ID:
		keep_first(&part->id, field->value);
		break;
	case HEADER_CONTENT_DESCRIPTION:
		keep_first(&part->description, field->value);
		break;
	case HEADER_CONTENT_MD5:
		keep_first(&part->md5, field->value);
		break;
	case HEADER_CONTENT_DISPOSITION:
		keep_first(&part->disposition, field->value);
		break;
	case HEADER_CONTENT_LANGUAGE:
		keep_first(&part->language, field->value);
		break;
	case HEADER_CONTENT_LOCATION:
		keep_first(&part->location, field->value);
		break;
	default:
		break;
	}
}

static size_t
count_newlines(struct slice s)
{
	size_t count = 0;

	for (size_t i = 0; i < s.len; i++)
		count += s.data[i] == '\n';
	return count;
}

static void
advance(struct parser *p, size_t len)
{
	p->newlines += count_newlines(slice_first(slice_after(p->message, p->at), len));
	p->at += len;
}

/* Up to the empty line and with it, or to a boundary when that line is missing. */
static struct slice
take_header(struct parser *p, struct mime_part *part)
{
	struct slice type = {NULL, 0};
	struct header_field field;
	struct hit ignored;

	part->header_offset = p->at;
	for (;;) {
		struct cursor c = cursor_of(slice_after(p->message, p->at));
		if (find_boundary(p, &ignored))
			break;
		if (!take_header_field(&c, &field)) {
			struct cursor mark = c;
			if (take_line_end(&c))
				advance(p, cursor_since(&c, mark).len);
			break;
		}
		advance(p, field.whole.len);
		note_field(part, &field, &type);
	}
	part->header_len = p->at - part->header_offset;
	part->body_offset = p->at;
	return type;
}

/* RFC 2045 5.2: what has no type, or one that cannot be read, is text in US-ASCII. */
static void
set_type(struct parser *p, struct mime_part *part, struct slice value, bool in_digest)
{
	static struct parameter us_ascii = {SLICE_LITERAL("charset"), SLICE_LITERAL("us-ascii")};
	enum fault fault = parameter_parse(
		slice_first(value, TYPE_MAX), MIME_PARAMETERS_MAX, p->arena, &part->type);

	if (fault != FAULT_OK)
		p->fault = fault;
	if (part->type.type.len > 0 && part->type.subtype.len > 0)
		return;
	if (in_digest && value.data == NULL)
		part->type = (struct parameter_value){SLICE("message"), SLICE("rfc822"), {0}};
	else
		part->type =
			(struct parameter_value){SLICE("text"), SLICE("plain"), {&us_ascii, 1}};
}

bool
mime_type_is(const struct mime_part *part, struct slice type, struct slice subtype)
{
	return slice_equal_nocase(part->type.type, type) &&
		slice_equal_nocase(part->type.subtype, subtype);
}

/* RFC 2046 5.2.1 forbids to encode an inner message; where it is done, it is opaque. */
static bool
is_open_message(const struct mime_part *part)
{
	enum encoding encoding = encoding_parse(part->encoding);

	return (mime_type_is(part, SLICE("message"), SLICE("rfc822")) ||
		       mime_type_is(part, SLICE("message"), SLICE("global"))) &&
		encoding != ENCODING_BASE64 && encoding != ENCODING_QUOTED_PRINTABLE;
}

/* "boundary*=charset''text" of RFC 2231, in the arena. */
static struct slice
extended_boundary(struct parser *p, const struct mime_part *part)
{
	struct slice boundary = SLICE("");
	struct buffer text;

	buffer_init(&text, BOUNDARY_MAX);
	if (parameter_decode(&part->type.parameters, SLICE("boundary"), &text) == FAULT_OK &&
		!arena_copy(p->arena, buffer_slice(&text), &boundary))
		p->fault = FAULT_BUDGET;
	buffer_clear(&text);
	return boundary;
}

static struct slice
boundary_of(struct parser *p, const struct mime_part *part)
{
	struct slice boundary;

	if (!parameter_find(&part->type.parameters, SLICE("boundary"), &boundary))
		boundary = extended_boundary(p, part);
	/* Only its end: a boundary may begin with a space, though it had better not. */
	while (boundary.len > 0 && ascii_is_space(boundary.data[boundary.len - 1]))
		boundary.len--;
	return boundary;
}

static struct hit
take_multipart(struct parser *p, uint16_t self, uint16_t depth)
{
	struct slice boundary = boundary_of(p, &p->parts[self]);
	bool in_digest = mime_type_is(&p->parts[self], SLICE("multipart"), SLICE("digest"));

	if (boundary.len == 0 || !has_room(p, depth) || p->open == MIME_DEPTH_MAX)
		return scan(p);
	int level = p->open++;
	p->boundaries[level] = boundary;
	struct hit hit = scan(p);
	while (hit.level == level && !hit.is_close && has_room(p, depth)) {
		skip_line(p);
		hit = take_part(p, (struct place){self, (uint16_t)(depth + 1), false, in_digest});
	}
	p->open = level;
	if (hit.level != level)
		return hit;
	/* The close delimiter, or too many parts: the rest is epilogue. */
	skip_line(p);
	return scan(p);
}

static struct hit
take_body(struct parser *p, uint16_t self, uint16_t depth)
{
	struct mime_part *part = &p->parts[self];

	if (slice_equal_nocase(part->type.type, SLICE("multipart"))) {
		part->kind = MIME_MULTIPART;
		return take_multipart(p, self, depth);
	}
	if (is_open_message(part) && has_room(p, depth)) {
		part->kind = MIME_MESSAGE;
		return take_part(p, (struct place){self, (uint16_t)(depth + 1), true, false});
	}
	return scan(p);
}

static void
finish_part(struct parser *p, uint16_t self, size_t newlines, const struct hit *hit)
{
	struct mime_part *part = &p->parts[self];

	part->next = (uint16_t)p->count;
	/* The boundary's line end may be the one that ended the header. */
	if (hit->content_end <= part->body_offset)
		return;
	part->body_len = hit->content_end - part->body_offset;
	part->lines = hit->newlines - newlines;
}

static struct hit
take_part(struct parser *p, struct place place)
{
	if (p->count == p->room && !grow_parts(p))
		return (struct hit){NO_LEVEL, true, p->message.len, p->newlines};
	uint16_t self = (uint16_t)p->count++;
	struct mime_part *part = &p->parts[self];
	*part = (struct mime_part){
		.parent = place.parent,
		.depth = place.depth,
		.is_message = place.is_message,
	};
	struct slice type = take_header(p, part);
	set_type(p, part, type, place.in_digest);
	size_t newlines = p->newlines;
	struct hit hit = take_body(p, self, place.depth);
	finish_part(p, self, newlines, &hit);
	return hit;
}

static unsigned
at_most(unsigned value, unsigned max)
{
	return value < 1 ? 1 : value < max ? value : max;
}

enum fault
mime_parse(struct slice message, const struct mime_limits *limits, struct arena *arena,
	struct mime_tree *tree)
{
	struct parser p = {
		.message = message,
		.limits = {at_most(limits->depth, MIME_DEPTH_MAX),
			at_most(limits->parts, MIME_PARTS_MAX)},
		.arena = arena,
	};

	if (message.len > UINT32_MAX)
		return FAULT_TOO_BIG;
	take_part(&p, (struct place){.is_message = true});
	if (p.fault == FAULT_OK)
		*tree = (struct mime_tree){p.parts, p.count};
	return p.fault;
}
