/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/timer.h"
#include "coap/message.h"

/* Block-wise transfer (RFC 7959): the option, and bodies that come or go in blocks. No sockets, no clocks. */

enum {
	COAP_SZX_MAX = 6, /* 1024 bytes; 7 is reserved (BERT is for TCP) */
	COAP_BLOCK_NUM_MAX = (1 << 20) - 1,
};

struct coap_block {
	uint32_t num;
	bool more;
	uint8_t szx;
};

static inline size_t coap_block_size(uint8_t szx)
{
	return (size_t)16 << szx;
}
static inline size_t coap_block_offset(const struct coap_block *b)
{
	return (size_t)b->num * coap_block_size(b->szx);
}

enum coap_block_found {
	COAP_BLOCK_ABSENT,
	COAP_BLOCK_FOUND,
	COAP_BLOCK_BAD, /* reserved size, number of more than 20 bits: 4.00 (RFC 7959, 2.2) */
};
/* `option` is COAP_OPTION_BLOCK1 or COAP_OPTION_BLOCK2. */
enum coap_block_found coap_find_block(const struct coap_message *m, uint16_t option, struct coap_block *out);
int coap_add_block(struct coap_message *m, uint16_t option, const struct coap_block *b);

/*
 * Bodies of requests that peers send us in blocks (Block1). One transfer is named by the peer's address,
 * method, path and query - not by its token, because clients use a new one for each block (lwm2m.md, G12).
 * Bounded three ways: the length of a body, the transfers of one address, and all bytes together; what rests
 * for `idle_ms` is dropped.
 */
struct coap_assembly_limits {
	size_t body_max;      /* 64 KiB */
	size_t bytes_max;     /* of all transfers together: 16 MiB */
	uint32_t per_address; /* 2 */
	uint32_t idle_ms;     /* EXCHANGE_LIFETIME */
};

struct coap_assemblies {
	struct timers *timers; /* borrowed */
	struct siphash_key key;
	struct coap_assembly_limits limits;
	struct map transfers; /* by the name of the transfer */
	size_t bytes;
};

enum coap_assembled {
	COAP_ASSEMBLED,		  /* complete: `body` is there */
	COAP_ASSEMBLY_CONTINUE,	  /* answer 2.31 with `reply` */
	COAP_ASSEMBLY_INCOMPLETE, /* answer 4.08: a block before this one is missing */
	COAP_ASSEMBLY_TOO_LARGE, /* answer 4.13, with Size1 = body_max; `reply` if a smaller block would do */
	COAP_ASSEMBLY_BAD,	 /* answer 4.00 */
};

void coap_assemblies_init(struct coap_assemblies *a, struct timers *timers, const struct siphash_key *key,
			  const struct coap_assembly_limits *limits);
void coap_assemblies_deinit(struct coap_assemblies *a);
/*
 * Takes the request `m` with Block1 option `b`. With COAP_ASSEMBLED `*body` is on the heap and the caller's
 * to free. A block that came before (its ACK was lost) is answered as it was. Block 0 starts anew.
 */
enum coap_assembled coap_assemble(struct coap_assemblies *a, const struct address *from,
				  const struct coap_message *m, const struct coap_block *b, uint64_t now_ms,
				  struct buffer *body);

/*
 * The transfers of a peer that goes on in another process, as bytes; one that `out` has no room for is left
 * out, and then begun again by the peer (4.08). They stay here until they are dropped.
 */
void coap_assemblies_export(const struct coap_assemblies *a, const struct address *from, uint64_t now_ms,
			    struct buffer *out);
void coap_assemblies_drop(struct coap_assemblies *a, const struct address *from);
/* -EPROTO: not what was exported; -EEXIST, -ENOSPC, -ENOMEM. What was read before that stays. The key has to
 * be the same as there. */
int coap_assemblies_import(struct coap_assemblies *a, const struct address *from, struct span encoded,
			   uint64_t now_ms) NODISCARD;

/* ---- bodies that go out ---- */

enum { COAP_BODY_ETAG = 4 };

enum coap_served {
	COAP_SERVED,	    /* all of the body is in the message */
	COAP_SERVED_BLOCK,  /* one block of several: keep the body for the others */
	COAP_SERVED_BEYOND, /* asked for what is behind the end: answer 4.00; nothing was added */
};
/*
 * Puts `body`, or as much of it as one block takes, into a response: with Block2, an ETag of the whole and
 * Size2 if it takes several (RFC 7959, 2.4). `asked` is the Block2 option of the request, NULL if it had
 * none; its size is kept to. The message borrows from `body` and `etag`, and must have room for three
 * options.
 */
enum coap_served coap_serve_body(struct coap_message *m, struct span body, const struct coap_block *asked,
				 const struct siphash_key *key, uint8_t etag[COAP_BODY_ETAG]);

/* A body that goes out with a request, in blocks if one message does not take it (Block1). */
struct coap_upload {
	struct buffer body; /* owned */
	size_t sent;	    /* what the server has */
	uint8_t szx;
	uint8_t restarts;
	bool blocks;
};

enum coap_upload_step {
	COAP_UPLOAD_ENDED,  /* the response is the answer to the whole */
	COAP_UPLOAD_NEXT,   /* make the same request once more, and fill it anew */
	COAP_UPLOAD_BROKEN, /* this server and we do not come together */
};

/* Takes `body`; what was there before is freed. */
void coap_upload_begin(struct coap_upload *u, struct buffer body);
void coap_upload_deinit(struct coap_upload *u);
/* Adds the payload, with Block1 and Size1 if it goes in blocks. The message borrows. -ENOSPC. */
int coap_upload_fill(const struct coap_upload *u, struct coap_message *m) NODISCARD;
/*
 * What a response means: 2.31 goes on, 4.08 begins again, 4.13 begins again with the smaller blocks it asks
 * for (RFC 7959, 2.9); all else is the answer.
 */
enum coap_upload_step coap_upload_take(struct coap_upload *u, const struct coap_message *response);
