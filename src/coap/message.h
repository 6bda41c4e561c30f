/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/* CoAP messages over datagrams: parsing, building, encoding (RFC 7252, section 3). Pure functions. */

enum coap_type { COAP_CON = 0, COAP_NON = 1, COAP_ACK = 2, COAP_RST = 3 };

#define COAP_CODE(class_, detail) ((uint8_t)((class_) << 5 | (detail)))
static inline unsigned coap_class(uint8_t code)
{
	return code >> 5;
}

enum coap_code {
	COAP_EMPTY = 0,
	COAP_GET = COAP_CODE(0, 1),
	COAP_POST = COAP_CODE(0, 2),
	COAP_PUT = COAP_CODE(0, 3),
	COAP_DELETE = COAP_CODE(0, 4),
	COAP_FETCH = COAP_CODE(0, 5), /* RFC 8132 */
	COAP_PATCH = COAP_CODE(0, 6),
	COAP_IPATCH = COAP_CODE(0, 7),
	COAP_CREATED = COAP_CODE(2, 1),
	COAP_DELETED = COAP_CODE(2, 2),
	COAP_VALID = COAP_CODE(2, 3),
	COAP_CHANGED = COAP_CODE(2, 4),
	COAP_CONTENT = COAP_CODE(2, 5),
	COAP_CONTINUE = COAP_CODE(2, 31), /* RFC 7959 */
	COAP_BAD_REQUEST = COAP_CODE(4, 0),
	COAP_UNAUTHORIZED = COAP_CODE(4, 1),
	COAP_BAD_OPTION = COAP_CODE(4, 2),
	COAP_FORBIDDEN = COAP_CODE(4, 3),
	COAP_NOT_FOUND = COAP_CODE(4, 4),
	COAP_METHOD_NOT_ALLOWED = COAP_CODE(4, 5),
	COAP_NOT_ACCEPTABLE = COAP_CODE(4, 6),
	COAP_REQUEST_ENTITY_INCOMPLETE = COAP_CODE(4, 8),
	COAP_CONFLICT = COAP_CODE(4, 9),
	COAP_PRECONDITION_FAILED = COAP_CODE(4, 12),
	COAP_REQUEST_ENTITY_TOO_LARGE = COAP_CODE(4, 13),
	COAP_UNSUPPORTED_CONTENT_FORMAT = COAP_CODE(4, 15),
	COAP_INTERNAL_SERVER_ERROR = COAP_CODE(5, 0),
	COAP_NOT_IMPLEMENTED = COAP_CODE(5, 1),
	COAP_BAD_GATEWAY = COAP_CODE(5, 2),
	COAP_SERVICE_UNAVAILABLE = COAP_CODE(5, 3),
	COAP_GATEWAY_TIMEOUT = COAP_CODE(5, 4),
	COAP_PROXYING_NOT_SUPPORTED = COAP_CODE(5, 5),
};

enum coap_option_number {
	COAP_OPTION_IF_MATCH = 1,
	COAP_OPTION_URI_HOST = 3,
	COAP_OPTION_ETAG = 4,
	COAP_OPTION_IF_NONE_MATCH = 5,
	COAP_OPTION_OBSERVE = 6,
	COAP_OPTION_URI_PORT = 7,
	COAP_OPTION_LOCATION_PATH = 8,
	COAP_OPTION_URI_PATH = 11,
	COAP_OPTION_CONTENT_FORMAT = 12,
	COAP_OPTION_MAX_AGE = 14,
	COAP_OPTION_URI_QUERY = 15,
	COAP_OPTION_ACCEPT = 17,
	COAP_OPTION_LOCATION_QUERY = 20,
	COAP_OPTION_BLOCK2 = 23,
	COAP_OPTION_BLOCK1 = 27,
	COAP_OPTION_SIZE2 = 28,
	COAP_OPTION_PROXY_URI = 35,
	COAP_OPTION_PROXY_SCHEME = 39,
	COAP_OPTION_SIZE1 = 60,
	COAP_OPTION_ECHO = 252,	       /* RFC 9175 */
	COAP_OPTION_REQUEST_TAG = 292, /* RFC 9175 */
};

enum {
	COAP_OPTIONS_MAX = 48,	   /* per message; more is refused as a format error */
	COAP_MESSAGE_MAX = 1280,   /* what we ever send in one datagram */
	COAP_FORMAT_NONE = 0xFFFF, /* no Content-Format / no Accept */
};

struct coap_token {
	uint8_t len; /* 0..8 */
	uint8_t bytes[8];
};

struct coap_option {
	uint16_t number;
	uint16_t len;
	const uint8_t *value;
};

/*
 * All pointers are borrowed: from the datagram (parsed), or from the builder's caller. A message which was
 * built must not be copied: its numeric options point into its own `scratch`. What lies behind `option_count`
 * is not initialised.
 */
struct coap_message {
	uint8_t type;
	uint8_t code;
	uint16_t mid;
	struct coap_token token;
	struct span payload;
	uint16_t option_count;
	uint16_t scratch_used;
	struct coap_option options[COAP_OPTIONS_MAX]; /* ascending by number, stable */
	uint8_t scratch[64];			      /* values of numeric options which the builder added */
};

/* What a datagram that is no valid message calls for (RFC 7252, 4.2, 4.3). */
enum coap_parse {
	COAP_PARSED = 0,
	COAP_PARSE_RESET = 1,  /* a CON we cannot read, or of a reserved class: answer RST with out->mid */
	COAP_PARSE_IGNORE = 2, /* anything else: silence */
};

/*
 * Never reads past the datagram. On COAP_PARSE_RESET type and mid are valid. What is parsed is one of: a
 * request (CON, NON), a response (CON, NON, ACK), or an empty message (CON, ACK, RST).
 */
enum coap_parse coap_parse(struct span datagram, struct coap_message *out);

/* A message without options and payload. */
void coap_message_init(struct coap_message *m, enum coap_type type, uint8_t code, uint16_t mid,
		       struct coap_token token);
/*
 * Adds an option in order; the value is borrowed until the message is encoded. -ENOSPC when there are too
 * many, -EINVAL when the value is longer than any option can be.
 */
int coap_add(struct coap_message *m, uint16_t number, struct span value);
/* A numeric option in the shortest form (0 is empty). */
int coap_add_uint(struct coap_message *m, uint16_t number, uint32_t value);
/*
 * One Uri-Path (or Location-Path, Uri-Query) option per segment of "/a/b" ("a&b" for Uri-Query); "" and "/"
 * add none. An empty segment inside or at the end is one (RFC 7252, 6.4). Nothing is percent-decoded. Errors
 * as for coap_add.
 */
int coap_add_segments(struct coap_message *m, uint16_t number, struct span text);
/*
 * Bytes written, -ENOSPC if `size` is too small, -EINVAL for a message that cannot be (see coap_parse; an
 * empty one has neither token nor content).
 */
int coap_encode(const struct coap_message *m, uint8_t *out, size_t size);

/* The first option with this number, or NULL. An elective one with a forbidden length counts as absent. */
const struct coap_option *coap_find(const struct coap_message *m, uint16_t number);
/* The next one behind `o` with its number, or NULL. An elective one that must not be repeated has none. */
const struct coap_option *coap_find_next(const struct coap_message *m, const struct coap_option *o);
/* Its value as a number: false if absent or longer than 4 bytes. */
bool coap_find_uint(const struct coap_message *m, uint16_t number, uint32_t *out);
static inline struct span coap_value(const struct coap_option *o)
{
	return (struct span){o->value, o->len};
}
/* Content-Format or Accept; COAP_FORMAT_NONE if absent or out of range. */
uint16_t coap_format(const struct coap_message *m, uint16_t number);
/*
 * The first critical option of a request which `known` (NULL-terminated by 0) does not list, or which has a
 * length that its definition forbids, or which is repeated though it must not be; 0 if there is none. To be
 * answered 4.02 (RFC 7252, 5.4.1); elective options with such faults are to be treated as absent, which
 * coap_find does.
 */
uint16_t coap_unknown_critical(const struct coap_message *m, const uint16_t *known);
/* The Uri-Path segments equal those in "/a/b"? "/" and "" are the path without segments. */
bool coap_path_is(const struct coap_message *m, const char *path);

bool coap_token_equal(const struct coap_token *a, const struct coap_token *b);
static inline bool coap_is_request(uint8_t code)
{
	return code >= 1 && code <= 31;
}
static inline bool coap_is_response(uint8_t code)
{
	return coap_class(code) >= 2 && coap_class(code) <= 5;
}
/* "2.05", written to `text`, returned. */
const char *coap_code_text(uint8_t code, char text[8]);
/* "Content", "Not Found", or "" for a code without a name. Methods: "GET" ... */
const char *coap_code_name(uint8_t code);
