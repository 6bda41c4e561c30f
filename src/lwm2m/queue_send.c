/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A request from the queue, from its mark to its answer (lwm2m.md, Q3; architecture, rule 10).
 *
 * The hard idea: it is written as sent, with its token, before it leaves. So whoever finds it so after a
 * crash knows that the device may have acted, and only what may be done twice is sent again; with the same
 * token, so that the answer to either is an answer. Message ids are not kept: those after a restart lie
 * elsewhere, and no device would take ours for a copy.
 */

#include "lwm2m/queue.h"

#include <errno.h>

static lwm2m_done request_ended;

static bool can_send(const struct queue *q)
{
	const struct device *d = q->device;

	return !d->moving && device_is_registered(d) && device_is_awake(q->server, d) &&
	       !device_is_out_of_reach(d);
}

/* ---- from what is stored to an operation ---- */

static int decode_paths(struct span encoded, struct path paths[LWM2M_PATHS_MAX], size_t *count)
{
	*count = 0;
	while (*count < LWM2M_PATHS_MAX && paths_next(&encoded, &paths[*count]))
		++*count;
	return encoded.len ? -EPROTO : 0;
}

static int prepare(struct operation *op, const struct queued_request *q, char error[160])
{
	_cleanup_arena_ struct arena arena;
	struct path paths[LWM2M_PATHS_MAX];
	struct lwm2m_request r = {
		.operation = q->operation,
		.path = q->path,
		.format = q->format,
		.path_format = q->path_format,
		.instance = q->instance,
		.arguments = q->arguments,
		.paths = paths,
	};
	struct records records;
	int err = decode_paths(q->paths, paths, &r.path_count);

	arena_init(&arena, LWM2M_BODY_MAX);
	records = records_of(&arena);
	if (!err && q->records.len > 0)
		err = queued_records_decode(q->records, &records);
	if (err)
		return err;
	r.records = records.items;
	r.record_count = records.count;
	op->purpose = PURPOSE_QUEUED;
	err = operation_prepare(op, &r, error);
	if (!err && q->token.len > 0 && !operation_is_observe(op) && !operation_is_cancel(op) &&
	    !coap_token_in_use(&op->device->server->coap, &q->token))
		op->token = q->token;
	return err;
}

/* ---- its end, or not ---- */

static void put_back(struct queue *q)
{
	struct entry *e = q->current;

	q->current = NULL;
	q->phase = QUEUE_IDLE;
	e->state = QUEUED_WAITING;
	list_append(q->entries.next, &e->node); /* in front */
}

static void requeued(void *ctx, int result, const struct store_request *request)
{
	struct queue *q = ctx;

	(void)result; /* found as sent it is sent again, too */
	(void)request;
	if (!queue_called_back(q))
		return;
	q->changes++;
	queue_settle(q);
}

/* It is sent again when the device wakes. */
static void requeue(struct queue *q)
{
	struct entry *e = q->current;

	put_back(q);
	(void)queue_set(q, e, QUEUED_WAITING, e->deadline_ms, span_of(NULL, 0), requeued, q);
}

static void end_current(struct queue *q, uint8_t state, const struct lwm2m_answer *answer, const char *error)
{
	struct entry *e = q->current;

	q->current = NULL;
	q->phase = QUEUE_IDLE;
	queue_end(q, e, state, answer, error, NULL);
}

/* No answer came: may it be sent once more? */
static void unanswered(struct queue *q)
{
	struct queued_request r;

	if (queued_decode(blob_span(q->current->body), &r) < 0)
		end_current(q, QUEUED_FAILED, NULL, "the request cannot be read");
	else if (!operation_is_repeatable(r.operation))
		end_current(q, QUEUED_UNKNOWN, NULL,
			    "no answer came; the device may have acted, and is not asked twice");
	else if (r.attempts >= q->server->config.queue.attempts_max)
		end_current(q, QUEUED_FAILED, NULL, "no answer came, as often as it was sent");
	else
		requeue(q);
}

static void request_ended(void *ctx, const struct lwm2m_answer *answer)
{
	struct queue *q = ctx;

	q->op = NULL;
	if (q->phase == QUEUE_MARKING)
		return; /* it was not sent; goes on when the mark is written */
	switch (answer->outcome) {
	case LWM2M_ANSWERED:
		end_current(q, QUEUED_ANSWERED, answer, answer->error);
		break;
	case LWM2M_TIMEOUT:
	case LWM2M_CANCELLED:
	case LWM2M_UNKNOWN:
		unanswered(q);
		break;
	case LWM2M_NOT_STORED: /* an observation, which the device is asked for once more */
		requeue(q);
		queue_retry(q);
		return;
	case LWM2M_REJECTED:
	case LWM2M_INVALID:
	case LWM2M_QUEUED:
		end_current(q, QUEUED_FAILED, NULL, answer->error);
		break;
	}
	queue_schedule(q);
	queue_settle(q);
}

bool queue_goes_on(struct operation *op, uint64_t now_ms)
{
	struct device *d = op->device;
	uint64_t until_ms = (uint64_t)d->heard_s * 1000 + d->server->config.awake_ms;
	uint64_t wall_ms = server_wall(d->server);

	if (!op->exchange || until_ms <= wall_ms)
		return false;
	timer_set(d->server->timers, &op->timeout, now_ms + until_ms - wall_ms, operation_expired);
	return true;
}

/* ---- marked, then sent ---- */

static void back_out(struct queue *q)
{
	if (q->op)
		operation_free(q->op);
	q->op = NULL;
	requeue(q);
	queue_retry(q);
}

static void send_marked(struct queue *q)
{
	char error[160];

	q->phase = QUEUE_SENT;
	if (!q->op) { /* the device registered anew meanwhile */
		requeue(q);
		queue_schedule(q);
		queue_settle(q);
		return;
	}
	q->server->stats.queued_sent++;
	if (operation_begin(q->op, MAX(q->server->config.awake_ms, 1000), error) != 0)
		back_out(q);
}

static void marked(void *ctx, int result, const struct store_request *request)
{
	struct queue *q = ctx;

	(void)request;
	if (!queue_called_back(q))
		return;
	q->changes++;
	if (result == STORE_DONE) {
		send_marked(q);
		return;
	}
	if (q->op)
		operation_free(q->op);
	q->op = NULL;
	put_back(q);
	if (result == STORE_ABSENT) /* somebody took it back */
		q->again = true;
	if (result == STORE_ABSENT)
		queue_schedule(q);
	else
		queue_retry(q);
	queue_settle(q);
}

/* Writes it as sent. 0, or -errno: nothing happened. */
static int mark(struct queue *q, struct entry *e, struct queued_request *r)
{
	_cleanup_buffer_ struct buffer out = buffer_of(STORE_REQUEST_MAX);
	struct blob *body;
	int err;

	r->attempts++;
	r->token = q->op->token;
	err = queued_encode(r, &out);
	body = err ? NULL : blob_copy(buffer_span(&out));
	if (!body)
		return -ENOMEM;
	err = queue_set(q, e, QUEUED_SENT, e->deadline_ms, blob_span(body), marked, q);
	if (err) {
		free(body);
		return err;
	}
	free(e->body);
	e->body = body;
	e->state = QUEUED_SENT;
	return 0;
}

static bool begin(struct queue *q, struct entry *e)
{
	struct queued_request r;
	char error[160] = "the request cannot be read";
	int err = queued_decode(blob_span(e->body), &r);

	q->op = err ? NULL : operation_new(q->device, r.operation, request_ended, q);
	if (!err && !q->op) {
		queue_retry(q);
		return false;
	}
	if (!err)
		err = prepare(q->op, &r, error);
	if (!err)
		err = mark(q, e, &r);
	if (!err) {
		list_remove(&e->node);
		q->current = e;
		q->phase = QUEUE_MARKING;
		return true;
	}
	if (q->op)
		operation_free(q->op);
	q->op = NULL;
	if (err == LWM2M_REFUSED_BUSY || (err < 0 && err != -EPROTO)) {
		queue_retry(q);
		return false;
	}
	list_remove(&e->node);
	queue_end(q, e, QUEUED_FAILED, NULL, error, NULL);
	queue_schedule(q);
	return false;
}

bool queue_step(struct queue *q)
{
	struct entry *e;

	if (q->current || q->looking || q->retry_ms)
		return false;
	if (!can_send(q)) {
		queue_forget_entries(q);
		queue_settle(q);
		return false;
	}
	if (list_empty(&q->entries)) {
		q->again = q->more;
		if (q->more)
			queue_schedule(q);
		else
			queue_settle(q);
		return false;
	}
	e = container_of(q->entries.next, struct entry, node);
	if (server_wall(q->server) < e->deadline_ms)
		return begin(q, e);
	list_remove(&e->node);
	queue_end(q, e, QUEUED_EXPIRED, NULL, "it waited for as long as it may", NULL);
	queue_schedule(q);
	return false;
}

/* ---- a request that is under way when its device moves ---- */

bool queue_export(const struct operation *op, struct span *id, uint64_t *deadline_ms, struct span *body)
{
	const struct queue *q = op->device->queue;

	if (op->purpose != PURPOSE_QUEUED || !q || q->op != op || !q->current)
		return false;
	*id = entry_id(q->current);
	*deadline_ms = q->current->deadline_ms;
	*body = blob_span(q->current->body);
	return true;
}

int queue_import(struct operation *op, struct span id, uint64_t deadline_ms, struct span body)
{
	struct queue *q = queue_of(op->device);
	struct entry *e = q && !q->current ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return q && q->current ? -EEXIST : -ENOMEM;
	e->body = blob_copy(body);
	if (!e->body) {
		entry_free(e);
		return -ENOMEM;
	}
	e->size = body.len;
	e->state = QUEUED_SENT;
	e->deadline_ms = deadline_ms;
	e->id_len = (uint8_t)id.len;
	memcpy(e->id, id.data, id.len);
	q->current = e;
	q->op = op;
	q->phase = QUEUE_SENT;
	q->live++;
	q->bytes += e->size;
	op->done = request_ended;
	op->ctx = q;
	return 0;
}
