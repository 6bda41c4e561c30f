/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The command line of shoal-sim, and the summary that programs read. */

#include "sim/report.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TEXT_MAX = 16384 };

struct parsed {
	struct sim_options options;
	int rc;
	char out[TEXT_MAX], error[TEXT_MAX];
};

/* Splits `line` at spaces. The caller deinits the options. */
static void parse(struct parsed *p, const char *line)
{
	_cleanup_free_ char *words = strdup(line);
	char *argv[16];
	int argc = 0;
	FILE *out, *error;

	memset(p, 0, sizeof(*p));
	out = fmemopen(p->out, sizeof(p->out), "w");
	error = fmemopen(p->error, sizeof(p->error), "w");
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	p->rc = sim_options_parse(&p->options, argc, argv, out, error);
	fclose(out);
	fclose(error);
}

static void test_defaults(void **state)
{
	static struct parsed p;
	char address[ADDRESS_TEXT];

	(void)state;
	parse(&p, "");
	assert_int_equal(p.rc, OPTIONS_RUN);
	assert_string_equal(address_format(&p.options.address, address), "127.0.0.1:5683");
	assert_string_equal(p.options.prefix, "sim");
	assert_int_equal(p.options.count, 10);
	assert_int_equal(p.options.instances, 1);
	assert_int_equal(p.options.send_ms, 0);
	assert_int_equal(p.options.lifetime_ms, 300000);
	assert_null(p.options.ledger);
	assert_true(p.options.deregister);
	assert_false(p.options.stay);
	assert_false(p.options.confirmable);
	assert_int_equal(sim_options_lwm2m(&p.options).major, 1);
	assert_int_equal(sim_options_lwm2m(&p.options).minor, 1);
	sim_options_deinit(&p.options);
}

static void test_options(void **state)
{
	static struct parsed p;
	char address[ADDRESS_TEXT];

	(void)state;
	parse(&p, "-n 5000 --server coap://[::1]:7000 --lwm2m 1.0 --con --no-deregister --ledger /x/y "
		  "--notify-interval 250ms --loss 7 --lifetime 1h");
	assert_int_equal(p.rc, OPTIONS_RUN);
	assert_int_equal(p.options.count, 5000);
	assert_string_equal(address_format(&p.options.address, address), "[::1]:7000");
	assert_int_equal(sim_options_lwm2m(&p.options).minor, 0);
	assert_true(p.options.confirmable);
	assert_false(p.options.deregister);
	assert_string_equal(p.options.ledger, "/x/y");
	assert_int_equal(p.options.notify_ms, 250);
	assert_int_equal(p.options.loss_percent, 7);
	assert_int_equal(p.options.lifetime_ms, 3600000);
	sim_options_deinit(&p.options);
	/* A name, which resolves everywhere, with and without port. */
	parse(&p, "--server localhost:7001");
	assert_int_equal(p.rc, OPTIONS_RUN);
	assert_int_equal(p.options.address.port, 7001);
	assert_true(address_is_loopback(&p.options.address));
	sim_options_deinit(&p.options);
	parse(&p, "--server coap://localhost/");
	assert_int_equal(p.rc, OPTIONS_RUN);
	assert_int_equal(p.options.address.port, 5683);
	sim_options_deinit(&p.options);
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"--count 0", "--count"},
		{"--count many", "--count"},
		{"--loss 101", "--loss"},
		{"--instances 1001", "--instances"},
		{"--send-interval 5s --lwm2m 1.0", "has no Send"},
		{"--lwm2m 2.0", "--lwm2m"},
		{"--lifetime 300", "--lifetime"},
		{"--frobnicate", "--frobnicate"},
		{"--server coaps://127.0.0.1", "needs one of"},
		{"--coaps", "needs one of"},
		{"--psk a:00", "for DTLS"},
		{"--coaps --server coap://127.0.0.1 --psk a:00", "coaps://127.0.0.1:5684"},
		{"--coaps --psk a:00 --key k.pem", "only one"},
		{"--coaps --key k.pem --certificate", "--certificate"},
		{"--coaps --psk a:00 --certificate c.pem", "needs --key"},
		{"--coaps --psk a:00 --cid 9", "0 to 8"},
		{"--coaps --psk a:00 --cid none", "or off"},
		{"--write-credentials x", "there are none"},
		{"--server coap://127.0.0.1:x", "expected a URI"},
		{"--prefix=", "1 to 200 characters"},
	};
	static struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parse(&p, cases[i].line);
		if (p.rc != -EINVAL || !strstr(p.error, cases[i].says))
			fail_msg("%s: %d, \"%s\" does not say \"%s\"", cases[i].line, p.rc, p.error,
				 cases[i].says);
		sim_options_deinit(&p.options);
	}
}

static void test_help(void **state)
{
	static const char *const names[] = {"--server", "--count",	   "--rate",
					    "--ledger", "--no-deregister", "--json"};
	static struct parsed p;

	(void)state;
	parse(&p, "--help");
	assert_int_equal(p.rc, OPTIONS_SHOWN);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(strstr(p.out, names[i]));
	sim_options_deinit(&p.options);
	parse(&p, "--version");
	assert_int_equal(p.rc, OPTIONS_SHOWN);
	assert_non_null(strstr(p.out, "shoal-sim "));
	sim_options_deinit(&p.options);
}

static json_int_t member(json_t *json, const char *name)
{
	json_t *value = json_object_get(json, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void test_dtls(void **state)
{
	static const struct {
		const char *line, *address;
		int own_cid_len;
	} cases[] = {
		{"--coaps --psk {ep}:00", "127.0.0.1:5684", 0},
		{"--coaps --psk {ep}:00 -s 127.0.0.2", "127.0.0.2:5684", 0},
		{"--psk {ep}:00 -s coaps://[::1]:7000 --cid 8", "[::1]:7000", 8},
		{"--raw-keys 00 -s coaps://localhost:7 --cid off", "127.0.0.1:7", -1},
		{"--raw-keys 00 --write-credentials f", "127.0.0.1:5683", 0},
	};
	static struct parsed p;
	char address[ADDRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parse(&p, cases[i].line);
		if (p.rc != OPTIONS_RUN || !p.options.coaps)
			fail_msg("%s: %d, \"%s\"", cases[i].line, p.rc, p.error);
		if (p.options.address.family == 4 || i != 3)
			assert_string_equal(address_format(&p.options.address, address), cases[i].address);
		assert_int_equal(p.options.own_cid_len, cases[i].own_cid_len);
		sim_options_deinit(&p.options);
	}
}

static void test_summary(void **state)
{
	static struct sim_options options = {.seed = 42};
	static struct fleet fleet = {.options = &options, .device_count = 3, .ended_ms = 5000};
	char text[TEXT_MAX];
	FILE *to = fmemopen(text, sizeof(text), "w");
	json_t *json;

	(void)state;
	fleet.sim.begun_ms = 1000;
	fleet.sim.stats.updates = 7;
	fleet.sim.stats.refused_by_server[COAP_NOT_FOUND] = 2;
	fleet.sim.stats.refused_by_server[COAP_FORBIDDEN] = 1;
	fleet.sim.stats.handshakes = 5;
	fleet.sim.stats.handshakes_failed[DTLS_WRONG_KEY] = 9;
	fleet.lost_in = 3;
	fleet.lost_out = 4;
	report_summary(&fleet, true, to);
	fclose(to);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_true(json_real_value(json_object_get(json, "seconds")) == 4);
	assert_int_equal(member(json, "seed"), 42);
	assert_int_equal(member(json, "devices"), 3);
	assert_int_equal(member(json, "updated"), 7);
	assert_int_equal(member(json, "datagramsLost"), 7);
	assert_int_equal(member(json_object_get(json, "errorsFromServer"), "4.04"), 2);
	assert_int_equal(member(json_object_get(json, "errorsFromServer"), "4.03"), 1);
	assert_int_equal(json_object_size(json_object_get(json, "errorsToServer")), 0);
	assert_int_equal(member(json, "handshakes"), 5);
	assert_int_equal(json_object_size(json_object_get(json, "handshakesFailed")), 1);
	assert_int_equal(member(json_object_get(json, "handshakesFailed"), "wrong_key"), 9);
	json_decref(json);
	to = fmemopen(text, sizeof(text), "w");
	report_summary(&fleet, false, to);
	fclose(to);
	assert_non_null(strstr(text, "           7  updates acknowledged\n"));
	assert_non_null(strstr(text, "           2  errors from the server: 4.04 Not Found\n"));
	assert_non_null(strstr(text, "           9  handshakes failed: wrong_key\n"));
	assert_null(strstr(text, "malformed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_options),
		cmocka_unit_test(test_refused),	 cmocka_unit_test(test_help),
		cmocka_unit_test(test_dtls),	 cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
