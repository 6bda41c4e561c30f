/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A device that comes with luggage from another node. One server fills it by what the input says, another
 * takes it after the input has changed some of its bytes (or all), and goes on: answers, time, another
 * hand-over. Whatever is in it, the device is there, nothing is counted wrong, and all who asked are told in
 * the end, unless the luggage made the other server forget that they asked.
 */

#include "fuzz.h"

#include "coap/block.h"
#include "lwm2m/server.h"

#include <errno.h>

enum { STEPS_MAX = 24, ASKS_MAX = 24, PAST_MS = 700 * 1000 };

struct world;

struct node {
	struct world *world;
	struct lwm2m_server *server;
	struct timers timers;
	struct random random;
	uint64_t mono;
	struct coap_token token; /* of the last message that it sent, and its id */
	uint16_t mid;
};

struct world {
	struct node nodes[2];
	uint64_t wall;
	struct address peer;
	unsigned asks, told, told_elsewhere;
	/* the write in flight; there is at most one */
	store_written_fn *written;
	void *written_ctx;
	/* what was given */
	unsigned ready;
	struct store_hot hot;
	struct buffer record, luggage;
};

static void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct node *n = ctx;
	struct coap_message m;

	assert(address_equal(to, &n->world->peer));
	if (coap_parse(datagram, &m) != COAP_PARSED || !coap_is_request(m.code))
		return;
	n->token = m.token;
	n->mid = m.mid;
}

static int on_write(void *ctx, const struct store_write *w, store_written_fn *done, void *done_ctx)
{
	struct world *world = ((struct node *)ctx)->world;

	(void)w;
	if (world->written)
		return -ENOBUFS;
	world->written = done;
	world->written_ctx = done_ctx;
	return 0;
}

static void store(struct world *w)
{
	store_written_fn *done;

	while ((done = w->written)) {
		w->written = NULL;
		done(w->written_ctx, &(struct store_written){.result = STORE_DONE});
	}
}

static uint64_t wall_of(void *ctx)
{
	return ((struct node *)ctx)->world->wall;
}

static uint64_t mono_of(void *ctx)
{
	return ((struct node *)ctx)->mono;
}

static void on_answer(void *ctx, const struct lwm2m_origin *origin, const struct lwm2m_answer *answer)
{
	struct world *w = ((struct node *)ctx)->world;

	assert(origin->ticket != 0 && answer->outcome <= LWM2M_UNKNOWN);
	w->told_elsewhere++;
	if (origin->node == 1 && origin->incarnation == 1)
		lwm2m_server_answered(w->nodes[0].server, origin->ticket, answer);
}

static void answered(void *ctx, const struct lwm2m_answer *answer)
{
	struct world *w = ctx;

	assert(answer->outcome <= LWM2M_UNKNOWN);
	w->told++;
}

static void advance(struct world *w, uint64_t ms)
{
	w->wall += ms;
	for (unsigned i = 0; i < 2; i++) {
		w->nodes[i].mono += ms;
		timers_advance(&w->nodes[i].timers, w->nodes[i].mono);
	}
}

static void node_new(struct world *w, unsigned i)
{
	struct node *n = &w->nodes[i];
	const struct lwm2m_host host = {.ctx = n,
					.send = on_send,
					.write = on_write,
					.wall_ms = wall_of,
					.mono_ms = mono_of,
					.answer = on_answer};
	struct lwm2m_config config;

	lwm2m_config_init(&config);
	config.fence = (struct store_fence){.node = i + 1, .incarnation = i + 1};
	config.requests_max = 16;
	n->world = w;
	n->mono = 100000 * (1 + (uint64_t)i);
	timers_init(&n->timers, n->mono);
	random_init_seed(&n->random, i);
	n->server = lwm2m_server_new(&config, &host, fuzz_registry(), &n->timers, &n->random, NULL);
	assert(n->server);
}

/* ---- what the device says ---- */

static void input(struct node *n, const struct coap_message *m)
{
	uint8_t bytes[COAP_MESSAGE_MAX];
	int len = coap_encode(m, bytes, sizeof(bytes));

	if (len > 0)
		lwm2m_server_input(n->server, &n->world->peer, span_of(bytes, (size_t)len));
	store(n->world);
}

static void register_device(struct node *n)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, COAP_POST, 1, (struct coap_token){1, {1}});
	(void)coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd"));
	(void)coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str("ep=dev&lt=86400&lwm2m=1.1"));
	m.payload = span_str("</1/0>,</3/0>,</3303/0>,</5/0>");
	input(n, &m);
	assert(lwm2m_find(n->server, span_str("dev")));
}

/* Answers, or more, to the last message that was sent. */
static void respond(struct node *n, struct reader *r)
{
	static const uint8_t codes[] = {COAP_CONTENT, COAP_CONTINUE, COAP_CHANGED, COAP_NOT_FOUND};
	uint8_t how = reader_u8(r);
	enum coap_type type = (enum coap_type)(how & 3);
	struct coap_message m;

	if (how & 128 || type == COAP_RST)
		coap_message_init(&m, type == COAP_RST ? COAP_RST : COAP_ACK, COAP_EMPTY, n->mid,
				  (struct coap_token){0});
	else
		coap_message_init(&m, type, codes[how >> 2 & 3], type == COAP_ACK ? n->mid : reader_u8(r),
				  n->token);
	if (m.code && how & 16)
		(void)coap_add_uint(&m, COAP_OPTION_OBSERVE, reader_u8(r));
	if (m.code && how & 32)
		(void)coap_add_uint(&m, COAP_OPTION_BLOCK2, reader_u8(r));
	if (m.code && how & 64)
		(void)coap_add_uint(&m, COAP_OPTION_BLOCK1, reader_u8(r));
	if (m.code)
		m.payload = fuzz_short(r);
	input(n, &m);
}

/* A block of a Register that is not complete. */
static void begin_body(struct node *n)
{
	static const struct coap_block block = {0, true, 0};
	struct coap_message m;

	coap_message_init(&m, COAP_CON, COAP_POST, 77, (struct coap_token){0});
	(void)coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd"));
	(void)coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str("ep=dev"));
	(void)coap_add_block(&m, COAP_OPTION_BLOCK1, &block);
	m.payload = span_str("0123456789abcdef");
	input(n, &m);
}

/* ---- what is asked of it ---- */

static void ask(struct node *n, struct reader *r)
{
	struct device *d = lwm2m_find(n->server, span_str("dev"));
	struct lwm2m_request q = {.operation =
					  (enum lwm2m_operation)(reader_u8(r) % (LWM2M_CANCEL_COMPOSITE + 1)),
				  .format = FORMAT_NONE,
				  .path_format = FORMAT_NONE,
				  .instance = PATH_ID_NONE,
				  .timeout_ms = 1000 * (1 + (uint64_t)reader_u8(r))};
	struct path path = fuzz_path(r), paths[2] = {fuzz_path(r), path};
	uint8_t bytes[3000] = {7};
	struct record record = {.path = path, .value = {.type = VALUE_OPAQUE, .bytes = span_of(bytes, 3000)}};
	uint64_t ticket;
	char error[160];

	if (!d || n->world->asks == ASKS_MAX)
		return;
	q.path = q.operation >= LWM2M_READ_COMPOSITE ? (struct path){0} : path;
	q.paths = paths;
	q.path_count = q.operation >= LWM2M_READ_COMPOSITE ? 2 : 0;
	q.records = &record;
	q.record_count = 1;
	if (lwm2m_request(n->server, d, &q, answered, n->world, &ticket, error) == 0)
		n->world->asks++;
}

static void step(struct node *n, struct reader *r)
{
	switch (reader_u8(r) % 6) {
	case 0:
	case 1:
		ask(n, r);
		break;
	case 2:
	case 3:
		respond(n, r);
		break;
	case 4:
		begin_body(n);
		break;
	default:
		advance(n->world, 100 * (uint64_t)reader_u8(r));
		store(n->world);
		break;
	}
}

/* ---- its move ---- */

static void on_ready(void *ctx, int result, const struct store_write *w, struct span luggage)
{
	struct world *world = ctx;

	world->ready++;
	assert(result == 0 && luggage.len <= LWM2M_LUGGAGE_MAX);
	world->hot = *w->hot;
	world->record.len = world->luggage.len = 0;
	buffer_bytes(&world->record, w->record);
	buffer_bytes(&world->luggage, luggage);
	assert(!world->record.failed && !world->luggage.failed);
}

static bool give(struct world *w, unsigned from)
{
	struct node *n = &w->nodes[from];

	w->ready = 0;
	if (lwm2m_server_give(n->server, span_str("dev"), on_ready, w) < 0)
		return false; /* it left, or never came */
	timers_advance(&n->timers, n->mono);
	assert(w->ready == 1);
	lwm2m_server_given(n->server, span_str("dev"), LWM2M_GONE);
	assert(!lwm2m_server_has(n->server, span_str("dev")));
	return true;
}

static void take(struct world *w, unsigned to, struct span luggage)
{
	struct store_device stored = {
		.key = {STORE_MANAGEMENT, span_str("dev")}, .hot = w->hot, .record = buffer_span(&w->record)};
	_cleanup_copy_ struct span exact = fuzz_copy(luggage);

	stored.hot.fence.node = stored.hot.fence.incarnation = to + 1;
	stored.hot.fence.gen++;
	assert(lwm2m_server_take(w->nodes[to].server, &stored, exact) == 0);
	assert(lwm2m_server_has(w->nodes[to].server, span_str("dev")));
	store(w);
}

/* True: it is as it was packed. */
static bool tamper(struct world *w, struct reader *r)
{
	uint8_t count = reader_u8(r);

	if (count == UINT8_MAX) {
		struct span raw = fuzz_long(r);

		w->luggage.len = 0;
		buffer_bytes(&w->luggage, raw);
		return false;
	}
	for (unsigned i = 0; i < count % 8; i++)
		w->luggage.data[reader_u16(r) % w->luggage.len] ^= reader_u8(r);
	return count % 8 == 0;
}

static void run(struct world *w, struct reader *r)
{
	unsigned first = reader_u8(r) % STEPS_MAX;
	bool intact;

	register_device(&w->nodes[0]);
	for (unsigned i = 0; i < first; i++)
		step(&w->nodes[0], r);
	store(w);
	if (!give(w, 0))
		return;
	intact = tamper(w, r);
	take(w, 1, buffer_span(&w->luggage));
	for (unsigned i = 0; i < STEPS_MAX && reader_left(r); i++)
		step(&w->nodes[1], r);
	store(w);
	if (intact && give(w, 1)) /* and back, to who knows those who asked */
		take(w, 0, buffer_span(&w->luggage));
}

/* Time passes, and nobody speaks any more. */
static void settle(struct world *w)
{
	struct lwm2m_stats stats;

	for (unsigned i = 0; i < 400; i++) {
		advance(w, PAST_MS / 400);
		store(w);
	}
	assert(w->told == w->asks);
	for (unsigned i = 0; i < 2; i++) {
		lwm2m_server_drop(w->nodes[i].server, span_str("dev"), UINT32_MAX);
		lwm2m_stats(w->nodes[i].server, &stats);
		assert(stats.requests_active == 0 && stats.devices == 0 && stats.observations == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	struct world *w = calloc(1, sizeof(*w));

	assert(w);
	w->wall = 1700000000000;
	w->peer = (struct address){.family = 4, .ip = {192, 0, 2, 1}, .port = 5683};
	w->record = buffer_of(STORE_RECORD_MAX);
	w->luggage = buffer_of(LWM2M_LUGGAGE_MAX);
	for (unsigned i = 0; i < 2; i++)
		node_new(w, i);
	run(w, &r);
	settle(w);
	for (unsigned i = 0; i < 2; i++) {
		store(w);
		lwm2m_server_free(w->nodes[i].server);
	}
	buffer_deinit(&w->record);
	buffer_deinit(&w->luggage);
	free(w);
	return 0;
}
