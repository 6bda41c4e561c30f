/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * From a datagram to the device that the store has for it.
 *
 * What a stranger may cause is bounded: one look-up per datagram, a budget per source network, a number of
 * searches at a time, and a short memory of what was not found. Over any of these the datagram is dropped,
 * for its device to send again.
 */

#include "cluster/private.h"

#include <errno.h>

struct search {
	struct owners *owners;
	struct kept_parcel *parcel; /* NULL once its device was found */
	uint64_t negative;	    /* names the key in the memory of what was not found; 0: not remembered */
};

/* ---- what a stranger may cause ---- */

static uint64_t network_hash(const struct owners *o, const struct address *from)
{
	return siphash(&o->hash_key, span_of(from->ip, from->family == 4 ? 3 : 7));
}

static bool afford(struct owners *o, const struct parcel *p)
{
	uint64_t now = o->timers->now_ms, rate = o->config.lookups_per_s, full = rate * 2000;
	struct bucket *b = &o->buckets[network_hash(o, &p->from) % BUCKETS];

	if (rate == 0 || p->kind == PARCEL_SESSION)
		return true;
	b->tokens = b->at_ms ? MIN(b->tokens + (now - b->at_ms) * rate, full) : full;
	b->at_ms = now;
	if (b->tokens < 1000)
		return false;
	b->tokens -= 1000;
	return true;
}

static uint64_t negative_hash(const struct owners *o, uint8_t kind, struct span key)
{
	uint8_t bytes[1 + STORE_NAME_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	uint64_t hash;

	writer_u8(&w, kind);
	writer_bytes(&w, key);
	hash = siphash(&o->hash_key, writer_span(&w));
	return hash ? hash : 1;
}

static bool is_negative(const struct owners *o, uint64_t hash)
{
	const struct negative *n = &o->negatives[hash % NEGATIVES];

	return n->hash == hash && o->timers->now_ms < n->until_ms;
}

static void remember_negative(struct owners *o, uint64_t hash)
{
	if (hash)
		o->negatives[hash % NEGATIVES] = (struct negative){hash, o->timers->now_ms + NEGATIVE_MS};
}

/* ---- a search ---- */

static struct kept_parcel *keep(const struct parcel *p)
{
	size_t size = p->name.len + p->claim.len + p->datagram.len;
	struct kept_parcel *kept = calloc(1, sizeof(*kept) + size);
	struct writer w;

	if (!kept)
		return NULL;
	w = writer_of(kept->bytes, size);
	writer_bytes(&w, p->name);
	writer_bytes(&w, p->claim);
	writer_bytes(&w, p->datagram);
	kept->parcel = *p;
	kept->parcel.name = span_of(kept->bytes, p->name.len);
	kept->parcel.claim = span_of(kept->bytes + p->name.len, p->claim.len);
	kept->parcel.datagram = span_of(kept->bytes + p->name.len + p->claim.len, p->datagram.len);
	return kept;
}

static struct search *search_new(struct owners *o, const struct parcel *p)
{
	struct search *s;

	if (o->stopped || !members_joined(o->members) || o->searches >= o->config.searches_max ||
	    !afford(o, p)) {
		o->stats.searches_limited++;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s)
		s->parcel = keep(p);
	if (!s || !s->parcel) {
		free(s);
		return NULL;
	}
	s->owners = o;
	o->searches++;
	o->stats.searches++;
	return s;
}

/* Over: what was not found is handled as the stranger's it is. */
static void search_end(struct search *s, bool failed)
{
	struct owners *o = s->owners;

	o->searches--;
	if (s->parcel && failed) {
		o->stats.searches_failed++;
		free(s->parcel);
	} else if (s->parcel) {
		remember_negative(o, s->negative);
		parcel_deliver(o, s->parcel);
	}
	free(s);
}

static void found(struct search *s, const struct store_device *stored)
{
	struct owners *o = s->owners;
	const struct store_fence *owner = &stored->hot.fence;
	struct kept_parcel *p = s->parcel;
	enum owners_proof proof = o->host.judge(o->host.ctx, stored, &p->parcel);
	bool elsewhere = owners_is_elsewhere(o, owner), session = p->parcel.kind == PARCEL_SESSION;
	uint32_t to;

	if (proof == OWNERS_NOT_ITS)
		return;
	s->parcel = NULL;
	if (o->host.here(o->host.ctx, stored->key))
		parcel_deliver(o, p); /* it came meanwhile */
	else if (giving_takes(o, stored->key.endpoint, p))
		return;
	else if (proof == OWNERS_NAMES && elsewhere)
		parcel_forward(o, owner->node, p);
	else if (proof == OWNERS_NAMES)
		parcel_deliver(o, p); /* whoever could make something of it is dead */
	else if (elsewhere && !session && movements_held(&o->movements, stored->key, o->timers->now_ms, &to))
		parcel_forward(o, to, p);
	else
		move_for_parcel(o, stored, p);
}

static void on_device(void *ctx, int result, const struct store_device *stored)
{
	struct search *s = ctx;

	if (!s->owners->stopped && result == STORE_DONE)
		found(s, stored);
	else if (!s->owners->stopped && result == STORE_ABSENT && stored)
		s->owners->host.vacant(s->owners->host.ctx, stored);
	search_end(s, result < 0 || s->owners->stopped);
}

/* One of those with this hash, or the end. */
static void on_each(void *ctx, int result, const struct store_device *stored)
{
	struct search *s = ctx;

	if (result == STORE_DONE && stored) {
		if (s->parcel && !s->owners->stopped)
			found(s, stored);
		return;
	}
	search_end(s, result < 0 || s->owners->stopped);
}

static void on_index(void *ctx, int result, struct store_key key)
{
	struct search *s = ctx;

	if (result == STORE_DONE && !s->owners->stopped && key.role == s->owners->config.role) {
		if (store_find(s->owners->store, key, on_device, s) == 0)
			return;
		result = -EAGAIN;
	}
	search_end(s, result < 0 || s->owners->stopped);
}

bool owners_find_endpoint(struct owners *o, struct span endpoint, const struct parcel *p)
{
	struct search *s = search_new(o, p);

	if (s && store_find(o->store, owners_key(o, endpoint), on_device, s) < 0)
		search_end(s, true);
	return true;
}

bool owners_find_hash(struct owners *o, uint32_t hash, const struct parcel *p)
{
	const uint8_t bytes[] = {(uint8_t)(hash >> 24), (uint8_t)(hash >> 16), (uint8_t)(hash >> 8),
				 (uint8_t)hash};
	uint64_t negative = negative_hash(o, 0, span_of(bytes, sizeof(bytes)));
	struct search *s;

	if (is_negative(o, negative))
		return false;
	s = search_new(o, p);
	if (!s)
		return true;
	s->negative = negative;
	if (store_find_hash(o->store, o->config.role, hash, on_each, s) < 0)
		search_end(s, true);
	return true;
}

bool owners_find_index(struct owners *o, enum store_index kind, struct span key, const struct parcel *p)
{
	uint64_t negative = negative_hash(o, (uint8_t)kind, key);
	struct search *s;

	if (is_negative(o, negative))
		return false;
	s = search_new(o, p);
	if (!s)
		return true;
	s->negative = negative;
	if (store_index_find(o->store, kind, key, on_index, s) < 0)
		search_end(s, true);
	return true;
}

/* ---- for those who ask over HTTP ---- */

struct inquiry {
	struct owners *owners;
	owners_where_fn *done;
	void *ctx;
};

static void on_located(void *ctx, int result, const struct store_device *stored)
{
	struct inquiry *q = ctx;
	struct owners *o = q->owners;

	o->searches--;
	if (result < 0 || o->stopped)
		q->done(q->ctx, OWNERS_AWAY, 0);
	else if (result != STORE_DONE)
		q->done(q->ctx, OWNERS_NOWHERE, 0);
	else if (o->host.here(o->host.ctx, stored->key))
		q->done(q->ctx, OWNERS_HERE, 0);
	else if (owners_is_elsewhere(o, &stored->hot.fence))
		q->done(q->ctx, OWNERS_AT, stored->hot.fence.node);
	else if (!move_for_caller(o, stored, q->done, q->ctx))
		q->done(q->ctx, OWNERS_AWAY, 0);
	free(q);
}

int owners_where(struct owners *o, struct span endpoint, owners_where_fn *done, void *ctx)
{
	struct inquiry *q;
	int err;

	if (o->stopped || !members_joined(o->members) || o->searches >= o->config.searches_max)
		return -ENOBUFS;
	q = malloc(sizeof(*q));
	if (!q)
		return -ENOMEM;
	*q = (struct inquiry){o, done, ctx};
	o->searches++;
	err = store_find(o->store, owners_key(o, endpoint), on_located, q);
	if (err < 0) {
		o->searches--;
		free(q);
	}
	return err;
}
