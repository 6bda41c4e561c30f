/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Text for terminals: what a device says must not command them; tables; times. */

#include "base/random.h"
#include "cli/table.h"
#include "cli/text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

static void test_safe(void **state)
{
	static const struct {
		const char *raw, *safe;
	} cases[] = {
		{"", ""},
		{"plain text", "plain text"},
		{"Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x90\x9f",
		 "Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x90\x9f"},
		{"\x1b[2J", "\\x1b[2J"},
		{"a\nb\tc\rd", "a\\nb\\tc\\x0d"
			       "d"},
		{"\x7f", "\\x7f"},
		{"\xc2\x9b"
		 "31m",
		 "\\u{9b}31m"}, /* C1: another escape */
		{"\xe2\x80\xae"
		 "abc",
		 "\\u{202e}abc"}, /* right-to-left override */
		{"\xe2\x80\x8b", "\\u{200b}"},
		{"\xff\xfe", "\\xff\\xfe"},
		{"\xc3", "\\xc3"},
		{"\xc0\xaf", "\\xc0\\xaf"}, /* overlong */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
		{"\xf0\x82\x82\xac", "\\xf0\\x82\\x82\\xac"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
		{"\xe2\x82", "\\xe2\\x82"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *safe = text_safe(cases[i].raw);

		assert_string_equal(safe, cases[i].safe);
		free(safe);
	}
}

/* Whatever comes in, what comes out is printable, and the same when made safe again (but for backslashes). */
static void test_safe_garbage(void **state)
{
	struct random random;
	char raw[64];

	(void)state;
	random_init_seed(&random, 3);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = random_u32(&random) % (sizeof(raw) - 1);
		char *safe, *again;

		random_fill(&random, raw, len);
		raw[len] = '\0';
		safe = text_safe(raw);
		for (const char *c = safe; *c; c++)
			assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
		again = text_safe(safe);
		assert_string_equal(again, safe);
		free(safe);
		free(again);
	}
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("Z\xc3\xbcrich"), 6);
	assert_int_equal(text_fit("abcdef", 4), 4);
	assert_int_equal(text_fit("\xc3\xbc\xc3\xbc\xc3\xbc", 2), 4);
	assert_int_equal(text_fit("ab", 10), 2);
	if (setlocale(LC_CTYPE, "C.UTF-8")) {
		assert_int_equal(text_width("\xe6\xb0\xb4\xe6\xb0\xb4"), 4); /* two columns each */
		assert_int_equal(text_fit("\xe6\xb0\xb4\xe6\xb0\xb4", 3), 3);
		assert_int_equal(text_width("e\xcc\x81"), 1); /* a combining accent takes none */
	}
}

static void test_encoded(void **state)
{
	struct buffer out = buffer_of(1000);

	(void)state;
	text_add_encoded(&out, span_str("urn:dev:a/b c%\xc3\xbc..~_-"));
	assert_string_equal((const char *)out.data, "urn%3Adev%3Aa%2Fb%20c%25%C3%BC..~_-");
	buffer_deinit(&out);
}

static void test_durations(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0ms"},	  {250, "250ms"},     {1000, "1s"},	  {90000, "90s"},
		{60000, "1m"},	  {300000, "5m"},     {3600000, "1h"},	  {5400000, "90m"},
		{86400000, "1d"}, {129600000, "36h"}, {864000000, "10d"},
	};
	char text[TEXT_TIME];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(text_duration(cases[i].ms, text), cases[i].text);
	assert_string_equal(text_ago(10000, 10500, text), "just now");
	assert_string_equal(text_ago(10000, 22999, text), "12s ago");
	assert_string_equal(text_ago(22000, 10000, text), "in 12s");
}

static void test_durations_of_people(void **state)
{
	static const char *const wrong[] = {"", "s", "5", "0s", "-1h", "1w", "1.5h", "h1", "36501d", "12h "};
	uint64_t ms;

	(void)state;
	assert_true(text_parse_duration("90s", &ms) && ms == 90000);
	assert_true(text_parse_duration("12h", &ms) && ms == 12 * 3600000);
	assert_true(text_parse_duration("36500d", &ms) && ms == 36500ULL * 86400000);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(text_parse_duration(wrong[i], &ms));
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2024-02-29T12:34:56Z", 1709210096000},
		{"2024-02-29T12:34:56.5Z", 1709210096500},
		{"2024-02-29T12:34:56.1239Z", 1709210096123},
		{"2024-02-29T13:34:56+01:00", 1709210096000},
		{"2024-02-29T10:04:56-02:30", 1709210096000},
		{"1709210096", 1709210096000},
		{"-1", -1000},
		{"0", 0},
	};
	static const char *const bad[] = {"",
					  " 5",
					  "now",
					  "2024-02-29",
					  "2024-02-29T12:34:56",
					  "2024-02-29T12:34:56+1",
					  "2024-13-01T00:00:00Z",
					  "5s",
					  "99999999999999999999"};
	char text[TEXT_TIME];
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(text_parse_time(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (text_parse_time(bad[i], &ms))
			fail_msg("\"%s\" is taken for a time", bad[i]);
	assert_string_equal(text_utc(1709210096000, text), "2024-02-29T12:34:56Z");
	assert_string_equal(text_utc(1709210096007, text), "2024-02-29T12:34:56.007Z");
	assert_string_equal(text_utc(-1, text), "1969-12-31T23:59:59.999Z");
	text_utc(INT64_MAX, text); /* any number of a device */
	text_utc(INT64_MIN, text);
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(text_clock(1709210096000, text), "12:34:56");
}

static void print(const struct table *t, size_t width, char *text, size_t size)
{
	FILE *to = fmemopen(text, size, "w");

	assert_non_null(to);
	table_print(t, to, width);
	fclose(to);
}

static void test_table(void **state)
{
	static const char *const titles[] = {"NAME", "N", "REST"};
	struct table t;
	char text[1024];

	(void)state;
	table_init(&t, 3, titles);
	table_add(&t, "Z\xc3\xbcrich");
	table_printf(&t, "%d", 12345);
	table_add(&t, "a long text at the end");
	table_add(&t, "x\x1b");
	table_add(&t, "");
	table_add(&t, "short");
	print(&t, 0, text, sizeof(text));
	assert_string_equal(text, "NAME    N      REST\n"
				  "Z\xc3\xbcrich  12345  a long text at the end\n"
				  "x\\x1b          short\n");
	print(&t, 29, text, sizeof(text));
	assert_string_equal(text, "NAME    N      REST\n"
				  "Z\xc3\xbcrich  12345  a long text...\n"
				  "x\\x1b          short\n");
	/* However narrow the terminal, something of the last column is there. */
	print(&t, 5, text, sizeof(text));
	assert_non_null(strstr(text, "12345  a lon...\n"));
	table_deinit(&t);
}

static void test_table_without_rows(void **state)
{
	static const char *const titles[] = {"A", "B"};
	struct table t;
	char text[64];

	(void)state;
	table_init(&t, 2, titles);
	print(&t, 0, text, sizeof(text));
	assert_string_equal(text, "A  B\n");
	table_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_safe_garbage),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_encoded),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_durations_of_people),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_without_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
