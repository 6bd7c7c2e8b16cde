/* SPDX-License-Identifier: ISC */
/*
 * Reads pabal.conf by libConfuse.  Each value is checked by a callback while the parser stands on
 * its line, so that every error names file and line.  libConfuse's callbacks carry no argument of
 * ours: `loading` is what they fill, and is set during config_load only.
 */
#include "maild/config.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/mail/address.h"
#include "maild/config_text.h"

static struct config *loading;

static void keep_error(cfg_t *cfg, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* The first error is the one to show; later ones follow from it. */
static void
keep_error(cfg_t *cfg, const char *format, va_list args)
{
	char *error = loading->error;
	int head;

	if (error[0] != '\0')
		return;
	head = snprintf(error, CONFIG_ERROR_MAX, "%s:%d: ", cfg->filename, cfg->line);
	if (head > 0 && head < CONFIG_ERROR_MAX)
		vsnprintf(error + head, CONFIG_ERROR_MAX - (size_t)head, format, args);
}

/* Errors of the file as a whole have no line. */
static void file_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
file_error(const char *format, ...)
{
	va_list args;

	if (loading->error[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(loading->error, CONFIG_ERROR_MAX, format, args);
	va_end(args);
}

/* Appends an element of zeroes to a growing array. */
static void *
grow(void *array, size_t *count, size_t size)
{
	char *grown = reallocarray(array, *count + 1, size);

	if (grown == NULL)
		return NULL;
	memset(grown + *count * size, 0, size);
	(*count)++;
	return grown;
}

static const struct setting *
row_named(const char *name)
{
	for (unsigned i = 0; i < setting_count(); i++) {
		if (strcmp(setting_row(i)->name, name) == 0)
			return setting_row(i);
	}
	return NULL;
}

/* It stands in every greeting, trace field and certificate. */
static bool
is_host_name(const char *value)
{
	struct cursor c = cursor_of(slice_text(value));
	struct slice name;

	return take_domain(&c, &name) && cursor_at_end(&c) && name.len <= ADDRESS_DOMAIN_MAX;
}

static int
on_setting(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	const struct setting *row = row_named(opt->name);
	enum fault fault =
		settings_set(&loading->settings, slice_text(opt->name), slice_text(value));
	enum log_level level;

	if (strcmp(opt->name, "log-level") == 0 && !log_level_parse(value, &level)) {
		cfg_error(cfg, "log-level: \"%s\" is not error, warning, info or debug", value);
		return -1;
	}
	if (strcmp(opt->name, "hostname") == 0 && !is_host_name(value)) {
		cfg_error(cfg, "hostname: \"%s\" is no host name", value);
		return -1;
	}
	if (fault == FAULT_OK)
		return 0;
	if (fault == FAULT_LIMIT)
		cfg_error(cfg, "%s: \"%s\" is not within %lld and %lld", opt->name, value,
			(long long)row->min, (long long)row->max);
	else
		cfg_error(
			cfg, "%s: \"%s\" is not %s", opt->name, value, config_kind_hint(row->kind));
	return -1;
}

static bool
push_listen(enum ipc_service service, const struct peer_address *address)
{
	struct config_listen *grown = grow(loading->listens, &loading->listen_count, sizeof *grown);

	if (grown == NULL)
		return false;
	loading->listens = grown;
	grown[loading->listen_count - 1] = (struct config_listen){service, *address};
	return true;
}

static int
add_listen(cfg_t *cfg, enum ipc_service service, const char *text)
{
	struct peer_address address;

	if (!config_address_parse(slice_text(text), &address)) {
		cfg_error(cfg, "listen %s: \"%s\" is not an address like 192.0.2.1:25 or [::1]:25",
			service_row(service)->name, text);
		return -1;
	}
	if (loading->listen_count == CONFIG_LISTENS_MAX) {
		cfg_error(cfg, "listen: more than %d addresses", CONFIG_LISTENS_MAX);
		return -1;
	}
	if (push_listen(service, &address))
		return 0;
	cfg_error(cfg, "out of memory");
	return -1;
}

static cfg_t *
last_section(cfg_opt_t *opt)
{
	return cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
}

static int
on_listen(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *section = last_section(opt);
	const char *name = cfg_title(section);
	enum ipc_service service;

	if (!service_find_by_name(slice_text(name), &service)) {
		cfg_error(cfg, "listen: there is no service \"%s\"", name);
		return -1;
	}
	loading->listens_by_default = false;
	for (unsigned i = 0; i < cfg_size(section, "address"); i++) {
		if (add_listen(cfg, service, cfg_getnstr(section, "address", i)) != 0)
			return -1;
	}
	return 0;
}

/* authd reads them; that they are there is better known before the old ones are given up. */
static bool
is_readable(cfg_t *cfg, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		cfg_error(cfg, "certificate: %s: %s", path, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static int
on_certificate(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *section = last_section(opt);
	const char *chain = cfg_getstr(section, "chain"), *key = cfg_getstr(section, "key");
	struct config_certificate *grown, *new;

	if (chain == NULL || key == NULL) {
		cfg_error(cfg, "certificate: needs chain and key");
		return -1;
	}
	if (!is_readable(cfg, chain) || !is_readable(cfg, key))
		return -1;
	if (loading->certificate_count == CONFIG_CERTIFICATES_MAX) {
		cfg_error(cfg, "certificate: more than %d", CONFIG_CERTIFICATES_MAX);
		return -1;
	}
	grown = grow(loading->certificates, &loading->certificate_count, sizeof *grown);
	if (grown != NULL) {
		loading->certificates = grown;
		new = &grown[loading->certificate_count - 1];
		new->chain = strdup(chain);
		new->key = strdup(key);
		if (new->chain != NULL &&new->key != NULL)
			return 0;
	}
	cfg_error(cfg, "out of memory");
	return -1;
}

static bool
route_tls_find(const char *name, enum route_tls *tls)
{
	for (unsigned i = 0; i < ROUTE_TLS_COUNT; i++) {
		if (strcmp(name, config_route_tls_name((enum route_tls)i)) == 0) {
			*tls = (enum route_tls)i;
			return true;
		}
	}
	return false;
}

/* The first line of the file, or NULL with errno set. */
static char *
read_password(const char *path)
{
	struct secret line = {0};
	char *password = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return NULL;
	got = read(fd, line.bytes, sizeof line.bytes);
	if (got >= 0) {
		struct slice all = slice_make(line.bytes, (size_t)got);
		struct slice first = slice_first(all, slice_find_byte(all, '\n'));

		password = slice_dup(slice_trim(first));
		secret_wipe(line.bytes, sizeof line.bytes);
	}
	close(fd);
	return password;
}

static int
set_route_login(cfg_t *cfg, cfg_t *section, struct config_route *route)
{
	const char *user = cfg_getstr(section, "user");
	const char *file = cfg_getstr(section, "password-file");

	if (user == NULL && file == NULL)
		return 0;
	if (user == NULL || file == NULL) {
		cfg_error(cfg, "route %s: user and password-file go together", route->domain);
		return -1;
	}
	if (route->tls == ROUTE_TLS_MAY) {
		cfg_error(cfg, "route %s: a password needs tls = must or at-once", route->domain);
		return -1;
	}
	route->user = strdup(user);
	route->password_file = strdup(file);
	route->password = read_password(file);
	if (route->password != NULL && route->user != NULL && route->password_file != NULL)
		return 0;
	cfg_error(cfg, "route %s: %s: %s", route->domain, file, strerror(errno));
	return -1;
}

static char *
lower_dup(const char *text)
{
	char *copy = strdup(text);

	for (char *p = copy; p != NULL && *p != '\0'; p++)
		*p = ascii_lower(*p);
	return copy;
}

static int
fill_route(cfg_t *cfg, cfg_t *section, struct config_route *route)
{
	const char *via = cfg_getstr(section, "via"), *tls = cfg_getstr(section, "tls");
	struct slice host;

	route->domain = lower_dup(cfg_title(section));
	if (via == NULL || !config_host_port_parse(slice_text(via), &host, &route->port)) {
		cfg_error(cfg, "route %s: via is not like host:port", cfg_title(section));
		return -1;
	}
	route->host = slice_dup(host);
	if (!route_tls_find(tls, &route->tls)) {
		cfg_error(cfg, "route %s: tls is not may, must or at-once", cfg_title(section));
		return -1;
	}
	if (route->domain == NULL || route->host == NULL) {
		cfg_error(cfg, "out of memory");
		return -1;
	}
	return set_route_login(cfg, section, route);
}

static int
on_route(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config_route *grown;

	if (loading->route_count == CONFIG_ROUTES_MAX) {
		cfg_error(cfg, "route: more than %d", CONFIG_ROUTES_MAX);
		return -1;
	}
	grown = grow(loading->routes, &loading->route_count, sizeof *grown);
	if (grown == NULL) {
		cfg_error(cfg, "out of memory");
		return -1;
	}
	loading->routes = grown;
	return fill_route(cfg, last_section(opt), &grown[loading->route_count - 1]);
}

/* One option per row of settings.h, then the sections and the end. */
static cfg_opt_t *
options_new(cfg_opt_t *listen, cfg_opt_t *certificate, cfg_opt_t *route)
{
	unsigned count = setting_count();
	cfg_opt_t *options = calloc(count + 4, sizeof *options);

	if (options == NULL)
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		options[i] = (cfg_opt_t)CFG_STR(setting_row(i)->name, 0, CFGF_NODEFAULT);
		options[i].validcb = on_setting;
	}
	options[count] =
		(cfg_opt_t)CFG_SEC("listen", listen, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	options[count].validcb = on_listen;
	options[count + 1] = (cfg_opt_t)CFG_SEC("certificate", certificate, CFGF_MULTI);
	options[count + 1].validcb = on_certificate;
	options[count + 2] =
		(cfg_opt_t)CFG_SEC("route", route, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	options[count + 2].validcb = on_route;
	options[count + 3] = (cfg_opt_t)CFG_END();
	return options;
}

/* Parses the text while keep_error knows the file's name. */
static int
parse_text(cfg_t *cfg, const char *path, char *text, size_t len)
{
	FILE *in = len > 0 ? fmemopen(text, len, "r") : NULL;
	int status = len > 0 ? CFG_PARSE_ERROR : CFG_SUCCESS;

	cfg->filename = strdup(path);
	cfg_set_error_function(cfg, keep_error);
	if (in != NULL && cfg->filename != NULL)
		status = cfg_parse_fp(cfg, in);
	if (in != NULL)
		fclose(in);
	return status;
}

static enum fault
parse_file(const char *path)
{
	cfg_opt_t listen[] = {CFG_STR_LIST("address", 0, CFGF_NODEFAULT), CFG_END()};
	cfg_opt_t certificate[] = {
		CFG_STR("chain", 0, CFGF_NODEFAULT), CFG_STR("key", 0, CFGF_NODEFAULT), CFG_END()};
	cfg_opt_t route[] = {CFG_STR("via", 0, CFGF_NODEFAULT), CFG_STR("tls", "may", CFGF_NONE),
		CFG_STR("user", 0, CFGF_NODEFAULT), CFG_STR("password-file", 0, CFGF_NODEFAULT),
		CFG_END()};
	cfg_opt_t *options = options_new(listen, certificate, route);
	cfg_t *cfg = options != NULL ? cfg_init(options, CFGF_NONE) : NULL;
	size_t len;
	char *text = config_text_load(path, &len);
	int status = CFG_PARSE_ERROR;

	if (text == NULL)
		file_error("%s: %s", path, strerror(errno));
	else if (cfg != NULL)
		status = parse_text(cfg, path, text, len);
	cfg_free(cfg);
	free(options);
	free(text);
	if (status == CFG_SUCCESS)
		return FAULT_OK;
	file_error("%s: cannot be read", path);
	return FAULT_CONFIG;
}

/* Without any listen section: every service at its usual port, IPv4 and IPv6. */
static enum fault
add_usual_listens(void)
{
	for (uint32_t i = 0; i < IPC_SERVICE_COUNT; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct peer_address any = {
				.family = v6 ? PEER_IPV6 : PEER_IPV4, .port = service_row(i)->port};

			if (!push_listen((enum ipc_service)i, &any))
				return FAULT_NOMEM;
		}
	}
	return FAULT_OK;
}

static enum fault
set_hostname(void)
{
	char name[256] = "";

	if (loading->settings.hostname[0] != '\0')
		return FAULT_OK;
	if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') {
		file_error("hostname: the system has none; set it");
		return FAULT_CONFIG;
	}
	return settings_set(&loading->settings, SLICE("hostname"), slice_text(name));
}

static enum fault
load_all(const char *path)
{
	enum fault fault = parse_file(path);

	if (fault == FAULT_OK && loading->listens_by_default)
		fault = add_usual_listens();
	if (fault == FAULT_OK)
		fault = set_hostname();
	return fault;
}

enum fault
config_load(struct config *config, const char *path)
{
	enum fault fault = FAULT_NOMEM;

	memset(config, 0, sizeof *config);
	config->listens_by_default = true;
	loading = config;
	if (settings_init(&config->settings))
		fault = load_all(path);
	loading = NULL;
	if (fault == FAULT_OK)
		return FAULT_OK;
	if (config->error[0] == '\0')
		snprintf(config->error, sizeof config->error, "%s: %s", path, fault_text(fault));
	config_clear(config);
	return fault;
}

static void
route_clear(struct config_route *route)
{
	if (route->password != NULL)
		secret_wipe(route->password, strlen(route->password));
	free(route->domain);
	free(route->host);
	free(route->user);
	free(route->password_file);
	free(route->password);
}

void
config_clear(struct config *config)
{
	for (size_t i = 0; i < config->route_count; i++)
		route_clear(&config->routes[i]);
	for (size_t i = 0; i < config->certificate_count; i++) {
		free(config->certificates[i].chain);
		free(config->certificates[i].key);
	}
	free(config->routes);
	free(config->certificates);
	free(config->listens);
	settings_clear(&config->settings);
	config->routes = NULL;
	config->certificates = NULL;
	config->listens = NULL;
	config->route_count = config->certificate_count = config->listen_count = 0;
}
