/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/* SipHash-2-4 (Aumasson, Bernstein, 2012): a keyed hash for tables whose keys are chosen by strangers. */

struct siphash_key {
	uint8_t bytes[16];
};

uint64_t siphash(const struct siphash_key *key, struct span data);
