/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Messages that expect nothing back: answers to requests, empty ACKs and RSTs, messages sent once. Nothing is
 * kept of them: if one is lost, the peer's retransmission asks for it again. The one thing to remember is the
 * last confirmable response we acknowledged, because its retransmission must get an ACK again and have no
 * second effect.
 */

#include "coap/dedup.h"
#include "coap/exchange.h"

#include <errno.h>

enum { DIAGNOSTIC_MAX = 512 }; /* more is cut */

static void send_empty(struct coap_layer *l, const struct address *to, enum coap_type type, uint16_t mid)
{
	uint8_t datagram[4];
	struct coap_message m;
	int len;

	coap_message_init(&m, type, COAP_EMPTY, mid, (struct coap_token){.len = 0});
	len = coap_encode(&m, datagram, sizeof(datagram));
	assert(len == sizeof(datagram));
	l->send(l->ctx, to, span_of(datagram, (size_t)len));
}

void coap_ack(struct coap_layer *l, const struct address *to, uint16_t mid)
{
	send_empty(l, to, COAP_ACK, mid);
}

void coap_reset(struct coap_layer *l, const struct address *to, uint16_t mid)
{
	l->stats.resets_sent++;
	send_empty(l, to, COAP_RST, mid);
}

static uint32_t seconds_of(uint64_t now_ms)
{
	return (uint32_t)(now_ms / 1000) + 1; /* never 0 */
}

bool coap_was_acked(const struct coap_peer *p, uint16_t mid, uint64_t now_ms)
{
	return p->acked_s && p->acked_mid == mid &&
	       seconds_of(now_ms) - p->acked_s <= COAP_EXCHANGE_LIFETIME_MS / 1000;
}

void coap_note_acked(struct coap_peer *p, uint16_t mid, uint64_t now_ms)
{
	p->acked_mid = mid;
	p->acked_s = seconds_of(now_ms);
}

struct coap_reply_to coap_reply_to(const struct coap_message *request, const struct address *from)
{
	return (struct coap_reply_to){
		.address = *from,
		.token = request->token,
		.mid = request->mid,
		.type = request->type,
	};
}

static int encode_and_send(struct coap_layer *l, const struct address *to, const struct coap_message *m)
{
	uint8_t datagram[COAP_MESSAGE_MAX];
	int len = message_encode(m, datagram);

	if (len < 0)
		return len;
	l->send(l->ctx, to, span_of(datagram, (size_t)len));
	return 0;
}

int coap_reply(struct coap_layer *l, const struct coap_reply_to *to, struct coap_message *m)
{
	if (!coap_is_response(m->code))
		return -EINVAL;
	m->token = to->token;
	if (to->type == COAP_CON) {
		m->type = COAP_ACK;
		m->mid = to->mid;
	} else {
		m->type = COAP_NON;
		m->mid = exchange_take_mid(l, &to->address, &l->next_mid);
	}
	return encode_and_send(l, &to->address, m);
}

void coap_reply_code(struct coap_layer *l, const struct coap_reply_to *to, uint8_t code,
		     const char *diagnostic)
{
	struct coap_message m;
	int rc;

	coap_message_init(&m, COAP_ACK, code, to->mid, to->token);
	if (diagnostic)
		m.payload = span_of(diagnostic, strnlen(diagnostic, DIAGNOSTIC_MAX));
	rc = coap_reply(l, to, &m);
	assert(rc == 0); /* the code is ours, and the text fits */
	(void)rc;
}

int coap_send_once(struct coap_layer *l, struct coap_peer *p, struct coap_message *m, uint16_t *mid)
{
	m->mid = exchange_take_mid(l, &p->address, &p->next_mid);
	if (mid)
		*mid = m->mid;
	return encode_and_send(l, &p->address, m);
}
