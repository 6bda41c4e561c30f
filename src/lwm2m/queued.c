/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Stored requests in bytes. A version in front, lengths in front of every variable part; a later version adds
 * behind, which this one skips. What is written keeps its exact types: a value is not made text and back.
 */

#include "lwm2m/queued.h"

#include <errno.h>

#include "lwm2m/server.h"
#include "lwm2m/wire.h"

enum { QUEUED_VERSION = 1, RECORDS_MAX = 65535 };

const char *queued_state_name(uint8_t state)
{
	static const char *const names[QUEUED_STATES] = {
		[QUEUED_WAITING] = "queued",	  [QUEUED_SENT] = "sent",
		[QUEUED_ANSWERED] = "answered",	  [QUEUED_EXPIRED] = "expired",
		[QUEUED_CANCELLED] = "cancelled", [QUEUED_FAILED] = "failed",
		[QUEUED_UNKNOWN] = "unknown",
	};

	return state > 0 && state < QUEUED_STATES ? names[state] : "";
}

const char *queued_operation_name(uint8_t operation)
{
	static const char *const names[] = {
		[LWM2M_READ] = "read",
		[LWM2M_DISCOVER] = "discover",
		[LWM2M_WRITE] = "write",
		[LWM2M_WRITE_PARTIAL] = "write-partial",
		[LWM2M_WRITE_ATTRIBUTES] = "write-attributes",
		[LWM2M_EXECUTE] = "execute",
		[LWM2M_CREATE] = "create",
		[LWM2M_DELETE] = "delete",
		[LWM2M_OBSERVE] = "observe",
		[LWM2M_CANCEL_OBSERVE] = "cancel-observe",
		[LWM2M_READ_COMPOSITE] = "read-composite",
		[LWM2M_WRITE_COMPOSITE] = "write-composite",
		[LWM2M_OBSERVE_COMPOSITE] = "observe-composite",
		[LWM2M_CANCEL_COMPOSITE] = "cancel-composite",
	};

	return operation < ARRAY_SIZE(names) ? names[operation] : "";
}

bool queued_id_hash(struct span id, uint32_t *hash)
{
	static const char digits[] = "0123456789abcdef";

	if (id.len != REQUEST_ID || id.data[8] != '-')
		return false;
	*hash = 0;
	for (size_t i = 0; i < 8; i++) {
		const char *at = id.data[i] ? strchr(digits, id.data[i]) : NULL;

		if (!at)
			return false;
		*hash = *hash << 4 | (uint32_t)(at - digits);
	}
	return true;
}

/* ---- values ---- */

static void write_value(struct buffer *out, const struct value *v)
{
	uint64_t bits;

	buffer_u8(out, (uint8_t)v->type);
	switch (v->type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
	case VALUE_OPAQUE:
		write_span32(out, v->bytes);
		return;
	case VALUE_INTEGER:
	case VALUE_TIME:
		buffer_uint(out, (uint64_t)v->integer, 8);
		return;
	case VALUE_UNSIGNED:
		buffer_uint(out, v->unsigned_, 8);
		return;
	case VALUE_FLOAT:
		memcpy(&bits, &v->real, sizeof(bits));
		buffer_uint(out, bits, 8);
		return;
	case VALUE_BOOLEAN:
		buffer_u8(out, v->boolean);
		return;
	case VALUE_OBJLNK:
		buffer_uint(out, v->link.object, 2);
		buffer_uint(out, v->link.instance, 2);
		return;
	case VALUE_NONE:
	case VALUE_TYPES:
		return;
	}
}

static void read_value(struct reader *r, struct value *v)
{
	uint64_t bits;

	*v = (struct value){.type = reader_u8(r)};
	switch (v->type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
	case VALUE_OPAQUE:
		v->bytes = read_span32(r);
		return;
	case VALUE_INTEGER:
	case VALUE_TIME:
		v->integer = (int64_t)reader_u64(r);
		return;
	case VALUE_UNSIGNED:
		v->unsigned_ = reader_u64(r);
		return;
	case VALUE_FLOAT:
		bits = reader_u64(r);
		memcpy(&v->real, &bits, sizeof(bits));
		return;
	case VALUE_BOOLEAN:
		v->boolean = reader_u8(r) != 0;
		return;
	case VALUE_OBJLNK:
		v->link.object = reader_u16(r);
		v->link.instance = reader_u16(r);
		return;
	case VALUE_NONE:
		return;
	default:
		r->failed = true;
	}
}

void queued_records_encode(const struct record *items, size_t count, struct buffer *out)
{
	if (count > RECORDS_MAX) {
		out->failed = true;
		return;
	}
	buffer_uint(out, count, 2);
	for (size_t i = 0; i < count; i++) {
		write_path(out, &items[i].path);
		write_value(out, &items[i].value);
	}
}

int queued_records_decode(struct span body, struct records *out)
{
	struct reader r = reader_of(body);
	size_t count = reader_u16(&r);
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++) {
		struct record record = {0};

		read_path(&r, &record.path);
		read_value(&r, &record.value);
		err = r.failed ? -EPROTO : records_add(out, &record);
	}
	return r.failed ? -EPROTO : err;
}

/* ---- requests ---- */

static void write_end(struct buffer *out, const struct queued_end *e)
{
	buffer_uint(out, e->ended_ms, 8);
	if (e->ended_ms == 0)
		return;
	buffer_uint(out, e->event_gen, 4);
	buffer_uint(out, e->event_number, 8);
	buffer_u8(out, e->code);
	buffer_uint(out, e->format, 2);
	write_span32(out, e->payload);
	write_span32(out, e->location);
	write_span32(out, e->error);
	write_span32(out, e->root);
	buffer_u8(out, e->lwm2m.major);
	buffer_u8(out, e->lwm2m.minor);
	write_span32(out, e->declared);
}

static void read_end(struct reader *r, struct queued_end *e)
{
	e->ended_ms = reader_u64(r);
	if (e->ended_ms == 0)
		return;
	e->event_gen = reader_u32(r);
	e->event_number = reader_u64(r);
	e->code = reader_u8(r);
	e->format = reader_u16(r);
	e->payload = read_span32(r);
	e->location = read_span32(r);
	e->error = read_span32(r);
	e->root = read_span32(r);
	e->lwm2m.major = reader_u8(r);
	e->lwm2m.minor = reader_u8(r);
	e->declared = read_span32(r);
}

int queued_encode(const struct queued_request *q, struct buffer *out)
{
	buffer_u8(out, QUEUED_VERSION);
	buffer_u8(out, q->operation);
	write_path(out, &q->path);
	buffer_uint(out, q->format, 2);
	buffer_uint(out, q->path_format, 2);
	buffer_uint(out, q->instance, 2);
	write_span32(out, q->paths);
	write_span32(out, q->records);
	write_span32(out, q->arguments);
	buffer_uint(out, q->added_ms, 8);
	buffer_uint(out, q->expires_ms, 8);
	buffer_u8(out, q->attempts);
	buffer_u8(out, q->token.len);
	buffer_bytes(out, span_of(q->token.bytes, q->token.len));
	write_end(out, &q->end);
	return out->failed ? -ENOSPC : 0;
}

static void read_token(struct reader *r, struct coap_token *token)
{
	struct span bytes;

	*token = (struct coap_token){.len = reader_u8(r)};
	if (token->len > sizeof(token->bytes)) {
		token->len = 0;
		r->failed = true;
	}
	bytes = reader_bytes(r, token->len);
	if (!r->failed && bytes.len)
		memcpy(token->bytes, bytes.data, bytes.len);
}

int queued_decode(struct span body, struct queued_request *out)
{
	struct reader r = reader_of(body);
	uint8_t version = reader_u8(&r);

	*out = (struct queued_request){.operation = reader_u8(&r)};
	read_path(&r, &out->path);
	out->format = reader_u16(&r);
	out->path_format = reader_u16(&r);
	out->instance = reader_u16(&r);
	out->paths = read_span32(&r);
	out->records = read_span32(&r);
	out->arguments = read_span32(&r);
	out->added_ms = reader_u64(&r);
	out->expires_ms = reader_u64(&r);
	out->attempts = reader_u8(&r);
	read_token(&r, &out->token);
	read_end(&r, &out->end);
	return r.failed || version != QUEUED_VERSION || out->operation > LWM2M_CANCEL_COMPOSITE ? -EPROTO : 0;
}
