/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Datagrams of devices that are not in this server's memory: in a cluster their record lies in the store, and
 * another node may own them.
 *
 * The hard idea: look before anything happens. An Update leads to its device by the id, a notification by the
 * token, a Register by its endpoint; where that device is not here, the datagram goes to the host before any
 * part of it is worked on, and comes back as if it had just arrived. Only what no exchange here waits for is
 * asked about, so a device that stays costs nothing.
 *
 * Leaves out who owns the device, and whether it may move: that is the host's.
 */

#include "lwm2m/core.h"

/* ---- asking ---- */

/* `d`: the device that was found here. True: the host has the datagram, or it is dropped. */
static bool ask(struct lwm2m_server *s, const struct incoming *in, struct lwm2m_wanted *w,
		const struct device *d)
{
	if (d && !d->moving)
		return false;
	w->leaving = d != NULL;
	if (d)
		w->endpoint = device_endpoint(d);
	w->from = in->from;
	w->secure = in->secure;
	w->number = in->number;
	w->datagram = in->datagram;
	if (!incoming_claim(s, in, &w->claim))
		w->claim = span_of(NULL, 0);
	if (!in->fetched && s->host.fetch && s->host.fetch(s->host.ctx, w))
		return true;
	return w->leaving;
}

static bool may_be_elsewhere(const struct lwm2m_server *s, const struct incoming *in)
{
	return (s->host.fetch && !in->fetched) || !list_empty(&s->giving);
}

/* An old id or token of a device that is here, heard from where it is. */
static bool is_from_there(struct lwm2m_server *s, const struct incoming *in, uint32_t hash)
{
	const struct device *d = device_find_address(s, in->from);

	return d && d->hash == hash;
}

/* ---- what names it ---- */

bool datagram_is_elsewhere(struct lwm2m_server *s, const struct incoming *in)
{
	struct lwm2m_wanted w = {.by = LWM2M_BY_ADDRESS};
	const struct device *d;
	struct coap_message m;

	if (!may_be_elsewhere(s, in))
		return false;
	d = device_find_address(s, in->from);
	if (d)
		return ask(s, in, &w, d);
	/* An ACK or RST has nothing else to tell whose it is. */
	return !in->secure && coap_parse(in->datagram, &m) == COAP_PARSED &&
	       (m.type == COAP_ACK || m.type == COAP_RST) && ask(s, in, &w, NULL);
}

static bool id_is_elsewhere(struct lwm2m_server *s, const struct incoming *in, struct span id)
{
	struct lwm2m_wanted w = {.by = LWM2M_BY_ID, .name = id};
	const struct device *d = device_find_id(s, id);

	if (!device_id_hash(id, &w.hash))
		return false;
	if (!d)
		d = device_find_departed(s, id, in);
	return (d || !is_from_there(s, in, w.hash)) && ask(s, in, &w, d);
}

/* The endpoint of a Register: that of the credential, which alone is taken, or as it says. */
static bool registering_endpoint(struct lwm2m_server *s, const struct incoming *in, struct span *endpoint)
{
	if (incoming_claim(s, in, endpoint) && !s->config.shared_credentials)
		return true;
	for (const struct coap_option *o = coap_find(in->m, COAP_OPTION_URI_QUERY); o;
	     o = coap_find_next(in->m, o)) {
		if (o->len <= 3 || memcmp(o->value, "ep=", 3) != 0)
			continue;
		*endpoint = span_from(coap_value(o), 3);
		return true;
	}
	return incoming_claim(s, in, endpoint);
}

static bool request_is_elsewhere(struct lwm2m_server *s, const struct incoming *in)
{
	struct lwm2m_wanted w = {.by = LWM2M_BY_ENDPOINT};
	struct span id;

	if (request_location(in->m, &id))
		return id_is_elsewhere(s, in, id);
	if (coap_path_is(in->m, "/rd"))
		return in->m->code == COAP_POST && registering_endpoint(s, in, &w.endpoint) &&
		       w.endpoint.len > 0 && w.endpoint.len <= STORE_ENDPOINT_MAX &&
		       ask(s, in, &w, device_find(s, w.endpoint));
	w.by = LWM2M_BY_ADDRESS;
	return coap_path_is(in->m, "/dp") && !in->secure && ask(s, in, &w, device_find_address(s, in->from));
}

static bool response_is_elsewhere(struct lwm2m_server *s, const struct incoming *in)
{
	const struct coap_token *token = &in->m->token;
	struct reader r = reader_of(span_of(token->bytes, token->len));
	struct lwm2m_wanted w = {.by = LWM2M_BY_TOKEN, .name = span_of(token->bytes, token->len)};
	const struct device *d = device_find_token(s, token);

	w.hash = reader_u32(&r);
	if (token->len != sizeof(token->bytes))
		return false;
	return (d || !is_from_there(s, in, w.hash)) && ask(s, in, &w, d);
}

bool incoming_is_elsewhere(struct lwm2m_server *s, const struct incoming *in)
{
	if (!may_be_elsewhere(s, in))
		return false;
	return coap_is_request(in->m->code) ? request_is_elsewhere(s, in) : response_is_elsewhere(s, in);
}

/* ---- whether a stored device is it ---- */

static bool has_token(const struct registration *r, struct span name)
{
	struct coap_token token = {.len = (uint8_t)name.len};
	struct observation o;

	memcpy(token.bytes, name.data, name.len);
	if (!token_is_observation(&token))
		return true;
	for (struct span left = r->observations; observation_next(&left, &o);)
		if (coap_token_equal(&o.token, &token))
			return true;
	return false;
}

bool lwm2m_token_is_observation(struct span name)
{
	struct coap_token token = {.len = (uint8_t)name.len};

	if (name.len > sizeof(token.bytes))
		return false;
	memcpy(token.bytes, name.data, name.len);
	return token_is_observation(&token);
}

static bool has_address(const struct registration *r, const struct address *from)
{
	uint8_t a[LWM2M_ADDRESS_KEY], b[LWM2M_ADDRESS_KEY];

	return span_equal(lwm2m_address_key(&r->address, a), lwm2m_address_key(from, b));
}

static bool may_speak_for(const struct lwm2m_server *s, const struct lwm2m_wanted *w,
			  const struct store_device *stored, const struct registration *r)
{
	if (!w->secure)
		return !r->present || !r->secure;
	return s->config.shared_credentials ? w->claim.len > 0 : span_equal(w->claim, stored->key.endpoint);
}

bool lwm2m_wanted_is(const struct lwm2m_server *s, const struct lwm2m_wanted *w,
		     const struct store_device *stored)
{
	struct registration r;

	if (w->by == LWM2M_BY_ENDPOINT && !span_equal(w->endpoint, stored->key.endpoint))
		return false;
	/* It left: its tombstone remembers what it was answered. */
	if (stored->record.len == 0)
		return w->by == LWM2M_BY_ENDPOINT || w->by == LWM2M_BY_ID;
	if (registration_decode(stored->record, &r) < 0 || !may_speak_for(s, w, stored, &r))
		return false;
	switch (w->by) {
	case LWM2M_BY_ENDPOINT:
		return true;
	case LWM2M_BY_ID:
		return r.present && span_equal(w->name, span_of(r.id, REGISTRATION_ID));
	case LWM2M_BY_TOKEN:
		return has_token(&r, w->name);
	case LWM2M_BY_ADDRESS:
		return r.present && has_address(&r, w->from);
	}
	return false;
}
