/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The journal: one entry per write, appended in key order, so that a commit of many small writes touches the
 * last page of one table instead of a random page per device.
 *
 * The hard idea is how it stays short. An entry has all of the device's hot fields, so a row that lags behind
 * is brought up to date from the device's last entry alone. A sweep walks over all rows in key order, some
 * with a commit, and does that: neighbours lie on one page, so a round costs one write per page of rows, not
 * one per device. When a round is through, every row is as new as the beginning of the round: that is the
 * checkpoint. A start replays only what is behind it, and only what is at or before it may be trimmed. A
 * round takes half of tail_max entries, the next begins at once, hence the tail stays within tail_max.
 *
 * Leaves out reading events (lmdb_event.c) and replay (lmdb_load.c).
 */

#include "store/lmdb.h"

#include <errno.h>

enum {
	SWEEP_ROWS_MIN = 256,  /* in one go: some pages of them */
	SWEEP_ROWS_MAX = 4096, /* in one commit, or, if that is more, per entry of the commit: */
	SWEEP_ROWS_PER_ENTRY = 64,
	ROWS_PER_PAGE = 16, /* about */
	TRIM_MIN = 64,	    /* entries per commit, besides two for each one that was appended */
};

/* LMDB keeps values that are larger than about half a page on pages of their own. */
uint64_t lmdb_entry_cost(const struct lmdb *l, const struct store_entry *e)
{
	enum { PAGE_HEADER = 16, NODE = 8 + 8 + 2 };
	uint64_t size = store_entry_size(e), page = l->page_bytes;

	if (NODE + size <= (page - PAGE_HEADER) / 2)
		return NODE + size;
	return NODE + (PAGE_HEADER + size + page - 1) / page * page;
}

int lmdb_journal_append(struct lmdb_commit *c, struct store_entry *e)
{
	struct lmdb_state *s = &c->state;
	struct store_key_bytes k;
	struct writer w;
	uint64_t cost;
	int err;

	e->time_ms = MAX(s->time_ms, c->now_ms);
	err = lmdb_put(c->l, c->txn, STORE_JOURNAL, store_sequence_key(&k, s->sequence + 1),
		       store_entry_size(e), MDB_APPEND, &w);
	if (err < 0)
		return err;
	store_entry_encode(&w, e);
	cost = lmdb_entry_cost(c->l, e);
	if (s->first > s->sequence)
		s->first_time_ms = e->time_ms;
	s->sequence++;
	s->time_ms = e->time_ms;
	s->bytes += cost;
	s->appended += cost;
	if (e->event)
		s->end = (struct store_cursor){s->time_ms, s->sequence};
	c->appended++;
	return 0;
}

int lmdb_fold(const struct lmdb *l, MDB_txn *txn, uint64_t head, struct store_row *row)
{
	struct store_key_bytes k;
	struct store_entry e;
	struct span value;
	int err;

	if (head <= row->sequence)
		return 0;
	err = lmdb_get(l, txn, STORE_JOURNAL, store_sequence_key(&k, head), &value);
	if (err == -ENOENT || (err == 0 && !store_entry_decode(value, &e)))
		return -EBADMSG; /* it may not be trimmed while a row needs it */
	if (err < 0)
		return err;
	row->sequence = head;
	row->hot.number = e.number;
	row->hot.mark = e.mark;
	row->hot.seen_ms = e.seen_ms;
	row->hot.dedup = e.dedup;
	return 0;
}

/* ---- checkpoint ---- */

/* The row under the cursor, if it is stale, is brought up to date. */
static int sweep_row(struct lmdb_commit *c, MDB_cursor *cursor, struct span key, struct span value)
{
	const struct overlay_item *found = lmdb_item(c, lmdb_device_hash(c->l, key));
	uint8_t bytes[STORE_ROW_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));
	MDB_val k = {key.len, (void *)(uintptr_t)key.data}, v = {sizeof(bytes), bytes};
	struct overlay_item item;
	struct store_row row;
	int err;

	if (!lmdb_head(found))
		return 0;
	item = *found;
	if (!store_row_decode(value, &row))
		return -EBADMSG;
	err = lmdb_fold(c->l, c->txn, item.sequence, &row);
	if (err < 0)
		return err;
	store_row_encode(&w, &row);
	err = lmdb_error(mdb_cursor_put(cursor, &k, &v, MDB_CURRENT));
	item.flags &= (uint16_t)~OVERLAY_STALE;
	return err < 0 ? err : lmdb_change(c, &item);
}

static void sweep_finish(struct lmdb_commit *c)
{
	struct lmdb_state *s = &c->state;

	s->checkpoint = s->sweep.target;
	s->checkpoint_appended = s->sweep.target_appended;
	s->sweep.running = false;
	c->state_changed = true;
}

/* Visits up to `rows` rows behind the position. */
static int sweep_rows(struct lmdb_commit *c, uint64_t rows)
{
	struct lmdb_sweep *sweep = &c->state.sweep;
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct span position = span_of(sweep->position.data, sweep->position.len), key = position, value;
	int err = lmdb_cursor(c->l, c->txn, STORE_HOT, &cursor);

	if (err == 0)
		err = lmdb_move(cursor, &key, &value, position.len ? MDB_SET_RANGE : MDB_FIRST);
	if (err == 0 && position.len && span_equal(key, position))
		err = lmdb_move(cursor, &key, &value, MDB_NEXT);
	while (err == 0) {
		if (rows-- == 0)
			return 0;
		memcpy(sweep->position.data, key.data, key.len);
		sweep->position.len = key.len;
		sweep->visited++;
		err = sweep_row(c, cursor, key, value);
		if (err == 0)
			err = lmdb_move(cursor, &key, &value, MDB_NEXT);
	}
	if (err != -ENOENT)
		return err;
	sweep_finish(c);
	return 0;
}

static uint64_t bytes_allowed(const struct lmdb *l)
{
	return l->options.journal_bytes_max;
}

/* True if the oldest entry has stayed its time. */
static bool trim_due(const struct lmdb_commit *c)
{
	const struct lmdb_state *s = &c->state;

	if (s->first >= s->sequence)
		return false; /* the last one stays: it knows the sequence and the time */
	return s->bytes > bytes_allowed(c->l) ||
	       s->first_time_ms + c->l->options.journal_age_max_ms <= c->now_ms;
}

static bool trim_blocked(const struct lmdb_commit *c)
{
	return trim_due(c) && c->state.first >= c->state.checkpoint;
}

static uint64_t tail_half(const struct lmdb *l)
{
	return MAX(l->options.tail_max / 2, 1U);
}

static bool sweep_due(const struct lmdb_commit *c)
{
	const struct lmdb_state *s = &c->state;

	return s->sequence - s->checkpoint >= tail_half(c->l) ||
	       s->appended - s->checkpoint_appended >= bytes_allowed(c->l) / 4 || trim_blocked(c);
}

/* `total` in the proportion in which `done` is to `all`, and not more. */
static uint64_t share(uint64_t total, uint64_t done, uint64_t all)
{
	double part = (double)done / (double)MAX(all, 1U);

	return part >= 1 ? total : (uint64_t)((double)total * part) + 1;
}

/*
 * How many rows to visit with this commit, so that the round ends when half a tail was appended since it
 * began. A few at a time are not worth the pages: they wait until they are more, or the last ones.
 */
static uint64_t sweep_quota(const struct lmdb_commit *c)
{
	const struct lmdb_state *s = &c->state;
	const struct lmdb_sweep *sweep = &s->sweep;
	uint64_t rows = c->l->overlay.count + c->appended; /* tombstones have rows too */
	uint64_t goal = MAX(share(rows, s->sequence - sweep->target, tail_half(c->l)),
			    share(rows, s->appended - sweep->target_appended, bytes_allowed(c->l) / 4));
	uint64_t behind = goal > sweep->visited ? goal - sweep->visited : 0;
	uint64_t most = MAX((uint64_t)SWEEP_ROWS_MAX, (uint64_t)c->appended * SWEEP_ROWS_PER_ENTRY);

	if (trim_blocked(c))
		behind = MAX(behind, (uint64_t)SWEEP_ROWS_MIN);
	if (goal < rows && behind < SWEEP_ROWS_MIN)
		return 0;
	/* The pages have to fit into the reserve, besides what the changes take of it. */
	return MIN(behind + 1, MIN(most, c->l->reserve / 2 / c->l->page_bytes * ROWS_PER_PAGE));
}

static int checkpoint(struct lmdb_commit *c)
{
	struct lmdb_state *s = &c->state;
	uint64_t rows;

	if (!s->sweep.running) {
		if (!sweep_due(c))
			return 0;
		s->sweep = (struct lmdb_sweep){
			.running = true,
			.target = s->sequence,
			.target_appended = s->appended,
		};
	}
	rows = sweep_quota(c);
	return rows ? sweep_rows(c, rows) : 0;
}

/* ---- trimming ---- */

/* Takes the entry under the cursor, which is the oldest, off the journal. */
static int trim_entry(struct lmdb_commit *c, MDB_cursor *cursor, const struct store_entry *e)
{
	struct lmdb_state *s = &c->state;
	int err;

	if (e->event) {
		s->trimmed = (struct store_cursor){e->time_ms, s->first};
		s->events_trimmed++;
	}
	s->bytes -= MIN(s->bytes, lmdb_entry_cost(c->l, e));
	c->state_changed = true;
	err = lmdb_error(mdb_cursor_del(cursor, 0));
	return err;
}

static int trim(struct lmdb_commit *c)
{
	struct lmdb_state *s = &c->state;
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	size_t left = 2 * c->appended + TRIM_MIN;
	struct span key = {0}, value;
	struct store_entry e;
	int err;

	if (!trim_due(c) || trim_blocked(c))
		return 0;
	err = lmdb_cursor(c->l, c->txn, STORE_JOURNAL, &cursor);
	while (err == 0) {
		err = lmdb_move(cursor, &key, &value, MDB_FIRST);
		if (err < 0)
			return err;
		if (!store_sequence_key_decode(key, &s->first) || !store_entry_decode(value, &e))
			return -EBADMSG;
		s->first_time_ms = e.time_ms;
		if (left-- == 0 || !trim_due(c) || trim_blocked(c))
			return 0;
		err = trim_entry(c, cursor, &e);
	}
	return err;
}

int lmdb_journal_maintain(struct lmdb_commit *c)
{
	int err = checkpoint(c);

	return err < 0 ? err : trim(c);
}

int lmdb_state_save(struct lmdb_commit *c)
{
	const struct lmdb_state *s = &c->state;
	struct store_state stored = {
		.checkpoint = s->checkpoint,
		.bytes = s->bytes,
		.bytes_sequence = s->sequence,
		.trimmed = s->trimmed,
		.events_trimmed = s->events_trimmed,
		.document_version = s->document_version,
	};
	struct writer w;
	int err;

	if (!c->state_changed)
		return 0;
	err = lmdb_put(c->l, c->txn, STORE_META, span_str(STORE_META_STATE), STORE_STATE_BYTES, 0, &w);
	if (err == 0)
		store_state_encode(&w, &stored);
	return err;
}
