/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "sim/device.h"

/* The DTLS session of one device, if it has credentials: between its CoAP messages and the wire. */

/* Nothing without credentials. -ENOMEM or 0. */
int secure_init(struct device *d) NODISCARD;
void secure_deinit(struct device *d);

/* Whether messages can be sent: always, without DTLS. */
bool secure_is_ready(const struct device *d);
bool secure_is_busy(const struct device *d);
/* Begins a handshake; device_connected or device_disconnected follows, perhaps at once. */
void secure_connect(struct device *d, uint64_t now_ms);
/* Forgets the session, and the handshake under way; tells the server if that is wanted (--close-notify). */
void secure_close(struct device *d);

/* A CoAP message to the server; without a session it is lost. For devices with DTLS. */
void secure_send(struct device *d, struct span message);
/* A datagram from the server: what it holds comes by device_message. */
void secure_input(struct device *d, struct span datagram, uint64_t now_ms);
