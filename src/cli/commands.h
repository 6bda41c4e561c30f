/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "cli/cli.h"
#include "model/path.h"

/* The functions of the commands: each returns an enum cli_exit. */

typedef int cli_run(struct cli *c, const struct cli_args *args);

/* client_commands.c */
cli_run command_list, command_show, command_remove, command_status;
/* cluster_commands.c */
cli_run command_node, command_owner;
/* device_commands.c */
cli_run command_read, command_discover, command_write, command_exec, command_create, command_delete,
	command_attributes;
/* security_commands.c */
cli_run command_security, command_token, command_failures;
/* request_commands.c */
cli_run command_requests, command_policy, command_observations;
/* event_commands.c */
cli_run command_observe, command_cancel, command_events;

/*
 * The operand that is a path, in the form in which the interface writes it. `text` has the path, *path its
 * ids. EXIT_USAGE, told on c->error, if it is none or not as deep as `min` to `max`.
 */
int command_path(struct cli *c, const char *operand, unsigned min, unsigned max, struct path *path,
		 char text[PATH_TEXT]) NODISCARD;
/* Whether the operands behind EP are several paths: then a composite is meant. */
bool command_is_composite(const struct cli_args *args);
/* Those operands as "/3/0/1,/1/0". EXIT_USAGE, told on c->error. */
int command_paths(struct cli *c, const struct cli_args *args, struct buffer *list) NODISCARD;
/* Adds what --ttl says, a time or seconds. */
char *command_add_ttl(char *path, const struct cli_args *args) NODISCARD;
/* "/api/clients/EP/composite?paths=LIST" with `suffix` before the query, and what --format and --timeout say.
 */
char *command_composite_path(const struct cli_args *args, const char *suffix,
			     const struct buffer *list) NODISCARD;
