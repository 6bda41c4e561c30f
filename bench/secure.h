/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "bench/fleet.h"

/* DTLS sessions of the generator's devices, with connection ids: theirs of no bytes, the server's as it
 * likes.
 */

struct secure;

enum secure_mode {
	SECURE_PSK = 1,	    /* identity: the endpoint name; key: SECURE_KEY */
	SECURE_RAW_KEY = 2, /* sim/rawkey.h of SECURE_KEY and "bench-000001" and so on */
};
#define SECURE_KEY "bench of a fleet"

struct secure_host {
	void (*send)(void *ctx, uint32_t device, struct span datagram);
	void (*input)(void *ctx, uint32_t device, struct span message);
	/* A handshake is over. */
	void (*done)(void *ctx, uint32_t device, bool good);
};

/* `host` is borrowed. Words on stderr, -EINVAL, or -ENOMEM. */
int secure_new(enum secure_mode mode, const struct secure_host *host, void *ctx, uint64_t now_ms,
	       struct secure **out) NODISCARD;
struct secure *secure_free(struct secure *s);

/* Begins a handshake, whatever was before. -ENOMEM. */
int secure_start(struct secure *s, uint32_t device, uint64_t now_ms) NODISCARD;
bool secure_is_ready(const struct secure *s, uint32_t device);
bool secure_is_busy(const struct secure *s, uint32_t device);
/* False: there is no session. */
bool secure_send(struct secure *s, uint32_t device, struct span message);
void secure_input(struct secure *s, uint32_t device, struct span datagram, uint64_t now_ms);
/* Repeats what handshakes lost. */
void secure_advance(struct secure *s, uint64_t now_ms);
