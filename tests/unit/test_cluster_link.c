/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Links between nodes: what they are for, and what becomes of calls when connections break. */

#include "link_world.h"

/* ---- what is to work ---- */

static void test_call(void **state)
{
	struct world *w = *state;
	struct outcome a, b, c;

	call(w, 1, 2, MIRROR, "hello", 5000, &a);
	call(w, 2, 1, MIRROR, "", 5000, &b);
	call(w, 3, 1, REFUSE, "x", 5000, &c);
	RUN_UNTIL(w, a.done && b.done && c.done);
	assert_int_equal(a.err, 0);
	assert_string_equal(a.text, "hello");
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(c.err, -ENOENT);
	assert_int_equal(w->nodes[2].from, 1);
	assert_true(w->nodes[2].from_incarnation == 1001);
	assert_int_equal(stats(w, 1)->links_out, 1);
	assert_int_equal(stats(w, 1)->links_in, 2);
}

static void test_message(void **state)
{
	struct world *w = *state;

	assert_int_equal(links_send(w->nodes[3].links, 1, 77, span_str("datagram")), 0);
	RUN_UNTIL(w, w->nodes[1].messages);
	assert_int_equal(w->nodes[1].from, 3);
	assert_true(w->nodes[1].from_incarnation == 1003);
	assert_int_equal(w->nodes[1].kind, 77);
	assert_int_equal(w->nodes[1].message_len, 8);
	assert_int_equal(links_send(w->nodes[3].links, 9, 1, span_str("x")), -ENOTCONN);
}

static void test_later(void **state)
{
	struct world *w = *state;
	struct outcome a, b;

	call(w, 1, 2, HOLD, "a", 5000, &a);
	call(w, 1, 2, MIRROR, "b", 5000, &b);
	RUN_UNTIL(w, b.done && w->nodes[2].held_count);
	assert_int_equal(a.done, 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("at last")), 0);
	RUN_UNTIL(w, a.done);
	assert_string_equal(a.text, "at last");
}

/* More in all than may be remembered: by the floor in each call the peer forgets what is done. */
static void test_many(void **state)
{
	struct world *w = *state;
	unsigned begun = 0, done = 0;
	enum { MANY = 20000 };

	while (done < MANY) {
		while (begun < MANY) {
			int err = links_call(w->nodes[1].links, 2, MIRROR, span_of(&begun, sizeof(begun)),
					     60000, on_count, &done, NULL);

			if (err == -ENOBUFS)
				break;
			assert_int_equal(err, 0);
			begun++;
		}
		turn(w);
	}
	assert_int_equal(w->nodes[2].executed, MANY);
	assert_int_equal(stats(w, 2)->calls_refused, 0);
	assert_int_equal(stats(w, 1)->connects, 1);
	assert_int_equal(stats(w, 1)->calls_answered, MANY);
}

static void test_big(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	size_t len = 900 << 10;
	uint8_t *big = malloc((1 << 20) + 1);

	memset(big, 'x', (1 << 20) + 1);
	assert_int_equal(
		links_call(w->nodes[1].links, 2, MIRROR, span_of(big, len), 10000, on_done, &o, NULL), 0);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, 0);
	assert_int_equal(o.len, len);
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_of(big, 1 << 20)), 0);
	RUN_UNTIL(w, w->nodes[2].messages);
	assert_int_equal(w->nodes[2].message_len, 1 << 20);
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_of(big, (1 << 20) + 1)), -EMSGSIZE);
	assert_int_equal(
		links_call(w->nodes[1].links, 2, MIRROR, span_of(big, (1 << 20) + 1), 10, on_done, &o, NULL),
		-EMSGSIZE);
	/* An answer that is too long is no answer. */
	call(w, 1, 2, HOLD, "", 5000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_of(big, (1 << 20) + 1)), -EMSGSIZE);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -EMSGSIZE);
	free(big);
}

/* ---- deadlines ---- */

static void test_deadline(void **state)
{
	struct world *w = *state;
	struct outcome o, later;
	uint64_t begin_ms = uv_now(&w->loop);

	call(w, 1, 2, HOLD, "", 100, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ETIMEDOUT);
	assert_in_range(o.at_ms - begin_ms, 100, 1000);
	assert_int_equal(w->nodes[2].held_count, 1);
	/* Whoever executes it can see that nobody waits, and may answer all the same. */
	RUN_UNTIL(w, links_call_left_ms(w->nodes[2].held[0]) == 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("late")), 0);
	call(w, 1, 2, MIRROR, "next", 5000, &later);
	RUN_UNTIL(w, later.done);
	assert_string_equal(later.text, "next");
	assert_int_equal(o.done, 1);
}

/* Nobody is there: the caller knows that nothing was done. */
static void test_not_sent(void **state)
{
	struct world *w = *state;
	struct outcome o;

	stop(w, 2);
	call(w, 1, 2, MIRROR, "", 200, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ENOTCONN);
	assert_true(stats(w, 1)->connects > 1);
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_str("x")), -ENOTCONN);
	assert_int_equal(links_call(w->nodes[1].links, 9, MIRROR, span_str(""), 200, on_done, &o, NULL),
			 -ENOTCONN);
}

static void test_cancel(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t ticket;

	assert_int_equal(links_call(w->nodes[1].links, 2, HOLD, span_str(""), 5000, on_done, &o, &ticket), 0);
	assert_true(ticket != 0);
	RUN_UNTIL(w, w->nodes[2].held_count);
	assert_true(links_cancel(w->nodes[1].links, ticket));
	assert_false(links_cancel(w->nodes[1].links, ticket));
	links_answer(w->nodes[2].held[0], span_str("nobody wants it"));
	run_ms(w, 50);
	assert_int_equal(o.done, 0);
}

/* ---- broken connections ---- */

/* The connection breaks while the call runs, and again while its answer is on its way: executed once,
 * answered once. */
static void test_cut(void **state)
{
	struct world *w = *state;
	struct outcome o;

	put_middleman(w);
	call(w, 1, 2, HOLD, "once", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	middleman_cut(w->middleman);
	RUN_UNTIL(w, w->middleman->connections == 2 && stats(w, 2)->calls_again == 1);
	w->middleman->stalled = true;
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("answer")), 0);
	run_ms(w, 20);
	assert_int_equal(o.done, 0);
	middleman_cut(w->middleman);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, 0);
	assert_string_equal(o.text, "answer");
	assert_int_equal(w->nodes[2].executed, 1);
	assert_int_equal(o.done, 1);
	assert_int_equal(stats(w, 1)->calls_repeated, 2);
}

/* The answer comes when there is no connection. */
static void test_answer_meanwhile(void **state)
{
	struct world *w = *state;
	struct outcome o;

	put_middleman(w);
	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	w->middleman->stalled = true;
	middleman_cut(w->middleman);
	RUN_UNTIL(w, stats(w, 2)->links_in == 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("kept")), 0);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "kept");
	assert_int_equal(w->nodes[2].executed, 1);
}

/* A process that died has forgotten its tickets, so the call is not repeated to the one after it. */
static void test_other_incarnation(void **state)
{
	struct world *w = *state;
	struct links_config config;
	struct outcome o, next;

	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	stop(w, 2);
	links_refuse(w->nodes[2].held[0], -EIO);
	w->nodes[2].incarnation = 2002;
	config = config_of(w, &w->nodes[2]);
	start(w, 2, &config);
	introduce(w, 2, 1);
	run_ms(w, 50);
	assert_int_equal(o.done, 0);
	introduce(w, 1, 2);
	assert_int_equal(o.done, 0);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ECONNRESET);
	assert_int_equal(w->nodes[2].executed, 1);
	call(w, 1, 2, MIRROR, "new", 10000, &next);
	RUN_UNTIL(w, next.done);
	assert_string_equal(next.text, "new");
}

static void test_drop_peer(void **state)
{
	struct world *w = *state;
	struct outcome o, again;

	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	links_drop_peer(w->nodes[1].links, 2);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ECONNRESET);
	assert_int_equal(links_call(w->nodes[1].links, 2, MIRROR, span_str(""), 10, on_done, &again, NULL),
			 -ENOTCONN);
	RUN_UNTIL(w, stats(w, 2)->links_in == 0);
	/* And at the other end, while it is being executed. */
	links_drop_peer(w->nodes[2].links, 1);
	assert_int_equal(links_call_left_ms(w->nodes[2].held[0]), 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("")), 0);
	assert_int_equal(o.done, 1);
}

/* The lease of the caller is away for a moment, and what it called for forgotten: it is not executed again.
 */
static void test_lease_comes_back(void **state)
{
	struct world *w = *state;
	struct outcome o, next;

	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	links_drop_peer(w->nodes[2].links, 1);
	links_answer(w->nodes[2].held[0], span_str("nobody gets this"));
	assert_int_equal(stats(w, 2)->peers, 1);
	introduce(w, 2, 1);
	assert_int_equal(stats(w, 2)->peers, 2);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ENODATA);
	call(w, 1, 2, MIRROR, "next", 10000, &next);
	RUN_UNTIL(w, next.done);
	assert_string_equal(next.text, "next");
	assert_int_equal(w->nodes[2].executed, 2);
}

static void test_idle(void **state)
{
	struct world *w = *state;
	struct links_config config = config_of(w, &w->nodes[1]);
	struct outcome o;

	stop(w, 1);
	config.idle_ms = 100;
	start(w, 1, &config);
	introduce(w, 1, 2);
	call(w, 1, 2, HOLD, "", 10000, &o);
	run_ms(w, 250);
	/* Not while somebody waits. */
	assert_int_equal(stats(w, 1)->links_out, 1);
	links_answer(w->nodes[2].held[0], span_str(""));
	RUN_UNTIL(w, o.done);
	RUN_UNTIL(w, stats(w, 1)->links_out == 0 && stats(w, 2)->links_in == 0);
	/* That was no failure, after which nothing would be sent for a while. */
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_str("")), 0);
	call(w, 1, 2, MIRROR, "again", 10000, &o);
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "again");
	assert_int_equal(stats(w, 1)->connects, 2);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_call),
		TEST(test_message),
		TEST(test_later),
		TEST(test_many),
		TEST(test_big),
		TEST(test_deadline),
		TEST(test_not_sent),
		TEST(test_cancel),
		TEST(test_cut),
		TEST(test_answer_meanwhile),
		TEST(test_other_incarnation),
		TEST(test_drop_peer),
		TEST(test_lease_comes_back),
		TEST(test_idle),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cluster_link", tests, NULL, NULL);
}
