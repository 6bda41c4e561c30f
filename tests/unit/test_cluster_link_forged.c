/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Links between nodes against somebody who has the key, and sends what no node of ours sends: as a caller to
 * node 2, and as the node that node 1 calls.
 */

#include "link_world.h"

#include "cluster/wire.h"
#include "net/stream.h"

/* One end of a connection by hand. */
struct forger {
	struct world *w;
	struct net_tls *tls;
	struct net_server *server;
	bool server_gone;
	struct net_stream *s;
	struct wire_input input;
	unsigned opened, closed, frames;
	struct wire_frame last; /* without its body */
	struct wire_hello hello;
};

static void on_opened(void *ctx, struct net_stream *s)
{
	(void)s;
	((struct forger *)ctx)->opened++;
}

static void on_data(void *ctx, struct net_stream *s, struct span data)
{
	struct forger *f = ctx;

	(void)s;
	while (wire_next(&f->input, &data, &f->last) == 0) {
		f->frames++;
		if (f->last.type == WIRE_HELLO)
			assert_int_equal(wire_hello_parse(f->last.body, &f->hello), 0);
	}
}

static void on_closed(void *ctx, int err, const char *words)
{
	struct forger *f = ctx;

	(void)err;
	(void)words;
	f->closed++;
	f->s = NULL;
}

static const struct net_stream_handlers forger_handlers = {
	.opened = on_opened, .data = on_data, .closed = on_closed};

static size_t forger_key(void *ctx, struct span identity, uint8_t key[NET_TLS_KEY_MAX])
{
	(void)ctx;
	(void)identity;
	memset(key, 5, LINKS_PSK);
	return LINKS_PSK;
}

static void forger_init(struct forger *f, struct world *w, const struct net_tls_options *o)
{
	char words[NET_TLS_WORDS];

	*f = (struct forger){.w = w};
	wire_input_init(&f->input, 1 << 20);
	assert_int_equal(net_tls_new(o, &f->tls, words), 0);
}

/* Connects to node 2 as `identity`, with the right key. */
static void forger_call(struct forger *f, struct world *w, const char *identity)
{
	struct net_stream_options o = {.host = "127.0.0.1", .port = links_port(w->nodes[2].links)};
	uint8_t key[LINKS_PSK];

	memset(key, 5, sizeof(key));
	forger_init(f, w,
		    &(struct net_tls_options){.tls13_only = true,
					      .psk_identity = span_str(identity),
					      .psk = span_of(key, sizeof(key))});
	o.tls = f->tls;
	assert_int_equal(net_stream_connect(&w->loop, &o, &forger_handlers, f, &f->s), 0);
	RUN_UNTIL(w, f->opened);
}

static const struct net_stream_handlers *forger_accept(void *ctx, struct net_stream *s, void **stream_ctx)
{
	struct forger *f = ctx;

	f->s = s;
	*stream_ctx = f;
	return &forger_handlers;
}

/* Listens where node 1 takes node 2 to be. */
static void forger_listen(struct forger *f, struct world *w)
{
	struct net_server_options o = {.host = "127.0.0.1"};
	struct address at;

	forger_init(f, w,
		    &(struct net_tls_options){.server = true, .tls13_only = true, .find_psk = forger_key});
	o.tls = f->tls;
	assert_int_equal(net_server_listen(&w->loop, &o, forger_accept, f, &f->server), 0);
	at = loopback(net_server_port(f->server));
	assert_int_equal(links_set_peer(w->nodes[1].links, 2, w->nodes[2].incarnation, &at), 0);
}

static void on_forger_server_closed(void *ctx)
{
	((struct forger *)ctx)->server_gone = true;
}

static void forger_deinit(struct forger *f)
{
	if (f->s)
		net_stream_close(f->s);
	net_server_free(f->server, on_forger_server_closed, f);
	RUN_UNTIL(f->w, !f->s && (!f->server || f->server_gone));
	net_tls_free(f->tls);
	wire_input_deinit(&f->input);
}

static void forge(struct forger *f, struct wire_frame frame)
{
	uint8_t head[WIRE_HEAD];
	struct writer w = writer_of(head, sizeof(head));

	wire_head_encode(&frame, &w);
	assert_int_equal(net_stream_write(f->s, span_of(head, sizeof(head))), 0);
	assert_int_equal(net_stream_write(f->s, frame.body), 0);
}

static void forge_hello(struct forger *f, uint32_t from, uint64_t from_incarnation, uint32_t to)
{
	struct wire_hello hello = {from, to, from_incarnation, 1000 + to};
	uint8_t body[WIRE_HELLO_LEN];
	struct writer w = writer_of(body, sizeof(body));

	wire_hello_encode(&hello, &w);
	forge(f, (struct wire_frame){.type = WIRE_HELLO, .body = span_of(body, sizeof(body))});
}

static const char node_1[] = "1.1001.05050505";

/* ---- as a caller ---- */

/* So that the others below fail for their reason. */
static void test_as_node_1(void **state)
{
	struct world *w = *state;
	struct forger f;

	forger_call(&f, w, node_1);
	forge_hello(&f, 1, 1001, 2);
	forge(&f,
	      (struct wire_frame){.type = WIRE_CALL, .kind = MIRROR, .ticket = 7, .floor = 7, .time = 1000});
	RUN_UNTIL(w, f.frames == 2);
	assert_int_equal(f.hello.from, 2);
	assert_true(f.hello.from_incarnation == 1002);
	assert_int_equal(f.hello.to, 1);
	assert_int_equal(f.last.type, WIRE_ANSWER);
	assert_true(f.last.ticket == 7);
	assert_int_equal(w->nodes[2].executed, 1);
	assert_int_equal(w->nodes[2].from, 1);
	forger_deinit(&f);
}

static void assert_let_out(struct world *w, struct forger *f, bool broken)
{
	RUN_UNTIL(w, f->closed);
	assert_int_equal(stats(w, 2)->broken, broken);
	assert_int_equal(stats(w, 2)->refused, !broken);
	assert_int_equal(w->nodes[2].executed + w->nodes[2].messages, 0);
	forger_deinit(f);
}

/* The name in TLS is the name; another in the hello is a lie. */
static void test_other_name(void **state)
{
	struct forger f;

	forger_call(&f, *state, node_1);
	forge_hello(&f, 3, 1003, 2);
	forge(&f, (struct wire_frame){.type = WIRE_MESSAGE});
	assert_let_out(*state, &f, false);
}

static void test_other_incarnation(void **state)
{
	struct forger f;

	forger_call(&f, *state, "1.4711.05050505");
	forge_hello(&f, 1, 4711, 2);
	forge(&f, (struct wire_frame){.type = WIRE_MESSAGE});
	assert_let_out(*state, &f, false);
}

static void test_for_another(void **state)
{
	struct forger f;

	forger_call(&f, *state, node_1);
	forge_hello(&f, 1, 1001, 3);
	forge(&f, (struct wire_frame){.type = WIRE_MESSAGE});
	assert_let_out(*state, &f, false);
}

/* Frames that end a link: before a hello, and after it. */
static void test_out_of_turn(void **state)
{
	static const struct wire_frame first[] = {
		{.type = WIRE_MESSAGE},
		{.type = WIRE_CALL, .ticket = 1, .time = 100},
		{.type = WIRE_HELLO, .body = {(const uint8_t *)"short", 5}},
	};
	static const struct wire_frame later[] = {
		{.type = WIRE_ANSWER, .ticket = 1},
		{.type = WIRE_REFUSAL, .ticket = 1, .time = 5},
		{.type = WIRE_CALL, .ticket = 0, .time = 100},
		{.type = WIRE_HELLO, .body = {(const uint8_t *)"012345678901234567890123", 24}},
	};
	struct world *w = *state;
	struct forger f;
	uint64_t broken = 0;

	for (size_t i = 0; i < ARRAY_SIZE(first) + ARRAY_SIZE(later); i++) {
		bool early = i < ARRAY_SIZE(first);

		forger_call(&f, w, node_1);
		if (!early)
			forge_hello(&f, 1, 1001, 2);
		forge(&f, early ? first[i] : later[i - ARRAY_SIZE(first)]);
		RUN_UNTIL(w, f.closed);
		assert_true(stats(w, 2)->broken == ++broken);
		forger_deinit(&f);
	}
	assert_int_equal(w->nodes[2].executed + w->nodes[2].messages, 0);
	assert_int_equal(stats(w, 2)->links_in, 0);
}

static void test_no_frames(void **state)
{
	static const uint8_t version[] = {0, 0, 0, 24, WIRE_VERSION + 1};
	static const uint8_t length[] = {0, 0x10, 0, 25, WIRE_VERSION};
	struct world *w = *state;
	struct forger f;

	forger_call(&f, w, node_1);
	assert_int_equal(net_stream_write(f.s, span_of(version, sizeof(version))), 0);
	RUN_UNTIL(w, f.closed && stats(w, 2)->broken == 1);
	forger_deinit(&f);
	forger_call(&f, w, node_1);
	forge_hello(&f, 1, 1001, 2);
	assert_int_equal(net_stream_write(f.s, span_of(length, sizeof(length))), 0);
	RUN_UNTIL(w, f.closed && stats(w, 2)->broken == 2);
	forger_deinit(&f);
}

/* Of two connections of a node the older one is an echo. */
static void test_newer(void **state)
{
	struct world *w = *state;
	struct forger old, new;

	forger_call(&old, w, node_1);
	forge_hello(&old, 1, 1001, 2);
	RUN_UNTIL(w, old.frames == 1);
	forger_call(&new, w, node_1);
	forge_hello(&new, 1, 1001, 2);
	RUN_UNTIL(w, old.closed && new.frames == 1);
	assert_int_equal(stats(w, 2)->links_in, 1);
	assert_int_equal(new.closed, 0);
	forger_deinit(&old);
	forger_deinit(&new);
}

/* What the floor says is done is forgotten at once; and nothing below is executed, whatever the order. */
static void test_floor(void **state)
{
	struct world *w = *state;
	struct wire_frame call_7 = {
		.type = WIRE_CALL, .kind = MIRROR, .ticket = 7, .floor = 7, .time = 60000};
	struct forger f;

	forger_call(&f, w, node_1);
	forge_hello(&f, 1, 1001, 2);
	forge(&f, call_7);
	forge(&f, call_7);
	RUN_UNTIL(w, f.frames == 3);
	assert_int_equal(f.last.type, WIRE_ANSWER);
	forge(&f,
	      (struct wire_frame){.type = WIRE_CALL, .kind = MIRROR, .ticket = 9, .floor = 8, .time = 60000});
	forge(&f, call_7);
	RUN_UNTIL(w, f.frames == 5);
	assert_int_equal(f.last.type, WIRE_REFUSAL);
	assert_true(f.last.ticket == 7);
	assert_int_equal(f.last.time, ENODATA);
	assert_int_equal(w->nodes[2].executed, 2);
	forger_deinit(&f);
}

/* ---- as the node that is called ---- */

/* It has the key, but is not node 2: what it answers counts for nothing. */
static void test_wrong_answerer(void **state)
{
	static const uint32_t nodes[] = {3, 2};
	static const uint64_t incarnations[] = {1003, 999};
	struct world *w = *state;
	struct forger f;
	struct outcome o;

	forger_listen(&f, w);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		call(w, 1, 2, MIRROR, "x", 3000, &o);
		RUN_UNTIL(w, f.s && f.frames == 2);
		forge_hello(&f, nodes[i], incarnations[i], 1);
		forge(&f, (struct wire_frame){.type = WIRE_ANSWER, .ticket = f.last.ticket});
		RUN_UNTIL(w, f.closed);
		assert_int_equal(o.done, 0);
		assert_true(stats(w, 1)->refused == i + 1);
		f.closed = f.frames = 0;
		assert_true(links_cancel(w->nodes[1].links, f.last.ticket));
		run_ms(w, 100);
	}
	forger_deinit(&f);
}

/* An answer before any hello. */
static void test_early_answer(void **state)
{
	struct world *w = *state;
	struct forger f;
	struct outcome o;

	forger_listen(&f, w);
	call(w, 1, 2, MIRROR, "x", 3000, &o);
	RUN_UNTIL(w, f.s && f.frames == 2);
	forge(&f, (struct wire_frame){.type = WIRE_ANSWER, .ticket = f.last.ticket});
	RUN_UNTIL(w, f.closed && stats(w, 1)->broken == 1);
	assert_int_equal(o.done, 0);
	assert_true(links_cancel(w->nodes[1].links, f.last.ticket));
	forger_deinit(&f);
}

/* Answers to nothing are ignored, also to calls of another peer; a refusal has a reason. */
static void test_strange_answers(void **state)
{
	struct world *w = *state;
	struct forger f;
	struct outcome o, held;
	uint64_t ticket;

	assert_int_equal(links_call(w->nodes[1].links, 3, HOLD, span_str(""), 10000, on_done, &held, &ticket),
			 0);
	held = (struct outcome){0};
	RUN_UNTIL(w, w->nodes[3].held_count);
	forger_listen(&f, w);
	call(w, 1, 2, MIRROR, "x", 3000, &o);
	RUN_UNTIL(w, f.s && f.frames == 2);
	forge_hello(&f, 2, 1002, 1);
	forge(&f, (struct wire_frame){.type = WIRE_ANSWER, .ticket = ticket, .body = span_str("not from 3")});
	forge(&f, (struct wire_frame){.type = WIRE_ANSWER, .ticket = 99999});
	forge(&f, (struct wire_frame){.type = WIRE_REFUSAL, .ticket = f.last.ticket, .time = EIO});
	RUN_UNTIL(w, o.done);
	assert_int_equal(o.err, -EIO);
	assert_int_equal(held.done, 0);
	forge(&f, (struct wire_frame){.type = WIRE_REFUSAL, .ticket = ticket, .time = 4096});
	RUN_UNTIL(w, f.closed && stats(w, 1)->broken == 1);
	links_answer(w->nodes[3].held[0], span_str("from 3"));
	RUN_UNTIL(w, held.done);
	assert_string_equal(held.text, "from 3");
	forger_deinit(&f);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_as_node_1),	 TEST(test_other_name),	     TEST(test_other_incarnation),
		TEST(test_for_another),	 TEST(test_out_of_turn),     TEST(test_no_frames),
		TEST(test_newer),	 TEST(test_floor),	     TEST(test_wrong_answerer),
		TEST(test_early_answer), TEST(test_strange_answers),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cluster_link_forged", tests, NULL, NULL);
}
