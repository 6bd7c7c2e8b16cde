/* SPDX-License-Identifier: ISC */
/* Which segment files there are, for who appends to them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/directory.h"
#include "common/store/segment_private.h"

static enum fault
last_note(void *arg, const char *name)
{
	uint32_t *last = arg, segment;

	if (segment_name_parse(slice_text(name), &segment) && segment > *last)
		*last = segment;
	return FAULT_OK;
}

enum fault
segments_last(struct segments *s, struct segment_tail *tail)
{
	char name[SEGMENT_NAME_SIZE];
	struct stat status;

	*tail = (struct segment_tail){0};
	enum fault fault = directory_each(s->dir, last_note, &tail->segment);
	if (fault != FAULT_OK || tail->segment == 0)
		return fault;
	if (fstatat(s->dir, segment_name(tail->segment, name), &status, AT_SYMLINK_NOFOLLOW) < 0)
		return fault_from_errno(errno);
	tail->length = (uint64_t)status.st_size / SEGMENT_ALIGN * SEGMENT_ALIGN;
	return FAULT_OK;
}

struct removal {
	struct segments *segments;
	uint32_t last;
};

static enum fault
later_remove(void *arg, const char *name)
{
	struct removal *r = arg;
	uint32_t segment;

	if (!segment_name_parse(slice_text(name), &segment) || segment <= r->last)
		return FAULT_OK;
	return segments_remove(r->segments, segment);
}

enum fault
segment_later_remove(struct segments *s, uint32_t last)
{
	struct removal r = {s, last};

	return directory_each(s->dir, later_remove, &r);
}
