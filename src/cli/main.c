/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* shoalctl: the command line of a shoal server. Finds out where the server is, and runs one command. */

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"

#include <errno.h>
#include <locale.h>
#include <unistd.h>

static const char default_url[] = "http://127.0.0.1:8080";

enum { TIMEOUT_DEFAULT_S = 5, TIMEOUT_MAX_S = 600 };

static const char *choose_url(const struct cli_args *args)
{
	const char *variable = getenv("SHOAL_URL");

	if (args_has(args, OPTION_URL))
		return args->options[OPTION_URL];
	return variable && *variable ? variable : default_url;
}

enum { TOKEN_LINE = 512 };

/* From the option, the file, or the environment; "" if there is none. False if the file cannot be read, which
 * is told. */
static bool choose_token(const struct cli_args *args, char line[TOKEN_LINE])
{
	const char *variable = getenv("SHOALCTL_TOKEN"), *path = args->options[OPTION_TOKEN_FILE];
	FILE *f;

	line[0] = 0;
	if (args_has(args, OPTION_TOKEN) || !path) {
		if (args_has(args, OPTION_TOKEN))
			variable = args->options[OPTION_TOKEN];
		snprintf(line, TOKEN_LINE, "%s", variable ? variable : "");
		return true;
	}
	f = fopen(path, "re");
	if (!f || !fgets(line, TOKEN_LINE, f)) {
		fprintf(stderr, "shoalctl: --token-file %s: %s\n", path, f ? "it is empty" : strerror(errno));
		if (f)
			fclose(f);
		return false;
	}
	fclose(f);
	line[strcspn(line, "\r\n")] = 0;
	return true;
}

/* False if --timeout makes no sense, which is told. */
static bool choose_timeout(const struct cli_args *args, unsigned *seconds)
{
	uint64_t value = TIMEOUT_DEFAULT_S;

	if (args_has(args, OPTION_TIMEOUT) &&
	    (!span_to_uint(span_str(args->options[OPTION_TIMEOUT]), TIMEOUT_MAX_S, &value) || value == 0)) {
		fprintf(stderr, "shoalctl: --timeout %s: expected whole seconds from 1 to %d\n",
			args->options[OPTION_TIMEOUT], TIMEOUT_MAX_S);
		return false;
	}
	*seconds = (unsigned)value;
	return true;
}

/* False if --ttl makes no sense, which is told. */
static bool check_ttl(const struct cli_args *args)
{
	uint64_t value;

	if (!args_has(args, OPTION_TTL) || text_parse_duration(args->options[OPTION_TTL], &value) ||
	    span_to_uint(span_str(args->options[OPTION_TTL]), UINT32_MAX, &value))
		return true;
	fprintf(stderr, "shoalctl: --ttl %s: expected a time such as 12h or 30d, or 0\n",
		args->options[OPTION_TTL]);
	return false;
}

static int run(const struct cli_command *command, const struct cli_args *args)
{
	struct cli c = {.out = stdout,
			.error = stderr,
			.json = args_has(args, OPTION_JSON),
			.width = table_terminal_width(stdout),
			.interactive = isatty(STDOUT_FILENO)};
	char token[TOKEN_LINE];
	int rc;

	if (!choose_timeout(args, &c.timeout_s) || !check_ttl(args) || !choose_token(args, token))
		return EXIT_USAGE;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = client_init(&c.client, choose_url(args), stderr);
	c.client.token = token[0] ? token : NULL;
	c.client.ca = args->options[OPTION_CA];
	if (rc == EXIT_OK)
		rc = command->run(&c, args);
	client_deinit(&c.client);
	curl_global_cleanup();
	if (fflush(stdout) == 0)
		return rc;
	fprintf(stderr, "shoalctl: cannot write: %s\n", strerror(errno));
	return rc == EXIT_OK ? EXIT_REFUSED : rc;
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	struct cli_args args;
	int rc;

	setlocale(LC_CTYPE, "");
	rc = args_parse(argc - 1, argv + 1, cli_commands, cli_command_count, &args, &command, stderr);
	if (rc != EXIT_OK)
		return rc;
	if (args_has(&args, OPTION_VERSION)) {
		printf("shoalctl %s\n", SHOAL_VERSION);
		return EXIT_OK;
	}
	if (args_has(&args, OPTION_HELP) && command)
		args_print_command_help(command, stdout);
	else if (args_has(&args, OPTION_HELP))
		args_print_help(cli_commands, cli_command_count, stdout);
	else if (command)
		return run(command, &args);
	else {
		args_print_help(cli_commands, cli_command_count, stderr);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}
