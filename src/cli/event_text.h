/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/sse.h"

#include <jansson.h>
#include <stdio.h>

/* Events as lines. */

/* When it happened, Unix time in milliseconds: from its id; 0 if that does not tell. */
uint64_t event_time_ms(const struct sse_event *event);
/* `NAME  endpoint  what happened`, without time and line end. `data` is the event's, parsed; may be NULL. */
void event_describe(const char *name, json_t *data, struct buffer *out);
/* {"event":NAME,"id":ID,"data":...} and a line end. Data that are no JSON go out as a string. */
void event_print_json(const struct sse_event *event, json_t *data, FILE *to);
