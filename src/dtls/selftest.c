/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Looks whether the installed GnuTLS does what is built on: that it gives the keys of epoch 1 in the middle
 * of a handshake, and that our extension takes part in full and in resumed ones. The hard idea is only to say
 * in words what is wrong. It also makes the library load what it loads at first use. Left out: certificates,
 * which need no more of it than any program does.
 */

#include "dtls/handshake.h"

#include <errno.h>
#include <gnutls/gnutls.h>

enum { ROUNDS = 40, ROUND_MS = 100 };

static const uint8_t key[] = "0123456789abcdef";
static const uint8_t cids[2][DTLS_CID_OWN] = {"server--", "client--"};

struct pair {
	struct dtls_context *contexts[2];     /* of dtls_role */
	struct dtls_handshake *handshakes[2]; /* likewise */
	struct buffer ticket;		      /* of the server */
	struct buffer session;		      /* of the client */
	struct buffer id;
	char *words;
};

static int complain(struct pair *p, const char *what)
{
	struct writer w = writer_of(p->words, DTLS_WORDS - 1);

	writer_str(&w, "GnuTLS ");
	writer_str(&w, gnutls_check_version(NULL));
	writer_str(&w, ": ");
	/* What does not fit is cut off, not left out. */
	writer_bytes(&w, span_of(what, MIN(strlen(what), (size_t)(w.end - w.pos))));
	*w.pos = '\0';
	return -EPROTO;
}

static void carry(struct dtls_handshake *from, struct dtls_handshake *to)
{
	struct span datagram;

	while (dtls_handshake_next_datagram(from, &datagram)) {
		struct reader r = reader_of(datagram);
		struct dtls_record record;

		while (dtls_record_parse(&r, DTLS_CID_OWN, &record) == 0)
			dtls_handshake_input(to, &record);
	}
}

static enum dtls_progress run(struct pair *p, enum dtls_role role, uint64_t now)
{
	struct dtls_handshake *h = p->handshakes[role];
	enum dtls_progress progress = dtls_handshake_run(h, now, true);

	if (progress == DTLS_NEED_PSK)
		dtls_handshake_set_psk(h, span_of(key, 16));
	if (progress == DTLS_NEED_RESUMPTION)
		dtls_handshake_resume(h, span_equal(dtls_handshake_session_id(h), buffer_span(&p->id))
						 ? buffer_span(&p->ticket)
						 : (struct span){0});
	if (progress == DTLS_NEED_PSK || progress == DTLS_NEED_RESUMPTION)
		progress = dtls_handshake_run(h, now, true);
	return progress;
}

/* One record from one to the other. */
static int pass(struct pair *p, struct dtls_session *from, struct dtls_session *to)
{
	uint8_t wire[256], bytes[256], type;
	struct writer w = writer_of(wire, sizeof(wire));
	struct dtls_record record;
	struct span plaintext;
	struct reader r;

	if (dtls_session_seal(from, &w, DTLS_APPLICATION_DATA, span_str("hello")) < 0)
		return complain(p, "no record can be sealed");
	r = reader_of(writer_span(&w));
	if (dtls_record_parse(&r, DTLS_CID_OWN, &record) < 0 || record.type != DTLS_TLS12_CID)
		return complain(p, "records have no connection id");
	if (dtls_session_open(to, &record, 0, bytes, &plaintext, &type) != DTLS_OPENED ||
	    !span_is(plaintext, "hello"))
		return complain(p, "the keys that it gives to both sides differ");
	return 0;
}

static int compare(struct pair *p, bool resumed)
{
	const struct dtls_result *results[2];
	struct dtls_session sessions[2];
	int r;

	for (size_t i = 0; i < 2; i++) {
		results[i] = dtls_handshake_result(p->handshakes[i]);
		sessions[i] = results[i]->session;
		if (results[i]->resumed != resumed)
			return complain(p, "a session is not resumed");
		if (sessions[i].own_cid_len != DTLS_CID_OWN || sessions[i].peer_cid_len != DTLS_CID_OWN ||
		    memcmp(sessions[i].peer_cid, cids[1 - i], DTLS_CID_OWN) != 0)
			return complain(p, resumed ? "connection ids get lost when a session is resumed"
						   : "connection ids are not agreed");
	}
	if (results[DTLS_SERVER]->kind != DTLS_IDENTITY_PSK ||
	    !span_is(results[DTLS_SERVER]->identity, "selftest"))
		return complain(p, "the identity is lost");
	r = pass(p, &sessions[DTLS_CLIENT], &sessions[DTLS_SERVER]);
	if (r == 0)
		r = pass(p, &sessions[DTLS_SERVER], &sessions[DTLS_CLIENT]);
	for (size_t i = 0; i < 2; i++)
		dtls_session_wipe(&sessions[i]);
	if (!resumed) {
		buffer_bytes(&p->id, results[DTLS_SERVER]->session_id);
		buffer_bytes(&p->ticket, results[DTLS_SERVER]->ticket);
		buffer_bytes(&p->session, results[DTLS_CLIENT]->ticket);
	}
	return r;
}

static int shake_hands(struct pair *p, bool resumed)
{
	for (size_t role = 0; role < 2; role++) {
		struct dtls_handshake_options options = {.own_cid = span_of(cids[role], DTLS_CID_OWN)};

		if (role == DTLS_CLIENT) {
			options.psk_identity = span_str("selftest");
			options.psk = span_of(key, 16);
			options.resume = buffer_span(&p->session);
		}
		p->handshakes[role] = dtls_handshake_new(p->contexts[role], &options, 0);
		if (!p->handshakes[role])
			return complain(p, "no session can be made");
	}
	for (uint64_t round = 0; round < ROUNDS; round++) {
		enum dtls_progress client = run(p, DTLS_CLIENT, round * ROUND_MS), server;

		carry(p->handshakes[DTLS_CLIENT], p->handshakes[DTLS_SERVER]);
		server = run(p, DTLS_SERVER, round * ROUND_MS);
		carry(p->handshakes[DTLS_SERVER], p->handshakes[DTLS_CLIENT]);
		if (client == DTLS_FAILED || server == DTLS_FAILED)
			return complain(p,
					dtls_handshake_failure(p->handshakes[client == DTLS_FAILED])->words);
		if (client == DTLS_DONE && server == DTLS_DONE)
			return compare(p, resumed);
	}
	return complain(p, "a handshake does not come to its end");
}

static void drop_handshakes(struct pair *p)
{
	for (size_t role = 0; role < 2; role++)
		p->handshakes[role] = dtls_handshake_free(p->handshakes[role]);
}

int dtls_selftest(char words[DTLS_WORDS])
{
	struct pair p = {
		.words = words, .ticket = buffer_of(4096), .session = buffer_of(4096), .id = buffer_of(64)};
	int r = 0;

	words[0] = '\0';
	for (size_t role = 0; r == 0 && role < 2; role++) {
		struct dtls_context_options options = {.role = (enum dtls_role)role,
						       .credentials = DTLS_WITH_PSK,
						       .connection_ids = true,
						       .resumption = true};

		r = dtls_context_new(&options, &p.contexts[role], words);
	}
	if (r == 0)
		r = shake_hands(&p, false);
	drop_handshakes(&p);
	if (r == 0)
		r = shake_hands(&p, true);
	drop_handshakes(&p);
	for (size_t role = 0; role < 2; role++)
		p.contexts[role] = dtls_context_free(p.contexts[role]);
	buffer_deinit(&p.ticket);
	buffer_deinit(&p.session);
	buffer_deinit(&p.id);
	return r;
}
