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
	uint32_t drained;
	char changed[32];
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

static bool far_node(void *ctx, size_t index, struct http_node *out)
{
	(void)ctx;
	*out = (struct http_node){
		.id = (uint32_t)index + 1,
		.incarnation = 70 + index,
		.leaving = index == 1,
		.left_ms = 2500,
		.slots = 4096 * (index == 0),
		.link = {.ip = {192, 0, 2, (uint8_t)(index + 1)}, .port = 5685, .family = 4},
		.version = "1.2.3"};
	return index < 2;
}

static bool far_settling(void *ctx)
{
	(void)ctx;
	return true;
}

static int far_drain(void *ctx, uint32_t node)
{
	(void)ctx;
	far.drained = node;
	return far.refuse;
}

static void far_changed(void *ctx, enum store_document kind, struct span name)
{
	(void)ctx;
	assert_int_equal(kind, STORE_MODEL);
	snprintf(far.changed, sizeof(far.changed), "%.*s", (int)name.len, (const char *)name.data);
}

static const struct http_cluster cluster = {NULL,	  far_where, far_pass,	 far_node,
					    far_settling, far_drain, far_changed};

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

/* ---- the list, from the store ---- */

static void walked(const char *endpoint, bool present, uint64_t seen_ms)
{
	struct registration registration = {.present = present,
					    .id = "a1B2c3D4e5",
					    .registered_ms = 1700000000000,
					    .address = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4},
					    .lifetime_s = 300,
					    .lwm2m = {1, 1},
					    .binding = span_str("UQ"),
					    .queue_mode = true,
					    .links = span_str("</1/0>,</3/0>")};
	_cleanup_buffer_ struct buffer record = buffer_of(65536);
	struct store_device d = {.key = {STORE_MANAGEMENT, span_str(endpoint)}, .hot = {.seen_ms = seen_ms}};

	assert_int_equal(registration_encode(&registration, NULL, 0, &record), 0);
	d.record = buffer_span(&record);
	bench_look.walk(bench_look.ctx, STORE_DONE, &d, 0);
}

static void page_ends(int result, uint64_t next)
{
	store_walk_fn *walk = bench_look.walk;

	bench_look.walk = NULL;
	walk(bench_look.ctx, result, NULL, next);
}

static void begin_list(void)
{
	client_close(c);
	c = client_open();
	client_ask(c, "GET /api/clients", "\r\n");
	WAIT_FOR(bench_look.walk);
}

static void the_list_is_that_of_all_nodes(void **state)
{
	(void)state;
	begin_list();
	assert_int_equal(bench_look.cursor, 0);
	walked("far-1", true, bench_wall_ms() - 92000);
	walked("gone", false, 1);
	page_ends(STORE_ABSENT, 17);
	WAIT_FOR(bench_look.walk);
	assert_int_equal(bench_look.cursor, 17);
	WAIT_FOR(client_has(c, "\"endpoint\":\"far-1\""));
	assert_false(client_complete(c));
	page_ends(STORE_ABSENT, 18);
	WAIT_FOR(bench_look.walk);
	walked("far-2", true, bench_wall_ms() - 94000);
	walked("dev-1", true, 1);
	page_ends(STORE_ABSENT, 0);
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 200);
	assert_null(strstr(c->data, "\"gone\""));
	assert_non_null(strstr(c->data, "[{\"endpoint\":\"far-1\""));
	assert_non_null(strstr(c->data, "}]"));
	/* By the time since it was seen; of what is here it is known. */
	assert_non_null(strstr(strstr(c->data, "far-1"), "\"sleeping\":false"));
	assert_true(strstr(strstr(c->data, "far-2"), "\"sleeping\":true") < strstr(c->data, "dev-1"));
	assert_non_null(strstr(strstr(c->data, "dev-1"), "\"sleeping\":false"));
	assert_int_equal(far.asked, 0);
}

static void a_list_without_a_store_is_refused(void **state)
{
	(void)state;
	begin_list();
	page_ends(-ETIMEDOUT, 0);
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 503);
	bench_look.refuse = -ENOMEM;
	ask("GET /api/clients", "\r\n");
	assert_int_equal(client_status(c), 503);
}

static void a_list_that_cannot_go_on_ends_in_the_middle(void **state)
{
	(void)state;
	begin_list();
	walked("far-1", true, 1);
	page_ends(STORE_ABSENT, 1);
	WAIT_FOR(bench_look.walk);
	walked("far-2", true, 1);
	page_ends(-ETIMEDOUT, 0);
	WAIT_FOR(client_ended(c));
	assert_null(strstr(c->data, "]\r\n0\r\n"));
}

static void a_client_leaves_its_list(void **state)
{
	size_t walks;

	(void)state;
	begin_list();
	client_close(c);
	c = client_open();
	bench_pass(50);
	walked("far-1", true, 1);
	page_ends(STORE_ABSENT, 1);
	bench_pass(50);
	assert_int_equal(bench_look.walks, 1);
	begin_list();
	page_ends(STORE_ABSENT, 1);
	WAIT_FOR(bench_look.walk);
	walks = bench_look.walks;
	client_close(c);
	c = client_open();
	bench_pass(50);
	walked("far-1", true, 1);
	page_ends(STORE_ABSENT, 2);
	bench_pass(50);
	assert_int_equal(bench_look.walks, walks);
}

static void a_stop_ends_lists(void **state)
{
	(void)state;
	bench_stop();
	bench.closed = false;
	bench.config.stop_ms = 100;
	bench_start();
	begin_list();
	page_ends(STORE_ABSENT, 1);
	WAIT_FOR(bench_look.walk);
	bench_stop();
	page_ends(-ESHUTDOWN, 0);
}

/* ---- the nodes ---- */

static void tells_the_nodes(void **state)
{
	(void)state;
	bench_look.silent_ms = 5;
	ask("GET /api/cluster", "\r\n");
	assert_answer(200, "{\"node\":1,\"cluster\":true,\"partitions\":256,\"storeAway\":true,"
			   "\"settling\":true,\"nodes\":[{\"id\":1,\"incarnation\":70,\"state\":\"up\","
			   "\"version\":\"1.2.3\",\"link\":\"192.0.2.1:5685\",\"slots\":4096,"
			   "\"leaseLeftMs\":2500,\"devices\":1,\"self\":true},{\"id\":2,\"incarnation\":71,"
			   "\"state\":\"leaving\",\"version\":\"1.2.3\",\"link\":\"192.0.2.2:5685\","
			   "\"slots\":0,\"leaseLeftMs\":2500,\"self\":false}]}");
}

static void owned_by(const char *line, int result, struct store_fence fence)
{
	const struct store_device d = {.hot = {.fence = fence}};
	store_device_fn *find;

	client_close(c);
	c = client_open();
	client_ask(c, line, "\r\n");
	WAIT_FOR(bench_look.find);
	find = bench_look.find;
	bench_look.find = NULL;
	find(bench_look.ctx, result, result == STORE_DONE ? &d : NULL);
	WAIT_FOR(client_complete(c));
}

static void tells_whose_a_device_is(void **state)
{
	(void)state;
	owned_by("GET /api/clients/far/owner", STORE_DONE, (struct store_fence){2, 9, 71});
	assert_string_equal(bench_look.endpoint, "far");
	assert_answer(200, "{\"ep\":\"far\",\"node\":2,\"incarnation\":71,\"generation\":9,\"live\":true}");
	owned_by("GET /api/clients/dev-1/owner", STORE_DONE, (struct store_fence){2, 9, 70});
	assert_non_null(strstr(client_body(c), "\"live\":false"));
	owned_by("GET /api/clients/dev-1/owner", STORE_ABSENT, (struct store_fence){0});
	assert_int_equal(client_status(c), 404);
	owned_by("GET /api/clients/dev-1/owner", -ETIMEDOUT, (struct store_fence){0});
	assert_int_equal(client_status(c), 503);
	/* Nobody was asked for it, so nobody has taken it. */
	assert_int_equal(far.asked, 0);
}

static void drain(const char *id, int result, int status)
{
	char line[64];

	far.refuse = result;
	snprintf(line, sizeof(line), "POST /api/cluster/nodes/%s/drain", id);
	ask(line, "Content-Length: 0\r\n\r\n");
	assert_int_equal(client_status(c), status);
}

static void sends_devices_away(void **state)
{
	(void)state;
	drain("2", 0, 202);
	assert_int_equal(far.drained, 2);
	drain("3", -ENOENT, 404);
	drain("2", -EBUSY, 409);
	drain("2", -ENOTCONN, 503);
	drain("x", -ENOENT, 404);
	assert_int_equal(far.drained, 0);
}

static void alone_it_is_a_cluster_of_one(void **state)
{
	(void)state;
	bench_stop();
	bench.closed = false;
	bench.config.cluster = NULL;
	bench_start();
	ask("GET /api/cluster", "\r\n");
	assert_int_equal(client_status(c), 200);
	assert_non_null(strstr(client_body(c), "{\"node\":1,\"cluster\":false,"));
	assert_non_null(strstr(client_body(c), "\"nodes\":[{\"id\":1,\"incarnation\":70,\"state\":\"up\","));
	owned_by("GET /api/clients/dev-1/owner", STORE_DONE, (struct store_fence){1, 1, 70});
	assert_non_null(strstr(client_body(c), "\"live\":true"));
	drain("1", 0, 409);
	drain("2", 0, 404);
}

static void the_others_hear_of_definitions(void **state)
{
	static const char xml[] =
		"<LWM2M><Object><Name>Pump</Name><ObjectID>33000</ObjectID><ObjectVersion>1.1</ObjectVersion>"
		"<MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Resources/></"
		"Object></LWM2M>";
	char more[1024];

	(void)state;
	snprintf(more, sizeof(more), "Content-Type: application/xml\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(xml), xml);
	client_ask(c, "PUT /api/models", more);
	WAIT_FOR(bench.document_done);
	assert_string_equal(far.changed, "");
	bench_finish_document(STORE_DONE);
	WAIT_FOR(client_complete(c));
	assert_int_equal(client_status(c), 200);
	assert_string_equal(far.changed, "33000/1.1");
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
		TEST(the_others_hear_of_definitions),
		TEST(a_stop_answers_what_was_passed_on),
		TEST(the_list_is_that_of_all_nodes),
		TEST(a_list_without_a_store_is_refused),
		TEST(a_list_that_cannot_go_on_ends_in_the_middle),
		TEST(a_client_leaves_its_list),
		TEST(a_stop_ends_lists),
		TEST(tells_the_nodes),
		TEST(tells_whose_a_device_is),
		TEST(sends_devices_away),
		TEST(alone_it_is_a_cluster_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
