/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Options: adding them to a message, finding them in one, and the table of their definitions.
 *
 * The hard idea is what becomes of an option that breaks its definition (RFC 7252, 5.4.3 and 5.4.5): it is
 * treated as an unknown one, which means absent if it is elective and a refused request if it is critical. So
 * coap_find hides the first kind, and coap_unknown_critical reports the second.
 *
 * Leaves out the meaning of values, Uri decoding and block-wise transfer.
 */

#include "coap/message.h"

#include <errno.h>

struct rule {
	uint16_t min, max; /* bytes of the value */
	bool repeatable;
	bool defined;
};

enum { ONCE = false, REPEATABLE = true };
#define RULE(min, max, repeatable)         \
	{                                  \
		min, max, repeatable, true \
	}

/* RFC 7252, 5.10; RFC 7641, 2; RFC 7959, 2.1 and 4; RFC 9175, 2.2 and 3.2. */
static const struct rule rules[] = {
	[COAP_OPTION_IF_MATCH] = RULE(0, 8, REPEATABLE),
	[COAP_OPTION_URI_HOST] = RULE(1, 255, ONCE),
	[COAP_OPTION_ETAG] = RULE(1, 8, REPEATABLE),
	[COAP_OPTION_IF_NONE_MATCH] = RULE(0, 0, ONCE),
	[COAP_OPTION_OBSERVE] = RULE(0, 3, ONCE),
	[COAP_OPTION_URI_PORT] = RULE(0, 2, ONCE),
	[COAP_OPTION_LOCATION_PATH] = RULE(0, 255, REPEATABLE),
	[COAP_OPTION_URI_PATH] = RULE(0, 255, REPEATABLE),
	[COAP_OPTION_CONTENT_FORMAT] = RULE(0, 2, ONCE),
	[COAP_OPTION_MAX_AGE] = RULE(0, 4, ONCE),
	[COAP_OPTION_URI_QUERY] = RULE(0, 255, REPEATABLE),
	[COAP_OPTION_ACCEPT] = RULE(0, 2, ONCE),
	[COAP_OPTION_LOCATION_QUERY] = RULE(0, 255, REPEATABLE),
	[COAP_OPTION_BLOCK2] = RULE(0, 3, ONCE),
	[COAP_OPTION_BLOCK1] = RULE(0, 3, ONCE),
	[COAP_OPTION_SIZE2] = RULE(0, 4, ONCE),
	[COAP_OPTION_PROXY_URI] = RULE(1, 1034, ONCE),
	[COAP_OPTION_PROXY_SCHEME] = RULE(1, 255, ONCE),
	[COAP_OPTION_SIZE1] = RULE(0, 4, ONCE),
	[COAP_OPTION_ECHO] = RULE(1, 40, ONCE),
	[COAP_OPTION_REQUEST_TAG] = RULE(0, 8, REPEATABLE),
};

/* An option that nobody defined here may have any length and be repeated: whoever says it knows it judges it.
 */
static const struct rule undefined = {0, UINT16_MAX, true, false};

static const struct rule *rule_of(uint16_t number)
{
	if (number < ARRAY_SIZE(rules) && rules[number].defined)
		return &rules[number];
	return &undefined;
}

static bool is_critical(uint16_t number)
{
	return number & 1;
}

static bool length_fits(const struct rule *rule, const struct coap_option *o)
{
	return o->len >= rule->min && o->len <= rule->max;
}

int coap_add(struct coap_message *m, uint16_t number, struct span value)
{
	unsigned at = m->option_count;

	if (value.len > UINT16_MAX)
		return -EINVAL;
	if (at == COAP_OPTIONS_MAX)
		return -ENOSPC;
	while (at > 0 && m->options[at - 1].number > number)
		at--;
	memmove(&m->options[at + 1], &m->options[at], (m->option_count - at) * sizeof(m->options[0]));
	m->options[at] = (struct coap_option){number, (uint16_t)value.len, value.data};
	m->option_count++;
	return 0;
}

int coap_add_uint(struct coap_message *m, uint16_t number, uint32_t value)
{
	uint8_t *out = m->scratch + m->scratch_used;
	unsigned width = 0;
	int rc;

	while (width < 4 && value >> 8 * width)
		width++;
	if (width > sizeof(m->scratch) - m->scratch_used)
		return -ENOSPC;
	rc = coap_add(m, number, span_of(out, width));
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < width; i++)
		out[i] = (uint8_t)(value >> 8 * (width - 1 - i));
	m->scratch_used = (uint16_t)(m->scratch_used + width);
	return 0;
}

int coap_add_segments(struct coap_message *m, uint16_t number, struct span text)
{
	bool query = number == COAP_OPTION_URI_QUERY || number == COAP_OPTION_LOCATION_QUERY;
	uint8_t separator = query ? '&' : '/';
	size_t start = 0;

	if (!query && text.len && text.data[0] == '/')
		start = 1;
	if (start >= text.len)
		return 0;
	for (size_t i = start; i <= text.len; i++) {
		int rc;

		if (i < text.len && text.data[i] != separator)
			continue;
		rc = coap_add(m, number, span_of(text.data + start, i - start));
		if (rc < 0)
			return rc;
		start = i + 1;
	}
	return 0;
}

static const struct coap_option *find_from(const struct coap_message *m, unsigned at, uint16_t number)
{
	for (; at < m->option_count && m->options[at].number <= number; at++) {
		const struct coap_option *o = &m->options[at];

		if (o->number == number && (is_critical(number) || length_fits(rule_of(number), o)))
			return o;
	}
	return NULL;
}

const struct coap_option *coap_find(const struct coap_message *m, uint16_t number)
{
	return find_from(m, 0, number);
}

const struct coap_option *coap_find_next(const struct coap_message *m, const struct coap_option *o)
{
	assert(o >= m->options && o < m->options + m->option_count);
	if (!is_critical(o->number) && !rule_of(o->number)->repeatable)
		return NULL;
	return find_from(m, (unsigned)(o - m->options) + 1, o->number);
}

bool coap_find_uint(const struct coap_message *m, uint16_t number, uint32_t *out)
{
	const struct coap_option *o = coap_find(m, number);
	uint32_t value = 0;

	if (!o || o->len > 4)
		return false;
	for (unsigned i = 0; i < o->len; i++)
		value = value << 8 | o->value[i];
	*out = value;
	return true;
}

uint16_t coap_format(const struct coap_message *m, uint16_t number)
{
	uint32_t value;

	return coap_find_uint(m, number, &value) && value < COAP_FORMAT_NONE ? (uint16_t)value
									     : COAP_FORMAT_NONE;
}

static bool is_listed(const uint16_t *known, uint16_t number)
{
	while (*known && *known != number)
		known++;
	return *known;
}

uint16_t coap_unknown_critical(const struct coap_message *m, const uint16_t *known)
{
	uint16_t before = 0;

	for (unsigned i = 0; i < m->option_count; i++) {
		const struct coap_option *o = &m->options[i];
		const struct rule *rule = rule_of(o->number);

		if (is_critical(o->number) && (!is_listed(known, o->number) || !length_fits(rule, o) ||
					       (o->number == before && !rule->repeatable)))
			return o->number;
		before = o->number;
	}
	return 0;
}

bool coap_path_is(const struct coap_message *m, const char *path)
{
	const struct coap_option *o = coap_find(m, COAP_OPTION_URI_PATH);
	const char *segment = *path == '/' ? path + 1 : path;

	while (*segment) {
		size_t len = strcspn(segment, "/");

		if (!o || !span_equal(coap_value(o), span_of(segment, len)))
			return false;
		o = coap_find_next(m, o);
		segment += segment[len] == '/' ? len + 1 : len;
	}
	return !o;
}
