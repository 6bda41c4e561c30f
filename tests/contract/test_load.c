/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* kill -9 in the middle of load: what was acknowledged is there, exactly once. */

#include "child.h"

#include "base/random.h"

#include <inttypes.h>

enum { KILLS = 12, DELAY_MAX_MS = 60 };

struct kill_at {
	uint32_t tail_max;
	unsigned reports; /* so many first, ... */
	int delay_ms;	  /* ... then so long */
};

/* Lets a child write for a while, then kills it; `stored` is raised to what was acknowledged. */
static void load_and_kill(struct fixture *f, const struct kill_at *at, uint64_t stored[CHILD_DEVICES])
{
	struct child_report r;
	unsigned reports = 0;
	uint64_t end = 0;
	struct child c;

	child_start(&c, &f->place, at->tail_max, NULL);
	while (!end || uv_hrtime() < end) {
		if (reports >= at->reports && !end)
			end = uv_hrtime() + (uint64_t)at->delay_ms * 1000000;
		if (!child_read(&c, end ? 1 : 30000, &r)) {
			assert_true(end);
			continue;
		}
		reports++;
		if (r.type == CHILD_STORED)
			stored[r.device] = r.number;
	}
	child_kill(&c);
	/* What it had reported before is still in the pipe. */
	while (child_read(&c, 10000, &r)) {
		assert_int_not_equal(r.type, CHILD_FAILED);
		if (r.type == CHILD_STORED)
			stored[r.device] = r.number;
	}
	child_wait(&c);
}

static void what_was_acknowledged_survives_kill_9_exactly_once(void **state)
{
	struct fixture *f = *state;
	const char *given = getenv("SHOAL_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : uv_hrtime();
	uint64_t stored[CHILD_DEVICES] = {0};
	struct random random;

	print_message("# SHOAL_TEST_SEED=%" PRIu64 "\n", seed);
	random_init_seed(&random, seed);
	fixture_close(f);
	for (int i = 0; i < KILLS; i++) {
		struct kill_at at = {
			/* A short tail has the sweep and the checkpoint in the middle of things too. */
			.tail_max = random_u32(&random) % 2 ? 100 : 100000,
			/* Some die while they open, most while they write. */
			.reports = i % 4 == 3 ? 0 : random_u32(&random) % 1000,
			.delay_ms = (int)(random_u32(&random) % DELAY_MAX_MS),
		};

		load_and_kill(f, &at, stored);
		fixture_open(f);
		child_check_store(f, stored);
		for (uint32_t d = 0; d < CHILD_DEVICES; d++) {
			char name[16];
			const struct found *found = find_now(f, device_key(child_endpoint(name, d)));

			/* Where the next child goes on. */
			stored[d] = found->result == STORE_DONE ? found->hot.number : 0;
		}
		fixture_close(f);
	}
	fixture_open(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(what_was_acknowledged_survives_kill_9_exactly_once),
};

const struct theme load_theme = {tests, ARRAY_SIZE(tests)};
