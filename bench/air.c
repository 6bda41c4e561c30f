/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The hard idea is to be many devices at the price of one socket. A socket per device would cost the
 * generator two system calls per operation, and the server would be measured on a machine that is busy with
 * the generator. IP_PKTINFO chooses the source address of each datagram of a batch, and tells which of our
 * addresses an answer came to; so both directions move 64 datagrams per system call.
 *
 * The kernel stamps what arrives, so that the generator may sleep between its sends and still knows how long
 * an answer took. And as it sleeps on a clock and not on the socket, whoever answers does not pay for waking
 * it: on loopback the sender would, which a network card's interrupt never asks of a server.
 */

#include "bench/air.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_ADDRESS = 0x7F100000, KERNEL_BUFFER = 64 << 20 };

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct timespec))];
};

struct lane {
	struct mmsghdr messages[AIR_BATCH];
	struct iovec pieces[AIR_BATCH];
	union control controls[AIR_BATCH];
	uint8_t data[AIR_BATCH][AIR_DATAGRAM_MAX];
};

struct air {
	int fd;
	struct sockaddr_in peer;
	unsigned queued;
	size_t dropped;
	struct air_datagram received[AIR_BATCH];
	struct lane in, out;
};

static void lane_init(struct lane *l)
{
	for (size_t i = 0; i < AIR_BATCH; i++) {
		l->pieces[i] = (struct iovec){l->data[i], AIR_DATAGRAM_MAX};
		l->messages[i].msg_hdr = (struct msghdr){.msg_iov = &l->pieces[i],
							 .msg_iovlen = 1,
							 .msg_control = &l->controls[i],
							 .msg_controllen = sizeof(l->controls[i])};
	}
}

/* Every outgoing message has one control message, of which only the address changes. */
static void prepare_out(struct air *a)
{
	lane_init(&a->out);
	for (size_t i = 0; i < AIR_BATCH; i++) {
		struct msghdr *h = &a->out.messages[i].msg_hdr;
		struct cmsghdr *c;

		h->msg_name = &a->peer;
		h->msg_namelen = sizeof(a->peer);
		h->msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo));
		c = CMSG_FIRSTHDR(h);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
	}
}

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int open_socket(struct air *a)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int err;

	a->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return -errno;
	/* The first is what everybody may ask for, the second needs a privilege. */
	(void)option(a->fd, SOL_SOCKET, SO_RCVBUF, KERNEL_BUFFER);
	(void)option(a->fd, SOL_SOCKET, SO_RCVBUFFORCE, KERNEL_BUFFER);
	err = option(a->fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (!err)
		err = option(a->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	if (!err && bind(a->fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		err = -errno;
	return err;
}

int air_open(struct air **out)
{
	struct air *a = calloc(1, sizeof(*a));
	int err = a ? open_socket(a) : -ENOMEM;

	if (err < 0) {
		air_free(a);
		return err;
	}
	lane_init(&a->in);
	prepare_out(a);
	a->peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	*out = a;
	return 0;
}

struct air *air_free(struct air *a)
{
	if (a && a->fd >= 0)
		close(a->fd);
	free(a);
	return NULL;
}

int air_fd(const struct air *a)
{
	return a->fd;
}

uint16_t air_port(const struct air *a)
{
	struct sockaddr_in name = {0};
	socklen_t len = sizeof(name);

	return getsockname(a->fd, (struct sockaddr *)&name, &len) < 0 ? 0 : ntohs(name.sin_port);
}

void air_aim(struct air *a, uint16_t port)
{
	air_flush(a);
	a->peer.sin_port = htons(port);
}

/* ---- out ---- */

static void hand_over(struct air *a)
{
	unsigned done = 0;

	while (done < a->queued) {
		int n = sendmmsg(a->fd, a->out.messages + done, a->queued - done, MSG_DONTWAIT);

		if (n > 0) {
			done += (unsigned)n;
		} else if (errno != EINTR) {
			a->dropped++;
			done++;
		}
	}
	a->queued = 0;
}

uint8_t *air_next(struct air *a)
{
	if (a->queued == AIR_BATCH)
		hand_over(a);
	return a->out.data[a->queued];
}

void air_send(struct air *a, uint32_t device, size_t len)
{
	struct msghdr *h = &a->out.messages[a->queued].msg_hdr;
	struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(FIRST_ADDRESS + device)};

	memcpy(CMSG_DATA(CMSG_FIRSTHDR(h)), &from, sizeof(from));
	h->msg_iov->iov_len = len;
	a->queued++;
}

size_t air_flush(struct air *a)
{
	size_t dropped;

	hand_over(a);
	dropped = a->dropped;
	a->dropped = 0;
	return dropped;
}

/* ---- in ---- */

static void read_controls(struct msghdr *h, struct air_datagram *d)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct in_pktinfo to;
		struct timespec at;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&to, CMSG_DATA(c), sizeof(to));
			d->device = ntohl(to.ipi_addr.s_addr) - FIRST_ADDRESS;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&at, CMSG_DATA(c), sizeof(at));
			d->at_ns = (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
		}
	}
}

size_t air_receive(struct air *a, const struct air_datagram **batch)
{
	int n = recvmmsg(a->fd, a->in.messages, AIR_BATCH, MSG_DONTWAIT, NULL);
	size_t count = 0;

	*batch = a->received;
	for (int i = 0; i < n; i++) {
		struct msghdr *h = &a->in.messages[i].msg_hdr;
		struct air_datagram d = {.device = AIR_DEVICES_MAX,
					 .data = {a->in.data[i], a->in.messages[i].msg_len}};

		read_controls(h, &d);
		h->msg_controllen = sizeof(a->in.controls[i]);
		if (d.device < AIR_DEVICES_MAX)
			a->received[count++] = d;
	}
	return count;
}
