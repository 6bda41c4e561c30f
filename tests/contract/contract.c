/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * See contract.h. The hard idea is that tests read as a sequence although everything is asynchronous: each
 * helper starts a call and runs the loop until that call was called back.
 */

#include "contract.h"

#include "server.h"

#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- backends ---- */

static void lmdb_init(struct place *p)
{
	snprintf(p->url, sizeof(p->url), "lmdb:%s/store", p->directory);
}

static void lmdb_deinit(struct place *p)
{
	(void)p;
}

static void redis_init(struct place *p)
{
	server_start(p, NULL);
	snprintf(p->url, sizeof(p->url), "redis+unix://%s/redis.sock", p->directory);
}

static const struct backend backends[] = {
	{"lmdb", true, lmdb_init, lmdb_deinit},
	{"redis", false, redis_init, server_stop},
};

const struct backend *backend_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (strcmp(backends[i].name, name) == 0)
			return &backends[i];
	return NULL;
}

void place_init(struct place *p, const struct backend *backend)
{
	const char *base = getenv("TMPDIR");

	p->backend = backend;
	snprintf(p->directory, sizeof(p->directory), "%s/shoal-store.XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(p->directory));
	backend->init(p);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void place_remove(struct place *p)
{
	p->backend->deinit(p);
	nftw(p->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- clock ---- */

static uint64_t clock_ms;

void clock_set(uint64_t ms)
{
	clock_ms = ms;
}

void clock_advance(uint64_t ms)
{
	clock_ms += ms;
}

uint64_t clock_now(void)
{
	return clock_ms;
}

/* ---- fixture ---- */

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	signal(SIGPIPE, SIG_IGN);
	place_init(&f->place, *state);
	clock_set((uint64_t)CLOCK_START_S * 1000);
	store_options_init(&f->options);
	f->options.wall_ms = clock_now;
	f->options.size_max = (uint64_t)256 << 20;
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(f->log_fd >= 0);
	log_init(&f->log, f->log_fd, LOG_INFO);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	fixture_open(f);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->store)
		fixture_close(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	close(f->log_fd);
	place_remove(&f->place);
	free(f);
	return 0;
}

int fixture_try_open(struct fixture *f)
{
	int err = store_open(f->place.url, &f->options, 7, &f->loop, &f->log, &f->store);

	if (err == 0)
		f->fence = (struct store_fence){7, 1, store_incarnation(f->store)};
	return err;
}

void fixture_open(struct fixture *f)
{
	assert_int_equal(fixture_try_open(f), 0);
}

static void set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

void fixture_close(struct fixture *f)
{
	bool closed = false;

	store_close(f->store, set_flag, &closed);
	wait_for(f, &closed);
	f->store = NULL;
}

void fixture_reopen(struct fixture *f)
{
	fixture_close(f);
	fixture_open(f);
}

void wait_for(struct fixture *f, const bool *done)
{
	uint64_t began = uv_hrtime();

	while (!*done) {
		uv_run(&f->loop, UV_RUN_ONCE);
		if (uv_hrtime() - began > (uint64_t)60 * 1000000000)
			fail_msg("no callback within a minute");
	}
}

const char *fixture_log(struct fixture *f, char *text, size_t size)
{
	ssize_t n = pread(f->log_fd, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

struct store_stats stats_of(const struct fixture *f)
{
	struct store_stats stats;

	store_stats(f->store, &stats);
	return stats;
}

/* ---- writes ---- */

struct store_key device_key(const char *endpoint)
{
	return (struct store_key){STORE_MANAGEMENT, span_str(endpoint)};
}

struct store_hot fresh_hot(const struct fixture *f)
{
	return (struct store_hot){.fence = f->fence};
}

int next_hot(struct store_hot *hot, uint16_t mid)
{
	struct coap_dedup *ring = &hot->dedup;
	int index = ring->next;

	hot->number++;
	hot->mark = hot->number * 10;
	hot->seen_ms = clock_now();
	if (!mid)
		return -1;
	ring->entries[index] = (struct coap_dedup_entry){
		.hash = mid * 65537U, .time_s = (uint32_t)(clock_now() / 1000), .mid = mid, .code = 0x44};
	ring->next = (uint8_t)((index + 1) % COAP_DEDUP_ENTRIES);
	return index;
}

static unsigned callbacks;

static void wrote(void *ctx, const struct store_written *written)
{
	struct wrote *out = ctx;

	assert_false(out->done);
	out->done = true;
	out->order = callbacks++;
	out->written = *written;
}

int try_write(struct fixture *f, const struct store_write *w, struct wrote *out)
{
	int err;

	*out = (struct wrote){0};
	err = store_write(f->store, w, wrote, out);
	assert_false(out->done);
	return err;
}

void write_later(struct fixture *f, const struct store_write *w, struct wrote *out)
{
	assert_int_equal(try_write(f, w, out), 0);
}

struct wrote write_now(struct fixture *f, const struct store_write *w)
{
	struct wrote out;

	write_later(f, w, &out);
	wait_for(f, &out.done);
	return out;
}

struct wrote hand_over_now(struct fixture *f, const struct store_write *w, const struct store_fence *to)
{
	struct wrote out = {0};

	assert_int_equal(store_hand_over(f->store, w, to, wrote, &out), 0);
	wait_for(f, &out.done);
	return out;
}

struct store_written put(struct fixture *f, const char *endpoint, struct store_hot *hot, const char *record,
			 const char *event)
{
	static uint16_t mid = 1;
	struct store_write w = {
		.key = device_key(endpoint),
		.hot = hot,
		.dedup_index = next_hot(hot, mid++),
		.change = record ? STORE_RECORD_PUT : STORE_RECORD_KEEP,
		.record = record ? span_str(record) : (struct span){NULL, 0},
		.event = event ? 1 : 0,
		.event_body = event ? span_str(event) : (struct span){NULL, 0},
	};
	struct wrote out = write_now(f, &w);

	assert_int_equal(out.written.result, STORE_DONE);
	return out.written;
}

struct store_written remove_device(struct fixture *f, const char *endpoint, struct store_hot *hot)
{
	struct store_write w = {
		.key = device_key(endpoint),
		.hot = hot,
		.dedup_index = next_hot(hot, 999),
		.change = STORE_RECORD_DELETE,
	};
	struct wrote out = write_now(f, &w);

	assert_int_equal(out.written.result, STORE_DONE);
	return out.written;
}

/* ---- look-ups and claims ---- */

static void found(void *ctx, int result, const struct store_device *device)
{
	struct found *out = ctx;

	assert_false(out->done);
	*out = (struct found){.done = true, .result = result, .device = device != NULL};
	if (!device)
		return;
	out->hot = device->hot;
	out->expires_ms = device->expires_ms;
	memcpy(out->endpoint, device->key.endpoint.data, device->key.endpoint.len);
	out->record_len = device->record.len;
	if (device->record.len)
		memcpy(out->record, device->record.data, device->record.len);
}

const struct found *find_now(struct fixture *f, struct store_key key)
{
	static struct found out;

	out.done = false;
	assert_int_equal(store_find(f->store, key, found, &out), 0);
	assert_false(out.done);
	wait_for(f, &out.done);
	return &out;
}

void claim_later(struct fixture *f, struct store_key key, const struct store_fence *expected,
		 struct found *out)
{
	out->done = false;
	assert_int_equal(store_claim(f->store, key, expected, found, out), 0);
}

const struct found *claim_now(struct fixture *f, struct store_key key, const struct store_fence *expected)
{
	static struct found out;

	claim_later(f, key, expected, &out);
	wait_for(f, &out.done);
	return &out;
}

void take_over(struct fixture *f, const char *endpoint, struct store_hot *hot)
{
	struct store_fence expected = hot->fence;

	hot->fence = f->fence;
	hot->fence.gen = expected.gen + 1;
	if (!embedded(&f->place))
		assert_int_equal(claim_now(f, device_key(endpoint), &expected)->result, STORE_DONE);
}

void assert_devices(const struct fixture *f, uint64_t count)
{
	if (embedded(&f->place))
		assert_int_equal(stats_of(f).devices, count);
}

/* ---- events ---- */

static void copy_text(char *to, size_t size, struct span s)
{
	size_t len = MIN(s.len, size - 1);

	if (len)
		memcpy(to, s.data, len);
	to[len] = '\0';
}

static void got_events(void *ctx, const struct store_events *events)
{
	struct events *out = ctx;

	*out = (struct events){
		.done = true,
		.result = events->result,
		.gap = events->gap,
		.lost_to = events->lost_to,
		.next = events->next,
		.count = events->count,
	};
	for (size_t i = 0; i < MIN(events->count, (size_t)EVENTS_KEPT); i++) {
		out->items[i].sequence = events->items[i].sequence;
		out->items[i].time_ms = events->items[i].time_ms;
		out->items[i].type = events->items[i].type;
		copy_text(out->items[i].endpoint, sizeof(out->items[i].endpoint),
			  events->items[i].key.endpoint);
		copy_text(out->items[i].body, sizeof(out->items[i].body), events->items[i].body);
	}
}

const struct events *events_now(struct fixture *f, struct store_cursor after, size_t count)
{
	static struct events out;

	if (!embedded(&f->place))
		clock_advance(1);
	out.done = false;
	assert_int_equal(store_events_read(f->store, after, count, got_events, &out), 0);
	wait_for(f, &out.done);
	assert_int_equal(out.result, STORE_DONE);
	return &out;
}

/* ---- comparing ---- */

void assert_hot_equal(const struct store_hot *a, const struct store_hot *b)
{
	assert_int_equal(a->fence.node, b->fence.node);
	assert_int_equal(a->fence.gen, b->fence.gen);
	assert_int_equal(a->fence.incarnation, b->fence.incarnation);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->mark, b->mark);
	assert_int_equal(a->seen_ms, b->seen_ms);
	assert_int_equal(a->dedup.next, b->dedup.next);
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		assert_int_equal(a->dedup.entries[i].hash, b->dedup.entries[i].hash);
		assert_int_equal(a->dedup.entries[i].time_s, b->dedup.entries[i].time_s);
		assert_int_equal(a->dedup.entries[i].mid, b->dedup.entries[i].mid);
		assert_int_equal(a->dedup.entries[i].code, b->dedup.entries[i].code);
	}
}
