/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Commands of others than the store on its connection: a call like any other, with a callback that does not
 * know what a call is. */

#include "store/redis_side.h"

#include "store/redis.h"

#include <errno.h>

struct redis_command {
	struct redis_call call;
	redis_command_fn *done;
	void *ctx;
};

bool redis_side_is(const struct store *s)
{
	return s->backend == &redis_backend;
}

const struct redis_layout *redis_side_layout(const struct store *s)
{
	return &container_of(s, const struct redis, base)->layout;
}

static void answered(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct redis_command *c = container_of(call, struct redis_command, call);

	c->done(c->ctx, err, reply);
}

static struct redis_command *command_new(struct store *s, redis_command_fn *done, void *ctx)
{
	struct redis_command *c = redis_call_new(redis_of(s), sizeof(*c), answered);

	if (!c)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	return c;
}

struct redis_command *redis_command_new(struct store *s, const char *name, redis_command_fn *done, void *ctx)
{
	struct redis_command *c = command_new(s, done, ctx);

	if (c)
		redis_arg_str(&c->call, name);
	return c;
}

struct redis_command *redis_command_script(struct store *s, enum redis_script script, unsigned keys,
					   redis_command_fn *done, void *ctx)
{
	struct redis_command *c = command_new(s, done, ctx);

	if (c)
		redis_script(&c->call, script, keys);
	return c;
}

void redis_command_arg(struct redis_command *c, struct span s)
{
	redis_arg(&c->call, s);
}

void redis_command_arg_str(struct redis_command *c, const char *s)
{
	redis_arg_str(&c->call, s);
}

void redis_command_arg_uint(struct redis_command *c, uint64_t v)
{
	redis_arg_uint(&c->call, v);
}

void redis_command_arg_floor(struct redis_command *c)
{
	redis_arg_floor(&c->call);
}

int redis_command_send(struct redis_command *c)
{
	if (!c->call.redis->closing)
		return redis_send(&c->call);
	redis_call_free(&c->call);
	return -ESHUTDOWN;
}
