/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Any node answers for any device.
 *
 * The hard idea: what is passed on is the HTTP request, not the operation, so that there is one way in which
 * a request is understood, refused and answered, and nothing of it is written twice. If the node that has it
 * dies, whoever asked is told: a request that only reads is tried again where the device is by then; of one
 * that acts nobody knows whether it did (architecture, rule 10).
 *
 * What came by another way than HTTP (http_submit) is a request without a connection, as is one of another
 * node.
 */

#include "http/remote.h"

#include "http/access.h"
#include "http/api.h"
#include "http/wait.h"

#include <errno.h>

enum {
	WIRE_VERSION = 1,
	MARGIN_MS = 5000, /* beyond what the device has */
	RETRY_MS = 500,
	TYPE_MAX = 128,
	ANSWER_MAX = 17 * 1024 * 1024,
};

/* What a passed-on request is answered through, instead of a connection. */
struct remote {
	http_executed_fn *done;	  /* another node */
	http_replied_fn *replied; /* or somebody of this one: then it may be passed on */
	void *arg;
	bool repeatable;
	bool answered;
	char type[TYPE_MAX]; /* Content-Type of its body */
};

/* ---- the node that was asked ---- */

struct route_wait {
	struct waiter waiter;
	uint64_t deadline_ms; /* of the loop's clock */
};

bool remote_may_pass(const struct http_request *r)
{
	return r->http->config.cluster && (!r->remote || r->remote->replied);
}

bool remote_concerns(const struct http_request *r)
{
	static const char devices[] = "/api/clients/{ep}", specs[] = "/api/objectspecs/{ep}";
	const char *pattern = r->match.route->pattern;

	if (!remote_may_pass(r) || r->match.route->trap)
		return false;
	if (r->match.route->handler == api_owner) /* any node reads it from the store */
		return false;
	if (strncmp(pattern, devices, sizeof(devices) - 1) != 0 &&
	    strncmp(pattern, specs, sizeof(specs) - 1) != 0)
		return false;
	return !lwm2m_find(r->http->server, r->match.ep);
}

static void span32(struct buffer *out, struct span s)
{
	buffer_uint(out, s.len, 4);
	buffer_bytes(out, s);
}

static struct span read_span32(struct reader *r)
{
	return reader_bytes(r, reader_u32(r));
}

static void encode_request(const struct http_request *r, struct buffer *out)
{
	const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

	buffer_u8(out, WIRE_VERSION);
	buffer_u8(out, (uint8_t)r->match.route->method);
	span32(out, span_str(type ? type : ""));
	span32(out, r->raw);
	span32(out, buffer_span(&r->body));
}

static void reply_remote_answer(struct http_request *r, struct span answer)
{
	struct reader in = reader_of(answer);
	bool readable = reader_u8(&in) >= WIRE_VERSION;
	unsigned status = reader_u16(&in);
	bool retry = reader_u8(&in) != 0;
	struct span type = read_span32(&in), body = read_span32(&in);
	struct buffer text = buffer_of(ANSWER_MAX);
	char *kept = in.failed ? NULL : arena_alloc(&r->arena, type.len + 1);

	buffer_bytes(&text, body);
	if (!readable || !kept || text.failed || status < 200 || status > 599) {
		buffer_deinit(&text);
		request_text(
			r, MHD_HTTP_BAD_GATEWAY,
			"Unexpected exception: the node of the device answered what this one cannot read");
		return;
	}
	if (type.len)
		memcpy(kept, type.data, type.len);
	kept[type.len] = 0;
	request_reply(r, status, type.len ? kept : NULL, &text);
	if (retry && r->response)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

static void locate(struct http_request *r, uint64_t deadline_ms);

struct retry {
	uv_timer_t timer;
	struct route_wait *wait;
};

static void retry_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_retry(uv_timer_t *timer)
{
	struct retry *again = timer->data;
	struct route_wait *w = again->wait;
	struct http_request *r = wait_end(&w->waiter);
	uint64_t deadline_ms = w->deadline_ms;

	uv_close((uv_handle_t *)timer, retry_closed);
	free(w);
	if (r)
		locate(r, deadline_ms);
}

/* Once more, in a moment: by then the device may be somewhere. False: there is no time for it. */
static bool try_later(struct http_request *r, uint64_t deadline_ms)
{
	struct retry *again;
	struct route_wait *w;

	if (uv_now(r->http->loop) + RETRY_MS >= deadline_ms)
		return false;
	again = calloc(1, sizeof(*again));
	if (!again)
		return false;
	w = wait_new(r, sizeof(*w));
	if (!w) {
		free(again);
		return true; /* it is answered */
	}
	w->deadline_ms = deadline_ms;
	again->wait = w;
	again->timer.data = again;
	uv_timer_init(r->http->loop, &again->timer);
	uv_timer_start(&again->timer, on_retry, RETRY_MS, 0);
	return true;
}

static void on_passed(void *arg, int result, struct span answer)
{
	struct route_wait *w = arg;
	uint64_t deadline_ms = w->deadline_ms;
	struct http_request *r = wait_end(&w->waiter);
	bool unsent = result == -ENOTCONN, again;

	free(w);
	if (!r)
		return;
	again = result != -EMSGSIZE &&
		(unsent || r->match.route->method == HTTP_GET || (r->remote && r->remote->repeatable));
	if (result >= 0)
		reply_remote_answer(r, answer);
	else if (again && try_later(r, deadline_ms))
		return;
	else if (unsent)
		request_busy(r, "Service unavailable: the node of the device cannot be reached");
	else if (result == -EMSGSIZE)
		request_text(r, MHD_HTTP_INTERNAL_SERVER_ERROR,
			     "Unexpected exception: the answer is too large to come from another node");
	else
		request_text(r, MHD_HTTP_GATEWAY_TIMEOUT,
			     "Request timeout: outcome unknown, the node that had the request died");
}

static void pass(struct http_request *r, uint32_t node, uint64_t deadline_ms)
{
	const struct http_cluster *cluster = r->http->config.cluster;
	_cleanup_buffer_ struct buffer body = buffer_of(r->http->config.body_max + 65536);
	uint64_t now = uv_now(r->http->loop);
	struct route_wait *w = wait_new(r, sizeof(*w));

	if (!w)
		return;
	w->deadline_ms = deadline_ms;
	encode_request(r, &body);
	if (!body.failed && now < deadline_ms &&
	    cluster->pass(cluster->ctx, node, buffer_span(&body), deadline_ms - now, on_passed, w) == 0)
		return;
	(void)wait_end(&w->waiter);
	free(w);
	request_busy(r, "Service unavailable: too much is on its way to the node of the device");
}

static void on_located(void *arg, enum http_where where, uint32_t node)
{
	struct route_wait *w = arg;
	uint64_t deadline_ms = w->deadline_ms;
	struct http_request *r = wait_end(&w->waiter);

	free(w);
	if (!r)
		return;
	switch (where) {
	case HTTP_HERE:
	case HTTP_NOWHERE:
		r->match.route->handler(r);
		break;
	case HTTP_AT:
		pass(r, node, deadline_ms);
		break;
	case HTTP_AWAY:
		if (!try_later(r, deadline_ms))
			request_busy(r, "Service unavailable: the store does not say where the device is");
		break;
	}
}

static void locate(struct http_request *r, uint64_t deadline_ms)
{
	const struct http_cluster *cluster = r->http->config.cluster;
	struct route_wait *w = wait_new(r, sizeof(*w));

	if (!w)
		return;
	w->deadline_ms = deadline_ms;
	if (cluster->where(cluster->ctx, r->match.ep, on_located, w) == 0)
		return;
	(void)wait_end(&w->waiter);
	free(w);
	request_busy(r, "Service unavailable: too many requests look for their devices");
}

void remote_route(struct http_request *r)
{
	locate(r, uv_now(r->http->loop) + request_timeout_ms(r) + MARGIN_MS);
}

/* ---- the node that has the device ---- */

const char *remote_content_type(const struct http_request *r)
{
	return r->remote->type[0] ? r->remote->type : NULL;
}

void remote_reply(struct http_request *r, unsigned status, const char *type, struct span body, bool retry)
{
	_cleanup_buffer_ struct buffer out = buffer_of(ANSWER_MAX + 4096);

	assert(!r->remote->answered);
	r->remote->answered = true;
	r->cancel = NULL;
	r->status = status;
	http_kick(r->http);
	if (r->remote->replied) {
		r->remote->replied(r->remote->arg, &(struct http_reply){status, body});
		return;
	}
	buffer_u8(&out, WIRE_VERSION);
	buffer_uint(&out, status, 2);
	buffer_u8(&out, retry);
	span32(&out, span_str(type ? type : ""));
	span32(&out, body);
	r->remote->done(r->remote->arg, buffer_span(&out));
}

void remote_free(struct http_request *r)
{
	if (r->remote && !r->remote->answered && r->remote->replied)
		r->remote->replied(r->remote->arg,
				   &(struct http_reply){MHD_HTTP_SERVICE_UNAVAILABLE, {NULL, 0}});
	else if (r->remote && !r->remote->answered)
		r->remote->done(r->remote->arg, span_of(NULL, 0));
	free(r->remote);
	r->remote = NULL;
}

void remote_sweep(struct http *h)
{
	list_for_each_safe (node, &h->requests) {
		struct http_request *r = container_of(node, struct http_request, node);

		if (r->remote && r->remote->answered)
			request_free(r);
	}
}

static bool decode_request(struct http_request *r, struct span body, uint8_t *method)
{
	struct reader in = reader_of(body);
	bool readable = reader_u8(&in) >= WIRE_VERSION;
	struct span type, target, content;

	*method = reader_u8(&in);
	type = read_span32(&in);
	target = read_span32(&in);
	content = read_span32(&in);
	if (!readable || in.failed || type.len >= TYPE_MAX)
		return false;
	if (type.len)
		memcpy(r->remote->type, type.data, type.len);
	r->raw = arena_dup(&r->arena, target);
	buffer_bytes(&r->body, content);
	r->http->bodies += r->body.len;
	return r->raw.data && !r->body.failed && target_parse(r->raw, &r->arena, &r->target) == 0;
}

void http_execute(struct http *h, struct span request, http_executed_fn *done, void *arg)
{
	struct remote *remote = calloc(1, sizeof(*remote));
	struct http_request *r = remote ? request_begin(h, "", NULL) : NULL;
	uint8_t method;

	if (!r) {
		free(remote);
		done(arg, span_of(NULL, 0));
		return;
	}
	*remote = (struct remote){.done = done, .arg = arg};
	r->remote = remote;
	r->phase = REQUEST_RUNNING;
	if (!decode_request(r, request, &method)) {
		request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid request: it came from another node in pieces");
		return;
	}
	r->match = route_find(http_routes, http_route_count, (enum http_method)method, &r->target);
	if (h->stopping)
		request_busy(r, "Service unavailable: the server is stopping");
	else if (!r->match.route)
		request_text(r, MHD_HTTP_NOT_FOUND, "Not found");
	else
		r->match.route->handler(r);
}

/* ---- requests that came by another way ---- */

/* False: it is answered. Only routes of one device: no other has an answer that is not streamed for sure. */
static bool take_submission(struct http_request *r, const struct http_submission *s)
{
	static const char devices[] = "/api/clients/{ep}";
	struct buffer *body = &r->body;

	r->raw = arena_dup(&r->arena, s->target);
	buffer_bytes(body, s->body);
	r->http->bodies += body->len;
	if (s->type.len)
		memcpy(r->remote->type, s->type.data, s->type.len);
	if (r->http->stopping || !r->raw.data || body->failed || r->http->bodies > r->http->config.bodies_max)
		request_busy(r, "Service unavailable: %s",
			     r->http->stopping ? "the server is stopping"
					       : "too many large requests at once");
	else if (target_parse(r->raw, &r->arena, &r->target) < 0)
		request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid request: malformed request target");
	else
		r->match = route_find(http_routes, http_route_count,
				      (enum http_method)method_parse(s->method, &r->head), &r->target);
	if (!r->status &&
	    (!r->match.route || strncmp(r->match.route->pattern, devices, sizeof(devices) - 1) != 0))
		request_text(r, MHD_HTTP_NOT_FOUND, "Not found");
	return !r->status && access_check_token(r, s->token, s->needs_token);
}

void http_submit(struct http *h, const struct http_submission *s, http_replied_fn *done, void *arg)
{
	struct remote *remote = s->type.len < TYPE_MAX ? calloc(1, sizeof(*remote)) : NULL;
	struct http_request *r = remote ? request_begin(h, "", NULL) : NULL;

	if (!r) {
		free(remote);
		done(arg, &(struct http_reply){MHD_HTTP_SERVICE_UNAVAILABLE, {NULL, 0}});
		return;
	}
	*remote = (struct remote){.replied = done, .arg = arg, .repeatable = s->repeatable};
	r->remote = remote;
	r->phase = REQUEST_RUNNING;
	if (!take_submission(r, s))
		return;
	if (remote_concerns(r))
		remote_route(r);
	else
		r->match.route->handler(r);
}
