/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The server's requests (LwM2M Core 1.1.1, 6.3 and 6.4). A table by method and depth of the path leads to one
 * function per operation; each fills in a reply, which is sent at one place.
 *
 * What changes something is remembered with its answer before the answer leaves, so a retransmission is
 * answered again but does not act again. GET is answered anew: it changes nothing.
 *
 * Leaves out what these devices do not do: composites, bootstrap, and payloads in several blocks towards the
 * device (4.13 with the size that would do).
 */

#include "sim/answer.h"

#include "codec/codec.h"
#include "sim/content.h"
#include "sim/observation.h"

#include <stdio.h>

enum { BLOCK1_MORE = 8, REQUEST_MAX = 1024, DECODE_LIMIT = 64 << 10 };

struct request {
	struct device *device;
	const struct coap_message *m;
	struct path path;
	struct objects_env env;
	uint64_t now_ms;
	char name[DEVICE_NAME];
};

struct reply {
	uint8_t code;
	const char *diagnostic; /* of an error, or NULL */
	struct content content; /* of COAP_CONTENT */
	int64_t observe;	/* < 0: no option */
	bool created;		/* Location-Path: device->created_id */
};

/* ---- reading and observing ---- */

static int64_t block2_of(const struct coap_message *m)
{
	uint32_t value;

	return coap_find_uint(m, COAP_OPTION_BLOCK2, &value) ? (int64_t)value : CONTENT_NO_BLOCK;
}

static void on_get(struct request *q, struct reply *r)
{
	uint16_t accept = coap_format(q->m, COAP_OPTION_ACCEPT);
	int64_t block2 = block2_of(q->m);
	struct device *d = q->device;
	uint32_t observe;

	content_take(d, &q->path, accept, block2, q->now_ms, &r->content);
	r->code = r->content.code;
	if (r->code != COAP_CONTENT || accept == FORMAT_LINK || block2 >> 4 > 0 ||
	    !coap_find_uint(q->m, COAP_OPTION_OBSERVE, &observe))
		return;
	if (observe == 0)
		r->observe = observation_add(d, &q->m->token, &q->path, accept, r->content.number, q->now_ms);
	else
		observation_cancel(d, &q->m->token, q->now_ms);
}

/* ---- payloads ---- */

/* Decodes the payload. 0, or the code of the error with its diagnostic in `codec` and *r. */
static uint8_t decode(struct request *q, struct reply *r, struct codec_context *codec,
		      struct records *records)
{
	uint16_t format = coap_format(q->m, COAP_OPTION_CONTENT_FORMAT);
	int rc;

	if (format != COAP_FORMAT_NONE && !content_knows(q->device->sim, format))
		return COAP_UNSUPPORTED_CONTENT_FORMAT;
	rc = codec_decode(codec, format, q->m->payload, records);
	if (rc == CODEC_OK)
		return 0;
	if (rc == CODEC_UNSUPPORTED)
		return COAP_UNSUPPORTED_CONTENT_FORMAT;
	r->diagnostic = rc == CODEC_MALFORMED ? "malformed payload" : NULL;
	return rc < 0 ? COAP_REQUEST_ENTITY_TOO_LARGE : COAP_BAD_REQUEST;
}

/* Calls `act` with what the payload says. */
static void with_payload(struct request *q, struct reply *r,
			 void (*act)(struct request *, struct reply *, const struct records *))
{
	_cleanup_arena_ struct arena arena;
	struct codec_context codec = {
		.model = &q->device->sim->model, .base = q->path, .now_ms = q->env.wall_ms, .arena = &arena};
	struct records records = records_of(&arena);

	arena_init(&arena, DECODE_LIMIT);
	r->code = decode(q, r, &codec, &records);
	if (r->code == 0)
		act(q, r, &records);
}

/* ---- writing ---- */

static void apply_write(struct request *q, struct reply *r, const struct records *records, bool replace)
{
	struct device *d = q->device;
	unsigned effects = 0;

	r->code = objects_write(&d->objects, &q->env, &q->path, records, replace, &effects);
	if (r->code != COAP_CHANGED)
		return;
	d->wanted |= effects & EFFECT_LIFETIME ? WANT_LIFETIME : 0;
	d->wanted |= effects & EFFECT_BINDING ? WANT_BINDING : 0;
	observation_touch(d, &q->path, q->now_ms);
	observation_reschedule(d, q->now_ms);
}

static void apply_replace(struct request *q, struct reply *r, const struct records *records)
{
	apply_write(q, r, records, true);
}

static void apply_partial(struct request *q, struct reply *r, const struct records *records)
{
	apply_write(q, r, records, false);
}

static void write_attributes(struct request *q, struct reply *r)
{
	struct device *d = q->device;

	r->code = attributes_write(&d->attributes, &q->path, q->m, objects_is_numeric(&q->env, &q->path));
	if (r->code == COAP_CHANGED)
		observation_reschedule(d, q->now_ms);
}

/* A PUT without payload and format writes attributes (Core 1.1.1, 6.3.4). */
static void on_put(struct request *q, struct reply *r)
{
	if (q->m->payload.len == 0 && !coap_find(q->m, COAP_OPTION_CONTENT_FORMAT))
		write_attributes(q, r);
	else if (q->path.depth < PATH_INSTANCE)
		r->code = COAP_METHOD_NOT_ALLOWED;
	else
		with_payload(q, r, apply_replace);
}

static void on_partial_write(struct request *q, struct reply *r)
{
	with_payload(q, r, apply_partial);
}

/* ---- executing ---- */

static void on_execute(struct request *q, struct reply *r)
{
	static const uint8_t wants[] = {
		[ACTION_NONE] = 0,
		[ACTION_DISABLE] = WANT_DISABLE,
		[ACTION_UPDATE] = WANT_UPDATE,
		[ACTION_REBOOT] = WANT_REBOOT,
		[ACTION_FACTORY_RESET] = WANT_REBOOT,
		[ACTION_RESET_ERROR] = 0,
		[ACTION_RESET_MEASURED] = 0,
	};
	uint16_t format = coap_format(q->m, COAP_OPTION_CONTENT_FORMAT);
	enum objects_action action = ACTION_NONE;

	if (format != COAP_FORMAT_NONE && format != FORMAT_TEXT) {
		r->code = COAP_UNSUPPORTED_CONTENT_FORMAT;
		return;
	}
	r->code = objects_execute(&q->device->objects, &q->env, &q->path, &action);
	if (r->code == COAP_CHANGED)
		q->device->wanted |= wants[action];
}

/* ---- instances ---- */

static void links_changed(struct request *q)
{
	const struct path object = path_up_to(q->path, PATH_OBJECT);

	q->device->wanted |= WANT_LINKS;
	observation_touch(q->device, &object, q->now_ms);
}

static void apply_create(struct request *q, struct reply *r, const struct records *records)
{
	struct device *d = q->device;

	r->code = objects_create(&d->objects, &q->env, &q->path, records, &d->created_id);
	if (r->code != COAP_CREATED)
		return;
	d->created_mid = q->m->mid;
	r->created = true;
	links_changed(q);
}

static void on_create(struct request *q, struct reply *r)
{
	with_payload(q, r, apply_create);
}

static void on_delete(struct request *q, struct reply *r)
{
	struct device *d = q->device;

	r->code = objects_delete(&d->objects, &q->env, &q->path);
	if (r->code != COAP_DELETED)
		return;
	attributes_forget(&d->attributes, &q->path);
	links_changed(q);
}

/* ---- the way in and out ---- */

static const struct {
	uint8_t method;
	uint8_t min_depth, max_depth;
	void (*handle)(struct request *q, struct reply *r);
} operations[] = {
	{COAP_GET, PATH_OBJECT, PATH_RESOURCE_INSTANCE, on_get},
	{COAP_PUT, PATH_OBJECT, PATH_RESOURCE_INSTANCE, on_put},
	{COAP_POST, PATH_OBJECT, PATH_OBJECT, on_create},
	{COAP_POST, PATH_INSTANCE, PATH_INSTANCE, on_partial_write},
	{COAP_POST, PATH_RESOURCE, PATH_RESOURCE, on_execute},
	{COAP_DELETE, PATH_INSTANCE, PATH_INSTANCE, on_delete},
};

/* False if a segment is no id, or there are too many. */
static bool path_of(const struct coap_message *m, struct path *out)
{
	uint64_t id;

	*out = (struct path){.depth = PATH_ROOT};
	for (const struct coap_option *o = coap_find(m, COAP_OPTION_URI_PATH); o; o = coap_find_next(m, o)) {
		if (out->depth == PATH_RESOURCE_INSTANCE ||
		    !span_to_uint(coap_value(o), PATH_ID_NONE - 1, &id))
			return false;
		*out = path_child(*out, (uint16_t)id);
	}
	return true;
}

/* A payload in several blocks, which these devices do not put together. */
static bool is_partial(const struct coap_message *m)
{
	uint32_t block1;

	return coap_find_uint(m, COAP_OPTION_BLOCK1, &block1) && (block1 >> 4 || block1 & BLOCK1_MORE);
}

static void dispatch(struct request *q, struct reply *r)
{
	static const uint16_t known[] = {
		COAP_OPTION_URI_HOST, COAP_OPTION_URI_PORT, COAP_OPTION_URI_PATH, COAP_OPTION_URI_QUERY,
		COAP_OPTION_ACCEPT,   COAP_OPTION_BLOCK1,   COAP_OPTION_BLOCK2,	  0};

	r->code = COAP_METHOD_NOT_ALLOWED;
	if (coap_unknown_critical(q->m, known)) {
		r->code = COAP_BAD_OPTION;
		return;
	}
	if (!path_of(q->m, &q->path)) {
		r->code = COAP_NOT_FOUND;
		return;
	}
	if (is_partial(q->m)) {
		r->code = COAP_REQUEST_ENTITY_TOO_LARGE;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (operations[i].method != q->m->code || q->path.depth < operations[i].min_depth ||
		    q->path.depth > operations[i].max_depth)
			continue;
		r->code = objects_check(&q->device->objects, &q->env, &q->path);
		if (r->code == 0)
			operations[i].handle(q, r);
		return;
	}
}

static void send_reply(struct request *q, struct reply *r)
{
	const struct coap_reply_to to = coap_reply_to(q->m, &q->device->peer.address);
	struct coap_layer *coap = &q->device->sim->coap;
	char object[8], instance[8];
	struct coap_message m;
	uint8_t etag[4];
	int rc = 0;

	coap_message_init(&m, COAP_ACK, r->code, 0, q->m->token);
	if (r->code == COAP_CONTENT && !content_attach(&r->content, &coap->key, block2_of(q->m), &m, etag))
		m.code = COAP_BAD_REQUEST;
	if (r->observe >= 0)
		rc |= coap_add_uint(&m, COAP_OPTION_OBSERVE, (uint32_t)r->observe);
	if (r->code == COAP_REQUEST_ENTITY_TOO_LARGE)
		rc |= coap_add_uint(&m, COAP_OPTION_SIZE1, REQUEST_MAX);
	else if (coap_find(q->m, COAP_OPTION_BLOCK1))
		rc |= coap_add(&m, COAP_OPTION_BLOCK1, coap_value(coap_find(q->m, COAP_OPTION_BLOCK1)));
	if (r->created) {
		snprintf(object, sizeof(object), "%u", q->path.ids[0]);
		snprintf(instance, sizeof(instance), "%u", q->device->created_id);
		rc |= coap_add(&m, COAP_OPTION_LOCATION_PATH, span_str(object));
		rc |= coap_add(&m, COAP_OPTION_LOCATION_PATH, span_str(instance));
	}
	if (r->diagnostic)
		m.payload = span_str(r->diagnostic);
	rc |= coap_reply(coap, &to, &m);
	assert(rc == 0); /* few options, and at most one block of payload */
	(void)rc;
	r->code = m.code;
}

/* Sends again what was answered to this very message. */
static void repeat(struct request *q, uint8_t code)
{
	struct reply r = {.code = code, .observe = -1};

	r.created = code == COAP_CREATED && q->device->created_mid == q->m->mid && path_of(q->m, &q->path);
	q->device->sim->stats.duplicates++;
	send_reply(q, &r);
}

void answer_request(struct device *d, const struct coap_message *request, struct span datagram,
		    uint64_t now_ms)
{
	struct request q = {.device = d, .m = request, .now_ms = now_ms};
	uint32_t now_s = (uint32_t)(sim_wall_ms(d->sim, now_ms) / 1000);
	uint32_t hash = coap_dedup_hash(&d->sim->coap.key, datagram, (struct span){NULL, 0});
	struct reply r = {.observe = -1};
	uint16_t accept = coap_format(request, COAP_OPTION_ACCEPT);
	uint8_t code;

	device_woke(d, now_ms);
	if (coap_dedup_find(&d->dedup, request->mid, hash, now_s, &code) == COAP_SEEN_ANSWERED) {
		repeat(&q, code);
		return;
	}
	q.env = content_env(d, now_ms, q.name);
	dispatch(&q, &r);
	/* Before the answer leaves: nothing may come between the effect and its memory. */
	if (request->code != COAP_GET)
		coap_dedup_add(&d->dedup, request->mid, hash, now_s, r.code);
	send_reply(&q, &r);
	content_release(d, &q.path, accept, &r.content);
	d->sim->stats.requests++;
	if (coap_class(r.code) >= 4)
		d->sim->stats.refused_by_device[r.code]++;
}
