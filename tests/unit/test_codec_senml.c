/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* SenML in JSON and CBOR: the vectors, every split of names, times, base values, all types, and what is
 * refused. */

#include "codec_fixture.h"

#include <errno.h>

static void decode_json(void **state, const char *base, const char *json, const char *expected)
{
	expect_decoded(*state, FORMAT_SENML_JSON, base, span_str(json), expected);
}

static void decode_cbor(void **state, const char *base, const char *hex, const char *expected)
{
	expect_decoded(*state, FORMAT_SENML_CBOR, base, from_hex(*state, hex), expected);
}

static void encode_both(void **state, const char *base, const char *records, const char *json,
			const char *hex)
{
	expect_encoded(*state, FORMAT_SENML_JSON, base, records, span_str(json));
	expect_encoded(*state, FORMAT_SENML_CBOR, base, records, from_hex(*state, hex));
}

static void vectors(void **state)
{
	check_vectors(*state, FORMAT_SENML_JSON);
	check_vectors(*state, FORMAT_SENML_CBOR);
}

static void names_may_be_cut_anywhere(void **state)
{
	static const char *const splits[][2] = {
		{"/3/0/9", ""}, {"/3/0/", "9"},	 {"/3/0", "/9"}, {"/3/", "0/9"},
		{"/3", "/0/9"}, {"/", "3/0/9"},	 {"", "/3/0/9"}, {"", "3/0/9"},
		{"3/0/", "9"},	{"/3/0/9/", ""}, {"3", "/0/9/"}, {"/3/0/9", "/"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(splits); i++) {
		char json[128], hex[128];

		snprintf(json, sizeof(json), "[{\"bn\":\"%s\",\"n\":\"%s\",\"v\":95}]", splits[i][0],
			 splits[i][1]);
		decode_json(state, "/3/0/9", json, "/3/0/9 INTEGER 95");
		snprintf(hex, sizeof(hex), "81 A3 21 %02zx\"%s\" 00 %02zx\"%s\" 02 185F",
			 0x60 + strlen(splits[i][0]), splits[i][0], 0x60 + strlen(splits[i][1]),
			 splits[i][1]);
		decode_cbor(state, "/3/0", hex, "/3/0/9 INTEGER 95");
	}
	/* A base name lasts until another comes. */
	decode_json(state, "/",
		    "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":1},{\"n\":\"10\",\"v\":2},{\"bn\":\"/1/0/"
		    "\",\"n\":\"1\",\"v\":3},"
		    "{\"n\":\"2\",\"v\":4},{\"bn\":\"\",\"n\":\"/3/0/6/0\",\"v\":5}]",
		    "/3/0/9 INTEGER 1\n/3/0/10 INTEGER 2\n/1/0/1 INTEGER 3\n/1/0/2 INTEGER 4\n/3/0/6/0 "
		    "INTEGER 5");
	/* Where a slash is missing nothing else is meant by chance. */
	expect_refused(f, FORMAT_SENML_JSON, "/3", span_str("[{\"bn\":\"/3/0\",\"n\":\"9\",\"v\":1}]"),
		       CODEC_MALFORMED);
	expect_refused(f, FORMAT_SENML_JSON, "/3", span_str("[{\"bn\":\"/3/0/\",\"n\":\"/9\",\"v\":1}]"),
		       CODEC_MALFORMED);
	expect_refused(f, FORMAT_SENML_JSON, "/3", span_str("[{\"bn\":\"/3/0/\",\"n\":\"9/0/0\",\"v\":1}]"),
		       CODEC_MALFORMED);
	/* A record may come for its base name only. */
	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/\"},{\"n\":\"9\",\"v\":1}]", "/3/0/9 INTEGER 1");
	decode_json(state, "/", "[{\"bn\":\"/3/0\"},{\"bn\":\"/1/0\"}]", "/3/0 NONE\n/1/0 NONE");
	decode_json(state, "/", "[{\"bn\":\"/3/0\"},{\"bn\":\"/1/0\",\"n\":\"/1\",\"v\":5}]",
		    "/3/0 NONE\n/1/0/1 INTEGER 5");
}

/* R13: names with the alternate path, or the prefix of a gateway's device, in front. */
static void names_may_have_a_root(void **state)
{
	static const char *const names[][2] = {
		{"/lwm2m/3/0/", "9"}, {"/lwm2m/3/0", "/9"}, {"/lwm2m/", "3/0/9"}, {"/lwm2m", "/3/0/9"},
		{"/", "lwm2m/3/0/9"}, {"", "/lwm2m/3/0/9"}, {"/3/0/", "9"},	  {"", "/3/0/9"},
	};
	struct fixture *f = *state;

	f->c.root = span_str("/lwm2m");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char json[128];

		snprintf(json, sizeof(json), "[{\"bn\":\"%s\",\"n\":\"%s\",\"v\":95}]", names[i][0],
			 names[i][1]);
		decode_json(state, "/3/0", json, "/3/0/9 INTEGER 95");
	}
	encode_both(state, "/3/0", "/3/0/9 INTEGER 95", "[{\"bn\":\"/lwm2m/3/0/\",\"n\":\"9\",\"v\":95}]",
		    "81 A3 21 6B\"/lwm2m/3/0/\" 00 61\"9\" 02 185F");
	encode_both(state, "/", "/3/0 NONE", "[{\"bn\":\"/lwm2m/\",\"n\":\"3/0\"}]",
		    "81 A2 21 67\"/lwm2m/\" 00 63\"3/0\"");
	expect_refused(f, FORMAT_SENML_JSON, "/", span_str("[{\"n\":\"/lwm2m3/0\"}]"), CODEC_MALFORMED);
	expect_refused(f, FORMAT_SENML_JSON, "/", span_str("[{\"n\":\"/other/3/0\"}]"), CODEC_MALFORMED);
	f->c.root = span_str("");
	expect_refused(f, FORMAT_SENML_JSON, "/", span_str("[{\"n\":\"/lwm2m/3/0\"}]"), CODEC_MALFORMED);
	f->c.root = span_str("/\xFF");
	expect_not_encoded(f, FORMAT_SENML_JSON, "/3/0", "/3/0/9 INTEGER 95", CODEC_MISFIT);
	f->c.root = span_of(memset(arena_alloc(&f->arena, 300), 'x', 300), 300);
	expect_not_encoded(f, FORMAT_SENML_CBOR, "/3/0", "/3/0/9 INTEGER 95", CODEC_MISFIT);
}

static void only_what_was_asked_for(void **state)
{
	struct fixture *f = *state;
	const char *other = "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":1},{\"bn\":\"/6/0/\",\"n\":\"0\",\"v\":1}]";

	expect_refused(f, FORMAT_SENML_JSON, "/3/0", span_str(other), CODEC_MALFORMED);
	expect_refused(f, FORMAT_SENML_JSON, "/3/0", span_str("[{\"n\":\"/3\"}]"), CODEC_MALFORMED);
	decode_json(state, "/", other, "/3/0/9 INTEGER 1\n/6/0/0 FLOAT 1.0");
	/* A link leads there, on from there, and on. */
	decode_json(state, "/65/0",
		    "[{\"n\":\"/65/0/0/0\",\"vlo\":\"66:1\"},{\"n\":\"/66/1/0/3\",\"vlo\":\"3:0\"},"
		    "{\"n\":\"/3/0/9\",\"v\":1}]",
		    "/65/0/0/0 OBJLNK 66:1\nextra /66/1/0/3 OBJLNK 3:0\nextra /3/0/9 INTEGER 1");
	expect_refused(f, FORMAT_SENML_JSON, "/65/0",
		       span_str("[{\"n\":\"/65/0/0/0\",\"vlo\":\"66:1\"},{\"n\":\"/66/2/1\",\"vs\":\"a\"}]"),
		       CODEC_MALFORMED);
	expect_refused(f, FORMAT_SENML_JSON, "/65/0",
		       span_str("[{\"n\":\"/65/0/0/0\",\"vlo\":\"66:0\"},{\"n\":\"/66\"}]"), CODEC_MALFORMED);
}

static void times(void **state)
{
	/* Below 2^28 seconds from now, else from 1970; with fractions; on top of a base time that lasts. */
	decode_json(state, "/3/0", "[{\"n\":\"/3/0/9\",\"v\":1,\"t\":1600000000.25}]",
		    "/3/0/9 INTEGER@1600000000250 1");
	decode_json(state, "/3/0", "[{\"n\":\"/3/0/9\",\"v\":1,\"t\":-10}]",
		    "/3/0/9 INTEGER@1699999990000 1");
	decode_json(state, "/3/0", "[{\"n\":\"/3/0/9\",\"v\":1,\"t\":0}]", "/3/0/9 INTEGER@1700000000000 1");
	decode_json(state, "/3/0", "[{\"n\":\"/3/0/9\",\"v\":1,\"t\":268435455}]",
		    "/3/0/9 INTEGER@1968435455000 1");
	decode_json(state, "/3/0", "[{\"n\":\"/3/0/9\",\"v\":1,\"t\":268435456}]",
		    "/3/0/9 INTEGER@268435456000 1");
	decode_json(
		state, "/3/0",
		"[{\"bn\":\"/3/0/\",\"bt\":1600000000,\"n\":\"9\",\"v\":1},{\"n\":\"9\",\"v\":2,\"t\":-5},"
		"{\"n\":\"9\",\"v\":3,\"t\":5.5},{\"bt\":-20,\"n\":\"9\",\"v\":4,\"t\":\"-1e1\"}]",
		"/3/0/9 INTEGER@1600000000000 1\n/3/0/9 INTEGER@1599999995000 2\n"
		"/3/0/9 INTEGER@1600000005500 3\n/3/0/9 INTEGER@1699999970000 4");
	/* CBOR: as integer, float, decimal fraction, and tagged as a time. */
	decode_cbor(state, "/3/0", "81 A3 00 66\"/3/0/9\" 02 01 06 1A5F5E1000",
		    "/3/0/9 INTEGER@1600000000000 1");
	decode_cbor(state, "/3/0", "81 A3 00 66\"/3/0/9\" 02 01 06 29", "/3/0/9 INTEGER@1699999990000 1");
	decode_cbor(state, "/3/0", "81 A3 00 66\"/3/0/9\" 02 01 06 FB41D7D78400100000",
		    "/3/0/9 INTEGER@1600000000250 1");
	decode_cbor(state, "/3/0", "81 A3 00 66\"/3/0/9\" 02 01 06 C4 82 20 1B00000003B9ACA002",
		    "/3/0/9 INTEGER@1600000000200 1");
	decode_cbor(state, "/3/0", "81 A3 00 66\"/3/0/9\" 02 01 06 C1 1A5F5E1000",
		    "/3/0/9 INTEGER@1600000000000 1");
	decode_cbor(state, "/3/0", "81 A4 22 1A5F5E1000 00 66\"/3/0/9\" 02 01 06 24",
		    "/3/0/9 INTEGER@1599999995000 1");
}

static void times_are_written(void **state)
{
	/* One base time if all records have a time that can be told from 1970. */
	encode_both(
		state, "/3/0",
		"/3/0/9 INTEGER@1600000000000 1\n/3/0/9 INTEGER@1600000005500 2\n/3/0/10 "
		"INTEGER@1599999995000 3",
		"[{\"bn\":\"/3/0/\",\"bt\":1600000000,\"n\":\"9\",\"v\":1},{\"n\":\"9\",\"v\":2,\"t\":5.5},"
		"{\"n\":\"10\",\"v\":3,\"t\":-5}]",
		"83 A4 21 65\"/3/0/\" 22 1A5F5E1000 00 61\"9\" 02 01 A3 00 61\"9\" 02 02 06 F94580 "
		"A3 00 62\"10\" 02 03 06 24");
	encode_both(state, "/3/0/9", "/3/0/9 INTEGER@1600000000250 1",
		    "[{\"bn\":\"/3/0/9\",\"bt\":1600000000,\"v\":1,\"t\":0.25}]",
		    "81 A4 21 66\"/3/0/9\" 22 1A5F5E1000 02 01 06 F93400");
	/* Not if one has none, or one that is told from now. */
	encode_both(state, "/3/0", "/3/0/9 INTEGER@1600000000000 1\n/3/0/10 INTEGER 2",
		    "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":1,\"t\":1600000000},{\"n\":\"10\",\"v\":2}]",
		    "82 A4 21 65\"/3/0/\" 00 61\"9\" 02 01 06 1A5F5E1000 A2 00 62\"10\" 02 02");
	encode_both(state, "/3/0/9", "/3/0/9 INTEGER@1000 1",
		    "[{\"bn\":\"/3/0/9\",\"v\":1,\"t\":-1699999999}]",
		    "81 A3 21 66\"/3/0/9\" 02 01 06 3A6553F0FE");
	expect_not_encoded(*state, FORMAT_SENML_JSON, "/3/0/9", "/3/0/9 INTEGER@9000000000000000 1",
			   CODEC_MISFIT);
}

static void base_values(void **state)
{
	decode_json(state, "/3/0",
		    "[{\"bn\":\"/3/0/"
		    "\",\"bv\":90,\"n\":\"9\",\"v\":5},{\"n\":\"10\",\"v\":-5},{\"n\":\"0\",\"vs\":\"a\"},"
		    "{\"n\":\"20\"},{\"bv\":0,\"n\":\"21\",\"v\":7}]",
		    "/3/0/9 INTEGER 95\n/3/0/10 INTEGER 85\n/3/0/0 STRING a\n/3/0/20 INTEGER 90\n/3/0/21 "
		    "INTEGER 7");
	decode_json(state, "/6/0", "[{\"bn\":\"/6/0/\",\"bv\":0.5,\"n\":\"0\",\"v\":22}]",
		    "/6/0/0 FLOAT 22.5");
	decode_json(state, "/9999/0", "[{\"n\":\"/9999/0/0\",\"bv\":9223372036854775807,\"v\":1}]",
		    "/9999/0/0 FLOAT 9.223372036854776e+18");
	/* Units are known and say nothing to us. */
	decode_json(state, "/3/0",
		    "[{\"bn\":\"/3/0/\",\"bu\":\"%\",\"bver\":10,\"n\":\"9\",\"v\":5,\"u\":\"/\",\"ut\":3}]",
		    "/3/0/9 INTEGER 5");
	decode_cbor(state, "/3/0", "81 A4 21 65\"/3/0/\" 24 185A 00 61\"9\" 02 05", "/3/0/9 INTEGER 95");
}

static void json_types(void **state)
{
	static const struct {
		const char *name, *value, *record;
	} cases[] = {
		{"/3/0/0", "\"vs\":\"K\xC3\xB6ln\"", "/3/0/0 STRING K\xC3\xB6ln"},
		{"/3/0/0", "\"v\":345000123", "/3/0/0 STRING 345000123"},
		{"/3/0/9", "\"v\":3e1", "/3/0/9 INTEGER 30"},
		{"/3/0/9", "\"v\":95.0", "/3/0/9 INTEGER 95"},
		{"/3/0/9", "\"v\":95.5", "misfit /3/0/9 FLOAT 95.5"},
		{"/3/0/9", "\"v\":\"95\"", "/3/0/9 INTEGER 95"},
		{"/3/0/9", "\"vs\":\"95\"", "/3/0/9 INTEGER 95"},
		{"/3/0/9", "\"vs\":\"full\"", "misfit /3/0/9 STRING full"},
		{"/3/0/9", "\"vb\":true", "/3/0/9 INTEGER 1"},
		{"/3/0/9", "\"v\":null", "/3/0/9 NONE"},
		{"/3/0/13", "\"v\":1367491215", "/3/0/13 TIME 1367491215"},
		{"/3/0/6", "\"v\":5", "misfit /3/0/6 INTEGER 5"},
		{"/3/0/9/0", "\"v\":5", "misfit /3/0/9/0 INTEGER 5"},
		{"/1/0/13", "\"v\":18446744073709551615", "/1/0/13 UNSIGNED_INTEGER 18446744073709551615"},
		{"/1/0/13", "\"v\":9223372036854775808", "/1/0/13 UNSIGNED_INTEGER 9223372036854775808"},
		{"/1/0/13", "\"v\":-1", "misfit /1/0/13 INTEGER -1"},
		{"/1/0/1", "\"v\":-9223372036854775808", "/1/0/1 INTEGER -9223372036854775808"},
		{"/1/0/1", "\"v\":9223372036854775807", "/1/0/1 INTEGER 9223372036854775807"},
		{"/1/0/6", "\"vb\":true", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "\"vb\":1", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "\"v\":0", "/1/0/6 BOOLEAN 0"},
		{"/1/0/6", "\"v\":2", "misfit /1/0/6 INTEGER 2"},
		{"/6/0/0", "\"v\":22", "/6/0/0 FLOAT 22.0"},
		{"/6/0/0", "\"v\":1e-7", "/6/0/0 FLOAT 1e-07"},
		{"/5/0/0", "\"vd\":\"AAEC_w\"", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "\"vd\":\"AAEC/w==\"", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "\"vd\":\"\"", "/5/0/0 OPAQUE "},
		{"/5/0/0", "\"vd\":\"?\"", "misfit /5/0/0 STRING ?"},
		{"/5/0/0", "\"vs\":\"AAEC\"", "misfit /5/0/0 STRING AAEC"},
		{"/1/0/10", "\"vlo\":\"11:3\"", "/1/0/10 OBJLNK 11:3"},
		{"/1/0/10", "\"vlo\":\"FFFF:FFFF\"", "/1/0/10 OBJLNK 65535:65535"},
		{"/1/0/10", "\"vs\":\"11:3\"", "/1/0/10 OBJLNK 11:3"},
		{"/1/0/10", "\"vlo\":\"eleven\"", "misfit /1/0/10 STRING eleven"},
		/* Without a model the label and the form of the value decide. */
		{"/9999/0/0", "\"v\":5", "/9999/0/0 INTEGER 5"},
		{"/9999/0/0", "\"v\":5.0", "/9999/0/0 FLOAT 5.0"},
		{"/9999/0/0", "\"v\":\"5\"", "/9999/0/0 INTEGER 5"},
		{"/9999/0/0", "\"v\":\"5.5\"", "/9999/0/0 FLOAT 5.5"},
		{"/9999/0/0", "\"v\":18446744073709551615",
		 "/9999/0/0 UNSIGNED_INTEGER 18446744073709551615"},
		{"/9999/0/0", "\"vb\":1", "/9999/0/0 BOOLEAN 1"},
		{"/9999/0/0", "\"vs\":\"5\"", "/9999/0/0 STRING 5"},
		{"/9999/0/0", "\"vd\":\"AAE\"", "/9999/0/0 OPAQUE 0001"},
		{"/9999/0/0", "\"vlo\":\"3:0\"", "/9999/0/0 OBJLNK 3:0"},
		{"/3/0/99", "\"v\":5", "/3/0/99 INTEGER 5"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char json[128];

		snprintf(json, sizeof(json), "[{\"n\":\"%s\",%s}]", cases[i].name, cases[i].value);
		decode_json(state, "/", json, cases[i].record);
	}
}

static void json_strings(void **state)
{
	struct fixture *f = *state;
	struct records list = records_of(&f->arena);
	const char *json = "[{\"n\":\"/3/0/0\",\"vs\":\"a\\u00e9\\u0000\\\"\\\\\\n\\u001f\"}]";
	static const char expected[] = "a\xC3\xA9\0\"\\\n\x1F";

	set_base(f, "/3/0/0");
	assert_int_equal(codec_decode(&f->c, FORMAT_SENML_JSON, span_str(json), &list), CODEC_OK);
	assert_int_equal(list.items[0].value.bytes.len, sizeof(expected) - 1);
	assert_memory_equal(list.items[0].value.bytes.data, expected, sizeof(expected) - 1);
	assert_int_equal(codec_encode(&f->c, FORMAT_SENML_JSON, list.items, 1, &f->out), CODEC_OK);
	assert_string_equal((char *)f->out.data,
			    "[{\"bn\":\"/3/0/0\",\"vs\":\"a\xC3\xA9\\u0000\\\"\\\\\\u000a\\u001f\"}]");
}

static void cbor_types(void **state)
{
	static const struct {
		const char *name, *value, *record;
	} cases[] = {
		{"/3/0/0", "03 65\"shoal\"", "/3/0/0 STRING shoal"},
		{"/3/0/0", "03 62\"K\"F6", "misfit /3/0/0 OPAQUE 4bf6"},
		{"/3/0/0", "03 7F 62\"sh\" 60 63\"oal\" FF", "/3/0/0 STRING shoal"},
		{"/3/0/0", "02 18 64", "/3/0/0 STRING 100"},
		{"/3/0/0", "08 65\"shoal\"", "/3/0/0 STRING shoal"},
		{"/3/0/9", "02 1864", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "02 38 63", "/3/0/9 INTEGER -100"},
		{"/3/0/9", "02 F95640", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "02 FA42C80000", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "02 C4 82 03 03", "/3/0/9 INTEGER 3000"},
		{"/3/0/9", "02 C4 82 21 191388", "/3/0/9 INTEGER 50"},
		{"/3/0/9", "02 C4 9F 00 18 64 FF", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "02 C4 82 20 1864", "/3/0/9 INTEGER 10"},
		{"/3/0/9", "02 C4 82 20 1865", "misfit /3/0/9 FLOAT 10.1"},
		{"/3/0/9", "02 63\"100\"", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "02 D9D9F7 1864", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "02 F6", "/3/0/9 NONE"},
		{"/3/0/9", "02 F7", "/3/0/9 NONE"},
		{"/3/0/9", "02 3B7FFFFFFFFFFFFFFF", "/3/0/9 INTEGER -9223372036854775808"},
		{"/3/0/13", "02 C1 1A5182428F", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "02 1A5182428F", "/3/0/13 TIME 1367491215"},
		{"/1/0/13", "02 1BFFFFFFFFFFFFFFFF", "/1/0/13 UNSIGNED_INTEGER 18446744073709551615"},
		{"/1/0/6", "04 F5", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "04 F4", "/1/0/6 BOOLEAN 0"},
		{"/1/0/6", "04 01", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "02 01", "/1/0/6 BOOLEAN 1"},
		{"/6/0/0", "02 F94D80", "/6/0/0 FLOAT 22.0"},
		{"/6/0/0", "02 FB4036666666666666", "/6/0/0 FLOAT 22.4"},
		{"/6/0/0", "02 16", "/6/0/0 FLOAT 22.0"},
		{"/6/0/0", "02 C4 82 20 18E0", "/6/0/0 FLOAT 22.4"},
		{"/6/0/0", "02 F97C00", "/6/0/0 FLOAT inf"},
		{"/6/0/0", "02 F97E00", "/6/0/0 FLOAT nan"},
		{"/5/0/0", "08 44 000102FF", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "08 5F 42 0001 41 02 FF", "/5/0/0 OPAQUE 000102"},
		{"/5/0/0", "08 5F FF", "/5/0/0 OPAQUE "},
		{"/5/0/0", "08 66\"AAEC_w\"", "/5/0/0 OPAQUE 000102ff"},
		{"/1/0/10", "63\"vlo\" 64\"11:3\"", "/1/0/10 OBJLNK 11:3"},
		{"/1/0/10", "7F 61\"v\" 62\"lo\" FF 64\"11:3\"", "/1/0/10 OBJLNK 11:3"},
		{"/1/0/10", "03 64\"11:3\"", "/1/0/10 OBJLNK 11:3"},
		{"/3/0/9", "61\"v\" 1864", "/3/0/9 INTEGER 100"},
		{"/9999/0/0", "02 05", "/9999/0/0 INTEGER 5"},
		{"/9999/0/0", "02 F94500", "/9999/0/0 FLOAT 5.0"},
		{"/9999/0/0", "04 01", "/9999/0/0 BOOLEAN 1"},
		{"/9999/0/0", "08 41 FF", "/9999/0/0 OPAQUE ff"},
		{"/9999/0/0", "03 61 FF", "misfit /9999/0/0 OPAQUE ff"},
		{"/9999/0/0", "63\"vlo\" 63\"3:0\"", "/9999/0/0 OBJLNK 3:0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char hex[160];
		size_t len = strlen(cases[i].name);

		/* Definite and indefinite array and map alike. */
		snprintf(hex, sizeof(hex), "81 A2 00 %02zx\"%s\" %s", 0x60 + len, cases[i].name,
			 cases[i].value);
		decode_cbor(state, "/", hex, cases[i].record);
		snprintf(hex, sizeof(hex), "9F BF %s 00 %02zx\"%s\" FF FF", cases[i].value, 0x60 + len,
			 cases[i].name);
		decode_cbor(state, "/", hex, cases[i].record);
	}
}

static void types_are_written(void **state)
{
	static const struct {
		const char *record, *json, *cbor;
	} cases[] = {
		{"/3/0/0 STRING a", "\"vs\":\"a\"", "03 61\"a\""},
		{"/3/0/9 INTEGER -500", "\"v\":-500", "02 3901F3"},
		{"/3/0/9 FLOAT 5.0", "\"v\":5", "02 05"},
		{"/3/0/13 TIME 1367491215", "\"v\":1367491215", "02 1A5182428F"},
		{"/1/0/13 UNSIGNED_INTEGER 18446744073709551615", "\"v\":18446744073709551615",
		 "02 1BFFFFFFFFFFFFFFFF"},
		{"/1/0/6 BOOLEAN 1", "\"vb\":true", "04 F5"},
		{"/1/0/6 INTEGER 0", "\"vb\":false", "04 F4"},
		{"/6/0/0 FLOAT 22.0", "\"v\":22.0", "02 F94D80"},
		{"/6/0/0 INTEGER 22", "\"v\":22.0", "02 F94D80"},
		{"/6/0/0 FLOAT 100000.0", "\"v\":100000.0", "02 FA47C35000"},
		{"/6/0/0 FLOAT 22.4", "\"v\":22.4", "02 FB4036666666666666"},
		{"/6/0/0 FLOAT 1e-07", "\"v\":1e-07", "02 FB3E7AD7F29ABCAF48"},
		{"/5/0/0 OPAQUE 000102fbff", "\"vd\":\"AAEC-_8\"", "08 45 000102FBFF"},
		{"/1/0/10 OBJLNK 11:3", "\"vlo\":\"11:3\"", "63\"vlo\" 64\"11:3\""},
		{"/25/0/3 CORELINK </3>", "\"vs\":\"</3>\"", "03 64\"</3>\""},
		{"/25/0/3 INTEGER 5", "\"v\":5", "02 05"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char json[128], hex[128], base[PATH_TEXT];
		size_t len = strcspn(cases[i].record, " ");

		snprintf(base, sizeof(base), "%.*s", (int)len, cases[i].record);
		snprintf(json, sizeof(json), "[{\"bn\":\"%s\",%s}]", base, cases[i].json);
		snprintf(hex, sizeof(hex), "81 A2 21 %02zx\"%s\" %s", 0x60 + len, base, cases[i].cbor);
		encode_both(state, base, cases[i].record, json, hex);
	}
	expect_encoded(*state, FORMAT_SENML_CBOR, "/6/0/0", "/6/0/0 FLOAT nan",
		       from_hex(*state, "81 A2 21 66\"/6/0/0\" 02 F97E00"));
	expect_not_encoded(*state, FORMAT_SENML_JSON, "/6/0/0", "/6/0/0 FLOAT nan", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_SENML_JSON, "/6/0/0", "/6/0/0 FLOAT inf", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_SENML_CBOR, "/6/0/0", "/6/0/0 STRING warm", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_SENML_CBOR, "/3/0/4", "/3/0/4 STRING now", CODEC_MISFIT);
}

static void paths_alone(void **state)
{
	/* What is read or observed as a composite. */
	encode_both(state, "/", "/1/0/1 NONE\n/3/0 NONE\n/3303 NONE",
		    "[{\"bn\":\"/\",\"n\":\"1/0/1\"},{\"n\":\"3/0\"},{\"n\":\"3303\"}]",
		    "83 A2 21 61\"/\" 00 65\"1/0/1\" A1 00 63\"3/0\" A1 00 64\"3303\"");
	encode_both(state, "/", "/ NONE", "[{\"bn\":\"/\"}]", "81 A1 21 61\"/\"");
	encode_both(state, "/", "", "[]", "80");
	encode_both(state, "/3/0", "/3/0 NONE", "[{\"bn\":\"/3/0\"}]", "81 A1 21 64\"/3/0\"");
	encode_both(state, "/3/0/6", "/3/0/6/0 INTEGER 1\n/3/0/6/1 INTEGER 5",
		    "[{\"bn\":\"/3/0/6/\",\"n\":\"0\",\"v\":1},{\"n\":\"1\",\"v\":5}]",
		    "82 A3 21 67\"/3/0/6/\" 00 61\"0\" 02 01 A2 00 61\"1\" 02 05");
	decode_json(state, "/", "[{\"n\":\"/\"}]", "/ NONE");
	/* Of a composite no path is the base of the others. */
	set_base(*state, "/3/0");
	((struct fixture *)*state)->c.any_path = true;
	((struct fixture *)*state)->out.len = 0;
	{
		struct fixture *f = *state;
		struct records list = records_from(f, "/1/0/1 NONE\n/3/0/9 NONE");

		assert_int_equal(codec_encode(&f->c, FORMAT_SENML_JSON, list.items, list.count, &f->out),
				 CODEC_OK);
		assert_true(
			span_is(buffer_span(&f->out), "[{\"bn\":\"/\",\"n\":\"1/0/1\"},{\"n\":\"3/0/9\"}]"));
	}
	decode_json(state, "/2", "[]", "/2 NONE");
	decode_cbor(state, "/2", "80", "/2 NONE");
	decode_cbor(state, "/2", "9FFF", "/2 NONE");
	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/\"}]", "/3/0 NONE");
	/* The base of what comes, now or later, in a record of its own. */
	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/\"},{\"n\":\"9\",\"v\":1}]", "/3/0/9 INTEGER 1");
	decode_json(state, "/3/0", "[{\"bn\":\"/\"},{\"n\":\"3/0/9\",\"v\":1}]", "/3/0/9 INTEGER 1");
	decode_json(state, "/3/0/9", "[{\"bn\":\"/3/0/9\"},{\"v\":1}]", "/3/0/9 INTEGER 1");
	decode_json(
		state, "/2",
		"[{\"bn\":\"/2/0/\"},{\"bn\":\"/2/1/\"},{\"n\":\"1\",\"v\":1},{\"bn\":\"/2/0/1\",\"v\":2}]",
		"/2/1/1 INTEGER 1\n/2/0/1 INTEGER 2");
	decode_cbor(state, "/3/0", "82 A1 21 65\"/3/0/\" A2 00 61\"9\" 02 01", "/3/0/9 INTEGER 1");
}

/* A time is kept although there is no value, told by the base name or the name, as base or by itself. */
static void times_without_values(void **state)
{
	static const char at_1600[] = "/3/0/6 NONE@1600000000000", at_1600_5[] = "/3/0/6 NONE@1600000000500";

	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/6\",\"t\":1600000000}]", at_1600);
	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/\",\"n\":\"6\",\"t\":1600000000}]", at_1600);
	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/6\",\"bt\":1600000000}]", at_1600);
	decode_cbor(state, "/3/0", "81 A2 21 66\"/3/0/6\" 22 1A5F5E1000", at_1600);
	encode_both(state, "/3/0/6", at_1600, "[{\"bn\":\"/3/0/6\",\"bt\":1600000000,\"t\":0}]",
		    "81 A3 21 66\"/3/0/6\" 22 1A5F5E1000 06 00");
	encode_both(state, "/3/0/6", "/3/0/6 NONE@1600000000000\n/3/0/6 NONE@1600000000000",
		    "[{\"bn\":\"/3/0/6\",\"bt\":1600000000,\"t\":0},{\"t\":0}]",
		    "82 A3 21 66\"/3/0/6\" 22 1A5F5E1000 06 00 A1 06 00");
	encode_both(state, "/3/0/6", at_1600_5, "[{\"bn\":\"/3/0/6\",\"bt\":1600000000,\"t\":0.5}]",
		    "81 A3 21 66\"/3/0/6\" 22 1A5F5E1000 06 F93800");
	decode_cbor(state, "/3/0", "81 A3 21 66\"/3/0/6\" 22 1A5F5E1000 06 F93800", at_1600_5);
	/* The time of a mere base name is that of those that follow, no reason to keep it. */
	decode_json(state, "/3/0", "[{\"bn\":\"/3/0/\",\"bt\":1600000000},{\"n\":\"9\",\"v\":1,\"t\":5}]",
		    "/3/0/9 INTEGER@1600000005000 1");
}

static void refuses_what_is_no_senml_json(void **state)
{
	static const char *const cases[] = {
		"{",
		"[",
		"5",
		"{}",
		"null",
		"[5]",
		"[[]]",
		"[{}]",
		"[{\"n\":5}]",
		"[{\"bn\":5}]",
		"[{\"n\":\"/3/0/9\",\"v\":1}",
		"[{\"n\":\"/3/0/9\",\"v\":1}]x",
		"[{\"n\":\"/3/0/9\",\"v\":}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"vs\":\"a\"}]",
		"[{\"n\":\"/3/0/9\",\"v\":[1]}]",
		"[{\"n\":\"/3/0/9\",\"v\":{}}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"t\":\"late\"}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"t\":true}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"t\":1e13}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"t\":-1e300}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"bt\":\"x\"}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"bv\":\"x\"}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"bver\":11}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"bver\":\"x\"}]",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"new_\":1}]",
		"[{\"n\":\"/3/0/nine\",\"v\":1}]",
		"[{\"n\":\"/3/0/9/0/0\",\"v\":1}]",
		"[{\"n\":\"/3/0\",\"v\":1}]",
		"[{\"v\":1}]",
		"[{\"n\":\"/3/0/9\",\"v\":1e999}]",
		"[{\"n\":\"/3/0/0\",\"vs\":\"\xFF\"}]",
		"[{\"n\":\"/3/0/0\",\"vs\":\"a",
		"[{\"n\":\"/3/0/0\",\"vs\":\"a\\",
		"[{\"n\":\"/3/0/9\",\"v\":12345678901234567890123}]x",
		"[[[[[[[[[[[[[[[[",
		"[{\"n\":\"/3/0/9\",\"v\":1,\"x\":[[[[[[[1]]]]]]]}]",
		"[{\"bn\":\"/3333333333333333333333333333333333333333333333333333333333333333333\"}]",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refused(f, FORMAT_SENML_JSON, "/", span_str(cases[i]), CODEC_MALFORMED);
	/* Other labels, whatever they hold, do not matter. */
	decode_json(state, "/", "[{\"n\":\"/3/0/9\",\"v\":1,\"x\":[[[[[[1]]]]]]}]", "/3/0/9 INTEGER 1");
	decode_json(state, "/", "[{\"n\":\"/3/0/9\",\"v\":1,\"x\":[{\"y\":[1,2]}],\"_z\":null}]",
		    "/3/0/9 INTEGER 1");
}

static void refuses_what_is_no_senml_cbor(void **state)
{
	static const char *const cases[] = {
		"81",
		"A0",
		"00",
		"F6",
		"8100",
		"8180",
		"81A0",
		"81A1",
		"81A100",
		"81 A1 00 05",
		"81 A1 21 05",
		"81 A2 00 66\"/3/0/9\" 02",
		"82 A2 00 66\"/3/0/9\" 02 01",
		"81 A2 00 66\"/3/0/9\" 02 01 00",
		"81 A2 00 66\"/3/0/9\" 02 80",
		"81 A2 00 66\"/3/0/9\" 02 A0",
		"81 A2 00 66\"/3/0/9\" 02 FF",
		"81 A2 00 66\"/3/0/9\" 02 1C",
		"81 A2 00 66\"/3/0/9\" 02 C4 01",
		"81 A2 00 66\"/3/0/9\" 02 C4 8101",
		"81 A2 00 66\"/3/0/9\" 02 C4 82 01 F4",
		"81 A2 00 66\"/3/0/9\" 02 C4 9F 01 01 01 FF",
		"81 A2 00 66\"/3/0/9\" 02 C4 82 1AFFFFFFFF 01",
		"81 A2 00 66\"/3/0/9\" 02 3B8000000000000000",
		"81 A2 00 66\"/3/0/9\" 02 C1C1C1C1C1C1C1C1C1 01",
		"81 A2 00 66\"/3/0/9\" 03 7F 41 61 FF",
		"81 A2 00 66\"/3/0/9\" 03 7F 7F 61 61 FF FF",
		"81 A2 00 66\"/3/0/9\" 03 7F 61 61",
		"81 A3 00 66\"/3/0/9\" 02 01 03 61\"a\"",
		"81 A3 00 66\"/3/0/9\" 02 01 62\"x_\" 01",
		"81 A3 00 66\"/3/0/9\" 02 01 06 F97E00",
		"81 A3 00 66\"/3/0/9\" 02 01 06 F97C00",
		"81 A3 00 66\"/3/0/9\" 02 01 06 F5",
		"81 A3 00 66\"/3/0/9\" 02 01 18 64 FF",
		"9F A2 00 66\"/3/0/9\" 02 01",
		"9F BF 00 66\"/3/0/9\" 02 01 FF",
		"9F BF 00 FF FF",
		"9BFFFFFFFFFFFFFFFF A2 00 66\"/3/0/9\" 02 01",
		"81 BBFFFFFFFFFFFFFFFF 00 66\"/3/0/9\" 02 01",
		"81 A2 00 66\"/3/0/9\" 03 7BFFFFFFFFFFFFFFFF 61",
		"C1",
		"D9D9F7",
		"81 A2 8100 66\"/3/0/9\" 02 01",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refused(f, FORMAT_SENML_CBOR, "/", from_hex(f, cases[i]), CODEC_MALFORMED);
	/* Other labels, whatever they hold, do not matter. */
	decode_cbor(
		state, "/",
		"D9D9F7 81 A4 00 66\"/3/0/9\" 1864 9F 82 01 BF 01 5F 41 00 FF FF C1 01 FF 02 01 61\"x\" F6",
		"/3/0/9 INTEGER 1");
}

/* What the parser's tree would cost is known before it is built. */
static void json_is_charged_in_advance(void **state)
{
	struct fixture *f = *state;
	struct records list = records_of(&f->arena);

	set_base(f, "/");
	buffer_u8(&f->out, '[');
	for (unsigned i = 0; i < 1000; i++)
		buffer_str(&f->out, "{},");
	buffer_str(&f->out, "{}]");
	f->arena.limit = f->arena.used + 100 * f->out.len;
	assert_int_equal(codec_decode(&f->c, FORMAT_SENML_JSON, buffer_span(&f->out), &list), -ENOMEM);
	f->arena.limit = f->arena.used + 300 * f->out.len;
	assert_int_equal(codec_decode(&f->c, FORMAT_SENML_JSON, buffer_span(&f->out), &list),
			 CODEC_MALFORMED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(vectors),
		WITH_FIXTURE(names_may_be_cut_anywhere),
		WITH_FIXTURE(names_may_have_a_root),
		WITH_FIXTURE(only_what_was_asked_for),
		WITH_FIXTURE(times),
		WITH_FIXTURE(times_are_written),
		WITH_FIXTURE(base_values),
		WITH_FIXTURE(json_types),
		WITH_FIXTURE(json_strings),
		WITH_FIXTURE(cbor_types),
		WITH_FIXTURE(types_are_written),
		WITH_FIXTURE(paths_alone),
		WITH_FIXTURE(times_without_values),
		WITH_FIXTURE(refuses_what_is_no_senml_json),
		WITH_FIXTURE(refuses_what_is_no_senml_cbor),
		WITH_FIXTURE(json_is_charged_in_advance),
	};

	return cmocka_run_group_tests_name("codec_senml", tests, NULL, NULL);
}
