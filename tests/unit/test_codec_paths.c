/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Lists of paths, byte for byte. */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_cbor),
		cmocka_unit_test(in_json),
		cmocka_unit_test(behind_an_alternate_path),
		cmocka_unit_test(in_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
