/* SPDX-License-Identifier: ISC */
/*
 * Made mail that packs like people's: headers with traces and signatures, text with quotes, HTML
 * with links, attachments in base64.  The same number, seed and size give the same message.
 */
#ifndef STORE_BENCH_MAIL_H
#define STORE_BENCH_MAIL_H

#include "common/base/buffer.h"

/* Call once. */
void mail_prepare(void);
struct mail_plan {
	uint64_t number;
	size_t size; /* about */
	bool hollow; /* few headers, and empty lines */
};
void mail_make(struct buffer *out, const struct mail_plan *);

enum { MAIL_SIZE_MIX = 0, MAIL_SIZE_SMALL = 1 };
/*
 * MAIL_SIZE_MIX: sizes of a mailbox as people have them, median 10 KiB, mean 46 KiB, a few of a
 * MiB.  MAIL_SIZE_SMALL: such mail without attachments, median 4 KiB.  Else the size itself.
 */
size_t mail_size(uint64_t size, uint64_t number);

#endif
