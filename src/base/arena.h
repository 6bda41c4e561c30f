/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/*
 * Memory that is given back all at once: what one datagram, request or event needs while it is worked on.
 * Every arena has a ceiling, so that what a peer sends cannot make us allocate without bound.
 */

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used;  /* bytes handed out */
	size_t limit; /* ceiling of `used` */
};

void arena_init(struct arena *a, size_t limit);
void arena_deinit(struct arena *a);
#define _cleanup_arena_ _cleanup_(arena_deinit)
/* Forgets all that was handed out and keeps the first chunk for re-use. */
void arena_reset(struct arena *a);
/* `size` bytes aligned for any type, not cleared; NULL when the ceiling or memory is reached. */
void *arena_alloc(struct arena *a, size_t size) NODISCARD;
/* A copy with a NUL behind it; {NULL, 0} on failure. */
struct span arena_dup(struct arena *a, struct span s) NODISCARD;
