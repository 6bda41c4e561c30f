/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Links of two and three nodes on one loop over loopback. Between two of them there may be a middleman, who
 * stalls, cuts and records.
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
	unsigned messages, executed;
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

static int nonblocking(int fd)
{
	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int dial(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return nonblocking(fd);
}

static struct middleman *middleman_new(uint16_t to_port)
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

static void middleman_cut(struct middleman *m)
{
	for (size_t i = 0; i < 2; i++) {
		if (m->ends[i] >= 0)
			close(m->ends[i]);
		m->ends[i] = -1;
		m->pipes[i].len = 0;
	}
}

static void middleman_free(struct middleman *m)
{
	if (!m)
		return;
	middleman_cut(m);
	close(m->listener);
	buffer_deinit(&m->recorded);
	free(m);
}

static void pass(struct middleman *m, int from)
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

static void middleman_run(struct middleman *m)
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

static void turn(struct world *w)
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

static void run_ms(struct world *w, uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;

	while (uv_hrtime() < end) {
		turn(w);
		usleep(100);
	}
}

static void on_message(void *ctx, uint32_t from, uint64_t incarnation, uint16_t kind, struct span body)
{
	struct node *n = ctx;

	n->messages++;
	n->from = from;
	n->from_incarnation = incarnation;
	n->kind = kind;
	n->message_len = body.len;
}

/* By kind: answers with the body, keeps it for later, refuses. */
static void on_call(void *ctx, uint32_t from, uint64_t incarnation, uint16_t kind, struct span body,
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

static const struct links_handlers handlers = {on_message, on_call};

static void on_done(void *ctx, int err, struct span answer)
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

static struct address loopback(uint16_t port)
{
	return (struct address){.ip = {127, 0, 0, 1}, .family = 4, .port = port};
}

static struct links_config config_of(struct world *w, const struct node *n)
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

static void start(struct world *w, uint32_t number, const struct links_config *config)
{
	struct node *n = &w->nodes[number];

	n->gone = false;
	assert_int_equal(links_new(config, &handlers, n, &n->links), 0);
}

static void on_links_closed(void *ctx)
{
	((struct node *)ctx)->gone = true;
}

static void stop(struct world *w, uint32_t number)
{
	struct node *n = &w->nodes[number];

	links_free(n->links, on_links_closed, n);
	n->links = NULL;
	RUN_UNTIL(w, n->gone);
}

static void introduce(struct world *w, uint32_t to, uint32_t number)
{
	struct address at = loopback(links_port(w->nodes[number].links));

	assert_int_equal(links_set_peer(w->nodes[to].links, number, w->nodes[number].incarnation, &at), 0);
}

static int setup(void **state)
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
static int teardown(void **state)
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
static void put_middleman(struct world *w)
{
	struct address at;

	w->middleman = middleman_new(links_port(w->nodes[2].links));
	at = loopback(w->middleman->port);
	assert_int_equal(links_set_peer(w->nodes[1].links, 2, w->nodes[2].incarnation, &at), 0);
}

static void call(struct world *w, uint32_t from, uint32_t to, uint16_t kind, const char *body,
		 uint64_t timeout_ms, struct outcome *o)
{
	*o = (struct outcome){.w = w};
	assert_int_equal(
		links_call(w->nodes[from].links, to, kind, span_str(body), timeout_ms, on_done, o, NULL), 0);
	assert_int_equal(o->done, 0);
}

static const struct links_stats *stats(const struct world *w, uint32_t number)
{
	return links_stats(w->nodes[number].links);
}

/* ---- what is to work ---- */

static void test_call(void **state)
{
	struct world *w = *state;
	struct outcome a, b, c;

	call(w, 1, 2, MIRROR, "hello", 5000, &a);
	call(w, 2, 1, MIRROR, "", 5000, &b);
	call(w, 3, 1, REFUSE, "x", 5000, &c);
	RUN_UNTIL(w, a.done && b.done && c.done);
	assert_int_equal(a.err, 0);
	assert_string_equal(a.text, "hello");
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(c.err, -ENOENT);
	assert_int_equal(w->nodes[2].from, 1);
	assert_true(w->nodes[2].from_incarnation == 1001);
	assert_int_equal(stats(w, 1)->links_out, 1);
	assert_int_equal(stats(w, 1)->links_in, 2);
}

static void test_message(void **state)
{
	struct world *w = *state;

	assert_int_equal(links_send(w->nodes[3].links, 1, 77, span_str("datagram")), 0);
	RUN_UNTIL(w, w->nodes[1].messages);
	assert_int_equal(w->nodes[1].from, 3);
	assert_true(w->nodes[1].from_incarnation == 1003);
	assert_int_equal(w->nodes[1].kind, 77);
	assert_int_equal(w->nodes[1].message_len, 8);
	assert_int_equal(links_send(w->nodes[3].links, 9, 1, span_str("x")), -ENOTCONN);
}

static void test_later(void **state)
{
	struct world *w = *state;
	struct outcome a, b;

	call(w, 1, 2, HOLD, "a", 5000, &a);
	call(w, 1, 2, MIRROR, "b", 5000, &b);
	RUN_UNTIL(w, b.done && w->nodes[2].held_count);
	assert_int_equal(a.done, 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("at last")), 0);
	RUN_UNTIL(w, a.done);
	assert_string_equal(a.text, "at last");
}

static void on_count(void *ctx, int err, struct span answer)
{
	(void)answer;
	assert_int_equal(err, 0);
	++*(unsigned *)ctx;
}

/* More in all than may be remembered: by the floor in each call the peer forgets what is done. */
static void test_many(void **state)
{
	struct world *w = *state;
	unsigned begun = 0, done = 0;
	enum { MANY = 20000 };

	while (done < MANY) {
		while (begun < MANY) {
			int err = links_call(w->nodes[1].links, 2, MIRROR, span_of(&begun, sizeof(begun)),
					     60000, on_count, &done, NULL);

			if (err == -ENOBUFS)
				break;
			assert_int_equal(err, 0);
			begun++;
		}
		turn(w);
	}
	assert_int_equal(w->nodes[2].executed, MANY);
	assert_int_equal(stats(w, 2)->calls_refused, 0);
	assert_int_equal(stats(w, 1)->connects, 1);
	assert_int_equal(stats(w, 1)->calls_answered, MANY);
}

static void test_big(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	size_t len = 900 << 10;
	uint8_t *big = malloc((1 << 20) + 1);

	memset(big, 'x', (1 << 20) + 1);
	assert_int_equal(
		links_call(w->nodes[1].links, 2, MIRROR, span_of(big, len), 10000, on_done, &o, NULL), 0);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, 0);
	assert_int_equal(o.len, len);
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_of(big, 1 << 20)), 0);
	RUN_UNTIL(w, w->nodes[2].messages);
	assert_int_equal(w->nodes[2].message_len, 1 << 20);
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_of(big, (1 << 20) + 1)), -EMSGSIZE);
	assert_int_equal(
		links_call(w->nodes[1].links, 2, MIRROR, span_of(big, (1 << 20) + 1), 10, on_done, &o, NULL),
		-EMSGSIZE);
	/* An answer that is too long is no answer. */
	call(w, 1, 2, HOLD, "", 5000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_of(big, (1 << 20) + 1)), -EMSGSIZE);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -EMSGSIZE);
	free(big);
}

/* ---- deadlines ---- */

static void test_deadline(void **state)
{
	struct world *w = *state;
	struct outcome o, later;
	uint64_t begin_ms = uv_now(&w->loop);

	call(w, 1, 2, HOLD, "", 100, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ETIMEDOUT);
	assert_in_range(o.at_ms - begin_ms, 100, 1000);
	assert_int_equal(w->nodes[2].held_count, 1);
	/* Whoever executes it can see that nobody waits, and may answer all the same. */
	RUN_UNTIL(w, links_call_left_ms(w->nodes[2].held[0]) == 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("late")), 0);
	call(w, 1, 2, MIRROR, "next", 5000, &later);
	RUN_UNTIL(w, later.done);
	assert_string_equal(later.text, "next");
	assert_int_equal(o.done, 1);
}

/* Nobody is there: the caller knows that nothing was done. */
static void test_not_sent(void **state)
{
	struct world *w = *state;
	struct outcome o;

	stop(w, 2);
	call(w, 1, 2, MIRROR, "", 200, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ENOTCONN);
	assert_true(stats(w, 1)->connects > 1);
	assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_str("x")), -ENOTCONN);
	assert_int_equal(links_call(w->nodes[1].links, 9, MIRROR, span_str(""), 200, on_done, &o, NULL),
			 -ENOTCONN);
}

static void test_cancel(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t ticket;

	assert_int_equal(links_call(w->nodes[1].links, 2, HOLD, span_str(""), 5000, on_done, &o, &ticket), 0);
	assert_true(ticket != 0);
	RUN_UNTIL(w, w->nodes[2].held_count);
	assert_true(links_cancel(w->nodes[1].links, ticket));
	assert_false(links_cancel(w->nodes[1].links, ticket));
	links_answer(w->nodes[2].held[0], span_str("nobody wants it"));
	run_ms(w, 50);
	assert_int_equal(o.done, 0);
}

/* ---- broken connections ---- */

/* The connection breaks while the call runs, and again while its answer is on its way: executed once,
 * answered once. */
static void test_cut(void **state)
{
	struct world *w = *state;
	struct outcome o;

	put_middleman(w);
	call(w, 1, 2, HOLD, "once", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	middleman_cut(w->middleman);
	RUN_UNTIL(w, w->middleman->connections == 2 && stats(w, 2)->calls_again == 1);
	w->middleman->stalled = true;
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("answer")), 0);
	run_ms(w, 20);
	assert_int_equal(o.done, 0);
	middleman_cut(w->middleman);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, 0);
	assert_string_equal(o.text, "answer");
	assert_int_equal(w->nodes[2].executed, 1);
	assert_int_equal(o.done, 1);
	assert_int_equal(stats(w, 1)->calls_repeated, 2);
}

/* The answer comes when there is no connection. */
static void test_answer_meanwhile(void **state)
{
	struct world *w = *state;
	struct outcome o;

	put_middleman(w);
	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	w->middleman->stalled = true;
	middleman_cut(w->middleman);
	RUN_UNTIL(w, stats(w, 2)->links_in == 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("kept")), 0);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "kept");
	assert_int_equal(w->nodes[2].executed, 1);
}

/* A process that died has forgotten its tickets, so the call is not repeated to the one after it. */
static void test_other_incarnation(void **state)
{
	struct world *w = *state;
	struct links_config config;
	struct outcome o, next;

	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	stop(w, 2);
	links_refuse(w->nodes[2].held[0], -EIO);
	w->nodes[2].incarnation = 2002;
	config = config_of(w, &w->nodes[2]);
	start(w, 2, &config);
	introduce(w, 2, 1);
	run_ms(w, 50);
	assert_int_equal(o.done, 0);
	introduce(w, 1, 2);
	assert_int_equal(o.done, 0);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ECONNRESET);
	assert_int_equal(w->nodes[2].executed, 1);
	call(w, 1, 2, MIRROR, "new", 10000, &next);
	RUN_UNTIL(w, next.done);
	assert_string_equal(next.text, "new");
}

static void test_drop_peer(void **state)
{
	struct world *w = *state;
	struct outcome o, again;

	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	links_drop_peer(w->nodes[1].links, 2);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ECONNRESET);
	assert_int_equal(links_call(w->nodes[1].links, 2, MIRROR, span_str(""), 10, on_done, &again, NULL),
			 -ENOTCONN);
	RUN_UNTIL(w, stats(w, 2)->links_in == 0);
	/* And at the other end, while it is being executed. */
	links_drop_peer(w->nodes[2].links, 1);
	assert_int_equal(links_call_left_ms(w->nodes[2].held[0]), 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("")), 0);
	assert_int_equal(o.done, 1);
}

/* The lease of the caller is away for a moment, and what it called for forgotten: it is not executed again.
 */
static void test_lease_comes_back(void **state)
{
	struct world *w = *state;
	struct outcome o, next;

	call(w, 1, 2, HOLD, "", 10000, &o);
	RUN_UNTIL(w, w->nodes[2].held_count);
	links_drop_peer(w->nodes[2].links, 1);
	links_answer(w->nodes[2].held[0], span_str("nobody gets this"));
	assert_int_equal(stats(w, 2)->peers, 1);
	introduce(w, 2, 1);
	assert_int_equal(stats(w, 2)->peers, 2);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ENODATA);
	call(w, 1, 2, MIRROR, "next", 10000, &next);
	RUN_UNTIL(w, next.done);
	assert_string_equal(next.text, "next");
	assert_int_equal(w->nodes[2].executed, 2);
}

static void test_idle(void **state)
{
	struct world *w = *state;
	struct links_config config = config_of(w, &w->nodes[1]);
	struct outcome o;

	stop(w, 1);
	config.idle_ms = 100;
	start(w, 1, &config);
	introduce(w, 1, 2);
	call(w, 1, 2, HOLD, "", 10000, &o);
	run_ms(w, 250);
	/* Not while somebody waits. */
	assert_int_equal(stats(w, 1)->links_out, 1);
	links_answer(w->nodes[2].held[0], span_str(""));
	RUN_UNTIL(w, o.done);
	RUN_UNTIL(w, stats(w, 1)->links_out == 0 && stats(w, 2)->links_in == 0);
	call(w, 1, 2, MIRROR, "again", 10000, &o);
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "again");
	assert_int_equal(stats(w, 1)->connects, 2);
}

/* ---- ceilings ---- */

/* A peer that takes nothing costs no more than the ceiling; when it goes on, so does everything. */
static void test_slow(void **state)
{
	struct world *w = *state;
	static uint8_t block[10000];
	unsigned sent = 0;
	struct outcome o;
	int err = 0;

	put_middleman(w);
	call(w, 1, 2, MIRROR, "open", 10000, &o);
	RUN_UNTIL(w, o.done);
	w->middleman->stalled = true;
	for (int i = 0; i < 10000 && err == 0; i++) {
		err = links_send(w->nodes[1].links, 2, 1, span_of(block, sizeof(block)));
		sent += err == 0;
		turn(w);
	}
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(stats(w, 1)->messages_dropped, 1);
	/* A call waits for room, not for another connection. */
	call(w, 1, 2, MIRROR, "waits", 20000, &o);
	err = links_call(w->nodes[1].links, 2, MIRROR, span_of(block, sizeof(block)), 20000, on_count, &sent,
			 NULL);
	assert_int_equal(err, 0);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o.done && w->nodes[2].messages + 1 == sent);
	assert_string_equal(o.text, "waits");
	assert_int_equal(stats(w, 1)->connects, 1);
}

static void test_ceilings(void **state)
{
	struct world *w = *state;
	struct links_config few = config_of(w, &w->nodes[2]);
	struct outcome o[4];
	struct address at;

	stop(w, 2);
	few.calls_max = 2;
	start(w, 2, &few);
	introduce(w, 1, 2);
	introduce(w, 2, 1);
	for (size_t i = 0; i < 3; i++)
		call(w, 1, 2, HOLD, "", 10000, &o[i]);
	RUN_UNTIL(w, o[2].done);
	assert_int_equal(o[2].err, -ENOBUFS);
	assert_int_equal(w->nodes[2].executed, 2);
	links_answer(w->nodes[2].held[0], span_str(""));
	links_answer(w->nodes[2].held[1], span_str(""));
	RUN_UNTIL(w, o[0].done && o[1].done);
	/* Of the caller. */
	call(w, 2, 1, MIRROR, "", 10000, &o[0]);
	call(w, 2, 1, MIRROR, "", 10000, &o[1]);
	assert_int_equal(links_call(w->nodes[2].links, 1, MIRROR, span_str(""), 10, on_done, &o[2], NULL),
			 -ENOBUFS);
	RUN_UNTIL(w, o[0].done && o[1].done);
	at = loopback(1);
	assert_int_equal(links_set_peer(w->nodes[1].links, 1, 1, &at), -EINVAL);
	at.port = 0;
	assert_int_equal(links_set_peer(w->nodes[1].links, 5, 1, &at), -EINVAL);
	at.port = 1;
	for (uint32_t i = 100; i < 100 + LINKS_PEERS_MAX - 2; i++)
		assert_int_equal(links_set_peer(w->nodes[1].links, i, 1, &at), 0);
	assert_int_equal(links_set_peer(w->nodes[1].links, 99, 1, &at), -ENOSPC);
	links_drop_peer(w->nodes[1].links, 100);
	assert_int_equal(links_set_peer(w->nodes[1].links, 99, 1, &at), 0);
	assert_int_equal(links_set_peer(w->nodes[1].links, 100, 1, &at), -ENOSPC);
}

/* Answers that are remembered for nothing but a repetition make room for others; their tickets stay. */
static void test_forgotten_answer(void **state)
{
	struct world *w = *state;
	struct outcome o[4];
	size_t len = 700 << 10;
	uint8_t *big = calloc(1, len);

	put_middleman(w);
	for (size_t i = 0; i < 4; i++)
		call(w, 1, 2, HOLD, "", 20000, &o[i]);
	RUN_UNTIL(w, w->nodes[2].held_count == 4);
	w->middleman->stalled = true;
	middleman_cut(w->middleman);
	RUN_UNTIL(w, stats(w, 2)->links_in == 0);
	/* Room for two of these, in 2 MiB. */
	for (size_t i = 0; i < 4; i++)
		links_answer(w->nodes[2].held[i], span_of(big, len));
	assert_int_equal(stats(w, 2)->answers_forgotten, 2);
	w->middleman->stalled = false;
	RUN_UNTIL(w, o[0].done && o[1].done && o[2].done && o[3].done);
	assert_int_equal(o[0].err, -ENODATA);
	assert_int_equal(o[1].err, -ENODATA);
	assert_int_equal(o[2].err, 0);
	assert_int_equal(o[3].len, len);
	assert_int_equal(w->nodes[2].executed, 4);
	free(big);
}

/* ---- who must not get in ---- */

static void test_wrong_key(void **state)
{
	struct world *w = *state;
	struct links_config other = config_of(w, &w->nodes[1]);
	struct outcome o;

	stop(w, 1);
	/* Both by its id, and with the id of the right one. */
	for (int same_id = 0; same_id < 2; same_id++) {
		other.keys[0].psk[31] = 6;
		other.keys[0].id[0] = same_id ? 5 : 6;
		start(w, 1, &other);
		introduce(w, 1, 2);
		introduce(w, 2, 1);
		call(w, 1, 2, MIRROR, "", 300, &o);
		RUN_UNTIL(w, o.done);
		assert_int_equal(o.err, -ENOTCONN);
		call(w, 2, 1, MIRROR, "", 300, &o);
		RUN_UNTIL(w, o.done);
		assert_int_equal(o.err, -ENOTCONN);
		assert_int_equal(w->nodes[1].executed + w->nodes[2].executed, 0);
		assert_true(stats(w, 2)->refused > 0 && stats(w, 1)->refused > 0);
		stop(w, 1);
	}
}

/* The cluster key is changed node by node. */
static void test_key_changes(void **state)
{
	struct world *w = *state;
	struct links_config changed = config_of(w, &w->nodes[1]), told = config_of(w, &w->nodes[2]);
	struct outcome a, b;

	stop(w, 1);
	stop(w, 2);
	changed.key_count = told.key_count = 2;
	memset(&told.keys[1], 9, sizeof(told.keys[1]));
	changed.keys[0] = told.keys[1];
	changed.keys[1] = told.keys[0];
	start(w, 1, &changed);
	start(w, 2, &told);
	introduce(w, 1, 2);
	introduce(w, 2, 1);
	call(w, 1, 2, MIRROR, "new", 5000, &a);
	call(w, 2, 1, MIRROR, "old", 5000, &b);
	RUN_UNTIL(w, a.done && b.done);
	assert_string_equal(a.text, "new");
	assert_string_equal(b.text, "old");
}

/* The caller is of another incarnation than its lease says; or of none. */
static void test_wrong_incarnation(void **state)
{
	struct world *w = *state;
	struct address at = loopback(links_port(w->nodes[1].links));
	struct outcome o;

	assert_int_equal(links_set_peer(w->nodes[2].links, 1, 999, &at), 0);
	call(w, 1, 2, MIRROR, "", 300, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -ETIMEDOUT);
	assert_int_equal(w->nodes[2].executed, 0);
	assert_true(stats(w, 2)->refused > 0);
	links_drop_peer(w->nodes[2].links, 1);
	call(w, 1, 2, MIRROR, "", 300, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(w->nodes[2].executed, 0);
	/* The lease is seen while the call waits. */
	call(w, 1, 2, MIRROR, "now", 10000, &o);
	run_ms(w, 50);
	introduce(w, 2, 1);
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "now");
}

/* A lease changes while the link is open: it is not listened to any more. */
static void test_incarnation_passes(void **state)
{
	struct world *w = *state;
	struct address at = loopback(links_port(w->nodes[1].links));
	struct outcome o;

	call(w, 1, 2, MIRROR, "", 5000, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(links_set_peer(w->nodes[2].links, 1, 5555, &at), 0);
	call(w, 1, 2, MIRROR, "", 300, &o);
	RUN_UNTIL(w, o.done);
	assert_true(o.err < 0);
	assert_int_equal(w->nodes[2].executed, 1);
}

/* The address leads to another node of the cluster, or back: neither executes what is not for it. */
static void test_wrong_node(void **state)
{
	struct world *w = *state;
	struct address third = loopback(links_port(w->nodes[3].links));
	struct address self = loopback(links_port(w->nodes[1].links));
	struct outcome o;

	assert_int_equal(links_set_peer(w->nodes[1].links, 2, 1002, &third), 0);
	call(w, 1, 2, MIRROR, "", 200, &o);
	RUN_UNTIL(w, o.done);
	assert_true(o.err < 0);
	assert_int_equal(links_set_peer(w->nodes[1].links, 2, 1002, &self), 0);
	call(w, 1, 2, MIRROR, "", 200, &o);
	RUN_UNTIL(w, o.done);
	assert_true(o.err < 0);
	assert_int_equal(w->nodes[1].executed + w->nodes[3].executed, 0);
	assert_true(stats(w, 3)->refused > 0);
}

/* All that node 1 ever sent, sent once more by somebody who recorded it: nothing. */
static void test_replay(void **state)
{
	struct world *w = *state;
	struct outcome o;
	size_t sent = 0;
	uint64_t refused;
	int fd;

	put_middleman(w);
	call(w, 1, 2, MIRROR, "pay", 5000, &o);
	RUN_UNTIL(w, o.done);
	assert_int_equal(w->nodes[2].executed, 1);
	refused = stats(w, 2)->refused;
	fd = dial(links_port(w->nodes[2].links));
	assert_true(w->middleman->recorded.len > 200);
	while (sent < w->middleman->recorded.len) {
		ssize_t n = send(fd, w->middleman->recorded.data + sent, w->middleman->recorded.len - sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		turn(w);
	}
	RUN_UNTIL(w, stats(w, 2)->refused > refused);
	assert_int_equal(w->nodes[2].executed, 1);
	assert_int_equal(stats(w, 2)->calls_again, 0);
	close(fd);
	/* The true link does not notice. */
	call(w, 1, 2, MIRROR, "on", 5000, &o);
	RUN_UNTIL(w, o.done);
	assert_string_equal(o.text, "on");
	assert_int_equal(stats(w, 1)->connects, 1);
}

/* ---- the end ---- */

static void test_end(void **state)
{
	struct world *w = *state;
	struct outcome a, b;

	call(w, 1, 2, HOLD, "", 10000, &a);
	RUN_UNTIL(w, w->nodes[2].held_count);
	call(w, 1, 3, MIRROR, "", 10000, &b);
	links_free(w->nodes[1].links, on_links_closed, &w->nodes[1]);
	w->nodes[1].links = NULL;
	assert_int_equal(a.done + b.done, 0);
	RUN_UNTIL(w, w->nodes[1].gone);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, -ECANCELED);
	assert_int_equal(b.err, -ECANCELED);
	stop(w, 2);
	/* It belongs to whoever has to answer it. */
	assert_int_equal(links_call_left_ms(w->nodes[2].held[0]), 0);
	assert_int_equal(links_answer(w->nodes[2].held[0], span_str("x")), 0);
}

static void free_in_done(void *ctx, int err, struct span answer)
{
	struct node *n = ctx;

	(void)answer;
	assert_int_equal(err, 0);
	links_free(n->links, on_links_closed, n);
	n->links = NULL;
}

static void test_end_in_callback(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(links_send(w->nodes[1].links, 2, 1, span_str("x")), 0);
	assert_int_equal(links_call(w->nodes[1].links, 2, MIRROR, span_str(""), 5000, free_in_done,
				    &w->nodes[1], NULL),
			 0);
	RUN_UNTIL(w, w->nodes[1].gone);
	assert_int_equal(w->nodes[2].messages, 3);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_call),
		TEST(test_message),
		TEST(test_later),
		TEST(test_many),
		TEST(test_big),
		TEST(test_deadline),
		TEST(test_not_sent),
		TEST(test_cancel),
		TEST(test_cut),
		TEST(test_answer_meanwhile),
		TEST(test_other_incarnation),
		TEST(test_drop_peer),
		TEST(test_lease_comes_back),
		TEST(test_idle),
		TEST(test_slow),
		TEST(test_ceilings),
		TEST(test_forgotten_answer),
		TEST(test_wrong_key),
		TEST(test_key_changes),
		TEST(test_wrong_incarnation),
		TEST(test_incarnation_passes),
		TEST(test_wrong_node),
		TEST(test_replay),
		TEST(test_end),
		TEST(test_end_in_callback),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cluster_link", tests, NULL, NULL);
}
