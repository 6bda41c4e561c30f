/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of associations: how each is found, how long it lives, whose it is.
 *
 * The hard idea is the address of an association. CoAP and LwM2M know peers by address; but with a connection
 * id a device keeps its session and changes its address, and answers, retransmissions and observations must
 * follow the session. So an association has an address of its own, of a family that no socket has, and only
 * here it becomes an IP address, the newest one, at the moment something is sent.
 */

#include "dtls/endpoint_private.h"

#include <errno.h>

enum {
	SWEEP_MS = 1000,
	SWEEP_SHARE = 32, /* a sweep looks at this part of all */
	SWEEP_MIN = 64,
	LAST_FLIGHT_MS = 120000, /* RFC 6347, 4.2.4: at least twice the maximum segment lifetime */
	SLOTS_MIN = 64,
};

/* ---- claims ---- */

struct claim *claim_new(enum dtls_identity kind, struct span identity, struct span endpoint)
{
	struct claim *c;

	if (identity.len > UINT16_MAX || endpoint.len > UINT8_MAX)
		return NULL;
	c = calloc(1, sizeof(*c) + identity.len + endpoint.len);
	if (!c)
		return NULL;
	c->kind = (uint8_t)kind;
	c->endpoint_len = (uint8_t)endpoint.len;
	c->identity_len = (uint16_t)identity.len;
	if (endpoint.len)
		memcpy(c->bytes, endpoint.data, endpoint.len);
	if (identity.len)
		memcpy(c->bytes + endpoint.len, identity.data, identity.len);
	return c;
}

static void claim_set(struct dtls_endpoint *e, struct association *a, struct claim *c)
{
	if (a->claim) {
		list_remove(&a->claim->node);
		free(a->claim);
		e->stats.unbound--;
	}
	a->claim = c;
	if (!c)
		return;
	c->association = a;
	c->since_ms = endpoint_wall(e);
	list_append(&e->unbound, &c->node);
	e->stats.unbound++;
}

/* ---- look-ups ---- */

struct address association_address(const struct association *a)
{
	struct address address = {.family = ADDRESS_ASSOCIATION};
	struct writer w = writer_of(address.ip, sizeof(address.ip));

	writer_u64(&w, a->handle);
	return address;
}

struct association *association_find(const struct dtls_endpoint *e, const struct address *address)
{
	struct reader r = reader_of(span_of(address->ip, sizeof(address->ip)));
	uint64_t handle = reader_u64(&r);
	struct association *a;

	if (address->family != ADDRESS_ASSOCIATION || (uint32_t)handle >= e->slot_count ||
	    e->slots[(uint32_t)handle] & 1)
		return NULL;
	a = (struct association *)e->slots[(uint32_t)handle];
	return a->handle == handle ? a : NULL;
}

static struct span own_cid(const struct association *a)
{
	return span_of(a->session.own_cid, a->session.own_cid_len);
}

static bool match_cid(const void *item, const void *key)
{
	return span_equal(own_cid(item), *(const struct span *)key);
}

struct association *association_by_cid(const struct dtls_endpoint *e, struct span cid)
{
	return map_find(&e->by_cid, endpoint_hash(e, cid), match_cid, &cid);
}

static bool match_address(const void *item, const void *key)
{
	return address_equal(&((const struct association *)item)->session.peer, key);
}

static uint32_t address_bucket(const struct dtls_endpoint *e, const struct address *peer)
{
	return endpoint_hash(e, span_of(peer, sizeof(*peer)));
}

struct association *association_by_address(const struct dtls_endpoint *e, const struct address *peer)
{
	return map_find(&e->by_address, address_bucket(e, peer), match_address, peer);
}

/* format 4 bits, slot 12, random 48 */
void association_new_cid(struct dtls_endpoint *e, uint8_t cid[DTLS_CID_OWN])
{
	do {
		random_fill(e->random, cid, DTLS_CID_OWN);
		if (e->slot_ids_count) {
			uint16_t slot = e->slot_ids[random_u32(e->random) % e->slot_ids_count];

			cid[0] = (uint8_t)(slot >> 8);
			cid[1] = (uint8_t)slot;
		}
		cid[0] = (uint8_t)(DTLS_CID_FORMAT << 4 | (cid[0] & 15));
	} while (association_by_cid(e, span_of(cid, DTLS_CID_OWN)));
}

/* ---- coming and going ---- */

static bool slots_grow(struct dtls_endpoint *e)
{
	uint32_t count = e->slot_count ? e->slot_count * 2 : SLOTS_MIN;
	uintptr_t *slots = reallocarray(e->slots, count, sizeof(*slots));

	if (!slots)
		return false;
	for (uint32_t i = e->slot_count; i < count; i++)
		slots[i] = (uintptr_t)(i + 1) << 1 | 1;
	e->slots = slots;
	e->slot_count = count;
	return true;
}

/* Makes the session reachable by what its records bring. */
static int enter(struct dtls_endpoint *e, struct association *a)
{
	struct association *before;
	int err;

	if (a->session.own_cid_len)
		return map_insert(&e->by_cid, endpoint_hash(e, own_cid(a)), a);
	/* Two devices cannot share an address, so whoever had it has another one now; it stays what it is,
	 * but must prove itself by a new handshake. */
	before = association_by_address(e, &a->session.peer);
	if (before) {
		map_remove(&e->by_address, address_bucket(e, &a->session.peer), before);
		before->addressed = false;
	}
	err = map_insert(&e->by_address, address_bucket(e, &a->session.peer), a);
	a->addressed = err == 0;
	return err;
}

static void leave(struct dtls_endpoint *e, struct association *a)
{
	if (a->session.own_cid_len)
		map_remove(&e->by_cid, endpoint_hash(e, own_cid(a)), a);
	else if (a->addressed)
		map_remove(&e->by_address, address_bucket(e, &a->session.peer), a);
}

static void discard(struct association *a)
{
	dtls_session_wipe(&a->session);
	free(a->claim);
	free(a->last_flight);
	free(a);
}

void association_end(struct dtls_endpoint *e, struct association *a, enum dtls_end why)
{
	struct address address = association_address(a);
	bool bound = !a->claim;
	uint32_t slot = (uint32_t)a->handle;

	leave(e, a);
	claim_set(e, a, NULL);
	e->slots[slot] = (uintptr_t)e->slot_free << 1 | 1;
	e->slot_free = slot;
	e->stats.associations--;
	e->stats.ended[why]++;
	discard(a);
	if (why != DTLS_END_DROPPED)
		e->host.closed(e->host.ctx, &address, why, bound);
}

static struct association *association_add(struct dtls_endpoint *e, const struct dtls_session *session)
{
	struct association *a;
	uint32_t slot;

	if (e->stats.associations >= e->config.associations_max)
		return NULL;
	if (e->slot_free == e->slot_count && !slots_grow(e))
		return NULL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->session = *session;
	if (enter(e, a) < 0) {
		discard(a);
		return NULL;
	}
	slot = e->slot_free;
	e->slot_free = (uint32_t)(e->slots[slot] >> 1);
	e->slots[slot] = (uintptr_t)a;
	a->handle = (uint64_t)++e->handles << 32 | slot;
	e->stats.associations++;
	return a;
}

struct association *association_new(struct dtls_endpoint *e, const struct dtls_session *session,
				    struct claim *claim)
{
	struct association *a = association_add(e, session);

	if (!a)
		return NULL;
	claim_set(e, a, claim);
	if (e->stats.unbound > e->config.unbound_max)
		association_end(e, container_of(e->unbound.next, struct claim, node)->association,
				DTLS_END_CROWDED);
	return a;
}

/* ---- life times ---- */

static enum dtls_end overdue(const struct dtls_endpoint *e, const struct association *a, uint64_t wall)
{
	const struct dtls_endpoint_config *c = &e->config;

	if (a->claim && wall >= a->claim->since_ms + c->unbound_ms)
		return DTLS_END_IDLE;
	if (c->age_ms && wall >= a->session.created_ms + c->age_ms)
		return DTLS_END_AGE;
	if (c->idle_ms && wall >= a->session.used_ms + c->idle_ms)
		return DTLS_END_IDLE;
	return DTLS_END_COUNT;
}

/* No timer for each of a million: a hand goes round over all of them. */
static void on_sweep(struct timer *timer, uint64_t now_ms)
{
	struct dtls_endpoint *e = container_of(timer, struct dtls_endpoint, sweep);
	uint32_t count = MIN(MAX(e->slot_count / SWEEP_SHARE, SWEEP_MIN), e->slot_count);
	uint64_t wall = endpoint_wall(e);

	while (count--) {
		uintptr_t slot = e->slots[e->sweep_at++ % e->slot_count];
		struct association *a = (struct association *)slot;
		enum dtls_end why;

		if (slot & 1)
			continue;
		if (a->last_flight && wall >= a->session.created_ms + LAST_FLIGHT_MS) {
			free(a->last_flight);
			a->last_flight = NULL;
		}
		why = overdue(e, a, wall);
		if (why != DTLS_END_COUNT)
			association_end(e, a, why);
	}
	timer_set(e->timers, timer, now_ms + SWEEP_MS, on_sweep);
}

void associations_init(struct dtls_endpoint *e)
{
	map_init(&e->by_cid);
	map_init(&e->by_address);
	list_init(&e->unbound);
	timer_set(e->timers, &e->sweep, e->timers->now_ms + SWEEP_MS, on_sweep);
}

void associations_deinit(struct dtls_endpoint *e)
{
	timer_cancel(e->timers, &e->sweep);
	timer_cancel(e->timers, &e->spent_timer);
	for (uint32_t i = 0; i < e->slot_count; i++)
		if (!(e->slots[i] & 1))
			discard((struct association *)e->slots[i]);
	free(e->slots);
	free(e->slot_ids);
	map_deinit(&e->by_cid);
	map_deinit(&e->by_address);
}

/* ---- what the host may ask and say ---- */

static void on_spent(struct timer *timer, uint64_t now_ms)
{
	struct dtls_endpoint *e = container_of(timer, struct dtls_endpoint, spent_timer);

	(void)now_ms;
	e->host.spent(e->host.ctx, &e->spent);
}

/* The host is told with each SPENT_STEP-th number, so that a write which fails has others behind it. */
static void look_at_counter(struct dtls_endpoint *e, const struct association *a)
{
	enum { SPENT_STEP = DTLS_COUNTER_LOW / 16 };

	if (!dtls_session_is_low(&a->session) || a->session.write_seq % SPENT_STEP || a->claim ||
	    !e->host.spent || timer_is_set(&e->spent_timer))
		return;
	e->spent = association_address(a);
	timer_set(e->timers, &e->spent_timer, e->timers->now_ms, on_spent);
}

bool association_say(struct dtls_endpoint *e, struct association *a, uint8_t type, struct span plaintext)
{
	struct writer w = writer_of(e->out, sizeof(e->out));
	int err;

	/* Somebody else may be counting on already. */
	if (a->given)
		return true;
	err = dtls_session_seal(&a->session, &w, type, plaintext);
	if (err == -EOVERFLOW)
		return false;
	if (err == 0)
		e->host.send(e->host.ctx, &a->session.peer, writer_span(&w));
	look_at_counter(e, a);
	return true;
}

bool dtls_endpoint_send(struct dtls_endpoint *e, const struct address *association, struct span plaintext)
{
	struct association *a = association_find(e, association);

	if (!a || a->given)
		return false;
	if (association_say(e, a, DTLS_APPLICATION_DATA, plaintext))
		return true;
	association_end(e, a, DTLS_END_LIMIT);
	return false;
}

const struct address *dtls_endpoint_peer_address(const struct dtls_endpoint *e,
						 const struct address *association)
{
	const struct association *a = association_find(e, association);

	return a ? &a->session.peer : NULL;
}

uint64_t dtls_endpoint_created_ms(const struct dtls_endpoint *e, const struct address *association)
{
	const struct association *a = association_find(e, association);

	return a ? a->session.created_ms : 0;
}

bool dtls_endpoint_claim(const struct dtls_endpoint *e, const struct address *association,
			 struct dtls_claim *claim)
{
	const struct association *a = association_find(e, association);

	if (!a || !a->claim)
		return false;
	*claim = (struct dtls_claim){(enum dtls_identity)a->claim->kind, claim_identity(a->claim),
				     claim_endpoint(a->claim)};
	return true;
}

void dtls_endpoint_bind(struct dtls_endpoint *e, const struct address *association)
{
	struct association *a = association_find(e, association);

	if (a)
		claim_set(e, a, NULL);
}

void dtls_endpoint_unbind(struct dtls_endpoint *e, const struct address *association, struct span endpoint)
{
	struct association *a = association_find(e, association);
	struct claim *c;

	if (!a || a->claim)
		return;
	c = claim_new(DTLS_IDENTITY_NONE, span_of(NULL, 0), endpoint);
	if (c)
		claim_set(e, a, c);
	else
		association_end(e, a, DTLS_END_DROPPED);
}

void dtls_endpoint_drop(struct dtls_endpoint *e, const struct address *association, bool say)
{
	static const uint8_t close_notify[] = {1, 0};
	struct association *a = association_find(e, association);

	if (!a)
		return;
	if (say)
		(void)association_say(e, a, DTLS_ALERT, span_of(close_notify, sizeof(close_notify)));
	association_end(e, a, DTLS_END_DROPPED);
}

void dtls_endpoint_revoke(struct dtls_endpoint *e, struct span endpoint)
{
	attempts_revoke(e, endpoint);
	list_for_each_safe (node, &e->unbound) {
		struct claim *c = container_of(node, struct claim, node);

		if (span_equal(claim_endpoint(c), endpoint))
			association_end(e, c->association, DTLS_END_DROPPED);
	}
}

int dtls_endpoint_export(struct dtls_endpoint *e, const struct address *association, uint32_t generation,
			 struct writer *w)
{
	struct association *a = association_find(e, association);
	struct dtls_session copy;

	if (!a)
		return -ENOENT;
	a->session.term_base = generation - (uint32_t)(a->session.write_seq >> DTLS_COUNTER_BITS);
	copy = a->session;
	if (dtls_session_is_low(&copy) && dtls_session_next_term(&copy, 0) == 0)
		copy.term_base--;
	dtls_session_encode(&copy, false, w);
	dtls_session_wipe(&copy);
	return w->failed ? -EMSGSIZE : 0;
}

void dtls_endpoint_renew(struct dtls_endpoint *e, const struct address *association)
{
	struct association *a = association_find(e, association);

	if (!a || a->given || !dtls_session_is_low(&a->session) ||
	    dtls_session_next_term(&a->session, random_u32(e->random)) < 0)
		return;
	a->session.term_base--;
}

/* It is here already; or without a connection id, and somebody else was heard from its address later. */
static bool is_superseded(const struct dtls_endpoint *e, const struct dtls_session *session)
{
	const struct association *a;

	if (session->own_cid_len)
		return association_by_cid(e, span_of(session->own_cid, session->own_cid_len)) != NULL;
	a = association_by_address(e, &session->peer);
	return a && a->session.used_ms >= session->used_ms;
}

static bool is_too_old(const struct dtls_endpoint *e, const struct dtls_session *session)
{
	return (e->config.age_ms && endpoint_wall(e) >= session->created_ms + e->config.age_ms) ||
	       session->created_ms < e->config.since_ms;
}

static int install(struct dtls_endpoint *e, const struct dtls_session *session, struct association **out)
{
	if (is_too_old(e, session))
		return -ETIME;
	if (is_superseded(e, session))
		return -EEXIST;
	if (e->stats.associations >= e->config.associations_max)
		return -ENOSPC;
	*out = association_add(e, session);
	return *out ? 0 : -ENOMEM;
}

int dtls_endpoint_import(struct dtls_endpoint *e, struct span encoded, uint32_t generation, uint64_t mark,
			 struct address *association)
{
	struct dtls_session session;
	struct association *a;
	int err = dtls_session_decode(encoded, &session);

	if (err == 0)
		err = dtls_session_enter_term(&session, generation, random_u32(e->random));
	if (err == 0) {
		dtls_session_set_mark(&session, mark);
		err = install(e, &session, &a);
	}
	if (err == 0)
		*association = association_address(a);
	dtls_session_wipe(&session);
	return err;
}

int dtls_endpoint_proves(const struct dtls_endpoint *e, struct span encoded, uint32_t generation,
			 uint64_t mark, struct span datagram)
{
	struct dtls_session session;
	int err = dtls_session_decode(encoded, &session);

	if (err == 0 && is_too_old(e, &session))
		err = -ETIME;
	if (err == 0 && !dtls_session_proves(&session, datagram, mark))
		err = -EACCES;
	if (err == 0)
		err = dtls_session_enter_term(&session, generation + 1, 0);
	dtls_session_wipe(&session);
	return err;
}

/* ---- between two endpoints ---- */

enum { CARRIED_FORMAT = 1 };

void dtls_endpoint_hold(struct dtls_endpoint *e, const struct address *association, bool held)
{
	struct association *a = association_find(e, association);

	if (!a)
		return;
	a->held = held;
	a->given = a->given && held;
}

/* format 1, length of Finished 1, and if it is not 0 the next number of epoch 0 8, Finished; the session */
int dtls_endpoint_give(struct dtls_endpoint *e, const struct address *association, struct writer *w)
{
	struct association *a = association_find(e, association);
	const struct dtls_last_flight *last;

	if (!a)
		return -ENOENT;
	last = a->last_flight;
	writer_u8(w, CARRIED_FORMAT);
	writer_u8(w, last ? last->finished_len : 0);
	if (last) {
		writer_u64(w, last->record_seq);
		writer_bytes(w, span_of(last->finished, last->finished_len));
	}
	dtls_session_encode(&a->session, true, w);
	if (w->failed)
		return -EMSGSIZE;
	a->held = a->given = true;
	return 0;
}

static int read_last_flight(struct reader *r, struct dtls_last_flight *last)
{
	struct span finished;

	*last = (struct dtls_last_flight){.finished_len = reader_u8(r)};
	if (last->finished_len == 0)
		return 0;
	if (last->finished_len > sizeof(last->finished))
		return -EBADMSG;
	last->record_seq = reader_u64(r);
	finished = reader_bytes(r, last->finished_len);
	if (finished.len)
		memcpy(last->finished, finished.data, finished.len);
	return r->failed || last->record_seq >> 48 ? -EBADMSG : 0;
}

static int read_carried(struct span carried, struct dtls_session *session, struct dtls_last_flight *last)
{
	struct reader r = reader_of(carried);
	uint8_t format = reader_u8(&r);
	int err;

	*session = (struct dtls_session){0};
	if (format != CARRIED_FORMAT)
		return format > CARRIED_FORMAT ? -EPROTO : -EBADMSG;
	err = read_last_flight(&r, last);
	if (err == 0)
		err = dtls_session_decode(reader_rest(&r), session);
	/* A copy without its counter is the store's, and may not go on as it is. */
	if (err == 0 && session->write_seq & DTLS_SEQ_UNKNOWN)
		err = -EBADMSG;
	return err;
}

int dtls_endpoint_take(struct dtls_endpoint *e, struct span carried, struct address *association)
{
	struct dtls_last_flight last;
	struct dtls_session session;
	struct association *a = NULL;
	int err = read_carried(carried, &session, &last);

	if (err == 0)
		err = install(e, &session, &a);
	if (err == 0 && last.finished_len > 0) {
		a->last_flight = malloc(sizeof(last));
		if (a->last_flight)
			*a->last_flight = last;
	}
	if (err == 0)
		*association = association_address(a);
	dtls_session_wipe(&session);
	return err;
}

bool dtls_endpoint_is_news(const struct dtls_endpoint *e, const struct address *association,
			   struct span datagram)
{
	const struct association *a = association_find(e, association);

	return a && dtls_session_proves(&a->session, datagram, 0);
}

int dtls_endpoint_set_slots(struct dtls_endpoint *e, const uint16_t *slots, size_t count)
{
	uint16_t *copy = count ? malloc(count * sizeof(*copy)) : NULL;

	if (count && !copy)
		return -ENOMEM;
	if (count)
		memcpy(copy, slots, count * sizeof(*copy));
	free(e->slot_ids);
	e->slot_ids = copy;
	e->slot_ids_count = count;
	return 0;
}
