/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/log.h"
#include "base/span.h"
#include "coap/dedup.h"

/*
 * What has to outlive a process: devices, events, documents, queued requests, leases of nodes. One interface,
 * asynchronous: nothing here waits for a disk or a network on the caller's loop. All calls and all callbacks
 * happen on the loop's thread. Whatever is passed in is copied before the call returns; what callbacks get is
 * borrowed for the call.
 *
 * Every function names what it is made of in each backend: one transaction of LMDB (embedded: one process,
 * one node), one script on one shard of Redis (cluster). A backend which cannot do a function in one of these
 * must not do it at all: no write is half done. The contract suite (tests/contract) is the text of what
 * callers may rely on.
 *
 * LMDB in short. All writes of a turn of the loop are one transaction, committed by a job in the thread pool;
 * its callbacks run after the commit's fdatasync returned (durability `disk`). What changes with every
 * message (number, mark, seen, newest dedup entry) rides in a journal record, appended in key order, so that
 * a commit writes few pages; the row with the full hot fields is rewritten when the record changes, and
 * lazily before the journal's tail grows too long. Opening replays the tail. The journal is the event log
 * too.
 *
 * Redis in short. Keys of a device carry its partition's hash tag: {p17}d:<role>:<endpoint> (hot, packed),
 * {p17}r:... (record), {p17}q:... (queue), {p17}ev (stream of events).
 */

struct uv_loop_s;
struct store;

enum store_role { STORE_MANAGEMENT = 0, STORE_BOOTSTRAP = 1 };

enum { STORE_ENDPOINT_MAX = 255, STORE_RECORD_MAX = 60000, STORE_EVENT_MAX = 65000, STORE_NAME_MAX = 400 };
enum {
	STORE_DOCUMENT_MAX = 1 << 20,
	STORE_REQUEST_MAX = 60000,
	STORE_REQUEST_ID_MAX = 36,
	STORE_INDEX_CHANGES_MAX = 32
};

struct store_key {
	enum store_role role;
	struct span endpoint; /* 1..STORE_ENDPOINT_MAX bytes, any */
};

/* Who may write (architecture, rule 1). */
struct store_fence {
	uint32_t node;
	uint32_t gen; /* grows by one at each change of owner */
	uint64_t incarnation;
};

/* Fields that may change with every message. Fixed size, plain data. */
struct store_hot {
	struct store_fence fence;
	uint64_t number; /* of the last write */
	uint64_t mark; /* replay mark: highest record number of the session that is covered by a stored effect
			*/
	uint64_t seen_ms; /* Unix time of the last Register or Update */
	struct coap_dedup dedup;
};

enum store_durability {
	STORE_DISK,    /* LMDB: the commit's fdatasync returned; Redis: appendfsync always */
	STORE_LOCAL,   /* the process of the store has it; LMDB syncs once a second */
	STORE_REPLICA, /* Redis: WAIT 1 */
};

struct store_options {
	enum store_durability durability;
	uint64_t size_max;	     /* LMDB: bytes the file may grow to */
	uint64_t journal_age_max_ms; /* events older than this may be trimmed */
	uint64_t journal_bytes_max;  /* ... or when there are more of them than this */
	uint32_t tail_max;	     /* journal records that a start has to replay, at most */
	size_t pending_bytes_max;    /* writes that wait for the store; more are refused with -ENOBUFS */
	uint64_t (*wall_ms)(void);   /* clock, replaceable in tests */
};
void store_options_init(struct store_options *o);

/*
 * Opens "lmdb:DIRECTORY" (created if missing) as node `node`. What is wrong is said to `log` once, in words
 * an operator can act on. -EBUSY: another process has it open. -EPROTO: written by a newer version. -EACCES,
 * -ENOSPC, -EROFS, ... LMDB: opening takes over all devices at once: the incarnation is a new one, and the
 * gen of each device one higher.
 */
int store_open(const char *url, const struct store_options *options, uint32_t node, struct uv_loop_s *loop,
	       struct log *log, struct store **out) NODISCARD;
/* Finishes pending writes (their callbacks run), closes. `closed` is called at last, on the loop. */
void store_close(struct store *s, void (*closed)(void *ctx), void *ctx);

/* The key of all hashes that have to be the same on every node and after every restart (made at the store's
 * creation). */
struct siphash_key store_hash_key(const struct store *s);
uint64_t store_incarnation(const struct store *s);
/* False after a failed sync (a restart is needed: what the disk holds is not known), with `why` in words. */
bool store_healthy(const struct store *s, const char **why);

/* ---- devices ---- */

enum store_result {
	STORE_DONE = 0,
	STORE_ALREADY = 1, /* a retry: number at or below the stored one; nothing was done again */
	STORE_REFUSED = 2, /* another owner, a newer gen, or deleted; `found` says what is there */
	STORE_BEHIND =
		3, /* the store knows less than the owner (lost writes): claim afresh and write everything */
	STORE_ABSENT = 4, /* look-ups: there is no such thing (a tombstone counts as absent; its hot fields
			     are in `found`) */
};

enum store_record_change {
	STORE_RECORD_KEEP,   /* only hot fields change */
	STORE_RECORD_PUT,    /* `record` replaces the record (creates the device if it is absent) */
	STORE_RECORD_DELETE, /* the device goes; gen and dedup stay as a tombstone for at least 247 s */
};

/* Index entries are hints: written before the record, verified against the record by whoever finds them. */
enum store_index { STORE_INDEX_ADDRESS = 1, STORE_INDEX_CID = 2, STORE_INDEX_IDENTITY = 3 };

struct store_index_change {
	enum store_index kind;
	struct span key; /* at most STORE_NAME_MAX bytes */
	bool remove;	 /* only if it still points to this device */
};

struct store_write {
	struct store_key key;
	const struct store_hot
		*hot; /* complete, as after this write: fence of the writer, number one above the last, ... */
	int dedup_index; /* the entry of hot->dedup that is new with this write; -1: none */
	enum store_record_change change;
	struct span record;  /* with STORE_RECORD_PUT */
	uint64_t expires_ms; /* Unix time at which somebody has to look at the device (0: never); with PUT */
	uint8_t event;	     /* type of the event for the backends; 0: none. Meaning is lwm2m's */
	struct span event_body;
	const struct store_index_change *index;
	size_t index_count;
};

struct store_written {
	int result;		/* enum store_result, or < 0: -ENOSPC, -EIO, -ETIMEDOUT: nothing was stored */
	struct store_hot found; /* STORE_REFUSED, STORE_BEHIND */
	uint64_t sequence;	/* STORE_DONE: of the journal, and of the event if there is one */
	uint16_t queue; /* STORE_DONE: moves (modulo 65,536) with each request that is added to the device */
};
typedef void store_written_fn(void *ctx, const struct store_written *written);

/*
 * One fenced write: effect, event, mark, dedup entry and index changes together or not at all. Writes of one
 * device are done, and called back, in the order of the calls. LMDB: part of the turn's transaction. Redis:
 * one script, EVALSHA write {p}d {p}r {p}ev ... -ENOBUFS: too much is pending; -EMSGSIZE: a part is too long;
 * -EIO: the store is no longer healthy.
 */
int store_write(struct store *s, const struct store_write *w, store_written_fn *done, void *ctx) NODISCARD;

/* A device as it is stored. Everything is borrowed for the call. */
struct store_device {
	struct store_key key;
	struct store_hot hot;
	struct span record;
	uint64_t expires_ms;
};
/* `result`: STORE_DONE, STORE_ABSENT, STORE_REFUSED (claims), < 0. `device` is NULL unless something was
 * found. */
typedef void store_device_fn(void *ctx, int result, const struct store_device *device);

/* LMDB: one read transaction. Redis: MGET {p}d {p}r. Sees all writes that were called back. */
int store_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx) NODISCARD;
/*
 * Takes the device over (architecture, rule 4): done if the stored owner is still `expected`, then the owner
 * is (node, incarnation) of this store with gen + 1, and the device is handed out as it is now. LMDB: part of
 * the turn's transaction. Redis: one script.
 */
int store_claim(struct store *s, struct store_key key, const struct store_fence *expected,
		store_device_fn *done, void *ctx) NODISCARD;
/*
 * The owner gives the device away: writes `w` (fenced by its own fence in w->hot) and sets the owner to `to`
 * with gen + 1. LMDB: part of the turn's transaction. Redis: one script.
 */
int store_hand_over(struct store *s, const struct store_write *w, const struct store_fence *to,
		    store_written_fn *done, void *ctx) NODISCARD;
/*
 * Walks over all devices of a role, synchronously: only before the loop serves anybody. `each` returns 0 to
 * go on. LMDB: one read transaction, with what the journal's tail says. (A cluster's nodes load a device when
 * it speaks.)
 */
int store_scan(struct store *s, enum store_role role,
	       int (*each)(void *ctx, const struct store_device *device), void *ctx) NODISCARD;

/* `endpoint` is borrowed for the call. */
typedef void store_index_fn(void *ctx, int result, struct store_key key);
/* LMDB: one read transaction. Redis: GET {i}... */
int store_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done,
		     void *ctx) NODISCARD;

/* ---- events ---- */

/* A place in the log: behind the event with this sequence. time_ms finds a place where the sequence is not
 * known. */
struct store_cursor {
	uint64_t time_ms;
	uint64_t sequence;
};

struct store_event {
	uint64_t sequence; /* ascending, with holes */
	uint64_t time_ms;  /* Unix time, never descending */
	uint8_t type;
	struct store_key key;
	struct span body;
};

struct store_events {
	int result;		     /* STORE_DONE or < 0 */
	bool gap;		     /* events behind the cursor were trimmed before they were read */
	struct store_cursor lost_to; /* with gap: the last place that is missing */
	const struct store_event *items;
	size_t count;
	struct store_cursor next; /* read on from here; equal to the cursor of the call if nothing is new */
};
typedef void store_events_fn(void *ctx, const struct store_events *events);

/* Up to `count` events (and about 1 MiB) behind `after`. LMDB: one read transaction, in a job. Redis: XRANGE
 * per partition. */
int store_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		      void *ctx) NODISCARD;
/* The newest place, as of the last commit. */
struct store_cursor store_events_end(const struct store *s);
/* `grown` is called on the loop whenever the newest place has moved. One subscriber. */
void store_on_events(struct store *s, void (*grown)(void *ctx), void *ctx);

/* ---- documents: credentials, bootstrap configurations, models, settings of the cluster ---- */

enum store_document { STORE_CREDENTIAL = 1, STORE_BOOTSTRAP_CONFIG = 2, STORE_MODEL = 3, STORE_SETTING = 4 };

/* Sealed or not is the caller's business. `version` grows with each change. */
typedef void store_document_fn(void *ctx, int result, struct span name, struct span body, uint64_t version);

/* `expected`: the version it must have, 0 it must be absent, UINT64_MAX any. STORE_DONE or STORE_REFUSED with
 * what is there. LMDB: part of the turn's transaction. Redis: one script on the document's shard. */
int store_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		       uint64_t expected, store_document_fn *done, void *ctx) NODISCARD;
int store_document_delete(struct store *s, enum store_document kind, struct span name,
			  store_document_fn *done, void *ctx) NODISCARD;
int store_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		       void *ctx) NODISCARD;
/* Calls `each` for up to `count` names behind `after` in order, then once with STORE_ABSENT. */
int store_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
			store_document_fn *each, void *ctx) NODISCARD;

/* ---- requests that wait for a device (queue mode) ---- */

struct store_request {
	struct span id;	      /* chosen by the caller, unique, at most 36 bytes */
	uint8_t state;	      /* 1 queued, 2 sent, ...: the caller's */
	uint64_t deadline_ms; /* Unix time */
	struct span body;
};
typedef void store_request_fn(void *ctx, int result, const struct store_request *request);

/* Appends to the device's queue, at most `max` requests long (else STORE_REFUSED); raises the number that
 * store_written would report. LMDB: part of the turn's transaction. Redis: one script on {p}q. */
int store_request_add(struct store *s, struct store_key key, const struct store_request *r, size_t max,
		      store_request_fn *done, void *ctx) NODISCARD;
/* Changes state (and body, unless empty) of one request, fenced; state 0 removes it. STORE_ABSENT if it is
 * gone. */
int store_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		      const struct store_request *r, store_request_fn *done, void *ctx) NODISCARD;
/* All requests of a device in order; then once with STORE_ABSENT. */
int store_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx) NODISCARD;

/* ---- leases ---- */

struct store_lease {
	uint32_t node;
	uint64_t incarnation;
	uint64_t until_ms; /* Unix time of the store */
	struct span body;  /* addresses, state, versions: the cluster's */
};
typedef void store_lease_fn(void *ctx, int result, const struct store_lease *lease);

/* Takes or renews the lease of this node; STORE_REFUSED if another incarnation holds it. LMDB: a document;
 * another process cannot have the store open. Redis: one script, SET with PX. */
int store_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done,
		     void *ctx) NODISCARD;
int store_lease_drop(struct store *s, store_lease_fn *done, void *ctx) NODISCARD;
/* All live leases, then once with STORE_ABSENT. */
int store_lease_list(struct store *s, store_lease_fn *each, void *ctx) NODISCARD;

/* ---- figures ---- */

struct store_stats {
	uint64_t commits, writes, write_failures, refused, pending_writes, pending_bytes;
	uint64_t commit_us_last, commit_us_max;
	uint64_t devices, journal_first, journal_last, journal_bytes, tail, file_bytes, size_max;
	uint64_t events_trimmed;
};
void store_stats(const struct store *s, struct store_stats *out);
