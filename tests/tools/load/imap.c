/* SPDX-License-Identifier: ISC */
/* Owns the client's half of IMAP: tags, literals in answers, the waits. */
#include "tests/tools/load/imap.h"

/* The length of the literal that the line announces at its end; false without one. */
static bool
literal_at_end(struct slice line, uint64_t *len)
{
	size_t open = slice_find_last(line, '{');

	if (line.len < 3 || line.data[line.len - 1] != '}' || open == line.len)
		return false;
	return slice_parse_u64(
		slice_make(line.data + open + 1, line.len - open - 2), UINT32_MAX, len);
}

/* Reads to the tagged answer, which must be OK. */
static struct imap_answer
take_answer(struct connection *c)
{
	struct imap_answer answer = {0};

	for (;;) {
		struct slice line = connection_line(c);
		struct cursor rest = cursor_of(line);
		uint64_t len, tag;

		answer.untagged += slice_starts(line, SLICE("* "));
		if (literal_at_end(line, &len)) {
			connection_skip(c, len);
			answer.bytes += len;
			continue;
		}
		if (take_byte(&rest, 'a') && take_u64(&rest, UINT32_MAX, &tag) && tag == c->tag) {
			if (!take_text(&rest, SLICE(" OK")))
				load_die("IMAP: %" SLICE_FMT, SLICE_ARG(line));
			return answer;
		}
	}
}

struct imap_answer
imap_run(struct connection *c, const char *command)
{
	connection_printf(c, "a%u %s\r\n", ++c->tag, command);
	return take_answer(c);
}

void
imap_open(struct connection *c, const struct load *load, unsigned port, const struct account *a)
{
	connection_open(c, load, port);
	(void)connection_line(c);
	connection_printf(c, "a%u LOGIN \"%s\" \"%s\"\r\n", ++c->tag, a->address, a->password);
	(void)take_answer(c);
}

void
imap_close(struct connection *c)
{
	(void)imap_run(c, "LOGOUT");
	connection_close(c);
}

/* With a non-synchronising literal (RFC 7888), as mail clients do. */
void
imap_append(struct connection *c, const char *mailbox, struct slice message)
{
	connection_printf(c, "a%u APPEND %s (\\Seen) {%zu+}\r\n", ++c->tag, mailbox, message.len);
	connection_send(c, message);
	connection_send(c, SLICE("\r\n"));
	(void)take_answer(c);
}

uint64_t
imap_status_messages(struct connection *c)
{
	const struct slice name = SLICE("MESSAGES ");
	uint64_t count = UINT64_MAX;

	connection_printf(c, "a%u STATUS INBOX (MESSAGES)\r\n", ++c->tag);
	while (count == UINT64_MAX) {
		struct slice line = connection_line(c);
		struct cursor rest = cursor_of(slice_after(line, slice_find(line, name)));

		if (take_text(&rest, name) && take_u64(&rest, UINT32_MAX, &count))
			break;
		if (!slice_starts(line, SLICE("* ")))
			load_die("STATUS: %" SLICE_FMT, SLICE_ARG(line));
	}
	(void)take_answer(c);
	return count;
}

void
imap_idle(struct connection *c)
{
	connection_printf(c, "a%u IDLE\r\n", ++c->tag);
	while (!slice_starts(connection_line(c), SLICE("+")))
		;
}

void
imap_wait_exists(struct connection *c)
{
	struct slice line;

	do
		line = connection_line(c);
	while (!slice_ends_nocase(line, SLICE(" EXISTS")));
}
