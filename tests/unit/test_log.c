/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The log, read back through a packet-like socket: one write arrives as one message, so that a line in two
 * pieces would show as two.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	int reader;
	struct log log;
	char line[LOG_LINE * 2];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	if (!f || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	f->reader = pair[0];
	log_init(&f->log, pair[1], LOG_INFO);
	f->log.timestamps = false;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->reader);
	close(f->log.fd);
	free(f);
	return 0;
}

/* The next write, or "" if there was none. */
static const char *next_line(struct fixture *f)
{
	ssize_t n = recv(f->reader, f->line, sizeof(f->line) - 1, 0);

	f->line[n > 0 ? n : 0] = '\0';
	return f->line;
}

static void a_line_is_one_write(void **state)
{
	struct fixture *f = *state;

	log_event(&f->log, LOG_INFO, "registered", "ep=%s lifetime=%d", "\"dev-1\"", 300);
	assert_string_equal(next_line(f), "info registered ep=\"dev-1\" lifetime=300\n");
	log_event(&f->log, LOG_ERROR, "failed", "cause=%d", -5);
	assert_string_equal(next_line(f), "error failed cause=-5\n");
	assert_string_equal(next_line(f), "");
}

static void no_pairs_leave_no_blank(void **state)
{
	struct fixture *f = *state;

	log_event(&f->log, LOG_WARN, "stopping", "");
	assert_string_equal(next_line(f), "warn stopping\n");
}

static void levels_above_the_log_s_are_silent(void **state)
{
	struct fixture *f = *state;

	log_event(&f->log, LOG_DEBUG, "detail", "n=%d", 1);
	assert_string_equal(next_line(f), "");
	log_limited(&f->log, LOG_DEBUG, 9, "detail", "n=%d", 1);
	assert_string_equal(next_line(f), "");
	f->log.level = LOG_DEBUG;
	log_event(&f->log, LOG_DEBUG, "detail", "n=%d", 1);
	assert_string_equal(next_line(f), "debug detail n=1\n");
	log_event(NULL, LOG_ERROR, "nobody", "n=%d", 1);
	log_limited(NULL, LOG_ERROR, 1, "nobody", "n=%d", 1);
}

static void time_stands_in_front(void **state)
{
	struct fixture *f = *state;
	unsigned year, month, day, hour, minute, second, ms;
	int end = 0;

	f->log.timestamps = true;
	log_event(&f->log, LOG_INFO, "ready", "port=%d", 5683);
	assert_int_equal(sscanf(next_line(f), "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %n", &year, &month, &day, &hour,
				&minute, &second, &ms, &end),
			 7);
	assert_int_equal(end, 25);
	assert_true(year >= 2024 && month >= 1 && month <= 12);
	assert_string_equal(f->line + end, "info ready port=5683\n");
}

static void a_long_line_is_cut_and_ended(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, 10000);

	memset(text, 'x', 9999);
	log_event(&f->log, LOG_INFO, "long", "text=%s", text);
	assert_int_equal(strlen(next_line(f)), LOG_LINE);
	assert_int_equal(f->line[LOG_LINE - 1], '\n');
	assert_int_equal(f->line[LOG_LINE - 2], 'x');
	assert_string_equal(next_line(f), "");
	free(text);
}

/* Even a caller who forgets to quote cannot be made to write a second line. */
static void control_characters_do_not_get_out(void **state)
{
	struct fixture *f = *state;

	log_event(&f->log, LOG_INFO, "odd", "text=%s", "a\nerror forged\x1b[1m\x7f\t");
	assert_string_equal(next_line(f), "info odd text=a?error forged?[1m??\n");
}

static void strangers_are_limited_and_counted(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 10; i++)
		log_limited(&f->log, LOG_WARN, 2, "malformed", "n=%d", i);
	log_limited(&f->log, LOG_WARN, 2, "refused", "n=%d", 0);
	assert_string_equal(next_line(f), "warn malformed n=0\n");
	assert_string_equal(next_line(f), "warn malformed n=1\n");
	assert_string_equal(next_line(f), "warn refused n=0\n");
	assert_string_equal(next_line(f), "");
	/* The next minute. */
	f->log.limits[0].minute--;
	log_limited(&f->log, LOG_WARN, 2, "malformed", "n=%d", 10);
	log_limited(&f->log, LOG_WARN, 2, "malformed", "n=%d", 11);
	log_limited(&f->log, LOG_WARN, 2, "malformed", "n=%d", 12);
	assert_string_equal(next_line(f), "warn malformed suppressed=8 n=10\n");
	assert_string_equal(next_line(f), "warn malformed n=11\n");
	assert_string_equal(next_line(f), "");
}

/* With more kinds of events than counters the quietest one is forgotten, and nothing is lost. */
static void more_events_than_counters_still_write(void **state)
{
	static char names[40][4];
	struct fixture *f = *state;
	char expected[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(names[i], sizeof(names[i]), "e%zu", i);
		snprintf(expected, sizeof(expected), "warn e%zu n=%zu\n", i, i);
		log_limited(&f->log, LOG_WARN, 1, names[i], "n=%zu", i);
		assert_string_equal(next_line(f), expected);
		log_limited(&f->log, LOG_WARN, 1, names[i], "n=%zu", i);
		assert_string_equal(next_line(f), "");
	}
}

static void journald_stamps_for_itself(void **state)
{
	struct fixture *f = *state;
	char stream[64];
	struct stat st;
	struct log log;

	assert_int_equal(fstat(f->log.fd, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(&log, f->log.fd, LOG_INFO);
	assert_false(log.timestamps);
	log_init(&log, f->reader, LOG_INFO);
	assert_true(log.timestamps);
	unsetenv("JOURNAL_STREAM");
	log_init(&log, f->log.fd, LOG_INFO);
	assert_true(log.timestamps);
}

static void values_are_quoted_and_escaped(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *text;
	} cases[] = {
		{"", 0, "\"\""},
		{"dev-1", 5, "\"dev-1\""},
		{"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
		{"a\nb\0c\x7f", 6, "\"a\\x0ab\\x00c\\x7f\""},
		{"gr\xc3\xbc\xc3\x9f", 6, "\"gr\xc3\xbc\xc3\x9f\""},
		{"\xe2\x82\xac\xf0\x9f\x90\x9f", 7, "\"\xe2\x82\xac\xf0\x9f\x90\x9f\""},
		{"\xc3", 1, "\"\\xc3\""},
		{"\xc0\x80", 2, "\"\\xc0\\x80\""},
		{"\xe0\x9f\x80", 3, "\"\\xe0\\x9f\\x80\""},
		{"\xed\xa0\x80", 3, "\"\\xed\\xa0\\x80\""},
		{"\xf4\x90\x80\x80", 4, "\"\\xf4\\x90\\x80\\x80\""},
		{"\xe2\x82"
		 "A",
		 3, "\"\\xe2\\x82A\""},
		{"\xc2\x9b", 2, "\"\\xc2\\x9b\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[64];

		assert_string_equal(log_quote(cases[i].data, cases[i].len, text, sizeof(text)),
				    cases[i].text);
	}
	assert_string_equal(LOG_SPAN(span_str("x")), "\"x\"");
}

static void a_value_is_cut_to_fit(void **state)
{
	(void)state;
	for (size_t size = 8; size < 40; size++) {
		char *text = malloc(size);
		size_t len;

		log_quote("ab\ncdefgh\xc3\xbcijklm\"nopq", 22, text, size);
		len = strlen(text);
		assert_true(len < size);
		assert_int_equal(text[0], '"');
		if (size < 31)
			assert_string_equal(text + len - 4, "\"...");
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_is_one_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_pairs_leave_no_blank, set_up, tear_down),
		cmocka_unit_test_setup_teardown(levels_above_the_log_s_are_silent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(time_stands_in_front, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_ended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_characters_do_not_get_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strangers_are_limited_and_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_events_than_counters_still_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(journald_stamps_for_itself, set_up, tear_down),
		cmocka_unit_test(values_are_quoted_and_escaped),
		cmocka_unit_test(a_value_is_cut_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
