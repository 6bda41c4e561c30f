/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One layer against a script: the test is the network, the clock and the other side. What was sent is kept
 * with its time and destination; outcomes are kept in the order in which they came.
 */

#include "coap_test.h"

#include "coap/layer.h"

#include <errno.h>

enum { SENT_MAX = 64, DONE_MAX = 64, EXCHANGES_MAX = 8, START = 1000000 };

struct sent {
	uint64_t at_ms;
	struct address to;
	struct bytes datagram;
};

struct outcome {
	int id;
	enum coap_outcome outcome;
	uint64_t at_ms;
	uint8_t code; /* of the response */
	char payload[32];
};

struct bench {
	struct timers timers;
	struct random random;
	struct coap_params params;
	struct coap_layer layer;
	struct coap_peer peer;
	uint64_t now_ms;
	struct sent sent[SENT_MAX];
	unsigned sent_count;
	struct outcome done[DONE_MAX];
	unsigned done_count;
	struct coap_message in; /* of the last input */
};

/* The context of an exchange: where to write down what became of it. */
struct ticket {
	struct bench *bench;
	int id;
	void (*then)(struct bench *b);
};

static void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct bench *b = ctx;
	struct sent *s = &b->sent[b->sent_count++];

	assert_true(b->sent_count <= SENT_MAX);
	*s = (struct sent){.at_ms = b->now_ms, .to = *to};
	bytes_add(&s->datagram, datagram);
}

static void on_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		    uint64_t now_ms)
{
	struct ticket *t = ctx;
	struct bench *b = t->bench;
	struct outcome *o = &b->done[b->done_count++];

	assert_true(b->done_count <= DONE_MAX);
	assert_int_equal(now_ms, b->now_ms);
	assert_int_equal(response != NULL, outcome == COAP_RESPONSE);
	*o = (struct outcome){.id = t->id, .outcome = outcome, .at_ms = now_ms};
	if (response) {
		o->code = response->code;
		snprintf(o->payload, sizeof(o->payload), "%.*s", (int)response->payload.len,
			 response->payload.len ? (const char *)response->payload.data : "");
	}
	if (t->then)
		t->then(b);
}

static struct address address_of(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

#define PEER "192.0.2.1:5683"
#define STRANGER "192.0.2.2:5683"

static struct bench *bench_new(uint64_t seed)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct address a = address_of(PEER);

	assert_non_null(b);
	b->now_ms = START;
	timers_init(&b->timers, START);
	random_init_seed(&b->random, seed);
	b->params = coap_params_default;
	coap_layer_init(&b->layer, &b->timers, &b->random, EXCHANGES_MAX, on_send, b);
	coap_peer_init(&b->layer, &b->peer, &a, &b->params);
	b->peer.next_mid = 0x0100;
	return b;
}

static void bench_free(struct bench *b)
{
	coap_peer_deinit(&b->layer, &b->peer);
	/* Nothing is left behind, whatever happened. */
	assert_int_equal(b->timers.count, 0);
	assert_int_equal(b->layer.exchanges.count, 0);
	assert_int_equal(b->layer.pool.used, 0);
	assert_int_equal(b->peer.active + b->peer.waiting + b->peer.acked, 0);
	coap_layer_deinit(&b->layer);
	free(b);
}

/* Lets time pass, stopping at every millisecond at which something is due. */
static void run_until(struct bench *b, uint64_t until_ms)
{
	int64_t wait;

	while ((wait = timers_wait_ms(&b->timers)) >= 0 && b->now_ms + (uint64_t)wait <= until_ms) {
		b->now_ms += (uint64_t)wait;
		timers_advance(&b->timers, b->now_ms);
	}
	b->now_ms = until_ms;
	timers_advance(&b->timers, until_ms);
}

/* Starts GET /3 with a token of one byte, which is the ticket's id. */
static int start(struct bench *b, enum coap_type type, uint8_t code, struct ticket *t,
		 struct coap_exchange **out)
{
	struct coap_message m;

	t->bench = b;
	coap_message_init(&m, type, code, 0, (struct coap_token){1, {(uint8_t)t->id}});
	if (coap_is_request(code))
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/3")), 0);
	else if (code == COAP_EMPTY)
		m.token.len = 0;
	return coap_start(&b->layer, &b->peer, &m, b->now_ms, on_done, t, out);
}

static void start_get(struct bench *b, struct ticket *t)
{
	assert_int_equal(start(b, COAP_CON, COAP_GET, t, NULL), 0);
}

static enum coap_input input_from(struct bench *b, const char *from, const char *datagram)
{
	struct bytes bytes = bytes_of(datagram);
	struct span exact = exact_copy(bytes_span(&bytes));
	struct address a = address_of(from);
	enum coap_input result = coap_input(&b->layer, &a, exact, b->now_ms, &b->in);

	free((void *)exact.data);
	return result;
}

static enum coap_input input(struct bench *b, const char *datagram)
{
	return input_from(b, PEER, datagram);
}

static void assert_sent(struct bench *b, unsigned index, const char *to, const char *datagram)
{
	struct address a = address_of(to);

	assert_true(index < b->sent_count);
	assert_true(address_equal(&b->sent[index].to, &a));
	assert_bytes(bytes_span(&b->sent[index].datagram), datagram);
}

static void assert_done(struct bench *b, unsigned index, int id, enum coap_outcome outcome)
{
	assert_true(index < b->done_count);
	assert_int_equal(b->done[index].id, id);
	assert_int_equal(b->done[index].outcome, outcome);
}

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

/* ---- pacing ---- */

static void test_nstart_is_fifo(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[4] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		start_get(b, &t[i]);
	assert_int_equal(b->sent_count, 1);
	assert_int_equal(b->peer.active, 1);
	assert_int_equal(b->peer.waiting, 3);
	/* Nothing was sent of those that wait, so nothing can answer them. */
	assert_int_equal(input(b, "61450101 02"), COAP_INPUT_DONE);
	assert_int_equal(input(b, "5145abcd 02"), COAP_INPUT_RESPONSE);
	assert_int_equal(input(b, "70000101"), COAP_INPUT_RESET);
	assert_int_equal(b->done_count, 0);
	assert_true(coap_token_in_use(&b->layer, &(struct coap_token){1, {2}}));

	input(b, "61450100 01"); /* answered */
	assert_int_equal(b->sent_count, 2);
	assert_sent(b, 1, PEER, "41010101 02 b1 '3'");
	input(b, "70000101"); /* reset */
	assert_int_equal(b->sent_count, 3);
	assert_sent(b, 2, PEER, "41010102 03 b1 '3'");
	input(b, "60000102"); /* an empty ACK ends what RFC 7252, 4.7 calls outstanding */
	assert_int_equal(b->sent_count, 4);
	assert_sent(b, 3, PEER, "41010103 04 b1 '3'");
	assert_int_equal(b->done_count, 2);
	assert_int_equal(b->peer.acked, 1);
	input(b, "61450103 04");
	input(b, "5145abcd 03");
	assert_done(b, 2, 4, COAP_RESPONSE);
	assert_done(b, 3, 3, COAP_RESPONSE);
	bench_free(b);
}

static void test_next_after_timeout(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1}, u = {.id = 2};
	uint64_t gave_up;

	(void)state;
	start_get(b, &t);
	start_get(b, &u);
	run_until(b, START + 93000);
	assert_done(b, 0, 1, COAP_TIMEOUT_NO_ACK);
	gave_up = b->done[0].at_ms;
	assert_int_equal(b->sent[5].at_ms, gave_up);
	assert_sent(b, 5, PEER, "41010101 02 b1 '3'");
	bench_free(b);
}

static void test_nstart_of_two(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[3] = {{.id = 1}, {.id = 2}, {.id = 3}};

	(void)state;
	b->params.nstart = 2;
	for (unsigned i = 0; i < 3; i++)
		start_get(b, &t[i]);
	assert_int_equal(b->sent_count, 2);
	input(b, "61450101 02"); /* the second one first */
	assert_int_equal(b->sent_count, 3);
	assert_sent(b, 2, PEER, "41010102 03 b1 '3'");
	bench_free(b);
}

static void test_waiting_is_bounded(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[4] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}};

	(void)state;
	b->params.max_waiting = 1;
	start_get(b, &t[0]);
	start_get(b, &t[1]);
	assert_int_equal(start(b, COAP_CON, COAP_GET, &t[2], NULL), -EAGAIN);
	assert_false(coap_token_in_use(&b->layer, &(struct coap_token){1, {3}}));
	input(b, "60000100"); /* 1 is acknowledged but not answered, 2 goes out */
	assert_int_equal(b->sent_count, 2);
	assert_int_equal(start(b, COAP_CON, COAP_GET, &t[2], NULL), -EAGAIN);
	input(b, "5145abcd 01");
	start_get(b, &t[2]);
	assert_int_equal(b->peer.waiting, 1);

	b->params.max_waiting = 0; /* nobody may wait, but one may be sent */
	input(b, "61450101 02");
	input(b, "61450102 03");
	assert_int_equal(b->done_count, 3);
	start_get(b, &t[3]);
	bench_free(b);
}

static void test_exchanges_are_bounded(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[EXCHANGES_MAX + 1] = {{.id = 0}};

	(void)state;
	for (int i = 0; i < EXCHANGES_MAX; i++) {
		t[i].id = i;
		start_get(b, &t[i]);
	}
	t[EXCHANGES_MAX].id = 99;
	assert_int_equal(start(b, COAP_CON, COAP_GET, &t[EXCHANGES_MAX], NULL), -ENOBUFS);
	input(b, "70000100");
	start_get(b, &t[EXCHANGES_MAX]);
	bench_free(b);
}

static void test_start_refuses(void **state)
{
	static const uint8_t big[COAP_MESSAGE_MAX];
	struct bench *b = bench_new(1);
	struct ticket t = {.bench = b, .id = 1};
	struct coap_message m;

	(void)state;
	coap_message_init(&m, COAP_CON, COAP_PUT, 0, (struct coap_token){.len = 0});
	m.payload = span_of(big, sizeof(big) - 4);
	assert_int_equal(coap_start(&b->layer, &b->peer, &m, b->now_ms, on_done, &t, NULL), -EMSGSIZE);
	m.payload.len--;
	assert_int_equal(coap_start(&b->layer, &b->peer, &m, b->now_ms, on_done, &t, NULL), 0);
	assert_int_equal(b->sent[0].datagram.len, COAP_MESSAGE_MAX);
	m.token.len = 9;
	assert_int_equal(coap_start(&b->layer, &b->peer, &m, b->now_ms, on_done, &t, NULL), -EINVAL);
	assert_int_equal(b->layer.pool.used, 1);
	bench_free(b);
}

static void test_cancel(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[4] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}};
	struct coap_exchange *x[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(start(b, COAP_CON, COAP_GET, &t[i], &x[i]), 0);
	coap_cancel(&b->layer, x[2], b->now_ms); /* waiting, in the middle */
	assert_int_equal(b->sent_count, 1);
	assert_int_equal(b->peer.waiting, 2);
	coap_cancel(&b->layer, x[0], b->now_ms); /* running: the next one goes out */
	assert_int_equal(b->sent_count, 2);
	assert_sent(b, 1, PEER, "41010101 02 b1 '3'");
	assert_int_equal(input(b, "61450100 01"), COAP_INPUT_DONE); /* for the cancelled one */
	assert_int_equal(input(b, "5145abcd 01"), COAP_INPUT_RESPONSE);
	coap_cancel(&b->layer, x[3], b->now_ms); /* waiting, the last */
	input(b, "60000101");
	coap_cancel(&b->layer, x[1], b->now_ms); /* acknowledged */
	run_until(b, START + 300000);
	assert_int_equal(b->sent_count, 2);
	assert_int_equal(b->done_count, 0);
	bench_free(b);
}

/* ---- message ids ---- */

static void test_mid_wraps(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1}, u = {.id = 2};

	(void)state;
	b->peer.next_mid = 0xffff;
	start_get(b, &t);
	assert_sent(b, 0, PEER, "4101ffff 01 b1 '3'");
	input(b, "6145ffff 01");
	start_get(b, &u);
	assert_sent(b, 1, PEER, "41010000 02 b1 '3'");
	assert_int_equal(b->peer.next_mid, 1);
	bench_free(b);
}

static void test_mid_runs_through_the_space(void **state)
{
	static bool used[65536];
	struct bench *b = bench_new(1);

	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		struct ticket t = {.id = 1};
		char answer[32];
		uint16_t mid = b->peer.next_mid;

		start_get(b, &t);
		assert_false(used[mid]);
		used[mid] = true;
		snprintf(answer, sizeof(answer), "6145%04x 01", mid);
		input(b, answer);
		assert_int_equal(b->done_count, 1);
		b->done_count = b->sent_count = 0;
	}
	assert_int_equal(b->peer.next_mid, 0x0100);
	bench_free(b);
}

/* An id is not taken again while its exchange runs, not even one that waits or was acknowledged. */
static void test_mid_in_use_is_skipped(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[4] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}};
	struct coap_message m;
	uint16_t mid;

	(void)state;
	start_get(b, &t[0]);
	start_get(b, &t[1]);
	start_get(b, &t[2]);
	input(b, "60000100");
	b->peer.next_mid = 0x0100;
	start_get(b, &t[3]);
	assert_int_equal(b->peer.next_mid, 0x0104);
	b->peer.next_mid = 0x0101;
	coap_message_init(&m, COAP_NON, COAP_CONTENT, 0, (struct coap_token){1, {9}});
	assert_int_equal(coap_send_once(&b->layer, &b->peer, &m, &mid), 0);
	assert_int_equal(mid, 0x0104);
	bench_free(b);
}

/* Ids are per peer: another peer's exchange with the same id is another exchange. */
static void test_mid_is_per_peer(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1}, u = {.bench = b, .id = 2};
	struct address a = address_of(STRANGER);
	struct coap_peer other;
	struct coap_message m;

	(void)state;
	start_get(b, &t);
	coap_peer_init(&b->layer, &other, &a, &b->params);
	other.next_mid = 0x0100;
	coap_message_init(&m, COAP_CON, COAP_GET, 0, (struct coap_token){1, {1}}); /* the same token, too */
	assert_int_equal(coap_start(&b->layer, &other, &m, b->now_ms, on_done, &u, NULL), 0);
	assert_sent(b, 1, STRANGER, "41010100 01");
	input_from(b, STRANGER, "61450100 01 ff 'other'");
	assert_done(b, 0, 2, COAP_RESPONSE);
	input(b, "61450100 01 ff 'first'");
	assert_done(b, 1, 1, COAP_RESPONSE);
	assert_string_equal(b->done[1].payload, "first");
	coap_peer_deinit(&b->layer, &other);
	bench_free(b);
}

static void test_first_mid_is_random(void **state)
{
	struct bench *b = bench_new(1);
	struct address a = address_of(STRANGER);
	struct coap_peer p, q;

	(void)state;
	coap_peer_init(&b->layer, &p, &a, &b->params);
	coap_peer_init(&b->layer, &q, &a, &b->params);
	assert_int_not_equal(p.next_mid, q.next_mid);
	bench_free(b);
}

/* ---- addresses ---- */

static void test_move(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1}, u = {.id = 2}, v = {.id = 3};
	struct address a = address_of(STRANGER);

	(void)state;
	start_get(b, &t);
	start_get(b, &u);
	start_get(b, &v);
	coap_peer_move(&b->layer, &b->peer, &a);
	run_until(b, START + 3000);
	assert_sent(b, 1, STRANGER, "41010100 01 b1 '3'");
	/* What comes from the old place is nobody's. */
	assert_int_equal(input(b, "61450100 01"), COAP_INPUT_DONE);
	assert_int_equal(input(b, "5145abcd 01"), COAP_INPUT_RESPONSE);
	assert_int_equal(b->done_count, 0);
	input_from(b, STRANGER, "61450100 01");
	assert_done(b, 0, 1, COAP_RESPONSE);
	assert_sent(b, 2, STRANGER, "41010101 02 b1 '3'");
	input_from(b, STRANGER, "5145abcd 02");
	assert_done(b, 1, 2, COAP_RESPONSE);
	input_from(b, STRANGER, "70000102");
	assert_done(b, 2, 3, COAP_RESET);
	bench_free(b);
}

/* ---- callbacks that do things ---- */

static struct ticket chained = {.id = 50};

static void start_another(struct bench *b)
{
	chained = (struct ticket){.id = 50};
	start_get(b, &chained);
}

/* A request started by a callback comes behind those that wait already. */
static void test_start_from_callback(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t = {.id = 1, .then = start_another}, u = {.id = 2};

	(void)state;
	start_get(b, &t);
	start_get(b, &u);
	input(b, "61450100 01");
	assert_int_equal(b->sent_count, 2);
	assert_sent(b, 1, PEER, "41010101 02 b1 '3'");
	input(b, "61450101 02");
	assert_sent(b, 2, PEER, "41010102 32 b1 '3'");
	input(b, "61450102 32");
	assert_done(b, 2, 50, COAP_RESPONSE);
	bench_free(b);
}

static void drop_peer(struct bench *b)
{
	coap_peer_deinit(&b->layer, &b->peer);
}

static void test_deinit_from_callback(void **state)
{
	(void)state;
	for (unsigned timeout = 0; timeout < 2; timeout++) {
		struct bench *b = bench_new(1);
		struct ticket t = {.id = 1, .then = drop_peer}, u = {.id = 2}, v = {.id = 3};

		start_get(b, &t);
		start_get(b, &u);
		start_get(b, &v);
		if (timeout)
			run_until(b, START + 93000);
		else
			input(b, "61450100 01");
		run_until(b, START + 300000);
		assert_int_equal(b->done_count, 1);
		assert_null(b->peer.exchanges);
		bench_free(b);
	}
}

static void test_layer_deinit_cancels(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[3] = {{.id = 1}, {.id = 2}, {.id = 3}};

	(void)state;
	start_get(b, &t[0]);
	assert_int_equal(start(b, COAP_CON, COAP_CONTENT, &t[1], NULL), 0);
	input(b, "60000100");
	start_get(b, &t[2]);
	coap_layer_deinit(&b->layer);
	assert_int_equal(b->timers.count, 0);
	assert_null(b->peer.exchanges);
	assert_int_equal(b->peer.active + b->peer.waiting + b->peer.acked, 0);
	assert_int_equal(b->done_count, 0);
	bench_free(b);
}

/* ---- answers ---- */

static void test_reply(void **state)
{
	struct bench *b = bench_new(1);
	struct coap_reply_to to;
	struct coap_message m;

	(void)state;
	assert_int_equal(input_from(b, STRANGER, "43021234 aabbcc b2 'rd'"), COAP_INPUT_REQUEST);
	to = coap_reply_to(&b->in, &(struct address){0});
	to.address = address_of(STRANGER);
	coap_message_init(&m, COAP_NON, COAP_CREATED, 0, (struct coap_token){.len = 0});
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_LOCATION_PATH, span_str("rd/x")), 0);
	assert_int_equal(coap_reply(&b->layer, &to, &m), 0);
	assert_sent(b, 0, STRANGER, "63411234 aabbcc 82 'rd' 01 'x'");
	coap_reply_code(&b->layer, &to, COAP_CHANGED, NULL);
	assert_sent(b, 1, STRANGER, "63441234 aabbcc");
	coap_reply_code(&b->layer, &to, COAP_BAD_REQUEST, "no ep");
	assert_sent(b, 2, STRANGER, "63801234 aabbcc ff 'no ep'");
	coap_message_init(&m, COAP_NON, COAP_GET, 0, (struct coap_token){.len = 0});
	assert_int_equal(coap_reply(&b->layer, &to, &m), -EINVAL);
	assert_int_equal(b->sent_count, 3);
	bench_free(b);
}

static void test_reply_to_non(void **state)
{
	struct bench *b = bench_new(1);
	struct address from = address_of(PEER);
	struct ticket t = {.id = 1};
	struct coap_reply_to to;

	(void)state;
	assert_int_equal(input(b, "51021234 aa"), COAP_INPUT_REQUEST);
	to = coap_reply_to(&b->in, &from);
	b->layer.next_mid = 0xffff;
	coap_reply_code(&b->layer, &to, COAP_CHANGED, NULL);
	assert_sent(b, 0, PEER, "5144ffff aa");
	/* Its own message ids, but never one of a running exchange. */
	start_get(b, &t);
	b->layer.next_mid = 0x0100;
	coap_reply_code(&b->layer, &to, COAP_CHANGED, NULL);
	assert_sent(b, 2, PEER, "51440101 aa");
	bench_free(b);
}

static void test_reply_limits(void **state)
{
	static const uint8_t big[COAP_MESSAGE_MAX];
	struct bench *b = bench_new(1);
	struct coap_reply_to to = {.address = address_of(PEER), .type = COAP_CON, .mid = 1};
	struct coap_message m;
	char text[2000];

	(void)state;
	coap_message_init(&m, COAP_ACK, COAP_CONTENT, 0, (struct coap_token){.len = 0});
	m.payload = span_of(big, sizeof(big));
	assert_int_equal(coap_reply(&b->layer, &to, &m), -EMSGSIZE);
	assert_int_equal(coap_send_once(&b->layer, &b->peer, &m, NULL), -EMSGSIZE);
	assert_int_equal(b->sent_count, 0);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	coap_reply_code(&b->layer, &to, COAP_BAD_REQUEST, text); /* cut, not lost */
	assert_int_equal(b->sent[0].datagram.len, 4 + 1 + 512);
	bench_free(b);
}

static void test_send_once(void **state)
{
	struct bench *b = bench_new(1);
	struct coap_message m;
	uint16_t mid = 0;

	(void)state;
	coap_message_init(&m, COAP_NON, COAP_CONTENT, 0, (struct coap_token){2, {1, 2}});
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 5), 0);
	assert_int_equal(coap_send_once(&b->layer, &b->peer, &m, &mid), 0);
	assert_int_equal(mid, 0x0100);
	assert_sent(b, 0, PEER, "52450100 0102 61 05");
	assert_int_equal(coap_send_once(&b->layer, &b->peer, &m, NULL), 0);
	assert_sent(b, 1, PEER, "52450101 0102 61 05");
	/* "I do not want these" */
	assert_int_equal(input(b, "70000101"), COAP_INPUT_RESET);
	assert_int_equal(b->in.mid, 0x0101);
	coap_ack(&b->layer, &b->peer.address, 0xbeef);
	assert_sent(b, 2, PEER, "6000beef");
	coap_reset(&b->layer, &b->peer.address, 0xbeef);
	assert_sent(b, 3, PEER, "7000beef");
	bench_free(b);
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
		cmocka_unit_test(test_nstart_is_fifo),
		cmocka_unit_test(test_next_after_timeout),
		cmocka_unit_test(test_nstart_of_two),
		cmocka_unit_test(test_waiting_is_bounded),
		cmocka_unit_test(test_exchanges_are_bounded),
		cmocka_unit_test(test_start_refuses),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_mid_wraps),
		cmocka_unit_test(test_mid_runs_through_the_space),
		cmocka_unit_test(test_mid_in_use_is_skipped),
		cmocka_unit_test(test_mid_is_per_peer),
		cmocka_unit_test(test_first_mid_is_random),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_start_from_callback),
		cmocka_unit_test(test_deinit_from_callback),
		cmocka_unit_test(test_layer_deinit_cancels),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_to_non),
		cmocka_unit_test(test_reply_limits),
		cmocka_unit_test(test_send_once),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("coap_layer", tests, NULL, NULL);
}
