/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * All registrations. There may be 100,000 of them: the list is never in memory as a whole, but rendered piece
 * by piece as the client takes it; between two pieces devices may come and go.
 *
 * The devices of a cluster are in the memory of many nodes, and all of them in the store, so there the list
 * is made from the store, page by page: what is shown is what is stored. The hard idea: a page that is under
 * way cannot be called off and may outlive its list. The first one is waited for before the answer begins, so
 * that a store that is away is answered by a status; if a later one fails, the answer ends in the middle, as
 * its client can tell (its last chunk is missing).
 */

#include "http/api.h"
#include "http/registration_json.h"
#include "http/wait.h"

enum {
	LIST_BLOCK = 32 * 1024,
	PAGE_DEVICES = 64,
	PAGE_TEXT_MAX = 64 * 1024 * 1024, /* a page may have more devices than it was asked for */
};

struct page;

struct list_stream {
	struct http *http;
	struct buffer text; /* rendered and not yet taken */
	size_t taken;
	uint32_t cursor;
	bool finished;
	struct json json;

	/* From the store. */
	bool stored;
	struct http_request *request; /* NULL: its client is gone, or the answer has not begun */
	struct page *page;	      /* that is under way */
	uint64_t next;
	bool failed;
};

struct page {
	struct waiter waiter;	    /* the first one: its request waits for it */
	struct list_stream *stream; /* NULL: nobody wants it any more */
};

/* Renders the next device behind what is left. */
static void render_next(struct list_stream *s)
{
	struct device *d = lwm2m_next(s->http->server, &s->cursor);

	if (d) {
		client_json(&s->json, s->http->server, d);
	} else {
		json_close(&s->json, ']');
		s->finished = true;
	}
}

/* ---- from the store ---- */

static void stored_json(struct list_stream *s, const struct store_device *stored)
{
	const struct device *here = lwm2m_find(s->http->server, stored->key.endpoint);
	struct registration registration;
	struct registration_view view = {
		.endpoint = stored->key.endpoint,
		.registration = &registration,
		.seen_ms = stored->hot.seen_ms,
		.awake = s->http->config.wall_ms() < stored->hot.seen_ms + s->http->config.awake_ms,
	};

	if (registration_decode(stored->record, &registration) < 0 || !registration.present)
		return;
	if (here)
		view.awake = device_is_awake(s->http->server, here);
	registration_json(&s->json, &view);
}

static void list_free(void *ctx)
{
	struct list_stream *s = ctx;

	if (s->page)
		s->page->stream = NULL;
	if (s->request)
		s->request->stream = NULL;
	buffer_deinit(&s->text);
	free(s);
}

static void begin_answer(struct page *page, struct list_stream *s);

static void on_walked(void *ctx, int result, const struct store_device *device, uint64_t next)
{
	struct page *page = ctx;
	struct list_stream *s = page->stream;

	if (result == STORE_DONE) {
		if (s)
			stored_json(s, device);
		return;
	}
	if (s) {
		s->page = NULL;
		s->next = next;
		s->failed = result < 0 || s->text.failed;
		s->finished = s->failed || next == 0;
		if (s->finished)
			json_close(&s->json, ']');
	}
	if (s && page->waiter.http)
		begin_answer(page, s);
	else if (s && s->request)
		request_resume(s->request);
	free(page);
}

/* False: it cannot even be asked. */
static bool ask_page(struct list_stream *s, struct page *page)
{
	if (!page)
		return false;
	page->stream = s;
	s->page = page;
	if (store_walk(s->http->store, STORE_MANAGEMENT, s->next, PAGE_DEVICES, on_walked, page) == 0)
		return true;
	s->page = NULL;
	return false;
}

static ssize_t wait_for_page(struct list_stream *s)
{
	struct page *page;

	if (!s->page) {
		page = calloc(1, sizeof(*page));
		if (!ask_page(s, page)) {
			free(page);
			return MHD_CONTENT_READER_END_WITH_ERROR;
		}
	}
	request_suspend(s->request);
	return 0;
}

/* ---- the answer ---- */

static size_t take(struct list_stream *s, char *out, size_t max)
{
	struct span rest = span_from(buffer_span(&s->text), s->taken);
	size_t len = MIN(rest.len, max);

	if (len)
		memcpy(out, rest.data, len);
	s->taken += len;
	if (s->taken == s->text.len)
		s->taken = s->text.len = 0;
	return len;
}

static ssize_t list_read(void *ctx, uint64_t offset, char *out, size_t max)
{
	struct list_stream *s = ctx;
	size_t done = 0;

	(void)offset;
	if (s->http->past_deadline || s->failed || (s->stored && !s->request))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	while (done < max) {
		size_t len = take(s, out + done, max - done);

		done += len;
		if (len == 0 && (s->finished || s->stored))
			break;
		if (len == 0)
			render_next(s);
		if (s->text.failed)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (done)
		return (ssize_t)done;
	return s->finished ? MHD_CONTENT_READER_END_OF_STREAM : wait_for_page(s);
}

/* A list that goes on goes on to its end, unless that takes too long. */
static void list_stop(void *ctx, const char *why)
{
	(void)ctx;
	(void)why;
}

static void list_detach(void *ctx)
{
	((struct list_stream *)ctx)->request = NULL;
}

static void begin_answer(struct page *page, struct list_stream *s)
{
	struct http_request *r = wait_end(&page->waiter);

	if (r && !s->failed) {
		s->request = r;
		r->stream = s;
		r->stream_stop = list_stop;
		r->stream_detach = list_detach;
		request_stream(r, TYPE_JSON, LIST_BLOCK, false, list_read, s, list_free);
		return;
	}
	list_free(s);
	if (r)
		request_busy(r, "Service unavailable: the store does not say which devices there are");
}

static void list_stored(struct http_request *r, struct list_stream *s)
{
	struct page *page = wait_new(r, sizeof(*page));

	s->stored = true;
	if (page && ask_page(s, page))
		return;
	list_free(s);
	if (!page)
		return; /* it is answered */
	(void)wait_end(&page->waiter);
	free(page);
	request_busy(r, "Service unavailable: the store cannot be asked for the devices");
}

void api_clients_list(struct http_request *r)
{
	struct list_stream *s;

	if (r->target.trailing_slash) {
		api_invalid_path(r);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		request_busy(r, "Service unavailable: out of memory");
		return;
	}
	s->http = r->http;
	s->text = buffer_of(r->http->config.cluster ? PAGE_TEXT_MAX : REGISTRATION_TEXT_MAX);
	s->json = json_to(&s->text);
	json_open(&s->json, '[');
	if (r->http->config.cluster)
		list_stored(r, s);
	else
		request_stream(r, TYPE_JSON, LIST_BLOCK, false, list_read, s, list_free);
}
