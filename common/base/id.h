/* SPDX-License-Identifier: ISC */
/*
 * 64-bit ids as text: 13 characters of base32hex (RFC 4648 7, lower case, no padding), which sorts
 * like the number.  Used for queue ids, email ids, thread ids, account ids and mailbox ids.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "common/base/slice.h"

enum { ID_TEXT_LEN = 13, ID_TEXT_SIZE = ID_TEXT_LEN + 1 };

/* Writes the text and a NUL; returns text. */
const char *id_format(uint64_t id, char text[static ID_TEXT_SIZE]);
/* Upper case is accepted too. */
bool id_parse(struct slice text, uint64_t *id);

#endif
