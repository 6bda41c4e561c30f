/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* What a simulated device sends by itself: Send, and lists of objects in blocks. */

#include "sim_test.h"

#include "codec/codec.h"

#include <fcntl.h>
#include <unistd.h>

enum { INTERVAL = 10 };

static void begin_sending(struct bench *b)
{
	setup(b, true);
	b->options.send_ms = INTERVAL * SECOND;
	b->options.lifetime_ms = 86400 * SECOND;
	b->options.ledger = (char *)(uintptr_t) "-"; /* numbered values; the file is not opened here */
	begin(b);
	accept_register(b);
}

/* Takes the Send: how many values it has; each one's number in `values`, its Unix time in `times` or 0. */
static size_t expect_send(struct bench *b, double values[64], int64_t times[64])
{
	struct coap_message *m = expect(b);
	struct arena arena;
	struct codec_context codec = {
		.model = &b->sim.model, .any_path = true, .now_ms = (uint64_t)WALL * SECOND, .arena = &arena};
	struct records records = records_of(&arena);
	size_t count;

	assert_int_equal(m->type, COAP_CON);
	assert_int_equal(m->code, COAP_POST);
	assert_true(coap_path_is(m, "/dp"));
	assert_int_equal(coap_format(m, COAP_OPTION_CONTENT_FORMAT), 112);
	arena_init(&arena, 1 << 20);
	assert_int_equal(codec_decode(&codec, 112, m->payload, &records), CODEC_OK);
	count = records.count;
	assert_true(count <= 64);
	for (size_t i = 0; i < count; i++) {
		char path[PATH_TEXT];

		assert_string_equal(path_format(&records.items[i].path, path), "/3303/0/5700");
		values[i] = records.items[i].value.real;
		times[i] = records.items[i].timed ? records.items[i].time_ms : 0;
	}
	arena_deinit(&arena);
	return count;
}

static void test_send(void **state)
{
	double values[64];
	int64_t times[64];
	struct bench b;

	(void)state;
	begin_sending(&b);
	for (unsigned i = 1; i <= 3; i++) {
		advance(&b, INTERVAL * SECOND);
		assert_int_equal(expect_send(&b, values, times), 1);
		assert_true(values[0] == i);
		assert_int_equal(times[0], 0);
		answer(&b, COAP_CHANGED, NULL);
		expect_silence(&b);
	}
	assert_int_equal(b.sim.stats.sends, 3);
	assert_int_equal(b.sim.stats.values_sent, 3);
	end(&b);
}

static void test_send_none(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	advance(&b, 100 * SECOND);
	expect_silence(&b);
	end(&b);
}

/* The server mutes, and lets speak again. */
static void test_send_muted(void **state)
{
	double values[64];
	int64_t times[64];
	struct bench b;

	(void)state;
	begin_sending(&b);
	assert_int_equal(write_text(&b, "/1/0/23", "1"), COAP_CHANGED);
	advance(&b, 5 * INTERVAL * SECOND);
	expect_silence(&b);
	assert_int_equal(write_text(&b, "/1/0/23", "0"), COAP_CHANGED);
	advance(&b, INTERVAL * SECOND);
	assert_int_equal(expect_send(&b, values, times), 1);
	end(&b);
}

/* While an Update is under way values gather; then they go out in one Send, each with its time. */
static void test_send_gathered(void **state)
{
	struct coap_message update;
	double values[64];
	int64_t times[64];
	struct bench b;

	(void)state;
	begin_sending(&b);
	execute(&b, "/1/0/8");
	update = *expect(&b);
	for (unsigned i = 0; i < 3; i++) {
		advance(&b, INTERVAL * SECOND);
		while (b.head != b.tail)
			assert_int_equal(expect(&b)->mid, update.mid);
	}
	b.m = update;
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(expect_send(&b, values, times), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(values[i] == i + 1);
		assert_in_range(times[i], (int64_t)(WALL + (i + 1) * INTERVAL) * 1000,
				(int64_t)(WALL + (i + 1) * INTERVAL) * 1000 + 200);
	}
	/* What is measured now is not part of it. */
	update = b.m;
	advance(&b, SECOND);
	b.m = update;
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(b.sim.stats.values_sent, 3);
	advance(&b, INTERVAL * SECOND);
	assert_int_equal(expect_send(&b, values, times), 1);
	assert_true(values[0] == 4);
	end(&b);
}

/* 4.04: the registration is gone, and what was not taken comes again. */
static void test_send_not_found(void **state)
{
	double values[64];
	int64_t times[64];
	struct bench b;

	(void)state;
	begin_sending(&b);
	advance(&b, INTERVAL * SECOND);
	expect_send(&b, values, times);
	answer(&b, COAP_NOT_FOUND, NULL);
	accept_register(&b);
	assert_int_equal(b.sim.stats.refused_by_server[COAP_NOT_FOUND], 1);
	advance(&b, INTERVAL * SECOND);
	assert_int_equal(expect_send(&b, values, times), 2);
	assert_true(values[0] == 1 && values[1] == 2);
	end(&b);
}

/* 4.00 will not get better, 5.03 may; and what got no answer may have arrived. */
static void test_send_refused(void **state)
{
	double values[64];
	int64_t times[64];
	struct bench b;

	(void)state;
	begin_sending(&b);
	advance(&b, INTERVAL * SECOND);
	expect_send(&b, values, times);
	answer(&b, COAP_BAD_REQUEST, NULL);
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
	advance(&b, INTERVAL * SECOND);
	assert_int_equal(expect_send(&b, values, times), 1);
	assert_true(values[0] == 2);
	answer(&b, COAP_SERVICE_UNAVAILABLE, NULL);
	advance(&b, INTERVAL * SECOND);
	assert_int_equal(expect_send(&b, values, times), 2);
	assert_true(values[0] == 2 && values[1] == 3);
	for (unsigned i = 0; i < 4; i++) {
		advance_until_sent(&b);
		assert_true(coap_path_is(expect(&b), "/dp"));
	}
	advance_until_sent(&b);
	accept_register(&b);
	assert_int_equal(b.sim.stats.values_sent, 0);
	advance(&b, INTERVAL * SECOND);
	expect_send(&b, values, times);
	assert_true(values[0] == 4);
	end(&b);
}

/* However long the server refuses: the newest are kept, and go out in blocks when one message is too short.
 */
static void test_send_overflow(void **state)
{
	struct coap_block block = {.more = true};
	size_t len = 0;
	struct bench b;

	(void)state;
	begin_sending(&b);
	/* Not acknowledged, so none of them is done with. */
	for (unsigned i = 0; i < 80; i++) {
		advance(&b, INTERVAL * SECOND);
		do
			expect(&b);
		while (b.head != b.tail);
		answer_block(&b, COAP_SERVICE_UNAVAILABLE, 6, NULL);
		expect_silence(&b);
	}
	advance(&b, INTERVAL * SECOND);
	while (block.more) {
		assert_true(coap_path_is(expect(&b), "/dp"));
		assert_int_equal(coap_find_block(&b.m, COAP_OPTION_BLOCK1, &block), COAP_BLOCK_FOUND);
		len += b.m.payload.len;
		answer_block(&b, block.more ? COAP_CONTINUE : COAP_CHANGED, 6, NULL);
	}
	assert_true(len > 1024);
	assert_int_equal(b.sim.stats.values_sent, 64);
	end(&b);
}

/* The ledger has what was acknowledged, and nothing else. */
static void test_send_ledger(void **state)
{
	char name[] = "/tmp/shoal-ledger-XXXXXX", text[512] = "";
	int fd = mkstemp(name);
	double values[64];
	int64_t times[64];
	struct bench b;

	(void)state;
	assert_true(fd >= 0);
	begin_sending(&b);
	assert_int_equal(ledger_open(&b.sim.ledger, name), 0);
	advance(&b, INTERVAL * SECOND);
	expect_send(&b, values, times);
	answer(&b, COAP_SERVICE_UNAVAILABLE, NULL);
	advance(&b, INTERVAL * SECOND);
	expect_send(&b, values, times);
	answer(&b, COAP_CHANGED, NULL);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "ack send sim-000001 /3303/0/5700 1\nack send sim-000001 /3303/0/5700 2\n");
	end(&b);
	close(fd);
	unlink(name);
}

/* ---- lists in blocks ---- */

/* Takes blocks of `path` and answers 2.31 until the last, which is in b->m; appends them to `list`. */
static void take_blocks(struct bench *b, const char *path, struct buffer *list)
{
	struct coap_block block = {.more = true};

	while (block.more) {
		struct coap_message *m = expect(b);

		assert_true(coap_path_is(m, path));
		assert_int_equal(coap_format(m, COAP_OPTION_CONTENT_FORMAT), 40);
		assert_int_equal(coap_find_block(m, COAP_OPTION_BLOCK1, &block), COAP_BLOCK_FOUND);
		assert_int_equal(coap_block_offset(&block), list->len);
		buffer_bytes(list, m->payload);
		if (block.more)
			answer_block(b, COAP_CONTINUE, block.szx, NULL);
	}
}

static void begin_many(struct bench *b)
{
	setup(b, true);
	b->options.instances = 200;
	begin(b);
}

static void test_register_in_blocks(void **state)
{
	struct buffer list = buffer_of(1 << 16);
	struct bench b;

	(void)state;
	begin_many(&b);
	take_blocks(&b, "/rd", &list);
	assert_true(has_query(&b.m, "ep=sim-000001")); /* in each block: it names the transfer */
	assert_true(list.len > 2048);
	assert_non_null(strstr((const char *)list.data, ",</3303/0>,"));
	assert_non_null(strstr((const char *)list.data, ",</3303/199>"));
	answer_block(&b, COAP_CREATED, 6, "/rd/abc");
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
	expect_silence(&b);
	/* An Update that tells the list goes the same way. */
	{
		struct coap_message m = request(&b, COAP_POST, "/3303");

		assert_int_equal(ask(&b, &m), COAP_CREATED);
	}
	list.len = 0;
	take_blocks(&b, "/rd/abc", &list);
	assert_non_null(strstr((const char *)list.data, ",</3303/200>"));
	answer_block(&b, COAP_CHANGED, 6, NULL);
	assert_int_equal(b.sim.stats.updates, 1);
	expect_silence(&b);
	buffer_deinit(&list);
	end(&b);
}

static void test_register_in_smaller_blocks(void **state)
{
	struct buffer list = buffer_of(1 << 16);
	struct bench b;

	(void)state;
	begin_many(&b);
	/* The server wants smaller ones from the start, loses the transfer, and then goes on. */
	assert_int_equal(expect(&b)->payload.len, 1024);
	answer_block(&b, COAP_REQUEST_ENTITY_TOO_LARGE, 2, NULL);
	assert_int_equal(expect(&b)->payload.len, 64);
	answer_block(&b, COAP_CONTINUE, 2, NULL);
	expect(&b);
	answer_block(&b, COAP_REQUEST_ENTITY_INCOMPLETE, 2, NULL);
	take_blocks(&b, "/rd", &list);
	assert_non_null(strstr((const char *)list.data, ",</3303/199>"));
	answer_block(&b, COAP_CREATED, 2, "/rd/abc");
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
	assert_int_equal(b.sim.stats.registrations, 1);
	buffer_deinit(&list);
	end(&b);
}

/* A server that does not come to an end with it: a pause, and a new attempt. */
static void test_register_in_blocks_refused(void **state)
{
	struct bench b;

	(void)state;
	begin_many(&b);
	for (unsigned i = 0; i < 4; i++) {
		expect(&b);
		answer_block(&b, COAP_REQUEST_ENTITY_INCOMPLETE, 6, NULL);
	}
	expect_silence(&b);
	assert_int_equal(b.device.state, DEVICE_WAITING);
	assert_int_equal(b.sim.stats.refused_by_server[COAP_REQUEST_ENTITY_INCOMPLETE], 1);
	advance_until_sent(&b);
	expect(&b);
	answer(&b, COAP_CONTINUE, NULL); /* without saying what it continues */
	assert_int_equal(b.device.state, DEVICE_WAITING);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_send_none),
		cmocka_unit_test(test_send_muted),
		cmocka_unit_test(test_send_gathered),
		cmocka_unit_test(test_send_not_found),
		cmocka_unit_test(test_send_refused),
		cmocka_unit_test(test_send_overflow),
		cmocka_unit_test(test_send_ledger),
		cmocka_unit_test(test_register_in_blocks),
		cmocka_unit_test(test_register_in_smaller_blocks),
		cmocka_unit_test(test_register_in_blocks_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
