/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "bench/air.h"
#include "coap/message.h"

/* Devices as the generator plays them: what they say, and what they know of the server's answers. */

enum { LOCATION_MAX = 16, ENDPOINT_TEXT = 32, FLIGHTS = 8 };

/* A message that waits for its answer. */
struct flight {
	uint64_t due_ns; /* when it was to be sent, CLOCK_MONOTONIC */
	uint32_t round;	 /* of offers: the one that it belongs to; 0: none */
	uint16_t mid;
};

struct device {
	struct flight flights[FLIGHTS]; /* by the message id */
	uint16_t mid;			/* of the newest message */
	uint8_t location_len;		/* 0: not registered */
	char location[LOCATION_MAX];
	struct coap_token observed; /* of the observation; len 0: none */
};

struct fleet {
	struct device *devices; /* AIR_DEVICES_MAX, of which memory is taken as they are used */
	uint32_t count;		/* the first ones are registered, and picked; fleet_resize sets it */
	uint32_t position, stride;
	uint32_t notifications; /* sent so far: Observe's sequence, and the value */
};

int fleet_init(struct fleet *f) NODISCARD;
void fleet_deinit(struct fleet *f);
/* "urn:imei:000000000000042", in `text`, which is returned. */
const char *fleet_endpoint(uint32_t device, char text[ENDPOINT_TEXT]);
void fleet_resize(struct fleet *f, uint32_t count);
/* One of the `count` (not 0) devices, all in turn, each far from those before, so that no cache helps. */
uint32_t fleet_pick(struct fleet *f);

/* Messages of a device: each encodes the next one to `out` and returns its length. */
typedef size_t fleet_message(struct fleet *f, uint32_t device, uint8_t *out);
fleet_message fleet_register, fleet_update, fleet_notify_con, fleet_notify_non;

static inline struct flight *fleet_flight(struct device *d, uint16_t mid)
{
	return &d->flights[mid % FLIGHTS];
}

/*
 * What a device makes of a datagram. FLEET_ANSWER: the one that the message *mid should have; FLEET_REFUSAL:
 * another one; FLEET_REQUEST: the server asked something, and *len (not 0) bytes in `out` are the answer;
 * FLEET_STRAY: none of these.
 */
enum fleet_input { FLEET_ANSWER, FLEET_REFUSAL, FLEET_STRAY, FLEET_REQUEST };
enum fleet_input fleet_input(struct fleet *f, uint32_t device, struct span datagram, uint16_t *mid,
			     uint8_t *out, size_t *len);
