/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "http/http.h"
#include "http/router.h"
#include "lwm2m/server.h"
#include "security/tokens.h"
#include "store/store.h"

#include <microhttpd.h>
#include <uv.h>

/* What the files of this folder share: the listener, and a request on its way. */

struct events;

struct http {
	struct http_config config;
	uv_loop_t *loop;
	struct lwm2m_server *server;
	struct store *store;
	struct log *log;
	http_transport_stats_fn *transport_stats;
	void *transport_ctx;

	struct MHD_Daemon *daemon;
	int listen_fd;
	int watch_fd; /* epoll: sockets of suspended connections, see http.c */
	uint16_t port;
	bool loopback;
	uint64_t started_ms; /* of the loop's clock */

	uv_poll_t daemon_poll, watch_poll;
	uv_timer_t run_timer, heartbeat_timer, stop_timer;
	unsigned handles; /* initialised and not yet closed */

	struct list requests; /* all, from their first byte to their last */
	size_t bodies;	      /* bytes of bodies in memory */
	uint64_t *counts;     /* answers: a row per route (the last: none), a column per status */
	struct events *events;

	struct policies_read *policies_read; /* NULL: the policies are not being read */
	uint64_t policies_next_ms;	     /* when they are read again; of the loop's clock */

	bool stopping;
	bool past_deadline;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* Lets MHD work soon; never at once, so it is safe from any callback. */
void http_kick(struct http *h);
/* To be told (request_gone) when the client of a suspended connection goes away. */
void http_watch(struct http *h, struct http_request *r);
void http_unwatch(struct http *h, struct http_request *r);

enum request_phase {
	REQUEST_NEW,	   /* the request line was there */
	REQUEST_RECEIVING, /* headers are good, the body comes */
	REQUEST_RUNNING,   /* its handler was called */
	REQUEST_ANSWERED,  /* the response is queued */
};

struct http_request {
	struct list node;
	struct http *http;
	struct MHD_Connection *connection;
	enum request_phase phase;
	struct arena arena; /* target, and whatever a handler needs until the answer */
	struct span raw;
	struct target target;
	struct route_match match;
	bool head;
	bool suspended;
	bool gone; /* the client went away */
	bool too_large;
	struct buffer body;

	unsigned status;
	struct MHD_Response *response;
	struct remote *remote; /* it came from another node, see remote.h; then there is no connection */
	/* While it waits for somebody: makes that nobody calls back. Or NULL. */
	void (*cancel)(struct http_request *r);
	/* A stream that is being sent: `stop` lets it end in good order, `detach` takes this request away
	 * from it. */
	void *stream;
	void (*stream_stop)(void *stream, const char *why);
	void (*stream_detach)(void *stream);

	/* A request to a device. */
	uint64_t ticket;
	enum lwm2m_operation operation;
	struct path path;
	const struct path *paths; /* composites: in the arena */
	size_t path_count;
	struct detached *detached;
	struct model_change *change; /* of the definitions, see api_registry.c */
	struct waiter *waiter;	     /* see wait.h */
	char token_id[TOKEN_ID + 1]; /* of the token it came with; "": none */
	bool secret;		     /* its body has a key: to be wiped */
};

/* ---- answers: exactly one per request, from the handler or later ---- */

/* Takes what `body` owns. `type` is a literal; NULL with an empty body. */
void request_reply(struct http_request *r, unsigned status, const char *type, struct buffer *body);
void request_text(struct http_request *r, unsigned status, const char *format, ...) PRINTF_LIKE(3, 4);
/* 503 with Retry-After. */
void request_busy(struct http_request *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* A body that is read as the client takes it. `ctx` is freed with `free_ctx`, also if this fails. */
void request_stream(struct http_request *r, const char *type, size_t block, bool until_close,
		    MHD_ContentReaderCallback read, void *ctx, MHD_ContentReaderFreeCallback free_ctx);

/* On routes of our own: application/problem+json (RFC 9457). `detail` may hold what came in. */
void request_problem(struct http_request *r, unsigned status, const char *title, const char *detail);

extern const char TYPE_JSON[], TYPE_TEXT[];

const char *request_header(const struct http_request *r, const char *name);
/* Seconds of the query parameter `timeout`, as milliseconds: 5 if there is none, 1 to 600. */
uint64_t request_timeout_ms(const struct http_request *r);
/* Seconds of the query parameter `ttl`, as milliseconds; LWM2M_TTL_DEFAULT if there is none, or no number. */
uint64_t request_ttl_ms(const struct http_request *r);
/* Of the query parameter `format`; FORMAT_NONE if there is none, or one that we do not know. */
uint16_t request_format(const struct http_request *r);
uint16_t request_format_named(const struct http_request *r, const char *parameter);

/* For the content reader of a stream, which then returns 0: there is nothing to send now. */
void request_suspend(struct http_request *r);
void request_resume(struct http_request *r);
/* The client of a suspended request is gone. */
void request_gone(struct http_request *r);
/* The server stops: what waits is answered 503, streams end. */
void request_stop(struct http_request *r);

/* ---- callbacks of MHD ---- */

void *request_begin(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *data, size_t *size,
			       void **ctx);
void request_completed(void *cls, struct MHD_Connection *connection, void **ctx,
		       enum MHD_RequestTerminationCode why);
/* Lets go of a request that MHD knows no more of. */
void request_free(struct http_request *r);

/* ---- routes.c ---- */

extern const struct route http_routes[];
extern const size_t http_route_count;

/* ---- counters by route and status, see metrics.c ---- */

size_t metrics_status_count(void);
void metrics_count(struct http *h, const struct route *route, unsigned status);
