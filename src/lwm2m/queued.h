/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "coap/message.h"
#include "model/registry.h"
#include "model/value.h"

/*
 * A request that waits in the store, and what became of it. It is kept as it was asked for, not as the
 * message that will be sent: when its turn comes the device may have registered anew, with other versions and
 * formats.
 */

/* struct store_request.state. From QUEUED_ANSWERED on it is over. */
enum queued_state {
	QUEUED_WAITING = 1,
	QUEUED_SENT = 2,     /* or about to be: written before the message leaves */
	QUEUED_ANSWERED = 3, /* by the device, whatever it says */
	QUEUED_EXPIRED = 4,
	QUEUED_CANCELLED = 5, /* by the backend */
	QUEUED_FAILED = 6,    /* it cannot be sent, or the answer makes no sense */
	QUEUED_UNKNOWN = 7,   /* the device may have acted on it or not, and it must not act twice */
	QUEUED_STATES,
};

static inline bool queued_is_over(uint8_t state)
{
	return state >= QUEUED_ANSWERED;
}

enum { REQUEST_ID = 36 };
/* The hash of the device that a request is for: its id begins with it. False: this is no id. */
bool queued_id_hash(struct span id, uint32_t *hash);
/* "queued", "sent", ...; "" for what is no state. */
const char *queued_state_name(uint8_t state);
/* "read", "write", ... of an enum lwm2m_operation. */
const char *queued_operation_name(uint8_t operation);

struct queued_end {
	uint64_t ended_ms; /* Unix time; 0: it is not over */
	/* Of the device's write that has the event of its end: its generation and number. */
	uint32_t event_gen;
	uint64_t event_number;
	uint8_t code; /* the answer; 0: none */
	uint16_t format;
	struct span payload, location;
	struct span error; /* words */
	/* What the payload is read with: as in an event. */
	struct span root;
	struct object_version lwm2m;
	struct span declared;
};

/* Spans borrow from the bytes that were decoded. */
struct queued_request {
	uint8_t operation; /* enum lwm2m_operation */
	struct path path;
	uint16_t format, path_format, instance;
	struct span paths;     /* composites: encoded, paths_next walks */
	struct span records;   /* what is written: queued_records_decode. Not kept when it is over */
	struct span arguments; /* the same */
	uint64_t added_ms, expires_ms;
	uint8_t attempts;	 /* how often it was sent */
	struct coap_token token; /* of the last time; none: never. A late answer is known by it */
	struct queued_end end;
};

int queued_encode(const struct queued_request *q, struct buffer *out);
/* -EPROTO for bytes that are no request (of a version we read). */
int queued_decode(struct span body, struct queued_request *out);

void queued_records_encode(const struct record *items, size_t count, struct buffer *out);
/* Strings borrow from `body`. -EPROTO, -ENOMEM. */
int queued_records_decode(struct span body, struct records *out);
