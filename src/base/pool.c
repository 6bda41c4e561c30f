/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Slabs of equal objects. A free object holds the link to the next free one in its own first bytes, so an
 * object in use costs nothing extra; the newest slab is carved only as far as it was needed. Free objects are
 * poisoned for AddressSanitizer. Leaves out giving slabs back: what a peak of devices took, the next peak
 * will need again.
 */

#include "base/pool.h"

#include <sanitizer/asan_interface.h>

enum { SLAB_BYTES = 65536, SLAB_OBJECTS_MIN = 8 };

struct pool_slab {
	struct pool_slab *next;
	size_t count;  /* objects it has room for */
	size_t carved; /* objects handed out at least once */
	uint8_t data[];
};

static_assert(sizeof(struct pool_slab) % 8 == 0, "objects are aligned to 8");

void pool_init(struct pool *p, size_t size, size_t limit)
{
	assert(size <= SIZE_MAX / 2 / SLAB_OBJECTS_MIN - sizeof(struct pool_slab));
	*p = (struct pool){.size = (MAX(size, sizeof(void *)) + 7) / 8 * 8, .limit = limit};
}

void pool_deinit(struct pool *p)
{
	while (p->slabs) {
		struct pool_slab *next = p->slabs->next;

		free(p->slabs);
		p->slabs = next;
	}
	pool_init(p, p->size, p->limit);
}

static struct pool_slab *add_slab(struct pool *p)
{
	size_t count = MAX(SLAB_BYTES / p->size, (size_t)SLAB_OBJECTS_MIN);
	struct pool_slab *slab;

	count = MIN(count, p->limit - p->used);
	slab = malloc(sizeof(*slab) + count * p->size);
	if (!slab)
		return NULL;
	slab->count = count;
	slab->carved = 0;
	slab->next = p->slabs;
	p->slabs = slab;
	ASAN_POISON_MEMORY_REGION(slab->data, count * p->size);
	return slab;
}

/* An object that was never handed out. */
static void *carve(struct pool *p)
{
	struct pool_slab *slab = p->slabs;

	if (!slab || slab->carved == slab->count)
		slab = add_slab(p);
	return slab ? slab->data + slab->carved++ * p->size : NULL;
}

void *pool_take(struct pool *p)
{
	void *object = p->free;

	if (p->used >= p->limit)
		return NULL;
	if (!object)
		object = carve(p);
	if (!object)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(object, p->size);
	if (object == p->free)
		memcpy(&p->free, object, sizeof(p->free));
	memset(object, 0, p->size);
	p->used++;
	return object;
}

void pool_give(struct pool *p, void *object)
{
	if (!object)
		return;
	assert(p->used > 0);
	memcpy(object, &p->free, sizeof(p->free));
	ASAN_POISON_MEMORY_REGION(object, p->size);
	p->free = object;
	p->used--;
}
