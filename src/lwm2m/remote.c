/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Operations that began here and left with their device. The caller waits as before: for the answer that
 * comes from wherever the device is by then, for the news that nobody knows, or until its time is over.
 *
 * The hard idea: an operation keeps the ticket of the place where it began, wherever it goes. So its answer
 * needs no path back, and if the device returns, the operation meets its caller again.
 */

#include "lwm2m/core.h"

/* The other node's timer ends first, and its answer needs its time. */
enum { MARGIN_MS = 5000 };

struct remote {
	struct lwm2m_server *server;
	uint64_t ticket;
	lwm2m_done *done;
	void *ctx;
	struct timer timeout;
	uint8_t endpoint_len;
	uint8_t endpoint[];
};

static bool match_ticket(const void *item, const void *key)
{
	return ((const struct remote *)item)->ticket == *(const uint64_t *)key;
}

static struct remote *remote_find(struct lwm2m_server *s, uint64_t ticket)
{
	return map_find(&s->remotes, (uint32_t)ticket, match_ticket, &ticket);
}

static void remote_free(struct remote *m)
{
	struct lwm2m_server *s = m->server;

	timer_cancel(s->timers, &m->timeout);
	map_remove(&s->remotes, (uint32_t)m->ticket, m);
	free(m);
}

static void finish(struct remote *m, const struct lwm2m_answer *answer)
{
	lwm2m_done *done = m->done;
	void *ctx = m->ctx;

	remote_free(m);
	done(ctx, answer);
}

static void end(struct remote *m, enum lwm2m_outcome outcome, const char *words)
{
	finish(m, &(struct lwm2m_answer){.outcome = outcome, .format = COAP_FORMAT_NONE, .error = words});
}

static void expired(struct timer *t, uint64_t now_ms)
{
	struct remote *m = container_of(t, struct remote, timeout);

	(void)now_ms;
	m->server->stats.request_timeouts++;
	end(m, LWM2M_TIMEOUT, "no answer in time from the node that has the device now");
}

static struct remote *remote_new(const struct operation *op)
{
	struct lwm2m_server *s = op->device->server;
	struct span endpoint = device_endpoint(op->device);
	struct remote *m;

	if (s->remotes.count >= s->config.requests_max)
		return NULL;
	m = calloc(1, sizeof(*m) + endpoint.len);
	if (!m)
		return NULL;
	m->server = s;
	m->ticket = op->ticket;
	m->done = op->done;
	m->ctx = op->ctx;
	m->endpoint_len = (uint8_t)endpoint.len;
	memcpy(m->endpoint, endpoint.data, endpoint.len);
	if (map_insert(&s->remotes, (uint32_t)m->ticket, m) < 0) {
		free(m);
		return NULL;
	}
	return m;
}

void remote_add(struct operation *op)
{
	struct lwm2m_server *s = op->device->server;
	struct remote *m = remote_new(op);
	lwm2m_done *done = op->done;

	op->done = NULL;
	if (m)
		timer_set(s->timers, &m->timeout, server_now(s) + op->left_ms + op->spare_ms + MARGIN_MS,
			  expired);
	else
		done(op->ctx,
		     &(struct lwm2m_answer){.outcome = LWM2M_UNKNOWN,
					    .format = COAP_FORMAT_NONE,
					    .error = "the device moved, and its answer cannot be awaited"});
}

bool remote_return(struct operation *op, uint64_t ticket)
{
	struct lwm2m_server *s = op->device->server;
	struct remote *m = remote_find(s, ticket);

	if (!m || map_insert(&s->tickets, (uint32_t)ticket, op) < 0)
		return false;
	map_remove(&s->tickets, (uint32_t)op->ticket, op);
	op->ticket = ticket;
	op->done = m->done;
	op->ctx = m->ctx;
	remote_free(m);
	return true;
}

void remote_cancel(struct lwm2m_server *s, uint64_t ticket)
{
	struct remote *m = remote_find(s, ticket);

	if (m)
		remote_free(m);
}

void remotes_deinit(struct lwm2m_server *s)
{
	struct remote *m;
	uint32_t cursor = 0;

	while ((m = map_next(&s->remotes, &cursor))) {
		remote_free(m);
		cursor = 0;
	}
	map_deinit(&s->remotes);
}

void lwm2m_server_answered(struct lwm2m_server *s, uint64_t ticket, const struct lwm2m_answer *answer)
{
	struct remote *m = remote_find(s, ticket);

	if (m)
		finish(m, answer);
}

void lwm2m_server_abandoned(struct lwm2m_server *s, struct span endpoint)
{
	struct remote *m;
	uint32_t cursor = 0;

	while ((m = map_next(&s->remotes, &cursor))) {
		if (!span_equal(span_of(m->endpoint, m->endpoint_len), endpoint))
			continue;
		end(m, LWM2M_UNKNOWN, "the node that had the request died");
		cursor = 0;
	}
}
