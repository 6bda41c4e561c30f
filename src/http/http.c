/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The listener: libmicrohttpd on the daemon's libuv loop. MHD runs without a thread of its own; it has an
 * epoll descriptor, which is itself polled by the loop, and a time-out, which is a timer of the loop; MHD_run
 * is called from these two and from nowhere else, so none of our callbacks is ever entered twice.
 *
 * MHD takes the sockets of suspended connections out of its epoll set and so does not see their clients
 * leave. A second epoll descriptor (`watch`) holds just these.
 *
 * HTTPS is MHD's, by GnuTLS, on the same descriptors. Who may do what is access.c.
 */

#include "http/access.h"
#include "http/events.h"
#include "http/policies.h"
#include "http/private.h"
#include "http/remote.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LISTEN_BACKLOG = 511,
	CONNECTION_MEMORY = 32 * 1024, /* of one connection: bounds URL and headers, too */
	WATCH_BATCH = 32,
};

void http_config_init(struct http_config *c)
{
	*c = (struct http_config){
		.listen = {.ip = {127, 0, 0, 1}, .port = 8080, .family = 4},
		.version = SHOAL_VERSION,
		.heartbeat_ms = 10000,
		.stall_ms = 30000,
		.stop_ms = 3000,
		.idle_s = 60,
		.body_max = 1024 * 1024,
		.bodies_max = (size_t)64 * 1024 * 1024,
		.connections_max = 1024,
		.streams_max = 256,
		.event_backlog_max = 1024 * 1024,
		.node = 1,
		.awake_ms = 93000,
		.wall_ms = clock_wall_ms,
	};
}

/* ---- MHD on the loop ---- */

static void run_daemon(struct http *h);

static void on_run_timer(uv_timer_t *timer)
{
	run_daemon(timer->data);
}

static void on_daemon_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run_daemon(poll->data);
}

void http_kick(struct http *h)
{
	if (!uv_is_closing((uv_handle_t *)&h->run_timer))
		uv_timer_start(&h->run_timer, on_run_timer, 0, 0);
}

static void shut_down(struct http *h);

static void run_daemon(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	uv_timer_stop(&h->run_timer);
	MHD_run(h->daemon);
	remote_sweep(h);
	if (h->stopping && list_empty(&h->requests))
		shut_down(h);
	else if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES &&
		 !uv_is_active((uv_handle_t *)&h->run_timer))
		uv_timer_start(&h->run_timer, on_run_timer, wait_ms, 0);
}

/* ---- clients of suspended connections ---- */

static int connection_fd(const struct http_request *r)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

void http_watch(struct http *h, struct http_request *r)
{
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = r};

	/* On failure the client's departure goes unnoticed until something is sent: no harm beyond that. */
	epoll_ctl(h->watch_fd, EPOLL_CTL_ADD, connection_fd(r), &event);
}

void http_unwatch(struct http *h, struct http_request *r)
{
	epoll_ctl(h->watch_fd, EPOLL_CTL_DEL, connection_fd(r), NULL);
}

static void on_watch_poll(uv_poll_t *poll, int status, int events)
{
	struct http *h = poll->data;
	struct epoll_event ready[WATCH_BATCH];
	int count;

	(void)events;
	if (status < 0)
		return;
	count = epoll_wait(h->watch_fd, ready, WATCH_BATCH, 0);
	/* Requests are freed by MHD_run only, never in here: all pointers of the batch stay good. */
	for (int i = 0; i < count; i++)
		request_gone(ready[i].data.ptr);
}

/* ---- start ---- */

static socklen_t socket_address(const struct address *a, struct sockaddr_storage *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (a->family == 4) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(a->port);
		memcpy(&in4->sin_addr, a->ip, sizeof(in4->sin_addr));
		return sizeof(*in4);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	in6->sin6_scope_id = a->scope;
	memcpy(&in6->sin6_addr, a->ip, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

static int bind_and_listen(int fd, const struct address *at, bool share)
{
	struct sockaddr_storage address;
	socklen_t len = socket_address(at, &address);
	int on = 1, off = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	/* The IPv6 wildcard serves both families, as the devices' side does. */
	if (at->family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return 0;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
						  : ((struct sockaddr_in6 *)&address)->sin6_port);
}

static int open_listener(struct http *h)
{
	int family = h->config.listen.family == 4 ? AF_INET : AF_INET6;
	int r;

	h->listen_fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->listen_fd < 0)
		return -errno;
	r = bind_and_listen(h->listen_fd, &h->config.listen, h->config.share_port);
	h->port = r == 0 ? bound_port(h->listen_fd) : 0;
	return r;
}

static void on_mhd_log(void *cls, const char *format, va_list args)
{
	struct http *h = cls;
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\r\n")] = 0;
	log_limited(h->log, LOG_DEBUG, 10, "http library", "message=%s", LOG_SPAN(span_str(text)));
}

/* Targets are decoded by the router, segment by segment. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
	(void)cls;
	(void)connection;
	return strlen(text);
}

static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

static int start_daemon(struct http *h)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
	const struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)h->config.tls_certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)h->config.tls_key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
		{MHD_OPTION_END, 0, NULL}};
	const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
	bool secure = h->config.tls_certificate && h->config.tls_key;

	if (secure)
		flags |= MHD_USE_TLS;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, request_handle, h,			    //
				     MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, h,			    //
				     MHD_OPTION_LISTEN_SOCKET, h->listen_fd,			    //
				     MHD_OPTION_CONNECTION_LIMIT, h->config.connections_max,	    //
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, //
				     MHD_OPTION_CONNECTION_TIMEOUT, h->config.idle_s,		    //
				     MHD_OPTION_ARRAY, secure ? tls : plain,			    //
				     MHD_OPTION_STRICT_FOR_CLIENT, 1,				    //
				     MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,		    //
				     MHD_OPTION_URI_LOG_CALLBACK, request_begin, h,		    //
				     MHD_OPTION_NOTIFY_COMPLETED, request_completed, h, MHD_OPTION_END);
	if (!h->daemon)
		return -ENOMEM;
	h->listen_fd = -1; /* MHD's now, until it is asked to give it back */
	return 0;
}

static void free_memory(struct http *h)
{
	void (*closed)(void *ctx) = h->closed;
	void *ctx = h->closed_ctx;

	events_free(h->events);
	free(h->counts);
	if (h->watch_fd >= 0)
		close(h->watch_fd);
	free(h);
	if (closed)
		closed(ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct http *h = handle->data;

	if (--h->handles == 0)
		free_memory(h);
}

static int init_poll(struct http *h, uv_poll_t *poll, int fd, uv_poll_cb callback)
{
	int r = uv_poll_init(h->loop, poll, fd);

	if (r)
		return r;
	poll->data = h;
	h->handles++;
	return uv_poll_start(poll, UV_READABLE, callback);
}

static void init_timer(struct http *h, uv_timer_t *timer)
{
	uv_timer_init(h->loop, timer);
	timer->data = h;
	h->handles++;
}

static void on_heartbeat(uv_timer_t *timer)
{
	struct http *h = timer->data;

	events_tick(h->events);
	policies_tick(h);
	if (h->config.tokens)
		access_tick(h);
}

static int start_loop(struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r;

	init_timer(h, &h->run_timer);
	init_timer(h, &h->heartbeat_timer);
	init_timer(h, &h->stop_timer);
	r = init_poll(h, &h->daemon_poll, info->epoll_fd, on_daemon_poll);
	if (r == 0)
		r = init_poll(h, &h->watch_poll, h->watch_fd, on_watch_poll);
	if (r == 0)
		r = uv_timer_start(&h->heartbeat_timer, on_heartbeat, h->config.heartbeat_ms,
				   h->config.heartbeat_ms);
	return r;
}

static void close_handles(struct http *h)
{
	uv_handle_t *handles[] = {(uv_handle_t *)&h->run_timer, (uv_handle_t *)&h->heartbeat_timer,
				  (uv_handle_t *)&h->stop_timer, (uv_handle_t *)&h->daemon_poll,
				  (uv_handle_t *)&h->watch_poll};

	for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
		if (handles[i]->data)
			uv_close(handles[i], on_handle_closed);
	}
}

/*
 * Ends all handles, then MHD (whose descriptor the loop must not poll any more); memory goes when the last
 * handle is closed. Nothing may be suspended.
 */
static void shut_down(struct http *h)
{
	policies_stop(h);
	close_handles(h);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	/* It does not tell the end of every request whose client left in the middle (seen with 0.9.75, a
	 * chunked body and a half-closed connection). */
	while (!list_empty(&h->requests))
		request_free(container_of(h->requests.next, struct http_request, node));
	h->daemon = NULL;
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	h->listen_fd = -1;
	if (!h->handles)
		free_memory(h);
}

static struct http *allocate(const struct http_config *config)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->config = *config;
	h->config.streams_max = MIN(config->streams_max, config->connections_max / 2);
	h->listen_fd = h->watch_fd = -1;
	list_init(&h->requests);
	return h;
}

static int start(struct http *h)
{
	int r;

	h->counts = calloc((http_route_count + 1) * metrics_status_count(), sizeof(*h->counts));
	h->events = events_new(h);
	h->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!h->counts || !h->events || h->watch_fd < 0)
		return -ENOMEM;
	r = open_listener(h);
	if (r == 0)
		r = start_daemon(h);
	if (r == 0)
		r = start_loop(h);
	return r;
}

int http_new(const struct http_config *config, struct uv_loop_s *loop, struct lwm2m_server *server,
	     struct store *store, struct log *log, http_transport_stats_fn *transport_stats,
	     void *transport_ctx, struct http **out)
{
	bool loopback = address_is_loopback(&config->listen);
	struct http *h;
	int r;

	*out = NULL;
	if (http_config_refusal(config))
		return -EPERM;
	h = allocate(config);
	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->server = server;
	h->store = store;
	h->log = log;
	h->transport_stats = transport_stats;
	h->transport_ctx = transport_ctx;
	h->loopback = loopback;
	h->started_ms = uv_now(loop);
	r = start(h);
	if (r) {
		shut_down(h);
		return r;
	}
	events_subscribe(h->events);
	policies_refresh(h);
	http_kick(h);
	*out = h;
	return 0;
}

uint16_t http_port(const struct http *h)
{
	return h->port;
}

/* ---- stop ---- */

/* What is still running ends now, whatever state it is in. */
static void on_stop_deadline(uv_timer_t *timer)
{
	struct http *h = timer->data;

	h->past_deadline = true;
	list_for_each (node, &h->requests)
		request_gone(container_of(node, struct http_request, node));
	MHD_run(h->daemon);
	shut_down(h);
}

void http_stop(struct http *h, void (*closed)(void *ctx), void *ctx)
{
	MHD_socket fd;

	h->stopping = true;
	h->closed = closed;
	h->closed_ctx = ctx;
	fd = MHD_quiesce_daemon(h->daemon);
	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	events_unsubscribe(h->events);
	list_for_each (node, &h->requests)
		request_stop(container_of(node, struct http_request, node));
	uv_timer_start(&h->stop_timer, on_stop_deadline, h->config.stop_ms, 0);
	http_kick(h);
}
