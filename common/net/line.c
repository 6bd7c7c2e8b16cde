/* SPDX-License-Identifier: ISC */
/* Command lines and literals in bytes of untrusted clients.  Linked by smtpd, imapd, pop3d, relayd.
 */
#include "common/net/line.h"

#include <string.h>

#include "common/base/cursor.h"

void
line_reader_init(struct line_reader *r, size_t max)
{
	*r = (struct line_reader){.max = max};
}

void
line_reader_limit(struct line_reader *r, size_t max)
{
	r->max = max;
}

/* The index just behind the first line end at or after from, or 0 when there is none. */
static size_t
find_end(const struct line_reader *r, struct slice input, size_t from)
{
	while (from < input.len) {
		const char *lf = memchr(input.data + from, '\n', input.len - from);

		if (lf == NULL)
			return 0;
		size_t at = (size_t)(lf - input.data);
		if (r->bare_lf || (at > 0 && input.data[at - 1] == '\r'))
			return at + 1;
		from = at + 1;
	}
	return 0;
}

static size_t
without_end(struct slice input, size_t end)
{
	end--;
	return end > 0 && input.data[end - 1] == '\r' ? end - 1 : end;
}

/* No end in sight: remember what was looked at, or give up a line that is too long. */
static enum line_status
wait_for_more(struct line_reader *r, struct slice input, size_t *used)
{
	if (!r->discarding && input.len < r->max) {
		r->scanned = input.len;
		return LINE_MORE;
	}
	r->discarding = true;
	r->scanned = 0;
	/* A CR at the end may be half of the CRLF that ends the line. */
	*used = input.len > 0 && input.data[input.len - 1] == '\r' ? input.len - 1 : input.len;
	return LINE_MORE;
}

enum line_status
line_read(struct line_reader *r, struct slice input, struct slice *line, size_t *used)
{
	size_t end = find_end(r, input, r->scanned < input.len ? r->scanned : input.len);

	*used = 0;
	if (end == 0)
		return wait_for_more(r, input, used);
	bool too_long = r->discarding || end > r->max;
	*used = end;
	r->discarding = false;
	r->scanned = 0;
	if (too_long)
		return LINE_TOO_LONG;
	*line = slice_make(input.data, without_end(input, end));
	return LINE_READY;
}

bool
line_find_literal(struct slice line, struct line_literal *literal)
{
	size_t open = slice_find_last(line, '{');
	struct line_literal found = {.synchronising = true, .at = open};

	if (open == line.len)
		return false;
	struct cursor c = cursor_of(slice_after(line, open + 1));
	if (!take_u64(&c, UINT64_MAX, &found.size))
		return false;
	if (take_byte(&c, '+'))
		found.synchronising = false;
	if (!take_byte(&c, '}') || !cursor_at_end(&c))
		return false;
	if (open > 0 && line.data[open - 1] == '~') {
		found.binary = true;
		found.at = open - 1;
	}
	*literal = found;
	return true;
}
