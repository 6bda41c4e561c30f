/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What follows from policies: which observations a device shall have.
 *
 * The hard idea: a policy only adds wanted observations to the record of a device, with its origin, and takes
 * them out again; that they are issued, after each Register and one after the other, is what happens to
 * wanted observations anyway. So there is no state of a policy and a device besides the record.
 *
 * A Register gets them with its own write. A policy that changes is brought to all devices by a walk over
 * them. Observes that follow from any of this leave at a pace, over all devices.
 */

#include "lwm2m/core.h"

#include <errno.h>

enum { WALK_MS = 100, WALK_STEP = 2000, CREDIT = 1000 };

struct kept_policy {
	struct list node; /* in server->policies.all */
	uint32_t origin;
	bool stale; /* not named again yet, see lwm2m_policies_begin */
	struct policy policy;
	uint8_t name_len;
	char name[POLICY_NAME_MAX];
	struct blob *body; /* what `policy` borrows from */
};

static timer_fn walk_fired, pace_fired;

void policies_init(struct lwm2m_server *s)
{
	list_init(&s->policies.all);
	list_init(&s->policies.turns);
	s->policies.credit = MAX((uint64_t)s->config.observe_rate * CREDIT / 10, CREDIT);
	s->policies.credit_ms = server_now(s);
}

static void kept_free(struct kept_policy *k)
{
	list_remove(&k->node);
	free(k->body);
	free(k);
}

void policies_deinit(struct lwm2m_server *s)
{
	timer_cancel(s->timers, &s->policies.walk_timer);
	timer_cancel(s->timers, &s->policies.pace_timer);
	while (!list_empty(&s->policies.all))
		kept_free(container_of(s->policies.all.next, struct kept_policy, node));
}

/* ---- the table ---- */

/* Derived from the name, and the same on every node. */
static uint32_t origin_of(const struct lwm2m_server *s, struct span name)
{
	return MAX((uint32_t)siphash(&s->config.hash_key, name), ORIGIN_POLICIES);
}

static struct kept_policy *find_origin(const struct lwm2m_server *s, uint32_t origin)
{
	list_for_each (node, &s->policies.all) {
		struct kept_policy *k = container_of(node, struct kept_policy, node);

		if (k->origin == origin)
			return k;
	}
	return NULL;
}

struct span lwm2m_policy_name(const struct lwm2m_server *s, uint32_t origin)
{
	const struct kept_policy *k = find_origin(s, origin);

	return k ? span_of(k->name, k->name_len) : span_of(NULL, 0);
}

static void walk(struct lwm2m_server *s)
{
	s->policies.walk = 0;
	timer_set(s->timers, &s->policies.walk_timer, server_now(s), walk_fired);
}

int lwm2m_policy_set(struct lwm2m_server *s, struct span name, struct span body)
{
	struct kept_policy *k = find_origin(s, origin_of(s, name));
	struct blob *copy;
	bool is_new = !k;

	if (k && k->body && span_equal(blob_span(k->body), body)) {
		k->stale = false;
		return 0;
	}
	copy = blob_copy(body);
	if (is_new)
		k = s->policies.count < POLICIES_MAX ? calloc(1, sizeof(*k)) : NULL;
	if (!k || !copy || name.len > sizeof(k->name) || policy_decode(blob_span(copy), &k->policy) < 0) {
		free(copy);
		if (is_new)
			free(k);
		else if (k) /* it was decoded into: as it was before */
			(void)policy_decode(blob_span(k->body), &k->policy);
		return is_new && !k ? -ENOSPC : -EPROTO;
	}
	free(k->body);
	k->body = copy;
	k->stale = false;
	if (is_new) {
		k->origin = origin_of(s, name);
		k->name_len = (uint8_t)name.len;
		memcpy(k->name, name.data, name.len);
		list_append(&s->policies.all, &k->node);
		s->policies.count++;
	}
	if (s->policies.known)
		walk(s);
	return 0;
}

bool lwm2m_policy_fits(const struct lwm2m_server *s, struct span name)
{
	return s->policies.count < POLICIES_MAX || find_origin(s, origin_of(s, name));
}

void lwm2m_policy_drop(struct lwm2m_server *s, struct span name)
{
	struct kept_policy *k = find_origin(s, origin_of(s, name));

	if (!k)
		return;
	kept_free(k);
	s->policies.count--;
	walk(s);
}

void lwm2m_policies_begin(struct lwm2m_server *s)
{
	list_for_each (node, &s->policies.all)
		container_of(node, struct kept_policy, node)->stale = true;
}

void lwm2m_policies_end(struct lwm2m_server *s)
{
	list_for_each_safe (node, &s->policies.all) {
		struct kept_policy *k = container_of(node, struct kept_policy, node);

		if (k->stale)
			lwm2m_policy_drop(s, span_of(k->name, k->name_len));
	}
	if (!s->policies.known)
		walk(s);
	s->policies.known = true;
}

/* ---- what a device shall have ---- */

/* Calls `each` for every target of the policy, until it returns false. */
static void each_target(const struct policy *p, bool (*each)(void *ctx, const struct observation *o),
			void *ctx)
{
	_cleanup_buffer_ struct buffer list = buffer_of(COAP_MESSAGE_MAX);
	struct observation o = {.accept = p->format, .path_format = COAP_FORMAT_NONE};

	for (size_t i = 0; i < p->path_count; i++) {
		o.path = p->paths[i];
		if (!each(ctx, &o))
			return;
	}
	if (p->composite_count == 0)
		return;
	paths_encode(p->composite, p->composite_count, &list);
	o.path = (struct path){0};
	o.paths = buffer_span(&list);
	if (!list.failed)
		(void)each(ctx, &o);
}

struct search {
	const struct observation *wanted;
	bool found;
};

static bool is_target(void *ctx, const struct observation *o)
{
	struct search *search = ctx;

	search->found = observation_same_target(o, search->wanted);
	return !search->found;
}

static bool policy_wants(const struct policy *p, const struct observation *o)
{
	struct search search = {.wanted = o};

	each_target(p, is_target, &search);
	return search.found;
}

/* A policy made it, and would not any more. */
static bool is_over(const struct device *d, const struct observation *o)
{
	const struct lwm2m_server *s = d->server;
	const struct kept_policy *k;

	if (o->origin < ORIGIN_POLICIES || !s->policies.known)
		return false;
	k = find_origin(s, o->origin);
	return !k || !policy_matches(k->policy.pattern, device_endpoint(d)) || !policy_wants(&k->policy, o);
}

struct adding {
	const struct device *device;
	const struct registration *registration;
	uint32_t origin;
	struct observation *list;
	size_t count;
	struct policy_memory *memory;
};

static bool add_target(void *ctx, const struct observation *o)
{
	struct adding *a = ctx;
	struct observation *new;

	for (size_t i = 0; i < a->count; i++)
		if (observation_same_target(&a->list[i], o))
			return true;
	if (a->count == REGISTRATION_OBSERVATIONS_MAX)
		return false;
	new = &a->list[a->count];
	*new = *o;
	new->origin = a->origin;
	/* A token of its own, though nothing was sent: what has the same is the same observation. */
	new->token = device_new_token((struct device *)a->device, true);
	if (o->paths.len > 0) {
		assert(a->memory->len + o->paths.len <= sizeof(a->memory->bytes));
		memcpy(a->memory->bytes + a->memory->len, o->paths.data, o->paths.len);
		new->paths = span_of(a->memory->bytes + a->memory->len, o->paths.len);
		a->memory->len += o->paths.len;
		new->path_format = choose_composite(a->registration);
	}
	a->count++;
	return true;
}

size_t policies_merge(const struct device *d, const struct registration *r, struct observation *list,
		      size_t count, struct policy_memory *memory)
{
	const struct lwm2m_server *s = d->server;
	struct adding a = {.device = d, .registration = r, .list = list, .memory = memory};
	size_t left = 0;

	for (size_t i = 0; i < count; i++)
		if (!is_over(d, &list[i]))
			list[left++] = list[i];
	a.count = left;
	list_for_each (node, &s->policies.all) {
		const struct kept_policy *k = container_of(node, struct kept_policy, node);

		a.origin = k->origin;
		if (policy_matches(k->policy.pattern, device_endpoint(d)))
			each_target(&k->policy, add_target, &a);
	}
	return a.count;
}

/* ---- a change, for one device ---- */

static void added_settled(struct effect *e, bool stored)
{
	struct device *d = e->device;

	if (e->operation)
		operation_settled(e->operation, stored);
	if (stored)
		device_reissue(d);
}

static void write_list(struct device *d, const struct registration *r, const struct observation *list,
		       size_t count, struct effect *e)
{
	struct device_change change = {.change = STORE_RECORD_PUT};

	e->settle = added_settled;
	change.record = blob_encode(r, list, count);
	if (change.record) {
		device_write(d, &change, e);
		return;
	}
	if (e->operation)
		operation_settled(e->operation, false);
	pool_give(&d->server->effects, e);
}

/* Forgets, one by one and each with its event, what `over` says; the device learns it at its next
 * notification. */
static void forget_all(struct device *d,
		       bool (*over)(const struct device *d, const struct observation *o, const void *ctx),
		       const void *ctx)
{
	struct observation list[REGISTRATION_OBSERVATIONS_MAX];
	struct registration r;
	size_t count = device_latest(d, &r) ? observations_list(&r, list) : 0;

	/* The record of `list` lives until its successor is stored. */
	for (size_t i = 0; i < count; i++) {
		struct effect *e = over(d, &list[i], ctx) ? effect_new(d, NULL) : NULL;

		if (e)
			observe_forget(d, &list[i], OBSERVATION_CANCELLED, 0, e);
	}
}

static bool over_by_policy(const struct device *d, const struct observation *o, const void *ctx)
{
	(void)ctx;
	return is_over(d, o);
}

/* True if something was written. */
static bool apply(struct device *d)
{
	struct policy_memory memory = {.len = 0};
	struct observation list[REGISTRATION_OBSERVATIONS_MAX];
	struct registration r;
	struct effect *e;
	size_t before, after;

	if (d->moving || !device_latest(d, &r) || !r.present)
		return false; /* who takes it brings it the policies */
	d->held++;
	forget_all(d, over_by_policy, NULL);
	d->held--;
	(void)device_latest(d, &r);
	before = observations_list(&r, list);
	after = policies_merge(d, &r, list, before, &memory);
	e = after > before ? effect_new(d, NULL) : NULL;
	if (!e)
		return false;
	d->held++;
	write_list(d, &r, list, after, e);
	d->held--;
	return true;
}

static void walk_fired(struct timer *t, uint64_t now_ms)
{
	struct lwm2m_server *s = container_of(t, struct lwm2m_server, policies.walk_timer);
	unsigned changes = 0, changes_max = MAX(s->config.observe_rate * WALK_MS / 1000, 1);
	struct device *d = NULL;

	for (unsigned i = 0;
	     i < WALK_STEP && changes < changes_max && (d = device_next(s, &s->policies.walk)); i++)
		changes += apply(d);
	if (d)
		timer_set(s->timers, t, now_ms + WALK_MS, walk_fired);
}

static bool over_by_list(const struct device *d, const struct observation *o, const void *ctx)
{
	(void)d;
	return o->origin == ORIGIN_DECLARED && !policy_wants(ctx, o);
}

int lwm2m_declare(struct lwm2m_server *s, struct device *d, const struct policy *wanted, lwm2m_done *done,
		  void *ctx)
{
	struct policy_memory memory = {.len = 0};
	struct observation list[REGISTRATION_OBSERVATIONS_MAX];
	struct registration r;
	struct adding a = {
		.device = d, .registration = &r, .origin = ORIGIN_DECLARED, .list = list, .memory = &memory};
	struct effect *e;

	(void)s;
	if (d->moving)
		return -EAGAIN;
	e = effect_for_caller(d, LWM2M_OBSERVE, done, ctx);
	if (!e)
		return -ENOMEM;
	d->held++;
	forget_all(d, over_by_list, wanted);
	if (!device_latest(d, &r))
		device_registration(d, &r);
	a.count = observations_list(&r, list);
	each_target(wanted, add_target, &a);
	write_list(d, &r, list, a.count, e);
	d->held--;
	return 0;
}

/* ---- pace ---- */

static bool has_credit(struct lwm2m_server *s)
{
	uint64_t now_ms = server_now(s), rate = s->config.observe_rate,
		 most = MAX(rate * CREDIT / 10, CREDIT);

	s->policies.credit = MIN(s->policies.credit + (now_ms - s->policies.credit_ms) * rate, most);
	s->policies.credit_ms = now_ms;
	return s->policies.credit >= CREDIT;
}

static void wait_for_credit(struct lwm2m_server *s)
{
	uint64_t rate = s->config.observe_rate, lacks = CREDIT - MIN(s->policies.credit, CREDIT);

	timer_set(s->timers, &s->policies.pace_timer, server_now(s) + (lacks + rate - 1) / rate, pace_fired);
}

bool policies_turn(struct device *d)
{
	struct lwm2m_server *s = d->server;

	if (list_linked(&d->observe_turn))
		return false;
	if (has_credit(s) && (s->policies.open || list_empty(&s->policies.turns))) {
		s->policies.open = false;
		s->policies.credit -= CREDIT;
		return true;
	}
	list_append(&s->policies.turns, &d->observe_turn);
	if (!timer_is_set(&s->policies.pace_timer))
		wait_for_credit(s);
	return false;
}

static void pace_fired(struct timer *t, uint64_t now_ms)
{
	struct lwm2m_server *s = container_of(t, struct lwm2m_server, policies.pace_timer);
	struct list *node;

	(void)now_ms;
	while (has_credit(s) && (node = list_take_first(&s->policies.turns))) {
		struct device *d = container_of(node, struct device, observe_turn);

		s->policies.open = true;
		if (!apply(d)) /* what it writes is observed when that is stored */
			device_reissue(d);
		s->policies.open = false;
	}
	if (!list_empty(&s->policies.turns) && !timer_is_set(t))
		wait_for_credit(s);
}

void policies_take(struct device *d)
{
	struct lwm2m_server *s = d->server;

	if (!s->policies.known || list_empty(&s->policies.all) || list_linked(&d->observe_turn))
		return;
	list_append(&s->policies.turns, &d->observe_turn);
	if (!timer_is_set(&s->policies.pace_timer))
		wait_for_credit(s);
}

struct span policies_attributes(const struct device *d, const struct observation *o)
{
	const struct kept_policy *k =
		o->origin >= ORIGIN_POLICIES && o->paths.len == 0 ? find_origin(d->server, o->origin) : NULL;

	return k ? k->policy.attributes : span_of(NULL, 0);
}
