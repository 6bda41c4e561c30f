/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What the northbound side asks for: one table says what an operation needs, everything is checked and
 * encoded before the first byte is sent.
 */

#include "lwm2m/core.h"

#include <errno.h>
#include <stdio.h>

struct request_def {
	uint8_t min_depth, max_depth;
	bool accepts; /* asks for a Content-Format */
	bool writes;  /* carries records */
	bool lists;   /* carries a list of paths */
};

static const struct request_def definitions[] = {
	[LWM2M_READ] = {1, 4, true, false, false},
	[LWM2M_DISCOVER] = {1, 3, false, false, false},
	[LWM2M_WRITE] = {2, 4, false, true, false},
	[LWM2M_WRITE_PARTIAL] = {2, 3, false, true, false},
	[LWM2M_WRITE_ATTRIBUTES] = {1, 4, false, false, false},
	[LWM2M_EXECUTE] = {3, 3, false, false, false},
	[LWM2M_CREATE] = {1, 1, false, true, false},
	[LWM2M_DELETE] = {2, 2, false, false, false},
	[LWM2M_OBSERVE] = {1, 4, true, false, false},
	[LWM2M_CANCEL_OBSERVE] = {1, 4, false, false, false},
	[LWM2M_READ_COMPOSITE] = {0, 0, true, false, true},
	[LWM2M_WRITE_COMPOSITE] = {0, 0, false, true, false},
	[LWM2M_OBSERVE_COMPOSITE] = {0, 0, true, false, true},
	[LWM2M_CANCEL_COMPOSITE] = {0, 0, false, false, true},
};

static int refuse(enum lwm2m_refusal why, const char *words, char error[160])
{
	snprintf(error, 160, "%s", words);
	return (int)why;
}

static int check_request(const struct lwm2m_request *r, char error[160])
{
	const struct request_def *def = &definitions[r->operation];
	char buffer[160];
	const char *wrong = NULL;

	if (r->path.depth < def->min_depth || r->path.depth > def->max_depth)
		return refuse(LWM2M_REFUSED_PATH, "this operation does not work on a path of this depth",
			      error);
	if (def->lists && (r->path_count == 0 || r->path_count > LWM2M_PATHS_MAX))
		return refuse(LWM2M_REFUSED_PATH, "a composite takes 1 to 64 paths", error);
	if (r->operation == LWM2M_EXECUTE && (wrong = arguments_check(r->arguments)))
		return refuse(LWM2M_REFUSED_ARGUMENTS, wrong, error);
	if (r->operation == LWM2M_WRITE_ATTRIBUTES &&
	    (wrong = attributes_check(r->arguments, &r->path, buffer)))
		return refuse(LWM2M_REFUSED_ATTRIBUTES, wrong, error);
	return 0;
}

/* ---- what is sent ---- */

static uint16_t write_format(struct operation *op, const struct registration *reg,
			     const struct lwm2m_request *r)
{
	if (r->format != FORMAT_NONE)
		return r->format;
	/* Without an instance id only TLV can say what is to be created: its resources alone. */
	if (r->operation == LWM2M_CREATE && r->instance == PATH_ID_NONE)
		return FORMAT_TLV;
	if (r->operation == LWM2M_WRITE_COMPOSITE)
		return choose_composite(reg);
	op->single = r->record_count == 1 && r->path.depth >= PATH_RESOURCE;
	op->write_chosen = r->operation != LWM2M_CREATE;
	return choose_write(op->device, reg, &r->path, r->records, r->record_count);
}

static int encode_records(struct operation *op, const struct registration *reg, const struct lwm2m_request *r,
			  char error[160])
{
	_cleanup_buffer_ struct buffer body = buffer_of(LWM2M_BODY_MAX);
	struct lwm2m_server *s = op->device->server;
	struct declared_object declared[64];
	struct model model = registration_model(reg, s->registry, declared, ARRAY_SIZE(declared));
	struct codec_context c = {.model = &model,
				  .base = r->path,
				  .root = reg->root,
				  .any_path = r->operation == LWM2M_WRITE_COMPOSITE,
				  .now_ms = server_wall(s),
				  .arena = &s->arena};
	int err;

	if (r->operation == LWM2M_CREATE && r->instance == PATH_ID_NONE && r->record_count > 0)
		c.base = path_up_to(r->records[0].path, PATH_INSTANCE);
	op->out.format = write_format(op, reg, r);
	arena_reset(&s->arena);
	err = codec_encode(&c, op->out.format, r->records, r->record_count, &body);
	if (err < 0)
		return refuse(LWM2M_REFUSED_PAYLOAD, "the content is too large", error);
	if (err > 0)
		return refuse(LWM2M_REFUSED_PAYLOAD,
			      c.error[0] ? c.error : "this content cannot be written in this format", error);
	transfer_body(op, &body);
	return 0;
}

static int encode_paths(struct operation *op, const struct registration *reg, const struct lwm2m_request *r,
			char error[160])
{
	/* One message: a device that answers in blocks is sent the list again with each. */
	_cleanup_buffer_ struct buffer body = buffer_of(coap_block_size(COAP_SZX_MAX));
	_cleanup_buffer_ struct buffer list = buffer_of(COAP_MESSAGE_MAX);
	int err;

	op->path_format = op->out.format =
		r->path_format != FORMAT_NONE ? r->path_format : choose_composite(reg);
	err = codec_encode_paths(op->path_format, reg->root, r->paths, r->path_count, &body);
	if (err < 0)
		return refuse(LWM2M_REFUSED_PAYLOAD, "the list of paths is too long for one message", error);
	if (err > 0)
		return refuse(LWM2M_REFUSED_PAYLOAD, "paths can be listed in SENML_JSON and SENML_CBOR only",
			      error);
	paths_encode(r->paths, r->path_count, &list);
	transfer_body(op, &body);
	op->paths = blob_copy(buffer_span(&list));
	return op->paths ? 0 : -ENOMEM;
}

static int encode_content(struct operation *op, const struct registration *reg, const struct lwm2m_request *r,
			  char error[160])
{
	_cleanup_buffer_ struct buffer arguments = buffer_of(r->arguments.len);
	const struct request_def *def = &definitions[r->operation];

	if (def->writes)
		return encode_records(op, reg, r, error);
	if (def->lists)
		return encode_paths(op, reg, r, error);
	if (r->operation == LWM2M_EXECUTE && r->arguments.len > 0) {
		op->out.format = FORMAT_TEXT;
		buffer_bytes(&arguments, r->arguments);
		if (arguments.failed)
			return -ENOMEM;
		transfer_body(op, &arguments);
		return 0;
	}
	if (r->operation == LWM2M_WRITE_ATTRIBUTES) {
		op->out.query = blob_copy(r->arguments);
		return op->out.query ? 0 : -ENOMEM;
	}
	return 0;
}

static void choose_accept_of(struct operation *op, const struct registration *reg,
			     const struct lwm2m_request *r)
{
	if (op->kind == LWM2M_DISCOVER) {
		op->accept = FORMAT_LINK;
		return;
	}
	if (!definitions[op->kind].accepts)
		return;
	op->accept = r->format != FORMAT_NONE	   ? r->format
		     : definitions[op->kind].lists ? choose_composite(reg)
						   : choose_accept(op->device, reg);
	op->accept_chosen = r->format == FORMAT_NONE && op->accept != COAP_FORMAT_NONE;
}

/* ---- which observation ---- */

struct observation operation_target(const struct operation *op)
{
	return (struct observation){.token = op->token,
				    .path = op->path,
				    .paths = blob_span(op->paths),
				    .path_format = op->path_format,
				    .accept = op->accept};
}

static bool find_target(const struct device *d, const struct observation *target, struct observation *o,
			size_t *count)
{
	struct registration r;
	bool found = false;

	*count = 0;
	if (!device_latest(d, &r))
		return false;
	for (struct span left = r.observations; !found && observation_next(&left, o); ++*count)
		found = observation_same_target(o, target);
	return found;
}

/* Observe and both its ends are about one token: the new one, or that of the observation. */
static int choose_token(struct operation *op, char error[160])
{
	struct device *d = op->device;
	struct observation target = operation_target(op), o;
	size_t count;
	bool found;

	if (!operation_is_observe(op) && !operation_is_cancel(op)) {
		op->token = device_new_token(d, false);
		return 0;
	}
	found = find_target(d, &target, &o, &count);
	if (operation_is_cancel(op)) {
		if (!found)
			return refuse(LWM2M_REFUSED_NO_OBSERVATION, "there is no observation on this path",
				      error);
		if (coap_token_in_use(&d->server->coap, &o.token))
			return refuse(LWM2M_REFUSED_BUSY, "this observation is being changed", error);
		op->token = o.token;
		op->accept = o.accept;
		return 0;
	}
	if (!found && count >= REGISTRATION_OBSERVATIONS_MAX)
		return refuse(LWM2M_REFUSED_LIMIT, "the device has as many observations as are allowed",
			      error);
	op->token = device_new_token(d, true);
	return 0;
}

/* ---- asking ---- */

static int send_refusal(int err, char error[160])
{
	if (err == -EMSGSIZE || err == -ENOSPC)
		return refuse(LWM2M_REFUSED_PAYLOAD, "the request is too large for one message", error);
	if (err == -EAGAIN || err == -ENOBUFS)
		return refuse(LWM2M_REFUSED_BUSY, "too many requests wait", error);
	return err;
}

int operation_prepare(struct operation *op, const struct lwm2m_request *r, char error[160])
{
	struct registration reg;
	int err = check_request(r, error);

	if (err)
		return err;
	device_registration(op->device, &reg);
	op->path = r->path;
	choose_accept_of(op, &reg, r);
	err = encode_content(op, &reg, r, error);
	return err ? err : choose_token(op, error);
}

int operation_begin(struct operation *op, uint64_t timeout_ms, char error[160])
{
	struct device *d = op->device;
	struct lwm2m_server *s = d->server;
	int err;

	/* A device is always the DTLS client. */
	if (device_is_out_of_reach(d))
		return refuse(LWM2M_REFUSED_UNREACHABLE,
			      "there is no DTLS session with the device, and only the device can begin one",
			      error);
	err = send_refusal(operation_send(op), error);
	if (err)
		return err;
	/* Half of the time for an Accept that this device never answered; then once more without (D4). */
	op->spare_ms = op->accept_chosen && d->good_read != op->accept ? timeout_ms / 2 : 0;
	timer_set(s->timers, &op->timeout, server_now(s) + timeout_ms - op->spare_ms, operation_expired);
	return 0;
}

/* The request as it is queued: now, or if the device turns out to sleep. */
static int keep_request(struct operation *op, const struct lwm2m_request *r, bool due, char error[160])
{
	const struct device *d = op->device;

	if (due ||
	    (d->sleeps && r->ttl_ms > 0 && queue_is_on(d->server) && operation_is_repeatable(op->kind)))
		op->spare = queue_encode(d->server, r);
	if (due && !op->spare)
		return refuse(LWM2M_REFUSED_PAYLOAD, "the request is too large to be queued", error);
	return 0;
}

int lwm2m_request(struct lwm2m_server *s, struct device *d, const struct lwm2m_request *r, lwm2m_done *done,
		  void *ctx, uint64_t *ticket, char error[160])
{
	struct registration reg;
	struct operation *op;
	bool due;
	int err = check_request(r, error);

	if (err)
		return err;
	if (d->moving)
		return refuse(LWM2M_REFUSED_MOVING, "the device is on its way to another node", error);
	op = operation_new(d, r->operation, done, ctx);
	if (!op)
		return refuse(LWM2M_REFUSED_BUSY, "too many requests are in work", error);
	device_registration(d, &reg);
	due = queue_is_due(d, &reg, r);
	err = operation_prepare(op, r, error);
	if (!err)
		err = keep_request(op, r, due, error);
	if (!err)
		err = due ? queue_add(op, error) : operation_begin(op, r->timeout_ms, error);
	if (err) {
		operation_free(op);
		return err;
	}
	s->stats.requests++;
	*ticket = op->ticket;
	return 0;
}

static bool match_ticket(const void *item, const void *key)
{
	return ((const struct operation *)item)->ticket == *(const uint64_t *)key;
}

void lwm2m_request_cancel(struct lwm2m_server *s, uint64_t ticket)
{
	struct operation *op = map_find(&s->tickets, (uint32_t)ticket, match_ticket, &ticket);

	if (op)
		operation_free(op);
	else
		remote_cancel(s, ticket);
}

/* ---- what only waits for a write ---- */

struct effect *effect_for_caller(struct device *d, enum lwm2m_operation kind, lwm2m_done *done, void *ctx)
{
	struct effect *e = effect_new(d, NULL);
	struct operation *op = e ? operation_new(d, kind, done, ctx) : NULL;

	if (!op) {
		if (e)
			pool_give(&d->server->effects, e);
		return NULL;
	}
	op->effect = e;
	e->operation = op;
	return e;
}

int lwm2m_forget_observation(struct lwm2m_server *s, struct device *d, const struct path *path,
			     const struct path *paths, size_t path_count, lwm2m_done *done, void *ctx)
{
	_cleanup_buffer_ struct buffer list = buffer_of(COAP_MESSAGE_MAX);
	struct observation target = {.path = *path}, o;
	struct effect *e;
	size_t count;

	(void)s;
	if (d->moving)
		return -EAGAIN;
	paths_encode(paths, path_count, &list);
	target.paths = buffer_span(&list);
	if (list.failed || !find_target(d, &target, &o, &count)) {
		done(ctx, &(struct lwm2m_answer){.outcome = LWM2M_ANSWERED, .format = COAP_FORMAT_NONE});
		return 0;
	}
	e = effect_for_caller(d, LWM2M_CANCEL_OBSERVE, done, ctx);
	if (!e)
		return -ENOMEM;
	observe_forget(d, &target, OBSERVATION_CANCELLED, 0, e);
	return 0;
}

int lwm2m_remove(struct lwm2m_server *s, struct device *d, lwm2m_done *done, void *ctx)
{
	struct effect *e;

	(void)s;
	if (d->moving)
		return -EAGAIN;
	e = effect_for_caller(d, LWM2M_DELETE, done, ctx);
	if (!e)
		return -ENOMEM;
	device_end_registration(d, DEREGISTERED_BY_API, false, e);
	return 0;
}
