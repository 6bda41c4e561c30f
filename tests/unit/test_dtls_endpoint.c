/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A DTLS endpoint: handshakes, addresses, how long associations live, and floods. */

#include "dtls_world.h"

/* ---- handshakes ---- */

static void a_device_connects_and_talks(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct dtls_claim claim;

	(void)state;
	connect_now(w, d);
	assert_int_equal(w->established, 1);
	assert_string_equal(w->endpoint_name, "dev");
	assert_true(dtls_endpoint_claim(w->endpoint, &w->association, &claim));
	assert_int_equal(claim.kind, DTLS_IDENTITY_PSK);
	assert_true(span_is(claim.identity, "id"));
	assert_true(address_equal(dtls_endpoint_peer_address(w->endpoint, &w->association), &d->address));
	assert_talks(w, d, "hello");
	assert_int_equal(stats_of(w).handshakes, 0);
	assert_int_equal(stats_of(w).hellos, 2);
	world_free(w);
}

static void nothing_is_kept_or_said_more_loudly_before_a_cookie(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);

	(void)state;
	w->lose_to_client = 1;
	start(w, d);
	assert_int_equal(stats_of(w).hellos, 1);
	assert_int_equal(stats_of(w).handshakes, 0);
	assert_int_equal(w->answers, 1);
	assert_true(w->bytes_out <= w->bytes_in);
	pass_slowly(w, 2000);
	assert_int_equal(d->ready, 1);
	world_free(w);
}

static void unknown_identity_and_wrong_key_are_told_apart(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "nobody", key);

	(void)state;
	w->refuse = true;
	start(w, d);
	assert_int_equal(w->refused, 1);
	assert_int_equal(w->cause, DTLS_UNKNOWN_IDENTITY);
	assert_string_equal(w->identity, "nobody");
	assert_int_equal(d->ended, 1);
	w->refuse = false;
	d = device_new(w, 1, "id", "another key 1234");
	start(w, d);
	pass_slowly(w, 5000);
	assert_int_equal(w->refused, 2);
	assert_int_equal(w->cause, DTLS_WRONG_KEY);
	assert_string_equal(w->identity, "id");
	assert_int_equal(stats_of(w).associations, 0);
	assert_int_equal(stats_of(w).handshakes, 0);
	world_free(w);
}

static void a_key_may_come_late_and_an_answer_too_late(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);

	(void)state;
	w->slow = true;
	start(w, d);
	assert_int_equal(w->asked, 1);
	pass_slowly(w, 5000); /* the client repeats itself: nobody is asked twice */
	assert_int_equal(w->asked, 1);
	answer_psk(w);
	pass_slowly(w, 8000);
	assert_int_equal(d->ready, 1);
	answer_psk(w);
	assert_talks(w, d, "late");

	d = device_new(w, 1, "id", key);
	start(w, d);
	pass_slowly(w, 120000);
	assert_int_equal(stats_of(w).handshakes, 0);
	assert_int_equal(w->cause, DTLS_TIMED_OUT);
	answer_psk(w);
	assert_int_equal(d->ready, 0);
	world_free(w);
}

static void a_lost_last_flight_is_repeated_until_data_comes(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);

	(void)state;
	/* HelloVerifyRequest and the flight of the ServerHello arrive, the Finished does not. */
	w->slow = true;
	start(w, d);
	w->lose_to_client = 1;
	answer_psk(w);
	pump(w);
	assert_int_equal(w->established, 1);
	assert_int_equal(d->ready, 0);
	pass_slowly(w, 3000);
	assert_int_equal(d->ready, 1);
	assert_int_equal(stats_of(w).last_flights, 1);
	assert_talks(w, d, "at last");
	world_free(w);
}

static void a_resumed_session_still_needs_its_credential(void **state)
{
	struct world *w = world_new(false);
	struct device *d = device_new(w, 0, "id", key);

	(void)state;
	connect_now(w, d);
	connect_now(w, d);
	assert_int_equal(stats_of(w).handshakes_resumed, 1);
	assert_int_equal(dtls_client_stats(d->client).resumed, 1);
	assert_int_equal(w->asked, 2);
	assert_talks(w, d, "again");

	/* What the device sends while the credential is looked up is not lost. */
	w->slow = true;
	connect_now(w, d);
	assert_true(dtls_client_send(d->client, span_str("at once")));
	pump(w);
	assert_int_equal(w->inputs, 1);
	answer_psk(w);
	assert_int_equal(w->inputs, 2);
	assert_string_equal(w->text, "at once");

	w->slow = false;
	w->refuse = true;
	start(w, d);
	assert_int_equal(stats_of(w).handshakes_done, 3);
	assert_false(dtls_client_is_ready(d->client));
	assert_int_equal(d->why, DTLS_CLIENT_CLOSED);
	assert_int_equal(stats_of(w).handshakes, 0);
	world_free(w);
}

static void what_cannot_be_looked_up_now_is_asked_again(void **state)
{
	struct world *w = world_new(false);
	struct device *d = device_new(w, 0, "id", key);
	unsigned asked;

	(void)state;
	w->slow = true;
	start(w, d);
	assert_int_equal(w->asked, 1);
	dtls_endpoint_unanswered(w->endpoint, w->ticket);
	dtls_endpoint_unanswered(w->endpoint, w->ticket + 1);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->refused, 0);
	pass_slowly(w, 1500);
	assert_int_equal(w->asked, 2);
	answer_psk(w);
	pump(w);
	assert_int_equal(d->ready, 1);

	/* Who has resumed repeats nothing, but is told. */
	asked = w->asked;
	start(w, d);
	pump(w);
	assert_int_equal(w->asked, asked + 1);
	assert_true(dtls_client_is_ready(d->client));
	dtls_endpoint_unanswered(w->endpoint, w->ticket);
	pump(w);
	assert_false(dtls_client_is_ready(d->client));
	assert_int_equal(stats_of(w).handshakes, 0);
	world_free(w);
}

static void public_keys_are_computed_elsewhere(void **state)
{
	struct authority ca;
	struct entity server, client;
	struct world *w;
	struct device *d;

	(void)state;
	make_authority(&ca, "ca");
	make_entity(&server, "server", &ca);
	make_entity(&client, "dev", &ca);
	w = world_with((struct dtls_context_options){.credentials = DTLS_WITH_X509,
						     .key = pem_span(&server.key),
						     .chain = pem_span(&server.chain),
						     .trust = pem_span(&ca.pem),
						     .ask = DTLS_ASK_REQUIRED,
						     .connection_ids = true},
		       (struct dtls_context_options){.credentials = DTLS_WITH_X509,
						     .key = pem_span(&client.key),
						     .chain = pem_span(&client.chain),
						     .trust = pem_span(&ca.pem),
						     .connection_ids = true});
	d = device_new(w, 0, "", "");
	connect_now(w, d);
	assert_talks(w, d, "certified");

	/* A job that runs is left alone, what comes meanwhile is not lost. */
	w->threads = true;
	d = device_new(w, 1, "", "");
	start(w, d);
	for (unsigned i = 0; w->job && i < 10; i++) {
		struct dtls_job *job = w->job;

		w->job = NULL;
		to_endpoint(w, &w->last.from, span_of(w->last.bytes, w->last.len));
		dtls_job_run(job);
		dtls_job_done(job, w->now_ms);
		pump(w);
	}
	assert_int_equal(d->ready, 1);

	/* A handshake that another one replaces ends when its job is back. */
	d = device_new(w, 2, "", "");
	start(w, d);
	assert_non_null(w->job);
	{
		struct dtls_job *job = w->job;

		w->job = NULL;
		start(w, d);
		assert_int_equal(stats_of(w).handshakes, 1);
		dtls_job_run(job);
		dtls_job_done(job, w->now_ms);
		pump(w);
	}
	while (w->job) {
		struct dtls_job *job = w->job;

		w->job = NULL;
		dtls_job_run(job);
		dtls_job_done(job, w->now_ms);
		pump(w);
	}
	assert_int_equal(d->ready, 1);
	assert_int_equal(stats_of(w).handshakes, 0);

	/* One whose job is never done, whether it was replaced or not. */
	for (int replaced = 0; replaced < 2; replaced++) {
		struct dtls_job *job;

		start(w, d);
		job = w->job;
		assert_non_null(job);
		w->job = NULL;
		if (replaced)
			start(w, d);
		dtls_job_drop(job);
		assert_int_equal(stats_of(w).handshakes, replaced);
	}
	dtls_job_drop(w->job);
	assert_int_equal(stats_of(w).handshakes, 0);
	world_free(w);
	drop_authority(&ca);
}

/* ---- addresses ---- */

static void the_newest_record_moves_the_address_and_no_other(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct packet_kept old;
	struct address stranger;

	(void)state;
	connect_now(w, d);
	assert_talks(w, d, "one");
	old = w->last;
	move_to(d, "198.51.100.9:777");
	assert_talks(w, d, "two");
	assert_int_equal(stats_of(w).moved, 1);
	assert_true(address_equal(dtls_endpoint_peer_address(w->endpoint, &w->association), &d->address));

	/* A replay from elsewhere, and a forgery. */
	assert_int_equal(address_parse("203.0.113.1:1", &stranger), 0);
	to_endpoint(w, &stranger, span_of(old.bytes, old.len));
	assert_int_equal(stats_of(w).records_replayed, 1);
	old.bytes[DTLS_HEADER + DTLS_CID_OWN + 10] ^= 1;
	old.bytes[10]++;
	to_endpoint(w, &stranger, span_of(old.bytes, old.len));
	assert_int_equal(stats_of(w).records_replayed + stats_of(w).records_forged, 2);
	assert_true(address_equal(dtls_endpoint_peer_address(w->endpoint, &w->association), &d->address));
	assert_talks(w, d, "three");
	world_free(w);
}

static void without_connection_id_another_address_is_a_stranger(void **state)
{
	struct world *w = world_new(false);
	struct device *d = device_new(w, 0, "id", key);
	unsigned inputs;

	(void)state;
	connect_now(w, d);
	assert_talks(w, d, "one");
	move_to(d, "198.51.100.9:777");
	inputs = w->inputs;
	assert_true(dtls_client_send(d->client, span_str("two")));
	pump(w);
	assert_int_equal(w->inputs, inputs);
	assert_int_equal(stats_of(w).records_unknown, 1);
	world_free(w);
}

static void a_new_handshake_replaces_at_an_address_only_when_complete(void **state)
{
	struct world *w = world_new(false);
	struct device *d = device_new(w, 0, "id", key), *intruder;
	struct address first;

	(void)state;
	connect_now(w, d);
	assert_talks(w, d, "one");
	first = w->association;
	dtls_endpoint_bind(w->endpoint, &first);

	/* Somebody at the same address gets no further than an identity. */
	intruder = device_new(w, 1, "other", key);
	w->refuse = true;
	d->address.port++; /* answers go to the intruder */
	intruder->address = d->address;
	intruder->address.port--;
	start(w, intruder);
	assert_int_equal(w->refused, 1);
	d->address.port--;
	intruder->address.port++;
	assert_talks(w, d, "two");

	/* When one completes, the old association is no longer reached by this address, but not ended. */
	w->refuse = false;
	d->address.port++;
	intruder->address.port--;
	connect_now(w, intruder);
	assert_talks(w, intruder, "three");
	assert_non_null(dtls_endpoint_peer_address(w->endpoint, &first));
	assert_int_equal(w->closed, 0);
	world_free(w);
}

/* ---- life ---- */

static void the_unbound_are_few_and_short_lived(void **state)
{
	struct world *w = world_new(true);
	struct address bound, revoked;

	(void)state;
	dtls_endpoint_free(w->endpoint);
	w->config.unbound_max = 2;
	w->config.idle_ms = 3600000;
	open_endpoint(w);
	for (unsigned i = 0; i < 3; i++)
		connect_now(w, device_new(w, i, "id", key));
	assert_int_equal(w->closed, 1);
	assert_int_equal(w->closed_why, DTLS_END_CROWDED);
	assert_false(w->closed_bound);
	assert_int_equal(stats_of(w).unbound, 2);
	bound = w->association;
	dtls_endpoint_bind(w->endpoint, &bound);
	assert_int_equal(stats_of(w).unbound, 1);
	pass_slowly(w, 400000);
	assert_int_equal(stats_of(w).associations, 1);
	assert_int_equal(w->closed_why, DTLS_END_IDLE);
	assert_talks(w, &w->devices[2], "still here");

	/* What is nobody's any more may be claimed again, or revoked. */
	dtls_endpoint_unbind(w->endpoint, &bound, span_str("dev"));
	assert_int_equal(stats_of(w).unbound, 1);
	dtls_endpoint_revoke(w->endpoint, span_str("somebody"));
	assert_int_equal(stats_of(w).associations, 1);
	dtls_endpoint_bind(w->endpoint, &bound);
	pass_slowly(w, 4000000);
	assert_int_equal(stats_of(w).associations, 0);
	assert_true(w->closed_bound);
	connect_now(w, &w->devices[2]);
	revoked = w->association;
	dtls_endpoint_revoke(w->endpoint, span_str("dev"));
	assert_null(dtls_endpoint_peer_address(w->endpoint, &revoked));
	world_free(w);
}

static void an_association_has_a_maximum_age(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);

	(void)state;
	dtls_endpoint_free(w->endpoint);
	w->config.age_ms = 86400000;
	open_endpoint(w);
	connect_now(w, d);
	dtls_endpoint_bind(w->endpoint, &w->association);
	for (unsigned hours = 0; hours < 23; hours++) {
		pass(w, 3600000);
		assert_talks(w, d, "hourly");
	}
	pass(w, 3600000);
	pass_slowly(w, 2000);
	assert_int_equal(w->closed_why, DTLS_END_AGE);
	world_free(w);
}

static void the_peer_may_close_and_so_may_we(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct address gone;

	(void)state;
	connect_now(w, d);
	dtls_client_close(d->client, true);
	pump(w);
	assert_int_equal(w->closed_why, DTLS_END_PEER);
	connect_now(w, d);
	gone = w->association;
	dtls_endpoint_drop(w->endpoint, &gone, true);
	pump(w);
	assert_int_equal(d->why, DTLS_CLIENT_CLOSED);
	assert_int_equal(w->closed, 1);
	assert_false(dtls_endpoint_send(w->endpoint, &gone, span_str("anybody?")));
	dtls_endpoint_drop(w->endpoint, &gone, true);
	dtls_endpoint_bind(w->endpoint, &gone);
	dtls_endpoint_unbind(w->endpoint, &gone, span_str("dev"));
	/* Its place is taken by another, its address is not. */
	connect_now(w, d);
	assert_false(address_equal(&gone, &w->association));
	assert_null(dtls_endpoint_peer_address(w->endpoint, &gone));
	world_free(w);
}

/* ---- floods ---- */

static void a_network_has_a_budget_of_hellos(void **state)
{
	struct world *w = world_new(true);
	unsigned ready = 0;

	(void)state;
	dtls_endpoint_free(w->endpoint);
	w->config.hellos_per_s = 1;
	open_endpoint(w);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct device *d = device_new(w, i, "id", key);

		start(w, d);
		ready += d->ready;
	}
	assert_int_equal(ready, 2);
	assert_int_equal(stats_of(w).hellos_limited, 2);
	pass_slowly(w, 10000); /* they come again */
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(w->devices[i].ready, 1);
	world_free(w);
}

static void a_flood_of_hellos_is_left_alone(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct packet_kept hello;
	unsigned answers;

	(void)state;
	dtls_endpoint_free(w->endpoint);
	w->config.hellos_max_per_s = 100;
	open_endpoint(w);
	w->lose_to_client = 1;
	start(w, d);
	hello = w->last;
	pass_slowly(w, 2000);
	assert_int_equal(d->ready, 1);
	answers = w->answers;
	for (unsigned i = 0; i < 1000; i++) {
		hello.from.ip[0] = (uint8_t)i; /* from everywhere */
		to_endpoint(w, &hello.from, span_of(hello.bytes, hello.len));
	}
	assert_in_range(w->answers - answers, 1, 200);
	assert_true(stats_of(w).hellos_limited >= 800);
	assert_talks(w, d, "as ever");
	world_free(w);
}

static void handshakes_are_capped(void **state)
{
	struct world *w = world_new(true);

	(void)state;
	dtls_endpoint_free(w->endpoint);
	w->config.handshakes_max = 2;
	open_endpoint(w);
	w->slow = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		start(w, device_new(w, i, "id", key));
	assert_int_equal(stats_of(w).handshakes, 2);
	assert_int_equal(stats_of(w).hellos_limited, 2);
	/* Who goes no further makes room. */
	pass_slowly(w, 9000);
	assert_int_equal(stats_of(w).handshakes, 2);
	assert_int_equal(w->asked, 4);
	world_free(w);
}

static void garbage_changes_nothing(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct packet_kept hello, data;

	(void)state;
	w->lose_to_client = 1;
	start(w, d);
	hello = w->last;
	pass_slowly(w, 2000);
	assert_talks(w, d, "data");
	data = w->last;
	for (size_t len = 0; len < data.len; len++) {
		to_endpoint(w, &d->address, span_of(data.bytes, len));
		to_endpoint(w, &d->address, span_of(hello.bytes, MIN(len, hello.len)));
	}
	for (unsigned i = 0; i < 20000; i++) {
		struct packet_kept p = i % 2 ? data : hello;

		p.bytes[random_u32(&w->random) % p.len] ^= (uint8_t)(1 + random_u32(&w->random) % 255);
		to_endpoint(w, &d->address, span_of(p.bytes, p.len));
	}
	assert_int_equal(w->inputs, 1);
	assert_int_equal(stats_of(w).associations, 1);
	assert_int_equal(stats_of(w).handshakes, 0);
	assert_talks(w, d, "unharmed");
	world_free(w);
}

static void connection_ids_name_our_slots(void **state)
{
	static const uint16_t slots[] = {0x0005, 0xabc};
	struct world *w = world_new(true);
	unsigned seen = 0;

	(void)state;
	assert_int_equal(dtls_endpoint_set_slots(w->endpoint, slots, ARRAY_SIZE(slots)), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct device *d = device_new(w, i, "id", key);
		const uint8_t *cid = w->last.bytes + 11;

		connect_now(w, d);
		assert_talks(w, d, "hello");
		assert_int_equal(w->last.bytes[0], DTLS_TLS12_CID);
		assert_int_equal(cid[0] >> 4, DTLS_CID_FORMAT);
		for (unsigned k = 0; k < ARRAY_SIZE(slots); k++)
			seen += (cid[0] & 15) << 8 == (slots[k] & 0xf00) && cid[1] == (slots[k] & 0xff);
	}
	assert_int_equal(seen, CLIENTS);
	world_free(w);
}

static void what_is_news_changes_nothing(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct packet_kept old, forged;

	(void)state;
	connect_now(w, d);
	assert_talks(w, d, "one");
	old = w->last;
	assert_false(dtls_endpoint_is_news(w->endpoint, &w->association, span_of(old.bytes, old.len)));
	assert_talks(w, d, "two");
	forged = w->last;
	forged.bytes[10]++;
	assert_false(dtls_endpoint_is_news(w->endpoint, &w->association, span_of(forged.bytes, forged.len)));
	assert_true(dtls_client_send(d->client, span_str("three")));
	old = w->queue[0];
	for (int i = 0; i < 2; i++)
		assert_true(dtls_endpoint_is_news(w->endpoint, &w->association, span_of(old.bytes, old.len)));
	pump(w);
	assert_false(dtls_endpoint_is_news(w->endpoint, &w->association, span_of(old.bytes, old.len)));
	assert_string_equal(w->text, "three");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_connects_and_talks),
		cmocka_unit_test(nothing_is_kept_or_said_more_loudly_before_a_cookie),
		cmocka_unit_test(unknown_identity_and_wrong_key_are_told_apart),
		cmocka_unit_test(a_key_may_come_late_and_an_answer_too_late),
		cmocka_unit_test(a_lost_last_flight_is_repeated_until_data_comes),
		cmocka_unit_test(a_resumed_session_still_needs_its_credential),
		cmocka_unit_test(what_cannot_be_looked_up_now_is_asked_again),
		cmocka_unit_test(public_keys_are_computed_elsewhere),
		cmocka_unit_test(the_newest_record_moves_the_address_and_no_other),
		cmocka_unit_test(without_connection_id_another_address_is_a_stranger),
		cmocka_unit_test(a_new_handshake_replaces_at_an_address_only_when_complete),
		cmocka_unit_test(the_unbound_are_few_and_short_lived),
		cmocka_unit_test(an_association_has_a_maximum_age),
		cmocka_unit_test(the_peer_may_close_and_so_may_we),
		cmocka_unit_test(a_network_has_a_budget_of_hellos),
		cmocka_unit_test(a_flood_of_hellos_is_left_alone),
		cmocka_unit_test(handshakes_are_capped),
		cmocka_unit_test(connection_ids_name_our_slots),
		cmocka_unit_test(what_is_news_changes_nothing),
		cmocka_unit_test(garbage_changes_nothing),
	};

	return cmocka_run_group_tests_name("dtls-endpoint", tests, NULL, NULL);
}
