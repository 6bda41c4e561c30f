/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What of a device lives in memory only, as bytes that another node goes on with.
 *
 * The hard idea: luggage may be lost, or cut, and the device must be none the worse. So it is a row of parts,
 * each of which stands alone: what has no room is left out, what cannot be read is passed over, and what
 * nobody knows (of a later version) is skipped. The record, the number of the last write and what was
 * acknowledged are not in it: those are in the store.
 *
 * Parts in this order: the actor's small state, freshness of its observations, the session; then operations
 * with their exchanges, in the order of these; at last the blocks of a request that the device is sending.
 * Where there is too much, those blocks go first, then the operations with the largest bodies.
 */

#include "lwm2m/core.h"
#include "lwm2m/wire.h"

#include <errno.h>

enum {
	LUGGAGE_FORMAT = 1,
	PART_HEADER = 1 + 4,
	/* More than an operation takes without what is counted for it. */
	OPERATION_FIXED = 512,
	CARRIED_MAX = 1024,
};

enum part { PART_ACTOR = 1, PART_FRESHNESS = 2, PART_SESSION = 3, PART_OPERATION = 4, PART_BLOCKS = 5 };

static size_t part_begin(struct buffer *out, enum part part)
{
	buffer_u8(out, (uint8_t)part);
	buffer_uint(out, 0, 4);
	return out->len;
}

/* Puts its length in front of it; takes it back if it did not fit. */
static bool part_end(struct buffer *out, size_t begin)
{
	struct writer w;

	if (out->failed) {
		out->failed = false;
		out->len = MIN(out->len, begin - PART_HEADER);
		return false;
	}
	w = writer_of(out->data + begin - 4, 4);
	writer_u32(&w, (uint32_t)(out->len - begin));
	return true;
}

static bool next_part(struct reader *r, uint8_t *part, struct span *body)
{
	if (reader_left(r) == 0)
		return false;
	*part = reader_u8(r);
	*body = read_span32(r);
	return !r->failed;
}

static bool begin_reading(struct span luggage, struct reader *r)
{
	*r = reader_of(luggage);
	return reader_u8(r) == LUGGAGE_FORMAT;
}

/* ---- the actor ---- */

enum { ACTOR_BARE_READ = 1 };

/* How long ago an answer of the device was acknowledged; UINT32_MAX: never. */
static uint32_t acked_age_s(const struct device *d)
{
	uint64_t now_s = server_now(d->server) / 1000 + 1;

	return d->peer.acked_s ? (uint32_t)now_s - d->peer.acked_s : UINT32_MAX;
}

static void pack_actor(struct device *d, struct buffer *out)
{
	size_t begin = part_begin(out, PART_ACTOR);

	buffer_u8(out, d->bare_read ? ACTOR_BARE_READ : 0);
	buffer_uint(out, d->peer.next_mid, 2);
	buffer_uint(out, d->peer.acked_mid, 2);
	buffer_uint(out, acked_age_s(d), 4);
	buffer_uint(out, d->heard_s, 4);
	buffer_uint(out, d->good_read, 2);
	buffer_uint(out, d->good_single, 2);
	buffer_uint(out, d->good_write, 2);
	buffer_uint(out, d->non_hash, 4);
	buffer_uint(out, d->non_s, 4);
	(void)part_end(out, begin);
}

static void unpack_actor(struct device *d, struct span body)
{
	struct reader r = reader_of(body);
	uint8_t flags = reader_u8(&r);
	uint16_t next_mid = reader_u16(&r), acked_mid = reader_u16(&r);
	uint64_t age_ms = (uint64_t)reader_u32(&r) * 1000, now_ms = server_now(d->server);
	uint32_t heard_s = reader_u32(&r);
	uint16_t good_read = reader_u16(&r), good_single = reader_u16(&r), good_write = reader_u16(&r);
	uint32_t non_hash = reader_u32(&r), non_s = reader_u32(&r);

	if (r.failed)
		return;
	d->peer.next_mid = next_mid;
	if (age_ms <= MIN(now_ms, (uint64_t)COAP_EXCHANGE_LIFETIME_MS))
		coap_note_acked(&d->peer, acked_mid, now_ms - age_ms);
	d->heard_s = heard_s;
	d->bare_read = flags & ACTOR_BARE_READ;
	d->good_read = good_read;
	d->good_single = good_single;
	d->good_write = good_write;
	d->non_hash = non_hash;
	d->non_s = non_s;
}

/* ---- freshness ---- */

static void pack_freshness(struct device *d, struct buffer *out)
{
	uint64_t now_ms = server_now(d->server);
	size_t begin = part_begin(out, PART_FRESHNESS);

	for (unsigned i = 0; i < d->fresh_count; i++) {
		buffer_uint(out, d->fresh[i].token, 4);
		buffer_uint(out, d->fresh[i].sequence, 4);
		buffer_uint(out, now_ms - d->fresh[i].at_ms, 8);
	}
	(void)part_end(out, begin);
}

static void unpack_freshness(struct device *d, struct span body)
{
	enum { BYTES = 4 + 4 + 8 };
	uint64_t now_ms = server_now(d->server), age_ms;
	struct reader r = reader_of(body);
	size_t count = body.len / BYTES;

	if (body.len % BYTES || count == 0 || count > REGISTRATION_OBSERVATIONS_MAX || d->fresh)
		return;
	d->fresh = calloc(count, sizeof(*d->fresh));
	if (!d->fresh)
		return;
	d->fresh_count = (uint8_t)count;
	for (size_t i = 0; i < count; i++) {
		d->fresh[i].token = reader_u32(&r);
		d->fresh[i].sequence = reader_u32(&r) & 0xFFFFFF;
		age_ms = reader_u64(&r);
		d->fresh[i].at_ms = now_ms - MIN(age_ms, now_ms);
	}
}

/* ---- the session ---- */

static void pack_session(struct device *d, struct buffer *out)
{
	const struct lwm2m_security *security = d->server->host.security;
	_cleanup_buffer_ struct buffer carried = buffer_of(CARRIED_MAX);
	size_t begin;

	if (!d->located || d->peer.address.family != ADDRESS_ASSOCIATION)
		return;
	security->carry(security->ctx, &d->peer.address, device_endpoint(d), &carried);
	if (carried.failed || carried.len == 0)
		return;
	begin = part_begin(out, PART_SESSION);
	buffer_bytes(out, buffer_span(&carried));
	(void)part_end(out, begin);
}

bool luggage_session(struct device *d, struct span luggage, struct address *peer)
{
	const struct lwm2m_security *security = d->server->host.security;
	struct reader r;
	struct span body;
	uint8_t part;

	if (!begin_reading(luggage, &r))
		return false;
	while (next_part(&r, &part, &body))
		if (part == PART_SESSION)
			return security->arrive(security->ctx, device_endpoint(d), body, peer);
	return false;
}

/* ---- operations ---- */

enum {
	OPERATION_ACCEPT_CHOSEN = 1,
	OPERATION_BARE = 2,
	OPERATION_WRITE_CHOSEN = 4,
	OPERATION_SINGLE = 8,
	OPERATION_OBSERVED = 16,
	OPERATION_ACK_DUE = 32,
	OPERATION_BLOCKS_OUT = 64,
	OPERATION_BLOCKS_IN = 128,
	OPERATION_WITH_PATHS = 256,
	OPERATION_WITH_QUERY = 512,
	OPERATION_WITH_SPARE = 1024,
};

static unsigned operation_flags(const struct operation *op)
{
	const struct {
		bool set;
		unsigned flag;
	} flags[] = {
		{op->accept_chosen, OPERATION_ACCEPT_CHOSEN},
		{op->bare, OPERATION_BARE},
		{op->write_chosen, OPERATION_WRITE_CHOSEN},
		{op->single, OPERATION_SINGLE},
		{op->observed, OPERATION_OBSERVED},
		{op->ack_due, OPERATION_ACK_DUE},
		{op->out.body.blocks, OPERATION_BLOCKS_OUT},
		{op->in.blocks, OPERATION_BLOCKS_IN},
		{op->paths, OPERATION_WITH_PATHS},
		{op->out.query, OPERATION_WITH_QUERY},
		{op->spare, OPERATION_WITH_SPARE},
	};
	unsigned all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		all |= flags[i].set ? flags[i].flag : 0;
	return all;
}

static void set_flags(struct operation *op, unsigned flags)
{
	op->accept_chosen = flags & OPERATION_ACCEPT_CHOSEN;
	op->bare = flags & OPERATION_BARE;
	op->write_chosen = flags & OPERATION_WRITE_CHOSEN;
	op->single = flags & OPERATION_SINGLE;
	op->observed = flags & OPERATION_OBSERVED;
	op->ack_due = flags & OPERATION_ACK_DUE;
	op->out.body.blocks = flags & OPERATION_BLOCKS_OUT;
	op->in.blocks = flags & OPERATION_BLOCKS_IN;
}

/* Whoever asked first waits where it was asked first. */
static struct lwm2m_origin origin_of(const struct operation *op)
{
	const struct store_fence *here = &op->device->server->config.fence;

	if (op->origin.ticket)
		return op->origin;
	if (!op->done || op->purpose != PURPOSE_NORTHBOUND)
		return (struct lwm2m_origin){0};
	return (struct lwm2m_origin){here->node, here->incarnation, op->ticket};
}

static void write_token(struct buffer *out, const struct coap_token *token)
{
	buffer_u8(out, token->len);
	buffer_bytes(out, span_of(token->bytes, token->len));
}

static void read_token(struct reader *r, struct coap_token *token)
{
	uint8_t len = reader_u8(r);
	struct span bytes = reader_bytes(r, len);

	*token = (struct coap_token){.len = len};
	r->failed = r->failed || len > sizeof(token->bytes);
	if (!r->failed && bytes.len)
		memcpy(token->bytes, bytes.data, bytes.len);
}

static void write_request(struct buffer *out, const struct operation *op)
{
	buffer_u8(out, (uint8_t)op->kind);
	buffer_u8(out, (uint8_t)op->purpose);
	buffer_uint(out, operation_flags(op), 2);
	write_path(out, &op->path);
	write_token(out, &op->token);
	buffer_uint(out, op->accept, 2);
	buffer_uint(out, op->path_format, 2);
	buffer_uint(out, op->out.format, 2);
	buffer_u8(out, op->write_refused);
	buffer_uint(out, op->sequence, 4);
	buffer_uint(out, op->ack_mid, 2);
	buffer_uint(out, op->left_ms, 8);
	buffer_uint(out, op->spare_ms, 8);
	if (op->paths)
		write_span32(out, blob_span(op->paths));
	if (op->out.query)
		write_span32(out, blob_span(op->out.query));
	if (op->spare)
		write_span32(out, blob_span(op->spare));
}

/* Before it there is an operation of this kind and purpose. */
static bool read_request(struct reader *r, struct operation *op, unsigned flags)
{
	struct blob **const blobs[] = {&op->paths, &op->out.query, &op->spare};
	const unsigned with[] = {OPERATION_WITH_PATHS, OPERATION_WITH_QUERY, OPERATION_WITH_SPARE};
	enum { LEFT_MAX = 24 * 3600 * 1000 };
	uint64_t left_ms, spare_ms;

	set_flags(op, flags);
	read_path(r, &op->path);
	read_token(r, &op->token);
	op->accept = reader_u16(r);
	op->path_format = reader_u16(r);
	op->out.format = reader_u16(r);
	op->write_refused = reader_u8(r);
	op->sequence = reader_u32(r);
	op->ack_mid = reader_u16(r);
	left_ms = reader_u64(r);
	spare_ms = reader_u64(r);
	op->left_ms = MIN(left_ms, (uint64_t)LEFT_MAX);
	op->spare_ms = MIN(spare_ms, (uint64_t)LEFT_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
		struct span bytes = flags & with[i] ? read_span32(r) : span_of(NULL, 0);

		if (r->failed || bytes.len > STORE_REQUEST_MAX)
			return false;
		if (flags & with[i] && !(*blobs[i] = blob_copy(bytes)))
			return false;
	}
	return true;
}

static void write_bodies(struct buffer *out, const struct operation *op)
{
	buffer_uint(out, op->out.body.sent, 4);
	buffer_u8(out, op->out.body.szx);
	buffer_u8(out, op->out.body.restarts);
	write_span32(out, buffer_span(&op->out.body.body));
	buffer_u8(out, op->in.szx);
	buffer_u8(out, op->in.etag_len);
	buffer_bytes(out, span_of(op->in.etag, op->in.etag_len));
	write_span32(out, buffer_span(&op->in.body));
}

static bool read_body(struct reader *r, struct buffer *body)
{
	struct span bytes = read_span32(r);

	*body = buffer_of(LWM2M_BODY_MAX);
	if (bytes.len > 0)
		buffer_bytes(body, bytes);
	return !r->failed && !body->failed;
}

/* Numbers of blocks follow from these. */
static bool read_bodies(struct reader *r, struct operation *op)
{
	struct coap_upload *up = &op->out.body;
	struct span etag;

	up->sent = reader_u32(r);
	up->szx = reader_u8(r);
	up->restarts = reader_u8(r);
	if (!read_body(r, &up->body) || up->sent > up->body.len || up->szx > COAP_SZX_MAX ||
	    up->sent % coap_block_size(up->szx) || (up->blocks && up->sent == up->body.len))
		return false;
	op->in.szx = reader_u8(r);
	op->in.etag_len = reader_u8(r);
	if (op->in.szx > COAP_SZX_MAX || op->in.etag_len > sizeof(op->in.etag))
		return false;
	etag = reader_bytes(r, op->in.etag_len);
	if (etag.len)
		memcpy(op->in.etag, etag.data, etag.len);
	return read_body(r, &op->in.body);
}

/* The message that a notification began with, which is answered when the rest is there. */
static void write_cause(struct buffer *out, const struct operation *op)
{
	const struct address *from = &op->reply.address;
	bool elsewhere = !address_equal(from, &op->device->peer.address);

	buffer_uint(out, op->reply.mid, 2);
	buffer_u8(out, op->reply.type);
	buffer_uint(out, op->dedup_hash, 4);
	buffer_u8(out, elsewhere ? from->family : 0);
	if (!elsewhere)
		return;
	buffer_bytes(out, span_of(from->ip, sizeof(from->ip)));
	buffer_uint(out, from->scope, 4);
	buffer_uint(out, from->port, 2);
	buffer_u8(out, from->listener);
}

static bool read_cause(struct reader *r, struct operation *op)
{
	struct address *from = &op->reply.address;
	struct span ip;

	op->reply.mid = reader_u16(r);
	op->reply.type = reader_u8(r);
	op->reply.token = op->token;
	op->dedup_hash = reader_u32(r);
	*from = op->device->peer.address;
	switch (reader_u8(r)) {
	case 0:
		return op->reply.type == COAP_CON || op->reply.type == COAP_NON;
	case 4:
		from->family = 4;
		break;
	case 6:
		from->family = 6;
		break;
	default:
		return false;
	}
	ip = reader_bytes(r, sizeof(from->ip));
	if (ip.len)
		memcpy(from->ip, ip.data, ip.len);
	from->scope = reader_u32(r);
	from->port = reader_u16(r);
	from->listener = reader_u8(r);
	return op->reply.type == COAP_CON || op->reply.type == COAP_NON;
}

static void write_queued(struct buffer *out, const struct operation *op)
{
	struct span id = span_of(NULL, 0), body = span_of(NULL, 0);
	uint64_t deadline_ms = 0;

	(void)queue_export(op, &id, &deadline_ms, &body);
	buffer_u8(out, (uint8_t)id.len);
	buffer_bytes(out, id);
	buffer_uint(out, deadline_ms, 8);
	write_span32(out, body);
}

static bool read_queued(struct reader *r, struct operation *op)
{
	uint8_t id_len = reader_u8(r);
	struct span id = reader_bytes(r, id_len);
	uint64_t deadline_ms = reader_u64(r);
	struct span body = read_span32(r);

	return !r->failed && id.len > 0 && id.len <= STORE_REQUEST_ID_MAX && body.len <= STORE_REQUEST_MAX &&
	       queue_import(op, id, deadline_ms, body) == 0;
}

static void write_exchange(struct buffer *out, const struct operation *op)
{
	_cleanup_buffer_ struct buffer exchange = buffer_of(COAP_EXCHANGE_ENCODED_MAX);

	if (op->exchange)
		coap_exchange_export(op->exchange, &exchange);
	out->failed = out->failed || exchange.failed;
	write_span32(out, buffer_span(&exchange));
}

static void pack_operation(struct operation *op, struct buffer *out)
{
	struct lwm2m_origin origin = origin_of(op);
	size_t begin;

	if (op->left_behind)
		return;
	begin = part_begin(out, PART_OPERATION);
	buffer_uint(out, origin.node, 4);
	buffer_uint(out, origin.incarnation, 8);
	buffer_uint(out, origin.ticket, 8);
	write_request(out, op);
	write_exchange(out, op);
	write_bodies(out, op);
	if (op->purpose == PURPOSE_NOTIFICATION)
		write_cause(out, op);
	if (op->purpose == PURPOSE_QUEUED)
		write_queued(out, op);
	op->left_behind = !part_end(out, begin);
}

/* What its purpose has besides. */
static bool read_purpose(struct reader *r, struct operation *op)
{
	struct device *d = op->device;

	if (op->purpose == PURPOSE_QUEUED)
		return read_queued(r, op);
	if (op->purpose != PURPOSE_NOTIFICATION)
		return true;
	if (!read_cause(r, op))
		return false;
	if (op->reply.type == COAP_CON)
		(void)coap_dedup_add(&d->hot.dedup, op->reply.mid, op->dedup_hash,
				     (uint32_t)(server_wall(d->server) / 1000), 0);
	return true;
}

static bool is_ours(const struct lwm2m_server *s, const struct lwm2m_origin *origin)
{
	return origin->node == s->config.fence.node && origin->incarnation == s->config.fence.incarnation;
}

/* False: it is not worth going on with. */
static bool read_operation(struct reader *r, struct operation *op, unsigned flags, struct span *exchange)
{
	if (!read_request(r, op, flags))
		return false;
	*exchange = read_span32(r);
	op->ack_to = op->device->peer.address;
	return read_bodies(r, op) && read_purpose(r, op) && !r->failed;
}

/* It goes on where it was, or it is not known what the device did. */
static void go_on(struct operation *op, struct span exchange)
{
	struct device *d = op->device;
	int err = d->located ? coap_exchange_import(&d->server->coap, &d->peer, exchange, operation_done, op,
						    &op->exchange)
			     : -ENOTCONN;

	if (err < 0)
		operation_end(op, LWM2M_UNKNOWN, "the request could not go on with its device");
}

static void unpack_operation(struct device *d, struct span body)
{
	struct lwm2m_server *s = d->server;
	struct reader r = reader_of(body);
	struct lwm2m_origin origin;
	struct span exchange;
	struct operation *op;
	uint8_t kind, purpose;
	uint16_t flags;

	origin.node = reader_u32(&r);
	origin.incarnation = reader_u64(&r);
	origin.ticket = reader_u64(&r);
	kind = reader_u8(&r);
	purpose = reader_u8(&r);
	flags = reader_u16(&r);
	if (r.failed || kind > LWM2M_CANCEL_COMPOSITE || purpose > PURPOSE_QUEUED)
		return;
	op = operation_new(d, kind, NULL, NULL);
	if (!op)
		return;
	op->purpose = purpose;
	if (origin.ticket && !is_ours(s, &origin))
		op->origin = origin;
	else if (origin.ticket && !remote_return(op, origin.ticket)) {
		operation_free(op);
		return;
	}
	if (read_operation(&r, op, flags, &exchange))
		go_on(op, exchange);
	else
		operation_end(op, LWM2M_UNKNOWN, "the request was lost with its device's move");
}

/* ---- all of it ---- */

static size_t operation_size(const struct operation *op)
{
	struct span id, body = span_of(NULL, 0);
	uint64_t deadline_ms;

	(void)queue_export(op, &id, &deadline_ms, &body);
	return OPERATION_FIXED + COAP_EXCHANGE_ENCODED_MAX + blob_span(op->paths).len +
	       blob_span(op->out.query).len + blob_span(op->spare).len + op->out.body.body.len +
	       op->in.body.len + body.len;
}

/* The largest ones stay behind until the others fit. */
static void leave_largest(struct device *d, size_t room)
{
	for (;;) {
		struct operation *largest = NULL;
		size_t total = 0;

		list_for_each (node, &d->operations) {
			struct operation *op = container_of(node, struct operation, node);

			if (op->left_behind)
				continue;
			total += operation_size(op);
			if (!largest || operation_size(op) > operation_size(largest))
				largest = op;
		}
		if (total <= room)
			return;
		largest->left_behind = true;
	}
}

static void pack_blocks(struct device *d, struct buffer *out)
{
	struct lwm2m_server *s = d->server;
	size_t begin = part_begin(out, PART_BLOCKS);

	if (!out->failed && d->located)
		coap_assemblies_export(&s->assemblies, &d->peer.address, server_now(s), out);
	(void)part_end(out, begin);
}

void luggage_pack(struct device *d, struct buffer *out)
{
	struct coap_exchange *x = NULL;

	buffer_u8(out, LUGGAGE_FORMAT);
	pack_actor(d, out);
	pack_freshness(d, out);
	pack_session(d, out);
	leave_largest(d, out->limit - MIN(out->len, out->limit));
	while ((x = coap_exchange_next(&d->peer, x)))
		pack_operation(coap_exchange_ctx(x), out);
	pack_blocks(d, out);
}

void luggage_unpack(struct device *d, struct span luggage)
{
	struct lwm2m_server *s = d->server;
	struct reader r;
	struct span body;
	uint8_t part;

	if (!begin_reading(luggage, &r))
		return;
	while (next_part(&r, &part, &body)) {
		switch (part) {
		case PART_ACTOR:
			unpack_actor(d, body);
			break;
		case PART_FRESHNESS:
			unpack_freshness(d, body);
			break;
		case PART_OPERATION:
			unpack_operation(d, body);
			break;
		case PART_BLOCKS:
			if (d->located &&
			    coap_assemblies_import(&s->assemblies, &d->peer.address, body, server_now(s)) < 0)
				break; /* the device begins again */
			break;
		default:
			break;
		}
	}
}
