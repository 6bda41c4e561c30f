/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Object definitions that come and go while the server runs. */

#include "http_ask.h"

#define PUMP                                                                                              \
	"<LWM2M><Object><Name>Pump</Name><ObjectID>33000</ObjectID><ObjectVersion>1.1</"                  \
	"ObjectVersion><Resources>"                                                                       \
	"<Item "                                                                                          \
	"ID=\"1\"><Name>Flow</Name><Operations>R</Operations><Type>Float</Type><Units>l/s</Units></Item>" \
	"</Resources></Object></LWM2M>"

static const char *xml_body(const char *text)
{
	static char more[8192];

	snprintf(more, sizeof(more), "Content-Type: application/xml\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(text), text);
	return more;
}

/* A change that waits for the store. */
static void begin_change(const char *line, const char *more)
{
	client_close(c);
	c = client_open();
	client_ask(c, line, more);
	WAIT_FOR(bench.document_done);
	assert_int_equal(client_status(c), 0);
}

static void end_change(int result)
{
	bench_finish_document(result);
	WAIT_FOR(client_complete(c));
}

static void a_definition_counts_when_it_is_stored(void **state)
{
	const struct object_version version = {1, 1};

	(void)state;
	begin_change("PUT /api/models", xml_body(PUMP));
	assert_string_equal(bench.document_name, "33000/1.1");
	assert_null(registry_find(bench.registry, 33000, version));
	end_change(STORE_DONE);
	assert_answer(200, "{\"id\":33000,\"version\":\"1.1\",\"name\":\"Pump\",\"origin\":\"stored\"}");
	assert_non_null(registry_find(bench.registry, 33000, version));
	ask("GET /api/models/33000/1.1", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_non_null(strstr(client_body(c), "\"units\":\"l/s\""));
	ask("GET /api/models", "\r\n");
	assert_non_null(strstr(client_body(c),
			       "{\"id\":33000,\"version\":\"1.1\",\"name\":\"Pump\",\"origin\":\"stored\"}"));
	begin_change("DELETE /api/models/33000/1.1", "\r\n");
	end_change(STORE_DONE);
	assert_int_equal(client_status(c), 204);
	assert_null(registry_find(bench.registry, 33000, version));
}

static void what_could_not_be_stored_does_not_count(void **state)
{
	(void)state;
	begin_change("PUT /api/models", xml_body(PUMP));
	end_change(-ENOSPC);
	assert_int_equal(client_status(c), 503);
	assert_null(registry_find(bench.registry, 33000, (struct object_version){1, 1}));
	bench.document_refuse = -ENOBUFS;
	ask("PUT /api/models", xml_body(PUMP));
	assert_int_equal(client_status(c), 503);
}

static void a_client_that_goes_away_changes_nothing_of_it(void **state)
{
	(void)state;
	begin_change("PUT /api/models", xml_body(PUMP));
	client_close(c);
	c = NULL;
	bench_pass(50);
	bench_finish_document(STORE_DONE);
	assert_non_null(registry_find(bench.registry, 33000, (struct object_version){1, 1}));
}

static void what_is_wrong_is_told_as_a_problem(void **state)
{
	(void)state;
	ask("PUT /api/models", xml_body("<LWM2M><Object><Name>x</Name></Object></LWM2M>"));
	assert_answer(400, "{\"title\":\"Not an object definition\",\"status\":400,\"detail\":\"line 1: "
			   "ObjectID is missing or not "
			   "a number below 65535\"}");
	assert_header("Content-Type: application/problem+json");
	ask("GET /api/models/3/9.9", "\r\n");
	assert_int_equal(client_status(c), 404);
	ask("GET /api/models/x/y", "\r\n");
	assert_int_equal(client_status(c), 404);
	ask("DELETE /api/models/3/1.1", "\r\n");
	assert_int_equal(client_status(c), 409);
	assert_null(bench.document_done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_definition_counts_when_it_is_stored, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_could_not_be_stored_does_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_goes_away_changes_nothing_of_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_told_as_a_problem, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
