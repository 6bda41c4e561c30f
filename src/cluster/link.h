/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/log.h"
#include "base/random.h"
#include "base/timer.h"

#include <uv.h>

/*
 * Links between the nodes of a cluster: messages, and calls with answers, over TLS 1.3 with a key that all
 * nodes derive from the cluster key. A connection is opened when it is needed, one for each pair and
 * direction, and closed when it is idle.
 *
 * A call has a ticket and a deadline. While the deadline lasts, a lost connection is opened anew and the call
 * is sent again with the same ticket; the node that is called remembers the tickets, so that it answers a
 * repeated call, and does not execute it again. What a node does not know of another - its address, its
 * incarnation - is told by links_set_peer, from the leases; nodes without a lease, or of another incarnation
 * than it says, are not listened to.
 *
 * Callbacks come from the loop and from timers_advance, never from within a call of this interface; all
 * bodies are borrowed for the call. Times are those of uv_now(loop), with which `timers` have to be advanced.
 */

struct links;
struct links_call;

enum {
	LINKS_PSK = 32,
	LINKS_KEY_ID = 4,
	LINKS_KEYS = 4,
	LINKS_PEERS_MAX = 1024,
	LINKS_MESSAGE_MAX = 1 << 20,
	LINKS_BYTES_MAX = 4 << 20,
	LINKS_CALLS_MAX = 8192,
	LINKS_IDLE_MS = 60000,
	LINKS_TIMEOUT_MAX_MS = 600000,
};

struct links_handlers {
	void (*on_message)(void *ctx, uint32_t node, uint64_t incarnation, uint16_t kind, struct span body);
	/* To be answered once, by links_answer or links_refuse, now or later. */
	void (*on_call)(void *ctx, uint32_t node, uint64_t incarnation, uint16_t kind, struct span body,
			struct links_call *call);
	/* A node has the key, and is not let in because its lease, or that of this incarnation, is not known.
	 * It tries again: look at the leases. May be NULL. */
	void (*on_stranger)(void *ctx, uint32_t node, uint64_t incarnation);
};

/* Of a cluster key: vault.keys[i].id, and vault_derive_by(vault, i, "shoal link", 0, psk). */
struct links_key {
	uint8_t id[LINKS_KEY_ID];
	uint8_t psk[LINKS_PSK];
};

/* Zeroes are the defaults above. What is pointed to has to live until `closed`. */
struct links_config {
	uint32_t node;
	uint64_t incarnation;
	struct address listen; /* port 0: any free one */
	/* The first is for our own connections, each of them for those of others: so links last while the
	 * nodes get a new cluster key one after the other. Wipe it when links_new has it. */
	struct links_key keys[LINKS_KEYS];
	size_t key_count;
	uv_loop_t *loop;
	struct timers *timers;
	struct random *random;
	struct log *log;    /* may be NULL */
	size_t message_max; /* the longest body */
	size_t bytes_max; /* of each: what waits for a peer to take it; calls to it without answer; answers to
			     it that are remembered. At least message_max + 64 KiB. */
	uint32_t calls_max; /* to a peer without answer; and of it, running or remembered */
	uint64_t idle_ms;
};

/* -EADDRINUSE, -EACCES, -EADDRNOTAVAIL and others of bind(2), -ENOMEM. `handlers` has to stay. */
int links_new(const struct links_config *config, const struct links_handlers *handlers, void *ctx,
	      struct links **out) NODISCARD;
/*
 * Closes all. Calls that still wait end with -ECANCELED, then `closed` (may be NULL) is called, from the
 * loop. Calls of others that are still to be answered may be, and have to be: it frees them.
 */
void links_free(struct links *l, void (*closed)(void *ctx), void *ctx);
/* The port that is listened on, for the lease. */
uint16_t links_port(const struct links *l);

/*
 * What a lease says. A new incarnation ends all that was with the one before: calls to it by -ECONNRESET,
 * answers to it go nowhere. A new address is for the next connection. -ENOMEM; -ENOSPC: LINKS_PEERS_MAX;
 * -EINVAL: this node itself, or no address.
 */
int links_set_peer(struct links *l, uint32_t node, uint64_t incarnation, const struct address *at) NODISCARD;
/* The lease is gone. Ends all that was with it, as a new incarnation does; should the same one come back,
 * none of its calls is executed again. */
void links_drop_peer(struct links *l, uint32_t node);

/*
 * One way, best effort: copied, sent when the peer takes it. -ENOTCONN: no such peer, or it was not reached a
 * moment ago; -ENOBUFS: too much waits; -EMSGSIZE; -ENOMEM.
 */
int links_send(struct links *l, uint32_t node, uint16_t kind, struct span body) NODISCARD;

/*
 * The end of a call. 0: `answer` is there. -ENOTCONN: it was not sent within its time, so nothing was done.
 * Others mean that it may have been executed: -ETIMEDOUT; -ECONNRESET: the peer is not the one it was;
 * -ECANCELED: links_free; -ENODATA: it was taken before, but what
 * came of it is forgotten. Or that of links_refuse; -ENOBUFS:
 * the peer has too many, and executes none of it.
 */
typedef void links_done(void *ctx, int err, struct span answer);
/*
 * Calls a peer; the body is copied. 0: `done` will be called once, unless it is cancelled. Else it will not:
 * -ENOTCONN: no such peer; -ENOBUFS: too many calls or bytes wait for it; -EMSGSIZE; -ENOMEM. timeout_ms: 1
 * to LINKS_TIMEOUT_MAX_MS. `ticket` may be NULL; tickets are never 0.
 */
int links_call(struct links *l, uint32_t node, uint16_t kind, struct span body, uint64_t timeout_ms,
	       links_done *done, void *ctx, uint64_t *ticket) NODISCARD;
/* `done` will not be called. False: it was already, or there is no such call. The peer may execute it. */
bool links_cancel(struct links *l, uint64_t ticket);

/* Answers, and frees the call. -EMSGSIZE: too long; then its caller is told -EMSGSIZE. */
int links_answer(struct links_call *call, struct span body);
/* err: -1 to -4095, a negative errno, which the caller's `done` gets. */
void links_refuse(struct links_call *call, int err);
/* How long its caller still waits; 0: nobody waits any more. */
uint64_t links_call_left_ms(const struct links_call *call);

struct links_stats {
	uint32_t peers, links_out, links_in; /* that are open now */
	uint64_t connects,
		connect_failures; /* connections begun; that ended before the peer had shown who it is */
	uint64_t refused;	  /* that others began and were not let in: no key, or no lease */
	uint64_t broken;	  /* closed for what the peer sent */
	uint64_t messages_sent, messages_dropped, messages_received;
	uint64_t calls_sent, calls_repeated, calls_answered, calls_failed; /* ours; repeated: sent again */
	uint64_t calls_received, calls_again, calls_refused; /* of others; again: known by their ticket */
	uint64_t answers_forgotten;
};
/* Borrowed until the next call. */
const struct links_stats *links_stats(const struct links *l);
