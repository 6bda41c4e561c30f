/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Changes: gathered over a turn of the loop, committed by a job in the thread pool, called back in order.
 *
 * The hard idea is group commit without a lock. There are two batches; the loop fills one while a job works
 * on the other, so the longer the disk takes, the more writes share its next sync. The job changes nothing
 * that the loop can see: it collects what it will have changed (`changes`, `state`) and the loop adopts that
 * when the commit has succeeded. A batch that is too large for one transaction is done in several.
 *
 * Leaves out what a change is (a table of two functions per kind).
 */

#include "store/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

/* What one transaction takes on: it bounds the time to the callbacks, and the memory for what they are told.
 */
enum { COMMIT_OPS_MAX = 8192, RESULT_BYTES_MAX = 4 << 20 };
/* A commit of so many changes was made under load. */
enum { LOADED_OPS = 5 };

uint64_t lmdb_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- gathering ---- */

static void batch_reset(struct lmdb_batch *b)
{
	arena_reset(&b->memory);
	b->first = NULL;
	b->last = &b->first;
	b->count = 0;
	b->hurried = false;
}

void lmdb_batch_init(struct lmdb *l)
{
	/* pending_bytes counts payloads and structs; the arena rounds up each of the pieces. */
	size_t limit = l->options.pending_bytes_max * 2 + 2 * STORE_DOCUMENT_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(l->batches); i++) {
		arena_init(&l->batches[i].memory, limit);
		batch_reset(&l->batches[i]);
	}
	l->gathering = &l->batches[0];
	l->commit.l = l;
	overlay_init(&l->commit.changes);
	arena_init(&l->commit.results, RESULT_BYTES_MAX + 2 * STORE_DOCUMENT_MAX);
}

void lmdb_batch_deinit(struct lmdb *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(l->batches); i++)
		arena_deinit(&l->batches[i].memory);
	overlay_deinit(&l->commit.changes);
	arena_deinit(&l->commit.results);
}

int lmdb_admit(const struct lmdb *l, size_t bytes)
{
	if (l->closing)
		return -ESHUTDOWN;
	if (l->unhealthy)
		return -EIO;
	return l->stats.pending_bytes + bytes > l->options.pending_bytes_max ? -ENOBUFS : 0;
}

void *lmdb_op_take(struct lmdb *l, size_t size)
{
	void *op = arena_alloc(&l->gathering->memory, size);

	return op ? memset(op, 0, size) : NULL;
}

bool lmdb_op_copy(struct lmdb *l, struct span s, struct span *out)
{
	*out = s.len ? arena_dup(&l->gathering->memory, s) : (struct span){NULL, 0};
	return s.len == 0 || out->data;
}

void lmdb_op_submit(struct lmdb *l, struct lmdb_op *op, const struct lmdb_op_kind *kind, size_t charge)
{
	struct lmdb_batch *b = l->gathering;

	if (b->count == 0)
		b->began_ms = uv_now(l->loop);
	b->hurried |= !op->patient;
	op->kind = kind;
	op->charge = charge;
	*b->last = op;
	b->last = &op->next;
	b->count++;
	l->stats.pending_writes++;
	l->stats.pending_bytes += charge;
	lmdb_wake(l);
}

/* ---- in the job ---- */

const struct overlay_item *lmdb_item(const struct lmdb_commit *c, uint64_t hash)
{
	const struct overlay_item *item = overlay_find(&c->changes, hash);

	if (item)
		return item->flags & OVERLAY_REMOVED ? NULL : item;
	return overlay_find(&c->l->overlay, hash);
}

int lmdb_change(struct lmdb_commit *c, const struct overlay_item *item)
{
	int err = overlay_reserve(&c->changes, 1);

	if (err == 0)
		overlay_put(&c->changes, item);
	return err;
}

void *lmdb_result_alloc(struct lmdb_commit *c, size_t size)
{
	void *result = arena_alloc(&c->results, size);

	return result ? memset(result, 0, size) : NULL;
}

int lmdb_result_copy(struct lmdb_commit *c, struct span s, struct span *out)
{
	*out = s.len ? arena_dup(&c->results, s) : (struct span){NULL, 0};
	return s.len == 0 || out->data ? 0 : -ENOMEM;
}

/*
 * LMDB calls a write which a full disk cut short an I/O error, and that is what a failed sync is, too. So the
 * disk space which a transaction may need is allocated before it begins, in large steps because each changes
 * the file's metadata: a full disk is found out while nothing has happened, and what was allocated before is
 * left for what makes room.
 */
static int check_disk(struct lmdb_commit *c, uint64_t end)
{
	struct lmdb *l = c->l;
	uint64_t needed = MIN(end + l->reserve, l->options.size_max);
	uint64_t wanted = MIN(end + 2 * l->reserve, l->options.size_max);
	mdb_filehandle_t fd;
	struct stat file;
	int rc;

	if (l->allocated >= needed)
		return 0;
	if (mdb_env_get_fd(l->env, &fd) != MDB_SUCCESS || fstat(fd, &file) < 0)
		return -EIO;
	l->allocated = (uint64_t)file.st_size;
	if (l->allocated >= needed)
		return 0;
	do {
		rc = fallocate(fd, 0, 0, (off_t)wanted);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		l->allocated = wanted;
	/* A file system that cannot do it is full when it says so. */
	if (rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	rc = lmdb_error(errno);
	c->lean = rc == -ENOSPC && l->allocated >= end + l->reserve / 2;
	return c->lean ? 0 : rc;
}

/* The file's own limit: what is used, not counting free pages, may not reach into the reserve. */
static int check_file(struct lmdb_commit *c, uint64_t end)
{
	const struct lmdb *l = c->l;
	_cleanup_txn_ MDB_txn *txn = NULL;
	uint64_t limit = l->options.size_max - l->reserve, used = 0;
	int err;

	/* As long as the file has not reached the limit, what is used in it has not either. */
	if (end <= limit)
		return 0;
	/* The list of free pages can only be read in a reading transaction. */
	err = lmdb_error(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn));
	if (err == 0)
		err = lmdb_used_bytes(l, txn, &used);
	if (used > limit)
		c->lean = true;
	return err;
}

/* Nearly full: then only what makes room is done, so that there is a way out. */
static int check_room(struct lmdb_commit *c)
{
	MDB_envinfo info;
	uint64_t end;
	int err;

	mdb_env_info(c->l->env, &info);
	end = (info.me_last_pgno + 1) * c->l->page_bytes;
	err = check_disk(c, end);
	return err < 0 ? err : check_file(c, end);
}

static int apply(struct lmdb_commit *c, struct lmdb_op *op)
{
	if (c->lean && op->grows) {
		op->result = -ENOSPC;
		return 0;
	}
	return op->kind->apply(c, op);
}

/* What a change may need of the reserve. */
static uint64_t cost(const struct lmdb_commit *c, const struct lmdb_op *op)
{
	return op->charge + (uint64_t)op->pages * c->l->page_bytes;
}

/* Applies changes until there are no more, or the transaction has enough of them. */
static int apply_all(struct lmdb_commit *c)
{
	/* Whatever it is, it fits into the reserve. */
	uint64_t bytes_max = c->l->reserve / 4, bytes = 0;
	size_t count = 0;
	struct lmdb_op *op = c->first;
	int err = 0;

	do {
		err = apply(c, op);
		bytes += cost(c, op);
		count++;
		op = op->next;
	} while (err == 0 && op && count < COMMIT_OPS_MAX && c->results.used < RESULT_BYTES_MAX &&
		 bytes + cost(c, op) <= bytes_max);
	c->behind = op;
	return err;
}

static int run_transaction(struct lmdb_commit *c)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	MDB_envinfo info;
	int err = check_room(c);

	c->behind = c->first->next;
	if (err == 0)
		err = lmdb_error(mdb_txn_begin(c->l->env, NULL, 0, &txn));
	if (err < 0)
		return err;
	c->txn = txn;
	err = apply_all(c);
	if (err == 0)
		err = lmdb_journal_maintain(c);
	if (err == 0)
		err = lmdb_graves_maintain(c);
	if (err == 0)
		err = lmdb_state_save(c);
	if (err < 0)
		return err;
	txn = NULL; /* a commit ends it, whatever it returns */
	err = lmdb_error(mdb_txn_commit(c->txn));
	mdb_env_info(c->l->env, &info);
	c->file_bytes = (info.me_last_pgno + 1) * c->l->page_bytes;
	return err;
}

static void commit_job(uv_work_t *work)
{
	struct lmdb_commit *c = container_of(work, struct lmdb_commit, work);
	uint64_t began_us = lmdb_now_us();

	c->error = run_transaction(c);
	c->took_us = lmdb_now_us() - began_us;
}

/* ---- on the loop ---- */

/* What the transaction changed becomes what is. Room was reserved. */
static void adopt(struct lmdb_commit *c)
{
	struct lmdb *l = c->l;
	size_t cursor = 0;

	for (const struct overlay_item *item; (item = overlay_next(&c->changes, &cursor));) {
		if (item->flags & OVERLAY_REMOVED)
			overlay_remove(&l->overlay, item->hash);
		else
			overlay_put(&l->overlay, item);
	}
	l->state = c->state;
	l->stats.commits++;
	l->stats.commit_us_last = c->took_us;
	l->stats.commit_us_max = MAX(l->stats.commit_us_max, c->took_us);
	l->stats.file_bytes = c->file_bytes;
	lmdb_sync_later(l);
}

void lmdb_fail(struct lmdb *l, int error, const char *why)
{
	if (l->unhealthy)
		return;
	l->unhealthy = why;
	log_event(l->log, LOG_ERROR, "store-failed",
		  "path=%s cause=\"%s\" error=\"%s\" hint=\"check the disk, then restart\"",
		  LOG_SPAN(span_str(l->path)), why, strerror(-error));
}

static void say_full(struct lmdb *l)
{
	log_limited(l->log, LOG_ERROR, 1, "store-full",
		    "path=%s size_max=%" PRIu64 " file=%" PRIu64
		    " hint=\"delete something, free disk space, or restart with a larger size-max\"",
		    LOG_SPAN(span_str(l->path)), l->options.size_max, l->stats.file_bytes);
}

/* All of the transaction is undone; says why, and what that means for what comes after it. */
static int give_up(struct lmdb_commit *c)
{
	struct lmdb *l = c->l;

	l->stats.write_failures++;
	if (c->error == -ENOSPC) {
		say_full(l);
		return -ENOSPC;
	}
	if (c->error == -ENOMEM) {
		log_limited(l->log, LOG_ERROR, 1, "store-memory", "cause=\"a commit ran out of memory\"");
		return -ENOMEM;
	}
	lmdb_fail(l, c->error, c->error == -EBADMSG ? "the file is damaged" : "a commit failed");
	return -EIO;
}

static void deliver(struct lmdb_commit *c, struct lmdb_op *behind, int error)
{
	struct lmdb *l = c->l;

	for (struct lmdb_op *op = c->first, *next; op != behind; op = next) {
		next = op->next;
		if (error < 0)
			op->result = error;
		l->stats.pending_writes--;
		l->stats.pending_bytes -= op->charge;
		l->stats.writes += op->result == STORE_DONE;
		l->stats.refused += op->result == STORE_REFUSED;
		op->kind->deliver(op);
	}
	c->first = behind;
}

static void tell_growth(struct lmdb *l)
{
	if (l->grown_told.sequence == l->state.end.sequence)
		return;
	l->grown_told = l->state.end;
	if (l->grown)
		l->grown(l->grown_ctx);
}

static struct lmdb_batch *committing(struct lmdb *l)
{
	return l->gathering == &l->batches[0] ? &l->batches[1] : &l->batches[0];
}

/* The whole batch fails without a job. */
static void commit_refuse(struct lmdb_commit *c, int error)
{
	deliver(c, NULL, error);
	c->running = false;
	batch_reset(committing(c->l));
}

static void commit_done(uv_work_t *work, int status)
{
	struct lmdb_commit *c = container_of(work, struct lmdb_commit, work);
	struct lmdb *l = c->l;
	int error = c->error;

	assert(status == 0); /* nobody cancels it */
	if (error == 0)
		adopt(c);
	else
		error = give_up(c);
	if (c->lean)
		say_full(l);
	deliver(c, c->behind, error);
	if (l->unhealthy)
		deliver(c, NULL, -EIO);
	tell_growth(l);
	c->running = false;
	if (!c->first)
		batch_reset(committing(l));
	lmdb_wake(l);
}

/* The next part of the batch at hand, or of the one that was gathered. */
static void commit_start(struct lmdb *l)
{
	struct lmdb_commit *c = &l->commit;
	size_t room;
	int err;

	if (!c->first) {
		struct lmdb_batch *full = l->gathering;

		l->gathering = committing(l);
		c->first = full->first;
		l->commit_began_ms = uv_now(l->loop);
		l->commit_size = full->count;
	}
	arena_reset(&c->results);
	c->running = true;
	if (l->unhealthy) {
		commit_refuse(c, -EIO);
		return;
	}
	room = MIN(committing(l)->count, (size_t)COMMIT_OPS_MAX);
	overlay_reset(&c->changes, room);
	c->state = l->state;
	c->now_ms = l->options.wall_ms();
	c->appended = c->deleted = c->dropped = 0;
	c->lean = c->state_changed = false;
	c->behind = NULL;
	/* Each change can add one device; adopting them cannot fail any more. */
	c->error = overlay_reserve(&l->overlay, room);
	if (c->error < 0) {
		commit_refuse(c, c->error);
		return;
	}
	err = uv_queue_work(l->loop, &c->work, commit_job, commit_done);
	assert(err == 0);
}

static void spacing_over(uv_timer_t *timer)
{
	lmdb_wake(container_of(timer, struct lmdb, spacing));
}

/*
 * Whether the batch waits for more. The last one says what load there is: where writes come one by one, each
 * is committed at once; where one commit had several, its costs are better shared by yet more. What nobody
 * waits for is not committed on its own account until its patience ends.
 */
static bool must_wait(struct lmdb *l)
{
	const struct lmdb_batch *b = l->gathering;
	uint64_t now = uv_now(l->loop), next = 0;

	if (!b->hurried)
		next = b->began_ms + l->options.patience_ms;
	else if (l->commit_size >= LOADED_OPS)
		next = l->commit_began_ms + l->options.commit_interval_ms;
	if (l->closing || b->count >= COMMIT_OPS_MAX || now >= next)
		return false;
	uv_timer_start(&l->spacing, spacing_over, next - now, 0);
	return true;
}

static void turn_ended(uv_idle_t *turn)
{
	struct lmdb *l = container_of(turn, struct lmdb, turn);

	uv_idle_stop(turn);
	if (!l->commit.running && (l->commit.first || (l->gathering->first && !must_wait(l))))
		commit_start(l);
	lmdb_reads_start(l);
	lmdb_close_step(l);
}

void lmdb_wake(struct lmdb *l)
{
	uv_idle_start(&l->turn, turn_ended);
}
