/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "store/store.h"

/*
 * Every key that a store in Redis has, and what it holds: the schema (docs/store.md tells it for operators).
 * All begin with the prefix of the URL, "shoal:". What stands in braces decides which shard of a cluster has
 * the key; a script only touches keys with the same braces. N is a partition (decimal), R a role (0 or 1).
 *
 *   {pN}d:R:ENDPOINT    string   a device: REDIS_HOT bytes of hot fields, then its record. As a tombstone:
 * hot fields alone, and a time to live {pN}h:R:BUCKET      zset     endpoints by the upper 32 bits of their
 * hash: a part small enough for Redis to hold it as one block {pN}x:R             zset     endpoints by the
 * time at which somebody has to look at the device {pN}q:R:ENDPOINT    hash     requests: id -> order (8),
 * state (1), deadline (8), body; '' -> next order (8), bytes of all (8) {pN}e               stream   events:
 * t type, d role and endpoint, b body, c how many came before, s how many bytes those were; for others: type,
 * ep, time, id, json, replaced {pN}s string state of the stream: ms (8) and seq (4) of the last id, count
 * (8), bytes (8) {pN}m:KIND:NAME     string   a document: version (8), ticket of its last put (16), body
 * {pN}l:KIND          zset     names of documents, all with score 0: in the order of their bytes {pN}v
 * counter  of versions i:KIND:KEY string hint to a device: role (1), endpoint; with a time to live {meta}
 * hash     schema, hash-key, partitions, buckets, incarnation {meta}leases        hash     node ->
 * incarnation (8), until (8), body {meta}trimmed       string   the time (ms) before which events may be gone
 *   {meta}trimming      string   there while a node looks for what to trim
 *
 * Numbers in values are big-endian.
 */

enum { REDIS_SCHEMA = 1 };
enum { REDIS_PARTITIONS = 256, REDIS_PARTITIONS_MAX = 4096, REDIS_BUCKETS = 64, REDIS_BUCKETS_MAX = 65536 };

enum { REDIS_PREFIX_MAX = 32 };
enum { REDIS_KEY_MAX = REDIS_PREFIX_MAX + 32 + STORE_NAME_MAX };

/* What the names of a store's keys follow from. */
struct redis_layout {
	char prefix[REDIS_PREFIX_MAX + 1];
	uint32_t partitions;
	uint32_t buckets;
	struct siphash_key hash_key;
};

/* Room for any key. */
struct redis_key {
	uint8_t data[REDIS_KEY_MAX];
	size_t len;
};

/* Where the keys of a device are: what its hash says. */
struct redis_place {
	uint32_t hash; /* upper 32 bits */
	uint32_t partition;
	uint32_t bucket;
};
struct redis_place redis_place_of(const struct redis_layout *l, struct store_key device);
struct redis_place redis_place_of_hash(const struct redis_layout *l, uint32_t hash);
/* The partition of a document. */
uint32_t redis_document_partition(const struct redis_layout *l, enum store_document kind, struct span name);

/* All of them return the key, which lies in `k`. */
struct span redis_device_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			     struct store_key device);
struct span redis_queue_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			    struct store_key device);
struct span redis_bucket_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			     enum store_role role, uint32_t bucket);
struct span redis_expiry_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			     enum store_role role);
struct span redis_stream_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition);
struct span redis_state_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition);
struct span redis_document_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			       enum store_document kind, struct span name);
struct span redis_names_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition,
			    enum store_document kind);
struct span redis_versions_key(struct redis_key *k, const struct redis_layout *l, uint32_t partition);
struct span redis_index_key(struct redis_key *k, const struct redis_layout *l, enum store_index kind,
			    struct span name);
/* `name` is what stands behind {meta}. */
struct span redis_meta_key(struct redis_key *k, const struct redis_layout *l, const char *name);

/* ---- values ---- */

/* What is stored of a device besides its record. Fixed size; scripts/common.lua and write.lua know the
 * places. */
struct redis_hot {
	bool deleted;
	uint32_t run; /* of the store, at the last change of owner */
	uint16_t queue;
	uint64_t expires_ms; /* of a tombstone: until when it stays */
	struct store_hot hot;
};
enum { REDIS_RUN_AT = 18, REDIS_OWNER = 12, REDIS_FENCE = 16, REDIS_HOT = 145 };

void redis_fence_encode(struct writer *w, const struct store_fence *f);
void redis_hot_encode(struct writer *w, const struct redis_hot *h);
/* False for fewer than REDIS_HOT bytes, or another version. What follows in `value` is left to the caller. */
bool redis_hot_decode(struct span value, struct redis_hot *out);

/*
 * Places in the log. A stream's ids are MS-SEQ; the sequence of an event is made of its time, its partition
 * and SEQ, so that it is the same on every node and ascends over all streams together.
 */
enum { REDIS_SEQ_MAX = 1023 };
uint64_t redis_sequence(uint64_t ms, uint32_t partition, uint32_t seq);
struct redis_event_place {
	uint64_t ms;
	uint32_t partition;
	uint32_t seq;
};
struct redis_event_place redis_sequence_split(uint64_t sequence);
/* The sequence in front of all events of this millisecond. */
uint64_t redis_sequence_before(uint64_t ms);
/* "MS-SEQ" of a stream. */
bool redis_stream_id(struct span text, uint64_t *ms, uint32_t *seq);

struct redis_lease {
	uint64_t incarnation;
	uint64_t until_ms;
	struct span body;
};
bool redis_lease_decode(struct span value, struct redis_lease *out);

enum { REDIS_TICKET = 16, REDIS_DOCUMENT_HEAD = 8 + REDIS_TICKET };
struct redis_document {
	uint64_t version;
	struct span ticket; /* REDIS_TICKET bytes */
	struct span body;
};
bool redis_document_decode(struct span value, struct redis_document *out);

/* A request without its id; `order` is where it stands in the queue. */
bool redis_request_decode(struct span value, struct store_request *out, uint64_t *order);

/* A hint of an index. */
bool redis_hint_decode(struct span value, struct store_key *out);
