/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/*
 * Documents of credentials as the store has them: pure functions. Three kinds, told apart by the beginning
 * of their names:
 *
 *     e: ENDPOINT            what the device may authenticate with, without secrets
 *     i: PSK IDENTITY        whose it is, and its key, sealed
 *     k: SHA-256 of the SPKI whose raw public key it is
 */

enum credential_mode { CREDENTIAL_PSK = 1, CREDENTIAL_RAW_KEY = 2, CREDENTIAL_X509 = 4 };

enum {
	CREDENTIAL_ENDPOINT_MAX = 255,
	CREDENTIAL_IDENTITY_MAX = 128, /* LwM2M, Security object: at least that */
	CREDENTIAL_KEY_MAX = 64,
	CREDENTIAL_SPKI_MAX = 1024,
	CREDENTIAL_HASH = 32,
	CREDENTIAL_FINGERPRINT = 8,
	CREDENTIAL_ENTRIES = 4, /* two keep working; four may be listed while a change is on its way */
	CREDENTIAL_LIST_BYTES =
		2 + CREDENTIAL_ENTRIES * (3 + CREDENTIAL_IDENTITY_MAX + CREDENTIAL_FINGERPRINT),
	CREDENTIAL_NAME_BYTES = 2 + CREDENTIAL_ENDPOINT_MAX,
	CREDENTIAL_SEALED_MAX = 1024,
	CREDENTIAL_OWNER_BYTES = 2 + 2 + CREDENTIAL_ENDPOINT_MAX + CREDENTIAL_SEALED_MAX,
};

/* One thing that a device may authenticate with. */
struct credential_entry {
	uint8_t mode; /* enum credential_mode */
	bool fresh;   /* not used yet: its first use ends the others */
	uint8_t id_len;
	uint8_t id[CREDENTIAL_IDENTITY_MAX]; /* PSK identity; SHA-256 of the SPKI; nothing for X.509 */
	uint8_t fingerprint[CREDENTIAL_FINGERPRINT];
};

struct credential_list {
	size_t count;
	struct credential_entry items[CREDENTIAL_ENTRIES];
};

static inline struct span credential_id(const struct credential_entry *e)
{
	return span_of(e->id, e->id_len);
}

/* The same mode and identity; the key may be another. */
bool credential_same(const struct credential_entry *a, const struct credential_entry *b);
const struct credential_entry *credential_list_find(const struct credential_list *l,
						    const struct credential_entry *like);

void credential_list_encode(const struct credential_list *l, struct writer *w);
/* 0; -EPROTO: of a newer version; -EBADMSG: damaged. */
int credential_list_decode(struct span body, struct credential_list *out) NODISCARD;

/* Whose an identity or a key is. Spans are borrowed from what was decoded. */
struct credential_owner {
	struct span endpoint;
	bool fresh;
	struct span sealed; /* of a PSK; else empty */
};
void credential_owner_encode(const struct credential_owner *o, struct writer *w);
int credential_owner_decode(struct span body, struct credential_owner *out) NODISCARD;

/* "e:", "i:" or "k:" and the bytes; at most CREDENTIAL_NAME_BYTES. */
struct credential_name {
	uint8_t bytes[CREDENTIAL_NAME_BYTES];
	size_t len;
};
struct span credential_name_endpoint(struct credential_name *n, struct span endpoint);
/* Of the document that claims an entry's identity or key; empty for X.509, which claims nothing. */
struct span credential_name_claim(struct credential_name *n, const struct credential_entry *e);
