/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The memory of confirmable requests: what is found again, for how long, and what has to go. */

#include "coap_test.h"

#include "coap/dedup.h"

enum { NOW = 1700000000 };

static enum coap_seen seen(const struct coap_dedup *d, uint16_t mid, uint32_t hash, uint32_t now_s)
{
	uint8_t code = 0xee;
	enum coap_seen s = coap_dedup_find(d, mid, hash, now_s, &code);

	if (s == COAP_SEEN_ANSWERED)
		assert_int_equal(code, COAP_CHANGED);
	else
		assert_int_equal(code, 0xee);
	return s;
}

static void test_life_of_an_entry(void **state)
{
	struct coap_dedup d = {0};

	(void)state;
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_NEW);
	assert_int_equal(seen(&d, 0, 0, NOW),
			 COAP_SEEN_NEW);		    /* free entries are all zero, and match nothing */
	assert_int_equal(seen(&d, 0, 0, 5), COAP_SEEN_NEW); /* not even at the beginning of time */
	coap_dedup_add(&d, 7, 99, NOW, COAP_EMPTY);
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_PENDING);
	coap_dedup_settle(&d, 7, 99, COAP_CHANGED);
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_ANSWERED);
	assert_int_equal(seen(&d, 7, 98, NOW), COAP_SEEN_NEW); /* the id again, another message */
	assert_int_equal(seen(&d, 8, 99, NOW), COAP_SEEN_NEW);
	coap_dedup_settle(&d, 7, 99, COAP_NOT_FOUND); /* only once */
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_ANSWERED);
}

static void test_failed_write_is_forgotten(void **state)
{
	struct coap_dedup d = {0};

	(void)state;
	coap_dedup_add(&d, 7, 99, NOW, COAP_EMPTY);
	coap_dedup_settle(&d, 7, 98, COAP_EMPTY); /* another one: harmless */
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_PENDING);
	coap_dedup_settle(&d, 7, 99, COAP_EMPTY);
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_NEW);
	coap_dedup_settle(&d, 7, 99, COAP_CHANGED); /* gone: harmless */
	assert_int_equal(seen(&d, 7, 99, NOW), COAP_SEEN_NEW);
}

static void test_lifetime(void **state)
{
	struct coap_dedup d = {0};

	(void)state;
	coap_dedup_add(&d, 7, 99, NOW, COAP_CHANGED);
	assert_int_equal(seen(&d, 7, 99, NOW + 247), COAP_SEEN_ANSWERED);
	assert_int_equal(seen(&d, 7, 99, NOW + 248), COAP_SEEN_NEW);
	assert_int_equal(seen(&d, 7, 99, NOW - 3), COAP_SEEN_ANSWERED); /* the clock of another node */
	assert_int_equal(seen(&d, 7, 99, NOW - 248), COAP_SEEN_NEW);
	/* The message again after its time: the new entry is the one that counts. */
	coap_dedup_add(&d, 7, 99, NOW + 300, COAP_EMPTY);
	assert_int_equal(seen(&d, 7, 99, NOW + 300), COAP_SEEN_PENDING);
	coap_dedup_settle(&d, 7, 99, COAP_CHANGED);
	assert_int_equal(seen(&d, 7, 99, NOW + 300), COAP_SEEN_ANSWERED);
}

static void test_oldest_goes(void **state)
{
	struct coap_dedup d = {0};

	(void)state;
	/* All in one second: the order of their coming decides. */
	for (uint16_t mid = 0; mid < COAP_DEDUP_ENTRIES + 3; mid++)
		coap_dedup_add(&d, mid, 1, NOW, COAP_CHANGED);
	for (uint16_t mid = 0; mid < 3; mid++)
		assert_int_equal(seen(&d, mid, 1, NOW), COAP_SEEN_NEW);
	for (uint16_t mid = 3; mid < COAP_DEDUP_ENTRIES + 3; mid++)
		assert_int_equal(seen(&d, mid, 1, NOW), COAP_SEEN_ANSWERED);
}

static void test_pending_stays(void **state)
{
	struct coap_dedup d = {0};
	uint16_t mid;

	(void)state;
	coap_dedup_add(&d, 100, 1, NOW, COAP_EMPTY);
	coap_dedup_add(&d, 101, 1, NOW, COAP_EMPTY);
	for (mid = 0; mid < 50; mid++)
		coap_dedup_add(&d, mid, 1, NOW + mid, COAP_CHANGED);
	assert_int_equal(seen(&d, 100, 1, NOW), COAP_SEEN_PENDING);
	assert_int_equal(seen(&d, 101, 1, NOW), COAP_SEEN_PENDING);
	for (mid = 44; mid < 50; mid++)
		assert_int_equal(seen(&d, mid, 1, NOW + 50), COAP_SEEN_ANSWERED);
	/* Nothing but pending ones: the oldest goes all the same. */
	for (mid = 200; mid < 200 + COAP_DEDUP_ENTRIES - 1; mid++)
		coap_dedup_add(&d, mid, 1, NOW + mid, COAP_EMPTY);
	assert_int_equal(seen(&d, 100, 1, NOW), COAP_SEEN_NEW);
	assert_int_equal(seen(&d, 101, 1, NOW), COAP_SEEN_PENDING);
}

static void test_expired_and_forgotten_go_first(void **state)
{
	struct coap_dedup d = {0};
	unsigned index;

	(void)state;
	for (uint16_t mid = 0; mid < COAP_DEDUP_ENTRIES; mid++)
		coap_dedup_add(&d, mid, 1, NOW, mid == 5 ? COAP_EMPTY : COAP_CHANGED);
	coap_dedup_settle(&d, 5, 1, COAP_EMPTY);
	index = coap_dedup_add(&d, 50, 1, NOW, COAP_CHANGED);
	assert_int_equal(index, 5);
	/* A pending entry whose time is over does not stay. */
	memset(&d, 0, sizeof(d));
	coap_dedup_add(&d, 0, 1, NOW - 300, COAP_EMPTY);
	for (uint16_t mid = 1; mid < COAP_DEDUP_ENTRIES; mid++)
		coap_dedup_add(&d, mid, 1, NOW, COAP_CHANGED);
	assert_int_equal(coap_dedup_add(&d, 51, 1, NOW, COAP_CHANGED), 0);
}

static void test_hash(void **state)
{
	struct siphash_key key = {{1, 2, 3}}, other_key = {{1, 2, 4}};
	struct span a = span_str("datagram"), from = span_str("192.0.2.7");
	uint32_t hash = coap_dedup_hash(&key, a, from);

	(void)state;
	assert_int_equal(hash, coap_dedup_hash(&key, a, from));
	assert_int_not_equal(hash, coap_dedup_hash(&key, span_str("datagran"), from));
	assert_int_not_equal(hash, coap_dedup_hash(&key, a, span_str("192.0.2.8")));
	assert_int_not_equal(hash, coap_dedup_hash(&other_key, a, from));
	/* Where one ends and the other begins counts. */
	assert_int_not_equal(coap_dedup_hash(&key, span_str("ab"), span_str("c")),
			     coap_dedup_hash(&key, span_str("a"), span_str("bc")));
	assert_int_not_equal(coap_dedup_hash(&key, a, from), coap_dedup_hash(&key, from, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_an_entry),
		cmocka_unit_test(test_failed_write_is_forgotten),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_oldest_goes),
		cmocka_unit_test(test_pending_stays),
		cmocka_unit_test(test_expired_and_forgotten_go_first),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests_name("coap_dedup", tests, NULL, NULL);
}
