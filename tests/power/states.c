/* SPDX-License-Identifier: ISC */
/* The states of a workload, kept and compared. */
#include "tests/power/states.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/verify.h"
#include "tests/unit/store/dump.h"

char *
state_text(struct store_reader *reader, size_t *len, enum fault *fault)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (out == NULL)
		play_wrong("no memory");
	*fault = dump_store(out, reader);
	(void)fclose(out);
	if (*fault == FAULT_OK)
		return text;
	free(text);
	return NULL;
}

static void
all_write(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n <= 0)
			play_wrong("the states cannot be written");
		at += n;
		len -= (size_t)n;
	}
}

void
state_save(int fd, const struct play *p, const char *text, size_t len)
{
	struct state s = {.len = (uint32_t)len, .now_ms = p->world.now_ms};

	memcpy(s.deliveries, p->world.deliveries, sizeof(s.deliveries));
	all_write(fd, &s, sizeof(s));
	all_write(fd, text, len);
}

static char *
file_read(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		play_wrong("%s cannot be read", path);
	*len = (size_t)status.st_size;
	char *bytes = malloc(*len + 1);
	for (size_t at = 0; bytes != NULL && at < *len;) {
		ssize_t n = read(fd, bytes + at, *len - at);
		if (n <= 0)
			play_wrong("%s cannot be read", path);
		at += (size_t)n;
	}
	close(fd);
	return bytes;
}

void
states_load(struct states *s, const char *path)
{
	size_t len, at = 0;
	char *bytes = file_read(path, &len);

	*s = (struct states){.at = calloc(1, sizeof(s->at[0])), .count = 1};
	s->at[0] = (struct state){.text = calloc(1, 1)};
	while (bytes != NULL && at + sizeof(s->at[0]) <= len) {
		struct state one;
		memcpy(&one, bytes + at, sizeof(one));
		at += sizeof(one);
		if (at + one.len > len)
			break;
		one.text = slice_dup(slice_make(bytes + at, one.len));
		at += one.len;
		s->at = reallocarray(s->at, s->count + 1, sizeof(s->at[0]));
		if (s->at == NULL || one.text == NULL)
			play_wrong("no memory");
		s->at[s->count++] = one;
	}
	free(bytes);
	if (s->count > 1)
		s->at[0].now_ms = s->at[1].now_ms;
}

void
state_differ(const struct state *expected, const char *found)
{
	const char *a = expected->text, *b = found;

	for (int shown = 0; shown < 6 && (*a != '\0' || *b != '\0');) {
		size_t a_len = strcspn(a, "\n"), b_len = strcspn(b, "\n");
		if (a_len != b_len || memcmp(a, b, a_len) != 0) {
			printf("    expected %.*s\n    found    %.*s\n", (int)a_len, a, (int)b_len,
				b);
			shown++;
		}
		a += a_len + (a[a_len] == '\n');
		b += b_len + (b[b_len] == '\n');
	}
}

static void
finding_print(void *arg, const struct store_finding *f)
{
	(void)arg;
	printf("verify: account %llu mailbox %u uid %u: %s\n", (unsigned long long)f->account,
		f->mailbox, f->uid, f->text);
}

static bool
is_clean(struct play *p)
{
	struct verify_options options = {.bodies = true, .found = finding_print};
	struct verify_progress progress = {0};
	enum fault fault = store_verify(writer_reader(p->writer), &options, &progress);

	if (fault != FAULT_OK)
		printf("verify: %s\n", fault_text(fault));
	return fault == FAULT_OK && progress.findings == 0;
}

int
states_find(const struct states *s, uint32_t acked, bool exact, const char *text)
{
	for (uint32_t i = 0; i < (exact ? 1 : 2) && acked + i < s->count; i++)
		if (strcmp(s->at[acked + i].text, text) == 0)
			return (int)i;
	printf("the store is not in state %u%s:\n", acked, exact ? "" : ", nor in the next");
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->at[i].text, text) == 0)
			printf("  it is in state %u\n", i);
	state_differ(&s->at[acked], text);
	return -1;
}

/* What had been delivered is known as such, with its UID. */
static bool
repeats(struct play *p, const struct state *s)
{
	bool right = true;

	for (int i = 0; i < PLAY_DELIVERIES && right; i++) {
		const struct play_delivery *d = &s->deliveries[i];
		struct play_mail mail;
		if (d->uid == 0 || s->now_ms - d->at_ms > 3000 * INT64_C(1000))
			continue;
		play_mail_make(p, &mail, d->number);
		mail.targets[0].account = PLAY_FIRST_ACCOUNT + (uint64_t)d->account;
		mail.targets[0].mailbox = d->mailbox;
		if (writer_begin(p->writer) != FAULT_OK)
			right = false;
		else
			writer_append(p->writer, &mail.request);
		writer_abort(p->writer);
		right = right && mail.targets[0].fault == FAULT_OK && mail.targets[0].repeated &&
			mail.targets[0].uid == d->uid;
		if (!right)
			printf("delivery of body %u is not known any more\n", d->number);
		play_mail_clear(&mail);
	}
	return right;
}

/* New mail gets the UID that is next, and ids that nobody has. */
static bool
goes_on(struct play *p, const char *text)
{
	struct play_mail mail;
	struct store_mailbox inbox;
	struct store_reader *reader = writer_reader(p->writer);
	char id[40];

	play_mail_make(p, &mail, 1000000);
	enum fault fault = reader_begin(reader);
	if (fault == FAULT_OK) {
		fault = reader_mailbox(reader, PLAY_FIRST_ACCOUNT, STORE_INBOX, &inbox);
		reader_end(reader);
	}
	/* Before the first step there is no account. */
	if (fault == FAULT_NOT_FOUND)
		inbox.uidnext = 1;
	mail.targets[0].make_account = true;
	fault = writer_begin(p->writer);
	if (fault == FAULT_OK) {
		writer_append(p->writer, &mail.request);
		fault = writer_commit(p->writer);
	}
	const struct writer_target *t = &mail.targets[0];
	if (fault == FAULT_OK)
		fault = t->fault;
	play_mail_clear(&mail);
	snprintf(id, sizeof(id), " email %llu ", (unsigned long long)t->email_id);
	if (fault != FAULT_OK || t->repeated || t->uid != inbox.uidnext ||
		strstr(text, id) != NULL) {
		printf("new mail: %s, uid %u (not %u), email %llu\n", fault_text(fault), t->uid,
			inbox.uidnext, (unsigned long long)t->email_id);
		return false;
	}
	return true;
}

int
states_check(struct play *p, const struct states *s, uint32_t acked, bool exact)
{
	size_t len;
	enum fault fault;
	int found = -1;

	if (acked >= s->count) {
		printf("no state %u is known\n", acked);
		return -1;
	}
	p->world.now_ms = s->at[acked + 1 < s->count ? acked + 1 : acked].now_ms;
	fault = play_open(p);
	if (fault != FAULT_OK) {
		printf("the store does not open: %s\n", fault_text(fault));
		return -1;
	}
	char *text = state_text(writer_reader(p->writer), &len, &fault);
	if (text == NULL)
		printf("the store cannot be read: %s\n", fault_text(fault));
	else
		found = states_find(s, acked, exact, text);
	bool clean = is_clean(p);
	bool right = found >= 0 && clean && repeats(p, &s->at[acked + (uint32_t)found]) &&
		goes_on(p, text) && is_clean(p);
	free(text);
	return right ? found : -1;
}
