/* SPDX-License-Identifier: ISC */
/*
 * The file "salvage" in a store's directory, while a salvage makes its index.  Private to
 * common/store.
 */
#ifndef STORE_SALVAGE_MARK_H
#define STORE_SALVAGE_MARK_H

#include "common/store/checkpoint.h"

bool salvage_mark_exists(const char *dir);
/* Under the writer's lock.  FAULT_EXISTS: there is an index.  Else nothing is left of one. */
MUST_USE enum fault salvage_mark_make(const char *dir);
/* The checkpoint that the lost index had; FAULT_NOT_FOUND, FAULT_DAMAGED. */
MUST_USE enum fault salvage_mark_read(const char *dir, struct checkpoint *);
MUST_USE enum fault salvage_mark_remove(const char *dir);

#endif
