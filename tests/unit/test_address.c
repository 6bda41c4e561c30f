/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Addresses: text both ways, one form for each address, equality and hash by every field. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/address.h"

/* What is parsed, and how it is written. */
static void text_goes_both_ways(void **state)
{
	static const char *const cases[][2] = {
		{"192.0.2.7:56830", "192.0.2.7:56830"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"[2001:db8::1]:5683", "[2001:db8::1]:5683"},
		{"[2001:DB8:0:0:0:0:0:1]:5683", "[2001:db8::1]:5683"},
		{"[fe80::1%2]:5683", "[fe80::1%2]:5683"},
		{"[fe80::1%4294967295]:65535", "[fe80::1%4294967295]:65535"},
		{"[::ffff:192.0.2.7]:1", "192.0.2.7:1"},
		{"[::]:5683", "[::]:5683"},
		{":5683", "[::]:5683"},
		{"5683", "[::]:5683"},
		{"[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535",
		 "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[ADDRESS_TEXT];
		struct address a, again;

		assert_int_equal(address_parse(cases[i][0], &a), 0);
		assert_string_equal(address_format(&a, text), cases[i][1]);
		assert_int_equal(a.listener, 0);
		assert_int_equal(address_parse(text, &again), 0);
		assert_true(address_equal(&a, &again));
	}
}

static void other_text_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		":",
		"192.0.2.7",
		"192.0.2.7:",
		"192.0.2.7:65536",
		"192.0.2.7:-1",
		"192.0.2:80",
		"192.0.2.256:80",
		"localhost:80",
		"2001:db8::1:5683",
		"[2001:db8::1]",
		"[2001:db8::1]5683",
		"[2001:db8::g]:5683",
		"[]:5683",
		"[:5683",
		"]:5683",
		"[fe80::1%]:5683",
		"[fe80::1%eth0]:5683",
		"[192.0.2.7]:5683",
		"[fe80::1%4294967296]:5683",
		" 192.0.2.7:80",
		"192.0.2.7:80 ",
		"192.0.2.7 :80",
		"[2001:db8::1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address a = {.port = 7};

		assert_int_equal(address_parse(cases[i], &a), -EINVAL);
		assert_int_equal(a.port, 7);
	}
}

static void no_address_has_a_text(void **state)
{
	char text[ADDRESS_TEXT];
	struct address a = {0};

	(void)state;
	assert_string_equal(address_format(&a, text), "none");
}

static void every_field_counts(void **state)
{
	static const struct siphash_key key = {{1, 2, 3}};
	struct address base, others[5];

	(void)state;
	assert_int_equal(address_parse("192.0.2.7:5683", &base), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = base;
	others[0].ip[3]++;
	others[1].port++;
	others[2].family = 6;
	others[3].scope = 1;
	others[4].listener = 1;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_false(address_equal(&base, &others[i]));
		assert_true(address_hash(&key, &base) != address_hash(&key, &others[i]));
	}
	others[4].listener = 0;
	assert_true(address_equal(&base, &others[4]));
	assert_true(address_hash(&key, &base) == address_hash(&key, &others[4]));
}

static void mapped_addresses_are_ipv4(void **state)
{
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 7};
	struct address a = {.port = 5683}, plain;
	uint8_t ip[16];

	(void)state;
	memset(a.ip, 0xee, sizeof(a.ip));
	address_set_ip6(&a, mapped, 0);
	assert_int_equal(address_parse("192.0.2.7:5683", &plain), 0);
	assert_true(address_equal(&a, &plain));
	address_get_ip6(&a, ip);
	assert_memory_equal(ip, mapped, sizeof(ip));
	assert_int_equal(address_parse("[2001:db8::1]:5683", &plain), 0);
	address_get_ip6(&plain, ip);
	address_set_ip6(&a, ip, 0);
	assert_true(address_equal(&a, &plain));
}

static void loopback_is_known(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} cases[] = {
		{"127.0.0.1:1", true},		{"127.255.0.9:1", true}, {"[::1]:1", true},
		{"126.0.0.1:1", false},		{"[::]:1", false},	 {"[7f00::1]:1", false},
		{"[::ffff:127.0.0.1]:1", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address a;

		assert_int_equal(address_parse(cases[i].text, &a), 0);
		assert_int_equal(address_is_loopback(&a), cases[i].loopback);
	}
}

static void wildcards_are_known(void **state)
{
	static const struct {
		const char *text;
		bool any;
	} cases[] = {{"0.0.0.0:1", true},
		     {"[::]:1", true},
		     {":1", true},
		     {"0.0.0.1:1", false},
		     {"[::1]:1", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address a;

		assert_int_equal(address_parse(cases[i].text, &a), 0);
		assert_int_equal(address_is_any(&a), cases[i].any);
	}
	assert_false(address_is_any(&(struct address){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_goes_both_ways),	     cmocka_unit_test(other_text_is_refused),
		cmocka_unit_test(no_address_has_a_text),     cmocka_unit_test(every_field_counts),
		cmocka_unit_test(mapped_addresses_are_ipv4), cmocka_unit_test(loopback_is_known),
		cmocka_unit_test(wildcards_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
