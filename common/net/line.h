/* SPDX-License-Identifier: ISC */
/*
 * Finds command lines, and the literals of IMAP, at the front of buffered input.  It owns no bytes:
 * the caller keeps the input (stream_input) and drops what was used.  Splitting the input at any
 * byte changes nothing.
 */
#ifndef NET_LINE_H
#define NET_LINE_H

#include "common/base/slice.h"

struct line_reader {
	size_t max; /* longest line in bytes, CRLF counted */
	bool bare_lf; /* accept LF alone as an end too */
	bool discarding; /* inside a line that is too long */
	size_t scanned; /* bytes at the front that hold no line end */
};

enum line_status {
	LINE_MORE, /* no whole line yet; *used bytes (of a line too long) may be dropped */
	LINE_READY, /* *line is without its end; drop *used bytes after using it */
	LINE_TOO_LONG /* once per line, when its end was found; drop *used bytes */
};

void line_reader_init(struct line_reader *, size_t max);
/* The same reader with another limit (a session that logs in may send longer lines). */
void line_reader_limit(struct line_reader *, size_t max);
/* input: all bytes since the last drop.  The caller drops *used bytes after every call. */
enum line_status line_read(
	struct line_reader *, struct slice input, struct slice *line, size_t *used);

/* RFC 9051 9 literal, RFC 7888 non-synchronising, RFC 3516 literal8. */
struct line_literal {
	uint64_t size; /* bytes that follow the line's CRLF */
	bool synchronising; /* the client waits for "+" */
	bool binary; /* "~{" */
	size_t at; /* where the "{" or "~{" starts in the line */
};

/* True when the line ends in a literal's announcement; false too when its size overflows. */
bool line_find_literal(struct slice line, struct line_literal *);

#endif
