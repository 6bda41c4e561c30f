/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Between what people type or read and the JSON of the interface: values, nodes, events, statuses, paths. */

#include "cli/api.h"
#include "cli/event_text.h"
#include "cli/input.h"
#include "cli/output.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Definitions as the server gives them, of what is needed here. */
static const char definitions[] =
	"[{\"id\":1,\"name\":\"Server\",\"version\":\"1.1\",\"resourcedefs\":["
	"{\"id\":1,\"name\":\"Lifetime\",\"type\":\"integer\",\"instancetype\":\"single\",\"units\":\"s\"},"
	"{\"id\":6,\"name\":\"Storing\",\"type\":\"boolean\",\"instancetype\":\"single\",\"units\":\"\"}]},"
	"{\"id\":2,\"name\":\"Access Control\",\"resourcedefs\":["
	"{\"id\":2,\"name\":\"ACL\",\"type\":\"integer\",\"instancetype\":\"multiple\",\"units\":\"\"}]},"
	"{\"id\":3303,\"name\":\"Temperature\",\"resourcedefs\":["
	"{\"id\":5700,\"name\":\"Sensor "
	"Value\",\"type\":\"float\",\"instancetype\":\"single\",\"units\":\"\"},"
	"{\"id\":5750,\"name\":\"Application "
	"Type\",\"type\":\"string\",\"instancetype\":\"single\",\"units\":\"\"}]}]";

static struct specs load(void)
{
	struct specs specs = {json_loads(definitions, 0, NULL)};

	assert_non_null(specs.objects);
	return specs;
}

static void assert_json(json_t *json, const char *text)
{
	char *got = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

	assert_non_null(got);
	assert_string_equal(got, text);
	free(got);
}

static void test_values(void **state)
{
	static const struct {
		const char *type, *text, *json; /* NULL: refused */
	} cases[] = {
		{"string", "", "\"\""},
		{"STRING", "a \"b\"", "\"a \\\"b\\\"\""},
		{"integer", "-5", "\"-5\""},
		{"integer", "9223372036854775807", "\"9223372036854775807\""},
		{"integer", "9223372036854775808", NULL},
		{"integer", "5.0", NULL},
		{"integer", " 5", NULL},
		{"integer", "", NULL},
		{"unsigned_integer", "18446744073709551615", "\"18446744073709551615\""},
		{"unsigned_integer", "-1", NULL},
		{"float", "21.5", "\"21.5\""},
		{"float", "-1e-9", "\"-1e-9\""},
		{"float", "nan", NULL},
		{"float", "0x10", NULL},
		{"float", "1e999", NULL},
		{"float", "", NULL},
		{"boolean", "true", "true"},
		{"boolean", "0", "false"},
		{"boolean", "2", NULL},
		{"opaque", "0A1b", "\"0A1b\""},
		{"opaque", "0a1", NULL},
		{"opaque", "zz", NULL},
		{"time", "1700000000", "1700000000000"},
		{"time", "2024-02-29T12:34:56Z", "1709210096000"},
		{"time", "tomorrow", NULL},
		{"objlnk", "3:0", "{\"objectId\":3,\"objectInstanceId\":0}"},
		{"objlnk", "65535:65535", "{\"objectId\":65535,\"objectInstanceId\":65535}"},
		{"objlnk", "3", NULL},
		{"objlnk", "3:65536", NULL},
		{"corelnk", "</3/0>", "\"</3/0>\""},
		{"number", "5", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char error[INPUT_ERROR] = "";
		json_t *value = input_value(cases[i].type, cases[i].text, error);

		if (!cases[i].json) {
			if (value)
				fail_msg("%s \"%s\" is taken", cases[i].type, cases[i].text);
			assert_true(strstr(error, "expected") || strstr(error, "unknown type"));
			continue;
		}
		assert_json(value, cases[i].json);
		json_decref(value);
	}
}

static void test_nodes(void **state)
{
	static const struct {
		const char *path, *type;
		const char *operands[3];
		const char *json; /* or what the error says */
	} cases[] = {
		{"/1/0/1",
		 NULL,
		 {"120"},
		 "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"INTEGER\",\"value\":\"120\"}"},
		{"/1/0/1", NULL, {"ten"}, "\"ten\": expected a whole number"},
		{"/1/0/1",
		 "string",
		 {"x"},
		 "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"STRING\",\"value\":\"x\"}"},
		{"/1/0/1", NULL, {"1", "2"}, "expected one value"},
		{"/9/0/1", NULL, {"1"}, "the type of /9/0/1 is not known; say it with --type"},
		{"/1/0/77", NULL, {"1"}, "the type of /1/0/77 is not known"},
		{"/2/0/2/101",
		 NULL,
		 {"31"},
		 "{\"id\":101,\"kind\":\"resourceInstance\",\"type\":\"INTEGER\",\"value\":\"31\"}"},
		{"/2/0/2",
		 NULL,
		 {"101=31", "102=1"},
		 "{\"id\":2,\"kind\":\"multiResource\",\"type\":\"INTEGER\",\"values\":{\"101\":\"31\","
		 "\"102\":\"1\"}}"},
		{"/2/0/2", NULL, {"31"}, "\"31\": expected ID=VALUE"},
		{"/2/0/2", NULL, {"65535=31"}, "expected ID=VALUE"},
		{"/1/0",
		 NULL,
		 {"1=60", "6=true"},
		 "{\"id\":0,\"kind\":\"instance\",\"resources\":["
		 "{\"id\":1,\"kind\":\"singleResource\",\"type\":\"INTEGER\",\"value\":\"60\"},"
		 "{\"id\":6,\"kind\":\"singleResource\",\"type\":\"BOOLEAN\",\"value\":true}]}"},
		{"/2/0", NULL, {"2=1"}, "2 is a multiple resource"},
		{"/3303/0/5750",
		 NULL,
		 {"a=b"},
		 "{\"id\":5750,\"kind\":\"singleResource\",\"type\":\"STRING\",\"value\":\"a=b\"}"},
	};
	struct specs specs = load();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char error[INPUT_ERROR] = "";
		unsigned count = cases[i].operands[1] ? 2 : 1;
		struct path path;
		json_t *node;

		assert_true(path_parse(span_str(cases[i].path), &path));
		node = input_node(&specs, &path, cases[i].type, cases[i].operands, count, error);
		if (cases[i].json[0] == '{')
			assert_json(node, cases[i].json);
		else if (node || !strstr(error, cases[i].json))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].path, error, cases[i].json);
		json_decref(node);
	}
	specs_deinit(&specs);
}

static void test_new_instance(void **state)
{
	const char *const operands[] = {"5750=Kitchen"};
	char error[INPUT_ERROR];
	struct specs specs = load();
	json_t *node;

	(void)state;
	node = input_new_instance(&specs, 3303, -1, operands, 1, error);
	assert_json(node, "{\"kind\":\"instance\",\"resources\":[{\"id\":5750,\"kind\":\"singleResource\","
			  "\"type\":\"STRING\",\"value\":\"Kitchen\"}]}");
	json_decref(node);
	node = input_new_instance(&specs, 3303, 7, NULL, 0, error);
	assert_json(node, "{\"id\":7,\"kind\":\"instance\",\"resources\":[]}");
	json_decref(node);
	assert_null(input_new_instance(&specs, 3303, 7, (const char *const[]){"1=2"}, 1, error));
	specs_deinit(&specs);
}

static void print(const char *path_text, const char *json, char *text, size_t size)
{
	struct cli c = {.out = fmemopen(text, size, "w")};
	struct specs specs = load();
	json_t *node = json_loads(json, 0, NULL);
	struct path path;

	assert_non_null(node);
	assert_true(path_parse(span_str(path_text), &path));
	output_node(&c, &specs, &path, node);
	fclose(c.out);
	json_decref(node);
	specs_deinit(&specs);
}

static void test_output(void **state)
{
	static const struct {
		const char *path, *json, *text;
	} cases[] = {
		{"/3/0/0",
		 "{\"kind\":\"singleResource\",\"id\":0,\"type\":\"STRING\",\"value\":\"a\\u001b[2Jb\"}",
		 "a\\x1b[2Jb\n"},
		{"/3/0/13",
		 "{\"kind\":\"singleResource\",\"id\":13,\"type\":\"TIME\",\"value\":1709210096000}",
		 "2024-02-29T12:34:56Z\n"},
		{"/3/0/22/0",
		 "{\"kind\":\"resourceInstance\",\"id\":0,\"type\":\"OBJLNK\",\"value\":{\"objectId\":3,"
		 "\"objectInstanceId\":1,\"nullLink\":false}}",
		 "3:1\n"},
		{"/1/0/6", "{\"kind\":\"singleResource\",\"id\":6,\"type\":\"BOOLEAN\",\"value\":true}",
		 "true\n"},
		{"/2/0/2",
		 "{\"kind\":\"multiResource\",\"id\":2,\"type\":\"INTEGER\",\"values\":{\"101\":\"31\","
		 "\"102\":"
		 "\"1\"}}",
		 "PATH        NAME  UNITS  VALUE\n"
		 "/2/0/2/101  ACL          31\n"
		 "/2/0/2/102  ACL          1\n"},
		{"/1",
		 "{\"kind\":\"obj\",\"id\":1,\"instances\":[{\"kind\":\"instance\",\"id\":0,\"resources\":[{"
		 "\"kind\":"
		 "\"singleResource\",\"id\":1,\"type\":\"INTEGER\",\"value\":\"60\"}]}]}",
		 "PATH    NAME      UNITS  VALUE\n"
		 "/1/0/1  Lifetime  s      60\n"},
		{"/3303", "{\"kind\":\"obj\",\"id\":3303,\"instances\":[]}",
		 "PATH   NAME         UNITS  VALUE\n"
		 "/3303  Temperature         (empty)\n"},
		/* A server may send what makes no sense. */
		{"/3/0/6/0",
		 "{\"kind\":\"multiResource\",\"id\":2,\"type\":\"INTEGER\",\"values\":{\"1\":\"x\"}}",
		 "PATH      NAME  UNITS  VALUE\n"
		 "/3/0/6/0               x\n"},
		{"/3/0/6/0", "{}", "PATH      NAME  UNITS  VALUE\n/3/0/6/0\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[1024] = "";

		print(cases[i].path, cases[i].json, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void test_output_composite(void **state)
{
	char text[1024] = "";
	struct cli c = {.out = fmemopen(text, sizeof(text), "w")};
	struct specs specs = load();
	json_t *map =
		json_loads("{\"/1/0/1\":{\"kind\":\"singleResource\",\"id\":1,\"type\":\"INTEGER\",\"value\":"
			   "\"60\"},\"no path\":{},\"/2/0/2\":{\"kind\":\"multiResource\",\"id\":2,"
			   "\"type\":\"INTEGER\",\"values\":{\"101\":\"31\"}}}",
			   0, NULL);

	(void)state;
	assert_non_null(map);
	output_composite(&c, &specs, map);
	fclose(c.out);
	assert_string_equal(text, "PATH        NAME      UNITS  VALUE\n"
				  "/1/0/1      Lifetime  s      60\n"
				  "/2/0/2/101  ACL              31\n");
	json_decref(map);
	specs_deinit(&specs);
}

static void test_events(void **state)
{
	static const struct {
		const char *name, *json, *text;
	} cases[] = {
		{"REGISTRATION",
		 "{\"endpoint\":\"dev\\u0007\",\"address\":\"192.0.2.7:1\",\"lifetime\":300,\"lwM2mVersion\":"
		 "\"1.1\","
		 "\"registrationId\":\"abc\"}",
		 "REGISTRATION  dev\\x07  from 192.0.2.7:1  for 300s  LwM2M 1.1  as abc"},
		{"UPDATED",
		 "{\"registration\":{\"endpoint\":\"dev\",\"address\":\"a:1\"},\"update\":{\"lifetime\":5,"
		 "\"objectLinks\":[]}}",
		 "UPDATED  dev  from a:1  changed lifetime, objectLinks"},
		{"DEREGISTRATION", "{\"endpoint\":\"dev\",\"reason\":\"expired\"}",
		 "DEREGISTRATION  dev  reason expired"},
		{"NOTIFICATION",
		 "{\"ep\":\"dev\",\"res\":\"/3303/0/"
		 "5700\",\"val\":{\"kind\":\"singleResource\",\"id\":5700,\"type\":"
		 "\"FLOAT\",\"value\":\"21.5\"}}",
		 "NOTIFICATION  dev  /3303/0/5700 = 21.5"},
		{"NOTIFICATION",
		 "{\"ep\":\"dev\",\"res\":\"/3/0/"
		 "6\",\"val\":{\"kind\":\"multiResource\",\"id\":6,\"values\":{\"0\":\"1\","
		 "\"1\":\"2\"}}}",
		 "NOTIFICATION  dev  /3/0/6 = (2 values)"},
		{"NOTIFICATION", "{\"ep\":\"dev\",\"res\":\"/3/0/6\",\"val\":null,\"error\":\"broken\"}",
		 "NOTIFICATION  dev  /3/0/6  not understood: broken"},
		{"OBSERVATION_ENDED",
		 "{\"ep\":\"dev\",\"res\":\"/3/0/6\",\"reason\":\"error\",\"code\":\"4.04\"}",
		 "OBSERVATION_ENDED  dev  /3/0/6  reason error  code 4.04"},
		{"OBSERVATION_ENDED",
		 "{\"ep\":\"dev\",\"paths\":[\"/3/0/9\",\"/1/0\"],\"reason\":\"cancelled\"}",
		 "OBSERVATION_ENDED  dev  /3/0/9,/1/0  reason cancelled"},
		{"NOTIFICATION",
		 "{\"ep\":\"dev\",\"kind\":\"composite\",\"val\":{\"/3/0/"
		 "9\":{\"kind\":\"singleResource\",\"id\":9,"
		 "\"type\":\"INTEGER\",\"value\":\"77\"},\"/3/0/"
		 "6\":{\"kind\":\"multiResource\",\"id\":6,\"values\":"
		 "{\"0\":\"1\",\"1\":\"2\"}}},\"paths\":[\"/3/0/9\",\"/3/0/6\"]}",
		 "NOTIFICATION  dev  /3/0/9 = 77  /3/0/6 = (2 values)"},
		{"SEND",
		 "{\"ep\":\"dev\",\"val\":{\"/3303/0/"
		 "5700\":{\"kind\":\"singleResource\",\"id\":5700,\"type\":"
		 "\"FLOAT\",\"value\":\"21.5\"}}}",
		 "SEND  dev  /3303/0/5700 = 21.5"},
		{"GAP", "{\"from\":\"1-1\",\"to\":\"2-2\"}", "GAP  events are lost from 1-1 to 2-2"},
		{"NEW_EVENT", "{\"x\":1}", "NEW_EVENT  {\"x\":1}"},
		{"REGISTRATION", "[]", "REGISTRATION"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer line = buffer_of(4096);
		json_t *data = json_loads(cases[i].json, 0, NULL);

		assert_non_null(data);
		event_describe(cases[i].name, data, &line);
		assert_string_equal((const char *)line.data, cases[i].text);
		buffer_deinit(&line);
		json_decref(data);
	}
}

static void test_event_json(void **state)
{
	struct sse_event event = {"A", "17-4", span_str("{\"b\": [1, 2]}")};
	json_t *data = json_loads("{\"b\": [1, 2]}", 0, NULL);
	char text[256] = "";
	FILE *to = fmemopen(text, sizeof(text), "w");

	(void)state;
	event_print_json(&event, data, to);
	event.data = span_str("no json");
	event_print_json(&event, NULL, to);
	fclose(to);
	assert_string_equal(text, "{\"event\":\"A\",\"id\":\"17-4\",\"data\":{\"b\":[1,2]}}\n"
				  "{\"event\":\"A\",\"id\":\"17-4\",\"data\":\"no json\"}\n");
	assert_int_equal(event_time_ms(&event), 17);
	event.id = "";
	assert_int_equal(event_time_ms(&event), 0);
	json_decref(data);
}

static void test_statuses_and_paths(void **state)
{
	char text[STATUS_TEXT], *path;

	(void)state;
	assert_string_equal(api_status_text("NOT_FOUND(404)", text), "4.04 Not Found");
	assert_string_equal(api_status_text("METHOD_NOT_ALLOWED(405)", text), "4.05 Method Not Allowed");
	assert_string_equal(api_status_text("CONTENT(205)", text), "2.05 Content");
	assert_string_equal(api_status_text("something", text), "something");
	assert_string_equal(api_status_text("X(", text), "X(");
	assert_string_equal(api_status_text("", text), "");
	path = api_device_path("a/b", "/3/0", "/discover");
	assert_string_equal(path, "/api/clients/a%2Fb/3/0/discover");
	path = api_add_query(api_add_query(path, "timeout", "5"), "format", "a b");
	assert_string_equal(path, "/api/clients/a%2Fb/3/0/discover?timeout=5&format=a%20b");
	free(path);
	assert_null(api_add_query(NULL, "a", "b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),		 cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_new_instance),	 cmocka_unit_test(test_output),
		cmocka_unit_test(test_output_composite), cmocka_unit_test(test_events),
		cmocka_unit_test(test_event_json),	 cmocka_unit_test(test_statuses_and_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
