/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "base/log.h"
#include "base/siphash.h"
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
 * its callbacks run after the commit's fdatasync returned (durability `disk`). Under load the writes of
 * commit_interval_ms share one, because a commit costs as much as dozens of writes. What changes with every
 * message (number, mark, seen, dedup ring) rides in a journal record, appended in key order, so that a commit
 * writes few pages; the row with the hot fields is rewritten when the record changes, and by a sweep before
 * the journal's tail grows too long. Opening replays the tail. The journal is the event log too. Look-ups run
 * in the thread pool as well; those of documents share a job, if there was one within commit_interval_ms.
 * Everything is called back on the loop, never within the call.
 *
 * When LMDB's file is nearly full (size_max), or the disk is, changes are called back with -ENOSPC, look-ups
 * go on, and each later change is tried again. An eighth of size_max (256 KiB to 64 MiB) is kept for what
 * makes room: deletions, requests that end, trimming. The way out: delete, or free disk space, or restart
 * with a larger size_max. After a failed sync nothing is written any more (-EIO, store_healthy), because what
 * the disk holds is not known; look-ups go on as long as LMDB lets them.
 *
 * Redis in short. Each write is one script, on the keys of one partition (redis_keys.h): the device with hot
 * fields and record, its queue, the partition's stream of events, its indexes. All that is asked for in a
 * turn of the loop leaves together; what was not answered when the connection is lost is sent again, in
 * order. A full server (-ENOSPC) still deletes, claims and renews leases.
 */

struct uv_loop_s;
struct store;

enum store_role { STORE_MANAGEMENT = 0, STORE_BOOTSTRAP = 1 };

enum { STORE_ENDPOINT_MAX = 255, STORE_RECORD_MAX = 60000, STORE_EVENT_MAX = 65000, STORE_NAME_MAX = 400 };
enum { STORE_DOCUMENT_MAX = 1 << 20, STORE_REQUEST_MAX = 60000, STORE_REQUEST_ID_MAX = 36 };
enum { STORE_QUEUE_BYTES_MAX = 1 << 20 }; /* of a device's requests together */
enum { STORE_INDEX_CHANGES_MAX = 32 };	  /* of one write */

struct store_key {
	enum store_role role;
	struct span endpoint; /* 1..STORE_ENDPOINT_MAX bytes, any */
};

/*
 * The hash of a device, the same on every node: its upper 36 bits begin its registration ids, the upper 32
 * its tokens, and they name its partition. `key` is store_hash_key's.
 */
static inline uint64_t store_key_hash(const struct siphash_key *key, struct store_key device)
{
	uint8_t bytes[1 + STORE_ENDPOINT_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, (uint8_t)device.role);
	writer_bytes(&w, device.endpoint);
	return siphash(key, writer_span(&w));
}

/* Who may write (architecture, rule 1). */
struct store_fence {
	uint32_t node;
	uint32_t gen; /* grows by one at each change of owner */
	uint64_t incarnation;
};

/* Fields that may change with every message. Fixed size, plain data. */
struct store_hot {
	struct store_fence fence;
	uint64_t number;  /* of the last write */
	uint64_t mark;	  /* replay mark: the highest record number of the session with a stored effect */
	uint64_t seen_ms; /* Unix time of the last Register or Update */
	struct coap_dedup dedup;
};

enum store_durability {
	STORE_DURABILITY_DEFAULT, /* LMDB: disk; Redis: local */
	STORE_DISK,		  /* LMDB: the commit's fdatasync returned; Redis: appendfsync always */
	/* The process of the store has it. LMDB syncs once a second: a crash of this process loses nothing,
	 * but one of the machine may leave a file that cannot be opened any more. Keep a backup. */
	STORE_LOCAL,
	STORE_REPLICA, /* Redis: WAIT 1. LMDB: -EINVAL */
};

struct store_options {
	enum store_durability durability;
	uint64_t size_max;	     /* LMDB: bytes the file may grow to; at least 1 MiB */
	uint64_t journal_age_max_ms; /* events older than this may be trimmed, with a later write */
	uint64_t journal_bytes_max;  /* ... or when there are more of them than this; at most half of size_max
				      */
	uint32_t tail_max;	     /* journal records that a start has to replay, about */
	size_t pending_bytes_max;    /* writes that wait for the store; more are refused with -ENOBUFS */
	uint64_t commit_interval_ms; /* LMDB: under load, from the start of a commit to that of the next */
	uint64_t patience_ms;	     /* LMDB: how long what nobody waits for waits for company */
	uint64_t (*wall_ms)(void);   /* clock, replaceable in tests */
	/* Redis; all may be NULL and are copied. A user in the URL wins. */
	const char *user;
	const char *password; /* a secret: never logged */
	const char *ca_file;  /* PEM, for rediss:; NULL: those that the system trusts */
	uint64_t timeout_ms;  /* Redis: how long a call waits for an answer before it ends with -ETIMEDOUT */
};
void store_options_init(struct store_options *o);

/*
 * Opens "lmdb:DIRECTORY" (created if missing, but not its parents) as node `node`. What is wrong is said to
 * `log` once, in words an operator can act on. -EBUSY: another process has it open. -EPROTO: written by a
 * newer version. -EBADMSG: the file is damaged, or another program's. -EINVAL: the URL or an option. -EACCES,
 * -ENOSPC, -EROFS, ... `log` is borrowed until the store is closed. Waits for the disk. LMDB: opening takes
 * over all devices at once, however many: the incarnation is a new one, and the gen of each device one
 * higher.
 */
int store_open(const char *url, const struct store_options *options, uint32_t node, struct uv_loop_s *loop,
	       struct log *log, struct store **out) NODISCARD;
/* Finishes pending changes and look-ups (their callbacks run), closes. `closed` is called at last, on the
 * loop; then `s` is gone. Once, and from then on every other call gives -ESHUTDOWN. */
void store_close(struct store *s, void (*closed)(void *ctx), void *ctx);

/* The key of all hashes that have to be the same on every node and after every restart (made at the store's
 * creation). */
struct siphash_key store_hash_key(const struct store *s);
uint64_t store_incarnation(const struct store *s);
/* False after a failed sync (a restart is needed: what the disk holds is not known), or when the file turned
 * out to be damaged; with `why` in words, else untouched. */
bool store_healthy(const struct store *s, const char **why);

/* ---- devices ---- */

enum store_result {
	STORE_DONE = 0,
	/* A retry: number at or below the stored one; nothing was done again. */
	STORE_ALREADY = 1,
	/* Another owner, a newer gen, or deleted; `found` says what is there. */
	STORE_REFUSED = 2,
	/* The store knows less than the owner (lost writes, or a write in front of this one failed): claim
	 * afresh and write everything. */
	STORE_BEHIND = 3,
	/* Look-ups: there is no such thing. A tombstone counts as absent, but its hot fields are handed out.
	 */
	STORE_ABSENT = 4,
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

/* An event as others read it who have nothing but the store: Redis keeps it beside the body, LMDB does not.
 */
struct store_event_text {
	const char *name;     /* "NOTIFICATION" */
	struct span json;     /* empty: it cannot be told */
	struct span replaced; /* JSON of what comes before it under the same id, see event_json.h; or empty */
};
enum { STORE_EVENT_TEXT_MAX = 1 << 20 }; /* json and replaced together */

struct store_write {
	struct store_key key;
	/*
	 * Complete, as after this write: fence of the writer, number (one above the last), mark, seen, dedup
	 * ring. Entries of the ring with code 0, except the one at `dedup_index`, are pending elsewhere: what
	 * the store has at their places stays. Entries older than the exchange lifetime are not kept.
	 */
	const struct store_hot *hot;
	int dedup_index; /* the entry of hot->dedup that is new with this write; -1: none */
	enum store_record_change change;
	struct span record;  /* with STORE_RECORD_PUT */
	uint64_t expires_ms; /* Unix time at which somebody has to look at the device (0: never); with PUT */
	uint8_t event;	     /* type of the event for the backends; 0: none. Meaning is lwm2m's */
	struct span event_body;
	const struct store_event_text *event_text; /* NULL: only the body is kept */
	const struct store_index_change *index;
	size_t index_count;
	/* Nobody waits for it: it may wait itself, up to patience_ms, to share what writing costs. What is
	 * written after it, of any device, takes it along. */
	bool patient;
};

struct store_written {
	int result; /* enum store_result, or < 0: -ENOSPC, -EIO, -ENOMEM, -ETIMEDOUT: nothing was stored */
	/* STORE_DONE of a hand-over: as it is now, with the new owner and its gen. STORE_REFUSED,
	 * STORE_BEHIND: what is stored. BEHIND because there is nothing at all: the writer's
	 * own fence and number 0, so that in either case a PUT with this gen and the next number is right. */
	struct store_hot found;
	uint64_t sequence; /* STORE_DONE: of the journal, and of the event if there is one */
	uint16_t queue; /* STORE_DONE: moves (modulo 65,536) with each request that is added to the device */
};
typedef void store_written_fn(void *ctx, const struct store_written *written);

/*
 * One fenced write: effect, event, mark, dedup entry and index changes together or not at all. Writes of one
 * device are done, and called back, in the order of the calls.
 *
 * Who may: the owner, with the next number (fence.h is the whole rule). A device that is absent is created by
 * a PUT, with any fence and number. Over a tombstone a PUT creates it again if it is the owner's next write,
 * or has a higher gen; all else is refused with what is there, small numbers included, so that an owner which
 * does not know of the tombstone (it starts with number 1) is told instead of being believed to repeat
 * itself.
 *
 * A write that fails (< 0) has not used its number: those of the same device that were already on their way
 * behind it come back STORE_BEHIND. So a write that was sent to a store which then went away does not fail:
 * it waits until the store is back and says what became of it. -ETIMEDOUT comes of those that were never
 * sent.
 *
 * LMDB: part of the turn's transaction. Redis: one script.
 * -ENOBUFS: too much is pending; -EMSGSIZE: a part is too long; -EINVAL: an argument makes no sense; -EIO:
 * the store is no longer healthy.
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
 * found; of a tombstone (STORE_ABSENT) it has no record. */
typedef void store_device_fn(void *ctx, int result, const struct store_device *device);

/* LMDB: one read transaction, in a job, as all look-ups. Redis: GET. Sees all writes that were
 * called back. -ENOBUFS: too many look-ups are waiting. */
int store_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx) NODISCARD;
/*
 * Takes the device over (architecture, rule 4): done if the stored owner is still `expected`, then the owner
 * is (node, incarnation) of this store with gen + 1 - + 2 if Redis runs anew since the last change of owner,
 * because it may have forgotten one (rule 6) -, and the device is handed out as it is now.
 * STORE_REFUSED: another owner, handed out too; STORE_ABSENT. LMDB: part of the turn's transaction. Redis:
 * one script.
 */
int store_claim(struct store *s, struct store_key key, const struct store_fence *expected,
		store_device_fn *done, void *ctx) NODISCARD;
/*
 * The owner gives the device away: writes `w` (fenced by its own fence in w->hot) and sets the owner to `to`
 * with gen + 1, or + 2 where a claim would (to->gen is not looked at; written->found says it). Not with
 * STORE_RECORD_DELETE (-EINVAL). LMDB: part of the turn's transaction. Redis: one script.
 */
int store_hand_over(struct store *s, const struct store_write *w, const struct store_fence *to,
		    store_written_fn *done, void *ctx) NODISCARD;
/*
 * Walks over all devices of a role, tombstones not, synchronously: only before the loop serves anybody.
 * `each` returns 0 to go on; anything else ends the walk and is returned. LMDB: one read transaction, with
 * what the journal's tail says. (A cluster's nodes load a device when it speaks.)
 */
int store_scan(struct store *s, enum store_role role,
	       int (*each)(void *ctx, const struct store_device *device), void *ctx) NODISCARD;

/*
 * The rest of this section is for nodes that do not have all devices in memory. An embedded store has one
 * that does, and answers -ENOTSUP.
 */

/*
 * Devices by hash: calls `each` with STORE_DONE for each device of the role whose hash (store_key_hash)
 * begins with these 32 bits - usually one or none -, then once with STORE_ABSENT, or < 0. Redis: a look into
 * a small part of the partition's list, then as store_find.
 */
int store_find_hash(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each,
		    void *ctx) NODISCARD;
/*
 * All devices of a role, a page of about `count` at a time, in no particular order. Begin with cursor 0; the
 * last call of a page (STORE_ABSENT) tells where to go on, 0 at the end. Devices that come or go meanwhile
 * may be seen or not, all others once. `next` only counts in that last call.
 */
typedef void store_walk_fn(void *ctx, int result, const struct store_device *device, uint64_t next);
int store_walk(struct store *s, enum store_role role, uint64_t cursor, size_t count, store_walk_fn *each,
	       void *ctx) NODISCARD;
/*
 * Devices whose time (expires_ms of the last PUT, or store_expiry_set) is over by the store's clock: at most
 * `count`, handed out as they are stored, then once with STORE_ABSENT, or < 0. Each of them is put off by
 * defer_ms in the same step, so that nobody else gets it meanwhile: whoever got it deals with it, or it comes
 * back. A call looks at some of the partitions and the next one at those behind them: fewer than `count` does
 * not mean that there are no more.
 */
int store_expired(struct store *s, enum store_role role, size_t count, uint64_t defer_ms,
		  store_device_fn *each, void *ctx) NODISCARD;
/* Moves the time at which store_expired gives the device (0: never), without a fence: it is only a reminder.
 * `done` gets STORE_DONE or STORE_ABSENT, with no device; it may be NULL. */
int store_expiry_set(struct store *s, struct store_key key, uint64_t at_ms, store_device_fn *done,
		     void *ctx) NODISCARD;

/* STORE_DONE, STORE_ABSENT, < 0. `key.endpoint` is borrowed for the call. */
typedef void store_index_fn(void *ctx, int result, struct store_key key);
/* LMDB: one read transaction. Redis: GET {i}... */
int store_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done,
		     void *ctx) NODISCARD;

/* ---- events ---- */

/* Of the types of events the store keeps one for itself: for consumer groups of a stream in Redis, whose
 * events had to go before they had got them. Body: from and up to which time (Unix ms, 8 bytes each). It is
 * not read by store_events_read, which tells of gaps itself. */
enum { STORE_EVENT_LOST = 255 };

/*
 * A place in the log: behind the event with this sequence. Where the sequence is not known (0), or lies
 * beyond the end (of a store that was replaced since), the place is before the first event at or after
 * time_ms. {0, 0} is the beginning.
 */
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
	struct store_cursor lost_to; /* with gap: the last event that is missing */
	const struct store_event *items;
	size_t count;		  /* may be 0 although there are more: then `next` has moved */
	struct store_cursor next; /* read on from here; equal to the cursor of the call if nothing is new */
};
typedef void store_events_fn(void *ctx, const struct store_events *events);

/* Up to `count` events (at most 4096, and about 1 MiB) behind `after`, in order. LMDB: one read transaction,
 * in a job; it may show events whose writes are called back a moment later. Redis: XREAD of all
 * streams, up to the millisecond that is open. */
int store_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		      void *ctx) NODISCARD;
/* The newest event's place, as of the last commit; right after opening any place at or behind it. Redis: a
 * place behind all events that can be read, which are those of milliseconds that are over. */
struct store_cursor store_events_end(const struct store *s);
/* `grown` is called on the loop whenever the newest place has moved, behind the callbacks of its write. One
 * subscriber; NULL: none. */
void store_on_events(struct store *s, void (*grown)(void *ctx), void *ctx);

/* ---- documents: credentials, bootstrap configurations, models, settings, DTLS sessions ---- */

enum store_document {
	STORE_CREDENTIAL = 1,
	STORE_BOOTSTRAP_CONFIG = 2,
	STORE_MODEL = 3,
	STORE_SETTING = 4,
	STORE_RESUMPTION = 5 /* DTLS sessions by id; putting one is patient, as a write may be */
};

/*
 * Sealed or not is the caller's business. Bodies have up to STORE_DOCUMENT_MAX bytes. `version` grows with
 * each change and is never given twice, also not to a document that was deleted and made again.
 */
typedef void store_document_fn(void *ctx, int result, struct span name, struct span body, uint64_t version);

/* `expected`: the version it must have, 0 it must be absent, UINT64_MAX any. Called back with STORE_DONE, or
 * STORE_REFUSED, and what is there afterwards (version 0: nothing). LMDB: part of the turn's transaction.
 * Redis: one script on the document's shard. */
int store_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		       uint64_t expected, store_document_fn *done, void *ctx) NODISCARD;
/* STORE_DONE or STORE_ABSENT. */
int store_document_delete(struct store *s, enum store_document kind, struct span name,
			  store_document_fn *done, void *ctx) NODISCARD;
/* STORE_DONE or STORE_ABSENT. */
int store_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		       void *ctx) NODISCARD;
/* Calls `each` for up to `count` documents behind the name `after` in order (fewer if they are more than
 * about 1 MiB; none only at the end), then once with STORE_ABSENT, or < 0. */
int store_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
			store_document_fn *each, void *ctx) NODISCARD;

/* ---- requests that wait for a device (queue mode) ---- */

struct store_request {
	struct span id;	      /* chosen by the caller, unique, at most 36 bytes */
	uint8_t state;	      /* 1 queued, 2 sent, ...: the caller's */
	uint64_t deadline_ms; /* Unix time */
	struct span body;
};
/* `request` is what is there afterwards, with STORE_DONE, else NULL. */
typedef void store_request_fn(void *ctx, int result, const struct store_request *request);

/*
 * Appends to the device's queue and moves the number that store_written reports. STORE_REFUSED: it has `max`
 * requests, or STORE_QUEUE_BYTES_MAX bytes of them; STORE_ALREADY: one with this id; STORE_ABSENT: there is
 * no such device. The queue outlives a deletion of the device until the tombstone goes. LMDB: part of the
 * turn's transaction, and walks over the queue. Redis: one script on {p}q.
 */
int store_request_add(struct store *s, struct store_key key, const struct store_request *r, size_t max,
		      store_request_fn *done, void *ctx) NODISCARD;
/* Changes state, deadline, and body (unless empty) of the request with this id, fenced as a write but without
 * a number; state 0 removes it. STORE_ABSENT if it is gone, STORE_REFUSED if `fence` is not the owner's. */
int store_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		      const struct store_request *r, store_request_fn *done, void *ctx) NODISCARD;
/* All requests of a device in the order in which they were added; then once with STORE_ABSENT, or < 0. */
int store_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx) NODISCARD;

/* ---- leases ---- */

struct store_lease {
	uint32_t node;
	uint64_t incarnation;
	uint64_t until_ms; /* Unix time of the store */
	struct span body;  /* addresses, state, versions: the cluster's */
};
typedef void store_lease_fn(void *ctx, int result, const struct store_lease *lease);

/* Takes or renews the lease of this node; STORE_REFUSED if another incarnation holds it. LMDB: in memory,
 * since another process cannot have the store open. Redis: one script;
 * closing the store drops it. */
int store_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done,
		     void *ctx) NODISCARD;
int store_lease_drop(struct store *s, store_lease_fn *done, void *ctx) NODISCARD;
/* All live leases, then once with STORE_ABSENT. */
int store_lease_list(struct store *s, store_lease_fn *each, void *ctx) NODISCARD;
/*
 * The store's clock, Unix time: what until_ms, deadlines and expiry are compared with. LMDB: that of this
 * machine. Redis: as of its last answer, carried on by our own clock; exact to about a round trip.
 */
uint64_t store_now_ms(const struct store *s);
/* For how long the store has not answered (0: it does), which leases and expiry are to be stretched by
 * (architecture, rules 2 and 8). LMDB: 0. */
uint64_t store_silent_ms(const struct store *s);

/* ---- figures ---- */

struct store_stats {
	/* Redis: commits are batches that were sent; devices, tail and what is about files stay 0, and the
	 * journal's figures are those of the last trimming. */
	uint64_t commits, writes, write_failures, refused, pending_writes, pending_bytes;
	uint64_t commit_us_last, commit_us_max;
	uint64_t devices, journal_first, journal_last, journal_bytes, tail, file_bytes, size_max;
	uint64_t events_trimmed;
	uint32_t partitions; /* LMDB: 0 */
};
void store_stats(const struct store *s, struct store_stats *out);
