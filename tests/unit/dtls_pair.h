/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * Two handshakes and a network between them that loses, doubles, delays and cuts, all by seed, in virtual
 * time. The certificates are made when a test starts.
 */

#include "dtls_test.h"

#include "base/random.h"
#include "dtls/handshake.h"
#include "dtls/reassembly.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <time.h>

enum { PACKETS_MAX = 2048, PEM_MAX = 2048, DATAGRAM_MAX = 2048 };

struct pem {
	char text[PEM_MAX];
	size_t len;
};

static inline struct span pem_span(const struct pem *p)
{
	return span_of(p->text, p->len);
}

/* ---- certificates ---- */

struct authority {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
	struct pem pem;
};

static inline gnutls_x509_privkey_t make_key(struct pem *pem)
{
	gnutls_x509_privkey_t key;

	pem->len = sizeof(pem->text);
	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
						      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
			 0);
	assert_int_equal(gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, pem->text, &pem->len), 0);
	return key;
}

static inline gnutls_x509_crt_t make_certificate(const char *name, gnutls_x509_privkey_t key,
						 const struct authority *by, struct pem *pem)
{
	gnutls_x509_crt_t crt;
	time_t now = time(NULL);

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(crt, name, strlen(name)), 0);
	assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
						       (unsigned)strlen(name)),
			 0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
	assert_int_equal(gnutls_x509_crt_set_activation_time(crt, now - 3600), 0);
	assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, now + 3600), 0);
	assert_int_equal(gnutls_x509_crt_set_ca_status(crt, by ? 0 : 1), 0);
	assert_int_equal(gnutls_x509_crt_set_key_usage(crt, by ? GNUTLS_KEY_DIGITAL_SIGNATURE
							       : GNUTLS_KEY_KEY_CERT_SIGN),
			 0);
	assert_int_equal(gnutls_x509_crt_sign2(crt, by ? by->certificate : crt, by ? by->key : key,
					       GNUTLS_DIG_SHA256, 0),
			 0);
	pem->len = sizeof(pem->text);
	assert_int_equal(gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_PEM, pem->text, &pem->len), 0);
	return crt;
}

static inline void make_authority(struct authority *a, const char *name)
{
	struct pem key;

	a->key = make_key(&key);
	a->certificate = make_certificate(name, a->key, NULL, &a->pem);
}

static inline void drop_authority(struct authority *a)
{
	gnutls_x509_privkey_deinit(a->key);
	gnutls_x509_crt_deinit(a->certificate);
}

struct entity {
	struct pem key, chain;
};

static inline void make_entity(struct entity *e, const char *name, const struct authority *by)
{
	gnutls_x509_privkey_t key = make_key(&e->key);

	gnutls_x509_crt_deinit(make_certificate(name, key, by, &e->chain));
	gnutls_x509_privkey_deinit(key);
}

/* ---- two sides ---- */

struct answers {
	struct span psk;   /* of a server; empty: the identity is refused */
	uint64_t think_ms; /* how long the answer takes */
	bool refuses_peer;
	bool pins_peer;
	struct span ticket; /* of a server: what it has stored, under which id */
	struct span ticket_id;
};

struct side {
	struct dtls_context *context;
	struct dtls_handshake *handshake;
	struct answers answers;
	uint8_t cid[DTLS_CID_OWN];
	size_t cid_len;
	enum dtls_progress progress;
	uint64_t answer_at; /* 0: nothing was asked */
	unsigned questions[DTLS_FAILED + 1];
	unsigned datagrams; /* that it sent */
	unsigned resent;    /* last flights */
	bool loses_last;    /* the first datagram with a Finished of this side gets lost */
	struct dtls_session session;
	struct dtls_last_flight last_flight;
};

struct packet {
	uint64_t at_ms;
	unsigned to;
	size_t len;
	uint8_t bytes[DATAGRAM_MAX];
};

struct pair {
	struct side sides[2]; /* of dtls_role */
	struct random random;
	uint64_t now_ms;
	unsigned loss_permille, double_permille;
	unsigned delay_ms; /* the most; 0: all arrives at once, in order */
	size_t cut;	   /* handshake messages of epoch 0 come in fragments of this many bytes; 0: whole */
	bool reversed;	   /* the records of a flight come last first */
	bool patient;	   /* all runs may be expensive */
	struct packet packets[PACKETS_MAX];
	size_t count;
};

static inline struct pair *pair_new(uint64_t seed)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	random_init_seed(&p->random, seed);
	p->now_ms = 1000000;
	p->patient = true;
	for (size_t i = 0; i < 2; i++) {
		p->sides[i].cid_len = DTLS_CID_OWN;
		memset(p->sides[i].cid, 'a' + (int)i, DTLS_CID_OWN);
	}
	return p;
}

static inline void pair_stop(struct pair *p)
{
	for (size_t i = 0; i < 2; i++) {
		p->sides[i].handshake = dtls_handshake_free(p->sides[i].handshake);
		p->sides[i].answer_at = 0;
		p->sides[i].datagrams = p->sides[i].resent = 0;
		p->sides[i].progress = DTLS_WAITING;
		memset(p->sides[i].questions, 0, sizeof(p->sides[i].questions));
	}
	p->count = 0;
}

static inline void pair_free(struct pair *p)
{
	pair_stop(p);
	for (size_t i = 0; i < 2; i++)
		p->sides[i].context = dtls_context_free(p->sides[i].context);
	free(p);
}

static inline void pair_context(struct pair *p, enum dtls_role role, struct dtls_context_options options)
{
	char words[DTLS_WORDS] = "";

	options.role = role;
	dtls_context_free(p->sides[role].context);
	if (dtls_context_new(&options, &p->sides[role].context, words) < 0)
		fail_msg("no context: %s", words);
}

static inline void pair_start(struct pair *p, struct dtls_handshake_options client)
{
	struct dtls_handshake_options server = {0};

	for (size_t i = 0; i < 2; i++) {
		struct dtls_handshake_options *o = i == DTLS_SERVER ? &server : &client;

		o->own_cid = span_of(p->sides[i].cid, p->sides[i].cid_len);
		p->sides[i].handshake = dtls_handshake_new(p->sides[i].context, o, p->now_ms);
		assert_non_null(p->sides[i].handshake);
	}
}

/* ---- the network ---- */

static inline bool by_chance(struct pair *p, unsigned permille)
{
	return random_u32(&p->random) % 1000 < permille;
}

static inline void post(struct pair *p, unsigned to, struct span datagram)
{
	unsigned copies = by_chance(p, p->double_permille) ? 2 : 1;

	for (; copies; copies--) {
		struct packet *packet = &p->packets[p->count];

		if (by_chance(p, p->loss_permille))
			continue;
		assert_in_range(p->count, 0, PACKETS_MAX - 1);
		assert_in_range(datagram.len, 1, DATAGRAM_MAX);
		packet->at_ms = p->now_ms + (p->delay_ms ? random_u32(&p->random) % p->delay_ms : 0);
		packet->to = to;
		packet->len = datagram.len;
		memcpy(packet->bytes, datagram.data, datagram.len);
		p->count++;
	}
}

/* A handshake record as fragments, each a datagram. */
static inline void post_cut(struct pair *p, unsigned to, const struct dtls_record *record)
{
	struct reader r = reader_of(record->fragment);
	struct dtls_fragment f;

	assert_int_equal(dtls_fragment_parse(&r, &f), 0);
	for (size_t at = 0; at == 0 || at < f.body.len; at += p->cut) {
		uint8_t bytes[DATAGRAM_MAX];
		struct writer w = writer_of(bytes, sizeof(bytes));
		size_t len = MIN(p->cut, f.body.len - at);

		writer_u8(&w, DTLS_HANDSHAKE);
		writer_u16(&w, record->version);
		writer_u16(&w, 0);
		writer_uint(&w, random_u32(&p->random), 6);
		writer_u16(&w, (uint16_t)(DTLS_MESSAGE_HEADER + len));
		writer_u8(&w, f.type);
		writer_u24(&w, f.total);
		writer_u16(&w, f.seq);
		writer_u24(&w, (uint32_t)(f.offset + at));
		writer_u24(&w, (uint32_t)len);
		writer_bytes(&w, span_of(f.body.data + at, len));
		assert_false(w.failed);
		post(p, to, writer_span(&w));
	}
}

static inline size_t parse_records(struct pair *p, unsigned to, struct span datagram,
				   struct dtls_record records[64])
{
	struct reader r = reader_of(datagram);
	size_t count = 0;

	while (count < 64 && dtls_record_parse(&r, p->sides[to].cid_len, &records[count]) == 0)
		count++;
	return count;
}

static inline void send_datagrams(struct pair *p, unsigned from)
{
	struct side *side = &p->sides[from];
	struct span datagram;

	while (side->handshake && dtls_handshake_next_datagram(side->handshake, &datagram)) {
		struct dtls_record records[64];
		size_t count = parse_records(p, 1 - from, datagram, records);

		side->datagrams++;
		assert_in_range(count, 1, 63);
		if (side->loses_last && records[count - 1].epoch == 1) {
			side->loses_last = false;
			continue;
		}
		for (size_t i = 0; i < count; i++) {
			const struct dtls_record *record = &records[p->reversed ? count - 1 - i : i];

			if (p->cut && record->epoch == 0 && record->type == DTLS_HANDSHAKE)
				post_cut(p, 1 - from, record);
			else if (p->cut || p->reversed)
				post(p, 1 - from, record->whole);
		}
		if (!p->cut && !p->reversed)
			post(p, 1 - from, datagram);
	}
}

/* What a side does with records once its handshake is over. */
static inline void receive_later(struct pair *p, unsigned to, const struct dtls_record *record)
{
	struct side *side = &p->sides[to];
	uint8_t bytes[DATAGRAM_MAX], out[256], type;
	struct writer w = writer_of(out, sizeof(out));
	struct span plaintext;

	if (record->epoch != 1 ||
	    dtls_session_open(&side->session, record, p->now_ms, bytes, &plaintext, &type) >
		    DTLS_OPENED_OLD ||
	    !dtls_last_flight_is_asked(type, plaintext))
		return;
	if (dtls_last_flight_resend(&side->last_flight, &side->session, &w) == 0) {
		side->resent++;
		post(p, 1 - to, writer_span(&w));
	}
}

static inline void deliver(struct pair *p, const struct packet *packet)
{
	struct side *side = &p->sides[packet->to];
	struct dtls_record records[64];
	size_t count = parse_records(p, packet->to, span_of(packet->bytes, packet->len), records);

	for (size_t i = 0; i < count; i++) {
		if (side->progress == DTLS_DONE)
			receive_later(p, packet->to, &records[i]);
		else
			dtls_handshake_input(side->handshake, &records[i]);
	}
}

/* ---- the course ---- */

static inline void answer(struct side *side)
{
	struct dtls_handshake *h = side->handshake;
	const struct answers *a = &side->answers;

	switch (side->progress) {
	case DTLS_NEED_PSK:
		if (a->psk.len)
			dtls_handshake_set_psk(h, a->psk);
		else
			dtls_handshake_refuse(h);
		break;
	case DTLS_NEED_PEER:
		if (a->refuses_peer)
			dtls_handshake_refuse(h);
		else
			dtls_handshake_accept_peer(h, a->pins_peer);
		break;
	case DTLS_NEED_RESUMPTION:
		dtls_handshake_resume(h, span_equal(dtls_handshake_session_id(h), a->ticket_id)
						 ? a->ticket
						 : (struct span){0});
		break;
	default:
		break;
	}
}

static inline bool is_question(enum dtls_progress progress)
{
	return progress == DTLS_NEED_PSK || progress == DTLS_NEED_PEER || progress == DTLS_NEED_RESUMPTION;
}

static inline void run_side(struct pair *p, unsigned which)
{
	struct side *side = &p->sides[which];
	bool expensive = p->patient;

	while (side->progress != DTLS_DONE && side->progress != DTLS_FAILED) {
		if (side->answer_at && p->now_ms >= side->answer_at) {
			side->answer_at = 0;
			answer(side);
		}
		side->progress = dtls_handshake_run(side->handshake, p->now_ms, expensive);
		expensive = p->patient;
		if (side->answer_at)
			break;
		side->questions[side->progress]++;
		if (side->progress == DTLS_EXPENSIVE) {
			expensive = true;
			continue;
		}
		if (!is_question(side->progress))
			break;
		side->answer_at = p->now_ms + side->answers.think_ms;
		if (side->answers.think_ms)
			break;
	}
	send_datagrams(p, which);
	if (side->progress == DTLS_DONE && !side->session.suite) {
		const struct dtls_result *result = dtls_handshake_result(side->handshake);
		struct dtls_record early;

		side->session = result->session;
		side->last_flight = result->last_flight;
		while (dtls_handshake_next_early(side->handshake, &early))
			receive_later(p, which, &early);
	}
}

static inline uint64_t next_event(const struct pair *p)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < p->count; i++)
		at = MIN(at, p->packets[i].at_ms);
	for (size_t i = 0; i < 2; i++) {
		const struct side *side = &p->sides[i];

		at = MIN(at, dtls_handshake_deadline(side->handshake));
		if (side->answer_at)
			at = MIN(at, side->answer_at);
	}
	return at;
}

static inline bool is_over(const struct side *side)
{
	return side->progress == DTLS_DONE || side->progress == DTLS_FAILED;
}

/* Until both are over, or nothing can happen any more. */
static inline void pair_run(struct pair *p)
{
	memset(&p->sides[0].session, 0, sizeof(p->sides[0].session));
	memset(&p->sides[1].session, 0, sizeof(p->sides[1].session));
	for (unsigned events = 0; events < 100000; events++) {
		struct packet packet;
		uint64_t at;

		for (unsigned i = 0; i < 2; i++)
			run_side(p, i);
		if (p->count == 0 && is_over(&p->sides[0]) && is_over(&p->sides[1]))
			return;
		at = next_event(p);
		if (at == UINT64_MAX)
			return;
		p->now_ms = MAX(p->now_ms, at);
		for (size_t i = 0; i < p->count; i++) {
			if (p->packets[i].at_ms > p->now_ms)
				continue;
			packet = p->packets[i];
			memmove(&p->packets[i], &p->packets[i + 1], (p->count - i - 1) * sizeof(packet));
			p->count--;
			deliver(p, &packet);
			break;
		}
	}
	fail_msg("it does not come to an end");
}

static inline void assert_done(struct pair *p)
{
	for (size_t i = 0; i < 2; i++) {
		if (p->sides[i].progress != DTLS_DONE)
			fail_msg("the %s is not done: %s", i == DTLS_SERVER ? "server" : "client",
				 dtls_handshake_failure(p->sides[i].handshake)->words);
	}
}

/* One record each way, by the sessions that came out. */
static inline void assert_sessions_fit(struct pair *p)
{
	for (size_t from = 0; from < 2; from++) {
		struct side *a = &p->sides[from], *b = &p->sides[1 - from];
		uint8_t wire[256], bytes[256], type;
		struct writer w = writer_of(wire, sizeof(wire));
		struct dtls_record record;
		struct span plaintext;
		struct reader r;

		assert_int_equal(dtls_session_seal(&a->session, &w, DTLS_APPLICATION_DATA, span_str("hello")),
				 0);
		r = reader_of(writer_span(&w));
		assert_int_equal(dtls_record_parse(&r, b->session.own_cid_len, &record), 0);
		assert_int_equal(record.type == DTLS_TLS12_CID, b->session.own_cid_len > 0);
		assert_int_equal(dtls_session_open(&b->session, &record, 0, bytes, &plaintext, &type),
				 DTLS_OPENED);
		assert_true(span_is(plaintext, "hello"));
	}
}
