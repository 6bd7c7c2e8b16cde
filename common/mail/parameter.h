/* SPDX-License-Identifier: ISC */
/*
 * Content-Type and Content-Disposition values with their parameters (RFC 2045 5.1, RFC 2183), and
 * the extensions of RFC 2231.  Lenient; unquoted values may have spaces and 8-bit bytes.
 */
#ifndef MAIL_PARAMETER_H
#define MAIL_PARAMETER_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/fault.h"

/* As written, but for quotes, backslashes and folds: names may end in "*0*" (RFC 2231). */
struct parameter {
	struct slice name, value;
};

struct parameters {
	struct parameter *items;
	size_t count;
};

/* type "/" subtype, or type alone for a disposition; empty slices when the value has none. */
struct parameter_value {
	struct slice type, subtype;
	struct parameters parameters;
};

/*
 * Parses a raw value into the arena; at most max parameters, the rest is left out.  Never
 * FAULT_SYNTAX: look whether type is empty.  FAULT_BUDGET.
 */
enum fault parameter_parse(
	struct slice value, size_t max, struct arena *, struct parameter_value *) MUST_USE;
/* The raw value of that very name, ASCII case ignored. */
bool parameter_find(const struct parameters *, struct slice name, struct slice *value);
/*
 * Appends the parameter as UTF-8: continuations joined, charset and percent decoded (RFC 2231),
 * encoded words decoded too, which mailers put there though RFC 2047 5 forbids it.  FAULT_NOT_FOUND
 * or the buffer's fault.
 */
enum fault parameter_decode(
	const struct parameters *, struct slice name, struct buffer *out) MUST_USE;

#endif
