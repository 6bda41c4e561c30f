/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "net/tls.h"

#include <uv.h>

/*
 * Byte streams on the loop, as a client and as a server: TCP or a unix socket, plain or TLS. Nothing blocks.
 *
 * Life of a stream: net_stream_connect (or a server's `accept`), `opened`, any number of `data`, `closed`.
 * `closed` comes exactly once, whatever happened, and never from within a call of this interface; when it
 * returns, the stream is gone. Until then the stream may be used, also from its own callbacks. The process
 * has to ignore SIGPIPE.
 */

struct net_stream;

struct net_stream_handlers {
	/* Connected, and the handshake is done: the peer is who it has to be. May be NULL. */
	void (*opened)(void *ctx, struct net_stream *s);
	/* Some bytes, in order, cut anywhere; borrowed for the call. */
	void (*data)(void *ctx, struct net_stream *s, struct span data);
	/* All that was written has been handed to the kernel. May be NULL. */
	void (*drained)(void *ctx, struct net_stream *s);
	/*
	 * 0: the peer closed in good order; -ECANCELED: net_stream_close. Else what went wrong, before or
	 * after `opened`: -ETIMEDOUT (not opened in time, or the peer is not heard of any more),
	 * -EHOSTUNREACH (also: name not found), -ECONNREFUSED, -ECONNRESET (also: an end that TLS did not
	 * announce), -EACCES (one side does not accept key or certificate of the other), -EPROTO (no TLS
	 * understanding), -ENOMEM, other errno. `words` say it for an operator, with the peer's name;
	 * borrowed for the call.
	 */
	void (*closed)(void *ctx, int err, const char *words);
};

enum {
	NET_STREAM_OPEN_MS = 5000,
	NET_STREAM_DEAD_MS = 20000,
	NET_STREAM_BUFFER_MAX = 1 << 20,
};

/* Zeroes are defaults. Copied where needed. */
struct net_stream_options {
	const char *host; /* name or number; every address of a name is tried */
	uint16_t port;
	const char *path;	 /* of a unix socket, instead of host and port */
	struct net_tls *tls;	 /* NULL: plain */
	const char *server_name; /* that the server's certificate has to have; NULL: `host` */
	uint64_t open_ms;	 /* for all from the resolver to the end of the handshake */
	uint64_t dead_ms;	 /* TCP: how long a silent peer is believed to be there */
	size_t buffer_max;	 /* bytes written and not yet taken by the kernel */
};

/*
 * -EINVAL: neither path nor host and port, or too long; -ENOMEM. All else is told by `closed`. `handlers`
 * has to stay. *out is borrowed until `closed`.
 */
int net_stream_connect(uv_loop_t *loop, const struct net_stream_options *options,
		       const struct net_stream_handlers *handlers, void *ctx,
		       struct net_stream **out) NODISCARD;
/*
 * Copies the bytes; they leave at the end of this turn of the loop, in one go with all else that was written
 * in it; those written before `opened`, after it. All or nothing: -ENOBUFS: more than buffer_max would wait;
 * -EPIPE: closing. A failed connection is told by `closed` alone.
 */
int net_stream_write(struct net_stream *s, struct span data) NODISCARD;
int net_stream_writev(struct net_stream *s, const struct span *parts, size_t count) NODISCARD;
/* Bytes written that still wait. */
size_t net_stream_buffered(const struct net_stream *s);
/* No callback but `closed` after this; what still waits is dropped. Harmless when already closing. */
void net_stream_close(struct net_stream *s);
/* Closes, for a reason of the caller's, which `closed` will tell: err < 0; words are copied. */
void net_stream_fail(struct net_stream *s, int err, const char *words);

/* The peer, for logs: "192.0.2.7:41234", "redis.example:6379", "unix:/run/redis.sock". */
const char *net_stream_peer(const struct net_stream *s);
/* After `opened` at a server with PSK: the identity the client has proven. Else empty. */
struct span net_stream_psk_identity(const struct net_stream *s);

/* ---- server ---- */

struct net_server;

struct net_server_options {
	const char *host; /* number; NULL: all addresses */
	uint16_t port;	  /* 0: any free one */
	const char *path; /* of a unix socket, instead; a dead one there is replaced */
	struct net_tls *tls;
	uint64_t open_ms, dead_ms;
	size_t buffer_max;
	uint32_t streams_max; /* open at a time, handshakes included; more are closed at once. 0: 1024 */
};

/*
 * A connection came in (its handshake, if any, is still to be done): whom to tell about it, with *stream_ctx
 * as ctx. NULL: it is closed, nobody is told.
 */
typedef const struct net_stream_handlers *net_server_accept(void *ctx, struct net_stream *s,
							    void **stream_ctx);

/* -EINVAL, -ENOMEM, -EADDRINUSE, -EACCES, other errno of bind(2). */
int net_server_listen(uv_loop_t *loop, const struct net_server_options *options, net_server_accept *accept,
		      void *ctx, struct net_server **out) NODISCARD;
/* The TCP port that is listened on. */
uint16_t net_server_port(const struct net_server *server);
/* Listens no more. Streams go on: they are those of whoever was told. `closed` (or NULL) is called later. */
void net_server_free(struct net_server *server, void (*closed)(void *ctx), void *ctx);

struct net_server_stats {
	uint64_t accepted, refused; /* refused: beyond streams_max, or by `accept` */
	uint32_t open;
};
const struct net_server_stats *net_server_stats(const struct net_server *server);
