/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Requests to one device. HTTP status says whether there is an answer of the device, not what it says: its
 * error codes are 200 with "failure": true. The table of outcomes (rest.md, 6.4) is outcome_text and refuse;
 * ours are the texts of 503 (too many requests wait; an observation that could not be stored), which the
 * compatible interface does not know.
 */

#include "http/answer_json.h"
#include "http/api.h"
#include "http/node_input.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

enum {
	DECODE_MAX = 4 * 1024 * 1024,  /* memory for the decoded content of one answer */
	ANSWER_MAX = 16 * 1024 * 1024, /* text of one answer */
	INPUT_MAX = 16 * 1024 * 1024,  /* memory for what a caller writes */
};

/* ---- the device and the path ---- */

static void unknown_client(struct http_request *r)
{
	struct buffer text = buffer_of(4096);

	buffer_str(&text, "No registered client with id '");
	buffer_bytes(&text, r->match.ep);
	buffer_str(&text, "'");
	request_reply(r, MHD_HTTP_BAD_REQUEST, TYPE_TEXT, &text);
}

struct device *api_device(struct http_request *r)
{
	struct device *d = lwm2m_find(r->http->server, r->match.ep);

	if (!d)
		unknown_client(r);
	return d;
}

void api_invalid(struct http_request *r, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid request: %s", text);
}

bool api_path(struct http_request *r, struct path *out)
{
	struct buffer text = buffer_of(256);
	bool valid = !r->target.has_empty;

	for (size_t i = 0; i < r->match.path_count; i++) {
		struct span segment = r->target.segments[r->match.path_first + i];

		valid = valid && !memchr(segment.data, '/', segment.len);
		buffer_u8(&text, '/');
		buffer_bytes(&text, segment);
	}
	valid = valid && !text.failed && path_parse(buffer_span(&text), out) && out->depth > PATH_ROOT;
	if (!valid)
		api_invalid(r, "Invalid path %.*s", (int)text.len, text.data ? (const char *)text.data : "");
	buffer_deinit(&text);
	return valid;
}

/* ---- outcomes ---- */

static const struct {
	unsigned status;
	const char *prefix; /* NULL: `words` stand alone */
	const char *words;  /* if the device manager gives none */
} outcomes[] = {
	[LWM2M_TIMEOUT] = {MHD_HTTP_GATEWAY_TIMEOUT, NULL, "Request timeout"},
	[LWM2M_REJECTED] = {MHD_HTTP_INTERNAL_SERVER_ERROR, "Request rejected",
			    "the device answered with RST"},
	[LWM2M_CANCELLED] = {MHD_HTTP_INTERNAL_SERVER_ERROR, "Request cancelled",
			     "the device registered anew or left"},
	[LWM2M_INVALID] = {MHD_HTTP_INTERNAL_SERVER_ERROR, "Invalid Response",
			   "the answer does not fit the request"},
	[LWM2M_NOT_STORED] = {MHD_HTTP_SERVICE_UNAVAILABLE, "Service unavailable",
			      "the result could not be stored"},
	[LWM2M_UNKNOWN] = {MHD_HTTP_GATEWAY_TIMEOUT, "Outcome unknown", "the node that had the request died"},
};

static void reply_outcome(struct http_request *r, enum lwm2m_outcome outcome, const char *error)
{
	const char *words = error ? error : outcomes[outcome].words;

	if (!outcomes[outcome].prefix)
		request_text(r, outcomes[outcome].status, "%s", outcomes[outcome].words);
	else if (outcomes[outcome].status == MHD_HTTP_SERVICE_UNAVAILABLE)
		request_busy(r, "%s: %s", outcomes[outcome].prefix, words);
	else
		request_text(r, outcomes[outcome].status, "%s: %s", outcomes[outcome].prefix, words);
}

static void no_observation(struct http_request *r)
{
	struct buffer text = buffer_of(4096);
	char path[PATH_TEXT];

	buffer_printf(&text, "no observation for path %s for client '", path_format(&r->path, path));
	buffer_bytes(&text, r->match.ep);
	buffer_str(&text, "'");
	request_reply(r, MHD_HTTP_NOT_FOUND, TYPE_TEXT, &text);
}

static void refuse(struct http_request *r, int refusal, const char *error)
{
	switch ((enum lwm2m_refusal)refusal) {
	case LWM2M_REFUSED_ATTRIBUTES:
		request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid attributes: %s", error);
		break;
	case LWM2M_REFUSED_BUSY:
	case LWM2M_REFUSED_MOVING:
		request_busy(r, "Service unavailable: %s", error);
		break;
	case LWM2M_REFUSED_UNREACHABLE:
		request_text(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "Unexpected exception: %s", error);
		break;
	case LWM2M_REFUSED_NO_OBSERVATION:
		no_observation(r);
		break;
	case LWM2M_REFUSED_PATH:
	case LWM2M_REFUSED_PAYLOAD:
	case LWM2M_REFUSED_ARGUMENTS:
	case LWM2M_REFUSED_LIMIT:
		api_invalid(r, "%s", error);
		break;
	}
}

/* ---- answers ---- */

static void reply_answer(struct http_request *r, const struct lwm2m_answer *answer)
{
	struct device *d = lwm2m_find(r->http->server, r->match.ep);
	struct declared_object declared[DECLARED_MAX];
	/* The device may be gone by now; its answer is still read, by the default versions. */
	struct model model = {.registry = lwm2m_registry(r->http->server), .lwm2m = {1, 0}};
	struct buffer text = buffer_of(ANSWER_MAX);
	struct json json = json_to(&text);
	_cleanup_arena_ struct arena arena;
	struct registration registration;
	struct span root = {0};
	struct answer_context context;
	char error[ANSWER_ERROR] = "";

	arena_init(&arena, DECODE_MAX);
	if (d) {
		device_registration(d, &registration);
		model = registration_model(&registration, model.registry, declared, DECLARED_MAX);
		root = registration.root;
	}
	context = (struct answer_context){.operation = r->operation,
					  .path = r->path,
					  .paths = r->paths,
					  .path_count = r->path_count,
					  .model = &model,
					  .root = root,
					  .now_ms = r->http->config.wall_ms(),
					  .arena = &arena};
	if (answer_json(&json, &context, answer, error) != 0) {
		buffer_deinit(&text);
		reply_outcome(r, LWM2M_INVALID, error);
		return;
	}
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

static void on_answer(void *ctx, const struct lwm2m_answer *answer)
{
	struct http_request *r = ctx;

	r->ticket = 0;
	if (answer->outcome == LWM2M_QUEUED)
		api_delayed(r, answer);
	else if (answer->outcome == LWM2M_ANSWERED)
		reply_answer(r, answer);
	else
		reply_outcome(r, answer->outcome, answer->error);
}

static void cancel_request(struct http_request *r)
{
	if (r->ticket)
		lwm2m_request_cancel(r->http->server, r->ticket);
	r->ticket = 0;
}

void api_start(struct http_request *r, struct device *d, const struct lwm2m_request *request)
{
	char error[160] = "";
	int rc;

	r->operation = request->operation;
	r->path = request->path;
	rc = lwm2m_request(r->http->server, d, request, on_answer, r, &r->ticket, error);
	if (rc == 0)
		r->cancel = cancel_request;
	else if (rc > 0)
		refuse(r, rc, error);
	else
		request_text(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "Unexpected exception: %s", strerror(-rc));
}

static void cancel_detached(struct http_request *r)
{
	r->detached->request = NULL;
	r->detached = NULL;
}

struct detached *api_detach(struct http_request *r, unsigned status)
{
	struct detached *d = malloc(sizeof(*d));

	if (!d) {
		request_busy(r, "Service unavailable: out of memory");
		return NULL;
	}
	*d = (struct detached){r, status};
	r->detached = d;
	r->cancel = cancel_detached;
	return d;
}

void api_detached_done(void *ctx, const struct lwm2m_answer *answer)
{
	struct detached *d = ctx;
	struct http_request *r = d->request;
	unsigned status = d->status;
	struct buffer empty = buffer_of(0);

	free(d);
	if (!r)
		return;
	r->detached = NULL;
	if (answer->outcome == LWM2M_ANSWERED)
		request_reply(r, status, NULL, &empty);
	else
		reply_outcome(r, answer->outcome, answer->error);
}

void api_detached_failed(struct detached *d)
{
	struct http_request *r = d->request;

	free(d);
	r->detached = NULL;
	request_busy(r, "Service unavailable: the change cannot be stored now");
}

/* ---- handlers ---- */

static void simple_request(struct http_request *r, enum lwm2m_operation operation, uint16_t format)
{
	struct lwm2m_request request = {
		.operation = operation,
		.format = format,
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);

	if (d && api_path(r, &request.path))
		api_start(r, d, &request);
}

void api_read(struct http_request *r)
{
	simple_request(r, LWM2M_READ, request_format(r));
}

void api_discover(struct http_request *r)
{
	simple_request(r, LWM2M_DISCOVER, FORMAT_NONE);
}

void api_delete(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_DELETE,
		.format = FORMAT_NONE,
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);
	char path[PATH_TEXT];

	if (!d || !api_path(r, &request.path))
		return;
	if (request.path.depth != PATH_INSTANCE)
		api_invalid(r, "Invalid path %s : Only object instances can be delete",
			    path_format(&request.path, path));
	else
		api_start(r, d, &request);
}

/* The query string is the attributes as they are sent to the device. */
void api_write_attributes(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_WRITE_ATTRIBUTES,
		.format = FORMAT_NONE,
		.instance = PATH_ID_NONE,
		.arguments = r->target.query,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);

	if (d && api_path(r, &request.path))
		api_start(r, d, &request);
}

void api_execute(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_EXECUTE,
		.format = FORMAT_NONE,
		.instance = PATH_ID_NONE,
		.arguments = buffer_span(&r->body),
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);

	if (d && api_path(r, &request.path))
		api_start(r, d, &request);
}

/* ---- bodies ---- */

enum body_type { BODY_JSON, BODY_TEXT, BODY_OTHER };

static enum body_type body_type(const struct http_request *r)
{
	static const struct {
		const char *name;
		enum body_type type;
	} types[] = {{"application/json", BODY_JSON}, {"text/plain", BODY_TEXT}};
	const char *given = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
	size_t len = given ? strcspn(given, "; \t") : 0;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (len == strlen(types[i].name) && !strncasecmp(given, types[i].name, len))
			return types[i].type;
	}
	return BODY_OTHER;
}

static void unsupported_type(struct http_request *r)
{
	const char *given = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

	api_invalid(r, "content type %.100s not supported", given ? given : "null");
}

/* Plain text is the value of one string resource, whose id is the last of the path. */
static int text_input(struct http_request *r, const struct path *path, struct arena *arena,
		      struct node_input *out, char error[NODE_ERROR])
{
	struct record record = {
		.path = *path,
		.value = {.type = VALUE_STRING, .bytes = buffer_span(&r->body)},
	};
	char text[PATH_TEXT];

	*out = (struct node_input){NODE_SINGLE, path->ids[path->depth - 1], records_of(arena)};
	if (path->depth == PATH_RESOURCE)
		return records_add(&out->records, &record);
	snprintf(error, NODE_ERROR, "path '%s' and node type 'LwM2mSingleResource' do not match",
		 path_format(path, text));
	return -EINVAL;
}

/* What the body holds for `path`; false: the request is answered. */
static bool read_input(struct http_request *r, const struct path *path, bool create, struct arena *arena,
		       struct node_input *out)
{
	char error[NODE_ERROR] = "the body is too large";
	enum body_type type = body_type(r);
	int rc;

	if (type == BODY_OTHER) {
		unsupported_type(r);
		return false;
	}
	if (type == BODY_JSON)
		rc = node_parse(buffer_span(&r->body), path, create, arena, out, error);
	else if (create)
		rc = (out->kind = NODE_SINGLE, 0);
	else
		rc = text_input(r, path, arena, out, error);
	if (rc)
		api_invalid(r, "%s", error);
	return rc == 0;
}

/* `replace` is true unless the query says something else than "true". */
static bool wants_replace(const struct http_request *r)
{
	const struct target_param *param = target_find(&r->target, "replace");

	return !param || (param->value.len == 4 && !strncasecmp((const char *)param->value.data, "true", 4));
}

static bool check_partial(struct http_request *r, const struct path *path, enum node_kind kind)
{
	bool single = kind == NODE_SINGLE || kind == NODE_RESOURCE_INSTANCE;
	char text[PATH_TEXT];

	if (single)
		api_invalid(r, "Invalid mode for '%s': update is not allowed on %s", path_format(path, text),
			    kind == NODE_SINGLE ? "single resource" : "resource instance");
	return !single;
}

void api_write(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = wants_replace(r) ? LWM2M_WRITE : LWM2M_WRITE_PARTIAL,
		.format = request_format(r),
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	_cleanup_arena_ struct arena arena;
	struct node_input input;
	struct device *d;

	arena_init(&arena, INPUT_MAX);
	if (r->match.path_count < 2) {
		api_invalid_path(r);
		return;
	}
	d = api_device(r);
	if (!d || !api_path(r, &request.path) || !read_input(r, &request.path, false, &arena, &input))
		return;
	if (request.operation == LWM2M_WRITE_PARTIAL && !check_partial(r, &request.path, input.kind))
		return;
	request.records = input.records.items;
	request.record_count = input.records.count;
	api_start(r, d, &request);
}

static void create_instance(struct http_request *r, struct device *d, struct lwm2m_request *request)
{
	_cleanup_arena_ struct arena arena;
	struct node_input input;
	char path[PATH_TEXT];

	arena_init(&arena, INPUT_MAX);
	if (!read_input(r, &request->path, true, &arena, &input))
		return;
	if (input.kind != NODE_INSTANCE) {
		request_text(r, MHD_HTTP_INTERNAL_SERVER_ERROR,
			     "Unexpected exception: payload must contain an object instance");
		return;
	}
	if (request->path.depth != PATH_OBJECT) {
		api_invalid(r, "Invalid path %s: Create request must target an object",
			    path_format(&request->path, path));
		return;
	}
	request->records = input.records.items;
	request->record_count = input.records.count;
	request->instance = input.id;
	api_start(r, d, request);
}

void api_create(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_CREATE,
		.format = request_format(r),
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);

	if (d && api_path(r, &request.path))
		create_instance(r, d, &request);
}
