/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests of backends to requests of the REST interface, and its answers to theirs; nodes of the former
 * module. */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "streams/former.h"
#include "streams/outcome.h"
#include "streams/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- requests ---- */

static const struct {
	const char *req, *method, *target, *type, *body;
	bool repeatable;
} good[] = {
	{"{\"kind\":\"read\",\"path\":\"/3/0\"}", "GET", "/api/clients/a%2Fb/3/0?timeout=30", NULL, "", true},
	{"{\"kind\":\"read\",\"path\":\"3\",\"contentFormat\":11542}", "GET",
	 "/api/clients/a%2Fb/3?format=TLV&timeout=30", NULL, "", true},
	{"{\"kind\":\"read\",\"path\":\"/3\",\"contentFormat\":\"senml_cbor\"}", "GET",
	 "/api/clients/a%2Fb/3?format=SENML_CBOR&timeout=30", NULL, "", true},
	{"{\"kind\":\"discover\",\"path\":\"/3\"}", "GET", "/api/clients/a%2Fb/3/discover?timeout=30", NULL,
	 "", true},
	{"{\"kind\":\"write\",\"path\":\"/1/0/1\",\"node\":{\"id\":1,\"value\":1.5}}", "PUT",
	 "/api/clients/a%2Fb/1/0/1?timeout=30", "application/json", "{\"id\":1,\"value\":1.5}", true},
	{"{\"kind\":\"write\",\"path\":\"/1/0\",\"mode\":\"UPDATE\",\"node\":{}}", "PUT",
	 "/api/clients/a%2Fb/1/0?replace=false&timeout=30", "application/json", "{}", false},
	{"{\"kind\":\"writeAttributes\",\"path\":\"/3\",\"observeSpec\":\"pmin=1&gt\"}", "PUT",
	 "/api/clients/a%2Fb/3/attributes?pmin=1&gt", NULL, "", true},
	{"{\"kind\":\"execute\",\"path\":\"/3/0/4\"}", "POST", "/api/clients/a%2Fb/3/0/4?timeout=30", NULL,
	 "", false},
	{"{\"kind\":\"execute\",\"path\":\"/3/0/4\",\"parameters\":\"0='a'\"}", "POST",
	 "/api/clients/a%2Fb/3/0/4?timeout=30", "text/plain", "0='a'", false},
	{"{\"kind\":\"create\",\"path\":\"/3303\",\"instanceId\":7,\"resources\":[]}", "POST",
	 "/api/clients/a%2Fb/3303?timeout=30", "application/json", "{\"id\":7,\"resources\":[]}", false},
	{"{\"kind\":\"create\",\"path\":\"/3303\",\"instanceId\":-1,\"resources\":[]}", "POST",
	 "/api/clients/a%2Fb/3303?timeout=30", "application/json", "{\"resources\":[]}", false},
	{"{\"kind\":\"delete\",\"path\":\"/3303/7\"}", "DELETE", "/api/clients/a%2Fb/3303/7?timeout=30", NULL,
	 "", true},
	{"{\"kind\":\"observe\",\"path\":\"/3/0/9\"}", "POST", "/api/clients/a%2Fb/3/0/9/observe?timeout=30",
	 NULL, "", true},
	{"{\"kind\":\"cancelObserve\",\"path\":\"/3/0/9\"}", "DELETE",
	 "/api/clients/a%2Fb/3/0/9/observe?active&timeout=30", NULL, "", true},
	{"{\"kind\":\"cancelObserve\",\"path\":\"/3/0/9\",\"active\":false}", "DELETE",
	 "/api/clients/a%2Fb/3/0/9/observe?timeout=30", NULL, "", true},
	{"{\"kind\":\"readComposite\",\"paths\":[\"/3/0/9\",\"1\"],\"pathFormat\":110}", "GET",
	 "/api/clients/a%2Fb/composite?paths=%2F3%2F0%2F9%2C%2F1&pathformat=SENML_JSON&timeout=30", NULL, "",
	 true},
	{"{\"kind\":\"writeComposite\",\"nodes\":{\"/1/0/1\":{}}}", "PUT",
	 "/api/clients/a%2Fb/composite?timeout=30", "application/json", "{\"/1/0/1\":{}}", false},
	{"{\"kind\":\"observeComposite\",\"paths\":[\"/3\"]}", "POST",
	 "/api/clients/a%2Fb/composite/observe?paths=%2F3&timeout=30", NULL, "", true},
	{"{\"kind\":\"cancelObserveComposite\",\"paths\":[\"/3\"]}", "DELETE",
	 "/api/clients/a%2Fb/composite/observe?active&paths=%2F3&timeout=30", NULL, "", true},
};

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.data ? s.data : (const uint8_t *)"", text, s.len);
}

static void each_kind_has_its_route(void **state)
{
	const struct backend_ask ask = {.ep = span_str("a/b")};
	_cleanup_arena_ struct arena arena;
	struct backend_request r;
	char error[BACKEND_ERROR];

	(void)state;
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(backend_request_parse(span_str(good[i].req), &ask, &arena, &r, error), 0);
		assert_string_equal(r.method, good[i].method);
		assert_span(r.target, good[i].target);
		assert_span(r.body, good[i].body);
		assert_int_equal(r.repeatable, good[i].repeatable);
		if (good[i].type)
			assert_string_equal(r.type, good[i].type);
		else
			assert_null(r.type);
	}
}

static void times_are_passed_on(void **state)
{
	const struct backend_ask ask = {.ep = span_str("a"), .timeout_s = 7, .has_ttl = true, .ttl_s = 0};
	_cleanup_arena_ struct arena arena;
	struct backend_request r;
	char error[BACKEND_ERROR];

	(void)state;
	arena_init(&arena, 1 << 16);
	assert_int_equal(backend_request_parse(span_str("{\"kind\":\"delete\",\"path\":\"/3/0\"}"), &ask,
					       &arena, &r, error),
			 0);
	assert_span(r.target, "/api/clients/a/3/0?timeout=7&ttl=0");
}

static void what_is_no_request_is_refused_with_words(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"kind\":7}",
		"{\"kind\":\"read\"}",
		"{\"kind\":\"read\",\"path\":\"/\"}",
		"{\"kind\":\"read\",\"path\":\"/70000\"}",
		"{\"kind\":\"read\",\"path\":\"/3/0/1/2/3\"}",
		"{\"kind\":\"execute\",\"path\":\"/3/0\"}",
		"{\"kind\":\"create\",\"path\":\"/3/0\",\"resources\":[]}",
		"{\"kind\":\"create\",\"path\":\"/3\",\"resources\":[],\"instanceId\":\"x\"}",
		"{\"kind\":\"delete\",\"path\":\"/3\"}",
		"{\"kind\":\"write\",\"path\":\"/3/0\"}",
		"{\"kind\":\"write\",\"path\":\"/3/0\",\"mode\":\"x\",\"node\":{}}",
		"{\"kind\":\"read\",\"path\":\"/3\",\"contentFormat\":-1}",
		"{\"kind\":\"read\",\"path\":\"/3\",\"contentFormat\":[]}",
		"{\"kind\":\"writeAttributes\",\"path\":\"/3\"}",
		"{\"kind\":\"writeAttributes\",\"path\":\"/3\",\"observeSpec\":\"a b\"}",
		"{\"kind\":\"writeAttributes\",\"path\":\"/3\",\"observeSpec\":\"a#b\"}",
		"{\"kind\":\"readComposite\",\"paths\":[7]}",
		"{\"kind\":\"writeComposite\",\"nodes\":[]}",
		"{\"kind\":\"execute\",\"path\":\"/3/0/4\",\"parameters\":7}",
	};
	const struct backend_ask ask = {.ep = span_str("a")};
	const struct backend_ask nobody = {.ep = span_str("")};
	_cleanup_arena_ struct arena arena;
	struct backend_request r;
	char error[BACKEND_ERROR];

	(void)state;
	arena_init(&arena, 1 << 16);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		error[0] = 0;
		assert_int_equal(backend_request_parse(span_str(bad[i]), &ask, &arena, &r, error), -EINVAL);
		assert_true(error[0]);
	}
	assert_int_equal(backend_request_parse(span_str(good[0].req), &nobody, &arena, &r, error), -EINVAL);
}

/* ---- outcomes ---- */

static void answers_have_words(void **state)
{
	static const struct {
		unsigned status;
		const char *body, *ack, *error;
	} rows[] = {
		{400, "No registered client with id 'x'", "refused", "unknown-device"},
		{400, "Invalid path", "refused", "invalid"},
		{401, "Unauthorized: x", "refused", "unauthorized"},
		{404, "no observation for path /3", "refused", "no-observation"},
		{500, "Request rejected: x", "accepted", "rejected"},
		{500, "Request cancelled: x", "accepted", "cancelled"},
		{500, "Unexpected exception: x", "accepted", "failed"},
		{502, "", "accepted", "invalid-response"},
		{503, "", "refused", "unavailable"},
		{503, "Service unavailable: the result could not be stored", "accepted", "not-stored"},
		{504, "Request timeout", "accepted", "timeout"},
		{504, "Request timeout: outcome unknown, x", "accepted", "outcome-unknown"},
		{418, "x", "accepted", "failed"},
	};
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		outcome_of_reply(&o, &(struct http_reply){rows[i].status, span_str(rows[i].body)});
		assert_false(o.result);
		assert_string_equal(o.ack, rows[i].ack);
		assert_string_equal(o.error, rows[i].error);
		assert_span(buffer_span(&o.text), rows[i].body);
		outcome_deinit(&o);
	}
	outcome_of_reply(&o, &(struct http_reply){200, span_str("")});
	assert_true(o.result);
	assert_span(buffer_span(&o.text), "{}");
	outcome_deinit(&o);
}

static void a_queued_request_is_known_by_its_answer(void **state)
{
	uint64_t expires = 0;
	char id[37];

	(void)state;
	assert_true(outcome_is_queued(
		&(struct http_reply){
			200,
			span_str("{\"ep\":\"a\",\"requestId\":\"0123\",\"delayed\":true,\"expires\":9}")},
		id, &expires));
	assert_string_equal(id, "0123");
	assert_int_equal(expires, 9);
	/* The words in a value of a device. */
	assert_false(outcome_is_queued(
		&(struct http_reply){200, span_str("{\"content\":\"\\\"delayed\\\":true\"}")}, id, &expires));
	assert_false(outcome_is_queued(
		&(struct http_reply){200, span_str("{\"content\":{\"delayed\":true}}")}, id, &expires));
	assert_false(outcome_is_queued(
		&(struct http_reply){200, span_str("{\"requestId\":\"0123456789012345678901234567890123456\","
						   "\"delayed\":true}")},
		id, &expires));
}

static void assert_end(const char *request, bool over, const char *error, const char *text)
{
	json_t *v = json_loads(request, 0, NULL);
	struct outcome o = {0};

	assert_int_equal(outcome_of_queued(&o, v), over);
	if (over) {
		assert_string_equal(o.error, error);
		assert_span(buffer_span(&o.text), text);
	}
	outcome_deinit(&o);
	json_decref(v);
}

static void ends_of_queued_requests(void **state)
{
	(void)state;
	assert_end("{\"state\":\"queued\"}", false, "", "");
	assert_end("{\"state\":\"sent\"}", false, "", "");
	assert_end("{}", false, "", "");
	assert_end("{\"state\":\"answered\",\"response\":{\"status\":\"x\"}}", true, "",
		   "{\"status\":\"x\"}");
	assert_end("{\"state\":\"answered\",\"raw\":{},\"error\":\"no\"}", true, "invalid-response", "no");
	assert_end("{\"state\":\"expired\"}", true, "expired", "the device was not heard of in time");
	assert_end("{\"state\":\"unknown\",\"error\":\"who knows\"}", true, "outcome-unknown", "who knows");
}

/* ---- the former module ---- */

static void assert_same(json_t *made, const char *text)
{
	json_t *want = text ? json_loads(text, 0, NULL) : NULL;
	char *told = made ? json_dumps(made, JSON_COMPACT) : NULL;

	if (text && !json_equal(made, want))
		fail_msg("%s instead of %s", told ? told : "nothing", text);
	if (!text)
		assert_null(made);
	free(told);
	json_decref(want);
	json_decref(made);
}

static json_t *convert(json_t *(*with)(const json_t *v, struct arena *arena), const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL), *made;
	_cleanup_arena_ struct arena arena;

	arena_init(&arena, 1 << 16);
	assert_non_null(v);
	made = with(v, &arena);
	json_decref(v);
	return made;
}

static void nodes_go_both_ways(void **state)
{
	static const char *const pairs[][2] = {
		{"{\"id\":1,\"kind\":\"singleResource\",\"type\":\"STRING\",\"value\":\"x\"}",
		 "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"STRING\",\"value\":\"x\"}"},
		{"{\"id\":1,\"kind\":\"singleResource\",\"type\":\"OPAQUE\",\"value\":\"AQL/\"}",
		 "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"OPAQUE\",\"value\":\"0102ff\"}"},
		{"{\"id\":1,\"kind\":\"singleResource\",\"type\":\"OPAQUE\",\"value\":\"\"}",
		 "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"OPAQUE\",\"value\":\"\"}"},
		{"{\"id\":1,\"kind\":\"multipleResource\",\"type\":\"BOOLEAN\",\"values\":{\"0\":true,\"7\":"
		 "false}}",
		 "{\"id\":1,\"kind\":\"multiResource\",\"type\":\"BOOLEAN\",\"values\":{\"0\":true,\"7\":"
		 "false}}"},
		{"{\"id\":0,\"kind\":\"instance\",\"resources\":{\"5\":{\"id\":5,\"kind\":\"singleResource\","
		 "\"type\":\"TIME\","
		 "\"value\":1000}}}",
		 "{\"id\":0,\"kind\":\"instance\",\"resources\":[{\"id\":5,\"kind\":\"singleResource\","
		 "\"type\":\"TIME\","
		 "\"value\":1000}]}"},
		{"{\"id\":3,\"kind\":\"object\",\"instances\":{\"0\":{\"id\":0,\"kind\":\"instance\","
		 "\"resources\":{}}}}",
		 "{\"id\":3,\"kind\":\"obj\",\"instances\":[{\"id\":0,\"kind\":\"instance\",\"resources\":[]}"
		 "]}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_same(convert(former_node_to_rest, pairs[i][0]), pairs[i][1]);
		assert_same(convert(former_node_of_rest, pairs[i][1]), pairs[i][0]);
	}
	/* Numbers were numbers; types that came later are told by others. */
	assert_same(convert(former_node_of_rest,
			    "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"INTEGER\",\"value\":\"-7\"}"),
		    "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"INTEGER\",\"value\":-7}");
	assert_same(convert(former_node_of_rest,
			    "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"FLOAT\",\"value\":\"1.5\"}"),
		    "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"FLOAT\",\"value\":1.5}");
	assert_same(
		convert(former_node_of_rest,
			"{\"id\":1,\"kind\":\"singleResource\",\"type\":\"OBJLNK\",\"value\":{\"objectId\":3,"
			"\"objectInstanceId\":0,\"nullLink\":false}}"),
		"{\"id\":1,\"kind\":\"singleResource\",\"type\":\"STRING\",\"value\":\"3:0\"}");
}

static void nodes_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {
		"7",
		"{}",
		"{\"kind\":\"x\",\"type\":\"STRING\"}",
		"{\"kind\":\"singleResource\",\"value\":1}",
		"{\"kind\":\"singleResource\",\"type\":\"OPAQUE\",\"value\":\"?\"}",
		"{\"kind\":\"singleResource\",\"type\":\"OPAQUE\",\"value\":7}",
		"{\"kind\":\"instance\"}",
		"{\"kind\":\"instance\",\"resources\":{\"1\":7}}",
		"{\"kind\":\"object\",\"instances\":[{\"kind\":\"instance\",\"resources\":[{}]}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_same(convert(former_node_to_rest, bad[i]), NULL);
	assert_same(convert(former_request_to_rest, "{\"kind\":\"write\",\"node\":{}}"), NULL);
	assert_same(convert(former_request_to_rest, "{\"kind\":\"create\",\"resources\":[7]}"), NULL);
	assert_same(convert(former_request_to_rest, "{\"kind\":\"read\",\"path\":\"/3\"}"),
		    "{\"kind\":\"read\",\"path\":\"/3\"}");
}

static void an_address_of_a_registration_is_taken_apart(void **state)
{
	json_t *v = json_loads(
		"{\"endpoint\":\"e\",\"address\":\"[2001:db8::1]:5683\",\"objectLinks\":[{\"url\":\"/3\","
		"\"attributes\":{\"ver\":\"1.1\",\"ct\":\"60\",\"x\":null}}]}",
		0, NULL);

	(void)state;
	assert_same(former_registration(v), "{\"address\":\"2001:db8::1\",\"port\":5683,\"ep\":\"e\","
					    "\"objLink\":[{\"url\":\"/3\",\"at\":{\"ver\":\"1.1\","
					    "\"ct\":60,\"x\":null}}]}");
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_route),
		cmocka_unit_test(times_are_passed_on),
		cmocka_unit_test(what_is_no_request_is_refused_with_words),
		cmocka_unit_test(answers_have_words),
		cmocka_unit_test(a_queued_request_is_known_by_its_answer),
		cmocka_unit_test(ends_of_queued_requests),
		cmocka_unit_test(nodes_go_both_ways),
		cmocka_unit_test(nodes_that_are_none_are_refused),
		cmocka_unit_test(an_address_of_a_registration_is_taken_apart),
	};

	return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
