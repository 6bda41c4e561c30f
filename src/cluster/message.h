/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "store/store.h"

/*
 * What nodes say to each other over links (link.h): bodies of messages, by kind. Encoders append to a buffer,
 * which fails when it is full; decoders trust nothing, and what they give borrows from `body`. Each body
 * opens with its version; what a newer version puts behind is skipped.
 */

enum message_kind {
	MESSAGE_ASK = 1,  /* call: give me this device. Answer: struct message_given */
	MESSAGE_GIVE = 2, /* call: it is yours now, with all it had (a drain). The same struct as question */
	MESSAGE_LOST = 3, /* it is mine now: drop what you have of it */
	MESSAGE_FORWARD = 4, /* a datagram for one of your devices came to me */
	MESSAGE_EMIT = 5,    /* send this to a device from one of your sockets */
	MESSAGE_ANSWER = 6,  /* a device answered a request that began at your node */
	MESSAGE_HTTP = 7,    /* call: a request over HTTP for one of your devices */
	MESSAGE_DRAIN = 8,   /* give your devices away, and go on as one that leaves; nothing in it */
	MESSAGE_CHANGED = 9, /* call: a document of the store is another one now. Answer: nothing */
};

struct message_ask {
	struct store_key key;
	struct store_fence owner; /* as the store says: the one asked */
	bool session;		  /* it has made a new session with us */
	struct span record;	  /* empty, or the DTLS record that proves that it speaks to us */
};
void message_ask_encode(const struct message_ask *a, struct buffer *out);
bool message_ask_decode(struct span body, struct message_ask *out) NODISCARD;

enum given {
	GIVEN = 1,
	GIVEN_NOT = 2,	   /* it stays: forward what comes */
	GIVEN_UNKNOWN = 3, /* I do not have it, whatever the store says */
};

struct message_given {
	enum given result;
	struct store_device device; /* GIVEN: as it is stored now, yours by its fence */
	struct span luggage;	    /* GIVEN: what lives in memory only */
};
void message_given_encode(const struct message_given *g, struct buffer *out);
bool message_given_decode(struct span body, struct message_given *out) NODISCARD;

struct message_lost {
	struct store_key key;
	uint32_t gen; /* of the new owner */
};
void message_lost_encode(const struct message_lost *l, struct buffer *out);
bool message_lost_decode(struct span body, struct message_lost *out) NODISCARD;

/* A datagram, and the device's side of it: FORWARD: where it came from; EMIT: where it is to go.
 * `place.listener` is that of the node which speaks with the device. */
struct message_datagram {
	struct address place;
	bool dtls;
	struct span datagram;
};
void message_datagram_encode(const struct message_datagram *d, struct buffer *out);
bool message_datagram_decode(struct span body, struct message_datagram *out) NODISCARD;

/* What of a document is in memory has to be read again. */
struct message_changed {
	uint8_t kind; /* enum store_document; of one that is not known nothing is in memory */
	struct span name;
};
void message_changed_encode(const struct message_changed *c, struct buffer *out);
bool message_changed_decode(struct span body, struct message_changed *out) NODISCARD;
