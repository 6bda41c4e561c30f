/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bytes from another node as a session that goes on here: what is taken is given away in the same bytes,
 * counts on from where they say, and is here only once. The input is taken as it is, or as changes to what an
 * endpoint gave.
 */

#include "fuzz.h"

#include "dtls/endpoint.h"

#include <errno.h>

static const uint64_t wall_ms = 1700000000000;

struct side {
	struct dtls_endpoint *endpoint;
	unsigned sent;
	uint64_t number; /* of the last record */
};

static void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct side *s = ctx;
	struct reader r = reader_of(span_from(datagram, 5));

	assert(to->family == 0 || to->family == 4 || to->family == 6);
	s->sent++;
	s->number = reader_uint(&r, 6);
}

static void on_closed(void *ctx, const struct address *association, enum dtls_end why, bool bound)
{
	(void)ctx;
	(void)association;
	assert(bound && why == DTLS_END_LIMIT);
}

static uint64_t wall_of(void *ctx)
{
	(void)ctx;
	return wall_ms;
}

static void side_new(struct side *s, struct timers *timers, struct random *random)
{
	const struct dtls_host host = {.ctx = s, .send = on_send, .closed = on_closed, .wall_ms = wall_of};
	struct dtls_endpoint_config config;

	dtls_endpoint_config_init(&config);
	config.age_ms = 0;
	/* Nobody greets it, so it needs no context. */
	s->endpoint = dtls_endpoint_new(&config, &host, NULL, timers, random);
	assert(s->endpoint);
}

/* What an endpoint gives, changed at some places. */
static size_t carried(struct side *s, struct reader *r, uint8_t bytes[DTLS_CARRIED_MAX])
{
	struct dtls_session session = {.suite = 0xC0A8,
				       .aead = DTLS_AES_128_CCM_8,
				       .created_ms = wall_ms,
				       .used_ms = wall_ms,
				       .own_cid_len = DTLS_CID_OWN,
				       .own_cid = {0x10}};
	uint8_t copy[DTLS_SESSION_ENCODED_MAX];
	struct writer encoded = writer_of(copy, sizeof(copy)), w = writer_of(bytes, DTLS_CARRIED_MAX);
	struct address association;
	int rc;

	dtls_session_encode(&session, false, &encoded);
	rc = dtls_endpoint_import(s->endpoint, writer_span(&encoded), 1, 0, &association);
	assert(rc == 0);
	rc = dtls_endpoint_give(s->endpoint, &association, &w);
	assert(rc == 0);
	assert(!dtls_endpoint_send(s->endpoint, &association, span_str("no")) && s->sent == 0);
	while (reader_left(r) >= 2) {
		size_t at = reader_u8(r) % writer_len(&w);

		bytes[at] ^= reader_u8(r);
	}
	return writer_len(&w);
}

static void take(struct side *s, struct span bytes)
{
	uint8_t again[DTLS_CARRIED_MAX];
	struct writer w = writer_of(again, sizeof(again));
	struct address association, other;
	struct dtls_endpoint_stats stats;
	int rc = dtls_endpoint_take(s->endpoint, bytes, &association);

	if (rc < 0) {
		dtls_endpoint_stats(s->endpoint, &stats);
		assert(stats.associations == 0);
		return;
	}
	rc = dtls_endpoint_take(s->endpoint, bytes, &other);
	assert(rc == -EEXIST);
	rc = dtls_endpoint_give(s->endpoint, &association, &w);
	assert(rc == 0 && span_equal(writer_span(&w), bytes));
	dtls_endpoint_hold(s->endpoint, &association, false);
	if (!dtls_endpoint_send(s->endpoint, &association, span_str("on"))) {
		assert(s->sent == 0 && !dtls_endpoint_peer_address(s->endpoint, &association)); /* spent */
		return;
	}
	if (dtls_endpoint_send(s->endpoint, &association, span_str("and on")))
		assert(s->sent == 2);
	dtls_endpoint_drop(s->endpoint, &association, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	bool raw = reader_u8(&r) & 1;
	struct timers timers;
	struct random random;
	struct side a = {0}, b = {0};
	uint8_t bytes[DTLS_CARRIED_MAX];
	size_t len;

	timers_init(&timers, 1000);
	random_init_seed(&random, 1);
	side_new(&a, &timers, &random);
	side_new(&b, &timers, &random);
	len = carried(&a, raw ? &(struct reader){0} : &r, bytes);
	{
		_cleanup_copy_ struct span exact = fuzz_copy(raw ? reader_rest(&r) : span_of(bytes, len));

		take(&b, exact);
	}
	dtls_endpoint_free(a.endpoint);
	dtls_endpoint_free(b.endpoint);
	return 0;
}
