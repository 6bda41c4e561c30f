/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* Objects of one size, without a header each, handed out in any order; slabs are kept until deinit. */

struct pool_slab;

struct pool {
	struct pool_slab *slabs;
	void *free;
	size_t size;  /* of one object, rounded up to 8 */
	size_t used;  /* objects handed out */
	size_t limit; /* ceiling of `used` */
};

void pool_init(struct pool *p, size_t size, size_t limit);
void pool_deinit(struct pool *p);
/* A cleared object, or NULL when the ceiling or memory is reached. */
void *pool_take(struct pool *p) NODISCARD;
void pool_give(struct pool *p, void *object);
