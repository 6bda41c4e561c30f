/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Values: names of types, text of numbers, UTF-8, lossless conversion, and lists of records. */

#include "model/value.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/random.h"

#define INTEGER(n) ((struct value){.type = VALUE_INTEGER, .integer = (n)})
#define UNSIGNED(n) ((struct value){.type = VALUE_UNSIGNED, .unsigned_ = (n)})
#define TIME(n) ((struct value){.type = VALUE_TIME, .integer = (n)})
#define REAL(n) ((struct value){.type = VALUE_FLOAT, .real = (n)})
#define BOOLEAN(b) ((struct value){.type = VALUE_BOOLEAN, .boolean = (b)})
#define STRING(s) ((struct value){.type = VALUE_STRING, .bytes = {(const uint8_t *)(s), sizeof(s) - 1}})
#define CORELNK(s) ((struct value){.type = VALUE_CORELNK, .bytes = {(const uint8_t *)(s), sizeof(s) - 1}})
#define OPAQUE(s) ((struct value){.type = VALUE_OPAQUE, .bytes = {(const uint8_t *)(s), sizeof(s) - 1}})
#define LINK(o, i) ((struct value){.type = VALUE_OBJLNK, .link = {(o), (i)}})
#define NOTHING ((struct value){.type = VALUE_NONE})

static void names_types(void **state)
{
	(void)state;
	for (enum value_type t = VALUE_NONE; t < VALUE_TYPES; t++)
		assert_int_equal(value_type_find(span_str(value_type_name(t))), t);
	assert_string_equal(value_type_name(VALUE_UNSIGNED), "UNSIGNED_INTEGER");
	assert_string_equal(value_type_name(VALUE_CORELNK), "CORELINK");
	assert_string_equal(value_type_name(VALUE_OBJLNK), "OBJLNK");
	assert_int_equal(value_type_find(span_str("unsigned_Integer")), VALUE_UNSIGNED);
	assert_int_equal(value_type_find(span_str("Unsigned Integer")), VALUE_UNSIGNED);
	assert_int_equal(value_type_find(span_str("corelnk")), VALUE_CORELNK);
	assert_int_equal(value_type_find(span_str("string")), VALUE_STRING);
	assert_int_equal(value_type_find(span_str("strin")), VALUE_NONE);
	assert_int_equal(value_type_find(span_str("strings")), VALUE_NONE);
	assert_int_equal(value_type_find(span_str("")), VALUE_NONE);
}

static void formats_numbers(void **state)
{
	const struct {
		struct value value;
		const char *text;
	} cases[] = {
		{INTEGER(0), "0"},
		{INTEGER(INT64_MIN), "-9223372036854775808"},
		{UNSIGNED(UINT64_MAX), "18446744073709551615"},
		{TIME(1367491215), "1367491215"},
		{BOOLEAN(true), "1"},
		{BOOLEAN(false), "0"},
		{LINK(66, 65535), "66:65535"},
		{REAL(22.4), "22.4"},
		{REAL(22), "22.0"},
		{REAL(-0.0), "-0.0"},
		{REAL(0.1), "0.1"},
		{REAL(1.0 / 3), "0.3333333333333333"},
		{REAL(0.1 + 0.2), "0.30000000000000004"},
		{REAL(1e300), "1e+300"},
		{REAL(5e-324), "5e-324"},
		{REAL(123456789012345680.0), "1.2345678901234568e+17"},
		{REAL(INFINITY), ""},
		{REAL(NAN), ""},
		{STRING("5"), ""},
		{OPAQUE("5"), ""},
		{NOTHING, ""},
	};
	char text[VALUE_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = value_format(&cases[i].value, text);

		assert_int_equal(len, strlen(cases[i].text));
		assert_memory_equal(text, cases[i].text, len);
	}
}

static void floats_survive_their_text(void **state)
{
	struct random random;
	char text[VALUE_TEXT];

	(void)state;
	random_init_seed(&random, 7);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t bits = random_u64(&random);
		struct value real = {.type = VALUE_FLOAT}, back;
		size_t len;

		memcpy(&real.real, &bits, sizeof(bits));
		if (!isfinite(real.real))
			continue;
		len = value_format(&real, text);
		back = (struct value){.type = VALUE_STRING, .bytes = span_of(text, len)};
		assert_true(value_coerce(&back, VALUE_FLOAT, NULL));
		assert_memory_equal(&back.real, &real.real, sizeof(real.real));
	}
}

static void compares_values(void **state)
{
	struct value a = LINK(3, 0), b = LINK(3, 1), c = INTEGER(1), d = TIME(1);
	struct value nan = REAL(NAN), x = STRING("a"), y = STRING("a"), z = STRING("b");

	(void)state;
	assert_true(value_equal(&a, &a));
	assert_false(value_equal(&a, &b));
	assert_false(value_equal(&c, &d));
	assert_true(value_equal(&nan, &nan));
	assert_true(value_equal(&x, &y));
	assert_false(value_equal(&x, &z));
	a = BOOLEAN(true);
	b = BOOLEAN(false);
	assert_false(value_equal(&a, &b));
	a = UNSIGNED(1);
	b = UNSIGNED(2);
	assert_false(value_equal(&a, &b));
	a = b = NOTHING;
	assert_true(value_equal(&a, &b));
	a = INTEGER(2);
	assert_false(value_equal(&a, &c));
}

static void tells_utf8(void **state)
{
	static const struct {
		const char *bytes;
		bool valid;
	} cases[] = {
		{"", true},
		{"plain ascii of more than eight bytes", true},
		{"K\xC3\xB6ln", true},
		{"eight by\xE2\x82\xAC", true},
		{"\xF0\x9F\x90\x9F", true},
		{"\xF4\x8F\xBF\xBF", true},
		{"\xED\x9F\xBF", true},
		{"\xEE\x80\x80", true},
		{"\x80", false},
		{"K\xF6ln", false},
		{"\xC3", false},
		{"\xC3\x28", false},
		{"\xC0\x80", false},
		{"\xC1\xBF", false},
		{"\xE0\x9F\xBF", false},
		{"\xE2\x82", false},
		{"\xE2\x28\xA1", false},
		{"\xE2\x82\x28", false},
		{"\xED\xA0\x80", false},
		{"\xF0\x8F\xBF\xBF", false},
		{"\xF4\x90\x80\x80", false},
		{"\xF5\x80\x80\x80", false},
		{"\xFF", false},
		{"abcdefgh\xFF", false},
		{"abcdefg\xFF", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (utf8_valid(span_str(cases[i].bytes)) != cases[i].valid)
			fail_msg("case %zu", i);
	assert_true(utf8_valid(span_of("a\0b", 3)));
}

struct conversion {
	struct value from, to;
	bool kept;
};

static void check_conversions(const struct conversion *cases, size_t count)
{
	_cleanup_arena_ struct arena arena;

	arena_init(&arena, 65536);
	for (size_t i = 0; i < count; i++) {
		struct value v = cases[i].from;
		bool kept = value_coerce(&v, cases[i].to.type, &arena);

		if (kept != cases[i].kept)
			fail_msg("case %zu: %d", i, kept);
		if (!value_equal(&v, kept ? &cases[i].to : &cases[i].from))
			fail_msg("case %zu: wrong value", i);
	}
}

static void converts_numbers(void **state)
{
	const struct conversion cases[] = {
		{INTEGER(5), UNSIGNED(5), true},
		{INTEGER(-5), UNSIGNED(0), false},
		{INTEGER(INT64_MIN), REAL(-0x1p63), true},
		{INTEGER(INT64_MAX), REAL(0), false},
		{INTEGER((1LL << 53) + 1), REAL(0), false},
		{INTEGER(-7), TIME(-7), true},
		{INTEGER(1), BOOLEAN(true), true},
		{INTEGER(0), BOOLEAN(false), true},
		{INTEGER(2), BOOLEAN(false), false},
		{INTEGER(-1), BOOLEAN(false), false},
		{UNSIGNED(UINT64_MAX), INTEGER(0), false},
		{UNSIGNED(INT64_MAX), INTEGER(INT64_MAX), true},
		{UNSIGNED((uint64_t)INT64_MAX + 1), INTEGER(0), false},
		{UNSIGNED(UINT64_MAX), REAL(0), false},
		{UNSIGNED(1ULL << 63), REAL(0x1p63), true},
		{UNSIGNED(1), BOOLEAN(true), true},
		{REAL(3000), INTEGER(3000), true},
		{REAL(3000.5), INTEGER(0), false},
		{REAL(-0x1p63), INTEGER(INT64_MIN), true},
		{REAL(0x1p63), INTEGER(0), false},
		{REAL(0x1p63), UNSIGNED(1ULL << 63), true},
		{REAL(0x1p64), UNSIGNED(0), false},
		{REAL(-1), UNSIGNED(0), false},
		{REAL(NAN), INTEGER(0), false},
		{REAL(INFINITY), UNSIGNED(0), false},
		{REAL(-INFINITY), TIME(0), false},
		{REAL(1), BOOLEAN(true), true},
		{REAL(1e10), TIME(10000000000), true},
		{BOOLEAN(true), INTEGER(1), true},
		{BOOLEAN(false), REAL(0), true},
		{TIME(1367491215), INTEGER(1367491215), true},
		{TIME(-1), UNSIGNED(0), false},
		{INTEGER(1), LINK(0, 0), false},
		{INTEGER(1), OPAQUE(""), false},
		{INTEGER(1), NOTHING, false},
		{NOTHING, INTEGER(0), false},
		{NOTHING, STRING(""), false},
		{LINK(3, 0), INTEGER(0), false},
	};

	(void)state;
	check_conversions(cases, ARRAY_SIZE(cases));
}

static void converts_text(void **state)
{
	const struct conversion cases[] = {
		{STRING("42"), INTEGER(42), true},
		{STRING("-42"), INTEGER(-42), true},
		{STRING("+42"), INTEGER(42), true},
		{STRING("3e3"), INTEGER(3000), true},
		{STRING("3.50e1"), INTEGER(35), true},
		{STRING("3000.000"), INTEGER(3000), true},
		{STRING("1.00000000000000000000000000000000"), INTEGER(1), true},
		{STRING("300e-2"), INTEGER(3), true},
		{STRING("3.5"), INTEGER(0), false},
		{STRING("3e-1"), INTEGER(0), false},
		{STRING("0e999999999999"), INTEGER(0), true},
		{STRING("1e999999999999"), INTEGER(0), false},
		{STRING("9007199254740993.0"), INTEGER(9007199254740993), true},
		{STRING("-9223372036854775808"), INTEGER(INT64_MIN), true},
		{STRING("9223372036854775808"), INTEGER(0), false},
		{STRING("18446744073709551615"), UNSIGNED(UINT64_MAX), true},
		{STRING("18446744073709551616"), UNSIGNED(0), false},
		{STRING("1.8446744073709551615e19"), UNSIGNED(UINT64_MAX), true},
		{STRING("-0"), UNSIGNED(0), true},
		{STRING("1367491215"), TIME(1367491215), true},
		{STRING("22.4"), REAL(22.4), true},
		{STRING("-1.5E-3"), REAL(-0.0015), true},
		{STRING(".5"), REAL(0.5), true},
		{STRING("5."), REAL(5), true},
		{STRING("1e999"), REAL(0), false},
		{STRING("nan"), REAL(0), false},
		{STRING("inf"), REAL(0), false},
		{STRING("0x10"), REAL(0), false},
		{STRING(""), INTEGER(0), false},
		{STRING("."), REAL(0), false},
		{STRING("-"), INTEGER(0), false},
		{STRING("1e"), INTEGER(0), false},
		{STRING("1e+"), INTEGER(0), false},
		{STRING("1 "), INTEGER(0), false},
		{STRING(" 1"), INTEGER(0), false},
		{STRING("1\0"
			"1"),
		 INTEGER(0), false},
		{STRING("1"), BOOLEAN(true), true},
		{STRING("0"), BOOLEAN(false), true},
		{STRING("true"), BOOLEAN(true), true},
		{STRING("false"), BOOLEAN(false), true},
		{STRING("yes"), BOOLEAN(false), false},
		{STRING("2"), BOOLEAN(false), false},
		{STRING("66:0"), LINK(66, 0), true},
		{STRING("65535:65535"), LINK(65535, 65535), true},
		{STRING("FFFF:ffff"), LINK(65535, 65535), true},
		{STRING("65536:0"), LINK(0, 0), false},
		{STRING("66"), LINK(0, 0), false},
		{STRING("66:"), LINK(0, 0), false},
		{STRING(":66"), LINK(0, 0), false},
		{STRING("1:2:3"), LINK(0, 0), false},
		{STRING(""), LINK(0, 0), false},
		{STRING("</3/0>"), CORELNK("</3/0>"), true},
		{CORELNK("</3/0>"), STRING("</3/0>"), true},
		{OPAQUE("K\xC3\xB6ln"), STRING("K\xC3\xB6ln"), true},
		{OPAQUE("K\xF6ln"), STRING(""), false},
		{STRING("abc"), OPAQUE("abc"), false},
		{INTEGER(-5), STRING("-5"), true},
		{UNSIGNED(UINT64_MAX), STRING("18446744073709551615"), true},
		{REAL(1.5), STRING("1.5"), true},
		{REAL(NAN), STRING(""), false},
		{LINK(3, 0), STRING("3:0"), true},
		{BOOLEAN(true), STRING(""), false},
	};
	struct value v = INTEGER(5);

	(void)state;
	check_conversions(cases, ARRAY_SIZE(cases));
	assert_false(value_coerce(&v, VALUE_STRING, NULL));
}

static struct record record_of(const char *path, int64_t n)
{
	struct record r = {.value = INTEGER(n)};

	assert_true(path_parse(span_str(path), &r.path));
	return r;
}

static void collects_records(void **state)
{
	_cleanup_arena_ struct arena arena;
	struct records list;
	int rc = 0;

	(void)state;
	arena_init(&arena, 100 * sizeof(struct record));
	list = records_of(&arena);
	for (int64_t i = 0; rc == 0 && i < 1000; i++) {
		struct record r = record_of("/3/0/9", i);

		rc = records_add(&list, &r);
	}
	assert_int_equal(rc, -ENOMEM);
	assert_true(list.count >= 32 && list.count < 100);
	for (size_t i = 0; i < list.count; i++)
		assert_int_equal(list.items[i].value.integer, (int64_t)i);
}

static void sorts_records(void **state)
{
	static const struct {
		const char *path;
		int64_t time_ms; /* 0: untimed */
		int64_t n;
	} unsorted[] = {
		{"/3/0/9", 0, 8}, {"/3/0/9", 2000, 6}, {"/3/0/1", 0, 2},    {"/3/0/9", 1000, 4},
		{"/3/0", 0, 1},	  {"/3/0/9", 0, 9},    {"/3/0/9", 1000, 5}, {"/3/0/10", 0, 10},
		{"/3/0/1", 0, 3}, {"/3/0/9", 3000, 7},
	};
	_cleanup_arena_ struct arena arena;
	struct records list;

	(void)state;
	arena_init(&arena, 65536);
	list = records_of(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(unsorted); i++) {
		struct record r = record_of(unsorted[i].path, unsorted[i].n);

		r.timed = unsorted[i].time_ms != 0;
		r.time_ms = unsorted[i].time_ms;
		assert_int_equal(records_add(&list, &r), 0);
	}
	records_sort(&list);
	for (size_t i = 0; i < list.count; i++)
		assert_int_equal(list.items[i].value.integer, (int64_t)i + 1);
	records_sort(&list);
	for (size_t i = 0; i < list.count; i++)
		assert_int_equal(list.items[i].value.integer, (int64_t)i + 1);
	list = records_of(&arena);
	records_sort(&list);
	assert_int_equal(list.count, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_types),	   cmocka_unit_test(formats_numbers),
		cmocka_unit_test(compares_values), cmocka_unit_test(floats_survive_their_text),
		cmocka_unit_test(tells_utf8),	   cmocka_unit_test(converts_numbers),
		cmocka_unit_test(converts_text),   cmocka_unit_test(collects_records),
		cmocka_unit_test(sorts_records),
	};

	return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
