/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Opening and closing of a store in Redis.
 *
 * Opening may wait, and has to tell its caller what is wrong: so it makes its first connection on a loop of
 * its own, which it runs until everything is known that a store needs - the key of hashes, the partitions,
 * the incarnation -, and then connects anew on the caller's loop.
 */

#include "store/redis.h"

#include "base/random.h"

#include <errno.h>
#include <stdio.h>

enum { OPEN_MS = 5000, CLOSE_MS = 2000, CA_FILE_MAX = 4 << 20 };

static int complain(struct redis *r, int err, const char *words)
{
	log_event(r->log, LOG_ERROR, "store-not-opened", "error=\"%s\"", words);
	return err;
}

static void redis_free(struct redis *r)
{
	redis_target_deinit(&r->target);
	net_tls_free(r->tls);
	free(r);
}

/* ---- opening ---- */

static int read_file(const char *path, struct buffer *out)
{
	FILE *f = fopen(path, "re");
	uint8_t block[4096];
	size_t got;
	int err;

	if (!f)
		return -errno;
	while ((got = fread(block, 1, sizeof(block), f)) > 0)
		buffer_bytes(out, span_of(block, got));
	err = ferror(f) ? -EIO : out->failed ? -EFBIG : 0;
	fclose(f);
	return err;
}

static int prepare_tls(struct redis *r)
{
	_cleanup_buffer_ struct buffer trust = buffer_of(CA_FILE_MAX);
	struct net_tls_options options = {0};
	char words[NET_TLS_WORDS];
	int err = r->options.ca_file ? read_file(r->options.ca_file, &trust) : 0;

	if (err < 0)
		return complain(r, err, "the file with certificates (ca-file) cannot be read");
	options.trust = buffer_span(&trust);
	err = net_tls_new(&options, &r->tls, words);
	return err < 0 ? complain(r, err, words) : 0;
}

static int prepare(struct redis *r, const char *url)
{
	const char *wrong = redis_url_parse(url, &r->target);
	struct random random;

	if (wrong)
		return complain(r, -EINVAL, wrong);
	if (!r->target.user && r->options.user && !(r->target.user = strdup(r->options.user)))
		return -ENOMEM;
	if (r->options.password && !(r->target.password = strdup(r->options.password)))
		return -ENOMEM;
	if (r->target.user && !r->target.password)
		return complain(r, -EINVAL, "there is a user but no password: set password-file");
	if (r->options.durability == STORE_DURABILITY_DEFAULT)
		r->options.durability = STORE_LOCAL;
	memcpy(r->layout.prefix, r->target.prefix, sizeof(r->layout.prefix));
	r->layout.partitions = REDIS_PARTITIONS;
	r->layout.buckets = REDIS_BUCKETS;
	random_init_kernel(&random);
	/* For a store that is made now; one that there is keeps its own. */
	random_fill(&random, r->layout.hash_key.bytes, sizeof(r->layout.hash_key.bytes));
	r->tickets = random_u64(&random);
	return r->target.tls ? prepare_tls(r) : 0;
}

static void on_deadline(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* One attempt after the other, until the store is known, or cannot be, or the time is over. */
static int first_connection(struct redis *r)
{
	uint64_t end;
	uv_timer_t deadline;
	uv_loop_t loop;
	int err = uv_loop_init(&loop);

	if (err < 0)
		return err;
	r->opening = true;
	uv_timer_init(&loop, &deadline);
	uv_timer_start(&deadline, on_deadline, OPEN_MS, 0);
	err = redis_conn_init(r, &loop);
	end = uv_now(&loop) + OPEN_MS;
	while (err == 0 && r->state != REDIS_UP && !r->fatal && uv_now(&loop) < end)
		uv_run(&loop, UV_RUN_DEFAULT);
	if (err == 0 && r->state != REDIS_UP) {
		err = r->fatal ? r->fatal : -ETIMEDOUT;
		complain(r, err, r->trouble[0] ? r->trouble : "no answer");
	}
	redis_conn_stop(r);
	while (r->stream)
		uv_run(&loop, UV_RUN_ONCE);
	redis_conn_deinit(r, NULL);
	uv_close((uv_handle_t *)&deadline, NULL);
	while (uv_run(&loop, UV_RUN_DEFAULT))
		;
	uv_loop_close(&loop);
	r->opening = false;
	return err;
}

static void forget_secrets(struct store_options *o)
{
	o->user = o->password = o->ca_file = NULL;
}

static int redis_open(const char *url, const struct store_options *options, uint32_t node,
		      struct uv_loop_s *loop, struct log *log, struct store **out)
{
	struct redis *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->base.backend = &redis_backend;
	r->options = *options;
	r->node = node;
	r->log = log;
	r->events.step = 1;
	err = prepare(r, url);
	if (err == 0)
		err = first_connection(r);
	forget_secrets(&r->options);
	if (err == 0) {
		err = redis_conn_init(r, loop);
	}
	if (err < 0) {
		redis_free(r);
		return err;
	}
	log_event(log, LOG_INFO, "store-opened", "peer=\"%s\" partitions=%u replicas=%u",
		  net_stream_peer(r->stream), r->layout.partitions, r->replicas);
	*out = &r->base;
	return 0;
}

/* ---- closing ---- */

static void on_conn_closed(struct redis *r)
{
	void (*closed)(void *ctx) = r->closed;
	void *ctx = r->closed_ctx;

	redis_free(r);
	closed(ctx);
}

static void lease_dropped(void *ctx, int result, const struct store_lease *lease)
{
	(void)ctx;
	(void)result;
	(void)lease;
}

static bool idle(const struct redis *r)
{
	return !r->sent.first && !r->waiting.first && !r->held.first && r->jobs == 0;
}

void redis_close_step(struct redis *r)
{
	bool late = uv_now(r->loop) >= r->close_ms;

	if (!r->closing || r->close_done || (!idle(r) && !late))
		return;
	if (r->leased && !late && r->state == REDIS_UP) {
		r->leased = false;
		if (redis_lease_give_up(r, lease_dropped) == 0)
			return;
	}
	if (r->state != REDIS_STOPPED)
		redis_conn_stop(r);
	if (r->stream)
		return;
	r->close_done = true;
	redis_conn_deinit(r, on_conn_closed);
}

static void redis_close(struct store *s, void (*closed)(void *ctx), void *ctx)
{
	struct redis *r = redis_of(s);

	assert(!r->closing);
	r->closing = true;
	r->closed = closed;
	r->closed_ctx = ctx;
	r->close_ms = uv_now(r->loop) + (r->state == REDIS_UP ? r->options.timeout_ms : CLOSE_MS);
	redis_events_stop(r);
	/* With the next tick at the latest: nothing is called back from within a call. */
	uv_timer_start(&r->tick, r->tick.timer_cb, 0, 50);
}

static bool redis_healthy(const struct store *s, const char **why)
{
	const struct redis *r = container_of(s, struct redis, base);

	if (r->trouble[0])
		*why = r->trouble;
	return !r->trouble[0];
}

static void redis_stats(const struct store *s, struct store_stats *out)
{
	const struct redis *r = container_of(s, struct redis, base);

	*out = r->stats;
	out->journal_bytes = r->trims.bytes;
	out->events_trimmed = r->trims.trimmed;
	out->journal_last = r->events.end.sequence;
	out->partitions = r->layout.partitions;
}

static uint64_t redis_now_ms(const struct store *s)
{
	return redis_now(container_of(s, struct redis, base));
}

static uint64_t redis_silent_ms(const struct store *s)
{
	const struct redis *r = container_of(s, struct redis, base);

	return r->silent_since_ms ? MAX(uv_now(r->loop) - r->silent_since_ms, (uint64_t)1) : 0;
}

const struct store_backend redis_backend = {
	.open = redis_open,
	.close = redis_close,
	.healthy = redis_healthy,
	.stats = redis_stats,
	.write = redis_write,
	.claim = redis_claim,
	.find = redis_find,
	.scan = redis_scan,
	.find_hash = redis_find_hash,
	.walk = redis_walk,
	.expired = redis_expired,
	.expiry_set = redis_expiry_set,
	.index_find = redis_index_find,
	.events_read = redis_events_read,
	.events_end = redis_events_end,
	.on_events = redis_on_events,
	.document_put = redis_document_put,
	.document_delete = redis_document_delete,
	.document_get = redis_document_get,
	.document_list = redis_document_list,
	.request_add = redis_request_add,
	.request_set = redis_request_set,
	.request_list = redis_request_list,
	.lease_take = redis_lease_take,
	.lease_drop = redis_lease_drop,
	.lease_list = redis_lease_list,
	.now_ms = redis_now_ms,
	.silent_ms = redis_silent_ms,
};
