/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The schema of the embedded store: what is written where, byte by byte. The one rule is that a decoder
 * trusts nothing: a file can be damaged, or come from somewhere else, and then a start has to end in a clear
 * line and not in a crash. Leaves out every access to a file; fuzzers and tests call it with plain bytes.
 */

#include "store/keys.h"

/* The layouts of the values as of STORE_FORMAT 1. */
enum { LAYOUT = 1 };

static const char *const table_names[STORE_TABLES] = {
	[STORE_META] = "meta",	     [STORE_HOT] = "hot",     [STORE_RECORD] = "record",
	[STORE_JOURNAL] = "journal", [STORE_INDEX] = "index", [STORE_DOCUMENT] = "document",
	[STORE_REQUEST] = "request", [STORE_GRAVE] = "grave",
};

const char *store_table_name(enum store_table table)
{
	assert(table < STORE_TABLES);
	return table_names[table];
}

/* ---- keys ---- */

static void put_device(struct writer *w, struct store_key device)
{
	assert(device.endpoint.len >= 1 && device.endpoint.len <= STORE_ENDPOINT_MAX);
	writer_u8(w, (uint8_t)device.role);
	writer_u8(w, (uint8_t)device.endpoint.len);
	writer_bytes(w, device.endpoint);
}

static bool get_device(struct reader *r, struct store_key *device)
{
	uint8_t role = reader_u8(r);
	size_t len = reader_u8(r);

	*device = (struct store_key){(enum store_role)role, reader_bytes(r, len)};
	return !r->failed && role <= STORE_BOOTSTRAP && len >= 1;
}

static struct span key_of(struct store_key_bytes *k, const struct writer *w)
{
	assert(!w->failed);
	k->len = writer_len(w);
	return writer_span(w);
}

static bool at_end(const struct reader *r)
{
	return !r->failed && reader_left(r) == 0;
}

struct span store_device_key(struct store_key_bytes *k, struct store_key device)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	put_device(&w, device);
	return key_of(k, &w);
}

struct span store_sequence_key(struct store_key_bytes *k, uint64_t sequence)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	writer_u64(&w, sequence);
	return key_of(k, &w);
}

struct span store_name_key(struct store_key_bytes *k, uint8_t kind, struct span name)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	writer_u8(&w, kind);
	writer_bytes(&w, name);
	return key_of(k, &w);
}

struct span store_request_key(struct store_key_bytes *k, struct store_key device, uint64_t order)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	put_device(&w, device);
	writer_u64(&w, order);
	return key_of(k, &w);
}

struct span store_grave_key(struct store_key_bytes *k, uint64_t deleted_ms, struct store_key device)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	writer_u64(&w, deleted_ms);
	put_device(&w, device);
	return key_of(k, &w);
}

bool store_device_key_decode(struct span s, struct store_key *device)
{
	struct reader r = reader_of(s);

	return get_device(&r, device) && at_end(&r);
}

bool store_sequence_key_decode(struct span s, uint64_t *sequence)
{
	struct reader r = reader_of(s);

	*sequence = reader_u64(&r);
	return at_end(&r);
}

bool store_name_key_decode(struct span s, uint8_t *kind, struct span *name)
{
	struct reader r = reader_of(s);

	*kind = reader_u8(&r);
	*name = reader_rest(&r);
	return !r.failed && name->len >= 1 && name->len <= STORE_NAME_MAX;
}

bool store_request_key_decode(struct span s, struct store_key *device, uint64_t *order)
{
	struct reader r = reader_of(s);

	if (!get_device(&r, device))
		return false;
	*order = reader_u64(&r);
	return at_end(&r);
}

bool store_grave_key_decode(struct span s, uint64_t *deleted_ms, struct store_key *device)
{
	struct reader r = reader_of(s);

	*deleted_ms = reader_u64(&r);
	return get_device(&r, device) && at_end(&r);
}

/* ---- hot row ---- */

static void put_dedup_entry(struct writer *w, const struct coap_dedup_entry *e)
{
	writer_u32(w, e->hash);
	writer_u32(w, e->time_s);
	writer_u16(w, e->mid);
	writer_u8(w, e->code);
}

static struct coap_dedup_entry get_dedup_entry(struct reader *r)
{
	struct coap_dedup_entry e = {0};

	e.hash = reader_u32(r);
	e.time_s = reader_u32(r);
	e.mid = reader_u16(r);
	e.code = reader_u8(r);
	return e;
}

void store_row_encode(struct writer *w, const struct store_row *row)
{
	const struct store_hot *hot = &row->hot;

	writer_u8(w, LAYOUT);
	writer_u8(w, row->deleted);
	writer_u32(w, row->epoch);
	writer_u64(w, row->deleted_ms);
	writer_u64(w, row->sequence);
	writer_u32(w, hot->fence.node);
	writer_u32(w, hot->fence.gen);
	writer_u64(w, hot->fence.incarnation);
	writer_u64(w, hot->number);
	writer_u64(w, hot->mark);
	writer_u64(w, hot->seen_ms);
	writer_u8(w, hot->dedup.next);
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++)
		put_dedup_entry(w, &hot->dedup.entries[i]);
}

bool store_row_decode(struct span s, struct store_row *out)
{
	struct reader r = reader_of(s);
	struct store_hot *hot = &out->hot;
	uint8_t layout, deleted;

	*out = (struct store_row){0};
	layout = reader_u8(&r);
	deleted = reader_u8(&r);
	out->deleted = deleted == 1;
	out->epoch = reader_u32(&r);
	out->deleted_ms = reader_u64(&r);
	out->sequence = reader_u64(&r);
	hot->fence.node = reader_u32(&r);
	hot->fence.gen = reader_u32(&r);
	hot->fence.incarnation = reader_u64(&r);
	hot->number = reader_u64(&r);
	hot->mark = reader_u64(&r);
	hot->seen_ms = reader_u64(&r);
	hot->dedup.next = reader_u8(&r);
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++)
		hot->dedup.entries[i] = get_dedup_entry(&r);
	return at_end(&r) && layout == LAYOUT && deleted <= 1 && hot->dedup.next < COAP_DEDUP_ENTRIES;
}

/* ---- record ---- */

size_t store_record_size(const struct store_record *r)
{
	return 1 + 8 + r->bytes.len;
}

void store_record_encode(struct writer *w, const struct store_record *r)
{
	writer_u8(w, LAYOUT);
	writer_u64(w, r->expires_ms);
	writer_bytes(w, r->bytes);
}

bool store_record_decode(struct span s, struct store_record *out)
{
	struct reader r = reader_of(s);
	uint8_t layout = reader_u8(&r);

	out->expires_ms = reader_u64(&r);
	out->bytes = reader_rest(&r);
	return !r.failed && layout == LAYOUT && out->bytes.len <= STORE_RECORD_MAX;
}

/* ---- journal entry ---- */

/* A bit per place of the ring that is in use. */
static uint8_t ring_mask(const struct coap_dedup *ring)
{
	unsigned mask = 0;

	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++)
		mask |= (ring->entries[i].time_s ? 1U : 0U) << i;
	return (uint8_t)mask;
}

static void put_ring(struct writer *w, const struct coap_dedup *ring)
{
	writer_u8(w, ring->next);
	writer_u8(w, ring_mask(ring));
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++)
		if (ring->entries[i].time_s)
			put_dedup_entry(w, &ring->entries[i]);
}

static bool get_ring(struct reader *r, struct coap_dedup *ring)
{
	uint8_t mask;

	ring->next = reader_u8(r);
	mask = reader_u8(r);
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++)
		if (mask >> i & 1)
			ring->entries[i] = get_dedup_entry(r);
	return ring->next < COAP_DEDUP_ENTRIES && ring_mask(ring) == mask;
}

size_t store_entry_size(const struct store_entry *e)
{
	size_t places = (size_t)__builtin_popcount(ring_mask(&e->dedup));

	return 1 + 4 * 8 + 2 + places * STORE_DEDUP_ENTRY_BYTES + 2 + e->key.endpoint.len + 1 + e->body.len;
}

void store_entry_encode(struct writer *w, const struct store_entry *e)
{
	writer_u8(w, LAYOUT);
	writer_u64(w, e->time_ms);
	writer_u64(w, e->number);
	writer_u64(w, e->mark);
	writer_u64(w, e->seen_ms);
	put_ring(w, &e->dedup);
	put_device(w, e->key);
	writer_u8(w, e->event);
	writer_bytes(w, e->body);
}

bool store_entry_decode(struct span s, struct store_entry *out)
{
	struct reader r = reader_of(s);
	uint8_t layout = reader_u8(&r);

	*out = (struct store_entry){0};
	out->time_ms = reader_u64(&r);
	out->number = reader_u64(&r);
	out->mark = reader_u64(&r);
	out->seen_ms = reader_u64(&r);
	if (!get_ring(&r, &out->dedup) || !get_device(&r, &out->key))
		return false;
	out->event = reader_u8(&r);
	out->body = reader_rest(&r);
	return !r.failed && layout == LAYOUT && out->body.len <= STORE_EVENT_MAX;
}

/* ---- documents and requests ---- */

size_t store_body_size(const struct store_body *b)
{
	return 1 + 8 + b->bytes.len;
}

void store_body_encode(struct writer *w, const struct store_body *b)
{
	writer_u8(w, LAYOUT);
	writer_u64(w, b->version);
	writer_bytes(w, b->bytes);
}

bool store_body_decode(struct span s, struct store_body *out)
{
	struct reader r = reader_of(s);
	uint8_t layout = reader_u8(&r);

	out->version = reader_u64(&r);
	out->bytes = reader_rest(&r);
	return !r.failed && layout == LAYOUT && out->bytes.len <= STORE_DOCUMENT_MAX;
}

size_t store_request_size(const struct store_request *q)
{
	return 1 + 1 + 8 + 1 + q->id.len + q->body.len;
}

void store_request_encode(struct writer *w, const struct store_request *q)
{
	assert(q->id.len >= 1 && q->id.len <= STORE_REQUEST_ID_MAX);
	writer_u8(w, LAYOUT);
	writer_u8(w, q->state);
	writer_u64(w, q->deadline_ms);
	writer_u8(w, (uint8_t)q->id.len);
	writer_bytes(w, q->id);
	writer_bytes(w, q->body);
}

bool store_request_decode(struct span s, struct store_request *out)
{
	struct reader r = reader_of(s);
	uint8_t layout = reader_u8(&r);
	size_t len;

	out->state = reader_u8(&r);
	out->deadline_ms = reader_u64(&r);
	len = reader_u8(&r);
	out->id = reader_bytes(&r, len);
	out->body = reader_rest(&r);
	return !r.failed && layout == LAYOUT && len >= 1 && len <= STORE_REQUEST_ID_MAX &&
	       out->body.len <= STORE_REQUEST_MAX;
}

/* ---- meta ---- */

/* Readable in a dump of the file, and in front of everything that a later format may change. */
static const char magic[] = "shoal-db";

void store_format_encode(struct writer *w, const struct store_format *f)
{
	writer_str(w, magic);
	writer_u32(w, f->format);
	writer_u32(w, f->epoch);
	writer_bytes(w, span_of(f->hash_key.bytes, sizeof(f->hash_key.bytes)));
}

bool store_format_decode(struct span s, struct store_format *out)
{
	struct reader r = reader_of(s);
	struct span key;

	*out = (struct store_format){0};
	if (!span_is(reader_bytes(&r, strlen(magic)), magic))
		return false;
	out->format = reader_u32(&r);
	if (out->format > STORE_FORMAT)
		return !r.failed; /* whatever follows is for those who know it */
	out->epoch = reader_u32(&r);
	key = reader_bytes(&r, sizeof(out->hash_key.bytes));
	if (!at_end(&r) || out->format == 0)
		return false;
	memcpy(out->hash_key.bytes, key.data, key.len);
	return true;
}

void store_state_encode(struct writer *w, const struct store_state *s)
{
	writer_u8(w, LAYOUT);
	writer_u64(w, s->checkpoint);
	writer_u64(w, s->bytes);
	writer_u64(w, s->bytes_sequence);
	writer_u64(w, s->trimmed.time_ms);
	writer_u64(w, s->trimmed.sequence);
	writer_u64(w, s->events_trimmed);
	writer_u64(w, s->document_version);
}

bool store_state_decode(struct span s, struct store_state *out)
{
	struct reader r = reader_of(s);
	uint8_t layout = reader_u8(&r);

	out->checkpoint = reader_u64(&r);
	out->bytes = reader_u64(&r);
	out->bytes_sequence = reader_u64(&r);
	out->trimmed.time_ms = reader_u64(&r);
	out->trimmed.sequence = reader_u64(&r);
	out->events_trimmed = reader_u64(&r);
	out->document_version = reader_u64(&r);
	return at_end(&r) && layout == LAYOUT;
}
