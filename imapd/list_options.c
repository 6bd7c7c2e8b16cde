/* SPDX-License-Identifier: ISC */
/* Options and items of LIST and STATUS, each in one table.  Linked by imapd. */
#include "imapd/list_options.h"

#include "common/base/ascii.h"
#include "common/mail/mutf7.h"

struct option {
	struct slice name;
	unsigned bit;
};

static const struct option selections[] = {
	{SLICE_LITERAL("SUBSCRIBED"), LIST_SUBSCRIBED},
	{SLICE_LITERAL("REMOTE"), LIST_REMOTE},
	{SLICE_LITERAL("RECURSIVEMATCH"), LIST_RECURSIVEMATCH},
	{SLICE_LITERAL("SPECIAL-USE"), LIST_SPECIAL_USE},
	{{NULL, 0}, 0},
};

static const struct option returns[] = {
	{SLICE_LITERAL("SUBSCRIBED"), LIST_SUBSCRIBED},
	{SLICE_LITERAL("CHILDREN"), LIST_CHILDREN},
	{SLICE_LITERAL("SPECIAL-USE"), LIST_SPECIAL_USE},
	{SLICE_LITERAL("STATUS"), LIST_STATUS},
	{{NULL, 0}, 0},
};

static const struct option status_items[] = {
	{SLICE_LITERAL("MESSAGES"), STATUS_MESSAGES},
	{SLICE_LITERAL("RECENT"), STATUS_RECENT},
	{SLICE_LITERAL("UIDNEXT"), STATUS_UIDNEXT},
	{SLICE_LITERAL("UIDVALIDITY"), STATUS_UIDVALIDITY},
	{SLICE_LITERAL("UNSEEN"), STATUS_UNSEEN},
	{SLICE_LITERAL("SIZE"), STATUS_SIZE},
	{{NULL, 0}, 0},
};

static bool
take_option(struct cursor *c, const struct option *table, unsigned *bit)
{
	for (; table->name.data != NULL; table++)
		if (take_word(c, table->name)) {
			*bit = table->bit;
			return true;
		}
	return false;
}

bool
take_list_selection(struct cursor *c, unsigned *options)
{
	struct cursor probe = *c;
	unsigned found = 0;
	unsigned bit;

	if (!take_byte(&probe, '('))
		return false;
	if (peek_byte(&probe) != ')')
		do {
			if (!take_option(&probe, selections, &bit))
				return false;
			found |= bit;
		} while (take_sp(&probe));
	if (!take_byte(&probe, ')'))
		return false;
	if ((found & LIST_RECURSIVEMATCH) != 0 && (found & LIST_SUBSCRIBED) == 0)
		return false;
	*options = found;
	*c = probe;
	return true;
}

static bool
take_return_option(struct cursor *c, struct list_arguments *list)
{
	struct cursor probe = *c;
	unsigned bit;

	if (!take_option(&probe, returns, &bit))
		return false;
	if (bit == LIST_STATUS &&
		(!take_sp(&probe) || !take_status_items(&probe, &list->status_items)))
		return false;
	list->returns |= bit;
	*c = probe;
	return true;
}

bool
take_list_return(struct cursor *c, struct list_arguments *list)
{
	struct cursor probe = *c;

	if (!take_word(&probe, SLICE("RETURN")) || !take_sp(&probe) || !take_byte(&probe, '('))
		return false;
	if (peek_byte(&probe) != ')')
		do {
			if (!take_return_option(&probe, list))
				return false;
		} while (take_sp(&probe));
	if (!take_byte(&probe, ')'))
		return false;
	*c = probe;
	return true;
}

bool
take_list_patterns(struct cursor *c, struct arena *arena, struct list_arguments *list)
{
	struct cursor probe = *c;
	bool is_list = take_byte(&probe, '(');
	size_t most = is_list ? LIST_PATTERNS_MAX : 1;

	list->patterns = arena_array(arena, most, sizeof *list->patterns);
	if (list->patterns == NULL)
		return false;
	do {
		if (list->pattern_count == most ||
			!take_list_mailbox(&probe, arena, &list->patterns[list->pattern_count]))
			return false;
		list->pattern_count++;
	} while (is_list && take_sp(&probe));
	if (is_list && !take_byte(&probe, ')'))
		return false;
	*c = probe;
	return true;
}

bool
take_status_items(struct cursor *c, uint32_t *items)
{
	struct cursor probe = *c;
	uint32_t found = 0;
	unsigned bit;

	if (!take_byte(&probe, '('))
		return false;
	do {
		if (!take_option(&probe, status_items, &bit))
			return false;
		found |= bit;
	} while (take_sp(&probe));
	if (!take_byte(&probe, ')'))
		return false;
	*items = found;
	*c = probe;
	return true;
}

static uint64_t
status_value(const struct store_mailbox *m, unsigned item)
{
	switch ((enum status_item)item) {
	case STATUS_MESSAGES:
		return m->exists;
	case STATUS_RECENT:
		return m->recent;
	case STATUS_UIDNEXT:
		return m->uidnext;
	case STATUS_UIDVALIDITY:
		return m->uidvalidity;
	case STATUS_UNSEEN:
		return m->unseen;
	case STATUS_SIZE:
		return m->size_bytes;
	}
	return 0;
}

void
status_format(const struct store_mailbox *mailbox, uint32_t items, struct buffer *out)
{
	const char *separator = " (";

	buffer_add_text(out, "* STATUS ");
	mailbox_name_format(slice_make(mailbox->name, mailbox->name_len), out);
	for (const struct option *o = status_items; o->name.data != NULL; o++) {
		if ((items & o->bit) == 0)
			continue;
		buffer_add_text(out, separator);
		buffer_add_slice(out, o->name);
		buffer_add_byte(out, ' ');
		buffer_add_u64(out, status_value(mailbox, o->bit));
		separator = " ";
	}
	buffer_add_text(out, ")\r\n");
}

static bool
is_atom_text(struct slice s)
{
	struct cursor c = cursor_of(s);
	struct slice atom;

	/* NIL as an atom would mean something else to some clients. */
	return take_atom(&c, &atom) && cursor_at_end(&c) && !slice_equal_nocase(s, SLICE("NIL"));
}

void
mailbox_name_format(struct slice name, struct buffer *out)
{
	struct buffer coded;

	buffer_init(&coded, 8 * STORE_NAME_MAX);
	/* Stored names are valid UTF-8; if one is damaged, its bytes are shown as they are. */
	if (mutf7_encode(name, &coded) != FAULT_OK)
		buffer_add_slice(&coded, name);
	struct slice text = buffer_slice(&coded);
	if (is_atom_text(text)) {
		buffer_add_slice(out, text);
	} else {
		buffer_add_byte(out, '"');
		for (size_t i = 0; i < text.len; i++) {
			if (text.data[i] == '"' || text.data[i] == '\\')
				buffer_add_byte(out, '\\');
			buffer_add_byte(out, text.data[i]);
		}
		buffer_add_byte(out, '"');
	}
	buffer_clear(&coded);
}
