/* SPDX-License-Identifier: ISC */
/* The course of one request, in relayd: who takes the mail, and what came of it. */
#include "relayd/job.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/base/clock.h"
#include "common/base/memfd.h"
#include "common/mail/address.h"
#include "common/mail/header.h"
#include "common/mail/utf8.h"
#include "relayd/connection.h"
#include "relayd/mx.h"

enum {
	JOB_ARENA_BUDGET = 4 * 1024 * 1024,
	CODE_TOO_MANY_RECIPIENTS = 452,
};

/* Lifetime */

static void
job_link(struct job *job)
{
	struct relayd *r = job->relayd;

	job->next = r->jobs;
	if (job->next != NULL)
		job->next->previous = job;
	r->jobs = job;
	r->job_count++;
}

static void
job_free(struct job *job)
{
	struct relayd *r = job->relayd;

	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		r->jobs = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	r->job_count--;
	dns_cancel(job->lookup);
	memfd_unmap(&job->bytes);
	arena_clear(&job->arena);
	free(job);
	if (r->stopping && r->job_count == 0)
		daemon_stop(r->daemon);
}

void
jobs_free(struct relayd *r)
{
	r->stopping = false;
	while (r->jobs != NULL)
		job_free(r->jobs);
}

void
jobs_drop(struct relayd *r)
{
	struct job *next;

	for (struct job *job = r->jobs; job != NULL; job = next) {
		next = job->next;
		/* Past the last dot it is the host's: only its reply is missing. */
		if (job->connection != NULL && job->connection->client.state == SMTP_AWAIT_DOT)
			continue;
		if (job->connection != NULL)
			connection_drop_job(job->connection);
		else if (job->host != NULL)
			host_remove_job(job->host, job);
		job_free(job);
	}
}

/* The answer */

static void
count_result(struct relayd *r, enum fault fault)
{
	if (fault == FAULT_OK)
		r->counters.sent++;
	else if (fault_is_temporary(fault))
		r->counters.deferred++;
	else
		r->counters.refused++;
}

static void
fill_result(const struct job *job, uint32_t i, struct ipc_relay_result *to)
{
	const struct smtp_result *from = &job->recipients[i].result;

	to->number = job->numbers[i];
	to->fault = from->fault;
	to->code = from->code;
	to->status = slice_text(from->status);
	to->text = slice_text(from->text);
	count_result(job->relayd, from->fault);
}

static void
job_answer(struct job *job)
{
	uint32_t count = job->request.recipient_count;
	struct ipc_relayed answer = {.dsn = job->dsn, .result_count = count};

	if (job->host_index < job->host_count)
		answer.host = slice_text(job->host_names[job->host_index]);
	else if (job->host_count > 0)
		answer.host = slice_text(job->host_names[job->host_count - 1]);
	answer.results = arena_array(&job->arena, count, sizeof *answer.results);
	if (answer.results == NULL)
		answer = (struct ipc_relayed){.fault = FAULT_BUDGET};
	for (uint32_t i = 0; i < answer.result_count; i++)
		fill_result(job, i, &answer.results[i]);
	ipc_answer_RELAYED(job->origin, &answer, -1);
	job_free(job);
}

static void
job_fail(struct job *job, const struct smtp_result *why)
{
	for (uint32_t i = 0; i < job->message.recipient_count; i++)
		job->message.recipients[i].result = *why;
	job_answer(job);
}

static void
job_fail_with(struct job *job, enum fault fault, const char *status, const char *text)
{
	struct smtp_result why;

	smtp_result_set(&why, fault, status, text);
	job_fail(job, &why);
}

/* Hosts */

static void
try_host(struct job *job)
{
	const struct settings *settings = daemon_settings(job->relayd->daemon);
	struct host_key key = {
		.name = slice_text(job->host_names[job->host_index]),
		.port = (uint16_t)settings->relay_port,
		.tls = ROUTE_TLS_MAY,
	};
	struct host *host;

	if (job->route != NULL) {
		key.port = job->route->port;
		key.tls = job->route->tls;
		key.user = job->route->user.len > 0 ? &job->route->user : NULL;
		key.password = job->route->user.len > 0 ? &job->route->password : NULL;
		/* A route lives until the next configuration; it has one host, known now. */
		job->route = NULL;
	}
	host = host_get(job->relayd, &key);
	if (host == NULL)
		job_fail_with(job, FAULT_NOMEM, "4.3.0", "out of memory");
	else
		host_add_job(host, job);
}

void
job_host_failed(struct job *job, const struct smtp_result *why)
{
	/* A host that may come back makes the whole worth another try. */
	if (!job->failure_set || !fault_is_temporary(job->failure.fault) ||
		fault_is_temporary(why->fault)) {
		if (!job->failure_set || fault_is_temporary(why->fault))
			job->failure = *why;
		job->failure_set = true;
	}
	if (++job->host_index < job->host_count)
		try_host(job);
	else
		job_fail(job, &job->failure);
}

static bool
add_host(struct job *job, struct slice name)
{
	if (job->host_count == JOB_HOSTS_MAX || name.len == 0 || name.len >= ROUTE_HOST_SIZE)
		return false;
	memcpy(job->host_names[job->host_count], name.data, name.len);
	job->host_names[job->host_count++][name.len] = '\0';
	return true;
}

/* RFC 5321 5.1: without MX records the domain itself is the host, unless that is us. */
static void
use_domain(struct job *job)
{
	const char *hostname = daemon_settings(job->relayd->daemon)->hostname;

	if (slice_equal_nocase(job->request.domain, slice_text(hostname)))
		job_fail_with(job, FAULT_MAIL_LOOP, "5.4.6",
			"the domain leads back to this host, which does not know it");
	else if (add_host(job, job->request.domain))
		try_host(job);
	else
		job_fail_with(job, FAULT_REFUSED, "5.1.2", "the domain cannot be a host");
}

static void
use_mx(struct job *job, const struct dns_answer *answer)
{
	const char *hostname = daemon_settings(job->relayd->daemon)->hostname;
	struct mx_list list;
	enum fault fault = mx_order(&list, answer, hostname, &entropy_system);

	if (fault == FAULT_MAIL_LOOP) {
		job_fail_with(job, FAULT_MAIL_LOOP, "5.4.6",
			"the domain's mail leads back to this host, which does not know it");
		return;
	}
	if (fault != FAULT_OK) {
		job_fail_with(job, FAULT_REFUSED, "5.1.10", "the domain takes no mail (null MX)");
		return;
	}
	for (size_t i = 0; i < list.count; i++)
		(void)!add_host(job, slice_text(list.hosts[i].host));
	if (job->host_count == 0)
		job_fail_with(job, FAULT_REFUSED, "5.4.4", "the domain's MX records name no host");
	else
		try_host(job);
}

static void
on_mx(void *arg, const struct dns_answer *answer)
{
	struct job *job = arg;

	job->lookup = NULL;
	if (answer->fault == FAULT_NOT_FOUND)
		job_fail_with(job, FAULT_REFUSED, "5.1.2", "the domain does not exist");
	else if (answer->fault != FAULT_OK)
		job_fail_with(job, FAULT_DNS, "4.4.3", "the domain's hosts cannot be found out");
	else if (answer->host_count == 0)
		use_domain(job);
	else
		use_mx(job, answer);
}

static void
find_hosts(struct job *job)
{
	struct slice domain = job->request.domain;

	job->route = routes_find(&job->relayd->routes, domain);
	if (job->route != NULL && add_host(job, slice_text(job->route->host))) {
		try_host(job);
		return;
	}
	if (domain_is_literal(domain) && add_host(job, domain)) {
		try_host(job);
		return;
	}
	if (domain.len == 0 || domain.len >= DNS_NAME_SIZE) {
		job_fail_with(job, FAULT_REFUSED, "5.1.2", "the address has no domain");
		return;
	}
	job->lookup = dns_find_mx(job->relayd->dns, domain, on_mx, job);
	if (job->lookup == NULL)
		job_fail_with(job, FAULT_NOMEM, "4.3.0", "out of memory");
}

/* Messages */

static void
swap_recipients(struct job *job, uint32_t a, uint32_t b)
{
	struct smtp_recipient recipient = job->recipients[a];
	uint32_t number = job->numbers[a];

	job->recipients[a] = job->recipients[b];
	job->recipients[b] = recipient;
	job->numbers[a] = job->numbers[b];
	job->numbers[b] = number;
}

/*
 * RFC 5321 4.5.3.1.10: a host that takes only so many recipients at once gets the others in a
 * message of their own.  True when there are such: the message then has them only.
 */
static bool
keep_the_rest(struct job *job)
{
	struct smtp_message *m = &job->message;
	uint32_t first = (uint32_t)(m->recipients - job->recipients);
	uint32_t end = first + m->recipient_count, settled = first;
	bool any_sent = false;

	for (uint32_t i = first; i < end; i++) {
		any_sent = any_sent || job->recipients[i].result.fault == FAULT_OK;
		if (job->recipients[i].result.code != CODE_TOO_MANY_RECIPIENTS)
			swap_recipients(job, i, settled++);
	}
	if (!any_sent || settled == end)
		return false;
	m->recipients = job->recipients + settled;
	m->recipient_count = end - settled;
	return true;
}

static void
reset_recipients(struct smtp_message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		m->recipients[i].accepted = m->recipients[i].settled = false;
		m->recipients[i].result = (struct smtp_result){0};
	}
}

void
job_message_done(struct job *job, bool dsn)
{
	job->dsn = dsn;
	if (keep_the_rest(job)) {
		reset_recipients(&job->message);
		host_add_job_first(job->host, job);
		return;
	}
	job_answer(job);
}

bool
job_begin_again(struct job *job)
{
	if (++job->tries > JOB_TRIES_MAX)
		return false;
	reset_recipients(&job->message);
	host_add_job_first(job->host, job);
	return true;
}

/* The request */

static bool
copy_recipients(struct job *job, const struct ipc_relay *from)
{
	uint32_t count = from->recipient_count;

	job->recipients = arena_array(&job->arena, count, sizeof *job->recipients);
	job->numbers = arena_array(&job->arena, count, sizeof *job->numbers);
	if (job->recipients == NULL || job->numbers == NULL)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct smtp_recipient *r = &job->recipients[i];

		job->numbers[i] = from->recipients[i].number;
		r->notify = from->recipients[i].notify;
		if (!arena_copy(&job->arena, from->recipients[i].address, &r->address) ||
			!arena_copy(&job->arena, from->recipients[i].orcpt, &r->orcpt))
			return false;
	}
	return true;
}

static bool
has_line_break(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (ascii_is_control(text.data[i]))
			return true;
	return false;
}

/*
 * The form in which an address goes over the wire: with a domain of A-labels when that makes it
 * ASCII.  Sets *utf8 when it needs SMTPUTF8 all the same.  FAULT_SYNTAX for an address that would
 * be another command.
 */
static enum fault
make_wire_form(struct job *job, struct slice *address, bool *utf8)
{
	size_t at = slice_find_last(*address, '@');
	struct slice local = slice_first(*address, at), domain;
	struct buffer text;
	enum fault fault;

	if (has_line_break(*address))
		return FAULT_SYNTAX;
	if (utf8_is_ascii(*address))
		return FAULT_OK;
	if (!utf8_is_ascii(local) ||
		domain_normalize(slice_after(*address, at + 1), &job->arena, &domain) != FAULT_OK) {
		*utf8 = true;
		return FAULT_OK;
	}
	buffer_init(&text, IPC_ADDRESS_MAX * 2);
	buffer_add_slice(&text, local);
	buffer_add_byte(&text, '@');
	buffer_add_slice(&text, domain);
	fault = buffer_fault(&text);
	if (fault == FAULT_OK && !arena_copy(&job->arena, buffer_slice(&text), address))
		fault = FAULT_BUDGET;
	buffer_clear(&text);
	return fault;
}

static enum fault
make_message(struct job *job)
{
	struct smtp_message *m = &job->message;
	struct slice header = slice_first(job->bytes, header_section_len(job->bytes));
	enum fault fault;

	*m = (struct smtp_message){
		.sender = job->request.sender,
		.size = job->bytes.len,
		.body = job->request.body,
		.ret = job->request.ret,
		.envid = job->request.envid,
		.recipients = job->recipients,
		.recipient_count = job->request.recipient_count,
	};
	/* A header in UTF-8 of somebody who did not ask for SMTPUTF8 is sent as 8-bit text. */
	m->needs_utf8 = job->request.smtputf8 && !utf8_is_ascii(header);
	fault = make_wire_form(job, &m->sender, &m->needs_utf8);
	for (uint32_t i = 0; i < m->recipient_count && fault == FAULT_OK; i++)
		fault = make_wire_form(job, &job->recipients[i].address, &m->needs_utf8);
	return fault;
}

static enum fault
fill_job(struct job *job, const struct ipc_relay *from, int fd)
{
	struct ipc_relay *to = &job->request;
	/* What is in the queue was taken by the limit of then. */
	enum fault fault = memfd_map(fd, SIZE_MAX, &job->bytes);

	*to = *from;
	if (fault != FAULT_OK)
		return fault;
	if (from->recipient_count == 0)
		return FAULT_SYNTAX;
	if (!arena_copy(&job->arena, from->sender, &to->sender) ||
		!arena_copy(&job->arena, from->domain, &to->domain) ||
		!arena_copy(&job->arena, from->envid, &to->envid) || !copy_recipients(job, from))
		return FAULT_BUDGET;
	job->host_names = arena_array(&job->arena, JOB_HOSTS_MAX, sizeof *job->host_names);
	return job->host_names != NULL ? make_message(job) : FAULT_BUDGET;
}

enum fault
job_start(struct relayd *r, struct ipc_origin origin, const struct ipc_relay *request, int fd)
{
	struct job *job = calloc(1, sizeof *job);
	enum fault fault = FAULT_NOMEM;

	if (job != NULL) {
		job->relayd = r;
		job->origin = origin;
		arena_init(&job->arena, JOB_ARENA_BUDGET);
		job_link(job);
		fault = fill_job(job, request, fd);
	}
	close(fd);
	if (fault != FAULT_OK) {
		if (job != NULL)
			job_free(job);
		return fault;
	}
	r->counters.messages++;
	r->counters.recipients += request->recipient_count;
	find_hosts(job);
	return FAULT_OK;
}
