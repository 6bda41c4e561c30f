/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "store/redis_keys.h"
#include "store/redis_script.h"
#include "store/store.h"

#include <hiredis/hiredis.h>

/*
 * Redis for others than the store, who talk to backends through it. Everything happens on the loop.
 *
 * A command goes over the store's connection, behind what was sent before: pipelined, answered once, and sent
 * again on the next connection if this one is lost. So it has to be such that doing it twice does no harm. A
 * feed is a connection of its own, for what waits at the server: XREADGROUP with BLOCK, subscriptions.
 */

/* Only then may anything below be called. */
bool redis_side_is(const struct store *s);
const struct redis_layout *redis_side_layout(const struct store *s);

/* ---- commands ---- */

struct redis_command;
/* err < 0: `reply` is NULL: -ENOSPC (Redis is out of memory), -EBADMSG (a key is of another type), -EACCES,
 * -EIO, -ETIMEDOUT: nobody knows. Borrowed for the call. */
typedef void redis_command_fn(void *ctx, int err, const struct redisReply *reply);

/* NULL: no memory. `name`: "XACK". */
struct redis_command *redis_command_new(struct store *s, const char *name, redis_command_fn *done,
					void *ctx) NODISCARD;
/* A script, whose `keys` keys come first among the arguments. */
struct redis_command *redis_command_script(struct store *s, enum redis_script script, unsigned keys,
					   redis_command_fn *done, void *ctx) NODISCARD;
void redis_command_arg(struct redis_command *c, struct span s);
void redis_command_arg_str(struct redis_command *c, const char *s);
void redis_command_arg_uint(struct redis_command *c, uint64_t v);
/* What the server's clock is at least: of scripts that ask for the time. */
void redis_command_arg_floor(struct redis_command *c);
/* Takes the command. < 0 (-ENOBUFS: too much waits, -ENOMEM, -ESHUTDOWN): it is gone, and `done` is never
 * called.
 */
int redis_command_send(struct redis_command *c) NODISCARD;

/* ---- feeds ---- */

struct redis_feed;
struct redis_feed_handlers {
	/* There is a connection: what was sent on an earlier one is lost. */
	void (*up)(void *ctx);
	/* In order; errors too. Borrowed for the call. */
	void (*reply)(void *ctx, const struct redisReply *reply);
};

/*
 * Connects, and again whenever the connection is lost. `quiet_ms`: if nothing is heard for so long, it counts
 * as lost. To be freed before the store is closed. -ENOMEM.
 */
int redis_feed_new(struct store *s, const struct redis_feed_handlers *handlers, void *ctx, uint64_t quiet_ms,
		   struct redis_feed **out) NODISCARD;
/* -ENOTCONN: there is no connection now; `up` will tell. -ENOMEM, -ENOBUFS. */
int redis_feed_send(struct redis_feed *f, const struct span *args, size_t count) NODISCARD;
/* Gives the connection up, for a reason that is logged; there will be another. */
void redis_feed_fail(struct redis_feed *f, const char *words);
/* `closed` later. Takes NULL: then within the call. */
void redis_feed_free(struct redis_feed *f, void (*closed)(void *ctx), void *ctx);
