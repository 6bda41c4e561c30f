/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "sim/device.h"

/* What a device says about itself, in the formats that its version speaks. */

enum { CONTENT_LIMIT = 64 << 10, CONTENT_NO_BLOCK = -1 };

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
/* All of them, "0 42 11542". */
void content_formats(const struct sim *s, struct buffer *out);
/*
 * What a GET of `path` gives: Discover for `accept` FORMAT_LINK, else Read in that format, or in the one that
 * suits the version and the depth (COAP_FORMAT_NONE). `block2` is the request's option or CONTENT_NO_BLOCK: a
 * later block is cut from what the first one was cut from. To be followed by content_release.
 */
void content_take(struct device *d, const struct path *path, uint16_t accept, int64_t block2, uint64_t now_ms,
		  struct content *out);
/*
 * Adds Content-Format and the payload to a response, or as much of it as one block takes, with Block2, ETag
 * and Size2 (RFC 7959). False if it asks for what is behind the end. The message borrows from `c` and `etag`.
 */
bool content_attach(struct content *c, const struct siphash_key *key, int64_t block2, struct coap_message *m,
		    uint8_t etag[4]);
/* Frees it, or keeps it for the blocks to come. */
void content_release(struct device *d, const struct path *path, uint16_t accept, struct content *c);
/* Frees what is kept. */
void content_forget(struct device *d);
