/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The schema of a store in Redis: names of keys, and values between structs and bytes. Decoders trust
 * nothing. Leaves out what the scripts do with them.
 */

#include "store/redis_keys.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- places ---- */

struct redis_place redis_place_of_hash(const struct redis_layout *l, uint32_t hash)
{
	return (struct redis_place){hash, hash % l->partitions, hash / l->partitions % l->buckets};
}

struct redis_place redis_place_of(const struct redis_layout *l, struct store_key device)
{
	return redis_place_of_hash(l, (uint32_t)(store_key_hash(&l->hash_key, device) >> 32));
}

uint32_t redis_document_partition(const struct redis_layout *l, enum store_document kind, struct span name)
{
	uint8_t bytes[1 + STORE_NAME_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, (uint8_t)(0x80 | kind));
	writer_bytes(&w, name);
	return (uint32_t)(siphash(&l->hash_key, writer_span(&w)) >> 32) % l->partitions;
}

/* ---- keys ---- */

/* The longest are those with a name; a device's with 255 bytes is shorter. */
static struct span make_key(struct redis_key *k, const struct redis_layout *l, const char *middle,
			    struct span name)
{
	struct writer w = writer_of(k->data, sizeof(k->data));

	writer_str(&w, l->prefix);
	writer_str(&w, middle);
	writer_bytes(&w, name);
	assert(!w.failed);
	k->len = writer_len(&w);
	return writer_span(&w);
}

enum { MIDDLE_MAX = 32 };
static const struct span nothing = {NULL, 0};

struct span redis_device_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			     struct store_key device)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}d:%d:", partition, device.role);
	return make_key(k, l, middle, device.endpoint);
}

struct span redis_queue_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			    struct store_key device)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}q:%d:", partition, device.role);
	return make_key(k, l, middle, device.endpoint);
}

struct span redis_bucket_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			     enum store_role role, uint32_t bucket)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}h:%d:%" PRIu32, partition, role, bucket);
	return make_key(k, l, middle, nothing);
}

struct span redis_expiry_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			     enum store_role role)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}x:%d", partition, role);
	return make_key(k, l, middle, nothing);
}

/* Those of which a partition has one. */
static struct span partition_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
				 char letter)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}%c", partition, letter);
	return make_key(k, l, middle, nothing);
}

struct span redis_stream_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition)
{
	return partition_key(k, l, partition, 'e');
}

struct span redis_state_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition)
{
	return partition_key(k, l, partition, 's');
}

struct span redis_versions_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition)
{
	return partition_key(k, l, partition, 'v');
}

struct span redis_document_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			       enum store_document kind, struct span name)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}m:%d:", partition, kind);
	return make_key(k, l, middle, name);
}

struct span redis_names_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			    enum store_document kind)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "{p%" PRIu32 "}l:%d", partition, kind);
	return make_key(k, l, middle, nothing);
}

struct span redis_index_key(struct redis_key *k, const struct redis_layout *l, enum store_index kind,
			    struct span name)
{
	char middle[MIDDLE_MAX];

	snprintf(middle, sizeof(middle), "i:%d:", kind);
	return make_key(k, l, middle, name);
}

struct span redis_meta_key(struct redis_key *k, const struct redis_layout *l, const char *name)
{
	return make_key(k, l, "{meta}", span_str(name));
}

/* ---- hot fields ---- */

enum { HOT_VERSION = 1 };

void redis_fence_encode(struct writer *w, const struct store_fence *f)
{
	writer_u32(w, f->node);
	writer_u64(w, f->incarnation);
	writer_u32(w, f->gen);
}

void redis_hot_encode(struct writer *w, const struct redis_hot *h)
{
	writer_u8(w, HOT_VERSION);
	writer_u8(w, h->deleted);
	redis_fence_encode(w, &h->hot.fence);
	writer_u32(w, h->run);
	writer_u16(w, h->queue);
	writer_u64(w, h->expires_ms);
	writer_u64(w, h->hot.number);
	writer_u64(w, h->hot.mark);
	writer_u64(w, h->hot.seen_ms);
	writer_u8(w, h->hot.dedup.next);
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		const struct coap_dedup_entry *e = &h->hot.dedup.entries[i];

		writer_u32(w, e->hash);
		writer_u32(w, e->time_s);
		writer_u16(w, e->mid);
		writer_u8(w, e->code);
	}
}

bool redis_hot_decode(struct span value, struct redis_hot *out)
{
	struct reader r = reader_of(value);
	uint8_t version = reader_u8(&r);

	*out = (struct redis_hot){.deleted = reader_u8(&r) & 1};
	out->hot.fence.node = reader_u32(&r);
	out->hot.fence.incarnation = reader_u64(&r);
	out->hot.fence.gen = reader_u32(&r);
	out->run = reader_u32(&r);
	out->queue = reader_u16(&r);
	out->expires_ms = reader_u64(&r);
	out->hot.number = reader_u64(&r);
	out->hot.mark = reader_u64(&r);
	out->hot.seen_ms = reader_u64(&r);
	out->hot.dedup.next = reader_u8(&r);
	for (size_t i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		struct coap_dedup_entry *e = &out->hot.dedup.entries[i];

		e->hash = reader_u32(&r);
		e->time_s = reader_u32(&r);
		e->mid = reader_u16(&r);
		e->code = reader_u8(&r);
	}
	return !r.failed && version == HOT_VERSION && out->hot.dedup.next < COAP_DEDUP_ENTRIES;
}

/* ---- places in the log ---- */

/* 2020-01-01: what comes before it counts as this. */
static const uint64_t epoch_ms = 1577836800000;
enum { SEQ_BITS = 10, PARTITION_BITS = 12, MS_BITS = 64 - SEQ_BITS - PARTITION_BITS };

uint64_t redis_sequence(uint64_t ms, uint32_t partition, uint32_t seq)
{
	uint64_t since = ms > epoch_ms ? ms - epoch_ms : 0;

	if (since >= 1ULL << MS_BITS)
		return UINT64_MAX;
	return since << (PARTITION_BITS + SEQ_BITS) | (uint64_t)partition << SEQ_BITS | seq;
}

struct redis_event_place redis_sequence_split(uint64_t sequence)
{
	return (struct redis_event_place){
		.ms = epoch_ms + (sequence >> (PARTITION_BITS + SEQ_BITS)),
		.partition = (uint32_t)(sequence >> SEQ_BITS) & (REDIS_PARTITIONS_MAX - 1),
		.seq = (uint32_t)sequence & REDIS_SEQ_MAX,
	};
}

uint64_t redis_sequence_before(uint64_t ms)
{
	uint64_t first = redis_sequence(ms, 0, 0);

	return first ? first - 1 : 0;
}

bool redis_stream_id(struct span text, uint64_t *ms, uint32_t *seq)
{
	const uint8_t *dash = text.len ? memchr(text.data, '-', text.len) : NULL;
	uint64_t low;

	if (!dash || !span_to_uint(span_of(text.data, (size_t)(dash - text.data)), UINT64_MAX, ms) ||
	    !span_to_uint(span_from(text, (size_t)(dash - text.data) + 1), REDIS_SEQ_MAX, &low))
		return false;
	*seq = (uint32_t)low;
	return true;
}

/* ---- other values ---- */

bool redis_lease_decode(struct span value, struct redis_lease *out)
{
	struct reader r = reader_of(value);

	out->incarnation = reader_u64(&r);
	out->until_ms = reader_u64(&r);
	out->body = reader_rest(&r);
	return !r.failed;
}

bool redis_document_decode(struct span value, struct redis_document *out)
{
	struct reader r = reader_of(value);

	out->version = reader_u64(&r);
	out->ticket = reader_bytes(&r, REDIS_TICKET);
	out->body = reader_rest(&r);
	return !r.failed && out->body.len <= STORE_DOCUMENT_MAX;
}

bool redis_request_decode(struct span value, struct store_request *out, uint64_t *order)
{
	struct reader r = reader_of(value);

	*order = reader_u64(&r);
	out->state = reader_u8(&r);
	out->deadline_ms = reader_u64(&r);
	out->body = reader_rest(&r);
	return !r.failed && out->body.len <= STORE_REQUEST_MAX;
}

bool redis_hint_decode(struct span value, struct store_key *out)
{
	struct reader r = reader_of(value);
	uint8_t role = reader_u8(&r);

	out->role = role;
	out->endpoint = reader_rest(&r);
	return !r.failed && role <= STORE_BOOTSTRAP && out->endpoint.len > 0 &&
	       out->endpoint.len <= STORE_ENDPOINT_MAX;
}
