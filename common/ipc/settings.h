/* SPDX-License-Identifier: ISC */
/*
 * The one table of settings: it yields maild's config parser, `maild -n`, the struct that each
 * process reads, and is checked against pabal.conf(5).  maild alone reads the file; a process gets
 * its settings as SETTING messages, the rest keep their defaults there.
 */
#ifndef IPC_SETTINGS_H
#define IPC_SETTINGS_H

#include "common/base/buffer.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/ipc/process.h"

/*
 * T(name, default): text.
 * N(name, kind, default, min, max): a number; kinds: COUNT; SIZE in bytes ("50M"; K, M, G);
 * TIME in milliseconds ("90s"; ms, s, m, h, d); FLAG ("yes" or "no").
 * In the file and in messages '_' is written '-'.
 */
#define SETTINGS(T, N)                                                                             \
	T(hostname, "")                                                                            \
	T(data_directory, "/var/lib/pabal")                                                        \
	T(control_socket, "/run/pabal/control")                                                    \
	T(log_level, "info")                                                                       \
	N(user_id_base, COUNT, 0, 0, 2000000000)                                                   \
	N(workers, COUNT, 0, 0, 64)                                                                \
	/* clients */                                                                              \
	N(connections, COUNT, 10000, 1, 1000000)                                                   \
	N(connections_per_address, COUNT, 100, 1, 1000000)                                         \
	N(login_timeout, TIME, 60000, 100, 3600000)                                                \
	N(smtp_timeout, TIME, 300000, 100, 3600000)                                                \
	N(imap_timeout, TIME, 1860000, 100, 86400000)                                              \
	N(pop3_timeout, TIME, 600000, 100, 3600000)                                                \
	N(plaintext_login, FLAG, 0, 0, 1)                                                          \
	N(login_failures, COUNT, 10, 1, 1000)                                                      \
	/* messages */                                                                             \
	N(message_size, SIZE, 52428800, 1024, 4294967296)                                          \
	N(message_recipients, COUNT, 1000, 100, 1000)                                              \
	N(message_memory, SIZE, 134217728, 1048576, 1099511627776)                                 \
	/* authd */                                                                                \
	N(password_memory, SIZE, 19922944, 8192, 4294967296)                                       \
	N(password_passes, COUNT, 2, 1, 100)                                                       \
	N(password_threads, COUNT, 2, 1, 64)                                                       \
	N(login_memory, TIME, 300000, 0, 86400000)                                                 \
	/* queue and relay */                                                                      \
	N(local_deadline, TIME, 10000, 10, 300000)                                                 \
	N(retry_first, TIME, 300000, 10, 86400000)                                                 \
	N(retry_last, TIME, 14400000, 10, 86400000)                                                \
	N(queue_lifetime, TIME, 432000000, 100, 8640000000)                                        \
	N(delay_notice, TIME, 14400000, 10, 8640000000)                                            \
	N(relay_connections, COUNT, 100, 1, 10000)                                                 \
	N(relay_connections_per_host, COUNT, 10, 1, 1000)                                          \
	N(relay_timeout, TIME, 300000, 100, 3600000)                                               \
	N(relay_port, COUNT, 25, 1, 65535)                                                         \
	T(relay_source, "")                                                                        \
	T(resolver, "")                                                                            \
	T(trust_file, "/etc/ssl/certs/ca-certificates.crt")                                        \
	/* store */                                                                                \
	N(segment_size, SIZE, 1073741824, 65536, 1099511627776)                                    \
	N(undelete_time, TIME, 1209600000, 0, 31536000000)                                         \
	N(account_quota, SIZE, 0, 0, 1125899906842624)                                             \
	N(verify_rate, SIZE, 67108864, 0, 1099511627776)                                           \
	N(compact_rate, SIZE, 8388608, 0, 1099511627776)

struct settings {
#define SETTING_TEXT_FIELD(name, preset) char *name;
#define SETTING_NUMBER_FIELD(name, kind, preset, min, max) int64_t name;
	SETTINGS(SETTING_TEXT_FIELD, SETTING_NUMBER_FIELD)
#undef SETTING_TEXT_FIELD
#undef SETTING_NUMBER_FIELD
};

enum route_tls {
	ROUTE_TLS_MAY, /* opportunistic STARTTLS, certificate not checked */
	ROUTE_TLS_MUST, /* STARTTLS with a valid certificate, or no delivery */
	ROUTE_TLS_AT_ONCE, /* TLS from the first byte, valid certificate */
	ROUTE_TLS_COUNT
};

enum setting_kind { SETTING_TEXT, SETTING_COUNT, SETTING_SIZE, SETTING_TIME, SETTING_FLAG };

struct setting {
	const char *name; /* as in the file, with '-' */
	enum setting_kind kind;
	const char *preset_text; /* of a TEXT */
	int64_t preset, min, max; /* of a number */
};

/* Allocates the defaults; false when memory is out. */
bool settings_init(struct settings *);
/* Frees texts; accepts a zeroed struct. */
void settings_clear(struct settings *);
/* The table, setting_count() rows. */
const struct setting *setting_row(unsigned index);
unsigned setting_count(void);
/*
 * Sets one value from its text.  FAULT_NOT_FOUND: no such name; FAULT_SYNTAX: not of its kind;
 * FAULT_LIMIT: outside min..max.
 */
MUST_USE enum fault settings_set(struct settings *, struct slice name, struct slice value);
/* Appends the canonical text of one value, which settings_set reads back as the same. */
void settings_format(const struct settings *, unsigned index, struct buffer *out);

#endif
