/* SPDX-License-Identifier: ISC */
/*
 * Makes messages ready for the store, in deliverd and imapd.  The bytes come from anybody; the
 * parser below is the one that must stand them, and does so in processes that cannot write mail.
 */
#include "common/store/package.h"

#include <sodium.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/mail/message_id.h"

enum { SCRATCH_BUDGET = 16 * 1024 * 1024, STRUCTURE_SLACK = 64 * 1024 };

struct hashes {
	uint64_t *at;
	size_t count;
};

static uint64_t
hash_id(struct slice id)
{
	unsigned char sum[crypto_generichash_BYTES_MIN];

	crypto_generichash(sum, sizeof sum, (const unsigned char *)id.data, id.len, NULL, 0);
	return get_u64(sum);
}

static void
add_hash(struct hashes *h, struct slice id)
{
	uint64_t hash = hash_id(id);

	for (size_t i = 0; i < h->count; i++)
		if (h->at[i] == hash)
			return;
	if (h->count < STORE_THREAD_HASHES_MAX)
		h->at[h->count++] = hash;
}

static void
add_ids(struct hashes *h, struct slice value)
{
	struct cursor c = cursor_of(value);
	struct slice id;

	while (take_message_id(&c, &id))
		add_hash(h, id);
}

/* The root, then the last ones that fit: the middle of a very long thread ties nothing new. */
static void
add_references(struct hashes *h, struct structure_list list)
{
	size_t room = STORE_THREAD_HASHES_MAX - h->count;
	size_t skip = list.count > room ? list.count - room : 0;
	struct slice id;

	for (size_t i = 0; structure_take_text(&list, &id); i++)
		if (i == 0 || i > skip)
			add_hash(h, id);
}

size_t
package_thread_hashes(
	const struct structure *structure, uint64_t hashes[static STORE_THREAD_HASHES_MAX])
{
	struct hashes h = {hashes, 0};
	struct structure_envelope envelope;

	if (structure_get_envelope(structure, 0, &envelope)) {
		add_ids(&h, envelope.message_id);
		add_ids(&h, slice_first(envelope.in_reply_to, 4096));
	}
	add_references(&h, structure->references);
	return h.count;
}

static enum fault
fill_references(struct package *p, struct slice bytes)
{
	uint64_t hashes[STORE_THREAD_HASHES_MAX];
	struct structure structure;
	enum fault fault = structure_open(bytes, &structure);
	size_t count;

	if (fault != FAULT_OK)
		return fault;
	count = package_thread_hashes(&structure, hashes);
	for (size_t i = 0; i < count; i++)
		put_u64(p->references + i * 8, hashes[i]);
	p->references_len = count * 8;
	return FAULT_OK;
}

static enum fault
write_package(
	struct body_packer *packer, struct slice message, struct slice structure, struct package *p)
{
	enum fault fault;

	p->fd = memfd_open("package", &fault);
	if (p->fd == -1)
		return fault;
	fault = memfd_append(p->fd, structure);
	if (fault == FAULT_OK)
		fault = body_pack(packer, message, p->fd, &p->body);
	if (fault == FAULT_OK)
		fault = memfd_seal(p->fd);
	return fault;
}

enum fault
package_make(struct body_packer *packer, struct slice message, struct package *p)
{
	struct arena scratch;
	struct buffer structure;
	enum fault fault;

	*p = (struct package){.fd = -1};
	arena_init(&scratch, SCRATCH_BUDGET);
	buffer_init(&structure, structure_limits_default.total + STRUCTURE_SLACK);
	fault = structure_build(message, &structure_limits_default, &scratch, &structure);
	if (fault == FAULT_OK)
		fault = fill_references(p, buffer_slice(&structure));
	p->structure_len = (uint32_t)buffer_len(&structure);
	if (fault == FAULT_OK)
		fault = write_package(packer, message, buffer_slice(&structure), p);
	buffer_clear(&structure);
	arena_clear(&scratch);
	if (fault != FAULT_OK)
		package_clear(p);
	return fault;
}

void
package_clear(struct package *p)
{
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
}
