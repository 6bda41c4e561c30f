/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Random sources: the seeded one repeats itself, the kernel's never does and keeps nothing that it handed
 * out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

static void a_seed_gives_the_same_bytes_again(void **state)
{
	uint8_t a[100], b[100];
	struct random r;

	(void)state;
	random_init_seed(&r, 42);
	random_fill(&r, a, sizeof(a));
	random_init_seed(&r, 42);
	random_fill(&r, b, sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
	random_init_seed(&r, 43);
	random_fill(&r, b, sizeof(b));
	assert_memory_not_equal(a, b, 8);
}

/* First outputs of SplitMix64 for the seed 1234567, as published with the algorithm. */
static void the_seeded_source_is_splitmix64(void **state)
{
	static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u};
	struct random r;

	(void)state;
	random_init_seed(&r, 1234567);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(random_u64(&r), expected[i]);
}

static void kernel_bytes_do_not_repeat(void **state)
{
	uint64_t seen[1000];
	struct random r;

	(void)state;
	random_init_kernel(&r);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		seen[i] = random_u64(&r);
		for (size_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
	assert_true(random_u32(&r) != random_u32(&r) || random_u32(&r) != random_u32(&r));
}

static void kernel_bytes_are_wiped_once_used(void **state)
{
	static const uint8_t zeroes[40];
	struct random r;
	uint8_t out[40];

	(void)state;
	random_init_kernel(&r);
	random_fill(&r, out, sizeof(out));
	assert_memory_not_equal(out, zeroes, sizeof(out));
	assert_int_equal(r.used, sizeof(out));
	assert_memory_equal(r.block, zeroes, sizeof(out));
	assert_memory_not_equal(r.block + sizeof(out), zeroes, sizeof(out));
}

/* All lengths around the block: each byte of the result has to be set at some time. */
static void every_byte_is_filled(void **state)
{
	static const size_t lengths[] = {1, 7, 255, 256, 257, 1000};
	struct random sources[2];

	(void)state;
	random_init_kernel(&sources[0]);
	random_init_seed(&sources[1], 9);
	for (size_t i = 0; i < ARRAY_SIZE(sources) * ARRAY_SIZE(lengths); i++) {
		size_t len = lengths[i / 2];
		uint8_t set[1000] = {0}, out[1001];

		for (int round = 0; round < 20; round++) {
			memset(out, 0, sizeof(out));
			random_fill(&sources[i % 2], out, len);
			assert_int_equal(out[len], 0);
			for (size_t j = 0; j < len; j++)
				set[j] |= out[j];
		}
		for (size_t j = 0; j < len; j++)
			assert_int_not_equal(set[j], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_bytes_again),
		cmocka_unit_test(the_seeded_source_is_splitmix64),
		cmocka_unit_test(kernel_bytes_do_not_repeat),
		cmocka_unit_test(kernel_bytes_are_wiped_once_used),
		cmocka_unit_test(every_byte_is_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
