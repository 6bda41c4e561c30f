/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * A listener in a test: real HTTP over loopback, driven by a loop that turns only while the test waits;
 * behind it a device manager and a log of events that do what the test says. They stand in for the real ones
 * at link time.
 */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "codec/codec.h"
#include "http/http.h"
#include "lwm2m/event.h"
#include "lwm2m/policy.h"
#include "lwm2m/server.h"
#include "store/store.h"

/* Behind base.h, which has a MIN and MAX of its own. */
#include <uv.h>

enum { BENCH_KEPT = 600, BENCH_CALLS = 2048, BENCH_QUEUED = 8, BENCH_HASH = 0x0a1b2c3d };
enum { BENCH_DEVICES = 20000, BENCH_EVENTS = 20000, BENCH_READS = 16, BENCH_ANSWER = 8 * 1024 * 1024 };

struct device {
	char endpoint[64];
	size_t endpoint_len;
	struct registration registration;
};

struct bench_read {
	struct store_cursor after;
	size_t count;
	store_events_fn *done;
	void *ctx;
};

struct bench_event {
	uint64_t sequence;
	char endpoint[32];
	uint8_t type;
	struct buffer body;
};

struct bench_kept {
	enum store_document kind;
	struct buffer name, body;
	uint64_t version; /* 0: free */
};

enum bench_call_kind { BENCH_PUT, BENCH_DELETE, BENCH_GET, BENCH_LIST };

struct bench_call {
	enum bench_call_kind what;
	enum store_document kind;
	struct buffer name, body;
	uint64_t expected;
	store_document_fn *done;
	void *ctx;
};

static struct {
	uv_loop_t loop;
	struct log log;
	struct http *http;
	struct http_config config;
	struct registry *registry;
	bool closed;

	struct device *devices;
	size_t device_count;

	/* the last request to a device */
	struct lwm2m_request request;
	char arguments[256];
	char endpoint[64];
	char value[256]; /* of the first record, if it is a string */
	size_t requests, cancels;
	int refuse; /* what lwm2m_request, forget and remove return */
	lwm2m_done *done;
	lwm2m_cancelled_fn *cancelled_done;
	void *done_ctx;
	bool removed, forgotten;

	/* policies: the last change, and how often they were read */
	char policy[128];
	size_t policies_set, policies_begun, policies_ended;
	struct policy declared;

	/* queues */
	struct {
		char endpoint[64], id[REQUEST_ID + 1];
		uint8_t state;
		uint64_t deadline_ms;
		uint8_t body[1024];
		size_t len;
	} queued[BENCH_QUEUED];
	size_t queued_count;
	char elsewhere[64]; /* a device that is another node's, with BENCH_HASH */
	int queued_error;

	/* the log */
	struct bench_event *events;
	size_t event_count;
	uint64_t trimmed_to; /* the last sequence that is gone */
	struct bench_read reads[BENCH_READS];
	size_t read_count, reads_done;
	int read_error;	  /* of a read that was started */
	int read_refused; /* ... that is not even started */
	void (*grown)(void *ctx);
	void *grown_ctx;
	bool unhealthy;

	/* the last change of a document, waiting */
	store_document_fn *document_done;
	void *document_ctx;
	char document_name[64];
	bool document_removed;
	int document_refuse; /* what the calls return */

	/* documents other than models: kept here, called back with the next turn */
	struct bench_kept kept[BENCH_KEPT];
	size_t kept_count;
	struct bench_call calls[BENCH_CALLS];
	size_t call_count;
	uint64_t document_version;
	int document_error; /* what they are called back with */
} bench;

/* ---- the device manager ---- */

const struct registry *lwm2m_registry(const struct lwm2m_server *s)
{
	(void)s;
	return bench.registry;
}

size_t lwm2m_device_count(const struct lwm2m_server *s)
{
	(void)s;
	return bench.device_count;
}

struct device *lwm2m_find(struct lwm2m_server *s, struct span endpoint)
{
	(void)s;
	for (size_t i = 0; i < bench.device_count; i++) {
		if (span_equal(endpoint, device_endpoint(&bench.devices[i])))
			return &bench.devices[i];
	}
	return NULL;
}

struct device *lwm2m_next(struct lwm2m_server *s, uint32_t *cursor)
{
	(void)s;
	return *cursor < bench.device_count ? &bench.devices[(*cursor)++] : NULL;
}

struct span device_endpoint(const struct device *d)
{
	return span_of(d->endpoint, d->endpoint_len);
}

void device_registration(const struct device *d, struct registration *out)
{
	*out = d->registration;
}

uint64_t device_seen_ms(const struct device *d)
{
	(void)d;
	return 1700000001000;
}

bool device_is_awake(const struct lwm2m_server *s, const struct device *d)
{
	(void)s;
	(void)d;
	return true;
}

int lwm2m_request(struct lwm2m_server *s, struct device *d, const struct lwm2m_request *r, lwm2m_done *done,
		  void *ctx, uint64_t *ticket, char error[160])
{
	(void)s;
	bench.requests++;
	bench.request = *r;
	snprintf(bench.arguments, sizeof(bench.arguments), "%.*s", (int)r->arguments.len,
		 r->arguments.len ? (const char *)r->arguments.data : "");
	snprintf(bench.endpoint, sizeof(bench.endpoint), "%.*s", (int)d->endpoint_len, d->endpoint);
	bench.value[0] = 0;
	if (r->record_count && r->records[0].value.type == VALUE_STRING)
		snprintf(bench.value, sizeof(bench.value), "%.*s", (int)r->records[0].value.bytes.len,
			 (const char *)r->records[0].value.bytes.data);
	if (bench.refuse) {
		snprintf(error, 160, "because");
		return bench.refuse;
	}
	bench.done = done;
	bench.done_ctx = ctx;
	*ticket = 77;
	return 0;
}

void lwm2m_request_cancel(struct lwm2m_server *s, uint64_t ticket)
{
	(void)s;
	assert_int_equal(ticket, 77);
	bench.cancels++;
	bench.done = NULL;
}

int lwm2m_forget_observation(struct lwm2m_server *s, struct device *d, const struct path *path,
			     const struct path *paths, size_t path_count, lwm2m_done *done, void *ctx)
{
	(void)s;
	(void)d;
	assert_int_equal(path_count > 0, paths != NULL);
	bench.request.path = *path;
	bench.forgotten = true;
	bench.done = done;
	bench.done_ctx = ctx;
	return bench.refuse;
}

int lwm2m_remove(struct lwm2m_server *s, struct device *d, lwm2m_done *done, void *ctx)
{
	(void)s;
	(void)d;
	bench.removed = true;
	bench.done = done;
	bench.done_ctx = ctx;
	return bench.refuse;
}

struct device *lwm2m_find_hash(struct lwm2m_server *s, uint32_t hash, unsigned nth)
{
	(void)s;
	return hash == BENCH_HASH && nth < bench.device_count ? &bench.devices[nth] : NULL;
}

int lwm2m_queue_cancel(struct lwm2m_server *s, struct device *d, struct span id, lwm2m_cancelled_fn *done,
		       void *ctx)
{
	(void)s;
	snprintf(bench.endpoint, sizeof(bench.endpoint), "%.*s", (int)d->endpoint_len, d->endpoint);
	snprintf(bench.value, sizeof(bench.value), "%.*s", (int)id.len, (const char *)id.data);
	bench.cancelled_done = done;
	bench.done_ctx = ctx;
	return bench.refuse;
}

int lwm2m_policy_set(struct lwm2m_server *s, struct span name, struct span body)
{
	struct policy p;

	(void)s;
	if (policy_decode(body, &p) < 0)
		return -EPROTO;
	snprintf(bench.policy, sizeof(bench.policy), "set %.*s %.*s", (int)name.len, (const char *)name.data,
		 (int)p.pattern.len, p.pattern.len ? (const char *)p.pattern.data : "");
	bench.policies_set++;
	return 0;
}

void lwm2m_policy_drop(struct lwm2m_server *s, struct span name)
{
	(void)s;
	snprintf(bench.policy, sizeof(bench.policy), "drop %.*s", (int)name.len, (const char *)name.data);
}

bool lwm2m_policy_fits(const struct lwm2m_server *s, struct span name)
{
	(void)s;
	(void)name;
	return !bench.refuse;
}

void lwm2m_policies_begin(struct lwm2m_server *s)
{
	(void)s;
	bench.policies_begun++;
}

void lwm2m_policies_end(struct lwm2m_server *s)
{
	(void)s;
	bench.policies_ended++;
}

struct span lwm2m_policy_name(const struct lwm2m_server *s, uint32_t origin)
{
	(void)s;
	return span_str(origin == 77 ? "temperature" : "");
}

int lwm2m_declare(struct lwm2m_server *s, struct device *d, const struct policy *wanted, lwm2m_done *done,
		  void *ctx)
{
	(void)s;
	(void)d;
	bench.declared = *wanted;
	bench.done = done;
	bench.done_ctx = ctx;
	return bench.refuse;
}

void lwm2m_stats(const struct lwm2m_server *s, struct lwm2m_stats *out)
{
	(void)s;
	*out = (struct lwm2m_stats){.updates = 12345, .devices = bench.device_count, .coap = {.timeouts = 6}};
}

static inline void bench_answer(struct lwm2m_answer answer)
{
	lwm2m_done *done = bench.done;

	assert_non_null(done);
	bench.done = NULL;
	done(bench.done_ctx, &answer);
}

static inline struct device *bench_device(const char *endpoint, size_t len)
{
	struct device *d = &bench.devices[bench.device_count++];

	memcpy(d->endpoint, endpoint, len);
	d->endpoint_len = len;
	d->registration = (struct registration){
		.present = true,
		.id = "a1B2c3D4e5",
		.registered_ms = 1700000000000,
		.address = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4},
		.lifetime_s = 300,
		.lwm2m = {1, 1},
		.binding = span_str("U"),
		.links = span_str("</1/0>,</3/0>"),
	};
	return d;
}

/* ---- the store ---- */

/* What waits for a look at devices; the test calls back. */
static struct {
	store_walk_fn *walk;
	uint64_t cursor;
	store_device_fn *find;
	char endpoint[64];
	void *ctx;
	int refuse;
	size_t walks;
	uint64_t silent_ms;
} bench_look;

int store_walk(struct store *s, enum store_role role, uint64_t cursor, size_t count, store_walk_fn *each,
	       void *ctx)
{
	(void)s;
	assert_int_equal(role, STORE_MANAGEMENT);
	assert_true(count > 0);
	if (bench_look.refuse)
		return bench_look.refuse;
	assert_null(bench_look.walk);
	bench_look.walk = each;
	bench_look.cursor = cursor;
	bench_look.ctx = ctx;
	bench_look.walks++;
	return 0;
}

int store_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx)
{
	(void)s;
	if (bench_look.refuse)
		return bench_look.refuse;
	assert_null(bench_look.find);
	snprintf(bench_look.endpoint, sizeof(bench_look.endpoint), "%.*s", (int)key.endpoint.len,
		 (const char *)key.endpoint.data);
	bench_look.find = done;
	bench_look.ctx = ctx;
	return 0;
}

uint64_t store_incarnation(const struct store *s)
{
	(void)s;
	return 70;
}

uint64_t store_silent_ms(const struct store *s)
{
	(void)s;
	return bench_look.silent_ms;
}

struct store_cursor store_events_end(const struct store *s)
{
	(void)s;
	return (struct store_cursor){1000 + bench.event_count, bench.event_count};
}

/* Within the call, which a store does not do; the listener does not mind. */
int store_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx)
{
	(void)s;
	for (size_t i = 0; i < bench.queued_count; i++) {
		struct store_request r = {span_str(bench.queued[i].id), bench.queued[i].state,
					  bench.queued[i].deadline_ms,
					  span_of(bench.queued[i].body, bench.queued[i].len)};

		if (span_equal(key.endpoint, span_str(bench.queued[i].endpoint)))
			each(ctx, STORE_DONE, &r);
	}
	each(ctx, bench.queued_error ? bench.queued_error : STORE_ABSENT, NULL);
	return 0;
}

int store_find_hash(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each, void *ctx)
{
	struct store_device found = {.key = {role, span_str(bench.elsewhere)}};

	(void)s;
	if (hash == BENCH_HASH && bench.elsewhere[0])
		each(ctx, STORE_DONE, &found);
	each(ctx, STORE_ABSENT, NULL);
	return 0;
}

void store_on_events(struct store *s, void (*grown)(void *ctx), void *ctx)
{
	(void)s;
	bench.grown = grown;
	bench.grown_ctx = ctx;
}

int store_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		      void *ctx)
{
	(void)s;
	if (bench.read_refused)
		return bench.read_refused;
	assert_true(bench.read_count < BENCH_READS);
	bench.reads[bench.read_count++] = (struct bench_read){after, count, done, ctx};
	return 0;
}

static inline int bench_document(enum store_document kind, struct span name, bool removed,
				 store_document_fn *done, void *ctx)
{
	assert_int_equal(kind, STORE_MODEL);
	assert_null(bench.document_done);
	snprintf(bench.document_name, sizeof(bench.document_name), "%.*s", (int)name.len,
		 (const char *)name.data);
	if (bench.document_refuse)
		return bench.document_refuse;
	bench.document_removed = removed;
	bench.document_done = done;
	bench.document_ctx = ctx;
	return 0;
}

static inline struct buffer bench_copy(struct span s)
{
	struct buffer b = buffer_of(1 << 20);

	buffer_bytes(&b, s);
	return b;
}

static inline int bench_call(enum bench_call_kind what, enum store_document kind, struct span name,
			     struct span body, uint64_t expected, store_document_fn *done, void *ctx)
{
	if (bench.document_refuse)
		return bench.document_refuse;
	assert_true(bench.call_count < BENCH_CALLS);
	bench.calls[bench.call_count++] =
		(struct bench_call){what, kind, bench_copy(name), bench_copy(body), expected, done, ctx};
	return 0;
}

static inline struct bench_kept *bench_kept(enum store_document kind, struct span name)
{
	for (size_t i = 0; i < bench.kept_count; i++) {
		struct bench_kept *k = &bench.kept[i];

		if (k->version && k->kind == kind && span_equal(buffer_span(&k->name), name))
			return k;
	}
	return NULL;
}

static inline void bench_drop(struct bench_kept *k)
{
	buffer_deinit(&k->name);
	buffer_deinit(&k->body);
	k->version = 0;
}

static inline void bench_do_put(struct bench_call *c)
{
	struct span name = buffer_span(&c->name);
	struct bench_kept *k = bench_kept(c->kind, name);
	uint64_t there = k ? k->version : 0;

	if (c->expected != UINT64_MAX && c->expected != there) {
		c->done(c->ctx, STORE_REFUSED, name, k ? buffer_span(&k->body) : span_str(""), there);
		return;
	}
	if (k)
		bench_drop(k);
	for (k = bench.kept; k < bench.kept + bench.kept_count && k->version;)
		k++;
	if (k == bench.kept + bench.kept_count)
		bench.kept_count++;
	assert_true(bench.kept_count <= BENCH_KEPT);
	*k = (struct bench_kept){c->kind, bench_copy(name), bench_copy(buffer_span(&c->body)),
				 ++bench.document_version};
	c->done(c->ctx, STORE_DONE, name, buffer_span(&c->body), k->version);
}

static inline int bench_compare(struct span a, struct span b)
{
	int order = memcmp(a.data, b.data, MIN(a.len, b.len));

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The document that follows `after` in order. */
static inline struct bench_kept *bench_after(enum store_document kind, struct span after)
{
	struct bench_kept *best = NULL;

	for (size_t i = 0; i < bench.kept_count; i++) {
		struct bench_kept *k = &bench.kept[i];

		if (k->version && k->kind == kind && bench_compare(buffer_span(&k->name), after) > 0 &&
		    (!best || bench_compare(buffer_span(&k->name), buffer_span(&best->name)) < 0))
			best = k;
	}
	return best;
}

static inline void bench_do_list(struct bench_call *c)
{
	struct bench_kept *k = bench_after(c->kind, buffer_span(&c->name));

	for (uint64_t i = 0; k && i < c->expected; i++) {
		c->done(c->ctx, STORE_DONE, buffer_span(&k->name), buffer_span(&k->body), k->version);
		k = bench_after(c->kind, buffer_span(&k->name));
	}
	c->done(c->ctx, STORE_ABSENT, span_str(""), span_str(""), 0);
}

static inline void bench_finish_call(struct bench_call *c)
{
	struct bench_kept *k = bench_kept(c->kind, buffer_span(&c->name));

	if (bench.document_error)
		c->done(c->ctx, bench.document_error, buffer_span(&c->name), span_str(""), 0);
	else if (c->what == BENCH_PUT)
		bench_do_put(c);
	else if (c->what == BENCH_LIST)
		bench_do_list(c);
	else if (!k)
		c->done(c->ctx, STORE_ABSENT, buffer_span(&c->name), span_str(""), 0);
	else if (c->what == BENCH_GET)
		c->done(c->ctx, STORE_DONE, buffer_span(&c->name), buffer_span(&k->body), k->version);
	if (c->what == BENCH_DELETE && k && !bench.document_error) {
		bench_drop(k);
		c->done(c->ctx, STORE_DONE, buffer_span(&c->name), span_str(""), 0);
	}
	buffer_deinit(&c->name);
	buffer_deinit(&c->body);
}

static inline void bench_finish_calls(void)
{
	struct bench_call calls[BENCH_CALLS];
	size_t count = bench.call_count;

	memcpy(calls, bench.calls, count * sizeof(calls[0]));
	bench.call_count = 0;
	for (size_t i = 0; i < count; i++)
		bench_finish_call(&calls[i]);
}

int store_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		       void *ctx)
{
	(void)s;
	return bench_call(BENCH_GET, kind, name, span_str(""), 0, done, ctx);
}

int store_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
			store_document_fn *each, void *ctx)
{
	(void)s;
	return bench_call(BENCH_LIST, kind, after, span_str(""), count, each, ctx);
}

int store_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		       uint64_t expected, store_document_fn *done, void *ctx)
{
	(void)s;
	if (kind != STORE_MODEL)
		return bench_call(BENCH_PUT, kind, name, body, expected, done, ctx);
	assert_true(body.len > 0);
	assert_int_equal(expected, UINT64_MAX);
	return bench_document(kind, name, false, done, ctx);
}

int store_document_delete(struct store *s, enum store_document kind, struct span name,
			  store_document_fn *done, void *ctx)
{
	(void)s;
	if (kind != STORE_MODEL)
		return bench_call(BENCH_DELETE, kind, name, span_str(""), 0, done, ctx);
	return bench_document(kind, name, true, done, ctx);
}

/* The change of a document ends. */
static inline void bench_finish_document(int result)
{
	store_document_fn *done = bench.document_done;

	assert_non_null(done);
	bench.document_done = NULL;
	done(bench.document_ctx, result, span_str(bench.document_name), span_str(""), 1);
}

bool store_healthy(const struct store *s, const char **why)
{
	(void)s;
	*why = "fdatasync failed";
	return !bench.unhealthy;
}

void store_stats(const struct store *s, struct store_stats *out)
{
	(void)s;
	*out = (struct store_stats){
		.writes = 4711, .commit_us_last = 1500, .journal_last = bench.event_count, .partitions = 256};
}

/* The event with sequence n happened at 1000 + n. */
static inline void bench_finish_read(const struct bench_read *read)
{
	struct store_event items[64];
	struct store_events result = {.result = bench.read_error, .items = items, .next = read->after};
	uint64_t from = read->after.sequence;

	if (!from && read->after.time_ms > 1000)
		from = read->after.time_ms - 1000 - 1;
	if (from < bench.trimmed_to) {
		result.gap = true;
		from = bench.trimmed_to;
		result.lost_to = result.next = (struct store_cursor){1000 + from, from};
	}
	for (; result.count < MIN(read->count, 64) && from < bench.event_count && !bench.read_error; from++) {
		const struct bench_event *e = &bench.events[from];

		items[result.count++] = (struct store_event){
			.sequence = e->sequence,
			.time_ms = 1000 + e->sequence,
			.type = e->type,
			.key = {STORE_MANAGEMENT, span_str(e->endpoint)},
			.body = buffer_span(&e->body),
		};
		result.next = (struct store_cursor){1000 + e->sequence, e->sequence};
	}
	bench.reads_done++;
	read->done(read->ctx, &result);
}

static inline void bench_finish_reads(void)
{
	struct bench_read reads[BENCH_READS];
	size_t count = bench.read_count;

	memcpy(reads, bench.reads, sizeof(reads));
	bench.read_count = 0;
	for (size_t i = 0; i < count; i++)
		bench_finish_read(&reads[i]);
}

/* A notification of `value` into the log. */
static inline void bench_event(const char *endpoint, const char *value)
{
	struct bench_event *e = &bench.events[bench.event_count++];
	struct lwm2m_event event = {
		.type = EVENT_NOTIFICATION,
		.path = {{3, 0, 0}, 3},
		.code = COAP_CONTENT,
		.format = FORMAT_TEXT,
		.lwm2m = {1, 1},
		.payload = span_str(value),
	};

	assert_true(bench.event_count <= BENCH_EVENTS);
	e->sequence = bench.event_count;
	e->type = EVENT_NOTIFICATION;
	e->body = buffer_of(STORE_EVENT_MAX);
	snprintf(e->endpoint, sizeof(e->endpoint), "%s", endpoint);
	assert_int_equal(lwm2m_event_encode(&event, (struct span){0}, &e->body), 0);
	if (bench.grown)
		bench.grown(bench.grown_ctx);
}

/* ---- time and the loop ---- */

static inline uint64_t bench_wall_ms(void)
{
	return 1700000000000;
}

static inline uint64_t bench_mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline void bench_turn(void)
{
	struct timespec pause = {0, 100000};

	bench_finish_reads();
	bench_finish_calls();
	uv_run(&bench.loop, UV_RUN_NOWAIT);
	nanosleep(&pause, NULL);
}

/* Turns the loop until `condition` holds; fails the test after five seconds. */
#define WAIT_FOR(condition)                                          \
	do {                                                         \
		uint64_t until_ = bench_mono_ms() + 60000;           \
                                                                     \
		while (!(condition)) {                               \
			if (bench_mono_ms() > until_)                \
				fail_msg("in vain: %s", #condition); \
			bench_turn();                                \
		}                                                    \
	} while (0)

static inline void bench_pass(uint64_t ms)
{
	uint64_t until = bench_mono_ms() + ms;

	while (bench_mono_ms() < until)
		bench_turn();
}

/* ---- a client ---- */

struct client {
	int fd;
	char *data; /* what came, NUL-terminated */
	size_t len;
	bool ended;
	bool paused; /* reads nothing */
};

static inline struct client *client_open(void)
{
	struct client *c = calloc(1, sizeof(*c));
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(http_port(bench.http)),
				 .sin_addr = {htonl(INADDR_LOOPBACK)}};

	assert_non_null(c);
	c->data = malloc(BENCH_ANSWER);
	assert_non_null(c->data);
	c->data[0] = 0;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	/* What a client does not read must not disappear in the kernel. */
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int));
	assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return c;
}

static inline void client_close(struct client *c)
{
	close(c->fd);
	free(c->data);
	free(c);
}

static inline void client_send(struct client *c, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t sent = send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			text += sent;
			len -= (size_t)sent;
		} else if (errno == EAGAIN) {
			bench_turn();
		} else {
			return; /* the server closed: it has answered already */
		}
	}
}

static inline void client_receive(struct client *c)
{
	ssize_t got;

	if (c->paused || c->ended)
		return;
	while ((got = recv(c->fd, c->data + c->len, BENCH_ANSWER - 1 - c->len, MSG_DONTWAIT)) > 0)
		c->len += (size_t)got;
	c->data[c->len] = 0;
	c->ended = got == 0 || (got < 0 && errno != EAGAIN);
}

static inline bool client_has(struct client *c, const char *text)
{
	client_receive(c);
	return strstr(c->data, text) != NULL;
}

static inline bool client_ended(struct client *c)
{
	client_receive(c);
	return c->ended;
}

static inline int client_status(const struct client *c)
{
	return strncmp(c->data, "HTTP/1.1 ", 9) ? 0 : atoi(c->data + 9);
}

/* The one response in `data` is complete: by its length, its last chunk, or the end of the connection. */
static inline bool client_complete(struct client *c)
{
	const char *body, *length;

	client_receive(c);
	body = memmem(c->data, MIN(c->len, 8192), "\r\n\r\n", 4);
	if (!body || c->ended)
		return c->ended;
	length = memmem(c->data, (size_t)(body - c->data), "\r\nContent-Length: ", 18);
	if (length)
		return c->len >= (size_t)(body + 4 - c->data) + strtoul(length + 18, NULL, 10);
	return client_status(c) == 204 || !memcmp(c->data + c->len - 5, "0\r\n\r\n", 5);
}

static inline const char *client_body(const struct client *c)
{
	const char *body = strstr(c->data, "\r\n\r\n");

	return body ? body + 4 : "";
}

/* Sends the head of a request: request line and Host, then `more` (headers, empty line, body). */
static inline void client_ask(struct client *c, const char *line, const char *more)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: localhost\r\n%s", line, more);
	client_send(c, text);
}

static inline void client_forget(struct client *c)
{
	c->len = 0;
	c->data[0] = 0;
}

/* ---- set up, tear down ---- */

static inline void bench_closed(void *ctx)
{
	(void)ctx;
	bench.closed = true;
}

static inline void bench_transport(void *ctx, struct http_transport_stats *out)
{
	(void)ctx;
	out->udp.received = 99;
}

static inline void bench_start(void)
{
	assert_int_equal(http_new(&bench.config, &bench.loop, (struct lwm2m_server *)&bench,
				  (struct store *)&bench, &bench.log, bench_transport, NULL, &bench.http),
			 0);
}

static inline void bench_stop(void)
{
	http_stop(bench.http, bench_closed, NULL);
	WAIT_FOR(bench.closed);
	bench.http = NULL;
}

/* Without starting the listener: a test may change the configuration before. */
static inline int bench_set_up(void **state)
{
	static const struct http_southbound southbound[] = {{"coap://0.0.0.0:5683", "CoAP over UDP"},
							    {"coap://[2001:db8::1]:5684", "another"}};

	(void)state;
	memset(&bench, 0, sizeof(bench));
	memset(&bench_look, 0, sizeof(bench_look));
	uv_loop_init(&bench.loop);
	log_init(&bench.log, STDERR_FILENO, LOG_ERROR);
	http_config_init(&bench.config);
	bench.config.listen.port = 0;
	bench.config.wall_ms = bench_wall_ms;
	bench.config.stop_ms = 300;
	bench.config.southbound = southbound;
	bench.config.southbound_count = 2;
	bench.registry = bench.config.registry = registry_new();
	bench.devices = calloc(BENCH_DEVICES, sizeof(*bench.devices));
	bench.events = calloc(BENCH_EVENTS, sizeof(*bench.events));
	bench_device("dev-1", 5);
	return bench.registry && bench.devices && bench.events ? 0 : -1;
}

static inline int bench_tear_down(void **state)
{
	(void)state;
	if (bench.http)
		bench_stop();
	bench_finish_reads();
	for (int i = 0; i < 10; i++)
		uv_run(&bench.loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(&bench.loop), 0);
	for (size_t i = 0; i < bench.event_count; i++)
		buffer_deinit(&bench.events[i].body);
	for (size_t i = 0; i < bench.kept_count; i++)
		bench_drop(&bench.kept[i]);
	free(bench.events);
	free(bench.devices);
	registry_free(bench.registry);
	return 0;
}
