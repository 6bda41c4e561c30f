/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/random.h"
#include "base/timer.h"
#include "lwm2m/server.h"

/*
 * The world around a management server in a replay: a clock that stands still until it is told, a network
 * that loses, doubles, delays and reorders by a seed, and a store with the rules of store.h whose writes end
 * when and how they are told. What is stored outlives the server.
 */

struct flight; /* a datagram under way */

struct network {
	struct random random;
	unsigned loss, duplicate, reorder; /* percent */
	uint32_t delay_min_ms, delay_max_ms;
	struct flight *flights; /* by time of arrival */
	uint64_t sequence;
};

struct stored_device {
	struct stored_device *next;
	size_t endpoint_len;
	uint8_t endpoint[STORE_ENDPOINT_MAX];
	bool deleted; /* a tombstone */
	struct store_hot hot;
	uint8_t *record;
	size_t record_len;
	uint16_t queue_number;
	struct stored_request *queue; /* in order */
};

struct stored_request {
	struct stored_request *next;
	char id[STORE_REQUEST_ID_MAX + 1];
	uint8_t state;
	uint64_t deadline_ms;
	uint8_t *body;
	size_t len;
};

struct stored_event {
	uint8_t type;
	char endpoint[STORE_ENDPOINT_MAX + 1];
	uint8_t *body;
	size_t len;
};

struct pending_write;

enum store_mode {
	STORE_MODE_OK,
	STORE_MODE_FAIL,   /* each write comes back as failed */
	STORE_MODE_HOLD,   /* writes wait */
	STORE_MODE_REFUSE, /* too much is pending: refused at once */
};

struct fake_store {
	enum store_mode mode;
	unsigned fail_permille; /* in mode OK: so many fail, by the network's seed */
	uint32_t delay_max_ms;	/* in mode OK: a write takes up to this long */
	struct pending_write *pending;
	struct stored_device *devices;
	struct stored_event *events;
	size_t event_count, event_cap;
};

struct world {
	struct timers timers;
	struct random random;
	struct registry *registry;
	struct lwm2m_server *server;
	struct lwm2m_config config;
	uint64_t mono_ms, wall_ms;
	bool no_queue; /* nothing is queued */
	bool dying;    /* what the old server still wants is not done */
	struct network network;
	struct fake_store store;
	/* Takes what arrives at a device; borrowed for the call. */
	void (*arrive)(void *ctx, const struct address *to, struct span datagram);
	void *ctx;
};

/* Without a server, so that `config` can still be changed: world_start. */
void world_init(struct world *w, uint64_t seed);
void world_deinit(struct world *w);
void world_start(struct world *w);
/* A datagram for the server, through the network. */
void world_send(struct world *w, const struct address *from, struct span datagram);
/* The same, `delay_ms` later and past the network's faults. */
void world_send_after(struct world *w, const struct address *from, struct span datagram, uint64_t delay_ms);
/* Lets everything happen that is due now. */
void world_settle(struct world *w);
/* Time passes, from one thing that is due to the next. */
void world_advance(struct world *w, uint64_t ms);
/* The oldest write ends; false if there is none. `result` STORE_DONE: as the fence says; else < 0. */
bool world_finish_write(struct world *w, int result);
size_t world_pending_writes(const struct world *w);
/*
 * The process dies. Of the writes under way the first `stored` are in the store, though nobody was told; the
 * rest is lost. A new server starts from what is stored.
 */
void world_crash(struct world *w, size_t stored);
const struct stored_device *world_stored(const struct world *w, struct span endpoint);
