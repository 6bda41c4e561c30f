/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Devices: the fenced write, hand-over and claim (in the commit job), the look-ups (in the read job),
 * tombstones.
 *
 * The hard idea: what most writes change rides in the journal alone. The row is written only when the record
 * or the owner changes, and by the sweep (lmdb_journal.c); the decision itself needs the overlay only. Every
 * opening of the file took all devices over; a row does not know that, but its epoch tells how often it
 * happened since.
 */

#include "store/lmdb.h"

#include <errno.h>

uint64_t lmdb_device_hash(const struct lmdb *l, struct span device_key)
{
	return overlay_hash(siphash(&l->overlay_key, device_key));
}

static struct store_fence own_fence(const struct lmdb *l, uint32_t gen)
{
	return (struct store_fence){.node = l->node, .gen = gen, .incarnation = l->base.incarnation};
}

static bool is_own(const struct lmdb *l, const struct store_fence *f)
{
	return f->node == l->node && f->incarnation == l->base.incarnation;
}

void lmdb_row_now(const struct lmdb *l, struct store_row *row)
{
	if (row->epoch == l->epoch)
		return;
	row->hot.fence = own_fence(l, row->hot.fence.gen + (l->epoch - row->epoch));
	row->epoch = l->epoch;
}

int lmdb_device_load(const struct lmdb *l, MDB_txn *txn, struct span device_key, uint64_t head,
		     struct store_row *row)
{
	struct span value;
	int err = lmdb_get(l, txn, STORE_HOT, device_key, &value);

	if (err == 0 && !store_row_decode(value, row))
		return -EBADMSG;
	if (err == 0)
		err = lmdb_fold(l, txn, head, row);
	if (err == 0)
		lmdb_row_now(l, row);
	return err;
}

static int record_load(const struct lmdb *l, MDB_txn *txn, struct span device_key,
		       struct store_record *record)
{
	struct span value;
	int err = lmdb_get(l, txn, STORE_RECORD, device_key, &value);

	if (err == -ENOENT)
		return -EBADMSG; /* each living device has one */
	return err == 0 && !store_record_decode(value, record) ? -EBADMSG : err;
}

int lmdb_row_put(struct lmdb_commit *c, struct span device_key, const struct store_row *row)
{
	struct writer w;
	int err = lmdb_put(c->l, c->txn, STORE_HOT, device_key, STORE_ROW_BYTES, 0, &w);

	if (err == 0)
		store_row_encode(&w, row);
	return err;
}

int lmdb_owner(struct lmdb_commit *c, const struct overlay_item *item, struct span device_key,
	       struct store_fence *out)
{
	struct store_row row;
	int err;

	*out = own_fence(c->l, item->gen);
	if (!(item->flags & OVERLAY_FOREIGN))
		return 0;
	err = lmdb_device_load(c->l, c->txn, device_key, 0, &row);
	if (err == 0)
		*out = row.hot.fence;
	return err;
}

/* ---- write and hand-over ---- */

struct write_op {
	struct lmdb_op op;
	struct span device_key;
	uint64_t hash;
	struct store_write w; /* its spans, `hot` and `index` lie in the batch */
	struct store_hot hot;
	bool hand_over;
	struct store_fence to;
	const struct store_hot *found; /* in the commit's results, or NULL */
	uint64_t sequence;
	uint16_t queue;
	store_written_fn *done;
	void *ctx;
};

/* The write is not done: what is there instead. */
static int write_found(struct lmdb_commit *c, struct write_op *o, const struct overlay_item *item)
{
	struct store_hot *found = lmdb_result_alloc(c, sizeof(*found));
	struct store_row row;
	int err;

	if (!found)
		return -ENOMEM;
	o->found = found;
	if (!item) {
		/* From here the writer may go on: its own fence, and no write yet. */
		found->fence = o->hot.fence;
		return 0;
	}
	err = lmdb_device_load(c->l, c->txn, o->device_key, lmdb_head(item), &row);
	if (err == 0)
		*found = row.hot;
	return err;
}

static int change_index(struct lmdb_commit *c, const struct write_op *o,
			const struct store_index_change *change)
{
	struct store_key_bytes k;
	struct span key = store_name_key(&k, (uint8_t)change->kind, change->key), value;
	struct writer w;
	int err;

	if (!change->remove) {
		err = lmdb_put(c->l, c->txn, STORE_INDEX, key, o->device_key.len, 0, &w);
		if (err == 0)
			writer_bytes(&w, o->device_key);
		return err;
	}
	err = lmdb_get(c->l, c->txn, STORE_INDEX, key, &value);
	if (err == -ENOENT)
		return 0;
	if (err == 0 && span_equal(value, o->device_key))
		err = lmdb_delete(c->l, c->txn, STORE_INDEX, key);
	return err;
}

static int change_record(struct lmdb_commit *c, const struct write_op *o)
{
	struct store_record record = {o->w.expires_ms, o->w.record};
	struct writer w;
	int err;

	if (o->w.change == STORE_RECORD_KEEP)
		return 0;
	if (o->w.change == STORE_RECORD_DELETE)
		return lmdb_delete(c->l, c->txn, STORE_RECORD, o->device_key);
	err = lmdb_put(c->l, c->txn, STORE_RECORD, o->device_key, store_record_size(&record), 0, &w);
	if (err == 0)
		store_record_encode(&w, &record);
	return err;
}

static bool is_pending(const struct write_op *o, int index)
{
	const struct coap_dedup_entry *e = &o->hot.dedup.entries[index];

	return index != o->w.dedup_index && e->time_s && !e->code;
}

/*
 * The ring as it shall be stored. An entry that is pending in the owner's memory belongs to another request:
 * to a write that is in front of this one and stored already, or to something that is not stored at all. What
 * the store has there stays. Entries that are too old to matter go.
 */
static int settle_dedup(struct lmdb_commit *c, struct write_op *o, const struct overlay_item *item)
{
	struct coap_dedup *ring = &o->hot.dedup;
	uint64_t now_s = c->now_ms / 1000;
	struct store_row stored = {0};
	bool loaded = false;

	for (int i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		if (is_pending(o, i)) {
			int err = item && !loaded ? lmdb_device_load(c->l, c->txn, o->device_key,
								     lmdb_head(item), &stored)
						  : 0;

			if (err < 0)
				return err;
			loaded = true;
			ring->entries[i] = stored.hot.dedup.entries[i];
		}
		if (ring->entries[i].time_s + COAP_EXCHANGE_LIFETIME_MS / 1000 < now_s)
			ring->entries[i] = (struct coap_dedup_entry){0};
	}
	return 0;
}

static int write_row(struct lmdb_commit *c, const struct write_op *o, uint64_t sequence)
{
	bool deletes = o->w.change == STORE_RECORD_DELETE;
	struct store_row row = {
		.epoch = c->l->epoch,
		.deleted = deletes,
		.deleted_ms = deletes ? MAX(c->state.time_ms, c->now_ms) : 0,
		.sequence = sequence,
		.hot = o->hot,
	};
	int err;

	if (o->hand_over) {
		row.hot.fence = o->to;
		row.hot.fence.gen = o->hot.fence.gen + 1;
	}
	err = lmdb_row_put(c, o->device_key, &row);
	if (err == 0 && deletes) {
		struct store_key_bytes k;
		struct writer w;

		c->deleted++;
		err = lmdb_put(c->l, c->txn, STORE_GRAVE, store_grave_key(&k, row.deleted_ms, o->w.key), 0, 0,
			       &w);
	}
	return err;
}

static int write_journal(struct lmdb_commit *c, const struct write_op *o)
{
	struct store_entry e = {
		.number = o->hot.number,
		.mark = o->hot.mark,
		.seen_ms = o->hot.seen_ms,
		.dedup = o->hot.dedup,
		.key = o->w.key,
		.event = o->w.event,
		.body = o->w.event_body,
	};

	return lmdb_journal_append(c, &e);
}

/* What the overlay will say about the device. */
static struct overlay_item write_item(const struct lmdb_commit *c, const struct write_op *o,
				      const struct overlay_item *before, bool row)
{
	const struct store_fence *owner = o->hand_over ? &o->to : &o->hot.fence;
	unsigned flags = (is_own(c->l, owner) ? 0U : OVERLAY_FOREIGN) |
			 (o->w.change == STORE_RECORD_DELETE ? OVERLAY_DELETED : 0U) |
			 (row ? 0U : OVERLAY_STALE);

	return (struct overlay_item){
		.hash = o->hash,
		.number = o->hot.number,
		.sequence = c->state.sequence,
		.gen = o->hot.fence.gen + (o->hand_over ? 1 : 0),
		.queue = before ? before->queue : 0,
		.flags = (uint16_t)flags,
	};
}

static void count_devices(struct lmdb_commit *c, const struct overlay_item *before,
			  const struct overlay_item *after)
{
	c->state.devices += !(after->flags & OVERLAY_DELETED);
	c->state.devices -= before && !(before->flags & OVERLAY_DELETED);
}

static int write_do(struct lmdb_commit *c, struct write_op *o, const struct overlay_item *before)
{
	bool row = o->w.change != STORE_RECORD_KEEP || o->hand_over;
	struct overlay_item after;
	int err = settle_dedup(c, o, before);

	for (size_t i = 0; i < o->w.index_count && err == 0; i++)
		err = change_index(c, o, &o->w.index[i]);
	if (err == 0)
		err = change_record(c, o);
	if (err == 0 && row)
		err = write_row(c, o, c->state.sequence + 1);
	if (err == 0)
		err = write_journal(c, o);
	if (err < 0)
		return err;
	o->sequence = c->state.sequence;
	o->queue = before ? before->queue : 0;
	after = write_item(c, o, before, row);
	count_devices(c, before, &after);
	return lmdb_change(c, &after);
}

static int write_apply(struct lmdb_commit *c, struct lmdb_op *op)
{
	struct write_op *o = container_of(op, struct write_op, op);
	const struct overlay_item *item = lmdb_item(c, o->hash);
	struct overlay_item before;
	struct fence_stored stored = {0};
	int err;

	if (item) {
		before = *item;
		stored.exists = true;
		stored.deleted = item->flags & OVERLAY_DELETED;
		stored.number = item->number;
		err = lmdb_owner(c, item, o->device_key, &stored.fence);
		if (err < 0)
			return err;
	}
	op->result = (int)fence_check(&stored, &o->hot.fence, o->hot.number, o->w.change);
	if (op->result == STORE_DONE)
		return write_do(c, o, item ? &before : NULL);
	return op->result == STORE_ALREADY ? 0 : write_found(c, o, item);
}

static void write_deliver(struct lmdb_op *op)
{
	struct write_op *o = container_of(op, struct write_op, op);
	struct store_written written = {.result = op->result};

	if (op->result == STORE_DONE) {
		written.sequence = o->sequence;
		written.queue = o->queue;
		written.found = o->hot;
		if (o->hand_over) {
			written.found.fence = o->to;
			written.found.fence.gen = o->hot.fence.gen + 1;
		}
	}
	if (op->result > 0 && o->found)
		written.found = *o->found;
	o->done(o->ctx, &written);
}

static const struct lmdb_op_kind write_kind = {write_apply, write_deliver};

static bool copy_index(struct lmdb *l, struct write_op *o)
{
	size_t bytes = o->w.index_count * sizeof(*o->w.index);
	struct store_index_change *copy;

	if (!bytes)
		return true;
	copy = lmdb_op_take(l, bytes);
	if (!copy)
		return false;
	memcpy(copy, o->w.index, bytes);
	o->w.index = copy;
	for (size_t i = 0; i < o->w.index_count; i++)
		if (!lmdb_op_copy(l, copy[i].key, &copy[i].key))
			return false;
	return true;
}

/* Copies what the write points to into the batch. The endpoint is the end of the device's key. */
static bool write_copy(struct lmdb *l, struct write_op *o)
{
	struct store_key_bytes k;

	if (!lmdb_op_copy(l, store_device_key(&k, o->w.key), &o->device_key))
		return false;
	o->w.key.endpoint = span_from(o->device_key, o->device_key.len - o->w.key.endpoint.len);
	return lmdb_op_copy(l, o->w.record, &o->w.record) &&
	       lmdb_op_copy(l, o->w.event_body, &o->w.event_body) && copy_index(l, o);
}

static size_t write_charge(const struct store_write *w)
{
	size_t charge = sizeof(struct write_op) + w->key.endpoint.len + w->record.len + w->event_body.len;

	for (size_t i = 0; i < w->index_count; i++)
		charge += sizeof(*w->index) + w->index[i].key.len;
	return charge;
}

/* The row's and the record's, and what removing something does to neighbours. */
static uint16_t write_pages(const struct store_write *w, bool hand_over)
{
	static const uint16_t pages[] = {
		[STORE_RECORD_KEEP] = 0, [STORE_RECORD_PUT] = 6, [STORE_RECORD_DELETE] = 10};

	return (uint16_t)(pages[w->change] + (hand_over ? 2U : 0U) + 2U * w->index_count);
}

int lmdb_write(struct store *s, const struct store_write *w, const struct store_fence *to,
	       store_written_fn *done, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	size_t charge = write_charge(w);
	struct write_op *o;
	int err = lmdb_admit(l, charge);

	if (err < 0)
		return err;
	o = lmdb_op_take(l, sizeof(*o));
	if (!o)
		return -ENOBUFS;
	o->w = *w;
	o->hot = *w->hot;
	o->w.hot = &o->hot;
	o->hand_over = to != NULL;
	if (to)
		o->to = *to;
	o->done = done;
	o->ctx = ctx;
	if (!write_copy(l, o))
		return -ENOBUFS;
	o->hash = lmdb_device_hash(l, o->device_key);
	o->op.grows = w->change != STORE_RECORD_DELETE;
	o->op.patient = w->patient;
	o->op.pages = write_pages(w, to != NULL);
	lmdb_op_submit(l, &o->op, &write_kind, charge);
	return 0;
}

/* ---- claim ---- */

struct claim_op {
	struct lmdb_op op;
	struct span device_key;
	struct store_key key;
	uint64_t hash;
	struct store_fence expected;
	struct store_device *device; /* in the commit's results, or NULL */
	store_device_fn *done;
	void *ctx;
};

/* A copy of the device for the callback. */
static int claim_found(struct lmdb_commit *c, struct claim_op *o, const struct store_row *row)
{
	struct store_record record = {0};
	int err = row->deleted ? 0 : record_load(c->l, c->txn, o->device_key, &record);

	if (err < 0)
		return err;
	o->device = lmdb_result_alloc(c, sizeof(*o->device));
	if (!o->device)
		return -ENOMEM;
	*o->device = (struct store_device){.key = o->key, .hot = row->hot, .expires_ms = record.expires_ms};
	return lmdb_result_copy(c, record.bytes, &o->device->record);
}

static int claim_do(struct lmdb_commit *c, const struct claim_op *o, const struct overlay_item *before,
		    struct store_row *row)
{
	struct overlay_item after = *before;
	int err;

	row->hot.fence = own_fence(c->l, row->hot.fence.gen + 1);
	row->sequence = MAX(row->sequence, c->state.sequence);
	err = lmdb_row_put(c, o->device_key, row);
	if (err < 0)
		return err;
	after.gen = row->hot.fence.gen;
	after.sequence = row->sequence;
	after.flags = 0;
	return lmdb_change(c, &after);
}

static int claim_apply(struct lmdb_commit *c, struct lmdb_op *op)
{
	struct claim_op *o = container_of(op, struct claim_op, op);
	const struct overlay_item *item = lmdb_item(c, o->hash);
	struct overlay_item before;
	struct store_row row;
	int err;

	op->result = STORE_ABSENT;
	if (!item)
		return 0;
	before = *item;
	err = lmdb_device_load(c->l, c->txn, o->device_key, lmdb_head(&before), &row);
	if (err == 0 && !row.deleted) {
		op->result = fence_equal(&row.hot.fence, &o->expected) ? STORE_DONE : STORE_REFUSED;
		if (op->result == STORE_DONE)
			err = claim_do(c, o, &before, &row);
	}
	return err < 0 ? err : claim_found(c, o, &row);
}

static void claim_deliver(struct lmdb_op *op)
{
	struct claim_op *o = container_of(op, struct claim_op, op);

	o->done(o->ctx, op->result, op->result < 0 ? NULL : o->device);
}

static const struct lmdb_op_kind claim_kind = {claim_apply, claim_deliver};

int lmdb_claim(struct store *s, struct store_key key, const struct store_fence *expected,
	       store_device_fn *done, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	size_t charge = sizeof(struct claim_op) + key.endpoint.len;
	struct store_key_bytes k;
	struct claim_op *o;
	int err = lmdb_admit(l, charge);

	if (err < 0)
		return err;
	o = lmdb_op_take(l, sizeof(*o));
	if (!o || !lmdb_op_copy(l, store_device_key(&k, key), &o->device_key))
		return -ENOBUFS;
	o->key = key;
	o->key.endpoint = span_from(o->device_key, o->device_key.len - key.endpoint.len);
	o->hash = lmdb_device_hash(l, o->device_key);
	o->expected = *expected;
	o->done = done;
	o->ctx = ctx;
	o->op.pages = 2;
	lmdb_op_submit(l, &o->op, &claim_kind, charge);
	return 0;
}

/* ---- tombstones ---- */

/* The device whose grave this is goes, unless it lives again or died anew. `*done`: the grave may go. */
static int bury(struct lmdb_commit *c, uint64_t deleted_ms, struct store_key key, bool *done)
{
	struct store_key_bytes k;
	struct span device_key = store_device_key(&k, key);
	struct overlay_item gone = {.hash = lmdb_device_hash(c->l, device_key), .flags = OVERLAY_REMOVED};
	const struct overlay_item *item = lmdb_item(c, gone.hash);
	struct store_row row;
	int err;

	*done = true;
	if (!item || !(item->flags & OVERLAY_DELETED))
		return 0;
	err = lmdb_device_load(c->l, c->txn, device_key, 0, &row);
	if (err < 0 || row.deleted_ms != deleted_ms)
		return err;
	err = lmdb_requests_drop(c, key, done);
	if (err < 0 || !*done)
		return err;
	err = lmdb_delete(c->l, c->txn, STORE_HOT, device_key);
	return err < 0 ? err : lmdb_change(c, &gone);
}

/* The oldest grave's key; -ENOENT. */
static int oldest_grave(struct lmdb_commit *c, struct store_key_bytes *k)
{
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct span key = {0}, nothing;
	int err = lmdb_cursor(c->l, c->txn, STORE_GRAVE, &cursor);

	if (err == 0)
		err = lmdb_move(cursor, &key, &nothing, MDB_FIRST);
	if (err < 0)
		return err;
	memcpy(k->data, key.data, key.len);
	k->len = key.len;
	return 0;
}

int lmdb_graves_maintain(struct lmdb_commit *c)
{
	enum { GRAVES_MIN = 16 };

	for (size_t left = 2 * c->deleted + GRAVES_MIN; left; left--) {
		struct store_key_bytes k;
		struct store_key key;
		uint64_t deleted_ms;
		bool done;
		int err = oldest_grave(c, &k);

		if (err < 0)
			return err == -ENOENT ? 0 : err;
		if (!store_grave_key_decode(span_of(k.data, k.len), &deleted_ms, &key))
			return -EBADMSG;
		if (deleted_ms + LMDB_TOMBSTONE_MS > c->now_ms)
			return 0;
		err = bury(c, deleted_ms, key, &done);
		if (err < 0 || !done)
			return err;
		err = lmdb_delete(c->l, c->txn, STORE_GRAVE, span_of(k.data, k.len));
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- look-ups ---- */

struct find_read {
	struct lmdb_read read;
	struct span device_key;
	struct store_key key;
	uint64_t head;
	struct store_device device;
	bool found;
	store_device_fn *done;
	void *ctx;
};

static void find_prepare(struct lmdb *l, struct lmdb_read *r)
{
	struct find_read *f = container_of(r, struct find_read, read);

	f->head = lmdb_head(overlay_find(&l->overlay, lmdb_device_hash(l, f->device_key)));
}

static int find_run(struct lmdb *l, MDB_txn *txn, struct lmdb_read *r)
{
	struct find_read *f = container_of(r, struct find_read, read);
	struct store_record record = {0};
	struct store_row row;
	int err = lmdb_device_load(l, txn, f->device_key, f->head, &row);

	if (err == -ENOENT)
		return STORE_ABSENT;
	if (err == 0 && !row.deleted)
		err = record_load(l, txn, f->device_key, &record);
	if (err < 0)
		return err;
	f->found = true;
	f->device = (struct store_device){
		.key = f->key,
		.hot = row.hot,
		.record = arena_dup(&r->memory, record.bytes),
		.expires_ms = record.expires_ms,
	};
	if (!f->device.record.data)
		return -ENOMEM;
	return row.deleted ? STORE_ABSENT : STORE_DONE;
}

static void find_deliver(struct lmdb *l, struct lmdb_read *r)
{
	struct find_read *f = container_of(r, struct find_read, read);

	(void)l;
	f->done(f->ctx, r->result, f->found && r->result >= 0 ? &f->device : NULL);
}

static const struct lmdb_read_kind find_kind = {find_prepare, find_run, find_deliver, false};

int lmdb_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	struct store_key_bytes k;
	struct find_read *f;
	int err = lmdb_read_new(l, sizeof(*f), &find_kind, &f);

	if (err < 0)
		return err;
	f->device_key = arena_dup(&f->read.memory, store_device_key(&k, key));
	if (!f->device_key.data) {
		lmdb_read_free(&f->read);
		return -ENOMEM;
	}
	f->key = key;
	f->key.endpoint = span_from(f->device_key, f->device_key.len - key.endpoint.len);
	f->done = done;
	f->ctx = ctx;
	lmdb_read_submit(l, &f->read);
	return 0;
}

struct index_read {
	struct lmdb_read read;
	struct span name_key;
	struct span device_key;
	store_index_fn *done;
	void *ctx;
};

static int index_run(struct lmdb *l, MDB_txn *txn, struct lmdb_read *r)
{
	struct index_read *i = container_of(r, struct index_read, read);
	struct store_key key;
	struct span value;
	int err = lmdb_get(l, txn, STORE_INDEX, i->name_key, &value);

	if (err < 0)
		return err == -ENOENT ? STORE_ABSENT : err;
	if (!store_device_key_decode(value, &key))
		return -EBADMSG;
	i->device_key = arena_dup(&r->memory, value);
	return i->device_key.data ? STORE_DONE : -ENOMEM;
}

static void index_deliver(struct lmdb *l, struct lmdb_read *r)
{
	struct index_read *i = container_of(r, struct index_read, read);
	struct store_key key = {0};

	(void)l;
	if (r->result == STORE_DONE && !store_device_key_decode(i->device_key, &key))
		r->result = -EBADMSG;
	i->done(i->ctx, r->result, key);
}

static const struct lmdb_read_kind index_kind = {NULL, index_run, index_deliver, false};

int lmdb_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	struct store_key_bytes k;
	struct index_read *i;
	int err = lmdb_read_new(l, sizeof(*i), &index_kind, &i);

	if (err < 0)
		return err;
	i->name_key = arena_dup(&i->read.memory, store_name_key(&k, (uint8_t)kind, key));
	if (!i->name_key.data) {
		lmdb_read_free(&i->read);
		return -ENOMEM;
	}
	i->done = done;
	i->ctx = ctx;
	lmdb_read_submit(l, &i->read);
	return 0;
}
