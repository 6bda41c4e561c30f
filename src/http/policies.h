/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/*
 * Observation policies: documents among the settings of the store, which every node keeps a copy of. They are
 * read at the start, and again from time to time, since another node may have changed one.
 */

/* Before the first call nothing is known of them, and no observation of one ends. */
void policies_refresh(struct http *h);
/* What is being read is let go of. */
void policies_stop(struct http *h);
/* Once per heartbeat. */
void policies_tick(struct http *h);
