/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * Three management servers in a test, and the device that moves between them. Each has a bench of its own
 * (clock, network, store that the test drives); what a cluster does between nodes is done here by hand: the
 * hand-over in the store, the luggage, answers on their way back.
 */

#include "lwm2m_test.h"

#include "coap/block.h"

enum { NODES = 3, FETCHED_MAX = 16 };

struct cluster;

/* What `fetch` was asked. */
struct fetched {
	enum lwm2m_named by;
	bool leaving, secure;
	uint32_t hash;
	char endpoint[64], claim[64];
	uint8_t name[16];
	size_t name_len;
	struct address from;
	uint64_t number;
	uint8_t datagram[COAP_MESSAGE_MAX];
	size_t len;
};

struct node {
	struct cluster *cluster;
	struct bench *b;
	bool fetches; /* what is not here is the host's */
	struct fetched fetched[FETCHED_MAX];
	size_t fetched_count;
	bool mute; /* answers of operations from elsewhere are lost */
	unsigned forwarded;
};

/* What lwm2m_server_give gave. */
struct given {
	unsigned calls;
	int result;
	struct bench_device stored; /* as it is after the hand-over, but for its fence */
	uint64_t expires_ms;
	struct buffer luggage;
};

struct cluster {
	struct node nodes[NODES];
	struct given given;
};

static inline bool cluster_fetch(void *ctx, const struct lwm2m_wanted *w)
{
	struct node *n = ((struct bench *)ctx)->cluster;
	struct fetched *f = &n->fetched[n->fetched_count];

	if (!n->fetches)
		return false;
	assert_true(n->fetched_count++ < FETCHED_MAX);
	*f = (struct fetched){.by = w->by,
			      .leaving = w->leaving,
			      .secure = w->secure,
			      .hash = w->hash,
			      .from = *w->from,
			      .number = w->number,
			      .name_len = w->name.len,
			      .len = w->datagram.len};
	snprintf(f->endpoint, sizeof(f->endpoint), "%.*s", (int)w->endpoint.len,
		 (const char *)w->endpoint.data);
	snprintf(f->claim, sizeof(f->claim), "%.*s", (int)w->claim.len, (const char *)w->claim.data);
	assert_in_range(w->name.len, 0, sizeof(f->name));
	if (w->name.len)
		memcpy(f->name, w->name.data, w->name.len);
	if (w->datagram.len)
		memcpy(f->datagram, w->datagram.data, w->datagram.len);
	return true;
}

/* As it was asked, for lwm2m_wanted_is. Borrows from `f`. */
static inline struct lwm2m_wanted wanted_of(const struct fetched *f)
{
	return (struct lwm2m_wanted){.by = f->by,
				     .endpoint = span_str(f->endpoint),
				     .leaving = f->leaving,
				     .hash = f->hash,
				     .name = span_of(f->name, f->name_len),
				     .claim = span_str(f->claim),
				     .from = &f->from,
				     .secure = f->secure,
				     .number = f->number,
				     .datagram = span_of(f->datagram, f->len)};
}

static inline void input_fetched(struct node *n, size_t index)
{
	const struct fetched *f = &n->fetched[index];

	lwm2m_server_input_asked(n->b->server, &f->from, f->secure, f->number, span_of(f->datagram, f->len));
}

/* The answer goes to the node where the operation began, by a link that knows bytes. */
static inline void cluster_answer(void *ctx, const struct lwm2m_origin *origin,
				  const struct lwm2m_answer *answer)
{
	struct node *n = ((struct bench *)ctx)->cluster;
	struct cluster *c = n->cluster;
	_cleanup_buffer_ struct buffer bytes = buffer_of(2 << 20);
	struct lwm2m_answer decoded;

	n->forwarded++;
	assert_in_range(origin->node, 1, NODES);
	assert_ptr_not_equal(n, &c->nodes[origin->node - 1]);
	assert_int_equal(origin->incarnation, c->nodes[origin->node - 1].b->config.fence.incarnation);
	if (n->mute)
		return;
	assert_int_equal(lwm2m_answer_encode(answer, &bytes), 0);
	assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &decoded), 0);
	lwm2m_server_answered(c->nodes[origin->node - 1].b->server, origin->ticket, &decoded);
}

/* `layers`: one for each node, or NULL. */
static inline struct cluster *cluster_with(const struct lwm2m_security *const *layers)
{
	struct cluster *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = &c->nodes[i];

		n->cluster = c;
		n->b = bench_new();
		n->b->cluster = n;
		n->b->fetch = cluster_fetch;
		n->b->answer_origin = cluster_answer;
		n->b->security = layers ? layers[i] : NULL;
		n->b->config.fence.node = i + 1;
		n->b->config.fence.incarnation = 10 * (i + 1);
		/* No node's clock is another's. */
		n->b->mono += 1000000 * (uint64_t)i;
		random_init_seed(&n->b->random, 42 + i);
		bench_restart(n->b);
	}
	return c;
}

static inline struct cluster *cluster_new(void)
{
	return cluster_with(NULL);
}

static inline void cluster_free(struct cluster *c)
{
	for (unsigned i = 0; i < NODES; i++)
		bench_free(c->nodes[i].b);
	buffer_deinit(&c->given.luggage);
	free(c);
}

static inline struct bench *bench_of(struct cluster *c, unsigned i)
{
	return c->nodes[i].b;
}

static inline void cluster_advance(struct cluster *c, uint64_t ms)
{
	for (unsigned i = 0; i < NODES; i++)
		bench_advance(c->nodes[i].b, ms);
}

/* ---- a hand-over, step by step ---- */

static inline void cluster_ready(void *ctx, int result, const struct store_write *w, struct span luggage)
{
	struct given *g = ctx;

	g->calls++;
	g->result = result;
	if (result)
		return;
	assert_int_equal(w->change, STORE_RECORD_PUT);
	assert_int_equal(w->dedup_index, -1);
	assert_int_equal(w->event, 0);
	g->stored = (struct bench_device){.live = true, .hot = *w->hot, .record_len = w->record.len};
	memcpy(g->stored.endpoint, w->key.endpoint.data, w->key.endpoint.len);
	memcpy(g->stored.record, w->record.data, w->record.len);
	g->expires_ms = w->expires_ms;
	buffer_deinit(&g->luggage);
	g->luggage = buffer_of(LWM2M_LUGGAGE_MAX);
	buffer_bytes(&g->luggage, luggage);
	assert_false(g->luggage.failed);
}

static inline void give(struct cluster *c, unsigned from)
{
	c->given.calls = 0;
	assert_int_equal(
		lwm2m_server_give(bench_of(c, from)->server, span_str("dev-1"), cluster_ready, &c->given), 0);
	assert_int_equal(c->given.calls, 0);
	timers_advance(&bench_of(c, from)->timers, bench_of(c, from)->mono);
}

/* As the store has it when node `to` owns it. */
static inline struct store_device stored_for(struct cluster *c, unsigned to)
{
	struct given *g = &c->given;
	struct store_device d = {.key = {STORE_MANAGEMENT, span_str(g->stored.endpoint)},
				 .hot = g->stored.hot,
				 .record = span_of(g->stored.record, g->stored.record_len),
				 .expires_ms = g->expires_ms};

	d.hot.fence.node = bench_of(c, to)->config.fence.node;
	d.hot.fence.incarnation = bench_of(c, to)->config.fence.incarnation;
	d.hot.fence.gen++;
	/* Pending entries are not stored. */
	for (unsigned i = 0; i < COAP_DEDUP_ENTRIES; i++)
		if (d.hot.dedup.entries[i].code == 0)
			d.hot.dedup.entries[i] = (struct coap_dedup_entry){0};
	return d;
}

static inline void take_with(struct cluster *c, unsigned to, struct span luggage)
{
	struct store_device stored = stored_for(c, to);
	/* So that a read beyond the end is seen. */
	uint8_t *exact = malloc(MAX(luggage.len, 1));

	assert_non_null(exact);
	if (luggage.len)
		memcpy(exact, luggage.data, luggage.len);
	assert_int_equal(lwm2m_server_take(bench_of(c, to)->server, &stored, span_of(exact, luggage.len)), 0);
	free(exact);
	/* The test's store of that node, from which a restart would come. */
	c->given.stored.hot = stored.hot;
	*bench_device(bench_of(c, to), "dev-1") = c->given.stored;
	bench_of(c, to)->peer = bench_of(c, 0)->peer;
}

static inline void move(struct cluster *c, unsigned from, unsigned to)
{
	give(c, from);
	assert_int_equal(c->given.calls, 1);
	assert_int_equal(c->given.result, 0);
	lwm2m_server_given(bench_of(c, from)->server, span_str("dev-1"), LWM2M_GONE);
	assert_null(lwm2m_find(bench_of(c, from)->server, span_str("dev-1")));
	take_with(c, to, buffer_span(&c->given.luggage));
	assert_non_null(lwm2m_find(bench_of(c, to)->server, span_str("dev-1")));
}

static inline struct lwm2m_stats stats_of(struct cluster *c, unsigned i)
{
	struct lwm2m_stats s;

	lwm2m_stats(bench_of(c, i)->server, &s);
	return s;
}

#define QUERY "ep=dev-1&lt=300&lwm2m=1.1&b=U"

/* Registers at node 0 with message id 1. */
static inline void register_at(struct cluster *c, char location[32])
{
	bench_register(bench_of(c, 0), 1, QUERY, location);
}

/* ---- what the device does ---- */

static inline void send_separate(struct bench *b, enum coap_type type, uint16_t mid, struct coap_token token,
				 uint8_t code, const char *payload)
{
	struct coap_message m;

	coap_message_init(&m, type, code, mid, token);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, 0), 0);
	m.payload = span_str(payload);
	bench_input(b, &m);
}

static inline void send_empty(struct bench *b, enum coap_type type, uint16_t mid)
{
	struct coap_message m;

	coap_message_init(&m, type, COAP_EMPTY, mid, (struct coap_token){0});
	bench_input(b, &m);
}

/* Answers request `m` by a block of a body, piggy-backed. */
static inline void send_block2(struct bench *b, const struct coap_message *m, uint32_t num, bool more,
			       const char *payload)
{
	struct coap_message reply;
	struct coap_block block = {num, more, 0};

	coap_message_init(&reply, COAP_ACK, COAP_CONTENT, m->mid, m->token);
	assert_int_equal(coap_add_uint(&reply, COAP_OPTION_CONTENT_FORMAT, 0), 0);
	assert_int_equal(coap_add_block(&reply, COAP_OPTION_BLOCK2, &block), 0);
	reply.payload = span_str(payload);
	bench_input(b, &reply);
}

static inline uint64_t ask(struct bench *b, enum lwm2m_operation operation, const char *path)
{
	uint64_t ticket;
	char error[160];

	assert_int_equal(bench_ask(b, "dev-1", operation, path, "", &ticket, error), 0);
	return ticket;
}

static inline void assert_answered(struct bench *b, size_t count, const char *payload)
{
	assert_int_equal(b->answers, count);
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_int_equal(b->answer.payload.len, strlen(payload));
	assert_memory_equal(b->answer_payload, payload, strlen(payload));
}

/* The observation of /3303/0/5700, set up at node 0; its token. */
static inline struct coap_token observe_at(struct cluster *c)
{
	struct bench *b = bench_of(c, 0);
	struct coap_message m;

	(void)ask(b, LWM2M_OBSERVE, "/3303/0/5700");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "21", 7);
	bench_store_all(b);
	assert_answered(b, 1, "21");
	return m.token;
}
