/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* URIs of servers: what is accepted, with which defaults, and what is not. */

#include "coap_test.h"

#include "coap/uri.h"

#include <errno.h>

static void test_accepted(void **state)
{
	static const struct {
		const char *text;
		bool secure;
		const char *address;
	} cases[] = {
		{"coap://192.0.2.7", false, "192.0.2.7:5683"},
		{"coaps://192.0.2.7", true, "192.0.2.7:5684"},
		{"coap://192.0.2.7:1234", false, "192.0.2.7:1234"},
		{"coaps://192.0.2.7:1234/", true, "192.0.2.7:1234"},
		{"COAPS://192.0.2.7/", true, "192.0.2.7:5684"},
		{"coap://192.0.2.7:", false,
		 "192.0.2.7:5683"}, /* RFC 3986, 3.2.3: an empty port is the default */
		{"192.0.2.7", false, "192.0.2.7:5683"},
		{"192.0.2.7:65535", false, "192.0.2.7:65535"},
		{"[2001:db8::1]", false, "[2001:db8::1]:5683"},
		{"coaps://[2001:db8::1]", true, "[2001:db8::1]:5684"},
		{"coap://[2001:db8::1]:99", false, "[2001:db8::1]:99"},
		{"coap://[fe80::1%2]/", false, "[fe80::1%2]:5683"},
		{"coap://[::ffff:192.0.2.7]", false, "192.0.2.7:5683"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_uri uri;
		char text[ADDRESS_TEXT];

		if (coap_uri_parse(cases[i].text, &uri) != 0)
			fail_msg("refused: %s", cases[i].text);
		assert_string_equal(address_format(&uri.address, text), cases[i].address);
		assert_int_equal(uri.secure, cases[i].secure);
	}
}

static void test_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"/",
		":5683",
		"5683",
		"coap://",
		"coap:///",
		"coap://:5683",
		"coap:192.0.2.7",
		"coap+tcp://192.0.2.7",
		"http://192.0.2.7",
		"coap://example.org",
		"coap://192.0.2.7/rd",
		"coap://192.0.2.7//",
		"coap://192.0.2.7?x",
		"coap://192.0.2.7#x",
		"coap://192.0.2.7:0",
		"coap://192.0.2.7:65536",
		"coap://192.0.2.7:12x",
		"coap://192.0.2.7:1:2",
		"coap://192.0.2.256",
		"coap://user@192.0.2.7",
		"coap://2001:db8::1",
		"coap://[2001:db8::1",
		"coap://[2001:db8::1]5683",
		"coap://[2001:db8::g]",
		"coap://[]",
		"coap://[192.0.2.7]",
		" coap://192.0.2.7",
		"coap://192.0.2.7 ",
		"coap://[2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000]:5683",
		/* One character more than fits: it must not lose the last digit of its port. */
		"coap://[fe80::1%000000000000000000000000000000000000000000000000000000002]:5683",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_uri uri = {.secure = true, .address.port = 7};

		if (coap_uri_parse(cases[i], &uri) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(uri.address.port, 7); /* untouched */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused)};

	return cmocka_run_group_tests_name("coap_uri", tests, NULL, NULL);
}
