/* SPDX-License-Identifier: ISC */
/*
 * Owns the client's side of a connection.  The buffer grows only for a long line; untouched pages
 * of it cost nothing, so that ten thousand idle connections stay small.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tools/load/connection.h"

enum { BUFFER_FIRST = 131072, BUFFER_MAX = 4194304, TEXT_MAX = 4096, SILENCE_S = 60 };

static SSL_CTX *tls_context;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

/* Every handshake is a full one: no session is kept. */
static void
tls_prepare(void)
{
	tls_context = SSL_CTX_new(TLS_client_method());
	if (tls_context == NULL)
		load_die("no TLS context");
	SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
}

static void
handshake(struct connection *c)
{
	pthread_once(&tls_once, tls_prepare);
	c->ssl = SSL_new(tls_context);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
		load_die("TLS handshake failed");
}

void
connection_adopt(struct connection *c, int fd)
{
	const struct timeval silence = {.tv_sec = SILENCE_S};
	const int one = 1;

	*c = (struct connection){.fd = fd};
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
}

void
connection_open(struct connection *c, const struct load *load, unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, load->host, &to.sin_addr) != 1)
		load_die("no socket to %s: %s", load->host, strerror(errno));
	connection_adopt(c, fd);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		load_die("connect to port %u: %s", port, strerror(errno));
	if (load->tls)
		handshake(c);
}

void
connection_close(struct connection *c)
{
	if (c->ssl != NULL) {
		(void)SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	close(c->fd);
	free(c->data);
	*c = (struct connection){.fd = -1};
}

void
connection_send(struct connection *c, struct slice bytes)
{
	while (!slice_is_empty(bytes)) {
		size_t part = bytes.len < 1048576 ? bytes.len : 1048576;
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, bytes.data, (int)part)
					   : send(c->fd, bytes.data, part, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			load_die("send: %s", strerror(errno));
		bytes = slice_after(bytes, (size_t)n);
	}
}

void
connection_printf(struct connection *c, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (n < 0 || n >= (int)sizeof(text))
		load_die("command too long");
	connection_send(c, slice_make(text, (size_t)n));
}

/* Makes room behind what is buffered. */
static void
make_room(struct connection *c)
{
	if (c->start == c->end)
		c->start = c->end = 0;
	if (c->start > 0 && c->end == c->size) {
		memmove(c->data, c->data + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->end < c->size)
		return;
	c->size = c->size == 0 ? BUFFER_FIRST : c->size * 2;
	if (c->size > BUFFER_MAX)
		load_die("line too long");
	c->data = realloc(c->data, c->size);
	if (c->data == NULL)
		load_die("out of memory");
}

/* False at the end of the connection. */
static bool
fill(struct connection *c)
{
	ssize_t n;

	make_room(c);
	do
		n = c->ssl != NULL ? SSL_read(c->ssl, c->data + c->end, (int)(c->size - c->end))
				   : recv(c->fd, c->data + c->end, c->size - c->end, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		load_die("receive: %s", strerror(errno));
	c->end += (size_t)n;
	return n > 0;
}

bool
connection_try_line(struct connection *c, struct slice *line)
{
	size_t searched = 0;

	for (;;) {
		struct slice have = slice_make(c->data + c->start, c->end - c->start);
		size_t at = searched + slice_find_byte(slice_after(have, searched), '\n');

		if (at < have.len) {
			c->start += at + 1;
			*line = slice_first(
				have, at > 0 && have.data[at - 1] == '\r' ? at - 1 : at);
			return true;
		}
		searched = have.len;
		if (!fill(c))
			return false;
	}
}

struct slice
connection_line(struct connection *c)
{
	struct slice line;

	if (!connection_try_line(c, &line))
		load_die("the server closed the connection");
	return line;
}

void
connection_skip(struct connection *c, uint64_t bytes)
{
	while (bytes > 0) {
		size_t have = c->end - c->start;
		size_t n = have < bytes ? have : (size_t)bytes;

		c->start += n;
		bytes -= n;
		if (bytes == 0)
			return;
		if (!fill(c))
			load_die("the server closed the connection inside a literal");
	}
}
