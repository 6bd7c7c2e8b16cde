/* SPDX-License-Identifier: ISC */
/*
 * The program under test of the power harness.  Arguments are key=value:
 *
 *	power_workload run dir=D out=O seed=S steps=N [expect=STATES] [early=1] [apart=1]
 *		plays N steps; O.acks gets four bytes per step that was acknowledged, O.states what
 *		readers saw then.  expect: they must see the same as in an earlier run.  early: a
 *		writer that lies.  Status 4: it gave up because of faults of the host.
 *	power_workload check dir=D expect=STATES acked=N [boot=B]
 *		what states_check() does.  Status 3: something is wrong
 *	power_workload open dir=D [boot=B]
 *		opens the store, marks that in the trace, ends without closing it.  Status 4: a
 *fault
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/store/journal.h"
#include "tests/power/states.h"

enum { TRIES = 12, TRIES_OPEN = 3, GAVE_UP = 4 };

struct run {
	struct play play; /* first: see early_ack() */
	struct states expected;
	bool expects;
	uint32_t step;
	int acks, states;
	void (*mark)(uint64_t);
	/* a checkpoint in its thread */
	struct journal_sync *sync;
	pthread_t thread;
	char *text; /* the last state that readers saw */
};

static const char *
argument(char **argv, const char *key)
{
	size_t len = strlen(key);

	for (; *argv != NULL; argv++)
		if (strncmp(*argv, key, len) == 0 && (*argv)[len] == '=')
			return *argv + len + 1;
	return NULL;
}

static uint64_t
number(char **argv, const char *key, uint64_t otherwise)
{
	const char *text = argument(argv, key);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void
mark(struct run *r, uint64_t value)
{
	if (r->mark != NULL)
		r->mark(value);
}

static void
acknowledge(struct run *r, uint32_t step)
{
	mark(r, step);
	if (write(r->acks, &step, sizeof(step)) != sizeof(step))
		play_wrong("the acknowledgement cannot be written");
}

static void
early_ack(struct play *p)
{
	struct run *r = (struct run *)(void *)p;

	acknowledge(r, r->step + 1);
}

static void *
sync_thread(void *arg)
{
	journal_sync_run(arg);
	return NULL;
}

static void
checkpoint_end(struct run *r)
{
	if (r->sync == NULL)
		return;
	(void)pthread_join(r->thread, NULL);
	r->sync = NULL;
	/* A failed one leaves the store broken: the next step finds out. */
	(void)!journal_checkpoint_finish(writer_journal(r->play.writer));
}

/* Begins one, or ends the one that runs beside the commits. */
static void
checkpoint(struct run *r)
{
	if (!r->play.options.checkpoints_apart)
		return;
	if (r->sync != NULL)
		checkpoint_end(r);
	else if (journal_checkpoint_start(writer_journal(r->play.writer), &r->sync) != FAULT_OK)
		r->sync = NULL;
	else if (pthread_create(&r->thread, NULL, sync_thread, r->sync) != 0)
		play_wrong("no thread");
}

static void
reopen(struct run *r)
{
	enum fault fault = FAULT_BUSY;

	checkpoint_end(r);
	play_close(&r->play);
	for (int i = 0; i < TRIES && fault != FAULT_OK; i++)
		fault = play_open(&r->play);
	if (fault != FAULT_OK) {
		printf("gave up: the store does not open: %s\n", fault_text(fault));
		exit(GAVE_UP);
	}
}

/* What readers see; reading is tried again, as it may be what fails. */
static char *
seen(struct run *r, size_t *len)
{
	enum fault fault;

	for (int i = 0; i < TRIES; i++) {
		char *text = state_text(writer_reader(r->play.writer), len, &fault);
		if (text != NULL)
			return text;
	}
	printf("gave up: the store cannot be read: %s\n", fault_text(fault));
	exit(GAVE_UP);
}

/* A step that failed has not happened, as far as readers see. */
static void
failed_compare(struct run *r)
{
	size_t len;
	char *text = seen(r, &len);

	if (r->text != NULL && strcmp(r->text, text) != 0) {
		state_differ(&(struct state){.text = r->text}, text);
		play_wrong("step %u failed, and readers see something of it", r->step + 1);
	}
	free(text);
}

static void
step_end(struct run *r)
{
	size_t len;

	r->step++;
	if (!r->play.early)
		acknowledge(r, r->step);
	while (play_compare(&r->play) != FAULT_OK)
		reopen(r);
	free(r->text);
	r->text = seen(r, &len);
	state_save(r->states, &r->play, r->text, len);
	if (!r->expects)
		return;
	if (r->step >= r->expected.count || strcmp(r->text, r->expected.at[r->step].text) != 0) {
		if (r->step < r->expected.count)
			state_differ(&r->expected.at[r->step], r->text);
		play_wrong("step %u came out otherwise than the first time", r->step);
	}
}

static void
step_run(struct run *r, enum fault (*step)(struct play *))
{
	uint64_t random = r->play.world.random;

	for (int i = 0;; i++) {
		enum fault fault = step(&r->play);
		if (fault == FAULT_OK)
			break;
		printf("step %u: %s\n", r->step + 1, fault_text(fault));
		if (i == TRIES) {
			printf("gave up\n");
			exit(GAVE_UP);
		}
		r->play.world.random = random;
		failed_compare(r);
		if (i >= TRIES_OPEN || writer_is_broken(r->play.writer))
			reopen(r);
	}
	step_end(r);
}

static int
output(char **argv, const char *ending)
{
	char path[4096];
	const char *out = argument(argv, "out");
	int n = snprintf(path, sizeof(path), "%s%s", out != NULL ? out : "power", ending);
	int fd = -1;

	if (n > 0 && n < (int)sizeof(path))
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		play_wrong("%s cannot be written", path);
	return fd;
}

static int
cmd_run(struct run *r, char **argv)
{
	uint64_t steps = number(argv, "steps", 100);

	r->acks = output(argv, ".acks");
	r->states = output(argv, ".states");
	r->play.early = number(argv, "early", 0) != 0;
	r->play.early_ack = early_ack;
	reopen(r);
	while (r->step < steps) {
		enum play_kind kind = r->step == 0 ? PLAY_BATCH : play_next(&r->play);
		if (kind == PLAY_BATCH)
			step_run(r, play_batch);
		else if (kind == PLAY_HOUSEKEEP)
			step_run(r, play_housekeep);
		else if (kind == PLAY_REOPEN)
			reopen(r);
		else
			checkpoint(r);
	}
	checkpoint_end(r);
	play_clear(&r->play);
	return 0;
}

static int
cmd_check(struct run *r, char **argv)
{
	int found = states_check(&r->play, &r->expected, (uint32_t)number(argv, "acked", 0), false);

	play_clear(&r->play);
	return found < 0 ? 3 : 0;
}

/* Readers see it now: from here on it must stay as it is. */
static int
cmd_open(struct run *r, char **argv)
{
	uint32_t acked = (uint32_t)number(argv, "acked", 0);
	size_t len;
	enum fault fault = play_open(&r->play);
	char *text = NULL;

	if (fault == FAULT_OK)
		text = state_text(writer_reader(r->play.writer), &len, &fault);
	if (text == NULL) {
		printf("the store does not open: %s\n", fault_text(fault));
		return GAVE_UP;
	}
	int found = states_find(&r->expected, acked, false, text);
	if (found >= 0)
		mark(r, acked + (uint32_t)found);
	fflush(stdout);
	_exit(found < 0 ? 3 : 0);
}

int
main(int argc, char **argv)
{
	static struct run run;
	const char *dir = argument(argv, "dir"), *expect = argument(argv, "expect");

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || dir == NULL) {
		fprintf(stderr, "usage: power_workload run|check|open dir=DIR ...\n");
		return 2;
	}
	/* Found only when the shim is loaded; POSIX wants the detour. */
	void *found = dlsym(RTLD_DEFAULT, "power_mark");
	memcpy(&run.mark, &found, sizeof(found));
	play_init(&run.play, dir, number(argv, "seed", 1));
	run.play.options.checkpoints_apart = number(argv, "apart", 0) != 0;
	play_options(&run.play, (uint8_t)number(argv, "boot", 1));
	run.expects = expect != NULL;
	if (run.expects)
		states_load(&run.expected, expect);
	if (strcmp(argv[1], "run") == 0)
		return cmd_run(&run, argv);
	return strcmp(argv[1], "check") == 0 ? cmd_check(&run, argv) : cmd_open(&run, argv);
}
