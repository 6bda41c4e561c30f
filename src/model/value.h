/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "model/path.h"

/* Values and their types (LwM2M Core 1.1.1, appendix C). */

enum value_type {
	VALUE_NONE,
	VALUE_STRING,
	VALUE_INTEGER,
	VALUE_UNSIGNED,
	VALUE_FLOAT,
	VALUE_BOOLEAN,
	VALUE_OPAQUE,
	VALUE_TIME, /* seconds since the Unix epoch, signed */
	VALUE_OBJLNK,
	VALUE_CORELNK, /* text */
	VALUE_TYPES,
};

struct value {
	enum value_type type;
	union {
		struct span bytes; /* STRING, CORELNK (UTF-8), OPAQUE; borrowed */
		int64_t integer;   /* INTEGER, TIME */
		uint64_t unsigned_;
		double real;
		bool boolean;
		struct {
			uint16_t object, instance; /* 65535:65535 is the null link */
		} link;
	};
};

/* "STRING", "UNSIGNED_INTEGER", ... as northbound JSON spells them; and back (any case), VALUE_NONE if
 * unknown. */
const char *value_type_name(enum value_type type);
enum value_type value_type_find(struct span name);
/* Same type and same content; two NaNs are equal. */
bool value_equal(const struct value *a, const struct value *b);
/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(struct span s);

enum { VALUE_TEXT = 40 };

/*
 * Numbers, times, booleans ("0", "1") and links ("3:0") in decimal. A float has the fewest digits from which
 * it can be read back, and a point or an exponent to tell it from an integer. Returns the length; 0 for what
 * has no such form: bytes, strings, NaN and the infinities.
 */
size_t value_format(const struct value *v, char text[VALUE_TEXT]);
/*
 * Converts to `type` if nothing is lost: integer <-> unsigned <-> float <-> boolean (0, 1) <-> time, decimal
 * strings to numbers and links and back, text bytes to strings, because clients send one for the other
 * (lwm2m.md, 1.6). `arena` holds the strings it makes; without one there are none. False, and *v unchanged,
 * if it would lose.
 */
bool value_coerce(struct value *v, enum value_type type, struct arena *arena);

/*
 * The flat form of LwM2M data, which all formats share: what an object, an instance or a composite holds is a
 * list of records, each with its full path. A single resource has depth 3, an instance of a multiple resource
 * depth 4. Without a value: depth 1 an object without instances, depth 2 an instance without resources, depth
 * 3 a multiple resource without instances.
 */
struct record {
	struct path path;
	struct value value;
	int64_t time_ms; /* Unix milliseconds, if `timed` */
	bool timed;
	bool misfit;	/* the value is not what the model says; delivered as it came */
	bool extra;	/* outside of what was asked for: of an object which a link in the answer leads to */
	uint32_t order; /* of records_sort: the place before */
};

/* Grows in an arena; bounded by the arena's ceiling. */
struct records {
	struct arena *arena;
	struct record *items;
	size_t count;
	size_t cap;
};

static inline struct records records_of(struct arena *arena)
{
	return (struct records){arena, NULL, 0, 0};
}
/* Appends a copy (bytes are borrowed). -ENOMEM when the arena is full. */
int records_add(struct records *r, const struct record *record) NODISCARD;
/* Stable order by path, then by time (oldest first, untimed last). */
void records_sort(struct records *r);
