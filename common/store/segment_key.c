/* SPDX-License-Identifier: ISC */
/* The key of header checksums, where segments are appended to: one for all files of a store. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/store/segment_private.h"

enum { KEY_SEARCH = 1000 }; /* files whose heads are looked at */

static bool
key_read_of(struct segments *s, uint32_t segment)
{
	char name[SEGMENT_NAME_SIZE];
	int file = openat(s->dir, segment_name(segment, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool found = file >= 0 && segment_key_read(file, &s->key) == FAULT_OK;

	if (file >= 0)
		close(file);
	return found;
}

void
segment_key_find(struct segments *s)
{
	struct segment_tail last;
	bool found = false;

	if (segments_last(s, &last) != FAULT_OK)
		last.segment = 0;
	for (uint32_t i = last.segment; i > 0 && !found && last.segment - i < KEY_SEARCH; i--)
		found = key_read_of(s, i);
	found = found || key_read_of(s, SEGMENT_KEY_COPY);
	s->key_is_known = found;
	if (!found)
		entropy_system.fill(entropy_system.arg, s->key.bytes, sizeof(s->key.bytes));
}

/*
 * The key once more, in a file of its own: a store may have one segment only, and without its first
 * block nothing in it could be told from anything else.  No guarantee hangs on it.
 */
void
segment_key_copy(struct segments *s)
{
	uint8_t head[SEGMENT_HEAD_SIZE];
	char name[SEGMENT_NAME_SIZE];
	int file = openat(s->dir, segment_name(SEGMENT_KEY_COPY, name),
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, s->mode);

	if (file < 0)
		return;
	segment_head_encode(&s->key, head);
	bool is_whole = fchmod(file, s->mode) == 0 &&
		pwrite(file, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
		fdatasync(file) == 0;
	close(file);
	/* Made again with the next segment. */
	if (!is_whole)
		(void)unlinkat(s->dir, name, 0);
	s->dir_dirty = true;
}
