/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/timer.h"
#include "dtls/handshake.h"

/*
 * A DTLS client with one server: the other end of endpoint.h, for the simulator and for tests. Sans-IO. An
 * idle one is a session and little more.
 */

struct dtls_client;

enum dtls_client_end {
	DTLS_CLIENT_FAILED,   /* the handshake; dtls_client_failure says why */
	DTLS_CLIENT_CLOSED,   /* close_notify or a fatal alert of the server */
	DTLS_CLIENT_EXHAUSTED /* its numbers are spent, or too many records failed */
};

struct dtls_client_host {
	/* Must not call back into the client. */
	void (*send)(void *ctx, struct span datagram);
	void (*input)(void *ctx, struct span plaintext);
	/* The handshake is complete: dtls_client_send works. */
	void (*ready)(void *ctx);
	/* Back to the beginning: dtls_client_start may be called, also from here. */
	void (*ended)(void *ctx, enum dtls_client_end why);
};

/* Spans are borrowed as long as the client lives. */
struct dtls_client_options {
	const struct dtls_context *context; /* of role DTLS_CLIENT */
	const struct dtls_client_host *host;
	struct timers *timers;
	struct address server;
	struct span psk_identity, psk, server_name;
	struct span
		own_cid; /* what the server shall put into records to us, if the context has connection_ids */
	bool resume;	 /* by session id, if there was a session before */
};
struct dtls_client *dtls_client_new(const struct dtls_client_options *options, void *ctx) NODISCARD;
/* Says nothing to the server. */
struct dtls_client *dtls_client_free(struct dtls_client *c);

/* Begins a handshake; a session that is there is forgotten. -ENOMEM. */
int dtls_client_start(struct dtls_client *c, uint64_t now_ms) NODISCARD;
/*
 * For those who have many clients and do not want to keep what only handshakes need: takes context, PSK and
 * own connection id (of the same length as before) from `options`. The spans are borrowed until the next
 * dtls_client_start has returned, the context until its handshake has ended.
 */
void dtls_client_prepare(struct dtls_client *c, const struct dtls_client_options *options);
void dtls_client_input(struct dtls_client *c, struct span datagram, uint64_t wall_ms, uint64_t now_ms);
/* False: there is no session. */
bool dtls_client_send(struct dtls_client *c, struct span plaintext);
/* Forgets the session; with `say`, by close_notify. `ended` is not called. */
void dtls_client_close(struct dtls_client *c, bool say);

bool dtls_client_is_ready(const struct dtls_client *c);
/* A handshake is under way. */
bool dtls_client_is_busy(const struct dtls_client *c);
/* The last handshake that succeeded took up an earlier session. */
bool dtls_client_is_resumed(const struct dtls_client *c);
/* NULL without a session. */
const struct dtls_session *dtls_client_session(const struct dtls_client *c);
/* Of the last handshake that failed. */
const struct dtls_failure *dtls_client_failure(const struct dtls_client *c);

struct dtls_client_stats {
	uint32_t handshakes, resumed, failed;
};
struct dtls_client_stats dtls_client_stats(const struct dtls_client *c);
