/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "dtls/handshake.h"

/*
 * The narrow waist between a handshake and the library which computes it: whole records of epoch 0 and plain
 * records of epoch 1 go in, the same come out, secrets can be read. engine_gnutls.c is the one there is. An
 * engine keeps no time and repeats nothing; both are done outside.
 */

struct dtls_engine;

/* NULL: out of memory, or the library refuses. `h` is what it asks by the functions below. */
struct dtls_engine *dtls_engine_new(struct dtls_handshake *h, const struct dtls_handshake_options *options);
struct dtls_engine *dtls_engine_free(struct dtls_engine *e);

enum dtls_engine_step { DTLS_ENGINE_WAITS, DTLS_ENGINE_DONE, DTLS_ENGINE_FAILED };
/* Takes what is ready and goes on. FAILED: *failure is filled. */
enum dtls_engine_step dtls_engine_step(struct dtls_engine *e, struct dtls_failure *failure);

/* The secret of the direction as soon as that is in epoch 1. */
bool dtls_engine_secret(const struct dtls_engine *e, bool read, size_t key_len, struct dtls_secret *out);
/* The peer will send, or has sent, a raw public key and no certificate. */
bool dtls_engine_peer_has_raw_key(const struct dtls_engine *e);
bool dtls_engine_has_extended_master_secret(const struct dtls_engine *e);
bool dtls_engine_is_resumed(const struct dtls_engine *e);
/* Random bytes of the library. */
void dtls_engine_random(void *out, size_t len);
/* When done: the peer's identity, and what resumes the session (client; a server's comes by
 * dtls_engine_stored). -ENOMEM. */
int dtls_engine_identity(const struct dtls_engine *e, enum dtls_identity *kind, struct buffer *out) NODISCARD;
int dtls_engine_ticket(const struct dtls_engine *e, struct buffer *session_id,
		       struct buffer *ticket) NODISCARD;

/* ---- what an engine asks the handshake ---- */

const struct dtls_context *dtls_shim_context(const struct dtls_handshake *h);
/* Whether a record is there that the engine may have now, and that record, borrowed until the next. */
bool dtls_shim_ready(struct dtls_handshake *h);
bool dtls_shim_take(struct dtls_handshake *h, struct span *record);
/* A record that the engine sends; false: it cannot be sent, the handshake fails. */
bool dtls_shim_sent(struct dtls_handshake *h, struct span record);
/* Extension 54. */
bool dtls_shim_peer_cid(struct dtls_handshake *h, struct span extension);
bool dtls_shim_own_cid(const struct dtls_handshake *h, struct writer *extension);
/* The key for the identity: the peer's, of a server, or the own one, of a client. */
void dtls_shim_psk(const struct dtls_handshake *h, struct span *identity, struct span *key);
/* The peer's certificate or raw key was asked about, and accepted; then, whether its chain is to be verified.
 */
bool dtls_shim_peer_is_accepted(const struct dtls_handshake *h);
bool dtls_shim_verifies_chain(const struct dtls_handshake *h);
/* Why the chain is not trusted, in words. */
void dtls_shim_set_reason(struct dtls_handshake *h, const char *words);
/* Server: what was stored under the session id that the client offers; what is to be stored. */
struct span dtls_shim_stored(const struct dtls_handshake *h, struct span session_id);
void dtls_shim_store(struct dtls_handshake *h, struct span session_id, struct span ticket);
