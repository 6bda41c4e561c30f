/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The only place that asks the kernel for the time. Protocol code gets `now` as an argument, so that tests
 * and replays own it. Leaves out resolution below a millisecond: no timer of the protocol needs it.
 */

#include "base/clock.h"

#include <time.h>

static uint64_t read_ms(clockid_t id)
{
	struct timespec t = {0};
	int rc = clock_gettime(id, &t);

	assert(rc == 0);
	(void)rc;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}
