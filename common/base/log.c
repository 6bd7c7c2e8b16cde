/* SPDX-License-Identifier: ISC */
/* Log lines on standard error, with everything unprintable escaped.  Linked by every process. */
#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/ascii.h"

static const char *log_name = "pabal";
static enum log_level log_most = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void
log_open(const char *name, enum log_level most)
{
	log_name = name;
	log_most = most;
}

void
log_set_level(enum log_level most)
{
	log_most = most;
}

bool
log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Copies text with control bytes as \xNN; UTF-8 stays readable.  Returns the length written. */
static size_t
escape_line(char *to, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 5 < size; text++) {
		if (!ascii_is_control(*text))
			to[n++] = *text;
		else
			n += (size_t)snprintf(to + n, size - n, "\\x%02x", (unsigned char)*text);
	}
	return n;
}

static void log_line(enum log_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void
log_line(enum log_level level, const char *format, va_list args)
{
	char text[LOG_LINE_MAX];
	char line[LOG_LINE_MAX + 128];

	if (level > log_most)
		return;
	vsnprintf(text, sizeof text, format, args);
	int head = snprintf(line, 128, "%s: %s: ", log_name, level_names[level]);
	size_t n = head > 0 && head < 128 ? (size_t)head : 0;
	n += escape_line(line + n, sizeof line - 1 - n, text);
	line[n++] = '\n';
	/* One write per line, so that lines of several processes do not mix.  If standard error
	 * is gone there is nobody to tell. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

bool
log_limit_pass(struct log_limit *limit, int64_t mono_ms)
{
	if (limit->lines == 0 || mono_ms - limit->since_ms >= LOG_LIMIT_MS)
		*limit = (struct log_limit){.since_ms = mono_ms};
	if (limit->lines >= LOG_LIMIT_LINES)
		return false;
	limit->lines++;
	return true;
}

#define LOG_BODY(level)                                                                            \
	va_list args;                                                                              \
	va_start(args, format);                                                                    \
	log_line(level, format, args);                                                             \
	va_end(args)

void
log_error(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR);
}

void
log_warning(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_WARNING);
}

void
log_info(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_INFO);
}

void
log_debug(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG);
}

void
log_fatal(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR);
	exit(1);
}
