/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Writes of a device, and what follows them.
 *
 * The hard idea: decide on the newest state, show only the stored one, acknowledge only what was called back
 * as stored. Several writes of a device may be on their way; the store does them in order. If one fails,
 * those behind it find a gap in the numbers and fail too; until the last is back nothing new is started, then
 * numbering goes on from what is stored. What was not acknowledged is sent again by the device, and is then
 * work like any other. A store that lost writes it had called back, or everything, is first given the whole
 * device as it is in memory: to changes of what it does not have it would say no for ever.
 */

#include <errno.h>

#include "lwm2m/core.h"

/* The newest state of a device whose removal is being written. */
static const struct blob gone;

struct blob *blob_copy(struct span s)
{
	struct blob *b = malloc(sizeof(*b) + s.len);

	if (!b)
		return NULL;
	b->len = (uint32_t)s.len;
	if (s.len)
		memcpy(b->bytes, s.data, s.len);
	return b;
}

struct blob *blob_encode(const struct registration *r, const struct observation *observations, size_t count)
{
	_cleanup_buffer_ struct buffer out = buffer_of(STORE_RECORD_MAX);

	if (registration_encode(r, observations, count, &out) < 0)
		return NULL;
	return blob_copy(buffer_span(&out));
}

size_t observations_list(const struct registration *r, struct observation out[REGISTRATION_OBSERVATIONS_MAX])
{
	struct span left = r->observations;
	size_t count = 0;

	while (count < REGISTRATION_OBSERVATIONS_MAX && observation_next(&left, &out[count]))
		count++;
	return count;
}

/* Repeats the short answer to a message that was answered before. */
static void answer_again(struct device *d, const struct incoming *in, uint8_t code)
{
	struct coap_reply_to to = coap_reply_to(in->m, in->from);
	struct coap_message reply;
	struct registration r;
	struct coap_block b;

	if (code == ANSWER_EMPTY_ACK) {
		coap_ack(&d->server->coap, in->from, in->m->mid);
		return;
	}
	coap_message_init(&reply, COAP_ACK, code, 0, to.token);
	if (code == COAP_CREATED && device_latest(d, &r)) {
		(void)coap_add(&reply, COAP_OPTION_LOCATION_PATH, span_str("rd"));
		(void)coap_add(&reply, COAP_OPTION_LOCATION_PATH, span_of(r.id, REGISTRATION_ID));
	}
	if (coap_find_block(in->m, COAP_OPTION_BLOCK1, &b) == COAP_BLOCK_FOUND)
		(void)coap_add_block(&reply, COAP_OPTION_BLOCK1, &b);
	(void)coap_reply(&d->server->coap, &to, &reply);
}

/* A network may double a non-confirmable message at once; the one before is all that is remembered
 * (NON_LIFETIME 145 s). */
static enum coap_seen seen_non(struct device *d, uint32_t hash, uint32_t now_s)
{
	enum { NON_LIFETIME_S = 145 };

	if (d->non_s != 0 && d->non_hash == hash && now_s - d->non_s < NON_LIFETIME_S) {
		d->server->stats.duplicates++;
		return COAP_SEEN_PENDING;
	}
	d->non_hash = hash;
	d->non_s = now_s;
	return COAP_SEEN_NEW;
}

enum coap_seen device_seen(struct device *d, const struct incoming *in)
{
	struct lwm2m_server *s = d->server;
	uint32_t now_s = (uint32_t)(server_wall(s) / 1000);
	enum coap_seen seen;
	uint8_t code;

	if (in->m->type != COAP_CON)
		return seen_non(d, in->hash, now_s);
	seen = coap_dedup_find(&d->hot.dedup, in->m->mid, in->hash, now_s, &code);
	if (seen != COAP_SEEN_NEW)
		s->stats.duplicates++;
	if (seen == COAP_SEEN_ANSWERED)
		answer_again(d, in, code);
	return seen;
}

struct effect *effect_new(struct device *d, effect_fn *settle)
{
	struct effect *e = pool_take(&d->server->effects);

	if (!e)
		return NULL;
	e->device = d;
	e->settle = settle;
	return e;
}

void effect_answers(struct effect *e, const struct incoming *in, uint8_t code)
{
	e->has_block1 = coap_find_block(in->m, COAP_OPTION_BLOCK1, &e->block1) == COAP_BLOCK_FOUND;
	e->reply = coap_reply_to(in->m, in->from);
	e->code = code;
	e->dedup = in->m->type == COAP_CON;
	if (e->dedup)
		e->dedup_hash = in->hash;
	e->secure = in->secure;
	e->record_number = in->number;
}

void effect_reply(const struct effect *e, struct coap_message *m)
{
	if (e->has_block1)
		(void)coap_add_block(m, COAP_OPTION_BLOCK1, &e->block1);
	(void)coap_reply(&e->device->server->coap, &e->reply, m);
}

void effect_reply_code(const struct effect *e)
{
	struct coap_message m;

	coap_message_init(&m, COAP_ACK, e->code, 0, e->reply.token);
	effect_reply(e, &m);
}

/* Makes the written state the stored one. */
static void effect_commit(struct effect *e)
{
	struct device *d = e->device;

	d->number_stored = MAX(d->number_stored, e->number);
	if (e->seen_ms)
		d->hot.seen_ms = e->seen_ms;
	if (e->change == STORE_RECORD_KEEP)
		return;
	device_set_record(d, e->record);
	e->record = NULL;
}

/* A tombstone of ours from before a restart: we go on above it. */
static bool is_ours(const struct lwm2m_server *s, const struct store_hot *found)
{
	return found->fence.node == s->config.fence.node &&
	       found->fence.incarnation == s->config.fence.incarnation;
}

static void note_failure(struct device *d, int result, const struct store_hot *found)
{
	struct lwm2m_server *s = d->server;
	char ep[128];

	s->stats.not_stored++;
	d->failing = true;
	if (result == STORE_BEHIND || (result == STORE_REFUSED && is_ours(s, found))) {
		/* Else only a write in front of this one failed. */
		d->behind |= result == STORE_BEHIND &&
			     (found->number != d->number_stored || found->fence.gen != d->hot.fence.gen);
		if (d->hot.fence.gen != found->fence.gen)
			d->number_taken = MAX(d->number_taken, d->number_stored);
		d->hot.fence.gen = found->fence.gen;
		d->number_stored = found->number;
		/* A bare device would forget this at once, and its retransmission fail like this one. */
		if (!d->record && !timer_is_set(&d->timer))
			timer_set(s->timers, &d->timer, server_now(s) + COAP_EXCHANGE_LIFETIME_MS,
				  device_timer_fired);
	} else if (result == STORE_REFUSED) {
		if (!d->forgotten)
			device_forget(d);
	}
	log_limited(s->log, result < 0 || d->forgotten ? LOG_ERROR : LOG_INFO, 10, "not-stored",
		    "ep=%s result=%d cause=\"%s\"", log_quote(d->endpoint, d->endpoint_len, ep, sizeof(ep)),
		    result,
		    result < 0	   ? strerror(-result)
		    : d->forgotten ? "another owner"
				   : "the store counts otherwise; its retransmission is taken");
}

static void restored(struct effect *e, bool stored)
{
	/* Else the next write that comes back says so again. */
	e->device->server->stats.restored += stored;
}

/* No event, and nothing is answered: whoever waits for more sends again. */
static void write_everything(struct device *d)
{
	struct device_change change = {.change = STORE_RECORD_PUT};
	struct effect *e;

	d->behind = false;
	change.record = d->record ? blob_copy(blob_span(d->record)) : NULL;
	e = change.record ? effect_new(d, restored) : NULL;
	if (e)
		device_write(d, &change, e);
	else
		free(change.record);
}

static void effect_settle(struct effect *e, bool stored)
{
	struct device *d = e->device;
	struct lwm2m_server *s = d->server;

	if (e->mark && d->latest == e->mark)
		d->latest = NULL;
	if (stored)
		effect_commit(e);
	else
		d->non_s = 0; /* whatever was not stored is welcome again */
	if (e->dedup)
		coap_dedup_settle(&d->hot.dedup, e->reply.mid, e->dedup_hash, stored ? e->code : 0);
	if (d->inflight == 0 && d->failing) {
		d->hot.number = d->number_stored;
		d->failing = false;
	}
	d->held++;
	if (d->inflight == 0 && d->behind)
		write_everything(d);
	e->settle(e, stored);
	d->held--;
	free(e->record);
	pool_give(&s->effects, e);
	device_free_if_done(d);
}

static void written(void *ctx, const struct store_written *w)
{
	struct effect *e = ctx;
	bool stored = w->result == STORE_DONE || w->result == STORE_ALREADY;

	e->device->inflight--;
	if (!stored)
		note_failure(e->device, w->result, &w->found);
	else if (w->result == STORE_DONE)
		queue_note_number(e->device, w->queue);
	effect_settle(e, stored);
}

/* The hot fields as they are after this write: the answer is in them already, for it will be given if they
 * are stored. */
static int next_hot(struct device *d, struct effect *e, struct store_hot *hot)
{
	int index = -1;

	if (e->new_session)
		d->hot.mark = e->record_number;
	else if (e->secure)
		d->hot.mark = MAX(d->hot.mark, e->record_number);
	if (e->dedup)
		index = (int)coap_dedup_add(&d->hot.dedup, e->reply.mid, e->dedup_hash,
					    (uint32_t)(server_wall(d->server) / 1000), 0);
	d->hot.number++;
	*hot = d->hot;
	e->number = hot->number;
	if (e->seen_ms)
		hot->seen_ms = e->seen_ms;
	if (index >= 0)
		hot->dedup.entries[index].code = e->code;
	return index;
}

static uint64_t record_expires(const struct lwm2m_server *s, struct span record, uint64_t seen_ms)
{
	struct registration r;

	if (record.len == 0 || registration_decode(record, &r) < 0 || r.lifetime_s == 0)
		return 0;
	return seen_ms + (uint64_t)r.lifetime_s * 1000 + s->config.lifetime_grace_ms;
}

uint64_t lwm2m_stored_expires_ms(const struct lwm2m_server *s, const struct store_device *stored)
{
	return record_expires(s, stored->record, stored->hot.seen_ms);
}

uint64_t device_expires(const struct device *d, const struct blob *record, uint64_t seen_ms)
{
	return record_expires(d->server, blob_span(record), seen_ms);
}

static int submit(struct device *d, const struct device_change *c, const struct blob *before,
		  struct effect *e)
{
	struct lwm2m_server *s = d->server;
	struct buffer *body = &s->event_body;
	struct index_changes index;
	struct store_hot hot;
	struct store_write w = {
		.key = {STORE_MANAGEMENT, device_endpoint(d)},
		.hot = &hot,
		.change = c->change,
		.record = blob_span(c->record),
		.patient = c->patient,
		.expires_ms = device_expires(d, c->record, c->seen_ms ? c->seen_ms : d->hot.seen_ms),
	};

	if (c->event) {
		body->len = 0;
		body->failed = false;
		if (lwm2m_event_encode(c->event, c->event_record, body) < 0)
			return -ENOSPC;
		w.event = (uint8_t)c->event->type;
		w.event_body = buffer_span(body);
	}
	index_note(d, c, before, &index);
	w.index = index.items;
	w.index_count = index.count;
	w.dedup_index = next_hot(d, e, &hot);
	return s->host.write(s->host.ctx, &w, written, e);
}

void device_write(struct device *d, const struct device_change *c, struct effect *e)
{
	const struct blob *before = d->latest;
	int err;

	/* Somebody else may be going on with it already. */
	assert(d->moving != MOVING_PACKED);
	e->change = c->change;
	e->record = c->record;
	e->seen_ms = c->seen_ms;
	if (d->failing || d->forgotten) {
		effect_settle(e, false);
		return;
	}
	e->mark = c->change == STORE_RECORD_PUT ? c->record : c->change == STORE_RECORD_DELETE ? &gone : NULL;
	if (e->mark)
		d->latest = e->mark;
	d->inflight++;
	err = submit(d, c, before ? before : d->record, e);
	if (err == 0)
		return;
	d->inflight--;
	d->latest = before;
	note_failure(d, err, &d->hot);
	effect_settle(e, false);
}

void lwm2m_server_missing(struct lwm2m_server *s, struct span endpoint)
{
	struct device *d = device_find(s, endpoint);

	/* What is under way comes back and says so itself. */
	if (!d || !d->record || d->moving || d->inflight > 0)
		return;
	d->held++;
	write_everything(d);
	d->held--;
}
