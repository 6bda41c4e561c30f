/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Who may speak for a device, and by which session it is reached (lwm2m.md R14, S10; architecture, rule 11).
 *
 * The hard idea: an association begins as nobody's, with a claim to the endpoint that its credential is for.
 * It becomes a device's by a write - of a Register, an Update, or of nothing but the session - and only when
 * that is stored, the association before it ends. So whoever holds an old session loses it to the owner of
 * the credential, never to somebody at the same address; and what the record says of the session is true at
 * any moment at which we may die.
 */

#include "lwm2m/core.h"

static const struct lwm2m_security *security_of(const struct lwm2m_server *s)
{
	return s->host.security;
}

static bool is_association(const struct address *a)
{
	return a->family == ADDRESS_ASSOCIATION;
}

/* ---- whose messages ---- */

bool incoming_claim(struct lwm2m_server *s, const struct incoming *in, struct span *endpoint)
{
	const struct device *d;

	if (!in->secure)
		return false;
	d = device_find_address(s, in->from);
	if (!d)
		return security_of(s)->claim(security_of(s)->ctx, in->from, endpoint);
	*endpoint = device_endpoint(d);
	return true;
}

bool incoming_is_of(const struct incoming *in, const struct device *d)
{
	struct lwm2m_server *s = d->server;
	struct registration r;
	struct span endpoint;

	if (!in->secure)
		return !device_latest(d, &r) || !r.secure;
	return (d->located && address_equal(&d->peer.address, in->from)) ||
	       (incoming_claim(s, in, &endpoint) && span_equal(endpoint, device_endpoint(d)));
}

/* A Register that does not come by a credential of its endpoint, kept while the store is asked whether there
 * is one. */
struct unguarded {
	struct lwm2m_server *server;
	struct address from, place;
	bool secure;
	uint64_t number;
	bool fetched;
	uint32_t hash;
	size_t datagram_len, payload_len;
	uint8_t bytes[]; /* the datagram, then the payload, which may have come in blocks before it */
};

static void guard_known(void *arg, enum lwm2m_guard guard)
{
	struct unguarded *u = arg;
	struct lwm2m_server *s = u->server;
	struct coap_message m;
	struct incoming in = {.from = &u->from,
			      .place = u->place,
			      .secure = u->secure,
			      .number = u->number,
			      .datagram = span_of(u->bytes, u->datagram_len),
			      .m = &m,
			      .hash = u->hash,
			      .fetched = u->fetched,
			      .asked = true,
			      .now_ms = server_now(s)};

	s->guards_asked--;
	/* Where it is not known the device asks again. */
	if (guard != LWM2M_GUARD_UNKNOWN && coap_parse(in.datagram, &m) == COAP_PARSED) {
		m.payload = span_of(u->bytes + u->datagram_len, u->payload_len);
		if (incoming_is_elsewhere(s, &in))
			; /* it moved meanwhile */
		else if (guard == LWM2M_UNGUARDED)
			register_handle(s, &in);
		else
			reply_refusal(s, &in, COAP_BAD_REQUEST, "this endpoint has a credential of its own");
	}
	free(u);
}

bool register_waits(struct lwm2m_server *s, const struct incoming *in, struct span endpoint)
{
	enum { ASKED_MAX = 4096 };
	const struct lwm2m_security *security = security_of(s);
	struct unguarded *u;
	struct span own;

	if (!security || in->asked || (incoming_claim(s, in, &own) && span_equal(own, endpoint)))
		return false;
	if (s->guards_asked >= ASKED_MAX)
		return true;
	u = malloc(sizeof(*u) + in->datagram.len + in->m->payload.len);
	if (!u)
		return true;
	*u = (struct unguarded){.server = s,
				.from = *in->from,
				.place = in->place,
				.secure = in->secure,
				.number = in->number,
				.fetched = in->fetched,
				.hash = in->hash,
				.datagram_len = in->datagram.len,
				.payload_len = in->m->payload.len};
	memcpy(u->bytes, in->datagram.data, in->datagram.len);
	if (u->payload_len)
		memcpy(u->bytes + u->datagram_len, in->m->payload.data, u->payload_len);
	s->guards_asked++;
	if (security->guard(security->ctx, endpoint, guard_known, u))
		return true;
	s->guards_asked--;
	free(u);
	return false;
}

bool incoming_is_new_session(const struct incoming *in, const struct device *d)
{
	return in->secure && !(d->located && address_equal(&d->peer.address, in->from));
}

/* ---- by which session ---- */

bool device_place(const struct device *d, const struct address *association, struct address *out)
{
	const struct lwm2m_security *security = security_of(d->server);
	uint64_t session;

	return security->place(security->ctx, association, out, &session);
}

void device_reach(struct device *d, const struct address *peer)
{
	const struct lwm2m_security *security = security_of(d->server);
	struct address before = d->located ? d->peer.address : (struct address){0}, place;

	/* It may have ended while its write was on its way: then nothing leads to the device. */
	if (is_association(peer) && !device_place(d, peer, &place))
		device_unlocate(d);
	else if (device_locate(d, peer) < 0)
		return;
	if (is_association(peer))
		security->bind(security->ctx, peer);
	if (is_association(&before) && !address_equal(&before, peer))
		security->drop(security->ctx, &before, false);
}

void device_release(struct device *d)
{
	const struct lwm2m_security *security = security_of(d->server);

	if (!d->located || !is_association(&d->peer.address))
		return;
	security->unbind(security->ctx, &d->peer.address, device_endpoint(d));
	device_unlocate(d);
}

bool device_is_out_of_reach(const struct device *d)
{
	struct registration r;

	return !d->located && device_latest(d, &r) && r.secure;
}

void device_save_session(struct device *d, const struct address *peer, struct buffer *out)
{
	const struct lwm2m_security *security = security_of(d->server);

	security->save(security->ctx, peer, device_endpoint(d), d->hot.fence.gen, out);
}

/* Writes the record with this session, or none; `e` is settled when that is done. Nobody waits for it, unless
 * something is to be asked of the device. */
static void write_session(struct device *d, struct registration *r, struct span session, struct effect *e)
{
	struct observation observations[REGISTRATION_OBSERVATIONS_MAX];
	size_t count = observations_list(r, observations);
	struct device_change change = {.change = STORE_RECORD_PUT};

	change.patient = list_empty(&d->operations);
	r->session = session;
	change.record = blob_encode(r, observations, count);
	if (change.record)
		device_write(d, &change, e);
	else
		pool_give(&d->server->effects, e);
}

static void session_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;

	if (!stored || !device_is_registered(d))
		return;
	device_reach(d, &e->reply.address);
	device_heard(d);
	device_reissue(d);
}

/* Its device is not here. False, always: if the host finds it, this is called once more. */
static bool session_is_wanted(struct lwm2m_server *s, const struct address *peer, struct span endpoint)
{
	const struct lwm2m_wanted w = {.by = LWM2M_BY_ENDPOINT,
				       .endpoint = endpoint,
				       .claim = endpoint,
				       .from = peer,
				       .secure = true};

	if (s->host.fetch)
		(void)s->host.fetch(s->host.ctx, &w);
	return false;
}

void lwm2m_server_established(struct lwm2m_server *s, const struct address *peer, struct span endpoint)
{
	_cleanup_buffer_ struct buffer session = buffer_of(SESSION_SEALED_MAX);
	struct device *d = device_find(s, endpoint);
	struct registration r;
	struct effect *e;

	/* Who registered without security has to register with it. */
	if (d ? d->moving == MOVING_PACKED || !device_latest(d, &r) || !r.present || !r.secure
	      : !session_is_wanted(s, peer, endpoint))
		return;
	e = effect_new(d, session_settled);
	if (!e)
		return;
	e->reply.address = *peer;
	e->new_session = true;
	device_save_session(d, peer, &session);
	write_session(d, &r, buffer_span(&session), e);
}

static void renewal_settled(struct effect *e, bool stored)
{
	const struct lwm2m_security *security = security_of(e->device->server);

	if (stored)
		security->renew(security->ctx, &e->reply.address);
}

void lwm2m_server_spent(struct lwm2m_server *s, const struct address *peer)
{
	_cleanup_buffer_ struct buffer session = buffer_of(SESSION_SEALED_MAX);
	struct device *d = device_find_address(s, peer);
	struct registration r;
	struct effect *e;

	if (!d || d->moving == MOVING_PACKED || !device_latest(d, &r))
		return;
	e = effect_new(d, renewal_settled);
	if (!e)
		return;
	e->reply.address = *peer;
	device_save_session(d, peer, &session);
	write_session(d, &r, buffer_span(&session), e);
}

static void nothing_settled(struct effect *e, bool stored)
{
	(void)e;
	(void)stored;
}

void device_forget_session(struct device *d)
{
	struct registration r;
	struct effect *e;

	device_unlocate(d);
	d->session_gone = d->moving == MOVING_PACKED;
	if (d->session_gone)
		return; /* whoever goes on with it has the session, or finds the same */
	if (!device_latest(d, &r) || r.session.len == 0)
		return;
	e = effect_new(d, nothing_settled);
	if (e)
		write_session(d, &r, span_of(NULL, 0), e);
}

void lwm2m_server_closed(struct lwm2m_server *s, const struct address *peer)
{
	struct device *d = device_find_address(s, peer);

	if (d)
		device_forget_session(d);
}

void lwm2m_server_revoke(struct lwm2m_server *s, struct span endpoint)
{
	const struct lwm2m_security *security = security_of(s);
	struct device *d = device_find(s, endpoint);
	struct address peer;

	if (!d)
		return;
	peer = d->located ? d->peer.address : (struct address){0};
	device_forget_session(d);
	if (is_association(&peer))
		security->drop(security->ctx, &peer, true);
}
