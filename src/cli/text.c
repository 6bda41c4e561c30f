/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Text that goes to terminals. The one hard idea: what a device says ends up on the screen of somebody who
 * administers it, so nothing of it may be a command to the terminal or look like something that it is not.
 */

#include "cli/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <wchar.h>

enum { REPLACED = 0xFFFD };

/* One character of UTF-8: its length, 0 if there is none here. Overlong forms and surrogates are none. */
static size_t decode(struct span text, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t first = text.data[0];
	size_t len = first < 0x80   ? 1
		     : first < 0xC2 ? 0
		     : first < 0xE0 ? 2
		     : first < 0xF0 ? 3
		     : first < 0xF5 ? 4
				    : 0;
	uint32_t c = len == 1 ? first : first & (0x7Fu >> len);

	if (len == 0 || len > text.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((text.data[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (text.data[i] & 0x3F);
	}
	if (c < least[len] || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
		return 0;
	*out = c;
	return len;
}

/* Characters that act instead of being seen. */
static bool is_dangerous(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0, 0x1F},	  /* C0 controls */
		{0x7F, 0x9F},	  /* delete, C1 controls */
		{0x61C, 0x61C},	  /* direction marks, and embeddings, overrides and isolates below */
		{0x200B, 0x200F}, /* with zero width characters */
		{0x2028, 0x202E}, {0x2060, 0x206F},   {0xFEFF, 0xFEFF},
		{0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}, /* tags */
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

void text_add_safe(struct buffer *out, struct span text)
{
	while (text.len) {
		uint32_t c = 0;
		size_t len = decode(text, &c);

		if (len == 0)
			buffer_printf(out, "\\x%02x", text.data[0]);
		else if (c == '\n')
			buffer_str(out, "\\n");
		else if (c == '\t')
			buffer_str(out, "\\t");
		else if (is_dangerous(c) && c < 0x80)
			buffer_printf(out, "\\x%02x", (unsigned)c);
		else if (is_dangerous(c))
			buffer_printf(out, "\\u{%x}", (unsigned)c);
		else
			buffer_bytes(out, span_of(text.data, len));
		text = span_from(text, MAX(len, (size_t)1));
	}
}

char *text_safe(const char *text)
{
	struct buffer out = buffer_of(strlen(text) * 9 + 1);

	text_add_safe(&out, span_str(text));
	if (out.failed) {
		buffer_deinit(&out);
		return NULL;
	}
	return out.data ? (char *)out.data : strdup("");
}

/* Columns of the character that begins `text`, and its bytes. */
static size_t measure(struct span text, size_t *len)
{
	uint32_t c = REPLACED;
	int width;

	*len = decode(text, &c);
	if (*len == 0) {
		*len = 1;
		return 1;
	}
	width = wcwidth((wchar_t)c);
	return width < 0 ? 1 : (size_t)width;
}

size_t text_width(const char *text)
{
	struct span left = span_str(text);
	size_t width = 0, len;

	while (left.len) {
		width += measure(left, &len);
		left = span_from(left, len);
	}
	return width;
}

size_t text_fit(const char *text, size_t columns)
{
	struct span left = span_str(text);
	size_t bytes = 0, len;

	while (left.len) {
		size_t width = measure(left, &len);

		if (width > columns)
			break;
		columns -= width;
		bytes += len;
		left = span_from(left, len);
	}
	return bytes;
}

void text_add_encoded(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c && (isalnum(c) || strchr("-._~", c)) && c < 0x80)
			buffer_u8(out, c);
		else
			buffer_printf(out, "%%%02X", c);
	}
}

/* ---- time ---- */

const char *text_duration(uint64_t ms, char text[TEXT_TIME])
{
	static const struct {
		uint64_t ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;

	/* From two units up, so that 90 s are not one minute. */
	while (i < ARRAY_SIZE(units) - 1 && ms < 2 * units[i].ms && ms != units[i].ms)
		i++;
	snprintf(text, TEXT_TIME, "%" PRIu64 "%s", ms / units[i].ms, units[i].unit);
	return text;
}

const char *text_ago(uint64_t then_ms, uint64_t now_ms, char text[TEXT_TIME])
{
	uint64_t apart_ms = then_ms > now_ms ? then_ms - now_ms : now_ms - then_ms;
	char duration[TEXT_TIME];

	if (apart_ms < 1000)
		return strcpy(text, "just now");
	text_duration(apart_ms / 1000 * 1000, duration);
	snprintf(text, TEXT_TIME, then_ms > now_ms ? "in %.30s" : "%.30s ago", duration);
	return text;
}

const char *text_utc(int64_t ms, char text[TEXT_TIME])
{
	int64_t rest = (ms % 1000 + 1000) % 1000;
	time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0)); /* rounded down */
	struct tm tm;
	size_t len;

	if (!gmtime_r(&seconds, &tm)) {
		snprintf(text, TEXT_TIME, "%" PRId64 " ms", ms);
		return text;
	}
	len = strftime(text, TEXT_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest)
		snprintf(text + len, TEXT_TIME - len, ".%03dZ", (int)rest);
	else
		snprintf(text + len, TEXT_TIME - len, "Z");
	return text;
}

const char *text_clock(uint64_t ms, char text[TEXT_TIME])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(text, TEXT_TIME, "%H:%M:%S", &tm))
		strcpy(text, "--:--:--");
	return text;
}

/* "Z", "+01:00": into seconds to subtract. */
static bool parse_zone(const char *text, int64_t *offset_s)
{
	unsigned hours, minutes;
	int used = 0;

	*offset_s = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if ((text[0] != '+' && text[0] != '-') || !isdigit((unsigned char)text[1]) ||
	    sscanf(text + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 || text[1 + used] || hours > 23 ||
	    minutes > 59)
		return false;
	*offset_s = (int64_t)(hours * 3600 + minutes * 60) * (text[0] == '-' ? -1 : 1);
	return true;
}

/* The digits behind the seconds, up to three of them. */
static const char *parse_fraction(const char *text, int64_t *ms)
{
	int64_t weight = 100;

	*ms = 0;
	if (*text != '.')
		return text;
	for (text++; isdigit((unsigned char)*text); text++, weight /= 10)
		*ms += (*text - '0') * weight;
	return text;
}

bool text_parse_time(const char *text, int64_t *ms)
{
	struct tm tm = {0};
	int64_t offset_s, fraction_ms;
	char *end;
	long long seconds = strtoll(text, &end, 10);
	const char *rest;

	if (*text && !*end && !isspace((unsigned char)*text)) {
		if (seconds < INT64_MIN / 1000 || seconds > INT64_MAX / 1000)
			return false;
		*ms = (int64_t)seconds * 1000;
		return true;
	}
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return false;
	rest = parse_fraction(rest, &fraction_ms);
	if (!parse_zone(rest, &offset_s))
		return false;
	*ms = ((int64_t)timegm(&tm) - offset_s) * 1000 + fraction_ms;
	return true;
}

bool text_parse_duration(const char *text, uint64_t *ms)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	size_t len = strlen(text);
	uint64_t number;

	for (size_t i = 0; len && i < ARRAY_SIZE(units); i++) {
		if (text[len - 1] != units[i].unit)
			continue;
		if (!span_to_uint(span_of(text, len - 1), 36500ULL * 86400000 / units[i].ms, &number) ||
		    !number)
			return false;
		*ms = number * units[i].ms;
		return true;
	}
	return false;
}
