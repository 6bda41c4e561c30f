/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Values, their text, and lossless conversion between their types. The one hard idea is that "lossless" is
 * decided on exact integers: whatever claims to be a number becomes a sign and a 64-bit magnitude, if it is a
 * whole number at all, and only then takes on the wanted type. Decimal text is counted in digits, not through
 * a double, so 18446744073709551615 and 3e3 both survive. Leaves out everything that knows a wire format.
 */

#include "model/value.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

enum { NUMBER_TEXT_MAX = 128, FIRST_RECORDS = 16 };

/* In the spelling of the northbound API first; then what definition files say. */
static const struct {
	const char *name;
	enum value_type type;
} type_names[] = {
	{"NONE", VALUE_NONE},	    {"STRING", VALUE_STRING},
	{"INTEGER", VALUE_INTEGER}, {"UNSIGNED_INTEGER", VALUE_UNSIGNED},
	{"FLOAT", VALUE_FLOAT},	    {"BOOLEAN", VALUE_BOOLEAN},
	{"OPAQUE", VALUE_OPAQUE},   {"TIME", VALUE_TIME},
	{"OBJLNK", VALUE_OBJLNK},   {"CORELINK", VALUE_CORELNK},
	{"CORELNK", VALUE_CORELNK}, {"UNSIGNED INTEGER", VALUE_UNSIGNED},
};

const char *value_type_name(enum value_type type)
{
	assert(type < VALUE_TYPES);
	return type_names[type].name;
}

enum value_type value_type_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(type_names); i++)
		if (name.len == strlen(type_names[i].name) &&
		    strncasecmp((const char *)name.data, type_names[i].name, name.len) == 0)
			return type_names[i].type;
	return VALUE_NONE;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
	case VALUE_OPAQUE:
		return span_equal(a->bytes, b->bytes);
	case VALUE_INTEGER:
	case VALUE_TIME:
		return a->integer == b->integer;
	case VALUE_UNSIGNED:
		return a->unsigned_ == b->unsigned_;
	case VALUE_FLOAT:
		return a->real == b->real || (isnan(a->real) && isnan(b->real));
	case VALUE_BOOLEAN:
		return a->boolean == b->boolean;
	case VALUE_OBJLNK:
		return a->link.object == b->link.object && a->link.instance == b->link.instance;
	case VALUE_NONE:
	case VALUE_TYPES:
		break;
	}
	return true;
}

/* How many bytes the character at `p` has, 0 if it is none. `left` is at least 1. */
static size_t utf8_character(const uint8_t *p, size_t left)
{
	/* The second byte alone tells overlong forms, surrogates and what is too high. */
	uint8_t low = 0x80, high = 0xBF;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	if (len > left)
		return 0;
	if (p[0] == 0xE0)
		low = 0xA0;
	else if (p[0] == 0xED)
		high = 0x9F;
	else if (p[0] == 0xF0)
		low = 0x90;
	else if (p[0] == 0xF4)
		high = 0x8F;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

bool utf8_valid(struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		uint64_t eight;
		size_t len;

		if (s.len - i >= sizeof(eight)) {
			memcpy(&eight, s.data + i, sizeof(eight));
			if (!(eight & 0x8080808080808080)) {
				i += sizeof(eight);
				continue;
			}
		}
		len = utf8_character(s.data + i, s.len - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

/* The fewest digits that give the same double back. 15 always survive, except where doubles get sparse. */
static size_t format_real(double real, char text[VALUE_TEXT])
{
	int len = 0;

	if (!isfinite(real))
		return 0;
	for (int digits = fabs(real) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
		len = snprintf(text, VALUE_TEXT, "%.*g", digits, real);
		if (strtod(text, NULL) == real)
			break;
	}
	if (!strpbrk(text, ".e"))
		len += snprintf(text + len, VALUE_TEXT - (size_t)len, ".0");
	return (size_t)len;
}

size_t value_format(const struct value *v, char text[VALUE_TEXT])
{
	switch (v->type) {
	case VALUE_INTEGER:
	case VALUE_TIME:
		return (size_t)snprintf(text, VALUE_TEXT, "%lld", (long long)v->integer);
	case VALUE_UNSIGNED:
		return (size_t)snprintf(text, VALUE_TEXT, "%llu", (unsigned long long)v->unsigned_);
	case VALUE_FLOAT:
		return format_real(v->real, text);
	case VALUE_BOOLEAN:
		return (size_t)snprintf(text, VALUE_TEXT, "%d", v->boolean);
	case VALUE_OBJLNK:
		return (size_t)snprintf(text, VALUE_TEXT, "%u:%u", v->link.object, v->link.instance);
	default:
		return 0;
	}
}

/* A whole number: what all numeric types have in common. */
struct whole {
	bool negative;
	uint64_t magnitude;
};

static bool whole_of_integer(int64_t v, struct whole *out)
{
	*out = (struct whole){v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v};
	return true;
}

static bool whole_of_real(double v, struct whole *out)
{
	if (!(fabs(v) < 0x1p64) || trunc(v) != v)
		return false;
	*out = (struct whole){v < 0, (uint64_t)fabs(v)};
	return true;
}

/* magnitude * 10^scale, if it is whole and fits. */
static bool whole_of_decimal(bool negative, uint64_t magnitude, int64_t scale, struct whole *out)
{
	for (; scale < 0 && magnitude; scale++) {
		if (magnitude % 10)
			return false;
		magnitude /= 10;
	}
	for (; scale > 0 && magnitude; scale--)
		if (__builtin_mul_overflow(magnitude, (uint64_t)10, &magnitude))
			return false;
	*out = (struct whole){negative && magnitude, magnitude};
	return true;
}

/* Decimal text, taken apart: sign, digits without the point, and where the point was. */
struct decimal {
	bool negative;
	bool wide; /* more digits than 64 bits hold */
	uint64_t magnitude;
	int64_t scale;
};

static const uint8_t *parse_digits(const uint8_t *p, const uint8_t *end, struct decimal *d, int64_t scale)
{
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		uint64_t next;

		if (__builtin_mul_overflow(d->magnitude, (uint64_t)10, &next) ||
		    __builtin_add_overflow(next, (uint64_t)(*p - '0'), &next)) {
			/* A zero behind the point adds nothing and may go. */
			if (*p != '0' || !scale)
				d->wide = true;
			continue;
		}
		d->magnitude = next;
		d->scale -= scale;
	}
	return p;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit on at least one side of the point. */
static bool parse_decimal(struct span text, struct decimal *out)
{
	const uint8_t *p = text.data, *end, *start;
	struct decimal exponent = {0};
	size_t digits;

	*out = (struct decimal){0};
	if (text.len == 0 || text.len > NUMBER_TEXT_MAX)
		return false;
	end = p + text.len;
	out->negative = *p == '-';
	p += *p == '-' || *p == '+';
	start = p;
	p = parse_digits(p, end, out, 0);
	digits = (size_t)(p - start);
	if (p < end && *p == '.') {
		start = ++p;
		p = parse_digits(p, end, out, 1);
		digits += (size_t)(p - start);
	}
	if (digits == 0)
		return false;
	if (p == end)
		return true;
	if (*p != 'e' && *p != 'E')
		return false;
	if (++p < end && (*p == '-' || *p == '+'))
		exponent.negative = *p++ == '-';
	start = p;
	p = parse_digits(p, end, &exponent, 0);
	if (p != end || p == start)
		return false;
	/* Beyond a thousand the number is zero, endless, or has no exact form: all the same to us. */
	exponent.magnitude = exponent.wide ? 1000 : MIN(exponent.magnitude, 1000);
	out->scale += exponent.negative ? -(int64_t)exponent.magnitude : (int64_t)exponent.magnitude;
	return true;
}

static bool real_of_text(struct span text, double *out)
{
	char copy[NUMBER_TEXT_MAX + 1];
	struct decimal unused;

	if (!parse_decimal(text, &unused))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	*out = strtod(copy, NULL);
	return isfinite(*out);
}

static bool whole_of_text(struct span text, struct whole *out)
{
	struct decimal d;

	if (!parse_decimal(text, &d) || d.wide)
		return false;
	return whole_of_decimal(d.negative, d.magnitude, d.scale, out);
}

static bool whole_of(const struct value *v, struct whole *out)
{
	switch (v->type) {
	case VALUE_INTEGER:
	case VALUE_TIME:
		return whole_of_integer(v->integer, out);
	case VALUE_UNSIGNED:
		*out = (struct whole){false, v->unsigned_};
		return true;
	case VALUE_BOOLEAN:
		*out = (struct whole){false, v->boolean};
		return true;
	case VALUE_FLOAT:
		return whole_of_real(v->real, out);
	case VALUE_STRING:
		return whole_of_text(v->bytes, out);
	default:
		return false;
	}
}

static bool to_integer(struct value *v, enum value_type type)
{
	struct whole w;

	if (!whole_of(v, &w) || w.magnitude > (uint64_t)INT64_MAX + w.negative)
		return false;
	*v = (struct value){.type = type, .integer = (int64_t)(w.negative ? -w.magnitude : w.magnitude)};
	return true;
}

static bool to_unsigned(struct value *v)
{
	struct whole w;

	if (!whole_of(v, &w) || (w.negative && w.magnitude))
		return false;
	*v = (struct value){.type = VALUE_UNSIGNED, .unsigned_ = w.magnitude};
	return true;
}

static bool to_real(struct value *v)
{
	struct whole w;
	double real;

	if (v->type == VALUE_STRING) {
		if (!real_of_text(v->bytes, &real))
			return false;
	} else {
		if (!whole_of(v, &w))
			return false;
		real = (double)w.magnitude;
		if (real >= 0x1p64 || (uint64_t)real != w.magnitude)
			return false;
		real = w.negative ? -real : real;
	}
	*v = (struct value){.type = VALUE_FLOAT, .real = real};
	return true;
}

static bool to_boolean(struct value *v)
{
	struct whole w;

	if (v->type == VALUE_STRING && (span_is(v->bytes, "true") || span_is(v->bytes, "false")))
		w = (struct whole){false, v->bytes.data[0] == 't'};
	else if (!whole_of(v, &w) || w.magnitude > 1 || (w.negative && w.magnitude))
		return false;
	*v = (struct value){.type = VALUE_BOOLEAN, .boolean = w.magnitude};
	return true;
}

/* "3:0". The null link is 65535:65535, which the specification also prints as FFFF:FFFF. */
static bool to_link(struct value *v)
{
	const uint8_t *colon;
	struct span object, instance;
	uint64_t ids[2];

	if (v->type != VALUE_STRING || v->bytes.len == 0)
		return false;
	colon = memchr(v->bytes.data, ':', v->bytes.len);
	if (!colon)
		return false;
	object = span_of(v->bytes.data, (size_t)(colon - v->bytes.data));
	instance = span_from(v->bytes, object.len + 1);
	if (v->bytes.len == 9 && strncasecmp((const char *)v->bytes.data, "FFFF:FFFF", 9) == 0)
		ids[0] = ids[1] = UINT16_MAX;
	else if (!span_to_uint(object, UINT16_MAX, &ids[0]) || !span_to_uint(instance, UINT16_MAX, &ids[1]))
		return false;
	*v = (struct value){.type = VALUE_OBJLNK, .link = {(uint16_t)ids[0], (uint16_t)ids[1]}};
	return true;
}

static bool to_string(struct value *v, enum value_type type, struct arena *arena)
{
	char text[VALUE_TEXT];
	struct span copy = v->bytes;
	size_t len;

	switch (v->type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
		break;
	case VALUE_OPAQUE:
		if (!utf8_valid(copy))
			return false;
		break;
	case VALUE_BOOLEAN: /* 1 or true? */
		return false;
	default:
		len = value_format(v, text);
		if (len == 0 || !arena)
			return false;
		copy = arena_dup(arena, span_of(text, len));
		if (!copy.data)
			return false;
	}
	*v = (struct value){.type = type, .bytes = copy};
	return true;
}

bool value_coerce(struct value *v, enum value_type type, struct arena *arena)
{
	if (v->type == type)
		return true;
	switch (type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
		return to_string(v, type, arena);
	case VALUE_INTEGER:
	case VALUE_TIME:
		return to_integer(v, type);
	case VALUE_UNSIGNED:
		return to_unsigned(v);
	case VALUE_FLOAT:
		return to_real(v);
	case VALUE_BOOLEAN:
		return to_boolean(v);
	case VALUE_OBJLNK:
		return to_link(v);
	default:
		return false;
	}
}

int records_add(struct records *r, const struct record *record)
{
	if (r->count == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : FIRST_RECORDS;
		struct record *items = arena_alloc(r->arena, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		if (r->count)
			memcpy(items, r->items, r->count * sizeof(*items));
		r->items = items;
		r->cap = cap;
	}
	r->items[r->count++] = *record;
	return 0;
}

static int record_order(const void *left, const void *right)
{
	const struct record *a = left, *b = right;
	int order = path_compare(&a->path, &b->path);

	if (order)
		return order;
	if (a->timed != b->timed)
		return a->timed ? -1 : 1;
	if (a->timed && a->time_ms != b->time_ms)
		return a->time_ms < b->time_ms ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

/* qsort alone need not be stable: ties are broken by where a record was before. */
void records_sort(struct records *r)
{
	bool sorted = true;

	for (size_t i = 0; i < r->count; i++) {
		r->items[i].order = (uint32_t)i;
		sorted = sorted && (i == 0 || record_order(&r->items[i - 1], &r->items[i]) < 0);
	}
	if (!sorted)
		qsort(r->items, r->count, sizeof(*r->items), record_order);
}
