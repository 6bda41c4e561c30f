/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Who may write: the whole rule as one table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/fence.h"

enum { KEEP = STORE_RECORD_KEEP, PUT = STORE_RECORD_PUT, DELETE = STORE_RECORD_DELETE };
enum { DONE = STORE_DONE, ALREADY = STORE_ALREADY, REFUSED = STORE_REFUSED, BEHIND = STORE_BEHIND };
enum { ABSENT, LIVING, DEAD };

/* Stored is always node 1, incarnation 10, gen 5, number 100. */
static const struct {
	int stored;
	struct store_fence writer;
	uint64_t number;
	int change;
	int expected;
} cases[] = {
	/* nothing there */
	{ABSENT, {1, 5, 10}, 1, PUT, DONE},
	{ABSENT, {9, 0, 90}, 77, PUT, DONE},
	{ABSENT, {1, 5, 10}, 1, KEEP, BEHIND},
	{ABSENT, {1, 5, 10}, 101, DELETE, BEHIND},
	/* the owner */
	{LIVING, {1, 5, 10}, 101, KEEP, DONE},
	{LIVING, {1, 5, 10}, 101, PUT, DONE},
	{LIVING, {1, 5, 10}, 101, DELETE, DONE},
	{LIVING, {1, 5, 10}, 100, KEEP, ALREADY},
	{LIVING, {1, 5, 10}, 1, PUT, ALREADY},
	{LIVING, {1, 5, 10}, 100, DELETE, ALREADY},
	{LIVING, {1, 5, 10}, 102, KEEP, BEHIND},
	{LIVING, {1, 5, 10}, 102, PUT, BEHIND},
	/* somebody who was the owner, or says he is */
	{LIVING, {1, 4, 10}, 101, PUT, REFUSED},
	{LIVING, {1, 4, 10}, 100, PUT, REFUSED},
	{LIVING, {1, 6, 10}, 101, PUT, BEHIND},
	{LIVING, {1, 5, 11}, 101, PUT, REFUSED},
	{LIVING, {1, 6, 11}, 101, PUT, REFUSED},
	{LIVING, {2, 5, 10}, 101, PUT, REFUSED},
	{LIVING, {2, 6, 10}, 101, PUT, REFUSED},
	/* a tombstone: its owner */
	{DEAD, {1, 5, 10}, 101, PUT, DONE},
	{DEAD, {1, 5, 10}, 100, PUT, REFUSED},
	{DEAD, {1, 5, 10}, 1, PUT, REFUSED},
	{DEAD, {1, 5, 10}, 102, PUT, REFUSED},
	{DEAD, {1, 5, 10}, 101, KEEP, REFUSED},
	{DEAD, {1, 5, 10}, 2, KEEP, REFUSED},
	{DEAD, {1, 5, 10}, 100, DELETE, ALREADY},
	{DEAD, {1, 5, 10}, 99, DELETE, REFUSED},
	{DEAD, {1, 5, 10}, 101, DELETE, REFUSED},
	/* ... and others */
	{DEAD, {1, 6, 10}, 1, PUT, DONE},
	{DEAD, {2, 6, 20}, 1, PUT, DONE},
	{DEAD, {2, 6, 20}, 1, KEEP, REFUSED},
	{DEAD, {2, 5, 20}, 101, PUT, REFUSED},
	{DEAD, {1, 4, 10}, 101, PUT, REFUSED},
	{DEAD, {2, 5, 20}, 100, DELETE, REFUSED},
};

static void the_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fence_stored stored = {0};
		int result;

		if (cases[i].stored != ABSENT)
			stored = (struct fence_stored){true, cases[i].stored == DEAD, {1, 5, 10}, 100};
		result = (int)fence_check(&stored, &cases[i].writer, cases[i].number,
					  (enum store_record_change)cases[i].change);
		if (result != cases[i].expected)
			fail_msg("case %zu: %d, not %d", i, result, cases[i].expected);
	}
}

static void fences_are_equal_in_all_three(void **state)
{
	const struct store_fence f = {1, 2, 3};

	(void)state;
	assert_true(fence_equal(&f, &(struct store_fence){1, 2, 3}));
	assert_false(fence_equal(&f, &(struct store_fence){9, 2, 3}));
	assert_false(fence_equal(&f, &(struct store_fence){1, 9, 3}));
	assert_false(fence_equal(&f, &(struct store_fence){1, 2, 9}));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule),
		cmocka_unit_test(fences_are_equal_in_all_three),
	};

	return cmocka_run_group_tests_name("store-fence", tests, NULL, NULL);
}
