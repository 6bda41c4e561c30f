/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The registration interface of the management server: what is answered when, and what of it outlives a
 * restart. */

#include "lwm2m_test.h"

#define QUERY "ep=dev-1&lt=300&lwm2m=1.1&b=U"

static void nothing_is_acknowledged_before_it_is_stored(void **state)
{
	struct bench *b = bench_new();
	struct registration r;

	(void)state;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	assert_true(bench_silent(b));
	assert_null(lwm2m_find(b->server, span_str("dev-1")));
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>"); /* retransmission */
	assert_int_equal(b->write_count, 1);
	assert_true(bench_silent(b));
	bench_store_all(b);
	bench_expect(b, 1, COAP_CREATED);
	assert_true(bench_silent(b));
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_int_equal(r.lifetime_s, 300);
	assert_int_equal(lwm2m_device_count(b->server), 1);
	assert_int_equal(b->event_count, 1);
	assert_int_equal(bench_event(b, 0).type, EVENT_REGISTERED);
	bench_free(b);
}

static void a_retransmitted_register_gets_the_same_location(void **state)
{
	struct bench *b = bench_new();
	char location[32];
	struct coap_message m;
	const struct coap_option *o;

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>");
	m = bench_expect(b, 1, COAP_CREATED);
	o = coap_find_next(&m, coap_find(&m, COAP_OPTION_LOCATION_PATH));
	assert_memory_equal(o->value, location + 4, o->len);
	assert_int_equal(b->write_count, 1);
	bench_free(b);
}

static void the_same_message_id_with_another_content_is_a_new_request(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_POST, 1, "/rd", QUERY "&x=y", "</3/0>");
	bench_store_all(b);
	bench_expect(b, 1, COAP_CREATED);
	assert_int_equal(b->event_count, 2);
	assert_true(bench_event(b, 1).replaces);
	bench_free(b);
}

static void a_failed_write_leaves_nothing_and_the_retransmission_works(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	bench_finish_write(b, -ENOSPC);
	assert_true(bench_silent(b));
	assert_null(lwm2m_find(b->server, span_str("dev-1")));
	b->refuse_writes = -ENOBUFS;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	assert_true(bench_silent(b));
	b->refuse_writes = 0;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	bench_store_all(b);
	bench_expect(b, 1, COAP_CREATED);
	assert_int_equal(b->devices[0].hot.number, 1);
	bench_free(b);
}

static void update_changes_only_what_it_carries(void **state)
{
	struct bench *b = bench_new();
	struct registration r;
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY "&x=y", location);
	bench_request(b, COAP_POST, 2, location, "", NULL);
	assert_int_equal(b->writes[1].change, STORE_RECORD_KEEP);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	bench_request(b, COAP_POST, 3, location, "lt=60&Q", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_int_equal(r.lifetime_s, 60);
	assert_true(r.queue_mode);
	assert_true(span_is(r.links, "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>"));
	bench_request(b, COAP_POST, 4, location, "", "</3/0>");
	bench_store_all(b);
	bench_expect(b, 4, COAP_CHANGED);
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_true(span_is(r.links, "</3/0>"));
	assert_true(r.queue_mode); /* absent Q does not turn it off */
	bench_request(b, COAP_POST, 5, location, "b=U", NULL);
	bench_store_all(b);
	bench_expect(b, 5, COAP_CHANGED);
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	assert_false(r.queue_mode);
	assert_int_equal(bench_event(b, 3).type, EVENT_AWAKE); /* it is in queue mode now */
	assert_int_equal(bench_event(b, 4).update_flags, UPDATE_LINKS);
	assert_int_equal(bench_event(b, 5).update_flags, UPDATE_BINDING);
	bench_free(b);
}

static void an_update_from_another_address_moves_the_device_unless_strict(void **state)
{
	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		struct bench *b = bench_new();
		struct registration r;
		char location[32];

		bench_register(b, 1, QUERY, location);
		b->peer.port++;
		b->config.strict = strict;
		bench_restart(b);
		bench_request(b, COAP_POST, 2, location, "", NULL);
		bench_store_all(b);
		bench_expect(b, 2, strict ? COAP_NOT_FOUND : COAP_CHANGED);
		device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
		assert_int_equal(r.address.port, strict ? 56830 : 56831);
		bench_free(b);
	}
}

static void deregister_and_its_retransmission_are_answered_alike(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	assert_true(bench_silent(b));
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	bench_store_all(b);
	bench_expect(b, 2, COAP_DELETED);
	assert_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_int_equal(lwm2m_device_count(b->server), 0);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	bench_expect(b, 2, COAP_DELETED);
	bench_request(b, COAP_DELETE, 3, location, "", NULL);
	bench_expect(b, 3, COAP_NOT_FOUND);
	assert_int_equal(b->event_count, 2);
	assert_int_equal(bench_event(b, 1).reason, DEREGISTERED_BY_CLIENT);
	bench_advance(b, 250000);
	bench_request(b, COAP_DELETE, 2, location, "", NULL); /* forgotten after EXCHANGE_LIFETIME */
	bench_expect(b, 2, COAP_NOT_FOUND);
	bench_free(b);
}

static void a_device_may_register_again_while_its_removal_is_written(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	bench_request(b, COAP_POST, 3, "/rd", QUERY, "</3/0>");
	bench_store_all(b);
	bench_expect(b, 2, COAP_DELETED);
	bench_expect(b, 3, COAP_CREATED);
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_int_equal(lwm2m_device_count(b->server), 1);
	assert_false(bench_event(b, 2).replaces);
	bench_advance(b, 260000);
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	bench_free(b);
}

static void devices_expire_after_lifetime_and_grace(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_advance(b, 200000);
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	bench_advance(b, 392000);
	assert_int_equal(b->write_count, 2);
	bench_advance(b, 1001);
	assert_int_equal(b->write_count, 3);
	bench_finish_write(b, -ENOSPC); /* cannot be stored: tried again */
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	bench_advance(b, 10001);
	bench_store_all(b);
	assert_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_int_equal(bench_event(b, 2).reason, DEREGISTERED_EXPIRED);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_expect(b, 3, COAP_NOT_FOUND);
	bench_free(b);
}

static void lifetime_zero_is_for_ever(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, "ep=dev-1&lt=0&lwm2m=1.1", location);
	bench_advance(b, 1000ull * 3600 * 24 * 400);
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_int_equal(b->write_count, 1);
	bench_free(b);
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_POST, 2, location, "lt=400", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	bench_restart(b);
	bench_request(b, COAP_POST, 2, location, "lt=400", NULL); /* its ACK was lost with the process */
	bench_expect(b, 2, COAP_CHANGED);
	assert_int_equal(b->event_count, 2);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	assert_int_equal(b->devices[0].hot.number, 3);
	assert_int_equal(b->devices[0].hot.fence.gen, 2);
	bench_restart(b);
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>");
	bench_expect(b, 1, COAP_CREATED);
	assert_int_equal(b->event_count, 3);
	bench_free(b);
}

static void what_is_written_but_not_stored_is_gone_after_a_crash(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	bench_restart(b);
	assert_true(bench_silent(b));
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	bench_store_all(b);
	bench_expect(b, 1, COAP_CREATED);
	assert_int_equal(b->event_count, 1);
	bench_free(b);
}

static void writes_behind_a_failed_one_fail_too_and_then_it_goes_on(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_request(b, COAP_POST, 3, location, "lt=77", NULL);
	bench_finish_write(b, -EIO);
	bench_request(b, COAP_POST, 4, location, "", NULL);
	assert_int_equal(b->write_count, 3); /* nothing new until all are back */
	bench_finish_behind(b, 1, 1);
	assert_true(bench_silent(b));
	assert_int_equal(b->write_count, 3); /* the store lacks nothing */
	bench_request(b, COAP_POST, 3, location, "lt=77", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	bench_free(b);
}

static void a_store_that_lost_a_device_gets_all_of_it(void **state)
{
	struct bench *b = bench_new();
	struct lwm2m_stats stats;
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_POST, 2, location, "lt=77", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_request(b, COAP_DELETE, 4, location, "", NULL);
	memset(&b->devices[0], 0, sizeof(b->devices[0])); /* as a store that starts empty */
	bench_finish_behind(b, 1, 0);
	assert_int_equal(b->write_count, 4); /* not before all are back */
	bench_finish_behind(b, 1, 0);
	assert_true(bench_silent(b));
	assert_int_equal(b->write_count, 5);
	bench_store_all(b);
	assert_true(bench_silent(b));
	assert_int_equal(b->devices[0].hot.number, 1);
	assert_true(b->devices[0].record_len > 0);
	assert_int_equal(b->event_count, 2); /* and no third */
	lwm2m_stats(b->server, &stats);
	assert_int_equal(stats.restored, 1);
	assert_int_equal(stats.devices, 1);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	bench_request(b, COAP_DELETE, 4, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 4, COAP_DELETED);
	bench_free(b);
}

static void of_what_the_store_lacks_it_is_given_all(void **state)
{
	struct bench *b = bench_new();
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	memset(&b->devices[0], 0, sizeof(b->devices[0]));
	lwm2m_server_missing(b->server, span_str("nobody"));
	lwm2m_server_missing(b->server, span_str("dev-1"));
	lwm2m_server_missing(b->server, span_str("dev-1")); /* it is being written */
	assert_int_equal(b->write_count, 2);
	bench_store_all(b);
	assert_true(b->devices[0].live && b->devices[0].record_len > 0);
	assert_int_equal(b->event_count, 1);
	assert_true(bench_silent(b));
	bench_free(b);
}

static void a_store_that_lost_its_last_writes_gets_them_again(void **state)
{
	struct bench *b = bench_new();
	struct bench_device old;
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	old = b->devices[0];
	bench_request(b, COAP_POST, 2, location, "lt=77", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	b->devices[0] = old; /* as a replica that became the primary */
	bench_finish_behind(b, 1, 1);
	bench_store_all(b);
	assert_int_equal(b->devices[0].hot.number, 2);
	assert_true(b->devices[0].record_len != old.record_len ||
		    memcmp(b->devices[0].record, old.record, old.record_len) != 0);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	bench_free(b);
}

static void requests_that_are_none_of_ours_get_the_code_for_it(void **state)
{
	struct bench *b = bench_new();
	struct coap_message m;
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_GET, 2, "/rd", "", NULL);
	bench_expect(b, 2, COAP_METHOD_NOT_ALLOWED);
	bench_request(b, COAP_GET, 3, location, "", NULL);
	bench_expect(b, 3, COAP_METHOD_NOT_ALLOWED);
	bench_request(b, COAP_POST, 4, "/rd/nonsense", "", NULL);
	bench_expect(b, 4, COAP_NOT_FOUND);
	bench_request(b, COAP_POST, 5, "/else/where", "", NULL);
	bench_expect(b, 5, COAP_NOT_FOUND);
	bench_request(b, COAP_POST, 6, "/rd/AAAAAAAAAA/0", "", NULL);
	bench_expect(b, 6, COAP_NOT_FOUND);
	coap_message_init(&m, COAP_CON, COAP_POST, 7, bench_token(7));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd")), 0);
	assert_int_equal(coap_add(&m, 9, span_str("x")), 0); /* critical, and unknown */
	bench_input(b, &m);
	bench_expect(b, 7, COAP_BAD_OPTION);
	assert_int_equal(b->write_count, 1);
	bench_free(b);
}

static void what_the_backend_wants_outlives_the_registration(void **state)
{
	struct bench *b = bench_new();
	char location[32], error[160];
	struct coap_message m;
	uint64_t ticket;

	(void)state;
	bench_register(b, 1, QUERY, location);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_OBSERVE, "/3303/0/5700", "", &ticket, error), 0);
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "20.5", 1);
	bench_store_all(b);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_DELETED);
	assert_int_equal(lwm2m_device_count(b->server), 0);
	bench_restart(b);
	assert_null(lwm2m_find(b->server, span_str("dev-1")));
	bench_register(b, 3, QUERY, location);
	m = bench_receive(b); /* observed again without being asked */
	assert_int_equal(m.code, COAP_GET);
	assert_non_null(coap_find(&m, COAP_OPTION_OBSERVE));
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_acknowledged_before_it_is_stored),
		cmocka_unit_test(a_retransmitted_register_gets_the_same_location),
		cmocka_unit_test(the_same_message_id_with_another_content_is_a_new_request),
		cmocka_unit_test(a_failed_write_leaves_nothing_and_the_retransmission_works),
		cmocka_unit_test(update_changes_only_what_it_carries),
		cmocka_unit_test(an_update_from_another_address_moves_the_device_unless_strict),
		cmocka_unit_test(deregister_and_its_retransmission_are_answered_alike),
		cmocka_unit_test(a_device_may_register_again_while_its_removal_is_written),
		cmocka_unit_test(devices_expire_after_lifetime_and_grace),
		cmocka_unit_test(lifetime_zero_is_for_ever),
		cmocka_unit_test(a_restart_goes_on_where_it_was),
		cmocka_unit_test(what_is_written_but_not_stored_is_gone_after_a_crash),
		cmocka_unit_test(writes_behind_a_failed_one_fail_too_and_then_it_goes_on),
		cmocka_unit_test(a_store_that_lost_a_device_gets_all_of_it),
		cmocka_unit_test(of_what_the_store_lacks_it_is_given_all),
		cmocka_unit_test(a_store_that_lost_its_last_writes_gets_them_again),
		cmocka_unit_test(requests_that_are_none_of_ours_get_the_code_for_it),
		cmocka_unit_test(what_the_backend_wants_outlives_the_registration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
