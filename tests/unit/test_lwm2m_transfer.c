/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Bodies in blocks in both roles (RFC 7959), composites and Send, seen from the wire. */

#include "lwm2m_test.h"

#include "coap/block.h"

#define QUERY "ep=dev-1&lt=300&lwm2m=1.1"

static struct bench *registered(char location[32])
{
	struct bench *b = bench_new();

	bench_register(b, 1, QUERY, location);
	return b;
}

/* A request with Block1; a token of its own for each block, as Anjay does. */
static void send_block(struct bench *b, uint16_t mid, const char *path, const char *query,
		       struct coap_block block, struct span body, int format)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, COAP_POST, mid, bench_token((uint8_t)mid));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(path)), 0);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(query)), 0);
	if (format >= 0)
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, (uint32_t)format), 0);
	assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &block), 0);
	m.payload = span_from(body, coap_block_offset(&block));
	m.payload.len = MIN(m.payload.len, coap_block_size(block.szx));
	bench_input(b, &m);
}

static void expect_block1(const struct coap_message *m, uint32_t num, bool more, uint8_t szx)
{
	struct coap_block b;

	assert_int_equal(coap_find_block(m, COAP_OPTION_BLOCK1, &b), COAP_BLOCK_FOUND);
	assert_int_equal(b.num, num);
	assert_int_equal(b.more, more);
	assert_int_equal(b.szx, szx);
}

static const char long_list[] = "</1/0>,</3/0>,</3303/0>,</3303/1>,</3303/2>,</3303/3>";

static void a_register_in_blocks_is_one_register(void **state)
{
	struct bench *b = bench_new();
	struct coap_message m;
	struct registration r;
	uint16_t mid = 10;

	(void)state;
	for (uint32_t num = 0; num < 4; num++) {
		struct coap_block block = {num, num < 3, 0};

		send_block(b, mid, "/rd", QUERY, block, span_str(long_list), 40);
		if (num == 3)
			break;
		m = bench_expect(b, mid, COAP_CONTINUE);
		expect_block1(&m, num, true, 0);
		send_block(b, mid++, "/rd", QUERY, block, span_str(long_list), 40); /* its ACK was lost */
		m = bench_expect(b, (uint16_t)(mid - 1), COAP_CONTINUE);
	}
	assert_true(bench_silent(b));
	bench_store_all(b);
	m = bench_expect(b, mid, COAP_CREATED);
	expect_block1(&m, 3, false, 0);
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_true(span_is(r.links, long_list));
	send_block(b, mid, "/rd", QUERY, (struct coap_block){3, false, 0}, span_str(long_list), 40);
	m = bench_expect(b, mid, COAP_CREATED); /* the last block again: the same answer */
	expect_block1(&m, 3, false, 0);
	assert_int_equal(b->event_count, 1);
	bench_free(b);
}

static void a_missing_block_is_4_08(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	send_block(b, 10, "/rd", QUERY, (struct coap_block){1, true, 0}, span_str(long_list), 40);
	bench_expect(b, 10, COAP_REQUEST_ENTITY_INCOMPLETE);
	send_block(b, 11, "/rd", QUERY, (struct coap_block){0, true, 0}, span_str(long_list), 40);
	bench_expect(b, 11, COAP_CONTINUE);
	send_block(b, 12, "/rd", QUERY, (struct coap_block){2, true, 0}, span_str(long_list), 40);
	bench_expect(b, 12, COAP_REQUEST_ENTITY_INCOMPLETE);
	bench_advance(b, 250000); /* what rests is dropped */
	send_block(b, 13, "/rd", QUERY, (struct coap_block){1, true, 0}, span_str(long_list), 40);
	bench_expect(b, 13, COAP_REQUEST_ENTITY_INCOMPLETE);
	bench_free(b);
}

static void blocks_that_cannot_be_are_4_00(void **state)
{
	struct bench *b = bench_new();
	struct coap_message m;

	(void)state;
	send_block(b, 10, "/rd", QUERY, (struct coap_block){0, true, 6}, span_str(long_list),
		   40); /* short, and more */
	bench_expect(b, 10, COAP_BAD_REQUEST);
	coap_message_init(&m, COAP_CON, COAP_POST, 11, bench_token(11));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd")), 0);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK1, 7), 0); /* reserved size */
	bench_input(b, &m);
	bench_expect(b, 11, COAP_BAD_REQUEST);
	bench_free(b);
}

static void bodies_and_transfers_are_bounded(void **state)
{
	struct bench *b = bench_new();
	static uint8_t body[70000];
	uint16_t mid = 10;
	struct coap_message m;
	uint32_t value;

	(void)state;
	memset(body, 'x', sizeof(body));
	for (uint32_t num = 0;; num++, mid++) {
		send_block(b, mid, "/rd", QUERY, (struct coap_block){num, true, 6},
			   span_of(body, sizeof(body)), 40);
		m = bench_receive(b);
		if (m.code != COAP_CONTINUE)
			break;
	}
	assert_int_equal(m.code, COAP_REQUEST_ENTITY_TOO_LARGE);
	assert_true(coap_find_uint(&m, COAP_OPTION_SIZE1, &value));
	assert_true(value > 50000 && value < sizeof(body));
	send_block(b, 200, "/rd", "ep=a", (struct coap_block){0, true, 0}, span_str(long_list), 40);
	bench_expect(b, 200, COAP_CONTINUE);
	send_block(b, 201, "/rd", "ep=b", (struct coap_block){0, true, 0}, span_str(long_list), 40);
	bench_expect(b, 201, COAP_CONTINUE);
	send_block(b, 202, "/rd", "ep=c", (struct coap_block){0, true, 0}, span_str(long_list), 40);
	bench_expect(b, 202, COAP_REQUEST_ENTITY_TOO_LARGE); /* two transfers of one address at a time */
	bench_free(b);
}

static void ask(struct bench *b, enum lwm2m_operation operation, const char *path)
{
	char error[160];
	uint64_t ticket;

	assert_int_equal(bench_ask(b, "dev-1", operation, path, "", &ticket, error), 0);
}

/* The device answers request `m` with block `num` of `body`. */
static void answer_block2(struct bench *b, const struct coap_message *m, uint32_t num, uint8_t szx,
			  const char *body, int observe, const char *etag)
{
	struct coap_block block = {num, strlen(body) > (num + 1) * coap_block_size(szx), szx};
	struct coap_message reply;

	coap_message_init(&reply, COAP_ACK, COAP_CONTENT, m->mid, m->token);
	if (etag)
		assert_int_equal(coap_add(&reply, COAP_OPTION_ETAG, span_str(etag)), 0);
	if (observe >= 0)
		assert_int_equal(coap_add_uint(&reply, COAP_OPTION_OBSERVE, (uint32_t)observe), 0);
	assert_int_equal(coap_add_uint(&reply, COAP_OPTION_CONTENT_FORMAT, 0), 0);
	assert_int_equal(coap_add_block(&reply, COAP_OPTION_BLOCK2, &block), 0);
	reply.payload = span_from(span_str(body), coap_block_offset(&block));
	reply.payload.len = MIN(reply.payload.len, coap_block_size(szx));
	bench_input(b, &reply);
}

static void expect_block2(const struct coap_message *m, uint32_t num, uint8_t szx)
{
	struct coap_block b;

	assert_int_equal(coap_find_block(m, COAP_OPTION_BLOCK2, &b), COAP_BLOCK_FOUND);
	assert_int_equal(b.num, num);
	assert_int_equal(b.szx, szx);
	assert_false(b.more);
}

static const char long_value[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP";

static void an_answer_in_blocks_is_fetched_until_it_is_whole(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_READ, "/3/0/1");
	m = bench_receive(b);
	for (uint32_t num = 0; num < 4; num++) {
		answer_block2(b, &m, num, 0, long_value, -1, "v1");
		if (num == 3)
			break;
		m = bench_receive(b);
		assert_true(coap_path_is(&m, "/3/0/1"));
		expect_block2(&m, num + 1, 0);
	}
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_true(span_is(b->answer.payload, long_value));
	bench_free(b);
}

static void an_answer_that_changes_on_the_way_is_invalid(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_READ, "/3/0/1");
	m = bench_receive(b);
	answer_block2(b, &m, 0, 0, long_value, -1, "v1");
	m = bench_receive(b);
	answer_block2(b, &m, 1, 0, long_value, -1, "v2");
	assert_int_equal(b->answer.outcome, LWM2M_INVALID);
	ask(b, LWM2M_READ, "/3/0/1");
	m = bench_receive(b);
	answer_block2(b, &m, 0, 0, long_value, -1, NULL);
	m = bench_receive(b);
	answer_block2(b, &m, 2, 0, long_value, -1, NULL);
	assert_int_equal(b->answer.outcome, LWM2M_INVALID);
	ask(b, LWM2M_READ, "/3/0/1");
	m = bench_receive(b);
	answer_block2(b, &m, 0, 0, long_value, -1, NULL);
	m = bench_receive(b);
	bench_answer(b, &m, COAP_NOT_FOUND, "gone", -1);
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_true(span_is(b->answer.payload, "gone"));
	bench_free(b);
}

/* Starts a Write of `len` bytes to /5/0/1. */
static void write_long(struct bench *b, size_t len)
{
	static uint8_t value[5000];
	const struct record record = {.path = bench_path("/5/0/0"),
				      .value = {.type = VALUE_OPAQUE, .bytes = {value, len}}};
	struct lwm2m_request r = {.operation = LWM2M_WRITE,
				  .path = bench_path("/5/0/0"),
				  .format = FORMAT_OPAQUE,
				  .records = &record,
				  .record_count = 1,
				  .timeout_ms = 60000};
	char error[160];
	uint64_t ticket;

	assert_true(len <= sizeof(value));
	for (size_t i = 0; i < len; i++)
		value[i] = (uint8_t)(i * 7);
	assert_int_equal(lwm2m_request(b->server, lwm2m_find(b->server, span_str("dev-1")), &r,
				       bench_answered, b, &ticket, error),
			 0);
}

static void continue_with(struct bench *b, const struct coap_message *m, uint8_t code,
			  const struct coap_block *block)
{
	struct coap_message reply;

	coap_message_init(&reply, COAP_ACK, code, m->mid, m->token);
	if (block)
		assert_int_equal(coap_add_block(&reply, COAP_OPTION_BLOCK1, block), 0);
	bench_input(b, &reply);
}

static void a_long_write_goes_in_blocks(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;
	uint32_t size;
	size_t got = 0;

	(void)state;
	write_long(b, 2500);
	m = bench_receive(b);
	assert_true(coap_find_uint(&m, COAP_OPTION_SIZE1, &size));
	assert_int_equal(size, 2500);
	for (uint32_t num = 0; num < 3; num++) {
		expect_block1(&m, num, num < 2, 6);
		for (size_t i = 0; i < m.payload.len; i++)
			assert_int_equal(m.payload.data[i], (uint8_t)((got + i) * 7));
		got += m.payload.len;
		continue_with(b, &m, num < 2 ? COAP_CONTINUE : COAP_CHANGED,
			      &(struct coap_block){num, num < 2, 6});
		if (num < 2)
			m = bench_receive(b);
	}
	assert_int_equal(got, 2500);
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_int_equal(b->answer.code, COAP_CHANGED);
	bench_free(b);
}

static void the_device_may_want_smaller_blocks(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	write_long(b, 2500);
	m = bench_receive(b);
	continue_with(b, &m, COAP_CONTINUE,
		      &(struct coap_block){0, true, 4}); /* it has 1024 bytes, and wants 256 from now on */
	m = bench_receive(b);
	expect_block1(&m, 4, true, 4);
	assert_int_equal(m.payload.len, 256);
	assert_int_equal(m.payload.data[0], (uint8_t)(1024 * 7));
	continue_with(b, &m, COAP_REQUEST_ENTITY_TOO_LARGE,
		      &(struct coap_block){4, true, 2}); /* from the start, by 64 */
	m = bench_receive(b);
	expect_block1(&m, 0, true, 2);
	continue_with(b, &m, COAP_REQUEST_ENTITY_INCOMPLETE, NULL); /* it lost all: from the start */
	m = bench_receive(b);
	expect_block1(&m, 0, true, 2);
	continue_with(b, &m, COAP_REQUEST_ENTITY_TOO_LARGE, NULL); /* no way */
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_int_equal(b->answer.code, COAP_REQUEST_ENTITY_TOO_LARGE);
	bench_free(b);
}

static void a_device_that_restarts_for_ever_is_left(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;
	unsigned rounds = 0;

	(void)state;
	write_long(b, 2500);
	while (b->answers == 0) {
		m = bench_receive(b);
		continue_with(b, &m, COAP_REQUEST_ENTITY_INCOMPLETE, NULL);
		assert_true(++rounds < 10);
	}
	assert_int_equal(b->answer.code, COAP_REQUEST_ENTITY_INCOMPLETE);
	bench_free(b);
}

static void a_notification_in_blocks_is_acknowledged_when_all_is_stored(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_block first = {0, true, 0};
	struct coap_message m, notification;
	struct coap_token token;
	struct lwm2m_event e;

	(void)state;
	ask(b, LWM2M_OBSERVE, "/3303/0/5700");
	m = bench_receive(b);
	token = m.token;
	answer_block2(b, &m, 0, 0, long_value, 1, NULL);
	for (uint32_t num = 1; num < 4; num++) {
		m = bench_receive(b);
		assert_null(coap_find(&m, COAP_OPTION_OBSERVE));
		assert_false(coap_token_equal(&m.token, &token));
		answer_block2(b, &m, num, 0, long_value, -1, NULL);
	}
	bench_store_all(b);
	assert_true(span_is(b->answer.payload, long_value));

	coap_message_init(&notification, COAP_CON, COAP_CONTENT, 900, token);
	assert_int_equal(coap_add_uint(&notification, COAP_OPTION_OBSERVE, 2), 0);
	assert_int_equal(coap_add_block(&notification, COAP_OPTION_BLOCK2, &first), 0);
	notification.payload = span_of(long_value, 16);
	bench_input(b, &notification);
	m = bench_receive(b);
	expect_block2(&m, 1, 0);
	bench_input(b, &notification); /* retransmitted while we fetch */
	assert_true(bench_silent(b));
	for (uint32_t num = 1; num < 4; num++) {
		answer_block2(b, &m, num, 0, long_value, -1, NULL);
		if (num < 3)
			m = bench_receive(b);
	}
	assert_true(bench_silent(b));
	bench_store_all(b);
	bench_expect(b, 900, COAP_EMPTY);
	e = bench_event(b, b->event_count - 1);
	assert_int_equal(e.type, EVENT_NOTIFICATION);
	assert_true(span_is(e.payload, long_value));
	bench_input(b, &notification); /* the ACK was lost */
	bench_expect(b, 900, COAP_EMPTY);
	assert_int_equal(b->event_count, 2);
	bench_free(b);
}

static void a_notification_whose_rest_does_not_come_is_welcome_again(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_block first = {0, true, 0};
	struct coap_message m, notification;
	struct coap_token token;

	(void)state;
	ask(b, LWM2M_OBSERVE, "/3303/0/5700");
	m = bench_receive(b);
	token = m.token;
	bench_answer(b, &m, COAP_CONTENT, "x", 1);
	bench_store_all(b);
	coap_message_init(&notification, COAP_CON, COAP_CONTENT, 900, token);
	assert_int_equal(coap_add_uint(&notification, COAP_OPTION_OBSERVE, 2), 0);
	assert_int_equal(coap_add_block(&notification, COAP_OPTION_BLOCK2, &first), 0);
	notification.payload = span_of(long_value, 16);
	bench_input(b, &notification);
	m = bench_receive(b);
	bench_answer(b, &m, COAP_NOT_FOUND, NULL, -1);
	assert_true(bench_silent(b));
	bench_input(b, &notification);
	m = bench_receive(b);
	expect_block2(&m, 1, 0);
	bench_free(b);
}

/* ---- composites ---- */

static int ask_composite(struct bench *b, enum lwm2m_operation operation, const char *first,
			 const char *second)
{
	const struct path paths[] = {bench_path(first), bench_path(second)};
	struct lwm2m_request r = {.operation = operation,
				  .format = FORMAT_NONE,
				  .path_format = FORMAT_NONE,
				  .paths = paths,
				  .path_count = 2,
				  .timeout_ms = 5000};
	char error[160];
	uint64_t ticket;

	return lwm2m_request(b->server, lwm2m_find(b->server, span_str("dev-1")), &r, bench_answered, b,
			     &ticket, error);
}

static void composites_are_fetched_observed_and_cancelled(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;
	struct coap_token token;
	struct lwm2m_event e;
	struct path path;
	struct span body;
	uint8_t kept[256];
	uint32_t value;

	(void)state;
	assert_int_equal(ask_composite(b, LWM2M_READ_COMPOSITE, "/3/0/1", "/1/0"), 0);
	m = bench_receive(b);
	assert_int_equal(m.code, COAP_FETCH);
	assert_null(coap_find(&m, COAP_OPTION_URI_PATH));
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), 112);
	assert_int_equal(coap_format(&m, COAP_OPTION_ACCEPT), 112);
	bench_answer(b, &m, COAP_CONTENT, "x", -1);
	assert_int_equal(b->answers, 1);

	assert_int_equal(ask_composite(b, LWM2M_OBSERVE_COMPOSITE, "/3/0/1", "/1/0"), 0);
	m = bench_receive(b);
	assert_int_equal(m.code, COAP_FETCH);
	token = m.token;
	body = span_of(kept, m.payload.len);
	memcpy(kept, m.payload.data, m.payload.len);
	bench_answer(b, &m, COAP_CONTENT, "x", 1);
	bench_store_all(b);
	assert_int_equal(b->answers, 2);
	bench_notify(b, COAP_CON, 100, token, 2, COAP_CONTENT, "y");
	bench_store_all(b);
	bench_expect(b, 100, COAP_EMPTY);
	e = bench_event(b, 1);
	assert_int_equal(e.path.depth, 0);
	assert_true(paths_next(&e.paths, &path));
	assert_int_equal(path.ids[0], 3);
	assert_true(paths_next(&e.paths, &path));
	assert_int_equal(path.depth, 2);
	assert_false(paths_next(&e.paths, &path));

	bench_register(b, 2, QUERY, location);
	m = bench_receive(b); /* issued again, with the same list */
	assert_int_equal(m.code, COAP_FETCH);
	assert_true(span_equal(m.payload, body));
	token = m.token;
	bench_answer(b, &m, COAP_CONTENT, "z", 1);
	bench_store_all(b);

	assert_int_equal(ask_composite(b, LWM2M_CANCEL_COMPOSITE, "/1/0", "/3/0/1"),
			 LWM2M_REFUSED_NO_OBSERVATION);
	assert_int_equal(ask_composite(b, LWM2M_CANCEL_COMPOSITE, "/3/0/1", "/1/0"), 0);
	m = bench_receive(b);
	assert_true(coap_token_equal(&m.token, &token));
	assert_true(coap_find_uint(&m, COAP_OPTION_OBSERVE, &value));
	assert_int_equal(value, 1);
	bench_answer(b, &m, COAP_CONTENT, "z", -1);
	bench_store_all(b);
	bench_notify(b, COAP_CON, 101, token, 3, COAP_CONTENT, "y");
	m = bench_receive(b);
	assert_int_equal(m.type, COAP_RST);
	bench_free(b);
}

/* ---- Send ---- */

static void send_data(struct bench *b, uint16_t mid, int format, const char *payload)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, COAP_POST, mid, bench_token((uint8_t)mid));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/dp")), 0);
	if (format >= 0)
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, (uint32_t)format), 0);
	m.payload = span_str(payload);
	bench_input(b, &m);
}

static void a_send_is_acknowledged_when_it_is_stored(void **state)
{
	static const char fine[] = "[{\"bn\":\"/3303/0/\",\"n\":\"5700\",\"v\":21.5}]";
	char location[32];
	struct bench *b = registered(location);
	struct lwm2m_event e;

	(void)state;
	send_data(b, 50, 110, fine);
	assert_true(bench_silent(b));
	bench_store_all(b);
	bench_expect(b, 50, COAP_CHANGED);
	send_data(b, 50, 110, fine);
	bench_expect(b, 50, COAP_CHANGED);
	assert_int_equal(b->event_count, 2);
	e = bench_event(b, 1);
	assert_int_equal(e.type, EVENT_SEND);
	assert_int_equal(e.format, 110);
	assert_true(span_is(e.payload, fine));
	assert_true(e.declared.len > 0);
	bench_free(b);
}

static void a_doubled_non_confirmable_send_is_one(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	coap_message_init(&m, COAP_NON, COAP_POST, 60, bench_token(60));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/dp")), 0);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, 110), 0);
	m.payload = span_str("[{\"n\":\"/3303/0/5700\",\"v\":1}]");
	bench_input(b, &m);
	bench_input(b, &m);
	bench_store_all(b);
	assert_int_equal(b->event_count, 2);
	bench_advance(b, 146000);
	bench_input(b, &m);
	bench_finish_write(b, -ENOSPC);
	bench_input(b, &m); /* what was not stored is welcome again */
	bench_store_all(b);
	assert_int_equal(b->event_count, 3);
	bench_free(b);
}

static void a_confirmable_answer_to_an_observe_is_acknowledged_when_it_is_stored(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m, response;
	struct coap_token token;

	(void)state;
	for (int fail = 0; fail < 2; fail++) {
		ask(b, LWM2M_OBSERVE, fail ? "/3/0/9" : "/3303/0/5700");
		m = bench_receive(b);
		token = m.token;
		coap_message_init(&response, COAP_CON, COAP_CONTENT, (uint16_t)(700 + fail), token);
		assert_int_equal(coap_add_uint(&response, COAP_OPTION_OBSERVE, 3), 0);
		response.payload = span_str("x");
		bench_input(b, &response);
		assert_true(bench_silent(b));
		bench_input(b, &response); /* retransmitted while it is written */
		assert_true(bench_silent(b));
		bench_finish_write(b, fail ? -ENOSPC : STORE_DONE);
		assert_int_equal(b->answer.outcome, fail ? LWM2M_NOT_STORED : LWM2M_ANSWERED);
		if (fail)
			break;
		bench_expect(b, 700, COAP_EMPTY);
		bench_input(b, &response); /* its ACK was lost */
		bench_expect(b, 700, COAP_EMPTY);
	}
	assert_true(bench_silent(b));
	assert_int_equal(b->event_count, 1);
	bench_free(b);
}

static void a_caller_that_gives_up_makes_no_early_ack(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m, response;

	(void)state;
	ask(b, LWM2M_OBSERVE, "/3303/0/5700");
	m = bench_receive(b);
	coap_message_init(&response, COAP_CON, COAP_CONTENT, 700, m.token);
	assert_int_equal(coap_add_uint(&response, COAP_OPTION_OBSERVE, 3), 0);
	response.payload = span_str("x");
	bench_input(b, &response);
	bench_advance(b, 5100); /* the store is slow: the caller is told of a timeout */
	assert_int_equal(b->answer.outcome, LWM2M_TIMEOUT);
	assert_true(bench_silent(b));
	bench_store_all(b);
	bench_input(b, &response);
	bench_expect(b, 700, COAP_EMPTY);
	bench_free(b);
}

static void a_send_that_cannot_be_taken_gets_its_code(void **state)
{
	char location[32];
	struct bench *b = registered(location);

	(void)state;
	send_data(b, 50, -1, "[]");
	bench_expect(b, 50, COAP_BAD_REQUEST);
	send_data(b, 51, 11542, "[]");
	bench_expect(b, 51, COAP_BAD_REQUEST);
	send_data(b, 52, 110, "{");
	bench_expect(b, 52, COAP_BAD_REQUEST);
	send_data(b, 53, 110, "[{\"n\":\"/9/0/1\",\"vs\":\"x\"}]");
	bench_expect(b, 53, COAP_NOT_FOUND);
	send_data(b, 54, 110, "[{\"n\":\"/3303/7/5700\",\"v\":1}]");
	bench_expect(b, 54, COAP_NOT_FOUND);
	b->peer.port++;
	send_data(b, 55, 110, "[{\"n\":\"/3303/0/5700\",\"v\":1}]");
	bench_expect(b, 55, COAP_NOT_FOUND);
	bench_request(b, COAP_GET, 56, "/dp", "", NULL);
	bench_expect(b, 56, COAP_METHOD_NOT_ALLOWED);
	assert_int_equal(b->event_count, 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_register_in_blocks_is_one_register),
		cmocka_unit_test(a_missing_block_is_4_08),
		cmocka_unit_test(blocks_that_cannot_be_are_4_00),
		cmocka_unit_test(bodies_and_transfers_are_bounded),
		cmocka_unit_test(an_answer_in_blocks_is_fetched_until_it_is_whole),
		cmocka_unit_test(an_answer_that_changes_on_the_way_is_invalid),
		cmocka_unit_test(a_long_write_goes_in_blocks),
		cmocka_unit_test(the_device_may_want_smaller_blocks),
		cmocka_unit_test(a_device_that_restarts_for_ever_is_left),
		cmocka_unit_test(a_notification_in_blocks_is_acknowledged_when_all_is_stored),
		cmocka_unit_test(a_notification_whose_rest_does_not_come_is_welcome_again),
		cmocka_unit_test(composites_are_fetched_observed_and_cancelled),
		cmocka_unit_test(a_send_is_acknowledged_when_it_is_stored),
		cmocka_unit_test(a_doubled_non_confirmable_send_is_one),
		cmocka_unit_test(a_confirmable_answer_to_an_observe_is_acknowledged_when_it_is_stored),
		cmocka_unit_test(a_caller_that_gives_up_makes_no_early_ack),
		cmocka_unit_test(a_send_that_cannot_be_taken_gets_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
