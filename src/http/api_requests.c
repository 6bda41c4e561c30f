/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Queued requests: those of a device, one by its id, and taking one back. They are read from the store, where
 * any node may; the id begins with the hash of its device, so that no list of all requests is needed to find
 * one.
 */

#include "http/api.h"
#include "http/json.h"
#include "http/request_json.h"
#include "http/wait.h"

#include <errno.h>

enum { LIST_MAX = 32 * 1024 * 1024, DECODE_MAX = 4 * 1024 * 1024 };

/* {"ep":...,"path":...,"requestId":...,"delayed":true} */
void api_delayed(struct http_request *r, const struct lwm2m_answer *answer)
{
	struct buffer text = buffer_of(65536);
	struct json json = json_to(&text);
	char path[PATH_TEXT];

	json_open(&json, '{');
	json_member_text(&json, "ep", r->match.ep);
	if (r->path.depth > 0)
		json_member_str(&json, "path", path_format(&r->path, path));
	json_member_text(&json, "requestId", answer->request_id);
	json_member_bool(&json, "delayed", true);
	json_member_uint(&json, "expires", answer->expires_ms);
	json_close(&json, '}');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

/* ---- reading ---- */

struct listing {
	struct waiter waiter;
	struct buffer text;
	struct json json;
	struct arena arena;
	size_t found;
	uint32_t hash; /* by id: of its device, and which of those that share it is asked */
	unsigned nth;
	uint8_t id_len; /* 0: all of a device */
	uint8_t id[STORE_REQUEST_ID_MAX];
	size_t endpoint_len;
	uint8_t endpoint[STORE_ENDPOINT_MAX];
};

static void listing_free(struct listing *l)
{
	buffer_deinit(&l->text);
	arena_deinit(&l->arena);
	free(l);
}

static void no_request(struct http_request *r)
{
	request_problem(r, MHD_HTTP_NOT_FOUND, "No such request",
			"No request with this id is queued, or was over lately.");
}

static void list_one(struct listing *l, const struct store_request *request)
{
	const struct http *h = l->waiter.http;
	uint64_t now_ms = h->config.wall_ms();
	struct queued_request q;
	struct queued_view view = {.endpoint = span_of(l->endpoint, l->endpoint_len),
				   .id = request->id,
				   .state = request->state,
				   .request = &q,
				   .registry = lwm2m_registry(h->server),
				   .now_ms = now_ms,
				   .arena = &l->arena};

	if (l->id_len > 0 && !span_equal(request->id, span_of(l->id, l->id_len)))
		return;
	if (request->deadline_ms <= now_ms && queued_is_over(request->state))
		return; /* it goes with the next look at the queue */
	if (request->deadline_ms <= now_ms && request->state == QUEUED_WAITING)
		view.state = QUEUED_EXPIRED;
	if (queued_decode(request->body, &q) < 0)
		return;
	l->found++;
	queued_json(&l->json, &view);
}

static void listing_end(struct listing *l, int result)
{
	struct http_request *r = wait_end(&l->waiter);

	if (r && result < 0) {
		request_busy(r, "Service unavailable: the queue cannot be read now");
	} else if (r && l->id_len > 0 && !l->found) {
		no_request(r);
	} else if (r) {
		if (l->id_len == 0)
			json_close(&l->json, ']');
		request_reply(r, MHD_HTTP_OK, TYPE_JSON, &l->text);
	}
	listing_free(l);
}

static bool list_next_device(struct listing *l);

static void listed(void *ctx, int result, const struct store_request *request)
{
	struct listing *l = ctx;

	if (result == STORE_DONE)
		list_one(l, request);
	else if (result < 0 || l->id_len == 0 || l->found || !l->waiter.request || !list_next_device(l))
		listing_end(l, result);
}

static int list_device(struct listing *l, struct span endpoint)
{
	l->endpoint_len = MIN(endpoint.len, sizeof(l->endpoint));
	memcpy(l->endpoint, endpoint.data, l->endpoint_len);
	return store_request_list(l->waiter.http->store,
				  (struct store_key){STORE_MANAGEMENT, span_of(l->endpoint, l->endpoint_len)},
				  listed, l);
}

/* By id: the next device with its hash. False: there is none. */
static bool list_next_device(struct listing *l)
{
	struct device *d = lwm2m_find_hash(l->waiter.http->server, l->hash, l->nth++);

	return d && list_device(l, device_endpoint(d)) == 0;
}

static struct listing *listing_new(struct http_request *r)
{
	struct listing *l = wait_new(r, sizeof(*l));

	if (!l)
		return NULL;
	l->text = buffer_of(LIST_MAX);
	l->json = json_to(&l->text);
	arena_init(&l->arena, DECODE_MAX);
	return l;
}

void api_requests_list(struct http_request *r)
{
	struct device *d = api_device(r);
	struct listing *l = d ? listing_new(r) : NULL;

	if (!l)
		return;
	l->json.out = &l->text;
	json_open(&l->json, '[');
	if (list_device(l, device_endpoint(d)) != 0)
		listing_end(l, -ENOBUFS);
}

/* The hash in the id that the path names. False: the request is answered. */
static bool named_hash(struct http_request *r, uint32_t *hash)
{
	if (queued_id_hash(r->target.segments[r->match.path_first], hash))
		return true;
	no_request(r);
	return false;
}

void api_request_get(struct http_request *r)
{
	struct listing *l;
	uint32_t hash;
	struct span id = r->target.segments[r->match.path_first];

	if (!named_hash(r, &hash))
		return;
	l = listing_new(r);
	if (!l)
		return;
	l->hash = hash;
	l->id_len = (uint8_t)id.len;
	memcpy(l->id, id.data, l->id_len);
	if (!list_next_device(l))
		listing_end(l, 0);
}

/* ---- taking back ---- */

struct taking {
	struct waiter waiter;
	uint32_t hash;
	unsigned nth;
	uint8_t id_len;
	uint8_t id[STORE_REQUEST_ID_MAX];
};

static lwm2m_cancelled_fn taken;

/* 0: asked; 1: there is no further device; < 0. */
static int take_next(struct taking *t)
{
	struct lwm2m_server *s = t->waiter.http->server;
	struct device *d = lwm2m_find_hash(s, t->hash, t->nth++);

	return d ? lwm2m_queue_cancel(s, d, span_of(t->id, t->id_len), taken, t) : 1;
}

static void taking_end(struct taking *t, enum lwm2m_cancelled result)
{
	struct http_request *r = wait_end(&t->waiter);
	struct buffer empty = buffer_of(0);

	free(t);
	if (!r)
		return;
	switch (result) {
	case LWM2M_CANCEL_DONE:
		request_reply(r, MHD_HTTP_NO_CONTENT, NULL, &empty);
		break;
	case LWM2M_CANCEL_LATE:
		request_problem(
			r, MHD_HTTP_CONFLICT, "Not queued any more",
			"The request was sent to the device already, or is over; GET shows its state.");
		break;
	case LWM2M_CANCEL_ABSENT:
		no_request(r);
		break;
	case LWM2M_CANCEL_FAILED:
		request_busy(r, "Service unavailable: the queue cannot be changed now");
		break;
	}
}

static void taken(void *ctx, enum lwm2m_cancelled result)
{
	struct taking *t = ctx;
	int rc;

	if (result != LWM2M_CANCEL_ABSENT || !t->waiter.request) {
		taking_end(t, result);
		return;
	}
	rc = take_next(t);
	if (rc != 0)
		taking_end(t, rc > 0 ? LWM2M_CANCEL_ABSENT : LWM2M_CANCEL_FAILED);
}

void api_request_cancel(struct http_request *r)
{
	struct span id = r->target.segments[r->match.path_first];
	struct taking *t;
	uint32_t hash;
	int rc;

	if (!named_hash(r, &hash))
		return;
	t = wait_new(r, sizeof(*t));
	if (!t)
		return;
	t->hash = hash;
	t->id_len = (uint8_t)id.len;
	memcpy(t->id, id.data, t->id_len);
	rc = take_next(t);
	if (rc != 0)
		taking_end(t, rc > 0 || rc == -ENOTSUP ? LWM2M_CANCEL_ABSENT : LWM2M_CANCEL_FAILED);
}
