/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Two message layers that talk through a network which the input rules: it loses, repeats, reorders, bends
 * and invents datagrams, and turns the clock. Every exchange ends exactly once, unless it was cancelled, and
 * nothing is left at the end.
 */

#include "fuzz.h"

#include "coap/layer.h"

enum { SIDES = 2, WIRE_MAX = 32, CALLS_MAX = 64, STEPS_MAX = 200, EXCHANGES_MAX = 12, END_MS = 3600 * 1000 };

struct call {
	struct coap_layer *layer;
	struct coap_exchange *exchange;
	bool running, done, cancelled;
};

struct packet {
	unsigned to;
	size_t len;
	uint8_t data[COAP_MESSAGE_MAX];
};

struct side {
	struct world *world;
	unsigned number;
	struct address address;
	struct coap_layer layer;
	struct coap_peer peer;
	struct coap_reply_to pending; /* a request that is to be answered */
	bool has_pending;
};

struct world {
	struct timers timers;
	struct random random;
	uint64_t now_ms;
	struct side sides[SIDES];
	struct packet wire[WIRE_MAX];
	size_t sent;
	struct call calls[CALLS_MAX];
	size_t call_count;
	uint8_t next_token;
};

static void send(void *ctx, const struct address *to, struct span datagram)
{
	struct side *s = ctx;
	struct packet *p = &s->world->wire[s->world->sent++ % WIRE_MAX];
	struct coap_message m;

	(void)to;
	assert(datagram.len <= COAP_MESSAGE_MAX && coap_parse(datagram, &m) == COAP_PARSED);
	p->to = 1 - s->number;
	p->len = datagram.len;
	memcpy(p->data, datagram.data, datagram.len);
}

static void done(void *ctx, enum coap_outcome outcome, const struct coap_message *response, uint64_t now_ms)
{
	struct call *c = ctx;

	(void)now_ms;
	assert(c->running && !c->done && !c->cancelled);
	assert((outcome == COAP_RESPONSE) == (response != NULL));
	c->done = true;
}

static void start(struct world *w, struct reader *r)
{
	static const uint8_t codes[] = {COAP_GET, COAP_POST, COAP_EMPTY, COAP_CONTENT};
	uint8_t how = reader_u8(r);
	struct side *s = &w->sides[how & 1];
	struct call *c = &w->calls[w->call_count];
	uint8_t code = codes[how >> 1 & 3];
	struct coap_token token = {code ? 1 : 0, {code ? w->next_token++ : 0}};
	enum coap_type type = how & 8 && coap_is_request(code) ? COAP_NON : COAP_CON;
	struct coap_message m;

	if (w->call_count == CALLS_MAX || coap_token_in_use(&s->layer, &token))
		return;
	coap_message_init(&m, type, code, 0, token);
	if (code)
		m.payload = fuzz_short(r);
	c->running = true;
	c->layer = &s->layer;
	if (coap_start(&s->layer, &s->peer, &m, w->now_ms, done, c, &c->exchange) == 0)
		w->call_count++;
	else
		*c = (struct call){0};
}

static void handle(struct side *s, enum coap_input result, const struct coap_message *m, uint8_t how)
{
	struct world *w = s->world;
	const struct address *from = &w->sides[1 - s->number].address;

	if (result == COAP_INPUT_REQUEST) {
		s->pending = coap_reply_to(m, from);
		s->has_pending = true;
		if (how & 1 && m->type == COAP_CON)
			coap_ack(&s->layer, from, m->mid);
	} else if (result == COAP_INPUT_RESPONSE && m->type == COAP_CON) {
		if (coap_was_acked(&s->peer, m->mid, w->now_ms) || how & 1) {
			coap_ack(&s->layer, from, m->mid);
			coap_note_acked(&s->peer, m->mid, w->now_ms);
			assert(coap_was_acked(&s->peer, m->mid, w->now_ms));
		} else {
			coap_reset(&s->layer, from, m->mid);
		}
	}
}

static void input(struct world *w, unsigned to, struct span bytes, uint8_t how)
{
	struct side *s = &w->sides[to];
	_cleanup_copy_ struct span datagram = fuzz_copy(bytes);
	struct coap_message m;
	enum coap_input result = coap_input(&s->layer, &w->sides[1 - to].address, datagram, w->now_ms, &m);

	if (result != COAP_INPUT_DONE)
		handle(s, result, &m, how);
}

/* One of the last datagrams arrives, perhaps not for the first time, perhaps bent. */
static void deliver(struct world *w, struct reader *r)
{
	uint8_t which = reader_u8(r), how = reader_u8(r);
	struct packet p;

	if (w->sent == 0)
		return;
	p = w->wire[(w->sent - 1 - which % MIN(w->sent, WIRE_MAX)) % WIRE_MAX];
	if (how & 0x80 && p.len)
		p.data[reader_u8(r) % p.len] ^= reader_u8(r);
	input(w, how & 0x40 ? 1 - p.to : p.to, span_of(p.data, p.len), how);
}

static void invent(struct world *w, struct reader *r)
{
	uint8_t how = reader_u8(r);

	input(w, how & 1, fuzz_short(r), how >> 1);
}

static void answer(struct world *w, struct reader *r)
{
	uint8_t how = reader_u8(r);
	struct side *s = &w->sides[how & 1];
	struct coap_message m;

	if (!s->has_pending)
		return;
	s->has_pending = how & 2;
	coap_message_init(&m, COAP_ACK, how & 4 ? COAP_CONTENT : reader_u8(r), 0, (struct coap_token){0});
	m.payload = fuzz_short(r);
	if (how & 8)
		coap_reply_code(&s->layer, &s->pending, COAP_BAD_REQUEST, "no");
	else
		(void)coap_reply(&s->layer, &s->pending, &m);
}

static void cancel(struct world *w, struct reader *r)
{
	uint8_t which = reader_u8(r);
	struct call *c;

	if (w->call_count == 0)
		return;
	c = &w->calls[which % w->call_count];
	if (c->done || c->cancelled)
		return;
	c->cancelled = true;
	coap_cancel(c->layer, c->exchange, w->now_ms);
}

static void advance(struct world *w, struct reader *r)
{
	w->now_ms += (uint64_t)reader_u8(r) << (reader_u8(r) & 15);
	timers_advance(&w->timers, w->now_ms);
}

static void move(struct world *w, struct reader *r)
{
	struct side *s = &w->sides[1];

	s->address.port = (uint16_t)(5683 + (reader_u8(r) & 3));
	coap_peer_move(&w->sides[0].layer, &w->sides[0].peer, &s->address);
}

static void set_up(struct world *w, struct reader *r)
{
	uint64_t seed = reader_u8(r);

	w->now_ms = 1000;
	timers_init(&w->timers, w->now_ms);
	random_init_seed(&w->random, seed);
	for (unsigned i = 0; i < SIDES; i++) {
		struct side *s = &w->sides[i];

		s->world = w;
		s->number = i;
		s->address = (struct address){.family = 4, .ip = {192, 0, 2, (uint8_t)i}, .port = 5683};
		coap_layer_init(&s->layer, &w->timers, &w->random, EXCHANGES_MAX, send, s);
	}
	for (unsigned i = 0; i < SIDES; i++)
		coap_peer_init(&w->sides[i].layer, &w->sides[i].peer, &w->sides[1 - i].address,
			       &coap_params_default);
}

/* With nobody to answer, all that runs ends in time. */
static void tear_down(struct world *w)
{
	for (unsigned i = 0; i < 100; i++)
		timers_advance(&w->timers, w->now_ms += END_MS / 100);
	for (size_t i = 0; i < w->call_count; i++)
		assert(w->calls[i].done || w->calls[i].cancelled);
	for (unsigned i = 0; i < SIDES; i++) {
		struct side *s = &w->sides[i];

		assert(s->peer.exchanges == NULL && s->peer.active == 0);
		assert(s->peer.waiting == 0 && s->peer.acked == 0 && s->layer.exchanges.count == 0);
		coap_peer_deinit(&s->layer, &s->peer);
		coap_layer_deinit(&s->layer);
	}
	assert(w->timers.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct world *, struct reader *) = {start,	 deliver, deliver, invent,
									 answer, advance, cancel,  move};
	struct world *w = calloc(1, sizeof(*w));
	struct reader r = reader_of(span_of(data, size));

	assert(w);
	set_up(w, &r);
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++)
		steps[reader_u8(&r) % ARRAY_SIZE(steps)](w, &r);
	tear_down(w);
	free(w);
	return 0;
}
