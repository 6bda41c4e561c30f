/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Keys and values of the embedded store: a decoder takes exactly the bytes that its encoder makes. */

#include "fuzz.h"

#include "store/keys.h"

/* Each reads `s` and, if it can be read, writes it again; false: it cannot. */
typedef bool rewrite(struct span s, struct writer *w);

static bool device_key(struct span s, struct writer *w)
{
	struct store_key_bytes k;
	struct store_key key;

	if (!store_device_key_decode(s, &key))
		return false;
	writer_bytes(w, store_device_key(&k, key));
	return true;
}

static bool sequence_key(struct span s, struct writer *w)
{
	struct store_key_bytes k;
	uint64_t sequence;

	if (!store_sequence_key_decode(s, &sequence))
		return false;
	writer_bytes(w, store_sequence_key(&k, sequence));
	return true;
}

static bool name_key(struct span s, struct writer *w)
{
	struct store_key_bytes k;
	struct span name;
	uint8_t kind;

	if (!store_name_key_decode(s, &kind, &name))
		return false;
	writer_bytes(w, store_name_key(&k, kind, name));
	return true;
}

static bool request_key(struct span s, struct writer *w)
{
	struct store_key_bytes k;
	struct store_key key;
	uint64_t order;

	if (!store_request_key_decode(s, &key, &order))
		return false;
	writer_bytes(w, store_request_key(&k, key, order));
	return true;
}

static bool grave_key(struct span s, struct writer *w)
{
	struct store_key_bytes k;
	struct store_key key;
	uint64_t deleted_ms;

	if (!store_grave_key_decode(s, &deleted_ms, &key))
		return false;
	writer_bytes(w, store_grave_key(&k, deleted_ms, key));
	return true;
}

static bool row(struct span s, struct writer *w)
{
	struct store_row value;

	if (!store_row_decode(s, &value))
		return false;
	assert(s.len == STORE_ROW_BYTES);
	store_row_encode(w, &value);
	return true;
}

static bool record(struct span s, struct writer *w)
{
	struct store_record value;

	if (!store_record_decode(s, &value))
		return false;
	assert(s.len == store_record_size(&value));
	store_record_encode(w, &value);
	return true;
}

static bool entry(struct span s, struct writer *w)
{
	struct store_entry value;

	if (!store_entry_decode(s, &value))
		return false;
	assert(s.len == store_entry_size(&value));
	store_entry_encode(w, &value);
	return true;
}

static bool body(struct span s, struct writer *w)
{
	struct store_body value;

	if (!store_body_decode(s, &value))
		return false;
	assert(s.len == store_body_size(&value));
	store_body_encode(w, &value);
	return true;
}

static bool request(struct span s, struct writer *w)
{
	struct store_request value;

	if (!store_request_decode(s, &value))
		return false;
	assert(s.len == store_request_size(&value));
	store_request_encode(w, &value);
	return true;
}

/* Of a newer format only the number is known. */
static bool format(struct span s, struct writer *w)
{
	struct store_format value;

	if (!store_format_decode(s, &value) || value.format > STORE_FORMAT)
		return false;
	assert(s.len == STORE_FORMAT_BYTES);
	store_format_encode(w, &value);
	return true;
}

static bool state(struct span s, struct writer *w)
{
	struct store_state value;

	if (!store_state_decode(s, &value))
		return false;
	assert(s.len == STORE_STATE_BYTES);
	store_state_encode(w, &value);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static rewrite *const kinds[] = {device_key, sequence_key, name_key, request_key, grave_key, row,
					 record,     entry,	   body,     request,	  format,    state};
	struct span bytes = span_from(span_of(data, size), 1);
	_cleanup_free_ uint8_t *room = malloc(MAX(size, STORE_KEY_BYTES));
	struct writer w = writer_of(room, bytes.len);

	assert(room);
	if (size && kinds[data[0] % ARRAY_SIZE(kinds)](bytes, &w))
		assert(!w.failed && span_equal(writer_span(&w), bytes));
	return 0;
}
