/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One simulated device against a script: the test is the server, the network and the clock. What the device
 * sends is kept in order; `expect` takes the next datagram and fails if there is none.
 */

#include "sim/device.h"
#include "sim/observation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

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
};

static void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct bench *b = ctx;
	struct sent *s = &b->sent[b->tail++ % SENT_MAX];

	assert_int_equal(device_index(to), b->device.index);
	assert_true(b->tail - b->head <= SENT_MAX);
	memcpy(s->data, datagram.data, datagram.len);
	s->len = datagram.len;
}

static void advance(struct bench *b, uint64_t ms)
{
	/* In steps, as a loop does: what one timer sets, a later step fires. */
	for (uint64_t end_ms = b->now_ms + ms; b->now_ms < end_ms;) {
		b->now_ms += MIN((uint64_t)100, end_ms - b->now_ms);
		timers_advance(&b->sim.timers, b->now_ms);
	}
}

/* Until the device sends something: how long that took. */
static uint64_t advance_until_sent(struct bench *b)
{
	uint64_t begun_ms = b->now_ms;

	while (b->head == b->tail) {
		assert_true(b->now_ms - begun_ms < 10000 * SECOND);
		advance(b, 100);
	}
	return b->now_ms - begun_ms;
}

static struct coap_message *expect(struct bench *b)
{
	if (b->head == b->tail)
		fail_msg("the device sent nothing");
	b->current = b->sent[b->head++ % SENT_MAX];
	assert_int_equal(coap_parse(span_of(b->current.data, b->current.len), &b->m), COAP_PARSED);
	return &b->m;
}

static void expect_silence(struct bench *b)
{
	assert_int_equal(b->tail - b->head, 0);
}

static void deliver(struct bench *b, const struct coap_message *m)
{
	uint8_t data[COAP_MESSAGE_MAX];
	int len = coap_encode(m, data, sizeof(data));

	assert_true(len > 0);
	device_receive(&b->device, span_of(data, (size_t)len), b->now_ms);
}

/* The server's answer, on the ACK, to the request which `expect` returned last. */
static void answer(struct bench *b, uint8_t code, const char *location)
{
	struct coap_message m;

	coap_message_init(&m, COAP_ACK, code, b->m.mid, b->m.token);
	if (location)
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_LOCATION_PATH, span_str(location)), 0);
	deliver(b, &m);
}

static void acknowledge(struct bench *b, enum coap_type type)
{
	struct coap_message m;

	coap_message_init(&m, type, COAP_EMPTY, b->m.mid, (struct coap_token){.len = 0});
	deliver(b, &m);
}

/* A request of the server, with a new message id and token. */
static struct coap_message request(struct bench *b, uint8_t method, const char *path)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, method, ++b->mid,
			  (struct coap_token){.len = 2, .bytes = {'t', ++b->token}});
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(path)), 0);
	return m;
}

static void with_format(struct coap_message *m, uint16_t option, uint32_t format)
{
	assert_int_equal(coap_add_uint(m, option, format), 0);
}

static void with_text(struct coap_message *m, const char *text)
{
	with_format(m, COAP_OPTION_CONTENT_FORMAT, 0);
	m->payload = span_str(text);
}

/* Sends the request and returns the code of its answer, which is in b->m. */
static uint8_t ask(struct bench *b, const struct coap_message *m)
{
	struct coap_message *response;

	deliver(b, m);
	response = expect(b);
	assert_int_equal(response->type, COAP_ACK);
	assert_int_equal(response->mid, m->mid);
	assert_true(coap_token_equal(&response->token, &m->token));
	return response->code;
}

static uint8_t get(struct bench *b, const char *path)
{
	struct coap_message m = request(b, COAP_GET, path);

	return ask(b, &m);
}

static uint8_t write_text(struct bench *b, const char *path, const char *text)
{
	struct coap_message m = request(b, COAP_PUT, path);

	with_text(&m, text);
	return ask(b, &m);
}

static uint8_t write_attributes(struct bench *b, const char *path, const char *query)
{
	struct coap_message m = request(b, COAP_PUT, path);

	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(query)), 0);
	return ask(b, &m);
}

static uint8_t execute(struct bench *b, const char *path)
{
	struct coap_message m = request(b, COAP_POST, path);

	return ask(b, &m);
}

static void assert_payload(const struct coap_message *m, const char *text)
{
	char got[COAP_MESSAGE_MAX + 1];

	assert_true(m->payload.len < sizeof(got));
	if (m->payload.len)
		memcpy(got, m->payload.data, m->payload.len);
	got[m->payload.len] = '\0';
	assert_string_equal(got, text);
}

static bool payload_contains(const struct coap_message *m, const char *text)
{
	return memmem(m->payload.data, m->payload.len, text, strlen(text)) != NULL;
}

static bool has_query(const struct coap_message *m, const char *text)
{
	for (const struct coap_option *o = coap_find(m, COAP_OPTION_URI_QUERY); o; o = coap_find_next(m, o))
		if (span_is(coap_value(o), text))
			return true;
	return false;
}

static void setup(struct bench *b, bool modern)
{
	memset(b, 0, sizeof(*b));
	b->options = (struct sim_options){
		.prefix = "sim",
		.count = 1,
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

static void begin(struct bench *b)
{
	assert_int_equal(sim_init(&b->sim, &b->options, b->now_ms, (uint64_t)WALL * SECOND, on_send, b), 0);
	assert_int_equal(device_init(&b->device, &b->sim, 0), 0);
	device_start(&b->device, b->now_ms + 1);
	advance(b, 1);
}

/* Takes the Register and accepts it. */
static void accept_register(struct bench *b)
{
	struct coap_message *m = expect(b);

	assert_int_equal(m->code, COAP_POST);
	assert_true(coap_path_is(m, "/rd"));
	answer(b, COAP_CREATED, "/rd/abc");
	assert_int_equal(b->device.state, DEVICE_REGISTERED);
	expect_silence(b);
}

static void begin_registered(struct bench *b, bool modern)
{
	setup(b, modern);
	begin(b);
	accept_register(b);
}

static void end(struct bench *b)
{
	device_deinit(&b->device);
	sim_deinit(&b->sim);
}

/* ---- registration ---- */

static void test_register_1_1(void **state)
{
	struct bench b;
	struct coap_message *m;

	(void)state;
	setup(&b, true);
	begin(&b);
	m = expect(&b);
	assert_int_equal(m->type, COAP_CON);
	assert_int_equal(m->code, COAP_POST);
	assert_true(coap_path_is(m, "/rd"));
	assert_true(has_query(m, "ep=sim-000001"));
	assert_true(has_query(m, "lt=300"));
	assert_true(has_query(m, "lwm2m=1.1"));
	assert_true(has_query(m, "b=U"));
	assert_false(has_query(m, "Q"));
	assert_int_equal(coap_format(m, COAP_OPTION_CONTENT_FORMAT), 40);
	assert_true(payload_contains(m, "</>;rt=\"oma.lwm2m\";ct=\"0 "));
	assert_true(
		payload_contains(m, ",</1>;ver=1.1,</1/0>,</3>;ver=1.1,</3/0>,</3303>;ver=1.1,</3303/0>"));
	end(&b);
}

static void test_register_1_0(void **state)
{
	struct bench b;
	struct coap_message *m;

	(void)state;
	setup(&b, false);
	b.options.queue_mode = true;
	begin(&b);
	m = expect(&b);
	assert_true(has_query(m, "lwm2m=1.0"));
	assert_true(has_query(m, "b=UQ"));
	assert_false(has_query(m, "Q"));
	assert_payload(m, "</1/0>,</3/0>,</3303>;ver=\"1.1\",</3303/0>");
	end(&b);
}

static void test_register_retransmits_then_backs_off(void **state)
{
	struct bench b;
	uint16_t mid;

	(void)state;
	setup(&b, true);
	begin(&b);
	mid = expect(&b)->mid;
	/* Four retransmissions of the same message, then a pause. */
	for (unsigned i = 0; i < 4; i++) {
		assert_in_range(advance_until_sent(&b), (2 * SECOND) << i, (3 * SECOND + 100) << i);
		assert_int_equal(expect(&b)->mid, mid);
	}
	assert_in_range(advance_until_sent(&b), 36 * SECOND, 54 * SECOND);
	assert_int_not_equal(expect(&b)->mid, mid);
	assert_int_equal(b.device.failures, 1);
	assert_false(device_is_well(&b.device));
	answer(&b, COAP_CREATED, "/rd/x");
	assert_true(device_is_well(&b.device));
	end(&b);
}

static void test_register_refused(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	begin(&b);
	expect(&b);
	answer(&b, COAP_FORBIDDEN, NULL);
	assert_int_equal(b.device.state, DEVICE_WAITING);
	assert_int_equal(b.sim.stats.refused_by_server[COAP_FORBIDDEN], 1);
	assert_in_range(advance_until_sent(&b), 4 * SECOND, 6 * SECOND);
	expect(&b);
	answer(&b, COAP_FORBIDDEN, NULL);
	assert_in_range(advance_until_sent(&b), 8 * SECOND, 12 * SECOND);
	accept_register(&b);
	end(&b);
}

/* A location that would break a line of the ledger is no success. */
static void test_register_bad_location(void **state)
{
	static const char *const bad[] = {
		NULL, "/rd/a b", "/rd/a\nack update x",
		"/rd/0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct bench b;

		setup(&b, true);
		begin(&b);
		expect(&b);
		answer(&b, COAP_CREATED, bad[i]);
		assert_int_equal(b.device.state, DEVICE_WAITING);
		end(&b);
	}
}

static void test_update_in_time(void **state)
{
	struct bench b;
	struct coap_message *m;

	(void)state;
	begin_registered(&b, true);
	advance(&b, 206 * SECOND);
	expect_silence(&b);
	advance(&b, 2 * SECOND); /* 300 s less MAX_TRANSMIT_WAIT */
	m = expect(&b);
	assert_int_equal(m->code, COAP_POST);
	assert_true(coap_path_is(m, "/rd/abc"));
	assert_null(coap_find(m, COAP_OPTION_URI_QUERY));
	assert_int_equal(m->payload.len, 0);
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(b.sim.stats.updates, 1);
	end(&b);
}

static void test_update_interval(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.update_ms = 20 * SECOND;
	begin(&b);
	accept_register(&b);
	for (unsigned i = 0; i < 3; i++) {
		advance(&b, 20 * SECOND);
		assert_true(coap_path_is(expect(&b), "/rd/abc"));
		answer(&b, COAP_CHANGED, NULL);
		expect_silence(&b);
	}
	end(&b);
}

static void test_update_not_found_registers_again(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(execute(&b, "/1/0/8"), COAP_CHANGED);
	assert_true(coap_path_is(expect(&b), "/rd/abc"));
	answer(&b, COAP_NOT_FOUND, NULL);
	accept_register(&b);
	assert_int_equal(b.sim.stats.registrations, 2);
	assert_int_equal(b.sim.stats.lost_registrations, 1);
	assert_int_equal(b.sim.stats.refused_by_server[COAP_NOT_FOUND], 1);
	end(&b);
}

static void test_update_unanswered_registers_again(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	execute(&b, "/1/0/8");
	for (unsigned i = 0; i < 5; i++) {
		assert_true(coap_path_is(expect(&b), "/rd/abc"));
		advance_until_sent(&b);
	}
	accept_register(&b);
	end(&b);
}

static void test_written_lifetime_is_updated(void **state)
{
	struct bench b;
	struct coap_message *m;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_text(&b, "/1/0/1", "120"), COAP_CHANGED);
	m = expect(&b);
	assert_true(coap_path_is(m, "/rd/abc"));
	assert_true(has_query(m, "lt=120"));
	answer(&b, COAP_CHANGED, NULL);
	/* And kept: the next one comes half a lifetime later. */
	advance(&b, 59 * SECOND);
	expect_silence(&b);
	advance(&b, 2 * SECOND);
	expect(&b);
	end(&b);
}

static void test_disable(void **state)
{
	struct bench b;
	struct coap_message *m;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_text(&b, "/1/0/5", "60"), COAP_CHANGED);
	assert_int_equal(execute(&b, "/1/0/4"), COAP_CHANGED);
	m = expect(&b);
	assert_int_equal(m->code, COAP_DELETE);
	assert_true(coap_path_is(m, "/rd/abc"));
	answer(&b, COAP_DELETED, NULL);
	assert_int_equal(b.device.state, DEVICE_DISABLED);
	advance(&b, 59 * SECOND);
	expect_silence(&b);
	advance(&b, 2 * SECOND);
	accept_register(&b);
	end(&b);
}

/* Not registered, it knows no server: requests are rejected. */
static void test_disabled_rejects_requests(void **state)
{
	struct bench b;
	struct coap_message m;

	(void)state;
	begin_registered(&b, true);
	execute(&b, "/1/0/4");
	expect(&b);
	answer(&b, COAP_DELETED, NULL);
	m = request(&b, COAP_GET, "/3/0/0");
	deliver(&b, &m);
	assert_int_equal(expect(&b)->type, COAP_RST);
	end(&b);
}

static void test_reboot(void **state)
{
	struct bench b;
	struct coap_message m;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_POST, "/3/0/4");
	assert_int_equal(ask(&b, &m), COAP_CHANGED);
	assert_int_equal(b.device.state, DEVICE_BOOTING);
	deliver(&b, &m); /* nobody is there */
	expect_silence(&b);
	advance(&b, 3 * SECOND);
	accept_register(&b);
	/* The retransmission that arrives after the reboot is answered, and does not start another. */
	assert_int_equal(ask(&b, &m), COAP_CHANGED);
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
	assert_int_equal(b.sim.stats.duplicates, 1);
	end(&b);
}

static void test_stop_deregisters(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	b.sim.stopping = true;
	device_stop(&b.device, b.now_ms + SECOND);
	advance(&b, SECOND);
	assert_int_equal(expect(&b)->code, COAP_DELETE);
	answer(&b, COAP_DELETED, NULL);
	assert_int_equal(b.sim.states[DEVICE_STOPPED], 1);
	assert_int_equal(b.sim.stats.deregistrations, 1);
	assert_int_equal(b.sim.stats.not_deregistered, 0);
	advance(&b, 1000 * SECOND);
	expect_silence(&b);
	end(&b);
}

/* An Update that was under way is acknowledged after the end began: the end still comes. */
static void test_stop_during_update(void **state)
{
	struct bench b;
	struct coap_message update;

	(void)state;
	begin_registered(&b, true);
	execute(&b, "/1/0/8");
	update = *expect(&b);
	b.sim.stopping = true;
	device_stop(&b.device, b.now_ms + SECOND);
	b.m = update;
	answer(&b, COAP_CHANGED, NULL);
	advance(&b, SECOND);
	assert_int_equal(expect(&b)->code, COAP_DELETE);
	answer(&b, COAP_NOT_FOUND, NULL);
	assert_int_equal(b.sim.states[DEVICE_STOPPED], 1);
	assert_int_equal(b.sim.stats.not_deregistered, 1);
	end(&b);
}

static void test_stop_while_waiting(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	begin(&b);
	expect(&b);
	answer(&b, COAP_FORBIDDEN, NULL);
	b.sim.stopping = true;
	device_stop(&b.device, b.now_ms + 1);
	advance(&b, 10 * SECOND);
	expect_silence(&b);
	assert_int_equal(b.sim.states[DEVICE_STOPPED], 1);
	end(&b);
}

/* ---- queue mode ---- */

static void test_queue_mode_sleeps(void **state)
{
	struct bench b;
	struct coap_message m;

	(void)state;
	setup(&b, true);
	b.options.queue_mode = true;
	b.options.lifetime_ms = 1000 * SECOND;
	begin(&b);
	assert_true(has_query(expect(&b), "Q"));
	answer(&b, COAP_CREATED, "/rd/abc");
	advance(&b, 92 * SECOND);
	assert_int_equal(get(&b, "/3/0/0"), COAP_CONTENT); /* which keeps it awake */
	advance(&b, 92 * SECOND);
	assert_int_equal(get(&b, "/3/0/0"), COAP_CONTENT);
	advance(&b, 94 * SECOND);
	m = request(&b, COAP_GET, "/3/0/0");
	deliver(&b, &m);
	expect_silence(&b);
	assert_int_equal(b.sim.stats.unheard, 1);
	/* The next Update wakes it. */
	advance_until_sent(&b);
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	end(&b);
}

/* ---- requests ---- */

static void test_read_resource(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(get(&b, "/3/0/0"), COAP_CONTENT);
	assert_payload(&b.m, "shoal");
	assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), 0);
	assert_int_equal(get(&b, "/3/0/2"), COAP_CONTENT);
	assert_payload(&b.m, "sim-000001");
	assert_int_equal(get(&b, "/3/0/13"), COAP_CONTENT);
	assert_payload(&b.m, "1700000000");
	assert_int_equal(get(&b, "/3/0/7/0"), COAP_CONTENT);
	assert_payload(&b.m, "3800");
	assert_int_equal(get(&b, "/1/0/6"), COAP_CONTENT);
	assert_payload(&b.m, "0");
	end(&b);
}

/* Every value has the type that the model says: reading all of them is an error otherwise. */
static void test_read_everything(void **state)
{
	static const char *const paths[] = {"/1", "/1/0", "/3", "/3/0", "/3/0/7", "/3303", "/3303/0"};

	(void)state;
	for (unsigned modern = 0; modern < 2; modern++) {
		struct bench b;

		begin_registered(&b, modern);
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			assert_int_equal(get(&b, paths[i]), COAP_CONTENT);
			assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), modern ? 112 : 11542);
			assert_true(b.m.payload.len > 4);
		}
		end(&b);
	}
}

static void test_read_accept(void **state)
{
	static const struct {
		uint16_t accept;
		bool modern;
		uint8_t code;
	} cases[] = {
		{11542, true, COAP_CONTENT},	    {110, true, COAP_CONTENT},
		{112, true, COAP_CONTENT},	    {11542, false, COAP_CONTENT},
		{110, false, COAP_NOT_ACCEPTABLE},  {112, false, COAP_NOT_ACCEPTABLE},
		{0, true, COAP_NOT_ACCEPTABLE},	    {42, true, COAP_NOT_ACCEPTABLE},
		{11543, true, COAP_NOT_ACCEPTABLE}, {9999, true, COAP_NOT_ACCEPTABLE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		struct bench b;

		begin_registered(&b, cases[i].modern);
		m = request(&b, COAP_GET, "/3/0");
		with_format(&m, COAP_OPTION_ACCEPT, cases[i].accept);
		assert_int_equal(ask(&b, &m), cases[i].code);
		if (cases[i].code == COAP_CONTENT)
			assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), cases[i].accept);
		end(&b);
	}
}

static void test_errors(void **state)
{
	static const struct {
		uint8_t method;
		const char *path;
		uint8_t code;
	} cases[] = {
		{COAP_GET, "/0/0", COAP_UNAUTHORIZED},
		{COAP_GET, "/21", COAP_UNAUTHORIZED},
		{COAP_GET, "/4", COAP_NOT_FOUND},
		{COAP_GET, "/3/1", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/99", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/7/1", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/0/0", COAP_NOT_FOUND},
		{COAP_GET, "/3303/1", COAP_NOT_FOUND},
		{COAP_GET, "/x", COAP_NOT_FOUND},
		{COAP_GET, "/65535", COAP_NOT_FOUND},
		{COAP_GET, "/1/2/3/4/5", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/4", COAP_METHOD_NOT_ALLOWED},
		{COAP_GET, "/", COAP_METHOD_NOT_ALLOWED},
		{COAP_FETCH, "/", COAP_METHOD_NOT_ALLOWED},
		{COAP_POST, "/3/0/0", COAP_METHOD_NOT_ALLOWED},
		{COAP_POST, "/3/0/99", COAP_NOT_FOUND},
		{COAP_DELETE, "/3/0", COAP_METHOD_NOT_ALLOWED},
		{COAP_DELETE, "/3303/7", COAP_NOT_FOUND},
		{COAP_DELETE, "/3303/0/5700", COAP_METHOD_NOT_ALLOWED},
		{COAP_POST, "/3", COAP_METHOD_NOT_ALLOWED},
		{COAP_PUT, "/9", COAP_NOT_FOUND},
	};
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m = request(&b, cases[i].method, cases[i].path);
		uint8_t code = ask(&b, &m);

		if (code != cases[i].code)
			fail_msg("%u %s: code %02x instead of %02x", cases[i].method, cases[i].path, code,
				 cases[i].code);
	}
	end(&b);
}

static void test_unknown_critical_option(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_GET, "/3/0/0");
	assert_int_equal(coap_add(&m, 9999, span_str("x")), 0);
	assert_int_equal(ask(&b, &m), COAP_BAD_OPTION);
	end(&b);
}

static void test_write_resource(void **state)
{
	static const struct {
		const char *path, *text;
		uint8_t code;
	} cases[] = {
		{"/1/0/2", "10", COAP_CHANGED},
		{"/1/0/2", "-1", COAP_BAD_REQUEST},
		{"/1/0/2", "4294967296", COAP_BAD_REQUEST},
		{"/1/0/2", "ten", COAP_BAD_REQUEST},
		{"/1/0/6", "1", COAP_CHANGED},
		{"/1/0/6", "2", COAP_BAD_REQUEST},
		{"/1/0/7", "UT", COAP_CHANGED},
		{"/1/0/7", "UQ", COAP_BAD_REQUEST},
		{"/1/0/7", "T", COAP_BAD_REQUEST},
		{"/3/0/14", "+02:00", COAP_CHANGED},
		{"/3/0/14", "far too long", COAP_BAD_REQUEST},
		{"/3/0/15", "Europe/Paris", COAP_CHANGED},
		{"/3303/0/5750", "Kitchen", COAP_CHANGED},
		{"/3/0/0", "x", COAP_METHOD_NOT_ALLOWED},
		{"/1/0/0", "5", COAP_METHOD_NOT_ALLOWED},
		{"/3/0/4", "x", COAP_METHOD_NOT_ALLOWED},
		{"/3303/0/5700", "1", COAP_METHOD_NOT_ALLOWED},
		{"/3303/1/5750", "x", COAP_NOT_FOUND},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		uint8_t code;

		begin_registered(&b, true);
		code = write_text(&b, cases[i].path, cases[i].text);
		if (code != cases[i].code)
			fail_msg("%s = %s: code %02x instead of %02x", cases[i].path, cases[i].text, code,
				 cases[i].code);
		if (strncmp(cases[i].path, "/1/0/7", 6) == 0 && code == COAP_CHANGED) {
			assert_true(has_query(expect(&b), "b=UT"));
			answer(&b, COAP_CHANGED, NULL);
		}
		if (code == COAP_CHANGED) {
			assert_int_equal(get(&b, cases[i].path), COAP_CONTENT);
			assert_payload(&b.m, cases[i].text);
		}
		end(&b);
	}
}

static void test_write_clock(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_text(&b, "/3/0/13", "1000"), COAP_CHANGED);
	advance(&b, 5 * SECOND);
	assert_int_equal(get(&b, "/3/0/13"), COAP_CONTENT);
	assert_payload(&b.m, "1005");
	end(&b);
}

static uint8_t write_tlv(struct bench *b, uint8_t method, const char *path, const void *tlv, size_t len)
{
	struct coap_message m = request(b, method, path);

	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 11542);
	m.payload = span_of(tlv, len);
	return ask(b, &m);
}

/* Conformance test 215: lifetime is 101 s there; here without the resources that make the device update. */
static void test_write_instance(void **state)
{
	static const uint8_t partial[] = {0xC1, 2, 10, 0xC2, 3, 0x03, 0xE8};
	static const uint8_t with_readonly[] = {0xC1, 2, 11, 0xC1, 0, 7};
	static const uint8_t incomplete[] = {0xC1, 2, 12};
	static const uint8_t whole[] = {0xC1, 1, 60, 0xC1, 6, 1, 0xC1, 7, 'U'};
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_tlv(&b, COAP_POST, "/1/0", partial, sizeof(partial)), COAP_CHANGED);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "10");
	get(&b, "/1/0/3");
	assert_payload(&b.m, "1000");
	/* All or nothing. */
	assert_int_equal(write_tlv(&b, COAP_POST, "/1/0", with_readonly, sizeof(with_readonly)),
			 COAP_METHOD_NOT_ALLOWED);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "10");
	assert_int_equal(write_tlv(&b, COAP_PUT, "/1/0", incomplete, sizeof(incomplete)), COAP_BAD_REQUEST);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "10");
	/* What a replacing Write leaves out goes back to its default. */
	assert_int_equal(write_tlv(&b, COAP_PUT, "/1/0", whole, sizeof(whole)), COAP_CHANGED);
	assert_true(has_query(expect(&b), "lt=60"));
	answer(&b, COAP_CHANGED, NULL);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "0");
	end(&b);
}

static void test_write_formats(void **state)
{
	static const uint8_t broken[] = {0xC1, 2};
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_PUT, "/1/0/2");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 9999);
	m.payload = span_str("1");
	assert_int_equal(ask(&b, &m), COAP_UNSUPPORTED_CONTENT_FORMAT);
	assert_int_equal(write_tlv(&b, COAP_POST, "/1/0", broken, sizeof(broken)), COAP_BAD_REQUEST);
	m = request(&b, COAP_POST, "/3/0/4");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 42);
	m.payload = span_str("x");
	assert_int_equal(ask(&b, &m), COAP_UNSUPPORTED_CONTENT_FORMAT);
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
	end(&b);
}

static void test_block1_is_refused(void **state)
{
	struct coap_message m;
	uint32_t size;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_PUT, "/3303/0/5750");
	with_text(&m, "Kit");
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK1, 8 | 0), 0);
	assert_int_equal(ask(&b, &m), COAP_REQUEST_ENTITY_TOO_LARGE);
	assert_true(coap_find_uint(&b.m, COAP_OPTION_SIZE1, &size));
	assert_int_equal(size, 1024);
	/* The only block is as good as none. */
	m = request(&b, COAP_PUT, "/3303/0/5750");
	with_text(&m, "Kit");
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK1, 6), 0);
	assert_int_equal(ask(&b, &m), COAP_CHANGED);
	assert_true(coap_find_uint(&b.m, COAP_OPTION_BLOCK1, &size));
	end(&b);
}

/* Blocks of one content fit together although the values change meanwhile. */
static void test_block2(void **state)
{
	uint8_t whole[4096], etag[8];
	size_t len = 0, etag_len = 0;
	uint32_t block = 0;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	for (uint32_t number = 0; number == 0 || block & 8; number++) {
		struct coap_message m = request(&b, COAP_GET, "/3/0");
		const struct coap_option *o;

		with_format(&m, COAP_OPTION_ACCEPT, 110);
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK2, number << 4 | 1), 0);
		assert_int_equal(ask(&b, &m), COAP_CONTENT);
		assert_true(coap_find_uint(&b.m, COAP_OPTION_BLOCK2, &block));
		assert_int_equal(block >> 4, number);
		assert_true(block & 8 ? b.m.payload.len == 32 : b.m.payload.len <= 32);
		o = coap_find(&b.m, COAP_OPTION_ETAG);
		assert_non_null(o);
		if (number)
			assert_true(span_equal(coap_value(o), span_of(etag, etag_len)));
		memcpy(etag, o->value, o->len);
		etag_len = o->len;
		memcpy(whole + len, b.m.payload.data, b.m.payload.len);
		len += b.m.payload.len;
		advance(&b, 2 * SECOND);
	}
	assert_true(len > 200);
	assert_int_equal(whole[0], '[');
	assert_int_equal(whole[len - 1], ']');
	/* Behind the end. */
	{
		struct coap_message m = request(&b, COAP_GET, "/3/0");

		assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK2, 500 << 4 | 6), 0);
		assert_int_equal(ask(&b, &m), COAP_BAD_REQUEST);
	}
	end(&b);
}

static void test_discover(void **state)
{
	struct bench b;
	struct coap_message m;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_attributes(&b, "/3303/0", "pmin=5"), COAP_CHANGED);
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "gt=22.5&lt=-3"), COAP_CHANGED);
	m = request(&b, COAP_GET, "/3303");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), 40);
	assert_payload(&b.m, "</3303>;ver=1.1,</3303/0>;pmin=5,</3303/0/5518>,</3303/0/5601>,</3303/0/5602>,"
			     "</3303/0/5603>,</3303/0/5604>,</3303/0/5605>,</3303/0/5700>;gt=22.5;lt=-3,"
			     "</3303/0/5701>,</3303/0/5750>");
	m = request(&b, COAP_GET, "/3303/0/5700");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3303/0/5700>;pmin=5;gt=22.5;lt=-3");
	m = request(&b, COAP_GET, "/3/0/7");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3/0/7>;dim=1,</3/0/7/0>");
	/* Taken back. */
	assert_int_equal(write_attributes(&b, "/3303/0", "pmin"), COAP_CHANGED);
	m = request(&b, COAP_GET, "/3303/0/5700");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3303/0/5700>;gt=22.5;lt=-3");
	end(&b);
}

static void test_attributes_refused(void **state)
{
	static const struct {
		const char *path, *query;
		uint8_t code;
	} cases[] = {
		{"/3303/0/5700", "gt=1&lt=1", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=10&lt=1&st=5", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=10&lt=1&st=4", COAP_CHANGED},
		{"/3303/0/5700", "st=-1", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=nan", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=0x10", COAP_BAD_REQUEST},
		{"/3303/0/5700", "pmin=1.5", COAP_BAD_REQUEST},
		{"/3303/0/5700", "pmin=-1", COAP_BAD_REQUEST},
		{"/3303/0/5700", "dim=1", COAP_BAD_REQUEST},
		{"/3303/0", "gt=1", COAP_BAD_REQUEST},
		{"/3/0/0", "gt=1", COAP_BAD_REQUEST},
		{"/3/0/7", "gt=1", COAP_BAD_REQUEST},
		{"/3/0/7/0", "gt=1", COAP_CHANGED},
		{"/3", "pmin=1&pmax=2&epmin=1&epmax=2", COAP_CHANGED},
		{"/3/1", "pmin=1", COAP_NOT_FOUND},
	};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t code;

		begin_registered(&b, true);
		code = write_attributes(&b, cases[i].path, cases[i].query);
		if (code != cases[i].code)
			fail_msg("%s?%s: code %02x instead of %02x", cases[i].path, cases[i].query, code,
				 cases[i].code);
		end(&b);
	}
}

static void assert_location(const struct coap_message *m, const char *object, const char *instance)
{
	const struct coap_option *o = coap_find(m, COAP_OPTION_LOCATION_PATH);

	assert_non_null(o);
	assert_true(span_is(coap_value(o), object));
	o = coap_find_next(m, o);
	assert_non_null(o);
	assert_true(span_is(coap_value(o), instance));
}

static void test_create_and_delete(void **state)
{
	static const uint8_t kitchen[] = {0xE7, 0x16, 0x76, 'K', 'i', 't', 'c', 'h', 'e', 'n'}; /* 5750 */
	static const uint8_t seven[] = {0x08, 7, 10, 0xE7, 0x16, 0x76, 'K', 'i', 't', 'c', 'h', 'e', 'n'};
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_POST, "/3303");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 11542);
	m.payload = span_of(kitchen, sizeof(kitchen));
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	assert_location(&b.m, "3303", "1");
	assert_true(payload_contains(expect(&b), "</3303/1>")); /* Update with the new list */
	answer(&b, COAP_CHANGED, NULL);
	/* The retransmission gets the same location, and creates nothing. */
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	assert_location(&b.m, "3303", "1");
	assert_int_equal(get(&b, "/3303/2"), COAP_NOT_FOUND);
	assert_int_equal(get(&b, "/3303/1/5750"), COAP_CONTENT);
	assert_payload(&b.m, "Kitchen");
	assert_int_equal(write_tlv(&b, COAP_POST, "/3303", seven, sizeof(seven)), COAP_CREATED);
	assert_location(&b.m, "3303", "7");
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(write_tlv(&b, COAP_POST, "/3303", seven, sizeof(seven)), COAP_BAD_REQUEST);
	m = request(&b, COAP_DELETE, "/3303/1");
	assert_int_equal(ask(&b, &m), COAP_DELETED);
	assert_false(payload_contains(expect(&b), "</3303/1>"));
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(ask(&b, &m), COAP_DELETED); /* once more, from memory */
	assert_int_equal(get(&b, "/3303/1"), COAP_NOT_FOUND);
	end(&b);
}

static double number(struct bench *b, const char *path)
{
	char text[64];

	assert_int_equal(get(b, path), COAP_CONTENT);
	snprintf(text, sizeof(text), "%.*s", (int)b->m.payload.len, (const char *)b->m.payload.data);
	return strtod(text, NULL);
}

static void test_reset_measured(void **state)
{
	double value, min, max;
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.lifetime_ms = 86400 * SECOND;
	begin(&b);
	accept_register(&b);
	/* A full swing, looked at now and then. */
	for (unsigned i = 0; i < 20; i++) {
		number(&b, "/3303/0/5700");
		advance(&b, 30 * SECOND);
	}
	min = number(&b, "/3303/0/5601");
	max = number(&b, "/3303/0/5602");
	assert_true(max - min > 8 && max - min < 12);
	assert_int_equal(execute(&b, "/3303/0/5605"), COAP_CHANGED);
	value = number(&b, "/3303/0/5700");
	assert_true(number(&b, "/3303/0/5601") == value);
	assert_true(number(&b, "/3303/0/5602") == value);
	end(&b);
}

/* ---- observing ---- */

static struct coap_message observe(struct bench *b, const char *path)
{
	struct coap_message m = request(b, COAP_GET, path);

	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 0), 0);
	assert_int_equal(ask(b, &m), COAP_CONTENT);
	assert_non_null(coap_find(&b->m, COAP_OPTION_OBSERVE));
	return m;
}

static uint32_t sequence_of(const struct coap_message *m)
{
	uint32_t value;

	assert_true(coap_find_uint(m, COAP_OPTION_OBSERVE, &value));
	return value;
}

static void test_observe_interval(void **state)
{
	struct bench b;
	struct coap_message o, *m;
	uint32_t last;

	(void)state;
	begin_registered(&b, true);
	o = observe(&b, "/3303/0/5700");
	last = sequence_of(&b.m);
	for (unsigned i = 0; i < 3; i++) {
		advance(&b, 10 * SECOND);
		m = expect(&b);
		assert_int_equal(m->type, COAP_NON);
		assert_int_equal(m->code, COAP_CONTENT);
		assert_true(coap_token_equal(&m->token, &o.token));
		assert_true(sequence_of(m) > last);
		last = sequence_of(m);
		expect_silence(&b);
	}
	end(&b);
}

static void test_observe_periods(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.lifetime_ms = 86400 * SECOND;
	begin(&b);
	accept_register(&b);
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "pmin=25"), COAP_CHANGED);
	observe(&b, "/3303/0/5700");
	advance(&b, 24 * SECOND);
	expect_silence(&b);
	advance(&b, 2 * SECOND);
	expect(&b);
	expect_silence(&b);
	/* pmax forces what a threshold holds back, and one below pmin counts for nothing. */
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "pmin=0&pmax=35&gt=1000"), COAP_CHANGED);
	advance(&b, 33 * SECOND);
	expect_silence(&b);
	advance(&b, 3 * SECOND);
	expect(&b);
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "pmin=60"), COAP_CHANGED);
	advance(&b, 200 * SECOND);
	expect_silence(&b);
	end(&b);
}

static void test_observe_thresholds(void **state)
{
	struct bench b;
	double last, value;
	unsigned count = 0;

	(void)state;
	setup(&b, true);
	b.options.notify_ms = SECOND;
	b.options.lifetime_ms = 86400 * SECOND;
	begin(&b);
	accept_register(&b);
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "st=2"), COAP_CHANGED);
	observe(&b, "/3303/0/5700");
	last = strtod((const char *)b.m.payload.data, NULL);
	/* One full swing of 10 degrees up and down. */
	for (unsigned i = 0; i < 600; i++) {
		advance(&b, SECOND);
		if (b.head == b.tail)
			continue;
		value = strtod((const char *)expect(&b)->payload.data, NULL);
		assert_true(value - last >= 2 || last - value >= 2);
		last = value;
		count++;
	}
	assert_in_range(count, 5, 15);
	end(&b);
}

static void test_observe_written_value(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.notify_ms = 0;
	begin(&b);
	accept_register(&b);
	observe(&b, "/3303/0/5750");
	advance(&b, 100 * SECOND);
	expect_silence(&b);
	assert_int_equal(write_text(&b, "/3303/0/5750", "Cellar"), COAP_CHANGED);
	expect_silence(&b);
	advance(&b, 1);
	assert_payload(expect(&b), "Cellar");
	expect_silence(&b);
	end(&b);
}

static void test_observe_cancel(void **state)
{
	struct coap_message o;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	o = observe(&b, "/3303/0/5700");
	/* By GET with Observe 1, the same token. */
	coap_message_init(&o, COAP_CON, COAP_GET, ++b.mid, o.token);
	assert_int_equal(coap_add_segments(&o, COAP_OPTION_URI_PATH, span_str("/3303/0/5700")), 0);
	assert_int_equal(coap_add_uint(&o, COAP_OPTION_OBSERVE, 1), 0);
	assert_int_equal(ask(&b, &o), COAP_CONTENT);
	assert_null(coap_find(&b.m, COAP_OPTION_OBSERVE));
	advance(&b, 30 * SECOND);
	expect_silence(&b);
	/* By RST to a notification. */
	observe(&b, "/3303/0/5700");
	advance(&b, 10 * SECOND);
	expect(&b);
	acknowledge(&b, COAP_RST);
	assert_int_equal(b.sim.stats.notifications_reset, 1);
	advance(&b, 30 * SECOND);
	expect_silence(&b);
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

static void test_observe_confirmable(void **state)
{
	struct bench b;
	uint16_t mid;

	(void)state;
	setup(&b, true);
	b.options.confirmable = true;
	begin(&b);
	accept_register(&b);
	observe(&b, "/3303/0/5700");
	advance(&b, 10 * SECOND);
	mid = expect(&b)->mid;
	assert_int_equal(b.m.type, COAP_CON);
	/* Only retransmissions until it is acknowledged, whatever becomes due. */
	advance(&b, 20 * SECOND);
	while (b.head != b.tail)
		assert_int_equal(expect(&b)->mid, mid);
	acknowledge(&b, COAP_ACK);
	assert_int_equal(b.sim.stats.notifications_acked, 1);
	assert_int_not_equal(expect(&b)->mid, mid); /* what became due meanwhile */
	acknowledge(&b, COAP_RST);
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

/* Nobody acknowledges: the server is lost, and so are its observations. */
static void test_observe_unacknowledged(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.confirmable = true;
	b.options.lifetime_ms = 86400 * SECOND;
	begin(&b);
	accept_register(&b);
	observe(&b, "/3303/0/5700");
	for (unsigned i = 0; i < 5; i++) {
		advance_until_sent(&b);
		assert_int_equal(expect(&b)->code, COAP_CONTENT);
	}
	advance_until_sent(&b);
	accept_register(&b);
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

/* What is observed is deleted: the observation ends with an error. */
static void test_observe_deleted(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	observe(&b, "/3303/0/5700");
	m = request(&b, COAP_DELETE, "/3303/0");
	assert_int_equal(ask(&b, &m), COAP_DELETED);
	assert_true(coap_path_is(expect(&b), "/rd/abc"));
	answer(&b, COAP_CHANGED, NULL);
	advance(&b, 1);
	assert_int_equal(expect(&b)->code, COAP_NOT_FOUND);
	assert_null(coap_find(&b.m, COAP_OPTION_OBSERVE));
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

static void test_observe_limit(void **state)
{
	struct bench b;
	struct coap_message m;

	(void)state;
	begin_registered(&b, true);
	for (unsigned i = 0; i < OBSERVATIONS_MAX; i++)
		observe(&b, "/3/0/9");
	m = request(&b, COAP_GET, "/3/0/9");
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 0), 0);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_null(coap_find(&b.m, COAP_OPTION_OBSERVE));
	end(&b);
}

static void test_register_drops_observations(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	observe(&b, "/3/0/9");
	execute(&b, "/1/0/8");
	expect(&b);
	answer(&b, COAP_NOT_FOUND, NULL);
	accept_register(&b);
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

/* ---- the ledger ---- */

static void assert_file(int fd, const char *text)
{
	char got[4096];
	ssize_t len = pread(fd, got, sizeof(got) - 1, 0);

	assert_true(len >= 0);
	got[len] = '\0';
	assert_string_equal(got, text);
}

static void test_ledger(void **state)
{
	char path[] = "/tmp/test_sim_ledger_XXXXXX";
	int fd = mkstemp(path);
	struct bench b;

	(void)state;
	assert_true(fd >= 0);
	setup(&b, true);
	b.options.ledger = path;
	b.options.confirmable = true;
	begin(&b);
	assert_int_equal(ledger_open(&b.sim.ledger, path), 0);
	accept_register(&b);
	assert_file(fd, "ack register sim-000001 abc\n");
	observe(&b, "/3303/0/5700");
	assert_payload(&b.m, "0.0");
	advance(&b, 10 * SECOND);
	assert_payload(expect(&b), "1.0");
	assert_file(fd, "ack register sim-000001 abc\n"); /* sent is not acknowledged */
	acknowledge(&b, COAP_ACK);
	assert_file(fd, "ack register sim-000001 abc\nack notify sim-000001 /3303/0/5700 1\n");
	/* Reading does not count up. */
	get(&b, "/3303/0/5700");
	assert_payload(&b.m, "1.0");
	advance(&b, 10 * SECOND);
	assert_payload(expect(&b), "2.0");
	acknowledge(&b, COAP_ACK);
	execute(&b, "/1/0/8");
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	b.sim.stopping = true;
	device_stop(&b.device, b.now_ms + 1);
	advance(&b, 1);
	expect(&b);
	answer(&b, COAP_DELETED, NULL);
	assert_file(fd, "ack register sim-000001 abc\n"
			"ack notify sim-000001 /3303/0/5700 1\n"
			"ack notify sim-000001 /3303/0/5700 2\n"
			"ack update sim-000001\n"
			"ack deregister sim-000001\n");
	end(&b);
	close(fd);
	unlink(path);
}

/* ---- garbage ---- */

static void test_garbage(void **state)
{
	struct random random;
	struct bench b;
	uint8_t data[64];

	(void)state;
	begin_registered(&b, true);
	random_init_seed(&random, 7);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = random_u32(&random) % sizeof(data);

		random_fill(&random, data, len);
		if (len > 1) {
			data[0] = (uint8_t)(0x40 | (data[0] & 0x3F));
			data[1] &= 7;
		}
		device_receive(&b.device, span_of(data, len), b.now_ms);
		b.head = b.tail;
	}
	assert_int_equal(get(&b, "/3/0/0"), COAP_CONTENT);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register_1_1),
		cmocka_unit_test(test_register_1_0),
		cmocka_unit_test(test_register_retransmits_then_backs_off),
		cmocka_unit_test(test_register_refused),
		cmocka_unit_test(test_register_bad_location),
		cmocka_unit_test(test_update_in_time),
		cmocka_unit_test(test_update_interval),
		cmocka_unit_test(test_update_not_found_registers_again),
		cmocka_unit_test(test_update_unanswered_registers_again),
		cmocka_unit_test(test_written_lifetime_is_updated),
		cmocka_unit_test(test_disable),
		cmocka_unit_test(test_disabled_rejects_requests),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_stop_deregisters),
		cmocka_unit_test(test_stop_during_update),
		cmocka_unit_test(test_stop_while_waiting),
		cmocka_unit_test(test_queue_mode_sleeps),
		cmocka_unit_test(test_read_resource),
		cmocka_unit_test(test_read_everything),
		cmocka_unit_test(test_read_accept),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_unknown_critical_option),
		cmocka_unit_test(test_write_resource),
		cmocka_unit_test(test_write_clock),
		cmocka_unit_test(test_write_instance),
		cmocka_unit_test(test_write_formats),
		cmocka_unit_test(test_block1_is_refused),
		cmocka_unit_test(test_block2),
		cmocka_unit_test(test_discover),
		cmocka_unit_test(test_attributes_refused),
		cmocka_unit_test(test_create_and_delete),
		cmocka_unit_test(test_reset_measured),
		cmocka_unit_test(test_observe_interval),
		cmocka_unit_test(test_observe_periods),
		cmocka_unit_test(test_observe_thresholds),
		cmocka_unit_test(test_observe_written_value),
		cmocka_unit_test(test_observe_cancel),
		cmocka_unit_test(test_observe_confirmable),
		cmocka_unit_test(test_observe_unacknowledged),
		cmocka_unit_test(test_observe_deleted),
		cmocka_unit_test(test_observe_limit),
		cmocka_unit_test(test_register_drops_observations),
		cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
