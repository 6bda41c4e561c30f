/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Handshakes under way: from a hello with a valid cookie to an association, or to a refusal.
 *
 * The hard idea: an attempt belongs to one thread at a time. While a job computes with public keys nothing
 * here touches the handshake; what arrives meanwhile waits, within a bound, and an attempt that is replaced
 * lives on until its job is back. Strangers cost nothing before their cookie, and little after it: attempts
 * are capped, and each source network has a budget of them.
 */

#include "dtls/endpoint_private.h"

enum {
	WAITING_BYTES = 8 << 10, /* records that arrive while a job runs */
	RECHECK_MS = 10000,	 /* for the credential of a session that was resumed */
	TOKENS_PER_HELLO = 1000,
	STALE_MS = 5000, /* an attempt of this age makes room for another, if there is none */
};

struct waiting {
	struct list node;
	struct dtls_record record; /* borrows from `bytes` */
	uint8_t bytes[];
};

struct dtls_job {
	struct attempt *attempt;
	uint64_t now_ms;
	enum dtls_progress progress;
};

struct attempt {
	struct list node; /* in endpoint->attempts_by_age */
	uint64_t began_ms;
	struct dtls_endpoint *endpoint;
	struct dtls_handshake *handshake;
	struct address peer;
	uint8_t client_random[DTLS_RANDOM];
	uint64_t ticket;
	struct timer timer;
	struct dtls_job job;
	struct list waiting;
	size_t waiting_bytes;
	struct claim *claim;	  /* what the credential said */
	enum dtls_progress asked; /* the question whose answer is awaited; DTLS_WAITING: none */
	bool resumed;		  /* complete, but the credential is looked at once more */
	bool computing;
	bool abandoned; /* goes when its job is back */
};

enum alert { ACCESS_DENIED = 49, INTERNAL_ERROR = 80 };

static void on_timer(struct timer *timer, uint64_t now_ms);
static void advance(struct attempt *a, uint64_t now_ms);

/* ---- finding ---- */

static uint32_t peer_hash(const struct dtls_endpoint *e, const struct address *peer)
{
	return endpoint_hash(e, span_of(peer, sizeof(*peer)));
}

static bool match_peer(const void *item, const void *key)
{
	return address_equal(&((const struct attempt *)item)->peer, key);
}

static struct attempt *find(const struct dtls_endpoint *e, const struct address *peer)
{
	return map_find(&e->attempts_by_address, peer_hash(e, peer), match_peer, peer);
}

static bool match_ticket(const void *item, const void *key)
{
	return ((const struct attempt *)item)->ticket == *(const uint64_t *)key;
}

bool attempt_is_at(const struct dtls_endpoint *e, const struct address *from)
{
	return find(e, from);
}

/* The attempt which waits for this answer. */
static struct attempt *asked(const struct dtls_endpoint *e, uint64_t ticket, enum dtls_progress question)
{
	struct attempt *a = map_find(&e->attempts_by_ticket, (uint32_t)ticket, match_ticket, &ticket);

	return a && a->asked == question && !a->computing ? a : NULL;
}

/* ---- coming and going ---- */

static void forget_waiting(struct attempt *a)
{
	for (struct list *node; (node = list_take_first(&a->waiting));)
		free(container_of(node, struct waiting, node));
	a->waiting_bytes = 0;
}

static void discard(struct attempt *a)
{
	forget_waiting(a);
	dtls_handshake_free(a->handshake);
	free(a->claim);
	pool_give(&a->endpoint->attempts, a);
}

static void attempt_end(struct attempt *a)
{
	struct dtls_endpoint *e = a->endpoint;

	timer_cancel(e->timers, &a->timer);
	list_remove(&a->node);
	map_remove(&e->attempts_by_address, peer_hash(e, &a->peer), a);
	map_remove(&e->attempts_by_ticket, (uint32_t)a->ticket, a);
	e->stats.handshakes--;
	if (a->computing)
		a->abandoned = true;
	else
		discard(a);
}

void attempts_revoke(struct dtls_endpoint *e, struct span endpoint)
{
	uint32_t cursor = 0;

	for (struct attempt *a; (a = map_next(&e->attempts_by_ticket, &cursor));) {
		if (!a->claim || !span_equal(claim_endpoint(a->claim), endpoint))
			continue;
		attempt_end(a);
		cursor = 0; /* its removal may have moved others */
	}
}

static struct attempt *attempt_new(struct dtls_endpoint *e, const struct address *from,
				   const struct dtls_prestate *prestate,
				   const struct dtls_client_hello *hello, uint64_t now_ms)
{
	uint8_t cid[DTLS_CID_OWN];
	struct dtls_handshake_options options = {.peer = *from, .prestate = *prestate};
	struct attempt *a = pool_take(&e->attempts);

	if (!a)
		return NULL;
	if (e->config.connection_ids) {
		association_new_cid(e, cid);
		options.own_cid = span_of(cid, sizeof(cid));
	}
	a->endpoint = e;
	a->peer = *from;
	a->ticket = ++e->tickets;
	a->job.attempt = a;
	list_init(&a->waiting);
	memcpy(a->client_random, hello->random.data, DTLS_RANDOM);
	a->handshake = dtls_handshake_new(e->context, &options, now_ms);
	if (!a->handshake || map_insert(&e->attempts_by_address, peer_hash(e, from), a) < 0) {
		discard(a);
		return NULL;
	}
	if (map_insert(&e->attempts_by_ticket, (uint32_t)a->ticket, a) < 0) {
		map_remove(&e->attempts_by_address, peer_hash(e, from), a);
		discard(a);
		return NULL;
	}
	a->began_ms = now_ms;
	list_append(&e->attempts_by_age, &a->node);
	e->stats.handshakes++;
	return a;
}

void attempts_init(struct dtls_endpoint *e)
{
	pool_init(&e->attempts, sizeof(struct attempt), e->config.handshakes_max);
	map_init(&e->attempts_by_address);
	map_init(&e->attempts_by_ticket);
	list_init(&e->attempts_by_age);
}

void attempts_deinit(struct dtls_endpoint *e)
{
	uint32_t cursor = 0;

	assert(e->computing == 0);
	for (struct attempt *a; (a = map_next(&e->attempts_by_ticket, &cursor));) {
		timer_cancel(e->timers, &a->timer);
		discard(a);
	}
	map_deinit(&e->attempts_by_address);
	map_deinit(&e->attempts_by_ticket);
	pool_deinit(&e->attempts);
}

/* ---- the end ---- */

/* The peer takes it for complete, but may not come in: it is told so under its own keys. */
static void turn_away(struct attempt *a, const struct dtls_result *result, enum alert why)
{
	const uint8_t fatal[] = {2, (uint8_t)why};
	struct dtls_endpoint *e = a->endpoint;
	struct dtls_session session = result->session;
	struct writer w = writer_of(e->out, sizeof(e->out));

	if (dtls_session_seal(&session, &w, DTLS_ALERT, span_of(fatal, sizeof(fatal))) == 0)
		e->host.send(e->host.ctx, &a->peer, writer_span(&w));
	dtls_session_wipe(&session);
}

static void complete(struct attempt *a)
{
	struct dtls_endpoint *e = a->endpoint;
	const struct dtls_result *result = dtls_handshake_result(a->handshake);
	struct dtls_session session = result->session;
	struct association *made;
	struct dtls_claim claim;
	struct dtls_record early;
	struct address address;

	session.created_ms = session.used_ms = endpoint_wall(e);
	/* Without a claim it would be bound to nobody. */
	made = a->claim ? association_new(e, &session, a->claim) : NULL;
	dtls_session_wipe(&session);
	if (!made) {
		turn_away(a, result, ACCESS_DENIED);
		attempt_end(a);
		return;
	}
	a->claim = NULL;
	address = association_address(made);
	e->stats.handshakes_done++;
	e->stats.handshakes_resumed += result->resumed;
	if (result->last_flight.finished_len) {
		made->last_flight = malloc(sizeof(*made->last_flight));
		if (made->last_flight)
			*made->last_flight = result->last_flight;
	}
	/* With a connection id a session outlives addresses and restarts, and by PSK a full handshake costs
	 * hardly more than a short one: then it is not worth a write. */
	if (result->ticket.len && !(made->session.own_cid_len && result->kind == DTLS_IDENTITY_PSK))
		e->host.keep_ticket(e->host.ctx, result->session_id, result->ticket);
	if (dtls_endpoint_claim(e, &address, &claim))
		e->host.established(e->host.ctx, &address, &claim);
	while (dtls_handshake_next_early(a->handshake, &early)) {
		made = association_find(e, &address);
		if (!made)
			break;
		(void)endpoint_record(e, made, &a->peer, &early);
	}
	attempt_end(a);
}

static void fail(struct attempt *a)
{
	struct dtls_endpoint *e = a->endpoint;
	struct dtls_refusal refusal = {.peer = a->peer, .failure = dtls_handshake_failure(a->handshake)};

	refusal.identity = dtls_handshake_psk_identity(a->handshake);
	refusal.kind = refusal.identity.len ? DTLS_IDENTITY_PSK : DTLS_IDENTITY_NONE;
	if (a->claim && a->claim->identity_len) {
		refusal.identity = claim_identity(a->claim);
		refusal.kind = (enum dtls_identity)a->claim->kind;
	}
	e->stats.handshakes_failed++;
	e->host.refused(e->host.ctx, &refusal);
	attempt_end(a);
}

/* ---- the course ---- */

static void ask_credential(struct attempt *a, enum dtls_identity kind, const struct span *identity,
			   size_t count)
{
	struct dtls_host *host = &a->endpoint->host;

	if (kind == DTLS_IDENTITY_PSK)
		host->find_psk(host->ctx, a->ticket, identity[0]);
	else
		host->find_peer(host->ctx, a->ticket, identity, count, kind == DTLS_IDENTITY_RAW_KEY);
}

/* Asks once; the answer may come within the call, so `a` may be gone after it. */
static void ask(struct attempt *a, enum dtls_progress question)
{
	struct dtls_host *host = &a->endpoint->host;
	struct span chain[DTLS_CHAIN_MAX];
	bool raw_key;
	size_t count;

	if (a->asked == question)
		return;
	a->asked = question;
	if (question == DTLS_NEED_PSK) {
		chain[0] = dtls_handshake_psk_identity(a->handshake);
		ask_credential(a, DTLS_IDENTITY_PSK, chain, 1);
	} else if (question == DTLS_NEED_PEER) {
		count = dtls_handshake_peer(a->handshake, chain, &raw_key);
		ask_credential(a, raw_key ? DTLS_IDENTITY_RAW_KEY : DTLS_IDENTITY_X509, chain, count);
	} else {
		host->find_ticket(host->ctx, a->ticket, dtls_handshake_session_id(a->handshake));
	}
}

/* A resumed session is as good as the credential which it was made with still is. */
static void done(struct attempt *a, uint64_t now_ms)
{
	const struct dtls_result *result = dtls_handshake_result(a->handshake);

	if (!result->resumed || a->resumed || result->kind == DTLS_IDENTITY_NONE) {
		complete(a);
		return;
	}
	a->resumed = true;
	timer_set(a->endpoint->timers, &a->timer, now_ms + RECHECK_MS, on_timer);
	a->asked = result->kind == DTLS_IDENTITY_PSK ? DTLS_NEED_PSK : DTLS_NEED_PEER;
	ask_credential(a, result->kind, &result->identity, 1);
}

static void flush(struct attempt *a)
{
	struct span datagram;

	while (dtls_handshake_next_datagram(a->handshake, &datagram))
		a->endpoint->host.send(a->endpoint->host.ctx, &a->peer, datagram);
}

static void act_on(struct attempt *a, enum dtls_progress progress, uint64_t now_ms)
{
	struct dtls_endpoint *e = a->endpoint;
	uint64_t deadline;

	flush(a);
	switch (progress) {
	case DTLS_DONE:
		done(a, now_ms);
		return;
	case DTLS_FAILED:
		fail(a);
		return;
	case DTLS_EXPENSIVE:
		a->computing = true;
		e->computing++;
		a->job.now_ms = now_ms;
		timer_cancel(e->timers, &a->timer);
		e->host.run(e->host.ctx, &a->job);
		return;
	case DTLS_WAITING:
	case DTLS_NEED_PSK:
	case DTLS_NEED_PEER:
	case DTLS_NEED_RESUMPTION:
		break;
	}
	deadline = dtls_handshake_deadline(a->handshake);
	if (deadline != UINT64_MAX)
		timer_set(e->timers, &a->timer, deadline, on_timer);
	if (progress != DTLS_WAITING)
		ask(a, progress);
}

static void advance(struct attempt *a, uint64_t now_ms)
{
	if (!a->resumed)
		act_on(a, dtls_handshake_run(a->handshake, now_ms, false), now_ms);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct attempt *a = container_of(timer, struct attempt, timer);

	if (a->resumed)
		attempt_end(a);
	else
		advance(a, now_ms);
}

void dtls_job_run(struct dtls_job *job)
{
	job->progress = dtls_handshake_run(job->attempt->handshake, job->now_ms, true);
}

void dtls_job_done(struct dtls_job *job, uint64_t now_ms)
{
	struct attempt *a = job->attempt;

	a->computing = false;
	a->endpoint->computing--;
	if (a->abandoned) {
		discard(a);
		return;
	}
	for (struct list *node; (node = list_take_first(&a->waiting));) {
		struct waiting *w = container_of(node, struct waiting, node);

		dtls_handshake_input(a->handshake, &w->record);
		free(w);
	}
	a->waiting_bytes = 0;
	if (job->progress == DTLS_WAITING)
		advance(a, now_ms); /* perhaps for what has just come */
	else
		act_on(a, job->progress, now_ms);
}

void dtls_job_drop(struct dtls_job *job)
{
	struct attempt *a = job->attempt;

	a->computing = false;
	a->endpoint->computing--;
	if (a->abandoned)
		discard(a);
	else
		attempt_end(a);
}

/* ---- answers ---- */

static void answered(struct attempt *a, bool accepted, uint64_t now_ms)
{
	a->asked = DTLS_WAITING;
	if (!a->resumed) {
		advance(a, now_ms);
	} else if (accepted) {
		complete(a);
	} else {
		turn_away(a, dtls_handshake_result(a->handshake), ACCESS_DENIED);
		attempt_end(a);
	}
}

static bool take_claim(struct attempt *a, enum dtls_identity kind, struct span identity, struct span endpoint)
{
	free(a->claim);
	a->claim = claim_new(kind, identity, endpoint);
	return a->claim;
}

void dtls_endpoint_psk(struct dtls_endpoint *e, uint64_t ticket, struct span key, struct span endpoint,
		       uint64_t now_ms)
{
	struct attempt *a = asked(e, ticket, DTLS_NEED_PSK);
	struct span identity;
	bool known;

	if (!a)
		return;
	identity = a->resumed ? dtls_handshake_result(a->handshake)->identity
			      : dtls_handshake_psk_identity(a->handshake);
	known = take_claim(a, DTLS_IDENTITY_PSK, identity, endpoint) && key.len > 0;
	if (!a->resumed && known)
		dtls_handshake_set_psk(a->handshake, key);
	else if (!a->resumed)
		dtls_handshake_refuse(a->handshake);
	answered(a, known, now_ms);
}

void dtls_endpoint_peer(struct dtls_endpoint *e, uint64_t ticket, bool accepted, bool pinned,
			struct span endpoint, uint64_t now_ms)
{
	struct attempt *a = asked(e, ticket, DTLS_NEED_PEER);
	struct span chain[DTLS_CHAIN_MAX] = {{NULL, 0}};
	bool raw_key = false;

	if (!a)
		return;
	if (a->resumed) {
		chain[0] = dtls_handshake_result(a->handshake)->identity;
		raw_key = dtls_handshake_result(a->handshake)->kind == DTLS_IDENTITY_RAW_KEY;
	} else {
		(void)dtls_handshake_peer(a->handshake, chain, &raw_key);
	}
	accepted = take_claim(a, raw_key ? DTLS_IDENTITY_RAW_KEY : DTLS_IDENTITY_X509, chain[0], endpoint) &&
		   accepted;
	if (!a->resumed && accepted)
		dtls_handshake_accept_peer(a->handshake, pinned);
	else if (!a->resumed)
		dtls_handshake_refuse(a->handshake);
	answered(a, accepted, now_ms);
}

void dtls_endpoint_ticket(struct dtls_endpoint *e, uint64_t ticket, struct span resumption, uint64_t now_ms)
{
	struct attempt *a = asked(e, ticket, DTLS_NEED_RESUMPTION);

	if (!a)
		return;
	dtls_handshake_resume(a->handshake, resumption);
	answered(a, true, now_ms);
}

void dtls_endpoint_unanswered(struct dtls_endpoint *e, uint64_t ticket)
{
	struct attempt *a = map_find(&e->attempts_by_ticket, (uint32_t)ticket, match_ticket, &ticket);

	if (!a || a->computing || a->asked == DTLS_WAITING)
		return;
	a->asked = DTLS_WAITING;
	if (!a->resumed)
		return;
	turn_away(a, dtls_handshake_result(a->handshake), INTERNAL_ERROR);
	attempt_end(a);
}

/* ---- what arrives ---- */

static void wait_for_job(struct attempt *a, const struct dtls_record *record)
{
	struct waiting *w;

	if (a->waiting_bytes + record->whole.len > WAITING_BYTES)
		return;
	w = malloc(sizeof(*w) + record->whole.len);
	if (!w)
		return;
	w->record = *record;
	memcpy(w->bytes, record->whole.data, record->whole.len);
	w->record.whole.data = w->bytes;
	w->record.fragment.data = w->bytes + (record->fragment.data - record->whole.data);
	if (record->cid.len)
		w->record.cid.data = w->bytes + (record->cid.data - record->whole.data);
	list_append(&a->waiting, &w->node);
	a->waiting_bytes += record->whole.len;
}

bool attempt_input(struct dtls_endpoint *e, const struct address *from, const struct dtls_record *record,
		   uint64_t now_ms)
{
	struct attempt *a = find(e, from);

	if (!a)
		return false;
	if (a->computing) {
		wait_for_job(a, record);
	} else {
		dtls_handshake_input(a->handshake, record);
		advance(a, now_ms);
	}
	return true;
}

/* One token for `rate` per second, which gather up to twice that. */
static bool spend(struct bucket *b, uint64_t rate, uint64_t now_ms)
{
	uint64_t full = rate * 2 * TOKENS_PER_HELLO;
	/* One hello per second is one token per millisecond. */
	uint64_t tokens = b->at_ms ? MIN(full, b->tokens + (now_ms - b->at_ms) * rate) : full;

	if (rate == 0)
		return true;
	b->at_ms = MAX(now_ms, 1);
	b->tokens = (uint32_t)MIN(tokens, UINT32_MAX);
	if (b->tokens < TOKENS_PER_HELLO)
		return false;
	b->tokens -= TOKENS_PER_HELLO;
	return true;
}

/* A source network: /24 or /56, as one operator or one customer has it. */
static struct bucket *bucket_of(struct dtls_endpoint *e, const struct address *from)
{
	return &e->buckets[endpoint_hash(e, span_of(from->ip, from->family == 4 ? 3 : 7)) % BUCKETS];
}

/* Whoever has cookies for many addresses and goes no further holds no place for long. */
static void make_room(struct dtls_endpoint *e, uint64_t now_ms)
{
	if (e->attempts.used < e->attempts.limit)
		return;
	list_for_each_safe (node, &e->attempts_by_age) {
		struct attempt *a = container_of(node, struct attempt, node);

		if (now_ms < a->began_ms + STALE_MS)
			return;
		if (a->computing)
			continue;
		attempt_end(a);
		return;
	}
}

static void verified(struct dtls_endpoint *e, const struct address *from, const struct dtls_record *record,
		     const struct dtls_prestate *prestate, const struct dtls_client_hello *hello,
		     uint64_t now_ms)
{
	struct attempt *a = find(e, from);

	/* The same hello once more: its attempt knows what to do. */
	if (a && memcmp(a->client_random, hello->random.data, DTLS_RANDOM) == 0) {
		(void)attempt_input(e, from, record, now_ms);
		return;
	}
	e->stats.verified++;
	if (!spend(bucket_of(e, from), e->config.hellos_per_s, now_ms)) {
		e->stats.hellos_limited++;
		return;
	}
	if (a)
		attempt_end(a);
	make_room(e, now_ms);
	a = attempt_new(e, from, prestate, hello, now_ms);
	if (!a) {
		e->stats.hellos_limited++;
		return;
	}
	dtls_handshake_input(a->handshake, record);
	advance(a, now_ms);
}

void attempt_hello(struct dtls_endpoint *e, const struct address *from, const struct dtls_record *record,
		   uint64_t now_ms)
{
	struct writer w = writer_of(e->out, sizeof(e->out));
	struct dtls_client_hello hello;
	struct dtls_prestate prestate;

	e->stats.hellos++;
	if (!spend(&e->all_hellos, e->config.hellos_max_per_s, now_ms)) {
		e->stats.hellos_limited++;
		return;
	}
	switch (dtls_cookie_check(&e->cookie_keys, from, record, &w, &prestate, &hello)) {
	case DTLS_HELLO_ANSWERED:
		e->host.send(e->host.ctx, from, writer_span(&w));
		break;
	case DTLS_HELLO_VERIFIED:
		verified(e, from, record, &prestate, &hello, now_ms);
		break;
	case DTLS_HELLO_IGNORED:
		break;
	}
}
