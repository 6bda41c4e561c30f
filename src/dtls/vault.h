/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

#include <nettle/hmac.h>

/*
 * Secrets at rest are sealed (architecture, rule 9): what the store holds of session keys and pre-shared keys
 * is useless without the cluster key, and of use only in the place where it was put. ChaCha20-Poly1305 (RFC
 * 8439) under keys by HKDF-SHA256 (RFC 5869); vault.c has the format and why no nonce comes twice.
 *
 * A vault belongs to one thread. Several in one process are safe, also with the same node and incarnation.
 */

enum {
	VAULT_SECRET = 32,
	VAULT_KEY_ID = 4,
	VAULT_SALT = 8,
	VAULT_KEYS = 4, /* cluster keys at a time: the current one, and others that still open */
	VAULT_DERIVED = 32,
	VAULT_NAME_MAX = 255,
	VAULT_OVERHEAD = 1 + VAULT_KEY_ID + 4 + 8 + VAULT_SALT + 8 + 16,
	VAULT_PLAINTEXT_MAX = 1 << 16,
};

/* What a sealed secret is. Numbers are for ever: they are authenticated. */
enum vault_kind { VAULT_SESSION = 1, VAULT_PSK = 2, VAULT_PRIVATE_KEY = 3, VAULT_RESUMPTION = 4 };

/* Where it belongs: opens under the same three alone. */
struct vault_place {
	uint8_t kind;
	uint8_t role;
	struct span name; /* endpoint, identity, ...; at most VAULT_NAME_MAX */
};

/* A cluster key as a file has it. Wipe it (explicit_bzero) when the vault has it. */
struct vault_key {
	uint8_t secret[VAULT_SECRET];
};
/*
 * The contents of a file: 32 bytes, or 64 hexadecimal digits with white space before and after. -EINVAL:
 * neither, or all bytes are the same.
 */
int vault_key_parse(struct span contents, struct vault_key *out) NODISCARD;

struct vault_cluster_key {
	uint8_t id[VAULT_KEY_ID];
	struct hmac_sha256_ctx prk; /* keyed by what HKDF extracted */
};

struct vault {
	struct vault_cluster_key keys[VAULT_KEYS]; /* the first one seals */
	size_t key_count;
	uint32_t node;
	uint64_t incarnation;
	uint8_t salt[VAULT_SALT];
	uint64_t counter; /* nonces used */
	uint8_t seal_key[VAULT_SECRET];
};

/* `salt`: random bytes, of this vault alone. Never copy a vault: both would use the same nonces. */
void vault_init(struct vault *v, const struct vault_key *current, uint32_t node, uint64_t incarnation,
		const uint8_t salt[VAULT_SALT]);
/* Wipes it. */
void vault_deinit(struct vault *v);
#define _cleanup_vault_ _cleanup_(vault_deinit)
/* One more key that opens, but does not seal: the one before or the next one. -ENOSPC: there are VAULT_KEYS.
 */
int vault_add_key(struct vault *v, const struct vault_key *key) NODISCARD;
/* True if `sealed` is under the current key; else whoever opens it may seal it again. */
bool vault_is_current(const struct vault *v, struct span sealed);

/*
 * Appends plaintext.len + VAULT_OVERHEAD bytes. The writer fails, with nothing written, if they do not fit or
 * are more than VAULT_PLAINTEXT_MAX. `plaintext` must not overlap the room of the writer.
 */
void vault_seal(struct vault *v, const struct vault_place *place, struct span plaintext, struct writer *w);
/*
 * Appends what was sealed: secrets, so wipe them after use. -EPROTO: of a newer version; -ENOKEY: no key with
 * that id is known; -EBADMSG: not authentic, or not of this place; -EMSGSIZE: does not fit. Nothing is left
 * in the writer's room then.
 */
int vault_open(const struct vault *v, const struct vault_place *place, struct span sealed,
	       struct writer *w) NODISCARD;
/*
 * A secret that all nodes with this cluster key have in common, for a use (`label`) and a period of it:
 * cookie keys, the key between nodes.
 */
void vault_derive(const struct vault *v, const char *label, uint64_t period, uint8_t out[VAULT_DERIVED]);
/* The same of keys[key], one of key_count: what a node derives whose current key that is. */
void vault_derive_by(const struct vault *v, size_t key, const char *label, uint64_t period,
		     uint8_t out[VAULT_DERIVED]);
