/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bytes as an encoded session. What is read is written alike, and can be used: it takes and makes records,
 * and a copy without counter enters a later term or none.
 */

#include "fuzz.h"

#include "dtls/session.h"

#include <errno.h>

enum { GENERATION_STEP = 3 };

static struct span encoded(const struct dtls_session *s, bool with_counter,
			   uint8_t bytes[DTLS_SESSION_ENCODED_MAX])
{
	struct writer w = writer_of(bytes, DTLS_SESSION_ENCODED_MAX);

	dtls_session_encode(s, with_counter, &w);
	assert(!w.failed);
	return writer_span(&w);
}

static void enter(struct dtls_session *s)
{
	uint64_t before = s->write_seq & ~DTLS_SEQ_UNKNOWN;
	uint32_t term = (uint32_t)(before >> DTLS_COUNTER_BITS) + GENERATION_STEP;
	int rc = dtls_session_enter_term(s, s->term_base + term, 7);

	if (rc == 0)
		assert(s->write_seq == ((uint64_t)term << DTLS_COUNTER_BITS | 7) && s->write_seq > before);
	else
		assert(rc == -EOVERFLOW);
}

static void use(struct dtls_session *s)
{
	uint8_t bytes[DTLS_EXPANSION_MAX + 8];
	struct writer w = writer_of(bytes, sizeof(bytes));
	uint64_t seq = s->write_seq;
	int rc;

	if (seq & DTLS_SEQ_UNKNOWN)
		return;
	rc = dtls_session_seal(s, &w, DTLS_APPLICATION_DATA, span_str("content"));
	if (rc == 0)
		assert(s->write_seq == seq + 1);
	else
		assert(rc == -EOVERFLOW && s->write_seq == seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_copy_ struct span in = fuzz_copy(span_of(data, size));
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct dtls_session s, copy;
	bool with_counter;
	int rc = dtls_session_decode(in, &s);

	assert(rc == 0 || rc == -EBADMSG || rc == -EPROTO);
	if (rc < 0)
		return 0;
	with_counter = !(s.write_seq & DTLS_SEQ_UNKNOWN);
	assert(span_equal(encoded(&s, with_counter, bytes), in));
	rc = dtls_session_decode(encoded(&s, false, bytes), &copy);
	assert(rc == 0);
	use(&s);
	enter(&copy);
	use(&copy);
	dtls_session_set_mark(&copy, s.read_top);
	return 0;
}
