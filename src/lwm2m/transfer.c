/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bodies in blocks (RFC 7959), seen from the one who asks: what we write goes out block by block as the
 * device acknowledges them (coap_upload), what it answers is fetched block by block until it is whole.
 *
 * The hard idea: the transfer is a loop around one exchange. transfer_take looks at a response and says
 * whether it is the answer, or whether the same operation has to be sent once more; transfer_fill then knows
 * which block is next.
 *
 * Leaves out the other role (coap/block.h) and random access.
 */

#include "lwm2m/core.h"

void transfer_body(struct operation *op, struct buffer *body)
{
	coap_upload_begin(&op->out.body, *body);
	*body = buffer_of(0);
}

static int fill_block2(const struct operation *op, struct coap_message *m)
{
	struct coap_block b = {.num = (uint32_t)(op->in.body.len >> (op->in.szx + 4)), .szx = op->in.szx};

	return coap_add_block(m, COAP_OPTION_BLOCK2, &b);
}

int transfer_fill(struct operation *op, struct coap_message *m)
{
	if (!op->in.blocks)
		return coap_upload_fill(&op->out.body, m);
	if (operation_is_observe(op) || op->kind == LWM2M_READ_COMPOSITE)
		m->payload = buffer_span(&op->out.body.body);
	return fill_block2(op, m);
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
	enum coap_upload_step step = coap_upload_take(&op->out.body, m);
	enum transfer outcome = TRANSFER_WHOLE;
	struct coap_block b;

	if (step != COAP_UPLOAD_ENDED)
		return step == COAP_UPLOAD_NEXT ? TRANSFER_NEXT : TRANSFER_BROKEN;
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
