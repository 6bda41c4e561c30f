/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Bodies of messages between nodes. A device travels as its row and record are stored: one layout, one
 * decoder. */

#include "cluster/message.h"

#include "store/keys.h"

enum { MESSAGE_VERSION = 1 };

/* ---- parts ---- */

static void span32_encode(struct span s, struct buffer *out)
{
	buffer_uint(out, s.len, 4);
	buffer_bytes(out, s);
}

static struct span span32_decode(struct reader *r)
{
	return reader_bytes(r, reader_u32(r));
}

static void key_encode(struct store_key key, struct buffer *out)
{
	buffer_u8(out, (uint8_t)key.role);
	buffer_u8(out, (uint8_t)key.endpoint.len);
	buffer_bytes(out, key.endpoint);
}

static bool key_decode(struct reader *r, struct store_key *out)
{
	uint8_t role = reader_u8(r);

	out->role = (enum store_role)role;
	out->endpoint = reader_bytes(r, reader_u8(r));
	return !r->failed && role <= STORE_BOOTSTRAP && out->endpoint.len > 0;
}

static void fence_encode(const struct store_fence *f, struct buffer *out)
{
	buffer_uint(out, f->node, 4);
	buffer_uint(out, f->gen, 4);
	buffer_uint(out, f->incarnation, 8);
}

static struct store_fence fence_decode(struct reader *r)
{
	struct store_fence f = {.node = reader_u32(r)};

	f.gen = reader_u32(r);
	f.incarnation = reader_u64(r);
	return f;
}

static bool begins(struct reader *r)
{
	return reader_u8(r) >= MESSAGE_VERSION && !r->failed;
}

static void device_encode(const struct store_device *d, struct buffer *out)
{
	const struct store_row row = {.hot = d->hot};
	uint8_t *at;

	key_encode(d->key, out);
	at = buffer_extend(out, STORE_ROW_BYTES);
	if (at) {
		struct writer w = writer_of(at, STORE_ROW_BYTES);

		store_row_encode(&w, &row);
	}
	buffer_uint(out, d->expires_ms, 8);
	span32_encode(d->record, out);
}

static bool device_decode(struct reader *r, struct store_device *out)
{
	struct store_row row;

	if (!key_decode(r, &out->key) || !store_row_decode(reader_bytes(r, STORE_ROW_BYTES), &row))
		return false;
	out->hot = row.hot;
	out->expires_ms = reader_u64(r);
	out->record = span32_decode(r);
	return !r->failed && out->record.len <= STORE_RECORD_MAX;
}

/* ---- messages ---- */

void message_ask_encode(const struct message_ask *a, struct buffer *out)
{
	buffer_u8(out, MESSAGE_VERSION);
	key_encode(a->key, out);
	fence_encode(&a->owner, out);
	buffer_u8(out, a->session);
	buffer_uint(out, a->record.len, 2);
	buffer_bytes(out, a->record);
}

bool message_ask_decode(struct span body, struct message_ask *out)
{
	struct reader r = reader_of(body);

	if (!begins(&r) || !key_decode(&r, &out->key))
		return false;
	out->owner = fence_decode(&r);
	out->session = reader_u8(&r) != 0;
	out->record = reader_bytes(&r, reader_u16(&r));
	return !r.failed;
}

void message_given_encode(const struct message_given *g, struct buffer *out)
{
	buffer_u8(out, MESSAGE_VERSION);
	buffer_u8(out, (uint8_t)g->result);
	if (g->result != GIVEN)
		return;
	device_encode(&g->device, out);
	span32_encode(g->luggage, out);
}

bool message_given_decode(struct span body, struct message_given *out)
{
	struct reader r = reader_of(body);

	*out = (struct message_given){0};
	if (!begins(&r))
		return false;
	out->result = (enum given)reader_u8(&r);
	if (out->result == GIVEN_NOT || out->result == GIVEN_UNKNOWN)
		return !r.failed;
	if (out->result != GIVEN || !device_decode(&r, &out->device))
		return false;
	out->luggage = span32_decode(&r);
	return !r.failed;
}

void message_lost_encode(const struct message_lost *l, struct buffer *out)
{
	buffer_u8(out, MESSAGE_VERSION);
	key_encode(l->key, out);
	buffer_uint(out, l->gen, 4);
}

bool message_lost_decode(struct span body, struct message_lost *out)
{
	struct reader r = reader_of(body);

	if (!begins(&r) || !key_decode(&r, &out->key))
		return false;
	out->gen = reader_u32(&r);
	return !r.failed;
}

void message_datagram_encode(const struct message_datagram *d, struct buffer *out)
{
	buffer_u8(out, MESSAGE_VERSION);
	buffer_u8(out, d->dtls);
	buffer_u8(out, d->place.listener);
	buffer_u8(out, d->place.family);
	buffer_bytes(out, span_of(d->place.ip, sizeof(d->place.ip)));
	buffer_uint(out, d->place.scope, 4);
	buffer_uint(out, d->place.port, 2);
	buffer_uint(out, d->datagram.len, 2);
	buffer_bytes(out, d->datagram);
}

bool message_datagram_decode(struct span body, struct message_datagram *out)
{
	struct reader r = reader_of(body);
	struct span ip;

	*out = (struct message_datagram){0};
	if (!begins(&r))
		return false;
	out->dtls = reader_u8(&r) != 0;
	out->place.listener = reader_u8(&r);
	out->place.family = reader_u8(&r);
	ip = reader_bytes(&r, sizeof(out->place.ip));
	if (ip.len)
		memcpy(out->place.ip, ip.data, ip.len);
	out->place.scope = reader_u32(&r);
	out->place.port = reader_u16(&r);
	out->datagram = reader_bytes(&r, reader_u16(&r));
	return !r.failed && (out->place.family == 4 || out->place.family == 6);
}

void message_changed_encode(const struct message_changed *c, struct buffer *out)
{
	buffer_u8(out, MESSAGE_VERSION);
	buffer_u8(out, c->kind);
	span32_encode(c->name, out);
}

bool message_changed_decode(struct span body, struct message_changed *out)
{
	struct reader r = reader_of(body);

	if (!begins(&r))
		return false;
	out->kind = reader_u8(&r);
	out->name = span32_decode(&r);
	return !r.failed && out->name.len <= STORE_NAME_MAX;
}
