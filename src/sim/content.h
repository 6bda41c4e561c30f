/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "coap/block.h"
#include "sim/device.h"

/* What a device says about itself, in the formats that its version speaks. */

enum { CONTENT_LIMIT = 1 << 20, TARGET_PATHS_MAX = 64 };

/* What is read or observed: one path, or the list of a composite. */
struct target {
	const struct path *paths; /* borrowed, unless target_copy made it */
	size_t count;
	uint16_t accept; /* FORMAT_LINK: Discover; COAP_FORMAT_NONE: whatever suits */
	bool composite;
};

/* -ENOMEM or 0. The copy wants target_deinit. */
int target_copy(struct target *to, const struct target *from) NODISCARD;
void target_deinit(struct target *t);

struct content {
	uint8_t code; /* COAP_CONTENT or an error */
	bool blocks;  /* content_attach had to cut */
	uint16_t format;
	double number; /* the first value, where it is a number; else 0 */
	struct buffer payload;
};

struct objects_env content_env(const struct device *d, uint64_t now_ms, char name[DEVICE_NAME]);
/* Whether devices of this version read this format. */
bool content_knows(const struct sim *s, uint16_t format);
/* Whether composites come and go in this format. */
bool content_is_composite(uint16_t format);
/* All of them, "0 42 11542". */
void content_formats(const struct sim *s, struct buffer *out);
/*
 * What a GET or FETCH gives. `block2` is the request's option, or NULL: a later block is cut from what the
 * first one was cut from. Of a composite, paths that are not there or cannot be read are silently left out
 * (Core 1.1.1, 6.3.8). To be followed by content_release.
 */
void content_take(struct device *d, const struct target *target, const struct coap_block *block2,
		  uint64_t now_ms, struct content *out);
/*
 * Adds Content-Format and the payload to a response, or as much of it as one block takes, with Block2, ETag
 * and Size2 (RFC 7959). False if it asks for what is behind the end. The message borrows from `c` and `etag`.
 */
bool content_attach(struct content *c, const struct siphash_key *key, const struct coap_block *block2,
		    struct coap_message *m, uint8_t etag[COAP_BODY_ETAG]);
/* Frees it, or keeps it for the blocks to come. */
void content_release(struct device *d, const struct target *target, struct content *c);
/* Frees what is kept. */
void content_forget(struct device *d);
