/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Our calls to others. A call is kept until it is answered or its time is over, whatever happens to
 * connections in between: each new one gets all that have no answer, in the order of their tickets. Because
 * of that order, the lowest ticket without answer says what the peer may forget.
 *
 * A call that fails is not ended there and then - its caller may be in the middle of something - but by its
 * timer.
 */

#include "cluster/link_private.h"

#include <errno.h>

static bool has_ticket(const void *item, const void *key)
{
	return ((const struct link_ask *)item)->ticket == *(const uint64_t *)key;
}

static struct link_ask *find(const struct links *l, uint64_t ticket)
{
	return map_find(&l->asks, link_hash(l, ticket), has_ticket, &ticket);
}

/* No peer has to do with it any more. */
static void detach(struct link_ask *a)
{
	struct link_peer *p = a->peer;

	list_remove(&a->node);
	if (!p)
		return;
	p->ask_count--;
	p->ask_bytes -= a->len;
	p->asks_unsent -= !a->sent;
	a->peer = NULL;
}

static void forget(struct link_ask *a)
{
	detach(a);
	timer_cancel(a->l->config.timers, &a->timer);
	map_remove(&a->l->asks, link_hash(a->l, a->ticket), a);
}

static void end(struct link_ask *a, int err, struct span answer)
{
	forget(a);
	if (err == 0)
		a->l->stats.calls_answered++;
	else
		a->l->stats.calls_failed++;
	a->done(a->ctx, err, answer);
	free(a);
}

static void on_time(struct timer *timer, uint64_t now_ms)
{
	struct link_ask *a = container_of(timer, struct link_ask, timer);

	(void)now_ms;
	if (a->peer)
		end(a, a->left ? -ETIMEDOUT : -ENOTCONN, span_of(NULL, 0));
	else
		end(a, a->err, span_of(NULL, 0));
}

static int write_call(struct link_peer *p, struct link_ask *a)
{
	struct link_ask *first = container_of(p->asks.next, struct link_ask, node);
	uint64_t now_ms = link_now(p->l);
	struct wire_frame frame = {.type = WIRE_CALL,
				   .kind = a->kind,
				   .ticket = a->ticket,
				   .floor = first->ticket,
				   .time = (uint32_t)(a->deadline_ms > now_ms ? a->deadline_ms - now_ms : 1),
				   .body = span_of(a->body, a->len)};
	int err = link_conn_write(p->out, &frame);

	if (err < 0)
		return err;
	p->l->stats.calls_repeated += a->left;
	p->asks_unsent--;
	a->sent = true;
	a->left |= p->out->opened;
	return 0;
}

void link_asks_push(struct link_peer *p)
{
	if (!p->out || !p->asks_unsent)
		return;
	list_for_each (node, &p->asks) {
		struct link_ask *a = container_of(node, struct link_ask, node);

		if (!a->sent && write_call(p, a) < 0)
			return;
	}
}

void link_asks_left(struct link_peer *p)
{
	list_for_each (node, &p->asks) {
		struct link_ask *a = container_of(node, struct link_ask, node);

		a->left |= a->sent;
	}
}

void link_asks_unsent(struct link_peer *p)
{
	list_for_each (node, &p->asks)
		container_of(node, struct link_ask, node)->sent = false;
	p->asks_unsent = p->ask_count;
}

void link_asks_fail(struct link_peer *p, int err)
{
	struct links *l = p->l;

	list_for_each_safe (node, &p->asks) {
		struct link_ask *a = container_of(node, struct link_ask, node);

		detach(a);
		a->err = err;
		list_append(&l->over, &a->node);
		timer_set(l->config.timers, &a->timer, link_now(l), on_time);
	}
}

void link_asks_end(struct links *l)
{
	while (!list_empty(&l->over)) {
		struct link_ask *a = container_of(l->over.next, struct link_ask, node);

		end(a, a->err, span_of(NULL, 0));
	}
}

void link_ask_answered(struct link_peer *p, const struct wire_frame *frame, int err)
{
	struct link_ask *a = find(p->l, frame->ticket);

	/* Answers to what was cancelled, or timed out, are of no use any more. */
	if (a && a->peer == p)
		end(a, err, frame->body);
}

int links_call(struct links *l, uint32_t node, uint16_t kind, struct span body, uint64_t timeout_ms,
	       links_done *done, void *ctx, uint64_t *ticket)
{
	struct link_peer *p = link_peer_find(l, node);
	struct link_ask *a;

	assert(timeout_ms >= 1 && timeout_ms <= LINKS_TIMEOUT_MAX_MS);
	if (!p)
		return -ENOTCONN;
	if (body.len > l->config.message_max)
		return -EMSGSIZE;
	if (p->ask_count >= l->config.calls_max || p->ask_bytes + body.len > l->config.bytes_max)
		return -ENOBUFS;
	a = calloc(1, sizeof(*a) + body.len);
	if (!a)
		return -ENOMEM;
	a->ticket = ++l->last_ticket;
	if (map_insert(&l->asks, link_hash(l, a->ticket), a) < 0) {
		free(a);
		return -ENOMEM;
	}
	a->l = l;
	a->peer = p;
	a->deadline_ms = link_now(l) + timeout_ms;
	a->done = done;
	a->ctx = ctx;
	a->kind = kind;
	a->len = body.len;
	if (body.len)
		memcpy(a->body, body.data, body.len);
	list_append(&p->asks, &a->node);
	p->ask_count++;
	p->asks_unsent++;
	p->ask_bytes += a->len;
	timer_set(l->config.timers, &a->timer, a->deadline_ms, on_time);
	l->stats.calls_sent++;
	if (ticket)
		*ticket = a->ticket;
	p->used_ms = link_now(l);
	/* A new connection takes it along; an old one, if none waits before it. */
	if (!p->out)
		link_peer_connect(p);
	else if (p->asks_unsent == 1)
		(void)write_call(p, a);
	return 0;
}

bool links_cancel(struct links *l, uint64_t ticket)
{
	struct link_ask *a = find(l, ticket);

	if (!a)
		return false;
	forget(a);
	free(a);
	return true;
}
