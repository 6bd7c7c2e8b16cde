/* SPDX-License-Identifier: ISC */
/*
 * The payload of each message.  Slices in a received payload borrow from the frame and lists from
 * the link's arena: both are gone when the handler returns.  Limits stand in payloads.c; a sender
 * that breaks one gets FAULT_TOO_LONG and nothing is sent.  Faults travel as uint32_t.
 */
#ifndef IPC_PAYLOADS_H
#define IPC_PAYLOADS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

enum {
	IPC_PAYLOAD_MAX = 256 * 1024, /* bytes of one payload */
	IPC_ADDRESS_MAX = 320, /* 64 + @ + 255 */
	IPC_NAME_MAX = 1000, /* a mailbox name, UTF-8 */
	IPC_RANGES_MAX = 32 * 1024, /* bytes of UID ranges in a frame; more goes by memfd */
	IPC_RECIPIENTS_MAX = 1000,
	IPC_TARGETS_MAX = 1000,
	IPC_DIGEST_MAX = 1024,
	IPC_ACCOUNT_KEY_LEN = 32,
	IPC_DELIVERY_ID_LEN = 16,
	IPC_CHECKSUM_LEN = 16,
};

/*
 * UID ranges on the wire: pairs of big-endian u32 (first, last), first <= last, ascending, not
 * touching.  UINT32_MAX as last means "to the end".  When they take more than IPC_RANGES_MAX bytes
 * the field is empty and a sealed memfd carries them (MAY_FD).
 */

struct ipc_empty {
	uint8_t reserved;
};

struct ipc_hello {
	uint64_t table_hash; /* both sides were built from the same table */
	uint32_t process;
	uint32_t instance;
};

struct ipc_setting {
	struct slice name; /* of settings.h */
	struct slice value; /* canonical text */
};

/* A static route: mail for domain ("*" for all that is not local) goes via host:port. */
struct ipc_route {
	struct slice domain;
	struct slice host;
	uint32_t port;
	uint32_t tls; /* enum route_tls of settings.h */
	struct slice user; /* empty: no AUTH */
	struct slice password;
};

struct ipc_key_file {
	struct slice certificate; /* path of the PEM chain */
	struct slice key; /* path of the PEM private key */
};

struct ipc_listener {
	uint32_t service; /* enum ipc_service */
	struct slice address; /* "127.0.0.1:25", for logs */
};

enum ipc_service {
	IPC_SERVICE_SMTP,
	IPC_SERVICE_SUBMISSION,
	IPC_SERVICE_SUBMISSIONS,
	IPC_SERVICE_IMAP,
	IPC_SERVICE_IMAPS,
	IPC_SERVICE_POP3,
	IPC_SERVICE_POP3S,
	IPC_SERVICE_COUNT
};

struct ipc_peer {
	uint32_t process;
	uint32_t instance;
};

struct ipc_control_word {
	struct slice text;
};

/* A command from mailctl: words as typed, secrets already read; target is the process asked. */
struct ipc_control {
	uint32_t target; /* enum process */
	struct ipc_control_word *words;
	uint32_t word_count;
};

/* Part of the answer (JSON, in order); CONTROL_DONE ends it. */
struct ipc_control_text {
	struct slice text;
};

struct ipc_done {
	uint32_t fault;
	struct slice text; /* for people; may be empty */
};

struct ipc_auth_plain {
	uint32_t service; /* enum ipc_service */
	struct slice remote; /* the client's IP address as text */
	struct slice user; /* login name as given */
	struct slice password;
};

/*
 * Of an account whose mail is encrypted at rest: its key pair, for imapd and pop3d alone.  New mail
 * is encrypted to public_key; where that is empty and private_key is not, old mail still is.
 */
struct ipc_auth_result {
	uint32_t fault; /* OK, AUTH_FAILED, AUTH_SLOWED, ACCOUNT_DISABLED, BUSY... */
	uint64_t account;
	struct slice address; /* the account's main address */
	struct slice public_key; /* IPC_ACCOUNT_KEY_LEN bytes, or empty */
	struct slice private_key; /* the same; never to smtpd */
};

struct ipc_scram_start {
	uint32_t service;
	struct slice remote;
	struct slice message; /* client-first-message, RFC 5802 7 */
};

struct ipc_scram_challenge {
	uint32_t fault;
	uint64_t exchange; /* names this exchange in SCRAM_FINISH */
	struct slice message; /* server-first-message */
};

struct ipc_scram_finish {
	uint64_t exchange;
	struct slice message; /* client-final-message */
};

struct ipc_scram_result {
	uint32_t fault;
	uint64_t account;
	struct slice address;
	struct slice message; /* server-final-message, also with a fault ("e=...") */
	struct slice public_key; /* as in auth_result */
	struct slice private_key;
};

struct ipc_address {
	struct slice address; /* local-part@domain, as received */
};

struct ipc_recipient_checked {
	uint32_t fault; /* OK: local and there; NOT_LOCAL; NO_SUCH_USER; ACCOUNT_DISABLED */
};

/* May this account send as that address? */
struct ipc_sender_check {
	uint64_t account;
	struct slice address;
};

enum ipc_target_kind { IPC_TARGET_ACCOUNT, IPC_TARGET_FORWARD };

/* One end of an alias. */
struct ipc_expansion {
	uint32_t kind; /* enum ipc_target_kind */
	uint64_t account; /* of an ACCOUNT */
	struct slice address; /* the account's main address, or the foreign address */
	struct slice detail; /* of user+detail */
	struct slice public_key; /* of an ACCOUNT whose new mail is encrypted; or empty */
};

struct ipc_expanded {
	uint32_t fault; /* OK, NOT_LOCAL, NO_SUCH_USER, ACCOUNT_DISABLED, MAIL_LOOP, TOO_MANY */
	struct ipc_expansion *targets;
	uint32_t target_count;
};

/* So many CERTIFICATE messages follow and together replace all earlier ones. */
struct ipc_certificates {
	uint32_t count;
};

struct ipc_certificate {
	uint32_t key; /* names the private key in SIGN */
	struct slice chain; /* PEM, leaf first */
};

enum ipc_sign_operation { IPC_SIGN_RSA, IPC_SIGN_ECDSA };

struct ipc_sign {
	uint32_t key;
	uint32_t operation; /* enum ipc_sign_operation */
	uint32_t padding; /* RSA: RSA_PKCS1_PADDING or RSA_NO_PADDING of OpenSSL */
	struct slice data; /* what RSA_private_encrypt gets, or the ECDSA digest */
};

struct ipc_signed_digest {
	uint32_t fault;
	struct slice signature; /* ECDSA: DER */
};

enum ipc_body { IPC_BODY_7BIT, IPC_BODY_8BITMIME, IPC_BODY_BINARY };

/* RFC 3461 4.1 NOTIFY; 0 is "not given". */
enum ipc_notify {
	IPC_NOTIFY_NEVER = 1,
	IPC_NOTIFY_SUCCESS = 2,
	IPC_NOTIFY_FAILURE = 4,
	IPC_NOTIFY_DELAY = 8
};

enum ipc_ret { IPC_RET_UNSET, IPC_RET_FULL, IPC_RET_HDRS };

struct ipc_recipient {
	uint32_t number; /* position in the message; names it in answers */
	bool local; /* authd knew it at RCPT */
	uint32_t notify; /* enum ipc_notify */
	struct slice address;
	struct slice orcpt; /* RFC 3461 4.2, decoded "type;address"; may be empty */
};

/* The message is the memfd: Received field first, CRLF line ends, no dot-stuffing. */
struct ipc_submit {
	uint64_t id; /* of the message, drawn by smtpd; shown in the 250 reply */
	struct slice sender; /* reverse-path; empty is <> */
	uint64_t account; /* who logged in, 0 for nobody */
	struct slice client; /* "crepes.fr [192.0.2.1]" for logs and DSNs */
	uint32_t body; /* enum ipc_body */
	bool smtputf8;
	uint32_t ret; /* enum ipc_ret */
	struct slice envid;
	struct ipc_recipient *recipients;
	uint32_t recipient_count;
};

struct ipc_submitted {
	uint32_t fault; /* OK: every recipient is durably stored or queued */
	struct slice text; /* why not; may be empty */
};

/* Local delivery of one message. */
struct ipc_deliver {
	uint64_t id;
	struct slice sender;
	struct ipc_recipient *recipients;
	uint32_t recipient_count;
};

struct ipc_delivery_result {
	uint32_t number;
	uint32_t fault; /* OK: stored, or replaced by the forwards of this number */
	struct slice text;
};

struct ipc_forward {
	uint32_t number; /* the recipient whose alias named it */
	struct slice address;
};

struct ipc_delivered {
	uint32_t fault; /* of the whole request; then there are no results */
	struct ipc_delivery_result *results;
	uint32_t result_count;
	struct ipc_forward *forwards;
	uint32_t forward_count;
};

/* One message to recipients of one domain. */
struct ipc_relay {
	uint64_t id;
	struct slice sender;
	struct slice domain; /* of all recipients, lower case */
	uint32_t body;
	bool smtputf8; /* the message needs it */
	uint32_t ret;
	struct slice envid;
	struct ipc_recipient *recipients;
	uint32_t recipient_count;
};

struct ipc_relay_result {
	uint32_t number;
	uint32_t fault; /* OK: the other side took it; else temporary or permanent */
	uint32_t code; /* SMTP reply code, 0 when there was none */
	struct slice status; /* RFC 3463, "5.1.1" */
	struct slice text; /* the reply, or what went wrong here */
};

struct ipc_relayed {
	uint32_t fault; /* of the whole request; then there are no results */
	struct slice host; /* remote MTA, for DSNs */
	bool dsn; /* the other side announced DSN: it takes over success notices */
	struct ipc_relay_result *results;
	uint32_t result_count;
};

struct ipc_account_ensure {
	uint64_t account;
};

struct ipc_append_target {
	uint64_t account;
	uint32_t mailbox; /* 1 is INBOX */
	uint32_t flags; /* enum store_flag bits */
	struct slice keywords; /* separated by spaces */
	int64_t internal_s; /* seconds since 1970 UTC */
	int32_t zone_min; /* of the internal date, minutes east */
	struct slice prefix; /* Return-Path and Delivered-To lines, or empty */
	struct slice delivery_id; /* IPC_DELIVERY_ID_LEN bytes, or empty */
};

/* The memfd holds the stored structure, then the stored (packed) body. */
struct ipc_append {
	uint32_t structure_len;
	uint64_t stored_len; /* of the packed body */
	uint64_t plain_len; /* of the body as it came */
	uint32_t codec;
	struct slice checksum; /* IPC_CHECKSUM_LEN bytes, of the plain body */
	struct slice references; /* u64 hashes of Message-ID and References, big-endian */
	struct ipc_append_target *targets;
	uint32_t target_count;
};

struct ipc_append_result {
	uint32_t fault;
	uint32_t uidvalidity;
	uint32_t uid;
	uint64_t modseq;
	uint64_t email;
};

struct ipc_appended {
	uint32_t fault; /* of the whole request; then there are no results */
	struct ipc_append_result *results; /* one per target, in order */
	uint32_t result_count;
};

/* A mailbox in which the message was. */
struct ipc_restore_target {
	uint32_t mailbox; /* its id now */
	uint32_t flags;
	struct slice keywords; /* separated by spaces */
	int64_t internal_s;
	int32_t zone_min;
};

/* A message of a backup.  The memfd holds the stored structure, then the stored body. */
struct ipc_restore {
	uint64_t store; /* id of the store that the backup is of, and the ids below */
	uint64_t account; /* where it goes */
	uint64_t email;
	uint64_t thread;
	uint64_t body;
	int64_t expunged_s; /* since when it waits for its purge in the running store; 0: not known
			     */
	uint32_t structure_len;
	uint64_t stored_len;
	uint64_t plain_len;
	uint32_t codec;
	struct slice checksum; /* as in ipc_append */
	struct slice references;
	struct slice prefix;
	struct ipc_restore_target *targets;
	uint32_t target_count;
};

struct ipc_restored {
	uint32_t fault;
	uint32_t count; /* messages put back; 0: it is there */
};

enum ipc_flags_operation { IPC_FLAGS_SET, IPC_FLAGS_ADD, IPC_FLAGS_REMOVE };

struct ipc_flags_store {
	uint64_t account;
	uint32_t mailbox;
	struct slice uids;
	uint32_t operation; /* enum ipc_flags_operation */
	uint32_t flags;
	struct slice keywords;
	uint64_t unchanged_since; /* UINT64_MAX: no condition (RFC 7162 3.1.3) */
};

struct ipc_flags_stored {
	uint32_t fault;
	uint64_t modseq; /* the account's, after the change */
	struct slice failed; /* UID ranges that did change since */
};

struct ipc_copy {
	uint64_t account;
	uint32_t mailbox;
	uint32_t to;
	bool move;
	struct slice uids;
};

struct ipc_copied {
	uint32_t fault;
	uint32_t uidvalidity; /* of the target */
	struct slice uids; /* source UID ranges really copied */
	uint32_t first_uid; /* the copies have consecutive UIDs in the order of the source */
	uint64_t modseq;
};

struct ipc_expunge {
	uint64_t account;
	uint32_t mailbox;
	bool only_deleted; /* of the UIDs, only those that have \Deleted */
	struct slice uids;
};

struct ipc_expunged {
	uint32_t fault;
	uint32_t count;
	uint64_t modseq;
};

struct ipc_mailbox_create {
	uint64_t account;
	struct slice name;
	uint32_t special_use; /* enum store_special_use, 0 for none */
};

struct ipc_mailbox_name {
	uint64_t account;
	struct slice name;
};

struct ipc_mailbox_rename {
	uint64_t account;
	struct slice from;
	struct slice to;
};

struct ipc_mailbox_subscribe {
	uint64_t account;
	struct slice name;
	bool subscribed;
};

struct ipc_mailbox_done {
	uint32_t fault;
	uint32_t mailbox;
};

/* The session that selects a mailbox takes its recent messages (RFC 3501 2.3.2). */
struct ipc_recent_claim {
	uint64_t account;
	uint32_t mailbox;
};

struct ipc_recent_claimed {
	uint32_t fault;
	uint32_t first_recent; /* UIDs from here on are \Recent in the asking session */
};

struct ipc_change {
	uint64_t account;
	uint32_t mailbox;
	uint64_t modseq;
};

/* Hints sent after a commit; the reader looks up what changed in the change log. */
struct ipc_changed {
	struct ipc_change *changes;
	uint32_t change_count;
};

#endif
