/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Properties of all codecs: what is written is read back, whatever it is; every payload cut short at any byte
 * and a hundred thousand bent ones are answered with an outcome, and what comes out of them is sound.
 */

#include "codec_fixture.h"

#include <errno.h>

enum { ROUNDS = 3000, MUTATIONS = 100000, STRING_MAX = 300 };

/* --- Random records --- */

static uint32_t below(struct random *r, uint32_t n)
{
	return random_u32(r) % n;
}

static struct span random_bytes(struct fixture *f, struct random *r, size_t len)
{
	uint8_t *bytes = arena_alloc(&f->arena, len);

	assert_non_null(bytes);
	if (len)
		random_fill(r, bytes, len);
	return span_of(bytes, len);
}

/* Any characters, control characters and quotes among them. */
static struct span random_text(struct fixture *f, struct random *r)
{
	static const char *const characters[] = {"a",	 "7", "\"",	  "\\",		  "\n",
						 "\x01", "/", "\xC3\xB6", "\xE2\x82\xAC", "\xF0\x9F\x90\x9F",
						 "\x7F"};
	size_t count = below(r, 8) ? below(r, 12) : below(r, STRING_MAX);
	uint8_t *bytes = arena_alloc(&f->arena, 4 * count + 1);
	size_t len = 0;

	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++) {
		const char *c = characters[below(r, ARRAY_SIZE(characters))];

		if (below(r, 20) == 0) {
			bytes[len++] = '\0';
			continue;
		}
		memcpy(bytes + len, c, strlen(c));
		len += strlen(c);
	}
	return span_of(bytes, len);
}

/* Of all sizes alike. */
static uint64_t random_magnitude(struct random *r)
{
	return random_u64(r) >> below(r, 64);
}

static double random_real(struct random *r)
{
	static const double plain[] = {0, 22.4, -43.5723, 1e300, 5e-324, 65504, 0.1f};
	uint64_t bits = random_u64(r);
	double v;

	if (below(r, 2))
		return plain[below(r, ARRAY_SIZE(plain))];
	memcpy(&v, &bits, sizeof(v));
	return isfinite(v) ? v : -0.5;
}

static struct value random_value(struct fixture *f, struct random *r, enum value_type type)
{
	struct value v = {.type = type};

	switch (type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
		v.bytes = random_text(f, r);
		break;
	case VALUE_OPAQUE:
		v.bytes = random_bytes(f, r, below(r, 50) ? below(r, 40) : below(r, 70000));
		break;
	case VALUE_INTEGER:
	case VALUE_TIME:
		v.integer = (int64_t)(random_magnitude(r) >> 1) * (below(r, 2) ? 1 : -1);
		break;
	case VALUE_UNSIGNED:
		v.unsigned_ = random_magnitude(r);
		break;
	case VALUE_FLOAT:
		v.real = random_real(r);
		break;
	case VALUE_BOOLEAN:
		v.boolean = below(r, 2);
		break;
	case VALUE_OBJLNK:
		v.link.object = (uint16_t)random_u32(r);
		v.link.instance = (uint16_t)random_u32(r);
		break;
	default:
		fail();
	}
	return v;
}

/* Records of the object that has every type, below `base`, sorted, each path once. */
static struct records random_records(struct fixture *f, struct random *r, const struct path *base)
{
	struct records list = records_of(&f->arena), unique = records_of(&f->arena);
	size_t count = 1 + below(r, 20);

	for (size_t i = 0; i < count; i++) {
		enum value_type type = (enum value_type)(VALUE_NONE + 1 + below(r, VALUE_TYPES - 1));
		bool multiple = below(r, 2);
		struct record record = {.path = {{EVERY_TYPE, (uint16_t)below(r, 3), (uint16_t)type}, 3}};

		if (base->depth >= PATH_INSTANCE)
			record.path.ids[1] = base->ids[1];
		if (base->depth >= PATH_RESOURCE) {
			multiple = base->ids[2] > EVERY_MULTIPLE;
			type = (enum value_type)(base->ids[2] % EVERY_MULTIPLE);
			record.path.ids[2] = (uint16_t)type;
		}
		if (multiple) {
			record.path.ids[2] = (uint16_t)(record.path.ids[2] + EVERY_MULTIPLE);
			record.path = path_child(record.path, (uint16_t)below(r, 65535));
		}
		if (base->depth == PATH_RESOURCE_INSTANCE)
			record.path = *base;
		record.value = random_value(f, r, type);
		assert_int_equal(records_add(&list, &record), 0);
	}
	records_sort(&list);
	for (size_t i = 0; i < list.count; i++)
		if (i == 0 || path_compare(&list.items[i - 1].path, &list.items[i].path))
			assert_int_equal(records_add(&unique, &list.items[i]), 0);
	return unique;
}

static struct path random_base(struct random *r, unsigned depth)
{
	struct path base = {{EVERY_TYPE, (uint16_t)below(r, 300), (uint16_t)(1 + below(r, VALUE_TYPES - 1))},
			    3};

	if (depth == PATH_RESOURCE_INSTANCE || below(r, 2))
		base.ids[2] = (uint16_t)(base.ids[2] + EVERY_MULTIPLE);
	if (depth == PATH_RESOURCE_INSTANCE)
		return path_child(base, (uint16_t)below(r, 65535));
	return path_up_to(base, depth);
}

/* Some or all at some time, relative or absolute. */
static void add_times(struct random *r, struct records *list)
{
	unsigned kind = below(r, 3);

	for (size_t i = 0; i < list->count; i++) {
		struct record *record = &list->items[i];

		record->timed = kind == 2 || (kind == 1 && below(r, 2));
		if (record->timed)
			record->time_ms = (int64_t)(random_magnitude(r) % 2000000000000) - 100000000000;
	}
}

/* --- What is written is read back --- */

static void assert_same(struct fixture *f, const struct records *a, const struct records *b)
{
	char *first = strdup(text_of(f, a->items, a->count));

	assert_string_equal(text_of(f, b->items, b->count), first);
	free(first);
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_true(value_equal(&a->items[i].value, &b->items[i].value));
}

static void round_trips(void **state, uint16_t format, uint64_t seed, unsigned min_depth, unsigned max_depth,
			bool times)
{
	struct fixture *f = *state;
	struct random random;

	random_init_seed(&random, seed);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct records list, back;
		uint8_t *block;

		arena_reset(&f->arena);
		f->c.base = random_base(&random, min_depth + below(&random, max_depth - min_depth + 1));
		f->c.any_path = f->c.base.depth == PATH_ROOT;
		list = random_records(f, &random, &f->c.base);
		if (times)
			add_times(&random, &list);
		if (codec_find(format)->max_count_one)
			list.count = 1;
		back = records_of(&f->arena);
		f->out.len = 0;
		if (codec_encode(&f->c, format, list.items, list.count, &f->out))
			fail_msg("seed %llu, round %u: %s", (unsigned long long)seed, i, f->c.error);
		if (decode_exact(f, format, buffer_span(&f->out), &back, &block))
			fail_msg("seed %llu, round %u: %s", (unsigned long long)seed, i, f->c.error);
		assert_same(f, &list, &back);
		free(block);
	}
}

static void tlv_round_trips(void **state)
{
	round_trips(state, FORMAT_TLV, 1, PATH_OBJECT, PATH_RESOURCE_INSTANCE, false);
}

static void senml_json_round_trips(void **state)
{
	round_trips(state, FORMAT_SENML_JSON, 2, PATH_ROOT, PATH_RESOURCE_INSTANCE, true);
}

static void senml_cbor_round_trips(void **state)
{
	round_trips(state, FORMAT_SENML_CBOR, 3, PATH_ROOT, PATH_RESOURCE_INSTANCE, true);
}

static void oma_json_round_trips(void **state)
{
	round_trips(state, FORMAT_JSON, 7, PATH_OBJECT, PATH_RESOURCE_INSTANCE, true);
}

static void cbor_round_trips(void **state)
{
	round_trips(state, FORMAT_CBOR, 8, PATH_RESOURCE_INSTANCE, PATH_RESOURCE_INSTANCE, false);
}

static void text_round_trips(void **state)
{
	round_trips(state, FORMAT_TEXT, 4, PATH_RESOURCE_INSTANCE, PATH_RESOURCE_INSTANCE, false);
}

static void octets_round_trip(void **state)
{
	struct fixture *f = *state;
	struct random random;

	random_init_seed(&random, 5);
	set_base(f, "/42800/0/6");
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct record record = {.path = f->c.base};
		struct records back = records_of(&f->arena);
		uint8_t *block;

		record.value = random_value(f, &random, VALUE_OPAQUE);
		f->out.len = 0;
		assert_int_equal(codec_encode(&f->c, FORMAT_OPAQUE, &record, 1, &f->out), CODEC_OK);
		assert_int_equal(decode_exact(f, FORMAT_OPAQUE, buffer_span(&f->out), &back, &block),
				 CODEC_OK);
		assert_true(value_equal(&back.items[0].value, &record.value));
		free(block);
		arena_reset(&f->arena);
	}
}

/* Types as the wire tells them, where nobody else does. */
static struct value wire_value(struct value v)
{
	if (v.type == VALUE_TIME)
		v.type = VALUE_INTEGER;
	if (v.type == VALUE_CORELNK)
		v.type = VALUE_STRING;
	if (v.type == VALUE_UNSIGNED && v.unsigned_ <= INT64_MAX)
		v = (struct value){.type = VALUE_INTEGER, .integer = (int64_t)v.unsigned_};
	return v;
}

static void senml_keeps_types_without_a_model(void **state)
{
	static const uint16_t formats[] = {FORMAT_SENML_JSON, FORMAT_SENML_CBOR};
	struct fixture *f = *state;
	struct random random;

	random_init_seed(&random, 6);
	f->c.model = NULL;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct records list, back;
		uint8_t *block;

		arena_reset(&f->arena);
		f->c.base = random_base(&random, PATH_INSTANCE);
		list = random_records(f, &random, &f->c.base);
		back = records_of(&f->arena);
		f->out.len = 0;
		assert_int_equal(codec_encode(&f->c, formats[i % 2], list.items, list.count, &f->out),
				 CODEC_OK);
		assert_int_equal(decode_exact(f, formats[i % 2], buffer_span(&f->out), &back, &block),
				 CODEC_OK);
		assert_int_equal(list.count, back.count);
		for (size_t n = 0; n < list.count; n++) {
			struct value expected = wire_value(list.items[n].value);

			assert_true(value_equal(&back.items[n].value, &expected));
			assert_false(back.items[n].misfit);
		}
		free(block);
	}
}

/* --- What is bent --- */

static void assert_sound(struct fixture *f, const struct records *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct record *r = &list->items[i];

		assert_true(r->path.depth <= PATH_RESOURCE_INSTANCE);
		assert_true(f->c.any_path || r->extra || path_is_within(&r->path, &f->c.base));
		assert_true(r->value.type < VALUE_TYPES);
		if (r->value.type == VALUE_STRING || r->value.type == VALUE_CORELNK)
			assert_true(utf8_valid(r->value.bytes));
	}
}

static size_t count_values(const struct records *list)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		count += list->items[i].value.type != VALUE_NONE;
	return count;
}

/* What was read can be written, unless the format cannot say it, and then is read as the same. */
static void check_again(struct fixture *f, uint16_t format, struct records *list)
{
	struct records back = records_of(&f->arena);
	struct codec_context c = f->c;
	uint8_t *block;
	int rc;

	records_sort(list);
	f->out.len = 0;
	rc = codec_encode(&c, format, list->items, list->count, &f->out);
	if (rc)
		return;
	rc = decode_exact(f, format, buffer_span(&f->out), &back, &block);
	assert_int_equal(rc, CODEC_OK);
	assert_sound(f, &back);
	assert_int_equal(count_values(&back), count_values(list));
	free(block);
}

/* Returns whether it was accepted. */
static bool try_payload(struct fixture *f, uint16_t format, struct span payload)
{
	struct records list = records_of(&f->arena);
	uint8_t *block;
	int rc = decode_exact(f, format, payload, &list, &block);

	assert_true(rc == -ENOMEM || (rc >= CODEC_OK && rc <= CODEC_UNSUPPORTED));
	if (rc)
		assert_int_equal(list.count, 0);
	else {
		assert_sound(f, &list);
		if (list.count)
			check_again(f, format, &list);
	}
	free(block);
	return rc == CODEC_OK;
}

static void every_cut_is_answered(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(codec_vectors); i++) {
		const struct codec_vector *v = &codec_vectors[i];
		struct span payload = vector_payload(f, v);
		size_t accepted = 0;

		set_base(f, v->base);
		for (size_t len = 1; len < payload.len; len++)
			accepted += try_payload(f, v->format, span_of(payload.data, len));
		/* TLV may end between two items; SenML is an array that knows its end. */
		if (v->format != FORMAT_TLV)
			assert_int_equal(accepted, 0);
		assert_true(try_payload(f, v->format, payload));
		arena_reset(&f->arena);
	}
}

struct bent {
	uint8_t bytes[1024];
	size_t len;
};

static void bend(struct random *r, struct bent *b)
{
	static const uint8_t special[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, '"', '[',
					  '{',	'\\', 0x9F, 0xBF, 0x5F, 0xC4};
	size_t at = b->len ? below(r, (uint32_t)b->len) : 0;
	size_t n = 1 + below(r, 4);

	switch (below(r, 6)) {
	case 0:
		b->bytes[at] ^= (uint8_t)(1U << below(r, 8));
		break;
	case 1:
		b->bytes[at] = (uint8_t)random_u32(r);
		break;
	case 2:
		b->bytes[at] = special[below(r, sizeof(special))];
		break;
	case 3: /* less */
		n = MIN(n, b->len - at);
		memmove(b->bytes + at, b->bytes + at + n, b->len - at - n);
		b->len -= n;
		break;
	case 4: /* more */
		n = MIN(n, sizeof(b->bytes) - b->len);
		memmove(b->bytes + at + n, b->bytes + at, b->len - at);
		random_fill(r, b->bytes + at, n);
		b->len += n;
		break;
	case 5: /* a piece again */
		n = MIN(MIN(8 * n, b->len - at), sizeof(b->bytes) - b->len);
		memmove(b->bytes + at + n, b->bytes + at, b->len - at);
		b->len += n;
		break;
	default:
		break;
	}
}

static const struct codec_vector *random_vector(struct random *r, uint16_t format)
{
	/* Text, octets and links have no vectors: bent ones of others will do. */
	bool any = codec_find(format)->max_count_one && format != FORMAT_CBOR;
	const struct codec_vector *v;

	do
		v = &codec_vectors[below(r, ARRAY_SIZE(codec_vectors))];
	while (!any && v->format != format);
	return v;
}

static void bent_payloads(void **state, uint16_t format, uint64_t seed)
{
	static const char *const bases[] = {"/",      "/3",	"/3/0",	 "/3/0/6", "/3/0/6/0",
					    "/3/0/0", "/5/0/0", "/65/0", "/1"};
	struct fixture *f = *state;
	struct random random;
	unsigned accepted = 0;

	random_init_seed(&random, seed);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		const struct codec_vector *v = random_vector(&random, format);
		struct span payload = vector_payload(f, v);
		struct bent b = {.len = payload.len};

		assert_true(payload.len && payload.len <= sizeof(b.bytes));
		memcpy(b.bytes, payload.data, payload.len);
		for (unsigned n = 1 + below(&random, 4); n; n--)
			bend(&random, &b);
		set_base(f, below(&random, 4) && !codec_find(format)->max_count_one
				    ? v->base
				    : bases[below(&random, ARRAY_SIZE(bases))]);
		f->c.model = below(&random, 4) ? &f->model : NULL;
		accepted += try_payload(f, format, span_of(b.bytes, b.len));
		arena_reset(&f->arena);
	}
	/* Enough went deep, and enough did not. */
	assert_in_range(accepted, MUTATIONS / 200, MUTATIONS - MUTATIONS / 200);
}

static void bent_text(void **state)
{
	bent_payloads(state, FORMAT_TEXT, 21);
}

static void bent_octets(void **state)
{
	bent_payloads(state, FORMAT_OPAQUE, 22);
}

static void bent_links(void **state)
{
	bent_payloads(state, FORMAT_LINK, 23);
}

static void bent_tlv(void **state)
{
	bent_payloads(state, FORMAT_TLV, 24);
}

static void bent_cbor(void **state)
{
	bent_payloads(state, FORMAT_CBOR, 27);
}

static void bent_oma_json(void **state)
{
	bent_payloads(state, FORMAT_JSON, 28);
}

static void bent_senml_json(void **state)
{
	bent_payloads(state, FORMAT_SENML_JSON, 25);
}

static void bent_senml_cbor(void **state)
{
	bent_payloads(state, FORMAT_SENML_CBOR, 26);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(tlv_round_trips),
		WITH_FIXTURE(senml_json_round_trips),
		WITH_FIXTURE(senml_cbor_round_trips),
		WITH_FIXTURE(oma_json_round_trips),
		WITH_FIXTURE(cbor_round_trips),
		WITH_FIXTURE(text_round_trips),
		WITH_FIXTURE(octets_round_trip),
		WITH_FIXTURE(senml_keeps_types_without_a_model),
		WITH_FIXTURE(every_cut_is_answered),
		WITH_FIXTURE(bent_text),
		WITH_FIXTURE(bent_octets),
		WITH_FIXTURE(bent_links),
		WITH_FIXTURE(bent_tlv),
		WITH_FIXTURE(bent_cbor),
		WITH_FIXTURE(bent_oma_json),
		WITH_FIXTURE(bent_senml_json),
		WITH_FIXTURE(bent_senml_cbor),
	};

	return cmocka_run_group_tests_name("codec_hostile", tests, NULL, NULL);
}
