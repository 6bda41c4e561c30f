/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * application/cbor (60): one value of its own (LwM2M Core 1.1.1, 7.4.4). CBOR has nearly all types, so the
 * model only has to tell what looks alike: links are text. The one hard idea is time, which comes in three
 * forms: as a number, as a number with a tag, and as the text of a date with another tag, which is a time to
 * every resource but one of text. It is written as a number, with the tag where no model tells what it is.
 * Leaves out lists and maps: that is LwM2M CBOR.
 */

#include "codec/delivery.h"
#include "codec/formats.h"
#include "codec/tokens.h"

/* RFC 8949, 3.4.1 and 3.4.2 */
enum { TAG_DATE = 0, TAG_TIME = 1, TAG_NONE = 0xFF };

/* Two digits below `limit`, and what must stand in front of them (0: nothing). */
static bool take_two(struct reader *r, char before, int limit, int *out)
{
	uint8_t mark = before ? reader_u8(r) : 0;
	int tens = reader_u8(r) - '0', ones = reader_u8(r) - '0';

	*out = tens * 10 + ones;
	return !r->failed && mark == (uint8_t)before && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 &&
	       *out < limit;
}

/*
 * Days since 1970-01-01 of the Gregorian calendar. Years are taken to begin in March, so that the leap day is
 * the last, and 400 of them are added, so that none is negative.
 */
static int64_t days_of(int year, int month, int day)
{
	enum { DAYS_TO_1970 = 719468 + 146097 };
	int y = (month > 2 ? year : year - 1) + 400, m = month > 2 ? month - 3 : month + 9;

	return 365LL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - DAYS_TO_1970;
}

static bool day_exists(int year, int month, int day)
{
	int next = month < 12 ? month + 1 : 1;

	return month >= 1 && day >= 1 &&
	       day <= days_of(year + (next == 1), next, 1) - days_of(year, month, 1);
}

/* "Z" or the distance from UTC; only the end may follow. */
static bool take_zone(struct reader *r, int64_t *seconds)
{
	uint8_t sign = reader_u8(r);
	int hours = 0, minutes = 0;

	if (sign != 'Z' && sign != 'z' &&
	    ((sign != '+' && sign != '-') || !take_two(r, 0, 24, &hours) || !take_two(r, ':', 60, &minutes)))
		return false;
	*seconds = (hours * 60LL + minutes) * (sign == '-' ? -60 : 60);
	return !r->failed && reader_left(r) == 0;
}

/* A fraction of a second, of which only zero can be told in whole seconds. */
static bool take_fraction(struct reader *r)
{
	if (reader_left(r) == 0 || *r->pos != '.')
		return true;
	(void)reader_u8(r);
	if (reader_left(r) == 0 || *r->pos != '0')
		return false;
	while (reader_left(r) && *r->pos == '0')
		(void)reader_u8(r);
	return true;
}

/* RFC 3339, 5.6: "2013-05-02T12:40:15Z". A leap second is the first of the next minute. */
static bool time_of_date(struct span text, int64_t *out)
{
	struct reader r = reader_of(text);
	int century, year, month, day, hour, minute, second;
	int64_t zone;

	if (!take_two(&r, 0, 100, &century) || !take_two(&r, 0, 100, &year) ||
	    !take_two(&r, '-', 13, &month) || !take_two(&r, '-', 32, &day))
		return false;
	year += century * 100;
	if (!day_exists(year, month, day) || (reader_u8(&r) | 0x20) != 't')
		return false;
	if (!take_two(&r, 0, 24, &hour) || !take_two(&r, ':', 60, &minute) ||
	    !take_two(&r, ':', 61, &second) || !take_fraction(&r) || !take_zone(&r, &zone))
		return false;
	*out = days_of(year, month, day) * 86400 + hour * 3600LL + minute * 60LL + second - zone;
	return true;
}

/* The tag right in front of the value, which says more than any around it. */
static uint64_t innermost_tag(struct tokens t)
{
	uint64_t tag = TAG_NONE;
	struct token token;

	while (tokens_next(&t, &token) && token.kind == TOKEN_TAG)
		tag = token.number;
	return tag;
}

static void apply_tag(uint64_t tag, const struct resource_def *def, struct value *v)
{
	bool wants_text = def && (def->type == VALUE_STRING || def->type == VALUE_CORELNK);
	bool number = v->type == VALUE_INTEGER || v->type == VALUE_UNSIGNED || v->type == VALUE_FLOAT;
	int64_t time;

	if (tag == TAG_DATE && v->type == VALUE_STRING && !wants_text && time_of_date(v->bytes, &time))
		*v = (struct value){.type = VALUE_TIME, .integer = time};
	else if (tag == TAG_TIME && number)
		(void)value_coerce(v, VALUE_TIME, NULL);
}

int cbor_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct delivery d = delivery_of(c, out);
	struct record record = {.path = c->base};
	struct tokens t = tokens_of(payload);
	int rc;

	if (c->base.depth < PATH_RESOURCE)
		return codec_unsupported(c, "CBOR carries a single value");
	rc = tokens_value(&t, c->arena, &record.value);
	if (rc)
		return rc < 0 ? rc : codec_malformed(c, "no CBOR value at byte %zu", tokens_offset(&t));
	if (!tokens_at_end(&t))
		return codec_malformed(c, "CBOR goes on behind its end at byte %zu", tokens_offset(&t));
	if (record.value.type == VALUE_NONE)
		return codec_malformed(c, "CBOR has no value");
	apply_tag(innermost_tag(tokens_of(payload)), typing_find(&d.typing, &c->base), &record.value);
	return deliver(&d, &record);
}

int cbor_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct typing typing = typing_of(c);
	struct value value;
	int rc;

	if (count != 1)
		return codec_unsupported(c, "CBOR carries a single value");
	rc = value_to_write(c, &typing, items, &value);
	if (rc)
		return rc;
	if (value.type == VALUE_NONE)
		return codec_misfit(c, &items->path, "no value that CBOR can carry");
	if (value.type == VALUE_TIME && !typing_find(&typing, &items->path))
		tokens_put_tag(out, TAG_TIME);
	tokens_put_value(out, &value);
	return CODEC_OK;
}
