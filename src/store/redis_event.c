/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The log: as many streams as there are partitions, read as one.
 *
 * The hard idea: a place in it means the same on every node, because events are in the order of (ms,
 * partition, seq) and a reader only goes up to the millisecond that is still open by the server's clock. In
 * those that are over nothing is added any more - scripts never write below a time that was told to anybody
 * -, so what was read once has no holes that are filled later.
 *
 * A read takes a few entries from each stream. Where a stream may have more than it gave, nothing behind its
 * last one can be handed out yet: the rest is dropped and read again. So a read goes round by round, with
 * more of each stream each time, until it has what was asked for.
 */

#include "store/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	POLL_MS = 50,
	SOON_MS = 2, /* until the millisecond is over */
	STEP_MAX = 32,
	EVENTS_MAX = 4096,
	BYTES_MAX = 1 << 20,
	MEMORY_MAX = 256 << 20,
};

/* ---- time and places ---- */

/* The first millisecond that is open, as a TIME that was asked before the streams were read says. */
static uint64_t horizon_of(const struct redis *r, const struct redisReply *time)
{
	uint64_t ms = redis_item_uint(time, 0, 0) * 1000 + redis_item_uint(time, 1, 0) / 1000;

	return r->options.wall_ms == clock_wall_ms ? ms : MAX(ms, r->options.wall_ms());
}

static struct store_cursor before_ms(uint64_t ms)
{
	return (struct store_cursor){ms - 1, redis_sequence_before(ms)};
}

/* Whether the sequence counts: it is from this store if it tells the same time. */
static bool is_exact(struct store_cursor c)
{
	return c.sequence && redis_sequence_split(c.sequence).ms == c.time_ms;
}

/* The last sequence that is not wanted. */
static uint64_t sequence_of(struct store_cursor c)
{
	return is_exact(c) ? c.sequence : redis_sequence_before(c.time_ms);
}

static void arg_id(struct redis_call *c, uint64_t ms, uint64_t seq)
{
	char id[48];
	int len = snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, ms, seq);

	redis_arg(c, span_of(id, (size_t)len));
}

/* XREAD of all streams behind a sequence. */
static void arg_streams(struct redis_call *c, size_t count, uint64_t sequence)
{
	const struct redis_layout *l = &c->redis->layout;
	struct redis_event_place at = redis_sequence_split(sequence);
	struct redis_key k;

	redis_arg_str(c, "XREAD");
	redis_arg_str(c, "COUNT");
	redis_arg_uint(c, count);
	redis_arg_str(c, "STREAMS");
	for (uint32_t p = 0; p < l->partitions; p++)
		redis_arg(c, redis_stream_key(&k, l, p));
	for (uint32_t p = 0; p < l->partitions; p++) {
		if (sequence == 0)
			redis_arg_str(c, "0-0");
		else if (p == at.partition)
			arg_id(c, at.ms, at.seq);
		else if (p < at.partition)
			arg_id(c, at.ms, UINT64_MAX);
		else
			arg_id(c, at.ms - 1, UINT64_MAX);
	}
}

/* The partition in a stream's key: "...{pN}e". */
static bool partition_of(const struct redis_layout *l, struct span key, uint32_t *out)
{
	struct span rest = span_from(key, strlen(l->prefix) + 2);
	uint64_t n;

	if (rest.len < 3 || !span_to_uint(span_of(rest.data, rest.len - 2), l->partitions - 1, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

/* ---- a read ---- */

struct reading {
	struct redis *r;
	store_events_fn *done;
	void *ctx;
	struct store_cursor after;
	uint64_t from; /* all wanted ones are behind this sequence */
	size_t count;  /* wanted */
	size_t step;
	uint64_t horizon;
	bool more; /* the round was cut */
	uint64_t cut;
	struct arena memory;
	struct store_event *items;
	size_t have, room, kept; /* kept: from former rounds */
	size_t bytes, round_bytes, round_entries;
	bool gap;
	struct store_cursor lost_to;
	int err;
};

struct reading_call {
	struct redis_call call;
	struct reading *reading;
};

static int compare_events(const void *a, const void *b)
{
	const struct store_event *x = a, *y = b;

	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static void reading_end(struct reading *g)
{
	struct redis *r = g->r;
	struct store_events events = {
		.result = g->err,
		.gap = g->gap,
		.lost_to = g->lost_to,
		.items = g->items,
		.count = g->err < 0 ? 0 : g->have,
		.next = g->gap ? g->lost_to : g->after,
	};

	if (events.count) {
		const struct store_event *last = &g->items[events.count - 1];

		events.next = (struct store_cursor){last->time_ms, last->sequence};
	}
	g->done(g->ctx, &events);
	arena_deinit(&g->memory);
	free(g->items);
	free(g);
	redis_job_end(r);
}

static bool grow_items(struct reading *g)
{
	size_t room = MAX(g->room * 2, (size_t)64);
	struct store_event *items;

	if (g->have < g->room)
		return true;
	items = realloc(g->items, room * sizeof(*items));
	if (!items)
		return false;
	g->items = items;
	g->room = room;
	return true;
}

/* One entry of a stream: [id, [name, value, ...]] with the names of redis_keys.h, in their order. */
static bool read_entry(struct reading *g, uint32_t partition, const struct redisReply *entry,
		       struct store_event *out)
{
	const struct redisReply *fields = redis_item(entry, 1);
	struct span device = redis_item_bytes(fields, 3), body = redis_item_bytes(fields, 5);
	uint64_t type = redis_item_uint(fields, 1, 0);
	uint32_t seq;

	if (!redis_stream_id(redis_item_bytes(entry, 0), &out->time_ms, &seq) || type == 0 ||
	    type > UINT8_MAX)
		return false;
	out->sequence = redis_sequence(out->time_ms, partition, seq);
	out->type = (uint8_t)type;
	if (type == STORE_EVENT_LOST)
		return true;
	device = arena_dup(&g->memory, device);
	out->body = arena_dup(&g->memory, body);
	return out->body.data && device.data && redis_hint_decode(device, &out->key);
}

static void read_stream(struct reading *g, const struct redisReply *stream)
{
	const struct redisReply *entries = redis_item(stream, 1);
	uint64_t last = 0;
	uint32_t partition;

	if (!entries || entries->type != REDIS_REPLY_ARRAY ||
	    !partition_of(&g->r->layout, redis_item_bytes(stream, 0), &partition)) {
		g->err = -EBADMSG;
		return;
	}
	for (size_t i = 0; i < entries->elements; i++) {
		struct store_event event = {0};

		if (!grow_items(g)) {
			g->err = -ENOMEM;
			return;
		}
		if (!read_entry(g, partition, entries->element[i], &event)) {
			g->err = -EBADMSG;
			return;
		}
		if (event.time_ms >= g->horizon)
			return;
		last = event.sequence;
		g->round_bytes += event.body.len + event.key.endpoint.len;
		g->round_entries++;
		if (event.type != STORE_EVENT_LOST)
			g->items[g->have++] = event;
	}
	if (entries->elements >= g->step && last) {
		g->more = true;
		g->cut = MIN(g->cut, last);
	}
}

static void on_time(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct reading *g = container_of(c, struct reading_call, call)->reading;

	if (err < 0)
		g->err = err;
	else
		g->horizon = horizon_of(g->r, reply);
}

static void on_streams(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct reading *g = container_of(c, struct reading_call, call)->reading;

	if (err < 0)
		g->err = err;
	for (size_t i = 0; g->err == 0 && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		read_stream(g, reply->element[i]);
}

/* What of a round can be handed out: in order, not behind the cut, within count and bytes. */
static void settle_round(struct reading *g)
{
	size_t end = g->kept;

	if (g->have > g->kept)
		qsort(g->items + g->kept, g->have - g->kept, sizeof(*g->items), compare_events);
	while (end < g->have && end < g->count && (!g->more || g->items[end].sequence <= g->cut) &&
	       (end == 0 || g->bytes < BYTES_MAX)) {
		g->bytes += g->items[end].body.len + g->items[end].key.endpoint.len;
		end++;
	}
	if (end == g->count || g->bytes >= BYTES_MAX)
		g->more = false;
	g->have = g->kept = end;
	if (g->more)
		g->from = MAX(g->from, g->cut);
}

/* As many of each stream as would have been enough, about. */
static size_t next_step(const struct reading *g)
{
	if (g->round_bytes > BYTES_MAX || g->round_entries > 2 * g->count)
		return MAX(g->step / 2, (size_t)1);
	return g->round_entries < g->count / 2 ? MIN(g->step * 2, (size_t)STEP_MAX) : g->step;
}

static void start_round(struct reading *g);

/* The last answer of a round. The mark is read after the streams: what was dropped before, it tells. */
static void on_mark(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct reading *g = container_of(c, struct reading_call, call)->reading;
	uint64_t mark;
	bool gap, again;

	if (err < 0)
		g->err = err;
	gap = g->err == 0 && span_to_uint(redis_bytes(reply), UINT64_MAX, &mark) &&
	      g->from < redis_sequence_before(mark);
	/* In the middle of a read the gap is left to the next one. */
	if (gap && g->kept) {
		g->have = g->kept;
		g->more = false;
		reading_end(g);
		return;
	}
	if (gap) {
		g->gap = true;
		g->lost_to = before_ms(mark);
		g->from = g->lost_to.sequence;
		g->have = 0;
		start_round(g);
		return;
	}
	if (g->err == 0)
		settle_round(g);
	again = g->err == 0 && g->more;
	g->step = next_step(g);
	if (again) {
		start_round(g);
		return;
	}
	/* A log that is read to its end says nothing about the next read. */
	if (g->have)
		g->r->events.step = g->step;
	reading_end(g);
}

static struct redis_call *reading_call(struct reading *g, redis_answer_fn *answer)
{
	struct reading_call *c = redis_call_new(g->r, sizeof(*c), answer);

	if (!c)
		return NULL;
	c->reading = g;
	c->call.internal = true;
	return &c->call;
}

/* All three or none. */
static int send_round(struct reading *g)
{
	struct redis_call *time = reading_call(g, on_time), *streams = reading_call(g, on_streams);
	struct redis_call *mark = reading_call(g, on_mark);
	struct redis_key k;

	if (time)
		redis_arg_str(time, "TIME");
	if (streams)
		arg_streams(streams, g->step, g->from);
	if (mark) {
		redis_arg_str(mark, "GET");
		redis_arg(mark, redis_meta_key(&k, &g->r->layout, "trimmed"));
	}
	if (!time || !streams || !mark || time->text.failed || streams->text.failed || mark->text.failed) {
		redis_call_free(time);
		redis_call_free(streams);
		redis_call_free(mark);
		return -ENOMEM;
	}
	/* They cannot be refused. */
	return redis_send(time) | redis_send(streams) | redis_send(mark);
}

static void start_round(struct reading *g)
{
	int err;

	g->more = false;
	g->cut = UINT64_MAX;
	g->round_bytes = g->round_entries = 0;
	err = send_round(g);
	if (err < 0) {
		g->err = err;
		reading_end(g);
	}
}

int redis_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		      void *ctx)
{
	struct redis *r = redis_of(s);
	struct reading *g;
	int err;

	if (r->closing)
		return -ESHUTDOWN;
	if (r->stats.pending_bytes >= r->options.pending_bytes_max)
		return -ENOBUFS;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	arena_init(&g->memory, MEMORY_MAX);
	g->r = r;
	g->done = done;
	g->ctx = ctx;
	g->after = after;
	g->from = sequence_of(after);
	g->count = MIN(count, (size_t)EVENTS_MAX);
	g->step = r->events.step;
	g->cut = UINT64_MAX;
	err = send_round(g);
	if (err < 0)
		free(g);
	else
		redis_job_begin(r);
	return err;
}

/* ---- waiting for more ---- */

static void poll_after(struct redis *r, uint64_t ms);

static void on_poll_time(struct redis_call *c, int err, const struct redisReply *reply)
{
	if (err == 0)
		c->redis->events.horizon = horizon_of(c->redis, reply);
}

static void on_poll(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	struct redis_events *e = &r->events;
	bool over = false, open = false;

	e->polling = false;
	for (size_t i = 0; err == 0 && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		const struct redisReply *first = redis_item(redis_item(reply->element[i], 1), 0);
		uint64_t ms;
		uint32_t seq;

		if (!redis_stream_id(redis_item_bytes(first, 0), &ms, &seq))
			continue;
		over |= ms < e->horizon;
		open |= ms >= e->horizon;
	}
	poll_after(r, open || e->again ? SOON_MS : POLL_MS);
	e->again = false;
	if (!over)
		return;
	e->end = before_ms(e->horizon);
	if (e->grown)
		e->grown(e->ctx);
}

static void on_poll_timer(uv_timer_t *timer)
{
	struct redis *r = container_of(timer, struct redis, events.timer);
	struct redis_call *time, *streams;

	poll_after(r, POLL_MS);
	if (r->state != REDIS_UP)
		return;
	time = redis_call_new(r, sizeof(*time), on_poll_time);
	streams = redis_call_new(r, sizeof(*streams), on_poll);
	if (!time || !streams) {
		redis_call_free(time);
		redis_call_free(streams);
		return;
	}
	time->internal = streams->internal = true;
	time->background = streams->background = true;
	redis_arg_str(time, "TIME");
	arg_streams(streams, 1, r->events.end.sequence);
	if (redis_send(time) == 0 && redis_send(streams) == 0) {
		r->events.polling = true;
		uv_timer_stop(&r->events.timer);
	} else {
		redis_call_free(streams);
	}
}

/* A poll that is under way starts the timer when it is back. */
static void poll_after(struct redis *r, uint64_t ms)
{
	if (r->events.grown && !r->closing && !r->events.polling)
		uv_timer_start(&r->events.timer, on_poll_timer, ms, 0);
}

void redis_events_written(struct redis *r)
{
	r->events.again = r->events.polling;
	poll_after(r, SOON_MS);
}

void redis_on_events(struct store *s, void (*grown)(void *ctx), void *ctx)
{
	struct redis *r = redis_of(s);

	if (!r->events.grown && grown)
		r->events.end = before_ms(redis_now(r));
	r->events.grown = grown;
	r->events.ctx = ctx;
	if (!grown)
		uv_timer_stop(&r->events.timer);
	else
		poll_after(r, SOON_MS);
}

void redis_events_stop(struct redis *r)
{
	r->events.grown = NULL;
	uv_timer_stop(&r->events.timer);
}

/* Nobody looks for new ones without a subscriber: then the end is where the clock stands. */
struct store_cursor redis_events_end(const struct store *s)
{
	const struct redis *r = container_of(s, struct redis, base);

	return r->events.grown ? r->events.end : before_ms(redis_now(r));
}
