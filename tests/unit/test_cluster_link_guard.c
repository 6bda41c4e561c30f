/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Links between nodes: their ceilings, who must not get in, and their end. */

#include "link_world.h"

enum { ANSWERS = 40 };

/* ---- ceilings ---- */

/* A peer that takes nothing costs no more than the ceiling; when it goes on, so does everything. */
static void test_slow(void **state)
{
	struct world *w = *state;
	static uint8_t block[10000];
	unsigned sent = 0;
	struct outcome o;
	int err = 0;

	put_middleman(w);
	call(w, 1, 2, MIRROR, "open", 10000, &o);
	RUN_UNTIL(w, o.done);
	w->middleman->stalled = true;
	for (int i = 0; i < 10000 && err == 0; i++) {
		err = links_send(w->nodes[1].links, 2, 1, span_of(block, sizeof(block)));
		sent += err == 0;
		turn(w);
	}
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(stats(w, 1)->messages_dropped, 1);
	/* A call waits for room, not for another connection. */
	call(w, 1, 2, MIRROR, "waits", 20000, &o);
	err = links_call(w->nodes[1].links, 2, MIRROR, span_of(block, sizeof(block)), 20000, on_count, &sent,
			 NULL);
	assert_int_equal(err, 0);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o.done && w->nodes[2].messages + 1 == sent);
	assert_string_equal(o.text, "waits");
	assert_int_equal(stats(w, 1)->connects, 1);
}

static void test_ceilings(void **state)
{
	struct world *w = *state;
	struct links_config few = config_of(w, &w->nodes[2]);
	struct outcome o[4];
	struct address at;

	stop(w, 2);
	few.calls_max = 2;
	start(w, 2, &few);
	introduce(w, 1, 2);
	introduce(w, 2, 1);
	for (size_t i = 0; i < 3; i++)
		call(w, 1, 2, HOLD, "", 10000, &o[i]);
	RUN_UNTIL(w, o[2].done);
	assert_int_equal(o[2].err, -ENOBUFS);
	assert_int_equal(w->nodes[2].executed, 2);
	links_answer(w->nodes[2].held[0], span_str(""));
	links_answer(w->nodes[2].held[1], span_str(""));
	RUN_UNTIL(w, o[0].done && o[1].done);
	/* Of the caller. */
	call(w, 2, 1, MIRROR, "", 10000, &o[0]);
	call(w, 2, 1, MIRROR, "", 10000, &o[1]);
	assert_int_equal(links_call(w->nodes[2].links, 1, MIRROR, span_str(""), 10, on_done, &o[2], NULL),
			 -ENOBUFS);
	RUN_UNTIL(w, o[0].done && o[1].done);
	at = loopback(1);
	assert_int_equal(links_set_peer(w->nodes[1].links, 1, 1, &at), -EINVAL);
	at.port = 0;
	assert_int_equal(links_set_peer(w->nodes[1].links, 5, 1, &at), -EINVAL);
	at.port = 1;
	for (uint32_t i = 100; i < 100 + LINKS_PEERS_MAX - 2; i++)
		assert_int_equal(links_set_peer(w->nodes[1].links, i, 1, &at), 0);
	assert_int_equal(links_set_peer(w->nodes[1].links, 99, 1, &at), -ENOSPC);
	links_drop_peer(w->nodes[1].links, 100);
	assert_int_equal(links_set_peer(w->nodes[1].links, 99, 1, &at), 0);
	assert_int_equal(links_set_peer(w->nodes[1].links, 100, 1, &at), -ENOSPC);
}

/* Calls to somebody who is not there take no more memory than the ceiling, and give it back. */
static void test_bytes_of_calls(void **state)
{
	struct world *w = *state;
	struct outcome o[3];
	size_t len = 1 << 20;
	uint8_t *big = calloc(1, len);

	stop(w, 2);
	for (int round = 0; round < 2; round++) {
		memset(o, 0, sizeof(o));
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(links_call(w->nodes[1].links, 2, MIRROR, span_of(big, len), 100,
						    on_done, &o[i], NULL),
					 0);
		assert_int_equal(links_call(w->nodes[1].links, 2, MIRROR, span_of(big, len), 100, on_done,
					    &o[2], NULL),
				 -ENOBUFS);
		RUN_UNTIL(w, o[0].done && o[1].done);
	}
	assert_int_equal(o[2].done, 0);
	free(big);
}

/* Answers that are remembered for nothing but a repetition make room for others; their tickets stay. */
static void test_forgotten_answer(void **state)
{
	struct world *w = *state;
	struct outcome o[4];
	size_t len = 700 << 10;
	uint8_t *big = calloc(1, len);

	put_middleman(w);
	for (size_t i = 0; i < 4; i++)
		call(w, 1, 2, HOLD, "", 20000, &o[i]);
	RUN_UNTIL(w, w->nodes[2].held_count == 4);
	w->middleman->stalled = true;
	middleman_cut(w->middleman);
	RUN_UNTIL(w, stats(w, 2)->links_in == 0);
	/* Room for two of these, in 2 MiB. */
	for (size_t i = 0; i < 4; i++)
		links_answer(w->nodes[2].held[i], span_of(big, len));
	assert_int_equal(stats(w, 2)->answers_forgotten, 2);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o[0].done && o[1].done && o[2].done && o[3].done);
	assert_int_equal(o[0].err, -ENODATA);
	assert_int_equal(o[1].err, -ENODATA);
	assert_int_equal(o[2].err, 0);
	assert_int_equal(o[3].len, len);
	assert_int_equal(w->nodes[2].executed, 4);
	free(big);
}

/* A peer that does not take its answers loses the last of them, not those that wait already. */
static void test_slow_caller(void **state)
{
	struct world *w = *state;
	struct outcome o[ANSWERS];
	size_t len = 700 << 10, good = 0;
	uint8_t *big = calloc(1, len);

	put_middleman(w);
	for (size_t i = 0; i < ANSWERS; i++)
		call(w, 1, 2, HOLD, "", 20000, &o[i]);
	RUN_UNTIL(w, w->nodes[2].held_count == ANSWERS);
	w->middleman->stalled = true;
	for (size_t i = 0; i < ANSWERS; i++) {
		links_answer(w->nodes[2].held[i], span_of(big, len));
		for (int turns = 0; turns < 10; turns++)
			turn(w);
	}
	w->middleman->stalled = false;
	for (size_t i = 0; i < ANSWERS; i++)
		RUN_UNTIL(w, o[i].done);
	while (good < ANSWERS && o[good].err == 0)
		good++;
	/* More than the kernel took, and less than all. */
	assert_in_range(good, 3, ANSWERS - 1);
	for (size_t i = good; i < ANSWERS; i++)
		assert_int_equal(o[i].err, -ENODATA);
	assert_int_equal(w->nodes[2].executed, ANSWERS);
	free(big);
}

/* ---- who must not get in ---- */

static void test_wrong_key(void **state)
{
	struct world *w = *state;
	struct links_config other = config_of(w, &w->nodes[1]);
	struct outcome o;

	stop(w, 1);
	/* Both by its id, and with the id of the right one. */
	for (int same_id = 0; same_id < 2; same_id++) {
		other.keys[0].psk[31] = 6;
		other.keys[0].id[0] = same_id ? 5 : 6;
		start(w, 1, &other);
		introduce(w, 1, 2);
		introduce(w, 2, 1);
		call(w, 1, 2, MIRROR, "", 300, &o);
		RUN_UNTIL(w, o.done);
		assert_int_equal(o.err, -ENOTCONN);
		call(w, 2, 1, MIRROR, "", 300, &o);
		RUN_UNTIL(w, o.done);
		assert_int_equal(o.err, -ENOTCONN);
		assert_int_equal(w->nodes[1].executed + w->nodes[2].executed, 0);
		assert_true(stats(w, 2)->refused > 0 && stats(w, 1)->refused > 0);
		stop(w, 1);
	}
}

/* The cluster key is changed node by node. */
static void test_key_changes(void **state)
{
	struct world *w = *state;
	struct links_config changed = config_of(w, &w->nodes[1]), told = config_of(w, &w->nodes[2]);
	struct outcome a, b;

	stop(w, 1);
	stop(w, 2);
	changed.key_count = told.key_count = 2;
	memset(&told.keys[1], 9, sizeof(told.keys[1]));
	changed.keys[0] = told.keys[1];
	changed.keys[1] = told.keys[0];
	start(w, 1, &changed);
	start(w, 2, &told);
	introduce(w, 1, 2);
	introduce(w, 2, 1);
	call(w, 1, 2, MIRROR, "new", 5000, &a);
	call(w, 2, 1, MIRROR, "old", 5000, &b);
	RUN_UNTIL(w, a.done && b.done);
	assert_string_equal(a.text, "new");
	assert_string_equal(b.text, "old");
}

/* The caller is of another incarnation than its lease says; or of none. */
static void test_wrong_incarnation(void **state)
{
	struct world *w = *state;
	struct address at = loopback(links_port(w->nodes[1].links));
	struct outcome o;

	assert_int_equal(links_set_peer(w->nodes[2].links, 1, 999, &at), 0);
	call(w, 1, 2, MIRROR, "", 300, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ETIMEDOUT);
	assert_int_equal(w->nodes[2].executed, 0);
	assert_true(stats(w, 2)->refused > 0);
	links_drop_peer(w->nodes[2].links, 1);
	call(w, 1, 2, MIRROR, "", 300, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(w->nodes[2].executed, 0);
	assert_true(w->nodes[2].strangers >= 2); /* who may look at the leases then */
	/* The lease is seen while the call waits. */
	call(w, 1, 2, MIRROR, "now", 10000, &o);
	run_ms(w, 50);
	introduce(w, 2, 1);
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "now");
}

/* A lease changes while the link is open: it is not listened to any more. */
static void test_incarnation_passes(void **state)
{
	struct world *w = *state;
	struct address at = loopback(links_port(w->nodes[1].links));
	struct outcome o;

	call(w, 1, 2, MIRROR, "", 5000, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(links_set_peer(w->nodes[2].links, 1, 5555, &at), 0);
	call(w, 1, 2, MIRROR, "", 300, &o);
	RUN_UNTIL(w, o.done);
	assert_true(o.err < 0);
	assert_int_equal(w->nodes[2].executed, 1);
}

/* The address leads to another node of the cluster, or back: neither executes what is not for it. */
static void test_wrong_node(void **state)
{
	struct world *w = *state;
	struct address third = loopback(links_port(w->nodes[3].links));
	struct address self = loopback(links_port(w->nodes[1].links));
	struct outcome o;

	assert_int_equal(links_set_peer(w->nodes[1].links, 2, 1002, &third), 0);
	call(w, 1, 2, MIRROR, "", 200, &o);
	RUN_UNTIL(w, o.done);
	assert_true(o.err < 0);
	assert_int_equal(links_set_peer(w->nodes[1].links, 2, 1002, &self), 0);
	call(w, 1, 2, MIRROR, "", 200, &o);
	RUN_UNTIL(w, o.done);
	assert_true(o.err < 0);
	assert_int_equal(w->nodes[1].executed + w->nodes[3].executed, 0);
	assert_true(stats(w, 3)->refused > 0);
}

/* All that node 1 ever sent, sent once more by somebody who recorded it: nothing. */
static void test_replay(void **state)
{
	struct world *w = *state;
	struct outcome o;
	size_t sent = 0;
	uint64_t refused;
	int fd;

	put_middleman(w);
	call(w, 1, 2, MIRROR, "pay", 5000, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(w->nodes[2].executed, 1);
	refused = stats(w, 2)->refused;
	fd = dial(links_port(w->nodes[2].links));
	assert_true(w->middleman->recorded.len > 200);
	while (sent < w->middleman->recorded.len) {
		ssize_t n = send(fd, w->middleman->recorded.data + sent, w->middleman->recorded.len - sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		turn(w);
	}
	RUN_UNTIL(w, stats(w, 2)->refused > refused);
	assert_int_equal(w->nodes[2].executed, 1);
	assert_int_equal(stats(w, 2)->calls_again, 0);
	close(fd);
	/* The true link does not notice. */
	call(w, 1, 2, MIRROR, "on", 5000, &o);
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "on");
	assert_int_equal(stats(w, 1)->connects, 1);
}

/* ---- the end ---- */

static void test_end(void **state)
{
	struct world *w = *state;
	struct outcome a, b;

	call(w, 1, 2, HOLD, "", 10000, &a);
	RUN_UNTIL(w, w->nodes[2].held_count);
	call(w, 1, 3, MIRROR, "", 10000, &b);
	links_free(w->nodes[1].links, on_links_closed, &w->nodes[1]);
	w->nodes[1].links = NULL;
	assert_int_equal(a.done + b.done, 0);
	RUN_UNTIL(w, w->nodes[1].gone);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, -ECANCELED);
	assert_int_equal(b.err, -ECANCELED);
	stop(w, 2);
	/* It belongs to whoever has to answer it. */
	assert_int_equal(links_call_left_ms(w->nodes[2].held[0]), 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("x")), 0);
}

static void free_in_done(void *ctx, int err, struct span answer)
{
	struct node *n = ctx;

	(void)answer;
	assert_int_equal(err, 0);
	links_free(n->links, on_links_closed, n);
	n->links = NULL;
}

static void test_end_in_callback(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_str("x")), 0);
	assert_int_equal(links_call(w->nodes[1].links, 2, MIRROR, span_str(""), 5000, free_in_done,
				    &w->nodes[1], NULL),
			 0);
	RUN_UNTIL(w, w->nodes[1].gone);
	assert_int_equal(w->nodes[2].messages, 3);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_slow),
		TEST(test_ceilings),
		TEST(test_bytes_of_calls),
		TEST(test_forgotten_answer),
		TEST(test_slow_caller),
		TEST(test_wrong_key),
		TEST(test_key_changes),
		TEST(test_wrong_incarnation),
		TEST(test_incarnation_passes),
		TEST(test_wrong_node),
		TEST(test_replay),
		TEST(test_end),
		TEST(test_end_in_callback),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cluster_link_guard", tests, NULL, NULL);
}
