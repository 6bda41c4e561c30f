/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "sim/fleet.h"

#include <stdio.h>

/* One line on how the fleet is. */
void report_progress(const struct fleet *f, FILE *to);
/* All counts, as text for people or as one JSON object. */
void report_summary(const struct fleet *f, bool json, FILE *to);
