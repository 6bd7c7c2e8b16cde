/* SPDX-License-Identifier: ISC */
/* Reading replies, in relayd. */
#include "relayd/smtp_reply.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"

void
smtp_reply_start(struct smtp_reply *r)
{
	*r = (struct smtp_reply){0};
}

/* Reply-code = %x32-35 %x30-35 %x30-39; the second digit is taken leniently. */
static bool
take_reply_code(struct cursor *c, uint32_t *code)
{
	struct slice digits;
	struct cursor start = *c;
	uint64_t value;

	if (take_bytes(c, 3, &digits) && ascii_is_digit(digits.data[0]) &&
		slice_parse_u64(digits, 599, &value) && value >= 200) {
		*code = (uint32_t)value;
		return true;
	}
	*c = start;
	return false;
}

/* status-code of RFC 2034 4: class "." subject "." detail. */
static bool
take_status_code(struct cursor *c, struct slice *status)
{
	struct cursor start = *c;
	uint64_t class, subject, detail;

	if (take_u64(c, 5, &class) && take_byte(c, '.') && take_u64(c, 999, &subject) &&
		take_byte(c, '.') && take_u64(c, 999, &detail) &&
		(cursor_at_end(c) || peek_byte(c) == ' ')) {
		*status = cursor_since(c, start);
		return true;
	}
	*c = start;
	return false;
}

/* The class of the status must be that of the reply (RFC 2034 4). */
static void
take_status(struct smtp_reply *r, struct cursor *c)
{
	struct slice status;

	if (!take_status_code(c, &status))
		return;
	take_byte(c, ' ');
	if (r->status[0] != '\0' || status.len >= sizeof r->status ||
		(uint32_t)(status.data[0] - '0') != smtp_reply_class(r))
		return;
	memcpy(r->status, status.data, status.len);
	r->status[status.len] = '\0';
}

static void
add_text(struct smtp_reply *r, struct slice text)
{
	size_t room = SMTP_REPLY_TEXT_MAX - r->text_len;

	if (r->text_len > 0 && text.len > 0 && room > 0) {
		r->text[r->text_len++] = ' ';
		room--;
	}
	text = slice_first(text, room);
	for (size_t i = 0; i < text.len; i++)
		r->text[r->text_len++] = ascii_is_control(text.data[i]) ? ' ' : text.data[i];
	r->text[r->text_len] = '\0';
}

bool
smtp_reply_add(struct smtp_reply *r, struct slice line)
{
	struct cursor c = cursor_of(line);
	uint32_t code;

	if (!take_reply_code(&c, &code) || (r->lines > 0 && code != r->code) ||
		r->lines >= SMTP_REPLY_LINES_MAX)
		return false;
	r->code = code;
	r->lines++;
	r->final = !take_byte(&c, '-');
	if (r->final && !cursor_at_end(&c) && !take_byte(&c, ' '))
		return false;
	r->line = c.rest;
	take_status(r, &c);
	add_text(r, c.rest);
	return true;
}
