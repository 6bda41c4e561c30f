/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The registration interface (LwM2M Core 1.1.1, 6.2): Register, Update, De-register, and the end of a
 * lifetime.
 *
 * Each handler decides on the newest state, writes effect, event and dedup entry in one, and answers from the
 * callback. Until then a retransmission meets silence; after it, the same answer again.
 */

#include "coap/dedup.h"
#include "lwm2m/core.h"

enum { LINES_PER_MINUTE = 120, EXPIRY_RETRY_MS = 10000 };

static void log_device(struct device *d, const char *event, const char *detail)
{
	char ep[128];

	log_limited(d->server->log, LOG_INFO, LINES_PER_MINUTE, event, "ep=%s%s",
		    log_quote(d->endpoint, d->endpoint_len, ep, sizeof(ep)), detail);
}

void reply_refusal(struct lwm2m_server *s, const struct incoming *in, uint8_t code, const char *diagnostic)
{
	struct coap_reply_to to = coap_reply_to(in->m, in->from);

	s->stats.refused++;
	coap_reply_code(&s->coap, &to, code, diagnostic);
}

static bool contains(struct span text, char c)
{
	return text.len > 0 && memchr(text.data, c, text.len) != NULL;
}

static void encode_extra(const struct registration_request *q, struct buffer *out)
{
	for (unsigned i = 0; i < q->extra_count; i++) {
		buffer_uint(out, q->extra[i].len, 2);
		buffer_bytes(out, q->extra[i]);
	}
}

/* ---- Register ---- */

static void register_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;
	struct lwm2m_server *s = d->server;
	struct coap_message reply;
	struct registration r;

	if (!stored)
		return;
	s->stats.registers++;
	operations_cancel(d, "the device registered anew");
	free(d->fresh);
	d->fresh = NULL;
	d->fresh_count = 0;
	choose_reset(d);
	device_reach(d, &e->reply.address);
	device_heard(d);
	device_arm(d, 0);
	device_registration(d, &r);
	coap_message_init(&reply, COAP_ACK, COAP_CREATED, 0, e->reply.token);
	(void)coap_add(&reply, COAP_OPTION_LOCATION_PATH, span_str("rd"));
	(void)coap_add(&reply, COAP_OPTION_LOCATION_PATH, span_of(r.id, REGISTRATION_ID));
	effect_reply(e, &reply);
	log_device(d, "registered", "");
	device_reissue(d);
}

static void fill_registration(struct device *d, const struct incoming *in,
			      const struct registration_request *q, struct span extra, uint64_t now_ms,
			      struct registration *r)
{
	*r = (struct registration){
		.present = true,
		.registered_ms = now_ms,
		.address = in->place,
		.secure = in->secure,
		.lifetime_s = q->has_lifetime ? q->lifetime_s : d->server->config.default_lifetime_s,
		.lwm2m = q->version,
		.binding = q->has_binding ? q->binding : span_str("U"),
		.queue_mode = q->queue_flag || contains(q->binding, 'Q'),
		.sms = q->sms,
		.root = q->root,
		.links = q->links,
		.extra = extra,
	};
	device_new_id(d, r->id);
}

static void device_register(struct device *d, const struct incoming *in, const struct registration_request *q)
{
	_cleanup_buffer_ struct buffer extra = buffer_of(COAP_MESSAGE_MAX * 2);
	_cleanup_buffer_ struct buffer session = buffer_of(SESSION_SEALED_MAX);
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX];
	struct policy_memory memory = {.len = 0};
	struct registration r, old = {0};
	struct lwm2m_event event = {.type = EVENT_REGISTERED, .seen_ms = server_wall(d->server)};
	struct device_change change = {.change = STORE_RECORD_PUT, .seen_ms = event.seen_ms, .event = &event};
	struct effect *e = effect_new(d, register_settled);
	size_t count = 0;

	if (!e)
		return;
	if (device_latest(d, &old))
		count = observations_list(&old, observations);
	for (size_t i = 0; i < count; i++)
		observations[i].issued = observations[i].refused = false;
	if (old.present) {
		event.previous_seen_ms = d->hot.seen_ms;
		event.previous_record = blob_span(d->latest ? d->latest : d->record);
	}
	encode_extra(q, &extra);
	fill_registration(d, in, q, buffer_span(&extra), event.seen_ms, &r);
	if (in->secure)
		device_save_session(d, in->from, &session);
	r.session = buffer_span(&session);
	count = policies_merge(d, &r, observations, count, &memory);
	change.record = blob_encode(&r, observations, count);
	if (!change.record) {
		pool_give(&d->server->effects, e);
		return;
	}
	change.event_record = blob_span(change.record);
	effect_answers(e, in, COAP_CREATED);
	e->new_session = incoming_is_new_session(in, d);
	device_write(d, &change, e);
}

/* Who registers is whom the credential is for; without a credential it is whoever it says it is, as long as
 * nobody with one was there before (R14). 0 or the code to answer with. */
static uint8_t identify(struct lwm2m_server *s, const struct incoming *in, struct registration_request *q,
			const char **diagnostic)
{
	const struct lwm2m_security *security = s->host.security;
	struct registration r;
	struct span endpoint;
	struct device *d;

	*diagnostic = "this session is nobody's";
	if (in->secure && !incoming_claim(s, in, &endpoint))
		return COAP_BAD_REQUEST;
	if (in->secure) {
		if (!q->has_endpoint || span_equal(q->endpoint, endpoint)) {
			q->endpoint = endpoint;
			return 0;
		}
		/* Not twice by one session: whose it is has been decided. */
		if (s->config.shared_credentials && !device_find_address(s, in->from))
			return 0;
		security->mismatch(security->ctx, in->from, q->endpoint);
		*diagnostic = "the credential is for another endpoint";
		return COAP_BAD_REQUEST;
	}
	*diagnostic = "ep is missing";
	if (!q->has_endpoint)
		return COAP_BAD_REQUEST;
	*diagnostic = "this endpoint is registered with security";
	d = device_find(s, q->endpoint);
	return d && device_latest(d, &r) && r.present && r.secure ? COAP_BAD_REQUEST : 0;
}

void register_handle(struct lwm2m_server *s, const struct incoming *in)
{
	struct registration_request q;
	const char *diagnostic;
	uint8_t code = registration_parse(in->m, false, s->config.strict, &q, &diagnostic);
	struct device *d;

	if (!code)
		code = identify(s, in, &q, &diagnostic);
	if (code) {
		reply_refusal(s, in, code, diagnostic);
		return;
	}
	if (register_waits(s, in, q.endpoint))
		return;
	d = device_find(s, q.endpoint);
	if (!d)
		d = device_new(s, q.endpoint);
	if (!d) {
		s->stats.refused++;
		log_limited(s->log, LOG_WARN, 1, "too-many-devices", "limit=%zu", s->config.devices_max);
		return;
	}
	d->held++;
	if (device_seen(d, in) == COAP_SEEN_NEW)
		device_register(d, in, &q);
	d->held--;
	device_free_if_done(d);
}

/* ---- Update ---- */

static void update_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;

	if (!stored || !device_is_registered(d))
		return;
	d->server->stats.updates++;
	device_reach(d, &e->reply.address);
	device_heard(d);
	device_arm(d, 0);
	effect_reply_code(e);
	device_reissue(d);
}

/* Applies what the Update carries (R6); returns what changed. */
static uint8_t apply_update(const struct incoming *in, const struct registration_request *q,
			    struct registration *r)
{
	uint8_t flags = 0;

	if (q->has_lifetime) {
		flags |= UPDATE_LIFETIME;
		r->lifetime_s = q->lifetime_s;
	}
	if (q->has_binding) {
		flags |= UPDATE_BINDING;
		r->binding = q->binding;
		r->queue_mode = q->queue_flag || contains(q->binding, 'Q');
	} else if (q->queue_flag) {
		flags |= UPDATE_BINDING;
		r->queue_mode = true; /* its absence alone does not turn it off: OMA issue 490 */
	}
	if (q->has_sms) {
		flags |= UPDATE_SMS;
		r->sms = q->sms;
	}
	if (q->has_links) {
		flags |= UPDATE_LINKS;
		r->links = q->links;
		r->root = q->root;
	}
	if (!address_equal(&r->address, &in->place)) {
		flags |= UPDATE_ADDRESS;
		r->address = in->place;
	}
	return flags;
}

static bool same_content(const struct registration *a, const struct registration *b)
{
	return a->lifetime_s == b->lifetime_s && a->queue_mode == b->queue_mode &&
	       span_equal(a->binding, b->binding) && span_equal(a->sms, b->sms) &&
	       span_equal(a->links, b->links) && span_equal(a->root, b->root) &&
	       span_equal(a->session, b->session) && address_equal(&a->address, &b->address);
}

static void device_update(struct device *d, const struct incoming *in, const struct registration_request *q)
{
	_cleanup_buffer_ struct buffer session = buffer_of(SESSION_SEALED_MAX);
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX];
	struct lwm2m_event event = {.type = EVENT_UPDATED, .seen_ms = server_wall(d->server)};
	struct device_change change = {
		.change = STORE_RECORD_KEEP, .seen_ms = event.seen_ms, .event = &event};
	struct effect *e = effect_new(d, update_settled);
	struct registration old, r;

	if (!e)
		return;
	(void)device_latest(d, &old);
	r = old;
	event.update_flags = apply_update(in, q, &r);
	e->new_session = incoming_is_new_session(in, d);
	/* A copy of the session from the store sends to where the device was when it was saved. */
	if (e->new_session || (in->secure && event.update_flags & UPDATE_ADDRESS)) {
		device_save_session(d, in->from, &session);
		r.session = buffer_span(&session);
	}
	change.event_record = blob_span(d->latest ? d->latest : d->record);
	if (!same_content(&old, &r)) {
		change.change = STORE_RECORD_PUT;
		change.record = blob_encode(&r, observations, observations_list(&old, observations));
		if (!change.record) {
			pool_give(&d->server->effects, e);
			return;
		}
		change.event_record = blob_span(change.record);
	}
	effect_answers(e, in, COAP_CHANGED);
	device_write(d, &change, e);
}

void update_handle(struct lwm2m_server *s, const struct incoming *in, struct span id)
{
	struct registration_request q;
	struct registration r;
	const char *diagnostic;
	struct device *d = device_find_id(s, id);
	uint8_t code;

	if (d && s->config.strict && !in->secure && device_latest(d, &r) &&
	    !address_equal(&r.address, in->from))
		d = NULL; /* R14: without security the address is the identity */
	if (!d || !incoming_is_of(in, d)) {
		reply_refusal(s, in, COAP_NOT_FOUND, NULL);
		return;
	}
	if (device_seen(d, in) != COAP_SEEN_NEW)
		return;
	code = registration_parse(in->m, true, s->config.strict, &q, &diagnostic);
	if (code)
		reply_refusal(s, in, code, diagnostic);
	else
		device_update(d, in, &q);
}

/* ---- the end ---- */

static void ended_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;
	struct lwm2m_server *s = d->server;

	if (!stored) {
		if (d->record && !timer_is_set(&d->timer))
			timer_set(s->timers, &d->timer, server_now(s) + EXPIRY_RETRY_MS, device_timer_fired);
		if (e->operation)
			operation_finish(e->operation,
					 &(struct lwm2m_answer){.outcome = LWM2M_NOT_STORED,
								.error = "the removal could not be stored"});
		return;
	}
	if (e->operation)
		operation_finish(e->operation, &(struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
	if (e->reply.mid || e->code) {
		s->stats.deregisters++;
		effect_reply_code(e);
	}
	if (d->latest)
		return; /* it is registering again already */
	operations_cancel(d, "the device left");
	device_release(d);
	if (d->record)
		device_arm(d, 0);
	else
		timer_set(s->timers, &d->timer, server_now(s) + COAP_EXCHANGE_LIFETIME_MS,
			  device_timer_fired);
}

void device_end_registration(struct device *d, enum deregistration_reason reason, bool keep_wanted,
			     struct effect *e)
{
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX];
	struct lwm2m_event event = {
		.type = EVENT_DEREGISTERED, .seen_ms = d->hot.seen_ms, .reason = (uint8_t)reason};
	struct device_change change = {.change = STORE_RECORD_DELETE,
				       .event_record = blob_span(d->latest ? d->latest : d->record)};
	struct registration r;
	size_t count;

	e->settle = ended_settled;
	if (device_latest(d, &r)) {
		if (r.present)
			change.event = &event;
		count = observations_list(&r, observations);
		for (size_t i = 0; i < count; i++)
			observations[i].issued = false;
		r.present = false;
		r.links = r.extra = r.session = span_of(NULL, 0);
		if (keep_wanted && (count > 0 || queue_has_some(d)))
			change.record = blob_encode(&r, observations, count);
		if (change.record)
			change.change = STORE_RECORD_PUT;
	}
	log_device(d, "deregistered",
		   reason == DEREGISTERED_BY_CLIENT ? " reason=client"
		   : reason == DEREGISTERED_EXPIRED ? " reason=expired"
						    : " reason=api");
	device_write(d, &change, e);
}

void deregister_handle(struct lwm2m_server *s, const struct incoming *in, struct span id)
{
	struct device *d = device_find_id(s, id);
	struct effect *e;

	if (!d) {
		d = device_find_departed(s, id, in);
		if (!d || device_seen(d, in) == COAP_SEEN_NEW)
			reply_refusal(s, in, COAP_NOT_FOUND, NULL);
		return;
	}
	if (!incoming_is_of(in, d)) {
		reply_refusal(s, in, COAP_NOT_FOUND, NULL);
		return;
	}
	if (device_seen(d, in) != COAP_SEEN_NEW)
		return;
	e = effect_new(d, NULL);
	if (!e)
		return;
	effect_answers(e, in, COAP_DELETED);
	device_end_registration(d, DEREGISTERED_BY_CLIENT, true, e);
}

void device_timer_fired(struct timer *t, uint64_t now_ms)
{
	struct device *d = container_of(t, struct device, timer);
	struct lwm2m_server *s = d->server;
	struct effect *e;
	struct registration r;

	if (!d->record) {
		device_free_if_done(d);
		return;
	}
	if (device_left_ms(d) > 0) { /* it was heard since the timer was set */
		device_arm(d, 0);
		return;
	}
	e = d->inflight ? NULL
			: effect_new(d, NULL); /* a message of its own may be on its way to the store */
	if (!e || !device_latest(d, &r)) {
		if (e)
			pool_give(&s->effects, e);
		timer_set(s->timers, t, now_ms + EXPIRY_RETRY_MS, device_timer_fired);
		return;
	}
	if (r.present)
		s->stats.expiries++;
	device_end_registration(d, DEREGISTERED_EXPIRED, r.present, e);
}
