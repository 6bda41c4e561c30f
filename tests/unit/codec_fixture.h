/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * What the tests of the codecs share: a model, a context, records written as lines of text, and the vectors.
 *
 * A record is "/3/0/9 INTEGER 95", with "@1500" behind the type for a time in milliseconds, and "misfit" or
 * "extra" in front of it. Opaque values are hex. Records are joined by newlines.
 */

#include "base/random.h"
#include "codec/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { FIXTURE_NOW_S = 1700000000 };
#define FIXTURE_NOW_MS (FIXTURE_NOW_S * 1000LL)

/* Object of the tests: resource n is single and of value type n, n + 100 the same with instances. */
enum { EVERY_TYPE = 42800, EVERY_MULTIPLE = 100 };

struct fixture {
	struct registry *registry;
	struct model model;
	struct arena arena;
	struct codec_context c;
	struct buffer out;
	struct buffer text;
};

struct test_object {
	struct object_def object;
	struct resource_def resources[2 * VALUE_TYPES];
};

static inline void define(struct registry *r, uint16_t id, const struct resource_def *resources, size_t count)
{
	struct test_object *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	memcpy(o->resources, resources, count * sizeof(*resources));
	o->object = (struct object_def){.id = id,
					.version = {1, 0},
					.multiple = true,
					.name = "test",
					.description = "test",
					.resources = o->resources,
					.resource_count = count};
	assert_int_equal(registry_take(r, &o->object), 0);
}

static inline void define_test_objects(struct registry *r)
{
	/* The objects of the examples in the specification. */
	static const struct resource_def linked[] = {
		{.id = 0, .type = VALUE_OBJLNK, .multiple = true},
		{.id = 1, .type = VALUE_STRING},
		{.id = 2, .type = VALUE_INTEGER},
	};
	static const struct resource_def history[] = {{.id = 2, .type = VALUE_FLOAT}};
	struct resource_def every[2 * VALUE_TYPES];
	size_t count = 0;

	define(r, 65, linked, ARRAY_SIZE(linked));
	define(r, 66, linked, ARRAY_SIZE(linked));
	define(r, 72, history, ARRAY_SIZE(history));
	for (unsigned multiple = 0; multiple < 2; multiple++)
		for (unsigned t = VALUE_NONE + 1; t < VALUE_TYPES; t++)
			every[count++] =
				(struct resource_def){.id = (uint16_t)(t + multiple * EVERY_MULTIPLE),
						      .type = (uint8_t)t,
						      .multiple = multiple};
	define(r, EVERY_TYPE, every, count);
}

static inline int make_fixture(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->registry = registry_new();
	if (!f->registry)
		return -1;
	define_test_objects(f->registry);
	f->model = (struct model){.registry = f->registry, .lwm2m = {1, 1}};
	arena_init(&f->arena, 4 << 20);
	f->c = (struct codec_context){.model = &f->model, .arena = &f->arena, .now_ms = FIXTURE_NOW_MS};
	f->out = buffer_of(4 << 20);
	f->text = buffer_of(16 << 20);
	*state = f;
	return 0;
}

static inline int free_fixture(void **state)
{
	struct fixture *f = *state;

	registry_free(f->registry);
	arena_deinit(&f->arena);
	buffer_deinit(&f->out);
	buffer_deinit(&f->text);
	free(f);
	return 0;
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, make_fixture, free_fixture)

static inline void set_base(struct fixture *f, const char *base)
{
	assert_true(path_parse(span_str(base), &f->c.base));
	f->c.any_path = f->c.base.depth == PATH_ROOT;
}

static inline int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Hex with blanks anywhere and "quoted text" in between. */
static inline struct span from_hex(struct fixture *f, const char *hex)
{
	uint8_t *bytes = arena_alloc(&f->arena, strlen(hex) + 1);
	bool quoted = false;
	size_t len = 0;

	assert_non_null(bytes);
	for (; *hex; hex++) {
		if (*hex == '"')
			quoted = !quoted;
		else if (quoted)
			bytes[len++] = (uint8_t)*hex;
		else if (hex_digit(*hex) >= 0 && hex_digit(hex[1]) >= 0) {
			bytes[len++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
			hex++;
		} else
			assert_int_equal(*hex, ' ');
	}
	return span_of(bytes, len);
}

static inline void print_hex(struct buffer *to, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		buffer_printf(to, "%02x", bytes.data[i]);
}

static inline void print_record(struct buffer *to, const struct record *r)
{
	char text[PATH_TEXT + VALUE_TEXT];

	if (r->misfit)
		buffer_str(to, "misfit ");
	if (r->extra)
		buffer_str(to, "extra ");
	buffer_printf(to, "%s %s", path_format(&r->path, text), value_type_name(r->value.type));
	if (r->timed)
		buffer_printf(to, "@%lld", (long long)r->time_ms);
	if (r->value.type == VALUE_NONE)
		return;
	buffer_u8(to, ' ');
	if (r->value.type == VALUE_STRING || r->value.type == VALUE_CORELNK)
		buffer_bytes(to, r->value.bytes);
	else if (r->value.type == VALUE_OPAQUE)
		print_hex(to, r->value.bytes);
	else if (value_format(&r->value, text))
		buffer_str(to, text);
	else
		buffer_str(to, isnan(r->value.real) ? "nan" : r->value.real > 0 ? "inf" : "-inf");
}

/* Valid until the next call. */
static inline const char *text_of(struct fixture *f, const struct record *items, size_t count)
{
	f->text.len = 0;
	buffer_str(&f->text, "");
	for (size_t i = 0; i < count; i++) {
		if (i)
			buffer_u8(&f->text, '\n');
		print_record(&f->text, &items[i]);
	}
	assert_false(f->text.failed);
	return (const char *)f->text.data;
}

static inline struct value parse_value(struct fixture *f, enum value_type type, const char *text)
{
	struct value v = {.type = VALUE_STRING, .bytes = span_str(text)};

	if (type == VALUE_NONE)
		v.type = VALUE_NONE;
	else if (type == VALUE_OPAQUE)
		v = (struct value){.type = VALUE_OPAQUE, .bytes = from_hex(f, text)};
	else if (strcmp(text, "nan") == 0 || strcmp(text, "inf") == 0)
		v = (struct value){.type = VALUE_FLOAT,
				   .real = *text == 'n' ? (double)NAN : (double)INFINITY};
	else if (!value_coerce(&v, type, &f->arena))
		fail_msg("%s is no value", text);
	return v;
}

/* The other direction, for lines without misfit and extra. */
static inline struct records records_from(struct fixture *f, const char *text)
{
	char *lines = strdup(text), *save = NULL;
	struct records list = records_of(&f->arena);

	assert_non_null(lines);
	for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct record r = {0};
		char path[PATH_TEXT], type[64] = "";
		int used = 0;
		char *at;

		assert_true(sscanf(line, "%31s %63[^ ]%n", path, type, &used) == 2);
		assert_true(path_parse(span_str(path), &r.path));
		at = strchr(type, '@');
		if (at) {
			r.timed = true;
			r.time_ms = strtoll(at + 1, NULL, 10);
			*at = '\0';
		}
		line += used;
		line += *line == ' ';
		r.value = parse_value(f, value_type_find(span_str(type)), line);
		if (r.value.type == VALUE_STRING || r.value.type == VALUE_CORELNK)
			r.value.bytes = arena_dup(&f->arena, r.value.bytes);
		assert_int_equal(records_add(&list, &r), 0);
	}
	free(lines);
	return list;
}

/* Decodes from a block of exactly its length on the heap, so that a byte read too far is found. */
static inline int decode_exact(struct fixture *f, uint16_t format, struct span payload, struct records *out,
			       uint8_t **block)
{
	*block = malloc(payload.len ? payload.len : 1);
	assert_non_null(*block);
	if (payload.len)
		memcpy(*block, payload.data, payload.len);
	return codec_decode(&f->c, format, span_of(*block, payload.len), out);
}

static inline void expect_decoded(struct fixture *f, uint16_t format, const char *base, struct span payload,
				  const char *expected)
{
	struct records list = records_of(&f->arena);
	uint8_t *block;
	int rc;

	set_base(f, base);
	rc = decode_exact(f, format, payload, &list, &block);
	if (rc)
		fail_msg("%s in %u: %d, %s", base, format, rc, f->c.error);
	assert_string_equal(text_of(f, list.items, list.count), expected);
	free(block);
}

static inline void expect_refused(struct fixture *f, uint16_t format, const char *base, struct span payload,
				  int outcome)
{
	struct records list = records_of(&f->arena);
	uint8_t *block;
	int rc;

	set_base(f, base);
	rc = decode_exact(f, format, payload, &list, &block);
	if (rc != outcome)
		fail_msg("%s in %u: %d, not %d: %s", base, format, rc, outcome,
			 text_of(f, list.items, list.count));
	assert_int_equal(list.count, 0);
	assert_true(rc < 0 || f->c.error[0]);
	free(block);
}

static inline void expect_encoded(struct fixture *f, uint16_t format, const char *base, const char *records,
				  struct span payload)
{
	struct records list = records_from(f, records);
	int rc;

	set_base(f, base);
	f->out.len = 0;
	rc = codec_encode(&f->c, format, list.items, list.count, &f->out);
	if (rc)
		fail_msg("%s in %u: %d, %s", base, format, rc, f->c.error);
	if (!span_equal(buffer_span(&f->out), payload)) {
		f->text.len = 0;
		print_hex(&f->text, buffer_span(&f->out));
		fail_msg("%s in %u: %s %.*s", base, format, f->text.data, (int)f->out.len, f->out.data);
	}
}

static inline void expect_not_encoded(struct fixture *f, uint16_t format, const char *base,
				      const char *records, int outcome)
{
	struct records list = records_from(f, records);

	set_base(f, base);
	f->out.len = 0;
	assert_int_equal(codec_encode(&f->c, format, list.items, list.count, &f->out), outcome);
	assert_int_equal(f->out.len, 0);
	assert_true(f->c.error[0]);
}

/* The payloads of lwm2m.md, 1.6: examples of the specification, of the test suite, and seen on the wire. */
struct codec_vector {
	const char *name;
	uint16_t format;
	const char *base;
	const char *payload; /* hex, or "text" if quoted as a whole */
	const char *records;
	bool canonical; /* the encoder writes exactly this */
};

#define DEVICE_RECORDS                           \
	"/3/0/0 STRING Open Mobile Alliance\n"   \
	"/3/0/1 STRING Lightweight M2M Client\n" \
	"/3/0/2 STRING 345000123\n"              \
	"/3/0/3 STRING 1.0\n"                    \
	"/3/0/6/0 INTEGER 1\n"                   \
	"/3/0/6/1 INTEGER 5\n"                   \
	"/3/0/7/0 INTEGER 3800\n"                \
	"/3/0/7/1 INTEGER 5000\n"                \
	"/3/0/8/0 INTEGER 125\n"                 \
	"/3/0/8/1 INTEGER 900\n"                 \
	"/3/0/9 INTEGER 100\n"                   \
	"/3/0/10 INTEGER 15\n"                   \
	"/3/0/11/0 INTEGER 0\n"                  \
	"/3/0/13 TIME 1367491215\n"              \
	"/3/0/14 STRING +02:00\n"                \
	"/3/0/16 STRING U"

#define SERVER_RECORDS "/1/0/0 INTEGER 1\n/1/0/1 INTEGER 86400\n/1/0/6 BOOLEAN 1\n/1/0/7 STRING U"

/* JSON stands in the table as it is; everything else is hex. */
static const struct codec_vector codec_vectors[] = {
	{"TLV /2", FORMAT_TLV, "/2",
	 "08000E C10001 C10100 8302 417F07 C1037F  080212 C10003 C10100 8702 417F07 61013601 C1037F",
	 "/2/0/0 INTEGER 1\n/2/0/1 INTEGER 0\n/2/0/2/127 INTEGER 7\n/2/0/3 INTEGER 127\n"
	 "/2/2/0 INTEGER 3\n/2/2/1 INTEGER 0\n/2/2/2/127 INTEGER 7\n/2/2/2/310 INTEGER 1\n/2/2/3 INTEGER 127",
	 true},
	{"TLV /1", FORMAT_TLV, "/1", "08000F C10001 C40100015180 C10601 C10755", SERVER_RECORDS, true},
	{"TLV /65/0", FORMAT_TLV, "/65/0",
	 "88000C 440000420000 440100420001  C8010D 38363133383030373535353030  C40212345678",
	 "/65/0/0/0 OBJLNK 66:0\n/65/0/0/1 OBJLNK 66:1\n/65/0/1 STRING 8613800755500\n"
	 "/65/0/2 INTEGER 305419896",
	 true},
	{"TLV ETS 215", FORMAT_TLV, "/1/0", "C10265 C20303F2 C20507D0 C10601 C10755",
	 "/1/0/2 INTEGER 101\n/1/0/3 INTEGER 1010\n/1/0/5 INTEGER 2000\n/1/0/6 BOOLEAN 1\n/1/0/7 STRING U",
	 true},
	{"TLV ETS 651", FORMAT_TLV, "/3/0", "C40D5182428F C60E2B30323A3030 C80F0C4575726F70652F5061726973",
	 "/3/0/13 TIME 1367491215\n/3/0/14 STRING +02:00\n/3/0/15 STRING Europe/Paris", true},
	{"TLV /3/0", FORMAT_TLV, "/3/0",
	 "C80014\"Open Mobile Alliance\" C80116\"Lightweight M2M Client\" C80209\"345000123\" C303\"1.0\" "
	 "8606 410001 410105 880708 42000ED8 42011388 8708 41007D 42010384 C10964 C10A0F 830B410000 "
	 "C40D5182428F C60E\"+02:00\" C110\"U\"",
	 DEVICE_RECORDS, true},
	{"TLV wire, /3/0/11", FORMAT_TLV, "/3/0/11", "830b410000", "/3/0/11/0 INTEGER 0", true},
	{"TLV wire, /3/0/6", FORMAT_TLV, "/3/0/6", "8306410000", "/3/0/6/0 INTEGER 0", true},
	{"TLV wire, long time", FORMAT_TLV, "/3/0", "C80D08 00000000 5182428F", "/3/0/13 TIME 1367491215",
	 false},
	{"TLV wire, zero", FORMAT_TLV, "/3/0", "C10900", "/3/0/9 INTEGER 0", true},
	{"SenML CBOR ETS 257", FORMAT_SENML_CBOR, "/",
	 "83 A3 21 61 2F 00 65 \"1/0/2\" 02 18 65 A2 00 65 \"1/0/6\" 04 F5 A2 00 66 \"3/0/13\" 02 00",
	 "/1/0/2 INTEGER 101\n/1/0/6 BOOLEAN 1\n/3/0/13 TIME 0", true},
	{"SenML CBOR /3/0", FORMAT_SENML_CBOR, "/3/0",
	 "90 A3 21 65\"/3/0/\" 00 61\"0\" 03 74\"Open Mobile Alliance\" A2 00 61\"1\" 03 76\"Lightweight M2M "
	 "Client\" "
	 "A2 00 61\"2\" 03 69\"345000123\" A2 00 61\"3\" 03 63\"1.0\" A2 00 63\"6/0\" 02 01 A2 00 63\"6/1\" "
	 "02 05 "
	 "A2 00 63\"7/0\" 02 190ED8 A2 00 63\"7/1\" 02 191388 A2 00 63\"8/0\" 02 187D A2 00 63\"8/1\" 02 "
	 "190384 "
	 "A2 00 61\"9\" 02 1864 A2 00 62\"10\" 02 0F A2 00 64\"11/0\" 02 00 A2 00 62\"13\" 02 1A5182428F "
	 "A2 00 62\"14\" 03 66\"+02:00\" A2 00 62\"16\" 03 61\"U\"",
	 DEVICE_RECORDS, true},
	{"SenML CBOR wire, FETCH answer", FORMAT_SENML_CBOR, "/",
	 "82a200662f332f302f300365616e6a6179a200662f312f312f3102183c",
	 "/3/0/0 STRING anjay\n/1/1/1 INTEGER 60", false},
	{"SenML JSON history", FORMAT_SENML_JSON, "/72",
	 "[{\"bn\":\"/72/\",\"bt\":25462634,\"n\":\"1/2\",\"v\":22.4,\"t\":-5},{\"n\":\"1/"
	 "2\",\"v\":22.9,\"t\":-30},"
	 "{\"n\":\"1/2\",\"v\":24.1,\"t\":-50}]",
	 "/72/1/2 FLOAT@1725462629000 22.4\n/72/1/2 FLOAT@1725462604000 22.9\n/72/1/2 FLOAT@1725462584000 "
	 "24.1",
	 false},
	{"SenML JSON wire, cut after the object", FORMAT_SENML_JSON, "/1",
	 "[{\"bn\":\"/1\",\"n\":\"/1/0\",\"v\":1},{\"n\":\"/1/1\",\"v\":60},{\"n\":\"/1/6\",\"vb\":true},"
	 "{\"n\":\"/1/7\",\"vs\":\"U\"}]",
	 "/1/1/0 INTEGER 1\n/1/1/1 INTEGER 60\n/1/1/6 BOOLEAN 1\n/1/1/7 STRING U", false},
	{"SenML JSON wire, cut behind the object", FORMAT_SENML_JSON, "/1",
	 "[{\"bn\":\"/1/\",\"n\":\"0/0\",\"v\":1},{\"n\":\"0/1\",\"v\":86400},{\"n\":\"0/6\",\"vb\":true},"
	 "{\"n\":\"0/7\",\"vs\":\"U\"}]",
	 SERVER_RECORDS, true},
	{"SenML JSON wire, FETCH", FORMAT_SENML_JSON, "/",
	 "[{\"n\":\"/3/0/0\"},{\"n\":\"/1/1/1\"},{\"n\":\"/999/0/0\"}]",
	 "/3/0/0 NONE\n/1/1/1 NONE\n/999/0/0 NONE", false},
	{"SenML JSON /3/0", FORMAT_SENML_JSON, "/3/0",
	 "[{\"bn\":\"/3/0/\",\"n\":\"0\",\"vs\":\"Open Mobile Alliance\"},"
	 "{\"n\":\"1\",\"vs\":\"Lightweight M2M "
	 "Client\"},{\"n\":\"2\",\"vs\":\"345000123\"},{\"n\":\"3\",\"vs\":\"1.0\"},"
	 "{\"n\":\"6/0\",\"v\":1},{\"n\":\"6/1\",\"v\":5},{\"n\":\"7/0\",\"v\":3800},{\"n\":\"7/"
	 "1\",\"v\":5000},"
	 "{\"n\":\"8/0\",\"v\":125},{\"n\":\"8/"
	 "1\",\"v\":900},{\"n\":\"9\",\"v\":100},{\"n\":\"10\",\"v\":15},"
	 "{\"n\":\"11/0\",\"v\":0},{\"n\":\"13\",\"v\":1367491215},{\"n\":\"14\",\"vs\":\"+02:00\"},"
	 "{\"n\":\"16\",\"vs\":\"U\"}]",
	 DEVICE_RECORDS, true},
	{"CBOR text", FORMAT_CBOR, "/3/0/0", "74\"Open Mobile Alliance\"",
	 "/3/0/0 STRING Open Mobile Alliance", true},
	{"CBOR integer", FORMAT_CBOR, "/3/0/9", "1864", "/3/0/9 INTEGER 100", true},
	{"CBOR half float", FORMAT_CBOR, "/6/0/2", "F9 3E00", "/6/0/2 FLOAT 1.5", true},
	{"CBOR decimal fraction", FORMAT_CBOR, "/6/0/2", "C4 82 21 19 6AB3", "/6/0/2 FLOAT 273.15", false},
	{"CBOR date", FORMAT_CBOR, "/3/0/13", "C0 74\"2013-05-02T10:40:15Z\"", "/3/0/13 TIME 1367491215",
	 false},
	{"CBOR bytes", FORMAT_CBOR, "/5/0/0", "5F 42 0001 42 02FF FF", "/5/0/0 OPAQUE 000102ff", false},
	{"CBOR instance", FORMAT_CBOR, "/3/0/6/1", "05", "/3/0/6/1 INTEGER 5", true},
	{"OMA JSON /3/0", FORMAT_JSON, "/3/0",
	 "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"Open Mobile Alliance\"},"
	 "{\"n\":\"1\",\"sv\":\"Lightweight M2M Client\"},{\"n\":\"2\",\"sv\":\"345000123\"},"
	 "{\"n\":\"3\",\"sv\":\"1.0\"},{\"n\":\"6/0\",\"v\":1},{\"n\":\"6/1\",\"v\":5},"
	 "{\"n\":\"7/0\",\"v\":3800},{\"n\":\"7/1\",\"v\":5000},{\"n\":\"8/0\",\"v\":125},"
	 "{\"n\":\"8/1\",\"v\":900},{\"n\":\"9\",\"v\":100},{\"n\":\"10\",\"v\":15},"
	 "{\"n\":\"11/0\",\"v\":0},{\"n\":\"13\",\"v\":1367491215},{\"n\":\"14\",\"sv\":\"+02:00\"},"
	 "{\"n\":\"16\",\"sv\":\"U\"}]}",
	 DEVICE_RECORDS, true},
	{"OMA JSON history", FORMAT_JSON, "/72",
	 "{\"bn\":\"/72/\",\"bt\":25462634,\"e\":[{\"n\":\"1/2\",\"v\":22.4,\"t\":-5},"
	 "{\"n\":\"1/2\",\"v\":22.9,\"t\":-30},{\"n\":\"1/2\",\"v\":24.1,\"t\":-50}]}",
	 "/72/1/2 FLOAT@1725462629000 22.4\n/72/1/2 FLOAT@1725462604000 22.9\n/72/1/2 FLOAT@1725462584000 "
	 "24.1",
	 false},
	{"OMA JSON, links followed", FORMAT_JSON, "/65",
	 "{\"bn\":\"/\",\"e\":[{\"n\":\"65/0/0/0\",\"ov\":\"66:0\"},{\"n\":\"65/0/0/1\",\"ov\":\"66:1\"},"
	 "{\"n\":\"65/0/1\",\"sv\":\"8613800755500\"},{\"n\":\"65/0/2\",\"v\":1},"
	 "{\"n\":\"66/0/1\",\"sv\":\"myService1\"}]}",
	 "/65/0/0/0 OBJLNK 66:0\n/65/0/0/1 OBJLNK 66:1\n/65/0/1 STRING 8613800755500\n/65/0/2 INTEGER 1\n"
	 "extra /66/0/1 STRING myService1",
	 false},
};

static inline struct span vector_payload(struct fixture *f, const struct codec_vector *v)
{
	bool text = v->format == FORMAT_SENML_JSON || v->format == FORMAT_JSON;

	return text ? span_str(v->payload) : from_hex(f, v->payload);
}

/* All vectors of one format, both ways. */
static inline void check_vectors(struct fixture *f, uint16_t format)
{
	unsigned checked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(codec_vectors); i++) {
		const struct codec_vector *v = &codec_vectors[i];
		struct span payload = vector_payload(f, v);

		if (v->format != format)
			continue;
		expect_decoded(f, format, v->base, payload, v->records);
		if (v->canonical)
			expect_encoded(f, format, v->base, v->records, payload);
		checked++;
	}
	assert_true(checked >= 3);
}
