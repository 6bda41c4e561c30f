/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Look-ups run in the thread pool too: a page of the file that is not in memory would otherwise make the
 * whole loop wait for the disk. All that were asked for in a turn share one short reading transaction. It may
 * see a commit whose callbacks have not run yet, never less than those that have.
 *
 * A job, which wakes a thread and then the loop, costs as much as dozens of look-ups. So those that are asked
 * for one by one by many - what a handshake needs - share the next job if the last one has only just begun.
 *
 * Leaves out what is looked up (a table of three functions per kind).
 */

#include "store/lmdb.h"

#include <errno.h>

/* The rest waits for the next job, so that neither the transaction nor the memory for the answers grows long.
 */
enum { READS_PER_JOB = 16, READ_BYTES_LIMIT = 3 * LMDB_READ_BYTES };

void lmdb_reads_init(struct lmdb *l)
{
	l->reads.first = NULL;
	l->reads.last = &l->reads.first;
}

int lmdb_read_new(struct lmdb *l, size_t size, const struct lmdb_read_kind *kind, void *out)
{
	struct lmdb_read *r;

	if (l->closing)
		return -ESHUTDOWN;
	if (l->reads.count >= LMDB_READS_MAX)
		return -ENOBUFS;
	r = calloc(1, size);
	if (!r)
		return -ENOMEM;
	r->kind = kind;
	arena_init(&r->memory, READ_BYTES_LIMIT);
	memcpy(out, &r, sizeof(r));
	return 0;
}

struct lmdb_read *lmdb_read_free(struct lmdb_read *r)
{
	if (r)
		arena_deinit(&r->memory);
	free(r);
	return NULL;
}

void lmdb_read_submit(struct lmdb *l, struct lmdb_read *r)
{
	*l->reads.last = r;
	l->reads.last = &r->next;
	l->reads.count++;
	lmdb_wake(l);
}

static void read_job(uv_work_t *work)
{
	struct lmdb *l = container_of(work, struct lmdb, reads.work);
	_cleanup_txn_ MDB_txn *txn = NULL;
	int err = lmdb_error(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn));

	for (struct lmdb_read *r = l->reads.current; r; r = r->next)
		if (r->kind->run)
			r->result = err < 0 ? err : r->kind->run(l, txn, r);
}

static void read_done(uv_work_t *work, int status)
{
	struct lmdb *l = container_of(work, struct lmdb, reads.work);

	assert(status == 0); /* nobody cancels it */
	for (struct lmdb_read *r; (r = l->reads.current);) {
		r->kind->deliver(l, r);
		l->reads.current = r->next;
		l->reads.count--;
		lmdb_read_free(r);
	}
	lmdb_wake(l);
}

/* Moves the first few that wait to the job. */
static void take_some(struct lmdb *l)
{
	struct lmdb_reads *q = &l->reads;
	struct lmdb_read **end = &q->first;

	for (size_t i = 0; *end && i < READS_PER_JOB; i++)
		end = &(*end)->next;
	q->current = q->first;
	q->first = *end;
	*end = NULL;
	if (!q->first)
		q->last = &q->first;
}

static void spacing_over(uv_timer_t *timer)
{
	lmdb_wake(container_of(timer, struct lmdb, reads.spacing));
}

/* Whether the look-ups wait for more: not a full job, not the first for a while, and none that will not. */
static bool must_wait(struct lmdb *l)
{
	const struct lmdb_reads *q = &l->reads;
	uint64_t now = uv_now(l->loop), next = q->began_ms + l->options.commit_interval_ms;

	if (l->closing || q->count >= READS_PER_JOB || now >= next)
		return false;
	for (const struct lmdb_read *r = q->first; r; r = r->next)
		if (!r->kind->shares)
			return false;
	uv_timer_start(&l->reads.spacing, spacing_over, next - now, 0);
	return true;
}

void lmdb_reads_start(struct lmdb *l)
{
	struct lmdb_reads *q = &l->reads;
	int err;

	if (q->current || !q->first || must_wait(l))
		return;
	q->began_ms = uv_now(l->loop);
	take_some(l);
	for (struct lmdb_read *r = q->current; r; r = r->next)
		if (r->kind->prepare)
			r->kind->prepare(l, r);
	err = uv_queue_work(l->loop, &q->work, read_job, read_done);
	assert(err == 0);
}
