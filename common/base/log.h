/* SPDX-License-Identifier: ISC */
/*
 * One line per event on standard error (the journal adds time and unit): "smtpd: warning: ...".
 * Control bytes in a line are shown as \xNN, so that a peer's text cannot forge
 * lines or terminal codes.  Lines are cut at LOG_LINE_MAX bytes.  Never pass a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum { LOG_LINE_MAX = 2048 };

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* name: static, for example "smtpd" or "smtpd/1". */
void log_open(const char *name, enum log_level most);
/* Changes how much is logged. */
void log_set_level(enum log_level most);
bool log_level_parse(const char *text, enum log_level *level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * For lines that may repeat at any rate: some at once, no more than LOG_LIMIT_LINES a minute.  Zero
 * at first.  False: not now.
 */
enum { LOG_LIMIT_LINES = 10, LOG_LIMIT_MS = 60000 };
struct log_limit {
	int64_t since_ms;
	unsigned lines;
};
bool log_limit_pass(struct log_limit *, int64_t mono_ms);

/* Logs and exits with status 1: for faults at start-up only, never for a peer's bytes. */
_Noreturn void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
