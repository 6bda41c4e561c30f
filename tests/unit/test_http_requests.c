/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Queued requests over HTTP: the delayed answer, looking at them, taking one back. */

#include "http_ask.h"

#define ID "0a1b2c3d-0000-4000-8000-00000000000"

static void queue_put(const char *ep, char last, uint8_t state, uint64_t deadline_ms, struct queued_request r)
{
	_cleanup_buffer_ struct buffer body = buffer_of(1024);
	size_t i = bench.queued_count++;

	assert_int_equal(queued_encode(&r, &body), 0);
	snprintf(bench.queued[i].endpoint, sizeof(bench.queued[i].endpoint), "%s", ep);
	snprintf(bench.queued[i].id, sizeof(bench.queued[i].id), ID "%c", last);
	bench.queued[i].state = state;
	bench.queued[i].deadline_ms = deadline_ms;
	bench.queued[i].len = body.len;
	memcpy(bench.queued[i].body, body.data, body.len);
}

static struct queued_request read_of(uint16_t resource)
{
	return (struct queued_request){.operation = LWM2M_READ,
				       .path = {{3, 0, resource}, 3},
				       .format = FORMAT_NONE,
				       .added_ms = 1000,
				       .expires_ms = 2000};
}

static void a_request_that_waits_is_told_so(void **state)
{
	(void)state;
	begin("GET /api/clients/dev-1/3/0/9?ttl=60", "\r\n");
	assert_request(LWM2M_READ, "/3/0/9");
	assert_int_equal(bench.request.ttl_ms, 60000);
	end((struct lwm2m_answer){
		.outcome = LWM2M_QUEUED, .request_id = span_str(ID "0"), .expires_ms = 1700000000000});
	assert_answer(200, "{\"ep\":\"dev-1\",\"path\":\"/3/0/9\",\"requestId\":\"" ID
			   "0\",\"delayed\":true,\"expires\":1700000000000}");
	begin("GET /api/clients/dev-1/composite?paths=/3/0/9,/1", "\r\n");
	assert_true(bench.request.ttl_ms == LWM2M_TTL_DEFAULT);
	end((struct lwm2m_answer){.outcome = LWM2M_QUEUED, .request_id = span_str(ID "0"), .expires_ms = 1});
	assert_answer(200, "{\"ep\":\"dev-1\",\"requestId\":\"" ID "0\",\"delayed\":true,\"expires\":1}");
	begin("PUT /api/clients/dev-1/3/0/14?ttl=0",
	      json_body("{\"id\":14,\"type\":\"string\",\"value\":\"x\"}"));
	assert_int_equal(bench.request.ttl_ms, 0);
	end((struct lwm2m_answer){.outcome = LWM2M_NOT_STORED, .error = "as many as are allowed"});
	assert_answer(503, "Service unavailable: as many as are allowed");
}

static void requests_of_a_device_are_listed(void **state)
{
	struct queued_request answered = read_of(9), odd = read_of(2), failed = read_of(3);

	(void)state;
	answered.end = (struct queued_end){.ended_ms = 1500,
					   .code = COAP_CONTENT,
					   .format = FORMAT_TEXT,
					   .lwm2m = {1, 1},
					   .payload = span_str("77")};
	odd.end = answered.end;
	odd.end.format = 12345;
	failed.end = (struct queued_end){.ended_ms = 1500, .format = FORMAT_NONE, .error = span_str("words")};
	queue_put("dev-1", '1', QUEUED_ANSWERED, UINT64_MAX, answered);
	queue_put("dev-1", '2', QUEUED_ANSWERED, UINT64_MAX, odd);
	queue_put("dev-1", '3', QUEUED_UNKNOWN, UINT64_MAX, failed);
	queue_put("dev-2", '4', QUEUED_WAITING, UINT64_MAX, read_of(9));
	queue_put("dev-1", '5', QUEUED_ANSWERED, 1, answered); /* kept for long enough */
	queue_put("dev-1", '6', QUEUED_WAITING, UINT64_MAX, read_of(0));
	queue_put("dev-1", '7', QUEUED_WAITING, 1, read_of(0)); /* nobody has looked yet */
	ask("GET /api/clients/dev-1/requests", "\r\n");
#define HEAD(n, path)                                                                                \
	"{\"requestId\":\"" ID n "\",\"ep\":\"dev-1\",\"operation\":\"read\",\"path\":\"" path "\"," \
	"\"state\":"
#define TIMES ",\"added\":1000,\"expires\":2000,\"attempts\":0"
	assert_answer(
		200,
		"[" HEAD(
			"1",
			"/3/0/9") "\"answered\"" TIMES ",\"ended\":1500,\"response\":{\"status\":\"CONTENT("
				  "205)\",\"valid\":true,\"success\":true,\"failure\":false,\"content\":{"
				  "\"kind\":\"singleResource\",\"id\":9,\"type\":\"INTEGER\",\"value\":"
				  "\"77\"}}}," HEAD(
					  "2",
					  "/3/0/2") "\"answered\"" TIMES
						    ",\"ended\":1500,\"raw\":{\"contentFormat\":12345,"
						    "\"payload\":\"3737\"},"
						    "\"error\":\"no codec for content format 12345\"}," HEAD(
							    "3",
							    "/3/0/3") "\"unknown\"" TIMES
								      ",\"ended\":1500,\"error\":\"words\"}"
								      "," HEAD(
									      "6",
									      "/3/0/0") "\"queued\"" TIMES
											"}," HEAD(
												"7",
												"/3/0/0") "\""
													  "ex"
													  "pi"
													  "re"
													  "d"
													  "\"" TIMES
													  "}"
													  "]");
	ask("GET /api/clients/nobody/requests", "\r\n");
	assert_answer(400, "No registered client with id 'nobody'");
	bench.queued_error = -EIO;
	ask("GET /api/clients/dev-1/requests", "\r\n");
	assert_int_equal(client_status(c), 503);
}

/* Two devices share the hash: the id is looked for at both. */
static void one_is_found_by_its_id(void **state)
{
	(void)state;
	bench_device("dev-2", 5);
	queue_put("dev-2", '1', QUEUED_SENT, UINT64_MAX, read_of(9));
	ask("GET /api/requests/" ID "1", "\r\n");
	assert_answer(200, "{\"requestId\":\"" ID
			   "1\",\"ep\":\"dev-2\",\"operation\":\"read\",\"path\":\"/3/0/9\","
			   "\"state\":\"sent\"" TIMES "}");
	ask("GET /api/requests/" ID "2", "\r\n");
	assert_int_equal(client_status(c), 404);
	assert_header("application/problem+json");
	ask("GET /api/requests/00000000-0000-4000-8000-000000000001", "\r\n");
	assert_int_equal(client_status(c), 404);
	ask("GET /api/requests/x", "\r\n");
	assert_int_equal(client_status(c), 404);
	bench.queued_error = -EIO;
	ask("GET /api/requests/" ID "1", "\r\n");
	assert_int_equal(client_status(c), 503);
}

static void take_back(enum lwm2m_cancelled result)
{
	lwm2m_cancelled_fn *done = bench.cancelled_done;

	assert_non_null(done);
	bench.cancelled_done = NULL;
	done(bench.done_ctx, result);
}

static void begin_delete(void)
{
	client_close(c);
	c = client_open();
	client_ask(c, "DELETE /api/requests/" ID "1", "\r\n");
	WAIT_FOR(bench.cancelled_done);
	assert_string_equal(bench.value, ID "1");
	assert_string_equal(bench.endpoint, "dev-2");
}

static void one_is_taken_back(void **state)
{
	static const struct {
		enum lwm2m_cancelled result;
		int status;
	} cases[] = {{LWM2M_CANCEL_DONE, 204},
		     {LWM2M_CANCEL_LATE, 409},
		     {LWM2M_CANCEL_ABSENT, 404},
		     {LWM2M_CANCEL_FAILED, 503}};

	(void)state;
	bench_device("dev-2", 5);
	queue_put("dev-2", '1', QUEUED_WAITING, UINT64_MAX, read_of(9));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin_delete();
		take_back(cases[i].result);
		WAIT_FOR(client_complete(c));
		assert_int_equal(client_status(c), cases[i].status);
	}
	/* The client may be gone when it is done. */
	begin_delete();
	client_close(c);
	c = client_open();
	ask("GET /healthz", "\r\n");
	take_back(LWM2M_CANCEL_DONE);
	ask("DELETE /api/requests/" ID "2", "\r\n");
	assert_int_equal(client_status(c), 404);
	/* Nothing is queued here; no memory. */
	bench.refuse = -ENOTSUP;
	ask("DELETE /api/requests/" ID "1", "\r\n");
	assert_int_equal(client_status(c), 404);
	bench.refuse = -ENOMEM;
	ask("DELETE /api/requests/" ID "1", "\r\n");
	assert_int_equal(client_status(c), 503);
}

/* ---- in a cluster ---- */

static struct {
	char endpoint[64], passed[256];
	enum http_where where;
} other;

static int where(void *ctx, struct span endpoint, http_where_fn *done, void *arg)
{
	(void)ctx;
	snprintf(other.endpoint, sizeof(other.endpoint), "%.*s", (int)endpoint.len,
		 (const char *)endpoint.data);
	done(arg, other.where, 7);
	return 0;
}

static int pass(void *ctx, uint32_t node, struct span request, uint64_t timeout_ms, http_passed_fn *done,
		void *arg)
{
	static const uint8_t no_content[] = {1, 0, 204, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	(void)ctx;
	(void)timeout_ms;
	assert_int_equal(node, 7);
	assert_non_null(
		memmem(request.data, request.len, "/api/requests/" ID "1", strlen("/api/requests/" ID "1")));
	done(arg, 0, span_of(no_content, sizeof(no_content)));
	return 0;
}

static const struct http_cluster cluster = {.where = where, .pass = pass};

static int set_up_cluster(void **state)
{
	int r = bench_set_up(state);

	if (r == 0) {
		bench.config.cluster = &cluster;
		bench_start();
		c = client_open();
	}
	return r;
}

/* The device is another node's: the store tells its endpoint, and its owner takes the request back. */
static void one_of_another_node_is_found_and_passed_on(void **state)
{
	(void)state;
	snprintf(bench.elsewhere, sizeof(bench.elsewhere), "far");
	queue_put("far", '1', QUEUED_WAITING, UINT64_MAX, read_of(9));
	ask("GET /api/requests/" ID "1", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_non_null(strstr(client_body(c), "\"ep\":\"far\""));
	ask("GET /api/requests/" ID "2", "\r\n");
	assert_int_equal(client_status(c), 404);
	other.where = HTTP_AT;
	ask("DELETE /api/requests/" ID "1", "\r\n");
	assert_int_equal(client_status(c), 204);
	assert_string_equal(other.endpoint, "far");
	/* Nobody has it: not asked for ever. */
	other.where = HTTP_NOWHERE;
	ask("DELETE /api/requests/" ID "1", "\r\n");
	assert_int_equal(client_status(c), 503);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_that_waits_is_told_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(requests_of_a_device_are_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_is_found_by_its_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_is_taken_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_of_another_node_is_found_and_passed_on, set_up_cluster,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
