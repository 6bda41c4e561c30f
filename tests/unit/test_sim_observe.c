/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Observations of a simulated device, and the attributes that hold them back or force them. */

#include "sim_test.h"

/* ---- observing ---- */

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
	assert_int_not_equal(expect(&b)->mid, mid); /* what became due meanwhile: one, not two */
	acknowledge(&b, COAP_ACK);
	expect_silence(&b);
	advance(&b, 10 * SECOND);
	expect(&b);
	acknowledge(&b, COAP_RST);
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

/* Of several values that are written while a notification is under way, the last is told. */
static void test_observe_confirmable_values(void **state)
{
	struct bench b;
	struct coap_message first;

	(void)state;
	setup(&b, true);
	b.options.confirmable = true;
	b.options.notify_ms = 0;
	begin(&b);
	accept_register(&b);
	observe(&b, "/3303/0/5750");
	write_text(&b, "/3303/0/5750", "A");
	advance(&b, 1);
	first = *expect(&b);
	assert_payload(&first, "A");
	write_text(&b, "/3303/0/5750", "B");
	advance(&b, 1);
	write_text(&b, "/3303/0/5750", "C");
	advance(&b, 1);
	expect_silence(&b);
	b.m = first;
	acknowledge(&b, COAP_ACK);
	assert_payload(expect(&b), "C");
	acknowledge(&b, COAP_ACK);
	advance(&b, SECOND);
	expect_silence(&b);
	end(&b);
}

/* Two instances are created while the notification of the first is under way. */
static void test_observe_confirmable_instances(void **state)
{
	struct coap_message m, notification;
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.confirmable = true;
	b.options.notify_ms = 0;
	begin(&b);
	accept_register(&b);
	observe(&b, "/3303");
	m = request(&b, COAP_POST, "/3303");
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	advance(&b, 1);
	notification = *expect(&b);
	assert_int_equal(notification.type, COAP_CON);
	m = request(&b, COAP_POST, "/3303");
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	advance(&b, 1);
	expect_silence(&b); /* one thing at a time, the Update too */
	b.m = notification;
	acknowledge(&b, COAP_ACK);
	assert_true(payload_contains(expect(&b), "</3303/2>"));
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(expect(&b)->code, COAP_CONTENT);
	acknowledge(&b, COAP_ACK);
	advance(&b, SECOND);
	expect_silence(&b);
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

/* The 2.01 is still on its way when the server observes; then it does not come. */
static void test_failed_register_drops_observations(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	setup(&b, true);
	begin(&b);
	m = *expect(&b);
	observe(&b, "/3/0/9");
	assert_int_equal(b.device.observation_count, 1);
	b.m = m;
	answer(&b, COAP_FORBIDDEN, NULL);
	advance_until_sent(&b);
	assert_int_equal(b.device.observation_count, 0);
	accept_register(&b);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_interval),
		cmocka_unit_test(test_observe_periods),
		cmocka_unit_test(test_observe_thresholds),
		cmocka_unit_test(test_observe_written_value),
		cmocka_unit_test(test_observe_cancel),
		cmocka_unit_test(test_observe_confirmable),
		cmocka_unit_test(test_observe_confirmable_values),
		cmocka_unit_test(test_observe_confirmable_instances),
		cmocka_unit_test(test_observe_unacknowledged),
		cmocka_unit_test(test_observe_deleted),
		cmocka_unit_test(test_observe_limit),
		cmocka_unit_test(test_register_drops_observations),
		cmocka_unit_test(test_failed_register_drops_observations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
