/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "sim/device.h"

/*
 * Values that a device sends without being asked (Send; LwM2M Core 1.1.1, 6.4.6): 3303/0/5700, each
 * --send-interval.
 */

/* Room for what is gathered. -ENOMEM or 0; nothing is done without --send-interval. */
int send_init(struct device *d) NODISCARD;
void send_deinit(struct device *d);
/* The device is registered: measures from now on, unless it does already. */
void send_start(struct device *d, uint64_t now_ms);
/* Sends what was gathered. Nothing else is under way. */
void send_begin(struct device *d, uint64_t now_ms);
/* The device restarts: what was gathered is lost. */
void send_forget(struct device *d);
