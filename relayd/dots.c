/* SPDX-License-Identifier: ISC */
/* Dot-stuffing, in relayd. */
#include "relayd/dots.h"

/* One line or the rest of the piece, with the LF if there is one. */
static struct slice
next_line(struct slice in)
{
	size_t end = slice_find_byte(in, '\n');

	return slice_first(in, end < in.len ? end + 1 : in.len);
}

static bool
ends_bare(const struct dots *d, struct slice line)
{
	if (line.data[line.len - 1] != '\n')
		return false;
	return line.len >= 2 ? line.data[line.len - 2] != '\r' : !d->after_cr;
}

void
dots_add(struct dots *d, struct slice in, struct buffer *out)
{
	while (in.len > 0) {
		struct slice line = next_line(in);
		char last = line.data[line.len - 1];

		if (!d->in_line && line.data[0] == '.')
			buffer_add_byte(out, '.');
		if (ends_bare(d, line)) {
			buffer_add_slice(out, slice_first(line, line.len - 1));
			buffer_add_text(out, "\r\n");
		} else {
			buffer_add_slice(out, line);
		}
		d->in_line = last != '\n';
		d->after_cr = last == '\r';
		in = slice_after(in, line.len);
	}
}

void
dots_finish(struct dots *d, struct buffer *out)
{
	if (d->in_line)
		buffer_add_text(out, d->after_cr ? "\n" : "\r\n");
	buffer_add_text(out, ".\r\n");
}
