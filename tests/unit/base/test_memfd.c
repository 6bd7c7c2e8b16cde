/* SPDX-License-Identifier: ISC */
#include "common/base/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int
make(const char *text)
{
	enum fault fault;
	int fd = memfd_open("test", &fault);

	ck_assert_int_eq(fault, FAULT_OK);
	ck_assert_int_eq(memfd_append(fd, slice_text(text)), FAULT_OK);
	return fd;
}

START_TEST(what_was_appended_is_mapped)
{
	int fd = make("hello, ");
	struct slice bytes;

	ck_assert_int_eq(memfd_append(fd, SLICE("world")), FAULT_OK);
	ck_assert_int_eq(memfd_seal(fd), FAULT_OK);
	ck_assert_int_eq(memfd_map(fd, 12, &bytes), FAULT_OK);
	ck_assert_slice_eq(bytes, "hello, world");
	memfd_unmap(&bytes);
	memfd_unmap(&bytes);
	ck_assert_uint_eq(bytes.len, 0);
	ck_assert_int_eq(memfd_map(fd, 11, &bytes), FAULT_TOO_BIG);
	close(fd);
}
END_TEST

START_TEST(an_empty_one_is_an_empty_slice)
{
	int fd = make("");
	struct slice bytes;

	ck_assert_int_eq(memfd_seal(fd), FAULT_OK);
	ck_assert_int_eq(memfd_map(fd, 0, &bytes), FAULT_OK);
	ck_assert_uint_eq(bytes.len, 0);
	memfd_unmap(&bytes);
	close(fd);
}
END_TEST

START_TEST(after_sealing_nothing_changes)
{
	int fd = make("x");

	ck_assert_int_eq(memfd_seal(fd), FAULT_OK);
	ck_assert_int_ne(memfd_append(fd, SLICE("y")), FAULT_OK);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_ptr_eq(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_ne(memfd_seal(fd), FAULT_OK);
	close(fd);
}
END_TEST

/* A peer that could still shrink or write what we have mapped could end or fool us. */
static const int seals[] = {0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
	F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_WRITE, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_WRITE,
	F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW};

START_TEST(one_that_is_not_wholly_sealed_is_refused)
{
	int fd = make("x");
	struct slice bytes;

	if (seals[_i] != 0)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals[_i]), 0);
	ck_assert_int_eq(memfd_map(fd, 10, &bytes), FAULT_PEER_PROTOCOL);
	close(fd);
}
END_TEST

START_TEST(other_descriptors_are_refused)
{
	int fds[2], file = open("/dev/null", O_RDONLY);
	struct slice bytes;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(memfd_map(fds[0], 10, &bytes), FAULT_PEER_PROTOCOL);
	ck_assert_int_eq(memfd_map(file, 10, &bytes), FAULT_PEER_PROTOCOL);
	ck_assert_int_eq(memfd_map(-1, 10, &bytes), FAULT_PEER_PROTOCOL);
	close(fds[0]);
	close(fds[1]);
	close(file);
}
END_TEST

UNIT(memfd)
{
	unit_add(tc, what_was_appended_is_mapped);
	unit_add(tc, an_empty_one_is_an_empty_slice);
	unit_add(tc, after_sealing_nothing_changes);
	tcase_add_loop_test(tc, one_that_is_not_wholly_sealed_is_refused, 0,
		(int)(sizeof seals / sizeof seals[0]));
	unit_add(tc, other_descriptors_are_refused);
}
