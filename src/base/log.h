/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/*
 * One event, one line: `2026-01-02T03:04:05.678Z info registered ep="dev-1" lifetime=300`.
 * Values that come from a peer go through LOG_SPAN, which quotes and escapes; secrets are never logged.
 * What a stranger can trigger uses log_limited: at most `per_minute` lines of this event in a minute, the
 * rest is counted and the count is written with the next line. A line leaves with one write(2), so that lines
 * of several processes do not mix; it is cut at LOG_LINE bytes.
 */

enum { LOG_LINE = 2048 };

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
	int fd;
	enum log_level level;
	bool timestamps; /* off where journald writes its own */
	struct {
		const char *event;
		uint64_t minute;
		uint32_t lines;
		uint32_t suppressed;
	} limits[32];
};

void log_init(struct log *log, int fd, enum log_level level);
/* `format` gives the key=value pairs, "" for none. `log` NULL: nothing is written. */
void log_event(struct log *log, enum log_level level, const char *event, const char *format, ...)
	PRINTF_LIKE(4, 5);
void log_limited(struct log *log, enum log_level level, unsigned per_minute, const char *event,
		 const char *format, ...) PRINTF_LIKE(5, 6);
/*
 * For %s: the bytes in quotes, with quotes, control characters and what is no UTF-8 escaped; cut to what fits
 * in `size` (at least 8), which "..." behind the closing quote shows. Returns `text`.
 */
const char *log_quote(const void *data, size_t len, char *text, size_t size);

enum { LOG_QUOTED = 160 };
/* A span of a peer as argument for %s; the text lives as long as the enclosing block. */
#define LOG_SPAN(s) log_quote((s).data, (s).len, (char[LOG_QUOTED]){0}, LOG_QUOTED)
