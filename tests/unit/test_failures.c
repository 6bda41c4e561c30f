/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The table of those who could not connect. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "security/failures.h"

static const struct siphash_key key = {{7}};
static const struct address from = {.ip = {192, 0, 2, 1}, .port = 1000, .family = 4};

static int set_up(void **state)
{
	*state = failures_new(&key);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	*state = failures_free(*state);
	return 0;
}

static const struct failure_row *note(struct failures *f, const char *name, const char *cause,
				      uint64_t now_ms)
{
	const struct failure failure = {.who = FAILURE_IDENTITY,
					.name = span_str(name),
					.cause = cause,
					.words = "",
					.address = from};

	return failures_note(f, &failure, now_ms);
}

static void one_who_and_one_cause_are_a_row(void **state)
{
	const struct failure_row *row;

	note(*state, "a", "wrong_key", 10);
	note(*state, "b", "wrong_key", 20);
	note(*state, "a", "unknown_identity", 30);
	row = note(*state, "a", "wrong_key", 40);
	assert_int_equal(row->count, 2);
	assert_int_equal(row->first_ms, 10);
	assert_int_equal(row->last_ms, 40);
	assert_int_equal(failures_count(*state), 3);
	/* The last seen first. */
	row = failures_next(*state, NULL);
	assert_int_equal(row->last_ms, 40);
	row = failures_next(*state, row);
	assert_string_equal(row->cause, "unknown_identity");
	row = failures_next(*state, row);
	assert_memory_equal(row->name, "b", 1);
	assert_null(failures_next(*state, row));
}

static void an_address_is_one_whatever_its_port(void **state)
{
	struct failure failure = {
		.who = FAILURE_ADDRESS, .cause = "timed_out", .words = "first", .address = from};
	const struct failure_row *row;

	failures_note(*state, &failure, 1);
	failure.address.port = 2000;
	failure.words = "second";
	row = failures_note(*state, &failure, 2);
	assert_int_equal(row->count, 2);
	assert_int_equal(row->address.port, 2000);
	assert_string_equal(row->words, "second");
	failure.address.ip[3]++;
	assert_int_equal(failures_note(*state, &failure, 3)->count, 1);
	/* A name that looks like those bytes is another. */
	failure = (struct failure){
		.who = FAILURE_ENDPOINT, .name = span_of(from.ip, 16), .cause = "timed_out", .words = ""};
	assert_int_equal(failures_note(*state, &failure, 4)->count, 1);
	assert_int_equal(failures_count(*state), 3);
}

static void the_table_is_bounded(void **state)
{
	char name[16];

	for (unsigned i = 0; i < FAILURES_MAX; i++) {
		snprintf(name, sizeof(name), "%u", i);
		note(*state, name, "wrong_key", i);
	}
	/* Who keeps failing stays; who was seen longest ago goes. */
	assert_int_equal(note(*state, "0", "wrong_key", 5000)->count, 2);
	note(*state, "new", "wrong_key", 5001);
	assert_int_equal(failures_count(*state), FAILURES_MAX);
	assert_int_equal(note(*state, "0", "wrong_key", 5002)->count, 3);
	assert_int_equal(note(*state, "1", "wrong_key", 5003)->count, 1);
	failures_clear(*state);
	assert_int_equal(failures_count(*state), 0);
	assert_null(failures_next(*state, NULL));
	assert_int_equal(note(*state, "0", "wrong_key", 5004)->count, 1);
}

static void names_and_words_of_strangers_are_cut(void **state)
{
	static char name[600], words[600];
	struct failure failure = {.who = FAILURE_IDENTITY, .cause = "c", .words = words, .address = from};
	const struct failure_row *row;

	memset(name, 'x', sizeof(name));
	memset(words, 'y', sizeof(words) - 1);
	failure.name = span_of(name, 600);
	row = failures_note(*state, &failure, 1);
	assert_int_equal(row->name_len, FAILURE_NAME_MAX);
	assert_int_equal(strlen(row->words), FAILURE_WORDS - 1);
	/* And found again. */
	assert_int_equal(failures_note(*state, &failure, 2)->count, 2);
	failure.name = span_of(name, 0);
	assert_int_equal(failures_note(*state, &failure, 3)->count, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_who_and_one_cause_are_a_row),
		CASE(an_address_is_one_whatever_its_port),
		CASE(the_table_is_bounded),
		CASE(names_and_words_of_strangers_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
