/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Leases of nodes: one hash, one field per node. That a lease is over is judged by the server's clock,
 * whenever somebody looks. */

#include "store/redis.h"

#include <errno.h>

struct lease_call {
	struct redis_call call;
	store_lease_fn *done;
	void *ctx;
};

static struct lease_call *lease_call_new(struct redis *r, enum redis_script script, redis_answer_fn *answer,
					 store_lease_fn *done, void *ctx)
{
	struct lease_call *c = redis_call_new(r, sizeof(*c), answer);
	struct redis_key k;

	if (!c)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	redis_script(&c->call, script, 1);
	redis_arg(&c->call, redis_meta_key(&k, &r->layout, "leases"));
	return c;
}

static void arg_incarnation(struct redis_call *c)
{
	uint8_t bytes[8];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u64(&w, c->redis->base.incarnation);
	redis_arg(c, writer_span(&w));
}

static void tell(struct lease_call *c, int result, uint32_t node, struct span value)
{
	struct redis_lease l;
	struct store_lease lease;

	if (!redis_lease_decode(value, &l)) {
		c->done(c->ctx, -EBADMSG, NULL);
		return;
	}
	lease = (struct store_lease){
		.node = node, .incarnation = l.incarnation, .until_ms = l.until_ms, .body = l.body};
	c->done(c->ctx, result, &lease);
}

static void on_taken(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct lease_call *c = container_of(call, struct lease_call, call);
	uint64_t result = redis_item_uint(reply, 0, UINT64_MAX);

	if (err == 0 && result > STORE_REFUSED)
		err = -EBADMSG;
	if (err < 0) {
		c->done(c->ctx, err, NULL);
		return;
	}
	redis_heard(call->redis, redis_item_uint(reply, 1, 0));
	call->redis->leased = result == STORE_DONE;
	tell(c, (int)result, call->redis->node, redis_item_bytes(reply, 2));
}

int redis_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct lease_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	c = lease_call_new(r, REDIS_LEASE_TAKE, on_taken, done, ctx);
	if (!c)
		return -ENOMEM;
	redis_arg_floor(&c->call);
	redis_arg_uint(&c->call, r->node);
	arg_incarnation(&c->call);
	redis_arg_uint(&c->call, ttl_ms);
	redis_arg(&c->call, body);
	return redis_send(&c->call);
}

static void on_dropped(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct lease_call *c = container_of(call, struct lease_call, call);

	(void)reply;
	c->done(c->ctx, err < 0 ? err : STORE_DONE, NULL);
}

static int drop(struct redis *r, store_lease_fn *done, void *ctx)
{
	struct lease_call *c = lease_call_new(r, REDIS_LEASE_DROP, on_dropped, done, ctx);

	if (!c)
		return -ENOMEM;
	c->call.internal = true;
	r->leased = false;
	redis_arg_uint(&c->call, r->node);
	arg_incarnation(&c->call);
	return redis_send(&c->call);
}

int redis_lease_give_up(struct redis *r, store_lease_fn *done)
{
	return drop(r, done, NULL);
}

int redis_lease_drop(struct store *s, store_lease_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);

	return r->closing ? -ESHUTDOWN : drop(r, done, ctx);
}

static void on_list(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct lease_call *c = container_of(call, struct lease_call, call);
	const struct redisReply *all = redis_item(reply, 1);
	uint64_t now = redis_item_uint(reply, 0, 0);

	if (err == 0 && (!all || all->type != REDIS_REPLY_ARRAY || !now))
		err = -EBADMSG;
	if (err == 0)
		redis_heard(call->redis, now);
	for (size_t i = 0; err == 0 && i + 1 < all->elements; i += 2) {
		uint64_t node = redis_item_uint(all, i, UINT64_MAX);
		struct redis_lease l;

		if (node <= UINT32_MAX && redis_lease_decode(redis_item_bytes(all, i + 1), &l) &&
		    l.until_ms > now)
			tell(c, STORE_DONE, (uint32_t)node, redis_item_bytes(all, i + 1));
	}
	c->done(c->ctx, err < 0 ? err : STORE_ABSENT, NULL);
}

int redis_lease_list(struct store *s, store_lease_fn *each, void *ctx)
{
	struct redis *r = redis_of(s);
	struct lease_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	c = lease_call_new(r, REDIS_LEASE_LIST, on_list, each, ctx);
	if (!c)
		return -ENOMEM;
	redis_arg_floor(&c->call);
	return redis_send(&c->call);
}
