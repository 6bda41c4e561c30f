/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* JSON of LwM2M 1.0 (11543): every type both ways, base names and times in all the ways that are in use. */

#include "codec_fixture.h"

#include <errno.h>

static void decoded(struct fixture *f, const char *base, const char *json, const char *expected)
{
	expect_decoded(f, FORMAT_JSON, base, span_str(json), expected);
	expect_decoded(f, FORMAT_OLD_JSON, base, span_str(json), expected);
}

static void agrees_with_the_vectors(void **state)
{
	check_vectors(*state, FORMAT_JSON);
}

static void decodes_every_type(void **state)
{
	static const struct {
		const char *base, *entry, *record;
	} cases[] = {
		{"/3/0/0", "\"sv\":\"K\\u00f6ln\"", "/3/0/0 STRING K\xC3\xB6ln"},
		{"/3/0/0", "\"v\":5", "/3/0/0 STRING 5"},
		{"/3/0/9", "\"v\":-42", "/3/0/9 INTEGER -42"},
		{"/3/0/9", "\"v\":3e3", "/3/0/9 INTEGER 3000"},
		{"/3/0/9", "\"v\":\"42\"", "/3/0/9 INTEGER 42"},
		{"/3/0/9", "\"sv\":\"42\"", "/3/0/9 INTEGER 42"},
		{"/3/0/9", "\"v\":3.5", "misfit /3/0/9 FLOAT 3.5"},
		{"/1/0/13", "\"v\":18446744073709551615", "/1/0/13 UNSIGNED_INTEGER 18446744073709551615"},
		{"/6/0/0", "\"v\":-43.5723", "/6/0/0 FLOAT -43.5723"},
		{"/6/0/0", "\"v\":5", "/6/0/0 FLOAT 5.0"},
		{"/1/0/6", "\"bv\":true", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "\"bv\":0", "/1/0/6 BOOLEAN 0"},
		{"/1/0/6", "\"v\":1", "/1/0/6 BOOLEAN 1"},
		{"/5/0/0", "\"sv\":\"AAEC/w==\"", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "\"sv\":\"AAEC_w\"", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "\"sv\":\"\"", "/5/0/0 OPAQUE "},
		{"/5/0/0", "\"sv\":\"a!\"", "misfit /5/0/0 OPAQUE 6121"},
		{"/3/0/13", "\"v\":1367491215", "/3/0/13 TIME 1367491215"},
		{"/1/0/10", "\"ov\":\"11:0\"", "/1/0/10 OBJLNK 11:0"},
		{"/1/0/10", "\"sv\":\"11:0\"", "/1/0/10 OBJLNK 11:0"},
		{"/1/0/10", "\"ov\":\"FFFF:FFFF\"", "/1/0/10 OBJLNK 65535:65535"},
		{"/1/0/10", "\"ov\":\"11\"", "misfit /1/0/10 STRING 11"},
		{"/42800/0/9", "\"sv\":\"</3/0>\"", "/42800/0/9 CORELINK </3/0>"},
		{"/3/0/6/1", "\"v\":5", "/3/0/6/1 INTEGER 5"},
		{"/3/0/6", "\"v\":5", "misfit /3/0/6 INTEGER 5"},
		{"/9999/0/0", "\"sv\":\"AAEC\"", "/9999/0/0 STRING AAEC"},
		{"/9999/0/0", "\"ov\":\"1:2\"", "/9999/0/0 OBJLNK 1:2"},
		{"/9999/0/0", "\"v\":5,\"other\":[{}]", "/9999/0/0 INTEGER 5"},
	};
	char json[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(json, sizeof(json), "{\"e\":[{%s}]}", cases[i].entry);
		decoded(*state, cases[i].base, json, cases[i].record);
		(void)snprintf(json, sizeof(json), "{\"e\":[{%s,\"n\":\"\"}],\"bn\":\"%s\"}", cases[i].entry,
			       cases[i].base);
		decoded(*state, cases[i].base, json, cases[i].record);
	}
}

static void puts_names_together(void **state)
{
	static const struct {
		const char *base, *json, *path;
	} cases[] = {
		/* Relative to the request. */
		{"/3/0", "{\"e\":[{\"n\":\"9\",\"v\":1}]}", "/3/0/9"},
		{"/3", "{\"e\":[{\"n\":\"0/9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"bn\":\"\",\"e\":[{\"n\":\"9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"e\":[{\"n\":\"/3/0/9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0/6", "{\"e\":[{\"n\":\"1\",\"v\":1}]}", "/3/0/6/1"},
		/* Cut anywhere, with the slash or without. */
		{"/3/0", "{\"bn\":\"/3/0\",\"e\":[{\"n\":\"9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"bn\":\"/3/0\",\"e\":[{\"n\":\"/9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"bn\":\"/3\",\"e\":[{\"n\":\"0/9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"bn\":\"/\",\"e\":[{\"n\":\"3/0/9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"bn\":\"3/0/\",\"e\":[{\"n\":\"9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0/9", "{\"bn\":\"/3/0/9/\",\"e\":[{\"v\":1}]}", "/3/0/9"},
		{"/3/0/6", "{\"bn\":\"/3/0/6\",\"e\":[{\"n\":\"1\",\"v\":1}]}", "/3/0/6/1"},
		{"/3/0", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"6/1\",\"v\":1}]}", "/3/0/6/1"},
		/* To the letter where that is within what was asked for. */
		{"/3/0", "{\"bn\":\"/3/0/1\",\"e\":[{\"n\":\"0\",\"v\":1}]}", "/3/0/10"},
		/* The alternate path, here and there. */
		{"/3/0", "{\"bn\":\"/lwm2m/3/0/\",\"e\":[{\"n\":\"9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"bn\":\"/lwm2m\",\"e\":[{\"n\":\"/3/0/9\",\"v\":1}]}", "/3/0/9"},
		{"/3/0", "{\"e\":[{\"n\":\"/lwm2m/3/0/9\",\"v\":1}]}", "/3/0/9"},
	};
	struct fixture *f = *state;
	char expected[64];

	f->c.root = span_str("/lwm2m");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(expected, sizeof(expected), "%s INTEGER 1", cases[i].path);
		decoded(f, cases[i].base, cases[i].json, expected);
	}
}

static void tells_times(void **state)
{
	struct fixture *f = *state;

	decoded(f, "/6/0/0", "{\"bt\":1600000000,\"e\":[{\"v\":1},{\"v\":2,\"t\":-5},{\"v\":3,\"t\":0.5}]}",
		"/6/0/0 FLOAT@1600000000000 1.0\n/6/0/0 FLOAT@1599999995000 2.0\n"
		"/6/0/0 FLOAT@1600000000500 3.0");
	decoded(f, "/6/0/0", "{\"e\":[{\"v\":1},{\"v\":2,\"t\":-5},{\"v\":3,\"t\":1600000000}]}",
		"/6/0/0 FLOAT 1.0\n/6/0/0 FLOAT@1699999995000 2.0\n/6/0/0 FLOAT@1600000000000 3.0");
	expect_encoded(
		f, FORMAT_JSON, "/6/0/0", "/6/0/0 FLOAT@1599999995000 2.0\n/6/0/0 FLOAT@1600000000500 3.0",
		span_str("{\"bn\":\"/6/0/0\",\"bt\":1599999995,\"e\":[{\"v\":2.0},{\"v\":3.0,\"t\":5.5}]}"));
}

static void encodes_every_type(void **state)
{
	static const struct {
		const char *record, *entry;
	} cases[] = {
		{"/42800/0/1 STRING a\"\n", "\"n\":\"1\",\"sv\":\"a\\\"\""},
		{"/42800/0/2 INTEGER -42", "\"n\":\"2\",\"v\":-42"},
		{"/42800/0/3 UNSIGNED_INTEGER 18446744073709551615",
		 "\"n\":\"3\",\"v\":18446744073709551615"},
		{"/42800/0/4 FLOAT 0.1", "\"n\":\"4\",\"v\":0.1"},
		{"/42800/0/5 BOOLEAN 1", "\"n\":\"5\",\"bv\":true"},
		{"/42800/0/6 OPAQUE fb", "\"n\":\"6\",\"sv\":\"+w==\""},
		{"/42800/0/7 TIME 1367491215", "\"n\":\"7\",\"v\":1367491215"},
		{"/42800/0/8 OBJLNK 66:1", "\"n\":\"8\",\"ov\":\"66:1\""},
		{"/42800/0/9 CORELINK </3/0>", "\"n\":\"9\",\"sv\":\"</3/0>\""},
		{"/42800/0/102/7 INTEGER 5", "\"n\":\"102/7\",\"v\":5"},
		{"/42800/0/102 NONE", "\"n\":\"102\""},
	};
	const struct record nameless = {.path = {{3, PATH_ID_NONE, 9}, 3}, .value = {.type = VALUE_INTEGER}};
	struct fixture *f = *state;
	char json[256];

	/* The alternate path is not in these names. */
	f->c.root = span_str("/lwm2m");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(json, sizeof(json), "{\"bn\":\"/42800/0/\",\"e\":[{%s}]}", cases[i].entry);
		expect_encoded(f, FORMAT_JSON, "/42800/0", cases[i].record, span_str(json));
	}
	expect_encoded(f, FORMAT_OLD_JSON, "/3/0/6/1", "/3/0/6/1 INTEGER 5",
		       span_str("{\"bn\":\"/3/0/6/1\",\"e\":[{\"v\":5}]}"));
	expect_encoded(f, FORMAT_JSON, "/2", "", span_str("{\"bn\":\"/2\",\"e\":[]}"));
	expect_not_encoded(f, FORMAT_JSON, "/6/0/0", "/6/0/0 FLOAT nan", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_JSON, "/3/0/9", "/3/0/9 STRING abc", CODEC_MISFIT);
	set_base(f, "/3");
	assert_int_equal(codec_encode(&f->c, FORMAT_JSON, &nameless, 1, &f->out), CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_JSON, "/", "/3/0/9 INTEGER 5", CODEC_UNSUPPORTED);
}

static void refuses_what_is_bent(void **state)
{
	static const char *const bad[] = {
		"{",
		"[]",
		"5",
		"{}",
		"{\"e\":{}}",
		"{\"e\":[5]}",
		"{\"bn\":5,\"e\":[]}",
		"{\"bn\":[],\"e\":[]}",
		"{\"bt\":\"x\",\"e\":[]}",
		"{\"bt\":{},\"e\":[]}",
		"{\"e\":[{\"n\":\"x\",\"v\":1}]}",
		"{\"e\":[{\"n\":\"1/2/3\",\"v\":1}]}",
		"{\"e\":[{\"n\":5,\"v\":1}]}",
		"{\"e\":[{\"n\":[],\"v\":1}]}",
		"{\"e\":[{\"n\":\"9\",\"v\":{}}]}",
		"{\"e\":[{\"n\":\"9\",\"v\":1,\"sv\":\"1\"}]}",
		"{\"e\":[{\"n\":\"9\",\"v\":1,\"t\":\"x\"}]}",
		"{\"e\":[{\"n\":\"9\",\"v\":1,\"t\":1e13}]}",
		"{\"e\":[{\"v\":1}]}",
		"{\"bn\":\"/3/1/\",\"e\":[{\"n\":\"9\",\"v\":1}]}",
		"{\"bn\":\"/x/\",\"e\":[{\"n\":\"9\",\"v\":1}]}",
		"{\"e\":[[[[[[[[[]]]]]]]]]}",
	};
	struct fixture *f = *state;
	char wide[400] = "{\"bn\":\"";
	size_t len = strlen(wide);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(f, FORMAT_JSON, "/3/0", span_str(bad[i]), CODEC_MALFORMED);
	expect_refused(f, FORMAT_JSON, "/", span_str("{\"e\":[]}"), CODEC_UNSUPPORTED);
	memset(wide + len, '/', 300);
	(void)snprintf(wide + len + 300, sizeof(wide) - len - 300, "\",\"e\":[{\"n\":\"9\",\"v\":1}]}");
	expect_refused(f, FORMAT_JSON, "/3/0", span_str(wide), CODEC_MALFORMED);
}

static void keeps_to_the_ceiling(void **state)
{
	static const char json[] =
		"{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"abcdef\"},{\"n\":\"1\",\"sv\":\"g\"}]}";
	struct fixture *f = *state;
	size_t used = f->arena.used, refused = 0;
	int rc = -ENOMEM;

	set_base(f, "/3/0");
	for (size_t room = 0; rc; room += 16) {
		struct records list = records_of(&f->arena);

		arena_reset(&f->arena);
		f->arena.limit = used + room;
		rc = codec_decode(&f->c, FORMAT_JSON, span_str(json), &list);
		assert_true(rc == CODEC_OK || rc == -ENOMEM);
		assert_int_equal(list.count, rc ? 0 : 2);
		refused += rc != CODEC_OK;
		assert_true(room < 1 << 20);
	}
	assert_true(refused > 10);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(agrees_with_the_vectors), WITH_FIXTURE(decodes_every_type),
		WITH_FIXTURE(puts_names_together),     WITH_FIXTURE(tells_times),
		WITH_FIXTURE(encodes_every_type),      WITH_FIXTURE(refuses_what_is_bent),
		WITH_FIXTURE(keeps_to_the_ceiling),
	};

	return cmocka_run_group_tests_name("codec_json", tests, NULL, NULL);
}
