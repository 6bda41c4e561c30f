/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The formats that carry one value - text, link-format, octets - with Base64, and what the table of codecs
 * decides. */

#include "codec_fixture.h"

#include "codec/base64.h"

#include <errno.h>

static void decodes_text(void **state)
{
	static const struct {
		const char *base, *text, *record;
	} cases[] = {
		{"/3/0/0", "shoal", "/3/0/0 STRING shoal"},
		{"/3/0/0", "", "/3/0/0 STRING "},
		{"/3/0/0", "K\xC3\xB6ln", "/3/0/0 STRING K\xC3\xB6ln"},
		{"/3/0/0", "K\xF6ln", "misfit /3/0/0 OPAQUE 4bf66c6e"},
		{"/3/0/9", "-42", "/3/0/9 INTEGER -42"},
		{"/3/0/9", "3e1", "/3/0/9 INTEGER 30"},
		{"/3/0/9", "3.5", "misfit /3/0/9 STRING 3.5"},
		{"/3/0/9", "", "misfit /3/0/9 STRING "},
		{"/3/0/9", "9223372036854775808", "misfit /3/0/9 STRING 9223372036854775808"},
		{"/3/0/6/1", "5", "/3/0/6/1 INTEGER 5"},
		{"/3/0/6", "5", "misfit /3/0/6 INTEGER 5"},
		{"/3/0/9/0", "5", "misfit /3/0/9/0 INTEGER 5"},
		{"/3/0/4", "5", "misfit /3/0/4 STRING 5"},
		{"/3/0/13", "1367491215", "/3/0/13 TIME 1367491215"},
		{"/1/0/6", "1", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "0", "/1/0/6 BOOLEAN 0"},
		{"/1/0/6", "true", "/1/0/6 BOOLEAN 1"},
		{"/1/0/6", "2", "misfit /1/0/6 STRING 2"},
		{"/6/0/0", "-43.5723", "/6/0/0 FLOAT -43.5723"},
		{"/6/0/0", "4e2", "/6/0/0 FLOAT 400.0"},
		{"/1/0/10", "11:65535", "/1/0/10 OBJLNK 11:65535"},
		{"/1/0/10", "FFFF:FFFF", "/1/0/10 OBJLNK 65535:65535"},
		{"/1/0/10", "11", "misfit /1/0/10 STRING 11"},
		{"/1/0/13", "18446744073709551615", "/1/0/13 UNSIGNED_INTEGER 18446744073709551615"},
		{"/5/0/0", "AAEC/w==", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "AAEC_w", "/5/0/0 OPAQUE 000102ff"},
		{"/5/0/0", "", "/5/0/0 OPAQUE "},
		{"/5/0/0", "no base64!", "misfit /5/0/0 OPAQUE 6e6f2062617365363421"},
		/* Without a model text is text. */
		{"/9999/0/0", "5", "/9999/0/0 STRING 5"},
		{"/9999/0/0", "\xFF", "misfit /9999/0/0 OPAQUE ff"},
		{"/3/0/99", "5", "/3/0/99 STRING 5"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		expect_decoded(*state, FORMAT_TEXT, cases[i].base, span_str(cases[i].text), cases[i].record);
		expect_decoded(*state, FORMAT_OLD_TEXT, cases[i].base, span_str(cases[i].text),
			       cases[i].record);
	}
	expect_refused(*state, FORMAT_TEXT, "/3/0", span_str("5"), CODEC_UNSUPPORTED);
	expect_refused(*state, FORMAT_TEXT, "/", span_str("5"), CODEC_UNSUPPORTED);
}

static void encodes_text(void **state)
{
	static const struct {
		const char *base, *record, *text;
	} cases[] = {
		{"/3/0/0", "/3/0/0 STRING shoal", "shoal"},
		{"/3/0/0", "/3/0/0 STRING ", ""},
		{"/3/0/9", "/3/0/9 INTEGER -42", "-42"},
		{"/3/0/9", "/3/0/9 STRING 42", "42"},
		{"/3/0/9", "/3/0/9 FLOAT 42.0", "42"},
		{"/3/0/0", "/3/0/0 INTEGER 42", "42"},
		{"/3/0/13", "/3/0/13 TIME 1367491215", "1367491215"},
		{"/1/0/6", "/1/0/6 BOOLEAN 1", "1"},
		{"/6/0/0", "/6/0/0 FLOAT -43.5723", "-43.5723"},
		{"/6/0/0", "/6/0/0 INTEGER 5", "5.0"},
		{"/1/0/10", "/1/0/10 OBJLNK 11:0", "11:0"},
		{"/5/0/0", "/5/0/0 OPAQUE 000102ff", "AAEC/w=="},
		{"/5/0/0", "/5/0/0 OPAQUE fb", "+w=="},
		{"/9999/0/0", "/9999/0/0 UNSIGNED_INTEGER 18446744073709551615", "18446744073709551615"},
		{"/9999/0/0", "/9999/0/0 CORELINK </3/0>", "</3/0>"},
		{"/3/0/6/1", "/3/0/6/1 INTEGER 5", "5"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_encoded(*state, FORMAT_TEXT, cases[i].base, cases[i].record, span_str(cases[i].text));
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0", "/3/0/0 STRING a\n/3/0/1 STRING b",
			   CODEC_UNSUPPORTED);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0", "", CODEC_UNSUPPORTED);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/9", "/3/0/9 STRING abc", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/9", "/3/0/9 FLOAT 4.5", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/0", "/3/0/0 STRING \xFF", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/4", "/3/0/4 STRING a", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/6", "/3/0/6 INTEGER 1", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/9", "/3/0/9/0 INTEGER 1", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/6/0/0", "/6/0/0 FLOAT nan", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0/0", "/3/0/0 NONE", CODEC_MISFIT);
	expect_not_encoded(*state, FORMAT_TEXT, "/3/0", "/3/0 STRING a", CODEC_MISFIT);
}

static void carries_octets(void **state)
{
	struct fixture *f = *state;

	expect_decoded(f, FORMAT_OPAQUE, "/5/0/0", from_hex(f, "000102ff"), "/5/0/0 OPAQUE 000102ff");
	expect_decoded(f, FORMAT_OLD_OPAQUE, "/5/0/0", from_hex(f, "00"), "/5/0/0 OPAQUE 00");
	expect_decoded(f, FORMAT_OPAQUE, "/5/0/0", span_str(""), "/5/0/0 OPAQUE ");
	expect_decoded(f, FORMAT_OPAQUE, "/9999/0/0", span_str("a"), "/9999/0/0 OPAQUE 61");
	expect_decoded(f, FORMAT_OPAQUE, "/3/0/0", span_str("shoal"), "/3/0/0 STRING shoal");
	expect_decoded(f, FORMAT_OPAQUE, "/3/0/0", span_str("\xFF"), "misfit /3/0/0 OPAQUE ff");
	expect_decoded(f, FORMAT_OPAQUE, "/3/0/9", span_str("5"), "misfit /3/0/9 OPAQUE 35");
	expect_refused(f, FORMAT_OPAQUE, "/5/0", span_str("a"), CODEC_UNSUPPORTED);
	expect_encoded(f, FORMAT_OPAQUE, "/5/0/0", "/5/0/0 OPAQUE 000102ff", from_hex(f, "000102ff"));
	expect_not_encoded(f, FORMAT_OPAQUE, "/3/0/0", "/3/0/0 STRING a", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_OPAQUE, "/3/0/0", "/3/0/0 NONE", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_OPAQUE, "/5/0", "", CODEC_UNSUPPORTED);
	expect_not_encoded(f, FORMAT_OPAQUE, "/5/0/0", "/5/0/0 STRING abc", CODEC_MISFIT);
}

static void carries_links(void **state)
{
	struct fixture *f = *state;

	expect_decoded(f, FORMAT_LINK, "/3", span_str("</3>;ver=1.1,</3/0>"),
		       "/3 CORELINK </3>;ver=1.1,</3/0>");
	expect_decoded(f, FORMAT_LINK, "/3/0/9", span_str("</3/0/9>"), "/3/0/9 CORELINK </3/0/9>");
	expect_decoded(f, FORMAT_LINK, "/", span_str(""), "/ CORELINK ");
	expect_refused(f, FORMAT_LINK, "/3", span_str("</3\xFF>"), CODEC_MALFORMED);
	expect_encoded(f, FORMAT_LINK, "/3", "/3 CORELINK </3>", span_str("</3>"));
	expect_not_encoded(f, FORMAT_LINK, "/3", "/3 STRING </3>", CODEC_UNSUPPORTED);
	expect_not_encoded(f, FORMAT_LINK, "/3", "", CODEC_UNSUPPORTED);
}

static void finds_codecs(void **state)
{
	static const struct {
		uint16_t format, found;
		const char *name;
		bool single;
	} cases[] = {
		{0, 0, "TEXT", true},
		{40, 40, "LINK", true},
		{42, 42, "OPAQUE", true},
		{60, 60, "CBOR", true},
		{110, 110, "SENML_JSON", false},
		{112, 112, "SENML_CBOR", false},
		{11542, 11542, "TLV", false},
		{11543, 11543, "JSON", false},
		{1541, 0, "TEXT", true},
		{1542, 11542, "TLV", false},
		{1543, 11543, "JSON", false},
		{1544, 42, "OPAQUE", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct codec *codec = codec_find(cases[i].format);

		assert_non_null(codec);
		assert_int_equal(codec->format, cases[i].found);
		assert_string_equal(codec->name, cases[i].name);
		assert_int_equal(codec->max_count_one, cases[i].single);
		assert_ptr_equal(codec_find_name(span_str(cases[i].name)), codec);
	}
	assert_ptr_equal(codec_find_name(span_str("senml_Cbor")), codec_find(112));
	assert_null(codec_find_name(span_str("SENML")));
	assert_null(codec_find_name(span_str("")));
	assert_null(codec_find(FORMAT_NONE));
	assert_null(codec_find(1));
	expect_refused(*state, 666, "/3/0/0", span_str("a"), CODEC_UNSUPPORTED);
	expect_refused(*state, 666, "/3/0/0", span_str(""), CODEC_UNSUPPORTED);
	expect_not_encoded(*state, 666, "/3/0/0", "/3/0/0 STRING a", CODEC_UNSUPPORTED);
	expect_not_encoded(*state, FORMAT_NONE, "/3/0/0", "/3/0/0 STRING a", CODEC_UNSUPPORTED);
}

static void guesses_formats(void **state)
{
	struct fixture *f = *state;

	expect_decoded(f, FORMAT_NONE, "/3/0/9", span_str("5"), "/3/0/9 INTEGER 5");
	expect_decoded(f, FORMAT_NONE, "/3/0/6/0", span_str("5"), "/3/0/6/0 INTEGER 5");
	expect_decoded(f, FORMAT_NONE, "/9999/0/1", span_str("[5]"), "/9999/0/1 STRING [5]");
	expect_decoded(f, FORMAT_NONE, "/3/0/6", from_hex(f, "8306410000"), "/3/0/6/0 INTEGER 0");
	expect_decoded(f, FORMAT_NONE, "/3/0", from_hex(f, "C10905"), "/3/0/9 INTEGER 5");
	expect_decoded(f, FORMAT_NONE, "/3/0", span_str("[{\"bn\":\"/3/0/9\",\"v\":5}]"), "/3/0/9 INTEGER 5");
	expect_decoded(f, FORMAT_NONE, "/3/0", span_str("{\"e\":[{\"n\":\"9\",\"v\":5}]}"),
		       "/3/0/9 INTEGER 5");
	expect_decoded(f, FORMAT_NONE, "/9999/0/1", span_str("{}"), "/9999/0/1 STRING {}");
	expect_decoded(f, FORMAT_NONE, "/", span_str("[{\"bn\":\"/3/0/9\",\"v\":5}]"), "/3/0/9 INTEGER 5");
	expect_decoded(f, FORMAT_NONE, "/", from_hex(f, "81 A2 21 66\"/3/0/9\" 02 05"), "/3/0/9 INTEGER 5");
}

static void an_empty_answer_is_an_answer(void **state)
{
	struct fixture *f = *state;
	static const uint16_t formats[] = {FORMAT_TLV, FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_JSON};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		expect_decoded(f, formats[i], "/2", span_str(""), "/2 NONE");
		expect_decoded(f, formats[i], "/3/0", span_str(""), "/3/0 NONE");
		expect_decoded(f, formats[i], "/3/0/6", span_str(""), "/3/0/6 NONE");
		expect_decoded(f, formats[i], "/9999/0/6", span_str(""), "/9999/0/6 NONE");
		expect_refused(f, formats[i], "/3/0/0", span_str(""), CODEC_MALFORMED);
		expect_refused(f, formats[i], "/3/0/6/0", span_str(""), CODEC_MALFORMED);
		expect_decoded(f, formats[i], "/", span_str(""), "");
	}
}

static void refuses_bad_lists(void **state)
{
	struct fixture *f = *state;

	expect_not_encoded(f, FORMAT_SENML_CBOR, "/3/0", "/3/1/0 STRING a", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_SENML_CBOR, "/3/0/0", "/3/0 NONE", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_SENML_CBOR, "/3/0", "/3/0/1 STRING a\n/3/0/0 STRING b", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_SENML_CBOR, "/3/0", "/3/0/0 STRING a\n/3/0/0 STRING b", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_SENML_CBOR, "/3/0", "/3/0/0 STRING@1 a\n/3/0/0 STRING b", CODEC_MISFIT);
}

static void keeps_to_its_ceilings(void **state)
{
	struct fixture *f = *state;
	struct records list = records_of(&f->arena);
	struct record record = {.path = {{3, 0, 0}, 3}, .value = {.type = VALUE_STRING}};
	struct buffer small = buffer_of(10);

	set_base(f, "/5/0/0");
	f->arena.limit = f->arena.used + 100;
	assert_int_equal(codec_decode(&f->c, FORMAT_OPAQUE, span_str("a"), &list), -ENOMEM);
	assert_int_equal(list.count, 0);
	set_base(f, "/3/0");
	record.value.bytes = span_str("longer than ten bytes");
	assert_int_equal(codec_encode(&f->c, FORMAT_TLV, &record, 1, &small), -ENOMEM);
	assert_int_equal(small.len, 0);
	buffer_deinit(&small);
	for (size_t limit = 0; limit < 40; limit++) {
		struct buffer tight = buffer_of(limit);

		assert_int_equal(codec_encode(&f->c, FORMAT_SENML_JSON, &record, 1, &tight), -ENOMEM);
		buffer_deinit(&tight);
		tight = buffer_of(MIN(limit, 30));
		assert_int_equal(codec_encode(&f->c, FORMAT_SENML_CBOR, &record, 1, &tight), -ENOMEM);
		buffer_deinit(&tight);
	}
}

static void base64_goes_both_ways(void **state)
{
	static const struct {
		const char *bytes, *standard, *url;
	} cases[] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"},
		{"fooba", "Zm9vYmE=", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
		{"\xFB\xFF\xFE", "+//+", "-__-"},
	};
	static const char *const bad[] = {"Z",	   "Zg=",    "Zg===", "=",	"==",	"Zm9v=", "Zm9vY",
					  "Zm 9v", "Zm9v\n", "Z=g=",  "Zm8=Zg", "Zm9*", "Zm8==", "===="};
	struct fixture *f = *state;
	struct span out;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span bytes = span_str(cases[i].bytes);

		f->out.len = 0;
		buffer_str(&f->out, "");
		base64_encode(&f->out, bytes, BASE64_STANDARD);
		assert_string_equal((char *)f->out.data, cases[i].standard);
		f->out.len = 0;
		buffer_str(&f->out, "");
		base64_encode(&f->out, bytes, BASE64_URL);
		assert_string_equal((char *)f->out.data, cases[i].url);
		assert_int_equal(base64_decode(span_str(cases[i].standard), &f->arena, &out), BASE64_OK);
		assert_true(span_equal(out, bytes));
		assert_int_equal(base64_decode(span_str(cases[i].url), &f->arena, &out), BASE64_OK);
		assert_true(span_equal(out, bytes));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (base64_decode(span_str(bad[i]), &f->arena, &out) != BASE64_MALFORMED)
			fail_msg("%s was taken for Base64", bad[i]);
	/* Both alphabets in one text, and bits that say nothing. */
	assert_int_equal(base64_decode(span_str("-//-Zh"), &f->arena, &out), BASE64_OK);
	assert_true(span_is(out, "\xFB\xFF\xFE"
				 "f"));
	f->arena.limit = f->arena.used;
	assert_int_equal(base64_decode(span_str("Zg"), &f->arena, &out), -ENOMEM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(decodes_text),	     WITH_FIXTURE(encodes_text),
		WITH_FIXTURE(carries_octets),	     WITH_FIXTURE(carries_links),
		WITH_FIXTURE(finds_codecs),	     WITH_FIXTURE(guesses_formats),
		WITH_FIXTURE(refuses_bad_lists),     WITH_FIXTURE(an_empty_answer_is_an_answer),
		WITH_FIXTURE(keeps_to_its_ceilings), WITH_FIXTURE(base64_goes_both_ways),
	};

	return cmocka_run_group_tests_name("codec_text", tests, NULL, NULL);
}
