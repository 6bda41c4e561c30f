/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The table of devices, against a plain array; with hashes that collide on purpose. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/random.h"
#include "store/overlay.h"

enum { KEYS = 400 };

static uint64_t hash_of(size_t i)
{
	/* Every fourth begins its search at the same place; all are different. */
	return i % 4 ? (uint64_t)i * 0x9e3779b97f4a7c15 | 1 : (uint64_t)(i + 1) << 32 | 5;
}

static void check(const struct overlay *o, const uint64_t *numbers)
{
	uint32_t count = 0;

	for (size_t i = 0; i < KEYS; i++) {
		const struct overlay_item *item = overlay_find(o, hash_of(i));

		assert_int_equal(item != NULL, numbers[i] != 0);
		if (item)
			assert_int_equal(item->number, numbers[i]);
		count += item != NULL;
	}
	assert_int_equal(o->count, count);
}

static void it_holds_what_was_put_and_not_removed(void **state)
{
	uint64_t numbers[KEYS] = {0};
	struct random random;
	struct overlay o;

	(void)state;
	random_init_seed(&random, 1);
	overlay_init(&o);
	for (uint64_t step = 1; step < 20000; step++) {
		size_t i = random_u32(&random) % KEYS;

		if (random_u32(&random) % 2) {
			assert_int_equal(overlay_reserve(&o, 1), 0);
			overlay_put(&o, &(struct overlay_item){.hash = hash_of(i), .number = step});
			numbers[i] = step;
		} else {
			overlay_remove(&o, hash_of(i));
			numbers[i] = 0;
		}
		if (step % 100 == 0)
			check(&o, numbers);
	}
	overlay_deinit(&o);
}

static void an_empty_one_finds_and_removes_nothing(void **state)
{
	struct overlay o;
	size_t cursor = 0;

	(void)state;
	overlay_init(&o);
	assert_null(overlay_find(&o, 1));
	overlay_remove(&o, 1);
	assert_null(overlay_next(&o, &cursor));
	overlay_reset(&o, 10);
	overlay_deinit(&o);
}

static void walking_visits_each_once(void **state)
{
	bool seen[KEYS] = {false};
	size_t cursor = 0, count = 0;
	struct overlay o;

	(void)state;
	overlay_init(&o);
	assert_int_equal(overlay_reserve(&o, KEYS), 0);
	for (size_t i = 0; i < KEYS; i++)
		overlay_put(&o, &(struct overlay_item){.hash = hash_of(i), .number = i});
	for (const struct overlay_item *item; (item = overlay_next(&o, &cursor)); count++) {
		assert_false(seen[item->number]);
		seen[item->number] = true;
	}
	assert_int_equal(count, KEYS);
	overlay_deinit(&o);
}

static void a_reserve_is_enough_and_never_more_than_seven_eighths(void **state)
{
	struct overlay o;

	(void)state;
	overlay_init(&o);
	for (size_t more = 1; more < 3000; more += 97) {
		const struct overlay_item *items;
		uint32_t mask;

		assert_int_equal(overlay_reserve(&o, more), 0);
		items = o.items;
		mask = o.mask;
		for (size_t i = 0; i < more; i++)
			overlay_put(&o, &(struct overlay_item){.hash = (uint64_t)more << 32 | (i + 1)});
		assert_ptr_equal(o.items, items);
		assert_true(o.count <= ((uint64_t)mask + 1) * 7 / 8);
	}
	overlay_deinit(&o);
}

static void a_reset_forgets_and_gives_back_a_peak(void **state)
{
	struct overlay o;
	uint32_t peak;

	(void)state;
	overlay_init(&o);
	assert_int_equal(overlay_reserve(&o, 10000), 0);
	overlay_put(&o, &(struct overlay_item){.hash = 7});
	peak = o.mask;
	overlay_reset(&o, 9000);
	assert_int_equal(o.mask, peak);
	assert_int_equal(o.count, 0);
	assert_null(overlay_find(&o, 7));
	overlay_reset(&o, 10);
	assert_int_equal(o.mask, 0);
	overlay_deinit(&o);
}

static void a_hash_of_zero_is_kept_as_one(void **state)
{
	(void)state;
	assert_int_equal(overlay_hash(0), 1);
	assert_int_equal(overlay_hash(1), 1);
	assert_int_equal(overlay_hash(UINT64_MAX), UINT64_MAX);
}

static void an_item_is_half_a_cache_line(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct overlay_item), 32);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_holds_what_was_put_and_not_removed),
		cmocka_unit_test(an_empty_one_finds_and_removes_nothing),
		cmocka_unit_test(walking_visits_each_once),
		cmocka_unit_test(a_reserve_is_enough_and_never_more_than_seven_eighths),
		cmocka_unit_test(a_reset_forgets_and_gives_back_a_peak),
		cmocka_unit_test(a_hash_of_zero_is_kept_as_one),
		cmocka_unit_test(an_item_is_half_a_cache_line),
	};

	return cmocka_run_group_tests_name("store-overlay", tests, NULL, NULL);
}
