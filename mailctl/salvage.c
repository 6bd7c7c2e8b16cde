/* SPDX-License-Identifier: ISC */
/* The last resort for a mail store; as root, or as the one user of a suite without root. */
#include "mailctl/salvage.h"

#include <unistd.h>

#include "common/store/salvage.h"

#define STORE_DIRECTORY MAILCTL_DATA "/store"

static void
progress_show(void *arg, uint64_t bytes)
{
	uint64_t *shown = arg;

	if (bytes - *shown < UINT64_C(16) << 20)
		return;
	*shown = bytes;
	fprintf(stderr, "\r%llu MiB", (unsigned long long)(bytes >> 20));
}

/* What is told of a salvage, and how much of it. */
struct salvage_watch {
	json_t *findings;
	uint64_t count;
	uint64_t shown; /* bytes */
	bool watched;
	bool json;
};

enum { FINDINGS_SHOWN = 1000 };

static json_t *
finding_json(const struct salvage_finding *f)
{
	json_t *row = json_pack("{s:s}", "text", f->text);

	if (f->segment != 0)
		(void)json_object_update_new(row,
			json_pack("{s:I, s:I, s:I}", "segment", (json_int_t)f->segment, "offset",
				(json_int_t)f->offset, "length", (json_int_t)f->length));
	if (f->account != 0)
		(void)json_object_update_new(row,
			json_pack("{s:I, s:I, s:I, s:I}", "account", (json_int_t)f->account,
				"mailbox", (json_int_t)f->mailbox, "uid", (json_int_t)f->uid,
				"email", (json_int_t)f->email_id));
	return row;
}

static void
finding_show(const struct salvage_finding *f)
{
	if (f->account != 0)
		printf("account %llu mailbox %u uid %u email %llu: ",
			(unsigned long long)f->account, f->mailbox, f->uid,
			(unsigned long long)f->email_id);
	if (f->segment != 0)
		printf("segment %u at %llu, %llu bytes: ", f->segment,
			(unsigned long long)f->offset, (unsigned long long)f->length);
	printf("%s\n", f->text);
}

static void
on_finding(void *arg, const struct salvage_finding *finding)
{
	struct salvage_watch *watch = arg;

	if (++watch->count > FINDINGS_SHOWN)
		return;
	if (watch->json)
		(void)json_array_append_new(watch->findings, finding_json(finding));
	else
		finding_show(finding);
}

static void
on_progress(void *arg, uint64_t bytes)
{
	struct salvage_watch *watch = arg;

	if (watch->watched)
		progress_show(&watch->shown, bytes);
}

static void
salvage_print(const struct salvage_watch *watch, const struct salvage_report *r)
{
	json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
		(json_int_t)r->messages, "bodies", (json_int_t)r->bodies, "commits",
		(json_int_t)r->commits, "filed", (json_int_t)r->filed, "lost", (json_int_t)r->lost,
		"damaged", (json_int_t)r->damaged, "skipped_bytes", (json_int_t)r->skipped,
		"new_uidvalidity", (json_int_t)r->renewed, "findings", (json_int_t)watch->count);

	if (watch->json) {
		(void)json_object_set(answer, "found", watch->findings);
		json_dumpf(answer, stdout, JSON_INDENT(2));
	} else {
		if (watch->count > FINDINGS_SHOWN)
			printf("and %llu more\n",
				(unsigned long long)(watch->count - FINDINGS_SHOWN));
		print_json(answer);
	}
	json_decref(answer);
}

enum status
salvage_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *store = count > 2 ? words[2] : STORE_DIRECTORY;
	struct salvage_watch watch = {.findings = json_array(),
		.watched = !mailctl->json && isatty(STDERR_FILENO) == 1,
		.json = mailctl->json};
	struct salvage_options options = {
		.found = on_finding, .progress = on_progress, .arg = &watch};
	struct salvage_report report;
	enum fault fault = store_salvage(store, &options, &report);

	(void)command;
	if (watch.shown > 0)
		fputc('\n', stderr);
	if (fault == FAULT_OK)
		salvage_print(&watch, &report);
	else if (fault == FAULT_EXISTS)
		complain("%s has an index: to give it up, move index/data.mdb away", store);
	else
		complain("%s: %s", store, fault_text(fault));
	json_decref(watch.findings);
	return fault == FAULT_OK ? STATUS_OK : STATUS_FAILED;
}
