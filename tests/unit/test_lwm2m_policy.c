/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Policies as data: patterns, names, bytes, and what is no policy. What follows from them is in scenarios. */

#include "lwm2m_test.h"

#include "lwm2m/policy.h"

static void patterns_match_as_globs_do(void **state)
{
	static const struct {
		const char *pattern, *endpoint;
		bool matches;
	} cases[] = {
		{"*", "", true},	  {"*", "a", true},
		{"", "", true},		  {"", "a", false},
		{"a", "a", true},	  {"a", "b", false},
		{"a*", "abc", true},	  {"*c", "abc", true},
		{"*b*", "abc", true},	  {"a?c", "abc", true},
		{"a?c", "ac", false},	  {"?", "", false},
		{"a*c*e", "abcde", true}, {"a*c*e", "abcdef", false},
		{"*ab", "aab", true},	  {"*aab", "aaaab", true},
		{"**a**", "bab", true},	  {"sensor-*", "sensor-1", true},
		{"a*", "ba", false},	  {"urn:imei:*", "urn:", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(policy_matches(span_str(cases[i].pattern), span_str(cases[i].endpoint)),
				 cases[i].matches);
}

/* A pattern that takes its time to fail in a naive matcher. */
static void a_pattern_costs_no_more_than_its_length(void **state)
{
	char pattern[POLICY_PATTERN_MAX], endpoint[255];

	(void)state;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 ? 'a' : '*';
	memset(endpoint, 'a', sizeof(endpoint));
	endpoint[254] = 'b';
	pattern[254] = 'c';
	assert_false(policy_matches(span_of(pattern, sizeof(pattern)), span_of(endpoint, sizeof(endpoint))));
}

static void names_are_plain(void **state)
{
	(void)state;
	assert_true(policy_name_valid(span_str("Temp_1.x-y")));
	assert_false(policy_name_valid(span_str("")));
	assert_false(policy_name_valid(span_str("a/b")));
	assert_false(policy_name_valid(span_str("a b")));
	assert_false(policy_name_valid(
		span_str("12345678901234567890123456789012345678901234567890123456789012345")));
}

static struct policy example(void)
{
	return (struct policy){.pattern = span_str("sensor-*"),
			       .attributes = span_str("pmin=5"),
			       .format = FORMAT_SENML_CBOR,
			       .path_count = 2,
			       .composite_count = 2,
			       .paths = {{{3303, 0, 5700}, 3}, {{3, 0}, 2}},
			       .composite = {{{3, 0, 1}, 3}, {{1}, 1}}};
}

static void a_policy_is_read_as_it_was_written(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(1024);
	struct policy p = example(), back;

	(void)state;
	assert_int_equal(policy_encode(&p, &out), 0);
	assert_int_equal(policy_decode(buffer_span(&out), &back), 0);
	assert_true(span_is(back.pattern, "sensor-*") && span_is(back.attributes, "pmin=5"));
	assert_int_equal(back.format, FORMAT_SENML_CBOR);
	assert_int_equal(back.path_count, 2);
	assert_int_equal(path_compare(&back.composite[1], &p.composite[1]), 0);
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(policy_decode(span_of(out.data, len), &back), -EPROTO);
	out.data[0]++;
	assert_int_equal(policy_decode(buffer_span(&out), &back), -EPROTO);
}

static void what_is_no_policy_is_refused_with_words(void **state)
{
	struct policy p;
	char words[160];

	(void)state;
	p = example();
	assert_null(policy_check(&p, words));
	p.path_count = p.composite_count = 0;
	assert_non_null(strstr(policy_check(&p, words), "observes nothing"));
	p = example();
	p.paths[1] = (struct path){0};
	assert_non_null(strstr(policy_check(&p, words), "root"));
	p = example();
	p.attributes = span_str("dim=3");
	assert_non_null(strstr(policy_check(&p, words), "/3303/0/5700: "));
	p = example();
	p.path_count = 0;
	assert_non_null(strstr(policy_check(&p, words), "single paths"));
}

static void a_server_keeps_its_policies_within_bounds(void **state)
{
	_cleanup_buffer_ struct buffer body = buffer_of(1024);
	struct bench *b = bench_new();
	struct policy p = example();
	char name[16];

	(void)state;
	assert_int_equal(policy_encode(&p, &body), 0);
	assert_int_equal(lwm2m_policy_set(b->server, span_str("x"), span_str("no policy")), -EPROTO);
	for (int i = 0; i < POLICIES_MAX; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(lwm2m_policy_set(b->server, span_str(name), buffer_span(&body)), 0);
	}
	assert_int_equal(lwm2m_policy_set(b->server, span_str("x"), buffer_span(&body)), -ENOSPC);
	assert_false(lwm2m_policy_fits(b->server, span_str("x")));
	assert_true(lwm2m_policy_fits(b->server, span_str("p0")));
	assert_int_equal(lwm2m_policy_set(b->server, span_str("p0"), buffer_span(&body)), 0);
	/* A bad one leaves the one before as it was. */
	assert_int_equal(lwm2m_policy_set(b->server, span_str("p0"), span_str("no policy")), -EPROTO);
	lwm2m_policy_drop(b->server, span_str("p1"));
	assert_int_equal(lwm2m_policy_set(b->server, span_str("x"), buffer_span(&body)), 0);
	/* All but those that are named again go. */
	lwm2m_policies_begin(b->server);
	assert_int_equal(lwm2m_policy_set(b->server, span_str("p0"), buffer_span(&body)), 0);
	lwm2m_policies_end(b->server);
	for (int i = 0; i < POLICIES_MAX - 1; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(lwm2m_policy_set(b->server, span_str(name), buffer_span(&body)), 0);
	}
	assert_int_equal(lwm2m_policy_set(b->server, span_str("y"), buffer_span(&body)), -ENOSPC);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_globs_do),
		cmocka_unit_test(a_pattern_costs_no_more_than_its_length),
		cmocka_unit_test(names_are_plain),
		cmocka_unit_test(a_policy_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_policy_is_refused_with_words),
		cmocka_unit_test(a_server_keeps_its_policies_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
