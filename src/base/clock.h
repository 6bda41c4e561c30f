/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* Milliseconds of CLOCK_MONOTONIC and of the Unix epoch. Only daemon, store, sim and cli read clocks;
 * everything below gets `now` as an argument. */
uint64_t clock_mono_ms(void);
uint64_t clock_wall_ms(void);
