/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/span.h"

/*
 * One UDP socket per device, all watched by one epoll descriptor. The server tells plain devices apart by
 * their source address, so they cannot share one.
 */
struct sockets {
	int epoll;
	int *fds;
	uint32_t count;
	uint64_t received, sent, dropped; /* datagrams; dropped: the kernel had no room */
};

enum { SOCKETS_FDS_SPARE = 64 }; /* descriptors for everything else */

/*
 * Raises the limit of open files as far as it goes. How many sockets that allows is written to *room.
 * < 0: errno of setrlimit(2).
 */
int sockets_reserve(uint32_t count, uint32_t *room) NODISCARD;
/*
 * Opens `count` sockets connected to `server`. At a loopback server the devices come from 127.0.0.1,
 * 127.0.0.2 and so on, because one address has no more than some 28,000 free ports. < 0: errno; harmless to
 * close then.
 */
int sockets_open(struct sockets *s, const struct address *server, uint32_t count) NODISCARD;
void sockets_close(struct sockets *s);
void sockets_send(struct sockets *s, uint32_t index, struct span datagram);
/* Hands all datagrams that are there, up to some hundreds, to `take`; borrowed for the call. */
void sockets_receive(struct sockets *s, void (*take)(void *ctx, uint32_t index, struct span datagram),
		     void *ctx);
