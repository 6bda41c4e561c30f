/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Fenced writes, claims, hand-over, tombstones, indexes: every outcome of each. */

#include "contract.h"

#include <errno.h>

static void a_written_device_is_found(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const struct found *found;

	assert_int_equal(find_now(f, device_key("a"))->result, STORE_ABSENT);
	put(f, "a", &hot, "record", NULL);
	found = find_now(f, device_key("a"));
	assert_int_equal(found->result, STORE_DONE);
	assert_string_equal(found->endpoint, "a");
	assert_string_equal(found->record, "record");
	assert_hot_equal(&found->hot, &hot);
	assert_devices(f, 1);
}

static void keeping_the_record_changes_only_hot_fields(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"),
		.hot = &hot,
		.dedup_index = -1,
		.change = STORE_RECORD_PUT,
		.record = span_str("one"),
		.expires_ms = 4711,
	};
	const struct found *found;

	next_hot(&hot, 0);
	write_now(f, &w);
	put(f, "a", &hot, NULL, NULL);
	found = find_now(f, device_key("a"));
	assert_string_equal(found->record, "one");
	assert_int_equal(found->expires_ms, 4711);
	assert_hot_equal(&found->hot, &hot);
	put(f, "a", &hot, "two", NULL);
	found = find_now(f, device_key("a"));
	assert_string_equal(found->record, "two");
	assert_int_equal(found->expires_ms, 0);
}

static void endpoints_may_have_any_bytes_and_roles_are_apart(void **state)
{
	struct fixture *f = *state;
	char longest[STORE_ENDPOINT_MAX + 1];
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {.hot = &hot, .dedup_index = -1, .change = STORE_RECORD_PUT};
	struct store_key keys[] = {
		{STORE_MANAGEMENT, span_of("\0", 1)},
		{STORE_MANAGEMENT, span_of("\0\0", 2)},
		{STORE_BOOTSTRAP, span_of("\0", 1)},
		{STORE_MANAGEMENT, span_of("\xff\"\n", 3)},
		{STORE_MANAGEMENT, span_str("a")},
		{STORE_MANAGEMENT, span_str("ab")},
		{STORE_MANAGEMENT, span_of(longest, STORE_ENDPOINT_MAX)},
	};

	memset(longest, 'x', sizeof(longest));
	next_hot(&hot, 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint8_t number = (uint8_t)i;

		w.key = keys[i];
		w.record = span_of(&number, 1);
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	}
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			const struct found *found = find_now(f, keys[i]);

			assert_int_equal(found->result, STORE_DONE);
			assert_int_equal(found->record_len, 1);
			assert_int_equal(found->record[0], i);
			assert_memory_equal(found->endpoint, keys[i].endpoint.data, keys[i].endpoint.len);
		}
		fixture_reopen(f);
	}
}

static void the_largest_write_fits(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	_cleanup_free_ uint8_t *big = malloc(STORE_EVENT_MAX);
	struct store_write w = {
		.key = device_key("a"),
		.hot = &hot,
		.dedup_index = next_hot(&hot, 5),
		.change = STORE_RECORD_PUT,
		.record = span_of(big, STORE_RECORD_MAX),
		.event = 9,
		.event_body = span_of(big, STORE_EVENT_MAX),
	};
	const struct found *found;

	memset(big, 0x5a, STORE_EVENT_MAX);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	found = find_now(f, device_key("a"));
	assert_int_equal(found->record_len, STORE_RECORD_MAX);
	assert_memory_equal(found->record, big, STORE_RECORD_MAX);
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 1);
}

static void never_written(void *ctx, const struct store_written *written)
{
	(void)ctx;
	(void)written;
	fail_msg("called back although the call failed");
}

static void senseless_writes_are_refused_at_once(void **state)
{
	struct fixture *f = *state;
	static const uint8_t zeros[STORE_EVENT_MAX + 1];
	struct store_index_change index[STORE_INDEX_CHANGES_MAX + 1] = {
		{STORE_INDEX_CID, span_str("x"), false}};
	struct store_index_change nameless = {STORE_INDEX_CID, span_str(""), false};
	struct store_index_change endless = {STORE_INDEX_CID, span_of(zeros, STORE_NAME_MAX + 1), false};
	struct store_hot hot = fresh_hot(f), no_number = fresh_hot(f), bad_ring = fresh_hot(f);
	struct store_write good = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_PUT};
	struct {
		struct store_write w;
		int error;
	} bad[12];
	size_t n = 0;

	next_hot(&hot, 0);
	bad_ring = hot;
	bad_ring.dedup.next = COAP_DEDUP_ENTRIES;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i].w = good;
	bad[n].w.key.endpoint.len = 0, bad[n++].error = -EINVAL;
	bad[n].w.key.endpoint = span_of(zeros, STORE_ENDPOINT_MAX + 1), bad[n++].error = -EMSGSIZE;
	bad[n].w.key.role = (enum store_role)2, bad[n++].error = -EINVAL;
	bad[n].w.record = span_of(zeros, STORE_RECORD_MAX + 1), bad[n++].error = -EMSGSIZE;
	bad[n].w.event = 1, bad[n].w.event_body = span_of(zeros, STORE_EVENT_MAX + 1),
	bad[n++].error = -EMSGSIZE;
	bad[n].w.event_body = span_str("no type"), bad[n++].error = -EINVAL;
	bad[n].w.hot = &no_number, bad[n++].error = -EINVAL;
	bad[n].w.hot = &bad_ring, bad[n++].error = -EINVAL;
	bad[n].w.dedup_index = COAP_DEDUP_ENTRIES, bad[n++].error = -EINVAL;
	bad[n].w.index = &nameless, bad[n].w.index_count = 1, bad[n++].error = -EINVAL;
	bad[n].w.index = &endless, bad[n].w.index_count = 1, bad[n++].error = -EMSGSIZE;
	bad[n].w.index = index, bad[n].w.index_count = ARRAY_SIZE(index), bad[n++].error = -EMSGSIZE;
	assert_int_equal(n, ARRAY_SIZE(bad));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(store_write(f->store, &bad[i].w, never_written, NULL), bad[i].error);
	assert_int_equal(store_hand_over(f->store,
					 &(struct store_write){.key = device_key("a"),
							       .hot = &hot,
							       .dedup_index = -1,
							       .change = STORE_RECORD_DELETE},
					 &f->fence, never_written, NULL),
			 -EINVAL);
	assert_devices(f, 0);
}

/* ---- the fence ---- */

static void a_number_is_done_once(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"),
		.hot = &hot,
		.dedup_index = -1,
		.change = STORE_RECORD_PUT,
		.record = span_str("again"),
		.event = 1,
	};

	put(f, "a", &hot, "first", "e");
	put(f, "a", &hot, NULL, "e");
	assert_int_equal(write_now(f, &w).written.result, STORE_ALREADY);
	hot.number = 1;
	assert_int_equal(write_now(f, &w).written.result, STORE_ALREADY);
	assert_string_equal(find_now(f, device_key("a"))->record, "first");
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 2);
	hot.number = 3;
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
}

static void a_gap_in_the_numbers_is_behind(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), stored;
	struct store_write w = {.key = device_key("a"),
				.hot = &hot,
				.dedup_index = -1,
				.change = STORE_RECORD_KEEP,
				.event = 1};
	struct wrote out;

	put(f, "a", &hot, "first", NULL);
	put(f, "a", &hot, NULL, NULL);
	stored = hot;
	hot.number += 2;
	out = write_now(f, &w);
	assert_int_equal(out.written.result, STORE_BEHIND);
	assert_hot_equal(&out.written.found, &stored);
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 0);
}

static void an_absent_device_is_behind_but_can_be_put(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_KEEP};
	struct wrote out;

	hot.fence.gen = 5;
	hot.number = 9;
	out = write_now(f, &w);
	assert_int_equal(out.written.result, STORE_BEHIND);
	assert_int_equal(out.written.found.number, 0);
	assert_int_equal(out.written.found.fence.gen, 5);
	w.change = STORE_RECORD_DELETE;
	assert_int_equal(write_now(f, &w).written.result, STORE_BEHIND);
	w.change = STORE_RECORD_PUT;
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
}

static void only_the_owner_writes(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), stored;
	struct store_write w = {.key = device_key("a"),
				.hot = &hot,
				.dedup_index = -1,
				.change = STORE_RECORD_PUT,
				.record = span_str("x")};
	const struct store_fence good = {f->fence.node, 3, f->fence.incarnation};
	const struct {
		struct store_fence fence;
		int result;
	} cases[] = {
		{{good.node, 2, good.incarnation}, STORE_REFUSED},
		{{good.node + 1, 3, good.incarnation}, STORE_REFUSED},
		{{good.node, 3, good.incarnation + 1}, STORE_REFUSED},
		{{good.node + 1, 4, good.incarnation}, STORE_REFUSED},
		{{good.node, 4, good.incarnation}, STORE_BEHIND},
		{good, STORE_DONE},
	};

	hot.fence = good;
	put(f, "a", &hot, "mine", NULL);
	put(f, "a", &hot, NULL, NULL);
	stored = hot;
	next_hot(&hot, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wrote out;

		hot.fence = cases[i].fence;
		out = write_now(f, &w);
		assert_int_equal(out.written.result, cases[i].result);
		if (cases[i].result == STORE_DONE)
			continue;
		assert_hot_equal(&out.written.found, &stored);
		assert_string_equal(find_now(f, device_key("a"))->record, "mine");
	}
}

/* ---- order, and many at once ---- */

static void callbacks_come_in_order_and_share_a_commit(void **state)
{
	enum { N = 500 };
	struct fixture *f = *state;
	static struct wrote outs[N];
	struct store_hot hot = fresh_hot(f);
	uint64_t commits = stats_of(f).commits, sequence = 0;

	for (size_t i = 0; i < N; i++) {
		struct store_write w = {
			.key = device_key("a"),
			.hot = &hot,
			.dedup_index = next_hot(&hot, (uint16_t)(i + 1)),
			.change = i ? STORE_RECORD_KEEP : STORE_RECORD_PUT,
		};

		write_later(f, &w, &outs[i]);
	}
	assert_int_equal(stats_of(f).pending_writes, N);
	wait_for(f, &outs[N - 1].done);
	assert_int_equal(stats_of(f).commits, commits + 1);
	assert_int_equal(stats_of(f).pending_writes, 0);
	assert_int_equal(stats_of(f).pending_bytes, 0);
	for (size_t i = 0; i < N; i++) {
		assert_true(outs[i].done);
		assert_int_equal(outs[i].written.result, STORE_DONE);
		assert_int_equal(outs[i].order, outs[0].order + i);
		assert_true(outs[i].written.sequence > sequence);
		sequence = outs[i].written.sequence;
	}
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
}

static void writes_of_many_devices_in_one_turn_do_not_mix(void **state)
{
	enum { N = 300 };
	struct fixture *f = *state;
	static struct wrote outs[2 * N];
	static struct store_hot hots[N];
	char name[16];

	for (size_t i = 0; i < 2 * N; i++) {
		struct store_hot *hot = &hots[i % N];
		struct store_write w = {.hot = hot};

		snprintf(name, sizeof(name), "d%zu", i % N);
		if (i < N)
			*hot = fresh_hot(f);
		w.key = device_key(name);
		w.dedup_index = next_hot(hot, (uint16_t)(i + 1));
		w.change = i < N ? STORE_RECORD_PUT : STORE_RECORD_KEEP;
		w.record = span_str(name);
		write_later(f, &w, &outs[i]);
	}
	wait_for(f, &outs[2 * N - 1].done);
	for (size_t i = 0; i < N; i++) {
		const struct found *found;

		snprintf(name, sizeof(name), "d%zu", i);
		found = find_now(f, device_key(name));
		assert_string_equal(found->record, name);
		assert_hot_equal(&found->hot, &hots[i]);
	}
	assert_devices(f, N);
}

struct chain {
	struct fixture *f;
	struct store_hot hot;
	int left;
	bool done;
};

static void write_next(void *ctx, const struct store_written *written)
{
	struct chain *c = ctx;
	struct store_write w = {
		.key = device_key("a"), .hot = &c->hot, .dedup_index = -1, .change = STORE_RECORD_PUT};

	assert_int_equal(written->result, STORE_DONE);
	c->done = --c->left == 0;
	if (c->done)
		return;
	next_hot(&c->hot, 0);
	assert_int_equal(store_write(c->f->store, &w, write_next, c), 0);
}

static void callbacks_may_write(void **state)
{
	struct fixture *f = *state;
	struct chain c = {.f = f, .hot = fresh_hot(f), .left = 21};

	write_next(&c, &(struct store_written){.result = STORE_DONE});
	wait_for(f, &c.done);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, 20);
}

static void arguments_are_copied(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), sent;
	char endpoint[] = "a", record[] = "record", body[] = "body", cid[] = "cid";
	struct store_index_change index = {STORE_INDEX_CID, span_str(cid), false};
	struct store_write w = {
		.key = device_key(endpoint),
		.hot = &hot,
		.dedup_index = next_hot(&hot, 3),
		.change = STORE_RECORD_PUT,
		.record = span_str(record),
		.event = 1,
		.event_body = span_str(body),
		.index = &index,
		.index_count = 1,
	};
	struct wrote out;

	sent = hot;
	write_later(f, &w, &out);
	memset(endpoint, '#', 1);
	memset(record, '#', 6);
	memset(body, '#', 4);
	memset(cid, '#', 3);
	memset(&hot, 0xff, sizeof(hot));
	memset(&index, 0xff, sizeof(index));
	memset(&w, 0xff, sizeof(w));
	wait_for(f, &out.done);
	assert_int_equal(out.written.result, STORE_DONE);
	assert_string_equal(find_now(f, device_key("a"))->record, "record");
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &sent);
	assert_string_equal(events_now(f, (struct store_cursor){0}, 1)->items[0].body, "body");
}

static void too_much_that_waits_is_refused(void **state)
{
	enum { LIMIT = 100000 };
	struct fixture *f = *state;
	static struct wrote outs[2000];
	struct store_hot hot;
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_PUT};
	size_t n = 0;

	fixture_close(f);
	f->options.pending_bytes_max = LIMIT;
	fixture_open(f);
	hot = fresh_hot(f);
	for (next_hot(&hot, 0); try_write(f, &w, &outs[n]) == 0; next_hot(&hot, 0))
		assert_true(++n < ARRAY_SIZE(outs));
	assert_int_equal(try_write(f, &w, &outs[n]), -ENOBUFS);
	assert_true(n > 10);
	assert_true(stats_of(f).pending_bytes <= LIMIT);
	wait_for(f, &outs[n - 1].done);
	/* The refused one did not count, and there is room again. */
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, n + 1);
}

/* ---- dedup ---- */

static void a_pending_entry_does_not_hide_a_stored_one(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), first, second;
	struct store_write w = {.key = device_key("a"), .change = STORE_RECORD_PUT};
	const struct found *found;
	struct wrote outs[2];

	/* As an owner does it that has two requests of a device in work: what the first answers is pending in
	 * its memory while it writes the second. */
	w.dedup_index = next_hot(&hot, 11);
	first = hot;
	w.hot = &first;
	write_later(f, &w, &outs[0]);
	hot.dedup.entries[0].code = 0;
	w.dedup_index = next_hot(&hot, 12);
	second = hot;
	w.hot = &second;
	write_later(f, &w, &outs[1]);
	wait_for(f, &outs[1].done);
	for (int round = 0; round < 2; round++) {
		found = find_now(f, device_key("a"));
		assert_int_equal(found->hot.dedup.entries[0].mid, 11);
		assert_int_equal(found->hot.dedup.entries[0].code, 0x44);
		assert_int_equal(found->hot.dedup.entries[1].mid, 12);
		/* The same when the record stays. */
		w.change = STORE_RECORD_KEEP;
		w.dedup_index = -1;
		second.number++;
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	}
	/* A pending one of a request that is never stored leaves nothing. */
	second.number++;
	second.dedup.entries[5] = (struct coap_dedup_entry){.hash = 1, .time_s = CLOCK_START_S, .mid = 77};
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_int_equal(find_now(f, device_key("a"))->hot.dedup.entries[5].time_s, 0);
}

static void entries_that_are_too_old_are_not_kept(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);

	put(f, "a", &hot, "record", NULL);
	clock_advance(COAP_EXCHANGE_LIFETIME_MS - 1000);
	put(f, "a", &hot, NULL, NULL);
	assert_int_equal(find_now(f, device_key("a"))->hot.dedup.entries[0].time_s, CLOCK_START_S);
	clock_advance(3000);
	put(f, "a", &hot, NULL, NULL);
	assert_int_equal(find_now(f, device_key("a"))->hot.dedup.entries[0].time_s, 0);
	assert_int_not_equal(find_now(f, device_key("a"))->hot.dedup.entries[1].time_s, 0);
	assert_int_not_equal(find_now(f, device_key("a"))->hot.dedup.entries[2].time_s, 0);
}

/* ---- claims and hand-over ---- */

static struct store_fence other_node(const struct fixture *f)
{
	return (struct store_fence){f->fence.node + 1, 0, 99};
}

/* Device "a" with a record, given to another node by its owner; what is stored is left in `hot`. */
static void give_away(struct fixture *f, struct store_hot *hot)
{
	const struct store_fence to = other_node(f);
	struct store_write w = {.key = device_key("a"), .hot = hot, .change = STORE_RECORD_KEEP, .event = 3};
	struct wrote out;

	*hot = fresh_hot(f);
	put(f, "a", hot, "record", NULL);
	put(f, "a", hot, NULL, NULL);
	w.dedup_index = next_hot(hot, 700);
	out = hand_over_now(f, &w, &to);
	assert_int_equal(out.written.result, STORE_DONE);
	hot->fence = (struct store_fence){to.node, 2, to.incarnation};
	assert_hot_equal(&out.written.found, hot);
}

static void a_hand_over_writes_and_changes_the_owner(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot, mine;
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_KEEP};
	const struct found *found;

	give_away(f, &hot);
	found = find_now(f, device_key("a"));
	assert_int_equal(found->result, STORE_DONE);
	assert_string_equal(found->record, "record");
	assert_hot_equal(&found->hot, &hot);
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->items[0].type, 3);
	/* The old owner is out, whatever number it takes; the new one is in. */
	mine = hot;
	mine.fence = f->fence;
	w.hot = &mine;
	next_hot(&mine, 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_REFUSED);
	mine.fence.gen = 2;
	assert_int_equal(write_now(f, &w).written.result, STORE_REFUSED);
	w.hot = &hot;
	next_hot(&hot, 0);
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	next_hot(&hot, 0);
	w.change = STORE_RECORD_PUT;
	assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
}

static void a_hand_over_is_fenced(void **state)
{
	struct fixture *f = *state;
	const struct store_fence to = other_node(f);
	struct store_hot hot = fresh_hot(f), stored;
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_PUT};

	put(f, "a", &hot, "record", NULL);
	stored = hot;
	assert_int_equal(hand_over_now(f, &w, &to).written.result, STORE_ALREADY);
	hot.number += 2;
	assert_int_equal(hand_over_now(f, &w, &to).written.result, STORE_BEHIND);
	hot = stored;
	next_hot(&hot, 0);
	hot.fence.gen = 0;
	assert_int_equal(hand_over_now(f, &w, &to).written.result, STORE_REFUSED);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &stored);
	/* To ourselves it is only a new gen. */
	hot = stored;
	next_hot(&hot, 0);
	assert_int_equal(hand_over_now(f, &w, &f->fence).written.result, STORE_DONE);
	hot.fence.gen = 2;
	put(f, "a", &hot, NULL, NULL);
}

static void a_claim_takes_a_device_from_the_expected_owner(void **state)
{
	struct fixture *f = *state;
	struct store_fence expected;
	struct store_hot hot;
	const struct found *found;

	give_away(f, &hot);
	expected = hot.fence;
	found = claim_now(f, device_key("a"), &expected);
	assert_int_equal(found->result, STORE_DONE);
	assert_string_equal(found->record, "record");
	hot.fence = (struct store_fence){f->fence.node, 3, f->fence.incarnation};
	assert_hot_equal(&found->hot, &hot);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
	put(f, "a", &hot, NULL, NULL);
	assert_int_equal(claim_now(f, device_key("nobody"), &expected)->result, STORE_ABSENT);
}

static void a_claim_of_a_device_that_lags_in_the_journal_gives_the_newest(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const struct found *found;

	put(f, "a", &hot, "record", NULL);
	for (int i = 0; i < 20; i++)
		put(f, "a", &hot, NULL, NULL);
	found = claim_now(f, device_key("a"), &hot.fence);
	hot.fence.gen = 2;
	assert_hot_equal(&found->hot, &hot);
	put(f, "a", &hot, NULL, NULL);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
}

static void of_two_claims_one_wins(void **state)
{
	struct fixture *f = *state;
	static struct found claims[2];
	struct store_fence expected;
	struct store_hot hot;

	give_away(f, &hot);
	expected = hot.fence;
	for (size_t i = 0; i < 2; i++)
		claim_later(f, device_key("a"), &expected, &claims[i]);
	wait_for(f, &claims[1].done);
	assert_int_equal(claims[0].result, STORE_DONE);
	assert_int_equal(claims[1].result, STORE_REFUSED);
	assert_true(claims[1].device);
	assert_int_equal(claims[1].hot.fence.node, f->fence.node);
	assert_int_equal(claims[1].hot.fence.gen, 3);
	assert_int_equal(find_now(f, device_key("a"))->hot.fence.gen, 3);
}

static void a_claim_and_a_write_race_in_the_order_of_the_calls(void **state)
{
	struct fixture *f = *state;
	static struct found claim;
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {.key = device_key("a"), .hot = &hot, .change = STORE_RECORD_KEEP};
	struct wrote before, behind;

	put(f, "a", &hot, "record", NULL);
	w.dedup_index = next_hot(&hot, 5);
	write_later(f, &w, &before);
	claim_later(f, device_key("a"), &hot.fence, &claim);
	w.dedup_index = next_hot(&hot, 6);
	write_later(f, &w, &behind);
	wait_for(f, &behind.done);
	assert_int_equal(before.written.result, STORE_DONE);
	assert_int_equal(claim.result, STORE_DONE);
	assert_int_equal(claim.hot.number, 2);
	assert_int_equal(claim.hot.dedup.entries[1].mid, 5);
	assert_int_equal(behind.written.result, STORE_REFUSED);
	assert_int_equal(behind.written.found.fence.gen, 2);
}

/* ---- tombstones ---- */

static void a_deleted_device_leaves_a_tombstone(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const struct found *found;

	put(f, "a", &hot, "record", NULL);
	remove_device(f, "a", &hot);
	for (int round = 0; round < 2; round++) {
		found = find_now(f, device_key("a"));
		assert_int_equal(found->result, STORE_ABSENT);
		assert_true(found->device);
		assert_int_equal(found->record_len, 0);
		assert_hot_equal(&found->hot, &hot);
		assert_devices(f, 0);
		found = claim_now(f, device_key("a"), &hot.fence);
		assert_int_equal(found->result, STORE_ABSENT);
		assert_hot_equal(&found->hot, &hot);
		fixture_reopen(f);
		if (embedded(&f->place)) {
			hot.fence = f->fence;
			hot.fence.gen = 2;
		}
	}
}

static void what_can_be_done_over_a_tombstone(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), stored;
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .record = span_str("new")};
	struct wrote out;
	static const struct {
		int gen; /* against the stored one */
		int number;
		enum store_record_change change;
		int result;
	} cases[] = {
		{0, -1, STORE_RECORD_PUT, STORE_REFUSED},   {0, 0, STORE_RECORD_PUT, STORE_REFUSED},
		{0, 0, STORE_RECORD_KEEP, STORE_REFUSED},   {0, 1, STORE_RECORD_KEEP, STORE_REFUSED},
		{0, 0, STORE_RECORD_DELETE, STORE_ALREADY}, {0, 1, STORE_RECORD_DELETE, STORE_REFUSED},
		{0, 2, STORE_RECORD_PUT, STORE_REFUSED},    {-1, 1, STORE_RECORD_PUT, STORE_REFUSED},
		{1, 1, STORE_RECORD_KEEP, STORE_REFUSED},   {0, 1, STORE_RECORD_PUT, STORE_DONE},
	};

	hot.fence.gen = 4;
	put(f, "a", &hot, "record", NULL);
	put(f, "a", &hot, NULL, NULL);
	remove_device(f, "a", &hot);
	stored = hot;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		hot.fence.gen = (uint32_t)((int)stored.fence.gen + cases[i].gen);
		hot.number = (uint64_t)((int)stored.number + cases[i].number);
		w.change = cases[i].change;
		out = write_now(f, &w);
		assert_int_equal(out.written.result, cases[i].result);
		if (out.written.result == STORE_REFUSED)
			assert_hot_equal(&out.written.found, &stored);
	}
	assert_string_equal(find_now(f, device_key("a"))->record, "new");
	assert_devices(f, 1);
}

static void a_higher_gen_starts_above_a_tombstone(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);

	put(f, "a", &hot, "record", NULL);
	remove_device(f, "a", &hot);
	hot = fresh_hot(f);
	hot.fence.gen = 2;
	put(f, "a", &hot, "new", NULL);
	assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
	assert_string_equal(find_now(f, device_key("a"))->record, "new");
}

static void a_tombstone_goes_when_its_time_is_over(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), other = fresh_hot(f), again = fresh_hot(f);

	put(f, "a", &hot, "record", NULL);
	put(f, "again", &again, "record", NULL);
	remove_device(f, "a", &hot);
	remove_device(f, "again", &again);
	put(f, "again", &again, "alive", NULL);
	clock_advance(COAP_EXCHANGE_LIFETIME_MS - 1);
	put(f, "b", &other, "record", NULL);
	assert_true(find_now(f, device_key("a"))->device);
	clock_advance(1);
	put(f, "b", &other, NULL, NULL);
	assert_false(find_now(f, device_key("a"))->device);
	assert_string_equal(find_now(f, device_key("again"))->record, "alive");
	/* Then it is as if it had never been. */
	hot = fresh_hot(f);
	put(f, "a", &hot, "new", NULL);
}

static void every_tombstone_of_many_goes(void **state)
{
	enum { N = 200 };
	struct fixture *f = *state;
	struct store_hot hot, other = fresh_hot(f);
	char name[16];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		hot = fresh_hot(f);
		put(f, name, &hot, "record", NULL);
		remove_device(f, name, &hot);
	}
	clock_advance(COAP_EXCHANGE_LIFETIME_MS);
	put(f, "b", &other, "record", NULL);
	for (int i = 0; i < N; i++)
		put(f, "b", &other, NULL, NULL);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		assert_false(find_now(f, device_key(name))->device);
	}
	assert_devices(f, 1);
}

/* ---- index ---- */

struct indexed {
	bool done;
	int result;
	enum store_role role;
	char endpoint[STORE_ENDPOINT_MAX + 1];
};

static void indexed(void *ctx, int result, struct store_key key)
{
	struct indexed *out = ctx;

	*out = (struct indexed){.done = true, .result = result, .role = key.role};
	if (key.endpoint.len)
		memcpy(out->endpoint, key.endpoint.data, key.endpoint.len);
}

static const struct indexed *index_now(struct fixture *f, enum store_index kind, const char *key)
{
	static struct indexed out;

	out.done = false;
	assert_int_equal(store_index_find(f->store, kind, span_str(key), indexed, &out), 0);
	wait_for(f, &out.done);
	return &out;
}

static int write_index(struct fixture *f, const char *endpoint, struct store_hot *hot,
		       const struct store_index_change *changes, size_t count)
{
	struct store_write w = {
		.key = device_key(endpoint),
		.hot = hot,
		.dedup_index = -1,
		.change = STORE_RECORD_PUT,
		.index = changes,
		.index_count = count,
	};

	next_hot(hot, 0);
	return write_now(f, &w).written.result;
}

static void index_entries_are_found_by_kind_and_key(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const struct store_index_change add[] = {
		{STORE_INDEX_CID, span_str("k"), false},
		{STORE_INDEX_ADDRESS, span_str("k2"), false},
	};
	const struct store_index_change swap[] = {
		{STORE_INDEX_CID, span_str("k"), true},
		{STORE_INDEX_CID, span_str("k3"), false},
	};

	assert_int_equal(write_index(f, "a", &hot, add, 2), STORE_DONE);
	assert_int_equal(index_now(f, STORE_INDEX_CID, "k")->result, STORE_DONE);
	assert_string_equal(index_now(f, STORE_INDEX_CID, "k")->endpoint, "a");
	assert_int_equal(index_now(f, STORE_INDEX_CID, "k")->role, STORE_MANAGEMENT);
	assert_int_equal(index_now(f, STORE_INDEX_ADDRESS, "k")->result, STORE_ABSENT);
	assert_string_equal(index_now(f, STORE_INDEX_ADDRESS, "k2")->endpoint, "a");
	assert_int_equal(write_index(f, "a", &hot, swap, 2), STORE_DONE);
	assert_int_equal(index_now(f, STORE_INDEX_CID, "k")->result, STORE_ABSENT);
	fixture_reopen(f);
	assert_string_equal(index_now(f, STORE_INDEX_CID, "k3")->endpoint, "a");
}

static void an_index_entry_is_removed_only_if_it_is_ones_own(void **state)
{
	struct fixture *f = *state;
	struct store_hot a = fresh_hot(f), b = fresh_hot(f);
	const struct store_index_change add = {STORE_INDEX_IDENTITY, span_str("k"), false};
	const struct store_index_change remove = {STORE_INDEX_IDENTITY, span_str("k"), true};

	assert_int_equal(write_index(f, "a", &a, &add, 1), STORE_DONE);
	assert_int_equal(write_index(f, "b", &b, &add, 1), STORE_DONE);
	assert_int_equal(write_index(f, "a", &a, &remove, 1), STORE_DONE);
	assert_string_equal(index_now(f, STORE_INDEX_IDENTITY, "k")->endpoint, "b");
	assert_int_equal(write_index(f, "b", &b, &remove, 1), STORE_DONE);
	assert_int_equal(index_now(f, STORE_INDEX_IDENTITY, "k")->result, STORE_ABSENT);
	assert_int_equal(write_index(f, "b", &b, &remove, 1), STORE_DONE);
}

static void a_refused_write_changes_no_index(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	const struct store_index_change add = {STORE_INDEX_CID, span_str("k"), false};

	put(f, "a", &hot, "record", NULL);
	hot.number += 5;
	assert_int_equal(write_index(f, "a", &hot, &add, 1), STORE_BEHIND);
	assert_int_equal(index_now(f, STORE_INDEX_CID, "k")->result, STORE_ABSENT);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_written_device_is_found),
	cmocka_unit_test(keeping_the_record_changes_only_hot_fields),
	cmocka_unit_test(endpoints_may_have_any_bytes_and_roles_are_apart),
	cmocka_unit_test(the_largest_write_fits),
	cmocka_unit_test(senseless_writes_are_refused_at_once),
	cmocka_unit_test(a_number_is_done_once),
	cmocka_unit_test(a_gap_in_the_numbers_is_behind),
	cmocka_unit_test(an_absent_device_is_behind_but_can_be_put),
	cmocka_unit_test(only_the_owner_writes),
	cmocka_unit_test(callbacks_come_in_order_and_share_a_commit),
	cmocka_unit_test(writes_of_many_devices_in_one_turn_do_not_mix),
	cmocka_unit_test(callbacks_may_write),
	cmocka_unit_test(arguments_are_copied),
	cmocka_unit_test(too_much_that_waits_is_refused),
	cmocka_unit_test(a_pending_entry_does_not_hide_a_stored_one),
	cmocka_unit_test(entries_that_are_too_old_are_not_kept),
	cmocka_unit_test(a_hand_over_writes_and_changes_the_owner),
	cmocka_unit_test(a_hand_over_is_fenced),
	cmocka_unit_test(a_claim_takes_a_device_from_the_expected_owner),
	cmocka_unit_test(a_claim_of_a_device_that_lags_in_the_journal_gives_the_newest),
	cmocka_unit_test(of_two_claims_one_wins),
	cmocka_unit_test(a_claim_and_a_write_race_in_the_order_of_the_calls),
	cmocka_unit_test(a_deleted_device_leaves_a_tombstone),
	cmocka_unit_test(what_can_be_done_over_a_tombstone),
	cmocka_unit_test(a_higher_gen_starts_above_a_tombstone),
	cmocka_unit_test(a_tombstone_goes_when_its_time_is_over),
	cmocka_unit_test(every_tombstone_of_many_goes),
	cmocka_unit_test(index_entries_are_found_by_kind_and_key),
	cmocka_unit_test(an_index_entry_is_removed_only_if_it_is_ones_own),
	cmocka_unit_test(a_refused_write_changes_no_index),
};

const struct theme devices_theme = {tests, ARRAY_SIZE(tests)};
