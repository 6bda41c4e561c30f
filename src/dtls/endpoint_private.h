/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* What endpoint.c, association.c and attempt.c share. Nobody else includes it. */

#include "base/map.h"
#include "base/pool.h"
#include "dtls/endpoint.h"

/* Plaintext of a record, and a record as it is sent: more than any datagram that is received. */
enum { DTLS_BUFFER = DTLS_MTU_MAX + DTLS_EXPANSION_MAX };

struct association;

/* Whose an unbound association may become. On the heap. */
struct claim {
	struct list node; /* in endpoint->unbound, the oldest first */
	struct association *association;
	uint64_t since_ms; /* Unix time: unbound from then on */
	uint8_t kind;
	uint8_t endpoint_len;
	uint16_t identity_len;
	uint8_t bytes[]; /* endpoint, identity */
};

struct association {
	struct dtls_session session;
	uint64_t handle;		      /* index of its slot, below what makes it unique */
	struct claim *claim;		      /* NULL: bound */
	struct dtls_last_flight *last_flight; /* until the peer shows that it has it */
	bool addressed;			      /* in endpoint->by_address: records bring no connection id */
	bool held;			      /* opens no record */
	bool given;			      /* seals none: another endpoint may go on with it */
};

/* Tokens of the source networks that hash here. */
struct bucket {
	uint64_t at_ms;
	uint32_t tokens;
};
enum { BUCKETS = 1024 };

struct dtls_endpoint {
	struct dtls_endpoint_config config;
	struct dtls_host host;
	const struct dtls_context *context;
	struct timers *timers;
	struct random *random;
	struct dtls_cookie_keys cookie_keys;

	/* All associations; a free slot holds the index of the next free one, doubled, plus one. */
	uintptr_t *slots;
	uint16_t *slot_ids; /* slots that our connection ids may name; none: any */
	size_t slot_ids_count;
	uint32_t slot_count, slot_free;
	uint32_t handles; /* given out so far */
	struct map by_cid;
	struct map by_address;
	struct list unbound;
	struct timer spent_timer; /* tells the host, from outside of all calls, of ... */
	struct address spent;	  /* ... this association */
	struct timer sweep;
	uint32_t sweep_at;

	struct pool attempts;
	struct map attempts_by_address;
	struct map attempts_by_ticket;
	struct list attempts_by_age; /* the oldest first */
	uint64_t tickets;
	size_t computing; /* jobs that run */
	struct bucket buckets[BUCKETS];
	struct bucket all_hellos;

	struct dtls_endpoint_stats stats;
	uint8_t plain[DTLS_BUFFER];
	uint8_t out[DTLS_BUFFER];
};

static inline uint64_t endpoint_wall(const struct dtls_endpoint *e)
{
	return e->host.wall_ms(e->host.ctx);
}
static inline uint32_t endpoint_hash(const struct dtls_endpoint *e, struct span s)
{
	return (uint32_t)siphash(&e->config.hash_key, s);
}

/* ---- association.c ---- */

void associations_init(struct dtls_endpoint *e);
void associations_deinit(struct dtls_endpoint *e);
struct address association_address(const struct association *a);
struct association *association_find(const struct dtls_endpoint *e, const struct address *address);
struct association *association_by_cid(const struct dtls_endpoint *e, struct span cid);
struct association *association_by_address(const struct dtls_endpoint *e, const struct address *peer);
/* Takes over the session of a handshake, and its claim. NULL: too many, or out of memory. */
struct association *association_new(struct dtls_endpoint *e, const struct dtls_session *session,
				    struct claim *claim);
/* Forgets it; the host is told, except of DTLS_END_DROPPED. */
void association_end(struct dtls_endpoint *e, struct association *a, enum dtls_end why);
/* Seals one record and sends it to where the peer is. False: its numbers are spent. */
bool association_say(struct dtls_endpoint *e, struct association *a, uint8_t type, struct span plaintext);
/* A connection id that nobody has. */
void association_new_cid(struct dtls_endpoint *e, uint8_t cid[DTLS_CID_OWN]);

struct claim *claim_new(enum dtls_identity kind, struct span identity, struct span endpoint);
static inline struct span claim_endpoint(const struct claim *c)
{
	return span_of(c->bytes, c->endpoint_len);
}
static inline struct span claim_identity(const struct claim *c)
{
	return span_of(c->bytes + c->endpoint_len, c->identity_len);
}

/* ---- attempt.c ---- */

void attempts_init(struct dtls_endpoint *e);
/* Ends those whose credential, as it was looked up, is for `endpoint`. */
void attempts_revoke(struct dtls_endpoint *e, struct span endpoint);
void attempts_deinit(struct dtls_endpoint *e);
bool attempt_is_at(const struct dtls_endpoint *e, const struct address *from);
/* A record for the handshake that runs with this peer. False: none does. */
bool attempt_input(struct dtls_endpoint *e, const struct address *from, const struct dtls_record *record,
		   uint64_t now_ms);
/* A first fragment of a ClientHello. */
void attempt_hello(struct dtls_endpoint *e, const struct address *from, const struct dtls_record *record,
		   uint64_t now_ms);

/* ---- endpoint.c ---- */

/* A record of an association, from an address. False: it is not one of its session. */
bool endpoint_record(struct dtls_endpoint *e, struct association *a, const struct address *from,
		     const struct dtls_record *record);
