/* SPDX-License-Identifier: ISC */
/*
 * A store as text: all that a reader can see of it, and nothing of where it lies, so that the same
 * mail gives the same text whatever format it is kept in.
 */
#ifndef TESTS_UNIT_STORE_DUMP_H
#define TESTS_UNIT_STORE_DUMP_H

#include <stdio.h>

#include "common/store/reader.h"

/* All of it in one transaction of its own; the reader's first fault ends it. */
MUST_USE enum fault dump_store(FILE *, struct store_reader *);

#endif
