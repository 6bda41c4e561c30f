/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The hard idea is the one of network cards: under load, look at the clock instead of being called for each
 * packet. A datagram that wakes the loop costs more than what is done with it; if they keep coming, the
 * socket is left alone for a millisecond at a time and read by whole batches. As soon as a look finds
 * nothing, each datagram wakes the loop again, so that a quiet server answers at once.
 */

#include "net/listener.h"

enum { BATCHES_PER_TURN = 4, PACE_MS = 1, LOADED_WAKES = 4 };

static void on_readable(uv_poll_t *poll, int status, int events);

/* Hands out what is there, within reason; says how many there were. */
static unsigned take(struct listener *l)
{
	const struct datagram *batch;
	unsigned total = 0;

	for (int turn = 0; turn < BATCHES_PER_TURN; turn++) {
		int count = udp_receive(l->socket, &batch);

		for (int i = 0; i < count; i++)
			if (!batch[i].truncated)
				l->input(l->ctx, &batch[i]);
		if (count > 0)
			total += (unsigned)count;
		if (count < UDP_BATCH)
			break;
	}
	return total;
}

static void on_pace(uv_timer_t *timer)
{
	struct listener *l = timer->data;

	if (take(l) > 0)
		return;
	uv_timer_stop(timer);
	l->wakes = 0;
	(void)uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;
	uint64_t now_ms = uv_now(l->loop);

	(void)status;
	(void)events;
	take(l);
	l->wakes = now_ms <= l->woken_ms + PACE_MS ? l->wakes + 1 : 0;
	l->woken_ms = now_ms;
	if (l->wakes < LOADED_WAKES)
		return;
	uv_poll_stop(poll);
	uv_timer_start(&l->pace, on_pace, PACE_MS, PACE_MS);
}

static int put_on_loop(struct listener *l, int err)
{
	if (err < 0)
		return err;
	l->poll.data = l->pace.data = l;
	uv_timer_init(l->loop, &l->pace);
	err = uv_poll_init(l->loop, &l->poll, udp_fd(l->socket));
	if (err < 0)
		listener_free(l);
	return err;
}

int listener_open(struct listener *l, uv_loop_t *loop, const struct address *at, uint8_t index,
		  listener_input *input, void *ctx)
{
	*l = (struct listener){.loop = loop, .input = input, .ctx = ctx};
	return put_on_loop(l, udp_open(at, index, &l->socket));
}

int listener_adopt(struct listener *l, uv_loop_t *loop, int fd, uint8_t index, listener_input *input,
		   void *ctx)
{
	*l = (struct listener){.loop = loop, .input = input, .ctx = ctx};
	return put_on_loop(l, udp_adopt(fd, index, &l->socket));
}

void listener_free(struct listener *l)
{
	l->socket = udp_free(l->socket);
}

int listener_start(struct listener *l)
{
	return uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

void listener_stop(struct listener *l)
{
	uv_poll_stop(&l->poll);
	uv_timer_stop(&l->pace);
}
