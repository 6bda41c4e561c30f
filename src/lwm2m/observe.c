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

static void fill_notification(struct lwm2m_event *e, const struct registration *r, const struct path *path,
			      const struct coap_message *m)
{
	struct span left = r->links;
	struct registered_link link;

	*e = (struct lwm2m_event){
		.type = EVENT_NOTIFICATION,
		.path = *path,
		.code = m->code,
		.format = coap_format(m, COAP_OPTION_CONTENT_FORMAT),
		.lwm2m = r->lwm2m,
		.payload = m->payload,
	};
	while (registration_next_link(r, &left, &link)) {
		if (link.path.ids[0] != path->ids[0] || !registered_link_version(&link, &e->version))
			continue;
		e->declared = true;
		return;
	}
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

static void notification_store(struct device *d, const struct incoming *in, const struct registration *r,
			       const struct observation *o)
{
	struct lwm2m_event event;
	struct device_change change = {.change = STORE_RECORD_KEEP, .event = &event};
	struct effect *e = effect_new(d, notification_settled);
	uint32_t sequence;

	if (!e)
		return;
	if (coap_find_uint(in->m, COAP_OPTION_OBSERVE, &sequence) &&
	    !freshness_advance(d, &o->token, sequence & 0xFFFFFF, in->now_ms)) {
		d->server->stats.notifications_stale++;
		pool_give(&d->server->effects, e);
		if (in->m->type == COAP_CON)
			coap_ack(&d->server->coap, in->from, in->m->mid);
		return;
	}
	fill_notification(&event, r, &o->path, in->m);
	effect_answers(e, in, ANSWER_EMPTY_ACK);
	device_write(d, &change, e);
}

static void ended_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;

	if (!e->operation && stored && e->dedup)
		coap_ack(&d->server->coap, &e->reply.address, e->reply.mid);
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
	observe_forget(d, &o->path, OBSERVATION_ERROR, in->m->code, e);
}

/* A response that nothing here waits for. */
static void refuse(struct lwm2m_server *s, const struct incoming *in)
{
	struct device *d = device_find_address(s, in->from);

	if (in->m->type == COAP_ACK || in->m->type == COAP_RST)
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

	if (!d || in->m->type == COAP_ACK || !find_observation(d, &in->m->token, &r, &o) ||
	    (s->config.strict && !address_equal(&r.address, in->from))) {
		refuse(s, in);
		return;
	}
	if (device_seen(d, in) != COAP_SEEN_NEW)
		return;
	if (coap_class(in->m->code) == 2)
		notification_store(d, in, &r, &o);
	else
		notification_failed(d, in, &o);
}

/* ---- observations come and go ---- */

static size_t index_of(const struct observation *observations, size_t count, const struct path *path)
{
	size_t i = 0;

	while (i < count && path_compare(&observations[i].path, path) != 0)
		i++;
	return i;
}

static void answered_settled(struct effect *e, bool stored)
{
	if (e->operation)
		operation_settled(e->operation, stored);
}

void observe_answered(struct operation *op, const struct coap_message *m, bool observed)
{
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX + 1];
	struct device *d = op->device;
	struct device_change change = {.change = STORE_RECORD_PUT};
	struct lwm2m_event event = {.type = EVENT_OBSERVATION_ENDED,
				    .path = op->path,
				    .reason = OBSERVATION_REFUSED,
				    .code = m->code};
	struct registration r;
	uint32_t sequence;
	struct effect *e;
	size_t count, at;

	e = device_latest(d, &r) ? effect_new(d, answered_settled) : NULL;
	if (!e) {
		operation_settled(op, false);
		return;
	}
	count = observations_list(&r, observations);
	at = index_of(observations, count, &op->path);
	if (at == count)
		observations[count++] = (struct observation){.path = op->path};
	if (observed) {
		freshness_forget(d, &observations[at].token);
		if (coap_find_uint(m, COAP_OPTION_OBSERVE, &sequence))
			(void)freshness_advance(d, &op->token, sequence & 0xFFFFFF, server_now(d->server));
		observations[at].token = op->token;
		observations[at].accept = op->accept;
	}
	observations[at].issued = observed;
	observations[at].refused = !observed;
	if (!op->done) { /* asked again after a Register: the backend learns the value, or that there is none,
			    as an event */
		if (observed)
			fill_notification(&event, &r, &op->path, m);
		change.event = &event;
	}
	change.record = blob_encode(&r, observations, MIN(count, REGISTRATION_OBSERVATIONS_MAX));
	if (!change.record) {
		pool_give(&d->server->effects, e);
		operation_settled(op, false);
		return;
	}
	e->operation = op;
	op->effect = e;
	device_write(d, &change, e);
}

void observe_forget(struct device *d, const struct path *path, enum observation_end reason, uint8_t code,
		    struct effect *e)
{
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX];
	struct lwm2m_event event = {
		.type = EVENT_OBSERVATION_ENDED, .path = *path, .reason = (uint8_t)reason, .code = code};
	struct device_change change = {.change = STORE_RECORD_KEEP};
	struct registration r;
	size_t count, at;

	e->settle = ended_settled;
	if (device_latest(d, &r)) {
		count = observations_list(&r, observations);
		at = index_of(observations, count, path);
		if (at < count) {
			freshness_forget(d, &observations[at].token);
			memmove(&observations[at], &observations[at + 1],
				(count - at - 1) * sizeof(observations[0]));
			change.event = &event;
			change.record = blob_encode(&r, observations, count - 1);
		}
		if (change.record)
			change.change = STORE_RECORD_PUT;
	}
	device_write(d, &change, e);
}
