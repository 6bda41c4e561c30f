/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "net/udp.h"

#include <uv.h>

/* A UDP socket on the loop: what arrives is handed out by batches. */

typedef void listener_input(void *ctx, const struct datagram *datagram);

struct listener {
	struct udp_socket *socket;
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t pace;
	listener_input *input;
	void *ctx;
	uint64_t woken_ms; /* when datagrams woke the loop last ... */
	unsigned wakes;	   /* ... and how often in a row with hardly a pause */
};

/*
 * Opens `at` as listener `index` (which `address.listener` of its datagrams will say). `l` must stay where it
 * is. Nothing is read before listener_start. < 0: as udp_open.
 */
int listener_open(struct listener *l, uv_loop_t *loop, const struct address *at, uint8_t index,
		  listener_input *input, void *ctx) NODISCARD;
/* The same with the descriptor of a socket that is bound (udp_adopt). */
int listener_adopt(struct listener *l, uv_loop_t *loop, int fd, uint8_t index, listener_input *input,
		   void *ctx) NODISCARD;
int listener_start(struct listener *l) NODISCARD;
/* Reads no more; still sends. */
void listener_stop(struct listener *l);
/* Closes the socket, when the loop has closed the handles. */
void listener_free(struct listener *l);
