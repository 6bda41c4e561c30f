/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Request targets and routes. The one hard idea: segments are separated before they are decoded, so an
 * endpoint name may hold any byte, "/" and NUL included, as %2F and %00. Nothing is normalised: "." and ".."
 * are names like others.
 */

#include "http/router.h"

#include "http/hex.h"

#include <errno.h>
#include <strings.h>

/* Percent-decoding (RFC 3986, 2.1) into the arena; in a query "+" is a space. */
static int decode(struct span raw, bool query, struct arena *arena, struct span *out)
{
	uint8_t *text = arena_alloc(arena, raw.len + 1);
	size_t len = 0;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < raw.len; i++) {
		uint8_t c = raw.data[i];

		if (c == '%') {
			int high = i + 2 < raw.len ? hex_digit(raw.data[i + 1]) : -1;
			int low = i + 2 < raw.len ? hex_digit(raw.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		text[len++] = c;
	}
	text[len] = 0;
	*out = span_of(text, len);
	return 0;
}

/* The part of `left` before `separator`, taken off together with it. */
static struct span take_until(struct span *left, uint8_t separator)
{
	const uint8_t *at = left->len ? memchr(left->data, separator, left->len) : NULL;
	struct span part = at ? span_of(left->data, (size_t)(at - left->data)) : *left;

	*left = span_from(*left, part.len + 1);
	return part;
}

static int parse_segments(struct span path, struct arena *arena, struct target *out)
{
	out->trailing_slash = path.len > 1 && path.data[path.len - 1] == '/';
	path = span_from(path, 1);
	while (path.len) {
		struct span raw = take_until(&path, '/');
		int r;

		if (!raw.len) {
			out->has_empty = true;
			continue;
		}
		if (out->segment_count == TARGET_SEGMENTS_MAX)
			return -E2BIG;
		r = decode(raw, false, arena, &out->segments[out->segment_count]);
		if (r)
			return r;
		out->segment_count++;
	}
	return 0;
}

static int parse_query(struct span query, struct arena *arena, struct target *out)
{
	while (query.len) {
		struct span value = take_until(&query, '&');
		struct span name;
		struct target_param *param = &out->params[out->param_count];
		int r;

		if (!value.len)
			continue;
		if (out->param_count == TARGET_PARAMS_MAX)
			return -E2BIG;
		name = take_until(&value, '=');
		r = decode(name, true, arena, &param->name);
		if (r == 0)
			r = decode(value, true, arena, &param->value);
		if (r)
			return r;
		out->param_count++;
	}
	return 0;
}

/* The absolute form, which every server has to understand (RFC 9112, 3.2.2). */
static struct span strip_authority(struct span raw)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i]);
		const uint8_t *path;

		if (raw.len < len || strncasecmp((const char *)raw.data, schemes[i], len))
			continue;
		path = memchr(raw.data + len, '/', raw.len - len);
		return path ? span_from(raw, (size_t)(path - raw.data)) : span_str("/");
	}
	return raw;
}

int target_parse(struct span raw, struct arena *arena, struct target *out)
{
	struct span path;
	int r;

	memset(out, 0, sizeof(*out));
	raw = strip_authority(raw);
	if (!raw.len || raw.data[0] != '/')
		return -EINVAL;
	path = take_until(&raw, '?');
	out->query = take_until(&raw, '#');
	r = parse_segments(path, arena, out);
	return r ? r : parse_query(out->query, arena, out);
}

const struct target_param *target_find(const struct target *t, const char *name)
{
	for (size_t i = 0; i < t->param_count; i++) {
		if (span_is(t->params[i].name, name))
			return &t->params[i];
	}
	return NULL;
}

static size_t pattern_segments(const char *pattern)
{
	size_t count = 0;

	for (const char *p = pattern; *p; p++)
		count += *p == '/' && p[1];
	return count;
}

static bool pattern_fits(const char *pattern, const struct target *t, struct route_match *m)
{
	struct span left = span_str(pattern + 1);
	size_t wanted = pattern_segments(pattern), at = 0;

	for (; left.len; wanted--) {
		struct span part = take_until(&left, '/');

		if (at + wanted > t->segment_count)
			return false;
		if (span_is(part, "{path}")) {
			m->path_first = at;
			m->path_count = t->segment_count - at - (wanted - 1);
			at += m->path_count;
			continue;
		}
		if (span_is(part, "{ep}")) {
			m->ep = t->segments[at];
		} else if (part.data[0] == '{') {
			m->path_first = m->path_count++ ? m->path_first : at;
		} else if (!span_equal(part, t->segments[at])) {
			return false;
		}
		at++;
	}
	return at == t->segment_count;
}

struct route_match route_find(const struct route *routes, size_t count, enum http_method method,
			      const struct target *t)
{
	struct route_match found = {0};

	for (size_t i = 0; i < count; i++) {
		struct route_match m = {.route = &routes[i]};

		if (!pattern_fits(routes[i].pattern, t, &m))
			continue;
		found.allowed |= routes[i].method;
		if (routes[i].method != method || found.route)
			continue;
		m.allowed = found.allowed;
		found = m;
	}
	return found;
}

static const struct {
	const char *name;
	enum http_method method;
	bool head;
} methods[] = {
	{"GET", HTTP_GET, false},   {"HEAD", HTTP_GET, true},	    {"PUT", HTTP_PUT, false},
	{"POST", HTTP_POST, false}, {"DELETE", HTTP_DELETE, false},
};

const char *methods_format(unsigned set, char text[METHODS_TEXT])
{
	text[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (!(set & methods[i].method))
			continue;
		if (text[0])
			strcat(text, ", ");
		strcat(text, methods[i].name);
	}
	return text;
}

unsigned method_parse(const char *name, bool *head)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (!strcmp(name, methods[i].name)) {
			*head = methods[i].head;
			return methods[i].method;
		}
	}
	*head = false;
	return 0;
}
