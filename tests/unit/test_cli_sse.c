/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Event streams in pieces of any size, with all line ends, and what is resumed after they break. */

#include "cli/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct seen {
	char text[1024];
	size_t len;
};

static void on_event(void *ctx, const struct sse_event *event)
{
	struct seen *seen = ctx;
	int len = snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "[%s|%s|%.*s]",
			   event->name, event->id, (int)event->data.len, (const char *)event->data.data);

	assert_int_equal(event->data.data[event->data.len], '\0');
	seen->len += (size_t)len;
	assert_true(seen->len < sizeof(seen->text));
}

static void feed(struct sse *s, struct seen *seen, const char *text)
{
	assert_true(sse_feed(s, span_str(text), on_event, seen));
}

static const struct {
	const char *stream, *events;
} cases[] = {
	{"event: A\r\ndata: 1\r\nid: 5-6\r\n\r\n", "[A|5-6|1]"},
	{"event: A\ndata: 1\nid: 5\n\nevent: B\ndata: 2\n\n", "[A|5|1][B|5|2]"},
	{"event: A\rdata: 1\r\r", "[A||1]"},
	{"data: 1\n\n", "[message||1]"},
	{"data:1\ndata: 2\ndata:  3\n\n", "[message||1\n2\n 3]"},
	{"data\n\n", "[message||]"},
	{": a comment\n\n", ""},
	{"\r\n\r\n\r\n", ""},
	{"event: A\n\ndata: 1\n\n", "[message||1]"}, /* a name without data belongs to nothing */
	{"id: 7\n\ndata: 1\n\n", "[message|7|1]"},   /* a place without an event */
	{"retry: 10\nfoo: bar\ndata: 1\n\n", "[message||1]"},
	{"data: {\"a\":\"b: c\"}\n\n", "[message||{\"a\":\"b: c\"}]"},
	{"data: 1\n", ""}, /* not complete */
};

static void test_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece <= 5; piece++) {
			struct seen seen = {.len = 0};
			struct sse s;

			sse_init(&s);
			for (struct span left = span_str(cases[i].stream); left.len;
			     left = span_from(left, piece))
				assert_true(sse_feed(&s, span_of(left.data, MIN(piece, left.len)), on_event,
						     &seen));
			assert_string_equal(seen.text, cases[i].events);
			sse_deinit(&s);
		}
}

/* What was cut off is forgotten, its id too. */
static void test_restart(void **state)
{
	struct seen seen = {.len = 0};
	struct sse s;

	(void)state;
	sse_init(&s);
	feed(&s, &seen, "event: A\ndata: 1\nid: 1\n\nevent: B\ndata: 2\nid: 2\nda");
	assert_string_equal(s.last_id, "1");
	sse_restart(&s);
	feed(&s, &seen, "data: 3\n\n");
	assert_string_equal(seen.text, "[A|1|1][message|1|3]");
	sse_deinit(&s);
}

static void test_long_names_are_ignored(void **state)
{
	char id[300];
	struct seen seen = {.len = 0};
	struct sse s;

	(void)state;
	sse_init(&s);
	memset(id, '1', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	feed(&s, &seen, "id: ");
	feed(&s, &seen, id);
	feed(&s, &seen, "\nevent: ");
	feed(&s, &seen, id);
	feed(&s, &seen, "\ndata: 1\n\n");
	assert_string_equal(seen.text, "[message||1]");
	sse_deinit(&s);
}

static void test_bounds(void **state)
{
	_cleanup_free_ char *megabyte = malloc(1 << 20);
	struct seen seen = {.len = 0};
	struct sse s;
	unsigned taken = 0;

	(void)state;
	sse_init(&s);
	memset(megabyte, 'x', 1 << 20);
	while (sse_feed(&s, span_of(megabyte, 1 << 20), on_event, &seen) && taken < 1000)
		taken++;
	assert_in_range(taken, 1, 100);
	sse_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_long_names_are_ignored),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
