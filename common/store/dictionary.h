/* SPDX-License-Identifier: ISC */
/*
 * What mail commonly has in it, built in, so that zstd packs small messages well: they are too
 * short to find it in themselves.  Part of the format of the store, for whoever packs and reads.
 */
#ifndef STORE_DICTIONARY_H
#define STORE_DICTIONARY_H

#include "common/base/slice.h"

/* The dictionary of BODY_ZSTD_TEXT1; lives for ever. */
struct slice dictionary_text1(void);

#endif
