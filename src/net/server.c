/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Listens, and makes streams of connections. What a stranger can cost is a count of streams and a deadline
 * for each handshake; beyond the count a connection is closed at once.
 */

#include "base/address.h"
#include "net/stream_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STREAMS_MAX = 1024, BACKLOG = 128 };

struct net_server {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	struct net_tls *tls; /* borrowed */
	char *path;
	uint64_t open_ms, dead_ms;
	size_t buffer_max;
	uint32_t streams_max;
	struct net_server_stats stats;
	struct list streams;
	net_server_accept *accept;
	void (*closed)(void *ctx);
	void *ctx;
};

void net_server_forget(struct net_stream *s)
{
	if (!s->server)
		return;
	s->server->stats.open--;
	s->server = NULL;
	list_remove(&s->node);
}

static char *name_of_peer(const struct net_stream *s, const struct net_server *server)
{
	union {
		struct sockaddr any;
		struct sockaddr_in6 ip6;
		struct sockaddr_in ip4;
		struct sockaddr_storage room;
	} name = {0};
	int len = sizeof(name);
	struct address a = {.family = 4};
	char text[ADDRESS_TEXT];

	if (server->path)
		return strdup("unix");
	/* Who is gone already has no name. */
	if (uv_tcp_getpeername(&s->io.tcp, &name.any, &len) < 0)
		return strdup("?");
	if (name.any.sa_family == AF_INET6)
		address_set_ip6(&a, name.ip6.sin6_addr.s6_addr, name.ip6.sin6_scope_id);
	else
		memcpy(a.ip, &name.ip4.sin_addr, sizeof(name.ip4.sin_addr));
	a.port = ntohs(name.ip4.sin_port);
	return strdup(address_format(&a, text));
}

static int take_socket(struct net_server *server, struct net_stream *s)
{
	uv_loop_t *loop = server->io.handle.loop;
	int err = server->path ? uv_pipe_init(loop, &s->io.pipe, 0) : uv_tcp_init(loop, &s->io.tcp);
	char *name;

	if (err < 0)
		return err;
	s->has_io = true;
	s->pending++;
	s->io.handle.data = s;
	err = uv_accept(&server->io.stream, &s->io.stream);
	name = err == 0 ? name_of_peer(s, server) : NULL;
	if (name) {
		free(s->peer);
		s->peer = name;
	}
	return err;
}

/* A connection that nobody takes would keep the listener from taking others. */
static void on_connection(uv_stream_t *listener, int status)
{
	struct net_server *server = listener->data;
	uv_loop_t *loop = server->io.handle.loop;
	bool refuse = server->stats.open >= server->streams_max;
	struct net_stream *s = NULL;

	if (status < 0)
		return;
	if (!refuse)
		refuse = net_stream_new(loop, server->tls, NULL, strdup("?"), server->buffer_max, &s) < 0;
	if (!s && net_stream_new(loop, NULL, NULL, strdup("?"), 0, &s) < 0)
		return;
	s->dead_ms = server->dead_ms;
	s->server = server;
	list_append(&server->streams, &s->node);
	server->stats.open++;
	if (take_socket(server, s) == 0 && !refuse)
		s->handlers = server->accept(server->ctx, s, &s->ctx);
	if (!s->handlers) {
		server->stats.refused++;
		net_stream_fail(s, -ECONNREFUSED, "refused");
		return;
	}
	server->stats.accepted++;
	net_stream_set_timer(s, server->open_ms);
	if (s->state == NET_OPENING)
		net_stream_connected(s);
}

/* ---- listening ---- */

static int bind_tcp(struct net_server *server, uv_loop_t *loop, const struct net_server_options *o)
{
	struct sockaddr_storage name;
	int err = uv_tcp_init(loop, &server->io.tcp);

	if (err < 0)
		return err;
	if (!o->host)
		err = uv_ip6_addr("::", o->port, (struct sockaddr_in6 *)&name);
	else if (uv_ip4_addr(o->host, o->port, (struct sockaddr_in *)&name) < 0)
		err = uv_ip6_addr(o->host, o->port, (struct sockaddr_in6 *)&name);
	if (err == 0)
		err = uv_tcp_bind(&server->io.tcp, (struct sockaddr *)&name, 0);
	/* A host without IPv6. */
	if (err == UV_EAFNOSUPPORT && !o->host) {
		err = uv_ip4_addr("0.0.0.0", o->port, (struct sockaddr_in *)&name);
		if (err == 0)
			err = uv_tcp_bind(&server->io.tcp, (struct sockaddr *)&name, 0);
	}
	return err;
}

/* Whether nobody listens there any more: a process that was killed leaves its socket behind. */
static bool is_dead(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool dead;

	if (fd < 0)
		return false;
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	dead = connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return dead;
}

static int bind_path(struct net_server *server, uv_loop_t *loop)
{
	int err = uv_pipe_init(loop, &server->io.pipe, 0);

	if (err < 0)
		return err;
	err = uv_pipe_bind(&server->io.pipe, server->path);
	if (err == UV_EADDRINUSE && is_dead(server->path) && unlink(server->path) == 0)
		err = uv_pipe_bind(&server->io.pipe, server->path);
	return err;
}

static void on_server_closed(uv_handle_t *handle)
{
	struct net_server *server = handle->data;
	void (*closed)(void *ctx) = server->closed;
	void *ctx = server->ctx;

	list_for_each_safe (node, &server->streams) {
		list_remove(node);
		container_of(node, struct net_stream, node)->server = NULL;
	}
	net_tls_free(server->tls);
	free(server->path);
	free(server);
	if (closed)
		closed(ctx);
}

int net_server_listen(uv_loop_t *loop, const struct net_server_options *o, net_server_accept *accept,
		      void *ctx, struct net_server **out)
{
	struct net_server *server;
	int err;

	if (o->path && strlen(o->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	*server = (struct net_server){.tls = net_tls_ref(o->tls),
				      .path = o->path ? strdup(o->path) : NULL,
				      .open_ms = o->open_ms,
				      .dead_ms = o->dead_ms ? o->dead_ms : NET_STREAM_DEAD_MS,
				      .buffer_max = o->buffer_max,
				      .streams_max = o->streams_max ? o->streams_max : STREAMS_MAX,
				      .accept = accept,
				      .ctx = ctx};
	list_init(&server->streams);
	if (o->path && !server->path)
		err = -ENOMEM;
	else
		err = server->path ? bind_path(server, loop) : bind_tcp(server, loop, o);
	server->io.handle.data = server;
	if (err == 0)
		err = uv_listen(&server->io.stream, BACKLOG, on_connection);
	if (err == 0)
		*out = server;
	else
		net_server_free(server, NULL, NULL);
	return err;
}

uint16_t net_server_port(const struct net_server *server)
{
	struct sockaddr_storage name = {0};
	int len = sizeof(name);

	if (server->path || uv_tcp_getsockname(&server->io.tcp, (struct sockaddr *)&name, &len) < 0)
		return 0;
	return ntohs(((struct sockaddr_in *)&name)->sin_port);
}

void net_server_free(struct net_server *server, void (*closed)(void *ctx), void *ctx)
{
	if (!server)
		return;
	server->closed = closed;
	server->ctx = ctx;
	if (server->io.handle.loop)
		uv_close(&server->io.handle, on_server_closed);
	else
		on_server_closed((uv_handle_t *)&server->io.handle);
}

const struct net_server_stats *net_server_stats(const struct net_server *server)
{
	return &server->stats;
}
