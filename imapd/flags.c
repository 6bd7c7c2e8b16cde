/* SPDX-License-Identifier: ISC */
/* Flags out.  Linked by imapd. */
#include "imapd/flags.h"

static const struct {
	uint32_t flag;
	const char *name;
} system_flags[] = {
	{STORE_ANSWERED, "\\Answered"},
	{STORE_FLAGGED, "\\Flagged"},
	{STORE_DELETED, "\\Deleted"},
	{STORE_SEEN, "\\Seen"},
	{STORE_DRAFT, "\\Draft"},
};

enum { SYSTEM_FLAGS = sizeof system_flags / sizeof *system_flags };

static bool
has_keywords(const struct store_message *m)
{
	uint64_t any = 0;

	for (size_t i = 0; i < sizeof m->keywords.bits / sizeof *m->keywords.bits; i++)
		any |= m->keywords.bits[i];
	return any != 0;
}

void
flag_names_load(struct imap_session *s, const struct store_message *m, struct flag_names *names)
{
	if (names->is_loaded || !has_keywords(m))
		return;
	names->is_loaded = true;
	if (reader_keywords(s->core->reader, s->account, &s->core->scratch, &names->names) !=
		FAULT_OK)
		names->names.count = 0;
	if (names->names.count > s->view.keywords)
		flags_announce(s, &names->names);
}

static void
add_flag(struct buffer *out, bool *first, struct slice name)
{
	if (!*first)
		buffer_add_byte(out, ' ');
	*first = false;
	buffer_add_slice(out, name);
}

void
flags_format(struct imap_session *s, const struct store_message *m, const struct flag_names *names)
{
	bool first = true;

	buffer_add_byte(&s->out, '(');
	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		if ((m->flags & system_flags[i].flag) != 0)
			add_flag(&s->out, &first, slice_text(system_flags[i].name));
	if (m->uid >= s->view.recent_from)
		add_flag(&s->out, &first, SLICE("\\Recent"));
	if (names->is_loaded)
		for (unsigned i = 0; i < names->names.count; i++)
			if (store_keywords_has(&m->keywords, i))
				add_flag(&s->out, &first, names->names.names[i]);
	buffer_add_byte(&s->out, ')');
}

static void
add_all(struct buffer *out, const struct store_keyword_names *names)
{
	bool first = true;

	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		add_flag(out, &first, slice_text(system_flags[i].name));
	for (unsigned i = 0; i < names->count; i++)
		add_flag(out, &first, names->names[i]);
}

void
flags_announce(struct imap_session *s, const struct store_keyword_names *names)
{
	buffer_add_text(&s->out, "* FLAGS (");
	add_all(&s->out, names);
	buffer_add_text(&s->out, ")\r\n* OK [PERMANENTFLAGS (");
	if (!s->view.read_only) {
		add_all(&s->out, names);
		buffer_add_text(&s->out, " \\*");
	}
	buffer_add_text(&s->out, ")] Flags that can be changed.\r\n");
	s->view.keywords = names->count;
}

unsigned
flags_find_keyword(const struct store_keyword_names *names, struct slice name)
{
	for (unsigned i = 0; i < names->count; i++)
		if (slice_equal_nocase(names->names[i], name))
			return i;
	return STORE_KEYWORDS_MAX;
}
