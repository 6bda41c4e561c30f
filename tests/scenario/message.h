/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "coap/message.h"
#include "text.h"

/*
 * CoAP messages as a line of text:
 *
 *     CON POST /rd?ep=a&lt=60 mid=1 token=01 cf=40 payload "</3/0>"
 *     hex 44 02 00 01 01 "..."
 *
 * README.md says which fields there are.
 */

/* What an expected message has when its line does not say: NULL or false for "anything". */
struct message_defaults {
	const uint16_t *mid;
	const struct coap_token *token;
};

/* Encodes the message of a line to send. Mid and token come from the line or from `d` (both must be given
 * there). Bytes written, or -1 with words in `error`. */
int message_build(const struct variables *v, const char *line, const struct message_defaults *d,
		  uint8_t out[COAP_MESSAGE_MAX], char error[200]);
/* Compares a datagram with an expected line; captures stay only if it matches. */
bool message_match(struct variables *v, const char *line, const struct message_defaults *d,
		   struct span datagram, char error[200]);
void message_describe(struct span datagram, struct buffer *out);
/* Whether a request matches "GET /3/0/1" (queries are not looked at). */
bool message_asks(const struct coap_message *m, struct span method, struct span path);
