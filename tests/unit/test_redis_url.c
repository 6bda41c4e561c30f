/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* URLs of Redis: every part, and what is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/redis_url.h"

static void every_part_is_taken(void **state)
{
	static const struct {
		const char *url, *host, *path, *user, *prefix;
		unsigned port, db;
		bool tls;
	} cases[] = {
		{"redis://host", "host", NULL, NULL, "shoal:", 6379, 0, false},
		{"redis://host/", "host", NULL, NULL, "shoal:", 6379, 0, false},
		{"redis://host:7000/3", "host", NULL, NULL, "shoal:", 7000, 3, false},
		{"rediss://me@host:7000", "host", NULL, "me", "shoal:", 7000, 0, true},
		{"redis://192.0.2.1:1?prefix=a", "192.0.2.1", NULL, NULL, "a:", 1, 0, false},
		{"redis://[2001:db8::1]", "2001:db8::1", NULL, NULL, "shoal:", 6379, 0, false},
		{"redis://[2001:db8::1]:65535/1?prefix=my.one-x_y", "2001:db8::1", NULL, NULL,
		 "my.one-x_y:", 65535, 1, false},
		{"redis+unix:///run/redis.sock", NULL, "/run/redis.sock", NULL, "shoal:", 0, 0, false},
		{"redis+unix:///run/r.sock?db=5&prefix=b", NULL, "/run/r.sock", NULL, "b:", 0, 5, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct redis_target t;
		const char *wrong = redis_url_parse(cases[i].url, &t);

		if (wrong)
			fail_msg("%s: %s", cases[i].url, wrong);
		if (cases[i].host)
			assert_string_equal(t.host, cases[i].host);
		if (cases[i].path)
			assert_string_equal(t.path, cases[i].path);
		if (cases[i].user)
			assert_string_equal(t.user, cases[i].user);
		assert_int_equal(!cases[i].host, !t.host);
		assert_int_equal(!cases[i].path, !t.path);
		assert_int_equal(!cases[i].user, !t.user);
		assert_string_equal(t.prefix, cases[i].prefix);
		assert_int_equal(t.port, cases[i].port);
		assert_int_equal(t.db, cases[i].db);
		assert_int_equal(t.tls, cases[i].tls);
		redis_target_deinit(&t);
	}
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const char *const wrong[] = {
		"redis:",
		"redis:host",
		"redis://",
		"redis:///1",
		"redis://@",
		"redis://:6379",
		"redis://host:",
		"redis://host:0",
		"redis://host:65536",
		"redis://host:1x",
		"redis://[::1",
		"redis://[::1]x",
		"redis://[]",
		"redis://user:secret@host",
		"redis://host/db",
		"redis://host/-1",
		"redis://host?prefix=",
		"redis://host?prefix=a{b}",
		"redis://host?prefix=abcdefghijklmnopqrstuvwxyzabcdef",
		"redis://host?db=x",
		"redis://host?what=1",
		"redis+unix://relative/path",
		"redis+unix:///",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct redis_target t;
		const char *words = redis_url_parse(wrong[i], &t);

		if (!words)
			fail_msg("%s was taken", wrong[i]);
		redis_target_deinit(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_taken),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
