/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "coap/block.h"
#include "coap/layer.h"
#include "sim/credentials.h"
#include "sim/ledger.h"
#include "sim/objects.h"
#include "sim/options.h"

/* What all devices of a simulation share. Without socket and clock: `coap` sends by a callback, `now_ms` is
 * an argument everywhere. */

enum device_state {
	DEVICE_IDLE,	      /* not started yet */
	DEVICE_CONNECTING,    /* a handshake is under way, and Register comes next */
	DEVICE_REGISTERING,   /* Register is under way */
	DEVICE_REGISTERED,    /* the server said 2.01; Updates are under way from time to time */
	DEVICE_WAITING,	      /* for the next attempt to register */
	DEVICE_BOOTING,	      /* hears nothing */
	DEVICE_DISABLED,      /* de-registered by the server's Disable, for a time */
	DEVICE_DEREGISTERING, /* De-register is under way */
	DEVICE_STOPPED,	      /* for good */
	DEVICE_STATES,
};

struct sim_stats {
	uint64_t registrations, updates, deregistrations; /* acknowledged */
	uint64_t notifications, notifications_acked, notifications_reset;
	uint64_t sends, values_sent;  /* acknowledged */
	uint64_t requests;	      /* of the server, answered; retransmissions not counted */
	uint64_t duplicates;	      /* retransmissions that were answered again without acting again */
	uint64_t unheard;	      /* datagrams to devices that slept, or restarted */
	uint64_t lost_registrations;  /* found out by an error or by silence; then registered again */
	uint64_t handshakes, resumed; /* complete; of these, by resumption */
	uint64_t sessions_ended;      /* by the server, or for the limits of their keys */
	uint64_t handshakes_failed[DTLS_INTERNAL_ERROR + 1]; /* by cause */
	uint32_t not_deregistered;			     /* at the end: refused, or no answer */
	uint64_t refused_by_server[256];		     /* by code: error answers to us */
	uint64_t refused_by_device[256];		     /* by code: our error answers */
};

struct sim {
	const struct sim_options *options; /* borrowed */
	struct registry *registry;
	struct model model;
	struct declared_object declared[1];
	struct timers timers;
	struct credentials *credentials; /* borrowed; NULL: the devices speak plain CoAP */
	/* Where datagrams of devices with DTLS go; set by whoever sets `credentials`. */
	void (*transmit)(void *ctx, uint32_t index, struct span datagram);
	void *transmit_ctx;
	struct coap_params params;
	struct random random; /* seeded; of tokens, message ids and jitter */
	struct coap_layer coap;
	struct coap_assemblies assemblies; /* what the server writes in blocks, to any device */
	struct ledger ledger;
	struct sim_stats stats;
	uint64_t begun_ms;		/* `now_ms` of the start */
	int64_t wall_offset_ms;		/* Unix time - now_ms */
	uint32_t states[DEVICE_STATES]; /* how many devices are in each */
	bool stopping;
};

/*
 * `send` gets CoAP messages (secure_send protects them, if the devices speak DTLS) and as address what
 * device_address gives for a device. `wall_ms` is the Unix time at `now_ms`. The ledger is opened by the
 * caller. -ENOMEM or 0; sim_deinit is harmless after a failure.
 */
int sim_init(struct sim *s, const struct sim_options *options, uint64_t now_ms, uint64_t wall_ms,
	     void (*send)(void *ctx, const struct address *to, struct span datagram), void *ctx) NODISCARD;
/* All devices are to be gone before. */
void sim_deinit(struct sim *s);
static inline uint64_t sim_wall_ms(const struct sim *s, uint64_t now_ms)
{
	return now_ms + (uint64_t)s->wall_offset_ms;
}
