/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Pools: objects are apart, cleared whenever they are taken, used again, and never more than the ceiling. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/random.h"

enum { OBJECTS = 5000, SIZE = 52 };

static bool is_filled(const uint8_t *object, uint8_t with)
{
	for (size_t i = 0; i < SIZE; i++)
		if (object[i] != with)
			return false;
	return true;
}

static void random_use_keeps_objects_apart(void **state)
{
	static uint8_t *objects[OBJECTS];
	struct random random;
	struct pool p;

	(void)state;
	random_init_seed(&random, 1);
	pool_init(&p, SIZE, OBJECTS);
	for (int round = 0; round < 100000; round++) {
		size_t i = random_u32(&random) % OBJECTS;

		if (objects[i]) {
			assert_true(is_filled(objects[i], (uint8_t)(i | 1)));
			pool_give(&p, objects[i]);
			objects[i] = NULL;
			continue;
		}
		objects[i] = pool_take(&p);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 8, 0);
		assert_true(is_filled(objects[i], 0));
		memset(objects[i], (int)(i | 1), SIZE);
	}
	pool_deinit(&p);
}

static void the_ceiling_holds(void **state)
{
	struct pool p;
	void *last = NULL;

	(void)state;
	pool_init(&p, 3, 1000);
	for (int i = 0; i < 1000; i++)
		assert_non_null(last = pool_take(&p));
	assert_null(pool_take(&p));
	assert_int_equal(p.used, 1000);
	pool_give(&p, NULL);
	assert_int_equal(p.used, 1000);
	pool_give(&p, last);
	assert_ptr_equal(pool_take(&p), last);
	assert_null(pool_take(&p));
	pool_deinit(&p);
	assert_int_equal(p.used, 0);
	assert_non_null(pool_take(&p));
	pool_deinit(&p);
}

static void objects_larger_than_a_slab_are_served(void **state)
{
	struct pool p;
	uint8_t *a, *b;

	(void)state;
	pool_init(&p, 100000, SIZE_MAX);
	a = pool_take(&p);
	b = pool_take(&p);
	memset(a, 1, 100000);
	memset(b, 2, 100000);
	assert_int_equal(a[99999], 1);
	pool_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_use_keeps_objects_apart),
		cmocka_unit_test(the_ceiling_holds),
		cmocka_unit_test(objects_larger_than_a_slab_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
