/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What is asked on every new connection, before anything else is sent on it: who we are, whether this server
 * can keep our promises, the scripts, and whether it (still) has the store that was opened - after a failover
 * or a restart another one may answer, or one that is empty.
 *
 * Two rounds: what only looks, and then what changes something.
 */

#include "store/redis.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { MAJOR_MIN = 7 };

/* This server does not do: said at once when opening, and else with every attempt to connect. */
static void refuse(struct redis *r, int err, const char *format, ...) PRINTF_LIKE(3, 4);
static void refuse(struct redis *r, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->trouble, sizeof(r->trouble), format, ap);
	va_end(ap);
	r->fatal = err;
	redis_conn_fail(r, err, r->trouble);
}

static bool failed(struct redis_call *c, const char *what, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	struct span text;

	if (!reply || reply->type != REDIS_REPLY_ERROR)
		return false;
	text = span_of(reply->str, (size_t)reply->len);
	if (text.len > 8 && memcmp(text.data, "LOADING ", 8) == 0)
		redis_conn_fail(r, -EAGAIN, "it is loading its data");
	else
		refuse(r, -EACCES, "%s: %.*s", what, (int)MIN(text.len, (size_t)120),
		       (const char *)text.data);
	return true;
}

/* ---- what INFO says ---- */

/* The value of a line "name:value"; empty if there is none. */
static struct span info_find(struct span info, const char *name)
{
	size_t len = strlen(name);

	while (info.len) {
		const uint8_t *end = memchr(info.data, '\n', info.len);
		size_t line = end ? (size_t)(end - info.data) : info.len;

		if (line > len && info.data[len] == ':' && memcmp(info.data, name, len) == 0) {
			struct span value = span_of(info.data + len + 1, line - len - 1);

			while (value.len && value.data[value.len - 1] == '\r')
				value.len--;
			return value;
		}
		info = span_from(info, line + 1);
	}
	return info;
}

static uint64_t info_uint(struct span info, const char *name)
{
	uint64_t v;

	return span_to_uint(info_find(info, name), UINT64_MAX, &v) ? v : 0;
}

/* Valkey calls itself Redis 7.2 here too. */
static bool version_will_do(struct span version)
{
	const uint8_t *dot = version.len ? memchr(version.data, '.', version.len) : NULL;
	uint64_t major;

	return dot && span_to_uint(span_of(version.data, (size_t)(dot - version.data)), 1000, &major) &&
	       major >= MAJOR_MIN;
}

static uint32_t run_of(struct span id)
{
	static const struct siphash_key key = {{0}};

	return (uint32_t)siphash(&key, id);
}

/* False: refused. */
static bool judge(struct redis *r, struct span info)
{
	struct span version = info_find(info, "redis_version"), role = info_find(info, "role");
	struct span policy = info_find(info, "maxmemory_policy");

	if (!version_will_do(version))
		refuse(r, -ENOTSUP, "Redis %.*s is too old: it has to be %d.0 or later, or Valkey",
		       (int)version.len, (const char *)version.data, MAJOR_MIN);
	else if (span_is(info_find(info, "redis_mode"), "cluster"))
		refuse(r, -ENOTSUP, "it is a node of a Redis Cluster, which is not supported yet");
	else if (!span_is(role, "master"))
		refuse(r, -EROFS, "it is a replica: name the primary");
	else if (!span_is(policy, "noeviction"))
		refuse(r, -EINVAL,
		       "its maxmemory-policy is %.*s, which may throw devices away: set it to noeviction",
		       (int)policy.len, (const char *)policy.data);
	else if (r->options.durability == STORE_DISK && !info_uint(info, "aof_enabled"))
		refuse(r, -EINVAL,
		       "durability disk needs appendonly yes and appendfsync always at Redis: set them "
		       "there, "
		       "or [store] durability = local");
	else
		return true;
	return false;
}

/* ---- second round ---- */

static void step_done(struct redis *r)
{
	if (r->state != REDIS_SETUP || --r->setup_left)
		return;
	r->state = REDIS_UP;
	r->failures = 0;
	r->silent_since_ms = 0;
	r->trouble[0] = '\0';
	if (r->opening) {
		uv_stop(r->loop);
		return;
	}
	if (r->away_told)
		log_event(r->log, LOG_INFO, "store-back", "peer=\"%s\"", net_stream_peer(r->stream));
	r->away_told = false;
	redis_conn_push(r);
}

static void send_setup(struct redis_call *c)
{
	struct redis *r = c->redis;

	if (redis_conn_send_now(c) < 0)
		redis_conn_fail(r, -ENOMEM, "no memory");
	else
		r->setup_left++;
}

static void on_script(struct redis_call *c, int err, const struct redisReply *reply)
{
	(void)err;
	if (!failed(c, "SCRIPT LOAD", reply))
		step_done(c->redis);
}

static bool same_store(const struct redis *r, const struct redisReply *reply)
{
	return span_equal(redis_item_bytes(reply, 2),
			  span_of(r->layout.hash_key.bytes, sizeof(r->layout.hash_key.bytes))) &&
	       redis_item_uint(reply, 3, 0) == r->layout.partitions &&
	       redis_item_uint(reply, 4, 0) == r->layout.buckets;
}

/* Opening: takes over what is stored. */
static bool adopt(struct redis *r, const struct redisReply *reply)
{
	struct span key = redis_item_bytes(reply, 2);
	uint64_t partitions = redis_item_uint(reply, 3, 0), buckets = redis_item_uint(reply, 4, 0);

	if (key.len != sizeof(r->layout.hash_key.bytes) || partitions == 0 ||
	    partitions > REDIS_PARTITIONS_MAX || buckets == 0 || buckets > REDIS_BUCKETS_MAX)
		return false;
	memcpy(r->layout.hash_key.bytes, key.data, key.len);
	r->layout.partitions = (uint32_t)partitions;
	r->layout.buckets = (uint32_t)buckets;
	r->base.hash_key = r->layout.hash_key;
	r->base.incarnation = redis_item_uint(reply, 5, 0);
	return r->base.incarnation != 0;
}

static void on_meta(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	uint64_t schema = redis_item_uint(reply, 1, 0);

	(void)err;
	if (failed(c, "the key {meta}", reply))
		return;
	redis_heard(r, redis_item_uint(reply, 0, 0));
	if (schema > REDIS_SCHEMA)
		refuse(r, -EPROTO, "its data was written by a newer version (schema %llu, known is %d)",
		       (unsigned long long)schema, REDIS_SCHEMA);
	else if (schema < REDIS_SCHEMA || (r->opening && !adopt(r, reply)))
		refuse(r, -EBADMSG, "its key %s{meta} is not one of shoal's", r->layout.prefix);
	else if (!r->opening && !same_store(r, reply))
		refuse(r, -EBADMSG, "it has another store than the one that was opened: restart to use it");
	else
		step_done(r);
}

static void second_round(struct redis *r)
{
	struct redis_call *c;
	struct redis_key k;

	for (int i = 0; i < REDIS_SCRIPTS && r->state == REDIS_SETUP; i++) {
		c = redis_call_new(r, sizeof(*c), on_script);
		if (!c) {
			redis_conn_fail(r, -ENOMEM, "no memory");
			return;
		}
		redis_arg_str(c, "SCRIPT");
		redis_arg_str(c, "LOAD");
		redis_arg_str(c, redis_scripts[i].text);
		send_setup(c);
	}
	c = r->state == REDIS_SETUP ? redis_call_new(r, sizeof(*c), on_meta) : NULL;
	if (!c) {
		redis_conn_fail(r, -ENOMEM, "no memory");
		return;
	}
	redis_script(c, REDIS_META, 1);
	redis_arg(c, redis_meta_key(&k, &r->layout, ""));
	redis_arg_floor(c);
	redis_arg_uint(c, REDIS_SCHEMA);
	redis_arg(c, span_of(r->layout.hash_key.bytes, sizeof(r->layout.hash_key.bytes)));
	redis_arg_uint(c, r->layout.partitions);
	redis_arg_uint(c, r->layout.buckets);
	redis_arg_uint(c, r->opening);
	send_setup(c);
}

/* ---- first round ---- */

static void look_done(struct redis *r)
{
	if (r->state == REDIS_SETUP && --r->setup_left == 0)
		second_round(r);
}

static void on_access(struct redis_call *c, int err, const struct redisReply *reply)
{
	(void)err;
	if (!failed(c, "access", reply))
		look_done(c->redis);
}

static void on_info(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	struct span info = redis_bytes(reply);

	(void)err;
	if (failed(c, "INFO", reply))
		return;
	if (info_uint(info, "loading") || info_uint(info, "async_loading")) {
		redis_conn_fail(r, -EAGAIN, "it is loading its data");
		return;
	}
	if (!judge(r, info))
		return;
	r->run = run_of(info_find(info, "run_id"));
	r->replicas = (unsigned)info_uint(info, "connected_slaves");
	look_done(r);
}

static void on_fsync(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;

	(void)err;
	if (failed(c, "CONFIG GET appendfsync", reply))
		return;
	if (span_is(redis_item_bytes(reply, 1), "always"))
		look_done(r);
	else
		refuse(r, -EINVAL,
		       "durability disk needs appendfsync always at Redis: set it there, or [store] "
		       "durability "
		       "= local");
}

static struct redis_call *look_new(struct redis *r, redis_answer_fn *answer, const char *command)
{
	struct redis_call *c = redis_call_new(r, sizeof(*c), answer);

	if (c)
		redis_arg_str(c, command);
	else
		redis_conn_fail(r, -ENOMEM, "no memory");
	return c;
}

static void send_access(struct redis *r)
{
	struct redis_call *c;

	if (r->target.password && (c = look_new(r, on_access, "AUTH"))) {
		if (r->target.user)
			redis_arg_str(c, r->target.user);
		redis_arg_str(c, r->target.password);
		send_setup(c);
	}
	if (r->target.db && (c = look_new(r, on_access, "SELECT"))) {
		redis_arg_uint(c, r->target.db);
		send_setup(c);
	}
}

void redis_setup(struct redis *r)
{
	struct redis_call *c;

	r->setup_left = 0;
	r->fatal = 0;
	send_access(r);
	c = look_new(r, on_info, "INFO");
	if (c)
		send_setup(c);
	if (r->options.durability == STORE_DISK && (c = look_new(r, on_fsync, "CONFIG"))) {
		redis_arg_str(c, "GET");
		redis_arg_str(c, "appendfsync");
		send_setup(c);
	}
}
