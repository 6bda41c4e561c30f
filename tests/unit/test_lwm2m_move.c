/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A device that moves from one server to another, whatever is under way: nobody notices. */

#include "lwm2m_cluster.h"

#include "lwm2m/queued.h"

/* ---- at rest ---- */

static void an_idle_device_goes_on_where_it_is(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	char location[32];
	struct device *d;

	(void)state;
	register_at(c, location);
	bench_request(a, COAP_POST, 2, location, "", NULL);
	bench_store_all(a);
	bench_expect(a, 2, COAP_CHANGED);
	move(c, 0, 1);
	assert_int_equal(lwm2m_device_count(a->server), 0);
	assert_int_equal(lwm2m_device_count(b->server), 1);
	d = lwm2m_find(b->server, span_str("dev-1"));
	assert_int_equal(device_seen_ms(d), a->wall);
	/* What was answered there is answered again here, and what is new is new. */
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_expect(b, 2, COAP_CHANGED);
	assert_int_equal(b->write_count, 0);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	assert_int_equal(b->event_count, 1);
	assert_int_equal(b->writes[0].hot.fence.gen, 2);
	assert_int_equal(b->writes[0].hot.fence.node, 2);
	assert_int_equal(b->writes[0].hot.number, 4); /* Register, Update, hand-over, Update */
	/* Node 0 knows nothing of it any more. */
	bench_request(a, COAP_POST, 4, location, "", NULL);
	bench_expect(a, 4, COAP_NOT_FOUND);
	assert_int_equal(stats_of(c, 0).given, 1);
	assert_int_equal(stats_of(c, 1).taken, 1);
	cluster_free(c);
}

static void message_ids_go_on(void **state)
{
	struct cluster *c = cluster_new();
	struct coap_message m;
	char location[32];
	uint16_t mid;

	(void)state;
	register_at(c, location);
	(void)ask(bench_of(c, 0), LWM2M_READ, "/3/0/0");
	m = bench_receive(bench_of(c, 0));
	mid = m.mid;
	bench_answer(bench_of(c, 0), &m, COAP_CONTENT, "x", -1);
	move(c, 0, 1);
	(void)ask(bench_of(c, 1), LWM2M_READ, "/3/0/0");
	m = bench_receive(bench_of(c, 1));
	assert_int_equal(m.mid, (uint16_t)(mid + 1));
	/* What it was seen to understand is known, too. */
	assert_null(coap_find(&m, COAP_OPTION_BLOCK1));
	cluster_free(c);
}

static void a_device_expires_where_it_is(void **state)
{
	struct cluster *c = cluster_new();
	char location[32];

	(void)state;
	register_at(c, location);
	cluster_advance(c, 200000);
	move(c, 0, 1);
	assert_int_equal(c->given.expires_ms, 1700000000000 + 393000);
	cluster_advance(c, 190000);
	assert_int_equal(bench_of(c, 1)->write_count, 0);
	cluster_advance(c, 10000);
	assert_int_equal(bench_of(c, 1)->write_count, 1); /* 300 + 93 s after the Register */
	assert_int_equal(bench_of(c, 0)->write_count, 1); /* the Register alone */
	cluster_free(c);
}

/* ---- requests of ours ---- */

static void an_answer_reaches_who_asked(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	move(c, 0, 1);
	assert_int_equal(a->answers, 0);
	assert_true(bench_silent(b)); /* nothing is sent because of the move */
	bench_answer(b, &m, COAP_CONTENT, "shoal", -1);
	assert_answered(a, 1, "shoal");
	assert_int_equal(b->answers, 0);
	assert_int_equal(c->nodes[1].forwarded, 1);
	assert_int_equal(stats_of(c, 0).requests_active, 0);
	assert_int_equal(stats_of(c, 1).requests_active, 0);
	cluster_advance(c, 100000);
	assert_int_equal(a->answers, 1);
	cluster_free(c);
}

static void a_separate_answer_reaches_who_asked(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	send_empty(a, COAP_ACK, m.mid);
	move(c, 0, 1);
	send_separate(b, COAP_CON, 700, m.token, COAP_CONTENT, "later");
	assert_answered(a, 1, "later");
	bench_expect(b, 700, COAP_EMPTY);
	/* Its ACK was lost: it comes once more, to yet another node. */
	move(c, 1, 2);
	send_separate(bench_of(c, 2), COAP_CON, 700, m.token, COAP_CONTENT, "later");
	bench_expect(bench_of(c, 2), 700, COAP_EMPTY);
	assert_int_equal(a->answers, 1);
	cluster_free(c);
}

static void what_is_not_answered_is_sent_again_from_there(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct lwm2m_request r = {.operation = LWM2M_EXECUTE, .format = FORMAT_NONE, .timeout_ms = 200000};
	struct coap_message first, again;
	uint64_t ticket;
	char location[32], error[160];
	unsigned sent = 1;

	(void)state;
	register_at(c, location);
	r.path = bench_path("/3/0/4");
	assert_int_equal(lwm2m_request(a->server, lwm2m_find(a->server, span_str("dev-1")), &r,
				       bench_answered, a, &ticket, error),
			 0);
	first = bench_receive(a);
	cluster_advance(c, 1000);
	move(c, 0, 1);
	assert_true(bench_silent(b));
	cluster_advance(c, 2500);
	again = bench_receive(b);
	assert_int_equal(again.mid, first.mid); /* so that the device knows it and does not act twice */
	assert_true(coap_token_equal(&again.token, &first.token));
	cluster_advance(c, 120000);
	while (!bench_silent(b)) {
		again = bench_receive(b);
		assert_int_equal(again.mid, first.mid);
		sent++;
	}
	assert_int_equal(sent, 4); /* all four retransmissions, wherever from */
	assert_true(bench_silent(a));
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_TIMEOUT);
	cluster_free(c);
}

static void requests_that_wait_keep_their_order(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	(void)ask(a, LWM2M_READ, "/3/0/1");
	(void)ask(a, LWM2M_READ, "/3/0/2");
	m = bench_receive(a);
	assert_true(bench_silent(a));
	move(c, 0, 1);
	for (unsigned i = 0; i < 3; i++) {
		const char *texts[] = {"0", "1", "2"};
		const struct coap_option *o = coap_find(&m, COAP_OPTION_URI_PATH);

		o = coap_find_next(&m, coap_find_next(&m, o));
		assert_true(span_is(coap_value(o), texts[i]));
		bench_answer(b, &m, COAP_CONTENT, texts[i], -1);
		assert_answered(a, i + 1, texts[i]);
		if (i < 2)
			m = bench_receive(b);
	}
	assert_true(bench_silent(b));
	cluster_free(c);
}

static void a_read_in_blocks_goes_on(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_block block;
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	send_block2(a, &m, 0, true, "0123456789abcdef");
	m = bench_receive(a);
	move(c, 0, 1);
	send_block2(b, &m, 1, true, "ghijklmnopqrstuv");
	m = bench_receive(b);
	assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK2, &block), COAP_BLOCK_FOUND);
	assert_int_equal(block.num, 2);
	send_block2(b, &m, 2, false, "wxyz");
	assert_answered(a, 1, "0123456789abcdefghijklmnopqrstuvwxyz");
	cluster_free(c);
}

/* A Write of `len` bytes to /3/0/14. */
static void write_long(struct bench *b, size_t len)
{
	struct lwm2m_request r = {.operation = LWM2M_WRITE, .format = FORMAT_OPAQUE, .timeout_ms = 60000};
	struct record record = {.value = {.type = VALUE_OPAQUE}};
	uint8_t *bytes = malloc(len);
	uint64_t ticket;
	char error[160];

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i / 1024);
	r.path = record.path = bench_path("/5/0/0");
	record.value.bytes = span_of(bytes, len);
	r.records = &record;
	r.record_count = 1;
	assert_int_equal(lwm2m_request(b->server, lwm2m_find(b->server, span_str("dev-1")), &r,
				       bench_answered, b, &ticket, error),
			 0);
	free(bytes);
}

static void answer_block1(struct bench *b, const struct coap_message *m, uint32_t num, bool more)
{
	struct coap_message reply;
	struct coap_block block = {num, more, COAP_SZX_MAX};

	coap_message_init(&reply, COAP_ACK, more ? COAP_CONTINUE : COAP_CHANGED, m->mid, m->token);
	assert_int_equal(coap_add_block(&reply, COAP_OPTION_BLOCK1, &block), 0);
	bench_input(b, &reply);
}

static void a_write_in_blocks_goes_on(void **state)
{
	enum { BLOCKS = 5 };
	struct cluster *c = cluster_new();
	struct coap_block block;
	struct coap_message m;
	char location[32];
	unsigned at = 0;

	(void)state;
	register_at(c, location);
	write_long(bench_of(c, 0), BLOCKS * 1024);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		m = bench_receive(bench_of(c, at));
		assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK1, &block), COAP_BLOCK_FOUND);
		assert_int_equal(block.num, i);
		assert_int_equal(m.payload.len, 1024);
		assert_int_equal(m.payload.data[0], i);
		if (i == 1 || i == 3) /* on its way, and twice */
			move(c, at, at + 1);
		at += i == 1 || i == 3;
		answer_block1(bench_of(c, at), &m, i, i + 1 < BLOCKS);
	}
	assert_int_equal(bench_of(c, 0)->answers, 1);
	assert_int_equal(bench_of(c, 0)->answer.code, COAP_CHANGED);
	cluster_free(c);
}

static void what_is_too_large_stays_behind(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	write_long(a, 500 * 1024);
	write_long(a, 450 * 1024);
	give(c, 0);
	assert_in_range(c->given.luggage.len, 400 * 1024, LWM2M_LUGGAGE_MAX);
	assert_int_equal(a->answers, 0);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_GONE);
	assert_int_equal(a->answers, 1); /* the larger one */
	assert_int_equal(a->answer.outcome, LWM2M_UNKNOWN);
	take_with(c, 1, buffer_span(&c->given.luggage));
	bench_answer(b, &m, COAP_CONTENT, "small", -1);
	assert_answered(a, 2, "small");
	m = bench_receive(b);
	assert_int_equal(m.payload.len, 1024);
	cluster_free(c);
}

static void an_answer_without_accept_is_asked_for_there(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0"); /* 5 s, of which half are kept for a try without Accept */
	m = bench_receive(a);
	assert_non_null(coap_find(&m, COAP_OPTION_ACCEPT));
	cluster_advance(c, 1000);
	move(c, 0, 1);
	cluster_advance(c, 1600);
	m = bench_receive(b); /* it may have been sent again first */
	if (coap_find(&m, COAP_OPTION_ACCEPT))
		m = bench_receive(b);
	assert_null(coap_find(&m, COAP_OPTION_ACCEPT));
	bench_answer(b, &m, COAP_CONTENT, "plain", -1);
	assert_answered(a, 1, "plain");
	/* Learned there, and known wherever it goes. */
	move(c, 1, 2);
	(void)ask(bench_of(c, 2), LWM2M_READ, "/3/0");
	m = bench_receive(bench_of(c, 2));
	assert_null(coap_find(&m, COAP_OPTION_ACCEPT));
	cluster_free(c);
}

/* ---- who asked, and where ---- */

static void a_request_may_move_several_times(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	move(c, 0, 1);
	move(c, 1, 2);
	assert_int_equal(stats_of(c, 1).requests_active, 0);
	bench_answer(bench_of(c, 2), &m, COAP_CONTENT, "far", -1);
	assert_answered(a, 1, "far");
	assert_int_equal(c->nodes[1].forwarded, 0);
	assert_int_equal(c->nodes[2].forwarded, 1);
	cluster_free(c);
}

static void a_request_comes_back_to_who_asked(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	struct coap_message first, second;
	uint64_t ticket;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	ticket = ask(a, LWM2M_READ, "/3/0/1");
	first = bench_receive(a);
	move(c, 0, 1);
	move(c, 1, 0);
	bench_answer(a, &first, COAP_CONTENT, "home", -1);
	assert_answered(a, 1, "home");
	assert_int_equal(c->nodes[0].forwarded + c->nodes[1].forwarded, 0);
	/* It has its old name. */
	second = bench_receive(a);
	lwm2m_request_cancel(a->server, ticket);
	bench_answer(a, &second, COAP_CONTENT, "late", -1);
	assert_int_equal(a->answers, 1);
	assert_int_equal(stats_of(c, 0).requests_active, 0);
	cluster_free(c);
}

static void a_request_that_nobody_waits_for_is_not_taken_back(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	uint64_t ticket;
	char location[32];

	(void)state;
	register_at(c, location);
	ticket = ask(a, LWM2M_READ, "/3/0/0");
	(void)bench_receive(a);
	move(c, 0, 1);
	assert_int_equal(stats_of(c, 0).requests_active, 1);
	lwm2m_request_cancel(a->server, ticket);
	assert_int_equal(stats_of(c, 0).requests_active, 0);
	move(c, 1, 0);
	assert_int_equal(stats_of(c, 0).requests_active, 0);
	cluster_advance(c, 30000);
	assert_true(bench_silent(a));
	assert_int_equal(a->answers, 0);
	cluster_free(c);
}

static void an_answer_that_does_not_come_back_times_out(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	move(c, 0, 1);
	c->nodes[1].mute = true;
	bench_answer(bench_of(c, 1), &m, COAP_CONTENT, "lost", -1);
	cluster_advance(c, 9000); /* its 5 s, and some for the way */
	assert_int_equal(a->answers, 0);
	cluster_advance(c, 2000);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_TIMEOUT);
	assert_non_null(a->answer.error);
	cluster_free(c);
}

static void who_waits_for_a_dead_node_is_told(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 2);
	struct coap_message first, m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_EXECUTE, "/3/0/4");
	first = bench_receive(a);
	move(c, 0, 1);
	/* Node 1 dies; node 2 claims from the store alone. */
	take_with(c, 2, span_of(NULL, 0));
	lwm2m_server_abandoned(a->server, span_str("somebody else"));
	assert_int_equal(a->answers, 0);
	lwm2m_server_abandoned(a->server, span_str("dev-1"));
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_UNKNOWN);
	/* An Execute is not sent twice, and a new message has an id that the device cannot remember. */
	cluster_advance(c, 100000);
	assert_true(bench_silent(b));
	(void)ask(b, LWM2M_READ, "/3/0/0");
	m = bench_receive(b);
	assert_int_equal(m.mid, 3 * 4096);
	assert_int_not_equal(m.mid, first.mid);
	cluster_free(c);
}

/* ---- notifications ---- */

static void a_notification_is_stored_once(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_token token;
	char location[32];

	(void)state;
	register_at(c, location);
	token = observe_at(c);
	bench_notify(a, COAP_CON, 900, token, 8, COAP_CONTENT, "22");
	bench_store_all(a);
	bench_expect(a, 900, COAP_EMPTY);
	assert_int_equal(a->event_count, 2); /* Register and this */
	move(c, 0, 1);
	bench_notify(b, COAP_CON, 900, token, 8, COAP_CONTENT, "22"); /* its ACK was lost */
	bench_expect(b, 900, COAP_EMPTY);
	assert_int_equal(b->event_count, 0);
	bench_notify(b, COAP_NON, 901, token, 7, COAP_CONTENT, "21"); /* overtaken */
	assert_int_equal(b->write_count, 0);
	assert_int_equal(stats_of(c, 1).notifications_stale, 1);
	bench_notify(b, COAP_CON, 902, token, 9, COAP_CONTENT, "23");
	bench_store_all(b);
	bench_expect(b, 902, COAP_EMPTY);
	assert_int_equal(b->event_count, 1);
	cluster_free(c);
}

/* The network doubles what is not confirmable, and each copy reaches another node. */
static void a_doubled_message_is_stored_once(void **state)
{
	struct cluster *c = cluster_new();
	struct coap_token token;
	char location[32];

	(void)state;
	register_at(c, location);
	token = observe_at(c);
	bench_notify(bench_of(c, 0), COAP_NON, 900, token, 8, COAP_CONTENT, "22");
	bench_store_all(bench_of(c, 0));
	move(c, 0, 1);
	bench_notify(bench_of(c, 1), COAP_NON, 900, token, 8, COAP_CONTENT, "22");
	assert_int_equal(bench_of(c, 1)->write_count, 0);
	assert_int_equal(stats_of(c, 1).duplicates, 1);
	cluster_free(c);
}

static void an_observe_that_waits_is_answered(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m, reply;
	struct coap_token token;
	struct registration r;
	struct observation o;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_OBSERVE, "/3303/0/5700");
	m = bench_receive(a);
	token = m.token;
	send_empty(a, COAP_ACK, m.mid);
	move(c, 0, 1);
	coap_message_init(&reply, COAP_CON, COAP_CONTENT, 800, token);
	assert_int_equal(coap_add_uint(&reply, COAP_OPTION_OBSERVE, 3), 0);
	reply.payload = span_str("20");
	bench_input(b, &reply);
	assert_true(bench_silent(b)); /* not before it is stored */
	assert_int_equal(a->answers, 0);
	bench_store_all(b);
	bench_expect(b, 800, COAP_EMPTY);
	assert_answered(a, 1, "20");
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_true(observation_next(&r.observations, &o));
	assert_true(coap_token_equal(&o.token, &token));
	bench_notify(b, COAP_CON, 801, token, 4, COAP_CONTENT, "21");
	bench_store_all(b);
	bench_expect(b, 801, COAP_EMPTY);
	cluster_free(c);
}

/* Begun by a first block at one node, fetched by another, acknowledged by a third. */
static void a_notification_in_blocks_goes_on(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_block block = {0, true, 0};
	struct coap_message m, first;
	struct coap_token token;
	char location[32];

	(void)state;
	register_at(c, location);
	token = observe_at(c);
	coap_message_init(&first, COAP_CON, COAP_CONTENT, 900, token);
	assert_int_equal(coap_add_uint(&first, COAP_OPTION_OBSERVE, 8), 0);
	assert_int_equal(coap_add_block(&first, COAP_OPTION_BLOCK2, &block), 0);
	first.payload = span_str("0123456789abcdef");
	bench_input(a, &first);
	m = bench_receive(a);
	move(c, 0, 1);
	bench_input(b, &first); /* again: silence, until all is there */
	assert_true(bench_silent(b));
	send_block2(b, &m, 1, false, "end");
	assert_true(bench_silent(b));
	bench_store_all(b);
	bench_expect(b, 900, COAP_EMPTY);
	assert_int_equal(b->event_count, 1);
	assert_int_equal(bench_event(b, 0).payload.len, 19);
	move(c, 1, 2);
	bench_input(bench_of(c, 2), &first);
	bench_expect(bench_of(c, 2), 900, COAP_EMPTY);
	assert_int_equal(bench_of(c, 2)->write_count, 0);
	cluster_free(c);
}

static void observations_that_are_issued_again_go_on(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct coap_message m;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)observe_at(c);
	bench_register(a, 2, QUERY, location);
	m = bench_receive(a); /* observed again, for the new registration */
	assert_non_null(coap_find(&m, COAP_OPTION_OBSERVE));
	move(c, 0, 1);
	bench_answer(b, &m, COAP_CONTENT, "25", 1);
	bench_store_all(b);
	assert_int_equal(b->event_count, 1);
	assert_int_equal(bench_event(b, 0).type, EVENT_NOTIFICATION);
	assert_int_equal(a->answers, 1); /* nobody asked for it */
	assert_int_equal(c->nodes[1].forwarded, 0);
	cluster_free(c);
}

/* ---- requests of the device in blocks ---- */

static void put_block1(struct bench *b, uint16_t mid, uint32_t num, bool more, const char *payload)
{
	struct coap_block block = {num, more, 0};
	struct coap_message m;

	coap_message_init(&m, COAP_CON, COAP_POST, mid, bench_token((uint8_t)mid));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd")), 0);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(QUERY)), 0);
	assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &block), 0);
	m.payload = span_str(payload);
	bench_input(b, &m);
}

static void a_register_in_blocks_goes_on(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	struct registration r;
	char location[32];

	(void)state;
	register_at(c, location);
	put_block1(a, 5, 0, true, "</1/0>,</3/0>,</");
	bench_expect(a, 5, COAP_CONTINUE);
	move(c, 0, 1);
	put_block1(a, 6, 1, false, "4/0>"); /* there it is gone */
	bench_expect(a, 6, COAP_REQUEST_ENTITY_INCOMPLETE);
	put_block1(b, 6, 1, false, "4/0>");
	bench_store_all(b);
	bench_expect(b, 6, COAP_CREATED);
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_true(span_is(r.links, "</1/0>,</3/0>,</4/0>"));
	cluster_free(c);
}

/* ---- requests that waited until the device woke ---- */

/* All that the store, the pace and the turns of node `i` have to do. */
static void let_run(struct cluster *c, unsigned i)
{
	for (unsigned n = 0; n < 10; n++) {
		bench_store_all(bench_of(c, i));
		cluster_advance(c, 20);
	}
}

/* An Execute waits until the device wakes, and is sent: its message. */
static struct coap_message send_queued(struct cluster *c)
{
	struct bench *a = bench_of(c, 0);
	struct lwm2m_request r = {.operation = LWM2M_EXECUTE,
				  .format = FORMAT_NONE,
				  .timeout_ms = 5000,
				  .ttl_ms = LWM2M_TTL_DEFAULT};
	uint64_t ticket;
	char location[32], error[160];

	r.path = bench_path("/3/0/4");
	bench_register(a, 1, "ep=dev-1&lt=3000&lwm2m=1.1&b=UQ", location);
	let_run(c, 0);
	cluster_advance(c, 100000);
	assert_int_equal(lwm2m_request(a->server, lwm2m_find(a->server, span_str("dev-1")), &r,
				       bench_answered, a, &ticket, error),
			 0);
	let_run(c, 0);
	assert_int_equal(a->answer.outcome, LWM2M_QUEUED);
	bench_request(a, COAP_POST, 2, location, "", NULL);
	let_run(c, 0);
	bench_expect(a, 2, COAP_CHANGED);
	return bench_receive(a);
}

/* The store's rows are there for every node. */
static void share_requests(struct cluster *c, unsigned from, unsigned to)
{
	struct bench *a = bench_of(c, from), *b = bench_of(c, to);

	memcpy(b->requests, a->requests, sizeof(b->requests));
	b->request_count = a->request_count;
}

static void a_queued_request_goes_on(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *b = bench_of(c, 1);
	struct coap_message m = send_queued(c);

	(void)state;
	assert_int_equal(bench_of(c, 0)->requests[0].state, QUEUED_SENT);
	share_requests(c, 0, 1);
	move(c, 0, 1);
	let_run(c, 1); /* it looks at the queue, and finds what it has in work */
	assert_int_equal(b->requests[0].state, QUEUED_SENT);
	bench_answer(b, &m, COAP_CHANGED, NULL, -1);
	let_run(c, 1);
	assert_int_equal(b->requests[0].state, QUEUED_ANSWERED);
	assert_true(bench_silent(b));
	assert_int_equal(bench_event(b, b->event_count - 1).type, EVENT_REQUEST_ENDED);
	cluster_free(c);
}

static void a_queued_request_whose_fate_is_unknown_is_not_sent_twice(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *b = bench_of(c, 1);

	(void)state;
	(void)send_queued(c);
	share_requests(c, 0, 1);
	give(c, 0);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_LOST);
	take_with(c, 1, span_of(NULL, 0));
	let_run(c, 1);
	assert_int_equal(b->requests[0].state, QUEUED_UNKNOWN);
	cluster_advance(c, 60000);
	assert_true(bench_silent(b));
	assert_true(bench_silent(bench_of(c, 0)));
	cluster_free(c);
}

/* What the store is asked about a queue is answered before the device goes. */
static void a_request_that_is_added_is_awaited(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	struct lwm2m_request r = {.operation = LWM2M_READ,
				  .format = FORMAT_NONE,
				  .timeout_ms = 5000,
				  .ttl_ms = LWM2M_TTL_DEFAULT};
	uint64_t ticket;
	char location[32], error[160];

	(void)state;
	r.path = bench_path("/3/0/0");
	bench_register(a, 1, "ep=dev-1&lt=3000&lwm2m=1.1&b=UQ", location);
	let_run(c, 0);
	cluster_advance(c, 100000);
	let_run(c, 0);
	assert_int_equal(lwm2m_request(a->server, lwm2m_find(a->server, span_str("dev-1")), &r,
				       bench_answered, a, &ticket, error),
			 0);
	give(c, 0);
	cluster_advance(c, 100);
	assert_int_equal(c->given.calls, 0);
	let_run(c, 0);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_QUEUED);
	assert_int_equal(c->given.calls, 1);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_GONE);
	cluster_free(c);
}

static void the_end_of_a_queued_request_is_awaited(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	struct coap_message m = send_queued(c);

	(void)state;
	bench_answer(a, &m, COAP_CHANGED, NULL, -1); /* its end is being written: row and event */
	give(c, 0);
	assert_int_equal(c->given.calls, 0);
	let_run(c, 0);
	assert_int_equal(c->given.calls, 1);
	assert_int_equal(a->requests[0].state, QUEUED_ANSWERED);
	assert_int_equal(bench_event(a, a->event_count - 1).type, EVENT_REQUEST_ENDED);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_KEPT);
	cluster_free(c);
}

/* ---- luggage ---- */

/* Fills a luggage with one of each kind. */
static void pack_much(struct cluster *c)
{
	struct bench *a = bench_of(c, 0);
	struct coap_block block = {0, true, 0};
	struct coap_message m;
	struct coap_token token;
	char location[32];

	register_at(c, location);
	token = observe_at(c);
	coap_message_init(&m, COAP_CON, COAP_CONTENT, 900, token);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 8), 0);
	assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK2, &block), 0);
	m.payload = span_str("0123456789abcdef");
	bench_input(a, &m);
	put_block1(a, 5, 0, true, "</1/0>,</3/0>,</");
	write_long(a, 2000);
	(void)ask(a, LWM2M_WRITE_ATTRIBUTES, "/3/0");
	(void)ask(a, LWM2M_OBSERVE, "/3/0/9");
	give(c, 0);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_GONE);
}

static void what_cannot_be_read_is_left_out(void **state)
{
	struct cluster *c = cluster_new();
	struct random random;
	size_t len;

	(void)state;
	pack_much(c);
	len = c->given.luggage.len;
	random_init_seed(&random, 7);
	for (size_t i = 0; i < len; i += 1 + len / 400) {
		struct given g = c->given;

		/* Cut, and with a byte that is another one. */
		take_with(c, 1, span_of(g.luggage.data, i));
		lwm2m_server_drop(bench_of(c, 1)->server, span_str("dev-1"), UINT32_MAX);
		c->given.luggage.data[i] ^= (uint8_t)(1 + random_u32(&random) % 255);
		take_with(c, 1, buffer_span(&c->given.luggage));
		cluster_advance(c, i % 3 ? 100 : 3000);
		assert_non_null(lwm2m_find(bench_of(c, 1)->server, span_str("dev-1")));
		lwm2m_server_drop(bench_of(c, 1)->server, span_str("dev-1"), UINT32_MAX);
		while (bench_of(c, 1)->write_done < bench_of(c, 1)->write_count)
			bench_finish_write(bench_of(c, 1), STORE_REFUSED);
	}
	cluster_free(c);
}

/* Nobody is left waiting: what the luggage had is told at its origin, as unknown at worst. */
static void whoever_asked_is_told(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);

	(void)state;
	pack_much(c);
	take_with(c, 1, buffer_span(&c->given.luggage));
	assert_int_equal(stats_of(c, 0).requests_active, 3);
	assert_int_equal(stats_of(c, 1).requests_active, 4);
	lwm2m_server_drop(bench_of(c, 1)->server, span_str("dev-1"), UINT32_MAX);
	assert_int_equal(a->answers, 1 + 3);
	assert_int_equal(a->answer.outcome, LWM2M_UNKNOWN);
	assert_int_equal(stats_of(c, 0).requests_active, 0);
	assert_int_equal(stats_of(c, 1).requests_active, 0);
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_device_goes_on_where_it_is),
		cmocka_unit_test(message_ids_go_on),
		cmocka_unit_test(a_device_expires_where_it_is),
		cmocka_unit_test(an_answer_reaches_who_asked),
		cmocka_unit_test(a_separate_answer_reaches_who_asked),
		cmocka_unit_test(what_is_not_answered_is_sent_again_from_there),
		cmocka_unit_test(requests_that_wait_keep_their_order),
		cmocka_unit_test(a_read_in_blocks_goes_on),
		cmocka_unit_test(a_write_in_blocks_goes_on),
		cmocka_unit_test(what_is_too_large_stays_behind),
		cmocka_unit_test(an_answer_without_accept_is_asked_for_there),
		cmocka_unit_test(a_request_may_move_several_times),
		cmocka_unit_test(a_request_comes_back_to_who_asked),
		cmocka_unit_test(a_request_that_nobody_waits_for_is_not_taken_back),
		cmocka_unit_test(an_answer_that_does_not_come_back_times_out),
		cmocka_unit_test(who_waits_for_a_dead_node_is_told),
		cmocka_unit_test(a_notification_is_stored_once),
		cmocka_unit_test(a_doubled_message_is_stored_once),
		cmocka_unit_test(an_observe_that_waits_is_answered),
		cmocka_unit_test(a_notification_in_blocks_goes_on),
		cmocka_unit_test(observations_that_are_issued_again_go_on),
		cmocka_unit_test(a_register_in_blocks_goes_on),
		cmocka_unit_test(a_queued_request_goes_on),
		cmocka_unit_test(a_queued_request_whose_fate_is_unknown_is_not_sent_twice),
		cmocka_unit_test(a_request_that_is_added_is_awaited),
		cmocka_unit_test(the_end_of_a_queued_request_is_awaited),
		cmocka_unit_test(what_cannot_be_read_is_left_out),
		cmocka_unit_test(whoever_asked_is_told),
	};

	return cmocka_run_group_tests_name("lwm2m-move", tests, NULL, NULL);
}
