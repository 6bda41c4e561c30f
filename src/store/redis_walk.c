/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Looks for devices by something else than their name: by hash, all of them, those whose time is over, by an
 * entry of an index.
 *
 * A walk goes by steps: a step asks for names in some lists, then for each device that they name. When
 * nothing of it is under way any more, the next step begins, or the walk ends. Devices are handed out as they
 * come.
 */

#include "store/redis.h"

#include <errno.h>

enum { LISTS_AT_ONCE = 64, EXPIRY_AT_ONCE = 32 };

struct walk {
	struct redis *r;
	enum store_role role;
	void (*step)(struct walk *w); /* starts calls, or none if there is nothing left */
	store_device_fn *each;
	store_walk_fn *each_walked; /* instead of it */
	void *ctx;
	size_t left; /* calls under way */
	size_t count, found;
	int err;
	uint64_t at, end; /* lists: the next one, and behind the last */
	uint32_t hash;
	uint64_t defer_ms;
	bool by_script; /* devices are asked whether they are due */
};

static struct walk *walk_new(struct redis *r, enum store_role role, void (*step)(struct walk *w), void *ctx)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->r = r;
	w->role = role;
	w->step = step;
	w->ctx = ctx;
	return w;
}

static void walk_tell(struct walk *w, int result, const struct store_device *device, uint64_t next)
{
	if (w->each_walked)
		w->each_walked(w->ctx, result, device, next);
	else
		w->each(w->ctx, result, device);
}

static void walk_on(struct walk *w)
{
	struct redis *r = w->r;

	if (w->left)
		return;
	if (w->err == 0 && w->found < w->count)
		w->step(w);
	if (w->left)
		return;
	walk_tell(w, w->err < 0 ? w->err : STORE_ABSENT, NULL, w->at < w->end ? w->at : 0);
	free(w);
	redis_job_end(r);
}

static int walk_start(struct walk *w)
{
	struct redis *r = w->r;

	w->step(w);
	if (w->left == 0) {
		int err = w->err;

		assert(err < 0);
		free(w);
		return err;
	}
	redis_job_begin(r);
	return 0;
}

/* ---- calls of a walk ---- */

struct walk_call {
	struct redis_call call;
	struct walk *walk;
	uint32_t partition;
	uint8_t endpoint[STORE_ENDPOINT_MAX];
	size_t len;
};

static struct walk_call *walk_call_new(struct walk *w, uint32_t partition, redis_answer_fn *answer)
{
	struct walk_call *c = redis_call_new(w->r, sizeof(*c), answer);

	if (!c) {
		w->err = -ENOMEM;
		return NULL;
	}
	c->walk = w;
	c->partition = partition;
	/* The first ones can be refused, and then the walk does not begin. */
	c->call.internal = w->left > 0;
	return c;
}

static void walk_send(struct walk_call *c)
{
	struct walk *w = c->walk;
	int err = redis_send(&c->call);

	if (err < 0)
		w->err = err;
	else
		w->left++;
}

static void on_device(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct walk_call *c = container_of(call, struct walk_call, call);
	struct walk *w = c->walk;
	struct span value = w->by_script ? redis_item_bytes(reply, 1) : redis_bytes(reply);
	struct store_device device = {.key = {w->role, span_of(c->endpoint, c->len)}};
	bool deleted;

	if (err < 0) {
		w->err = err;
	} else if (value.len && redis_device_decode(w->r, value, &deleted, &device) && !deleted) {
		w->found++;
		walk_tell(w, STORE_DONE, &device, 0);
	}
	w->left--;
	walk_on(w);
}

static void ask_device(struct walk *w, uint32_t partition, struct span endpoint)
{
	struct store_key key = {w->role, endpoint};
	struct walk_call *c;
	struct redis_key k;

	if (endpoint.len == 0 || endpoint.len > STORE_ENDPOINT_MAX)
		return; /* not one of ours */
	c = walk_call_new(w, partition, on_device);
	if (!c)
		return;
	memcpy(c->endpoint, endpoint.data, endpoint.len);
	c->len = endpoint.len;
	c->call.internal = true;
	if (w->by_script)
		redis_script(&c->call, REDIS_DUE, 2);
	else
		redis_arg_str(&c->call, "GET");
	redis_arg(&c->call, redis_device_key(&k, &w->r->layout, partition, key));
	if (w->by_script) {
		redis_arg(&c->call, redis_expiry_key(&k, &w->r->layout, partition, w->role));
		redis_arg_floor(&c->call);
		redis_arg(&c->call, endpoint);
	}
	walk_send(c);
}

static void on_names(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct walk_call *c = container_of(call, struct walk_call, call);
	struct walk *w = c->walk;
	const struct redisReply *names = w->by_script ? redis_item(reply, 1) : reply;

	if (err < 0)
		w->err = err;
	else if (!names || names->type != REDIS_REPLY_ARRAY)
		w->err = -EBADMSG;
	for (size_t i = 0; w->err == 0 && i < names->elements; i++)
		ask_device(w, c->partition, redis_item_bytes(names, i));
	w->left--;
	walk_on(w);
}

/* ---- by hash ---- */

static void hash_step(struct walk *w)
{
	struct redis_place at = redis_place_of_hash(&w->r->layout, w->hash);
	struct walk_call *c;
	struct redis_key k;

	if (w->at++)
		return;
	c = walk_call_new(w, at.partition, on_names);
	if (!c)
		return;
	redis_arg_str(&c->call, "ZRANGE");
	redis_arg(&c->call, redis_bucket_key(&k, &w->r->layout, at.partition, w->role, at.bucket));
	redis_arg_uint(&c->call, w->hash);
	redis_arg_uint(&c->call, w->hash);
	redis_arg_str(&c->call, "BYSCORE");
	walk_send(c);
}

int redis_find_hash(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each, void *ctx)
{
	struct redis *r = redis_of(s);
	struct walk *w;

	if (r->closing)
		return -ESHUTDOWN;
	w = walk_new(r, role, hash_step, ctx);
	if (!w)
		return -ENOMEM;
	w->each = each;
	w->hash = hash;
	w->count = SIZE_MAX;
	return walk_start(w);
}

/* ---- all ---- */

/* As many lists as it takes to find what is wanted, by what the former ones held. */
static void walk_step(struct walk *w)
{
	size_t lists = LISTS_AT_ONCE;

	for (; lists > 0 && w->at < w->end && w->err == 0; lists--, w->at++) {
		uint32_t partition = (uint32_t)(w->at / w->r->layout.buckets);
		uint32_t bucket = (uint32_t)(w->at % w->r->layout.buckets);
		struct walk_call *c = walk_call_new(w, partition, on_names);
		struct redis_key k;

		if (!c)
			return;
		redis_arg_str(&c->call, "ZRANGE");
		redis_arg(&c->call, redis_bucket_key(&k, &w->r->layout, partition, w->role, bucket));
		redis_arg_uint(&c->call, 0);
		redis_arg_str(&c->call, "-1");
		walk_send(c);
	}
}

int redis_walk(struct store *s, enum store_role role, uint64_t cursor, size_t count, store_walk_fn *each,
	       void *ctx)
{
	struct redis *r = redis_of(s);
	uint64_t end = (uint64_t)r->layout.partitions * r->layout.buckets;
	struct walk *w;

	if (r->closing)
		return -ESHUTDOWN;
	if (cursor >= end)
		return -EINVAL;
	w = walk_new(r, role, walk_step, ctx);
	if (!w)
		return -ENOMEM;
	w->each_walked = each;
	w->count = count;
	w->at = cursor;
	w->end = end;
	return walk_start(w);
}

/* ---- those whose time is over ---- */

static void expired_step(struct walk *w)
{
	struct redis *r = w->r;
	size_t wanted = w->count - w->found, lists = MIN(wanted, (size_t)EXPIRY_AT_ONCE);
	size_t each = wanted / lists;

	for (; lists > 0 && w->at < w->end && w->err == 0; lists--, w->at++) {
		uint32_t partition = r->expiry_next++ % r->layout.partitions;
		struct walk_call *c = walk_call_new(w, partition, on_names);
		struct redis_key k;

		if (!c)
			return;
		redis_script(&c->call, REDIS_EXPIRED, 1);
		redis_arg(&c->call, redis_expiry_key(&k, &r->layout, partition, w->role));
		redis_arg_floor(&c->call);
		redis_arg_uint(&c->call, each);
		redis_arg_uint(&c->call, w->defer_ms);
		walk_send(c);
	}
}

int redis_expired(struct store *s, enum store_role role, size_t count, uint64_t defer_ms,
		  store_device_fn *each, void *ctx)
{
	struct redis *r = redis_of(s);
	struct walk *w;

	if (r->closing)
		return -ESHUTDOWN;
	w = walk_new(r, role, expired_step, ctx);
	if (!w)
		return -ENOMEM;
	w->each = each;
	w->count = count;
	w->end = r->layout.partitions;
	w->defer_ms = defer_ms;
	w->by_script = true;
	return walk_start(w);
}

/* ---- by index ---- */

struct index_call {
	struct redis_call call;
	store_index_fn *done;
	void *ctx;
};

static void on_hint(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct index_call *c = container_of(call, struct index_call, call);
	struct span value = redis_bytes(reply);
	struct store_key key = {0};

	if (err == 0 && value.len == 0)
		err = STORE_ABSENT;
	else if (err == 0 && !redis_hint_decode(value, &key))
		err = -EBADMSG;
	c->done(c->ctx, err, key);
}

int redis_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct index_call *c;
	struct redis_key k;

	if (r->closing)
		return -ESHUTDOWN;
	c = redis_call_new(r, sizeof(*c), on_hint);
	if (!c)
		return -ENOMEM;
	c->done = done;
	c->ctx = ctx;
	redis_arg_str(&c->call, "GET");
	redis_arg(&c->call, redis_index_key(&k, &r->layout, kind, key));
	return redis_send(&c->call);
}
