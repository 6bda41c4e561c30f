/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Two layers that talk to each other through a network which loses, doubles and reorders, all by seed. Both
 * sides do the same: they send requests, answer those of the other (piggy-backed, or acknowledged first and
 * answered confirmably later), and send confirmable notifications. Checked is what must hold on any network:
 * each exchange ends exactly once, nothing acts twice, whoever got an answer got the right one, and in the
 * end nothing is left.
 */

#include "coap_test.h"

#include "coap/dedup.h"
#include "coap/layer.h"
#include "coap/observe.h"

#include <errno.h>

enum {
	ITEMS = 30,	    /* requests and as many notifications, per side */
	PACKETS_MAX = 4096, /* in flight */
	EXCHANGES_MAX = 256,
	DELAY_LEAST_MS = 100,
	DELAY_RANGE_MS = 700, /* a round trip of at most 1.6 s: without loss there is no retransmission */
	THINK_MS = 3000,
	TICK_MS = 40000, /* sparse enough that a lossy network keeps up */
};

struct packet {
	uint64_t at_ms;
	unsigned to; /* side */
	struct bytes datagram;
};

struct network {
	struct timers timers;
	struct random random;
	uint64_t now_ms;
	unsigned loss_permille, double_permille;
	struct packet *packets;
	size_t packet_count;
	struct side *sides[2];
};

/* One exchange of ours: a request, a notification or a separate response, and how it ended. */
struct item {
	struct side *side;
	unsigned ends;
	enum coap_outcome outcome;
	bool right; /* the answer was the one to this request */
	uint8_t number;
};

/* A request of the other side that is answered later. */
struct answer {
	struct timer timer;
	struct item item;
	struct coap_reply_to to;
	uint8_t number;
};

struct side {
	struct network *network;
	unsigned index;
	struct coap_layer layer;
	struct coap_peer peer;
	struct coap_dedup dedup;
	struct timer ticker;
	struct item requests[ITEMS], notifications[ITEMS];
	unsigned requests_started, notifications_started;
	struct answer answers[ITEMS];
	unsigned answer_count;
	/* What the other side's messages did here. */
	unsigned acted[ITEMS], noticed[ITEMS];
	int last_notice;
	uint64_t last_notice_ms;
};

static void put_packet(struct network *n, unsigned to, struct span datagram)
{
	struct packet *p = &n->packets[n->packet_count++];

	assert_true(n->packet_count <= PACKETS_MAX);
	*p = (struct packet){.to = to};
	p->at_ms = n->now_ms + DELAY_LEAST_MS + random_u32(&n->random) % (DELAY_RANGE_MS + 1);
	bytes_add(&p->datagram, datagram);
}

static bool by_chance(struct network *n, unsigned permille)
{
	return random_u32(&n->random) % 1000 < permille;
}

static void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct side *s = ctx;
	struct network *n = s->network;

	assert_true(address_equal(to, &s->peer.address));
	if (by_chance(n, n->loss_permille))
		return;
	put_packet(n, 1 - s->index, datagram);
	if (by_chance(n, n->double_permille))
		put_packet(n, 1 - s->index, datagram);
}

static void on_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		    uint64_t now_ms)
{
	struct item *i = ctx;

	(void)now_ms;
	i->ends++;
	i->outcome = outcome;
	i->right = response && response->payload.len == 1 &&
		   response->payload.data[0] == (uint8_t)(i->number ^ 0x55);
}

/* Starts a message with a payload of one byte. */
static int start(struct side *s, uint8_t code, struct coap_token token, uint8_t payload, int observe,
		 struct item *i)
{
	struct coap_message m;

	i->side = s;
	coap_message_init(&m, COAP_CON, code, 0, token);
	if (observe >= 0)
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, (uint32_t)observe), 0);
	m.payload = span_of(&payload, 1);
	return coap_start(&s->layer, &s->peer, &m, s->network->now_ms, on_done, i, NULL);
}

static void start_request(struct side *s)
{
	uint8_t number = (uint8_t)s->requests_started;
	struct item *i = &s->requests[number];

	i->number = number;
	if (start(s, COAP_POST, (struct coap_token){3, {'Q', (uint8_t)s->index, number}}, number, -1, i) == 0)
		s->requests_started++;
}

static void start_notification(struct side *s)
{
	uint8_t number = (uint8_t)s->notifications_started;

	if (start(s, COAP_CONTENT, (struct coap_token){1, {'N'}}, number, number,
		  &s->notifications[number]) == 0)
		s->notifications_started++;
}

static void on_tick(struct timer *t, uint64_t now_ms)
{
	struct side *s = container_of(t, struct side, ticker);

	if (s->requests_started < ITEMS)
		start_request(s);
	if (s->notifications_started < ITEMS)
		start_notification(s);
	if (s->requests_started < ITEMS || s->notifications_started < ITEMS)
		timer_set(&s->network->timers, t, now_ms + 1 + random_u32(&s->network->random) % TICK_MS,
			  on_tick);
}

static void on_answer_due(struct timer *t, uint64_t now_ms)
{
	struct answer *a = container_of(t, struct answer, timer);
	struct side *s = a->item.side;

	if (start(s, COAP_CHANGED, a->to.token, (uint8_t)(a->number ^ 0x55), -1, &a->item) == -EAGAIN)
		timer_set(&s->network->timers, t, now_ms + 1000, on_answer_due);
}

static void answer_later(struct side *s, const struct coap_reply_to *to, uint8_t number)
{
	struct answer *a = &s->answers[s->answer_count++];

	assert_true(s->answer_count <= ITEMS);
	a->item.side = s;
	a->to = *to;
	a->number = number;
	timer_set(&s->network->timers, &a->timer, s->network->now_ms + THINK_MS, on_answer_due);
}

static void answer_now(struct side *s, const struct coap_reply_to *to, uint8_t number)
{
	uint8_t payload = (uint8_t)(number ^ 0x55);
	struct coap_message m;

	coap_message_init(&m, COAP_ACK, COAP_CHANGED, 0, (struct coap_token){.len = 0});
	m.payload = span_of(&payload, 1);
	assert_int_equal(coap_reply(&s->layer, to, &m), 0);
}

static void on_request(struct side *s, const struct coap_message *m, struct span datagram)
{
	struct coap_reply_to to = coap_reply_to(m, &s->peer.address);
	uint32_t now_s = (uint32_t)(s->network->now_ms / 1000);
	uint32_t hash = coap_dedup_hash(&s->layer.key, datagram, span_of(&to.address, sizeof(to.address)));
	uint8_t number = m->payload.data[0], code;
	bool separate = number % 3 == 0;

	switch (coap_dedup_find(&s->dedup, m->mid, hash, now_s, &code)) {
	case COAP_SEEN_NEW:
		coap_dedup_add(&s->dedup, m->mid, hash, now_s, COAP_EMPTY);
		s->acted[number]++;
		coap_dedup_settle(&s->dedup, m->mid, hash, COAP_CHANGED);
		if (separate)
			answer_later(s, &to, number);
		break;
	case COAP_SEEN_PENDING:
		fail();
		break;
	case COAP_SEEN_ANSWERED:
		assert_int_equal(code, COAP_CHANGED);
		break;
	}
	if (separate)
		coap_ack(&s->layer, &to.address, m->mid);
	else
		answer_now(s, &to, number);
}

/* A notification, or a separate response that comes again. */
static void on_response(struct side *s, const struct coap_message *m)
{
	uint64_t now_ms = s->network->now_ms;
	uint32_t observe;

	assert_int_equal(m->type, COAP_CON);
	if (coap_was_acked(&s->peer, m->mid, now_ms)) {
		coap_ack(&s->layer, &s->peer.address, m->mid);
		return;
	}
	if (!coap_find_uint(m, COAP_OPTION_OBSERVE, &observe)) {
		coap_reset(&s->layer, &s->peer.address, m->mid);
		return;
	}
	if (s->last_notice < 0 ||
	    coap_observe_is_newer((uint32_t)s->last_notice, s->last_notice_ms, observe, now_ms)) {
		s->noticed[m->payload.data[0]]++;
		s->last_notice = (int)observe;
		s->last_notice_ms = now_ms;
	}
	coap_ack(&s->layer, &s->peer.address, m->mid);
	coap_note_acked(&s->peer, m->mid, now_ms);
}

static void deliver(struct side *s, struct span datagram)
{
	struct span exact = exact_copy(datagram);
	struct coap_message m;

	switch (coap_input(&s->layer, &s->peer.address, exact, s->network->now_ms, &m)) {
	case COAP_INPUT_DONE:
	case COAP_INPUT_RESET:
		break;
	case COAP_INPUT_REQUEST:
		on_request(s, &m, exact);
		break;
	case COAP_INPUT_RESPONSE:
		on_response(s, &m);
		break;
	}
	free((void *)exact.data);
}

/* The packet that arrives first, or NULL. */
static struct packet *next_packet(struct network *n)
{
	struct packet *first = NULL;

	for (size_t i = 0; i < n->packet_count; i++) {
		if (!first || n->packets[i].at_ms < first->at_ms)
			first = &n->packets[i];
	}
	return first;
}

/* Until nothing is in flight and nothing is due. */
static void run(struct network *n)
{
	for (;;) {
		struct packet *p = next_packet(n);
		int64_t wait = timers_wait_ms(&n->timers);
		uint64_t timer_ms = n->now_ms + (uint64_t)MAX(wait, 0);

		if (!p && wait < 0)
			return;
		if (p && (wait < 0 || p->at_ms <= timer_ms)) {
			struct packet arrived = *p;

			*p = n->packets[--n->packet_count];
			n->now_ms = arrived.at_ms;
			timers_advance(&n->timers, n->now_ms);
			deliver(n->sides[arrived.to], bytes_span(&arrived.datagram));
		} else {
			n->now_ms = timer_ms;
			timers_advance(&n->timers, n->now_ms);
		}
	}
}

static struct side *side_new(struct network *n, unsigned index)
{
	struct side *s = calloc(1, sizeof(*s));
	struct address other = {.ip = {192, 0, 2, (uint8_t)(2 - index)}, .port = 5683, .family = 4};

	assert_non_null(s);
	s->network = n;
	s->index = index;
	s->last_notice = -1;
	coap_layer_init(&s->layer, &n->timers, &n->random, EXCHANGES_MAX, on_send, s);
	coap_peer_init(&s->layer, &s->peer, &other, &coap_params_default);
	timer_set(&n->timers, &s->ticker, n->now_ms + 1, on_tick);
	return s;
}

static struct network *network_run(uint64_t seed, unsigned loss_permille, unsigned double_permille)
{
	struct network *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->packets = calloc(PACKETS_MAX, sizeof(*n->packets));
	assert_non_null(n->packets);
	n->now_ms = 5000000;
	n->loss_permille = loss_permille;
	n->double_permille = double_permille;
	timers_init(&n->timers, n->now_ms);
	random_init_seed(&n->random, seed);
	for (unsigned i = 0; i < 2; i++)
		n->sides[i] = side_new(n, i);
	run(n);
	return n;
}

static void network_free(struct network *n)
{
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = n->sides[i];

		assert_null(s->peer.exchanges);
		assert_int_equal(s->peer.active + s->peer.waiting + s->peer.acked, 0);
		assert_int_equal(s->layer.exchanges.count, 0);
		assert_int_equal(s->layer.pool.used, 0);
		coap_peer_deinit(&s->layer, &s->peer);
		coap_layer_deinit(&s->layer);
		free(s);
	}
	assert_int_equal(n->timers.count, 0);
	free(n->packets);
	free(n);
}

/* What must hold on any network. Returns how many requests were answered. */
static unsigned check_side(const struct side *s, const struct side *other)
{
	unsigned answered = 0;

	assert_int_equal(s->requests_started, ITEMS);
	assert_int_equal(s->notifications_started, ITEMS);
	assert_int_equal(s->layer.stats.malformed, 0);
	for (unsigned i = 0; i < ITEMS; i++) {
		const struct item *r = &s->requests[i], *n = &s->notifications[i];

		assert_int_equal(r->ends, 1);
		assert_int_equal(n->ends, 1);
		assert_true(other->acted[i] <= 1);
		assert_true(other->noticed[i] <= 1);
		if (r->outcome == COAP_RESPONSE) {
			answered++;
			assert_true(r->right);
			assert_int_equal(other->acted[i], 1);
		}
		if (n->outcome == COAP_ACKNOWLEDGED)
			assert_int_equal(other->noticed[i], 1);
		else
			assert_int_equal(n->outcome, COAP_TIMEOUT_NO_ACK);
	}
	for (unsigned i = 0; i < s->answer_count; i++)
		assert_int_equal(s->answers[i].item.ends, 1);
	return answered;
}

static unsigned check(const struct network *n)
{
	return check_side(n->sides[0], n->sides[1]) + check_side(n->sides[1], n->sides[0]);
}

static void test_perfect_network(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct network *n = network_run(seed, 0, 0);

		assert_int_equal(check(n), 2 * ITEMS);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(n->sides[i]->layer.stats.retransmissions, 0);
			assert_int_equal(n->sides[i]->layer.stats.timeouts, 0);
			assert_int_equal(n->sides[i]->layer.stats.unmatched, 0);
			for (unsigned k = 0; k < ITEMS; k++)
				assert_int_equal(n->sides[i]->notifications[k].outcome, COAP_ACKNOWLEDGED);
		}
		network_free(n);
	}
}

static void test_doubling_network(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct network *n = network_run(seed, 0, 500);

		assert_int_equal(check(n), 2 * ITEMS);
		assert_int_equal(n->sides[0]->layer.stats.retransmissions, 0);
		network_free(n);
	}
}

/* With a third lost, five attempts of two ways each fail together in 1 of 17 cases. */
static void test_lossy_network(void **state)
{
	unsigned answered = 0;
	uint64_t retransmissions = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct network *n = network_run(seed, 333, 200);

		answered += check(n);
		retransmissions += n->sides[0]->layer.stats.retransmissions;
		network_free(n);
	}
	assert_in_range(answered, 40 * 2 * ITEMS * 85 / 100, 40 * 2 * ITEMS - 1);
	assert_true(retransmissions > 40 * ITEMS);
}

static void test_dead_network(void **state)
{
	struct network *n = network_run(1, 1000, 0);

	(void)state;
	assert_int_equal(check(n), 0);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < ITEMS; k++) {
			assert_int_equal(n->sides[i]->requests[k].outcome, COAP_TIMEOUT_NO_ACK);
			assert_int_equal(n->sides[i]->acted[k], 0);
		}
		assert_int_equal(n->sides[i]->layer.stats.retransmissions, 2 * ITEMS * 4);
		assert_int_equal(n->sides[i]->layer.stats.timeouts, 2 * ITEMS);
	}
	network_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_perfect_network),
		cmocka_unit_test(test_doubling_network),
		cmocka_unit_test(test_lossy_network),
		cmocka_unit_test(test_dead_network),
	};

	return cmocka_run_group_tests_name("coap_network", tests, NULL, NULL);
}
