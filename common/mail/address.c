/* SPDX-License-Identifier: ISC */
/*
 * The address grammar of SMTP and the normal form of addresses.  Linked by all that route mail;
 * runs on bytes from the network.
 */
#include "common/mail/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <unicase.h>

#include "common/base/ascii.h"
#include "common/mail/utf8.h"

enum { LABEL_MAX = 63, IPV6_TEXT_MAX = 45 };

/* atext of RFC 5322 3.2.3, widened by RFC 6531 3.3. */
static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || ascii_is_8bit(c) ||
		(c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
take_dot_string(struct cursor *c)
{
	struct cursor probe = *c;
	struct slice atom;

	do {
		if (!take_while(&probe, is_atext, &atom))
			return false;
	} while (take_byte(&probe, '.'));
	*c = probe;
	return true;
}

static bool
is_qtext(char c)
{
	return (ascii_is_graphic(c) || c == ' ' || ascii_is_8bit(c)) && c != '"' && c != '\\';
}

static bool
take_quoted_string(struct cursor *c)
{
	struct cursor probe = *c;
	char pair;

	if (!take_byte(&probe, '"'))
		return false;
	for (;;) {
		take_run(&probe, is_qtext);
		if (!take_byte(&probe, '\\'))
			break;
		if (!take_any(&probe, &pair) || !(ascii_is_graphic(pair) || pair == ' '))
			return false;
	}
	if (!take_byte(&probe, '"'))
		return false;
	*c = probe;
	return true;
}

static bool
take_local_part(struct cursor *c, struct slice *local)
{
	struct cursor probe = *c;

	if (!take_quoted_string(&probe) && !take_dot_string(&probe))
		return false;
	struct slice taken = cursor_since(&probe, *c);
	if (!utf8_is_valid(taken))
		return false;
	*local = taken;
	*c = probe;
	return true;
}

static bool
is_label_byte(char c)
{
	return ascii_is_alnum(c) || ascii_is_8bit(c) || c == '-';
}

static bool
take_label(struct cursor *c)
{
	struct cursor probe = *c;
	struct slice label;

	if (!take_while(&probe, is_label_byte, &label))
		return false;
	if (label.data[0] == '-' || label.data[label.len - 1] == '-')
		return false;
	if (label.len > LABEL_MAX && utf8_is_ascii(label))
		return false;
	*c = probe;
	return true;
}

bool
take_domain(struct cursor *c, struct slice *domain)
{
	struct cursor probe = *c;

	if (!take_label(&probe))
		return false;
	for (;;) {
		struct cursor dot = probe;
		if (!take_byte(&dot, '.') || !take_label(&dot))
			break;
		probe = dot;
	}
	struct slice taken = cursor_since(&probe, *c);
	if (!utf8_is_valid(taken))
		return false;
	*domain = taken;
	*c = probe;
	return true;
}

static bool
is_ipv4(struct slice text)
{
	struct cursor c = cursor_of(text);

	for (int i = 0; i < 4; i++) {
		struct slice digits;
		uint64_t octet;
		if (i > 0 && !take_byte(&c, '.'))
			return false;
		if (!take_while(&c, ascii_is_digit, &digits) || digits.len > 3 ||
			!slice_parse_u64(digits, 255, &octet))
			return false;
	}
	return cursor_at_end(&c);
}

static bool
is_ipv6(struct slice text)
{
	char terminated[IPV6_TEXT_MAX + 1] = "";
	struct in6_addr address;

	if (text.len == 0 || text.len > IPV6_TEXT_MAX)
		return false;
	memcpy(terminated, text.data, text.len);
	return memchr(text.data, '\0', text.len) == NULL &&
		inet_pton(AF_INET6, terminated, &address) == 1;
}

static bool
is_dcontent(char c)
{
	return ascii_is_graphic(c) && c != '[' && c != ']' && c != '\\';
}

/* General-address-literal: a tag that nobody has registered yet, and its text. */
static bool
is_general_literal(struct slice text)
{
	struct slice tag = slice_first(text, slice_find_byte(text, ':'));
	struct cursor c = cursor_of(tag);

	if (tag.len + 1 >= text.len || tag.len == 0 || tag.data[tag.len - 1] == '-')
		return false;
	take_run(&c, is_label_byte);
	return cursor_at_end(&c);
}

bool
take_address_literal(struct cursor *c, struct slice *literal)
{
	struct cursor probe = *c;
	struct slice text;

	if (!take_byte(&probe, '[') || !take_while(&probe, is_dcontent, &text) ||
		!take_byte(&probe, ']'))
		return false;
	if (slice_starts_nocase(text, SLICE("IPv6:"))) {
		if (!is_ipv6(slice_after(text, 5)))
			return false;
	} else if (!is_ipv4(text) && !is_general_literal(text)) {
		return false;
	}
	*literal = cursor_since(&probe, *c);
	*c = probe;
	return true;
}

bool
take_mailbox(struct cursor *c, struct address *mailbox)
{
	struct cursor probe = *c;
	struct address taken;

	if (!take_local_part(&probe, &taken.local) || !take_byte(&probe, '@'))
		return false;
	if (!take_domain(&probe, &taken.domain) && !take_address_literal(&probe, &taken.domain))
		return false;
	*mailbox = taken;
	*c = probe;
	return true;
}

/* A-d-l ":", accepted and ignored (RFC 5321 C). */
static void
take_source_route(struct cursor *c)
{
	struct cursor probe = *c;
	struct slice domain;

	do {
		if (!take_byte(&probe, '@') || !take_domain(&probe, &domain))
			return;
	} while (take_byte(&probe, ','));
	if (take_byte(&probe, ':'))
		*c = probe;
}

bool
take_path(struct cursor *c, struct address *path)
{
	struct cursor probe = *c;
	struct address taken;

	if (!take_byte(&probe, '<'))
		return false;
	take_source_route(&probe);
	if (!take_mailbox(&probe, &taken) || !take_byte(&probe, '>'))
		return false;
	*path = taken;
	*c = probe;
	return true;
}

bool
take_reverse_path(struct cursor *c, struct address *path)
{
	if (take_text(c, SLICE("<>"))) {
		*path = (struct address){SLICE(""), SLICE("")};
		return true;
	}
	return take_path(c, path);
}

bool
take_forward_path(struct cursor *c, struct address *path)
{
	struct cursor mark = *c;

	if (take_text_nocase(c, SLICE("<postmaster>"))) {
		struct slice taken = cursor_since(c, mark);
		*path = (struct address){slice_make(taken.data + 1, taken.len - 2), SLICE("")};
		return true;
	}
	return take_path(c, path);
}

enum fault
address_check(const struct address *a)
{
	size_t whole = a->local.len + 1 + a->domain.len;

	if (a->local.len > ADDRESS_LOCAL_MAX || a->domain.len > ADDRESS_DOMAIN_MAX ||
		whole > ADDRESS_MAX)
		return FAULT_TOO_LONG;
	return FAULT_OK;
}

enum fault
address_parse(struct slice text, struct address *address)
{
	struct cursor c = cursor_of(text);
	struct address taken;

	if (!take_mailbox(&c, &taken) || !cursor_at_end(&c))
		return FAULT_SYNTAX;
	enum fault fault = address_check(&taken);
	if (fault == FAULT_OK)
		*address = taken;
	return fault;
}

bool
address_is_ascii(const struct address *a)
{
	return utf8_is_ascii(a->local) && utf8_is_ascii(a->domain);
}

bool
address_is_null(const struct address *a)
{
	return a->local.len == 0 && a->domain.len == 0;
}

bool
domain_is_literal(struct slice domain)
{
	return domain.len > 0 && domain.data[0] == '[';
}

bool
address_equal(const struct address *a, const struct address *b)
{
	return slice_equal(a->local, b->local) && slice_equal(a->domain, b->domain);
}

static bool
looks_quoted(struct slice local)
{
	return local.len >= 2 && local.data[0] == '"' && local.data[local.len - 1] == '"';
}

bool
address_unquote_local(struct slice local, struct arena *arena, struct slice *text)
{
	*text = local;
	if (!looks_quoted(local))
		return true;
	char *to = arena_alloc(arena, local.len);
	size_t n = 0;
	if (to == NULL)
		return false;
	for (size_t i = 1; i + 1 < local.len; i++) {
		if (local.data[i] == '\\' && i + 2 < local.len)
			i++;
		to[n++] = local.data[i];
	}
	/* "\"Q\"" without its quotes would be taken for Q, another mailbox, when looked at again.
	 */
	if (!looks_quoted(slice_make(to, n)))
		*text = slice_make(to, n);
	return true;
}

static bool
copy_lower(struct slice s, struct arena *arena, struct slice *lower)
{
	char *to = arena_alloc(arena, s.len + 1);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.len; i++)
		to[i] = ascii_lower(s.data[i]);
	*lower = slice_make(to, s.len);
	return true;
}

/* Lower case, not case folding: straße and strasse stay two people. */
static enum fault
lower_utf8(struct slice s, struct arena *arena, struct slice *lower)
{
	size_t len = 0;

	if (utf8_is_ascii(s))
		return copy_lower(s, arena, lower) ? FAULT_OK : FAULT_BUDGET;
	if (!utf8_is_valid(s))
		return FAULT_SYNTAX;
	uint8_t *text = u8_tolower((const uint8_t *)s.data, s.len, NULL, UNINORM_NFC, NULL, &len);
	if (text == NULL)
		return FAULT_NOMEM;
	bool fits = arena_copy(arena, slice_make(text, len), lower);
	free(text);
	return fits ? FAULT_OK : FAULT_BUDGET;
}

/* U-labels to A-labels by UTS 46, non-transitional. */
static enum fault
domain_to_ascii(struct slice domain, struct arena *arena, struct slice *normal)
{
	struct slice terminated;
	uint8_t *ascii = NULL;

	if (!arena_copy(arena, domain, &terminated))
		return FAULT_BUDGET;
	int result = idn2_lookup_u8(
		(const uint8_t *)terminated.data, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (result == IDN2_MALLOC)
		return FAULT_NOMEM;
	if (result != IDN2_OK)
		return FAULT_SYNTAX;
	bool fits = copy_lower(slice_text((const char *)ascii), arena, normal);
	idn2_free(ascii);
	return fits ? FAULT_OK : FAULT_BUDGET;
}

enum fault
domain_normalize(struct slice domain, struct arena *arena, struct slice *normal)
{
	struct cursor c = cursor_of(domain);
	struct slice taken;

	if (take_address_literal(&c, &taken) && cursor_at_end(&c))
		return copy_lower(domain, arena, normal) ? FAULT_OK : FAULT_BUDGET;
	c = cursor_of(domain);
	if (!take_domain(&c, &taken) || taken.len > ADDRESS_DOMAIN_MAX)
		return FAULT_SYNTAX;
	take_byte(&c, '.'); /* the root: the same name */
	if (!cursor_at_end(&c))
		return FAULT_SYNTAX;
	if (utf8_is_ascii(taken))
		return copy_lower(taken, arena, normal) ? FAULT_OK : FAULT_BUDGET;
	enum fault fault = domain_to_ascii(taken, arena, normal);
	/* UTS 46 maps some letters to nothing or to dots: look again at what came out. */
	c = cursor_of(fault == FAULT_OK ? *normal : SLICE("x"));
	if (!take_domain(&c, &taken) || !cursor_at_end(&c))
		return FAULT_SYNTAX;
	return fault;
}

enum fault
address_normalize(const struct address *a, struct arena *arena, struct address *normal)
{
	struct address made = {.domain = SLICE("")};
	struct slice text;

	if (!address_unquote_local(a->local, arena, &text))
		return FAULT_BUDGET;
	enum fault fault = lower_utf8(text, arena, &made.local);
	if (fault == FAULT_OK && a->domain.len > 0)
		fault = domain_normalize(a->domain, arena, &made.domain);
	if (fault == FAULT_OK)
		*normal = made;
	return fault;
}

static bool
needs_quotes(struct slice local)
{
	struct cursor c = cursor_of(local);

	if (take_quoted_string(&c) && cursor_at_end(&c))
		return false;
	c = cursor_of(local);
	return !take_dot_string(&c) || !cursor_at_end(&c);
}

void
address_format(const struct address *a, struct buffer *out)
{
	if (address_is_null(a))
		return;
	if (!needs_quotes(a->local)) {
		buffer_add_slice(out, a->local);
	} else {
		buffer_add_byte(out, '"');
		for (size_t i = 0; i < a->local.len; i++) {
			char c = a->local.data[i];
			if (c == '"' || c == '\\')
				buffer_add_byte(out, '\\');
			buffer_add_byte(out, c);
		}
		buffer_add_byte(out, '"');
	}
	if (a->domain.len > 0) {
		buffer_add_byte(out, '@');
		buffer_add_slice(out, a->domain);
	}
}
