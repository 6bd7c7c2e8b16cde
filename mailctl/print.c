/* SPDX-License-Identifier: ISC */
/*
 * JSON as text.  An object becomes "name: value" lines, an array of objects a table with the names
 * of its first row as columns, an array of texts one line each.  What a process says in JSON is
 * thus printed whole, and needs no second description here.
 */
#include "mailctl/mailctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS_MAX = 24, CELL_MAX = 512, WIDTH_MAX = 60 };

/* Control bytes could carry terminal codes out of somebody's mail. */
static void
copy_printable(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text != '\0' && n + 1 < size; text++)
		out[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
	out[n] = '\0';
}

static void format_cell(const json_t *value, char *out, size_t size);

static void
format_list(const json_t *list, char *out, size_t size)
{
	size_t index, n = 0;
	json_t *item;

	out[0] = '\0';
	json_array_foreach(list, index, item)
	{
		char cell[CELL_MAX];

		format_cell(item, cell, sizeof cell);
		int len = snprintf(out + n, size - n, "%s%s", index > 0 ? ", " : "", cell);
		if (len < 0 || (size_t)len >= size - n)
			return;
		n += (size_t)len;
	}
}

/* In a cell there is room for what an object is about, and how it is. */
static void
format_object(const json_t *object, char *out, size_t size)
{
	const char *address = json_string_value(json_object_get(object, "address"));
	const char *state = json_string_value(json_object_get(object, "state"));
	char text[CELL_MAX];

	snprintf(text, sizeof text, "%s%s%s%s", address != NULL ? address : "-",
		state != NULL ? " (" : "", state != NULL ? state : "", state != NULL ? ")" : "");
	copy_printable(text, out, size);
}

static void
format_cell(const json_t *value, char *out, size_t size)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		copy_printable(json_string_value(value), out, size);
		return;
	case JSON_INTEGER:
		snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return;
	case JSON_REAL:
		snprintf(out, size, "%g", json_real_value(value));
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
		return;
	case JSON_ARRAY:
		format_list(value, out, size);
		return;
	case JSON_OBJECT:
		format_object(value, out, size);
		return;
	case JSON_NULL:
		snprintf(out, size, "-");
		return;
	}
}

struct table {
	const char *names[COLUMNS_MAX];
	int widths[COLUMNS_MAX];
	size_t count;
};

/* Bytes of a UTF-8 text that begin a character: its width, nearly. */
static int
width_of(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80)
			width++;
	}
	return width;
}

static void
measure(struct table *table, const json_t *rows)
{
	size_t index;
	json_t *row;

	json_array_foreach(rows, index, row)
	{
		for (size_t i = 0; i < table->count; i++) {
			const json_t *value = json_object_get(row, table->names[i]);
			char cell[CELL_MAX] = "";

			if (value != NULL)
				format_cell(value, cell, sizeof cell);
			if (width_of(cell) > table->widths[i])
				table->widths[i] = width_of(cell);
		}
	}
	for (size_t i = 0; i < table->count; i++) {
		if (table->widths[i] > WIDTH_MAX)
			table->widths[i] = WIDTH_MAX;
	}
}

static void
print_padded(const char *cell, int width, bool is_last)
{
	fputs(cell, stdout);
	for (int i = width_of(cell); !is_last && i < width + 2; i++)
		putchar(' ');
}

static void
print_row(const struct table *table, const json_t *row)
{
	for (size_t i = 0; i < table->count; i++) {
		const json_t *value = json_object_get(row, table->names[i]);
		char cell[CELL_MAX] = "-";

		if (value != NULL)
			format_cell(value, cell, sizeof cell);
		print_padded(cell, table->widths[i], i + 1 == table->count);
	}
	putchar('\n');
}

static void
print_table(const json_t *rows)
{
	struct table table = {.count = 0};
	json_t *first = json_array_get(rows, 0), *row;
	const char *name;
	json_t *value;
	size_t index;

	json_object_foreach(first, name, value)
	{
		if (table.count == COLUMNS_MAX)
			break;
		table.names[table.count] = name;
		table.widths[table.count++] = width_of(name);
	}
	measure(&table, rows);
	for (size_t i = 0; i < table.count; i++)
		print_padded(table.names[i], table.widths[i], i + 1 == table.count);
	putchar('\n');
	json_array_foreach(rows, index, row) print_row(&table, row);
}

static bool
is_table(const json_t *value)
{
	return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static void
print_object(const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		char cell[CELL_MAX];

		if (is_table(value) || json_is_object(value))
			continue;
		format_cell(value, cell, sizeof cell);
		printf("%s: %s\n", name, cell);
	}
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (!is_table(value) && !json_is_object(value))
			continue;
		/* A list that is all there is needs no name. */
		if (json_object_size(object) > 1)
			printf("\n%s:\n", name);
		print_json(value);
	}
}

void
print_json(const json_t *value)
{
	char cell[CELL_MAX];
	size_t index;
	json_t *item;

	if (json_is_object(value)) {
		print_object(value);
	} else if (is_table(value)) {
		print_table(value);
	} else if (json_is_array(value) && json_array_size(value) == 0) {
		puts("none");
	} else if (json_is_array(value)) {
		json_array_foreach(value, index, item) print_json(item);
	} else {
		format_cell(value, cell, sizeof cell);
		puts(cell);
	}
}
