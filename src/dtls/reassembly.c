/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Handshake messages of fragments. The hard idea: the transcript of a handshake is defined over unfragmented
 * messages (RFC 6347, 4.2.6), so whole messages with fresh record numbers are the same handshake to the
 * library, and neither order, nor duplicates, nor an attacker's record numbers reach it. A message is
 * collected in the buffer in which it will be a record; one bit for each byte tells which have come. Left
 * out: epoch 1, where a Finished is one record.
 */

#include "dtls/reassembly.h"

#include "dtls/record.h"

enum { HEADERS = DTLS_HEADER + DTLS_MESSAGE_HEADER };

static size_t size_of(uint32_t total)
{
	return HEADERS + (size_t)total + (total + 7) / 8;
}

void dtls_reassembly_init(struct dtls_reassembly *r, uint16_t first, uint32_t types)
{
	*r = (struct dtls_reassembly){.next = first, .types = types};
}

void dtls_reassembly_deinit(struct dtls_reassembly *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->partial); i++)
		free(r->partial[i].data);
	free(r->taken);
	*r = (struct dtls_reassembly){0};
}

static bool begin(struct dtls_reassembly *r, struct dtls_partial *p, uint16_t version,
		  const struct dtls_fragment *f)
{
	size_t size = size_of(f->total);

	if (r->bytes + size > DTLS_REASSEMBLY_MAX)
		return false;
	p->data = calloc(1, size);
	if (!p->data)
		return false;
	r->bytes += size;
	p->total = f->total;
	p->have = 0;
	p->type = f->type;
	p->version = version;
	return true;
}

/* Copies the bytes that are new. */
static bool fill(struct dtls_partial *p, const struct dtls_fragment *f)
{
	uint8_t *bytes = p->data + HEADERS, *bits = bytes + p->total;
	uint32_t had = p->have;

	for (uint32_t i = 0; i < f->body.len; i++) {
		uint32_t at = f->offset + i;
		uint8_t bit = (uint8_t)(1u << at % 8);

		if (bits[at / 8] & bit)
			continue;
		bits[at / 8] |= bit;
		bytes[at] = f->body.data[i];
		p->have++;
	}
	return p->have > had;
}

static unsigned add_fragment(struct dtls_reassembly *r, uint16_t version, const struct dtls_fragment *f)
{
	uint16_t ahead = (uint16_t)(f->seq - r->next);
	struct dtls_partial *p = &r->partial[f->seq % DTLS_MESSAGES_AHEAD];
	bool begun = false;

	if (f->type >= 32 || !(r->types & 1u << f->type) || f->total > DTLS_MESSAGE_MAX)
		return 0;
	if (ahead == UINT16_MAX)
		return f->offset + f->body.len == f->total ? DTLS_REASSEMBLY_REPEATED : 0;
	if (ahead >= DTLS_MESSAGES_AHEAD)
		return 0;
	if (!p->data) {
		if (!begin(r, p, version, f))
			return 0;
		begun = true;
	}
	if (p->type != f->type || p->total != f->total)
		return 0;
	return fill(p, f) || begun ? DTLS_REASSEMBLY_NEWS : 0;
}

unsigned dtls_reassembly_add(struct dtls_reassembly *r, uint16_t version, struct span fragment)
{
	struct reader in = reader_of(fragment);
	struct dtls_fragment f;
	unsigned found = 0;

	while (reader_left(&in) && dtls_fragment_parse(&in, &f) == 0)
		found |= add_fragment(r, version, &f);
	return found;
}

bool dtls_reassembly_peek(const struct dtls_reassembly *r, uint8_t *type, struct span *body)
{
	const struct dtls_partial *p = &r->partial[r->next % DTLS_MESSAGES_AHEAD];

	if (!p->data || p->have < p->total)
		return false;
	*type = p->type;
	*body = span_of(p->data + HEADERS, p->total);
	return true;
}

struct span dtls_reassembly_take(struct dtls_reassembly *r, uint64_t record_seq)
{
	struct dtls_partial *p = &r->partial[r->next % DTLS_MESSAGES_AHEAD];
	struct writer w = writer_of(p->data, HEADERS);
	struct span record = span_of(p->data, HEADERS + (size_t)p->total);

	assert(p->data && p->have == p->total);
	writer_u8(&w, DTLS_HANDSHAKE);
	writer_u16(&w, p->version);
	writer_u16(&w, 0);
	writer_uint(&w, record_seq, 6);
	writer_u16(&w, (uint16_t)(DTLS_MESSAGE_HEADER + p->total));
	writer_u8(&w, p->type);
	writer_u24(&w, p->total);
	writer_u16(&w, r->next);
	writer_u24(&w, 0);
	writer_u24(&w, p->total);
	free(r->taken);
	r->bytes -= r->taken_size;
	r->taken = p->data;
	r->taken_size = size_of(p->total);
	*p = (struct dtls_partial){0};
	r->next++;
	return record;
}
