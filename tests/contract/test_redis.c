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

#define REDIS(...) \
	server_command(&f->place, (char[65536]){0}, 65536, (const char *const[]){__VA_ARGS__, NULL})

/* A second node of the same store, on the loop of the first. */
static struct store *second_node(struct fixture *f, uint32_t node)
{
	struct store *s = NULL;

	assert_int_equal(store_open(f->place.url, &f->options, node, &f->loop, &f->log, &s), 0);
	return s;
}

static void set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

static void close_node(struct fixture *f, struct store *s)
{
	bool closed = false;

	store_close(s, set_flag, &closed);
	wait_for(f, &closed);
}

static void run_for(struct fixture *f, unsigned ms)
{
	for (uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000; uv_hrtime() < end; usleep(500))
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void assert_logged(struct fixture *f, const char *words)
{
	char text[8192];

	if (!strstr(fixture_log(f, text, sizeof(text)), words))
		fail_msg("\"%s\" is not in the log: %s", words, text);
}

/* A key of the store by its first letter behind the braces; there has to be one. */
static const char *key_of(struct fixture *f, char letter, char *out, size_t size)
{
	char pattern[32];

	snprintf(pattern, sizeof(pattern), "shoal:{p*}%c*", letter);
	snprintf(out, size, "%s", REDIS("KEYS", pattern));
	assert_true(out[0] == 's' && !strchr(out, '\n'));
	return out;
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

/* ---- more than one node ---- */

struct claim {
	bool done;
	int result;
};

static void claimed(void *ctx, int result, const struct store_device *device)
{
	(void)device;
	*(struct claim *)ctx = (struct claim){true, result};
}

static void of_claims_of_two_nodes_one_wins(void **state)
{
	enum { N = 50 };
	struct fixture *f = *state;
	struct store *other = second_node(f, 8);
	const struct store_fence nobody = {99, 1, 12345};
	struct claim claims[2][N] = {0};
	struct store_hot hot = fresh_hot(f);
	char name[16];
	int won[2] = {0};

	hot.fence = nobody;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		hot.number = 0;
		put(f, name, &hot, "record", NULL);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		for (int n = 0; n < 2; n++)
			assert_int_equal(store_claim((i + n) % 2 ? other : f->store, device_key(name),
						     &nobody, claimed, &claims[(i + n) % 2][i]),
					 0);
		if (i % 7 == 0)
			uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	for (int i = 0; i < N; i++) {
		wait_for(f, &claims[0][i].done);
		wait_for(f, &claims[1][i].done);
		assert_int_equal(claims[0][i].result + claims[1][i].result, STORE_DONE + STORE_REFUSED);
		won[claims[1][i].result == STORE_DONE]++;
	}
	assert_int_equal(won[0] + won[1], N);
	close_node(f, other);
}

struct lease {
	bool done;
	int result;
	size_t count;
	uint64_t incarnation;
};

static void got_lease(void *ctx, int result, const struct store_lease *lease)
{
	struct lease *l = ctx;

	l->result = result;
	l->done = true;
	l->incarnation = lease ? lease->incarnation : 0;
}

static void listed_lease(void *ctx, int result, const struct store_lease *lease)
{
	struct lease *l = ctx;

	l->count += lease != NULL;
	l->done = result != STORE_DONE;
	l->result = result;
}

static int lease_take_now(struct fixture *f, struct store *s, uint64_t *holder)
{
	struct lease l = {0};

	assert_int_equal(store_lease_take(s, span_str("body"), 3000, got_lease, &l), 0);
	wait_for(f, &l.done);
	*holder = l.incarnation;
	return l.result;
}

static void a_lease_is_held_by_one_incarnation(void **state)
{
	struct fixture *f = *state;
	struct store *twin = second_node(f, 7), *other = second_node(f, 8);
	struct lease all = {0};
	uint64_t holder;

	assert_true(store_incarnation(twin) > store_incarnation(f->store));
	assert_int_equal(lease_take_now(f, f->store, &holder), STORE_DONE);
	assert_int_equal(lease_take_now(f, twin, &holder), STORE_REFUSED);
	assert_int_equal(holder, store_incarnation(f->store));
	assert_int_equal(lease_take_now(f, other, &holder), STORE_DONE);
	assert_int_equal(store_lease_list(f->store, listed_lease, &all), 0);
	wait_for(f, &all.done);
	assert_int_equal(all.count, 2);
	clock_advance(3000);
	assert_int_equal(lease_take_now(f, twin, &holder), STORE_DONE);
	assert_int_equal(lease_take_now(f, f->store, &holder), STORE_REFUSED);
	/* Closing gives up one's own, and no other's. */
	close_node(f, other);
	fixture_close(f);
	all = (struct lease){0};
	assert_int_equal(store_lease_list(twin, listed_lease, &all), 0);
	wait_for(f, &all.done);
	assert_int_equal(all.count, 1);
	close_node(f, twin);
	fixture_open(f);
}

/* ---- devices that are not in memory ---- */

struct seen {
	bool done;
	int result;
	uint64_t next;
	size_t count;
	char names[256][16];
};

static void saw(void *ctx, int result, const struct store_device *device)
{
	struct seen *s = ctx;

	assert_false(s->done);
	if (!device) {
		s->done = true;
		s->result = result;
		return;
	}
	assert_int_equal(result, STORE_DONE);
	assert_true(s->count < ARRAY_SIZE(s->names));
	memcpy(s->names[s->count++], device->key.endpoint.data, device->key.endpoint.len);
	assert_true(span_equal(device->record, device->key.endpoint));
}

static void walked(void *ctx, int result, const struct store_device *device, uint64_t next)
{
	((struct seen *)ctx)->next = next;
	saw(ctx, result, device);
}

static void make_devices(struct fixture *f, struct store_hot *hots, int count, uint64_t expires_ms)
{
	for (int i = 0; i < count; i++) {
		char name[16];
		struct store_write w = {
			.hot = &hots[i], .change = STORE_RECORD_PUT, .expires_ms = expires_ms};

		snprintf(name, sizeof(name), "d%d", i);
		hots[i] = fresh_hot(f);
		w.key = device_key(name);
		w.record = span_str(name);
		w.dedup_index = next_hot(&hots[i], 0);
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	}
}

static void devices_are_found_by_hash(void **state)
{
	enum { N = 100 };
	struct fixture *f = *state;
	static struct store_hot hots[N];
	struct siphash_key key = store_hash_key(f->store);

	make_devices(f, hots, N, 0);
	remove_device(f, "d7", &hots[7]);
	for (int i = 0; i < N; i++) {
		struct seen s = {0};
		char name[16];
		uint32_t hash;

		snprintf(name, sizeof(name), "d%d", i);
		hash = (uint32_t)(store_key_hash(&key, device_key(name)) >> 32);
		assert_int_equal(store_find_hash(f->store, STORE_MANAGEMENT, hash, saw, &s), 0);
		wait_for(f, &s.done);
		assert_int_equal(s.result, STORE_ABSENT);
		assert_int_equal(s.count, i != 7);
		if (s.count)
			assert_string_equal(s.names[0], name);
		s = (struct seen){0};
		assert_int_equal(store_find_hash(f->store, STORE_BOOTSTRAP, hash, saw, &s), 0);
		wait_for(f, &s.done);
		assert_int_equal(s.count, 0);
	}
}

static void a_walk_sees_every_device_once(void **state)
{
	enum { N = 200 };
	struct fixture *f = *state;
	static struct store_hot hots[N];
	bool there[N] = {0};
	uint64_t cursor = 0;
	size_t total = 0, pages = 0;

	make_devices(f, hots, N, 0);
	remove_device(f, "d3", &hots[3]);
	do {
		static struct seen s;

		s = (struct seen){0};
		assert_int_equal(store_walk(f->store, STORE_MANAGEMENT, cursor, 20, walked, &s), 0);
		wait_for(f, &s.done);
		assert_int_equal(s.result, STORE_ABSENT);
		for (size_t i = 0; i < s.count; i++) {
			int n = atoi(s.names[i] + 1);

			assert_false(there[n]);
			there[n] = true;
		}
		total += s.count;
		cursor = s.next;
		pages++;
	} while (cursor);
	assert_int_equal(total, N - 1);
	assert_false(there[3]);
	assert_true(pages > 3 && pages <= 11);
	assert_int_equal(store_walk(f->store, STORE_MANAGEMENT, UINT64_MAX, 20, walked, NULL), -EINVAL);
}

static size_t expired_now(struct fixture *f, struct store *s, size_t count, struct seen *seen)
{
	*seen = (struct seen){0};
	assert_int_equal(store_expired(s, STORE_MANAGEMENT, count, 5000, saw, seen), 0);
	wait_for(f, &seen->done);
	assert_int_equal(seen->result, STORE_ABSENT);
	return seen->count;
}

static int expiry_set_now(struct fixture *f, const char *name, uint64_t at_ms)
{
	struct claim c = {0};

	assert_int_equal(store_expiry_set(f->store, device_key(name), at_ms, claimed, &c), 0);
	wait_for(f, &c.done);
	return c.result;
}

static void each_expired_device_goes_to_one_node(void **state)
{
	enum { N = 60 };
	struct fixture *f = *state;
	struct store *other = second_node(f, 8);
	static struct store_hot hots[N];
	static struct seen seen;
	size_t got = 0;

	make_devices(f, hots, N, clock_now() + 1000);
	assert_int_equal(expired_now(f, f->store, 100, &seen), 0);
	clock_advance(1000);
	for (int i = 0; i < 40; i++)
		got += expired_now(f, i % 2 ? other : f->store, 7, &seen);
	assert_int_equal(got, N);
	assert_int_equal(expired_now(f, f->store, 200, &seen), 0);
	/* Whoever got them did not deal with them: they come back. */
	clock_advance(5000);
	assert_int_equal(expired_now(f, other, 200, &seen), N);
	close_node(f, other);
}

static void an_update_moves_the_time(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot[4];
	static struct seen seen;
	struct store_write w = {.key = device_key("d0"),
				.hot = &hot[0],
				.dedup_index = -1,
				.change = STORE_RECORD_PUT,
				.record = span_str("d0")};

	make_devices(f, hot, 4, clock_now() + 1000);
	/* Later, earlier, never; by a write and without. */
	w.expires_ms = clock_now() + 9000;
	next_hot(&hot[0], 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_int_equal(expiry_set_now(f, "d1", clock_now() + 100), STORE_DONE);
	assert_int_equal(expiry_set_now(f, "d2", 0), STORE_DONE);
	assert_int_equal(expiry_set_now(f, "nobody", 5), STORE_ABSENT);
	clock_advance(100);
	assert_int_equal(expired_now(f, f->store, 100, &seen), 1);
	assert_string_equal(seen.names[0], "d1");
	assert_int_equal(find_now(f, device_key("d1"))->expires_ms, clock_now());
	clock_advance(900);
	assert_int_equal(expired_now(f, f->store, 100, &seen), 1);
	assert_string_equal(seen.names[0], "d3");
	remove_device(f, "d1", &hot[1]);
	assert_int_equal(expiry_set_now(f, "d1", 5), STORE_ABSENT);
	clock_advance(7999);
	assert_int_equal(expired_now(f, f->store, 100, &seen), 1);
	assert_string_equal(seen.names[0], "d3");
	clock_advance(1);
	assert_int_equal(expired_now(f, f->store, 100, &seen), 1);
	assert_string_equal(seen.names[0], "d0");
	w.expires_ms = clock_now() + 50;
	next_hot(&hot[0], 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	w.expires_ms = 0;
	next_hot(&hot[0], 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	clock_advance(100000);
	expired_now(f, f->store, 100, &seen);
	for (size_t i = 0; i < seen.count; i++)
		assert_string_not_equal(seen.names[i], "d0");
}

/* ---- the log ---- */

static void nodes_read_one_order_without_a_gap(void **state)
{
	enum { N = 40, ROUNDS = 30 };
	struct fixture *f = *state;
	struct store *other;
	static struct store_hot hots[N];
	static struct wrote outs[N];
	static uint64_t read[2][N * ROUNDS];
	size_t count[2] = {0};
	struct store_cursor at[2] = {0};

	/* By the server's clock, which goes on. */
	fixture_close(f);
	f->options.wall_ms = (struct store_options){0}.wall_ms;
	store_options_init(&f->options);
	fixture_open(f);
	other = second_node(f, 8);
	make_devices(f, hots, N, 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < N; i++) {
			char name[16];
			struct store_write w = {.hot = &hots[i], .dedup_index = -1, .event = 1};

			snprintf(name, sizeof(name), "d%d", i);
			w.key = device_key(name);
			next_hot(&hots[i], 0);
			write_later(f, &w, &outs[i]);
		}
		/* Both read while it is written, in pieces of different size. */
		for (int n = 0; n < 2; n++) {
			struct store *mine = f->store;
			const struct events *e;

			f->store = n ? other : f->store;
			e = events_now(f, at[n], n ? 7 : 100);
			f->store = mine;
			assert_false(e->gap);
			for (size_t i = 0; i < e->count; i++)
				read[n][count[n]++] = e->items[i].sequence;
			at[n] = e->next;
		}
		for (int i = 0; i < N; i++)
			wait_for(f, &outs[i].done);
	}
	usleep(5000);
	for (int n = 0; n < 2; n++) {
		const struct events *e;

		while ((e = events_now(f, at[n], 200))->count) {
			for (size_t i = 0; i < e->count; i++)
				read[n][count[n]++] = e->items[i].sequence;
			at[n] = e->next;
		}
		assert_int_equal(count[n], N * ROUNDS);
		for (size_t i = 1; i < count[n]; i++)
			assert_true(read[n][i] > read[n][i - 1]);
	}
	assert_memory_equal(read[0], read[1], sizeof(read[0]));
	close_node(f, other);
}

static void count_growth(void *ctx)
{
	(*(unsigned *)ctx)++;
}

static void events_of_other_nodes_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct store *other = second_node(f, 8);
	struct store_hot hot = fresh_hot(f);
	unsigned told = 0;

	store_on_events(other, count_growth, &told);
	put(f, "a", &hot, "record", "event");
	run_for(f, 150);
	assert_int_equal(told, 0);
	clock_advance(1);
	run_for(f, 300);
	assert_int_equal(told, 1);
	close_node(f, other);
}

static void groups_get_what_is_old_unless_there_is_too_much(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot;
	static uint8_t body[1000];
	struct store_write w = {.key = device_key("a"),
				.hot = &hot,
				.dedup_index = -1,
				.event = 1,
				.event_body = span_of(body, sizeof(body))};
	char stream[128], text[32];
	const struct events *e;

	fixture_close(f);
	f->options.journal_age_max_ms = 1000;
	f->options.journal_bytes_max = 100000;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", "e");
	key_of(f, 'e', stream, sizeof(stream));
	REDIS("XGROUP", "CREATE", stream, "backend", "0");
	for (int i = 0; i < 5; i++)
		put(f, "a", &hot, NULL, "e");
	/* Read but not acknowledged: the first. */
	REDIS("XREADGROUP", "GROUP", "backend", "one", "COUNT", "1", "STREAMS", stream, ">");
	clock_advance(100000);
	run_for(f, 2500);
	assert_string_equal(REDIS("XLEN", stream), "6");
	/* Readers of the log have none of it: for them it is too old. */
	e = events_now(f, (struct store_cursor){0}, 100);
	assert_int_equal(e->count, 0);
	for (int i = 0; i < 200; i++) {
		next_hot(&hot, 0);
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
		clock_advance(1);
	}
	run_for(f, 3500);
	snprintf(text, sizeof(text), "%s", REDIS("XLEN", stream));
	assert_true(atoi(text) < 120);
	/* They are told in the stream what they have missed; readers of the log by the gap. */
	assert_non_null(strstr(REDIS("XREVRANGE", stream, "+", "-"), "\n255\n"));
	e = events_now(f, (struct store_cursor){0}, 4096);
	assert_true(e->gap);
	assert_true(e->count > 0 && e->count < 120);
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
		REDIS_TEST(of_claims_of_two_nodes_one_wins),
		REDIS_TEST(a_lease_is_held_by_one_incarnation),
		REDIS_TEST(devices_are_found_by_hash),
		REDIS_TEST(a_walk_sees_every_device_once),
		REDIS_TEST(each_expired_device_goes_to_one_node),
		REDIS_TEST(an_update_moves_the_time),
		REDIS_TEST(nodes_read_one_order_without_a_gap),
		REDIS_TEST(events_of_other_nodes_are_noticed),
		REDIS_TEST(groups_get_what_is_old_unless_there_is_too_much),
	};

	return cmocka_run_group_tests_name("store-redis", tests, NULL, NULL);
}
