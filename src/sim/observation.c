/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * When an observed path is notified. Each observation looks at itself (`evaluate`) when something may have
 * become due: a measurement (every --notify-interval), a written value, pmin or pmax over, an
 * acknowledgement. It is `dirty` from a measurement or change until a notification is sent or the attributes
 * say that it is none; so pmin only delays, and a value that meanwhile went back over a threshold is not
 * reported.
 *
 * While a confirmable notification is under way no second one starts (RFC 7641, 4.5.2): what becomes due then
 * is sent, with the value of that moment, when it is acknowledged.
 *
 * A composite observation is notified as a whole, at the pace that the slowest pmin and the fastest pmax of
 * its paths allow; thresholds, which are of single values, it has none.
 *
 * Leaves out storing notifications for a server that is away: a device whose
 * notification is never acknowledged registers again.
 */

#include "sim/observation.h"

#include <math.h>

enum { CONFIRM_AT_LEAST_MS = 24 * 3600 * 1000, RETRY_MS = 1000, SEQUENCE_MASK = 0xFFFFFF };

struct observation {
	struct list node;
	struct timer timer;
	struct device *device;
	struct coap_exchange *exchange; /* of the notification under way, or NULL */
	uint64_t sent_ms, measured_ms, confirmed_ms;
	uint64_t number;      /* what the notification under way says, for the ledger */
	double value;	      /* last sent, of a numeric resource */
	struct target target; /* own copy */
	struct coap_token token;
	uint32_t sequence; /* of the Observe option, 24 bits */
	uint16_t mid;	   /* of the last non-confirmable notification */
	bool has_mid;
	bool dirty;
	bool numeric;
};

static void evaluate(struct observation *o, uint64_t now_ms);

static void on_timer(struct timer *t, uint64_t now_ms)
{
	evaluate(container_of(t, struct observation, timer), now_ms);
}

static void observation_free(struct observation *o, uint64_t now_ms)
{
	struct device *d = o->device;

	timer_cancel(&d->sim->timers, &o->timer);
	if (o->exchange)
		coap_cancel(&d->sim->coap, o->exchange, now_ms);
	list_remove(&o->node);
	d->observation_count--;
	target_deinit(&o->target);
	free(o);
}

/* ---- is a notification due? ---- */

struct limits {
	struct attributes attributes;
	uint64_t pmin_ms, pmax_ms; /* 0: none */
	uint64_t interval_ms;
};

static struct limits limits_of_path(const struct device *d, const struct path *path)
{
	struct limits l = {.attributes = attributes_effective(&d->attributes, path),
			   .interval_ms = d->sim->options->notify_ms};
	double pmin = d->objects.pmin_s, pmax = d->objects.pmax_s;

	if (attribute_is_set(&l.attributes, ATTRIBUTE_PMIN))
		pmin = l.attributes.values[ATTRIBUTE_PMIN];
	if (attribute_is_set(&l.attributes, ATTRIBUTE_PMAX))
		pmax = l.attributes.values[ATTRIBUTE_PMAX];
	l.pmin_ms = (uint64_t)(pmin * 1000);
	l.pmax_ms = (uint64_t)(pmax * 1000);
	return l;
}

static struct limits limits_of(const struct observation *o)
{
	const struct target *t = &o->target;
	struct limits l = limits_of_path(o->device, t->paths);

	for (size_t i = 1; i < t->count; i++) {
		const struct limits other = limits_of_path(o->device, &t->paths[i]);

		l.pmin_ms = MAX(l.pmin_ms, other.pmin_ms);
		if (other.pmax_ms && (!l.pmax_ms || other.pmax_ms < l.pmax_ms))
			l.pmax_ms = other.pmax_ms;
	}
	/* One below pmin is to be ignored (Core 1.1.1, 7.3). */
	if (l.pmax_ms < l.pmin_ms)
		l.pmax_ms = 0;
	return l;
}

static bool shows_temperature(const struct target *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (objects_shows_temperature(&t->paths[i]))
			return true;
	return false;
}

static bool crosses(double before, double after, double threshold)
{
	return (before > threshold) != (after > threshold);
}

/* Without gt, lt and st any measurement counts; with them one of them must be met. */
static bool is_worth_it(const struct observation *o, const struct attributes *a, double value)
{
	const double *limit = a->values;

	if (!o->numeric || !(a->set & (1u << ATTRIBUTE_GT | 1u << ATTRIBUTE_LT | 1u << ATTRIBUTE_ST)))
		return true;
	return (attribute_is_set(a, ATTRIBUTE_GT) && crosses(o->value, value, limit[ATTRIBUTE_GT])) ||
	       (attribute_is_set(a, ATTRIBUTE_LT) && crosses(value, o->value, limit[ATTRIBUTE_LT])) ||
	       (attribute_is_set(a, ATTRIBUTE_ST) && fabs(value - o->value) >= limit[ATTRIBUTE_ST]);
}

static void schedule(struct observation *o, const struct limits *l, uint64_t earliest_ms)
{
	uint64_t next = UINT64_MAX;

	if (l->interval_ms)
		next = o->measured_ms + l->interval_ms;
	if (l->pmax_ms)
		next = MIN(next, o->sent_ms + l->pmax_ms);
	if (o->dirty)
		next = MIN(next, MAX(o->sent_ms + l->pmin_ms, earliest_ms));
	if (o->exchange || next == UINT64_MAX)
		timer_cancel(&o->device->sim->timers, &o->timer);
	else
		timer_set(&o->device->sim->timers, &o->timer, next, on_timer);
}

/* ---- sending ---- */

/* One line per path; a number where the path shows one. */
static void enter_in_ledger(struct observation *o)
{
	struct device *d = o->device;
	char name[DEVICE_NAME], text[PATH_TEXT];

	device_name(d, name);
	for (size_t i = 0; i < o->target.count; i++) {
		const struct path *path = &o->target.paths[i];

		path_format(path, text);
		if (objects_shows_temperature(path) && d->objects.numbered)
			ledger_write(&d->sim->ledger, "ack notify %s %s %llu", name, text,
				     (unsigned long long)o->number);
		else
			ledger_write(&d->sim->ledger, "ack notify %s %s -", name, text);
	}
}

static void on_done(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		    uint64_t now_ms)
{
	struct observation *o = ctx;
	struct device *d = o->device;
	struct sim_stats *stats = &d->sim->stats;

	(void)response;
	o->exchange = NULL;
	if (outcome == COAP_RESET) {
		stats->notifications_reset++;
		observation_free(o, now_ms);
		return;
	}
	if (outcome != COAP_ACKNOWLEDGED) {
		device_lost(d, true, now_ms);
		return;
	}
	stats->notifications_acked++;
	enter_in_ledger(o);
	evaluate(o, now_ms);
}

static bool wants_confirmation(const struct observation *o, uint64_t now_ms)
{
	return o->device->sim->options->confirmable || now_ms - o->confirmed_ms >= CONFIRM_AT_LEAST_MS;
}

static int send_notification(struct observation *o, struct coap_message *m, uint64_t now_ms)
{
	struct device *d = o->device;
	int rc;

	if (!wants_confirmation(o, now_ms)) {
		rc = coap_send_once(&d->sim->coap, &d->peer, m, &o->mid);
		o->has_mid = rc == 0;
		return rc;
	}
	m->type = COAP_CON;
	rc = coap_start(&d->sim->coap, &d->peer, m, now_ms, on_done, o, &o->exchange);
	if (rc == 0)
		o->confirmed_ms = now_ms;
	return rc;
}

static void notify(struct observation *o, struct content *c, uint64_t now_ms)
{
	struct device *d = o->device;
	struct coap_message m;
	uint8_t etag[COAP_BODY_ETAG];

	o->sequence = (o->sequence + 1) & SEQUENCE_MASK;
	coap_message_init(&m, COAP_NON, COAP_CONTENT, 0, o->token);
	if (coap_add_uint(&m, COAP_OPTION_OBSERVE, o->sequence) < 0 ||
	    !content_attach(c, &d->sim->coap.key, NULL, &m, etag) || send_notification(o, &m, now_ms) < 0)
		return; /* no room now: it stays dirty */
	o->value = c->number;
	o->number = d->objects.sequence;
	o->sent_ms = now_ms;
	o->dirty = false;
	d->sim->stats.notifications++;
	device_woke(d, now_ms);
}

/* What was observed is gone: tell so, and end (RFC 7641, 4.2). */
static void notify_end(struct observation *o, uint8_t code, uint64_t now_ms)
{
	struct device *d = o->device;
	struct coap_message m;

	coap_message_init(&m, COAP_NON, code, 0, o->token);
	if (coap_send_once(&d->sim->coap, &d->peer, &m, NULL) == 0)
		d->sim->stats.notifications++;
	observation_free(o, now_ms);
}

static void evaluate(struct observation *o, uint64_t now_ms)
{
	const struct limits l = limits_of(o);
	struct device *d = o->device;
	uint64_t since_ms = now_ms - o->sent_ms;
	bool forced = l.pmax_ms && since_ms >= l.pmax_ms;
	struct content c;

	if (l.interval_ms && now_ms - o->measured_ms >= l.interval_ms) {
		/* Whole steps, so that the pace does not drift with the delay of timers. */
		o->measured_ms += (now_ms - o->measured_ms) / l.interval_ms * l.interval_ms;
		o->dirty = true;
	}
	assert(!o->exchange);
	if (!forced && (!o->dirty || since_ms < l.pmin_ms)) {
		schedule(o, &l, now_ms);
		return;
	}
	/* Each notified temperature has its own number; one that is then not sent leaves a gap. */
	if (shows_temperature(&o->target))
		d->objects.sequence++;
	content_take(d, &o->target, NULL, now_ms, &c);
	if (c.code != COAP_CONTENT) {
		content_release(d, &o->target, &c);
		notify_end(o, c.code, now_ms);
		return;
	}
	o->dirty = forced || is_worth_it(o, &l.attributes, c.number);
	if (o->dirty)
		notify(o, &c, now_ms);
	content_release(d, &o->target, &c);
	/* Still dirty: there was no room for another message. */
	schedule(o, &l, o->dirty ? now_ms + RETRY_MS : now_ms);
}

/* ---- what the server asks ---- */

static struct observation *find(const struct device *d, const struct coap_token *token)
{
	list_for_each (node, &d->observations) {
		struct observation *o = container_of(node, struct observation, node);

		if (coap_token_equal(&o->token, token))
			return o;
	}
	return NULL;
}

static struct observation *observation_new(struct device *d, const struct coap_token *token)
{
	struct observation *o = d->observation_count < OBSERVATIONS_MAX ? calloc(1, sizeof(*o)) : NULL;

	if (!o)
		return NULL;
	o->device = d;
	o->token = *token;
	list_append(&d->observations, &o->node);
	d->observation_count++;
	return o;
}

int64_t observation_add(struct device *d, const struct coap_token *token, const struct target *target,
			double value, uint64_t now_ms)
{
	struct observation *o = find(d, token);
	char name[DEVICE_NAME];
	const struct objects_env env = content_env(d, now_ms, name);
	struct limits l;

	if (!o)
		o = observation_new(d, token);
	if (!o)
		return -1;
	target_deinit(&o->target);
	if (target_copy(&o->target, target) < 0) {
		observation_free(o, now_ms);
		return -1;
	}
	o->value = value;
	o->numeric = !target->composite && objects_is_numeric(&env, target->paths);
	o->sent_ms = o->measured_ms = o->confirmed_ms = now_ms;
	o->dirty = false;
	o->sequence = (o->sequence + 1) & SEQUENCE_MASK;
	l = limits_of(o);
	schedule(o, &l, now_ms);
	return o->sequence;
}

void observation_cancel(struct device *d, const struct coap_token *token, uint64_t now_ms)
{
	struct observation *o = find(d, token);

	if (o)
		observation_free(o, now_ms);
}

bool observation_reset(struct device *d, uint16_t mid, uint64_t now_ms)
{
	list_for_each (node, &d->observations) {
		struct observation *o = container_of(node, struct observation, node);

		if (!o->has_mid || o->mid != mid)
			continue;
		d->sim->stats.notifications_reset++;
		observation_free(o, now_ms);
		return true;
	}
	return false;
}

static bool touches(const struct target *t, const struct path *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (path_is_within(&t->paths[i], path) || path_is_within(path, &t->paths[i]))
			return true;
	return false;
}

/* The notification leaves behind the answer to what caused it: the timer fires when that is sent. */
void observation_touch(struct device *d, const struct path *path, uint64_t now_ms)
{
	list_for_each (node, &d->observations) {
		struct observation *o = container_of(node, struct observation, node);

		if (!touches(&o->target, path))
			continue;
		o->dirty = true;
		if (!o->exchange)
			timer_set(&d->sim->timers, &o->timer, now_ms, on_timer);
	}
}

void observation_reschedule(struct device *d, uint64_t now_ms)
{
	list_for_each (node, &d->observations) {
		struct observation *o = container_of(node, struct observation, node);
		struct limits l = limits_of(o);

		schedule(o, &l, now_ms);
	}
}

void observation_clear(struct device *d, uint64_t now_ms)
{
	struct list *node;

	while ((node = list_take_first(&d->observations)))
		observation_free(container_of(node, struct observation, node), now_ms);
}
