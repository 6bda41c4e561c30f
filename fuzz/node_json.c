/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * JSON of the northbound interface, as a node for a path or as a map of them. What it gives lies below the
 * path and is sound; written as JSON again it gives the same.
 */

#include "fuzz.h"

#include "http/node_input.h"
#include "http/node_json.h"
#include "http/node_map.h"

#include <errno.h>

enum { ARENA = 1 << 20, OUT = 8 << 20, CREATE = 1, MAP = 2 };

static void check_sound(const struct records *records, const struct path *base)
{
	for (size_t i = 0; i < records->count; i++) {
		const struct record *r = &records->items[i];

		assert(path_is_within(&r->path, base) && r->path.depth <= PATH_RESOURCE_INSTANCE);
		assert(r->value.type < VALUE_TYPES && !r->timed && !r->extra && !r->misfit);
		if (r->value.type == VALUE_STRING || r->value.type == VALUE_CORELNK)
			assert(utf8_valid(r->value.bytes));
	}
}

static bool has_every_value(const struct records *records)
{
	for (size_t i = 0; i < records->count; i++)
		if (records->items[i].value.type == VALUE_NONE)
			return false;
	return records->count > 0;
}

static void check_same(const struct records *a, struct records *b)
{
	records_sort(b);
	assert(a->count == b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert(path_compare(&a->items[i].path, &b->items[i].path) == 0);
		assert(value_equal(&a->items[i].value, &b->items[i].value));
	}
}

static void map_again(struct records *records)
{
	_cleanup_buffer_ struct buffer text = buffer_of(OUT);
	_cleanup_arena_ struct arena arena;
	struct records again;
	struct json j = json_to(&text);
	char error[NODE_ERROR];

	arena_init(&arena, 8 * ARENA);
	again = records_of(&arena);
	records_sort(records);
	node_map_json(&j, NULL, records->items, records->count);
	assert(!text.failed);
	assert(node_parse_map(buffer_span(&text), &again, error) == 0);
	check_same(records, &again);
}

static void node_again(struct records *records, const struct path *base)
{
	_cleanup_buffer_ struct buffer text = buffer_of(OUT);
	_cleanup_arena_ struct arena arena;
	struct node_input again;
	struct json j = json_to(&text);
	char error[NODE_ERROR];

	arena_init(&arena, 8 * ARENA);
	records_sort(records);
	if (node_json(&j, NULL, base, records->items, records->count) < 0)
		return;
	assert(!text.failed);
	assert(node_parse(buffer_span(&text), base, false, &arena, &again, error) == 0);
	check_same(records, &again.records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	uint8_t flags = reader_u8(&r);
	struct path root = {0}, base = fuzz_path(&r);
	_cleanup_arena_ struct arena arena;
	char error[NODE_ERROR] = "";
	struct node_input in;
	int rc;

	_cleanup_copy_ struct span body = fuzz_copy(reader_rest(&r));
	arena_init(&arena, ARENA);
	in.records = records_of(&arena);
	if (flags & CREATE)
		base = path_up_to(base, PATH_OBJECT);
	if (!(flags & MAP) && base.depth < (flags & CREATE ? PATH_OBJECT : PATH_INSTANCE))
		return 0;
	rc = flags & MAP ? node_parse_map(body, &in.records, error)
			 : node_parse(body, &base, flags & CREATE, &arena, &in, error);
	assert(rc == 0 || rc == -EINVAL || rc == -ENOMEM);
	assert(rc != -EINVAL || (error[0] && strlen(error) < sizeof(error)));
	if (rc)
		return 0;
	check_sound(&in.records, flags & MAP ? &root : &base);
	if (!has_every_value(&in.records))
		return 0;
	if (flags & MAP)
		map_again(&in.records);
	else if (!(flags & CREATE))
		node_again(&in.records, &base);
	return 0;
}
