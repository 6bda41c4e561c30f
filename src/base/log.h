/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * One event, one line: `2026-01-02T03:04:05.678Z info registered ep="dev-1" lifetime=300`.
 * Values that come from a peer go through LOG_SPAN, which quotes and escapes; secrets are never logged.
 * What a stranger can trigger uses log_limited: at most `per_minute` lines of this event in a minute, the rest
 * is counted and the count is written with the next line.
 */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
	int fd;
	enum log_level level;
	bool timestamps; /* off under systemd */
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
/* For %s: `s` quoted, control characters and quotes escaped, cut to what fits. Returns `text`. */
struct span;
const char *log_quote(const void *data, size_t len, char *text, size_t size);
