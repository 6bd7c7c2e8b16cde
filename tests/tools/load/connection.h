/* SPDX-License-Identifier: ISC */
/*
 * One blocking client connection, plain or TLS, with a large read buffer.  Errors and a silence
 * of a minute end the program.
 */
#ifndef LOAD_CONNECTION_H
#define LOAD_CONNECTION_H

#include <openssl/ssl.h>

#include "tests/tools/load/load.h"

struct connection {
	int fd;
	SSL *ssl; /* NULL: plain */
	char *data;
	size_t start, end, size;
	unsigned tag; /* of the last IMAP command */
};

void connection_open(struct connection *, const struct load *, unsigned port);
/* Takes over an accepted socket. */
void connection_adopt(struct connection *, int fd);
void connection_close(struct connection *);
void connection_send(struct connection *, struct slice bytes);
void connection_printf(struct connection *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The next line without its end, valid until the next call. */
struct slice connection_line(struct connection *);
/* The same; false at the end of the connection. */
bool connection_try_line(struct connection *, struct slice *line);
void connection_skip(struct connection *, uint64_t bytes);

#endif
