/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Registration of a simulated device: retries, updates, disable, reboot, the end; and its ledger. */

#include "sim_test.h"

#include <unistd.h>

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

/* Whoever waits for an answer does not sleep. */
static void test_queue_mode_waits_for_answers(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.queue_mode = true;
	b.options.awake_ms = SECOND;
	begin(&b);
	expect(&b);
	advance(&b, 2 * SECOND - 200);
	answer(&b, COAP_CREATED, "/rd/abc");
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
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
		cmocka_unit_test(test_queue_mode_waits_for_answers),
		cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
