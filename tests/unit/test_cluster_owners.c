/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Devices that change hands: asked for, claimed, passed on; and what must hold whatever dies or is lost. */

#include "cluster_world.h"

#define NODE(id) (world.nodes[id])

static struct owners_stats stats_of(int id)
{
	struct owners_stats stats;

	owners_stats(NODE(id)->owners, &stats);
	return stats;
}

static void nodes_know_each_other(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		assert_true(members_joined(NODE(i)->members));
		assert_int_equal(members_count(NODE(i)->members), 3);
	}
	world_kill(2);
	world_pass(2000);
	assert_int_equal(members_count(NODE(1)->members), 3);
	world_pass(3000);
	assert_int_equal(members_count(NODE(1)->members), 2);
	assert_null(members_find(NODE(1)->members, 2));
	assert_false(members_is_live(NODE(1)->members, &(struct store_fence){2, 1, 2}));
}

static void an_outage_of_the_store_is_nobody_s_death(void **state)
{
	(void)state;
	world.store_away = true;
	world_pass(30000);
	assert_int_equal(members_count(NODE(1)->members), 3);
	assert_true(members_is_settling(NODE(1)->members));
	world_kill(3);
	world.store_away = false;
	world_pass(2000);
	assert_int_equal(members_count(NODE(1)->members), 3);
	world_pass(6000);
	assert_int_equal(members_count(NODE(1)->members), 2);
	assert_false(members_is_settling(NODE(1)->members));
}

static void a_store_that_stands_still_is_nobody_s_death(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) { /* in between two calls, or in the middle of either */
		world.store_stands = true;
		world_pass(12000);
		assert_true(members_is_settling(NODE(1)->members));
		world.store_stands = false;
		for (int k = 0; k < 30; k++) {
			world_pass(100);
			for (int id = 1; id <= 3; id++)
				assert_int_equal(members_count(NODE(id)->members), 3);
		}
		world_pass(3000 + (uint64_t)i * 300);
		assert_false(members_is_settling(NODE(1)->members));
	}
	world_kill(3);
	world_pass(6000);
	assert_int_equal(members_count(NODE(1)->members), 2);
}

static void after_an_outage_memory_and_store_are_compared(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		world_register(1, i);
	/* Device 0 was taken over from us, 1 is no longer known, 2 left; 3 is as it was. */
	world.rows[0].hot.fence = (struct store_fence){2, 2, (uint64_t)NODE(2)->incarnation};
	world.rows[1].exists = false;
	world.rows[2].exists = false;
	world.rows[2].deleted = true;
	world_pass(10000);
	assert_true(NODE(1)->actors[0].here); /* nobody looked */
	world.store_stands = true;
	world_pass(10000);
	world.store_stands = false;
	world_pass(3000);
	assert_false(NODE(1)->actors[0].here);
	assert_int_equal(world_owner(0), 2);
	assert_true(world.rows[1].exists);
	assert_int_equal(world_owner(1), 1);
	assert_false(world.rows[2].exists);
	assert_true(NODE(1)->actors[3].here && world.rows[3].exists);
}

static void an_id_is_held_by_one(void **state)
{
	struct world_node *first = NODE(1);

	(void)state;
	world_start(1);
	world_pass(10000);
	assert_int_equal(NODE(1)->refused, 1);
	assert_int_equal(first->refused, 0);
	assert_false(members_joined(NODE(1)->members));
}

static void a_start_waits_for_the_lease_before_it(void **state)
{
	(void)state;
	world_kill(1);
	world_start(1);
	world_pass(6000);
	assert_int_equal(NODE(1)->refused, 0);
	assert_true(members_joined(NODE(1)->members));
}

static void whoever_is_new_believes_nobody_dead(void **state)
{
	size_t told = 0;

	(void)state;
	world_register(1, 0);
	world_start(4);
	world_speak(4, 0, true);
	assert_int_equal(owners_where(NODE(4)->owners, world_key(0).endpoint, NULL, &told), -ENOBUFS);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	assert_int_equal(stats_of(4).claimed, 0);
	world_pass(1000);
	world_speak(4, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 4);
	assert_int_equal(stats_of(4).claimed, 0);
}

static void a_device_follows_its_datagrams(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak(1, 0, true);
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	assert_false(NODE(1)->actors[0].here);
	assert_true(NODE(2)->actors[0].here);
	/* The counter went along: same term, next number. */
	assert_int_equal(NODE(2)->actors[0].term, 1);
	assert_int_equal(NODE(2)->actors[0].counter, 2);
	assert_int_equal(world.sent, 2);
	assert_int_equal(stats_of(2).asked, 1);
	assert_int_equal(stats_of(2).claimed, 0);
	world_assert_pairs();
}

static void the_dead_are_inherited_from(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak(1, 0, true);
	world_kill(1);
	world_pass(6000);
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	assert_int_equal(NODE(2)->actors[0].term, 2);
	assert_int_equal(stats_of(2).asked, 0);
	assert_int_equal(stats_of(2).taken_over, 1);
	world_assert_pairs();
}

static void who_does_not_answer_is_claimed_from(void **state)
{
	(void)state;
	world_register(1, 0);
	NODE(1)->lose = 100;
	world_speak(2, 0, true);
	world_pass(500);
	assert_int_equal(world_owner(0), 1);
	world_pass(500);
	assert_int_equal(world_owner(0), 2);
	assert_int_equal(stats_of(2).asked, 2);
	assert_int_equal(NODE(2)->actors[0].term, 2);
	/* It was not told, but it cannot write any more. */
	assert_true(NODE(1)->actors[0].here);
	world_assert_pairs();
}

static void whoever_lost_it_is_told(void **state)
{
	(void)state;
	world_register(1, 0);
	NODE(2)->lose = 100; /* the answers are lost, so it claims */
	world_speak(2, 0, true);
	world_pass(1000);
	assert_int_equal(world_owner(0), 2);
	assert_false(NODE(1)->actors[0].here);
	world_assert_pairs();
}

static void what_only_names_a_device_is_passed_on(void **state)
{
	(void)state;
	world_register(1, 0);
	world.proof = OWNERS_NAMES;
	world_speak(2, 0, false);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	assert_int_equal(world.sent, 1);
	assert_int_equal(NODE(1)->inputs, 1);
	/* Of a dead node it is not taken for that either. */
	world_kill(1);
	world_pass(6000);
	world_speak(2, 0, false);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	assert_int_equal(NODE(2)->inputs, 1);
}

static void what_proves_nothing_changes_nothing(void **state)
{
	(void)state;
	world_register(1, 0);
	world.proof = OWNERS_NOT_ITS;
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	assert_int_equal(world.sent, 0);
	assert_int_equal(NODE(2)->inputs, 1); /* handled as a stranger's */
	/* And is not looked for again in a moment. */
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(stats_of(2).searches, 1);
	world_pass(3000);
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(stats_of(2).searches, 2);
}

static void a_replay_moves_nothing(void **state)
{
	(void)state;
	world_register(1, 0);
	NODE(1)->fresh = false;
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	assert_int_equal(stats_of(2).refused, 1);
	assert_int_equal(NODE(1)->inputs, 1); /* it sees for itself */
}

static void without_security_it_moves_once_a_second(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak(2, 0, false);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	world_speak(3, 0, false);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	assert_int_equal(NODE(2)->inputs, 2);
	world_pass(1100);
	world_speak(3, 0, false);
	world_settle();
	assert_int_equal(world_owner(0), 3);
}

static void of_an_unknown_outcome_nobody_is_sure(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak(1, 0, true);
	world_speak(2, 0, true);
	while (world.job_count && world.jobs[0].kind != WORLD_HAND_OVER)
		world_step();
	world.lose_replies = 100;
	world_step();
	world.lose_replies = 0;
	assert_int_equal(world_owner(0), 2);
	assert_false(NODE(1)->actors[0].here);
	world_settle();
	/* The new owner did not get the counter, so it has a term of its own. */
	assert_true(NODE(2)->actors[0].here);
	assert_int_equal(NODE(2)->actors[0].term, 3);
	world_assert_pairs();
}

static void late_datagrams_are_passed_on(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak(2, 0, true);
	world_settle();
	world_speak(1, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	assert_int_equal(stats_of(1).forwarded, 1);
	world_pass(2100);
	world_speak(1, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	/* It left node 2, comes back, and leaves node 1 again: that holds for longer. */
	world_pass(2100);
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	world_pass(3000);
	world_speak(1, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	world_pass(1100);
	world_speak(1, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	world_assert_pairs();
}

static void what_comes_meanwhile_follows_it(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak(2, 0, true);
	while (world.job_count && world.jobs[0].kind != WORLD_HAND_OVER)
		world_step();
	world_speak(1, 0, true); /* it is frozen there */
	world_settle();
	assert_int_equal(world_owner(0), 2);
	assert_int_equal(NODE(2)->actors[0].term, 1);
	assert_int_equal(stats_of(1).forwarded, 1);
	assert_int_equal(stats_of(1).claimed, 0);
	assert_int_equal(world.sent, 2);
	world_assert_pairs();
}

static void a_new_session_brings_its_device_in_any_case(void **state)
{
	(void)state;
	world_register(1, 0);
	world_speak_as(2, 0, PARCEL_SESSION);
	world_settle();
	assert_int_equal(world_owner(0), 2);
	/* Neither just arrived nor just left keeps it. */
	world_speak_as(1, 0, PARCEL_SESSION);
	world_settle();
	assert_int_equal(world_owner(0), 1);
	assert_int_equal(world.sent, 2);
	assert_int_equal(stats_of(1).forwarded + stats_of(2).forwarded, 0);
}

static enum owners_where asked_where;
static uint32_t asked_node;

static void on_where(void *ctx, enum owners_where where, uint32_t node)
{
	++*(size_t *)ctx;
	asked_where = where;
	asked_node = node;
}

static void callers_are_told_where_it_is(void **state)
{
	size_t told = 0;

	(void)state;
	assert_int_equal(owners_where(NODE(2)->owners, world_key(0).endpoint, on_where, &told), 0);
	world_settle();
	assert_int_equal(asked_where, OWNERS_NOWHERE);
	world_register(1, 0);
	assert_int_equal(owners_where(NODE(2)->owners, world_key(0).endpoint, on_where, &told), 0);
	world_settle();
	assert_int_equal(asked_where, OWNERS_AT);
	assert_int_equal(asked_node, 1);
	assert_int_equal(world_owner(0), 1); /* that moves nothing */
	assert_int_equal(owners_where(NODE(1)->owners, world_key(0).endpoint, on_where, &told), 0);
	world_settle();
	assert_int_equal(asked_where, OWNERS_HERE);
	world_kill(1);
	world_pass(6000);
	assert_int_equal(owners_where(NODE(2)->owners, world_key(0).endpoint, on_where, &told), 0);
	assert_int_equal(owners_where(NODE(2)->owners, world_key(0).endpoint, on_where, &told), 0);
	world_settle();
	assert_int_equal(asked_where, OWNERS_HERE);
	assert_int_equal(world_owner(0), 2);
	world.store_away = true;
	assert_int_equal(owners_where(NODE(3)->owners, world_key(0).endpoint, on_where, &told), 0);
	world_settle();
	assert_int_equal(asked_where, OWNERS_AWAY);
	assert_int_equal(told, 6);
}

static void while_the_store_is_away_nothing_moves(void **state)
{
	(void)state;
	world_register(1, 0);
	world.store_away = true;
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(NODE(2)->inputs, 0); /* no stranger: nobody knows */
	assert_int_equal(stats_of(2).searches_failed, 1);
	world_pass(30000);
	world_speak(1, 0, true);
	assert_int_equal(world.sent, 1);
	world.store_away = false;
	world_speak(2, 0, true);
	world_settle();
	assert_int_equal(world_owner(0), 2);
}

static void life_times_end_without_an_owner(void **state)
{
	(void)state;
	world_register(1, 0);
	world_register(1, 1);
	world_register(2, 2);
	for (int i = 0; i < 3; i++) {
		world.rows[i].expires_ms = world.now_ms + 8000;
		world.rows[i].hot.seen_ms = world.now_ms + 8000; /* host.expires_ms */
	}
	world.rows[1].hot.seen_ms = world.now_ms + 60000; /* it was heard since */
	world_kill(1);
	world_pass(12000);
	/* One node has it, and one only. */
	assert_int_equal(NODE(2)->actors[0].here + NODE(3)->actors[0].here, 1);
	assert_int_equal(stats_of(2).expired + stats_of(3).expired, 1);
	assert_int_equal(world_owner(1), 1);
	assert_int_equal(world.rows[1].expires_ms, world.rows[1].hot.seen_ms);
	assert_int_equal(world_owner(2), 2);
	assert_int_equal(world.rows[2].hot.fence.gen, 1); /* its owner lives */
	world_pass(60000);
	assert_int_equal(NODE(2)->actors[1].here + NODE(3)->actors[1].here, 1);
}

static size_t drain_left = SIZE_MAX;

static void on_drained(void *ctx, size_t left)
{
	(void)ctx;
	drain_left = left;
}

static void a_node_that_leaves_gives_all_away(void **state)
{
	(void)state;
	for (int i = 0; i < WORLD_DEVICES; i++) {
		world_register(1, i);
		world_speak(1, i, true);
	}
	members_leave(NODE(1)->members);
	world_pass(2000);
	assert_int_equal(members_find(NODE(2)->members, 1)->state, MEMBER_LEAVING);
	owners_drain(NODE(1)->owners, on_drained, NULL);
	world_settle();
	assert_int_equal(drain_left, 0);
	for (int i = 0; i < WORLD_DEVICES; i++) {
		int owner = world_owner(i);

		assert_true(owner == 2 || owner == 3);
		assert_true(NODE(owner)->actors[i].here);
		assert_int_equal(NODE(owner)->actors[i].term, 1);
		assert_int_equal(NODE(owner)->actors[i].counter, 1);
		assert_false(NODE(1)->actors[i].here);
		/* What still comes to the old node reaches the new one. */
		world_speak(1, i, true);
	}
	world_settle();
	assert_int_equal(stats_of(1).forwarded, WORLD_DEVICES);
	assert_int_equal(world.sent, 2 * WORLD_DEVICES);
	world_assert_pairs();
}

static void alone_nobody_takes_them(void **state)
{
	(void)state;
	world_kill(2);
	world_kill(3);
	world_pass(6000);
	world_register(1, 0);
	owners_drain(NODE(1)->owners, on_drained, NULL);
	world_settle();
	assert_int_equal(drain_left, 1);
	assert_true(NODE(1)->actors[0].here && !NODE(1)->actors[0].frozen);
}

static void a_network_has_a_budget(void **state)
{
	uint8_t room[2];
	struct parcel from = world_parcel(0, PARCEL_PLAIN, room), other = from;

	(void)state;
	other.from.ip[2] = 3;
	for (int i = 0; i < 4100; i++) {
		assert_true(owners_find_endpoint(NODE(1)->owners, world_key(0).endpoint, &from));
		if (i % 1000 == 0)
			world_settle();
	}
	assert_int_equal(stats_of(1).searches, 4000);
	assert_int_equal(stats_of(1).searches_limited, 100);
	assert_true(owners_find_endpoint(NODE(1)->owners, world_key(0).endpoint, &other));
	assert_int_equal(stats_of(1).searches, 4001);
	world_settle();
	world_pass(100);
	assert_true(owners_find_endpoint(NODE(1)->owners, world_key(0).endpoint, &from));
	assert_int_equal(stats_of(1).searches, 4002);
	world_settle();
}

/* Datagrams anywhere, messages lost, nodes dying and coming back, the store away now and then. */
static void chaos(uint64_t seed)
{
	world.seed = seed;
	world.lose_replies = (unsigned)(seed % 3 * 10);
	for (int i = 0; i < WORLD_DEVICES; i++)
		world_register(1 + i % 3, i);
	for (int round = 0; round < 4000; round++) {
		uint32_t r = world_random() % 1000;
		int id = 1 + (int)(world_random() % 3);

		world.effects = world_random() & 1;
		if (r < 700)
			world_speak(id, (int)(world_random() % WORLD_DEVICES), world_random() & 1);
		else if (r < 800)
			world_step();
		else if (r < 900)
			world_pass(100 * (1 + world_random() % 10));
		else if (r < 980)
			NODE(id)->lose = world_random() % 3 ? 0 : world_random() % 100;
		else if (r < 990)
			world.store_away = !world.store_away && world_random() % 3 == 0;
		else if (world.life_count < WORLD_LIVES) {
			world_kill(id);
			world_start(id);
		}
	}
	world.store_away = false;
	world.lose_replies = 0;
	for (int i = 1; i <= 3; i++)
		NODE(i)->lose = 0;
	world_pass(20000);
}

static void whatever_happens_no_number_is_used_twice(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		world_tear_down(state);
		world_set_up(state);
		chaos(seed);
		world_assert_pairs();
		assert_true(world.sent > 500);
		/* Each device is served again, by the node that the store names. */
		for (int i = 0; i < WORLD_DEVICES; i++) {
			size_t before = world.sent;

			world_pass(61000);
			world.effects = true;
			world_speak(2, i, true); /* it may have lost it without a word */
			world_speak(2, i, true);
			world_pass(1000);
			assert_true(world.sent > before);
			assert_true(NODE(world_owner(i))->actors[i].here);
		}
		world_assert_pairs();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
		TEST(nodes_know_each_other),
		TEST(an_outage_of_the_store_is_nobody_s_death),
		TEST(a_store_that_stands_still_is_nobody_s_death),
		TEST(after_an_outage_memory_and_store_are_compared),
		TEST(an_id_is_held_by_one),
		TEST(a_start_waits_for_the_lease_before_it),
		TEST(whoever_is_new_believes_nobody_dead),
		TEST(a_device_follows_its_datagrams),
		TEST(the_dead_are_inherited_from),
		TEST(who_does_not_answer_is_claimed_from),
		TEST(whoever_lost_it_is_told),
		TEST(what_only_names_a_device_is_passed_on),
		TEST(what_proves_nothing_changes_nothing),
		TEST(a_replay_moves_nothing),
		TEST(without_security_it_moves_once_a_second),
		TEST(of_an_unknown_outcome_nobody_is_sure),
		TEST(late_datagrams_are_passed_on),
		TEST(what_comes_meanwhile_follows_it),
		TEST(a_new_session_brings_its_device_in_any_case),
		TEST(callers_are_told_where_it_is),
		TEST(while_the_store_is_away_nothing_moves),
		TEST(life_times_end_without_an_owner),
		TEST(a_node_that_leaves_gives_all_away),
		TEST(alone_nobody_takes_them),
		TEST(a_network_has_a_budget),
		TEST(whatever_happens_no_number_is_used_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
