/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests that wait for a device: the queue, its bounds, its fence. */

#include "contract.h"

#include <errno.h>

struct answer {
	bool done;
	int result;
	bool request; /* the rest is set */
	uint8_t state;
	uint64_t deadline_ms;
	char id[STORE_REQUEST_ID_MAX + 1];
	char body[64];
};

static void answered(void *ctx, int result, const struct store_request *r)
{
	struct answer *out = ctx;

	assert_false(out->done);
	*out = (struct answer){.done = true, .result = result, .request = r != NULL};
	if (!r)
		return;
	out->state = r->state;
	out->deadline_ms = r->deadline_ms;
	memcpy(out->id, r->id.data, r->id.len);
	if (r->body.len)
		memcpy(out->body, r->body.data, MIN(r->body.len, sizeof(out->body) - 1));
}

static struct answer add(struct fixture *f, const char *endpoint, const char *id, const char *body,
			 size_t max)
{
	struct store_request r = {span_str(id), 1, 5000, span_str(body)};
	struct answer out = {0};

	assert_int_equal(store_request_add(f->store, device_key(endpoint), &r, max, answered, &out), 0);
	assert_false(out.done);
	wait_for(f, &out.done);
	return out;
}

static struct answer set(struct fixture *f, const char *endpoint, const struct store_fence *fence,
			 const char *id, uint8_t to, const char *body)
{
	struct store_request r = {span_str(id), to, 6000, span_str(body)};
	struct answer out = {0};

	assert_int_equal(store_request_set(f->store, device_key(endpoint), fence, &r, answered, &out), 0);
	wait_for(f, &out.done);
	return out;
}

struct queue {
	bool done;
	int result;
	size_t count;
	struct answer items[32];
};

static void listed(void *ctx, int result, const struct store_request *r)
{
	struct queue *out = ctx;

	assert_false(out->done);
	if (r) {
		assert_int_equal(result, STORE_DONE);
		assert_true(out->count < ARRAY_SIZE(out->items));
		answered(&out->items[out->count++], result, r);
		return;
	}
	out->done = true;
	out->result = result;
}

static const struct queue *list(struct fixture *f, const char *endpoint)
{
	static struct queue out;

	out = (struct queue){0};
	assert_int_equal(store_request_list(f->store, device_key(endpoint), listed, &out), 0);
	wait_for(f, &out.done);
	assert_int_equal(out.result, STORE_ABSENT);
	return &out;
}

static void requests_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct store_hot a = fresh_hot(f), ab = fresh_hot(f);
	static const char *const ids[] = {"z", "y", "x"};
	const struct queue *q;

	put(f, "a", &a, "record", NULL);
	put(f, "ab", &ab, "record", NULL);
	assert_int_equal(list(f, "a")->count, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct answer r = add(f, "a", ids[i], "body", 10);

		assert_int_equal(r.result, STORE_DONE);
		assert_true(r.request);
		assert_string_equal(r.id, ids[i]);
		assert_int_equal(add(f, "ab", ids[i], "other", 10).result, STORE_DONE);
	}
	for (int round = 0; round < 2; round++) {
		q = list(f, "a");
		assert_int_equal(q->count, 3);
		for (size_t i = 0; i < 3; i++) {
			assert_string_equal(q->items[i].id, ids[i]);
			assert_string_equal(q->items[i].body, "body");
			assert_int_equal(q->items[i].state, 1);
			assert_int_equal(q->items[i].deadline_ms, 5000);
		}
		fixture_reopen(f);
	}
	/* Also those that are added after a restart. */
	assert_int_equal(add(f, "a", "w", "body", 10).result, STORE_DONE);
	assert_string_equal(list(f, "a")->items[3].id, "w");
}

static void a_queue_is_bounded_and_ids_are_unique(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	_cleanup_free_ char *big = malloc(STORE_REQUEST_MAX + 1);
	struct answer r;
	int n = 0;

	put(f, "a", &hot, "record", NULL);
	assert_int_equal(add(f, "nobody", "1", "", 2).result, STORE_ABSENT);
	assert_int_equal(add(f, "a", "1", "", 2).result, STORE_DONE);
	assert_int_equal(add(f, "a", "1", "again", 2).result, STORE_ALREADY);
	assert_int_equal(add(f, "a", "2", "", 2).result, STORE_DONE);
	r = add(f, "a", "3", "", 2);
	assert_int_equal(r.result, STORE_REFUSED);
	assert_false(r.request);
	assert_int_equal(list(f, "a")->count, 2);
	assert_string_equal(list(f, "a")->items[0].body, "");
	memset(big, 'b', STORE_REQUEST_MAX);
	big[STORE_REQUEST_MAX] = '\0';
	for (int result = STORE_DONE; result == STORE_DONE; n++) {
		char id[16];

		snprintf(id, sizeof(id), "big%d", n);
		result = add(f, "a", id, big, 1000).result;
	}
	assert_int_equal(n, STORE_QUEUE_BYTES_MAX / STORE_REQUEST_MAX + 1);
	assert_int_equal(list(f, "a")->count, 2 + n - 1);
}

static void senseless_requests_are_refused_at_once(void **state)
{
	struct fixture *f = *state;
	static const uint8_t zeros[STORE_REQUEST_MAX + 1];
	struct store_request r = {span_str("id"), 1, 0, span_of(zeros, STORE_REQUEST_MAX + 1)};
	struct answer out = {0};

	assert_int_equal(store_request_add(f->store, device_key("a"), &r, 9, answered, &out), -EMSGSIZE);
	r.body.len = 0;
	r.id = span_of(zeros, STORE_REQUEST_ID_MAX + 1);
	assert_int_equal(store_request_add(f->store, device_key("a"), &r, 9, answered, &out), -EMSGSIZE);
	r.id.len = 0;
	assert_int_equal(store_request_add(f->store, device_key("a"), &r, 9, answered, &out), -EINVAL);
	r.id = span_str("id");
	r.state = 0;
	assert_int_equal(store_request_add(f->store, device_key("a"), &r, 9, answered, &out), -EINVAL);
	assert_int_equal(store_request_add(f->store, device_key(""), &r, 9, answered, &out), -EINVAL);
	assert_int_equal(store_request_list(f->store, device_key(""), listed, NULL), -EINVAL);
}

static void a_request_changes_state_and_goes(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct answer r;

	put(f, "a", &hot, "record", NULL);
	add(f, "a", "1", "one", 9);
	add(f, "a", "2", "two", 9);
	r = set(f, "a", &hot.fence, "2", 2, "");
	assert_int_equal(r.result, STORE_DONE);
	assert_int_equal(r.state, 2);
	assert_string_equal(r.body, "two");
	assert_int_equal(list(f, "a")->items[1].state, 2);
	assert_int_equal(list(f, "a")->items[1].deadline_ms, 6000);
	assert_string_equal(list(f, "a")->items[1].body, "two");
	r = set(f, "a", &hot.fence, "1", 3, "a longer body than before");
	assert_string_equal(r.body, "a longer body than before");
	assert_string_equal(list(f, "a")->items[0].body, "a longer body than before");
	assert_string_equal(list(f, "a")->items[0].id, "1");
	r = set(f, "a", &hot.fence, "1", 0, "");
	assert_int_equal(r.result, STORE_DONE);
	assert_string_equal(r.body, "a longer body than before");
	assert_int_equal(list(f, "a")->count, 1);
	assert_int_equal(set(f, "a", &hot.fence, "1", 0, "").result, STORE_ABSENT);
	assert_int_equal(set(f, "nobody", &hot.fence, "1", 0, "").result, STORE_ABSENT);
	assert_string_equal(list(f, "a")->items[0].id, "2");
}

static void only_the_owner_changes_a_request(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_fence other = hot.fence;
	struct answer r;

	put(f, "a", &hot, "record", NULL);
	add(f, "a", "1", "one", 9);
	other.gen++;
	r = set(f, "a", &other, "1", 2, "");
	assert_int_equal(r.result, STORE_REFUSED);
	assert_false(r.request);
	other = hot.fence;
	other.node++;
	assert_int_equal(set(f, "a", &other, "1", 0, "").result, STORE_REFUSED);
	assert_int_equal(list(f, "a")->items[0].state, 1);
	fixture_reopen(f);
	other = hot.fence;
	take_over(f, "a", &hot);
	assert_int_equal(set(f, "a", &other, "1", 0, "").result, STORE_REFUSED);
	assert_int_equal(set(f, "a", &hot.fence, "1", 0, "").result, STORE_DONE);
}

static void each_write_tells_whether_requests_were_added(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	uint16_t before;

	before = put(f, "a", &hot, "record", NULL).queue;
	assert_int_equal(put(f, "a", &hot, NULL, NULL).queue, before);
	add(f, "a", "1", "", 9);
	assert_int_equal(put(f, "a", &hot, NULL, NULL).queue, (uint16_t)(before + 1));
	set(f, "a", &hot.fence, "1", 0, "");
	assert_int_equal(put(f, "a", &hot, "record", NULL).queue, (uint16_t)(before + 1));
	add(f, "a", "2", "", 9);
	add(f, "a", "3", "", 9);
	assert_int_equal(put(f, "a", &hot, NULL, NULL).queue, (uint16_t)(before + 3));
}

static void a_queue_outlives_a_deletion_until_the_tombstone_goes(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), other = fresh_hot(f);

	put(f, "a", &hot, "record", NULL);
	put(f, "b", &other, "record", NULL);
	add(f, "a", "1", "", 9);
	add(f, "a", "2", "", 9);
	add(f, "b", "1", "", 9);
	remove_device(f, "a", &hot);
	assert_int_equal(list(f, "a")->count, 2);
	assert_int_equal(add(f, "a", "3", "", 9).result, STORE_ABSENT);
	assert_int_equal(set(f, "a", &hot.fence, "1", 0, "").result, STORE_DONE);
	assert_int_equal(list(f, "a")->count, 1);
	clock_advance(COAP_EXCHANGE_LIFETIME_MS);
	put(f, "b", &other, NULL, NULL);
	assert_int_equal(list(f, "a")->count, 0);
	assert_int_equal(list(f, "b")->count, 1);
}

static void a_long_queue_goes_with_its_tombstone_over_several_writes(void **state)
{
	enum { N = 600 };
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f), other = fresh_hot(f);
	char id[16];

	put(f, "a", &hot, "record", NULL);
	put(f, "b", &other, "record", NULL);
	for (int i = 0; i < N; i++) {
		snprintf(id, sizeof(id), "%d", i);
		assert_int_equal(add(f, "a", id, "", N).result, STORE_DONE);
	}
	remove_device(f, "a", &hot);
	clock_advance(COAP_EXCHANGE_LIFETIME_MS);
	for (int i = 0; i < 5; i++)
		put(f, "b", &other, NULL, NULL);
	assert_int_equal(list(f, "a")->count, 0);
	assert_false(find_now(f, device_key("a"))->device);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(requests_keep_their_order),
	cmocka_unit_test(a_queue_is_bounded_and_ids_are_unique),
	cmocka_unit_test(senseless_requests_are_refused_at_once),
	cmocka_unit_test(a_request_changes_state_and_goes),
	cmocka_unit_test(only_the_owner_changes_a_request),
	cmocka_unit_test(each_write_tells_whether_requests_were_added),
	cmocka_unit_test(a_queue_outlives_a_deletion_until_the_tombstone_goes),
	cmocka_unit_test(a_long_queue_goes_with_its_tombstone_over_several_writes),
};

const struct theme requests_theme = {tests, ARRAY_SIZE(tests)};
