/* SPDX-License-Identifier: ISC */
/* The table of SMTP replies as text. */
#include "smtpd/replies.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"

enum { ARGUMENT_SHOWN = 400 }; /* RFC 5321 4.5.3.1.5: a reply line has at most 512 bytes */

static const struct {
	unsigned code;
	const char *enhanced;
	struct slice text;
} rows[REPLY_COUNT] = {
#define REPLY_ROW(name, code, enhanced, text)                                                      \
	[REPLY_##name] = {code, enhanced, SLICE_LITERAL(text)},
	SMTP_REPLIES(REPLY_ROW)
#undef REPLY_ROW
};

static void
add_clean(struct buffer *out, struct slice argument)
{
	argument = slice_first(argument, ARGUMENT_SHOWN);
	for (size_t i = 0; i < argument.len; i++) {
		if (!ascii_is_control(argument.data[i]))
			buffer_add_byte(out, argument.data[i]);
	}
}

void
reply_format(enum smtp_reply reply, const char *hostname, struct slice argument, struct buffer *out)
{
	struct cursor c = cursor_of(rows[reply].text);
	char byte;

	buffer_printf(out, "%u ", rows[reply].code);
	if (rows[reply].enhanced[0] != '\0')
		buffer_printf(out, "%s ", rows[reply].enhanced);
	while (!cursor_at_end(&c)) {
		if (take_text(&c, SLICE("$h")))
			buffer_add_text(out, hostname);
		else if (take_text(&c, SLICE("$1")))
			add_clean(out, argument);
		else if (take_any(&c, &byte))
			buffer_add_byte(out, byte);
	}
	buffer_add_text(out, "\r\n");
}

bool
reply_is_error(enum smtp_reply reply)
{
	return rows[reply].code >= 400;
}

enum smtp_reply
reply_of_fault(enum fault fault)
{
	switch (fault) {
	case FAULT_OK:
		return REPLY_ACCEPTED;
	case FAULT_TOO_BIG:
		return REPLY_TOO_BIG;
	case FAULT_SYNTAX:
		return REPLY_BARE_NEWLINE;
	case FAULT_TOO_LONG:
		return REPLY_HEADER_TOO_BIG;
	case FAULT_MAIL_LOOP:
		return REPLY_MAIL_LOOP;
	case FAULT_NO_SUCH_USER:
	case FAULT_NOT_LOCAL:
		return REPLY_NO_VALID_RECIPIENTS;
	case FAULT_OVER_QUOTA:
		return REPLY_MAILBOX_FULL;
	case FAULT_NOMEM:
	case FAULT_BUDGET:
	case FAULT_NO_SPACE:
		return REPLY_NO_MEMORY;
	default:
		return fault_is_temporary(fault) ? REPLY_LATER : REPLY_REFUSED;
	}
}
