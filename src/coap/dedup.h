/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/siphash.h"
#include "coap/message.h"

/*
 * Memory of the last confirmable requests of one peer (RFC 7252, 4.5; architecture, rule 5): message id, a
 * 32-bit hash of the message and its source, time, and the short answer. Plain data: it is stored with the
 * effect it protects and moves with the device. Answers with payload are not kept: such requests are
 * idempotent and are computed again.
 */

enum { COAP_DEDUP_ENTRIES = 8, COAP_EXCHANGE_LIFETIME_MS = 247000 };

struct coap_dedup_entry {
	uint32_t hash;
	uint32_t time_s; /* Unix seconds, so that it means the same to another process; 0: free */
	uint16_t mid;
	uint8_t code; /* of the answer; 0: pending, the effect is not stored yet */
	uint8_t spare;
};

/* All zero is empty. */
struct coap_dedup {
	struct coap_dedup_entry entries[COAP_DEDUP_ENTRIES];
	uint8_t next;
};

enum coap_seen {
	COAP_SEEN_NEW,
	COAP_SEEN_PENDING,  /* in work: silence, the answer will come */
	COAP_SEEN_ANSWERED, /* repeat `code` */
};

/*
 * Hash over the whole datagram (a retransmission is the same to the byte) and over who sent it: the bytes of
 * an address, or of whatever else names the peer.
 */
uint32_t coap_dedup_hash(const struct siphash_key *key, struct span datagram, struct span source);
enum coap_seen coap_dedup_find(const struct coap_dedup *d, uint16_t mid, uint32_t hash, uint32_t now_s,
			       uint8_t *code);
/*
 * Overwrites the oldest entry, but never a pending one while there is another; code 0 makes it pending.
 * Returns its index. Entries older than EXCHANGE_LIFETIME count as free, pending or not.
 */
unsigned coap_dedup_add(struct coap_dedup *d, uint16_t mid, uint32_t hash, uint32_t now_s, uint8_t code);
/* Sets the answer of a pending entry, or forgets it (code 0). Harmless if it is gone. */
void coap_dedup_settle(struct coap_dedup *d, uint16_t mid, uint32_t hash, uint8_t code);
