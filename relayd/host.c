/* SPDX-License-Identifier: ISC */
/* Hosts and who waits for them, in relayd. */
#include "relayd/host.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "relayd/connection.h"
#include "relayd/job.h"

static int64_t
now(void)
{
	return clock_mono_ms(&clock_system);
}

/* The table */

static bool
secret_matches(const struct secret *have, const struct secret *want)
{
	struct slice wanted = want != NULL ? secret_slice(want) : SLICE("");

	return secret_equal(secret_slice(have), wanted);
}

static bool
matches(const struct host *h, const struct host_key *key)
{
	return h->port == key->port && h->tls == key->tls &&
		slice_equal_nocase(slice_text(h->name), key->name) &&
		secret_matches(&h->user, key->user) && secret_matches(&h->password, key->password);
}

static void
host_free(struct host *h)
{
	struct host **at = &h->relayd->hosts;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	h->relayd->host_count--;
	dns_cancel(h->lookup);
	secret_clear(&h->user);
	secret_clear(&h->password);
	free(h);
}

static void
forget_unused(struct relayd *r)
{
	struct host *next;

	for (struct host *h = r->hosts; h != NULL; h = next) {
		next = h->next;
		if (h->connection_count == 0 && h->waiting_count == 0 && h->in_use == 0)
			host_free(h);
	}
}

struct host *
host_get(struct relayd *r, const struct host_key *key)
{
	struct host *h = r->hosts;

	while (h != NULL && !matches(h, key))
		h = h->next;
	if (h != NULL)
		return h;
	if (r->host_count >= HOSTS_MAX)
		forget_unused(r);
	h = calloc(1, sizeof *h);
	if (h == NULL || key->name.len >= sizeof h->name) {
		free(h);
		return NULL;
	}
	h->relayd = r;
	memcpy(h->name, key->name.data, key->name.len);
	h->port = key->port;
	h->tls = key->tls;
	h->waiting_last = &h->waiting;
	if (key->user != NULL)
		h->user = *key->user;
	if (key->password != NULL)
		h->password = *key->password;
	h->next = r->hosts;
	r->hosts = h;
	r->host_count++;
	return h;
}

void
hosts_free(struct relayd *r)
{
	while (r->hosts != NULL) {
		while (r->hosts->connections != NULL)
			connection_free(r->hosts->connections);
		host_free(r->hosts);
	}
}

/* Those who wait */

void
host_add_job(struct host *h, struct job *job)
{
	job->host = h;
	job->next_waiting = NULL;
	*h->waiting_last = job;
	h->waiting_last = &job->next_waiting;
	h->waiting_count++;
	host_run(h);
}

void
host_add_job_first(struct host *h, struct job *job)
{
	job->host = h;
	job->next_waiting = h->waiting;
	h->waiting = job;
	if (job->next_waiting == NULL)
		h->waiting_last = &job->next_waiting;
	h->waiting_count++;
}

void
host_remove_job(struct host *h, struct job *job)
{
	struct job **at = &h->waiting;

	while (*at != NULL && *at != job)
		at = &(*at)->next_waiting;
	if (*at == NULL)
		return;
	*at = job->next_waiting;
	if (*at == NULL)
		h->waiting_last = at;
	h->waiting_count--;
	job->host = NULL;
}

static struct job *
first_job(struct host *h)
{
	struct job *job = h->waiting;

	host_remove_job(h, job);
	return job;
}

bool
host_is_dead(const struct host *h, int64_t now_ms)
{
	return h->dead_until_ms > now_ms;
}

/* Only the jobs that wait now: one that comes back to this host by another way waits anew. */
static void
fail_waiting(struct host *h)
{
	struct smtp_result why = h->dead;

	h->in_use++;
	for (unsigned n = h->waiting_count; n > 0 && h->waiting != NULL; n--)
		job_host_failed(first_job(h), &why);
	h->in_use--;
}

void
host_failed(struct host *h, const struct smtp_result *why)
{
	int64_t dead_ms = daemon_settings(h->relayd->daemon)->relay_timeout / 10;

	/* While others of our connections work, it only takes no more of them. */
	if (h->connection_count > h->making_count) {
		h->most = h->connection_count;
		return;
	}
	h->dead = *why;
	h->dead_until_ms = now() + (dead_ms < HOST_DEAD_MS ? dead_ms : HOST_DEAD_MS);
	h->resolved_until_ms = 0;
	fail_waiting(h);
}

/* Addresses */

static void
fail_of_dns(struct host *h, enum fault fault)
{
	struct smtp_result why;

	if (fault == FAULT_OK || fault == FAULT_NOT_FOUND)
		smtp_result_set(&why, FAULT_REFUSED, "5.4.4", "the host has no address");
	else
		smtp_result_set(&why, FAULT_DNS, "4.4.3", "the host's address cannot be found out");
	host_failed(h, &why);
}

static void
on_addresses(void *arg, const struct dns_answer *answer)
{
	struct host *h = arg;

	h->lookup = NULL;
	for (size_t i = 0; i < answer->address_count && i < HOST_ADDRESSES_MAX; i++) {
		h->addresses[i] = answer->addresses[i];
		h->addresses[i].port = h->port;
		h->address_count++;
	}
	if (h->address_count == 0) {
		fail_of_dns(h, answer->fault);
		return;
	}
	h->resolved_until_ms = now() + HOST_ADDRESSES_MS;
	host_run(h);
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3), or the bare address of a route. */
static bool
parse_literal(const char *name, struct peer_address *address)
{
	struct slice text = slice_text(name);

	if (text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
		text = slice_make(text.data + 1, text.len - 2);
	if (slice_starts_nocase(text, SLICE("IPv6:")))
		text = slice_after(text, 5);
	return peer_address_parse(text, address) && address->family != PEER_LOCAL;
}

static void
resolve(struct host *h)
{
	h->address_count = 0;
	if (parse_literal(h->name, &h->addresses[0])) {
		h->addresses[0].port = h->port;
		h->address_count = 1;
		h->resolved_until_ms = INT64_MAX;
		return;
	}
	h->lookup = dns_find_addresses(h->relayd->dns, slice_text(h->name), on_addresses, h);
	if (h->lookup == NULL)
		fail_of_dns(h, FAULT_NOMEM);
}

/* Connections */

static struct connection *
find_idle(struct host *h)
{
	struct connection *c = h->connections;

	while (c != NULL && !connection_is_idle(c))
		c = c->next;
	return c;
}

static void
close_an_idle_one(struct relayd *r)
{
	for (struct host *h = r->hosts; h != NULL; h = h->next) {
		struct connection *idle = h->waiting_count == 0 ? find_idle(h) : NULL;

		if (idle != NULL) {
			connection_quit(idle);
			return;
		}
	}
}

/* True when one is being made. */
static bool
make_connection(struct host *h)
{
	const struct settings *settings = daemon_settings(h->relayd->daemon);

	if (h->connection_count >= (unsigned)settings->relay_connections_per_host ||
		(h->most > 0 && h->connection_count >= h->most))
		return false;
	if (h->relayd->connection_count >= (unsigned)settings->relay_connections) {
		close_an_idle_one(h->relayd);
		return false;
	}
	return connection_open(h);
}

static void
run(struct host *h)
{
	struct connection *idle;

	while (h->waiting_count > 0 && (idle = find_idle(h)) != NULL)
		connection_send(idle, first_job(h));
	if (h->waiting_count == 0 || h->lookup != NULL)
		return;
	if (host_is_dead(h, now())) {
		fail_waiting(h);
		return;
	}
	if (h->resolved_until_ms <= now() && h->making_count == 0)
		resolve(h);
	while (h->address_count > 0 && h->making_count < h->waiting_count)
		if (!make_connection(h))
			break;
}

void
host_run(struct host *h)
{
	h->in_use++;
	run(h);
	h->in_use--;
}

void
hosts_run(struct relayd *r)
{
	struct host *next;

	for (struct host *h = r->hosts; h != NULL; h = next) {
		h->in_use++;
		if (h->waiting_count > 0)
			run(h);
		next = h->next;
		h->in_use--;
	}
}
