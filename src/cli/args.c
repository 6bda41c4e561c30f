/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Command line and help. All options begin with two dashes, so that a negative number is an operand: a value
 * to write is one too often to be quoted away. What an option means to a command is the command's; which
 * commands take it is in their rows.
 */

#include "cli/args.h"

enum {
	GLOBAL = 1u << OPTION_TOKEN | 1u << OPTION_TOKEN_FILE | 1u << OPTION_CA | 1u << OPTION_URL |
		 1u << OPTION_JSON | 1u << OPTION_HELP | 1u << OPTION_VERSION
};

static const struct {
	const char *name;
	const char *placeholder; /* NULL: takes no value */
	const char *help;
} options[OPTIONS] = {
	[OPTION_URL] = {"url", "URL", "Where the server is [SHOAL_URL, else http://127.0.0.1:8080]"},
	[OPTION_JSON] = {"json", NULL, "Print what the server answers, as JSON"},
	[OPTION_HELP] = {"help", NULL, "Print this"},
	[OPTION_VERSION] = {"version", NULL, "Print the version"},
	[OPTION_TIMEOUT] = {"timeout", "SECONDS", "How long to wait for the device [5]"},
	[OPTION_FORMAT] = {"format", "FORMAT",
			   "TEXT, OPAQUE, SENML_JSON, SENML_CBOR, TLV ... [the server chooses]"},
	[OPTION_TYPE] = {"type", "TYPE", "Type of the value [as the object's definition says]"},
	[OPTION_FILE] = {"file", "FILE", "Take the value, as JSON, from FILE; - is the standard input"},
	[OPTION_REPLACE] = {"replace", NULL, "Replace the whole instance"},
	[OPTION_PARTIAL] = {"partial", NULL, "Write only what is given, and keep the rest"},
	[OPTION_ID] = {"id", "NUMBER", "Id of the new instance [the device chooses]"},
	[OPTION_ONCE] = {"once", NULL, "Print the first value, and do not follow"},
	[OPTION_ACTIVE] = {"active", NULL, "Tell the device now, instead of when it notifies next"},
	[OPTION_EP] = {"ep", "EP", "Only events of this device"},
	[OPTION_SINCE] = {"since", "ID", "Begin behind the event with this id; 0 is the oldest that is kept"},
	[OPTION_ROTATE] = {"rotate", NULL, "Keep what is valid until the new one is used"},
	[OPTION_ROLE] = {"role", "ROLE", "read, operate or admin"},
	[OPTION_NAME] = {"name", "NAME", "What the token is for"},
	[OPTION_EXPIRES] = {"expires", "TIME", "When the token ends, such as 12h or 30d [never]"},
	[OPTION_TTL] =
		{"ttl", "TIME",
		 "How long the request may wait if the device sleeps, such as 12h; 0: not at all [1d]"},
	[OPTION_COMPOSITE] = {"composite", NULL, "Observe the paths together"},
	[OPTION_ATTRIBUTES] = {"attributes", "QUERY", "Write these before, such as pmin=10&pmax=60"},
	[OPTION_TOKEN] = {"token", "TOKEN", "Token of the server [SHOALCTL_TOKEN]"},
	[OPTION_TOKEN_FILE] = {"token-file", "FILE", "File with the token"},
	[OPTION_CA] = {"ca", "FILE", "Certificates (PEM) that the server's is verified by, for https"},
};

/* The option whose name is before "=" or the end; OPTIONS if there is none. */
static unsigned find_option(const char *argument)
{
	size_t len = strcspn(argument, "=");
	unsigned i = 0;

	while (i < OPTIONS && (strlen(options[i].name) != len || memcmp(options[i].name, argument, len) != 0))
		i++;
	return i;
}

static int complain(FILE *error, const char *what, const char *argument, const char *hint)
{
	fprintf(error, "shoalctl: %s \"%s\"%s\n", what, argument, hint);
	return EXIT_USAGE;
}

struct parse {
	char **next;
	char **end;
	FILE *error;
};

static int take_option(struct parse *p, const char *argument, struct cli_args *args)
{
	const char *equals = strchr(argument, '=');
	unsigned option = find_option(argument + 2);

	if (option == OPTIONS)
		return complain(p->error, "unknown option", argument, "; --help lists all");
	if (!options[option].placeholder) {
		if (equals)
			return complain(p->error, "this option takes no value:", argument, "");
		args->options[option] = "";
		return EXIT_OK;
	}
	if (!equals && p->next == p->end)
		return complain(p->error, "no value behind", argument, "");
	args->options[option] = equals ? equals + 1 : *p->next++;
	return EXIT_OK;
}

static const struct cli_command *find_command(const struct cli_command *commands, size_t count,
					      const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Whether the command takes what was given. */
static int check(const struct cli_command *command, const struct cli_args *args, FILE *error)
{
	if (args_has(args, OPTION_HELP))
		return EXIT_OK;
	for (unsigned i = 0; i < OPTIONS; i++) {
		if (!args->options[i] || (GLOBAL | command->options) & 1u << i)
			continue;
		fprintf(error, "shoalctl: %s does not take --%s; shoalctl %s --help tells what it takes\n",
			command->name, options[i].name, command->name);
		return EXIT_USAGE;
	}
	if (args->operand_count >= command->min && args->operand_count <= command->max)
		return EXIT_OK;
	fprintf(error, "shoalctl: too %s operands; usage: shoalctl %s %s\n",
		args->operand_count < command->min ? "few" : "many", command->name, command->operands);
	return EXIT_USAGE;
}

static int take_operand(const char *argument, struct cli_args *args, FILE *error)
{
	if (args->operand_count == OPERANDS_MAX)
		return complain(error, "too many operands from", argument, " on");
	args->operands[args->operand_count++] = argument;
	return EXIT_OK;
}

int args_parse(int argc, char **argv, const struct cli_command *commands, size_t count, struct cli_args *args,
	       const struct cli_command **command, FILE *error)
{
	struct parse p = {argv, argv + argc, error};
	bool only_operands = false;
	int rc = EXIT_OK;

	*args = (struct cli_args){.operand_count = 0};
	*command = NULL;
	while (p.next < p.end && rc == EXIT_OK) {
		const char *argument = *p.next++;

		if (!only_operands && strcmp(argument, "--") == 0)
			only_operands = true;
		else if (!only_operands && strcmp(argument, "-h") == 0)
			args->options[OPTION_HELP] = "";
		else if (!only_operands && strncmp(argument, "--", 2) == 0)
			rc = take_option(&p, argument, args);
		else if (*command)
			rc = take_operand(argument, args, error);
		else if (!(*command = find_command(commands, count, argument)))
			rc = complain(error, "unknown command", argument, "; shoalctl --help lists all");
	}
	return rc == EXIT_OK && *command ? check(*command, args, error) : rc;
}

/* ---- help ---- */

enum { COLUMN = 22 };

static void print_option(unsigned option, FILE *to)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s", options[option].name, options[option].placeholder ? " " : "",
		 options[option].placeholder ? options[option].placeholder : "");
	fprintf(to, "  %-*s%s\n", COLUMN, left, options[option].help);
}

static void print_options(unsigned which, FILE *to)
{
	for (unsigned i = 0; i < OPTIONS; i++)
		if (which & 1u << i)
			print_option(i, to);
}

void args_print_help(const struct cli_command *commands, size_t count, FILE *to)
{
	fputs("Usage: shoalctl [OPTION]... COMMAND [OPERAND]...\n"
	      "\n"
	      "Looks at and manages the devices of a shoal server.\n"
	      "\n"
	      "Commands\n",
	      to);
	for (size_t i = 0; i < count; i++) {
		char left[96];

		snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].operands);
		if (strlen(left) < COLUMN)
			fprintf(to, "  %-*s%s\n", COLUMN, left, commands[i].summary);
		else
			fprintf(to, "  %s\n  %-*s%s\n", left, COLUMN, "", commands[i].summary);
	}
	fputs("\nOptions\n", to);
	print_options(GLOBAL, to);
	fputs("\n"
	      "shoalctl COMMAND --help tells more about a command. EP is a device's endpoint name, PATH is\n"
	      "what is meant of it: /OBJECT/INSTANCE/RESOURCE, such as /3/0/0.\n"
	      "\n"
	      "Exit codes: 0 done; 1 the device or the server said no; 2 wrong usage; 3 no server there.\n",
	      to);
}

void args_print_command_help(const struct cli_command *command, FILE *to)
{
	fprintf(to, "Usage: shoalctl %s%s%s%s\n\n%s.\n%s%s\nOptions\n", command->name,
		*command->operands ? " " : "", command->operands, command->options ? " [OPTION]..." : "",
		command->summary, *command->details ? "\n" : "", command->details);
	print_options(command->options, to);
	print_options(GLOBAL & ~(1u << OPTION_VERSION), to);
}
