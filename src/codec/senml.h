/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "codec/delivery.h"

/*
 * SenML (RFC 8428) as LwM2M uses it (LwM2M Core 1.1.1, 7.4.5): what its JSON and CBOR representations share.
 */

enum senml_field {
	SENML_BASE_NAME,
	SENML_BASE_TIME,
	SENML_BASE_UNIT,
	SENML_BASE_VALUE,
	SENML_BASE_SUM,
	SENML_BASE_VERSION,
	SENML_NAME,
	SENML_UNIT,
	SENML_VALUE,
	SENML_VALUE_STRING,
	SENML_VALUE_BOOLEAN,
	SENML_VALUE_DATA,
	SENML_VALUE_LINK,
	SENML_SUM,
	SENML_TIME,
	SENML_UPDATE_TIME,
	SENML_FIELDS,
	SENML_UNKNOWN = SENML_FIELDS,
};

/* Labels: text in JSON and, for what has no number, in CBOR. */
enum senml_field senml_field_of_text(struct span label);
enum senml_field senml_field_of_number(int64_t label);
const char *senml_text(enum senml_field field);
/* False for VALUE_LINK, which CBOR spells out. */
bool senml_number(enum senml_field field, int64_t *label);
/* RFC 8428, 4.4: who does not know a label that ends so must not go on. */
bool senml_must_be_known(struct span label);

/* One record as it stands in the payload. Strings are not validated, data in JSON are still text. */
struct senml_item {
	uint32_t present; /* bit per field */
	struct value fields[SENML_FIELDS];
};

/* Where a field of a record goes. */
static inline struct value *senml_set(struct senml_item *item, enum senml_field field)
{
	item->present |= 1U << field;
	return &item->fields[field];
}

static inline bool senml_has(const struct senml_item *item, enum senml_field field)
{
	return item->present & 1U << field;
}

/* Where names go that come without values. */
struct senml_paths {
	struct path *list;
	size_t max;
	size_t count;
};

/* What lasts from one record to the next while a payload is read. */
struct senml_input {
	struct delivery d;
	struct senml_paths *paths; /* NULL, unless the payload is a list of names and nothing is delivered */
	size_t count;		   /* records so far */
	struct span base_name;	   /* borrowed from the payload */
	struct path base_path;	   /* of a base name that ends with a slash */
	bool has_base_path;
	double base_time;
	bool has_base_time;
	struct value base_value;
};

static inline struct senml_input senml_input_of(struct codec_context *c, struct records *out)
{
	return (struct senml_input){.d = delivery_of(c, out)};
}
/* Read a whole payload in one of the representations. An enum codec_outcome or < 0. */
int senml_json_read(struct senml_input *in, struct span payload) NODISCARD;
int senml_cbor_read(struct senml_input *in, struct span payload) NODISCARD;

/* Resolves one record and delivers it. Consumes `item`. An enum codec_outcome or < 0. */
int senml_add(struct senml_input *in, struct senml_item *item) NODISCARD;

/* What a name says below the root, if it begins there. */
struct span senml_below_root(const struct codec_context *c, struct span name);
/* Makes a number of text that is one. False, and *v unchanged, if it is none. */
bool senml_number_of(struct value *v);
/* The same, as seconds. */
bool senml_seconds_of(struct value *v, double *out);
/* The time of a record: since the epoch, or below 2^28 from now. False if it is beyond all bounds. */
bool senml_set_time(const struct codec_context *c, double seconds, struct record *out);

/* What is said once, in the first record, and how the rest refers to it. */
enum { SENML_NAME_MAX = 256 };

struct senml_frame {
	struct path base;
	char base_name[SENML_NAME_MAX];
	bool has_base_time;
	int64_t base_time_s;
	int64_t now_ms;
};

struct senml_frame senml_frame_of(const struct codec_context *c, const struct record *items, size_t count);
/* The name relative to the base name; false if there is none, because it is the base itself. */
bool senml_name(const struct senml_frame *f, const struct record *item, char text[PATH_TEXT]);
/* The time relative to the base time, as INTEGER or FLOAT seconds; false if there is none to write. */
bool senml_time(const struct senml_frame *f, const struct record *item, struct value *out);
/* Under which label a value goes. */
enum senml_field senml_field_of_type(enum value_type type);
/* CODEC_MISFIT for records that SenML cannot name. */
int senml_check(struct codec_context *c, const struct record *items, size_t count) NODISCARD;
