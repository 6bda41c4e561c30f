/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * As much of HTTP/1.1 as the answers of the northbound interface need: a status, a Content-Length, a body
 * that fits the buffer. A request is one small write on a connection that has nothing under way, so it never
 * waits.
 */

#include "bench/rest.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 8192, REQUEST_MAX = 512 };

struct connection {
	int fd;
	bool busy;
	uint64_t due_ns;
	size_t len;
	char in[BUFFER + 1];
};

struct rest {
	int epoll;
	uint16_t port;
	unsigned count, idle;
	unsigned next; /* the connections at `queue` from here on, round the end, are idle: the longest first
			*/
	unsigned queue[REST_CONNECTIONS_MAX];
	struct connection connections[];
};

/* Connects, in the place of the connection that was there. */
static int connect_one(struct rest *r, unsigned index)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(r->port)};
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
	struct connection *c = &r->connections[index];
	int on = 1;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
	    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		return -errno;
	return 0;
}

static void make_idle(struct rest *r, unsigned index)
{
	r->connections[index].busy = false;
	r->connections[index].len = 0;
	r->queue[(r->next + r->idle++) % REST_CONNECTIONS_MAX] = index;
}

int rest_open(uint16_t port, unsigned connections, struct rest **out)
{
	struct rest *r = calloc(1, sizeof(*r) + connections * sizeof(r->connections[0]));
	int err = r ? 0 : -ENOMEM;

	assert(connections <= REST_CONNECTIONS_MAX);
	if (err < 0)
		return err;
	r->port = port;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0)
		err = -errno;
	while (err == 0 && r->count < connections) {
		r->connections[r->count].fd = -1;
		make_idle(r, r->count);
		err = connect_one(r, r->count++);
	}
	if (err < 0)
		r = rest_free(r);
	*out = r;
	return err;
}

struct rest *rest_free(struct rest *r)
{
	if (!r)
		return NULL;
	for (unsigned i = 0; i < r->count; i++)
		if (r->connections[i].fd >= 0)
			close(r->connections[i].fd);
	if (r->epoll >= 0)
		close(r->epoll);
	free(r);
	return NULL;
}

int rest_fd(const struct rest *r)
{
	return r->epoll;
}

unsigned rest_idle(const struct rest *r)
{
	return r->idle;
}

int rest_request(struct rest *r, const char *method, const char *path, uint64_t due_ns)
{
	struct connection *c = &r->connections[r->queue[r->next]];
	char text[REQUEST_MAX];
	int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", method, path,
			   strcmp(method, "GET") == 0 ? "" : "Content-Length: 0\r\n");

	assert(r->idle > 0 && len < REQUEST_MAX);
	r->next = (r->next + 1) % REST_CONNECTIONS_MAX;
	r->idle--;
	c->busy = true;
	c->due_ns = due_ns;
	return send(c->fd, text, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EIO;
}

/* The length of head and body together once the head is there, else 0. -EPROTO: no such answer. */
static int answer_length(const struct connection *c, size_t *out)
{
	const char *end = strstr(c->in, "\r\n\r\n"), *field = strcasestr(c->in, "\r\ncontent-length:");

	*out = 0;
	if (!end)
		return c->len == BUFFER ? -EPROTO : 0;
	if (!field || field > end)
		return -EPROTO;
	*out = (size_t)(end + 4 - c->in) + strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
	return *out > BUFFER ? -EPROTO : 0;
}

static int receive_one(struct rest *r, unsigned index, rest_answer *answer, void *ctx)
{
	struct connection *c = &r->connections[index];
	ssize_t n = recv(c->fd, c->in + c->len, BUFFER - c->len, MSG_DONTWAIT);
	size_t length;
	bool good;
	int err;

	if (n <= 0 && !c->busy)
		return connect_one(r, index); /* the server keeps an idle connection only so long */
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : n < 0 ? -errno : -ECONNRESET;
	c->len += (size_t)n;
	c->in[c->len] = 0;
	err = answer_length(c, &length);
	if (err < 0 || length == 0 || c->len < length)
		return err;
	if (!c->busy || c->len > length)
		return -EPROTO;
	good = strncmp(c->in, "HTTP/1.1 200 ", strlen("HTTP/1.1 200 ")) == 0 &&
	       strstr(c->in, "\"success\":true");
	make_idle(r, index);
	answer(ctx, c->due_ns, good);
	return 0;
}

int rest_receive(struct rest *r, rest_answer *answer, void *ctx)
{
	struct epoll_event events[64];
	int count, err = 0;

	do {
		count = epoll_wait(r->epoll, events, ARRAY_SIZE(events), 0);
		for (int i = 0; err == 0 && i < count; i++)
			err = receive_one(r, events[i].data.u32, answer, ctx);
	} while (err == 0 && count == ARRAY_SIZE(events));
	return err;
}
