/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Devices with credentials: who may speak for whom, by which session a device is reached, and what of that
 * outlives a restart. The layer below is a table here.
 */

#include "lwm2m_test.h"

#include "coap/block.h"

#define QUERY "ep=dev-1&lt=300&lwm2m=1.1&b=U"

enum { ASSOCIATIONS = 6 };

struct fake_association {
	bool live, bound;
	char endpoint[32]; /* of its credential */
	struct address place;
	uint64_t session;
	bool said;     /* the peer was told of the end */
	uint64_t mark; /* that it was restored with */
};

struct layer {
	struct fake_association associations[ASSOCIATIONS];
	struct lwm2m_security security;
	unsigned mismatches, saved, renewed;
	uint64_t sessions;   /* handshakes so far */
	uint32_t generation; /* of the last that was saved or restored */
	bool lost;	     /* nothing can be restored */
	bool guards;	     /* it is asked who has credentials */
	lwm2m_guard_fn *guard_done;
	void *guard_arg;
};

static struct address address_of(unsigned i)
{
	return (struct address){.family = ADDRESS_ASSOCIATION, .ip = {(uint8_t)(i + 1)}};
}

static struct fake_association *at(void *ctx, const struct address *peer)
{
	struct layer *l = ctx;
	struct fake_association *a;

	assert_int_equal(peer->family, ADDRESS_ASSOCIATION);
	assert_in_range(peer->ip[0], 1, ASSOCIATIONS);
	a = &l->associations[peer->ip[0] - 1];
	return a->live ? a : NULL;
}

static bool layer_guard(void *ctx, struct span endpoint, lwm2m_guard_fn *done, void *arg)
{
	struct layer *l = ctx;

	assert_true(span_is(endpoint, "dev-1"));
	l->guard_done = done;
	l->guard_arg = arg;
	return l->guards;
}

static bool layer_claim(void *ctx, const struct address *peer, struct span *endpoint)
{
	const struct fake_association *a = at(ctx, peer);

	if (!a || a->bound)
		return false;
	*endpoint = span_str(a->endpoint);
	return true;
}

static bool layer_place(void *ctx, const struct address *peer, struct address *out, uint64_t *session)
{
	const struct fake_association *a = at(ctx, peer);

	if (a) {
		*out = a->place;
		*session = a->session;
	}
	return a;
}

static void layer_bind(void *ctx, const struct address *peer)
{
	struct fake_association *a = at(ctx, peer);

	if (a)
		a->bound = true;
}

static void layer_unbind(void *ctx, const struct address *peer, struct span endpoint)
{
	struct fake_association *a = at(ctx, peer);

	assert_true(a && a->bound);
	assert_true(span_is(endpoint, a->endpoint));
	a->bound = false;
}

static void layer_drop(void *ctx, const struct address *peer, bool say)
{
	struct fake_association *a = at(ctx, peer);

	if (!a)
		return;
	a->live = false;
	a->said = say;
}

static void layer_save(void *ctx, const struct address *peer, struct span endpoint, uint32_t generation,
		       struct buffer *out)
{
	struct layer *l = ctx;

	assert_true(at(ctx, peer));
	assert_true(span_is(endpoint, at(ctx, peer)->endpoint));
	l->saved++;
	l->generation = generation;
	buffer_u8(out, peer->ip[0]);
}

static bool layer_restore(void *ctx, struct span endpoint, struct span sealed, uint32_t generation,
			  uint64_t mark, struct address *peer)
{
	struct layer *l = ctx;
	struct fake_association *a;

	assert_int_equal(sealed.len, 1);
	if (l->lost)
		return false;
	*peer = address_of(sealed.data[0] - 1U);
	a = &l->associations[sealed.data[0] - 1];
	assert_true(span_is(endpoint, a->endpoint));
	a->live = a->bound = true;
	a->mark = mark;
	l->generation = generation;
	return true;
}

static void layer_renew(void *ctx, const struct address *peer)
{
	assert_true(at(ctx, peer));
	((struct layer *)ctx)->renewed++;
}

static void layer_mismatch(void *ctx, const struct address *peer, struct span endpoint)
{
	assert_true(at(ctx, peer));
	assert_true(endpoint.len > 0);
	((struct layer *)ctx)->mismatches++;
}

static struct bench *secure_bench(struct layer *l)
{
	struct bench *b = bench_new();

	*l = (struct layer){0};
	l->security = (struct lwm2m_security){.ctx = l,
					      .guard = layer_guard,
					      .claim = layer_claim,
					      .place = layer_place,
					      .bind = layer_bind,
					      .unbind = layer_unbind,
					      .drop = layer_drop,
					      .save = layer_save,
					      .restore = layer_restore,
					      .mismatch = layer_mismatch,
					      .renew = layer_renew};
	b->security = &l->security;
	bench_restart(b);
	return b;
}

/* The device speaks by association `i` from now on; `endpoint`: it is a new one. */
static void speak_by(struct bench *b, struct layer *l, unsigned i, const char *endpoint)
{
	struct fake_association *a = &l->associations[i];

	b->peer = address_of(i);
	b->record_number = MAX(b->record_number, 1);
	if (!endpoint)
		return;
	*a = (struct fake_association){.live = true, .session = ++l->sessions};
	snprintf(a->endpoint, sizeof(a->endpoint), "%s", endpoint);
	assert_int_equal(address_parse("192.0.2.7:56830", &a->place), 0);
	b->record_number = 1;
}

static struct registration registration_of(struct bench *b)
{
	struct registration r;

	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	return r;
}

static void assert_is_at(struct bench *b, const struct address *place)
{
	struct registration r = registration_of(b);

	assert_true(address_equal(&r.address, place));
}

static void the_credential_says_who_registers(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32];

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_request(b, COAP_POST, 1, "/rd", "ep=dev-2&lt=300&lwm2m=1.1", "</3/0>");
	bench_expect(b, 1, COAP_BAD_REQUEST);
	assert_int_equal(l.mismatches, 1);
	bench_register(b, 2, "lt=300&lwm2m=1.1", location); /* without ep */
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_true(registration_of(b).secure);
	assert_true(l.associations[0].bound);
	assert_is_at(b, &l.associations[0].place);
	bench_request(b, COAP_POST, 3, "/rd", "ep=dev-2&lt=300&lwm2m=1.1",
		      "</3/0>"); /* bound, and still no other */
	bench_expect(b, 3, COAP_BAD_REQUEST);
	bench_free(b);
}

static void without_security_an_endpoint_is_needed(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_request(b, COAP_POST, 1, "/rd", "lt=300&lwm2m=1.1", "</3/0>");
	bench_expect(b, 1, COAP_BAD_REQUEST);
	bench_free(b);
}

static void a_session_without_a_claim_registers_nobody(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	l.associations[0].bound = true; /* to no device that is known here */
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	bench_expect(b, 1, COAP_BAD_REQUEST);
	assert_int_equal(b->write_count, 0);
	bench_free(b);
}

static void nobody_else_speaks_for_a_device(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	struct address plain = b->peer;
	char location[32];

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	/* another credential */
	speak_by(b, &l, 1, "dev-2");
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_expect(b, 2, COAP_NOT_FOUND);
	bench_request(b, COAP_DELETE, 3, location, "", NULL);
	bench_expect(b, 3, COAP_NOT_FOUND);
	/* none at all */
	b->peer = plain;
	b->record_number = 0;
	bench_request(b, COAP_POST, 4, location, "", NULL);
	bench_expect(b, 4, COAP_NOT_FOUND);
	bench_request(b, COAP_DELETE, 5, location, "", NULL);
	bench_expect(b, 5, COAP_NOT_FOUND);
	bench_request(b, COAP_POST, 6, "/rd", QUERY, "</3/0>");
	bench_expect(b, 6, COAP_BAD_REQUEST);
	assert_int_equal(b->write_count, 1);
	assert_true(l.associations[0].live);
	bench_free(b);
}

static void a_notification_needs_the_session_too(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	struct address plain = b->peer;
	char location[32], error[160];
	struct coap_message m;
	struct coap_token token;
	uint64_t ticket;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_OBSERVE, "/3/0/9", "", &ticket, error), 0);
	m = bench_receive(b);
	token = m.token;
	bench_answer(b, &m, COAP_CONTENT, "10", 1);
	bench_store_all(b);
	assert_int_equal(b->answers, 1);
	b->peer = plain;
	b->record_number = 0;
	bench_notify(b, COAP_CON, 77, token, 2, COAP_CONTENT, "11");
	assert_int_equal(bench_receive(b).type, COAP_RST);
	speak_by(b, &l, 1, "dev-2");
	bench_notify(b, COAP_CON, 78, token, 3, COAP_CONTENT, "12");
	assert_int_equal(bench_receive(b).type, COAP_RST);
	speak_by(b, &l, 0, NULL);
	bench_notify(b, COAP_CON, 79, token, 4, COAP_CONTENT, "13");
	bench_store_all(b);
	bench_expect(b, 79, 0);
	bench_free(b);
}

static void a_new_session_takes_over_when_it_is_stored(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32];

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	speak_by(b, &l, 1, "dev-1");
	bench_request(b, COAP_POST, 1, location, "",
		      NULL); /* the message id of the Register: another session */
	assert_int_equal(b->write_count, 2);
	assert_true(l.associations[0].live);
	bench_store_all(b);
	bench_expect(b, 1, COAP_CHANGED);
	assert_false(l.associations[0].live);
	assert_false(l.associations[0].said);
	assert_true(l.associations[1].bound);
	/* One that was not stored changes nothing. */
	speak_by(b, &l, 2, "dev-1");
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_finish_write(b, -EIO);
	assert_true(l.associations[1].live);
	assert_false(l.associations[2].bound);
	bench_free(b);
}

static void a_handshake_alone_makes_a_device_reachable(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32], error[160];
	struct address peer;
	uint64_t ticket;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY "Q", location); /* queue mode */
	peer = address_of(0);
	l.associations[0].live = false;
	lwm2m_server_closed(b->server, &peer);
	bench_store_all(b);
	assert_int_equal(registration_of(b).session.len, 0);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error), 0);
	bench_settle(b);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.outcome, LWM2M_QUEUED);
	assert_true(bench_silent(b)); /* it waits */
	speak_by(b, &l, 1, "dev-1");
	peer = address_of(1);
	lwm2m_server_established(b->server, &peer, span_str("dev-1"));
	assert_true(bench_silent(b));
	bench_settle(b);
	assert_true(l.associations[1].bound);
	{
		struct coap_message m = bench_receive(b);

		assert_true(address_equal(&b->sent[(b->sent_read - 1) % BENCH_SENT].to, &peer));
		bench_answer(b, &m, COAP_CONTENT, "10", -1);
	}
	bench_settle(b);
	{
		struct lwm2m_event e = bench_event(b, b->event_count - 1);

		assert_int_equal(e.type, EVENT_REQUEST_ENDED);
		assert_int_equal(e.state, QUEUED_ANSWERED);
		assert_true(span_is(e.request_id, b->answer_id));
	}
	bench_free(b);
}

static void without_session_who_does_not_sleep_is_refused_at_once(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32], error[160];
	struct address peer = address_of(0);
	uint64_t ticket;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	l.associations[0].live = false;
	lwm2m_server_closed(b->server, &peer);
	bench_store_all(b);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error),
			 LWM2M_REFUSED_UNREACHABLE);
	assert_non_null(strstr(error, "DTLS session"));
	assert_true(bench_silent(b));
	/* Who sleeps may come by itself. */
	speak_by(b, &l, 1, "dev-1");
	bench_register(b, 2, QUERY "Q", location);
	peer = address_of(1);
	l.associations[1].live = false;
	lwm2m_server_closed(b->server, &peer);
	bench_store_all(b);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error), 0);
	bench_settle(b);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.outcome, LWM2M_QUEUED);
	bench_free(b);
}

static void a_restart_goes_on_with_session_and_mark(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32], error[160];
	struct coap_message m;
	uint64_t ticket;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	b->record_number = 10;
	bench_register(b, 1, QUERY, location);
	assert_int_equal(l.generation, 1);
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	l.associations[0].live = false;
	bench_restart(b);
	assert_true(l.associations[0].bound);
	assert_int_equal(l.associations[0].mark, 11);
	assert_int_equal(l.generation, 2);
	/* A retransmission is known, though the association has a new name. */
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_expect(b, 2, COAP_CHANGED);
	assert_int_equal(b->write_count, 2);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error), 0);
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "10", -1);
	assert_int_equal(b->answers, 1);
	/* Where the session cannot go on, the registration stays. */
	l.associations[0].live = false;
	l.lost = true;
	bench_restart(b);
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error),
			 LWM2M_REFUSED_UNREACHABLE);
	bench_free(b);
}

static void a_move_is_saved_with_the_next_update(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32];
	unsigned saved;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	saved = l.saved;
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	assert_int_equal(l.saved, saved);
	assert_int_equal(address_parse("198.51.100.1:9", &l.associations[0].place), 0);
	assert_is_at(b, &l.associations[0].place);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	assert_int_equal(l.saved, saved + 1);
	assert_true(l.associations[0].live);
	bench_free(b);
}

static void numbers_are_renewed_when_that_is_stored(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	struct address peer = address_of(0), nobody = address_of(1);
	char location[32];
	unsigned saved;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	saved = l.saved;
	lwm2m_server_spent(b->server, &nobody);
	assert_int_equal(l.saved, saved);
	lwm2m_server_spent(b->server, &peer);
	assert_int_equal(l.saved, saved + 1);
	assert_int_equal(l.renewed, 0);
	bench_store_all(b);
	assert_int_equal(l.renewed, 1);

	/* A write that is not done renews nothing. */
	lwm2m_server_spent(b->server, &peer);
	bench_finish_write(b, -EIO);
	assert_int_equal(l.renewed, 1);
	bench_free(b);
}

static void who_leaves_keeps_its_session_for_a_while(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32];

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_DELETED);
	assert_true(l.associations[0].live);
	assert_false(l.associations[0].bound);
	bench_request(b, COAP_DELETE, 2, location, "", NULL); /* retransmission */
	bench_expect(b, 2, COAP_DELETED);
	bench_register(b, 3, QUERY, location);
	assert_true(l.associations[0].bound);
	bench_free(b);
}

/* Many devices count from the same message id and token after each boot. */
static void a_device_that_repeats_itself_in_a_new_session_is_new(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32];

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_DELETED);
	speak_by(b, &l, 1, "dev-1");
	bench_register(b, 1, QUERY, location);
	assert_int_equal(b->write_count, 3);
	assert_true(l.associations[1].bound);
	/* Within the session it is a retransmission, also after a restart. */
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>");
	bench_expect(b, 1, COAP_CREATED);
	l.associations[1].live = false;
	bench_restart(b);
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>");
	bench_expect(b, 1, COAP_CREATED);
	assert_int_equal(b->write_count, 3);
	bench_free(b);
}

static void revoking_ends_the_session_and_not_the_registration(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32];

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	lwm2m_server_revoke(b->server, span_str("somebody"));
	assert_true(l.associations[0].live);
	lwm2m_server_revoke(b->server, span_str("dev-1"));
	assert_false(l.associations[0].live);
	assert_true(l.associations[0].said);
	bench_store_all(b);
	assert_int_equal(registration_of(b).session.len, 0);
	bench_restart(b);
	assert_non_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_false(l.associations[0].live);
	bench_free(b);
}

static void a_session_that_ended_before_it_was_stored_leads_nowhere(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	char location[32], error[160];
	struct address peer = address_of(1);
	uint64_t ticket;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	speak_by(b, &l, 1, "dev-1");
	lwm2m_server_established(b->server, &peer, span_str("dev-1"));
	l.associations[1].live = false;
	bench_store_all(b);
	assert_false(l.associations[0].live);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/9", "", &ticket, error),
			 LWM2M_REFUSED_UNREACHABLE);
	bench_free(b);
}

static void who_left_may_come_without_security_if_it_has_no_credential(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	struct address plain = b->peer;
	char location[32], error[160];
	struct coap_message m;
	uint64_t ticket;

	(void)state;
	speak_by(b, &l, 0, "dev-1");
	bench_register(b, 1, QUERY, location);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_OBSERVE, "/3/0/9", "", &ticket, error), 0);
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "10", 1); /* what is wanted of it is kept */
	bench_store_all(b);
	bench_request(b, COAP_DELETE, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_DELETED);
	b->peer = plain;
	b->record_number = 0;
	l.guards = true;
	bench_request(b, COAP_POST, 3, "/rd", QUERY, "</3/0>");
	l.guard_done(l.guard_arg, LWM2M_UNGUARDED);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CREATED);
	assert_false(registration_of(b).secure);
	bench_free(b);
}

static void a_plain_registration_is_not_bound_by_a_handshake(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);
	struct address peer = address_of(0);
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	speak_by(b, &l, 0, "dev-1");
	lwm2m_server_established(b->server, &peer, span_str("dev-1"));
	assert_int_equal(b->write_count, 1);
	bench_register(b, 2, QUERY, location); /* but by a Register */
	assert_true(registration_of(b).secure);
	bench_free(b);
}

static void who_has_a_credential_does_not_register_without(void **state)
{
	struct layer l;
	struct bench *b = secure_bench(&l);

	(void)state;
	l.guards = true;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	assert_true(bench_silent(b));
	l.guard_done(l.guard_arg, LWM2M_GUARDED);
	bench_expect(b, 1, COAP_BAD_REQUEST);
	bench_request(b, COAP_POST, 2, "/rd", QUERY, "</3/0>");
	l.guard_done(l.guard_arg, LWM2M_GUARD_UNKNOWN);
	assert_true(bench_silent(b));
	assert_int_equal(b->write_count, 0);
	bench_request(b, COAP_POST, 2, "/rd", QUERY, "</3/0>");
	l.guard_done(l.guard_arg, LWM2M_UNGUARDED);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CREATED);
	/* Its retransmission is asked about too, and is then known. */
	bench_request(b, COAP_POST, 2, "/rd", QUERY, "</3/0>");
	l.guard_done(l.guard_arg, LWM2M_UNGUARDED);
	bench_expect(b, 2, COAP_CREATED);
	assert_int_equal(b->write_count, 1);
	bench_free(b);
}

static void a_register_in_blocks_is_asked_about_as_a_whole(void **state)
{
	static const char *const parts[] = {"</1/0>,</3/0>, <", "/3303/0>"};
	struct layer l;
	struct bench *b = secure_bench(&l);

	(void)state;
	l.guards = true;
	for (uint16_t i = 0; i < 2; i++) {
		struct coap_block block = {.num = i, .more = i == 0, .szx = 0};
		struct coap_message m;

		coap_message_init(&m, COAP_CON, COAP_POST, (uint16_t)(i + 1), bench_token(1));
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd")), 0);
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(QUERY)), 0);
		assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &block), 0);
		m.payload = span_str(parts[i]);
		bench_input(b, &m);
	}
	bench_expect(b, 1, COAP_CONTINUE);
	l.guard_done(l.guard_arg, LWM2M_UNGUARDED);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CREATED);
	assert_int_equal(registration_of(b).links.len, 24);
	bench_free(b);
}

static void a_shared_credential_registers_who_has_none(void **state)
{
	struct layer l;
	struct bench *b = bench_new();

	(void)state;
	bench_free(b);
	b = secure_bench(&l);
	b->config.shared_credentials = true;
	bench_restart(b);
	l.guards = true;
	speak_by(b, &l, 0, "fleet");
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</3/0>");
	l.guard_done(l.guard_arg, LWM2M_GUARDED);
	bench_expect(b, 1, COAP_BAD_REQUEST);
	bench_request(b, COAP_POST, 2, "/rd", QUERY, "</3/0>");
	snprintf(l.associations[0].endpoint, sizeof(l.associations[0].endpoint),
		 "dev-1"); /* that is whose it becomes */
	l.guard_done(l.guard_arg, LWM2M_UNGUARDED);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CREATED);
	assert_true(registration_of(b).secure);
	assert_true(l.associations[0].bound);
	bench_request(b, COAP_POST, 3, "/rd", "ep=dev-2&lt=300&lwm2m=1.1", "</3/0>"); /* but one alone */
	bench_expect(b, 3, COAP_BAD_REQUEST);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_credential_says_who_registers),
		cmocka_unit_test(without_security_an_endpoint_is_needed),
		cmocka_unit_test(who_has_a_credential_does_not_register_without),
		cmocka_unit_test(a_register_in_blocks_is_asked_about_as_a_whole),
		cmocka_unit_test(a_shared_credential_registers_who_has_none),
		cmocka_unit_test(a_session_without_a_claim_registers_nobody),
		cmocka_unit_test(nobody_else_speaks_for_a_device),
		cmocka_unit_test(a_notification_needs_the_session_too),
		cmocka_unit_test(a_new_session_takes_over_when_it_is_stored),
		cmocka_unit_test(a_handshake_alone_makes_a_device_reachable),
		cmocka_unit_test(without_session_who_does_not_sleep_is_refused_at_once),
		cmocka_unit_test(a_restart_goes_on_with_session_and_mark),
		cmocka_unit_test(a_move_is_saved_with_the_next_update),
		cmocka_unit_test(numbers_are_renewed_when_that_is_stored),
		cmocka_unit_test(who_leaves_keeps_its_session_for_a_while),
		cmocka_unit_test(a_device_that_repeats_itself_in_a_new_session_is_new),
		cmocka_unit_test(revoking_ends_the_session_and_not_the_registration),
		cmocka_unit_test(a_session_that_ended_before_it_was_stored_leads_nowhere),
		cmocka_unit_test(who_left_may_come_without_security_if_it_has_no_credential),
		cmocka_unit_test(a_plain_registration_is_not_bound_by_a_handshake),
	};

	return cmocka_run_group_tests_name("lwm2m-secure", tests, NULL, NULL);
}
