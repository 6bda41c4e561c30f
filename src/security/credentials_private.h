/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "security/credentials.h"

/* What credentials.c (changes) and credentials_find.c (look-ups) share. */

struct credentials {
	struct store *store;
	struct vault *vault;
	credentials_changed *changed;
	void *changed_ctx;
	struct list changes; /* in the order of the calls; one of an endpoint runs, the others wait */
	size_t change_count;
	struct list lookups; /* under way: of owners, ... */
	struct list modes;   /* ... and of what an endpoint may */
	bool any;	     /* there may be credentials */
	bool any_seen;
};

/* What is on its way may be of before these went: it is looked up once more. */
void credentials_lookups_renew(struct credentials *c, struct span endpoint,
			       const struct credential_entry *gone, size_t count);

void credential_hash_spki(struct span spki, uint8_t out[CREDENTIAL_HASH]);

/*
 * The sealed part of a PSK's document: endpoint and key, bound to the identity, so that nobody who can only
 * write into the store gives a key to another device.
 */
void credential_seal(struct vault *v, struct span identity, struct span endpoint, struct span key,
		     struct writer *w);
enum { CREDENTIAL_OPENED_MAX = 2 + CREDENTIAL_ENDPOINT_MAX + CREDENTIAL_KEY_MAX };
/* 0 and the key, within `room`, which is to be wiped; or an error of vault_open; -EBADMSG. */
int credential_open(const struct vault *v, struct span identity, const struct credential_owner *owner,
		    uint8_t room[CREDENTIAL_OPENED_MAX], struct span *key) NODISCARD;
