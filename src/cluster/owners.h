/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "cluster/member.h"
#include "cluster/message.h"

/*
 * Which node a device belongs to, and how it changes hands (architecture, rules 3, 4, 12 to 14). Datagrams
 * whose device is not in memory come here; the store says whose it is; then the datagram is passed to that
 * node, or the device comes here, asked for or claimed, and the datagram is handled as if nothing had been.
 *
 * It moves a device only for a datagram that the host says proves itself, for the death of its owner, or when
 * its owner leaves. What devices are, and what proves them, is the host's.
 */

struct owners;

enum parcel_kind {
	PARCEL_PLAIN = 1,   /* a message without security */
	PARCEL_RECORD = 2,  /* a DTLS record, not opened yet */
	PARCEL_SESSION = 3, /* a message of a session that is here; perhaps an empty one */
};

/* A datagram that looks for its device. `named`, `name` and `claim` are the host's: by what it names its
 * device. */
struct parcel {
	enum parcel_kind kind;
	struct address from; /* SESSION: the association */
	uint64_t number;     /* SESSION: of the record */
	uint8_t named;
	struct span name;  /* at most UINT16_MAX bytes */
	struct span claim; /* at most UINT16_MAX bytes */
	struct span datagram;
};

enum owners_proof {
	OWNERS_NOT_ITS, /* another device's, or nobody's */
	OWNERS_NAMES,	/* the device's owner may know what to do with it, but it moves nothing */
	OWNERS_PROVES,	/* the device speaks here */
};

/* What becomes of a device that was to be given away. */
enum owners_end {
	OWNERS_GONE, /* it is the other's: forget it */
	OWNERS_KEPT, /* nothing was stored: it goes on here */
	OWNERS_LOST, /* nobody knows: forget it, the store knows whose it is */
};

/* `result` 0: `w` is the write that gives it away, `stored` is the device as it will be stored (but for the
 * fence), `luggage` what lives in memory only; borrowed for the call. < 0: it stays. */
typedef void owners_ready_fn(void *arg, int result, const struct store_write *w,
			     const struct store_device *stored, struct span luggage);

typedef void owners_called_fn(void *arg, int result, struct span answer);

struct owners_host {
	void *ctx;
	/* It is in memory here, not being given away. */
	bool (*here)(void *ctx, struct store_key key);
	/* Whether this record is news to the session of the device. */
	bool (*fresh)(void *ctx, struct store_key key, struct span datagram);
	/* Freezes the device and calls `ready`, once, perhaps within the call; then `given` says how it
	 * ended. */
	void (*give)(void *ctx, struct store_key key, owners_ready_fn *ready, void *arg);
	void (*given)(void *ctx, struct store_key key, enum owners_end end);
	/* It is ours by its fence. `luggage` empty: it comes from the store alone. < 0: it cannot be served.
	 */
	int (*take)(void *ctx, const struct store_device *stored, struct span luggage);
	/* Another node has it, with this generation: whatever is here is of the past. */
	void (*lost)(void *ctx, struct store_key key, uint32_t gen);
	/* It is in memory, and the store has nothing of it. */
	void (*missing)(void *ctx, struct store_key key);
	/* There was such a device: whoever registers as it goes on above this. */
	void (*vacant)(void *ctx, const struct store_device *tombstone);
	enum owners_proof (*judge)(void *ctx, const struct store_device *stored, const struct parcel *p);
	/* Its device is here now, or will not be found: to be handled without asking again. */
	void (*input)(void *ctx, const struct parcel *p);
	/* Unix time at which the device has to be looked at, by all that is stored; 0: never. */
	uint64_t (*expires_ms)(void *ctx, const struct store_device *stored);
	/* The next device in memory, *cursor 0 at first; false at the end. `key` is borrowed for the call. */
	bool (*next)(void *ctx, uint32_t *cursor, struct store_key *key);
	/* To another node (link.h): `done` once, later. < 0: not sent. */
	int (*call)(void *ctx, uint32_t node, enum message_kind kind, struct span body, uint64_t timeout_ms,
		    owners_called_fn *done, void *arg);
	void (*send)(void *ctx, uint32_t node, enum message_kind kind, struct span body);
	/* Answers a call; `call` is the host's. */
	void (*answer)(void *ctx, void *call, struct span body);
};

struct owners_config {
	uint32_t node;
	uint64_t incarnation;
	uint64_t ask_ms;	/* 300: then asked once more, then claimed */
	uint32_t lookups_per_s; /* per source network, twice that at once; 0: no limit */
	size_t searches_max;
	enum store_role role;
};
void owners_config_init(struct owners_config *c);

/* All pointers and what `host` points to are borrowed until owners_free. NULL: -ENOMEM. */
struct owners *owners_new(const struct owners_config *config, const struct owners_host *host,
			  struct store *store, const struct members *members,
			  struct timers *timers) NODISCARD;
/* When no call to the store or to a node is under way any more. */
struct owners *owners_free(struct owners *o);
/* No device comes here any more; what is under way ends without a word. */
void owners_stop(struct owners *o);

/*
 * A datagram names a device that is not here, or is being given away. True: it is copied, and is given to
 * host.input when that is known, or dropped, for the device to send it again. False: nobody has such a
 * device, as we know from a moment ago.
 */
bool owners_find_endpoint(struct owners *o, struct span endpoint, const struct parcel *p);
/* By the upper half of store_key_hash. */
bool owners_find_hash(struct owners *o, uint32_t hash, const struct parcel *p);
/* By an entry of the store's indexes. */
bool owners_find_index(struct owners *o, enum store_index kind, struct span key, const struct parcel *p);

enum owners_where {
	OWNERS_HERE = 0,
	OWNERS_AT = 1,	    /* at that node */
	OWNERS_NOWHERE = 2, /* there is no such device */
	OWNERS_AWAY = 3,    /* the store does not say, or nobody can have it now */
};
typedef void owners_where_fn(void *ctx, enum owners_where where, uint32_t node);
/* Where requests for this device are to be executed; takes it over if its owner is dead. `done` once, later.
 * -ENOBUFS, -ENOMEM. */
int owners_where(struct owners *o, struct span endpoint, owners_where_fn *done, void *ctx) NODISCARD;

/* What other nodes say. `call` is answered once, perhaps later, by host.answer. */
void owners_on_ask(struct owners *o, uint32_t from, uint64_t incarnation, struct span body, void *call);
void owners_on_give(struct owners *o, struct span body, void *call);
void owners_on_lost(struct owners *o, struct span body);

/* Gives all devices to the nodes that stay, some at a time. `done` when none is left that can be given. */
void owners_drain(struct owners *o, void (*done)(void *ctx, size_t left), void *ctx);

struct owners_stats {
	uint64_t searches, searches_limited, searches_failed;
	uint64_t forwarded, asked, asked_again, given, refused, claimed, taken_over, came, expired;
	size_t moving;
};
void owners_stats(const struct owners *o, struct owners_stats *out);
