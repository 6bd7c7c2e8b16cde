/* SPDX-License-Identifier: ISC */
/*
 * Mail addresses as SMTP writes them (RFC 5321 4.1.2, with the UTF-8 of RFC 6531 3.3), and their
 * normal form for look-up.  Slices borrow from what was parsed, or from the arena where said.
 *
 * The take functions check grammar only and always accept UTF-8; smtpd asks address_is_ascii()
 * when SMTPUTF8 was not given, and address_check() for the lengths.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/cursor.h"
#include "common/base/fault.h"

enum {
	ADDRESS_LOCAL_MAX = 64, /* RFC 5321 4.5.3.1.1 */
	ADDRESS_DOMAIN_MAX = 255, /* RFC 5321 4.5.3.1.2 */
	ADDRESS_MAX = 254, /* local@domain, from RFC 5321 4.5.3.1.3: the path has 256 with <> */
};

/*
 * local as written, with its quotes if it has them; domain as written, with the brackets of an
 * address literal.  Both empty: the null reverse-path.  Domain empty: <Postmaster> or, in lenient
 * places, a local name.
 */
struct address {
	struct slice local, domain;
};

/* Mailbox = Local-part "@" ( Domain / address-literal ). */
bool take_mailbox(struct cursor *, struct address *);
/* Path = "<" [ A-d-l ":" ] Mailbox ">"; the source route is dropped (RFC 5321 4.1.1.3). */
bool take_path(struct cursor *, struct address *);
/* Path or "<>". */
bool take_reverse_path(struct cursor *, struct address *);
/* Path or "<Postmaster>", in any case (RFC 5321 4.5.1). */
bool take_forward_path(struct cursor *, struct address *);
/* Domain of letters, digits, hyphens and U-labels; without a trailing dot. */
bool take_domain(struct cursor *, struct slice *);
/* address-literal with its brackets; the address in it is checked. */
bool take_address_literal(struct cursor *, struct slice *);

/* All of text is one Mailbox and is within the limits: FAULT_SYNTAX, FAULT_TOO_LONG. */
enum fault address_parse(struct slice text, struct address *) MUST_USE;
/* The limits above; FAULT_TOO_LONG. */
enum fault address_check(const struct address *) MUST_USE;
bool address_is_ascii(const struct address *);
bool address_is_null(const struct address *);
/* [1.2.3.4], [IPv6:::1] or [tag:text]. */
bool domain_is_literal(struct slice domain);

/*
 * The form for look-up and for keys, in the arena: local without quotes, case-folded and in NFC;
 * domain lower-cased, as A-labels (UTS 46).  Idempotent.  FAULT_SYNTAX when the domain is no
 * domain name, FAULT_BUDGET when the arena is full.
 */
enum fault address_normalize(
	const struct address *, struct arena *, struct address *normal) MUST_USE;
enum fault domain_normalize(struct slice domain, struct arena *, struct slice *normal) MUST_USE;
/* Byte for byte; for addresses in normal form. */
bool address_equal(const struct address *, const struct address *);
/* The local part without quotes and backslashes, in the arena or borrowed; false: arena full. */
bool address_unquote_local(struct slice local, struct arena *, struct slice *text);
/*
 * local@domain, or local alone without a domain, or nothing for the null address.  Quotes the
 * local part when its bytes need it.
 */
void address_format(const struct address *, struct buffer *);

#endif
