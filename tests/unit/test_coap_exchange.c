/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Exchanges beside each other: pacing, ceilings, message ids, addresses, callbacks that do things, and
 * answers. */

#include "coap_bench.h"

#include <errno.h>

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

static struct coap_peer *short_lived;

static void free_short_lived(struct bench *b)
{
	coap_peer_deinit(&b->layer, short_lived);
	free(short_lived);
}

/* The peer's very memory may go with the callback. */
static void test_free_from_callback(void **state)
{
	struct bench *b = bench_new(1);
	struct ticket t[2] = {{.bench = b, .id = 1, .then = free_short_lived}, {.bench = b, .id = 2}};
	struct address a = address_of(STRANGER);

	(void)state;
	short_lived = malloc(sizeof(*short_lived));
	assert_non_null(short_lived);
	coap_peer_init(&b->layer, short_lived, &a, &b->params);
	short_lived->next_mid = 0x0100;
	for (unsigned i = 0; i < 2; i++) {
		struct coap_message m;

		coap_message_init(&m, COAP_CON, COAP_GET, 0, (struct coap_token){1, {(uint8_t)t[i].id}});
		assert_int_equal(coap_start(&b->layer, short_lived, &m, b->now_ms, on_done, &t[i], NULL), 0);
	}
	input_from(b, STRANGER, "4145abcd 01");
	assert_int_equal(b->done_count, 1);
	bench_free(b);
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
	to.type = COAP_NON;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(test_free_from_callback),
		cmocka_unit_test(test_layer_deinit_cancels),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_to_non),
		cmocka_unit_test(test_reply_limits),
		cmocka_unit_test(test_send_once),
	};

	return cmocka_run_group_tests_name("coap_exchange", tests, NULL, NULL);
}
