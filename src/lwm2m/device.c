/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of devices and how each is found.
 *
 * The hard idea: one map serves three keys. A device's place is a keyed hash of (role, endpoint).
 * Registration ids start with 36 bits of that hash and tokens with 32, so Update and Notify lead to the
 * device without an index of their own - and, in a cluster, to its record on any node. The rest of id and
 * token is random and is compared with the record.
 */

#include "lwm2m/core.h"

enum { ID_HASH_CHARS = 6, TOKEN_LEN = 8, TOKEN_OBSERVATION = 0x80 };

static const char id_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint64_t full_hash(const struct lwm2m_server *s, struct span endpoint)
{
	return store_key_hash(&s->config.hash_key, (struct store_key){STORE_MANAGEMENT, endpoint});
}

uint32_t device_hash(const struct lwm2m_server *s, struct span endpoint)
{
	return (uint32_t)(full_hash(s, endpoint) >> 32);
}

/* The hash that a registration id starts with. */
bool device_id_hash(struct span id, uint32_t *hash)
{
	uint64_t bits = 0;

	if (id.len != REGISTRATION_ID)
		return false;
	for (size_t i = 0; i < ID_HASH_CHARS; i++) {
		const char *at = id.data[i] ? strchr(id_alphabet, id.data[i]) : NULL;

		if (!at)
			return false;
		bits = bits << 6 | (uint64_t)(at - id_alphabet);
	}
	*hash = (uint32_t)(bits >> 4);
	return true;
}

void device_new_id(struct device *d, char id[REGISTRATION_ID + 1])
{
	uint64_t hash = full_hash(d->server, device_endpoint(d));
	uint32_t random = random_u32(d->server->random);

	for (unsigned i = 0; i < ID_HASH_CHARS; i++)
		id[i] = id_alphabet[hash >> (58 - 6 * i) & 63];
	for (unsigned i = ID_HASH_CHARS; i < REGISTRATION_ID; i++, random >>= 6)
		id[i] = id_alphabet[random & 63];
	id[REGISTRATION_ID] = 0;
}

struct coap_token device_new_token(struct device *d, bool observation)
{
	struct coap_token token = {.len = TOKEN_LEN};
	struct writer w = writer_of(token.bytes, sizeof(token.bytes));

	do {
		uint32_t random = random_u32(d->server->random);

		w.pos = w.start;
		writer_u32(&w, d->hash);
		writer_u32(&w, observation ? random | (uint32_t)TOKEN_OBSERVATION << 24
					   : random & ~((uint32_t)TOKEN_OBSERVATION << 24));
	} while (coap_token_in_use(&d->server->coap, &token) || device_find_token(d->server, &token));
	return token;
}

/* ---- look-ups ---- */

static bool match_endpoint(const void *item, const void *key)
{
	return span_equal(device_endpoint(item), *(const struct span *)key);
}

struct device *device_find(struct lwm2m_server *s, struct span endpoint)
{
	if (endpoint.len == 0 || endpoint.len > STORE_ENDPOINT_MAX)
		return NULL;
	return map_find(&s->devices, device_hash(s, endpoint), match_endpoint, &endpoint);
}

static bool match_id(const void *item, const void *key)
{
	const struct device *d = item;
	struct span id;

	return registration_peek(blob_span(d->latest ? d->latest : d->record), &id) &&
	       span_equal(id, *(const struct span *)key);
}

struct device *device_find_id(struct lwm2m_server *s, struct span id)
{
	uint32_t hash;

	return device_id_hash(id, &hash) ? map_find(&s->devices, hash, match_id, &id) : NULL;
}

struct departed_key {
	uint16_t mid;
	uint32_t hash;
	uint32_t now_s;
};

static bool match_departed(const void *item, const void *key)
{
	const struct device *d = item;
	const struct departed_key *k = key;
	uint8_t code;

	return coap_dedup_find(&d->hot.dedup, k->mid, k->hash, k->now_s, &code) != COAP_SEEN_NEW;
}

struct device *device_find_departed(struct lwm2m_server *s, struct span id, const struct incoming *in)
{
	struct departed_key key = {.mid = in->m->mid, .now_s = (uint32_t)(server_wall(s) / 1000)};
	uint32_t hash;

	if (!device_id_hash(id, &hash) || in->m->type != COAP_CON)
		return NULL;
	key.hash = in->hash;
	return map_find(&s->devices, hash, match_departed, &key);
}

static bool match_token(const void *item, const void *key)
{
	struct registration r;
	struct observation o;

	if (!device_latest(item, &r))
		return false;
	for (struct span left = r.observations; observation_next(&left, &o);)
		if (coap_token_equal(&o.token, key))
			return true;
	return false;
}

bool token_is_observation(const struct coap_token *token)
{
	return token->len == TOKEN_LEN && token->bytes[4] & TOKEN_OBSERVATION;
}

struct device *device_find_token(struct lwm2m_server *s, const struct coap_token *token)
{
	struct reader r = reader_of(span_of(token->bytes, token->len));

	if (!token_is_observation(token))
		return NULL;
	return map_find(&s->devices, reader_u32(&r), match_token, token);
}

static bool match_address(const void *item, const void *key)
{
	return address_equal(&((const struct device *)item)->peer.address, key);
}

static uint32_t address_bucket(const struct lwm2m_server *s, const struct address *address)
{
	return (uint32_t)address_hash(&s->config.hash_key, address);
}

struct device *device_find_address(struct lwm2m_server *s, const struct address *address)
{
	return map_find(&s->addresses, address_bucket(s, address), match_address, address);
}

/* ---- coming and going ---- */

static bool slots_grow(struct lwm2m_server *s)
{
	uint32_t count = s->slot_count ? s->slot_count * 2 : 64;
	uintptr_t *slots = reallocarray(s->slots, count, sizeof(*slots));

	if (!slots)
		return false;
	for (uint32_t i = s->slot_count; i < count; i++)
		slots[i] = (uintptr_t)(i + 1) << 1 | 1;
	s->slots = slots;
	s->slot_count = count;
	return true;
}

static bool slot_take(struct lwm2m_server *s, struct device *d)
{
	if (s->slot_free == s->slot_count && !slots_grow(s))
		return false;
	d->slot = s->slot_free;
	s->slot_free = (uint32_t)(s->slots[d->slot] >> 1);
	s->slots[d->slot] = (uintptr_t)d;
	return true;
}

static void slot_give(struct lwm2m_server *s, struct device *d)
{
	s->slots[d->slot] = (uintptr_t)s->slot_free << 1 | 1;
	s->slot_free = d->slot;
}

struct device *device_next(const struct lwm2m_server *s, uint32_t *cursor)
{
	while (*cursor < s->slot_count) {
		uintptr_t slot = s->slots[(*cursor)++];

		if (!(slot & 1))
			return (struct device *)slot;
	}
	return NULL;
}

struct device *device_new(struct lwm2m_server *s, struct span endpoint)
{
	struct device *d;

	assert(endpoint.len > 0 && endpoint.len <= STORE_ENDPOINT_MAX);
	if (s->devices.count >= s->config.devices_max)
		return NULL;
	d = calloc(1, sizeof(*d) + endpoint.len);
	if (!d)
		return NULL;
	d->server = s;
	d->endpoint_len = (uint8_t)endpoint.len;
	memcpy(d->endpoint, endpoint.data, endpoint.len);
	d->hash = device_hash(s, endpoint);
	d->hot.fence = s->config.fence;
	d->hot.fence.gen = 1;
	list_init(&d->operations);
	choose_reset(d);
	coap_peer_init(&s->coap, &d->peer, &(struct address){0}, &s->config.coap);
	if (!slot_take(s, d)) {
		free(d);
		return NULL;
	}
	if (map_insert(&s->devices, d->hash, d) < 0) {
		slot_give(s, d);
		free(d);
		return NULL;
	}
	return d;
}

void device_unlocate(struct device *d)
{
	struct lwm2m_server *s = d->server;

	if (d->located)
		map_remove(&s->addresses, address_bucket(s, &d->peer.address), d);
	d->located = false;
}

void device_free(struct device *d)
{
	struct lwm2m_server *s = d->server;

	assert(d->inflight == 0 && d->held == 0);
	queue_detach(d);
	list_remove(&d->awake);
	list_remove(&d->observe_turn);
	operations_cancel(d, "the device is gone");
	timer_cancel(s->timers, &d->timer);
	device_release(d);
	device_unlocate(d);
	coap_peer_deinit(&s->coap, &d->peer);
	map_remove(&s->devices, d->hash, d);
	slot_give(s, d);
	device_set_record(d, NULL);
	free(d->fresh);
	free(d);
}

void device_free_if_done(struct device *d)
{
	device_rested(d);
	if (d->inflight == 0 && d->held == 0 && (d->forgotten || (!d->record && !timer_is_set(&d->timer))))
		device_free(d);
}

int device_locate(struct device *d, const struct address *address)
{
	struct lwm2m_server *s = d->server;
	struct device *other;

	if (d->forgotten)
		return -1;
	if (d->located && address_equal(&d->peer.address, address))
		return 0;
	other = device_find_address(s, address);
	if (other)
		device_unlocate(other);
	device_unlocate(d);
	coap_peer_move(&s->coap, &d->peer, address);
	if (map_insert(&s->addresses, address_bucket(s, address), d) < 0)
		return -1;
	d->located = true;
	return 0;
}

/* ---- what it is ---- */

static void count_record(const struct blob *record, struct registration *r, size_t *registered,
			 size_t *observations)
{
	struct observation o;

	*registered = *observations = 0;
	if (!record || registration_decode(blob_span(record), r) < 0)
		*r = (struct registration){0};
	*registered = r->present;
	for (struct span left = r->observations; observation_next(&left, &o);)
		++*observations;
}

void device_set_record(struct device *d, struct blob *record)
{
	struct lwm2m_server *s = d->server;
	size_t registered, observations;
	struct registration r;

	count_record(d->record, &r, &registered, &observations);
	s->registered -= registered;
	s->stats.observations -= observations;
	count_record(record, &r, &registered, &observations);
	s->registered += registered;
	s->stats.observations += observations;
	free(d->record);
	d->record = record;
	presence_note_record(d, &r);
}

bool device_latest(const struct device *d, struct registration *out)
{
	const struct blob *b = d->latest ? d->latest : d->record;

	return b && registration_decode(blob_span(b), out) == 0;
}

bool device_is_registered(const struct device *d)
{
	struct span id;

	return registration_peek(blob_span(d->record), &id);
}

struct span device_endpoint(const struct device *d)
{
	return span_of(d->endpoint, d->endpoint_len);
}

void device_registration(const struct device *d, struct registration *out)
{
	int err = registration_decode(blob_span(d->record), out);

	assert(err == 0); /* it was encoded or checked here */
	if (out->secure && d->located)
		(void)device_place(d, &d->peer.address, &out->address);
}

uint64_t device_seen_ms(const struct device *d)
{
	return d->hot.seen_ms;
}

uint64_t device_left_ms(const struct device *d)
{
	const struct lwm2m_server *s = d->server;
	struct registration r;
	uint64_t wall = server_wall(s);
	uint64_t end_ms;

	if (registration_decode(blob_span(d->record), &r) < 0 || (r.present && r.lifetime_s == 0))
		return UINT64_MAX;
	end_ms = d->hot.seen_ms + (r.present ? (uint64_t)r.lifetime_s * 1000 + s->config.lifetime_grace_ms
					     : AWAY_RETENTION_MS);
	return end_ms > wall ? end_ms - wall : 0;
}

void device_arm(struct device *d, uint64_t not_before_ms)
{
	struct lwm2m_server *s = d->server;
	uint64_t left_ms = device_left_ms(d), deadline_ms;

	if (left_ms == UINT64_MAX) {
		timer_cancel(s->timers, &d->timer);
		return;
	}
	/* A timer that fires too early looks at the clock and goes on: cheaper than moving it with each
	 * message, since its neighbours in the wheel are in nobody's cache. */
	deadline_ms = server_now(s) + MAX(left_ms, not_before_ms);
	if (!timer_is_set(&d->timer) || d->timer.deadline_ms > deadline_ms)
		timer_set(s->timers, &d->timer, deadline_ms, device_timer_fired);
}
