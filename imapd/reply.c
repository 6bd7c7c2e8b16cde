/* SPDX-License-Identifier: ISC */
/* The table of replies as data, and what faults mean to an IMAP client.  Linked by imapd. */
#include "imapd/reply.h"

enum condition { CONDITION_OK, CONDITION_NO, CONDITION_BAD };

static const char *const condition_names[] = {"OK", "NO", "BAD"};

#define ROW(name, condition, code, text) {CONDITION_##condition, code, text},
static const struct {
	enum condition condition;
	const char *code;
	const char *text;
} replies[] = {IMAP_REPLIES(ROW)};
#undef ROW

bool
reply_is_bad(enum imap_reply r)
{
	return replies[r].condition == CONDITION_BAD;
}

bool
reply_is_ok(enum imap_reply r)
{
	return replies[r].condition == CONDITION_OK;
}

static const struct {
	enum fault fault;
	enum imap_reply reply;
} of_faults[] = {
	{FAULT_OK, REPLY_DONE},
	{FAULT_DAMAGED, REPLY_CORRUPTION},
	{FAULT_SEALED, REPLY_SEALED},
	{FAULT_INTERNAL, REPLY_SERVERBUG},
	{FAULT_SYNTAX, REPLY_BAD_NAME},
	{FAULT_TOO_LONG, REPLY_BAD_NAME},
	{FAULT_TOO_BIG, REPLY_TOO_BIG},
	{FAULT_TOO_MANY, REPLY_LIMIT},
	{FAULT_LIMIT, REPLY_LIMIT},
	{FAULT_BUDGET, REPLY_LIMIT},
	{FAULT_DENIED, REPLY_CANNOT},
	{FAULT_NOT_FOUND, REPLY_NONEXISTENT},
	{FAULT_EXISTS, REPLY_EXISTS},
	{FAULT_HAS_CHILDREN, REPLY_HASCHILDREN},
	{FAULT_AUTH_FAILED, REPLY_AUTH_FAILED},
	{FAULT_NO_SUCH_USER, REPLY_AUTH_FAILED},
	{FAULT_AUTH_SLOWED, REPLY_AUTH_SLOWED},
	{FAULT_ACCOUNT_DISABLED, REPLY_DISABLED},
	{FAULT_OVER_QUOTA, REPLY_OVERQUOTA},
	{FAULT_CHARSET, REPLY_CHARSET},
};

enum imap_reply
reply_of_fault(enum fault fault)
{
	for (size_t i = 0; i < sizeof of_faults / sizeof *of_faults; i++)
		if (of_faults[i].fault == fault)
			return of_faults[i].reply;
	return REPLY_UNAVAILABLE;
}

void
reply_format(enum imap_reply r, const struct reply_line *line, struct buffer *out)
{
	struct slice code = line->code.len > 0 ? line->code : slice_text(replies[r].code);

	buffer_add_slice(out, line->tag);
	buffer_add_byte(out, ' ');
	buffer_add_text(out, condition_names[replies[r].condition]);
	buffer_add_byte(out, ' ');
	if (code.len > 0) {
		buffer_add_byte(out, '[');
		buffer_add_slice(out, code);
		buffer_add_text(out, "] ");
	}
	if (replies[r].text[0] == '\0') {
		buffer_add_text(out, line->command);
		buffer_add_text(out, " completed");
	} else {
		buffer_add_text(out, replies[r].text);
	}
	buffer_add_text(out, ".\r\n");
}
