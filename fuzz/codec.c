/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A payload in one Content-Format (FUZZ_FORMAT, by the build), read with and without a model, below paths of
 * every kind. What comes out is sound, and what of it can be written in the same format is read back alike.
 */

#include "fuzz.h"

#include "codec/codec.h"

#include <errno.h>

enum { ARENA = 1 << 20, OUT = 4 << 20 };

static struct codec_context context_of(struct reader *r, struct model *model, struct arena *arena)
{
	uint8_t flags = reader_u8(r);
	struct codec_context c = {.now_ms = 1700000000000, .arena = arena};

	*model = (struct model){.registry = fuzz_registry(), .lwm2m = {1, flags & 1}};
	c.model = flags & 2 ? NULL : model;
	c.any_path = flags & 4;
	c.root = flags & 8 ? span_str("/lwm2m") : span_of(NULL, 0);
	c.base = fuzz_path(r);
	return c;
}

static void check_sound(const struct codec_context *c, const struct records *records)
{
	for (size_t i = 0; i < records->count; i++) {
		const struct record *r = &records->items[i];

		assert(r->path.depth <= PATH_RESOURCE_INSTANCE && r->value.type < VALUE_TYPES);
		assert(c->any_path || r->extra || path_is_within(&r->path, &c->base));
		if (r->value.type == VALUE_STRING || r->value.type == VALUE_CORELNK)
			assert(utf8_valid(r->value.bytes));
	}
}

/* A copy, in order, of what was within the base. */
static struct records own_records(const struct records *records, struct arena *arena)
{
	struct records own = records_of(arena);

	for (size_t i = 0; i < records->count; i++)
		if (!records->items[i].extra && records_add(&own, &records->items[i]) < 0)
			return records_of(arena);
	records_sort(&own);
	for (size_t i = 1; i < own.count; i++) /* nothing, beside something */
		assert(own.items[i - 1].value.type != VALUE_NONE || own.items[i].value.type == VALUE_NONE ||
		       !path_is_within(&own.items[i].path, &own.items[i - 1].path));
	return own;
}

static void check_again(struct codec_context *c, const struct records *own, struct span payload)
{
	_cleanup_arena_ struct arena arena;
	struct codec_context second = *c;
	struct records again;
	int rc;

	arena_init(&arena, 8 * ARENA);
	second.arena = &arena;
	again = records_of(&arena);
	rc = codec_decode(&second, FUZZ_FORMAT, payload, &again);
	assert(rc == CODEC_OK);
	records_sort(&again);
	assert(again.count == own->count);
	for (size_t i = 0; i < own->count; i++) {
		const struct record *a = &own->items[i];
		struct record *b = &again.items[i];

		assert(path_compare(&a->path, &b->path) == 0);
		assert(a->timed == b->timed && (!a->timed || a->time_ms == b->time_ms));
		/* A value that did not fit may be written in a form that does; and what a format has no type
		 * for comes back as the nearest it has, unless a model tells better. */
		assert(a->misfit ||
		       (value_coerce(&b->value, a->value.type, &arena) && value_equal(&a->value, &b->value)));
	}
}

static void write_all_formats(struct codec_context *c, const struct records *own)
{
	static const uint16_t formats[] = {FORMAT_TEXT,	      FORMAT_LINK,	 FORMAT_OPAQUE, FORMAT_CBOR,
					   FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_TLV,	FORMAT_JSON};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_buffer_ struct buffer out = buffer_of(OUT);
		int rc = codec_encode(c, formats[i], own->items, own->count, &out);

		assert(rc == -ENOMEM || (rc >= CODEC_OK && rc <= CODEC_MISFIT));
		assert(rc == CODEC_OK || out.len == 0);
		if (rc == CODEC_OK && formats[i] == FUZZ_FORMAT && own->count)
			check_again(c, own, buffer_span(&out));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	_cleanup_arena_ struct arena arena;
	struct codec_context c;
	struct records records, own;
	struct model model;
	int rc;

	arena_init(&arena, ARENA);
	c = context_of(&r, &model, &arena);
	records = records_of(&arena);
	_cleanup_copy_ struct span payload = fuzz_copy(reader_rest(&r));
	rc = codec_decode(&c, FUZZ_FORMAT, payload, &records);
	assert(rc == -ENOMEM || (rc >= CODEC_OK && rc <= CODEC_UNSUPPORTED));
	assert(strlen(c.error) < sizeof(c.error));
	assert(rc == CODEC_OK || records.count == 0);
	if (rc)
		return 0;
	check_sound(&c, &records);
	own = own_records(&records, &arena);
	write_all_formats(&c, &own);
	return 0;
}
