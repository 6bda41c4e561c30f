/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What Write-Attributes and Execute carry is checked before it is sent: devices accept nonsense with a 2.04.
 */

#include <stdio.h>

#include "lwm2m/core.h"

enum attribute { PMIN, PMAX, GT, LT, ST, EPMIN, EPMAX, ATTRIBUTES };

static const struct {
	const char *name;
	bool whole;	/* seconds; else a decimal number */
	bool negative;	/* may have a leading minus */
	uint8_t depths; /* bit per depth of path */
} attributes[ATTRIBUTES] = {
	[PMIN] = {"pmin", true, false, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4},
	[PMAX] = {"pmax", true, false, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4},
	[GT] = {"gt", false, true, 1 << 3 | 1 << 4},
	[LT] = {"lt", false, true, 1 << 3 | 1 << 4},
	[ST] = {"st", false, false, 1 << 3 | 1 << 4},
	[EPMIN] = {"epmin", true, false, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4},
	[EPMAX] = {"epmax", true, false, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4},
};

struct attribute_set {
	bool seen[ATTRIBUTES];
	bool has_value[ATTRIBUTES];
	double value[ATTRIBUTES];
};

/* [-] digits [. digits]: no exponent, because devices need not read one. */
static bool parse_decimal(struct span s, bool negative, double *out)
{
	char text[64];
	size_t i = 0, digits = 0, dots = 0;

	if (s.len >= sizeof(text))
		return false;
	if (negative && s.len > 0 && s.data[0] == '-')
		i++;
	for (; i < s.len; i++) {
		if (s.data[i] == '.')
			dots++;
		else if (s.data[i] >= '0' && s.data[i] <= '9')
			digits++;
		else
			return false;
	}
	if (digits == 0 || dots > 1)
		return false;
	memcpy(text, s.data, s.len);
	text[s.len] = 0;
	*out = strtod(text, NULL);
	return true;
}

static const char *check_one(struct span item, const struct path *path, struct attribute_set *set,
			     char error[160])
{
	const uint8_t *equals = item.len ? memchr(item.data, '=', item.len) : NULL;
	struct span name = span_of(item.data, equals ? (size_t)(equals - item.data) : item.len);
	struct span value = equals ? span_from(item, name.len + 1) : span_of(NULL, 0);
	uint64_t whole;
	size_t i = 0;

	while (i < ATTRIBUTES && !span_is(name, attributes[i].name))
		i++;
	if (i == ATTRIBUTES)
		return snprintf(error, 160,
				"unknown attribute '%.*s' (known: pmin, pmax, gt, lt, st, epmin, epmax)",
				(int)MIN(name.len, 40), (const char *)name.data),
		       error;
	if (set->seen[i])
		return snprintf(error, 160, "attribute '%s' is given twice", attributes[i].name), error;
	if (!(attributes[i].depths & 1 << path->depth))
		return snprintf(error, 160, "attribute '%s' belongs to a resource", attributes[i].name),
		       error;
	set->seen[i] = true;
	set->has_value[i] = equals != NULL;
	if (!equals)
		return NULL; /* unset */
	if (attributes[i].whole) {
		if (!span_to_uint(value, UINT32_MAX, &whole))
			return snprintf(error, 160, "attribute '%s' is a whole number of seconds",
					attributes[i].name),
			       error;
		set->value[i] = (double)whole;
	} else if (!parse_decimal(value, attributes[i].negative, &set->value[i])) {
		return snprintf(error, 160, "attribute '%s' is a decimal number without exponent",
				attributes[i].name),
		       error;
	}
	return NULL;
}

static const char *check_together(const struct attribute_set *set)
{
	double step = set->has_value[ST] ? set->value[ST] : 0;

	if (set->has_value[LT] && set->has_value[GT] && set->value[LT] + 2 * step >= set->value[GT])
		return "lt + 2 * st must be less than gt";
	if (set->has_value[EPMIN] && set->has_value[EPMAX] && set->value[EPMAX] <= set->value[EPMIN])
		return "epmax must be greater than epmin";
	return NULL;
}

const char *attributes_check(struct span query, const struct path *path, char error[160])
{
	struct attribute_set set = {0};
	const char *wrong = NULL;
	size_t at = 0;

	while (!wrong && at < query.len) {
		size_t end = at;

		while (end < query.len && query.data[end] != '&')
			end++;
		if (end > at)
			wrong = check_one(span_of(query.data + at, end - at), path, &set, error);
		at = end + 1;
	}
	return wrong ? wrong : check_together(&set);
}

/* One CHAR of an argument's value (LwM2M Core 1.1.1, 6.3.5); a space is tolerated. */
static bool is_argument_char(uint8_t c)
{
	return (c >= 0x20 && c <= 0x26) || (c >= 0x28 && c <= 0x5B) || (c >= 0x5D && c <= 0x7E);
}

const char *arguments_check(struct span arguments)
{
	unsigned seen = 0;
	size_t i = 0;

	while (i < arguments.len) {
		uint8_t digit = arguments.data[i++];

		if (digit < '0' || digit > '9')
			return "arguments are digits with optional values: 0,1='text'";
		if (seen & 1u << (digit - '0'))
			return "an argument is given twice";
		seen |= 1u << (digit - '0');
		if (i + 1 < arguments.len && arguments.data[i] == '=' && arguments.data[i + 1] == '\'') {
			for (i += 2; i < arguments.len && is_argument_char(arguments.data[i]);)
				i++;
			if (i >= arguments.len || arguments.data[i++] != '\'')
				return "the value of an argument ends with a quote: 1='text'";
		}
		if (i == arguments.len)
			return NULL;
		if (arguments.data[i++] != ',' || i == arguments.len)
			return "arguments are separated by commas: 0,1='text'";
	}
	return NULL;
}
