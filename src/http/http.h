/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/log.h"
#include "dtls/endpoint.h"
#include "store/store.h"

/*
 * The northbound side: REST/JSON and server-sent events over HTTP/1.1 (README.md has the list of routes).
 * Runs on the daemon's loop, on its thread, and never blocks it.
 */

struct uv_loop_s;
struct lwm2m_server;
struct store;
struct http;
struct credentials;
struct failures;
struct tokens;

/* One southbound endpoint, as GET /api/server/endpoint tells it. */
struct http_southbound {
	const char *uri;	 /* "coap://0.0.0.0:5683" */
	const char *description; /* "CoAP over UDP" */
};

/* What the sockets of the devices' side count; the daemon adds its listeners up. */
struct http_udp_stats {
	uint64_t received, received_bytes, truncated, receive_errors;
	uint64_t sent, sent_bytes, send_dropped;
};

/* Where the requests for a device are to be executed: see cluster/owners.h. */
enum http_where { HTTP_HERE, HTTP_AT, HTTP_NOWHERE, HTTP_AWAY };
typedef void http_where_fn(void *arg, enum http_where where, uint32_t node);
/* `result` < 0: no answer; -ENOTCONN: it was not sent at all. */
typedef void http_passed_fn(void *arg, int result, struct span answer);

/* A node as its lease tells it. */
struct http_node {
	uint32_t id;
	uint64_t incarnation;
	bool leaving;
	uint64_t left_ms;	   /* of its lease, by the store's clock */
	unsigned slots;		   /* of connection ids, that are its own */
	struct address link, http; /* port 0: not told */
	const char *version;	   /* borrowed for the call */
};

/* The other nodes, if there are any. `done` is called once, later, unless the call fails. */
struct http_cluster {
	void *ctx;
	int (*where)(void *ctx, struct span endpoint, http_where_fn *done, void *arg);
	/* To the http_execute of that node. */
	int (*pass)(void *ctx, uint32_t node, struct span request, uint64_t timeout_ms, http_passed_fn *done,
		    void *arg);
	/* The nodes that have a lease, by their ids; false behind the last. */
	bool (*node)(void *ctx, size_t index, struct http_node *out);
	/* The store does not answer, or has not for long enough to tell who is dead. */
	bool (*settling)(void *ctx);
	/* That node gives its devices away, and goes on as one that leaves. 0: it is told.
	 * -ENOENT: there is no such node; -ENOTCONN and others: it cannot be reached. */
	int (*drain)(void *ctx, uint32_t node);
	/* A document was changed of which other nodes have something in memory. */
	void (*changed)(void *ctx, enum store_document kind, struct span name);
};

/* Whether callers need a token. */
enum http_require_token {
	HTTP_TOKEN_AUTO, /* if others can reach the listener */
	HTTP_TOKEN_YES,
	HTTP_TOKEN_NO,
};

struct http_config {
	struct address listen;	    /* port 0: any free one */
	bool share_port;	    /* with others that say so, too; the kernel spreads connections */
	bool insecure_allow_remote; /* others may reach it without HTTPS and without tokens */
	enum http_require_token require_token;
	/* PEM with a NUL behind it, both or none: HTTPS, TLS 1.2 and above. Borrowed until closed. */
	const char *tls_certificate, *tls_key;
	const char *version;   /* of the program, shown to callers */
	uint64_t heartbeat_ms; /* of event streams: 10000 */
	uint64_t stall_ms; /* an event stream that takes nothing for so long, though there is something, is
			      ended: 30000 */
	uint64_t stop_ms;  /* http_stop waits no longer for what runs: 3000 */
	unsigned idle_s;   /* a connection without progress is closed: 60. Running requests do not count */
	size_t body_max;   /* of one request: 1 MiB */
	size_t bodies_max; /* of all requests together: 64 MiB */
	unsigned connections_max;  /* 1024 */
	unsigned streams_max;	   /* event streams: 256, never more than half of the connections */
	size_t event_backlog_max;  /* bytes that wait for one event stream: 1 MiB */
	uint64_t (*wall_ms)(void); /* Unix time, replaceable in tests */
	struct registry *registry; /* of the server: models are put into it; borrowed until closed */
	const struct http_southbound *southbound; /* borrowed until closed */
	size_t southbound_count;
	/* Borrowed until closed. NULL: their routes are not there, and no token is needed. */
	struct credentials *credentials;
	struct failures *failures;
	struct tokens *tokens;
	const struct http_cluster *cluster; /* NULL: all devices are here. Borrowed until closed */
	uint32_t node;			    /* id of this one: 1 */
	uint64_t awake_ms; /* how long a device in queue mode is awake; for those that are not here: 93000 */
	/* What devices see of this server, as DER; both empty: no DTLS with public keys. */
	struct span public_key;	 /* SubjectPublicKeyInfo */
	struct span certificate; /* the end entity's */
};
void http_config_init(struct http_config *c);
/* Whether callers need a token. */
bool http_config_needs_token(const struct http_config *c);
/* What is wrong with a listener that others can reach, in words behind its address; NULL: nothing. */
const char *http_config_refusal(const struct http_config *c);

/* What the devices' side counts below CoAP, for /metrics. */
struct http_transport_stats {
	struct http_udp_stats udp;
	struct dtls_endpoint_stats dtls;
};
/* Fills in *out, which is cleared. */
typedef void http_transport_stats_fn(void *ctx, struct http_transport_stats *out);

/*
 * Listens and serves. All pointers but `config` itself are borrowed until `closed` of http_stop is called.
 * Takes the store's one subscription to events (store_on_events). `transport_stats` may be NULL. -EPERM:
 * http_config_refusal; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, ...; -ENOMEM, also if certificate and key do not
 * go together (certificate_pair_check).
 */
int http_new(const struct http_config *config, struct uv_loop_s *loop, struct lwm2m_server *server,
	     struct store *store, struct log *log, http_transport_stats_fn *transport_stats,
	     void *transport_ctx, struct http **out) NODISCARD;
/*
 * Accepts nothing more; event streams end with a word on where to resume, running requests are answered 503.
 * `closed` is called at last, on the loop; `h` is gone then.
 */
void http_stop(struct http *h, void (*closed)(void *ctx), void *ctx);
uint16_t http_port(const struct http *h);
/* A request that another node passed on. `done` once, perhaps within the call; with nothing if it cannot be
 * answered. */
typedef void http_executed_fn(void *arg, struct span answer);
void http_execute(struct http *h, struct span request, http_executed_fn *done, void *arg);

/*
 * A request for one device that came by another way than HTTP, in the words of the interface: executed like
 * those, at the node that has the device. Borrowed for the call.
 */
struct http_submission {
	const char *method;	/* "GET" */
	struct span target;	/* "/api/clients/dev-1/3/0?timeout=5" */
	struct span type, body; /* Content-Type, at most 127 bytes */
	struct span token;	/* empty: none */
	bool needs_token;
	bool repeatable; /* it may be executed again if the node that had it died (architecture, rule 10) */
};
struct http_reply {
	unsigned status;
	struct span body; /* JSON if the status is 200, else words; or empty */
};
typedef void http_replied_fn(void *arg, const struct http_reply *reply);
/* `done` once, perhaps within the call; at the latest in http_stop (503). */
void http_submit(struct http *h, const struct http_submission *s, http_replied_fn *done, void *arg);

/* Tells the open event streams of a device that could not connect (AUTH_FAILURE). It is about now: not in the
 * log, and whoever comes later looks at /api/failures. */
struct failure_row;
void http_auth_failure(struct http *h, const struct failure_row *row);
