/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The world of a replay (world.h). The hard idea: whatever can happen has a time, and time only moves from
 * one of these to the next, so that the same script and seed give the same run to the millisecond. Who may
 * write is not imitated: it is the function of the real store.
 *
 * Leaves out what the devices do.
 */

#include "world.h"

#include <errno.h>

#include "store/fence.h"

struct flight {
	struct flight *next;
	uint64_t at_ms, sequence;
	bool up; /* to the server */
	struct address address;
	size_t len;
	uint8_t data[];
};

enum pending_kind { PENDING_WRITE, PENDING_ADD, PENDING_SET, PENDING_LIST };

/* A call of the store; only PENDING_WRITE has all of it. */
struct pending_write {
	struct pending_write *next;
	enum pending_kind kind;
	struct store_request request; /* its id and body: below */
	char id[STORE_REQUEST_ID_MAX + 1];
	size_t max;
	store_request_fn *request_done;
	uint64_t due_ms;
	size_t endpoint_len;
	uint8_t endpoint[STORE_ENDPOINT_MAX];
	struct store_hot hot;
	int dedup_index;
	enum store_record_change change;
	uint8_t *record, *body;
	size_t record_len, body_len;
	uint8_t event;
	store_written_fn *done;
	void *done_ctx;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static uint8_t *copy_of(struct span s)
{
	uint8_t *copy = must(malloc(s.len + 1));

	if (s.len)
		memcpy(copy, s.data, s.len);
	return copy;
}

/* ---- network ---- */

static void fly(struct world *w, bool up, const struct address *address, struct span datagram,
		uint64_t delay_ms)
{
	struct flight *f = must(malloc(sizeof(*f) + datagram.len)), **at = &w->network.flights;

	f->at_ms = w->mono_ms + delay_ms;
	f->sequence = w->network.sequence++;
	f->up = up;
	f->address = *address;
	f->len = datagram.len;
	if (datagram.len)
		memcpy(f->data, datagram.data, datagram.len);
	while (*at && (*at)->at_ms <= f->at_ms)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
}

static bool rolls(struct network *n, unsigned percent)
{
	return percent && random_u32(&n->random) % 100 < percent;
}

static void transmit(struct world *w, bool up, const struct address *address, struct span datagram)
{
	struct network *n = &w->network;
	unsigned copies = rolls(n, n->loss) ? 0 : 1;

	copies += rolls(n, n->duplicate);
	while (copies--) {
		uint64_t delay = n->delay_min_ms;

		if (n->delay_max_ms > n->delay_min_ms)
			delay += random_u32(&n->random) % (n->delay_max_ms - n->delay_min_ms + 1);
		if (rolls(n, n->reorder))
			delay += 1 + random_u32(&n->random) % 2000;
		fly(w, up, address, datagram, delay);
	}
}

void world_send(struct world *w, const struct address *from, struct span datagram)
{
	transmit(w, true, from, datagram);
}

void world_send_after(struct world *w, const struct address *from, struct span datagram, uint64_t delay_ms)
{
	fly(w, true, from, datagram, delay_ms);
}

static void host_send(void *ctx, const struct address *to, struct span datagram)
{
	struct world *w = ctx;

	if (!w->dying)
		transmit(w, false, to, datagram);
}

static bool deliver_due(struct world *w)
{
	struct flight *f = w->network.flights;

	if (!f || f->at_ms > w->mono_ms)
		return false;
	w->network.flights = f->next;
	if (f->up)
		lwm2m_server_input(w->server, &f->address, span_of(f->data, f->len));
	else
		w->arrive(w->ctx, &f->address, span_of(f->data, f->len));
	free(f);
	return true;
}

/* ---- store ---- */

static struct stored_device *stored_find(const struct world *w, struct span endpoint)
{
	struct stored_device *d = w->store.devices;

	while (d && !span_equal(span_of(d->endpoint, d->endpoint_len), endpoint))
		d = d->next;
	return d;
}

const struct stored_device *world_stored(const struct world *w, struct span endpoint)
{
	const struct stored_device *d = stored_find(w, endpoint);

	return d && !d->deleted ? d : NULL;
}

static struct stored_device *stored_make(struct world *w, struct span endpoint)
{
	struct stored_device *d = stored_find(w, endpoint);

	if (d)
		return d;
	d = must(calloc(1, sizeof(*d)));
	d->endpoint_len = endpoint.len;
	memcpy(d->endpoint, endpoint.data, endpoint.len);
	d->next = w->store.devices;
	w->store.devices = d;
	return d;
}

static void event_append(struct world *w, struct pending_write *p)
{
	struct fake_store *s = &w->store;
	struct stored_event *e;

	if (s->event_count == s->event_cap) {
		s->event_cap = s->event_cap ? s->event_cap * 2 : 64;
		s->events = must(reallocarray(s->events, s->event_cap, sizeof(*s->events)));
	}
	e = &s->events[s->event_count++];
	*e = (struct stored_event){.type = p->event, .body = p->body, .len = p->body_len};
	memcpy(e->endpoint, p->endpoint, p->endpoint_len);
	p->body = NULL;
}

/* Pending entries of the ring but the write's own are not taken (store.h, struct store_write). */
static void merge_hot(struct store_hot *stored, const struct pending_write *p)
{
	struct store_hot merged = p->hot;

	for (int i = 0; i < COAP_DEDUP_ENTRIES; i++)
		if (merged.dedup.entries[i].code == 0 && i != p->dedup_index)
			merged.dedup.entries[i] = stored->dedup.entries[i];
	*stored = merged;
}

/* What a real store does with this write: all of it, or nothing. */
static struct store_written apply(struct world *w, struct pending_write *p)
{
	struct span endpoint = span_of(p->endpoint, p->endpoint_len);
	struct stored_device *d = stored_find(w, endpoint);
	struct fence_stored known = {.exists = d != NULL};
	struct store_written written = {.found = p->hot};

	if (d) {
		known.deleted = d->deleted;
		known.fence = d->hot.fence;
		known.number = d->hot.number;
		written.found = d->hot;
	} else {
		written.found.number = 0;
	}
	written.result = (int)fence_check(&known, &p->hot.fence, p->hot.number, p->change);
	if (written.result != STORE_DONE)
		return written;
	d = stored_make(w, endpoint);
	merge_hot(&d->hot, p);
	d->deleted = p->change == STORE_RECORD_DELETE;
	if (p->change != STORE_RECORD_KEEP) {
		free(d->record);
		d->record = p->record;
		d->record_len = p->record_len;
		p->record = NULL;
	}
	if (p->event)
		event_append(w, p);
	written.queue = d->queue_number;
	return written;
}

/* ---- its queues ---- */

static void request_free(struct stored_request *r)
{
	free(r->body);
	free(r);
}

static struct store_request request_view(const struct stored_request *r)
{
	return (struct store_request){span_str(r->id), r->state, r->deadline_ms, span_of(r->body, r->len)};
}

static int request_add(struct stored_device *d, const struct pending_write *p)
{
	struct stored_request *r, **at = &d->queue;
	size_t count = 0;

	for (; *at; at = &(*at)->next, count++)
		if (strcmp((*at)->id, p->id) == 0)
			return STORE_ALREADY;
	if (count >= p->max)
		return STORE_REFUSED;
	r = must(calloc(1, sizeof(*r)));
	memcpy(r->id, p->id, sizeof(r->id));
	r->state = p->request.state;
	r->deadline_ms = p->request.deadline_ms;
	r->body = copy_of(span_of(p->body, p->body_len));
	r->len = p->body_len;
	*at = r;
	d->queue_number++;
	return STORE_DONE;
}

static int request_set(struct stored_device *d, const struct pending_write *p)
{
	struct stored_request *r, **at = &d->queue;

	if (!fence_equal(&d->hot.fence, &p->hot.fence))
		return STORE_REFUSED;
	while (*at && strcmp((*at)->id, p->id) != 0)
		at = &(*at)->next;
	r = *at;
	if (!r)
		return STORE_ABSENT;
	if (p->request.state == 0) {
		*at = r->next;
		request_free(r);
		return STORE_DONE;
	}
	r->state = p->request.state;
	r->deadline_ms = p->request.deadline_ms;
	if (p->body_len) {
		free(r->body);
		r->body = copy_of(span_of(p->body, p->body_len));
		r->len = p->body_len;
	}
	return STORE_DONE;
}

static int request_change(struct world *w, const struct pending_write *p)
{
	struct stored_device *d = stored_find(w, span_of(p->endpoint, p->endpoint_len));

	if (!d || (p->kind == PENDING_ADD && d->deleted))
		return STORE_ABSENT;
	return p->kind == PENDING_ADD ? request_add(d, p) : request_set(d, p);
}

static void request_finish(struct world *w, const struct pending_write *p, int result)
{
	struct stored_device *d = stored_find(w, span_of(p->endpoint, p->endpoint_len));
	struct store_request view;

	if (p->kind != PENDING_LIST) {
		p->request_done(p->done_ctx, result == STORE_DONE ? request_change(w, p) : result, NULL);
		return;
	}
	for (struct stored_request *r = d ? d->queue : NULL; r && result == STORE_DONE; r = r->next) {
		view = request_view(r);
		p->request_done(p->done_ctx, STORE_DONE, &view);
	}
	p->request_done(p->done_ctx, result == STORE_DONE ? STORE_ABSENT : result, NULL);
}

static void pending_free(struct pending_write *p)
{
	free(p->record);
	free(p->body);
	free(p);
}

static struct pending_write *pending_take(struct world *w)
{
	struct pending_write *p = w->store.pending;

	w->store.pending = p->next;
	return p;
}

bool world_finish_write(struct world *w, int result)
{
	struct store_written written = {.result = result};
	struct pending_write *p;

	if (!w->store.pending)
		return false;
	p = pending_take(w);
	if (p->kind != PENDING_WRITE) {
		request_finish(w, p, result);
		pending_free(p);
		return true;
	}
	if (result == STORE_DONE)
		written = apply(w, p);
	p->done(p->done_ctx, &written);
	pending_free(p);
	return true;
}

size_t world_pending_writes(const struct world *w)
{
	size_t count = 0;

	for (const struct pending_write *p = w->store.pending; p; p = p->next)
		count++;
	return count;
}

/* At the end of what waits: the store works in the order of the calls. */
static struct pending_write *pending_new(struct world *w, enum pending_kind kind, struct store_key key)
{
	struct fake_store *s = &w->store;
	struct pending_write *p = must(calloc(1, sizeof(*p))), **at = &s->pending;
	uint64_t due_ms = w->mono_ms;

	p->kind = kind;
	p->endpoint_len = key.endpoint.len;
	memcpy(p->endpoint, key.endpoint.data, p->endpoint_len);
	if (s->delay_max_ms)
		due_ms += random_u32(&w->network.random) % (s->delay_max_ms + 1);
	for (; *at; at = &(*at)->next)
		due_ms = MAX(due_ms, (*at)->due_ms);
	p->due_ms = due_ms;
	*at = p;
	return p;
}

static int host_write(void *ctx, const struct store_write *write, store_written_fn *done, void *done_ctx)
{
	struct world *w = ctx;
	struct pending_write *p;

	if (w->dying || w->store.mode == STORE_MODE_REFUSE)
		return -ENOBUFS;
	p = pending_new(w, PENDING_WRITE, write->key);
	p->hot = *write->hot;
	p->dedup_index = write->dedup_index;
	p->change = write->change;
	p->record = copy_of(write->record);
	p->record_len = write->record.len;
	p->event = write->event;
	p->body = copy_of(write->event_body);
	p->body_len = write->event_body.len;
	p->done = done;
	p->done_ctx = done_ctx;
	return 0;
}

static int host_request(struct world *w, enum pending_kind kind, struct store_key key,
			const struct store_request *r, store_request_fn *done, void *ctx,
			struct pending_write **out)
{
	struct pending_write *p;

	if (w->dying || w->store.mode == STORE_MODE_REFUSE)
		return -ENOBUFS;
	p = pending_new(w, kind, key);
	p->request_done = done;
	p->done_ctx = ctx;
	if (r) {
		p->request = *r;
		memcpy(p->id, r->id.data, r->id.len);
		p->body = copy_of(r->body);
		p->body_len = r->body.len;
	}
	*out = p;
	return 0;
}

static int host_add(void *ctx, struct store_key key, const struct store_request *r, size_t max,
		    store_request_fn *done, void *done_ctx)
{
	struct pending_write *p;
	int err = host_request(ctx, PENDING_ADD, key, r, done, done_ctx, &p);

	if (!err)
		p->max = max;
	return err;
}

static int host_set(void *ctx, struct store_key key, const struct store_fence *fence,
		    const struct store_request *r, store_request_fn *done, void *done_ctx)
{
	struct pending_write *p;
	int err = host_request(ctx, PENDING_SET, key, r, done, done_ctx, &p);

	if (!err)
		p->hot.fence = *fence;
	return err;
}

static int host_list(void *ctx, struct store_key key, store_request_fn *each, void *done_ctx)
{
	struct pending_write *p;

	return host_request(ctx, PENDING_LIST, key, NULL, each, done_ctx, &p);
}

static bool finish_due(struct world *w)
{
	struct fake_store *s = &w->store;
	bool fails = s->mode == STORE_MODE_FAIL;

	if (!s->pending || s->mode == STORE_MODE_HOLD || s->pending->due_ms > w->mono_ms)
		return false;
	if (s->fail_permille && random_u32(&w->network.random) % 1000 < s->fail_permille)
		fails = true;
	return world_finish_write(w, fails ? -EIO : STORE_DONE);
}

/* ---- time ---- */

static uint64_t host_wall(void *ctx)
{
	return ((struct world *)ctx)->wall_ms;
}

static uint64_t host_mono(void *ctx)
{
	return ((struct world *)ctx)->mono_ms;
}

void world_settle(struct world *w)
{
	for (int turns = 0; turns < 1000; turns++) {
		bool worked = false;

		while (deliver_due(w) || finish_due(w))
			worked = true;
		if (!worked && timers_wait_ms(&w->timers) != 0)
			return;
		timers_advance(&w->timers, w->mono_ms);
	}
	abort(); /* something goes round in circles */
}

static uint64_t next_due(const struct world *w, uint64_t end_ms)
{
	int64_t wait_ms = timers_wait_ms(&w->timers);
	uint64_t due_ms = end_ms;

	if (wait_ms >= 0)
		due_ms = MIN(due_ms, w->mono_ms + (uint64_t)wait_ms);
	if (w->network.flights)
		due_ms = MIN(due_ms, w->network.flights->at_ms);
	if (w->store.pending && w->store.mode != STORE_MODE_HOLD)
		due_ms = MIN(due_ms, w->store.pending->due_ms);
	return MIN(MAX(due_ms, w->mono_ms + 1), end_ms);
}

void world_advance(struct world *w, uint64_t ms)
{
	uint64_t end_ms = w->mono_ms + ms;

	world_settle(w);
	while (w->mono_ms < end_ms) {
		uint64_t next_ms = next_due(w, end_ms);

		w->wall_ms += next_ms - w->mono_ms;
		w->mono_ms = next_ms;
		timers_advance(&w->timers, w->mono_ms);
		world_settle(w);
	}
}

/* ---- life and death ---- */

void world_init(struct world *w, uint64_t seed)
{
	*w = (struct world){.mono_ms = 5000, .wall_ms = 1700000000000};
	timers_init(&w->timers, w->mono_ms);
	random_init_seed(&w->random, seed);
	random_init_seed(&w->network.random, seed + 1);
	w->registry = must(registry_new());
	lwm2m_config_init(&w->config);
	w->config.fence.node = 1;
}

void world_start(struct world *w)
{
	static const struct lwm2m_queue_store queue = {host_add, host_set, host_list};
	const struct lwm2m_host host = {.ctx = w,
					.send = host_send,
					.write = host_write,
					.wall_ms = host_wall,
					.mono_ms = host_mono,
					.queue = w->no_queue ? NULL : &queue};

	w->config.fence.incarnation++;
	w->server = must(lwm2m_server_new(&w->config, &host, w->registry, &w->timers, &w->random, NULL));
}

static void stop(struct world *w)
{
	w->dying = true;
	while (world_finish_write(w, -EIO))
		;
	w->server = lwm2m_server_free(w->server);
	w->dying = false;
}

/* Opening the store takes all devices over (store_open). */
static void restore(struct world *w)
{
	for (struct stored_device *d = w->store.devices; d; d = d->next) {
		struct store_device stored = {
			.key = {STORE_MANAGEMENT, span_of(d->endpoint, d->endpoint_len)},
			.record = span_of(d->record, d->record_len),
		};
		uint32_t gen = d->hot.fence.gen + 1;

		d->hot.fence = w->config.fence;
		d->hot.fence.gen = gen;
		stored.hot = d->hot;
		if (!d->deleted && lwm2m_server_restore(w->server, &stored) != 0)
			abort();
	}
}

void world_crash(struct world *w, size_t stored)
{
	for (; stored > 0 && w->store.pending; stored--) {
		struct pending_write *p = pending_take(w);

		if (p->kind == PENDING_WRITE)
			(void)apply(w, p);
		else if (p->kind != PENDING_LIST)
			(void)request_change(w, p);
		/* The old server is told something, for its memory's sake: it can do nothing any more. */
		w->dying = true;
		if (p->kind == PENDING_WRITE)
			p->done(p->done_ctx, &(struct store_written){.result = -EIO});
		else
			request_finish(w, p, -EIO);
		w->dying = false;
		pending_free(p);
	}
	stop(w);
	timers_init(&w->timers, w->mono_ms);
	world_start(w);
	restore(w);
}

void world_deinit(struct world *w)
{
	if (w->server)
		stop(w);
	for (struct flight *f = w->network.flights, *next; f; f = next) {
		next = f->next;
		free(f);
	}
	for (struct stored_device *d = w->store.devices, *next; d; d = next) {
		next = d->next;
		for (struct stored_request *r = d->queue, *after; r; r = after) {
			after = r->next;
			request_free(r);
		}
		free(d->record);
		free(d);
	}
	for (size_t i = 0; i < w->store.event_count; i++)
		free(w->store.events[i].body);
	free(w->store.events);
	registry_free(w->registry);
}
