/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/span.h"

/*
 * Datagrams in batches. One socket serves both families when bound to the IPv6 wildcard. Knows nothing of
 * CoAP. Behind "receive a batch / send a batch" another way to move datagrams may stand later.
 */

enum { UDP_BATCH = 64, UDP_DATAGRAM_MAX = 2048 };

struct datagram {
	struct address peer;
	uint16_t len;
	bool truncated; /* longer than UDP_DATAGRAM_MAX: the rest is lost, the caller drops or refuses it */
	uint8_t *data;
};

struct udp_socket;

/*
 * Binds to `at` (port 0: any free one; IPv6 wildcard: both families where the kernel has IPv6, else IPv4
 * alone). `listener` is written into every peer address received here. Asks for large kernel buffers and
 * takes what it gets. On success *out is owned by the caller. Errors: -EADDRINUSE, -EACCES, -EADDRNOTAVAIL,
 * ...
 */
int udp_open(const struct address *at, uint8_t listener, struct udp_socket **out) NODISCARD;
/*
 * Sockets of several processes at one address (SO_REUSEPORT), as udp_open makes them: descriptors, which the
 * caller closes or lets others inherit. All or none. See steer.h.
 */
int udp_open_shared(const struct address *at, size_t count, int *fds) NODISCARD;
/* Where a descriptor is bound, with the port in use. */
int udp_bound(int fd, struct address *local) NODISCARD;
/* A socket of one of those descriptors, which is the socket's from then on. */
int udp_adopt(int fd, uint8_t listener, struct udp_socket **out) NODISCARD;
struct udp_socket *udp_free(struct udp_socket *s);
int udp_fd(const struct udp_socket *s);
/* The address it is bound to, with the port in use. */
struct address udp_local(const struct udp_socket *s);
/*
 * Receives what is there, at most UDP_BATCH datagrams, without waiting. Returns their number (0: nothing
 * there) or < 0. *batch is borrowed until the next call. Errors that a peer causes (ICMP) are swallowed and
 * counted.
 */
int udp_receive(struct udp_socket *s, const struct datagram **batch);

/*
 * Queues one datagram (copied); a full queue is flushed first. Never blocks: what the kernel has no room for
 * is dropped and counted, as the network might; CoAP retransmits.
 */
void udp_send(struct udp_socket *s, const struct address *to, struct span data);
/* Hands all queued datagrams to the kernel. */
void udp_flush(struct udp_socket *s);

struct udp_stats {
	uint64_t received, received_bytes, truncated, receive_errors;
	uint64_t sent, sent_bytes, send_dropped;
};
const struct udp_stats *udp_stats(const struct udp_socket *s);
