/* SPDX-License-Identifier: ISC */
/*
 * The thread pool for password hashing.  Runs in authd.  The threads touch a job and the two lists
 * under one lock, and nothing else of the process; salts are drawn on the event loop.
 *
 *	event loop ─► waiting list ─► thread ─► finished list ─► eventfd ─► done() on the event loop
 */
#include "authd/password.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "authd/saslprep.h"
#include "common/mail/utf8.h"

enum job_kind { JOB_VERIFY, JOB_MAKE };

struct job {
	struct job *next;
	enum job_kind kind;
	bool unknown_user, wants_key;
	char hash[PASSWORD_HASH_SIZE];
	struct secret password;
	struct password_cost cost;
	struct password_answer answer;
	password_done *done;
	void *arg;
};

struct job_list {
	struct job *first, **end;
};

struct password_pool {
	struct password_cost cost;
	const struct entropy *entropy;
	pthread_t *threads;
	unsigned thread_count;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job_list waiting, finished; /* under the lock */
	unsigned waiting_count;
	bool ending;
	int wake_fd;
	struct event *wake;
};

static void
list_init(struct job_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void
list_add(struct job_list *l, struct job *job)
{
	job->next = NULL;
	*l->end = job;
	l->end = &job->next;
}

static struct job *
list_take(struct job_list *l)
{
	struct job *job = l->first;

	if (job == NULL)
		return NULL;
	l->first = job->next;
	if (l->first == NULL)
		l->end = &l->first;
	return job;
}

static void
free_job(struct job *job)
{
	secret_wipe(job, sizeof *job);
	free(job);
}

static enum fault
make_hash(struct job *job)
{
	return crypto_pwhash_str_alg(job->hash, job->password.bytes, job->password.len,
		       job->cost.passes, (size_t)job->cost.memory_bytes,
		       crypto_pwhash_ALG_ARGON2ID13) == 0
		? FAULT_OK
		: FAULT_NOMEM;
}

static void
derive_key(struct job *job)
{
	struct password_answer *answer = &job->answer;

	answer->fault = scram_verifier_derive_key(
		&answer->scram, secret_slice(&job->password), answer->client_key);
	answer->has_client_key = answer->fault == FAULT_OK;
}

/* In a thread. */
static void
run_job(struct job *job)
{
	struct password_answer *answer = &job->answer;

	if (job->kind == JOB_MAKE) {
		answer->fault = make_hash(job);
		answer->hash = job->hash;
		if (answer->fault == FAULT_OK)
			derive_key(job);
	} else if (job->unknown_user) {
		/* The work of a check, so that time does not tell who exists. */
		(void)make_hash(job);
		answer->fault = FAULT_AUTH_FAILED;
	} else {
		answer->fault = crypto_pwhash_str_verify(
					job->hash, job->password.bytes, job->password.len) == 0
			? FAULT_OK
			: FAULT_AUTH_FAILED;
		if (answer->fault == FAULT_OK && job->wants_key)
			derive_key(job);
	}
	secret_clear(&job->password);
}

static void *
work(void *arg)
{
	struct password_pool *pool = arg;
	uint64_t one = 1;

	pthread_mutex_lock(&pool->lock);
	while (!pool->ending) {
		struct job *job = list_take(&pool->waiting);
		if (job == NULL) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pool->waiting_count--;
		pthread_mutex_unlock(&pool->lock);
		run_job(job);
		pthread_mutex_lock(&pool->lock);
		list_add(&pool->finished, job);
		/* The counter cannot overflow: each job adds one. */
		if (write(pool->wake_fd, &one, sizeof one) < 0)
			break;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static struct job *
take_finished(struct password_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct job *job = list_take(&pool->finished);
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct password_pool *pool = arg;
	uint64_t count;
	struct job *job;

	(void)what;
	/* The number does not matter, the list does. */
	if (read((int)fd, &count, sizeof count) < 0)
		count = 0;
	while ((job = take_finished(pool)) != NULL) {
		job->done(job->arg, &job->answer);
		free_job(job);
	}
}

static enum fault
start_threads(struct password_pool *pool, unsigned count)
{
	pool->threads = calloc(count, sizeof *pool->threads);
	if (pool->threads == NULL)
		return FAULT_NOMEM;
	for (; pool->thread_count < count; pool->thread_count++)
		if (pthread_create(&pool->threads[pool->thread_count], NULL, work, pool) != 0)
			return FAULT_NOMEM;
	return FAULT_OK;
}

static enum fault
listen_for_answers(struct event_base *base, struct password_pool *pool)
{
	if (pool->wake_fd < 0)
		return FAULT_IO;
	pool->wake = event_new(base, pool->wake_fd, EV_READ | EV_PERSIST, on_wake, pool);
	if (pool->wake == NULL || event_add(pool->wake, NULL) != 0)
		return FAULT_NOMEM;
	return FAULT_OK;
}

enum fault
password_pool_new(struct event_base *base, const struct password_options *options,
	struct password_pool **made)
{
	struct password_pool *pool = calloc(1, sizeof *pool);

	if (pool == NULL)
		return FAULT_NOMEM;
	pool->cost = options->cost;
	pool->entropy = options->entropy;
	list_init(&pool->waiting);
	list_init(&pool->finished);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	enum fault fault = listen_for_answers(base, pool);
	if (fault == FAULT_OK)
		fault = start_threads(pool, options->threads);
	if (fault != FAULT_OK) {
		password_pool_free(pool);
		return fault;
	}
	*made = pool;
	return FAULT_OK;
}

/* The threads are gone: what nobody will do any more ends here. */
static void
end_jobs(struct job_list *list)
{
	struct job *job;

	while ((job = list_take(list)) != NULL) {
		job->done(job->arg, &(struct password_answer){.fault = FAULT_BUSY});
		free_job(job);
	}
}

void
password_pool_free(struct password_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	end_jobs(&pool->finished);
	end_jobs(&pool->waiting);
	if (pool->wake != NULL)
		event_free(pool->wake);
	if (pool->wake_fd >= 0)
		close(pool->wake_fd);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}

void
password_pool_set_cost(struct password_pool *pool, const struct password_cost *cost)
{
	pool->cost = *cost;
}

unsigned
password_pool_waiting(const struct password_pool *pool)
{
	struct password_pool *p = (struct password_pool *)(uintptr_t)pool;

	pthread_mutex_lock(&p->lock);
	unsigned count = p->waiting_count;
	pthread_mutex_unlock(&p->lock);
	return count;
}

static enum fault
queue_job(struct password_pool *pool, struct job *job)
{
	enum fault fault = FAULT_OK;

	pthread_mutex_lock(&pool->lock);
	if (pool->ending || pool->waiting_count == PASSWORD_QUEUE_MAX) {
		fault = FAULT_BUSY;
	} else {
		list_add(&pool->waiting, job);
		pool->waiting_count++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	if (fault != FAULT_OK)
		free_job(job);
	return fault;
}

static struct job *
make_job(struct password_pool *pool, enum job_kind kind, const struct secret *password)
{
	struct job *job = calloc(1, sizeof *job);

	if (job == NULL)
		return NULL;
	job->kind = kind;
	job->password = *password;
	job->cost = pool->cost;
	return job;
}

enum fault
password_verify(struct password_pool *pool, const struct password_check *check,
	const struct secret *password, password_done *done, void *arg)
{
	struct slice hash = check->hash;
	struct job *job;

	if (hash.len >= PASSWORD_HASH_SIZE)
		return FAULT_DAMAGED;
	job = make_job(pool, JOB_VERIFY, password);
	if (job == NULL)
		return FAULT_NOMEM;
	job->unknown_user = hash.len == 0;
	if (hash.len > 0)
		memcpy(job->hash, hash.data, hash.len);
	job->wants_key = check->scram != NULL;
	if (job->wants_key)
		job->answer.scram = *check->scram;
	job->done = done;
	job->arg = arg;
	return queue_job(pool, job);
}

enum fault
password_make(
	struct password_pool *pool, const struct secret *password, password_done *done, void *arg)
{
	struct job *job = make_job(pool, JOB_MAKE, password);
	struct scram_verifier *scram;

	if (job == NULL)
		return FAULT_NOMEM;
	scram = &job->answer.scram;
	scram->iterations = SCRAM_ITERATIONS;
	pool->entropy->fill(pool->entropy->arg, scram->salt, sizeof scram->salt);
	job->done = done;
	job->arg = arg;
	return queue_job(pool, job);
}

enum fault
password_prepare_new(struct slice password, struct secret *prepared, const char **why)
{
	enum fault fault = saslprep(password, prepared);

	*why = NULL;
	if (fault == FAULT_SYNTAX)
		*why = "the password is empty or has characters that passwords cannot have";
	else if (fault == FAULT_TOO_LONG)
		*why = "the password is too long";
	if (fault != FAULT_OK)
		return fault;
	if (utf8_count(secret_slice(prepared)) >= PASSWORD_LEN_MIN)
		return FAULT_OK;
	secret_clear(prepared);
	*why = "the password is too short: it needs 8 characters or more";
	return FAULT_LIMIT;
}
