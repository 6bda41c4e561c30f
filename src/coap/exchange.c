/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The exchanges that run: their table, retransmission (RFC 7252, 4.2) and pacing (4.7).
 *
 * An exchange is found in two ways: an ACK or RST names it by address and message id, a response by address
 * and token. Both keys lie in one map; only requests have the second. The life of one is
 *
 *     WAITING --NSTART--> SENT --empty ACK--> ACKED --response--> gone
 *                          `--response, RST, ACK of a response, time--> gone
 *
 * and the hard idea is that whatever ends it unlinks it completely, sends the next that waits, and only then
 * calls back: so the callback may start, cancel or tear down anything, and nobody behind it touches the
 * exchange or its peer.
 *
 * Leaves out datagrams that come in (input.c) and messages that expect nothing (reply.c).
 */

#include "coap/exchange.h"

#include <errno.h>

const struct coap_params coap_params_default = {
	.ack_timeout_ms = 2000,
	.ack_random_permille = 1500,
	.max_retransmit = 4,
	.nstart = 1,
	.response_timeout_ms = 93000,
	.max_waiting = 32,
};

void coap_layer_init(struct coap_layer *l, struct timers *timers, struct random *random, size_t max_exchanges,
		     void (*send)(void *ctx, const struct address *to, struct span datagram), void *ctx)
{
	*l = (struct coap_layer){.timers = timers, .random = random, .send = send, .ctx = ctx};
	random_fill(random, &l->key, sizeof(l->key));
	l->next_mid = (uint16_t)random_u32(random);
	map_init(&l->exchanges);
	pool_init(&l->pool, sizeof(struct coap_exchange), max_exchanges);
}

void coap_layer_deinit(struct coap_layer *l)
{
	struct coap_exchange *x;
	uint32_t cursor = 0;

	/* Requests are met twice, hence only what may be done twice; the pool frees the rest at once. */
	while ((x = map_next(&l->exchanges, &cursor))) {
		timer_cancel(l->timers, &x->timer);
		free(x->datagram);
		x->datagram = NULL;
		x->peer->exchanges = NULL;
		x->peer->active = x->peer->waiting = x->peer->acked = 0;
	}
	map_deinit(&l->exchanges);
	pool_deinit(&l->pool);
}

/* ---- the table ---- */

struct mid_key {
	const struct address *address;
	uint16_t mid;
};

struct token_key {
	const struct address *address; /* NULL: any */
	const struct coap_token *token;
};

/* The address is hashed with the key, so nobody chooses collisions; the factor is odd, so two ids of a peer
 * never collide. */
static uint32_t hash_mid(const struct coap_layer *l, const struct address *a, uint16_t mid)
{
	uint64_t hash = address_hash(&l->key, a);

	return (uint32_t)(hash ^ hash >> 32) + mid * 0x9E3779B1u;
}

static uint32_t hash_token(const struct coap_layer *l, const struct coap_token *token)
{
	return (uint32_t)siphash(&l->key, span_of(token->bytes, token->len));
}

static bool uses_mid(const void *item, const void *key)
{
	const struct coap_exchange *x = item;
	const struct mid_key *k = key;

	return x->mid == k->mid && address_equal(&x->peer->address, k->address);
}

static bool was_sent_with_mid(const void *item, const void *key)
{
	const struct coap_exchange *x = item;

	return x->state != EXCHANGE_WAITING && uses_mid(item, key);
}

static bool uses_token(const void *item, const void *key)
{
	const struct coap_exchange *x = item;
	const struct token_key *k = key;

	return coap_is_request(x->code) && coap_token_equal(&x->token, k->token);
}

static bool was_sent_with_token(const void *item, const void *key)
{
	const struct coap_exchange *x = item;
	const struct token_key *k = key;

	return x->state != EXCHANGE_WAITING && uses_token(item, key) &&
	       address_equal(&x->peer->address, k->address);
}

struct coap_exchange *exchange_by_mid(const struct coap_layer *l, const struct address *from, uint16_t mid)
{
	const struct mid_key key = {from, mid};

	return map_find(&l->exchanges, hash_mid(l, from, mid), was_sent_with_mid, &key);
}

struct coap_exchange *exchange_by_token(const struct coap_layer *l, const struct address *from,
					const struct coap_token *token)
{
	const struct token_key key = {from, token};

	return map_find(&l->exchanges, hash_token(l, token), was_sent_with_token, &key);
}

void coap_leave_ack(struct coap_exchange *x)
{
	x->leave_ack = true;
}

bool coap_token_in_use(const struct coap_layer *l, const struct coap_token *token)
{
	const struct token_key key = {NULL, token};

	return map_find(&l->exchanges, hash_token(l, token), uses_token, &key);
}

bool exchange_uses_mid(const struct coap_layer *l, const struct address *to, uint16_t mid)
{
	const struct mid_key key = {to, mid};

	return map_find(&l->exchanges, hash_mid(l, to, mid), uses_mid, &key) != NULL;
}

uint16_t exchange_take_mid(const struct coap_layer *l, const struct address *to, uint16_t *next)
{
	uint16_t mid = (*next)++;

	while (exchange_uses_mid(l, to, mid))
		mid = (*next)++;
	return mid;
}

static int table_insert(struct coap_exchange *x)
{
	struct coap_layer *l = x->layer;
	int rc;

	x->mid_hash = hash_mid(l, &x->peer->address, x->mid);
	rc = map_insert(&l->exchanges, x->mid_hash, x);
	if (rc < 0 || !coap_is_request(x->code))
		return rc;
	x->token_hash = hash_token(l, &x->token);
	rc = map_insert(&l->exchanges, x->token_hash, x);
	if (rc < 0)
		map_remove(&l->exchanges, x->mid_hash, x);
	return rc;
}

static void table_remove(struct coap_exchange *x)
{
	map_remove(&x->layer->exchanges, x->mid_hash, x);
	if (coap_is_request(x->code))
		map_remove(&x->layer->exchanges, x->token_hash, x);
}

static void list_push(struct coap_exchange **first, struct coap_exchange *x)
{
	x->next = NULL;
	x->prev = *first ? (*first)->prev : x;
	if (*first)
		x->prev->next = x;
	else
		*first = x;
	(*first)->prev = x;
}

static void list_push_before(struct coap_exchange **first, struct coap_exchange *at, struct coap_exchange *x)
{
	x->next = at;
	x->prev = at->prev;
	if (*first == at)
		*first = x;
	else
		x->prev->next = x;
	at->prev = x;
}

/* Those that wait are the last ones of the list. */
static struct coap_exchange *first_waiting(const struct coap_peer *p)
{
	struct coap_exchange *x = p->waiting ? p->exchanges->prev : NULL;

	for (unsigned i = 1; i < p->waiting; i++)
		x = x->prev;
	return x;
}

static uint16_t *count_of(struct coap_exchange *x)
{
	struct coap_peer *p = x->peer;
	uint16_t *const counts[] = {
		[EXCHANGE_WAITING] = &p->waiting, [EXCHANGE_SENT] = &p->active, [EXCHANGE_ACKED] = &p->acked};

	return counts[x->state];
}

int exchange_enter(struct coap_exchange *x)
{
	struct coap_peer *p = x->peer;
	struct coap_exchange *at = x->state == EXCHANGE_WAITING ? NULL : first_waiting(p);
	int rc = table_insert(x);

	if (rc < 0)
		return rc;
	if (at)
		list_push_before(&p->exchanges, at, x);
	else
		list_push(&p->exchanges, x);
	++*count_of(x);
	return 0;
}

static void list_drop(struct coap_exchange **first, struct coap_exchange *x)
{
	if (*first == x)
		*first = x->next;
	else
		x->prev->next = x->next;
	if (x->next)
		x->next->prev = x->prev;
	else if (*first)
		(*first)->prev = x->prev;
}

/* ---- sending ---- */

static void on_timer(struct timer *timer, uint64_t now_ms);

static void transmit(struct coap_exchange *x, uint64_t now_ms)
{
	timer_set(x->layer->timers, &x->timer, now_ms + x->timeout_ms, on_timer);
	x->layer->send(x->layer->ctx, &x->peer->address, span_of(x->datagram, x->datagram_len));
}

/* Between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR, both included (RFC 7252, 4.2). */
static uint64_t first_timeout(struct coap_layer *l, const struct coap_params *params)
{
	uint64_t range = (uint64_t)params->ack_timeout_ms * (params->ack_random_permille - 1000) / 1000;

	return params->ack_timeout_ms + (random_u32(l->random) * (range + 1) >> 32);
}

static void begin(struct coap_exchange *x, uint64_t now_ms)
{
	const struct coap_params *params = x->peer->params;

	x->state = EXCHANGE_SENT;
	x->peer->active++;
	x->timeout_ms = x->type == COAP_CON ? first_timeout(x->layer, params) : params->response_timeout_ms;
	transmit(x, now_ms);
}

void exchange_begin_waiting(struct coap_peer *p, uint64_t now_ms)
{
	while (!p->frozen && p->waiting && p->active < p->params->nstart) {
		struct coap_exchange *x = first_waiting(p);

		assert(x->state == EXCHANGE_WAITING);
		p->waiting--;
		begin(x, now_ms);
	}
}

/* Takes it out of every structure and frees it. */
static void forget(struct coap_exchange *x)
{
	struct coap_peer *p = x->peer;
	uint16_t *count = count_of(x);

	assert(*count > 0);
	--*count;
	timer_cancel(x->layer->timers, &x->timer);
	table_remove(x);
	list_drop(&p->exchanges, x);
	free(x->datagram);
	pool_give(&x->layer->pool, x);
}

void exchange_finish(struct coap_exchange *x, enum coap_outcome outcome, const struct coap_message *response,
		     uint64_t now_ms)
{
	struct coap_peer *p = x->peer;
	coap_done *done = x->done;
	void *ctx = x->ctx;

	forget(x);
	exchange_begin_waiting(p, now_ms);
	done(ctx, outcome, response, now_ms);
}

void exchange_acknowledge(struct coap_exchange *x, uint64_t now_ms)
{
	struct coap_peer *p = x->peer;

	if (x->state != EXCHANGE_SENT || x->type != COAP_CON)
		return;
	if (!coap_is_request(x->code)) {
		exchange_finish(x, COAP_ACKNOWLEDGED, NULL, now_ms);
		return;
	}
	x->state = EXCHANGE_ACKED;
	p->active--;
	p->acked++;
	free(x->datagram);
	x->datagram = NULL;
	timer_set(x->layer->timers, &x->timer, now_ms + p->params->response_timeout_ms, on_timer);
	exchange_begin_waiting(p, now_ms);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct coap_exchange *x = container_of(timer, struct coap_exchange, timer);
	struct coap_stats *stats = &x->layer->stats;
	bool silent = x->state == EXCHANGE_SENT && x->type == COAP_CON;

	if (silent && x->retransmissions < x->peer->params->max_retransmit) {
		x->retransmissions++;
		x->timeout_ms *= 2;
		stats->retransmissions++;
		transmit(x, now_ms);
		return;
	}
	stats->timeouts++;
	exchange_finish(x, silent ? COAP_TIMEOUT_NO_ACK : COAP_TIMEOUT_NO_RESPONSE, NULL, now_ms);
}

void exchange_wake(struct coap_exchange *x, uint64_t deadline_ms)
{
	timer_set(x->layer->timers, &x->timer, deadline_ms, on_timer);
}

int message_encode(const struct coap_message *m, uint8_t out[COAP_MESSAGE_MAX])
{
	int len = coap_encode(m, out, COAP_MESSAGE_MAX);

	return len == -ENOSPC ? -EMSGSIZE : len;
}

static int keep_datagram(struct coap_exchange *x, const struct coap_message *m)
{
	uint8_t datagram[COAP_MESSAGE_MAX];
	int len = message_encode(m, datagram);

	if (len < 0)
		return len;
	x->datagram = malloc((size_t)len);
	if (!x->datagram)
		return -ENOMEM;
	memcpy(x->datagram, datagram, (size_t)len);
	x->datagram_len = (uint16_t)len;
	return 0;
}

/* A cleared exchange with its datagram, not yet in the table. */
static int exchange_new(struct coap_layer *l, struct coap_peer *p, struct coap_message *m,
			struct coap_exchange **out)
{
	struct coap_exchange *x;
	int rc;

	if (l->pool.used >= l->pool.limit)
		return -ENOBUFS;
	x = pool_take(&l->pool);
	if (!x)
		return -ENOMEM;
	m->mid = exchange_take_mid(l, &p->address, &p->next_mid);
	rc = keep_datagram(x, m);
	if (rc < 0) {
		pool_give(&l->pool, x);
		return rc;
	}
	x->layer = l;
	x->peer = p;
	x->mid = m->mid;
	x->type = m->type;
	x->code = m->code;
	x->token = m->token;
	*out = x;
	return 0;
}

int coap_start(struct coap_layer *l, struct coap_peer *p, struct coap_message *m, uint64_t now_ms,
	       coap_done *done, void *ctx, struct coap_exchange **out)
{
	bool must_wait = p->frozen || p->active >= p->params->nstart; /* if any waits, this is so */
	struct coap_exchange *x;
	int rc;

	assert(m->type == COAP_CON || (m->type == COAP_NON && coap_is_request(m->code)));
	/* Those that got an empty ACK do not count for NSTART: without this a peer that never answers could
	 * hold them all. */
	if ((uint32_t)p->waiting + p->acked + must_wait > p->params->max_waiting)
		return -EAGAIN;
	rc = exchange_new(l, p, m, &x);
	if (rc < 0)
		return rc;
	x->done = done;
	x->ctx = ctx;
	x->state = EXCHANGE_WAITING;
	rc = exchange_enter(x);
	if (rc < 0) {
		free(x->datagram);
		pool_give(&l->pool, x);
		return rc;
	}
	if (out)
		*out = x;
	exchange_begin_waiting(p, now_ms);
	return 0;
}

void coap_cancel(struct coap_layer *l, struct coap_exchange *x, uint64_t now_ms)
{
	struct coap_peer *p = x->peer;

	assert(x->layer == l);
	forget(x);
	exchange_begin_waiting(p, now_ms);
}

/* ---- peers ---- */

void coap_peer_init(struct coap_layer *l, struct coap_peer *p, const struct address *address,
		    const struct coap_params *params)
{
	assert(params->nstart >= 1 && params->ack_random_permille >= 1000 && params->max_retransmit <= 30);
	assert((uint64_t)params->nstart + params->max_waiting <=
	       INT16_MAX); /* a free message id always exists */
	*p = (struct coap_peer){
		.address = *address, .params = params, .next_mid = (uint16_t)random_u32(l->random)};
}

void coap_peer_deinit(struct coap_layer *l, struct coap_peer *p)
{
	while (p->exchanges) {
		assert(p->exchanges->layer == l);
		forget(p->exchanges);
	}
}

void coap_peer_move(struct coap_layer *l, struct coap_peer *p, const struct address *address)
{
	for (struct coap_exchange *x = p->exchanges; x; x = x->next)
		map_remove(&l->exchanges, x->mid_hash, x);
	p->address = *address;
	for (struct coap_exchange *x = p->exchanges; x; x = x->next) {
		int rc;

		x->mid_hash = hash_mid(l, address, x->mid);
		rc = map_insert(&l->exchanges, x->mid_hash, x);
		assert(rc == 0); /* as many as were just removed: the map does not grow */
		(void)rc;
	}
}
