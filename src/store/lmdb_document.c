/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Documents: named bytes with a version that is compared before a change. Versions come from one counter for
 * the whole store, so that a document which was deleted and made again never has a version that somebody
 * remembers.
 */

#include "store/lmdb.h"

#include <errno.h>

/* ---- changes ---- */

struct document_op {
	struct lmdb_op op;
	struct span name_key;
	struct span name; /* the end of name_key */
	struct span body;
	uint64_t expected;
	bool remove;
	uint64_t version; /* what there is afterwards, with `body` */
	store_document_fn *done;
	void *ctx;
};

static int document_load(const struct lmdb *l, MDB_txn *txn, struct span name_key, struct store_body *out)
{
	struct span value;
	int err = lmdb_get(l, txn, STORE_DOCUMENT, name_key, &value);

	*out = (struct store_body){0};
	return err == 0 && !store_body_decode(value, out) ? -EBADMSG : err;
}

static int document_do(struct lmdb_commit *c, struct document_op *o)
{
	struct store_body body = {c->state.document_version + 1, o->body};
	struct writer w;
	int err;

	if (o->remove)
		return lmdb_delete(c->l, c->txn, STORE_DOCUMENT, o->name_key);
	err = lmdb_put(c->l, c->txn, STORE_DOCUMENT, o->name_key, store_body_size(&body), 0, &w);
	if (err < 0)
		return err;
	store_body_encode(&w, &body);
	o->version = c->state.document_version = body.version;
	c->state_changed = true;
	return 0;
}

static int document_apply(struct lmdb_commit *c, struct lmdb_op *op)
{
	struct document_op *o = container_of(op, struct document_op, op);
	struct store_body there;
	int err = document_load(c->l, c->txn, o->name_key, &there);

	if (err < 0 && err != -ENOENT)
		return err;
	if (o->remove && err == -ENOENT) {
		op->result = STORE_ABSENT;
		return 0;
	}
	if (o->expected == UINT64_MAX || o->expected == there.version)
		return document_do(c, o);
	op->result = STORE_REFUSED;
	o->version = there.version;
	return lmdb_result_copy(c, there.bytes, &o->body);
}

static void document_deliver(struct lmdb_op *op)
{
	struct document_op *o = container_of(op, struct document_op, op);

	if (op->result < 0)
		o->done(o->ctx, op->result, o->name, (struct span){NULL, 0}, 0);
	else
		o->done(o->ctx, op->result, o->name, o->body, o->version);
}

static const struct lmdb_op_kind document_kind = {document_apply, document_deliver};

static int document_change(struct store *s, enum store_document kind, const struct document_op *wanted)
{
	struct lmdb *l = lmdb_of(s);
	size_t charge = sizeof(*wanted) + wanted->name.len + wanted->body.len;
	struct store_key_bytes k;
	struct document_op *o;
	int err = lmdb_admit(l, charge);

	if (err < 0)
		return err;
	o = lmdb_op_take(l, sizeof(*o));
	if (!o)
		return -ENOBUFS;
	*o = *wanted;
	if (!lmdb_op_copy(l, store_name_key(&k, (uint8_t)kind, wanted->name), &o->name_key) ||
	    !lmdb_op_copy(l, wanted->body, &o->body))
		return -ENOBUFS;
	o->name = span_from(o->name_key, 1);
	o->op.grows = !wanted->remove;
	o->op.patient = kind == STORE_RESUMPTION;
	o->op.pages = 4;
	lmdb_op_submit(l, &o->op, &document_kind, charge);
	return 0;
}

int lmdb_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		      uint64_t expected, store_document_fn *done, void *ctx)
{
	return document_change(
		s, kind,
		&(struct document_op){
			.name = name, .body = body, .expected = expected, .done = done, .ctx = ctx});
}

int lmdb_document_delete(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
			 void *ctx)
{
	return document_change(
		s, kind,
		&(struct document_op){
			.name = name, .expected = UINT64_MAX, .remove = true, .done = done, .ctx = ctx});
}

/* ---- look-ups ---- */

struct listed {
	struct span name;
	struct store_body body;
};

struct document_read {
	struct lmdb_read read;
	struct span name_key; /* what was asked for; a list begins behind it */
	size_t count;	      /* how many, of a list */
	struct listed *items;
	size_t found;
	store_document_fn *done;
	void *ctx;
};

/* A copy of a document for the answer. */
static int list_add(struct document_read *d, size_t *room, struct span name, const struct store_body *body)
{
	struct listed *item;

	if (d->found == *room) {
		*room = MAX(*room * 2, (size_t)8);
		item = realloc(d->items, *room * sizeof(*item));
		if (!item)
			return -ENOMEM;
		d->items = item;
	}
	item = &d->items[d->found];
	item->name = arena_dup(&d->read.memory, name);
	item->body.bytes = arena_dup(&d->read.memory, body->bytes);
	item->body.version = body->version;
	if (!item->name.data || !item->body.bytes.data)
		return -ENOMEM;
	d->found++;
	return 0;
}

static int get_run(struct lmdb *l, MDB_txn *txn, struct lmdb_read *r)
{
	struct document_read *d = container_of(r, struct document_read, read);
	struct store_body body;
	size_t room = 0;
	int err = document_load(l, txn, d->name_key, &body);

	if (err < 0)
		return err == -ENOENT ? STORE_ABSENT : err;
	return list_add(d, &room, span_from(d->name_key, 1), &body);
}

static void get_deliver(struct lmdb *l, struct lmdb_read *r)
{
	struct document_read *d = container_of(r, struct document_read, read);

	(void)l;
	if (r->result == STORE_DONE)
		d->done(d->ctx, STORE_DONE, d->items->name, d->items->body.bytes, d->items->body.version);
	else
		d->done(d->ctx, r->result, span_from(d->name_key, 1), (struct span){NULL, 0}, 0);
	free(d->items);
}

static int list_run(struct lmdb *l, MDB_txn *txn, struct lmdb_read *r)
{
	struct document_read *d = container_of(r, struct document_read, read);
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct span key = d->name_key, value, name;
	struct store_body body;
	size_t room = 0;
	uint8_t kind;
	int err = lmdb_cursor(l, txn, STORE_DOCUMENT, &cursor);

	if (err == 0)
		err = lmdb_move(cursor, &key, &value, MDB_SET_RANGE);
	if (err == 0 && span_equal(key, d->name_key))
		err = lmdb_move(cursor, &key, &value, MDB_NEXT);
	while (err == 0 && d->found < d->count && r->memory.used < LMDB_READ_BYTES) {
		if (!store_name_key_decode(key, &kind, &name) || !store_body_decode(value, &body))
			return -EBADMSG;
		if (kind != d->name_key.data[0])
			break;
		err = list_add(d, &room, name, &body);
		if (err == 0)
			err = lmdb_move(cursor, &key, &value, MDB_NEXT);
	}
	return err == -ENOENT ? 0 : err;
}

static void list_deliver(struct lmdb *l, struct lmdb_read *r)
{
	struct document_read *d = container_of(r, struct document_read, read);

	(void)l;
	for (size_t i = 0; i < d->found && r->result == STORE_DONE; i++)
		d->done(d->ctx, STORE_DONE, d->items[i].name, d->items[i].body.bytes,
			d->items[i].body.version);
	d->done(d->ctx, r->result < 0 ? r->result : STORE_ABSENT, (struct span){NULL, 0},
		(struct span){NULL, 0}, 0);
	free(d->items);
}

static const struct lmdb_read_kind get_kind = {NULL, get_run, get_deliver, true};
static const struct lmdb_read_kind list_kind = {NULL, list_run, list_deliver, false};

static int document_read(struct store *s, const struct lmdb_read_kind *how, enum store_document kind,
			 struct span name, size_t count, store_document_fn *done, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	struct store_key_bytes k;
	struct document_read *d;
	int err = lmdb_read_new(l, sizeof(*d), how, &d);

	if (err < 0)
		return err;
	d->name_key = arena_dup(&d->read.memory, store_name_key(&k, (uint8_t)kind, name));
	if (!d->name_key.data) {
		lmdb_read_free(&d->read);
		return -ENOMEM;
	}
	d->count = count;
	d->done = done;
	d->ctx = ctx;
	lmdb_read_submit(l, &d->read);
	return 0;
}

int lmdb_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		      void *ctx)
{
	return document_read(s, &get_kind, kind, name, 1, done, ctx);
}

int lmdb_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
		       store_document_fn *each, void *ctx)
{
	return document_read(s, &list_kind, kind, after, count, each, ctx);
}
