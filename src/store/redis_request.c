/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests that wait for a device. A queue is bounded so tightly (STORE_QUEUE_BYTES_MAX) that it is read
 * whole, and put in order here. */

#include "store/redis.h"

#include <errno.h>

struct request_call {
	struct redis_call call;
	store_request_fn *done;
	void *ctx;
	struct span id;
	struct store_request request; /* as it was asked for */
};

static struct request_call *request_call_new(struct redis *r, struct store_key key, redis_answer_fn *answer,
					     enum redis_script script, store_request_fn *done, void *ctx)
{
	struct request_call *c = redis_call_new(r, sizeof(*c), answer);
	uint32_t partition = redis_place_of(&r->layout, key).partition;
	struct redis_key k;

	if (!c)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	redis_script(&c->call, script, 2);
	redis_arg(&c->call, redis_device_key(&k, &r->layout, partition, key));
	redis_arg(&c->call, redis_queue_key(&k, &r->layout, partition, key));
	redis_arg_floor(&c->call);
	return c;
}

/* Keeps id and body for the answer. */
static bool remember(struct request_call *c, const struct store_request *q)
{
	c->request = *q;
	c->request.id = arena_dup(&c->call.memory, q->id);
	c->request.body = arena_dup(&c->call.memory, q->body);
	c->call.charge += c->call.memory.used;
	return c->request.id.data && c->request.body.data;
}

/* The result of a script, or what is wrong. */
static int result_of(struct redis_call *c, int err, const struct redisReply *reply)
{
	uint64_t result = redis_item_uint(reply, 0, UINT64_MAX);

	if (err < 0)
		return err;
	redis_heard(c->redis, redis_item_uint(reply, 1, 0));
	return result <= STORE_ABSENT ? (int)result : -EBADMSG;
}

static void on_added(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct request_call *c = container_of(call, struct request_call, call);
	int result = result_of(call, err, reply);

	if (result == STORE_ALREADY && call->again)
		result = STORE_DONE;
	c->done(c->ctx, result, result == STORE_DONE ? &c->request : NULL);
}

int redis_request_add(struct store *s, struct store_key key, const struct store_request *q, size_t max,
		      store_request_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	_cleanup_buffer_ struct buffer value = buffer_of(STORE_REQUEST_MAX + 16);
	struct request_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	c = request_call_new(r, key, on_added, REDIS_REQUEST_ADD, done, ctx);
	if (!c)
		return -ENOMEM;
	buffer_u8(&value, q->state);
	buffer_uint(&value, q->deadline_ms, 8);
	buffer_bytes(&value, q->body);
	if (value.failed || !remember(c, q)) {
		redis_call_free(&c->call);
		return -ENOMEM;
	}
	c->call.change = true;
	redis_arg(&c->call, q->id);
	redis_arg(&c->call, buffer_span(&value));
	redis_arg_uint(&c->call, max);
	redis_arg_uint(&c->call, STORE_QUEUE_BYTES_MAX);
	return redis_send(&c->call);
}

static void on_set(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct request_call *c = container_of(call, struct request_call, call);
	int result = result_of(call, err, reply);
	struct store_request q = {.id = c->request.id};
	uint64_t order;

	if (result == STORE_DONE && !redis_request_decode(redis_item_bytes(reply, 2), &q, &order))
		result = -EBADMSG;
	if (result == STORE_DONE && c->request.state == 0)
		q.state = 0;
	c->done(c->ctx, result, result == STORE_DONE ? &q : NULL);
}

int redis_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		      const struct store_request *q, store_request_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct request_call *c;
	uint8_t bytes[REDIS_FENCE], deadline[8];
	struct writer w = writer_of(bytes, sizeof(bytes)), d = writer_of(deadline, sizeof(deadline));

	if (r->closing)
		return -ESHUTDOWN;
	c = request_call_new(r, key, on_set, q->state ? REDIS_REQUEST_SET : REDIS_REQUEST_REMOVE, done, ctx);
	if (!c)
		return -ENOMEM;
	if (!remember(c, &(struct store_request){.id = q->id, .state = q->state})) {
		redis_call_free(&c->call);
		return -ENOMEM;
	}
	c->call.change = true;
	redis_fence_encode(&w, fence);
	redis_arg(&c->call, writer_span(&w));
	redis_arg(&c->call, q->id);
	redis_arg_uint(&c->call, q->state);
	writer_u64(&d, q->deadline_ms);
	redis_arg(&c->call, writer_span(&d));
	redis_arg(&c->call, q->body);
	return redis_send(&c->call);
}

/* ---- list ---- */

struct listed {
	uint64_t order;
	struct store_request request;
};

static int by_order(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

static int deliver_all(struct request_call *c, const struct redisReply *all)
{
	_cleanup_free_ struct listed *items = NULL;
	size_t count = 0;

	if (!all || all->type != REDIS_REPLY_ARRAY)
		return -EBADMSG;
	items = calloc(all->elements / 2 + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < all->elements; i += 2) {
		struct listed *item = &items[count];

		item->request.id = redis_item_bytes(all, i);
		if (item->request.id.len == 0)
			continue; /* the head */
		if (!redis_request_decode(redis_item_bytes(all, i + 1), &item->request, &item->order))
			return -EBADMSG;
		count++;
	}
	qsort(items, count, sizeof(*items), by_order);
	for (size_t i = 0; i < count; i++)
		c->done(c->ctx, STORE_DONE, &items[i].request);
	return STORE_ABSENT;
}

static void on_list(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct request_call *c = container_of(call, struct request_call, call);

	if (err == 0) {
		redis_heard(call->redis, redis_item_uint(reply, 0, 0));
		err = deliver_all(c, redis_item(reply, 1));
	}
	c->done(c->ctx, err, NULL);
}

int redis_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx)
{
	struct redis *r = redis_of(s);
	struct request_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	c = request_call_new(r, key, on_list, REDIS_REQUEST_LIST, each, ctx);
	return c ? redis_send(&c->call) : -ENOMEM;
}
