/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The reference: a server that sends each datagram back as it came, and does nothing else.
 *
 *   bench-echo        prints the port it has, and serves until it is ended
 *
 * What the least server on this machine costs is what any server is measured by. So this shares no code with
 * shoal, and does it as cheaply as datagrams can be moved without leaving the socket interface: one system
 * call takes what is there, up to 64, and waits only if there is nothing; one sends all of it back. The
 * socket is of the kind that shoald opens, one for both families, because the kernel's work differs by
 * family.
 */

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, DATAGRAM_MAX = 2048, KERNEL_BUFFER = 4 << 20 };

struct echo {
	int fd;
	struct mmsghdr messages[BATCH];
	struct iovec pieces[BATCH];
	struct sockaddr_in6 names[BATCH];
	char data[BATCH][DATAGRAM_MAX];
};

static int open_socket(struct echo *e)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(name);
	int off = 0, buffer = KERNEL_BUFFER;

	e->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (e->fd < 0 || setsockopt(e->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    bind(e->fd, (const struct sockaddr *)&name, len) < 0 ||
	    getsockname(e->fd, (struct sockaddr *)&name, &len) < 0) {
		perror("bench-echo");
		return -1;
	}
	(void)setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	(void)setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	printf("%u\n", ntohs(name.sin6_port));
	return fflush(stdout);
}

static void prepare(struct echo *e)
{
	for (unsigned i = 0; i < BATCH; i++) {
		e->messages[i].msg_hdr =
			(struct msghdr){.msg_name = &e->names[i], .msg_iov = &e->pieces[i], .msg_iovlen = 1};
		e->messages[i].msg_hdr.msg_namelen = sizeof(e->names[i]);
		e->pieces[i] = (struct iovec){e->data[i], DATAGRAM_MAX};
	}
}

static void serve(struct echo *e)
{
	int count = recvmmsg(e->fd, e->messages, BATCH, MSG_WAITFORONE, NULL);

	for (int i = 0; i < count; i++)
		e->pieces[i].iov_len = e->messages[i].msg_len;
	/* What the kernel refuses is lost, as in the network. */
	if (count > 0)
		(void)sendmmsg(e->fd, e->messages, (unsigned)count, 0);
	for (int i = 0; i < count; i++) {
		e->pieces[i].iov_len = DATAGRAM_MAX;
		e->messages[i].msg_hdr.msg_namelen = sizeof(e->names[i]);
	}
}

int main(void)
{
	struct echo *e = calloc(1, sizeof(*e));

	if (!e || open_socket(e) < 0)
		return 1;
	prepare(e);
	for (;;)
		serve(e);
}
