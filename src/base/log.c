/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Lines of key=value, put together on the stack and handed to the kernel in one piece. The rule that a reader
 * of the log relies on is one event, one line: whatever a caller formats, no control character gets out.
 * Leaves out files, rotation and buffering: that is what the supervisor at the other end of the descriptor is
 * for.
 */

#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct line {
	char text[LOG_LINE];
	size_t len; /* at most LOG_LINE - 1: the newline always has room */
};

/* journald stamps what it receives, and says by device and inode which descriptor leads to it. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char expected[64];
	struct stat st;

	if (!stream || fstat(fd, &st) < 0)
		return false;
	snprintf(expected, sizeof(expected), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return strcmp(stream, expected) == 0;
}

void log_init(struct log *log, int fd, enum log_level level)
{
	*log = (struct log){.fd = fd, .level = level, .timestamps = !is_journal(fd)};
}

static void add_args(struct line *line, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
static void add(struct line *line, const char *format, ...) PRINTF_LIKE(2, 3);

static void add_args(struct line *line, const char *format, va_list args)
{
	size_t room = sizeof(line->text) - line->len;
	int len = vsnprintf(line->text + line->len, room, format, args);

	if (len > 0)
		line->len += MIN((size_t)len, room - 1);
}

static void add(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_args(line, format, args);
	va_end(args);
}

static void add_timestamp(struct line *line)
{
	uint64_t now_ms = clock_wall_ms();
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm t;

	gmtime_r(&seconds, &t);
	add(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
	    t.tm_hour, t.tm_min, t.tm_sec, (unsigned)(now_ms % 1000));
}

static void begin(const struct log *log, struct line *line, enum log_level level, const char *event)
{
	line->len = 0;
	if (log->timestamps)
		add_timestamp(line);
	add(line, "%s %s", level_names[level], event);
}

static void add_pairs(struct line *line, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void add_pairs(struct line *line, const char *format, va_list args)
{
	if (!*format)
		return;
	add(line, " ");
	add_args(line, format, args);
}

static void end(const struct log *log, struct line *line)
{
	ssize_t n;

	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->text[i] < ' ' || line->text[i] == 0x7f)
			line->text[i] = '?';
	line->text[line->len++] = '\n';
	do {
		n = write(log->fd, line->text, line->len);
	} while (n < 0 && errno == EINTR);
	/* Nobody is left to be told that the log is broken. */
}

void log_event(struct log *log, enum log_level level, const char *event, const char *format, ...)
{
	struct line line;
	va_list args;

	if (!log || level > log->level)
		return;
	begin(log, &line, level, event);
	va_start(args, format);
	add_pairs(&line, format, args);
	va_end(args);
	end(log, &line);
}

/* The counters of this event, or a free place for them, or the one that has been quiet for longest. */
static size_t find_limit(const struct log *log, const char *event)
{
	size_t oldest = 0;

	for (size_t i = 0; i < ARRAY_SIZE(log->limits); i++) {
		if (!log->limits[i].event || strcmp(log->limits[i].event, event) == 0)
			return i;
		if (log->limits[i].minute < log->limits[oldest].minute)
			oldest = i;
	}
	return oldest;
}

void log_limited(struct log *log, enum log_level level, unsigned per_minute, const char *event,
		 const char *format, ...)
{
	uint64_t minute = clock_mono_ms() / 60000;
	uint32_t suppressed;
	struct line line;
	va_list args;
	size_t i;

	if (!log || level > log->level)
		return;
	i = find_limit(log, event);
	if (!log->limits[i].event || strcmp(log->limits[i].event, event) != 0) {
		log->limits[i].event = event;
		log->limits[i].suppressed = 0;
		log->limits[i].lines = 0;
	}
	if (log->limits[i].minute != minute)
		log->limits[i].lines = 0;
	log->limits[i].minute = minute;
	if (log->limits[i].lines >= per_minute) {
		log->limits[i].suppressed++;
		return;
	}
	log->limits[i].lines++;
	suppressed = log->limits[i].suppressed;
	log->limits[i].suppressed = 0;
	begin(log, &line, level, event);
	if (suppressed)
		add(&line, " suppressed=%u", suppressed);
	va_start(args, format);
	add_pairs(&line, format, args);
	va_end(args);
	end(log, &line);
}

/* The length of the well-formed, printable UTF-8 character at the start of `s` (RFC 3629), or 0. */
static size_t utf8_length(struct span s)
{
	static const struct {
		uint8_t first, last;	 /* of the lead byte */
		uint8_t lowest, highest; /* of the byte behind it */
		uint8_t length;
	} leads[] = {
		{0x20, 0x7e, 0, 0, 1},	     {0xc2, 0xc2, 0xa0, 0xbf, 2}, /* without the C1 controls */
		{0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, /* without the surrogates */
		{0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(leads); i++) {
		size_t length = leads[i].length;

		if (s.data[0] < leads[i].first || s.data[0] > leads[i].last)
			continue;
		if (s.len < length)
			return 0;
		if (length > 1 && (s.data[1] < leads[i].lowest || s.data[1] > leads[i].highest))
			return 0;
		for (size_t j = 2; j < length; j++)
			if ((s.data[j] & 0xc0) != 0x80)
				return 0;
		return length;
	}
	return 0;
}

/* Writes the next character of `s`, escaped if need be; returns how many bytes of `s` it was. */
static size_t quote_one(struct span s, char out[5], size_t *out_len)
{
	size_t length = utf8_length(s);

	if (s.data[0] == '"' || s.data[0] == '\\') {
		out[0] = '\\';
		out[1] = (char)s.data[0];
		*out_len = 2;
		return 1;
	}
	if (length == 0) {
		snprintf(out, 5, "\\x%02x", s.data[0]);
		*out_len = 4;
		return 1;
	}
	memcpy(out, s.data, length);
	*out_len = length;
	return length;
}

const char *log_quote(const void *data, size_t len, char *text, size_t size)
{
	struct span rest = span_of(data, len);
	size_t at = 0;

	assert(size >= 8);
	text[at++] = '"';
	while (rest.len) {
		char piece[5];
		size_t piece_len, used = quote_one(rest, piece, &piece_len);

		/* Always leave room for the quote, the dots and the NUL. */
		if (at + piece_len + 5 > size)
			break;
		memcpy(text + at, piece, piece_len);
		at += piece_len;
		rest = span_from(rest, used);
	}
	strcpy(text + at, rest.len ? "\"..." : "\"");
	return text;
}
