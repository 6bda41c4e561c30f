/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/json.h"
#include "lwm2m/event.h"
#include "store/store.h"

/* Events as blocks of the server-sent stream. */

enum { EVENT_ID_TEXT = 48 };

/* "<time_ms>-<sequence>". Returns `text`. */
const char *event_id_format(struct store_cursor at, char text[EVENT_ID_TEXT]);
/* The same back, also with ".0" behind (see event_block); a time alone is a place too (sequence 0). False for
 * anything else. */
bool event_id_parse(struct span text, struct store_cursor *out);

/*
 * Appends one event of the log as a block: "event: NAME", "data: JSON", "id: ...", an empty line. `arena` is
 * for what is decoded meanwhile and is reset. A Register that replaces a registration gives two blocks:
 * DEREGISTRATION, whose id has ".0" behind and stands for the place before the event, and REGISTRATION. 0,
 * -EPROTO for an event whose body cannot be read, -ENOMEM.
 */
int event_block(struct buffer *out, const struct registry *registry, const struct store_event *event,
		struct arena *arena) NODISCARD;
/*
 * The same JSON for those who read the log by other means: of the event, and in `replaced` that of the
 * DEREGISTRATION before it, if there is one. *name is a literal. Errors as above; *name is set whenever the
 * type is known.
 */
int event_text(struct buffer *json, struct buffer *replaced, const char **name,
	       const struct registry *registry, const struct store_event *event,
	       struct arena *arena) NODISCARD;
/* Events between these places are lost. */
void event_gap_block(struct buffer *out, struct store_cursor from, struct store_cursor to);
/* The last event of a stream that the server ends: go on from `from`. `reason`: "slow", "stopping". */
void event_resume_block(struct buffer *out, const char *reason, struct store_cursor from);
