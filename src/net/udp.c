/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One socket, and a batch of datagrams for each system call in both directions. All buffers lie in the
 * socket's one allocation, and the arrays which the kernel reads are filled in once; a call touches only what
 * it moves.
 *
 * A datagram that cannot be sent is lost, as the network might have lost it: there is no queue that could
 * grow, and the layers above retransmit. Leaves out path MTU discovery: messages are small by the protocol's
 * block sizes, and a forged ICMP message must not make the kernel refuse them.
 */

#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KERNEL_BUFFER = 4 << 20 };

union name {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

/* What recvmmsg and sendmmsg work on. */
struct batch {
	struct mmsghdr messages[UDP_BATCH];
	struct iovec pieces[UDP_BATCH];
	union name names[UDP_BATCH];
	uint8_t data[UDP_BATCH][UDP_DATAGRAM_MAX];
};

struct udp_socket {
	int fd;
	bool ip6; /* the family of the socket itself */
	uint8_t listener;
	struct address local;
	struct udp_stats stats;
	unsigned queued;
	struct datagram received[UDP_BATCH];
	struct batch in, out;
};

static void batch_init(struct batch *b)
{
	for (size_t i = 0; i < UDP_BATCH; i++) {
		b->pieces[i] = (struct iovec){b->data[i], UDP_DATAGRAM_MAX};
		b->messages[i].msg_hdr = (struct msghdr){.msg_name = &b->names[i],
							 .msg_namelen = sizeof(b->names[i]),
							 .msg_iov = &b->pieces[i],
							 .msg_iovlen = 1};
	}
}

/* The kernel's form of an address for a socket of the given family. 0 if there is none. */
static socklen_t to_name(const struct address *a, bool ip6, union name *name)
{
	if (ip6) {
		name->ip6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
		address_get_ip6(a, name->ip6.sin6_addr.s6_addr);
		return sizeof(name->ip6);
	}
	if (a->family != 4)
		return 0;
	name->ip4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a->port)};
	memcpy(&name->ip4.sin_addr, a->ip, sizeof(name->ip4.sin_addr));
	return sizeof(name->ip4);
}

static void from_name(const union name *name, struct address *a)
{
	if (name->any.sa_family == AF_INET6) {
		address_set_ip6(a, name->ip6.sin6_addr.s6_addr, name->ip6.sin6_scope_id);
		a->port = ntohs(name->ip6.sin6_port);
		return;
	}
	a->family = 4;
	a->port = ntohs(name->ip4.sin_port);
	memcpy(a->ip, &name->ip4.sin_addr, sizeof(name->ip4.sin_addr));
}

static void set_option(int fd, int level, int option, int value)
{
	/* Every option set through here is a wish; without it datagrams still flow. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* The FORCE variants pass the system's ceiling and need a privilege, so the plain ones come first. */
static void tune(int fd, bool ip6)
{
	set_option(fd, SOL_SOCKET, SO_RCVBUF, KERNEL_BUFFER);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, KERNEL_BUFFER);
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, KERNEL_BUFFER);
	set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, KERNEL_BUFFER);
	/* Send at the interface's MTU, fragmented beyond it, whatever ICMP claims about the path. */
	set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	if (ip6)
		set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
}

static bool is_wildcard6(const struct address *a)
{
	static const uint8_t zero[16];

	return a->family == 6 && memcmp(a->ip, zero, sizeof(zero)) == 0;
}

/* A bound descriptor, or a negative errno. */
static int open_bound(const struct address *at, bool ip6, bool shared)
{
	int fd = socket(ip6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int v6only = !is_wildcard6(at), on = 1;
	union name name;
	socklen_t len = to_name(at, ip6, &name);
	int rc;

	if (fd < 0)
		return -errno;
	if (ip6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
		goto fail;
	if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		goto fail;
	if (bind(fd, &name.any, len) < 0)
		goto fail;
	tune(fd, ip6);
	return fd;
fail:
	rc = -errno;
	close(fd);
	return rc;
}

/* Binds as asked; the wildcard of both families falls back to IPv4 where the kernel has no IPv6. */
static int open_any(const struct address *at, bool *ip6, bool shared)
{
	struct address at4 = {.family = 4, .port = at->port};
	int fd;

	*ip6 = at->family == 6;
	fd = open_bound(at, *ip6, shared);
	if (!is_wildcard6(at) || (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL))
		return fd;
	*ip6 = false;
	return open_bound(&at4, false, shared);
}

/* Where a descriptor is bound; -EAFNOSUPPORT: nowhere in the internet. */
static int local_of(int fd, bool *ip6, struct address *local)
{
	union name name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		return -errno;
	if (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	*ip6 = name.any.sa_family == AF_INET6;
	from_name(&name, local);
	return 0;
}

int udp_bound(int fd, struct address *local)
{
	bool ip6;

	*local = (struct address){0};
	return local_of(fd, &ip6, local);
}

int udp_open(const struct address *at, uint8_t listener, struct udp_socket **out)
{
	bool ip6;
	int fd, err;

	if (at->family != 4 && at->family != 6)
		return -EAFNOSUPPORT;
	fd = open_any(at, &ip6, false);
	if (fd < 0)
		return fd;
	err = udp_adopt(fd, listener, out);
	if (err < 0)
		close(fd);
	return err;
}

int udp_open_shared(const struct address *at, size_t count, int *fds)
{
	struct address where = *at;
	size_t open = 0;
	bool ip6;
	int err = at->family != 4 && at->family != 6 ? -EAFNOSUPPORT : 0;

	while (err == 0 && open < count) {
		fds[open] = open_any(&where, &ip6, true);
		if (fds[open] < 0)
			err = fds[open];
		/* The others take the port that the first one got. */
		else if (open++ == 0)
			err = local_of(fds[0], &ip6, &where);
	}
	while (err < 0 && open > 0)
		close(fds[--open]);
	return err;
}

int udp_adopt(int fd, uint8_t listener, struct udp_socket **out)
{
	struct udp_socket *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	err = local_of(fd, &s->ip6, &s->local);
	if (err < 0) {
		free(s);
		return err;
	}
	s->fd = fd;
	s->listener = listener;
	s->local.listener = listener;
	batch_init(&s->in);
	batch_init(&s->out);
	*out = s;
	return 0;
}

struct udp_socket *udp_free(struct udp_socket *s)
{
	if (!s)
		return NULL;
	close(s->fd);
	free(s);
	return NULL;
}

int udp_fd(const struct udp_socket *s)
{
	return s->fd;
}

struct address udp_local(const struct udp_socket *s)
{
	return s->local;
}

const struct udp_stats *udp_stats(const struct udp_socket *s)
{
	return &s->stats;
}

/* What a stranger's ICMP message, or a lack of memory that passes, can bring about. */
static bool is_passing_error(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EPROTO:
	case EOPNOTSUPP:
	case EMSGSIZE:
	case ENOMEM:
	case ENOBUFS:
		return true;
	default:
		return false;
	}
}

/* Describes message `i` of the batch to the caller, and makes it ready for the next call. */
static void take_message(struct udp_socket *s, unsigned i)
{
	struct mmsghdr *m = &s->in.messages[i];
	struct datagram *d = &s->received[i];

	*d = (struct datagram){.len = (uint16_t)m->msg_len,
			       .truncated = (m->msg_hdr.msg_flags & MSG_TRUNC) != 0,
			       .data = s->in.data[i]};
	from_name(&s->in.names[i], &d->peer);
	d->peer.listener = s->listener;
	m->msg_hdr.msg_namelen = sizeof(s->in.names[i]);
	s->stats.received++;
	s->stats.received_bytes += m->msg_len;
	s->stats.truncated += d->truncated;
}

int udp_receive(struct udp_socket *s, const struct datagram **batch)
{
	/* Each failed attempt takes one pending error off the socket; a flood of them must not hold us here.
	 */
	for (int attempts = 0; attempts < UDP_BATCH; attempts++) {
		int n = recvmmsg(s->fd, s->in.messages, UDP_BATCH, MSG_DONTWAIT, NULL);

		*batch = s->received;
		for (int i = 0; i < n; i++)
			take_message(s, (unsigned)i);
		if (n >= 0)
			return n;
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR && !is_passing_error(errno))
			return -errno;
		s->stats.receive_errors += errno != EINTR;
	}
	return 0;
}

void udp_send(struct udp_socket *s, const struct address *to, struct span data)
{
	struct msghdr *m;

	if (s->queued == UDP_BATCH)
		udp_flush(s);
	m = &s->out.messages[s->queued].msg_hdr;
	m->msg_namelen = to_name(to, s->ip6, &s->out.names[s->queued]);
	if (m->msg_namelen == 0 || data.len > UDP_DATAGRAM_MAX) {
		s->stats.send_dropped++;
		return;
	}
	if (data.len)
		memcpy(s->out.data[s->queued], data.data, data.len);
	m->msg_iov->iov_len = data.len;
	s->queued++;
}

static void count_sent(struct udp_socket *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		s->stats.sent_bytes += s->out.pieces[i].iov_len;
	s->stats.sent += to - from;
}

void udp_flush(struct udp_socket *s)
{
	unsigned done = 0;

	while (done < s->queued) {
		int n = sendmmsg(s->fd, s->out.messages + done, s->queued - done, MSG_DONTWAIT);

		if (n > 0) {
			count_sent(s, done, done + (unsigned)n);
			done += (unsigned)n;
		} else if (n < 0 && errno == EAGAIN) {
			s->stats.send_dropped += s->queued - done;
			done = s->queued;
		} else if (n == 0 || errno != EINTR) {
			/* This one has no route, or is not permitted; the ones behind it go elsewhere. */
			s->stats.send_dropped++;
			done++;
		}
	}
	s->queued = 0;
}
