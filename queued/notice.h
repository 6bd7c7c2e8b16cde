/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications (RFC 3461 6, RFC 3464): the text of a bounce, a delay notice or a
 * success notice.  Pure: everything is passed in.  Sent from <> to the sender (RFC 5321 6.1),
 * marked Auto-Submitted (RFC 3834 5).  Addresses that need UTF-8 make it an internationalized one
 * (RFC 6533).
 */
#ifndef QUEUED_NOTICE_H
#define QUEUED_NOTICE_H

#include "common/base/buffer.h"
#include "queued/schedule.h"

enum {
	NOTICE_FULL_MAX = 10 * 1024 * 1024, /* a larger message comes back as its header only */
	NOTICE_HEADER_MAX = 256 * 1024,
	NOTICE_SIZE_MAX = NOTICE_FULL_MAX + 4 * 1024 * 1024,
	NOTICE_RECIPIENTS_MAX = 1000,
};

enum notice_kind {
	NOTICE_FAILED,
	NOTICE_DELAYED,
	NOTICE_DELIVERED, /* into a mailbox here */
	NOTICE_RELAYED, /* to a host that does not send notices */
};

struct notice_recipient {
	const struct queue_recipient *recipient;
	const struct attempt *attempt;
	bool expired;
};

struct notice {
	enum notice_kind kind;
	uint64_t id; /* of the notice, for its Message-ID and boundary */
	struct slice hostname;
	int64_t now_ms;
	int64_t retry_until_ms; /* of DELAYED */
	const struct queue_message *message;
	const struct notice_recipient *recipients;
	size_t recipient_count;
	struct slice original; /* bytes of the message; empty when they cannot be read */
};

/* How it must be sent. */
struct notice_needs {
	bool is_8bit; /* 8BITMIME */
	bool is_utf8; /* SMTPUTF8 */
};

/* Appends the message; the fault is the buffer's. */
MUST_USE enum fault notice_format(const struct notice *, struct buffer *, struct notice_needs *);

#endif
