/* SPDX-License-Identifier: ISC */
/* Canonical mailbox names.  Linked by the store; names come from clients and are not trusted. */
#include "common/store/name.h"

#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

#include "common/base/ascii.h"

static bool
is_plain(char c)
{
	return c >= 0x20 && c < 0x7f;
}

/* Copies in normal form C.  Pure ASCII is so already. */
static enum fault
normalize(struct slice text, struct store_name *name)
{
	struct cursor c = cursor_of(text);
	size_t len = sizeof(name->text) - 1;

	if (take_run(&c, is_plain).len == text.len) {
		memcpy(name->text, text.data, text.len);
		name->len = text.len;
		return FAULT_OK;
	}
	if (u8_check((const uint8_t *)text.data, text.len) != NULL)
		return FAULT_SYNTAX;
	uint8_t *form = u8_normalize(
		UNINORM_NFC, (const uint8_t *)text.data, text.len, (uint8_t *)name->text, &len);
	if (form == NULL)
		return FAULT_NOMEM;
	if (form != (uint8_t *)name->text) {
		free(form);
		return FAULT_TOO_LONG;
	}
	name->len = len;
	return FAULT_OK;
}

/* No C0, DEL, nor C1 controls (U+0080-U+009F): names go to terminals and logs. */
static bool
has_controls(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (ascii_is_control(name.data[i]))
			return true;
		if (i + 1 < name.len && (uint8_t)name.data[i] == 0xc2 &&
			(uint8_t)name.data[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static enum fault
levels_check(struct slice name)
{
	struct cursor c = cursor_of(name);

	for (struct slice level; take_name_level(&c, &level);) {
		if (level.len == 0)
			return FAULT_SYNTAX;
		if (level.len > STORE_LEVEL_MAX)
			return FAULT_TOO_LONG;
	}
	return name.len == 0 || name.data[name.len - 1] == STORE_DELIMITER ? FAULT_SYNTAX
									   : FAULT_OK;
}

enum fault
store_name_parse(struct slice text, struct store_name *name)
{
	struct slice inbox = SLICE("INBOX");

	if (text.len > 0 && text.data[text.len - 1] == STORE_DELIMITER)
		text.len--;
	if (text.len == 0)
		return FAULT_SYNTAX;
	if (text.len > STORE_NAME_MAX)
		return FAULT_TOO_LONG;
	enum fault fault = normalize(text, name);
	if (fault != FAULT_OK)
		return fault;
	name->text[name->len] = '\0';
	if (has_controls(store_name_slice(name)))
		return FAULT_SYNTAX;
	fault = levels_check(store_name_slice(name));
	if (fault != FAULT_OK)
		return fault;
	if (slice_starts_nocase(store_name_slice(name), inbox) &&
		(name->len == inbox.len || name->text[inbox.len] == STORE_DELIMITER))
		memcpy(name->text, inbox.data, inbox.len);
	return FAULT_OK;
}

bool
take_name_level(struct cursor *c, struct slice *level)
{
	size_t len = slice_find_byte(c->rest, STORE_DELIMITER);

	if (cursor_at_end(c))
		return false;
	*level = slice_first(c->rest, len);
	c->rest = slice_after(c->rest, len + 1);
	return true;
}

void
store_name_split(struct slice name, struct slice *parent, struct slice *last)
{
	size_t at = slice_find_last(name, STORE_DELIMITER);

	*parent = at < name.len ? slice_first(name, at) : slice_first(name, 0);
	*last = at < name.len ? slice_after(name, at + 1) : name;
}
