/* SPDX-License-Identifier: ISC */
/* Writing notices, in queued.  Texts come from other hosts: they are cleaned of line ends. */
#include "queued/notice.h"

#include "common/base/ascii.h"
#include "common/base/id.h"
#include "common/ipc/payloads.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/mail/utf8.h"
#include "queued/status.h"

enum { FIELD_TEXT_MAX = 700 };

struct writer {
	const struct notice *n;
	struct buffer *out;
	bool utf8; /* addresses may be written as they are (RFC 6533) */
	char id[ID_TEXT_SIZE];
};

static const struct kind_row {
	const char *subject, *action, *lead;
} kinds[] = {
	[NOTICE_FAILED] = {"Undelivered mail returned to sender", "failed",
		"Your message could not be delivered to the recipients below.\r\n"
		"It will not be tried again.\r\n"},
	[NOTICE_DELAYED] = {"Delayed mail (still being retried)", "delayed",
		"Your message could not yet be delivered to the recipients below.\r\n"
		"There is nothing that you need to do: delivery will be tried again.\r\n"},
	[NOTICE_DELIVERED] = {"Successful mail delivery report", "delivered",
		"Your message was delivered to the recipients below.\r\n"},
	[NOTICE_RELAYED] = {"Successful mail relay report", "relayed",
		"Your message was passed on for the recipients below, to a host that\r\n"
		"does not report deliveries.\r\n"},
};

static void
add(struct writer *w, const char *text)
{
	buffer_add_text(w->out, text);
}

/* One line of printable text; what a status part cannot hold becomes "?". */
static void
add_clean(struct writer *w, struct slice text)
{
	text = w->utf8 ? utf8_first(text, FIELD_TEXT_MAX) : slice_first(text, FIELD_TEXT_MAX);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (ascii_is_control(c))
			c = ' ';
		else if (ascii_is_8bit(c) && !w->utf8)
			c = '?';
		buffer_add_byte(w->out, c);
	}
}

static void
add_date(struct writer *w, const char *name, int64_t ms)
{
	struct date date = {.seconds = ms / 1000};

	add(w, name);
	add(w, ": ");
	date_format(&date, w->out);
	add(w, "\r\n");
}

/* "rfc822; a@b", or "utf-8; ..." for an address that needs it (RFC 6533 3). */
static void
add_address(struct writer *w, const char *name, struct slice address)
{
	add(w, name);
	add(w, utf8_is_ascii(address) ? ": rfc822; " : ": utf-8; ");
	add_clean(w, address);
	add(w, "\r\n");
}

/* Parts */

static void
add_header(struct writer *w)
{
	const struct notice *n = w->n;

	add(w, "From: Mail Delivery System <MAILER-DAEMON@");
	buffer_add_slice(w->out, n->hostname);
	add(w, ">\r\nTo: <");
	add_clean(w, n->message->sender);
	add(w, ">\r\nSubject: ");
	add(w, kinds[n->kind].subject);
	add(w, "\r\n");
	add_date(w, "Date", n->now_ms);
	buffer_printf(w->out, "Message-ID: <%s.notice@", w->id);
	buffer_add_slice(w->out, n->hostname);
	add(w, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buffer_printf(w->out,
		"Content-Type: multipart/report; report-type=%sdelivery-status;\r\n"
		"\tboundary=\"pabal-%s\"\r\n\r\n",
		w->utf8 ? "global-" : "", w->id);
	add(w, "This is a report on mail, in MIME format.\r\n");
}

static void
start_part(struct writer *w, const char *type, bool is_8bit)
{
	buffer_printf(w->out, "\r\n--pabal-%s\r\nContent-Type: %s\r\n", w->id, type);
	if (is_8bit)
		add(w, "Content-Transfer-Encoding: 8bit\r\n");
	add(w, "\r\n");
}

static void
add_reason(struct writer *w, const struct notice_recipient *r)
{
	const struct attempt *a = r->attempt;

	if (a->fault == FAULT_OK)
		return;
	add(w, "    ");
	if (r->expired)
		add(w, "The time for delivery is over. The last try ended with:\r\n    ");
	if (a->host.len > 0) {
		add_clean(w, a->host);
		add(w, " said: ");
	}
	add_clean(w, a->text.len > 0 ? a->text : slice_text(fault_text(a->fault)));
	add(w, "\r\n");
}

static void
add_readable(struct writer *w)
{
	const struct notice *n = w->n;

	start_part(w, "text/plain; charset=utf-8", w->utf8);
	add(w, "This is the mail system at ");
	buffer_add_slice(w->out, n->hostname);
	add(w, ".\r\n\r\n");
	add(w, kinds[n->kind].lead);
	if (n->kind == NOTICE_DELAYED)
		add_date(w, "Tries end on", n->retry_until_ms);
	for (size_t i = 0; i < n->recipient_count; i++) {
		add(w, "\r\n<");
		add_clean(w, n->recipients[i].recipient->address);
		add(w, ">\r\n");
		add_reason(w, &n->recipients[i]);
	}
}

/* RFC 3464 2.2 */
static void
add_message_fields(struct writer *w)
{
	const struct notice *n = w->n;

	add(w, "Reporting-MTA: dns; ");
	buffer_add_slice(w->out, n->hostname);
	add(w, "\r\n");
	if (n->message->envid.len > 0) {
		add(w, "Original-Envelope-Id: ");
		add_clean(w, n->message->envid);
		add(w, "\r\n");
	}
	if (n->message->client.len > 0 && n->message->account == 0) {
		add(w, "Received-From-MTA: dns; ");
		add_clean(w, n->message->client);
		add(w, "\r\n");
	}
	add_date(w, "Arrival-Date", n->message->arrived_ms);
}

static struct slice
status_of(const struct notice_recipient *r)
{
	const struct attempt *a = r->attempt;

	if (a->status.len > 0 && status_is_valid(a->status))
		return a->status;
	if (r->expired && a->fault != FAULT_OVER_QUOTA)
		return SLICE("4.4.7");
	return status_of_fault(a->fault);
}

/* RFC 3464 2.3.6: the reply as it was, or our own words under a type of our own. */
static void
add_diagnostic(struct writer *w, const struct attempt *a)
{
	if (a->fault == FAULT_OK)
		return;
	if (a->code == 0) {
		add(w, "Diagnostic-Code: x-pabal; ");
	} else {
		buffer_printf(w->out, "Diagnostic-Code: smtp; %u ", (unsigned)a->code);
		add_clean(w, a->status);
		if (a->status.len > 0)
			add(w, " ");
	}
	add_clean(w, a->text.len > 0 ? a->text : slice_text(fault_text(a->fault)));
	add(w, "\r\n");
}

/* RFC 3464 2.3 */
static void
add_recipient_fields(struct writer *w, const struct notice_recipient *r)
{
	const struct notice *n = w->n;

	add(w, "\r\n");
	if (r->recipient->orcpt.len > 0) {
		add(w, "Original-Recipient: ");
		add_clean(w, r->recipient->orcpt);
		add(w, "\r\n");
	}
	add_address(w, "Final-Recipient", r->recipient->address);
	buffer_printf(w->out, "Action: %s\r\nStatus: ", kinds[n->kind].action);
	add_clean(w, status_of(r));
	add(w, "\r\n");
	if (r->attempt->host.len > 0) {
		add(w, "Remote-MTA: dns; ");
		add_clean(w, r->attempt->host);
		add(w, "\r\n");
	}
	add_diagnostic(w, r->attempt);
	add_date(w, "Last-Attempt-Date", n->now_ms);
	if (n->kind == NOTICE_DELAYED)
		add_date(w, "Will-Retry-Until", n->retry_until_ms);
}

static void
add_status(struct writer *w)
{
	start_part(
		w, w->utf8 ? "message/global-delivery-status" : "message/delivery-status", w->utf8);
	add_message_fields(w);
	for (size_t i = 0; i < w->n->recipient_count; i++)
		add_recipient_fields(w, &w->n->recipients[i]);
}

/* RFC 3461 4.3: the whole message for RET=FULL and a failure, else its header. */
static bool
wants_full(const struct notice *n)
{
	return n->kind == NOTICE_FAILED && n->message->ret == IPC_RET_FULL &&
		n->original.len <= NOTICE_FULL_MAX && n->message->body != IPC_BODY_BINARY;
}

static void
add_original(struct writer *w, struct slice part)
{
	struct slice header = slice_first(part, header_section_len(part));
	bool is_utf8 = !utf8_is_ascii(header);
	bool full = wants_full(w->n);
	const char *type = full ? "message/rfc822" : "text/rfc822-headers";

	if (is_utf8)
		type = full ? "message/global" : "message/global-headers";
	start_part(w, type, !utf8_is_ascii(part));
	buffer_add_slice(w->out, part);
	if (part.len < 2 || memcmp(part.data + part.len - 2, "\r\n", 2) != 0)
		add(w, "\r\n");
}

static struct slice
part_of_original(const struct notice *n)
{
	if (wants_full(n))
		return n->original;
	return slice_first(
		slice_first(n->original, header_section_len(n->original)), NOTICE_HEADER_MAX);
}

static bool
needs_utf8(const struct notice *n)
{
	if (!utf8_is_ascii(n->message->sender))
		return true;
	for (size_t i = 0; i < n->recipient_count; i++)
		if (!utf8_is_ascii(n->recipients[i].recipient->address) ||
			!utf8_is_ascii(n->recipients[i].recipient->orcpt))
			return true;
	return false;
}

enum fault
notice_format(const struct notice *n, struct buffer *out, struct notice_needs *needs)
{
	struct writer w = {.n = n, .out = out, .utf8 = needs_utf8(n)};
	struct slice part = part_of_original(n);

	/* A UTF-8 address needs SMTPUTF8; a UTF-8 header of the message that comes back is only
	 * 8-bit content of a part. */
	needs->is_utf8 = w.utf8;
	needs->is_8bit = w.utf8 || !utf8_is_ascii(part);
	id_format(n->id, w.id);
	add_header(&w);
	add_readable(&w);
	add_status(&w);
	if (part.len > 0)
		add_original(&w, part);
	buffer_printf(out, "\r\n--pabal-%s--\r\n", w.id);
	return buffer_fault(out);
}
