/* SPDX-License-Identifier: ISC */
/*
 * RFC 1939 3: a line that begins with the termination octet is byte-stuffed.  A line begins after
 * CRLF; here also after a bare LF, which many clients take for a line end: for them an unstuffed
 * dot would end the message early and make commands' replies out of somebody's mail.
 */
#include "pop3d/dots.h"

#include <string.h>

void
dots_init(struct dots *d, int64_t body_lines)
{
	*d = (struct dots){.lines_left = body_lines, .last = '\n', .before_last = '\r'};
}

/* What the line feed that was just read ends: the header, or a line of the body. */
static bool
end_line(struct dots *d)
{
	bool was_empty = !d->in_line || d->only_cr;

	d->in_line = false;
	d->only_cr = false;
	if (!d->in_body) {
		d->in_body = was_empty;
		return !d->in_body || d->lines_left != 0;
	}
	if (d->lines_left > 0)
		d->lines_left--;
	return d->lines_left != 0;
}

static void
remember_end(struct dots *d, struct slice run)
{
	if (run.len == 0)
		return;
	d->before_last = run.len > 1 ? run.data[run.len - 2] : d->last;
	d->last = run.data[run.len - 1];
}

bool
dots_add(struct dots *d, struct slice bytes, struct buffer *out)
{
	struct slice rest = bytes;
	bool more = true;

	while (rest.len > 0 && more) {
		size_t end = slice_find_byte(rest, '\n');
		bool is_whole = end < rest.len;
		size_t len = is_whole ? end + 1 : rest.len;

		if (!d->in_line && rest.data[0] == '.')
			buffer_add_byte(out, '.');
		buffer_add(out, rest.data, len);
		if (end > 0) {
			d->only_cr = !d->in_line && end == 1 && rest.data[0] == '\r';
			d->in_line = true;
		}
		if (is_whole)
			more = end_line(d);
		rest = slice_after(rest, len);
	}
	remember_end(d, slice_first(bytes, bytes.len - rest.len));
	return more;
}

void
dots_end(const struct dots *d, struct buffer *out)
{
	if (d->before_last != '\r' || d->last != '\n')
		buffer_add_text(out, "\r\n");
	buffer_add_text(out, ".\r\n");
}
