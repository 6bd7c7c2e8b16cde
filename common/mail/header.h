/* SPDX-License-Identifier: ISC */
/*
 * Walking a header section (RFC 5322 2.2), with CRLF or bare LF line ends.  Never fails: a line
 * that is no field is walked as a field without a name.  The section ends with the first empty
 * line, which belongs to it, or with the text.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "common/base/arena.h"
#include "common/base/cursor.h"
#include "common/base/fault.h"

/*
 * The fields that programs ask for.  The numbers are stored (structure.h): add at the end, never
 * reorder.  H(name, text)
 */
#define HEADER_IDS(H)                                                                              \
	H(OTHER, "")                                                                               \
	H(FROM, "From")                                                                            \
	H(SENDER, "Sender")                                                                        \
	H(REPLY_TO, "Reply-To")                                                                    \
	H(TO, "To")                                                                                \
	H(CC, "Cc")                                                                                \
	H(BCC, "Bcc")                                                                              \
	H(SUBJECT, "Subject")                                                                      \
	H(DATE, "Date")                                                                            \
	H(MESSAGE_ID, "Message-ID")                                                                \
	H(IN_REPLY_TO, "In-Reply-To")                                                              \
	H(REFERENCES, "References")                                                                \
	H(RECEIVED, "Received")                                                                    \
	H(RETURN_PATH, "Return-Path")                                                              \
	H(DELIVERED_TO, "Delivered-To")                                                            \
	H(MIME_VERSION, "MIME-Version")                                                            \
	H(CONTENT_TYPE, "Content-Type")                                                            \
	H(CONTENT_TRANSFER_ENCODING, "Content-Transfer-Encoding")                                  \
	H(CONTENT_ID, "Content-ID")                                                                \
	H(CONTENT_DESCRIPTION, "Content-Description")                                              \
	H(CONTENT_MD5, "Content-MD5")                                                              \
	H(CONTENT_DISPOSITION, "Content-Disposition")                                              \
	H(CONTENT_LANGUAGE, "Content-Language")                                                    \
	H(CONTENT_LOCATION, "Content-Location")                                                    \
	H(LIST_ID, "List-Id")                                                                      \
	H(LIST_POST, "List-Post")                                                                  \
	H(LIST_UNSUBSCRIBE, "List-Unsubscribe")                                                    \
	H(AUTO_SUBMITTED, "Auto-Submitted")                                                        \
	H(PRECEDENCE, "Precedence")                                                                \
	H(PRIORITY, "Priority")                                                                    \
	H(X_PRIORITY, "X-Priority")                                                                \
	H(IMPORTANCE, "Importance")                                                                \
	H(DKIM_SIGNATURE, "DKIM-Signature")                                                        \
	H(AUTHENTICATION_RESULTS, "Authentication-Results")                                        \
	H(RECEIVED_SPF, "Received-SPF")                                                            \
	H(USER_AGENT, "User-Agent")                                                                \
	H(X_MAILER, "X-Mailer")                                                                    \
	H(NEWSGROUPS, "Newsgroups")                                                                \
	H(RESENT_FROM, "Resent-From")                                                              \
	H(RESENT_TO, "Resent-To")                                                                  \
	H(RESENT_DATE, "Resent-Date")                                                              \
	H(RESENT_MESSAGE_ID, "Resent-Message-ID")

#define HEADER_ENUM(name, text) HEADER_##name,
enum header_id { HEADER_IDS(HEADER_ENUM) HEADER_ID_COUNT };
#undef HEADER_ENUM

struct header_field {
	struct slice whole; /* from the name to the last line end, which it contains */
	struct slice name; /* as written; empty for a line that is no field */
	struct slice value; /* all behind the colon, folds inside, without the last line end */
};

/* HEADER_OTHER for a name that the table does not have; ASCII case is ignored. */
enum header_id header_identify(struct slice name);
/* The name as RFCs write it; "" for HEADER_OTHER. */
struct slice header_name(enum header_id);

/* False at the empty line (which stays) and at the end of the text. */
bool take_header_field(struct cursor *, struct header_field *);
/* CRLF or LF at the cursor. */
bool take_line_end(struct cursor *);
/* Bytes of the header section with its empty line; all of message when that is missing. */
size_t header_section_len(struct slice message);

/* The first field of that name, ASCII case ignored. */
bool header_find(struct slice section, struct slice name, struct header_field *);
size_t header_count(struct slice section, struct slice name);
/*
 * The value on one line: line ends removed, white space at both ends trimmed (RFC 5322 2.2.3).
 * Borrows when there is nothing to remove, else copies into the arena; FAULT_BUDGET.
 */
enum fault header_unfold(struct slice value, struct arena *, struct slice *text) MUST_USE;
/*
 * White space and comments (CFWS, RFC 5322 3.2.2), folded or not; always succeeds, an open
 * comment runs to the end.
 */
void take_cfws(struct cursor *);

/* The Received fields of the section: the hop count of RFC 5321 6.3. */
size_t header_received_count(struct slice section);

#endif
