/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/timer.h"
#include "store/store.h"

/*
 * Who is in the cluster (architecture, rule 2): each node keeps a lease in the store, renews it, and reads
 * those of the others. A lease is a hint of liveness, never a right: who may write is decided by the fence
 * alone.
 *
 * While the store is away, and for one lease time after, the last view stands, so that an outage of the store
 * is no death of everybody. Nodes are added at once.
 */

enum member_state { MEMBER_UP = 1, MEMBER_LEAVING = 2 };

enum { MEMBERS_MAX = 256, MEMBER_VERSION_MAX = 31, MEMBER_BODY_MAX = 128 };

/* What the lease of a node says. */
struct member {
	uint32_t node;
	uint64_t incarnation;
	uint64_t until_ms; /* Unix time of the store */
	enum member_state state;
	uint16_t weight;		 /* its share of slots, 1.. */
	uint16_t record_min, record_max; /* versions of records that it reads (rule 14) */
	struct address link;		 /* where the other nodes reach it */
	struct address http;		 /* where people do */
	char version[MEMBER_VERSION_MAX + 1];
};
/* The body of a lease; all but node, incarnation and until_ms. */
void member_encode(const struct member *m, struct writer *w);
/* False: made by something that we cannot read; what it says is then undefined. Fields that a newer version
 * put behind ours are skipped. */
bool member_decode(struct span body, struct member *out) NODISCARD;

struct members;

struct members_host {
	void *ctx;
	/* Somebody came, went, or says something else. Also once when we ourselves are in. */
	void (*changed)(void *ctx);
	/* Another process holds our id: we cannot serve. Called once, at last. */
	void (*refused)(void *ctx, const struct store_lease *other);
};

struct members_config {
	struct member self;
	uint64_t ttl_ms;   /* of the lease: 3000 */
	uint64_t renew_ms; /* 1000 */
};

/* Begins at once. `store`, `timers` and what `host` points to are borrowed until members_free. NULL: -ENOMEM.
 */
struct members *members_new(const struct members_config *config, const struct members_host *host,
			    struct store *store, struct timers *timers) NODISCARD;
/* When no call to the store is under way any more (the store is closed). */
struct members *members_free(struct members *m);
/* Asks no more. What is under way still calls back, but tells nobody. */
void members_stop(struct members *m);
/* Says to everybody that we are leaving: our slots go to the others. */
void members_leave(struct members *m);
/* Looks at the leases now: somebody may have come. */
void members_refresh(struct members *m);
/* Whether our lease was taken, and those of the others were looked at: before, everybody else seems dead. */
bool members_joined(const struct members *m);
/* The store does not answer, or has not for long enough to tell who is dead. */
bool members_is_settling(const struct members *m);

/* How often the store and we lost sight of each other for so long that others may have taken us for dead.
 * Counted when it is over. */
uint64_t members_outages(const struct members *m);

size_t members_count(const struct members *m);
/* In order of their ids; ourselves included. NULL behind the last. Valid until `changed`. */
const struct member *members_at(const struct members *m, size_t index);
/* NULL: there is no such node now. */
const struct member *members_find(const struct members *m, uint32_t node);
/* Whether this owner lives, as far as we know: the same node in the same incarnation. */
bool members_is_live(const struct members *m, const struct store_fence *owner);
