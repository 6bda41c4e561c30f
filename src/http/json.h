/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/*
 * Writes JSON straight into a buffer, in the order of the calls: compatible answers promise an order of
 * members, and an answer about 100,000 devices must not become a tree of nodes first. Commas are set here;
 * whether brackets match is up to the caller. A full buffer fails sticky, as everywhere (`out->failed`).
 */

struct json {
	struct buffer *out;
	bool comma; /* a value stands before the next one */
};

static inline struct json json_to(struct buffer *out)
{
	return (struct json){out, false};
}

void json_open(struct json *j, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']' */
void json_key(struct json *j, const char *name);
/* A member's name that a peer chose. */
void json_key_span(struct json *j, struct span name);

/* Bytes that are no UTF-8 become U+FFFD. */
void json_text(struct json *j, struct span text);
/* Two parts of one string. */
void json_text_pair(struct json *j, struct span first, struct span second);
void json_str(struct json *j, const char *text);
void json_uint(struct json *j, uint64_t v);
void json_int(struct json *j, int64_t v);
void json_bool(struct json *j, bool v);
/* null. Not json_null, which is a function of jansson. */
void json_nil(struct json *j);
/* A string of lower-case hex digits. */
void json_hex(struct json *j, struct span bytes);

/* A member for bytes that are mostly text: `name` as a string, or, if they are no UTF-8 or have control
 * characters, `hex_name` in hexadecimal digits. */
void json_member_bytes(struct json *j, const char *name, const char *hex_name, struct span bytes);

/* Members in one call each. */
void json_member_text(struct json *j, const char *name, struct span text);
void json_member_str(struct json *j, const char *name, const char *text);
void json_member_uint(struct json *j, const char *name, uint64_t v);
void json_member_bool(struct json *j, const char *name, bool v);
