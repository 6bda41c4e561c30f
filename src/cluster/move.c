/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A device comes here: asked for while its owner lives, claimed when that is dead or does not answer.
 *
 * The hard idea: nothing here decides who owns a device. Asking is a courtesy which brings along what is not
 * in the store; whether the owner answers, answers late, or is believed dead and is not, the store gives the
 * device to one node alone, and whoever lost it learns that at its next write. So any step may fail, be
 * repeated, or cross another one, and the worst that comes of it is a device whose running requests are lost.
 *
 * One move per device; datagrams and callers that come meanwhile join it.
 */

#include "cluster/private.h"

struct caller {
	struct list node;
	owners_where_fn *done;
	void *ctx;
};

struct move {
	struct owners *owners;
	struct list parcels, callers;
	size_t parcel_count;
	struct store_fence owner; /* by the store, when we last looked */
	uint32_t hash;
	uint8_t rounds, asks;
	bool proven;  /* it may move although its owner lives */
	bool session; /* ... because it has made a new one with us */
	uint8_t endpoint_len;
	uint8_t endpoint[];
};

static struct store_key move_key(const struct move *m)
{
	return owners_key(m->owners, span_of(m->endpoint, m->endpoint_len));
}

/* ---- parcels ---- */

void parcel_forward(struct owners *o, uint32_t node, struct kept_parcel *kept)
{
	_cleanup_buffer_ struct buffer body = buffer_of(1 << 17);
	const struct parcel *p = &kept->parcel;
	const struct message_datagram d = {
		.place = p->from, .dtls = p->kind == PARCEL_RECORD, .datagram = p->datagram};

	message_datagram_encode(&d, &body);
	/* Only we can answer in a session that is here. */
	if (!body.failed && p->kind != PARCEL_SESSION) {
		o->stats.forwarded++;
		o->host.send(o->host.ctx, node, MESSAGE_FORWARD, buffer_span(&body));
	}
	free(kept);
}

void parcel_deliver(struct owners *o, struct kept_parcel *kept)
{
	if (!o->stopped)
		o->host.input(o->host.ctx, &kept->parcel);
	free(kept);
}

/* ---- ends ---- */

static void move_end(struct move *m, enum owners_where where, uint32_t node)
{
	struct owners *o = m->owners;
	struct list *each;

	map_remove(&o->moves, m->hash, m);
	o->moving--;
	while ((each = list_take_first(&m->parcels))) {
		struct kept_parcel *p = container_of(each, struct kept_parcel, node);

		if (where == OWNERS_AT)
			parcel_forward(o, node, p);
		else if (where == OWNERS_AWAY)
			free(p); /* its device sends it again */
		else
			parcel_deliver(o, p);
	}
	while ((each = list_take_first(&m->callers))) {
		struct caller *c = container_of(each, struct caller, node);

		c->done(c->ctx, where, node);
		free(c);
	}
	free(m);
}

static void move_step(struct move *m);

static void arrived(struct move *m, const struct store_device *stored, struct span luggage)
{
	struct owners *o = m->owners;
	int err = o->host.take(o->host.ctx, stored, luggage);

	if (err == 0) {
		o->stats.came++;
		movements_came(&o->movements, move_key(m), o->timers->now_ms);
	}
	move_end(m, err == 0 ? OWNERS_HERE : OWNERS_AWAY, 0);
}

/* The store says something else than before: once more, from what it says. */
static void again(struct move *m, const struct store_fence *owner)
{
	m->owner = *owner;
	m->asks = 0;
	if (++m->rounds >= ROUNDS_MAX)
		move_end(m, OWNERS_AWAY, 0);
	else
		move_step(m);
}

/* ---- from the store ---- */

static void tell_loser(struct owners *o, struct store_key key, const struct store_fence *before, uint32_t gen)
{
	_cleanup_buffer_ struct buffer body = buffer_of(1024);
	const struct message_lost lost = {key, gen};

	message_lost_encode(&lost, &body);
	o->host.send(o->host.ctx, before->node, MESSAGE_LOST, buffer_span(&body));
}

static void on_claimed(void *ctx, int result, const struct store_device *stored)
{
	struct move *m = ctx;
	struct owners *o = m->owners;

	if (o->stopped || result < 0) {
		move_end(m, OWNERS_AWAY, 0);
		return;
	}
	switch ((enum store_result)result) {
	case STORE_DONE:
		o->stats.claimed++;
		if (owners_is_elsewhere(o, &m->owner))
			tell_loser(o, move_key(m), &m->owner, stored->hot.fence.gen);
		else
			o->stats.taken_over++;
		arrived(m, stored, span_of(NULL, 0));
		break;
	case STORE_REFUSED:
		again(m, &stored->hot.fence);
		break;
	case STORE_ABSENT:
	case STORE_ALREADY:
	case STORE_BEHIND:
		move_end(m, OWNERS_NOWHERE, 0);
		break;
	}
}

static void claim(struct move *m)
{
	if (store_claim(m->owners->store, move_key(m), &m->owner, on_claimed, m) < 0)
		move_end(m, OWNERS_AWAY, 0);
}

/* The node that the store names does not have it: perhaps it has just gone elsewhere. */
static void on_found_again(void *ctx, int result, const struct store_device *stored)
{
	struct move *m = ctx;

	if (m->owners->stopped || result < 0)
		move_end(m, OWNERS_AWAY, 0);
	else if (result == STORE_ABSENT)
		move_end(m, OWNERS_NOWHERE, 0);
	else if (stored->hot.fence.gen == m->owner.gen)
		claim(m);
	else
		again(m, &stored->hot.fence);
}

/* ---- from its owner ---- */

static void on_asked(void *arg, int result, struct span answer)
{
	struct move *m = arg;
	struct owners *o = m->owners;
	struct message_given given;

	if (o->stopped) {
		move_end(m, OWNERS_AWAY, 0);
		return;
	}
	if (result < 0 || !message_given_decode(answer, &given)) {
		move_step(m); /* asked once more, or claimed */
		return;
	}
	switch (given.result) {
	case GIVEN:
		if (owners_is_mine(o, &given.device.hot.fence) &&
		    span_equal(given.device.key.endpoint, move_key(m).endpoint))
			arrived(m, &given.device, given.luggage);
		else
			claim(m);
		break;
	case GIVEN_NOT:
		o->stats.refused++;
		move_end(m, OWNERS_AT, m->owner.node);
		break;
	case GIVEN_UNKNOWN:
		if (store_find(o->store, move_key(m), on_found_again, m) < 0)
			move_end(m, OWNERS_AWAY, 0);
		break;
	}
}

/* The newest record that came. */
static struct span move_record(const struct move *m)
{
	struct span record = {0};

	list_for_each (node, &m->parcels) {
		const struct parcel *p = &container_of(node, struct kept_parcel, node)->parcel;

		if (p->kind == PARCEL_RECORD)
			record = p->datagram;
	}
	return record;
}

static bool ask(struct move *m)
{
	struct owners *o = m->owners;
	_cleanup_buffer_ struct buffer body = buffer_of(1 << 17);
	const struct message_ask question = {move_key(m), m->owner, m->session, move_record(m)};

	message_ask_encode(&question, &body);
	o->stats.asked++;
	if (m->asks++ > 0)
		o->stats.asked_again++;
	return o->host.call(o->host.ctx, m->owner.node, MESSAGE_ASK, buffer_span(&body), o->config.ask_ms,
			    on_asked, m) == 0;
}

static void move_step(struct move *m)
{
	enum { ASKS_MAX = 2 };
	bool elsewhere = owners_is_elsewhere(m->owners, &m->owner);

	if (elsewhere && !m->proven)
		move_end(m, OWNERS_AT, m->owner.node);
	else if (!elsewhere || m->asks >= ASKS_MAX || !ask(m))
		claim(m);
}

/* ---- beginnings ---- */

static bool match_endpoint(const void *item, const void *key)
{
	const struct move *m = item;

	return span_equal(span_of(m->endpoint, m->endpoint_len), *(const struct span *)key);
}

uint32_t owners_hash(const struct owners *o, struct span endpoint)
{
	return (uint32_t)(store_key_hash(&o->hash_key, owners_key(o, endpoint)) >> 32);
}

static struct move *move_new(struct owners *o, const struct store_device *stored)
{
	struct span endpoint = stored->key.endpoint;
	struct move *m;

	if (o->moving >= MOVES_MAX || o->stopped)
		return NULL;
	m = calloc(1, sizeof(*m) + endpoint.len);
	if (!m)
		return NULL;
	m->owners = o;
	m->owner = stored->hot.fence;
	m->endpoint_len = (uint8_t)endpoint.len;
	memcpy(m->endpoint, endpoint.data, endpoint.len);
	list_init(&m->parcels);
	list_init(&m->callers);
	m->hash = owners_hash(o, endpoint);
	if (map_insert(&o->moves, m->hash, m) < 0) {
		free(m);
		return NULL;
	}
	o->moving++;
	return m;
}

/* The move of this device, under way or not; NULL: there are too many. */
static struct move *move_of(struct owners *o, const struct store_device *stored, bool *is_new)
{
	struct span endpoint = stored->key.endpoint;
	struct move *m = map_find(&o->moves, owners_hash(o, endpoint), match_endpoint, &endpoint);

	*is_new = !m;
	return m ? m : move_new(o, stored);
}

void move_for_parcel(struct owners *o, const struct store_device *stored, struct kept_parcel *p)
{
	bool is_new;
	struct move *m = move_of(o, stored, &is_new);

	if (!m || m->parcel_count >= PARCELS_MAX) {
		free(p);
		return;
	}
	m->proven = true;
	m->session |= p->parcel.kind == PARCEL_SESSION;
	list_append(&m->parcels, &p->node);
	m->parcel_count++;
	if (is_new)
		move_step(m);
}

bool move_for_caller(struct owners *o, const struct store_device *stored, owners_where_fn *done, void *ctx)
{
	struct caller *c = calloc(1, sizeof(*c));
	bool is_new;
	struct move *m = c ? move_of(o, stored, &is_new) : NULL;

	if (!m) {
		free(c);
		return false;
	}
	c->done = done;
	c->ctx = ctx;
	list_append(&m->callers, &c->node);
	if (is_new)
		move_step(m);
	return true;
}

void move_for_expiry(struct owners *o, const struct store_device *stored)
{
	bool is_new;
	struct move *m = move_of(o, stored, &is_new);

	if (m && is_new)
		move_step(m);
}
