/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What happens before anybody is served: the overlay is made from the rows and from what the journal says
 * behind the checkpoint, and the devices are handed to their owner. Nothing is written here; that the devices
 * were taken over is the epoch's doing.
 *
 * Leaves out opening the file (lmdb_open.c).
 */

#include "store/lmdb.h"

#include <errno.h>

static int load_state(struct lmdb *l, MDB_txn *txn, struct store_state *stored)
{
	struct lmdb_state *s = &l->state;
	struct span value;
	int err = lmdb_get(l, txn, STORE_META, span_str(STORE_META_STATE), &value);

	*stored = (struct store_state){0};
	if (err == 0 && !store_state_decode(value, stored))
		return -EBADMSG;
	s->checkpoint = stored->checkpoint;
	s->bytes = stored->bytes;
	s->trimmed = stored->trimmed;
	s->events_trimmed = stored->events_trimmed;
	s->document_version = stored->document_version;
	return err == -ENOENT ? 0 : err;
}

static int load_rows(struct lmdb *l, MDB_txn *txn)
{
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct span key = {0}, value;
	struct store_row row;
	MDB_stat stat;
	int err = lmdb_error(mdb_stat(txn, l->tables[STORE_HOT], &stat));

	if (err == 0)
		err = overlay_reserve(&l->overlay, stat.ms_entries);
	if (err == 0)
		err = lmdb_cursor(l, txn, STORE_HOT, &cursor);
	while (err == 0 && (err = lmdb_move(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (!store_row_decode(value, &row))
			return -EBADMSG;
		lmdb_row_now(l, &row);
		overlay_put(&l->overlay, &(struct overlay_item){
						 .hash = lmdb_device_hash(l, key),
						 .number = row.hot.number,
						 .sequence = row.sequence,
						 .gen = row.hot.fence.gen,
						 .flags = row.deleted ? OVERLAY_DELETED : 0,
					 });
		l->state.devices += !row.deleted;
	}
	return err == -ENOENT ? 0 : err;
}

/* An entry that its device's row may not hold yet. */
static void replay_entry(struct lmdb *l, uint64_t sequence, const struct store_entry *e)
{
	struct store_key_bytes k;
	const struct overlay_item *found;
	struct overlay_item item;

	found = overlay_find(&l->overlay, lmdb_device_hash(l, store_device_key(&k, e->key)));
	if (!found || sequence <= found->sequence)
		return; /* the row is newer; or the device is gone */
	item = *found;
	item.number = e->number;
	item.sequence = sequence;
	item.flags |= OVERLAY_STALE;
	overlay_put(&l->overlay, &item);
}

static int replay(struct lmdb *l, MDB_txn *txn, const struct store_state *stored)
{
	struct lmdb_state *s = &l->state;
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct store_key_bytes k;
	struct span key = store_sequence_key(&k, s->checkpoint + 1), value;
	struct store_entry e;
	uint64_t sequence, cost;
	int err = lmdb_cursor(l, txn, STORE_JOURNAL, &cursor);

	if (err == 0)
		err = lmdb_move(cursor, &key, &value, MDB_SET_RANGE);
	while (err == 0) {
		if (!store_sequence_key_decode(key, &sequence) || !store_entry_decode(value, &e))
			return -EBADMSG;
		replay_entry(l, sequence, &e);
		cost = lmdb_entry_cost(l, &e);
		s->appended += cost;
		if (sequence > stored->bytes_sequence)
			s->bytes += cost;
		err = lmdb_move(cursor, &key, &value, MDB_NEXT);
	}
	return err == -ENOENT ? 0 : err;
}

/* One end of the journal; sequence 0 if it is empty. */
static int load_end(struct lmdb *l, MDB_txn *txn, MDB_cursor_op end, struct store_cursor *out)
{
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct span key = {0}, value;
	struct store_entry e;
	int err = lmdb_cursor(l, txn, STORE_JOURNAL, &cursor);

	*out = (struct store_cursor){0};
	if (err == 0)
		err = lmdb_move(cursor, &key, &value, end);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (!store_sequence_key_decode(key, &out->sequence) || !store_entry_decode(value, &e))
		return -EBADMSG;
	out->time_ms = e.time_ms;
	return 0;
}

static int load_journal(struct lmdb *l, MDB_txn *txn, const struct store_state *stored)
{
	struct lmdb_state *s = &l->state;
	struct store_cursor first;
	int err = load_end(l, txn, MDB_FIRST, &first);

	if (err == 0)
		err = load_end(l, txn, MDB_LAST, &s->end);
	if (err < 0)
		return err;
	/* The last entry is never trimmed: the file without one has never had one. */
	s->first = first.sequence ? first.sequence : 1;
	s->first_time_ms = first.time_ms;
	s->sequence = s->end.sequence;
	s->time_ms = s->end.time_ms;
	l->grown_told = s->end;
	if (s->checkpoint > s->sequence || stored->bytes_sequence > s->sequence)
		return -EBADMSG;
	return replay(l, txn, stored);
}

int lmdb_load(struct lmdb *l, MDB_txn *txn)
{
	struct store_state stored;
	int err = load_state(l, txn, &stored);

	if (err == 0)
		err = load_rows(l, txn);
	if (err == 0)
		err = load_journal(l, txn, &stored);
	return err;
}

/* ---- scan ---- */

struct scan {
	const struct lmdb *l;
	MDB_txn *txn;
	MDB_cursor *rows;
	MDB_cursor *records;
	struct span record_key; /* where `records` stands, with its value */
	struct span record_value;
	int (*each)(void *ctx, const struct store_device *device);
	void *ctx;
};

/* Both tables have the same order: the record is the next one, or close. */
static int scan_record(struct scan *s, struct span key, struct store_record *record)
{
	int err = s->record_key.len ? lmdb_move(s->records, &s->record_key, &s->record_value, MDB_NEXT)
				    : -ENOENT;

	if (err == -ENOENT || (err == 0 && !span_equal(s->record_key, key))) {
		s->record_key = key;
		err = lmdb_move(s->records, &s->record_key, &s->record_value, MDB_SET_KEY);
	}
	if (err == -ENOENT)
		return -EBADMSG;
	return err == 0 && !store_record_decode(s->record_value, record) ? -EBADMSG : err;
}

static int scan_row(struct scan *s, struct span key, struct span value)
{
	const struct lmdb *l = s->l;
	struct store_device device = {0};
	struct store_record record;
	struct store_row row;
	int err;

	if (!store_row_decode(value, &row) || !store_device_key_decode(key, &device.key))
		return -EBADMSG;
	if (row.deleted)
		return 0;
	err = lmdb_fold(l, s->txn, lmdb_head(overlay_find(&l->overlay, lmdb_device_hash(l, key))), &row);
	if (err == 0)
		err = scan_record(s, key, &record);
	if (err < 0)
		return err;
	lmdb_row_now(l, &row);
	device.hot = row.hot;
	device.record = record.bytes;
	device.expires_ms = record.expires_ms;
	return s->each(s->ctx, &device);
}

static int scan_role(struct scan *s, enum store_role role)
{
	uint8_t prefix = (uint8_t)role;
	struct span key = span_of(&prefix, 1), value;
	int err = lmdb_move(s->rows, &key, &value, MDB_SET_RANGE);

	while (err == 0 && key.len && key.data[0] == prefix) {
		err = scan_row(s, key, value);
		if (err == 0)
			err = lmdb_move(s->rows, &key, &value, MDB_NEXT);
		else
			return err;
	}
	return err == -ENOENT ? 0 : err;
}

int lmdb_scan(struct store *store, enum store_role role,
	      int (*each)(void *ctx, const struct store_device *device), void *ctx)
{
	struct lmdb *l = lmdb_of(store);
	_cleanup_txn_ MDB_txn *txn = NULL;
	_cleanup_cursor_ MDB_cursor *rows = NULL;
	_cleanup_cursor_ MDB_cursor *records = NULL;
	struct scan s = {.l = l, .each = each, .ctx = ctx};
	int err = lmdb_error(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn));

	if (err == 0)
		err = lmdb_cursor(l, txn, STORE_HOT, &rows);
	if (err == 0)
		err = lmdb_cursor(l, txn, STORE_RECORD, &records);
	if (err < 0)
		return err;
	s.txn = txn;
	s.rows = rows;
	s.records = records;
	return scan_role(&s, role);
}
