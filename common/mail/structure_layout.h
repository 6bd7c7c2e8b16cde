/* SPDX-License-Identifier: ISC */
/*
 * Where the numbers of the stored structure stand (structure.h has the whole picture).  Shared by
 * the writer, structure_build.c, and the reader, structure.c, and by nobody else.
 */
#ifndef MAIL_STRUCTURE_LAYOUT_H
#define MAIL_STRUCTURE_LAYOUT_H

#define STRUCTURE_MAGIC UINT32_C(0x50625374) /* "PbSt" */

/* The fixed header; what is not named is zero. */
enum structure_header_offset {
	AT_MAGIC = 0, /* u32 */
	AT_VERSION = 4, /* u16 */
	AT_FLAGS = 6, /* u16: enum structure_flag */
	AT_TOTAL = 8, /* u32: bytes of the structure */
	AT_PART_COUNT = 12, /* u32 */
	AT_SIZE = 16, /* u32: bytes of the message */
	AT_FIELDS = 20, /* u32: offset of the header index */
	AT_FIELD_COUNT = 24, /* u32 */
	AT_REFERENCES = 28, /* u32: offset */
	AT_REFERENCE_COUNT = 32, /* u32 */
	AT_PREVIEW = 36, /* u32: offset of one text */
	AT_SENT = 40, /* u64: seconds, two's complement */
	AT_SENT_ZONE = 48, /* u16: minutes, two's complement */
};

enum structure_flag { FLAG_SENT = 1, FLAG_ATTACHMENT = 2, FLAG_INDEXED = 4, FLAG_ALL = 7 };

/* A record of the part table. */
enum structure_part_offset {
	PART_PARENT = 0, /* u16 */
	PART_NEXT = 2, /* u16 */
	PART_KIND = 4, /* u8: enum mime_kind; then three zero bytes */
	PART_HEADER_OFFSET = 8, /* u32, and so on */
	PART_HEADER_LEN = 12,
	PART_BODY_OFFSET = 16,
	PART_BODY_LEN = 20,
	PART_LINES = 24,
	PART_DETAILS = 28, /* offset of: type, subtype, encoding, id, description, md5, location,
			      disposition, languages, parameters, disposition parameters */
	PART_ENVELOPE = 32, /* offset, or 0, of: date, subject, in-reply-to, message-id, from,
			       sender, reply-to, to, cc, bcc */
	PART_SIZE = 36,
};

#endif
