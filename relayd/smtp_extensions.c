/* SPDX-License-Identifier: ISC */
/* What the other host says that it can, in relayd. */
#include "relayd/smtp_extensions.h"

#include "common/base/cursor.h"

static const struct extension_row {
	struct slice keyword;
	enum smtp_extension extension;
} extensions[] = {
	{SLICE_LITERAL("PIPELINING"), SMTP_HAS_PIPELINING},
	{SLICE_LITERAL("8BITMIME"), SMTP_HAS_8BITMIME},
	{SLICE_LITERAL("SIZE"), SMTP_HAS_SIZE},
	{SLICE_LITERAL("STARTTLS"), SMTP_HAS_STARTTLS},
	{SLICE_LITERAL("DSN"), SMTP_HAS_DSN},
	{SLICE_LITERAL("SMTPUTF8"), SMTP_HAS_SMTPUTF8},
};

static bool
is_word(char b)
{
	return b != ' ' && b != '\t';
}

static bool
take_word(struct cursor *c, struct slice *word)
{
	take_byte(c, ' ');
	return take_while(c, is_word, word);
}

static void
take_auth_mechanisms(struct smtp_client *c, struct cursor *line)
{
	struct slice word;

	while (take_word(line, &word)) {
		if (slice_equal_nocase(word, SLICE("PLAIN")))
			c->extensions |= SMTP_HAS_AUTH_PLAIN;
		if (slice_equal_nocase(word, SLICE("LOGIN")))
			c->extensions |= SMTP_HAS_AUTH_LOGIN;
	}
}

void
extensions_add(struct smtp_client *c, struct slice text)
{
	struct cursor line = cursor_of(text);
	struct slice keyword, value;

	if (!take_word(&line, &keyword))
		return;
	for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++)
		if (slice_equal_nocase(keyword, extensions[i].keyword))
			c->extensions |= (unsigned)extensions[i].extension;
	if (slice_equal_nocase(keyword, SLICE("SIZE")) && take_word(&line, &value) &&
		!slice_parse_u64(value, UINT64_MAX, &c->size_max))
		c->size_max = 0;
	if (slice_equal_nocase(keyword, SLICE("AUTH")))
		take_auth_mechanisms(c, &line);
}
