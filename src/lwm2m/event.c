/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Event bodies: small, versioned by their type number, and complete, so that whoever reads the log later
 * needs no other state. Registrations are kept as the record they were stored as.
 */

#include <errno.h>

#include "lwm2m/event.h"
#include "lwm2m/wire.h"

static void encode_registered(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	buffer_uint(out, e->seen_ms, 8);
	write_span32(out, record);
	buffer_uint(out, e->previous_seen_ms, 8);
	buffer_bytes(out, e->previous_record);
}

static int decode_registered(struct reader *r, struct lwm2m_event *e)
{
	struct span record;

	e->seen_ms = reader_u64(r);
	record = read_span32(r);
	e->previous_seen_ms = reader_u64(r);
	e->previous_record = reader_rest(r);
	if (r->failed || registration_decode(record, &e->registration) < 0)
		return -EPROTO;
	e->replaces = e->previous_record.len > 0;
	return e->replaces ? registration_decode(e->previous_record, &e->previous) : 0;
}

static void encode_updated(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	buffer_u8(out, e->update_flags);
	buffer_uint(out, e->seen_ms, 8);
	buffer_bytes(out, record);
}

static int decode_updated(struct reader *r, struct lwm2m_event *e)
{
	e->update_flags = reader_u8(r);
	e->seen_ms = reader_u64(r);
	return registration_decode(reader_rest(r), &e->registration);
}

static void encode_deregistered(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	buffer_u8(out, e->reason);
	buffer_uint(out, e->seen_ms, 8);
	buffer_bytes(out, record);
}

static int decode_deregistered(struct reader *r, struct lwm2m_event *e)
{
	e->reason = reader_u8(r);
	e->seen_ms = reader_u64(r);
	return registration_decode(reader_rest(r), &e->registration);
}

static void encode_notification(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	(void)record;
	write_path(out, &e->path);
	write_span32(out, e->paths);
	buffer_u8(out, e->code);
	buffer_uint(out, e->format, 2);
	write_span32(out, e->root);
	buffer_u8(out, e->lwm2m.major);
	buffer_u8(out, e->lwm2m.minor);
	write_span32(out, e->declared);
	buffer_bytes(out, e->payload);
}

static int decode_notification(struct reader *r, struct lwm2m_event *e)
{
	read_path(r, &e->path);
	e->paths = read_span32(r);
	e->code = reader_u8(r);
	e->format = reader_u16(r);
	e->root = read_span32(r);
	e->lwm2m.major = reader_u8(r);
	e->lwm2m.minor = reader_u8(r);
	e->declared = read_span32(r);
	e->payload = reader_rest(r);
	return 0;
}

static void encode_observation_ended(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	(void)record;
	write_path(out, &e->path);
	write_span32(out, e->paths);
	buffer_u8(out, e->reason);
	buffer_u8(out, e->code);
}

static int decode_observation_ended(struct reader *r, struct lwm2m_event *e)
{
	read_path(r, &e->path);
	e->paths = read_span32(r);
	e->reason = reader_u8(r);
	e->code = reader_u8(r);
	return 0;
}

/* The request as it is stored. */
static void encode_request(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	buffer_u8(out, e->state);
	buffer_u8(out, (uint8_t)e->request_id.len);
	buffer_bytes(out, e->request_id);
	buffer_bytes(out, record);
}

static int decode_request(struct reader *r, struct lwm2m_event *e)
{
	const struct queued_end *end = &e->request.end;
	int err;

	e->state = reader_u8(r);
	e->request_id = reader_bytes(r, reader_u8(r));
	err = queued_decode(reader_rest(r), &e->request);
	e->path = e->request.path;
	e->paths = e->request.paths;
	e->code = end->code;
	e->format = end->format;
	e->root = end->root;
	e->lwm2m = end->lwm2m;
	e->declared = end->declared;
	e->payload = end->payload;
	return err;
}

static void encode_nothing(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	(void)e;
	(void)record;
	(void)out;
}

static int decode_nothing(struct reader *r, struct lwm2m_event *e)
{
	(void)r;
	(void)e;
	return 0;
}

static const struct {
	void (*encode)(const struct lwm2m_event *e, struct span record, struct buffer *out);
	int (*decode)(struct reader *r, struct lwm2m_event *e);
} event_types[] = {
	[EVENT_REGISTERED] = {encode_registered, decode_registered},
	[EVENT_UPDATED] = {encode_updated, decode_updated},
	[EVENT_DEREGISTERED] = {encode_deregistered, decode_deregistered},
	[EVENT_NOTIFICATION] = {encode_notification, decode_notification},
	[EVENT_OBSERVATION_ENDED] = {encode_observation_ended, decode_observation_ended},
	[EVENT_SEND] = {encode_notification, decode_notification}, /* a notification nobody asked for */
	[EVENT_REQUEST_ENDED] = {encode_request, decode_request},
	[EVENT_AWAKE] = {encode_nothing, decode_nothing},
	[EVENT_SLEEPING] = {encode_nothing, decode_nothing},
};

int lwm2m_event_encode(const struct lwm2m_event *e, struct span record, struct buffer *out)
{
	assert(e->type > 0 && e->type < ARRAY_SIZE(event_types));
	event_types[e->type].encode(e, record, out);
	return out->failed ? -ENOSPC : 0;
}

int lwm2m_event_decode(uint8_t type, struct span endpoint, struct span body, struct lwm2m_event *out)
{
	struct reader r = reader_of(body);
	int err;

	*out = (struct lwm2m_event){.type = type, .endpoint = endpoint};
	if (type == 0 || type >= ARRAY_SIZE(event_types))
		return -EPROTO;
	err = event_types[type].decode(&r, out);
	return r.failed ? -EPROTO : err;
}

void lwm2m_event_declare(const struct registration *r, const struct path *path, struct buffer *out)
{
	struct span left = r->links;
	struct registered_link link;
	struct object_version version;

	while (registration_next_link(r, &left, &link)) {
		if ((path->depth > 0 && link.path.ids[0] != path->ids[0]) ||
		    !registered_link_version(&link, &version))
			continue;
		buffer_uint(out, link.path.ids[0], 2);
		buffer_u8(out, version.major);
		buffer_u8(out, version.minor);
	}
}

struct model lwm2m_event_model(const struct lwm2m_event *e, const struct registry *registry,
			       struct declared_object *declared, size_t max)
{
	struct reader r = reader_of(e->declared);
	size_t count = 0;

	while (count < max && reader_left(&r) >= 4) {
		declared[count].object = reader_u16(&r);
		declared[count].version.major = reader_u8(&r);
		declared[count++].version.minor = reader_u8(&r);
	}
	return (struct model){registry, e->lwm2m, declared, count};
}
