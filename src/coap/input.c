/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One datagram in (RFC 7252, 4.2, 4.3 and 5.3.2). coap_parse has left three kinds: empty messages, requests
 * and responses. The hard part is what belongs to an exchange: an ACK or RST must name its message id, a
 * piggy-backed response its id and its token, a separate one its token; all of them must come from where the
 * request went. What fails this is not ours and changes nothing, so a guess of one number finishes no
 * exchange.
 *
 * Leaves out requests and responses that no exchange waits for: their meaning is the caller's.
 */

#include "coap/exchange.h"

static enum coap_input on_empty(struct coap_layer *l, const struct address *from,
				const struct coap_message *m, uint64_t now_ms)
{
	struct coap_exchange *x;

	if (m->type == COAP_CON) { /* a ping */
		coap_reset(l, from, m->mid);
		return COAP_INPUT_DONE;
	}
	x = exchange_by_mid(l, from, m->mid);
	if (m->type == COAP_RST) {
		l->stats.resets_received++;
		if (!x)
			return COAP_INPUT_RESET;
		exchange_finish(x, COAP_RESET, NULL, now_ms);
		return COAP_INPUT_DONE;
	}
	if (x)
		exchange_acknowledge(x, now_ms);
	else
		l->stats.unmatched++;
	return COAP_INPUT_DONE;
}

static enum coap_input on_piggybacked(struct coap_layer *l, const struct address *from,
				      const struct coap_message *m, uint64_t now_ms)
{
	struct coap_exchange *x = exchange_by_mid(l, from, m->mid);

	if (x && coap_is_request(x->code) && coap_token_equal(&x->token, &m->token))
		exchange_finish(x, COAP_RESPONSE, m, now_ms);
	else
		l->stats.unmatched++;
	return COAP_INPUT_DONE;
}

/* A response in its own message. It may come before the ACK of its request, which is then of no more
 * interest. */
static enum coap_input on_separate(struct coap_layer *l, const struct address *from,
				   const struct coap_message *m, uint64_t now_ms)
{
	struct coap_exchange *x = exchange_by_token(l, from, &m->token);

	if (!x)
		return COAP_INPUT_RESPONSE;
	if (m->type == COAP_CON && !x->leave_ack) {
		coap_ack(l, from, m->mid);
		coap_note_acked(x->peer, m->mid, now_ms);
	}
	exchange_finish(x, COAP_RESPONSE, m, now_ms);
	return COAP_INPUT_DONE;
}

enum coap_input coap_input(struct coap_layer *l, const struct address *from, struct span datagram,
			   uint64_t now_ms, struct coap_message *m)
{
	enum coap_parse parsed = coap_parse(datagram, m);

	if (parsed != COAP_PARSED) {
		l->stats.malformed++;
		if (parsed == COAP_PARSE_RESET)
			coap_reset(l, from, m->mid);
		return COAP_INPUT_DONE;
	}
	if (m->code == COAP_EMPTY)
		return on_empty(l, from, m, now_ms);
	if (coap_is_request(m->code))
		return COAP_INPUT_REQUEST;
	return m->type == COAP_ACK ? on_piggybacked(l, from, m, now_ms) : on_separate(l, from, m, now_ms);
}
