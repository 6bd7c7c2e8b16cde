/* SPDX-License-Identifier: ISC */
/* Prints a store at rest as text, as dump.h tells: store_dump DIRECTORY. */
#include <sodium.h>
#include <stdio.h>

#include "tests/unit/store/dump.h"

int
main(int argc, char **argv)
{
	struct store_reader *reader = NULL;

	if (argc != 2) {
		fputs("usage: store_dump DIRECTORY\n", stderr);
		return 2;
	}
	if (sodium_init() < 0)
		return 1;
	enum fault fault = reader_open(argv[1], &reader);
	if (fault == FAULT_OK)
		fault = dump_store(stdout, reader);
	reader_close(reader);
	if (fault != FAULT_OK)
		fprintf(stderr, "store_dump: %s: %s\n", argv[1], fault_text(fault));
	return fault != FAULT_OK;
}
