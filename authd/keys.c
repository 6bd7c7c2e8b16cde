/* SPDX-License-Identifier: ISC */
/* The set of certificates and their files.  Runs in authd, which alone has the keys. */
#include "authd/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/secret.h"

/* What tells that a file is another one than before. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed; /* the inode: chmod counts too */
};

struct pair {
	char *chain_path, *key_path;
	bool wanted; /* in the list that is being made */
	struct stamp chain_stamp, key_stamp;
	bool fresh; /* the bytes below wait for keys_load */
	bool unreadable; /* and that has been said */
	struct buffer chain_bytes, key_bytes;
	uint32_t id; /* of current; 0: nothing loaded */
	struct certificate current;
	uint32_t retired_id;
	struct certificate retired;
};

struct keys {
	const struct clock *clock;
	struct pair pairs[KEYS_MAX];
	uint32_t count;
	uint32_t last_id;
	bool changed; /* a pair was dropped since the last keys_load */
	uint32_t self_id;
	struct certificate self; /* self-signed */
};

enum fault
keys_new(const struct clock *clock, struct keys **made)
{
	struct keys *k = calloc(1, sizeof *k);

	if (k == NULL)
		return FAULT_NOMEM;
	k->clock = clock;
	*made = k;
	return FAULT_OK;
}

static void
drop_bytes(struct pair *p)
{
	if (p->key_bytes.data != NULL)
		secret_wipe(p->key_bytes.data, p->key_bytes.size);
	buffer_clear(&p->key_bytes);
	buffer_clear(&p->chain_bytes);
	p->fresh = false;
}

static void
clear_pair(struct pair *p)
{
	drop_bytes(p);
	certificate_clear(&p->current);
	certificate_clear(&p->retired);
	free(p->chain_path);
	free(p->key_path);
	*p = (struct pair){0};
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	for (uint32_t i = 0; i < k->count; i++)
		clear_pair(&k->pairs[i]);
	certificate_clear(&k->self);
	free(k);
}

void
keys_begin_files(struct keys *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		k->pairs[i].wanted = false;
}

static struct pair *
find_pair(struct keys *k, struct slice chain_path, struct slice key_path)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (slice_equal(slice_text(k->pairs[i].chain_path), chain_path) &&
			slice_equal(slice_text(k->pairs[i].key_path), key_path))
			return &k->pairs[i];
	return NULL;
}

enum fault
keys_add_file(struct keys *k, struct slice chain_path, struct slice key_path)
{
	struct pair *p = find_pair(k, chain_path, key_path);

	if (p != NULL) {
		p->wanted = true;
		return FAULT_OK;
	}
	if (k->count == KEYS_MAX)
		return FAULT_TOO_MANY;
	p = &k->pairs[k->count];
	*p = (struct pair){.chain_path = slice_dup(chain_path), .key_path = slice_dup(key_path)};
	if (p->chain_path == NULL || p->key_path == NULL) {
		clear_pair(p);
		return FAULT_NOMEM;
	}
	/* A byte more than is accepted, so that a file that grows meanwhile is seen. */
	buffer_init(&p->chain_bytes, CERTIFICATE_FILE_MAX + 1);
	buffer_init(&p->key_bytes, CERTIFICATE_FILE_MAX + 1);
	p->wanted = true;
	k->count++;
	return FAULT_OK;
}

void
keys_commit_files(struct keys *k)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < k->count; i++) {
		if (!k->pairs[i].wanted) {
			k->changed = true;
			clear_pair(&k->pairs[i]);
			continue;
		}
		if (kept != i) {
			k->pairs[kept] = k->pairs[i];
			k->pairs[i] = (struct pair){0};
		}
		kept++;
	}
	k->count = kept;
}

const char *
keys_path(const struct keys *k, uint32_t index)
{
	if (index / 2 >= k->count)
		return NULL;
	return index % 2 == 0 ? k->pairs[index / 2].chain_path : k->pairs[index / 2].key_path;
}

static bool
stamp_of(const char *path, struct stamp *stamp)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return false;
	*stamp = (struct stamp){status.st_dev, status.st_ino, status.st_size, status.st_ctim};
	return true;
}

static bool
is_same(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
		a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* A key is for nobody else's eyes; one that others may replace is not used at all. */
static const char *
check_key_file(int fd, const char *path)
{
	struct stat status;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return "it is no plain file";
	if ((status.st_mode & S_IWOTH) != 0)
		return "everybody may write it";
	if ((status.st_mode & S_IROTH) != 0)
		log_warning("the key file %s can be read by everybody: chmod o-r", path);
	return NULL;
}

static const char *
read_bytes(int fd, struct buffer *bytes)
{
	/* Room at once: a growing buffer would leave copies of a key behind. */
	char *at = buffer_reserve(bytes, CERTIFICATE_FILE_MAX + 1);
	size_t len = 0;

	if (at == NULL)
		return fault_text(FAULT_NOMEM);
	while (len <= CERTIFICATE_FILE_MAX) {
		ssize_t got = read(fd, at + len, CERTIFICATE_FILE_MAX + 1 - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return strerror(errno);
		if (got == 0)
			break;
		len += (size_t)got;
	}
	if (len > CERTIFICATE_FILE_MAX)
		return fault_text(FAULT_TOO_BIG);
	buffer_added(bytes, len);
	return NULL;
}

/* NULL, or what is wrong. */
static const char *
read_file(const char *path, bool is_key, struct buffer *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *problem = NULL;

	buffer_reset(bytes);
	if (fd < 0 && errno == EACCES)
		return "authd may not read it; make it readable by its group, or restart Pabal";
	if (fd < 0)
		return strerror(errno);
	if (is_key)
		problem = check_key_file(fd, path);
	if (problem == NULL)
		problem = read_bytes(fd, bytes);
	close(fd);
	return problem;
}

static void
complain(struct pair *p, const char *path, const char *problem)
{
	if (!p->unreadable)
		log_error("certificate file %s not used: %s", path, problem);
	p->unreadable = true;
}

static void
read_pair(struct pair *p)
{
	struct stamp chain, key;
	const char *problem;

	if (!stamp_of(p->chain_path, &chain)) {
		complain(p, p->chain_path, strerror(errno));
		return;
	}
	if (!stamp_of(p->key_path, &key)) {
		complain(p, p->key_path, strerror(errno));
		return;
	}
	if (is_same(&chain, &p->chain_stamp) && is_same(&key, &p->key_stamp))
		return;
	/* The stamps first: what changes while we read is seen again at the next look. */
	p->chain_stamp = chain;
	p->key_stamp = key;
	p->unreadable = false;
	problem = read_file(p->chain_path, false, &p->chain_bytes);
	if (problem != NULL)
		complain(p, p->chain_path, problem);
	else if ((problem = read_file(p->key_path, true, &p->key_bytes)) != NULL)
		complain(p, p->key_path, problem);
	p->fresh = problem == NULL;
	if (!p->fresh)
		drop_bytes(p);
}

void
keys_read(struct keys *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		read_pair(&k->pairs[i]);
}

static void
warn_of_expiry(const struct keys *k, const struct pair *p)
{
	int64_t left = p->current.expires_at - clock_wall_ms(k->clock) / 1000;

	if (left <= 0)
		log_warning("the certificate %s has expired", p->chain_path);
	else if (left < 7 * 86400)
		log_warning("the certificate %s expires in %d days", p->chain_path,
			(int)(left / 86400));
}

static bool
load_pair(struct keys *k, struct pair *p)
{
	struct certificate made;
	const char *why;

	if (!p->fresh)
		return false;
	enum fault fault = certificate_parse(
		&made, buffer_slice(&p->chain_bytes), buffer_slice(&p->key_bytes), &why);
	drop_bytes(p);
	if (fault != FAULT_OK) {
		log_error(
			"certificate %s with key %s not used: %s", p->chain_path, p->key_path, why);
		return false;
	}
	certificate_clear(&p->retired);
	p->retired = p->current;
	p->retired_id = p->id;
	p->current = made;
	p->id = ++k->last_id;
	log_info("certificate %s loaded", p->chain_path);
	warn_of_expiry(k, p);
	return true;
}

/* STARTTLS must work on the first day, too. */
static bool
load_self_signed(struct keys *k, const char *hostname)
{
	if (k->self_id != 0)
		return false;
	if (certificate_self_sign(&k->self, hostname) != FAULT_OK) {
		log_error("cannot make a self-signed certificate");
		return false;
	}
	k->self_id = ++k->last_id;
	log_warning("no certificate is configured: a self-signed one is used, which clients will"
		    " not trust");
	return true;
}

bool
keys_load(struct keys *k, const char *hostname)
{
	bool changed = k->changed;

	k->changed = false;
	for (uint32_t i = 0; i < k->count; i++)
		changed |= load_pair(k, &k->pairs[i]);
	if (k->count == 0)
		changed |= load_self_signed(k, hostname);
	return changed;
}

uint32_t
keys_count(const struct keys *k)
{
	uint32_t count = 0;

	if (k->count == 0)
		return k->self_id != 0;
	for (uint32_t i = 0; i < k->count; i++)
		count += k->pairs[i].id != 0;
	return count;
}

void
keys_get(const struct keys *k, uint32_t index, struct ipc_certificate *certificate)
{
	*certificate = (struct ipc_certificate){k->self_id, buffer_slice(&k->self.chain)};
	for (uint32_t i = 0; i < k->count; i++) {
		const struct pair *p = &k->pairs[i];
		if (p->id == 0 || index-- > 0)
			continue;
		*certificate = (struct ipc_certificate){p->id, buffer_slice(&p->current.chain)};
		return;
	}
}

enum fault
keys_sign(const struct keys *k, const struct ipc_sign *request, struct buffer *signature)
{
	if (request->key == 0)
		return FAULT_NOT_FOUND;
	if (request->key == k->self_id)
		return certificate_sign(&k->self, request, signature);
	for (uint32_t i = 0; i < k->count; i++) {
		const struct pair *p = &k->pairs[i];
		if (p->id == request->key)
			return certificate_sign(&p->current, request, signature);
		if (p->retired_id == request->key)
			return certificate_sign(&p->retired, request, signature);
	}
	return FAULT_NOT_FOUND;
}
