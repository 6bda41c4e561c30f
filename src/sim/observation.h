/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "sim/content.h"

/* Observations of one device, and their notifications (RFC 7641; LwM2M Core 1.1.1, 6.4). */

enum { OBSERVATIONS_MAX = 32 };

/*
 * Observes, or starts anew where the token is known. `value` is what the answer says, if it is a number. The
 * sequence number for the Observe option of the answer, or < 0 if there is no room: then the answer goes
 * without it.
 */
int64_t observation_add(struct device *d, const struct coap_token *token, const struct target *target,
			double value, uint64_t now_ms);
void observation_cancel(struct device *d, const struct coap_token *token, uint64_t now_ms);
/* RST came for a non-confirmable notification. False if none had this message id. */
bool observation_reset(struct device *d, uint16_t mid, uint64_t now_ms);
/* Something at or below `path`, or above it, changed. */
void observation_touch(struct device *d, const struct path *path, uint64_t now_ms);
/* Attributes or default periods changed. */
void observation_reschedule(struct device *d, uint64_t now_ms);
void observation_clear(struct device *d, uint64_t now_ms);
