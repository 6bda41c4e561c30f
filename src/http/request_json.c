/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Queued requests to JSON: as GET /api/requests has them, and as the event of their end. Both are made from
 * what is stored with the request alone, so that they read the same whatever the device is by now.
 */

#include "http/request_json.h"

#include "codec/codec.h"
#include "http/answer_json.h"

void queued_path_json(struct json *j, const struct queued_request *q)
{
	struct span left = q->paths;
	char text[PATH_TEXT];
	struct path path;

	if (q->paths.len == 0 && q->path.depth > 0)
		json_member_str(j, "path", path_format(&q->path, text));
	if (q->paths.len == 0)
		return;
	json_key(j, "paths");
	json_open(j, '[');
	while (paths_next(&left, &path))
		json_str(j, path_format(&path, text));
	json_close(j, ']');
}

static void raw_json(struct json *j, const struct queued_end *end)
{
	json_key(j, "raw");
	json_open(j, '{');
	json_key(j, "contentFormat");
	if (end->format == FORMAT_NONE)
		json_nil(j);
	else
		json_uint(j, end->format);
	json_key(j, "payload");
	json_hex(j, end->payload);
	json_close(j, '}');
}

/* False: it makes no sense, `error` says why, and nothing was written. */
static bool response_json(struct json *j, const struct queued_view *v, char error[ANSWER_ERROR])
{
	const struct queued_request *q = v->request;
	struct lwm2m_event about = {.lwm2m = q->end.lwm2m, .declared = q->end.declared};
	struct declared_object declared[DECLARED_MAX];
	struct model model = lwm2m_event_model(&about, v->registry, declared, DECLARED_MAX);
	struct path paths[LWM2M_PATHS_MAX];
	struct answer_context context = {.operation = q->operation,
					 .path = q->path,
					 .paths = q->paths.len > 0 ? paths : NULL,
					 .model = &model,
					 .root = q->end.root,
					 .now_ms = v->now_ms,
					 .arena = v->arena};
	const struct lwm2m_answer answer = {.outcome = LWM2M_ANSWERED,
					    .code = q->end.code,
					    .format = q->end.format,
					    .payload = q->end.payload,
					    .location = q->end.location};
	struct span left = q->paths;
	struct json before = *j;
	size_t len = j->out->len;

	arena_reset(v->arena);
	while (context.path_count < LWM2M_PATHS_MAX && paths_next(&left, &paths[context.path_count]))
		context.path_count++;
	json_key(j, "response");
	if (answer_json(j, &context, &answer, error) == 0)
		return true;
	*j = before;
	j->out->len = len;
	return false;
}

void queued_result_json(struct json *j, const struct queued_view *v)
{
	const struct queued_end *end = &v->request->end;
	char error[ANSWER_ERROR] = "";

	if (v->state == QUEUED_ANSWERED && !response_json(j, v, error)) {
		raw_json(j, end);
		json_member_str(j, "error", error);
	} else if (end->error.len > 0) {
		json_member_text(j, "error", end->error);
	}
}

void queued_json(struct json *j, const struct queued_view *v)
{
	const struct queued_request *q = v->request;

	json_open(j, '{');
	json_member_text(j, "requestId", v->id);
	json_member_text(j, "ep", v->endpoint);
	json_member_str(j, "operation", queued_operation_name(q->operation));
	queued_path_json(j, q);
	json_member_str(j, "state", queued_state_name(v->state));
	json_member_uint(j, "added", q->added_ms);
	json_member_uint(j, "expires", q->expires_ms);
	json_member_uint(j, "attempts", q->attempts);
	if (q->end.ended_ms > 0)
		json_member_uint(j, "ended", q->end.ended_ms);
	queued_result_json(j, v);
	json_close(j, '}');
}
