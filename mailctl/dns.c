/* SPDX-License-Identifier: ISC */
/* Records for mail in (RFC 5321 5.1), for senders (SPF, DMARC) and for clients (RFC 6186, RFC
 * 8314). */
#include "mailctl/dns.h"

#include <stdio.h>

enum { NAME_SIZE = 320, VALUE_SIZE = 1024 };

/* Where %d stands for the domain and %h for the host's name. */
static const struct {
	const char *name, *type, *value;
} templates[] = {
	{"%d.", "MX", "10 %h."},
	{"%h.", "A", "(the IPv4 address of this host; AAAA likewise)"},
	{"%d.", "TXT", "\"v=spf1 mx -all\""},
	{"_dmarc.%d.", "TXT", "\"v=DMARC1; p=none; rua=mailto:postmaster@%d\""},
	{"_submissions._tcp.%d.", "SRV", "0 1 465 %h."},
	{"_imaps._tcp.%d.", "SRV", "0 1 993 %h."},
	{"_pop3s._tcp.%d.", "SRV", "10 1 995 %h."},
};

struct names {
	const char *domain, *hostname;
};

static void
fill(const char *template, const struct names *names, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (; *template != '\0' && n + 1 < size; template ++) {
		const char *name = NULL;

		if (template[0] == '%')
			name = template[1] == 'd' ? names->domain : names->hostname;
		int len = name != NULL ? snprintf(out + n, size - n, "%s", name)
				       : snprintf(out + n, size - n, "%c", *template);
		if (len < 0 || (size_t)len >= size - n)
			return;
		n += (size_t)len;
		template += name != NULL;
	}
}

json_t *
dns_records(const char *domain, const char *hostname)
{
	struct names names = {domain, hostname};
	json_t *records = json_array();

	for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
		char name[NAME_SIZE], value[VALUE_SIZE];

		fill(templates[i].name, &names, name, sizeof name);
		fill(templates[i].value, &names, value, sizeof value);
		json_array_append_new(records,
			json_pack("{s:s, s:s, s:s}", "name", name, "type", templates[i].type,
				"value", value));
	}
	return records;
}

void
dns_print(const json_t *records)
{
	size_t index;
	json_t *record;

	json_array_foreach(records, index, record)
		printf("%s  %s  %s\n", json_string_value(json_object_get(record, "name")),
			json_string_value(json_object_get(record, "type")),
			json_string_value(json_object_get(record, "value")));
}
