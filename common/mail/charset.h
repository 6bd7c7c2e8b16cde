/* SPDX-License-Identifier: ISC */
/*
 * Conversion to UTF-8 by iconv.  Broken bytes become U+FFFD; the output is always valid UTF-8.
 * Converters are opened once and kept, for a process with one thread.  iconv loads a file for
 * most charsets, so that a process in a sandbox calls charset_preload() before it locks itself
 * in; what is not loaded then is unknown later.
 */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/* Opens the converters of all charsets that mail really uses, Korean first. */
void charset_preload(void);
/* ASCII case, quotes and common aliases are understood; empty means US-ASCII. */
bool charset_is_known(struct slice name);
/* Appends; FAULT_CHARSET, with nothing appended, when the charset is unknown; else buffer's. */
enum fault charset_to_utf8(struct slice name, struct slice in, struct buffer *out) MUST_USE;
/*
 * Never FAULT_CHARSET: 8-bit bytes in US-ASCII, ISO-8859-1 (which many programs write on UTF-8)
 * and unknown charsets are taken as UTF-8 when
 * they are valid UTF-8, else as windows-1252.
 */
enum fault charset_to_utf8_lossy(struct slice name, struct slice in, struct buffer *out) MUST_USE;

#endif
