/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Documents: versions, comparing before a change, lists; and leases. */

#include "contract.h"

#include <errno.h>

struct document {
	bool done;
	int result;
	char name[STORE_NAME_MAX + 1];
	size_t len;
	uint8_t body[STORE_DOCUMENT_MAX];
	uint64_t version;
};

static struct document last;

static void got(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct document *out = ctx;

	assert_false(out->done);
	*out = (struct document){.done = true, .result = result, .len = body.len, .version = version};
	if (name.len)
		memcpy(out->name, name.data, name.len);
	if (body.len)
		memcpy(out->body, body.data, body.len);
}

static const struct document *put_now(struct fixture *f, enum store_document kind, const char *name,
				      struct span body, uint64_t expected)
{
	last.done = false;
	assert_int_equal(store_document_put(f->store, kind, span_str(name), body, expected, got, &last), 0);
	assert_false(last.done);
	wait_for(f, &last.done);
	assert_string_equal(last.name, name);
	return &last;
}

static const struct document *get_now(struct fixture *f, enum store_document kind, const char *name)
{
	last.done = false;
	assert_int_equal(store_document_get(f->store, kind, span_str(name), got, &last), 0);
	wait_for(f, &last.done);
	return &last;
}

static const struct document *delete_now(struct fixture *f, enum store_document kind, const char *name)
{
	last.done = false;
	assert_int_equal(store_document_delete(f->store, kind, span_str(name), got, &last), 0);
	wait_for(f, &last.done);
	return &last;
}

static void assert_body(const struct document *d, const char *body)
{
	assert_int_equal(d->len, strlen(body));
	assert_memory_equal(d->body, body, d->len);
}

static void a_document_is_put_found_and_deleted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get_now(f, STORE_CREDENTIAL, "a")->result, STORE_ABSENT);
	assert_int_equal(put_now(f, STORE_CREDENTIAL, "a", span_str("one"), UINT64_MAX)->result, STORE_DONE);
	assert_body(&last, "one");
	assert_int_equal(get_now(f, STORE_CREDENTIAL, "a")->result, STORE_DONE);
	assert_string_equal(last.name, "a");
	assert_body(&last, "one");
	assert_int_equal(get_now(f, STORE_MODEL, "a")->result, STORE_ABSENT);
	fixture_reopen(f);
	assert_body(get_now(f, STORE_CREDENTIAL, "a"), "one");
	assert_int_equal(delete_now(f, STORE_CREDENTIAL, "a")->result, STORE_DONE);
	assert_int_equal(delete_now(f, STORE_CREDENTIAL, "a")->result, STORE_ABSENT);
	assert_int_equal(get_now(f, STORE_CREDENTIAL, "a")->result, STORE_ABSENT);
}

static void a_change_can_demand_a_version(void **state)
{
	struct fixture *f = *state;
	uint64_t first, second;

	assert_int_equal(put_now(f, STORE_SETTING, "a", span_str("one"), 77)->result, STORE_REFUSED);
	assert_int_equal(last.version, 0);
	assert_int_equal(put_now(f, STORE_SETTING, "a", span_str("one"), 0)->result, STORE_DONE);
	first = last.version;
	assert_true(first > 0);
	assert_int_equal(put_now(f, STORE_SETTING, "a", span_str("two"), 0)->result, STORE_REFUSED);
	assert_body(&last, "one");
	assert_int_equal(last.version, first);
	assert_int_equal(put_now(f, STORE_SETTING, "a", span_str("two"), first)->result, STORE_DONE);
	second = last.version;
	assert_true(second > first);
	assert_int_equal(put_now(f, STORE_SETTING, "a", span_str("three"), first)->result, STORE_REFUSED);
	assert_body(get_now(f, STORE_SETTING, "a"), "two");
	assert_int_equal(last.version, second);
}

static void a_version_is_never_given_twice(void **state)
{
	struct fixture *f = *state;
	uint64_t first;

	first = put_now(f, STORE_SETTING, "a", span_str("one"), 0)->version;
	delete_now(f, STORE_SETTING, "a");
	fixture_reopen(f);
	assert_int_equal(put_now(f, STORE_SETTING, "a", span_str("one"), 0)->result, STORE_DONE);
	assert_true(last.version > first);
}

static void bodies_may_be_empty_or_large_but_not_larger(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *big = malloc(STORE_DOCUMENT_MAX + 1);
	char name[STORE_NAME_MAX + 2] = {0};

	memset(big, 0xa5, STORE_DOCUMENT_MAX + 1);
	put_now(f, STORE_MODEL, "empty", (struct span){NULL, 0}, 0);
	assert_int_equal(get_now(f, STORE_MODEL, "empty")->result, STORE_DONE);
	assert_int_equal(last.len, 0);
	put_now(f, STORE_MODEL, "big", span_of(big, STORE_DOCUMENT_MAX), 0);
	assert_int_equal(get_now(f, STORE_MODEL, "big")->len, STORE_DOCUMENT_MAX);
	assert_memory_equal(last.body, big, STORE_DOCUMENT_MAX);
	assert_int_equal(put_now(f, STORE_MODEL, "big", span_str("x"), 0)->result, STORE_REFUSED);
	assert_int_equal(last.len, STORE_DOCUMENT_MAX);
	assert_int_equal(store_document_put(f->store, STORE_MODEL, span_str("big"),
					    span_of(big, STORE_DOCUMENT_MAX + 1), UINT64_MAX, got, &last),
			 -EMSGSIZE);
	memset(name, 'n', STORE_NAME_MAX + 1);
	assert_int_equal(store_document_get(f->store, STORE_MODEL, span_str(name), got, &last), -EMSGSIZE);
	assert_int_equal(store_document_get(f->store, STORE_MODEL, span_str(""), got, &last), -EINVAL);
	name[STORE_NAME_MAX] = '\0';
	put_now(f, STORE_MODEL, name, span_str("long name"), 0);
	assert_body(get_now(f, STORE_MODEL, name), "long name");
}

/* ---- lists ---- */

struct list {
	bool done;
	int result;
	size_t count;
	char names[64][32];
};

static void listed(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct list *out = ctx;

	assert_false(out->done);
	if (result != STORE_DONE) {
		out->done = true;
		out->result = result;
		return;
	}
	assert_true(version > 0);
	assert_true(out->count < ARRAY_SIZE(out->names));
	memcpy(out->names[out->count++], name.data, name.len);
	assert_int_equal(body.len ? body.data[0] : 'z', name.data[0]);
}

static const struct list *list_now(struct fixture *f, enum store_document kind, const char *after,
				   size_t count)
{
	static struct list out;

	out = (struct list){0};
	assert_int_equal(store_document_list(f->store, kind, span_str(after), count, listed, &out), 0);
	wait_for(f, &out.done);
	assert_int_equal(out.result, STORE_ABSENT);
	return &out;
}

static void a_list_is_in_order_and_goes_on_behind_a_name(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"b", "c", "a", "bb", "z"};
	const struct list *l;

	assert_int_equal(list_now(f, STORE_MODEL, "", 10)->count, 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put_now(f, STORE_MODEL, names[i], span_of(names[i], 1), 0);
	put_now(f, STORE_SETTING, "y", span_str("y"), 0);
	put_now(f, STORE_BOOTSTRAP_CONFIG, "x", span_str("x"), 0);
	l = list_now(f, STORE_MODEL, "", 10);
	assert_int_equal(l->count, 5);
	assert_string_equal(l->names[0], "a");
	assert_string_equal(l->names[1], "b");
	assert_string_equal(l->names[2], "bb");
	assert_string_equal(l->names[3], "c");
	assert_string_equal(l->names[4], "z");
	l = list_now(f, STORE_MODEL, "", 2);
	assert_int_equal(l->count, 2);
	l = list_now(f, STORE_MODEL, "b", 2);
	assert_int_equal(l->count, 2);
	assert_string_equal(l->names[0], "bb");
	assert_int_equal(list_now(f, STORE_MODEL, "ba", 10)->count, 3);
	assert_int_equal(list_now(f, STORE_MODEL, "z", 10)->count, 0);
}

static void a_list_of_large_documents_comes_in_parts(void **state)
{
	enum { N = 8, BODY = 400000 };
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *body = malloc(BODY);
	char after[32] = "";
	size_t seen = 0;
	const struct list *l;

	memset(body, 'n', BODY);
	for (int i = 0; i < N; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		put_now(f, STORE_MODEL, name, span_of(body, BODY), 0);
	}
	while ((l = list_now(f, STORE_MODEL, after, 100))->count) {
		assert_true(l->count <= 3);
		seen += l->count;
		strcpy(after, l->names[l->count - 1]);
	}
	assert_int_equal(seen, N);
}

/* ---- leases ---- */

struct leases {
	bool done;
	int result;
	size_t count;
	uint32_t node;
	uint64_t incarnation, until_ms;
	char body[64];
};

static void got_lease(void *ctx, int result, const struct store_lease *lease)
{
	struct leases *out = ctx;

	out->result = result;
	out->done = true;
	if (!lease)
		return;
	out->count++;
	out->node = lease->node;
	out->incarnation = lease->incarnation;
	out->until_ms = lease->until_ms;
	memcpy(out->body, lease->body.data, lease->body.len);
}

static void listed_lease(void *ctx, int result, const struct store_lease *lease)
{
	struct leases *out = ctx;

	got_lease(ctx, result, lease);
	out->done = result == STORE_ABSENT;
}

static const struct leases *lease_list_now(struct fixture *f)
{
	static struct leases out;

	out = (struct leases){0};
	assert_int_equal(store_lease_list(f->store, listed_lease, &out), 0);
	wait_for(f, &out.done);
	return &out;
}

static void lease_take_now(struct fixture *f, const char *body)
{
	struct leases out = {0};

	assert_int_equal(store_lease_take(f->store, span_str(body), 3000, got_lease, &out), 0);
	assert_false(out.done);
	wait_for(f, &out.done);
	assert_int_equal(out.result, STORE_DONE);
	assert_string_equal(out.body, body);
}

static void a_lease_is_taken_renewed_dropped_and_runs_out(void **state)
{
	struct fixture *f = *state;
	struct leases out = {0};
	const struct leases *l;

	assert_int_equal(lease_list_now(f)->count, 0);
	lease_take_now(f, "here");
	clock_advance(2000);
	lease_take_now(f, "there");
	clock_advance(2999);
	l = lease_list_now(f);
	assert_int_equal(l->count, 1);
	assert_int_equal(l->node, f->fence.node);
	assert_int_equal(l->incarnation, f->fence.incarnation);
	assert_int_equal(l->until_ms, clock_now() + 1);
	assert_string_equal(l->body, "there");
	clock_advance(1);
	assert_int_equal(lease_list_now(f)->count, 0);
	lease_take_now(f, "again");
	assert_int_equal(store_lease_drop(f->store, got_lease, &out), 0);
	wait_for(f, &out.done);
	assert_int_equal(out.result, STORE_DONE);
	assert_int_equal(lease_list_now(f)->count, 0);
	/* A new process of the node has it at once. */
	lease_take_now(f, "old");
	fixture_reopen(f);
	lease_take_now(f, "new");
	assert_int_equal(lease_list_now(f)->incarnation, f->fence.incarnation);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_document_is_put_found_and_deleted),
	cmocka_unit_test(a_change_can_demand_a_version),
	cmocka_unit_test(a_version_is_never_given_twice),
	cmocka_unit_test(bodies_may_be_empty_or_large_but_not_larger),
	cmocka_unit_test(a_list_is_in_order_and_goes_on_behind_a_name),
	cmocka_unit_test(a_list_of_large_documents_comes_in_parts),
	cmocka_unit_test(a_lease_is_taken_renewed_dropped_and_runs_out),
};

const struct theme documents_theme = {tests, ARRAY_SIZE(tests)};
