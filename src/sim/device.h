/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "coap/block.h"
#include "coap/dedup.h"
#include "sim/attributes.h"
#include "sim/names.h"
#include "sim/sim.h"

/*
 * One simulated device: the client side of a registration (LwM2M Core 1.1.1, 6.2), and whatever the server
 * asks of it. Sans-IO: datagrams come in through device_receive, time through `now_ms` and the simulation's
 * timers.
 */

struct secure;
struct sending;
struct snapshot;

enum { DEVICE_NAME = NAME_OF_DEVICE, DEVICE_LOCATION = 96 };

/* What a device has to do as soon as nothing else is under way. */
enum {
	WANT_UPDATE = 1,
	WANT_LIFETIME = 2, /* the next Update says the lifetime, the binding, the objects */
	WANT_BINDING = 4,
	WANT_LINKS = 8,
	WANT_ANY_UPDATE = WANT_UPDATE | WANT_LIFETIME | WANT_BINDING | WANT_LINKS,
	WANT_REGISTER = 16,
	WANT_DISABLE = 32,
	WANT_REBOOT = 64,
	WANT_SEND = 128,
};

struct device {
	struct sim *sim; /* borrowed */
	struct coap_peer peer;
	struct coap_dedup dedup;
	struct secure *secure;		/* its DTLS session, or NULL (secure.c) */
	struct timer timer;		/* of the state: start, Update, next attempt, end of a pause */
	struct coap_exchange *exchange; /* Register, Update, De-register or Send; NULL: none under way */
	struct coap_upload upload;	/* what it carries */
	struct list observations;
	struct objects objects;
	struct attribute_list attributes;
	struct sending *sending;   /* what is sent without being asked, or NULL (send.c) */
	struct snapshot *snapshot; /* what is being read in blocks, or NULL (content.c) */
	uint64_t awake_until_ms;   /* queue mode */
	uint32_t index;
	uint32_t failures; /* attempts to register since the last that succeeded */
	uint16_t observation_count;
	uint16_t last_token;		  /* counts our requests */
	uint16_t created_mid, created_id; /* of the last Create: its retransmission wants the same Location */
	uint8_t state;			  /* enum device_state */
	uint8_t wanted;			  /* WANT_ bits */
	uint8_t updating;		  /* those which the Update under way is for */
	bool was_registered;
	bool reconnected;		/* by a handshake, for want of answers; there was none since */
	char location[DEVICE_LOCATION]; /* "/rd/abc" */
};

/* The address by which the CoAP layer tells the devices apart: the server, as seen by device `index`. */
struct address device_address(const struct sim *s, uint32_t index);
uint32_t device_index(const struct address *a);
/* "sim-000001", or of the file of credentials. Returns `name`. */
const char *device_name(const struct device *d, char name[DEVICE_NAME]);

/* -ENOMEM or 0; device_deinit is harmless after a failure. */
int device_init(struct device *d, struct sim *s, uint32_t index) NODISCARD;
void device_deinit(struct device *d);
/* Registers at `at_ms`. */
void device_start(struct device *d, uint64_t at_ms);
/* De-registers at `at_ms` (or only ends, if it is not registered), while `sim->stopping`. */
void device_stop(struct device *d, uint64_t at_ms);
/* One datagram from the server. */
void device_receive(struct device *d, struct span datagram, uint64_t now_ms);
/* Whether the last thing heard from the server was good. */
bool device_is_well(const struct device *d);

/* For the other files of this folder: */

/*
 * The server did not know us: what it knew is lost, so register again. Or it did not answer (`silent`): with
 * DTLS it may have lost the session alone, so one handshake is tried before.
 */
void device_lost(struct device *d, bool silent, uint64_t now_ms);
/* What secure.c tells: messages can be sent now; the handshake failed, or the session has ended. */
void device_connected(struct device *d, uint64_t now_ms);
void device_disconnected(struct device *d, bool failed, uint64_t now_ms);
/* One CoAP message from the server. */
void device_message(struct device *d, struct span datagram, uint64_t now_ms);
/* Begins what is wanted most, if nothing is under way. */
void device_act(struct device *d, uint64_t now_ms);
struct coap_token device_next_token(struct device *d);
/* Starts the one exchange which there may be at a time. False if there is no room: to be tried again later.
 */
bool device_request(struct device *d, struct coap_message *m, coap_done *done, uint64_t now_ms) NODISCARD;
/* A message was sent: a device in queue mode listens for a while. */
void device_woke(struct device *d, uint64_t now_ms);
