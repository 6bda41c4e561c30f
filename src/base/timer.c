/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A deadline is a number with eleven digits of six bits. A timer lies at the level of the highest digit in
 * which its deadline differs from the wheel's time, in the slot named by that digit. Two things follow, and
 * they carry the whole file: every occupied slot lies ahead of the wheel's own digit, and everything in a
 * lower level is due before anything in a higher one. So the next slot to look at is the first occupied one
 * of the lowest occupied level, found by a count of trailing zeroes; time jumps straight to it, however far
 * it is, and a slot above level 0 is then dealt out to the levels below. A timer moves at most once per level
 * in its life.
 *
 * Leaves out the clock: time comes from the caller.
 */

#include "base/timer.h"

enum { DIGIT_BITS = 6 };

static_assert(TIMER_SLOTS == 1 << DIGIT_BITS, "a slot per value of a digit");
static_assert(TIMER_LEVELS * DIGIT_BITS >= 64, "any deadline has a level");

void timers_init(struct timers *w, uint64_t now_ms)
{
	*w = (struct timers){.now_ms = now_ms, .wheel_ms = now_ms};
	list_init(&w->overdue);
	for (size_t level = 0; level < TIMER_LEVELS; level++)
		for (size_t slot = 0; slot < TIMER_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
}

/* Links a timer whose deadline is not before the wheel's time. */
static void place(struct timers *w, struct timer *t)
{
	/* A deadline of this very millisecond differs nowhere and belongs to level 0. */
	uint64_t difference = (t->deadline_ms ^ w->wheel_ms) | 1;
	unsigned level = (63 - (unsigned)__builtin_clzll(difference)) / DIGIT_BITS;
	unsigned slot = (unsigned)(t->deadline_ms >> level * DIGIT_BITS) % TIMER_SLOTS;

	list_append(&w->slots[level][slot], &t->node);
	w->occupied[level] |= (uint64_t)1 << slot;
}

/* Unlinks a timer; if it was the last one in a slot, the slot's bit goes too. */
static void unlink_timer(struct timers *w, struct timer *t)
{
	struct list *neighbour = t->node.next;
	size_t index;

	list_remove(&t->node);
	if (!list_empty(neighbour))
		return;
	/* The only neighbour is a head: of a slot, of `overdue`, or of what timers_advance is firing. */
	index = ((uintptr_t)neighbour - (uintptr_t)w->slots) / sizeof(struct list);
	if (index < (size_t)TIMER_LEVELS * TIMER_SLOTS)
		w->occupied[index / TIMER_SLOTS] &= ~((uint64_t)1 << index % TIMER_SLOTS);
}

void timer_cancel(struct timers *w, struct timer *t)
{
	if (!timer_is_set(t))
		return;
	unlink_timer(w, t);
	w->count--;
}

void timer_set(struct timers *w, struct timer *t, uint64_t deadline_ms, timer_fn *fn)
{
	timer_cancel(w, t);
	t->deadline_ms = deadline_ms;
	t->fn = fn;
	w->count++;
	if (deadline_ms <= w->now_ms)
		list_append(&w->overdue, &t->node);
	else
		place(w, t);
}

/* Moves all nodes of `from` to the end of `to`. */
static void move_all(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

static void fire_all(struct timers *w, struct list *due)
{
	struct list *node;

	while ((node = list_take_first(due))) {
		struct timer *t = container_of(node, struct timer, node);

		w->count--;
		t->fn(t, w->now_ms);
	}
}

/* The next occupied slot, and when the wheel gets there. False if the wheel is empty. */
static bool next_slot(const struct timers *w, unsigned *level, unsigned *slot, uint64_t *at_ms)
{
	for (*level = 0; *level < TIMER_LEVELS; ++*level) {
		uint64_t occupied = w->occupied[*level];
		unsigned shift = *level * DIGIT_BITS;
		uint64_t higher;

		if (!occupied)
			continue;
		*slot = (unsigned)__builtin_ctzll(occupied);
		higher = shift + DIGIT_BITS < 64 ? w->wheel_ms >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS)
						 : 0;
		*at_ms = higher | (uint64_t)*slot << shift;
		return true;
	}
	return false;
}

void timers_advance(struct timers *w, uint64_t now_ms)
{
	struct list due;
	unsigned level, slot;
	uint64_t at_ms;

	assert(now_ms >= w->now_ms);
	w->now_ms = now_ms;
	list_init(&due);
	move_all(&w->overdue, &due);
	fire_all(w, &due);
	while (next_slot(w, &level, &slot, &at_ms) && at_ms <= now_ms) {
		struct list *node;

		w->wheel_ms = at_ms;
		w->occupied[level] &= ~((uint64_t)1 << slot);
		move_all(&w->slots[level][slot], &due);
		if (level == 0)
			fire_all(w, &due);
		while ((node = list_take_first(&due)))
			place(w, container_of(node, struct timer, node));
	}
	w->wheel_ms = now_ms;
}

int64_t timers_wait_ms(const struct timers *w)
{
	unsigned level, slot;
	uint64_t at_ms;

	if (!list_empty(&w->overdue))
		return 0;
	if (!next_slot(w, &level, &slot, &at_ms))
		return -1;
	return (int64_t)MIN(at_ms - w->now_ms, (uint64_t)INT64_MAX);
}
