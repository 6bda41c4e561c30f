/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Device management from the northbound side (LwM2M Core 1.1.1, 6.3): one table of operations, one path from
 * request to answer. An operation ends exactly once: answered, rejected, timed out or cancelled; whoever
 * asked is told, unless nobody asks any more. Observations that are issued again after a Register are
 * operations for which nobody asks.
 */

#include <errno.h>
#include <stdio.h>

#include "lwm2m/core.h"

struct operation_def {
	uint8_t method;
	uint8_t success;
	uint8_t min_depth, max_depth;
	bool accepts; /* asks for a Content-Format */
	bool writes;  /* carries records */
};

static const struct operation_def operations[] = {
	[LWM2M_READ] = {COAP_GET, COAP_CONTENT, 1, 4, true, false},
	[LWM2M_DISCOVER] = {COAP_GET, COAP_CONTENT, 1, 3, false, false},
	[LWM2M_WRITE] = {COAP_PUT, COAP_CHANGED, 2, 4, false, true},
	[LWM2M_WRITE_PARTIAL] = {COAP_POST, COAP_CHANGED, 2, 3, false, true},
	[LWM2M_WRITE_ATTRIBUTES] = {COAP_PUT, COAP_CHANGED, 1, 4, false, false},
	[LWM2M_EXECUTE] = {COAP_POST, COAP_CHANGED, 3, 3, false, false},
	[LWM2M_CREATE] = {COAP_POST, COAP_CREATED, 1, 1, false, true},
	[LWM2M_DELETE] = {COAP_DELETE, COAP_DELETED, 2, 2, false, false},
	[LWM2M_OBSERVE] = {COAP_GET, COAP_CONTENT, 1, 4, true, false},
	[LWM2M_CANCEL_OBSERVE] = {COAP_GET, COAP_CONTENT, 1, 4, true, false},
};

/* What goes into the message beside what `struct operation` keeps. */
struct content {
	uint16_t format;
	struct span payload;
	struct span query;
};

static coap_done operation_done;

/* ---- life of an operation ---- */

static struct operation *operation_new(struct device *d, enum lwm2m_operation kind, const struct path *path,
				       lwm2m_done *done, void *ctx)
{
	struct lwm2m_server *s = d->server;
	struct operation *op = pool_take(&s->operations);

	if (!op)
		return NULL;
	op->device = d;
	op->kind = kind;
	op->path = *path;
	op->done = done;
	op->ctx = ctx;
	op->accept = COAP_FORMAT_NONE;
	op->ticket = ++s->next_ticket;
	if (map_insert(&s->tickets, (uint32_t)op->ticket, op) < 0) {
		pool_give(&s->operations, op);
		return NULL;
	}
	list_append(&d->operations, &op->node);
	return op;
}

/* Lets go of everything; nobody is told. */
static void operation_free(struct operation *op)
{
	struct lwm2m_server *s = op->device->server;

	if (op->exchange)
		coap_cancel(&s->coap, op->exchange, server_now(s));
	if (op->effect)
		op->effect->operation = NULL;
	timer_cancel(s->timers, &op->timeout);
	map_remove(&s->tickets, (uint32_t)op->ticket, op);
	list_remove(&op->node);
	free(op->payload);
	pool_give(&s->operations, op);
}

void operation_finish(struct operation *op, const struct lwm2m_answer *answer)
{
	lwm2m_done *done = op->done;
	void *ctx = op->ctx;
	struct blob *payload = op->payload;

	op->payload = NULL; /* the answer may point into it */
	operation_free(op);
	if (done)
		done(ctx, answer);
	free(payload);
}

static void finish_without_answer(struct operation *op, enum lwm2m_outcome outcome, const char *error)
{
	operation_finish(
		op, &(struct lwm2m_answer){.outcome = outcome, .format = COAP_FORMAT_NONE, .error = error});
}

void operations_cancel(struct device *d, const char *why)
{
	list_for_each_safe (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (!op->effect) /* what waits for a write is told by it */
			finish_without_answer(op, LWM2M_CANCELLED, why);
	}
}

void operation_settled(struct operation *op, bool stored)
{
	struct device *d = op->device;
	bool reissued = !op->done && op->kind == LWM2M_OBSERVE;

	op->effect = NULL;
	if (stored)
		operation_finish(op, &(struct lwm2m_answer){.outcome = LWM2M_ANSWERED,
							    .code = op->code,
							    .format = op->format,
							    .payload = blob_span(op->payload)});
	else
		finish_without_answer(op, LWM2M_NOT_STORED, "the answer came but could not be stored");
	if (reissued && stored)
		device_reissue(d);
}

static void operation_expired(struct timer *t, uint64_t now_ms)
{
	struct operation *op = container_of(t, struct operation, timeout);

	(void)now_ms;
	op->device->server->stats.request_timeouts++;
	finish_without_answer(op, LWM2M_TIMEOUT, "no answer in time");
}

/* ---- sending ---- */

static int add_target(struct coap_message *m, const struct operation *op, const char *path_text)
{
	struct registration r;
	int err = 0;

	if (device_latest(op->device, &r) && r.root.len > 0)
		err = coap_add_segments(m, COAP_OPTION_URI_PATH, r.root);
	if (!err)
		err = coap_add_segments(m, COAP_OPTION_URI_PATH, span_str(path_text));
	return err;
}

static int add_options(struct coap_message *m, const struct operation *op, const struct content *content)
{
	int err = 0;

	if (op->kind == LWM2M_OBSERVE || op->kind == LWM2M_CANCEL_OBSERVE)
		err = coap_add_uint(m, COAP_OPTION_OBSERVE, op->kind == LWM2M_CANCEL_OBSERVE);
	if (!err && op->accept != COAP_FORMAT_NONE)
		err = coap_add_uint(m, COAP_OPTION_ACCEPT, op->accept);
	if (!err && content->format != COAP_FORMAT_NONE)
		err = coap_add_uint(m, COAP_OPTION_CONTENT_FORMAT, content->format);
	if (!err && content->query.len > 0)
		err = coap_add_segments(m, COAP_OPTION_URI_QUERY, content->query);
	return err;
}

static int operation_send(struct operation *op, const struct content *content)
{
	struct device *d = op->device;
	struct coap_message m;
	char path[PATH_TEXT];
	int err;

	coap_message_init(&m, COAP_CON, operations[op->kind].method, 0, op->token);
	err = add_target(&m, op, path_format(&op->path, path));
	if (!err)
		err = add_options(&m, op, content);
	m.payload = content->payload;
	if (!err)
		err = coap_start(&d->server->coap, &d->peer, &m, server_now(d->server), operation_done, op,
				 &op->exchange);
	return err;
}

/* ---- answers ---- */

static struct lwm2m_answer answer_of(const struct coap_message *m)
{
	return (struct lwm2m_answer){
		.outcome = LWM2M_ANSWERED,
		.code = m->code,
		.format = coap_format(m, COAP_OPTION_CONTENT_FORMAT),
		.payload = m->payload,
	};
}

/* "3303/1" from the Location-Path options; what lies before the object (an alternate path) is left out. */
static bool join_location(const struct operation *op, const struct coap_message *m, char *text, size_t size,
			  struct span *out)
{
	struct writer w = writer_of(text, size);
	char object[8];
	bool below = false;

	snprintf(object, sizeof(object), "%u", op->path.ids[0]);
	for (const struct coap_option *o = coap_find(m, COAP_OPTION_LOCATION_PATH); o;
	     o = coap_find_next(m, o)) {
		below = below || span_is(coap_value(o), object);
		if (!below)
			continue;
		if (writer_len(&w) > 0)
			writer_u8(&w, '/');
		writer_bytes(&w, coap_value(o));
	}
	*out = writer_span(&w);
	return !w.failed;
}

/* Keeps the answer until its effect is stored. False if memory is out. */
static bool keep_answer(struct operation *op, const struct coap_message *m)
{
	op->code = m->code;
	op->format = coap_format(m, COAP_OPTION_CONTENT_FORMAT);
	op->payload = blob_copy(m->payload);
	return op->payload != NULL;
}

static void cancel_answered(struct operation *op, const struct coap_message *m)
{
	struct effect *e = keep_answer(op, m) ? effect_new(op->device, NULL) : NULL;

	if (!e) {
		operation_settled(op, false);
		return;
	}
	e->operation = op;
	op->effect = e;
	observe_forget(op->device, &op->path, OBSERVATION_CANCELLED, m->code, e);
}

/* True if the answer has an effect of ours which must be stored first. */
static bool answer_has_effect(struct operation *op, const struct coap_message *m)
{
	bool observed = coap_find(m, COAP_OPTION_OBSERVE) != NULL;

	if (op->kind == LWM2M_CANCEL_OBSERVE && coap_class(m->code) == 2) {
		cancel_answered(op, m);
		return true;
	}
	if (op->kind != LWM2M_OBSERVE || (op->done && (m->code != COAP_CONTENT || !observed)))
		return false;
	if (!keep_answer(op, m))
		operation_settled(op, false);
	else
		observe_answered(op, m, m->code == COAP_CONTENT && observed);
	return true;
}

static void operation_answered(struct operation *op, const struct coap_message *m)
{
	const struct operation_def *def = &operations[op->kind];
	struct lwm2m_answer answer = answer_of(m);
	char location[128];

	device_heard(op->device);
	if (m->code == COAP_NOT_ACCEPTABLE && op->accept_chosen) {
		op->accept = COAP_FORMAT_NONE;
		op->accept_chosen = false;
		if (operation_send(op, &(struct content){.format = COAP_FORMAT_NONE}) == 0)
			return;
	}
	if (answer_has_effect(op, m))
		return;
	if (coap_class(m->code) == 2 && m->code != def->success) {
		answer.outcome = LWM2M_INVALID;
		answer.error = "the device answered with a code that does not belong to this operation";
	} else if (op->kind == LWM2M_CREATE && coap_class(m->code) == 2 &&
		   !join_location(op, m, location, sizeof(location), &answer.location)) {
		answer.outcome = LWM2M_INVALID;
		answer.error = "the device answered with a location that is too long";
	} else if (op->kind == LWM2M_OBSERVE && m->code == COAP_CONTENT) {
		answer.error = "the device answered without observing";
	}
	operation_finish(op, &answer);
}

static void operation_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
			   uint64_t now_ms)
{
	struct operation *op = ctx;

	(void)now_ms;
	op->exchange = NULL;
	switch (outcome) {
	case COAP_RESPONSE:
		operation_answered(op, response);
		return;
	case COAP_RESET:
		finish_without_answer(op, LWM2M_REJECTED, "the device sent a reset message");
		return;
	case COAP_ACKNOWLEDGED:
	case COAP_TIMEOUT_NO_ACK:
	case COAP_TIMEOUT_NO_RESPONSE:
		op->device->server->stats.request_timeouts++;
		finish_without_answer(op, LWM2M_TIMEOUT, "no answer after all retransmissions");
		return;
	}
}

/* ---- asking ---- */

static int refuse(enum lwm2m_refusal why, const char *words, char error[160])
{
	snprintf(error, 160, "%s", words);
	return (int)why;
}

static bool find_by_path(const struct device *d, const struct path *path, struct observation *o,
			 size_t *count)
{
	struct registration r;
	bool found = false;

	*count = 0;
	if (!device_latest(d, &r))
		return false;
	for (struct span left = r.observations; !found && observation_next(&left, o); ++*count)
		found = path_compare(&o->path, path) == 0;
	return found;
}

static int check_request(const struct lwm2m_request *r, char error[160])
{
	const struct operation_def *def = &operations[r->operation];
	char buffer[160];
	const char *wrong = NULL;

	if (r->path.depth < def->min_depth || r->path.depth > def->max_depth)
		return refuse(LWM2M_REFUSED_PATH, "this operation does not work on a path of this depth",
			      error);
	if (r->operation == LWM2M_EXECUTE && (wrong = arguments_check(r->arguments)))
		return refuse(LWM2M_REFUSED_ARGUMENTS, wrong, error);
	if (r->operation == LWM2M_WRITE_ATTRIBUTES &&
	    (wrong = attributes_check(r->arguments, &r->path, buffer)))
		return refuse(LWM2M_REFUSED_ATTRIBUTES, wrong, error);
	return 0;
}

/* Observe and both its ends are about one token: the new one, or that of the observation. */
static int choose_token(struct device *d, struct operation *op, char error[160])
{
	struct observation o;
	size_t count;
	bool found;

	if (op->kind != LWM2M_OBSERVE && op->kind != LWM2M_CANCEL_OBSERVE) {
		op->token = device_new_token(d, false);
		return 0;
	}
	found = find_by_path(d, &op->path, &o, &count);
	if (op->kind == LWM2M_CANCEL_OBSERVE) {
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

static void choose_accept_of(struct device *d, struct operation *op, const struct lwm2m_request *r)
{
	struct registration reg;

	if (op->kind == LWM2M_DISCOVER) {
		op->accept = FORMAT_LINK;
	} else if (operations[op->kind].accepts && op->kind != LWM2M_CANCEL_OBSERVE) {
		if (r->format != FORMAT_NONE)
			op->accept = r->format;
		else if (device_latest(d, &reg))
			op->accept = choose_accept(&reg);
		op->accept_chosen = r->format == FORMAT_NONE && op->accept != COAP_FORMAT_NONE;
	}
}

static int encode_records(struct device *d, const struct lwm2m_request *r, struct content *content,
			  struct buffer *out, char error[160])
{
	struct lwm2m_server *s = d->server;
	struct declared_object declared[64];
	struct registration reg;
	struct model model;
	struct codec_context c = {
		.model = &model, .base = r->path, .now_ms = server_wall(s), .arena = &s->arena};
	int err;

	device_registration(d, &reg);
	model = registration_model(&reg, s->registry, declared, ARRAY_SIZE(declared));
	content->format = r->format != FORMAT_NONE
				  ? r->format
				  : choose_write(&reg, &r->path, r->records, r->record_count);
	if (r->operation == LWM2M_CREATE && r->instance == PATH_ID_NONE) {
		/* Without an instance id only TLV can say what is to be created: its resources alone. */
		if (r->format == FORMAT_NONE)
			content->format = FORMAT_TLV;
		if (r->record_count > 0)
			c.base = path_up_to(r->records[0].path, PATH_INSTANCE);
	}
	arena_reset(&s->arena);
	err = codec_encode(&c, content->format, r->records, r->record_count, out);
	if (err < 0)
		return refuse(LWM2M_REFUSED_PAYLOAD, "the content is too large for one message", error);
	if (err > 0)
		return refuse(LWM2M_REFUSED_PAYLOAD,
			      c.error[0] ? c.error : "this content cannot be written in this format", error);
	content->payload = buffer_span(out);
	return 0;
}

static int start_refusal(int err, char error[160])
{
	if (err == -EMSGSIZE || err == -ENOSPC)
		return refuse(LWM2M_REFUSED_PAYLOAD, "the content is too large for one message", error);
	if (err == -EAGAIN || err == -ENOBUFS)
		return refuse(LWM2M_REFUSED_BUSY, "too many requests wait", error);
	return err;
}

int lwm2m_request(struct lwm2m_server *s, struct device *d, const struct lwm2m_request *r, lwm2m_done *done,
		  void *ctx, uint64_t *ticket, char error[160])
{
	_cleanup_buffer_ struct buffer payload = buffer_of(COAP_MESSAGE_MAX);
	struct content content = {.format = COAP_FORMAT_NONE, .query = span_of(NULL, 0)};
	struct operation *op;
	int err = check_request(r, error);

	if (!err && operations[r->operation].writes)
		err = encode_records(d, r, &content, &payload, error);
	if (err)
		return err;
	if (r->operation == LWM2M_EXECUTE && r->arguments.len > 0)
		content = (struct content){.format = FORMAT_TEXT, .payload = r->arguments};
	else if (r->operation == LWM2M_WRITE_ATTRIBUTES)
		content.query = r->arguments;
	op = operation_new(d, r->operation, &r->path, done, ctx);
	if (!op)
		return refuse(LWM2M_REFUSED_BUSY, "too many requests are in work", error);
	err = choose_token(d, op, error);
	if (!err) {
		choose_accept_of(d, op, r);
		err = start_refusal(operation_send(op, &content), error);
	}
	if (err) {
		operation_free(op);
		return err;
	}
	timer_set(s->timers, &op->timeout, server_now(s) + r->timeout_ms, operation_expired);
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
}

/* An operation that only waits for a write. */
static int start_effect(struct device *d, enum lwm2m_operation kind, const struct path *path,
			lwm2m_done *done, void *ctx, struct effect **out)
{
	struct effect *e = effect_new(d, NULL);
	struct operation *op = e ? operation_new(d, kind, path, done, ctx) : NULL;

	if (!op) {
		if (e)
			pool_give(&d->server->effects, e);
		return -ENOMEM;
	}
	op->effect = e;
	op->format = COAP_FORMAT_NONE;
	e->operation = op;
	*out = e;
	return 0;
}

int lwm2m_forget_observation(struct lwm2m_server *s, struct device *d, const struct path *path,
			     lwm2m_done *done, void *ctx)
{
	struct observation o;
	struct effect *e;
	size_t count;
	int err;

	(void)s;
	if (!find_by_path(d, path, &o, &count)) {
		done(ctx, &(struct lwm2m_answer){.outcome = LWM2M_ANSWERED, .format = COAP_FORMAT_NONE});
		return 0;
	}
	err = start_effect(d, LWM2M_CANCEL_OBSERVE, path, done, ctx, &e);
	if (!err)
		observe_forget(d, path, OBSERVATION_CANCELLED, 0, e);
	return err;
}

int lwm2m_remove(struct lwm2m_server *s, struct device *d, lwm2m_done *done, void *ctx)
{
	struct effect *e;
	int err = start_effect(d, LWM2M_DELETE, &(struct path){0}, done, ctx, &e);

	(void)s;
	if (!err)
		device_end_registration(d, DEREGISTERED_BY_API, false, e);
	return err;
}

/* ---- observations after a Register ---- */

static bool is_reissuing(const struct device *d)
{
	list_for_each (node, &d->operations)
		if (!container_of(node, struct operation, node)->done)
			return true;
	return false;
}

void device_reissue(struct device *d)
{
	struct registration r;
	struct observation o;
	struct operation *op;

	if (is_reissuing(d) || !device_latest(d, &r) || !r.present)
		return;
	for (struct span left = r.observations; observation_next(&left, &o);) {
		if (o.issued || o.refused)
			continue;
		op = operation_new(d, LWM2M_OBSERVE, &o.path, NULL, NULL);
		if (!op)
			return; /* tried again at its next Update */
		op->token = device_new_token(d, true);
		op->accept = o.accept;
		if (operation_send(op, &(struct content){.format = COAP_FORMAT_NONE}) < 0)
			operation_free(op);
		return;
	}
}
