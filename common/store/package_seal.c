/* SPDX-License-Identifier: ISC */
/*
 * Seals a package to the key of one account, in deliverd and imapd.  It is made from the plain one,
 * so that a message to many accounts is parsed and packed once.
 */
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/memfd.h"
#include "common/store/package.h"
#include "common/store/seal.h"

/* A sealed package while it is written. */
struct output {
	int fd;
	struct sealing sealing;
	crypto_generichash_state checksum; /* of the stored body */
	uint8_t chunk[SEAL_CHUNK_SIZE + SEAL_TAG_LEN];
};

static enum fault
write_structure(struct output *o, struct slice structure, struct package *p)
{
	struct buffer sealed;

	buffer_init(&sealed, SEAL_HEADER_LEN + structure.len + SEAL_TAG_LEN);
	seal_structure(&o->sealing, structure, &sealed);
	p->structure_len = (uint32_t)buffer_len(&sealed);
	enum fault fault = buffer_fault(&sealed);
	if (fault == FAULT_OK)
		fault = memfd_append(o->fd, buffer_slice(&sealed));
	buffer_clear(&sealed);
	return fault;
}

static enum fault
write_stored(struct output *o, const void *bytes, size_t len)
{
	crypto_generichash_update(&o->checksum, bytes, len);
	return memfd_append(o->fd, slice_make(bytes, len));
}

/* Header, then chunks; what is empty has one, so that it is authenticated too. */
static enum fault
write_body(struct output *o, struct slice packed, const struct body_info *info)
{
	struct seal_part part = {SEAL_BODY, info->codec, packed.len, info->plain_len};
	enum fault fault = write_stored(o, o->sealing.header, SEAL_HEADER_LEN);
	uint64_t chunk = 0;

	do {
		size_t len = seal_chunk_len(&part, chunk);
		if (fault != FAULT_OK)
			break;
		seal_chunk(&o->sealing, &part, chunk, slice_first(packed, len), o->chunk);
		fault = write_stored(o, o->chunk, len + SEAL_TAG_LEN);
		packed = slice_after(packed, len);
		chunk++;
	} while (packed.len > 0);
	return fault;
}

static enum fault
seal_all(struct output *o, struct slice bytes, const struct package *plain, struct package *p)
{
	struct slice packed = slice_after(bytes, plain->structure_len);

	crypto_generichash_init(&o->checksum, NULL, 0, sizeof p->body.checksum);
	enum fault fault = write_structure(o, slice_first(bytes, plain->structure_len), p);
	if (fault == FAULT_OK)
		fault = write_body(o, packed, &plain->body);
	if (fault == FAULT_OK)
		fault = memfd_seal(o->fd);
	p->body.codec = plain->body.codec | BODY_SEALED;
	p->body.stored_len = seal_stored_len(packed.len);
	crypto_generichash_final(&o->checksum, p->body.checksum, sizeof p->body.checksum);
	return fault;
}

enum fault
package_seal(const struct package *plain, const struct seal_content *content,
	const struct entropy *entropy, struct package *sealed)
{
	struct output *o = malloc(sizeof *o);
	struct slice bytes;
	enum fault fault = o != NULL ? memfd_map(plain->fd, SIZE_MAX, &bytes) : FAULT_NOMEM;

	*sealed = *plain;
	sealed->fd = -1;
	if (fault != FAULT_OK) {
		free(o);
		return fault;
	}
	seal_begin(content, entropy, &o->sealing);
	o->fd = sealed->fd = memfd_open("sealed", &fault);
	if (o->fd != -1)
		fault = seal_all(o, bytes, plain, sealed);
	memfd_unmap(&bytes);
	sealing_clear(&o->sealing);
	free(o);
	if (fault != FAULT_OK)
		package_clear(sealed);
	return fault;
}
