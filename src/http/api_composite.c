/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Composites: one request for many paths (LwM2M Core 1.1.1, 6.3.8 to 6.3.9 and 6.4.4). The query lists the
 * paths, the answer is a map of path to node; a path without a value is left out of it.
 */

#include "codec/codec.h"
#include "http/api.h"
#include "http/node_input.h"

enum { INPUT_MAX = 16 * 1024 * 1024 };

/* "/3/0/1,/1/0" to paths in the request's arena; false: the request is answered. */
static bool read_paths(struct http_request *r)
{
	const struct target_param *param = target_find(&r->target, "paths");
	struct path *paths = arena_alloc(&r->arena, LWM2M_PATHS_MAX * sizeof(*paths));
	size_t count = 0;

	if (!paths || !param || param->value.len == 0) {
		api_invalid(r, "the parameter paths is missing: a list such as paths=/3/0/1,/1/0");
		return false;
	}
	for (struct span left = param->value; left.len > 0;) {
		const uint8_t *comma = memchr(left.data, ',', left.len);
		struct span one = span_of(left.data, comma ? (size_t)(comma - left.data) : left.len);

		if (count == LWM2M_PATHS_MAX || one.len == 0 || !path_parse(one, &paths[count])) {
			api_invalid(r, "Invalid path %.*s", (int)MIN(one.len, 64), (const char *)one.data);
			return false;
		}
		count++;
		left = span_from(left, one.len + 1);
	}
	r->paths = paths;
	r->path_count = count;
	return true;
}

static void start(struct http_request *r, struct device *d, enum lwm2m_operation operation)
{
	struct lwm2m_request request = {
		.operation = operation,
		.format = request_format_named(r, "nodeformat"),
		.path_format = request_format_named(r, "pathformat"),
		.paths = r->paths,
		.path_count = r->path_count,
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};

	api_start(r, d, &request);
}

void api_composite_read(struct http_request *r)
{
	struct device *d = api_device(r);

	if (d && read_paths(r))
		start(r, d, LWM2M_READ_COMPOSITE);
}

void api_composite_observe(struct http_request *r)
{
	struct device *d = api_device(r);

	if (d && read_paths(r))
		start(r, d, LWM2M_OBSERVE_COMPOSITE);
}

void api_composite_cancel(struct http_request *r)
{
	static const struct path root;
	struct device *d = api_device(r);
	struct detached *detached;

	if (!d || !read_paths(r))
		return;
	if (target_find(&r->target, "active")) {
		start(r, d, LWM2M_CANCEL_COMPOSITE);
		return;
	}
	detached = api_detach(r, MHD_HTTP_OK);
	if (detached && lwm2m_forget_observation(r->http->server, d, &root, r->paths, r->path_count,
						 api_detached_done, detached) != 0)
		api_detached_failed(detached);
}

void api_composite_write(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_WRITE_COMPOSITE,
		.format = request_format_named(r, "nodeformat"),
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);
	_cleanup_arena_ struct arena arena;
	struct records records;
	char error[NODE_ERROR] = "the body is too large";

	arena_init(&arena, INPUT_MAX);
	records = records_of(&arena);
	if (!d)
		return;
	if (node_parse_map(buffer_span(&r->body), &records, error) != 0) {
		api_invalid(r, "%s", error);
		return;
	}
	request.records = records.items;
	request.record_count = records.count;
	api_start(r, d, &request);
}
