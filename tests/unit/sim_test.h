/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * One simulated device against a script: the test is the server, the network and the clock. What the device
 * sends is kept in order; `expect` takes the next datagram and fails if there is none.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/device.h"
#include "sim/observation.h"

#include <stdio.h>

enum { SENT_MAX = 64, START = 5000000, WALL = 1700000000, SECOND = 1000 };

struct sent {
	uint8_t data[COAP_MESSAGE_MAX];
	size_t len;
};

struct bench {
	struct sim_options options;
	struct sim sim;
	struct device device;
	uint64_t now_ms;
	struct sent sent[SENT_MAX];
	unsigned head, tail;
	struct sent current; /* what `expect` returned borrows from here */
	struct coap_message m;
	uint16_t mid;
	uint8_t token;
	/* NULL: what the device says and hears is CoAP; else something lies between (test_sim_secure.c). */
	void (*carry)(struct bench *b, struct span message);
};

static inline void note_sent(struct bench *b, struct span datagram)
{
	struct sent *s = &b->sent[b->tail++ % SENT_MAX];

	assert_true(b->tail - b->head <= SENT_MAX);
	memcpy(s->data, datagram.data, datagram.len);
	s->len = datagram.len;
}

static inline void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct bench *b = ctx;

	assert_int_equal(device_index(to), b->device.index);
	note_sent(b, datagram);
}

static inline void advance(struct bench *b, uint64_t ms)
{
	/* In steps, as a loop does: what one timer sets, a later step fires. */
	for (uint64_t end_ms = b->now_ms + ms; b->now_ms < end_ms;) {
		b->now_ms += MIN((uint64_t)100, end_ms - b->now_ms);
		timers_advance(&b->sim.timers, b->now_ms);
	}
}

/* Until the device sends something: how long that took. */
static inline uint64_t advance_until_sent(struct bench *b)
{
	uint64_t begun_ms = b->now_ms;

	while (b->head == b->tail) {
		assert_true(b->now_ms - begun_ms < 10000 * SECOND);
		advance(b, 100);
	}
	return b->now_ms - begun_ms;
}

static inline struct coap_message *expect(struct bench *b)
{
	if (b->head == b->tail)
		fail_msg("the device sent nothing");
	b->current = b->sent[b->head++ % SENT_MAX];
	assert_int_equal(coap_parse(span_of(b->current.data, b->current.len), &b->m), COAP_PARSED);
	return &b->m;
}

static inline void expect_silence(struct bench *b)
{
	assert_int_equal(b->tail - b->head, 0);
}

static inline void deliver(struct bench *b, const struct coap_message *m)
{
	uint8_t data[COAP_MESSAGE_MAX];
	int len = coap_encode(m, data, sizeof(data));

	assert_true(len > 0);
	if (b->carry)
		b->carry(b, span_of(data, (size_t)len));
	else
		device_receive(&b->device, span_of(data, (size_t)len), b->now_ms);
}

/* The server's answer, on the ACK, to the request which `expect` returned last. */
static inline void answer(struct bench *b, uint8_t code, const char *location)
{
	struct coap_message m;

	coap_message_init(&m, COAP_ACK, code, b->m.mid, b->m.token);
	if (location)
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_LOCATION_PATH, span_str(location)), 0);
	deliver(b, &m);
}

/* The same with a Block1 option, which acknowledges the request's block and asks for this size. */
static inline void answer_block(struct bench *b, uint8_t code, uint8_t szx, const char *location)
{
	struct coap_message m;
	struct coap_block block;

	coap_message_init(&m, COAP_ACK, code, b->m.mid, b->m.token);
	if (coap_find_block(&b->m, COAP_OPTION_BLOCK1, &block) == COAP_BLOCK_FOUND) {
		block.szx = szx;
		assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &block), 0);
	}
	if (code == COAP_CREATED)
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_LOCATION_PATH, span_str(location)), 0);
	deliver(b, &m);
}

static inline void acknowledge(struct bench *b, enum coap_type type)
{
	struct coap_message m;

	coap_message_init(&m, type, COAP_EMPTY, b->m.mid, (struct coap_token){.len = 0});
	deliver(b, &m);
}

/* A request of the server, with a new message id and token. */
static inline struct coap_message request(struct bench *b, uint8_t method, const char *path)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, method, ++b->mid,
			  (struct coap_token){.len = 2, .bytes = {'t', ++b->token}});
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(path)), 0);
	return m;
}

static inline void with_format(struct coap_message *m, uint16_t option, uint32_t format)
{
	assert_int_equal(coap_add_uint(m, option, format), 0);
}

static inline void with_text(struct coap_message *m, const char *text)
{
	with_format(m, COAP_OPTION_CONTENT_FORMAT, 0);
	m->payload = span_str(text);
}

/* Sends the request and returns the code of its answer, which is in b->m. */
static inline uint8_t ask(struct bench *b, const struct coap_message *m)
{
	struct coap_message *response;

	deliver(b, m);
	response = expect(b);
	assert_int_equal(response->type, COAP_ACK);
	assert_int_equal(response->mid, m->mid);
	assert_true(coap_token_equal(&response->token, &m->token));
	return response->code;
}

static inline uint8_t get(struct bench *b, const char *path)
{
	struct coap_message m = request(b, COAP_GET, path);

	return ask(b, &m);
}

static inline uint8_t write_text(struct bench *b, const char *path, const char *text)
{
	struct coap_message m = request(b, COAP_PUT, path);

	with_text(&m, text);
	return ask(b, &m);
}

static inline uint8_t write_attributes(struct bench *b, const char *path, const char *query)
{
	struct coap_message m = request(b, COAP_PUT, path);

	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(query)), 0);
	return ask(b, &m);
}

static inline uint8_t execute(struct bench *b, const char *path)
{
	struct coap_message m = request(b, COAP_POST, path);

	return ask(b, &m);
}

static inline void assert_payload(const struct coap_message *m, const char *text)
{
	char got[COAP_MESSAGE_MAX + 1];

	assert_true(m->payload.len < sizeof(got));
	if (m->payload.len)
		memcpy(got, m->payload.data, m->payload.len);
	got[m->payload.len] = '\0';
	assert_string_equal(got, text);
}

static inline bool payload_contains(const struct coap_message *m, const char *text)
{
	return memmem(m->payload.data, m->payload.len, text, strlen(text)) != NULL;
}

static inline bool has_query(const struct coap_message *m, const char *text)
{
	for (const struct coap_option *o = coap_find(m, COAP_OPTION_URI_QUERY); o; o = coap_find_next(m, o))
		if (span_is(coap_value(o), text))
			return true;
	return false;
}

static inline void setup(struct bench *b, bool modern)
{
	memset(b, 0, sizeof(*b));
	b->options = (struct sim_options){
		.prefix = "sim",
		.count = 1,
		.instances = 1,
		.lifetime_ms = 300 * SECOND,
		.notify_ms = 10 * SECOND,
		.awake_ms = 93 * SECOND,
		.retry_ms = 5 * SECOND,
		.seed = 42,
		.version = modern,
		.address = {.family = 4, .port = 5683},
	};
	b->now_ms = START;
}

static inline void begin(struct bench *b)
{
	assert_int_equal(sim_init(&b->sim, &b->options, b->now_ms, (uint64_t)WALL * SECOND, on_send, b), 0);
	assert_int_equal(device_init(&b->device, &b->sim, 0), 0);
	device_start(&b->device, b->now_ms + 1);
	advance(b, 1);
}

/* Takes the Register and accepts it. */
static inline void accept_register(struct bench *b)
{
	struct coap_message *m = expect(b);

	assert_int_equal(m->code, COAP_POST);
	assert_true(coap_path_is(m, "/rd"));
	answer(b, COAP_CREATED, "/rd/abc");
	assert_int_equal(b->device.state, DEVICE_REGISTERED);
	expect_silence(b);
}

static inline void begin_registered(struct bench *b, bool modern)
{
	setup(b, modern);
	begin(b);
	accept_register(b);
}

static inline void end(struct bench *b)
{
	device_deinit(&b->device);
	sim_deinit(&b->sim);
}

/* Observes `path`; the request, for its token. The answer is in b->m. */
static inline struct coap_message observe(struct bench *b, const char *path)
{
	struct coap_message m = request(b, COAP_GET, path);

	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 0), 0);
	assert_int_equal(ask(b, &m), COAP_CONTENT);
	assert_non_null(coap_find(&b->m, COAP_OPTION_OBSERVE));
	return m;
}
