/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

#include <stdio.h>

/* The command line of shoalctl: options anywhere, a command, its operands. */

enum cli_option {
	OPTION_URL,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_TIMEOUT,
	OPTION_FORMAT,
	OPTION_TYPE,
	OPTION_FILE,
	OPTION_REPLACE,
	OPTION_PARTIAL,
	OPTION_ID,
	OPTION_ONCE,
	OPTION_ACTIVE,
	OPTION_EP,
	OPTION_SINCE,
	OPTION_ROTATE,
	OPTION_ROLE,
	OPTION_NAME,
	OPTION_EXPIRES,
	OPTION_TTL,
	OPTION_COMPOSITE,
	OPTION_ATTRIBUTES,
	OPTION_TOKEN,
	OPTION_TOKEN_FILE,
	OPTION_CA,
	OPTIONS,
};

enum { OPERANDS_MAX = 64 };

struct cli_args {
	const char *options[OPTIONS]; /* the value; "" for one that takes none; NULL: not given */
	const char *operands[OPERANDS_MAX];
	unsigned operand_count;
};

struct cli;

/* One command: parser, help and function come from the same row. */
struct cli_command {
	const char *name;
	const char *operands; /* "EP PATH [ARGUMENTS]" */
	unsigned min, max;    /* how many operands */
	unsigned options;     /* bit per enum cli_option, besides those that all commands take */
	const char *summary;
	const char *details;					/* lines, each ended; or "" */
	int (*run)(struct cli *c, const struct cli_args *args); /* an enum cli_exit */
};

enum cli_exit {
	EXIT_OK = 0,
	EXIT_REFUSED = 1,     /* the device or the server said no */
	EXIT_USAGE = 2,	      /* the command line makes no sense */
	EXIT_UNREACHABLE = 3, /* no server there */
};

static inline bool args_has(const struct cli_args *args, enum cli_option option)
{
	return args->options[option] != NULL;
}

/*
 * Reads `argv` (without the program's name). *command is the row that the first operand names; NULL if there
 * is none. Operands are those behind it. Returns EXIT_OK, or EXIT_USAGE after saying on `error` what is
 * wrong.
 */
int args_parse(int argc, char **argv, const struct cli_command *commands, size_t count, struct cli_args *args,
	       const struct cli_command **command, FILE *error) NODISCARD;
void args_print_help(const struct cli_command *commands, size_t count, FILE *to);
void args_print_command_help(const struct cli_command *command, FILE *to);
