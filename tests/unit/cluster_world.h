/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * A cluster in one process: nodes with owners.h over a store that stands for the shared one, and links that
 * may lose what they carry. Time stands until a test moves it; everything that is asked for comes back in the
 * order in which it was asked, a step at a time, so that a test can put a death between any two of them.
 *
 * A device of this world is its endpoint and a session: (term, counter), where the term is the generation at
 * which it came from the store. Each datagram that a node sends for a device uses one pair. That no pair is
 * used twice is checked for all that ever happens here.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "cluster/owners.h"
#include "store/backend.h"
#include "store/fence.h"

enum { WORLD_NODES = 4, WORLD_DEVICES = 16, WORLD_JOBS = 4096, WORLD_PAIRS = 1 << 17, WORLD_LIVES = 64 };

struct world_row {
	char endpoint[16];
	bool exists, deleted;
	struct store_hot hot;
	uint64_t expires_ms;
};

struct world_actor {
	bool here, frozen;
	struct store_hot hot;
	uint32_t term;
	uint32_t counter;
	owners_ready_fn *ready;
	void *ready_arg;
};

enum world_kind {
	WORLD_FIND,
	WORLD_CLAIM,
	WORLD_HAND_OVER,
	WORLD_HASH,
	WORLD_INDEX,
	WORLD_EXPIRED,
	WORLD_EXPIRY,
	WORLD_TAKE,
	WORLD_LIST,
	WORLD_CALL,
	WORLD_SEND,
	WORLD_ANSWER,
	WORLD_READY
};

struct world_job {
	enum world_kind kind;
	struct world_node *node; /* who asked */
	int device;
	struct store_fence fence, to;
	struct store_hot hot;
	uint64_t number;
	void *done, *ctx;
	uint32_t to_node;
	enum message_kind message;
	struct buffer body;
	void *call;
	uint64_t ttl_ms;
};

struct world_call {
	struct world_node *caller;
	bool ended;
	owners_called_fn *done;
	void *arg;
	uint64_t deadline_ms;
};

/* One life of a node. */
struct world_node {
	struct store store;
	bool up;
	int id;
	int incarnation;
	struct timers timers;
	struct members *members;
	struct owners *owners;
	struct world_actor actors[WORLD_DEVICES];
	size_t inputs, refused;
	int last_input; /* device, -1: none */
	unsigned lose;	/* of 100 messages to it */
	bool fresh;
};

struct world_lease {
	bool taken;
	struct store_lease lease;
	uint8_t body[MEMBER_BODY_MAX];
	size_t len;
};

static struct {
	uint64_t now_ms;
	struct world_row rows[WORLD_DEVICES];
	struct world_node *nodes[WORLD_NODES + 1]; /* their present lives, by id, from 1 */
	struct world_node *lives[WORLD_LIVES];
	int life_count;
	struct world_lease leases[WORLD_NODES + 1];
	struct world_call *calls[WORLD_PAIRS];
	size_t call_count;
	struct world_job jobs[WORLD_JOBS];
	size_t job_count;
	bool store_away;
	bool store_stands;     /* what it is asked waits, and does not fail */
	bool effects;	       /* datagrams have them */
	unsigned lose_replies; /* of 100 */
	enum owners_proof proof;
	uint64_t seed;
	uint64_t *pairs; /* (device, term, counter) that were used */
	size_t pair_count;
	size_t sent;
} world;

static inline uint32_t world_random(void)
{
	world.seed = world.seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(world.seed >> 33);
}

static inline struct store_key world_key(int device)
{
	return (struct store_key){STORE_MANAGEMENT, span_str(world.rows[device].endpoint)};
}

static inline int world_device(struct span endpoint)
{
	for (int i = 0; i < WORLD_DEVICES; i++)
		if (span_is(endpoint, world.rows[i].endpoint))
			return i;
	fail_msg("no device %.*s", (int)endpoint.len, (const char *)endpoint.data);
	return -1;
}

static inline struct world_job *world_add(enum world_kind kind, struct world_node *node)
{
	struct world_job *j = &world.jobs[world.job_count++];

	assert_true(world.job_count < WORLD_JOBS);
	*j = (struct world_job){.kind = kind, .node = node};
	return j;
}

/* ---- the store ---- */

static inline struct world_job *world_ask(enum world_kind kind, struct store *s, void *done, void *ctx)
{
	struct world_job *j = world_add(kind, container_of(s, struct world_node, store));

	j->done = done;
	j->ctx = ctx;
	return j;
}

static inline int world_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx)
{
	world_ask(WORLD_FIND, s, (void *)done, ctx)->device = world_device(key.endpoint);
	return 0;
}

static inline int world_claim(struct store *s, struct store_key key, const struct store_fence *expected,
			      store_device_fn *done, void *ctx)
{
	struct world_job *j = world_ask(WORLD_CLAIM, s, (void *)done, ctx);

	j->device = world_device(key.endpoint);
	j->fence = *expected;
	return 0;
}

static inline int world_write(struct store *s, const struct store_write *w, const struct store_fence *to,
			      store_written_fn *done, void *ctx)
{
	struct world_job *j = world_ask(WORLD_HAND_OVER, s, (void *)done, ctx);

	assert_non_null(to);
	j->device = world_device(w->key.endpoint);
	j->hot = *w->hot;
	j->to = *to;
	return 0;
}

static inline int world_find_hash(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each,
				  void *ctx)
{
	(void)role;
	world_ask(WORLD_HASH, s, (void *)each, ctx)->number = hash;
	return 0;
}

static inline int world_index_find(struct store *s, enum store_index kind, struct span key,
				   store_index_fn *done, void *ctx)
{
	(void)kind;
	world_ask(WORLD_INDEX, s, (void *)done, ctx)->device = key.data[0];
	return 0;
}

static inline int world_expired(struct store *s, enum store_role role, size_t count, uint64_t defer_ms,
				store_device_fn *each, void *ctx)
{
	(void)role;
	(void)count;
	world_ask(WORLD_EXPIRED, s, (void *)each, ctx)->ttl_ms = defer_ms;
	return 0;
}

static inline int world_expiry_set(struct store *s, struct store_key key, uint64_t at_ms,
				   store_device_fn *done, void *ctx)
{
	struct world_job *j = world_ask(WORLD_EXPIRY, s, (void *)done, ctx);

	j->device = world_device(key.endpoint);
	j->number = at_ms;
	return 0;
}

static inline int world_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done,
				   void *ctx)
{
	struct world_job *j = world_ask(WORLD_TAKE, s, (void *)done, ctx);

	j->ttl_ms = ttl_ms;
	j->body = buffer_of(4096);
	buffer_bytes(&j->body, body);
	return 0;
}

static inline int world_lease_list(struct store *s, store_lease_fn *each, void *ctx)
{
	world_ask(WORLD_LIST, s, (void *)each, ctx);
	return 0;
}

static inline uint64_t world_now(const struct store *s)
{
	(void)s;
	return world.now_ms;
}

static const struct store_backend world_backend = {
	.write = world_write,
	.claim = world_claim,
	.find = world_find,
	.find_hash = world_find_hash,
	.index_find = world_index_find,
	.expired = world_expired,
	.expiry_set = world_expiry_set,
	.lease_take = world_lease_take,
	.lease_list = world_lease_list,
	.now_ms = world_now,
};

/* What a device is at, as the store hands it out. */
static inline struct store_device world_stored(int device)
{
	return (struct store_device){.key = world_key(device),
				     .hot = world.rows[device].hot,
				     .record = span_str(world.rows[device].endpoint),
				     .expires_ms = world.rows[device].expires_ms};
}

static inline void world_do_claim(const struct world_job *j)
{
	struct world_row *row = &world.rows[j->device];
	struct store_device d;
	int result = STORE_DONE;

	if (!row->exists)
		result = STORE_ABSENT;
	else if (!fence_equal(&row->hot.fence, &j->fence))
		result = STORE_REFUSED;
	else
		row->hot.fence = (struct store_fence){(uint32_t)j->node->id, row->hot.fence.gen + 1,
						      (uint64_t)j->node->incarnation};
	d = world_stored(j->device);
	((store_device_fn *)j->done)(j->ctx, result, result == STORE_ABSENT ? NULL : &d);
}

static inline void world_do_hand_over(const struct world_job *j)
{
	struct world_row *row = &world.rows[j->device];
	const struct fence_stored stored = {row->exists, false, row->hot.fence, row->hot.number};
	struct store_written w = {
		.result = (int)fence_check(&stored, &j->hot.fence, j->hot.number, STORE_RECORD_KEEP),
		.found = row->hot};

	if (w.result == STORE_DONE) {
		row->hot = j->hot;
		row->hot.fence = (struct store_fence){j->to.node, j->hot.fence.gen + 1, j->to.incarnation};
	}
	((store_written_fn *)j->done)(j->ctx, &w);
}

static inline void world_do_devices(const struct world_job *j)
{
	store_device_fn *each = (store_device_fn *)j->done;

	for (int i = 0; i < WORLD_DEVICES; i++) {
		struct store_device d = world_stored(i);
		uint32_t hash = (uint32_t)(store_key_hash(&j->node->store.hash_key, d.key) >> 32);

		if (!world.rows[i].exists)
			continue;
		if (j->kind == WORLD_HASH && hash != j->number)
			continue;
		if (j->kind == WORLD_EXPIRED &&
		    (world.rows[i].expires_ms == 0 || world.rows[i].expires_ms > world.now_ms))
			continue;
		if (j->kind == WORLD_EXPIRED)
			world.rows[i].expires_ms = world.now_ms + j->ttl_ms;
		each(j->ctx, STORE_DONE, &d);
	}
	each(j->ctx, STORE_ABSENT, NULL);
}

static inline void world_do_take(const struct world_job *j)
{
	struct world_lease *l = &world.leases[j->node->id];
	store_lease_fn *done = (store_lease_fn *)j->done;
	bool held = l->taken && l->lease.until_ms > world.now_ms &&
		    l->lease.incarnation != (uint64_t)j->node->incarnation;

	if (!held) {
		l->taken = true;
		l->len = j->body.len;
		memcpy(l->body, j->body.data, j->body.len);
		l->lease = (struct store_lease){.node = (uint32_t)j->node->id,
						.incarnation = (uint64_t)j->node->incarnation,
						.until_ms = world.now_ms + j->ttl_ms};
	}
	done(j->ctx, held ? STORE_REFUSED : STORE_DONE, &l->lease);
}

static inline void world_do_list(const struct world_job *j)
{
	store_lease_fn *each = (store_lease_fn *)j->done;

	for (int i = 1; i <= WORLD_NODES; i++) {
		struct world_lease *l = &world.leases[i];
		struct store_lease lease = l->lease;

		lease.body = span_of(l->body, l->len);
		if (l->taken && lease.until_ms > world.now_ms)
			each(j->ctx, STORE_DONE, &lease);
	}
	each(j->ctx, STORE_ABSENT, NULL);
}

static inline void world_fail(const struct world_job *j)
{
	const struct store_written w = {.result = -ETIMEDOUT};

	if (j->kind == WORLD_HAND_OVER)
		((store_written_fn *)j->done)(j->ctx, &w);
	else if (j->kind == WORLD_INDEX)
		((store_index_fn *)j->done)(j->ctx, -ETIMEDOUT, (struct store_key){0});
	else if (j->kind == WORLD_TAKE || j->kind == WORLD_LIST)
		((store_lease_fn *)j->done)(j->ctx, -ETIMEDOUT, NULL);
	else if (j->done)
		((store_device_fn *)j->done)(j->ctx, -ETIMEDOUT, NULL);
}

static inline void world_unheard_device(void *ctx, int result, const struct store_device *device)
{
	(void)ctx;
	(void)result;
	(void)device;
}

static inline void world_unheard_write(void *ctx, const struct store_written *w)
{
	(void)ctx;
	(void)w;
}

/* The store did it, and nobody hears of it. */
static inline void world_lose_reply(const struct world_job *j)
{
	struct world_job unheard = *j;

	unheard.done =
		j->kind == WORLD_HAND_OVER ? (void *)world_unheard_write : (void *)world_unheard_device;
	if (j->kind == WORLD_HAND_OVER)
		world_do_hand_over(&unheard);
	else if (j->kind == WORLD_CLAIM)
		world_do_claim(&unheard);
	world_fail(j);
}

static inline void world_store_job(const struct world_job *j)
{
	struct store_device d;

	if (world.store_away) {
		world_fail(j);
		return;
	}
	if (j->kind <= WORLD_HAND_OVER && world_random() % 100 < world.lose_replies) {
		world_lose_reply(j);
		return;
	}
	switch (j->kind) {
	case WORLD_FIND:
		d = world_stored(j->device);
		((store_device_fn *)j->done)(
			j->ctx, world.rows[j->device].exists ? STORE_DONE : STORE_ABSENT,
			world.rows[j->device].exists || world.rows[j->device].deleted ? &d : NULL);
		break;
	case WORLD_INDEX:
		((store_index_fn *)j->done)(j->ctx, world.rows[j->device].exists ? STORE_DONE : STORE_ABSENT,
					    world_key(j->device));
		break;
	case WORLD_EXPIRY:
		world.rows[j->device].expires_ms = j->number;
		break;
	case WORLD_CLAIM:
		world_do_claim(j);
		break;
	case WORLD_HAND_OVER:
		world_do_hand_over(j);
		break;
	case WORLD_TAKE:
		world_do_take(j);
		break;
	case WORLD_LIST:
		world_do_list(j);
		break;
	default:
		world_do_devices(j);
		break;
	}
}

/* ---- what a node does with devices ---- */

static inline struct world_node *world_of(void *ctx)
{
	return ctx;
}

static inline struct world_actor *world_actor(void *ctx, struct store_key key)
{
	return &world_of(ctx)->actors[world_device(key.endpoint)];
}

static inline bool host_here(void *ctx, struct store_key key)
{
	const struct world_actor *a = world_actor(ctx, key);

	return a->here && !a->frozen;
}

static inline bool host_fresh(void *ctx, struct store_key key, struct span datagram)
{
	(void)key;
	assert_int_equal(datagram.len, 2);
	return world_of(ctx)->fresh;
}

static inline void host_give(void *ctx, struct store_key key, owners_ready_fn *ready, void *arg)
{
	struct world_actor *a = world_actor(ctx, key);
	struct world_job *j;

	assert_true(a->here && !a->frozen);
	a->frozen = true;
	a->ready = ready;
	a->ready_arg = arg;
	/* writes in flight come back first */
	j = world_add(WORLD_READY, ctx);
	j->device = world_device(key.endpoint);
}

static inline void world_do_ready(const struct world_job *j)
{
	struct world_actor *a = &j->node->actors[j->device];
	uint8_t luggage[8];
	struct writer w = writer_of(luggage, sizeof(luggage));
	struct store_write write = {.key = world_key(j->device), .hot = &a->hot};
	struct store_device stored = {.key = world_key(j->device),
				      .record = span_str(world.rows[j->device].endpoint)};

	writer_u32(&w, a->term);
	writer_u32(&w, a->counter);
	a->hot.number++;
	stored.hot = a->hot;
	a->ready(a->ready_arg, 0, &write, &stored, writer_span(&w));
}

static inline void host_given(void *ctx, struct store_key key, enum owners_end end)
{
	struct world_actor *a = world_actor(ctx, key);

	if (!world_of(ctx)->up)
		return;
	assert_true(a->here && a->frozen);
	if (end == OWNERS_KEPT) {
		a->frozen = false;
		a->hot.number--;
	} else {
		*a = (struct world_actor){0};
	}
}

static inline int host_take(void *ctx, const struct store_device *stored, struct span luggage)
{
	struct world_node *n = world_of(ctx);
	struct world_actor *a = world_actor(ctx, stored->key);
	struct reader r = reader_of(luggage);

	if (!n->up)
		return -EIO;
	assert_int_equal(stored->hot.fence.node, n->id);
	assert_int_equal(stored->hot.fence.incarnation, n->incarnation);
	if (a->here && a->hot.fence.gen >= stored->hot.fence.gen)
		return -EEXIST;
	*a = (struct world_actor){.here = true, .hot = stored->hot, .term = stored->hot.fence.gen};
	if (luggage.len) {
		a->term = reader_u32(&r);
		a->counter = reader_u32(&r);
	}
	return 0;
}

static inline void host_lost(void *ctx, struct store_key key, uint32_t gen)
{
	struct world_actor *a = world_actor(ctx, key);

	if (a->here && !a->frozen && a->hot.fence.gen < gen)
		*a = (struct world_actor){0};
}

static inline void host_missing(void *ctx, struct store_key key)
{
	struct world_node *n = ctx;
	int device = world_device(key.endpoint);
	struct world_row *row = &world.rows[device];

	assert_true(n->actors[device].here);
	row->exists = true;
	row->hot = n->actors[device].hot;
}

static inline void host_vacant(void *ctx, const struct store_device *tombstone)
{
	(void)ctx;
	(void)tombstone;
}

static inline enum owners_proof host_judge(void *ctx, const struct store_device *stored,
					   const struct parcel *p)
{
	(void)ctx;
	if (p->datagram.data[0] != world_device(stored->key.endpoint))
		return OWNERS_NOT_ITS;
	return world.proof;
}

/* The node handles a datagram of the device: if it has it, it sends something. */
static inline void world_handle(struct world_node *n, int device)
{
	struct world_actor *a = &n->actors[device];
	uint64_t pair;

	n->inputs++;
	n->last_input = device;
	if (!n->up || !a->here || a->frozen)
		return;
	/* What has an effect is written, and that is refused if the device is another's by now. */
	if (world.effects && !fence_equal(&a->hot.fence, &world.rows[device].hot.fence)) {
		*a = (struct world_actor){0};
		return;
	}
	pair = (uint64_t)device << 56 | (uint64_t)a->term << 24 | a->counter++;
	assert_true(world.pair_count < WORLD_PAIRS);
	world.pairs[world.pair_count++] = pair;
	world.sent++;
}

static inline void host_input(void *ctx, const struct parcel *p)
{
	world_handle(world_of(ctx), p->datagram.data[0]);
}

static inline uint64_t host_expires(void *ctx, const struct store_device *stored)
{
	(void)ctx;
	return stored->hot.seen_ms;
}

static inline bool host_next(void *ctx, uint32_t *cursor, struct store_key *key)
{
	while (*cursor < WORLD_DEVICES) {
		int device = (int)(*cursor)++;

		if (world_of(ctx)->actors[device].here) {
			*key = world_key(device);
			return true;
		}
	}
	return false;
}

static inline void world_post(void *ctx, enum world_kind kind, uint32_t to, enum message_kind message,
			      struct span body, void *call)
{
	struct world_job *j = world_add(kind, ctx);

	j->to_node = to;
	j->message = message;
	j->body = buffer_of(1 << 20);
	buffer_bytes(&j->body, body);
	j->call = call;
}

static inline int host_call(void *ctx, uint32_t node, enum message_kind kind, struct span body,
			    uint64_t timeout_ms, owners_called_fn *done, void *arg)
{
	struct world_call *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	*c = (struct world_call){ctx, false, done, arg, world.now_ms + timeout_ms};
	world.calls[world.call_count++] = c;
	world_post(ctx, WORLD_CALL, node, kind, body, c);
	return 0;
}

static inline void host_send(void *ctx, uint32_t node, enum message_kind kind, struct span body)
{
	world_post(ctx, WORLD_SEND, node, kind, body, NULL);
}

static inline void host_answer(void *ctx, void *call, struct span body)
{
	world_post(ctx, WORLD_ANSWER, (uint32_t)((struct world_call *)call)->caller->id, MESSAGE_ASK, body,
		   call);
}

static inline void world_end_call(struct world_call *c, int result, struct span answer)
{
	if (c->ended)
		return;
	c->ended = true;
	c->done(c->arg, result, answer);
}

static inline bool world_reaches(const struct world_job *j)
{
	const struct world_node *to = world.nodes[j->to_node];

	return j->node->up && to->up && world_random() % 100 >= to->lose;
}

static inline void world_do_call(const struct world_job *j)
{
	struct world_node *to = world.nodes[j->to_node];
	struct span body = buffer_span(&j->body);

	if (!world_reaches(j))
		return; /* its deadline ends it */
	if (j->message == MESSAGE_ASK)
		owners_on_ask(to->owners, (uint32_t)j->node->id, (uint64_t)j->node->incarnation, body,
			      j->call);
	else
		owners_on_give(to->owners, body, j->call);
}

static inline void world_do_send(const struct world_job *j)
{
	struct world_node *to = world.nodes[j->to_node];
	struct message_datagram d;

	if (!world_reaches(j))
		return;
	if (j->message == MESSAGE_LOST) {
		owners_on_lost(to->owners, buffer_span(&j->body));
		return;
	}
	assert_int_equal(j->message, MESSAGE_FORWARD);
	assert_true(message_datagram_decode(buffer_span(&j->body), &d));
	world_handle(to, d.datagram.data[0]);
}

/* ---- time ---- */

static inline void world_do(struct world_job *j)
{
	bool alive = j->node->up;

	switch (j->kind) {
	case WORLD_ANSWER: /* what is lost ends by its deadline */
		if (world_reaches(j))
			world_end_call(j->call, 0, buffer_span(&j->body));
		break;
	case WORLD_CALL:
		world_do_call(j);
		break;
	case WORLD_SEND:
		world_do_send(j);
		break;
	case WORLD_READY:
		if (alive)
			world_do_ready(j);
		else
			j->node->actors[j->device].ready(j->node->actors[j->device].ready_arg, -EIO, NULL,
							 NULL, span_of(NULL, 0));
		break;
	default:
		if (alive || world_random() & 1)
			world_store_job(j); /* it was on its way when the node died */
		else
			world_fail(j);
		break;
	}
	buffer_deinit(&j->body);
}

/* The oldest of what was asked for. False: nothing is left. */
static inline bool world_step(void)
{
	struct world_job j;

	if (world.job_count == 0 || world.store_stands)
		return false;
	j = world.jobs[0];
	memmove(world.jobs, world.jobs + 1, --world.job_count * sizeof(j));
	world_do(&j);
	return true;
}

static inline void world_settle(void)
{
	while (world_step())
		;
}

static inline void world_pass(uint64_t ms)
{
	for (uint64_t end = world.now_ms + ms; world.now_ms < end;) {
		world.now_ms += 100;
		for (int i = 0; i < world.life_count; i++)
			timers_advance(&world.lives[i]->timers, world.now_ms);
		for (size_t i = 0; i < world.call_count; i++)
			if (world.now_ms >= world.calls[i]->deadline_ms)
				world_end_call(world.calls[i], -ETIMEDOUT, span_of(NULL, 0));
		world_settle();
	}
}

/* ---- nodes ---- */

static inline void world_changed(void *ctx)
{
	(void)ctx;
}

static inline void world_refused(void *ctx, const struct store_lease *other)
{
	(void)other;
	world_of(ctx)->refused++;
}

static inline void world_start(int id)
{
	struct world_node *n = calloc(1, sizeof(*n));
	struct members_config mc = {.self = {.state = MEMBER_UP,
					     .weight = 1,
					     .record_min = 1,
					     .record_max = 2,
					     .version = "test"},
				    .ttl_ms = 3000,
				    .renew_ms = 1000};
	struct members_host mh = {n, world_changed, world_refused};
	struct owners_config oc;
	struct owners_host oh = {n,	    host_here,	  host_fresh,  host_give,  host_given, host_take,
				 host_lost, host_missing, host_vacant, host_judge, host_input, host_expires,
				 host_next, host_call,	  host_send,   host_answer};

	assert_non_null(n);
	assert_true(world.life_count < WORLD_LIVES);
	world.nodes[id] = world.lives[world.life_count++] = n;
	n->up = true;
	n->id = id;
	n->incarnation = world.life_count;
	n->fresh = true;
	n->last_input = -1;
	n->store = (struct store){
		.backend = &world_backend, .hash_key = {{1, 2}}, .incarnation = (uint64_t)n->incarnation};
	timers_init(&n->timers, world.now_ms);
	n->members = members_new(&mc, &mh, &n->store, &n->timers);
	owners_config_init(&oc);
	oc.node = (uint32_t)id;
	oc.incarnation = (uint64_t)n->incarnation;
	n->owners = owners_new(&oc, &oh, &n->store, n->members, &n->timers);
	assert_non_null(n->members);
	assert_non_null(n->owners);
}

/* As by SIGKILL: what it had in memory is gone, what it asked for is not heard any more. */
static inline void world_kill(int id)
{
	struct world_node *n = world.nodes[id];

	n->up = false;
	members_stop(n->members);
	owners_stop(n->owners);
}

static inline struct parcel world_parcel(int device, enum parcel_kind kind, uint8_t room[2])
{
	room[0] = (uint8_t)device;
	room[1] = 1;
	return (struct parcel){.kind = kind,
			       .from = {.ip = {192, 0, 2, 1}, .port = 5683, .family = 4},
			       .datagram = span_of(room, 2)};
}

/* A datagram of the device comes to a node. */
static inline void world_speak_as(int id, int device, enum parcel_kind kind)
{
	struct world_node *n = world.nodes[id];
	uint8_t room[2];
	struct parcel p = world_parcel(device, kind, room);

	if (n->actors[device].here && !n->actors[device].frozen)
		world_handle(n, device);
	else if (!owners_find_index(n->owners, STORE_INDEX_CID, p.datagram, &p))
		n->last_input = -1;
}

static inline void world_speak(int id, int device, bool dtls)
{
	world_speak_as(id, device, dtls ? PARCEL_RECORD : PARCEL_PLAIN);
}

/* Nobody had it yet: as if it had registered at that node. */
static inline void world_register(int id, int device)
{
	struct world_row *row = &world.rows[device];
	struct world_actor *a = &world.nodes[id]->actors[device];

	row->exists = true;
	row->hot = (struct store_hot){.fence = {(uint32_t)id, 1, (uint64_t)world.nodes[id]->incarnation},
				      .number = 1};
	*a = (struct world_actor){.here = true, .hot = row->hot, .term = 1};
}

static inline int world_owner(int device)
{
	return (int)world.rows[device].hot.fence.node;
}

static inline int world_set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.now_ms = 1000000;
	world.proof = OWNERS_PROVES;
	world.seed = 1;
	world.pairs = calloc(WORLD_PAIRS, sizeof(*world.pairs));
	for (int i = 0; i < WORLD_DEVICES; i++)
		snprintf(world.rows[i].endpoint, sizeof(world.rows[i].endpoint), "device-%d", i);
	for (int i = 1; i <= 3; i++)
		world_start(i);
	world_pass(2000);
	return world.pairs ? 0 : -1;
}

static inline int world_tear_down(void **state)
{
	(void)state;
	world.store_away = false;
	for (int i = 0; i < world.life_count; i++) {
		members_stop(world.lives[i]->members);
		owners_stop(world.lives[i]->owners);
	}
	world_pass(5000);
	for (int i = 0; i < world.life_count; i++) {
		owners_free(world.lives[i]->owners);
		members_free(world.lives[i]->members);
		free(world.lives[i]);
	}
	for (size_t i = 0; i < world.call_count; i++)
		free(world.calls[i]);
	free(world.pairs);
	return 0;
}

static inline int world_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static inline void world_assert_pairs(void)
{
	qsort(world.pairs, world.pair_count, sizeof(*world.pairs), world_compare);
	for (size_t i = 1; i < world.pair_count; i++)
		if (world.pairs[i] == world.pairs[i - 1])
			fail_msg("device %d used term %d counter %d twice", (int)(world.pairs[i] >> 56),
				 (int)(world.pairs[i] >> 24 & 0xffffffff), (int)(world.pairs[i] & 0xffffff));
}
