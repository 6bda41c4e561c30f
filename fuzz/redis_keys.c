/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Values that Redis holds, and its URLs: whatever stands there, decoders stay within it. The first byte
 * chooses. */

#include "fuzz.h"

#include "store/redis_url.h"

static void hot(struct span s)
{
	uint8_t bytes[REDIS_HOT];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct redis_hot h, again;

	if (!redis_hot_decode(s, &h))
		return;
	redis_hot_encode(&w, &h);
	assert(writer_len(&w) == REDIS_HOT && redis_hot_decode(writer_span(&w), &again));
	assert(memcmp(&h, &again, sizeof(h)) == 0);
}

static void other_values(struct span s)
{
	struct redis_lease lease;
	struct redis_document document;
	struct store_request request;
	struct store_key hint;
	uint64_t order, ms;
	uint32_t seq;

	if (redis_lease_decode(s, &lease))
		assert(lease.body.len == s.len - 16);
	if (redis_document_decode(s, &document))
		assert(document.body.len == s.len - REDIS_DOCUMENT_HEAD);
	if (redis_request_decode(s, &request, &order))
		assert(request.body.len == s.len - 17);
	if (redis_hint_decode(s, &hint))
		assert(hint.endpoint.len == s.len - 1 && hint.role <= STORE_BOOTSTRAP);
	if (redis_stream_id(s, &ms, &seq)) {
		struct redis_event_place at = redis_sequence_split(redis_sequence(ms, 1, seq));

		assert(at.seq == seq || redis_sequence(ms, 1, seq) == UINT64_MAX);
	}
}

static void url(struct span s)
{
	char *text = span_dup(s);
	struct redis_target t;

	if (!text)
		return;
	if (!redis_url_parse(text, &t))
		assert((t.host != NULL) != (t.path != NULL));
	redis_target_deinit(&t);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(struct span s) = {hot, other_values, url};
	struct span copy;

	if (size == 0)
		return 0;
	copy = fuzz_copy(span_of(data + 1, size - 1));
	targets[data[0] % ARRAY_SIZE(targets)](copy);
	free((void *)(uintptr_t)copy.data);
	return 0;
}
