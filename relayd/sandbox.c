/* SPDX-License-Identifier: ISC */
/*
 * The rights of relayd: its user, sockets to the internet; no file.  What its libraries read from
 * files (CA certificates, resolv.conf) is read here, before the rights are given up.
 */
#include "common/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/base/log.h"
#include "relayd/relayd.h"

enum { DESCRIPTORS_MAX = 32768, TRUST_MAX = 16 * 1024 * 1024, READ_CHUNK = 65536 };

static enum fault
read_file(const char *path, struct buffer *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd < 0)
		return fault_from_errno(errno);
	do {
		void *at = buffer_reserve(out, READ_CHUNK);

		n = at != NULL ? read(fd, at, READ_CHUNK) : -1;
		if (n > 0)
			buffer_added(out, (size_t)n);
	} while (n > 0);
	close(fd);
	return n == 0 ? FAULT_OK : FAULT_IO;
}

/* Without CA certificates opportunistic TLS still works, routes that check do not. */
static enum fault
open_tls(struct relayd *r, const char *trust_file)
{
	struct tls_client_options may = {.verify = false}, must = {.verify = true};
	struct buffer trust;
	enum fault fault;

	buffer_init(&trust, TRUST_MAX);
	fault = read_file(trust_file, &trust);
	if (fault != FAULT_OK)
		log_warning("cannot read %s: no certificate can be checked", trust_file);
	must.trust_pem = buffer_slice(&trust);
	may.trust_pem = must.trust_pem;
	r->tls_may = tls_client_new(&may);
	r->tls_must = tls_client_new(&must);
	buffer_clear(&trust);
	return r->tls_may != NULL && r->tls_must != NULL ? FAULT_OK : FAULT_NOMEM;
}

enum fault
relayd_sandbox(struct daemon *daemon, void *state)
{
	static const struct sandbox_path no_paths[] = {{NULL, 0}};
	struct sandbox sandbox = {
		.paths = no_paths,
		.calls = SANDBOX_CONNECT,
		.files_max = DESCRIPTORS_MAX,
	};
	struct relayd *r = state;
	enum fault fault;

	fault = open_tls(r, daemon_settings(daemon)->trust_file);
	if (fault != FAULT_OK)
		return fault;
	r->dns = dns_open(daemon_base(daemon), daemon_settings(daemon)->resolver);
	if (r->dns == NULL)
		return FAULT_DNS;
	daemon_sandbox_user(daemon, &sandbox);
	return sandbox_enter(&sandbox);
}
