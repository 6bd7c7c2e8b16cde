/* SPDX-License-Identifier: ISC */
/*
 * ENVELOPE and BODYSTRUCTURE.  Linked by imapd; reads only the stored structure.  What mail
 * contains may be odd, what is written here is not: clients' parsers break easily.
 */
#include "common/mail/imap_structure.h"

#include "common/base/ascii.h"
#include "common/mail/utf8.h"

enum { QUOTED_MAX = 1000 };

/* What every formatter needs. */
struct writer {
	const struct structure *s;
	const struct imap_structure_style *style;
	struct buffer *out;
};

/* ---- strings ---- */

enum spelling { SPELL_PLAIN, SPELL_ESCAPED, SPELL_LITERAL };

/* What the bytes of s need. */
static enum spelling
spelling_of(struct slice s, bool is_utf8)
{
	bool has_8bit = false, has_special = false;

	if (s.len > QUOTED_MAX)
		return SPELL_LITERAL;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];
		if (c == '\r' || c == '\n' || c == '\0')
			return SPELL_LITERAL;
		has_8bit |= ascii_is_8bit(c);
		has_special |= c == '"' || c == '\\';
	}
	if (has_8bit && (!is_utf8 || !utf8_is_valid(s)))
		return SPELL_LITERAL;
	return has_special ? SPELL_ESCAPED : SPELL_PLAIN;
}

/* The octets of a literal are 1-255 (CHAR8, RFC 3501 9). */
static void
add_literal(struct slice s, struct buffer *out)
{
	size_t nuls = 0;

	for (size_t i = 0; i < s.len; i++)
		nuls += s.data[i] == '\0';
	buffer_add_byte(out, '{');
	buffer_add_u64(out, s.len - nuls);
	buffer_add_text(out, "}\r\n");
	while (s.len > 0) {
		struct slice run = slice_first(s, slice_find_byte(s, '\0'));
		buffer_add_slice(out, run);
		s = slice_after(s, run.len + 1);
	}
}

static void
add_escaped(struct slice s, struct buffer *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '"' || s.data[i] == '\\')
			buffer_add_byte(out, '\\');
		buffer_add_byte(out, s.data[i]);
	}
}

void
imap_string_format(struct slice s, bool is_utf8, struct buffer *out)
{
	enum spelling spelling = spelling_of(s, is_utf8);

	if (spelling == SPELL_LITERAL) {
		add_literal(s, out);
		return;
	}
	buffer_add_byte(out, '"');
	if (spelling == SPELL_ESCAPED)
		add_escaped(s, out);
	else
		buffer_add_slice(out, s);
	buffer_add_byte(out, '"');
}

void
imap_nstring_format(struct slice s, bool is_utf8, struct buffer *out)
{
	if (s.data == NULL)
		buffer_add_text(out, "NIL");
	else
		imap_string_format(s, is_utf8, out);
}

static void
add_string(const struct writer *w, struct slice s)
{
	imap_string_format(s, w->style->is_utf8, w->out);
}

static void
add_nstring(const struct writer *w, struct slice s)
{
	imap_nstring_format(s, w->style->is_utf8, w->out);
}

/* ---- envelope ---- */

static void
add_address(const struct writer *w, const struct list_address *a)
{
	buffer_add_byte(w->out, '(');
	add_nstring(w, a->name);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, a->route);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, a->mailbox);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, a->host);
	buffer_add_byte(w->out, ')');
}

static void
add_addresses(const struct writer *w, struct structure_list list)
{
	struct list_address address;

	buffer_add_byte(w->out, ' ');
	if (!structure_take_address(&list, &address)) {
		buffer_add_text(w->out, "NIL");
		return;
	}
	buffer_add_byte(w->out, '(');
	do
		add_address(w, &address);
	while (structure_take_address(&list, &address));
	buffer_add_byte(w->out, ')');
}

static void
add_empty_envelope(struct buffer *out)
{
	buffer_add_text(out, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
}

static void
add_envelope(const struct writer *w, uint32_t part)
{
	struct structure_envelope e;

	if (!structure_get_envelope(w->s, part, &e)) {
		add_empty_envelope(w->out);
		return;
	}
	buffer_add_byte(w->out, '(');
	add_nstring(w, e.date);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, e.subject);
	add_addresses(w, e.from);
	/* RFC 3501 7.4.2: without them, the server fills in From. */
	add_addresses(w, e.sender.count > 0 ? e.sender : e.from);
	add_addresses(w, e.reply_to.count > 0 ? e.reply_to : e.from);
	add_addresses(w, e.to);
	add_addresses(w, e.cc);
	add_addresses(w, e.bcc);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, e.in_reply_to);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, e.message_id);
	buffer_add_byte(w->out, ')');
}

void
imap_envelope_format(const struct structure *s, uint32_t part,
	const struct imap_structure_style *style, struct buffer *out)
{
	add_envelope(&(struct writer){s, style, out}, part);
}

/* ---- body structure ---- */

static void add_body(const struct writer *, const struct structure_part *);

/* Names and values, each pair behind a space, but the first behind before.  False: there is none.
 */
static bool
add_pairs(const struct writer *w, struct structure_list list, char before)
{
	struct parameter parameter;
	bool has_any = false;

	while (structure_take_parameter(&list, &parameter)) {
		buffer_add_byte(w->out, has_any ? ' ' : before);
		add_string(w, parameter.name);
		buffer_add_byte(w->out, ' ');
		add_string(w, parameter.value);
		has_any = true;
	}
	return has_any;
}

/* body-fld-param */
static void
add_parameters(const struct writer *w, struct structure_list list)
{
	buffer_add_text(w->out, add_pairs(w, list, '(') ? ")" : "NIL");
}

static bool
is_text(const struct structure_part *part)
{
	return slice_equal_nocase(part->type, SLICE("text"));
}

/* "charset", or "charset*" and "charset*0" of RFC 2231. */
static bool
has_charset(struct structure_list list)
{
	struct parameter p;

	while (structure_take_parameter(&list, &p)) {
		if (slice_starts_nocase(p.name, SLICE("charset")) &&
			(p.name.len == 7 || p.name.data[7] == '*'))
			return true;
	}
	return false;
}

/* body-fld-param of a part; clients rely on it that text tells its charset (RFC 2045 5.2). */
static void
add_type_parameters(const struct writer *w, const struct structure_part *part)
{
	if (!is_text(part) || has_charset(part->parameters)) {
		add_parameters(w, part->parameters);
		return;
	}
	buffer_add_byte(w->out, add_pairs(w, part->parameters, '(') ? ' ' : '(');
	buffer_add_text(w->out, "\"charset\" \"us-ascii\")");
}

/* body-fld-dsp */
static void
add_disposition(const struct writer *w, const struct structure_part *part)
{
	if (part->disposition.data == NULL) {
		buffer_add_text(w->out, "NIL");
		return;
	}
	buffer_add_byte(w->out, '(');
	add_string(w, part->disposition);
	buffer_add_byte(w->out, ' ');
	add_parameters(w, part->disposition_parameters);
	buffer_add_byte(w->out, ')');
}

/* body-fld-lang, as a list also when there is but one */
static void
add_languages(const struct writer *w, struct structure_list list)
{
	struct slice language;
	char before = '(';

	while (structure_take_text(&list, &language)) {
		buffer_add_byte(w->out, before);
		add_string(w, language);
		before = ' ';
	}
	buffer_add_text(w->out, before == '(' ? "NIL" : ")");
}

/* What both extensions end with. */
static void
add_extension(const struct writer *w, const struct structure_part *part)
{
	buffer_add_byte(w->out, ' ');
	add_disposition(w, part);
	buffer_add_byte(w->out, ' ');
	add_languages(w, part->languages);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, part->location);
}

/* media SP body-fields */
static void
add_fields(const struct writer *w, const struct structure_part *part)
{
	add_string(w, part->type);
	buffer_add_byte(w->out, ' ');
	add_string(w, part->subtype);
	buffer_add_byte(w->out, ' ');
	add_type_parameters(w, part);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, part->id);
	buffer_add_byte(w->out, ' ');
	add_nstring(w, part->description);
	buffer_add_byte(w->out, ' ');
	add_string(w, part->encoding.data != NULL ? part->encoding : SLICE("7bit"));
	buffer_add_byte(w->out, ' ');
	buffer_add_u64(w->out, part->body_len);
}

/* The body of a multipart without parts, or of a message that was not looked into, as text. */
static void
add_opaque_text(const struct writer *w, const struct structure_part *part)
{
	buffer_add_text(w->out, "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" ");
	buffer_add_u64(w->out, part->body_len);
	buffer_add_byte(w->out, ' ');
	buffer_add_u64(w->out, part->lines);
	if (w->style->is_extensible)
		buffer_add_text(w->out, " NIL NIL NIL NIL");
	buffer_add_byte(w->out, ')');
}

static void
add_multipart(const struct writer *w, const struct structure_part *part)
{
	struct structure_part child;
	uint32_t index = part->index + 1U;

	if (index >= part->next)
		add_opaque_text(w, part);
	while (index < part->next && structure_get_part(w->s, index, &child)) {
		add_body(w, &child);
		index = child.next > index ? child.next : part->next;
	}
	buffer_add_byte(w->out, ' ');
	add_string(w, part->subtype);
	if (!w->style->is_extensible)
		return;
	buffer_add_byte(w->out, ' ');
	add_parameters(w, part->parameters);
	add_extension(w, part);
}

/* RFC 3501 knows only message/rfc822 here; RFC 9051 has message/global too. */
static bool
is_message(const struct writer *w, const struct structure_part *part)
{
	return slice_equal_nocase(part->type, SLICE("message")) &&
		(slice_equal_nocase(part->subtype, SLICE("rfc822")) ||
			(w->style->is_rev2 && slice_equal_nocase(part->subtype, SLICE("global"))));
}

static void
add_inner_message(const struct writer *w, const struct structure_part *part)
{
	struct structure_part inner;

	buffer_add_byte(w->out, ' ');
	if (part->kind == MIME_MESSAGE && structure_get_part(w->s, part->index + 1U, &inner)) {
		add_envelope(w, inner.index);
		buffer_add_byte(w->out, ' ');
		add_body(w, &inner);
	} else {
		add_empty_envelope(w->out);
		buffer_add_byte(w->out, ' ');
		add_opaque_text(w, part);
	}
}

static void
add_leaf(const struct writer *w, const struct structure_part *part)
{
	add_fields(w, part);
	if (is_message(w, part))
		add_inner_message(w, part);
	if (is_message(w, part) || is_text(part)) {
		buffer_add_byte(w->out, ' ');
		buffer_add_u64(w->out, part->lines);
	}
	if (!w->style->is_extensible)
		return;
	buffer_add_byte(w->out, ' ');
	add_nstring(w, part->md5);
	add_extension(w, part);
}

/* The depth of recursion is that of the tree: MIME_DEPTH_MAX. */
static void
add_body(const struct writer *w, const struct structure_part *part)
{
	buffer_add_byte(w->out, '(');
	if (part->kind == MIME_MULTIPART)
		add_multipart(w, part);
	else
		add_leaf(w, part);
	buffer_add_byte(w->out, ')');
}

void
imap_bodystructure_format(const struct structure *s, uint32_t part,
	const struct imap_structure_style *style, struct buffer *out)
{
	struct writer w = {s, style, out};
	struct structure_part found;

	if (structure_get_part(s, part, &found))
		add_body(&w, &found);
	else
		add_opaque_text(&w, &(struct structure_part){0});
}
