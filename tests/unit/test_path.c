/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Paths: text both ways, the one spelling, order and containment. */

#include "model/path.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct path path_of(const char *text)
{
	struct path p;

	if (!path_parse(span_str(text), &p))
		fail_msg("%s is no path", text);
	return p;
}

static void parses_and_formats(void **state)
{
	static const struct {
		const char *text, *formatted;
		struct path path;
	} cases[] = {
		{"", "/", {{0}, 0}},
		{"/", "/", {{0}, 0}},
		{"/3", "/3", {{3}, 1}},
		{"3", "/3", {{3}, 1}},
		{"/3/", "/3", {{3}, 1}},
		{"3/0/", "/3/0", {{3, 0}, 2}},
		{"/3303/12/5700", "/3303/12/5700", {{3303, 12, 5700}, 3}},
		{"/65534/65534/65534/65534", "/65534/65534/65534/65534", {{65534, 65534, 65534, 65534}, 4}},
		{"/0/0/0/0/", "/0/0/0/0", {{0, 0, 0, 0}, 4}},
	};
	char text[PATH_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path p = path_of(cases[i].text);

		assert_memory_equal(&p.ids, &cases[i].path.ids, sizeof(p.ids));
		assert_int_equal(p.depth, cases[i].path.depth);
		assert_string_equal(path_format(&p, text), cases[i].formatted);
	}
}

static void refuses_other_text(void **state)
{
	static const char *const cases[] = {
		"//",	       "/3//0",
		"//3",	       "/3/0//",
		"/a",	       "/3/x",
		"/3/0x",       "/-1",
		"/ 3",	       "/3 ",
		"/65535",      "/3/65536",
		"/123456",     "/1/2/3/4/5",
		"/0/0/0/0/0",  "/00",
		"/03/0",       "/3/00",
		"/0000000003", "3.0",
		"/+3",	       "/99999999999999999999",
	};
	struct path p = {{7, 7, 7, 7}, 4};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (path_parse(span_str(cases[i]), &p))
			fail_msg("%s was taken for a path", cases[i]);
	/* A failure leaves the result alone. */
	assert_int_equal(p.depth, 4);
	assert_int_equal(p.ids[0], 7);
	/* The text ends where the span ends. */
	assert_true(path_parse(span_of("/3/0xyz", 4), &p));
	assert_int_equal(p.depth, 2);
}

static void parses_what_is_below(void **state)
{
	static const struct {
		const char *base, *text, *path; /* NULL: none */
	} cases[] = {
		{"/3", "0/1", "/3/0/1"},  {"/", "3/0", "/3/0"},	       {"/3/0", "", "/3/0"},
		{"/3/0", "9/", "/3/0/9"}, {"/3/0/6", "1", "/3/0/6/1"}, {"/3", "/0", NULL},
		{"/3/0/6", "1/2", NULL},  {"/3/0/6/1", "2", NULL},     {"/3", "0//1", NULL},
		{"/3", "00", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path base = path_of(cases[i].base), out, expected;

		assert_int_equal(path_parse_below(&base, span_str(cases[i].text), &out),
				 cases[i].path != NULL);
		if (!cases[i].path)
			continue;
		expected = path_of(cases[i].path);
		assert_int_equal(path_compare(&out, &expected), 0);
	}
}

static void formats_tails(void **state)
{
	struct path p = path_of("/3/10/65534/0");
	char text[PATH_TEXT];

	(void)state;
	assert_int_equal(path_format_tail(&p, 2, text), 7);
	assert_string_equal(text, "65534/0");
	assert_int_equal(path_format_tail(&p, 3, text), 1);
	assert_string_equal(text, "0");
	assert_int_equal(path_format_tail(&p, 0, text), 12);
	assert_string_equal(text, "3/10/65534/0");
	assert_int_equal(path_format_tail(&p, 4, text), 0);
	assert_string_equal(text, "");
}

static void orders_a_prefix_first(void **state)
{
	static const char *const ascending[] = {
		"/",  "/0",	"/0/0",	    "/0/0/0", "/0/0/0/0", "/0/1",
		"/1", "/1/0/5", "/1/0/5/1", "/1/0/6", "/1/2",	  "/2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ascending); i++)
		for (size_t j = 0; j < ARRAY_SIZE(ascending); j++) {
			struct path a = path_of(ascending[i]), b = path_of(ascending[j]);
			int order = path_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void knows_what_is_within(void **state)
{
	static const struct {
		const char *path, *base;
		bool within;
	} cases[] = {
		{"/3/0/1", "/", true},	      {"/", "/", true},		 {"/3/0/1", "/3", true},
		{"/3/0/1", "/3/0/1", true},   {"/3/0", "/3/0/1", false}, {"/3/1", "/3/0", false},
		{"/33/0", "/3", false},	      {"/", "/0", false},	 {"/0", "/0/0", false},
		{"/0/0/0/1", "/0/0/0", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path p = path_of(cases[i].path), base = path_of(cases[i].base);

		assert_int_equal(path_is_within(&p, &base), cases[i].within);
	}
}

static void goes_up_and_down(void **state)
{
	struct path p = path_of("/3/7/6/5"), up = path_up_to(p, 2), expected = path_of("/3/7"), child;

	(void)state;
	assert_int_equal(path_compare(&up, &expected), 0);
	up = path_up_to(up, 4);
	assert_int_equal(path_compare(&up, &expected), 0);
	child = path_child(path_child(up, 6), 5);
	assert_int_equal(path_compare(&child, &p), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_and_formats),	 cmocka_unit_test(refuses_other_text),
		cmocka_unit_test(formats_tails),	 cmocka_unit_test(parses_what_is_below),
		cmocka_unit_test(orders_a_prefix_first), cmocka_unit_test(knows_what_is_within),
		cmocka_unit_test(goes_up_and_down),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
