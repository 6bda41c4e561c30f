/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What of a node is the cluster's: which nodes there are, what is said over links, and the translation
 * between devices as owners.h sees them (a key, a proof, luggage) and as the management server has them.
 *
 * Decides one thing: what proves that a device speaks here. A record that authenticates under the stored
 * session and is new does; a message of a session that was made here does; without security a message that
 * names the registration, or a token of its observations, does, as far as it can. An answer to a request, or
 * a bare address, names a device and proves nothing.
 */

#include "daemon/cluster.h"

#include "cluster/link.h"
#include "cluster/owners.h"
#include "cluster/slots.h"
#include "cluster/via.h"

#include <errno.h>

enum { LEASES_TO_LEAVE = 2, MESSAGE_MAX = 4 << 20, TELL_MS = 5000 };

struct cluster {
	struct cluster_parts parts;
	struct members *members;
	struct owners *owners;
	struct links *links;
	struct lwm2m_server *server;
	struct secure *secure;
	struct http *http;
	struct http_cluster http_cluster;
	bool joined;
	struct via_table via;
	struct slot_table slots;
	uint32_t peers[MEMBERS_MAX]; /* that the links know */
	size_t peer_count;
	struct timer leaving;
	bool emptying; /* the devices are being given away */
	void (*left)(void *ctx);
	void *left_ctx;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* ---- what devices are, for owners.h ---- */

static bool host_here(void *ctx, struct store_key key)
{
	return lwm2m_server_has(((struct cluster *)ctx)->server, key.endpoint);
}

static bool host_fresh(void *ctx, struct store_key key, struct span record)
{
	struct cluster *c = ctx;
	struct address peer;

	return c->secure && lwm2m_server_peer(c->server, key.endpoint, &peer) &&
	       secure_is_news(c->secure, &peer, record);
}

struct ready {
	owners_ready_fn *ready;
	void *arg;
};

static void on_ready(void *ctx, int result, const struct store_write *w, struct span luggage)
{
	struct ready r = *(struct ready *)ctx;
	struct store_device stored = {0};

	free(ctx);
	if (result == 0)
		stored = (struct store_device){
			.key = w->key, .hot = *w->hot, .record = w->record, .expires_ms = w->expires_ms};
	r.ready(r.arg, result, w, &stored, luggage);
}

static void host_give(void *ctx, struct store_key key, owners_ready_fn *ready, void *arg)
{
	struct cluster *c = ctx;
	struct ready *r = malloc(sizeof(*r));
	int err = -ENOMEM;

	if (r) {
		*r = (struct ready){ready, arg};
		err = lwm2m_server_give(c->server, key.endpoint, on_ready, r);
	}
	if (err == 0)
		return;
	free(r);
	ready(arg, err, NULL, NULL, span_of(NULL, 0));
}

static void host_given(void *ctx, struct store_key key, enum owners_end end)
{
	static const enum lwm2m_given how[] = {
		[OWNERS_GONE] = LWM2M_GONE, [OWNERS_KEPT] = LWM2M_KEPT, [OWNERS_LOST] = LWM2M_LOST};
	struct cluster *c = ctx;

	lwm2m_server_given(c->server, key.endpoint, how[end]);
}

static int host_take(void *ctx, const struct store_device *stored, struct span luggage)
{
	struct cluster *c = ctx;
	int err = lwm2m_server_take(c->server, stored, luggage);
	char ep[128];

	if (err < 0)
		log_limited(c->parts.log, LOG_WARN, 10, "device-not-taken", "ep=%s error=\"%s\"",
			    log_quote(stored->key.endpoint.data, stored->key.endpoint.len, ep, sizeof(ep)),
			    strerror(-err));
	else if (luggage.len == 0)
		lwm2m_server_abandoned(c->server, stored->key.endpoint);
	return err;
}

static void host_lost(void *ctx, struct store_key key, uint32_t gen)
{
	lwm2m_server_drop(((struct cluster *)ctx)->server, key.endpoint, gen);
}

static void host_missing(void *ctx, struct store_key key)
{
	lwm2m_server_missing(((struct cluster *)ctx)->server, key.endpoint);
}

static void host_vacant(void *ctx, const struct store_device *tombstone)
{
	struct cluster *c = ctx;

	if (lwm2m_server_take(c->server, tombstone, span_of(NULL, 0)) < 0)
		log_limited(c->parts.log, LOG_DEBUG, 10, "tombstone-not-taken", "gen=%u",
			    tombstone->hot.fence.gen);
}

static enum owners_proof judge_record(const struct cluster *c, const struct store_device *stored,
				      const struct parcel *p)
{
	struct registration r;
	bool proves = c->secure && registration_decode(stored->record, &r) == 0 && r.session.len > 0 &&
		      secure_proves(c->secure, stored->key.endpoint, r.session, stored->hot.fence.gen,
				    stored->hot.mark, p->datagram);

	/* Its owner knows the session better than the store does. */
	return proves ? OWNERS_PROVES : OWNERS_NAMES;
}

static struct lwm2m_wanted wanted_of(const struct parcel *p)
{
	struct lwm2m_wanted w = {.by = (enum lwm2m_named)p->named,
				 .name = p->name,
				 .claim = p->claim,
				 .from = &p->from,
				 .secure = p->kind == PARCEL_SESSION,
				 .number = p->number,
				 .datagram = p->datagram};

	if (w.by == LWM2M_BY_ENDPOINT)
		w.endpoint = p->name;
	return w;
}

/* A request is the device's own; an answer is one only if it is a notification. */
static bool moves_plain(const struct lwm2m_wanted *w)
{
	struct coap_message m;

	switch (w->by) {
	case LWM2M_BY_ENDPOINT:
	case LWM2M_BY_ID:
		return true;
	case LWM2M_BY_TOKEN:
		return lwm2m_token_is_observation(w->name);
	case LWM2M_BY_ADDRESS:
		return coap_parse(w->datagram, &m) == COAP_PARSED && m.code >= COAP_GET &&
		       m.code <= COAP_IPATCH;
	}
	return false;
}

static enum owners_proof host_judge(void *ctx, const struct store_device *stored, const struct parcel *p)
{
	struct cluster *c = ctx;
	struct lwm2m_wanted w;

	if (p->kind == PARCEL_RECORD)
		return judge_record(c, stored, p);
	w = wanted_of(p);
	if (!lwm2m_wanted_is(c->server, &w, stored))
		return OWNERS_NOT_ITS;
	return w.secure || moves_plain(&w) ? OWNERS_PROVES : OWNERS_NAMES;
}

static void host_input(void *ctx, const struct parcel *p)
{
	struct cluster *c = ctx;

	if (p->kind == PARCEL_RECORD)
		secure_input_asked(c->secure, &p->from, p->datagram);
	else
		lwm2m_server_input_asked(c->server, &p->from, p->kind == PARCEL_SESSION, p->number,
					 p->datagram);
}

static uint64_t host_expires(void *ctx, const struct store_device *stored)
{
	return lwm2m_stored_expires_ms(((struct cluster *)ctx)->server, stored);
}

static bool host_next(void *ctx, uint32_t *cursor, struct store_key *key)
{
	key->role = STORE_MANAGEMENT;
	return lwm2m_server_walk(((struct cluster *)ctx)->server, cursor, &key->endpoint);
}

static int host_call(void *ctx, uint32_t node, enum message_kind kind, struct span body, uint64_t timeout_ms,
		     owners_called_fn *done, void *arg)
{
	return links_call(((struct cluster *)ctx)->links, node, (uint16_t)kind, body, timeout_ms, done, arg,
			  NULL);
}

static void host_send(void *ctx, uint32_t node, enum message_kind kind, struct span body)
{
	struct cluster *c = ctx;
	int err = links_send(c->links, node, (uint16_t)kind, body);

	if (err < 0) /* whoever waits for it sends again */
		log_limited(c->parts.log, LOG_DEBUG, 10, "message-dropped", "node=%u kind=%d error=\"%s\"",
			    node, kind, strerror(-err));
}

static void host_answer(void *ctx, void *call, struct span body)
{
	(void)ctx;
	if (links_answer(call, body) < 0)
		return; /* its caller is told */
}

static const struct owners_host owners_host = {
	.here = host_here,
	.fresh = host_fresh,
	.give = host_give,
	.given = host_given,
	.take = host_take,
	.lost = host_lost,
	.missing = host_missing,
	.vacant = host_vacant,
	.judge = host_judge,
	.input = host_input,
	.expires_ms = host_expires,
	.next = host_next,
	.call = host_call,
	.send = host_send,
	.answer = host_answer,
};

/* ---- what the management server and the DTLS endpoint ask ---- */

bool cluster_fetch(struct cluster *c, const struct lwm2m_wanted *w)
{
	struct parcel p = {.kind = w->secure ? PARCEL_SESSION : PARCEL_PLAIN,
			   .from = *w->from,
			   .number = w->number,
			   .named = (uint8_t)w->by,
			   .name = w->by == LWM2M_BY_ENDPOINT ? w->endpoint : w->name,
			   .claim = w->claim,
			   .datagram = w->datagram};
	uint8_t key[LWM2M_ADDRESS_KEY];

	/* Whoever passed it on took us for its owner; it is not passed on again. */
	if (!w->secure && via_is(w->from))
		return true;
	if (w->leaving || w->by == LWM2M_BY_ENDPOINT)
		return owners_find_endpoint(c->owners, w->endpoint, &p);
	if (w->by == LWM2M_BY_ADDRESS)
		return owners_find_index(c->owners, STORE_INDEX_ADDRESS, lwm2m_address_key(w->from, key), &p);
	return owners_find_hash(c->owners, w->hash, &p);
}

/* A DTLS record begins with its type, 20 to 25; a message of CoAP with its version in the upper two bits (RFC
 * 7983). */
static bool is_record(struct span datagram)
{
	return datagram.len > 0 && datagram.data[0] >= 20 && datagram.data[0] <= 63;
}

bool cluster_unknown(struct cluster *c, const struct address *from, struct span cid, struct span datagram)
{
	const struct parcel p = {.kind = PARCEL_RECORD, .from = *from, .datagram = datagram};
	uint8_t key[LWM2M_ADDRESS_KEY];

	if (via_is(from))
		return true;
	if (cid.len)
		return owners_find_index(c->owners, STORE_INDEX_CID, cid, &p);
	return owners_find_index(c->owners, STORE_INDEX_ADDRESS, lwm2m_address_key(from, key), &p);
}

void cluster_emit(struct cluster *c, const struct address *to, struct span datagram)
{
	_cleanup_buffer_ struct buffer body = buffer_of(1 << 17);
	struct message_datagram d = {.place = *to, .datagram = datagram};
	uint32_t node;

	if (via_leave(&c->via, &d.place, &node)) {
		message_datagram_encode(&d, &body);
		if (!body.failed)
			host_send(c, node, MESSAGE_EMIT, buffer_span(&body));
		return;
	}
	/* Of a node that is gone, or as another node knew it: our own socket is as good as any. */
	d.place.listener = (uint8_t)(is_record(datagram) ? c->parts.plain_count : 0);
	c->parts.emit(c->parts.ctx, &d.place, datagram);
}

void cluster_answer(struct cluster *c, const struct lwm2m_origin *origin, const struct lwm2m_answer *answer)
{
	_cleanup_buffer_ struct buffer body = buffer_of(MESSAGE_MAX);
	const struct store_fence node = {.node = origin->node, .incarnation = origin->incarnation};

	if (!members_is_live(c->members, &node))
		return; /* nobody waits there any more */
	buffer_uint(&body, origin->ticket, 8);
	if (lwm2m_answer_encode(answer, &body) == 0)
		host_send(c, origin->node, MESSAGE_ANSWER, buffer_span(&body));
}

static void begin_leaving(struct cluster *c);

/* ---- what other nodes say ---- */

static bool is_answer(struct span datagram)
{
	struct coap_message m;

	if (coap_parse(datagram, &m) != COAP_PARSED)
		return false;
	return m.type == COAP_ACK || m.type == COAP_RST ||
	       (!coap_is_request(m.code) && !lwm2m_token_is_observation(span_of(m.token.bytes, m.token.len)));
}

/* An answer without security is known by the address that was asked, which we know by a socket of our own.
 * What follows from it (an ACK) leaves there, as the request did. */
static void place_answer(const struct cluster *c, struct address *place)
{
	struct address at = *place;

	for (unsigned i = 0; i < c->parts.plain_count; i++) {
		at.listener = (uint8_t)i;
		if (!lwm2m_server_reaches(c->server, &at))
			continue;
		*place = at;
		return;
	}
}

static void take_forwarded(struct cluster *c, uint32_t node, struct span body)
{
	struct message_datagram d;

	if (!message_datagram_decode(body, &d) || !via_enter(&c->via, node, &d.place))
		return;
	if (!d.dtls && is_answer(d.datagram))
		place_answer(c, &d.place);
	c->parts.input(c->parts.ctx, &d.place, d.dtls, d.datagram);
}

static void take_emission(struct cluster *c, struct span body)
{
	struct message_datagram d;

	if (message_datagram_decode(body, &d) && !via_is(&d.place))
		c->parts.emit(c->parts.ctx, &d.place, d.datagram);
}

static void take_answer(struct cluster *c, struct span body)
{
	struct reader r = reader_of(body);
	uint64_t ticket = reader_u64(&r);
	struct lwm2m_answer answer;

	if (!r.failed && lwm2m_answer_decode(reader_rest(&r), &answer) == 0)
		lwm2m_server_answered(c->server, ticket, &answer);
}

static void on_message(void *ctx, uint32_t node, uint64_t incarnation, uint16_t kind, struct span body)
{
	struct cluster *c = ctx;

	(void)incarnation;
	switch (kind) {
	case MESSAGE_LOST:
		owners_on_lost(c->owners, body);
		break;
	case MESSAGE_FORWARD:
		take_forwarded(c, node, body);
		break;
	case MESSAGE_EMIT:
		take_emission(c, body);
		break;
	case MESSAGE_ANSWER:
		take_answer(c, body);
		break;
	case MESSAGE_DRAIN:
		log_event(c->parts.log, LOG_INFO, "draining", "asked-by=%u", node);
		begin_leaving(c);
		break;
	default: /* of a newer version */
		break;
	}
}

static void take_change(struct cluster *c, struct span body, struct links_call *call)
{
	struct message_changed m;

	if (message_changed_decode(body, &m))
		c->parts.changed(c->parts.ctx, m.kind, m.name);
	if (links_answer(call, span_of(NULL, 0)) < 0)
		return; /* its caller is told */
}

static void on_executed(void *arg, struct span answer)
{
	if (answer.len == 0)
		links_refuse(arg, -ECONNRESET);
	else if (links_answer(arg, answer) < 0)
		return; /* its caller is told */
}

static void on_call(void *ctx, uint32_t node, uint64_t incarnation, uint16_t kind, struct span body,
		    struct links_call *call)
{
	struct cluster *c = ctx;

	switch (kind) {
	case MESSAGE_ASK:
		owners_on_ask(c->owners, node, incarnation, body, call);
		break;
	case MESSAGE_GIVE:
		owners_on_give(c->owners, body, call);
		break;
	case MESSAGE_HTTP:
		if (c->http)
			http_execute(c->http, body, on_executed, call);
		else
			links_refuse(call, -ECONNRESET);
		break;
	case MESSAGE_CHANGED:
		take_change(c, body, call);
		break;
	default:
		links_refuse(call, -ENOSYS);
		break;
	}
}

static void on_stranger(void *ctx, uint32_t node, uint64_t incarnation)
{
	(void)node;
	(void)incarnation;
	members_refresh(((struct cluster *)ctx)->members);
}

static const struct links_handlers link_handlers = {on_message, on_call, on_stranger};

/* ---- over HTTP ---- */

struct inquiry {
	http_where_fn *done;
	void *arg;
};

static void on_where(void *ctx, enum owners_where where, uint32_t node)
{
	static const enum http_where answers[] = {[OWNERS_HERE] = HTTP_HERE,
						  [OWNERS_AT] = HTTP_AT,
						  [OWNERS_NOWHERE] = HTTP_NOWHERE,
						  [OWNERS_AWAY] = HTTP_AWAY};
	struct inquiry q = *(struct inquiry *)ctx;

	free(ctx);
	q.done(q.arg, answers[where], node);
}

static int http_where(void *ctx, struct span endpoint, http_where_fn *done, void *arg)
{
	struct cluster *c = ctx;
	struct inquiry *q = malloc(sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	*q = (struct inquiry){done, arg};
	err = owners_where(c->owners, endpoint, on_where, q);
	if (err < 0)
		free(q);
	return err;
}

static int http_pass(void *ctx, uint32_t node, struct span request, uint64_t timeout_ms, http_passed_fn *done,
		     void *arg)
{
	return links_call(((struct cluster *)ctx)->links, node, MESSAGE_HTTP, request, timeout_ms, done, arg,
			  NULL);
}

static bool http_node(void *ctx, size_t index, struct http_node *out)
{
	const struct cluster *c = ctx;
	const struct member *m = members_at(c->members, index);
	uint64_t now_ms = store_now_ms(c->parts.store);

	if (!m)
		return false;
	*out = (struct http_node){.id = m->node,
				  .incarnation = m->incarnation,
				  .leaving = m->state == MEMBER_LEAVING,
				  .left_ms = m->until_ms > now_ms ? m->until_ms - now_ms : 0,
				  .link = m->link,
				  .http = m->http,
				  .version = m->version};
	for (unsigned i = 0; i < SLOTS; i++)
		out->slots += c->slots.node[i] == m->node;
	return true;
}

static bool http_settling(void *ctx)
{
	return members_is_settling(((struct cluster *)ctx)->members);
}

static bool others_stay(const struct cluster *c, uint32_t node)
{
	const struct member *m;

	for (size_t i = 0; (m = members_at(c->members, i)); i++)
		if (m->node != node && m->state == MEMBER_UP)
			return true;
	return false;
}

static void http_changed(void *ctx, enum store_document kind, struct span name)
{
	cluster_changed(ctx, (uint8_t)kind, name);
}

static int http_drain(void *ctx, uint32_t node)
{
	struct cluster *c = ctx;

	if (!members_find(c->members, node))
		return -ENOENT;
	if (!others_stay(c, node))
		return -EBUSY;
	if (node != (uint32_t)c->parts.settings->node_id)
		return links_send(c->links, node, MESSAGE_DRAIN, span_of(NULL, 0));
	log_event(c->parts.log, LOG_INFO, "draining", "asked-by=%u", node);
	begin_leaving(c);
	return 0;
}

const struct http_cluster *cluster_http(struct cluster *c)
{
	return &c->http_cluster;
}

void cluster_serve_http(struct cluster *c, struct http *http)
{
	c->http = http;
}

/* ---- who is there ---- */

static void forget_gone(struct cluster *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->peer_count; i++) {
		uint32_t node = c->peers[i];

		if (members_find(c->members, node)) {
			c->peers[kept++] = node;
			continue;
		}
		log_event(c->parts.log, LOG_INFO, "node-gone", "node=%u", node);
		links_drop_peer(c->links, node);
		via_forget(&c->via, node);
	}
	c->peer_count = kept;
}

static bool knows(const struct cluster *c, uint32_t node)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i] == node)
			return true;
	return false;
}

static void meet(struct cluster *c, const struct member *m)
{
	char at[ADDRESS_TEXT];
	int err = links_set_peer(c->links, m->node, m->incarnation, &m->link);

	if (err < 0)
		log_event(c->parts.log, LOG_ERROR, "node-unreachable", "node=%u link=%s error=\"%s\"",
			  m->node, address_format(&m->link, at), strerror(-err));
	if (knows(c, m->node))
		return;
	c->peers[c->peer_count++] = m->node;
	log_event(c->parts.log, LOG_INFO, "node-there", "node=%u link=%s version=%s", m->node,
		  address_format(&m->link, at), m->version);
}

/* Slots of nodes that share our ports are steered here by the kernel. */
static void steer(const struct cluster *c, const struct slot_table *table)
{
	const struct shared *shared = c->parts.shared;
	uint8_t index[SLOTS];
	int err;

	if (!shared || shared->tables.slots < 0)
		return;
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t at = (uint64_t)table->node[i] + shared->index - c->parts.settings->node_id;

		index[i] = (uint8_t)(at < shared->count ? at : STEER_NODES_MAX);
	}
	err = steer_set_slots(shared->tables.slots, index);
	if (err < 0)
		log_event(c->parts.log, LOG_WARN, "not-steered", "error=\"%s\"", strerror(-err));
}

static void share_slots(struct cluster *c)
{
	struct slot_member members[MEMBERS_MAX];
	uint16_t own[SLOTS];
	size_t count = 0, owned = 0;
	const struct member *m;

	for (size_t i = 0; (m = members_at(c->members, i)); i++)
		if (m->state == MEMBER_UP)
			members[count++] = (struct slot_member){m->node, MIN(m->weight, SLOT_WEIGHT_MAX)};
	if (slot_table_make(members, count, &c->slots) < 0)
		return; /* some lease is nonsense: the last table stands */
	for (unsigned i = 0; i < SLOTS; i++)
		if (c->slots.node[i] == c->parts.settings->node_id)
			own[owned++] = (uint16_t)i;
	if (c->secure && secure_set_slots(c->secure, own, owned) < 0)
		log_event(c->parts.log, LOG_WARN, "slots-not-taken", "error=\"%s\"", strerror(ENOMEM));
	steer(c, &c->slots);
}

static void on_members(void *ctx)
{
	struct cluster *c = ctx;
	const struct member *m;

	forget_gone(c);
	for (size_t i = 0; (m = members_at(c->members, i)); i++)
		if (m->node != (uint32_t)c->parts.settings->node_id)
			meet(c, m);
	share_slots(c);
	if (!c->joined) {
		c->joined = true;
		c->parts.joined(c->parts.ctx);
	}
}

static void on_refused(void *ctx, const struct store_lease *other)
{
	struct cluster *c = ctx;

	(void)other;
	log_event(c->parts.log, LOG_ERROR, "node-id-taken",
		  "node=%u hint=\"another process serves as this node: give each its own [node] id\"",
		  (unsigned)c->parts.settings->node_id);
	c->parts.refused(c->parts.ctx);
}

/* ---- life ---- */

bool cluster_wanted(const struct daemon_settings *settings)
{
	return strncmp(settings->store_url, "lmdb:", 5) != 0;
}

static void link_keys(const struct vault *v, struct links_config *config)
{
	config->key_count = MIN(v->key_count, (size_t)LINKS_KEYS);
	for (size_t i = 0; i < config->key_count; i++) {
		memcpy(config->keys[i].id, v->keys[i].id, sizeof(config->keys[i].id));
		vault_derive_by(v, i, "shoal link", 0, config->keys[i].psk);
	}
}

static int open_links(struct cluster *c)
{
	const struct daemon_settings *set = c->parts.settings;
	struct links_config config = {.node = (uint32_t)set->node_id,
				      .incarnation = store_incarnation(c->parts.store),
				      .loop = c->parts.loop,
				      .timers = c->parts.timers,
				      .random = c->parts.random,
				      .log = c->parts.log,
				      .message_max = MESSAGE_MAX,
				      .bytes_max = 4 * MESSAGE_MAX};
	int err = address_parse(set->cluster_listen, &config.listen);

	if (err == 0)
		link_keys(c->parts.vault, &config);
	if (err == 0)
		err = links_new(&config, &link_handlers, c, &c->links);
	explicit_bzero(config.keys, sizeof(config.keys));
	if (err < 0)
		log_event(c->parts.log, LOG_ERROR, "cannot-listen",
			  "link=%s error=\"%s\" hint=\"see [cluster] listen\"", set->cluster_listen,
			  strerror(-err));
	return err;
}

static int start_members(struct cluster *c)
{
	const struct daemon_settings *set = c->parts.settings;
	const struct members_host host = {c, on_members, on_refused};
	struct members_config config = {.self = {.state = MEMBER_UP,
						 .weight = (uint16_t)set->cluster_weight,
						 .record_min = REGISTRATION_RECORD_OLDEST,
						 .record_max = REGISTRATION_RECORD},
					.ttl_ms = set->cluster_lease_ms,
					.renew_ms = set->cluster_lease_ms / 3};
	struct member *self = &config.self;
	int err = address_parse(set->http_listen, &self->http);

	if (err == 0)
		err = address_parse(set->cluster_advertise ? set->cluster_advertise : set->cluster_listen,
				    &self->link);

	if (err == 0 && address_is_any(&self->link))
		err = -EINVAL;
	if (err < 0) {
		log_event(c->parts.log, LOG_ERROR, "cannot-advertise",
			  "address=\"%s\" hint=\"the other nodes have to reach this address: set [cluster] "
			  "listen, or "
			  "advertise\"",
			  set->cluster_advertise ? set->cluster_advertise : set->cluster_listen);
		return err;
	}
	if (self->link.port == 0)
		self->link.port = links_port(c->links);
	snprintf(self->version, sizeof(self->version), "%s", SHOAL_VERSION);
	c->members = members_new(&config, &host, c->parts.store, c->parts.timers);
	return c->members ? 0 : -ENOMEM;
}

static int start_owners(struct cluster *c)
{
	const struct daemon_settings *set = c->parts.settings;
	struct owners_host host = owners_host;
	struct owners_config config;

	host.ctx = c;
	owners_config_init(&config);
	config.node = (uint32_t)set->node_id;
	config.incarnation = store_incarnation(c->parts.store);
	config.lookups_per_s = (uint32_t)set->cluster_lookups_per_s;
	c->owners = owners_new(&config, &host, c->parts.store, c->members, c->parts.timers);
	return c->owners ? 0 : -ENOMEM;
}

int cluster_new(const struct cluster_parts *parts, struct cluster **out)
{
	struct cluster *c = calloc(1, sizeof(*c));

	*out = c;
	if (!c)
		return -ENOMEM;
	c->parts = *parts;
	c->http_cluster = (struct http_cluster){c,	    http_where,	 http_pass, http_node, http_settling,
						http_drain, http_changed};
	return open_links(c);
}

int cluster_serve(struct cluster *c, struct lwm2m_server *server, struct secure *secure)
{
	int err;

	c->server = server;
	c->secure = secure;
	err = start_members(c);
	return err < 0 ? err : start_owners(c);
}

/* ---- what changes for all ---- */

static void on_told(void *ctx, int err, struct span answer)
{
	struct cluster *c = ctx;

	(void)answer;
	if (err < 0 && err != -ECANCELED)
		log_limited(c->parts.log, LOG_WARN, 10, "change-not-told",
			    "error=\"%s\" hint=\"a node may still know an older token, key or model: it "
			    "reads tokens "
			    "again by itself, the rest when it is started anew\"",
			    strerror(-err));
}

void cluster_changed(struct cluster *c, uint8_t kind, struct span name)
{
	_cleanup_buffer_ struct buffer body = buffer_of(STORE_NAME_MAX + 64);
	const struct message_changed m = {kind, name};

	if (!c->links)
		return;
	message_changed_encode(&m, &body);
	for (size_t i = 0; i < c->peer_count; i++) {
		int err = links_call(c->links, c->peers[i], MESSAGE_CHANGED, buffer_span(&body), TELL_MS,
				     on_told, c, NULL);

		if (err < 0)
			on_told(c, err, span_of(NULL, 0));
	}
}

/* ---- end ---- */

static void on_drained(void *ctx, size_t left)
{
	struct cluster *c = ctx;

	if (left)
		log_event(c->parts.log, LOG_WARN, "devices-not-given",
			  "count=%zu hint=\"other nodes take them from the store when they speak\"", left);
	c->emptying = false;
	if (c->left)
		c->left(c->left_ctx);
	else
		log_event(c->parts.log, LOG_INFO, "drained", "devices=%zu", lwm2m_device_count(c->server));
}

static void on_time_to_go(struct timer *t, uint64_t now_ms)
{
	struct cluster *c = container_of(t, struct cluster, leaving);

	(void)now_ms;
	c->emptying = true;
	owners_drain(c->owners, on_drained, c);
}

/* Once at a time; who asks meanwhile is told when it is over. */
static void begin_leaving(struct cluster *c)
{
	members_leave(c->members);
	if (c->emptying || timer_is_set(&c->leaving))
		return;
	timer_set(c->parts.timers, &c->leaving,
		  c->parts.timers->now_ms + LEASES_TO_LEAVE * c->parts.settings->cluster_lease_ms,
		  on_time_to_go);
}

void cluster_leave(struct cluster *c, void (*left)(void *ctx), void *ctx)
{
	c->left = left;
	c->left_ctx = ctx;
	if (!c->owners || members_count(c->members) < 2) {
		left(ctx);
		return;
	}
	begin_leaving(c);
}

static void on_links_closed(void *ctx)
{
	struct cluster *c = ctx;

	c->links = NULL;
	c->stopped(c->stopped_ctx);
}

static void close_links(struct cluster *c)
{
	if (c->links)
		links_free(c->links, on_links_closed, c);
	else
		c->stopped(c->stopped_ctx);
}

static void on_lease_dropped(void *ctx, int result, const struct store_lease *lease)
{
	(void)result; /* else it runs out */
	(void)lease;
	close_links(ctx);
}

void cluster_stop(struct cluster *c, void (*stopped)(void *ctx), void *ctx)
{
	c->stopped = stopped;
	c->stopped_ctx = ctx;
	timer_cancel(c->parts.timers, &c->leaving);
	if (c->owners)
		owners_stop(c->owners);
	if (c->members)
		members_stop(c->members);
	if (!c->members || !members_joined(c->members) ||
	    store_lease_drop(c->parts.store, on_lease_dropped, c) < 0)
		close_links(c);
}

struct cluster *cluster_free(struct cluster *c)
{
	if (!c)
		return NULL;
	owners_free(c->owners);
	members_free(c->members);
	free(c);
	return NULL;
}
