/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* One client of the listener in a test: it asks, the test plays the device manager, the answer is looked at.
 */

#include "http_bench.h"

static struct client *c;

static inline int set_up(void **state)
{
	int r = bench_set_up(state);

	if (r == 0) {
		bench_start();
		c = client_open();
	}
	return r;
}

static inline int tear_down(void **state)
{
	if (c)
		client_close(c);
	c = NULL;
	return bench_tear_down(state);
}

/* One request on a connection of its own, answered at once. */
static inline void ask(const char *line, const char *more)
{
	client_close(c);
	c = client_open();
	client_ask(c, line, more);
	WAIT_FOR(client_complete(c));
}

static inline void assert_answer(int status, const char *body)
{
	assert_int_equal(client_status(c), status);
	assert_string_equal(client_body(c), body);
}

static inline void assert_header(const char *line)
{
	if (!strcasestr(c->data, line))
		fail_msg("no %s in %s", line, c->data);
}

/* A request that waits for the device manager. */
static inline void begin(const char *line, const char *more)
{
	size_t before = bench.requests;

	bench.request = (struct lwm2m_request){0};
	client_close(c);
	c = client_open();
	client_ask(c, line, more);
	WAIT_FOR(bench.requests > before);
	assert_int_equal(client_status(c), 0);
}

static inline void end(struct lwm2m_answer answer)
{
	bench_answer(answer);
	WAIT_FOR(client_complete(c));
}

static inline void assert_request(enum lwm2m_operation operation, const char *path)
{
	char text[PATH_TEXT];

	assert_int_equal(bench.request.operation, operation);
	assert_string_equal(path_format(&bench.request.path, text), path);
	assert_string_equal(bench.endpoint, "dev-1");
}

static inline const char *json_body(const char *text)
{
	static char more[8192];

	snprintf(more, sizeof(more), "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(text), text);
	return more;
}

static const struct lwm2m_answer changed = {.code = COAP_CHANGED};

#define CHANGED "{\"status\":\"CHANGED(204)\",\"valid\":true,\"success\":true,\"failure\":false}"
