/* SPDX-License-Identifier: ISC */
/*
 * `mailctl session`: the connections of all processes that serve clients, as one list.  A session
 * is named PROCESS/WORKER/NUMBER, because each worker counts its own.
 */
#include "mailctl/sessions.h"

#include <stdio.h>
#include <string.h>

#include "common/base/cursor.h"
#include "mailctl/client.h"

enum { NAME_SIZE = 64 };

static const enum process fronts[] = {PROCESS_SMTPD, PROCESS_IMAPD, PROCESS_POP3D};

static void
add_session(json_t *list, enum process process, json_t *session)
{
	char name[NAME_SIZE];
	json_t *named = json_object();

	snprintf(name, sizeof name, "%s/%lld/%lld", process_name(process),
		(long long)json_integer_value(json_object_get(session, "worker")),
		(long long)json_integer_value(json_object_get(session, "id")));
	json_object_set_new(named, "session", json_string(name));
	json_object_update(named, session);
	json_object_del(named, "worker");
	json_object_del(named, "id");
	json_array_append_new(list, named);
}

/* What has workers answers with a list of lists. */
static void
add_sessions(json_t *list, enum process process, json_t *from)
{
	size_t index;
	json_t *item;

	json_array_foreach(from, index, item)
	{
		if (json_is_array(item))
			add_sessions(list, process, item);
		else
			add_session(list, process, item);
	}
}

enum status
sessions_list(const struct mailctl *mailctl, json_t *list)
{
	static const char *const words[] = {"session", "list"};
	enum status status = STATUS_OK;

	for (size_t i = 0; i < sizeof fronts / sizeof fronts[0] && status == STATUS_OK; i++) {
		struct client_reply reply;
		json_t *part;

		client_ask(mailctl->control, fronts[i], words, 2, &reply);
		status = client_reply_status(&reply, mailctl->control);
		part = client_reply_json(&reply);
		add_sessions(list, fronts[i], part);
		json_decref(part);
		client_reply_clear(&reply);
	}
	return status;
}

/* One that has gone meanwhile is as good as ended. */
static void
end_session(const struct mailctl *mailctl, const char *text)
{
	struct session_name name;
	struct client_reply reply;

	if (text == NULL || !session_name_parse(text, &name) ||
		(name.process != PROCESS_IMAPD && name.process != PROCESS_POP3D))
		return;
	const char *words[] = {"worker", name.worker, "session", "end", name.number};
	client_ask(mailctl->control, name.process, words, 5, &reply);
	client_reply_clear(&reply);
}

enum status
sessions_end_of(const struct mailctl *mailctl, const char *account)
{
	json_t *list = json_array(), *session;
	enum status status = sessions_list(mailctl, list);
	size_t index;

	json_array_foreach(list, index, session)
	{
		const char *whose = json_string_value(json_object_get(session, "account"));
		if (whose != NULL && strcmp(whose, account) == 0)
			end_session(
				mailctl, json_string_value(json_object_get(session, "session")));
	}
	json_decref(list);
	return status;
}

bool
session_name_parse(const char *name, struct session_name *parsed)
{
	struct cursor c = cursor_of(slice_text(name));
	struct slice process, worker;

	if (!take_until(&c, '/', &process) || !take_byte(&c, '/') ||
		!take_until(&c, '/', &worker) || !take_byte(&c, '/') || process.len >= NAME_SIZE ||
		worker.len >= sizeof parsed->worker || c.rest.len >= sizeof parsed->number)
		return false;
	char text[NAME_SIZE];
	snprintf(text, sizeof text, "%" SLICE_FMT, SLICE_ARG(process));
	snprintf(parsed->worker, sizeof parsed->worker, "%" SLICE_FMT, SLICE_ARG(worker));
	snprintf(parsed->number, sizeof parsed->number, "%" SLICE_FMT, SLICE_ARG(c.rest));
	return process_find(text, &parsed->process) && parsed->process != PROCESS_MAILCTL;
}
