/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A session after its handshake: which number the next record gets, which records are new, and the whole as
 * bytes.
 *
 * The hard idea: the number of a record is its nonce, and CCM and GCM fall apart when two records share one.
 * A single owner would simply count. But the session lies in the store, and two nodes may hold copies of it
 * and both believe, for a while, that the device is theirs; none may ever ask the other or write to the store
 * before it sends. So the numbers are dealt out beforehand. The 36 low bits are
 *
 *    35     28 27                         0
 *   +---------+----------------------------+
 *   |  term   |          counter           |      term = generation of the owner - term_base
 *   +---------+----------------------------+
 *
 * and the store gives each generation of a device to one owner once. Within its term an owner counts in
 * memory. What keeps copies apart is therefore which of them knows a counter:
 *
 *   - encoded with its counter, a session moves: the old owner is frozen and seals nothing more, the new one
 *     counts on, in the same term though the generation has grown;
 *   - encoded without, it is a copy: it knows the last term that was entered (it is spent, whoever has it)
 * and can seal nothing until it enters a later one. That holds for the owner itself after a restart.
 *
 * An owner whose term is nearly spent may have the next one, though its generation stays: it writes a copy
 * with a term_base that is lower by one, which says that this term is entered. The write is fenced: if it is
 * done, whoever takes over gets a later term; if somebody took over before it, it is not done, and the term
 * is his.
 *
 * A term starts at a random place in its lower quarter, so that even a store which lost its last writes, and
 * so gives a generation out twice, most likely does not make two owners meet. The last number of a
 * term is never used: it says that the term is spent, without a carry into the next one.
 *
 * Leaves out who owns a session, the address (moved by who checks it), and sealing the encoded bytes
 * (vault.h).
 */

#include "dtls/session.h"

#include <errno.h>

#define COUNTER_MAX ((UINT64_C(1) << DTLS_COUNTER_BITS) - 1)
#define NUMBERS (UINT64_C(1) << (DTLS_TERM_BITS + DTLS_COUNTER_BITS))
#define SEQ_MAX ((UINT64_C(1) << 48) - 1)

enum { TERM_MAX = (1 << DTLS_TERM_BITS) - 1 };

/* ---- sealing ---- */

static bool counter_known(const struct dtls_session *s)
{
	return (s->write_seq & DTLS_SEQ_UNKNOWN) == 0;
}

/* The last one that is known to be entered. */
static uint32_t term_of(const struct dtls_session *s)
{
	return (uint32_t)((s->write_seq & ~DTLS_SEQ_UNKNOWN) >> DTLS_COUNTER_BITS);
}

int dtls_session_seal(struct dtls_session *s, struct writer *w, uint8_t type, struct span plaintext)
{
	assert(s->write_seq < NUMBERS);
	if ((s->write_seq & COUNTER_MAX) == COUNTER_MAX)
		return -EOVERFLOW;
	dtls_seal(w, (enum dtls_aead)s->aead, &s->write, span_of(s->peer_cid, s->peer_cid_len), DTLS_EPOCH,
		  s->write_seq, type, plaintext);
	if (w->failed)
		return -EMSGSIZE;
	s->write_seq++;
	return 0;
}

int dtls_session_enter_term(struct dtls_session *s, uint32_t generation, uint32_t random)
{
	uint32_t term = generation - s->term_base;

	if (term > TERM_MAX || term <= term_of(s))
		return -EOVERFLOW;
	s->write_seq = (uint64_t)term << DTLS_COUNTER_BITS | (random & COUNTER_MAX >> 2);
	return 0;
}

bool dtls_session_is_low(const struct dtls_session *s)
{
	return counter_known(s) && (s->write_seq & COUNTER_MAX) >= COUNTER_MAX - DTLS_COUNTER_LOW;
}

int dtls_session_next_term(struct dtls_session *s, uint32_t random)
{
	return dtls_session_enter_term(s, s->term_base + term_of(s) + 1, random);
}

/* ---- opening ---- */

static bool is_replay(const struct dtls_session *s, uint64_t seq)
{
	uint64_t behind = s->read_top - seq;

	if (!s->read_any || seq > s->read_top)
		return false;
	return behind >= DTLS_WINDOW || s->read_window >> behind & 1;
}

/* `window` as it is when its top has moved on by `step`. */
static uint64_t shifted(uint64_t window, uint64_t step)
{
	return step < DTLS_WINDOW ? window << step : 0;
}

/* A record that is no replay has authenticated. True if it is the newest. */
static bool remember(struct dtls_session *s, uint64_t seq)
{
	bool newest = !s->read_any || seq > s->read_top;

	if (newest) {
		s->read_window = s->read_any ? shifted(s->read_window, seq - s->read_top) : 0;
		s->read_top = seq;
		s->read_any = true;
	}
	s->read_window |= UINT64_C(1) << (s->read_top - seq);
	return newest;
}

void dtls_session_set_mark(struct dtls_session *s, uint64_t mark)
{
	/* The mark lies outside of what is sealed: whatever it is, it may only make numbers old. */
	mark = MIN(mark, SEQ_MAX);
	if (!s->read_any || mark >= s->read_top) {
		s->read_any = true;
		s->read_top = mark;
		s->read_window = UINT64_MAX;
		return;
	}
	s->read_window |= shifted(UINT64_MAX, s->read_top - mark);
}

/* With a connection id of ours all has to come under it, else nothing may (RFC 9146, 3). */
static bool is_ours(const struct dtls_session *s, const struct dtls_record *r)
{
	bool hidden = r->type == DTLS_TLS12_CID;

	return r->version == DTLS_VERSION && r->epoch == DTLS_EPOCH && hidden == (s->own_cid_len > 0) &&
	       span_equal(r->cid, span_of(s->own_cid, s->own_cid_len)) &&
	       r->fragment.len >= DTLS_EXPLICIT + dtls_tag_len((enum dtls_aead)s->aead) + hidden &&
	       r->fragment.len <= DTLS_FRAGMENT_MAX;
}

enum dtls_opened dtls_session_open(struct dtls_session *s, const struct dtls_record *r, uint64_t wall_ms,
				   uint8_t *out, struct span *plaintext, uint8_t *type)
{
	if (!is_ours(s, r))
		return DTLS_NOT_OURS;
	if (is_replay(s, r->seq))
		return DTLS_REPLAYED;
	if (s->failed_opens >= DTLS_FAILURES_MAX)
		return DTLS_NOT_AUTHENTIC;
	if (dtls_open((enum dtls_aead)s->aead, &s->read, r, out, plaintext, type) < 0) {
		s->failed_opens++;
		return DTLS_NOT_AUTHENTIC;
	}
	s->used_ms = wall_ms;
	return remember(s, r->seq) ? DTLS_OPENED : DTLS_OPENED_OLD;
}

bool dtls_session_proves(const struct dtls_session *s, struct span datagram, uint64_t mark)
{
	struct dtls_session trial = *s;
	struct reader r = reader_of(datagram);
	uint8_t plain[DTLS_FRAGMENT_MAX], type;
	struct dtls_record record;
	struct span content;
	bool proven = false;

	dtls_session_set_mark(&trial, mark);
	while (!proven && dtls_record_parse(&r, DTLS_CID_OWN, &record) == 0)
		proven = dtls_session_open(&trial, &record, trial.used_ms, plain, &content, &type) ==
			 DTLS_OPENED;
	explicit_bzero(plain, sizeof(plain));
	dtls_session_wipe(&trial);
	return proven;
}

/* ---- as bytes ---- */

/*
 * version 1, flags 1, suite 2, term_base 4, created_ms 8, used_ms 8, failed_opens 4;
 * family 1, then unless it is 0: ip 4 or 16, scope 4 with IPv6, port 2, listener 1;
 * with a counter: write_seq 6, else the last term 1;
 * if any was read: read_top 6, and with a counter the window 8;
 * cid of ours and of the peer, each behind its length 1; key and iv for reading, then for writing.
 *
 * Each session has one encoding, and what does not follow from the suite is not in it.
 */
enum { FORMAT = 1 };
enum { FLAG_COUNTER = 1, FLAG_EMS = 2, FLAG_READ_ANY = 4, FLAGS = 7 };

static size_t ip_len(uint8_t family)
{
	return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static void encode_address(const struct address *a, struct writer *w)
{
	writer_u8(w, a->family);
	if (a->family == 0)
		return;
	writer_bytes(w, span_of(a->ip, ip_len(a->family)));
	if (a->family == 6)
		writer_u32(w, a->scope);
	writer_u16(w, a->port);
	writer_u8(w, a->listener);
}

static void encode_numbers(const struct dtls_session *s, bool with_counter, struct writer *w)
{
	if (with_counter)
		writer_uint(w, s->write_seq, 6);
	else
		writer_u8(w, (uint8_t)term_of(s));
	if (s->read_any)
		writer_uint(w, s->read_top, 6);
	if (s->read_any && with_counter)
		writer_u64(w, s->read_window);
}

static void encode_secret(const struct dtls_secret *secret, size_t key_len, struct writer *w)
{
	writer_bytes(w, span_of(secret->key, key_len));
	writer_bytes(w, span_of(secret->iv, DTLS_IV));
}

static void encode_cid(const uint8_t *cid, uint8_t len, struct writer *w)
{
	writer_u8(w, len);
	writer_bytes(w, span_of(cid, len));
}

void dtls_session_encode(const struct dtls_session *s, bool with_counter, struct writer *w)
{
	const struct dtls_suite *suite = dtls_suite_find(s->suite);
	size_t key_len = dtls_key_len((enum dtls_aead)s->aead);

	assert(suite && suite->aead == s->aead && s->own_cid_len <= DTLS_CID_OWN &&
	       s->peer_cid_len <= DTLS_CID_MAX && term_of(s) <= TERM_MAX);
	assert(!with_counter || counter_known(s));
	writer_u8(w, FORMAT);
	writer_u8(w,
		  (uint8_t)((with_counter ? FLAG_COUNTER : 0) | (s->extended_master_secret ? FLAG_EMS : 0) |
			    (s->read_any ? FLAG_READ_ANY : 0)));
	writer_u16(w, s->suite);
	writer_u32(w, s->term_base);
	writer_u64(w, s->created_ms);
	writer_u64(w, s->used_ms);
	writer_u32(w, s->failed_opens);
	encode_address(&s->peer, w);
	encode_numbers(s, with_counter, w);
	encode_cid(s->own_cid, s->own_cid_len, w);
	encode_cid(s->peer_cid, s->peer_cid_len, w);
	encode_secret(&s->read, key_len, w);
	encode_secret(&s->write, key_len, w);
}

static void decode_bytes(struct reader *r, void *out, size_t len)
{
	struct span bytes = reader_bytes(r, len);

	if (bytes.len)
		memcpy(out, bytes.data, bytes.len);
}

/* IPv4-mapped addresses are always held as IPv4, so none may come in as IPv6. */
static bool is_mapped(const struct address *a)
{
	static const uint8_t prefix[12] = {[10] = 0xFF, [11] = 0xFF};

	return a->family == 6 && memcmp(a->ip, prefix, sizeof(prefix)) == 0;
}

static bool decode_address(struct reader *r, struct address *a)
{
	a->family = reader_u8(r);
	if (a->family == 0)
		return true;
	decode_bytes(r, a->ip, ip_len(a->family));
	a->scope = a->family == 6 ? reader_u32(r) : 0;
	a->port = reader_u16(r);
	a->listener = reader_u8(r);
	return ip_len(a->family) && !is_mapped(a);
}

static bool decode_numbers(struct reader *r, bool with_counter, struct dtls_session *s)
{
	if (with_counter)
		s->write_seq = reader_uint(r, 6);
	else
		s->write_seq = DTLS_SEQ_UNKNOWN | (uint64_t)reader_u8(r) << DTLS_COUNTER_BITS;
	if (s->read_any) {
		s->read_top = reader_uint(r, 6);
		s->read_window = with_counter ? reader_u64(r) : UINT64_MAX;
	}
	return term_of(s) <= TERM_MAX && (!s->read_any || s->read_window & 1);
}

static bool decode_cid(struct reader *r, uint8_t *cid, size_t max, uint8_t *len)
{
	*len = reader_u8(r);
	if (*len > max)
		return false;
	decode_bytes(r, cid, *len);
	return true;
}

static void decode_secret(struct reader *r, size_t key_len, struct dtls_secret *secret)
{
	decode_bytes(r, secret->key, key_len);
	decode_bytes(r, secret->iv, DTLS_IV);
}

static bool decode_body(struct reader *r, struct dtls_session *s)
{
	uint8_t flags = reader_u8(r);
	const struct dtls_suite *suite = dtls_suite_find(s->suite = reader_u16(r));

	if (!suite || flags & ~FLAGS)
		return false;
	s->aead = suite->aead;
	s->extended_master_secret = flags & FLAG_EMS;
	s->read_any = flags & FLAG_READ_ANY;
	s->term_base = reader_u32(r);
	s->created_ms = reader_u64(r);
	s->used_ms = reader_u64(r);
	s->failed_opens = reader_u32(r);
	if (!decode_address(r, &s->peer) || !decode_numbers(r, flags & FLAG_COUNTER, s) ||
	    !decode_cid(r, s->own_cid, DTLS_CID_OWN, &s->own_cid_len) ||
	    !decode_cid(r, s->peer_cid, DTLS_CID_MAX, &s->peer_cid_len))
		return false;
	decode_secret(r, dtls_key_len(suite->aead), &s->read);
	decode_secret(r, dtls_key_len(suite->aead), &s->write);
	return !r->failed && reader_left(r) == 0 && s->own_cid_len % DTLS_CID_OWN == 0;
}

int dtls_session_decode(struct span encoded, struct dtls_session *out)
{
	struct reader r = reader_of(encoded);
	uint8_t format = reader_u8(&r);

	*out = (struct dtls_session){0};
	if (format > FORMAT)
		return -EPROTO;
	if (format == FORMAT && decode_body(&r, out))
		return 0;
	dtls_session_wipe(out);
	return -EBADMSG;
}

void dtls_session_wipe(struct dtls_session *s)
{
	explicit_bzero(s, sizeof(*s));
}
