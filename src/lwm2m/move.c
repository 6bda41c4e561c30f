/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Devices that go to another server, and come from one (architecture, rules 4, 6 and 10).
 *
 * The hard idea: a device that is given away dies twice. First it drains: it takes no datagram any more and
 * its time stands, but what it wrote is called back, and what follows from that is said. Then, in one step,
 * it is packed: number, message ids, record numbers and exchanges are read off, and from that moment nothing
 * of it may change, because somebody else may be going on with it. It comes to life again only if it is
 * certain that nobody does.
 *
 * Leaves out who asks whom and what the store says: the host's; and what the luggage looks like (luggage.c).
 */

#include "lwm2m/core.h"

#include <errno.h>

struct giving {
	struct list node; /* in server->giving */
	struct timer timer;
	struct device *device;
	lwm2m_ready_fn *ready; /* NULL: it was called */
	void *ctx;
};

static bool is_association(const struct device *d)
{
	return d->located && d->peer.address.family == ADDRESS_ASSOCIATION;
}

static struct giving *giving_of(const struct device *d)
{
	list_for_each (node, &d->server->giving) {
		struct giving *g = container_of(node, struct giving, node);

		if (g->device == d)
			return g;
	}
	return NULL;
}

static void giving_free(struct giving *g)
{
	timer_cancel(g->device->server->timers, &g->timer);
	list_remove(&g->node);
	free(g);
}

void giving_deinit(struct lwm2m_server *s)
{
	list_for_each_safe (node, &s->giving)
		giving_free(container_of(node, struct giving, node));
}

/* ---- the time of a device ---- */

static void stop_time(struct device *d)
{
	struct lwm2m_server *s = d->server;
	uint64_t now_ms = server_now(s);

	coap_peer_freeze(&s->coap, &d->peer, now_ms);
	timer_cancel(s->timers, &d->timer);
	list_remove(&d->awake);
	list_for_each (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (!timer_is_set(&op->timeout))
			continue;
		op->left_ms = 1 + (op->timeout.deadline_ms > now_ms ? op->timeout.deadline_ms - now_ms : 0);
		timer_cancel(s->timers, &op->timeout);
	}
}

static void start_time(struct device *d)
{
	struct lwm2m_server *s = d->server;
	uint64_t now_ms = server_now(s);

	list_for_each (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (op->left_ms)
			timer_set(s->timers, &op->timeout, now_ms + op->left_ms - 1, operation_expired);
		op->left_ms = 0;
		op->left_behind = false;
	}
	coap_peer_thaw(&s->coap, &d->peer, now_ms);
	presence_restore(d);
}

static void freeze(struct device *d)
{
	const struct lwm2m_security *security = d->server->host.security;

	d->moving = MOVING_DRAINS;
	stop_time(d);
	if (is_association(d))
		security->hold(security->ctx, &d->peer.address, true);
}

/* What would have been observed while it was on its way. */
static void observe_meanwhile(struct device *d)
{
	policies_take(d);
	device_reissue(d);
}

static void thaw(struct device *d)
{
	const struct lwm2m_security *security = d->server->host.security;

	d->moving = MOVING_NOT;
	if (is_association(d))
		security->hold(security->ctx, &d->peer.address, false);
	start_time(d);
	if (d->record)
		device_arm(d, 0);
	queue_wake(d);
	if (d->session_gone) {
		d->session_gone = false;
		device_forget_session(d);
	}
	observe_meanwhile(d);
}

/* ---- giving ---- */

static timer_fn giving_fired;

int lwm2m_server_give(struct lwm2m_server *s, struct span endpoint, lwm2m_ready_fn *ready, void *ctx)
{
	struct device *d = device_find(s, endpoint);
	struct giving *g;

	if (!d || !d->record)
		return -ENOENT;
	if (d->moving)
		return -EALREADY;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->device = d;
	g->ready = ready;
	g->ctx = ctx;
	list_append(&s->giving, &g->node);
	freeze(d);
	timer_set(s->timers, &g->timer, server_now(s), giving_fired);
	return 0;
}

void device_rested(struct device *d)
{
	struct giving *g = d->moving == MOVING_DRAINS ? giving_of(d) : NULL;

	if (g && !timer_is_set(&g->timer))
		timer_set(d->server->timers, &g->timer, server_now(d->server), giving_fired);
}

/* The record with the session as it is now: a copy of it that lacks the luggage goes on in the term behind,
 * so that moves alone use none up. */
static struct blob *record_to_give(struct device *d)
{
	_cleanup_buffer_ struct buffer session = buffer_of(SESSION_SEALED_MAX);
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX];
	struct registration r;

	if (!device_latest(d, &r))
		return NULL;
	if (is_association(d)) {
		device_save_session(d, &d->peer.address, &session);
		if (session.len > 0)
			r.session = buffer_span(&session);
	}
	return blob_encode(&r, observations, observations_list(&r, observations));
}

/* Calls back, with nothing to give. */
static void fail(struct giving *g, int result)
{
	struct device *d = g->device;
	lwm2m_ready_fn *ready = g->ready;
	void *ctx = g->ctx;

	giving_free(g);
	thaw(d);
	device_free_if_done(d);
	ready(ctx, result, NULL, span_of(NULL, 0));
}

static void pack(struct giving *g)
{
	_cleanup_buffer_ struct buffer luggage = buffer_of(LWM2M_LUGGAGE_MAX);
	struct device *d = g->device;
	struct store_hot hot = d->hot;
	struct blob *record = record_to_give(d);
	struct store_write w = {.key = {STORE_MANAGEMENT, device_endpoint(d)},
				.hot = &hot,
				.dedup_index = -1,
				.change = STORE_RECORD_PUT,
				.record = blob_span(record),
				.expires_ms = device_expires(d, record, d->hot.seen_ms)};
	lwm2m_ready_fn *ready = g->ready;

	if (!record) {
		fail(g, -ENOMEM);
		return;
	}
	d->moving = MOVING_PACKED;
	stop_time(d);
	luggage_pack(d, &luggage);
	hot.number++;
	g->ready = NULL;
	ready(g->ctx, 0, &w, buffer_span(&luggage)); /* it may be gone after this */
	free(record);
}

static void giving_fired(struct timer *t, uint64_t now_ms)
{
	struct giving *g = container_of(t, struct giving, timer);
	const struct device *d = g->device;

	(void)now_ms;
	if (d->inflight > 0 || d->held > 0 || !queue_rests(d))
		return; /* device_rested tells */
	if (d->record)
		pack(g);
	else
		fail(g, -ENOENT); /* it left */
}

/* ---- how it ended ---- */

/* Their callers wait for another node from now on. */
static void send_along(struct device *d)
{
	queue_detach(d);
	list_for_each_safe (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (op->left_behind)
			continue;
		if (op->done)
			remote_add(op);
		operation_free(op);
	}
}

static void end_unknown(struct device *d)
{
	list_for_each_safe (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (!op->effect) /* what waits for a write is told by it */
			operation_end(op, LWM2M_UNKNOWN, "another node took the device over");
	}
}

void device_forget(struct device *d)
{
	struct lwm2m_server *s = d->server;
	const struct lwm2m_security *security = s->host.security;
	struct giving *g = giving_of(d);
	lwm2m_ready_fn *ready = g ? g->ready : NULL;
	void *ctx = g ? g->ctx : NULL;

	if (g)
		giving_free(g);
	d->moving = MOVING_NOT;
	d->forgotten = true;
	d->held++;
	stop_time(d);
	map_remove(&s->devices, d->hash, d);
	queue_detach(d);
	end_unknown(d);
	coap_assemblies_drop(&s->assemblies, &d->peer.address);
	if (is_association(d))
		security->drop(security->ctx, &d->peer.address, false);
	device_unlocate(d);
	device_set_record(d, NULL);
	if (ready)
		ready(ctx, -ENOENT, NULL, span_of(NULL, 0));
	d->held--;
}

void lwm2m_server_given(struct lwm2m_server *s, struct span endpoint, enum lwm2m_given how)
{
	struct device *d = device_find(s, endpoint);
	struct giving *g = d ? giving_of(d) : NULL;
	bool packed = d && d->moving == MOVING_PACKED;

	if (!g)
		return;
	g->ready = NULL;
	d->held++;
	if (how == LWM2M_KEPT) {
		giving_free(g);
		thaw(d);
	} else {
		if (packed && how == LWM2M_GONE) {
			s->stats.given++;
			send_along(d);
		}
		device_forget(d);
	}
	d->held--;
	device_free_if_done(d);
}

bool lwm2m_server_has(struct lwm2m_server *s, struct span endpoint)
{
	const struct device *d = device_find(s, endpoint);

	return d && d->record && !d->moving;
}

bool lwm2m_server_peer(struct lwm2m_server *s, struct span endpoint, struct address *peer)
{
	const struct device *d = device_find(s, endpoint);

	if (d && d->located)
		*peer = d->peer.address;
	return d && d->located;
}

bool lwm2m_server_reaches(struct lwm2m_server *s, const struct address *address)
{
	return device_find_address(s, address) != NULL;
}

bool lwm2m_server_walk(struct lwm2m_server *s, uint32_t *cursor, struct span *endpoint)
{
	const struct device *d;

	do
		d = device_next(s, cursor);
	while (d && (!d->record || d->moving));
	if (d)
		*endpoint = device_endpoint(d);
	return d;
}

void lwm2m_server_drop(struct lwm2m_server *s, struct span endpoint, uint32_t gen)
{
	struct device *d = device_find(s, endpoint);

	if (!d || d->hot.fence.gen >= gen)
		return;
	s->stats.dropped++;
	device_forget(d);
	device_free_if_done(d);
}

/* ---- taking ---- */

/* Where it is reached: by its session, if that can go on. */
static int find_peer(struct lwm2m_server *s, struct device *d, const struct registration *r,
		     struct span luggage)
{
	const struct lwm2m_security *security = s->host.security;
	struct address peer = r->address;

	if (!r->present)
		return 0;
	if (r->secure && !security)
		return 0;
	if (r->secure && !luggage_session(d, luggage, &peer) &&
	    (r->session.len == 0 || !security->restore(security->ctx, device_endpoint(d), r->session,
						       d->hot.fence.gen, d->hot.mark, &peer)))
		return 0;
	return device_locate(d, &peer);
}

static int adopt(struct lwm2m_server *s, const struct store_device *stored, const struct registration *r,
		 struct span luggage)
{
	struct device *d = device_new(s, stored->key.endpoint);

	if (!d)
		return s->devices.count >= s->config.devices_max ? -ENOSPC : -ENOMEM;
	d->hot = stored->hot;
	d->number_stored = d->number_taken = stored->hot.number;
	device_set_record(d, blob_copy(stored->record));
	if (!d->record) {
		device_free(d);
		return -ENOMEM;
	}
	d->peer.next_mid = (uint16_t)(stored->hot.fence.gen * 4096); /* architecture, rule 10 */
	d->heard_s = (uint32_t)(stored->hot.seen_ms / 1000);
	if (find_peer(s, d, r, luggage) < 0)
		return -ENOMEM;
	coap_peer_freeze(&s->coap, &d->peer, server_now(s));
	d->held++;
	luggage_unpack(d, luggage);
	d->held--;
	start_time(d);
	queue_restore(d);
	if (luggage.len > 0)
		observe_meanwhile(d);
	else
		policies_take(d); /* and the rest with its next Update, as after a restart */
	/* Without luggage nobody listened for a while: it may have tried to reach us. */
	device_arm(d, luggage.len > 0 ? 0 : s->config.lifetime_grace_ms);
	return 0;
}

/* Its next Register claims it, by a generation above; until then it remembers what was answered. */
static int adopt_tombstone(struct lwm2m_server *s, const struct store_device *stored)
{
	struct device *d = device_new(s, stored->key.endpoint);

	if (!d)
		return s->devices.count >= s->config.devices_max ? -ENOSPC : -ENOMEM;
	d->hot = stored->hot;
	d->hot.fence = s->config.fence;
	d->hot.fence.gen = stored->hot.fence.gen + 1;
	d->number_stored = d->number_taken = stored->hot.number;
	d->peer.next_mid = (uint16_t)(d->hot.fence.gen * 4096);
	timer_set(s->timers, &d->timer, server_now(s) + COAP_EXCHANGE_LIFETIME_MS, device_timer_fired);
	return 0;
}

int lwm2m_server_restore(struct lwm2m_server *s, const struct store_device *stored)
{
	struct registration r;

	if (registration_decode(stored->record, &r) < 0)
		return -EPROTO;
	return adopt(s, stored, &r, span_of(NULL, 0));
}

int lwm2m_server_take(struct lwm2m_server *s, const struct store_device *stored, struct span luggage)
{
	struct device *old = device_find(s, stored->key.endpoint);
	struct registration r;
	int err;

	if (stored->record.len > 0 && registration_decode(stored->record, &r) < 0)
		return -EPROTO;
	if (old && (old->record || stored->record.len == 0) && old->hot.fence.gen >= stored->hot.fence.gen)
		return -EEXIST;
	if (old) {
		device_forget(old);
		device_free_if_done(old);
	}
	if (stored->record.len == 0)
		return adopt_tombstone(s, stored);
	err = adopt(s, stored, &r, luggage);
	if (err == 0)
		s->stats.taken++;
	return err;
}
