/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Trimming of the log, once a second by whichever node is first.
 *
 * One time holds for all streams: what is older goes. First it is written down (the mark), then the events
 * go: a reader that looks at the mark after it has read is told of every gap, and hides what is left below
 * it. What consumer groups have not got yet stays in the streams, unless the log is larger than it may be.
 */

#include "store/redis.h"

#include <errno.h>

enum { TRIM_MS = 1000, LOCK_MS = 900 };

struct trimming {
	struct redis *r;
	size_t left;
	int err;
	uint64_t now, bytes, before_count, oldest_ms, dropped;
	uint64_t cutoff;
	bool hard; /* because of its size: groups do not count */
};

struct trim_call {
	struct redis_call call;
	struct trimming *trimming;
};

static void trim_end(struct trimming *t)
{
	struct redis *r = t->r;

	if (t->err == 0) {
		r->trims.bytes = t->bytes;
		r->trims.trimmed = t->before_count + t->dropped;
	}
	r->trims.running = false;
	/* After it dropped something it looks again soon, until nothing is over the limits. */
	r->trims.next_ms = uv_now(r->loop) + TRIM_MS;
	free(t);
	redis_job_end(r);
}

static struct redis_call *trim_call(struct trimming *t, redis_answer_fn *answer)
{
	struct trim_call *c = redis_call_new(t->r, sizeof(*c), answer);

	if (!c) {
		t->err = -ENOMEM;
		return NULL;
	}
	c->trimming = t;
	c->call.internal = c->call.background = true;
	return &c->call;
}

static void trim_send(struct trimming *t, struct redis_call *c)
{
	int err = redis_send(c);

	if (err < 0)
		t->err = err;
	else
		t->left++;
}

/* ---- the events go ---- */

static void on_trimmed(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct trimming *t = container_of(c, struct trim_call, call)->trimming;

	if (err < 0)
		t->err = err;
	else if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
		t->dropped += (uint64_t)reply->integer;
	if (--t->left == 0)
		trim_end(t);
}

static void trim_all(struct trimming *t)
{
	const struct redis_layout *l = &t->r->layout;
	struct redis_key k;

	for (uint32_t p = 0; p < l->partitions && t->err == 0; p++) {
		struct redis_call *c = trim_call(t, on_trimmed);

		if (!c)
			break;
		redis_script(c, REDIS_TRIM, 2);
		redis_arg(c, redis_stream_key(&k, l, p));
		redis_arg(c, redis_state_key(&k, l, p));
		redis_arg_floor(c);
		redis_arg_uint(c, t->cutoff);
		redis_arg_uint(c, t->hard);
		redis_arg_uint(c, STORE_EVENT_LOST);
		trim_send(t, c);
	}
	if (t->left == 0)
		trim_end(t);
}

static void on_marked(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct trimming *t = container_of(c, struct trim_call, call)->trimming;

	(void)reply;
	t->left--;
	if (err == 0) {
		trim_all(t);
		return;
	}
	t->err = err;
	trim_end(t);
}

/* ---- the time before which they go ---- */

/* By size: as if events came evenly. If they did not, the next second goes on. */
static void choose_cutoff(struct trimming *t)
{
	const struct store_options *o = &t->r->options;
	uint64_t limit = o->journal_bytes_max, cutoff;

	if (t->now >= o->journal_age_max_ms)
		t->cutoff = t->now - o->journal_age_max_ms + 1;
	if (t->bytes <= limit || !t->oldest_ms)
		return;
	cutoff = t->oldest_ms + 1 +
		 (uint64_t)((double)(t->now - t->oldest_ms) * (double)(t->bytes - limit + limit / 8) /
			    (double)t->bytes);
	t->cutoff = MAX(t->cutoff, MIN(cutoff, t->now));
	t->hard = true;
}

static void trim_choose(struct trimming *t)
{
	struct redis_call *c;
	struct redis_key k;

	choose_cutoff(t);
	if (t->err < 0 || !t->oldest_ms || t->oldest_ms >= t->cutoff || !(c = trim_call(t, on_marked))) {
		trim_end(t);
		return;
	}
	redis_script(c, REDIS_TRIM_MARK, 1);
	redis_arg(c, redis_meta_key(&k, &t->r->layout, "trimmed"));
	redis_arg_uint(c, t->cutoff);
	trim_send(t, c);
	if (t->left == 0)
		trim_end(t);
}

static void on_state(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct trimming *t = container_of(c, struct trim_call, call)->trimming;
	const struct redisReply *state = redis_item(reply, 1);
	uint64_t ms = redis_item_uint(state, 4, 0);

	if (err < 0)
		t->err = err;
	t->now = MAX(t->now, redis_item_uint(reply, 0, 0));
	t->bytes += redis_item_uint(state, 1, 0) - redis_item_uint(state, 3, 0);
	t->before_count += redis_item_uint(state, 2, 0);
	if (ms && (!t->oldest_ms || ms < t->oldest_ms))
		t->oldest_ms = ms;
	if (--t->left == 0)
		trim_choose(t);
}

static void on_lock(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct trimming *t = container_of(c, struct trim_call, call)->trimming;
	const struct redis_layout *l = &t->r->layout;
	struct redis_key k;

	t->left--;
	if (err < 0 || !span_is(redis_bytes(reply), "OK"))
		t->err = -EBUSY;
	for (uint32_t p = 0; p < l->partitions && t->err == 0; p++) {
		struct redis_call *ask = trim_call(t, on_state);

		if (!ask)
			break;
		redis_script(ask, REDIS_STREAM_STATE, 2);
		redis_arg(ask, redis_stream_key(&k, l, p));
		redis_arg(ask, redis_state_key(&k, l, p));
		redis_arg_floor(ask);
		trim_send(t, ask);
	}
	if (t->left == 0)
		trim_end(t);
}

void redis_trim(struct redis *r)
{
	struct trimming *t;
	struct redis_call *c;
	struct redis_key k;

	if (r->trims.running || uv_now(r->loop) < r->trims.next_ms)
		return;
	t = calloc(1, sizeof(*t));
	if (!t)
		return;
	t->r = r;
	redis_job_begin(r);
	r->trims.running = true;
	c = trim_call(t, on_lock);
	if (c) {
		redis_arg_str(c, "SET");
		redis_arg(c, redis_meta_key(&k, &r->layout, "trimming"));
		redis_arg_uint(c, r->node);
		redis_arg_str(c, "NX");
		redis_arg_str(c, "PX");
		redis_arg_uint(c, LOCK_MS);
		trim_send(t, c);
	}
	if (t->left == 0)
		trim_end(t);
}
