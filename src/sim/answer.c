/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The server's requests (LwM2M Core 1.1.1, 6.3 and 6.4). A table by method and depth of the path leads to one
 * function per operation; each fills in a reply, which is sent at one place.
 *
 * What changes something is remembered with its answer before the answer leaves, so a retransmission is
 * answered again but does not act again. GET and FETCH are answered anew: they change nothing. (The last
 * block of a FETCH that came in blocks is then one without those before it: 4.08, and the server begins
 * again.)
 *
 * Leaves out what these devices do not do: bootstrap.
 */

#include "sim/answer.h"

#include "codec/codec.h"
#include "sim/content.h"
#include "sim/observation.h"

#include <stdio.h>

enum { DECODE_LIMIT = 1 << 20 };

struct request {
	struct device *device;
	const struct coap_message *m;
	struct path path;
	struct span payload;		 /* of all blocks */
	struct buffer body;		 /* where it is, if it came in blocks */
	const struct coap_block *block2; /* NULL: not there */
	struct coap_block block2_storage;
	struct target target; /* of a Read, borrowed from `path` or `paths` */
	struct path paths[TARGET_PATHS_MAX];
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

typedef void operation_fn(struct request *q, struct reply *r);

/* ---- reading and observing ---- */

static void read_target(struct request *q, struct reply *r)
{
	bool later = q->block2 && q->block2->num > 0;
	struct device *d = q->device;
	uint32_t observe;

	content_take(d, &q->target, q->block2, q->now_ms, &r->content);
	r->code = r->content.code;
	if (r->code != COAP_CONTENT || q->target.accept == FORMAT_LINK || later ||
	    !coap_find_uint(q->m, COAP_OPTION_OBSERVE, &observe))
		return;
	if (observe == 0)
		r->observe = observation_add(d, &q->m->token, &q->target, r->content.number, q->now_ms);
	else
		observation_cancel(d, &q->m->token, q->now_ms);
}

static void on_get(struct request *q, struct reply *r)
{
	q->target = (struct target){
		.paths = &q->path, .count = 1, .accept = coap_format(q->m, COAP_OPTION_ACCEPT)};
	read_target(q, r);
}

/* A list of paths as the payload says it. */
static uint8_t decode_paths(struct request *q, struct reply *r)
{
	uint16_t format = coap_format(q->m, COAP_OPTION_CONTENT_FORMAT);
	_cleanup_arena_ struct arena arena;
	struct codec_context codec = {
		.model = &q->device->sim->model, .any_path = true, .now_ms = q->env.wall_ms, .arena = &arena};
	int rc;

	arena_init(&arena, DECODE_LIMIT);
	if (!content_is_composite(format))
		return COAP_UNSUPPORTED_CONTENT_FORMAT;
	rc = codec_decode_paths(&codec, format, q->payload, q->paths, ARRAY_SIZE(q->paths), &q->target.count);
	if (rc == CODEC_OK && q->target.count)
		return 0;
	r->diagnostic = rc < 0 ? "too many paths" : "malformed list of paths";
	return rc < 0 ? COAP_REQUEST_ENTITY_TOO_LARGE : COAP_BAD_REQUEST;
}

static void on_fetch(struct request *q, struct reply *r)
{
	q->target = (struct target){
		.paths = q->paths, .accept = coap_format(q->m, COAP_OPTION_ACCEPT), .composite = true};
	r->code = decode_paths(q, r);
	if (r->code == 0)
		read_target(q, r);
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
	rc = codec_decode(codec, format, q->payload, records);
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
	struct codec_context codec = {.model = &q->device->sim->model,
				      .base = q->path,
				      .any_path = q->path.depth == PATH_ROOT,
				      .now_ms = q->env.wall_ms,
				      .arena = &arena};
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
	if (q->path.depth > PATH_ROOT)
		observation_touch(d, &q->path, q->now_ms);
	for (size_t i = 0; i < records->count && q->path.depth == PATH_ROOT; i++)
		observation_touch(d, &records->items[i].path, q->now_ms);
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
	if (q->payload.len == 0 && !coap_find(q->m, COAP_OPTION_CONTENT_FORMAT))
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

/* Write-Composite: several places at once, or none of them. */
static void on_ipatch(struct request *q, struct reply *r)
{
	if (content_is_composite(coap_format(q->m, COAP_OPTION_CONTENT_FORMAT)))
		with_payload(q, r, apply_partial);
	else
		r->code = COAP_UNSUPPORTED_CONTENT_FORMAT;
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
	uint8_t since; /* minor version of LwM2M 1 */
	operation_fn *handle;
} operations[] = {
	{COAP_GET, PATH_OBJECT, PATH_RESOURCE_INSTANCE, 0, on_get},
	{COAP_PUT, PATH_OBJECT, PATH_RESOURCE_INSTANCE, 0, on_put},
	{COAP_POST, PATH_OBJECT, PATH_OBJECT, 0, on_create},
	{COAP_POST, PATH_INSTANCE, PATH_INSTANCE, 0, on_partial_write},
	{COAP_POST, PATH_RESOURCE, PATH_RESOURCE, 0, on_execute},
	{COAP_DELETE, PATH_INSTANCE, PATH_INSTANCE, 0, on_delete},
	{COAP_FETCH, PATH_ROOT, PATH_ROOT, 1, on_fetch},
	{COAP_IPATCH, PATH_ROOT, PATH_ROOT, 1, on_ipatch},
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

/* The payload, which may come in blocks. 0 when it is there, else the code of the answer. */
static uint8_t take_payload(struct request *q)
{
	static const uint8_t codes[] = {
		[COAP_ASSEMBLED] = 0,
		[COAP_ASSEMBLY_CONTINUE] = COAP_CONTINUE,
		[COAP_ASSEMBLY_INCOMPLETE] = COAP_REQUEST_ENTITY_INCOMPLETE,
		[COAP_ASSEMBLY_TOO_LARGE] = COAP_REQUEST_ENTITY_TOO_LARGE,
		[COAP_ASSEMBLY_BAD] = COAP_BAD_REQUEST,
	};
	struct device *d = q->device;
	struct coap_block b;
	uint8_t code;

	q->payload = q->m->payload;
	switch (coap_find_block(q->m, COAP_OPTION_BLOCK1, &b)) {
	case COAP_BLOCK_ABSENT:
		return 0;
	case COAP_BLOCK_BAD:
		return COAP_BAD_REQUEST;
	case COAP_BLOCK_FOUND:
		break;
	}
	code = codes[coap_assemble(&d->sim->assemblies, &d->peer.address, q->m, &b, q->now_ms, &q->body)];
	q->payload = buffer_span(&q->body);
	return code;
}

/* False for a reserved size. */
static bool take_block2(struct request *q)
{
	enum coap_block_found found = coap_find_block(q->m, COAP_OPTION_BLOCK2, &q->block2_storage);

	q->block2 = found == COAP_BLOCK_FOUND ? &q->block2_storage : NULL;
	return found != COAP_BLOCK_BAD;
}

/* What there is to do for this method at this depth; NULL: nothing. */
static operation_fn *find_operation(const struct request *q)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (operations[i].method == q->m->code && q->path.depth >= operations[i].min_depth &&
		    q->path.depth <= operations[i].max_depth &&
		    operations[i].since <= q->device->sim->model.lwm2m.minor)
			return operations[i].handle;
	return NULL;
}

static void dispatch(struct request *q, struct reply *r)
{
	static const uint16_t known[] = {
		COAP_OPTION_URI_HOST, COAP_OPTION_URI_PORT, COAP_OPTION_URI_PATH, COAP_OPTION_URI_QUERY,
		COAP_OPTION_ACCEPT,   COAP_OPTION_BLOCK1,   COAP_OPTION_BLOCK2,	  0};
	operation_fn *handle;

	r->code = COAP_METHOD_NOT_ALLOWED;
	if (coap_unknown_critical(q->m, known)) {
		r->code = COAP_BAD_OPTION;
		return;
	}
	if (!take_block2(q)) {
		r->code = COAP_BAD_REQUEST;
		return;
	}
	if (!path_of(q->m, &q->path)) {
		r->code = COAP_NOT_FOUND;
		return;
	}
	handle = find_operation(q);
	if (!handle)
		return;
	/* Before the blocks of a payload that would be for nothing. */
	r->code = objects_check(&q->device->objects, &q->env, &q->path);
	if (r->code == 0)
		r->code = take_payload(q);
	if (r->code == 0)
		handle(q, r);
}

static void send_reply(struct request *q, struct reply *r)
{
	const struct coap_reply_to to = coap_reply_to(q->m, &q->device->peer.address);
	struct coap_layer *coap = &q->device->sim->coap;
	char object[8], instance[8];
	struct coap_message m;
	uint8_t etag[COAP_BODY_ETAG];
	int rc = 0;

	coap_message_init(&m, COAP_ACK, r->code, 0, q->m->token);
	if (r->code == COAP_CONTENT && !content_attach(&r->content, &coap->key, q->block2, &m, etag))
		m.code = COAP_BAD_REQUEST;
	if (r->observe >= 0)
		rc |= coap_add_uint(&m, COAP_OPTION_OBSERVE, (uint32_t)r->observe);
	if (r->code == COAP_REQUEST_ENTITY_TOO_LARGE)
		rc |= coap_add_uint(&m, COAP_OPTION_SIZE1,
				    (uint32_t)q->device->sim->assemblies.limits.body_max);
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
	bool safe = request->code == COAP_GET || request->code == COAP_FETCH;
	uint8_t code;

	device_woke(d, now_ms);
	if (coap_dedup_find(&d->dedup, request->mid, hash, now_s, &code) == COAP_SEEN_ANSWERED) {
		repeat(&q, code);
		return;
	}
	q.env = content_env(d, now_ms, q.name);
	dispatch(&q, &r);
	/* Before the answer leaves: nothing may come between the effect and its memory. */
	if (!safe)
		coap_dedup_add(&d->dedup, request->mid, hash, now_s, r.code);
	send_reply(&q, &r);
	content_release(d, &q.target, &r.content);
	buffer_deinit(&q.body);
	d->sim->stats.requests++;
	if (coap_class(r.code) >= 4)
		d->sim->stats.refused_by_device[r.code]++;
}
