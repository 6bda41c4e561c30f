/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/log.h"
#include "net/steer.h"

/*
 * Several nodes on one machine, which share their UDP ports (net/steer.h): one process that starts them,
 * starts those again that die, and ends with them. It holds the ports and no devices.
 */

enum { SUPERVISOR_PORTS_MAX = 16 };

/* What a node is told. Borrowed by it for as long as it lives. */
struct shared {
	unsigned index, count;	       /* which of them it is */
	int fds[SUPERVISOR_PORTS_MAX]; /* its sockets, in the order of the ports; they are the node's */
	size_t fd_count;
	struct steer_tables tables; /* -1 both: nothing is steered */
	int ready_fd;
};
/* It serves now; before, it gets no datagrams but those of its slots. */
void shared_say_ready(const struct shared *s);

struct supervisor_config {
	unsigned nodes; /* 1..STEER_NODES_MAX */
	const struct address *ports;
	size_t port_count;     /* at most SUPERVISOR_PORTS_MAX */
	bool steer;	       /* try to; else the kernel's hash shares */
	uint64_t pause_ms;     /* before one that died is started again: 500; doubled each time ... */
	uint64_t pause_max_ms; /* ... up to this: 30000 ... */
	uint64_t steady_ms;    /* ... until one has lived so long: 60000 */
	struct log *log;
	/* Runs a node, in a process of its own, and returns its exit status. */
	int (*run)(void *ctx, const struct shared *shared);
	void *ctx;
};
void supervisor_config_init(struct supervisor_config *c);

/* An exit status of a node after which none is started again, for all would end so: wrong settings. */
enum { SUPERVISOR_HOPELESS = 2 };

/*
 * Until SIGTERM or SIGINT, which the nodes get as SIGTERM (the second: SIGKILL), or until it is hopeless.
 * Returns the exit status, in the supervisor and in each node, so the caller goes on to its end in all of
 * them. Before any thread was started. Says what is wrong.
 */
int supervisor_run(const struct supervisor_config *config);
