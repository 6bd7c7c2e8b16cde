/* SPDX-License-Identifier: ISC */
/*
 * Look-ups by libunbound's event interface: no thread, no second process.  libunbound has no safe
 * way to take back one question of several, so a cancelled look-up lives on, mute, until its
 * questions are answered.
 */
#include "relayd/dns.h"

#include <event2/event_struct.h>
#include <stdlib.h>
#include <unbound.h>
#include <unbound-event.h>

#include "common/base/log.h"
#include "relayd/dns_packet.h"

enum {
	CLASS_IN = 1,
	RCODE_OK = 0,
	RCODE_NXDOMAIN = 3,
	RCODE_AT = 3,
	RCODE_MASK = 15,
	SECURE = 2,
	BOGUS = 1
};

struct dns {
	struct event_base *base;
	struct ub_ctx *unbound;
	struct dns_lookup *lookups;
};

/* One question; libunbound hands it back. */
struct question {
	struct dns_lookup *lookup;
	enum dns_type type;
};

enum { QUESTIONS_MAX = 2 };

struct dns_lookup {
	struct dns_lookup *next, **slot; /* in dns.lookups */
	struct dns *dns;
	struct event timer; /* the deadline, or the turn in which done is called */
	struct question questions[QUESTIONS_MAX];
	unsigned question_count;
	unsigned waiting; /* questions not yet answered, and find() while it asks */
	bool told; /* done was called or will never be */
	bool failed, missing, present; /* seen among the answers */
	bool insecure;
	dns_done_fn *done;
	void *arg;
	struct dns_mx *hosts;
	size_t host_count;
	struct peer_address addresses[DNS_ADDRESSES_MAX];
	size_t address_count;
};

static void
lookup_free(struct dns_lookup *lookup)
{
	*lookup->slot = lookup->next;
	if (lookup->next != NULL)
		lookup->next->slot = lookup->slot;
	event_del(&lookup->timer);
	free(lookup->hosts);
	free(lookup);
}

static enum fault
lookup_fault(const struct dns_lookup *lookup)
{
	if (lookup->host_count > 0 || lookup->address_count > 0)
		return FAULT_OK;
	if (lookup->failed || lookup->waiting > 0)
		return FAULT_DNS;
	return lookup->missing && !lookup->present ? FAULT_NOT_FOUND : FAULT_OK;
}

/* From the timer only, so never from inside dns_find_x. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dns_lookup *lookup = arg;
	struct dns_answer answer = {
		.fault = lookup_fault(lookup),
		.secure = !lookup->insecure,
		.hosts = lookup->hosts,
		.host_count = lookup->host_count,
		.addresses = lookup->addresses,
		.address_count = lookup->address_count,
	};

	(void)fd;
	(void)what;
	if (!lookup->told) {
		lookup->told = true;
		lookup->done(lookup->arg, &answer);
	}
	if (lookup->waiting == 0)
		lookup_free(lookup);
}

static void
add_host(void *arg, const struct dns_mx *mx)
{
	struct dns_lookup *lookup = arg;

	if (lookup->host_count < DNS_HOSTS_MAX)
		lookup->hosts[lookup->host_count++] = *mx;
}

static void
add_address(void *arg, const struct peer_address *address)
{
	struct dns_lookup *lookup = arg;

	if (lookup->address_count < DNS_ADDRESSES_MAX)
		lookup->addresses[lookup->address_count++] = *address;
}

static void
take_answer(struct dns_lookup *lookup, enum dns_type type, int rcode, struct slice packet)
{
	struct dns_records records = {add_host, add_address, lookup};

	/* libunbound's rcode is of the look-up; that of the answer is in the answer. */
	if (rcode == RCODE_OK && packet.len > RCODE_AT)
		rcode = packet.data[RCODE_AT] & RCODE_MASK;
	if (rcode == RCODE_NXDOMAIN)
		lookup->missing = true;
	else if (rcode == RCODE_OK && dns_packet_parse(packet, type, &records) == FAULT_OK)
		lookup->present = true;
	else
		lookup->failed = true;
}

static void
settle(struct dns_lookup *lookup)
{
	lookup->waiting--;
	if (lookup->waiting == 0)
		event_active(&lookup->timer, EV_TIMEOUT, 1);
}

static void
on_answer(void *arg, int rcode, void *packet, int packet_len, int security, char *why_bogus,
	int was_ratelimited)
{
	struct question *question = arg;
	struct dns_lookup *lookup = question->lookup;

	(void)was_ratelimited;
	lookup->insecure |= security != SECURE;
	if (security == BOGUS)
		log_info("DNS answer not to be trusted: %s",
			why_bogus != NULL ? why_bogus : "bogus");
	if (security == BOGUS || packet_len < 0)
		lookup->failed = true;
	else
		take_answer(lookup, question->type, rcode, slice_make(packet, (size_t)packet_len));
	settle(lookup);
}

static void
ask(struct dns_lookup *lookup, const char *name, enum dns_type type)
{
	struct question *question = &lookup->questions[lookup->question_count++];

	*question = (struct question){lookup, type};
	lookup->waiting++;
	/* What is in the cache is answered from inside this call. */
	if (ub_resolve_event(lookup->dns->unbound, name, (int)type, CLASS_IN, question, on_answer,
		    NULL) == 0)
		return;
	lookup->failed = true;
	settle(lookup);
}

static struct dns_lookup *
lookup_new(struct dns *dns, dns_done_fn *done, void *arg)
{
	struct dns_lookup *lookup = calloc(1, sizeof *lookup);
	struct timeval deadline = {DNS_TIMEOUT_MS / 1000, 0};

	if (lookup == NULL)
		return NULL;
	lookup->hosts = calloc(DNS_HOSTS_MAX, sizeof *lookup->hosts);
	if (lookup->hosts == NULL) {
		free(lookup);
		return NULL;
	}
	lookup->dns = dns;
	lookup->done = done;
	lookup->arg = arg;
	lookup->next = dns->lookups;
	lookup->slot = &dns->lookups;
	if (lookup->next != NULL)
		lookup->next->slot = &lookup->next;
	dns->lookups = lookup;
	event_assign(&lookup->timer, dns->base, -1, 0, on_timer, lookup);
	event_add(&lookup->timer, &deadline);
	return lookup;
}

static bool
copy_name(struct slice name, char text[static DNS_NAME_SIZE])
{
	if (name.len == 0 || name.len >= DNS_NAME_SIZE || slice_find_byte(name, '\0') < name.len)
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return true;
}

static struct dns_lookup *
find(struct dns *dns, struct slice name, const enum dns_type types[2], dns_done_fn *done, void *arg)
{
	struct dns_lookup *lookup = lookup_new(dns, done, arg);
	char text[DNS_NAME_SIZE];

	if (lookup == NULL)
		return NULL;
	lookup->waiting = 1;
	if (copy_name(name, text)) {
		ask(lookup, text, types[0]);
		if (types[1] != types[0])
			ask(lookup, text, types[1]);
	} else {
		lookup->missing = true;
	}
	settle(lookup);
	return lookup;
}

struct dns_lookup *
dns_find_mx(struct dns *dns, struct slice domain, dns_done_fn *done, void *arg)
{
	static const enum dns_type types[] = {DNS_TYPE_MX, DNS_TYPE_MX};

	return find(dns, domain, types, done, arg);
}

struct dns_lookup *
dns_find_addresses(struct dns *dns, struct slice host, dns_done_fn *done, void *arg)
{
	static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};

	return find(dns, host, types, done, arg);
}

void
dns_cancel(struct dns_lookup *lookup)
{
	if (lookup == NULL)
		return;
	lookup->told = true;
	event_active(&lookup->timer, EV_TIMEOUT, 1);
}

/* With a server of our own choice (a test's), names that are reserved elsewhere are its to know. */
static int
use_server(struct dns *dns, const char *resolver)
{
	int error = ub_ctx_set_fwd(dns->unbound, resolver);

	if (error == 0)
		error = ub_ctx_zone_add(dns->unbound, "test.", "transparent");
	if (error == 0)
		error = ub_ctx_zone_add(dns->unbound, "invalid.", "transparent");
	return error;
}

static void
set_options(struct dns *dns)
{
	/* Small: relayd asks for the few domains that users write to. */
	static const char *const options[][2] = {
		/* A forwarder on this machine is what most hosts have. */
		{"do-not-query-localhost:", "no"},
		{"module-config:", "iterator"},
		{"use-syslog:", "no"},
		{"msg-cache-size:", "4m"},
		{"rrset-cache-size:", "4m"},
		{"outgoing-range:", "512"},
		{"num-queries-per-thread:", "512"},
		{"outgoing-num-tcp:", "16"},
	};

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		if (ub_ctx_set_option(dns->unbound, options[i][0], options[i][1]) != 0)
			log_warning("libunbound does not know %s", options[i][0]);
}

static void
on_primed(void *arg, int rcode, void *packet, int packet_len, int security, char *why_bogus,
	int was_ratelimited)
{
	(void)arg;
	(void)rcode;
	(void)packet;
	(void)packet_len;
	(void)security;
	(void)why_bogus;
	(void)was_ratelimited;
}

/* The first question makes libunbound open what it needs, while we may still open anything;
 * localhost is answered from memory. */
static int
prime(struct dns *dns)
{
	return ub_resolve_event(
		dns->unbound, "localhost", DNS_TYPE_A, CLASS_IN, NULL, on_primed, NULL);
}

static int
set_up(struct dns *dns, const char *resolver)
{
	int error = 0;

	set_options(dns);
	if (resolver[0] != '\0')
		error = use_server(dns, resolver);
	else if (ub_ctx_resolvconf(dns->unbound, NULL) != 0)
		log_warning("cannot read /etc/resolv.conf: asking the root servers");
	return error == 0 ? prime(dns) : error;
}

struct dns *
dns_open(struct event_base *base, const char *resolver)
{
	struct dns *dns = calloc(1, sizeof *dns);
	int error;

	if (dns == NULL)
		return NULL;
	dns->base = base;
	dns->unbound = ub_ctx_create_event(base);
	if (dns->unbound == NULL) {
		free(dns);
		return NULL;
	}
	error = set_up(dns, resolver);
	if (error != 0) {
		log_error("resolver %s: %s", resolver, ub_strerror(error));
		dns_close(dns);
		return NULL;
	}
	return dns;
}

void
dns_close(struct dns *dns)
{
	if (dns == NULL)
		return;
	/* libunbound forgets its questions without a callback. */
	ub_ctx_delete(dns->unbound);
	while (dns->lookups != NULL)
		lookup_free(dns->lookups);
	free(dns);
}
