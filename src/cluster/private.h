/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cluster/movement.h"
#include "cluster/owners.h"

/* What the files of owners.h share. */

enum {
	PARCELS_MAX = 16, /* datagrams of one device that wait for it */
	MOVES_MAX = 16384,
	ROUNDS_MAX = 4,	  /* changes of owner that we run after */
	BUCKETS = 1024,	  /* of source networks */
	NEGATIVES = 4096, /* keys that were not found a moment ago */
	NEGATIVE_MS = 2000,
};

/* A parcel on the heap, with all that it borrows. */
struct kept_parcel {
	struct list node;
	struct parcel parcel;
	uint8_t bytes[];
};

struct bucket {
	uint64_t at_ms;
	uint64_t tokens; /* thousandths */
};

struct negative {
	uint64_t hash;
	uint64_t until_ms;
};

struct owners {
	struct owners_config config;
	struct owners_host host;
	struct store *store;
	const struct members *members;
	struct timers *timers;
	struct siphash_key hash_key; /* store_hash_key */
	struct map moves;	     /* struct move, by hash of its endpoint */
	struct movements movements;
	struct map givings; /* struct giving, the same */
	size_t searches, moving, giving;
	struct bucket buckets[BUCKETS];
	struct negative negatives[NEGATIVES];
	struct timer expiry;
	bool expiring;	  /* a look at what is over is under way */
	uint64_t audited; /* members_outages when the last audit began */
	size_t looking;	  /* of it, under way */
	uint32_t audit_cursor;
	bool audits; /* some are left */
	bool stopped;

	uint32_t drain_cursor;
	size_t draining, drain_failed;
	bool drains; /* further up the stack */
	void (*drained)(void *ctx, size_t left);
	void *drained_ctx;

	struct owners_stats stats;
};

static inline struct store_key owners_key(const struct owners *o, struct span endpoint)
{
	return (struct store_key){o->config.role, endpoint};
}

static inline bool owners_is_mine(const struct owners *o, const struct store_fence *f)
{
	return f->node == o->config.node && f->incarnation == o->config.incarnation;
}

/* It belongs to another node, which lives as far as we know. */
static inline bool owners_is_elsewhere(const struct owners *o, const struct store_fence *f)
{
	return !owners_is_mine(o, f) && members_is_live(o->members, f);
}

/* ---- move.c: a device comes here ---- */

uint32_t owners_hash(const struct owners *o, struct span endpoint);
/* Begins, or joins, the move of this device; `p` is taken. */
void move_for_parcel(struct owners *o, const struct store_device *stored, struct kept_parcel *p);
/* The same for whoever wants to know where it is. False: too many. */
bool move_for_caller(struct owners *o, const struct store_device *stored, owners_where_fn *done, void *ctx);
/* The same for nobody: its owner is dead, and it is due. */
void move_for_expiry(struct owners *o, const struct store_device *stored);
/* Passes `p` to the node that has its device; frees it. */
void parcel_forward(struct owners *o, uint32_t node, struct kept_parcel *p);
/* Its device is here, or nowhere; frees it. */
void parcel_deliver(struct owners *o, struct kept_parcel *p);

/* ---- give.c ---- */

/* If the device is being given away, the parcel follows it; it is taken then. */
bool giving_takes(struct owners *o, struct span endpoint, struct kept_parcel *p);

/* ---- audit.c ---- */

/* After each outage looks at all devices in memory, some at a time. Called every second. */
void audit_on(struct owners *o);

/* ---- expiry.c ---- */

void expiry_start(struct owners *o);
