/* SPDX-License-Identifier: ISC */
/* Which segment files there are, for who appends to them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/segment_private.h"

static enum fault
list_open(const struct segments *s, DIR **list)
{
	int copy = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*list = copy >= 0 ? fdopendir(copy) : NULL;
	if (*list != NULL)
		return FAULT_OK;
	enum fault fault = fault_from_errno(errno);
	if (copy >= 0)
		close(copy);
	return fault;
}

enum fault
segments_last(struct segments *s, struct segment_tail *tail)
{
	char name[SEGMENT_NAME_SIZE];
	struct stat status;
	DIR *list;
	enum fault fault = list_open(s, &list);

	*tail = (struct segment_tail){0};
	if (fault != FAULT_OK)
		return fault;
	for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
		uint32_t segment;
		if (segment_name_parse(slice_text(entry->d_name), &segment) &&
			segment > tail->segment)
			tail->segment = segment;
	}
	closedir(list);
	if (tail->segment == 0)
		return FAULT_OK;
	if (fstatat(s->dir, segment_name(tail->segment, name), &status, AT_SYMLINK_NOFOLLOW) < 0)
		return fault_from_errno(errno);
	tail->length = (uint64_t)status.st_size / SEGMENT_ALIGN * SEGMENT_ALIGN;
	return FAULT_OK;
}

enum fault
segment_later_remove(struct segments *s, uint32_t last)
{
	DIR *list;
	enum fault fault = list_open(s, &list);

	if (fault != FAULT_OK)
		return fault;
	for (struct dirent *entry; fault == FAULT_OK && (entry = readdir(list)) != NULL;) {
		uint32_t segment;
		if (segment_name_parse(slice_text(entry->d_name), &segment) && segment > last)
			fault = segments_remove(s, segment);
	}
	closedir(list);
	return fault;
}
