/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bodies that arrive in blocks, from several peers, in any order, with losses and repetitions. A second,
 * plain book-keeping says which bytes a complete body must have; the limits hold at every step; when all
 * rests, nothing is left.
 */

#include "fuzz.h"

#include "coap/block.h"

enum { PEERS = 3, NAMES = 2, BODY_MAX = 600, BYTES_MAX = 1500, IDLE_MS = 1000, STEPS_MAX = 200 };

struct book {
	uint8_t bytes[BODY_MAX];
	size_t len;
};

struct step {
	unsigned peer, name;
	struct coap_block block;
	uint8_t payload[1040];
	size_t len;
};

static struct step next_step(struct reader *r)
{
	uint8_t who = reader_u8(r), how = reader_u8(r);
	struct step s = {.peer = (who & 15) % PEERS, .name = (who >> 4) % NAMES};

	s.block = (struct coap_block){.num = how >> 4, .more = how & 8, .szx = (how & 7) % 7};
	s.len = how & 8 ? coap_block_size(s.block.szx) : reader_u8(r);
	if (who >= 0xF0) { /* beyond what fits, now and then */
		s.len = reader_u16(r) % sizeof(s.payload);
		s.block.num = (uint32_t)reader_u24(r) & COAP_BLOCK_NUM_MAX;
	}
	memset(s.payload, reader_u8(r), s.len);
	if (s.len)
		s.payload[s.len - 1] = (uint8_t)s.block.num;
	return s;
}

static void note(struct book *b, const struct step *s)
{
	size_t offset = coap_block_offset(&s->block);

	assert(s->len <= sizeof(b->bytes) && offset <= sizeof(b->bytes) - s->len);
	assert(offset == 0 || offset <= b->len);
	memcpy(b->bytes + offset, s->payload, s->len);
	b->len = offset + s->len;
}

static void take(struct coap_assemblies *a, struct book *b, const struct step *s, uint64_t now_ms)
{
	struct address from = {.family = 4, .ip = {192, 0, 2, (uint8_t)s->peer}, .port = 5683};
	_cleanup_buffer_ struct buffer body = {0};
	struct coap_message m;
	struct coap_block again;
	enum coap_assembled outcome;
	int rc;

	coap_message_init(&m, COAP_CON, COAP_POST, 1, (struct coap_token){0});
	rc = coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(s->name ? "/dp" : "/rd"));
	rc |= coap_add_block(&m, COAP_OPTION_BLOCK1, &s->block);
	assert(rc == 0 && coap_find_block(&m, COAP_OPTION_BLOCK1, &again) == COAP_BLOCK_FOUND);
	assert(again.num == s->block.num && again.more == s->block.more && again.szx == s->block.szx);
	m.payload = span_of(s->payload, s->len);
	outcome = coap_assemble(a, &from, &m, &again, now_ms, &body);
	assert(a->bytes <= BYTES_MAX && a->transfers.count <= PEERS * 2);
	if (outcome == COAP_ASSEMBLY_CONTINUE || outcome == COAP_ASSEMBLED)
		note(b, s);
	if (outcome == COAP_ASSEMBLED)
		assert(span_equal(buffer_span(&body), span_of(b->bytes, b->len)));
	else
		assert(body.data == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct coap_assembly_limits limits = {BODY_MAX, BYTES_MAX, 2, IDLE_MS};
	struct reader r = reader_of(span_of(data, size));
	struct siphash_key key = {0};
	struct coap_assemblies a;
	struct book books[PEERS][NAMES] = {0};
	struct timers timers;
	uint64_t now_ms = 1000;

	timers_init(&timers, now_ms);
	coap_assemblies_init(&a, &timers, &key, &limits);
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++) {
		struct step s = next_step(&r);

		take(&a, &books[s.peer][s.name], &s, now_ms);
		now_ms += reader_u8(&r);
		timers_advance(&timers, now_ms);
	}
	if (size & 1) {
		timers_advance(&timers, now_ms + 2 * IDLE_MS);
		assert(a.bytes == 0 && a.transfers.count == 0 && timers.count == 0);
	}
	coap_assemblies_deinit(&a);
	assert(a.bytes == 0 && timers.count == 0);
	return 0;
}
