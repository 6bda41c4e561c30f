/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Information reporting: observations and notifications (LwM2M Core 1.1.1, 6.4; RFC 7641).
 *
 * An observation is part of the device's record, so it outlives us; its token leads a notification to the
 * record it is in. A confirmable notification is acknowledged when its event is stored. Notifications older
 * than one we had are dropped.
 */

#include "coap/observe.h"
#include "lwm2m/core.h"

/* ---- order of notifications ---- */

static struct freshness *freshness_find(struct device *d, const struct coap_token *token)
{
	struct reader r = reader_of(span_of(token->bytes + 4, 4));
	uint32_t key = reader_u32(&r);

	for (unsigned i = 0; i < d->fresh_count; i++)
		if (d->fresh[i].token == key)
			return &d->fresh[i];
	return NULL;
}

static void freshness_forget(struct device *d, const struct coap_token *token)
{
	struct freshness *f = freshness_find(d, token);

	if (f)
		*f = d->fresh[--d->fresh_count];
}

/* Notes the sequence. False: a notification at least as new was here already. */
static bool freshness_advance(struct device *d, const struct coap_token *token, uint32_t sequence,
			      uint64_t now_ms)
{
	struct reader r = reader_of(span_of(token->bytes + 4, 4));
	struct freshness *f = freshness_find(d, token);

	if (f && !coap_observe_is_newer(f->sequence, f->at_ms, sequence, now_ms))
		return false;
	if (!f) {
		if (d->fresh_count == REGISTRATION_OBSERVATIONS_MAX)
			d->fresh_count = 0; /* of observations that are gone */
		f = reallocarray(d->fresh, (size_t)d->fresh_count + 1, sizeof(*f));
		if (!f)
			return true;
		d->fresh = f;
		f += d->fresh_count++;
		f->token = reader_u32(&r);
	}
	f->sequence = sequence;
	f->at_ms = now_ms;
	return true;
}

/* ---- notifications ---- */

static bool find_observation(const struct device *d, const struct coap_token *token, struct registration *r,
			     struct observation *o)
{
	if (!device_latest(d, r))
		return false;
	for (struct span left = r->observations; observation_next(&left, o);)
		if (coap_token_equal(&o->token, token))
			return true;
	return false;
}

/* `declared` holds what the event borrows. */
static void fill_notification(struct lwm2m_event *e, const struct registration *r,
			      const struct observation *o, const struct coap_message *m,
			      struct buffer *declared)
{
	lwm2m_event_declare(r, &o->path, declared);
	*e = (struct lwm2m_event){
		.type = EVENT_NOTIFICATION,
		.path = o->path,
		.paths = o->paths,
		.code = m->code,
		.format = coap_format(m, COAP_OPTION_CONTENT_FORMAT),
		.root = r->root,
		.lwm2m = r->lwm2m,
		.declared = buffer_span(declared),
		.payload = m->payload,
	};
}

static void notification_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;
	struct lwm2m_server *s = d->server;

	if (!stored) {
		freshness_forget(d, &e->reply.token); /* its retransmission is as new as it was */
		return;
	}
	s->stats.notifications++;
	device_heard(d);
	if (e->dedup)
		coap_ack(&s->coap, &e->reply.address, e->reply.mid);
}

static void notification_write(struct effect *e, const struct registration *r, const struct observation *o,
			       const struct coap_message *m)
{
	_cleanup_buffer_ struct buffer declared = buffer_of(STORE_EVENT_MAX);
	struct lwm2m_event event;
	struct device_change change = {.change = STORE_RECORD_KEEP, .event = &event};

	fill_notification(&event, r, o, m, &declared);
	device_write(e->device, &change, e);
}

/* Older than, or the same as, one that was here: acknowledged, and dropped. */
static bool is_stale(struct device *d, const struct incoming *in, const struct observation *o)
{
	uint32_t sequence;

	if (!coap_find_uint(in->m, COAP_OPTION_OBSERVE, &sequence) ||
	    freshness_advance(d, &o->token, sequence & 0xFFFFFF, in->now_ms))
		return false;
	d->server->stats.notifications_stale++;
	if (in->m->type == COAP_CON)
		coap_ack(&d->server->coap, in->from, in->m->mid);
	return true;
}

static void notification_store(struct device *d, const struct incoming *in, const struct registration *r,
			       const struct observation *o)
{
	struct effect *e = effect_new(d, notification_settled);

	if (!e) {
		freshness_forget(d, &o->token);
		return;
	}
	effect_answers(e, in, ANSWER_EMPTY_ACK);
	notification_write(e, r, o, in->m);
}

/* ---- notifications in blocks: the first is pushed, the rest is fetched, the ACK follows when all is stored
 * ---- */

static void notification_fetch_rest(struct device *d, const struct incoming *in, const struct observation *o)
{
	struct lwm2m_server *s = d->server;
	struct operation *op =
		operation_new(d, o->paths.len > 0 ? LWM2M_OBSERVE_COMPOSITE : LWM2M_OBSERVE, NULL, NULL);
	struct coap_message whole;

	if (!op) {
		freshness_forget(d, &o->token);
		return;
	}
	op->purpose = PURPOSE_NOTIFICATION;
	op->path = o->path;
	op->token = o->token;
	op->accept = o->accept;
	op->reply = coap_reply_to(in->m, in->from);
	op->dedup_hash = in->hash;
	if (in->m->type == COAP_CON)
		(void)coap_dedup_add(&d->hot.dedup, in->m->mid, op->dedup_hash,
				     (uint32_t)(server_wall(s) / 1000), 0);
	if (operation_list_paths(op, o) < 0 || transfer_take(op, in->m, &whole) != TRANSFER_NEXT ||
	    operation_send(op) < 0) {
		operation_end(op, LWM2M_INVALID, NULL);
		return;
	}
	timer_set(s->timers, &op->timeout, in->now_ms + COAP_EXCHANGE_LIFETIME_MS, operation_expired);
}

void notification_completed(struct operation *op, const struct coap_message *m)
{
	struct device *d = op->device;
	struct registration r;
	struct observation o;
	struct effect *e;

	/* No longer pending: what is written now remembers it, or its retransmission starts anew. */
	coap_dedup_settle(&d->hot.dedup, op->reply.mid, op->dedup_hash, 0);
	if (!m || coap_class(m->code) != 2 || !find_observation(d, &op->token, &r, &o)) {
		freshness_forget(d, &op->token);
		return;
	}
	e = effect_new(d, notification_settled);
	if (!e) {
		freshness_forget(d, &op->token);
		return;
	}
	e->reply = op->reply;
	e->code = ANSWER_EMPTY_ACK;
	e->dedup = op->reply.type == COAP_CON;
	e->dedup_hash = op->dedup_hash;
	notification_write(e, &r, &o, m);
}

/* ---- the end of an observation ---- */

static void ended_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;

	if (!e->operation && stored && e->dedup) {
		coap_ack(&d->server->coap, &e->reply.address, e->reply.mid);
		/* Its retransmission finds no observation any more, and is to get the same. */
		coap_note_acked(&d->peer, e->reply.mid, server_now(d->server));
	}
	if (e->operation)
		operation_settled(e->operation, stored);
}

/* An error ends the observation (RFC 7641, 3.2). */
static void notification_failed(struct device *d, const struct incoming *in, const struct observation *o)
{
	struct effect *e = effect_new(d, ended_settled);

	if (!e)
		return;
	effect_answers(e, in, ANSWER_EMPTY_ACK);
	observe_forget(d, o, OBSERVATION_ERROR, in->m->code, e);
}

/* A response that nothing here waits for. */
static void refuse(struct lwm2m_server *s, const struct incoming *in)
{
	struct device *d = device_find_address(s, in->from);

	if (d && device_owes_ack(d, in->m->mid))
		return;
	if (d && in->m->type == COAP_CON && coap_was_acked(&d->peer, in->m->mid, in->now_ms)) {
		coap_ack(&s->coap, in->from, in->m->mid);
		return;
	}
	s->stats.unknown_tokens++;
	coap_reset(&s->coap, in->from, in->m->mid);
}

void notification_handle(struct lwm2m_server *s, const struct incoming *in)
{
	struct device *d = device_find_token(s, &in->m->token);
	struct registration r;
	struct observation o;

	if (!d || !find_observation(d, &in->m->token, &r, &o) || !incoming_is_of(in, d) ||
	    (s->config.strict && !in->secure && !address_equal(&r.address, in->from))) {
		refuse(s, in);
		return;
	}
	if (device_owes_ack(d, in->m->mid) || device_seen(d, in) != COAP_SEEN_NEW)
		return;
	if (coap_class(in->m->code) != 2)
		notification_failed(d, in, &o);
	else if (is_stale(d, in, &o))
		return;
	else if (transfer_begins(in->m))
		notification_fetch_rest(d, in, &o);
	else
		notification_store(d, in, &r, &o);
}

/* ---- observations come and go ---- */

bool observation_same_target(const struct observation *a, const struct observation *b)
{
	return path_compare(&a->path, &b->path) == 0 && span_equal(a->paths, b->paths);
}

static size_t index_of(const struct observation *observations, size_t count, const struct observation *target)
{
	size_t i = 0;

	while (i < count && !observation_same_target(&observations[i], target))
		i++;
	return i;
}

static void answered_settled(struct effect *e, bool stored)
{
	if (e->operation)
		operation_settled(e->operation, stored);
}

/* The new state of the observation in its list; returns its length. */
static size_t put_observation(struct operation *op, struct observation *list, size_t count, bool observed)
{
	struct observation target = operation_target(op);
	size_t at = index_of(list, count, &target);

	if (at == count)
		list[count++] = target;
	target.origin = list[at].origin;
	if (observed) {
		freshness_forget(op->device, &list[at].token);
		(void)freshness_advance(op->device, &op->token, op->sequence & 0xFFFFFF,
					server_now(op->device->server));
		list[at] = target;
	}
	list[at].issued = observed;
	list[at].refused = !observed;
	return MIN(count, REGISTRATION_OBSERVATIONS_MAX);
}

void observe_answered(struct operation *op, const struct coap_message *m, bool observed)
{
	_cleanup_buffer_ struct buffer declared = buffer_of(STORE_EVENT_MAX);
	struct observation list[REGISTRATION_OBSERVATIONS_MAX + 1], target = operation_target(op);
	struct device *d = op->device;
	struct device_change change = {.change = STORE_RECORD_PUT};
	struct lwm2m_event event = {.type = EVENT_OBSERVATION_ENDED,
				    .path = target.path,
				    .paths = target.paths,
				    .reason = OBSERVATION_REFUSED,
				    .code = m->code};
	struct registration r;
	struct effect *e = device_latest(d, &r) ? effect_new(d, answered_settled) : NULL;

	if (e)
		change.record = blob_encode(&r, list,
					    put_observation(op, list, observations_list(&r, list), observed));
	if (!change.record) {
		if (e)
			pool_give(&d->server->effects, e);
		operation_settled(op, false);
		return;
	}
	if (op->purpose ==
	    PURPOSE_REISSUE) { /* the backend learns the value, or that there is none, as an event */
		if (observed)
			fill_notification(&event, &r, &target, m, &declared);
		change.event = &event;
	}
	e->operation = op;
	op->effect = e;
	device_write(d, &change, e);
}

void observe_forget(struct device *d, const struct observation *target, enum observation_end reason,
		    uint8_t code, struct effect *e)
{
	struct observation list[REGISTRATION_OBSERVATIONS_MAX];
	struct lwm2m_event event = {.type = EVENT_OBSERVATION_ENDED,
				    .path = target->path,
				    .paths = target->paths,
				    .reason = (uint8_t)reason,
				    .code = code};
	struct device_change change = {.change = STORE_RECORD_KEEP};
	struct registration r;
	size_t count, at;

	e->settle = ended_settled;
	if (device_latest(d, &r)) {
		count = observations_list(&r, list);
		at = index_of(list, count, target);
		if (at < count) {
			freshness_forget(d, &list[at].token);
			memmove(&list[at], &list[at + 1], (count - at - 1) * sizeof(list[0]));
			change.event = &event;
			change.record = blob_encode(&r, list, count - 1);
		}
		if (change.record)
			change.change = STORE_RECORD_PUT;
	}
	device_write(d, &change, e);
}
