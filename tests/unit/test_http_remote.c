/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests for devices of another node. The other node is the same listener: what is passed on to it is
 * executed there as if it had come over a link. */

#include "http_ask.h"

static struct {
	enum http_where where;
	http_where_fn *located;
	void *located_arg;
	size_t asked;
	http_passed_fn *passed;
	void *passed_arg;
	uint32_t node;
	uint64_t timeout_ms;
	struct buffer request, answer;
	size_t passes;
	int refuse;
} far;

static int far_where(void *ctx, struct span endpoint, http_where_fn *done, void *arg)
{
	(void)ctx;
	assert_true(span_is(endpoint, "far"));
	far.asked++;
	far.located = done;
	far.located_arg = arg;
	return 0;
}

static int far_pass(void *ctx, uint32_t node, struct span request, uint64_t timeout_ms, http_passed_fn *done,
		    void *arg)
{
	(void)ctx;
	if (far.refuse)
		return far.refuse;
	buffer_deinit(&far.request);
	far.request = bench_copy(request);
	far.node = node;
	far.timeout_ms = timeout_ms;
	far.passed = done;
	far.passed_arg = arg;
	far.passes++;
	return 0;
}

static const struct http_cluster cluster = {NULL, far_where, far_pass};

static int set_up_far(void **state)
{
	int r = bench_set_up(state);

	memset(&far, 0, sizeof(far));
	bench.config.cluster = &cluster;
	if (r == 0) {
		bench_start();
		c = client_open();
	}
	return r;
}

static int tear_down_far(void **state)
{
	buffer_deinit(&far.request);
	buffer_deinit(&far.answer);
	return tear_down(state);
}

static void locate(enum http_where where)
{
	http_where_fn *located;

	WAIT_FOR(far.located);
	located = far.located;
	far.located = NULL;
	located(far.located_arg, where, 2);
}

static void on_executed(void *arg, struct span answer)
{
	(void)arg;
	buffer_deinit(&far.answer);
	far.answer = bench_copy(answer);
}

/* The other node has the device. */
static void execute_far(void)
{
	locate(HTTP_AT);
	assert_non_null(far.passed);
	bench_device("far", 3);
	http_execute(bench.http, buffer_span(&far.request), on_executed, NULL);
}

static void give_back(int result)
{
	http_passed_fn *passed = far.passed;

	bench.device_count = 1;
	far.passed = NULL;
	passed(far.passed_arg, result, buffer_span(&far.answer));
}

static void begin_far(const char *line, const char *more)
{
	client_close(c);
	c = client_open();
	client_ask(c, line, more);
	WAIT_FOR(far.located);
}

static void a_registration_is_shown_by_its_node(void **state)
{
	(void)state;
	begin_far("GET /api/clients/far", "\r\n");
	execute_far();
	give_back(0);
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 200);
	assert_int_equal(far.node, 2);
	assert_header("\r\nContent-Type: application/json\r\n");
	assert_non_null(strstr(client_body(c), "{\"endpoint\":\"far\",\"registrationId\":\"a1B2c3D4e5\","));
	/* What is here is not asked for. */
	ask("GET /api/clients/dev-1", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_int_equal(far.asked, 1);
}

static void a_body_and_its_type_come_along(void **state)
{
	(void)state;
	begin_far("PUT /api/clients/far/3/0/15?timeout=7",
		  json_body("{\"id\":15,\"kind\":\"singleResource\",\"value\":\"Europe/Berlin\",\"type\":"
			    "\"string\"}"));
	execute_far();
	assert_true(far.timeout_ms > 7000 && far.timeout_ms <= 12000);
	assert_int_equal(bench.requests, 1);
	assert_string_equal(bench.endpoint, "far");
	assert_string_equal(bench.value, "Europe/Berlin");
	assert_int_equal(bench.request.timeout_ms, 7000);
	bench_answer(changed);
	give_back(0);
	WAIT_FOR(client_complete(c));
	assert_answer(200, CHANGED);
}

static void refusals_of_the_other_node_are_its_own(void **state)
{
	(void)state;
	begin_far("GET /api/clients/far/3/0/0", "\r\n");
	bench.refuse = LWM2M_REFUSED_BUSY;
	execute_far();
	give_back(0);
	WAIT_FOR(client_complete(c));
	assert_answer(503, "Service unavailable: because");
	assert_header("\r\nRetry-After: 1\r\n");
}

static void nobody_has_it(void **state)
{
	(void)state;
	begin_far("GET /api/clients/far", "\r\n");
	locate(HTTP_NOWHERE);
	WAIT_FOR(client_complete(c));
	assert_answer(400, "No registered client with id 'far'");
}

static void it_came_here_meanwhile(void **state)
{
	(void)state;
	begin_far("GET /api/clients/far", "\r\n");
	bench_device("far", 3);
	locate(HTTP_HERE);
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 200);
	assert_int_equal(far.passes, 0);
}

static void a_read_is_tried_again_if_its_node_dies(void **state)
{
	(void)state;
	begin_far("GET /api/clients/far/3/0/0", "\r\n");
	locate(HTTP_AT);
	give_back(-ECONNRESET);
	WAIT_FOR(far.located);
	assert_int_equal(far.asked, 2);
	bench_device("far", 3);
	locate(HTTP_HERE);
	assert_int_equal(bench.requests, 1);
	end((struct lwm2m_answer){.code = COAP_CONTENT, .format = FORMAT_TEXT, .payload = span_str("acme")});
	assert_int_equal(client_status(c), 200);
}

static void of_an_execute_nobody_knows(void **state)
{
	(void)state;
	begin_far("POST /api/clients/far/3/0/4", "Content-Length: 0\r\n\r\n");
	locate(HTTP_AT);
	give_back(-ECONNRESET);
	WAIT_FOR(client_complete(c));
	assert_answer(504, "Request timeout: outcome unknown, the node that had the request died");
	assert_int_equal(far.asked, 1);
	assert_int_equal(bench.requests, 0);
}

static void what_was_not_sent_may_be_tried_again(void **state)
{
	(void)state;
	begin_far("POST /api/clients/far/3/0/4", "Content-Length: 0\r\n\r\n");
	locate(HTTP_AT);
	give_back(-ENOTCONN);
	WAIT_FOR(far.located);
	execute_far();
	assert_int_equal(bench.requests, 1);
	bench_answer(changed);
	give_back(0);
	WAIT_FOR(client_complete(c));
	assert_answer(200, CHANGED);
}

static void answers_that_are_none_are_not_believed(void **state)
{
	static const uint8_t nonsense[] = {1, 0, 200, 0, 0, 0, 0, 9, 'x'};

	(void)state;
	begin_far("GET /api/clients/far", "\r\n");
	locate(HTTP_AT);
	far.answer = bench_copy(span_of(nonsense, sizeof(nonsense)));
	give_back(0);
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 502);
}

static void requests_that_are_none_are_refused(void **state)
{
	static const uint8_t nonsense[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 3, '%', 'z', 'z', 0, 0, 0, 0};

	(void)state;
	http_execute(bench.http, span_of(nonsense, sizeof(nonsense)), on_executed, NULL);
	assert_true(far.answer.len > 3);
	assert_int_equal(far.answer.data[1] << 8 | far.answer.data[2], 400);
	http_execute(bench.http, span_of(nonsense, 5), on_executed, NULL);
	assert_int_equal(far.answer.data[1] << 8 | far.answer.data[2], 400);
	bench_pass(3);
}

static void a_stop_answers_what_was_passed_on(void **state)
{
	(void)state;
	begin_far("GET /api/clients/far/3/0/0", "\r\n");
	execute_far();
	assert_int_equal(bench.requests, 1);
	bench_stop();
	assert_true(far.answer.len > 3);
	assert_int_equal(far.answer.data[1] << 8 | far.answer.data[2], 503);
	assert_int_equal(bench.cancels, 1);
	free(far.passed_arg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_far, tear_down_far)
		TEST(a_registration_is_shown_by_its_node),
		TEST(a_body_and_its_type_come_along),
		TEST(refusals_of_the_other_node_are_its_own),
		TEST(nobody_has_it),
		TEST(it_came_here_meanwhile),
		TEST(a_read_is_tried_again_if_its_node_dies),
		TEST(of_an_execute_nobody_knows),
		TEST(what_was_not_sent_may_be_tried_again),
		TEST(answers_that_are_none_are_not_believed),
		TEST(requests_that_are_none_are_refused),
		TEST(a_stop_answers_what_was_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
