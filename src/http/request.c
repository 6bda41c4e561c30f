/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A request from its first line to its last byte, between MHD's callbacks and our handlers. The one hard
 * idea: a handler either answers before it returns or not; if not, the connection is suspended, and whoever
 * answers later resumes it, upon which MHD asks again and gets the answer. A client that goes away meanwhile
 * (MHD does not look at suspended sockets, so we do) cancels what it waited for.
 */

#include "codec/codec.h"
#include "http/access.h"
#include "http/guard.h"
#include "http/json.h"
#include "http/private.h"
#include "http/remote.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

enum { REQUEST_ARENA_MAX = 256 * 1024, TEXT_MAX = 4096 };

const char TYPE_JSON[] = "application/json";
const char TYPE_TEXT[] = "text/plain; charset=UTF-8";

/* ---- answers ---- */

static void add_headers(struct http_request *r, const char *type)
{
	if (type)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(r->response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (r->http->stopping)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static void set_response(struct http_request *r, unsigned status, const char *type,
			 struct MHD_Response *response)
{
	assert(!r->response && r->phase != REQUEST_ANSWERED);
	r->cancel = NULL;
	r->status = status;
	r->response = response;
	if (response)
		add_headers(r, type);
	request_resume(r);
}

void request_reply(struct http_request *r, unsigned status, const char *type, struct buffer *body)
{
	struct MHD_Response *response;

	if (body->failed) {
		buffer_deinit(body);
		request_text(r, MHD_HTTP_INTERNAL_SERVER_ERROR,
			     "Unexpected exception: the answer is too large");
		return;
	}
	if (r->remote) {
		remote_reply(r, status, type, buffer_span(body), false);
		buffer_deinit(body);
		return;
	}
	if (body->len)
		response = MHD_create_response_from_buffer_with_free_callback(body->len, body->data, free);
	else
		response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	if (response && body->len)
		*body = buffer_of(0);
	else
		buffer_deinit(body);
	set_response(r, status, type, response);
}

static void PRINTF_LIKE(3, 0)
	text_va(struct http_request *r, unsigned status, const char *format, va_list args)
{
	char text[TEXT_MAX];
	int len = vsnprintf(text, sizeof(text), format, args);
	struct MHD_Response *response;

	len = len < 0 ? 0 : MIN(len, TEXT_MAX - 1);
	if (r->remote) {
		remote_reply(r, status, TYPE_TEXT, span_of(text, (size_t)len),
			     status == MHD_HTTP_SERVICE_UNAVAILABLE);
		return;
	}
	response = MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY);
	set_response(r, status, TYPE_TEXT, response);
}

void request_text(struct http_request *r, unsigned status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_va(r, status, format, args);
	va_end(args);
}

void request_problem(struct http_request *r, unsigned status, const char *title, const char *detail)
{
	struct buffer text = buffer_of(4096);
	struct json json = json_to(&text);

	json_open(&json, '{');
	json_member_str(&json, "title", title);
	json_member_uint(&json, "status", status);
	json_member_str(&json, "detail", detail);
	json_close(&json, '}');
	request_reply(r, status, "application/problem+json", &text);
}

void request_busy(struct http_request *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_va(r, MHD_HTTP_SERVICE_UNAVAILABLE, format, args);
	va_end(args);
	if (r->response)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

void request_stream(struct http_request *r, const char *type, size_t block, bool until_close,
		    MHD_ContentReaderCallback read, void *ctx, MHD_ContentReaderFreeCallback free_ctx)
{
	struct MHD_Response *response;

	assert(!r->remote); /* no route of one device has such an answer */
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block, read, ctx, free_ctx);
	if (!response)
		free_ctx(ctx);
	else if (until_close || r->head) /* MHD would send a last chunk after a HEAD */
		MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	set_response(r, MHD_HTTP_OK, type, response);
}

/* ---- suspending ---- */

void request_suspend(struct http_request *r)
{
	assert(!r->suspended);
	MHD_suspend_connection(r->connection);
	r->suspended = true;
	http_watch(r->http, r);
}

void request_resume(struct http_request *r)
{
	if (!r->suspended)
		return;
	http_unwatch(r->http, r);
	r->suspended = false;
	MHD_resume_connection(r->connection);
	http_kick(r->http);
}

static void request_abandon(struct http_request *r)
{
	if (r->cancel)
		r->cancel(r);
	r->cancel = NULL;
	if (r->stream)
		r->stream_detach(r->stream);
	r->stream = NULL;
}

void request_gone(struct http_request *r)
{
	r->gone = true;
	request_abandon(r);
	request_resume(r);
}

void request_stop(struct http_request *r)
{
	if (r->stream) {
		r->stream_stop(r->stream, "stopping");
	} else if (r->phase == REQUEST_RUNNING && !r->status) {
		if (r->cancel)
			r->cancel(r);
		request_busy(r, "Service unavailable: the server is stopping");
	}
}

/* ---- what handlers ask ---- */

const char *request_header(const struct http_request *r, const char *name)
{
	if (r->remote)
		return strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE) == 0 ? remote_content_type(r) : NULL;
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	}
	return s.len > 0;
}

uint64_t request_timeout_ms(const struct http_request *r)
{
	enum { FALLBACK_S = 5, MAX_S = 600 };
	const struct target_param *param = target_find(&r->target, "timeout");
	uint64_t seconds;

	if (!param || !all_digits(param->value))
		return FALLBACK_S * 1000;
	if (!span_to_uint(param->value, MAX_S, &seconds))
		seconds = MAX_S;
	return MAX(seconds, 1) * 1000;
}

uint64_t request_ttl_ms(const struct http_request *r)
{
	const struct target_param *param = target_find(&r->target, "ttl");
	uint64_t seconds;

	if (!param || !all_digits(param->value))
		return LWM2M_TTL_DEFAULT;
	if (!span_to_uint(param->value, UINT32_MAX, &seconds))
		seconds = UINT32_MAX; /* more than any limit */
	return seconds * 1000;
}

uint16_t request_format_named(const struct http_request *r, const char *parameter)
{
	const struct target_param *param = target_find(&r->target, parameter);
	const struct codec *codec = param ? codec_find_name(param->value) : NULL;

	if (codec)
		return codec->format;
	return FORMAT_NONE;
}

uint16_t request_format(const struct http_request *r)
{
	return request_format_named(r, "format");
}

/* ---- first call: headers are there ---- */

static enum MHD_Result count_host(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	unsigned *count = ctx;

	(void)kind;
	(void)value;
	*count += !strcasecmp(name, MHD_HTTP_HEADER_HOST);
	return MHD_YES;
}

/* What stands in front of us might go by another one than we do (RFC 9112, 3.2). */
static bool check_host(struct http_request *r)
{
	unsigned count = 0;

	(void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_host, &count);
	if (count > 1)
		request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid request: more than one Host header");
	return count <= 1;
}

static bool check_browser(struct http_request *r)
{
	const char *host = request_header(r, MHD_HTTP_HEADER_HOST);
	const char *origin = request_header(r, MHD_HTTP_HEADER_ORIGIN);

	if (r->http->loopback && host && !guard_host_is_local(host)) {
		request_text(r, MHD_HTTP_FORBIDDEN,
			     "Forbidden: Host must be an IP address or localhost while the server listens on "
			     "loopback only");
		return false;
	}
	if (origin && (!host || !guard_origin_is_host(origin, host))) {
		request_text(r, MHD_HTTP_FORBIDDEN,
			     "Forbidden: the request comes from another web site (Origin)");
		return false;
	}
	return true;
}

static bool check_target(struct http_request *r)
{
	int rc = r->raw.data ? target_parse(r->raw, &r->arena, &r->target) : -ENOMEM;

	if (rc == 0)
		return true;
	if (rc == -EINVAL)
		request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid request: malformed request target");
	else if (rc == -E2BIG)
		request_text(r, MHD_HTTP_URI_TOO_LONG,
			     "Invalid request: too many path segments or query parameters");
	else
		request_busy(r, "Service unavailable: out of memory");
	return false;
}

static bool check_route(struct http_request *r, const char *method)
{
	unsigned m = method_parse(method, &r->head);
	char allowed[METHODS_TEXT];

	r->match = route_find(http_routes, http_route_count, (enum http_method)m, &r->target);
	if (r->match.route)
		return true;
	if (!r->match.allowed) {
		request_text(r, MHD_HTTP_NOT_FOUND, "Not found");
		return false;
	}
	request_text(r, MHD_HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
	if (r->response)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_ALLOW,
					methods_format(r->match.allowed, allowed));
	return false;
}

static void reply_too_large(struct http_request *r)
{
	request_text(r, MHD_HTTP_CONTENT_TOO_LARGE, "Invalid request: the body has more than %zu bytes",
		     r->http->config.body_max);
}

static bool check_length(struct http_request *r)
{
	const char *length = request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t bytes;

	if (!length || span_to_uint(span_str(length), r->http->config.body_max, &bytes))
		return true;
	reply_too_large(r);
	return false;
}

static void first_call(struct http_request *r, const char *method)
{
	r->phase = REQUEST_RECEIVING;
	if (r->http->stopping) {
		request_busy(r, "Service unavailable: the server is stopping");
		return;
	}
	if (check_host(r) && check_browser(r) && check_target(r) && check_route(r, method) && access_check(r))
		check_length(r);
}

/* ---- body and last call ---- */

static void take_body(struct http_request *r, struct span data)
{
	struct http *h = r->http;
	size_t before;

	if (r->too_large)
		return;
	if (r->body.len + data.len > h->config.body_max) {
		r->too_large = true;
		return;
	}
	before = r->body.len;
	buffer_bytes(&r->body, data);
	h->bodies += r->body.len - before;
	if (h->bodies > h->config.bodies_max)
		r->body.failed = true;
}

static void run_handler(struct http_request *r)
{
	r->phase = REQUEST_RUNNING;
	if (r->http->stopping)
		request_busy(r, "Service unavailable: the server is stopping");
	else if (r->too_large)
		reply_too_large(r);
	else if (r->body.failed)
		request_busy(r, "Service unavailable: too many large requests at once");
	else if (remote_concerns(r))
		remote_route(r);
	else
		r->match.route->handler(r);
}

static enum MHD_Result queue_response(struct http_request *r)
{
	enum MHD_Result queued = MHD_NO;

	if (r->response) {
		queued = MHD_queue_response(r->connection, r->status, r->response);
		MHD_destroy_response(r->response);
		r->response = NULL;
	}
	r->phase = REQUEST_ANSWERED;
	metrics_count(r->http, r->match.route, r->status);
	log_event(r->http->log, LOG_DEBUG, "http request", "target=%s status=%u", LOG_SPAN(r->raw),
		  r->status);
	return queued;
}

enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *data, size_t *size,
			       void **ctx)
{
	struct http_request *r = *ctx;

	(void)cls;
	(void)connection;
	(void)url;
	(void)version;
	if (!r || r->gone)
		return MHD_NO;
	if (r->phase == REQUEST_NEW) {
		first_call(r, method);
		return r->status ? queue_response(r) : MHD_YES;
	}
	if (*size) {
		take_body(r, span_of(data, *size));
		*size = 0;
		return MHD_YES;
	}
	if (r->phase == REQUEST_RECEIVING)
		run_handler(r);
	if (r->status)
		return queue_response(r);
	request_suspend(r);
	return MHD_YES;
}

void *request_begin(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct http *h = cls;
	struct http_request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->http = h;
	r->connection = connection;
	r->body = buffer_of(h->config.body_max);
	arena_init(&r->arena, REQUEST_ARENA_MAX);
	r->raw = arena_dup(&r->arena, span_str(uri));
	list_append(&h->requests, &r->node);
	return r;
}

void request_completed(void *cls, struct MHD_Connection *connection, void **ctx,
		       enum MHD_RequestTerminationCode why)
{
	struct http_request *r = *ctx;

	(void)cls;
	(void)connection;
	(void)why;
	*ctx = NULL;
	if (r)
		request_free(r);
}

void request_free(struct http_request *r)
{
	request_abandon(r);
	remote_free(r);
	if (r->suspended)
		http_unwatch(r->http, r);
	if (r->response)
		MHD_destroy_response(r->response);
	r->http->bodies -= r->body.len;
	if (r->secret && r->body.data)
		explicit_bzero(r->body.data, r->body.cap);
	buffer_deinit(&r->body);
	arena_deinit(&r->arena);
	list_remove(&r->node);
	free(r);
}
