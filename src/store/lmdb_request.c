/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Requests that wait for a device: a short queue per device, in the order of a number in the key. Its length
 * is bounded by the caller, so whoever adds, finds or lists walks over all of it. Leaves out what a request
 * is.
 */

#include "store/lmdb.h"

#include <errno.h>

/* ---- walking ---- */

struct queue {
	MDB_cursor *cursor;
	struct span prefix; /* the device's key */
	uint64_t order;	    /* of the request under the cursor */
	struct store_request request;
};

static int queue_read(struct queue *q, struct span key, struct span value)
{
	struct store_key device;

	if (key.len < q->prefix.len || memcmp(key.data, q->prefix.data, q->prefix.len) != 0)
		return -ENOENT; /* the next device's */
	if (!store_request_key_decode(key, &device, &q->order) || !store_request_decode(value, &q->request))
		return -EBADMSG;
	return 0;
}

/* The first request of the device; -ENOENT if there is none. */
static int queue_first(struct queue *q)
{
	struct span key = q->prefix, value;
	int err = lmdb_move(q->cursor, &key, &value, MDB_SET_RANGE);

	return err < 0 ? err : queue_read(q, key, value);
}

static int queue_next(struct queue *q)
{
	struct span key = {0}, value;
	int err = lmdb_move(q->cursor, &key, &value, MDB_NEXT);

	return err < 0 ? err : queue_read(q, key, value);
}

int lmdb_requests_drop(struct lmdb_commit *c, struct store_key key, bool *all)
{
	enum { DROPPED_MAX = 256 };
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct store_key_bytes k;
	struct queue q = {.prefix = store_device_key(&k, key)};
	int err = lmdb_cursor(c->l, c->txn, STORE_REQUEST, &cursor);

	q.cursor = cursor;
	while (err == 0 && (err = queue_first(&q)) == 0) {
		*all = c->dropped < DROPPED_MAX;
		if (!*all)
			return 0;
		c->dropped++;
		err = lmdb_error(mdb_cursor_del(cursor, 0));
	}
	*all = true;
	return err == -ENOENT ? 0 : err;
}

/* ---- changes ---- */

struct request_op {
	struct lmdb_op op;
	struct span device_key;
	struct store_key key;
	uint64_t hash;
	struct store_request request; /* its spans lie in the batch, or in the commit's results */
	size_t max;
	struct store_fence fence;
	bool found; /* `request` says what there is */
	store_request_fn *done;
	void *ctx;
};

static int request_put(struct lmdb_commit *c, const struct request_op *o, uint64_t order,
		       const struct store_request *r)
{
	struct store_key_bytes k;
	struct writer w;
	int err = lmdb_put(c->l, c->txn, STORE_REQUEST, store_request_key(&k, o->key, order),
			   store_request_size(r), 0, &w);

	if (err == 0)
		store_request_encode(&w, r);
	return err;
}

static int add_do(struct lmdb_commit *c, struct request_op *o, const struct overlay_item *before,
		  uint64_t last)
{
	struct overlay_item after = *before;
	int err = request_put(c, o, last + 1, &o->request);

	if (err < 0)
		return err;
	o->found = true;
	after.queue++;
	return lmdb_change(c, &after);
}

/* Counts, looks for the same id, and finds the end. */
static int add_apply(struct lmdb_commit *c, struct lmdb_op *op)
{
	struct request_op *o = container_of(op, struct request_op, op);
	const struct overlay_item *item = lmdb_item(c, o->hash);
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct queue q = {.prefix = o->device_key};
	size_t count = 0, bytes = store_request_size(&o->request);
	int err;

	op->result = STORE_ABSENT;
	if (!item || item->flags & OVERLAY_DELETED)
		return 0;
	op->result = STORE_DONE;
	err = lmdb_cursor(c->l, c->txn, STORE_REQUEST, &cursor);
	q.cursor = cursor;
	for (err = err < 0 ? err : queue_first(&q); err == 0; err = queue_next(&q)) {
		count++;
		bytes += store_request_size(&q.request);
		if (span_equal(q.request.id, o->request.id))
			op->result = STORE_ALREADY;
	}
	if (err != -ENOENT)
		return err;
	if (op->result == STORE_DONE && (count >= o->max || bytes > STORE_QUEUE_BYTES_MAX))
		op->result = STORE_REFUSED;
	return op->result == STORE_DONE ? add_do(c, o, item, q.order) : 0;
}

/* The request under the cursor, as it shall be; a copy, since putting it moves the page. */
static int set_do(struct lmdb_commit *c, struct request_op *o, const struct queue *q)
{
	int err = 0;

	if (!o->request.body.len)
		err = lmdb_result_copy(c, q->request.body, &o->request.body);
	if (err < 0)
		return err;
	o->found = true;
	if (o->request.state == 0)
		return lmdb_error(mdb_cursor_del(q->cursor, 0));
	return request_put(c, o, q->order, &o->request);
}

static int set_find(struct lmdb_commit *c, struct request_op *o)
{
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct queue q = {.prefix = o->device_key};
	int err = lmdb_cursor(c->l, c->txn, STORE_REQUEST, &cursor);

	q.cursor = cursor;
	for (err = err < 0 ? err : queue_first(&q); err == 0; err = queue_next(&q))
		if (span_equal(q.request.id, o->request.id))
			return set_do(c, o, &q);
	if (err == -ENOENT)
		o->op.result = STORE_ABSENT;
	return err == -ENOENT ? 0 : err;
}

static int set_apply(struct lmdb_commit *c, struct lmdb_op *op)
{
	struct request_op *o = container_of(op, struct request_op, op);
	const struct overlay_item *item = lmdb_item(c, o->hash);
	struct store_fence owner;
	int err;

	op->result = STORE_ABSENT;
	if (!item)
		return 0;
	err = lmdb_owner(c, item, o->device_key, &owner);
	if (err < 0)
		return err;
	op->result = fence_equal(&owner, &o->fence) ? STORE_DONE : STORE_REFUSED;
	return op->result == STORE_DONE ? set_find(c, o) : 0;
}

static void request_deliver(struct lmdb_op *op)
{
	struct request_op *o = container_of(op, struct request_op, op);

	o->done(o->ctx, op->result, op->result == STORE_DONE && o->found ? &o->request : NULL);
}

static const struct lmdb_op_kind add_kind = {add_apply, request_deliver};
static const struct lmdb_op_kind set_kind = {set_apply, request_deliver};

static int request_change(struct store *s, const struct lmdb_op_kind *kind, const struct request_op *wanted)
{
	struct lmdb *l = lmdb_of(s);
	size_t charge = sizeof(*wanted) + wanted->key.endpoint.len + wanted->request.id.len +
			wanted->request.body.len;
	struct store_key_bytes k;
	struct request_op *o;
	int err = lmdb_admit(l, charge);

	if (err < 0)
		return err;
	o = lmdb_op_take(l, sizeof(*o));
	if (!o)
		return -ENOBUFS;
	*o = *wanted;
	if (!lmdb_op_copy(l, store_device_key(&k, wanted->key), &o->device_key) ||
	    !lmdb_op_copy(l, wanted->request.id, &o->request.id) ||
	    !lmdb_op_copy(l, wanted->request.body, &o->request.body))
		return -ENOBUFS;
	o->key.endpoint = span_from(o->device_key, o->device_key.len - wanted->key.endpoint.len);
	o->hash = lmdb_device_hash(l, o->device_key);
	o->op.pages = 4;
	lmdb_op_submit(l, &o->op, kind, charge);
	return 0;
}

int lmdb_request_add(struct store *s, struct store_key key, const struct store_request *r, size_t max,
		     store_request_fn *done, void *ctx)
{
	return request_change(s, &add_kind,
			      &(struct request_op){.op = {.grows = true},
						   .key = key,
						   .request = *r,
						   .max = max,
						   .done = done,
						   .ctx = ctx});
}

int lmdb_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		     const struct store_request *r, store_request_fn *done, void *ctx)
{
	return request_change(s, &set_kind,
			      &(struct request_op){.op = {.grows = r->body.len > 0 && r->state != 0},
						   .key = key,
						   .request = *r,
						   .fence = *fence,
						   .done = done,
						   .ctx = ctx});
}

/* ---- list ---- */

enum { LIST_BYTES_MAX = 64 << 20 };

struct request_item {
	struct request_item *next;
	struct store_request request;
};

struct request_read {
	struct lmdb_read read;
	struct span device_key;
	struct request_item *first;
	store_request_fn *each;
	void *ctx;
};

static int list_run(struct lmdb *l, MDB_txn *txn, struct lmdb_read *r)
{
	struct request_read *o = container_of(r, struct request_read, read);
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct request_item **last = &o->first;
	struct queue q = {.prefix = o->device_key};
	int err = lmdb_cursor(l, txn, STORE_REQUEST, &cursor);

	q.cursor = cursor;
	for (err = err < 0 ? err : queue_first(&q); err == 0; err = queue_next(&q)) {
		struct request_item *item = arena_alloc(&r->memory, sizeof(*item));

		if (!item)
			return -ENOMEM;
		*item = (struct request_item){.request = q.request};
		item->request.id = arena_dup(&r->memory, q.request.id);
		item->request.body = arena_dup(&r->memory, q.request.body);
		if (!item->request.id.data || !item->request.body.data)
			return -ENOMEM;
		*last = item;
		last = &item->next;
	}
	return err == -ENOENT ? 0 : err;
}

static void list_deliver(struct lmdb *l, struct lmdb_read *r)
{
	struct request_read *o = container_of(r, struct request_read, read);

	(void)l;
	for (const struct request_item *i = o->first; i && r->result == STORE_DONE; i = i->next)
		o->each(o->ctx, STORE_DONE, &i->request);
	o->each(o->ctx, r->result < 0 ? r->result : STORE_ABSENT, NULL);
}

static const struct lmdb_read_kind list_kind = {NULL, list_run, list_deliver, false};

int lmdb_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	struct store_key_bytes k;
	struct request_read *o;
	int err = lmdb_read_new(l, sizeof(*o), &list_kind, &o);

	if (err < 0)
		return err;
	o->device_key = arena_dup(&o->read.memory, store_device_key(&k, key));
	if (!o->device_key.data) {
		lmdb_read_free(&o->read);
		return -ENOMEM;
	}
	/* Its requests may have grown since they were added. */
	o->read.memory.limit = LIST_BYTES_MAX;
	o->each = each;
	o->ctx = ctx;
	lmdb_read_submit(l, &o->read);
	return 0;
}
