/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The schema of a store in Redis: names of keys, values there and back, places in the log. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/redis_keys.h"

#include <stdio.h>

static struct redis_layout layout(void)
{
	return (struct redis_layout){.prefix = "shoal:",
				     .partitions = REDIS_PARTITIONS,
				     .buckets = REDIS_BUCKETS,
				     .hash_key = {{1, 2, 3}}};
}

static void assert_key(struct span key, const char *expected)
{
	assert_int_equal(key.len, strlen(expected));
	assert_memory_equal(key.data, expected, key.len);
}

static void keys_have_the_names_that_are_documented(void **state)
{
	struct redis_layout l = layout();
	struct store_key device = {STORE_BOOTSTRAP, span_str("ep")};
	struct redis_key k;

	(void)state;
	assert_key(redis_device_key(&k, &l, 17, device), "shoal:{p17}d:1:ep");
	assert_key(redis_queue_key(&k, &l, 17, device), "shoal:{p17}q:1:ep");
	assert_key(redis_bucket_key(&k, &l, 0, STORE_MANAGEMENT, 63), "shoal:{p0}h:0:63");
	assert_key(redis_expiry_key(&k, &l, 255, STORE_MANAGEMENT), "shoal:{p255}x:0");
	assert_key(redis_stream_key(&k, &l, 1), "shoal:{p1}e");
	assert_key(redis_state_key(&k, &l, 1), "shoal:{p1}s");
	assert_key(redis_document_key(&k, &l, 1, STORE_MODEL, span_str("n")), "shoal:{p1}m:3:n");
	assert_key(redis_names_key(&k, &l, 1, STORE_MODEL), "shoal:{p1}l:3");
	assert_key(redis_versions_key(&k, &l, 1), "shoal:{p1}v");
	assert_key(redis_index_key(&k, &l, STORE_INDEX_CID, span_str("c")), "shoal:i:2:c");
	assert_key(redis_meta_key(&k, &l, "leases"), "shoal:{meta}leases");
}

static void the_longest_keys_fit(void **state)
{
	struct redis_layout l = layout();
	char name[STORE_NAME_MAX];
	struct redis_key k;

	(void)state;
	memset(l.prefix, 'p', REDIS_PREFIX_MAX);
	memset(name, 'n', sizeof(name));
	redis_document_key(&k, &l, REDIS_PARTITIONS_MAX - 1, STORE_RESUMPTION, span_of(name, sizeof(name)));
	redis_queue_key(&k, &l, REDIS_PARTITIONS_MAX - 1,
			(struct store_key){STORE_BOOTSTRAP, span_of(name, STORE_ENDPOINT_MAX)});
	assert_true(k.len < sizeof(k.data));
}

static void places_spread_and_follow_from_the_hash(void **state)
{
	struct redis_layout l = layout();
	static unsigned counts[REDIS_PARTITIONS], buckets[REDIS_BUCKETS];

	(void)state;
	for (int i = 0; i < 256 * 64; i++) {
		char name[16];
		struct store_key key = {STORE_MANAGEMENT,
					span_of(name, (size_t)snprintf(name, 16, "d%d", i))};
		struct redis_place at = redis_place_of(&l, key), again;

		again = redis_place_of_hash(&l, (uint32_t)(store_key_hash(&l.hash_key, key) >> 32));
		assert_memory_equal(&at, &again, sizeof(at));
		counts[at.partition]++;
		buckets[at.bucket]++;
	}
	for (size_t i = 0; i < REDIS_PARTITIONS; i++)
		assert_true(counts[i] > 20 && counts[i] < 130);
	for (size_t i = 0; i < REDIS_BUCKETS; i++)
		assert_true(buckets[i] > 150 && buckets[i] < 370);
}

static void hot_fields_come_back(void **state)
{
	struct redis_hot h = {.deleted = true, .run = 5, .queue = 65535, .expires_ms = 1ULL << 60}, back;
	uint8_t bytes[REDIS_HOT + 3] = {0};
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	h.hot = (struct store_hot){
		.fence = {7, 9, 1ULL << 50}, .number = 11, .mark = UINT64_MAX, .seen_ms = 13};
	h.hot.dedup.next = 7;
	for (uint8_t i = 0; i < COAP_DEDUP_ENTRIES; i++)
		h.hot.dedup.entries[i] = (struct coap_dedup_entry){.hash = 0xfffffff0U + i,
								   .time_s = 1000U + i,
								   .mid = (uint16_t)(65500 + i),
								   .code = i};
	redis_hot_encode(&w, &h);
	assert_int_equal(writer_len(&w), REDIS_HOT);
	assert_int_equal(bytes[REDIS_RUN_AT + 3], 5);
	assert_true(redis_hot_decode(span_of(bytes, REDIS_HOT), &back));
	assert_memory_equal(&back, &h, sizeof(h));
	/* What follows is the record; what is missing, another version, and a ring without sense are not
	 * read. */
	assert_true(redis_hot_decode(span_of(bytes, sizeof(bytes)), &back));
	assert_false(redis_hot_decode(span_of(bytes, REDIS_HOT - 1), &back));
	bytes[0]++;
	assert_false(redis_hot_decode(span_of(bytes, REDIS_HOT), &back));
	bytes[0]--;
	bytes[56] = COAP_DEDUP_ENTRIES;
	assert_false(redis_hot_decode(span_of(bytes, REDIS_HOT), &back));
}

static void sequences_ascend_over_all_streams(void **state)
{
	const uint64_t ms = 1795526917896;
	struct redis_event_place at = redis_sequence_split(redis_sequence(ms, 4095, 1023));
	uint32_t seq;
	uint64_t read;

	(void)state;
	assert_int_equal(at.ms, ms);
	assert_int_equal(at.partition, 4095);
	assert_int_equal(at.seq, 1023);
	assert_true(redis_sequence(ms, 3, 1023) < redis_sequence(ms, 4, 0));
	assert_true(redis_sequence(ms, 4095, 1023) < redis_sequence(ms + 1, 0, 0));
	assert_int_equal(redis_sequence_before(ms), redis_sequence(ms - 1, 4095, 1023));
	assert_int_equal(redis_sequence(0, 0, 0), 0);
	assert_int_equal(redis_sequence_before(5), 0);
	assert_int_equal(redis_sequence(UINT64_MAX, 0, 0), UINT64_MAX);
	assert_true(redis_stream_id(span_str("1795526917896-7"), &read, &seq));
	assert_int_equal(read, ms);
	assert_int_equal(seq, 7);
	assert_false(redis_stream_id(span_str("1795526917896"), &read, &seq));
	assert_false(redis_stream_id(span_str("-1"), &read, &seq));
	assert_false(redis_stream_id(span_str("1-1024"), &read, &seq));
	assert_false(redis_stream_id(span_str(""), &read, &seq));
}

static void other_values_are_not_trusted(void **state)
{
	static const uint8_t zeros[STORE_ENDPOINT_MAX + 2];
	struct redis_document d;
	struct store_request q;
	struct redis_lease l;
	struct store_key key;
	uint64_t order;

	(void)state;
	assert_true(redis_lease_decode(span_of(zeros, 16), &l));
	assert_false(redis_lease_decode(span_of(zeros, 15), &l));
	assert_true(redis_document_decode(span_of(zeros, REDIS_DOCUMENT_HEAD), &d));
	assert_false(redis_document_decode(span_of(zeros, REDIS_DOCUMENT_HEAD - 1), &d));
	assert_true(redis_request_decode(span_of(zeros, 17), &q, &order));
	assert_false(redis_request_decode(span_of(zeros, 16), &q, &order));
	assert_true(redis_hint_decode(span_of(zeros, STORE_ENDPOINT_MAX + 1), &key));
	assert_false(redis_hint_decode(span_of(zeros, STORE_ENDPOINT_MAX + 2), &key));
	assert_false(redis_hint_decode(span_of(zeros, 1), &key));
	assert_false(redis_hint_decode(span_str("\2x"), &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_have_the_names_that_are_documented),
		cmocka_unit_test(the_longest_keys_fit),
		cmocka_unit_test(places_spread_and_follow_from_the_hash),
		cmocka_unit_test(hot_fields_come_back),
		cmocka_unit_test(sequences_ascend_over_all_streams),
		cmocka_unit_test(other_values_are_not_trusted),
	};

	return cmocka_run_group_tests_name("redis_keys", tests, NULL, NULL);
}
