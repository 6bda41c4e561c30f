/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Registrations: all, one, and removing one. The list may hold 100,000 of them: it is never in memory as a
 * whole, but rendered device by device as the client takes it; between two pieces devices may come and go.
 */

#include "http/api.h"
#include "http/registration_json.h"

enum {
	REGISTRATION_TEXT_MAX =
		1024 *
		1024, /* a stored registration has 60,000 bytes at most, in JSON escapes six times that */
	LIST_BLOCK = 32 * 1024,
};

static void client_json(struct json *j, const struct lwm2m_server *server, const struct device *d)
{
	struct registration registration;
	struct registration_view view = {
		.endpoint = device_endpoint(d),
		.registration = &registration,
		.seen_ms = device_seen_ms(d),
		.awake = device_is_awake(server, d),
	};

	device_registration(d, &registration);
	registration_json(j, &view);
}

void api_client_get(struct http_request *r)
{
	struct device *d = api_device(r);
	struct buffer text = buffer_of(REGISTRATION_TEXT_MAX);
	struct json json = json_to(&text);

	if (!d)
		return;
	client_json(&json, r->http->server, d);
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

void api_client_remove(struct http_request *r)
{
	struct device *device = api_device(r);
	struct detached *d = device ? api_detach(r, MHD_HTTP_NO_CONTENT) : NULL;

	if (d && lwm2m_remove(r->http->server, device, api_detached_done, d) != 0)
		api_detached_failed(d);
}

/* ---- the list ---- */

struct list_stream {
	struct http *http;
	struct buffer text; /* rendered and not yet taken */
	size_t taken;
	uint32_t cursor;
	bool started, finished;
	struct json json;
};

/* Renders the next device behind what is left; false: memory is out. */
static bool render_next(struct list_stream *s)
{
	struct device *d;

	if (s->taken == s->text.len)
		s->taken = s->text.len = 0;
	if (!s->started)
		json_open(&s->json, '[');
	s->started = true;
	d = lwm2m_next(s->http->server, &s->cursor);
	if (d) {
		client_json(&s->json, s->http->server, d);
	} else {
		json_close(&s->json, ']');
		s->finished = true;
	}
	return !s->text.failed;
}

static ssize_t list_read(void *ctx, uint64_t offset, char *out, size_t max)
{
	struct list_stream *s = ctx;
	size_t done = 0;

	(void)offset;
	if (s->http->past_deadline)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	while (done < max) {
		struct span rest = span_from(buffer_span(&s->text), s->taken);
		size_t len = MIN(rest.len, max - done);

		if (len) {
			memcpy(out + done, rest.data, len);
			done += len;
			s->taken += len;
		} else if (s->finished) {
			break;
		} else if (!render_next(s)) {
			return MHD_CONTENT_READER_END_WITH_ERROR;
		}
	}
	return done ? (ssize_t)done : MHD_CONTENT_READER_END_OF_STREAM;
}

static void list_free(void *ctx)
{
	struct list_stream *s = ctx;

	buffer_deinit(&s->text);
	free(s);
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
	s->text = buffer_of(REGISTRATION_TEXT_MAX);
	s->json = json_to(&s->text);
	request_stream(r, TYPE_JSON, LIST_BLOCK, false, list_read, s, list_free);
}
