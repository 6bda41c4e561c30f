/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "store/store.h"

/*
 * Every table of the embedded store, every key and every value in it: the schema. All numbers are big-endian,
 * so that the order of keys is the order of what they mean. Each value opens with the version of its own
 * layout; a decoder takes exactly the bytes its encoder makes and says false to everything else, without
 * reading a byte too many.
 *
 *   meta      one of the names below            -> see there
 *   hot       device                            -> struct store_row
 *   record    device                            -> struct store_record
 *   journal   sequence                          -> struct store_entry
 *   index     kind, bytes                       -> device
 *   document  kind, name                        -> struct store_body
 *   request   device, order                     -> struct store_request, the rest of it
 *   grave     time of deletion, device          -> nothing: the tombstones in the order in which they may go
 *
 * A device is written as role, length of the endpoint, endpoint: no device is a prefix of another one.
 */

/* What the whole file is made as. A program refuses a file with a higher number than its own. */
enum { STORE_FORMAT = 1 };

enum store_table {
	STORE_META,
	STORE_HOT,
	STORE_RECORD,
	STORE_JOURNAL,
	STORE_INDEX,
	STORE_DOCUMENT,
	STORE_REQUEST,
	STORE_GRAVE,
	STORE_TABLES,
};
/* The name of a table in the file; never changes. */
const char *store_table_name(enum store_table table);

/* Keys of `meta`. */
#define STORE_META_FORMAT "format" /* struct store_format */
#define STORE_META_STATE "state"   /* struct store_state */

/* ---- keys ---- */

enum { STORE_KEY_BYTES = 1 + 1 + STORE_ENDPOINT_MAX + 8, STORE_NAME_KEY_BYTES = 1 + STORE_NAME_MAX };

/* Room for any key. */
struct store_key_bytes {
	uint8_t data[STORE_NAME_KEY_BYTES];
	size_t len;
};

/* All of them return the key, which lies in `k`. The lengths are the caller's to have checked (asserted). */
struct span store_device_key(struct store_key_bytes *k, struct store_key device);
struct span store_sequence_key(struct store_key_bytes *k, uint64_t sequence);
struct span store_name_key(struct store_key_bytes *k, uint8_t kind, struct span name);
struct span store_request_key(struct store_key_bytes *k, struct store_key device, uint64_t order);
struct span store_grave_key(struct store_key_bytes *k, uint64_t deleted_ms, struct store_key device);

/* The reverse. What they give borrows from `s`. */
bool store_device_key_decode(struct span s, struct store_key *device);
bool store_sequence_key_decode(struct span s, uint64_t *sequence);
bool store_name_key_decode(struct span s, uint8_t *kind, struct span *name);
bool store_request_key_decode(struct span s, struct store_key *device, uint64_t *order);
bool store_grave_key_decode(struct span s, uint64_t *deleted_ms, struct store_key *device);

/* ---- values ---- */

/*
 * The hot fields of a device, of fixed size so that they are replaced in place. The journal may know newer
 * ones: in the device's last entry, if that is behind `sequence`. `epoch` is that of the opening in which the
 * row was written: every later one took the device over once, without touching the row.
 */
struct store_row {
	uint32_t epoch;
	bool deleted;
	uint64_t deleted_ms; /* Unix time, of a tombstone */
	uint64_t sequence;   /* of the journal when the row was written */
	struct store_hot hot;
};
enum { STORE_DEDUP_ENTRY_BYTES = 4 + 4 + 2 + 1 };
enum {
	STORE_ROW_BYTES =
		1 + 1 + 4 + 8 + 8 + (4 + 4 + 8) + 3 * 8 + 1 + COAP_DEDUP_ENTRIES * STORE_DEDUP_ENTRY_BYTES,
};

struct store_record {
	uint64_t expires_ms;
	struct span bytes;
};

/*
 * One write, as the journal tells it; an event if `event` is not 0. It has all hot fields but the fence,
 * which only changes together with the row. Free places of the dedup ring take no room.
 */
struct store_entry {
	uint64_t time_ms; /* never descending */
	uint64_t number;
	uint64_t mark;
	uint64_t seen_ms;
	struct coap_dedup dedup;
	struct store_key key;
	uint8_t event;
	struct span body;
};

/* A document's. */
struct store_body {
	uint64_t version;
	struct span bytes;
};

struct store_format {
	uint32_t format;
	uint32_t epoch; /* grows with every opening */
	struct siphash_key hash_key;
};

/* What a start has to know about the journal, written whenever the checkpoint or the head moves. */
struct store_state {
	uint64_t checkpoint;	     /* every row is as new as its device's last entry up to this one */
	uint64_t bytes;		     /* of the journal, as of `bytes_sequence` */
	uint64_t bytes_sequence;     /* at or behind the checkpoint */
	struct store_cursor trimmed; /* the last event that is gone */
	uint64_t events_trimmed;     /* how many are gone */
	uint64_t document_version;   /* the highest that was given to any document */
};

/* Encoders write to `w`, which fails if it is too small. The sizes are exact. */
void store_row_encode(struct writer *w, const struct store_row *row);
size_t store_record_size(const struct store_record *r);
void store_record_encode(struct writer *w, const struct store_record *r);
size_t store_entry_size(const struct store_entry *e);
void store_entry_encode(struct writer *w, const struct store_entry *e);
size_t store_body_size(const struct store_body *b);
void store_body_encode(struct writer *w, const struct store_body *b);
size_t store_request_size(const struct store_request *q);
void store_request_encode(struct writer *w, const struct store_request *q);
enum { STORE_FORMAT_BYTES = 8 + 4 + 4 + 16, STORE_STATE_BYTES = 1 + 7 * 8 };
void store_format_encode(struct writer *w, const struct store_format *f);
void store_state_encode(struct writer *w, const struct store_state *s);

/* Decoders: false if `s` is not what the encoder makes. Spans in the result borrow from `s`. */
bool store_row_decode(struct span s, struct store_row *out);
bool store_record_decode(struct span s, struct store_record *out);
bool store_entry_decode(struct span s, struct store_entry *out);
bool store_body_decode(struct span s, struct store_body *out);
bool store_request_decode(struct span s, struct store_request *out);
/* True for any `format` number: the caller compares. */
bool store_format_decode(struct span s, struct store_format *out);
bool store_state_decode(struct span s, struct store_state *out);
