/* SPDX-License-Identifier: ISC */
/*
 * A message made ready for APPEND (common/ipc/payloads.h): a sealed memfd with the stored
 * structure and the packed body, and what the request says of them.  deliverd and imapd make it,
 * so that a message gets the same structure and the same thread whichever way it came.
 */
#ifndef STORE_PACKAGE_H
#define STORE_PACKAGE_H

#include "common/mail/structure.h"
#include "common/store/body.h"
#include "common/store/store.h"

struct package {
	int fd; /* sealed: [stored structure][packed body] */
	uint32_t structure_len;
	struct body_info body;
	/* big-endian u64 each: struct ipc_append.references */
	uint8_t references[STORE_THREAD_HASHES_MAX * 8];
	size_t references_len;
};

/*
 * Parses and packs the message.  No content makes it fail: the faults are those of memory and of
 * memfds (FAULT_NOMEM, FAULT_BUDGET, FAULT_TOO_BIG for 4 GiB and more).
 */
MUST_USE enum fault package_make(struct body_packer *, struct slice message, struct package *);
/*
 * Makes the sealed form of a package, for one account (seal.h); the plain one stays.  The checksum
 * becomes that of the stored bytes.  The same faults.
 */
struct seal_content;
struct entropy;
MUST_USE enum fault package_seal(const struct package *plain, const struct seal_content *,
	const struct entropy *, struct package *sealed);
/* Closes the memfd; accepts one that package_make failed on. */
void package_clear(struct package *);

/*
 * The 64-bit hashes that tie a thread: of Message-ID, In-Reply-To and References, in this order,
 * without repetitions (BLAKE2b of the id with its angles).  Of a long list of References the first
 * (the root of the thread) and the last ones are kept.  Returns how many.
 */
size_t package_thread_hashes(
	const struct structure *, uint64_t hashes[static STORE_THREAD_HASHES_MAX]);

#endif
