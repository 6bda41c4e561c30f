/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Requests that wait for a device in queue mode (lwm2m.md, 1.7; architecture, rule 10).
 *
 * The hard idea: the queue is in the store, where any node may add to it; what is known of it here is a guess
 * that is thrown away and read again whenever it may be wrong. A device that wakes is looked at
 * (queue_look.c), then its requests leave one at a time, each written as sent before it is (queue_send.c).
 * Looks and requests wait in two lines over all devices, so that a fleet which comes back after an outage is
 * served at a pace.
 *
 * Leaves out how a request is encoded (queued.c), and who sleeps (presence.c).
 */

#include "lwm2m/queue.h"

#include <errno.h>
#include <stdio.h>

enum { LOOKS_MAX = 32, SWEEP_MS = 100, SWEEP_STEP = 50, SWEEP_PASS = 100, CREDIT = 1000 };

static timer_fn turn_fired, sweep_fired, queue_timer_fired;

void queues_init(struct lwm2m_server *s)
{
	list_init(&s->queues.awake);
	list_init(&s->queues.looks);
	list_init(&s->queues.turns);
	s->queues.credit = CREDIT;
	s->queues.credit_ms = server_now(s);
}

void queues_deinit(struct lwm2m_server *s)
{
	timer_cancel(s->timers, &s->queues.sleep_timer);
	timer_cancel(s->timers, &s->queues.turn_timer);
	timer_cancel(s->timers, &s->queues.sweep_timer);
}

bool queue_is_on(const struct lwm2m_server *s)
{
	return s->host.queue != NULL;
}

/* ---- life ---- */

struct queue *queue_of(struct device *d)
{
	struct queue *q = d->queue;

	if (q)
		return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->server = d->server;
	q->device = d;
	q->deadline_ms = UINT64_MAX;
	list_init(&q->entries);
	list_init(&q->seen);
	list_init(&q->endings);
	list_init(&q->cancels);
	d->queue = q;
	return q;
}

void entry_free(struct entry *e)
{
	if (e)
		free(e->body);
	free(e);
}

static void entries_free(struct list *entries)
{
	struct list *node;

	while ((node = list_take_first(entries)))
		entry_free(container_of(node, struct entry, node));
}

/* They are in the store. */
void queue_forget_entries(struct queue *q)
{
	q->more = q->more || !list_empty(&q->entries);
	entries_free(&q->entries);
}

static bool is_idle(const struct queue *q)
{
	return !q->live && !q->adding && !q->current && !q->looking && !q->again && !q->calls &&
	       list_empty(&q->endings) && list_empty(&q->cancels);
}

static void queue_free(struct queue *q)
{
	timer_cancel(q->server->timers, &q->timer);
	list_remove(&q->turn);
	entries_free(&q->entries);
	entries_free(&q->seen);
	if (q->device)
		q->device->queue = NULL;
	free(q);
}

bool queue_rests(const struct device *d)
{
	return !d->queue || (!d->queue->calls && list_empty(&d->queue->endings));
}

void queue_settle(struct queue *q)
{
	struct lwm2m_server *s = q->server;
	uint64_t wall_ms, at_ms = q->retry_ms ? q->retry_ms : UINT64_MAX;

	if (q->device)
		device_rested(q->device);
	if (!q->device) {
		if (!q->calls && list_empty(&q->endings))
			queue_free(q);
		return;
	}
	if (is_idle(q) && !q->device->queue_unknown) {
		queue_free(q);
		return;
	}
	wall_ms = server_wall(s);
	if (q->deadline_ms != UINT64_MAX)
		at_ms = MIN(at_ms, server_now(s) + (q->deadline_ms > wall_ms ? q->deadline_ms - wall_ms : 0));
	if (at_ms == UINT64_MAX)
		timer_cancel(s->timers, &q->timer);
	else
		timer_set(s->timers, &q->timer, at_ms, queue_timer_fired);
}

void queue_retry(struct queue *q)
{
	q->retry_ms = server_now(q->server) + QUEUE_RETRY_MS;
	queue_settle(q);
}

static void queue_timer_fired(struct timer *t, uint64_t now_ms)
{
	struct queue *q = container_of(t, struct queue, timer);

	if (server_wall(q->server) >= q->deadline_ms) {
		q->deadline_ms = UINT64_MAX; /* the look finds it, and the next */
		q->again = true;
	}
	if (q->retry_ms && now_ms >= q->retry_ms) {
		q->retry_ms = 0;
		queue_retry_endings(q);
	}
	queue_schedule(q);
	queue_settle(q);
}

bool queue_called_back(struct queue *q)
{
	q->calls--;
	if (q->device)
		return true;
	queue_settle(q);
	return false;
}

int queue_set(struct queue *q, const struct entry *e, uint8_t state, uint64_t deadline_ms, struct span body,
	      store_request_fn *done, void *ctx)
{
	struct lwm2m_server *s = q->server;
	struct store_request r = {entry_id(e), state, deadline_ms, body};
	int err = s->host.queue->set(s->host.ctx, queue_key(q), &q->device->hot.fence, &r, done, ctx);

	if (err == 0) {
		q->calls++;
		q->changes++;
	}
	return err;
}

static void drop_cancels(struct queue *q)
{
	struct list *node;

	while ((node = list_take_first(&q->cancels))) {
		struct cancel *c = container_of(node, struct cancel, node);

		c->done(c->ctx, LWM2M_CANCEL_FAILED);
		free(c);
	}
}

void queue_detach(struct device *d)
{
	struct queue *q = d->queue;

	if (!q)
		return;
	list_for_each (node, &d->operations) {
		struct operation *op = container_of(node, struct operation, node);

		if (op->adding)
			queue_abandon(op);
		if (op == q->op)
			op->done = NULL;
	}
	timer_cancel(q->server->timers, &q->timer);
	list_remove(&q->turn);
	drop_cancels(q);
	queue_drop_endings(q);
	entry_free(q->current);
	q->current = NULL;
	q->op = NULL;
	q->device = NULL;
	d->queue = NULL;
	queue_settle(q);
}

/* ---- turns ---- */

static bool must_look(const struct queue *q)
{
	return q->again || q->device->queue_unknown || !list_empty(&q->cancels);
}

void queue_schedule(struct queue *q)
{
	struct queues *all = &q->server->queues;

	if (q->looking || list_linked(&q->turn))
		return;
	list_append(must_look(q) ? &all->looks : &all->turns, &q->turn);
	timer_set(q->server->timers, &all->turn_timer, server_now(q->server), turn_fired);
}

/* A tenth of a second's worth may leave at once. */
static void refill(struct lwm2m_server *s, uint64_t now_ms)
{
	uint64_t rate = s->config.queue.rate, most = MAX(rate * CREDIT / 10, CREDIT);

	s->queues.credit = MIN(s->queues.credit + (now_ms - s->queues.credit_ms) * rate, most);
	s->queues.credit_ms = now_ms;
}

static void turn_fired(struct timer *t, uint64_t now_ms)
{
	struct lwm2m_server *s = container_of(t, struct lwm2m_server, queues.turn_timer);
	struct list *node;

	while (s->queues.looking < LOOKS_MAX && (node = list_take_first(&s->queues.looks)))
		queue_look(container_of(node, struct queue, turn));
	refill(s, now_ms);
	while (s->queues.credit >= CREDIT && (node = list_take_first(&s->queues.turns))) {
		struct queue *q = container_of(node, struct queue, turn);

		if (must_look(q))
			queue_schedule(q);
		else if (queue_step(q))
			s->queues.credit -= CREDIT;
	}
	if (!list_empty(&s->queues.turns) && !timer_is_set(t))
		timer_set(s->timers, t, now_ms + 1 + (CREDIT - 1) / s->config.queue.rate, turn_fired);
}

void queue_wake(struct device *d)
{
	struct queue *q;

	if (!d->queue && !(d->queue_unknown && queue_is_on(d->server)))
		return;
	q = queue_of(d);
	if (q)
		queue_schedule(q);
}

void queue_note_number(struct device *d, uint16_t number)
{
	bool moved = d->queue_counted && d->queue_number != number;

	d->queue_number = number;
	d->queue_counted = true;
	if (!moved || !queue_is_on(d->server))
		return;
	d->queue_unknown = true; /* somebody else has added one */
	if (device_is_awake(d->server, d))
		queue_wake(d);
}

/* After a start: what was under way must not wait until its device wakes, and time runs out meanwhile. */
static void sweep_fired(struct timer *t, uint64_t now_ms)
{
	struct lwm2m_server *s = container_of(t, struct lwm2m_server, queues.sweep_timer);
	struct device *d = NULL;

	for (unsigned i = 0; i < SWEEP_STEP * SWEEP_PASS && (d = device_next(s, &s->queues.sweep));
	     i += d->queue_unknown ? SWEEP_PASS : 1)
		queue_wake(d);
	if (d)
		timer_set(s->timers, t, now_ms + SWEEP_MS, sweep_fired);
}

void queue_restore(struct device *d)
{
	struct lwm2m_server *s = d->server;

	if (d->queue_unknown && !timer_is_set(&s->queues.sweep_timer))
		timer_set(s->timers, &s->queues.sweep_timer, server_now(s) + SWEEP_MS, sweep_fired);
}

/* ---- adding ---- */

/* Lives until the store has called back. */
struct addition {
	struct queue *queue;
	struct operation *op; /* NULL: nobody waits */
	uint64_t expires_ms;
	size_t size;
	char id[STORE_REQUEST_ID_MAX + 1];
};

bool queue_has_some(const struct device *d)
{
	return d->queue && (d->queue->live || d->queue->adding);
}

bool queue_is_due(const struct device *d, const struct registration *reg, const struct lwm2m_request *r)
{
	if (r->ttl_ms == 0 || !queue_is_on(d->server))
		return false;
	return queue_has_some(d) || (reg->queue_mode && (d->queue_unknown || !device_is_awake(d->server, d) ||
							 device_is_out_of_reach(d)));
}

struct blob *queue_encode(const struct lwm2m_server *s, const struct lwm2m_request *r)
{
	const struct lwm2m_queue_config *config = &s->config.queue;
	_cleanup_buffer_ struct buffer out = buffer_of(STORE_REQUEST_MAX);
	_cleanup_buffer_ struct buffer paths = buffer_of(STORE_REQUEST_MAX);
	_cleanup_buffer_ struct buffer records = buffer_of(STORE_REQUEST_MAX);
	uint64_t ttl_ms = r->ttl_ms == LWM2M_TTL_DEFAULT ? config->ttl_ms : r->ttl_ms;
	struct queued_request q = {
		.operation = (uint8_t)r->operation,
		.path = r->path,
		.format = r->format,
		.path_format = r->path_format,
		.instance = r->instance,
		.arguments = r->arguments,
		.added_ms = server_wall(s),
	};

	q.expires_ms = q.added_ms + MIN(ttl_ms, config->ttl_max_ms);
	paths_encode(r->paths, r->path_count, &paths);
	if (r->record_count > 0)
		queued_records_encode(r->records, r->record_count, &records);
	q.paths = buffer_span(&paths);
	q.records = buffer_span(&records);
	if (paths.failed || records.failed || queued_encode(&q, &out) < 0)
		return NULL;
	return blob_copy(buffer_span(&out));
}

/* In the shape of a UUID; it begins with the hash of the device, so that it leads there. */
static void make_id(struct device *d, char id[STORE_REQUEST_ID_MAX + 1])
{
	uint64_t random = random_u64(d->server->random);
	uint32_t more = random_u32(d->server->random);

	snprintf(id, STORE_REQUEST_ID_MAX + 1, "%08x-%04x-4%03x-%04x-%04x%08x", d->hash,
		 (unsigned)(random & 0xFFFF), (unsigned)(random >> 16 & 0xFFF),
		 (unsigned)(random >> 32 & 0x3FFF) | 0x8000U, (unsigned)(random >> 48), more);
}

static void answer_addition(struct addition *a, int result)
{
	struct operation *op = a->op;
	struct lwm2m_answer answer = {.outcome = LWM2M_QUEUED,
				      .format = COAP_FORMAT_NONE,
				      .request_id = span_str(a->id),
				      .expires_ms = a->expires_ms};

	if (!op)
		return;
	a->op = NULL;
	op->adding = NULL;
	if (result != STORE_DONE) {
		answer.outcome = result == STORE_ABSENT ? LWM2M_CANCELLED : LWM2M_NOT_STORED;
		answer.error = result == STORE_ABSENT ? "the device left"
			       : result == STORE_REFUSED
				       ? "as many requests wait for this device as are allowed"
				       : "the request could not be queued";
	}
	operation_finish(op, &answer);
}

static void added(void *ctx, int result, const struct store_request *request)
{
	struct addition *a = ctx;
	struct queue *q = a->queue;
	bool lives = queue_called_back(q);

	(void)request;
	if (lives) {
		q->adding--;
		q->changes++;
		if (result == STORE_DONE) {
			q->server->stats.queued++;
			q->device->queue_number++;
			q->live++;
			q->bytes += a->size;
			q->deadline_ms = MIN(q->deadline_ms, a->expires_ms);
			q->more = true;
		} else if (result == STORE_REFUSED) {
			q->again = true; /* makes room of what is over */
		}
		queue_schedule(q);
		queue_settle(q);
	}
	answer_addition(a, result);
	free(a);
}

static int busy(const char *words, char error[160])
{
	snprintf(error, 160, "%s", words);
	return LWM2M_REFUSED_BUSY;
}

int queue_add(struct operation *op, char error[160])
{
	struct device *d = op->device;
	struct lwm2m_server *s = d->server;
	const struct lwm2m_queue_config *config = &s->config.queue;
	struct queue *q = queue_of(d);
	struct addition *a = calloc(1, sizeof(*a));
	struct queued_request asked;
	int err = -ENOMEM;

	if (!q || !a || queued_decode(blob_span(op->spare), &asked) < 0) {
		free(a);
		return -ENOMEM;
	}
	*a = (struct addition){q, op, asked.expires_ms, op->spare->len, ""};
	make_id(d, a->id);
	if (q->live + q->adding >= config->requests_max || q->bytes + a->size > config->bytes_max)
		err = busy("as many requests wait for this device as are allowed", error);
	else
		err = s->host.queue->add(s->host.ctx, queue_key(q),
					 &(struct store_request){span_str(a->id), QUEUED_WAITING,
								 asked.expires_ms, blob_span(op->spare)},
					 (size_t)config->requests_max + 2 * QUEUE_ENDED_MAX, added, a);
	if (err == 0) {
		q->calls++;
		q->adding++;
		q->changes++;
		op->adding = a;
		return 0;
	}
	free(a);
	queue_settle(q);
	return err < 0 ? busy("the store takes no more requests now", error) : err;
}

void queue_abandon(struct operation *op)
{
	op->adding->op = NULL;
	op->adding = NULL;
}

/* ---- by id ---- */

struct nth {
	uint32_t hash;
	unsigned *left;
};

static bool match_nth(const void *item, const void *key)
{
	const struct nth *n = key;

	return ((const struct device *)item)->hash == n->hash && (*n->left)-- == 0;
}

struct device *lwm2m_find_hash(struct lwm2m_server *s, uint32_t hash, unsigned nth)
{
	return map_find(&s->devices, hash, match_nth, &(struct nth){hash, &nth});
}

int lwm2m_queue_cancel(struct lwm2m_server *s, struct device *d, struct span id, lwm2m_cancelled_fn *done,
		       void *ctx)
{
	struct cancel *c;
	struct queue *q;

	if (!queue_is_on(s))
		return -ENOTSUP;
	q = queue_of(d);
	c = calloc(1, sizeof(*c));
	if (!q || !c) {
		free(c);
		return -ENOMEM;
	}
	c->done = done;
	c->ctx = ctx;
	c->id_len = (uint8_t)MIN(id.len, sizeof(c->id));
	memcpy(c->id, id.data, c->id_len);
	list_append(&q->cancels, &c->node);
	queue_schedule(q);
	return 0;
}
