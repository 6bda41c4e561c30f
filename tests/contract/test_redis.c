/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* What only a store in Redis can be asked: lost answers, servers that are full, wrong, empty, old or gone,
 * more than one node, devices that are found without being in memory. */

#include "contract.h"
#include "proxy.h"
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

static void assert_logged(struct fixture *f, const char *words)
{
	char text[8192];

	if (!strstr(fixture_log(f, text, sizeof(text)), words))
		fail_msg("\"%s\" is not in the log: %s", words, text);
}

/* ---- answers that get lost ---- */

static void through_proxy(struct fixture *f, struct proxy *p)
{
	fixture_close(f);
	proxy_start(p, f->place.directory);
	snprintf(f->place.url, sizeof(f->place.url), "redis+unix://%s", p->path);
	fixture_open(f);
}

static void end_proxy(struct fixture *f, struct proxy *p)
{
	fixture_close(f);
	proxy_stop(p);
	snprintf(f->place.url, sizeof(f->place.url), "redis+unix://%s/redis.sock", f->place.directory);
	fixture_open(f);
}

static void a_write_whose_answer_is_lost_is_done_once(void **state)
{
	enum { N = 20 };
	struct fixture *f = *state;
	struct store_hot hot;
	struct wrote outs[N];
	static struct proxy p;

	through_proxy(f, &p);
	hot = fresh_hot(f);
	put(f, "a", &hot, "first", "e");
	for (int round = 0; round < 5; round++) {
		atomic_store(&p.mode, PROXY_LOSE_ANSWER);
		for (size_t i = 0; i < N; i++) {
			struct store_write w = {.key = device_key("a"),
						.hot = &hot,
						.dedup_index = next_hot(&hot, (uint16_t)(i + 1)),
						.change = i % 3 ? STORE_RECORD_KEEP : STORE_RECORD_PUT,
						.record = span_str("more"),
						.event = 1};

			write_later(f, &w, &outs[i]);
		}
		wait_for(f, &outs[N - 1].done);
		for (size_t i = 0; i < N; i++)
			assert_int_equal(outs[i].written.result, STORE_DONE);
	}
	assert_true(atomic_load(&p.cuts) >= 5);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
	assert_int_equal(events_now(f, (struct store_cursor){0}, 4096)->count, 1 + 5 * N);
	end_proxy(f, &p);
}

static void a_claim_whose_answer_is_lost_is_ours(void **state)
{
	struct fixture *f = *state;
	const struct store_fence other = {f->fence.node + 1, 0, 99};
	struct store_hot hot;
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_KEEP};
	const struct found *found;
	static struct proxy p;

	through_proxy(f, &p);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	next_hot(&hot, 0);
	atomic_store(&p.mode, PROXY_LOSE_ANSWER);
	assert_int_equal(hand_over_now(f, &w, &other).written.result, STORE_DONE);
	hot.fence = (struct store_fence){other.node, 2, other.incarnation};
	atomic_store(&p.mode, PROXY_LOSE_ANSWER);
	found = claim_now(f, device_key("a"), &hot.fence);
	assert_int_equal(found->result, STORE_DONE);
	assert_int_equal(found->hot.fence.gen, 3);
	assert_int_equal(found->hot.fence.node, f->fence.node);
	assert_true(atomic_load(&p.cuts) >= 2);
	end_proxy(f, &p);
}

struct answer {
	bool done;
	int result;
	uint64_t version;
};

static void got_document(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)name;
	(void)body;
	*(struct answer *)ctx = (struct answer){true, result, version};
}

static void got_request(void *ctx, int result, const struct store_request *request)
{
	(void)request;
	*(struct answer *)ctx = (struct answer){true, result, 0};
}

static void documents_and_requests_bear_a_lost_answer(void **state)
{
	struct fixture *f = *state;
	struct store_request request = {span_str("id"), 1, 5000, span_str("body")};
	struct answer answer = {0};
	struct store_hot hot;
	static struct proxy p;

	through_proxy(f, &p);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	atomic_store(&p.mode, PROXY_LOSE_ANSWER);
	assert_int_equal(store_document_put(f->store, STORE_SETTING, span_str("n"), span_str("b"), 0,
					    got_document, &answer),
			 0);
	wait_for(f, &answer.done);
	assert_int_equal(answer.result, STORE_DONE);
	answer.done = false;
	assert_int_equal(store_document_put(f->store, STORE_SETTING, span_str("n"), span_str("c"), 0,
					    got_document, &answer),
			 0);
	wait_for(f, &answer.done);
	assert_int_equal(answer.result, STORE_REFUSED);
	atomic_store(&p.mode, PROXY_LOSE_ANSWER);
	answer.done = false;
	assert_int_equal(store_request_add(f->store, device_key("a"), &request, 9, got_request, &answer), 0);
	wait_for(f, &answer.done);
	assert_int_equal(answer.result, STORE_DONE);
	answer.done = false;
	assert_int_equal(store_request_add(f->store, device_key("a"), &request, 9, got_request, &answer), 0);
	wait_for(f, &answer.done);
	assert_int_equal(answer.result, STORE_ALREADY);
	end_proxy(f, &p);
}

static void what_was_never_sent_ends_in_time(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot, sent;
	struct wrote first, second;
	struct store_write w = {.key = device_key("a"), .dedup_index = -1, .change = STORE_RECORD_PUT};
	static struct proxy p;

	fixture_close(f);
	f->options.timeout_ms = 300;
	fixture_open(f);
	through_proxy(f, &p);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	assert_int_equal(store_silent_ms(f->store), 0);
	atomic_store(&p.mode, PROXY_CUT);
	run_for(f, 100);
	next_hot(&hot, 0);
	w.hot = &hot;
	w.record = span_str("first");
	write_later(f, &w, &first);
	wait_for(f, &first.done);
	assert_int_equal(first.written.result, -ETIMEDOUT);
	assert_true(store_silent_ms(f->store) > 0);
	assert_int_equal(stats_of(f).pending_writes, 0);
	/* One that was sent has an outcome that only the server knows: it waits, and so does what follows. */
	atomic_store(&p.mode, PROXY_PASS);
	run_for(f, 1500);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, 1);
	atomic_store(&p.mode, PROXY_STALL);
	sent = hot;
	w.hot = &sent;
	write_later(f, &w, &first);
	run_for(f, 50);
	atomic_store(&p.mode, PROXY_CUT);
	next_hot(&hot, 0);
	w.hot = &hot;
	write_later(f, &w, &second);
	run_for(f, 900);
	assert_false(first.done);
	assert_false(second.done);
	atomic_store(&p.mode, PROXY_PASS);
	wait_for(f, &second.done);
	assert_int_equal(first.written.result, STORE_DONE);
	assert_int_equal(second.written.result, STORE_DONE);
	assert_true(first.order < second.order);
	assert_int_equal(store_silent_ms(f->store), 0);
	end_proxy(f, &p);
}

/* ---- servers that have changed ---- */

static void restart_empty(struct fixture *f)
{
	server_stop(&f->place);
	server_start(&f->place, NULL);
}

static void a_store_that_was_restarted_empty_is_behind(void **state)
{
	struct fixture *f = *state;
	struct siphash_key key = store_hash_key(f->store);
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_KEEP};
	struct wrote out;

	hot.fence.gen = 7;
	put(f, "a", &hot, "record", NULL);
	put(f, "a", &hot, NULL, NULL);
	restart_empty(f);
	next_hot(&hot, 0);
	out = write_now(f, &w);
	assert_int_equal(out.written.result, STORE_BEHIND);
	assert_int_equal(out.written.found.number, 0);
	assert_int_equal(out.written.found.fence.gen, 7);
	w.change = STORE_RECORD_PUT;
	w.record = span_str("again");
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	/* It is the same store: other nodes find the same hashes in it. */
	fixture_reopen(f);
	assert_memory_equal(store_hash_key(f->store).bytes, key.bytes, sizeof(key.bytes));
	assert_string_equal(find_now(f, device_key("a"))->record, "again");
}

static void another_store_in_its_place_is_not_used(void **state)
{
	struct fixture *f = *state;
	const char *why = NULL;

	server_stop(&f->place);
	server_start(&f->place, NULL);
	REDIS("HSET", "shoal:{meta}", "schema", "1", "hash-key", "0123456789abcdef", "partitions", "256",
	      "buckets", "64", "incarnation", "1");
	run_for(f, 1500);
	assert_false(store_healthy(f->store, &why));
	assert_non_null(strstr(why, "another store"));
	assert_string_equal(REDIS("HGET", "shoal:{meta}", "incarnation"), "1");
	fixture_reopen(f);
	assert_true(store_healthy(f->store, &why));
	assert_memory_equal(store_hash_key(f->store).bytes, "0123456789abcdef", 16);
}

static void another_run_raises_the_gen_by_two(void **state)
{
	static const char *const files[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
	struct fixture *f = *state;
	const struct store_fence other = {f->fence.node + 1, 0, 99};
	struct store_hot hot;
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_KEEP};
	struct wrote out;

	fixture_close(f);
	server_stop(&f->place);
	server_start(&f->place, files);
	f->options.durability = STORE_DISK;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	server_stop(&f->place);
	server_start(&f->place, files);
	/* The owner goes on as it was: nobody can have had the device in between and been forgotten. */
	put(f, "a", &hot, NULL, NULL);
	assert_int_equal(claim_now(f, device_key("a"), &hot.fence)->result, STORE_DONE);
	hot.fence.gen += 2;
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
	/* With the run that it knows now, it is one again; a hand-over counts alike, and says what became of
	 * it. */
	assert_int_equal(claim_now(f, device_key("a"), &hot.fence)->result, STORE_DONE);
	hot.fence.gen++;
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
	server_stop(&f->place);
	server_start(&f->place, files);
	next_hot(&hot, 0);
	out = hand_over_now(f, &w, &other);
	assert_int_equal(out.written.result, STORE_DONE);
	assert_int_equal(out.written.found.fence.gen, hot.fence.gen + 2);
	assert_int_equal(out.written.found.fence.node, other.node);
}

static void scripts_that_were_flushed_are_loaded_again(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct wrote outs[5];

	put(f, "a", &hot, "record", NULL);
	REDIS("SCRIPT", "FLUSH");
	for (size_t i = 0; i < 5; i++) {
		struct store_write w = {.key = device_key("a"), .hot = &hot, .dedup_index = -1};

		next_hot(&hot, 0);
		write_later(f, &w, &outs[i]);
	}
	wait_for(f, &outs[4].done);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(outs[i].written.result, STORE_DONE);
}

/* ---- servers that cannot do it ---- */

static void a_full_server_does_nothing_by_halves(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), stored, gone = fresh_hot(f);
	struct store_write w = {.key = device_key("a"), .hot = &hot, .event = 1};
	struct store_index_change index = {STORE_INDEX_CID, span_str("cid"), false};

	put(f, "a", &hot, "record", "e");
	put(f, "gone", &gone, "record", NULL);
	stored = hot;
	REDIS("CONFIG", "SET", "maxmemory", "1mb");
	next_hot(&hot, 0);
	for (int change = STORE_RECORD_KEEP; change <= STORE_RECORD_PUT; change++) {
		w.change = (enum store_record_change)change;
		w.dedup_index = -1;
		w.record = span_str("new");
		w.index = &index;
		w.index_count = 1;
		assert_int_equal(write_now(f, &w).written.result, -ENOSPC);
	}
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &stored);
	assert_string_equal(find_now(f, device_key("a"))->record, "record");
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 1);
	/* What makes room, or takes none, goes on. */
	remove_device(f, "gone", &gone);
	assert_int_equal(claim_now(f, device_key("a"), &stored.fence)->result, STORE_DONE);
	REDIS("CONFIG", "SET", "maxmemory", "0");
	hot.fence.gen = 2;
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 2);
}

static void keys_of_a_wrong_type_change_nothing(void **state)
{
	/* Device, stream, state of the stream, hash index, expiry index, queue. */
	static const char letters[] = "deshxq";
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), stored;
	struct store_write w = {.key = device_key("a"), .hot = &hot, .dedup_index = -1, .event = 1};
	struct store_request request = {span_str("id"), 1, 5000, span_str("body")};
	struct answer answer = {0};

	put(f, "a", &hot, "record", "e");
	w.change = STORE_RECORD_PUT;
	w.record = span_str("record");
	w.expires_ms = clock_now() + 1000;
	next_hot(&hot, 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_int_equal(store_request_add(f->store, device_key("a"), &request, 9, got_request, &answer), 0);
	wait_for(f, &answer.done);
	stored = hot;
	next_hot(&hot, 0);
	for (size_t i = 0; i < strlen(letters); i++) {
		char key[128], kept[160];

		key_of(f, letters[i], key, sizeof(key));
		snprintf(kept, sizeof(kept), "kept:%s", key);
		REDIS("RENAME", key, kept);
		REDIS("LPUSH", key, "what");
		w.change = STORE_RECORD_PUT;
		w.record = span_str("new");
		assert_int_equal(write_now(f, &w).written.result, -EBADMSG);
		assert_string_equal(REDIS("LRANGE", key, "0", "-1"), "what");
		REDIS("RENAME", kept, key);
		assert_hot_equal(&find_now(f, device_key("a"))->hot, &stored);
		assert_string_equal(find_now(f, device_key("a"))->record, "record");
		assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 2);
	}
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
}

static void a_device_that_is_damaged_is_said_to_be(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {.key = device_key("a"), .hot = &hot, .dedup_index = -1};
	char key[128];

	put(f, "a", &hot, "record", NULL);
	next_hot(&hot, 0);
	key_of(f, 'd', key, sizeof(key));
	REDIS("SETRANGE", key, "0", "X");
	assert_int_equal(write_now(f, &w).written.result, -EBADMSG);
	assert_int_equal(find_now(f, device_key("a"))->result, -EBADMSG);
	assert_int_equal(claim_now(f, device_key("a"), &hot.fence)->result, -EBADMSG);
	REDIS("SET", key, "short");
	assert_int_equal(write_now(f, &w).written.result, -EBADMSG);
	assert_int_equal(find_now(f, device_key("a"))->result, -EBADMSG);
}

static void servers_that_cannot_keep_promises_are_refused(void **state)
{
	static const char *const policies[] = {"allkeys-lru", "volatile-ttl", "allkeys-random"};
	struct fixture *f = *state;

	fixture_close(f);
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		REDIS("CONFIG", "SET", "maxmemory-policy", policies[i]);
		assert_int_equal(fixture_try_open(f), -EINVAL);
		assert_logged(f, policies[i]);
		assert_logged(f, "noeviction");
	}
	REDIS("CONFIG", "SET", "maxmemory-policy", "noeviction");
	f->options.durability = STORE_DISK;
	assert_int_equal(fixture_try_open(f), -EINVAL);
	assert_logged(f, "appendonly yes");
	REDIS("CONFIG", "SET", "appendonly", "yes");
	assert_int_equal(fixture_try_open(f), -EINVAL);
	assert_logged(f, "appendfsync always at Redis");
	REDIS("CONFIG", "SET", "appendfsync", "always");
	assert_int_equal(fixture_try_open(f), 0);
	fixture_close(f);
	f->options.durability = STORE_LOCAL;
	REDIS("REPLICAOF", "127.0.0.1", "1");
	assert_int_equal(fixture_try_open(f), -EROFS);
	assert_logged(f, "replica");
	REDIS("REPLICAOF", "NO", "ONE");
	/* It stood there since the first opening of the fixture. */
	assert_string_equal(REDIS("HGET", "shoal:{meta}", "schema"), "1");
	REDIS("HSET", "shoal:{meta}", "schema", "2");
	assert_int_equal(fixture_try_open(f), -EPROTO);
	assert_logged(f, "newer version");
	REDIS("HSET", "shoal:{meta}", "schema", "none");
	assert_int_equal(fixture_try_open(f), -EBADMSG);
	REDIS("DEL", "shoal:{meta}");
	REDIS("SET", "shoal:{meta}", "mine");
	assert_int_equal(fixture_try_open(f), -EACCES);
	REDIS("DEL", "shoal:{meta}");
	fixture_open(f);
}

static void urls_and_passwords(void **state)
{
	static const char *const wrong[] = {
		"redis:host",
		"redis://",
		"redis://host:99999",
		"redis://u:p@host",
		"redis://host/x",
		"redis://[::1",
		"redis://host?no=1",
		"redis+unix://relative",
		"redis://host?prefix=a{b}",
	};
	struct fixture *f = *state;
	struct store_hot hot;

	fixture_close(f);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(store_open(wrong[i], &f->options, 7, &f->loop, &f->log, &f->store), -EINVAL);
		assert_null(f->store);
	}
	REDIS("ACL", "SETUSER", "shoal", "on", ">secret", "~*", "+@all", "&*");
	REDIS("CONFIG", "SET", "requirepass", "top");
	assert_int_equal(fixture_try_open(f), -EACCES);
	f->options.password = "wrong";
	assert_int_equal(fixture_try_open(f), -EACCES);
	f->options.password = "secret";
	f->options.user = "shoal";
	fixture_open(f);
	fixture_close(f);
	snprintf(f->place.url, sizeof(f->place.url), "redis+unix://%s/redis.sock?db=3&prefix=mine",
		 f->place.directory);
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	assert_non_null(
		strstr(REDIS("-a", "top", "--no-auth-warning", "-n", "3", "KEYS", "mine:{p*}d:0:a"), "mine"));
	assert_string_equal(REDIS("-a", "top", "--no-auth-warning", "-n", "3", "KEYS", "shoal:*"), "");
}

static void a_connection_by_tls_is_to_whom_it_should_be(void **state)
{
	struct fixture *f = *state;
	char certificate[300], key[300], command[1200], port[8];
	struct store_hot hot;

	fixture_close(f);
	server_stop(&f->place);
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", f->place.directory);
	snprintf(key, sizeof(key), "%s/key.pem", f->place.directory);
	snprintf(command, sizeof(command),
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
		 "/CN=localhost "
		 "-addext subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null",
		 key, certificate);
	assert_int_equal(system(command), 0);
	snprintf(port, sizeof(port), "%d", free_port());
	server_start(&f->place,
		     (const char *const[]){"--tls-port", port, "--bind", "127.0.0.1", "--tls-cert-file",
					   certificate, "--tls-key-file", key, "--tls-ca-cert-file",
					   certificate, "--tls-auth-clients", "no", NULL});
	snprintf(f->place.url, sizeof(f->place.url), "rediss://localhost:%s", port);
	/* Nobody whom the system trusts. */
	assert_true(fixture_try_open(f) < 0);
	f->options.ca_file = "/nonexistent";
	assert_int_equal(fixture_try_open(f), -ENOENT);
	f->options.ca_file = certificate;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", "event");
	assert_string_equal(find_now(f, device_key("a"))->record, "record");
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 1);
	fixture_close(f);
	/* Another name than that of the certificate. */
	snprintf(f->place.url, sizeof(f->place.url), "rediss://127.0.0.1:%s", port);
	assert_true(fixture_try_open(f) < 0);
	f->options.ca_file = NULL;
	snprintf(f->place.url, sizeof(f->place.url), "redis+unix://%s/redis.sock", f->place.directory);
	fixture_open(f);
}

/* ---- commands ---- */

/* All that scripts and calls use, each in Redis 7.0 and Valkey. docs/store.md has them too. */
static const char *const commands[] = {
	"auth",	   "config|get", "evalsha", "info",	"role",		"script|load", "select",
	"time",	   "wait",	 "get",	    "getrange", "set",		"setrange",    "del",
	"persist", "pexpire",	 "incr",    "hdel",	"hexists",	"hget",	       "hgetall",
	"hlen",	   "hmget",	 "hset",    "xadd",	"xinfo|groups", "xpending",    "xrange",
	"xread",   "xtrim",	 "zadd",    "zcard",	"zrange",	"zrem",
};

static bool is_known(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strlen(commands[i]) == len && memcmp(commands[i], name, len) == 0)
			return true;
	return false;
}

static void assert_commands_known(struct fixture *f)
{
	/* Those of these tests. */
	static const char *const ours[] = {"ping",	  "keys",	   "rename",	   "lpush",
					   "lrange",	  "config|set",	   "command|docs", "command",
					   "acl|setuser", "xgroup|create", "xreadgroup",   "xlen",
					   "xrevrange",	  "replicaof",	   "script|flush", "config|resetstat",
					   "memory|usage"};
	char *text = strdup(REDIS("INFO", "commandstats"));

	for (const char *at = text; (at = strstr(at, "cmdstat_")); at++) {
		const char *name = at + strlen("cmdstat_");
		size_t len = strcspn(name, ":");
		bool ours_too = is_known(name, len);

		for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
			ours_too |= strlen(ours[i]) == len && memcmp(ours[i], name, len) == 0;
		if (!ours_too)
			fail_msg("not in the table of commands: %.*s", (int)len, name);
	}
	free(text);
}

/* ---- */

static int setup(void **state)
{
	*state = (void *)(uintptr_t)backend_find("redis");
	return fixture_setup(state);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->store && f->place.server && strcmp(f->options.password ? f->options.password : "", "") == 0)
		assert_commands_known(f);
	return fixture_teardown(state);
}

#define REDIS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REDIS_TEST(a_write_whose_answer_is_lost_is_done_once),
		REDIS_TEST(a_claim_whose_answer_is_lost_is_ours),
		REDIS_TEST(documents_and_requests_bear_a_lost_answer),
		REDIS_TEST(what_was_never_sent_ends_in_time),
		REDIS_TEST(a_store_that_was_restarted_empty_is_behind),
		REDIS_TEST(another_store_in_its_place_is_not_used),
		REDIS_TEST(another_run_raises_the_gen_by_two),
		REDIS_TEST(scripts_that_were_flushed_are_loaded_again),
		REDIS_TEST(a_full_server_does_nothing_by_halves),
		REDIS_TEST(keys_of_a_wrong_type_change_nothing),
		REDIS_TEST(a_device_that_is_damaged_is_said_to_be),
		REDIS_TEST(servers_that_cannot_keep_promises_are_refused),
		REDIS_TEST(urls_and_passwords),
		REDIS_TEST(a_connection_by_tls_is_to_whom_it_should_be),
	};

	struct CMUnitTest all[64];
	size_t count = 0;

	for (; count < ARRAY_SIZE(tests); count++)
		all[count] = tests[count];
	for (size_t i = 0; i < redis_nodes_theme.count; i++) {
		assert(count < ARRAY_SIZE(all));
		all[count] = redis_nodes_theme.tests[i];
		all[count].setup_func = setup;
		all[count++].teardown_func = teardown;
	}
	return _cmocka_run_group_tests("store-redis", all, count, NULL, NULL);
}
