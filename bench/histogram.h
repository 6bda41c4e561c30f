/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* Durations in buckets whose width is a 16th of their place: 6 percent, from nanoseconds to centuries. */

enum { HISTOGRAM_STEPS = 16, HISTOGRAM_BUCKETS = 61 * HISTOGRAM_STEPS };

struct histogram {
	uint64_t count, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline size_t histogram_bucket(uint64_t value)
{
	unsigned top = value < HISTOGRAM_STEPS ? 4 : 63U - (unsigned)__builtin_clzll(value);

	return (top - 4) * HISTOGRAM_STEPS + (value < HISTOGRAM_STEPS ? value : value >> (top - 4));
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->count++;
	h->max = MAX(h->max, value);
	h->buckets[MIN(histogram_bucket(value), (size_t)HISTOGRAM_BUCKETS - 1)]++;
}

/* The least value that `share` (0 to 1) of the values do not exceed, rounded down to its bucket; 0 if empty.
 */
static inline uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > wanted || (seen == h->count && h->count))
			return i < 2 * HISTOGRAM_STEPS
				       ? i
				       : (i % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << (i / HISTOGRAM_STEPS - 1);
	}
	return 0;
}
