/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The log of events: order, places, waiting for more, trimming and what it tells readers. */

#include "contract.h"

#include <unistd.h>

static const struct store_cursor beginning = {0, 0};

/* Device "a" writes `count` events with bodies "0", "1", ..., a second apart. */
static void write_events(struct fixture *f, struct store_hot *hot, int count)
{
	for (int i = 0; i < count; i++) {
		char body[16];

		snprintf(body, sizeof(body), "%d", i);
		put(f, "a", hot, i ? NULL : "record", body);
		clock_advance(1000);
	}
}

/* The end of the log is at this place, or, where nothing can be behind it any more, later. */
static void assert_end(struct fixture *f, struct store_cursor at)
{
	struct store_cursor end = store_events_end(f->store);

	if (embedded(&f->place))
		assert_int_equal(end.sequence, at.sequence);
	assert_true(end.sequence >= at.sequence);
	assert_int_equal(events_now(f, at, 1)->count, 0);
}

static void an_empty_log_has_nothing_and_no_gap(void **state)
{
	struct fixture *f = *state;
	const struct events *e = events_now(f, beginning, 10);

	assert_int_equal(e->count, 0);
	assert_false(e->gap);
	assert_int_equal(e->next.sequence, 0);
	assert_int_equal(e->next.time_ms, 0);
}

static void events_are_read_in_order_and_once(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_cursor at = beginning;
	const struct events *e;
	int seen = 0;

	write_events(f, &hot, 10);
	while ((e = events_now(f, at, 3))->count) {
		assert_true(e->count <= 3);
		assert_false(e->gap);
		for (size_t i = 0; i < e->count; i++, seen++) {
			assert_true(e->items[i].sequence > at.sequence);
			assert_int_equal(e->items[i].time_ms, (uint64_t)(CLOCK_START_S + seen) * 1000);
			assert_int_equal(e->items[i].type, 1);
			assert_string_equal(e->items[i].endpoint, "a");
			assert_int_equal(atoi(e->items[i].body), seen);
			at = (struct store_cursor){e->items[i].time_ms, e->items[i].sequence};
		}
		assert_int_equal(e->next.sequence, at.sequence);
		assert_int_equal(e->next.time_ms, at.time_ms);
	}
	assert_int_equal(seen, 10);
	/* Nothing new: the place stays. */
	assert_int_equal(e->next.sequence, at.sequence);
	assert_end(f, at);
}

static void the_write_knows_the_sequence_of_its_event(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	uint64_t sequence;

	put(f, "a", &hot, "record", NULL);
	sequence = put(f, "a", &hot, NULL, "event").sequence;
	assert_int_equal(events_now(f, beginning, 10)->items[0].sequence, sequence);
}

static void writes_without_event_are_not_in_the_log(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_cursor end;
	const struct events *e;

	write_events(f, &hot, 1);
	end = store_events_end(f->store);
	for (int i = 0; i < 5; i++)
		put(f, "a", &hot, NULL, NULL);
	assert_int_equal(store_events_end(f->store).sequence, end.sequence);
	e = events_now(f, end, 10);
	assert_int_equal(e->count, 0);
	assert_int_equal(e->next.sequence, end.sequence);
	assert_int_equal(e->next.time_ms, end.time_ms);
	put(f, "a", &hot, NULL, "later");
	e = events_now(f, end, 10);
	assert_int_equal(e->count, 1);
	assert_string_equal(e->items[0].body, "later");
}

static void a_place_is_found_by_its_time(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const uint64_t start = (uint64_t)CLOCK_START_S * 1000;
	const struct {
		uint64_t time_ms;
		size_t first; /* 10: none */
	} cases[] = {
		{0, 0},
		{start - 1, 0},
		{start, 0},
		{start + 1, 1},
		{start + 4000, 4},
		{start + 4001, 5},
		{start + 9000, 9},
		{start + 9001, 10},
		{UINT64_MAX, 10},
	};

	write_events(f, &hot, 10);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct events *e = events_now(f, (struct store_cursor){cases[i].time_ms, 0}, 100);

		assert_int_equal(e->count, 10 - cases[i].first);
		if (e->count)
			assert_int_equal(atoi(e->items[0].body), cases[i].first);
		else
			assert_int_equal(e->next.time_ms, cases[i].time_ms);
		assert_false(e->gap);
	}
	/* A sequence from a store that was replaced: only the time counts. */
	assert_int_equal(events_now(f, (struct store_cursor){start + 7000, 1000000}, 100)->count, 3);
}

static void several_events_of_one_millisecond_are_all_found(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);

	for (int i = 0; i < 5; i++)
		put(f, "a", &hot, i ? NULL : "record", "x");
	assert_int_equal(events_now(f, (struct store_cursor){clock_now(), 0}, 100)->count, 5);
	assert_int_equal(events_now(f, (struct store_cursor){clock_now() + 1, 0}, 100)->count, 0);
}

static void times_never_descend(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	uint64_t latest;
	const struct events *e;

	put(f, "a", &hot, "record", "0");
	latest = clock_now();
	clock_set(latest - 3600000);
	put(f, "a", &hot, NULL, "1");
	fixture_reopen(f);
	take_over(f, "a", &hot);
	put(f, "a", &hot, NULL, "2");
	clock_set(latest + 5);
	put(f, "a", &hot, NULL, "3");
	e = events_now(f, beginning, 10);
	assert_int_equal(e->count, 4);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(e->items[i].time_ms, latest);
	assert_int_equal(e->items[3].time_ms, latest + 5);
}

static void a_batch_is_bounded_in_bytes(void **state)
{
	enum { N = 40 };
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	_cleanup_free_ uint8_t *big = calloc(1, STORE_EVENT_MAX);
	struct store_write w = {
		.key = device_key("a"),
		.hot = &hot,
		.dedup_index = -1,
		.change = STORE_RECORD_PUT,
		.event = 1,
		.event_body = span_of(big, STORE_EVENT_MAX),
	};
	struct store_cursor at = beginning;
	const struct events *e;
	size_t seen = 0;

	for (int i = 0; i < N; i++) {
		next_hot(&hot, 0);
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	}
	while ((e = events_now(f, at, 1000))->count) {
		assert_true(e->count * STORE_EVENT_MAX <= (1 << 20) + STORE_EVENT_MAX);
		seen += e->count;
		at = e->next;
	}
	assert_int_equal(seen, N);
}

/* ---- waiting ---- */

struct growth {
	struct fixture *f;
	unsigned told;
	uint64_t end;
	const struct wrote *behind; /* this write's callback must have run */
};

static void grown(void *ctx)
{
	struct growth *g = ctx;

	g->told++;
	g->end = store_events_end(g->f->store).sequence;
	if (g->behind)
		assert_true(g->behind->done);
}

/* Runs the loop until there is a first one, and then so long again. */
static void wait_while(struct fixture *f, int ms, const unsigned *told)
{
	for (int i = 0; i < 5000 && !*told; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	for (int i = 0; i < ms; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

static void the_subscriber_is_told_of_growth_once_per_commit(void **state)
{
	struct fixture *f = *state;
	struct growth g = {.f = f};
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {.key = device_key("a"), .hot = &hot, .dedup_index = -1, .event = 1};
	struct wrote outs[3];

	store_on_events(f->store, grown, &g);
	put(f, "a", &hot, "record", NULL);
	assert_int_equal(g.told, 0);
	g.behind = &outs[2];
	for (size_t i = 0; i < 3; i++) {
		next_hot(&hot, 0);
		write_later(f, &w, &outs[i]);
	}
	wait_for(f, &outs[2].done);
	if (!embedded(&f->place))
		clock_advance(1);
	wait_while(f, 10, &g.told);
	assert_int_equal(g.told, 1);
	assert_true(g.end >= outs[2].written.sequence);
	if (embedded(&f->place))
		assert_int_equal(g.end, outs[2].written.sequence);
	store_on_events(f->store, NULL, NULL);
	g.behind = NULL;
	put(f, "a", &hot, NULL, "x");
	assert_int_equal(g.told, 1);
}

/* ---- trimming ---- */

/* Enough writes without event, or time, for all that is due to be trimmed. */
static void settle(struct fixture *f, struct store_hot *hot)
{
	for (int i = 0; i < 30; i++)
		put(f, "a", hot, NULL, NULL);
	for (int i = 0; i < 2500 && !embedded(&f->place); i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

static void old_events_go_and_their_reader_is_told(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_cursor third, lost;
	const struct events *e;

	fixture_close(f);
	f->options.journal_age_max_ms = 3600000;
	fixture_open(f);
	hot = fresh_hot(f);
	write_events(f, &hot, 10);
	third = events_now(f, beginning, 3)->next;
	/* Now events 0 to 4 are older than the limit. */
	clock_set((uint64_t)(CLOCK_START_S + 4) * 1000 + 3600000);
	settle(f, &hot);
	for (int round = 0; round < 2; round++) {
		e = events_now(f, third, 100);
		assert_true(e->gap);
		assert_int_equal(e->lost_to.time_ms, (uint64_t)(CLOCK_START_S + 4) * 1000);
		assert_int_equal(e->count, 5);
		assert_string_equal(e->items[0].body, "5");
		if (embedded(&f->place) || round == 0)
			assert_int_equal(stats_of(f).events_trimmed, 5);
		/* Who has read them misses nothing; by time as well as by sequence. */
		lost = e->lost_to;
		assert_false(events_now(f, lost, 100)->gap);
		assert_int_equal(events_now(f, lost, 100)->count, 5);
		assert_true(events_now(f, (struct store_cursor){lost.time_ms, 0}, 100)->gap);
		assert_false(events_now(f, (struct store_cursor){lost.time_ms + 1, 0}, 100)->gap);
		assert_true(events_now(f, beginning, 100)->gap);
		fixture_reopen(f);
	}
}

static void a_reader_gets_past_a_gap_with_nothing_behind_it(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const struct events *e;
	struct store_cursor next;

	fixture_close(f);
	f->options.journal_age_max_ms = 1000;
	fixture_open(f);
	hot = fresh_hot(f);
	write_events(f, &hot, 5);
	clock_advance(1000000);
	settle(f, &hot);
	e = events_now(f, beginning, 100);
	assert_true(e->gap);
	assert_int_equal(e->count, 0);
	assert_int_equal(e->next.sequence, e->lost_to.sequence);
	next = e->next;
	assert_false(events_now(f, next, 100)->gap);
}

static void a_large_log_is_trimmed_from_its_beginning(void **state)
{
	enum { LIMIT = 200000, BODY = 1000 };
	struct fixture *f = *state;
	struct store_hot hot;
	static uint8_t body[BODY];
	struct store_write w = {
		.key = device_key("a"),
		.hot = &hot,
		.dedup_index = -1,
		.event = 1,
		.event_body = span_of(body, BODY),
	};
	const struct events *e;

	fixture_close(f);
	f->options.journal_bytes_max = LIMIT;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	for (int i = 0; i < 1000; i++) {
		next_hot(&hot, 0);
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
		assert_true(!embedded(&f->place) || stats_of(f).journal_bytes < 2 * LIMIT);
		clock_advance(1);
	}
	if (!embedded(&f->place))
		settle(f, &hot);
	assert_true(stats_of(f).journal_bytes <= LIMIT + 2 * BODY);
	assert_true(stats_of(f).journal_bytes > LIMIT / 2);
	e = events_now(f, beginning, 4096);
	assert_true(e->gap);
	assert_true(e->count >= LIMIT / 2 / (BODY + 200) && e->count <= LIMIT / BODY);
	assert_int_equal(e->count + stats_of(f).events_trimmed, 1000);
	assert_end(f, e->next);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_empty_log_has_nothing_and_no_gap),
	cmocka_unit_test(events_are_read_in_order_and_once),
	cmocka_unit_test(the_write_knows_the_sequence_of_its_event),
	cmocka_unit_test(writes_without_event_are_not_in_the_log),
	cmocka_unit_test(a_place_is_found_by_its_time),
	cmocka_unit_test(several_events_of_one_millisecond_are_all_found),
	cmocka_unit_test(times_never_descend),
	cmocka_unit_test(a_batch_is_bounded_in_bytes),
	cmocka_unit_test(the_subscriber_is_told_of_growth_once_per_commit),
	cmocka_unit_test(old_events_go_and_their_reader_is_told),
	cmocka_unit_test(a_reader_gets_past_a_gap_with_nothing_behind_it),
	cmocka_unit_test(a_large_log_is_trimmed_from_its_beginning),
};

const struct theme events_theme = {tests, ARRAY_SIZE(tests)};
