/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/*
 * Settings: one table gives the parser for the INI file, for the environment and for the command line, the
 * text of --help and the reference page in docs/.
 *
 * A setting `[http] listen` is also SHOAL_HTTP_LISTEN in the environment and --http-listen on the command
 * line. Later sources win in this order: default, file, environment, command line.
 */

enum setting_type {
	SETTING_BOOL,	  /* bool */
	SETTING_UINT,	  /* uint64_t, min..max */
	SETTING_DURATION, /* uint64_t milliseconds; written as 250ms, 93s, 5m, 24h, 7d; min..max in ms */
	SETTING_SIZE,	  /* uint64_t bytes; written as 512, 64k, 16M, 4G; min..max in bytes */
	SETTING_STRING,	  /* char *, on the heap */
	SETTING_LIST,	  /* char *, on the heap: items separated by commas or spaces */
	SETTING_CHOICE,	  /* unsigned: index into `choices` */
};

struct setting {
	const char *section; /* NULL: only on the command line */
	const char *name;
	char letter; /* short option, or 0 */
	enum setting_type type;
	size_t offset;		    /* into the settings struct */
	uint64_t min, max;	    /* max 0: no ceiling */
	const char *const *choices; /* NULL-terminated */
	const char *fallback;	    /* default, in the same notation as a user writes it; NULL: unset */
	const char *placeholder;    /* "ADDRESS", "SECONDS" in --help */
	const char *help;	    /* one sentence, then more for the reference page */
};

struct settings_schema {
	const char *program; /* "shoald" */
	const char *prefix;  /* of environment variables: "SHOAL" */
	const char *usage;   /* the lines above the options in --help */
	const struct setting *settings;
	size_t count;
};

/* Sets all defaults. -ENOMEM or 0. */
int settings_init(const struct settings_schema *schema, void *out);
void settings_deinit(const struct settings_schema *schema, void *out);
/*
 * Each of the three says on `error` (a FILE) what is wrong - file and line, variable or option, the value,
 * what would be right, the nearest known name for an unknown one - and returns -EINVAL. All errors of a file
 * are reported in one go. A missing file is -ENOENT, and nothing is said; a file that cannot be read is
 * reported, with its own errno.
 *
 * The file: a list may be spread over several lines of the same name; any other name given twice is an error.
 * A line has at most 196 characters. The environment: an unknown variable is an error only if its name is
 * close to a known one, because others put variables with our prefix there (Kubernetes does for every
 * service). The command line: --name value, --name=value, for a bool --name and --no-name; -c value, -cvalue.
 */
struct _IO_FILE;
int settings_load_file(const struct settings_schema *schema, void *out, const char *path,
		       struct _IO_FILE *error);
int settings_load_environment(const struct settings_schema *schema, void *out, struct _IO_FILE *error);
/* `argv` without the program's name. Operands are not accepted. */
int settings_load_arguments(const struct settings_schema *schema, void *out, int argc, char **argv,
			    struct _IO_FILE *error);
/* The next item of a SETTING_LIST; *cursor starts at its text (may be NULL). False at the end. */
bool settings_list_next(const char **cursor, struct span *item);
void settings_print_help(const struct settings_schema *schema, struct _IO_FILE *to);
/* The reference page: Markdown, one table per section. */
void settings_print_reference(const struct settings_schema *schema, struct _IO_FILE *to);
