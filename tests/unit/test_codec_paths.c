/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Lists of paths, byte for byte, both ways. */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/codec.h"

#include <errno.h>

static const struct path paths[] = {{{3, 0, 0}, 3}, {{1, 1, 1, 0}, 4}, {{0}, 0}};

static void in_cbor(void **state)
{
	static const uint8_t expected[] = "\x83\xa1\x00\x66/3/0/0\xa1\x00\x68/1/1/1/0\xa1\x00\x61/";
	_cleanup_buffer_ struct buffer out = buffer_of(1024);

	(void)state;
	assert_int_equal(codec_encode_paths(FORMAT_SENML_CBOR, span_str(""), paths, 3, &out), CODEC_OK);
	assert_int_equal(out.len, sizeof(expected) - 1);
	assert_memory_equal(out.data, expected, out.len);
}

static void in_json(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(1024);

	(void)state;
	assert_int_equal(codec_encode_paths(FORMAT_SENML_JSON, span_str(""), paths, 3, &out), CODEC_OK);
	assert_string_equal((const char *)out.data,
			    "[{\"n\":\"/3/0/0\"},{\"n\":\"/1/1/1/0\"},{\"n\":\"/\"}]");
}

static void behind_an_alternate_path(void **state)
{
	static const uint8_t expected[] = "\x81\xa1\x00\x6c/lwm2m/3/0/0";
	_cleanup_buffer_ struct buffer cbor = buffer_of(1024), json = buffer_of(1024);

	(void)state;
	assert_int_equal(codec_encode_paths(FORMAT_SENML_CBOR, span_str("/lwm2m"), paths, 1, &cbor),
			 CODEC_OK);
	assert_int_equal(cbor.len, sizeof(expected) - 1);
	assert_memory_equal(cbor.data, expected, cbor.len);
	assert_int_equal(codec_encode_paths(FORMAT_SENML_JSON, span_str("/a\"b"), paths, 1, &json), CODEC_OK);
	assert_string_equal((const char *)json.data, "[{\"n\":\"/a\\u0022b/3/0/0\"}]");
}

static void in_nothing_else(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(8);

	(void)state;
	assert_int_equal(codec_encode_paths(FORMAT_TLV, span_str(""), paths, 3, &out), CODEC_UNSUPPORTED);
	assert_int_equal(codec_encode_paths(FORMAT_SENML_JSON, span_str(""), paths, 3, &out), -ENOMEM);
}

/* --- And back --- */

enum { PATHS_MAX = 5, TEXT_MAX = 200, ARENA = 1 << 16 };

/* Paths as text, with a blank behind each; or the outcome. */
static void expect_paths(uint16_t format, const void *payload, size_t len, const char *root,
			 const char *expected, int outcome)
{
	_cleanup_arena_ struct arena arena = {0};
	struct codec_context c = {.root = span_str(root), .arena = &arena};
	struct path found[PATHS_MAX];
	char text[TEXT_MAX] = "", one[PATH_TEXT];
	uint8_t *exact = malloc(len + !len);
	size_t count = 99;
	int rc;

	assert_non_null(exact);
	if (len)
		memcpy(exact, payload, len);
	arena_init(&arena, ARENA);
	rc = codec_decode_paths(&c, format, span_of(exact, len), found, PATHS_MAX, &count);
	free(exact);
	if (rc != outcome)
		fail_msg("%d, not %d: %s", rc, outcome, c.error);
	for (size_t i = 0; i < count; i++) {
		assert_true(strlen(text) + PATH_TEXT + 2 < sizeof(text));
		strcat(strcat(text, path_format(&found[i], one)), " ");
	}
	assert_string_equal(text, expected);
	assert_true(rc <= 0 || c.error[0]);
}

static void expect_json(const char *json, const char *root, const char *expected, int outcome)
{
	expect_paths(FORMAT_SENML_JSON, json, strlen(json), root, expected, outcome);
}

#define EXPECT_CBOR(literal, expected, outcome) \
	expect_paths(FORMAT_SENML_CBOR, literal, sizeof(literal) - 1, "", expected, outcome)

static void read_from_json(void **state)
{
	(void)state;
	/* lwm2m.md, 1.6: seen on the wire. */
	expect_json("[{\"n\":\"/3/0/0\"},{\"n\":\"/1/1/1\"},{\"n\":\"/999/0/0\"}]", "",
		    "/3/0/0 /1/1/1 /999/0/0 ", CODEC_OK);
	expect_json("[{\"n\":\"/\"}]", "", "/ ", CODEC_OK);
	expect_json("[{\"n\":\"3/0/6/1\"}]", "", "/3/0/6/1 ", CODEC_OK);
	expect_json("[]", "", "", CODEC_OK);
	/* Names cut anywhere; a base name is asked for where it stands alone. */
	expect_json("[{\"bn\":\"/3/0/\",\"n\":\"0\"},{\"n\":\"6/1\"},{\"bn\":\"/1\",\"n\":\"/0/1\"}]", "",
		    "/3/0/0 /3/0/6/1 /1/0/1 ", CODEC_OK);
	expect_json("[{\"bn\":\"/3\"},{\"n\":\"/0/9\"},{\"bn\":\"/5/0/\"}]", "", "/3 /3/0/9 /5/0 ", CODEC_OK);
	/* The same again is asked for again; times are not our concern. */
	expect_json("[{\"n\":\"/4\",\"t\":-5},{\"n\":\"/4\",\"bt\":5,\"u\":\"m\"}]", "", "/4 /4 ", CODEC_OK);
}

static void read_from_cbor(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(1024);

	(void)state;
	EXPECT_CBOR("\x83\xa1\x00\x66/3/0/0\xa1\x00\x66/1/1/1\xa1\x00\x68/999/0/0", "/3/0/0 /1/1/1 /999/0/0 ",
		    CODEC_OK);
	EXPECT_CBOR("\x9f\xbf\x21\x63/3/\x00\x63"
		    "0/9\xff\xff",
		    "/3/0/9 ", CODEC_OK);
	EXPECT_CBOR("\x80", "", CODEC_OK);
	/* What is written is read. */
	assert_int_equal(codec_encode_paths(FORMAT_SENML_CBOR, span_str("/x"), paths, 3, &out), CODEC_OK);
	expect_paths(FORMAT_SENML_CBOR, out.data, out.len, "/x", "/3/0/0 /1/1/1/0 / ", CODEC_OK);
}

static void read_with_and_without_the_root(void **state)
{
	(void)state;
	expect_json("[{\"n\":\"/lwm2m/3/0\"},{\"n\":\"/3/0\"},{\"bn\":\"/lwm2m\",\"n\":\"/1/0\"},"
		    "{\"bn\":\"/lwm2m/\",\"n\":\"5\"},{\"bn\":\"/lw\",\"n\":\"m2m/4/0\"}]",
		    "/lwm2m", "/3/0 /3/0 /1/0 /5 /4/0 ", CODEC_OK);
	expect_json("[{\"n\":\"/lwm2m/3/0\"}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"n\":\"/other/3/0\"}]", "/lwm2m", "", CODEC_MALFORMED);
}

static void read_nothing_else(void **state)
{
	(void)state;
	expect_json("[{\"n\":\"/3/0/0\",\"v\":1}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"n\":\"/3/0/0\",\"vs\":null}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"n\":\"/3/0/0\",\"bv\":1}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"n\":\"/3/0/0/0/0\"}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"n\":\"/3\"},{}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"n\":\"/3\"},{\"n\":5}]", "", "", CODEC_MALFORMED);
	expect_json("{}", "", "", CODEC_MALFORMED);
	expect_json("", "", "", CODEC_MALFORMED);
	EXPECT_CBOR("", "", CODEC_MALFORMED);
	EXPECT_CBOR("\x82\xa1\x00\x62/3", "", CODEC_MALFORMED);
	EXPECT_CBOR("\x81\xa1\x00\x62/3\x00", "", CODEC_MALFORMED);
	expect_paths(FORMAT_TLV, "", 0, "", "", CODEC_UNSUPPORTED);
	/* One more than there is room for. */
	expect_json("[{\"bn\":\"/3\"},{\"bn\":\"/3\"},{\"bn\":\"/3\"},{\"bn\":\"/3\"},{\"bn\":\"/3\"}]", "",
		    "/3 /3 /3 /3 /3 ", CODEC_OK);
	expect_json("[{\"bn\":\"/3\"},{},{\"bn\":\"/3\"}]", "", "", CODEC_MALFORMED);
	expect_json("[{\"bn\":\"/3\"},{\"bn\":\"/3\"},{\"bn\":\"/3\"},{\"bn\":\"/3\"},{\"bn\":\"/3\"},"
		    "{\"bn\":\"/3\"}]",
		    "", "", -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_cbor),
		cmocka_unit_test(in_json),
		cmocka_unit_test(behind_an_alternate_path),
		cmocka_unit_test(in_nothing_else),
		cmocka_unit_test(read_from_json),
		cmocka_unit_test(read_from_cbor),
		cmocka_unit_test(read_with_and_without_the_root),
		cmocka_unit_test(read_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
