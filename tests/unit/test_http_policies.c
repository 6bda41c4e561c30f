/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Observation policies over HTTP, and the observations of one device. */

#include "http_ask.h"

#include "http/private.h"

#define TEMPERATURE                                                                              \
	"{\"name\":\"temperature\",\"pattern\":\"sensor-*\",\"paths\":[\"/3303/0/5700\",\"/3/0/" \
	"9\"],\"composite\":[\"/"                                                                \
	"1\",\"/3/0/1\"],\"attributes\":\"pmin=5\",\"format\":\"SENML_CBOR\"}"

static void put_temperature(void)
{
	ask("PUT /api/observations/temperature",
	    json_body("{\"pattern\":\"sensor-*\",\"paths\":[\"3303/0/5700\",\"/3/0/9\"],\"composite\":[\"/"
		      "1\",\"/3/0/"
		      "1\"],\"attributes\":\"pmin=5\",\"format\":\"senml_cbor\"}"));
}

static void a_policy_is_put_listed_and_removed(void **state)
{
	(void)state;
	put_temperature();
	assert_answer(200, TEMPERATURE);
	assert_string_equal(bench.policy, "set temperature sensor-*");
	ask("PUT /api/observations/a", json_body("{\"pattern\":\"*\",\"paths\":[\"/3\"]}"));
	assert_int_equal(client_status(c), 200);
	ask("GET /api/observations/temperature", "\r\n");
	assert_answer(200, TEMPERATURE);
	ask("GET /api/observations", "\r\n");
	assert_answer(200, "[{\"name\":\"a\",\"pattern\":\"*\",\"paths\":[\"/3\"]}," TEMPERATURE "]");
	ask("DELETE /api/observations/temperature", "\r\n");
	assert_answer(204, "");
	assert_string_equal(bench.policy, "drop temperature");
	ask("DELETE /api/observations/temperature", "\r\n");
	assert_int_equal(client_status(c), 404);
	ask("GET /api/observations/temperature", "\r\n");
	assert_int_equal(client_status(c), 404);
	assert_header("application/problem+json");
}

static void what_is_no_policy_is_refused(void **state)
{
	static const struct {
		const char *body, *words;
	} cases[] = {
		{"", "no JSON object"},
		{"[]", "no JSON object"},
		{"[[[[[[]]]]]]", "no JSON object"},
		{"{\"paths\":[\"/3\"]}", "pattern is missing"},
		{"{\"pattern\":\"\",\"paths\":[\"/3\"]}", "pattern: "},
		{"{\"pattern\":7,\"paths\":[\"/3\"]}", "pattern: "},
		{"{\"pattern\":\"*\"}", "observes nothing"},
		{"{\"pattern\":\"*\",\"paths\":\"/3\"}", "paths: a list"},
		{"{\"pattern\":\"*\",\"paths\":[3]}", "paths: it has a path"},
		{"{\"pattern\":\"*\",\"paths\":[\"/x\"]}", "paths: it has a path"},
		{"{\"pattern\":\"*\",\"paths\":[\"/3\",\"3\"]}", "paths: it has a path twice"},
		{"{\"pattern\":\"*\",\"paths\":[\"/\"]}", "root"},
		{"{\"pattern\":\"*\",\"paths\":[\"/3\"],\"format\":\"XML\"}", "format: "},
		{"{\"pattern\":\"*\",\"paths\":[\"/3\"],\"attributes\":\"dim=1\"}", "/3: "},
		{"{\"pattern\":\"*\",\"composite\":[\"/3\"],\"attributes\":\"pmin=1\"}", "single paths"},
		{"{\"pattern\":\"*\",\"paths\":[\"/3\"],\"path\":[\"/3\"]}", "path: there is no such member"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ask("PUT /api/observations/a", json_body(cases[i].body));
		assert_int_equal(client_status(c), 400);
		if (!strstr(client_body(c), cases[i].words))
			fail_msg("%s: %s", cases[i].body, client_body(c));
	}
	ask("PUT /api/observations/a%2Fb", json_body("{\"pattern\":\"*\",\"paths\":[\"/3\"]}"));
	assert_int_equal(client_status(c), 400);
	bench.refuse = 1;
	ask("PUT /api/observations/a", json_body("{\"pattern\":\"*\",\"paths\":[\"/3\"]}"));
	assert_int_equal(client_status(c), 409);
	assert_int_equal(bench.policies_set, 0);
}

static void a_store_that_fails_is_told(void **state)
{
	(void)state;
	bench.document_error = -EIO;
	put_temperature();
	assert_int_equal(client_status(c), 503);
	assert_int_equal(bench.policies_set, 0);
	ask("GET /api/observations", "\r\n");
	assert_int_equal(client_status(c), 503);
	bench.document_error = 0;
	bench.document_refuse = -ENOBUFS;
	put_temperature();
	assert_int_equal(client_status(c), 503);
	ask("GET /api/observations/temperature", "\r\n");
	assert_int_equal(client_status(c), 503);
}

/* All are read at the start, and again: another node may have changed one. */
static void they_are_read_at_the_start_and_again(void **state)
{
	(void)state;
	WAIT_FOR(bench.policies_ended == 1);
	put_temperature();
	assert_int_equal(bench.policies_set, 1);
	bench.http->policies_next_ms = 0;
	WAIT_FOR(bench.policies_ended == 2);
	assert_int_equal(bench.policies_begun, 2);
	assert_int_equal(bench.policies_set, 2);
	/* What cannot be read is read again with the next heartbeat, and nothing ends meanwhile. */
	bench.document_error = -EIO;
	bench.http->policies_next_ms = 0;
	WAIT_FOR(bench.policies_begun >= 4);
	assert_int_equal(bench.policies_ended, 2);
	bench.document_error = 0;
	WAIT_FOR(bench.policies_ended == 3);
}

static int set_up_beating(void **state)
{
	int r = bench_set_up(state);

	if (r == 0) {
		bench.config.heartbeat_ms = 20;
		bench_start();
		c = client_open();
	}
	return r;
}

static void observations_of_a_device_are_declared_and_shown(void **state)
{
	static uint8_t record[1024];
	struct path composite[] = {{{3, 0, 1}, 3}, {{1}, 1}};
	_cleanup_buffer_ struct buffer list = buffer_of(256), out = buffer_of(sizeof(record));
	struct registration decoded;

	(void)state;
	paths_encode(composite, 2, &list);
	{
		struct observation o[] = {
			{.path = {{3, 0, 9}, 3}, .accept = FORMAT_TEXT, .issued = true},
			{.path = {{3, 0}, 2}, .accept = COAP_FORMAT_NONE, .origin = 1, .refused = true},
			{.paths = buffer_span(&list), .accept = FORMAT_SENML_JSON, .origin = 77},
		};

		assert_int_equal(registration_encode(&bench.devices[0].registration, o, 3, &out), 0);
		memcpy(record, out.data, out.len);
		assert_int_equal(registration_decode(span_of(record, out.len), &decoded), 0);
		bench.devices[0].registration.observations = decoded.observations;
	}
#define SHOWN                                                                                       \
	"[{\"path\":\"/3/0/9\",\"state\":\"observed\",\"origin\":\"request\",\"format\":\"TEXT\"}," \
	"{\"path\":\"/3/0\",\"state\":\"refused\",\"origin\":\"declared\"},"                        \
	"{\"paths\":[\"/3/0/1\",\"/"                                                                \
	"1\"],\"state\":\"wanted\",\"origin\":\"policy\",\"policy\":\"temperature\","               \
	"\"format\":\"SENML_JSON\"}]"
	ask("GET /api/clients/dev-1/observations", "\r\n");
	assert_answer(200, SHOWN);
	ask("GET /api/clients/nobody/observations", "\r\n");
	assert_answer(400, "No registered client with id 'nobody'");
	client_close(c);
	c = client_open();
	client_ask(c, "PUT /api/clients/dev-1/observations", json_body("{\"paths\":[\"/3/0\"]}"));
	WAIT_FOR(bench.done);
	assert_int_equal(bench.declared.path_count, 1);
	end((struct lwm2m_answer){.outcome = LWM2M_ANSWERED});
	assert_answer(200, SHOWN);
	client_close(c);
	c = client_open();
	client_ask(c, "PUT /api/clients/dev-1/observations", json_body("{}"));
	WAIT_FOR(bench.done);
	assert_int_equal(bench.declared.path_count, 0);
	end((struct lwm2m_answer){.outcome = LWM2M_NOT_STORED});
	assert_int_equal(client_status(c), 503);
	ask("PUT /api/clients/dev-1/observations", json_body("{\"pattern\":\"*\",\"paths\":[\"/3\"]}"));
	assert_int_equal(client_status(c), 400);
	bench.refuse = -ENOMEM;
	ask("PUT /api/clients/dev-1/observations", json_body("{\"paths\":[\"/3\"]}"));
	assert_int_equal(client_status(c), 503);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_policy_is_put_listed_and_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_policy_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_store_that_fails_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(they_are_read_at_the_start_and_again, set_up_beating,
						tear_down),
		cmocka_unit_test_setup_teardown(observations_of_a_device_are_declared_and_shown, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
