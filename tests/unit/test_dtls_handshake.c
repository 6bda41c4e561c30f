/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Handshakes of both roles through networks of all kinds, and of a server with a client that is GnuTLS alone.
 */

#include "dtls_pair.h"

#include <errno.h>

static const struct span key = {(const uint8_t *)"0123456789abcdef", 16};

struct fixture {
	struct authority authority, foreign;
	struct entity server, client, stranger;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	make_authority(&f->authority, "authority");
	make_authority(&f->foreign, "foreign");
	make_entity(&f->server, "server", &f->authority);
	make_entity(&f->client, "device-1", &f->authority);
	make_entity(&f->stranger, "device-1", &f->foreign);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	drop_authority(&f->authority);
	drop_authority(&f->foreign);
	free(f);
	return 0;
}

/* ---- kinds of pairs ---- */

static const struct dtls_handshake_options psk_client = {
	.psk_identity = {(const uint8_t *)"urn:dev:\xff\0id", 12},
	.psk = {(const uint8_t *)"0123456789abcdef", 16}};

static const struct dtls_context_options psk_options = {
	.credentials = DTLS_WITH_PSK, .connection_ids = true, .resumption = true};

static struct pair *psk_pair(uint64_t seed)
{
	struct pair *p = pair_new(seed);

	pair_context(p, DTLS_SERVER, psk_options);
	pair_context(p, DTLS_CLIENT, psk_options);
	p->sides[DTLS_SERVER].answers.psk = key;
	return p;
}

static struct dtls_context_options options_of(const struct entity *e, const struct authority *trusted,
					      unsigned credentials)
{
	struct dtls_context_options o = {
		.credentials = credentials, .connection_ids = true, .resumption = true};

	o.ask = DTLS_ASK_REQUIRED;
	if (e) {
		o.key = pem_span(&e->key);
		o.chain = pem_span(&e->chain);
	}
	if (trusted)
		o.trust = pem_span(&trusted->pem);
	return o;
}

static struct pair *x509_pair(const struct fixture *f, const struct entity *client, uint64_t seed)
{
	struct pair *p = pair_new(seed);

	pair_context(p, DTLS_SERVER, options_of(&f->server, &f->authority, DTLS_WITH_X509));
	pair_context(p, DTLS_CLIENT, options_of(client, &f->authority, DTLS_WITH_X509));
	return p;
}

static void shake_hands(struct pair *p, struct dtls_handshake_options client)
{
	pair_start(p, client);
	pair_run(p);
}

static const struct dtls_result *result_of(const struct pair *p, enum dtls_role role)
{
	return dtls_handshake_result(p->sides[role].handshake);
}

static const struct dtls_failure *failure_of(const struct pair *p, enum dtls_role role)
{
	assert_int_equal(p->sides[role].progress, DTLS_FAILED);
	return dtls_handshake_failure(p->sides[role].handshake);
}

/* ---- what works ---- */

static void every_suite(void **state)
{
	static const uint16_t suites[] = {0xC0A8, 0xC0A4, 0x00A8, 0xC0A9, 0xC0A5, 0x00A9,
					  0xC0AE, 0xC0AC, 0xC02B, 0xC0AF, 0xC0AD, 0xC02C};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		const struct dtls_suite *suite = dtls_suite_find(suites[i]);
		struct pair *p = suite->psk ? psk_pair(1) : x509_pair(f, &f->client, 1);
		struct dtls_context_options o =
			suite->psk ? psk_options : options_of(&f->client, &f->authority, DTLS_WITH_X509);

		o.suite = suites[i];
		pair_context(p, DTLS_CLIENT, o);
		shake_hands(p, suite->psk ? psk_client : (struct dtls_handshake_options){0});
		assert_done(p);
		for (size_t side = 0; side < 2; side++) {
			assert_int_equal(p->sides[side].session.suite, suites[i]);
			assert_int_equal(p->sides[side].session.aead, suite->aead);
			assert_true(p->sides[side].session.extended_master_secret);
		}
		assert_sessions_fit(p);
		pair_free(p);
	}
}

static void psk_gives_the_identity_as_bytes(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	shake_hands(p, psk_client);
	assert_done(p);
	assert_int_equal(result_of(p, DTLS_SERVER)->kind, DTLS_IDENTITY_PSK);
	assert_bytes(result_of(p, DTLS_SERVER)->identity, psk_client.psk_identity);
	assert_int_equal(result_of(p, DTLS_CLIENT)->kind, DTLS_IDENTITY_NONE);
	assert_false(result_of(p, DTLS_SERVER)->resumed);
	/* What costs most is one datagram for each flight. */
	assert_int_equal(p->sides[DTLS_SERVER].datagrams, 2);
	assert_int_equal(p->sides[DTLS_CLIENT].datagrams, 2);
	pair_free(p);
}

static void the_server_prefers_short_tags(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	shake_hands(p, psk_client);
	assert_done(p);
	assert_int_equal(p->sides[DTLS_SERVER].session.suite, 0xC0A8);
	pair_free(p);
}

/* A device that has both does what costs least. */
static void the_server_prefers_pre_shared_keys(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = pair_new(1);

	pair_context(p, DTLS_SERVER, options_of(&f->server, &f->authority, DTLS_WITH_X509 | DTLS_WITH_PSK));
	pair_context(p, DTLS_CLIENT, options_of(&f->client, &f->authority, DTLS_WITH_X509 | DTLS_WITH_PSK));
	p->sides[DTLS_SERVER].answers.psk = key;
	shake_hands(p, psk_client);
	assert_done(p);
	assert_int_equal(p->sides[DTLS_SERVER].session.suite, 0xC0A8);
	assert_int_equal(result_of(p, DTLS_SERVER)->kind, DTLS_IDENTITY_PSK);
	pair_free(p);
}

enum { ABSENT = 99 };

static void connection_ids_of_all_lengths(void **state)
{
	static const size_t lengths[] = {ABSENT, 0, 1, 8};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths) * ARRAY_SIZE(lengths); i++) {
		size_t lens[2] = {lengths[i % ARRAY_SIZE(lengths)], lengths[i / ARRAY_SIZE(lengths)]};
		struct pair *p = psk_pair(1);
		bool agreed = lens[0] != ABSENT && lens[1] != ABSENT;

		for (size_t role = 0; role < 2; role++) {
			struct dtls_context_options o = psk_options;

			o.connection_ids = lens[role] != ABSENT;
			pair_context(p, (enum dtls_role)role, o);
			p->sides[role].cid_len = o.connection_ids ? lens[role] : 0;
		}
		shake_hands(p, psk_client);
		assert_done(p);
		for (size_t role = 0; role < 2; role++) {
			const struct dtls_session *s = &p->sides[role].session;

			assert_bytes(span_of(s->own_cid, s->own_cid_len),
				     span_of(p->sides[role].cid, agreed ? lens[role] : 0));
			assert_bytes(span_of(s->peer_cid, s->peer_cid_len),
				     span_of(p->sides[1 - role].cid, agreed ? lens[1 - role] : 0));
		}
		assert_sessions_fit(p);
		pair_free(p);
	}
}

static void x509_on_both_sides(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = x509_pair(f, &f->client, 1);
	struct span der;
	gnutls_x509_crt_t crt;
	char name[64];
	size_t len = sizeof(name);

	shake_hands(p, (struct dtls_handshake_options){.server_name = span_str("lwm2m.example.org")});
	assert_done(p);
	assert_sessions_fit(p);
	assert_int_equal(result_of(p, DTLS_SERVER)->kind, DTLS_IDENTITY_X509);
	assert_int_equal(result_of(p, DTLS_CLIENT)->kind, DTLS_IDENTITY_X509);
	der = result_of(p, DTLS_SERVER)->identity;
	gnutls_x509_crt_init(&crt);
	assert_int_equal(gnutls_x509_crt_import(
				 crt, &(gnutls_datum_t){(uint8_t *)(uintptr_t)der.data, (unsigned)der.len},
				 GNUTLS_X509_FMT_DER),
			 0);
	assert_int_equal(gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len),
			 0);
	assert_string_equal(name, "device-1");
	gnutls_x509_crt_deinit(crt);
	assert_true(
		span_is(dtls_handshake_server_name(p->sides[DTLS_SERVER].handshake), "lwm2m.example.org"));
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_NEED_PEER], 1);
	assert_int_equal(p->sides[DTLS_CLIENT].questions[DTLS_NEED_PEER], 1);
	pair_free(p);
}

static void a_client_without_certificate(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = x509_pair(f, NULL, 1);
	struct dtls_context_options o = options_of(&f->server, &f->authority, DTLS_WITH_X509);

	o.ask = DTLS_ASK_OPTIONAL;
	pair_context(p, DTLS_SERVER, o);
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_done(p);
	assert_int_equal(result_of(p, DTLS_SERVER)->kind, DTLS_IDENTITY_NONE);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_NEED_PEER], 0);
	pair_stop(p);
	pair_context(p, DTLS_SERVER, options_of(&f->server, &f->authority, DTLS_WITH_X509));
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_BAD_CERTIFICATE);
	pair_free(p);
}

static struct pair *raw_key_pair(const struct fixture *f)
{
	struct pair *p = pair_new(1);

	pair_context(p, DTLS_SERVER,
		     options_of(&f->server, NULL, DTLS_WITH_RAW_KEY | DTLS_WITH_X509 | DTLS_WITH_PSK));
	pair_context(p, DTLS_CLIENT, options_of(&f->client, NULL, DTLS_WITH_RAW_KEY));
	return p;
}

static void raw_keys_on_both_sides(void **state)
{
	struct pair *p = raw_key_pair(*state);

	shake_hands(p, (struct dtls_handshake_options){0});
	assert_done(p);
	assert_sessions_fit(p);
	for (size_t role = 0; role < 2; role++) {
		const struct dtls_result *result = result_of(p, (enum dtls_role)role);

		assert_int_equal(result->kind, DTLS_IDENTITY_RAW_KEY);
		assert_int_equal(result->identity.len, 91);
		assert_bytes(result->identity, dtls_context_public_key(p->sides[1 - role].context));
		assert_int_equal(p->sides[role].questions[DTLS_NEED_PEER], 1);
	}
	pair_free(p);
}

/* ---- resumption ---- */

struct tickets {
	uint8_t bytes[2][4096], id[DTLS_SESSION_ID_MAX];
	struct span of[2], session_id; /* of dtls_role */
};

static void keep_tickets(const struct pair *p, struct tickets *t)
{
	t->session_id = result_of(p, DTLS_SERVER)->session_id;
	assert_in_range(t->session_id.len, 1, sizeof(t->id));
	memcpy(t->id, t->session_id.data, t->session_id.len);
	t->session_id.data = t->id;
	for (size_t role = 0; role < 2; role++) {
		t->of[role] = result_of(p, (enum dtls_role)role)->ticket;
		assert_in_range(t->of[role].len, 1, sizeof(t->bytes[role]));
		memcpy(t->bytes[role], t->of[role].data, t->of[role].len);
		t->of[role].data = t->bytes[role];
	}
}

/* A full handshake, and then all is ready for one that resumes it, if the server knows the session. */
static struct dtls_handshake_options prepare(struct pair *p, struct dtls_handshake_options client, bool known,
					     struct tickets *t)
{
	shake_hands(p, client);
	assert_done(p);
	keep_tickets(p, t);
	pair_stop(p);
	p->sides[DTLS_SERVER].answers.ticket = t->of[DTLS_SERVER];
	p->sides[DTLS_SERVER].answers.ticket_id = known ? t->session_id : span_from(t->session_id, 1);
	memset(p->sides[DTLS_SERVER].cid, 'y', DTLS_CID_OWN);
	memset(p->sides[DTLS_CLIENT].cid, 'z', DTLS_CID_OWN);
	client.resume = t->of[DTLS_CLIENT];
	return client;
}

static void assert_resumed(struct pair *p, bool known)
{
	assert_done(p);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_NEED_RESUMPTION], 1);
	for (size_t role = 0; role < 2; role++) {
		assert_int_equal(result_of(p, (enum dtls_role)role)->resumed, known);
		assert_int_equal(p->sides[role].session.peer_cid_len, DTLS_CID_OWN);
		assert_memory_equal(p->sides[role].session.peer_cid, p->sides[1 - role].cid, DTLS_CID_OWN);
	}
	assert_sessions_fit(p);
}

static void resume(struct pair *p, struct dtls_handshake_options client, bool known)
{
	struct tickets t;

	shake_hands(p, prepare(p, client, known, &t));
	assert_resumed(p, known);
}

static void resumption_keeps_the_identity(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	resume(p, psk_client, true);
	assert_bytes(result_of(p, DTLS_SERVER)->identity, psk_client.psk_identity);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_NEED_PSK], 0);
	assert_int_equal(result_of(p, DTLS_CLIENT)->last_flight.finished_len, 24);
	assert_int_equal(result_of(p, DTLS_SERVER)->last_flight.finished_len, 0);
	pair_free(p);
}

static void resumption_by_certificate_costs_little(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = x509_pair(f, &f->client, 1);

	p->patient = false;
	resume(p, (struct dtls_handshake_options){0}, true);
	assert_int_equal(result_of(p, DTLS_SERVER)->kind, DTLS_IDENTITY_X509);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_EXPENSIVE], 0);
	pair_free(p);
}

static void an_unknown_session_id_makes_a_full_handshake(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	resume(p, psk_client, false);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_NEED_PSK], 1);
	pair_free(p);
}

/* ---- questions ---- */

static void a_late_key_makes_no_noise(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	p->sides[DTLS_SERVER].answers.think_ms = 2500;
	shake_hands(p, psk_client);
	assert_done(p);
	assert_sessions_fit(p);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_NEED_PSK], 1);
	/* The client repeats its flight, after 1 and after 3 seconds; the server does not. */
	assert_int_equal(p->sides[DTLS_SERVER].datagrams, 2);
	assert_int_equal(p->sides[DTLS_CLIENT].datagrams, 3);
	pair_free(p);
}

static void only_public_keys_are_expensive(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = psk_pair(1);

	p->patient = false;
	shake_hands(p, psk_client);
	assert_done(p);
	assert_int_equal(p->sides[DTLS_SERVER].questions[DTLS_EXPENSIVE], 0);
	assert_int_equal(p->sides[DTLS_CLIENT].questions[DTLS_EXPENSIVE], 0);
	pair_free(p);
	p = x509_pair(f, &f->client, 1);
	p->patient = false;
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_done(p);
	assert_in_range(p->sides[DTLS_SERVER].questions[DTLS_EXPENSIVE], 2, 3);
	assert_in_range(p->sides[DTLS_CLIENT].questions[DTLS_EXPENSIVE], 1, 3);
	pair_free(p);
}

/* ---- what fails, and why ---- */

static void an_unknown_identity_is_told(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	p->sides[DTLS_SERVER].answers.psk = (struct span){0};
	shake_hands(p, psk_client);
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_UNKNOWN_IDENTITY);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_UNKNOWN_IDENTITY);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->alert, 115);
	assert_true(failure_of(p, DTLS_CLIENT)->by_peer);
	pair_free(p);
}

static void a_wrong_key_is_told_apart(void **state)
{
	struct pair *p = psk_pair(1);
	uint64_t start = p->now_ms;

	(void)state;
	p->sides[DTLS_SERVER].answers.psk = span_str("fedcba9876543210");
	shake_hands(p, psk_client);
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_WRONG_KEY);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_WRONG_KEY);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->alert, 51);
	assert_in_range(p->now_ms - start, 2000, 2100);
	pair_free(p);
}

static void a_hidden_identity_looks_like_a_wrong_key(void **state)
{
	struct pair *p = psk_pair(1);
	struct dtls_context_options o = psk_options;
	uint64_t start = p->now_ms;

	(void)state;
	o.hide_identities = true;
	pair_context(p, DTLS_SERVER, o);
	p->sides[DTLS_SERVER].answers.psk = (struct span){0};
	shake_hands(p, psk_client);
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_UNKNOWN_IDENTITY);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_WRONG_KEY);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->alert, 51);
	assert_in_range(p->now_ms - start, 2000, 2100);
	pair_free(p);
}

static void a_stranger_is_not_trusted(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = x509_pair(f, &f->stranger, 1);
	struct dtls_context_options o = options_of(&f->stranger, &f->authority, DTLS_WITH_X509);

	/* A client keeps its certificate to itself if the server does not name its issuer. */
	pair_context(p, DTLS_CLIENT, o);
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_BAD_CERTIFICATE);
	pair_stop(p);
	/* The other way round: a server that the client does not trust. */
	pair_context(p, DTLS_SERVER, options_of(&f->stranger, &f->authority, DTLS_WITH_X509));
	pair_context(p, DTLS_CLIENT, options_of(&f->client, &f->authority, DTLS_WITH_X509));
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_BAD_CERTIFICATE);
	assert_non_null(strstr(failure_of(p, DTLS_CLIENT)->words, "issuer is unknown"));
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_BAD_CERTIFICATE);
	assert_true(failure_of(p, DTLS_SERVER)->by_peer);
	pair_stop(p);
	/* Unless it knows that very certificate. */
	p->sides[DTLS_CLIENT].answers.pins_peer = true;
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_done(p);
	pair_free(p);
}

static void a_peer_is_refused(void **state)
{
	struct pair *p = raw_key_pair(*state);

	p->sides[DTLS_SERVER].answers.refuses_peer = true;
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_BAD_CERTIFICATE);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_BAD_CERTIFICATE);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->alert, 42);
	pair_free(p);
}

static void no_suite_in_common(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = psk_pair(1);

	pair_context(p, DTLS_CLIENT, options_of(&f->client, &f->authority, DTLS_WITH_X509));
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_NO_COMMON_SUITE);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_NO_COMMON_SUITE);
	pair_free(p);
}

static void nobody_answers(void **state)
{
	struct pair *p = psk_pair(1);
	uint64_t start = p->now_ms;

	(void)state;
	p->loss_permille = 1000;
	shake_hands(p, psk_client);
	assert_int_equal(failure_of(p, DTLS_CLIENT)->cause, DTLS_TIMED_OUT);
	assert_int_equal(failure_of(p, DTLS_SERVER)->cause, DTLS_TIMED_OUT);
	assert_int_equal(p->now_ms - start, 60000);
	/* At 0, 1, 3, 7, 15 and 31 seconds (RFC 6347, 4.2.4.1). */
	assert_int_equal(p->sides[DTLS_CLIENT].datagrams, 6);
	pair_free(p);
}

/* ---- networks ---- */

static void a_lost_last_flight_is_sent_again(void **state)
{
	struct pair *p = psk_pair(1);

	(void)state;
	p->sides[DTLS_SERVER].loses_last = true;
	shake_hands(p, psk_client);
	assert_done(p);
	assert_int_equal(p->sides[DTLS_SERVER].resent, 1);
	assert_sessions_fit(p);
	pair_free(p);
}

/* When a session is resumed the client speaks last, and it is the server that repeats its flight. */
static void a_lost_last_flight_of_a_resuming_client(void **state)
{
	struct pair *p = psk_pair(1);
	struct dtls_handshake_options client;
	struct tickets t;

	(void)state;
	client = prepare(p, psk_client, true, &t);
	p->sides[DTLS_CLIENT].loses_last = true;
	shake_hands(p, client);
	assert_resumed(p, true);
	assert_int_equal(p->sides[DTLS_CLIENT].resent, 1);
	pair_free(p);
}

/* A peer that repeats its flight is answered at once, and not when our own time has come. */
static void a_repetition_is_answered(void **state)
{
	struct pair *p = psk_pair(1);
	struct dtls_context_options o = psk_options;
	uint64_t start = p->now_ms;

	(void)state;
	o.retransmit_ms = 20000;
	pair_context(p, DTLS_SERVER, o);
	pair_start(p, psk_client);
	run_side(p, DTLS_CLIENT);
	deliver(p, &p->packets[--p->count]);
	run_side(p, DTLS_SERVER);
	assert_int_equal(p->count, 1);
	p->count = 0; /* the flight of the server is lost */
	pair_run(p);
	assert_done(p);
	assert_int_equal(p->now_ms - start, 1000);
	assert_int_equal(p->sides[DTLS_SERVER].datagrams, 3);
	assert_sessions_fit(p);
	pair_free(p);
}

static void flights_come_last_first(void **state)
{
	const struct fixture *f = *state;
	struct pair *p = x509_pair(f, &f->client, 1);
	uint64_t start = p->now_ms;

	p->reversed = true;
	shake_hands(p, (struct dtls_handshake_options){0});
	assert_done(p);
	assert_sessions_fit(p);
	assert_int_equal(p->now_ms, start); /* nothing had to be repeated */
	pair_free(p);
}

/* Shuffled fragments of 40 bytes, a fifth of them twice, a tenth lost. */
static void fragments_on_a_bad_network(void **state)
{
	const struct fixture *f = *state;

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct pair *p = x509_pair(f, &f->client, seed);

		p->cut = 40;
		p->delay_ms = 50;
		p->double_permille = 200;
		p->loss_permille = 100;
		shake_hands(p, (struct dtls_handshake_options){0});
		assert_done(p);
		assert_sessions_fit(p);
		pair_free(p);
	}
}

/* Without loss nothing is repeated, whatever the order. */
static void shuffled_fragments_need_no_repetition(void **state)
{
	const struct fixture *f = *state;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct pair *p = x509_pair(f, &f->client, seed);
		uint64_t start = p->now_ms;

		p->cut = 40;
		p->delay_ms = 100;
		p->double_permille = 200;
		shake_hands(p, (struct dtls_handshake_options){0});
		assert_done(p);
		assert_in_range(p->now_ms - start, 1, 900);
		pair_free(p);
	}
}

static void lossy_networks(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct pair *p = psk_pair(seed);

		p->delay_ms = 300;
		p->double_permille = 100;
		p->loss_permille = 250;
		shake_hands(p, psk_client);
		assert_done(p);
		assert_sessions_fit(p);
		pair_free(p);
	}
}

/* Records of all kinds that mean nothing, from somebody who can send from the peer's address. */
static void inject_garbage(struct pair *p, unsigned to)
{
	struct dtls_handshake *h = p->sides[to].handshake;

	for (unsigned i = 0; i < 40; i++) {
		uint8_t bytes[128];
		struct dtls_record r = {.version = 0xFEFD};

		random_fill(&p->random, bytes, sizeof(bytes));
		r.type = (uint8_t)(20 + i % 7);
		r.epoch = (uint16_t)(i % 3);
		r.seq = random_u32(&p->random);
		r.fragment = span_of(bytes, 1 + i);
		r.whole = span_of(bytes, 20 + i);
		if (r.type == DTLS_ALERT && r.epoch == 0)
			r.fragment.len =
				3; /* two bytes would be an alert, which nobody can tell from a true one */
		if (r.type == DTLS_CHANGE_CIPHER_SPEC)
			bytes[0] = 1;
		dtls_handshake_input(h, &r);
	}
}

static void garbage_changes_nothing(void **state)
{
	const struct fixture *f = *state;

	for (unsigned kind = 0; kind < 2; kind++) {
		struct pair *p = kind ? x509_pair(f, &f->client, 5) : psk_pair(5);

		p->delay_ms = 20;
		pair_start(p, kind ? (struct dtls_handshake_options){0} : psk_client);
		inject_garbage(p, 0);
		inject_garbage(p, 1);
		pair_run(p);
		assert_done(p);
		assert_sessions_fit(p);
		pair_free(p);
	}
}

/* A forged record that looks like a Finished casts doubt, but the true one comes in time. */
static void a_forged_finished_does_no_harm(void **state)
{
	struct pair *p = psk_pair(1);
	uint8_t bytes[13 + 8 + 8 + 25 + 8] = {25, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 9};
	struct dtls_record r;
	struct reader in;

	(void)state;
	memcpy(bytes + 11, p->sides[DTLS_SERVER].cid, DTLS_CID_OWN);
	bytes[20] = sizeof(bytes) - 21;
	in = reader_of(span_of(bytes, sizeof(bytes)));
	assert_int_equal(dtls_record_parse(&in, DTLS_CID_OWN, &r), 0);
	p->sides[DTLS_CLIENT].loses_last = true; /* all of the second flight: it is one datagram */
	pair_start(p, psk_client);
	dtls_handshake_input(p->sides[DTLS_SERVER].handshake, &r);
	pair_run(p);
	assert_done(p);
	assert_sessions_fit(p);
	pair_free(p);
}

/* A resuming client speaks last, so what it sends then may overtake its Finished. */
static void early_data_is_handed_out(void **state)
{
	struct pair *p = psk_pair(1);
	struct side *client = &p->sides[DTLS_CLIENT], *server = &p->sides[DTLS_SERVER];
	uint8_t wire[256], bytes[DATAGRAM_MAX], type;
	struct writer w = writer_of(wire, sizeof(wire));
	struct dtls_record record;
	struct span plaintext;
	struct packet packet;
	struct reader in;
	struct tickets t;

	(void)state;
	pair_start(p, prepare(p, psk_client, true, &t));
	memset(&client->session, 0, sizeof(client->session));
	memset(&server->session, 0, sizeof(server->session));
	run_side(p, DTLS_CLIENT);
	deliver(p, &p->packets[--p->count]);
	run_side(p, DTLS_SERVER);
	deliver(p, &p->packets[--p->count]);
	run_side(p, DTLS_CLIENT);
	assert_int_equal(client->progress, DTLS_DONE);
	packet = p->packets[--p->count];
	assert_int_equal(dtls_session_seal(&client->session, &w, DTLS_APPLICATION_DATA, span_str("early")),
			 0);
	in = reader_of(writer_span(&w));
	assert_int_equal(dtls_record_parse(&in, DTLS_CID_OWN, &record), 0);
	dtls_handshake_input(server->handshake, &record);
	dtls_handshake_input(server->handshake, &record);
	assert_int_equal(dtls_handshake_run(server->handshake, p->now_ms, true), DTLS_WAITING);
	deliver(p, &packet);
	assert_int_equal(dtls_handshake_run(server->handshake, p->now_ms, true), DTLS_DONE);
	server->session = result_of(p, DTLS_SERVER)->session;
	assert_true(dtls_handshake_next_early(server->handshake, &record));
	assert_int_equal(dtls_session_open(&server->session, &record, 0, bytes, &plaintext, &type),
			 DTLS_OPENED);
	assert_true(span_is(plaintext, "early"));
	assert_false(dtls_handshake_next_early(server->handshake, &record));
	pair_free(p);
}

/* ---- the rest ---- */

static void the_library_does_what_is_built_on(void **state)
{
	char words[DTLS_WORDS];

	(void)state;
	if (dtls_selftest(words) < 0)
		fail_msg("%s", words);
}

static void a_context_says_what_is_wrong(void **state)
{
	const struct fixture *f = *state;
	struct dtls_context_options o = {0};
	struct dtls_context *c;
	char words[DTLS_WORDS];

	assert_int_equal(dtls_context_new(&o, &c, words), -EINVAL);
	assert_string_not_equal(words, "");
	o = options_of(NULL, NULL, DTLS_WITH_X509);
	assert_int_equal(dtls_context_new(&o, &c, words), -EINVAL);
	assert_non_null(strstr(words, "private key"));
	o = options_of(&f->server, NULL, DTLS_WITH_X509);
	o.key = pem_span(&f->client.key);
	assert_int_equal(dtls_context_new(&o, &c, words), -EINVAL);
	assert_non_null(strstr(words, "the certificate and its key"));
	o = options_of(&f->server, NULL, DTLS_WITH_X509);
	o.trust = span_str("nothing");
	assert_int_equal(dtls_context_new(&o, &c, words), -EINVAL);
	assert_non_null(strstr(words, "trust anchors"));
	o = psk_options;
	o.suite = 0xC0AE;
	assert_int_equal(dtls_context_new(&o, &c, words), -EINVAL);
	o = psk_options;
	o.mtu = 100;
	assert_int_equal(dtls_context_new(&o, &c, words), -EINVAL);
	assert_non_null(strstr(words, "MTU"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite),
		cmocka_unit_test(psk_gives_the_identity_as_bytes),
		cmocka_unit_test(the_server_prefers_short_tags),
		cmocka_unit_test(the_server_prefers_pre_shared_keys),
		cmocka_unit_test(connection_ids_of_all_lengths),
		cmocka_unit_test(x509_on_both_sides),
		cmocka_unit_test(a_client_without_certificate),
		cmocka_unit_test(raw_keys_on_both_sides),
		cmocka_unit_test(resumption_keeps_the_identity),
		cmocka_unit_test(resumption_by_certificate_costs_little),
		cmocka_unit_test(an_unknown_session_id_makes_a_full_handshake),
		cmocka_unit_test(a_late_key_makes_no_noise),
		cmocka_unit_test(only_public_keys_are_expensive),
		cmocka_unit_test(an_unknown_identity_is_told),
		cmocka_unit_test(a_wrong_key_is_told_apart),
		cmocka_unit_test(a_hidden_identity_looks_like_a_wrong_key),
		cmocka_unit_test(a_stranger_is_not_trusted),
		cmocka_unit_test(a_peer_is_refused),
		cmocka_unit_test(no_suite_in_common),
		cmocka_unit_test(nobody_answers),
		cmocka_unit_test(a_lost_last_flight_is_sent_again),
		cmocka_unit_test(a_lost_last_flight_of_a_resuming_client),
		cmocka_unit_test(a_repetition_is_answered),
		cmocka_unit_test(flights_come_last_first),
		cmocka_unit_test(fragments_on_a_bad_network),
		cmocka_unit_test(shuffled_fragments_need_no_repetition),
		cmocka_unit_test(lossy_networks),
		cmocka_unit_test(garbage_changes_nothing),
		cmocka_unit_test(a_forged_finished_does_no_harm),
		cmocka_unit_test(early_data_is_handed_out),
		cmocka_unit_test(the_library_does_what_is_built_on),
		cmocka_unit_test(a_context_says_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
