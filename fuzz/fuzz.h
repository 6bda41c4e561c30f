/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * What the fuzz targets share. A target turns its input into calls of one part and asserts what must hold
 * whatever the input is; the sanitizers watch the rest. Inputs are taken apart with the bounded reader, which
 * gives zeroes behind the end: every input is a valid one.
 */

#include "base/bytes.h"
#include "model/registry.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to 255 bytes behind a length in one byte. */
static inline struct span fuzz_short(struct reader *r)
{
	size_t len = reader_u8(r);

	return reader_bytes(r, MIN(len, reader_left(r)));
}

/* Up to 65,535 bytes behind a length in two bytes. */
static inline struct span fuzz_long(struct reader *r)
{
	size_t len = reader_u16(r);

	return reader_bytes(r, MIN(len, reader_left(r)));
}

/* A copy of exactly these bytes on the heap, so that a read beyond them is found. Free `data`. */
static inline struct span fuzz_copy(struct span s)
{
	uint8_t *copy = malloc(MAX(s.len, 1));

	assert(copy);
	if (s.len)
		memcpy(copy, s.data, s.len);
	return span_of(copy, s.len);
}

static inline void fuzz_copy_free(struct span *s)
{
	free((void *)s->data);
}
#define _cleanup_copy_ _cleanup_(fuzz_copy_free)

static inline bool fuzz_within(struct span part, struct span whole)
{
	return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
				 part.data - whole.data <= (ptrdiff_t)(whole.len - part.len));
}

/*
 * Definitions for the targets that need types: those built in, and object 42800, where resource n is of value
 * type n and single, n + 100 the same and multiple. Made once: libFuzzer has no place for a context.
 */
enum { FUZZ_EVERY_TYPE = 42800, FUZZ_EVERY_MULTIPLE = 100 };

struct fuzz_object {
	struct object_def object;
	struct resource_def resources[2 * VALUE_TYPES];
};

static inline struct registry *fuzz_registry_new(void)
{
	struct registry *r = registry_new();
	struct fuzz_object *o = calloc(1, sizeof(*o));
	size_t count = 0;
	int rc;

	assert(r && o);
	for (unsigned multiple = 0; multiple < 2; multiple++)
		for (unsigned t = VALUE_NONE + 1; t < VALUE_TYPES; t++)
			o->resources[count++] =
				(struct resource_def){.id = (uint16_t)(t + multiple * FUZZ_EVERY_MULTIPLE),
						      .type = (uint8_t)t,
						      .operations = RESOURCE_READ | RESOURCE_WRITE,
						      .multiple = multiple,
						      .name = "n",
						      .range = "",
						      .units = "",
						      .description = ""};
	o->object = (struct object_def){.id = FUZZ_EVERY_TYPE,
					.version = {1, 0},
					.lwm2m_version = {1, 0},
					.multiple = true,
					.name = "every type",
					.description = "",
					.resources = o->resources,
					.resource_count = count};
	rc = registry_take(r, &o->object);
	assert(rc == 0);
	return r;
}

static inline const struct registry *fuzz_registry(void)
{
	static struct registry *r;

	if (!r)
		r = fuzz_registry_new();
	return r;
}

/* Paths of every kind: single and multiple, known and unknown, of every type. 255 picks any other. */
static inline struct path fuzz_path(struct reader *r)
{
	static const struct path paths[] = {
		{{0}, 0},
		{{3}, 1},
		{{3, 0}, 2},
		{{3, 0, 0}, 3},
		{{3, 0, 9}, 3},
		{{3, 0, 6}, 3},
		{{3, 0, 6, 1}, 4},
		{{3, 0, 13}, 3},
		{{1}, 1},
		{{1, 1}, 2},
		{{5, 0, 0}, 3},
		{{3303}, 1},
		{{3303, 0}, 2},
		{{3303, 0, 5700}, 3},
		{{FUZZ_EVERY_TYPE}, 1},
		{{FUZZ_EVERY_TYPE, 0}, 2},
		{{FUZZ_EVERY_TYPE, 0, VALUE_STRING}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_INTEGER}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_UNSIGNED}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_FLOAT}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_BOOLEAN}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_OPAQUE}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_TIME}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_OBJLNK}, 3},
		{{FUZZ_EVERY_TYPE, 0, VALUE_CORELNK}, 3},
		{{FUZZ_EVERY_TYPE, 0, FUZZ_EVERY_MULTIPLE + VALUE_OPAQUE}, 3},
		{{FUZZ_EVERY_TYPE, 0, FUZZ_EVERY_MULTIPLE + VALUE_OBJLNK, 0}, 4},
		{{31024}, 1},
		{{31024, 11}, 2},
		{{31024, 11, 1}, 3},
		{{31024, 11, 1, 0}, 4},
	};
	uint8_t which = reader_u8(r);
	struct path p = {0};

	if (which != UINT8_MAX)
		return paths[which % ARRAY_SIZE(paths)];
	p.depth = reader_u8(r) % (PATH_RESOURCE_INSTANCE + 1);
	for (unsigned i = 0; i < p.depth; i++)
		p.ids[i] = (uint16_t)(reader_u16(r) % PATH_ID_NONE);
	return p;
}
