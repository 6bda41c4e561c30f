/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Sockets of the fleet. net/udp.h is made for one socket with much traffic, and its buffers for a batch would
 * cost a quarter of a megabyte for each device; here all share one buffer, and a device costs the kernel's
 * socket and four bytes.
 *
 * The sockets are connected, so the kernel drops what does not come from the server. Errors that the network
 * reports are what they are for a real device: lost datagrams.
 */

#include "sim/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATAGRAM_MAX = 2048, EVENTS_MAX = 256, PER_SOCKET_MAX = 16, PORTS_PER_ADDRESS = 16384 };

union name {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

int sockets_reserve(uint32_t count, uint32_t *room)
{
	rlim_t wanted = (rlim_t)count + SOCKETS_FDS_SPARE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = MIN(wanted, limit.rlim_max);
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return -errno;
	}
	*room = limit.rlim_cur >= wanted
			? count
			: (uint32_t)MAX(limit.rlim_cur, (rlim_t)SOCKETS_FDS_SPARE) - SOCKETS_FDS_SPARE;
	return 0;
}

static socklen_t name_of(const struct address *a, union name *name)
{
	if (a->family == 6) {
		name->ip6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
		address_get_ip6(a, name->ip6.sin6_addr.s6_addr);
		return sizeof(name->ip6);
	}
	name->ip4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a->port)};
	memcpy(&name->ip4.sin_addr, a->ip, sizeof(name->ip4.sin_addr));
	return sizeof(name->ip4);
}

/* Only for IPv4 loopback: any of 127.0.0.0/8 is ours. */
static int bind_source(int fd, uint32_t index)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / PORTS_PER_ADDRESS)};

	return bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ? -errno : 0;
}

static int open_one(struct sockets *s, const struct address *server, uint32_t index)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
	union name name;
	socklen_t len = name_of(server, &name);
	int rc = 0;
	int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	s->fds[index] = fd;
	s->count = index + 1;
	if (server->family == 4 && address_is_loopback(server))
		rc = bind_source(fd, index);
	if (rc < 0)
		return rc;
	if (connect(fd, &name.any, len) < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	return 0;
}

int sockets_open(struct sockets *s, const struct address *server, uint32_t count)
{
	int rc = 0;

	*s = (struct sockets){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (s->epoll < 0)
		return -errno;
	s->fds = calloc(count, sizeof(*s->fds));
	if (!s->fds)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = open_one(s, server, i);
	return rc;
}

void sockets_close(struct sockets *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		close(s->fds[i]);
	free(s->fds);
	if (s->epoll >= 0)
		close(s->epoll);
	*s = (struct sockets){.epoll = -1};
}

void sockets_send(struct sockets *s, uint32_t index, struct span datagram)
{
	if (send(s->fds[index], datagram.data, datagram.len, MSG_NOSIGNAL) >= 0)
		s->sent++;
	else
		s->dropped++;
}

/* False when the socket is empty. What is longer than any message of ours arrives cut, and is malformed then.
 */
static bool receive_one(struct sockets *s, uint32_t index, uint8_t *buffer, size_t *len)
{
	ssize_t got = recv(s->fds[index], buffer, DATAGRAM_MAX, 0);

	*len = got > 0 ? (size_t)got : 0;
	if (got < 0)
		return errno == ECONNREFUSED || errno == EINTR; /* an ICMP error, now read; look on */
	s->received++;
	return true;
}

void sockets_receive(struct sockets *s, void (*take)(void *ctx, uint32_t index, struct span datagram),
		     void *ctx)
{
	struct epoll_event events[EVENTS_MAX];
	uint8_t buffer[DATAGRAM_MAX];
	int count = epoll_wait(s->epoll, events, EVENTS_MAX, 0);
	size_t len;

	for (int i = 0; i < count; i++)
		for (unsigned n = 0; n < PER_SOCKET_MAX; n++) {
			if (!receive_one(s, events[i].data.u32, buffer, &len))
				break;
			if (len)
				take(ctx, events[i].data.u32, span_of(buffer, len));
		}
}
