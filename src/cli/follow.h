/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/cli.h"
#include "cli/sse.h"

/* The stream of events, followed across broken connections until Ctrl-C. */

struct follow {
	const char *path;  /* "/api/event", with its query */
	const char *since; /* id to begin behind, or NULL: from now on */
	sse_fn *on_event;
	int (*on_open)(
		void *ctx); /* when the stream is open for the first time, or NULL: what EXIT_OK lets go on */
	void *ctx;
};

/* EXIT_OK at SIGINT or SIGTERM; what on_open returned; or EXIT_UNREACHABLE, EXIT_REFUSED at the first
 * attempt. */
int follow_run(struct cli *c, const struct follow *f) NODISCARD;
