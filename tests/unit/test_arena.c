/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Arenas: pieces do not overlap, the ceiling holds, a reset brings the first chunk back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void pieces_are_aligned_and_apart(void **state)
{
	_cleanup_arena_ struct arena a;
	uint8_t *pieces[300];

	(void)state;
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		pieces[i] = arena_alloc(&a, i * 7);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)(i % 251), i * 7);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		for (size_t j = 0; j < i * 7; j++)
			assert_int_equal(pieces[i][j], i % 251);
}

static void empty_pieces_have_addresses_of_their_own(void **state)
{
	_cleanup_arena_ struct arena a;
	void *first;

	(void)state;
	arena_init(&a, 1024);
	first = arena_alloc(&a, 0);
	assert_non_null(first);
	assert_ptr_not_equal(first, arena_alloc(&a, 0));
}

static void the_ceiling_holds(void **state)
{
	_cleanup_arena_ struct arena a;

	(void)state;
	arena_init(&a, 10000);
	assert_null(arena_alloc(&a, 10001));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 15));
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 6000));
	assert_null(arena_alloc(&a, 4001));
	assert_non_null(arena_alloc(&a, 4000));
	assert_null(arena_alloc(&a, 1));
	assert_true(a.used <= a.limit);
	arena_reset(&a);
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 9984));
	/* The room between pieces counts, too. */
	a.limit = 9999;
	assert_null(arena_alloc(&a, 15));
	assert_true(a.used <= a.limit);
}

static void a_reset_brings_the_first_chunk_back(void **state)
{
	_cleanup_arena_ struct arena a;
	void *first, *again;

	(void)state;
	arena_init(&a, 1 << 20);
	arena_reset(&a);
	first = arena_alloc(&a, 100);
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_alloc(&a, 1000));
	arena_reset(&a);
	again = arena_alloc(&a, 100);
	assert_ptr_equal(first, again);
}

static void copies_are_terminated(void **state)
{
	_cleanup_arena_ struct arena a;
	struct span copy;

	(void)state;
	arena_init(&a, 64);
	copy = arena_dup(&a, span_str("endpoint"));
	assert_string_equal(copy.data, "endpoint");
	assert_int_equal(copy.len, 8);
	copy = arena_dup(&a, (struct span){NULL, 0});
	assert_string_equal(copy.data, "");
	copy = arena_dup(&a, span_of("0123456789012345678901234567890123456789", 40));
	assert_null(copy.data);
	assert_int_equal(copy.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_and_apart),
		cmocka_unit_test(empty_pieces_have_addresses_of_their_own),
		cmocka_unit_test(the_ceiling_holds),
		cmocka_unit_test(a_reset_brings_the_first_chunk_back),
		cmocka_unit_test(copies_are_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
