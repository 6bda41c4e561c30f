/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What the server says of itself: health, readiness, a page for people, and where devices reach it.
 *
 * Ready stays true while the store is only slow or away (architecture, rule 8): if all nodes became unready
 * at once, a balancer would remove them all. A failed sync is different: this process no longer knows what
 * its disk holds.
 */

#include "http/api.h"
#include "http/events.h"
#include "http/json.h"

#include <inttypes.h>

enum { PAGE_MAX = 64 * 1024 };

void status_health(struct http_request *r)
{
	request_text(r, MHD_HTTP_OK, "ok");
}

void status_ready(struct http_request *r)
{
	const char *why = NULL;

	if (store_healthy(r->http->store, &why))
		request_text(r, MHD_HTTP_OK, "ready");
	else
		request_busy(r, "not ready: %s", why ? why : "the store is not healthy");
}

static const char page_head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>shoal</title>\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<style>body{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}"
	"th{text-align:left;font-weight:normal;padding-right:2em}</style>\n"
	"</head><body>\n<h1>shoal</h1>\n<p>LwM2M device management server.</p>\n<table>\n";
static const char page_tail[] =
	"</table>\n<ul>\n"
	"<li><a href=\"/api/clients\">/api/clients</a>: registered devices (JSON)</li>\n"
	"<li><a href=\"/api/server/endpoint\">/api/server/endpoint</a>: where devices reach this server "
	"(JSON)</li>\n"
	"<li><a href=\"/api/openapi.json\">/api/openapi.json</a>: the interface, described for programs "
	"(OpenAPI)</li>\n"
	"<li>/api/event: server-sent events (Accept: text/event-stream)</li>\n"
	"<li><a href=\"/metrics\">/metrics</a>: figures for Prometheus</li>\n"
	"</ul>\n<p>The web interface is not part of this version yet.</p>\n</body></html>\n";

static void row(struct buffer *page, const char *name, uint64_t value)
{
	buffer_printf(page, "<tr><th>%s</th><td>%" PRIu64 "</td></tr>\n", name, value);
}

void status_page(struct http_request *r)
{
	struct http *h = r->http;
	struct buffer page = buffer_of(PAGE_MAX);
	struct events_stats events;
	struct store_stats store;
	struct lwm2m_stats lwm2m;

	events_stats(h->events, &events);
	store_stats(h->store, &store);
	lwm2m_stats(h->server, &lwm2m);
	buffer_str(&page, page_head);
	buffer_printf(&page, "<tr><th>Version</th><td>%s</td></tr>\n", h->config.version);
	row(&page, "Registered devices", lwm2m_device_count(h->server));
	row(&page, "Observations", lwm2m.observations);
	row(&page, "Newest event", store.journal_last);
	row(&page, "Oldest event kept", store.journal_first);
	row(&page, "Event streams", events.streams);
	row(&page, "Seconds since start", (uv_now(h->loop) - h->started_ms) / 1000);
	buffer_str(&page, page_tail);
	request_reply(r, MHD_HTTP_OK, "text/html; charset=utf-8", &page);
	if (r->response)
		MHD_add_response_header(
			r->response, "Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
}

/* ---- GET /api/server/endpoint ---- */

/* "coap://host:port" or "coap://[v6]:port", taken apart. */
struct uri_parts {
	struct span scheme, host, port;
};

static bool split_uri(const char *uri, struct uri_parts *out)
{
	const char *host = strstr(uri, "://");
	const char *port = strrchr(uri, ':');

	if (!host || port <= host)
		return false;
	out->scheme = span_of(uri, (size_t)(host - uri));
	host += strlen("://");
	out->host = span_of(host, (size_t)(port - host));
	out->port = span_str(port + 1);
	return true;
}

static void endpoint_json(struct json *j, const struct http_southbound *endpoint)
{
	struct uri_parts parts;
	uint64_t port;

	json_open(j, '{');
	json_key(j, "uri");
	json_open(j, '{');
	json_member_str(j, "full", endpoint->uri);
	if (split_uri(endpoint->uri, &parts) && span_to_uint(parts.port, UINT16_MAX, &port)) {
		json_member_text(j, "scheme", parts.scheme);
		json_member_text(j, "host", parts.host);
		json_member_uint(j, "port", port);
	}
	json_close(j, '}');
	json_member_str(j, "description", endpoint->description ? endpoint->description : "");
	json_close(j, '}');
}

void api_server_endpoint(struct http_request *r)
{
	struct buffer text = buffer_of(PAGE_MAX);
	struct json json = json_to(&text);

	json_open(&json, '[');
	for (size_t i = 0; i < r->http->config.southbound_count; i++)
		endpoint_json(&json, &r->http->config.southbound[i]);
	json_close(&json, ']');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}
