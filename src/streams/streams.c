/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Start, time and end of the northbound through Redis. */

#include "streams/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct span streams_key(const struct streams *s, struct redis_key *k, const char *name)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	writer_str(&w, redis_side_layout(s->store)->prefix);
	writer_str(&w, name);
	k->len = writer_len(&w);
	return writer_span(&w);
}

static void on_tick(uv_timer_t *timer)
{
	struct streams *s = container_of(timer, struct streams, tick);
	uint64_t now = uv_now(s->loop);

	if (s->config.requests) {
		inbox_tick(s, now);
		ticket_tick(s, now);
		waiting_tick(s, now);
	}
	if (s->bridge)
		bridge_tick(s, now);
}

int streams_new(const struct streams_config *config, struct uv_loop_s *loop, struct http *http,
		struct store *store, struct log *log, struct streams **out)
{
	struct streams *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->loop = loop;
	s->http = http;
	s->store = store;
	s->log = log;
	list_init(&s->tickets);
	/* A name of this process alone: what another one of the same node left is taken over like that of
	 * others. */
	snprintf(s->consumer, sizeof(s->consumer), "%" PRIu32 "-%" PRIu64, config->node, config->incarnation);
	uv_timer_init(loop, &s->tick);
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	/* From here on it has to be stopped, whatever happens. */
	*out = s;
	if (config->bridge)
		err = bridge_start(s);
	if (err == 0 && config->requests)
		err = inbox_start(s);
	return err;
}

void streams_closed(void *ctx)
{
	struct streams *s = ctx;

	if (--s->closing == 0)
		s->stopped(s->stopped_ctx);
}

static void tick_closed(uv_handle_t *handle)
{
	streams_closed(container_of((uv_timer_t *)handle, struct streams, tick));
}

void streams_stop(struct streams *s, void (*stopped)(void *ctx), void *ctx)
{
	s->stopping = true;
	s->stopped = stopped;
	s->stopped_ctx = ctx;
	s->closing = 2;
	ticket_stop(s);
	if (s->bridge)
		bridge_stop(s);
	uv_close((uv_handle_t *)&s->tick, tick_closed);
	redis_feed_free(s->inbox.feed, streams_closed, s);
}

struct streams *streams_free(struct streams *s)
{
	if (!s)
		return NULL;
	assert(list_empty(&s->tickets) && s->late_count == 0);
	bridge_free(s);
	free(s);
	return NULL;
}
