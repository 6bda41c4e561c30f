/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A client of one server: a handshake now and then, a session in between. What it leaves out a server has:
 * connection ids that are looked up, associations of others, jobs in threads.
 */

#include "dtls/client.h"

#include <errno.h>

enum { CLIENT_BUFFER = DTLS_MTU_MAX + DTLS_EXPANSION_MAX };

struct dtls_client {
	struct dtls_client_options options;
	void *ctx;
	struct dtls_handshake *handshake;
	struct dtls_session session;
	bool established;
	bool resumed;
	struct dtls_last_flight last_flight;
	struct timer timer;
	struct buffer ticket; /* resumes the last session */
	struct dtls_failure *failure;
	struct dtls_client_stats stats;
};

static void advance(struct dtls_client *c, uint64_t wall_ms, uint64_t now_ms);

struct dtls_client *dtls_client_new(const struct dtls_client_options *options, void *ctx)
{
	struct dtls_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->options = *options;
	c->ctx = ctx;
	c->ticket = buffer_of(UINT16_MAX);
	return c;
}

static void stop_handshake(struct dtls_client *c)
{
	timer_cancel(c->options.timers, &c->timer);
	c->handshake = dtls_handshake_free(c->handshake);
}

struct dtls_client *dtls_client_free(struct dtls_client *c)
{
	if (!c)
		return NULL;
	stop_handshake(c);
	dtls_session_wipe(&c->session);
	buffer_deinit(&c->ticket);
	free(c->failure);
	free(c);
	return NULL;
}

static void end_session(struct dtls_client *c, enum dtls_client_end why)
{
	c->established = false;
	dtls_session_wipe(&c->session);
	c->options.host->ended(c->ctx, why);
}

static void say(struct dtls_client *c, uint8_t type, struct span plaintext)
{
	uint8_t out[CLIENT_BUFFER];
	struct writer w = writer_of(out, sizeof(out));
	int err = dtls_session_seal(&c->session, &w, type, plaintext);

	if (err == 0)
		c->options.host->send(c->ctx, writer_span(&w));
	else if (err == -EOVERFLOW)
		end_session(c, DTLS_CLIENT_EXHAUSTED);
}

bool dtls_client_send(struct dtls_client *c, struct span plaintext)
{
	if (!c->established)
		return false;
	say(c, DTLS_APPLICATION_DATA, plaintext);
	return c->established;
}

void dtls_client_close(struct dtls_client *c, bool notify)
{
	static const uint8_t close_notify[] = {1, 0};

	stop_handshake(c);
	if (c->established && notify)
		say(c, DTLS_ALERT, span_of(close_notify, sizeof(close_notify)));
	c->established = false;
	dtls_session_wipe(&c->session);
}

/* ---- records of the session ---- */

static void take_alert(struct dtls_client *c, struct span alert)
{
	enum { FATAL = 2, CLOSE_NOTIFY = 0 };

	if (alert.len == 2 && (alert.data[0] == FATAL || alert.data[1] == CLOSE_NOTIFY))
		end_session(c, DTLS_CLIENT_CLOSED);
}

static void resend_last_flight(struct dtls_client *c)
{
	uint8_t out[CLIENT_BUFFER];
	struct writer w = writer_of(out, sizeof(out));

	if (dtls_last_flight_resend(&c->last_flight, &c->session, &w) == 0)
		c->options.host->send(c->ctx, writer_span(&w));
}

static void take_record(struct dtls_client *c, const struct dtls_record *record, uint64_t wall_ms)
{
	uint8_t plain[CLIENT_BUFFER];
	struct span content;
	enum dtls_opened opened;
	uint8_t type;

	if (record->fragment.len > sizeof(plain))
		return;
	opened = dtls_session_open(&c->session, record, wall_ms, plain, &content, &type);
	if (opened == DTLS_NOT_AUTHENTIC && c->session.failed_opens >= DTLS_FAILURES_MAX)
		end_session(c, DTLS_CLIENT_EXHAUSTED);
	if (opened != DTLS_OPENED && opened != DTLS_OPENED_OLD)
		return;
	if (type == DTLS_APPLICATION_DATA)
		c->options.host->input(c->ctx, content);
	else if (type == DTLS_ALERT)
		take_alert(c, content);
	else if (dtls_last_flight_is_asked(type, content))
		resend_last_flight(c);
}

/* ---- the handshake ---- */

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct dtls_client *c = container_of(timer, struct dtls_client, timer);

	advance(c, c->session.used_ms, now_ms);
}

void dtls_client_prepare(struct dtls_client *c, const struct dtls_client_options *options)
{
	assert(options->own_cid.len == c->options.own_cid.len);
	c->options.context = options->context;
	c->options.psk_identity = options->psk_identity;
	c->options.psk = options->psk;
	c->options.own_cid = options->own_cid;
}

int dtls_client_start(struct dtls_client *c, uint64_t now_ms)
{
	struct dtls_handshake_options options = {
		.peer = c->options.server,
		.own_cid = c->options.own_cid,
		.psk_identity = c->options.psk_identity,
		.psk = c->options.psk,
		.server_name = c->options.server_name,
		.resume = c->options.resume ? buffer_span(&c->ticket) : span_of(NULL, 0),
	};

	dtls_client_close(c, false);
	c->handshake = dtls_handshake_new(c->options.context, &options, now_ms);
	if (!c->handshake)
		return -ENOMEM;
	advance(c, 0, now_ms);
	return 0;
}

static void complete(struct dtls_client *c, uint64_t wall_ms)
{
	const struct dtls_result *result = dtls_handshake_result(c->handshake);
	struct dtls_handshake *handshake = c->handshake;
	struct dtls_record early;

	c->handshake = NULL;
	c->session = result->session;
	c->session.created_ms = c->session.used_ms = wall_ms;
	c->last_flight = result->last_flight;
	c->established = true;
	c->resumed = result->resumed;
	c->stats.handshakes++;
	c->stats.resumed += result->resumed;
	if (c->options.resume && result->ticket.len) {
		c->ticket.len = 0;
		c->ticket.failed = false;
		buffer_bytes(&c->ticket, result->ticket);
	}
	c->options.host->ready(c->ctx);
	while (c->established && dtls_handshake_next_early(handshake, &early))
		take_record(c, &early, wall_ms);
	dtls_handshake_free(handshake);
}

static void fail(struct dtls_client *c)
{
	if (!c->failure)
		c->failure = malloc(sizeof(*c->failure));
	if (c->failure)
		*c->failure = *dtls_handshake_failure(c->handshake);
	c->stats.failed++;
	c->ticket.len = 0; /* the next one begins afresh */
	stop_handshake(c);
	c->options.host->ended(c->ctx, DTLS_CLIENT_FAILED);
}

static void advance(struct dtls_client *c, uint64_t wall_ms, uint64_t now_ms)
{
	enum dtls_progress progress = dtls_handshake_run(c->handshake, now_ms, true);
	struct span datagram;

	/* The client of a device trusts what its context was set up to trust. */
	while (progress == DTLS_NEED_PEER) {
		dtls_handshake_accept_peer(c->handshake, false);
		progress = dtls_handshake_run(c->handshake, now_ms, true);
	}
	while (dtls_handshake_next_datagram(c->handshake, &datagram))
		c->options.host->send(c->ctx, datagram);
	if (progress == DTLS_DONE) {
		timer_cancel(c->options.timers, &c->timer);
		complete(c, wall_ms);
	} else if (progress == DTLS_FAILED) {
		fail(c);
	} else {
		timer_set(c->options.timers, &c->timer, dtls_handshake_deadline(c->handshake), on_timer);
	}
}

void dtls_client_input(struct dtls_client *c, struct span datagram, uint64_t wall_ms, uint64_t now_ms)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;
	size_t cid_len = c->options.own_cid.len;
	bool fed = false;

	while (reader_left(&r) > 0 && dtls_record_parse(&r, cid_len, &record) == 0) {
		if (c->handshake) {
			dtls_handshake_input(c->handshake, &record);
			fed = true;
		} else if (c->established && record.epoch == DTLS_EPOCH) {
			take_record(c, &record, wall_ms);
		}
	}
	if (fed && c->handshake)
		advance(c, wall_ms, now_ms);
}

/* ---- what is asked of it ---- */

bool dtls_client_is_ready(const struct dtls_client *c)
{
	return c->established;
}

bool dtls_client_is_busy(const struct dtls_client *c)
{
	return c->handshake != NULL;
}

bool dtls_client_is_resumed(const struct dtls_client *c)
{
	return c->resumed;
}

const struct dtls_session *dtls_client_session(const struct dtls_client *c)
{
	return c->established ? &c->session : NULL;
}

const struct dtls_failure *dtls_client_failure(const struct dtls_client *c)
{
	return c->failure;
}

struct dtls_client_stats dtls_client_stats(const struct dtls_client *c)
{
	return c->stats;
}
