/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bodies that go out in blocks (RFC 7959): as the answer to a request, where whoever asks says which block it
 * wants next, and with a request of ours, where the answer to each block says how to go on.
 *
 * The hard idea is that both keep next to nothing: serving is a pure function of body and option, and an
 * upload is one offset, which a smaller block size or a lost transfer only moves.
 *
 * Leaves out keeping the body while its blocks are fetched: only the caller knows what else may be asked.
 */

#include "coap/block.h"

enum { RESTARTS_MAX = 3 };

enum coap_served coap_serve_body(struct coap_message *m, struct span body, const struct coap_block *asked,
				 const struct siphash_key *key, uint8_t etag[COAP_BODY_ETAG])
{
	struct coap_block b = {.num = asked ? asked->num : 0, .szx = asked ? asked->szx : COAP_SZX_MAX};
	size_t size = coap_block_size(b.szx), start = coap_block_offset(&b);
	uint64_t digest;
	int rc;

	if (start && start >= body.len)
		return COAP_SERVED_BEYOND;
	b.more = body.len - start > size;
	m->payload = span_of(body.data ? body.data + start : NULL, MIN(size, body.len - start));
	if (!b.more && !start)
		return COAP_SERVED;
	digest = siphash(key, body);
	memcpy(etag, &digest, COAP_BODY_ETAG);
	rc = coap_add(m, COAP_OPTION_ETAG, span_of(etag, COAP_BODY_ETAG));
	rc |= coap_add_block(m, COAP_OPTION_BLOCK2, &b);
	rc |= coap_add_uint(m, COAP_OPTION_SIZE2, (uint32_t)body.len);
	assert(rc == 0);
	(void)rc;
	return COAP_SERVED_BLOCK;
}

/* ---- uploads ---- */

void coap_upload_begin(struct coap_upload *u, struct buffer body)
{
	coap_upload_deinit(u);
	*u = (struct coap_upload){
		.body = body, .szx = COAP_SZX_MAX, .blocks = body.len > coap_block_size(COAP_SZX_MAX)};
}

void coap_upload_deinit(struct coap_upload *u)
{
	buffer_deinit(&u->body);
	*u = (struct coap_upload){0};
}

static size_t block_len(const struct coap_upload *u)
{
	return MIN(u->body.len - u->sent, coap_block_size(u->szx));
}

int coap_upload_fill(const struct coap_upload *u, struct coap_message *m)
{
	size_t len = block_len(u);
	struct coap_block b = {.num = (uint32_t)(u->sent / coap_block_size(u->szx)),
			       .more = u->sent + len < u->body.len,
			       .szx = u->szx};
	int rc;

	if (!u->blocks) {
		m->payload = buffer_span(&u->body);
		return 0;
	}
	rc = coap_add_block(m, COAP_OPTION_BLOCK1, &b);
	if (!rc && u->sent == 0)
		rc = coap_add_uint(m, COAP_OPTION_SIZE1, (uint32_t)u->body.len);
	m->payload = span_of(u->body.data + u->sent, len);
	return rc;
}

/* The server has the block that went out last, and may want smaller ones from now on (RFC 7959, 2.5). */
static enum coap_upload_step go_on(struct coap_upload *u, const struct coap_message *response)
{
	size_t len = block_len(u);
	struct coap_block b;

	if (!u->blocks || u->sent + len >= u->body.len ||
	    coap_find_block(response, COAP_OPTION_BLOCK1, &b) != COAP_BLOCK_FOUND)
		return COAP_UPLOAD_BROKEN;
	u->sent += len;
	u->szx = MIN(u->szx, b.szx);
	return COAP_UPLOAD_NEXT;
}

static enum coap_upload_step begin_again(struct coap_upload *u, uint8_t szx)
{
	if (u->restarts == RESTARTS_MAX)
		return COAP_UPLOAD_ENDED;
	u->restarts++;
	u->blocks = true;
	u->szx = szx;
	u->sent = 0;
	return COAP_UPLOAD_NEXT;
}

enum coap_upload_step coap_upload_take(struct coap_upload *u, const struct coap_message *response)
{
	struct coap_block b;

	switch (response->code) {
	case COAP_CONTINUE:
		return go_on(u, response);
	case COAP_REQUEST_ENTITY_INCOMPLETE:
		return u->blocks ? begin_again(u, u->szx) : COAP_UPLOAD_ENDED;
	case COAP_REQUEST_ENTITY_TOO_LARGE:
		/* Not the same again: only smaller blocks can help, where there is something to cut. */
		if (u->body.len > 0 &&
		    coap_find_block(response, COAP_OPTION_BLOCK1, &b) == COAP_BLOCK_FOUND && b.szx < u->szx)
			return begin_again(u, b.szx);
		return COAP_UPLOAD_ENDED;
	default:
		return COAP_UPLOAD_ENDED;
	}
}
