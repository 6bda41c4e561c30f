/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* LwM2M data to NODE and back, with the text forms of values that both sides rely on. */

#include "http/node_json.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/float_text.h"
#include "http/node_input.h"

static struct arena arena;
static struct buffer out;
static struct json json;
static struct registry *registry;
static struct model model;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 1024 * 1024);
	out = buffer_of(1024 * 1024);
	json = json_to(&out);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_deinit(&arena);
	buffer_deinit(&out);
	return 0;
}

static int set_up_group(void **state)
{
	(void)state;
	registry = registry_new();
	model = (struct model){.registry = registry, .lwm2m = {1, 1}};
	return registry ? 0 : -1;
}

static int tear_down_group(void **state)
{
	(void)state;
	registry = registry_free(registry);
	return 0;
}

static struct path path(const char *text)
{
	struct path p;

	assert_true(path_parse(span_str(text), &p));
	return p;
}

/* What was written so far; the buffer is empty behind it. */
static const char *written(void)
{
	static char text[65536];

	assert_false(out.failed);
	assert_true(out.len < sizeof(text));
	memcpy(text, out.data, out.len);
	text[out.len] = 0;
	out.len = 0;
	json.comma = false;
	return text;
}

/* ---- JSON ---- */

static void escapes_strings(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *expected;
	} cases[] = {
		{"plain", 5, "\"plain\""},
		{"", 0, "\"\""},
		{"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
		{"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
		{"\0\x01\x1F", 3, "\"\\u0000\\u0001\\u001F\""},
		{"\x7F", 1, "\"\x7F\""},
		{"gr\xC3\xBCn", 5, "\"gr\xC3\xBCn\""},
		/* the first and last of each length */
		{"\xC2\x80\xDF\xBF", 4, "\"\xC2\x80\xDF\xBF\""},
		{"\xE0\xA0\x80\xEF\xBF\xBF", 6, "\"\xE0\xA0\x80\xEF\xBF\xBF\""},
		{"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8, "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""},
		{"\xE2\x82\xAC\xF0\x9F\x98\x80", 7, "\"\xE2\x82\xAC\xF0\x9F\x98\x80\""},
		/* not UTF-8: stray, cut off, overlong, surrogate, too large */
		{"a\xFFz", 3, "\"a\xEF\xBF\xBDz\""},
		{"\xC3", 1, "\"\xEF\xBF\xBD\""},
		{"\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
		{"\xE0\x80\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
		{"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
		{"\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
		{"\xE2\x82", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_text(&json, span_of(cases[i].bytes, cases[i].len));
		assert_string_equal(written(), cases[i].expected);
	}
}

static void sets_commas(void **state)
{
	(void)state;
	json_open(&json, '{');
	json_member_uint(&json, "a", UINT64_MAX);
	json_key(&json, "b");
	json_open(&json, '[');
	json_open(&json, '{');
	json_close(&json, '}');
	json_nil(&json);
	json_int(&json, INT64_MIN);
	json_hex(&json, span_of("\x0A\xFF", 2));
	json_close(&json, ']');
	json_member_bool(&json, "c", false);
	json_key(&json, "d");
	json_text_pair(&json, span_str("/x"), span_str("/"));
	json_close(&json, '}');
	assert_string_equal(written(),
			    "{\"a\":18446744073709551615,\"b\":[{},null,-9223372036854775808,\"0aff\"],"
			    "\"c\":false,\"d\":\"/x/\"}");
}

/* ---- floats ---- */

static void spells_floats_as_java_does(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{0.0, "0.0"},
		{-0.0, "-0.0"},
		{1.0, "1.0"},
		{-1.0, "-1.0"},
		{42.0, "42.0"},
		{100.0, "100.0"},
		{22.5, "22.5"},
		{0.1, "0.1"},
		{0.3, "0.3"},
		{1.0 / 3, "0.3333333333333333"},
		{2.0 / 3, "0.6666666666666666"},
		{123456.789, "123456.789"},
		{1234567.0, "1234567.0"},
		{9999999.0, "9999999.0"},
		{9999999.999999998, "9999999.999999998"},
		{1.0E7, "1.0E7"},
		{1.2345678E7, "1.2345678E7"},
		{1.234567E8, "1.234567E8"},
		{-1.234567E8, "-1.234567E8"},
		{1.0E10, "1.0E10"},
		{1.0E21, "1.0E21"},
		{2.0E23, "2.0E23"},
		{1.0E23, "1.0E23"},
		{0.001, "0.001"},
		{0.00123, "0.00123"},
		{0.0012345678901234, "0.0012345678901234"},
		{9.99E-4, "9.99E-4"},
		{0.0001, "1.0E-4"},
		{1.0E-9, "1.0E-9"},
		{1.5E-10, "1.5E-10"},
		{(double)0.1f, "0.10000000149011612"},
		{(double)21.6f, "21.600000381469727"},
		{9007199254740993.0, "9.007199254740992E15"},
		{DBL_MAX, "1.7976931348623157E308"},
		{-DBL_MAX, "-1.7976931348623157E308"},
		{DBL_MIN, "2.2250738585072014E-308"},
		{4.9406564584124654e-324, "4.9E-324"},
		{9.8813129168249309e-324, "9.9E-324"},
		{NAN, "NaN"},
		{INFINITY, "Infinity"},
		{-INFINITY, "-Infinity"},
	};
	char text[FLOAT_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(float_text(cases[i].value, text), cases[i].text);
}

static void floats_read_back_as_the_same(void **state)
{
	uint64_t bits = 1;
	char text[FLOAT_TEXT];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		double v;

		bits = bits * 6364136223846793005u + 1442695040888963407u;
		memcpy(&v, &bits, sizeof(v));
		if (!isfinite(v))
			continue;
		assert_true(strlen(float_text(v, text)) < FLOAT_TEXT);
		assert_true(strtod(text, NULL) == v);
	}
}

/* ---- out ---- */

#define RECORD(p, ...)                                \
	{                                             \
		.path = path(p), .value = __VA_ARGS__ \
	}
#define STRING(s)                                                                 \
	{                                                                         \
		.type = VALUE_STRING, .bytes = {(const uint8_t *)(s), strlen(s) } \
	}
#define INTEGER(n)                                    \
	{                                             \
		.type = VALUE_INTEGER, .integer = (n) \
	}
#define REAL(n)                                  \
	{                                        \
		.type = VALUE_FLOAT, .real = (n) \
	}
#define NOTHING                    \
	{                          \
		.type = VALUE_NONE \
	}

static const char *node(const char *at, const struct record *items, size_t count)
{
	struct path p = path(at);

	assert_int_equal(node_json(&json, &model, &p, items, count), 0);
	return written();
}

static void no_node(const char *at, const struct record *items, size_t count)
{
	struct path p = path(at);

	assert_int_equal(node_json(&json, &model, &p, items, count), -ENOENT);
	assert_int_equal(out.len, 0);
}

static void writes_each_kind_of_node(void **state)
{
	const struct record single[] = {RECORD("/3/0/1", STRING("abc"))};
	const struct record multiple[] = {RECORD("/3/0/6/0", INTEGER(1)), RECORD("/3/0/6/1", INTEGER(5))};
	const struct record instance[] = {RECORD("/3/0/1", STRING("abc")), RECORD("/3/0/6/0", INTEGER(1)),
					  RECORD("/3/0/6/1", INTEGER(5)), RECORD("/3/0/9", INTEGER(100))};
	const struct record object[] = {RECORD("/3303/0/5700", REAL(21.5)), RECORD("/3303/2/5700", REAL(-3))};

	(void)state;
	assert_string_equal(node("/3/0/1", single, 1),
			    "{\"kind\":\"singleResource\",\"id\":1,\"type\":\"STRING\",\"value\":\"abc\"}");
	assert_string_equal(node("/3/0/6", multiple, 2), "{\"kind\":\"multiResource\",\"values\":{\"0\":"
							 "\"1\",\"1\":\"5\"},\"id\":6,\"type\":\"INTEGER\"}");
	assert_string_equal(node("/3/0/6/1", multiple, 2),
			    "{\"kind\":\"resourceInstance\",\"id\":1,\"type\":\"INTEGER\",\"value\":\"5\"}");
	assert_string_equal(
		node("/3/0", instance, 4),
		"{\"kind\":\"instance\",\"resources\":["
		"{\"kind\":\"singleResource\",\"id\":1,\"type\":\"STRING\",\"value\":\"abc\"},"
		"{\"kind\":\"multiResource\",\"values\":{\"0\":\"1\",\"1\":\"5\"},\"id\":6,\"type\":"
		"\"INTEGER\"},"
		"{\"kind\":\"singleResource\",\"id\":9,\"type\":\"INTEGER\",\"value\":\"100\"}],\"id\":0}");
	assert_string_equal(node("/3303", object, 2),
			    "{\"instances\":["
			    "{\"kind\":\"instance\",\"resources\":[{\"kind\":\"singleResource\",\"id\":5700,"
			    "\"type\":\"FLOAT\","
			    "\"value\":\"21.5\"}],\"id\":0},"
			    "{\"kind\":\"instance\",\"resources\":[{\"kind\":\"singleResource\",\"id\":5700,"
			    "\"type\":\"FLOAT\","
			    "\"value\":\"-3.0\"}],\"id\":2}],\"kind\":\"obj\",\"id\":3303}");
}

static void writes_each_type_of_value(void **state)
{
	static const struct {
		struct value value;
		const char *text;
	} cases[] = {
		{{.type = VALUE_STRING, .bytes = {(const uint8_t *)"a\"b", 3}}, "\"a\\\"b\""},
		{{.type = VALUE_INTEGER, .integer = INT64_MIN}, "\"-9223372036854775808\""},
		{{.type = VALUE_UNSIGNED, .unsigned_ = UINT64_MAX}, "\"18446744073709551615\""},
		{{.type = VALUE_FLOAT, .real = 1.0E-9}, "\"1.0E-9\""},
		{{.type = VALUE_FLOAT, .real = NAN}, "\"NaN\""},
		{{.type = VALUE_BOOLEAN, .boolean = true}, "true"},
		{{.type = VALUE_BOOLEAN, .boolean = false}, "false"},
		{{.type = VALUE_OPAQUE, .bytes = {(const uint8_t *)"\x00\xAB", 2}}, "\"00ab\""},
		{{.type = VALUE_OPAQUE}, "\"\""},
		{{.type = VALUE_TIME, .integer = 1700000000}, "1700000000000"},
		{{.type = VALUE_TIME, .integer = -1}, "-1000"},
		{{.type = VALUE_TIME, .integer = INT64_MAX}, "9223372036854775807"},
		{{.type = VALUE_TIME, .integer = INT64_MIN}, "-9223372036854775808"},
		{{.type = VALUE_OBJLNK, .link = {3, 0}},
		 "{\"objectId\":3,\"objectInstanceId\":0,\"nullLink\":false}"},
		{{.type = VALUE_OBJLNK, .link = {65535, 65535}},
		 "{\"objectId\":65535,\"objectInstanceId\":65535,\"nullLink\":true}"},
		{{.type = VALUE_CORELNK, .bytes = {(const uint8_t *)"</3>;ver=1.1", 12}}, "\"</3>;ver=1.1\""},
		{{.type = VALUE_NONE}, "null"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		node_json_value(&json, &cases[i].value);
		assert_string_equal(written(), cases[i].text);
	}
}

static void writes_what_is_empty(void **state)
{
	const struct record no_instances[] = {RECORD("/3303", NOTHING)};
	const struct record no_resources[] = {RECORD("/3303/1", NOTHING)};
	const struct record empty_multiple[] = {RECORD("/3/0/6", NOTHING)};
	const struct record empty_single[] = {RECORD("/3/0/9", NOTHING)};
	const struct record unknown[] = {RECORD("/12345/0/1", NOTHING)};

	(void)state;
	assert_string_equal(node("/3303", no_instances, 1),
			    "{\"instances\":[],\"kind\":\"obj\",\"id\":3303}");
	assert_string_equal(node("/3303", NULL, 0), "{\"instances\":[],\"kind\":\"obj\",\"id\":3303}");
	assert_string_equal(node("/3303/1", no_resources, 1),
			    "{\"kind\":\"instance\",\"resources\":[],\"id\":1}");
	assert_string_equal(
		node("/3303", no_resources, 1),
		"{\"instances\":[{\"kind\":\"instance\",\"resources\":[],\"id\":1}],\"kind\":\"obj\","
		"\"id\":3303}");
	assert_string_equal(node("/3/0/6", empty_multiple, 1),
			    "{\"kind\":\"multiResource\",\"values\":{},\"id\":6,\"type\":\"INTEGER\"}");
	assert_string_equal(node("/3/0/6", NULL, 0),
			    "{\"kind\":\"multiResource\",\"values\":{},\"id\":6,\"type\":\"INTEGER\"}");
	assert_string_equal(node("/12345/0/1", unknown, 1),
			    "{\"kind\":\"multiResource\",\"values\":{},\"id\":1,\"type\":\"NONE\"}");
	no_node("/3/0/9", empty_single, 1);
	no_node("/3/0/9", NULL, 0);
	no_node("/12345/0/1", NULL, 0);
	no_node("/3/0/6/1", empty_multiple, 1);
	no_node("/", NULL, 0);
}

static void takes_the_newest_value_and_what_was_asked_for(void **state)
{
	const struct record items[] = {
		{.path = path("/3/0/9"), .value = INTEGER(1), .timed = true, .time_ms = 1000},
		{.path = path("/3/0/9"), .value = INTEGER(2), .timed = true, .time_ms = 2000},
		{.path = path("/3/0/9"), .value = INTEGER(3)},
		RECORD("/3/1/9", INTEGER(4)),
		RECORD("/4/0/1", INTEGER(5)),
	};

	(void)state;
	assert_string_equal(node("/3/0", items, 5),
			    "{\"kind\":\"instance\",\"resources\":[{\"kind\":\"singleResource\",\"id\":9,"
			    "\"type\":\"INTEGER\",\"value\":\"3\"}],\"id\":0}");
	assert_string_equal(node("/3/0/9", items, 2),
			    "{\"kind\":\"singleResource\",\"id\":9,\"type\":\"INTEGER\",\"value\":\"2\"}");
	no_node("/5/0/1", items, 5);
}

static void writes_a_series_oldest_first(void **state)
{
	const struct record items[] = {
		{.path = path("/3303/0/5700"), .value = REAL(1), .timed = true, .time_ms = 1000},
		{.path = path("/3303/0/5700"), .value = REAL(3), .timed = true, .time_ms = 3000},
		{.path = path("/3303/0/5700"), .value = REAL(4)},
		{.path = path("/3303/0/5701"), .value = STRING("C"), .timed = true, .time_ms = 3000},
	};
	struct path p = path("/3303/0/5700");
	struct arena tiny;

	(void)state;
	assert_int_equal(node_json_series(&json, &model, &p, items, 3, 2500, &arena), 0);
	assert_string_equal(written(), "[{\"timestamp\":1000,\"val\":{\"kind\":\"singleResource\",\"id\":"
				       "5700,\"type\":\"FLOAT\",\"value\":\"1.0\"}},"
				       "{\"timestamp\":2500,\"val\":{\"kind\":\"singleResource\",\"id\":5700,"
				       "\"type\":\"FLOAT\",\"value\":\"4.0\"}},"
				       "{\"timestamp\":3000,\"val\":{\"kind\":\"singleResource\",\"id\":5700,"
				       "\"type\":\"FLOAT\",\"value\":\"3.0\"}}]");
	p = path("/3303/0");
	assert_int_equal(node_json_series(&json, &model, &p, items + 1, 1, 0, &arena), 0);
	assert_string_equal(
		written(),
		"[{\"timestamp\":3000,\"val\":{\"kind\":\"instance\",\"resources\":[{\"kind\":"
		"\"singleResource\",\"id\":5700,\"type\":\"FLOAT\",\"value\":\"3.0\"}],\"id\":0}}]");
	arena_init(&tiny, 16);
	assert_int_equal(node_json_series(&json, &model, &p, items, 4, 0, &tiny), -ENOMEM);
	assert_int_equal(out.len, 0);
	arena_deinit(&tiny);
}

/* ---- in ---- */

static struct node_input input;
static char error[NODE_ERROR];

static int read_node(const char *at, bool create, const char *body)
{
	struct path p = path(at);

	error[0] = 0;
	return node_parse(span_str(body), &p, create, &arena, &input, error);
}

static void assert_record(size_t i, const char *at, enum value_type type)
{
	char text[PATH_TEXT];

	assert_true(i < input.records.count);
	assert_string_equal(path_format(&input.records.items[i].path, text), at);
	assert_int_equal(input.records.items[i].value.type, type);
	assert_false(input.records.items[i].timed);
}

/* The value of a single resource with this type and JSON value. */
static struct value read_value(const char *type, const char *value)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"id\":1,\"type\":\"%s\",\"value\":%s}", type, value);
	if (read_node("/9/0/1", false, body) != 0)
		fail_msg("%s: %s", body, error);
	assert_int_equal(input.kind, NODE_SINGLE);
	assert_int_equal(input.records.count, 1);
	return input.records.items[0].value;
}

static void refuses_value(const char *type, const char *value, const char *words)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"id\":1,\"type\":\"%s\",\"value\":%s}", type, value);
	assert_int_equal(read_node("/9/0/1", false, body), -EINVAL);
	if (!strstr(error, words))
		fail_msg("%s: %s", body, error);
}

static void reads_each_type(void **state)
{
	struct value v;

	(void)state;
	assert_true(span_is(read_value("STRING", "\"gr\\u00fcn\"").bytes, "gr\xC3\xBCn"));
	assert_int_equal(read_value("string", "\"\"").bytes.len, 0);
	assert_true(span_equal(read_value("STRING", "\"a\\u0000b\"").bytes, span_of("a\0b", 3)));
	assert_int_equal(read_value("Integer", "\"-42\"").integer, -42);
	assert_true(read_value("INTEGER", "\"9223372036854775807\"").integer == INT64_MAX);
	assert_true(read_value("INTEGER", "\"-9223372036854775808\"").integer == INT64_MIN);
	assert_int_equal(read_value("INTEGER", "42").integer, 42);
	assert_true(read_value("UNSIGNED_INTEGER", "\"18446744073709551615\"").unsigned_ == UINT64_MAX);
	assert_int_equal(read_value("unsigned_integer", "7").unsigned_, 7);
	assert_true(read_value("FLOAT", "\"1.0E-9\"").real == 1.0E-9);
	assert_true(read_value("FLOAT", "\"-5\"").real == -5);
	assert_true(read_value("FLOAT", "1.5").real == 1.5);
	assert_true(read_value("FLOAT", "2").real == 2);
	assert_true(read_value("BOOLEAN", "true").boolean);
	assert_false(read_value("BOOLEAN", "false").boolean);
	assert_true(span_equal(read_value("OPAQUE", "\"00aBFf\"").bytes, span_of("\x00\xAB\xFF", 3)));
	assert_int_equal(read_value("OPAQUE", "\"\"").bytes.len, 0);
	assert_int_equal(read_value("TIME", "1700000000999").integer, 1700000000);
	assert_int_equal(read_value("TIME", "-1").integer, -1);
	assert_int_equal(read_value("TIME", "-1000").integer, -1);
	v = read_value("OBJLNK", "{\"objectId\":3,\"objectInstanceId\":65535,\"nullLink\":false}");
	assert_int_equal(v.link.object, 3);
	assert_int_equal(v.link.instance, 65535);
	v = read_value("CORELINK", "\"</3>;ver=1.1,</4/0>\"");
	assert_int_equal(v.type, VALUE_CORELNK);
	assert_true(span_is(v.bytes, "</3>;ver=1.1,</4/0>"));
}

static void refuses_what_does_not_fit_a_type(void **state)
{
	static const struct {
		const char *type, *value, *words;
	} cases[] = {
		{"STRING", "1", "[1]: a JSON string is expected for STRING but was number."},
		{"STRING", "null", "but was null."},
		{"INTEGER", "\"abc\"", "\"abc\" is not a valid Long."},
		{"INTEGER", "\"\"", "is not a valid Long."},
		{"INTEGER", "\" 1\"", "is not a valid Long."},
		{"INTEGER", "\"1.5\"", "is not a valid Long."},
		{"INTEGER", "\"9223372036854775808\"", "is not a valid Long."},
		{"INTEGER", "\"1\\u0000\"", "is not a valid Long."},
		{"INTEGER", "1.5", "but was number. (number is tolerated but not advised)"},
		{"INTEGER", "true", "but was boolean."},
		{"UNSIGNED_INTEGER", "\"-1\"", "is not a valid Unsigned Long."},
		{"UNSIGNED_INTEGER", "-1", "-1 is not a valid Unsigned Long."},
		{"UNSIGNED_INTEGER", "\"18446744073709551616\"", "is not a valid Unsigned Long."},
		{"FLOAT", "\"NaN\"", "\"NaN\" is not a valid Double."},
		{"FLOAT", "\"Infinity\"", "is not a valid Double."},
		{"FLOAT", "\"1e999\"", "is not a valid Double."},
		{"FLOAT", "\"0x10\"", "is not a valid Double."},
		{"FLOAT", "\"\"", "is not a valid Double."},
		{"FLOAT", "\"1.5.\"", "is not a valid Double."},
		{"FLOAT", "true", "a JSON string is expected for FLOAT but was boolean."},
		{"BOOLEAN", "1", "a JSON boolean is expected for BOOLEAN but was number."},
		{"BOOLEAN", "\"true\"", "but was string."},
		{"OPAQUE", "\"abc\"", "odd number of digits"},
		{"OPAQUE", "\"zz\"", "is not a valid hexadecimal string."},
		{"OPAQUE", "[]", "but was array."},
		{"TIME", "\"1700000000000\"", "number(long) is expected for TIME but was string."},
		{"TIME", "1.5", "but was number."},
		{"OBJLNK", "\"3:0\"",
		 "a JSON object{objectId:integer, objectInstanceId:integer} is expected"},
		{"OBJLNK", "{\"objectId\":3}", "but was object."},
		{"OBJLNK", "{\"objectId\":65536,\"objectInstanceId\":0}", "but was object."},
		{"CORELINK", "\"no link\"", "Invalid Links: "},
		{"NONE", "\"x\"", "Unknown type \"NONE\""},
		{"DOUBLE", "\"x\"", "Unknown type \"DOUBLE\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuses_value(cases[i].type, cases[i].value, cases[i].words);
}

static void reads_multiple_resources(void **state)
{
	(void)state;
	assert_int_equal(read_node("/3/0/6", false,
				   "{\"id\":6,\"type\":\"integer\",\"values\":{\"5\":\"9\",\"0\":1}}"),
			 0);
	assert_int_equal(input.kind, NODE_MULTIPLE);
	assert_int_equal(input.records.count, 2);
	assert_record(0, "/3/0/6/0", VALUE_INTEGER);
	assert_record(1, "/3/0/6/5", VALUE_INTEGER);
	assert_int_equal(input.records.items[1].value.integer, 9);
	assert_int_equal(read_node("/3/0/6", false, "{\"id\":6,\"type\":\"INTEGER\",\"values\":{}}"), 0);
	assert_int_equal(input.records.count, 1);
	assert_record(0, "/3/0/6", VALUE_NONE);
	assert_int_equal(read_node("/3/0/6", false, "{\"id\":6,\"type\":\"INTEGER\",\"values\":{\"x\":1}}"),
			 -EINVAL);
	assert_string_equal(error, "Invalid resource instance id \"x\"");
	assert_int_equal(
		read_node("/3/0/6", false, "{\"id\":6,\"type\":\"INTEGER\",\"values\":{\"65535\":1}}"),
		-EINVAL);
	assert_int_equal(read_node("/3/0/6", false, "{\"id\":6,\"type\":\"INTEGER\",\"values\":[]}"),
			 -EINVAL);
	assert_string_equal(error, "Values element is not an object");
	assert_int_equal(read_node("/3/0/6", false, "{\"id\":6,\"values\":{}}"), -EINVAL);
	assert_string_equal(error, "Missing type");
}

static void reads_instances(void **state)
{
	(void)state;
	assert_int_equal(
		read_node("/1/0", false,
			  "{\"id\":0,\"resources\":[{\"id\":6,\"type\":\"boolean\",\"value\":true},"
			  "{\"id\":\"1\",\"kind\":\"singleResource\",\"type\":\"INTEGER\",\"value\":\"60\"},"
			  "{\"id\":30,\"type\":\"STRING\",\"values\":{\"1\":\"x\"}}]}"),
		0);
	assert_int_equal(input.kind, NODE_INSTANCE);
	assert_int_equal(input.id, 0);
	assert_int_equal(input.records.count, 3);
	assert_record(0, "/1/0/1", VALUE_INTEGER);
	assert_record(1, "/1/0/6", VALUE_BOOLEAN);
	assert_record(2, "/1/0/30/1", VALUE_STRING);
	assert_int_equal(read_node("/1/0", false, "{\"resources\":[]}"), 0);
	assert_int_equal(input.id, PATH_ID_NONE);
	assert_record(0, "/1/0", VALUE_NONE);
}

static void reads_a_resource_instance_if_it_is_named(void **state)
{
	(void)state;
	assert_int_equal(
		read_node("/3/0/6/2", false,
			  "{\"id\":2,\"kind\":\"resourceInstance\",\"type\":\"INTEGER\",\"value\":\"5\"}"),
		0);
	assert_int_equal(input.kind, NODE_RESOURCE_INSTANCE);
	assert_record(0, "/3/0/6/2", VALUE_INTEGER);
	assert_int_equal(read_node("/3/0/6/2", false, "{\"id\":2,\"type\":\"INTEGER\",\"value\":\"5\"}"),
			 -EINVAL);
	assert_string_equal(error, "path '/3/0/6/2' and node type 'LwM2mSingleResource' do not match");
}

static void reads_what_is_to_be_created(void **state)
{
	(void)state;
	assert_int_equal(
		read_node("/3303", true,
			  "{\"id\":7,\"resources\":[{\"id\":5701,\"type\":\"STRING\",\"value\":\"C\"}]}"),
		0);
	assert_int_equal(input.id, 7);
	assert_record(0, "/3303/7/5701", VALUE_STRING);
	assert_int_equal(read_node("/3303", true,
				   "{\"resources\":[{\"id\":5701,\"type\":\"STRING\",\"value\":\"C\"}]}"),
			 0);
	assert_int_equal(input.id, PATH_ID_NONE);
	assert_int_equal(input.records.items[0].path.ids[1], PATH_ID_NONE);
	assert_int_equal(input.records.items[0].path.ids[2], 5701);
	/* Any other kind is the caller's to refuse. */
	assert_int_equal(read_node("/3303", true, "{\"id\":1,\"type\":\"STRING\",\"value\":\"C\"}"), 0);
	assert_int_equal(input.kind, NODE_SINGLE);
	assert_int_equal(input.records.count, 0);
}

static void refuses_bad_nodes(void **state)
{
	static const struct {
		const char *path, *body, *words;
	} cases[] = {
		{"/3/0/1", "", "unable to parse json: "},
		{"/3/0/1", "{", "unable to parse json: "},
		{"/3/0/1", "\"x\"", "unable to parse json: "},
		{"/3/0/1", "{\"id\":1,\"id\":1,\"type\":\"STRING\",\"value\":\"x\"}", "duplicate object key"},
		{"/3/0/1", "{} trailing", "unable to parse json: "},
		{"/3/0/1", "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "nested too deeply"},
		{"/3/0/1", "[]", "Invalid node element"},
		{"/3/0/1", "{}", "Invalid node element"},
		{"/3/0/1", "{\"id\":1}", "Invalid node element"},
		{"/3/0/1", "{\"type\":\"STRING\",\"value\":\"x\"}", "Missing id"},
		{"/3/0/1", "{\"id\":\"x\",\"type\":\"STRING\",\"value\":\"x\"}", "Invalid id"},
		{"/3/0/1", "{\"id\":-1,\"type\":\"STRING\",\"value\":\"x\"}", "Invalid id"},
		{"/3/0/1", "{\"id\":65535,\"type\":\"STRING\",\"value\":\"x\"}", "Invalid id"},
		{"/3/0/1", "{\"id\":1.5,\"type\":\"STRING\",\"value\":\"x\"}", "Invalid id"},
		{"/3/0/1", "{\"id\":2,\"type\":\"STRING\",\"value\":\"x\"}",
		 "path '/3/0/1' and node id '2' do not match"},
		{"/3/0/1", "{\"id\":1,\"value\":\"x\"}", "Missing type"},
		{"/3/0/1", "{\"id\":1,\"kind\":\"instance\"}", "Missing resources"},
		{"/3/0/1", "{\"id\":1,\"kind\":\"multiResource\",\"type\":\"STRING\"}", "Missing values"},
		{"/3/0/1", "{\"id\":1,\"resources\":[]}",
		 "path '/3/0/1' and node type 'LwM2mObjectInstance' do not match"},
		{"/3/0", "{\"id\":0,\"type\":\"STRING\",\"value\":\"x\"}",
		 "path '/3/0' and node type 'LwM2mSingleResource' do not match"},
		{"/3/0", "{\"id\":3,\"instances\":[]}",
		 "path '/3/0' and node type 'LwM2mObject' do not match"},
		{"/3/0", "{\"id\":0,\"resources\":{}}", "Resources element is not an array"},
		{"/3/0", "{\"id\":0,\"resources\":[1]}", "Invalid node element"},
		{"/3/0", "{\"id\":0,\"resources\":[{\"type\":\"STRING\",\"value\":\"x\"}]}", "Missing id"},
		{"/3/0", "{\"id\":0,\"resources\":[{\"id\":1,\"resources\":[]}]}",
		 "'instance' where a resource is expected"},
		{"/3/0",
		 "{\"id\":0,\"resources\":[{\"id\":1,\"type\":\"STRING\",\"value\":\"x\"},"
		 "{\"id\":1,\"type\":\"STRING\",\"value\":\"y\"}]}",
		 "'/3/0/1' is given twice"},
		{"/3/0",
		 "{\"id\":0,\"resources\":[{\"id\":1,\"type\":\"STRING\",\"value\":\"x\"},"
		 "{\"id\":1,\"type\":\"STRING\",\"values\":{\"0\":\"y\"}}]}",
		 "'/3/0/1/0' is given twice"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(read_node(cases[i].path, false, cases[i].body), -EINVAL);
		if (!strstr(error, cases[i].words))
			fail_msg("%s: %s", cases[i].body, error);
	}
}

static void nesting_counts_outside_of_strings_only(void **state)
{
	(void)state;
	assert_true(span_is(read_value("STRING", "\"[[[[[[[[[[[[[[[[[[[[\\\"[[[\"").bytes,
			    "[[[[[[[[[[[[[[[[[[[[\"[[["));
}

static void is_bounded_by_its_arena(void **state)
{
	struct path p = path("/3/0/1");
	struct arena tiny;
	char body[2000];

	(void)state;
	snprintf(body, sizeof(body), "{\"id\":1,\"type\":\"STRING\",\"value\":\"%01500d\"}", 0);
	arena_init(&tiny, 1000);
	assert_int_equal(node_parse(span_str(body), &p, false, &tiny, &input, error), -ENOMEM);
	arena_deinit(&tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(escapes_strings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sets_commas, set_up, tear_down),
		cmocka_unit_test(spells_floats_as_java_does),
		cmocka_unit_test(floats_read_back_as_the_same),
		cmocka_unit_test_setup_teardown(writes_each_kind_of_node, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_each_type_of_value, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_what_is_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(takes_the_newest_value_and_what_was_asked_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(writes_a_series_oldest_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_each_type, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_does_not_fit_a_type, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_multiple_resources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_instances, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_a_resource_instance_if_it_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_what_is_to_be_created, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_bad_nodes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nesting_counts_outside_of_strings_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(is_bounded_by_its_arena, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("node_json", tests, set_up_group, tear_down_group);
}
