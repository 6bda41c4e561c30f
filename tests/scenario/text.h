/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/* The words of a script: variables, strings of bytes, and comparison with wildcards and captures. */

enum { VARIABLES_MAX = 48, VARIABLE_TEXT = 200, NAME_MAX_LEN = 23, BYTES_MAX = 8192 };

struct variable {
	char name[NAME_MAX_LEN + 1];
	char text[VARIABLE_TEXT];
};

struct byte_string {
	char name[NAME_MAX_LEN + 1];
	uint8_t *data;
	size_t len;
};

struct variables {
	struct variable texts[VARIABLES_MAX];
	size_t text_count;
	struct byte_string bytes[VARIABLES_MAX];
	size_t bytes_count;
};

void variables_deinit(struct variables *v);
/* NULL if it is not set. */
const char *variable_get(const struct variables *v, struct span name);
bool variable_set(struct variables *v, struct span name, struct span text);
bool byte_string_set(struct variables *v, struct span name, struct span value);

/* The next word of `*at`, which moves behind it: up to white space, but for what stands in quotes. False at
 * the end. */
bool word_next(const char **at, struct span *word);
/* What is left of a line, without the white space before and behind it. */
struct span line_rest(const char *at);
/* The value of "name=value", if the word is that. */
bool word_value(struct span word, const char *name, struct span *value);
/* "2s", "150ms", "4m", or milliseconds. */
bool duration_parse(struct span word, uint64_t *ms);

/* Replaces each $name by its text. False if there is no such variable or `out` is too small. */
bool text_expand(const struct variables *v, struct span in, char *out, size_t size);
/*
 * Compares with a template: `*` stands for anything, `?` for one character, `$name` for its text, or, if it
 * has none, for letters, digits, `-` and `_`, which it then has. Captures are kept only if all of it matches.
 */
bool text_match(struct variables *v, struct span template, struct span text);

struct byte_pattern {
	uint8_t value[BYTES_MAX];
	uint8_t any[BYTES_MAX]; /* 1: any byte; 2 + n: of capture n */
	size_t len;
	bool open; /* more may follow */
	struct {
		char name[NAME_MAX_LEN + 1];
		bool hex;
	} captures[8];
	size_t capture_count;
};

/*
 * Reads a list of bytes: hex digits, "text" (with \" \\ \n \r \t \xHH), either with *N behind it for a
 * repetition, $name (hex) and &name (text), @name and @name[from:to] (byte strings), ?? (any byte), ** (any
 * rest), $name:N and &name:N (N bytes that the variable then has). False, with words in `error`.
 */
bool byte_pattern_parse(const struct variables *v, const char *list, struct byte_pattern *out,
			char error[200]);
bool byte_pattern_match(struct variables *v, const struct byte_pattern *p, struct span bytes);
/* Bytes for a reader: printable text in quotes, or hex if most of it is not. */
void bytes_describe(struct span bytes, struct buffer *out);
