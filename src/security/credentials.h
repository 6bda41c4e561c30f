/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "dtls/vault.h"
#include "security/credential_doc.h"
#include "store/store.h"

/*
 * What devices may authenticate with: pre-shared keys, raw public keys, certificates. Kept as documents of
 * the store (credential_doc.h), keys sealed by the vault. Asynchronous: calls return at once, callbacks come
 * later on the loop's thread, never within the call; also if the client who asked is gone, so a caller that
 * goes away keeps its context until then. What is passed in is copied, what callbacks get is borrowed.
 *
 * A device has one credential, and while it rotates two. Changes of one endpoint are done one after the
 * other; what works is always listed, also after a crash in the middle of a change (credentials.c).
 */

struct credentials;

/*
 * `gone` no longer authenticates `endpoint` (removed, replaced, another key): its sessions have to end.
 * Told twice: before the last write of the change, so that what is written to the store in this call is
 * stored when the change is; and before the callback of the change.
 */
typedef void credentials_changed(void *ctx, struct span endpoint, const struct credential_entry *gone,
				 size_t count);

/* Store and vault are borrowed until the store is closed. `changed` may be NULL. NULL: out of memory. */
struct credentials *credentials_new(struct store *store, struct vault *vault, credentials_changed *changed,
				    void *ctx) NODISCARD;
/* Only after the store was closed, so that no callback is left. */
struct credentials *credentials_free(struct credentials *c);

enum { CREDENTIALS_CHANGES_MAX = 256 }; /* changes that run or wait */

enum credentials_result {
	CREDENTIALS_DONE = 0,
	CREDENTIALS_ABSENT = 1,	  /* there is none */
	CREDENTIALS_IN_USE = 2,	  /* the identity, or the key, is another endpoint's; nothing is changed */
	CREDENTIALS_NOT_NEW = 3,  /* asked to rotate to the identity that is valid: a handshake could not tell
				     the keys apart */
	CREDENTIALS_CONFLICT = 4, /* another node changed this endpoint meanwhile: try again */
};

/* Why not, in words; `result` is none of 0. */
const char *credentials_words(int result);

/* ---- changes ---- */

/* `result`: enum credentials_result, or < 0 of the store or the vault. */
typedef void credentials_done(void *ctx, int result);

struct credential {
	struct span endpoint; /* 1..CREDENTIAL_ENDPOINT_MAX bytes */
	enum credential_mode mode;
	struct span identity; /* PSK: 1..CREDENTIAL_IDENTITY_MAX bytes, any */
	struct span key;      /* PSK: 1..CREDENTIAL_KEY_MAX bytes; raw key: DER SubjectPublicKeyInfo */
	bool rotate;	      /* what is valid stays so until the first use of this one */
};

/* What is wrong with it, in words; NULL: nothing. */
const char *credential_check(const struct credential *credential);

/*
 * Makes it the credential of its endpoint. -EINVAL: credential_check; -ENOBUFS: CREDENTIALS_CHANGES_MAX, or
 * the store's. Two writes of the store, one more for each credential that goes.
 */
int credentials_put(struct credentials *c, const struct credential *credential, credentials_done *done,
		    void *ctx) NODISCARD;
/* Takes all of an endpoint away. CREDENTIALS_ABSENT: it has none. */
int credentials_delete(struct credentials *c, struct span endpoint, credentials_done *done,
		       void *ctx) NODISCARD;
/*
 * A handshake succeeded with what was found `fresh`: the others of the endpoint end. `done` may be NULL.
 * CREDENTIALS_ABSENT: it is gone meanwhile.
 */
int credentials_used(struct credentials *c, struct span endpoint, enum credential_mode mode,
		     struct span identity_or_spki, credentials_done *done, void *ctx) NODISCARD;

/* False: no endpoint has any, so that there is nothing to look for. */
bool credentials_any(const struct credentials *c);

/* ---- look-ups: one of the store each ---- */

/* `result`: CREDENTIALS_DONE, CREDENTIALS_ABSENT, or < 0: not known now (-ENOKEY, -EBADMSG: cannot be
 * opened). */
struct credential_found {
	int result;
	struct span endpoint;
	struct span key; /* PSK; wiped after the call */
	bool fresh;	 /* call credentials_used when the handshake has succeeded */
};
typedef void credentials_found(void *ctx, const struct credential_found *found);

int credentials_find_psk(struct credentials *c, struct span identity, credentials_found *done,
			 void *ctx) NODISCARD;
/* By the exact bytes of a DER SubjectPublicKeyInfo. */
int credentials_find_key(struct credentials *c, struct span spki, credentials_found *done,
			 void *ctx) NODISCARD;

/* `modes`: bits of enum credential_mode; 0 with CREDENTIALS_ABSENT. `list` is NULL unless CREDENTIALS_DONE.
 */
typedef void credentials_modes(void *ctx, int result, unsigned modes, const struct credential_list *list);
/* What an endpoint may authenticate with: for X.509, whose certificates name it. */
int credentials_find_endpoint(struct credentials *c, struct span endpoint, credentials_modes *done,
			      void *ctx) NODISCARD;

/* ---- listing ---- */

/* Of each endpoint behind `after`, in the order of their bytes. False: no more of them. */
typedef bool credentials_each(void *ctx, struct span endpoint, const struct credential_list *list);
/* At most `count` (SIZE_MAX: all), then `done`: CREDENTIALS_DONE or < 0. */
int credentials_list(struct credentials *c, struct span after, size_t count, credentials_each *each,
		     credentials_done *done, void *ctx) NODISCARD;
