/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/json.h"
#include "lwm2m/server.h"

/* The answer of a device as Response of the northbound interface. */

enum { CODE_TEXT = 40, ANSWER_ERROR = 160, DECLARED_MAX = 256 };

/* "CONTENT(205)"; "UNKNOWN(409)" for a code without a name there. Returns `text`. */
const char *code_name(uint8_t code, char text[CODE_TEXT]);
/* "4.04". Returns `text`. */
const char *code_dotted(uint8_t code, char text[CODE_TEXT]);

struct answer_context {
	enum lwm2m_operation operation;
	struct path path;
	const struct path *paths; /* composites */
	size_t path_count;
	const struct model *model;
	struct span root; /* alternate path of the device */
	uint64_t now_ms;
	struct arena *arena; /* for what is decoded */
};
/*
 * Writes the Response for an answer that came from the device (LWM2M_ANSWERED). 0; or 1 and words in `error`
 * if the answer makes no sense, then what was written is to be thrown away.
 */
int answer_json(struct json *j, const struct answer_context *c, const struct lwm2m_answer *answer,
		char error[ANSWER_ERROR]) NODISCARD;
