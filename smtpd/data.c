/* SPDX-License-Identifier: ISC */
/* Message bytes from the wire.  The same result however the input is split. */
#include "smtpd/data.h"

#include <stdint.h>
#include <string.h>

void
data_init(struct data *d, data_take *take, void *arg)
{
	*d = (struct data){.take = take, .arg = arg};
}

static bool
any_8bit(struct slice s)
{
	uint64_t all = 0, eight;
	size_t i = 0;

	for (; i + sizeof eight <= s.len; i += sizeof eight) {
		memcpy(&eight, s.data + i, sizeof eight);
		all |= eight;
	}
	for (; i < s.len; i++)
		all |= (unsigned char)s.data[i];
	return (all & UINT64_C(0x8080808080808080)) != 0;
}

static void
give(struct data *d, struct slice bytes)
{
	if (bytes.len == 0)
		return;
	d->has_8bit = d->has_8bit || any_8bit(bytes);
	d->bare = d->bare || memchr(bytes.data, '\0', bytes.len) != NULL;
	d->take(d->arg, bytes);
}

/*
 * From at, inside a line: the index behind this line's end, or s.len.  A CR as the very last byte
 * is left for later: the index is then s.len - 1.
 */
static size_t
skip_line(struct data *d, struct slice s, size_t at)
{
	while (at < s.len) {
		const char *lf = memchr(s.data + at, '\n', s.len - at);
		size_t stop = lf != NULL ? (size_t)(lf - s.data) : s.len;
		const char *cr = memchr(s.data + at, '\r', stop - at);
		size_t cr_at = cr != NULL ? (size_t)(cr - s.data) : stop;

		if (cr == NULL && lf == NULL)
			return s.len;
		if (cr != NULL && cr_at + 1 == s.len) {
			d->state = DATA_CR;
			return cr_at;
		}
		if (cr != NULL && cr_at + 1 == stop) {
			d->state = DATA_LINE_START;
			return stop + 1;
		}
		d->bare = true;
		at = cr != NULL ? cr_at + 1 : stop + 1;
	}
	return s.len;
}

/* One byte in a state that looks at single bytes; true when the byte belongs to the message. */
static bool
step_dot(struct data *d, char byte)
{
	switch (d->state) {
	case DATA_LINE_START:
		d->state = byte == '.' ? DATA_DOT : DATA_MIDDLE;
		return byte != '.';
	case DATA_DOT:
		/* The dot was stuffed (RFC 5321 4.5.2), or is the end. */
		d->state = byte == '\r' ? DATA_DOT_CR : DATA_MIDDLE;
		return byte != '\r';
	default:
		d->state = byte == '\n' ? DATA_END : DATA_MIDDLE;
		return byte != '\n';
	}
}

/* The byte behind a CR that was the last of its piece. */
static void
resolve_cr(struct data *d, char byte)
{
	if (byte == '\n') {
		d->state = DATA_LINE_START;
		give(d, SLICE("\r\n"));
		return;
	}
	d->bare = true;
	d->state = DATA_MIDDLE;
	give(d, SLICE("\r"));
}

size_t
data_decode(struct data *d, struct slice s)
{
	size_t at = 0, start = 0; /* [start, at) belongs to the message and is not given yet */

	while (at < s.len && d->state != DATA_END) {
		if (d->state == DATA_MIDDLE) {
			at = skip_line(d, s, at);
			if (d->state != DATA_CR)
				continue;
			give(d, slice_make(s.data + start, at - start));
			return at + 1;
		}
		if (d->state == DATA_CR) {
			resolve_cr(d, s.data[at]);
			at += d->state == DATA_LINE_START;
			start = at;
			continue;
		}
		bool was_dot_cr = d->state == DATA_DOT_CR;
		if (step_dot(d, s.data[at])) {
			if (was_dot_cr) {
				/* ".\rx": the dot was stuffed, and the CR is bare. */
				d->bare = true;
				give(d, SLICE("\r"));
				start = at;
			}
			/* The byte is looked at again as one inside a line. */
			continue;
		}
		give(d, slice_make(s.data + start, at - start));
		start = ++at;
	}
	give(d, slice_make(s.data + start, at - start));
	return at;
}

void
data_pass(struct data *d, struct slice s)
{
	size_t at = 0;

	if (s.len == 0)
		return;
	if (d->state == DATA_CR) {
		resolve_cr(d, s.data[0]);
		at = d->state == DATA_LINE_START;
	}
	s = slice_after(s, at);
	at = 0;
	while (at < s.len) {
		d->state = DATA_MIDDLE;
		at = skip_line(d, s, at);
		if (d->state == DATA_CR)
			break;
	}
	give(d, slice_first(s, at));
}

void
data_finish(struct data *d)
{
	if (d->state != DATA_CR)
		return;
	d->bare = true;
	give(d, SLICE("\r"));
}
