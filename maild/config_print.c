/* SPDX-License-Identifier: ISC */
/* Writes the effective config in the form that config.c reads: `maild -n`. */
#include "maild/config.h"

#include <string.h>

static void
print_quoted(FILE *out, struct slice text)
{
	fputc('"', out);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			fputc('\\', out);
		fputc(text.data[i], out);
	}
	fputc('"', out);
}

static void
print_pair(FILE *out, const char *name, const char *value)
{
	fprintf(out, "\t%s = ", name);
	print_quoted(out, slice_text(value));
	fputc('\n', out);
}

static void
print_settings(const struct config *config, FILE *out)
{
	struct buffer value;

	buffer_init(&value, 65536);
	for (unsigned i = 0; i < setting_count(); i++) {
		buffer_reset(&value);
		settings_format(&config->settings, i, &value);
		fprintf(out, "%s = ", setting_row(i)->name);
		if (setting_row(i)->kind == SETTING_TEXT)
			print_quoted(out, buffer_slice(&value));
		else
			fprintf(out, "%" SLICE_FMT, SLICE_ARG(buffer_slice(&value)));
		fputc('\n', out);
	}
	buffer_clear(&value);
}

static void
print_listen(const struct config *config, uint32_t service, FILE *out)
{
	const char *separator = "";
	char text[CONFIG_ADDRESS_TEXT_MAX];

	fprintf(out, "listen %s {\n\taddress = {", service_row(service)->name);
	for (size_t i = 0; i < config->listen_count; i++) {
		if (config->listens[i].service != service)
			continue;
		fprintf(out, "%s\"%s\"", separator,
			config_address_format(&config->listens[i].address, text));
		separator = ", ";
	}
	fputs("}\n}\n", out);
}

static void
print_route(const struct config_route *route, FILE *out)
{
	bool is_ipv6 = strchr(route->host, ':') != NULL;

	fputs("route ", out);
	print_quoted(out, slice_text(route->domain));
	fprintf(out, " {\n\tvia = \"%s%s%s:%u\"\n", is_ipv6 ? "[" : "", route->host,
		is_ipv6 ? "]" : "", route->port);
	print_pair(out, "tls", config_route_tls_name(route->tls));
	if (route->user != NULL) {
		print_pair(out, "user", route->user);
		print_pair(out, "password-file", route->password_file);
	}
	fputs("}\n", out);
}

void
config_print(const struct config *config, FILE *out)
{
	print_settings(config, out);
	for (uint32_t service = 0; service < IPC_SERVICE_COUNT; service++)
		print_listen(config, service, out);
	for (size_t i = 0; i < config->certificate_count; i++) {
		fputs("certificate {\n", out);
		print_pair(out, "chain", config->certificates[i].chain);
		print_pair(out, "key", config->certificates[i].key);
		fputs("}\n", out);
	}
	for (size_t i = 0; i < config->route_count; i++)
		print_route(&config->routes[i], out);
}
