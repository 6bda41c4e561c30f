/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * Links of three nodes on one loop over loopback, real sockets and real time. Between node 1 and node 2 there
 * may be a middleman, who stalls, cuts and records.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "cluster/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NODES = 3, HELD = 64, PIPE = 1 << 16, RECORDED = 1 << 20, MIRROR = 1, HOLD = 2, REFUSE = 3 };

/* Passes bytes on both ways, as long as it is let. */
struct middleman {
	int listener, ends[2];
	uint16_t port, to_port;
	bool stalled;
	unsigned connections;
	struct {
		uint8_t bytes[PIPE];
		size_t len;
	} pipes[2]; /* read from ends[i], to be written to the other */
	struct buffer recorded;
};

struct node {
	struct world *w;
	struct links *links;
	uint32_t number;
	uint64_t incarnation;
	bool gone;
	unsigned messages, executed, strangers;
	uint32_t from;
	uint64_t from_incarnation;
	uint16_t kind;
	size_t message_len;
	struct links_call *held[HELD];
	size_t held_count;
};

/* What became of a call. */
struct outcome {
	unsigned done;
	int err;
	size_t len;
	char text[32];
	uint64_t at_ms;
	struct world *w;
};

struct world {
	uv_loop_t loop;
	struct timers timers;
	struct random random;
	struct node nodes[NODES + 1]; /* by number */
	struct middleman *middleman;
};

/* ---- the middleman ---- */

static inline int nonblocking(int fd)
{
	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static inline int dial(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return nonblocking(fd);
}

static inline struct middleman *middleman_new(uint16_t to_port)
{
	struct middleman *m = calloc(1, sizeof(*m));
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	m->listener = nonblocking(socket(AF_INET, SOCK_STREAM, 0));
	assert_int_equal(bind(m->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(m->listener, 8), 0);
	assert_int_equal(getsockname(m->listener, (struct sockaddr *)&at, &len), 0);
	m->port = ntohs(at.sin_port);
	m->to_port = to_port;
	m->ends[0] = m->ends[1] = -1;
	m->recorded = buffer_of(RECORDED);
	return m;
}

static inline void middleman_cut(struct middleman *m)
{
	for (size_t i = 0; i < 2; i++) {
		if (m->ends[i] >= 0)
			close(m->ends[i]);
		m->ends[i] = -1;
		m->pipes[i].len = 0;
	}
}

static inline void middleman_free(struct middleman *m)
{
	if (!m)
		return;
	middleman_cut(m);
	close(m->listener);
	buffer_deinit(&m->recorded);
	free(m);
}

static inline void pass(struct middleman *m, int from)
{
	uint8_t *bytes = m->pipes[from].bytes;
	size_t *len = &m->pipes[from].len;
	ssize_t n;

	if (*len == 0) {
		n = recv(m->ends[from], bytes, PIPE, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			middleman_cut(m);
			return;
		}
		*len = n > 0 ? (size_t)n : 0;
		if (from == 0)
			buffer_bytes(&m->recorded, span_of(bytes, *len));
	}
	n = *len ? send(m->ends[!from], bytes, *len, MSG_NOSIGNAL) : 0;
	if (n > 0) {
		memmove(bytes, bytes + n, *len - (size_t)n);
		*len -= (size_t)n;
	}
}

static inline void middleman_run(struct middleman *m)
{
	if (m->ends[0] < 0) {
		m->ends[0] = accept(m->listener, NULL, NULL);
		if (m->ends[0] < 0)
			return;
		nonblocking(m->ends[0]);
		m->ends[1] = dial(m->to_port);
		m->connections++;
	}
	for (int i = 0; i < 2 && !m->stalled; i++)
		if (m->ends[i] >= 0)
			pass(m, i);
}

/* ---- the world ---- */

static inline void turn(struct world *w)
{
	uv_run(&w->loop, UV_RUN_NOWAIT);
	if (w->middleman)
		middleman_run(w->middleman);
	timers_advance(&w->timers, uv_now(&w->loop));
}

#define RUN_UNTIL(w, condition)                                        \
	do {                                                           \
		uint64_t until_ = uv_hrtime() + UINT64_C(20000000000); \
		while (!(condition) && uv_hrtime() < until_) {         \
			turn(w);                                       \
			usleep(100);                                   \
		}                                                      \
		assert_true(condition);                                \
	} while (0)

static inline void run_ms(struct world *w, uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;

	while (uv_hrtime() < end) {
		turn(w);
		usleep(100);
	}
}

static inline void on_message(void *ctx, uint32_t from, uint64_t incarnation, uint16_t kind, struct span body)
{
	struct node *n = ctx;

	n->messages++;
	n->from = from;
	n->from_incarnation = incarnation;
	n->kind = kind;
	n->message_len = body.len;
}

/* By kind: answers with the body, keeps it for later, refuses. */
static inline void on_call(void *ctx, uint32_t from, uint64_t incarnation, uint16_t kind, struct span body,
			   struct links_call *call)
{
	struct node *n = ctx;

	n->executed++;
	n->from = from;
	n->from_incarnation = incarnation;
	assert_true(links_call_left_ms(call) > 0);
	if (kind == MIRROR) {
		assert_int_equal(links_answer(call, body), 0);
	} else if (kind == HOLD) {
		assert_true(n->held_count < HELD);
		n->held[n->held_count++] = call;
	} else {
		links_refuse(call, -ENOENT);
	}
}

static inline void on_stranger(void *ctx, uint32_t from, uint64_t incarnation)
{
	struct node *n = ctx;

	assert_true(from >= 1 && incarnation > 0);
	n->strangers++;
}

static const struct links_handlers handlers = {on_message, on_call, on_stranger};

static inline void on_done(void *ctx, int err, struct span answer)
{
	struct outcome *o = ctx;

	o->done++;
	o->err = err;
	o->len = answer.len;
	if (o->w)
		o->at_ms = uv_now(&o->w->loop);
	snprintf(o->text, sizeof(o->text), "%.*s", (int)MIN(answer.len, sizeof(o->text) - 1),
		 answer.len ? (const char *)answer.data : "");
}

static inline struct address loopback(uint16_t port)
{
	return (struct address){.ip = {127, 0, 0, 1}, .family = 4, .port = port};
}

static inline struct links_config config_of(struct world *w, const struct node *n)
{
	struct links_config c = {.node = n->number,
				 .incarnation = n->incarnation,
				 .listen = loopback(0),
				 .loop = &w->loop,
				 .timers = &w->timers,
				 .random = &w->random,
				 .message_max = 1 << 20,
				 .bytes_max = 2 << 20,
				 .calls_max = 2000};

	c.key_count = 1;
	memset(&c.keys[0], 5, sizeof(c.keys[0]));
	return c;
}

static inline void start(struct world *w, uint32_t number, const struct links_config *config)
{
	struct node *n = &w->nodes[number];

	n->gone = false;
	assert_int_equal(links_new(config, &handlers, n, &n->links), 0);
}

static inline void on_links_closed(void *ctx)
{
	((struct node *)ctx)->gone = true;
}

static inline void stop(struct world *w, uint32_t number)
{
	struct node *n = &w->nodes[number];

	links_free(n->links, on_links_closed, n);
	n->links = NULL;
	RUN_UNTIL(w, n->gone);
}

static inline void introduce(struct world *w, uint32_t to, uint32_t number)
{
	struct address at = loopback(links_port(w->nodes[number].links));

	assert_int_equal(links_set_peer(w->nodes[to].links, number, w->nodes[number].incarnation, &at), 0);
}

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(uv_loop_init(&w->loop), 0);
	timers_init(&w->timers, uv_now(&w->loop));
	random_init_kernel(&w->random);
	for (uint32_t i = 1; i <= NODES; i++) {
		struct links_config config;

		w->nodes[i] = (struct node){.w = w, .number = i, .incarnation = 1000 + i};
		config = config_of(w, &w->nodes[i]);
		start(w, i, &config);
	}
	for (uint32_t i = 1; i <= NODES; i++)
		for (uint32_t j = 1; j <= NODES; j++)
			if (i != j)
				introduce(w, i, j);
	*state = w;
	return 0;
}

/* All is closed, no timer is set, no handle is left, and the sanitizer sees no memory left. */
static inline int teardown(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 1; i <= NODES; i++)
		if (w->nodes[i].links)
			stop(w, i);
	middleman_free(w->middleman);
	assert_int_equal(w->timers.count, 0);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	free(w);
	return 0;
}

/* From 1 to 2 only by the middleman. */
static inline void put_middleman(struct world *w)
{
	struct address at;

	w->middleman = middleman_new(links_port(w->nodes[2].links));
	at = loopback(w->middleman->port);
	assert_int_equal(links_set_peer(w->nodes[1].links, 2, w->nodes[2].incarnation, &at), 0);
}

static inline void call(struct world *w, uint32_t from, uint32_t to, uint16_t kind, const char *body,
			uint64_t timeout_ms, struct outcome *o)
{
	*o = (struct outcome){.w = w};
	assert_int_equal(
		links_call(w->nodes[from].links, to, kind, span_str(body), timeout_ms, on_done, o, NULL), 0);
	assert_int_equal(o->done, 0);
}

static inline const struct links_stats *stats(const struct world *w, uint32_t number)
{
	return links_stats(w->nodes[number].links);
}
static inline void on_count(void *ctx, int err, struct span answer)
{
	(void)answer;
	assert_int_equal(err, 0);
	++*(unsigned *)ctx;
}
