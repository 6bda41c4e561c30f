/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "dtls/cookie.h"
#include "dtls/session.h"

/*
 * The handshake of DTLS 1.2 (RFC 6347) with connection ids (RFC 9146), for a server and for a client: no
 * sockets, no loop, no clock. The caller brings records and the time, and sends the datagrams that come out.
 * What it has to know from elsewhere - a key for an identity, a verdict on a certificate, a stored session -
 * it is asked for, and may answer whenever it likes.
 *
 *     dtls_handshake_input() ... ; switch (dtls_handshake_run()) ... ;
 *     while (dtls_handshake_next_datagram()) send ; come again at dtls_handshake_deadline()
 *
 * A handshake belongs to one thread at a time; a context may be shared by all that read it.
 */

enum dtls_role { DTLS_SERVER, DTLS_CLIENT };

enum { DTLS_WITH_PSK = 1, DTLS_WITH_X509 = 2, DTLS_WITH_RAW_KEY = 4 };

enum dtls_ask { DTLS_ASK_NOTHING, DTLS_ASK_OPTIONAL, DTLS_ASK_REQUIRED };

enum {
	DTLS_WORDS = 160,	 /* room for a cause in words, with NUL */
	DTLS_PSK_MAX = 64,	 /* bytes of a pre-shared key */
	DTLS_IDENTITY_MAX = 128, /* bytes of a PSK identity (RFC 7925, 4.2: at least that) */
	DTLS_MTU_MIN = 256,
	DTLS_MTU_MAX = 4096,
};

/* ---- what handshakes share ---- */

/* All spans are borrowed for the call. */
struct dtls_context_options {
	enum dtls_role role;
	unsigned credentials; /* DTLS_WITH_*: what is offered or accepted */
	uint16_t suite;	      /* this one alone; 0: all of suite.c that the credentials permit */
	struct span key;      /* own private key, PEM; needed by a server with X.509 or raw keys */
	struct span
		chain; /* own certificates, PEM, the end entity first; needed with X.509 if there is a key */
	struct span trust;    /* trust anchors, PEM; empty: the answer to DTLS_NEED_PEER alone decides */
	enum dtls_ask ask;    /* server: whether the client needs a certificate or raw key */
	bool connection_ids;  /* take part in extension 54 */
	bool resumption;      /* by session id; tickets are never used */
	bool hide_identities; /* server: an unknown PSK identity fails like a wrong key, not with alert 115 */
	uint16_t mtu;	      /* bytes of a datagram, DTLS_MTU_MIN to DTLS_MTU_MAX; 0: 1200 */
	uint32_t
		retransmit_ms; /* first interval, doubled each time up to 60 s; 0: 1000 (RFC 6347, 4.2.4.1) */
	uint32_t timeout_ms;   /* of the whole handshake; 0: 60,000 */
};
struct dtls_context;
/* 0 and a context to be freed, -ENOMEM, or -EINVAL with `words` that say what is wrong. */
int dtls_context_new(const struct dtls_context_options *options, struct dtls_context **out,
		     char words[DTLS_WORDS]) NODISCARD;
struct dtls_context *dtls_context_free(struct dtls_context *context);
/* The own raw public key as DER SubjectPublicKeyInfo; empty without a key. Borrowed from the context. */
struct span dtls_context_public_key(const struct dtls_context *context);

/* ---- one handshake ---- */

/* All spans are borrowed for the call, and may be empty. */
struct dtls_handshake_options {
	struct address peer;
	struct span own_cid; /* what the peer shall put into records to us: up to DTLS_CID_OWN bytes */
	struct dtls_prestate prestate; /* server: of dtls_cookie_check */
	struct span psk_identity;      /* client */
	struct span psk;	       /* client */
	struct span server_name;       /* client: RFC 6066, 3; a NUL-free host name of up to 255 bytes */
	struct span resume;	       /* client: dtls_result.ticket of an earlier handshake */
};
struct dtls_handshake;
/* Both must outlive it: nothing but the context is kept. NULL: out of memory, or a client without PSK where
 * only PSK is offered. */
struct dtls_handshake *dtls_handshake_new(const struct dtls_context *context,
					  const struct dtls_handshake_options *options,
					  uint64_t now_ms) NODISCARD;
struct dtls_handshake *dtls_handshake_free(struct dtls_handshake *h);

/*
 * A record from the peer, parsed with the length of our connection id. It is kept if it may be of use
 * (bounded by DTLS_REASSEMBLY_MAX and DTLS_HELD_MAX), and looked at by the next run. The first one of a
 * server is the ClientHello that the cookie was checked of.
 */
void dtls_handshake_input(struct dtls_handshake *h, const struct dtls_record *record);
enum { DTLS_HELD_MAX = 8 << 10, DTLS_HELD_RECORDS = 16, DTLS_HELD_RECORD_MAX = 2048 };

enum dtls_progress {
	DTLS_WAITING,	      /* for records, or for the deadline */
	DTLS_NEED_PSK,	      /* dtls_handshake_psk_identity; set_psk or refuse */
	DTLS_NEED_PEER,	      /* dtls_handshake_peer; accept_peer or refuse */
	DTLS_NEED_RESUMPTION, /* dtls_handshake_session_id; resume */
	DTLS_EXPENSIVE,	      /* the next step computes with public keys: run again with `expensive` */
	DTLS_DONE,	      /* dtls_handshake_result */
	DTLS_FAILED,	      /* dtls_handshake_failure; what is left to send is an alert */
};
/*
 * Does all that can be done with what is there, at `now_ms` of a monotonic clock. Without `expensive` it
 * stops before a step of the order of a millisecond, so that the caller can take that to another thread. The
 * library's memory is freed as soon as it is done or failed. Answers to a question may come in any later
 * call.
 */
enum dtls_progress dtls_handshake_run(struct dtls_handshake *h, uint64_t now_ms, bool expensive);
/* When to run again even if nothing comes; UINT64_MAX: never. */
uint64_t dtls_handshake_deadline(const struct dtls_handshake *h);

/* The next datagram to be sent, at most of the MTU; borrowed until the next call. False: none is left. */
bool dtls_handshake_next_datagram(struct dtls_handshake *h, struct span *datagram);

/* DTLS_NEED_PSK: the identity, which is bytes and comes from a stranger. Borrowed until the answer. */
struct span dtls_handshake_psk_identity(const struct dtls_handshake *h);
/* The key, 1 to DTLS_PSK_MAX bytes, which are copied and wiped after use. */
void dtls_handshake_set_psk(struct dtls_handshake *h, struct span key);

/* DTLS_NEED_PEER: the peer's certificates as DER, the end entity first, or its raw public key as DER
 * SubjectPublicKeyInfo (*raw_key). Possession of the private key is not proven yet. Borrowed until the
 * answer. */
size_t dtls_handshake_peer(const struct dtls_handshake *h, struct span chain[DTLS_CHAIN_MAX], bool *raw_key);
/* `pinned`: the caller has identified this very certificate, so its chain is not verified against the
 * anchors. */
void dtls_handshake_accept_peer(struct dtls_handshake *h, bool pinned);

/* The answer to DTLS_NEED_PSK or DTLS_NEED_PEER that ends the handshake. */
void dtls_handshake_refuse(struct dtls_handshake *h);

/* DTLS_NEED_RESUMPTION: the session id which the client offers, as key of what is stored. */
struct span dtls_handshake_session_id(const struct dtls_handshake *h);
/* dtls_result.ticket of that id; empty: there is none, and the handshake goes on as a full one. Copied. */
void dtls_handshake_resume(struct dtls_handshake *h, struct span ticket);

/* The host name that the client asked for (RFC 6066, 3), which is bytes from a stranger; empty: none, or not
 * yet. */
struct span dtls_handshake_server_name(const struct dtls_handshake *h);

/* ---- how it ends ---- */

/* What a peer needs that did not get our last flight: the plaintext of our Finished. */
struct dtls_last_flight {
	uint64_t record_seq;  /* next number of epoch 0 */
	uint8_t finished_len; /* 0: the peer spoke last, there is nothing to repeat */
	uint8_t finished[DTLS_MESSAGE_HEADER + 12];
};
/* True for what asks for the last flight: an authentic handshake record of the session that holds a Finished.
 */
bool dtls_last_flight_is_asked(uint8_t type, struct span plaintext);
/* ChangeCipherSpec and Finished as one datagram, with new record numbers. Errors of dtls_session_seal;
 * -ENOENT: there is nothing to repeat. */
int dtls_last_flight_resend(struct dtls_last_flight *flight, struct dtls_session *session,
			    struct writer *w) NODISCARD;

enum dtls_identity {
	DTLS_IDENTITY_NONE, /* of a server towards a client by PSK, or of a client without certificate */
	DTLS_IDENTITY_PSK,
	DTLS_IDENTITY_X509,
	DTLS_IDENTITY_RAW_KEY,
};
struct dtls_result {
	/* peer, secrets, numbers, connection ids; created_ms, used_ms and term_base are the caller's to fill.
	 */
	struct dtls_session session;
	struct dtls_last_flight last_flight;
	enum dtls_identity kind;
	struct span identity; /* of the peer: PSK identity, DER certificate, or DER SubjectPublicKeyInfo */
	bool resumed; /* the identity is that of the session which was resumed: check that it still holds */
	struct span session_id;
	struct span ticket; /* what resumes the session: to be stored under session_id, sealed; empty: nothing
			       new */
};
/* After DTLS_DONE; borrowed, with all its spans, until the handshake is freed. */
const struct dtls_result *dtls_handshake_result(const struct dtls_handshake *h);
/* After DTLS_DONE: records that came early, one after the other, for dtls_session_open. Borrowed until the
 * handshake is freed. */
bool dtls_handshake_next_early(struct dtls_handshake *h, struct dtls_record *record);

enum dtls_cause {
	DTLS_CAUSE_NONE,
	DTLS_UNKNOWN_IDENTITY,
	DTLS_WRONG_KEY, /* the peer's Finished does not authenticate */
	DTLS_NO_COMMON_SUITE,
	DTLS_BAD_CERTIFICATE, /* or raw key: absent, refused, or not trusted */
	DTLS_PEER_ALERT,
	DTLS_TIMED_OUT,
	DTLS_PROTOCOL_ERROR,
	DTLS_INTERNAL_ERROR,
};
struct dtls_failure {
	enum dtls_cause cause;
	bool by_peer;  /* the alert came from there */
	uint8_t alert; /* RFC 5246, 7.2; 0: none */
	char words[DTLS_WORDS];
};
const struct dtls_failure *dtls_handshake_failure(const struct dtls_handshake *h);
/* "wrong_key": for logs and metrics. */
const char *dtls_cause_name(enum dtls_cause cause);

/*
 * A handshake of both roles in memory, by PSK with connection ids, one more that resumes it, and records with
 * the keys that came out. -EPROTO: the installed library does not do what is built on, `words` say what.
 */
int dtls_selftest(char words[DTLS_WORDS]) NODISCARD;
