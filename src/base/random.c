/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Random bytes behind one pointer, so that tests and replays can have the same ones twice. The kernel's bytes
 * are fetched a block at a time, since a token or message id needs only a few, and are wiped as they are
 * handed out. Leaves out any generator of its own for secrets: the kernel has one.
 */

#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

/* Whole or nothing: without randomness no secret, token or message id could be trusted. */
static void kernel_bytes(void *out, size_t len)
{
	uint8_t *at = out;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}

static void fill_kernel(struct random *r, void *out, size_t len)
{
	if (len > sizeof(r->block)) {
		kernel_bytes(out, len);
		return;
	}
	if (len > sizeof(r->block) - r->used) {
		kernel_bytes(r->block, sizeof(r->block));
		r->used = 0;
	}
	memcpy(out, r->block + r->used, len);
	explicit_bzero(r->block + r->used, len);
	r->used += len;
}

/* SplitMix64 (Steele, Lea, Flood, 2014): any seed is good, and the period is enough for any replay. */
static uint64_t next_word(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void fill_seeded(struct random *r, void *out, size_t len)
{
	uint8_t *at = out;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = next_word(r);

		for (size_t j = i; j < MIN(i + 8, len); j++, word >>= 8)
			at[j] = (uint8_t)word;
	}
}

void random_init_kernel(struct random *r)
{
	*r = (struct random){.fill = fill_kernel, .used = sizeof(r->block)};
}

void random_init_seed(struct random *r, uint64_t seed)
{
	*r = (struct random){.fill = fill_seeded, .state = seed};
}

uint32_t random_u32(struct random *r)
{
	uint32_t v;

	random_fill(r, &v, sizeof(v));
	return v;
}

uint64_t random_u64(struct random *r)
{
	uint64_t v;

	random_fill(r, &v, sizeof(v));
	return v;
}
