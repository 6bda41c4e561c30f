/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "daemon/secure.h"
#include "daemon/settings.h"
#include "daemon/supervisor.h"
#include "dtls/vault.h"
#include "http/http.h"
#include "lwm2m/server.h"

#include <uv.h>

/* A node among others: the management server and the DTLS endpoint, wired to leases, owners and links. */

struct cluster;

/* All borrowed until cluster_free. */
struct cluster_parts {
	const struct daemon_settings *settings;
	uv_loop_t *loop;
	struct timers *timers;
	struct random *random;
	struct log *log;
	struct store *store;
	const struct vault *vault;
	const struct shared *shared; /* ports with other nodes of this machine; NULL: none */
	unsigned plain_count;	     /* sockets from this one on are for DTLS */
	void *ctx;
	/* From one of our own sockets. */
	void (*emit)(void *ctx, const struct address *to, struct span datagram);
	/* A forwarded datagram for one of our devices, as if it had come to the socket `from->listener`. */
	void (*input)(void *ctx, const struct address *from, bool dtls, struct span datagram);
	/* Another node has changed this document (enum store_document). */
	void (*changed)(void *ctx, uint8_t kind, struct span name);
	/* We are in, and know the others. Once. */
	void (*joined)(void *ctx);
	/* Another process has our node id: nothing can be done here. */
	void (*refused)(void *ctx);
};

/* True if this store is one for many nodes. */
bool cluster_wanted(const struct daemon_settings *settings);
/* Says what is wrong. */
int cluster_new(const struct cluster_parts *parts, struct cluster **out) NODISCARD;
/* Before the first datagram. `secure` may be NULL. Takes part in the cluster from now on. */
int cluster_serve(struct cluster *c, struct lwm2m_server *server, struct secure *secure) NODISCARD;
void cluster_serve_http(struct cluster *c, struct http *http);
/* What the listener over HTTP needs; its `ctx` is the cluster. */
const struct http_cluster *cluster_http(struct cluster *c);

/* What the management server and the DTLS endpoint ask: see lwm2m_host.fetch, lwm2m_host.answer and
 * dtls_host.unknown. */
bool cluster_fetch(struct cluster *c, const struct lwm2m_wanted *wanted);
void cluster_answer(struct cluster *c, const struct lwm2m_origin *origin, const struct lwm2m_answer *answer);
bool cluster_unknown(struct cluster *c, const struct address *from, struct span cid, struct span datagram);
/* To a device that is reached through another node. */
void cluster_emit(struct cluster *c, const struct address *to, struct span datagram);

/* A document was changed here of which other nodes may have something in memory. */
void cluster_changed(struct cluster *c, uint8_t kind, struct span name);

/* Says that we leave, goes on for a while, gives all devices away; then `left`. */
void cluster_leave(struct cluster *c, void (*left)(void *ctx), void *ctx);
/* Nobody comes here any more, and nobody is answered. `stopped` when the links are closed. */
void cluster_stop(struct cluster *c, void (*stopped)(void *ctx), void *ctx);
/* When store and loop have ended. */
struct cluster *cluster_free(struct cluster *c);
