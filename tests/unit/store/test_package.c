/* SPDX-License-Identifier: ISC */
#include "common/store/package.h"

#include "common/base/memfd.h"
#include "tests/unit/unit.h"

static struct package
package_of(const char *message)
{
	struct body_packer *packer = body_packer_new();
	struct package p;

	ck_assert_int_eq(package_make(packer, slice_text(message), &p), FAULT_OK);
	body_packer_free(packer);
	return p;
}

START_TEST(package_holds_structure_and_body)
{
	struct package p = package_of("Subject: x\r\nMessage-ID: <a@b>\r\n\r\nhello\r\n");
	struct slice bytes;
	struct structure structure;

	ck_assert_int_eq(memfd_map(p.fd, SIZE_MAX, &bytes), FAULT_OK);
	ck_assert_uint_eq(bytes.len, p.structure_len + p.body.stored_len);
	ck_assert_int_eq(structure_open(slice_first(bytes, p.structure_len), &structure), FAULT_OK);
	ck_assert_uint_eq(structure.size, p.body.plain_len);
	ck_assert_uint_eq(p.references_len, 8);
	memfd_unmap(&bytes);
	package_clear(&p);
}
END_TEST

static bool
share_a_reference(const struct package *a, const struct package *b)
{
	for (size_t i = 0; i < a->references_len; i += 8)
		for (size_t j = 0; j < b->references_len; j += 8)
			if (memcmp(a->references + i, b->references + j, 8) == 0)
				return true;
	return false;
}

START_TEST(reply_shares_a_reference_with_what_it_answers)
{
	struct package first = package_of("Message-ID: <a@b>\r\n\r\n");
	struct package reply = package_of("Message-ID: <c@d>\r\nIn-Reply-To: <a@b>\r\n\r\n");
	struct package later = package_of("Message-ID: <e@f>\r\nReferences: <a@b> <c@d>\r\n\r\n");
	struct package other = package_of("Message-ID: <x@y>\r\n\r\n");

	ck_assert(share_a_reference(&first, &reply));
	ck_assert(share_a_reference(&reply, &later));
	ck_assert(!share_a_reference(&first, &other));
	package_clear(&first);
	package_clear(&reply);
	package_clear(&later);
	package_clear(&other);
}
END_TEST

START_TEST(anything_can_be_packed)
{
	static const char *const messages[] = {"", "\r\n", "no header", "\xff\xfe", "A:\n\nb"};

	for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
		struct package p = package_of(messages[i]);

		ck_assert_uint_eq(p.body.plain_len, strlen(messages[i]));
		package_clear(&p);
	}
}
END_TEST

START_TEST(long_list_of_references_keeps_root_and_end)
{
	struct buffer text;
	struct package p, root, last;

	buffer_init(&text, 65536);
	buffer_add_text(&text, "Message-ID: <own@x>\r\nReferences:");
	for (int i = 0; i < 150; i++)
		buffer_printf(&text, "\r\n <r%d@x>", i);
	buffer_add_text(&text, "\r\n\r\n");
	buffer_add_byte(&text, '\0');
	p = package_of(buffer_slice(&text).data);
	root = package_of("Message-ID: <r0@x>\r\n\r\n");
	last = package_of("Message-ID: <r149@x>\r\n\r\n");
	ck_assert_uint_le(p.references_len, sizeof p.references);
	ck_assert(share_a_reference(&p, &root));
	ck_assert(share_a_reference(&p, &last));
	package_clear(&p);
	package_clear(&root);
	package_clear(&last);
	buffer_clear(&text);
}
END_TEST

UNIT(package)
{
	unit_add(tc, package_holds_structure_and_body);
	unit_add(tc, reply_shares_a_reference_with_what_it_answers);
	unit_add(tc, anything_can_be_packed);
	unit_add(tc, long_list_of_references_keeps_root_and_end);
}
