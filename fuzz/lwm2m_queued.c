/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bytes from the store as a queued request: what was read is written in a form that is read back alike, and
 * so are the values in it; whatever bytes are its id, they lead to a device or to none.
 */

#include "fuzz.h"

#include "lwm2m/queued.h"

enum { OUT_MAX = 4 << 20, RECORDS_MEMORY = 8 << 20 };

static void check_records(struct span bytes)
{
	_cleanup_buffer_ struct buffer first = buffer_of(OUT_MAX), second = buffer_of(OUT_MAX);
	_cleanup_arena_ struct arena arena;
	struct records records;

	arena_init(&arena, RECORDS_MEMORY);
	records = records_of(&arena);
	if (queued_records_decode(bytes, &records) < 0)
		return;
	for (size_t i = 0; i < records.count; i++)
		assert(records.items[i].path.depth <= PATH_RESOURCE_INSTANCE &&
		       records.items[i].value.type < VALUE_TYPES);
	queued_records_encode(records.items, records.count, &first);
	records = records_of(&arena);
	assert(queued_records_decode(buffer_span(&first), &records) == 0);
	queued_records_encode(records.items, records.count, &second);
	assert(span_equal(buffer_span(&first), buffer_span(&second)));
}

static bool rewrite(struct span body, struct buffer *out)
{
	struct queued_request r;

	if (queued_decode(body, &r) < 0)
		return false;
	assert(r.path.depth <= PATH_RESOURCE_INSTANCE && r.token.len <= sizeof(r.token.bytes));
	assert(queued_operation_name(r.operation)[0] != 0);
	check_records(r.records);
	assert(queued_encode(&r, out) == 0 && out->len <= body.len);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer first = buffer_of(OUT_MAX), second = buffer_of(OUT_MAX);
	struct span bytes = span_of(data, size);
	uint32_t hash;

	check_records(bytes);
	if (queued_id_hash(bytes, &hash))
		assert(size == REQUEST_ID);
	if (!rewrite(bytes, &first))
		return 0;
	assert(rewrite(buffer_span(&first), &second));
	assert(span_equal(buffer_span(&first), buffer_span(&second)));
	return 0;
}
