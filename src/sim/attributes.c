/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Notification attributes. A table says how each is written; the rules between them (lt below gt with room
 * for two steps, epmin below epmax, Core 1.1.1, 5.1.2) are checked on the whole that would result, before any
 * of it is taken.
 *
 * Leaves out what the attributes do: observation.c. epmin and epmax are kept and shown only: these devices
 * measure when they notify.
 */

#include "sim/attributes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

struct rule {
	const char *name;
	bool whole;   /* seconds; else a decimal number */
	bool numeric; /* only for numeric resources */
};

static const struct rule rules[ATTRIBUTES] = {
	[ATTRIBUTE_PMIN] = {"pmin", true, false},   [ATTRIBUTE_PMAX] = {"pmax", true, false},
	[ATTRIBUTE_EPMIN] = {"epmin", true, false}, [ATTRIBUTE_EPMAX] = {"epmax", true, false},
	[ATTRIBUTE_GT] = {"gt", false, true},	    [ATTRIBUTE_LT] = {"lt", false, true},
	[ATTRIBUTE_ST] = {"st", false, true},
};

void attributes_deinit(struct attribute_list *l)
{
	free(l->entries);
	*l = (struct attribute_list){0};
}

static bool parse_decimal(struct span text, double *out)
{
	char copy[40], *end;

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!text.data[i] || !strchr("0123456789+-.eE", text.data[i]))
			return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	*out = strtod(copy, &end);
	return !*end && isfinite(*out);
}

static bool parse_value(const struct rule *rule, struct span text, double *out)
{
	uint64_t seconds;

	if (!rule->whole)
		return parse_decimal(text, out);
	if (!span_to_uint(text, UINT32_MAX, &seconds))
		return false;
	*out = (double)seconds;
	return true;
}

/* One query parameter into *a. */
static bool take_parameter(struct attributes *a, struct span query, bool numeric)
{
	const uint8_t *equals = query.len ? memchr(query.data, '=', query.len) : NULL;
	struct span name = equals ? span_of(query.data, (size_t)(equals - query.data)) : query;

	for (unsigned i = 0; i < ATTRIBUTES; i++) {
		if (!span_is(name, rules[i].name))
			continue;
		if (rules[i].numeric && !numeric)
			return false;
		if (!equals) {
			a->set &= (uint8_t) ~(1u << i);
			return true;
		}
		a->set |= (uint8_t)(1u << i);
		return parse_value(&rules[i], span_from(query, name.len + 1), &a->values[i]);
	}
	return false;
}

static bool is_consistent(const struct attributes *a)
{
	double step = attribute_is_set(a, ATTRIBUTE_ST) ? a->values[ATTRIBUTE_ST] : 0;

	if (step < 0)
		return false;
	if (attribute_is_set(a, ATTRIBUTE_EPMIN) && attribute_is_set(a, ATTRIBUTE_EPMAX) &&
	    a->values[ATTRIBUTE_EPMAX] <= a->values[ATTRIBUTE_EPMIN])
		return false;
	if (!attribute_is_set(a, ATTRIBUTE_GT) || !attribute_is_set(a, ATTRIBUTE_LT))
		return true;
	return a->values[ATTRIBUTE_LT] + 2 * step < a->values[ATTRIBUTE_GT];
}

static struct attribute_entry *find_entry(const struct attribute_list *l, const struct path *path)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (path_compare(&l->entries[i].path, path) == 0)
			return &l->entries[i];
	return NULL;
}

static struct attribute_entry *add_entry(struct attribute_list *l, const struct path *path)
{
	struct attribute_entry *grown;

	if (l->count == ATTRIBUTE_PATHS_MAX)
		return NULL;
	grown = realloc(l->entries, (l->count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	l->entries = grown;
	grown[l->count] = (struct attribute_entry){.path = *path};
	return &grown[l->count++];
}

uint8_t attributes_write(struct attribute_list *l, const struct path *path,
			 const struct coap_message *request, bool numeric)
{
	struct attribute_entry *entry = find_entry(l, path);
	struct attributes next = entry ? entry->attributes : (struct attributes){0};

	for (const struct coap_option *o = coap_find(request, COAP_OPTION_URI_QUERY); o;
	     o = coap_find_next(request, o))
		if (!take_parameter(&next, coap_value(o), numeric))
			return COAP_BAD_REQUEST;
	if (!is_consistent(&next))
		return COAP_BAD_REQUEST;
	if (!entry && next.set)
		entry = add_entry(l, path);
	if (entry)
		entry->attributes = next;
	return entry || !next.set ? COAP_CHANGED : COAP_INTERNAL_SERVER_ERROR;
}

struct attributes attributes_effective(const struct attribute_list *l, const struct path *path)
{
	struct attributes sum = {0};

	for (unsigned depth = PATH_OBJECT; depth <= path->depth; depth++) {
		const struct path level = path_up_to(*path, depth);
		const struct attribute_entry *entry = find_entry(l, &level);

		for (unsigned i = 0; entry && i < ATTRIBUTES; i++) {
			if (!attribute_is_set(&entry->attributes, (enum attribute)i))
				continue;
			sum.values[i] = entry->attributes.values[i];
			sum.set |= (uint8_t)(1u << i);
		}
	}
	return sum;
}

static void format(const struct attributes *a, struct buffer *out)
{
	for (unsigned i = 0; i < ATTRIBUTES; i++)
		if (attribute_is_set(a, (enum attribute)i))
			buffer_printf(out, ";%s=%.15g", rules[i].name, a->values[i]);
}

void attributes_format(const struct attribute_list *l, const struct path *path, struct buffer *out)
{
	const struct attribute_entry *entry = find_entry(l, path);

	if (entry)
		format(&entry->attributes, out);
}

void attributes_format_effective(const struct attribute_list *l, const struct path *path, struct buffer *out)
{
	struct attributes sum = attributes_effective(l, path);

	format(&sum, out);
}

void attributes_forget(struct attribute_list *l, const struct path *path)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->count; i++)
		if (!path_is_within(&l->entries[i].path, path))
			l->entries[kept++] = l->entries[i];
	l->count = kept;
}
