/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "coap/message.h"
#include "model/registry.h"

/*
 * What a device said of itself when it registered (LwM2M Core 1.1.1, 6.2), and the record in which we keep
 * it. The record
 * - one string of bytes, stored as it is and held in memory as it is - is the only form that lasts; `struct
 * registration` is a view of it, made when needed. It holds the observations of the device too, because they
 * live and move with it.
 */

enum { REGISTRATION_ID = 10, REGISTRATION_LINKS_MAX = 16384, REGISTRATION_OBSERVATIONS_MAX = 64 };

/* Versions of the record that are read. 1 is without session; 2 without origins of observations, and written
 * as long as there is none. */
enum { REGISTRATION_RECORD_OLDEST = 1, REGISTRATION_RECORD = 3 };

/* All spans borrow from the record (or, while a request is parsed, from the datagram). */
struct registration {
	bool present; /* false: the device is gone or never came, only wanted observations are kept */
	char id[REGISTRATION_ID + 1]; /* second segment of its location, /rd/<id> */
	uint64_t registered_ms;	      /* Unix time */
	struct address address;
	uint32_t lifetime_s; /* 0: for ever */
	struct object_version lwm2m;
	struct span binding; /* as given, "U" if it was not */
	bool queue_mode;
	bool secure;
	struct span sms;	  /* empty: none */
	struct span root;	  /* alternate path without the slash behind, "/lwm2m"; empty: none (R13) */
	struct span links;	  /* the object list as it came, link-format */
	struct span extra;	  /* other query parameters: each a span16 "name=value" or "name" */
	struct span session;	  /* its DTLS session, sealed; empty: none */
	struct span observations; /* encoded; observation_next walks */
};

/* The next of `extra`; false at the end. `has_value` tells "x=" from "x". */
bool registration_next_extra(struct span *left, struct span *name, struct span *value, bool *has_value);

/* A single observation has a path; that of a composite has a list of paths, and `path` is the root. */
struct observation {
	struct coap_token token;
	struct path path;
	struct span paths;    /* composite: encoded, paths_next walks; empty: single */
	uint16_t path_format; /* composite: Content-Format of its FETCH, else COAP_FORMAT_NONE */
	uint16_t accept;      /* format asked for, COAP_FORMAT_NONE */
	bool issued;	      /* the device confirmed it in its present registration */
	bool refused;	      /* ... or refused it, and is asked again when it registers anew */
	uint32_t origin;      /* who wants it, see lwm2m/policy.h */
};
/* Lists of paths in bytes, in the caller's order. */
void paths_encode(const struct path *paths, size_t count, struct buffer *out);
bool paths_next(struct span *left, struct path *out);

/* The next of `observations`; false at the end. */
bool observation_next(struct span *left, struct observation *out);

/* Whether a record - one that was decoded or encoded before - is of a present device, and the registration id
 * in it: what every message asks for. False for no record at all. */
bool registration_peek(struct span record, struct span *id);
/* -EPROTO for bytes that are no record (of a version we read). */
int registration_decode(struct span record, struct registration *out);
/* Encodes with exactly these observations. < 0 when `out` is full. */
int registration_encode(const struct registration *r, const struct observation *observations, size_t count,
			struct buffer *out);

/* One link of the object list that names an object or an instance under the root (R9, R12). */
struct registered_link {
	struct path path;   /* depth 1 or 2 */
	struct span params; /* raw, see coap/linkformat.h */
};
/* Walks `links` leniently: start with *left = r->links. Skips the root link, /0, /21, /23 and what is no
 * path. */
bool registration_next_link(const struct registration *r, struct span *left, struct registered_link *out);
/* The `ver` of a link; false if it has none. */
bool registered_link_version(const struct registered_link *l, struct object_version *out);
/* Fills `declared` with the versions of the object links (R10, R11); returns the model of this device. */
struct model registration_model(const struct registration *r, const struct registry *registry,
				struct declared_object *declared, size_t max);
/* Whether an object (depth 1) or instance (depth 2) is in the list; an object listed without any instance has
 * them all. */
bool registration_has(const struct registration *r, const struct path *path);
/* Whether the root link's `ct` lists this format. */
bool registration_supports(const struct registration *r, uint16_t format);

/* What a Register or Update request said. */
struct registration_request {
	struct span endpoint;
	bool has_endpoint, has_lifetime, has_version, has_binding, has_sms, has_links, queue_flag;
	uint32_t lifetime_s;
	struct object_version version;
	struct span binding, sms;
	struct span links;
	struct span root;
	unsigned extra_count;
	struct span extra[COAP_OPTIONS_MAX]; /* "name=value" or "name" */
};
/*
 * Parses the query parameters and payload of a Register (`update` false) or Update. 0, or the CoAP code to
 * answer with, and why in *diagnostic (a literal). `strict` refuses what lwm2m.md lets pass leniently.
 */
uint8_t registration_parse(const struct coap_message *m, bool update, bool strict,
			   struct registration_request *out, const char **diagnostic);
