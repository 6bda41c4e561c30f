/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The map against a plain array that says which items ought to be in it, with hashes good and bad. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/random.h"

enum { ITEMS = 3000 };

struct item {
	uint32_t key;
	uint32_t hash;
	bool present;
};

static bool match_key(const void *item, const void *key)
{
	return ((const struct item *)item)->key == *(const uint32_t *)key;
}

static void check_walk(const struct map *m, const struct item *items, uint32_t count)
{
	static bool seen[ITEMS];
	uint32_t cursor = 0, found = 0;
	const struct item *item;

	memset(seen, 0, sizeof(seen));
	while ((item = map_next(m, &cursor))) {
		assert_true(item->present);
		assert_false(seen[item - items]);
		seen[item - items] = true;
		found++;
	}
	assert_int_equal(found, count);
}

/* Inserts, removes and finds at random; `mask` makes hashes collide as much as one likes. */
static void run_against_model(uint32_t mask, uint64_t seed)
{
	static struct item items[ITEMS];
	struct random random;
	uint32_t count = 0;
	struct map m;

	random_init_seed(&random, seed);
	map_init(&m);
	for (uint32_t i = 0; i < ITEMS; i++)
		items[i] = (struct item){.key = i, .hash = random_u32(&random) & mask};
	for (int round = 0; round < 60000; round++) {
		/* Phases of growth and of decline. */
		bool grow = round / 10000 % 2 == 0;
		struct item *item = &items[random_u32(&random) % ITEMS];

		assert_ptr_equal(map_find(&m, item->hash, match_key, &item->key),
				 item->present ? item : NULL);
		if (!item->present && (grow || round % 4 == 0)) {
			assert_int_equal(map_insert(&m, item->hash, item), 0);
			item->present = true;
			count++;
		} else if (!grow || round % 4 == 0) {
			assert_int_equal(map_remove(&m, item->hash, item), item->present);
			count -= item->present;
			item->present = false;
		}
		assert_int_equal(m.count, count);
		if (round % 5000 == 0)
			check_walk(&m, items, count);
	}
	for (uint32_t i = 0; i < ITEMS; i++)
		assert_ptr_equal(map_find(&m, items[i].hash, match_key, &items[i].key),
				 items[i].present ? &items[i] : NULL);
	map_deinit(&m);
}

static void agrees_with_the_model(void **state)
{
	(void)state;
	run_against_model(UINT32_MAX, 1);
}

static void agrees_when_hashes_collide(void **state)
{
	(void)state;
	run_against_model(0x3f, 2);
}

/* Runs of entries that wrap around the end of the table are where a gap is closed wrongly. */
static void agrees_when_runs_wrap_around(void **state)
{
	(void)state;
	run_against_model(0xfffffff0, 3);
	run_against_model(0x80000001, 4);
}

static bool match_any(const void *item, const void *key)
{
	(void)item;
	(void)key;
	return true;
}

static void an_empty_map_answers(void **state)
{
	struct map m;
	uint32_t cursor = 0;
	int item;

	(void)state;
	map_init(&m);
	assert_null(map_find(&m, 0, match_any, NULL));
	assert_false(map_remove(&m, 0, &item));
	assert_null(map_next(&m, &cursor));
	assert_int_equal(map_insert(&m, 5, &item), 0);
	assert_true(map_remove(&m, 5, &item));
	assert_null(map_find(&m, 5, match_any, NULL));
	assert_false(map_remove(&m, 5, &item));
	map_deinit(&m);
	map_deinit(&m);
}

static void equal_hashes_keep_items_apart(void **state)
{
	struct item a = {.key = 1}, b = {.key = 2}, c = {.key = 1};
	struct map m;

	(void)state;
	map_init(&m);
	assert_int_equal(map_insert(&m, 0, &a), 0);
	assert_int_equal(map_insert(&m, 0, &b), 0);
	assert_int_equal(map_insert(&m, 1, &c), 0);
	assert_ptr_equal(map_find(&m, 0, match_key, &a.key), &a);
	assert_ptr_equal(map_find(&m, 0, match_key, &b.key), &b);
	assert_true(map_remove(&m, 0, &a));
	assert_false(map_remove(&m, 0, &a));
	assert_ptr_equal(map_find(&m, 0, match_key, &b.key), &b);
	assert_ptr_equal(map_find(&m, 1, match_key, &c.key), &c);
	assert_false(map_remove(&m, 7, &b));
	map_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_model),	 cmocka_unit_test(agrees_when_hashes_collide),
		cmocka_unit_test(agrees_when_runs_wrap_around),	 cmocka_unit_test(an_empty_map_answers),
		cmocka_unit_test(equal_hashes_keep_items_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
