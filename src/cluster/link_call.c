/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Calls of others. The hard idea is what makes "not executed twice" hold with bounded memory. A caller sends
 * its calls in the order of their tickets, by every connection anew. So a ticket that is not above all that
 * were taken is one of them: either it is remembered, and gets the outcome it had; or it is forgotten - its
 * deadline was over, its caller has said by the floor in a later call that it wants no answer, memory was
 * short, the lease was away for a moment - and is never executed again. What does not fit is refused before
 * it is executed; of an answer that does not fit the ticket stays.
 *
 * A call that runs belongs to whoever answers it. If its caller is gone meanwhile, it belongs to nobody else
 * (`peer` is NULL), and the answer only frees it.
 */

#include "cluster/link_private.h"

#include <errno.h>

enum { ERRNO_MAX = 4095 };

struct links_call {
	struct list node; /* of link_peer.calls */
	struct list kept;
	struct timer timer;
	struct link_peer *peer;
	uint64_t ticket, deadline_ms;
	bool running;
	bool unsent; /* the outcome is to be written when there is room */
	int err;     /* the outcome: 0 for an answer */
	uint8_t *answer;
	size_t len;
};

static bool has_ticket(const void *item, const void *key)
{
	return ((const struct links_call *)item)->ticket == *(const uint64_t *)key;
}

static void drop_answer(struct links_call *call)
{
	if (!list_linked(&call->kept))
		return;
	list_remove(&call->kept);
	call->peer->kept_bytes -= call->len;
	free(call->answer);
	call->answer = NULL;
	call->len = 0;
}

/* It is not remembered any more. Frees it, or leaves that to its answer. */
static void forget(struct links_call *call)
{
	struct link_peer *p = call->peer;

	drop_answer(call);
	map_remove(&p->seen, link_hash(p->l, call->ticket), call);
	list_remove(&call->node);
	timer_cancel(p->l->config.timers, &call->timer);
	p->call_count--;
	p->calls_unsent -= call->unsent;
	call->peer = NULL;
	if (!call->running)
		free(call);
}

static void on_time(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	forget(container_of(timer, struct links_call, timer));
}

void link_calls_drop(struct link_peer *p)
{
	list_for_each_safe (node, &p->calls)
		forget(container_of(node, struct links_call, node));
}

/* ---- outcomes ---- */

static bool write_refusal(struct link_peer *p, uint64_t ticket, int err)
{
	struct wire_frame frame = {.type = WIRE_REFUSAL, .ticket = ticket, .time = (uint32_t)-err};

	return link_conn_write(p->in, &frame) == 0;
}

/* Where there is no connection, the caller will ask again by the next one. */
static void write_outcome(struct links_call *call)
{
	struct link_peer *p = call->peer;
	struct wire_frame answer = {
		.type = WIRE_ANSWER, .ticket = call->ticket, .body = span_of(call->answer, call->len)};
	bool done = !p->in;

	if (!done)
		done = call->err ? write_refusal(p, call->ticket, call->err)
				 : link_conn_write(p->in, &answer) == 0;
	p->calls_unsent += (uint32_t)!done - (uint32_t)call->unsent;
	call->unsent = !done;
}

void link_calls_push(struct link_peer *p)
{
	if (!p->in || !p->calls_unsent)
		return;
	list_for_each (node, &p->calls) {
		struct links_call *call = container_of(node, struct links_call, node);

		if (call->unsent)
			write_outcome(call);
		if (call->unsent)
			return;
	}
}

/* Forgets the answers of the oldest, but for those that were not even sent. */
static bool make_room(struct link_peer *p, size_t len)
{
	size_t max = p->l->config.bytes_max;

	list_for_each_safe (node, &p->kept) {
		struct links_call *call = container_of(node, struct links_call, kept);

		if (p->kept_bytes + len <= max)
			break;
		if (call->unsent)
			continue;
		drop_answer(call);
		call->err = -ENODATA;
		p->l->stats.answers_forgotten++;
	}
	return p->kept_bytes + len <= max;
}

static void keep_answer(struct links_call *call, struct span body)
{
	struct link_peer *p = call->peer;

	if (make_room(p, body.len))
		call->answer = malloc(MAX(body.len, (size_t)1));
	if (!call->answer) {
		call->err = -ENODATA;
		p->l->stats.answers_forgotten++;
		return;
	}
	if (body.len)
		memcpy(call->answer, body.data, body.len);
	call->len = body.len;
	p->kept_bytes += body.len;
	list_append(&p->kept, &call->kept);
}

/* True if somebody still waits for it; else it is freed. */
static bool end(struct links_call *call)
{
	assert(call->running);
	call->running = false;
	if (call->peer)
		return true;
	free(call);
	return false;
}

int links_answer(struct links_call *call, struct span body)
{
	if (call->peer && body.len > call->peer->l->config.message_max) {
		links_refuse(call, -EMSGSIZE);
		return -EMSGSIZE;
	}
	if (!end(call))
		return 0;
	keep_answer(call, body);
	write_outcome(call);
	return 0;
}

void links_refuse(struct links_call *call, int err)
{
	assert(err < 0 && err >= -ERRNO_MAX);
	if (!end(call))
		return;
	call->peer->l->stats.calls_refused++;
	call->err = err;
	write_outcome(call);
}

uint64_t links_call_left_ms(const struct links_call *call)
{
	uint64_t now_ms = call->peer ? link_now(call->peer->l) : 0;

	return call->peer && call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
}

/* ---- arrival ---- */

/* Those below it are of no use any more. */
static void forget_below(struct link_peer *p, uint64_t floor)
{
	while (!list_empty(&p->calls)) {
		struct links_call *call = container_of(p->calls.next, struct links_call, node);

		if (call->ticket >= floor)
			break;
		forget(call);
	}
}

static struct links_call *remember(struct link_peer *p, const struct wire_frame *frame)
{
	struct links *l = p->l;
	struct links_call *call = calloc(1, sizeof(*call));

	if (!call || map_insert(&p->seen, link_hash(l, frame->ticket), call) < 0) {
		free(call);
		return NULL;
	}
	call->peer = p;
	call->ticket = frame->ticket;
	call->running = true;
	p->last_ticket = call->ticket;
	call->deadline_ms = link_now(l) + MIN(frame->time, (uint32_t)LINKS_TIMEOUT_MAX_MS);
	list_append(&p->calls, &call->node);
	p->call_count++;
	timer_set(l->config.timers, &call->timer, call->deadline_ms, on_time);
	return call;
}

void link_call_received(struct link_peer *p, const struct wire_frame *frame)
{
	struct links *l = p->l;
	struct links_call *call;

	forget_below(p, frame->floor);
	call = map_find(&p->seen, link_hash(l, frame->ticket), has_ticket, &frame->ticket);
	if (call || frame->ticket <= p->last_ticket)
		l->stats.calls_again++;
	if (call) {
		if (!call->running)
			write_outcome(call);
		return;
	}
	if (frame->ticket <= p->last_ticket) {
		(void)write_refusal(p, frame->ticket, -ENODATA);
		return;
	}
	l->stats.calls_received++;
	call = p->call_count < l->config.calls_max ? remember(p, frame) : NULL;
	if (!call) {
		l->stats.calls_refused++;
		(void)write_refusal(p, frame->ticket, -ENOBUFS);
		return;
	}
	l->handlers->on_call(l->ctx, p->node, p->incarnation, frame->kind, frame->body, call);
}
