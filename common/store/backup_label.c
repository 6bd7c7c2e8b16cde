/* SPDX-License-Identifier: ISC */
#include "common/store/backup_label.h"

#include <sodium.h>
#include <string.h>

#include "common/base/cursor.h"

enum { VERSION = 1, CHAIN_HEX = 2 * JOURNAL_CHAIN_SIZE };

bool
backup_points_equal(const struct journal_point *a, const struct journal_point *b)
{
	return a->sequence == b->sequence && a->tail.segment == b->tail.segment &&
		a->tail.length == b->tail.length &&
		memcmp(a->chain, b->chain, sizeof(a->chain)) == 0;
}

static void
point_format(struct buffer *b, const char *name, const struct journal_point *p)
{
	char hex[CHAIN_HEX + 1];

	sodium_bin2hex(hex, sizeof(hex), p->chain, sizeof(p->chain));
	buffer_printf(b, "# %s %llu %u %llu %s\n", name, (unsigned long long)p->sequence,
		p->tail.segment, (unsigned long long)p->tail.length, hex);
}

void
backup_label_format(struct buffer *b, const struct backup_label *l)
{
	buffer_printf(b, "# " BACKUP_LABEL " %d\n# store %llu\n# taken %lld\n", VERSION,
		(unsigned long long)l->store, (long long)l->taken_at);
	point_format(b, "since", &l->since);
	point_format(b, "until", &l->until);
	if (l->segments.count == 0)
		return;
	buffer_add_text(b, "# segments");
	for (size_t i = 0; i < l->segments.count; i++)
		buffer_printf(b, " %u", l->segments.at[i]);
	buffer_add_text(b, "\n");
}

/* The next word of a line. */
static struct slice
word_take(struct slice *line)
{
	size_t begin = 0, end;

	while (begin < line->len && line->data[begin] == ' ')
		begin++;
	for (end = begin; end < line->len && line->data[end] != ' '; end++)
		continue;
	struct slice word = slice_make(line->data + begin, end - begin);
	*line = slice_after(*line, end);
	return word;
}

static bool
number_take(struct slice *line, uint64_t max, uint64_t *value)
{
	return slice_parse_u64(word_take(line), max, value);
}

static bool
point_parse(struct slice line, struct journal_point *p)
{
	uint64_t segment;
	size_t len = 0;

	if (!number_take(&line, UINT64_MAX, &p->sequence) ||
		!number_take(&line, UINT32_MAX, &segment) ||
		!number_take(&line, INT64_MAX, &p->tail.length))
		return false;
	p->tail.segment = (uint32_t)segment;
	struct slice hex = word_take(&line);
	return hex.len == CHAIN_HEX &&
		sodium_hex2bin(p->chain, sizeof(p->chain), hex.data, hex.len, NULL, &len, NULL) ==
		0 &&
		len == sizeof(p->chain);
}

static enum fault
segments_parse(struct slice line, struct backup_list *list)
{
	uint64_t segment;
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && number_take(&line, UINT32_MAX, &segment))
		fault = backup_list_add(list, (uint32_t)segment);
	return fault;
}

static enum fault
line_parse(struct slice line, struct backup_label *l, bool *known)
{
	struct slice name = word_take(&line);
	uint64_t value = 0;
	bool good = true;

	if (slice_equal(name, SLICE(BACKUP_LABEL))) {
		good = number_take(&line, UINT32_MAX, &value);
		*known = good;
		if (good && value > VERSION)
			return FAULT_UNSUPPORTED;
	} else if (slice_equal(name, SLICE("store"))) {
		good = number_take(&line, UINT64_MAX, &l->store);
	} else if (slice_equal(name, SLICE("taken"))) {
		good = number_take(&line, INT64_MAX, &value);
		l->taken_at = (int64_t)value;
	} else if (slice_equal(name, SLICE("since"))) {
		good = point_parse(line, &l->since);
	} else if (slice_equal(name, SLICE("until"))) {
		good = point_parse(line, &l->until);
	} else if (slice_equal(name, SLICE("segments"))) {
		return segments_parse(line, &l->segments);
	}
	return good ? FAULT_OK : FAULT_DAMAGED;
}

enum fault
backup_label_parse(struct slice text, struct backup_label *l)
{
	bool known = false;
	enum fault fault = FAULT_OK;

	*l = (struct backup_label){.store = 0};
	while (fault == FAULT_OK && text.len > 2 && text.data[0] == '#') {
		const char *end = memchr(text.data, '\n', text.len);
		size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
		fault = line_parse(slice_after(slice_first(text, len), 2), l, &known);
		text = slice_after(text, end != NULL ? len + 1 : len);
	}
	return fault == FAULT_OK && (!known || l->store == 0) ? FAULT_DAMAGED : fault;
}
