/* SPDX-License-Identifier: ISC */
/* Walking segments that may be damaged: nothing here believes a length without its checksum. */
#include "common/store/log_scan.h"

#include <string.h>

#include "common/store/segment_format.h"

enum {
	PIECE = 64 * 1024, /* bytes looked through at once */
	PIECES = 64, /* in one step */
	UNREADABLE = 4096, /* passed over when the disk cannot read them */
};

void
log_scan_init(struct log_scan *s, struct segment_files *files, struct segment_tail end)
{
	*s = (struct log_scan){.files = files, .end = end, .at = {1, 0}};
}

static void
segment_leave(struct log_scan *s)
{
	s->at = (struct segment_tail){s->at.segment + 1, 0};
	s->entered = false;
}

static enum fault
segment_enter(struct log_scan *s, enum log_found *found)
{
	enum fault fault = segment_files_size(s->files, s->at.segment, &s->size);

	s->place = (struct segment_place){.segment = s->at.segment};
	if (fault == FAULT_NOT_FOUND) {
		*found = LOG_MISSING;
		segment_leave(s);
		return FAULT_OK;
	}
	if (fault != FAULT_OK)
		return fault;
	s->entered = true;
	if (s->at.segment == s->end.segment && s->size > s->end.length)
		s->size = s->end.length;
	*found = LOG_ENTERED;
	return FAULT_OK;
}

static bool
record_read(struct log_scan *s, uint64_t offset)
{
	s->place = (struct segment_place){s->at.segment, offset, 0};
	return s->size - offset >= SEGMENT_HEADER_SIZE &&
		segment_files_header(s->files, &s->place, &s->record) == FAULT_OK &&
		s->place.length <= s->size - offset;
}

/* The first whole header among these bytes; len when there is none. */
static size_t
header_search(struct log_scan *s, uint64_t offset, const char *bytes, size_t len)
{
	static const char zeros[SEGMENT_ALIGN];

	for (size_t i = 0; i < len; i += SEGMENT_ALIGN) {
		if (len - i >= SEGMENT_ALIGN && memcmp(bytes + i, zeros, SEGMENT_ALIGN) == 0)
			continue;
		if (len - i >= SEGMENT_ALIGN && segment_is_magic(bytes + i) &&
			record_read(s, offset + i))
			return i;
		s->zeros = false;
	}
	return len;
}

static void
damage_tell(struct log_scan *s, enum log_found *found)
{
	s->place = (struct segment_place){s->at.segment, s->at.length, s->searched};
	s->at.length += s->searched;
	s->searched = 0;
	s->to_end = s->at.length >= s->size;
	*found = LOG_DAMAGE;
}

static void
damage_search(struct log_scan *s, enum log_found *found)
{
	static char bytes[PIECE];

	*found = LOG_MORE;
	for (int i = 0; i < PIECES && *found == LOG_MORE; i++) {
		uint64_t offset = s->at.length + s->searched, left = s->size - offset;
		size_t len = left < PIECE ? (size_t)left : PIECE, at;
		if (segment_files_read(s->files, s->at.segment, offset, bytes, len) != FAULT_OK) {
			s->zeros = false;
			at = len = len < UNREADABLE ? len : UNREADABLE;
		} else {
			at = header_search(s, offset, bytes, len);
		}
		s->searched += at;
		if (at < len || s->at.length + s->searched >= s->size)
			damage_tell(s, found);
	}
}

enum fault
log_scan_next(struct log_scan *s, enum log_found *found)
{
	if (s->entered && s->searched == 0 && s->at.length >= s->size)
		segment_leave(s);
	if (s->at.segment > s->end.segment || s->at.segment == 0) {
		*found = LOG_END;
		return FAULT_OK;
	}
	if (!s->entered)
		return segment_enter(s, found);
	if (s->searched == 0 && record_read(s, s->at.length)) {
		s->at.length += s->place.length;
		*found = LOG_RECORD;
		return FAULT_OK;
	}
	if (s->searched == 0) {
		/* What stands here is none: search behind it. */
		char first[SEGMENT_ALIGN] = {1};
		static const char zeros[SEGMENT_ALIGN];
		uint64_t left = s->size - s->at.length;
		s->searched = left < SEGMENT_ALIGN ? left : SEGMENT_ALIGN;
		(void)!segment_files_read(
			s->files, s->at.segment, s->at.length, first, (size_t)s->searched);
		s->zeros = memcmp(first, zeros, (size_t)s->searched) == 0;
	}
	if (s->at.length + s->searched >= s->size)
		damage_tell(s, found);
	else
		damage_search(s, found);
	return FAULT_OK;
}
