/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The course of a handshake: questions, timers, the end. The hard idea: everything that may happen is a run,
 * which goes on as far as it can and says why it stopped; so nothing is called back, and a run can be made by
 * any thread. Time is the caller's, so repeating flights is done here and not by the library. Left out: the
 * records themselves (shim.c, outbox.c) and the cryptography (engine_gnutls.c).
 */

#include "dtls/shim.h"

#include <errno.h>
#include <stdio.h>

enum {
	INTERVAL_MAX_MS = 60000,
	/* A record that does not authenticate may be anybody's: the true Finished has this long to come after
	   it. */
	DOUBT_MS = 2000,
	/* Duplicates that the network makes are not the peer's wish to hear us again. */
	REPEAT_SPACING_MS = 100,
	TICKET_MAX = 16 << 10,
};

enum {
	ALERT_FATAL = 2,
	ALERT_BAD_RECORD_MAC = 20,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_BAD_CERTIFICATE = 42,
	ALERT_ACCESS_DENIED = 49,
	ALERT_DECRYPT_ERROR = 51,
	ALERT_PROTOCOL_VERSION = 70,
	ALERT_INSUFFICIENT_SECURITY = 71,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_UNKNOWN_PSK_IDENTITY = 115,
};

/* ---- life ---- */

static bool fill(struct dtls_handshake *h, const struct dtls_handshake_options *o)
{
	if (o->own_cid.len > DTLS_CID_OWN || o->psk.len > DTLS_PSK_MAX ||
	    o->psk_identity.len > DTLS_IDENTITY_MAX)
		return false;
	if (h->context->role == DTLS_CLIENT && h->context->credentials == DTLS_WITH_PSK && !o->psk.len)
		return false;
	writer_bytes(&(struct writer){h->own_cid, h->own_cid, h->own_cid + sizeof(h->own_cid), false},
		     o->own_cid);
	h->own_cid_len = o->own_cid.len;
	if (o->psk.len) {
		memcpy(h->answers.key, o->psk.data, o->psk.len);
		h->answers.key_len = o->psk.len;
	}
	if (o->psk_identity.len) {
		memcpy(h->answers.identity, o->psk_identity.data, o->psk_identity.len);
		h->answers.identity_len = o->psk_identity.len;
	}
	h->engine = dtls_engine_new(h, o);
	return h->engine;
}

struct dtls_handshake *dtls_handshake_new(const struct dtls_context *context,
					  const struct dtls_handshake_options *options, uint64_t now_ms)
{
	struct dtls_handshake *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->context = context;
	h->timeout_at = now_ms + context->timeout_ms;
	h->answers.stored = buffer_of(TICKET_MAX);
	h->server_name = buffer_of(UINT8_MAX);
	h->identity = buffer_of(DTLS_MESSAGE_MAX);
	h->new_session_id = buffer_of(DTLS_SESSION_ID_MAX);
	h->ticket = buffer_of(TICKET_MAX);
	h->result.session.peer = options->peer;
	dtls_inbox_init(h, context->role == DTLS_SERVER ? options->prestate.message_seq : 0);
	dtls_outbox_init(h, context->role == DTLS_SERVER ? options->prestate.record_seq : 0);
	if (!fill(h, options))
		return dtls_handshake_free(h);
	return h;
}

/* What is not needed once it is over. */
static void end(struct dtls_handshake *h)
{
	h->engine = dtls_engine_free(h->engine);
	dtls_reassembly_deinit(&h->in.messages);
	buffer_deinit(&h->out.flight);
	buffer_deinit(&h->answers.stored);
	explicit_bzero(h->answers.key, sizeof(h->answers.key));
	explicit_bzero(&h->read, sizeof(h->read));
	explicit_bzero(&h->write, sizeof(h->write));
	h->answers.key_len = 0;
	h->out.resend_at = UINT64_MAX;
}

struct dtls_handshake *dtls_handshake_free(struct dtls_handshake *h)
{
	if (!h)
		return NULL;
	end(h);
	dtls_inbox_deinit(h);
	dtls_outbox_deinit(h);
	buffer_deinit(&h->server_name);
	buffer_deinit(&h->identity);
	buffer_deinit(&h->new_session_id);
	if (h->ticket.data)
		explicit_bzero(h->ticket.data, h->ticket.len);
	buffer_deinit(&h->ticket);
	dtls_session_wipe(&h->result.session);
	free(h);
	return NULL;
}

/* ---- failing ---- */

static enum dtls_cause cause_of_alert(const struct dtls_handshake *h, uint8_t alert)
{
	bool psk = h->suite ? h->suite->psk : h->context->credentials == DTLS_WITH_PSK;

	if (alert == ALERT_UNKNOWN_PSK_IDENTITY)
		return DTLS_UNKNOWN_IDENTITY;
	if (psk && (alert == ALERT_DECRYPT_ERROR || alert == ALERT_BAD_RECORD_MAC))
		return DTLS_WRONG_KEY;
	if (alert == ALERT_HANDSHAKE_FAILURE || alert == ALERT_INSUFFICIENT_SECURITY ||
	    alert == ALERT_PROTOCOL_VERSION)
		return DTLS_NO_COMMON_SUITE;
	if (alert >= ALERT_BAD_CERTIFICATE && alert <= ALERT_ACCESS_DENIED)
		return DTLS_BAD_CERTIFICATE;
	return DTLS_PEER_ALERT;
}

static enum dtls_progress fail(struct dtls_handshake *h)
{
	struct dtls_failure *f = &h->failure;
	const uint8_t alert[] = {ALERT_FATAL, f->alert};

	if (f->by_peer)
		f->cause = cause_of_alert(h, f->alert);
	if (f->cause == DTLS_BAD_CERTIFICATE && h->reason[0])
		memcpy(f->words, h->reason, sizeof(f->words));
	if (f->alert && !f->by_peer)
		(void)dtls_outbox_record(h, h->have_write, DTLS_ALERT, span_of(alert, sizeof(alert)));
	end(h);
	return h->progress = DTLS_FAILED;
}

static enum dtls_progress fail_with(struct dtls_handshake *h, enum dtls_cause cause, uint8_t alert,
				    const char *words)
{
	h->failure = (struct dtls_failure){.cause = cause, .alert = alert};
	(void)snprintf(h->failure.words, sizeof(h->failure.words), "%s", words);
	return fail(h);
}

/* The identity was unknown if it was hidden; for all that the peer sees, its key was wrong. */
static enum dtls_progress fail_for_doubt(struct dtls_handshake *h)
{
	if (h->answers.hidden)
		return fail_with(h, DTLS_UNKNOWN_IDENTITY, ALERT_DECRYPT_ERROR, "the identity is unknown");
	if (h->suite->psk)
		return fail_with(h, DTLS_WRONG_KEY, ALERT_DECRYPT_ERROR, "the keys differ");
	return fail_with(h, DTLS_PROTOCOL_ERROR, ALERT_DECRYPT_ERROR, "the Finished does not authenticate");
}

/* ---- done ---- */

static void fill_session(struct dtls_handshake *h, struct dtls_session *s)
{
	struct span cid = dtls_shim_cid_of_peer(h);

	s->write_seq = h->out.write_seq;
	s->read_top = h->in.read_top;
	s->read_window = h->in.read_window;
	s->read_any = h->in.read_any;
	s->suite = h->suite->id;
	s->aead = h->suite->aead;
	s->own_cid_len = (uint8_t)dtls_shim_own_cid_len(h);
	memcpy(s->own_cid, h->own_cid, s->own_cid_len);
	s->peer_cid_len = (uint8_t)cid.len;
	memcpy(s->peer_cid, cid.data, cid.len);
	s->read = h->read;
	s->write = h->write;
}

static void fill_last_flight(const struct dtls_handshake *h, struct dtls_last_flight *last)
{
	last->record_seq = h->out.epoch0_seq;
	/* Whoever heard something after its Finished knows that it arrived. */
	if (h->in.given_since_sent)
		return;
	last->finished_len = h->out.finished_len;
	memcpy(last->finished, h->out.finished, sizeof(last->finished));
}

static enum dtls_progress finish(struct dtls_handshake *h)
{
	struct dtls_result *result = &h->result;
	size_t key_len = h->suite ? dtls_key_len(h->suite->aead) : 0;

	if (!h->suite || !dtls_engine_secret(h->engine, true, key_len, &h->read) ||
	    !dtls_engine_secret(h->engine, false, key_len, &h->write))
		return fail_with(h, DTLS_INTERNAL_ERROR, ALERT_INTERNAL_ERROR, "the library gives no keys");
	if (dtls_engine_identity(h->engine, &result->kind, &h->identity) < 0 ||
	    (h->context->role == DTLS_CLIENT && h->context->resumption &&
	     dtls_engine_ticket(h->engine, &h->new_session_id, &h->ticket) < 0))
		return fail_with(h, DTLS_INTERNAL_ERROR, ALERT_INTERNAL_ERROR, "out of memory");
	fill_session(h, &result->session);
	fill_last_flight(h, &result->last_flight);
	result->session.extended_master_secret = dtls_engine_has_extended_master_secret(h->engine);
	result->resumed = dtls_engine_is_resumed(h->engine);
	result->identity = buffer_span(&h->identity);
	if (h->new_session_id.len) {
		result->session_id = buffer_span(&h->new_session_id);
		result->ticket = buffer_span(&h->ticket);
	}
	h->early = &h->in.held;
	end(h);
	return h->progress = DTLS_DONE;
}

const struct dtls_result *dtls_handshake_result(const struct dtls_handshake *h)
{
	assert(h->progress == DTLS_DONE);
	return &h->result;
}

bool dtls_handshake_next_early(struct dtls_handshake *h, struct dtls_record *record)
{
	while (h->early && h->early->next != &h->in.held) {
		struct dtls_held *held = container_of(h->early->next, struct dtls_held, node);
		struct reader r = reader_of(span_of(held->bytes, held->len));

		h->early = h->early->next;
		if (dtls_record_parse(&r, h->own_cid_len, record) == 0)
			return true;
	}
	return false;
}

const struct dtls_failure *dtls_handshake_failure(const struct dtls_handshake *h)
{
	return &h->failure;
}

const char *dtls_cause_name(enum dtls_cause cause)
{
	static const char *const names[] = {
		[DTLS_CAUSE_NONE] = "none",
		[DTLS_UNKNOWN_IDENTITY] = "unknown_identity",
		[DTLS_WRONG_KEY] = "wrong_key",
		[DTLS_NO_COMMON_SUITE] = "no_common_suite",
		[DTLS_BAD_CERTIFICATE] = "bad_certificate",
		[DTLS_PEER_ALERT] = "peer_alert",
		[DTLS_TIMED_OUT] = "timed_out",
		[DTLS_PROTOCOL_ERROR] = "protocol_error",
		[DTLS_INTERNAL_ERROR] = "internal_error",
	};

	return names[cause];
}

/* ---- runs ---- */

static bool is_question(enum dtls_progress p)
{
	return p == DTLS_NEED_PSK || p == DTLS_NEED_PEER || p == DTLS_NEED_RESUMPTION || p == DTLS_EXPENSIVE;
}

/* Lets the engine go on as long as there is something for it. */
static enum dtls_progress step(struct dtls_handshake *h)
{
	static const enum dtls_progress progress[] = {
		[GATE_EMPTY] = DTLS_WAITING,
		[GATE_READY] = DTLS_WAITING,
		[GATE_PSK] = DTLS_NEED_PSK,
		[GATE_PEER] = DTLS_NEED_PEER,
		[GATE_RESUMPTION] = DTLS_NEED_RESUMPTION,
		[GATE_EXPENSIVE] = DTLS_EXPENSIVE,
	};
	bool begins = h->context->role == DTLS_CLIENT && !h->started;

	if (begins || dtls_shim_ready(h)) {
		h->started = true;
		switch (dtls_engine_step(h->engine, &h->failure)) {
		case DTLS_ENGINE_DONE:
			return finish(h);
		case DTLS_ENGINE_FAILED:
			return fail(h);
		case DTLS_ENGINE_WAITS:
			break;
		}
	}
	return progress[dtls_shim_gate(h)];
}

/* A flight is repeated when the peer repeats its own, or nothing comes. */
static bool repeat(struct dtls_handshake *h, uint64_t now_ms)
{
	struct dtls_outbox *out = &h->out;
	uint64_t sent_at = out->resend_at - out->interval_ms;

	if (out->resend_at == UINT64_MAX)
		return true;
	if (h->in.repeated && !h->in.given_since_sent && now_ms >= sent_at + REPEAT_SPACING_MS) {
		h->in.repeated = false;
		out->resend_at = now_ms + out->interval_ms;
		return dtls_outbox_repeat(h);
	}
	if (now_ms < out->resend_at)
		return true;
	out->interval_ms = MIN(out->interval_ms * 2, (uint64_t)INTERVAL_MAX_MS);
	out->resend_at = now_ms + out->interval_ms;
	return dtls_outbox_repeat(h);
}

enum dtls_progress dtls_handshake_run(struct dtls_handshake *h, uint64_t now_ms, bool expensive)
{
	if (!h->engine)
		return h->progress;
	h->expensive = expensive;
	h->progress = step(h);
	if (!h->engine)
		return h->progress;
	if (h->out.new_flight) {
		h->out.new_flight = false;
		h->out.interval_ms = h->context->retransmit_ms;
		h->out.resend_at = now_ms + h->out.interval_ms;
	}
	if (h->in.in_doubt && !h->doubt_until)
		h->doubt_until = now_ms + DOUBT_MS;
	if (h->doubt_until && now_ms >= h->doubt_until)
		return fail_for_doubt(h);
	if (now_ms >= h->timeout_at)
		return fail_with(h, DTLS_TIMED_OUT, 0, "the peer does not go on");
	if (!is_question(h->progress) && !repeat(h, now_ms))
		return fail_with(h, DTLS_INTERNAL_ERROR, ALERT_INTERNAL_ERROR,
				 "what is to be sent does not fit");
	return h->progress;
}

uint64_t dtls_handshake_deadline(const struct dtls_handshake *h)
{
	uint64_t at = h->timeout_at;

	if (!h->engine)
		return UINT64_MAX;
	if (h->doubt_until)
		at = MIN(at, h->doubt_until);
	return is_question(h->progress) ? at : MIN(at, h->out.resend_at);
}

/* ---- questions ---- */

struct span dtls_handshake_psk_identity(const struct dtls_handshake *h)
{
	return span_of(h->answers.identity, h->answers.identity_len);
}

void dtls_handshake_set_psk(struct dtls_handshake *h, struct span key)
{
	assert(key.len > 0 && key.len <= DTLS_PSK_MAX);
	if (h->progress != DTLS_NEED_PSK)
		return;
	memcpy(h->answers.key, key.data, key.len);
	h->answers.key_len = key.len;
	h->answers.psk = true;
	h->progress = DTLS_WAITING;
}

size_t dtls_handshake_peer(const struct dtls_handshake *h, struct span chain[DTLS_CHAIN_MAX], bool *raw_key)
{
	struct span body;
	uint8_t type;
	size_t count = 0;

	*raw_key = h->engine && dtls_engine_peer_has_raw_key(h->engine);
	if (!h->engine || !dtls_reassembly_peek(&h->in.messages, &type, &body) || type != DTLS_CERTIFICATE ||
	    dtls_certificate_parse(body, *raw_key, chain, &count) < 0)
		return 0;
	return count;
}

void dtls_handshake_accept_peer(struct dtls_handshake *h, bool pinned)
{
	if (h->progress != DTLS_NEED_PEER)
		return;
	h->answers.peer = true;
	h->answers.pinned = pinned;
	h->progress = DTLS_WAITING;
}

void dtls_handshake_refuse(struct dtls_handshake *h)
{
	if (h->progress == DTLS_NEED_PEER)
		(void)fail_with(h, DTLS_BAD_CERTIFICATE, ALERT_BAD_CERTIFICATE,
				"the certificate or key is refused");
	if (h->progress != DTLS_NEED_PSK)
		return;
	if (!h->context->hide_identities) {
		(void)fail_with(h, DTLS_UNKNOWN_IDENTITY, ALERT_UNKNOWN_PSK_IDENTITY,
				"the identity is unknown");
		return;
	}
	/* Goes on with a key that nobody has. */
	h->answers.hidden = h->answers.psk = true;
	h->answers.key_len = 16;
	dtls_engine_random(h->answers.key, h->answers.key_len);
	h->progress = DTLS_WAITING;
}

struct span dtls_handshake_session_id(const struct dtls_handshake *h)
{
	return span_of(h->session_id, h->session_id_len);
}

void dtls_handshake_resume(struct dtls_handshake *h, struct span ticket)
{
	if (h->progress != DTLS_NEED_RESUMPTION)
		return;
	buffer_bytes(&h->answers.stored, ticket);
	h->answers.resumption = true;
	h->progress = DTLS_WAITING;
}

struct span dtls_handshake_server_name(const struct dtls_handshake *h)
{
	return buffer_span(&h->server_name);
}
