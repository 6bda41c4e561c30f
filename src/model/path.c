/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Paths as four numbers and a depth. The one idea: ids that do not count are zero, so that comparing all four
 * and then the depth is already the order of the tree, a prefix before what is below it. A path has one
 * spelling only ("/3/00" is none), because names in payloads are glued from a base and a rest: a client that
 * forgets the slash between them must not be taken for another resource. Leaves out prefixes of gateways and
 * alternate paths, which are not made of numbers.
 */

#include "model/path.h"

enum { ID_DIGITS = 5, ID_MAX = PATH_ID_NONE - 1 };

/* One id up to the next slash or the end. */
static bool parse_id(const uint8_t **at, const uint8_t *end, uint16_t *out)
{
	const uint8_t *start = *at, *p = start;
	uint32_t value = 0;

	while (p < end && *p >= '0' && *p <= '9' && p - start < ID_DIGITS)
		value = value * 10 + (uint32_t)(*p++ - '0');
	if (p == start || value > ID_MAX || (*start == '0' && p - start > 1))
		return false;
	if (p < end && *p != '/')
		return false;
	*at = p;
	*out = (uint16_t)value;
	return true;
}

bool path_parse_below(const struct path *base, struct span text, struct path *out)
{
	const uint8_t *p = text.data, *end = text.len ? p + text.len : p;
	struct path path = *base;

	while (p < end) {
		if (path.depth == ARRAY_SIZE(path.ids) || !parse_id(&p, end, &path.ids[path.depth]))
			return false;
		path.depth++;
		if (p < end)
			p++; /* the slash, which may be the last character */
	}
	*out = path;
	return true;
}

bool path_parse(struct span text, struct path *out)
{
	static const struct path root = {{0}, 0};

	return path_parse_below(&root, text.len && text.data[0] == '/' ? span_from(text, 1) : text, out);
}

static size_t format_from(const struct path *p, unsigned from, char *text)
{
	char *at = text;

	for (size_t i = from; i < p->depth; i++) {
		char digits[ID_DIGITS];
		unsigned id = p->ids[i], n = 0;

		if (i > from)
			*at++ = '/';
		do
			digits[n++] = (char)('0' + id % 10);
		while (id /= 10);
		while (n)
			*at++ = digits[--n];
	}
	*at = '\0';
	return (size_t)(at - text);
}

size_t path_format_tail(const struct path *p, unsigned from, char text[PATH_TEXT])
{
	return format_from(p, from, text);
}

const char *path_format(const struct path *p, char text[PATH_TEXT])
{
	text[0] = '/';
	format_from(p, 0, text + 1);
	return text;
}

int path_compare(const struct path *a, const struct path *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->ids); i++)
		if (a->ids[i] != b->ids[i])
			return a->ids[i] < b->ids[i] ? -1 : 1;
	return (int)a->depth - (int)b->depth;
}
