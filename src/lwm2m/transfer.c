/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bodies in blocks (RFC 7959), seen from the one who asks: what we write goes out block by block as the
 * device acknowledges them, what it answers is fetched block by block until it is whole.
 *
 * The hard idea: the transfer is a loop around one exchange. transfer_take looks at a response and says
 * whether it is the answer, or whether the same operation has to be sent once more; transfer_fill then knows
 * which block is next. A device may ask for smaller blocks in the middle, or lose the transfer and want it
 * from the start; both only move `sent`.
 *
 * Leaves out the other role (coap/block.h) and random access.
 */

#include "lwm2m/core.h"

enum { RESTARTS_MAX = 3 };

static size_t block_len(const struct operation *op)
{
	size_t left = op->out.body->len - op->out.sent;

	return MIN(left, coap_block_size(op->out.szx));
}

static int fill_block1(struct operation *op, struct coap_message *m)
{
	struct outgoing *o = &op->out;
	size_t len = block_len(op);
	struct coap_block b = {.num = (uint32_t)(o->sent >> (o->szx + 4)),
			       .more = o->sent + len < o->body->len,
			       .szx = o->szx};
	int err = coap_add_block(m, COAP_OPTION_BLOCK1, &b);

	if (!err && o->sent == 0)
		err = coap_add_uint(m, COAP_OPTION_SIZE1, o->body->len);
	m->payload = span_of(o->body->bytes + o->sent, len);
	return err;
}

static int fill_block2(const struct operation *op, struct coap_message *m)
{
	struct coap_block b = {.num = (uint32_t)(op->in.body.len >> (op->in.szx + 4)), .szx = op->in.szx};

	return coap_add_block(m, COAP_OPTION_BLOCK2, &b);
}

int transfer_fill(struct operation *op, struct coap_message *m)
{
	struct outgoing *o = &op->out;

	if (op->in.blocks) {
		m->payload = operation_is_observe(op) || op->kind == LWM2M_READ_COMPOSITE ? blob_span(o->body)
											  : m->payload;
		return fill_block2(op, m);
	}
	if (!o->body)
		return 0;
	if (!o->blocks && o->body->len > coap_block_size(COAP_SZX_MAX)) {
		o->blocks = true;
		o->szx = COAP_SZX_MAX;
	}
	if (o->blocks)
		return fill_block1(op, m);
	m->payload = blob_span(o->body);
	return 0;
}

/* The device has the block that we sent last, and may want smaller ones from now on (RFC 7959, 2.5). */
static enum transfer take_continue(struct operation *op, const struct coap_message *m)
{
	struct outgoing *o = &op->out;
	struct coap_block b;

	if (!o->blocks || coap_find_block(m, COAP_OPTION_BLOCK1, &b) != COAP_BLOCK_FOUND ||
	    o->sent + block_len(op) >= o->body->len)
		return TRANSFER_BROKEN;
	o->sent += block_len(op);
	o->szx = MIN(o->szx, b.szx);
	return TRANSFER_NEXT;
}

/* 4.08: from the start. 4.13: from the start with the smaller blocks that it asks for, or that fit what it
 * says (2.9.3). */
static bool restart(struct operation *op, const struct coap_message *m)
{
	struct outgoing *o = &op->out;
	uint8_t szx = o->blocks ? o->szx : COAP_SZX_MAX;
	struct coap_block b;

	if (!o->body || o->restarts >= RESTARTS_MAX)
		return false;
	if (m->code == COAP_REQUEST_ENTITY_INCOMPLETE && !o->blocks)
		return false;
	if (m->code == COAP_REQUEST_ENTITY_TOO_LARGE) {
		if (coap_find_block(m, COAP_OPTION_BLOCK1, &b) != COAP_BLOCK_FOUND || b.szx >= szx)
			return false;
		szx = b.szx;
	}
	o->blocks = true;
	o->szx = szx;
	o->sent = 0;
	o->restarts++;
	return true;
}

static bool same_etag(struct arriving *in, const struct coap_message *m)
{
	const struct coap_option *etag = coap_find(m, COAP_OPTION_ETAG);
	struct span value = etag ? coap_value(etag) : span_of(NULL, 0);

	if (in->body.len == 0) {
		in->etag_len = (uint8_t)value.len;
		if (value.len)
			memcpy(in->etag, value.data, value.len);
	}
	return span_equal(value, span_of(in->etag, in->etag_len));
}

static enum transfer take_block2(struct operation *op, const struct coap_message *m,
				 const struct coap_block *b)
{
	struct arriving *in = &op->in;

	if (!in->blocks) {
		in->blocks = true;
		in->body = buffer_of(LWM2M_BODY_MAX);
	}
	if (coap_block_offset(b) != in->body.len || !same_etag(in, m) ||
	    (b->more && m->payload.len != coap_block_size(b->szx)))
		return TRANSFER_BROKEN;
	in->szx = b->szx;
	buffer_bytes(&in->body, m->payload);
	if (in->body.failed)
		return TRANSFER_BROKEN;
	return b->more ? TRANSFER_NEXT : TRANSFER_WHOLE;
}

bool transfer_begins(const struct coap_message *m)
{
	struct coap_block b;

	return coap_find_block(m, COAP_OPTION_BLOCK2, &b) == COAP_BLOCK_FOUND && b.more && b.num == 0;
}

enum transfer transfer_take(struct operation *op, const struct coap_message *m, struct coap_message *whole)
{
	struct coap_block b;
	enum transfer outcome = TRANSFER_WHOLE;

	if (m->code == COAP_CONTINUE)
		return take_continue(op, m);
	if ((m->code == COAP_REQUEST_ENTITY_INCOMPLETE || m->code == COAP_REQUEST_ENTITY_TOO_LARGE) &&
	    restart(op, m))
		return TRANSFER_NEXT;
	*whole = *m;
	switch (coap_find_block(m, COAP_OPTION_BLOCK2, &b)) {
	case COAP_BLOCK_ABSENT:
		return op->in.blocks && coap_class(m->code) == 2 ? TRANSFER_BROKEN : TRANSFER_WHOLE;
	case COAP_BLOCK_BAD:
		return TRANSFER_BROKEN;
	case COAP_BLOCK_FOUND:
		break;
	}
	if (!op->in.blocks && b.num == 0 && !b.more)
		return TRANSFER_WHOLE; /* a body of one block */
	if (coap_class(m->code) == 2)
		outcome = take_block2(op, m, &b);
	if (outcome == TRANSFER_WHOLE && op->in.blocks && coap_class(m->code) == 2)
		whole->payload = buffer_span(&op->in.body);
	return outcome;
}
