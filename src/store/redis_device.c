/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Devices: fenced write, hand-over, claim, look-up.
 *
 * A write is one script on the device's shard. What it changes in indexes are keys elsewhere: hints, which
 * are set before the script is sent - on one connection that is enough for whoever finds the record to find
 * it by its index - and changed back if the write was refused; entries that go are deleted when it is done.
 *
 * A write that is sent again because its answer got lost finds its own traces. It alone is told by `again`,
 * and says done where everybody else would hear that it was already done, or that somebody newer is there.
 */

#include "store/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Hints are renewed with every new session and address; longer than devices sleep. */
static const uint64_t index_ttl_ms = 40ULL * 24 * 3600 * 1000;

/* Doubles, with which scripts calculate, hold whole numbers up to this. */
static const uint64_t number_max = 1ULL << 53;

struct entry {
	enum store_index kind;
	bool remove;
	struct span key;
	struct span before; /* what an entry was that was set: to be changed back */
	bool set;	    /* it was */
};

struct write_call {
	struct redis_call call;
	store_written_fn *done;
	void *ctx;
	struct store_hot hot;
	struct store_fence to;
	bool hand_over;
	bool event;
	struct redis_place place;
	struct entry *entries;
	size_t entry_count;
	struct span hint; /* what entries hold */
};

bool redis_device_decode(const struct redis *r, struct span value, bool *deleted, struct store_device *out)
{
	struct redis_hot h;

	if (!redis_hot_decode(value, &h) || (h.deleted && h.expires_ms <= redis_now(r)))
		return false;
	*deleted = h.deleted;
	out->hot = h.hot;
	out->expires_ms = h.deleted ? 0 : h.expires_ms;
	out->record = h.deleted ? (struct span){NULL, 0} : span_from(value, REDIS_HOT);
	return true;
}

/* ---- index entries of a write ---- */

struct entry_call {
	struct redis_call call;
	struct write_call *write; /* stays until this was answered: it is behind it */
	size_t entry;
};

static void entry_set(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct entry_call *e = container_of(c, struct entry_call, call);
	struct entry *entry = &e->write->entries[e->entry];
	struct span before = redis_bytes(reply);

	/* Sent again it would find itself. */
	if (err < 0 || c->again)
		return;
	entry->set = true;
	if (before.len)
		entry->before = arena_dup(&e->write->call.memory, before);
}

static int set_entry(struct write_call *w, size_t i)
{
	struct redis *r = w->call.redis;
	struct entry_call *e = redis_call_new(r, sizeof(*e), entry_set);
	struct redis_key k;

	if (!e)
		return -ENOMEM;
	e->write = w;
	e->entry = i;
	e->call.internal = true;
	/* It has to stay in front of the write. */
	e->call.fenced = true;
	redis_arg_str(&e->call, "SET");
	redis_arg(&e->call, redis_index_key(&k, &r->layout, w->entries[i].kind, w->entries[i].key));
	redis_arg(&e->call, w->hint);
	redis_arg_str(&e->call, "PX");
	redis_arg_uint(&e->call, index_ttl_ms);
	redis_arg_str(&e->call, "GET");
	return redis_send(&e->call);
}

static void entry_undone(struct redis_call *c, int err, const struct redisReply *reply)
{
	(void)c;
	(void)err;
	(void)reply;
}

/* From `w->hint`, if it still is that, to what it was. A hint that stays does no harm, so errors do not
 * count. */
static void undo_entry(struct write_call *w, const struct entry *entry, struct span before)
{
	struct redis *r = w->call.redis;
	struct redis_call *c = redis_call_new(r, sizeof(*c), entry_undone);
	struct redis_key k;

	if (!c)
		return;
	c->internal = true;
	redis_script(c, REDIS_INDEX_UNDO, 1);
	redis_arg(c, redis_index_key(&k, &r->layout, entry->kind, entry->key));
	redis_arg(c, w->hint);
	redis_arg(c, before);
	redis_arg_uint(c, index_ttl_ms);
	if (redis_send(c) < 0)
		return;
}

static void settle_entries(struct write_call *w, bool stored)
{
	for (size_t i = 0; i < w->entry_count; i++) {
		const struct entry *e = &w->entries[i];

		if (e->remove && stored)
			undo_entry(w, e, (struct span){NULL, 0});
		else if (e->set && !stored)
			undo_entry(w, e, e->before);
	}
}

static int copy_entries(struct write_call *w, const struct store_write *from)
{
	struct arena *memory = &w->call.memory;
	uint8_t hint[1 + STORE_ENDPOINT_MAX];
	struct writer out = writer_of(hint, sizeof(hint));

	if (from->index_count == 0)
		return 0;
	writer_u8(&out, (uint8_t)from->key.role);
	writer_bytes(&out, from->key.endpoint);
	w->hint = arena_dup(memory, writer_span(&out));
	w->entries = arena_alloc(memory, from->index_count * sizeof(*w->entries));
	if (!w->hint.data || !w->entries)
		return -ENOMEM;
	w->call.charge += memory->used;
	for (size_t i = 0; i < from->index_count; i++) {
		const struct store_index_change *change = &from->index[i];

		w->entries[i] = (struct entry){.kind = change->kind,
					       .remove = change->remove,
					       .key = arena_dup(memory, change->key)};
		if (!w->entries[i].key.data)
			return -ENOMEM;
	}
	w->entry_count = from->index_count;
	return 0;
}

/* ---- the write ---- */

/* Whether a write that was sent again finds that it was done before. */
static bool was_done(const struct write_call *w, int result, const struct store_hot *found)
{
	if (!w->call.again)
		return false;
	if (!w->hand_over)
		return result == STORE_ALREADY;
	return result == STORE_REFUSED && found->fence.node == w->to.node &&
	       found->fence.incarnation == w->to.incarnation && found->fence.gen > w->hot.fence.gen &&
	       found->number >= w->hot.number;
}

static void read_written(struct write_call *w, const struct redisReply *reply, struct store_written *out)
{
	struct redis *r = w->call.redis;
	struct span hot = redis_item_bytes(reply, 5);
	uint64_t result = redis_item_uint(reply, 0, UINT64_MAX), ms = redis_item_uint(reply, 3, 0);
	struct redis_hot found;

	redis_heard(r, redis_item_uint(reply, 1, 0));
	if (result > STORE_BEHIND || (hot.len && !redis_hot_decode(hot, &found))) {
		out->result = -EBADMSG;
		return;
	}
	out->result = (int)result;
	out->queue = (uint16_t)redis_item_uint(reply, 2, 0);
	if (hot.len)
		out->found = found.hot;
	else
		out->found = (struct store_hot){.fence = w->hot.fence};
	if (ms)
		out->sequence =
			redis_sequence(ms, w->place.partition, (uint32_t)redis_item_uint(reply, 4, 0));
	if (was_done(w, out->result, &out->found))
		out->result = STORE_DONE;
}

/* Writes without an event have a place too, as a store with one journal gives them. */
static void note_sequence(struct redis *r, struct store_written *written)
{
	if (written->sequence)
		r->written = MAX(r->written, written->sequence);
	else
		written->sequence = r->written = MAX(r->written + 1, redis_sequence_before(redis_now(r)));
}

static void on_written(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct write_call *w = container_of(c, struct write_call, call);
	struct redis *r = c->redis;
	struct store_written written = {.result = err};

	if (err == 0)
		read_written(w, reply, &written);
	if (written.result == STORE_DONE)
		note_sequence(r, &written);
	r->stats.writes += written.result == STORE_DONE;
	r->stats.write_failures += written.result < 0;
	r->stats.refused += written.result == STORE_REFUSED;
	/* Where nobody knows, hints stay: they are checked by whoever follows them. */
	if (written.result != -ETIMEDOUT)
		settle_entries(w, written.result == STORE_DONE || written.result == STORE_ALREADY);
	if (written.result == STORE_DONE && w->event)
		redis_events_written(r);
	w->done(w->ctx, &written);
}

static bool is_pending(const struct store_write *w, int index)
{
	const struct coap_dedup_entry *e = &w->hot->dedup.entries[index];

	return index != w->dedup_index && e->time_s && !e->code;
}

static void arg_hot(struct redis_call *c, const struct store_write *w)
{
	struct redis *r = c->redis;
	struct redis_hot h = {
		.deleted = w->change == STORE_RECORD_DELETE,
		.expires_ms = w->change == STORE_RECORD_PUT ? w->expires_ms : 0,
		.hot = *w->hot,
	};
	uint8_t bytes[REDIS_HOT];
	struct writer out = writer_of(bytes, sizeof(bytes));
	uint64_t now_s = redis_now(r) / 1000;

	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		if (h.hot.dedup.entries[i].time_s + COAP_EXCHANGE_LIFETIME_MS / 1000 < now_s)
			h.hot.dedup.entries[i] = (struct coap_dedup_entry){0};
	}
	redis_hot_encode(&out, &h);
	assert(!out.failed && writer_len(&out) == REDIS_HOT);
	redis_arg_run(c, writer_span(&out), REDIS_RUN_AT);
}

/* Where the ring keeps what is stored: "" or places as digits. */
static void arg_kept(struct redis_call *c, const struct store_write *w)
{
	char places[COAP_DEDUP_ENTRIES];
	size_t count = 0;

	for (int i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		if (is_pending(w, i))
			places[count++] = (char)('0' + i);
	}
	redis_arg(c, span_of(places, count));
}

static void arg_owner(struct redis_call *c, const struct store_fence *to)
{
	uint8_t bytes[REDIS_FENCE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (to)
		redis_fence_encode(&w, to);
	redis_arg(c, span_of(bytes, MIN(writer_len(&w), (size_t)REDIS_OWNER)));
}

static void arg_role_endpoint(struct redis_call *c, struct store_key key)
{
	uint8_t bytes[1 + STORE_ENDPOINT_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, (uint8_t)key.role);
	writer_bytes(&w, key.endpoint);
	redis_arg(c, writer_span(&w));
}

static void write_keys(struct redis_call *c, const struct store_write *w, struct redis_place at)
{
	const struct redis_layout *l = &c->redis->layout;
	struct redis_key k;

	redis_arg(c, redis_device_key(&k, l, at.partition, w->key));
	if (w->event) {
		redis_arg(c, redis_stream_key(&k, l, at.partition));
		redis_arg(c, redis_state_key(&k, l, at.partition));
	}
	if (w->change != STORE_RECORD_KEEP) {
		redis_arg(c, redis_bucket_key(&k, l, at.partition, w->key.role, at.bucket));
		redis_arg(c, redis_expiry_key(&k, l, at.partition, w->key.role));
		redis_arg(c, redis_queue_key(&k, l, at.partition, w->key));
	}
}

/* What others read of an event. They get the same id as readers over HTTP, of which the script makes the
 * upper and the lower half, because it has no whole numbers of 64 bits. */
static void arg_event_text(struct redis_call *call, const struct store_write *w, uint32_t partition)
{
	const struct store_event_text *t = w->event_text;

	redis_arg_str(call, t->name);
	redis_arg(call, t->json);
	redis_arg(call, t->replaced);
	redis_arg_uint(call, partition);
}

static void write_text(struct write_call *c, const struct store_write *w, const struct store_fence *to)
{
	static const char *const changes[] = {
		[STORE_RECORD_KEEP] = "0", [STORE_RECORD_PUT] = "1", [STORE_RECORD_DELETE] = "2"};
	unsigned keys = 1 + (w->event ? 2U : 0U) + (w->change != STORE_RECORD_KEEP ? 3U : 0U);
	struct redis_call *call = &c->call;

	redis_script(call, w->change == STORE_RECORD_DELETE ? REDIS_REMOVE : REDIS_WRITE, keys);
	write_keys(call, w, c->place);
	redis_arg_floor(call);
	arg_hot(call, w);
	redis_arg_str(call, changes[w->change]);
	arg_kept(call, w);
	arg_owner(call, to);
	redis_arg_uint(call, COAP_EXCHANGE_LIFETIME_MS);
	redis_arg_uint(call, w->event);
	arg_role_endpoint(call, w->key);
	redis_arg(call, w->event_body);
	redis_arg(call, w->change == STORE_RECORD_PUT ? w->record : (struct span){NULL, 0});
	redis_arg_uint(call, c->place.hash);
	redis_arg(call, w->key.endpoint);
	if (w->event_text)
		arg_event_text(call, w, c->place.partition);
}

static int send_write(struct write_call *c, const struct store_write *w)
{
	struct redis *r = c->call.redis;
	/* Besides what this write has: an entry's call, with key and hint. */
	size_t entry_charge = sizeof(struct entry_call) + STORE_NAME_MAX + STORE_ENDPOINT_MAX + 100;
	size_t charge = c->call.charge + c->call.text.len + w->index_count * entry_charge;

	if (r->stats.pending_bytes + charge > r->options.pending_bytes_max) {
		redis_call_free(&c->call);
		return -ENOBUFS;
	}
	for (size_t i = 0; i < c->entry_count; i++) {
		/* A hint that is missing costs a look-up by another way. */
		if (!c->entries[i].remove && set_entry(c, i) < 0)
			continue;
	}
	c->call.internal = true;
	return redis_send(&c->call);
}

int redis_write(struct store *s, const struct store_write *w, const struct store_fence *to,
		store_written_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct write_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	if (w->hot->number >= number_max)
		return -EINVAL;
	c = redis_call_new(r, sizeof(*c), on_written);
	if (!c)
		return -ENOMEM;
	c->call.change = c->call.fenced = true;
	c->done = done;
	c->ctx = ctx;
	c->hot = *w->hot;
	c->hand_over = to != NULL;
	if (to)
		c->to = *to;
	c->event = w->event != 0;
	c->place = redis_place_of(&r->layout, w->key);
	write_text(c, w, to);
	if (c->call.text.failed || copy_entries(c, w) < 0) {
		redis_call_free(&c->call);
		return -ENOMEM;
	}
	return send_write(c, w);
}

/* ---- claim, look-up, expiry ---- */

struct device_call {
	struct redis_call call;
	store_device_fn *done;
	void *ctx;
	enum store_role role;
	uint8_t endpoint[STORE_ENDPOINT_MAX];
	size_t len;
	struct store_fence expected;
};

static struct device_call *device_call_new(struct redis *r, struct store_key key, redis_answer_fn *answer,
					   store_device_fn *done, void *ctx)
{
	struct device_call *d = redis_call_new(r, sizeof(*d), answer);

	if (!d)
		return NULL;
	d->done = done;
	d->ctx = ctx;
	d->role = key.role;
	d->len = key.endpoint.len;
	memcpy(d->endpoint, key.endpoint.data, key.endpoint.len);
	return d;
}

static void device_key_arg(struct redis_call *c, struct store_key key)
{
	const struct redis_layout *l = &c->redis->layout;
	struct redis_key k;

	redis_arg(c, redis_device_key(&k, l, redis_place_of(l, key).partition, key));
}

/* `result`: if it is a living device that was found. */
static void deliver(struct device_call *d, int result, struct span value)
{
	struct store_device device = {.key = {d->role, span_of(d->endpoint, d->len)}};
	bool deleted;

	if (value.len == 0) {
		d->done(d->ctx, STORE_ABSENT, NULL);
	} else if (redis_device_decode(d->call.redis, value, &deleted, &device)) {
		d->done(d->ctx, deleted ? STORE_ABSENT : result, &device);
	} else {
		struct redis_hot h;

		/* Not there any more, or not to be understood. */
		d->done(d->ctx, redis_hot_decode(value, &h) ? STORE_ABSENT : -EBADMSG, NULL);
	}
}

static void on_found(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct device_call *d = container_of(c, struct device_call, call);

	if (err < 0)
		d->done(d->ctx, err, NULL);
	else
		deliver(d, STORE_DONE, redis_bytes(reply));
}

int redis_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct device_call *d;

	if (r->closing)
		return -ESHUTDOWN;
	d = device_call_new(r, key, on_found, done, ctx);
	if (!d)
		return -ENOMEM;
	redis_arg_str(&d->call, "GET");
	device_key_arg(&d->call, key);
	return redis_send(&d->call);
}

/* A claim that is sent again and finds that this process has the device since, has claimed it. */
static bool was_claimed(const struct device_call *d, struct span value)
{
	const struct redis *r = d->call.redis;
	struct redis_hot h;

	return d->call.again && redis_hot_decode(value, &h) && h.hot.fence.node == r->node &&
	       h.hot.fence.incarnation == r->base.incarnation && h.hot.fence.gen > d->expected.gen &&
	       h.hot.fence.gen <= d->expected.gen + 2;
}

static void on_claimed(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct device_call *d = container_of(c, struct device_call, call);
	uint64_t result = redis_item_uint(reply, 0, UINT64_MAX);
	struct span value = redis_item_bytes(reply, 2);

	if (err == 0 && result > STORE_ABSENT)
		err = -EBADMSG;
	if (err < 0) {
		d->done(d->ctx, err, NULL);
		return;
	}
	redis_heard(c->redis, redis_item_uint(reply, 1, 0));
	if (result == STORE_REFUSED && was_claimed(d, value))
		result = STORE_DONE;
	deliver(d, (int)result, value);
}

int redis_claim(struct store *s, struct store_key key, const struct store_fence *expected,
		store_device_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct store_fence own = {.node = r->node, .incarnation = r->base.incarnation};
	uint8_t bytes[REDIS_FENCE];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct device_call *d;

	if (r->closing)
		return -ESHUTDOWN;
	d = device_call_new(r, key, on_claimed, done, ctx);
	if (!d)
		return -ENOMEM;
	d->expected = *expected;
	d->call.replicated = true;
	redis_script(&d->call, REDIS_CLAIM, 1);
	device_key_arg(&d->call, key);
	redis_arg_floor(&d->call);
	redis_fence_encode(&w, expected);
	redis_arg(&d->call, writer_span(&w));
	arg_owner(&d->call, &own);
	redis_arg_run(&d->call, span_of(bytes, 4), 0);
	return redis_send(&d->call);
}

static void on_expiry_set(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct device_call *d = container_of(c, struct device_call, call);

	if (err == 0)
		redis_heard(c->redis, redis_item_uint(reply, 1, 0));
	if (d->done)
		d->done(d->ctx, err < 0 ? err : (int)redis_item_uint(reply, 0, STORE_ABSENT), NULL);
}

int redis_expiry_set(struct store *s, struct store_key key, uint64_t at_ms, store_device_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct device_call *d;
	struct redis_key k;

	if (r->closing)
		return -ESHUTDOWN;
	d = device_call_new(r, key, on_expiry_set, done, ctx);
	if (!d)
		return -ENOMEM;
	redis_script(&d->call, REDIS_EXPIRY_SET, 2);
	device_key_arg(&d->call, key);
	redis_arg(&d->call,
		  redis_expiry_key(&k, &r->layout, redis_place_of(&r->layout, key).partition, key.role));
	redis_arg_floor(&d->call);
	redis_arg(&d->call, key.endpoint);
	redis_arg_uint(&d->call, at_ms);
	return redis_send(&d->call);
}

/* Nothing: a node of a cluster loads a device when it speaks. */
int redis_scan(struct store *s, enum store_role role,
	       int (*each)(void *ctx, const struct store_device *device), void *ctx)
{
	(void)role;
	(void)each;
	(void)ctx;
	return redis_of(s)->closing ? -ESHUTDOWN : 0;
}
