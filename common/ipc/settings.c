/* SPDX-License-Identifier: ISC */
/* Reading and writing settings by their table.  Linked by every process. */
#include "common/ipc/settings.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/base/cursor.h"

#define COUNT SETTING_COUNT
#define SIZE SETTING_SIZE
#define TIME SETTING_TIME
#define FLAG SETTING_FLAG
#define TEXT_ROW(name, preset) {#name, SETTING_TEXT, preset, 0, 0, 0},
#define NUMBER_ROW(name, kind, preset, min, max) {#name, kind, NULL, preset, min, max},
static struct setting rows[] = {SETTINGS(TEXT_ROW, NUMBER_ROW)};

#define TEXT_OFFSET(name, preset) offsetof(struct settings, name),
#define NUMBER_OFFSET(name, kind, preset, min, max) offsetof(struct settings, name),
static const size_t offsets[] = {SETTINGS(TEXT_OFFSET, NUMBER_OFFSET)};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], NAME_SIZE = 40 };

static char dashed[ROW_COUNT][NAME_SIZE];

static const struct {
	const char *suffix;
	int64_t factor;
	enum setting_kind kind;
} units[] = {
	{"d", 86400000, SETTING_TIME},
	{"h", 3600000, SETTING_TIME},
	{"m", 60000, SETTING_TIME},
	{"s", 1000, SETTING_TIME},
	{"ms", 1, SETTING_TIME},
	{"G", 1073741824, SETTING_SIZE},
	{"M", 1048576, SETTING_SIZE},
	{"K", 1024, SETTING_SIZE},
};

enum { UNIT_COUNT = sizeof units / sizeof units[0] };

/* The C names have '_', people write '-'. */
static void
dash_names(void)
{
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		size_t n = 0;
		for (const char *p = rows[i].name; *p != '\0' && n + 1 < NAME_SIZE; p++)
			dashed[i][n++] = *p == '_' ? '-' : *p;
		rows[i].name = dashed[i];
	}
}

unsigned
setting_count(void)
{
	return ROW_COUNT;
}

const struct setting *
setting_row(unsigned index)
{
	if (dashed[0][0] == '\0')
		dash_names();
	return &rows[index];
}

static void *
setting_at(struct settings *s, unsigned index)
{
	return (char *)s + offsets[index];
}

static enum fault
set_text(struct settings *s, unsigned index, struct slice value)
{
	char *copy = slice_dup(value);
	char **at = setting_at(s, index);

	if (copy == NULL)
		return FAULT_NOMEM;
	free(*at);
	*at = copy;
	return FAULT_OK;
}

bool
settings_init(struct settings *s)
{
	*s = (struct settings){0};
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		if (setting_row(i)->kind != SETTING_TEXT) {
			*(int64_t *)setting_at(s, i) = rows[i].preset;
		} else if (set_text(s, i, slice_text(rows[i].preset_text)) != FAULT_OK) {
			settings_clear(s);
			return false;
		}
	}
	return true;
}

void
settings_clear(struct settings *s)
{
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		if (setting_row(i)->kind == SETTING_TEXT)
			free(*(char **)setting_at(s, i));
	}
	*s = (struct settings){0};
}

/* A number and, for sizes and times, its unit. */
static bool
take_amount(struct cursor *c, enum setting_kind kind, int64_t *value)
{
	uint64_t number;

	if (!take_u64(c, INT64_MAX, &number))
		return false;
	*value = (int64_t)number;
	if (cursor_at_end(c))
		return kind != SETTING_TIME || number == 0;
	for (unsigned i = 0; i < UNIT_COUNT; i++) {
		if (units[i].kind == kind && slice_equal(c->rest, slice_text(units[i].suffix)))
			return !__builtin_mul_overflow(*value, units[i].factor, value);
	}
	return false;
}

static enum fault
set_number(struct settings *s, unsigned index, struct slice value)
{
	const struct setting *row = setting_row(index);
	struct cursor c = cursor_of(value);
	int64_t number;

	if (row->kind == SETTING_FLAG) {
		if (slice_equal(value, SLICE("yes")))
			number = 1;
		else if (slice_equal(value, SLICE("no")))
			number = 0;
		else
			return FAULT_SYNTAX;
	} else if (!take_amount(&c, row->kind, &number)) {
		return FAULT_SYNTAX;
	}
	if (number < row->min || number > row->max)
		return FAULT_LIMIT;
	*(int64_t *)setting_at(s, index) = number;
	return FAULT_OK;
}

enum fault
settings_set(struct settings *s, struct slice name, struct slice value)
{
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		const struct setting *row = setting_row(i);
		if (!slice_equal(name, slice_text(row->name)))
			continue;
		return row->kind == SETTING_TEXT ? set_text(s, i, value) : set_number(s, i, value);
	}
	return FAULT_NOT_FOUND;
}

void
settings_format(const struct settings *s, unsigned index, struct buffer *out)
{
	const struct setting *row = setting_row(index);
	const void *at = (const char *)s + offsets[index];

	if (row->kind == SETTING_TEXT) {
		buffer_add_text(out, *(char *const *)at);
		return;
	}
	int64_t value = *(const int64_t *)at;
	if (row->kind == SETTING_FLAG) {
		buffer_add_text(out, value != 0 ? "yes" : "no");
		return;
	}
	/* The largest unit that divides it; the tables above run from large to small. */
	for (unsigned i = 0; i < UNIT_COUNT; i++) {
		if (units[i].kind != row->kind || value == 0 || value % units[i].factor != 0)
			continue;
		buffer_add_u64(out, (uint64_t)(value / units[i].factor));
		buffer_add_text(out, units[i].suffix);
		return;
	}
	buffer_add_u64(out, (uint64_t)value);
}
