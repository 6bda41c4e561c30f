/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/span.h"

/*
 * UDP sockets of the devices, all watched by one epoll descriptor. The server tells devices apart by their
 * source addresses, so each has a socket of its own, unless it has an IP address of its own instead: towards
 * an IPv4 loopback server any of 127.0.0.0/8 can be a source, and a few sockets do for all.
 */
struct sockets {
	int epoll;
	int *fds;
	uint32_t count;	  /* of fds */
	uint8_t *lanes;	  /* shared sockets: which of them each device has; else NULL */
	uint32_t devices; /* how many there are of them */
	struct address server;
	uint64_t received, sent, dropped; /* datagrams; dropped: the kernel had no room */
};

enum { SOCKETS_FDS_SPARE = 64 }; /* descriptors for everything else */

/* Whether devices can share sockets towards this server. */
bool sockets_can_share(const struct address *server);
/*
 * Raises the limit of open files as far as it goes. How many sockets that allows is written to *room.
 * < 0: errno of setrlimit(2).
 */
int sockets_reserve(uint32_t count, uint32_t *room) NODISCARD;
/*
 * Opens sockets of `count` devices towards `server`. At a loopback server the devices come from 127.0.0.1,
 * 127.0.0.2 and so on, because one address has no more than some 28,000 free ports; with `share` device i
 * comes from 127.16.0.0 + i. < 0: errno; harmless to close then.
 */
int sockets_open(struct sockets *s, const struct address *server, uint32_t count, bool share) NODISCARD;
/* Another source port for one device; what still comes to the old one is lost. < 0: errno, and nothing
 * changes. */
int sockets_rebind(struct sockets *s, uint32_t index) NODISCARD;
void sockets_close(struct sockets *s);
void sockets_send(struct sockets *s, uint32_t index, struct span datagram);
/* Hands all datagrams that are there, up to some hundreds, to `take`; borrowed for the call. */
void sockets_receive(struct sockets *s, void (*take)(void *ctx, uint32_t index, struct span datagram),
		     void *ctx);
