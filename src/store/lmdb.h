/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "store/backend.h"
#include "store/fence.h"
#include "store/keys.h"
#include "store/overlay.h"

#include <lmdb.h>
#include <uv.h>

/*
 * The inside of the embedded backend.
 *
 * Threads. The loop's thread owns everything; a job in the pool is lent what it works on. There is at most
 * one commit job and one read job at a time. While a commit runs, nobody changes the overlay or `state`: the
 * commit collects its changes in its own copies, and the loop adopts them when the commit has succeeded. So
 * both threads may look into the overlay without a lock, and a commit that fails has changed nothing.
 */

enum {
	LMDB_READS_MAX = 4096,	   /* look-ups that wait; more are refused */
	LMDB_READ_BYTES = 1 << 20, /* of one answer with several items, about */
	LMDB_TOMBSTONE_MS = COAP_EXCHANGE_LIFETIME_MS,
};

/* Walks over all rows, a few with each commit, so that the checkpoint can follow. */
struct lmdb_sweep {
	bool running;
	uint64_t target;	  /* becomes the checkpoint when the walk is through */
	uint64_t target_appended; /* `appended` when the walk began */
	uint64_t visited;
	struct store_key_bytes position; /* the row visited last */
};

/* What a commit changes besides the overlay. */
struct lmdb_state {
	uint64_t sequence; /* of the newest journal entry, and its time */
	uint64_t time_ms;
	struct store_cursor end; /* the newest event, or a place behind it */
	uint64_t first;		 /* of the oldest journal entry, and its time; none if first > sequence */
	uint64_t first_time_ms;
	uint64_t bytes;		      /* of the journal */
	uint64_t appended;	      /* bytes of all entries since the start, and ... */
	uint64_t checkpoint_appended; /* ... where in that count the checkpoint is */
	uint64_t checkpoint;
	struct store_cursor trimmed;
	uint64_t events_trimmed;
	uint64_t document_version;
	uint64_t devices;
	struct lmdb_sweep sweep;
};

struct lmdb_commit;
struct lmdb_op;

/* A kind of change. */
struct lmdb_op_kind {
	/*
	 * In the job: does it, or sets op->result to say why not and changes nothing. < 0: the transaction is
	 * spoilt, and nothing of it will be stored.
	 */
	int (*apply)(struct lmdb_commit *c, struct lmdb_op *op);
	/* On the loop: calls back. After a failure op->result is < 0, whatever apply had set. */
	void (*deliver)(struct lmdb_op *op);
};

/* One change, in the memory of its batch. Begins the struct of each kind. */
struct lmdb_op {
	const struct lmdb_op_kind *kind;
	struct lmdb_op *next;
	size_t charge; /* bytes it counts for */
	int result;
	bool grows;	/* refused when the file is as good as full */
	bool patient;	/* nobody waits for it */
	uint16_t pages; /* of the file that it may touch, besides the end of the journal, about */
};

/* Changes in the order of the calls. */
struct lmdb_batch {
	struct arena memory;
	struct lmdb_op *first;
	struct lmdb_op **last;
	size_t count;
	bool hurried;	   /* somebody waits for one of them */
	uint64_t began_ms; /* of the loop's clock: when the first one came */
};

/* A transaction, from the start of its job until its callbacks have run. */
struct lmdb_commit {
	struct lmdb *l;
	uv_work_t work;
	bool running;
	struct lmdb_op *first; /* what it tries to do: up to, not including, `behind` */
	struct lmdb_op *behind;
	MDB_txn *txn;
	struct overlay changes;
	struct lmdb_state state;
	struct arena results; /* what apply found, for deliver */
	uint64_t now_ms;      /* Unix time when it began */
	size_t appended;      /* journal entries */
	size_t deleted;	      /* devices */
	bool lean;	      /* no room but for what makes room */
	bool state_changed;   /* what struct store_state holds */
	size_t dropped;	      /* requests of devices that are gone */
	int error;
	uint64_t took_us;
	uint64_t file_bytes;
};

struct lmdb_read;

/* A kind of look-up. */
struct lmdb_read_kind {
	/* On the loop, when the job starts: what only the loop may look at. May be NULL. */
	void (*prepare)(struct lmdb *l, struct lmdb_read *r);
	/* In the job. Returns what becomes r->result: enum store_result or < 0. NULL: nothing to do there. */
	int (*run)(struct lmdb *l, MDB_txn *txn, struct lmdb_read *r);
	/* On the loop: calls back. */
	void (*deliver)(struct lmdb *l, struct lmdb_read *r);
	bool shares; /* it may wait for others to share a job with */
};

/* One look-up, on the heap with an arena for question and answer. Begins the struct of each kind. */
struct lmdb_read {
	const struct lmdb_read_kind *kind;
	struct lmdb_read *next;
	struct arena memory;
	int result;
};

struct lmdb_reads {
	struct lmdb_read *first; /* waiting */
	struct lmdb_read **last;
	size_t count;
	struct lmdb_read *current; /* in the job, linked by next */
	uv_work_t work;
	uint64_t began_ms; /* of the loop's clock: the last job */
	uv_timer_t spacing;
};

struct lmdb_lease {
	bool held;
	uint64_t until_ms;
	size_t len;
	uint8_t body[STORE_RECORD_MAX];
};

/* fdatasync behind the back of commits, with durability `local`. */
struct lmdb_sync {
	uv_timer_t timer;
	uv_work_t work;
	bool dirty; /* commits that were not synced */
	bool running;
	int error;
};

struct lmdb {
	struct store base;
	struct store_options options;
	struct log *log;
	char *path;
	int directory; /* open and locked as long as we live */
	uint32_t node;
	uint32_t epoch; /* of this opening; also the incarnation */

	MDB_env *env;
	MDB_dbi tables[STORE_TABLES];
	uint32_t page_bytes;
	uint64_t allocated; /* bytes that the file has on the disk, at least; the commit job's */
	uint64_t reserve;   /* bytes at the end of the file that are kept for what makes room */

	struct siphash_key overlay_key;
	struct overlay overlay;
	struct lmdb_state state;

	uv_loop_t *loop;
	uv_idle_t turn;		  /* runs once before the loop would wait: the end of the turn */
	uv_timer_t spacing;	  /* ends the time for which the next commit waits for more writes */
	uint64_t commit_began_ms; /* of the loop's clock */
	size_t commit_size;	  /* changes in the batch that was taken last */
	struct lmdb_batch batches[2];
	struct lmdb_batch *gathering;
	struct lmdb_commit commit;
	struct lmdb_reads reads;
	struct lmdb_sync sync;
	struct lmdb_lease *lease;

	const char *unhealthy; /* why, or NULL */
	bool closing;
	unsigned handles; /* open ones of the loop */
	void (*closed)(void *ctx);
	void *closed_ctx;
	void (*grown)(void *ctx);
	void *grown_ctx;
	struct store_cursor grown_told;
	struct store_stats stats;
};

static inline struct lmdb *lmdb_of(struct store *s)
{
	return container_of(s, struct lmdb, base);
}

/* ---- lmdb_table.c: LMDB's calls with our types and errors ---- */

/* LMDB's or the system's error number as ours, negative; 0 stays 0. */
int lmdb_error(int rc);
/* The value is borrowed from the file until the transaction writes or ends. -ENOENT: there is none. */
int lmdb_get(const struct lmdb *l, MDB_txn *txn, enum store_table table, struct span key, struct span *value);
/* Puts a value of `size` bytes, which the caller has to write to `w` at once. */
int lmdb_put(const struct lmdb *l, MDB_txn *txn, enum store_table table, struct span key, size_t size,
	     unsigned flags, struct writer *w);
/* Also 0 if there was none. */
int lmdb_delete(const struct lmdb *l, MDB_txn *txn, enum store_table table, struct span key);
/* Moves a cursor; -ENOENT at the end. `key` is in and out for MDB_SET_RANGE. */
int lmdb_move(MDB_cursor *cursor, struct span *key, struct span *value, MDB_cursor_op op);
static inline void cleanup_cursor(MDB_cursor **cursor)
{
	if (*cursor)
		mdb_cursor_close(*cursor);
}
#define _cleanup_cursor_ _cleanup_(cleanup_cursor)
static inline void cleanup_txn(MDB_txn **txn)
{
	if (*txn)
		mdb_txn_abort(*txn);
}
#define _cleanup_txn_ _cleanup_(cleanup_txn)
int lmdb_cursor(const struct lmdb *l, MDB_txn *txn, enum store_table table, MDB_cursor **out);
/* Bytes that the file's pages in use take, free ones not counted. Walks over the list of free pages. */
int lmdb_used_bytes(const struct lmdb *l, MDB_txn *txn, uint64_t *out);

/* ---- lmdb_batch.c: changes, and the job that commits them ---- */

/* Room for one more change of about `bytes`; -ENOBUFS, -EIO (unhealthy), -ESHUTDOWN (closing), or 0. */
int lmdb_admit(const struct lmdb *l, size_t bytes);
/* Cleared memory of the batch that is gathering, and a copy in it. NULL, {NULL, 0}: out of memory. */
void *lmdb_op_take(struct lmdb *l, size_t size);
bool lmdb_op_copy(struct lmdb *l, struct span s, struct span *out);
/* Appends the change to the turn's batch. */
void lmdb_op_submit(struct lmdb *l, struct lmdb_op *op, const struct lmdb_op_kind *kind, size_t charge);
void lmdb_batch_init(struct lmdb *l);
void lmdb_batch_deinit(struct lmdb *l);
/* Something waits: have the loop's next turn start it. */
void lmdb_wake(struct lmdb *l);
/* Notes that what the disk holds is no longer known, and says so. */
void lmdb_fail(struct lmdb *l, int error, const char *why);
uint64_t lmdb_now_us(void);

/* The device as of now within the transaction, or NULL; a copy with changes is given back by lmdb_change. */
const struct overlay_item *lmdb_item(const struct lmdb_commit *c, uint64_t hash);
int lmdb_change(struct lmdb_commit *c, const struct overlay_item *item);
/* Memory that lasts until the callbacks have run. NULL: spoils the transaction with -ENOMEM. */
void *lmdb_result_alloc(struct lmdb_commit *c, size_t size);
int lmdb_result_copy(struct lmdb_commit *c, struct span s, struct span *out);

/* ---- lmdb_read.c: look-ups, and the job that runs them ---- */

/* -ENOBUFS, -ENOMEM, -ESHUTDOWN, or 0: then `*out` is cleared, and given on by lmdb_read_submit or
 * lmdb_read_free. */
int lmdb_read_new(struct lmdb *l, size_t size, const struct lmdb_read_kind *kind, void *out);
void lmdb_read_submit(struct lmdb *l, struct lmdb_read *r);
struct lmdb_read *lmdb_read_free(struct lmdb_read *r);
void lmdb_reads_init(struct lmdb *l);
/* Starts a job if there is something to do and none is running. */
void lmdb_reads_start(struct lmdb *l);

/* ---- lmdb_open.c ---- */

/* Goes on with closing when nothing is in work any more. */
void lmdb_close_step(struct lmdb *l);
/* A commit succeeded: with durability `local` have it synced within a second. */
void lmdb_sync_later(struct lmdb *l);

/* ---- lmdb_load.c ---- */

/* Fills overlay and state from the file. Says what is wrong. */
int lmdb_load(struct lmdb *l, MDB_txn *txn);
int lmdb_scan(struct store *s, enum store_role role,
	      int (*each)(void *ctx, const struct store_device *device), void *ctx);

/* ---- lmdb_journal.c ---- */

/* The next entry: fills in time and sequence. */
int lmdb_journal_append(struct lmdb_commit *c, struct store_entry *e);
/* What is due of checkpointing and trimming, as much as is in proportion to what the commit wrote. */
int lmdb_journal_maintain(struct lmdb_commit *c);
/* Writes struct store_state if it has changed. */
int lmdb_state_save(struct lmdb_commit *c);
/* What an entry counts for. */
uint64_t lmdb_entry_cost(const struct lmdb *l, const struct store_entry *e);
/* Brings a row up to the device's journal entry `head`, unless that is older (0: none). */
int lmdb_fold(const struct lmdb *l, MDB_txn *txn, uint64_t head, struct store_row *row);

/* ---- lmdb_device.c ---- */

uint64_t lmdb_device_hash(const struct lmdb *l, struct span device_key);
/* The device's last journal entry if it is newer than the row, or 0. */
static inline uint64_t lmdb_head(const struct overlay_item *item)
{
	return item && item->flags & OVERLAY_STALE ? item->sequence : 0;
}
/* The row with all that is newer, and its fence as of this opening. -ENOENT. */
int lmdb_device_load(const struct lmdb *l, MDB_txn *txn, struct span device_key, uint64_t head,
		     struct store_row *row);
/* A fence as it is after all take-overs by opening since. */
void lmdb_row_now(const struct lmdb *l, struct store_row *row);
int lmdb_row_put(struct lmdb_commit *c, struct span device_key, const struct store_row *row);
/* Who owns a device that exists. */
int lmdb_owner(struct lmdb_commit *c, const struct overlay_item *item, struct span device_key,
	       struct store_fence *out);
/* Tombstones that are old enough go. */
int lmdb_graves_maintain(struct lmdb_commit *c);

int lmdb_write(struct store *s, const struct store_write *w, const struct store_fence *to,
	       store_written_fn *done, void *ctx);
int lmdb_claim(struct store *s, struct store_key key, const struct store_fence *expected,
	       store_device_fn *done, void *ctx);
int lmdb_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx);
int lmdb_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done, void *ctx);

/* ---- lmdb_event.c, lmdb_document.c, lmdb_request.c, lmdb_lease.c: see backend.h ---- */

int lmdb_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		     void *ctx);
int lmdb_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		      uint64_t expected, store_document_fn *done, void *ctx);
int lmdb_document_delete(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
			 void *ctx);
int lmdb_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		      void *ctx);
int lmdb_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
		       store_document_fn *each, void *ctx);
int lmdb_request_add(struct store *s, struct store_key key, const struct store_request *r, size_t max,
		     store_request_fn *done, void *ctx);
int lmdb_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		     const struct store_request *r, store_request_fn *done, void *ctx);
int lmdb_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx);
/* The requests of a device that is gone for good, as many as one commit may drop. `*all`: none is left. */
int lmdb_requests_drop(struct lmdb_commit *c, struct store_key key, bool *all);
int lmdb_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done, void *ctx);
int lmdb_lease_drop(struct store *s, store_lease_fn *done, void *ctx);
int lmdb_lease_list(struct store *s, store_lease_fn *each, void *ctx);
uint64_t lmdb_now_ms(const struct store *s);
