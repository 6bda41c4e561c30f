/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* More than one node of a store in Redis, devices that are found without being in memory, one log over many
 * streams. */

#include "server.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- replicas ---- */

static void start_replica(struct fixture *f, struct place *replica, const char *port)
{
	snprintf(replica->directory, sizeof(replica->directory), "%.200s/replica", f->place.directory);
	assert_int_equal(mkdir(replica->directory, 0700), 0);
	server_start(replica, (const char *const[]){"--replicaof", "127.0.0.1", port, NULL});
}

static void what_has_to_be_replicated_waits_for_a_replica(void **state)
{
	struct fixture *f = *state;
	struct place replica = {0};
	struct store_hot hot;
	struct store_write w = {.key = device_key("a"), .hot = &hot, .dedup_index = -1};
	static struct found claim;
	struct wrote out;
	char port[8];

	fixture_close(f);
	server_stop(&f->place);
	snprintf(port, sizeof(port), "%d", free_port());
	server_start(&f->place, (const char *const[]){"--port", port, "--bind", "127.0.0.1",
						      "--repl-diskless-sync-delay", "0", NULL});
	f->options.durability = STORE_REPLICA;
	fixture_open(f);
	hot = fresh_hot(f);
	next_hot(&hot, 0);
	w.change = STORE_RECORD_PUT;
	write_later(f, &w, &out);
	run_for(f, 300);
	assert_false(out.done);
	/* Look-ups do not wait; and they see what is there. */
	assert_int_equal(find_now(f, device_key("a"))->hot.number, 1);
	assert_false(out.done);
	start_replica(f, &replica, port);
	wait_for(f, &out.done);
	assert_int_equal(out.written.result, STORE_DONE);
	fixture_close(f);
	/* Otherwise only a change of owner does, as long as there is one. */
	f->options.durability = STORE_LOCAL;
	fixture_open(f);
	hot.fence.gen = 1;
	assert_int_equal(kill(replica.server, SIGSTOP), 0);
	next_hot(&hot, 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	claim_later(f, device_key("a"), &hot.fence, &claim);
	run_for(f, 400);
	assert_false(claim.done);
	assert_int_equal(find_now(f, device_key("a"))->hot.fence.gen, 2);
	assert_int_equal(kill(replica.server, SIGCONT), 0);
	wait_for(f, &claim.done);
	assert_int_equal(claim.result, STORE_DONE);
	/* Without a replica there is nothing to wait for. */
	assert_int_equal(kill(replica.server, SIGSTOP), 0);
	hot.fence = claim.hot.fence;
	claim_later(f, device_key("a"), &hot.fence, &claim);
	run_for(f, 200);
	assert_false(claim.done);
	server_stop(&replica);
	wait_for(f, &claim.done);
	assert_int_equal(claim.result, STORE_DONE);
	fixture_close(f);
	server_stop(&f->place);
	server_start(&f->place, NULL);
	fixture_open(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(of_claims_of_two_nodes_one_wins),
	cmocka_unit_test(a_lease_is_held_by_one_incarnation),
	cmocka_unit_test(devices_are_found_by_hash),
	cmocka_unit_test(a_walk_sees_every_device_once),
	cmocka_unit_test(each_expired_device_goes_to_one_node),
	cmocka_unit_test(an_update_moves_the_time),
	cmocka_unit_test(nodes_read_one_order_without_a_gap),
	cmocka_unit_test(events_of_other_nodes_are_noticed),
	cmocka_unit_test(what_has_to_be_replicated_waits_for_a_replica),
	cmocka_unit_test(groups_get_what_is_old_unless_there_is_too_much),
};

const struct theme redis_nodes_theme = {tests, ARRAY_SIZE(tests)};
