/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/args.h"
#include "cli/client.h"

#include <jansson.h>

/* What a command works with. */
struct cli {
	struct client client;
	FILE *out, *error;
	size_t width;	    /* of the terminal, 0: none */
	unsigned timeout_s; /* for a device */
	bool json;
	bool interactive; /* `out` is a terminal */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
