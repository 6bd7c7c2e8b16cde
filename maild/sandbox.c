/* SPDX-License-Identifier: ISC */
/*
 * What is left of root: maild and what it starts keep the capabilities in the list, nobody can get
 * another one or a new privilege by exec.  The children give up the rest by themselves.
 */
#include "maild/maild.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"

static const unsigned kept[] = {
	CAP_NET_BIND_SERVICE, /* ports under 1024 */
	CAP_SETUID, /* the children become their users */
	CAP_SETGID, CAP_CHOWN, /* new directories get their owners */
	CAP_FOWNER, CAP_DAC_OVERRIDE, /* children name their paths before they become their users */
	CAP_KILL, CAP_SYS_CHROOT, /* an empty root where there is no Landlock */
	CAP_SYS_RESOURCE, /* enough descriptors */
};

static uint64_t
kept_mask(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		mask |= UINT64_C(1) << kept[i];
	return mask;
}

/* Without CAP_SETPCAP, as in some containers, the set is small already. */
static void
shrink_bounding_set(void)
{
	for (unsigned c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++) {
		if ((kept_mask() >> c & 1) == 0 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0) {
			log_debug("capability %u cannot be dropped", c);
			return;
		}
	}
}

static enum fault
shrink_own(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}, {0}};

	if (syscall(SYS_capget, &header, data) != 0)
		return FAULT_DENIED;
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(kept_mask() >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? FAULT_OK : FAULT_DENIED;
}

enum fault
maild_sandbox(void)
{
	enum fault fault = FAULT_OK;

	/* Files of the store are for their owner and its group, never for others. */
	umask(0007);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fault = FAULT_DENIED;
	if (fault == FAULT_OK && geteuid() == 0) {
		shrink_bounding_set();
		fault = shrink_own();
	}
	if (fault != FAULT_OK)
		log_error("cannot give up rights: %s", strerror(errno));
	return fault;
}
