/* SPDX-License-Identifier: ISC */
/* Patterns of LIST and LSUB (RFC 3501 6.3.8): "*" matches anything, "%" all but the delimiter. */
#ifndef IMAPD_LIST_MATCH_H
#define IMAPD_LIST_MATCH_H

#include "common/base/slice.h"

enum { LIST_PATTERN_MAX = 1000 }; /* bytes, wildcards included */

/*
 * Both in UTF-8.  INBOX as the first level of the name is the same in any case.  Takes time in
 * proportion to both lengths, whatever the pattern.  A longer pattern matches nothing.
 */
bool list_match(struct slice pattern, struct slice name);

#endif
