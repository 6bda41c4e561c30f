/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* What a table of slots has to be, whatever the hash. That the hash is the one documented: tests/oracle. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "cluster/slots.h"

#include <errno.h>

enum { MANY = 20, ROUNDS = 20 };

static void make(const struct slot_member *members, size_t count, struct slot_table *out)
{
	assert_int_equal(slot_table_make(members, count, out), 0);
}

static unsigned owned(const struct slot_table *t, uint32_t node)
{
	unsigned count = 0;

	for (size_t i = 0; i < SLOTS; i++)
		count += t->node[i] == node;
	return count;
}

/* Five standard deviations of as many throws: a hash that is none would be far off. */
static void assert_share(unsigned count, double share)
{
	double off = count - SLOTS * share, variance = SLOTS * share * (1 - share);

	assert_true(off * off <= 25 * variance + 1);
}

static void shuffle(struct random *r, struct slot_member *members, size_t count)
{
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = random_u32(r) % (i + 1);
		struct slot_member m = members[i];

		members[i] = members[j];
		members[j] = m;
	}
}

static size_t some_members(struct random *r, struct slot_member *members)
{
	size_t count = 2 + random_u32(r) % (MANY - 1);

	for (size_t i = 0; i < count; i++)
		members[i] = (struct slot_member){.node = random_u32(r) | 1, .weight = 1};
	return count;
}

static void test_few(void **state)
{
	static const struct slot_member one = {7, 3};
	struct slot_table t;

	(void)state;
	make(NULL, 0, &t);
	assert_int_equal(owned(&t, 0), SLOTS);
	make(&one, 1, &t);
	assert_int_equal(owned(&t, 7), SLOTS);
}

static void test_order(void **state)
{
	struct slot_member members[MANY];
	struct slot_table a, b;
	struct random r;

	(void)state;
	random_init_seed(&r, 1);
	for (int round = 0; round < ROUNDS; round++) {
		size_t count = some_members(&r, members);

		make(members, count, &a);
		shuffle(&r, members, count);
		make(members, count, &b);
		assert_int_equal(slot_table_moved(&a, &b), 0);
	}
}

static void test_shares(void **state)
{
	struct slot_member members[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}};
	struct slot_table t;

	(void)state;
	make(members, ARRAY_SIZE(members), &t);
	for (uint32_t node = 1; node <= 5; node++)
		assert_share(owned(&t, node), 0.2);
	members[2].weight = 4;
	make(members, ARRAY_SIZE(members), &t);
	assert_share(owned(&t, 3), 0.5);
	assert_share(owned(&t, 1), 0.125);
}

/* Who joins takes its share, from all alike, and nothing else moves. Seen backwards: who leaves. */
static void test_join_and_leave(void **state)
{
	struct slot_member members[MANY + 1];
	struct slot_table before, after;
	struct random r;

	(void)state;
	random_init_seed(&r, 2);
	for (int round = 0; round < ROUNDS; round++) {
		size_t count = some_members(&r, members);
		uint32_t joined = 2 * (uint32_t)(round + 1);
		unsigned moved;

		members[count] = (struct slot_member){joined, 1};
		make(members, count, &before);
		make(members, count + 1, &after);
		moved = slot_table_moved(&before, &after);
		assert_int_equal(moved, owned(&after, joined));
		assert_share(moved, 1.0 / (double)(count + 1));
		for (size_t i = 0; i < count; i++) {
			double share = 1.0 / (double)(count * (count + 1));

			assert_share(owned(&before, members[i].node) - owned(&after, members[i].node), share);
		}
	}
}

/* More weight only adds, and takes away only from others. */
static void test_weight_grows(void **state)
{
	struct slot_member members[] = {{1, 1}, {2, 1}, {3, 1}};
	struct slot_table before, after;

	(void)state;
	make(members, 3, &before);
	for (uint32_t weight = 2; weight <= SLOT_WEIGHT_MAX; weight++) {
		members[1].weight = weight;
		make(members, 3, &after);
		for (size_t i = 0; i < SLOTS; i++)
			assert_true(after.node[i] == before.node[i] || after.node[i] == 2);
		assert_share(owned(&after, 2), weight / (weight + 2.0));
		before = after;
	}
}

static void test_refused(void **state)
{
	static const struct slot_member zero[] = {{1, 1}, {0, 1}}, twice[] = {{1, 1}, {2, 1}, {1, 2}};
	static const struct slot_member light = {1, 0}, heavy = {1, SLOT_WEIGHT_MAX + 1};
	static struct slot_member many[SLOT_MEMBERS_MAX + 1];
	struct slot_table t = {.node = {99}};

	(void)state;
	for (uint32_t i = 0; i <= SLOT_MEMBERS_MAX; i++)
		many[i] = (struct slot_member){i + 1, 1};
	assert_int_equal(slot_table_make(zero, 2, &t), -EINVAL);
	assert_int_equal(slot_table_make(twice, 3, &t), -EINVAL);
	assert_int_equal(slot_table_make(&light, 1, &t), -EINVAL);
	assert_int_equal(slot_table_make(&heavy, 1, &t), -EINVAL);
	assert_int_equal(slot_table_make(many, SLOT_MEMBERS_MAX + 1, &t), -EINVAL);
	assert_int_equal(t.node[0], 99);
	assert_int_equal(slot_table_make(many, SLOT_MEMBERS_MAX, &t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),	     cmocka_unit_test(test_order),
		cmocka_unit_test(test_shares),	     cmocka_unit_test(test_join_and_leave),
		cmocka_unit_test(test_weight_grows), cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("cluster_slots", tests, NULL, NULL);
}
