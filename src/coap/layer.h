/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/timer.h"
#include "coap/message.h"

/*
 * The message layer and the request/response layer in both roles (RFC 7252, section 4 and 5.3):
 * retransmission, NSTART, matching of ACK, RST and responses. Without sockets and clocks: `now` is an
 * argument, what is to be sent goes to `send`, timers live in a wheel which the owner advances.
 *
 * Deduplication of incoming requests is the caller's (dedup.h), because its memory moves and is stored with
 * the device it protects.
 */

/* Transmission parameters (RFC 7252, 4.8). One set for all, or one per kind of peer. */
struct coap_params {
	uint32_t ack_timeout_ms;      /* 2000 */
	uint32_t ack_random_permille; /* 1500: a factor of 1 to 1.5 */
	uint32_t max_retransmit;      /* 4 */
	uint32_t nstart;	      /* 1 */
	uint32_t response_timeout_ms; /* 93000: from the empty ACK, or from a NON request, to the response */
	uint32_t max_waiting; /* 32: exchanges of one peer that wait, for NSTART or behind an empty ACK */
};
extern const struct coap_params coap_params_default;

struct coap_exchange;

/*
 * The other side of our exchanges; plain data inside whatever stands for it. It must not move in memory while
 * exchanges run. `next_mid` may be set by the owner at any time (a hand-over passes it along).
 */
struct coap_peer {
	struct address address;
	const struct coap_params *params; /* borrowed */
	struct coap_exchange *exchanges;  /* in order of their start; those behind NSTART wait */
	uint16_t next_mid;
	uint16_t acked_mid; /* the last confirmable response we acknowledged: it may come again */
	uint32_t acked_s;   /* when: seconds of `now` plus 1; 0: never */
	uint16_t active;    /* outstanding, see RFC 7252, 4.7: an empty ACK makes room for the next */
	uint16_t waiting;   /* for NSTART */
	uint16_t acked;	    /* the empty ACK was there, the response was not */
	bool frozen;	    /* coap_peer_freeze */
};
static_assert(sizeof(struct coap_peer) <= 56, "what an idle peer costs");

enum coap_outcome {
	COAP_RESPONSE,		  /* `response` is there */
	COAP_ACKNOWLEDGED,	  /* a confirmable response (notification) of ours was acknowledged */
	COAP_RESET,		  /* the peer sent RST */
	COAP_TIMEOUT_NO_ACK,	  /* all retransmissions unanswered */
	COAP_TIMEOUT_NO_RESPONSE, /* acknowledged (or NON), but no response came */
};

/*
 * Called exactly once per exchange, unless it is cancelled. `response` is borrowed for the call. The exchange
 * is gone when this is called; new ones may be started from here.
 */
typedef void coap_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		       uint64_t now_ms);

struct coap_stats {
	uint64_t retransmissions, resets_received, resets_sent, malformed, timeouts, unmatched;
};

struct coap_layer {
	struct timers *timers; /* borrowed */
	struct random *random; /* borrowed */
	/* Must not call back into the layer. */
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
/* Cancels what is left, without calling back. Peers with exchanges must still exist. */
void coap_layer_deinit(struct coap_layer *l);

void coap_peer_init(struct coap_layer *l, struct coap_peer *p, const struct address *address,
		    const struct coap_params *params);
/* Cancels its exchanges without calling back. */
void coap_peer_deinit(struct coap_layer *l, struct coap_peer *p);
/* Moves the peer to a new address; running exchanges follow and are expected from there. */
void coap_peer_move(struct coap_layer *l, struct coap_peer *p, const struct address *address);

/*
 * Starts a request (CON or NON), a confirmable response such as a notification (CON), or a ping (empty CON,
 * which ends as COAP_RESET if all is well). `m` needs code, token, options, payload and type; the message id
 * is taken from the peer. Encoded at once, kept for retransmission, sent now or when NSTART permits. The
 * caller guarantees that the token of a request is not in use by another exchange with this peer.
 *
 * -EAGAIN: max_waiting is reached; -EINVAL: no such message; -ENOBUFS: too many exchanges at all; -EMSGSIZE:
 * does not fit COAP_MESSAGE_MAX; -ENOMEM.
 *
 * `*out` may be NULL, is valid until `done` or cancel.
 */
int coap_start(struct coap_layer *l, struct coap_peer *p, struct coap_message *m, uint64_t now_ms,
	       coap_done *done, void *ctx, struct coap_exchange **out) NODISCARD;
/* Forgets the exchange without calling back. What arrives for it later is unmatched. */
void coap_cancel(struct coap_layer *l, struct coap_exchange *x, uint64_t now_ms);
/*
 * A confirmable response to this request is not acknowledged here: whoever asked does so (coap_ack,
 * coap_note_acked) when what it says is stored. For Observe, whose answer a notification may overtake.
 */
void coap_leave_ack(struct coap_exchange *x);
/* Whether a request with this token runs, with whichever peer. */
bool coap_token_in_use(const struct coap_layer *l, const struct coap_token *token);

/* What coap_input leaves to the caller. An ACK that nothing waits for is never more than counted. */
enum coap_input {
	COAP_INPUT_DONE,    /* consumed: nothing left to do */
	COAP_INPUT_REQUEST, /* answer it: coap_reply */
	/* A response (CON, NON) that no exchange waits for: a notification, a retransmission, a stranger.
	 * If CON: coap_ack or coap_reset. */
	COAP_INPUT_RESPONSE,
	/* An RST for what is no exchange: a non-confirmable notification of ours, say. */
	COAP_INPUT_RESET,
};

/*
 * Takes one datagram. Malformed ones are answered or ignored here, pings are answered with RST, ACKs, RSTs
 * and responses finish their exchanges; a confirmable response to a running exchange is acknowledged here.
 * `*m` is valid for all results but COAP_INPUT_DONE and borrows from the datagram.
 */
enum coap_input coap_input(struct coap_layer *l, const struct address *from, struct span datagram,
			   uint64_t now_ms, struct coap_message *m);

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
 * Sends a response: piggy-backed on the ACK for a CON request, as NON for a NON request. `m` needs code,
 * options and payload; type, mid and token are filled in here. -EMSGSIZE above COAP_MESSAGE_MAX, -EINVAL for
 * a code that is no response (nothing is sent then). A separate response is coap_ack now and coap_start with
 * the token later.
 */
int coap_reply(struct coap_layer *l, const struct coap_reply_to *to, struct coap_message *m);
/* The same with nothing but a code and a short diagnostic payload (NULL: none; RFC 7252, 5.5.2). */
void coap_reply_code(struct coap_layer *l, const struct coap_reply_to *to, uint8_t code,
		     const char *diagnostic);
/*
 * Sends a message as it is, once: a non-confirmable notification for example. The message id is filled in,
 * and given back in `*mid` (may be NULL), by which an RST is recognised. Errors as for coap_reply.
 */
int coap_send_once(struct coap_layer *l, struct coap_peer *p, struct coap_message *m, uint16_t *mid);

/* ---- a peer that moves to another process (move.c) ---- */

/*
 * Stops the time of its exchanges: nothing is sent again and nothing times out, what is started waits. No
 * datagram of a frozen peer may be given to coap_input: what was exported would not know of it.
 */
void coap_peer_freeze(struct coap_layer *l, struct coap_peer *p, uint64_t now_ms);
/* Goes on where it stopped; sends what waits. Harmless if it is not frozen. */
void coap_peer_thaw(struct coap_layer *l, struct coap_peer *p, uint64_t now_ms);
/* The exchange behind `x` in the order of their start (NULL: the first), or NULL. */
struct coap_exchange *coap_exchange_next(const struct coap_peer *p, const struct coap_exchange *x);
/* As coap_start had it. */
void *coap_exchange_ctx(const struct coap_exchange *x);
/* An exchange of a frozen peer as bytes, at most COAP_EXCHANGE_ENCODED_MAX. */
enum { COAP_EXCHANGE_ENCODED_MAX = COAP_MESSAGE_MAX + 64 };
void coap_exchange_export(const struct coap_exchange *x, struct buffer *out);
/*
 * Makes an exchange of a frozen peer of what was exported; it goes on as if it had been started here. Those
 * that waited keep their order. -EPROTO: no exchange; -EEXIST: its message id or token is in use; -EAGAIN,
 * -ENOBUFS, -ENOMEM as coap_start.
 */
int coap_exchange_import(struct coap_layer *l, struct coap_peer *p, struct span encoded, coap_done *done,
			 void *ctx, struct coap_exchange **out) NODISCARD;
