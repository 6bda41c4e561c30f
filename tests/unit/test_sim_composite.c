/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Composites of a simulated device: reading, writing and observing many paths at once. */

#include "sim_test.h"

/* In the caller's place: a message with numeric options must not be copied. */
static void fetch(struct bench *b, const char *list, struct coap_message *m)
{
	*m = request(b, COAP_FETCH, "/");
	with_format(m, COAP_OPTION_CONTENT_FORMAT, 110);
	with_format(m, COAP_OPTION_ACCEPT, 110);
	m->payload = span_str(list);
}

static uint8_t read_list(struct bench *b, const char *list)
{
	struct coap_message m;

	fetch(b, list, &m);
	return ask(b, &m);
}

static uint8_t patch(struct bench *b, const char *records)
{
	struct coap_message m = request(b, COAP_IPATCH, "/");

	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 110);
	m.payload = span_str(records);
	return ask(b, &m);
}

/* The records of an answer in SenML JSON, whatever is base name and what is name. */
static unsigned count_records(const struct coap_message *m)
{
	unsigned count = 0;

	for (size_t i = 0; i < m->payload.len; i++)
		count += m->payload.data[i] == '{';
	return count;
}

static void test_read_composite(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(read_list(&b, "[{\"n\":\"/3/0/0\"},{\"n\":\"/1/0/1\"}]"), COAP_CONTENT);
	assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), 110);
	assert_true(payload_contains(&b.m, "shoal"));
	assert_true(payload_contains(&b.m, "300"));
	assert_int_equal(count_records(&b.m), 2);
	/* What is not there, must not be seen, or cannot be read, is left out. */
	assert_int_equal(read_list(&b, "[{\"n\":\"/3/0/0\"},{\"n\":\"/9/0/0\"},{\"n\":\"/3/0/99\"},"
				       "{\"n\":\"/0\"},{\"n\":\"/3/0/4\"},{\"n\":\"/3303/7\"}]"),
			 COAP_CONTENT);
	assert_int_equal(count_records(&b.m), 1);
	assert_int_equal(read_list(&b, "[{\"n\":\"/9/0/0\"}]"), COAP_CONTENT);
	assert_int_equal(count_records(&b.m), 0);
	/* Paths that overlap give their values once. */
	assert_int_equal(read_list(&b, "[{\"n\":\"/3/0/7\"},{\"n\":\"/3/0/7/0\"},{\"n\":\"/3/0/7\"}]"),
			 COAP_CONTENT);
	assert_int_equal(count_records(&b.m), 1);
	end(&b);
}

/* The root is everything: several blocks of it, and none of the objects that are the bootstrap server's. */
static void test_read_composite_root(void **state)
{
	struct buffer whole = buffer_of(1 << 16);
	struct coap_block block = {.more = true};
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	for (uint32_t num = 0; block.more; num++) {
		struct coap_message m;

		fetch(&b, "[{\"n\":\"/\"}]", &m);
		assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK2, &(struct coap_block){num, false, 2}),
				 0);
		assert_int_equal(ask(&b, &m), COAP_CONTENT);
		assert_int_equal(coap_find_block(&b.m, COAP_OPTION_BLOCK2, &block), COAP_BLOCK_FOUND);
		buffer_bytes(&whole, b.m.payload);
		/* Each with an own answer in between, which changes nothing. */
		assert_int_equal(get(&b, "/3/0/0"), COAP_CONTENT);
		advance(&b, SECOND);
	}
	assert_int_equal(whole.data[whole.len - 1], ']');
	assert_non_null(strstr((const char *)whole.data, "1/0/23"));
	assert_non_null(strstr((const char *)whole.data, "3/0/21"));
	assert_non_null(strstr((const char *)whole.data, "3303/0/5700"));
	assert_null(strstr((const char *)whole.data, "\"/0/"));
	buffer_deinit(&whole);
	end(&b);
}

static void test_composite_refused(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(read_list(&b, "[]"), COAP_BAD_REQUEST);
	assert_int_equal(read_list(&b, "[{\"n\":\"/3/x\"}]"), COAP_BAD_REQUEST);
	assert_int_equal(read_list(&b, "["), COAP_BAD_REQUEST);
	m = request(&b, COAP_FETCH, "/");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 11542);
	assert_int_equal(ask(&b, &m), COAP_UNSUPPORTED_CONTENT_FORMAT);
	m = request(&b, COAP_FETCH, "/");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 110);
	with_format(&m, COAP_OPTION_ACCEPT, 11542);
	m.payload = span_str("[{\"n\":\"/3/0/0\"}]");
	assert_int_equal(ask(&b, &m), COAP_NOT_ACCEPTABLE);
	m = request(&b, COAP_IPATCH, "/");
	with_text(&m, "x");
	assert_int_equal(ask(&b, &m), COAP_UNSUPPORTED_CONTENT_FORMAT);
	end(&b);
	/* LwM2M 1.0 has none. */
	begin_registered(&b, false);
	assert_int_equal(read_list(&b, "[{\"n\":\"/3/0/0\"}]"), COAP_METHOD_NOT_ALLOWED);
	assert_int_equal(patch(&b, "[{\"n\":\"/1/0/2\",\"v\":5}]"), COAP_METHOD_NOT_ALLOWED);
	end(&b);
}

static void test_write_composite(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.instances = 2;
	begin(&b);
	accept_register(&b);
	assert_int_equal(patch(&b, "[{\"n\":\"/1/0/1\",\"v\":120},{\"n\":\"/3/0/15\",\"vs\":\"Etc/GMT\"},"
				   "{\"n\":\"/3303/1/5750\",\"vs\":\"Cellar\"}]"),
			 COAP_CHANGED);
	assert_true(has_query(expect(&b), "lt=120"));
	answer(&b, COAP_CHANGED, NULL);
	get(&b, "/3/0/15");
	assert_payload(&b.m, "Etc/GMT");
	get(&b, "/3303/1/5750");
	assert_payload(&b.m, "Cellar");
	get(&b, "/3303/0/5750");
	assert_payload(&b.m, "");
	end(&b);
}

/* Whatever is wrong with one of them, none is written. */
static void test_write_composite_atomic(void **state)
{
	static const struct {
		const char *bad;
		uint8_t code;
	} cases[] = {
		{"{\"n\":\"/3/0/0\",\"vs\":\"x\"}", COAP_METHOD_NOT_ALLOWED},
		{"{\"n\":\"/9/0/0\",\"vs\":\"x\"}", COAP_NOT_FOUND},
		{"{\"n\":\"/0/0/0\",\"vs\":\"x\"}", COAP_UNAUTHORIZED},
		{"{\"n\":\"/3303/5/5750\",\"vs\":\"x\"}", COAP_NOT_FOUND},
		{"{\"n\":\"/1/0/3\",\"vs\":\"x\"}", COAP_BAD_REQUEST},
		{"{\"n\":\"/3/0/14\",\"vs\":\"far too long\"}", COAP_BAD_REQUEST},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned first = 0; first < 2; first++) {
			static const char good[] = "{\"n\":\"/1/0/2\",\"v\":7}";
			char text[200];
			struct bench b;
			uint8_t code;

			begin_registered(&b, true);
			snprintf(text, sizeof(text), "[%s,%s]", first ? cases[i].bad : good,
				 first ? good : cases[i].bad);
			code = patch(&b, text);
			if (code != cases[i].code)
				fail_msg("%s: code %02x instead of %02x", text, code, cases[i].code);
			get(&b, "/1/0/2");
			assert_payload(&b.m, "0");
			end(&b);
		}
}

/* ---- observing ---- */

static const char both[] = "[{\"n\":\"/3/0/15\"},{\"n\":\"/3303/0/5750\"}]";

/* Observes the list; the token of the request. */
static struct coap_token observe_list(struct bench *b, const char *list)
{
	struct coap_message m;

	fetch(b, list, &m);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 0), 0);
	assert_int_equal(ask(b, &m), COAP_CONTENT);
	assert_non_null(coap_find(&b->m, COAP_OPTION_OBSERVE));
	return m.token;
}

/* Any of them changes, and all of them are told. */
static void test_observe_composite(void **state)
{
	struct coap_token o;
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.notify_ms = 0;
	begin(&b);
	accept_register(&b);
	o = observe_list(&b, both);
	advance(&b, 100 * SECOND);
	expect_silence(&b);
	assert_int_equal(write_text(&b, "/3303/0/5750", "Cellar"), COAP_CHANGED);
	advance(&b, 1);
	assert_int_equal(expect(&b)->code, COAP_CONTENT);
	assert_true(coap_token_equal(&b.m.token, &o));
	assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), 110);
	assert_true(payload_contains(&b.m, "Cellar"));
	assert_true(payload_contains(&b.m, "Etc/UTC"));
	/* Both at once are one notification; what is none of them is none. */
	assert_int_equal(
		patch(&b, "[{\"n\":\"/3/0/15\",\"vs\":\"A\"},{\"n\":\"/3303/0/5750\",\"vs\":\"B\"}]"),
		COAP_CHANGED);
	advance(&b, 1);
	assert_true(payload_contains(expect(&b), "\"A\""));
	assert_true(payload_contains(&b.m, "\"B\""));
	assert_int_equal(patch(&b, "[{\"n\":\"/3/0/14\",\"vs\":\"+01\"}]"), COAP_CHANGED);
	advance(&b, SECOND);
	expect_silence(&b);
	end(&b);
}

static void test_observe_composite_cancel(void **state)
{
	struct coap_message m;
	struct coap_token o;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	o = observe_list(&b, both);
	fetch(&b, both, &m);
	m.token = o;
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 1), 0);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_null(coap_find(&b.m, COAP_OPTION_OBSERVE));
	assert_true(payload_contains(&b.m, "Etc/UTC"));
	assert_int_equal(b.device.observation_count, 0);
	advance(&b, 30 * SECOND);
	expect_silence(&b);
	observe_list(&b, both);
	advance(&b, 10 * SECOND);
	expect(&b);
	acknowledge(&b, COAP_RST);
	assert_int_equal(b.device.observation_count, 0);
	end(&b);
}

/* Of several pmin the longest holds back, of several pmax the shortest forces. */
static void test_observe_composite_periods(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.lifetime_ms = 86400 * SECOND;
	begin(&b);
	accept_register(&b);
	assert_int_equal(write_attributes(&b, "/3303", "pmin=25"), COAP_CHANGED);
	observe_list(&b, both);
	advance(&b, 24 * SECOND);
	expect_silence(&b);
	advance(&b, 2 * SECOND);
	expect(&b);
	assert_int_equal(write_attributes(&b, "/3303", "pmin&pmax=5"), COAP_CHANGED);
	assert_int_equal(write_attributes(&b, "/3", "pmax=60"), COAP_CHANGED);
	for (unsigned i = 0; i < 3; i++) {
		advance(&b, 5 * SECOND);
		expect(&b);
	}
	expect_silence(&b);
	end(&b);
}

/* An instance that goes and one that comes change what is told, and end nothing. */
static void test_observe_composite_instances(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.notify_ms = 0;
	begin(&b);
	accept_register(&b);
	observe_list(&b, "[{\"n\":\"/3/0/15\"},{\"n\":\"/3303/0/5701\"}]");
	assert_int_equal(count_records(&b.m), 2);
	m = request(&b, COAP_DELETE, "/3303/0");
	assert_int_equal(ask(&b, &m), COAP_DELETED);
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	advance(&b, 1);
	assert_int_equal(expect(&b)->code, COAP_CONTENT);
	assert_int_equal(count_records(&b.m), 1);
	m = request(&b, COAP_POST, "/3303");
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	advance(&b, 1);
	assert_int_equal(count_records(expect(&b)), 2);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_composite),
		cmocka_unit_test(test_read_composite_root),
		cmocka_unit_test(test_composite_refused),
		cmocka_unit_test(test_write_composite),
		cmocka_unit_test(test_write_composite_atomic),
		cmocka_unit_test(test_observe_composite),
		cmocka_unit_test(test_observe_composite_cancel),
		cmocka_unit_test(test_observe_composite_periods),
		cmocka_unit_test(test_observe_composite_instances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
