/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* One request for many paths: routes of composites, and their maps of path to node. */

#include "http_ask.h"

static void reads_many_paths(void **state)
{
	struct lwm2m_answer answer = {
		.code = COAP_CONTENT,
		.format = FORMAT_SENML_JSON,
		.payload = span_str("[{\"n\":\"/3/0/1\",\"vs\":\"model\"},{\"n\":\"/1/0/"
				    "1\",\"v\":300},{\"n\":\"/1/0/7\",\"vs\":\"U\"}]"),
	};

	(void)state;
	begin("GET "
	      "/api/clients/dev-1/composite?paths=/1/0,/3/0/1,/9/9/"
	      "9&pathformat=SENML_JSON&nodeformat=SENML_CBOR",
	      "\r\n");
	assert_request(LWM2M_READ_COMPOSITE, "/");
	assert_int_equal(bench.request.path_count, 3);
	assert_int_equal(bench.request.path_format, FORMAT_SENML_JSON);
	assert_int_equal(bench.request.format, FORMAT_SENML_CBOR);
	end(answer);
	assert_answer(
		200,
		"{\"status\":\"CONTENT(205)\",\"valid\":true,\"success\":true,\"failure\":false,\"content\":{"
		"\"/1/0\":{\"kind\":\"instance\",\"resources\":["
		"{\"kind\":\"singleResource\",\"id\":1,\"type\":\"INTEGER\",\"value\":\"300\"},"
		"{\"kind\":\"singleResource\",\"id\":7,\"type\":\"STRING\",\"value\":\"U\"}],\"id\":0},"
		"\"/3/0/"
		"1\":{\"kind\":\"singleResource\",\"id\":1,\"type\":\"STRING\",\"value\":\"model\"}}}");
}

static void wants_a_list_of_paths(void **state)
{
	(void)state;
	ask("GET /api/clients/dev-1/composite", "\r\n");
	assert_int_equal(client_status(c), 400);
	ask("GET /api/clients/dev-1/composite?paths=/3/0,,/1", "\r\n");
	assert_answer(400, "Invalid request: Invalid path ");
	ask("GET /api/clients/dev-1/composite?paths=/3/x", "\r\n");
	assert_answer(400, "Invalid request: Invalid path /3/x");
	ask("GET /api/clients/nobody/composite?paths=/3", "\r\n");
	assert_answer(400, "No registered client with id 'nobody'");
	assert_int_equal(bench.requests, 0);
}

static void writes_a_map(void **state)
{
	(void)state;
	begin("PUT /api/clients/dev-1/composite",
	      json_body("{\"/1/0/1\":{\"id\":1,\"type\":\"integer\",\"value\":\"60\"},"
			"\"/3/0/15\":{\"id\":15,\"type\":\"string\",\"value\":\"Europe/Paris\"}}"));
	assert_request(LWM2M_WRITE_COMPOSITE, "/");
	assert_int_equal(bench.request.record_count, 2);
	end(changed);
	assert_answer(200, CHANGED);
}

static void refuses_maps_that_cannot_be(void **state)
{
	static const struct {
		const char *body, *answer;
	} cases[] = {
		{"[]", "Invalid request: a map of path to node is expected"},
		{"{}", "Invalid request: the map is empty"},
		{"{\"/x\":{}}", "Invalid request: Invalid path /x"},
		{"{\"/3/0/1\":{\"id\":2,\"type\":\"string\",\"value\":\"a\"}}",
		 "Invalid request: path '/3/0/1' and node id '2' do not match"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ask("PUT /api/clients/dev-1/composite", json_body(cases[i].body));
		assert_answer(400, cases[i].answer);
	}
	ask("PUT /api/clients/dev-1/composite", json_body("{"));
	assert_int_equal(client_status(c), 400);
	assert_int_equal(bench.requests, 0);
}

static void observes_and_cancels_many_paths(void **state)
{
	struct lwm2m_answer answer = {.code = COAP_CONTENT,
				      .format = FORMAT_SENML_JSON,
				      .payload = span_str("[{\"n\":\"/3/0/9\",\"v\":80}]")};

	(void)state;
	begin("POST /api/clients/dev-1/composite/observe?paths=/3/0/9,/3/0/20", "\r\n");
	assert_request(LWM2M_OBSERVE_COMPOSITE, "/");
	end(answer);
	assert_answer(
		200,
		"{\"status\":\"CONTENT(205)\",\"valid\":true,\"success\":true,\"failure\":false,\"content\":{"
		"\"/3/0/9\":{\"kind\":\"singleResource\",\"id\":9,\"type\":\"INTEGER\",\"value\":\"80\"}}}");
	begin("DELETE /api/clients/dev-1/composite/observe?paths=/3/0/9,/3/0/20&active", "\r\n");
	assert_request(LWM2M_CANCEL_COMPOSITE, "/");
	end(answer);
	assert_int_equal(client_status(c), 200);
	client_close(c);
	c = client_open();
	client_ask(c, "DELETE /api/clients/dev-1/composite/observe?paths=/3/0/9,/3/0/20", "\r\n");
	WAIT_FOR(bench.forgotten);
	end((struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
	assert_answer(200, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_many_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wants_a_list_of_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_a_map, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_maps_that_cannot_be, set_up, tear_down),
		cmocka_unit_test_setup_teardown(observes_and_cancels_many_paths, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
