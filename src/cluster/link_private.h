/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "cluster/link.h"
#include "cluster/wire.h"
#include "net/stream.h"

/* Only for the files link*.c: link.c (peers), link_conn.c (connections), link_ask.c (our calls), link_call.c
 * (those of others). */

struct links {
	struct links_config config;
	const struct links_handlers *handlers;
	void *ctx;
	struct net_server *server;
	struct net_tls *client_tls, *server_tls;
	struct siphash_key key;
	struct map peers; /* by node */
	struct map asks;  /* by ticket */
	struct list over; /* asks that have failed, and whose `done` is still to be called */
	struct list conns;
	uint64_t last_ticket;
	bool closing, server_closed;
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct links_stats stats;
};

/* A connection, until its stream has closed. It may outlive its peer. */
struct link_conn {
	struct list node;
	struct links *l;
	struct link_peer *peer; /* NULL: not known yet, or no more */
	struct net_stream *s;
	struct wire_input input;
	uint32_t number; /* of the node at the other end, when it is known */
	bool outgoing, opened, greeted, closing;
};

struct link_peer {
	struct links *l;
	uint32_t node;
	uint64_t incarnation;
	bool away; /* without a lease; kept for last_ticket, should it come back */
	struct address at;
	struct link_conn *out, *in; /* begun by us, by it */

	struct list asks; /* by ticket */
	uint32_t ask_count, asks_unsent;
	size_t ask_bytes;
	struct timer retry; /* set: not reached a moment ago */
	uint64_t backoff_ms;
	struct timer idle;
	uint64_t used_ms;

	uint64_t last_ticket; /* the highest of its calls */
	struct map seen;      /* its calls by ticket */
	struct list calls;    /* the same, as they came */
	struct list kept;     /* those of them whose answers take memory, oldest first */
	uint32_t call_count, calls_unsent;
	size_t kept_bytes;
};

/* A call of ours. */
struct link_ask {
	struct list node;
	struct timer timer;
	struct links *l;
	struct link_peer *peer; /* NULL: it has failed, see err */
	uint64_t ticket, deadline_ms;
	links_done *done;
	void *ctx;
	int err;
	bool sent; /* given to the connection of now */
	bool left; /* may have reached the peer, by this connection or one before */
	uint16_t kind;
	size_t len;
	uint8_t body[];
};

static inline uint64_t link_now(const struct links *l)
{
	return uv_now(l->config.loop);
}

static inline uint32_t link_hash(const struct links *l, uint64_t number)
{
	return (uint32_t)siphash(&l->key, span_of(&number, sizeof(number)));
}

/* NULL: it has no lease. */
struct link_peer *link_peer_find(const struct links *l, uint32_t node);
/* Begins a connection, if there is none, and it is not too early after the last. */
void link_peer_connect(struct link_peer *p);
/* It closed, or failed: the peer is told of the loss of what it had. */
void link_peer_lost(struct link_peer *p, struct link_conn *c);
/* Frees what is left, if all is closed. */
void link_maybe_finish(struct links *l);

/* Begins a connection to the peer. What is written to it goes when it is open. < 0: it was not begun. */
int link_conn_open(struct link_peer *p);
/* Nothing is heard of it any more; its peer is told first. */
void link_conn_close(struct link_conn *c);
/* -ENOBUFS, -EPIPE, -ENOMEM as net_stream_writev. */
int link_conn_write(struct link_conn *c, const struct wire_frame *frame);
extern const struct net_stream_handlers link_conn_handlers;
net_server_accept link_conn_accept;
net_tls_find_psk link_find_psk;
/* What a node calls itself in TLS: "NODE.INCARNATION.KEY", with the id of the key in hexadecimal digits. */
enum { LINK_IDENTITY = 64 };
void link_identity(uint32_t node, uint64_t incarnation, const uint8_t key_id[LINKS_KEY_ID],
		   char text[LINK_IDENTITY]);

/* Of every stream. HEADS: what frames take besides their bodies. */
enum { LINK_OPEN_MS = 3000, LINK_DEAD_MS = 15000, LINK_HEADS = 1 << 16 };

/* Writes those that are still to be sent, as far as there is room. */
void link_asks_push(struct link_peer *p);
/* The connection is open, or it is gone. */
void link_asks_left(struct link_peer *p);
void link_asks_unsent(struct link_peer *p);
void link_asks_fail(struct link_peer *p, int err);
/* Calls `done` of all that have failed. */
void link_asks_end(struct links *l);
void link_ask_answered(struct link_peer *p, const struct wire_frame *frame, int err);

void link_call_received(struct link_peer *p, const struct wire_frame *frame);
void link_calls_push(struct link_peer *p);
/* Forgets all; those that run belong to nobody then. */
void link_calls_drop(struct link_peer *p);
