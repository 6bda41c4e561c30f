/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A datagram as records, and each opened by a session. Flags in the first byte: 7 the AEAD, 8 with a
 * connection id, 16 the bytes are not a datagram but what a peer with the keys puts into one record, of a
 * type and number of its own choice: so that what is behind the AEAD is reached, too.
 */

#include "fuzz.h"

#include "dtls/session.h"

#include <errno.h>

enum { FLAG_CID = 8, FLAG_SEALED = 16, WALL = 5 };

static const uint16_t suites[] = {0xC0A8, 0xC0A4, 0x00A8, 0xC0A9, 0xC0A5, 0x00A9, 0xC0AE, 0xC02C};

static struct dtls_session session_of(uint8_t flags)
{
	struct dtls_session s = {.suite = suites[flags & 7], .own_cid = {1, 2, 3, 4, 5, 6, 7, 8}};

	s.aead = dtls_suite_find(s.suite)->aead;
	s.own_cid_len = flags & FLAG_CID ? DTLS_CID_OWN : 0;
	return s;
}

/* One record; what the session says of it twice. */
static void open_one(struct dtls_session *s, const struct dtls_record *r, bool genuine)
{
	_cleanup_free_ uint8_t *out = malloc(MAX(r->fragment.len, 1));
	struct dtls_session before = *s;
	enum dtls_opened outcome;
	struct span plaintext;
	uint8_t type;

	assert(out);
	outcome = dtls_session_open(s, r, WALL, out, &plaintext, &type);
	if (outcome == DTLS_OPENED || outcome == DTLS_OPENED_OLD) {
		assert(fuzz_within(plaintext, span_of(out, r->fragment.len)));
		assert(s->read_any && s->used_ms == WALL && s->failed_opens == before.failed_opens);
		assert(outcome == DTLS_OPENED ? s->read_top == r->seq : s->read_top == before.read_top);
		assert(dtls_session_open(s, r, WALL, out, &plaintext, &type) == DTLS_REPLAYED);
		return;
	}
	assert(!genuine || outcome != DTLS_NOT_AUTHENTIC);
	assert(s->failed_opens == before.failed_opens + (outcome == DTLS_NOT_AUTHENTIC));
	s->failed_opens = before.failed_opens;
	assert(memcmp(s, &before, sizeof(before)) == 0);
}

static void open_datagram(struct dtls_session *s, struct span datagram, bool genuine)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;
	size_t total = 0;
	int rc;

	while ((rc = dtls_record_parse(&r, s->own_cid_len, &record)) == 0) {
		assert(fuzz_within(record.whole, datagram) && fuzz_within(record.fragment, record.whole) &&
		       fuzz_within(record.cid, record.whole));
		assert(record.whole.len == DTLS_HEADER + record.cid.len + record.fragment.len);
		total += record.whole.len;
		open_one(s, &record, genuine);
	}
	assert(rc == -EBADMSG || (rc == -ENODATA && total == datagram.len));
}

/* A peer that has the keys: numbers and contents are its own. */
static void open_sealed(struct dtls_session *s, struct reader *in)
{
	uint8_t bytes[256 + DTLS_EXPANSION_MAX];

	while (reader_left(in)) {
		struct writer w = writer_of(bytes, sizeof(bytes));
		uint64_t seq = reader_uint(in, 1 + reader_u8(in) % 6);
		uint8_t type = reader_u8(in);
		struct span content = fuzz_short(in);

		dtls_seal(&w, (enum dtls_aead)s->aead, &s->read, span_of(s->own_cid, s->own_cid_len),
			  DTLS_EPOCH, seq, type ? type : 1, content);
		assert(!w.failed);
		open_datagram(s, writer_span(&w), true);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	uint8_t flags = reader_u8(&in);
	struct dtls_session s = session_of(flags);
	_cleanup_copy_ struct span datagram = fuzz_copy(reader_rest(&in));

	in = reader_of(datagram);
	if (flags & FLAG_SEALED)
		open_sealed(&s, &in);
	else
		open_datagram(&s, datagram, false);
	return 0;
}
