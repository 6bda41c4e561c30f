/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "coap/layer.h"

/* The exchange table, as input.c and reply.c see it. Private to this folder. */

enum exchange_state {
	EXCHANGE_WAITING, /* for NSTART: nothing was sent, so nothing can be answered */
	EXCHANGE_SENT,	  /* neither acknowledged nor answered */
	EXCHANGE_ACKED,	  /* a request that got an empty ACK: its response is to come */
};

struct coap_exchange {
	struct timer timer;
	struct coap_layer *layer;
	struct coap_peer *peer;
	struct coap_exchange *next, *prev; /* of the peer; the first one's prev is the last */
	coap_done *done;
	void *ctx;
	uint8_t *datagram; /* owned; gone when it needs no retransmission any more */
	uint64_t timeout_ms;
	uint64_t left_ms; /* of the timer, while the peer is frozen */
	uint32_t retransmissions;
	uint32_t mid_hash, token_hash;
	uint16_t datagram_len;
	uint16_t mid;
	uint8_t type, code;
	uint8_t state;
	bool leave_ack;
	struct coap_token token;
};

/* What was sent to `from` with this message id, or NULL. */
struct coap_exchange *exchange_by_mid(const struct coap_layer *l, const struct address *from, uint16_t mid);
/* The request that was sent to `from` with this token, or NULL. */
struct coap_exchange *exchange_by_token(const struct coap_layer *l, const struct address *from,
					const struct coap_token *token);
/* An empty ACK came. Harmless for an exchange that expects none. */
void exchange_acknowledge(struct coap_exchange *x, uint64_t now_ms);
/* Ends the exchange and calls back; `x` is gone. The next that waits for the peer is sent first. */
void exchange_finish(struct coap_exchange *x, enum coap_outcome outcome, const struct coap_message *response,
		     uint64_t now_ms);
/* The next message id from `*next` that no exchange with `to` uses. */
uint16_t exchange_take_mid(const struct coap_layer *l, const struct address *to, uint16_t *next);
/* Whether an exchange with `to`, sent or not, has this message id. */
bool exchange_uses_mid(const struct coap_layer *l, const struct address *to, uint16_t mid);
/* Puts an exchange that has everything but its hashes into the table and the list, as what its state says.
 * -ENOMEM: it is as before. */
int exchange_enter(struct coap_exchange *x) NODISCARD;
/* Sets its timer. */
void exchange_wake(struct coap_exchange *x, uint64_t deadline_ms);
/* Sends what waits while NSTART permits. */
void exchange_begin_waiting(struct coap_peer *p, uint64_t now_ms);
/* Bytes written to `out`; coap_encode with the errors of coap_start. */
int message_encode(const struct coap_message *m, uint8_t out[COAP_MESSAGE_MAX]);
