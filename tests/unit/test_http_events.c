/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Event streams over real connections: live, replayed, filtered, slow and stuck; and the end of the listener.
 */

#include "http_bench.h"

#include "security/failures.h"

static struct client *c;

static int set_up(void **state)
{
	c = NULL;
	return bench_set_up(state);
}

static int tear_down(void **state)
{
	if (c)
		client_close(c);
	return bench_tear_down(state);
}

static struct client *stream(const char *query, const char *headers)
{
	struct client *s = client_open();
	char line[128], more[256];

	snprintf(line, sizeof(line), "GET /api/event%s", query);
	snprintf(more, sizeof(more), "Accept: text/event-stream\r\n%s\r\n", headers);
	client_ask(s, line, more);
	WAIT_FOR(client_has(s, "\r\n\r\n"));
	return s;
}

/* The ids in what a client received, in order, must be first, first + 1, ... up to last. */
static void assert_ids(struct client *s, uint64_t first, uint64_t last)
{
	const char *at = s->data;
	uint64_t expected = first;

	while ((at = memmem(at, s->len - (size_t)(at - s->data), "\r\nid: ", 6)) != NULL) {
		char *dash;
		uint64_t time = strtoul(at + 6, &dash, 10), sequence = strtoul(dash + 1, NULL, 10);

		assert_int_equal(*dash, '-');
		assert_int_equal(time, 1000 + sequence);
		/* An id without an event is a heartbeat. */
		if (at[-1] == '}') {
			assert_int_equal(sequence, expected);
			expected++;
		}
		at++;
	}
	assert_int_equal(expected, last + 1);
}

/* Whether an event with this sequence is among the newest of what came. */
static bool has_id(struct client *s, uint64_t sequence)
{
	char text[64];
	size_t tail;

	snprintf(text, sizeof(text), "}\r\nid: %lu-%lu\r\n", 1000 + sequence, sequence);
	client_receive(s);
	tail = MIN(s->len, 100000);
	return memmem(s->data + s->len - tail, tail, text, strlen(text)) != NULL;
}

static void has_the_compatible_wire_format(void **state)
{
	(void)state;
	bench_start();
	c = stream("", "");
	assert_int_equal(client_status(c), 200);
	assert_non_null(strstr(c->data, "\r\nContent-Type: text/event-stream;charset=utf-8\r\n"));
	assert_non_null(strstr(c->data, "\r\nConnection: close\r\n"));
	assert_null(strstr(c->data, "Transfer-Encoding"));
	assert_null(strstr(c->data, "Content-Length"));
	bench_event("dev-1", "acme");
	WAIT_FOR(has_id(c, 1));
	assert_string_equal(
		client_body(c),
		"event: NOTIFICATION\r\ndata: "
		"{\"ep\":\"dev-1\",\"kind\":\"single\",\"res\":\"/3/0/0\",\"val\":"
		"{\"kind\":\"singleResource\",\"id\":0,\"type\":\"STRING\",\"value\":\"acme\"}}\r\n"
		"id: 1001-1\r\n\r\n");
}

static void who_could_not_connect_is_told_to_those_who_listen(void **state)
{
	struct failure_row row = {.who = FAILURE_IDENTITY,
				  .name = "id-1",
				  .name_len = 4,
				  .cause = "wrong_key",
				  .words = "the keys differ",
				  .count = 3,
				  .first_ms = 1,
				  .last_ms = 2};
	struct client *other;

	(void)state;
	bench_start();
	c = stream("", "");
	other = stream("?ep=dev-1", "");
	assert_int_equal(address_parse("192.0.2.1:5", &row.address), 0);
	http_auth_failure(bench.http, &row);
	bench_event("dev-1", "x");
	WAIT_FOR(has_id(c, 1) && has_id(other, 1));
	assert_string_equal(strstr(client_body(c), "event: AUTH_FAILURE") ? "told" : "silent", "told");
	assert_non_null(strstr(client_body(c),
			       "\r\ndata: {\"kind\":\"identity\",\"name\":\"id-1\",\"cause\":\"wrong_key\""));
	assert_null(strstr(client_body(other), "AUTH_FAILURE"));
	client_close(other);
}

static void begins_now_unless_told(void **state)
{
	(void)state;
	bench_event("dev-1", "before");
	bench_start();
	c = stream("", "");
	bench_pass(10);
	bench_event("dev-1", "after");
	WAIT_FOR(has_id(c, 2));
	assert_ids(c, 2, 2);
}

static void replays_from_a_place(void **state)
{
	static const struct {
		const char *query, *headers;
		uint64_t first;
	} cases[] = {
		{"", "Last-Event-ID: 1100-100\r\n", 101},
		{"?lastEventId=1100-100", "", 101},
		{"", "Last-Event-ID: 0\r\n", 1},
		{"", "Last-Event-ID: 1200\r\n", 200},
		{"", "Last-Event-ID: 1100-100.0\r\n", 100},
		{"?lastEventId=1001-1", "Last-Event-ID: 1300-300\r\n", 301},
		{"", "Last-Event-ID: 1150-99999999\r\n", 150},
	};

	(void)state;
	for (int i = 0; i < 300; i++)
		bench_event("dev-1", "x");
	bench_start();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct client *s = stream(cases[i].query, cases[i].headers);

		bench_event("dev-1", "live");
		WAIT_FOR(has_id(s, 301 + i));
		assert_ids(s, cases[i].first, 301 + i);
		client_close(s);
	}
}

static void a_place_in_the_future_is_now(void **state)
{
	(void)state;
	bench_start();
	c = stream("", "Last-Event-ID: 9999999999999-7\r\n");
	bench_event("dev-1", "x");
	WAIT_FOR(has_id(c, 1));
	assert_ids(c, 1, 1);
}

static void refuses_what_is_no_id(void **state)
{
	(void)state;
	bench_start();
	c = client_open();
	client_ask(c, "GET /api/event", "Accept: text/event-stream\r\nLast-Event-ID: x\r\n\r\n");
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 400);
}

static void replay_goes_over_into_live(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++)
		bench_event("dev-1", "x");
	bench_start();
	c = stream("", "Last-Event-ID: 0\r\n");
	for (int i = 0; i < 500; i++) {
		bench_event("dev-1", "y");
		if (i % 7 == 0)
			bench_turn();
	}
	WAIT_FOR(has_id(c, 1000));
	assert_ids(c, 1, 1000);
}

static void filters_by_endpoint(void **state)
{
	(void)state;
	bench_start();
	c = stream("?ep=dev%2D2", "Last-Event-ID: 0\r\n");
	for (int i = 0; i < 100; i++)
		bench_event(i % 10 == 9 ? "dev-2" : "dev-1", "x");
	WAIT_FOR(has_id(c, 100));
	assert_null(strstr(c->data, "dev-1"));
	assert_false(has_id(c, 99));
	for (uint64_t i = 10; i <= 100; i += 10)
		assert_true(has_id(c, i));
}

static void live_streams_share_one_read(void **state)
{
	struct client *s[8];

	(void)state;
	bench_start();
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = stream(i % 2 ? "?ep=dev-2" : "", "");
	bench_pass(10);
	bench.reads_done = 0;
	for (int i = 0; i < 64; i++)
		bench_event("dev-2", "x");
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		WAIT_FOR(has_id(s[i], 64));
	/* One for the first event, which was there before the others, and the rest. */
	assert_true(bench.reads_done <= 3);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		assert_ids(s[i], 1, 64);
		client_close(s[i]);
	}
}

static void tells_gaps(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		bench_event("dev-1", "x");
	bench.trimmed_to = 40;
	bench_start();
	c = stream("", "Last-Event-ID: 1010-10\r\n");
	WAIT_FOR(has_id(c, 100));
	assert_non_null(strstr(
		client_body(c),
		"event: GAP\r\ndata: {\"from\":\"1010-10\",\"to\":\"1040-40\"}\r\nid: 1040-40\r\n\r\n"));
	assert_true(!strncmp(client_body(c), "event: GAP\r\n", 12));
	assert_ids(c, 40, 100);
}

static void tells_a_gap_when_it_opens_under_a_live_stream(void **state)
{
	(void)state;
	bench_start();
	c = stream("", "");
	bench_pass(5);
	for (int i = 0; i < 10; i++)
		bench_event("dev-1", "x");
	bench.trimmed_to = 8;
	WAIT_FOR(has_id(c, 10));
	assert_non_null(
		strstr(client_body(c), "event: GAP\r\ndata: {\"from\":\"1000-0\",\"to\":\"1008-8\"}\r\n"));
	assert_ids(c, 8, 10);
}

static void what_cannot_be_read_is_a_gap(void **state)
{
	(void)state;
	bench_start();
	c = stream("", "");
	bench_pass(5);
	bench_event("dev-1", "x");
	bench_event("dev-1", "y");
	bench.events[1].type = 99;
	bench_event("dev-1", "z");
	WAIT_FOR(has_id(c, 3));
	assert_non_null(
		strstr(client_body(c),
		       "event: GAP\r\ndata: {\"from\":\"1001-1\",\"to\":\"1002-2\"}\r\nid: 1002-2\r\n"));
	assert_ids(c, 1, 3);
}

static void beats_while_nothing_happens(void **state)
{
	const char *body;

	(void)state;
	bench.config.heartbeat_ms = 30;
	bench_start();
	c = stream("?ep=dev-2", "");
	bench_pass(100);
	client_receive(c);
	body = client_body(c);
	assert_true(strlen(body) >= 4 && strspn(body, "\r\n") == strlen(body));
	/* What the filter skips moves the place on. */
	bench_event("dev-1", "x");
	WAIT_FOR(client_has(c, "id: 1001-1\r\n\r\n"));
	assert_null(strstr(c->data, "event:"));
}

static void wait_for_metric(const char *line)
{
	for (int i = 0;; i++) {
		struct client *m = client_open();
		bool found;

		client_ask(m, "GET /metrics", "\r\n");
		WAIT_FOR(client_complete(m));
		found = client_has(m, line);
		client_close(m);
		if (found)
			return;
		if (i == 1000)
			fail_msg("in vain: %s", line);
		bench_pass(10);
	}
}

static char big[4001];

static void many_big_events(size_t count)
{
	memset(big, 'x', sizeof(big) - 1);
	for (size_t i = 0; i < count; i++)
		bench_event("dev-1", big);
}

static void a_slow_reader_falls_behind_and_misses_nothing(void **state)
{
	struct client *quick;

	(void)state;
	bench.config.event_backlog_max = 64 * 1024;
	bench_start();
	c = stream("", "");
	quick = stream("", "");
	bench_pass(5);
	c->paused = true;
	/* Some 6 MB: more than the sockets hold. */
	for (int i = 0; i < 15; i++) {
		many_big_events(100);
		bench_turn();
	}
	WAIT_FOR(has_id(quick, 1500));
	assert_ids(quick, 1, 1500);
	wait_for_metric("\nshoal_event_streams 2\n");
	wait_for_metric("\nshoal_event_streams_behind 1\n");
	assert_false(has_id(c, 1500));
	c->paused = false;
	WAIT_FOR(has_id(c, 1500));
	assert_ids(c, 1, 1500);
	bench_event("dev-1", "x");
	WAIT_FOR(has_id(c, 1501) && has_id(quick, 1501));
	wait_for_metric("\nshoal_event_streams_behind 0\n");
	client_close(quick);
}

static void a_stuck_reader_is_ended_and_can_resume(void **state)
{
	static const char word[] = "event: RESUME\r\ndata: {\"reason\":\"slow\",\"from\":\"";
	const char *resume;
	char header[64];
	uint64_t time, last;

	(void)state;
	bench.config.event_backlog_max = 64 * 1024;
	bench.config.heartbeat_ms = 20;
	bench.config.stall_ms = 100;
	bench_start();
	c = stream("", "");
	bench_pass(5);
	c->paused = true;
	many_big_events(1800);
	wait_for_metric("\nshoal_event_streams_ended_slow_total 1\n");
	bench_event("dev-1", "too late");
	bench_pass(50);
	c->paused = false;
	WAIT_FOR(client_ended(c));
	resume = memmem(c->data, c->len, word, strlen(word));
	assert_non_null(resume);
	assert_int_equal(sscanf(resume + strlen(word), "%lu-%lu\"", &time, &last), 2);
	assert_true(last > 0 && last < 1800);
	/* The block repeats the id of the last event, so that a client which keeps ids resumes right. */
	assert_non_null(strstr(resume, "}\r\nid: "));
	/* Nothing comes behind it. */
	assert_ptr_equal(strstr(resume, "\r\n\r\n") + 4, c->data + c->len);
	client_close(c);
	snprintf(header, sizeof(header), "Last-Event-ID: %lu-%lu\r\n", time, last);
	c = stream("", header);
	WAIT_FOR(has_id(c, 1801));
	assert_ids(c, last + 1, 1801);
}

static void an_event_larger_than_the_backlog_passes(void **state)
{
	(void)state;
	bench.config.event_backlog_max = 100;
	bench_start();
	c = stream("", "");
	bench_pass(5);
	many_big_events(50);
	WAIT_FOR(has_id(c, 50));
	assert_ids(c, 1, 50);
}

static void goes_on_after_the_log_could_not_be_read(void **state)
{
	(void)state;
	bench.config.heartbeat_ms = 20;
	bench_start();
	c = stream("", "Last-Event-ID: 0\r\n");
	bench.read_error = -EIO;
	for (int i = 0; i < 10; i++)
		bench_event("dev-1", "x");
	bench_pass(50);
	assert_false(has_id(c, 1));
	bench.read_error = 0;
	WAIT_FOR(has_id(c, 10));
	bench.read_refused = -ENOMEM;
	bench_event("dev-1", "x");
	bench_pass(50);
	assert_false(has_id(c, 11));
	bench.read_refused = 0;
	WAIT_FOR(has_id(c, 11));
	assert_ids(c, 1, 11);
}

static void wants_the_right_accept(void **state)
{
	static const struct {
		const char *accept;
		int status;
	} cases[] = {
		{"Accept: text/event-stream\r\n", 200},
		{"Accept: application/json, TEXT/Event-Stream;q=0.9\r\n", 200},
		{"Accept: */*\r\n", 405},
		{"Accept: text/event-streams\r\n", 405},
		{"Accept: application/json\r\n", 405},
		{"", 405},
	};

	(void)state;
	bench_start();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char more[128];

		c = client_open();
		snprintf(more, sizeof(more), "%s\r\n", cases[i].accept);
		client_ask(c, "GET /api/event", more);
		WAIT_FOR(client_has(c, "\r\n\r\n"));
		assert_int_equal(client_status(c), cases[i].status);
		client_close(c);
	}
	c = client_open();
	client_ask(c, "HEAD /api/event", "Accept: text/event-stream\r\n\r\n");
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 200);
	assert_string_equal(client_body(c), "");
}

static void bounds_the_number_of_streams(void **state)
{
	struct client *s[2];

	(void)state;
	bench.config.streams_max = 2;
	bench_start();
	s[0] = stream("", "");
	s[1] = stream("", "");
	c = client_open();
	client_ask(c, "GET /api/event", "Accept: text/event-stream\r\n\r\n");
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 503);
	assert_non_null(strstr(c->data, "Retry-After: 1"));
	client_close(c);
	/* Who leaves makes room, without anything being sent to him. */
	client_close(s[0]);
	bench_pass(20);
	c = stream("", "");
	assert_int_equal(client_status(c), 200);
	client_close(s[1]);
}

static void a_reader_may_leave_at_any_moment(void **state)
{
	(void)state;
	bench_start();
	many_big_events(500);
	for (int i = 0; i < 30; i++) {
		struct client *s = stream("", i % 2 ? "Last-Event-ID: 0\r\n" : "");

		s->paused = i % 3 == 0;
		for (int turn = 0; turn < i; turn++) {
			bench_event("dev-1", "x");
			client_receive(s);
			uv_run(&bench.loop, UV_RUN_NOWAIT);
			if (i % 5)
				bench_finish_reads();
		}
		client_close(s);
		if (i % 4)
			uv_run(&bench.loop, UV_RUN_NOWAIT);
	}
	bench_pass(20);
	c = stream("", "Last-Event-ID: 0\r\n");
	WAIT_FOR(has_id(c, bench.event_count));
	assert_ids(c, 1, bench.event_count);
}

/* ---- the end ---- */

static void stopping_ends_streams_with_a_word(void **state)
{
	(void)state;
	bench_start();
	c = stream("", "");
	bench_event("dev-1", "x");
	WAIT_FOR(has_id(c, 1));
	bench_stop();
	WAIT_FOR(client_ended(c));
	assert_non_null(strstr(c->data,
			       "event: RESUME\r\ndata: {\"reason\":\"stopping\",\"from\":\"1001-1\"}\r\nid: "
			       "1001-1\r\n\r\n"));
	assert_null(bench.grown);
}

static void stopping_answers_what_waits(void **state)
{
	struct client *idle = NULL;

	(void)state;
	bench_start();
	c = client_open();
	idle = client_open();
	client_ask(c, "GET /api/clients/dev-1/3/0/0", "\r\n");
	WAIT_FOR(bench.requests == 1);
	bench_stop();
	WAIT_FOR(client_ended(c));
	assert_int_equal(client_status(c), 503);
	assert_string_equal(client_body(c), "Service unavailable: the server is stopping");
	assert_non_null(strstr(c->data, "Connection: close"));
	assert_int_equal(bench.cancels, 1);
	WAIT_FOR(client_ended(idle));
	client_close(idle);
}

static void stopping_does_not_wait_for_ever(void **state)
{
	struct client *stuck, *half;
	uint64_t begin;

	(void)state;
	for (int i = 0; i < 15000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "fleet-%05d", i);
		bench_device(name, 11);
	}
	bench_start();
	many_big_events(1000);
	stuck = client_open();
	client_ask(stuck, "GET /api/clients", "\r\n");
	c = stream("", "Last-Event-ID: 0\r\n");
	half = client_open();
	client_send(
		half,
		"PUT /api/clients/dev-1/3/0/14 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
		"Content-Length: 10\r\n\r\nhalf");
	c->paused = true;
	bench_pass(100);
	begin = bench_mono_ms();
	bench_stop();
	assert_true(bench_mono_ms() - begin >= 250);
	assert_true(bench_mono_ms() - begin < 3000);
	client_close(stuck);
	client_close(half);
}

static void stopping_leaves_what_cannot_be_cancelled(void **state)
{
	(void)state;
	bench_start();
	c = client_open();
	client_ask(c, "DELETE /api/clients/dev-1", "\r\n");
	WAIT_FOR(bench.removed);
	bench_stop();
	WAIT_FOR(client_ended(c));
	assert_int_equal(client_status(c), 503);
	/* The store calls back when the listener is gone. */
	bench_answer((struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
}

static void a_read_of_the_log_outlives_the_listener(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		bench_event("dev-1", "x");
	bench_start();
	c = client_open();
	client_ask(c, "GET /api/event", "Accept: text/event-stream\r\nLast-Event-ID: 0\r\n\r\n");
	while (!bench.read_count)
		uv_run(&bench.loop, UV_RUN_NOWAIT);
	http_stop(bench.http, bench_closed, NULL);
	while (!bench.closed)
		uv_run(&bench.loop, UV_RUN_NOWAIT);
	bench.http = NULL;
	assert_int_equal(bench.read_count, 1);
	bench_finish_reads();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(has_the_compatible_wire_format, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_could_not_connect_is_told_to_those_who_listen, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(begins_now_unless_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replays_from_a_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_place_in_the_future_is_now, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replay_goes_over_into_live, set_up, tear_down),
		cmocka_unit_test_setup_teardown(filters_by_endpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(live_streams_share_one_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_gaps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_a_gap_when_it_opens_under_a_live_stream, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_a_gap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(beats_while_nothing_happens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_reader_falls_behind_and_misses_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_stuck_reader_is_ended_and_can_resume, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_event_larger_than_the_backlog_passes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(goes_on_after_the_log_could_not_be_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wants_the_right_accept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds_the_number_of_streams, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reader_may_leave_at_any_moment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopping_ends_streams_with_a_word, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopping_answers_what_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopping_does_not_wait_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopping_leaves_what_cannot_be_cancelled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_read_of_the_log_outlives_the_listener, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("http_events", tests, NULL, NULL);
}
