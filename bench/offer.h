/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "bench/fleet.h"
#include "bench/histogram.h"
#include "bench/rest.h"
#include "bench/secure.h"

#include <sys/types.h>

/* Work that is offered to a server: what was sent, what came back, and what it cost. */

struct bench {
	struct air *air;
	struct fleet fleet;
	struct rest *rest;     /* NULL: none */
	struct secure *secure; /* NULL: the devices speak plain CoAP */
	struct intake *intake; /* of the offer or loop that runs */
	pid_t pid;	       /* of the server */
	bool echo;	       /* it sends back what it gets */
	uint32_t round;
	uint32_t fresh; /* the next device that never registered */
};

struct operation {
	const char *name;
	fleet_message *message; /* NULL: a handshake, or a read by HTTP */
	bool fresh;		/* by devices that never spoke before */
	bool silent;		/* shoald answers it with nothing */
	bool observed;		/* the devices must be observed */
	bool handshake;		/* a new session, and no message */
};
const struct operation *operation_find(const char *name);

struct tally {
	uint64_t sent;
	uint64_t not_sent; /* due, but there was no idle connection, or the kernel refused */
	uint64_t answered, refused;
	uint64_t stray;	 /* belonged to nothing that was under way any more */
	uint64_t lag_ns; /* how late the generator was at worst */
	uint64_t server_cpu_ns, own_cpu_ns, wall_ns;
	struct histogram latency; /* from when it was due to when the answer arrived, ns */
};

struct offer {
	const struct operation *operation;
	double rate; /* per second */
	double seconds;
	unsigned burst; /* how many datagrams leave at once */
};

/* The devices speak DTLS from now on, without sessions yet; 0: plain CoAP. -EINVAL, -ENOMEM. */
int secure_all(struct bench *b, unsigned mode) NODISCARD;
/*
 * Open loop: operations are due at a fixed rate, whether or not those before were answered. CPU is counted
 * until the last answer, or until there was none for a while. -errno; *why is set then.
 */
int offer_run(struct bench *b, const struct offer *o, struct tally *t, const char **why) NODISCARD;
/* Closed loop: registers the next devices until there are `count`, with a handshake before if they speak
 * DTLS, and repeats what is lost. -ETIMEDOUT. */
int register_all(struct bench *b, uint32_t count, const char **why) NODISCARD;
/* Closed loop: has /3/0/9 of all devices observed. */
int observe_all(struct bench *b, const char **why) NODISCARD;
