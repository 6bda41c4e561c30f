/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "dtls/hello.h"

/*
 * Makes whole handshake messages, in order, of the fragments of epoch 0 in whatever order they come. The
 * library never sees a fragment: its own reassembly had the gravest errors it ever had, and gives up on odd
 * orders.
 */

enum {
	DTLS_MESSAGE_MAX = 8 << 10,    /* bytes of one message */
	DTLS_MESSAGES_AHEAD = 16,      /* messages that are collected at a time */
	DTLS_REASSEMBLY_MAX = 24 << 10 /* bytes held for one handshake */
};

struct dtls_reassembly {
	uint16_t next;	/* message_seq that is taken next */
	uint32_t types; /* bit t: messages of type t are taken */
	size_t bytes;
	uint8_t *taken; /* the message that was taken last, and its size */
	size_t taken_size;
	struct dtls_partial {
		uint8_t *data; /* room for a record's and a message's header, the message, a bit for each byte
				*/
		uint32_t total;
		uint32_t have;
		uint16_t version;
		uint8_t type;
	} partial[DTLS_MESSAGES_AHEAD]; /* of message_seq modulo their number */
};

/* `first` is the message_seq that comes first. */
void dtls_reassembly_init(struct dtls_reassembly *r, uint16_t first, uint32_t types);
void dtls_reassembly_deinit(struct dtls_reassembly *r);

enum {
	DTLS_REASSEMBLY_NEWS = 1,     /* something new was learnt */
	DTLS_REASSEMBLY_REPEATED = 2, /* the end of the message that was taken last came again */
};
/*
 * Takes the fragment of a handshake record of epoch 0, which may hold several. Returns the bits above. What
 * is malformed, of another type, too large, too far ahead, old, or contradicts what came before, is dropped.
 */
unsigned dtls_reassembly_add(struct dtls_reassembly *r, uint16_t version, struct span fragment);

/* The next message, if it is complete; borrowed until it is taken. */
bool dtls_reassembly_peek(const struct dtls_reassembly *r, uint8_t *type, struct span *body);
/* Takes what peek gave (there must be one) as a record of its own with the number `record_seq`; borrowed
 * until the next one is taken. */
struct span dtls_reassembly_take(struct dtls_reassembly *r, uint64_t record_seq);
