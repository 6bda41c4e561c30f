/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The target of a request: taken apart, found in the real table of routes, put together with every byte
 * percent-encoded, and taken apart alike.
 */

#include "fuzz.h"

#include "http/private.h"

enum { ARENA = 1 << 20 };

static void write_encoded(struct buffer *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		buffer_printf(out, "%%%02X", s.data[i]);
}

static void write_target(struct buffer *out, const struct target *t)
{
	for (size_t i = 0; i < t->segment_count; i++) {
		buffer_str(out, "/");
		write_encoded(out, t->segments[i]);
	}
	if (t->segment_count == 0 || t->trailing_slash)
		buffer_str(out, "/");
	for (size_t i = 0; i < t->param_count; i++) {
		buffer_str(out, i ? "&" : "?");
		write_encoded(out, t->params[i].name);
		buffer_str(out, "=");
		write_encoded(out, t->params[i].value);
	}
}

static void check_again(const struct target *t)
{
	_cleanup_buffer_ struct buffer text = buffer_of(ARENA);
	_cleanup_arena_ struct arena arena;
	struct target again;

	arena_init(&arena, ARENA);
	write_target(&text, t);
	assert(!text.failed && target_parse(buffer_span(&text), &arena, &again) == 0);
	assert(again.segment_count == t->segment_count && again.param_count == t->param_count);
	for (size_t i = 0; i < t->segment_count; i++)
		assert(span_equal(again.segments[i], t->segments[i]));
	for (size_t i = 0; i < t->param_count; i++)
		assert(span_equal(again.params[i].name, t->params[i].name) &&
		       span_equal(again.params[i].value, t->params[i].value));
}

static void check_route(const struct target *t, enum http_method method)
{
	struct route_match m = route_find(http_routes, http_route_count, method, t);
	char text[METHODS_TEXT];

	assert(!m.route || m.allowed & method);
	assert(m.path_first + m.path_count <= t->segment_count);
	methods_format(m.allowed, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_method methods[] = {HTTP_GET, HTTP_PUT, HTTP_POST, HTTP_DELETE};
	_cleanup_arena_ struct arena arena;
	struct target t;

	arena_init(&arena, ARENA);
	if (target_parse(span_of(data, size), &arena, &t) < 0)
		return 0;
	assert(t.segment_count <= TARGET_SEGMENTS_MAX && t.param_count <= TARGET_PARAMS_MAX);
	target_find(&t, "format");
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		check_route(&t, methods[i]);
	check_again(&t);
	return 0;
}
