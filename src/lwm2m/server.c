/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The management server as a whole: what comes in goes to the interface it belongs to.
 */

#include <errno.h>

#include "lwm2m/core.h"

#define HOUR_MS (3600 * 1000ULL)

void lwm2m_config_init(struct lwm2m_config *c)
{
	*c = (struct lwm2m_config){
		.default_lifetime_s = 86400,
		.lifetime_grace_ms = 93000,
		.awake_ms = 93000,
		.devices_max = 1000000,
		.requests_max = 20000,
		.observe_rate = 1000,
		.queue = {.ttl_ms = 24 * HOUR_MS,
			  .ttl_max_ms = 30 * 24 * HOUR_MS,
			  .keep_ms = 24 * HOUR_MS,
			  .requests_max = 32,
			  .bytes_max = 256 * 1024,
			  .attempts_max = 10,
			  .rate = 1000},
		.coap = coap_params_default,
	};
}

static const struct coap_assembly_limits assembly_limits = {
	.body_max = STORE_RECORD_MAX - 4096, /* what a record or an event can hold */
	.bytes_max = 16 << 20,
	.per_address = 2,
	.idle_ms = COAP_EXCHANGE_LIFETIME_MS,
};

struct lwm2m_server *lwm2m_server_new(const struct lwm2m_config *config, const struct lwm2m_host *host,
				      const struct registry *registry, struct timers *timers,
				      struct random *random, struct log *log)
{
	enum { WRITES_MAX = 200000, ARENA_MAX = 1 << 20 };
	struct lwm2m_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->config = *config;
	s->host = *host;
	s->registry = registry;
	s->timers = timers;
	s->random = random;
	s->log = log;
	coap_layer_init(&s->coap, timers, random, config->requests_max, host->send, host->ctx);
	coap_assemblies_init(&s->assemblies, timers, &config->hash_key, &assembly_limits);
	map_init(&s->devices);
	map_init(&s->addresses);
	map_init(&s->tickets);
	pool_init(&s->effects, sizeof(struct effect), WRITES_MAX);
	pool_init(&s->operations, sizeof(struct operation), config->requests_max);
	arena_init(&s->arena, ARENA_MAX);
	s->event_body = buffer_of(STORE_EVENT_MAX);
	map_init(&s->remotes);
	list_init(&s->giving);
	queues_init(s);
	policies_init(s);
	return s;
}

struct lwm2m_server *lwm2m_server_free(struct lwm2m_server *s)
{
	struct device *d;
	uint32_t cursor = 0;

	if (!s)
		return NULL;
	giving_deinit(s);
	remotes_deinit(s);
	while ((d = device_next(s, &cursor))) {
		queue_detach(d);
		free(d->record);
		free(d->fresh);
		timer_cancel(s->timers, &d->timer);
		list_for_each (node, &d->operations) {
			struct operation *op = container_of(node, struct operation, node);

			timer_cancel(s->timers, &op->timeout);
			operation_release(op);
		}
		coap_peer_deinit(&s->coap, &d->peer);
		free(d);
	}
	queues_deinit(s);
	policies_deinit(s);
	coap_assemblies_deinit(&s->assemblies);
	coap_layer_deinit(&s->coap);
	map_deinit(&s->devices);
	map_deinit(&s->addresses);
	map_deinit(&s->tickets);
	free(s->slots);
	pool_deinit(&s->effects);
	pool_deinit(&s->operations);
	arena_deinit(&s->arena);
	buffer_deinit(&s->event_body);
	free(s);
	return NULL;
}

/* ---- requests of devices ---- */

/* Options that a request to us may carry (RFC 7252, 5.4.1). */
static const uint16_t known_options[] = {
	COAP_OPTION_URI_HOST, COAP_OPTION_URI_PORT, COAP_OPTION_URI_PATH, COAP_OPTION_URI_QUERY,
	COAP_OPTION_ACCEPT,   COAP_OPTION_BLOCK1,   COAP_OPTION_BLOCK2,	  0};

static void reply_code(struct lwm2m_server *s, const struct incoming *in, uint8_t code)
{
	struct coap_reply_to to = coap_reply_to(in->m, in->from);

	s->stats.refused++;
	coap_reply_code(&s->coap, &to, code, NULL);
}

bool request_location(const struct coap_message *m, struct span *id)
{
	const struct coap_option *first = coap_find(m, COAP_OPTION_URI_PATH);
	const struct coap_option *second = first ? coap_find_next(m, first) : NULL;

	if (!second || coap_find_next(m, second) || !span_is(coap_value(first), "rd") || second->len == 0)
		return false;
	*id = coap_value(second);
	return true;
}

static void dispatch(struct lwm2m_server *s, const struct incoming *in)
{
	const struct coap_message *m = in->m;
	struct span id;

	if (coap_path_is(m, "/rd") && m->code == COAP_POST)
		register_handle(s, in);
	else if (coap_path_is(m, "/dp") && m->code == COAP_POST)
		send_handle(s, in);
	else if (coap_path_is(m, "/rd") || coap_path_is(m, "/dp"))
		reply_code(s, in, COAP_METHOD_NOT_ALLOWED);
	else if (!request_location(m, &id))
		reply_code(s, in, COAP_NOT_FOUND);
	else if (m->code == COAP_POST)
		update_handle(s, in, id);
	else if (m->code == COAP_DELETE)
		deregister_handle(s, in, id);
	else
		reply_code(s, in, COAP_METHOD_NOT_ALLOWED);
}

/* ---- requests in blocks ---- */

static void reply_block(struct lwm2m_server *s, const struct incoming *in, uint8_t code,
			const struct coap_block *b)
{
	struct coap_reply_to to = coap_reply_to(in->m, in->from);
	struct coap_message reply;

	coap_message_init(&reply, COAP_ACK, code, 0, to.token);
	(void)coap_add_block(&reply, COAP_OPTION_BLOCK1, b);
	if (code == COAP_REQUEST_ENTITY_TOO_LARGE)
		(void)coap_add_uint(&reply, COAP_OPTION_SIZE1, (uint32_t)s->assemblies.limits.body_max);
	(void)coap_reply(&s->coap, &to, &reply);
}

/* The device that sends this request, as far as the request says it without its body. */
static struct device *claimed_device(struct lwm2m_server *s, const struct incoming *in)
{
	struct span id;

	if (request_location(in->m, &id))
		return device_find_id(s, id);
	if (!coap_path_is(in->m, "/rd"))
		return device_find_address(s, in->from);
	for (const struct coap_option *o = coap_find(in->m, COAP_OPTION_URI_QUERY); o;
	     o = coap_find_next(in->m, o))
		if (o->len > 3 && memcmp(o->value, "ep=", 3) == 0)
			return device_find(s, span_from(coap_value(o), 3));
	return NULL;
}

/* A block behind a gap is 4.08, unless it is the last one of a transfer that is done, sent again because its
 * answer was lost. */
static void incomplete(struct lwm2m_server *s, const struct incoming *in, const struct coap_block *b)
{
	struct device *d = claimed_device(s, in);

	if (!d || device_seen(d, in) == COAP_SEEN_NEW)
		reply_block(s, in, COAP_REQUEST_ENTITY_INCOMPLETE, b);
}

static void handle_block(struct lwm2m_server *s, const struct incoming *in, const struct coap_block *b)
{
	struct incoming whole = *in;
	struct coap_message m;
	struct buffer body;

	switch (coap_assemble(&s->assemblies, in->from, in->m, b, in->now_ms, &body)) {
	case COAP_ASSEMBLED:
		m = *in->m;
		m.payload = buffer_span(&body);
		whole.m = &m;
		dispatch(s, &whole);
		buffer_deinit(&body);
		break;
	case COAP_ASSEMBLY_CONTINUE:
		reply_block(s, in, COAP_CONTINUE, b);
		break;
	case COAP_ASSEMBLY_INCOMPLETE:
		incomplete(s, in, b);
		break;
	case COAP_ASSEMBLY_TOO_LARGE:
		reply_block(s, in, COAP_REQUEST_ENTITY_TOO_LARGE, b);
		break;
	case COAP_ASSEMBLY_BAD:
		reply_code(s, in, COAP_BAD_REQUEST);
		break;
	}
}

static void handle_request(struct lwm2m_server *s, const struct incoming *in)
{
	struct coap_block b;

	if (coap_unknown_critical(in->m, known_options)) {
		reply_code(s, in, COAP_BAD_OPTION);
		return;
	}
	switch (coap_find_block(in->m, COAP_OPTION_BLOCK1, &b)) {
	case COAP_BLOCK_ABSENT:
		dispatch(s, in);
		break;
	case COAP_BLOCK_FOUND:
		if (b.num == 0 && !b.more)
			dispatch(s, in);
		else
			handle_block(s, in, &b);
		break;
	case COAP_BLOCK_BAD:
		reply_code(s, in, COAP_BAD_REQUEST);
		break;
	}
}

/* `source`: what names the sender also to another process. */
static void input(struct lwm2m_server *s, struct incoming *in, struct span source)
{
	struct coap_message m;
	enum coap_input kind;

	in->now_ms = server_now(s);
	in->m = &m;
	if (datagram_is_elsewhere(s, in))
		return;
	kind = coap_input(&s->coap, in->from, in->datagram, in->now_ms, &m);
	if (kind != COAP_INPUT_REQUEST && kind != COAP_INPUT_RESPONSE)
		return;
	in->hash = coap_dedup_hash(&s->config.hash_key, in->datagram, source);
	if (incoming_is_elsewhere(s, in))
		return;
	if (kind == COAP_INPUT_REQUEST)
		handle_request(s, in);
	else
		notification_handle(s, in);
}

static void input_plain(struct lwm2m_server *s, const struct address *from, struct span datagram,
			bool fetched)
{
	struct incoming in = {.from = from, .datagram = datagram, .place = *from, .fetched = fetched};

	input(s, &in, span_of(from, sizeof(*from)));
}

static void input_secure(struct lwm2m_server *s, const struct address *peer, uint64_t number,
			 struct span datagram, bool fetched)
{
	const struct lwm2m_security *security = s->host.security;
	struct incoming in = {
		.from = peer, .datagram = datagram, .secure = true, .number = number, .fetched = fetched};
	uint64_t session;

	/* Message ids of another session say nothing: many devices count from the same one after each boot.
	 */
	if (security->place(security->ctx, peer, &in.place, &session))
		input(s, &in, span_of(&session, sizeof(session)));
}

void lwm2m_server_input(struct lwm2m_server *s, const struct address *from, struct span datagram)
{
	input_plain(s, from, datagram, false);
}

void lwm2m_server_input_secure(struct lwm2m_server *s, const struct address *peer, uint64_t number,
			       struct span datagram)
{
	input_secure(s, peer, number, datagram, false);
}

void lwm2m_server_input_asked(struct lwm2m_server *s, const struct address *from, bool secure,
			      uint64_t number, struct span datagram)
{
	if (secure)
		input_secure(s, from, number, datagram, true);
	else
		input_plain(s, from, datagram, true);
}

/* ---- the northbound view ---- */

const struct registry *lwm2m_registry(const struct lwm2m_server *s)
{
	return s->registry;
}

size_t lwm2m_device_count(const struct lwm2m_server *s)
{
	return s->registered;
}

struct device *lwm2m_find(struct lwm2m_server *s, struct span endpoint)
{
	struct device *d = device_find(s, endpoint);

	return d && device_is_registered(d) ? d : NULL;
}

struct device *lwm2m_next(struct lwm2m_server *s, uint32_t *cursor)
{
	struct device *d;

	do
		d = device_next(s, cursor);
	while (d && !device_is_registered(d));
	return d;
}

void lwm2m_stats(const struct lwm2m_server *s, struct lwm2m_stats *out)
{
	*out = s->stats;
	out->devices = s->registered;
	out->requests_active = s->operations.used + s->remotes.count;
	out->coap = s->coap.stats;
}
