/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Where datagrams come in: records are told apart, by connection id first, by address else, and opened.
 *
 * The hard idea: nothing changes that does not authenticate. A record that belongs to no association and no
 * handshake is counted and forgotten; a hello is answered by a cookie and forgotten; an epoch-0 record from
 * the address of an association says nothing about it. Only a record that opens, and is newer than all before
 * it, moves the address (RFC 9146, 6), and only when a new handshake is complete is an old association
 * touched.
 */

#include "dtls/endpoint_private.h"

enum {
	ALERT_WARNING = 1,
	ALERT_FATAL = 2,
	ALERT_CLOSE_NOTIFY = 0,
	ALERT_NO_RENEGOTIATION = 100,
};

void dtls_endpoint_config_init(struct dtls_endpoint_config *c)
{
	*c = (struct dtls_endpoint_config){
		.associations_max = 1000000,
		.unbound_max = 10000,
		.unbound_ms = 300000,
		.handshakes_max = 4096,
		.age_ms = (uint64_t)7 * 24 * 3600 * 1000,
		.idle_ms = (uint64_t)7 * 24 * 3600 * 1000,
		.hellos_per_s = 2000,
		.hellos_max_per_s = 20000,
		.connection_ids = true,
	};
}

struct dtls_endpoint *dtls_endpoint_new(const struct dtls_endpoint_config *config,
					const struct dtls_host *host, const struct dtls_context *context,
					struct timers *timers, struct random *random)
{
	struct dtls_endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->config = *config;
	e->host = *host;
	e->context = context;
	e->timers = timers;
	e->random = random;
	associations_init(e);
	attempts_init(e);
	return e;
}

struct dtls_endpoint *dtls_endpoint_free(struct dtls_endpoint *e)
{
	if (!e)
		return NULL;
	attempts_deinit(e);
	associations_deinit(e);
	explicit_bzero(e->plain, sizeof(e->plain));
	free(e);
	return NULL;
}

void dtls_endpoint_set_cookie_keys(struct dtls_endpoint *e, const struct dtls_cookie_keys *keys)
{
	e->cookie_keys = *keys;
}

void dtls_endpoint_stats(const struct dtls_endpoint *e, struct dtls_endpoint_stats *out)
{
	*out = e->stats;
}

/* ---- records of associations ---- */

static void take_alert(struct dtls_endpoint *e, struct association *a, struct span alert)
{
	static const uint8_t close_notify[] = {ALERT_WARNING, ALERT_CLOSE_NOTIFY};

	if (alert.len != 2)
		return;
	if (alert.data[1] == ALERT_CLOSE_NOTIFY)
		(void)association_say(e, a, DTLS_ALERT, span_of(close_notify, sizeof(close_notify)));
	if (alert.data[1] == ALERT_CLOSE_NOTIFY || alert.data[0] == ALERT_FATAL)
		association_end(e, a, DTLS_END_PEER);
}

static void take_handshake(struct dtls_endpoint *e, struct association *a, struct span message)
{
	static const uint8_t no_renegotiation[] = {ALERT_WARNING, ALERT_NO_RENEGOTIATION};
	struct writer w = writer_of(e->out, sizeof(e->out));

	if (message.len > 0 && message.data[0] == DTLS_CLIENT_HELLO) {
		(void)association_say(e, a, DTLS_ALERT, span_of(no_renegotiation, sizeof(no_renegotiation)));
	} else if (a->last_flight && dtls_last_flight_is_asked(DTLS_HANDSHAKE, message) &&
		   dtls_last_flight_resend(a->last_flight, &a->session, &w) == 0) {
		e->stats.last_flights++;
		e->host.send(e->host.ctx, &a->session.peer, writer_span(&w));
	}
}

static void take_content(struct dtls_endpoint *e, struct association *a, uint64_t number, uint8_t type,
			 struct span content)
{
	struct address address;

	switch (type) {
	case DTLS_APPLICATION_DATA:
		free(a->last_flight); /* whoever sends data has our Finished */
		a->last_flight = NULL;
		address = association_address(a);
		e->host.input(e->host.ctx, &address, number, content);
		break;
	case DTLS_ALERT:
		take_alert(e, a, content);
		break;
	case DTLS_HANDSHAKE:
		take_handshake(e, a, content);
		break;
	default:
		break;
	}
}

static void moved(struct dtls_endpoint *e, struct association *a, const struct address *from)
{
	if (!a->session.own_cid_len || address_equal(&a->session.peer, from))
		return;
	a->session.peer = *from;
	e->stats.moved++;
}

bool endpoint_record(struct dtls_endpoint *e, struct association *a, const struct address *from,
		     const struct dtls_record *record)
{
	struct span content;
	uint8_t type;

	if (record->fragment.len > sizeof(e->plain)) {
		e->stats.records_malformed++;
		return true;
	}
	switch (dtls_session_open(&a->session, record, endpoint_wall(e), e->plain, &content, &type)) {
	case DTLS_OPENED:
		moved(e, a, from);
		/* fall through */
	case DTLS_OPENED_OLD:
		e->stats.records++;
		take_content(e, a, record->seq, type, content);
		return true;
	case DTLS_NOT_OURS:
		e->stats.records_foreign++;
		return true;
	case DTLS_REPLAYED:
		e->stats.records_replayed++;
		return false;
	case DTLS_NOT_AUTHENTIC:
		e->stats.records_forged++;
		if (a->session.failed_opens >= DTLS_FAILURES_MAX)
			association_end(e, a, DTLS_END_LIMIT);
		return false;
	}
	return false;
}

/* ---- datagrams ---- */

/* A plain handshake record whose first message is the beginning of a ClientHello. */
static bool is_hello(const struct dtls_record *record)
{
	struct reader r = reader_of(record->fragment);
	struct dtls_fragment f;

	return record->type == DTLS_HANDSHAKE && dtls_fragment_parse(&r, &f) == 0 &&
	       f.type == DTLS_CLIENT_HELLO && f.offset == 0;
}

/* False: a protected record of nobody here. */
static bool take_record(struct dtls_endpoint *e, const struct address *from, const struct dtls_record *record,
			uint64_t now_ms)
{
	struct association *a;
	bool contested;

	if (record->epoch == 0) {
		if (is_hello(record))
			attempt_hello(e, from, record, now_ms);
		else if (!attempt_input(e, from, record, now_ms))
			e->stats.records_unknown++;
		return true;
	}
	a = record->type == DTLS_TLS12_CID ? association_by_cid(e, record->cid)
					   : association_by_address(e, from);
	/* Without connection ids an old session and a new handshake may share an address: what the one cannot
	 * open is the other's. */
	contested = a && !a->session.own_cid_len && attempt_is_at(e, from);
	if (a && !a->held && !(contested && record->type == DTLS_HANDSHAKE) &&
	    (endpoint_record(e, a, from, record) || !contested))
		return true;
	return attempt_input(e, from, record, now_ms);
}

static void input(struct dtls_endpoint *e, const struct address *from, struct span datagram, bool asked,
		  uint64_t now_ms)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;

	while (reader_left(&r) > 0) {
		if (dtls_record_parse(&r, DTLS_CID_OWN, &record) < 0) {
			e->stats.records_malformed++;
			return;
		}
		if (take_record(e, from, &record, now_ms))
			continue;
		e->stats.records_unknown++;
		if (!asked && e->host.unknown && e->host.unknown(e->host.ctx, from, record.cid, datagram))
			return;
	}
}

void dtls_endpoint_input(struct dtls_endpoint *e, const struct address *from, struct span datagram,
			 uint64_t now_ms)
{
	input(e, from, datagram, false, now_ms);
}

void dtls_endpoint_input_asked(struct dtls_endpoint *e, const struct address *from, struct span datagram,
			       uint64_t now_ms)
{
	input(e, from, datagram, true, now_ms);
}
