/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "net/stream.h"
#include "net/tls_session.h"

/* Only for src/net: a stream between stream.c (bytes), connect.c and server.c (how it comes to be). */

enum net_stream_state { NET_OPENING, NET_OPEN, NET_CLOSING };

/* What only a client needs until it is connected. */
struct net_opening {
	uv_getaddrinfo_t resolve;
	uv_connect_t connect;
	struct addrinfo *found; /* freed with this */
	struct addrinfo *next;	/* the address to try next */
	struct sockaddr_storage number;
};

struct net_stream {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	uv_idle_t flush; /* runs once before the loop sleeps, when something was written */
	uv_timer_t timer;
	uv_write_t write;
	unsigned pending; /* handles and requests that will call back yet */
	bool has_io, writing;
	uint8_t state;

	struct buffer plain;   /* written, waits for a turn's end, or for the kernel to take what is before */
	struct buffer sealed;  /* of TLS: what `plain` became, and the handshake */
	struct buffer leaving; /* the kernel's, while `writing` */
	size_t buffer_max;
	uint64_t dead_ms;

	struct net_tls_session tls; /* session NULL: plain */
	struct net_opening *opening;
	char *server_name;
	char *peer;

	const struct net_stream_handlers *handlers; /* NULL: nobody wants to know */
	void *ctx;
	int err;
	char words[NET_TLS_WORDS + 64];

	struct net_server *server; /* that it counts for; NULL: none (any more) */
	struct list node;
};

/* A stream without a socket: two handles of it are set up. `peer` is taken, also on errors (NULL is one:
 * -ENOMEM). Others as of net_tls_session_init. */
int net_stream_new(uv_loop_t *loop, struct net_tls *tls, const char *server_name, char *peer,
		   size_t buffer_max, struct net_stream **out) NODISCARD;
/* The socket is connected: sets its options, reads, and begins the handshake if there is one to do. */
void net_stream_connected(struct net_stream *s);
/* Fails with what the system said, if nothing else was wrong before. */
void net_stream_fail_uv(struct net_stream *s, int err, const char *what);
/* One handle or request less; a closing stream ends with the last. */
void net_stream_done(struct net_stream *s);
void net_stream_closed_handle(uv_handle_t *handle);
void net_stream_set_timer(struct net_stream *s, uint64_t open_ms);
/* In server.c: it is gone. */
void net_server_forget(struct net_stream *s);
