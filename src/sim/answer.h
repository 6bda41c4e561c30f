/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "sim/device.h"

/*
 * Answers one request of the server and does what it asks within the objects; what it asks of the device as a
 * whole is left in d->wanted. `datagram` is the request's, for deduplication.
 */
void answer_request(struct device *d, const struct coap_message *request, struct span datagram,
		    uint64_t now_ms);
