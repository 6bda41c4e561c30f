/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

/* Stands between a store and its server, both on unix sockets, and does what networks do at the worst moment.
 */

enum proxy_mode {
	PROXY_PASS,
	/* The next answer of the server is thrown away, and the connection cut: what was asked has been done.
	 */
	PROXY_LOSE_ANSWER,
	/* Nothing passes, in either direction. */
	PROXY_STALL,
	/* Connections are cut and no new ones are taken. */
	PROXY_CUT,
};

struct proxy {
	char path[300]; /* to connect to */
	char server[300];
	atomic_int mode;
	atomic_int cuts; /* connections that were cut */
	atomic_bool stop;
	pthread_t thread;
	int listener;
};

void proxy_start(struct proxy *p, const char *directory);
void proxy_stop(struct proxy *p);
