/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * A management server in a test: a clock that stands still until it is told, a network that keeps what was
 * sent, and a store whose writes wait until the test says how they end. What was stored can be given to a new
 * server, as a restart does.
 */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "lwm2m/server.h"

enum { BENCH_REQUESTS = 64, BENCH_CALLS = 16 };
enum { BENCH_SENT = 64, BENCH_WRITES = 64, BENCH_DEVICES = 8, BENCH_EVENTS = 64 };

struct bench_write {
	char endpoint[64];
	struct store_hot hot;
	enum store_record_change change;
	uint8_t record[1024];
	size_t record_len;
	uint8_t event;
	uint8_t event_body[2048];
	size_t event_len;
	struct {
		enum store_index kind;
		bool remove;
		uint8_t key[LWM2M_CID_MAX];
		size_t len;
	} index[2];
	size_t index_count;
	store_written_fn *done;
	void *ctx;
};

struct bench_device {
	bool live;
	char endpoint[64];
	struct store_hot hot;
	uint8_t record[1024];
	size_t record_len;
};

struct bench_request {
	char endpoint[64], id[40];
	uint8_t state; /* 0: free */
	uint64_t deadline_ms;
	uint8_t body[2048];
	size_t len;
};

/* A call of the store about queues that waits for bench_store_all. */
struct bench_call {
	enum bench_call_kind { BENCH_ADD, BENCH_SET, BENCH_LIST } kind;
	struct bench_request request;
	store_request_fn *done;
	void *ctx;
};

struct bench_datagram {
	struct address to;
	uint8_t data[COAP_MESSAGE_MAX];
	size_t len;
};

struct bench {
	struct timers timers;
	struct random random;
	struct registry *registry;
	struct lwm2m_server *server;
	struct lwm2m_config config;
	uint64_t mono, wall;
	const struct lwm2m_security *security; /* NULL: none */
	/* Of the host of a cluster; NULL: none. */
	bool (*fetch)(void *ctx, const struct lwm2m_wanted *wanted);
	void (*answer_origin)(void *ctx, const struct lwm2m_origin *origin,
			      const struct lwm2m_answer *answer);
	void *cluster;
	struct address peer;
	uint64_t record_number; /* not 0: `peer` is an association, and the next record has this number */
	struct bench_datagram sent[BENCH_SENT];
	size_t sent_count, sent_read;
	struct bench_write writes[BENCH_WRITES];
	size_t write_count, write_done;
	struct bench_device devices[BENCH_DEVICES];
	struct {
		uint8_t type;
		char endpoint[64];
		uint8_t body[2048];
		size_t len;
	} events[BENCH_EVENTS];
	size_t event_count;
	struct bench_request requests[BENCH_REQUESTS]; /* in order */
	size_t request_count;
	uint16_t queue_number; /* that writes report */
	struct bench_call calls[BENCH_CALLS];
	size_t call_count, call_done;
	int refuse_writes; /* < 0: store_write fails at once */
	/* the last answer to a northbound request */
	size_t answers;
	struct lwm2m_answer answer;
	uint8_t answer_payload[512];
	char answer_location[64];
	char answer_id[40];
};

static inline void bench_send(void *ctx, const struct address *to, struct span datagram)
{
	struct bench *b = ctx;
	struct bench_datagram *d = &b->sent[b->sent_count++ % BENCH_SENT];

	assert_true(datagram.len <= sizeof(d->data));
	d->to = *to;
	d->len = datagram.len;
	memcpy(d->data, datagram.data, datagram.len);
}

static inline int bench_store_write(void *ctx, const struct store_write *w, store_written_fn *done,
				    void *done_ctx)
{
	struct bench *b = ctx;
	struct bench_write *to = &b->writes[b->write_count % BENCH_WRITES];

	if (b->refuse_writes)
		return b->refuse_writes;
	b->write_count++;
	memset(to, 0, sizeof(*to));
	memcpy(to->endpoint, w->key.endpoint.data, w->key.endpoint.len);
	to->hot = *w->hot;
	to->change = w->change;
	to->record_len = w->record.len;
	if (w->record.len)
		memcpy(to->record, w->record.data, w->record.len);
	to->event = w->event;
	to->event_len = w->event_body.len;
	if (w->event_body.len)
		memcpy(to->event_body, w->event_body.data, w->event_body.len);
	assert_in_range(w->index_count, 0, ARRAY_SIZE(to->index));
	to->index_count = w->index_count;
	for (size_t i = 0; i < w->index_count; i++) {
		to->index[i].kind = w->index[i].kind;
		to->index[i].remove = w->index[i].remove;
		to->index[i].len = w->index[i].key.len;
		assert_in_range(w->index[i].key.len, 1, LWM2M_CID_MAX);
		memcpy(to->index[i].key, w->index[i].key.data, w->index[i].key.len);
	}
	to->done = done;
	to->ctx = done_ctx;
	return 0;
}

static inline struct bench_call *bench_call(struct bench *b, enum bench_call_kind kind, struct store_key key,
					    const struct store_request *r, store_request_fn *done, void *ctx)
{
	struct bench_call *c = &b->calls[b->call_count++ % BENCH_CALLS];

	assert_true(b->call_count - b->call_done <= BENCH_CALLS);
	*c = (struct bench_call){.kind = kind, .done = done, .ctx = ctx};
	memcpy(c->request.endpoint, key.endpoint.data, key.endpoint.len);
	if (r) {
		assert_true(r->body.len <= sizeof(c->request.body));
		memcpy(c->request.id, r->id.data, r->id.len);
		c->request.state = r->state;
		c->request.deadline_ms = r->deadline_ms;
		c->request.len = r->body.len;
		if (r->body.len)
			memcpy(c->request.body, r->body.data, r->body.len);
	}
	return c;
}

static inline int bench_request_add(void *ctx, struct store_key key, const struct store_request *r,
				    size_t max, store_request_fn *done, void *done_ctx)
{
	(void)max;
	bench_call(ctx, BENCH_ADD, key, r, done, done_ctx);
	return 0;
}

static inline int bench_request_set(void *ctx, struct store_key key, const struct store_fence *fence,
				    const struct store_request *r, store_request_fn *done, void *done_ctx)
{
	(void)fence;
	bench_call(ctx, BENCH_SET, key, r, done, done_ctx);
	return 0;
}

static inline int bench_request_list(void *ctx, struct store_key key, store_request_fn *each, void *done_ctx)
{
	bench_call(ctx, BENCH_LIST, key, NULL, each, done_ctx);
	return 0;
}

static inline int bench_change_request(struct bench *b, const struct bench_call *c)
{
	struct bench_request *r = b->requests;

	if (c->kind == BENCH_ADD) {
		assert_true(b->request_count < BENCH_REQUESTS);
		b->requests[b->request_count++] = c->request;
		return STORE_DONE;
	}
	while (r < b->requests + b->request_count && strcmp(r->id, c->request.id) != 0)
		r++;
	if (r == b->requests + b->request_count || r->state == 0)
		return STORE_ABSENT;
	r->state = c->request.state;
	r->deadline_ms = c->request.deadline_ms;
	if (c->request.len) {
		memcpy(r->body, c->request.body, c->request.len);
		r->len = c->request.len;
	}
	return STORE_DONE;
}

/* The oldest call about queues ends. */
static inline void bench_finish_call(struct bench *b, int result)
{
	struct bench_call c = b->calls[b->call_done++ % BENCH_CALLS];

	for (size_t i = 0; c.kind == BENCH_LIST && result == STORE_DONE && i < b->request_count; i++) {
		const struct bench_request *r = &b->requests[i];
		struct store_request found = {span_str(r->id), r->state, r->deadline_ms,
					      span_of(r->body, r->len)};

		if (r->state && strcmp(r->endpoint, c.request.endpoint) == 0)
			c.done(c.ctx, STORE_DONE, &found);
	}
	if (result == STORE_DONE)
		result = c.kind == BENCH_LIST ? STORE_ABSENT : bench_change_request(b, &c);
	c.done(c.ctx, result, NULL);
}

static inline uint64_t bench_wall(void *ctx)
{
	return ((struct bench *)ctx)->wall;
}

static inline uint64_t bench_mono(void *ctx)
{
	return ((struct bench *)ctx)->mono;
}

static inline void bench_start(struct bench *b)
{
	static const struct lwm2m_queue_store queue = {bench_request_add, bench_request_set,
						       bench_request_list};
	const struct lwm2m_host host = {.ctx = b,
					.send = bench_send,
					.write = bench_store_write,
					.wall_ms = bench_wall,
					.mono_ms = bench_mono,
					.security = b->security,
					.queue = &queue,
					.fetch = b->fetch,
					.answer = b->answer_origin};

	b->config.fence.incarnation++;
	b->server = lwm2m_server_new(&b->config, &host, b->registry, &b->timers, &b->random, NULL);
	assert_non_null(b->server);
}

static inline struct bench *bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->mono = 5000;
	b->wall = 1700000000000;
	timers_init(&b->timers, b->mono);
	random_init_seed(&b->random, 42);
	b->registry = registry_new();
	lwm2m_config_init(&b->config);
	b->config.fence.node = 1;
	assert_int_equal(address_parse("192.0.2.7:56830", &b->peer), 0);
	bench_start(b);
	return b;
}

/* Ends the server; what it waits for is not stored. */
static inline void bench_stop(struct bench *b)
{
	while (b->write_done < b->write_count) {
		const struct bench_write *w = &b->writes[b->write_done++ % BENCH_WRITES];

		w->done(w->ctx, &(struct store_written){.result = -EIO});
	}
	while (b->call_done < b->call_count)
		bench_finish_call(b, -ESHUTDOWN);
	lwm2m_server_free(b->server);
}

static inline void bench_free(struct bench *b)
{
	bench_stop(b);
	registry_free(b->registry);
	free(b);
}

/* In a hundred steps, so that a timer which is set by another one fires in time. */
static inline void bench_advance(struct bench *b, uint64_t ms)
{
	uint64_t end = b->mono + ms;

	for (uint64_t step = MAX(ms / 100, 1); b->mono < end;) {
		step = MIN(step, end - b->mono);
		b->mono += step;
		b->wall += step;
		timers_advance(&b->timers, b->mono);
	}
}

static inline struct bench_device *bench_device(struct bench *b, const char *endpoint)
{
	struct bench_device *free_one = NULL;

	for (size_t i = 0; i < BENCH_DEVICES; i++) {
		if (b->devices[i].live && strcmp(b->devices[i].endpoint, endpoint) == 0)
			return &b->devices[i];
		if (!b->devices[i].live && !free_one)
			free_one = &b->devices[i];
	}
	return free_one;
}

static inline void bench_apply(struct bench *b, const struct bench_write *w)
{
	struct bench_device *d = bench_device(b, w->endpoint);

	assert_non_null(d);
	d->live = w->change != STORE_RECORD_DELETE;
	memcpy(d->endpoint, w->endpoint, sizeof(d->endpoint));
	d->hot = w->hot;
	if (w->change == STORE_RECORD_PUT) {
		memcpy(d->record, w->record, w->record_len);
		d->record_len = w->record_len;
	}
	if (w->event) {
		assert_true(b->event_count < BENCH_EVENTS);
		b->events[b->event_count].type = w->event;
		memcpy(b->events[b->event_count].endpoint, w->endpoint, sizeof(w->endpoint));
		memcpy(b->events[b->event_count].body, w->event_body, w->event_len);
		b->events[b->event_count++].len = w->event_len;
	}
}

/* The oldest write in flight ends with `result`. */
static inline void bench_finish_write(struct bench *b, int result)
{
	struct bench_write w = b->writes[b->write_done % BENCH_WRITES];

	assert_true(b->write_done < b->write_count);
	b->write_done++;
	if (result == STORE_DONE)
		bench_apply(b, &w);
	w.done(w.ctx, &(struct store_written){.result = result, .queue = b->queue_number});
}

/* It fails, because the store has this of the device. */
static inline void bench_finish_behind(struct bench *b, uint32_t gen, uint64_t number)
{
	struct bench_write w = b->writes[b->write_done % BENCH_WRITES];
	struct store_written written = {.result = STORE_BEHIND, .found = w.hot};

	assert_true(b->write_done < b->write_count);
	b->write_done++;
	written.found.fence.gen = gen;
	written.found.number = number;
	w.done(w.ctx, &written);
}

static inline void bench_store_all(struct bench *b)
{
	while (b->write_done < b->write_count)
		bench_finish_write(b, STORE_DONE);
	while (b->call_done < b->call_count)
		bench_finish_call(b, STORE_DONE);
}

/* And what follows from it. */
static inline void bench_settle(struct bench *b)
{
	for (int i = 0; i < 50; i++) {
		bench_store_all(b);
		timers_advance(&b->timers, b->mono);
	}
}

/* The process dies: what waited is gone, what is stored comes back. */
static inline void bench_restart(struct bench *b)
{
	bench_stop(b);
	timers_init(&b->timers, b->mono);
	bench_start(b);
	for (size_t i = 0; i < BENCH_DEVICES; i++) {
		struct bench_device *d = &b->devices[i];
		struct store_device stored = {
			.key = {STORE_MANAGEMENT, span_str(d->endpoint)},
			.hot = d->hot,
			.record = span_of(d->record, d->record_len),
		};

		if (!d->live)
			continue;
		stored.hot.fence = b->config.fence;
		stored.hot.fence.gen = d->hot.fence.gen + 1;
		assert_int_equal(lwm2m_server_restore(b->server, &stored), 0);
	}
}

/* ---- the device's side ---- */

static inline struct coap_token bench_token(uint8_t n)
{
	return (struct coap_token){1, {n}};
}

static inline void bench_input(struct bench *b, const struct coap_message *m)
{
	uint8_t data[COAP_MESSAGE_MAX];
	int len = coap_encode(m, data, sizeof(data));

	assert_true(len > 0);
	if (b->record_number)
		lwm2m_server_input_secure(b->server, &b->peer, b->record_number++,
					  span_of(data, (size_t)len));
	else
		lwm2m_server_input(b->server, &b->peer, span_of(data, (size_t)len));
}

/* `query` is "a=b&c", `payload` may be NULL. */
static inline void bench_request(struct bench *b, uint8_t code, uint16_t mid, const char *path,
				 const char *query, const char *payload)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, code, mid, bench_token((uint8_t)mid));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(path)), 0);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(query)), 0);
	if (payload)
		m.payload = span_str(payload);
	bench_input(b, &m);
}

/* The next datagram that the server sent; fails if there is none. Borrows until the next call. */
static inline struct coap_message bench_receive(struct bench *b)
{
	struct coap_message m;
	struct bench_datagram *d;

	assert_true(b->sent_read < b->sent_count);
	d = &b->sent[b->sent_read++ % BENCH_SENT];
	assert_int_equal(coap_parse(span_of(d->data, d->len), &m), COAP_PARSED);
	return m;
}

static inline bool bench_silent(const struct bench *b)
{
	return b->sent_read == b->sent_count;
}

/* Expects the answer to message `mid`. */
static inline struct coap_message bench_expect(struct bench *b, uint16_t mid, uint8_t code)
{
	struct coap_message m = bench_receive(b);

	assert_int_equal(m.type, COAP_ACK);
	assert_int_equal(m.mid, mid);
	assert_int_equal(m.code, code);
	return m;
}

/* Registers and returns the location "/rd/<id>". */
static inline const char *bench_register(struct bench *b, uint16_t mid, const char *query, char location[32])
{
	struct coap_message m;
	const struct coap_option *o;

	bench_request(b, COAP_POST, mid, "/rd", query, "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>");
	bench_store_all(b);
	m = bench_expect(b, mid, COAP_CREATED);
	o = coap_find(&m, COAP_OPTION_LOCATION_PATH);
	assert_non_null(o);
	o = coap_find_next(&m, o);
	assert_non_null(o);
	snprintf(location, 32, "/rd/%.*s", o->len, (const char *)o->value);
	return location;
}

/* ---- the northbound side ---- */

static inline void bench_answered(void *ctx, const struct lwm2m_answer *answer)
{
	struct bench *b = ctx;

	b->answers++;
	b->answer = *answer;
	assert_true(answer->payload.len <= sizeof(b->answer_payload));
	if (answer->payload.len)
		memcpy(b->answer_payload, answer->payload.data, answer->payload.len);
	b->answer.payload.data = b->answer_payload;
	snprintf(b->answer_id, sizeof(b->answer_id), "%.*s", (int)answer->request_id.len,
		 answer->request_id.len ? (const char *)answer->request_id.data : "");
	snprintf(b->answer_location, sizeof(b->answer_location), "%.*s", (int)answer->location.len,
		 answer->location.len ? (const char *)answer->location.data : "");
}

static inline struct path bench_path(const char *text)
{
	struct path p;

	assert_true(path_parse(span_str(text), &p));
	return p;
}

static inline int bench_ask(struct bench *b, const char *endpoint, enum lwm2m_operation operation,
			    const char *path, const char *arguments, uint64_t *ticket, char error[160])
{
	struct device *d = lwm2m_find(b->server, span_str(endpoint));
	struct lwm2m_request r = {.operation = operation,
				  .path = bench_path(path),
				  .format = FORMAT_NONE,
				  .instance = PATH_ID_NONE,
				  .arguments = span_str(arguments),
				  .timeout_ms = 5000,
				  .ttl_ms = LWM2M_TTL_DEFAULT};

	assert_non_null(d);
	return lwm2m_request(b->server, d, &r, bench_answered, b, ticket, error);
}

/* The device answers request `m`, piggy-backed. */
static inline void bench_answer(struct bench *b, const struct coap_message *m, uint8_t code,
				const char *payload, int observe)
{
	struct coap_message reply;

	coap_message_init(&reply, COAP_ACK, code, m->mid, m->token);
	if (observe >= 0)
		assert_int_equal(coap_add_uint(&reply, COAP_OPTION_OBSERVE, (uint32_t)observe), 0);
	if (payload) {
		assert_int_equal(coap_add_uint(&reply, COAP_OPTION_CONTENT_FORMAT, 0), 0);
		reply.payload = span_str(payload);
	}
	bench_input(b, &reply);
}

static inline void bench_notify(struct bench *b, enum coap_type type, uint16_t mid, struct coap_token token,
				uint32_t sequence, uint8_t code, const char *payload)
{
	struct coap_message m;

	coap_message_init(&m, type, code, mid, token);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, sequence), 0);
	m.payload = span_str(payload);
	bench_input(b, &m);
}

static inline struct lwm2m_event bench_event(const struct bench *b, size_t index)
{
	struct lwm2m_event e;

	assert_true(index < b->event_count);
	assert_int_equal(lwm2m_event_decode(b->events[index].type, span_str(b->events[index].endpoint),
					    span_of(b->events[index].body, b->events[index].len), &e),
			 0);
	return e;
}
