/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * One layer against a script: the test is the network, the clock and the other side. What was sent is kept
 * with its time and destination; outcomes are kept in the order in which they came.
 */

#include "coap_test.h"

#include "coap/layer.h"

enum { SENT_MAX = 64, DONE_MAX = 64, EXCHANGES_MAX = 8, START = 1000000 };

struct sent {
	uint64_t at_ms;
	struct address to;
	struct bytes datagram;
};

struct outcome {
	int id;
	enum coap_outcome outcome;
	uint64_t at_ms;
	uint8_t code; /* of the response */
	char payload[32];
};

struct bench {
	struct timers timers;
	struct random random;
	struct coap_params params;
	struct coap_layer layer;
	struct coap_peer peer;
	uint64_t now_ms;
	struct sent sent[SENT_MAX];
	unsigned sent_count;
	struct outcome done[DONE_MAX];
	unsigned done_count;
	struct coap_message in; /* of the last input */
};

/* The context of an exchange: where to write down what became of it. */
struct ticket {
	struct bench *bench;
	int id;
	void (*then)(struct bench *b);
};

static inline void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct bench *b = ctx;
	struct sent *s = &b->sent[b->sent_count++];

	assert_true(b->sent_count <= SENT_MAX);
	*s = (struct sent){.at_ms = b->now_ms, .to = *to};
	bytes_add(&s->datagram, datagram);
}

static inline void on_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
			   uint64_t now_ms)
{
	struct ticket *t = ctx;
	struct bench *b = t->bench;
	struct outcome *o = &b->done[b->done_count++];

	assert_true(b->done_count <= DONE_MAX);
	assert_int_equal(now_ms, b->now_ms);
	assert_int_equal(response != NULL, outcome == COAP_RESPONSE);
	*o = (struct outcome){.id = t->id, .outcome = outcome, .at_ms = now_ms};
	if (response) {
		o->code = response->code;
		snprintf(o->payload, sizeof(o->payload), "%.*s", (int)response->payload.len,
			 response->payload.len ? (const char *)response->payload.data : "");
	}
	if (t->then)
		t->then(b);
}

static inline struct address address_of(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

#define PEER "192.0.2.1:5683"
#define STRANGER "192.0.2.2:5683"

static inline struct bench *bench_new(uint64_t seed)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct address a = address_of(PEER);

	assert_non_null(b);
	b->now_ms = START;
	timers_init(&b->timers, START);
	random_init_seed(&b->random, seed);
	b->params = coap_params_default;
	coap_layer_init(&b->layer, &b->timers, &b->random, EXCHANGES_MAX, on_send, b);
	coap_peer_init(&b->layer, &b->peer, &a, &b->params);
	b->peer.next_mid = 0x0100;
	return b;
}

static inline void bench_free(struct bench *b)
{
	coap_peer_deinit(&b->layer, &b->peer);
	/* Nothing is left behind, whatever happened. */
	assert_int_equal(b->timers.count, 0);
	assert_int_equal(b->layer.exchanges.count, 0);
	assert_int_equal(b->layer.pool.used, 0);
	assert_int_equal(b->peer.active + b->peer.waiting + b->peer.acked, 0);
	coap_layer_deinit(&b->layer);
	free(b);
}

/* Lets time pass, stopping at every millisecond at which something is due. */
static inline void run_until(struct bench *b, uint64_t until_ms)
{
	int64_t wait;

	while ((wait = timers_wait_ms(&b->timers)) >= 0 && b->now_ms + (uint64_t)wait <= until_ms) {
		b->now_ms += (uint64_t)wait;
		timers_advance(&b->timers, b->now_ms);
	}
	b->now_ms = until_ms;
	timers_advance(&b->timers, until_ms);
}

/* Starts GET /3 with a token of one byte, which is the ticket's id. */
static inline int start(struct bench *b, enum coap_type type, uint8_t code, struct ticket *t,
			struct coap_exchange **out)
{
	struct coap_message m;

	t->bench = b;
	coap_message_init(&m, type, code, 0, (struct coap_token){1, {(uint8_t)t->id}});
	if (coap_is_request(code))
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/3")), 0);
	else if (code == COAP_EMPTY)
		m.token.len = 0;
	return coap_start(&b->layer, &b->peer, &m, b->now_ms, on_done, t, out);
}

static inline void start_get(struct bench *b, struct ticket *t)
{
	assert_int_equal(start(b, COAP_CON, COAP_GET, t, NULL), 0);
}

static inline enum coap_input input_from(struct bench *b, const char *from, const char *datagram)
{
	struct bytes bytes = bytes_of(datagram);
	struct span exact = exact_copy(bytes_span(&bytes));
	struct address a = address_of(from);
	enum coap_input result = coap_input(&b->layer, &a, exact, b->now_ms, &b->in);

	free((void *)exact.data);
	return result;
}

static inline enum coap_input input(struct bench *b, const char *datagram)
{
	return input_from(b, PEER, datagram);
}

static inline void assert_sent(struct bench *b, unsigned index, const char *to, const char *datagram)
{
	struct address a = address_of(to);

	assert_true(index < b->sent_count);
	assert_true(address_equal(&b->sent[index].to, &a));
	assert_bytes(bytes_span(&b->sent[index].datagram), datagram);
}

static inline void assert_done(struct bench *b, unsigned index, int id, enum coap_outcome outcome)
{
	assert_true(index < b->done_count);
	assert_int_equal(b->done[index].id, id);
	assert_int_equal(b->done[index].outcome, outcome);
}
