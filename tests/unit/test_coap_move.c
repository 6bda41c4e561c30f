/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Exchanges that go on with another layer, as if they had been started there. */

#include "coap_bench.h"

#include <errno.h>

enum { MOVED_MAX = 8 };

/* All exchanges of `a` go to `b`, in their order; `a` is left as a process that stopped in this moment. */
static void move_to(struct bench *a, struct bench *b, struct ticket *tickets)
{
	struct coap_exchange *x = NULL;

	coap_peer_freeze(&a->layer, &a->peer, a->now_ms);
	coap_peer_freeze(&b->layer, &b->peer, b->now_ms);
	while ((x = coap_exchange_next(&a->peer, x))) {
		_cleanup_buffer_ struct buffer bytes = buffer_of(COAP_EXCHANGE_ENCODED_MAX);
		const struct ticket *t = coap_exchange_ctx(x);
		struct coap_exchange *made;

		tickets[t->id] = (struct ticket){.bench = b, .id = t->id};
		coap_exchange_export(x, &bytes);
		assert_false(bytes.failed);
		assert_int_equal(coap_exchange_import(&b->layer, &b->peer, buffer_span(&bytes), on_done,
						      &tickets[t->id], &made),
				 0);
		assert_ptr_equal(coap_exchange_ctx(made), &tickets[t->id]);
	}
	b->peer.next_mid = a->peer.next_mid;
	coap_peer_deinit(&a->layer, &a->peer);
	coap_peer_thaw(&b->layer, &b->peer, b->now_ms);
}

/* Another process, whose clock is not the same. */
static struct bench *other(struct bench *a)
{
	struct bench *b = bench_new(2);

	b->now_ms += 1000000 + a->now_ms;
	timers_advance(&b->timers, b->now_ms);
	return b;
}

static void a_request_is_sent_again_as_it_was_when_its_time_comes(void **state)
{
	struct bench *a = bench_new(1), *b;
	struct ticket t = {.id = 1}, moved[MOVED_MAX];
	uint64_t first, second;

	(void)state;
	start_get(a, &t);
	run_until(a, START + 5000); /* sent again once, with twice the time */
	assert_int_equal(a->sent_count, 2);
	first = a->sent[1].at_ms - START;
	b = other(a);
	second = b->now_ms + 2 * first - (a->now_ms - a->sent[1].at_ms);
	move_to(a, b, moved);
	assert_int_equal(b->sent_count, 0);
	run_until(b, second);
	assert_int_equal(b->sent_count, 1);
	assert_int_equal(b->sent[0].at_ms, second);
	assert_bytes(bytes_span(&b->sent[0].datagram), "41010100 01 b1 '3'");
	run_until(b, second + 200000); /* two more, then the end: four in all */
	assert_int_equal(b->sent_count, 3);
	assert_done(b, 0, 1, COAP_TIMEOUT_NO_ACK);
	bench_free(a);
	bench_free(b);
}

static void an_answer_is_found_where_the_exchange_is(void **state)
{
	struct bench *a = bench_new(1), *b = other(a);
	struct ticket t[4] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}}, moved[MOVED_MAX];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		start_get(a, &t[i]);
	input(a, "60000100"); /* 1 is acknowledged, so 2 goes out, and 3 and 4 wait */
	run_until(a, START + 100);
	move_to(a, b, moved);
	assert_int_equal(b->peer.acked, 1);
	assert_int_equal(b->peer.active, 1);
	assert_int_equal(b->peer.waiting, 2);
	assert_int_equal(b->sent_count, 0);
	input(b, "61450101 02 ff 'two'");
	assert_done(b, 0, 2, COAP_RESPONSE);
	assert_sent(b, 0, PEER, "41010102 03 b1 '3'"); /* in the order in which they were started */
	input(b, "41451234 01 ff 'one'");
	assert_done(b, 1, 1, COAP_RESPONSE);
	assert_string_equal(b->done[1].payload, "one");
	assert_sent(b, 1, PEER, "60001234");
	input(b, "61450102 03");
	assert_sent(b, 2, PEER, "41010103 04 b1 '3'");
	input(b, "70000103");
	assert_done(b, 3, 4, COAP_RESET);
	/* The next message takes the next id. */
	start_get(b, &moved[1]);
	assert_sent(b, 3, PEER, "41010104 01 b1 '3'");
	assert_int_equal(a->done_count, 0);
	bench_free(a);
	bench_free(b);
}

static void the_wait_for_a_separate_response_goes_on(void **state)
{
	struct bench *a = bench_new(1), *b = other(a);
	struct ticket t = {.id = 1}, moved[MOVED_MAX];
	uint64_t end;

	(void)state;
	start_get(a, &t);
	input(a, "60000100");
	run_until(a, START + 3000);
	end = b->now_ms + a->params.response_timeout_ms - 3000;
	move_to(a, b, moved);
	run_until(b, end - 1);
	assert_int_equal(b->done_count, 0);
	run_until(b, end);
	assert_done(b, 0, 1, COAP_TIMEOUT_NO_RESPONSE);
	assert_int_equal(b->sent_count, 0);
	bench_free(a);
	bench_free(b);
}

/* What nobody acknowledged here is left to whoever started it, there too. */
static void an_ack_that_is_left_to_the_caller_stays_so(void **state)
{
	struct bench *a = bench_new(1), *b = other(a);
	struct ticket t = {.id = 1}, moved[MOVED_MAX];
	struct coap_exchange *x;

	(void)state;
	assert_int_equal(start(a, COAP_CON, COAP_GET, &t, &x), 0);
	coap_leave_ack(x);
	input(a, "60000100");
	move_to(a, b, moved);
	input(b, "41451234 01");
	assert_done(b, 0, 1, COAP_RESPONSE);
	assert_int_equal(b->sent_count, 0);
	bench_free(a);
	bench_free(b);
}

static void a_frozen_peer_says_nothing(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[2] = {{.id = 1}, {.id = 2}};
	uint64_t left;

	(void)state;
	start_get(b, &t[0]);
	left = (uint64_t)timers_wait_ms(&b->timers);
	coap_peer_freeze(&b->layer, &b->peer, b->now_ms);
	start_get(b, &t[1]);
	run_until(b, START + 500000);
	assert_int_equal(b->sent_count, 1);
	assert_int_equal(b->done_count, 0);
	assert_int_equal(b->timers.count, 0);
	coap_peer_thaw(&b->layer, &b->peer, b->now_ms);
	assert_true((uint64_t)timers_wait_ms(&b->timers) <= left);
	input(b, "61450100 01");
	assert_done(b, 0, 1, COAP_RESPONSE);
	assert_sent(b, 1, PEER, "41010101 02 b1 '3'");
	/* Alone in the world, what was started frozen goes out at once. */
	input(b, "61450101 02");
	coap_peer_freeze(&b->layer, &b->peer, b->now_ms);
	start_get(b, &t[0]);
	assert_int_equal(b->sent_count, 2);
	coap_peer_thaw(&b->layer, &b->peer, b->now_ms);
	assert_int_equal(b->sent_count, 3);
	coap_peer_thaw(&b->layer, &b->peer, b->now_ms);
	assert_int_equal(b->sent_count, 3);
	bench_free(b);
}

static void import(struct bench *b, const char *hex, int expected)
{
	struct bytes bytes = bytes_of(hex);
	struct span exact = exact_copy(bytes_span(&bytes));
	struct ticket t = {.bench = b};
	struct coap_exchange *x;

	assert_int_equal(coap_exchange_import(&b->layer, &b->peer, exact, on_done, &t, &x), expected);
	free((void *)exact.data);
	if (expected == 0)
		coap_cancel(&b->layer, x, b->now_ms);
}

#define HEAD "01 00 000007d0 000003e8 0100 01 01 01"

static void what_is_no_exchange_is_refused(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[3] = {{.id = 1}, {.id = 2}, {.id = 3}};

	(void)state;
	coap_peer_freeze(&b->layer, &b->peer, b->now_ms);
	import(b, HEAD "0007 41010100 01 b133", 0);
	import(b, "", -EPROTO);
	import(b, HEAD, -EPROTO);
	import(b, HEAD "0000", -EPROTO);		     /* nothing to send again */
	import(b, HEAD "0007 41010100 01 b1", -EPROTO);	     /* cut short */
	import(b, HEAD "0007 41010100 01 b133 00", -EPROTO); /* too long */
	import(b, HEAD "0007 41010101 01 b133", -EPROTO);    /* another message id */
	import(b, HEAD "0007 41010100 02 b133", -EPROTO);    /* another token */
	import(b, HEAD "0007 41020100 01 b133", -EPROTO);    /* another code */
	import(b, HEAD "0007 51010100 01 b133", -EPROTO);    /* another type */
	import(b, HEAD "0007 81010100 01 b133", -EPROTO);    /* no message */
	import(b, "03 00 000007d0 000003e8 0100 01 01 01 0007 41010100 01 b133", -EPROTO); /* no state */
	import(b, "02 00 000007d0 000003e8 0100 01 01 01 0007 41010100 01 b133", -EPROTO); /* acknowledged */
	import(b, "02 00 000007d0 000003e8 0100 01 01 01 0000", 0);
	import(b, "42 00 000007d0 000003e8 0100 01 01 01 0000", -EPROTO); /* NON is not acknowledged */
	import(b, "02 00 000007d0 000003e8 0100 45 01 01 0000", -EPROTO); /* nor is a response like this */
	import(b, "01 00 000007d0 000003e8 0100 01 09 010203040506070809 0000", -EPROTO);
	/* In use here. */
	start_get(b, &t[1]);
	import(b, HEAD "0007 41010100 01 b133", -EEXIST);
	import(b, "01 00 000007d0 000003e8 0101 01 01 02 0007 41010101 02 b133", -EEXIST);
	import(b, "01 00 000007d0 000003e8 0101 01 01 01 0007 41010101 01 b133", 0);
	b->params.max_waiting = 0;
	import(b, "01 00 000007d0 000003e8 0101 01 01 01 0007 41010101 01 b133", -EAGAIN);
	b->layer.pool.limit = 1;
	import(b, "01 00 000007d0 000003e8 0101 01 01 01 0007 41010101 01 b133", -ENOBUFS);
	bench_free(b);
}

/* A time from elsewhere makes nobody wait longer than an exchange may. */
static void what_is_left_is_bounded(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.bench = b};
	struct bytes bytes = bytes_of("02 ff ffffffff ffffffff 0100 01 01 01 0000");
	struct coap_exchange *x;

	(void)state;
	coap_peer_freeze(&b->layer, &b->peer, b->now_ms);
	assert_int_equal(coap_exchange_import(&b->layer, &b->peer, bytes_span(&bytes), on_done, &t, &x), 0);
	coap_peer_thaw(&b->layer, &b->peer, b->now_ms);
	run_until(b, START + 247000);
	assert_int_equal(b->done_count, 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_sent_again_as_it_was_when_its_time_comes),
		cmocka_unit_test(an_answer_is_found_where_the_exchange_is),
		cmocka_unit_test(the_wait_for_a_separate_response_goes_on),
		cmocka_unit_test(an_ack_that_is_left_to_the_caller_stays_so),
		cmocka_unit_test(a_frozen_peer_says_nothing),
		cmocka_unit_test(what_is_no_exchange_is_refused),
		cmocka_unit_test(what_is_left_is_bounded),
	};

	return cmocka_run_group_tests_name("coap-move", tests, NULL, NULL);
}
