/* SPDX-License-Identifier: ISC */
/*
 * Base subjects.  Linked by imapd; trusts no byte.  The steps are numbered as in RFC 5256 2.1; the
 * text is decoded and folded first, so that only lower-case markers have to be known.
 */
#include "common/mail/subject.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/encoded_word.h"
#include "common/mail/utf8.h"

/* Longer ones are cut: taking blobs off one by one costs the square of their number. */
enum { SUBJECT_MAX = 2000 };

static bool
is_blob_byte(char c)
{
	return c != '[' && c != ']';
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP */
static bool
take_blob(struct cursor *c)
{
	struct cursor probe = *c;

	if (!take_byte(&probe, '['))
		return false;
	take_run(&probe, is_blob_byte);
	if (!take_byte(&probe, ']'))
		return false;
	take_run(&probe, ascii_is_space);
	*c = probe;
	return true;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool
take_refwd(struct cursor *c)
{
	struct cursor probe = *c;

	if (!take_text(&probe, SLICE("re")) && !take_text(&probe, SLICE("fwd")) &&
		!take_text(&probe, SLICE("fw")))
		return false;
	take_run(&probe, ascii_is_space);
	take_blob(&probe);
	if (!take_byte(&probe, ':'))
		return false;
	*c = probe;
	return true;
}

/* subj-leader = (*subj-blob subj-refwd) / WSP */
static bool
take_leader(struct cursor *c, bool *is_reply)
{
	struct cursor probe = *c;

	if (take_run(&probe, ascii_is_space).len > 0) {
		*c = probe;
		return true;
	}
	while (take_blob(&probe))
		;
	if (!take_refwd(&probe))
		return false;
	*is_reply = true;
	*c = probe;
	return true;
}

/* Step 2: subj-trailer = "(fwd)" / WSP, as often as they come. */
static struct slice
without_trailers(struct slice s, bool *is_reply)
{
	for (;;) {
		s = slice_trim(s);
		if (!slice_ends_nocase(s, SLICE("(fwd)")))
			return s;
		*is_reply = true;
		s.len -= 5;
	}
}

/* Steps 3 to 5. */
static struct slice
without_leaders(struct slice s, bool *is_reply)
{
	struct cursor c = cursor_of(s);

	for (;;) {
		if (take_leader(&c, is_reply))
			continue;
		/* Step 4: a blob goes only while something is left behind it. */
		struct cursor probe = c;
		if (!take_blob(&probe) || cursor_at_end(&probe))
			return c.rest;
		c = probe;
	}
}

/* Step 6: "[fwd: " text "]", and then all over again. */
static struct slice
base_of(struct slice s, bool *is_reply)
{
	for (;;) {
		s = without_leaders(without_trailers(s, is_reply), is_reply);
		if (!slice_starts(s, SLICE("[fwd:")) || s.data[s.len - 1] != ']')
			return s;
		*is_reply = true;
		s = slice_make(s.data + 5, s.len - 6);
	}
}

/* Step 1: runs of white space are one space. */
static void
add_collapsed(struct buffer *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool is_space = ascii_is_space(s.data[i]);
		if (!is_space || i == 0 || !ascii_is_space(s.data[i - 1]))
			buffer_add_byte(out, is_space ? ' ' : s.data[i]);
	}
}

enum fault
subject_extract_base(struct slice value, struct buffer *out, bool *is_reply)
{
	struct buffer text, folded;
	bool replied = false;

	buffer_init(&text, out->cap);
	buffer_init(&folded, out->cap);
	enum fault fault = encoded_word_decode(utf8_first(value, SUBJECT_MAX), &text);
	if (fault == FAULT_OK)
		fault = utf8_fold(buffer_slice(&text), &folded);
	buffer_reset(&text);
	add_collapsed(&text, buffer_slice(&folded));
	if (fault == FAULT_OK)
		fault = buffer_fault(&text);
	if (fault == FAULT_OK) {
		buffer_add_slice(out, base_of(buffer_slice(&text), &replied));
		fault = buffer_fault(out);
	}
	if (is_reply != NULL)
		*is_reply = replied;
	buffer_clear(&text);
	buffer_clear(&folded);
	return fault;
}
