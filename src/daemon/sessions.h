/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/log.h"
#include "dtls/endpoint.h"
#include "dtls/vault.h"
#include "lwm2m/server.h"

/* Sessions on their way out of this process and into it: sealed, for the record of their device (where they
 * are copies) or for another node (where they move). What each does is said at struct lwm2m_security. */

/* All borrowed. */
struct sessions {
	struct dtls_endpoint *endpoint;
	struct vault *vault;
	struct log *log;
};

void sessions_save(const struct sessions *s, const struct address *peer, struct span endpoint,
		   uint32_t generation, struct buffer *out);
bool sessions_restore(const struct sessions *s, struct span endpoint, struct span sealed, uint32_t generation,
		      uint64_t mark, struct address *peer);
void sessions_carry(const struct sessions *s, const struct address *peer, struct span endpoint,
		    struct buffer *out);
bool sessions_arrive(const struct sessions *s, struct span endpoint, struct span carried,
		     struct address *peer);
bool sessions_locate(const struct sessions *s, struct span endpoint, struct span sealed,
		     uint8_t cid[LWM2M_CID_MAX], size_t *len, struct address *peer);
/* As secure_proves. */
bool sessions_prove(const struct sessions *s, struct span endpoint, struct span sealed, uint32_t generation,
		    uint64_t mark, struct span datagram);
