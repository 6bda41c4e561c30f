/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Stored requests: what is written is read back, and what is no request is refused. */

#include "lwm2m_test.h"

static const struct record values[] = {
	{.path = {{3, 0, 1}, 3}, .value = {.type = VALUE_STRING, .bytes = {(const uint8_t *)"text", 4}}},
	{.path = {{3, 0, 2}, 3}, .value = {.type = VALUE_INTEGER, .integer = INT64_MIN}},
	{.path = {{3, 0, 3}, 3}, .value = {.type = VALUE_UNSIGNED, .unsigned_ = UINT64_MAX}},
	{.path = {{3, 0, 4}, 3}, .value = {.type = VALUE_FLOAT, .real = -0.1}},
	{.path = {{3, 0, 5}, 3}, .value = {.type = VALUE_BOOLEAN, .boolean = true}},
	{.path = {{3, 0, 6, 7}, 4}, .value = {.type = VALUE_OPAQUE, .bytes = {(const uint8_t *)"\0\1", 2}}},
	{.path = {{3, 0, 7}, 3}, .value = {.type = VALUE_TIME, .integer = 1700000000}},
	{.path = {{3, 0, 8}, 3}, .value = {.type = VALUE_OBJLNK, .link = {65535, 3}}},
	{.path = {{3, 0, 9}, 3}, .value = {.type = VALUE_CORELNK, .bytes = {(const uint8_t *)"</1>", 4}}},
	{.path = {{3, 1}, 2}, .value = {.type = VALUE_NONE}},
};

static void values_keep_their_types(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(4096);
	_cleanup_arena_ struct arena arena;
	struct records records;

	(void)state;
	arena_init(&arena, 1 << 16);
	queued_records_encode(values, ARRAY_SIZE(values), &out);
	records = records_of(&arena);
	assert_int_equal(queued_records_decode(buffer_span(&out), &records), 0);
	assert_int_equal(records.count, ARRAY_SIZE(values));
	for (size_t i = 0; i < records.count; i++) {
		assert_int_equal(path_compare(&records.items[i].path, &values[i].path), 0);
		assert_true(value_equal(&records.items[i].value, &values[i].value));
	}
	for (size_t len = 0; len < out.len; len++) {
		records = records_of(&arena);
		assert_int_not_equal(queued_records_decode(span_of(out.data, len), &records), 0);
	}
	out.data[2] = 5; /* a path of five ids */
	records = records_of(&arena);
	assert_int_equal(queued_records_decode(buffer_span(&out), &records), -EPROTO);
	out.data[2] = 3;
	out.data[9] = VALUE_TYPES;
	records = records_of(&arena);
	assert_int_equal(queued_records_decode(buffer_span(&out), &records), -EPROTO);
}

static struct queued_request example(void)
{
	return (struct queued_request){
		.operation = LWM2M_CREATE,
		.path = {{3303}, 1},
		.format = FORMAT_TLV,
		.path_format = FORMAT_NONE,
		.instance = 7,
		.records = span_str("records"),
		.arguments = span_str("0='a'"),
		.added_ms = 1700000000000,
		.expires_ms = 1700000001000,
		.attempts = 2,
		.token = {.len = 3, .bytes = {1, 2, 3}},
		.end = {.ended_ms = 1700000002000,
			.event_gen = 3,
			.event_number = 99,
			.code = COAP_CREATED,
			.format = FORMAT_NONE,
			.payload = span_str("payload"),
			.location = span_str("3303/7"),
			.error = span_str("words"),
			.root = span_str("/lwm2m"),
			.lwm2m = {1, 1},
			.declared = span_str("abcd")},
	};
}

static void a_request_is_read_as_it_was_written(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(4096), again = buffer_of(4096);
	struct queued_request r = example(), back;

	(void)state;
	assert_int_equal(queued_encode(&r, &out), 0);
	assert_int_equal(queued_decode(buffer_span(&out), &back), 0);
	assert_int_equal(back.operation, LWM2M_CREATE);
	assert_int_equal(back.instance, 7);
	assert_int_equal(back.attempts, 2);
	assert_true(coap_token_equal(&back.token, &r.token));
	assert_true(span_is(back.arguments, "0='a'"));
	assert_int_equal(back.end.event_gen, 3);
	assert_int_equal(back.end.event_number, 99);
	assert_true(span_is(back.end.location, "3303/7") && span_is(back.end.declared, "abcd"));
	assert_int_equal(queued_encode(&back, &again), 0);
	assert_true(span_equal(buffer_span(&out), buffer_span(&again)));
	/* A later version may have more behind. */
	buffer_str(&out, "more");
	assert_int_equal(queued_decode(buffer_span(&out), &back), 0);
}

static void what_is_no_request_is_refused(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(4096), small = buffer_of(40);
	struct queued_request r = example(), back;

	(void)state;
	assert_int_equal(queued_encode(&r, &out), 0);
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(queued_decode(span_of(out.data, len), &back), -EPROTO);
	out.data[0] = 2;
	assert_int_equal(queued_decode(buffer_span(&out), &back), -EPROTO);
	out.data[0] = 1;
	out.data[1] = LWM2M_CANCEL_COMPOSITE + 1;
	assert_int_equal(queued_decode(buffer_span(&out), &back), -EPROTO);
	assert_int_equal(queued_encode(&r, &small), -ENOSPC);
}

static void an_id_leads_to_its_device(void **state)
{
	uint32_t hash;

	(void)state;
	assert_true(queued_id_hash(span_str("0a1b2c3d-0000-4000-8000-000000000000"), &hash));
	assert_int_equal(hash, 0x0a1b2c3d);
	assert_false(queued_id_hash(span_str("0a1b2c3d-0000-4000-8000-00000000000"), &hash));
	assert_false(queued_id_hash(span_str("0A1B2C3D-0000-4000-8000-000000000000"), &hash));
	assert_false(queued_id_hash(span_str("0a1b2c3d00000-4000-8000-000000000000"), &hash));
	assert_false(queued_id_hash(span_str(""), &hash));
}

/* ---- the store says no ---- */

static struct bench *asleep(void)
{
	struct bench *b = bench_new();
	char location[32];

	bench_register(b, 1, "ep=dev-1&lt=600&lwm2m=1.1&b=U&Q", location);
	bench_advance(b, 100000);
	bench_settle(b);
	assert_int_equal(bench_event(b, b->event_count - 1).type, EVENT_SLEEPING);
	return b;
}

static void who_asks_learns_that_the_queue_cannot_be_written(void **state)
{
	static const struct {
		int result;
		enum lwm2m_outcome outcome;
	} cases[] = {{STORE_DONE, LWM2M_QUEUED},
		     {STORE_REFUSED, LWM2M_NOT_STORED},
		     {STORE_ABSENT, LWM2M_CANCELLED},
		     {-EIO, LWM2M_NOT_STORED}};
	char error[160];
	uint64_t ticket;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench *b = asleep();

		assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error), 0);
		assert_int_equal(b->answers, 0);
		bench_finish_call(b, cases[i].result);
		assert_int_equal(b->answers, 1);
		assert_int_equal(b->answer.outcome, cases[i].outcome);
		bench_free(b);
	}
}

/* The caller may go before it is queued: it is queued all the same, and nobody is told. */
static void an_abandoned_request_is_queued(void **state)
{
	struct bench *b = asleep();
	char error[160];
	uint64_t ticket;

	(void)state;
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error), 0);
	lwm2m_request_cancel(b->server, ticket);
	bench_settle(b);
	assert_int_equal(b->answers, 0);
	assert_int_equal(b->request_count, 1);
	bench_free(b);
}

/* What cannot be asked of the device is refused at once, not when it wakes. */
static void what_cannot_be_sent_is_not_queued(void **state)
{
	struct bench *b = asleep();
	char error[160];
	uint64_t ticket;

	(void)state;
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_EXECUTE, "/3/0", "", &ticket, error),
			 LWM2M_REFUSED_PATH);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_CANCEL_OBSERVE, "/3/0/9", "", &ticket, error),
			 LWM2M_REFUSED_NO_OBSERVATION);
	assert_int_equal(b->call_count, b->call_done);
	bench_free(b);
}

/* A number that moved says that somebody else has added one. */
static void what_another_node_adds_is_found(void **state)
{
	_cleanup_buffer_ struct buffer body = buffer_of(1024);
	struct queued_request r = {.operation = LWM2M_READ,
				   .path = {{3, 0, 9}, 3},
				   .format = FORMAT_NONE,
				   .path_format = FORMAT_NONE,
				   .instance = PATH_ID_NONE,
				   .expires_ms = UINT64_MAX};
	struct bench *b = bench_new();
	struct bench_request *row = &b->requests[0];
	char location[32];
	struct coap_message m;

	(void)state;
	bench_register(b, 1, "ep=dev-1&lt=600&lwm2m=1.1&b=U&Q", location);
	bench_settle(b);
	assert_int_equal(b->call_count, 0); /* a new device has no queue */
	assert_int_equal(queued_encode(&r, &body), 0);
	strcpy(row->endpoint, "dev-1");
	strcpy(row->id, "foreign");
	row->state = QUEUED_WAITING;
	row->deadline_ms = UINT64_MAX;
	memcpy(row->body, body.data, body.len);
	row->len = body.len;
	b->request_count = 1;
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_settle(b);
	bench_expect(b, 2, COAP_CHANGED);
	assert_true(bench_silent(b)); /* nothing moved */
	b->queue_number = 1;
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_settle(b);
	bench_expect(b, 3, COAP_CHANGED);
	m = bench_receive(b);
	assert_int_equal(m.code, COAP_GET);
	bench_answer(b, &m, COAP_CONTENT, "10", -1);
	bench_settle(b);
	assert_int_equal(row->state, QUEUED_ANSWERED);
	assert_int_equal(bench_event(b, b->event_count - 1).state, QUEUED_ANSWERED);
	bench_free(b);
}

/* Many devices wake at once: their requests leave at a pace. */
static void a_fleet_is_served_at_a_pace(void **state)
{
	enum { DEVICES = 8 };
	struct bench *b = bench_new();
	char location[DEVICES][32], query[64], name[16], error[160];
	uint64_t ticket;

	(void)state;
	bench_stop(b);
	b->config.queue.rate = 10;
	bench_start(b);
	for (uint16_t i = 0; i < DEVICES; i++) {
		b->peer.port = (uint16_t)(1000 + i);
		snprintf(query, sizeof(query), "ep=dev-%u&lt=6000&lwm2m=1.1&b=U&Q", i);
		bench_register(b, (uint16_t)(100 + i), query, location[i]);
	}
	bench_advance(b, 100000);
	bench_settle(b);
	for (unsigned i = 0; i < DEVICES; i++) {
		snprintf(name, sizeof(name), "dev-%u", i);
		assert_int_equal(bench_ask(b, name, LWM2M_READ, "/3/0/9", "", &ticket, error), 0);
	}
	bench_settle(b);
	assert_int_equal(b->request_count, DEVICES);
	for (uint16_t i = 0; i < DEVICES; i++) {
		b->peer.port = (uint16_t)(1000 + i);
		bench_request(b, COAP_POST, (uint16_t)(200 + i), location[i], "", NULL);
	}
	bench_settle(b);
	assert_int_equal(b->sent_count - b->sent_read, DEVICES + 1);
	for (unsigned i = 0; i < 3; i++) {
		bench_advance(b, 100);
		bench_settle(b);
		assert_int_equal(b->sent_count - b->sent_read, DEVICES + 2 + i);
	}
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_keep_their_types),
		cmocka_unit_test(a_request_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(an_id_leads_to_its_device),
		cmocka_unit_test(who_asks_learns_that_the_queue_cannot_be_written),
		cmocka_unit_test(an_abandoned_request_is_queued),
		cmocka_unit_test(what_cannot_be_sent_is_not_queued),
		cmocka_unit_test(what_another_node_adds_is_found),
		cmocka_unit_test(a_fleet_is_served_at_a_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
