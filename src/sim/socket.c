/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Sockets of the fleet. net/udp.h is made for one socket with much traffic, and its buffers for a batch would
 * cost a quarter of a megabyte for each device; here all share one buffer, and a device costs the kernel's
 * socket and four bytes. Where files are scarce and the server is this machine, devices share sockets
 * instead, and IP_PKTINFO gives each datagram the source address of its device.
 *
 * Own sockets are connected, so the kernel drops what does not come from the server. Errors that the network
 * reports are what they are for a real device: lost datagrams.
 */

#include "sim/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DATAGRAM_MAX = 2048,
	EVENTS_MAX = 256,
	PER_SOCKET_MAX = 16,
	PORTS_PER_ADDRESS = 16384,
	SHARED = 16, /* sockets, if they are shared: as many source ports as a device can change to */
	SHARED_BUFFER = 8 << 20,
	PER_SHARED_MAX = 256,
	FIRST_SHARED = 0x7F100000, /* 127.16.0.0 */
};

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
static int bind_source(int fd, uint32_t host)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};

	return bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ? -errno : 0;
}

static int watch(const struct sockets *s, int fd, uint32_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* A socket of one device. < 0: errno. */
static int open_own(const struct sockets *s, uint32_t index)
{
	union name name;
	socklen_t len = name_of(&s->server, &name);
	int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? -errno : 0;

	if (rc == 0 && sockets_can_share(&s->server))
		rc = bind_source(fd, INADDR_LOOPBACK + index / PORTS_PER_ADDRESS);
	if (rc == 0 && connect(fd, &name.any, len) < 0)
		rc = -errno;
	if (rc == 0)
		rc = watch(s, fd, index);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

/* A socket of many devices. */
static int open_shared(const struct sockets *s, uint32_t lane)
{
	int yes = 1, size = SHARED_BUFFER;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? -errno : 0;

	if (rc == 0 && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes)) < 0)
		rc = -errno;
	if (rc == 0)
		rc = bind_source(fd, INADDR_ANY);
	if (rc == 0)
		rc = watch(s, fd, lane);
	if (rc == 0) {
		/* The first is what everybody may ask for, the second needs a privilege. */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	}
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

bool sockets_can_share(const struct address *server)
{
	return server->family == 4 && address_is_loopback(server);
}

int sockets_open(struct sockets *s, const struct address *server, uint32_t count, bool share)
{
	uint32_t needed = share ? SHARED : count;

	*s = (struct sockets){.epoll = epoll_create1(EPOLL_CLOEXEC), .server = *server, .devices = count};
	if (s->epoll < 0)
		return -errno;
	s->fds = calloc(needed, sizeof(*s->fds));
	s->lanes = share ? calloc(count, sizeof(*s->lanes)) : NULL;
	if (!s->fds || (share && !s->lanes))
		return -ENOMEM;
	for (uint32_t i = 0; share && i < count; i++)
		s->lanes[i] = (uint8_t)(i % SHARED);
	for (; s->count < needed; s->count++) {
		int fd = share ? open_shared(s, s->count) : open_own(s, s->count);

		if (fd < 0)
			return fd;
		s->fds[s->count] = fd;
	}
	return 0;
}

int sockets_rebind(struct sockets *s, uint32_t index)
{
	int fd;

	if (s->lanes) {
		s->lanes[index] = (uint8_t)((s->lanes[index] + 1) % SHARED);
		return 0;
	}
	fd = open_own(s, index); /* while the old one holds its port */
	if (fd < 0)
		return fd;
	close(s->fds[index]);
	s->fds[index] = fd;
	return 0;
}

void sockets_close(struct sockets *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		close(s->fds[i]);
	free(s->fds);
	free(s->lanes);
	if (s->epoll >= 0)
		close(s->epoll);
	*s = (struct sockets){.epoll = -1};
}

/* ---- shared sockets ---- */

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

static bool send_shared(const struct sockets *s, uint32_t index, struct span datagram)
{
	struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(FIRST_SHARED + index)};
	union control control = {.bytes = {0}};
	union name name;
	struct iovec piece = {(void *)(uintptr_t)datagram.data, datagram.len};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = name_of(&s->server, &name),
			   .msg_iov = &piece,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(from));
	memcpy(CMSG_DATA(c), &from, sizeof(from));
	return sendmsg(s->fds[s->lanes[index]], &m, MSG_NOSIGNAL) >= 0;
}

/* Which device a datagram is for; `devices`: none, or it is not from the server. */
static uint32_t addressee(const struct sockets *s, struct msghdr *m, const struct sockaddr_in *from,
			  uint32_t lane)
{
	struct in_pktinfo to = {.ipi_ifindex = 0};
	uint32_t index;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			memcpy(&to, CMSG_DATA(c), sizeof(to));
	index = ntohl(to.ipi_addr.s_addr) - FIRST_SHARED;
	if (ntohs(from->sin_port) != s->server.port || memcmp(&from->sin_addr, s->server.ip, 4) != 0 ||
	    index >= s->devices || s->lanes[index] != lane)
		return s->devices;
	return index;
}

static bool receive_shared(struct sockets *s, uint32_t *index, uint8_t *buffer, size_t *len)
{
	uint32_t lane = *index;
	struct sockaddr_in from = {0};
	union control control;
	struct iovec piece = {buffer, DATAGRAM_MAX};
	struct msghdr m = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &piece,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(s->fds[lane], &m, 0);

	*len = got > 0 ? (size_t)got : 0;
	if (got < 0)
		return errno == EINTR;
	*index = addressee(s, &m, &from, lane);
	if (*index == s->devices)
		*len = 0;
	else
		s->received++;
	return true;
}

/* ---- datagrams ---- */

void sockets_send(struct sockets *s, uint32_t index, struct span datagram)
{
	bool sent = s->lanes ? send_shared(s, index, datagram)
			     : send(s->fds[index], datagram.data, datagram.len, MSG_NOSIGNAL) >= 0;

	s->sent += sent;
	s->dropped += !sent;
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
	unsigned each = s->lanes ? PER_SHARED_MAX : PER_SOCKET_MAX;
	size_t len;

	for (int i = 0; i < count; i++)
		for (unsigned n = 0; n < each; n++) {
			uint32_t index = events[i].data.u32;

			if (s->lanes ? !receive_shared(s, &index, buffer, &len)
				     : !receive_one(s, index, buffer, &len))
				break;
			if (len)
				take(ctx, index, span_of(buffer, len));
		}
}
