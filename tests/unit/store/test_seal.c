/* SPDX-License-Identifier: ISC */
#include "common/store/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/package.h"
#include "tests/unit/store/fixture.h"

enum { C = SEAL_CHUNK_SIZE };

static int64_t now_ms;

static int64_t
now(void *arg)
{
	(void)arg;
	return now_ms;
}

static const struct clock clock_by_hand = {now, now, NULL};
static const struct seal_source source = {&clock_by_hand, &entropy_system};

/* Two accounts. */
struct pair {
	uint8_t public_key[SEAL_KEY_LEN], private_key[SEAL_KEY_LEN];
	struct seal_opener *opener;
	struct seal_content content;
};
static struct pair alice, bob;

static void
pair_open(struct pair *p)
{
	*p = (struct pair){0};
	ck_assert_int_eq(crypto_box_keypair(p->public_key, p->private_key), 0);
	p->opener = seal_opener_new(slice_make(p->private_key, SEAL_KEY_LEN));
	ck_assert_ptr_nonnull(p->opener);
	ck_assert_ok(seal_content_refresh(&p->content, &source, p->public_key));
}

static void
begin(void)
{
	now_ms = 1000;
	ck_assert_int_ge(sodium_init(), 0);
	pair_open(&alice);
	pair_open(&bob);
}

static void
end(void)
{
	seal_opener_free(alice.opener);
	seal_opener_free(bob.opener);
}

START_TEST(lengths_go_both_ways)
{
	static const uint64_t lengths[] = {0, 1, 255, C - 1, C, C + 1, 2 * C, 10 * C + 7};
	uint64_t len, known = 0;

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		ck_assert(seal_len(seal_stored_len(lengths[i]), &len));
		ck_assert_uint_eq(len, lengths[i]);
	}
	/* Each stored length has one meaning or none. */
	for (uint64_t stored = 0; stored < 3 * (C + SEAL_TAG_LEN); stored++) {
		if (!seal_len(stored, &len))
			continue;
		must(seal_stored_len(len) == stored);
		known++;
	}
	ck_assert_uint_gt(known, 2 * C);
	ck_assert(!seal_len(UINT64_MAX, &len));
	ck_assert(!seal_len(SEAL_HEADER_LEN, &len));
}
END_TEST

/* A sealed message in memory: its structure and its body. */
struct sealed {
	struct seal_part part;
	size_t len;
	uint8_t *bytes; /* header and chunks */
};

static struct sealed
seal_bytes(const struct seal_content *content, struct slice plain)
{
	struct sealed s = {.part = {SEAL_BODY, BODY_RAW, plain.len, plain.len}};
	struct sealing sealing;

	s.len = (size_t)seal_stored_len(plain.len);
	s.bytes = malloc(s.len);
	seal_begin(content, &entropy_system, &sealing);
	memcpy(s.bytes, sealing.header, SEAL_HEADER_LEN);
	for (uint64_t chunk = 0; chunk * C < plain.len || chunk == 0; chunk++)
		seal_chunk(&sealing, &s.part, chunk,
			slice_first(slice_after(plain, chunk * C), seal_chunk_len(&s.part, chunk)),
			s.bytes + seal_chunk_offset(chunk));
	return s;
}

static enum fault
open_bytes(struct seal_opener *opener, const struct sealed *s, uint8_t *plain)
{
	struct sealing sealing;
	enum fault fault = seal_open(opener, s->bytes, &sealing);

	for (uint64_t chunk = 0; fault == FAULT_OK && (chunk * C < s->part.len || chunk == 0);
		chunk++)
		fault = seal_open_chunk(&sealing, &s->part, chunk,
			slice_make(s->bytes + seal_chunk_offset(chunk),
				seal_chunk_len(&s->part, chunk) + SEAL_TAG_LEN),
			plain + chunk * C);
	return fault;
}

static uint8_t noise[4 * C], opened[4 * C + SEAL_TAG_LEN];

START_TEST(what_was_sealed_opens)
{
	static const size_t lengths[] = {0, 1, 100, C - 1, C, C + 1, 3 * C + 5};

	randombytes_buf(noise, sizeof noise);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct sealed s = seal_bytes(&alice.content, slice_make(noise, lengths[i]));
		memset(opened, 0, sizeof opened);
		ck_assert_ok(open_bytes(alice.opener, &s, opened));
		ck_assert_mem_eq(opened, noise, lengths[i]);
		free(s.bytes);
	}
}
END_TEST

START_TEST(only_its_key_opens_it)
{
	struct sealed s = seal_bytes(&alice.content, SLICE("for alice"));
	uint8_t short_key[SEAL_KEY_LEN - 1] = {0};

	ck_assert_fault(open_bytes(bob.opener, &s, opened), FAULT_SEALED);
	ck_assert_fault(open_bytes(NULL, &s, opened), FAULT_SEALED);
	ck_assert_ptr_null(seal_opener_new(slice_make(short_key, sizeof short_key)));
	/* Somebody else's key id in front does not make it somebody else's. */
	memcpy(s.bytes + 8, bob.content.key_id, SEAL_KEY_ID_LEN);
	ck_assert_fault(open_bytes(bob.opener, &s, opened), FAULT_DAMAGED);
	ck_assert_fault(open_bytes(alice.opener, &s, opened), FAULT_SEALED);
	free(s.bytes);
}
END_TEST

START_TEST(every_changed_bit_is_noticed)
{
	struct sealed s = seal_bytes(&alice.content, SLICE("a short message"));

	for (size_t i = 0; i < s.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			s.bytes[i] ^= (uint8_t)(1 << bit);
			must(open_bytes(alice.opener, &s, opened) != FAULT_OK);
			s.bytes[i] ^= (uint8_t)(1 << bit);
		}
	}
	ck_assert_ok(open_bytes(alice.opener, &s, opened));
	free(s.bytes);
}
END_TEST

START_TEST(chunks_keep_their_place_and_their_number)
{
	randombytes_buf(noise, sizeof noise);
	struct sealed s = seal_bytes(&alice.content, slice_make(noise, 3 * C));
	size_t size = C + SEAL_TAG_LEN;
	uint8_t *first = s.bytes + seal_chunk_offset(0), *second = s.bytes + seal_chunk_offset(1);
	uint8_t *copy = malloc(s.len);

	memcpy(copy, s.bytes, s.len);
	/* Swapped. */
	memcpy(first, copy + seal_chunk_offset(1), size);
	memcpy(second, copy + seal_chunk_offset(0), size);
	ck_assert_fault(open_bytes(alice.opener, &s, opened), FAULT_DAMAGED);
	/* Repeated. */
	memcpy(s.bytes, copy, s.len);
	memcpy(second, first, size);
	ck_assert_fault(open_bytes(alice.opener, &s, opened), FAULT_DAMAGED);
	/* Cut by whole chunks, with the lengths made to fit. */
	memcpy(s.bytes, copy, s.len);
	struct sealed cut = s;
	cut.part.len = cut.part.plain_len = 2 * C;
	ck_assert_fault(open_bytes(alice.opener, &cut, opened), FAULT_DAMAGED);
	cut.part.len = 2 * C;
	cut.part.plain_len = 3 * C;
	ck_assert_fault(open_bytes(alice.opener, &cut, opened), FAULT_DAMAGED);
	/* Left out in the middle. */
	memcpy(second, copy + seal_chunk_offset(2), size);
	ck_assert_fault(open_bytes(alice.opener, &cut, opened), FAULT_DAMAGED);
	memcpy(s.bytes, copy, s.len);
	ck_assert_ok(open_bytes(alice.opener, &s, opened));
	free(copy);
	free(s.bytes);
}
END_TEST

START_TEST(messages_of_one_content_key_do_not_mix)
{
	randombytes_buf(noise, sizeof noise);
	struct sealed a = seal_bytes(&alice.content, slice_make(noise, 2 * C));
	struct sealed b = seal_bytes(&alice.content, slice_make(noise + C, 2 * C));
	size_t size = C + SEAL_TAG_LEN;

	/* The same box and yet other bytes. */
	ck_assert_mem_eq(a.bytes, b.bytes, SEAL_HEADER_LEN - SEAL_NONCE_LEN);
	ck_assert_mem_ne(a.bytes, b.bytes, SEAL_HEADER_LEN);
	memcpy(a.bytes + seal_chunk_offset(1), b.bytes + seal_chunk_offset(1), size);
	ck_assert_fault(open_bytes(alice.opener, &a, opened), FAULT_DAMAGED);
	/* The header of one before the chunks of the other. */
	memcpy(b.bytes, a.bytes, SEAL_HEADER_LEN);
	ck_assert_fault(open_bytes(alice.opener, &b, opened), FAULT_DAMAGED);
	free(a.bytes);
	free(b.bytes);
}
END_TEST

START_TEST(codec_and_domain_are_bound)
{
	struct sealed s = seal_bytes(&alice.content, SLICE("a body"));
	struct buffer out;

	s.part.codec = BODY_ZSTD;
	ck_assert_fault(open_bytes(alice.opener, &s, opened), FAULT_DAMAGED);
	s.part.codec = BODY_RAW;
	s.part.plain_len++;
	ck_assert_fault(open_bytes(alice.opener, &s, opened), FAULT_DAMAGED);
	s.part.plain_len--;
	ck_assert_ok(open_bytes(alice.opener, &s, opened));
	/* A body is no structure, though both begin alike. */
	buffer_init(&out, 1000);
	ck_assert(seal_is_structure(slice_make(s.bytes, s.len)));
	ck_assert_fault(
		seal_open_structure(alice.opener, slice_make(s.bytes, s.len), &out), FAULT_DAMAGED);
	buffer_clear(&out);
	free(s.bytes);
}
END_TEST

START_TEST(structures_open_whole_or_not_at_all)
{
	struct sealing sealing;
	struct buffer sealed, out;

	buffer_init(&sealed, 1000);
	buffer_init(&out, 1000);
	seal_begin(&alice.content, &entropy_system, &sealing);
	seal_structure(&sealing, SLICE("the structure"), &sealed);
	struct slice bytes = buffer_slice(&sealed);
	ck_assert(slice_find(bytes, SLICE("structure")) == bytes.len);
	ck_assert_ok(seal_open_structure(alice.opener, bytes, &out));
	ck_assert_slice_eq(buffer_slice(&out), "the structure");
	ck_assert_fault(seal_open_structure(bob.opener, bytes, &out), FAULT_SEALED);
	ck_assert_fault(seal_open_structure(NULL, bytes, &out), FAULT_SEALED);
	for (size_t len = 0; len < bytes.len; len++)
		ck_assert_fault(seal_open_structure(alice.opener, slice_first(bytes, len), &out),
			FAULT_DAMAGED);
	put_u16(sealed.data + 4, 2);
	ck_assert_fault(seal_open_structure(alice.opener, bytes, &out), FAULT_UNSUPPORTED);
	buffer_clear(&sealed);
	buffer_clear(&out);
}
END_TEST

START_TEST(a_content_key_lives_for_minutes_and_for_one_account)
{
	struct seal_content before = alice.content;

	now_ms += SEAL_CONTENT_MS - 1;
	ck_assert_ok(seal_content_refresh(&alice.content, &source, alice.public_key));
	ck_assert_mem_eq(&alice.content, &before, sizeof before);
	now_ms++;
	ck_assert_ok(seal_content_refresh(&alice.content, &source, alice.public_key));
	ck_assert_mem_ne(alice.content.key, before.key, SEAL_KEY_LEN);
	before = alice.content;
	ck_assert_ok(seal_content_refresh(&alice.content, &source, bob.public_key));
	ck_assert_mem_ne(alice.content.key, before.key, SEAL_KEY_LEN);
	ck_assert_mem_ne(alice.content.box, before.box, SEAL_BOX_LEN);
	struct sealed s = seal_bytes(&alice.content, SLICE("x"));
	ck_assert_ok(open_bytes(bob.opener, &s, opened));
	free(s.bytes);
	/* A point of small order is no public key. */
	static const uint8_t zero[SEAL_KEY_LEN];
	ck_assert_fault(seal_content_refresh(&alice.content, &source, zero), FAULT_DAMAGED);
	ck_assert_int_eq(alice.content.chain_ends_at, 0);
}
END_TEST

/* What a thief of the sealing process's memory gets opens nothing that was sealed before. */
START_TEST(a_chain_goes_forward_only)
{
	struct seal_content first = alice.content;
	struct sealed s[SEAL_STEPS_MAX];

	for (unsigned i = 0; i < SEAL_STEPS_MAX; i++) {
		ck_assert_uint_eq(alice.content.step, i);
		ck_assert_mem_eq(alice.content.box, first.box, SEAL_BOX_LEN);
		s[i] = seal_bytes(&alice.content, slice_make(&i, sizeof i));
		struct seal_content was = alice.content;
		now_ms += SEAL_CONTENT_MS;
		ck_assert_ok(seal_content_refresh(&alice.content, &source, alice.public_key));
		/* Neither the key nor what it was made from is there any more. */
		struct slice memory = slice_make(&alice.content, sizeof alice.content);
		ck_assert_uint_eq(
			slice_find(memory, slice_make(was.key, SEAL_KEY_LEN)), memory.len);
		ck_assert_uint_eq(
			slice_find(memory, slice_make(was.chain, SEAL_KEY_LEN)), memory.len);
	}
	/* The chain has come to its end. */
	ck_assert_uint_eq(alice.content.step, 0);
	ck_assert_mem_ne(alice.content.box, first.box, SEAL_BOX_LEN);
	for (unsigned i = SEAL_STEPS_MAX; i-- > 0;) {
		ck_assert_ok(open_bytes(alice.opener, &s[i], opened));
		ck_assert_mem_eq(opened, &i, sizeof i);
	}
	for (unsigned i = 0; i < SEAL_STEPS_MAX; i += 7)
		ck_assert_ok(open_bytes(alice.opener, &s[i], opened));
	/* A step that no chain has is not walked to. */
	put_u16(s[0].bytes + 6, UINT16_MAX);
	ck_assert_fault(open_bytes(alice.opener, &s[0], opened), FAULT_DAMAGED);
	for (unsigned i = 0; i < SEAL_STEPS_MAX; i++)
		free(s[i].bytes);
}
END_TEST

START_TEST(a_chain_ends_with_its_day)
{
	struct seal_content first = alice.content;

	now_ms += SEAL_CHAIN_MS - 1;
	ck_assert_ok(seal_content_refresh(&alice.content, &source, alice.public_key));
	ck_assert_uint_eq(alice.content.step, 1);
	now_ms += SEAL_CONTENT_MS;
	ck_assert_ok(seal_content_refresh(&alice.content, &source, alice.public_key));
	ck_assert_uint_eq(alice.content.step, 0);
	ck_assert_mem_ne(alice.content.box, first.box, SEAL_BOX_LEN);
}
END_TEST

START_TEST(the_ring_is_bounded_and_forgets)
{
	struct seal_ring *ring = seal_ring_new(&source);
	const struct seal_content *c;
	struct slice key = slice_make(alice.public_key, SEAL_KEY_LEN);
	uint8_t box[SEAL_BOX_LEN], public_key[SEAL_KEY_LEN], private_key[SEAL_KEY_LEN];
	static const uint8_t zero[SEAL_KEY_LEN];

	ck_assert_fault(seal_ring_content(ring, slice_first(key, 31), &c), FAULT_DAMAGED);
	ck_assert_ok(seal_ring_content(ring, key, &c));
	memcpy(box, c->box, sizeof box);
	now_ms += SEAL_CONTENT_MS;
	seal_ring_sweep(ring);
	ck_assert_mem_eq(c->key, zero, sizeof zero);
	ck_assert_ok(seal_ring_content(ring, key, &c));
	ck_assert_mem_eq(c->box, box, sizeof box);
	ck_assert_uint_eq(c->step, 1);
	/* Many others in the same bucket: the oldest goes. */
	for (int i = 0; i < 20; i++) {
		now_ms++;
		crypto_box_keypair(public_key, private_key);
		memcpy(public_key, alice.public_key, 8);
		ck_assert_ok(seal_ring_content(ring, slice_make(public_key, SEAL_KEY_LEN), &c));
	}
	ck_assert_ok(seal_ring_content(ring, key, &c));
	ck_assert_mem_ne(c->box, box, sizeof box);
	now_ms += SEAL_CHAIN_MS;
	seal_ring_sweep(ring);
	ck_assert_mem_eq(c->chain, zero, sizeof zero);
	ck_assert_int_eq(c->chain_ends_at, 0);
	seal_ring_free(ring);
}
END_TEST

/* A box is opened once, however many messages have it, and few are remembered. */
START_TEST(an_opener_remembers_boxes_within_bounds)
{
	struct sealed sealed[40];

	for (size_t i = 0; i < 40; i++) {
		now_ms += SEAL_CHAIN_MS;
		ck_assert_ok(seal_content_refresh(&alice.content, &source, alice.public_key));
		sealed[i] = seal_bytes(&alice.content, slice_make(&i, sizeof i));
	}
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 40; i++) {
			ck_assert_ok(open_bytes(alice.opener, &sealed[i], opened));
			ck_assert_mem_eq(opened, &i, sizeof i);
		}
	}
	for (size_t i = 0; i < 40; i++)
		free(sealed[i].bytes);
}
END_TEST

/* A store with one sealed message of alice; the same in clear is what is expected. */
static struct fixture f;

static const char text[] = "Subject: a sealed message\r\nMessage-ID: <a@b>\r\n\r\n";

static uint32_t
append_sealed(struct slice message)
{
	struct package plain, sealed;
	struct slice bytes;
	struct writer_target target = {
		.account = ALICE, .mailbox = STORE_INBOX, .prefix = SLICE("X: y\r\n")};
	struct writer_append request = {.targets = &target, .target_count = 1};

	ck_assert_ok(package_make(f.packer, message, &plain));
	ck_assert_ok(package_seal(&plain, &alice.content, &entropy_system, &sealed));
	ck_assert_ok(memfd_map(sealed.fd, SIZE_MAX, &bytes));
	ck_assert_uint_eq(bytes.len, sealed.structure_len + sealed.body.stored_len);
	ck_assert(slice_find(bytes, SLICE("sealed message")) == bytes.len);
	request.structure = slice_first(bytes, sealed.structure_len);
	request.body = slice_after(bytes, sealed.structure_len);
	request.info = sealed.body;
	fixture_begin(&f);
	writer_append(f.writer, &request);
	fixture_commit(&f);
	ck_assert_ok(target.fault);
	memfd_unmap(&bytes);
	package_clear(&plain);
	package_clear(&sealed);
	return target.uid;
}

static enum fault
read_all(uint32_t uid, uint64_t offset, size_t len)
{
	static struct store_content content;
	struct store_message m;

	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_message(f.reader, ALICE, STORE_INBOX, uid, &m));
	ck_assert_ok(reader_content(f.reader, &m, &content));
	reader_end(f.reader);
	return reader_read(f.reader, &content, offset, (struct body_span){opened, len});
}

static enum fault
read_structure(uint32_t uid, struct structure *structure)
{
	struct store_message m;
	struct slice bytes;

	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_message(f.reader, ALICE, STORE_INBOX, uid, &m));
	enum fault fault = reader_structure(f.reader, &m, &bytes);
	if (fault == FAULT_OK)
		fault = structure_open(bytes, structure);
	reader_end(f.reader);
	return fault;
}

START_TEST(a_store_keeps_sealed_mail_and_opens_it_with_the_key)
{
	struct buffer message;
	struct structure structure;

	fixture_open(&f);
	buffer_init(&message, sizeof noise);
	buffer_add_text(&message, text);
	while (buffer_len(&message) < 3 * C)
		buffer_add_text(&message, "words that are packed before they are sealed\r\n");
	size_t packed_len = buffer_len(&message);
	uint32_t packed = append_sealed(buffer_slice(&message));
	randombytes_buf(noise, sizeof noise);
	memcpy(noise, text, sizeof text - 1);
	uint32_t raw = append_sealed(slice_make(noise, 3 * C));
	uint32_t small = append_sealed(slice_text(text));
	fixture_verify(&f);
	/* The last letter of the prefix, which is in clear, then the body, which is not. */
	ck_assert_fault(read_all(packed, 5, 2), FAULT_SEALED);
	ck_assert_fault(read_structure(packed, &structure), FAULT_SEALED);
	reader_use_key(f.reader, bob.opener);
	ck_assert_fault(read_all(packed, 6, 1), FAULT_SEALED);
	ck_assert_fault(read_structure(small, &structure), FAULT_SEALED);
	reader_use_key(f.reader, alice.opener);
	ck_assert_ok(read_all(packed, 6, packed_len));
	ck_assert_mem_eq(opened, buffer_slice(&message).data, packed_len);
	ck_assert_ok(read_structure(packed, &structure));
	ck_assert_uint_eq(structure.size, packed_len);
	ck_assert_ok(read_all(raw, 6, 3 * C));
	ck_assert_mem_eq(opened, noise, 3 * C);
	/* Across a border of chunks, and forward and backward. */
	for (size_t at = 2 * C - 10; at > C - 20; at -= C / 3) {
		ck_assert_ok(read_all(raw, 6 + at, 20));
		ck_assert_mem_eq(opened, noise + at, 20);
	}
	ck_assert_fault(read_all(raw, 6 + 3 * C - 10, 11), FAULT_DAMAGED);
	/* What was opened is gone with the key. */
	reader_use_key(f.reader, NULL);
	ck_assert_fault(read_all(raw, 6, 10), FAULT_SEALED);
	ck_assert_ok(read_all(raw, 0, 6));
	fixture_reopen(&f);
	fixture_verify(&f);
	reader_use_key(f.reader, alice.opener);
	ck_assert_ok(read_all(small, 6, sizeof text - 1));
	ck_assert_mem_eq(opened, text, sizeof text - 1);
	reader_use_key(f.reader, NULL);
	fixture_close(&f);
	buffer_clear(&message);
}
END_TEST

UNIT(seal)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, lengths_go_both_ways);
	unit_add(tc, what_was_sealed_opens);
	unit_add(tc, only_its_key_opens_it);
	unit_add(tc, every_changed_bit_is_noticed);
	unit_add(tc, chunks_keep_their_place_and_their_number);
	unit_add(tc, messages_of_one_content_key_do_not_mix);
	unit_add(tc, codec_and_domain_are_bound);
	unit_add(tc, structures_open_whole_or_not_at_all);
	unit_add(tc, a_content_key_lives_for_minutes_and_for_one_account);
	unit_add(tc, a_chain_goes_forward_only);
	unit_add(tc, a_chain_ends_with_its_day);
	unit_add(tc, the_ring_is_bounded_and_forgets);
	unit_add(tc, an_opener_remembers_boxes_within_bounds);
	unit_add(tc, a_store_keeps_sealed_mail_and_opens_it_with_the_key);
}
