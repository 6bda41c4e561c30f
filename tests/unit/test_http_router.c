/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Request targets, the matching of routes, and the headers that tell what a web page may have caused. */

#include "http/router.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "http/guard.h"

struct http_request {
	int unused;
};

static void handler_a(struct http_request *r)
{
	(void)r;
}

static struct arena arena;
static struct target target;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 65536);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_deinit(&arena);
	return 0;
}

static int parse(const char *text)
{
	return target_parse(span_str(text), &arena, &target);
}

static void assert_segments(const char *const *expected, size_t count)
{
	assert_int_equal(target.segment_count, count);
	for (size_t i = 0; i < count; i++)
		assert_true(span_is(target.segments[i], expected[i]));
}

static void takes_a_path_apart(void **state)
{
	(void)state;
	assert_int_equal(parse("/api/clients/dev-1/3/0"), 0);
	assert_segments((const char *[]){"api", "clients", "dev-1", "3", "0"}, 5);
	assert_false(target.trailing_slash);
	assert_false(target.has_empty);
	assert_int_equal(parse("/"), 0);
	assert_int_equal(target.segment_count, 0);
	assert_false(target.trailing_slash);
}

static void notes_empty_segments(void **state)
{
	(void)state;
	assert_int_equal(parse("/api/clients/"), 0);
	assert_segments((const char *[]){"api", "clients"}, 2);
	assert_true(target.trailing_slash);
	assert_false(target.has_empty);
	assert_int_equal(parse("/api/clients/e/3//0"), 0);
	assert_segments((const char *[]){"api", "clients", "e", "3", "0"}, 5);
	assert_true(target.has_empty);
	assert_false(target.trailing_slash);
	assert_int_equal(parse("/a//"), 0);
	assert_true(target.has_empty);
	assert_true(target.trailing_slash);
}

static void decodes_each_segment_by_itself(void **state)
{
	(void)state;
	assert_int_equal(parse("/a%2Fb/%00x/c%c3%bc/+/%2e%2E/.."), 0);
	assert_int_equal(target.segment_count, 6);
	assert_true(span_is(target.segments[0], "a/b"));
	assert_true(span_equal(target.segments[1], span_of("\0x", 2)));
	assert_true(span_is(target.segments[2], "c\xC3\xBC"));
	assert_true(span_is(target.segments[3], "+"));
	assert_true(span_is(target.segments[4], ".."));
	assert_true(span_is(target.segments[5], ".."));
}

static void refuses_bad_targets(void **state)
{
	static const char *const bad[] = {"",	  "x",	   "*",	     "/%",	 "/%1",	   "/%zz",
					  "/a%2", "/?a=%", "/?%4=b", "ftp://h/", "/?a=b%2"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i]), -EINVAL);
}

static void bounds_segments_and_parameters(void **state)
{
	(void)state;
	assert_int_equal(parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"), 0);
	assert_int_equal(parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"), -E2BIG);
	assert_int_equal(parse("/?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a"), 0);
	assert_int_equal(target.param_count, 32);
	assert_int_equal(parse("/?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a"),
			 -E2BIG);
}

static void understands_the_absolute_form(void **state)
{
	(void)state;
	assert_int_equal(parse("http://localhost:8080/api/event?ep=x"), 0);
	assert_segments((const char *[]){"api", "event"}, 2);
	assert_true(span_is(target_find(&target, "ep")->value, "x"));
	assert_int_equal(parse("HTTP://localhost"), 0);
	assert_int_equal(target.segment_count, 0);
	assert_int_equal(parse("https://localhost/x"), 0);
	assert_segments((const char *[]){"x"}, 1);
}

static void reads_the_query(void **state)
{
	(void)state;
	assert_int_equal(parse("/x?timeout=10&active&ep=a+b%2B&&=v&ep=second#fragment"), 0);
	assert_true(span_is(target.query, "timeout=10&active&ep=a+b%2B&&=v&ep=second"));
	assert_int_equal(target.param_count, 5);
	assert_true(span_is(target_find(&target, "timeout")->value, "10"));
	assert_int_equal(target_find(&target, "active")->value.len, 0);
	assert_true(span_is(target_find(&target, "ep")->value, "a b+"));
	assert_null(target_find(&target, "nothing"));
	assert_int_equal(parse("/x"), 0);
	assert_int_equal(target.query.len, 0);
}

static const struct route routes[] = {
	{.method = HTTP_GET, .pattern = "/", .handler = handler_a, .description = "root"},
	{.method = HTTP_GET, .pattern = "/api/clients", .handler = handler_a, .description = "list"},
	{.method = HTTP_GET, .pattern = "/api/clients/{ep}", .handler = handler_a, .description = "one"},
	{.method = HTTP_DELETE,
	 .pattern = "/api/clients/{ep}",
	 .handler = handler_a,
	 .description = "remove"},
	{.method = HTTP_GET,
	 .pattern = "/api/clients/{ep}/{path}/discover",
	 .handler = handler_a,
	 .description = "discover"},
	{.method = HTTP_GET,
	 .pattern = "/api/clients/{ep}/{path}",
	 .handler = handler_a,
	 .description = "read"},
	{.method = HTTP_POST,
	 .pattern = "/api/clients/{ep}/{path}/observe",
	 .handler = handler_a,
	 .description = "observe"},
	{.method = HTTP_POST,
	 .pattern = "/api/clients/{ep}/{object}/{instance}/{resource}",
	 .handler = handler_a,
	 .description = "execute"},
	{.method = HTTP_POST,
	 .pattern = "/api/clients/{ep}/{object}",
	 .handler = handler_a,
	 .description = "create"},
};

static struct route_match match(enum http_method method, const char *text)
{
	assert_int_equal(parse(text), 0);
	return route_find(routes, ARRAY_SIZE(routes), method, &target);
}

static void finds_the_route(void **state)
{
	static const struct {
		enum http_method method;
		const char *target, *name, *ep;
		size_t first, count;
	} cases[] = {
		{HTTP_GET, "/", "root", "", 0, 0},
		{HTTP_GET, "/api/clients", "list", "", 0, 0},
		{HTTP_GET, "/api/clients/x", "one", "x", 0, 0},
		{HTTP_GET, "/api/clients/x/3", "read", "x", 3, 1},
		{HTTP_GET, "/api/clients/x/3/0/1/2", "read", "x", 3, 4},
		{HTTP_GET, "/api/clients/x/3/0/discover", "discover", "x", 3, 2},
		{HTTP_GET, "/api/clients/x/discover", "read", "x", 3, 1},
		{HTTP_GET, "/api/clients/discover", "one", "discover", 0, 0},
		{HTTP_POST, "/api/clients/x/3/observe", "observe", "x", 3, 1},
		{HTTP_POST, "/api/clients/x/observe", "create", "x", 3, 1},
		{HTTP_POST, "/api/clients/x/3/0/4", "execute", "x", 3, 3},
		{HTTP_POST, "/api/clients/x/3/0/observe", "observe", "x", 3, 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct route_match m = match(cases[i].method, cases[i].target);

		assert_non_null(m.route);
		assert_string_equal(m.route->description, cases[i].name);
		assert_true(span_is(m.ep, cases[i].ep));
		assert_int_equal(m.path_count, cases[i].count);
		assert_int_equal(m.path_first, cases[i].first);
	}
}

static void tells_404_from_405(void **state)
{
	struct route_match m;

	(void)state;
	m = match(HTTP_GET, "/nothing");
	assert_null(m.route);
	assert_int_equal(m.allowed, 0);
	m = match(HTTP_GET, "/api");
	assert_null(m.route);
	assert_int_equal(m.allowed, 0);
	m = match(HTTP_PUT, "/api/clients/x");
	assert_null(m.route);
	assert_int_equal(m.allowed, HTTP_GET | HTTP_DELETE);
	m = match(HTTP_GET, "/api/clients/x/3/0/4");
	assert_int_equal(m.allowed, HTTP_GET | HTTP_POST);
}

static void knows_methods(void **state)
{
	char text[METHODS_TEXT];
	bool head;

	(void)state;
	assert_int_equal(method_parse("GET", &head), HTTP_GET);
	assert_false(head);
	assert_int_equal(method_parse("HEAD", &head), HTTP_GET);
	assert_true(head);
	assert_int_equal(method_parse("DELETE", &head), HTTP_DELETE);
	assert_false(head);
	assert_int_equal(method_parse("PATCH", &head), 0);
	assert_int_equal(method_parse("get", &head), 0);
	assert_string_equal(methods_format(HTTP_GET | HTTP_POST, text), "GET, HEAD, POST");
	assert_string_equal(methods_format(HTTP_PUT | HTTP_DELETE, text), "PUT, DELETE");
	assert_string_equal(methods_format(0, text), "");
}

static void knows_local_hosts(void **state)
{
	static const char *const local[] = {"localhost",     "LOCALHOST:8080", "a.localhost", "127.0.0.1",
					    "127.0.0.1:80",  "192.0.2.7:8080", "[::1]",	      "[::1]:8080",
					    "[2001:db8::1]", "x.y.localhost:1"};
	static const char *const other[] = {"",
					    "evil.example",
					    "localhost.evil.example",
					    "evillocalhost",
					    "127.0.0.1.evil.example",
					    "[::1",
					    "[evil]",
					    "localhost:evil",
					    "127.1",
					    ":8080",
					    "localhost:",
					    "localhost:123456",
					    "::1",
					    "[::1]evil"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		assert_true(guard_host_is_local(local[i]));
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		assert_false(guard_host_is_local(other[i]));
}

static void compares_origin_and_host(void **state)
{
	(void)state;
	assert_true(guard_origin_is_host("http://localhost:8080", "localhost:8080"));
	assert_true(guard_origin_is_host("HTTP://LOCALHOST:8080", "localhost:8080"));
	assert_true(guard_origin_is_host("http://[::1]:8080", "[::1]:8080"));
	assert_true(guard_origin_is_host("http://shoal.example", "shoal.example:80"));
	assert_true(guard_origin_is_host("https://shoal.example", "shoal.example"));
	assert_false(guard_origin_is_host("http://localhost:8081", "localhost:8080"));
	assert_false(guard_origin_is_host("http://localhost", "localhost:8080"));
	assert_false(guard_origin_is_host("https://localhost", "localhost:80"));
	assert_false(guard_origin_is_host("http://127.0.0.1:8080", "localhost:8080"));
	assert_false(guard_origin_is_host("http://evil.example", "localhost"));
	assert_false(guard_origin_is_host("http://localhost:8080.evil.example", "localhost:8080"));
	assert_false(guard_origin_is_host("null", "localhost"));
	assert_false(guard_origin_is_host("", "localhost"));
	assert_false(guard_origin_is_host("file://", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_a_path_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(notes_empty_segments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(decodes_each_segment_by_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_bad_targets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds_segments_and_parameters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(understands_the_absolute_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_the_query, set_up, tear_down),
		cmocka_unit_test_setup_teardown(finds_the_route, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_404_from_405, set_up, tear_down),
		cmocka_unit_test(knows_methods),
		cmocka_unit_test(knows_local_hosts),
		cmocka_unit_test(compares_origin_and_host),
	};

	return cmocka_run_group_tests_name("http_router", tests, NULL, NULL);
}
