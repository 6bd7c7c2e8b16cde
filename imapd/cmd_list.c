/* SPDX-License-Identifier: ISC */
/*
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9; RFC 5258; RFC 5819; RFC 6154).  All names are gathered in
 * the turn's scratch, matched and written in one go.  Linked by imapd.
 */
#include <stdlib.h>

#include "common/mail/mutf7.h"
#include "common/mail/utf8.h"
#include "imapd/list_match.h"
#include "imapd/session.h"

struct list_entry {
	struct slice name;
	const struct store_mailbox *mailbox; /* NULL: there is none */
	bool is_subscribed;
	bool matches; /* some pattern */
	bool is_selected; /* satisfies the selection options */
	bool has_selected_child, has_hidden_child; /* hidden: selected, but does not match */
};

struct list_names {
	struct list_entry *entries;
	size_t count, size;
	struct list_entry **sorted; /* by name */
	struct slice *patterns; /* joined with the reference, UTF-8 */
	size_t pattern_count;
	struct arena *arena;
	enum fault fault;
};

bool
parse_list(struct imap_command *command, struct cursor *c)
{
	struct list_arguments *list = &command->arguments.list;
	struct arena *arena = &command->arena;

	if (!take_sp(c))
		return false;
	if (peek_byte(c) == '(' && (!take_list_selection(c, &list->selection) || !take_sp(c)))
		return false;
	if (!take_astring(c, arena, &list->reference) || !take_sp(c) ||
		!take_list_patterns(c, arena, list))
		return false;
	return cursor_at_end(c) || (take_sp(c) && take_list_return(c, list));
}

bool
parse_lsub(struct imap_command *command, struct cursor *c)
{
	struct list_arguments *list = &command->arguments.list;
	struct arena *arena = &command->arena;

	list->patterns = arena_array(arena, 1, sizeof *list->patterns);
	list->pattern_count = 1;
	return list->patterns != NULL && take_sp(c) && take_astring(c, arena, &list->reference) &&
		take_sp(c) && take_list_mailbox(c, arena, list->patterns);
}

static struct list_entry *
add_entry(struct list_names *names, struct slice name)
{
	if (names->count == names->size) {
		size_t size = names->size > 0 ? names->size * 2 : 64;
		struct list_entry *entries = arena_array(names->arena, size, sizeof *entries);
		if (entries == NULL) {
			names->fault = FAULT_BUDGET;
			return NULL;
		}
		if (names->count > 0)
			memcpy(entries, names->entries, names->count * sizeof *entries);
		names->entries = entries;
		names->size = size;
	}
	struct list_entry *entry = &names->entries[names->count++];
	*entry = (struct list_entry){.name = name};
	return entry;
}

static int
compare_entries(const void *a, const void *b)
{
	const struct list_entry *const *x = a;
	const struct list_entry *const *y = b;

	return slice_compare((*x)->name, (*y)->name);
}

static void
sort_entries(struct list_names *names)
{
	names->sorted = arena_array(names->arena, names->count + 1, sizeof *names->sorted);
	if (names->sorted == NULL) {
		names->fault = FAULT_BUDGET;
		return;
	}
	for (size_t i = 0; i < names->count; i++)
		names->sorted[i] = &names->entries[i];
	qsort(names->sorted, names->count, sizeof *names->sorted, compare_entries);
}

static struct list_entry *
find_entry(const struct list_names *names, struct slice name)
{
	struct list_entry key = {.name = name};
	const struct list_entry *wanted = &key;

	if (names->sorted == NULL || names->count == 0)
		return NULL;
	struct list_entry **found = bsearch(
		&wanted, names->sorted, names->count, sizeof *names->sorted, compare_entries);
	return found != NULL ? *found : NULL;
}

static enum fault
gather_mailboxes(struct imap_session *s, struct list_names *names)
{
	struct store_mailbox_list all;
	enum fault fault = reader_mailboxes(s->core->reader, s->account, names->arena, &all);

	for (size_t i = 0; fault == FAULT_OK && i < all.count; i++) {
		const struct store_mailbox *m = &all.mailboxes[i];
		struct list_entry *entry = add_entry(names, slice_make(m->name, m->name_len));
		if (entry == NULL)
			return names->fault;
		entry->mailbox = m;
		entry->is_subscribed = m->subscribed;
	}
	return fault;
}

static enum fault
note_name(void *arg, struct slice name)
{
	struct list_names *lost = arg;
	struct slice copy;

	if (!arena_copy(lost->arena, name, &copy) || add_entry(lost, copy) == NULL)
		return FAULT_BUDGET;
	return FAULT_OK;
}

/* A subscribed name without mailbox, and its parents, which may be asked for too. */
static void
add_lost(struct list_names *names, struct slice name)
{
	struct slice parent, last;
	struct list_entry *entry = add_entry(names, name);

	if (entry != NULL)
		entry->is_subscribed = true;
	for (store_name_split(name, &parent, &last); parent.len > 0 && names->fault == FAULT_OK;
		store_name_split(parent, &parent, &last)) {
		bool is_there = find_entry(names, parent) != NULL;
		for (size_t i = 0; i < names->count && !is_there; i++)
			is_there = names->entries[i].mailbox == NULL &&
				slice_equal(names->entries[i].name, parent);
		if (is_there)
			return;
		(void)add_entry(names, parent);
	}
}

/* Subscribed names of mailboxes that are gone (RFC 3501 6.3.9, RFC 5258 3.1). */
static enum fault
gather_lost(struct imap_session *s, struct list_names *names)
{
	struct list_names lost = {.arena = names->arena};
	enum fault fault = reader_subscriptions(s->core->reader, s->account, note_name, &lost);

	sort_entries(names);
	for (size_t i = 0; fault == FAULT_OK && i < lost.count; i++) {
		if (names->fault != FAULT_OK)
			return names->fault;
		if (find_entry(names, lost.entries[i].name) == NULL)
			add_lost(names, lost.entries[i].name);
	}
	/* The entries may have moved, and there may be more of them. */
	sort_entries(names);
	return fault == FAULT_OK ? names->fault : fault;
}

/* Reference and pattern are joined as they are (RFC 3501 6.3.8), then read as modified UTF-7. */
static bool
join_pattern(const struct list_arguments *list, size_t i, struct arena *arena, struct slice *out)
{
	struct buffer joined, utf8;
	bool made;

	buffer_init(&joined, SESSION_COMMAND_MAX);
	buffer_init(&utf8, SESSION_COMMAND_MAX);
	buffer_add_slice(&joined, list->reference);
	buffer_add_slice(&joined, list->patterns[i]);
	made = mutf7_decode(buffer_slice(&joined), &utf8) == FAULT_OK;
	buffer_reset(&joined);
	made = made && utf8_to_nfc(buffer_slice(&utf8), &joined) == FAULT_OK &&
		arena_copy(arena, buffer_slice(&joined), out);
	buffer_clear(&joined);
	buffer_clear(&utf8);
	return made;
}

static size_t
count_wildcards(struct slice pattern)
{
	size_t count = 0;

	for (size_t i = 0; i < pattern.len; i++)
		count += pattern.data[i] == '*' || pattern.data[i] == '%';
	return count;
}

static void
join_patterns(const struct list_arguments *list, struct list_names *names)
{
	names->patterns = arena_array(names->arena, list->pattern_count, sizeof *names->patterns);
	if (names->patterns == NULL) {
		names->fault = FAULT_BUDGET;
		return;
	}
	size_t bytes = 0, wildcards = 0;
	for (size_t i = 0; i < list->pattern_count; i++) {
		struct slice *pattern = &names->patterns[names->pattern_count];
		if (!join_pattern(list, i, names->arena, pattern))
			continue;
		bytes += pattern->len;
		wildcards += count_wildcards(*pattern);
		names->pattern_count++;
	}
	if (bytes > LIST_PATTERNS_BYTES_MAX || wildcards > LIST_WILDCARDS_MAX)
		names->fault = FAULT_LIMIT;
}

static bool
matches_any(const struct list_names *names, struct slice name)
{
	for (size_t i = 0; i < names->pattern_count; i++)
		if (list_match(names->patterns[i], name))
			return true;
	return false;
}

static bool
is_selected(const struct list_entry *entry, unsigned selection)
{
	const struct store_mailbox *m = entry->mailbox;

	if ((selection & LIST_SUBSCRIBED) != 0 ? !entry->is_subscribed : m == NULL)
		return false;
	if ((selection & LIST_SPECIAL_USE) != 0)
		return m != NULL && m->special_use != STORE_USE_NONE;
	return true;
}

/* Tells the parents of a selected name about it (RFC 5258 3.5). */
static void
mark_parents(const struct list_names *names, const struct list_entry *child)
{
	struct slice parent, last;

	for (store_name_split(child->name, &parent, &last); parent.len > 0;
		store_name_split(parent, &parent, &last)) {
		struct list_entry *entry = find_entry(names, parent);
		if (entry == NULL)
			continue;
		entry->has_selected_child = true;
		entry->has_hidden_child |= !child->matches;
	}
}

static void
select_entries(struct list_names *names, unsigned selection)
{
	for (size_t i = 0; i < names->count; i++) {
		struct list_entry *entry = &names->entries[i];
		entry->matches = matches_any(names, entry->name);
		entry->is_selected = is_selected(entry, selection);
	}
	for (size_t i = 0; i < names->count; i++)
		if (names->entries[i].is_selected)
			mark_parents(names, &names->entries[i]);
}

/* Everything that LIST and LSUB look at; false when the reply has been given. */
static bool
gather(struct imap_session *s, struct list_names *names, unsigned selection)
{
	enum fault fault = reader_begin(s->core->reader);

	if (fault == FAULT_OK) {
		fault = gather_mailboxes(s, names);
		if (fault == FAULT_OK)
			fault = gather_lost(s, names);
		reader_end(s->core->reader);
	}
	if (fault == FAULT_OK) {
		join_patterns(&s->command.arguments.list, names);
		fault = names->fault;
	}
	if (fault == FAULT_OK)
		select_entries(names, selection);
	else
		session_finish_fault(s, fault == FAULT_NOT_FOUND ? FAULT_IO : fault);
	return fault == FAULT_OK;
}

static void
add_attribute(struct buffer *out, bool *first, const char *attribute)
{
	if (!*first)
		buffer_add_byte(out, ' ');
	*first = false;
	buffer_add_text(out, attribute);
}

static void
write_attributes(const struct list_entry *entry, unsigned options, struct buffer *out)
{
	const struct store_mailbox *m = entry->mailbox;
	bool first = true;

	buffer_add_byte(out, '(');
	if (m == NULL)
		add_attribute(out, &first, "\\NonExistent");
	else if (m->noselect)
		add_attribute(out, &first, "\\Noselect");
	add_attribute(
		out, &first, m != NULL && m->has_children ? "\\HasChildren" : "\\HasNoChildren");
	if ((options & LIST_SUBSCRIBED) != 0 && entry->is_subscribed)
		add_attribute(out, &first, "\\Subscribed");
	if (m != NULL && m->special_use != STORE_USE_NONE)
		add_attribute(out, &first, store_special_use_text(m->special_use));
	buffer_add_byte(out, ')');
}

static void
write_entry(struct imap_session *s, const struct list_entry *entry)
{
	const struct list_arguments *list = &s->command.arguments.list;
	bool tells_child =
		(list->selection & LIST_RECURSIVEMATCH) != 0 && entry->has_selected_child;

	buffer_add_text(&s->out, "* LIST ");
	write_attributes(entry, list->selection | list->returns, &s->out);
	buffer_add_text(&s->out, " \"/\" ");
	mailbox_name_format(entry->name, &s->out);
	if (tells_child)
		buffer_add_text(&s->out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	buffer_add_text(&s->out, "\r\n");
	/* RFC 5819 2: only for what can be selected and was asked for itself. */
	if ((list->returns & LIST_STATUS) != 0 && entry->is_selected && entry->mailbox != NULL &&
		!entry->mailbox->noselect)
		status_format(entry->mailbox, list->status_items, &s->out);
}

static bool
is_listed(const struct list_entry *entry, unsigned selection)
{
	if (!entry->matches)
		return false;
	return entry->is_selected ||
		((selection & LIST_RECURSIVEMATCH) != 0 && entry->has_hidden_child);
}

/* LIST "" "" asks for the delimiter and the root (RFC 3501 6.3.8). */
static bool
asks_for_root(const struct list_arguments *list)
{
	return list->pattern_count == 1 && list->patterns[0].len == 0;
}

static void
write_root(struct imap_session *s, const char *name)
{
	buffer_printf(&s->out, "* %s (\\Noselect) \"/\" \"\"\r\n", name);
	session_finish(s, REPLY_DONE);
}

void
cmd_list(struct imap_session *s)
{
	const struct list_arguments *list = &s->command.arguments.list;
	struct list_names names = {.arena = &s->core->scratch};

	if (asks_for_root(list)) {
		write_root(s, "LIST");
		return;
	}
	if (gather(s, &names, list->selection)) {
		for (size_t i = 0; i < names.count; i++)
			if (is_listed(&names.entries[i], list->selection))
				write_entry(s, &names.entries[i]);
		session_finish(s, REPLY_DONE);
	}
	arena_clear(&s->core->scratch);
}

static bool
ends_in_percent(const struct list_names *names)
{
	return names->pattern_count > 0 && names->patterns[0].len > 0 &&
		names->patterns[0].data[names->patterns[0].len - 1] == '%';
}

/*
 * RFC 3501 6.3.9: with "%", a name that is not subscribed stands for the subscribed ones below it,
 * as \Noselect.
 */
static void
write_lsub(struct imap_session *s, const struct list_names *names)
{
	bool shows_parents = ends_in_percent(names);

	for (size_t i = 0; i < names->count; i++) {
		const struct list_entry *entry = &names->entries[i];
		bool is_parent = shows_parents && entry->has_hidden_child;
		if (!entry->matches || (!entry->is_subscribed && !is_parent))
			continue;
		buffer_add_text(&s->out, "* LSUB (");
		if (!entry->is_subscribed)
			buffer_add_text(&s->out, "\\Noselect");
		buffer_add_text(&s->out, ") \"/\" ");
		mailbox_name_format(entry->name, &s->out);
		buffer_add_text(&s->out, "\r\n");
	}
}

void
cmd_lsub(struct imap_session *s)
{
	struct list_names names = {.arena = &s->core->scratch};

	if (asks_for_root(&s->command.arguments.list)) {
		write_root(s, "LSUB");
		return;
	}
	if (gather(s, &names, LIST_SUBSCRIBED)) {
		write_lsub(s, &names);
		session_finish(s, REPLY_DONE);
	}
	arena_clear(&s->core->scratch);
}
