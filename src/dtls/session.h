/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "dtls/record.h"

/*
 * An established DTLS 1.2 session as plain data: what is left when the library which made the handshake is
 * gone, and what moves to another node or outlives this process. Server or client alike: `read` is the
 * direction towards us.
 *
 * The rule it keeps (architecture, rule 6): no pair of key and sequence number protects two records, not even
 * when two nodes hold copies. The 48-bit number is 12 zero bits, 8 bits of term, 28 bits of counter. A copy
 * that comes from the store goes on in a term of its own, which follows from the generation of the device's
 * owner: term = generation - term_base. The counter of each term begins at random in the lower quarter. Only
 * a hand-over passes the exact counter along.
 */

enum { DTLS_TERM_BITS = 8, DTLS_COUNTER_BITS = 28, DTLS_WINDOW = 64 };
enum { DTLS_EPOCH = 1 }; /* of all records of a session; there is no renegotiation */
/* Of write_seq: this copy must enter a term before it seals. */
#define DTLS_SEQ_UNKNOWN (UINT64_C(1) << 63)

struct dtls_session {
	struct address peer;  /* where the newest authenticated record came from */
	uint64_t write_seq;   /* of the next record; DTLS_SEQ_UNKNOWN: the counter is not known, its term is
				 spent */
	uint64_t read_top;    /* highest number that authenticated */
	uint64_t read_window; /* bit i: read_top - i was seen */
	uint64_t created_ms;  /* Unix time */
	uint64_t used_ms;     /* Unix time of the newest authenticated record */
	uint32_t term_base;
	uint32_t
		failed_opens; /* records that did not authenticate (RFC 9325; bounded by DTLS_FAILURES_MAX) */
	uint16_t suite;
	uint8_t aead;
	bool extended_master_secret;
	bool read_any;	     /* read_top means something */
	uint8_t own_cid_len; /* 0 or DTLS_CID_OWN: what the peer puts into records to us */
	uint8_t peer_cid_len;
	uint8_t own_cid[DTLS_CID_OWN];
	uint8_t peer_cid[DTLS_CID_MAX];
	struct dtls_secret read;
	struct dtls_secret write;
};

/* After so many, the keys must not be used any longer: 2^20 failed opens of a 64-bit tag (RFC 9325, 4.4
 * asks for less than 2^36 with CCM; a device which really fails that often is under attack). Nothing is
 * opened then, and the owner of the session drops it. */
enum { DTLS_FAILURES_MAX = 1 << 20 };

/*
 * Protects `plaintext` as the next record to the peer. -EOVERFLOW: the counter of this term is spent; nothing
 * was sealed, dtls_session_enter_term helps. -EMSGSIZE: does not fit; the number is not spent.
 */
int dtls_session_seal(struct dtls_session *s, struct writer *w, uint8_t type,
		      struct span plaintext) NODISCARD;

enum dtls_opened {
	DTLS_OPENED = 0,
	DTLS_OPENED_OLD =
		1,	   /* the same, but a newer record was seen before: says nothing about the address */
	DTLS_NOT_OURS = 2, /* epoch, connection id, or the form do not belong to this session */
	DTLS_REPLAYED = 3, /* seen before, or older than the window */
	DTLS_NOT_AUTHENTIC = 4,
};
/*
 * Opens a record from the peer into `out` (at least fragment.len bytes). Only DTLS_OPENED and DTLS_OPENED_OLD
 * change the session: window, and used_ms; DTLS_NOT_AUTHENTIC counts, and after DTLS_FAILURES_MAX is the only
 * answer to what would have to be opened. The address is the caller's to move.
 */
enum dtls_opened dtls_session_open(struct dtls_session *s, const struct dtls_record *r, uint64_t wall_ms,
				   uint8_t *out, struct span *plaintext, uint8_t *type) NODISCARD;

/*
 * Goes on in the term that belongs to `generation`, with a counter that starts at `random`, taken modulo a
 * quarter of its range. -EOVERFLOW: the session has had all its terms, a new handshake is needed.
 */
int dtls_session_enter_term(struct dtls_session *s, uint32_t generation, uint32_t random) NODISCARD;
/*
 * Whether the counter of this term comes to its end: its last DTLS_COUNTER_LOW numbers have begun. Then a
 * term can be had without another owner: the next copy for the store speaks of the term after this one as
 * entered, so that whoever takes over begins behind that, and when this is stored (by a write that only the
 * owner can make) the session enters it. -EOVERFLOW: it was the last one.
 */
enum { DTLS_COUNTER_LOW = 1 << 20 };
bool dtls_session_is_low(const struct dtls_session *s);
int dtls_session_next_term(struct dtls_session *s, uint32_t random) NODISCARD;
/* What a copy from the store knows of replays: all numbers up to `mark` are old (architecture, rule 7). Never
 * makes a number new that was old. */
void dtls_session_set_mark(struct dtls_session *s, uint64_t mark);

/*
 * Whether a datagram comes from the peer and is new: one of its records authenticates and is above `mark` and
 * all that the session has seen. Changes nothing, so that it may be asked of a copy that somebody else owns
 * (architecture, rule 3).
 */
bool dtls_session_proves(const struct dtls_session *s, struct span datagram, uint64_t mark);

/*
 * As bytes, versioned, at most DTLS_SESSION_ENCODED_MAX: secrets in the clear, so seal them (vault.h). The
 * exact counter and the window are in it only `with_counter`, for a hand-over: a copy without must enter a
 * term before it seals (dtls_session_seal asserts that), and holds all up to read_top for old. Fails the
 * writer if it has no room.
 */
enum { DTLS_SESSION_ENCODED_MAX = 256 };
void dtls_session_encode(const struct dtls_session *s, bool with_counter, struct writer *w);
/* -EBADMSG: no session; -EPROTO: of a newer version. */
int dtls_session_decode(struct span encoded, struct dtls_session *out) NODISCARD;
/* Overwrites all of it with zeroes. */
void dtls_session_wipe(struct dtls_session *s);
