/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A device goes: because its datagrams come to another node, or because this one leaves.
 *
 * The hard idea: freeze, write, tell. From the moment at which the device is frozen nothing is sealed, sent
 * or written for it here, so what the message carries - the exact counter of its session above all - is true
 * when it is used. If the outcome of the write is not known, the device is forgotten here and the message is
 * not sent: whoever takes it from the store goes on in a new term.
 */

#include "cluster/private.h"

#include <errno.h>

enum { DRAIN_AT_ONCE = 128, GIVE_MS = 2000, GIVINGS_MAX = 4096, LUGGAGE_MAX = 960 * 1024 };

struct giving {
	struct owners *owners;
	struct store_fence to;
	void *call; /* to be answered; NULL: a drain */
	struct buffer luggage, record, answer;
	struct store_device device;
	struct list parcels; /* that came meanwhile */
	size_t parcel_count;
	uint32_t hash;
	uint8_t endpoint_len;
	uint8_t endpoint[];
};

static struct store_key giving_key(const struct giving *g)
{
	return owners_key(g->owners, span_of(g->endpoint, g->endpoint_len));
}

static void answer_result(struct owners *o, void *call, enum given result)
{
	_cleanup_buffer_ struct buffer body = buffer_of(64);
	const struct message_given g = {.result = result};

	message_given_encode(&g, &body);
	o->host.answer(o->host.ctx, call, buffer_span(&body));
}

static void drain_on(struct owners *o);

static bool match_endpoint(const void *item, const void *key)
{
	const struct giving *g = item;

	return span_equal(span_of(g->endpoint, g->endpoint_len), *(const struct span *)key);
}

static struct giving *giving_find(const struct owners *o, struct span endpoint)
{
	return map_find(&o->givings, owners_hash(o, endpoint), match_endpoint, &endpoint);
}

bool giving_takes(struct owners *o, struct span endpoint, struct kept_parcel *p)
{
	struct giving *g = giving_find(o, endpoint);

	if (!g)
		return false;
	if (g->parcel_count < PARCELS_MAX) {
		list_append(&g->parcels, &p->node);
		g->parcel_count++;
	} else {
		free(p);
	}
	return true;
}

/* How it ended is known: what came meanwhile goes where the device is. */
static void giving_settle(struct giving *g, enum owners_end end)
{
	struct owners *o = g->owners;
	struct list *each;

	map_remove(&o->givings, g->hash, g);
	o->host.given(o->host.ctx, giving_key(g), end);
	while ((each = list_take_first(&g->parcels))) {
		struct kept_parcel *p = container_of(each, struct kept_parcel, node);

		if (end == OWNERS_GONE)
			parcel_forward(o, g->to.node, p);
		else if (end == OWNERS_KEPT)
			parcel_deliver(o, p);
		else
			free(p);
	}
}

/* `gone`: it is somebody else's now, or nobody's but the store's. */
static void giving_end(struct giving *g, bool gone)
{
	struct owners *o = g->owners;
	bool drain = !g->call;

	buffer_deinit(&g->luggage);
	buffer_deinit(&g->record);
	buffer_deinit(&g->answer);
	free(g);
	o->giving--;
	if (!drain)
		return;
	o->draining--;
	o->drain_failed += !gone;
	drain_on(o);
}

static void giving_failed(struct giving *g, enum owners_end end)
{
	struct owners *o = g->owners;

	giving_settle(g, end);
	if (g->call)
		answer_result(o, g->call, end == OWNERS_KEPT ? GIVEN_NOT : GIVEN_UNKNOWN);
	giving_end(g, end != OWNERS_KEPT);
}

/* If it was not heard, the device is taken from the store when it speaks. */
static void on_taken(void *arg, int result, struct span answer)
{
	(void)result;
	(void)answer;
	giving_end(arg, true);
}

static void giving_done(struct giving *g)
{
	struct owners *o = g->owners;
	const struct message_given given = {GIVEN, g->device, buffer_span(&g->luggage)};
	bool waits = false;

	o->stats.given++;
	movements_left(&o->movements, giving_key(g), g->to.node, o->timers->now_ms);
	g->answer = buffer_of(LUGGAGE_MAX + STORE_RECORD_MAX + 4096);
	message_given_encode(&given, &g->answer);
	if (g->call)
		o->host.answer(o->host.ctx, g->call, buffer_span(&g->answer));
	else
		waits = o->host.call(o->host.ctx, g->to.node, MESSAGE_GIVE, buffer_span(&g->answer), GIVE_MS,
				     on_taken, g) == 0;
	giving_settle(g, OWNERS_GONE); /* behind the device on its way */
	if (!waits)
		giving_end(g, true);
}

static void on_handed_over(void *ctx, const struct store_written *w)
{
	struct giving *g = ctx;
	const struct store_fence *found = &w->found.fence, *wanted = &g->device.hot.fence;
	/* The reply was lost, and the second try met what the first one did. */
	bool before = w->result == STORE_REFUSED && found->node == wanted->node &&
		      found->incarnation == wanted->incarnation && found->gen == wanted->gen;

	if (w->result == STORE_DONE || w->result == STORE_ALREADY || before)
		giving_done(g);
	else
		giving_failed(g, OWNERS_LOST);
}

static void copy_device(struct giving *g, const struct store_device *stored, struct span luggage)
{
	g->record = buffer_of(STORE_RECORD_MAX);
	g->luggage = buffer_of(LUGGAGE_MAX);
	buffer_bytes(&g->record, stored->record);
	buffer_bytes(&g->luggage, luggage);
	g->device = *stored;
	g->device.key = giving_key(g);
	g->device.record = buffer_span(&g->record);
	g->device.hot.fence = (struct store_fence){g->to.node, stored->hot.fence.gen + 1, g->to.incarnation};
}

static void on_ready(void *arg, int result, const struct store_write *w, const struct store_device *stored,
		     struct span luggage)
{
	struct giving *g = arg;

	if (result == 0) {
		copy_device(g, stored, luggage);
		result = g->record.failed || g->luggage.failed ? -ENOMEM : 0;
	}
	if (result == 0)
		result = store_hand_over(g->owners->store, w, &g->to, on_handed_over, g);
	if (result < 0)
		giving_failed(g, OWNERS_KEPT);
}

static bool give(struct owners *o, struct store_key key, const struct store_fence *to, void *call)
{
	struct giving *g = o->giving < GIVINGS_MAX ? calloc(1, sizeof(*g) + key.endpoint.len) : NULL;

	if (!g)
		return false;
	g->owners = o;
	g->to = *to;
	g->call = call;
	g->endpoint_len = (uint8_t)key.endpoint.len;
	memcpy(g->endpoint, key.endpoint.data, key.endpoint.len);
	g->hash = owners_hash(o, key.endpoint);
	list_init(&g->parcels);
	if (map_insert(&o->givings, g->hash, g) < 0) {
		free(g);
		return false;
	}
	o->giving++;
	o->host.give(o->host.ctx, giving_key(g), on_ready, g);
	return true;
}

/* ---- what other nodes say ---- */

/* A record that was seen already moves nothing; nor, without security, what has only just come. */
static bool may_go(const struct owners *o, const struct message_ask *ask)
{
	if (ask->session)
		return true;
	if (ask->record.len)
		return o->host.fresh(o->host.ctx, ask->key, ask->record);
	return !movements_is_fresh(&o->movements, ask->key, o->timers->now_ms);
}

void owners_on_ask(struct owners *o, uint32_t from, uint64_t incarnation, struct span body, void *call)
{
	const struct store_fence to = {.node = from, .incarnation = incarnation};
	struct message_ask ask;
	bool decoded = message_ask_decode(body, &ask) && ask.key.role == o->config.role &&
		       owners_is_mine(o, &ask.owner);

	if (decoded && giving_find(o, ask.key.endpoint))
		answer_result(o, call, GIVEN_NOT);
	else if (!decoded || !o->host.here(o->host.ctx, ask.key))
		answer_result(o, call, GIVEN_UNKNOWN);
	else if (!may_go(o, &ask) || !give(o, ask.key, &to, call))
		answer_result(o, call, GIVEN_NOT);
}

void owners_on_give(struct owners *o, struct span body, void *call)
{
	struct message_given given;
	bool taken = !o->stopped && message_given_decode(body, &given) && given.result == GIVEN &&
		     given.device.key.role == o->config.role && owners_is_mine(o, &given.device.hot.fence) &&
		     !o->host.here(o->host.ctx, given.device.key) &&
		     o->host.take(o->host.ctx, &given.device, given.luggage) == 0;

	if (taken) {
		o->stats.came++;
		movements_came(&o->movements, given.device.key, o->timers->now_ms);
	}
	answer_result(o, call, taken ? GIVEN_NOT : GIVEN_UNKNOWN);
}

void owners_on_lost(struct owners *o, struct span body)
{
	struct message_lost lost;

	if (message_lost_decode(body, &lost) && lost.key.role == o->config.role)
		o->host.lost(o->host.ctx, lost.key, lost.gen);
}

/* ---- leaving ---- */

/* Of the nodes that stay, the one that this device's hash points to: the same for each try. */
static const struct member *target_of(const struct owners *o, struct store_key key)
{
	uint64_t hash = store_key_hash(&o->hash_key, key), best_score = 0;
	const struct member *best = NULL, *m;

	for (size_t i = 0; (m = members_at(o->members, i)); i++) {
		uint64_t words[2] = {hash, m->node};
		uint64_t score = siphash(&o->hash_key, span_of(words, sizeof(words)));

		if (m->node == o->config.node || m->state != MEMBER_UP || (best && score <= best_score))
			continue;
		best = m;
		best_score = score;
	}
	return best;
}

static void drain_one(struct owners *o, struct store_key key)
{
	const struct member *to = target_of(o, key);
	const struct store_fence fence = {.node = to ? to->node : 0, .incarnation = to ? to->incarnation : 0};

	if (!o->host.here(o->host.ctx, key))
		return;
	o->draining++;
	if (to && give(o, key, &fence, NULL))
		return;
	o->draining--;
	o->drain_failed++;
}

static void drain_on(struct owners *o)
{
	void (*done)(void *ctx, size_t left) = o->drained;
	struct store_key key;

	if (o->drains || !done)
		return;
	o->drains = true;
	while (o->draining < DRAIN_AT_ONCE && o->host.next(o->host.ctx, &o->drain_cursor, &key))
		drain_one(o, key);
	o->drains = false;
	if (o->draining > 0)
		return;
	o->drained = NULL;
	done(o->drained_ctx, o->drain_failed);
}

void owners_drain(struct owners *o, void (*done)(void *ctx, size_t left), void *ctx)
{
	assert(!o->drained);
	o->drained = done;
	o->drained_ctx = ctx;
	o->drain_cursor = 0;
	o->drain_failed = 0;
	drain_on(o);
}
