/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/api.h"
#include "cli/commands.h"

/* For commands whose second word says what is to be done. */

struct word {
	const char *name;
	unsigned min, max; /* how many operands follow */
	cli_run *run;
};

int run_word(struct cli *c, const struct cli_args *args, const struct word *words, size_t count);

/* Members of an answer; "" and 0 if they are missing, or something else. */
const char *text_of(json_t *object, const char *member);
uint64_t number_of(json_t *object, const char *member);
/* GET of a list, or of one thing: the body as it came with --json, else `print`. */
int list_call(struct cli *c, const char *path, void (*print)(struct cli *c, json_t *list));
/* A path, and behind it a name of somebody's choice: freed by the caller. */
char *path_of(const char *path, const char *name);
int delete_call(struct cli *c, const char *path, const char *name, struct api_reply *reply);
