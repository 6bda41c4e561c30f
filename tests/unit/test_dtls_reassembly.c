/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Handshake messages of fragments, in all orders, and of fragments that lie. */

#include "dtls_test.h"

#include "base/random.h"
#include "dtls/reassembly.h"
#include "dtls/record.h"

enum { ALL = -1, FIRST = 3 };

static unsigned add(struct dtls_reassembly *r, uint8_t type, uint16_t seq, uint32_t total, uint32_t offset,
		    const void *data, uint32_t len)
{
	uint8_t bytes[DTLS_MESSAGE_MAX + 64];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, type);
	writer_u24(&w, total);
	writer_u16(&w, seq);
	writer_u24(&w, offset);
	writer_u24(&w, len);
	writer_bytes(&w, span_of(data, len));
	assert_false(w.failed);
	return dtls_reassembly_add(r, DTLS_VERSION_1_2, writer_span(&w));
}

static void assert_next(struct dtls_reassembly *r, uint8_t type, const char *text, uint64_t record_seq)
{
	struct span body;
	uint8_t found;
	struct reader in;
	struct dtls_record record;
	struct dtls_fragment f;
	uint16_t seq = r->next;

	assert_true(dtls_reassembly_peek(r, &found, &body));
	assert_int_equal(found, type);
	assert_true(span_is(body, text));
	in = reader_of(dtls_reassembly_take(r, record_seq));
	assert_int_equal(dtls_record_parse(&in, 0, &record), 0);
	assert_int_equal(reader_left(&in), 0);
	assert_int_equal(record.type, DTLS_HANDSHAKE);
	assert_int_equal(record.epoch, 0);
	assert_int_equal(record.seq, record_seq);
	in = reader_of(record.fragment);
	assert_int_equal(dtls_fragment_parse(&in, &f), 0);
	assert_int_equal(f.type, type);
	assert_int_equal(f.seq, seq);
	assert_int_equal(f.offset, 0);
	assert_int_equal(f.total, strlen(text));
	assert_true(span_is(f.body, text));
}

static bool has_next(const struct dtls_reassembly *r)
{
	struct span body;
	uint8_t type;

	return dtls_reassembly_peek(r, &type, &body);
}

static void messages_come_in_order(void **state)
{
	struct dtls_reassembly r;

	(void)state;
	dtls_reassembly_init(&r, FIRST, (uint32_t)ALL);
	assert_int_equal(add(&r, 16, FIRST + 1, 5, 0, "later", 5), DTLS_REASSEMBLY_NEWS);
	assert_false(has_next(&r));
	assert_int_equal(add(&r, 11, FIRST, 5, 2, "rst", 3), DTLS_REASSEMBLY_NEWS);
	assert_int_equal(add(&r, 11, FIRST, 5, 2, "rst", 3), 0);
	assert_false(has_next(&r));
	assert_int_equal(add(&r, 11, FIRST, 5, 0, "fir", 3), DTLS_REASSEMBLY_NEWS);
	assert_next(&r, 11, "first", 10);
	assert_next(&r, 16, "later", 11);
	assert_false(has_next(&r));
	assert_int_equal(add(&r, 14, FIRST + 2, 0, 0, "", 0), DTLS_REASSEMBLY_NEWS);
	assert_next(&r, 14, "", 12);
	dtls_reassembly_deinit(&r);
}

static void repetitions_are_told(void **state)
{
	struct dtls_reassembly r;

	(void)state;
	dtls_reassembly_init(&r, 0, (uint32_t)ALL);
	add(&r, 1, 0, 4, 0, "abcd", 4);
	add(&r, 2, 1, 4, 0, "efgh", 4);
	assert_next(&r, 1, "abcd", 0);
	assert_int_equal(add(&r, 1, 0, 4, 0, "abcd", 4), DTLS_REASSEMBLY_REPEATED);
	assert_int_equal(add(&r, 1, 0, 4, 0, "ab", 2), 0);
	assert_int_equal(add(&r, 1, 0, 4, 2, "cd", 2), DTLS_REASSEMBLY_REPEATED);
	assert_next(&r, 2, "efgh", 1);
	assert_int_equal(add(&r, 1, 0, 4, 0, "abcd", 4), 0);
	assert_int_equal(add(&r, 2, 1, 4, 0, "efgh", 4), DTLS_REASSEMBLY_REPEATED);
	assert_false(has_next(&r));
	dtls_reassembly_deinit(&r);
}

static void lies_are_dropped(void **state)
{
	struct dtls_reassembly r;
	uint8_t bytes[] = {1, 0, 0, 4, 0, 0, 0, 0, 3, 0, 0, 2, 'a', 'b'};

	(void)state;
	dtls_reassembly_init(&r, 0, 1u << 1);
	assert_int_equal(add(&r, 2, 0, 4, 0, "abcd", 4), 0);  /* a type that nobody takes */
	assert_int_equal(add(&r, 33, 0, 4, 0, "abcd", 4), 0); /* not even a type */
	assert_int_equal(add(&r, 1, 16, 4, 0, "abcd", 4), 0); /* too far ahead */
	assert_int_equal(add(&r, 1, 0, DTLS_MESSAGE_MAX + 1, 0, "abcd", 4), 0);
	/* Beyond the message's own end, and cut off. */
	assert_int_equal(dtls_reassembly_add(&r, DTLS_VERSION_1_2, span_of(bytes, sizeof(bytes))), 0);
	bytes[8] = 2;
	assert_int_equal(dtls_reassembly_add(&r, DTLS_VERSION_1_2, span_of(bytes, sizeof(bytes) - 1)), 0);
	assert_int_equal(dtls_reassembly_add(&r, DTLS_VERSION_1_2, span_of(bytes, sizeof(bytes))),
			 DTLS_REASSEMBLY_NEWS);
	assert_int_equal(add(&r, 1, 0, 5, 0, "abcde", 5), 0); /* another length than before */
	assert_int_equal(add(&r, 1, 0, 4, 0, "xyzz", 4), DTLS_REASSEMBLY_NEWS);
	assert_next(&r, 1, "xyab", 0); /* what was there first stays */
	dtls_reassembly_deinit(&r);
}

/* Parts that overlap what is there, wholly or in part, add what is new; another type adds nothing. */
static void overlaps_add_what_is_new(void **state)
{
	struct dtls_reassembly r;

	(void)state;
	dtls_reassembly_init(&r, 0, (uint32_t)ALL);
	assert_int_equal(add(&r, 11, 0, 8, 2, "cde", 3), DTLS_REASSEMBLY_NEWS);
	assert_int_equal(add(&r, 11, 0, 8, 3, "d", 1), 0);
	assert_int_equal(add(&r, 12, 0, 8, 0, "xxxxxxxx", 8), 0);
	assert_int_equal(add(&r, 11, 0, 9, 0, "xxxxxxxxx", 9), 0);
	assert_int_equal(add(&r, 11, 0, 8, 4, "efg", 3), DTLS_REASSEMBLY_NEWS);
	assert_int_equal(add(&r, 11, 0, 8, 0, "abc", 3), DTLS_REASSEMBLY_NEWS);
	assert_int_equal(add(&r, 11, 0, 8, 0, "abcdefg", 7), 0);
	assert_false(has_next(&r));
	assert_int_equal(add(&r, 11, 0, 8, 0, "abcdefgh", 8), DTLS_REASSEMBLY_NEWS);
	assert_int_equal(add(&r, 11, 0, 8, 0, "abcdefgh", 8), 0);
	assert_next(&r, 11, "abcdefgh", 7);
	dtls_reassembly_deinit(&r);
}

static void sixteen_are_collected(void **state)
{
	struct dtls_reassembly r;

	(void)state;
	dtls_reassembly_init(&r, 5, (uint32_t)ALL);
	assert_int_equal(add(&r, 1, 5 + DTLS_MESSAGES_AHEAD, 1, 0, "x", 1), 0);
	for (uint16_t ahead = DTLS_MESSAGES_AHEAD; ahead-- > 0;)
		assert_int_equal(add(&r, 1, (uint16_t)(5 + ahead), 1, 0, &"abcdefghijklmnop"[ahead], 1),
				 DTLS_REASSEMBLY_NEWS);
	for (unsigned i = 0; i < DTLS_MESSAGES_AHEAD; i++)
		assert_next(&r, 1, (char[]){(char)('a' + i), '\0'}, 100 + i);
	assert_false(has_next(&r));
	dtls_reassembly_deinit(&r);
}

static void memory_has_a_ceiling(void **state)
{
	struct dtls_reassembly r;
	unsigned taken = 0;

	(void)state;
	dtls_reassembly_init(&r, 0, (uint32_t)ALL);
	for (uint16_t seq = 0; seq < DTLS_MESSAGES_AHEAD; seq++)
		taken += add(&r, 1, seq, DTLS_MESSAGE_MAX, 0, "a", 1);
	assert_int_equal(taken, 2);
	assert_in_range(r.bytes, 2 * DTLS_MESSAGE_MAX, DTLS_REASSEMBLY_MAX);
	dtls_reassembly_deinit(&r);
	assert_int_equal(r.bytes, 0);
}

/* A stream of messages, some numbers past the end of the 16 bits, in fragments of any size and order. */
static void any_order_gives_the_same(void **state)
{
	enum { MESSAGES = 12, LENGTH = 50, CUT = 7 };
	struct random random;

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct dtls_reassembly r;
		char text[MESSAGES][LENGTH + 1];
		unsigned left = MESSAGES;

		random_init_seed(&random, seed);
		dtls_reassembly_init(&r, UINT16_MAX - 3, (uint32_t)ALL);
		for (unsigned i = 0; i < MESSAGES; i++) {
			memset(text[i], 'a' + (int)i, LENGTH);
			text[i][LENGTH] = '\0';
			text[i][i] = '!';
		}
		while (left) {
			unsigned i = random_u32(&random) % MESSAGES;
			uint32_t at = random_u32(&random) % LENGTH, len = random_u32(&random) % CUT;

			len = MIN(len, LENGTH - at);
			add(&r, 11, (uint16_t)(UINT16_MAX - 3 + i), LENGTH, at, text[i] + at, len);
			while (has_next(&r)) {
				assert_next(&r, 11, text[MESSAGES - left], left);
				left--;
			}
		}
		dtls_reassembly_deinit(&r);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_in_order),   cmocka_unit_test(repetitions_are_told),
		cmocka_unit_test(lies_are_dropped),	    cmocka_unit_test(overlaps_add_what_is_new),
		cmocka_unit_test(sixteen_are_collected),    cmocka_unit_test(memory_has_a_ceiling),
		cmocka_unit_test(any_order_gives_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
