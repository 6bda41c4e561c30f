/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/* Text for people's terminals and for URLs. */

/*
 * Appends text of a peer so that no terminal does anything but show it: control characters, invisible ones
 * that turn the direction of writing, and what is no UTF-8 come out as \xNN or \u{NNNN}.
 */
void text_add_safe(struct buffer *out, struct span text);
/* The same of a whole string, on the heap; NULL if memory is out. */
char *text_safe(const char *text) NODISCARD;
/* Columns that a terminal needs for (safe) UTF-8 text. */
size_t text_width(const char *text);
/* How many bytes of `text` fit in `columns`. */
size_t text_fit(const char *text, size_t columns);
/* Percent-encodes everything but unreserved characters (RFC 3986, 2.3), "/" too. */
void text_add_encoded(struct buffer *out, struct span text);

enum { TEXT_TIME = 40 };
/* "5s", "3m", "2h", "12d": the largest unit, rounded down. Returns `text`. */
const char *text_duration(uint64_t ms, char text[TEXT_TIME]);
/* "12s ago", "just now", or "in 5s" if it lies ahead. */
const char *text_ago(uint64_t then_ms, uint64_t now_ms, char text[TEXT_TIME]);
/* "2026-01-02T03:04:05Z", with ".678" if there are milliseconds. */
const char *text_utc(int64_t ms, char text[TEXT_TIME]);
/* Time of day where the user is: "03:04:05". */
const char *text_clock(uint64_t ms, char text[TEXT_TIME]);
/*
 * "2026-01-02T03:04:05Z", the same with an offset such as +01:00 or with a fraction, or seconds since 1970;
 * into milliseconds. False for anything else.
 */
bool text_parse_time(const char *text, int64_t *ms);
/* "90s", "15m", "12h", "30d" into milliseconds. False for anything else, for none, and for what is longer
 * than 100 years. */
bool text_parse_duration(const char *text, uint64_t *ms);
