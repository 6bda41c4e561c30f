/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * How a client's stream comes to be: name, addresses one after the other, connection. A socket that failed to
 * connect is of no use any more, so each address gets a new one, when the old one has closed. All within one
 * deadline.
 */

#include "net/stream_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/un.h>

static void try_next(struct net_stream *s);

static void on_socket_closed(uv_handle_t *handle)
{
	struct net_stream *s = handle->data;

	s->has_io = false;
	if (s->state == NET_OPENING)
		try_next(s);
	net_stream_done(s);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct net_stream *s = req->data;
	struct net_opening *o = s->opening;

	if (s->state == NET_CLOSING || status == UV_ECANCELED)
		return;
	if (status == 0) {
		if (o->found)
			uv_freeaddrinfo(o->found);
		free(o);
		s->opening = NULL;
		net_stream_connected(s);
	} else if (o->next) {
		uv_close(&s->io.handle, on_socket_closed);
	} else {
		net_stream_fail_uv(s, status, "connect");
	}
}

static void connect_tcp(struct net_stream *s, const struct sockaddr *to)
{
	int err = uv_tcp_init(uv_handle_get_loop((uv_handle_t *)&s->timer), &s->io.tcp);

	if (err == 0) {
		s->has_io = true;
		s->pending++;
		s->io.handle.data = s;
		s->opening->connect.data = s;
		err = uv_tcp_connect(&s->opening->connect, &s->io.tcp, to, on_connected);
	}
	if (err < 0)
		net_stream_fail_uv(s, err, "connect");
}

static void try_next(struct net_stream *s)
{
	struct addrinfo *at = s->opening->next;

	s->opening->next = at->ai_next;
	connect_tcp(s, at->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct net_stream *s = req->data;

	s->opening->found = found;
	if (s->state == NET_OPENING && status == 0 && found) {
		s->opening->next = found;
		try_next(s);
	} else if (s->state == NET_OPENING) {
		char words[NET_TLS_WORDS];

		(void)snprintf(words, sizeof(words), "the name cannot be resolved: %s",
			       status ? uv_strerror(status) : "no address");
		net_stream_fail(s, status == UV_ENOMEM ? -ENOMEM : -EHOSTUNREACH, words);
	}
	net_stream_done(s);
}

static void resolve(struct net_stream *s, const char *host, uint16_t port)
{
	static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct sockaddr *number = (struct sockaddr *)&s->opening->number;
	char service[8];
	int err;

	if (uv_ip4_addr(host, port, (struct sockaddr_in *)number) == 0 ||
	    uv_ip6_addr(host, port, (struct sockaddr_in6 *)number) == 0) {
		connect_tcp(s, number);
		return;
	}
	(void)snprintf(service, sizeof(service), "%u", port);
	s->opening->resolve.data = s;
	err = uv_getaddrinfo(uv_handle_get_loop((uv_handle_t *)&s->timer), &s->opening->resolve, on_resolved,
			     host, service, &hints);
	if (err < 0)
		net_stream_fail_uv(s, err, "resolve");
	else
		s->pending++;
}

static void connect_path(struct net_stream *s, const char *path)
{
	int err = uv_pipe_init(uv_handle_get_loop((uv_handle_t *)&s->timer), &s->io.pipe, 0);

	if (err < 0) {
		net_stream_fail_uv(s, err, "connect");
		return;
	}
	s->has_io = true;
	s->pending++;
	s->io.handle.data = s;
	s->opening->connect.data = s;
	uv_pipe_connect(&s->opening->connect, &s->io.pipe, path, on_connected);
}

static char *name_of(const struct net_stream_options *o)
{
	char *name = NULL;
	int len;

	if (o->path)
		len = asprintf(&name, "unix:%s", o->path);
	else
		len = asprintf(&name, strchr(o->host, ':') ? "[%s]:%u" : "%s:%u", o->host, o->port);
	return len < 0 ? NULL : name;
}

int net_stream_connect(uv_loop_t *loop, const struct net_stream_options *o,
		       const struct net_stream_handlers *handlers, void *ctx, struct net_stream **out)
{
	struct net_opening *opening;
	struct net_stream *s;
	int err;

	if (o->path ? strlen(o->path) >= sizeof(((struct sockaddr_un *)0)->sun_path)
		    : !o->host || !o->port || strlen(o->host) >= NI_MAXHOST)
		return -EINVAL;
	opening = calloc(1, sizeof(*opening));
	if (!opening)
		return -ENOMEM;
	err = net_stream_new(loop, o->tls, o->server_name ? o->server_name : o->host, name_of(o),
			     o->buffer_max, &s);
	if (err < 0) {
		free(opening);
		return err;
	}
	s->opening = opening;
	s->handlers = handlers;
	s->ctx = ctx;
	s->dead_ms = o->dead_ms ? o->dead_ms : NET_STREAM_DEAD_MS;
	net_stream_set_timer(s, o->open_ms);
	*out = s;
	if (o->path)
		connect_path(s, o->path);
	else
		resolve(s, o->host, o->port);
	return 0;
}
