/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* SipHash-2-4 against the test vectors of its authors: key 00 01 .. 0f, input 00 01 .. of each length. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/siphash.h"

static const struct {
	size_t len;
	uint64_t hash;
} vectors[] = {
	{0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
	{3, 0x85676696d7fb7e2d},  {4, 0xcf2794e0277187b7},  {5, 0x18765564cd99a68d},
	{6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
	{9, 0x9e0082df0ba9e4b0},  {10, 0x7a5dbbc594ddb9f3}, {11, 0xf4b32f46226bada7},
	{12, 0x751e8fbc860ee5fb}, {13, 0x14ea5627c0843d90}, {14, 0xf723ca908e7af2ee},
	{15, 0xa129ca6149be45e5}, {16, 0x3f2acc7f57c29bdb}, {31, 0x32d892fad841c342},
	{32, 0x7127512f72f27cce}, {63, 0x958a324ceb064572},
};

static void the_authors_vectors_hold(void **state)
{
	struct siphash_key key;

	(void)state;
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t *input = malloc(vectors[i].len + 1);

		/* One byte on, so that words are read from odd addresses, too. */
		for (size_t j = 0; j < vectors[i].len; j++)
			input[j + 1] = (uint8_t)j;
		assert_int_equal(siphash(&key, span_of(input + 1, vectors[i].len)), vectors[i].hash);
		free(input);
	}
}

static void the_key_matters(void **state)
{
	struct siphash_key a = {{0}}, b = {{[15] = 1}};

	(void)state;
	assert_true(siphash(&a, span_str("endpoint")) != siphash(&b, span_str("endpoint")));
	assert_true(siphash(&a, (struct span){NULL, 0}) != siphash(&b, (struct span){NULL, 0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_authors_vectors_hold),
		cmocka_unit_test(the_key_matters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
