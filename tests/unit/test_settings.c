/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Settings: every type, every source, every complaint word for word, and which source wins. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/settings.h"

#include <stdio.h>
#include <unistd.h>

enum colour { RED, GREEN, BLUE };

struct config {
	char *file;
	bool help;
	char *listen;
	uint64_t port;
	uint64_t timeout_ms;
	uint64_t body_bytes;
	char *roles;
	unsigned colour;
	bool verify;
	uint64_t any;
	uint64_t idle_ms;
	uint64_t grace_ms;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct setting table[] = {
	{NULL, "config", 'c', SETTING_STRING, offsetof(struct config, file), 0, 0, NULL, NULL, "FILE",
	 "Read settings from FILE."},
	{NULL, "help", 'h', SETTING_BOOL, offsetof(struct config, help), 0, 0, NULL, "no", NULL,
	 "Show this text."},
	{"http", "listen", 'l', SETTING_STRING, offsetof(struct config, listen), 0, 0, NULL, ":8080",
	 "ADDRESS", "Address of the HTTP listener. Empty turns it off. A bar | is text."},
	{"http", "port", 0, SETTING_UINT, offsetof(struct config, port), 1, 65535, NULL, "8080", "PORT",
	 "A port."},
	{"http", "time-out", 0, SETTING_DURATION, offsetof(struct config, timeout_ms), 1000, 86400000, NULL,
	 "93s", "TIME", "How long to wait."},
	{"http", "body", 'b', SETTING_SIZE, offsetof(struct config, body_bytes), 0, 4ull << 30, NULL, "64k",
	 "SIZE", "Largest body."},
	{"http", "roles", 'r', SETTING_LIST, offsetof(struct config, roles), 0, 0, NULL, "read, admin",
	 "NAMES", "Roles."},
	{"log", "colour", 0, SETTING_CHOICE, offsetof(struct config, colour), 0, 0, colours, "green", NULL,
	 "Colour of the log."},
	{"log", "verify", 'v', SETTING_BOOL, offsetof(struct config, verify), 0, 0, NULL, "yes", NULL,
	 "Whether to verify."},
	{"log", "any", 0, SETTING_UINT, offsetof(struct config, any), 0, 0, NULL, NULL, NULL,
	 "Any number, with a sentence which is long enough that the help has to be broken into several "
	 "lines."},
	{"log", "idle", 0, SETTING_DURATION, offsetof(struct config, idle_ms), 250, 0, NULL, "1500ms", NULL,
	 "A floor only."},
	{"log", "grace", 0, SETTING_DURATION, offsetof(struct config, grace_ms), 0, 0, NULL, "0", NULL,
	 "No bounds."},
};

static const struct settings_schema schema = {
	.program = "shoald",
	.prefix = "SHOAL",
	.usage = "Usage: shoald [OPTION]...\n",
	.settings = table,
	.count = ARRAY_SIZE(table),
};

struct fixture {
	struct config config;
	char path[32];
	char *said; /* what was written to `error` */
	size_t said_len;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	if (!f || settings_init(&schema, &f->config) < 0)
		return -1;
	strcpy(f->path, "/tmp/shoal-settings-XXXXXX");
	fd = mkstemp(f->path);
	if (fd < 0)
		return -1;
	close(fd);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	settings_deinit(&schema, &f->config);
	free(f->said);
	free(f);
	return 0;
}

static FILE *listen_to(struct fixture *f)
{
	FILE *error;

	free(f->said);
	f->said = NULL;
	error = open_memstream(&f->said, &f->said_len);
	assert_non_null(error);
	return error;
}

static int load_bytes(struct fixture *f, const char *text, size_t len)
{
	FILE *error = listen_to(f), *file = fopen(f->path, "w");
	int rc;

	assert_non_null(file);
	fwrite(text, 1, len, file);
	fclose(file);
	rc = settings_load_file(&schema, &f->config, f->path, error);
	fclose(error);
	return rc;
}

static int load_text(struct fixture *f, const char *text)
{
	return load_bytes(f, text, strlen(text));
}

/* Arguments as one text, separated by single blanks. */
static int load_arguments(struct fixture *f, const char *arguments)
{
	FILE *error = listen_to(f);
	char *copy = strdup(arguments), *argv[16], *next = copy, *word;
	int argc = 0, rc;

	while ((word = strsep(&next, " ")) && *arguments)
		argv[argc++] = word;
	rc = settings_load_arguments(&schema, &f->config, argc, argv, error);
	fclose(error);
	free(copy);
	return rc;
}

static int load_variable(struct fixture *f, const char *name, const char *value)
{
	FILE *error = listen_to(f);
	int rc;

	setenv(name, value, 1);
	rc = settings_load_environment(&schema, &f->config, error);
	unsetenv(name);
	fclose(error);
	return rc;
}

/* What was said about the file, without its random name. */
static void assert_said_of_file(const struct fixture *f, const char *expected)
{
	_cleanup_free_ char *said = strdup(f->said);
	size_t len = strlen(f->path);
	char *at = said;

	while ((at = strstr(at, f->path))) {
		memmove(at + 1, at + len, strlen(at + len) + 1);
		*at++ = '@';
	}
	assert_string_equal(said, expected);
}

static void defaults_are_set(void **state)
{
	struct fixture *f = *state;

	assert_null(f->config.file);
	assert_false(f->config.help);
	assert_string_equal(f->config.listen, ":8080");
	assert_int_equal(f->config.port, 8080);
	assert_int_equal(f->config.timeout_ms, 93000);
	assert_int_equal(f->config.body_bytes, 65536);
	assert_string_equal(f->config.roles, "read, admin");
	assert_int_equal(f->config.colour, GREEN);
	assert_true(f->config.verify);
	assert_int_equal(f->config.any, 0);
	assert_int_equal(f->config.idle_ms, 1500);
}

static void a_file_sets_every_type(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "\xef\xbb\xbf# comment\n; comment = x\n\n"
				      "[http]\n"
				      "listen = [::1]:80 ; behind the value\n"
				      "port=65535\r\n"
				      "  time-out : 2m\n"
				      "body = 4G\n"
				      "roles = read,operate\n"
				      "\troles = admin\n"
				      "[log]\n"
				      "colour = blue\n"
				      "verify = off\n"
				      "any = 18446744073709551615"),
			 0);
	assert_string_equal(f->said, "");
	assert_string_equal(f->config.listen, "[::1]:80");
	assert_int_equal(f->config.port, 65535);
	assert_int_equal(f->config.timeout_ms, 120000);
	assert_int_equal(f->config.body_bytes, 4ull << 30);
	assert_string_equal(f->config.roles, "read,operate admin");
	assert_int_equal(f->config.colour, BLUE);
	assert_false(f->config.verify);
	assert_int_equal(f->config.any, UINT64_MAX);
}

static void notations_of_each_type(void **state)
{
	static const struct {
		const char *argument;
		bool ok;
		size_t offset;
		uint64_t value;
	} cases[] = {
		{"--http-time-out=1000ms", true, offsetof(struct config, timeout_ms), 1000},
		{"--http-time-out=93s", true, offsetof(struct config, timeout_ms), 93000},
		{"--http-time-out=5m", true, offsetof(struct config, timeout_ms), 300000},
		{"--http-time-out=24h", true, offsetof(struct config, timeout_ms), 86400000},
		{"--http-time-out=1d", true, offsetof(struct config, timeout_ms), 86400000},
		{"--http-time-out=999ms", false, 0, 0},
		{"--http-time-out=25h", false, 0, 0},
		{"--http-time-out=0", false, 0, 0},
		{"--http-time-out=93", false, 0, 0},
		{"--http-time-out=s", false, 0, 0},
		{"--http-time-out=", false, 0, 0},
		{"--http-time-out=1.5h", false, 0, 0},
		{"--http-time-out=5M", false, 0, 0},
		{"--http-time-out=-5s", false, 0, 0},
		{"--http-time-out=18446744073709551615d", false, 0, 0},
		{"--http-body=0", true, offsetof(struct config, body_bytes), 0},
		{"--http-body=512", true, offsetof(struct config, body_bytes), 512},
		{"--http-body=64k", true, offsetof(struct config, body_bytes), 65536},
		{"--http-body=16M", true, offsetof(struct config, body_bytes), 16 << 20},
		{"--http-body=5G", false, 0, 0},
		{"--http-body=64kb", false, 0, 0},
		{"--http-body=k", false, 0, 0},
		{"--log-idle=0", false, 0, 0},
		{"--log-idle=250ms", true, offsetof(struct config, idle_ms), 250},
		{"--log-idle=10000d", true, offsetof(struct config, idle_ms), 864000000000},
		{"--log-idle=213503982335d", false, 0, 0},
		{"--log-grace=0", true, offsetof(struct config, grace_ms), 0},
		{"--log-grace=00ms", true, offsetof(struct config, grace_ms), 0},
		{"--log-grace=93", false, 0, 0},
		{"--log-grace=0x", false, 0, 0},
		{"--log-grace=", false, 0, 0},
		{"--http-port=0", false, 0, 0},
		{"--http-port=1", true, offsetof(struct config, port), 1},
		{"--http-port=65536", false, 0, 0},
		{"--http-port=80s", false, 0, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int rc = load_arguments(f, cases[i].argument);

		assert_int_equal(rc, cases[i].ok ? 0 : -EINVAL);
		if (cases[i].ok)
			assert_int_equal(*(uint64_t *)((char *)&f->config + cases[i].offset), cases[i].value);
	}
}

static void words_for_yes_and_no(void **state)
{
	static const char *const words[][2] = {{"yes", "no"}, {"true", "false"}, {"on", "off"}, {"1", "0"}};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(load_variable(f, "SHOAL_LOG_VERIFY", words[i][1]), 0);
		assert_false(f->config.verify);
		assert_int_equal(load_variable(f, "SHOAL_LOG_VERIFY", words[i][0]), 0);
		assert_true(f->config.verify);
	}
	assert_int_equal(load_variable(f, "SHOAL_LOG_VERIFY", "maybe"), -EINVAL);
}

static void all_errors_of_a_file_are_told_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "stray = 1\n"
				      "[http]\n"
				      "port = many\n"
				      "lisen = :80\n"
				      "time-out = 3\n"
				      "body = 5G\n"
				      "\n"
				      "nonsense\n"
				      "[lgo]\n"
				      "colour = red\n"
				      "[log\n"
				      "[log]\n"
				      "colour = pink\n"
				      "verify = maybe\n"
				      "colour = red\n"
				      "idle = 1ms\n"
				      "= 3\n"
				      "any = -1\n"
				      "quite-something-else = 1\n"
				      "[unheard-of]\n"),
			 -EINVAL);
	assert_said_of_file(
		f, "@:1: stray stands before the first [section]\n"
		   "@:3: [http] port = \"many\": expected a whole number from 1 to 65535\n"
		   "@:4: unknown setting [http] lisen; did you mean [http] listen?\n"
		   "@:5: [http] time-out = \"3\": expected a duration such as 250ms, 93s, 5m, 24h or 7d, "
		   "from 1s to 1d\n"
		   "@:6: [http] body = \"5G\": expected a size such as 512, 64k, 16M or 4G, from 0 to 4G\n"
		   "@:8: expected \"name = value\", \"[section]\" or a comment\n"
		   "@:9: unknown section [lgo]; did you mean [log]?\n"
		   "@:11: the section's name has no closing \"]\"\n"
		   "@:13: [log] colour = \"pink\": expected one of: red, green, blue\n"
		   "@:14: [log] verify = \"maybe\": expected yes or no\n"
		   "@:15: [log] colour was already set in line 13\n"
		   "@:16: [log] idle = \"1ms\": expected a duration such as 250ms, 93s, 5m, 24h or 7d, of at "
		   "least 250ms\n"
		   "@:17: expected \"name = value\", \"[section]\" or a comment\n"
		   "@:18: [log] any = \"-1\": expected a whole number\n"
		   "@:19: unknown setting [log] quite-something-else\n"
		   "@:20: unknown section [unheard-of]\n");
}

static void long_lines_and_nul_characters_are_refused(void **state)
{
	struct fixture *f = *state;
	char text[512];

	snprintf(text, sizeof(text), "[http]\nlisten = %0188d\n", 7);
	assert_int_equal(load_text(f, text), 0);
	assert_int_equal(strlen(f->config.listen), 188);
	snprintf(text, sizeof(text), "[http]\nlisten = %0189d\nport = 7\n", 7);
	assert_int_equal(load_text(f, text), -EINVAL);
	assert_said_of_file(f, "@:2: the line is too long\n");
	assert_int_equal(f->config.port, 7);
	assert_int_equal(load_bytes(f, "[http]\nport = 8\0\n0\n", 19), -EINVAL);
	assert_said_of_file(f, "@:2: the line contains a NUL character\n"
			       "@:3: expected \"name = value\", \"[section]\" or a comment\n");
	assert_int_equal(f->config.port, 7);
}

static void only_the_command_line_has_nameless_sections(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "[]\nconfig = x\n"), -EINVAL);
	assert_int_equal(load_text(f, "config = x\n"), -EINVAL);
	assert_said_of_file(f, "@:1: config stands before the first [section]\n");
	assert_null(f->config.file);
}

static void a_missing_file_is_told_by_the_code_alone(void **state)
{
	struct fixture *f = *state;
	FILE *error = listen_to(f);

	assert_int_equal(settings_load_file(&schema, &f->config, "/nonexistent/shoal.conf", error), -ENOENT);
	fflush(error);
	assert_string_equal(f->said, "");
	assert_int_equal(settings_load_file(&schema, &f->config, "/proc/self", error), -EISDIR);
	fclose(error);
	assert_string_equal(f->said, "/proc/self: cannot read: Is a directory\n");
}

static void variables_are_named_after_section_and_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_variable(f, "SHOAL_HTTP_TIME_OUT", "5m"), 0);
	assert_int_equal(f->config.timeout_ms, 300000);
	assert_int_equal(load_variable(f, "SHOAL_HTTP_PORT", "x"), -EINVAL);
	assert_string_equal(f->said,
			    "shoald: SHOAL_HTTP_PORT = \"x\": expected a whole number from 1 to 65535\n");
	assert_int_equal(load_variable(f, "SHOAL_HTTP_PROT", "80"), -EINVAL);
	assert_string_equal(f->said,
			    "shoald: unknown variable SHOAL_HTTP_PROT; did you mean SHOAL_HTTP_PORT?\n");
	/* What Kubernetes sets for a service called shoal, and what is nobody's. */
	assert_int_equal(load_variable(f, "SHOAL_SERVICE_HOST", "10.0.0.1"), 0);
	assert_int_equal(load_variable(f, "SHOAL_BUILD", "build/gcc"), 0);
	assert_int_equal(load_variable(f, "SHOALX_HTTP_PORT", "80"), 0);
	assert_int_equal(load_variable(f, "SHOAL_CONFIG", "x"), 0);
	assert_string_equal(f->said, "");
	assert_null(f->config.file);
}

static void options_take_values_in_every_form(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		load_arguments(f, "--http-listen :1 --http-port=2 -c a.conf -b16k -vh --http-roles a,b"), 0);
	assert_string_equal(f->config.listen, ":1");
	assert_int_equal(f->config.port, 2);
	assert_string_equal(f->config.file, "a.conf");
	assert_int_equal(f->config.body_bytes, 16384);
	assert_true(f->config.help);
	assert_string_equal(f->config.roles, "a,b");
	assert_int_equal(load_arguments(f, "--no-log-verify --no-help"), 0);
	assert_false(f->config.verify);
	assert_false(f->config.help);
	assert_int_equal(load_arguments(f, "--log-verify --help=yes -vcb.conf"), 0);
	assert_true(f->config.verify);
	assert_true(f->config.help);
	assert_string_equal(f->config.file, "b.conf");
	assert_int_equal(load_arguments(f, "--config= --http-listen --weird"), 0);
	assert_string_equal(f->config.file, "");
	assert_string_equal(f->config.listen, "--weird");
	assert_int_equal(load_arguments(f, ""), 0);
}

static void wrong_options_are_explained(void **state)
{
	static const char *const cases[][2] = {
		{"--http-prot 80", "shoald: unknown option --http-prot; did you mean --http-port?\n"
				   "shoald: unexpected argument \"80\"\n"},
		{"--nothing-like-it", "shoald: unknown option --nothing-like-it\n"},
		{"--http-port", "shoald: --http-port needs a value\n"},
		{"--config", "shoald: --config needs a value\n"},
		{"-c", "shoald: -c needs a value\n"},
		{"-x", "shoald: unknown option -x\n"},
		{"-vx", "shoald: unknown option -x\n"},
		{"--no-http-port", "shoald: unknown option --no-http-port; did you mean --http-port?\n"},
		{"--no-help=yes", "shoald: --no-help takes no value\n"},
		{"--help=perhaps", "shoald: --help = \"perhaps\": expected yes or no\n"},
		{"--log-colour pink", "shoald: --log-colour = \"pink\": expected one of: red, green, blue\n"},
		{"-b x", "shoald: -b = \"x\": expected a size such as 512, 64k, 16M or 4G, from 0 to 4G\n"},
		{"operand", "shoald: unexpected argument \"operand\"\n"},
		{"--", "shoald: unexpected argument \"--\"\n"},
		{"-", "shoald: unexpected argument \"-\"\n"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(load_arguments(f, cases[i][0]), -EINVAL);
		assert_string_equal(f->said, cases[i][1]);
	}
}

static void later_sources_win(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "[http]\nport = 1\nlisten = file\nbody = 1\n"), 0);
	assert_int_equal(load_variable(f, "SHOAL_HTTP_PORT", "2"), 0);
	assert_int_equal(load_variable(f, "SHOAL_HTTP_LISTEN", "environment"), 0);
	assert_int_equal(load_arguments(f, "--http-port 3"), 0);
	assert_int_equal(f->config.timeout_ms, 93000);
	assert_int_equal(f->config.body_bytes, 1);
	assert_string_equal(f->config.listen, "environment");
	assert_int_equal(f->config.port, 3);
}

/* A list in the file replaces the default; only further lines of the file add to it. */
static void a_list_starts_afresh_in_each_source(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "[http]\nroles = a\nroles = b\n"), 0);
	assert_string_equal(f->config.roles, "a b");
	assert_int_equal(load_arguments(f, "-r c"), 0);
	assert_string_equal(f->config.roles, "c");
}

static void lists_are_walked(void **state)
{
	static const char *const texts[] = {"a,bc d", " a , bc,,d ,", ",a bc  d"};
	static const char *const items[] = {"a", "bc", "d"};
	const char *cursor = NULL;
	struct span item;

	(void)state;
	assert_false(settings_list_next(&cursor, &item));
	cursor = " ,";
	assert_false(settings_list_next(&cursor, &item));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cursor = texts[i];
		for (size_t j = 0; j < ARRAY_SIZE(items); j++) {
			assert_true(settings_list_next(&cursor, &item));
			assert_true(span_is(item, items[j]));
		}
		assert_false(settings_list_next(&cursor, &item));
		assert_false(settings_list_next(&cursor, &item));
	}
}

static void help_shows_what_there_is(void **state)
{
	struct fixture *f = *state;
	FILE *to = listen_to(f);

	settings_print_help(&schema, to);
	fclose(to);
	assert_string_equal(
		f->said,
		"Usage: shoald [OPTION]...\n"
		"\n"
		"Options\n"
		"  -c, --config FILE             Read settings from FILE.\n"
		"  -h, --help                    Show this text.\n"
		"\n"
		"[http]\n"
		"  -l, --http-listen ADDRESS     Address of the HTTP listener. [:8080]\n"
		"      --http-port PORT          A port. [8080]\n"
		"      --http-time-out TIME      How long to wait. [93s]\n"
		"  -b, --http-body SIZE          Largest body. [64k]\n"
		"  -r, --http-roles NAMES        Roles. [read, admin]\n"
		"\n"
		"[log]\n"
		"      --log-colour VALUE        Colour of the log. (one of: red, green, blue) [green]\n"
		"  -v, --log-verify              Whether to verify. [yes]\n"
		"      --log-any VALUE           Any number, with a sentence which is long enough that the "
		"help has\n"
		"                                to be broken into several lines.\n"
		"      --log-idle VALUE          A floor only. [1500ms]\n"
		"      --log-grace VALUE         No bounds. [0]\n");
}

static void the_reference_has_every_setting(void **state)
{
	struct fixture *f = *state;
	FILE *to = listen_to(f);

	settings_print_reference(&schema, to);
	fclose(to);
	assert_non_null(strstr(f->said, "# Settings of shoald\n"));
	assert_non_null(strstr(f->said, "\n## Command line only\n\n| name | value | default | meaning |\n"));
	assert_non_null(strstr(f->said, "\n| `--config` | text | | Read settings from FILE. |\n"));
	assert_non_null(
		strstr(f->said, "\n## [http]\n\nOptions `--http-NAME`, variables `SHOAL_HTTP_NAME`.\n"));
	assert_non_null(strstr(f->said,
			       "\n| `listen` | text | `:8080` | Address of the HTTP listener. Empty turns "
			       "it off. A bar \\| is text. |\n"));
	assert_non_null(
		strstr(f->said, "\n| `port` | a whole number from 1 to 65535 | `8080` | A port. |\n"));
	assert_non_null(strstr(f->said,
			       "\n| `colour` | one of: red, green, blue | `green` | Colour of the log. |\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_set),
		TEST(a_file_sets_every_type),
		TEST(notations_of_each_type),
		TEST(words_for_yes_and_no),
		TEST(all_errors_of_a_file_are_told_at_once),
		TEST(long_lines_and_nul_characters_are_refused),
		TEST(only_the_command_line_has_nameless_sections),
		TEST(a_missing_file_is_told_by_the_code_alone),
		TEST(variables_are_named_after_section_and_name),
		TEST(options_take_values_in_every_form),
		TEST(wrong_options_are_explained),
		TEST(later_sources_win),
		TEST(a_list_starts_afresh_in_each_source),
		TEST(lists_are_walked),
		TEST(help_shows_what_there_is),
		TEST(the_reference_has_every_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
