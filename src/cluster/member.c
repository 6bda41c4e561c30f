/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The view of the cluster.
 *
 * The hard idea: absence means something only if it was looked for with a store that was there all the time.
 * A store that was away for longer than a lease comes back without any lease, or with those of the nodes that
 * were quickest; so removals wait for one lease time after it is back, additions do not. That it was away is
 * told by errors, or by nothing but the time that an answer took: of a store that stood still no call fails.
 */

#include "cluster/member.h"

#include <errno.h>

/* ---- bodies of leases ---- */

enum { BODY_VERSION = 1 };

static void address_encode(const struct address *a, struct writer *w)
{
	writer_u8(w, a->family);
	writer_bytes(w, span_of(a->ip, sizeof(a->ip)));
	writer_u16(w, a->port);
}

static void address_decode(struct reader *r, struct address *out)
{
	struct span ip;

	*out = (struct address){.family = reader_u8(r)};
	ip = reader_bytes(r, sizeof(out->ip));
	if (ip.len)
		memcpy(out->ip, ip.data, ip.len);
	out->port = reader_u16(r);
}

void member_encode(const struct member *m, struct writer *w)
{
	writer_u8(w, BODY_VERSION);
	writer_u8(w, (uint8_t)m->state);
	writer_u16(w, m->weight);
	writer_u16(w, m->record_min);
	writer_u16(w, m->record_max);
	address_encode(&m->link, w);
	address_encode(&m->http, w);
	writer_span16(w, span_str(m->version));
}

bool member_decode(struct span body, struct member *out)
{
	struct reader r = reader_of(body);
	struct span version;
	uint8_t layout = reader_u8(&r);

	*out = (struct member){.state = (enum member_state)reader_u8(&r)};
	out->weight = reader_u16(&r);
	out->record_min = reader_u16(&r);
	out->record_max = reader_u16(&r);
	address_decode(&r, &out->link);
	address_decode(&r, &out->http);
	version = reader_span16(&r);
	if (r.failed || layout < BODY_VERSION || version.len > MEMBER_VERSION_MAX || out->weight == 0 ||
	    (out->state != MEMBER_UP && out->state != MEMBER_LEAVING))
		return false;
	if (version.len)
		memcpy(out->version, version.data, version.len);
	return true;
}

/* ---- the view ---- */

struct members {
	struct members_config config;
	struct members_host host;
	struct store *store;
	struct timers *timers;
	struct timer timer;
	struct member list[MEMBERS_MAX];
	size_t count;
	struct member seen[MEMBERS_MAX]; /* by the listing under way */
	size_t seen_count;
	unsigned busy; /* calls under way */
	bool joined, away, stopped;
	bool looked;		/* at the leases, once at least */
	bool contested;		/* our id is another's, since ... */
	uint64_t contested_ms;	/* ... then */
	uint64_t keep_until_ms; /* nobody is removed before */
	uint64_t heard_ms;	/* when the store answered last */
	uint64_t outages;
};

bool members_joined(const struct members *m)
{
	return m->joined && m->looked;
}

/* Leases that were renewed when it was heard last may have ended since. */
static bool is_silent(const struct members *m)
{
	return m->timers->now_ms > m->heard_ms + m->config.ttl_ms - m->config.renew_ms;
}

bool members_is_settling(const struct members *m)
{
	return m->away || is_silent(m) || m->timers->now_ms < m->keep_until_ms;
}

uint64_t members_outages(const struct members *m)
{
	return m->outages;
}

size_t members_count(const struct members *m)
{
	return m->count;
}

const struct member *members_at(const struct members *m, size_t index)
{
	return index < m->count ? &m->list[index] : NULL;
}

const struct member *members_find(const struct members *m, uint32_t node)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->list[i].node == node)
			return &m->list[i];
	return NULL;
}

bool members_is_live(const struct members *m, const struct store_fence *owner)
{
	const struct member *found = members_find(m, owner->node);

	return found && found->incarnation == owner->incarnation;
}

static bool same_word(const struct member *a, const struct member *b)
{
	return a->incarnation == b->incarnation && a->state == b->state && a->weight == b->weight &&
	       a->record_min == b->record_min && a->record_max == b->record_max &&
	       address_equal(&a->link, &b->link) && address_equal(&a->http, &b->http) &&
	       strcmp(a->version, b->version) == 0;
}

/* Puts it at its place in the order of ids. True if that says something new. */
static bool put(struct members *m, const struct member *one)
{
	size_t at = 0;
	bool news;

	while (at < m->count && m->list[at].node < one->node)
		at++;
	if (at < m->count && m->list[at].node == one->node) {
		news = !same_word(&m->list[at], one);
		m->list[at] = *one;
		return news;
	}
	if (m->count == MEMBERS_MAX)
		return false;
	memmove(&m->list[at + 1], &m->list[at], (m->count - at) * sizeof(*one));
	m->list[at] = *one;
	m->count++;
	return true;
}

static bool was_seen(const struct members *m, uint32_t node)
{
	for (size_t i = 0; i < m->seen_count; i++)
		if (m->seen[i].node == node)
			return true;
	return false;
}

static bool remove_unseen(struct members *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->count; i++)
		if (was_seen(m, m->list[i].node))
			m->list[kept++] = m->list[i];
	if (kept == m->count)
		return false;
	m->count = kept;
	return true;
}

static void listed(struct members *m)
{
	bool news = false;

	m->looked = true;
	for (size_t i = 0; i < m->seen_count; i++)
		news |= put(m, &m->seen[i]);
	if (m->timers->now_ms >= m->keep_until_ms)
		news |= remove_unseen(m);
	if (news)
		m->host.changed(m->host.ctx);
}

static void note_back(struct members *m)
{
	if (m->away || is_silent(m)) {
		m->keep_until_ms = m->timers->now_ms + m->config.ttl_ms + m->config.renew_ms;
		m->outages++;
	}
	m->away = false;
	m->heard_ms = m->timers->now_ms;
}

static void on_listed(void *ctx, int result, const struct store_lease *lease)
{
	struct members *m = ctx;
	struct member one;

	if (result == STORE_DONE && lease) {
		if (!member_decode(lease->body, &one) || m->seen_count == MEMBERS_MAX)
			return;
		one.node = lease->node;
		one.incarnation = lease->incarnation;
		one.until_ms = lease->until_ms;
		m->seen[m->seen_count++] = one;
		return;
	}
	m->busy--;
	if (m->stopped)
		return;
	if (result < 0) {
		m->away = true;
		return;
	}
	note_back(m);
	listed(m);
}

static void list_members(struct members *m)
{
	m->seen_count = 0;
	m->busy++;
	if (store_lease_list(m->store, on_listed, m) < 0) {
		m->busy--;
		m->away = true;
	}
}

/* Another process has our id: perhaps the one before us, whose lease ends soon. */
static void contested(struct members *m, const struct store_lease *other)
{
	uint64_t now = m->timers->now_ms;

	if (!m->contested)
		m->contested_ms = now;
	m->contested = true;
	/* Once we were in, whoever has our id now took it while we were believed dead. */
	if (!m->joined && now < m->contested_ms + m->config.ttl_ms + m->config.renew_ms)
		return;
	members_stop(m);
	m->host.refused(m->host.ctx, other);
}

static void on_taken(void *ctx, int result, const struct store_lease *lease)
{
	struct members *m = ctx;

	m->busy--;
	if (m->stopped)
		return;
	if (result < 0) {
		m->away = true;
		return;
	}
	note_back(m);
	if (result == STORE_REFUSED) {
		contested(m, lease);
		return;
	}
	m->contested = false;
	m->joined = true;
	list_members(m);
}

static void renew(struct members *m)
{
	uint8_t body[MEMBER_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));

	if (m->busy)
		return;
	member_encode(&m->config.self, &w);
	assert(!w.failed);
	m->busy++;
	if (store_lease_take(m->store, writer_span(&w), m->config.ttl_ms, on_taken, m) < 0) {
		m->busy--;
		m->away = true;
	}
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
	struct members *m = container_of(t, struct members, timer);

	timer_set(m->timers, t, now_ms + m->config.renew_ms, on_timer);
	renew(m);
}

struct members *members_new(const struct members_config *config, const struct members_host *host,
			    struct store *store, struct timers *timers)
{
	struct members *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->config = *config;
	m->host = *host;
	m->store = store;
	m->timers = timers;
	m->heard_ms = timers->now_ms;
	timer_set(timers, &m->timer, timers->now_ms, on_timer);
	return m;
}

void members_leave(struct members *m)
{
	m->config.self.state = MEMBER_LEAVING;
	if (!m->stopped)
		timer_set(m->timers, &m->timer, m->timers->now_ms, on_timer);
}

void members_refresh(struct members *m)
{
	if (!m->stopped && m->joined && !m->busy)
		list_members(m);
}

void members_stop(struct members *m)
{
	m->stopped = true;
	timer_cancel(m->timers, &m->timer);
}

struct members *members_free(struct members *m)
{
	if (m)
		timer_cancel(m->timers, &m->timer);
	free(m);
	return NULL;
}
