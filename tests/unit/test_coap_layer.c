/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* What belongs to an exchange and what does not, when it is sent again, and how it ends. */

#include "coap_bench.h"

/* ---- requests and their responses ---- */

static void test_piggybacked(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	assert_int_equal(b->sent_count, 1);
	assert_sent(b, 0, PEER, "41010100 07 b1 '3'");
	assert_int_equal(input(b, "61450100 07 ff 'x'"), COAP_INPUT_DONE);
	assert_done(b, 0, 7, COAP_RESPONSE);
	assert_int_equal(b->done[0].code, COAP_CONTENT);
	assert_string_equal(b->done[0].payload, "x");
	run_until(b, START + 300000);
	assert_int_equal(b->sent_count, 1);
	assert_int_equal(b->done_count, 1);
	/* Twice: nothing waits for it any more, and an ACK is not the caller's business. */
	assert_int_equal(input(b, "61450100 07 ff 'x'"), COAP_INPUT_DONE);
	assert_int_equal(b->done_count, 1);
	assert_int_equal(b->layer.stats.unmatched, 1);
	bench_free(b);
}

static void test_separate(void **state)
{
	(void)state;
	for (unsigned confirmable = 0; confirmable < 2; confirmable++) {
		struct bench *b = bench_new(1);
		struct ticket t = {.id = 7};

		start_get(b, &t);
		assert_int_equal(input(b, "60000100"), COAP_INPUT_DONE);
		run_until(b, START + 60000);
		assert_int_equal(b->sent_count, 1); /* acknowledged: no retransmission */
		assert_int_equal(b->done_count, 0);
		assert_int_equal(input(b, confirmable ? "4145abcd 07 ff 'x'" : "5145abcd 07 ff 'x'"),
				 COAP_INPUT_DONE);
		assert_done(b, 0, 7, COAP_RESPONSE);
		assert_string_equal(b->done[0].payload, "x");
		assert_int_equal(b->sent_count, 1 + confirmable);
		if (confirmable)
			assert_sent(b, 1, PEER, "6000abcd");
		bench_free(b);
	}
}

/* Our ACK was lost: the response comes again. The exchange is over, but its ACK is remembered. */
static void test_separate_again(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	assert_false(coap_was_acked(&b->peer, 0xabcd, b->now_ms));
	input(b, "60000100");
	input(b, "4145abcd 07");
	assert_int_equal(input(b, "4145abcd 07"), COAP_INPUT_RESPONSE);
	assert_int_equal(b->in.mid, 0xabcd);
	assert_true(coap_was_acked(&b->peer, 0xabcd, b->now_ms));
	assert_true(coap_was_acked(&b->peer, 0xabcd, b->now_ms + 247000));
	assert_false(coap_was_acked(&b->peer, 0xabcd, b->now_ms + 248000));
	assert_false(coap_was_acked(&b->peer, 0xabce, b->now_ms));
	coap_note_acked(&b->peer, 0xabce, b->now_ms);
	assert_true(coap_was_acked(&b->peer, 0xabce, b->now_ms));
	assert_int_equal(b->done_count, 1);
	bench_free(b);
}

static void test_note_acked_at_zero(void **state)
{
	struct coap_peer peer = {.acked_s = 0};

	(void)state;
	assert_false(coap_was_acked(&peer, 0, 0));
	coap_note_acked(&peer, 0, 0);
	assert_true(coap_was_acked(&peer, 0, 0));
}

static void test_response_overtakes_ack(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	assert_int_equal(input(b, "5145abcd 07 ff 'x'"), COAP_INPUT_DONE);
	assert_done(b, 0, 7, COAP_RESPONSE);
	assert_int_equal(input(b, "60000100"), COAP_INPUT_DONE);
	assert_int_equal(b->layer.stats.unmatched, 1);
	run_until(b, START + 300000);
	assert_int_equal(b->done_count, 1);
	assert_int_equal(b->sent_count, 1);
	bench_free(b);
}

/* An empty ACK and then nothing, as some clients do on FETCH. A second ACK does not make it longer. */
static void test_ack_without_response(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	run_until(b, START + 500);
	input(b, "60000100");
	run_until(b, START + 40000);
	input(b, "60000100");
	run_until(b, START + 500 + 92999);
	assert_int_equal(b->done_count, 0);
	run_until(b, START + 200000);
	assert_done(b, 0, 7, COAP_TIMEOUT_NO_RESPONSE);
	assert_int_equal(b->done[0].at_ms, START + 500 + 93000);
	assert_int_equal(b->layer.stats.timeouts, 1);
	assert_int_equal(b->sent_count, 1);
	bench_free(b);
}

/* After an empty ACK a piggy-backed response (the client forgot its ACK) or an RST (it forgot the request)
 * still count. */
static void test_after_ack(void **state)
{
	(void)state;
	for (unsigned reset = 0; reset < 2; reset++) {
		struct bench *b = bench_new(1);
		struct ticket t = {.id = 7};

		start_get(b, &t);
		input(b, "60000100");
		input(b, reset ? "70000100" : "61450100 07");
		assert_done(b, 0, 7, reset ? COAP_RESET : COAP_RESPONSE);
		bench_free(b);
	}
}

/* None of these belongs to the exchange: it goes on, and is answered in the end. */
static void test_mismatches(void **state)
{
	static const struct {
		const char *from;
		const char *datagram;
		enum coap_input expected;
	} cases[] = {
		{PEER, "60000101", COAP_INPUT_DONE},		    /* ACK of another message */
		{PEER, "61450101 07", COAP_INPUT_DONE},		    /* right token, wrong id */
		{PEER, "61450100 08", COAP_INPUT_DONE},		    /* right id, wrong token */
		{PEER, "60450100", COAP_INPUT_DONE},		    /* right id, no token */
		{PEER, "62450100 0700", COAP_INPUT_DONE},	    /* right id, longer token */
		{STRANGER, "60000100", COAP_INPUT_DONE},	    /* all right, but from elsewhere */
		{STRANGER, "61450100 07", COAP_INPUT_DONE},	    /* ... */
		{STRANGER, "5145abcd 07", COAP_INPUT_RESPONSE},	    /* ... */
		{STRANGER, "4145abcd 07", COAP_INPUT_RESPONSE},	    /* ... */
		{STRANGER, "70000100", COAP_INPUT_RESET},	    /* ... */
		{"192.0.2.1:5684", "61450100 07", COAP_INPUT_DONE}, /* another port is elsewhere, too */
		{"[2001:db8::1]:5683", "61450100 07", COAP_INPUT_DONE},
		{PEER, "70000101", COAP_INPUT_RESET},
		{PEER, "5145abcd 08", COAP_INPUT_RESPONSE},
		{PEER, "5045abcd", COAP_INPUT_RESPONSE},
		{PEER, "4145abcd 08", COAP_INPUT_RESPONSE},
		{PEER, "61010100 07", COAP_INPUT_DONE},	   /* a request in an ACK */
		{PEER, "71450100 07", COAP_INPUT_DONE},	   /* a response in an RST */
		{PEER, "50000100", COAP_INPUT_DONE},	   /* an empty NON */
		{PEER, "61450100 07 ff", COAP_INPUT_DONE}, /* malformed */
	};
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (input_from(b, cases[i].from, cases[i].datagram) != cases[i].expected)
			fail_msg("case %zu", i);
		assert_int_equal(b->done_count, 0);
		assert_int_equal(b->sent_count,
				 1); /* a CON response that nobody wants is left to the caller */
	}
	run_until(b, START + 3000);
	assert_int_equal(b->sent_count, 2);
	input(b, "61450100 07");
	assert_done(b, 0, 7, COAP_RESPONSE);
	bench_free(b);
}

static void test_reset(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	assert_int_equal(input(b, "70000100"), COAP_INPUT_DONE);
	assert_done(b, 0, 7, COAP_RESET);
	assert_int_equal(b->layer.stats.resets_received, 1);
	assert_int_equal(input(b, "70000100"), COAP_INPUT_RESET);
	assert_int_equal(b->in.mid, 0x0100);
	bench_free(b);
}

/* ---- retransmission ---- */

/* The first timeout is drawn, each further one is twice as long, and after the last of them all is over (RFC
 * 7252, 4.2). */
static void test_retransmission_times(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct bench *b = bench_new(seed);
		struct ticket t = {.id = 7};
		uint64_t first;

		start_get(b, &t);
		run_until(b, START + 100000);
		assert_int_equal(b->sent_count, 5);
		first = b->sent[1].at_ms - START;
		assert_in_range(first, 2000, 3000);
		least = MIN(least, first);
		most = MAX(most, first);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(b->sent[i].at_ms, START + first * ((1u << i) - 1));
			assert_sent(b, i, PEER, "41010100 07 b1 '3'");
		}
		assert_true(b->sent[4].at_ms <= START + 45000); /* MAX_TRANSMIT_SPAN */
		assert_int_equal(b->done_count, 1);
		assert_done(b, 0, 7, COAP_TIMEOUT_NO_ACK);
		assert_int_equal(b->done[0].at_ms, START + first * 31);
		assert_true(b->done[0].at_ms <= START + 93000); /* MAX_TRANSMIT_WAIT */
		assert_int_equal(b->layer.stats.retransmissions, 4);
		assert_int_equal(b->layer.stats.timeouts, 1);
		bench_free(b);
	}
	/* The whole range is used. */
	assert_in_range(least, 2000, 2020);
	assert_in_range(most, 2980, 3000);
}

/* The same seed gives the same times: replays rely on it. */
static void test_retransmission_is_reproducible(void **state)
{
	uint64_t at[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct bench *b = bench_new(42);
		struct ticket t = {.id = 7};

		start_get(b, &t);
		run_until(b, START + 5000);
		at[i] = b->sent[1].at_ms;
		bench_free(b);
	}
	assert_int_equal(at[0], at[1]);
}

static void test_parameters(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7}, u = {.id = 8}, v = {.id = 9};

	(void)state;
	b->params.ack_timeout_ms = 20000;
	b->params.ack_random_permille = 1000;
	b->params.max_retransmit = 1;
	start_get(b, &t);
	run_until(b, START + 100000);
	assert_int_equal(b->sent_count, 2);
	assert_int_equal(b->sent[1].at_ms, START + 20000);
	assert_int_equal(b->done[0].at_ms, START + 60000);
	b->params.max_retransmit = 0;
	start_get(b, &u);
	run_until(b, START + 200000);
	assert_int_equal(b->sent_count, 3);
	assert_int_equal(b->done[1].at_ms, START + 120000);
	b->params.response_timeout_ms = 1234;
	start_get(b, &v);
	input(b, "60000102");
	run_until(b, START + 300000);
	assert_done(b, 2, 9, COAP_TIMEOUT_NO_RESPONSE);
	assert_int_equal(b->done[2].at_ms, START + 201234);
	bench_free(b);
}

static void test_answer_after_retransmission(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7};

	(void)state;
	start_get(b, &t);
	run_until(b, START + 15000);
	assert_int_equal(b->sent_count, 3);
	input(b, "61450100 07 ff 'late'");
	assert_done(b, 0, 7, COAP_RESPONSE);
	run_until(b, START + 200000);
	assert_int_equal(b->sent_count, 3);
	assert_int_equal(b->done_count, 1);
	bench_free(b);
}

/* ---- non-confirmable requests, confirmable responses, pings ---- */

static void test_non_request(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7}, u = {.id = 8}, v = {.id = 9};

	(void)state;
	assert_int_equal(start(b, COAP_NON, COAP_POST, &t, NULL), 0);
	assert_sent(b, 0, PEER, "51020100 07 b1 '3'");
	run_until(b, START + 1000);
	input(b, "60000100"); /* nobody may acknowledge a NON */
	run_until(b, START + 92999);
	assert_int_equal(b->done_count, 0);
	run_until(b, START + 93000);
	assert_done(b, 0, 7, COAP_TIMEOUT_NO_RESPONSE);
	assert_int_equal(b->sent_count, 1);

	assert_int_equal(start(b, COAP_NON, COAP_POST, &u, NULL), 0);
	assert_int_equal(input(b, "51440900 08"), COAP_INPUT_DONE);
	assert_done(b, 1, 8, COAP_RESPONSE);
	assert_int_equal(start(b, COAP_NON, COAP_POST, &v, NULL), 0);
	assert_int_equal(input(b, "70000102"), COAP_INPUT_DONE);
	assert_done(b, 2, 9, COAP_RESET);
	bench_free(b);
}

static void test_notification(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 7}, u = {.id = 7}, v = {.id = 7};

	(void)state;
	assert_int_equal(start(b, COAP_CON, COAP_CONTENT, &t, NULL), 0);
	assert_sent(b, 0, PEER, "41450100 07");
	/* The token is that of the peer's request: nothing with it is an answer to us. */
	assert_false(coap_token_in_use(&b->layer, &(struct coap_token){1, {7}}));
	assert_int_equal(input(b, "5145abcd 07"), COAP_INPUT_RESPONSE);
	assert_int_equal(input(b, "61450100 07"), COAP_INPUT_DONE);
	assert_int_equal(b->done_count, 0);
	assert_int_equal(input(b, "60000100"), COAP_INPUT_DONE);
	assert_done(b, 0, 7, COAP_ACKNOWLEDGED);

	assert_int_equal(start(b, COAP_CON, COAP_CONTENT, &u, NULL), 0);
	assert_int_equal(input(b, "70000101"), COAP_INPUT_DONE);
	assert_done(b, 1, 7, COAP_RESET);
	assert_int_equal(start(b, COAP_CON, COAP_CONTENT, &v, NULL), 0);
	run_until(b, START + 100000);
	assert_done(b, 2, 7, COAP_TIMEOUT_NO_ACK);
	assert_int_equal(b->sent_count, 2 + 5);
	bench_free(b);
}

static void test_ping(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1}, u = {.id = 2};

	(void)state;
	assert_int_equal(start(b, COAP_CON, COAP_EMPTY, &t, NULL), 0);
	assert_sent(b, 0, PEER, "40000100");
	assert_int_equal(input(b, "70000100"), COAP_INPUT_DONE);
	assert_done(b, 0, 1, COAP_RESET);
	assert_int_equal(start(b, COAP_CON, COAP_EMPTY, &u, NULL), 0);
	assert_int_equal(input(b, "60000101"), COAP_INPUT_DONE);
	assert_done(b, 1, 2, COAP_ACKNOWLEDGED);
	bench_free(b);
}

/* ---- what comes unasked ---- */

static void test_unasked(void **state)
{
	static const struct {
		const char *datagram;
		enum coap_input expected;
		const char *answer; /* NULL: silence */
	} cases[] = {
		{"40001234", COAP_INPUT_DONE, "70001234"}, /* a ping */
		{"50001234", COAP_INPUT_DONE, NULL},
		{"60001234", COAP_INPUT_DONE, NULL},
		{"70001234", COAP_INPUT_RESET, NULL},
		{"61451234 01", COAP_INPUT_DONE, NULL},
		{"40011234", COAP_INPUT_REQUEST, NULL},
		{"50011234", COAP_INPUT_REQUEST, NULL},
		{"401f1234", COAP_INPUT_REQUEST, NULL}, /* an unknown method is answered 4.05 */
		{"41451234 01", COAP_INPUT_RESPONSE, NULL},
		{"51451234 01", COAP_INPUT_RESPONSE, NULL},
		{"40211234", COAP_INPUT_DONE, "70001234"}, /* reserved classes */
		{"50211234", COAP_INPUT_DONE, NULL},
		{"60c11234", COAP_INPUT_DONE, NULL},
		{"40e11234", COAP_INPUT_DONE, "70001234"},
		{"80011234", COAP_INPUT_DONE, NULL}, /* another version */
		{"49011234 000000000000000000", COAP_INPUT_DONE, "70001234"},
		{"59011234 000000000000000000", COAP_INPUT_DONE, NULL},
		{"40011234 ff", COAP_INPUT_DONE, "70001234"},
		{"50011234 ff", COAP_INPUT_DONE, NULL},
		{"40011234 f0", COAP_INPUT_DONE, "70001234"},
		{"40001234 00", COAP_INPUT_DONE, "70001234"},
		{"40", COAP_INPUT_DONE, NULL},
		{"", COAP_INPUT_DONE, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench *b = bench_new(1);

		if (input_from(b, STRANGER, cases[i].datagram) != cases[i].expected)
			fail_msg("case %zu", i);
		assert_int_equal(b->sent_count, cases[i].answer ? 1 : 0);
		assert_int_equal(b->layer.stats.resets_sent, cases[i].answer ? 1 : 0);
		if (cases[i].answer)
			assert_sent(b, 0, STRANGER, cases[i].answer);
		bench_free(b);
	}
}

/* ---- noise ---- */

/* Random datagrams, half of them near to valid ones, while exchanges run. Whatever is sent in answer is an
 * empty message. */
static void test_noise(void **state)
{
	static const char *const seeds[] = {"61450100 01 ff 'x'", "60000100", "70000100", "4145abcd 02 61 01",
					    "40011234 b1 '3'"};
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1}, u = {.id = 2};

	(void)state;
	for (unsigned n = 0; n < 200000; n++) {
		struct bytes datagram = bytes_of(seeds[n % ARRAY_SIZE(seeds)]);
		struct span exact;

		if (!b->peer.exchanges) {
			b->peer.next_mid = 0x0100;
			start_get(b, &t);
			start_get(b, &u);
		}
		b->sent_count = b->done_count = 0;
		datagram.data[random_u32(&b->random) % datagram.len] ^=
			(uint8_t)(1u << random_u32(&b->random) % 8);
		datagram.len -= random_u32(&b->random) % 3;
		exact = exact_copy(bytes_span(&datagram));
		if (coap_input(&b->layer, &b->peer.address, exact, b->now_ms, &b->in) == COAP_INPUT_REQUEST)
			assert_true(coap_is_request(b->in.code));
		for (unsigned i = 0; i < b->sent_count; i++)
			assert_true(b->sent[i].datagram.len == 4 || b->sent[i].datagram.data[1] == COAP_GET);
		free((void *)exact.data);
	}
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_piggybacked),
		cmocka_unit_test(test_separate),
		cmocka_unit_test(test_separate_again),
		cmocka_unit_test(test_note_acked_at_zero),
		cmocka_unit_test(test_response_overtakes_ack),
		cmocka_unit_test(test_ack_without_response),
		cmocka_unit_test(test_after_ack),
		cmocka_unit_test(test_mismatches),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_retransmission_times),
		cmocka_unit_test(test_retransmission_is_reproducible),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_answer_after_retransmission),
		cmocka_unit_test(test_non_request),
		cmocka_unit_test(test_notification),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("coap_layer", tests, NULL, NULL);
}
