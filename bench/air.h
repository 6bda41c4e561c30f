/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/*
 * One UDP socket that is four million devices. Device `i` sends from 127.16.0.0 + i, and what is sent to that
 * address arrives as for device `i`. All of 127.0.0.0/8 is this machine, so nothing has to be configured.
 */

enum { AIR_BATCH = 64, AIR_DATAGRAM_MAX = 1280, AIR_DEVICES_MAX = 4 << 20 };

struct air_datagram {
	uint32_t device;
	uint64_t at_ns;	  /* when the kernel had it: CLOCK_REALTIME */
	struct span data; /* borrowed until the next air_receive */
};

struct air;

/* -errno if there is no such socket to be had. */
int air_open(struct air **out) NODISCARD;
struct air *air_free(struct air *a);
int air_fd(const struct air *a);
uint16_t air_port(const struct air *a);
/* Where datagrams go from now on: 127.0.0.1, this port. */
void air_aim(struct air *a, uint16_t port);

/* Room for AIR_DATAGRAM_MAX bytes of the next datagram, which air_send then sends; a full batch leaves first.
 */
uint8_t *air_next(struct air *a);
void air_send(struct air *a, uint32_t device, size_t len);
/* Hands what was queued to the kernel. Returns how many datagrams it did not take since the last call. */
size_t air_flush(struct air *a);

/* What is there, at most AIR_BATCH datagrams, without waiting. What is for no device of ours is left out. */
size_t air_receive(struct air *a, const struct air_datagram **batch);
