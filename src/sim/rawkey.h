/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/* P-256 keys that follow from a master key and a name, so that a fleet needs no files for them. */

enum { RAW_KEY_SPKI = 91, RAW_KEY_PEM = 256 };

struct raw_key {
	uint8_t spki[RAW_KEY_SPKI]; /* SubjectPublicKeyInfo, DER (RFC 7250, 3) */
	char pem[RAW_KEY_PEM];	    /* the private key (RFC 5915), with NUL */
};

/* -ENOMEM. Wipe it (explicit_bzero) after use. */
int raw_key_derive(struct span master, struct span name, struct raw_key *out) NODISCARD;
