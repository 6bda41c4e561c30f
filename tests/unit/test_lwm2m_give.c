/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* How a hand-over ends: well, not at all, or nobody knows how. */

#include "lwm2m_cluster.h"

#include "lwm2m/policy.h"

static void writes_under_way_are_awaited(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	char location[32];

	(void)state;
	register_at(c, location);
	bench_request(a, COAP_POST, 2, location, "lt=600", NULL);
	give(c, 0);
	cluster_advance(c, 1000);
	assert_int_equal(c->given.calls, 0);
	bench_request(a, COAP_POST, 3, location, "", NULL); /* not taken any more */
	assert_int_equal(a->write_count, 2);
	bench_store_all(a);
	bench_expect(a, 2, COAP_CHANGED);
	assert_true(bench_silent(a));
	cluster_advance(c, 1);
	assert_int_equal(c->given.calls, 1);
	assert_int_equal(c->given.result, 0);
	assert_int_equal(c->given.stored.hot.number, 3);
	assert_int_equal(c->given.stored.hot.seen_ms, 1700000000000);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_GONE);
	take_with(c, 1, buffer_span(&c->given.luggage));
	bench_request(b, COAP_POST, 2, location, "lt=600", NULL);
	bench_expect(b, 2, COAP_CHANGED);
	assert_int_equal(b->write_count, 0);
	cluster_free(c);
}

static void a_device_that_leaves_meanwhile_is_not_given(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	char location[32];

	(void)state;
	register_at(c, location);
	bench_request(a, COAP_DELETE, 2, location, "", NULL);
	give(c, 0);
	bench_store_all(a);
	bench_expect(a, 2, COAP_DELETED);
	cluster_advance(c, 1);
	assert_int_equal(c->given.calls, 1);
	assert_int_equal(c->given.result, -ENOENT);
	assert_int_equal(lwm2m_server_give(a->server, span_str("dev-1"), cluster_ready, &c->given), -ENOENT);
	assert_int_equal(lwm2m_server_give(a->server, span_str("dev-2"), cluster_ready, &c->given), -ENOENT);
	bench_register(a, 3, QUERY, location); /* it may come again */
	cluster_free(c);
}

static void what_is_kept_goes_on(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	const struct policy wanted = {.format = FORMAT_NONE};
	struct coap_message m;
	struct address peer;
	struct span endpoint;
	uint32_t cursor = 0;
	uint64_t ticket;
	char location[32], error[160];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	assert_true(lwm2m_server_has(a->server, span_str("dev-1")));
	assert_true(lwm2m_server_peer(a->server, span_str("dev-1"), &peer));
	assert_true(address_equal(&peer, &a->peer));
	assert_true(lwm2m_server_walk(a->server, &cursor, &endpoint));
	assert_true(span_is(endpoint, "dev-1"));
	assert_false(lwm2m_server_walk(a->server, &cursor, &endpoint));
	give(c, 0);
	cursor = 0;
	assert_false(lwm2m_server_has(a->server, span_str("dev-1")));
	assert_false(lwm2m_server_walk(a->server, &cursor, &endpoint));
	assert_int_equal(c->given.calls, 1);
	assert_int_equal(lwm2m_server_give(a->server, span_str("dev-1"), cluster_ready, &c->given),
			 -EALREADY);
	/* While it is away nobody may begin anything, and nothing is said. */
	assert_int_equal(bench_ask(a, "dev-1", LWM2M_READ, "/3/0/1", "", &ticket, error),
			 LWM2M_REFUSED_MOVING);
	assert_int_equal(lwm2m_remove(a->server, lwm2m_find(a->server, span_str("dev-1")), bench_answered, a),
			 -EAGAIN);
	assert_int_equal(lwm2m_declare(a->server, lwm2m_find(a->server, span_str("dev-1")), &wanted,
				       bench_answered, a),
			 -EAGAIN);
	bench_answer(a, &m, COAP_CONTENT, "nobody listens", -1);
	bench_request(a, COAP_POST, 2, location, "", NULL);
	send_empty(a, COAP_CON, 77);
	cluster_advance(c, 400000); /* longer than its lifetime */
	assert_true(bench_silent(a));
	assert_int_equal(a->answers, 0);
	assert_int_equal(a->write_count, 1);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_KEPT);
	assert_int_equal(stats_of(c, 0).given, 0);
	bench_answer(a, &m, COAP_CONTENT, "again", -1);
	assert_answered(a, 1, "again");
	bench_request(a, COAP_POST, 2, location, "", NULL);
	bench_store_all(a);
	bench_expect(a, 2, COAP_CHANGED);
	assert_int_equal(a->writes[1].hot.number, 2); /* that of the hand-over, which was not done */
	(void)ask(a, LWM2M_READ, "/3/0/1");
	(void)bench_receive(a);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_GONE); /* it is not being given */
	assert_non_null(lwm2m_find(a->server, span_str("dev-1")));
	cluster_free(c);
}

/* The time of a request stands while its device is being given away, and goes on with it. */
static void time_that_is_left_is_left(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0"); /* 5 s */
	cluster_advance(c, 4000);
	give(c, 0);
	cluster_advance(c, 60000);
	assert_int_equal(a->answers, 0);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_KEPT);
	cluster_advance(c, 900);
	assert_int_equal(a->answers, 0);
	cluster_advance(c, 200);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_TIMEOUT);
	cluster_free(c);
}

static void a_hand_over_that_is_lost_ends_as_unknown(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	(void)bench_receive(a);
	give(c, 0);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_LOST);
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_UNKNOWN);
	assert_null(lwm2m_find(a->server, span_str("dev-1")));
	assert_int_equal(stats_of(c, 0).devices, 0);
	cluster_advance(c, 100000);
	assert_true(bench_silent(a));
	cluster_free(c);
}

/* An Observe that follows from a Register which is stored while the device drains leaves where it is then. */
static void what_is_wanted_is_observed_there(void **state)
{
	struct cluster *c = cluster_new();
	struct coap_message m;
	char location[32];

	(void)state;
	for (unsigned kept = 0; kept < 2; kept++) {
		struct bench *a = bench_of(c, 0), *b = kept ? a : bench_of(c, 1);

		if (!kept)
			register_at(c, location);
		else
			move(c, 1, 0);
		if (!kept)
			(void)observe_at(c);
		bench_request(a, COAP_POST, (uint16_t)(20 + kept), "/rd", QUERY, "</3303/0>");
		give(c, 0);
		bench_store_all(a);
		bench_expect(a, (uint16_t)(20 + kept), COAP_CREATED);
		assert_true(bench_silent(a));
		cluster_advance(c, 1);
		assert_int_equal(c->given.calls, 1);
		lwm2m_server_given(a->server, span_str("dev-1"), kept ? LWM2M_KEPT : LWM2M_GONE);
		if (!kept)
			take_with(c, 1, buffer_span(&c->given.luggage));
		m = bench_receive(b);
		assert_non_null(coap_find(&m, COAP_OPTION_OBSERVE));
		bench_answer(b, &m, COAP_CONTENT, "20", 1);
		bench_store_all(b);
	}
	cluster_free(c);
}

static void a_give_may_be_called_off(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	char location[32];

	(void)state;
	register_at(c, location);
	bench_request(a, COAP_POST, 2, location, "", NULL);
	give(c, 0);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_KEPT); /* before it is ready */
	bench_store_all(a);
	bench_expect(a, 2, COAP_CHANGED);
	cluster_advance(c, 10);
	assert_int_equal(c->given.calls, 0);
	bench_request(a, COAP_POST, 3, location, "", NULL);
	bench_store_all(a);
	bench_expect(a, 3, COAP_CHANGED);
	cluster_free(c);
}

static void who_lost_a_device_forgets_it(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	struct address peer;
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	(void)ask(a, LWM2M_READ, "/3/0/1"); /* waits, and is not sent because the first one ends */
	(void)bench_receive(a);
	bench_request(a, COAP_POST, 2, location, "lt=600", NULL);
	lwm2m_server_drop(a->server, span_str("dev-1"), UINT32_MAX);
	assert_int_equal(a->answers, 2);
	assert_int_equal(a->answer.outcome, LWM2M_UNKNOWN);
	assert_null(lwm2m_find(a->server, span_str("dev-1")));
	assert_int_equal(lwm2m_device_count(a->server), 0);
	assert_true(bench_silent(a));
	/* A Register begins anew. */
	bench_request(a, COAP_POST, 4, "/rd", QUERY, "</3/0>");
	assert_int_equal(a->write_count, 3);
	assert_int_equal(a->writes[2].hot.number, 1);
	/* What was on its way to the store ends in peace; it may even be ours again by then. */
	c->given.stored = *bench_device(a, "dev-1");
	take_with(c, 0, span_of(NULL, 0));
	bench_finish_write(a, STORE_DONE);
	assert_int_equal(lwm2m_device_count(a->server), 1);
	assert_non_null(lwm2m_find(a->server, span_str("dev-1")));
	assert_true(lwm2m_server_peer(a->server, span_str("dev-1"), &peer)); /* its place is its own */
	bench_finish_write(a, STORE_REFUSED);
	assert_non_null(lwm2m_find(a->server, span_str("dev-1")));
	bench_request(a, COAP_POST, 9, location, "", NULL);
	cluster_free(c);
}

/* By its own write, which the store refuses. */
static void who_is_refused_forgets_it(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *a = bench_of(c, 0);
	char location[32];

	(void)state;
	register_at(c, location);
	(void)ask(a, LWM2M_READ, "/3/0/0");
	(void)bench_receive(a);
	bench_request(a, COAP_POST, 2, location, "", NULL);
	bench_request(a, COAP_POST, 3, location, "", NULL);
	bench_finish_write(a, STORE_REFUSED);
	assert_null(lwm2m_find(a->server, span_str("dev-1")));
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->answer.outcome, LWM2M_UNKNOWN);
	bench_finish_write(a, STORE_REFUSED);
	assert_true(bench_silent(a));
	cluster_advance(c, 100000);
	assert_true(bench_silent(a));
	cluster_free(c);
}

static void a_device_is_taken_once(void **state)
{
	struct cluster *c = cluster_new();
	struct store_device stored;
	char location[32];

	(void)state;
	register_at(c, location);
	move(c, 0, 1);
	stored = stored_for(c, 1);
	stored.hot.fence.gen--;
	assert_int_equal(lwm2m_server_take(bench_of(c, 1)->server, &stored, span_of(NULL, 0)), -EEXIST);
	stored.hot.fence.gen++; /* another had it meanwhile, and what is here is of before */
	assert_int_equal(lwm2m_server_take(bench_of(c, 1)->server, &stored, span_of(NULL, 0)), 0);
	assert_int_equal(lwm2m_device_count(bench_of(c, 1)->server), 1);
	/* Late news of an owner of before. */
	lwm2m_server_drop(bench_of(c, 1)->server, span_str("dev-1"), stored.hot.fence.gen);
	assert_true(lwm2m_server_has(bench_of(c, 1)->server, span_str("dev-1")));
	assert_int_equal(lwm2m_stored_expires_ms(bench_of(c, 1)->server, &stored), c->given.expires_ms);
	lwm2m_server_drop(bench_of(c, 1)->server, span_str("dev-1"), stored.hot.fence.gen + 1);
	assert_false(lwm2m_server_has(bench_of(c, 1)->server, span_str("dev-1")));
	stored.record.len = 3;
	assert_int_equal(lwm2m_server_take(bench_of(c, 2)->server, &stored, span_of(NULL, 0)), -EPROTO);
	cluster_free(c);
}

static void without_luggage_it_goes_on_as_after_a_restart(void **state)
{
	struct cluster *c = cluster_new();
	struct bench *b = bench_of(c, 1);
	struct coap_token token;
	char location[32];

	(void)state;
	register_at(c, location);
	token = observe_at(c);
	give(c, 0);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_GONE);
	take_with(c, 1, span_of(NULL, 0));
	bench_notify(b, COAP_CON, 900, token, 8, COAP_CONTENT, "22");
	bench_store_all(b);
	bench_expect(b, 900, COAP_EMPTY);
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_under_way_are_awaited),
		cmocka_unit_test(a_device_that_leaves_meanwhile_is_not_given),
		cmocka_unit_test(what_is_kept_goes_on),
		cmocka_unit_test(time_that_is_left_is_left),
		cmocka_unit_test(a_hand_over_that_is_lost_ends_as_unknown),
		cmocka_unit_test(what_is_wanted_is_observed_there),
		cmocka_unit_test(a_give_may_be_called_off),
		cmocka_unit_test(who_lost_a_device_forgets_it),
		cmocka_unit_test(who_is_refused_forgets_it),
		cmocka_unit_test(a_device_is_taken_once),
		cmocka_unit_test(without_luggage_it_goes_on_as_after_a_restart),
	};

	return cmocka_run_group_tests_name("lwm2m-give", tests, NULL, NULL);
}
