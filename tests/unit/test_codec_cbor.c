/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* CBOR of one value (60): every type both ways, all forms that other encoders choose, and what is refused. */

#include "codec_fixture.h"

#include <errno.h>

static void agrees_with_the_vectors(void **state)
{
	check_vectors(*state, FORMAT_CBOR);
}

static void decodes_every_type(void **state)
{
	static const struct {
		const char *base, *payload, *record;
	} cases[] = {
		{"/3/0/0", "65\"shoal\"", "/3/0/0 STRING shoal"},
		{"/3/0/0", "60", "/3/0/0 STRING "},
		{"/3/0/0", "7F 62\"sh\" 63\"oal\" FF", "/3/0/0 STRING shoal"},
		{"/3/0/0", "61 FF", "misfit /3/0/0 OPAQUE ff"},
		{"/3/0/0", "45\"shoal\"", "/3/0/0 STRING shoal"},
		{"/3/0/9", "1864", "/3/0/9 INTEGER 100"},
		{"/3/0/9", "3863", "/3/0/9 INTEGER -100"},
		{"/3/0/9", "1B 0000000000000005", "/3/0/9 INTEGER 5"},
		{"/3/0/9", "3B 7FFFFFFFFFFFFFFF", "/3/0/9 INTEGER -9223372036854775808"},
		{"/3/0/9", "1B 8000000000000000", "misfit /3/0/9 UNSIGNED_INTEGER 9223372036854775808"},
		{"/3/0/9", "F9 4500", "/3/0/9 INTEGER 5"},
		{"/3/0/9", "F9 3E00", "misfit /3/0/9 FLOAT 1.5"},
		{"/3/0/9", "61\"5\"", "/3/0/9 INTEGER 5"},
		{"/3/0/9", "C4 82 02 05", "/3/0/9 INTEGER 500"},
		{"/1/0/13", "1B FFFFFFFFFFFFFFFF", "/1/0/13 UNSIGNED_INTEGER 18446744073709551615"},
		{"/1/0/13", "20", "misfit /1/0/13 INTEGER -1"},
		{"/6/0/0", "F9 3E00", "/6/0/0 FLOAT 1.5"},
		{"/6/0/0", "FA 47C35000", "/6/0/0 FLOAT 100000.0"},
		{"/6/0/0", "FB C010666666666666", "/6/0/0 FLOAT -4.1"},
		{"/6/0/0", "F9 0001", "/6/0/0 FLOAT 5.9604644775390625e-08"},
		{"/6/0/0", "F9 7C00", "/6/0/0 FLOAT inf"},
		{"/6/0/0", "05", "/6/0/0 FLOAT 5.0"},
		/* RFC 8949, 3.4.4: 27315e-2 */
		{"/6/0/0", "C4 82 21 19 6AB3", "/6/0/0 FLOAT 273.15"},
		{"/1/0/6", "F5", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "F4", "/1/0/6 BOOLEAN 0"},
		{"/1/0/6", "01", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "02", "misfit /1/0/6 INTEGER 2"},
		{"/5/0/0", "44 000102FF", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "40", "/5/0/0 OPAQUE "},
		{"/5/0/0", "5F 41 00 42 0102 FF", "/5/0/0 OPAQUE 000102"},
		{"/1/0/10", "64\"11:0\"", "/1/0/10 OBJLNK 11:0"},
		{"/1/0/10", "69\"FFFF:FFFF\"", "/1/0/10 OBJLNK 65535:65535"},
		{"/1/0/10", "6B\"65535:65535\"", "/1/0/10 OBJLNK 65535:65535"},
		{"/1/0/10", "62\"11\"", "misfit /1/0/10 STRING 11"},
		{"/42800/0/9", "66\"</3/0>\"", "/42800/0/9 CORELINK </3/0>"},
		/* An instance of a multiple resource. */
		{"/3/0/6/1", "05", "/3/0/6/1 INTEGER 5"},
		{"/3/0/6", "05", "misfit /3/0/6 INTEGER 5"},
		/* Without a model the wire says what it is. */
		{"/9999/0/0", "05", "/9999/0/0 INTEGER 5"},
		{"/9999/0/0", "61\"5\"", "/9999/0/0 STRING 5"},
		{"/9999/0/0/7", "F5", "/9999/0/0/7 BOOLEAN 1"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_decoded(f, FORMAT_CBOR, cases[i].base, from_hex(f, cases[i].payload), cases[i].record);
}

static void tells_the_time_in_three_ways(void **state)
{
	static const struct {
		const char *base, *payload, *record;
	} cases[] = {
		{"/3/0/13", "1A 5182428F", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C1 1A 5182428F", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C1 FB 41D46090A3C00000", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C1 20", "/3/0/13 TIME -1"},
		{"/3/0/13", "C1 F9 3E00", "misfit /3/0/13 FLOAT 1.5"},
		{"/3/0/13", "C0 74\"2013-05-02T10:40:15Z\"", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "D9D9F7 C0 74\"2013-05-02T10:40:15Z\"", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C0 7F 6A\"2013-05-02\" 6A\"t10:40:15z\" FF", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C0 7819\"2013-05-02T12:40:15+02:00\"", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C0 7819\"2013-05-01T23:10:15-11:30\"", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C0 7817\"2013-05-02T10:40:15.00Z\"", "/3/0/13 TIME 1367491215"},
		{"/3/0/13", "C0 74\"1970-01-01T00:00:00Z\"", "/3/0/13 TIME 0"},
		{"/3/0/13", "C0 74\"1969-12-31T23:59:59Z\"", "/3/0/13 TIME -1"},
		{"/3/0/13", "C0 74\"2000-02-29T00:00:00Z\"", "/3/0/13 TIME 951782400"},
		{"/3/0/13", "C0 74\"0000-02-29T00:00:00Z\"", "/3/0/13 TIME -62162121600"},
		{"/3/0/13", "C0 74\"9999-12-31T23:59:59Z\"", "/3/0/13 TIME 253402300799"},
		{"/3/0/13", "C0 74\"2016-12-31T23:59:60Z\"", "/3/0/13 TIME 1483228800"},
		{"/9999/0/0", "C0 74\"1970-01-01T00:00:01Z\"", "/9999/0/0 TIME 1"},
		{"/9999/0/0", "C1 01", "/9999/0/0 TIME 1"},
		/* Where text is wanted a date is text. */
		{"/3/0/0", "C0 74\"2013-05-02T10:40:15Z\"", "/3/0/0 STRING 2013-05-02T10:40:15Z"},
	};
	static const char *const no_dates[] = {
		"C0 74\"2013-02-29T10:40:15Z\"",
		"C0 74\"1900-02-29T10:40:15Z\"",
		"C0 74\"2013-00-02T10:40:15Z\"",
		"C0 74\"2013-13-02T10:40:15Z\"",
		"C0 74\"2013-05-00T10:40:15Z\"",
		"C0 74\"2013-04-31T10:40:15Z\"",
		"C0 74\"2013-12-32T10:40:15Z\"",
		"C0 74\"2013-05-02 10:40:15Z\"",
		"C0 74\"2013-05-02T24:40:15Z\"",
		"C0 74\"2013-05-02T10:60:15Z\"",
		"C0 74\"2013-05-02T10:40:61Z\"",
		"C0 74\"2013/05-02T10:40:15Z\"",
		"C0 74\"2013-05-02T10-40:15Z\"",
		"C0 74\"201x-05-02T10:40:15Z\"",
		"C0 73\"2013-05-02T10:40:15\"",
		"C0 75\"2013-05-02T10:40:15Zx\"",
		"C0 75\"2013-05-02T10:40:15.Z\"",
		"C0 76\"2013-05-02T10:40:15.5Z\"",
		"C0 7818\"2013-05-02T12:40:15+02:0\"",
		"C0 7819\"2013-05-02T12:40:15+24:00\"",
		"C0 7819\"2013-05-02T12:40:15+02:60\"",
		"C0 7819\"2013-05-02T12:40:15 02:00\"",
		"C0 60",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_decoded(f, FORMAT_CBOR, cases[i].base, from_hex(f, cases[i].payload), cases[i].record);
	for (size_t i = 0; i < ARRAY_SIZE(no_dates); i++) {
		struct records list = records_of(&f->arena);

		set_base(f, "/3/0/13");
		assert_int_equal(codec_decode(&f->c, FORMAT_CBOR, from_hex(f, no_dates[i]), &list), CODEC_OK);
		if (!list.items[0].misfit || list.items[0].value.type != VALUE_STRING)
			fail_msg("%s was taken for a date", no_dates[i]);
	}
}

static void encodes_every_type(void **state)
{
	static const struct {
		const char *base, *record, *payload;
	} cases[] = {
		{"/3/0/0", "/3/0/0 STRING shoal", "65\"shoal\""},
		{"/3/0/0", "/3/0/0 STRING ", "60"},
		{"/3/0/9", "/3/0/9 INTEGER -100", "3863"},
		{"/3/0/9", "/3/0/9 STRING 42", "182A"},
		{"/1/0/13", "/1/0/13 UNSIGNED_INTEGER 255", "18FF"},
		{"/9999/0/0", "/9999/0/0 UNSIGNED_INTEGER 18446744073709551615", "1BFFFFFFFFFFFFFFFF"},
		{"/6/0/0", "/6/0/0 FLOAT 1.5", "F93E00"},
		{"/6/0/0", "/6/0/0 FLOAT 100000.0", "FA47C35000"},
		{"/6/0/0", "/6/0/0 FLOAT -4.1", "FBC010666666666666"},
		{"/6/0/0", "/6/0/0 FLOAT nan", "F97E00"},
		{"/6/0/0", "/6/0/0 INTEGER 5", "F94500"},
		{"/1/0/6", "/1/0/6 BOOLEAN 1", "F5"},
		{"/1/0/6", "/1/0/6 INTEGER 0", "F4"},
		{"/5/0/0", "/5/0/0 OPAQUE 000102ff", "44000102FF"},
		{"/3/0/13", "/3/0/13 TIME 1367491215", "1A5182428F"},
		/* Nobody but the tag says that it is one. */
		{"/9999/0/0", "/9999/0/0 TIME 1367491215", "C11A5182428F"},
		{"/9999/0/0", "/9999/0/0 TIME -1", "C120"},
		{"/9999/0/0", "/9999/0/0 INTEGER 1367491215", "1A5182428F"},
		{"/1/0/10", "/1/0/10 OBJLNK 11:0", "64\"11:0\""},
		{"/42800/0/9", "/42800/0/9 CORELINK </3/0>", "66\"</3/0>\""},
		{"/3/0/6/1", "/3/0/6/1 INTEGER 5", "05"},
		{"/3/0", "/3/0/9 INTEGER 5", "05"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_encoded(f, FORMAT_CBOR, cases[i].base, cases[i].record, from_hex(f, cases[i].payload));
	expect_not_encoded(f, FORMAT_CBOR, "/3/0", "/3/0/0 STRING a\n/3/0/1 STRING b", CODEC_UNSUPPORTED);
	expect_not_encoded(f, FORMAT_CBOR, "/3/0", "", CODEC_UNSUPPORTED);
	expect_not_encoded(f, FORMAT_CBOR, "/3/0/9", "/3/0/9 STRING abc", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_CBOR, "/3/0/0", "/3/0/0 NONE", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_CBOR, "/3/0/6", "/3/0/6 INTEGER 1", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_CBOR, "/3/0/4", "/3/0/4 INTEGER 1", CODEC_MISFIT);
}

static void refuses_what_is_no_value(void **state)
{
	static const char *const bad[] = {"",	"18",	 "62 41", "80",	     "81 05",	"A0",	      "FF",
					  "F6", "F7",	 "05 05", "C1",	     "C0 FF",	"1C",	      "5F 05",
					  "5F", "9F FF", "C4",	  "C4 8101", "C4 8301", "C4 82 20 F5"};
	struct fixture *f = *state;
	struct records list = records_of(&f->arena);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(f, FORMAT_CBOR, "/3/0/9", from_hex(f, bad[i]), CODEC_MALFORMED);
	expect_refused(f, FORMAT_CBOR, "/3/0", from_hex(f, "05"), CODEC_UNSUPPORTED);
	expect_refused(f, FORMAT_CBOR, "/", from_hex(f, "05"), CODEC_UNSUPPORTED);
	/* What is put together has to fit into the arena. */
	set_base(f, "/5/0/0");
	f->arena.limit = f->arena.used;
	assert_int_equal(codec_decode(&f->c, FORMAT_CBOR, span_of("\x5F\x41\x00\xFF", 4), &list), -ENOMEM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(agrees_with_the_vectors),	    WITH_FIXTURE(decodes_every_type),
		WITH_FIXTURE(tells_the_time_in_three_ways), WITH_FIXTURE(encodes_every_type),
		WITH_FIXTURE(refuses_what_is_no_value),
	};

	return cmocka_run_group_tests_name("codec_cbor", tests, NULL, NULL);
}
