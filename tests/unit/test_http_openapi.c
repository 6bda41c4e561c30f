/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* /api/openapi.json against the table that routes the requests, both ways. */

#include "http_ask.h"

#include "http/private.h"

#include <jansson.h>

static const struct {
	const char *name;
	enum http_method method;
} methods[] = {{"get", HTTP_GET}, {"put", HTTP_PUT}, {"post", HTTP_POST}, {"delete", HTTP_DELETE}};

static json_t *document;

static int set_up_document(void **state)
{
	json_error_t error;
	int r = set_up(state);

	if (r)
		return r;
	ask("GET /api/openapi.json", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_header("Content-Type: application/json\r\n");
	document = json_loads(client_body(c), JSON_REJECT_DUPLICATES, &error);
	if (!document)
		fail_msg("line %d: %s", error.line, error.text);
	return 0;
}

static int tear_down_document(void **state)
{
	json_decref(document);
	document = NULL;
	return tear_down(state);
}

static json_t *operation_at(const char *path, enum http_method method)
{
	json_t *item = json_object_get(json_object_get(document, "paths"), path);

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (methods[i].method == method)
			return json_object_get(item, methods[i].name);
	return NULL;
}

static const char *text_at(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The template of a row, with a {path} of this length. */
static void template_of(const struct route *route, unsigned length, char out[256])
{
	static const char *const names[] = {"{object}", "{instance}", "{resource}", "{resourceInstance}"};
	const char *at = strstr(route->pattern, "{path}");

	if (!at) {
		snprintf(out, 256, "%s", route->pattern);
		return;
	}
	snprintf(out, 256, "%.*s", (int)(at - route->pattern), route->pattern);
	for (unsigned i = 0; i < length; i++)
		snprintf(out + strlen(out), 256 - strlen(out), "%s%s", i ? "/" : "", names[i]);
	snprintf(out + strlen(out), 256 - strlen(out), "%s", at + strlen("{path}"));
}

static size_t expected_operations(void)
{
	char path[256];
	size_t count = 0;

	for (size_t i = 0; i < http_route_count; i++) {
		const struct route *route = &http_routes[i];

		for (unsigned n = route->path_min; !route->trap && n <= route->path_max; n++, count++) {
			template_of(route, n, path);
			if (strcmp(text_at(operation_at(path, route->method), "summary"), route->description))
				fail_msg("%s is not described", path);
		}
		/* A row of the table that has a {path} says how long it may be. */
		if (!route->trap)
			assert_int_equal(strstr(route->pattern, "{path}") != NULL, route->path_min > 0);
	}
	return count;
}

static void every_route_is_in_it_and_nothing_else(void **state)
{
	const char *path, *method;
	json_t *item, *operation;
	size_t count = 0;

	(void)state;
	json_object_foreach (json_object_get(document, "paths"), path, item)
		json_object_foreach (item, method, operation)
			count++;
	assert_true(count > 40);
	assert_int_equal(count, expected_operations());
}

static void it_tells_which_role_is_needed(void **state)
{
	json_t *open = json_object_get(operation_at("/healthz", HTTP_GET), "security");
	json_t *read = json_object_get(operation_at("/api/clients", HTTP_GET), "security");
	json_t *admin = json_object_get(operation_at("/api/tokens", HTTP_POST), "security");

	(void)state;
	assert_int_equal(json_array_size(open), 1);
	assert_int_equal(json_object_size(json_array_get(open, 0)), 0);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(json_array_get(read, 0), "token"), 0)),
		"read");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(json_array_get(admin, 0), "token"), 0)),
		"admin");
	assert_non_null(json_object_get(
		json_object_get(json_object_get(document, "components"), "securitySchemes"), "token"));
}

/* A target that fits a template: each parameter becomes a number. */
static void target_of(const char *path, char out[256])
{
	size_t len = 0;

	for (; *path; path++) {
		if (*path == '{') {
			out[len++] = '1';
			path += strcspn(path, "}");
		} else {
			out[len++] = *path;
		}
	}
	out[len] = 0;
}

static void check_leads_back(const char *path, json_t *item, struct arena *arena)
{
	char text[256];

	target_of(path, text);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		json_t *operation = json_object_get(item, methods[i].name);
		struct target target;
		struct route_match m;

		if (!operation)
			continue;
		assert_int_equal(target_parse(span_str(text), arena, &target), 0);
		m = route_find(http_routes, http_route_count, methods[i].method, &target);
		if (!m.route || m.route->trap)
			fail_msg("%s %s leads nowhere", methods[i].name, path);
		assert_string_equal(m.route->description, text_at(operation, "summary"));
	}
}

static void each_of_its_paths_leads_to_the_route_it_describes(void **state)
{
	_cleanup_arena_ struct arena arena;
	const char *path;
	json_t *item;

	(void)state;
	arena_init(&arena, 1 << 20);
	json_object_foreach (json_object_get(document, "paths"), path, item)
		check_leads_back(path, item, &arena);
}

/* Each parameter of the template is there, and no other of the path. */
static void check_parameters(const char *path, json_t *operation)
{
	json_t *list = json_object_get(operation, "parameters"), *p;
	size_t in_path = 0, braces = 0, i;
	char place[64];

	for (const char *at = path; (at = strchr(at, '{')); at++)
		braces++;
	json_array_foreach (list, i, p) {
		assert_true(text_at(p, "description")[0] != 0);
		assert_non_null(json_object_get(json_object_get(p, "schema"), "type"));
		if (strcmp(text_at(p, "in"), "path") != 0)
			continue;
		in_path++;
		snprintf(place, sizeof(place), "{%s}", text_at(p, "name"));
		assert_non_null(strstr(path, place));
		assert_true(json_is_true(json_object_get(p, "required")));
	}
	assert_int_equal(in_path, braces);
}

static void parameters_bodies_and_answers_are_told(void **state)
{
	const char *path, *method;
	json_t *item, *operation, *ids = json_object();

	(void)state;
	json_object_foreach (json_object_get(document, "paths"), path, item) {
		json_object_foreach (item, method, operation) {
			const char *id = text_at(operation, "operationId");

			check_parameters(path, operation);
			assert_true(id[0] != 0 && !json_object_get(ids, id));
			json_object_set_new(ids, id, json_true());
			assert_int_equal(json_object_size(json_object_get(operation, "responses")), 2);
		}
	}
	json_decref(ids);
	operation = operation_at("/api/clients/{ep}/{object}/{instance}/{resource}", HTTP_PUT);
	assert_int_equal(json_array_size(json_object_get(operation, "parameters")), 4 + 4);
	item = json_object_get(json_object_get(operation, "requestBody"), "content");
	assert_string_equal(
		text_at(json_object_get(json_object_get(item, "application/json"), "schema"), "$ref"),
		"#/components/schemas/Node");
	assert_non_null(json_object_get(item, "text/plain"));
	assert_null(operation_at("/api/clients/{ep}/{object}", HTTP_PUT));
	assert_null(operation_at("/api/clients/{ep}/{object}", HTTP_DELETE));
	assert_non_null(operation_at("/api/clients/{ep}/{object}/{instance}", HTTP_DELETE));
	assert_null(json_object_get(operation_at("/api/clients", HTTP_GET), "requestBody"));
}

/* All that is referred to is there. */
static void check_references(json_t *at)
{
	enum { DEEP = 100000 };
	static json_t *todo[DEEP];
	size_t left = 0, found = 0;

	todo[left++] = at;
	while (left > 0) {
		json_t *v = todo[--left], *child;
		const char *name;
		size_t i;

		assert_true(left < DEEP - 100);
		json_array_foreach (v, i, child)
			todo[left++] = child;
		json_object_foreach (v, name, child) {
			char kind[16], which[64];

			todo[left++] = child;
			if (strcmp(name, "$ref") != 0)
				continue;
			found++;
			assert_int_equal(
				sscanf(json_string_value(child), "#/components/%15[a-z]/%63s", kind, which),
				2);
			v = json_object_get(json_object_get(json_object_get(document, "components"), kind),
					    which);
			if (!v)
				fail_msg("%s is not there", json_string_value(child));
			break;
		}
	}
	assert_true(found > 50);
}

static void what_it_refers_to_is_there(void **state)
{
	(void)state;
	assert_string_equal(text_at(document, "openapi"), "3.1.0");
	check_references(document);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_document, tear_down_document)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_route_is_in_it_and_nothing_else),
		TEST(each_of_its_paths_leads_to_the_route_it_describes),
		TEST(parameters_bodies_and_answers_are_told),
		TEST(it_tells_which_role_is_needed),
		TEST(what_it_refers_to_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
