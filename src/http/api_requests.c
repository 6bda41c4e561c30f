/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Queued requests: those of a device, one by its id, and taking one back. They are read from the store, where
 * any node may; the id begins with the hash of its device, so that no list of all requests is needed to find
 * one.
 */

#include "http/api.h"
#include "http/json.h"
#include "http/remote.h"
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

enum { CANDIDATES_MAX = 4 };

struct listing {
	struct waiter waiter;
	struct buffer text;
	struct json json;
	struct arena arena;
	bool take; /* the request is to be taken back, from where it is */
	bool found;
	uint32_t hash; /* by id: of its device, and which of those that share it is asked */
	unsigned nth;
	uint8_t id_len; /* 0: all of a device */
	uint8_t id[STORE_REQUEST_ID_MAX];
	struct span endpoint; /* in the arena, as those: */
	bool searched;
	size_t candidate_count, candidate;
	struct span candidates[CANDIDATES_MAX]; /* devices that are not here, with this hash */
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
	struct arena arena;
	struct queued_request q;
	struct queued_view view = {.endpoint = l->endpoint,
				   .id = request->id,
				   .state = request->state,
				   .request = &q,
				   .registry = lwm2m_registry(h->server),
				   .now_ms = now_ms,
				   .arena = &arena};

	if (l->id_len > 0 && !span_equal(request->id, span_of(l->id, l->id_len)))
		return;
	if (request->deadline_ms <= now_ms && queued_is_over(request->state))
		return; /* it goes with the next look at the queue */
	if (request->deadline_ms <= now_ms && request->state == QUEUED_WAITING)
		view.state = QUEUED_EXPIRED;
	if (queued_decode(request->body, &q) < 0)
		return;
	l->found = true;
	arena_init(&arena, DECODE_MAX);
	queued_json(&l->json, &view);
	arena_deinit(&arena);
}

static void take_back(struct http_request *r, const struct listing *l);

static void listing_end(struct listing *l, int result)
{
	struct http_request *r = wait_end(&l->waiter);

	if (r && result < 0) {
		request_busy(r, "Service unavailable: the queue cannot be read now");
	} else if (r && l->id_len > 0 && !l->found) {
		no_request(r);
	} else if (r && l->take) {
		take_back(r, l);
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
	l->endpoint = arena_dup(&l->arena, endpoint);
	if (!l->endpoint.data)
		return -ENOMEM;
	return store_request_list(l->waiter.http->store, (struct store_key){STORE_MANAGEMENT, l->endpoint},
				  listed, l);
}

static void on_candidate(void *ctx, int result, const struct store_device *device)
{
	struct listing *l = ctx;

	if (result == STORE_DONE && l->candidate_count < CANDIDATES_MAX) {
		struct span *to = &l->candidates[l->candidate_count];

		*to = arena_dup(&l->arena, device->key.endpoint);
		l->candidate_count += to->data != NULL;
	} else if (result != STORE_DONE && (result < 0 || !list_next_device(l))) {
		listing_end(l, result);
	}
}

/* By id: the next device with its hash, of those here, then of those that the store alone has. False: there
 * is none. */
static bool list_next_device(struct listing *l)
{
	struct http *h = l->waiter.http;
	struct device *d = lwm2m_find_hash(h->server, l->hash, l->nth);

	if (d) {
		l->nth++;
		return list_device(l, device_endpoint(d)) == 0;
	}
	if (!l->searched && h->config.cluster) {
		l->searched = true;
		return store_find_hash(h->store, STORE_MANAGEMENT, l->hash, on_candidate, l) == 0;
	}
	return l->candidate < l->candidate_count && list_device(l, l->candidates[l->candidate++]) == 0;
}

static struct listing *listing_new(struct http_request *r)
{
	struct listing *l = wait_new(r, sizeof(*l));

	if (!l)
		return NULL;
	l->text = buffer_of(LIST_MAX);
	l->json = json_to(&l->text);
	l->json.out = &l->text;
	arena_init(&l->arena, 65536);
	return l;
}

void api_requests_list(struct http_request *r)
{
	struct device *d = api_device(r);
	struct listing *l = d ? listing_new(r) : NULL;

	if (!l)
		return;
	json_open(&l->json, '[');
	if (list_device(l, device_endpoint(d)) != 0)
		listing_end(l, -ENOBUFS);
}

/* Looks for the request that the path names. */
static void find_request(struct http_request *r, bool take)
{
	struct span id = r->target.segments[r->match.path_first];
	struct listing *l;
	uint32_t hash;

	if (!queued_id_hash(id, &hash)) {
		no_request(r);
		return;
	}
	l = listing_new(r);
	if (!l)
		return;
	l->take = take;
	l->hash = hash;
	l->id_len = (uint8_t)id.len;
	memcpy(l->id, id.data, l->id_len);
	if (!list_next_device(l))
		listing_end(l, 0);
}

void api_request_get(struct http_request *r)
{
	find_request(r, false);
}

/* ---- taking back ---- */

static void taken(void *ctx, enum lwm2m_cancelled result)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);
	struct buffer empty = buffer_of(0);

	free(w);
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

static void take_here(struct http_request *r, struct device *d, struct span id)
{
	struct waiter *w = wait_new(r, sizeof(*w));
	int err = w ? lwm2m_queue_cancel(r->http->server, d, id, taken, w) : 0;

	if (err == 0)
		return;
	(void)wait_end(w);
	free(w);
	if (err == -ENOTSUP)
		no_request(r);
	else
		request_busy(r, "Service unavailable: the queue cannot be changed now");
}

/* It is the owner of the device who takes it back. */
static void take_back(struct http_request *r, const struct listing *l)
{
	struct device *d;
	bool routed = r->match.ep.len > 0;

	for (unsigned nth = 0; (d = lwm2m_find_hash(r->http->server, l->hash, nth)); nth++)
		if (span_equal(device_endpoint(d), l->endpoint))
			break;
	if (d) {
		take_here(r, d, span_of(l->id, l->id_len));
		return;
	}
	r->match.ep = arena_dup(&r->arena, l->endpoint);
	if (routed || !remote_may_pass(r) || !r->match.ep.data)
		request_busy(r, "Service unavailable: no node has the device now");
	else
		remote_route(r);
}

void api_request_cancel(struct http_request *r)
{
	find_request(r, true);
}
