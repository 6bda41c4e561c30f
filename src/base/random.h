/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* A source of random bytes: the kernel's, or in tests and replays a deterministic one. */
struct random {
	void (*fill)(struct random *r, void *out, size_t len);
	uint8_t block[256]; /* the kernel's bytes are fetched in blocks and wiped when used */
	size_t used;
	uint64_t state; /* of the deterministic source */
};

void random_init_kernel(struct random *r);
/* The same bytes for the same seed. Not for secrets. */
void random_init_seed(struct random *r, uint64_t seed);
static inline void random_fill(struct random *r, void *out, size_t len)
{
	r->fill(r, out, len);
}
uint32_t random_u32(struct random *r);
uint64_t random_u64(struct random *r);
