/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests and answers over real connections: every route, every outcome, and clients that misbehave. */

#include "http_ask.h"

/* ---- registrations ---- */

static void shows_a_registration(void **state)
{
	(void)state;
	ask("GET /api/clients/dev-1", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_header("\r\nContent-Type: application/json\r\n");
	assert_header("\r\nX-Content-Type-Options: nosniff\r\n");
	assert_non_null(strstr(client_body(c), "{\"endpoint\":\"dev-1\",\"registrationId\":\"a1B2c3D4e5\","));
	ask("GET /api/clients/nobody", "\r\n");
	assert_answer(400, "No registered client with id 'nobody'");
	assert_header("\r\nContent-Type: text/plain; charset=UTF-8\r\n");
}

static void endpoint_names_are_any_bytes(void **state)
{
	(void)state;
	bench_device("a/b c\0\xFF", 7);
	ask("GET /api/clients/a%2Fb%20c%00%ff", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_non_null(strstr(client_body(c), "{\"endpoint\":\"a/b c\\u0000\xEF\xBF\xBD\""));
	ask("GET /api/clients/a%zz", "\r\n");
	assert_answer(400, "Invalid request: malformed request target");
}

static void streams_the_list(void **state)
{
	static const char name[] = "\"registrationId\"";
	size_t found = 0;

	(void)state;
	ask("GET /api/clients", "\r\n");
	assert_header("\r\nTransfer-Encoding: chunked\r\n");
	assert_header("\r\nContent-Type: application/json\r\n");
	for (int i = 0; i < 10000; i++) {
		char endpoint[32];

		snprintf(endpoint, sizeof(endpoint), "fleet-%05d", i);
		bench_device(endpoint, 11);
	}
	ask("GET /api/clients", "Connection: close\r\n\r\n");
	for (const char *at = c->data; (at = memmem(at, c->len - (size_t)(at - c->data), name, strlen(name)));
	     at++)
		found++;
	/* A few names are cut by the borders of chunks. */
	assert_true(found > 9700 && found <= 10001);
	assert_non_null(strstr(c->data, "\"fleet-00000\""));
	assert_non_null(strstr(c->data, "}]"));
	bench.device_count = 0;
	ask("GET /api/clients", "\r\n");
	assert_non_null(strstr(client_body(c), "2\r\n[]\r\n0\r\n\r\n"));
}

static void a_slash_behind_clients_is_an_invalid_path(void **state)
{
	(void)state;
	ask("GET /api/clients/", "\r\n");
	assert_answer(400, "Invalid path");
	ask("PUT /api/clients/dev-1", "Content-Length: 0\r\n\r\n");
	assert_answer(400, "Invalid path");
	ask("POST /api/clients/dev-1", "Content-Length: 0\r\n\r\n");
	assert_answer(400, "Invalid path");
	ask("PUT /api/clients/dev-1/3", "Content-Length: 0\r\n\r\n");
	assert_answer(400, "Invalid path");
	ask("POST /api/clients/dev-1/3/0/1/2", "Content-Length: 0\r\n\r\n");
	assert_answer(400, "Invalid path");
	ask("GET /api/objectspecs", "\r\n");
	assert_answer(400, "Invalid path");
	ask("GET /api/objectspecs/dev-1/3", "\r\n");
	assert_answer(400, "Invalid path");
	ask("GET /api/server/nothing", "\r\n");
	assert_answer(400, "Invalid path");
}

static void removes_a_registration(void **state)
{
	(void)state;
	client_ask(c, "DELETE /api/clients/dev-1", "\r\n");
	WAIT_FOR(bench.removed);
	bench_pass(5);
	assert_int_equal(client_status(c), 0);
	end((struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
	assert_answer(204, "");
	bench.refuse = -ENOBUFS;
	ask("DELETE /api/clients/dev-1", "\r\n");
	assert_answer(503, "Service unavailable: the change cannot be stored now");
	assert_header("\r\nRetry-After: 1\r\n");
	ask("DELETE /api/clients/nobody", "\r\n");
	assert_answer(400, "No registered client with id 'nobody'");
}

/* ---- requests to devices ---- */

static void reads(void **state)
{
	(void)state;
	begin("GET /api/clients/dev-1/3/0/0?format=tlv&timeout=10", "\r\n");
	assert_request(LWM2M_READ, "/3/0/0");
	assert_int_equal(bench.request.format, FORMAT_TLV);
	assert_int_equal(bench.request.timeout_ms, 10000);
	end((struct lwm2m_answer){.code = COAP_CONTENT, .format = FORMAT_TEXT, .payload = span_str("acme")});
	assert_answer(
		200,
		"{\"status\":\"CONTENT(205)\",\"valid\":true,\"success\":true,\"failure\":false,\"content\":"
		"{\"kind\":\"singleResource\",\"id\":0,\"type\":\"STRING\",\"value\":\"acme\"}}");
	begin("GET /api/clients/dev-1/3/?format=nonsense", "\r\n");
	assert_request(LWM2M_READ, "/3");
	assert_int_equal(bench.request.format, FORMAT_NONE);
	assert_int_equal(bench.request.timeout_ms, 5000);
	end((struct lwm2m_answer){.code = COAP_NOT_FOUND, .payload = span_str("gone")});
	assert_answer(200, "{\"status\":\"NOT_FOUND(404)\",\"valid\":true,\"success\":false,\"failure\":true,"
			   "\"errormessage\":\"gone\"}");
}

static void bounds_the_timeout(void **state)
{
	static const struct {
		const char *line;
		uint64_t ms;
	} cases[] = {
		{"GET /api/clients/dev-1/3?timeout=abc", 5000},
		{"GET /api/clients/dev-1/3?timeout=", 5000},
		{"GET /api/clients/dev-1/3?timeout=-1", 5000},
		{"GET /api/clients/dev-1/3?timeout=1.5", 5000},
		{"GET /api/clients/dev-1/3?timeout=0", 1000},
		{"GET /api/clients/dev-1/3?timeout=600", 600000},
		{"GET /api/clients/dev-1/3?timeout=601", 600000},
		{"GET /api/clients/dev-1/3?timeout=99999999999999999999999", 600000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(cases[i].line, "\r\n");
		assert_int_equal(bench.request.timeout_ms, cases[i].ms);
		end(changed);
	}
}

static void discovers(void **state)
{
	(void)state;
	begin("GET /api/clients/dev-1/3/0/discover", "\r\n");
	assert_request(LWM2M_DISCOVER, "/3/0");
	end((struct lwm2m_answer){
		.code = COAP_CONTENT, .format = FORMAT_LINK, .payload = span_str("</3/0>;pmin=10")});
	assert_answer(200, "{\"status\":\"CONTENT(205)\",\"valid\":true,\"success\":true,\"failure\":false,"
			   "\"objectLinks\":[{\"url\":\"/3/0\",\"attributes\":{\"pmin\":\"10\"}}]}");
}

static void writes(void **state)
{
	(void)state;
	begin("PUT /api/clients/dev-1/3/0/14?format=TEXT",
	      json_body("{\"id\":14,\"type\":\"string\",\"value\":\"UTC\"}"));
	assert_request(LWM2M_WRITE, "/3/0/14");
	assert_int_equal(bench.request.record_count, 1);
	assert_string_equal(bench.value, "UTC");
	assert_int_equal(bench.request.format, FORMAT_TEXT);
	end(changed);
	assert_answer(200, CHANGED);
	begin("PUT /api/clients/dev-1/3/0/14",
	      "Content-Type: TEXT/Plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello");
	assert_request(LWM2M_WRITE, "/3/0/14");
	assert_string_equal(bench.value, "hello");
	end(changed);
	begin("PUT /api/clients/dev-1/1/0?replace=false",
	      json_body("{\"resources\":[{\"id\":1,\"type\":\"INTEGER\",\"value\":\"60\"},"
			"{\"id\":6,\"type\":\"BOOLEAN\",\"value\":true}]}"));
	assert_request(LWM2M_WRITE_PARTIAL, "/1/0");
	assert_int_equal(bench.request.record_count, 2);
	end(changed);
	begin("PUT /api/clients/dev-1/1/0?replace=TRUE", json_body("{\"resources\":[]}"));
	assert_request(LWM2M_WRITE, "/1/0");
	end(changed);
}

static void refuses_bad_writes(void **state)
{
	static const struct {
		const char *line, *more, *body;
	} cases[] = {
		{"PUT /api/clients/dev-1/3/0/14",
		 "Content-Type: application/xml\r\nContent-Length: 1\r\n\r\nx",
		 "Invalid request: content type application/xml not supported"},
		{"PUT /api/clients/dev-1/3/0/14", "Content-Length: 1\r\n\r\nx",
		 "Invalid request: content type null not supported"},
		{"PUT /api/clients/dev-1/3/0", "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
		 "Invalid request: path '/3/0' and node type 'LwM2mSingleResource' do not match"},
		{"PUT /api/clients/dev-1/3/x", "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
		 "Invalid request: Invalid path /3/x"},
		{"PUT /api/clients/dev-1/3/0/14?replace=false",
		 "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
		 "Invalid request: Invalid mode for '/3/0/14': update is not allowed on single resource"},
		{"PUT /api/clients/dev-1/3/0/14",
		 "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		 "Invalid request: Invalid node element"},
		{"PUT /api/clients/nobody/3/0/14",
		 "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		 "No registered client with id 'nobody'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ask(cases[i].line, cases[i].more);
		assert_answer(400, cases[i].body);
	}
	assert_int_equal(bench.requests, 0);
}

static void writes_attributes(void **state)
{
	(void)state;
	begin("PUT /api/clients/dev-1/3/0/9/attributes?pmin=10&gt&lt=1%2C5", "Content-Length: 0\r\n\r\n");
	assert_request(LWM2M_WRITE_ATTRIBUTES, "/3/0/9");
	assert_string_equal(bench.arguments, "pmin=10&gt&lt=1%2C5");
	end(changed);
	assert_answer(200, CHANGED);
	bench.refuse = LWM2M_REFUSED_ATTRIBUTES;
	ask("PUT /api/clients/dev-1/3/0/attributes?timeout=5", "Content-Length: 0\r\n\r\n");
	assert_answer(400, "Invalid attributes: because");
}

static void executes(void **state)
{
	(void)state;
	begin("POST /api/clients/dev-1/3/0/4", "Content-Length: 7\r\n\r\n0='a',1");
	assert_request(LWM2M_EXECUTE, "/3/0/4");
	assert_string_equal(bench.arguments, "0='a',1");
	end(changed);
	assert_answer(200, CHANGED);
	begin("POST /api/clients/dev-1/3/0/4?timeout=3", "Content-Length: 0\r\n\r\n");
	assert_int_equal(bench.request.arguments.len, 0);
	assert_int_equal(bench.request.timeout_ms, 3000);
	end(changed);
}

static void creates(void **state)
{
	(void)state;
	begin("POST /api/clients/dev-1/3303",
	      json_body("{\"id\":7,\"resources\":[{\"id\":5701,\"type\":\"STRING\",\"value\":\"C\"}]}"));
	assert_request(LWM2M_CREATE, "/3303");
	assert_int_equal(bench.request.instance, 7);
	assert_string_equal(bench.value, "C");
	end((struct lwm2m_answer){.code = COAP_CREATED, .location = span_str("3303/7")});
	assert_non_null(strstr(client_body(c), "\"location\":\"3303/7\"}"));
	begin("POST /api/clients/dev-1/3303", json_body("{\"resources\":[]}"));
	assert_int_equal(bench.request.instance, PATH_ID_NONE);
	end(changed);
	ask("POST /api/clients/dev-1/3303", json_body("{\"id\":1,\"type\":\"STRING\",\"value\":\"C\"}"));
	assert_answer(500, "Unexpected exception: payload must contain an object instance");
	ask("POST /api/clients/dev-1/3303", "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx");
	assert_answer(500, "Unexpected exception: payload must contain an object instance");
	ask("POST /api/clients/dev-1/3303/1", json_body("{\"resources\":[]}"));
	assert_answer(400, "Invalid request: Invalid path /3303/1: Create request must target an object");
	ask("POST /api/clients/dev-1/observe", json_body("{\"resources\":[]}"));
	assert_answer(400, "Invalid request: Invalid path /observe");
}

static void deletes(void **state)
{
	(void)state;
	begin("DELETE /api/clients/dev-1/3303/1", "\r\n");
	assert_request(LWM2M_DELETE, "/3303/1");
	end((struct lwm2m_answer){.code = COAP_DELETED});
	assert_non_null(strstr(client_body(c), "\"DELETED(202)\""));
	ask("DELETE /api/clients/dev-1/3303", "\r\n");
	assert_answer(400, "Invalid request: Invalid path /3303 : Only object instances can be delete");
}

static void observes_and_cancels(void **state)
{
	(void)state;
	begin("POST /api/clients/dev-1/3/0/0/observe?format=TEXT", "Content-Length: 0\r\n\r\n");
	assert_request(LWM2M_OBSERVE, "/3/0/0");
	assert_int_equal(bench.request.format, FORMAT_TEXT);
	end((struct lwm2m_answer){.code = COAP_CONTENT, .format = FORMAT_TEXT, .payload = span_str("acme")});
	assert_non_null(strstr(client_body(c), "\"content\":{\"kind\":\"singleResource\""));

	client_forget(c);
	client_ask(c, "DELETE /api/clients/dev-1/3/0/0/observe", "\r\n");
	WAIT_FOR(bench.forgotten);
	assert_int_equal(bench.request.path.depth, 3);
	end((struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
	assert_answer(200, "");

	begin("DELETE /api/clients/dev-1/3/0/0/observe?active", "\r\n");
	assert_request(LWM2M_CANCEL_OBSERVE, "/3/0/0");
	end((struct lwm2m_answer){.code = COAP_CONTENT, .format = FORMAT_TEXT, .payload = span_str("acme")});
	assert_int_equal(client_status(c), 200);
	bench.refuse = LWM2M_REFUSED_NO_OBSERVATION;
	ask("DELETE /api/clients/dev-1/3/0/0/observe?active", "\r\n");
	assert_answer(404, "no observation for path /3/0/0 for client 'dev-1'");
}

static void tells_each_outcome(void **state)
{
	static const struct {
		struct lwm2m_answer answer;
		int status;
		const char *body;
	} cases[] = {
		{{.outcome = LWM2M_TIMEOUT}, 504, "Request timeout"},
		{{.outcome = LWM2M_REJECTED}, 500, "Request rejected: the device answered with RST"},
		{{.outcome = LWM2M_CANCELLED}, 500, "Request cancelled: the device registered anew or left"},
		{{.outcome = LWM2M_CANCELLED, .error = "why"}, 500, "Request cancelled: why"},
		{{.outcome = LWM2M_INVALID, .error = "odd code"}, 500, "Invalid Response: odd code"},
		{{.outcome = LWM2M_NOT_STORED}, 503, "Service unavailable: the result could not be stored"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin("GET /api/clients/dev-1/3/0/0", "\r\n");
		end(cases[i].answer);
		assert_answer(cases[i].status, cases[i].body);
	}
	assert_header("\r\nRetry-After: 1\r\n");
	begin("GET /api/clients/dev-1/3/0", "\r\n");
	end((struct lwm2m_answer){
		.code = COAP_CONTENT, .format = FORMAT_TLV, .payload = span_of("\xC8\x00\xFFx", 4)});
	assert_int_equal(client_status(c), 500);
	assert_true(!strncmp(client_body(c), "Invalid Response: ", 18));
}

static void tells_each_refusal(void **state)
{
	static const struct {
		int refusal, status;
		const char *body;
	} cases[] = {
		{LWM2M_REFUSED_PATH, 400, "Invalid request: because"},
		{LWM2M_REFUSED_PAYLOAD, 400, "Invalid request: because"},
		{LWM2M_REFUSED_ARGUMENTS, 400, "Invalid request: because"},
		{LWM2M_REFUSED_LIMIT, 400, "Invalid request: because"},
		{LWM2M_REFUSED_ATTRIBUTES, 400, "Invalid attributes: because"},
		{LWM2M_REFUSED_BUSY, 503, "Service unavailable: because"},
		{-ENOMEM, 500, "Unexpected exception: Cannot allocate memory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bench.refuse = cases[i].refusal;
		ask("GET /api/clients/dev-1/3/0/0", "\r\n");
		assert_answer(cases[i].status, cases[i].body);
	}
}

static void refuses_bad_paths(void **state)
{
	static const char *const lines[] = {
		"GET /api/clients/dev-1/x",	  "GET /api/clients/dev-1/3/0/0/0/0",
		"GET /api/clients/dev-1/65536",	  "GET /api/clients/dev-1/3//0",
		"GET /api/clients/dev-1/3%2F0",	  "GET /api/clients/dev-1/discover",
		"GET /api/clients/dev-1/observe", "GET /api/clients/dev-1/3/0/-1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		ask(lines[i], "\r\n");
		assert_int_equal(client_status(c), 400);
		assert_true(!strncmp(client_body(c), "Invalid request: Invalid path /", 31));
	}
	assert_int_equal(bench.requests, 0);
}

static void an_answer_survives_its_device(void **state)
{
	(void)state;
	begin("GET /api/clients/dev-1/3/0/0", "\r\n");
	bench.device_count = 0;
	end((struct lwm2m_answer){.code = COAP_CONTENT, .format = FORMAT_TEXT, .payload = span_str("acme")});
	assert_int_equal(client_status(c), 200);
}

/* ---- clients ---- */

static void a_client_that_goes_away_cancels(void **state)
{
	(void)state;
	begin("GET /api/clients/dev-1/3/0/0?timeout=600", "\r\n");
	client_close(c);
	c = client_open();
	WAIT_FOR(bench.cancels == 1);
	/* Others are served as before. */
	ask("GET /healthz", "\r\n");
	assert_answer(200, "ok");
}

static void what_cannot_be_cancelled_outlives_its_client(void **state)
{
	(void)state;
	client_ask(c, "DELETE /api/clients/dev-1", "\r\n");
	WAIT_FOR(bench.removed);
	client_close(c);
	c = client_open();
	bench_pass(20);
	bench_answer((struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
	ask("GET /healthz", "\r\n");
	assert_answer(200, "ok");
}

static void a_connection_serves_many_requests(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		client_forget(c);
		client_ask(c, "GET /healthz", "\r\n");
		WAIT_FOR(client_complete(c));
		assert_answer(200, "ok");
	}
	client_forget(c);
	client_ask(c, "GET /api/clients/dev-1/3/0/0", "\r\n");
	WAIT_FOR(bench.requests == 1);
	end((struct lwm2m_answer){.outcome = LWM2M_TIMEOUT});
	assert_answer(504, "Request timeout");
	client_forget(c);
	client_ask(c, "GET /readyz", "\r\n");
	WAIT_FOR(client_complete(c));
	assert_answer(200, "ready");
}

/* The limit for idle connections does not count while a request waits for its device. */
static void a_device_may_take_longer_than_an_idle_connection(void **state)
{
	struct client *idle;

	(void)state;
	client_close(c);
	c = NULL;
	bench_stop();
	bench.closed = false;
	bench.config.idle_s = 1;
	bench_start();
	idle = client_open();
	c = client_open();
	begin("GET /api/clients/dev-1/3/0/0?timeout=10", "\r\n");
	bench_pass(2500);
	assert_true(client_ended(idle));
	assert_false(client_ended(c));
	end((struct lwm2m_answer){.outcome = LWM2M_TIMEOUT});
	assert_answer(504, "Request timeout");
	client_close(idle);
}

static void many_clients_wait_at_once(void **state)
{
	struct client *waiting[20];
	lwm2m_done *done[20];
	void *ctx[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		waiting[i] = client_open();
		client_ask(waiting[i], "GET /api/clients/dev-1/3/0/0", "\r\n");
		WAIT_FOR(bench.requests == i + 1);
		done[i] = bench.done;
		ctx[i] = bench.done_ctx;
	}
	for (size_t i = ARRAY_SIZE(waiting); i-- > 0;) {
		char text[32];

		snprintf(text, sizeof(text), "nr-%zu-", i);
		done[i](ctx[i], &(struct lwm2m_answer){.code = COAP_CONTENT,
						       .format = FORMAT_TEXT,
						       .payload = span_str(text)});
		WAIT_FOR(client_has(waiting[i], text));
	}
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		client_close(waiting[i]);
}

static void head_is_get_without_a_body(void **state)
{
	static const char *const lines[] = {"HEAD /healthz", "HEAD /api/clients", "HEAD /api/clients/dev-1",
					    "HEAD /metrics"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		client_close(c);
		c = client_open();
		client_ask(c, lines[i], "Connection: close\r\n\r\n");
		WAIT_FOR(client_ended(c));
		assert_answer(200, "");
	}
}

static void bodies_are_bounded(void **state)
{
	(void)state;
	ask("PUT /api/clients/dev-1/3/0/14", "Content-Type: text/plain\r\nContent-Length: 1048577\r\n\r\n");
	assert_answer(413, "Invalid request: the body has more than 1048576 bytes");
	ask("PUT /api/clients/dev-1/3/0/14",
	    "Content-Type: text/plain\r\nContent-Length: 99999999999999999999\r\n\r\n");
	assert_true(client_status(c) == 413 || client_status(c) == 400);
	assert_int_equal(bench.requests, 0);
}

static void a_chunked_body_is_bounded_too(void **state)
{
	static char chunk[65536 + 16];

	(void)state;
	client_ask(c, "PUT /api/clients/dev-1/3/0/14",
		   "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
	memset(chunk, 'x', sizeof(chunk));
	memcpy(chunk, "10000\r\n", 7);
	memcpy(chunk + 7 + 65536, "\r\n", 3);
	for (int i = 0; i < 20; i++) {
		client_send(c, chunk);
		bench_turn();
	}
	client_send(c, "0\r\n\r\n");
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 413);
	client_forget(c);
	begin("PUT /api/clients/dev-1/3/0/14", "Content-Type: text/plain\r\nTransfer-Encoding: "
					       "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	assert_string_equal(bench.value, "abcde");
	end(changed);
}

static void all_bodies_together_are_bounded(void **state)
{
	struct client *other;

	(void)state;
	client_close(c);
	c = NULL;
	bench_stop();
	bench.closed = false;
	bench.config.bodies_max = 100;
	bench_start();
	other = client_open();
	client_ask(other, "PUT /api/clients/dev-1/3/0/14",
		   "Content-Type: text/plain\r\nContent-Length: 80\r\n\r\n"
		   "----------------------------------------------------------------------");
	bench_pass(20);
	c = client_open();
	ask("PUT /api/clients/dev-1/3/0/14", "Content-Type: text/plain\r\nContent-Length: 40\r\n\r\n"
					     "----------------------------------------");
	assert_int_equal(client_status(c), 503);
	client_close(other);
	bench_pass(20);
	begin("PUT /api/clients/dev-1/3/0/14", "Content-Type: text/plain\r\nContent-Length: 40\r\n\r\n"
					       "----------------------------------------");
	end(changed);
	assert_answer(200, CHANGED);
}

static void tells_404_from_405(void **state)
{
	(void)state;
	ask("GET /nothing", "\r\n");
	assert_answer(404, "Not found");
	ask("POST /healthz", "Content-Length: 0\r\n\r\n");
	assert_answer(405, "Method not allowed");
	assert_header("\r\nAllow: GET, HEAD\r\n");
	ask("PATCH /api/clients/dev-1", "Content-Length: 0\r\n\r\n");
	assert_int_equal(client_status(c), 405);
	assert_header("\r\nAllow: GET, HEAD, PUT, POST, DELETE\r\n");
}

static void guards_against_other_web_sites(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403},
		{"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 200},
		{"GET /healthz HTTP/1.0\r\n\r\n", 200},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
		{"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nhost: localhost\r\n\r\n", 400},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Host: a\r\nHOST: localhost\r\n\r\n", 400},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Host: a\r\n\r\n", 200},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", 403},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", 403},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n", 200},
		{"GET /api/event HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
		 "Origin: http://localhost:3000\r\n\r\n",
		 403},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		client_close(c);
		c = client_open();
		client_send(c, cases[i].text);
		WAIT_FOR(client_complete(c));
		assert_int_equal(client_status(c), cases[i].status);
	}
}

static void hostile_requests_do_no_harm(void **state)
{
	static const char *const texts[] = {
		"",
		"\r\n\r\n",
		"GET\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n",
		"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00",
		"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n",
		"PUT /api/clients/dev-1/3/0/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
		"chunked\r\n\r\nzz\r\n",
		"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	};
	static char long_line[100000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct client *bad = client_open();

		client_send(bad, texts[i]);
		bench_pass(5);
		client_close(bad);
	}
	memset(long_line, 'a', sizeof(long_line) - 1);
	memcpy(long_line, "GET /", 5);
	client_send(c, long_line);
	WAIT_FOR(client_ended(c) || client_complete(c));
	assert_true(client_status(c) == 0 || client_status(c) == 414 || client_status(c) == 431);
	ask("GET /healthz", "\r\n");
	assert_answer(200, "ok");
}

/* ---- what the server says of itself ---- */

static void tells_health_and_readiness(void **state)
{
	(void)state;
	ask("GET /healthz", "\r\n");
	assert_answer(200, "ok");
	ask("GET /readyz", "\r\n");
	assert_answer(200, "ready");
	bench.unhealthy = true;
	ask("GET /readyz", "\r\n");
	assert_answer(503, "not ready: fdatasync failed");
	ask("GET /healthz", "\r\n");
	assert_answer(200, "ok");
}

static void assert_line(const char *line)
{
	const char *at = strstr(client_body(c), line);

	if (!at || at[-1] != '\n' || at[strlen(line)] != '\n')
		fail_msg("no line %s", line);
}

static void has_metrics(void **state)
{
	(void)state;
	ask("GET /nothing", "\r\n");
	ask("GET /healthz", "\r\n");
	ask("GET /healthz", "\r\n");
	ask("GET /api/clients/nobody", "\r\n");
	ask("GET /metrics", "\r\n");
	assert_header("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_line("# TYPE shoal_updates_total counter");
	assert_line("shoal_updates_total 12345");
	assert_line("shoal_coap_timeouts_total 6");
	assert_line("shoal_store_writes_total 4711");
	assert_line("shoal_store_commit_seconds 0.001500");
	assert_line("shoal_udp_received_total 99");
	assert_line("shoal_devices 1");
	assert_line("shoal_event_streams 0");
	assert_line("shoal_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 2");
	assert_line("shoal_http_requests_total{method=\"GET\",route=\"/api/clients/{ep}\",status=\"400\"} 1");
	assert_line("shoal_http_requests_total{method=\"\",route=\"\",status=\"404\"} 1");
	assert_null(strstr(client_body(c), "process_resident_memory_bytes 0\n"));
	assert_non_null(strstr(client_body(c), "\nprocess_resident_memory_bytes "));
}

static void has_a_page_for_people(void **state)
{
	(void)state;
	ask("GET /", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_header("\r\nContent-Type: text/html; charset=utf-8\r\n");
	assert_header("\r\nContent-Security-Policy: default-src 'none'");
	assert_non_null(strstr(client_body(c), "<tr><th>Registered devices</th><td>1</td></tr>"));
	assert_non_null(strstr(client_body(c), "not part of this version"));
	assert_null(strstr(client_body(c), "<script"));
}

static void tells_where_devices_reach_it(void **state)
{
	(void)state;
	ask("GET /api/server/endpoint", "\r\n");
	assert_answer(200, "[{\"uri\":{\"full\":\"coap://"
			   "0.0.0.0:5683\",\"scheme\":\"coap\",\"host\":\"0.0.0.0\",\"port\":5683},"
			   "\"description\":\"CoAP over "
			   "UDP\"},{\"uri\":{\"full\":\"coap://[2001:db8::1]:5684\",\"scheme\":\"coap\","
			   "\"host\":\"[2001:db8::1]\",\"port\":5684},\"description\":\"another\"}]");
}

static void shows_the_models_of_a_device(void **state)
{
	const char *body;

	(void)state;
	bench.devices[0].registration.links = span_str("</3>;ver=1.0,</3/0>");
	ask("GET /api/objectspecs/dev-1", "\r\n");
	assert_int_equal(client_status(c), 200);
	body = client_body(c);
	assert_true(!strncmp(body, "[{\"id\":0,\"name\":\"", 17));
	body = strstr(body, "{\"id\":3,\"name\":\"Device\",\"instancetype\":\"single\",\"mandatory\":true,"
			    "\"urn\":\"urn:oma:lwm2m:oma:3\",\"version\":\"1.0\",\"lwm2mversion\":\"1.0\","
			    "\"description\":\"");
	assert_non_null(body);
	assert_non_null(strstr(
		body,
		"\"description2\":\"\",\"resourcedefs\":[{\"id\":0,\"name\":\"Manufacturer\","
		"\"operations\":\"R\",\"instancetype\":\"single\",\"mandatory\":false,\"type\":\"string\","
		"\"range\":\"\",\"units\":\"\",\"description\":\""));
	assert_non_null(
		strstr(body, "{\"id\":4,\"name\":\"Reboot\",\"operations\":\"E\",\"instancetype\":\"single\","
			     "\"mandatory\":true,\"type\":\"none\","));
	ask("GET /api/objectspecs/nobody", "\r\n");
	assert_answer(400, "No registered client with id 'nobody'");
}

/* ---- start ---- */

static void listens_on_loopback_only_unless_told(void **state)
{
	struct http_config config = bench.config;
	struct http *other = NULL;

	(void)state;
	config.listen = (struct address){.family = 6};
	assert_int_equal(http_new(&config, &bench.loop, NULL, NULL, &bench.log, NULL, NULL, &other), -EPERM);
	assert_null(other);
	config.listen = (struct address){.ip = {192, 0, 2, 1}, .family = 4};
	assert_int_equal(http_new(&config, &bench.loop, NULL, NULL, &bench.log, NULL, NULL, &other), -EPERM);
	config.insecure_allow_remote = true;
	assert_int_equal(http_new(&config, &bench.loop, NULL, NULL, &bench.log, NULL, NULL, &other),
			 -EADDRNOTAVAIL);
	config.listen = bench.config.listen;
	config.listen.port = http_port(bench.http);
	assert_int_equal(http_new(&config, &bench.loop, NULL, NULL, &bench.log, NULL, NULL, &other),
			 -EADDRINUSE);
	assert_null(other);
}

static void a_remote_listener_takes_any_host(void **state)
{
	(void)state;
	client_close(c);
	bench_stop();
	bench.closed = false;
	bench.config.listen = (struct address){.family = 6};
	bench.config.insecure_allow_remote = true;
	bench_start();
	c = client_open();
	client_send(c, "GET /healthz HTTP/1.1\r\nHost: shoal.example\r\n\r\n");
	WAIT_FOR(client_complete(c));
	assert_answer(200, "ok");
	client_forget(c);
	client_send(c, "GET /healthz HTTP/1.1\r\nHost: shoal.example\r\nOrigin: http://evil.example\r\n\r\n");
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 403);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_a_registration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(endpoint_names_are_any_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(streams_the_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slash_behind_clients_is_an_invalid_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(removes_a_registration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds_the_timeout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(discovers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_bad_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_attributes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(executes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(creates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deletes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(observes_and_cancels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_each_outcome, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_each_refusal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_bad_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_answer_survives_its_device, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_goes_away_cancels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_cancelled_outlives_its_client, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_connection_serves_many_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_device_may_take_longer_than_an_idle_connection, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(many_clients_wait_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(head_is_get_without_a_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bodies_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_chunked_body_is_bounded_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_bodies_together_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_404_from_405, set_up, tear_down),
		cmocka_unit_test_setup_teardown(guards_against_other_web_sites, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hostile_requests_do_no_harm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_health_and_readiness, set_up, tear_down),
		cmocka_unit_test_setup_teardown(has_metrics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(has_a_page_for_people, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_where_devices_reach_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shows_the_models_of_a_device, set_up, tear_down),
		cmocka_unit_test_setup_teardown(listens_on_loopback_only_unless_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_remote_listener_takes_any_host, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
