/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* Is a notification with sequence v2 at t2 newer than the one with v1 at t1 (RFC 7641, 3.4)? 24 bits. */
bool coap_observe_is_newer(uint32_t v1, uint64_t t1_ms, uint32_t v2, uint64_t t2_ms);
