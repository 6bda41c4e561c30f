/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "store/store.h"

/* The rule of who may write (architecture, rule 1), without a store: the embedded backend calls it, the
 * script of the other one says the same, and the contract suite holds both to it. */

/* What is stored; as of now, so after a take-over by opening. */
struct fence_stored {
	bool exists;
	bool deleted; /* a tombstone */
	struct store_fence fence;
	uint64_t number;
};

/*
 * STORE_DONE: the write may be done. Else what to answer: STORE_ALREADY, STORE_REFUSED, STORE_BEHIND.
 *
 * A device that is absent is created by a PUT of anybody. Over a tombstone a PUT creates it again if it is
 * the owner's next write, or claims more (a higher gen). All else about a tombstone is refused, numbers at or
 * below its own included: an owner that knows nothing of the tombstone starts with number 1, and must not
 * take "already done" for the answer. Only the deletion itself is.
 */
enum store_result fence_check(const struct fence_stored *stored, const struct store_fence *writer,
			      uint64_t number, enum store_record_change change);

static inline bool fence_equal(const struct store_fence *a, const struct store_fence *b)
{
	return a->node == b->node && a->incarnation == b->incarnation && a->gen == b->gen;
}
