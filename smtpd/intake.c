/* SPDX-License-Identifier: ISC */
/* Message bytes into a memfd, within the process's budget. */
#include <unistd.h>

#include "common/base/memfd.h"
#include "smtpd/smtpd.h"

enum { GATHER = 32 * 1024, GATHER_MAX = 4 * 1024 * 1024 };

void
intake_init(struct intake *in, struct smtpd *smtpd)
{
	*in = (struct intake){.smtpd = smtpd, .fd = -1};
	buffer_init(&in->gathered, GATHER_MAX);
}

void
intake_drop(struct intake *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
	in->smtpd->bytes_held -= in->bytes;
	in->bytes = 0;
	buffer_clear(&in->gathered);
}

static bool
fits(const struct intake *in, size_t len)
{
	const struct settings *settings = daemon_settings(in->smtpd->front.daemon);

	return in->smtpd->bytes_held + len <= (uint64_t)settings->message_memory;
}

static enum fault
open_sink(void *arg)
{
	struct intake *in = arg;
	enum fault fault = FAULT_BUDGET;

	intake_drop(in);
	if (fits(in, GATHER))
		in->fd = memfd_open("message", &fault);
	return in->fd >= 0 ? FAULT_OK : fault;
}

static enum fault
write_gathered(struct intake *in)
{
	enum fault fault = memfd_append(in->fd, buffer_slice(&in->gathered));

	buffer_reset(&in->gathered);
	return fault;
}

static enum fault
write_sink(void *arg, struct slice bytes)
{
	struct intake *in = arg;

	if (!fits(in, bytes.len))
		return FAULT_BUDGET;
	in->bytes += bytes.len;
	in->smtpd->bytes_held += bytes.len;
	if (bytes.len >= GATHER) {
		enum fault fault = write_gathered(in);

		return fault == FAULT_OK ? memfd_append(in->fd, bytes) : fault;
	}
	buffer_add_slice(&in->gathered, bytes);
	if (buffer_fault(&in->gathered) != FAULT_OK)
		return buffer_fault(&in->gathered);
	return buffer_len(&in->gathered) >= GATHER ? write_gathered(in) : FAULT_OK;
}

static void
drop_sink(void *arg)
{
	intake_drop(arg);
}

const struct smtp_sink intake_sink = {open_sink, write_sink, drop_sink};

enum fault
intake_seal(struct intake *in)
{
	enum fault fault = write_gathered(in);

	buffer_clear(&in->gathered);
	return fault == FAULT_OK ? memfd_seal(in->fd) : fault;
}
