/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The wheel against a plain array of deadlines: whatever is set, cancelled and set again at random, also by
 * callbacks, each advance fires exactly what is due, in order, and the wait never oversleeps.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/timer.h"

enum { TIMERS = 500 };

/* The model: a timer that is set has a time from which it may fire, and the first advance that may fire it.
 */
struct model {
	struct timer timer;
	struct world *world;
	bool set;
	uint64_t due_ms;
	uint64_t not_before; /* number of the advance */
};

struct world {
	struct timers wheel;
	struct random random;
	struct model models[TIMERS];
	uint64_t advances;
	uint64_t last_due_ms;
	uint64_t fired;
	bool busy; /* within an advance */
};

static void fire(struct timer *t, uint64_t now_ms);

/* Delays of all magnitudes, and deadlines in the past. */
static uint64_t random_deadline(struct world *w)
{
	uint64_t now = w->wheel.now_ms;
	unsigned magnitude = random_u32(&w->random) % 36;
	uint64_t delay = random_u64(&w->random) >> (63 - magnitude);

	if (random_u32(&w->random) % 16 == 0)
		return now - MIN(now, delay);
	return now + delay;
}

static void set_model(struct world *w, struct model *m)
{
	uint64_t deadline = random_deadline(w);

	timer_set(&w->wheel, &m->timer, deadline, fire);
	m->set = true;
	m->due_ms = MAX(deadline, w->wheel.now_ms);
	m->not_before = w->advances + (w->busy && deadline <= w->wheel.now_ms);
}

static void cancel_model(struct world *w, struct model *m)
{
	timer_cancel(&w->wheel, &m->timer);
	m->set = false;
}

static void change_one(struct world *w)
{
	struct model *m = &w->models[random_u32(&w->random) % TIMERS];

	if (random_u32(&w->random) % 3 == 0)
		cancel_model(w, m);
	else
		set_model(w, m);
}

static void fire(struct timer *t, uint64_t now_ms)
{
	struct model *m = container_of(t, struct model, timer);
	struct world *w = m->world;

	assert_true(m->set);
	assert_false(timer_is_set(t));
	assert_int_equal(now_ms, w->wheel.now_ms);
	assert_true(m->due_ms <= now_ms);
	assert_true(m->not_before < w->advances + w->busy);
	/* Everything that was overdue when it was set counts as due at that time. */
	assert_true(m->due_ms >= w->last_due_ms);
	w->last_due_ms = m->due_ms;
	m->set = false;
	w->fired++;
	if (random_u32(&w->random) % 2)
		change_one(w);
}

static uint64_t earliest(const struct world *w)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < TIMERS; i++)
		if (w->models[i].set)
			at = MIN(at, w->models[i].due_ms);
	return at;
}

static void check(const struct world *w)
{
	int64_t wait = timers_wait_ms(&w->wheel);
	size_t count = 0;

	for (size_t i = 0; i < TIMERS; i++) {
		const struct model *m = &w->models[i];

		assert_int_equal(timer_is_set(&m->timer), m->set);
		count += m->set;
		/* Nothing that was due before the last advance is still there. */
		if (m->set && m->due_ms <= w->wheel.now_ms)
			assert_true(m->not_before >= w->advances);
	}
	assert_int_equal(w->wheel.count, count);
	assert_int_equal(wait < 0, count == 0);
	if (count)
		assert_true((uint64_t)wait <= earliest(w) - w->wheel.now_ms);
}

static void advance(struct world *w, uint64_t to)
{
	w->last_due_ms = 0;
	w->busy = true;
	timers_advance(&w->wheel, to);
	w->busy = false;
	w->advances++;
	check(w);
}

static struct world *world_new(uint64_t seed, uint64_t now_ms)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	random_init_seed(&w->random, seed);
	timers_init(&w->wheel, now_ms);
	for (size_t i = 0; i < TIMERS; i++)
		w->models[i].world = w;
	return w;
}

static void agrees_with_the_model(void **state)
{
	static const uint64_t starts[] = {0, 63, 1767225600123, ((uint64_t)1 << 48) - 5, (uint64_t)1 << 60};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct world *w = world_new(i, starts[i]);

		for (int round = 0; round < 4000; round++) {
			unsigned magnitude = random_u32(&w->random) % 30;

			for (unsigned n = random_u32(&w->random) % 20; n > 0; n--)
				change_one(w);
			advance(w, w->wheel.now_ms + (random_u64(&w->random) >> (63 - magnitude)));
		}
		assert_true(w->fired > 5000);
		free(w);
	}
}

/* Sleeping exactly as long as the wheel says reaches each deadline, in a few steps. */
static void the_wait_leads_to_the_deadline(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct world *w = world_new(seed, seed * 1234567);
		int steps = 0;

		set_model(w, &w->models[0]);
		while (w->models[0].set) {
			uint64_t due = w->models[0].due_ms;
			uint64_t to = w->wheel.now_ms + (uint64_t)timers_wait_ms(&w->wheel);

			assert_true(to <= due);
			w->busy = true;
			timers_advance(&w->wheel, to);
			w->busy = false;
			w->advances++;
			/* The callback may have set it again. */
			if (w->fired)
				break;
			assert_true(++steps <= TIMER_LEVELS);
		}
		assert_int_equal(w->fired, 1);
		free(w);
	}
}

static void count_fired(struct timer *t, uint64_t now_ms)
{
	(void)now_ms;
	/* A use of the field that the wheel leaves alone once it has fired. */
	t->deadline_ms++;
}

static void a_jump_of_years_fires_everything(void **state)
{
	static struct timer timers[1000];
	const uint64_t year = 365ull * 86400 * 1000;
	struct timers w;

	(void)state;
	timers_init(&w, 17);
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
		timer_set(&w, &timers[i], 18 + i * (10 * year / 1000), count_fired);
	timers_advance(&w, 17 + 10 * year);
	assert_int_equal(w.count, 0);
	assert_int_equal(timers_wait_ms(&w), -1);
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
		assert_int_equal(timers[i].deadline_ms, 18 + i * (10 * year / 1000) + 1);
}

static void a_deadline_at_the_end_of_time_waits(void **state)
{
	struct timer never = {0}, soon = {0};
	struct timers w;

	(void)state;
	timers_init(&w, 1000);
	timer_set(&w, &never, UINT64_MAX, count_fired);
	timer_set(&w, &soon, 1001, count_fired);
	assert_int_equal(timers_wait_ms(&w), 1);
	timers_advance(&w, 1000000);
	assert_false(timer_is_set(&soon));
	assert_true(timer_is_set(&never));
	assert_true(timers_wait_ms(&w) > 0);
	timers_advance(&w, UINT64_MAX - 1);
	assert_true(timer_is_set(&never));
	timers_advance(&w, UINT64_MAX);
	assert_false(timer_is_set(&never));
}

static void set_again_at_once(struct timer *t, uint64_t now_ms)
{
	struct world *w = container_of(t, struct model, timer)->world;

	w->fired++;
	timer_set(&w->wheel, t, now_ms, set_again_at_once);
}

/* A callback that always sets its timer to "now" must not keep the advance from ending. */
static void a_timer_set_to_now_waits_for_the_next_advance(void **state)
{
	struct world *w = world_new(0, 5);

	(void)state;
	timer_set(&w->wheel, &w->models[0].timer, 5, set_again_at_once);
	assert_int_equal(timers_wait_ms(&w->wheel), 0);
	timers_advance(&w->wheel, 5);
	assert_int_equal(w->fired, 1);
	timers_advance(&w->wheel, 5);
	assert_int_equal(w->fired, 2);
	timers_advance(&w->wheel, 5000000);
	assert_int_equal(w->fired, 3);
	timer_cancel(&w->wheel, &w->models[0].timer);
	timer_cancel(&w->wheel, &w->models[0].timer);
	assert_int_equal(timers_wait_ms(&w->wheel), -1);
	free(w);
}

static void cancelling_the_last_of_a_slot_ends_the_wait(void **state)
{
	struct timer a = {0}, b = {0};
	struct timers w;

	(void)state;
	timers_init(&w, 0);
	timer_set(&w, &a, 100, count_fired);
	timer_set(&w, &b, 100, count_fired);
	timer_cancel(&w, &a);
	assert_true(timers_wait_ms(&w) > 0);
	timer_cancel(&w, &b);
	assert_int_equal(timers_wait_ms(&w), -1);
	timer_set(&w, &a, 100, count_fired);
	timer_set(&w, &a, 300000, count_fired);
	assert_true(timers_wait_ms(&w) > 100);
	assert_int_equal(w.count, 1);
	timer_cancel(&w, &a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_model),
		cmocka_unit_test(the_wait_leads_to_the_deadline),
		cmocka_unit_test(a_jump_of_years_fires_everything),
		cmocka_unit_test(a_deadline_at_the_end_of_time_waits),
		cmocka_unit_test(a_timer_set_to_now_waits_for_the_next_advance),
		cmocka_unit_test(cancelling_the_last_of_a_slot_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
