/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Reading the journal as the log of events. A reader comes with a place and gets the next few behind it;
 * transactions stay short because each answer is bounded in items, in bytes, and in entries looked at. Times
 * never descend along the journal, so a place that is only known by its time is found by bisection.
 */

#include "store/lmdb.h"

#include <errno.h>

enum { EVENTS_MAX = 4096, LOOKED_AT_MAX = 16384 };

struct events_read {
	struct lmdb_read read;
	struct store_cursor after;
	size_t count; /* at most */
	struct store_event *items;
	size_t room;
	struct store_events answer;
	size_t bytes;
	store_events_fn *done;
	void *ctx;
};

/* The entry at or behind `sequence`. */
static int entry_at(MDB_cursor *cursor, uint64_t sequence, uint64_t *found, struct store_entry *e)
{
	struct store_key_bytes k;
	struct span key = store_sequence_key(&k, sequence), value;
	int err = lmdb_move(cursor, &key, &value, MDB_SET_RANGE);

	if (err < 0)
		return err;
	return store_sequence_key_decode(key, found) && store_entry_decode(value, e) ? 0 : -EBADMSG;
}

/* The sequence of the first entry whose time is not before `time_ms`; one behind the last if there is none.
 */
static int sequence_of_time(MDB_cursor *cursor, uint64_t first, uint64_t last, uint64_t time_ms,
			    uint64_t *out)
{
	uint64_t low = first, high = last + 1, found;
	struct store_entry e;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		int err = entry_at(cursor, middle, &found, &e);

		if (err < 0)
			return err;
		if (e.time_ms < time_ms)
			low = found + 1;
		else
			high = middle;
	}
	*out = low;
	return 0;
}

/* Where to begin, and whether events are missing before that. */
static int seek(const struct lmdb *l, MDB_txn *txn, MDB_cursor *cursor, struct events_read *r, uint64_t *from)
{
	struct store_state state = {0};
	struct span key = {0}, value;
	uint64_t first, last;
	bool known;
	int err = lmdb_get(l, txn, STORE_META, span_str(STORE_META_STATE), &value);

	if (err == 0 && !store_state_decode(value, &state))
		return -EBADMSG;
	if (err < 0 && err != -ENOENT)
		return err;
	err = lmdb_move(cursor, &key, &value, MDB_FIRST);
	if (err == 0 && !store_sequence_key_decode(key, &first))
		return -EBADMSG;
	if (err == 0)
		err = lmdb_move(cursor, &key, &value, MDB_LAST);
	if (err < 0)
		return err;
	if (!store_sequence_key_decode(key, &last))
		return -EBADMSG;
	/* A sequence from beyond the end is one of a file that was replaced: the time still says something.
	 */
	known = r->after.sequence && r->after.sequence <= last;
	r->answer.gap = state.trimmed.sequence && (known ? r->after.sequence < state.trimmed.sequence
							 : r->after.time_ms <= state.trimmed.time_ms);
	if (r->answer.gap)
		r->answer.lost_to = state.trimmed;
	*from = r->after.sequence + 1;
	return known ? 0 : sequence_of_time(cursor, first, last, r->after.time_ms, from);
}

static int add_event(struct events_read *r, uint64_t sequence, const struct store_entry *e)
{
	struct store_event *item;

	if (r->answer.count == r->room) {
		size_t room = MIN(MAX(r->room * 2, (size_t)16), r->count);

		item = realloc(r->items, room * sizeof(*item));
		if (!item)
			return -ENOMEM;
		r->items = item;
		r->room = room;
	}
	item = &r->items[r->answer.count++];
	*item = (struct store_event){
		.sequence = sequence,
		.time_ms = e->time_ms,
		.type = e->event,
		.key = {e->key.role, arena_dup(&r->read.memory, e->key.endpoint)},
		.body = arena_dup(&r->read.memory, e->body),
	};
	r->bytes += sizeof(*item) + e->key.endpoint.len + e->body.len;
	return item->key.endpoint.data && item->body.data ? 0 : -ENOMEM;
}

static bool is_full(const struct events_read *r)
{
	return r->answer.count == r->count || r->bytes >= LMDB_READ_BYTES;
}

/* Collects from `from` on; leaves the place of the last entry looked at in answer.next if there may be more.
 */
static int collect(MDB_cursor *cursor, struct events_read *r, uint64_t from)
{
	struct store_key_bytes k;
	struct span key = store_sequence_key(&k, from), value;
	struct store_cursor last = {0};
	struct store_entry e;
	int err = lmdb_move(cursor, &key, &value, MDB_SET_RANGE);

	for (size_t i = 0; err == 0 && i < LOOKED_AT_MAX && !is_full(r); i++) {
		if (!store_sequence_key_decode(key, &last.sequence) || !store_entry_decode(value, &e))
			return -EBADMSG;
		last.time_ms = e.time_ms;
		if (e.event)
			err = add_event(r, last.sequence, &e);
		if (err == 0)
			err = lmdb_move(cursor, &key, &value, MDB_NEXT);
	}
	if (err < 0 && err != -ENOENT)
		return err;
	/* At the end and nothing found: the place stays, so that its owner can tell. */
	if (last.sequence && (r->answer.count || err == 0))
		r->answer.next = last;
	return 0;
}

static int events_run(struct lmdb *l, MDB_txn *txn, struct lmdb_read *read)
{
	struct events_read *r = container_of(read, struct events_read, read);
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	uint64_t from = 0;
	int err = lmdb_cursor(l, txn, STORE_JOURNAL, &cursor);

	r->answer.next = r->after;
	if (err == 0)
		err = seek(l, txn, cursor, r, &from);
	if (err == -ENOENT)
		return STORE_DONE; /* an empty journal */
	if (err == 0 && r->answer.gap)
		r->answer.next = r->answer.lost_to;
	if (err == 0)
		err = collect(cursor, r, from);
	return err;
}

static void events_deliver(struct lmdb *l, struct lmdb_read *read)
{
	struct events_read *r = container_of(read, struct events_read, read);

	(void)l;
	if (read->result < 0)
		r->answer = (struct store_events){.next = r->after};
	r->answer.result = read->result;
	r->answer.items = r->items;
	r->done(r->ctx, &r->answer);
	free(r->items);
}

static const struct lmdb_read_kind events_kind = {NULL, events_run, events_deliver, false};

int lmdb_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		     void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	struct events_read *r;
	int err = lmdb_read_new(l, sizeof(*r), &events_kind, &r);

	if (err < 0)
		return err;
	r->after = after;
	r->count = MIN(count, (size_t)EVENTS_MAX);
	r->done = done;
	r->ctx = ctx;
	lmdb_read_submit(l, &r->read);
	return 0;
}
