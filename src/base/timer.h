/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"

/*
 * Hierarchical timer wheel: set and cancel cost the same for one timer or a million. Time is given by the
 * caller in milliseconds of a clock that never goes back, so tests and replays own it.
 */

struct timer;
/*
 * Called once by timers_advance, with its `now_ms`; the timer is no longer set and may be set again or freed,
 * as may any other. What a callback sets to a deadline that has passed waits for the next advance.
 */
typedef void timer_fn(struct timer *t, uint64_t now_ms);

struct timer {
	struct list node;
	uint64_t deadline_ms;
	timer_fn *fn;
};

/* Six bits of a time per level: eleven levels hold any 64-bit deadline. */
enum { TIMER_LEVELS = 11, TIMER_SLOTS = 64 };

struct timers {
	uint64_t now_ms;
	uint64_t wheel_ms; /* how far the wheel has turned: behind now_ms only while timers_advance runs */
	size_t count;
	struct list overdue;		 /* set to a time that had already passed, oldest first */
	uint64_t occupied[TIMER_LEVELS]; /* bit per slot */
	struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timers_init(struct timers *w, uint64_t now_ms);
/* (Re-)sets the timer; a deadline that has passed fires at the next advance. */
void timer_set(struct timers *w, struct timer *t, uint64_t deadline_ms, timer_fn *fn);
/* Harmless on a timer that is not set (zero-initialised memory is a timer that is not set). */
void timer_cancel(struct timers *w, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
	return list_linked(&t->node);
}
/* Fires all that are due at `now_ms`, in order of their deadlines; of equal ones, in any order. */
void timers_advance(struct timers *w, uint64_t now_ms);
/* Milliseconds until the next advance is worth while (it may fire nothing); -1 if no timer is set. */
int64_t timers_wait_ms(const struct timers *w);
