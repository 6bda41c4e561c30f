/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The command line of shoalctl: options anywhere, negative values, wrong usage, and help of every command. */

#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct parsed {
	struct cli_args args;
	const struct cli_command *command;
	int rc;
	char error[512];
	char words[256]; /* what `args` borrows from */
};

/* Splits `line` at spaces. */
static void parse(struct parsed *p, const char *line)
{
	char *argv[16];
	FILE *error;
	int argc = 0;

	*p = (struct parsed){.rc = 0};
	error = fmemopen(p->error, sizeof(p->error), "w");
	assert_non_null(error);
	snprintf(p->words, sizeof(p->words), "%s", line);
	for (char *word = strtok(p->words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	p->rc = args_parse(argc, argv, cli_commands, cli_command_count, &p->args, &p->command, error);
	fclose(error);
}

static void test_command_and_operands(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "read dev-1 /3/0/0");
	assert_int_equal(p.rc, EXIT_OK);
	assert_string_equal(p.command->name, "read");
	assert_int_equal(p.args.operand_count, 2);
	assert_string_equal(p.args.operands[0], "dev-1");
	assert_string_equal(p.args.operands[1], "/3/0/0");
}

static void test_options_anywhere(void **state)
{
	static const char *const lines[] = {
		"--json --url http://x:1 read dev-1 /3 --timeout 9",
		"read --timeout=9 dev-1 --url=http://x:1 /3 --json",
		"read dev-1 /3 --json --timeout 9 --url http://x:1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct parsed p;

		parse(&p, lines[i]);
		assert_int_equal(p.rc, EXIT_OK);
		assert_int_equal(p.args.operand_count, 2);
		assert_true(args_has(&p.args, OPTION_JSON));
		assert_string_equal(p.args.options[OPTION_URL], "http://x:1");
		assert_string_equal(p.args.options[OPTION_TIMEOUT], "9");
		assert_false(args_has(&p.args, OPTION_FORMAT));
	}
}

/* A value may be negative, and behind "--" it may be anything. */
static void test_values_with_dashes(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "write dev-1 /3303/0/5750 -5");
	assert_int_equal(p.rc, EXIT_OK);
	assert_string_equal(p.args.operands[2], "-5");
	parse(&p, "write dev-1 /3303/0/5750 -- --json");
	assert_int_equal(p.rc, EXIT_OK);
	assert_string_equal(p.args.operands[2], "--json");
	assert_false(args_has(&p.args, OPTION_JSON));
	parse(&p, "write dev-1 /1/0 --file -");
	assert_int_equal(p.rc, EXIT_OK);
	assert_string_equal(p.args.options[OPTION_FILE], "-");
}

static void test_wrong_usage(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"frobnicate", "unknown command \"frobnicate\""},
		{"read --frobnicate dev-1 /3", "unknown option \"--frobnicate\""},
		{"read dev-1 /3 --timeout", "no value behind \"--timeout\""},
		{"list --json=yes", "takes no value"},
		{"read dev-1", "too few operands; usage: shoalctl read EP PATH"},
		{"show dev-1 dev-2", "too many operands"},
		{"list --type string", "list does not take --type"},
		{"remove dev-1 --timeout 5", "remove does not take --timeout"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed p;

		parse(&p, cases[i].line);
		assert_int_equal(p.rc, EXIT_USAGE);
		if (!strstr(p.error, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].line, p.error, cases[i].says);
	}
}

static void test_without_command(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "--version");
	assert_int_equal(p.rc, EXIT_OK);
	assert_null(p.command);
	assert_true(args_has(&p.args, OPTION_VERSION));
	parse(&p, "");
	assert_int_equal(p.rc, EXIT_OK);
	assert_null(p.command);
}

/* Help needs no operands, and tells of each command what the table has. */
static void test_help(void **state)
{
	char text[8192];
	FILE *to;

	(void)state;
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct cli_command *c = &cli_commands[i];
		char line[64];
		struct parsed p;

		snprintf(line, sizeof(line), "%s --help", c->name);
		parse(&p, line);
		assert_int_equal(p.rc, EXIT_OK);
		assert_ptr_equal(p.command, c);
		to = fmemopen(text, sizeof(text), "w");
		args_print_command_help(c, to);
		fclose(to);
		assert_non_null(strstr(text, c->name));
		assert_non_null(strstr(text, c->operands));
		assert_non_null(strstr(text, c->summary));
		assert_true((strstr(text, "--timeout") != NULL) ==
			    ((c->options & 1u << OPTION_TIMEOUT) != 0));
		assert_non_null(strstr(text, "--url URL"));
	}
	to = fmemopen(text, sizeof(text), "w");
	args_print_help(cli_commands, cli_command_count, to);
	fclose(to);
	for (size_t i = 0; i < cli_command_count; i++)
		assert_non_null(strstr(text, cli_commands[i].summary));
}

static void test_too_many_operands(void **state)
{
	char *argv[OPERANDS_MAX + 2];
	const struct cli_command *command;
	struct cli_args args;
	FILE *error = fopen("/dev/null", "w");

	(void)state;
	argv[0] = "write";
	for (size_t i = 1; i < ARRAY_SIZE(argv); i++)
		argv[i] = "x";
	assert_int_equal(
		args_parse(OPERANDS_MAX + 1, argv, cli_commands, cli_command_count, &args, &command, error),
		EXIT_OK);
	assert_int_equal(args.operand_count, OPERANDS_MAX);
	assert_int_equal(
		args_parse(OPERANDS_MAX + 2, argv, cli_commands, cli_command_count, &args, &command, error),
		EXIT_USAGE);
	fclose(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_and_operands), cmocka_unit_test(test_options_anywhere),
		cmocka_unit_test(test_values_with_dashes),   cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_without_command),	     cmocka_unit_test(test_help),
		cmocka_unit_test(test_too_many_operands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
