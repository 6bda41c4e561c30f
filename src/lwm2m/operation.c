/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * An operation on a device, from its first message to its end. It ends exactly once: answered, rejected,
 * timed out or cancelled; whoever asked is told, unless nobody asks any more. Nobody asked for observations
 * that are issued again after a Register, and for the rest of a notification that came in blocks; they are
 * operations all the same.
 */

#include "lwm2m/core.h"

#include <errno.h>
#include <stdio.h>

struct message_def {
	uint8_t method;
	uint8_t success;
};

static const struct message_def messages[] = {
	[LWM2M_READ] = {COAP_GET, COAP_CONTENT},
	[LWM2M_DISCOVER] = {COAP_GET, COAP_CONTENT},
	[LWM2M_WRITE] = {COAP_PUT, COAP_CHANGED},
	[LWM2M_WRITE_PARTIAL] = {COAP_POST, COAP_CHANGED},
	[LWM2M_WRITE_ATTRIBUTES] = {COAP_PUT, COAP_CHANGED},
	[LWM2M_EXECUTE] = {COAP_POST, COAP_CHANGED},
	[LWM2M_CREATE] = {COAP_POST, COAP_CREATED},
	[LWM2M_DELETE] = {COAP_DELETE, COAP_DELETED},
	[LWM2M_OBSERVE] = {COAP_GET, COAP_CONTENT},
	[LWM2M_CANCEL_OBSERVE] = {COAP_GET, COAP_CONTENT},
	[LWM2M_READ_COMPOSITE] = {COAP_FETCH, COAP_CONTENT},
	[LWM2M_WRITE_COMPOSITE] = {COAP_IPATCH, COAP_CHANGED},
	[LWM2M_OBSERVE_COMPOSITE] = {COAP_FETCH, COAP_CONTENT},
	[LWM2M_CANCEL_COMPOSITE] = {COAP_FETCH, COAP_CONTENT},
};

bool operation_is_observe(const struct operation *op)
{
	return op->kind == LWM2M_OBSERVE || op->kind == LWM2M_OBSERVE_COMPOSITE;
}

bool operation_is_cancel(const struct operation *op)
{
	return op->kind == LWM2M_CANCEL_OBSERVE || op->kind == LWM2M_CANCEL_COMPOSITE;
}

/* ---- life ---- */

struct operation *operation_new(struct device *d, enum lwm2m_operation kind, lwm2m_done *done, void *ctx)
{
	struct lwm2m_server *s = d->server;
	struct operation *op = d->forgotten ? NULL : pool_take(&s->operations);

	if (!op)
		return NULL;
	op->device = d;
	op->kind = kind;
	op->done = done;
	op->ctx = ctx;
	op->accept = op->format = op->path_format = op->out.format = COAP_FORMAT_NONE;
	op->ticket = ++s->next_ticket;
	if (map_insert(&s->tickets, (uint32_t)op->ticket, op) < 0) {
		pool_give(&s->operations, op);
		return NULL;
	}
	list_append(&d->operations, &op->node);
	return op;
}

void operation_free(struct operation *op)
{
	struct lwm2m_server *s = op->device->server;

	if (op->exchange)
		coap_cancel(&s->coap, op->exchange, server_now(s));
	if (op->effect)
		op->effect->operation = NULL;
	if (op->adding)
		queue_abandon(op);
	timer_cancel(s->timers, &op->timeout);
	map_remove(&s->tickets, (uint32_t)op->ticket, op);
	list_remove(&op->node);
	operation_release(op);
	pool_give(&s->operations, op);
}

void operation_release(struct operation *op)
{
	buffer_deinit(&op->in.body);
	coap_upload_deinit(&op->out.body);
	free(op->out.query);
	free(op->paths);
	free(op->payload);
	free(op->spare);
}

static void reissue_next(struct device *d);

/* The attributes of what is observed next were answered to. */
static bool goes_before_observe(const struct operation *op, const struct lwm2m_answer *answer)
{
	return op->purpose == PURPOSE_REISSUE && op->kind == LWM2M_WRITE_ATTRIBUTES &&
	       answer->outcome == LWM2M_ANSWERED;
}

bool operation_is_repeatable(enum lwm2m_operation kind)
{
	return kind != LWM2M_EXECUTE && kind != LWM2M_CREATE && kind != LWM2M_WRITE_PARTIAL &&
	       kind != LWM2M_WRITE_COMPOSITE;
}

void operation_finish(struct operation *op, const struct lwm2m_answer *answer)
{
	struct lwm2m_server *s = op->device->server;
	lwm2m_done *done = op->done;
	void *ctx = op->ctx;
	const struct lwm2m_origin origin = op->origin;
	struct device *observe_next = goes_before_observe(op, answer) ? op->device : NULL;
	struct operation kept = {.in.body = op->in.body,
				 .payload = op->payload}; /* the answer may point into them */

	/* While its effect is being written nothing is acknowledged: the device asks again, and finds it
	 * stored or not. */
	if (op->ack_due && !op->effect && answer->outcome != LWM2M_NOT_STORED &&
	    answer->outcome != LWM2M_UNKNOWN) {
		coap_ack(&s->coap, &op->ack_to, op->ack_mid);
		coap_note_acked(&op->device->peer, op->ack_mid, server_now(s));
	}
	op->in.body = buffer_of(0);
	op->payload = NULL;
	operation_free(op);
	if (answer->outcome == LWM2M_TIMEOUT)
		s->stats.request_timeouts++;
	if (done)
		done(ctx, answer);
	else if (origin.ticket)
		s->host.answer(s->host.ctx, &origin, answer);
	operation_release(&kept);
	if (observe_next)
		reissue_next(observe_next);
}

/* It sleeps already: what may be sent twice waits until it wakes (lwm2m.md, Q2). */
static bool wait_for_waking(struct operation *op)
{
	struct lwm2m_server *s = op->device->server;
	char error[160];

	device_falls_asleep(op->device);
	if (!op->spare)
		return false;
	if (op->exchange)
		coap_cancel(&s->coap, op->exchange, server_now(s));
	op->exchange = NULL;
	timer_cancel(s->timers, &op->timeout);
	return queue_add(op, error) == 0;
}

void operation_end(struct operation *op, enum lwm2m_outcome outcome, const char *error)
{
	if (outcome == LWM2M_TIMEOUT && op->device->sleeps && !op->effect && wait_for_waking(op))
		return;
	if (op->purpose == PURPOSE_NOTIFICATION)
		notification_completed(op, NULL);
	operation_finish(
		op, &(struct lwm2m_answer){.outcome = outcome, .format = COAP_FORMAT_NONE, .error = error});
}

void operations_cancel(struct device *d, const char *why)
{
	list_for_each_safe (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (!op->effect && !op->adding) /* what waits for a write is told by it */
			operation_end(op, LWM2M_CANCELLED, why);
	}
}

void operation_settled(struct operation *op, bool stored)
{
	struct device *d = op->device;
	bool reissued = op->purpose == PURPOSE_REISSUE;

	op->effect = NULL;
	if (stored)
		operation_finish(op, &(struct lwm2m_answer){.outcome = LWM2M_ANSWERED,
							    .code = op->code,
							    .format = op->format,
							    .payload = blob_span(op->payload)});
	else
		operation_end(op, LWM2M_NOT_STORED, "the answer came but could not be stored");
	if (reissued && stored)
		device_reissue(d);
}

/* Without an Accept the device answers in a format of its own (D4). */
static bool send_without_accept(struct operation *op)
{
	op->accept = COAP_FORMAT_NONE;
	op->accept_chosen = false;
	op->bare = true;
	return operation_send(op) == 0;
}

void operation_expired(struct timer *t, uint64_t now_ms)
{
	struct operation *op = container_of(t, struct operation, timeout);
	struct lwm2m_server *s = op->device->server;
	uint64_t spare_ms = op->spare_ms;

	op->spare_ms = 0;
	if (spare_ms > 0 && op->exchange && !op->in.blocks) {
		coap_cancel(&s->coap, op->exchange, now_ms);
		op->exchange = NULL;
		timer_set(s->timers, t, now_ms + spare_ms, operation_expired);
		if (send_without_accept(op))
			return;
	}
	if (op->purpose == PURPOSE_QUEUED && queue_goes_on(op, now_ms))
		return;
	operation_end(op, LWM2M_TIMEOUT, "no answer in time");
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

/* Observe belongs to the first message only; what is fetched after it is no observation of its own (RFC
 * 7959, 2.6). */
static bool has_observe(const struct operation *op)
{
	return (operation_is_observe(op) || operation_is_cancel(op)) && !op->in.blocks;
}

static int add_options(struct coap_message *m, const struct operation *op)
{
	int err = 0;

	if (has_observe(op))
		err = coap_add_uint(m, COAP_OPTION_OBSERVE, operation_is_cancel(op));
	if (!err && op->accept != COAP_FORMAT_NONE)
		err = coap_add_uint(m, COAP_OPTION_ACCEPT, op->accept);
	if (!err && op->out.format != COAP_FORMAT_NONE)
		err = coap_add_uint(m, COAP_OPTION_CONTENT_FORMAT, op->out.format);
	if (!err && op->out.query)
		err = coap_add_segments(m, COAP_OPTION_URI_QUERY, blob_span(op->out.query));
	return err;
}

int operation_send(struct operation *op)
{
	struct device *d = op->device;
	bool own_token = operation_is_observe(op) && op->in.blocks;
	struct coap_message m;
	char path[PATH_TEXT];
	int err;

	coap_message_init(&m, COAP_CON, messages[op->kind].method, 0,
			  own_token ? device_new_token(d, false) : op->token);
	err = add_target(&m, op, path_format(&op->path, path));
	if (!err)
		err = add_options(&m, op);
	if (!err)
		err = transfer_fill(op, &m);
	if (!err)
		err = coap_start(&d->server->coap, &d->peer, &m, server_now(d->server), operation_done, op,
				 &op->exchange);
	if (!err && operation_is_observe(op))
		coap_leave_ack(op->exchange);
	return err;
}

/* ---- answers ---- */

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
	struct observation target = operation_target(op);

	if (!e) {
		operation_settled(op, false);
		return;
	}
	e->operation = op;
	op->effect = e;
	observe_forget(op->device, &target, OBSERVATION_CANCELLED, m->code, e);
}

/* True if the answer has an effect of ours which must be stored first. */
static bool answer_has_effect(struct operation *op, const struct coap_message *m)
{
	bool observed = m->code == COAP_CONTENT && op->observed;

	if (op->purpose == PURPOSE_NOTIFICATION) {
		notification_completed(op, m);
		operation_finish(op, &(struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
		return true;
	}
	if (operation_is_cancel(op) && coap_class(m->code) == 2) {
		cancel_answered(op, m);
		return true;
	}
	if (!operation_is_observe(op) || (op->purpose != PURPOSE_REISSUE && !observed))
		return false;
	if (!keep_answer(op, m))
		operation_settled(op, false);
	else
		observe_answered(op, m, observed);
	return true;
}

/* The complete answer is there. */
static void operation_answered(struct operation *op, const struct coap_message *m)
{
	struct lwm2m_answer answer = {
		.outcome = LWM2M_ANSWERED,
		.code = m->code,
		.format = coap_format(m, COAP_OPTION_CONTENT_FORMAT),
		.payload = m->payload,
	};
	char location[128];

	if (answer_has_effect(op, m))
		return;
	if (coap_class(m->code) == 2 && m->code != messages[op->kind].success) {
		answer.outcome = LWM2M_INVALID;
		answer.error = "the device answered with a code that does not belong to this operation";
	} else if (op->kind == LWM2M_CREATE && coap_class(m->code) == 2 &&
		   !join_location(op, m, location, sizeof(location), &answer.location)) {
		answer.outcome = LWM2M_INVALID;
		answer.error = "the device answered with a location that is too long";
	} else if (operation_is_observe(op) && m->code == COAP_CONTENT) {
		answer.error = "the device answered without observing";
	}
	operation_finish(op, &answer);
}

/* What is written is read back from our own message and written in the next format (D5). */
static bool rewrite(struct operation *op, uint16_t format, const struct registration *reg)
{
	_cleanup_buffer_ struct buffer body = buffer_of(LWM2M_BODY_MAX);
	struct lwm2m_server *s = op->device->server;
	struct declared_object declared[64];
	struct model model = registration_model(reg, s->registry, declared, ARRAY_SIZE(declared));
	struct codec_context c = {.model = &model,
				  .base = op->path,
				  .root = reg->root,
				  .now_ms = server_wall(s),
				  .arena = &s->arena};
	struct records records = records_of(&s->arena);

	arena_reset(&s->arena);
	if (codec_decode(&c, op->out.format, buffer_span(&op->out.body.body), &records) != CODEC_OK)
		return false;
	records_sort(&records);
	if (codec_encode(&c, format, records.items, records.count, &body) != CODEC_OK)
		return false;
	op->out.format = format;
	transfer_body(op, &body);
	return true;
}

static bool retry_in_next_format(struct operation *op)
{
	struct registration reg;
	uint16_t format = op->out.format;

	if (!device_latest(op->device, &reg))
		return false;
	while ((format = choose_next_write(&reg, &op->write_refused, format)) != COAP_FORMAT_NONE)
		if (rewrite(op, format, &reg))
			return operation_send(op) == 0;
	return false;
}

/* The device does not know the format that we chose: is there another? */
static bool retry_otherwise(struct operation *op, const struct coap_message *m)
{
	if (m->code == COAP_NOT_ACCEPTABLE && op->accept_chosen)
		return send_without_accept(op);
	if (m->code == COAP_UNSUPPORTED_CONTENT_FORMAT && op->write_chosen)
		return retry_in_next_format(op);
	return false;
}

/* Nothing is acknowledged that is not stored, and the answer to an Observe has an effect of ours. */
static void note_ack(struct operation *op, const struct coap_message *m)
{
	struct device *d = op->device;

	if (!operation_is_observe(op) || m->type != COAP_CON)
		return;
	if (op->ack_due) { /* of an earlier block */
		coap_ack(&d->server->coap, &op->ack_to, op->ack_mid);
		coap_note_acked(&d->peer, op->ack_mid, server_now(d->server));
	}
	op->ack_due = true;
	op->ack_mid = m->mid;
	op->ack_to = d->peer.address;
}

bool device_owes_ack(const struct device *d, uint16_t mid)
{
	list_for_each (node, &d->operations) {
		const struct operation *op = container_of(node, struct operation, node);

		if (op->ack_due && op->ack_mid == mid)
			return true;
	}
	return false;
}

static void response_came(struct operation *op, const struct coap_message *m)
{
	struct coap_message whole;

	note_ack(op, m);

	device_heard(op->device);
	if (retry_otherwise(op, m))
		return;
	choose_learn(op, m->code);
	if (!op->in.blocks)
		op->observed = coap_find_uint(m, COAP_OPTION_OBSERVE, &op->sequence);
	switch (transfer_take(op, m, &whole)) {
	case TRANSFER_WHOLE:
		operation_answered(op, &whole);
		break;
	case TRANSFER_NEXT:
		if (operation_send(op) < 0)
			operation_end(op, LWM2M_INVALID, "the next block could not be sent");
		break;
	case TRANSFER_BROKEN:
		operation_end(op, LWM2M_INVALID, "the blocks of the device do not fit together");
		break;
	}
}

void operation_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		    uint64_t now_ms)
{
	struct operation *op = ctx;

	(void)now_ms;
	op->exchange = NULL;
	switch (outcome) {
	case COAP_RESPONSE:
		response_came(op, response);
		return;
	case COAP_RESET:
		operation_end(op, LWM2M_REJECTED, "the device sent a reset message");
		return;
	case COAP_ACKNOWLEDGED:
	case COAP_TIMEOUT_NO_ACK:
	case COAP_TIMEOUT_NO_RESPONSE:
		operation_end(op, LWM2M_TIMEOUT, "no answer after all retransmissions");
		return;
	}
}

/* ---- observations after a Register ---- */

static bool is_reissuing(const struct device *d)
{
	list_for_each (node, &d->operations) {
		if (container_of(node, struct operation, node)->purpose == PURPOSE_REISSUE)
			return true;
	}
	return false;
}

int operation_list_paths(struct operation *op, const struct observation *o)
{
	struct path paths[LWM2M_PATHS_MAX];
	_cleanup_buffer_ struct buffer body = buffer_of(COAP_MESSAGE_MAX);
	struct span left = o->paths;
	struct registration r;
	size_t count = 0;

	if (o->paths.len == 0)
		return 0;
	while (count < ARRAY_SIZE(paths) && paths_next(&left, &paths[count]))
		count++;
	if (!device_latest(op->device, &r))
		return -ENOENT;
	op->paths = blob_copy(o->paths);
	op->path_format = op->out.format = o->path_format;
	if (!op->paths || codec_encode_paths(o->path_format, r.root, paths, count, &body) != CODEC_OK)
		return -ENOMEM;
	transfer_body(op, &body);
	return 0;
}

static int reissue(struct operation *op, const struct observation *o)
{
	struct registration r;

	op->purpose = PURPOSE_REISSUE;
	op->token = device_new_token(op->device, true);
	op->path = o->path;
	op->accept = o->accept;
	if (op->accept == COAP_FORMAT_NONE && o->origin != ORIGIN_REQUEST && device_latest(op->device, &r)) {
		op->accept = o->paths.len > 0 ? choose_composite(&r) : choose_accept(op->device, &r);
		op->accept_chosen = op->accept != COAP_FORMAT_NONE;
	}
	return operation_list_paths(op, o) < 0 ? -ENOMEM : operation_send(op);
}

static void reissue_observation(struct device *d, const struct observation *o)
{
	struct operation *op =
		operation_new(d, o->paths.len > 0 ? LWM2M_OBSERVE_COMPOSITE : LWM2M_OBSERVE, NULL, NULL);

	if (op && reissue(op, o) < 0)
		operation_free(op);
	/* What could not be sent is tried again at the next Update. */
}

/* The first that is wanted, and neither confirmed nor refused. */
static bool next_wanted(const struct device *d, struct observation *o)
{
	struct registration r;

	if (is_reissuing(d) || !device_latest(d, &r) || !r.present)
		return false;
	for (struct span left = r.observations; observation_next(&left, o);)
		if (!o->issued && !o->refused)
			return true;
	return false;
}

/* Whatever the device says of its attributes: the values are wanted all the same. */
static void reissue_next(struct device *d)
{
	struct observation o;

	if (next_wanted(d, &o))
		reissue_observation(d, &o);
}

static void write_attributes(struct device *d, const struct observation *o, struct span attributes)
{
	struct operation *op = operation_new(d, LWM2M_WRITE_ATTRIBUTES, NULL, NULL);

	if (!op)
		return;
	op->purpose = PURPOSE_REISSUE;
	op->token = device_new_token(d, false);
	op->path = o->path;
	op->out.query = blob_copy(attributes);
	if (!op->out.query || operation_send(op) < 0)
		operation_free(op);
}

void device_reissue(struct device *d)
{
	struct observation o;
	struct span attributes;

	if (d->moving || !next_wanted(d, &o) || !device_is_awake(d->server, d) || device_is_out_of_reach(d) ||
	    !policies_turn(d))
		return;
	attributes = policies_attributes(d, &o);
	if (attributes.len > 0)
		write_attributes(d, &o, attributes);
	else
		reissue_observation(d, &o);
}
