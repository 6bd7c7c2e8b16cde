/* SPDX-License-Identifier: ISC */
/*
 * SASLprep (RFC 4013) over libunistring.  Runs in authd.  A deviation: the RFC's Unicode 3.2 table
 * of unassigned characters is not applied, or newer scripts and symbols could not be used.
 */
#include "authd/saslprep.h"

#include <stdlib.h>
#include <unictype.h>
#include <uninorm.h>

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/utf8.h"

struct range {
	uint32_t first, last;
};

/* RFC 3454 C.1.2: become a space. */
static const struct range spaces[] = {{0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200b},
	{0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0, 0}};

/* RFC 3454 B.1: vanish. */
static const struct range nothing[] = {{0xad, 0xad}, {0x34f, 0x34f}, {0x1806, 0x1806},
	{0x180b, 0x180d}, {0x200c, 0x200d}, {0x2060, 0x2060}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
	{0, 0}};

/* RFC 3454 C.1.2 and C.2.1 to C.9, as RFC 4013 2.3 lists them; what UTF-8 cannot say is left out.
 */
static const struct range prohibited[] = {{0x01, 0x1f}, {0x7f, 0xa0}, {0x340, 0x341},
	{0x6dd, 0x6dd}, {0x70f, 0x70f}, {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f},
	{0x2028, 0x202f}, {0x205f, 0x2063}, {0x206a, 0x206f}, {0x2ff0, 0x2ffb}, {0x3000, 0x3000},
	{0xe000, 0xf8ff}, {0xfdd0, 0xfdef}, {0xfeff, 0xfeff}, {0xfff9, 0xffff}, {0x1d173, 0x1d17a},
	{0xe0001, 0xe0001}, {0xe0020, 0xe007f}, {0xf0000, 0xfffff}, {0x100000, 0x10ffff}, {0, 0}};

static bool
is_in(const struct range *ranges, uint32_t c)
{
	for (; ranges->last != 0; ranges++)
		if (c >= ranges->first && c <= ranges->last)
			return true;
	return false;
}

static bool
is_prohibited(uint32_t c)
{
	/* The last two of every plane are no characters. */
	return c == 0 || (c & 0xfffe) == 0xfffe || is_in(prohibited, c);
}

static bool
is_printable_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_graphic(s.data[i]) && s.data[i] != ' ')
			return false;
	return true;
}

/* RFC 4013 2.1 */
static enum fault
map(struct slice in, struct buffer *out)
{
	struct cursor c = cursor_of(in);
	uint32_t code;

	while (take_utf8(&c, &code)) {
		if (is_in(spaces, code))
			buffer_add_byte(out, ' ');
		else if (!is_in(nothing, code))
			utf8_add(out, code);
	}
	return cursor_at_end(&c) ? buffer_fault(out) : FAULT_SYNTAX;
}

struct directions {
	bool right, left, first_right, last_right;
};

/* RFC 4013 2.3, and what 2.4 needs to know. */
static bool
look(struct slice text, struct directions *d)
{
	struct cursor c = cursor_of(text);
	uint32_t code;

	for (bool first = true; take_utf8(&c, &code); first = false) {
		int category = uc_bidi_category(code);
		if (is_prohibited(code))
			return false;
		d->last_right = category == UC_BIDI_R || category == UC_BIDI_AL;
		d->right |= d->last_right;
		d->left |= category == UC_BIDI_L;
		if (first)
			d->first_right = d->last_right;
	}
	return cursor_at_end(&c);
}

static enum fault
check_and_set(struct slice text, struct secret *prepared)
{
	struct directions d = {0};

	if (text.len == 0 || !look(text, &d))
		return FAULT_SYNTAX;
	/* RFC 3454 6: right-to-left text has no left-to-right letter, and both its ends are. */
	if (d.right && (d.left || !d.first_right || !d.last_right))
		return FAULT_SYNTAX;
	return secret_set(prepared, text);
}

enum fault
saslprep(struct slice password, struct secret *prepared)
{
	struct buffer mapped;
	size_t len = 0;

	secret_clear(prepared);
	if (password.len == 0)
		return FAULT_SYNTAX;
	if (password.len > SECRET_MAX)
		return FAULT_TOO_LONG;
	if (is_printable_ascii(password))
		return secret_set(prepared, password);
	buffer_init(&mapped, 2 * SECRET_MAX);
	/* Room at once: a growing buffer would leave copies of the password behind. */
	if (buffer_reserve(&mapped, 2 * SECRET_MAX) == NULL)
		return FAULT_NOMEM;
	enum fault fault = map(password, &mapped);
	if (fault == FAULT_OK) {
		struct slice text = buffer_slice(&mapped);
		uint8_t *normal = u8_normalize(
			UNINORM_NFKC, (const uint8_t *)text.data, text.len, NULL, &len);
		fault = normal == NULL ? FAULT_NOMEM
				       : check_and_set(slice_make(normal, len), prepared);
		if (normal != NULL)
			secret_wipe(normal, len);
		free(normal);
	}
	secret_wipe(mapped.data, mapped.size);
	buffer_clear(&mapped);
	return fault;
}
