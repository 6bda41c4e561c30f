/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/*
 * Frames between nodes, as they lie in the stream of a link. All numbers are big-endian.
 *
 *   0  length   4   of what follows this field
 *   4  version  1   WIRE_VERSION
 *   5  type     1   enum wire_type
 *   6  kind     2   of messages and calls: what the body is, for whoever is called
 *   8  ticket   8   of calls and their answers: names the call, as long as its caller's process lives; not 0
 *  16  floor    8   of calls: the caller waits for no answer to a ticket below this one, and never asks for
 * it again 24  time     4   of calls: for how many ms more the caller waits; of refusals: an errno of Linux
 *  28  body
 *
 * What a type does not use is 0 when sent and ignored when received. The body of WIRE_HELLO: struct
 * wire_hello.
 */

enum { WIRE_VERSION = 1, WIRE_HEAD = 28, WIRE_HELLO_LEN = 24 };

enum wire_type { WIRE_HELLO = 1, WIRE_MESSAGE, WIRE_CALL, WIRE_ANSWER, WIRE_REFUSAL, WIRE_TYPES };

struct wire_frame {
	uint8_t type;
	uint16_t kind;
	uint64_t ticket, floor;
	uint32_t time;
	struct span body;
};

/* Who speaks, and to whom he means to. */
struct wire_hello {
	uint32_t from, to;
	uint64_t from_incarnation, to_incarnation;
};

/* WIRE_HEAD bytes: all of the frame before its body; and WIRE_HELLO_LEN bytes. The body is not longer than
 * UINT32_MAX - WIRE_HEAD. */
void wire_head_encode(const struct wire_frame *frame, struct writer *w);
void wire_hello_encode(const struct wire_hello *hello, struct writer *w);
/* -EPROTO: it is shorter. What is longer is of a later version, and ignored. */
int wire_hello_parse(struct span body, struct wire_hello *out) NODISCARD;

/* Frames out of pieces of a stream. */
struct wire_input {
	struct buffer partial; /* the beginning of a frame, or one that was just given out */
	size_t body_max;
	bool given;
};

void wire_input_init(struct wire_input *in, size_t body_max);
void wire_input_deinit(struct wire_input *in);

enum wire_outcome { WIRE_MORE = 1 };
/*
 * The next frame; *data moves on behind it. Its body is borrowed until the next call, and as long as the
 * bytes of *data. WIRE_MORE: all of *data was used, and the next frame is not complete. Errors, after which
 * the stream is of no use: -EPROTO (another version, unknown type, shorter than its head), -EMSGSIZE (body
 * longer than body_max), which are found before memory is taken for the body; -ENOMEM.
 */
int wire_next(struct wire_input *in, struct span *data, struct wire_frame *out) NODISCARD;
