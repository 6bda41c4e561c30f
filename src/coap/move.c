/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Exchanges that go on in another process: the peer's time stops, each exchange becomes bytes, and is an
 * exchange again where the peer is now.
 *
 * The hard idea: what moves is what a datagram may still find. A request that was sent is found by its
 * message id and token, and is sent again, byte for byte, when its time comes: so both travel, with the
 * datagram and the time that was left. Nothing is sent because of the move itself.
 *
 * Leaves out what the exchange is for: whoever started it moves that, and names its callback anew.
 */

#include "coap/dedup.h"
#include "coap/exchange.h"

#include <errno.h>

enum { ENCODED_LEAVES_ACK = 0x80, ENCODED_NON = 0x40, ENCODED_STATE = 0x0F };

/* ---- the time of a peer ---- */

void coap_peer_freeze(struct coap_layer *l, struct coap_peer *p, uint64_t now_ms)
{
	p->frozen = true;
	for (struct coap_exchange *x = p->exchanges; x; x = x->next) {
		if (!timer_is_set(&x->timer))
			continue;
		x->left_ms = x->timer.deadline_ms > now_ms ? x->timer.deadline_ms - now_ms : 0;
		timer_cancel(l->timers, &x->timer);
	}
}

void coap_peer_thaw(struct coap_layer *l, struct coap_peer *p, uint64_t now_ms)
{
	(void)l;
	if (!p->frozen)
		return;
	p->frozen = false;
	for (struct coap_exchange *x = p->exchanges; x; x = x->next)
		if (x->state != EXCHANGE_WAITING)
			exchange_wake(x, now_ms + x->left_ms);
	exchange_begin_waiting(p, now_ms);
}

struct coap_exchange *coap_exchange_next(const struct coap_peer *p, const struct coap_exchange *x)
{
	return x ? x->next : p->exchanges;
}

void *coap_exchange_ctx(const struct coap_exchange *x)
{
	return x->ctx;
}

/* ---- as bytes ---- */

/* state and flags 1, retransmissions 1, timeout 4, left 4, message id 2, code 1, token behind its length 1,
 * datagram (none any more when it was acknowledged) behind its length 2. */

void coap_exchange_export(const struct coap_exchange *x, struct buffer *out)
{
	unsigned flags = x->state;

	assert(x->peer->frozen);
	if (x->leave_ack)
		flags |= ENCODED_LEAVES_ACK;
	if (x->type == COAP_NON)
		flags |= ENCODED_NON;
	buffer_u8(out, (uint8_t)flags);
	buffer_u8(out, (uint8_t)x->retransmissions);
	buffer_uint(out, MIN(x->timeout_ms, UINT32_MAX), 4);
	buffer_uint(out, MIN(x->left_ms, UINT32_MAX), 4);
	buffer_uint(out, x->mid, 2);
	buffer_u8(out, x->code);
	buffer_u8(out, x->token.len);
	buffer_bytes(out, span_of(x->token.bytes, x->token.len));
	buffer_uint(out, x->datagram ? x->datagram_len : 0, 2);
	if (x->datagram)
		buffer_bytes(out, span_of(x->datagram, x->datagram_len));
}

/* What is sent again is what is expected to be answered. */
static bool datagram_fits(const struct coap_exchange *x, struct span datagram)
{
	struct coap_message m;

	if (x->state == EXCHANGE_ACKED)
		return datagram.len == 0 && x->type == COAP_CON && coap_is_request(x->code);
	return datagram.len <= COAP_MESSAGE_MAX && coap_parse(datagram, &m) == COAP_PARSED &&
	       m.type == x->type && m.code == x->code && m.mid == x->mid &&
	       coap_token_equal(&m.token, &x->token) && (coap_is_request(m.code) || m.type == COAP_CON);
}

/* Nothing waits longer here than it would where it began. */
static uint32_t longest_ms(const struct coap_params *params)
{
	return MAX(params->response_timeout_ms, (uint32_t)COAP_EXCHANGE_LIFETIME_MS);
}

static int decode(struct reader *r, struct coap_exchange *x, struct span *datagram)
{
	uint8_t flags = reader_u8(r);
	uint32_t timeout_ms, left_ms;
	struct span token;

	x->state = flags & ENCODED_STATE;
	x->leave_ack = flags & ENCODED_LEAVES_ACK;
	x->type = flags & ENCODED_NON ? COAP_NON : COAP_CON;
	x->retransmissions = reader_u8(r);
	timeout_ms = reader_u32(r);
	left_ms = reader_u32(r);
	x->timeout_ms = MIN(timeout_ms, longest_ms(x->peer->params));
	x->left_ms = MIN(left_ms, longest_ms(x->peer->params));
	x->mid = reader_u16(r);
	x->code = reader_u8(r);
	x->token.len = reader_u8(r);
	if (x->token.len > sizeof(x->token.bytes))
		return -EPROTO;
	token = reader_bytes(r, x->token.len);
	if (token.len)
		memcpy(x->token.bytes, token.data, token.len);
	*datagram = reader_span16(r);
	if (r->failed || reader_left(r) > 0 || x->state > EXCHANGE_ACKED || !datagram_fits(x, *datagram))
		return -EPROTO;
	return 0;
}

static int admit(const struct coap_exchange *x)
{
	const struct coap_layer *l = x->layer;
	const struct coap_peer *p = x->peer;

	if ((uint32_t)p->active + p->waiting + p->acked >= p->params->nstart + p->params->max_waiting)
		return -EAGAIN;
	if (exchange_uses_mid(l, &p->address, x->mid) ||
	    (coap_is_request(x->code) && coap_token_in_use(l, &x->token)))
		return -EEXIST;
	return 0;
}

static int fill(struct coap_exchange *x, struct span encoded)
{
	struct reader r = reader_of(encoded);
	struct span datagram;
	int rc = decode(&r, x, &datagram);

	if (rc == 0)
		rc = admit(x);
	if (rc == 0 && datagram.len > 0) {
		x->datagram = malloc(datagram.len);
		if (!x->datagram)
			return -ENOMEM;
		memcpy(x->datagram, datagram.data, datagram.len);
		x->datagram_len = (uint16_t)datagram.len;
	}
	return rc < 0 ? rc : exchange_enter(x);
}

int coap_exchange_import(struct coap_layer *l, struct coap_peer *p, struct span encoded, coap_done *done,
			 void *ctx, struct coap_exchange **out)
{
	struct coap_exchange *x;
	int rc;

	assert(p->frozen);
	if (l->pool.used >= l->pool.limit)
		return -ENOBUFS;
	x = pool_take(&l->pool);
	if (!x)
		return -ENOMEM;
	x->layer = l;
	x->peer = p;
	x->done = done;
	x->ctx = ctx;
	rc = fill(x, encoded);
	if (rc < 0) {
		free(x->datagram);
		pool_give(&l->pool, x);
		return rc;
	}
	*out = x;
	return 0;
}
