/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A look at the queue of a device, and the ends of requests.
 *
 * The hard idea: a look reads all rows and brings everything in order at once: what ran out ends, what was
 * sent before a crash and must not be sent twice ends as unknown, what is over for long goes, what waits is
 * kept in memory as far as it is worth while. What changed while the store was read makes the look worthless,
 * and it is made again; so nothing here has to reason about what a reader saw.
 *
 * An end is two writes, which leave together: the row, which names the number that the device's next write
 * will have, and that write, with the event. A store that does both in one transaction has both or none; in
 * another the number tells, after a crash between them, that the event is missing. (If one of them alone
 * fails, and the process dies before it is tried again, an event may be missing, or come twice.)
 */

#include "lwm2m/queue.h"

#include <errno.h>

enum { LOAD_BYTES = 64 * 1024 };

/* ---- ends ---- */

static void ending_free(struct ending *end)
{
	list_remove(&end->node);
	entry_free(end->entry);
	free(end->body);
	free(end);
}

static void write_first(struct queue *q);

static void ending_done(struct ending *end)
{
	struct queue *q = end->queue;
	lwm2m_cancelled_fn *done = end->done;
	void *ctx = end->ctx;

	q->live -= q->live > 0;
	q->bytes -= MIN(q->bytes, end->entry->size);
	q->ended++;
	q->server->stats.queued_ended[end->state]++;
	if (q->ended > 2 * QUEUE_ENDED_MAX)
		q->again = true;
	ending_free(end);
	write_first(q);
	if (done)
		done(ctx, LWM2M_CANCEL_DONE);
	queue_schedule(q);
	queue_settle(q);
}

/* One of its calls came back. */
static void ending_step(struct ending *end)
{
	struct queue *q = end->queue;

	if (end->pending > 0)
		return;
	if (!q->device) {
		ending_free(end);
		queue_settle(q);
	} else if (end->stored && end->told) {
		ending_done(end);
	} else {
		queue_retry(q);
	}
}

static void row_set(void *ctx, int result, const struct store_request *request)
{
	struct ending *end = ctx;
	struct queue *q = end->queue;

	(void)request;
	q->calls--;
	q->changes++;
	end->pending--;
	end->stored = result == STORE_DONE || result == STORE_ABSENT;
	ending_step(end);
}

static void event_told(struct effect *e, bool stored)
{
	struct ending *end = e->ctx;

	end->pending--;
	end->told = stored;
	ending_step(end);
}

/* Names the write that will have its event. */
static int number_ending(struct ending *end)
{
	_cleanup_buffer_ struct buffer out = buffer_of(STORE_REQUEST_MAX);
	const struct device *d = end->queue->device;
	struct queued_request r;
	struct blob *body;

	if (queued_decode(blob_span(end->body), &r) < 0)
		return -EPROTO;
	r.end.event_gen = d->hot.fence.gen;
	r.end.event_number = device_next_number(d);
	body = queued_encode(&r, &out) < 0 ? NULL : blob_copy(buffer_span(&out));
	if (!body)
		return -ENOMEM;
	free(end->body);
	end->body = body;
	return 0;
}

static void write_event(struct ending *end)
{
	struct device *d = end->queue->device;
	struct lwm2m_event event = {
		.type = EVENT_REQUEST_ENDED, .state = end->state, .request_id = entry_id(end->entry)};
	struct device_change change = {
		.change = STORE_RECORD_KEEP, .event = &event, .event_record = blob_span(end->body)};
	struct effect *e = effect_new(d, event_told);

	if (!e) {
		end->pending--;
		return;
	}
	e->ctx = end;
	d->held++; /* by whoever calls */
	device_write(d, &change, e);
	d->held--;
}

/* Whatever of it is not written yet. The two leave together, so that no other write takes the number. */
static void ending_write(struct ending *end)
{
	struct queue *q = end->queue;

	end->pending = 1; /* this */
	end->stored = false;
	if (end->told || number_ending(end) == 0) {
		if (queue_set(q, end->entry, end->state, end->keep_ms, blob_span(end->body), row_set, end) ==
		    0)
			end->pending++;
		if (!end->told) {
			end->pending++;
			write_event(end);
		}
	}
	end->pending--;
	ending_step(end);
}

/* One after the other, so that they are told in their order also if the store fails meanwhile. */
static void write_first(struct queue *q)
{
	struct ending *first = container_of(q->endings.next, struct ending, node);

	if (!list_empty(&q->endings) && first->pending == 0)
		ending_write(first);
}

void queue_retry_endings(struct queue *q)
{
	write_first(q);
}

void queue_drop_endings(struct queue *q)
{
	list_for_each_safe (node, &q->endings) {
		struct ending *end = container_of(node, struct ending, node);

		if (end->done)
			end->done(end->ctx, LWM2M_CANCEL_FAILED);
		end->done = NULL;
		if (end->pending == 0)
			ending_free(end);
	}
}

static struct blob *encode_end(struct queue *q, struct queued_request *r, const struct lwm2m_answer *answer,
			       const char *error, struct buffer *declared)
{
	_cleanup_buffer_ struct buffer out = buffer_of(STORE_REQUEST_MAX);
	struct registration reg;

	r->records = r->arguments = span_of(NULL, 0);
	r->end = (struct queued_end){.ended_ms = server_wall(q->server),
				     .format = COAP_FORMAT_NONE,
				     .lwm2m = {1, 0},
				     .error = error ? span_str(error) : span_of(NULL, 0)};
	if (answer) {
		r->end.code = answer->code;
		r->end.format = answer->format;
		r->end.payload = answer->payload;
		r->end.location = answer->location;
	}
	if (answer && device_latest(q->device, &reg)) {
		lwm2m_event_declare(&reg, &r->path, declared);
		r->end.declared = buffer_span(declared);
		r->end.root = reg.root;
		r->end.lwm2m = reg.lwm2m;
	}
	return queued_encode(r, &out) < 0 ? NULL : blob_copy(buffer_span(&out));
}

void queue_end(struct queue *q, struct entry *e, uint8_t state, const struct lwm2m_answer *answer,
	       const char *error, struct cancel *by)
{
	_cleanup_buffer_ struct buffer declared = buffer_of(STORE_REQUEST_MAX);
	struct ending *end = calloc(1, sizeof(*end));
	struct queued_request r;

	if (queued_decode(blob_span(e->body), &r) < 0)
		r = (struct queued_request){0};
	if (end) {
		end->body = encode_end(q, &r, answer, error, &declared);
		if (!end->body) {
			state = QUEUED_FAILED;
			end->body = encode_end(q, &r, NULL, "the answer is too long to be kept", &declared);
		}
	}
	if (!end || !end->body) { /* memory is out: it is as it was */
		free(end);
		list_append(q->entries.next, &e->node);
		queue_retry(q);
		return;
	}
	end->queue = q;
	end->entry = e;
	end->state = state;
	end->keep_ms = server_wall(q->server) + q->server->config.queue.keep_ms;
	if (by) {
		end->done = by->done;
		end->ctx = by->ctx;
	}
	list_append(&q->endings, &end->node);
	write_first(q);
}

/* ---- what a look found ---- */

static bool is_ending(const struct queue *q, const struct entry *e)
{
	list_for_each (node, &q->endings) {
		const struct ending *end = container_of(node, struct ending, node);

		if (span_equal(entry_id(end->entry), entry_id(e)))
			return true;
	}
	return false;
}

static struct cancel *take_cancel(struct queue *q, const struct entry *e)
{
	list_for_each (node, &q->cancels) {
		struct cancel *c = container_of(node, struct cancel, node);

		if (!span_equal(span_of(c->id, c->id_len), entry_id(e)))
			continue;
		list_remove(&c->node);
		return c;
	}
	return NULL;
}

static void answer_cancel(struct cancel *c, enum lwm2m_cancelled result)
{
	if (!c)
		return;
	c->done(c->ctx, result);
	free(c);
}

static void removed(void *ctx, int result, const struct store_request *request)
{
	struct queue *q = ctx;

	(void)result; /* the next look finds it again */
	(void)request;
	if (!queue_called_back(q))
		return;
	q->changes++;
	queue_settle(q);
}

static void remove_row(struct queue *q, struct entry *e)
{
	(void)queue_set(q, e, 0, 0, span_of(NULL, 0), removed, q);
	entry_free(e);
}

/* Its event was not written. */
static void tell_again(struct queue *q, struct entry *e)
{
	struct ending *end = calloc(1, sizeof(*end));

	if (!end) {
		entry_free(e);
		return;
	}
	end->queue = q;
	end->entry = e;
	end->body = e->body;
	end->state = e->state;
	end->keep_ms = e->deadline_ms;
	e->body = NULL;
	q->live++; /* until it is told */
	q->bytes += e->size;
	list_append(&q->endings, &end->node);
	write_first(q);
}

struct tally {
	struct list over; /* those that are kept, in order */
	size_t over_bytes, loaded;
};

static bool is_in_work(const struct queue *q, const struct entry *e)
{
	return is_ending(q, e) || (q->current && span_equal(entry_id(q->current), entry_id(e)));
}

/* It counts until its end is written, whatever its row says by now. */
static void count_in_work(struct queue *q, struct entry *e)
{
	answer_cancel(take_cancel(q, e), LWM2M_CANCEL_LATE);
	q->live++;
	q->bytes += e->size;
	entry_free(e);
}

static void sort_over(struct queue *q, struct tally *t, struct entry *e)
{
	answer_cancel(take_cancel(q, e), LWM2M_CANCEL_LATE);
	if (e->body) {
		tell_again(q, e);
	} else if (e->deadline_ms <= server_wall(q->server)) {
		remove_row(q, e);
	} else {
		q->ended++;
		t->over_bytes += e->size;
		list_append(&t->over, &e->node);
	}
}

static void sort_live(struct queue *q, struct tally *t, struct entry *e)
{
	struct cancel *by = take_cancel(q, e);
	struct queued_request r;

	q->live++;
	q->bytes += e->size;
	if (queued_decode(blob_span(e->body), &r) < 0) {
		queue_end(q, e, QUEUED_FAILED, NULL, "the request cannot be read", NULL);
		answer_cancel(by, LWM2M_CANCEL_LATE);
	} else if (e->state == QUEUED_SENT && !operation_is_repeatable(r.operation)) {
		queue_end(q, e, QUEUED_UNKNOWN, NULL,
			  "the server stopped while it was sent; the device may have acted, and is not asked "
			  "twice",
			  NULL);
		answer_cancel(by, LWM2M_CANCEL_LATE);
	} else if (by && e->state == QUEUED_WAITING) {
		queue_end(q, e, QUEUED_CANCELLED, NULL, NULL, by);
		free(by);
	} else if (e->deadline_ms <= server_wall(q->server)) {
		answer_cancel(by, LWM2M_CANCEL_LATE);
		queue_end(q, e, QUEUED_EXPIRED, NULL, "it waited for as long as it may", NULL);
	} else {
		answer_cancel(by, LWM2M_CANCEL_LATE);
		q->deadline_ms = MIN(q->deadline_ms, e->deadline_ms);
		q->more = q->more || (t->loaded > 0 && t->loaded + e->size > LOAD_BYTES);
		t->loaded += e->size;
		if (q->more)
			entry_free(e);
		else
			list_append(&q->entries, &e->node);
	}
}

/* The oldest of those that are over go first. */
static void trim_over(struct queue *q, struct tally *t)
{
	struct list *node;

	while ((node = list_take_first(&t->over))) {
		struct entry *e = container_of(node, struct entry, node);

		if (q->ended <= QUEUE_ENDED_MAX && t->over_bytes <= QUEUE_ENDED_BYTES) {
			entry_free(e);
			continue;
		}
		q->ended--;
		t->over_bytes -= e->size;
		remove_row(q, e);
	}
}

static void sort_seen(struct queue *q)
{
	struct tally t = {0};
	struct list *node;

	list_init(&t.over);
	queue_forget_entries(q);
	q->more = false;
	q->live = q->ended = 0;
	q->bytes = 0;
	q->deadline_ms = UINT64_MAX;
	q->calls++; /* nothing below frees it */
	while ((node = list_take_first(&q->seen))) {
		struct entry *e = container_of(node, struct entry, node);

		if (is_in_work(q, e))
			count_in_work(q, e);
		else if (queued_is_over(e->state))
			sort_over(q, &t, e);
		else
			sort_live(q, &t, e);
	}
	trim_over(q, &t);
	while ((node = list_take_first(&q->cancels)))
		answer_cancel(container_of(node, struct cancel, node), LWM2M_CANCEL_ABSENT);
	q->calls--;
}

/* ---- the look ---- */

/* A row that is over needs its body only if its event is missing: whoever wrote the row died before it wrote
 * the event, which then has a number above all that were stored when the device came here. */
static bool is_told(const struct queue *q, const struct store_request *request)
{
	const struct device *d = q->device;
	struct queued_request r;

	return queued_decode(request->body, &r) < 0 ||
	       r.end.event_number <=
		       (r.end.event_gen == d->hot.fence.gen ? d->number_stored : d->number_taken);
}

static void see(struct queue *q, const struct store_request *request)
{
	struct entry *e = calloc(1, sizeof(*e));
	bool over = queued_is_over(request->state);

	if (!e) {
		q->look_failed = true;
		return;
	}
	e->state = request->state;
	e->deadline_ms = request->deadline_ms;
	e->size = request->body.len;
	e->id_len = (uint8_t)MIN(request->id.len, sizeof(e->id));
	memcpy(e->id, request->id.data, e->id_len);
	if (!over || (!is_ending(q, e) && !is_told(q, request))) {
		e->body = blob_copy(request->body);
		q->look_failed = q->look_failed || !e->body;
	}
	list_append(&q->seen, &e->node);
}

static void drop_seen(struct queue *q)
{
	struct list *node;

	while ((node = list_take_first(&q->seen)))
		entry_free(container_of(node, struct entry, node));
}

static void look_ended(struct queue *q, int result)
{
	q->looking = false;
	q->server->queues.looking--;
	if (result < 0 || q->look_failed) {
		struct list *node;

		drop_seen(q);
		while ((node = list_take_first(&q->cancels)))
			answer_cancel(container_of(node, struct cancel, node), LWM2M_CANCEL_FAILED);
		q->again = true;
		queue_retry(q);
		return;
	}
	if (q->changes != q->look_changes) {
		drop_seen(q);
		q->again = true;
	} else {
		sort_seen(q);
	}
	queue_schedule(q);
	queue_settle(q);
}

static void looked(void *ctx, int result, const struct store_request *request)
{
	struct queue *q = ctx;

	if (result == STORE_DONE && q->device) {
		see(q, request);
	} else if (result != STORE_DONE) {
		if (!q->device)
			q->server->queues.looking--;
		if (queue_called_back(q))
			look_ended(q, result == STORE_ABSENT ? 0 : result);
	}
}

void queue_look(struct queue *q)
{
	struct lwm2m_server *s = q->server;
	int err;

	if (q->device->moving) /* it is looked at where it stays */
		return;
	q->looking = true;
	q->look_failed = q->again = false;
	q->device->queue_unknown = false;
	q->look_changes = q->changes;
	s->queues.looking++;
	q->calls++;
	err = s->host.queue->list(s->host.ctx, queue_key(q), looked, q);
	if (err) {
		q->calls--;
		look_ended(q, err);
	}
}
