/* SPDX-License-Identifier: ISC */
/* The table of commands and the table of capabilities.  Linked by imapd. */
#include "imapd/commands.h"

#include "imapd/session.h"

enum {
	ANY = IMAP_NOT_AUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED,
	NONAUTH = IMAP_NOT_AUTHENTICATED,
	AUTH = IMAP_AUTHENTICATED | IMAP_SELECTED,
	SELECT = IMAP_SELECTED,
	UID = IMAP_HAS_UID,
	UID_WRITE = IMAP_HAS_UID | IMAP_NEED_WRITE,
};

/* name, parser, handler, states, needs, what is told before the reply */
static const struct imap_row rows[] = {
	{"CAPABILITY", NULL, cmd_capability, ANY, 0, IMAP_SYNC_ALL},
	{"NOOP", NULL, cmd_noop, ANY, 0, IMAP_SYNC_ALL},
	{"LOGOUT", NULL, cmd_logout, ANY, 0, IMAP_SYNC_NOTHING},
	{"ID", parse_id, cmd_id, ANY, 0, IMAP_SYNC_NOTHING},
	{"STARTTLS", NULL, cmd_starttls, NONAUTH, 0, IMAP_SYNC_NOTHING},
	{"LOGIN", parse_login, cmd_login, NONAUTH, 0, IMAP_SYNC_NOTHING},
	{"AUTHENTICATE", parse_authenticate, cmd_authenticate, NONAUTH, 0, IMAP_SYNC_NOTHING},
	{"ENABLE", parse_enable, cmd_enable, AUTH, 0, IMAP_SYNC_NOTHING},
	{"NAMESPACE", NULL, cmd_namespace, AUTH, 0, IMAP_SYNC_ALL},
	{"SELECT", parse_mailbox, cmd_select, AUTH, 0, IMAP_SYNC_NOTHING},
	{"EXAMINE", parse_mailbox, cmd_examine, AUTH, 0, IMAP_SYNC_NOTHING},
	{"CREATE", parse_create, cmd_create, AUTH, 0, IMAP_SYNC_ALL},
	{"DELETE", parse_mailbox, cmd_delete, AUTH, 0, IMAP_SYNC_ALL},
	{"RENAME", parse_rename, cmd_rename, AUTH, 0, IMAP_SYNC_ALL},
	{"SUBSCRIBE", parse_mailbox, cmd_subscribe, AUTH, 0, IMAP_SYNC_ALL},
	{"UNSUBSCRIBE", parse_mailbox, cmd_unsubscribe, AUTH, 0, IMAP_SYNC_ALL},
	{"LIST", parse_list, cmd_list, AUTH, 0, IMAP_SYNC_ALL},
	{"LSUB", parse_lsub, cmd_lsub, AUTH, 0, IMAP_SYNC_ALL},
	{"STATUS", parse_status, cmd_status, AUTH, 0, IMAP_SYNC_ALL},
	{"APPEND", parse_append, cmd_append, AUTH, 0, IMAP_SYNC_ALL},
	{"IDLE", NULL, cmd_idle, AUTH, 0, IMAP_SYNC_ALL},
	{"CHECK", NULL, cmd_noop, SELECT, 0, IMAP_SYNC_ALL},
	{"CLOSE", NULL, cmd_close, SELECT, 0, IMAP_SYNC_NOTHING},
	{"UNSELECT", NULL, cmd_unselect, SELECT, 0, IMAP_SYNC_NOTHING},
	{"EXPUNGE", parse_expunge, cmd_expunge, SELECT, UID_WRITE, IMAP_SYNC_ALL},
	{"SEARCH", parse_search, cmd_search, SELECT, UID, IMAP_SYNC_UID_EXPUNGE},
	{"FETCH", parse_fetch, cmd_fetch, SELECT, UID, IMAP_SYNC_UID_EXPUNGE},
	{"STORE", parse_store, cmd_store, SELECT, UID_WRITE, IMAP_SYNC_UID_EXPUNGE},
	{"COPY", parse_copy, cmd_copy, SELECT, UID, IMAP_SYNC_ALL},
	{"MOVE", parse_copy, cmd_move, SELECT, UID_WRITE, IMAP_SYNC_ALL},
};

const struct imap_row *
commands_find(struct slice name)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (slice_equal_nocase(name, slice_text(rows[i].name)))
			return &rows[i];
	return NULL;
}

static bool
always(const struct imap_session *s)
{
	(void)s;
	return true;
}

static bool
before_login(const struct imap_session *s)
{
	return s->state == IMAP_NOT_AUTHENTICATED;
}

static bool
after_login(const struct imap_session *s)
{
	return s->state != IMAP_NOT_AUTHENTICATED;
}

static bool
can_start_tls(const struct imap_session *s)
{
	return before_login(s) && !s->is_tls && s->has_tls;
}

static bool
can_login(const struct imap_session *s)
{
	return before_login(s) && session_may_login(s);
}

static bool
cannot_login(const struct imap_session *s)
{
	return before_login(s) && !session_may_login(s);
}

static const struct {
	const char *name;
	bool (*is_offered)(const struct imap_session *);
} capabilities[] = {
	{"IMAP4rev1", always}, /* RFC 3501 */
	{"SASL-IR", before_login}, /* RFC 4959 */
	{"STARTTLS", can_start_tls}, {"LOGINDISABLED", cannot_login}, {"AUTH=PLAIN", can_login},
	{"AUTH=LOGIN", can_login}, {"AUTH=SCRAM-SHA-256", can_login}, /* RFC 7677 */
	{"LITERAL+", always}, /* RFC 7888 */
	{"ID", always}, /* RFC 2971 */
	{"ENABLE", always}, /* RFC 5161 */
	{"IDLE", always}, /* RFC 2177 */
	{"NAMESPACE", after_login}, /* RFC 2342 */
	{"UNSELECT", after_login}, /* RFC 3691 */
	{"CHILDREN", after_login}, /* RFC 3348 */
	{"UIDPLUS", after_login}, /* RFC 4315 */
	{"MOVE", after_login}, /* RFC 6851 */
	{"SPECIAL-USE", after_login}, /* RFC 6154 */
	{"CREATE-SPECIAL-USE", after_login}, {"LIST-EXTENDED", after_login}, /* RFC 5258 */
	{"LIST-STATUS", after_login}, /* RFC 5819 */
	{"STATUS=SIZE", after_login}, /* RFC 8438 */
	{"ESEARCH", after_login}, /* RFC 4731 */
};

void
capabilities_format(const struct imap_session *s, struct buffer *out)
{
	const char *separator = "";

	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
		if (!capabilities[i].is_offered(s))
			continue;
		buffer_add_text(out, separator);
		buffer_add_text(out, capabilities[i].name);
		separator = " ";
	}
}
