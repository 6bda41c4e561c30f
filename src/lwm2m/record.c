/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The record of a device: one string of bytes that is stored and held in memory as it is.
 *
 * The hard idea: there is no second form. What the API shows and what the store holds are the same bytes, so
 * a restart, a hand-over and an event body need no conversion, and an idle device costs its bytes and nothing
 * more. A version byte and lengths in front of every variable part let a later version add fields behind,
 * which older ones skip.
 */

#include <errno.h>

#include "lwm2m/registration.h"

enum {
	RECORD_PRESENT = 1,
	RECORD_QUEUE_MODE = 2,
	RECORD_SECURE = 4,
	OBSERVATION_ISSUED = 1,
	OBSERVATION_REFUSAL = 2,
	OBSERVATION_COMPOSITE = 4,
	OBSERVATION_ORIGIN = 8,
};

static void write_address(struct buffer *out, const struct address *a)
{
	size_t ip_len = a->family == 4 ? 4 : a->family == 6 ? 16 : 0;

	buffer_u8(out, a->family);
	buffer_u8(out, a->listener);
	buffer_uint(out, a->port, 2);
	buffer_uint(out, a->scope, 4);
	buffer_bytes(out, span_of(a->ip, ip_len));
}

static int read_address(struct reader *r, struct address *a)
{
	struct span ip;

	*a = (struct address){0};
	a->family = reader_u8(r);
	a->listener = reader_u8(r);
	a->port = reader_u16(r);
	a->scope = reader_u32(r);
	if (a->family != 0 && a->family != 4 && a->family != 6)
		return -EPROTO;
	ip = reader_bytes(r, a->family == 4 ? 4 : a->family == 6 ? 16 : 0);
	if (ip.len)
		memcpy(a->ip, ip.data, ip.len);
	return 0;
}

static void write_span16(struct buffer *out, struct span s)
{
	if (s.len > UINT16_MAX) {
		out->failed = true;
		return;
	}
	buffer_uint(out, s.len, 2);
	buffer_bytes(out, s);
}

static void write_path(struct buffer *out, const struct path *p)
{
	buffer_u8(out, p->depth);
	for (unsigned i = 0; i < p->depth; i++)
		buffer_uint(out, p->ids[i], 2);
}

static void read_path(struct reader *r, struct path *p)
{
	*p = (struct path){.depth = reader_u8(r)};
	if (p->depth > PATH_RESOURCE_INSTANCE) {
		r->failed = true;
		p->depth = 0;
	}
	for (unsigned i = 0; i < p->depth; i++)
		p->ids[i] = reader_u16(r);
}

void paths_encode(const struct path *paths, size_t count, struct buffer *out)
{
	for (size_t i = 0; i < count; i++)
		write_path(out, &paths[i]);
}

bool paths_next(struct span *left, struct path *out)
{
	struct reader r = reader_of(*left);

	if (left->len == 0)
		return false;
	read_path(&r, out);
	*left = reader_rest(&r);
	return !r.failed;
}

static void write_observation(struct buffer *out, const struct observation *o)
{
	uint8_t flags = 0;

	if (o->issued)
		flags |= OBSERVATION_ISSUED;
	if (o->refused)
		flags |= OBSERVATION_REFUSAL;
	if (o->paths.len > 0)
		flags |= OBSERVATION_COMPOSITE;
	if (o->origin)
		flags |= OBSERVATION_ORIGIN;
	buffer_u8(out, o->token.len);
	buffer_bytes(out, span_of(o->token.bytes, o->token.len));
	buffer_u8(out, flags);
	buffer_uint(out, o->accept, 2);
	if (o->paths.len > 0) {
		buffer_uint(out, o->path_format, 2);
		write_span16(out, o->paths);
	} else {
		write_path(out, &o->path);
	}
	if (o->origin)
		buffer_uint(out, o->origin, 4);
}

bool observation_next(struct span *left, struct observation *out)
{
	struct reader r = reader_of(*left);
	struct span token;
	uint8_t flags;

	if (left->len == 0)
		return false;
	*out = (struct observation){.path_format = COAP_FORMAT_NONE};
	out->token.len = reader_u8(&r);
	if (out->token.len > sizeof(out->token.bytes))
		return false;
	token = reader_bytes(&r, out->token.len);
	if (token.len)
		memcpy(out->token.bytes, token.data, token.len);
	flags = reader_u8(&r);
	out->issued = flags & OBSERVATION_ISSUED;
	out->refused = flags & OBSERVATION_REFUSAL;
	out->accept = reader_u16(&r);
	if (flags & OBSERVATION_COMPOSITE) {
		out->path_format = reader_u16(&r);
		out->paths = reader_span16(&r);
	} else {
		read_path(&r, &out->path);
	}
	if (flags & OBSERVATION_ORIGIN)
		out->origin = reader_u32(&r);
	if (r.failed)
		return false;
	*left = reader_rest(&r);
	return true;
}

int registration_encode(const struct registration *r, const struct observation *observations, size_t count,
			struct buffer *out)
{
	uint8_t flags = 0, version = REGISTRATION_RECORD - 1;

	for (size_t i = 0; i < count; i++)
		if (observations[i].origin)
			version = REGISTRATION_RECORD;
	if (r->present)
		flags |= RECORD_PRESENT;
	if (r->queue_mode)
		flags |= RECORD_QUEUE_MODE;
	if (r->secure)
		flags |= RECORD_SECURE;
	buffer_u8(out, version);
	buffer_u8(out, flags);
	buffer_bytes(out, span_of(r->id, REGISTRATION_ID));
	buffer_uint(out, r->registered_ms, 8);
	write_address(out, &r->address);
	buffer_uint(out, r->lifetime_s, 4);
	buffer_u8(out, r->lwm2m.major);
	buffer_u8(out, r->lwm2m.minor);
	write_span16(out, r->binding);
	write_span16(out, r->sms);
	write_span16(out, r->root);
	write_span16(out, r->links);
	write_span16(out, r->extra);
	write_span16(out, r->session);
	for (size_t i = 0; i < count; i++)
		write_observation(out, &observations[i]);
	return out->failed ? -ENOSPC : 0;
}

bool registration_peek(struct span record, struct span *id)
{
	struct reader r = reader_of(record);
	uint8_t flags;

	(void)reader_u8(&r);
	flags = reader_u8(&r);
	*id = reader_bytes(&r, REGISTRATION_ID);
	return !r.failed && flags & RECORD_PRESENT;
}

int registration_decode(struct span record, struct registration *out)
{
	struct reader r = reader_of(record);
	uint8_t version = reader_u8(&r);
	struct span id;
	uint8_t flags;

	*out = (struct registration){0};
	if (version < REGISTRATION_RECORD_OLDEST || version > REGISTRATION_RECORD)
		return -EPROTO;
	flags = reader_u8(&r);
	out->present = flags & RECORD_PRESENT;
	out->queue_mode = flags & RECORD_QUEUE_MODE;
	out->secure = flags & RECORD_SECURE;
	id = reader_bytes(&r, REGISTRATION_ID);
	if (id.len)
		memcpy(out->id, id.data, id.len);
	out->registered_ms = reader_u64(&r);
	if (read_address(&r, &out->address) < 0)
		return -EPROTO;
	out->lifetime_s = reader_u32(&r);
	out->lwm2m.major = reader_u8(&r);
	out->lwm2m.minor = reader_u8(&r);
	out->binding = reader_span16(&r);
	out->sms = reader_span16(&r);
	out->root = reader_span16(&r);
	out->links = reader_span16(&r);
	out->extra = reader_span16(&r);
	if (version > 1)
		out->session = reader_span16(&r);
	out->observations = reader_rest(&r);
	return r.failed ? -EPROTO : 0;
}

bool registration_next_extra(struct span *left, struct span *name, struct span *value, bool *has_value)
{
	struct reader r = reader_of(*left);
	struct span item = reader_span16(&r);
	const uint8_t *equals;

	if (left->len == 0 || r.failed)
		return false;
	equals = item.len ? memchr(item.data, '=', item.len) : NULL;
	*has_value = equals != NULL;
	*name = span_of(item.data, equals ? (size_t)(equals - item.data) : item.len);
	*value = equals ? span_from(item, name->len + 1) : span_of(NULL, 0);
	*left = reader_rest(&r);
	return true;
}
