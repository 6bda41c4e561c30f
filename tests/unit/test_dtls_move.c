/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Sessions that go on in another process, or may not. */

#include "dtls_world.h"

#include <errno.h>

static void a_session_goes_on_after_a_restart(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct packet_kept old;
	uint64_t mark, top;

	(void)state;
	connect_now(w, d);
	dtls_endpoint_bind(w->endpoint, &w->association);
	for (uint32_t gen = 5; gen < 9; gen++) {
		struct writer out = writer_of(bytes, sizeof(bytes));

		assert_talks(w, d, "before");
		old = w->last;
		mark = w->number;
		assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, gen, &out), 0);
		/* The process dies, and another one goes on. */
		dtls_endpoint_free(w->endpoint);
		open_endpoint(w);
		assert_int_equal(
			dtls_endpoint_import(w->endpoint, writer_span(&out), gen + 1, mark, &w->association),
			0);
		top = dtls_client_session(d->client)->read_top;
		move_to(d, gen % 2 ? "198.51.100.9:777" : "192.0.2.1:5000");
		assert_true(dtls_endpoint_send(w->endpoint, &w->association, span_str("to where it was")));
		pump(w);
		assert_talks(w, d, "after");
		assert_true(dtls_client_session(d->client)->read_top > top + (1 << 20));
		to_endpoint(w, &d->address, span_of(old.bytes, old.len));
		assert_int_equal(stats_of(w).records_replayed, 1);
	}
	assert_int_equal(dtls_client_stats(d->client).handshakes, 1);
	world_free(w);
}

static void a_session_that_cannot_go_on_is_not_taken(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct address address;

	(void)state;
	connect_now(w, d);
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address),
			 -EEXIST); /* is here */
	dtls_endpoint_free(w->endpoint);
	open_endpoint(w);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 1, 0, &address), -EOVERFLOW);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 1000, 0, &address), -EOVERFLOW);
	assert_int_equal(dtls_endpoint_import(w->endpoint, span_of(bytes, 10), 2, 0, &address), -EBADMSG);
	w->wall_ms += w->config.age_ms;
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -ETIME);
	/* Of before a backup was restored. */
	dtls_endpoint_free(w->endpoint);
	w->config.age_ms = 0;
	w->config.since_ms = w->wall_ms;
	open_endpoint(w);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -ETIME);
	assert_int_equal(stats_of(w).associations, 0);
	world_free(w);
}

/* Without a connection id an address is all that tells two apart: who was heard from there last has it. */
static void a_session_does_not_take_the_address_of_a_later_one(void **state)
{
	struct world *w = world_new(false);
	struct device *old = device_new(w, 0, "old", key), *later = device_new(w, 1, "later", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct address address;

	(void)state;
	connect_now(w, old);
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
	dtls_endpoint_free(w->endpoint);
	open_endpoint(w);
	pass(w, 1000);
	later->address = old->address;
	move_to(old, "198.51.100.9:777");
	connect_now(w, later);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -EEXIST);
	assert_talks(w, later, "still here");
	world_free(w);
}

static void no_more_than_the_most_are_taken(void **state)
{
	struct world *w = world_new(true);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct address address;

	(void)state;
	connect_now(w, device_new(w, 0, "id", key));
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
	dtls_endpoint_free(w->endpoint);
	w->config.associations_max = 1;
	open_endpoint(w);
	connect_now(w, device_new(w, 1, "id", key));
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -ENOSPC);
	dtls_endpoint_drop(w->endpoint, &w->association, false);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_goes_on_after_a_restart),
		cmocka_unit_test(a_session_that_cannot_go_on_is_not_taken),
		cmocka_unit_test(a_session_does_not_take_the_address_of_a_later_one),
		cmocka_unit_test(no_more_than_the_most_are_taken),
	};

	return cmocka_run_group_tests_name("dtls-move", tests, NULL, NULL);
}
