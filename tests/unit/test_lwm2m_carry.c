/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A device with a DTLS session moves: what is asked of the layer below, and when. The layer is a table here.
 */

#include "lwm2m_cluster.h"

enum { ASSOCIATIONS = 4 };

struct association {
	bool live, bound, held, given;
	uint64_t session;
	unsigned counter; /* of what was said */
	struct address place;
};

struct layer {
	struct lwm2m_security security;
	struct association associations[ASSOCIATIONS];
	unsigned first; /* its addresses differ from those of other nodes */
	uint32_t restored_at;
	uint64_t restored_mark;
	bool lost; /* what is carried cannot go on */
	unsigned carried, arrived, located;
	bool hides; /* sessions have no connection id */
};

static struct address address_of(const struct layer *l, unsigned i)
{
	return (struct address){.family = ADDRESS_ASSOCIATION, .ip = {(uint8_t)(l->first + i)}};
}

static struct association *at(void *ctx, const struct address *peer)
{
	struct layer *l = ctx;
	struct association *a;

	assert_int_equal(peer->family, ADDRESS_ASSOCIATION);
	assert_in_range(peer->ip[0], l->first, l->first + ASSOCIATIONS - 1);
	a = &l->associations[peer->ip[0] - l->first];
	return a->live ? a : NULL;
}

static bool layer_guard(void *ctx, struct span endpoint, lwm2m_guard_fn *done, void *arg)
{
	(void)ctx;
	(void)endpoint;
	(void)done;
	(void)arg;
	return false;
}

static bool layer_claim(void *ctx, const struct address *peer, struct span *endpoint)
{
	const struct association *a = at(ctx, peer);

	*endpoint = span_str("dev-1");
	return a && !a->bound;
}

static bool layer_place(void *ctx, const struct address *peer, struct address *out, uint64_t *session)
{
	const struct association *a = at(ctx, peer);

	if (a) {
		*out = a->place;
		*session = a->session;
	}
	return a;
}

static void layer_bind(void *ctx, const struct address *peer)
{
	if (at(ctx, peer))
		at(ctx, peer)->bound = true;
}

static void layer_unbind(void *ctx, const struct address *peer, struct span endpoint)
{
	(void)endpoint;
	at(ctx, peer)->bound = false;
}

static void layer_drop(void *ctx, const struct address *peer, bool say)
{
	struct association *a = at(ctx, peer);

	assert_false(say && a &&
		     !a->given); /* nobody is told of a move; what is given away cannot say a word */
	if (a)
		a->live = false;
}

static void layer_save(void *ctx, const struct address *peer, struct span endpoint, uint32_t generation,
		       struct buffer *out)
{
	assert_true(span_is(endpoint, "dev-1"));
	assert_false(at(ctx, peer)->given);
	buffer_u8(out, 's');
	buffer_uint(out, at(ctx, peer)->session, 8);
	buffer_uint(out, generation, 4);
}

static void make(struct layer *l, unsigned i, uint64_t session, unsigned counter)
{
	struct association *a = &l->associations[i];

	assert_false(a->live);
	*a = (struct association){.live = true, .session = session, .counter = counter};
	assert_int_equal(address_parse("192.0.2.7:56830", &a->place), 0);
}

static bool layer_restore(void *ctx, struct span endpoint, struct span sealed, uint32_t generation,
			  uint64_t mark, struct address *peer)
{
	struct layer *l = ctx;
	struct reader r = reader_of(sealed);

	assert_true(span_is(endpoint, "dev-1"));
	assert_int_equal(reader_u8(&r), 's');
	l->restored_at = generation;
	l->restored_mark = mark;
	make(l, 1, reader_u64(&r), 1000);
	l->associations[1].bound = true;
	*peer = address_of(l, 1);
	return true;
}

static void layer_mismatch(void *ctx, const struct address *peer, struct span endpoint)
{
	(void)ctx;
	(void)peer;
	(void)endpoint;
	fail();
}

static void layer_hold(void *ctx, const struct address *peer, bool held)
{
	struct association *a = at(ctx, peer);

	if (!a)
		return;
	a->held = held;
	a->given = a->given && held;
}

static void layer_carry(void *ctx, const struct address *peer, struct span endpoint, struct buffer *out)
{
	struct layer *l = ctx;
	struct association *a = at(ctx, peer);

	assert_true(a && a->held && span_is(endpoint, "dev-1"));
	a->given = true;
	l->carried++;
	buffer_u8(out, 'c');
	buffer_uint(out, a->session, 8);
	buffer_uint(out, a->counter, 4);
}

static bool layer_arrive(void *ctx, struct span endpoint, struct span carried, struct address *peer)
{
	struct layer *l = ctx;
	struct reader r = reader_of(carried);
	uint64_t session;

	assert_true(span_is(endpoint, "dev-1"));
	if (l->lost)
		return false;
	assert_int_equal(reader_u8(&r), 'c');
	session = reader_u64(&r);
	make(l, 0, session, reader_u32(&r));
	l->associations[0].bound = true;
	l->arrived++;
	*peer = address_of(l, 0);
	return true;
}

static bool layer_locate(void *ctx, struct span endpoint, struct span sealed, uint8_t cid[LWM2M_CID_MAX],
			 size_t *len, struct address *peer)
{
	struct layer *l = ctx;
	struct reader r = reader_of(sealed);

	assert_true(span_is(endpoint, "dev-1"));
	assert_int_equal(reader_u8(&r), 's');
	l->located++;
	memset(cid, (int)reader_u64(&r), 8);
	*len = l->hides ? 0 : 8;
	assert_int_equal(address_parse("192.0.2.7:56830", peer), 0);
	return true;
}

static void layer_renew(void *ctx, const struct address *peer)
{
	(void)ctx;
	(void)peer;
	fail();
}

/* ---- nodes with such layers ---- */

static struct cluster *secure_cluster(struct layer layers[NODES])
{
	const struct lwm2m_security *securities[NODES];

	for (unsigned i = 0; i < NODES; i++) {
		layers[i] = (struct layer){.first = 1 + 10 * i};
		layers[i].security = (struct lwm2m_security){.ctx = &layers[i],
							     .guard = layer_guard,
							     .claim = layer_claim,
							     .place = layer_place,
							     .bind = layer_bind,
							     .unbind = layer_unbind,
							     .drop = layer_drop,
							     .save = layer_save,
							     .restore = layer_restore,
							     .mismatch = layer_mismatch,
							     .renew = layer_renew,
							     .hold = layer_hold,
							     .carry = layer_carry,
							     .arrive = layer_arrive,
							     .locate = layer_locate};
		securities[i] = &layers[i].security;
	}
	return cluster_with(securities);
}

/* The device makes a handshake with node 0 and registers. */
static void register_secure(struct cluster *c, struct layer *layers, char location[32])
{
	make(&layers[0], 0, 77, 0);
	bench_of(c, 0)->peer = address_of(&layers[0], 0);
	bench_of(c, 0)->record_number = 1;
	bench_register(bench_of(c, 0), 1, QUERY, location);
	assert_true(layers[0].associations[0].bound);
}

static void speak_by(struct cluster *c, struct layer *layers, unsigned node, unsigned association)
{
	bench_of(c, node)->peer = address_of(&layers[node], association);
	bench_of(c, node)->record_number = bench_of(c, 0)->record_number;
}

static void a_session_goes_with_its_device(void **state)
{
	struct layer layers[NODES];
	struct cluster *c = secure_cluster(layers);
	struct bench *b = bench_of(c, 1);
	struct coap_message m;
	struct registration r;
	struct reader session;
	char location[32];

	(void)state;
	register_secure(c, layers, location);
	(void)ask(bench_of(c, 0), LWM2M_READ, "/3/0/0");
	m = bench_receive(bench_of(c, 0));
	layers[0].associations[0].counter = 5;
	give(c, 0);
	assert_int_equal(c->given.calls, 1);
	assert_true(layers[0].associations[0].given);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_GONE);
	assert_false(layers[0].associations[0].live);
	take_with(c, 1, buffer_span(&c->given.luggage));
	assert_int_equal(layers[1].arrived, 1);
	assert_int_equal(layers[1].associations[0].counter, 5);
	assert_int_equal(layers[1].restored_at, 0);
	speak_by(c, layers, 1, 0);
	bench_answer(b, &m, COAP_CONTENT, "secret", -1);
	assert_answered(bench_of(c, 0), 1, "secret");
	/* What was answered there is of the same session here. */
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	assert_true(address_equal(&b->sent[b->sent_count - 1].to, &b->peer));
	/* The copy in its record is as new as its owner: who lacks the luggage goes on just behind it. */
	move(c, 1, 2);
	assert_int_equal(registration_decode(span_of(c->given.stored.record, c->given.stored.record_len), &r),
			 0);
	session = reader_of(span_from(r.session, 9));
	assert_int_equal(reader_u32(&session), 2);
	cluster_free(c);
}

static void without_luggage_the_copy_goes_on(void **state)
{
	struct layer layers[NODES];
	struct cluster *c = secure_cluster(layers);
	char location[32];

	(void)state;
	register_secure(c, layers, location);
	give(c, 0);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_LOST);
	assert_false(layers[0].associations[0].live);
	take_with(c, 1, span_of(NULL, 0));
	assert_int_equal(layers[1].restored_at, 2);
	assert_int_equal(layers[1].restored_mark, 1);
	/* The same where the message came, but its session cannot go on. */
	layers[2].lost = true;
	take_with(c, 2, buffer_span(&c->given.luggage));
	assert_int_equal(layers[2].arrived, 0);
	assert_int_equal(layers[2].restored_at, 3);
	cluster_free(c);
}

static void a_session_that_is_kept_is_held_no_longer(void **state)
{
	struct layer layers[NODES];
	struct cluster *c = secure_cluster(layers);
	struct association *a = &layers[0].associations[0];
	char location[32];

	(void)state;
	register_secure(c, layers, location);
	give(c, 0);
	assert_true(a->held && a->given);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_KEPT);
	assert_true(a->live && a->bound && !a->held && !a->given);
	bench_request(bench_of(c, 0), COAP_POST, 2, location, "", NULL);
	bench_store_all(bench_of(c, 0));
	bench_expect(bench_of(c, 0), 2, COAP_CHANGED);
	cluster_free(c);
}

/* Whatever ends it while it is packed must not write: somebody else may own the device. */
static void a_session_may_end_while_it_is_given(void **state)
{
	struct layer layers[NODES];
	struct cluster *c = secure_cluster(layers);
	struct bench *a = bench_of(c, 0);
	struct address peer;
	struct registration r;
	char location[32];

	(void)state;
	register_secure(c, layers, location);
	peer = a->peer;
	give(c, 0);
	layers[0].associations[0].live = false;
	lwm2m_server_closed(a->server, &peer);
	lwm2m_server_spent(a->server, &peer);
	lwm2m_server_revoke(a->server, span_str("dev-1"));
	make(&layers[0], 2, 78, 0);
	peer = address_of(&layers[0], 2);
	lwm2m_server_established(a->server, &peer, span_str("dev-1"));
	assert_int_equal(a->write_count, 1);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_KEPT);
	assert_int_equal(a->write_count, 2); /* now the record says so */
	bench_store_all(a);
	device_registration(lwm2m_find(a->server, span_str("dev-1")), &r);
	assert_int_equal(r.session.len, 0);
	/* If it is gone the other node knows better. */
	lwm2m_server_established(a->server, &peer, span_str("dev-1"));
	bench_store_all(a);
	give(c, 0);
	lwm2m_server_revoke(a->server, span_str("dev-1"));
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_GONE);
	assert_int_equal(a->write_count, 3);
	cluster_free(c);
}

static void who_made_a_session_is_wanted(void **state)
{
	struct layer layers[NODES];
	struct cluster *c = secure_cluster(layers);
	struct bench *b = bench_of(c, 1);
	const struct fetched *f = c->nodes[1].fetched;
	struct address peer;
	char location[32];

	(void)state;
	register_secure(c, layers, location);
	c->nodes[1].fetches = true;
	make(&layers[1], 2, 78, 0);
	peer = address_of(&layers[1], 2);
	lwm2m_server_established(b->server, &peer, span_str("dev-1"));
	assert_int_equal(c->nodes[1].fetched_count, 1);
	assert_int_equal(f[0].by, LWM2M_BY_ENDPOINT);
	assert_string_equal(f[0].endpoint, "dev-1");
	assert_int_equal(f[0].len, 0);
	/* Its Update says by whose credential it comes. */
	b->peer = peer;
	b->record_number = 1;
	bench_request(b, COAP_POST, 2, location, "", NULL);
	assert_int_equal(c->nodes[1].fetched_count, 2);
	assert_int_equal(f[1].by, LWM2M_BY_ID);
	assert_true(f[1].secure);
	assert_int_equal(f[1].number, 1);
	assert_string_equal(f[1].claim, "dev-1");
	/* A Send or an ACK of a session names nobody else. */
	send_empty(b, COAP_ACK, 5);
	bench_request(b, COAP_POST, 3, "/dp", "", "x");
	assert_int_equal(c->nodes[1].fetched_count, 2);
	bench_expect(b, 3, COAP_NOT_FOUND);
	/* It moves, with the old session; the new one takes its place with the Update. */
	give(c, 0);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_GONE);
	take_with(c, 1, buffer_span(&c->given.luggage));
	b->peer = peer;
	input_fetched(&c->nodes[1], 1);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	assert_true(layers[1].associations[2].bound);
	assert_false(layers[1].associations[0].live);
	assert_int_equal(b->writes[0].hot.mark, 1);
	cluster_free(c);
}

static void writes_say_by_which_connection_id_it_is_found(void **state)
{
	(void)state;
	for (unsigned hides = 0; hides < 2; hides++) {
		struct layer layers[NODES];
		struct cluster *c = secure_cluster(layers);
		struct bench *a = bench_of(c, 0);
		const struct bench_write *w;
		struct address peer;
		char location[32];

		layers[0].hides = hides;
		a->config.index = true;
		bench_restart(a);
		register_secure(c, layers, location);
		w = &a->writes[0];
		assert_int_equal(w->index[0].kind, hides ? STORE_INDEX_ADDRESS : STORE_INDEX_CID);
		assert_int_equal(w->index[0].len, hides ? 7 : 8);
		make(&layers[0], 2, 78, 0);
		peer = address_of(&layers[0], 2);
		lwm2m_server_established(a->server, &peer, span_str("dev-1"));
		w = &a->writes[1];
		if (hides) { /* at the same address */
			assert_int_equal(w->index_count, 1);
			assert_false(w->index[0].remove);
		} else {
			assert_int_equal(w->index_count, 2);
			assert_int_equal(w->index[0].key[0], 78);
			assert_int_equal(w->index[1].key[0], 77);
			assert_true(w->index[1].remove);
		}
		bench_store_all(a);
		/* Its session ends: nothing leads to it. */
		layers[0].associations[2].live = false;
		lwm2m_server_closed(a->server, &peer);
		w = &a->writes[2];
		assert_int_equal(w->index_count, 1);
		assert_true(w->index[0].remove);
		cluster_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_goes_with_its_device),
		cmocka_unit_test(without_luggage_the_copy_goes_on),
		cmocka_unit_test(a_session_that_is_kept_is_held_no_longer),
		cmocka_unit_test(a_session_may_end_while_it_is_given),
		cmocka_unit_test(who_made_a_session_is_wanted),
		cmocka_unit_test(writes_say_by_which_connection_id_it_is_found),
	};

	return cmocka_run_group_tests_name("lwm2m-carry", tests, NULL, NULL);
}
