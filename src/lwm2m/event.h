/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "lwm2m/queued.h"
#include "lwm2m/registration.h"

/*
 * Events for the backends, as they are written to the log: types and compact bodies. They hold what is needed
 * to render them later without any other state: rendering (JSON) costs only whoever reads.
 */

enum lwm2m_event_type {
	EVENT_REGISTERED = 1,
	EVENT_UPDATED = 2,
	EVENT_DEREGISTERED = 3,
	EVENT_NOTIFICATION = 4,
	EVENT_OBSERVATION_ENDED = 5,
	EVENT_SEND = 6,
	EVENT_REQUEST_ENDED = 7, /* of a queued request, whatever its end */
	EVENT_AWAKE = 8,	 /* a device in queue mode was heard after it had slept */
	EVENT_SLEEPING = 9,	 /* ... and was not heard for so long that it is taken to sleep */
};

enum deregistration_reason {
	DEREGISTERED_BY_CLIENT = 1,
	DEREGISTERED_EXPIRED = 2,
	DEREGISTERED_REPLACED = 3,
	DEREGISTERED_BY_API = 4,
};

/* EVENT_OBSERVATION_ENDED: who ended it. */
enum observation_end {
	OBSERVATION_CANCELLED = 1, /* by the backend */
	OBSERVATION_REFUSED =
		2,	       /* the device answered a re-issued Observe with an error or without Observe */
	OBSERVATION_ERROR = 3, /* error notification */
};

/* EVENT_UPDATED: what the Update carried. */
enum { UPDATE_LIFETIME = 1, UPDATE_LINKS = 2, UPDATE_BINDING = 4, UPDATE_SMS = 8, UPDATE_ADDRESS = 16 };

/* A decoded event; spans borrow from the body. Which members count depends on `type`. */
struct lwm2m_event {
	enum lwm2m_event_type type;
	struct span endpoint;		  /* from the store's key, not in the body */
	struct registration registration; /* REGISTERED, UPDATED, DEREGISTERED: as after the event */
	uint64_t seen_ms;		  /* the same: last update, Unix time */
	bool replaces; /* REGISTERED: the device was registered already; readers see a DEREGISTRATION of */
	struct registration previous; /* ... this one (reason: replaced) before it, which has no place of its
					 own in the log */
	uint64_t previous_seen_ms;
	struct span previous_record; /* `previous`, encoded; empty: replaces is false */
	uint8_t reason;		     /* DEREGISTERED, OBSERVATION_ENDED */
	uint8_t update_flags;	     /* UPDATED */
	struct path path;	     /* NOTIFICATION, OBSERVATION_ENDED; composite: the root */
	struct span paths; /* the same: what a composite observes (paths_next), empty for a single one */
	uint8_t code;	   /* the same: code of the message, 0 if there was none */
	uint16_t format;   /* NOTIFICATION, SEND: Content-Format, COAP_FORMAT_NONE if absent */
	struct span root;  /* the same: alternate path, which names in the payload may start with */
	struct object_version lwm2m; /* the same: with `declared`, the model to decode the payload with */
	struct span declared;	     /* ... encoded; lwm2m_event_model reads it */
	struct span payload;	     /* NOTIFICATION, SEND */
	uint8_t state;		     /* REQUEST_ENDED: enum queued_state */
	struct span request_id;	     /* the same */
	/* The same, with its end; path, paths, and how the payload is read are above too. */
	struct queued_request request;
};

/* -EPROTO for bytes that are no event body. */
int lwm2m_event_decode(uint8_t type, struct span endpoint, struct span body, struct lwm2m_event *out);
/* `record` is the encoded registration (REGISTERED, UPDATED, DEREGISTERED) or request (REQUEST_ENDED), else
 * empty. */
int lwm2m_event_encode(const struct lwm2m_event *e, struct span record, struct buffer *out);

/* The model with which the payload of a NOTIFICATION or SEND is to be read; `declared` is filled in and
 * borrowed. */
struct model lwm2m_event_model(const struct lwm2m_event *e, const struct registry *registry,
			       struct declared_object *declared, size_t max);
/* Writes what a registration declares about the objects below `path` (the root: about all) for `declared` of
 * an event. */
void lwm2m_event_declare(const struct registration *r, const struct path *path, struct buffer *out);
