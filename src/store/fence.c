/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One decision, in the order in which it has to be taken: owner before generation, generation before number.
 * Leaves out where the stored side comes from.
 */

#include "store/fence.h"

static bool same_owner(const struct store_fence *a, const struct store_fence *b)
{
	return a->node == b->node && a->incarnation == b->incarnation;
}

static enum store_result check_tombstone(const struct fence_stored *stored, const struct store_fence *writer,
					 uint64_t number, enum store_record_change change)
{
	if (change == STORE_RECORD_PUT && writer->gen > stored->fence.gen)
		return STORE_DONE;
	if (!fence_equal(writer, &stored->fence))
		return STORE_REFUSED;
	if (change == STORE_RECORD_PUT && number == stored->number + 1)
		return STORE_DONE;
	if (change == STORE_RECORD_DELETE && number == stored->number)
		return STORE_ALREADY;
	return STORE_REFUSED;
}

enum store_result fence_check(const struct fence_stored *stored, const struct store_fence *writer,
			      uint64_t number, enum store_record_change change)
{
	if (!stored->exists)
		return change == STORE_RECORD_PUT ? STORE_DONE : STORE_BEHIND;
	if (stored->deleted)
		return check_tombstone(stored, writer, number, change);
	if (!same_owner(writer, &stored->fence) || writer->gen < stored->fence.gen)
		return STORE_REFUSED;
	if (writer->gen > stored->fence.gen)
		return STORE_BEHIND;
	if (number <= stored->number)
		return STORE_ALREADY;
	return number == stored->number + 1 ? STORE_DONE : STORE_BEHIND;
}
