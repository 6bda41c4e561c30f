/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The lease of the only node there can be. It lives in memory: the lock on the directory keeps other
 * processes out, and a lease must not outlive its process anyway. Goes through the queue of look-ups so that
 * callbacks come later and in order, as with every other function.
 */

#include "store/lmdb.h"

#include <errno.h>

enum lease_verb { LEASE_TAKE, LEASE_DROP, LEASE_LIST };

struct lease_read {
	struct lmdb_read read;
	enum lease_verb verb;
	struct span body;
	uint64_t ttl_ms;
	store_lease_fn *done;
	void *ctx;
};

static void lease_take(struct lmdb *l, const struct lease_read *r)
{
	l->lease->held = true;
	l->lease->until_ms = l->options.wall_ms() + r->ttl_ms;
	l->lease->len = r->body.len;
	if (r->body.len)
		memcpy(l->lease->body, r->body.data, r->body.len);
}

static bool lease_lives(const struct lmdb *l)
{
	return l->lease->held && l->lease->until_ms > l->options.wall_ms();
}

static void lease_deliver(struct lmdb *l, struct lmdb_read *read)
{
	struct lease_read *r = container_of(read, struct lease_read, read);
	struct store_lease lease;

	if (r->verb == LEASE_TAKE)
		lease_take(l, r);
	if (r->verb == LEASE_DROP)
		l->lease->held = false;
	lease = (struct store_lease){
		.node = l->node,
		.incarnation = l->base.incarnation,
		.until_ms = l->lease->until_ms,
		.body = span_of(l->lease->body, l->lease->len),
	};
	if (r->verb == LEASE_TAKE || (r->verb == LEASE_LIST && lease_lives(l)))
		r->done(r->ctx, STORE_DONE, &lease);
	if (r->verb == LEASE_DROP)
		r->done(r->ctx, STORE_DONE, NULL);
	if (r->verb == LEASE_LIST)
		r->done(r->ctx, STORE_ABSENT, NULL);
}

static const struct lmdb_read_kind lease_kind = {NULL, NULL, lease_deliver, false};

static int lease_submit(struct store *s, enum lease_verb verb, struct span body, uint64_t ttl_ms,
			store_lease_fn *done, void *ctx)
{
	struct lmdb *l = lmdb_of(s);
	struct lease_read *r;
	int err = lmdb_read_new(l, sizeof(*r), &lease_kind, &r);

	if (err < 0)
		return err;
	r->body = arena_dup(&r->read.memory, body);
	if (!r->body.data) {
		lmdb_read_free(&r->read);
		return -ENOMEM;
	}
	r->verb = verb;
	r->ttl_ms = ttl_ms;
	r->done = done;
	r->ctx = ctx;
	lmdb_read_submit(l, &r->read);
	return 0;
}

int lmdb_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done, void *ctx)
{
	return lease_submit(s, LEASE_TAKE, body, ttl_ms, done, ctx);
}

int lmdb_lease_drop(struct store *s, store_lease_fn *done, void *ctx)
{
	return lease_submit(s, LEASE_DROP, (struct span){NULL, 0}, 0, done, ctx);
}

int lmdb_lease_list(struct store *s, store_lease_fn *each, void *ctx)
{
	return lease_submit(s, LEASE_LIST, (struct span){NULL, 0}, 0, each, ctx);
}

uint64_t lmdb_now_ms(const struct store *s)
{
	const struct lmdb *l = container_of(s, struct lmdb, base);

	return l->options.wall_ms();
}
