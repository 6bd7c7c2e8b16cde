/* SPDX-License-Identifier: ISC */
/* The accounts of a throw-away suite, and the file that tells how to reach it. */
#include "mailctl/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/secret.h"
#include "mailctl/client.h"

enum { ADDRESS_SIZE = 400 };

void
suite_load(struct suite *suite)
{
	char path[SUITE_PATH_MAX];

	suite->settings = json_load_file(suite_path(suite, "settings.json", path), 0, NULL);
	if (!json_is_object(suite->settings)) {
		json_decref(suite->settings);
		suite->settings = json_object();
	}
}

static enum status
ask(const struct suite *suite, const char *const *words, size_t count)
{
	char control[SUITE_PATH_MAX];
	struct client_reply reply;
	enum status status;

	suite_path(suite, "control", control);
	client_ask(control, PROCESS_AUTHD, words, count, &reply);
	if (reply.connected && reply.fault == FAULT_EXISTS)
		status = STATUS_OK;
	else
		status = client_reply_status(&reply, control);
	client_reply_clear(&reply);
	return status;
}

static bool
is_known(const json_t *accounts, const char *address)
{
	size_t index;
	json_t *account;

	json_array_foreach(accounts, index, account)
	{
		const char *known = json_string_value(json_object_get(account, "address"));

		if (known != NULL && strcmp(known, address) == 0)
			return true;
	}
	return false;
}

static enum fault
add_account(struct suite *suite, json_t *accounts, const char *name)
{
	char address[ADDRESS_SIZE];
	const char *words[] = {"account", "add", address, NULL};
	char *password;
	enum status status;

	snprintf(address, sizeof address, "%s@%s", name, suite->domain);
	if (is_known(accounts, address))
		return FAULT_OK;
	password = password_make();
	if (password == NULL)
		return FAULT_NOMEM;
	words[3] = password;
	status = ask(suite, words, 4);
	json_array_append_new(
		accounts, json_pack("{s:s, s:s}", "address", address, "password", password));
	secret_wipe(password, strlen(password));
	free(password);
	return status == STATUS_OK ? FAULT_OK : FAULT_IO;
}

enum fault
suite_add_accounts(struct suite *suite)
{
	const char *words[] = {"domain", "add", suite->domain};
	json_t *accounts = json_object_get(suite->settings, "accounts");
	enum fault fault;

	if (!json_is_array(accounts)) {
		accounts = json_array();
		json_object_set_new(suite->settings, "accounts", accounts);
	}
	if (ask(suite, words, 3) != STATUS_OK)
		return FAULT_IO;
	fault = add_account(suite, accounts, "alice");
	if (fault == FAULT_OK)
		fault = add_account(suite, accounts, "bob");
	for (unsigned i = 1; i <= suite->accounts && fault == FAULT_OK; i++) {
		char name[32];

		snprintf(name, sizeof name, "user%u", i);
		fault = add_account(suite, accounts, name);
	}
	return fault;
}

static void
set_text(struct suite *suite, const char *name, const char *text)
{
	json_object_set_new(suite->settings, name, json_string(text));
}

static void
set_pid(json_t *pids, const char *name, json_int_t pid)
{
	json_t *list = json_object_get(pids, name);

	if (list == NULL) {
		list = json_array();
		json_object_set_new(pids, name, list);
	}
	json_array_append_new(list, json_integer(pid));
}

/* {"authd": [4711], "imapd": [4712, 4713], ...} from maild's status. */
static void
set_pids(struct suite *suite, const char *control)
{
	static const char *const words[] = {"status"};
	struct client_reply reply;
	json_t *status, *process, *pids = json_object();
	size_t index;

	client_ask(control, PROCESS_MAILD, words, 1, &reply);
	status = client_reply_json(&reply);
	set_pid(pids, "maild", json_integer_value(json_object_get(status, "pid")));
	json_array_foreach(json_object_get(status, "processes"), index, process)
		set_pid(pids, json_string_value(json_object_get(process, "name")),
			json_integer_value(json_object_get(process, "pid")));
	json_object_set_new(suite->settings, "pids", pids);
	json_decref(status);
	client_reply_clear(&reply);
}

static enum fault
write_whole(const char *directory, const json_t *settings)
{
	char path[SUITE_PATH_MAX], whole[SUITE_PATH_MAX];

	snprintf(path, sizeof path, "%s/settings.json.new", directory);
	snprintf(whole, sizeof whole, "%s/settings.json", directory);
	/* Whoever sees settings.json sees all of it, and may use the suite. */
	if (json_dump_file(settings, path, JSON_INDENT(2)) == 0 && rename(path, whole) == 0)
		return FAULT_OK;
	complain("%s: %s", path, strerror(errno));
	return FAULT_IO;
}

enum fault
suite_save(struct suite *suite)
{
	char path[SUITE_PATH_MAX];

	set_text(suite, "hostname", suite->hostname);
	set_text(suite, "domain", suite->domain);
	set_text(suite, "directory", suite->directory);
	set_text(suite, "ca_file", suite_path(suite, "ca.crt", path));
	set_text(suite, "config", suite_path(suite, "pabal.conf", path));
	set_text(suite, "log", suite_path(suite, "log", path));
	set_text(suite, "control", suite_path(suite, "control", path));
	json_object_set_new(suite->settings, "temporary", json_boolean(suite->is_temporary));
	json_object_set_new(suite->settings, "ipv6", json_boolean(suite->has_ipv6));
	set_pids(suite, path);
	for (uint32_t i = 0; i < IPC_SERVICE_COUNT; i++)
		json_object_set_new(suite->settings, service_row(i)->name,
			json_pack("{s:s, s:i}", "host", suite->address, "port", suite->ports[i]));
	return write_whole(suite->directory, suite->settings);
}

void
suite_print(const struct suite *suite)
{
	const json_t *accounts = json_object_get(suite->settings, "accounts");
	size_t index;
	json_t *account;

	printf("A Pabal suite runs in %s (log: %s/log).\n\n", suite->directory, suite->directory);
	for (uint32_t i = 0; i < IPC_SERVICE_COUNT; i++)
		printf("%-12s %s port %u  %s\n", service_row(i)->name, suite->address,
			suite->ports[i],
			service_row(i)->tls_at_once ? "SSL/TLS" : "STARTTLS or none");
	printf("\nThe certificate's CA is %s/ca.crt.\n\n", suite->directory);
	json_array_foreach(accounts, index, account)
	{
		if (index == 10) {
			printf("and more, see %s/settings.json\n", suite->directory);
			break;
		}
		printf("user %-28s password %s\n",
			json_string_value(json_object_get(account, "address")),
			json_string_value(json_object_get(account, "password")));
	}
	printf("\nmailctl --control %s/control status\n", suite->directory);
	fflush(stdout);
}
