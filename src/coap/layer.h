/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/timer.h"
#include "coap/message.h"

/*
 * The message layer and the request/response layer in both roles (RFC 7252, section 4 and 5.3): retransmission,
 * NSTART, matching of ACK, RST and responses. Without sockets and clocks: `now` is an argument, what is to be
 * sent goes to `send`, timers live in a wheel which the owner advances.
 *
 * Deduplication of incoming requests is the caller's (dedup.h), because its memory moves and is stored with the
 * device it protects.
 */

/* Transmission parameters (RFC 7252, 4.8). One set for all, or one per kind of peer. */
struct coap_params {
	uint32_t ack_timeout_ms;      /* 2000 */
	uint32_t ack_random_permille; /* 1500: a factor of 1 to 1.5 */
	uint32_t max_retransmit;      /* 4 */
	uint32_t nstart;              /* 1 */
	uint32_t response_timeout_ms; /* 93000: from the empty ACK, or from a NON request, to the response */
	uint32_t max_waiting;         /* 32: requests of one peer that wait for NSTART */
};
extern const struct coap_params coap_params_default;

struct coap_exchange;

/* The other side of our exchanges; plain data inside whatever stands for it. */
struct coap_peer {
	struct address address;
	const struct coap_params *params; /* borrowed */
	struct coap_exchange *exchanges;  /* in order of their start; those behind NSTART wait */
	uint16_t next_mid;
	uint16_t acked_mid;  /* the last confirmable response which we acknowledged ... */
	uint32_t acked_s;    /* ... and when (seconds of `now`, 0: never): its retransmission gets the same ACK */
	uint16_t active;     /* outstanding, see RFC 7252, 4.7 */
	uint16_t waiting;
};

enum coap_outcome {
	COAP_RESPONSE,            /* `response` is there */
	COAP_ACKNOWLEDGED,        /* a confirmable response (notification) of ours was acknowledged */
	COAP_RESET,               /* the peer sent RST */
	COAP_TIMEOUT_NO_ACK,      /* all retransmissions unanswered */
	COAP_TIMEOUT_NO_RESPONSE, /* acknowledged (or NON), but no response came */
};

/*
 * Called exactly once per exchange, unless it is cancelled. `response` is borrowed for the call. The exchange is gone
 * when this is called; new ones may be started from here.
 */
typedef void coap_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response, uint64_t now_ms);

struct coap_stats {
	uint64_t retransmissions, resets_received, resets_sent, malformed, timeouts, unmatched;
};

struct coap_layer {
	struct timers *timers; /* borrowed */
	struct random *random; /* borrowed */
	void (*send)(void *ctx, const struct address *to, struct span datagram);
	void *ctx;
	struct siphash_key key;
	struct map exchanges; /* by token, and by address and message id */
	struct pool pool;
	uint16_t next_mid; /* of messages to peers without a coap_peer */
	struct coap_stats stats;
};

/* `max_exchanges` bounds all exchanges together. */
void coap_layer_init(struct coap_layer *l, struct timers *timers, struct random *random, size_t max_exchanges,
		     void (*send)(void *ctx, const struct address *to, struct span datagram), void *ctx);
/* Cancels what is left. */
void coap_layer_deinit(struct coap_layer *l);

void coap_peer_init(struct coap_layer *l, struct coap_peer *p, const struct address *address,
		    const struct coap_params *params);
/* Cancels its exchanges without calling back. */
void coap_peer_deinit(struct coap_layer *l, struct coap_peer *p);
/* Moves the peer to a new address; running exchanges follow and are expected from there. */
void coap_peer_move(struct coap_layer *l, struct coap_peer *p, const struct address *address);

/*
 * Starts a request (CON or NON) or a confirmable response such as a notification (CON). `m` needs code, token, options,
 * payload and type; the message id is taken from the peer. Encoded at once, kept for retransmission, sent now or when
 * NSTART permits. The caller guarantees that the token is not in use by another exchange.
 * -EAGAIN: too many wait for this peer; -ENOBUFS: too many exchanges at all; -EMSGSIZE: does not fit COAP_MESSAGE_MAX; -ENOMEM.
 * `*out` may be NULL, is valid until `done` or cancel.
 */
int coap_start(struct coap_layer *l, struct coap_peer *p, struct coap_message *m, uint64_t now_ms, coap_done *done,
	       void *ctx, struct coap_exchange **out) NODISCARD;
/* Forgets the exchange without calling back. What arrives for it later is unmatched. */
void coap_cancel(struct coap_layer *l, struct coap_exchange *x, uint64_t now_ms);
/* Whether an exchange with this token runs. */
bool coap_token_in_use(const struct coap_layer *l, const struct coap_token *token);

/* What coap_input leaves to the caller. */
enum coap_input {
	COAP_INPUT_DONE,     /* consumed: nothing left to do */
	COAP_INPUT_REQUEST,  /* answer it: coap_reply */
	COAP_INPUT_RESPONSE, /* a response that no exchange waits for: a notification, a retransmission, or a stranger;
	                        if CON: coap_ack or coap_reset */
	COAP_INPUT_RESET,    /* RST for a message that is no exchange (one of our non-confirmable notifications) */
};

/*
 * Takes one datagram. Malformed ones are answered or ignored here, pings are answered with RST, ACKs, RSTs and
 * responses finish their exchanges; a confirmable response to a running exchange is acknowledged here.
 * `*m` is valid for all results but COAP_INPUT_DONE and borrows from the datagram.
 */
enum coap_input coap_input(struct coap_layer *l, const struct address *from, struct span datagram, uint64_t now_ms,
			   struct coap_message *m);

/* Whether this confirmable response is one which we acknowledged already (within EXCHANGE_LIFETIME). */
bool coap_was_acked(const struct coap_peer *p, uint16_t mid, uint64_t now_ms);
void coap_note_acked(struct coap_peer *p, uint16_t mid, uint64_t now_ms);

/* Empty ACK, RST. */
void coap_ack(struct coap_layer *l, const struct address *to, uint16_t mid);
void coap_reset(struct coap_layer *l, const struct address *to, uint16_t mid);

/*
 * What is needed to answer a request later, when its datagram is gone. 40 bytes or so, plain data.
 */
struct coap_reply_to {
	struct address address;
	struct coap_token token;
	uint16_t mid;
	uint8_t type;
};
struct coap_reply_to coap_reply_to(const struct coap_message *request, const struct address *from);
/*
 * Sends a response: piggy-backed on the ACK for a CON request, as NON for a NON request. `m` needs code, options and
 * payload; type, mid and token are filled in here. < 0 if it cannot be encoded (nothing is sent then).
 */
int coap_reply(struct coap_layer *l, const struct coap_reply_to *to, struct coap_message *m);
/* The same with nothing but a code and a short diagnostic payload (NULL: none; RFC 7252, 5.5.2). */
void coap_reply_code(struct coap_layer *l, const struct coap_reply_to *to, uint8_t code, const char *diagnostic);
/* Sends a message as it is, once: a non-confirmable notification for example. The message id is filled in. */
int coap_send_once(struct coap_layer *l, struct coap_peer *p, struct coap_message *m, uint16_t *mid);
