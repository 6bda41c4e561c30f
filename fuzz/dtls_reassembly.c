/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Fragments of handshake messages, in any order. Two kinds, by the first byte: an honest peer, whose
 * fragments are parts of a text that follows from message number and place, so that what comes out must be
 * that text, and all of it once all has come; and a liar, of whose fragments only the form is known.
 */

#include "fuzz.h"

#include "dtls/reassembly.h"
#include "dtls/record.h"

enum { HONEST = 1, TYPES = 1u << 1 | 1u << 11 | 1u << 15 | 1u << 16, LENGTH_MAX = 600 };
enum operation { FRAGMENT, TAKE, WHOLE, RECORD, OPERATIONS };

struct course {
	struct dtls_reassembly r;
	uint64_t record_seq;
	uint16_t first;
	bool honest;
};

/* ---- the honest peer's text ---- */

static uint8_t type_of(uint16_t seq)
{
	static const uint8_t types[] = {1, 11, 15, 16};

	return types[seq % ARRAY_SIZE(types)];
}

static uint32_t length_of(uint16_t seq)
{
	return seq * 37u % LENGTH_MAX;
}

static uint8_t byte_at(uint16_t seq, uint32_t at)
{
	return (uint8_t)(seq * 31u + at * 7u + at / 256);
}

/* ---- what must hold ---- */

static void assert_sound(const struct dtls_reassembly *r)
{
	size_t bytes = r->taken_size;

	for (size_t i = 0; i < DTLS_MESSAGES_AHEAD; i++) {
		const struct dtls_partial *p = &r->partial[i];

		if (!p->data)
			continue;
		assert(p->total <= DTLS_MESSAGE_MAX && p->have <= p->total && TYPES & 1u << p->type);
		bytes += p->total;
	}
	assert(bytes <= r->bytes && r->bytes <= DTLS_REASSEMBLY_MAX);
}

static void take(struct course *c)
{
	struct dtls_record record;
	struct dtls_fragment f;
	struct span body;
	struct reader in;
	uint16_t seq = c->r.next;
	uint8_t type;
	int rc;

	if (!dtls_reassembly_peek(&c->r, &type, &body))
		return;
	in = reader_of(dtls_reassembly_take(&c->r, c->record_seq));
	rc = dtls_record_parse(&in, 0, &record);
	assert(rc == 0 && reader_left(&in) == 0);
	assert(record.type == DTLS_HANDSHAKE && record.epoch == 0 && record.seq == c->record_seq++);
	in = reader_of(record.fragment);
	rc = dtls_fragment_parse(&in, &f);
	assert(rc == 0 && reader_left(&in) == 0);
	assert(f.type == type && f.seq == seq && f.offset == 0 && f.total == f.body.len);
	assert(f.body.data == body.data && f.body.len == body.len && TYPES & 1u << type);
	assert(c->r.next == (uint16_t)(seq + 1));
	if (!c->honest)
		return;
	assert(type == type_of(seq) && f.total == length_of(seq));
	for (uint32_t i = 0; i < f.total; i++)
		assert(f.body.data[i] == byte_at(seq, i));
}

/* ---- operations ---- */

static void add(struct course *c, uint8_t type, uint32_t total, uint16_t seq, uint32_t offset,
		struct span body)
{
	uint8_t bytes[DTLS_MESSAGE_HEADER + LENGTH_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	uint16_t next = c->r.next;
	_cleanup_copy_ struct span copy = {0};

	writer_u8(&w, type);
	writer_u24(&w, total);
	writer_u16(&w, seq);
	writer_u24(&w, offset);
	writer_u24(&w, (uint32_t)body.len);
	writer_bytes(&w, body);
	assert(!w.failed);
	copy = fuzz_copy(writer_span(&w));
	(void)dtls_reassembly_add(&c->r, DTLS_VERSION_1_2, copy);
	assert(c->r.next == next);
}

static void add_honest(struct course *c, uint16_t seq, uint32_t from, uint32_t len)
{
	uint32_t total = length_of(seq);
	uint8_t text[LENGTH_MAX];

	from = MIN(from, total);
	len = MIN(len, total - from);
	for (uint32_t i = 0; i < len; i++)
		text[i] = byte_at(seq, from + i);
	add(c, type_of(seq), total, seq, from, span_of(text, len));
}

static void add_fragment(struct course *c, struct reader *in)
{
	uint16_t seq = (uint16_t)(c->r.next + reader_u8(in) - 2);
	uint8_t type, body[255] = {0};
	uint32_t total, offset;
	size_t len;

	if (c->honest) {
		offset = reader_u16(in);
		add_honest(c, seq, offset, reader_u16(in));
		return;
	}
	type = reader_u8(in);
	total = reader_u24(in);
	offset = reader_u24(in);
	len = reader_u8(in);
	memset(body, (int)len, len);
	add(c, type, total, seq, offset, span_of(body, len));
}

static void add_record(struct course *c, struct reader *in)
{
	_cleanup_copy_ struct span record = fuzz_copy(fuzz_short(in));

	if (!c->honest)
		(void)dtls_reassembly_add(&c->r, DTLS_VERSION_1_2, record);
}

/* Whatever came before: when all messages come whole, all come out. */
static void come_to_an_end(struct course *c)
{
	for (unsigned i = 0; i < DTLS_MESSAGES_AHEAD; i++) {
		uint16_t next = c->r.next;

		add_honest(c, next, 0, LENGTH_MAX);
		take(c);
		assert(c->r.next == (uint16_t)(next + 1));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	struct course c = {.honest = reader_u8(&in) & HONEST};

	c.first = reader_u16(&in);
	c.record_seq = reader_u16(&in);
	dtls_reassembly_init(&c.r, c.first, TYPES);
	while (reader_left(&in)) {
		switch ((enum operation)(reader_u8(&in) % OPERATIONS)) {
		case FRAGMENT:
			add_fragment(&c, &in);
			break;
		case TAKE:
			take(&c);
			break;
		case WHOLE:
			add_honest(&c, (uint16_t)(c.r.next + reader_u8(&in)), 0, LENGTH_MAX);
			break;
		case RECORD:
			add_record(&c, &in);
			break;
		case OPERATIONS:
			break;
		}
		assert_sound(&c.r);
	}
	if (c.honest)
		come_to_an_end(&c);
	dtls_reassembly_deinit(&c.r);
	return 0;
}
